//go:build !amd64 || purego

package readers

// flatten does what flattenGo says.
func flatten(out []uint32, words []uint64, from int) (found int) { return flattenGo(out, words, from) }
