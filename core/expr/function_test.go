package expr

import (
	"errors"
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
		all = append(all, must(Checked("the text", s, func(text string) error {
			if len(text)%3 == 1 {
				return errors.New("has a bad length")
			}
			return nil
		})))
		all = append(all, must(New(StartsWith, s, Text("a"))), must(RegexpReplace(s, "([a-c])", `<\1\&>`, "g")), must(JSON(s, []string{"a", "0"}, true)))
	}
	for _, op := range []Op{JSONLength, JSONType, JSONValid, JSONText, JSONScalar} {
		of := must(New(Join, Text("["), must(New(Join, must(Cast(column("i"), record.String)), Text(", \"x\"]")))))
		all = append(all, must(New(op, of)), must(New(op, column("s"))), must(New(op, must(JSON(of, []string{"1"}, false)))))
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
		for _, p := range []string{"^a", "a$", "^abc$", "b", "", "^", "$", "a.c", "^(a|x)", "^a+b?", "ab*c", "^b|c", "(?i)^AB", "^a.*z$", "x{2}", "^aa{0,3}"} {
			all = append(all, must(Regexp(RegexpMatch, s, p, "")))
		}
	}
	for _, s := range texts {
		for _, part := range []*Expr{Text("a"), Text(""), Text("é"), column("u")} {
			all = append(all, must(New(StartsWith, s, part)), must(New(EndsWith, s, part)), must(New(Position, part, s)),
				must(New(Trim, s, part)), must(New(TrimLeft, s, part)), must(New(TrimRight, s)), must(New(SplitPart, s, part, number(2))),
				must(New(SplitPart, s, part, column("j"))))
		}
		all = append(all, must(New(Substring, s, number(2))), must(New(Substring, s, column("j"), number(3))), must(New(Substring, s, number(0), column("j"))))
	}
	for _, stride := range []int64{1, 7, 1e9, 900e9, 1e15} {
		all = append(all, must(New(DateBin, number(stride), at, Int(record.Timestamp, 12345))))
	}
	for _, op := range []Op{AgeMonths, AgeNanos, AgeText} {
		all = append(all, must(New(op, at, Int(record.Timestamp, 1e18))))
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
	for _, x := range []*Expr{column("i"), column("f"), column("d"), column("j")} {
		all = append(all, must(ToCharNumber(x, "FM9,990.099S")), must(ToCharNumber(x, "999")))
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

// What functions cost for each row, in nanoseconds.
func BenchmarkFunctions(b *testing.B) {
	s, err := record.NewSchema("b", record.Field{Name: "s", Type: record.String}, record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "f", Type: record.Float64}, record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		b.Fatal(err)
	}
	batch := record.NewBatch(s, 4096)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 4096 {
		text := []string{"status=200", "  padded text ", "GET /index.html", "503", "502 Bad Gateway"}[rng.IntN(5)]
		if !batch.Add(len(text)) {
			b.Fatal("no room")
		}
		batch.SetString(0, text)
		batch.SetInt64(1, rng.Int64N(1000))
		batch.SetFloat64(2, rng.Float64()*100)
		batch.Column(3).Int64s[batch.Len()-1] = 1_700_000_000e9 + rng.Int64N(1e14)
	}
	must := func(e *Expr, err error) *Expr {
		if err != nil {
			b.Fatal(err)
		}
		return e
	}
	x, i, f, at := Column(s, 0), Column(s, 1), Column(s, 2), Column(s, 3)
	number := func(n int64) *Expr { return Int(record.Int64, n) }
	for _, e := range []*Expr{
		must(Regexp(RegexpMatch, x, "^5", "")), must(Regexp(RegexpMatch, x, "Bad", "")), must(Regexp(RegexpMatch, x, "^5[0-9]+", "")),
		must(Like(x, "%Bad%", 0, false)), must(New(StartsWith, x, Text("50"))), must(New(EndsWith, x, Text("way"))),
		must(New(Left, x, number(3))), must(New(Right, x, number(3))), must(New(Substring, x, number(2), number(3))),
		must(New(Trim, x)), must(New(Position, Text("a"), x)), must(New(OctetLength, x)), must(New(Replace, x, Text("a"), Text("b"))),
		must(New(Join, x, Text("!"))), must(New(Concat, x, x)), must(New(SplitPart, x, Text(" "), number(1))),
		must(New(PadLeft, x, number(12))), must(New(Reverse, x)), must(New(InitCap, x)), must(New(MD5, x)),
		must(New(BitAnd, i, number(7))), must(New(Sqrt, f)), must(Math("sin", f)), must(New(Power, f, Float(2))),
		must(RoundTo(f, 2, false)), must(New(WidthBucket, f, Float(0), Float(100), number(10))),
		must(ToChar(at, "YYYY-MM-DD")), must(Extract("year", at)), must(MonthBin(3, at)), must(New(DateBin, number(900e9), at, Int(record.Timestamp, 0))),
		must(AddMonths(at, 1)), must(Cast(i, record.String)), must(New(ToHex, i)), must(New(GCD, i, number(12))),
	} {
		p, err := Compile(s, nil, []Output{{"x", e}})
		if err != nil {
			b.Fatal(err)
		}
		m := p.New(batch.Len())
		b.Run(e.String(), func(b *testing.B) {
			for b.Loop() {
				m.Run(batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(batch.Len()), "ns/row")
		})
	}
}
