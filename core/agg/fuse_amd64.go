//go:build !purego

package agg

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// have512 says that rows of one cache line are updated as vectors. It is a variable so that tests have both ways.
var have512 = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ)

// updateRows512 adds n words to the rows at base+off[i], as Fused.Update does.
//
//go:noescape
func updateRows512(base unsafe.Pointer, off *uint64, words *uint64, n int, l *lanes)

// updateDoubles512 is the same for double precision.
//
//go:noescape
func updateDoubles512(base unsafe.Pointer, off *uint64, words *uint64, n int, l *lanes)
