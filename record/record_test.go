package record

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustSchema(t testing.TB, fields ...Field) *Schema {
	t.Helper()
	s, err := NewSchema("s", fields...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Goal: a schema names every fault at once, and prints as SQL writes it.
func TestSchema(t *testing.T) {
	_, err := NewSchema("", Field{"a", Int64, false}, Field{"a", Int64, false}, Field{"", String, false},
		Field{"d", DecimalOf(39, 2), false}, Field{"e", DecimalOf(3, 4), false}, Field{"f", 0, false})
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, want := range []string{"no name", `both named "a"`, "field 2 has no name", `"d"`, `"e"`, `"f"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %s in:\n%v", want, err)
		}
	}
	s := mustSchema(t, Field{"name", String, false}, Field{"price", DecimalOf(18, 2), true},
		Field{"at", Timestamp, false})
	if got, want := s.String(), "s(name text, price decimal(18,2) NULL, at timestamp)"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
	if i, ok := s.Index("at"); i != 2 || !ok {
		t.Errorf("Index(at) = %d, %v", i, ok)
	}
}

// Goal: decimals print exactly, and their float64 is the nearest. Method: random values against
// math/big.
func TestDecimal(t *testing.T) {
	for _, c := range []struct {
		d    Decimal
		want string
	}{
		{Decimal{0, 0}, "0"},
		{Decimal{0, 2}, "0.00"},
		{Decimal{-5, 1}, "-0.5"},
		{Decimal{123, 1}, "12.3"},
		{Decimal{-123, 3}, "-0.123"},
		{Decimal{7, 4}, "0.0007"},
		{Decimal{math.MinInt64, 0}, "-9223372036854775808"},
		{Decimal{math.MinInt64, 18}, "-9.223372036854775808"},
	} {
		if got := c.d.String(); got != c.want {
			t.Errorf("%d scale %d is %q, expected %q", c.d.Unscaled, c.d.Scale, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := Decimal{rapid.Int64().Draw(t, "unscaled"), uint8(rapid.IntRange(0, MaxPrecision).Draw(t, "scale"))}
		r := big.NewRat(d.Unscaled, Pow10[d.Scale])
		if want, _ := r.Float64(); d.Float64() != want {
			t.Fatalf("%v as float64 is %v, expected %v", d, d.Float64(), want)
		}
		back, ok := new(big.Rat).SetString(d.String())
		if !ok || back.Cmp(r) != 0 {
			t.Fatalf("%v reads as %v, expected %v", d, back, r)
		}
	})
}

// Goal: rescaling never loses a digit and never passes the type. Method: random values against
// math/big.
func TestRescale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Decimal{rapid.Int64().Draw(t, "unscaled"), uint8(rapid.IntRange(0, MaxPrecision).Draw(t, "scale"))}
		p := rapid.IntRange(1, MaxPrecision).Draw(t, "precision")
		typ := DecimalOf(p, rapid.IntRange(0, p).Draw(t, "to"))
		r := big.NewRat(d.Unscaled, Pow10[d.Scale])
		want := new(big.Rat).Mul(r, big.NewRat(Pow10[typ.Scale()], 1))
		fits := want.IsInt() && want.Num().CmpAbs(big.NewInt(Pow10[p])) < 0
		got, err := d.Rescale(typ)
		if (err == nil) != fits || fits && got != want.Num().Int64() {
			t.Fatalf("%v as %v: %d, %v; expected %v", d, typ, got, err, want)
		}
	})
}

// Goal: the three ways to fill a batch, and that Reset takes all of it back.
func TestBatch(t *testing.T) {
	s := mustSchema(t, Field{"k", Int64, true}, Field{"name", String, true}, Field{"x", Float64, false})
	b := NewBatch(s, 4)
	for i, name := range []string{"a", "", "bc"} {
		if !b.Add(len(name)) {
			t.Fatal("no room")
		}
		b.SetInt64(0, int64(i))
		b.SetString(1, name)
		b.SetFloat64(2, float64(i)/2)
	}
	b.Add(0)
	b.SetNull(0)
	b.SetNull(1)
	if b.Add(0) {
		t.Fatal("a fifth row in a batch for four")
	}
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	k, name := b.Column(0), b.Column(1)
	if !k.Null(3) || k.Null(2) || !name.Null(3) || name.Null(0) || string(name.View(2)) != "bc" || k.Int64s[2] != 2 {
		t.Fatalf("%+v %+v", k, name)
	}
	b.Reject(Reject{Bytes: make([]byte, 2*MaxRejectBytes)})
	if n := len(b.Rejects()[0].Bytes); n != MaxRejectBytes {
		t.Fatalf("a reject keeps %d bytes, expected %d", n, MaxRejectBytes)
	}
	for i := 1; i < MaxRejects; i++ {
		if !b.Reject(Reject{}) {
			t.Fatalf("reject %d does not fit", i)
		}
	}
	if b.Reject(Reject{}) {
		t.Fatal("more than MaxRejects")
	}
	lent := []int64{7, 8}
	b.Reset()
	if b.Len() != 0 || len(b.Rejects()) != 0 || b.Column(0).Valid != nil {
		t.Fatal("Reset left something")
	}
	b.Column(0).Int64s = lent
	b.SetLen(2)
	b.Reset()
	if b.Add(0); &b.Column(0).Int64s[0] == &lent[0] {
		t.Fatal("a row went into lent memory after Reset")
	}
	b.SetInt64(0, 1)
	if lent[0] != 7 {
		t.Fatal("lent memory was written")
	}
	// A record larger than any batch still goes into an empty one.
	b.Reset()
	huge := strings.Repeat("x", 1<<20)
	if !b.Add(len(huge)) {
		t.Fatal("a huge record does not fit an empty batch")
	}
	b.SetString(1, huge)
	if string(b.Column(1).View(0)) != huge {
		t.Fatal("the huge record is not what it was")
	}
}

// Goal: Check finds each way a reader can break a batch.
func TestCheck(t *testing.T) {
	s := mustSchema(t, Field{"k", Int64, false}, Field{"name", String, true}, Field{"x", Float64, false})
	for name, breakIt := range map[string]func(b *Batch){
		"few ints":   func(b *Batch) { b.Column(0).Int64s = make([]int64, 1) },
		"few views":  func(b *Batch) { b.Column(1).Views = nil },
		"few floats": func(b *Batch) { b.Column(2).Float64s = nil },
		"view":       func(b *Batch) { b.Column(1).Views[99] = View{Off: 1, Len: math.MaxUint32} },
		"few valid":  func(b *Batch) { b.Column(1).Valid = make([]uint64, 1) },
		"null":       func(b *Batch) { b.Column(0).Valid = []uint64{math.MaxUint64, 1<<40 - 1 - 1<<20} },
	} {
		b := NewBatch(s, 100)
		b.SetLen(100)
		if err := b.Check(); err != nil {
			t.Fatalf("before: %v", err)
		}
		breakIt(b)
		if err := b.Check(); err == nil {
			t.Errorf("%s: not found", name)
		} else if name == "null" && !strings.Contains(err.Error(), "row 84") {
			t.Errorf("%v, expected row 84", err)
		}
	}
}

type inner struct {
	Side  string
	Depth *int16
}

type trade struct {
	Symbol string    `velo:"symbol"`
	Price  Decimal   `velo:"price,decimal(18,2)"`
	Cents  int32     `velo:"cents,decimal(9,2)"`
	At     time.Time `velo:"at"`
	UserID uint64
	Ratio  float32
	Live   bool
	Note   []byte
	Skip   chan int `velo:"-"`
	Maybe  *float64
	inner
	hidden int
}

// Goal: the schema of a struct, and its records in a batch, are what the struct says.
func TestEncoder(t *testing.T) {
	s, err := SchemaOf[trade]("trades")
	if err != nil {
		t.Fatal(err)
	}
	want := "trades(symbol text, price decimal(18,2), cents decimal(9,2), at timestamp, user_id bigint, ratio " +
		"double precision, " +
		"live boolean, note text, maybe double precision NULL, side text, depth bigint NULL)"
	if s.String() != want {
		t.Fatalf("%v\nexpected\n%v", s, want)
	}
	e, err := EncoderOf[trade](s)
	if err != nil {
		t.Fatal(err)
	}
	b := NewBatch(s, 3)
	half, depth := 0.5, int16(-3)
	rows := []trade{
		{
			Symbol: "AAPL", Price: Decimal{1895, 1}, Cents: -7, At: time.Unix(1, 5), UserID: 9, Ratio: 0.25, Live: true,
			Note: []byte("n"), Maybe: &half, inner: inner{"buy", &depth},
		},
		{},
	}
	rows[1].At = time.Unix(0, 0)
	if n, err := e.AppendAll(b, rows); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	c := func(name string) *Column { i, _ := s.Index(name); return b.Column(i) }
	if string(c("symbol").View(0)) != "AAPL" || c("price").Int64s[0] != 18950 || c("cents").Int64s[0] != -7 ||
		c("at").Int64s[0] != 1e9+5 ||
		c("user_id").Int64s[0] != 9 || c("ratio").Float64s[0] != 0.25 || c("live").Int64s[0] != 1 ||
		string(c("note").View(0)) != "n" ||
		c("maybe").Float64s[0] != 0.5 || string(c("side").View(0)) != "buy" || c("depth").Int64s[0] != -3 {
		t.Fatalf("row 0 is wrong: %+v", b.cols)
	}
	if !c("maybe").Null(1) || !c("depth").Null(1) || c("maybe").Null(0) || len(c("symbol").View(1)) != 0 {
		t.Fatal("row 1 is wrong")
	}
	for name, bad := range map[string]trade{
		"unsigned": {UserID: math.MaxUint64}, "time": {At: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"digits": {Price: Decimal{1, 3}, At: time.Unix(0, 0)}, "cents": {Cents: math.MaxInt32, At: time.Unix(0, 0)},
	} {
		ok, err := e.Append(b, &bad)
		if ok || err == nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
	if b.Len() != 2 {
		t.Fatalf("%d rows after refused records, expected 2", b.Len())
	}
	if n, err := e.AppendAll(b, rows); n != 1 || err != nil {
		t.Fatalf("%d, %v: one more row fits", n, err)
	}
	_ = rows[0].hidden
}

// Goal: an encoder for a schema of somebody else's finds its columns by name and names every fault.
func TestEncoderFaults(t *testing.T) {
	s := mustSchema(t, Field{"ratio", Int64, false}, Field{"nope", Int64, false}, Field{"extra", Int64, true},
		Field{"maybe", Float64, false})
	_, err := EncoderOf[trade](s)
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, want := range []string{`"ratio"`, `"nope"`, `"maybe"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %s in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), `"extra"`) {
		t.Errorf("a nullable column without a field is no fault: %v", err)
	}
	type bad struct {
		A chan int
		B Decimal
		C string `velo:"c,decimal(3,1)"`
		D int    `velo:"d,decimal(99,1)"`
		E int    `velo:"e,money"`
	}
	_, err = SchemaOf[bad]("bad")
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, want := range []string{"bad.A", "bad.B", "bad.C", "bad.D", "bad.E"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %s in:\n%v", want, err)
		}
	}
	if _, err := SchemaOf[int]("n"); err == nil {
		t.Error("an int has no columns")
	}
}

