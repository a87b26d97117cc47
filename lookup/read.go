package lookup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/velo-engine/velo/record"
)

// retryAfter is how long a load waits after a transient error of a reader.
const retryAfter = 100 * time.Millisecond

// Readers makes a Load of readers, for example of package readers. Each load opens them, reads
// them to their end, one after the other, and closes them. A record that a reader rejects makes the
// load fail. A reader without an end never loads anything.
//
//	Load: lookup.Readers(func(context.Context) ([]record.Reader, error) { return open("a.csv") })
func Readers(open func(ctx context.Context) ([]record.Reader, error)) func(context.Context, *Builder) error {
	return func(ctx context.Context, b *Builder) (err error) {
		all, err := open(ctx)
		if err != nil {
			return err
		}
		defer func() {
			for _, r := range all {
				err = errors.Join(err, r.Close())
			}
		}()
		for _, r := range all {
			if err := b.readAll(ctx, r, len(all) == 1); err != nil {
				return err
			}
		}
		return nil
	}
}

// linesOf returns the lines of the rows of the last batch, zeros if they are not known: a record
// may take several lines, and there are lines without a record.
func linesOf(r record.LineCounter, rows int) []int64 {
	lines := make([]int64, rows)
	first, next := r.Lines()
	if first > 0 && next-first == int64(rows) {
		for i := range lines {
			lines[i] = first + int64(i)
		}
	}
	return lines
}

// readAll appends all records of a reader. counts says that lines are counted: there is one reader,
// so that a line says where a row is.
func (b *Builder) readAll(ctx context.Context, r record.Reader, counts bool) error {
	batch := record.NewBatch(b.Schema(), 0)
	counter, _ := r.(record.LineCounter)
	if counter != nil && counts {
		counter.CountLines()
	}
	for {
		batch.Reset()
		err := r.Read(ctx, batch)
		var lines []int64
		if counter != nil && counts {
			lines = linesOf(counter, batch.Len())
		}
		if wrong := b.AppendLines(batch, lines); wrong != nil {
			return b.placed(r, batch, wrong)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, record.ErrTransient):
			select {
			case <-ctx.Done():
			case <-time.After(retryAfter):
			}
		case err != nil:
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// placed adds the line to the error about a record that a reader has rejected, if the reader knows
// it only when it is asked.
func (b *Builder) placed(r record.Reader, batch *record.Batch, err error) error {
	liner, ok := r.(record.Liner)
	if !ok || len(batch.Rejects()) == 0 {
		return err
	}
	reject := batch.Rejects()[0]
	if reject.Line == 0 && reject.Offset >= 0 {
		line, unknown := liner.Line(reject.Offset)
		if unknown == nil {
			return fmt.Errorf("lookup: table %q: line %d: %w", b.Schema().Name(), line, reject.Reason)
		}
	}
	return err
}
