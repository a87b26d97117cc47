//go:build !purego

package table

import "github.com/klauspost/cpuid/v2"

// have512 says that find1 looks at eight keys at a time. It is a variable so that tests have both ways.
var have512 = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512VL, cpuid.POPCNT)

// find512 does the first probes of p.n keys, as find1 does them one by one, and returns how many missed.
//
//go:noescape
func find512(p *probe512) (misses int)
