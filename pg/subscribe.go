package pg

import (
	"context"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/pg/catalog"
)

// How often SUBSCRIBE looks for changes: every subscribeEvery, but so that comparing takes a tenth
// of the time at most.
const (
	subscribeEvery = 200 * time.Millisecond
	subscribeShare = 10
)

// fetchWait is how long FETCH from a SUBSCRIBE waits for a first change.
const fetchWait = time.Second

// subscribe is SUBSCRIBE view, as in Materialize: the rows of the view, and then what changes, with
// the time of the cut and 1 for a row that has come or -1 for one that has gone.
func (c *session) subscribe(t []catalog.Token) (*prepared, error) {
	rest := t[1:]
	if rest[0].Is("to") {
		rest = rest[1:]
	}
	n := catalog.Name{}
	if rest[0].Kind == catalog.Word || rest[0].Kind == catalog.Quoted {
		n.Name = rest[0].Text
		rest = rest[1:]
	}
	if rest[0].Is(".") && rest[1].Kind != catalog.End {
		n = catalog.Name{Schema: n.Name, Name: rest[1].Text}
		rest = rest[2:]
	}
	if rest[0].Kind != catalog.End || n.Name == "" {
		return nil, unexpected(rest[0])
	}
	views := c.server.config.Source.Views()
	if !isView(n, views) {
		return nil, errorf(codeUndefinedTable, "there is no view %q", n).at(t[1].Pos).hint("SHOW VIEWS lists them.")
	}
	var columns []column
	for _, v := range views {
		if v.Name == n.Name {
			columns = columnsOf(v.Schema)
		}
	}
	columns = append(
		[]column{{name: "velo_time", oid: oidTimestamptz, mod: -1}, {name: "velo_diff", oid: oidInt8, mod: -1}},
		columns...)
	return &prepared{columns: columns, run: func(context.Context, []any) (*result, error) {
		f := &feed{session: c, sql: "SELECT * FROM " + quoted(n.Name), columns: columns, have: map[string]int64{}}
		return &result{columns: columns, rows: f, tag: "SUBSCRIBE", count: true}, nil
	}}, nil
}

// quoted is a name in quotes.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// A feed is the changes of a view. It compares the rows of one cut with the rows of the cut before:
// a row is its values as text, so that it works for views without keys, too.
type feed struct {
	session *session
	sql     string
	columns []column
	have    map[string]int64 // how often each row is there
	pending []change
	held    int64         // bytes of have, as they are counted in the server
	cost    time.Duration // of the last comparison
	next    time.Time     // when to look again
}

// A change is a row that has come or gone.
type change struct {
	us   int64 // when, in microseconds
	diff int64
	row  string // as fields of a DataRow
}

// rowOverhead is about what a row takes beside its bytes.
const rowOverhead = 64

func (f *feed) close() {
	f.session.server.subscribed.Add(-f.held)
	f.have, f.pending, f.held = nil, nil, 0
}

// hold counts what the rows of the next comparison take; the rows of the last are held as well.
func (f *feed) hold(bytes int64) error {
	if bytes <= f.held {
		return nil
	}
	all := f.session.server.subscribed.Add(bytes - f.held)
	f.held = bytes
	if most := f.session.server.limits.Subscribed; all > most {
		return errorf(codeOutOfMemory, "the rows that all SUBSCRIBE compare with have more than %d MiB", most>>20).
			hint("Subscribe to views with fewer rows.")
	}
	return nil
}

