package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// Goal: at an epoch the groups come that have changed, no others, and a delete where HAVING lets a group through no more. Method: an epoch at a time.
func TestChanges(t *testing.T) {
	f, p := hitFeed(t, readers.FeedConfig{})
	pl, err := query.Compile(`SELECT key, count(*) AS n, sum(value) AS v FROM "`+p.Source.Name()+
		`" GROUP BY key HAVING sum(value) < 10 EMIT CHANGES`, p.Source)
	if err != nil {
		t.Fatal(err)
	}
	lane, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan []string, 10)
	e := start(t, engine.Config{
		Plan: pl, Readers: []record.Reader{f}, Partitions: 3, Cores: 1, NoPin: true, EpochInterval: -1,
		Writer: writers.Func(func(_ context.Context, b *record.Batch) error {
			got <- linesOf(b)
			return nil
		}),
	})
	for _, step := range []struct {
		send [][2]int64 // key and value
		want []string
	}{
		{[][2]int64{{1, 1}, {2, 2}, {1, 3}}, []string{"upsert 1 2 4", "upsert 2 1 2"}},
		{[][2]int64{{2, 2}}, []string{"upsert 2 2 4"}},
		{[][2]int64{{3, 11}, {1, 0}}, []string{"upsert 1 3 4"}}, // 3 has never been let through
		{[][2]int64{{2, 9}, {3, 1}}, []string{"delete 2 3 13"}},
		{[][2]int64{{2, 9}, {4, 1}}, []string{"upsert 4 1 1"}}, // no second delete
		{[][2]int64{{2, -20}}, []string{"upsert 2 5 2"}},
	} {
		for _, s := range step.send {
			if err := lane.Send(t.Context(), hit{Key: s[0], Value: s[1]}); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		var lines []string
		select {
		case lines = <-got:
		case <-time.After(time.Minute):
			t.Fatalf("after %v: nothing, expected %v", step.send, step.want)
		}
		slices.Sort(lines)
		if !slices.Equal(lines, step.want) {
			t.Fatalf("after %v: %v, expected %v", step.send, lines, step.want)
		}
	}
	if err := e.MoveShard(t.Context(), 7, 1); err != nil {
		t.Fatal(err)
	}
	lane.Close()
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// gated is a reader that gives half of its records, and the others when something has been written of them.
type gated struct {
	*timed
	written *atomic.Bool
}

func (g gated) Poll(b *record.Batch) error {
	if g.next >= g.most/2 && !g.written.Load() {
		return nil
	}
	return g.timed.Poll(b)
}

// Goal: applying all changes gives what a snapshot at the end has, in every shape and exchange, of windows too that have closed and gone; and writing the changes
// of an epoch gives no group twice. Method: random records in random order of time, epochs of 100 us, a writer that is slow now and then.
func TestChangesAddUp(t *testing.T) {
	most := sized(100_000) // microseconds of event time
	disordered, ordered := newTimed(50, time.Millisecond, most), newTimed(50, 0, most)
	for _, c := range []struct{ group, having string }{
		{"key", ""},
		{"key", " HAVING sum(value) % 3 <> 0"},
		{"", ""},
		{"key, tumble(at, INTERVAL '20 ms')", " HAVING count(*) < 40"},
		{"key, hop(at, INTERVAL '10 ms', INTERVAL '30 ms')", ""},
	} {
		for shape, exchange := range []plan.Exchange{
			plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeFold,
			plan.ExchangeRoute,
		} {
			text := "SELECT count(*) AS n, sum(value) AS v FROM timed"
			keys := 0
			if c.group != "" {
				text, keys = "SELECT key, count(*) AS n, sum(value) AS v FROM timed GROUP BY "+c.group, 1
			}
			if strings.Contains(c.group, "at") {
				text, keys = strings.Replace(text, "SELECT ", "SELECT window_end, ", 1), 2
			}
			finals, err := query.Compile(text+c.having, timedSchema)
			if err != nil {
				t.Fatal(err)
			}
			pl, err := query.Compile(text+c.having+" EMIT CHANGES", timedSchema)
			if err != nil {
				t.Fatal(err)
			}
			sources := func(written *atomic.Bool) []record.Reader {
				a, b := *disordered, *ordered
				a.at, b.at = make([]int64, record.DefaultRows), make([]int64, record.DefaultRows)
				return []record.Reader{gated{&a, written}, gated{&b, written}}
			}
			rng := rand.New(rand.NewPCG(1, uint64(shape)))
			state := map[string]string{}
			rows := 0
			var written, yes atomic.Bool
			yes.Store(true)
			run := func(p *plan.Plan, written *atomic.Bool, w record.Writer) *engine.Engine {
				if p.Window != nil {
					p.Window.OutOfOrder = time.Millisecond
				}
				e := start(t, engine.Config{
					Plan: p, Readers: sources(written), Partitions: 1 + shape, Cores: 1 + shape%2, NoPin: true,
					Exchange: exchange, EpochInterval: 100 * time.Microsecond, EpochShare: 1,
					BatchRows: 256, FoldBytes: 16 << 10, Writer: w,
				})
				if err := e.Wait(); err != nil {
					t.Fatal(err)
				}
				return e
			}
			e := run(pl, &written, writers.Func(func(_ context.Context, b *record.Batch) error {
				written.Store(true)
				if rng.IntN(10) == 0 {
					time.Sleep(time.Millisecond)
				}
				for _, line := range linesOf(b) {
					fields := strings.Fields(line)
					key := strings.Join(fields[1:1+keys], " ")
					rows++
					if fields[0] == plan.Delete {
						if _, ok := state[key]; !ok {
							t.Errorf("%s, %v: %s of a group that is not there", c.group, exchange, line)
						}
						delete(state, key)
						continue
					}
					state[key] = line[len(plan.Upsert)+1:]
				}
				return nil
			}))
			want := map[string]string{}
			run(finals, &yes, writers.Func(func(_ context.Context, b *record.Batch) error {
				for _, line := range linesOf(b) {
					want[strings.Join(strings.Fields(line)[:keys], " ")] = line
				}
				return nil
			}))
			if !maps.Equal(state, want) {
				t.Errorf("%s%s, %v: %d groups, expected %d: %v", c.group, c.having, exchange, len(state), len(want),
					firstDifference(state, want))
			}
			if st := e.Stats(); st.Output.Rows != uint64(rows) {
				t.Errorf("%s, %v: %d rows, %d counted", c.group, exchange, rows, st.Output.Rows)
			}
		}
	}
}

func firstDifference(a, b map[string]string) string {
	for k, v := range b {
		if a[k] != v {
			return fmt.Sprintf("%q is %q, expected %q", k, a[k], v)
		}
	}
	for k, v := range a {
		if _, ok := b[k]; !ok {
			return fmt.Sprintf("%q is %q, expected none", k, v)
		}
	}
	return ""
}
