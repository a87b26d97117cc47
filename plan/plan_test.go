package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

var trades = func() *record.Schema {
	s, err := record.NewSchema("trades", record.Field{Name: "symbol", Type: record.String},
		record.Field{Name: "price", Type: record.DecimalOf(18, 2)},
		record.Field{Name: "size", Type: record.Int64, Nullable: true},
		record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		panic(err)
	}
	return s
}()

var counted = []plan.Aggregate{{Name: "n", Func: plan.Count}}

// Goal: Validate says what is wrong with a plan, where, and what was expected, and all of it at
// once. Method: plans with one fault each, and one with three.
func TestFaultsOfPlans(t *testing.T) {
	size := expr.Column(trades, 2)
	minute := plan.Windows{Kind: plan.Tumbling, Size: time.Minute}
	for name, c := range map[string]struct {
		plan *plan.Plan
		want []string
	}{
		"no source": {&plan.Plan{Keys: []string{"symbol"}, Aggregates: counted}, []string{"no source schema"}},
		"nothing":   {&plan.Plan{Source: trades}, []string{"neither keys, aggregates nor Select"}},
		"a key that is not there": {
			&plan.Plan{Source: trades, Keys: []string{"venue"}, Aggregates: counted},
			[]string{`key: there is no column "venue" in trades`},
		},
		"all faults at once": {
			&plan.Plan{Source: trades, Keys: []string{"venue"}, Aggregates: []plan.Aggregate{
				{Name: "s", Func: plan.Sum, Column: "symbol"}, {Name: "m", Func: plan.Max, Column: "prices"},
			}},
			[]string{`"venue"`, `aggregate "s"`, `there is no column "prices"`},
		},
		"a window without its column": {
			&plan.Plan{Source: trades, Aggregates: counted, Window: &plan.Window{Column: "when", Windows: minute}},
			[]string{`window: there is no column "when"`},
		},
		"a window over a number": {
			&plan.Plan{Source: trades, Aggregates: counted, Window: &plan.Window{Column: "size", Windows: minute}},
			[]string{`column "size"`, "expected a timestamp"},
		},
		"a window by the clock with a column": {
			&plan.Plan{
				Source: trades, Aggregates: counted,
				Window: &plan.Window{Column: "at", ProcessingTime: true, Windows: minute},
			},
			[]string{"by processing time"},
		},
		"too many windows retained": {
			&plan.Plan{
				Source: trades, Aggregates: counted,
				Window: &plan.Window{Column: "at", Retain: plan.MaxRetain + 1, Windows: minute},
			},
			[]string{"closed windows to retain"},
		},
		"changes with an order": {
			&plan.Plan{
				Source: trades, Keys: []string{"symbol"}, Aggregates: counted, Emit: plan.EmitChanges,
				OrderBy: []plan.Order{{Column: "n"}},
			},
			[]string{"OrderBy, Limit and Offset have no meaning"},
		},
		"a function that cannot be of different values": {
			&plan.Plan{Source: trades, Aggregates: []plan.Aggregate{
				{Name: "a", Func: plan.First, Column: "symbol", By: "at", Distinct: true},
			}},
			[]string{"first cannot be DISTINCT"},
		},
		"an order for a function that has none": {
			&plan.Plan{Source: trades, Aggregates: []plan.Aggregate{
				{Name: "a", Func: plan.Sum, Column: "size", OrderBy: []plan.Order{{Column: "at"}}},
			}},
			[]string{"sum takes no order"},
		},
		"a column of the result twice": {
			&plan.Plan{
				Source: trades, Keys: []string{"symbol"},
				Aggregates: []plan.Aggregate{{Name: "symbol", Func: plan.Count}},
			},
			[]string{"the result", `both named "symbol"`},
		},
		"a computed column that has the name of another": {
			&plan.Plan{Source: trades, Aggregates: counted, Computed: []plan.Output{{Name: "price", Expr: size}}},
			[]string{`computed column "price": there is another of that name`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.plan.Validate()
			if err == nil {
				t.Fatal("the plan is valid")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nexpected it to say %q", err, want)
				}
			}
		})
	}
}

// Goal: a route that does not fit is refused. Method: each of the ways in which it cannot fit.
func TestFaultsOfRoutes(t *testing.T) {
	byKey := &plan.Plan{Source: trades, Keys: []string{"symbol"}, Aggregates: counted}
	sessions := &plan.Plan{
		Source: trades, Keys: []string{"symbol"}, Aggregates: counted,
		Window: &plan.Window{Column: "at", Windows: plan.Windows{Kind: plan.Session, Size: time.Minute}},
	}
	for _, c := range []struct {
		plan  *plan.Plan
		route plan.Route
		want  string
	}{
		{byKey, plan.Route{Routing: plan.RouteCustom}, "without a function"},
		{byKey, plan.Route{Routing: plan.RouteByKey, Func: func(*plan.RouteContext) {}}, "takes none"},
		{byKey, plan.Route{Routing: 99}, "no routing Routing(99)"},
		{sessions, plan.Route{Routing: plan.RouteRoundRobin}, "sessions need all records of a key"},
	} {
		if err := c.route.Validate(c.plan); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, expected it to say %q", c.route.Routing, err, c.want)
		}
	}
}

