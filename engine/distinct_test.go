package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// Goal: the different values of each window are counted once, those that come up in several of its panes and readers too, for every exchange, and read the same by Get, All, Batches and
// Partition. Method: sets of values, record by record.
func TestDistinctWindows(t *testing.T) {
	const most = 30_000
	proto := newTimed(5, time.Millisecond, most)
	for i := range proto.values {
		proto.values[i] %= 40
	}
	for _, by := range []string{
		"key", "key, tumble(at, INTERVAL '5 ms')",
		"key, hop(at, INTERVAL '2 ms', INTERVAL '6 ms')",
	} {
		pl := func() *plan.Plan {
			end := ""
			if by != "key" {
				end = "window_end, "
			}
			p, err := query.Compile("SELECT "+end+
				"key, count(DISTINCT value) AS d, count(*) AS n, sum(value) AS v FROM timed GROUP BY "+by+
				" HAVING count(*) > 0", timedSchema)
			if err != nil {
				t.Fatal(err)
			}
			if p.Window != nil {
				p.Window.OutOfOrder, p.Window.Retain = time.Millisecond, plan.MaxRetain
			}
			return p
		}
		p := pl()
		type group struct {
			values map[int64]bool
			n, sum int64
		}
		want := map[[2]int64]*group{}
		at, key, value := timedRows(proto)
		for i := range at {
			ends := []int64{0}
			if p.Window != nil {
				c := window.NewClock(p.Window.Windows)
				ends = nil
				for end := c.FirstEnd(c.Floor(at[i])); end <= c.LastEnd(c.Floor(at[i])); end = c.NextEnd(end) {
					ends = append(ends, end)
				}
			}
			for _, end := range ends {
				g := want[[2]int64{end, key[i]}]
				if g == nil {
					g = &group{values: map[int64]bool{}}
					want[[2]int64{end, key[i]}] = g
				}
				g.values[value[i]] = true
				g.n += 2 // two readers bring the same
				g.sum += 2 * value[i]
			}
		}
		lines := map[string]int{}
		for id, g := range want {
			lines[fmt.Sprint(id[0], id[1], len(g.values), g.n, g.sum)]++
		}
		for shape, exchange := range []plan.Exchange{
			plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeFold,
			plan.ExchangeRoute,
		} {
			p := pl()
			cfg := engine.Config{
				Plan: p, Partitions: 1 + shape, Cores: 1 + shape%2, NoPin: true, Exchange: exchange,
				EpochInterval: time.Millisecond, FoldBytes: 16 << 10, BatchRows: 300,
			}
			for range 2 {
				r := *proto
				r.at = make([]int64, record.DefaultRows)
				cfg.Readers = append(cfg.Readers, &r)
			}
			if shape == 3 {
				cfg.Route.Routing = plan.RouteAligned // the same pairs in several partitions
			}
			e := start(t, cfg)
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			s := e.Snapshot()
			if got := groupLines(t, p, s); !maps.Equal(got, lines) || s.Len() != len(lines) {
				t.Errorf("%s, %v: %d groups, Len says %d, expected %d", by, exchange, len(got), s.Len(), len(lines))
			}
			batches := 0
			for b := range s.Batches(7) {
				batches += b.Len()
			}
			if batches != len(lines) {
				t.Errorf("%s, %v: batches of %d groups, expected %d", by, exchange, batches, len(lines))
			}
			s.Close()
		}
	}
}

