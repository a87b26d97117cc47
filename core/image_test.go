package core

import (
	"errors"
	"strings"
	"testing"

	"github.com/velo-engine/velo/core/table"
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
	for name, merge := range map[string]func() (*groups, error){
		"no memory": func() (*groups, error) { return nil, errors.New("no memory") },
		"panic":     func() (*groups, error) { panic("no memory") },
	} {
		x := &mergedWindow{end: 1}
		for i := range 3 {
			if v, ok := panicOf(func() { x.make(merge) }).(string); !ok || i == 0 && !strings.Contains(v, "no memory") {
				t.Errorf("%s: call %d panics with %q", name, i, v)
			}
		}
	}
	if x := (&mergedWindow{end: 7}); x.make(func() (*groups, error) { return &groups{}, nil }).end != 7 {
		t.Error("what has been merged does not know its end")
	}
	l, err := simPlan.read()
	if err != nil {
		t.Fatal(err)
	}
	full, err := table.New(l.keys, l.init, table.Memory{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(100) {
		full.FindOrCreate([]uint64{l.keys.HashKey([]uint64{i})}, [][]uint64{{i}}, nil, make([]uint64, 1))
	}
	image := &Image{layout: l, panes: []paneImage{{0, 0, &groups{layout: l, table: full, away: &awayShards{all: 100}}}}} // says that it has none, so there is no room
	c := &Cut{images: []*Image{image, image}, scattered: true}
	for i := range 3 {
		if v, ok := panicOf(func() { c.Len() }).(string); !ok {
			t.Errorf("look %d: %v, expected a panic that there is no memory", i, v)
		}
	}
}
