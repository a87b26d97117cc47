//go:build unix

package cli

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// unknownColumns and unknownRows are the size of a terminal that does not report its size.
const unknownColumns, unknownRows = 80, 24

// TerminalSize is the size of the terminal that to writes to. ok is false if to is not a terminal.
func TerminalSize(to io.Writer) (columns, rows int, ok bool) {
	f, isFile := to.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	if size.Col == 0 || size.Row == 0 { // a terminal that does not know its size
		return unknownColumns, unknownRows, true
	}
	return int(size.Col), int(size.Row), true
}
