package query

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/record"
)

var trades = func() *record.Schema {
	s, err := record.NewSchema("trades",
		record.Field{Name: "symbol", Type: record.String}, record.Field{Name: "price", Type: record.Float64}, record.Field{Name: "size", Type: record.Int64},
		record.Field{Name: "fee", Type: record.DecimalOf(10, 2), Nullable: true}, record.Field{Name: "venue", Type: record.String, Nullable: true},
		record.Field{Name: "buy", Type: record.Bool, Nullable: true}, record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		panic(err)
	}
	return s
}()

// Goal: queries become the plans that they say. Method: the plan as text, and the schema of its result.
func TestCompile(t *testing.T) {
	for _, c := range []struct{ text, plan, result string }{
		{
			`SELECT symbol, count(*) AS n, sum(size) AS volume FROM trades GROUP BY symbol`,
			`SELECT symbol, count(*) AS n, sum(size) AS volume FROM trades GROUP BY symbol`,
			`trades(symbol text, n bigint, volume bigint NULL)`,
		},
		{
			`select count(*) from trades where price > 0`,
			`SELECT count(*) AS count FROM trades WHERE (price > 0)`, `trades(count bigint)`,
		},
		{
			`SELECT symbol, sum(price * size) / sum(size) AS vwap FROM trades GROUP BY 1 HAVING count(*) > 2 ORDER BY vwap DESC LIMIT 5 OFFSET 1`, ``,
			`trades(symbol text, vwap double precision NULL)`,
		},
		{`SELECT lower(venue) AS v, avg(fee) FROM trades GROUP BY v`, ``, `trades(v text NULL, avg double precision NULL)`},
		{`SELECT symbol, window_start, max(price) FROM trades GROUP BY symbol, tumble(at, INTERVAL '10 s')`, ``, `trades(symbol text, window_start timestamp, max double precision NULL)`},
		{
			`SELECT window_end, count(*) AS n FROM TABLE(HOP(TABLE trades, DESCRIPTOR(at), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) GROUP BY window_start, window_end`, ``,
			`trades(window_end timestamp, n bigint)`,
		},
		{`SELECT count(*) FILTER (WHERE buy) AS buys, sum(size) FILTER (WHERE NOT buy) AS sold FROM trades`, ``, `trades(buys bigint, sold bigint NULL)`},
		{`SELECT DISTINCT symbol, venue FROM trades`, ``, `trades(symbol text, venue text NULL)`},
		{`SELECT CASE WHEN size > 100 THEN 'big' ELSE 'small' END AS class, count(*) FROM trades GROUP BY class`, ``, `trades(class text, count bigint)`},
		{
			`SELECT date_trunc('hour', at) AS h, count(*) FROM trades WHERE at >= TIMESTAMP '2024-01-01' AND at < '2024-01-02'::timestamp + INTERVAL '1 day' GROUP BY 1 ORDER BY 1`, ``,
			`trades(h timestamp, count bigint)`,
		},
		{
			`SELECT symbol s, min_by(price, at) AS first, last(price, at) FROM trades t WHERE t.venue IN ('x', 'y') OR venue LIKE 'z%' GROUP BY t.symbol`, ``,
			`trades(s text, first double precision NULL, last double precision NULL)`,
		},
		{
			`SELECT round(avg(price), 2) AS p, coalesce(sum(fee), 0) AS f FROM trades WHERE size BETWEEN 1 AND 10 AND fee IS NOT NULL AND fee > 1.5`, ``,
			`trades(p double precision NULL, f decimal(18,2) NULL)`,
		},
		{`SELECT max(extract(epoch FROM at - TIMESTAMP '2024-01-01')) AS s FROM trades`, ``, `trades(s double precision NULL)`},
		{
			`SELECT symbol, count(*) AS n FROM trades GROUP BY symbol EMIT CHANGES`, `SELECT symbol, count(*) AS n FROM trades GROUP BY symbol EMIT CHANGES`, `trades(symbol text, n bigint)`,
		},
		{
			`SELECT symbol, count(*) AS n FROM trades GROUP BY symbol, hop(proctime(), INTERVAL '1 s', INTERVAL '1 minute')`,
			`SELECT symbol, n FROM (SELECT window_start, window_end, symbol, count(*) AS n FROM trades GROUP BY symbol, hop(1s, 1m0s) on proctime())`, `trades(symbol text, n bigint)`,
		},
		{`SELECT * FROM trades LIMIT 3`, ``, `trades(symbol text, price double precision, size bigint, fee decimal(10,2) NULL, venue text NULL, buy boolean NULL, at timestamp)`},
		{
			`SELECT symbol, price * 0.908 AS euros, t.venue v FROM trades t WHERE size % 3 = 0`,
			`SELECT symbol AS symbol, (price * 0.908) AS euros, venue AS v FROM trades WHERE ((size % 3) = 0)`, `trades(symbol text, euros double precision, v text NULL)`,
		},
		{`SELECT DISTINCT * FROM trades WHERE size > 5`, ``, `trades(symbol text, price double precision, size bigint, fee decimal(10,2) NULL, venue text NULL, buy boolean NULL, at timestamp)`},
		{
			`SELECT symbol, count(DISTINCT venue) AS v, count(*) AS n FROM trades GROUP BY symbol`, `SELECT symbol, count(DISTINCT venue) AS v, count(*) AS n FROM trades GROUP BY symbol`,
			`trades(symbol text, v bigint, n bigint)`,
		},
		{`SELECT count(1), count(venue), bool_or(buy), stddev(price) FROM trades`, ``, `trades(count bigint, count_2 bigint, bool_or boolean NULL, stddev double precision NULL)`},
	} {
		p, err := Compile(c.text, trades)
		if err != nil {
			t.Errorf("%s\n%v", c.text, err)
			continue
		}
		if got := p.String(); c.plan != "" && got != c.plan {
			t.Errorf("%s\nis %s\nnot %s", c.text, got, c.plan)
		}
		if s, err := p.Result(); err != nil || s.String() != c.result {
			t.Errorf("%s\nhas %v, %v\nnot %s\n%v", c.text, s, err, c.result, p)
		}
	}
}

