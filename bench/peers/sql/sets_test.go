package sql

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// Goal: GROUPING SETS, ROLLUP and CUBE have the rows that PostgreSQL says they have, with every kind of
// aggregate, of tables without rows too. Method: random sets and aggregates over random tables.
func TestSets(t *testing.T) {
	randomQueries(t, 150, 9, sized(0, 1, 30, 400), nil, func(rng *rand.Rand) string {
		return setsQuery(rng.IntN, func(of ...string) string { return of[rng.IntN(len(of))] })
	})
}

// setsQuery is a random query with sets of keys.
func setsQuery(number func(int) int, one func(...string) string) string {
	keys := []string{"(b)", "(s)", "j % 3", "i % 2", "date_trunc('day', ts)", "(d)"}[:2+number(5)]
	pick := func() string { return keys[number(len(keys))] }
	list := func(n int) string {
		var all []string
		for range n {
			all = append(all, pick())
		}
		return strings.Join(all, ", ")
	}
	by := one("ROLLUP("+list(1+number(3))+")", "CUBE("+list(1+number(3))+")", "ROLLUP(("+list(2)+"), "+pick()+")",
		"GROUPING SETS (("+list(2)+"), "+pick()+", ())", "GROUPING SETS (ROLLUP("+list(2)+"), "+pick()+")",
		"GROUPING SETS (("+list(1)+"), ("+list(3)+"), ("+list(1)+"))")
	if number(4) == 0 {
		by = one(pick()+", "+by, by+", "+pick(), by+", ROLLUP("+pick()+")")
	}
	var items []string
	for _, k := range keys {
		if strings.Contains(by, k) && number(3) > 0 {
			items = append(items, k)
		}
		if strings.Contains(by, k) && number(3) == 0 {
			items = append(items, "grouping("+k+")")
		}
	}
	for range 1 + number(3) {
		items = append(items, one("count(*)", "sum(j)", "min(f)", "max(CAST(s AS text))", "count(DISTINCT i)",
			"CAST(avg(j) AS double precision)", "count(s)", "bool_or(b)", "sum(DISTINCT j)", "sum(d)",
			"percentile_disc(0.5) WITHIN GROUP (ORDER BY j)", "string_agg(s, ',' ORDER BY n)", "max(ts)",
			"CAST(var_pop(f) AS double precision)", "count(*) FILTER (WHERE i > 0)"))
	}
	for i := range items {
		items[i] += fmt.Sprintf(" AS c%d", i)
	}
	return "SELECT " + one("", "", "", "DISTINCT ") + strings.Join(items, ", ") + " FROM t" +
		one("", "", " WHERE i > 0", " WHERE FALSE") + " GROUP BY " + by + one("", "", " HAVING count(*) > 2")
}
