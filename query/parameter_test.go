package query

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

var parameterSchema = func() *record.Schema {
	s, err := record.NewSchema("t",
		record.Field{Name: "a", Type: record.Int64}, record.Field{Name: "s", Type: record.String},
		record.Field{Name: "f", Type: record.Float64}, record.Field{Name: "at", Type: record.Timestamp},
		record.Field{Name: "d", Type: record.DecimalOf(10, 2)}, record.Field{Name: "b", Type: record.Bool})
	if err != nil {
		panic(err)
	}
	return s
}()

// TestCompileWith compares conditions with parameters to the same with constants.
func TestCompileWith(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 30, 0, 123456789, time.FixedZone("", 3600))
	tests := []struct {
		sql    string
		values []any
		want   string
	}{
		{"a = $1", []any{5}, "a = 5"},
		{"a = -$1", []any{uint16(5)}, "a = -5"},
		{"a - $1 = 3", []any{int8(-5)}, "a - (-5) = 3"},
		{"a = $1", []any{int64(math.MinInt64)}, "a = CAST('-9223372036854775808' AS bigint)"},
		{"s = $1 OR s = $1", []any{"it's; -- $2"}, "s = 'it''s; -- $2' OR s = 'it''s; -- $2'"},
		{"a = $1", []any{"7"}, "a = '7'"},
		{"f < $2 AND f > $1", []any{float32(0.5), math.Inf(1)}, "f < 'Infinity'::double precision AND f > 0.5::float8"},
		{"at >= $1", []any{at}, "at >= TIMESTAMP '2026-03-02 08:30:00.123456789'"},
		{"d = $1", []any{record.Decimal{Unscaled: -125, Scale: 2}}, "d = -1.25"},
		{"b = $1", []any{true}, "b = TRUE"},
		{"a = $1", []any{nil}, "a = NULL"},
		{"a IN ($1, $2)", []any{1, 2}, "a IN (1, 2)"},
		{"s LIKE $1", []any{[]byte("a%")}, "s LIKE 'a%'"},
		{"a = $1::bigint", []any{"12"}, "a = '12'::bigint"},
	}
	for _, test := range tests {
		got, err := CompileWith("SELECT a FROM t WHERE "+test.sql, test.values, parameterSchema)
		if err != nil {
			t.Errorf("%s: %v", test.sql, err)
			continue
		}
		want, err := Compile("SELECT a FROM t WHERE "+test.want, parameterSchema)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%s, %v:\n got %v\nwant %v", test.sql, test.values, got, want)
		}
	}
}

func TestParameters(t *testing.T) {
	tests := []struct {
		sql  string
		want []record.Type
	}{
		{"SELECT a FROM t", nil},
		{"SELECT a FROM t WHERE a = $1 AND $2 < f", []record.Type{record.Int64, record.Float64}},
		{"SELECT a FROM t WHERE at BETWEEN $1 AND $2 LIMIT $3 OFFSET $4", []record.Type{
			record.Timestamp, record.Timestamp, record.Int64, record.Int64,
		}},
		{"SELECT a FROM t WHERE s LIKE $2", []record.Type{0, record.String}},
		{"SELECT $1, s || $2 FROM t", []record.Type{0, record.String}},
		{"SELECT $1::boolean FROM t WHERE d IN ($2, $3)", []record.Type{
			record.Bool, record.DecimalOf(10, 2), record.DecimalOf(10, 2),
		}},
		{"SELECT s, count(*) FROM t GROUP BY s HAVING count(*) > $1", []record.Type{0}},
		{"SELECT a FROM t WHERE s = $2 UNION SELECT a FROM t WHERE f = $1 LIMIT $3", []record.Type{
			record.Float64, record.String, record.Int64,
		}},
	}
	for _, test := range tests {
		got, err := Parameters(test.sql, parameterSchema)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v, want %v", test.sql, got, err, test.want)
		}
	}
}

func TestFaultsOf(t *testing.T) {
	_, err := Compile("SELECT x,\n y FROM t", parameterSchema)
	got := Faults(err)
	if len(got) != 2 || got[0].Line != 1 || got[0].Column != 8 || got[0].Offset != 7 || got[1].Line != 2 ||
		got[1].Column != 2 || !strings.Contains(got[1].Message, `there is no column "y"`) {
		t.Errorf("%+v", got)
	}
	_, err = Compile("SELECT a FROM t WHERE a = $1", parameterSchema)
	if got := Faults(err); len(got) != 1 || got[0].Column != 27 || !strings.Contains(got[0].Message, "no values here") {
		t.Errorf("%+v", got)
	}
}

func TestLookup(t *testing.T) {
	tests := []struct {
		sql  string
		want []string // nil if it is no lookup
	}{
		{"SELECT a FROM t WHERE a = $1", []string{"a"}},
		{"SELECT a FROM t AS u WHERE u.a = $2 AND $1 = s LIMIT 1", []string{"s", "a"}},
		{"SELECT a FROM t", nil},
		{"SELECT a FROM t WHERE a = 1", nil},
		{"SELECT a FROM t WHERE a = $1 AND f > 1", nil},
		{"SELECT a FROM t WHERE a = $1 OR s = $2", nil},
		{"SELECT $2 FROM t WHERE a = $1", nil},
		{"SELECT a FROM t WHERE a = $1 LIMIT $2", nil},
		{"SELECT a FROM t WHERE a = $1 AND s = $1", nil},
		{"SELECT a FROM t WHERE a = $2", nil},
		{"SELECT a FROM t WHERE a > $1", nil},
		{"SELECT n FROM (SELECT a, count(*) AS n FROM t GROUP BY a) WHERE a = $1", nil},
		{"SELECT a FROM t WHERE a = $1 UNION SELECT a FROM t WHERE a = $2", nil},
	}
	for _, test := range tests {
		got, ok := Lookup(test.sql)
		if ok != (test.want != nil) || ok && !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, %v, want %q", test.sql, got, ok, test.want)
		}
	}
}