// Goal: a fault says what and where, and all of them are said at once.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{`SELECT symbl, count(*) FROM trades GROUP BY symbl`, []string{"line 1, column 45", `there is no column "symbl"; did you mean "symbol"?`}},
		{"SELECT symbol,\n  sum(venue), size\nFROM trades\nGROUP BY symbol", []string{"line 2, column 3", "sum(text) is not defined", `column "size" must be in GROUP BY`, "  sum(venue), size\n  ^"}},
		{`SELECT cuont(*) FROM trades`, []string{`there is no function "cuont"; did you mean "count"?`}},
		{`SELECT count(*) FROM trade`, []string{`there is no stream "trade"; did you mean "trades"?`}},
		{`SELECT count(*) FROM trades WHERE price`, []string{"WHERE: price is double precision, expected boolean"}},
		{`SELECT count(*) FROM trades WHERE size = 'abc'`, []string{`"abc" is no bigint`}},
		{`SELECT count(*) FROM trades WHERE at > now()`, []string{"now() would make the result depend"}},
		{`SELECT count(*) FROM trades WHERE count(*) > 1`, []string{"the aggregate count cannot be in WHERE"}},
		{`SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY price) FROM trades`, []string{"approx_percentile"}},
		{`SELECT sum(DISTINCT size) FROM trades`, []string{"only count(DISTINCT ...)"}},
		{`SELECT count(DISTINCT venue), count(DISTINCT symbol) FROM trades`, []string{"line 1, column 31: count(DISTINCT symbol): a query can have count(DISTINCT ...) of one column"}},
		{`SELECT count(DISTINCT venue) FROM trades GROUP BY session(at, INTERVAL '1 s')`, []string{"cannot be counted in sessions"}},
		{`SELECT symbol, count(*) FROM trades GROUP BY symbol ORDER BY 2 EMIT CHANGES`, []string{"ORDER BY, LIMIT and OFFSET have no meaning"}},
		{`SELECT count(*) FROM trades GROUP BY session(at, INTERVAL '1 s') EMIT CHANGES`, []string{"sessions cannot be emitted as they change"}},
		{`SELECT symbol FROM trades EMIT CHANGES`, []string{"records that pass through do not change"}},
		{`SELECT symbol AS op, count(*) FROM trades GROUP BY symbol EMIT CHANGES`, []string{`"op"`}},
		{`SELECT symbol FROM trades ORDER BY nothing`, []string{`"nothing"`, "                                   ^"}},
		{`SELECT symbol FROM trades ORDER BY count(*)`, []string{"the aggregate count cannot be in ORDER BY"}},
		{`SELECT symbol FROM trades ORDER BY 2`, []string{"there is no column 2 in SELECT, which has 1"}},
		{`SELECT max(proctime()) FROM trades`, []string{"is the time of a window"}},
		{`SELECT count(*) FROM trades GROUP BY session(proctime(), INTERVAL '1 s')`, []string{"sessions need the time of each record"}},
		{`SELECT count(*) FROM trades GROUP BY tumble(lower(symbol), INTERVAL '1 s')`, []string{"lower(symbol), text, expected a timestamp: write CAST(lower(symbol) AS timestamp)"}},
		{`SELECT count(*) FROM trades GROUP BY tumble(buy, INTERVAL '1 s')`, []string{"buy, boolean, expected a timestamp"}},
		{`SELECT symbol FROM trades HAVING size > 1 OFFSET 2`, []string{"HAVING without GROUP BY", "OFFSET without ORDER BY"}},
		{`SELECT symbol, size + venue FROM trades`, []string{"bigint + text is not defined"}},
		{`SELECT symbol, size FROM trades GROUP BY size`, []string{`column "symbol" must be in GROUP BY`}},
		{`SELECT count(x.size) FROM trades t`, []string{`there is no "x" in FROM, expected "t"`}},
		{`SELECT window_start, count(*) FROM trades`, []string{"window_start without a window"}},
		{`SELECT count(*) FROM trades GROUP BY session(at, INTERVAL '1 s', INTERVAL '1 s')`, []string{"session of 3 arguments, expected session(at, gap)"}},
		{`SELECT count(*) FROM trades GROUP BY tumble(at, 10)`, []string{"expected an interval"}},
		{`SELECT max(to_timestamp(symbol, '%Y')) AS m FROM trades`, []string{"line 1, column 33", "it has no day and month"}},
		{`SELECT max(to_timestamp(symbol, symbol)) AS m FROM trades`, []string{"the format of to_timestamp must be a text constant"}},
		{`SELECT count(*) FROM trades GROUP BY tumble(size, INTERVAL '1 s')`, []string{"size, bigint, expected a timestamp: write to_timestamp(size) if"}},
		{`SELECT count(*) FROM trades GROUP BY hop(at, INTERVAL '7 ms', INTERVAL '1 hour')`, []string{"panes"}},
		{`SELECT venue + 1, count(*) FROM trades GROUP BY 1`, []string{"text + bigint is not defined"}},
		{`SELECT *, count(*) FROM trades`, []string{"* has no meaning"}},
		{`SELECT count(*) AS a, sum(size) AS a FROM trades`, []string{`two columns of the result are called "a"`}},
		{`SELECT count(*) FROM trades LIMIT 1 2`, []string{"line 1, column 37"}},
		{`SELECT max(fee)::money FROM trades`, []string{`there is no type "money"`}},
		{`SELECT sum(size) FROM trades GROUP BY hop(at, INTERVAL '1 month', INTERVAL '2 months')`, []string{"months and years have no fixed length"}},
	} {
		_, err := Compile(c.text, trades)
		if err == nil {
			t.Errorf("%s was taken", c.text)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s\n%v\ndoes not say %q", c.text, err, want)
			}
		}
	}
}

