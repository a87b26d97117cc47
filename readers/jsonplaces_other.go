//go:build !amd64 || purego

package readers

// findNestedMasks does what findNestedMasksGo says.
func findNestedMasks(out *nestedMasks, buf []byte, from, n int) {
	findNestedMasksGo(out, buf, from, n)
}
