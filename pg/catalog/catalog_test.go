package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample is a database with a relation of each kind.
func sample() *Database {
	return &Database{
		Name: "velo", Owner: "velo", User: "ann", PID: 7, Version: "PostgreSQL 15.0", Users: []string{"ann"},
		Setting: func(name string) (string, bool) { return "on", name == "known" },
		Views: []View{
			{
				Name: "rates", Kind: 'r', Key: []string{"pair"},
				Columns: []Column{
					{Name: "pair", Type: oidText, Mod: -1, NotNull: true},
					{Name: "rate", Type: oidFloat8, Mod: -1},
				},
			},
			{
				Name: "Odd name", Kind: 'v', Columns: []Column{{Name: "x", Type: oidNumeric, Mod: 18<<16 + 2 + 4}},
				Text: func() string { return "SELECT 1 AS x;" }, Comment: "what it is",
			},
		},
	}
}

// query runs a statement, and gives its rows as text.
func query1(text string, args ...any) (string, error) {
	all, err := Split(text)
	if err != nil {
		return "", err
	}
	s, err := Parse(all[0])
	if err != nil {
		return "", err
	}
	q, err := Compile(s, sample(), nil)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rows, err := q.Run(ctx, args)
	if err != nil {
		return "", err
	}
	var lines []string
	for _, r := range rows {
		var cells []string
		for i, v := range r {
			if v == nil {
				cells = append(cells, "NULL")
				continue
			}
			cells = append(cells, q.Text(v, q.Columns[i].Type))
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	return strings.Join(lines, "; "), nil
}

// Goal: statements give what PostgreSQL gives. The answers are PostgreSQL's; TestCorpus compares
// more of them with PostgreSQL itself.
func TestQueries(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"SELECT 1, 'a', NULL, true, 1.50, -3, 2 ^ 3", "1|a|NULL|t|1.50|-3|8"},
		{"SELECT 7 / 2, -7 / 2, 7 % -4, 7.0 / 2", "3|-3|3|3.5"},
		{"SELECT NULL OR true, NULL AND false, NOT NULL::bool, NULL = NULL, NULL IS NULL", "t|f|NULL|NULL|t"},
		{"SELECT 1 IN (2, NULL), 1 NOT IN (2, NULL), 1 IN (1, NULL), 2 <> ALL (ARRAY[1, 3])", "NULL|NULL|t|t"},
		{"SELECT 1 IS DISTINCT FROM NULL, NULL IS NOT DISTINCT FROM NULL", "t|t"},
		{
			"SELECT 'a_c' LIKE 'a\\_c', 'abc' LIKE 'a\\_c', 'a%' LIKE 'a!%' ESCAPE '!', 'ab' LIKE 'a!%' ESCAPE '!'",
			"t|f|t|f",
		},
		{
			"SELECT 'x' || 1 || true, ARRAY[1] || 2, 0 || ARRAY[1, 2], ARRAY[1] || ARRAY[2, 3]",
			"x1true|{1,2}|{0,1,2}|{1,2,3}",
		},
		{"SELECT (ARRAY[1, 2, 3])[2:], (ARRAY['a', 'b'])[3], '{1,2}'::int[] @> ARRAY[2]", "{2,3}|NULL|t"},
		{"SELECT CASE 2 WHEN 1 THEN 'a' WHEN 2 THEN 'b' END, CASE WHEN false THEN 1 END", "b|NULL"},
		{"SELECT a FROM (VALUES (2), (1), (NULL)) v(a) ORDER BY a", "1; 2; NULL"},
		{"SELECT a FROM (VALUES (2), (1), (NULL)) v(a) ORDER BY a DESC", "NULL; 2; 1"},
		{"SELECT a FROM (VALUES (2), (1), (NULL)) v(a) ORDER BY a DESC NULLS LAST LIMIT 2 OFFSET 1", "1; NULL"},
		{"SELECT a, count(*) FROM (VALUES (1), (2), (1)) v(a) GROUP BY a HAVING count(*) > 1", "1|2"},
		{
			"SELECT count(*), count(a), sum(a), min(a), max(a), avg(a) FROM (VALUES (1), (NULL), (2)) v(a)",
			"3|2|3|1|2|1.5",
		},
		{"SELECT count(*), sum(x) FROM generate_series(1, 0) x", "0|NULL"},
		{
			"SELECT string_agg(x, '-' ORDER BY x DESC), array_agg(DISTINCT x) FROM unnest(ARRAY['a', 'b', 'a']) x",
			"b-a-a|{a,b}",
		},
		{
			"SELECT a.x, b.x FROM generate_series(1, 3) a(x) LEFT JOIN generate_series(2, 3) b(x) ON a.x = b.x",
			"1|NULL; 2|2; 3|3",
		},
		{"SELECT b.x FROM generate_series(1, 2) a(x) RIGHT JOIN generate_series(2, 3) b(x) ON a.x = b.x WHERE " +
			"a.x IS NULL", "3"},
		{"SELECT * FROM (VALUES (1, 'a')) l(k, x) JOIN (VALUES (1, 'b')) r(k, y) USING (k)", "1|a|b"},
		{"SELECT * FROM (VALUES (1, 'a')) l(k, x) NATURAL JOIN (VALUES (1, 'b')) r(k, y)", "1|a|b"},
		{
			"SELECT x, (SELECT count(*) FROM generate_series(1, 3) y WHERE y < x) FROM generate_series(1, 3) x",
			"1|0; 2|1; 3|2",
		},
		{"SELECT x FROM generate_series(1, 3) x WHERE EXISTS (SELECT FROM generate_series(2, 2) y WHERE y = x)", "2"},
		{
			"SELECT x, row_number() OVER (ORDER BY x DESC), sum(x) OVER () FROM generate_series(1, 3) x ORDER BY 1",
			"1|3|6; 2|2|6; 3|1|6",
		},
		{"SELECT generate_series(1, 2), 'a'", "1|a; 2|a"},
		{"SELECT 1 UNION SELECT 1 UNION ALL SELECT 2 INTERSECT SELECT 2", "1; 2"},
		{"(SELECT 1 UNION ALL SELECT 2) EXCEPT SELECT 2", "1"},
		{"WITH a AS (SELECT 1 x), b(y) AS (SELECT x + 1 FROM a) SELECT x, y FROM a, b", "1|2"},
		{"SELECT DISTINCT ON (a) a, b FROM (VALUES (1, 2), (1, 3), (2, 1)) v(a, b) ORDER BY a, b DESC", "1|3; 2|1"},
		{"SELECT $1::int + 1, $2", "42|x"},
		{"SELECT $1::int8, $2::text, $3::regclass, relname FROM pg_class WHERE oid = $3::regclass", "41|x|rates|rates"},
		{
			"SELECT 'rates'::regclass, 'public.\"Odd name\"'::regclass, 'rates'::regclass::oid::regclass",
			`rates|"Odd name"|rates`,
		},
		{"SELECT current_user, current_database(), pg_backend_pid(), current_setting('known'), " +
			"current_setting('x', true)", "ann|velo|7|on|NULL"},
		{
			"SELECT format_type(1700, 1179654), format_type(25, -1), format_type(1009, NULL), format_type(23, NULL)",
			"numeric(18,2)|text|text[]|integer",
		},
		{"SELECT relname, obj_description(oid, 'pg_class') FROM pg_class WHERE relnamespace = 2200 AND relkind <> " +
			"'i' ORDER BY 1", "Odd name|what it is; rates|NULL"},
		{"SELECT pg_get_viewdef('\"Odd name\"'::regclass)", " SELECT 1 AS x;"},
		{"SELECT conname, conkey, pg_get_constraintdef(oid) FROM pg_constraint", "rates_pkey|{1}|PRIMARY KEY (pair)"},
		{"SELECT (information_schema._pg_expandarray(ARRAY['a', 'b'])).n", "1; 2"},
		{"SELECT has_table_privilege('rates', 'SELECT'), has_table_privilege('rates', 'INSERT'), " +
			"pg_has_role('ann', 'USAGE')", "t|f|t"},
		{"SELECT E'a\\nb', 'it''s', $$dollar$$, $x$a$$b$x$, U", "error 42703"},
		{"SELECT /* a /* nested */ comment */ 1 -- the end", "1"},
		{"SELECT format('%I=%L %s %%', 'A b', 'it''s', 1)", `"A b"='it''s' 1 %`},
		{
			"SELECT split_part('a.b.c', '.', 3), substring('abc', 2), left('abc', -1), lower('ABÄ'), repeat('ab', 2)",
			"c|bc|ab|abÄ|abab",
		},
		{
			"SELECT date_part('epoch', '2026-01-01 00:00:00+00'::timestamptz), EXTRACT(year FROM '2026-01-01'::date)",
			"1767225600|2026",
		},
	} {
		got, err := query1(test.text, int64(41), "x", "rates")
		if err != nil {
			e, _ := err.(*Error)
			got = "error " + e.Code
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.text, got, test.want)
		}
	}
}

