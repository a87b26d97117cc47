package pg

import (
	"context"
	"encoding/binary"
	"iter"
	"runtime"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/velo-engine/velo/pg/catalog"
	"github.com/velo-engine/velo/record"
)

// yieldRows has a bit less than each rows of the catalog after which a result gives way to the
// runners of engines.
const yieldRows = 1<<8 - 1

// A rowSource is the rows of a result that have not been sent yet.
type rowSource interface {
	// send sends up to limit rows, or all if limit is 0. It says how many, and whether there are no
	// more.
	send(ctx context.Context, w *writer, st *style, formats []int16, limit int) (n int, done bool, err error)
	// copyOut sends all rows as lines of COPY in text format.
	copyOut(ctx context.Context, w *writer, st *style) (n int, err error)
	close()
}

// batchRows are the rows of a Source.
type batchRows struct {
	rows    Rows
	pull    func() (*record.Batch, error, bool)
	stop    func()
	batch   *record.Batch
	next    int // the row of batch that is next
	types   []record.Type
	columns []*record.Column // of batch
}

func newBatchRows(r Rows) *batchRows {
	b := &batchRows{rows: r}
	for i := range r.Schema().Len() {
		b.types = append(b.types, r.Schema().Field(i).Type)
	}
	return b
}

func (b *batchRows) close() {
	if b.stop != nil {
		b.stop()
	}
	_ = b.rows.Close()
}

// fill makes sure that there is a row; it returns false at the end.
func (b *batchRows) fill(ctx context.Context) (bool, error) {
	for b.batch == nil || b.next >= b.batch.Len() {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		runtime.Gosched() // the runners of engines wait
		if b.pull == nil {
			b.pull, b.stop = iter.Pull2(b.rows.Batches())
		}
		batch, err, ok := b.pull()
		if err != nil || !ok {
			return false, err
		}
		b.batch, b.next = batch, 0
	}
	return true, nil
}

func (b *batchRows) send(
	ctx context.Context, w *writer, st *style, formats []int16, limit int,
) (n int, done bool, err error) {
	for {
		more, err := b.fill(ctx)
		if err != nil || !more {
			return n, true, err
		}
		to := b.batch.Len()
		if limit > 0 {
			to = min(to, b.next+limit-n)
		}
		n += to - b.next
		err = b.sendRows(w, st, formats, to)
		if err != nil {
			return n, false, err
		}
		// PostgreSQL does not look for a next row either: a result that ends at the limit is
		// suspended, and the next Execute gives no rows.
		if limit > 0 && n == limit {
			return n, false, nil
		}
	}
}

