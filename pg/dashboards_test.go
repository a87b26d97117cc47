//go:build unix

package pg_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/velo-engine/velo/pg"
	"github.com/velo-engine/velo/pg/internal/market"
)

// dashboardStatements are of the shape that dashboards make of what people click together: macros
// of Grafana's source, filled in; questions of Metabase; drags of Tableau; a grid of DBeaver.
var dashboardStatements = []string{
	// Grafana
	`SELECT last_at AS "time", n FROM volumes WHERE last_at BETWEEN '2020-01-01T00:00:00Z' AND '2040-01-01T00:00:00Z' ORDER BY symbol`,
	`SELECT last_at AS "time", symbol AS metric, n AS value FROM volumes WHERE last_at >= '2020-01-01T00:00:00.123Z' ORDER BY 1, 2`,
	`SELECT extract(epoch from last_at) as "time", n FROM volumes ORDER BY symbol`,
	`SELECT floor(extract(epoch from last_at)/60)*60 AS "time", sum(n) FROM volumes GROUP BY 1 ORDER BY 1`,
	`SELECT floor(extract(epoch from last_at)/300)*300 AS "time", symbol AS metric, avg(avg_price) AS "avg_price" FROM volumes ` +
		`WHERE last_at BETWEEN '2020-01-01T00:00:00Z' AND '2040-01-01T00:00:00Z' GROUP BY time, symbol ORDER BY time, 2`,
	`SELECT symbol, n FROM public.volumes WHERE n >= 0 AND n <= 1577836800 ORDER BY symbol LIMIT 50`,
	`SELECT floor((n)/10)*10 AS "time", count(*) FROM volumes GROUP BY 1 ORDER BY 1`,
	`SELECT DISTINCT symbol FROM volumes ORDER BY symbol`,
	`SELECT COUNT(n), symbol FROM "public"."volumes" WHERE (symbol IN ('S0','S12') AND hot = true) GROUP BY symbol ORDER BY symbol ASC LIMIT 50`,
	`SELECT "symbol", AVG(avg_price) AS "average", MAX(n) FROM volumes GROUP BY "symbol" ORDER BY "average" DESC, symbol LIMIT 5`,
	// Metabase
	`SELECT "public"."volumes"."symbol" AS "symbol", "public"."volumes"."n" AS "n", "public"."volumes"."avg_price" AS "avg_price", ` +
		`"public"."volumes"."hot" AS "hot", "public"."volumes"."last_at" AS "last_at" FROM "public"."volumes" ORDER BY "public"."volumes"."symbol" ASC LIMIT 1048575`,
	`SELECT "public"."volumes"."hot" AS "hot", COUNT(*) AS "count", SUM("public"."volumes"."n") AS "sum" FROM "public"."volumes" ` +
		`GROUP BY "public"."volumes"."hot" ORDER BY "public"."volumes"."hot" ASC`,
	`SELECT DATE_TRUNC('day', "public"."volumes"."last_at") AS "last_at", COUNT(*) AS "count" FROM "public"."volumes" ` +
		`GROUP BY DATE_TRUNC('day', "public"."volumes"."last_at") ORDER BY DATE_TRUNC('day', "public"."volumes"."last_at") ASC`,
	`SELECT "source"."symbol" AS "symbol", "source"."big" AS "big" FROM (SELECT "public"."volumes"."symbol" AS "symbol", ` +
		`"public"."volumes"."n" * 2 AS "big" FROM "public"."volumes") AS "source" WHERE "source"."big" > 2 ORDER BY "source"."symbol" ASC LIMIT 2000`,
	`SELECT COUNT(DISTINCT "public"."volumes"."symbol") AS "count" FROM "public"."volumes" WHERE (LOWER("public"."volumes"."symbol") LIKE '%s1%')`,
	`SELECT substring("public"."volumes"."symbol", 1, 1234) AS "substring1" FROM "public"."volumes" ORDER BY 1 LIMIT 10000`,
	`SELECT FLOOR((("public"."volumes"."avg_price" - 0.0) / 10.0)) * 10.0 + 0.0 AS "avg_price", COUNT(*) AS "count" FROM "public"."volumes" ` +
		`GROUP BY FLOOR((("public"."volumes"."avg_price" - 0.0) / 10.0)) * 10.0 + 0.0 ORDER BY 1 ASC`,
	`SELECT SUM(CASE WHEN "public"."volumes"."n" > 5 THEN 1 ELSE 0.0 END) AS "x" FROM "public"."volumes"`,
	`SELECT TRUE AS "_" FROM "public"."volumes" WHERE 1 <> 1 LIMIT 0`,
	// Tableau
	`SELECT "volumes"."symbol" AS "symbol", SUM("volumes"."n") AS "sum:n:ok" FROM "public"."volumes" "volumes" GROUP BY 1 ORDER BY 1`,
	`SELECT SUM("volumes"."n") AS "sum:n:ok" FROM "public"."volumes" "volumes" HAVING (COUNT(1) > 0)`,
	`SELECT COUNT(1) AS "__measure__0" FROM (SELECT * FROM "public"."volumes") "Custom SQL Query"`,
	`SELECT CAST("volumes"."symbol" AS TEXT) AS "symbol", CAST(EXTRACT(YEAR FROM "volumes"."last_at") AS INTEGER) AS "yr" FROM "public"."volumes" "volumes" ORDER BY 1`,
	`SELECT * FROM "public"."volumes" LIMIT 0`,
	// DBeaver, DataGrip
	`SELECT t.* FROM public.volumes t ORDER BY symbol LIMIT 501`,
	`SELECT x.symbol, x.n FROM public.volumes x WHERE x.n IS NOT NULL ORDER BY x.symbol LIMIT 200 OFFSET 3`,
	`SELECT COUNT(*) FROM public.volumes t`,
}

