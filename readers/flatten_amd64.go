//go:build !purego

package readers

import "unsafe"

// flatten does what flattenGo says.
func flatten(out []uint32, words []uint64, from int) (found int) {
	if !haveAVX2 || len(words) == 0 {
		return flattenGo(out, words, from)
	}
	_ = out[64*len(words)-1]
	return flattenBMI(unsafe.SliceData(out), unsafe.SliceData(words), len(words), from)
}

// flattenBMI is flattenGo with TZCNT and BLSR. n is the number of words.
//
//go:noescape
func flattenBMI(out *uint32, words *uint64, n, from int) (found int)
