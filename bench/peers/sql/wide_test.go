package sql

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// ofWide are expressions over wide decimals (d, e), a decimal of one word (f) and a bigint (g). %d
// is a constant of up to 38 digits. A choice between numbers of different digits is cast, because
// in PostgreSQL each value has its own.
var ofWide = []string{
	"d", "e", "-d", "abs(e)", "d + e", "d - e", "e - f", "d + g", "d * f", "e * f", "e * e", "e * g", "d % e", "e % 7", "d % f",
	"d + %d", "e < %d", "e = %d", "d >= %d", "d <> %d", "d BETWEEN e AND %d", "d IN (%d, %d, 5)", "f < %d", "g > %d", "g = 5.0",
	"d < e", "d = e", "e = f", "f <= e", "g < e", "e > g", "d IS DISTINCT FROM e", "floor(d)", "ceil(e)", "round(d)", "trunc(d)",
	"round(d, 2)", "round(e, -3)", "trunc(d, 1)", "trunc(e, -4)", "round(d * f, 3)", "d::text", "d::text::numeric(38,4)",
	"d::numeric(38,1)", "e::numeric(38,6)", "f::numeric(30,5)", "g::numeric(38,0)", "f::numeric(20,1)", "(e % 1000)::bigint",
	"(d % 1000)::numeric(9,2)", "greatest(d, e)::numeric(38,4)", "least(d, f, g)::numeric(38,4)", "coalesce(e, d)::numeric(38,4)",
	"nullif(d, e)", "(CASE WHEN d < e THEN d ELSE f END)::numeric(38,4)", "to_char(e, '99999999999999999999999999999999.999')",
	"f * 1.0000000000000000001", "g + 99999999999999999999", "f + 12345678901234567890.5", "1.5::numeric(38,3) * g",
	"'12345678901234567890.123'::numeric(38,3) - f", "e + '0.123456789012345678901'", "mod(d, 1000)", "d::text || 'x'",
}

// ofWideAll are aggregates.
var ofWideAll = []string{
	"sum(d)", "sum(e)", "min(d)", "max(e)", "count(e)", "count(DISTINCT d)", "sum(e * f)", "sum(f::numeric(38,3))",
	"sum(g::numeric(38,0))", "sum(d) + sum(e)", "sum(d) > max(e)", "max(d) - min(d)", "sum(CASE WHEN d > e THEN d END)",
	"min(d + e)", "sum(e) FILTER (WHERE f > 0)", "sum(DISTINCT e)", "sum(f::numeric(38,3)) + sum(f)",
	"round(sum(d) * 1.5, 2)", "count(*) FILTER (WHERE d = e)", "sum(e + 0.001)",
}

// wideQuotients are quotients and averages, of records and of groups, and what PostgreSQL is asked
// for. It chooses the digits of each quotient by its size, and never fewer than the numbers have.
// Here a quotient is rounded once, to the digits that its type has. So one of the numbers gets 60
// digits there, which are then rounded.
var wideQuotients, wideMeans = [][2]string{
	{"round(d / 7, 5)", "round(d::numeric(100,60) / 7, 5)"},
	{"(d / 3.7)::numeric(38,2)", "(d::numeric(100,60) / 3.7)::numeric(38,2)"},
	{"round(d / e, 3)", "round(d::numeric(100,60) / e, 3)"},
	{"round((e % 1000) / d, 30)", "round((e % 1000)::numeric(100,60) / d, 30)"},
	{"round(d / f)", "round(d::numeric(100,60) / f)"},
	{"(d % 1000) / e", "round((d % 1000)::numeric(100,60) / e, 16)"},
	{"(e % 1000) / 3", "round((e % 1000)::numeric(100,60) / 3, 16)"},
	{"g / e", "round(g::numeric(100,60) / e, 16)"},
	{"round((d % 100) / f, 2) * 2", "round((d % 100)::numeric(100,60) / f, 2) * 2"},
	{"round(round((d % 100) / 7, 4), 2)", "round(round((d % 100)::numeric(100,60) / 7, 4), 2)"},
}, [][2]string{
	{"avg(e)", "round(sum(e)::numeric(100,60) / count(e), 16)"},
	{"avg(d % 1000)", "round(sum(d % 1000)::numeric(100,60) / count(d), 16)"},
	{"avg(e) FILTER (WHERE f > 0)", "round(sum(e) FILTER (WHERE f > 0)::numeric(100,60) / count(e) FILTER (WHERE f > 0), 16)"},
	{"round(sum(d) / count(*), 4)", "round(sum(d)::numeric(100,60) / count(*), 4)"},
	{"round(avg(e), 3)", "round(round(sum(e)::numeric(100,60) / count(e), 16), 3)"},
}

