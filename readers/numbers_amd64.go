//go:build !purego

package readers

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

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

// doublesAVX2 reads up to n doubles, n at least 1, whose places are width apart, as shortFloat
// reads them, and returns how many it has read. It stops at the first that has another form, or
// that a double may not hold exactly. before is how many bytes there are from the first place to
// the number. end is the byte that ends a number.
//
//go:noescape
func doublesAVX2(base unsafe.Pointer, at *uint32, values *float64, n, width int, before, end uint64) (done int)

// Tables of doublesAVX2.
var (
	// lastBytes has, from byte n on, 16 bytes of which the last n are set.
	lastBytes [32]byte
	// pointTaken has for each place of a point the shuffle that takes it out. What is before it
	// moves up a byte, and a zero comes in. The last shuffle leaves all bytes where they are.
	pointTaken [17][16]byte
	// divisors has for each place of a point the power of ten that divides the digits.
	divisors [17]float64
)

func init() {
	for i := range 16 {
		lastBytes[16+i] = 0xff
		divisors[i] = powers[15-i]
		for j := range 16 {
			pointTaken[i][j] = byte(j)
			if j <= i {
				pointTaken[i][j] = byte(j - 1) // -1 is a zero
			}
		}
		pointTaken[16][i] = byte(i)
	}
	divisors[16] = 1
}
