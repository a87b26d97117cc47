//go:build !amd64 || purego

package pick

// Have512 says that words are picked eight at a time, which never happens here.
var Have512 = false

var haveBMI2 = false

func compress512(_, _, _ *uint64, _ int) int { panic("pick: no vectors here") }

func extractBMI2(_, _ uint64) uint64 { panic("pick: no vectors here") }
