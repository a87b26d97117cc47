package sql

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/velo-engine/velo/lookup"
)

// dimensions are the tables that queries join, made of the rows of t, with their keys.
var dimensions = []struct {
	name, text string
	key        []string
}{
	{
		"numbers", "SELECT DISTINCT ON (i) i AS k, s, f, j AS m, d FROM t WHERE i IS NOT NULL AND n % 3 > 0 ORDER BY i, n",
		[]string{"k"},
	},
	{"names", "SELECT DISTINCT ON (s) s AS name, i AS k, b, ts, e FROM t WHERE s IS NOT NULL AND n % 4 > 0 " +
		"ORDER BY s, n", []string{"name"}},
	{
		"pairs", "SELECT DISTINCT ON (j % 5, b, s) j % 5 AS a, b, s AS c, g, u, r FROM t WHERE b IS NOT NULL AND s " +
			"IS NOT NULL ORDER BY j % 5, b, s, n",
		[]string{"c", "a", "b"},
	},
}

// Goal: joins with tables have the rows that PostgreSQL says they have. Method: random joins, up to
// three in a query, with further conditions in ON and WHERE, over random tables; keys of one and of
// three columns; groups and records that pass through.
func TestJoins(t *testing.T) {
	tables := func(n int) table {
		return newTable(rand.New(rand.NewPCG(uint64(n), 5)), []int{1, 40, 400, 5}[n%4], n%3 == 2)
	}
	randomQueries(t, 300, 11, tables, func(s *suite) { s.tables = loadDimensions(t, s.oracle) }, joinQuery)
}

// loadDimensions makes the tables in the database, and for velo of what the database has.
func loadDimensions(t *testing.T, o suiteOracle) (tables []*lookup.Table) {
	t.Helper()
	for _, d := range dimensions {
		for _, text := range []string{"DROP TABLE IF EXISTS " + d.name, "CREATE TABLE " + d.name + " AS " + d.text} {
			if _, _, err := o.run(text); err != nil {
				t.Fatal(err)
			}
		}
		fields, rows, err := o.run("SELECT * FROM " + d.name)
		if err != nil {
			t.Fatal(err)
		}
		schema, batches, err := suiteTable(d.name, fields, rows)
		if err != nil {
			t.Fatal(err)
		}
		table, err := lookup.New(lookup.Config{
			Schema: schema, Key: d.key,
			Load: func(_ context.Context, b *lookup.Builder) error {
				for _, batch := range batches {
					if err := b.Append(batch); err != nil {
						return err
					}
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, table)
	}
	return tables
}

// joinQuery is a random query with joins.
func joinQuery(rng *rand.Rand) string {
	one := func(of ...string) string { return of[rng.IntN(len(of))] }
	join := func() string { return one("JOIN ", "LEFT JOIN ", "INNER JOIN ", "LEFT OUTER JOIN ") }
	on := func(conditions ...string) string {
		rng.Shuffle(len(conditions), func(i, j int) { conditions[i], conditions[j] = conditions[j], conditions[i] })
		return " ON " + strings.Join(conditions, " AND ")
	}
	from := "t"
	columns := []string{"t.s", "t.j", "t.i", "t.b", "t.d"}
	conditions := []string{"t.j > 0", "t.b", "t.s < 'b'", "t.f IS NOT NULL"}
	if rng.IntN(4) > 0 {
		more := []string{one("t.i = x.k", "x.k = t.j", "t.j - 3 = x.k", "x.k = coalesce(t.i, 7)")}
		if rng.IntN(3) == 0 {
			more = append(more, one("x.m > 0", "x.f < t.f", "x.s = t.s", "t.j < 5", "x.m IS NULL", "x.d > 1"))
		}
		from += " " + join() + one("numbers AS x", "numbers x") + on(more...)
		columns = append(columns, "x.s", "x.m", "x.f", "x.k", "x.d")
		conditions = append(conditions, "x.m > -5", "x.k IS NULL", "x.s IS NOT NULL", "NOT x.f > 1", "x.d > t.d")
	}
	if rng.IntN(3) > 0 || from == "t" {
		by := "t.s"
		if strings.Contains(from, "numbers") {
			by = one("t.s", "x.s", "lower(t.s)", "coalesce(x.s, t.s)")
		}
		more := []string{one(by+" = y.name", "y.name = "+by)}
		if rng.IntN(3) == 0 {
			more = append(more, one("y.b", "y.k > t.j", "NOT t.b", "y.ts > t.ts", "y.e IS NOT NULL"))
		}
		from += " " + join() + "names y" + on(more...)
		columns = append(columns, "y.name", "y.k", "y.b", "y.e")
		conditions = append(conditions, "y.b", "y.k < 3", "y.name IS NULL", "y.b IS DISTINCT FROM t.b")
	}
	if rng.IntN(3) == 0 {
		from += " " + join() + "pairs z" + on("z.a = t.j % 5", "t.b = z.b", one("z.c = t.s", "z.c = 'a'"))
		columns = append(columns, "z.u", "z.r", "z.a")
		conditions = append(conditions, "z.g > 1", "z.r IS NOT NULL")
	}
	pick := func(of []string) string { return of[rng.IntN(len(of))] }
	where := ""
	if rng.IntN(2) == 0 {
		where = " WHERE " + pick(conditions)
		for rng.IntN(2) == 0 {
			where += one(" AND ", " OR ", " AND ") + pick(conditions)
		}
	}
	if rng.IntN(3) == 0 {
		var items []string
		for i := range 1 + rng.IntN(4) {
			items = append(items, fmt.Sprintf("%s AS c%d", pick(columns), i))
		}
		text := "SELECT t.n, " + strings.Join(items, ", ") + " FROM " + from + where
		if rng.IntN(3) == 0 {
			text = "SELECT c0, count(*) AS n1, max(n) AS n2 FROM (" + text + ") AS q GROUP BY c0"
		}
		return text
	}
	key := one(pick(columns), pick(columns)+", "+pick(columns))
	number := one("t.j", "t.f")
	if strings.Contains(from, "numbers") {
		number = one("x.m", "t.j", "x.m + t.j")
	}
	if rng.IntN(4) == 0 { // two levels: the groups of a join are joined and grouped again
		text := "SELECT " + pick(columns) + " AS v, count(*) AS n1, sum(" + number + ") AS n2 FROM " + from + where +
			" GROUP BY 1" + one("", " HAVING count(*) > 1")
		if rng.IntN(2) == 0 {
			return "SELECT n1 % 3 AS g, count(*) AS c, count(v) AS d, max(n2) AS m FROM (" + text + ") AS q " +
				"GROUP BY n1 % 3"
		}
		return "WITH q AS (" + text + ") SELECT v, n1, x.s, x.m FROM q " + join() + "numbers x" +
			on("x.k = q.n1", one("x.m > 0", "q.n2 IS NOT NULL"))
	}
	return "SELECT " + key + ", count(*) AS n1, sum(" + number + ") AS n2, count(" + pick(columns) + ") AS n3 FROM " +
		from + where +
		" GROUP BY " + key + one("", " HAVING count(*) > 1")
}
