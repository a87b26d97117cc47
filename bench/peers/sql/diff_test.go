package sql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

var schema = func() *record.Schema {
	s, err := record.NewSchema("t",
		record.Field{Name: "i", Type: record.Int64, Nullable: true}, record.Field{Name: "j", Type: record.Int64}, record.Field{Name: "f", Type: record.Float64, Nullable: true},
		record.Field{Name: "s", Type: record.String, Nullable: true}, record.Field{Name: "b", Type: record.Bool, Nullable: true}, record.Field{Name: "ts", Type: record.Timestamp},
		record.Field{Name: "d", Type: record.DecimalOf(12, 2), Nullable: true})
	if err != nil {
		panic(err)
	}
	return s
}()

// table fills both: batches for velo, a table for DuckDB.
func table(t *testing.T, conn *sql.Conn, rng *rand.Rand, rows int) []*record.Batch {
	ctx := context.Background()
	if _, err := conn.ExecContext(ctx, "CREATE OR REPLACE TABLE t (i BIGINT, j BIGINT NOT NULL, f DOUBLE, s VARCHAR, b BOOLEAN, ts TIMESTAMP NOT NULL, d DECIMAL(12,2))"); err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(schema, max(rows, 1))
	texts := []string{"", "a", "abc", "Abc", "x,y", "hello world", " pad ", "zzz", "a%b"}
	err := conn.Raw(func(c any) error {
		a, err := duckdb.NewAppenderFromConn(c.(driver.Conn), "", "t")
		if err != nil {
			return err
		}
		for range rows {
			b.Add(16)
			row := make([]driver.Value, schema.Len())
			for c := range row {
				f := schema.Field(c)
				if f.Nullable && rng.IntN(5) == 0 {
					b.SetNull(c)
					continue
				}
				switch f.Type {
				case record.Int64:
					v := rng.Int64N(41) - 20
					b.SetInt64(c, v)
					row[c] = v
				case record.Float64:
					v := float64(rng.IntN(401)-200) / 8
					b.SetFloat64(c, v)
					row[c] = v
				case record.String:
					v := texts[rng.IntN(len(texts))]
					b.SetString(c, v)
					row[c] = v
				case record.Bool:
					v := rng.IntN(2) == 0
					b.SetBool(c, v)
					row[c] = v
				case record.Timestamp:
					v := time.Unix(1_700_000_000+rng.Int64N(200_000), 0).UTC()
					b.SetTime(c, v)
					row[c] = v
				default:
					v := rng.Int64N(20001) - 10000
					b.SetInt64(c, v)
					row[c] = duckdb.Decimal{Width: 12, Scale: 2, Value: big.NewInt(v)}
				}
			}
			if err := a.AppendRow(row...); err != nil {
				return err
			}
		}
		return a.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return []*record.Batch{b}
}

// maker makes random SQL that means the same to both.
type maker struct{ *rand.Rand }

func (m maker) one(of ...string) string { return of[m.IntN(len(of))] }

func (m maker) integer(depth int) string {
	if depth == 0 || m.IntN(3) == 0 {
		return m.one("i", "j", "j", strconv.Itoa(m.IntN(9)))
	}
	switch m.IntN(8) {
	case 0, 1, 2:
		return "(" + m.integer(depth-1) + m.one(" + ", " - ", " * ") + m.integer(depth-1) + ")"
	case 3:
		return "abs(" + m.integer(depth-1) + ")"
	case 4:
		return "CASE WHEN " + m.truth(depth-1) + " THEN " + m.integer(depth-1) + " ELSE " + m.integer(depth-1) + " END"
	case 5:
		return m.one("coalesce", "greatest", "least", "nullif") + "(" + m.integer(depth-1) + ", " + m.integer(depth-1) + ")"
	case 6:
		return "length(" + m.text(depth-1) + ")"
	}
	return "(" + m.integer(depth-1) + " % " + strconv.Itoa(1+m.IntN(7)) + ")"
}

func (m maker) float(depth int) string {
	if depth == 0 || m.IntN(3) == 0 {
		return m.one("f", "f", "CAST("+m.integer(0)+" AS double precision)")
	}
	switch m.IntN(4) {
	case 0:
		return "(" + m.float(depth-1) + m.one(" + ", " - ", " * ") + m.float(depth-1) + ")"
	case 1:
		return m.one("floor", "ceil", "abs") + "(" + m.float(depth-1) + ")"
	case 2:
		return "(" + m.float(depth-1) + " + " + m.integer(depth-1) + ")"
	}
	return "CASE WHEN " + m.truth(depth-1) + " THEN " + m.float(depth-1) + " END"
}

func (m maker) text(depth int) string {
	if depth == 0 || m.IntN(3) == 0 {
		return m.one("s", "s", "'abc'")
	}
	switch m.IntN(6) {
	case 0:
		return m.one("lower", "upper", "trim", "ltrim", "rtrim") + "(" + m.text(depth-1) + ")"
	case 1:
		return "(" + m.text(depth-1) + " || " + m.text(depth-1) + ")"
	case 2:
		return "substring(" + m.text(depth-1) + ", " + strconv.Itoa(1+m.IntN(3)) + ", " + strconv.Itoa(m.IntN(4)) + ")"
	case 3:
		return "coalesce(" + m.text(depth-1) + ", '?')"
	case 4:
		return "replace(" + m.text(depth-1) + ", 'a', 'xy')"
	}
	return "CASE WHEN " + m.truth(depth-1) + " THEN " + m.text(depth-1) + " ELSE " + m.text(depth-1) + " END"
}

func (m maker) truth(depth int) string {
	if depth <= 0 {
		return m.one("b", "i IS NULL", "j > 3", "s = 'abc'")
	}
	switch m.IntN(10) {
	case 0, 1:
		return "(" + m.truth(depth-1) + m.one(" AND ", " OR ") + m.truth(depth-1) + ")"
	case 2:
		return "(NOT " + m.truth(depth-1) + ")"
	case 3:
		return "(" + m.text(depth-1) + m.one(" LIKE ", " NOT LIKE ", " ILIKE ") + m.one("'a%'", "'%b_'", "'%'", "'_b%'") + ")"
	case 4:
		return "(" + m.integer(depth-1) + m.one(" IN ", " NOT IN ") + "(1, 2, 5, 7))"
	case 5:
		return "(" + m.integer(depth-1) + " BETWEEN " + m.integer(0) + " AND " + m.integer(0) + ")"
	case 6:
		return "(" + m.one(m.integer(depth-1), m.text(depth-1), m.float(depth-1)) + m.one(" IS NULL", " IS NOT NULL") + ")"
	case 7:
		return "(" + m.text(depth-1) + m.one(" = ", " <> ", " < ", " >= ") + m.text(depth-1) + ")"
	case 8:
		return "(" + m.integer(depth-1) + m.one(" IS DISTINCT FROM ", " IS NOT DISTINCT FROM ") + m.integer(depth-1) + ")"
	}
	return "(" + m.one(m.integer(depth-1), m.float(depth-1), "d") + m.one(" = ", " <> ", " < ", " <= ", " > ", " >= ") + m.one(m.integer(depth-1), "2.5", "f") + ")"
}

func (m maker) aggregate() string {
	var a string
	switch m.IntN(10) {
	case 0:
		a = "count(*)"
	case 1:
		a = "count(" + m.one(m.integer(1), m.text(1), m.float(1)) + ")"
	case 2, 3:
		a = m.one("sum", "min", "max", "avg") + "(" + m.integer(2) + ")"
	case 4:
		a = m.one("sum", "min", "max", "avg") + "(" + m.float(1) + ")"
	case 5:
		a = m.one("min", "max") + "(ts)"
	case 6:
		a = m.one("sum", "min", "max", "avg") + "(d)"
	case 7:
		a = m.one("bool_and", "bool_or") + "(" + m.truth(1) + ")"
	case 8:
		a = m.one("min", "max") + "(" + m.text(2) + ")"
	default:
		a = m.one("var_pop", "var_samp", "stddev_pop", "stddev_samp") + "(" + m.one("i", "j", "f") + ")"
	}
	if m.IntN(4) == 0 {
		a += " FILTER (WHERE " + m.truth(1) + ")"
	}
	return a
}

func (m maker) query() string {
	var keys, columns []string
	for range m.IntN(3) {
		k := m.one(m.integer(2), m.text(2), m.truth(1), "date_trunc('hour', ts)", "extract(day FROM ts)", "d", "(i % 3)")
		if k == "'abc'" {
			k = "s" // a constant is refused, as PostgreSQL does
		}
		keys = append(keys, k)
	}
	columns = slices.Clone(keys)
	for range 1 + m.IntN(4) {
		columns = append(columns, m.aggregate())
	}
	if m.IntN(3) == 0 {
		columns = append(columns, "sum(j) + count(*)")
	}
	for i := range columns {
		columns[i] += fmt.Sprintf(" AS c%d", i)
	}
	q := "SELECT " + strings.Join(columns, ", ") + " FROM t"
	if m.IntN(2) == 0 {
		q += " WHERE " + m.truth(3)
	}
	if len(keys) > 0 {
		q += " GROUP BY " + strings.Join(keys, ", ")
	}
	if m.IntN(4) == 0 {
		q += " HAVING " + m.one("count(*) > 2", "sum(j) > 0", "max(i) IS NOT NULL", "min(j) < max(j)")
	}
	return q
}

// cell is a value as text that is the same for both: numbers that are not whole to ten digits.
func cell(v any) string {
	number := func(f float64) string {
		if f == 0 || math.Abs(f) < 1e-9 {
			return "0"
		}
		return strconv.FormatFloat(f, 'e', 9, 64)
	}
	switch v := v.(type) {
	case nil:
		return "NULL"
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return number(float64(v))
	case int32:
		return number(float64(v))
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return number(f)
	case float64:
		return number(v)
	case duckdb.Decimal:
		return number(v.Float64())
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case string:
		return strconv.Quote(v)
	case []byte:
		return strconv.Quote(string(v))
	}
	return fmt.Sprintf("%T", v)
}

func duckRows(ctx context.Context, conn *sql.Conn, text string) ([]string, error) {
	rows, err := conn.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all []string
	for rows.Next() {
		values := make([]any, len(names))
		into := make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var row []string
		for _, v := range values {
			row = append(row, cell(v))
		}
		all = append(all, strings.Join(row, "\t"))
	}
	slices.Sort(all)
	return all, rows.Err()
}

func veloRows(ctx context.Context, rng *rand.Rand, batches []*record.Batch, text string) ([]string, error) {
	plan, err := query.Compile(text, schema)
	if err != nil {
		return nil, err
	}
	var rejected error
	var rs []record.Reader
	if batches[0].Len() == 0 {
		rs = append(rs, nothing{})
	} else {
		m, err := readers.NewMemory(schema, batches, 1)
		if err != nil {
			return nil, err
		}
		rs = append(rs, m)
	}
	e, err := engine.Start(ctx, engine.Config{
		Plan: plan, Readers: rs, Partitions: 1 + rng.IntN(3), Cores: 1, NoPin: true, Exchange: core.Exchange(rng.IntN(4)), EpochInterval: -1,
		OnReject: func(_ int, r record.Reject) { rejected = r.Reason },
	})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		return nil, err
	}
	if rejected != nil {
		return nil, fmt.Errorf("rejected: %w", rejected)
	}
	s := e.Snapshot()
	defer s.Close()
	var all []string
	for b := range s.Batches(100) {
		for i := range b.Len() {
			var row []string
			for c := range b.Schema().Len() {
				row = append(row, cell(value(b, c, i)))
			}
			all = append(all, strings.Join(row, "\t"))
		}
	}
	slices.Sort(all)
	return all, nil
}

// nothing is a reader of no records.
type nothing struct{}

func (nothing) Read(context.Context, *record.Batch) error { return io.EOF }
func (nothing) Close() error                              { return nil }

func value(b *record.Batch, c, i int) any {
	column := b.Column(c)
	if column.Null(i) {
		return nil
	}
	switch typ := b.Schema().Field(c).Type; {
	case typ == record.String:
		return string(column.View(i))
	case typ == record.Bool:
		return column.Int64s[i] != 0
	case typ == record.Float64:
		return column.Float64s[i]
	case typ == record.Timestamp:
		return time.Unix(0, column.Int64s[i])
	case typ.IsDecimal():
		return record.Decimal{Unscaled: column.Int64s[i], Scale: uint8(typ.Scale())}.Float64()
	default:
		return column.Int64s[i]
	}
}

// Goal: queries have the rows that DuckDB says they have. Method: random queries over random tables with NULLs, empty ones among them, in all exchanges.
func TestDuckDB(t *testing.T) {
	n := 1500
	if v, err := strconv.Atoi(os.Getenv("VELO_DIFF")); err == nil {
		n = v
	}
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer connector.Close()
	db := sql.OpenDB(connector)
	defer db.Close()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "SET threads = 1"); err != nil {
		t.Fatal(err)
	}
	groups, refused := 0, 0
	var batches []*record.Batch
	for seed := range n {
		rng := rand.New(rand.NewPCG(uint64(seed), 11))
		if seed%25 == 0 {
			batches = table(t, conn, rng, []int{0, 1, 7, 300, 2000}[rng.IntN(5)])
		}
		text := maker{rng}.query()
		want, err := duckRows(ctx, conn, text)
		if err != nil {
			refused++ // a type that DuckDB is stricter with
			continue
		}
		got, err := veloRows(ctx, rng, batches, text)
		if err != nil {
			t.Errorf("seed %d: %s\n%v", seed, text, err)
			continue
		}
		groups += len(want)
		if !slices.EqualFunc(got, want, sameRow) {
			t.Errorf("seed %d: %s\n%d rows, DuckDB has %d\n%s", seed, text, len(got), len(want), difference(got, want))
			if t.Failed() && seed > 200 {
				return
			}
		}
	}
	if groups < n || refused > n/4 {
		t.Errorf("%d groups, %d queries that DuckDB refused: too few to mean anything", groups, refused)
	}
	t.Logf("%d queries, %d refused by DuckDB, %d groups", n, refused, groups)
}

// sameRow compares rows cell by cell: numbers may differ behind the ninth digit, where sums were rounded in another order.
func sameRow(a, b string) bool {
	p, q := strings.Split(a, "\t"), strings.Split(b, "\t")
	return slices.EqualFunc(p, q, func(x, y string) bool {
		f, errF := strconv.ParseFloat(x, 64)
		g, errG := strconv.ParseFloat(y, 64)
		return x == y || errF == nil && errG == nil && math.Abs(f-g) <= 2e-9*math.Max(math.Abs(f), math.Abs(g))
	})
}

// difference is the first rows that one has and the other has not.
func difference(got, want []string) string {
	var b strings.Builder
	for _, row := range got {
		if !slices.Contains(want, row) && b.Len() < 400 {
			fmt.Fprintf(&b, "+ %s\n", row)
		}
	}
	for _, row := range want {
		if !slices.Contains(got, row) && b.Len() < 800 {
			fmt.Fprintf(&b, "- %s\n", row)
		}
	}
	return b.String()
}
