package expr

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/internal/pick"
	"github.com/velo-engine/velo/record"
)

var allTypes = func() *record.Schema {
	s, err := record.NewSchema("t",
		record.Field{Name: "i", Type: record.Int64}, record.Field{Name: "j", Type: record.Int64, Nullable: true},
		record.Field{Name: "f", Type: record.Float64}, record.Field{Name: "g", Type: record.Float64, Nullable: true},
		record.Field{Name: "s", Type: record.String}, record.Field{Name: "u", Type: record.String, Nullable: true},
		record.Field{Name: "b", Type: record.Bool, Nullable: true}, record.Field{Name: "at", Type: record.Timestamp},
		record.Field{Name: "d", Type: record.DecimalOf(12, 2)},
		record.Field{Name: "e", Type: record.DecimalOf(18, 2), Nullable: true},
	)
	if err != nil {
		panic(err)
	}
	return s
}()

// someBatch has values of all kinds, the extremes often.
func someBatch(rng *rand.Rand, rows int) *record.Batch {
	b := record.NewBatch(allTypes, max(20*rows, 100))
	ints := []int64{0, 1, -1, 2, 7, math.MaxInt64, math.MinInt64, 1 << 31, -1 << 40}
	fl := []float64{0, math.Copysign(0, -1), 1, -1.5, math.NaN(), math.Inf(1), math.Inf(-1), 1e308, -1e-308, 2.5}
	texts := []string{
		"", "a", "abc", "12", " -7 ", "3.5", "x,y,z", "ÄÖü", "\xff", "a%b_c", "true",
		"2020-02-29T12:30:00Z", strings.Repeat("long", 20),
	}
	for range rows {
		if !b.Add(160) {
			panic("no room")
		}
		for c := range allTypes.Len() {
			f := allTypes.Field(c)
			if f.Nullable && rng.IntN(4) == 0 {
				b.SetNull(c)
				continue
			}
			switch f.Type {
			case record.Int64:
				v := ints[rng.IntN(len(ints))]
				if rng.IntN(2) == 0 {
					v = rng.Int64N(20) - 10
				}
				b.SetInt64(c, v)
			case record.Float64:
				v := fl[rng.IntN(len(fl))]
				if rng.IntN(2) == 0 {
					v = float64(rng.IntN(40)-20) / 4
				}
				b.SetFloat64(c, v)
			case record.String:
				b.SetString(c, texts[rng.IntN(len(texts))])
			case record.Bool:
				b.SetBool(c, rng.IntN(2) == 0)
			case record.Timestamp:
				v := rng.Int64N(4e18) - 2e18
				if rng.IntN(40) == 0 { // around the first time that may be cut to
					v = firstTime + rng.Int64N(20*86400e9)
				}
				b.SetInt64(c, v)
			default:
				v := rng.Int64N(2000) - 1000
				if rng.IntN(8) == 0 {
					v = record.Pow10[f.Type.Precision()] - 1
				}
				b.SetInt64(c, v)
			}
		}
	}
	return b
}

// randomConst is a constant of a type, sometimes NULL.
func randomConst(rng *rand.Rand, t record.Type) *Expr {
	switch {
	case rng.IntN(8) == 0:
		return Null(t)
	case t == record.Bool:
		return Bool(rng.IntN(2) == 0)
	case t == record.Float64:
		return Float([]float64{
			float64(rng.IntN(9)-4) / 2, math.NaN(), math.Inf(1),
			math.Copysign(0, -1),
		}[min(3, rng.IntN(20))])
	case t == record.String:
		texts := []string{"", "a", "abc", ",", "x,y,z", strings.Repeat("long", 20), "longlonglonx"}
		return Text(texts[rng.IntN(len(texts))])
	}
	return Int(t, rng.Int64N(9)-4)
}

