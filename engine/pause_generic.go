//go:build !(amd64 || arm64) || purego

package engine

// pause runs a short loop that the compiler keeps. Go has no equivalent of the PAUSE instruction,
// but this is close.
//
//go:noinline
func pause(n uint32) {
	for range n {
	}
}
