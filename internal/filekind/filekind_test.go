package filekind

import (
	"io/fs"
	"testing"
)

// Goal: each kind of file has its own words.
func TestOf(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		0o600: "a regular file", fs.ModeDir | 0o700: "a directory", fs.ModeNamedPipe: "a FIFO",
		fs.ModeSocket: "a socket",
		fs.ModeDevice: "a device", fs.ModeDevice | fs.ModeCharDevice: "a device",
		fs.ModeIrregular: "not a regular file",
	} {
		if got := Of(mode); got != want {
			t.Errorf("%v: %s, expected %s", mode, got, want)
		}
	}
}