// look reads the view and finds what has changed.
func (f *feed) look(ctx context.Context) error {
	began := time.Now()
	r, err := f.session.server.config.Source.Begin()
	if err != nil {
		return err
	}
	rows, err := r.Select(ctx, f.sql)
	r.Close()
	if err != nil {
		return err
	}
	b := newBatchRows(rows)
	defer b.close()
	if !slices.Equal(columnsOf(rows.Schema()), f.columns[2:]) { // its job was replaced
		return errorf(codeUnsupported, "the view has other columns now").hint("SUBSCRIBE again.")
	}
	now := map[string]int64{}
	us := began.UnixMicro()
	var buf []byte
	bytes := int64(0)
	for {
		more, err := b.fill(ctx)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		for ; b.next < b.batch.Len(); b.next++ {
			buf = buf[:0]
			for i, t := range b.types {
				buf = f.session.style.field(buf, t, b.batch.Column(i), b.next, formatText)
			}
			now[string(buf)]++
			if now[string(buf)] == 1 {
				bytes += int64(len(buf)) + rowOverhead
			}
		}
		err = f.hold(bytes)
		if err != nil {
			return err
		}
	}
	for row, n := range f.have {
		if d := now[row] - n; d < 0 {
			f.pending = append(f.pending, change{us, d, row})
		}
	}
	for row, n := range now {
		if d := n - f.have[row]; d > 0 {
			f.pending = append(f.pending, change{us, d, row})
		}
	}
	f.have = now
	f.cost = time.Since(began)
	f.next = time.Now().Add(max(subscribeEvery, subscribeShare*f.cost))
	return nil
}

// wait waits until there is a change. It returns false if there is none up to a time.
func (f *feed) wait(ctx context.Context, until time.Time) (bool, error) {
	for len(f.pending) == 0 {
		at := f.next
		if !until.IsZero() && until.Before(at) {
			at = until
		}
		select {
		case <-time.After(time.Until(at)):
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		if !until.IsZero() && !time.Now().Before(until) && time.Now().Before(f.next) {
			return false, nil
		}
		err := f.look(ctx)
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// send gives what has changed: up to limit changes, or the changes of one comparison. It waits a
// while for a first one. A feed has no end.
func (f *feed) send(
	ctx context.Context,
	w *writer,
	st *style,
	formats []int16,
	limit int,
) (n int, done bool, err error) {
	for _, format := range formats {
		if format != formatText {
			return 0, false, errorf(codeUnsupported, "SUBSCRIBE gives rows in text format")
		}
	}
	some, err := f.wait(ctx, time.Now().Add(fetchWait))
	if err != nil || !some {
		return 0, false, err
	}
	for n < len(f.pending) && (limit == 0 || n < limit) {
		c := f.pending[n]
		at := len(w.buf)
		buf := append(w.buf, 'D', 0, 0, 0, 0, byte(len(f.columns)>>8), byte(len(f.columns)))
		buf = appendText(buf, st.appendTime(nil, c.us))
		buf = appendText(buf, strconv.AppendInt(nil, c.diff, 10))
		buf = append(buf, c.row...)
		binary.BigEndian.PutUint32(buf[at+1:], uint32(len(buf)-at-1))
		w.buf = buf
		n++
		err = w.full()
		if err != nil {
			return n, false, err
		}
	}
	f.pending = f.pending[n:]
	return n, false, nil
}

// appendText appends a field of a DataRow.
func appendText(to, text []byte) []byte {
	to = binary.BigEndian.AppendUint32(to, uint32(len(text)))
	return append(to, text...)
}

// copyOut sends changes until the statement is cancelled.
func (f *feed) copyOut(ctx context.Context, w *writer, st *style) (n int, err error) {
	for {
		_, err = f.wait(ctx, time.Time{})
		if err != nil {
			return n, err
		}
		for _, c := range f.pending {
			line := st.appendTime(nil, c.us)
			line = append(line, '\t')
			line = strconv.AppendInt(line, c.diff, 10)
			line = copyFields(line, c.row)
			w.copyLine(line)
			n++
			err = w.full()
			if err != nil {
				return n, err
			}
		}
		f.pending = nil
		err = w.flush()
		if err != nil {
			return n, err
		}
	}
}

// copyFields appends the fields of a DataRow as COPY writes them.
func copyFields(to []byte, row string) []byte {
	for len(row) > 0 {
		to = append(to, '\t')
		size := int32(binary.BigEndian.Uint32([]byte(row[:4])))
		row = row[4:]
		if size < 0 {
			to = append(to, '\\', 'N')
			continue
		}
		to = appendCopy(to, row[:size])
		row = row[size:]
	}
	return to
}
