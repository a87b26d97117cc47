package velocli

import (
	"context"
	"io"
	"strings"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
)

// printFormats are the values of --format of velo query: the formats of this package, and the
// encodings of others.
func printFormats() string {
	return strings.Join(append([]string{"table", formatDelimited, formatNDJSON}, connect.Default.Encodings()...), ",")
}

// isBinary says whether a format is not for people.
func isBinary(format string) bool {
	e, ok := connect.Default.Encoding(format)
	return ok && e.Binary
}

// coded writes rows in an encoding of another package. The first batch has the schema.
type coded struct {
	of   connect.Encoding
	to   io.Writer
	rows connect.Rows // nil before the first batch
}

// Write writes a batch.
func (c *coded) Write(ctx context.Context, b *record.Batch) error {
	if c.rows == nil {
		c.rows = c.of.New(c.to, b.Schema())
	}
	return c.rows.Write(ctx, b)
}

// Flush writes what is buffered.
func (c *coded) Flush() error {
	if c.rows == nil {
		return nil
	}
	return c.rows.Flush()
}

// Close writes the end.
func (c *coded) Close() error {
	if c.rows == nil {
		return nil
	}
	return c.rows.Close()
}
