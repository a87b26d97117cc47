package expr

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: joined programs give each program what it gives alone, and programs are joined only if a record passes and fails in all of them alike. Method: programs of a few
// filters, computed columns and plain columns at random, over random records of which some fail.
func TestJoinPrograms(t *testing.T) {
	schema, err := record.NewSchema("t", record.Field{Name: "a", Type: record.Int64, Nullable: true},
		record.Field{Name: "b", Type: record.Int64}, record.Field{Name: "text", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	must := func(e *Expr, err error) *Expr {
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	a, b := Column(schema, 0), Column(schema, 1)
	wheres := []*Expr{nil, must(New(Gt, a, Int(record.Int64, 3))), must(New(Gt, b, Int(record.Int64, 3)))}
	computed := []*Expr{must(New(Add, a, b)), must(New(Div, a, b)), must(New(Mod, a, Int(record.Int64, 3)))}
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() *Program {
		var outputs []Output
		for range 1 + rng.IntN(3) {
			e := []*Expr{a, b, Column(schema, 2)}[rng.IntN(3)]
			if rng.IntN(2) == 0 {
				e = computed[rng.IntN(len(computed))]
			}
			outputs = append(outputs, Output{fmt.Sprintf("o%d", len(outputs)), e})
		}
		p, err := Compile(schema, wheres[rng.IntN(len(wheres))], outputs)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	batch := record.NewBatch(schema, 1000)
	for range 1000 {
		batch.Add(8)
		if batch.SetInt64(0, rng.Int64N(10)); rng.IntN(5) == 0 {
			batch.SetNull(0)
		}
		batch.SetInt64(1, rng.Int64N(10)) // a zero divides
		batch.SetString(2, fmt.Sprint(rng.IntN(100)))
	}
	line := func(b *record.Batch, columns []int, row int) (text string) {
		for _, c := range columns {
			col := b.Column(c)
			switch {
			case col.Valid != nil && col.Valid[row>>6]>>(row&63)&1 == 0:
				text += "|NULL"
			case b.Schema().Field(c).Type == record.String:
				text += "|" + string(col.View(row))
			default:
				text += fmt.Sprint("|", col.Int64s[row])
			}
		}
		return text
	}
	joined, not := 0, 0
	for range 4000 {
		programs := []*Program{random(), random(), random()}[:2+rng.IntN(2)]
		joint, columns, ok := JoinPrograms(programs)
		var alone []*Result
		for _, p := range programs {
			alone = append(alone, p.New(1000).Run(batch))
		}
		if !ok {
			not++
			continue
		}
		joined++
		together := joint.New(1000).Run(batch)
		for i, p := range programs {
			own := alone[i]
			if own.Filtered != together.Filtered || len(own.Failed) != len(together.Failed) ||
				own.Batch.Len() != together.Batch.Len() {
				t.Fatalf("%v: %d rows, %d filtered, %d failed; together %d, %d, %d", p, own.Batch.Len(), own.Filtered,
					len(own.Failed), together.Batch.Len(), together.Filtered, len(together.Failed))
			}
			all := make([]int, p.Schema().Len())
			for c := range all {
				all[c] = c
			}
			for row := range own.Batch.Len() {
				if got, want := line(together.Batch, columns[i], row), line(own.Batch, all, row); got != want {
					t.Fatalf("%v: row %d is %s, expected %s", p, row, got, want)
				}
			}
		}
	}
	if joined < 100 || not < 100 {
		t.Errorf("%d were joined and %d not: too few to mean anything", joined, not)
	}
}
