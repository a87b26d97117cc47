package sql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"math/big"
	"testing"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/velo-engine/velo/record"
)

// duckDB is the oracle for what the two have in common. It computes whole vectors, with the
// branches that a row does not take, so failures are not compared.
type duckDB struct{ conn *sql.Conn }

func (*duckDB) name() string { return "DuckDB" }
func (*duckDB) wild() bool   { return false }

func newDuckDB(t *testing.T) oracle {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		db.Close()
		connector.Close()
	})
	if _, err := conn.ExecContext(context.Background(), "SET threads = 1"); err != nil {
		t.Fatal(err)
	}
	return &duckDB{conn}
}

func (d *duckDB) load(t table) error {
	types := func(t record.Type) string {
		return map[bool]string{true: "double", false: t.String()}[t == record.Float64]
	}
	if _, err := d.conn.ExecContext(context.Background(), "CREATE OR REPLACE TABLE t ("+columns(types)+")"); err != nil {
		return err
	}
	return d.conn.Raw(func(c any) error {
		a, err := duckdb.NewAppenderFromConn(c.(driver.Conn), "", "t")
		if err != nil {
			return err
		}
		for _, from := range t {
			row := make([]driver.Value, len(from))
			for c, v := range from {
				row[c] = v
				n, whole := v.(int64)
				switch f := schema.Field(c).Type; {
				case whole && f == record.Timestamp:
					row[c] = time.UnixMicro(n).UTC()
				case whole && f.IsDecimal():
					row[c] = duckdb.Decimal{Width: uint8(f.Precision()), Scale: uint8(f.Scale()), Value: big.NewInt(n)}
				}
			}
			if err := a.AppendRow(row...); err != nil {
				return err
			}
		}
		return a.Close()
	})
}

func (d *duckDB) without(rows []int) string {
	if len(rows) == 0 {
		return "t"
	}
	return "(SELECT * FROM t WHERE n NOT IN (" + leaveOut(rows) + ")) AS t"
}

func (d *duckDB) rows(query string, types []record.Type) ([][]cell, bool, error) {
	rows, err := d.conn.QueryContext(context.Background(), query)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	all, err := scan(rows, types, func(v any, t record.Type) cell {
		switch v := v.(type) {
		case *big.Int:
			return exactCell(v.String())
		case duckdb.Decimal:
			return exactCell(v.String())
		}
		return cellOf(v, t)
	})
	return all, false, err
}

// run is for a suite.
func (d *duckDB) run(text string) ([]suiteColumn, [][]any, error) { return runTyped(d.conn, text) }

func (*duckDB) decides(_, _ string) string { return "" }