// Goal: RouteAuto is by key, unless that would use one partition only or change an order. Method: a
// plan of each kind.
func TestRouteAuto(t *testing.T) {
	for _, c := range []struct {
		plan *plan.Plan
		want plan.Routing
	}{
		{&plan.Plan{Source: trades, Keys: []string{"symbol"}, Aggregates: counted}, plan.RouteByKey},
		{&plan.Plan{Source: trades, Aggregates: counted}, plan.RouteRoundRobin},
		{&plan.Plan{Source: trades, Aggregates: []plan.Aggregate{
			{Name: "d", Func: plan.Count, Column: "symbol", Distinct: true},
		}}, plan.RouteByKey},
		{
			&plan.Plan{Source: trades, Select: []plan.Output{{Name: "size", Expr: expr.Column(trades, 2)}}},
			plan.RouteAligned,
		},
	} {
		if got := (plan.Route{}).For(c.plan).Routing; got != c.want {
			t.Errorf("%v: %v, expected %v", c.plan, got, c.want)
		}
	}
}

// Goal: Key encodes what fits and says what does not. Method: values of other types and numbers of
// them, and keys that are equal.
func TestKeys(t *testing.T) {
	p := &plan.Plan{Source: trades, Keys: []string{"symbol", "size"}, Aggregates: counted}
	a, err := p.Key("NVDA", int64(5))
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Key([]byte("NVDA"), uint8(5))
	if err != nil {
		t.Fatal(err)
	}
	if a.Shard() != b.Shard() || a.Shard() < 0 || a.Shard() >= plan.Shards {
		t.Errorf("the same key is in shards %d and %d", a.Shard(), b.Shard())
	}
	for _, values := range [][]any{{"NVDA"}, {"NVDA", "five"}, {nil, int64(5)}, {"NVDA", 5.5}} {
		if _, err := p.Key(values...); err == nil {
			t.Errorf("%v is a key", values)
		}
	}
	if _, err := p.Key("NVDA", nil); err != nil {
		t.Errorf("NULL in a column that may be NULL: %v", err)
	}
}

// Goal: windows that go by when records come are not taken for repeatable ones.
func TestWindowRepeatable(t *testing.T) {
	for _, c := range []struct {
		name string
		w    plan.Window
		want bool
	}{
		{"by event time", plan.Window{Windows: plan.Windows{Kind: plan.Tumbling, Size: time.Minute}}, true},
		{"by event time, with idle readers", plan.Window{Windows: plan.Windows{Kind: plan.Tumbling, Size: time.Minute}, Idle: time.Second}, true},
		{"by processing time", plan.Window{Windows: plan.Windows{Kind: plan.Tumbling, Size: time.Minute}, ProcessingTime: true}, false},
		{"sessions", plan.Window{Windows: plan.Windows{Kind: plan.Session, Size: time.Minute}}, true},
		{"sessions with idle readers", plan.Window{Windows: plan.Windows{Kind: plan.Session, Size: time.Minute}, Idle: time.Second}, false},
	} {
		if got := c.w.Repeatable(); got != c.want {
			t.Errorf("%s: %v, expected %v", c.name, got, c.want)
		}
	}
}

// Goal: a reader may leave out records only if nobody sees it: not if windows close while the plan
// runs, and not for a plan over the result of another.
func TestBounds(t *testing.T) {
	where, err := expr.New(expr.Gt, expr.Column(trades, 2), expr.Int(record.Int64, 5))
	if err != nil {
		t.Fatal(err)
	}
	minute := plan.Windows{Kind: plan.Tumbling, Size: time.Minute}
	for name, c := range map[string]struct {
		plan *plan.Plan
		want int
	}{
		"groups":              {&plan.Plan{Where: where}, 1},
		"no condition":        {&plan.Plan{}, 0},
		"records in order":    {&plan.Plan{Where: where, Window: &plan.Window{Column: "at", Windows: minute}}, 0},
		"over another result": {&plan.Plan{Where: where, From: &plan.Plan{Source: trades}}, 0},
		"records in any order": {&plan.Plan{
			Where: where, Window: &plan.Window{Column: "at", Windows: minute, OutOfOrder: plan.AnyOrder},
		}, 1},
		"by the clock": {&plan.Plan{
			Where: where, Window: &plan.Window{Windows: minute, ProcessingTime: true, OutOfOrder: plan.AnyOrder},
		}, 0},
	} {
		c.plan.Source, c.plan.Aggregates = trades, counted
		if got := c.plan.Bounds(); len(got) != c.want {
			t.Errorf("%s: %v, expected %d bounds", name, got, c.want)
		}
	}
}