// groupLines are the groups of a snapshot, each found by its key too.
func groupLines(t *testing.T, p *plan.Plan, s *engine.Snapshot) map[string]int {
	t.Helper()
	column := func(name string) result.Column[int64] {
		c, err := result.ColumnOf[int64](p, name)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	key, d, n, v := column("key"), column("d"), column("n"), column("v")
	lines := map[string]int{}
	for row := range s.All() {
		end := int64(0)
		values := []any{key.Of(row)}
		if p.Window != nil {
			end = column(plan.WindowEnd).Of(row)
			values = append([]any{time.Unix(0, end)}, values...)
		}
		lines[fmt.Sprint(end, key.Of(row), d.Of(row), n.Of(row), v.Of(row))]++
		k, err := p.Key(values...)
		if err != nil {
			t.Fatal(err)
		}
		if found, ok := s.Get(k); !ok || found != row {
			t.Errorf("%v is not found", values)
		}
	}
	return lines
}

// Goal: Get allocates nothing where groups have been made of pairs or of panes. Method: every plan that makes some, read once before it is measured.
func TestGetOfMergedAllocates(t *testing.T) {
	for _, text := range []string{
		"SELECT key, count(DISTINCT value) AS d FROM timed GROUP BY key",
		"SELECT window_end, key, count(DISTINCT value) AS d FROM timed GROUP BY key, tumble(at, INTERVAL '50 ms')",
		"SELECT window_end, key, count(DISTINCT value) AS d FROM timed GROUP BY key, hop(at, INTERVAL '1 ms', " +
			"INTERVAL '12 ms')",
		"SELECT window_end, key, count(*) AS n FROM timed GROUP BY key, hop(at, INTERVAL '1 ms', INTERVAL '12 ms')",
		"SELECT window_end, key, count(*) AS n FROM timed GROUP BY key, session(at, INTERVAL '10 ms')",
	} {
		p, err := query.Compile(text, timedSchema)
		if err != nil {
			t.Fatal(err)
		}
		for _, routing := range []plan.Routing{plan.RouteAuto, plan.RouteAligned} {
			if routing == plan.RouteAligned && p.Window != nil && p.Window.Kind == plan.Session {
				continue
			}
			e := start(t, engine.Config{
				Plan: p, Readers: []record.Reader{newTimed(5, 0, 30_000)}, Partitions: 7,
				Cores: 1, NoPin: true, Route: plan.Route{Routing: routing},
			})
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			s := e.Snapshot()
			key, _ := result.ColumnOf[int64](p, "key")
			gets := 0
			for row := range s.All() {
				values := []any{key.Of(row)}
				if p.Window != nil {
					end, _ := result.ColumnOf[int64](p, plan.WindowEnd)
					values = append([]any{time.Unix(0, end.Of(row))}, values...)
				}
				k, err := p.Key(values...)
				if err != nil {
					t.Fatal(err)
				}
				gets++
				if n := testing.AllocsPerRun(2, func() { s.Get(k) }); n > 0 {
					t.Errorf("%s, %v: %v allocations for a Get", text, routing, n)
					break
				}
			}
			if gets == 0 {
				t.Errorf("%s: there is no group", text)
			}
			s.Close()
		}
	}
}

// Goal: any number of goroutines read one snapshot of different values, and others, while records come and slots are used again: all read the same of it, and no group of a later one has fewer values. Method: an
// epoch each 100 us, readers that read a snapshot by twos and hold it for a while, for routes that scatter too.
func TestDistinctWhileRecordsCome(t *testing.T) {
	for _, c := range []struct {
		by      string
		routing plan.Routing
	}{
		{"key", plan.RouteAuto},
		{"key", plan.RouteAligned},
		{"key, hop(at, INTERVAL '1 ms', INTERVAL '3 ms')", plan.RouteAligned},
	} {
		end := ""
		if c.by != "key" {
			end = "window_end, "
		}
		p, err := query.Compile("SELECT "+end+"key, count(DISTINCT value) AS d FROM timed GROUP BY "+c.by+
			" HAVING count(DISTINCT value) > 0", timedSchema)
		if err != nil {
			t.Fatal(err)
		}
		cfg := engine.Config{
			Plan: p, Partitions: 3, Cores: 1, NoPin: true, EpochInterval: 100 * time.Microsecond,
			EpochShare: 1, HeldSnapshots: 3, BatchRows: 100, Route: plan.Route{Routing: c.routing},
		}
		for range 2 {
			cfg.Readers = append(cfg.Readers, newTimed(20, time.Millisecond, 50_000))
		}
		e := start(t, cfg)
		key, _ := result.ColumnOf[int64](p, "key")
		d, _ := result.ColumnOf[int64](p, "d")
		read := func(s *engine.Snapshot) (sum int64, err error) {
			n := 0
			for row := range s.All() {
				sum += d.Of(row)
				n++
				if p.Window == nil {
					k, err := p.Key(key.Of(row))
					if err != nil {
						return 0, err
					}
					if found, ok := s.Get(k); !ok || found != row {
						return 0, fmt.Errorf("group %d is not found", key.Of(row))
					}
				}
			}
			if n != s.Len() {
				return 0, fmt.Errorf("%d groups, Len says %d", n, s.Len())
			}
			return sum, nil
		}
		done := make(chan struct{})
		var workers sync.WaitGroup
		for range 3 {
			workers.Go(func() {
				last := int64(0)
				for ended := false; !ended; {
					select {
					case <-done:
						ended = true
					default:
					}
					s := e.Snapshot()
					var other int64
					var errs [2]error
					var pair sync.WaitGroup
					pair.Go(func() { other, errs[1] = read(s) })
					sum, err := read(s)
					errs[0] = err
					pair.Wait()
					again, err := read(s)
					s.Close()
					if err := errors.Join(errs[0], errs[1], err); err != nil {
						t.Errorf("%s, %v: %v", c.by, c.routing, err)
						return
					}
					if sum != other || sum != again || p.Window == nil && sum < last {
						t.Errorf("%s, %v: %d values, another read %d, and again %d; %d before", c.by, c.routing, sum,
							other, again, last)
						return
					}
					last = sum
				}
			})
		}
		if err := e.Wait(); err != nil {
			t.Error(err)
		}
		close(done)
		workers.Wait()
	}
}