// Goal: EXPLAIN says how a plan reads, keeps and gives its groups, of each kind. Method: lines that must be there.
func TestExplain(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{`SELECT symbol, sum(size) AS v FROM trades WHERE size > 5 GROUP BY symbol`, []string{
			"reads        symbol, size\n", "filter       (size > 5)\n", "key          symbol text: 3 words", "aggregate    v = sum(size): ", "group        ", "route        by key; ", "emission     everything once, at the end",
		}},
		{`SELECT window_end, count(DISTINCT venue) AS d, max(price) AS p FROM trades GROUP BY hop(at, INTERVAL '1 s', INTERVAL '3 s')`, []string{
			"window       hop(1s, 3s) on at, panes of 1s", "aggregate    d = count(DISTINCT venue): a group for each value", "aggregate    p = max(price): ", "emission     each window once, when it has closed",
		}},
		{`SELECT count(*) FROM trades GROUP BY tumble(proctime(), INTERVAL '1 s') EMIT CHANGES`, []string{"window       tumble(1s) by processing time", "route        round robin; ", "emission     at each epoch the groups that have changed"}},
		{`SELECT symbol, size * 2 AS v FROM trades LIMIT 3`, []string{"passes       v = (size * 2)\n", "then         LIMIT 3\n", "route        aligned: ", "emission     records, as they come"}},
	} {
		p, err := Compile(c.text, trades)
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.Explain()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s\n%s\ndoes not say %q", c.text, text, want)
			}
		}
	}
}

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

// Goal: a query whose plan could have been written by hand costs what that plan does. Method: they are the same, but for the names that the result has, and nothing is computed for a record.
func TestLiteral(t *testing.T) {
	plan, err := Compile(`SELECT symbol, count(*) AS n, sum(size) AS volume, min(price) AS low, max(price) AS high FROM trades GROUP BY symbol`, trades)
	if err != nil {
		t.Fatal(err)
	}
	aggregates := []core.Aggregate{
		{Name: "n", Func: core.Count}, {Name: "volume", Func: core.Sum, Column: "size"}, {Name: "low", Func: core.Min, Column: "price"}, {Name: "high", Func: core.Max, Column: "price"},
	}
	if plan.Where != nil || len(plan.Computed) > 0 || !slices.Equal(plan.Keys, []string{"symbol"}) || !reflect.DeepEqual(plan.Aggregates, aggregates) {
		t.Errorf("%v: where %v, computed %v, aggregates %+v", plan, plan.Where, plan.Computed, plan.Aggregates)
	}
}
