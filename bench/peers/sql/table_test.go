package sql

import (
	"math"
	"math/rand/v2"
	"strings"

	"github.com/velo-engine/velo/record"
)

var schema = func() *record.Schema {
	s, err := record.NewSchema("t",
		// the number of the row: what a record in quarantine is left out by
		record.Field{Name: "n", Type: record.Int64},
		record.Field{Name: "i", Type: record.Int64, Nullable: true}, // up to the ends of the range in a wild table
		record.Field{Name: "j", Type: record.Int64},                 // always small
		// eighths, so that sums are exact in any order; NaN and infinities in a wild table
		record.Field{Name: "f", Type: record.Float64, Nullable: true},
		record.Field{Name: "g", Type: record.Float64, Nullable: true},   // anything
		record.Field{Name: "s", Type: record.String, Nullable: true},    // words
		record.Field{Name: "r", Type: record.String, Nullable: true},    // numbers and what is not quite one
		record.Field{Name: "b", Type: record.Bool, Nullable: true},      //
		record.Field{Name: "ts", Type: record.Timestamp},                // some days
		record.Field{Name: "u", Type: record.Timestamp, Nullable: true}, // some centuries in a wild table; microseconds
		record.Field{Name: "d", Type: record.DecimalOf(12, 2), Nullable: true},
		record.Field{Name: "e", Type: record.DecimalOf(18, 4), Nullable: true})
	if err != nil {
		panic(err)
	}
	return s
}()

// table is the rows of t. A value is nil, an int64 (of a decimal its digits, of a timestamp its microseconds), a float64, a string or a bool.
type table [][]any

var (
	words     = []string{"", "a", "abc", "Abc", "x,y", "hello world", " pad ", "zzz", "a%b", `a\b`, "ab_ab", "aXa"}
	wildWords = []string{
		"", "a", "Ärger", "äRGER", "straße", "日本語", "日", "e\u0301", "\t a \n", "İ", "ǅ", "Σίσυφος",
		"ς", "'", "A'b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "🦀x",
	}
	numerals = []string{
		"12", "-7", " 5 ", "+3", "0", "1e3", "12.345", "-0.005", "2.5", "abc", "", "+-5", ".5", "5.",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "NaN", "inf", "-Infinity", "1e400",
		"1e-400", "\u00a05", "true", "1 2", "--5", "+",
	}
	extremes = []int64{
		math.MinInt64, math.MinInt64 + 1, math.MaxInt64, math.MaxInt64 - 1, 1 << 53, 1<<53 + 1,
		-1 << 32, 1 << 31, 3037000500,
	}
	floats = []float64{
		0.1, 0.2, 0.30000000000000004, 1.005, 2.5, -2.5, 3.5, 0.49999999999999994, 1e15,
		123456789.125, -1e-5, 1. / 3, 100, 12345.678,
	}
	wildFloats = []float64{
		math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 5e-324, math.MaxFloat64,
		-math.MaxFloat64, 1e300, 1e-300, 9223372036854775807, -9223372036854775808, 4503599627370497.5, 1e18,
	}
)

// newTable is a random table. A wild one has values at the ends of their ranges.
func newTable(rng *rand.Rand, rows int, wild bool) table {
	rare := func(one int) bool { return wild && rng.IntN(one) == 0 }
	pick := func(of []string) string { return of[rng.IntN(len(of))] }
	var t table
	for n := range rows {
		row := []any{
			int64(n), rng.Int64N(41) - 20, rng.Int64N(41) - 20, float64(rng.IntN(401)-200) / 8,
			floats[rng.IntN(len(floats))], pick(words), pick(numerals), rng.IntN(2) == 0,
			(1_700_000_000 + rng.Int64N(200_000)) * 1e6, 1_700_000_000_000_000 + rng.Int64N(86400e6*800),
			rng.Int64N(20001) - 10000, rng.Int64N(2_000_000_001) - 1_000_000_000,
		}
		if rare(6) {
			row[1] = extremes[rng.IntN(len(extremes))]
		}
		if rare(20) {
			row[3] = wildFloats[rng.IntN(4)]
		}
		if rare(2) {
			row[4] = wildFloats[rng.IntN(len(wildFloats))]
		}
		if rare(2) {
			row[5] = pick(wildWords)
		}
		if rare(3) {
			row[9] = rng.Int64N(9_000_000_000_000_000*2) - 9_000_000_000_000_000
		}
		if rare(8) {
			row[11] = []int64{999999999999999999, -999999999999999999, 1, 50, -50, 49}[rng.IntN(6)]
		}
		for c := range row {
			if schema.Field(c).Nullable && rng.IntN(6) == 0 {
				row[c] = nil
			}
		}
		t = append(t, row)
	}
	return t
}

// batches is the table as velo reads it, in batches of at most n rows.
func (t table) batches(rows int) (all []*record.Batch) {
	for len(t) > 0 {
		n := 0
		b := record.NewBatch(schema, min(rows, len(t)))
		for _, row := range t[:b.Cap()] {
			text := 0
			for _, v := range row {
				if s, ok := v.(string); ok {
					text += len(s)
				}
			}
			if !b.Add(text) {
				break
			}
			n++
			for c, v := range row {
				switch v := v.(type) {
				case nil:
					b.SetNull(c)
				case int64:
					if schema.Field(c).Type == record.Timestamp {
						v *= 1000
						b.Column(c).Int64s[b.Len()-1] = v
						continue
					}
					b.SetInt64(c, v)
				case float64:
					b.SetFloat64(c, v)
				case string:
					b.SetString(c, v)
				case bool:
					b.SetBool(c, v)
				}
			}
		}
		all, t = append(all, b), t[n:]
	}
	return all
}

// columns is the columns of t as CREATE TABLE has them; types says what a type is called.
func columns(types func(t record.Type) string) string {
	var all []string
	for c := range schema.Len() {
		f := schema.Field(c)
		text := f.Name + " " + types(f.Type)
		if !f.Nullable {
			text += " NOT NULL"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}
