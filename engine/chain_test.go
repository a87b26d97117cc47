package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// chained compiles a query over a query.
func chained(t testing.TB, text string) *plan.Plan {
	t.Helper()
	p, err := query.Compile(text, timedSchema)
	if err != nil {
		t.Fatal(err)
	}
	if w := p.Innermost().Window; w != nil {
		w.OutOfOrder = 500 * time.Millisecond
	}
	return p
}

// Goal: a query over the result of another has what the two give one after the other, whatever the shape. Method: the inner query alone, whose rows are the records of a second
// engine; windows of windows, groups of groups, filters, the best of each window, three levels.
func TestChainTwin(t *testing.T) {
	most := sized(20_000)
	source := func() []record.Reader {
		return []record.Reader{
			newTimed(100, 100*time.Millisecond, most), testgen.OnlyRead(newTimed(70, 100*time.Millisecond, most)),
		}
	}
	const minutes = `SELECT window_end AS at, key, sum(value) AS value, count(*) AS n FROM timed GROUP BY key, tumble(at, INTERVAL '100 ms')`
	for _, c := range []struct{ inner, outer string }{
		{`SELECT key, count(*) AS n FROM timed GROUP BY key`, `SELECT n, count(*) AS keys FROM %s GROUP BY n`},
		{`SELECT key, value FROM timed WHERE value % 3 = 1`, `SELECT key %% 7 AS k, max(value) AS m FROM %s GROUP BY key %% 7`},
		{minutes, `SELECT window_start, max(value) AS m, count(*) AS n FROM %s GROUP BY tumble(at, INTERVAL '1 s')`},
		{minutes + ` ORDER BY value DESC, key LIMIT 3`, `SELECT key, count(*) AS times FROM %s GROUP BY key`},
		{minutes, `SELECT at, key, value FROM %s WHERE n > 2`},
		{`SELECT count(*) AS n FROM timed`, `SELECT n * 2 AS twice FROM %s`},
	} {
		var rows passedOn
		inner := chained(t, c.inner)
		e := start(t, engine.Config{Plan: inner, Readers: source(), Writer: &rows, Partitions: 1, NoPin: true})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		if len(rows.batches) == 0 {
			t.Fatalf("%s: no rows", c.inner)
		}
		outer, err := query.Compile(fmt.Sprintf(c.outer, "x"), named(t, rows.batches[0].Schema(), "x"))
		if err != nil {
			t.Fatal(err)
		}
		var want collected
		e = start(t, engine.Config{
			Plan: outer, Readers: []record.Reader{&testgen.BatchLender{Batches: rows.batches}}, Writer: &want, NoPin: true,
			Partitions: 1,
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, shape := range []struct{ partitions, cores, rows int }{{1, 1, 0}, {3, 2, 100}} {
			var got collected
			e := start(t, engine.Config{
				Plan: chained(t, fmt.Sprintf(c.outer, "("+c.inner+") AS x")), Readers: source(), Writer: &got,
				Partitions: shape.partitions, Cores: shape.cores, BatchRows: shape.rows, NoPin: true,
				EpochInterval: time.Millisecond,
			})
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.sorted(), want.sorted()) || len(want.lines) == 0 {
				t.Errorf("%+v: %s over %s: %d lines, expected %d", shape, c.outer, c.inner, len(got.lines), len(want.lines))
			}
			if st := e.Stats(); st.From == nil || st.From.Counters().In != 2*uint64(most) {
				t.Errorf("Stats says of the inner plan: %v", st.From)
			}
		}
	}
}

// Goal: a set operation has the rows of its SELECTs, each of which sees every record, whatever the
// shape; Stats says that each record was read once. Method: UNION ALL of records, groups and
// windows is compared with the rows of each SELECT alone, and UNION, INTERSECT and EXCEPT with sets
// made of these.
func TestCombineTwin(t *testing.T) {
	most := sized(20_000)
	source := func() []record.Reader {
		return []record.Reader{
			newTimed(100, 100*time.Millisecond, most), testgen.OnlyRead(newTimed(70, 100*time.Millisecond, most)),
		}
	}
	run := func(text string, partitions, cores, rows int) *collected {
		p := chained(t, text)
		for _, leaf := range p.Leaves() {
			if leaf.Window != nil {
				leaf.Window.OutOfOrder = 500 * time.Millisecond
			}
		}
		var got collected
		e := start(t, engine.Config{
			Plan: p, Readers: source(), Writer: &got, Partitions: partitions, Cores: cores, BatchRows: rows,
			NoPin: true, EpochInterval: time.Millisecond,
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		if st := e.Stats(); st.From != nil {
			read := uint64(0)
			for _, r := range st.From.Readers {
				read += r.In
			}
			if read != 2*uint64(most) {
				t.Errorf("%s: %d records were read, expected %d", text, read, 2*most)
			}
		}
		return &got
	}
	arms := []string{
		`SELECT key AS a, value AS b FROM timed WHERE value % 3 = 1`,
		`SELECT key AS a, count(*) AS b FROM timed GROUP BY key`,
		`SELECT key AS a, sum(value) AS b FROM timed GROUP BY key, tumble(at, INTERVAL '100 ms')`,
	}
	alone := make([][]string, len(arms))
	for i, arm := range arms {
		alone[i] = run(arm, 1, 1, 0).sorted()
		if len(alone[i]) == 0 {
			t.Fatalf("%s: no rows", arm)
		}
	}
	distinct := func(lines ...string) []string {
		slices.Sort(lines)
		return slices.Compact(lines)
	}
	in := func(set int, negated bool) func(string) bool {
		return func(line string) bool { return slices.Contains(alone[set], line) == negated }
	}
	for _, c := range []struct {
		text string
		want []string
	}{
		{arms[0] + " UNION ALL " + arms[1] + " UNION ALL " + arms[2], slices.Concat(alone...)},
		{arms[0] + " UNION " + arms[2], distinct(slices.Concat(alone[0], alone[2])...)},
		{arms[0] + " INTERSECT " + arms[1], slices.DeleteFunc(distinct(slices.Clone(alone[0])...), in(1, false))},
		{arms[0] + " EXCEPT " + arms[1], slices.DeleteFunc(distinct(slices.Clone(alone[0])...), in(1, true))},
	} {
		slices.Sort(c.want)
		for _, shape := range []struct{ partitions, cores, rows int }{{1, 1, 0}, {3, 2, 100}} {
			if got := run(c.text, shape.partitions, shape.cores, shape.rows).sorted(); !slices.Equal(got, c.want) {
				t.Errorf("%+v: %s: %d lines, expected %d", shape, c.text, len(got), len(c.want))
			}
		}
	}
}

// Goal: a set operation ends as a chain does: a LIMIT that is reached stops the readers, Close ends
// all of it, a reader that fails says so, and results that do not fit each other are refused.
// Method: SELECTs of records and of groups, over readers without an end and over one that fails.
func TestCombineEnds(t *testing.T) {
	const text = `SELECT key FROM timed WHERE value % 2 = 0 UNION ALL SELECT value FROM timed`
	endless := func() []record.Reader { return []record.Reader{newTimed(50, 0, 1<<40)} }
	var out collected
	e := start(t, engine.Config{Plan: chained(t, text+" LIMIT 7"), Readers: endless(), NoPin: true, Writer: &out})
	if err := e.Wait(); err != nil || len(out.lines) != 7 {
		t.Errorf("LIMIT 7: %d lines, %v", len(out.lines), err)
	}
	e = start(t, engine.Config{Plan: chained(t, text), Readers: endless(), NoPin: true, Writer: &collected{}})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := e.Wait(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Close: %v", err)
	}
	broken := errors.New("the line is cut")
	failing := &testgen.ScriptedPoller{Step: func(call int, b *record.Batch) error {
		if call == 3 {
			return broken
		}
		return nil
	}}
	e = start(t, engine.Config{
		Plan:    chained(t, `SELECT key FROM timed EXCEPT SELECT count(*) FROM timed`),
		Readers: []record.Reader{failing}, NoPin: true,
	})
	if err := e.Wait(); !errors.Is(err, broken) {
		t.Errorf("a reader that fails: %v", err)
	}
	for want, more := range map[string]string{
		"1 columns and 2":        `SELECT key, value FROM timed`,
		"reads the result":       `SELECT n FROM (SELECT count(*) AS n FROM timed)`,
		"emits changes":          `SELECT key, count(*) AS n FROM timed GROUP BY key EMIT CHANGES`,
		"column 0 is {key":       `SELECT at FROM timed`,
		"at most 64 are allowed": "",
	} {
		p := chained(t, text)
		switch {
		case more != "":
			p.FromMore[0] = chained(t, more)
		default:
			for len(p.FromMore) < engine.MaxPlans {
				p.FromMore = append(p.FromMore, p.FromMore[0])
			}
		}
		cfg := engine.Config{Plan: p, Readers: []record.Reader{ends(1, 1)}}
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected %q, got %v", want, err)
		}
	}
}

// passedOn is a writer that keeps copies of the batches.
type passedOn struct{ batches []*record.Batch }

func (p *passedOn) Write(_ context.Context, b *record.Batch) error {
	all := make([]int32, b.Len())
	for i := range all {
		all[i] = int32(i)
	}
	p.batches = append(p.batches, b.CopyRows(all))
	return nil
}

func (p *passedOn) Close() error { return nil }

// named is a schema by another name.
func named(t *testing.T, s *record.Schema, name string) *record.Schema {
	var fields []record.Field
	for i := range s.Len() {
		fields = append(fields, s.Field(i))
	}
	of, err := record.NewSchema(name, fields...)
	if err != nil {
		t.Fatal(err)
	}
	return of
}

// Goal: a chain ends as one: Shutdown gives what had been read, Close ends both, a LIMIT that is reached stops the readers, and a reader or a writer that fails says so.
func TestChainEnds(t *testing.T) {
	const text = `SELECT count(*) AS keys, sum(n) AS n FROM (SELECT key, count(*) AS n FROM timed GROUP BY key)`
	endless := func() []record.Reader { return []record.Reader{newTimed(50, 0, 1<<40)} }
	t.Run("shutdown", func(t *testing.T) {
		p := chained(t, text)
		e := start(t, engine.Config{Plan: p, Readers: endless(), NoPin: true})
		eventually(t, "records are read", func() bool { return e.Stats().From.Counters().In > 1000 })
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		n, err := result.ColumnOf[int64](p, "n")
		if err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		defer s.Close()
		row, ok := s.Get(plan.Key{})
		if in := e.Stats().From.Counters().In; !ok || uint64(n.Of(row)) != 0 && uint64(n.Of(row)) != in {
			t.Errorf("%d records are in the result, %d were read", n.Of(row), in)
		}
	})
	t.Run("close", func(t *testing.T) {
		e := start(t, engine.Config{Plan: chained(t, text), Readers: endless(), NoPin: true})
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if err := e.Wait(); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
	t.Run("limit", func(t *testing.T) {
		var out collected
		e := start(t, engine.Config{
			Plan:    chained(t, `SELECT key FROM (SELECT key, value FROM timed WHERE value % 2 = 0) LIMIT 7`),
			Readers: endless(), NoPin: true, Writer: &out,
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		if len(out.lines) != 7 {
			t.Errorf("%d lines, expected 7", len(out.lines))
		}
	})
	t.Run("failures", func(t *testing.T) {
		broken := errors.New("the line is cut")
		failing := &testgen.ScriptedPoller{Step: func(call int, b *record.Batch) error {
			if call == 3 {
				return broken
			}
			return nil
		}}
		e := start(t, engine.Config{
			Plan: chained(t, text), Readers: []record.Reader{failing}, NoPin: true,
		})
		if err := e.Wait(); !errors.Is(err, broken) || !strings.Contains(err.Error(), "result of") {
			t.Errorf("a reader that fails: %v", err)
		}
		out := collected{fail: broken, lines: []string{"some"}}
		e = start(t, engine.Config{
			Plan: chained(t, text), Readers: []record.Reader{newTimed(10, 0, 1000)}, NoPin: true, Writer: &out,
		})
		if err := e.Wait(); !errors.Is(err, broken) {
			t.Errorf("a writer that fails: %v", err)
		}
	})
	t.Run("faults", func(t *testing.T) {
		p, q := chained(t, text), chained(t, text)
		changes, err := query.Compile(`SELECT key, count(*) AS n FROM timed GROUP BY key EMIT CHANGES`, timedSchema)
		if err != nil {
			t.Fatal(err)
		}
		other := sumPlan()
		other.From = changes
		for want, cfg := range map[string]engine.Config{
			"keeps no State": {Plan: p, State: engine.Dir(t.TempDir())},
			"several plans":  {Plans: []engine.PlanConfig{{Plan: p}, {Plan: q}}},
			"has no Route":   {Plan: p, Route: plan.Route{Routing: plan.RouteRoundRobin}},
			"emits changes":  {Plan: other},
		} {
			cfg.Readers = []record.Reader{ends(1, 1)}
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("expected %q, got %v", want, err)
			}
		}
	})
}

// Goal: windows of windows close while records come; a reader that is removed is one of the inner plan.
func TestChainSync(t *testing.T) {
	p := chained(t, `SELECT window_start, max(n) AS n FROM (SELECT window_end AS at, key, count(*) AS n FROM timed GROUP BY key, tumble(at, INTERVAL '1 ms')) GROUP BY tumble(at, INTERVAL '10 ms')`)
	e := start(t, engine.Config{Plan: p, Readers: []record.Reader{newTimed(10, 0, 1<<40)}, NoPin: true, EpochInterval: time.Millisecond})
	eventually(t, "a window of windows has closed", func() bool {
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		defer s.Close()
		_, ok := s.Closed()
		return ok && s.Records() > 1000
	})
	if id, err := e.AddReader(t.Context(), newTimed(10, 0, 100)); err != nil || id != 1 {
		t.Errorf("reader %d is added: %v", id, err)
	}
	if err := e.RemoveReader(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if err := e.Wait(); err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}
