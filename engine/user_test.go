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

type (
	userWeighted struct{ sum, weight float64 }
	userTail     struct {
		at   int64
		n    uint8
		text [40]byte
	}
)

// add takes a text if it is of a later time; of several texts of one time it takes the greatest.
func (s *userTail) add(text string, at int64) {
	text = text[:min(len(text), len(s.text))]
	if s.n == 0 || at > s.at || at == s.at && text > string(s.text[:s.n]) {
		s.at, s.n = at, uint8(copy(s.text[:], text))
	}
}

func init() {
	weighted := aggregate.Spec2[userWeighted, float64, float64, float64]{
		Name:   "user_weighted",
		Add:    func(s *userWeighted, v, w float64) { s.sum += v * w; s.weight += w },
		Merge:  func(into, from *userWeighted) { into.sum += from.sum; into.weight += from.weight },
		Result: func(s userWeighted) (float64, bool) { return s.sum / s.weight, s.weight != 0 },
	}
	query.RegisterAggregate(aggregate.Must(weighted))
	weighted.Name = "user_weighted_all"
	weighted.AddAll = func(s *userWeighted, v, w []float64) {
		for i := range v {
			s.sum += v[i] * w[i]
			s.weight += w[i]
		}
	}
	query.RegisterAggregate(aggregate.Must(weighted))
	sum := aggregate.Spec[userSum, int64, int64]{
		Name: "user_sum_all",
		Add:  func(s *userSum, v int64) { s.sum += v; s.n++ },
		AddAll: func(s *userSum, all []int64) {
			for _, v := range all {
				s.sum += v
			}
			s.n += int64(len(all))
		},
		Merge:  func(into, from *userSum) { into.sum += from.sum; into.n += from.n },
		Result: func(s userSum) (int64, bool) { return s.sum, s.n > 0 },
	}
	query.RegisterAggregate(aggregate.Must(sum))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec2[userTail, string, time.Time, string]{
		Name: "user_tail",
		Add:  func(s *userTail, text string, at time.Time) { s.add(text, at.UnixNano()) },
		Merge: func(into, from *userTail) {
			if from.n > 0 {
				into.add(string(from.text[:from.n]), from.at)
			}
		},
		Result: func(s userTail) (string, bool) { return string(s.text[:s.n]), s.n > 0 },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec2[userSum, time.Time, string, int64]{
		Name: "user_bytes", // of the second texts
		Add:  func(s *userSum, _ time.Time, text string) { s.sum += int64(len(text)); s.n++ },
		AddAll: func(s *userSum, _ []time.Time, texts []string) {
			for _, text := range texts {
				s.sum += int64(len(text))
				s.n++
			}
		},
		Merge:  func(into, from *userSum) { into.sum += from.sum; into.n += from.n },
		Result: func(s userSum) (int64, bool) { return s.sum, s.n > 0 },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[userLongest, string, string]{
		Name: "user_longest_text",
		Add:  func(s *userLongest, v string) { s.add(v) },
		AddAll: func(s *userLongest, all []string) {
			for _, v := range all {
				s.add(v)
			}
		},
		Merge: func(into, from *userLongest) {
			if from.some {
				into.add(string(from.text[:from.n]))
			}
		},
		Result: func(s userLongest) (string, bool) { return string(s.text[:s.n]), s.some },
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
		{
			`SELECT key, user_weighted(value % 10, key % 3) AS a, user_weighted_all(value % 10, nullif(key % 3, 1)) AS b FROM timed GROUP BY key`,
			`SELECT key, sum((value % 10) * (key % 3)) / nullif(sum(key % 3)::float8, 0) AS a, sum((value % 10) * (key % 3)) FILTER (WHERE key % 3 <> 1) / nullif((sum(key % 3) FILTER (WHERE key % 3 <> 1))::float8, 0) AS b FROM timed GROUP BY key`,
		},
		{
			`SELECT user_sum_all(value) AS a, user_sum_all(nullif(value % 10, 3)) AS b, user_weighted_all(value, 2) FILTER (WHERE value < 500) AS c FROM timed`,
			`SELECT sum(value) AS a, sum(nullif(value % 10, 3)) AS b, avg(value) FILTER (WHERE value < 500) AS c FROM timed`,
		},
		{
			`SELECT key, user_tail(cast(value AS text), at) AS a, user_bytes(at, nullif(cast(value AS text), '7')) AS b, user_sum_all(value) AS c FROM timed GROUP BY key`,
			`SELECT key, max_by(cast(value AS text), at) AS a, sum(length(nullif(cast(value AS text), '7'))) AS b, sum(value) AS c FROM timed GROUP BY key`,
		},
		{
			`SELECT window_start, upper(user_longest_text('v' || value)) AS a FROM timed WHERE value > 990 GROUP BY hop(at, INTERVAL '1 s', INTERVAL '3 s') HAVING user_longest_text('v' || value) > 'v'`,
			`SELECT window_start, upper(min('v' || value)) AS a FROM timed WHERE value > 990 GROUP BY hop(at, INTERVAL '1 s', INTERVAL '3 s')`,
		},
		{
			`SELECT user_longest_text(cast(value AS text)) AS a, user_tail('x', at) AS b, count(DISTINCT key) AS n FROM timed WHERE value < 0`,
			`SELECT min(cast(value AS text)) AS a, min('x') AS b, count(DISTINCT key) AS n FROM timed WHERE value < 0`,
		},
		{
			`SELECT key % 3 AS k, user_tail(cast(value AS text), at) AS a, user_sum_all(value) AS c, user_longest_text('v' || value) AS d FROM timed WHERE value > 990 GROUP BY GROUPING SETS ((key % 3), ())`,
			`SELECT key % 3 AS k, max_by(cast(value AS text), at) AS a, sum(value) AS c, min('v' || value) AS d FROM timed WHERE value > 990 GROUP BY GROUPING SETS ((key % 3), ())`,
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
		`SELECT user_weighted(value) FROM timed`:          "user_weighted of 1 arguments, expected 2",
		`SELECT user_tail(value, at) FROM timed`:          "user_tail(bigint, timestamp) is not defined, expected text, timestamp",
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
