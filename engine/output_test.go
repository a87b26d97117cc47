package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// rowsWriter keeps the rows that are written; before each batch it does something.
type rowsWriter struct {
	before func() error
	rows   []string
	closed int
}

func (w *rowsWriter) Write(ctx context.Context, b *record.Batch) error {
	if w.before != nil {
		if err := w.before(); err != nil {
			return err
		}
	}
	for i := range b.Len() {
		var row []string
		for c := range b.Schema().Len() {
			row = append(row, fmt.Sprint(b.Column(c).Int64s[i]))
		}
		w.rows = append(w.rows, strings.Join(row, " "))
	}
	return ctx.Err()
}
func (w *rowsWriter) Close() error { w.closed++; return nil }

// timedRows are the records that a timed reader gives.
func timedRows(r *timed) (at, key, value []int64) {
	for i := range r.most {
		k := int(i) & (len(r.keys) - 1)
		at = append(at, i*int64(time.Microsecond)-r.jitter[k])
		key, value = append(key, r.keys[k]), append(value, r.values[k])
	}
	return at, key, value
}

// Goal: each window is written once, whole, when it is closed, in order; a writer that is slow or
// fails now and then loses nothing. Method: against a sum row by row; windows of 500 us, so that
// many more are closed than may wait.
func TestWriter(t *testing.T) {
	for _, by := range []string{"tumble(at, INTERVAL '500 us')", "hop(at, INTERVAL '250 us', INTERVAL '750 us')"} {
		p, err := query.Compile("SELECT window_end, key, count(*) AS n, sum(value) AS v FROM timed GROUP BY key, "+by,
			timedSchema)
		if err != nil {
			t.Fatal(err)
		}
		p.Window.OutOfOrder = time.Millisecond
		c := window.NewClock(p.Window.Windows)
		const most = 1 << 18
		readers := []*timed{newTimed(5, time.Millisecond, most), newTimed(5, 0, most)}
		want := map[string]int{}
		sums := map[[2]int64][2]int64{}
		for _, r := range readers {
			at, key, value := timedRows(r)
			for i := range at {
				first := c.FirstEnd(c.Floor(at[i]))
				for end := first; end <= c.LastEnd(c.Floor(at[i])); end = c.NextEnd(end) {
					s := sums[[2]int64{end, key[i]}]
					sums[[2]int64{end, key[i]}] = [2]int64{s[0] + 1, s[1] + value[i]}
				}
			}
		}
		for id, s := range sums {
			want[fmt.Sprint(id[0], " ", id[1], " ", s[0], " ", s[1])]++
		}
		rng := rand.New(rand.NewPCG(1, 1))
		w := &rowsWriter{before: func() error {
			switch rng.IntN(20) {
			case 0:
				return record.Transient(errors.New("not now"))
			case 1:
				time.Sleep(2 * time.Millisecond)
			}
			return nil
		}}
		e := start(t, engine.Config{
			Plan: p, Partitions: 3, Cores: 2, NoPin: true, EpochInterval: 200 * time.Microsecond, EpochShare: 1,
			Writer: w, RetryMin: time.Microsecond,
			Readers: []record.Reader{readers[0], readers[1]},
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		var last int64 = -1 << 62
		for _, row := range w.rows {
			got[row]++
			var end int64
			if _, err := fmt.Sscan(row, &end); err != nil || end < last {
				t.Fatalf("%s behind a window that ends at %d: %v", row, last, err)
			}
			last = end
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %d rows, expected %d", by, len(got), len(want))
		}
		st := e.Stats()
		if st.Counters().Late > 0 || w.closed != 1 || st.Output.Rows != uint64(len(w.rows)) || st.Output.Retries == 0 ||
			st.Output.Windows == 0 {
			t.Errorf("%s: closed %d times, %+v, %d late", by, w.closed, st.Output, st.Counters().Late)
		}
	}
}

// Goal: a writer that fails for good, or panics, ends the plan with an error that says so; one that
// hangs is let go of by Close; without windows everything is written once, at the end, and not if
// the end is not the end of the input.
func TestWriterEnds(t *testing.T) {
	start := func(by string, w *rowsWriter, most int64) *engine.Engine {
		p := windowPlan(t, by)
		return start(t, engine.Config{
			Plan: p, Readers: []record.Reader{newTimed(10, 0, most)}, Partitions: 2, Cores: 1,
			NoPin: true, EpochInterval: time.Millisecond, Writer: w,
		})
	}
	bad := errors.New("the disk is full")
	if err := start("tumble", &rowsWriter{before: func() error {
		return bad
	}}, 1<<40).Wait(); !errors.Is(err, bad) || !strings.Contains(err.Error(), "writer") {
		t.Errorf("a writer that fails: %v", err)
	}
	if err := start("tumble", &rowsWriter{before: func() error {
		panic("oops")
	}}, 1<<40).Wait(); err == nil || !strings.Contains(err.Error(), "oops") {
		t.Errorf("a writer that panics: %v", err)
	}
	hangs := make(chan struct{})
	w := &rowsWriter{before: func() error { <-hangs; return nil }}
	e := start("tumble", w, 1<<40)
	time.Sleep(10 * time.Millisecond)
	time.AfterFunc(10*time.Millisecond, func() { close(hangs) })
	if err := e.Close(); err != nil || w.closed != 1 {
		t.Errorf("closed %d times: %v", w.closed, err)
	}
	w = &rowsWriter{}
	if err := start("none", w, 10_000).Wait(); err != nil || len(w.rows) != 10 {
		t.Errorf("%d rows without windows: %v", len(w.rows), err)
	}
	w = &rowsWriter{}
	e = start("none", w, 1<<40)
	if err := e.Shutdown(t.Context()); err != nil || len(w.rows) != 0 {
		t.Errorf("%d rows of a plan that was shut down: %v", len(w.rows), err)
	}
}

// Goal: a value of a result that is NULL because it does not fit is counted, and one that is NULL
// because no value was there is not. Method: a sum beyond 64 bits, alone, in an expression and
// beside one that fits; a division by zero of two aggregates.
func TestUnfit(t *testing.T) {
	p, err := query.Compile(`SELECT key, sum(value) AS s, sum(value) + 1 AS more, max(value) AS m, count(*) / min(value % 7) AS q, sum(value) FILTER (WHERE value < 0) AS none
		FROM events GROUP BY key`, schema)
	if err != nil {
		t.Fatal(err)
	}
	rows := [][2]int64{{1, math.MaxInt64}, {1, math.MaxInt64}, {2, 7}, {3, 1}}
	source := &testgen.ScriptedPoller{Step: func(_ int, b *record.Batch) error {
		for _, r := range rows {
			b.Add(0)
			b.SetInt64(0, r[0])
			b.SetInt64(1, r[1])
		}
		return io.EOF
	}}
	e := start(t, engine.Config{
		Plan: p, Readers: []record.Reader{source},
		Writer: writers.Func(func(context.Context, *record.Batch) error {
			return nil
		}),
	})
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	unfit, plainUnfit := 0, 0
	for b := range s.Batches(2) {
		unfit += b.Unfit()
	}
	// A result without computed columns is made in another way.
	plain, err := query.Compile(`SELECT key, sum(value) AS s FROM events GROUP BY key`, schema)
	if err != nil {
		t.Fatal(err)
	}
	again := &testgen.ScriptedPoller{Step: source.Step}
	e2 := start(t, engine.Config{Plan: plain, Readers: []record.Reader{again}})
	if err := e2.Wait(); err != nil {
		t.Fatal(err)
	}
	s2 := e2.Snapshot()
	defer s2.Close()
	for b := range s2.Batches(2) {
		plainUnfit += b.Unfit()
	}
	if plainUnfit != 1 {
		t.Errorf("%d values of the plain result do not fit, expected 1", plainUnfit)
	}
	// Of key 1 the sum, what is computed from it, and the division: 9223372036854775807 is divided
	// by 7. Of key 2 the division.
	if want := 4; unfit != want {
		t.Errorf("%d values do not fit, expected %d", unfit, want)
	}
	if n := e.Stats().Output.Unfit; n != uint64(unfit) {
		t.Errorf("Stats have %d, expected %d", n, unfit)
	}
}
