package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/aggregate"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// Functions of users, some of which are built in too: those are their twins.
type (
	userSum     struct{ sum, n int64 }
	userLongest struct {
		n    uint16
		text [100]byte // the longest text, and of those of the same length the least
		some bool
	}
	userLast struct {
		last int64
		some bool
	}
)

func init() {
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[userSum, int64, int64]{
		Name:   "user_sum",
		Add:    func(s *userSum, v int64) { s.sum += v; s.n++ },
		Merge:  func(into, from *userSum) { into.sum += from.sum; into.n += from.n },
		Result: func(s userSum) (int64, bool) { return s.sum, s.n > 0 },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[[2]float64, float64, float64]{
		Name:   "user_mean",
		Add:    func(s *[2]float64, v float64) { s[0] += v; s[1]++ },
		Merge:  func(into, from *[2]float64) { into[0] += from[0]; into[1] += from[1] },
		Result: func(s [2]float64) (float64, bool) { return s[0] / s[1], s[1] > 0 },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[userLongest, string, int64]{
		Name: "user_longest",
		Add:  func(s *userLongest, v string) { s.add(v) },
		Merge: func(into, from *userLongest) {
			if from.some {
				into.add(string(from.text[:from.n]))
			}
		},
		Result: func(s userLongest) (int64, bool) { return int64(s.n), s.some },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[userLast, time.Time, time.Time]{
		Name: "user_last",
		Add:  func(s *userLast, v time.Time) { s.add(v.UnixNano()) },
		Merge: func(into, from *userLast) {
			if from.some {
				into.add(from.last)
			}
		},
		Result: func(s userLast) (time.Time, bool) { return time.Unix(0, s.last), s.some },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[userSum, int64, int64]{
		Name: "user_panic",
		Add: func(s *userSum, v int64) {
			if v == 777 {
				panic("a bug in Add")
			}
		},
		Merge:  func(into, from *userSum) {},
		Result: func(s userSum) (int64, bool) { return 0, true },
	}))
}

func (s *userLast) add(at int64) {
	if !s.some || at > s.last {
		s.last, s.some = at, true
	}
}

func (s *userLongest) add(v string) {
	v = v[:min(len(v), len(s.text))]
	if !s.some || len(v) > int(s.n) || len(v) == int(s.n) && v < string(s.text[:s.n]) {
		s.n, s.some = uint16(copy(s.text[:], v)), true
	}
}

// Goal: functions of users give what their twins give, however the records get to the groups, with windows, filters and values that are NULL.
func TestUserAggregates(t *testing.T) {
	for _, c := range []struct{ mine, twin string }{
		{
			`SELECT key, user_sum(value) AS a, user_mean(value) AS b, user_last(at) AS c FROM timed GROUP BY key`,
			`SELECT key, sum(value) AS a, avg(value) AS b, max(at) AS c FROM timed GROUP BY key`,
		},
		{
			`SELECT user_sum(value) FILTER (WHERE value % 3 = 1) AS a, count(*) AS n, user_sum(value) AS all FROM timed`,
			`SELECT sum(value) FILTER (WHERE value % 3 = 1) AS a, count(*) AS n, sum(value) AS all FROM timed`,
		},
		{
			`SELECT window_start, key % 5 AS k, user_sum(nullif(value % 10, 3)) AS a FROM timed GROUP BY key % 5, hop(at, INTERVAL '1 s', INTERVAL '3 s')`,
			`SELECT window_start, key % 5 AS k, sum(nullif(value % 10, 3)) AS a FROM timed GROUP BY key % 5, hop(at, INTERVAL '1 s', INTERVAL '3 s')`,
		},
		{
			`SELECT key, user_longest(cast(value AS text)) AS a FROM timed GROUP BY key HAVING user_sum(value) > 1000`,
			`SELECT key, max(length(cast(value AS text))) AS a FROM timed GROUP BY key HAVING sum(value) > 1000`,
		},
		{
			`SELECT key % 7 AS k, user_sum(value) AS a, user_mean(value) AS b, count(DISTINCT value % 5) AS d FROM timed GROUP BY key % 7`,
			`SELECT key % 7 AS k, sum(value) AS a, avg(value) AS b, count(DISTINCT value % 5) AS d FROM timed GROUP BY key % 7`,
		},
		{
			`SELECT user_sum(value) AS a, count(*) AS n FROM timed WHERE value < 0`,
			`SELECT sum(value) AS a, count(*) AS n FROM timed WHERE value < 0`,
		},
	} {
		run := func(text string, exchange plan.Exchange, partitions int) []string {
			p, err := query.Compile(text, timedSchema)
			if err != nil {
				t.Fatal(err)
			}
			if p.Window != nil {
				p.Window.OutOfOrder = 500 * time.Millisecond
			}
			var out collected
			e := start(t, engine.Config{
				Plan: p, Writer: &out, Partitions: partitions, Cores: 2, NoPin: true, Exchange: exchange,
				EpochInterval: time.Millisecond,
				Readers: []record.Reader{
					newTimed(500, 100*time.Millisecond, sized(20_000)), newTimed(50, 100*time.Millisecond, sized(20_000)),
				},
			})
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			return out.sorted()
		}
		want := run(c.twin, plan.ExchangeAuto, 1)
		for _, exchange := range []plan.Exchange{plan.ExchangeFold, plan.ExchangeDirect, plan.ExchangeRoute} {
			if got := run(c.mine, exchange, 3); !slices.Equal(got, want) || len(got) == 0 {
				t.Errorf("%v: %s: %d lines, expected %d", exchange, c.mine, len(got), len(want))
				for i := range min(len(got), len(want)) {
					if got[i] != want[i] {
						t.Errorf("%q, expected %q", got[i], want[i])
						break
					}
				}
			}
		}
	}
}

// Goal: a panic in a user's function ends the engine with an error that names it, and not the process; what cannot be called is refused with the place.
func TestUserAggregateFaults(t *testing.T) {
	p, err := query.Compile(`SELECT key, user_panic(value) AS a FROM timed GROUP BY key`, timedSchema)
	if err != nil {
		t.Fatal(err)
	}
	e := start(t, engine.Config{
		Plan: p, NoPin: true, Readers: []record.Reader{newTimed(10, 0, 1<<40)},
	})
	if err := e.Wait(); err == nil || !strings.Contains(err.Error(), "a bug in Add") {
		t.Errorf("%v", err)
	}
	for text, want := range map[string]string{
		`SELECT user_sum(DISTINCT value) FROM timed`:      "user_sum(DISTINCT ...) is not there",
		`SELECT user_sum(value, key) FROM timed`:          "user_sum of 2 arguments, expected 1",
		`SELECT user_sum(at) FROM timed`:                  "user_sum(timestamp) is not defined, expected bigint",
		`SELECT user_sun(value) FROM timed`:               `there is no function "user_sun"`,
		`SELECT user_sum(value ORDER BY key) FROM timed`:  "does not depend on an order",
		`SELECT key FROM timed WHERE user_sum(value) > 3`: "user_sum",
	} {
		if _, err := query.Compile(text, timedSchema); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected %q, got %v", text, want, err)
		}
	}
	for _, name := range []string{"sum", "lower", "user_sum"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is registered twice", name)
				}
			}()
			query.RegisterAggregate(aggregate.Must(aggregate.Spec[userSum, int64, int64]{
				Name: name, Add: func(*userSum, int64) {}, Merge: func(_, _ *userSum) {},
				Result: func(userSum) (int64, bool) { return 0, false },
			}))
		}()
	}
}

