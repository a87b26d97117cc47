package syntax

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/velo-engine/velo/internal/golden"
)

// styles are statements of all styles that users write.
var styles = []string{
	`SELECT symbol, count(*) AS n, sum(size) AS volume FROM trades WHERE price > 0 GROUP BY symbol, tumble(at, INTERVAL '1' SECOND)`,
	`SELECT a.b, "Quoted ""Name""" FROM "dir/trades.csv" AS a WHERE NOT a.b OR c AND d`,
	`SELECT window_start, window_end, count(*) FROM TABLE(TUMBLE(TABLE bid, DESCRIPTOR(bidtime), INTERVAL '10' MINUTES)) GROUP BY window_start, window_end`,
	`SELECT count(*) FROM HOP(bid, at, INTERVAL '1 s', INTERVAL '10 s') GROUP BY window_start`,
	`SELECT count(*) FROM TABLE(CUMULATE(TABLE bid, DESCRIPTOR(at), INTERVAL '2' MINUTES, INTERVAL '10' MINUTES)) GROUP BY window_start`,
	`SELECT count(*) FROM t GROUP BY session(at, INTERVAL '5 minutes') EMIT FINAL`,
	`SELECT x FROM t GROUP BY x HAVING count(*) FILTER (WHERE y IS NOT NULL) > 3 ORDER BY 1 DESC NULLS LAST, x LIMIT 10 OFFSET 5`,
	`SELECT DISTINCT CASE WHEN a = 1 THEN 'one' ELSE 'it''s' END, CASE a WHEN 1 THEN 2 END FROM t`,
	`SELECT CAST(a AS decimal(12, 2)), a::double precision, a::timestamp with time zone, TIMESTAMP '2024-01-01', DATE '2024-01-01' FROM t`,
	`SELECT extract(hour FROM at), substring(s FROM 2 FOR 3), position('a' IN s), trim(BOTH 'x' FROM s), trim(LEADING FROM s) FROM t`,
	`SELECT a IN (1, 2, 3), a NOT IN (1), a BETWEEN 1 AND 2 AND b, a NOT LIKE 'x%' ESCAPE '!', a ILIKE 'y', a IS DISTINCT FROM b, a IS NOT TRUE FROM t`,
	`SELECT a > ANY (SELECT b FROM t), a || 'x' <= ALL (SELECT b FROM t) IS TRUE, NOT a <> ANY (SELECT b FROM t), a = ALL (SELECT b FROM t) FROM t`,
	`SELECT (a > ANY (SELECT b FROM t)) = b, (a > ANY (SELECT b FROM t)) IN (b, c) FROM t LIMIT NULL`,
	`SELECT * EXCLUDE (a, "B c"), t.* EXCEPT (a), u.* EXCLUDE a FROM t EXCEPT (SELECT * FROM u) EXCEPT SELECT * EXCEPT (b) FROM w`,
	`SELECT a GLOB 'x*', a NOT GLOB '[a-c]?', glob FROM t WHERE glob = 1`,
	`SELECT sum(a) OVER (ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW), sum(a) OVER (ORDER BY b GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES), sum(a) OVER (ORDER BY b RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW EXCLUDE GROUP) FROM t`,
	`SELECT count(DISTINCT a), percentile_cont(0.9) WITHIN GROUP (ORDER BY x), approx_percentile(x, 0.99) FROM t`,
	`SELECT -a ^ 2 * 3 + 4 - 5 % 6 || 'x', - - 1, +1, a - -1, 1.5e-3, .5, 12345678901234567890 FROM t`,
	`SELECT at, size, value, type, first, count, source, date, timestamp, interval, window, key FROM t`,
	`CREATE SOURCE IF NOT EXISTS trades (symbol varchar(10) NOT NULL, price double precision, at timestamp, WATERMARK FOR at AS at - INTERVAL '5 s') WITH (connector = 'file', path = 'x.csv')`,
	`CREATE SINK out FROM trades WITH (connector = 'file')`,
	`CREATE SINK out AS SELECT count(*) FROM t WITH (connector = 'file', 'scan.mode' = 5)`,
	`CREATE SINK out FROM t WITH ('.' = 0, 'a..b' = 1)`,
	`CREATE SINK out WITH (connector = 'file')`,
	`INSERT INTO out SELECT count(*) FROM t`,
	`EXPLAIN SELECT count(*) FROM t`,
	`SELECT a FROM t UNION SELECT b FROM t EXCEPT SELECT c FROM t INTERSECT ALL SELECT d FROM t ORDER BY 1 LIMIT 3`,
	`(SELECT a FROM t UNION ALL SELECT b FROM t) INTERSECT (SELECT c FROM t LIMIT 1)
		UNION DISTINCT (SELECT d FROM t UNION SELECT e FROM t) OFFSET 2`,
	`WITH x AS (SELECT a FROM t UNION SELECT b FROM t)
		SELECT a FROM x UNION SELECT n FROM (SELECT a AS n FROM x EXCEPT SELECT b FROM u) AS y`,
	`INSERT INTO out (SELECT a FROM t) UNION SELECT b FROM t`,
	`CREATE SINK out AS SELECT a FROM t EXCEPT SELECT b FROM t WITH (connector = 'file')`,
	"SELECT a -- a comment\nFROM t /* another /* in it */ */ WHERE b",
	`SELECT E'a\n\x41\u00e4', 'x' FROM t EMIT CHANGES`,
}

