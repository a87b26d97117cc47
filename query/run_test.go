package query_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

type trade struct {
	Symbol string
	Price  float64
	Size   int64
	Venue  *string
	At     time.Time
}

// given is a source of some batches.
type given struct{ batches []*record.Batch }

func (s *given) Next(core.Nanos) (*record.Batch, bool) {
	if len(s.batches) == 0 {
		return nil, true
	}
	b := s.batches[0]
	s.batches = s.batches[1:]
	return b, false
}
func (s *given) Drained(uint64) bool           { return true }
func (s *given) Quarantine(record.Reject) bool { return true }
func (s *given) Wake() core.Nanos              { return core.Never }
func (s *given) Complete() bool                { return true }

type quiet struct{}

func (quiet) Wake() {}

// rows runs a query over trades in two partitions and gives the rows of its result, as they come.
func rows(t *testing.T, text string, trades []trade) []string {
	t.Helper()
	schema, err := record.SchemaOf[trade]("trades")
	if err != nil {
		t.Fatal(err)
	}
	enc, err := record.EncoderOf[trade](schema)
	if err != nil {
		t.Fatal(err)
	}
	pl, err := query.Compile(text, schema)
	if err != nil {
		t.Fatal(err)
	}
	if pl.Window != nil {
		pl.Window.Retain = plan.MaxRetain
	}
	b := record.NewBatch(schema, 100)
	for _, tr := range trades {
		if ok, err := enc.Append(b, &tr); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	const partitions = 2
	cuts := core.NewCuts(pl, plan.Route{}, 1, partitions, 0, nil, func() {})
	var agents []core.Agent
	var out []*ring.Producer[core.Chunk]
	for p := range partitions {
		in, o := ring.New[core.Chunk](4)
		out = append(out, in)
		part, err := core.NewPartition(plan.PartitionID(p), pl, []*ring.Consumer[core.Chunk]{o}, []core.Bell{quiet{}},
			nil, cuts)
		if err != nil {
			t.Fatal(err)
		}
		agents = append(agents, part)
	}
	router, err := core.NewRouter(0, pl, &given{[]*record.Batch{b}}, plan.Route{}, core.Fold{}, out,
		[]core.Bell{quiet{}, quiet{}}, nil, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	agents = append(agents, router)
	for !cuts.Ended() {
		for _, a := range agents {
			if a.Step(0); a.Err() != nil {
				t.Fatal(a.Err())
			}
		}
	}
	cut, _ := cuts.Pin()
	var all []string
	for b := range cut.Batches(3) {
		for i := range b.Len() {
			var row []string
			for c := range b.Schema().Len() {
				row = append(row, format(b, c, i))
			}
			all = append(all, strings.Join(row, " "))
		}
	}
	return all
}

func format(b *record.Batch, c, i int) string {
	column, typ := b.Column(c), b.Schema().Field(c).Type
	if column.Null(i) {
		return "NULL"
	}
	switch {
	case typ.IsLogical():
		return string(column.AppendLogical(nil, typ, i))
	case typ == record.String:
		return string(column.View(i))
	}
	e := expr.Int(typ, int64(column.Words()[i]))
	return strings.TrimSuffix(strings.TrimPrefix(e.String(), "TIMESTAMP '"), "'")
}

// Goal: queries give the rows that they should. Method: a few trades, rows written down; the rows of queries with ORDER BY in their order.
func TestRows(t *testing.T) {
	x, y := "x", "y"
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	trades := []trade{
		{"A", 10, 1, &x, at(1)},
		{"B", 20, 2, nil, at(2)},
		{"A", 12, 3, &y, at(11)},
		{"C", 5, 10, &x, at(12)},
		{"B", 22, 5, &y, at(25)},
		{"A", 8, 0, nil, at(29)},
	}
	for _, c := range []struct {
		text    string
		want    []string
		ordered bool
	}{
		{
			`SELECT symbol, count(*) AS n, sum(size) AS v FROM trades GROUP BY symbol ORDER BY symbol`,
			[]string{"A 3 4", "B 2 7", "C 1 10"},
			true,
		},
		{
			`SELECT symbol, sum(size) AS v FROM trades GROUP BY symbol ORDER BY v DESC LIMIT 2`,
			[]string{"C 10", "B 7"},
			true,
		},
		{
			`SELECT symbol, sum(size) AS v FROM trades GROUP BY symbol ORDER BY 2 OFFSET 1`,
			[]string{"B 7", "C 10"},
			true,
		},
		{
			`SELECT symbol FROM trades GROUP BY symbol HAVING count(*) > 1 ORDER BY symbol DESC`,
			[]string{"B", "A"},
			true,
		},
		{
			`SELECT venue, count(*) FROM trades GROUP BY venue ORDER BY venue NULLS FIRST`,
			[]string{"NULL 2", "x 2", "y 2"},
			true,
		},
		{`SELECT venue, count(*) FROM trades GROUP BY venue ORDER BY venue`, []string{"x 2", "y 2", "NULL 2"}, true},
		{
			`SELECT count(*), count(venue), max(price) - min(price) AS spread FROM trades WHERE symbol <> 'C'`,
			[]string{"5 3 14"},
			false,
		},
		{`SELECT sum(price * size) / sum(size) AS vwap FROM trades WHERE symbol = 'A'`, []string{"11.5"}, false},
		{`SELECT count(*) AS n, sum(size) AS v FROM trades WHERE size > 1000`, []string{"0 NULL"}, false},
		{
			`SELECT count(*) FILTER (WHERE venue = 'x') AS xs, sum(size) FILTER (WHERE venue IS NULL) AS v FROM trades`,
			[]string{"2 2"},
			false,
		},
		{`SELECT size % 2 AS odd, count(*) FROM trades GROUP BY 1 ORDER BY 1`, []string{"0 3", "1 3"}, true},
		{`SELECT CASE WHEN size = 0 THEN 'none' WHEN 10 / size > 4 THEN 'few' ELSE 'many' END AS c, count(*) FROM trades GROUP BY c ORDER BY c`, []string{"few 2", "many 3", "none 1"}, true},
		{`SELECT symbol, count(DISTINCT venue) AS v, count(*) AS n, sum(size) AS s FROM trades GROUP BY symbol ORDER BY symbol`, []string{"A 2 3 4", "B 1 2 7", "C 1 1 10"}, true},
		{`SELECT count(DISTINCT venue) AS v, count(DISTINCT venue) FILTER (WHERE true) + 1 AS w FROM trades WHERE size > 100`, []string{"0 1"}, false},
		{`SELECT count(DISTINCT symbol || coalesce(venue, '-')) AS v, count(DISTINCT symbol || coalesce(venue, '-')) * 2 AS w FROM trades`, []string{"6 12"}, false},
		{`SELECT symbol, count(DISTINCT symbol) AS v FROM trades GROUP BY symbol HAVING count(DISTINCT symbol) = count(*) ORDER BY 1`, []string{"C 1"}, true},
		{`SELECT count(DISTINCT size) FILTER (WHERE venue = 'x') AS v FROM trades`, []string{"2"}, false},
		{`SELECT count(DISTINCT venue) AS v FROM trades WHERE size > 1000`, []string{"0"}, false},
		{`SELECT DISTINCT venue FROM trades WHERE venue IS NOT NULL ORDER BY 1`, []string{"x", "y"}, true},
		{
			`SELECT extract(second FROM window_start) AS s, extract(second FROM window_end) AS e, count(*) AS n FROM trades GROUP BY session(at, INTERVAL '2 s') ORDER BY s`,
			[]string{"1 4 2", "11 14 2", "25 27 1", "29 31 1"},
			true,
		},
		{
			`SELECT symbol, extract(second FROM window_end) AS e, count(*) AS n FROM TABLE(SESSION(TABLE trades, DESCRIPTOR(at), INTERVAL '10' SECOND)) GROUP BY symbol, window_start, window_end ORDER BY symbol, e`,
			[]string{"A 21 2", "A 39 1", "B 12 1", "B 35 1", "C 22 1"},
			true,
		},
		{`SELECT window_start, symbol, sum(size) AS v FROM trades GROUP BY symbol, tumble(at, INTERVAL '10 s') ORDER BY window_start, symbol`, []string{
			"1970-01-01T00:00:00Z A 1", "1970-01-01T00:00:00Z B 2", "1970-01-01T00:00:10Z A 3",
			"1970-01-01T00:00:10Z C 10", "1970-01-01T00:00:20Z A 0", "1970-01-01T00:00:20Z B 5",
		}, true},
		{
			`SELECT extract(second FROM window_end) AS e, count(*) AS n FROM HOP(trades, at, INTERVAL '10 s', INTERVAL '20 s') GROUP BY window_start, window_end HAVING count(*) > 2 ORDER BY e`,
			[]string{"20 4", "30 4"},
			true,
		},
		// the one that cannot be computed is in quarantine
		{`SELECT symbol, sum(10 / size) FROM trades WHERE symbol = 'A' GROUP BY symbol`, []string{"A 13"}, false},
		{
			`SELECT symbol || '-' || coalesce(venue, '?') AS k, min(price) AS p FROM trades GROUP BY k ORDER BY p LIMIT 3`,
			[]string{"C-x 5", "A-? 8", "A-x 10"},
			true,
		},
		{`SELECT first(venue, at) AS l, last(venue, at) AS m, min(symbol) AS a, max(symbol || '!') AS z, max(venue) FILTER (WHERE size < 0) AS n FROM trades`, []string{"x NULL A C! NULL"}, false},
		{`SELECT approx_count_distinct(symbol) AS d, approx_count_distinct(venue) AS v, round(approx_percentile(price, 0.5)) AS p FROM trades`, []string{"3 2 10"}, false},
		{`SELECT venue, min(symbol) AS s FROM trades GROUP BY venue HAVING min(symbol) > 'A' OR venue IS NULL ORDER BY s`, []string{"NULL A"}, false},
		{`SELECT min(concat(size > 2, NULL, size)) AS c, max(concat(venue = 'x')) AS v, min((size > 2) || '') AS j FROM trades`, []string{"f0 t false"}, false},
		{`SELECT count(*) FILTER (WHERE size - 9223372036854775807 = -9223372036854775807 AND -9223372036854775808 < size) AS n FROM trades`, []string{"1"}, false},
		{
			`SELECT count(*) FILTER (WHERE size + 9000000000000000000 > 2.5) AS a, count(*) FILTER (WHERE size < 2.5) AS b, count(*) FILTER (WHERE -0.5 <= size) AS c, count(*) FILTER (WHERE 2.5 > size) AS d,
			count(*) FILTER (WHERE size = 2.5) AS e, count(*) FILTER (WHERE size <> 2.5) AS f, count(*) FILTER (WHERE size >= 5.0) AS g, count(*) FILTER (WHERE size = 10.00) AS h, count(*) FILTER (WHERE size <= -0.5) AS i
			FROM trades`, []string{"6 3 6 3 0 6 2 1 0"}, false,
		},
		{`SELECT size AS a, +size AS b, round(size, 1) AS c, count(*) AS n FROM trades WHERE size > 4 GROUP BY 1, 2, 3 ORDER BY 1`, []string{"5 5 5 1", "10 10 10 1"}, true},
		{
			`SELECT CAST('abc' AS varchar(2)) || symbol AS s, max(CAST('1970-01-02 13:00' AS date)) AS c, max(DATE '1970-01-02 13:00') AS d FROM trades WHERE size = 10 GROUP BY 1`,
			[]string{"abC 1970-01-02T00:00:00Z 1970-01-02T00:00:00Z"},
			false,
		},
		{
			`SELECT max(extract(epoch FROM TIMESTAMP '2191-05-08T01:39:36' - at)) AS e FROM trades WHERE size = 1`,
			[]string{"6985100375"},
			false,
		},
		{`SELECT last(1 / size, at) FILTER (WHERE size > 0) AS l, sum(size) AS n FROM trades`, []string{"0 21"}, false},
		{
			`SELECT approx_top_k(symbol, 1) AS t, json_array_length(reservoir_sample(size, 4)) AS s FROM trades WHERE symbol = 'A'`,
			[]string{`[{"value": "A", "count": 3, "error": 0}] 3`},
			false,
		},
		// what is too long, and what is no state, is in quarantine
		{`SELECT count(*) AS n, approx_top_k(repeat(symbol, CASE WHEN size > 4 THEN 257 ELSE 256 END), 1) IS NULL AS t FROM trades`, []string{"4 FALSE"}, false},
		{`SELECT count(*) AS n, approx_count_distinct_merge(symbol) AS d, approx_percentile_merge(symbol, 0.5) AS p FROM trades`, []string{"0 0 NULL"}, false},
		{`SELECT approx_percentile(price, size) FROM trades`, nil, false},
		{`SELECT approx_top_k(price, size) FROM trades`, nil, false},
		{`SELECT approx_top_k(price, 101) FROM trades`, nil, false},
		{`SELECT reservoir_sample(price, 0) FROM trades`, nil, false},
		{`SELECT reservoir_sample(price, 3) OVER () FROM trades`, nil, false},
		{`SELECT approx_percentile_merge(price, 0.5) FROM trades`, nil, false},
		{`SELECT approx_percentile_merge(symbol, 1.5) FROM trades`, nil, false},
		{`SELECT approx_percentile_state(symbol) FROM trades`, nil, false},
		{`SELECT approx_percentile(price, 50) FROM trades`, nil, false},
	} {
		if c.want == nil {
			if _, err := query.Compile(c.text, func() *record.Schema {
				s, _ := record.SchemaOf[trade]("trades")
				return s
			}()); err == nil {
				t.Errorf("%s was taken", c.text)
			}
			continue
		}
		got := rows(t, c.text, trades)
		if !c.ordered {
			slices.Sort(got)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s\n%s\nexpected\n%s", c.text, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// Goal: aggregates of one column share its number of values, and each is what it is alone, also of a group that has none. Method: every set of them, over columns with NULLs in some groups, in all and in none, against the aggregates one by one; those
// are held against what they must be.
func TestSharedCount(t *testing.T) {
	var trades []trade
	for i, symbol := range []string{"none", "some", "all", "none", "some", "none"} {
		tr := trade{Symbol: symbol, Size: int64(i + 2), Price: float64(i) + 0.5, At: time.Unix(int64(i), 0)}
		if symbol == "none" || symbol == "some" && i == 1 {
			tr.Size, tr.Price = 1, 1
		}
		trades = append(trades, tr)
	}
	for _, x := range []struct {
		arg  string
		want map[string]string
	}{
		{"nullif(size, 1)", map[string]string{
			"count(*)": "all 1, none 3, some 2", "count": "all 1, none 0, some 1", "sum": "all 4, none NULL, some 6",
			"avg": "all 4, none NULL, some 6",
			"min": "all 4, none NULL, some 6", "max": "all 4, none NULL, some 6",
		}},
		{"nullif(price, 1)", map[string]string{
			"count(*)": "all 1, none 3, some 2", "count": "all 1, none 0, some 1",
			"sum": "all 2.5, none NULL, some 4.5", "avg": "all 2.5, none NULL, some 4.5",
			"min": "all 2.5, none NULL, some 4.5", "max": "all 2.5, none NULL, some 4.5",
		}},
	} {
		names := []string{"count(*)", "count", "sum", "avg", "min", "max"}
		for set := 1; set < 1<<len(names); set++ {
			text, want := "SELECT symbol", [][]string{{"all"}, {"none"}, {"some"}}
			for i, name := range names {
				if set>>i&1 == 0 {
					continue
				}
				for g, row := range strings.Split(x.want[name], ", ") {
					want[g] = append(want[g], strings.Fields(row)[1])
				}
				if name != "count(*)" {
					name += "(" + x.arg + ")"
				}
				text += ", " + name + " AS c" + string(rune('0'+i))
			}
			got := rows(t, text+" FROM trades GROUP BY symbol ORDER BY symbol", trades)
			for g, row := range want {
				if g >= len(got) || got[g] != strings.Join(row, " ") {
					t.Fatalf("%s\n%q\nexpected %q", text, got, want)
				}
			}
		}
	}
}
