package engine_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

var kinds = map[string]plan.AggregateKind{
	"count": plan.Count, "sum": plan.Sum, "min": plan.Min, "max": plan.Max, "avg": plan.Avg,
	"var_pop": plan.VarPop, "var_samp": plan.VarSamp, "stddev_pop": plan.StddevPop, "stddev_samp": plan.StddevSamp,
	"min_by": plan.MinBy, "max_by": plan.MaxBy, "first": plan.First, "last": plan.Last, "bool_and": plan.BoolAnd,
	"bool_or":               plan.BoolOr,
	"approx_count_distinct": plan.ApproxCountDistinct, "count distinct": plan.Count,
}

// planOf is the case's query.
func planOf(c *testgen.Case) *plan.Plan {
	p := &plan.Plan{Source: c.Schema, Keys: c.Keys}
	for _, a := range c.Aggregates {
		p.Aggregates = append(p.Aggregates,
			plan.Aggregate{
				Name: a.Name, Func: kinds[a.Func], Column: a.Column, By: a.By,
				Distinct: a.Func == "count distinct",
			})
	}
	return p
}

// textOf makes the function that writes column name of a row as testgen does.
func textOf(t *testing.T, p *plan.Plan, name string) func(result.Row) string {
	t.Helper()
	res, err := p.Result()
	if err != nil {
		t.Fatal(err)
	}
	i, _ := res.Index(name)
	switch typ := res.Field(i).Type; {
	case typ == record.Bool:
		return text[bool](t, p, name)
	case typ == record.Int64:
		return text[int64](t, p, name)
	case typ == record.Float64:
		return text[float64](t, p, name)
	case typ == record.String:
		return text[string](t, p, name)
	case typ == record.Timestamp:
		return text[time.Time](t, p, name)
	case typ == record.TimeOfDay || typ == record.Interval:
		return textBy(t, p, name, func(v time.Duration) any { return int64(v) })
	case typ == record.UUID:
		return textBy(t, p, name, func(v [16]byte) any { return string(v[:]) })
	case typ == record.Bytes:
		return text[string](t, p, name)
	default:
		return text[record.Decimal](t, p, name)
	}
}

func text[T result.Value](t *testing.T, p *plan.Plan, name string) func(result.Row) string {
	return textBy(t, p, name, func(v T) any { return v })
}

// textBy is text for values that testgen has as another type.
func textBy[T result.Value](t *testing.T, p *plan.Plan, name string, as func(T) any) func(result.Row) string {
	c, err := result.ColumnOf[T](p, name)
	if err != nil {
		t.Fatal(err)
	}
	return func(r result.Row) string {
		if c.Null(r) {
			return testgen.Null
		}
		return testgen.Text(as(c.Of(r)))
	}
}

// check compares a snapshot with what the case wants, and looks every group up by its key.
func check(t *testing.T, c *testgen.Case, p *plan.Plan, s *engine.Snapshot) {
	t.Helper()
	var columns []func(result.Row) string
	for _, k := range c.Keys {
		columns = append(columns, textOf(t, p, k))
	}
	for _, a := range c.Aggregates {
		columns = append(columns, textOf(t, p, a.Name))
	}
	got := map[string]bool{}
	for row := range s.All() {
		var values []string
		for _, text := range columns {
			values = append(values, text(row))
		}
		line := testgen.Line(values)
		if got[line] {
			t.Fatalf("group %s comes twice", line)
		}
		got[line] = true
		if !c.Want[line] {
			t.Fatalf("group %s should not be there", line)
		}
	}
	if len(got) != len(c.Want) || s.Len() != len(c.Want) {
		t.Fatalf("%d groups, Len says %d, expected %d", len(got), s.Len(), len(c.Want))
	}
}

// Goal: the same rows for every shape. Method: random queries over random records (every type, NULLs, NaN, long
// strings, overflowing sums) against the twin of testgen, for 1, 2, 3 and 8 readers and partitions, readers polled and pumped
// in turn, rings of 2 to 8 chunks, every routing, exchange and wait policy.
//
// VELO_SEED=n repeats one case.
func TestTwin(t *testing.T) {
	first, cases := uint64(0), uint64(30)
	if testing.Short() {
		cases = 6
	}
	if s := os.Getenv("VELO_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, cases = n, 1
	}
	for seed := first; seed < first+cases; seed++ {
		for _, readers := range []int{1, 2, 3, 8} {
			c := testgen.New(seed, readers)
			for _, partitions := range []int{1, 2, 3, 8} {
				t.Run(fmt.Sprintf("seed=%d/R=%d/P=%d", seed, readers, partitions), func(t *testing.T) {
					t.Cleanup(func() {
						if t.Failed() {
							t.Logf("repeat with: VELO_SEED=%d go test -run 'TestTwin/seed=%d/R=%d/P=%d' ./engine", seed,
								seed, readers, partitions)
						}
					})
					twin(t, c, partitions)
				})
			}
		}
	}
}

// routes are the routings; the result must not depend on them.
var routes = []plan.Route{
	{},
	{Routing: plan.RouteByKey},
	{Routing: plan.RouteAligned},
	{Routing: plan.RouteRoundRobin},
	{Routing: plan.RouteCustom, Func: func(c *plan.RouteContext) {
		for i, h := range c.Hashes {
			c.Partition[i] = uint32(uint64(i)+h) % uint32(c.Partitions)
		}
	}},
}

func twin(t *testing.T, c *testgen.Case, partitions int) {
	var readers []record.Reader
	for i, b := range c.Batches {
		var r record.Reader = &testgen.BatchLender{Batches: b}
		if (i+partitions)%2 == 0 {
			r = testgen.OnlyRead(r)
		}
		readers = append(readers, r)
	}
	p := planOf(c)
	e, err := engine.Start(t.Context(), engine.Config{
		Plan: p, Readers: readers, Partitions: partitions, RingSlots: 2 << (c.Seed % 3), BatchRows: 1500,
		Route: routes[(c.Seed+uint64(partitions))%uint64(len(routes))], Wait: engine.WaitPolicy(c.Seed % 3),
		Exchange: plan.Exchange((c.Seed + uint64(partitions/2)) % 4), FoldBytes: 1 << (8 + c.Seed%14),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	defer s.Close()
	check(t, c, p, s)
	var total result.Counters
	for _, n := range s.Counters() {
		total.Add(n)
	}
	if int(total.In) != c.Rows || total.Counted != total.In || int(total.Keyless) != c.Keyless {
		t.Fatalf("counters %+v, expected %d rows, %d of them keyless", total, c.Rows, c.Keyless)
	}
	st := e.Stats()
	if st.Counters() != total {
		t.Fatalf("Stats says %+v, the snapshot %+v", st.Counters(), total)
	}
}
