package expr

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
)

// someTable makes a table with the columns of allTypes and a key, and rows of someBatch that have
// different keys.
func someTable(t *testing.T, rng *rand.Rand, rows int, key ...string) *lookup.Table {
	t.Helper()
	fields := make([]record.Field, allTypes.Len())
	for i := range fields {
		fields[i] = allTypes.Field(i)
	}
	schema, err := record.NewSchema("dim", fields...)
	if err != nil {
		t.Fatal(err)
	}
	table, err := lookup.New(lookup.Config{
		Schema: schema, Key: key,
		Load: func(_ context.Context, b *lookup.Builder) error {
			all := someBatch(rng, rows)
			var columns []int
			for _, name := range key {
				c, _ := schema.Index(name)
				columns = append(columns, c)
			}
			seen := map[string]bool{}
			var keep []int32
			for row := range all.Len() {
				text, null := "", false
				for _, c := range columns {
					v := columnValue(all.Column(c), schema.Field(c).Type, row)
					null = null || v.Null
					if schema.Field(c).Type == record.Float64 {
						v.Bits = uint64(ordered(v.Bits))
					}
					text += fmt.Sprintf("%d %q,", v.Bits, v.Text)
				}
				if !null && !seen[text] {
					seen[text] = true
					keep = append(keep, int32(row))
				}
			}
			return b.Append(rename(schema, all.CopyRows(keep)))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// rename is a batch with the columns of another, of a schema that has the same.
func rename(schema *record.Schema, from *record.Batch) *record.Batch {
	b := record.NewBatch(schema, max(1, from.Cap()))
	for i := range schema.Len() {
		*b.Column(i) = *from.Column(i)
	}
	b.SetLen(from.Len())
	return b
}

// Goal: a lookup finds the row that has the key, by columns as one by one. Method: tables with keys
// of each type and of several columns, random records of which some have a NULL for a key, every
// column of the row, filters before the lookup, conditions after it, two versions.
func TestLookupTwin(t *testing.T) {
	must := func(e *Expr, err error) *Expr {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	column := func(name string) *Expr {
		i, _ := allTypes.Index(name)
		return Column(allTypes, i)
	}
	cases := []struct{ key, by []string }{
		{[]string{"i"}, []string{"i"}},
		{[]string{"i"}, []string{"j"}},
		{[]string{"s"}, []string{"s"}},
		{[]string{"s"}, []string{"u"}},
		{[]string{"f"}, []string{"g"}},
		{[]string{"at"}, []string{"at"}},
		{[]string{"d"}, []string{"e"}},
		{[]string{"b", "s"}, []string{"b", "u"}},
		{[]string{"s", "i", "u"}, []string{"u", "j", "s"}},
		{[]string{"u", "d", "b"}, []string{"s", "d", "b"}},
	}
	found, missed := 0, 0
	for seed, c := range cases {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		table := someTable(t, rng, 300, c.key...)
		var keys []*Expr
		for _, name := range c.by {
			keys = append(keys, column(name))
		}
		some := must(New(Coalesce, must(New(Gt, column("i"), Int(record.Int64, 0))), Bool(true)))
		for _, want := range []*Expr{nil, some} {
			row := must(Lookup(table, "d", keys, want))
			if row.String() != "d("+strings.Join(c.by, ", ")+")" {
				t.Errorf("a lookup is written %s", row)
			}
			missing := must(New(IsNull, row))
			exprs := []*Expr{missing}
			for i := range table.Schema().Len() {
				x := must(LookupColumn(table, "d", row, i))
				only := must(Case(must(New(Gt, column("i"), Int(record.Int64, 2))), row, Null(record.Int64)))
				exprs = append(exprs, x, must(LookupColumn(table, "d", only, i)))
				if table.Schema().Field(i).Type == record.String {
					exprs = append(exprs, must(New(Left, x, Int(record.Int64, 2))), must(New(Upper, x)), must(Try(x)))
				}
			}
			for range 2 { // versions
				if err := table.Reload(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, e := range exprs {
					for _, where := range []*Expr{nil, must(New(Lt, column("f"), Float(3)))} {
						p, err := Compile(allTypes, where, []Output{{"x", e}})
						if err != nil {
							t.Fatal(err)
						}
						b := someBatch(rng, 1500)
						m := p.New(b.Len())
						if where == nil {
							sameAsEval(t, e, m, b)
							continue
						}
						r := m.RunWith(lookup.NewPins(table), b)
						at := 0
						for i := range b.Len() {
							if pass, _ := where.Eval(b, i); pass.Null || pass.Bits == 0 {
								continue
							}
							v, err := e.Eval(b, i)
							if got := columnValue(r.Batch.Column(0), e.Type(), at); err != nil || got != v {
								t.Fatalf("%v of row %d: %v, expected %v (%v)", e, i, got.format(e.Type()),
									v.format(e.Type()), err)
							}
							at++
						}
					}
				}
				b := someBatch(rng, 1500)
				for i := range b.Len() {
					if v, _ := missing.Eval(b, i); v.Bits == 0 {
						found++
					} else {
						missed++
					}
				}
			}
		}
	}
	if found < 3000 || missed < 3000 {
		t.Errorf("%d records were found and %d were not: the test shows little", found, missed)
	}
}

// Goal: a machine looks in the versions that are pinned, and in no newer ones.
func TestLookupVersions(t *testing.T) {
	schema, err := record.NewSchema("dim", record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	load := int64(0)
	table, err := lookup.New(lookup.Config{
		Schema: schema, Key: []string{"i"},
		Load: func(_ context.Context, b *lookup.Builder) error {
			load++
			batch := record.NewBatch(schema, 0)
			batch.Add(0)
			batch.SetInt64(0, 7)
			batch.SetInt64(1, load)
			return b.Append(batch)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	row, err := Lookup(table, "dim", []*Expr{Column(allTypes, 0)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := LookupColumn(table, "dim", row, 1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(allTypes, nil, []Output{{"n", n}})
	if err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(allTypes, 8)
	b.Add(0)
	b.SetInt64(0, 7)
	m, pins := p.New(8), lookup.NewPins(p.Tables()...)
	shows := func() int64 {
		c := m.RunWith(pins, b).Batch.Column(0)
		if c.Null(0) {
			return -1
		}
		return c.Int64s[0]
	}
	if got := shows(); got != -1 {
		t.Errorf("before the first load: %d, expected nothing", got)
	}
	for version := int64(1); version <= 3; version++ {
		before := shows()
		if err := table.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := shows(); got != before || !pins.Outdated() {
			t.Errorf("after load %d, without Renew: %d, expected %d still", version, got, before)
		}
		pins.Renew()
		if got := shows(); got != version || pins.Outdated() {
			t.Errorf("after Renew: %d, expected %d", got, version)
		}
	}
}

// Goal: a key of several booleans is told apart by all of them.
func TestLookupBooleans(t *testing.T) {
	schema, err := record.NewSchema("dim", record.Field{Name: "a", Type: record.Bool},
		record.Field{Name: "b", Type: record.Bool},
		record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	all := record.NewBatch(schema, 4)
	for i := range 4 {
		all.Add(0)
		all.SetBool(0, i&1 != 0)
		all.SetBool(1, i&2 != 0)
		all.SetInt64(2, int64(i))
	}
	table, err := lookup.New(lookup.Config{
		Schema: schema, Key: []string{"a", "b"},
		Load: func(_ context.Context, b *lookup.Builder) error { return b.Append(all) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	row, err := Lookup(table, "d", []*Expr{Column(schema, 0), Column(schema, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	n, err := LookupColumn(table, "d", row, 2)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(schema, nil, []Output{{"n", n}})
	if err != nil {
		t.Fatal(err)
	}
	sameAsEval(t, n, p.New(4), all)
	got := p.New(4).RunWith(lookup.NewPins(table), all).Batch.Column(0)
	for i := range 4 {
		if got.Null(i) || got.Int64s[i] != int64(i) {
			t.Errorf("row %d found %d", i, got.Int64s[i])
		}
	}
}

// Goal: a text of a table that has lost all its rows is NULL and never looked at, also where a
// record that has found nothing is known to be filtered out. Method: an inner join by a text of
// another inner join, and functions of it, over a full version and then over an empty one.
func TestLookupInEmptied(t *testing.T) {
	first := someTable(t, rand.New(rand.NewPCG(3, 1)), 200, "i")
	second := someTable(t, rand.New(rand.NewPCG(4, 1)), 200, "s")
	rows := true
	emptied, err := lookup.New(lookup.Config{
		Schema: first.Schema(), Key: []string{"i"}, Load: func(_ context.Context, b *lookup.Builder) error {
			if !rows {
				return nil
			}
			one := record.NewBatch(first.Schema(), 100)
			for i := range 10 {
				if !one.Add(100) {
					return errors.New("no room")
				}
				for c := range first.Schema().Len() {
					if first.Schema().Field(c).Nullable {
						one.SetNull(c)
					}
				}
				one.SetInt64(0, int64(i))
				one.SetString(4, strings.Repeat("a text that is long ", 3))
			}
			return b.Append(one)
		},
	})
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
	row := must(Lookup(emptied, "a", []*Expr{Column(allTypes, 0)}, nil))
	text := must(Require("a.s", must(LookupColumn(emptied, "a", row, 4))))
	next := must(Lookup(second, "b", []*Expr{text}, nil))
	there := must(New(Not, must(New(IsNull, row))))
	outputs := []Output{
		{"s", text},
		{"n", must(LookupColumn(second, "b", next, 0))},
		{"u", must(New(Upper, text))},
		{"l", must(New(Length, text))},
		{"e", must(New(Eq, text, Text("a text that is no longer")))},
		{"p", must(New(Left, text, Int(record.Int64, 3)))},
	}
	p, err := Compile(allTypes, there, outputs)
	if err != nil {
		t.Fatal(err)
	}
	m, b := p.New(2000), someBatch(rand.New(rand.NewPCG(5, 1)), 1500)
	for _, want := range []bool{true, false} {
		rows = want
		for _, table := range []*lookup.Table{emptied, second} {
			if err := table.Reload(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		r := m.RunWith(lookup.NewPins(p.Tables()...), b)
		if some := r.Batch.Len() > 0; some != want || len(r.Failed) > 0 {
			t.Errorf("%d records passed, %d failed", r.Batch.Len(), len(r.Failed))
		}
	}
}

// What a lookup of one column costs for each record, beside the machine without it.
func BenchmarkLookup(b *testing.B) {
	for _, rows := range []int{1000, 100_000, 1_000_000} {
		for _, kind := range []string{"bigint", "text"} {
			b.Run(fmt.Sprintf("%s/%d", kind, rows), func(b *testing.B) { benchLookup(b, rows, kind == "text") })
		}
	}
}

func benchLookup(b *testing.B, rows int, text bool) {
	kind := record.Int64
	if text {
		kind = record.String
	}
	schema, err := record.NewSchema("dim", record.Field{Name: "id", Type: kind},
		record.Field{Name: "rate", Type: record.Float64},
		record.Field{Name: "tier", Type: record.String})
	if err != nil {
		b.Fatal(err)
	}
	set := func(batch *record.Batch, n int) {
		if text {
			batch.SetString(0, fmt.Sprintf("account-%d", n))
		} else {
			batch.SetInt64(0, int64(n)*7919)
		}
	}
	table, err := lookup.New(lookup.Config{
		Schema: schema, Key: []string{"id"},
		Load: func(_ context.Context, to *lookup.Builder) error {
			batch := record.NewBatch(schema, 0)
			for n := range rows {
				if !batch.Add(24) {
					if err := to.Append(batch); err != nil {
						return err
					}
					batch.Reset()
					batch.Add(24)
				}
				set(batch, n)
				batch.SetFloat64(1, float64(n))
				batch.SetString(2, []string{"gold", "silver", "bronze"}[n%3])
			}
			return to.Append(batch)
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := table.Reload(b.Context()); err != nil {
		b.Fatal(err)
	}
	source, err := record.NewSchema("trades", record.Field{Name: "account", Type: kind})
	if err != nil {
		b.Fatal(err)
	}
	row, err := Lookup(table, "a", []*Expr{Column(source, 0)}, nil)
	if err != nil {
		b.Fatal(err)
	}
	rate, err := LookupColumn(table, "a", row, 1)
	if err != nil {
		b.Fatal(err)
	}
	p, err := Compile(source, nil, []Output{{"rate", rate}})
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var batches []*record.Batch
	for range max(64, 2*rows/record.DefaultRows) { // most rows of the table are looked up
		batch := record.NewBatch(source, 0)
		for range record.DefaultRows {
			batch.Add(24)
			set(batch, rng.IntN(rows))
		}
		batches = append(batches, batch)
	}
	m, pins := p.New(record.DefaultRows), lookup.NewPins(p.Tables()...)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.RunWith(pins, batches[i%len(batches)])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/record.DefaultRows, "ns/record")
}