// someField is one of the fields of Extract that are of a type.
func someField(rng *rand.Rand, t record.Type) string {
	var names []string
	for name, typ := range fields {
		if typ == t {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names[rng.IntN(len(names))]
}

// randomExpr is an expression of a type.
func randomExpr(rng *rand.Rand, t record.Type, depth int) *Expr {
	for {
		if e := tryExpr(rng, t, depth); e != nil {
			return e
		}
	}
}

func tryExpr(rng *rand.Rand, t record.Type, depth int) *Expr {
	leaf := func() *Expr {
		switch rng.IntN(6) {
		case 0, 1:
			return randomConst(rng, t)
		}
		var fit []int
		for c := range allTypes.Len() {
			if allTypes.Field(c).Type == t {
				fit = append(fit, c)
			}
		}
		if len(fit) == 0 {
			return Int(t, rng.Int64N(100))
		}
		return Column(allTypes, fit[rng.IntN(len(fit))])
	}
	if depth == 0 || rng.IntN(6) == 0 {
		return leaf()
	}
	sub := func(t record.Type) *Expr { return randomExpr(rng, t, depth-1) }
	types := []record.Type{
		record.Int64, record.Float64, record.String, record.Bool, record.Timestamp,
		record.DecimalOf(12, 2), record.DecimalOf(6, 0),
	}
	anyOf := func() record.Type { return types[rng.IntN(len(types))] }
	must := func(e *Expr, err error) *Expr {
		if err != nil {
			return nil
		}
		if e.typ != t && !(e.typ.IsDecimal() && t.IsDecimal()) {
			return nil
		}
		if e.typ != t {
			e, err = Cast(e, t)
			if err != nil {
				return nil
			}
		}
		return e
	}
	switch rng.IntN(8) {
	case 0:
		return must(Case(sub(record.Bool), sub(t), sub(record.Bool), sub(t), sub(t)))
	case 1:
		return must(New([]Op{Coalesce, Greatest, Least, NullIf}[rng.IntN(4)], sub(t), sub(t)))
	case 2:
		return must(Cast(sub(anyOf()), t))
	case 3:
		if rng.IntN(3) == 0 {
			return must(userCall(t, sub))
		}
	}
	switch {
	case t == record.Bool:
		x := anyOf()
		switch rng.IntN(8) {
		case 0, 1:
			return must(New([]Op{And, Or}[rng.IntN(2)], sub(t), sub(t)))
		case 2:
			return must(New([]Op{Not, IsTrue, IsFalse}[rng.IntN(3)], sub(t)))
		case 3:
			return must(New(IsNull, sub(x)))
		case 4:
			patterns := []string{
				"a%", "abc", "%c", "%b%", "longlonglo%", "%b%c", "_", "%", "A_C", "%,%", "\xff%",
				"%Ö%",
			}
			return must(Like(sub(record.String), patterns[rng.IntN(len(patterns))], '\\', rng.IntN(2) == 0))
		case 5:
			x = []record.Type{record.Int64, record.Float64, record.String}[rng.IntN(3)]
			consts := []*Expr{sub(x)}
			for range 1 + rng.IntN(inAtOnce+2) {
				consts = append(consts, randomConst(rng, x))
			}
			if rng.IntN(3) == 0 {
				return sameAsIn(rng, consts)
			}
			return must(New(In, consts...))
		}
		return must(New([]Op{Eq, Ne, Lt, Le, Gt, Ge, Distinct}[rng.IntN(7)], sub(x), sub(x)))
	case t == record.String:
		switch rng.IntN(5) {
		case 0:
			return must(New([]Op{Lower, Upper, Trim, TrimLeft, TrimRight}[rng.IntN(5)], sub(t)))
		case 1:
			return must(New(Substring, sub(t), sub(record.Int64), sub(record.Int64)))
		case 2:
			return must(New([]Op{Join, Concat}[rng.IntN(2)], sub(t), sub(t)))
		case 3:
			return must(New(SplitPart, sub(t), sub(t), sub(record.Int64)))
		}
		return must(New(Replace, sub(t), sub(t), sub(t)))
	case t == record.Timestamp:
		if rng.IntN(2) == 0 {
			return must(DateTrunc(units[rng.IntN(len(units))], sub(t)))
		}
		return must(New(AddNanos, sub(t), sub(record.Int64)))
	case t == record.Int64 && rng.IntN(4) == 0:
		switch rng.IntN(4) {
		case 0:
			return must(New(Length, sub(record.String)))
		case 1:
			return must(New(Position, sub(record.String), sub(record.String)))
		case 2:
			return must(New(SubTimes, sub(record.Timestamp), sub(record.Timestamp)))
		}
		return must(Extract(someField(rng, record.Int64), sub(record.Timestamp)))
	case t == record.Float64 && rng.IntN(4) == 0:
		switch rng.IntN(3) {
		case 0:
			return must(New([]Op{Sqrt, Ln, Exp}[rng.IntN(3)], sub(t)))
		case 1:
			return must(New(Power, sub(t), sub(t)))
		}
		return must(Extract(someField(rng, record.Float64), sub(record.Timestamp)))
	}
	switch rng.IntN(3) {
	case 0:
		return must(New([]Op{Neg, Abs, Sign, Round, Floor, Ceil, Trunc}[rng.IntN(7)], sub(t)))
	}
	return must(New([]Op{Add, Sub, Mul, Div, Mod}[rng.IntN(5)], sub(t), sub(t)))
}

// sameAsIn is InSet with some of the constants of In, and checks that the two agree on constants.
func sameAsIn(rng *rand.Rand, args []*Expr) *Expr {
	must := func(e *Expr, err error) *Expr {
		if err != nil {
			panic(err)
		}
		return e
	}
	x := args[0]
	for _, y := range append([]*Expr{randomConst(rng, x.typ)}, args[1:]...) {
		a, err := must(InSet(y, args[1:])).Eval(nil, 0)
		b, also := must(New(In, append([]*Expr{y}, args[1:]...)...)).Eval(nil, 0)
		if err != nil || also != nil || a != b {
			panic(fmt.Sprintf("%v IN %v: %v, %v of a set, %v, %v of constants", y, args[1:], a, err, b, also))
		}
	}
	return must(InSet(x, args[1:]))
}

// useVectors has the loops of a test computed in one of the ways that this processor has: 0 is the
// way of Go, 1 AVX2, others all that there is.
func useVectors(t *testing.T, way uint64) {
	was512, wasAVX2, wasPick := have512, haveAVX2, pick.Have512
	t.Cleanup(func() { have512, haveAVX2, pick.Have512 = was512, wasAVX2, wasPick })
	have512, haveAVX2, pick.Have512 = was512 && way > 1, wasAVX2 && way > 0, wasPick && way > 1
}

// Goal: the machine computes what the row evaluator does, rows that fail included, with the vectors
// that there are and without. Method: random expressions over random batches.
func TestTwin(t *testing.T) {
	for way := range uint64(3) {
		t.Run(fmt.Sprint("vectors=", way), func(t *testing.T) {
			useVectors(t, way)
			testTwin(t, 4*way)
		})
	}
}

func testTwin(t *testing.T, stream uint64) {
	types := []record.Type{
		record.Int64, record.Float64, record.String, record.Bool, record.Timestamp,
		record.DecimalOf(12, 2), record.DecimalOf(6, 0),
	}
	failures, passed, filtered := 0, 0, 0
	for seed := range testgen.Seeds(1500) {
		rng := rand.New(rand.NewPCG(seed, stream))
		var where *Expr
		if rng.IntN(3) > 0 {
			where = randomExpr(rng, record.Bool, 1+rng.IntN(4))
		}
		var outputs []Output
		for i := range 1 + rng.IntN(3) {
			outputs = append(outputs, Output{
				fmt.Sprintf("o%d", i),
				randomExpr(rng, types[rng.IntN(len(types))], rng.IntN(5)),
			})
		}
		p, err := Compile(allTypes, where, outputs)
		if err != nil {
			t.Fatal(err)
		}
		rows := []int{1, 63, 64, 65, 200, 1023, 1024, 1025, 2500}[rng.IntN(9)]
		m := p.New(rows)
		for range 2 {
			b := someBatch(rng, rng.IntN(rows+1))
			r := m.Run(b)
			failed := map[int]error{}
			for _, f := range r.Failed {
				failed[f.Row] = f.Err
			}
			at, drop := 0, 0
			middle := rng.IntN(r.Batch.Len() + 1)
			places := r.AppendRows(r.AppendRows(nil, 0, middle), middle, r.Batch.Len())
			for row := range b.Len() {
				pass, err := true, error(nil)
				if where != nil {
					var v Value
					v, err = where.Eval(b, row)
					pass = !v.Null && v.Bits != 0
				}
				var want []Value
				if err == nil && pass {
					for _, o := range outputs {
						v, e := o.Expr.Eval(b, row)
						if e != nil {
							err = e
							break
						}
						want = append(want, v)
					}
				}
				if (err != nil) != (failed[row] != nil) {
					t.Fatalf("seed %d: %v: row %d: %v, the machine says %v", seed, p, row, err, failed[row])
				}
				if err != nil {
					failures++
					continue
				}
				if !pass {
					drop++
					continue
				}
				if at >= len(places) || int(places[at]) != row {
					t.Fatalf("seed %d: %v: row %d is not in its place", seed, p, row)
				}
				for i, v := range want {
					c := r.Batch.Column(i)
					typ := outputs[i].Expr.Type()
					got := columnValue(c, typ, at)
					if v.Null {
						v = Value{Null: true}
					}
					if got != v && !(typ == record.Float64 && math.IsNaN(math.Float64frombits(got.Bits)) &&
						math.IsNaN(math.Float64frombits(v.Bits))) {
						t.Fatalf("seed %d: %v, %v: row %d: %v, expected %v", seed, p, outputs[i].Expr, row,
							got.format(typ), v.format(typ))
					}
					if v.Null && !outputs[i].Expr.Nullable() {
						t.Fatalf("seed %d: %v is NULL and said it never is", seed, outputs[i].Expr)
					}
				}
				at++
				passed++
			}
			if at != r.Batch.Len() || drop != r.Filtered {
				t.Fatalf("seed %d: %v: %d rows of %d, %d filtered of %d", seed, p, r.Batch.Len(), at, r.Filtered, drop)
			}
			filtered += drop
		}
	}
	if failures < 1000 || passed < 1000 || filtered < 1000 {
		t.Errorf("%d failed, %d passed, %d filtered: too few to mean anything", failures, passed, filtered)
	}
	t.Logf("%d failed, %d passed, %d filtered", failures, passed, filtered)
}

// Goal: LIKE is right. Method: regular expressions over a small alphabet.
func TestLike(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	pick := func(from string, n int) string {
		var b strings.Builder
		for range rng.IntN(n) {
			b.WriteByte(from[rng.IntN(len(from))])
		}
		return b.String()
	}
	for range 30_000 {
		pattern, text := pick("abA%_", 7), pick("abA", 9)
		fold := rng.IntN(2) == 0
		p, err := compileLike(pattern, 0, fold)
		if err != nil {
			t.Fatal(err)
		}
		re := "^" + strings.NewReplacer("%", "(?s:.*)", "_", "(?s:.)").Replace(pattern) + "$"
		if fold {
			re = "(?i)" + re
		}
		if want := regexp.MustCompile(re).MatchString(text); p.match(text) != want {
			t.Fatalf("%q LIKE %q: %v, expected %v", text, pattern, !want, want)
		}
	}
	p, _ := compileLike(`a\%\_`, '\\', false)
	if !p.match("a%_") || p.match("abc") {
		t.Error("escapes")
	}
	if _, err := compileLike(`a\`, '\\', false); err == nil {
		t.Error("an escape at the end")
	}
}

// Goal: a machine allocates nothing once it is warm. Method: expressions of each kind, of which
// none fails: an error is made for people.
func TestAllocations(t *testing.T) {
	i, j, f, s, u, at, d := Column(allTypes, 0), Column(allTypes, 1), Column(allTypes, 2), Column(allTypes, 4),
		Column(allTypes, 5), Column(allTypes, 7), Column(allTypes, 8)
	ok := func(e *Expr, err error) *Expr {
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	one := Int(record.Int64, 1)
	for _, e := range []*Expr{
		ok(New(Coalesce, j, i)), s, ok(Like(s, "a%", 0, false)), ok(Like(s, "%b_", 0, false)),
		ok(Like(u, "A%b%", 0, true)), f, ok(New(Mod, i, Int(record.Int64, 7))), ok(New(Eq, s, Text("abc"))),
		ok(New(Ne, Text("abc"), u)), ok(New(Lt, s, u)), ok(New(In, s, Text("a"), Text("b"))),
		ok(New(In, f, Float(1), Float(2))), ok(New(Greatest, i, j)), ok(New(NullIf, i, one)), ok(New(Distinct, j, one)),
		ok(New(Round, d)), ok(New(Round, f)), ok(Cast(d, record.Float64)), ok(Cast(i, record.String)),
		ok(Cast(f, record.String)), ok(Cast(d, record.String)), ok(Cast(at, record.String)),
		ok(DateTrunc("day", at)), ok(DateTrunc("month", at)), ok(Extract("dow", at)), ok(Extract("second", at)),
		ok(New(Length, s)), ok(New(Lower, u)), ok(New(Join, s, u)), ok(New(Concat, s, u)),
		ok(New(Replace, s, Text("a"), Text("bc"))), ok(New(SplitPart, s, Text(","), one)),
		ok(New(Substring, s, one, one)), ok(New(Trim, s)), ok(New(Position, Text("b"), s)),
	} {
		p, err := Compile(allTypes, ok(New(Gt, f, Float(0))), []Output{{"a", e}})
		if err != nil {
			t.Fatal(err)
		}
		b := someBatch(rand.New(rand.NewPCG(1, 1)), 2000)
		m := p.New(2000)
		if n := testing.AllocsPerRun(10, func() { m.Run(b) }); n > 0 {
			t.Errorf("%v: %v allocations", e, n)
		}
	}
}

// Goal: operations give what PostgreSQL does. Method: constants, whose expressions are computed
// when they are made.
func TestPostgres(t *testing.T) {
	i := func(v int64) *Expr { return Int(record.Int64, v) }
	f, s, null := Float, Text, Null(record.Int64)
	dec := func(p, scale int, v int64) *Expr { return Int(record.DecimalOf(p, scale), v) }
	at := Int(record.Timestamp, 1582979445_678901234) // 2020-02-29T12:30:45.678901234Z, a Saturday
	mk := func(op Op, args ...*Expr) func() (*Expr, error) {
		return func() (*Expr, error) { return New(op, args...) }
	}
	cast := func(x *Expr, to record.Type) func() (*Expr, error) {
		return func() (*Expr, error) { return Cast(x, to) }
	}
	for _, c := range []struct {
		make func() (*Expr, error)
		want string // "": it fails for each row
	}{
		{mk(Div, i(-7), i(2)), "-3"},
		{mk(Mod, i(-7), i(2)), "-1"},
		{mk(Mod, i(math.MinInt64), i(-1)), "0"},
		{mk(Div, i(math.MinInt64), i(-1)), ""},
		{mk(Div, i(1), i(0)), ""},
		{mk(Add, i(math.MaxInt64), i(1)), ""},
		{mk(Mul, i(math.MinInt64), i(-1)), ""},
		{mk(Mul, i(3037000500), i(3037000500)), ""},
		{mk(Mul, i(3037000499), i(3037000499)), "9223372030926249001"},
		{mk(Div, f(1), f(0)), ""},
		{mk(Div, f(math.NaN()), f(0)), "NaN"},
		{mk(Mul, f(1e300), f(1e300)), ""},
		{mk(Mul, f(1e-300), f(1e-300)), ""},
		{mk(Mul, f(math.Inf(1)), f(2)), "Infinity"},
		{mk(Eq, f(math.NaN()), f(math.NaN())), "TRUE"},
		{mk(Gt, f(math.NaN()), f(math.Inf(1))), "TRUE"},
		{mk(Eq, f(math.Copysign(0, -1)), f(0)), "TRUE"},
		{mk(Eq, i(1), null), "NULL"},
		{mk(Distinct, i(1), null), "TRUE"},
		{mk(Distinct, null, null), "FALSE"},
		{mk(In, i(3), i(1), null), "NULL"},
		{mk(In, i(1), i(1), null), "TRUE"},
		{mk(And, Null(record.Bool), Bool(false)), "FALSE"},
		{mk(Or, Null(record.Bool), Bool(true)), "TRUE"},
		{mk(Not, Null(record.Bool)), "NULL"},
		{mk(IsTrue, Null(record.Bool)), "FALSE"},
		{mk(Greatest, i(1), null, i(3)), "3"},
		{mk(NullIf, i(1), i(1)), "NULL"},
		{mk(Add, dec(10, 2, 150), dec(10, 2, 225)), "3.75"},
		{mk(Mul, dec(10, 2, 150), dec(10, 2, 225)), "3.3750"},
		{mk(Round, dec(10, 2, 250)), "3"},
		{mk(Round, dec(10, 2, -250)), "-3"},
		{mk(Round, f(2.5)), "2"},
		{mk(Floor, dec(10, 2, -150)), "-2"},
		{mk(Ceil, dec(10, 2, 101)), "2"},
		{mk(Trunc, dec(10, 2, -199)), "-1"},
		{mk(Length, s("Äö")), "2"},
		{mk(Substring, s("alphabet"), i(3)), "'phabet'"},
		{mk(Substring, s("alphabet"), i(3), i(2)), "'ph'"},
		{mk(Substring, s("alphabet"), i(-1), i(3)), "'a'"},
		{mk(Substring, s("alphabet"), i(1), i(-1)), ""},
		{mk(SplitPart, s("a,b,c"), s(","), i(2)), "'b'"},
		{mk(SplitPart, s("a,b,c"), s(","), i(-1)), "'c'"},
		{mk(SplitPart, s("a,b,c"), s(","), i(9)), "''"},
		{mk(SplitPart, s("a"), s(","), i(0)), ""},
		{mk(Position, s("ph"), s("alphabet")), "3"},
		{mk(Trim, s("xxaxx"), s("x")), "'a'"},
		{mk(Concat, s("a"), Null(record.String), s("b")), "'ab'"},
		{mk(Join, s("a"), Null(record.String)), "NULL"},
		{mk(Power, f(2), f(10)), "1024"},
		{mk(Power, f(-2), f(math.NaN())), "NaN"},
		{mk(Power, f(math.Inf(-1)), f(0.5)), ""},
		{mk(Power, f(math.Inf(-1)), f(3)), "-Infinity"},
		{mk(Sign, f(math.NaN())), "0"},
		{mk(Sign, f(math.Inf(-1))), "-1"},
		{mk(Sqrt, f(-1)), ""},
		{mk(ToTimestamp, f(-6768.6580125)), "TIMESTAMP '1969-12-31T22:07:11.341988Z'"},
		{mk(ToTimestamp, f(1.5)), "TIMESTAMP '1970-01-01T00:00:01.5Z'"},
		{mk(Ln, f(0)), ""},
		{mk(Ln, f(5e-324)), "-744.4400719213812"},
		{mk(Log10, f(5e-324)), "-323.3062153431158"},
		{mk(Log10, f(1000)), "3"},
		{cast(f(2.5), record.Int64), "2"},
		{cast(f(3.5), record.Int64), "4"},
		{cast(dec(10, 1, 25), record.Int64), "3"},
		{cast(dec(10, 1, -25), record.Int64), "-3"},
		{cast(f(1e19), record.Int64), ""},
		{cast(s(" 42 "), record.Int64), "42"},
		{cast(s("4x"), record.Int64), ""},
		{cast(s("+-5"), record.Int64), ""},
		{cast(s("-+5"), record.DecimalOf(10, 2)), ""},
		{cast(s("\u00a05"), record.Int64), ""},
		{cast(s("1e-400"), record.Float64), ""},
		{cast(s("0e-400"), record.Float64), "0"},
		{cast(f(0.30000000000000004), record.DecimalOf(18, 17)), "0.30000000000000000"},
		{cast(f(0.49999999999999994), record.DecimalOf(10, 0)), "1"},
		{cast(s("1.005"), record.DecimalOf(10, 2)), "1.01"},
		{cast(s("-1.5e2"), record.DecimalOf(10, 2)), "-150.00"},
		{cast(s("99999999999"), record.DecimalOf(10, 2)), ""},
		{cast(s("yes"), record.Bool), "TRUE"},
		{cast(f(0.1), record.String), "'0.1'"},
		{cast(f(1e20), record.String), "'1e+20'"},
		{cast(s("2020-02-29 12:30:45.678901234"), record.Timestamp), "TIMESTAMP '2020-02-29T12:30:45.678901234Z'"},
		{cast(s("2020-02-29T12:30:45+02:00"), record.Timestamp), "TIMESTAMP '2020-02-29T10:30:45Z'"},
		{cast(s("2020-02-30"), record.Timestamp), ""},
		{func() (*Expr, error) { return Extract("dow", at) }, "6"},
		{func() (*Expr, error) { return Extract("week", at) }, "9"},
		{func() (*Expr, error) { return Extract("epoch", at) }, "1582979445.678901"},
		{func() (*Expr, error) { return Extract("second", at) }, "45.678901"},
		{func() (*Expr, error) { return DateTrunc("week", at) }, "TIMESTAMP '2020-02-24T00:00:00Z'"},
		{func() (*Expr, error) { return DateTrunc("quarter", at) }, "TIMESTAMP '2020-01-01T00:00:00Z'"},
		{mk(ToTimestamp, f(1.5)), "TIMESTAMP '1970-01-01T00:00:01.5Z'"},
	} {
		e, err := c.make()
		if err != nil {
			t.Errorf("expected %s: %v", c.want, err)
			continue
		}
		if v, ok := e.Const(); ok != (c.want != "") || ok && v.format(e.Type()) != c.want {
			t.Errorf("%v, expected %q", e, c.want)
		}
	}
	for _, bad := range []func() (*Expr, error){
		mk(Add, i(1), f(1)), mk(Add, i(1)), mk(And, i(1), Bool(true)), mk(Length, i(1)),
		mk(Div, dec(3, 1, 1), dec(3, 1, 1)), mk(opCount), mk(In, i(1)),
		cast(at, record.Int64), func() (*Expr, error) {
			return Extract("fortnight", at)
		}, func() (*Expr, error) { return DateTrunc("eon", at) }, mk(opCase, Bool(true)),
	} {
		if e, err := bad(); err == nil {
			t.Errorf("%v was made", e)
		}
	}
}

func BenchmarkRun(b *testing.B) {
	s, _ := record.NewSchema("b", record.Field{Name: "a", Type: record.Int64},
		record.Field{Name: "b", Type: record.Int64}, record.Field{Name: "f", Type: record.Float64},
		record.Field{Name: "s", Type: record.String})
	batch := record.NewBatch(s, 2048)
	for i := range 2048 {
		batch.Add(8)
		batch.SetInt64(0, int64(i*7919%1000))
		batch.SetInt64(1, int64(i))
		batch.SetFloat64(2, float64(i*7919%1000))
		batch.SetString(3, fmt.Sprint("k", i%7))
	}
	a, c, f := Column(s, 0), Column(s, 1), Column(s, 2)
	sum, _ := New(Add, a, c)
	less := func(x, y *Expr) *Expr { e, _ := New(Lt, x, y); return e }
	eq, _ := New(Eq, Column(s, 3), Text("k3"))
	branch, _ := Case(less(a, Int(record.Int64, 500)), c, a)
	three := []Output{{"a", a}, {"b", c}, {"f", f}}
	for name, x := range map[string]struct {
		where   *Expr
		outputs []Output
	}{
		"filter=all":  {less(a, Int(record.Int64, 5000)), three},
		"filter=half": {less(a, Int(record.Int64, 500)), three}, "filter=float half": {less(f, Float(500)), three},
		"add": {nil, []Output{{"s", sum}}}, "text equal": {eq, three}, "case": {nil, []Output{{"c", branch}}},
	} {
		b.Run(name, func(b *testing.B) {
			p, err := Compile(s, x.where, x.outputs)
			if err != nil {
				b.Fatal(err)
			}
			m := p.New(2048)
			b.ReportAllocs()
			for b.Loop() {
				m.Run(batch)
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/2048, "ns/row")
		})
	}
}

// Goal: what is required fails where it is NULL, and costs no copy where it is not. Method: batches
// with some and without NULLs, with and without a filter, against the rows one by one.
func TestRequire(t *testing.T) {
	schema, err := record.NewSchema("t", record.Field{Name: "at", Type: record.Timestamp, Nullable: true},
		record.Field{Name: "v", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	at, err := Require("the time", Column(schema, 0))
	if err != nil {
		t.Fatal(err)
	}
	even, err := New(Mod, Column(schema, 1), Int(record.Int64, 2))
	if err == nil {
		even, err = New(Eq, even, Int(record.Int64, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []*Expr{nil, even} {
		for _, every := range []int{0, 3, 1} { // which rows are NULL
			p, err := Compile(schema, where, []Output{{"at", at}, {"v", Column(schema, 1)}})
			if err != nil {
				t.Fatal(err)
			}
			if f := p.Schema().Field(0); f.Nullable {
				t.Fatal("what is required may be NULL")
			}
			const rows = 2500
			b := record.NewBatch(schema, rows)
			var want, failed []int
			for i := range rows {
				b.Add(0)
				b.Column(0).Int64s[i], b.Column(1).Int64s[i] = int64(i), int64(i)
				null := every > 0 && i%every == 0
				if null {
					b.SetNull(0)
				}
				switch {
				case where != nil && i%2 != 0:
				case null:
					failed = append(failed, i)
				default:
					want = append(want, i)
				}
			}
			r := p.New(rows).Run(b)
			if r.Batch.Len() != len(want) || len(r.Failed) != len(failed) || r.Filtered != rows-len(want)-len(failed) {
				t.Fatalf("%d rows, %d failed, %d filtered, expected %d and %d", r.Batch.Len(), len(r.Failed),
					r.Filtered, len(want), len(failed))
			}
			for i, row := range want {
				if c := r.Batch.Column(0); c.Null(i) || c.Int64s[i] != int64(row) ||
					r.Batch.Column(1).Int64s[i] != int64(row) {
					t.Fatalf("row %d is %d, expected %d", i, c.Int64s[i], row)
				}
			}
			for i, row := range failed {
				if f := r.Failed[i]; f.Row != row || !strings.Contains(f.Err.Error(), "the time is NULL") {
					t.Fatalf("row %d: %v", f.Row, f.Err)
				}
			}
			if where == nil && every == 0 && &r.Batch.Column(0).Int64s[0] != &b.Column(0).Int64s[0] {
				t.Error("a column without NULLs was copied")
			}
		}
	}
}
