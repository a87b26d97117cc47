package expr

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

// Goal: every function of texts, times and patterns has a type, may be NULL where its arguments may, and is the same as a column and row by row. Method: each
// over columns with and without NULLs, random batches, the machine against Eval.
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
	all = append(all, must(New(Chr, column("j"))), must(New(Log10, column("g"))))
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