// Goal: statements that would take all memory or all time are refused.
func TestLimits(t *testing.T) {
	deep := strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000)
	doubled := "WITH a0 AS (SELECT repeat('x', 1000) s)"
	for i := range 40 {
		doubled += fmt.Sprintf(", a%d AS (SELECT s || s AS s FROM a%d)", i+1, i)
	}
	for _, text := range []string{
		"SELECT " + deep, "SELECT " + strings.Repeat("- ", 5000) + "1",
		"SELECT " + strings.Repeat("+", 200_000) + "1", "SELECT " + strings.Repeat("NOT ", 5000) +
			"true",
		"SELECT * FROM pg_class a, pg_class b, pg_class c, pg_class d",
		"SELECT count(*) FROM pg_class a, pg_class b, pg_class c, pg_class d",
		"SELECT generate_series(1, 100000000)", "SELECT repeat('x', 1000000000)",
		"SELECT repeat('x', 1000000) FROM generate_series(1, 1000)",
		doubled + " SELECT * FROM a40", "SELECT string_agg(repeat('x', 100000), ',') FROM generate_series(1, 100)",
		"SELECT concat(" + strings.Repeat("repeat('x', 1000000), ", 10) + "'')",
		"SELECT replace(repeat('x', 1000), 'x', repeat('y', 10000))",
		"SELECT array_agg(a.oid) FROM pg_class a, pg_class b, pg_class c, pg_class d",
		"SELECT DISTINCT a.oid + b.oid + c.oid + d.oid FROM pg_class a, pg_class b, pg_class c, pg_class d",
		"SELECT * FROM " + strings.Repeat("generate_series(1, 2), ", 70) + "generate_series(1, 2)",
	} {
		if testing.Short() && strings.Contains(text, "pg_class d") {
			continue // it takes as long as the limit lets it
		}
		_, err := query1(text)
		e, ok := err.(*Error)
		if !ok || !slices.Contains([]string{codeTooComplex, "42712"}, e.Code) {
			t.Errorf("%.60s: %v, want %s", text, err, codeTooComplex)
		}
	}
}