// Goal: a state is gone on with by the same function, and refused by another version of it.
func TestUserAggregateState(t *testing.T) {
	dir := t.TempDir()
	run := func(version uint32) error {
		f := aggregate.Must(aggregate.Spec[userSum, int64, int64]{
			Name: "kept_sum", Version: version,
			Add:    func(s *userSum, v int64) { s.sum += v; s.n++ },
			Merge:  func(into, from *userSum) { into.sum += from.sum; into.n += from.n },
			Result: func(s userSum) (int64, bool) { return s.sum, s.n > 0 },
		})
		p := &plan.Plan{Source: readers.GeneratorSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{
			{Name: "twin", Func: plan.Sum, Column: "value"}, {Name: "sum", User: f, Column: "value"},
		}}
		g, err := readers.NewGenerator(readers.GeneratorConfig{Seed: 1, Groups: 100, Readers: 1, Records: 10_000})
		if err != nil {
			return err
		}
		e, err := engine.Start(t.Context(), engine.Config{
			Plan: p, Readers: []record.Reader{g}, State: engine.Dir(dir), NoPin: true,
		})
		if err != nil {
			return err
		}
		defer e.Close()
		if err := e.Wait(); err != nil {
			return err
		}
		twin, err1 := result.ColumnOf[int64](p, "twin")
		sum, err2 := result.ColumnOf[int64](p, "sum")
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		s := e.Snapshot()
		defer s.Close()
		n := 0
		for row := range s.All() {
			if sum.Of(row) != twin.Of(row) {
				return fmt.Errorf("a sum is %d, expected %d", sum.Of(row), twin.Of(row))
			}
			n++
		}
		if n < 50 {
			return fmt.Errorf("%d groups", n)
		}
		return nil
	}
	if err := run(1); err != nil {
		t.Fatal(err)
	}
	if err := run(2); !errors.Is(err, engine.ErrOtherPlan) || !strings.Contains(err.Error(), "kept_sum version 1") {
		t.Errorf("another version: %v", err)
	}
	if err := run(1); err != nil {
		t.Errorf("the same version: %v", err)
	}
}
