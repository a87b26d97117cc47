package sql

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Goal: functions over rows, of records and of groups, have the rows that PostgreSQL says they have.
// Method: random functions, partitions, orders and frames over random tables.
func TestOver(t *testing.T) {
	randomQueries(t, 150, 5, sized(0, 1, 30, 200), nil, func(rng *rand.Rand) string {
		one := func(of ...string) string { return of[rng.IntN(len(of))] }
		grouped := rng.IntN(3) == 0
		return overQuery(one, grouped)
	})
}

// overQuery is a random query with OVER.
func overQuery(one func(...string) string, grouped bool) string {
	tie, value, number, text := "n", one("i", "f", "d", "ts", "j"), one("i", "f", "d"), "CAST(s AS text)"
	keys := one("b", "s", "b, s", "j % 3")
	if grouped {
		tie, value, number, text = "j, b", one("count(*)", "j", "max(f)"),
			one("count(*)", "CAST(sum(j) AS bigint)", "min(d)"), "min(CAST(s AS text))"
		keys = one("b", "j % 3")
	}
	function := one("row_number()", "rank()", "dense_rank()", "percent_rank()", "cume_dist()", "ntile(3)",
		"lag("+value+")",
		"lead("+value+", 2)", "lag("+text+", 1, 'none')", "first_value("+value+")", "last_value("+value+")",
		"nth_value("+text+", 2)", "sum("+number+")", "count(*)", "count("+value+")", "min("+text+")", "max("+number+")",
		"CAST(avg("+number+") OVER w AS double precision)", "count(*) FILTER (WHERE "+number+" > 2)",
		"string_agg("+text+", '/')", "string_agg("+text+", '') FILTER (WHERE "+number+" > 1)")
	window := ""
	if one("p", "p", "") == "p" {
		window = "PARTITION BY " + keys
	}
	order := one(value, value+" DESC", value+" NULLS FIRST", text)
	whole := one("peers", "total", "total")
	if whole == "total" {
		order += ", " + tie
	}
	window += " ORDER BY " + order
	if whole == "total" {
		window += one("", " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW",
			" ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
			" ROWS BETWEEN 1 FOLLOWING AND 3 FOLLOWING", " ROWS 3 PRECEDING",
			" GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
			" RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING")
	} else {
		function = one("rank()", "dense_rank()", "percent_rank()", "cume_dist()", "sum("+number+")", "count(*)")
		window += one("", " GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW", " RANGE UNBOUNDED PRECEDING")
		if !grouped && one("d", "o", "o") == "d" {
			window = "ORDER BY i RANGE BETWEEN 3 PRECEDING AND 2 FOLLOWING"
			if one("t", "i") == "t" {
				window = "ORDER BY ts DESC RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW"
			}
		}
	}
	exclude := one("", "", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES", " EXCLUDE NO OTHERS")
	if hasFrame(window) {
		window += exclude
	}
	call := function + " OVER w"
	if function[:4] == "CAST" {
		call = function
	}
	if function[:4] == "sum(" { // velo's types of sums are its own
		call = "CAST(" + call + " AS double precision)"
	}
	if grouped {
		return "SELECT j, b, " + call + " AS x FROM t GROUP BY j, b WINDOW w AS (" + window +
			") ORDER BY x, j, b LIMIT 300"
	}
	return "SELECT n, " + call + " AS x FROM t" + one("", " WHERE i > 0") + " WINDOW w AS (" + window +
		") ORDER BY x, n" +
		one("", " LIMIT 10", " LIMIT 5 OFFSET 2")
}

// hasFrame says whether a window says which rows its functions see.
func hasFrame(window string) bool {
	return strings.Contains(window, "PRECEDING") || strings.Contains(window, "FOLLOWING") || strings.Contains(window, "CURRENT ROW")
}

// Goal: DISTINCT ON keeps the rows that PostgreSQL keeps, of records and of groups, with NULLs among
// what it is on. Method: random queries over random tables, in an order without ties.
func TestDistinctOn(t *testing.T) {
	randomQueries(t, 150, 19, sized(0, 1, 30, 400), nil, func(rng *rand.Rand) string {
		one := func(of ...string) string { return of[rng.IntN(len(of))] }
		desc := func() string { return one("", " DESC", " NULLS FIRST", " DESC NULLS LAST") }
		a, b := one("b", "i % 3", "s", "date_trunc('day', ts)"), one("j % 4", "left(s, 1)", "d")
		if rng.IntN(4) == 0 {
			return "SELECT DISTINCT ON (" + one("x", "1", a) + ") " + a + " AS x, j % 5 AS y, sum(j) AS z FROM t GROUP BY 1, 2 " +
				"ORDER BY x" + desc() + ", sum(j)" + desc() + ", y" + one("", " LIMIT 2")
		}
		on, order := a, a+desc()
		if rng.IntN(2) == 0 {
			on, order = a+", "+b, b+desc()+", "+a+desc()
		}
		return "SELECT DISTINCT ON (" + on + ") n, " + a + " AS x, " + b + " AS y, f FROM t" +
			one("", " WHERE i > 0") + " ORDER BY " + order + ", " + one("", "i, ", "f DESC, ") + "n" + desc()
	})
}
