package main

import (
	"io"

	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// open keeps a writer from closing what it writes to.
type open struct{ io.Writer }

// newPrinter is the writer of a format.
func newPrinter(format string, to io.Writer) record.Writer {
	switch format {
	case "csv":
		return writers.NewCSV(open{to})
	case "ndjson":
		return writers.NewNDJSON(open{to})
	}
	return writers.NewTable(open{to})
}
