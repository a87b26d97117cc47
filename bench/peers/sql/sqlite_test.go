package sql

import (
	"context"
	"database/sql"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/duckdb/duckdb-go/v2"
	_ "modernc.org/sqlite" // the driver

	"github.com/velo-engine/velo/record"
)

// sqlite is the oracle for NULLs, numbers, texts and the shape of queries. It has neither times nor
// decimals, and what fails is NULL or a float there.
type sqlite struct{ conn *sql.Conn }

func (*sqlite) name() string { return "SQLite" }
func (*sqlite) wild() bool   { return false }

func newSQLite(t *testing.T) oracle {
	d := &sqlite{}
	d.reset(t)
	t.Cleanup(func() { d.conn.Close() })
	return d
}

// reset begins with an empty database.
func (d *sqlite) reset(t *testing.T) {
	if d.conn != nil {
		d.conn.Close()
	}
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := conn.ExecContext(context.Background(), "PRAGMA case_sensitive_like = ON"); err != nil {
		t.Fatal(err)
	}
	d.conn = conn
}

func (d *sqlite) load(t table) error {
	ctx := context.Background()
	types := func(t record.Type) string {
		switch t {
		case record.Float64:
			return "REAL"
		case record.String:
			return "TEXT"
		}
		return "INTEGER"
	}
	tx, err := d.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, q := range []string{"DROP TABLE IF EXISTS t", "CREATE TABLE t (" + columns(types) + ")"} {
		if _, err := tx.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	insert, err := tx.PrepareContext(ctx, "INSERT INTO t VALUES (?"+strings.Repeat(", ?", schema.Len()-1)+")")
	if err != nil {
		return err
	}
	defer insert.Close()
	for _, row := range t {
		if _, err := insert.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (d *sqlite) without(rows []int) string {
	if len(rows) == 0 {
		return "t"
	}
	return "(SELECT * FROM t WHERE n NOT IN (" + leaveOut(rows) + ")) AS t"
}

func (d *sqlite) rows(query string, types []record.Type) ([][]cell, bool, error) {
	rows, err := d.conn.QueryContext(context.Background(), query)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	all, err := scan(rows, types, cellOf)
	return all, false, err
}

func (*sqlite) says() map[string]string { return liteSays }

var liteSays = func() map[string]string {
	m := map[string]string{
		"tumble.start": "(ts / $2 * $2)", "tumble.end": "(ts / $2 * $2 + $2)", "(2 ^ %q)": "pow(2, $1)", "ln(abs(%f))": "ln(abs($1))", "(ts <= %x)": "", "(%t IN (ts, TIMESTAMP '2023-11-15 06:30:00'))": "", "CAST(r AS boolean)": "", "(%t > CAST(%m AS timestamptz))": "",
		"(%i % %i)": "($1 % $2)", "mod(%i, %n)": "($1 % $2)", "floor(%i)": "$1", "ceil(%i)": "$1", "round(%i)": "$1", "trunc(%i)": "$1", "round(%i, 2)": "$1",
		"char_length(%s)": "length($1)", "position(%s IN %s)": "instr($2, $1)", "position('a' IN %s)": "instr($1, 'a')", "%i::bigint": "$1", "CAST(%b AS bigint)": "$1",
		"CAST(%i AS boolean)": "($1 <> 0)", "(%f ^ %n)": "pow($1, $2)", "power(%f, %n)": "pow($1, $2)", "power(%f, %f)": "pow($1, $2)", "CAST(%i AS double precision)": "CAST($1 AS REAL)", "CAST(j AS double precision)": "CAST(j AS REAL)",
		"(%i / %f)": "(CAST($1 AS REAL) / $2)", "%n.5e0": "$1.5e0", "btrim(%s, 'a')": "trim($1, 'a')", "trim(BOTH 'az' FROM %s)": "trim($1, 'az')", "trim(TRAILING 'b' FROM %s)": "rtrim($1, 'b')",
		"substring(%s FROM %n FOR %n)": "substring($1, $2, $3)", "(%s LIKE %l)": `($1 LIKE $2 ESCAPE '\')`, "(%s NOT LIKE %l)": `($1 NOT LIKE $2 ESCAPE '\')`, "(%s ILIKE %l)": `(lower($1) LIKE lower($2) ESCAPE '\')`,
		"(%b IS NOT UNKNOWN)": "($1 IS NOT NULL)", "bool_and(%b)": "min($1)", "every(%b)": "min($1)", "bool_or(%b)": "max($1)", "bool_or(b)": "max(b)",
		"approx_count_distinct(s)": "count(DISTINCT s)", "approx_count_distinct(j)": "count(DISTINCT j)", "approx_count_distinct(b)": "count(DISTINCT b)", "CAST(%i AS text)": "CAST($1 AS TEXT)",
		// Without NULLs only: its least and greatest are NULL where one argument is.
		"greatest(%i, %i)": "coalesce(max($1, $2), $1, $2)", "greatest(%f, %f)": "coalesce(max($1, $2), $1, $2)", "greatest(%q, %q)": "coalesce(max($1, $2), $1, $2)", "least(%f, %i)": "coalesce(min($1, $2), $1, $2)",
		"least(%q, j)": "coalesce(min($1, j), $1, j)", "greatest(%s, %s)": "coalesce(max($1, $2), $1, $2)", "least(%s, %s)": "coalesce(min($1, $2), $1, $2)", "greatest(%p, %p)": "coalesce(max($1, $2), $1, $2)", "least(%i, %i, %i)": "",
		// Integers and floats are one type there, so a division would cut.
		"coalesce(%f, %n)": "coalesce($1, CAST($2 AS REAL))", "coalesce(%q, j)": "coalesce($1, CAST(j AS REAL))", "CASE WHEN %b THEN %f ELSE %i END": "CASE WHEN $1 THEN $2 ELSE CAST($3 AS REAL) END",
		// What is replaced by NULL is no NULL where there is nothing to replace.
		"replace(%s, %s, %s)": "",
	}
	// Not there, or not as in PostgreSQL.
	for _, missing := range []string{
		"((%t, %t) OVERLAPS (%t, %t))", "((ts, %v) OVERLAPS (%t, u))", "(%s LIKE ANY (ARRAY['a%', '_b%']))",
		"(%s NOT LIKE ALL (ARRAY['a%', '_b%']))",
		"CAST(%f AS bigint)", "CAST(%q AS bigint)", "CAST(%r AS bigint)", "CAST(%r AS double precision)", "date_part('hour', %t)", "extract(day FROM ts)", "round(%f)", "round(%f, 2)", "round(%f, 0)", "(%b || %s)", "concat(%s, %b)", "concat(%s, %i, %s)",
		"concat(%s, %s)", "substring(%s, -1, %n)", "split_part(%s, %w, %n)", "split_part(%s, %w, -1)", "split_part(%s, %s, 1)", "CAST(%q AS text)", "CAST(%f AS text)", "CAST(%b AS text)", "CAST(%s AS varchar(2))", "(%s LIKE 'a_b' ESCAPE '')",
		"substring(%s, %n, %n)", "substring(%s, %n)", "CAST(d AS text)", "CAST(ts AS text)", "var_pop(%i)", "var_samp(%i)", "variance(f)", "var_pop(f)", "stddev_pop(%i)", "stddev_samp(f)", "sem(%q)", "first(%i ORDER BY n)",
		"last(%s ORDER BY n DESC)", "any_value(%i ORDER BY n DESC)", "first_value(n ORDER BY nullif(n, 3) DESC)", "last_value(n ORDER BY nullif(n, 3))", "arbitrary(%b ORDER BY n)", "avg(NULL)", "min_by(%i, j)", "max_by(%s, j)", "min_by(%s, f)", "max_by(d, i)",
		"first(%i, ts)", "last(%f, ts)", "last(%b, u)", "(max(ts) > TIMESTAMP '2023-11-15 06:30:00')", "(sum(d) >= 10.5)", "TIMESTAMP '2023-11-15 06:30:00'", "CAST('2024-02-29 23:59:59.5' AS timestamp)", "d", "e", "%n.25",
	} {
		m[missing] = ""
	}
	// Nothing with decimals, and of times only what compares and chooses.
	for kind, of := range grammar {
		for _, text := range of {
			if kind == 'd' || strings.Contains(text, "%d") || strings.Contains(text, "%t") && (strings.Contains(text, "extract") || strings.Contains(text, "%v") || strings.Contains(text, "date") || strings.Contains(text, "+")) {
				m[text] = ""
			}
		}
	}
	m["to_timestamp(%i)"], m["to_timestamp(%f)"] = "", ""
	m["greatest(%t, %t)"], m["least(%t, %t)"] = "coalesce(max($1, $2), $1, $2)", "coalesce(min($1, $2), $1, $2)"
	return m
}()

// run is for a suite. A column has the type of its values.
func (d *sqlite) run(text string) ([]suiteColumn, [][]any, error) { return runTyped(d.conn, text) }

// runTyped runs a statement. A column has the type of its values, or none if they differ.
func runTyped(conn *sql.Conn, text string) (columns []suiteColumn, all [][]any, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	rows, err := conn.QueryContext(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, nil, err
	}
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, nil, err
	}
	for rows.Next() {
		row, into := make([]any, len(names)), make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		for i, v := range row {
			row[i] = plainValue(v)
		}
		all = append(all, row)
	}
	for i, name := range names {
		columns = append(columns, suiteColumn{name, typeOfValues(all, i, types[i].DatabaseTypeName())})
	}
	return columns, all, rows.Err()
}

// decides is why the rows of a query over a table are not compared, or "".
func (d *sqlite) decides(from, text string) string {
	var made string
	row := d.conn.QueryRowContext(context.Background(), "SELECT group_concat(sql) FROM sqlite_schema")
	if row.Scan(&made) == nil && collations.MatchString(made) && !strings.Contains(made, "VIRTUAL") {
		return "other: a collation, and velo compares texts by their bytes"
	}
	return ""
}

var collations = regexp.MustCompile(`(?i)\bcollate\b`)

// plainValue is a value of a driver as one of the types that suiteSet takes, if there is one.
func plainValue(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint8:
		return int64(v)
	case uint32:
		return int64(v)
	case float32:
		return float64(v)
	case *big.Int:
		if v.IsInt64() {
			return v.Int64()
		}
		return exactNumber(v.String())
	case duckdb.Decimal:
		return exactNumber(v.String())
	}
	return v
}

// typeOfValues is the type of all values of a column, or what its declared type says if there are
// none.
func typeOfValues(rows [][]any, column int, declared string) (typ record.Type) {
	for _, row := range rows {
		var t record.Type
		switch row[column].(type) {
		case nil:
			continue
		case int64:
			t = record.Int64
		case float64:
			t = record.Float64
		case string:
			t = record.String
		case []byte:
			t = record.Bytes
		case bool:
			t = record.Bool
		case time.Time:
			t = record.Timestamp
		case exactNumber:
			t = record.DecimalOf(18, 0)
		}
		switch {
		case typ == 0 || typ == t:
			typ = t
		case typ+t == record.Int64+record.Float64:
			typ = record.Float64
		default:
			return 0
		}
	}
	if typ == 0 { // only NULLs
		return declaredType(declared)
	}
	return typ
}

// declaredType is the type of a column by its name, as SQLite's affinities are found.
func declaredType(name string) record.Type {
	name = strings.ToUpper(name)
	for _, t := range []struct {
		part string
		typ  record.Type
	}{
		{"INT", record.Int64},
		{"CHAR", record.String},
		{"CLOB", record.String},
		{"TEXT", record.String},
		{"REAL", record.Float64},
		{"FLOA", record.Float64},
		{"DOUB", record.Float64},
	} {
		if strings.Contains(name, t.part) {
			return t.typ
		}
	}
	return record.Int64
}
