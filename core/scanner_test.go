package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// Goal: a scanner and batches give what the columns give, for every type and NULL.
func TestScanner(t *testing.T) {
	schema, err := record.NewSchema("s",
		record.Field{Name: "name", Type: record.String, Nullable: true},
		record.Field{Name: "place", Type: record.String}, record.Field{Name: "day", Type: record.Timestamp},
		record.Field{Name: "live", Type: record.Bool}, record.Field{Name: "v", Type: record.Int64, Nullable: true},
		record.Field{Name: "f", Type: record.Float64},
		record.Field{Name: "price", Type: record.DecimalOf(9, 2)})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Source: schema, Keys: []string{"name", "day", "live", "place"}, Aggregates: []plan.Aggregate{
		{Name: "n", Func: plan.Count},
		{Name: "total", Func: plan.Sum, Column: "v"},
		{Name: "most", Func: plan.Max, Column: "v"},
		{Name: "mean", Func: plan.Avg, Column: "f"},
		{Name: "cost", Func: plan.Sum, Column: "price"},
		{Name: "last_price", Func: plan.Last, Column: "price", By: "v"},
	}}
	var batches []*record.Batch
	b := record.NewBatch(schema, 1000)
	for i := range 1000 {
		name := strings.Repeat("n", i%40)
		place := strings.Repeat("p", i%31)
		if !b.Add(len(name) + len(place)) {
			batches = append(batches, b)
			b = record.NewBatch(schema, 1000)
			b.Add(len(name) + len(place))
		}
		if b.SetString(0, name); i%7 == 0 {
			b.SetNull(0)
		}
		b.SetString(1, place)
		b.SetTime(2, time.Unix(int64(i%3), 5))
		b.SetBool(3, i%2 == 0)
		if b.SetInt64(4, int64(i)); i%5 == 0 {
			b.SetNull(4)
		}
		b.SetFloat64(5, float64(i)/3)
		b.SetInt64(6, int64(i*i))
	}
	batches = append(batches, b)
	_, images, _ := run(t, p, []Source{&sliceSource{batches: batches}}, 1, 4, 1)
	type res struct {
		Name      *string
		Place     string
		Day       time.Time
		Live      bool
		N         uint16
		Total     *int64
		Most      int64
		Mean      float64
		Cost      record.Decimal `velo:"cost,decimal(18,2)"`
		LastPrice record.Decimal `velo:"last_price,decimal(9,2)"`
	}
	scan, err := result.ScannerOf[res](p)
	if err != nil {
		t.Fatal(err)
	}
	name, _ := result.ColumnOf[string](p, "name")
	place, _ := result.ColumnOf[string](p, "place")
	day, _ := result.ColumnOf[time.Time](p, "day")
	live, _ := result.ColumnOf[bool](p, "live")
	n, _ := result.ColumnOf[int64](p, "n")
	total, _ := result.ColumnOf[int64](p, "total")
	most, _ := result.ColumnOf[int64](p, "most")
	mean, _ := result.ColumnOf[float64](p, "mean")
	cost, _ := result.ColumnOf[record.Decimal](p, "cost")
	last, err := result.ColumnOf[record.Decimal](p, "last_price")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	text := func(r res) string {
		name, total := "NULL", "NULL"
		if r.Name != nil {
			name = *r.Name
		}
		if r.Total != nil {
			total = fmt.Sprint(*r.Total)
		}
		return fmt.Sprint(name, "|", r.Place, "|", r.Day, r.Live, r.N, total, r.Most, r.Mean, r.Cost, r.LastPrice)
	}
	nulls := 0
	for row := range images[0].All() {
		r := res{
			Place: place.Of(row), Day: day.Of(row), Live: live.Of(row), N: uint16(n.Of(row)), Most: most.Of(row),
			Mean: mean.Of(row), Cost: cost.Of(row), LastPrice: last.Of(row),
		}
		if !name.Null(row) {
			s := name.Of(row)
			r.Name = &s
		}
		if !total.Null(row) {
			v := total.Of(row)
			r.Total = &v
		} else {
			nulls++
		}
		want = append(want, text(r))
		other := res{Most: 77, Name: new(string)} // what was there is gone
		if err := scan.Scan(row, &other); err != nil {
			t.Fatal(err)
		}
		if got := text(other); got != want[len(want)-1] {
			t.Fatalf("%s, expected %s", got, want[len(want)-1])
		}
	}
	if len(want) < 300 || nulls == 0 {
		t.Fatalf("%d groups, %d without a total", len(want), nulls)
	}
	rows := 0
	for b := range images[0].Batches(64) {
		for i := range b.Len() {
			r := res{
				Place: string(b.Column(3).View(i)), Day: time.Unix(0, b.Column(1).Int64s[i]).UTC(),
				Live: b.Column(2).Int64s[i] == 1, N: uint16(b.Column(4).Int64s[i]),
				Most: b.Column(6).Int64s[i], Mean: b.Column(7).Float64s[i],
				Cost:      record.Decimal{Unscaled: b.Column(8).Int64s[i], Scale: 2},
				LastPrice: record.Decimal{Unscaled: b.Column(9).Int64s[i], Scale: 2},
			}
			if !b.Column(0).Null(i) {
				s := string(b.Column(0).View(i))
				r.Name = &s
			}
			if v := b.Column(5).Int64s[i]; !b.Column(5).Null(i) {
				r.Total = &v
			}
			if b.Column(9).Null(i) {
				r.LastPrice = record.Decimal{}
			}
			if got := text(r); got != want[rows] {
				t.Fatalf("row %d: %s, expected %s", rows, got, want[rows])
			}
			rows++
		}
	}
	if rows != len(want) {
		t.Fatalf("%d rows in batches, expected %d", rows, len(want))
	}

	type small struct{ N int8 }
	global := &plan.Plan{Source: schema, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}}}
	_, images, _ = run(t, global, []Source{&sliceSource{batches: batches}}, 1, 4, 1)
	tiny, err := result.ScannerOf[small](global)
	if err != nil {
		t.Fatal(err)
	}
	for row := range images[0].All() {
		v := small{N: 3}
		if err := tiny.Scan(row, &v); err == nil || v.N != 3 {
			t.Errorf("%d fits an int8: %v", v.N, err)
		}
	}
	for what, err := range map[string]error{
		"no column": func() error { _, err := result.ScannerOf[struct{ Missing int }](p); return err }(),
		"type":      func() error { _, err := result.ScannerOf[struct{ N string }](p); return err }(),
		"no struct": func() error { _, err := result.ScannerOf[int](p); return err }(),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
