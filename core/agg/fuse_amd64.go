//go:build !purego

package agg

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// have512 says that rows of one cache line are updated as vectors. It is a variable so that tests
// can run both ways.
var have512 = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ)

// haveWords says that rows are updated word by word while their extremes seldom change. It is a
// variable so that tests can run both ways.
var haveWords = true

// updateRows512 adds n words to the rows at base+off[i], as Fused.Update does.
//
//go:noescape
func updateRows512(base unsafe.Pointer, off *uint64, words *uint64, n int, l *lanes)

// updateDoubles512 is updateRows512 for double precision.
//
//go:noescape
func updateDoubles512(base unsafe.Pointer, off *uint64, words *uint64, n int, l *lanes)

// updateWords does the same word by word, for up to two counts, a sum, a least and a greatest.
// changed is how many records changed the least, the greatest or the high half of the sum.
//
//go:noescape
func updateWords(base unsafe.Pointer, off *uint64, words *uint64, n int, p *places) (changed int)

// updateFound is updateWords for the records whose keys are the keys of the rows; see
// Fused.UpdateFound.
//
//go:noescape
func updateFound(p *found) (misses, changed int)
