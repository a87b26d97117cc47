//go:build !purego

package record

import "github.com/klauspost/cpuid/v2"

// haveViews512 says that views are looked at eight at a time. It is a variable so that tests can
// try both ways.
var haveViews512 = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ)

// lastEnd512 is lastEnd for n views, a multiple of vectorViews and not 0.
//
//go:noescape
func lastEnd512(views *View, n int) (end uint64)
