package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"

	"github.com/velo-engine/velo/record"
)

type skippable struct {
	A int64     `parquet:"a"`
	B *int32    `parquet:"b,optional"`
	F float64   `parquet:"f"`
	G *float32  `parquet:"g,optional"`
	D int64     `parquet:"d,decimal(2:12)"`
	T time.Time `parquet:"t,timestamp(millisecond)"`
	U uint64    `parquet:"u"`
	S string    `parquet:"s"`
}

// skippables are rows whose values ascend, roughly, so that row groups differ.
func skippables(rnd *rand.Rand, n int) []skippable {
	rows := make([]skippable, n)
	odd := []float64{math.NaN(), math.Copysign(0, -1), 0, math.Inf(1), math.Inf(-1)}
	for i := range rows {
		near := int64(i/40 + rnd.IntN(12) - 6)
		r := skippable{
			A: near, F: float64(near) / 2, D: near, T: time.UnixMilli(near), U: uint64(near), S: fmt.Sprint(near),
		}
		if rnd.IntN(60) == 0 {
			r.F = odd[rnd.IntN(len(odd))]
		}
		if rnd.IntN(3) > 0 && i%400 > 90 {
			b, g := int32(near), float32(near)
			r.B, r.G = &b, &g
		}
		rows[i] = r
	}
	return rows
}

// meets says whether a row meets a bound, in the order that velo has: NULL meets none, and NaN is
// the greatest.
func meets(b *record.Batch, row int, bound *record.Bound) bool {
	c := b.Column(bound.Column)
	if c.Null(row) {
		return false
	}
	order := 0
	switch {
	case b.Schema().Field(bound.Column).Type == record.String:
		order = strings.Compare(string(c.View(row)), bound.Text)
	case c.Float64s != nil:
		x, y := c.Float64s[row], math.Float64frombits(bound.Bits)
		switch {
		case x < y || !math.IsNaN(x) && math.IsNaN(y):
			order = -1
		case x > y || math.IsNaN(x) && !math.IsNaN(y):
			order = 1
		}
	default:
		x, y := c.Int64s[row], int64(bound.Bits)
		switch {
		case x < y:
			order = -1
		case x > y:
			order = 1
		}
	}
	switch bound.Is {
	case record.Equal:
		return order == 0
	case record.Less:
		return order < 0
	case record.LessOrEqual:
		return order <= 0
	case record.Greater:
		return order > 0
	}
	return order >= 0
}

