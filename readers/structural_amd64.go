//go:build !purego

package readers

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// These say what this processor supports. They are variables so that tests can try each way.
var (
	haveAVX2  = cpuid.CPU.Supports(cpuid.AVX2, cpuid.BMI1, cpuid.BMI2, cpuid.POPCNT)
	haveCLMUL = cpuid.CPU.Supports(cpuid.CLMUL)
	haveVBMI2 = haveAVX2 && cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL,
		cpuid.AVX512VBMI2)
)

// findStructurals does what findStructuralsGo says.
func findStructurals(out []uint32, buf []byte, from, n int, delimiter byte) (found int) {
	if !haveAVX2 {
		return findStructuralsGo(out, buf, from, n, delimiter)
	}
	_, _ = out[n+structuralSlack-1], buf[from+n+pad-1]
	if haveVBMI2 {
		return findStructurals512(unsafe.SliceData(out), unsafe.SliceData(buf), from, n, delimiter)
	}
	return findStructuralsAVX2(unsafe.SliceData(out), unsafe.SliceData(buf), from, n, delimiter)
}

// findStructuralsAVX2 looks at 64 bytes at a time.
//
//go:noescape
func findStructuralsAVX2(out *uint32, buf *byte, from, n int, delimiter byte) (found int)

// findStructurals512 does the same, with VPCOMPRESSB for the places.
//
//go:noescape
func findStructurals512(out *uint32, buf *byte, from, n int, delimiter byte) (found int)
