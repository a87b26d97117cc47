//go:build !amd64 || purego

package readers

import "unsafe"

var have512 = false

func numbers512(*numberArgs) int { panic("readers: no vectors here") }

func doublesAVX2(unsafe.Pointer, *uint32, *float64, int, int, uint64, uint64) int {
	panic("readers: no vectors here")
}

func doubles512(*numberArgs) int { panic("readers: no vectors here") }
