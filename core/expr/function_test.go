package expr

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

// Goal: every function of texts, times and patterns has a type, may be NULL where its arguments
// may, and is the same as a column and row by row. Method: each over columns with and without
// NULLs, random batches, the machine against Eval.
func TestFunctions(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	must := func(e *Expr, err error) *Expr {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	column := func(name string) *Expr {
		i, ok := allTypes.Index(name)
		if !ok {
			t.Fatalf("there is no column %q", name)
		}
		return Column(allTypes, i)
	}
	number := func(n int64) *Expr { return Int(record.Int64, n) }
	at := column("at")
	texts, times := []*Expr{column("s"), column("u")}, []*Expr{at, must(New(NullIf, at, Int(record.Timestamp, 0))), must(Case(column("b"), at, Null(record.Timestamp)))}
	var all []*Expr
	for _, s := range texts {
		for _, n := range []*Expr{number(2), number(-1), column("j")} {
			all = append(all, must(New(Left, s, n)), must(New(Right, s, n)), must(New(PadLeft, s, n)), must(New(PadRight, s, n, column("u"))), must(New(Repeat, s, n)))
		}
		for _, op := range []Op{Reverse, ASCII, MD5, OctetLength} {
			all = append(all, must(New(op, s)))
		}
		for _, op := range []Op{RegexpMatch, RegexpFind, RegexpCount} {
			all = append(all, must(Regexp(op, s, "[a-c]+", "i")))
		}
		all = append(all, must(New(StartsWith, s, Text("a"))), must(RegexpReplace(s, "([a-c])", `<\1\&>`, "g")), must(JSON(s, []string{"a", "0"}, true)))
	}
	for _, x := range times {
		all = append(all, must(InZone(x, zone)), must(FromZone(x, zone)), must(ToChar(x, "YYYY-MM-DD HH24:MI:SS.US FMMonth")), must(AddMonths(x, 1)), must(ParseTime(must(ToChar(x, "YYYY-MM-DD HH24:MI:SS.US")), "%Y-%m-%d %H:%M:%S.%f")),
			must(New(DateBin, number(15*60e9), x, Int(record.Timestamp, 0))), must(Require("the time", x)))
		for _, unit := range units {
			all = append(all, must(TruncZone(unit, x, zone)))
		}
	}
	for _, s := range texts {
		all = append(all, must(New(EndsWith, s, Text("a"))), must(New(ConcatWS, Text("-"), s, column("u"))),
			must(New(ConcatWS, s, column("u"), Text("x"))), must(New(InitCap, s)), must(New(Translate, s, Text("abc"), Text("x"))),
			must(New(Overlay, s, Text("zz"), column("j"))), must(New(Overlay, s, Text("zz"), number(2), number(1))),
			must(Regexp(RegexpPlace, s, "[b-d]", "")), must(RegexpGroup(RegexpFind, s, "(a)|(b)", "", 2)),
			must(Similar(s, "%(a|b)_*", '\\')), must(Try(must(Cast(s, record.Int64)))), must(Try(must(Cast(s, record.Bool)))))
		for _, p := range []string{"^a", "a$", "^abc$", "b", "", "^", "$", "a.c", "^(a|x)"} {
			all = append(all, must(Regexp(RegexpMatch, s, p, "")))
		}
	}
	for name := range mathFuncs {
		all = append(all, must(Math(name, column("f"))), must(Math(name, column("g"))))
	}
	for _, op := range []Op{BitAnd, BitOr, BitXor, ShiftLeft, ShiftRight, GCD, LCM} {
		all = append(all, must(New(op, column("i"), column("j"))), must(New(op, column("j"), number(3))))
	}
	for _, x := range []*Expr{column("i"), column("f"), column("d")} {
		for _, n := range []int{-3, -1, 0, 1, 3, 17} {
			all = append(all, must(RoundTo(x, n, false)), must(RoundTo(x, n, true)))
		}
	}
	for _, op := range []Op{BitNot, BitCount, Factorial, ToHex} {
		all = append(all, must(New(op, column("i"))), must(New(op, column("j"))))
	}
	all = append(all, must(New(Chr, column("j"))), must(New(Log10, column("g"))), must(New(Sqrt, column("f"))), must(New(Ln, column("f"))),
		must(New(Exp, column("f"))), must(New(Atan2, column("f"), column("g"))), must(Try(must(New(Sqrt, column("f"))))),
		must(New(WidthBucket, column("f"), Float(-5), Float(5), number(4))), must(MonthBin(5, at)),
		must(New(MakeDate, number(2024), column("j"), column("j"))),
		must(New(MakeTime, number(2024), number(2), number(29), column("j"), number(1), column("f"))))
	for seed, e := range all {
		if e.Type() == 0 {
			t.Errorf("%v has no type", e)
			continue
		}
		p, err := Compile(allTypes, nil, []Output{{"x", e}})
		if err != nil {
			t.Fatal(err)
		}
		b := someBatch(rand.New(rand.NewPCG(uint64(seed), 7)), 1500)
		sameAsEval(t, e, p.New(b.Len()), b)
	}
}
