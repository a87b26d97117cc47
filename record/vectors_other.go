//go:build !amd64 || purego

package record

var have512 = false

func packShort512(*packing) int { panic("record: no vectors here") }

func hashWords512(*hashing) { panic("record: no vectors here") }

func hashStrings512(*hashing) { panic("record: no vectors here") }

func lastEnd512(*View, int) uint64 { panic("record: no vectors here") }
