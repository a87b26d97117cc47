//go:build !amd64 || purego

package readers

var haveAVX2, haveVBMI2 = false, false

// findStructurals does what findStructuralsGo says.
func findStructurals(out []uint32, buf []byte, from, n int, delimiter byte) (found int) {
	return findStructuralsGo(out, buf, from, n, delimiter)
}
