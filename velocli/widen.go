package velocli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// A guessed type is not final. If a value of files at rest does not fit, its column gets the next
// type that fits all values seen so far, and the query begins again. So no record is lost because
// the type of a column was guessed. Each time at least one column is widened, and a column can be
// widened only as often as there are types, so the number of passes is bounded. A pass that will be
// repeated reads on for as long as it took to find that out, so that columns that fail close
// together are widened together.
//
// Output that was printed cannot be taken back. If a query prints rows as they come, up to
// heldBytes of them are held back. Before more is printed, the files are read once to check that
// all values fit.

const (
	// heldBytes is how much output is held back before the files are checked: most queries with
	// filters and limits print less.
	heldBytes = 1 << 20

	// readOnLeast is how long a pass that will be repeated reads on at least.
	readOnLeast = 20 * time.Millisecond
)

// errAgain says that columns were widened and the query has to begin again.
var errAgain = errors.New("columns were widened")

// misfit is the first value that did not fit a column.
type misfit struct {
	column *guess
	was    record.Field
	where  string
	reason error
}

// widening collects, during one pass, the values that do not fit guessed columns.
type widening struct {
	files *files
	begun time.Time
	first chan struct{} // closed when there is a misfit

	mu      sync.Mutex
	misfits []misfit // the first one of each column
}

func newWidening(f *files) *widening {
	return &widening{files: f, begun: time.Now(), first: make(chan struct{})}
}

// again says whether the files can be read again: they are at rest, and the types of their columns
// are guessed.
func (f *files) again() bool {
	return f.guessed != nil && !f.follow && f.stdin == nil && !slices.ContainsFunc(f.paths, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || !info.Mode().IsRegular()
	})
}

// takes says whether a record is set aside only because of a guess. If so, it notes what the value
// says about the column.
func (w *widening) takes(where string, reason error) bool {
	var e *readers.ValueError
	if w == nil || !errors.As(reason, &e) {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.files
	i := slices.IndexFunc(f.guessed, func(c *guess) bool { return c.name == e.Column })
	if i < 0 {
		return false
	}
	c := f.guessed[i]
	was := c.column(f.allSeen)
	place := func() string { return where }
	switch {
	case e.Value == "":
		c.empty = true
	case f.format == formatNDJSON:
		f.guesser.seeJSON(c, []byte(e.Value), place)
	default:
		f.guesser.narrow(c, e.Value, place)
	}
	if slices.ContainsFunc(w.misfits, func(m misfit) bool { return m.column == c }) {
		return true
	}
	if c.column(f.allSeen) == was {
		if was.Type == record.String {
			return false
		}
		// The guesser accepts the value although the reader does not: only text is sure to fit.
		c.narrow(e.Value, place, func(record.Type) bool { return false })
	}
	if len(w.misfits) == 0 {
		close(w.first)
	}
	w.misfits = append(w.misfits, misfit{c, was, where, e.Err})
	return true
}

// some says whether there were values that did not fit. It is called after the pass has ended.
func (w *widening) some() bool { return w != nil && len(w.misfits) > 0 }

// ends makes a pass end some time after the first value that does not fit. The function that it
// returns must be called when the pass has ended by itself.
func (w *widening) ends(eng *engine.Engine) (ended func()) {
	if w == nil {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-w.first:
		case <-done:
			return
		}
		select {
		case <-time.After(max(time.Since(w.begun), readOnLeast)):
			_ = eng.Shutdown(context.Background()) // Wait reports what went wrong
		case <-done:
		}
	}()
	return func() { close(done) }
}

// widen makes the schema from what is known now, and says what has changed.
func (w *widening) widen(say io.Writer) error {
	for _, m := range w.misfits {
		now := m.column.column(w.files.allSeen)
		what := fmt.Sprintf("%v", now.Type)
		if now.Type == m.was.Type {
			what = "may be NULL"
		}
		note(say, fmt.Sprintf("velo: %s: column %q: %v; it was guessed to be %v and is %s now, reading again; "+
			"--schema declares columns, without a guess",
			m.where, m.was.Name, m.reason, m.was.Type, what))
	}
	return w.files.makeSchema()
}

