//go:build !purego

package table

import "github.com/klauspost/cpuid/v2"

// have512 and haveAVX2 (with the bit instructions that came with it) say that assembly looks up the
// keys. They are variables so that tests can run both ways.
var (
	have512  = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512VL, cpuid.POPCNT)
	haveAVX2 = cpuid.CPU.Supports(cpuid.AVX2, cpuid.BMI1, cpuid.BMI2)
)

// lookSlots is near.first for p.n keys.
//
//go:noescape
func lookSlots(p *probeSlots)

// compare512 is Table.compare for p.n keys of three words.
//
//go:noescape
func compare512(p *probeKeys) (misses int)

// findTags is buckets.first.
//
//go:noescape
func findTags(p *probeTags)
