//go:build !linux

package groupkey

import "testing"

// eachText runs a test with columns of every length.
func eachText(t *testing.T, test func(t *testing.T, text []byte)) {
	for n := range 130 {
		text := make([]byte, n)
		for i := range text {
			text[i] = byte(i)*73 + 1
		}
		test(t, text)
	}
}
