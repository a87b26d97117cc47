//go:build !purego

package core

import "github.com/klauspost/cpuid/v2"

// have512 says that the rows of a pane are picked eight at a time. It is a variable so that tests have both ways.
var have512 = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.POPCNT)

// equal512 notes which of 8*blocks words are the same as word, a bit each.
//
//go:noescape
func equal512(mask *[stripeRows / 64]uint64, words *uint64, word uint64, blocks int)

// compress512 copies those of 8*blocks words that have a bit in mask, and returns how many. Up to seven words more are written behind them, but none behind as many as there are in all.
//
//go:noescape
func compress512(to, from *uint64, mask *[stripeRows / 64]uint64, blocks int) (n int)
