package expr

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/record"
)

// Functions of users: of each type, with NULLs, failures and panics.
var (
	userInt = NewUser2(UserSpec{Name: "user_int"}, func(b *Block, x, y, to []int64) {
		for i := range x {
			b.At(i)
			switch {
			case y[i] == 2:
				b.SetNull(i)
			case y[i] == 7:
				b.Fail(i, errors.New("seven"))
			default:
				to[i] = 1000 / (x[i] % 5) // panics for some
			}
		}
	})
	userText = NewUser2(UserSpec{Name: "user_text"}, func(b *Block, text []string, n []int64, to []string) {
		for i := range text {
			switch { // it does not say where it is
			case n[i] == -1:
				to[i] = text[i]
			case n[i] == 3:
				to[i] = text[i][len(text[i])/2:]
			case n[i] == 4:
				panic("four")
			default:
				b.Take(i, append(append(b.Buffer(), text[i]...), '/'))
			}
		}
	})
	userBool = NewUser3(UserSpec{Name: "user_bool", Nulls: true, NotNull: true},
		func(b *Block, x []bool, f []float64, text []string, to []bool) {
			for i := range x {
				to[i] = x[i] != (f[i] > 0) != (text[i] < "b") != b.IsNull(0, i)
				if b.IsNull(1, i) && b.IsNull(2, i) {
					b.SetNull(i) // which it has said it never does
				}
			}
		})
	userTime = NewUser1(UserSpec{Name: "user_time"}, func(_ *Block, at, to []time.Time) {
		for i := range at {
			to[i] = at[i].Add(time.Hour)
		}
	})
	userFloat = NewUser2(UserSpec{Name: "user_float", NotNull: true},
		func(_ *Block, d []record.Decimal, at []time.Time, to []float64) {
			for i := range d {
				to[i] = float64(d[i].Unscaled)*math.Pow10(-int(d[i].Scale)) + float64(at[i].Second())
			}
		})
)

// userCall is a random call of one of them; nil if none has that type.
func userCall(t record.Type, sub func(record.Type) *Expr) (e *Expr, err error) {
	switch t {
	case record.Int64:
		return Call(userInt, sub(record.Int64), sub(record.Int64))
	case record.String:
		return Call(userText, sub(record.String), sub(record.Int64))
	case record.Bool:
		return Call(userBool, sub(record.Bool), sub(record.Float64), sub(record.String))
	case record.Timestamp:
		return Call(userTime, sub(record.Timestamp))
	}
	return Call(userFloat, sub(record.DecimalOf(12, 2)), sub(record.Timestamp))
}