// scan reads all rows of a driver of database/sql.
func scan(rows *sql.Rows, types []record.Type, cellOf func(v any, t record.Type) cell) (all [][]cell, err error) {
	values, into := make([]any, len(types)), make([]any, len(types))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var row []cell
		for i, v := range values {
			row = append(row, cellOf(v, types[i]))
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func (*duckDB) says() map[string]string { return duckSays }

var duckSays = map[string]string{
	"(%s NOT GLOB '*[^a-c]')": "(NOT ($1 GLOB '*[!a-c]'))",
	// Rows with NULL are compared there as values of one type, in which NULL comes last.
	"((%t, %t) OVERLAPS (%t, %t))": "", "((ts, %v) OVERLAPS (%t, u))": "",
	"(%s LIKE ANY (ARRAY['a%', '_b%']))": "", "(%s NOT LIKE ALL (ARRAY['a%', '_b%']))": "",
	"((%i, %s) < (%i, %s))": "", "((%i, %d) >= (%i, %n))": "", "((%i, %s) = (%n, %s))": "",
	"((%b, %i) <> (%b, %n))": "", "((%i, %s) IN ((%n, %s), (j, s)))": "", "((%i, %s) NOT IN ((%n, NULL)))": "",
	"((%i, %b) IS DISTINCT FROM (%n, %b))": "",
	"(%i / %i)":                            "($1 // $2)", "(%p / 2)": "($1 // 2)", "(%p / %p)": "($1 // $2)", "(1000 / %p)": "(1000 // $1)", "(1000 / sum(j))": "(1000 // sum(j))", "every(%b)": "bool_and($1)", "(%b IS NOT UNKNOWN)": "($1 IS NOT NULL)",
	"round(%f)": "round_even($1, 0)", "floor(%i)": "$1", "ceil(%i)": "$1", "round(%i)": "$1", "trunc(%i)": "$1", "round(%i, 2)": "$1",
	"approx_count_distinct(s)": "count(DISTINCT s)", "approx_count_distinct(j)": "count(DISTINCT j)", "approx_count_distinct(b)": "count(DISTINCT b)",
	// A NULL among what is chosen is passed over, and what ties is not told apart.
	"min_by(%i, j)": "", "max_by(%s, j)": "", "min_by(%s, f)": "", "max_by(d, i)": "", "first(%i, ts)": "", "last(%f, ts)": "", "last(%b, u)": "",
	"first_value(n ORDER BY nullif(n, 3) DESC)": "first(n ORDER BY nullif(n, 3) DESC NULLS FIRST)",
	"last_value(n ORDER BY nullif(n, 3))":       "last(n ORDER BY nullif(n, 3) NULLS LAST)", "arbitrary(%b ORDER BY n)": "first($1 ORDER BY n)",
	// Texts are read and written otherwise.
	"CAST(%q AS text)": "", "CAST(%f AS text)": "", "CAST(%r AS bigint)": "", "CAST(r AS boolean)": "", "(%t > CAST(%m AS timestamptz))": "", "CAST(%r AS double precision)": "", "CAST(%r AS decimal(12, 2))": "", "CAST(ts AS text)": "", "CAST(%s AS varchar(2))": "",
	// Without a second argument spaces are Unicode's.
	"trim(%s)": "trim($1, ' ')", "ltrim(%s)": "ltrim($1, ' ')", "rtrim(%s)": "rtrim($1, ' ')",
	"btrim(%s, 'a')": "trim($1, 'a')", "split_part(%s, %w, %n)": "", "split_part(%s, %w, -1)": "", "split_part(%s, %s, 1)": "", "substring(%s, -1, %n)": "", "concat(%s, %b)": "",
	"substr(%s, 2)": "substring($1, 2)", "trim(BOTH 'az' FROM %s)": "trim($1, 'az')", "trim(TRAILING 'b' FROM %s)": "rtrim($1, 'b')",
	"(%s LIKE %l)": `($1 LIKE $2 ESCAPE '\')`, "(%s NOT LIKE %l)": `($1 NOT LIKE $2 ESCAPE '\')`, "(%s ILIKE %l)": `($1 ILIKE $2 ESCAPE '\')`,
	// Numbers that are not computed as in PostgreSQL: 1.005 is not rounded by its text, seconds are
	// whole, and what is between two microseconds goes to another.
	"to_timestamp(%f)":            "",
	"CAST(%f AS numeric(18, 17))": "", "CAST(%f AS decimal(18, 3))": "", "round(%f, 2)": "", "round(%f, 0)": "",
	"extract(second FROM %t)": "", "extract(millisecond FROM %t)": "",
	"(2 ^ %q)": "pow(2, $1)", "extract(%c FROM %t)": "CAST(extract($1 FROM $2) AS bigint)",
	"tumble.start": "time_bucket($1, ts, TIMESTAMP '1970-01-01')", "tumble.end": "(time_bucket($1, ts, TIMESTAMP '1970-01-01') + $1)",
	"INTERVAL '10' SECOND": "INTERVAL '10 s'", "INTERVAL '1 week 01:30:00'": "INTERVAL '7 days 01:30:00'",
}
