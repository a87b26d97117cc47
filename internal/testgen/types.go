package testgen

import (
	"fmt"
	"math"
	"time"

	"github.com/velo-engine/velo/record"
)

// TypeRows is how many rows AllTypes makes.
const TypeRows = 6

// AllTypes is a batch with a nullable column of each type of record.Types, named by the type with a
// number before it. Its rows have ordinary values, the least and the greatest, and NULL in the last
// row. Tests of readers and writers go through it: a type that one of them has forgotten fails
// there.
func AllTypes() *record.Batch {
	var fields []record.Field
	for i, t := range record.Types() {
		fields = append(fields, record.Field{Name: fmt.Sprintf("c%d", i), Type: t, Nullable: true})
	}
	schema, err := record.NewSchema("types", fields...)
	if err != nil {
		panic(err)
	}
	b := record.NewBatch(schema, 0)
	for row := range TypeRows {
		if !b.Add(len(fields) * 32) {
			panic("testgen: the batch is full")
		}
		for i, f := range fields {
			if row == TypeRows-1 {
				b.SetNull(i)
				continue
			}
			switch v := ValueOf(f.Type, row).(type) {
			case int64:
				b.SetInt64(i, v)
			case float64:
				b.SetFloat64(i, v)
			case string:
				b.SetString(i, v)
			}
		}
	}
	return b
}

// ValueOf is a value of a type: the word as an int64, a float64, or the bytes of a text as a
// string. There are TypeRows-1 of each type. It panics for a type that it does not know.
func ValueOf(t record.Type, i int) any {
	switch {
	case t == record.Bool:
		return int64(i & 1)
	case t == record.Int64:
		return []int64{0, -1, 42, math.MaxInt64, math.MinInt64}[i]
	case t == record.Float64:
		return []float64{0, -1.25, 1e300, 0.1, 12345678}[i]
	case t == record.String:
		return []string{"a", "b,\"c\"\nd", "é", "a longer text of more than 23 bytes", "\\x"}[i]
	case t == record.Timestamp:
		at := time.Date(2026, 3, 2, 9, 30, 0, 250_000_000, time.UTC)
		return []int64{0, at.UnixNano(), at.UnixNano() + 1000, -1_000_000, 86400e9}[i]
	case t.IsDecimal():
		return []int64{0, -1, 12345, 999_999_999_999_999_999, -999_999_999_999_999_999}[i]
	case t == record.TimeOfDay:
		return []int64{0, record.DayNanos, 34_200_500_000_000, 1000, record.DayNanos - 1000}[i]
	case t == record.Interval:
		return []int64{0, 1000, -90_061_000_001_000, 3 * record.DayNanos, 1 << 60 / 1000 * 1000}[i]
	case t == record.UUID:
		return []string{
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
			"\xa0\xee\xbc\x99\x9c\x0b\x4e\xf8\xbb\x6d\x6b\xb9\xbd\x38\x0a\x11", "0123456789abcdef",
			"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
			"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00",
		}[i]
	case t.IsWide():
		var wide [5]string
		for n, text := range []string{
			"0", "-0.0001", "1234567890123456789.5", "-9999999999999999999999999999999999.9999",
			"9999999999999999999999999999999999.9999",
		} {
			_, bytes, err := record.ParseLogical(nil, t, text)
			if err != nil {
				panic(err)
			}
			wide[n] = string(bytes)
		}
		return wide[i]
	case t == record.Bytes:
		return []string{"", "\x00", "abc", "\xff\\\",\n", "more than 23 bytes, so that they lie apart\x00"}[i]
	}
	panic(fmt.Sprintf("testgen: no values of type %v", t))
}

// Cells are the values of a batch, row by row, for comparisons.
func Cells(b *record.Batch) (rows [][]string) {
	for row := range b.Len() {
		var cells []string
		for i := range b.Schema().Len() {
			c, t := b.Column(i), b.Schema().Field(i).Type
			switch {
			case c.Null(row):
				cells = append(cells, "NULL")
			case t.Kind() == record.String:
				cells = append(cells, fmt.Sprintf("%v %q", t, c.View(row)))
			case t == record.Float64:
				cells = append(cells, fmt.Sprintf("%v %v", t, c.Float64s[row]))
			default:
				cells = append(cells, fmt.Sprintf("%v %d", t, c.Int64s[row]))
			}
		}
		rows = append(rows, cells)
	}
	return rows
}
