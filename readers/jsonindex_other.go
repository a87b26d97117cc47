//go:build !amd64 || purego

package readers

// findJSONMasks does what findJSONMasksGo says.
func findJSONMasks(out *jsonMasks, buf []byte, from, n int) { findJSONMasksGo(out, buf, from, n) }

// find does what findGo says.
func (s *jsonIndex) find(out []uint32, buf []byte, from, n int) (found, scanned int) {
	return s.findGo(out, buf, from, n)
}
