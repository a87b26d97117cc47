package expr

import (
	"math"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: numbers are written as PostgreSQL's to_char writes them, and what a format may not have is
// said. Method: the examples of its manual, and others that its server gave; `make diff` has more.
func TestToCharNumber(t *testing.T) {
	d := func(digits int64, scale int) *Expr { return Int(record.DecimalOf(18, scale), digits) }
	i := func(n int64) *Expr { return Int(record.Int64, n) }
	for _, c := range []struct {
		x            *Expr
		format, want string
	}{
		{d(-1, 1), "99.99", "  -.10"},
		{d(-1, 1), "FM9.99", "-.1"},
		{d(1, 1), "0.9", " 0.1"},
		{d(12, 0), "9990999.9", "    0012.0"},
		{d(12, 0), "FM9990999.9", "0012."},
		{i(485), "999", " 485"},
		{i(-485), "999", "-485"},
		{i(485), "9 9 9", " 4 8 5"},
		{i(1485), "9,999", " 1,485"},
		{i(1485), "9G999", " 1,485"},
		{d(1485, 1), "999.999", " 148.500"},
		{d(1485, 1), "FM999.999", "148.5"},
		{d(1485, 1), "FM999.990", "148.500"},
		{d(31485, 1), "9G999D999", " 3,148.500"},
		{i(-485), "999S", "485-"},
		{i(485), "999S", "485+"},
		{i(-485), "999MI", "485-"},
		{i(485), "999MI", "485 "},
		{i(485), "FM999MI", "485"},
		{i(-485), "999PR", "<485>"},
		{i(485), "999PR", " 485 "},
		{i(5), "S00", "+05"},
		{i(1234), "999", " ###"},
		{i(-1234), "99.9", "-##.#"},
		{d(4858, 1), `"Pre:"999" Post:" .9`, "Pre: 485 Post: .8"},
		{d(5, 1), "9", " 1"},
		{d(-5, 1), "9", "-1"},
		{d(49999999999999999, 17), "9", " 0"},
		{Float(2.5), "9", " 2"},
		{Float(math.NaN()), "999", " NaN"},
		{Float(math.Inf(-1)), "99.9", "-##.#"},
		{i(math.MinInt64), "9999999999999999999", "-9223372036854775808"},
		{i(0), "FM9.99", "0."},
		{i(12), "FM9,999", "12"},
		{i(12), "9,999", "    12"},
		{Null(record.Int64), "9", "NULL"},
	} {
		e, err := ToCharNumber(c.x, c.format)
		if err != nil {
			t.Fatalf("%s: %v", c.format, err)
		}
		v, ok := e.Const()
		got := v.Text
		if v.Null {
			got = "NULL"
		}
		if got != c.want || !ok {
			t.Errorf("to_char(%v, %q) is %q, expected %q", c.x, c.format, got, c.want)
		}
	}
	for format, want := range map[string]string{
		"9.9.9": "two decimal points", "99TH": `has "T"`, "S9S": "its sign twice", "RN": `has "R"`, `9"x`: "a text that is not closed",
		"9PR9": "after PR", strings.Repeat("9", 101): "more than 100 digits", "SG9": `has "S"`,
	} {
		_, err := ToCharNumber(i(1), format)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %s", format, err, want)
		}
	}
}
