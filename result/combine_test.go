package result_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// combined are the rows of a statement over t (a bigint, d decimal, f double precision, s text), the
// parts of which pass records through. Each part gets its rows in batches of two.
func combinedRows(t *testing.T, text string, limit int, parts ...[][]any) (rows []string, unfit int, err error) {
	t.Helper()
	schema, err := query.Columns("t", "a bigint, d decimal(18, 2), f double precision, s text")
	if err != nil {
		t.Fatal(err)
	}
	all, err := query.Catalog{Sources: []*record.Schema{schema}}.CompileStatements(text)
	if err != nil {
		t.Fatal(err)
	}
	c, err := all[0].Combiner(limit)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range parts {
		of, err := all[0].Plans[i].Written()
		if err != nil {
			t.Fatal(err)
		}
		for len(part) > 0 {
			b := record.NewBatch(of, 1000)
			n := min(2, len(part))
			for _, row := range part[:n] {
				text, _ := row[0].(string)
				if !b.Add(len(text)) {
					t.Fatal("no room in the batch")
				}
				for k, v := range row {
					switch v := v.(type) {
					case nil:
						b.SetNull(k)
					case int:
						b.SetInt64(k, int64(v))
					case float64:
						b.SetFloat64(k, v)
					case string:
						b.SetString(k, v)
					}
				}
			}
			if err := c.Add(i, b); err != nil {
				return nil, 0, err
			}
			part = part[n:]
		}
	}
	for b, err := range c.Batches(3) {
		if err != nil {
			t.Fatal(err)
		}
		unfit += b.Unfit()
		for i := range b.Len() {
			var row []string
			for k := range b.Schema().Len() {
				col, f := b.Column(k), b.Schema().Field(k)
				switch {
				case col.Null(i):
					row = append(row, "NULL")
				case f.Type == record.String:
					row = append(row, string(col.View(i)))
				case f.Type == record.Float64:
					row = append(row, fmt.Sprint(math.Float64frombits(col.Words()[i])))
				default:
					row = append(row, record.Decimal{Unscaled: int64(col.Words()[i]), Scale: uint8(f.Type.Scale())}.String())
				}
			}
			rows = append(rows, strings.Join(row, " "))
		}
	}
	return rows, unfit, nil
}

// Goal: set operations keep the rows that SQL says, in the order of their sides, and columns of
// several types become one. Method: parts with equal rows, NULLs, NaN and both zeros, under each
// operation.
func TestCombiner(t *testing.T) {
	rows := func(all ...any) (list [][]any) {
		for _, v := range all {
			list = append(list, []any{v})
		}
		return list
	}
	left, right := rows(1, 2, 2, nil, 3, nil), rows(2, nil, 4, 4)
	for op, want := range map[string]string{
		"UNION": "1 2 NULL 3 4", "UNION ALL": "1 2 2 NULL 3 NULL 2 NULL 4 4", "INTERSECT": "2 NULL", "INTERSECT ALL": "2 NULL",
		"EXCEPT": "1 3", "EXCEPT ALL": "1 2 3 NULL",
	} {
		got, _, err := combinedRows(t, "SELECT a FROM t "+op+" SELECT a FROM t LIMIT 100", 1<<20, left, right)
		if s := strings.Join(got, " "); s != want || err != nil {
			t.Errorf("%s: %s, %v, expected %s", op, s, err, want)
		}
	}
	for _, c := range []struct {
		text  string
		parts [][][]any
		want  string
		unfit int
	}{
		{"SELECT a FROM t UNION ALL SELECT a FROM t INTERSECT SELECT a FROM t", [][][]any{left, right, rows(4)}, "1 2 2 NULL 3 NULL 4", 0},
		{"SELECT a FROM t EXCEPT SELECT a FROM t UNION ALL SELECT a FROM t", [][][]any{left, right, rows(4)}, "1 3 4", 0},
		{"SELECT a FROM t UNION ALL SELECT a FROM t ORDER BY 1 DESC NULLS LAST LIMIT 3 OFFSET 1", [][][]any{left, right}, "4 3 2", 0},
		{"SELECT a FROM t UNION ALL SELECT a FROM t LIMIT 4", [][][]any{left, right}, "1 2 2 NULL", 0},
		{"SELECT f FROM t UNION SELECT a FROM t", [][][]any{rows(0.0, math.Copysign(0, -1), math.NaN(), -math.NaN()), rows(0, 5)}, "0 NaN 5", 0},
		{"SELECT a FROM t UNION SELECT d FROM t", [][][]any{rows(1, math.MaxInt64), rows(100, 150)}, "1.00 NULL 1.50", 1},
		{"SELECT s FROM t UNION SELECT NULL FROM t", [][][]any{rows("x", ""), rows(nil, nil)}, "x  NULL", 0},
		{"SELECT NULL FROM t UNION ALL SELECT a FROM t", [][][]any{rows(nil), rows(7)}, "NULL 7", 0},
	} {
		got, unfit, err := combinedRows(t, c.text, 1<<20, c.parts...)
		if s := strings.Join(got, " "); s != c.want || unfit != c.unfit || err != nil {
			t.Errorf("%s: %q, %d do not fit, %v, expected %q, %d", c.text, s, unfit, err, c.want, c.unfit)
		}
	}
}

// Goal: the memory of the rows is bounded. Method: a limit that a few long texts pass.
func TestCombinerIsBounded(t *testing.T) {
	long := [][]any{{strings.Repeat("x", 90)}, {strings.Repeat("y", 90)}, {"z"}, {"z"}}
	_, _, err := combinedRows(t, "SELECT s FROM t UNION ALL SELECT s FROM t", 600, long, nil)
	if !errors.Is(err, result.ErrCombinerFull) || !strings.Contains(err.Error(), "3 rows") {
		t.Errorf("%v, expected %v after 3 rows", err, result.ErrCombinerFull)
	}
}