// sendRows sends the rows of the batch up to row to.
func (b *batchRows) sendRows(w *writer, st *style, formats []int16, to int) error {
	b.columns = b.columns[:0]
	for i := range b.types {
		b.columns = append(b.columns, b.batch.Column(i))
	}
	for ; b.next < to; b.next++ {
		at := len(w.buf)
		buf := append(w.buf, 'D', 0, 0, 0, 0, byte(len(b.types)>>8), byte(len(b.types)))
		for i, c := range b.columns {
			buf = st.field(buf, b.types[i], c, b.next, formatOf(formats, i))
		}
		binary.BigEndian.PutUint32(buf[at+1:], uint32(len(buf)-at-1))
		w.buf = buf
		err := w.full()
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *batchRows) copyOut(ctx context.Context, w *writer, st *style) (n int, err error) {
	var text []byte
	for {
		more, err := b.fill(ctx)
		if err != nil || !more {
			return n, err
		}
		for ; b.next < b.batch.Len(); b.next++ {
			text = text[:0]
			for i, t := range b.types {
				if i > 0 {
					text = append(text, '\t')
				}
				text = st.copyField(text, t, b.batch.Column(i), b.next)
			}
			w.copyLine(text)
			n++
			err := w.full()
			if err != nil {
				return n, err
			}
		}
	}
}

// copyField appends a value as COPY writes it: \N for NULL, and a backslash before what would end
// it.
func (st *style) copyField(to []byte, t record.Type, c *record.Column, i int) []byte {
	if c.Null(i) {
		return append(to, '\\', 'N')
	}
	if t == record.String {
		return appendCopy(to, string(c.View(i)))
	}
	if t == record.Bytes { // its text begins with a backslash
		to = append(to, '\\')
	}
	return st.appendText(to, t, c, i)
}

func appendCopy(to []byte, s string) []byte {
	for i := range len(s) {
		switch s[i] {
		case '\\':
			to = append(to, '\\', '\\')
		case '\n':
			to = append(to, '\\', 'n')
		case '\r':
			to = append(to, '\\', 'r')
		case '\t':
			to = append(to, '\\', 't')
		default:
			to = append(to, s[i])
		}
	}
	return to
}

// copyLine sends a line of COPY.
func (w *writer) copyLine(text []byte) {
	w.buf = append(w.buf, 'd', 0, 0, 0, 0)
	binary.BigEndian.PutUint32(w.buf[len(w.buf)-4:], uint32(len(text)+5))
	w.buf = append(w.buf, text...)
	w.buf = append(w.buf, '\n')
}

// memoryRows are the rows of the catalog and of commands.
type memoryRows struct {
	columns []column
	rows    [][]any
	text    func(value any, oid uint32) string // nil: the values are strings
	types   func() *pgtype.Map
	open    *atomic.Int64 // values of all results like this one; nil if they are not counted
	cells   int64         // the cells of this one
}

func (m *memoryRows) close() {
	if m.open != nil {
		m.open.Add(-m.cells)
	}
	m.rows, m.cells = nil, 0
}

func (m *memoryRows) textOf(v any, oid uint32) string {
	if m.text == nil {
		return v.(string)
	}
	return m.text(v, oid)
}

func (m *memoryRows) send(
	ctx context.Context, w *writer, _ *style, formats []int16, limit int,
) (n int, done bool, err error) {
	for len(m.rows) > 0 {
		if limit > 0 && n == limit {
			return n, false, nil
		}
		at := len(w.buf)
		buf := append(w.buf, 'D', 0, 0, 0, 0, byte(len(m.columns)>>8), byte(len(m.columns)))
		for i, v := range m.rows[0] {
			buf, err = m.field(buf, v, m.columns[i].oid, formatOf(formats, i))
			if err != nil {
				return n, false, err
			}
		}
		binary.BigEndian.PutUint32(buf[at+1:], uint32(len(buf)-at-1))
		w.buf = buf
		m.rows = m.rows[1:]
		n++
		if n&yieldRows == 0 {
			runtime.Gosched()
		}
		err = w.full()
		if err != nil {
			return n, false, err
		}
	}
	return n, limit == 0 || n < limit, ctx.Err()
}

func (m *memoryRows) field(to []byte, v any, oid uint32, format int16) ([]byte, error) {
	if v == nil {
		return append(to, 0xff, 0xff, 0xff, 0xff), nil
	}
	text := m.textOf(v, oid)
	value := []byte(text)
	n, isInt := v.(int64)
	if format == formatBinary && isInt && catalog.IsReg(oid) {
		to = binary.BigEndian.AppendUint32(to, 4)
		return binary.BigEndian.AppendUint32(to, uint32(n)), nil
	}
	if format == formatBinary && !catalog.TextLike(oid) {
		b, err := binaryOf(m.types(), oid, text)
		if err != nil {
			return nil, err
		}
		value = b
	}
	to = binary.BigEndian.AppendUint32(to, uint32(len(value)))
	return append(to, value...), nil
}

// binaryOf is the binary form of a value of the catalog, by way of its text.
func binaryOf(types *pgtype.Map, oid uint32, text string) ([]byte, error) {
	t, ok := types.TypeForOID(oid)
	if !ok {
		return nil, errorf(codeUnsupported, "type %d has no binary format here", oid).
			hint("Ask for the column in text format, or cast it to text.")
	}
	v, err := t.Codec.DecodeValue(types, oid, formatText, []byte(text))
	if err != nil {
		return nil, err
	}
	return types.Encode(oid, formatBinary, v, nil)
}

func (m *memoryRows) copyOut(_ context.Context, w *writer, _ *style) (n int, err error) {
	var text []byte
	for _, row := range m.rows {
		text = text[:0]
		for i, v := range row {
			if i > 0 {
				text = append(text, '\t')
			}
			if v == nil {
				text = append(text, '\\', 'N')
				continue
			}
			text = appendCopy(text, m.textOf(v, m.columns[i].oid))
		}
		w.copyLine(text)
		n++
		err = w.full()
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