// check reads the columns of the files that the plan reads, and returns errAgain if values do not
// fit. What cannot be read is left for the engine to report.
func (w *widening) check(n int, plans []*plan.Plan) error {
	own := *w.files // a copy, because readers notes in it which reader has which file
	rs, err := own.readers(n)
	if err != nil {
		return err
	}
	begun, stop, done := time.Now(), make(chan struct{}), make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-w.first:
			<-time.After(max(time.Since(begun), readOnLeast))
			close(stop)
		case <-done:
		}
	}()
	var all sync.WaitGroup
	read := engine.ColumnsRead(plans...)
	for i, r := range rs {
		if p, ok := r.(record.Projector); ok {
			p.Columns(read)
		}
		all.Go(func() {
			w.checkReader(&own, i, r, stop)
			_ = r.Close()
		})
	}
	all.Wait()
	if len(w.misfits) > 0 {
		return errAgain
	}
	return nil
}

// checkReader reads everything that a reader has.
func (w *widening) checkReader(f *files, i int, r record.Reader, stop <-chan struct{}) {
	b := record.NewBatch(f.schema, 0)
	for {
		b.Reset()
		err := r.Read(context.Background(), b)
		for _, j := range b.Rejects() {
			if lines, ok := r.(interface {
				Line(offset int64) (int64, error)
			}); ok && j.Line == 0 {
				j.Line, _ = lines.Line(j.Offset)
			}
			file, where := f.place(i, j)
			w.takes(file+", "+where, j.Reason)
		}
		select {
		case <-stop:
			return
		default:
		}
		if err != nil {
			return
		}
	}
}

// held holds output back until it is certain that it need not be taken back.
type held struct {
	to      io.Writer
	buffer  bytes.Buffer
	through bool // nothing is held back any more
	printed bool // something was given out
	check   func() error
}

// Write takes output.
func (h *held) Write(b []byte) (int, error) {
	if h.through {
		h.printed = true
		return h.to.Write(b)
	}
	if h.buffer.Write(b); h.buffer.Len() > heldBytes {
		if err := h.check(); err != nil {
			return 0, err
		}
		if err := h.release(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// release gives out what was held back.
func (h *held) release() error {
	h.through, h.printed = true, h.printed || h.buffer.Len() > 0
	_, err := h.buffer.WriteTo(h.to)
	return err
}

// assume compiles a query with other types for columns that have no value, as in a file that has
// only names: any type fits them. It returns nil if that does not help.
func (f *files) assume(sql string) []*plan.Plan {
	const most = 4 // columns, so that there are at most 256 ways
	types := []record.Type{record.String, record.Int64, record.Timestamp, record.Bool}
	var free []*guess
	for _, c := range f.guessed {
		if !c.some && mentions(sql, c.name) && len(free) < most {
			free = append(free, c)
		}
	}
	was := f.schema
	ways := 1
	for range free {
		ways *= len(types)
	}
	for way := 1; way < ways; way++ {
		for i, rest := 0, way; i < len(free); i++ {
			free[i].assumed = types[rest%len(types)]
			rest /= len(types)
		}
		if f.makeSchema() == nil {
			if plans, err := f.compileAll(sql); err == nil {
				return plans
			}
		}
	}
	for _, c := range free {
		c.assumed = record.String
	}
	f.schema = was
	return nil
}

// compileAll compiles the queries over the columns as they are known now.
func (f *files) compileAll(sql string) ([]*plan.Plan, error) {
	for {
		plans, err := query.Catalog{
			Sources: f.querySources(), Tables: f.tables, Subquery: f.subquery,
		}.CompileAll(sql)
		if !errors.Is(err, errAgain) {
			return plans, err
		}
	}
}

// compile compiles the query over what is known about the files.

func (f *files) compile(sql string, pace *pace) ([]*plan.Plan, error) {
	plans, err := f.compileAll(sql)
	if of := (errSubquery{}); errors.As(err, &of) {
		return nil, err
	}
	if err != nil {
		plans = f.assume(sql)
	}
	if plans == nil {
		return nil, f.because(sql, err)
	}
	if err := f.give(plans); err != nil {
		return nil, err
	}
	for _, p := range plans {
		if err := pace.set(p, f.follow); err != nil {
			return nil, err
		}
	}
	return plans, nil
}
