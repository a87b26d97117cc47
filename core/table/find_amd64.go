//go:build !purego

package table

import "github.com/klauspost/cpuid/v2"

// have512 and haveTags say that a near index and buckets are looked up by assembly. They are variables so that tests have both ways.
var (
	have512  = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512VL, cpuid.POPCNT)
	haveTags = cpuid.CPU.Supports(cpuid.AVX2, cpuid.BMI1, cpuid.BMI2)
)

// find512 does the first probes of p.n keys in a near index, compares them, and returns how many missed.
//
//go:noescape
func find512(p *probe512) (misses int)

// first512 is near.first for p.n keys.
//
//go:noescape
func first512(p *probeFirst)

// compare512 is Table.compare for p.n keys of three words.
//
//go:noescape
func compare512(p *probeKeys) (misses int)

// findTags is buckets.first.
//
//go:noescape
func findTags(p *probeTags)