// Goal: decimals of up to 38 digits have PostgreSQL's semantics. Method: as in TestTypes.
func TestWide(t *testing.T) {
	o := newPostgres(t).(*postgres)
	s, err := record.NewSchema("w", record.Field{Name: "n", Type: record.Int64},
		record.Field{Name: "d", Type: record.DecimalOf(38, 4)},
		record.Field{Name: "e", Type: record.DecimalOf(30, 2), Nullable: true},
		record.Field{Name: "f", Type: record.DecimalOf(12, 3)}, record.Field{Name: "g", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	rounds := 4
	if v, err := strconv.Atoi(os.Getenv("VELO_DIFF")); err == nil {
		rounds = max(rounds, v/500)
	}
	compared := 0
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 38))
		b := record.NewBatch(s, 0)
		var values []string
		for n := range 1 + rng.IntN(200) {
			b.Add(32)
			b.SetInt64(0, int64(n))
			row := []string{strconv.Itoa(n)}
			for i := 1; i < s.Len(); i++ {
				f := s.Field(i)
				text := wideText(rng, []int{0, 22, 16, 5, 9}[i], f.Type.Scale())
				word, err := int64(0), error(nil)
				switch {
				case f.Nullable && (rng.IntN(6) == 0 || strings.Trim(text, "-0.") == ""):
					b.SetNull(i)
					text = "NULL"
				case f.Type.IsWide():
					var bytes []byte
					_, bytes, err = record.ParseLogical(nil, f.Type, text)
					b.SetBytes(i, bytes)
				default:
					if f.Type.IsDecimal() && strings.Trim(text, "-0.") == "" {
						text = "1.000"
					}
					word, err = strconv.ParseInt(strings.Replace(text, ".", "", 1), 10, 64)
					b.SetInt64(i, word)
				}
				if err != nil {
					t.Fatal(err)
				}
				row = append(row, text)
			}
			values = append(values, "("+strings.Join(row, ", ")+")")
		}
		execAll(t, o.conn,
			"DROP TABLE IF EXISTS w",
			"CREATE TABLE w (n bigint, d numeric(38,4), e numeric(30,2), f numeric(12,3), g bigint)",
			"INSERT INTO w VALUES "+strings.Join(values, ", "),
		)
		run := func(text, theirs string) {
			want, theirFault := theirRows(t, o.conn, theirs)
			got, err := typeRows(text, s, b)
			if theirFault != nil || err != nil {
				t.Errorf("seed %d: %s: %v, and PostgreSQL: %v", seed, text, err, theirFault)
				return
			}
			compared += len(got)
			for k, v := range want {
				if got[k] != v {
					t.Errorf("seed %d: %s: for %s it is %s, expected %s", seed, text, k, got[k], v)
					break
				}
			}
		}
		constants := func(e string) string {
			for strings.Contains(e, "%d") {
				e = strings.Replace(e, "%d", wideText(rng, 5+rng.IntN(17), rng.IntN(8)), 1)
			}
			return e
		}
		for _, e := range ofWide {
			e = constants(e)
			run("SELECT n, "+e+" AS r FROM w GROUP BY 1, 2", "SELECT n::text, ("+e+")::text FROM w")
			run("SELECT min(n) AS n, max(("+e+")::text) AS r FROM w GROUP BY n % 1000", "SELECT n::text, ("+e+")::text FROM w")
		}
		for _, e := range wideQuotients {
			run("SELECT n, "+e[0]+" AS r FROM w WHERE d <> 0 GROUP BY 1, 2", "SELECT n::text, ("+e[1]+")::text FROM w WHERE d <> 0")
		}
		for _, e := range wideMeans {
			run("SELECT n % 7 AS g, "+e[0]+" AS r FROM w GROUP BY n % 7", "SELECT (n % 7)::text, ("+e[1]+")::text FROM w GROUP BY n % 7")
		}
		for _, e := range ofWideAll {
			e = constants(e)
			run("SELECT n % 7 AS g, "+e+" AS r FROM w GROUP BY n % 7", "SELECT (n % 7)::text, ("+e+")::text FROM w GROUP BY n % 7")
		}
	}
	t.Logf("%d rounds, %d values compared", rounds, compared)
}

// wideText is a random number of up to whole digits before the point and scale after it. Some are
// equal, and some are halves.
func wideText(rng *rand.Rand, whole, scale int) string {
	var b strings.Builder
	b.WriteString([]string{"", "-"}[rng.IntN(2)])
	digits := rng.IntN(whole) + 1
	if rng.IntN(3) == 0 {
		digits = 1
	}
	b.WriteString(strconv.Itoa(rng.IntN(10)))
	for range digits - 1 {
		b.WriteString(strconv.Itoa(rng.IntN(10)))
	}
	for i := range scale {
		if i == 0 {
			b.WriteString(".")
		}
		b.WriteString(fmt.Sprint([]int{0, 5, rng.IntN(10)}[rng.IntN(3)]))
	}
	return b.String()
}