// Goal: Append allocates nothing.
func TestEncoderAllocations(t *testing.T) {
	s, err := SchemaOf[trade]("trades")
	if err != nil {
		t.Fatal(err)
	}
	e, err := EncoderOf[trade](s)
	if err != nil {
		t.Fatal(err)
	}
	b := NewBatch(s, 1000)
	v := trade{Symbol: "AAPL", Note: []byte("x"), At: time.Unix(0, 0)}
	if n := testing.AllocsPerRun(10, func() {
		b.Reset()
		for range 100 {
			e.Append(b, &v)
		}
	}); n != 0 {
		t.Errorf("%v allocations for 100 records", n)
	}
}

func BenchmarkEncoder(b *testing.B) {
	type event struct {
		Key   int64
		Value float64
		At    time.Time
		Name  string
	}
	s, _ := SchemaOf[event]("events")
	e, err := EncoderOf[event](s)
	if err != nil {
		b.Fatal(err)
	}
	batch := NewBatch(s, 2048)
	v := event{1, 2, time.Unix(3, 4), "name"}
	b.ReportAllocs()
	for b.Loop() {
		if ok, _ := e.Append(batch, &v); !ok {
			batch.Reset()
		}
	}
}

// Goal: AppendAll is Append for each. Method: records of every kind of field, some of which do not
// fit, into batches of any size, both ways.
func TestAppendAll(t *testing.T) {
	type every struct {
		B   bool
		I8  int8
		U16 uint16
		I   int64
		U   uint64 // may be too large
		F32 float32
		F   float64
		S   string
		P   *int64
		PS  *string
		At  time.Time // may be too early
	}
	s, err := SchemaOf[every]("every")
	if err != nil {
		t.Fatal(err)
	}
	fields := []Field{{Name: "missing", Type: Int64, Nullable: true}}
	for i := range s.Len() {
		fields = append(fields, s.Field(i))
	}
	if s, err = NewSchema("more", fields...); err != nil {
		t.Fatal(err)
	}
	e, err := EncoderOf[every](s)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		vs := make([]every, rng.IntN(300))
		for i := range vs {
			n := rng.Int64()
			v := every{
				n&1 == 0, int8(n), uint16(n), n, uint64(n), float32(n), float64(n),
				strings.Repeat("x", rng.IntN(40)), nil, nil, time.Unix(rng.Int64N(1e9), 7),
			}
			if rng.IntN(2) == 0 {
				v.P = &vs[i].I
			}
			if rng.IntN(2) == 0 {
				text := strings.Repeat("y", rng.IntN(20))
				v.PS = &text
			}
			if rng.IntN(50) == 0 {
				v.U = math.MaxUint64
			}
			if rng.IntN(50) == 0 {
				v.At = time.Time{}
			}
			vs[i] = v
		}
		rows := 1 + rng.IntN(100)
		one, all := NewBatch(s, rows), NewBatch(s, rows)
		for from := 0; from < len(vs); {
			one.Reset()
			all.Reset()
			before := rng.IntN(3) // some are there already
			for k := range min(before, rows-1) {
				e.Append(one, &every{I: int64(k)})
				e.Append(all, &every{I: int64(k)})
			}
			some := vs[from:min(len(vs), from+1+rng.IntN(150))]
			want, wantErr := 0, error(nil)
			for i := range some {
				ok, err := e.Append(one, &some[i])
				if !ok || err != nil {
					wantErr = err
					break
				}
				want++
			}
			n, err := e.AppendAll(all, some)
			// Append looks at a record before it looks whether there is room for it, AppendAll the
			// other way round: the next batch tells.
			if n != want || fmt.Sprint(err) != fmt.Sprint(wantErr) && (err != nil || n == 0) {
				t.Fatalf("seed %d: %d, %v; expected %d, %v", seed, n, err, want, wantErr)
			}
			if one.Len() != all.Len() {
				t.Fatalf("seed %d: %d rows, expected %d", seed, all.Len(), one.Len())
			}
			for c := range s.Len() {
				a, b := one.Column(c), all.Column(c)
				for i := range one.Len() {
					same := a.Null(i) == b.Null(i)
					switch {
					case a.Int64s != nil:
						same = same && a.Int64s[i] == b.Int64s[i]
					case a.Float64s != nil:
						same = same && a.Float64s[i] == b.Float64s[i]
					case !a.Null(i):
						va, vb := a.Views[i], b.Views[i]
						same = same && string(a.Bytes[va.Off:va.Off+va.Len]) == string(b.Bytes[vb.Off:vb.Off+vb.Len])
					}
					if !same {
						t.Fatalf("seed %d: column %q of row %d differs", seed, s.Field(c).Name, i)
					}
				}
			}
			if from += n; err != nil {
				from++
			}
		}
	}
}

