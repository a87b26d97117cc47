//go:build !unix

package cli

import "io"

// TerminalSize knows no terminals on this system, so there is no progress and no live view.
func TerminalSize(io.Writer) (columns, rows int, ok bool) { return 0, 0, false }
