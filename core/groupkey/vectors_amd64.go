//go:build !purego

package groupkey

import "github.com/klauspost/cpuid/v2"

// have512 says that keys are hashed, and strings packed, eight at a time. It is a variable so that
// tests can try both ways.
var have512 = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512VL, cpuid.POPCNT)

// packShort512 is packShort for the first p.n rows.
//
//go:noescape
func packShort512(p *packing) (left int)

// hashWords512 is hashWords for p.n keys.
//
//go:noescape
func hashWords512(p *hashing)

// hashStrings512 is hashStrings for p.n keys.
//
//go:noescape
func hashStrings512(p *hashing)
