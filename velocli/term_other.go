//go:build !unix

package velocli

import "io"

// terminalSize knows no terminals on this system, so there is no progress and no live view.
func terminalSize(io.Writer) (columns, rows int, ok bool) { return 0, 0, false }
