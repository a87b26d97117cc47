//go:build !purego

package pick

import "github.com/klauspost/cpuid/v2"

// Have512 says that words are picked eight at a time. It is a variable so that tests have both ways.
var Have512 = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.POPCNT)

var haveBMI2 = cpuid.CPU.Supports(cpuid.BMI2)

// compress512 copies those of 8*blocks words that have a bit in mask, and returns how many. Up to seven words more are written behind them, but none behind as many as there are in all.
//
//go:noescape
func compress512(to, from, mask *uint64, blocks int) (n int)

func extractBMI2(word, mask uint64) uint64
