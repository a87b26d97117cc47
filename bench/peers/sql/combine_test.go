package sql

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Goal: results that are combined by set operations have the rows that PostgreSQL says they have.
// Method: random queries of up to four parts, which group, are distinct or pass records through, with
// NULLs, numbers of several types, and an order and a limit of the whole.
func TestCombine(t *testing.T) {
	randomQueries(t, 150, 7, sized(0, 1, 30, 200), nil, func(rng *rand.Rand) string {
		one := func(of ...string) string { return of[rng.IntN(len(of))] }
		var parts []string
		for range 2 + rng.IntN(3) {
			number, text := one("j", "i % 5", "d", "e", "CAST(j AS double precision)", "1"), one("CAST(s AS text)", "'a'", "lower(s)")
			distinct := one("", "DISTINCT ")
			if len(parts) > 0 && rng.IntN(6) == 0 { // PostgreSQL makes a text of DISTINCT NULL
				number, distinct = "NULL", ""
			}
			part := "SELECT " + distinct + number + " AS x, " + text + " AS y FROM t" + one("", " WHERE b", " WHERE i > 0")
			if one("g", "p", "p") == "g" {
				part = "SELECT " + one("count(*)", "max(j)", "min(d)", "j % 3") + " AS x, CAST(s AS text) AS y FROM t GROUP BY s, j % 3"
			}
			if len(parts) > 0 {
				part = one("UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL") + " " + part
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, " ") + one("", " ORDER BY x, y", " ORDER BY y DESC, 1 LIMIT 7", " ORDER BY 2, x OFFSET 3")
	})
}
