package record

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

type symbolRecord struct {
	Place  Symbol
	Name   string
	Status *Symbol
	N      int64
}

type stringRecord struct {
	Place  string
	Name   string
	Status *string
	N      int64
}

func symbol(t testing.TB, text string) Symbol {
	t.Helper()
	s, err := NewSymbol(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Goal: a symbol has its text, equal texts have equal symbols, and the zero symbol is the empty text, while goroutines make them.
func TestSymbol(t *testing.T) {
	var all sync.WaitGroup
	var made [4][]Symbol
	for g := range made {
		all.Go(func() {
			for i := range 2000 {
				text := strings.Repeat(fmt.Sprintf("%d,", (i+500*g)%2000), 1+i%40)
				s, err := NewSymbol(text)
				if err != nil || s.String() != text {
					t.Errorf("%q is %q, %v", text, s, err)
					return
				}
				made[g] = append(made[g], s)
			}
		})
	}
	all.Wait()
	for _, text := range []string{"", "x", "0,"} {
		first, again := symbol(t, text), symbol(t, text)
		if first != again || first.String() != text {
			t.Errorf("%q is %q", text, first)
		}
	}
	if symbol(t, "") != (Symbol{}) || symbol(t, "x") == symbol(t, "y") {
		t.Error("the symbols of different texts are equal, or those of the empty text are not")
	}
}

// Goal: there is no room for symbols without end, and the error says so; what there is stays.
func TestSymbolBounds(t *testing.T) {
	real := symbols
	defer func() { symbols = real }()
	fresh := func() {
		symbols = &symbolSet{byText: map[string]Symbol{"": {}}}
		symbols.table.Store(&symbolTable{views: make([]View, 1), bytes: make([]byte, symbolPad)})
	}
	fresh()
	symbols.table.Store(&symbolTable{views: make([]View, MaxSymbols-1), bytes: make([]byte, symbolPad)})
	last := symbol(t, "the last")
	if _, err := NewSymbol("one more"); !errors.Is(err, ErrNoSymbol) || !strings.Contains(err.Error(), "string") {
		t.Errorf("%v, expected ErrNoSymbol and what to use", err)
	}
	if symbol(t, "the last") != last || last.String() != "the last" {
		t.Errorf("%q", last)
	}
	fresh()
	if _, err := NewSymbol(strings.Repeat("x", MaxSymbolBytes)); !errors.Is(err, ErrNoSymbol) {
		t.Errorf("%v, expected ErrNoSymbol", err)
	}
}

// Goal: symbols encode as strings do. Method: records with both beside strings and NULLs, by Append and by AppendAll, kept and lent.
func TestSymbolTwin(t *testing.T) {
	texts := []string{"", "a", "twenty-three bytes long", strings.Repeat("long ", 50)}
	var syms []symbolRecord
	var strs []stringRecord
	for i := range 200 {
		place, name, n := texts[i%4], texts[i/4%4], int64(i)
		y, s := symbolRecord{symbol(t, place), name, nil, n}, stringRecord{place, name, nil, n}
		if i%3 > 0 {
			status := texts[i%5%4]
			sym := symbol(t, status)
			y.Status, s.Status = &sym, &status
		}
		syms, strs = append(syms, y), append(strs, s)
	}
	want := symbolRows(t, strs, true, false)
	for _, whole := range []bool{true, false} {
		for _, keep := range []bool{true, false} {
			if got := symbolRows(t, syms, whole, keep); !slices.Equal(got, want) {
				t.Errorf("whole %v, kept %v:\n%q\nexpected\n%q", whole, keep, got, want)
			}
		}
	}
	schema, err := SchemaOf[symbolRecord]("s")
	if err != nil {
		t.Fatal(err)
	}
	d, err := DecoderOf[symbolRecord](schema)
	if err != nil {
		t.Fatal(err)
	}
	var r symbolRecord
	for _, i := range []int{0, 2} {
		if err := d.Set(&r, i, 0, []byte("read"), false); err != nil {
			t.Fatal(err)
		}
	}
	if r.Place.String() != "read" || r.Status == nil || r.Status.String() != "read" {
		t.Errorf("%+v", r)
	}
}

func symbolRows[T any](t *testing.T, vs []T, whole, keep bool) (rows []string) {
	t.Helper()
	schema, err := SchemaOf[T]("s")
	if err != nil {
		t.Fatal(err)
	}
	e, err := EncoderOf[T](schema)
	if err != nil {
		t.Fatal(err)
	}
	b := NewBatch(schema, 64*len(vs)) // with room for the texts
	if whole {
		if n, err := e.AppendAll(b, vs); n != len(vs) || err != nil {
			t.Fatal(n, err)
		}
	} else {
		for i := range vs {
			if ok, err := e.Append(b, &vs[i]); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
	}
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	if keep {
		b.Keep()
	}
	for i := range b.Len() {
		status := "NULL"
		if c := b.Column(2); !c.Null(i) {
			status = string(c.View(i))
		}
		rows = append(rows, fmt.Sprintf("%q %q %q %d", b.Column(0).View(i), b.Column(1).View(i), status,
			b.Column(3).Int64s[i]))
	}
	return rows
}
