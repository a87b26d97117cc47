//go:build !amd64 || purego

package core

var have512 = false

func equal512(*[stripeRows / 64]uint64, *uint64, uint64, int) { panic("core: no vectors here") }
