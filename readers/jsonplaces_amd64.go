//go:build !purego

package readers

import "unsafe"

// findNestedMasks does what findNestedMasksGo says.
func findNestedMasks(out *nestedMasks, buf []byte, from, n int) {
	if !haveAVX2 {
		findNestedMasksGo(out, buf, from, n)
		return
	}
	_, _ = buf[from+n+pad-1], out[(n+63)/64*nestedWords-1]
	findNestedMasksAVX2(out, unsafe.SliceData(buf), from, n)
}

// findNestedMasksAVX2 looks at 64 bytes at a time. n is at least 1.
//
//go:noescape
func findNestedMasksAVX2(out *nestedMasks, buf *byte, from, n int)