// Goal: what is printed parses to what was printed.
func TestRoundTrip(t *testing.T) {
	for _, text := range styles {
		all, err := Parse(text)
		if err != nil {
			t.Errorf("%s\n%v", text, err)
			continue
		}
		again(t, all)
	}
}

func again(t *testing.T, all []Statement) {
	t.Helper()
	for _, s := range all {
		printed := s.String()
		back, err := Parse(printed)
		if err != nil || len(back) != 1 || back[0].String() != printed {
			t.Errorf("%s\ncomes back as %v, %v", printed, back, err)
		}
	}
}

// Goal: operators bind as PostgreSQL's do. Method: the text with all parentheses that mean something, and the one with none that do not.
func TestPrecedence(t *testing.T) {
	for text, want := range map[string]string{
		"(a OR (b AND (NOT c)))":      "a OR b AND NOT c",
		"((a OR b) AND c)":            "(a OR b) AND c",
		"(NOT (a = b))":               "NOT a = b",
		"((NOT a) = b)":               "(NOT a) = b",
		"(1 + (2 * 3))":               "1 + 2 * 3",
		"((1 + 2) * 3)":               "(1 + 2) * 3",
		"(1 - (2 - 3))":               "1 - (2 - 3)",
		"((1 - 2) - 3)":               "1 - 2 - 3",
		"((- a) ^ 2)":                 "-a ^ 2", // as PostgreSQL: the sign binds closer
		"((2 ^ 3) ^ 4)":               "2 ^ 3 ^ 4",
		"((a + b) < (c * d))":         "a + b < c * d",
		"((a || b) = c)":              "a || b = c",
		"(a LIKE (b || c))":           "a LIKE b || c",
		"((a < b) IS NULL)":           "a < b IS NULL",
		"(- (a::int))":                "-a::int",
		"((-a)::int)":                 "(-a)::int",
		"((a BETWEEN 1 AND 2) AND b)": "a BETWEEN 1 AND 2 AND b",
		"((a IN (1, 2)) = TRUE)":      "(a IN (1, 2)) = TRUE",
		"(NOT (a IN (1)))":            "NOT a IN (1)",
		"((a IS NOT NULL) AND (b))":   "a IS NOT NULL AND b",
		"(a = (b IS NULL))":           "a = (b IS NULL)",
		"a = 1 AND b = 2":             "(a, b) = (1, 2)",
		"a <> 1 OR b <> 2":            "ROW(a, b) <> (1, 2)",
		"a < 1 OR a = 1 AND b <= 2":   "(a, b) <= (1, 2)",
		"a > 1 OR a = 1 AND (b > 2 OR b = 2 AND c > 3)": "(a, b, c) > (1, 2, 3)",
		"NOT (a = 1 AND b = 2 OR a = 3 AND b = 4)":      "(a, b) NOT IN ((1, 2), (3, 4))",
		"a IS NOT NULL AND b IS NOT NULL":               "(a, b) IS NOT NULL",
		"a IS DISTINCT FROM 1 OR b IS DISTINCT FROM 2":  "(a, b) IS DISTINCT FROM (1, 2)",
		"((a GLOB 'b*') AND (NOT (c GLOB '?')))":        "a GLOB 'b*' AND NOT c GLOB '?'",
		"((a + INTERVAL '1 s') < b)":                    "a + INTERVAL '1 s' < b",
		"(CASE WHEN (a) THEN (b) END)":                  "CASE WHEN a THEN b END",
	} {
		parse := func(text string) string {
			s, err := ParseQuery("SELECT " + text + " FROM t")
			if err != nil {
				t.Fatalf("%s\n%v", text, err)
			}
			return s.Items[0].Expr.String()
		}
		a, b := parse(text), parse(want)
		if a != b {
			t.Errorf("%s is %s, %s is %s", text, a, want, b)
		}
	}
}

