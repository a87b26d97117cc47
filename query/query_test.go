package query

import (
	"reflect"
	"slices"
	"testing"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

var trades = func() *record.Schema {
	s, err := record.NewSchema("trades",
		record.Field{Name: "symbol", Type: record.String}, record.Field{Name: "price", Type: record.Float64},
		record.Field{Name: "size", Type: record.Int64},
		record.Field{Name: "fee", Type: record.DecimalOf(10, 2), Nullable: true},
		record.Field{Name: "venue", Type: record.String, Nullable: true},
		record.Field{Name: "buy", Type: record.Bool, Nullable: true}, record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		panic(err)
	}
	return s
}()

// BenchmarkCompile is the time from a text to a plan, for queries as they are usual.
func BenchmarkCompile(b *testing.B) {
	for _, q := range []struct{ name, text string }{
		{"groups", `SELECT symbol, count(*) AS n, sum(size) AS volume, min(price) AS low, max(price) AS high FROM trades GROUP BY symbol`},
		{"filter", `SELECT symbol, count(*) AS n FROM trades WHERE price > 10 AND venue LIKE 'x%' AND size BETWEEN 1 AND 1000 GROUP BY symbol`},
		{"hours", `SELECT date_trunc('hour', at) AS hour, avg(price) AS price FROM trades WHERE at >= TIMESTAMP '2024-01-01' GROUP BY 1 ORDER BY 1`},
		{"vwap", `SELECT symbol, sum(price * size) / sum(size) AS vwap, count(*) AS n FROM trades WHERE price > 0 AND venue IN ('x', 'y')
			GROUP BY symbol, tumble(at, INTERVAL '10 s') HAVING count(*) > 2 ORDER BY vwap DESC LIMIT 5`},
		{"pass", `SELECT symbol, price * size AS paid, CASE WHEN buy THEN 'buy' ELSE 'sell' END AS side FROM trades WHERE fee IS NOT NULL`},
	} {
		b.Run("query="+q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(q.text, trades); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Goal: a query whose plan could have been written by hand costs what that plan does. Method: they are the same, except for the names that the result has, and nothing is computed for a record.
func TestLiteral(t *testing.T) {
	p, err := Compile(`SELECT symbol, count(*) AS n, sum(size) AS volume, min(price) AS low, max(price) AS high FROM trades GROUP BY symbol`, trades)
	if err != nil {
		t.Fatal(err)
	}
	aggregates := []plan.Aggregate{
		{Name: "n", Func: plan.Count},
		{Name: "volume", Func: plan.Sum, Column: "size"},
		{Name: "low", Func: plan.Min, Column: "price"},
		{Name: "high", Func: plan.Max, Column: "price"},
	}
	if p.Where != nil || len(p.Computed) > 0 || !slices.Equal(p.Keys, []string{"symbol"}) ||
		!reflect.DeepEqual(p.Aggregates, aggregates) {
		t.Errorf("%v: where %v, computed %v, aggregates %+v", p, p.Where, p.Computed, p.Aggregates)
	}
}
