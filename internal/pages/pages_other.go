//go:build !linux

package pages

// advise does nothing here.
func advise([]uint64) {}
