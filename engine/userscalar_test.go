package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/aggregate"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/scalar"
)

func init() {
	query.RegisterFunction(scalar.Must(scalar.Spec[int64, int64]{
		Name: "my_twice", Row: func(v int64) (int64, error) { return 2 * v, nil },
	}))
	query.RegisterFunction(scalar.Must(scalar.Spec2[string, int64, string]{
		Name: "my_cut", Append: func(to []byte, s string, n int64) ([]byte, error) {
			if n < 0 {
				return to, scalar.Null
			}
			return append(to, s[:min(n, int64(len(s)))]...), nil
		},
	}))
	query.RegisterFunction(scalar.Must(scalar.Spec[time.Time, time.Time]{
		Name: "my_hour", Row: func(v time.Time) (time.Time, error) { return v.Truncate(time.Hour), nil },
	}))
	query.RegisterFunction(scalar.Must(scalar.Spec[record.Decimal, float64]{
		Name: "my_half", Row: func(v record.Decimal) (float64, error) { return float64(v.Unscaled) / 2, nil },
	}))
	query.RegisterFunction(scalar.Must(scalar.Spec2[int64, record.Decimal, record.Decimal]{
		Name: "my_price", Scale: 3, Row: func(n int64, each record.Decimal) (record.Decimal, error) {
			if n >= 5 && n <= 13 {
				return record.Decimal{Unscaled: 5, Scale: 6}, nil // more digits than Scale
			}
			return record.Decimal{Unscaled: n * each.Unscaled, Scale: each.Scale}, nil
		},
	}))
	query.RegisterFunction(scalar.Must(scalar.Spec[float64, bool]{
		Name: "my_large", NotNull: true, Optional: func(v *float64) (bool, error) { return v != nil && *v > 5, nil },
	}))
	query.RegisterFunction(scalar.Must(scalar.Spec[int64, int64]{
		Name: "my_odd", Row: func(v int64) (int64, error) {
			if v%2 == 0 {
				return 0, fmt.Errorf("%d is even", v)
			}
			return v, nil
		},
	}))
	query.RegisterFunction(scalar.Must(scalar.Spec[int64, int64]{
		Name: "my_panic", Row: func(v int64) (int64, error) { return 100 / (v - 7), nil },
	}))
	query.RegisterFunction(scalar.Must(scalar.Spec[int64, int64]{
		Name: "my_slow", Row: func(v int64) (int64, error) { return v, spin(50 * time.Microsecond) },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[userSum, int64, int64]{
		Name:   "user_slow",
		Add:    func(s *userSum, v int64) { s.sum += v; _ = spin(50 * time.Microsecond) },
		Merge:  func(into, from *userSum) { into.sum += from.sum },
		Result: func(s userSum) (int64, bool) { return s.sum, true },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[userSum, int64, int64]{
		Name:   "my_panic_result",
		Add:    func(s *userSum, v int64) { s.sum += v },
		Merge:  func(into, from *userSum) { into.sum += from.sum },
		Result: func(s userSum) (int64, bool) { panic("a bug in Result") },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[userSum, int64, int64]{
		Name:   "my_panic_add",
		Add:    func(*userSum, int64) { panic("a bug in Add") },
		Merge:  func(into, from *userSum) { into.sum += from.sum },
		Result: func(s userSum) (int64, bool) { return s.sum, true },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[userSum, int64, int64]{
		Name:   "my_panic_merge",
		Add:    func(s *userSum, v int64) { s.sum += v },
		Merge:  func(_, _ *userSum) { panic("a bug in Merge") },
		Result: func(s userSum) (int64, bool) { return s.sum, true },
	}))
}

// spin takes some time.
func spin(d time.Duration) error {
	for begin := time.Now(); time.Since(begin) < d; {
	}
	return nil
}

// Goal: scalar functions of users may stand wherever an expression may, and give what their twins give.
func TestUserFunctions(t *testing.T) {
	for _, c := range []struct{ mine, twin string }{
		{
			`SELECT my_twice(key) AS k, sum(my_twice(value)) AS s FROM timed WHERE my_twice(value) > 6 GROUP BY my_twice(key)`,
			`SELECT key * 2 AS k, sum(value * 2) AS s FROM timed WHERE value * 2 > 6 GROUP BY key * 2`,
		},
		{
			`SELECT my_cut(cast(value AS text), key % 3) AS k, count(*) AS n FROM timed GROUP BY my_cut(cast(value AS text), key % 3)`,
			`SELECT left(cast(value AS text), key % 3) AS k, count(*) AS n FROM timed GROUP BY left(cast(value AS text), key % 3)`,
		},
		{
			`SELECT key, my_twice(sum(value)) AS s, my_twice(my_twice(3)) AS c FROM timed GROUP BY key HAVING my_large(count(*)) ORDER BY my_twice(key) DESC LIMIT 5`,
			`SELECT key, sum(value) * 2 AS s, 12 AS c FROM timed GROUP BY key HAVING count(*) > 5 ORDER BY key DESC LIMIT 5`,
		},
		{
			`SELECT my_hour(at) AS h, my_half(cast(value AS decimal(18,0))) AS f, value FROM timed WHERE value % 50 = 0 AND my_large(nullif(value, 100))`,
			`SELECT date_trunc('hour', at) AS h, value / 2.0::double precision AS f, value FROM timed WHERE value % 50 = 0 AND value > 5 AND value <> 100`,
		},
		{
			`SELECT key, my_price(value, 1.25) AS p, sum(my_price(value, 1.25)) AS s, count(*) AS n FROM timed
				WHERE my_price(value, 0.5) > 20.5 GROUP BY key, my_price(value, 1.25)
				HAVING my_price(count(*) + 100, 1.5) > 151.5`,
			`SELECT key, cast(value * 1.25 AS decimal(18,3)) AS p, sum(cast(value * 1.25 AS decimal(18,3))) AS s,
				count(*) AS n FROM timed WHERE value > 41 GROUP BY key, value HAVING count(*) > 1`,
		},
		{
			`SELECT window_start, sum(value) AS s FROM timed GROUP BY tumble(my_hour(at), INTERVAL '1 h')`,
			`SELECT window_start, sum(value) AS s FROM timed GROUP BY tumble(at, INTERVAL '1 h')`,
		},
		{
			`SELECT key, value, row_number() OVER (PARTITION BY key ORDER BY my_twice(value), at) AS r FROM timed WHERE my_twice(value) = 6 ORDER BY 1, 2, 3`,
			`SELECT key, value, row_number() OVER (PARTITION BY key ORDER BY value, at) AS r FROM timed WHERE value = 3 ORDER BY 1, 2, 3`,
		},
		{
			`SELECT key, count(DISTINCT my_twice(value)) AS d, median(my_twice(value)) AS m, max(k) AS k FROM (SELECT key, value, my_cut('abc', key % 3) AS k FROM timed WHERE my_twice(value) > 10) GROUP BY key`,
			`SELECT key, count(DISTINCT value) AS d, median(value * 2) AS m, max(k) AS k FROM (SELECT key, value, left('abc', key % 3) AS k FROM timed WHERE value > 5) GROUP BY key`,
		},
		{
			`SELECT sum(CASE WHEN value % 2 = 1 THEN my_odd(value) END) AS a, count(try(my_odd(value))) AS n, sum(CASE WHEN value <> 7 THEN my_panic(value) END) AS p FROM timed`,
			`SELECT sum(CASE WHEN value % 2 = 1 THEN value END) AS a, sum(value % 2) AS n, sum(CASE WHEN value <> 7 THEN 100 / (value - 7) END) AS p FROM timed`,
		},
	} {
		run := func(text string, cores int) []string {
			p, err := query.Compile(text, timedSchema)
			if err != nil {
				t.Fatal(err)
			}
			var out collected
			e := start(t, engine.Config{
				Plan: p, Writer: &out, Partitions: cores, Cores: cores, NoPin: true,
				Readers: []record.Reader{newTimed(50, 0, 5_000), newTimed(20, 0, 5_000)},
			})
			if err := e.Wait(); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			return out.sorted()
		}
		want := run(c.twin, 1)
		if got := run(c.mine, 2); !slices.Equal(got, want) || len(got) == 0 {
			t.Errorf("%s: %d lines, expected %d: %.300v, expected %.300v", c.mine, len(got), len(want), got, want)
		}
	}
}

// Goal: an error of a function sets the record aside with the arguments; a panic ends the plan and says for what,
// unless the record does not count.
func TestUserFunctionFaults(t *testing.T) {
	even, small := uint64(0), uint64(0)
	for _, v := range newTimed(10, 100*time.Millisecond, 1_000).values[:1_000] {
		if v < 10 && v%2 == 0 {
			even++
		}
		if v >= 5 && v <= 13 {
			small++
		}
	}
	for _, c := range []struct {
		text, rejected, fails string
		quarantined           uint64
	}{
		{text: `SELECT sum(my_odd(value)) AS s FROM timed WHERE value < 10`, rejected: "my_odd(value): my_odd of 2: 2 is even", quarantined: even},
		{
			text:     `SELECT max(my_price(value, 1.5)) AS s FROM timed`,
			rejected: "0.000005 has more than 3 digits", quarantined: small,
		},
		{text: `SELECT sum(my_panic(value)) AS s FROM timed`, fails: "my_panic(value): my_panic of 7: panic in your function my_panic: runtime error: integer divide by zero"},
		{text: `SELECT sum(my_panic(value)) AS s FROM timed WHERE value <> 7`},
		{text: `SELECT key, my_panic(sum(value) * 0 + 7) AS s FROM timed GROUP BY key`, fails: "panic in your function my_panic"},
		{text: `SELECT key FROM timed GROUP BY key ORDER BY my_panic(sum(value) * 0 + 7)`, fails: "panic in your function my_panic"},
		{text: `SELECT key, my_panic_result(value) AS s FROM timed GROUP BY key`, fails: "panic in your function my_panic_result: a bug in Result"},
		{text: `SELECT my_panic_merge(value) AS s, window_end FROM timed GROUP BY hop(at, INTERVAL '1 s', INTERVAL '5 s')`, fails: "panic in your function my_panic_merge: a bug in Merge"},
		{text: `SELECT my_panic(value) AS s FROM timed`, fails: "panic in your function my_panic"},
		{text: `SELECT value FROM timed ORDER BY my_panic(value)`, fails: "panic in your function my_panic"},
		{text: `SELECT value, rank() OVER (ORDER BY my_panic(value)) AS r FROM timed ORDER BY 1`, fails: "panic in your function my_panic"},
		{text: `SELECT my_panic(7) AS s, value FROM timed WHERE value < 3`, fails: "panic in your function my_panic"},
	} {
		p, err := query.Compile(c.text, timedSchema)
		if err != nil {
			t.Fatal(err)
		}
		var out collected
		rejects := make(chan string, 10_000)
		e := start(t, engine.Config{
			Plan: p, Writer: &out, NoPin: true, Cores: 2, Readers: []record.Reader{newTimed(10, 100*time.Millisecond, 1_000)},
			OnReject: func(_ int, r record.Reject) { rejects <- r.Reason.Error() },
		})
		err = e.Wait()
		if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%s: %v, expected %q", c.text, err, c.fails)
		}
		if c.fails == "" && e.Stats().Counters().Quarantined != c.quarantined {
			t.Errorf("%s: %d set aside, expected %d", c.text, e.Stats().Counters().Quarantined, c.quarantined)
		}
		if c.rejected != "" && !strings.Contains(<-rejects+<-rejects, c.rejected) {
			t.Errorf("%s: expected %q", c.text, c.rejected)
		}
	}
}

// Goal: a panic while a snapshot is read is a NULL, and the snapshot says why; the process and the reading
// goroutine go on, and another engine with the same plan is not blamed for it.
func TestUserFunctionPanicsOnRead(t *testing.T) {
	for _, text := range []string{
		`SELECT key, my_panic(sum(value) * 0 + 7) AS s FROM timed WHERE value < 100 GROUP BY key`,
		`SELECT key, my_panic_result(value) AS s FROM timed WHERE value < 100 GROUP BY key`,
	} {
		p, err := query.Compile(text, timedSchema)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			e := start(t, engine.Config{Plan: p, NoPin: true, Readers: []record.Reader{newTimed(10, 0, 1_000)}})
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			s := e.Snapshot()
			if err := s.Err(); err != nil {
				t.Errorf("%s: before it is read: %v", text, err)
			}
			for b := range s.Batches(100) {
				for i := range b.Len() {
					if !b.Column(1).Null(i) {
						t.Errorf("%s: a value, expected NULL", text)
					}
				}
			}
			if err := s.Err(); err == nil || !strings.Contains(err.Error(), "panic in your function my_panic") {
				t.Errorf("%s: %v", text, err)
			}
			s.Close()
		}
	}
}

// Goal: of several plans the one with the panic ends alone, whether readers, partitions or the writer find it.
func TestUserPanicEndsOnePlan(t *testing.T) {
	for _, c := range []struct {
		text    string
		records int64
	}{
		{`SELECT sum(my_panic(value)) AS s FROM timed`, 20_000},
		{`SELECT key, user_panic(value) AS s FROM timed GROUP BY key`, 20_000},
		{`SELECT key, my_panic_add(value) AS s FROM timed GROUP BY key`, 50}, // found while marks are sent
	} {
		text := c.text
		for _, exchange := range []plan.Exchange{plan.ExchangeFold, plan.ExchangeDirect, plan.ExchangeRoute} {
			bad, err := query.Compile(text, timedSchema)
			if err != nil {
				t.Fatal(err)
			}
			good, err := query.Compile(`SELECT count(*) AS n FROM timed`, timedSchema)
			if err != nil {
				t.Fatal(err)
			}
			var out, none collected
			e := start(t, engine.Config{
				Plans: []engine.PlanConfig{
					{Plan: bad, Writer: &none, Exchange: exchange}, {Plan: good, Writer: &out, Exchange: exchange},
				},
				NoPin: true, Cores: 2, Partitions: 2, EpochInterval: time.Millisecond,
				Readers: []record.Reader{newTimed(10, 0, c.records), newTimed(10, 0, c.records)},
			})
			err = e.Wait()
			var one *engine.PlanError
			if !errors.As(err, &one) || one.Number != 0 || !strings.Contains(err.Error(), "panic in your function") {
				t.Errorf("%s: %v", text, err)
			}
			if got := out.sorted(); !slices.Equal(got, []string{fmt.Sprint(2 * c.records)}) || len(none.sorted()) > 0 {
				t.Errorf("%s, %v: the other plan has %v, and the one that ended %v", text, exchange, got, none.sorted())
			}
		}
	}
}

// Goal: the report of starvation names a slow function of a user, and not the others.
func TestSlowUserFunction(t *testing.T) {
	for text, want := range map[string]string{
		`SELECT key, user_sum(my_slow(value)) AS s FROM timed GROUP BY key`:                         "your functions are slow (my_slow, ",
		`SELECT key, user_slow(my_twice(value)) AS s, user_sum(value) AS t FROM timed GROUP BY key`: "your functions are slow (user_slow, ",
	} {
		p, err := query.Compile(text, timedSchema)
		if err != nil {
			t.Fatal(err)
		}
		e := start(t, engine.Config{
			Plan: p, NoPin: true, Cores: 1, Partitions: 2, Exchange: plan.ExchangeRoute,
			Readers: []record.Reader{newTimed(10, 0, 200), newTimed(10, 0, 200)}, BatchRows: 64,
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		report := e.Stats().String()
		if !strings.Contains(report, want) || strings.Contains(report, "my_twice,") || strings.Contains(report, "user_sum,") {
			t.Errorf("%s: expected %q in\n%s", text, want, report)
		}
	}
}

// Goal: a state is refused if a function that the groups depend on has another version.
func TestUserFunctionState(t *testing.T) {
	dir := t.TempDir()
	run := func(version uint32) error {
		f := scalar.Must(scalar.Spec[int64, int64]{
			Name: "kept", Version: version, Row: func(v int64) (int64, error) { return v % 10, nil },
		})
		i, _ := readers.GeneratorSchema.Index("value")
		call, err := expr.Call(f, expr.Column(readers.GeneratorSchema, i))
		if err != nil {
			return err
		}
		p := &plan.Plan{
			Source: readers.GeneratorSchema, Computed: []plan.Output{{Name: "k", Expr: call}}, Keys: []string{"k"},
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		}
		text, err := p.Explain()
		if err != nil || !strings.Contains(text, fmt.Sprintf("calls        your kept version %d of (bigint), bigint", version)) {
			return fmt.Errorf("%s: %w", text, err)
		}
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
		return e.Wait()
	}
	if err := run(1); err != nil {
		t.Fatal(err)
	}
	if err := run(2); !errors.Is(err, engine.ErrOtherPlan) || !strings.Contains(err.Error(), "calls your kept version 1") {
		t.Errorf("another version: %v", err)
	}
	if err := run(1); err != nil {
		t.Errorf("the same version: %v", err)
	}
}

// Goal: what is called wrongly is refused with the place and what is expected; names cannot be taken twice.
func TestUserFunctionRefused(t *testing.T) {
	for text, want := range map[string]string{
		`SELECT my_twice(value, key) FROM timed`:              "line 1, column 8: my_twice of 2 arguments, expected 1",
		`SELECT my_twice('a'::text) FROM timed`:               "my_twice of text, expected bigint",
		`SELECT my_twice(1.5) FROM timed`:                     "my_twice of decimal(2,1), expected bigint",
		`SELECT my_half(value + 0.5::float8) FROM timed`:      "my_half of double precision, expected a decimal",
		`SELECT my_half('x') FROM timed`:                      "expected a decimal",
		`SELECT my_twice(*) FROM timed`:                       "my_twice",
		`SELECT my_twice(DISTINCT value) FROM timed`:          "my_twice is no aggregate",
		`SELECT my_twise(value) FROM timed`:                   `there is no function "my_twise"; did you mean "my_twice"?`,
		`SELECT key, my_twice(value) FROM timed GROUP BY key`: `column "value" must be in GROUP BY`,
		`SELECT my_twice(value) OVER () FROM timed`:           "my_twice",
	} {
		_, err := query.Compile(text, timedSchema)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", text, err, want)
		}
	}
	for _, name := range []string{
		"lower", "sum", "my_twice", "user_sum", "nvl", "sin", "year", "row_number", "tumble", "extract", "cast", "case",
		"select", "p99", "coalesce", "grouping", "if", "string_agg", "rollup", "count_if", "try",
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is registered", name)
				}
			}()
			query.RegisterFunction(scalar.Must(scalar.Spec[int64, int64]{
				Name: name, Row: func(v int64) (int64, error) { return v, nil },
			}))
		}()
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is registered as an aggregate", name)
				}
			}()
			query.RegisterAggregate(aggregate.Must(aggregate.Spec[userSum, int64, int64]{
				Name: name, Add: func(*userSum, int64) {}, Merge: func(_, _ *userSum) {},
				Result: func(userSum) (int64, bool) { return 0, false },
			}))
		}()
	}
	// Names that other systems have and velo has not may be taken.
	query.RegisterFunction(scalar.Must(scalar.Spec[int64, int64]{
		Name: "bin", Row: func(v int64) (int64, error) { return v, nil },
	}))
	query.RegisterAggregate(aggregate.Must(aggregate.Spec[userSum, int64, int64]{
		Name: "entropy", Add: func(s *userSum, v int64) {}, Merge: func(_, _ *userSum) {},
		Result: func(userSum) (int64, bool) { return 0, false },
	}))
	p, err := query.Compile(`SELECT bin(key) AS k, entropy(value) AS p FROM timed GROUP BY bin(key)`, timedSchema)
	if err != nil || p.Aggregates[0].User == nil {
		t.Errorf("%v", err)
	}
}