// Goal: statements that dashboards make over a view have the rows and columns that PostgreSQL
// gives. Method: each goes to a view and to a table of PostgreSQL that has the rows of the view.
// Numbers may be written in other ways: PostgreSQL's extract gives a numeric, and velo's a double.
func TestDashboards(t *testing.T) {
	theirs := newPostgres(t)
	h := serve(t, 40, pg.Config{})
	must(t, h.Send(t.Context(), market.Some(25)...))
	must(t, h.Send(t.Context(), market.Some(7)...))
	ours := connect(t, h)
	const columns = "symbol, n, avg_price, turnover, hot, last_at, venue"
	ask(t, theirs, nil, `DROP MATERIALIZED VIEW volumes; CREATE TABLE volumes (symbol text, n bigint, avg_price double precision,
		turnover numeric(18,2), hot boolean, last_at timestamptz, venue text); SET TimeZone = 'UTC'; SET extra_float_digits = 1`)
	ask(t, ours, nil, "SET TimeZone = 'UTC'")
	rows := ask(t, ours, nil, "SELECT "+columns+" FROM volumes").rows
	if len(rows) < 10 {
		t.Fatalf("the view has %d rows", len(rows))
	}
	for _, row := range rows {
		var cells []string
		for cell := range strings.SplitSeq(row, "|") {
			cells = append(cells, "'"+cell+"'")
		}
		if a := ask(t, theirs, nil, fmt.Sprintf("INSERT INTO volumes (%s) VALUES (%s)", columns,
			strings.Join(cells, ","))); a.err != "" {
			t.Fatal(a.message)
		}
	}
	for _, sql := range dashboardStatements {
		want, got := ask(t, theirs, nil, sql), ask(t, ours, nil, sql)
		if !ordered.MatchString(sql) {
			slices.Sort(want.rows)
			slices.Sort(got.rows)
		}
		if want.err != got.err || !slices.EqualFunc(want.rows, got.rows, sameRow) || len(want.columns) != len(got.columns) {
			t.Errorf("%s\n%s", sql, difference(want, got))
			continue
		}
		for i := range want.columns {
			wantName, _, _ := strings.Cut(want.columns[i], ":")
			gotName, _, _ := strings.Cut(got.columns[i], ":")
			if wantName != gotName && wantName != "?column?" {
				t.Errorf("%s\ncolumns %v, want %v", sql, got.columns, want.columns)
			}
		}
	}
}

// sameRow says whether two rows have the same cells, or the same numbers.
func sameRow(a, b string) bool {
	return slices.EqualFunc(strings.Split(a, "|"), strings.Split(b, "|"), func(a, b string) bool {
		x, err1 := strconv.ParseFloat(a, 64)
		y, err2 := strconv.ParseFloat(b, 64)
		return a == b || err1 == nil && err2 == nil && x == y
	})
}