// FuzzQuery: no text makes the parser, the compiler or a run panic, and none takes long.
func FuzzQuery(f *testing.F) {
	for _, text := range []string{
		"SELECT a.relname, (SELECT 1), b.* FROM pg_class a LEFT JOIN pg_index b ON b.indrelid = a.oid WHERE a.oid = " +
			"ANY ('{1,2}')",
		"WITH x AS (VALUES (1, 'a')) SELECT DISTINCT column1 FROM x UNION SELECT count(*) FILTER (WHERE true) OVER " +
			"() FROM pg_type",
		"SELECT CASE WHEN $1 IS NULL THEN ARRAY[1][1:2] END::text[], (ROW(1, 2)).f1, E'\\n' ~ '^x', EXTRACT(day " +
			"FROM now())",
		"SELECT trim(both 'x' from 'xax'), position('a' in 'b'), substring('abc' from 2), generate_series(1, 3) " +
			"ORDER BY 1 DESC LIMIT 2",
		"SELECT string_agg(relname, ',' ORDER BY oid), max(oid) FROM pg_class GROUP BY relkind HAVING count(*) > 1",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		began := time.Now()
		all, err := Split(text)
		if err != nil || len(all) == 0 {
			return
		}
		s, err := Parse(all[0])
		if err != nil {
			return
		}
		db := sample()
		q, err := Compile(s, db, nil)
		if err != nil {
			return
		}
		if strings.Contains(text, "sleep") {
			return
		}
		rows, err := q.Run(t.Context(), make([]any, len(q.Parameters)))
		if err != nil {
			return
		}
		for _, r := range rows[:min(len(rows), 100)] {
			if len(r) != len(q.Columns) {
				t.Fatalf("%q: %d values for %d columns", text, len(r), len(q.Columns))
			}
			for i, v := range r {
				q.Text(v, q.Columns[i].Type)
			}
		}
		if d := time.Since(began); d > time.Minute {
			t.Fatalf("%q: %v", text, d)
		}
	})
}
