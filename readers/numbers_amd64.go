//go:build !purego

package readers

import "github.com/klauspost/cpuid/v2"

// have512 says that short numbers are read eight at a time. It is a variable so that tests can try
// both ways.
var have512 = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX512CD)

// numbers512 reads up to p.n numbers and returns how many it has read. It stops before a group of
// eight in which one has an unusual form.
//
//go:noescape
func numbers512(p *numberArgs) (done int)

// doubles512 is numbers512 for doubles, as shortFloat reads them.
//
//go:noescape
func doubles512(p *numberArgs) (done int)