func mustCall(t *testing.T, u *User, args ...*Expr) *Expr {
	t.Helper()
	e, err := Call(u, args...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Goal: a function is called with the rows that count and no others, as few times as there are
// blocks. Method: it notes what it gets.
func TestUserRows(t *testing.T) {
	var calls, rows int
	var least int64 = math.MaxInt64
	u := NewUser1(UserSpec{Name: "seen"}, func(_ *Block, x, to []int64) {
		calls, rows = calls+1, rows+len(x)
		for i := range x {
			least = min(least, x[i])
			to[i] = -x[i]
		}
	})
	i, j := Column(allTypes, 0), Column(allTypes, 1)
	positive, err := New(Ge, i, Int(record.Int64, 1))
	if err != nil {
		t.Fatal(err)
	}
	b := someBatch(rand.New(rand.NewPCG(3, 3)), 2500)
	for _, c := range []struct {
		where, arg *Expr
		count      func(row int) bool
	}{
		{nil, i, func(int) bool { return true }},
		{nil, j, func(row int) bool { return !b.Column(1).Null(row) }},
		{positive, i, func(row int) bool { return b.Column(0).Int64s[row] >= 1 }},
	} {
		p, err := Compile(allTypes, c.where, []Output{{"a", mustCall(t, u, c.arg)}})
		if err != nil {
			t.Fatal(err)
		}
		calls, rows = 0, 0
		least = math.MaxInt64
		p.New(2500).Run(b)
		want := 0
		for row := range b.Len() {
			if c.count(row) {
				want++
			}
		}
		if calls != 3 || rows != want {
			t.Errorf("where %v: %d calls for %d rows, expected 3 for %d", c.where, calls, rows, want)
		}
		if c.where != nil && least < 1 {
			t.Errorf("a row is seen that the filter rejects: %d", least)
		}
	}
}

// Goal: calls allocate nothing once the machine is warm. Method: functions that do not fail.
func TestUserAllocations(t *testing.T) {
	last := NewUser1(UserSpec{Name: "last"}, func(b *Block, text, to []string) {
		for i := range text {
			b.At(i)
			if len(text[i]) < 3 {
				to[i] = text[i]
				continue
			}
			b.Take(i, append(append(b.Buffer(), text[i][1:]...), '!'))
		}
	})
	half := NewUser1(UserSpec{Name: "half"}, func(_ *Block, x, to []float64) {
		for i := range x {
			to[i] = x[i] / 2
		}
	})
	truth := NewUser1(UserSpec{Name: "truth"}, func(_ *Block, x, to []bool) { copy(to, x) })
	b := someBatch(rand.New(rand.NewPCG(1, 1)), 2000)
	for _, e := range []*Expr{
		mustCall(t, last, Column(allTypes, 4)), mustCall(t, last, Column(allTypes, 5)),
		mustCall(t, half, Column(allTypes, 2)), mustCall(t, half, Column(allTypes, 3)),
		mustCall(t, truth, Column(allTypes, 6)), mustCall(t, userTime, mustCall(t, userTime, Column(allTypes, 7))),
		mustCall(t, userFloat, Column(allTypes, 8), Column(allTypes, 7)),
	} {
		p, err := Compile(allTypes, nil, []Output{{"a", e}})
		if err != nil {
			t.Fatal(err)
		}
		m := p.New(2000)
		if n := testing.AllocsPerRun(10, func() { m.Run(b) }); n > 0 {
			t.Errorf("%v: %v allocations", e, n)
		}
	}
}

// Goal: what cannot be called is refused with the types that are expected; a call of constants is
// computed at once, unless it fails; a panic is an error that says for what and where.
func TestCall(t *testing.T) {
	for want, args := range map[string][]*Expr{
		"user_int of 1 arguments, expected 2":                                      {Column(allTypes, 0)},
		"user_int(bigint, text) is not defined, expected user_int(bigint, bigint)": {Column(allTypes, 0), Text("a")},
	} {
		_, err := Call(userInt, args...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	e := mustCall(t, userInt, Int(record.Int64, 4), Int(record.Int64, 1))
	v, ok := e.Const()
	if !ok || v.Bits != 250 {
		t.Errorf("a call of constants is %v", e)
	}
	if v, ok := mustCall(t, userInt, Null(record.Int64), Int(record.Int64, 1)).Const(); !ok || !v.Null {
		t.Errorf("a call of NULL is %v, %v", v, ok)
	}
	e = mustCall(t, userInt, Int(record.Int64, 5), Int(record.Int64, 1))
	if _, ok := e.Const(); ok {
		t.Errorf("a call that panics is %v", e)
	}
	_, err := e.EvalFunc(nil)
	p := usercode.AsPanic(err)
	if p == nil || p.Function != "user_int" || !strings.Contains(err.Error(), "user_int of 5 and 1: panic in your function user_int: runtime error: integer divide by zero") ||
		!strings.Contains(string(p.Stack), "user_test.go") {
		t.Errorf("%v", err)
	}
	if text := e.String(); text != "user_int(5, 1)" {
		t.Error(text)
	}
}

// Goal: two functions of one name are two; equal calls of one are computed once.
func TestUserNodes(t *testing.T) {
	other := NewUser2(UserSpec{Name: "user_int"}, func(_ *Block, x, y, to []int64) { copy(to, y) })
	i := Column(allTypes, 0)
	p, err := Compile(allTypes, nil, []Output{
		{"a", mustCall(t, userInt, i, i)}, {"b", mustCall(t, userInt, i, i)}, {"c", mustCall(t, other, i, i)},
	})
	if err != nil || len(p.nodes) != 3 {
		t.Errorf("%d nodes, expected 3; %v", len(p.nodes), err)
	}
}

// Goal: what a function does may not depend on how many rows it gets: then a panic is not laid on a
// row, and not swallowed.
func TestUserUnsteady(t *testing.T) {
	u := NewUser1(UserSpec{Name: "unsteady"}, func(_ *Block, x, _ []int64) {
		if len(x) > 1 {
			panic("many")
		}
	})
	p, err := Compile(allTypes, nil, []Output{{"a", mustCall(t, u, Column(allTypes, 0))}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		p, _ := recover().(error)
		if p == nil || !strings.Contains(p.Error(), "your function unsteady: many") {
			t.Errorf("%v", p)
		}
	}()
	p.New(100).Run(someBatch(rand.New(rand.NewPCG(1, 1)), 100))
}

// Goal: a function that says nonsense of where it is (rows that it was not given, rows that are
// done) and then panics is called again row by row: the engine does not hang, and the rows without
// a panic have their values.
func TestUserAstray(t *testing.T) {
	const rows = 100
	schema, err := record.NewSchema("t", record.Field{Name: "x", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	batch := record.NewBatch(schema, rows)
	for i := range rows {
		batch.Add(0)
		batch.SetInt64(0, int64(i))
	}
	for name, says := range map[string]func(b *Block, i int){
		"nothing":    func(*Block, int) {},
		"true":       func(b *Block, i int) { b.At(i) },
		"negative":   func(b *Block, _ int) { b.At(-1_000_000) },
		"far beyond": func(b *Block, _ int) { b.At(1 << 40) },
		"at first true, then the row before": func(b *Block, i int) {
			b.At(i)
			if b.base > 0 {
				b.At(-1)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			u := NewUser1(UserSpec{Name: "astray"}, func(b *Block, x, to []int64) {
				calls++
				if calls > 2*rows {
					panic("called for ever")
				}
				for i := range x {
					says(b, i)
					if x[i]%3 == 0 {
						panic("three")
					}
					to[i] = x[i] + 1
				}
			})
			p, err := Compile(schema, nil, []Output{{"a", mustCall(t, u, Column(schema, 0))}})
			if err != nil {
				t.Fatal(err)
			}
			r := p.New(rows).Run(batch)
			failed := map[int]bool{}
			for _, f := range r.Failed {
				failed[f.Row] = strings.Contains(f.Err.Error(), "astray: three")
			}
			for row := range rows {
				if failed[row] != (row%3 == 0) {
					t.Errorf("row %d: failed with its panic %v", row, failed[row])
				}
			}
			if places := r.AppendRows(nil, 0, r.Batch.Len()); len(places) != rows-len(failed) {
				t.Fatalf("%d rows have a value, expected %d", len(places), rows-len(failed))
			} else {
				for i, row := range places {
					if got := r.Batch.Column(0).Int64s[i]; got != int64(row)+1 {
						t.Errorf("row %d has %d", row, got)
					}
				}
			}
		})
	}
}

// Goal: a function that gives Take less than what is in Buffer fails for that row, and the others
// have their texts, which lie within the bytes. Method: every other row does that, also the last.
func TestUserTakesLess(t *testing.T) {
	u := NewUser1(UserSpec{Name: "less"}, func(b *Block, x []int64, _ []string) {
		for i := range x {
			b.At(i)
			buffer := append(b.Buffer(), longText(x[i])...)
			if x[i]%2 == 1 {
				buffer = buffer[:len(buffer)/2]
			}
			b.Take(i, buffer)
		}
	})
	schema, err := record.NewSchema("t", record.Field{Name: "x", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	const rows = 300
	batch := record.NewBatch(schema, rows)
	for i := range rows {
		batch.Add(0)
		batch.SetInt64(0, int64(i))
	}
	p, err := Compile(schema, nil, []Output{{"a", mustCall(t, u, Column(schema, 0))}})
	if err != nil {
		t.Fatal(err)
	}
	r := p.New(rows).Run(batch)
	places := r.AppendRows(nil, 0, r.Batch.Len())
	if len(places) != rows/2 || len(r.Failed) != rows/2 {
		t.Fatalf("%d rows have a value and %d have failed, expected %d", len(places), len(r.Failed), rows/2)
	}
	for i, row := range places {
		if got := string(r.Batch.Column(0).View(i)); got != longText(int64(row)) {
			t.Errorf("row %d has %q", row, got)
		}
	}
}

// longText is a number of 40 digits if it is even, and a short one otherwise.
func longText(x int64) string {
	if x%2 == 1 {
		return "1"
	}
	return fmt.Sprintf("%040d", x)
}

// BenchmarkUser is functions of users beside the operation that is built in.
func BenchmarkUser(b *testing.B) {
	f, s := Column(allTypes, 2), Column(allTypes, 4)
	built, err := New(Mul, f, Float(2))
	if err != nil {
		b.Fatal(err)
	}
	upper, err := New(Upper, s)
	if err != nil {
		b.Fatal(err)
	}
	block, err := Call(NewUser1(UserSpec{Name: "block"}, func(_ *Block, x, to []float64) {
		for i := range x {
			to[i] = 2 * x[i]
		}
	}), f)
	if err != nil {
		b.Fatal(err)
	}
	length, err := Call(NewUser1(UserSpec{Name: "length"}, func(_ *Block, x []string, to []int64) {
		for i := range x {
			to[i] = int64(len(x[i]))
		}
	}), s)
	if err != nil {
		b.Fatal(err)
	}
	batch := someBatch(rand.New(rand.NewPCG(1, 1)), 2048)
	for i := range batch.Len() {
		batch.Column(2).Float64s[i] = float64(i)
	}
	for name, e := range map[string]*Expr{
		"of=floats/impl=built-in": built, "of=floats/impl=block": block,
		"of=texts/impl=upper": upper, "of=texts/impl=length": length,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := Compile(allTypes, nil, []Output{{"a", e}})
			if err != nil {
				b.Fatal(err)
			}
			m := p.New(2048)
			for b.Loop() {
				m.Run(batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2048, "ns/row")
		})
	}
}
