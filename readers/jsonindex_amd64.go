//go:build !purego

package readers

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

// haveJSON512 says that all of jsonIndex.find is done in vectors. It is a variable so that tests
// can try both ways.
var haveJSON512 = haveVBMI2 && cpuid.CPU.Supports(cpuid.CLMUL)

// findJSONMasks does what findJSONMasksGo says.
func findJSONMasks(out *jsonMasks, buf []byte, from, n int) {
	if !haveAVX2 {
		findJSONMasksGo(out, buf, from, n)
		return
	}
	_, _ = buf[from+n+pad-1], out[(n+63)/64*jsonMaskWords-1]
	findJSONMasksAVX2(out, unsafe.SliceData(buf), from, n)
}

// findJSONMasksAVX2 looks at 64 bytes at a time. n is at least 1.
//
//go:noescape
func findJSONMasksAVX2(out *jsonMasks, buf *byte, from, n int)

// find does what findGo says.
func (s *jsonIndex) find(out []uint32, buf []byte, from, n int) (found, scanned int) {
	if !haveJSON512 {
		return s.findGo(out, buf, from, n)
	}
	_, _ = out[n+structuralSlack-1], buf[from+n+pad-1]
	return findJSON512(unsafe.SliceData(out), unsafe.SliceData(buf), from, n, &s.state)
}

// findJSON512 is jsonIndex.findGo, 64 bytes at a time. n is at least 1.
//
//go:noescape
func findJSON512(out *uint32, buf *byte, from, n int, state *jsonState) (found, scanned int)
