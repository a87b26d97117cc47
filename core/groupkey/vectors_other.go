//go:build !amd64 || purego

package groupkey

var have512 = false

func packShort512(*packing) int { panic("groupkey: no vectors here") }

func hashWords512(*hashing) { panic("groupkey: no vectors here") }

func hashStrings512(*hashing) { panic("groupkey: no vectors here") }
