//go:build !amd64 || purego

package record

var haveViews512 = false

func lastEnd512(*View, int) uint64 { panic("record: no vectors here") }
