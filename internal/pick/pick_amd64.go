//go:build !purego

package pick

import "github.com/klauspost/cpuid/v2"

// Have512 says that words are picked eight at a time. It is a variable so that tests can run both
// ways.
var Have512 = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.POPCNT)

var haveBMI2 = cpuid.CPU.Supports(cpuid.BMI2)

// compress512 copies each of 8*blocks words that has a bit in mask, and returns how many it has
// copied. It may write up to seven more words after them, but never more than 8*blocks words in
// all.
//
//go:noescape
func compress512(to, from, mask *uint64, blocks int) (n int)

func extractBMI2(word, mask uint64) uint64
