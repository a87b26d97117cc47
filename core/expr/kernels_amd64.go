//go:build !purego

package expr

import (
	"github.com/klauspost/cpuid/v2"

	"github.com/velo-engine/velo/record"
)

// have512 and haveAVX2 say which kernels the processor can run. They are variables so that tests
// can run all ways.
var (
	have512  = cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ)
	haveAVX2 = cpuid.CPU.Supports(cpuid.AVX2)
)

// The next kernels compare 8*blocks words and write a bit for each. They order floats as ordered
// does.

//go:noescape
func equalInts512(bits, x, y *uint64, blocks int)

//go:noescape
func lessInts512(bits, x, y *uint64, blocks int)

//go:noescape
func equalFloats512(bits, x, y *uint64, blocks int)

//go:noescape
func lessFloats512(bits, x, y *uint64, blocks int)

//go:noescape
func equalIntsAVX2(bits, x, y *uint64, blocks int)

//go:noescape
func lessIntsAVX2(bits, x, y *uint64, blocks int)

//go:noescape
func equalFloatsAVX2(bits, x, y *uint64, blocks int)

//go:noescape
func lessFloatsAVX2(bits, x, y *uint64, blocks int)

// The next kernels are the arithmetic of whole numbers. bad is 0 if all results fit an int64 and,
// with bias added, are not more than most as unsigned numbers; otherwise one of them may not.

//go:noescape
func addInts512(to, x, y *uint64, blocks int, bias, most uint64) (bad uint64)

//go:noescape
func subInts512(to, x, y *uint64, blocks int, bias, most uint64) (bad uint64)

//go:noescape
func mulInts512(to, x, y *uint64, blocks int, bias, most uint64) (bad uint64)

// The next kernels compute quotients cut towards 0, and remainders. bad is 0 if all numbers are
// less than 2**53 away from 0 and no divisor is 0.

//go:noescape
func divInts512(to, x, y *uint64, blocks int) (bad uint64)

//go:noescape
func modInts512(to, x, y *uint64, blocks int) (bad uint64)

// decimals512 divides whole numbers by a unit, as floats. bad is 0 if all numbers are less than
// 2**53 away from 0.
//
//go:noescape
func decimals512(to, x *uint64, blocks int, unit float64) (bad uint64)

// The next kernels are the arithmetic of floats. odd is 0 if no result is an infinity or a NaN and
// no product or quotient is zero.

//go:noescape
func addFloats512(to, x, y *uint64, blocks int) (odd uint64)

//go:noescape
func subFloats512(to, x, y *uint64, blocks int) (odd uint64)

//go:noescape
func mulFloats512(to, x, y *uint64, blocks int) (odd uint64)

//go:noescape
func divFloats512(to, x, y *uint64, blocks int) (odd uint64)

// merge512 copies those of 8*blocks words that have a bit in take.
//
//go:noescape
func merge512(to, from, take *uint64, blocks int)

// texts512 notes which of 8*blocks texts have least to most bytes and begin with want. mask says
// which bytes of want count. It does not look at texts that begin after last; odd says that there
// are some.
//
//go:noescape
func texts512(bits *uint64, views *record.View, bytes *byte, blocks int, last, want, mask, least,
	most uint64) (odd uint64)
