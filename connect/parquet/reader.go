package parquet

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/velo-engine/velo/record"
)

// Reader reads row groups: one of several readers that share those of some files. It lends columns,
// and allocates nothing for a row.
//
// A Poll that comes to the end of a page reads and unpacks the next one, which takes about a
// millisecond for a page of a megabyte.
type Reader struct {
	source *Source
	dealt  *dealt
	files  []*file
	number int

	// read says which columns are read; nil if all are.
	read    []bool
	columns []*column
	unpack  unpacker
	empty   empty

	// in is the open file, which has the row group at hand. at is its number; -1 if no file is
	// open.
	in *os.File
	at int
	// unit is the row group at hand. row is how many of its rows have been read, rows how many it
	// has. active are the columns that are read from it.
	unit      unit
	row, rows int64
	active    []*column

	// bounds are what a record must meet that somebody wants; skipped is how many are in row groups
	// that were left out because no record meets them. Statistic.
	bounds  []record.Bound
	skipped atomic.Uint64

	// rejects are records that no batch had room for.
	rejects []record.Reject
	// bad says which rows of the batch are set aside; it is scratch.
	bad []unfit

	// progress is what is known to have been read; nil if the engine keeps no state.
	progress *progress
	position []byte
}

// String names the reader.
func (r *Reader) String() string {
	if len(r.files) == 1 {
		return splitPrefix + r.files[0].path
	}
	return fmt.Sprintf("%s%s and %d more files", splitPrefix, r.files[0].path, len(r.files)-1)
}

// Columns says which columns are read: see record.Projector.
func (r *Reader) Columns(read []bool) { r.read = read }

// ResumeFrom goes on where the readers stood: see record.Resumer.
func (r *Reader) ResumeFrom(positions []record.Position) (resumed []string, now []record.Position, err error) {
	done := newProgress(r.files)
	for i, f := range r.files {
		for _, p := range positions {
			if p.Split != f.split() {
				continue
			}
			if err := done.add(i, f, p.Offset); err != nil {
				return nil, nil, fmt.Errorf("parquet: %w", err)
			}
		}
		if done.known[i] {
			resumed = append(resumed, f.split())
		}
		now = append(now, record.Position{Split: f.split(), Offset: f.position(nil, &done.files[i])})
	}
	r.progress = done
	if r.number == 0 {
		r.dealt.done = done.clone()
	}
	return resumed, now, nil
}

// Read is Poll: a file keeps nobody waiting for long.
func (r *Reader) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }

// Poll reads rows of one row group, up to the capacity of the batch.
func (r *Reader) Poll(b *record.Batch) error {
	for len(r.rejects) > 0 {
		if !b.Reject(r.rejects[0]) {
			return nil
		}
		r.rejects = r.rejects[1:]
	}
	if len(b.Rejects()) > 0 {
		return nil
	}
	err := guarded(func() error { return r.poll(b) })
	if err != nil && err != io.EOF {
		b.SetLen(0) // a part of a batch must not be counted
		return fmt.Errorf("parquet: %s: row group %d: %w", r.files[r.unit.file].path, r.unit.group, err)
	}
	return err
}

func (r *Reader) poll(b *record.Batch) error {
	for r.row == r.rows {
		if err := r.next(b.Cap()); err != nil {
			return err
		}
	}
	n := int(min(int64(b.Cap()), r.rows-r.row))
	for _, c := range r.active {
		some, err := c.available()
		if err != nil {
			return err
		}
		n = min(n, some)
	}
	r.bad = r.bad[:0]
	for _, c := range r.active {
		unfit, err := c.fill(b.Column(c.number), n)
		if err != nil {
			return fmt.Errorf("column %q, page %d: %w", c.leaf.name, c.pages-1, err)
		}
		r.bad = append(r.bad, unfit...)
		r.bad = c.missing(r.bad, b.Column(c.number), n)
	}
	b.SetLen(n)
	r.empty.lend(b, r.lacks())
	if len(r.bad) > 0 {
		r.setAside(b)
	}
	r.row += int64(n)
	r.setPosition(b)
	return nil
}

// setPosition says in a batch how far its file has been read.
func (r *Reader) setPosition(b *record.Batch) {
	if r.progress == nil {
		return
	}
	f := &r.progress.files[r.unit.file]
	f.reads(r.unit.group, r.row, r.row == r.rows)
	r.position = r.files[r.unit.file].position(r.position[:0], f)
	b.SetPosition(r.files[r.unit.file].split(), r.position)
}

// next goes on to the next row group. The error is io.EOF after the last.
func (r *Reader) next(size int) error {
	if r.columns == nil {
		r.make(size)
	}
	u, ok := r.take()
	if !ok {
		r.closeFile()
		return io.EOF
	}
	r.unit, r.row, r.rows = u, 0, 0
	if err := r.open(u.file); err != nil {
		return err
	}
	f := r.files[u.file]
	r.active = r.active[:0]
	for _, c := range r.columns {
		place := r.source.places[u.file][c.number]
		if place < 0 {
			continue
		}
		if err := c.begin(f, r.in, u.group, place); err != nil {
			return err
		}
		r.active = append(r.active, c)
	}
	r.rows = f.meta.RowGroups[u.group].NumRows
	return r.skip(r.dealt.done.files[u.file].rows(u.group), size)
}

// make makes the readers of the columns that are read, for batches of up to size rows.
func (r *Reader) make(size int) {
	r.columns = []*column{}
	for i := range r.source.schema.Len() {
		if r.read == nil || r.read[i] {
			r.columns = append(r.columns, newColumn(r.source.schema.Field(i), i, size, &r.unpack))
		}
	}
}

// open opens a file, unless it is open.
func (r *Reader) open(number int) error {
	if r.at == number {
		return nil
	}
	r.closeFile()
	f := r.files[number]
	in, err := os.Open(f.path)
	if err != nil {
		return err
	}
	info, err := in.Stat()
	if err == nil && info.Size() != f.size {
		err = fmt.Errorf("it had %d bytes when it was opened, and has %d now", f.size, info.Size())
	}
	if err != nil {
		_ = in.Close() // the error says enough
		return err
	}
	r.in, r.at = in, number
	return nil
}

func (r *Reader) closeFile() {
	if r.in != nil {
		_ = r.in.Close() // it was only read
	}
	r.in, r.at = nil, -1
}

// Close closes the file.
func (r *Reader) Close() error {
	r.closeFile()
	r.columns, r.active = nil, nil
	return nil
}

// skip passes over rows, which had been read before a restart.
func (r *Reader) skip(rows int64, size int) error {
	if rows > r.rows {
		return fmt.Errorf("%d rows had been read when the state was saved, and it has %d", rows, r.rows)
	}
	b := record.NewBatch(r.source.schema, size)
	for _, c := range r.active {
		for left := rows; left > 0; {
			some, err := c.available()
			if err != nil {
				return err
			}
			n := int(min(left, int64(some), int64(size)))
			if _, err := c.fill(b.Column(c.number), n); err != nil {
				return fmt.Errorf("column %q: %w", c.leaf.name, err)
			}
			left -= int64(n)
		}
	}
	r.row = rows
	return nil
}

// lacks says which columns of the batch nobody fills: those that are not read, and those that the
// file does not have.
func (r *Reader) lacks() []bool {
	r.empty.is = sized(r.empty.is, r.source.schema.Len())
	for i := range r.empty.is {
		r.empty.is[i] = true
	}
	for _, c := range r.active {
		r.empty.is[c.number] = false
	}
	return r.empty.is
}
