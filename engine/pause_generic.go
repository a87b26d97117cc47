//go:build !(amd64 || arm64) || purego

package engine

// pause has no equivalent in Go: a short loop that the compiler keeps is close.
//
//go:noinline
func pause(n uint32) {
	for range n {
	}
}
