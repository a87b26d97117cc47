package velocli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// maxSubqueryBytes bounds the texts in the rows of a query in an expression.
const maxSubqueryBytes = 64 << 20

// subqueries computes the queries in the expressions of a text, before the text is compiled: from
// the files that the text reads, or from others.
type subqueries struct {
	pace *pace
	say  io.Writer
	// others are the files that only such queries read.
	others []*files
}

// errSubquery wraps what went wrong in a query in an expression.
type errSubquery struct{ error }

func (e errSubquery) Unwrap() error { return e.error }

// openSubqueries opens the files that only the queries in expressions of a text read.
func (in *input) openSubqueries(f *files, sql string, pace *pace, say io.Writer) error {
	names, err := query.SubqueryStreams(sql)
	if err != nil {
		return err
	}
	f.sub = &subqueries{pace: pace, say: say}
	for _, name := range names {
		if name == f.name {
			continue
		}
		if name == stdinName || name == stdinFile {
			return errors.New("a subquery reads standard input, and the query does not: write it the other way round")
		}
		own := *in
		own.Follow = false
		other, err := own.open(name, nil)
		if err == nil && other.pipe {
			err = fmt.Errorf("a subquery reads %s, which is no file", name)
		}
		if err == nil {
			err = other.choose(sql)
		}
		if err == nil && other.nested != nil {
			err = other.addNested(mentionsPath(sql))
		}
		if err != nil {
			if other != nil {
				other.remove()
			}
			return err
		}
		other.remove()
		f.sub.others = append(f.sub.others, other)
	}
	return nil
}

// querySources are the schemas that the queries of a text may read.
func (f *files) querySources() []*record.Schema {
	var all []*record.Schema
	if !f.none {
		all = append(all, f.schema)
	}
	for _, o := range f.sub.others {
		all = append(all, o.schema)
	}
	return all
}

// subquery computes the plan of a query in an expression. errAgain says that columns whose types
// were guessed have been widened.
func (f *files) subquery(p *plan.Plan) ([]*record.Batch, error) {
	if err := f.sub.pace.set(p, false); err != nil {
		return nil, errSubquery{err}
	}
	of := f
	name := p.Innermost().Source.Name()
	for _, o := range f.sub.others {
		if o.name == name {
			of = o
		}
	}
	switch {
	case p.Innermost().Given != nil:
		of = newNoSource()
		of.given = p.Innermost()
	case of.follow:
		return nil, errSubquery{fmt.Errorf("--follow: a subquery is computed once, and %s has no end", name)}
	case len(of.paths) == 0:
		return nil, errSubquery{fmt.Errorf("%s can be read only once, and a subquery is computed before the query: "+
			"name a file", of.streamName())}
	}
	own := *of // a copy, because readers notes in it which reader has which file
	rs, err := own.readers(runtime.NumCPU())
	if err != nil {
		return nil, errSubquery{err}
	}
	w, err := own.compute(p, rs, of)
	switch {
	case err == nil:
		return w.all, nil
	case errors.Is(err, errAgain):
		return nil, err
	}
	return nil, errSubquery{explain(err)}
}

// compute runs a plan, and returns its rows.
func (f *files) compute(p *plan.Plan, rs []record.Reader, of *files) (*rowKeeper, error) {
	var widening *widening
	if of.again() {
		widening = newWidening(of)
	}
	var rejected error
	w := &rowKeeper{}
	e, err := engine.Start(context.Background(), engine.Config{
		Readers: rs, EpochInterval: -1, Plans: []engine.PlanConfig{{Plan: p, Writer: writerOf(p, w)}},
		OnReject: func(reader int, r record.Reject) {
			file, where := f.place(reader, r)
			if !widening.takes(file+", "+where, r.Reason) && rejected == nil {
				rejected = fmt.Errorf("%s, %s: %w; a subquery is computed from all records, or not at all", file, where,
					r.Reason)
			}
		},
	})
	if err != nil {
		return nil, errors.Join(err, closeAll(rs))
	}
	defer e.Close()
	read := widening.ends(e)
	err = e.Wait()
	read()
	switch {
	case widening.some() && (err == nil || errors.Is(err, errAgain)):
		if err := widening.widen(of.sayTo()); err != nil {
			return nil, err
		}
		return nil, errAgain
	case err != nil:
		return nil, err
	case rejected != nil:
		return nil, rejected
	case writerOf(p, w) != nil:
		return w, nil
	}
	s := e.Snapshot()
	defer s.Close()
	for b := range s.Of(p).Batches(record.DefaultRows) {
		if err := w.Write(context.Background(), b); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// writerOf is the writer that an engine gets for a plan; nil if the result is read at the end.
func writerOf(p *plan.Plan, w record.Writer) record.Writer {
	if flows(p) {
		return w
	}
	return nil
}

// sayTo is where messages about the files go.
func (f *files) sayTo() io.Writer {
	if f.sub == nil {
		return io.Discard
	}
	return f.sub.say
}

// rowKeeper keeps copies of what it gets.
type rowKeeper struct {
	all   []*record.Batch
	bytes int
}

// Write copies a batch.
func (w *rowKeeper) Write(_ context.Context, b *record.Batch) error {
	rows := make([]int32, b.Len())
	for i := range rows {
		rows[i] = int32(i)
		for c := range b.Schema().Len() {
			if col := b.Column(c); col.Views != nil && !col.Null(i) {
				w.bytes += int(col.Views[i].Len)
			}
		}
	}
	if w.bytes > maxSubqueryBytes {
		return fmt.Errorf("the texts of its rows have more than %d MiB", maxSubqueryBytes>>20)
	}
	w.all = append(w.all, b.CopyRows(rows))
	return nil
}

// Close does nothing.
func (*rowKeeper) Close() error { return nil }

// newNoSource are the files of queries that have their records in their text.
func newNoSource() *files { return &files{name: query.NoSource, none: true, remove: func() {}} }

// give notes the records that the queries have in their text. All queries of a text read the same.
func (f *files) give(plans []*plan.Plan) error {
	if !f.none {
		return nil
	}
	f.given = plans[0].Innermost()
	f.schema = f.given.Source
	for _, p := range plans[1:] {
		if p.Innermost().Source != f.schema {
			return errors.New("several queries with VALUES: ask for one alone")
		}
	}
	return nil
}

// givenReaders read the records that a query has in its text.
func givenReaders(p *plan.Plan) ([]record.Reader, error) {
	r, err := readers.NewMemory(p.Source, p.Given, 1)
	return []record.Reader{r}, err
}