// wanted reads a reader to its end and returns the rows that meet all bounds, how many there were,
// and what was set aside.
func wanted(
	t *testing.T, r record.Reader, schema *record.Schema, bounds []record.Bound,
) (rows []string, n int, aside []string) {
	t.Helper()
	b := record.NewBatch(schema, 100)
	for {
		b.Reset()
		err := r.Read(context.Background(), b)
		for row := range b.Len() {
			if !slices.ContainsFunc(bounds, func(x record.Bound) bool { return !meets(b, row, &x) }) {
				rows = append(rows, line(b, row))
			}
		}
		n += b.Len() + len(b.Rejects())
		for _, x := range b.Rejects() {
			aside = append(aside, x.Reason.Error())
		}
		if errors.Is(err, io.EOF) {
			return rows, n, aside
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: leaving out row groups changes nothing of what anybody wants, whatever the statistics: with
// NaN, NULL, zeros with a sign, without statistics or with half of them, with another order or
// none, and with records that are set aside. Method: random files and bounds, read with and without
// them.
func TestSkipTwin(t *testing.T) {
	out, in := map[string]int{}, 0
	for round := range 300 {
		seed := uint64(round)
		rnd := rand.New(rand.NewPCG(3, seed))
		path := write(t, skippables(rnd, 1+rnd.IntN(3000)), pq.MaxRowsPerRowGroup(int64(50+rnd.IntN(300))))
		fields := []record.Field{
			{Name: "a", Type: record.Int64},
			{Name: "b", Type: record.Int64, Nullable: rnd.IntN(8) > 0}, // NULLs are set aside
			{Name: "f", Type: record.Float64},
			{Name: "g", Type: record.Float64, Nullable: true},
			{Name: "d", Type: record.DecimalOf(12, 3)},
			{Name: "t", Type: record.Timestamp},
			{Name: "u", Type: record.Int64, Nullable: true}, // great ones are set aside
			{Name: "s", Type: record.String},
		}
		schema, err := record.NewSchema("t", fields...)
		if err != nil {
			t.Fatal(err)
		}
		spoil := rnd.IntN(6)
		source := func() *Source {
			s, err := Open([]string{path})
			if err == nil {
				err = s.Bind(schema)
			}
			if err != nil {
				t.Fatal(err)
			}
			meta := s.files[0].meta
			for g := range meta.RowGroups {
				for c := range meta.RowGroups[g].Columns {
					x := &meta.RowGroups[g].Columns[c].MetaData.Statistics
					switch {
					case spoil == 1 && (g+c)%2 == 0:
						x.MinValue, x.MaxValue = nil, nil
					case spoil == 2 && (g+c)%2 == 0:
						x.MinValue = nil
					case spoil == 3: // as older writers have it, in an order that is wrong
						x.MinValue, x.MaxValue, x.Min, x.Max = nil, nil, x.MaxValue, x.MinValue
					case spoil == 4 && len(x.MinValue) == 8 && (g+c)%2 == 0:
						x.MaxValue = x.MaxValue[:3]
					case spoil == 0 && c == len(fields)-1 && len(x.MaxValue) > 0: // texts, cut off
						x.MinValue = x.MinValue[:1]
						x.MaxValue = append([]byte{}, x.MaxValue[0]+1)
					}
				}
			}
			if spoil == 5 {
				meta.ColumnOrders = nil
				for g := range meta.RowGroups {
					for c := range meta.RowGroups[g].Columns {
						x := &meta.RowGroups[g].Columns[c].MetaData.Statistics
						x.MinValue, x.MaxValue = x.MaxValue, x.MinValue // nobody may look at them
					}
				}
			}
			return s
		}
		var bounds []record.Bound
		for range 1 + rnd.IntN(2) {
			b := record.Bound{Column: rnd.IntN(len(fields)), Is: record.Comparison(1 + rnd.IntN(5))}
			v := int64(rnd.IntN(80) - 5)
			switch fields[b.Column].Type {
			case record.Float64:
				v := []float64{float64(v) / 2, float64(v), 0, math.Copysign(0, -1), math.NaN(), math.Inf(1)}[rnd.IntN(6)]
				b.Bits = math.Float64bits(v)
			case record.String:
				b.Text = []string{fmt.Sprint(v), fmt.Sprint(v, "x"), "", "~"}[rnd.IntN(4)]
			case record.Timestamp:
				b.Bits = uint64(v * 1e6)
			case record.DecimalOf(12, 3):
				b.Bits = uint64(v * 10)
			default:
				b.Bits = uint64(v)
			}
			bounds = append(bounds, b)
		}
		read := make([]bool, len(fields))
		for i := range read {
			read[i] = rnd.IntN(3) > 0 && (fields[i].Name != "u" || rnd.IntN(9) == 0)
		}
		for _, b := range bounds {
			read[b.Column] = true
		}
		all := source().Readers(1)[0].(*Reader)
		all.Columns(read)
		want, total, asideWant := wanted(t, all, schema, bounds)
		some := source().Readers(1)[0].(*Reader)
		some.Columns(read)
		some.Skip(bounds)
		got, n, aside := wanted(t, some, schema, bounds)
		if !slices.Equal(got, want) || !slices.Equal(aside, asideWant) || n+int(some.Skipped()) != total {
			t.Fatalf("round %d, bounds %v, spoilt %d: %d rows and %d set aside of %d and %d left out, expected %d and %d "+
				"of %d: %s", round, bounds, spoil, len(got), len(aside), n, some.Skipped(), len(want), len(asideWant), total,
				differs(got, want))
		}
		if some.Skipped() > 0 {
			out[fields[bounds[0].Column].Name]++
		} else {
			in++
		}
		if some.Skipped() > 0 && (spoil == 3 || spoil == 5) {
			t.Errorf("round %d: statistics were believed that say nothing", round)
		}
	}
	if len(out) < 7 || in < 20 {
		t.Errorf("row groups were left out by %v, none in %d rounds", out, in)
	}
}

// Goal: a row group is left out by each comparison exactly if none of its values meets it.
func TestSkipEdges(t *testing.T) {
	type row struct {
		A int64   `parquet:"a"`
		F float64 `parquet:"f"`
		U uint64  `parquet:"u"`
	}
	path := write(t, []row{{5, 5, 5}, {7, 7, 7}, {9, 9, 9}})
	s := open(t, nil, path)
	for column, name := range []string{"a", "f", "u"} {
		for v := int64(4); v <= 10; v++ {
			for is, none := range map[record.Comparison]bool{
				record.Equal: v < 5 || v > 9, record.Less: v <= 5, record.LessOrEqual: v < 5, record.Greater: v >= 9,
				record.GreaterOrEqual: v > 9,
			} {
				b := record.Bound{Column: column, Is: is, Bits: uint64(v)}
				if name == "f" {
					b.Bits = math.Float64bits(float64(v))
					none = none && is != record.Greater && is != record.GreaterOrEqual // there may be NaN
				}
				r := s.Readers(1)[0].(*Reader)
				r.Columns([]bool{name == "a", name == "f", name == "u"})
				r.Skip([]record.Bound{b})
				_, _, _ = wanted(t, r, s.schema, nil)
				if got := r.Skipped() == 3; got != (none && name != "u") {
					t.Errorf("%s, comparison %d with %d: left out: %v", name, is, v, got)
				}
			}
		}
	}
}
