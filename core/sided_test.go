package core

import (
	"fmt"
	"strings"
	"testing"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// Goal: groups whose blocks do not fit one chunk together come out the same, however they are exchanged; a record whose texts are longer than may be goes to
// quarantine and nothing else is lost. Method: four extremes of texts of kilobytes, little room to fold.
func TestLongTexts(t *testing.T) {
	schema, err := record.NewSchema("long", record.Field{Name: "key", Type: record.String},
		record.Field{Name: "a", Type: record.String}, record.Field{Name: "b", Type: record.String, Nullable: true})
	if err != nil {
		t.Fatal(err)
	}
	long := func(i, n int) string {
		return fmt.Sprintf("%04d", i*7919%1000) + strings.Repeat(string(rune('a'+i%26)), n)
	}
	for _, x := range []plan.Exchange{plan.ExchangeRoute, plan.ExchangeFold} {
		p := &plan.Plan{Source: schema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{
			{Name: "least_a", Func: plan.Min, Column: "a"},
			{Name: "most_a", Func: plan.Max, Column: "a"},
			{Name: "n", Func: plan.Count},
			{Name: "least_b", Func: plan.Min, Column: "b"},
			{Name: "most_b", Func: plan.Max, Column: "b"},
			{Name: "different", Func: plan.ApproxCountDistinct, Column: "a"},
			{Name: "most_key", Func: plan.Max, Column: "key"},
		}}
		l, err := p.Layout()
		if err != nil {
			t.Fatal(err)
		}
		type group struct {
			n                            int64
			leastA, mostA, leastB, mostB string
		}
		want := map[string]*group{}
		var sources []Source
		tooLong := 0
		for r := range 3 {
			var batches []*record.Batch
			for i := range 300 {
				n := r*300 + i
				key, a, b := long(n%5, 300), long(n, 7800-n%5), long(n+1, 7800)
				if n%50 == 0 {
					a = strings.Repeat("x", l.MaxText()) // and a key
					tooLong++
				}
				batch := record.NewBatch(schema, 1)
				if !batch.Add(len(key) + len(a) + len(b)) {
					t.Fatal("no room")
				}
				batch.SetString(0, key)
				batch.SetString(1, a)
				batch.SetString(2, b)
				if n%3 == 0 {
					batch.SetNull(2)
				}
				batches = append(batches, batch)
				if n%50 == 0 {
					continue
				}
				g := want[key]
				if g == nil {
					g = &group{leastA: a, mostA: a}
					want[key] = g
				}
				g.n++
				g.leastA, g.mostA = min(g.leastA, a), max(g.mostA, a)
				if n%3 != 0 {
					if g.leastB == "" {
						g.leastB = b
					}
					g.leastB, g.mostB = min(g.leastB, b), max(g.mostB, b)
				}
			}
			sources = append(sources, &sliceSource{batches: batches})
		}
		_, images, _ := runRoute(t, p, sources, plan.Route{}, Fold{Exchange: x, Bytes: 1 << 18}, 2, 4, 1)
		rejected := 0
		for _, s := range sources {
			rejected += s.(*sliceSource).rejected
		}
		if rejected != tooLong {
			t.Errorf("%v: %d records in quarantine, expected %d", x, rejected, tooLong)
		}
		texts := map[string]result.Column[string]{}
		for _, name := range []string{"key", "least_a", "most_a", "least_b", "most_b", "most_key"} {
			if texts[name], err = result.ColumnOf[string](p, name); err != nil {
				t.Fatal(err)
			}
		}
		count, err := result.ColumnOf[int64](p, "n")
		if err != nil {
			t.Fatal(err)
		}
		groups := 0
		for _, m := range images {
			for row := range m.All() {
				groups++
				got := group{
					count.Of(row), texts["least_a"].Of(row), texts["most_a"].Of(row), texts["least_b"].Of(row),
					texts["most_b"].Of(row),
				}
				if w := want[texts["key"].Of(row)]; w == nil || got != *w ||
					texts["most_key"].Of(row) != texts["key"].Of(row) {
					t.Errorf("%v: group %.8s: %.8s %.8s %.8s %.8s of %d records", x, texts["key"].Of(row), got.leastA,
						got.mostA, got.leastB, got.mostB, got.n)
				}
			}
			for b := range m.Batches(7) {
				for i := range b.Len() {
					if w := want[string(b.Column(0).View(i))]; w == nil || string(b.Column(2).View(i)) != w.mostA {
						t.Errorf("%v: a batch has %.8s", x, b.Column(2).View(i))
					}
				}
			}
		}
		if groups != len(want) {
			t.Errorf("%v: %d groups, expected %d", x, groups, len(want))
		}
	}
}