// Goal: copied rows are the rows, with their texts and NULLs, and do not change with the batch.
func TestCopyRows(t *testing.T) {
	s, err := NewSchema("s", Field{"i", Int64, true}, Field{"f", Float64, false}, Field{"t", String, true})
	if err != nil {
		t.Fatal(err)
	}
	b := NewBatch(s, 100)
	for i := range 100 {
		text := strings.Repeat("x", i*3)
		if !b.Add(len(text)) {
			break
		}
		b.SetInt64(0, int64(i))
		b.SetFloat64(1, float64(i)/2)
		b.SetString(2, text)
		if i%7 == 0 {
			b.SetNull(0)
		}
		if i%5 == 0 {
			b.SetNull(2)
		}
	}
	var rows []int32
	for i := int32(b.Len()) - 1; i >= 0; i -= 3 {
		rows = append(rows, i)
	}
	c := b.CopyRows(rows)
	if err := c.Check(); err != nil || c.Len() != len(rows) {
		t.Fatalf("%d rows: %v", c.Len(), err)
	}
	for i, row := range rows {
		for col := range s.Len() {
			from, to := b.Column(col), c.Column(col)
			if from.Null(int(row)) != to.Null(i) {
				t.Fatalf("row %d, column %d: NULL is lost", row, col)
			}
		}
		if c.Column(1).Float64s[i] != b.Column(1).Float64s[row] || !b.Column(2).Null(int(row)) &&
			string(c.Column(2).View(i)) != string(b.Column(2).View(int(row))) {
			t.Fatalf("row %d is another", row)
		}
	}
	if empty := b.CopyRows(nil); empty.Len() != 0 {
		t.Fatalf("%d rows of none", empty.Len())
	}
}

