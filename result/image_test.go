package result

import (
	"errors"
	"strings"
	"testing"

	"github.com/velo-engine/velo/core/table"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// panicOf is what a call panics with; nil where it does not.
func panicOf(call func()) (v any) {
	defer func() { v = recover() }()
	call()
	return nil
}

// Goal: where groups cannot be merged to be read, a reader of the same cut is told so too: a service that contains the panic of one request must not give the next one the groups of one
// partition for all, or pairs for groups. Method: a merge that fails, one that panics, and a cut whose images have more groups than they say.
func TestMergeFails(t *testing.T) {
	for name, merge := range map[string]func() (*Groups, error){
		"no memory": func() (*Groups, error) { return nil, errors.New("no memory") },
		"panic":     func() (*Groups, error) { panic("no memory") },
	} {
		x := &mergedWindow{end: 1}
		for i := range 3 {
			if v, ok := panicOf(func() { x.make(merge) }).(string); !ok || i == 0 && !strings.Contains(v, "no memory") {
				t.Errorf("%s: call %d panics with %q", name, i, v)
			}
		}
	}
	if x := (&mergedWindow{end: 7}); x.make(func() (*Groups, error) { return &Groups{}, nil }).End != 7 {
		t.Error("what has been merged does not know its end")
	}
	schema, err := record.NewSchema("s", record.Field{Name: "key", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	l, err := (&plan.Plan{
		Source: schema, Keys: []string{"key"},
		Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
	}).Layout()
	if err != nil {
		t.Fatal(err)
	}
	full, err := table.New(l.Keys, l.Init, table.Memory{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(100) {
		full.FindOrCreate([]uint64{l.Keys.HashKey([]uint64{i})}, [][]uint64{{i}}, nil, make([]uint64, 1))
	}
	// says that it has none, so there is no room
	image := &Image{Layout: l, Panes: []PaneImage{{0, 0, &Groups{Layout: l, Table: full, Away: &AwayShards{All: 100}}}}}
	c := &Cut{Images: []*Image{image, image}, Scattered: true}
	for i := range 3 {
		if v, ok := panicOf(func() { c.Len() }).(string); !ok {
			t.Errorf("look %d: %v, expected a panic that there is no memory", i, v)
		}
	}
}