// Goal: faults are at their place and say what was expected, in words of SQL. Method: see
// testdata/errors.txt.
func TestFaults(t *testing.T) {
	golden.Run(t, "testdata/errors.txt", func(t *testing.T, c *golden.Case) string {
		_, err := ParseQuery(strings.TrimSuffix(c.Input, "\n"))
		e, ok := err.(*Error)
		if !ok {
			t.Fatalf("%q: %v", c.Input, err)
		}
		lines := strings.Split(e.Error(), "\n")
		if len(lines) != 3 || !strings.HasSuffix(lines[2], "^") || e.Line < 1 || e.Column < 1 {
			t.Errorf("%q: line %d, column %d, %s", c.Input, e.Line, e.Column, e.Error())
		}
		return e.Error()
	})
}

// Goal: hostile texts end soon. Method: deep and long ones.
func TestHostile(t *testing.T) {
	begin := time.Now()
	for _, text := range []string{
		"SELECT " + strings.Repeat("(", 100_000), "SELECT " + strings.Repeat("(", 100) + "1" +
			strings.Repeat(")", 100) + " FROM t",
		"SELECT " + strings.Repeat("NOT ", 50_000) + "a FROM t", "SELECT " + strings.Repeat("- ", 50_000) + "a FROM t",
		"SELECT a" + strings.Repeat(" AND a", 50_000) + " FROM t", "SELECT a" + strings.Repeat("::int", 50_000) +
			" FROM t",
		"SELECT " + strings.Repeat("CASE WHEN ", 10_000), strings.Repeat("EXPLAIN ", 10_000),
		"SELECT " + strings.Repeat("f(", 50_000), strings.Repeat("/*", 100_000),
		strings.Repeat("SELECT a FROM t;", 10_000), "SELECT '" + strings.Repeat("'", 100_001),
		strings.Repeat("a", MaxText+1), strings.Repeat("SELECT a FROM (", 50_000),
		strings.Repeat("SELECT (", 50_000) + "1", strings.Repeat("SELECT a FROM t WHERE NOT NOT a IN (", 20_000),
		strings.Repeat("SELECT a FROM "+strings.Repeat("(", 150), 500),
		strings.Repeat("WITH a AS (", 50_000),
	} {
		all, err := Parse(text)
		if err == nil && len(all) < 100 {
			again(t, all)
		}
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// Goal: queries are in each other up to MaxQueries deep, whatever they are in, and the names of WITH
// do not make more of them. Method: the deepest that is allowed, and one more.
func TestMaxQueries(t *testing.T) {
	in := func(n int, before, after string) string {
		return strings.Repeat(before, n) + "SELECT a FROM t" + strings.Repeat(after, n)
	}
	with := func(n, copies int) string {
		text := "WITH w0 AS (SELECT a FROM t)"
		for i := range n {
			text += fmt.Sprintf(", w%d AS (SELECT a FROM w%d", i+1, i)
			for range copies {
				text += fmt.Sprintf(" WHERE a IN (SELECT a FROM w%d)", i)
			}
			text += ")"
		}
		return text + fmt.Sprintf(" SELECT a FROM w%d", n)
	}
	for _, c := range []struct{ allowed, more, fault string }{
		{in(MaxQueries, "SELECT a FROM (", ")"), in(MaxQueries+1, "SELECT a FROM (", ")"), "queries in each other"},
		{in(MaxQueries, "SELECT a IN (", ")"), in(MaxQueries+1, "SELECT a IN (", ")"), "queries in each other"},
		{in(MaxQueries, "SELECT EXISTS (", ")"), in(MaxQueries+1, "SELECT EXISTS (", ")"), "queries in each other"},
		{with(MaxQueries-2, 0), with(MaxQueries-1, 0), "by the names of WITH"},
		{with(6, 1), with(9, 1), "stand for more than"},
	} {
		if _, err := Parse(c.allowed); err != nil {
			t.Errorf("%.60s: %v", c.allowed, err)
		}
		if _, err := Parse(c.more); err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%.60s: %v, expected %s", c.more, err, c.fault)
		}
	}
}

// FuzzParse: no text makes the parser panic, and what parses is printed as something that parses to the same.
func FuzzParse(f *testing.F) {
	for _, s := range styles {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Parse(text)
		if err != nil {
			if e, ok := err.(*Error); !ok || e.Line < 1 || e.Column < 1 || !utf8.ValidString(e.Message) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		again(t, all)
	})
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := Parse(styles[0]); err != nil {
			b.Fatal(err)
		}
	}
}
