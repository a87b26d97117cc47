//go:build !amd64 || purego

package readers

var have512 = false

func numbers512(*numberArgs) int { panic("readers: no vectors here") }

func doubles512(*numberArgs) int { panic("readers: no vectors here") }