// Goal: a batch that keeps what was lent does not change with it, whatever of it was lent; a second
// one of the same batch copies nothing more. Method: columns lent in each way.
func TestKeep(t *testing.T) {
	s, err := NewSchema("s", Field{"i", Int64, true}, Field{"f", Float64, false}, Field{"t", String, true},
		Field{"u", String, false}, Field{"own", String, false})
	if err != nil {
		t.Fatal(err)
	}
	b := NewBatch(s, 4)
	for round := range 3 {
		b.Reset()
		for i := range 4 {
			b.Add(3)
			b.SetString(4, fmt.Sprintf("%d%d!", round, i))
		}
		ints, floats, valid, all := []int64{1, 2, 3, 4}, []float64{1, 2, 3, 4}, []uint64{0b1011}, []uint64{0b1111}
		views, bytes, more := []View{{0, 2}, {1, 2}, {9, 99}, {0, 0}}, []byte("abcd"),
			[]byte(strings.Repeat("long ", 100*(round+1)))
		b.Column(0).Int64s, b.Column(0).Valid = ints, valid
		b.Column(1).Float64s, b.Column(1).Valid = floats, all // it cannot be NULL, and says so
		b.Column(2).Views, b.Column(2).Bytes, b.Column(2).Valid = views, bytes, []uint64{0b1011}
		// its own views into lent bytes
		copy(b.Column(3).Views, []View{{0, 5}, {5, uint32(len(more) - 5)}, {0, 1}, {3, 0}})
		b.Column(3).Bytes = more
		b.SetLen(4)
		b.Keep()
		clear(ints)
		clear(floats)
		clear(valid)
		clear(all)
		clear(views)
		clear(bytes)
		clear(more)
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for row := range 4 {
			got = append(got, fmt.Sprintf("%d %v %v %v %s %d %s", b.Column(0).Int64s[row], b.Column(0).Null(row),
				b.Column(1).Float64s[row], b.Column(2).Null(row), b.Column(2).View(row),
				len(b.Column(3).View(row)), b.Column(4).View(row)))
		}
		n := 500*(round+1) - 5
		want := []string{
			fmt.Sprintf("1 false 1 false ab 5 %d0!", round), fmt.Sprintf("2 false 2 false bc %d %d1!", n, round),
			fmt.Sprintf("3 true 3 true  1 %d2!", round), fmt.Sprintf("4 false 4 false  0 %d3!", round),
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: %q, expected %q", round, got, want)
		}
		if n := testing.AllocsPerRun(10, b.Keep); n > 0 {
			t.Errorf("%v allocations to keep what is kept", n)
		}
	}
}

