//go:build !amd64 || purego

package expr

import "github.com/velo-engine/velo/record"

var have512, haveAVX2 = false, false

const noVectors = "expr: no vectors here"

func equalInts512(_, _, _ *uint64, _ int)    { panic(noVectors) }
func lessInts512(_, _, _ *uint64, _ int)     { panic(noVectors) }
func equalFloats512(_, _, _ *uint64, _ int)  { panic(noVectors) }
func lessFloats512(_, _, _ *uint64, _ int)   { panic(noVectors) }
func equalIntsAVX2(_, _, _ *uint64, _ int)   { panic(noVectors) }
func lessIntsAVX2(_, _, _ *uint64, _ int)    { panic(noVectors) }
func equalFloatsAVX2(_, _, _ *uint64, _ int) { panic(noVectors) }
func lessFloatsAVX2(_, _, _ *uint64, _ int)  { panic(noVectors) }

func addInts512(_, _, _ *uint64, _ int, _, _ uint64) uint64 { panic(noVectors) }
func subInts512(_, _, _ *uint64, _ int, _, _ uint64) uint64 { panic(noVectors) }
func mulInts512(_, _, _ *uint64, _ int, _, _ uint64) uint64 { panic(noVectors) }

func divInts512(_, _, _ *uint64, _ int) uint64          { panic(noVectors) }
func modInts512(_, _, _ *uint64, _ int) uint64          { panic(noVectors) }
func decimals512(_, _ *uint64, _ int, _ float64) uint64 { panic(noVectors) }

func addFloats512(_, _, _ *uint64, _ int) uint64 { panic(noVectors) }
func subFloats512(_, _, _ *uint64, _ int) uint64 { panic(noVectors) }
func mulFloats512(_, _, _ *uint64, _ int) uint64 { panic(noVectors) }
func divFloats512(_, _, _ *uint64, _ int) uint64 { panic(noVectors) }

func merge512(_, _, _ *uint64, _ int) { panic(noVectors) }

func texts512(_ *uint64, _ *record.View, _ *byte, _ int, _, _, _, _, _ uint64) uint64 {
	panic(noVectors)
}
