package view

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/rowbytes"
	"github.com/velo-engine/velo/record"
)

// A Cut says what a statement has read.
type Cut struct {
	View  string
	Epoch uint64
	// Positions are the records that had been taken from each reader of the engine.
	Positions []uint64
	// Closed is the end of the last window that had closed; the zero time if there is none.
	Closed time.Time
}

func cutOf(name string, s *engine.Snapshot) Cut {
	c := Cut{View: name, Epoch: s.Epoch(), Positions: s.Positions()}
	if end, ok := s.Closed(); ok {
		c.Closed = end
	}
	return c
}

// Rows are the result of a statement. One goroutine at a time may use it.
type Rows struct {
	// Cut is what was read.
	Cut Cut

	catalog *Catalog
	schema  *record.Schema
	rows    int
	// single is a result that was found without an engine; nil if it is empty.
	single *record.Batch

	mu      sync.Mutex
	closed  bool
	parcels [][]byte // batches as bytes; those that come first
	memory  int64    // bytes of parcels
	file    *os.File // has the rest; nil if there is none
	to      *bufio.Writer
	spilled int64 // bytes in file
}

func newRows(c *Catalog, schema *record.Schema) *Rows {
	c.results.Add(1)
	return &Rows{catalog: c, schema: schema}
}

// Schema has the columns.
func (r *Rows) Schema() *record.Schema { return r.schema }

// Len is the number of rows.
func (r *Rows) Len() int {
	if r.single != nil {
		return r.single.Len()
	}
	return r.rows
}

// rowsWriter is the writer that fills rows.
type rowsWriter struct{ rows *Rows }

// Write keeps a copy of a batch.
func (w rowsWriter) Write(ctx context.Context, b *record.Batch) error { return w.rows.write(ctx, b) }

// Close does nothing: the rows are complete.
func (rowsWriter) Close() error { return nil }

func (r *Rows) write(ctx context.Context, b *record.Batch) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed // the engine was given up
	}
	r.rows += b.Len()
	bytes := rowbytes.Append(nil, b)
	n := int64(len(bytes))
	if l := &r.catalog.limits; r.file == nil && r.memory+n <= l.ResultBytes &&
		reserve(&r.catalog.memory, n, l.ResultMemory) {
		r.parcels = append(r.parcels, bytes)
		r.memory += n
		return nil
	}
	return r.spill(bytes)
}

// spill puts a batch into the file.
func (r *Rows) spill(bytes []byte) error {
	l := &r.catalog.limits
	n := int64(len(bytes))
	if !reserve(&r.catalog.spilled, n, l.SpillBytes) {
		return fmt.Errorf("view: %w: all results together would need more than %d MiB in files; LIMIT or WHERE "+
			"makes it smaller", ErrTooLarge, l.SpillBytes>>20)
	}
	r.spilled += n
	if r.file == nil {
		f, err := os.CreateTemp(l.SpillDir, "velo-result-*")
		if err != nil {
			return fmt.Errorf("view: the result has more than %d MiB: %w", l.ResultBytes>>20, err)
		}
		if runtime.GOOS != "windows" {
			_ = os.Remove(f.Name()) // the system frees it whatever ends the process
		}
		r.file, r.to = f, bufio.NewWriterSize(f, 1<<20)
	}
	if _, err := r.to.Write(bytes); err != nil {
		return fmt.Errorf("view: the result has more than %d MiB: %w", l.ResultBytes>>20, err)
	}
	return nil
}

// Batches yields the rows. A batch is valid until the next. After an error nothing follows. It may
// be called again to read the rows again.
func (r *Rows) Batches() iter.Seq2[*record.Batch, error] {
	return func(yield func(*record.Batch, error) bool) {
		parcels, file, err := r.open()
		if err != nil {
			yield(nil, err)
			return
		}
		if r.single != nil {
			yield(r.single, nil)
			return
		}
		for _, p := range parcels {
			b, _, err := rowbytes.Read(r.schema, p)
			if !yield(b, err) || err != nil {
				return
			}
		}
		if file == nil {
			return
		}
		from := bufio.NewReaderSize(file, 1<<20)
		for {
			b, err := readOne(r.schema, from)
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// open makes the rows ready to be read.
func (r *Rows) open() (parcels [][]byte, file io.Reader, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, nil, fmt.Errorf("view: the rows were %w", ErrClosed)
	}
	if r.file == nil {
		return r.parcels, nil, nil
	}
	if err := r.to.Flush(); err != nil {
		return nil, nil, err
	}
	return r.parcels, io.NewSectionReader(r.file, 0, r.spilled), nil
}

// readOne reads a batch from a file.
func readOne(schema *record.Schema, from io.Reader) (*record.Batch, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err // io.EOF is the end
	}
	bytes := make([]byte, 4+binary.LittleEndian.Uint32(size[:]))
	copy(bytes, size[:])
	if _, err := io.ReadFull(from, bytes[4:]); err != nil {
		return nil, fmt.Errorf("view: a result in a file is cut off: %w", errors.Join(io.ErrUnexpectedEOF, err))
	}
	b, _, err := rowbytes.Read(schema, bytes)
	return b, err
}

// reserve adds n to what is taken, if it is most at the most then.
func reserve(taken interface {
	Add(int64) int64
}, n, most int64,
) bool {
	if taken.Add(n) > most {
		taken.Add(-n)
		return false
	}
	return true
}

// Close frees the memory and the file. Closing again does nothing.
func (r *Rows) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.catalog.results.Add(-1)
	r.catalog.memory.Add(-r.memory)
	r.catalog.spilled.Add(-r.spilled)
	r.parcels, r.single = nil, nil
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	if runtime.GOOS == "windows" {
		err = errors.Join(err, os.Remove(r.file.Name()))
	}
	return err
}