// Goal: AnyNull says what Null says of the rows one by one. Method: all spans of a column of 200
// rows with one NULL, two, or none.
func TestAnyNull(t *testing.T) {
	if c := (Column{}); c.AnyNull(0, 10) {
		t.Error("a column without NULLs has one")
	}
	for _, nulls := range [][]int{{}, {0}, {63}, {64}, {127, 128}, {199}} {
		c := Column{Valid: []uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}}
		for _, i := range nulls {
			c.Valid[i/64] &^= 1 << (i % 64)
		}
		for from := range 200 {
			any := false
			for to := from; to <= 200; to++ {
				any = any || to > from && c.Null(to-1)
				if c.AnyNull(from, to) != any {
					t.Fatalf("NULLs at %v: rows %d..%d: %v", nulls, from, to-1, !any)
				}
			}
		}
	}
}

// Goal: the greatest and the least value of each decimal type fit, and those beside them do not,
// whatever digits they come with.
func TestRescaleAtTheLimit(t *testing.T) {
	for p := 1; p <= MaxPrecision; p++ {
		limit := Pow10[p] - 1
		for _, scale := range []int{0, p / 2, p} {
			typ := DecimalOf(p, scale)
			for v, fits := range map[int64]bool{limit: true, -limit: true, limit + 1: false, -limit - 1: false} {
				got, err := Decimal{v, uint8(scale)}.Rescale(typ)
				if (err == nil) != fits || fits && got != v {
					t.Errorf("%d as %v: %d, %v", v, typ, got, err)
				}
				if scale == p || v%10 != 0 {
					continue
				}
				// With a digit more after the point, a 0, where that can be written.
				if _, err := (Decimal{v / 10, uint8(max(scale-1, 0))}).Rescale(typ); scale > 0 && (err == nil) != fits {
					t.Errorf("%d with a digit less as %v: %v", v, typ, err)
				}
			}
		}
	}
}

// Goal: bits of validity after the rows say nothing, and the last row's does. Method: every number
// of rows around a word.
func TestNullBitsBehindTheRows(t *testing.T) {
	s := mustSchema(t, Field{"k", Int64, false})
	for _, rows := range []int{1, 2, 63, 64, 65, 127, 128, 129} {
		b := NewBatch(s, 200)
		b.SetLen(rows)
		valid := make([]uint64, 4)
		for i := range rows {
			valid[i>>6] |= 1 << (i & 63)
		}
		b.Column(0).Valid = valid
		if err := b.Check(); err != nil {
			t.Errorf("%d rows, none of them NULL: %v", rows, err)
		}
		valid[(rows-1)>>6] &^= 1 << ((rows - 1) & 63)
		if err := b.Check(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("row %d ", rows-1)) {
			t.Errorf("%d rows, the last of them NULL: %v", rows, err)
		}
	}
}
