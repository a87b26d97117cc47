package core

import (
	"testing"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// Goal: a plan can be added to a reader whose end is still on the way: the new router says at once
// that the reader has ended, and the fan leaves the epochs once, after all marks. Method: the first
// router's ring has no room for its last mark while the second is added.
func TestFanAddAtEnd(t *testing.T) {
	p := &plan.Plan{
		Source: timedSchema, Keys: []string{"key"},
		Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
	}
	q := &plan.Plan{Source: timedSchema, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}}}
	cuts := NewCuts(p, plan.Route{}, 1, 1, 0, nil, func() {})
	source := &timedSource{batch: record.NewBatch(timedSchema, 10)}
	in, out := ring.New[Chunk](2)
	first, err := NewRouter(0, p, source, plan.Route{}, Fold{}, []*ring.Producer[Chunk]{in}, []Bell{noBell{}}, nil, nil,
		cuts)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // no room
		s := in.Reserve(1)
		s[0].begin(chunkMark, 0)
		in.Commit(1)
	}
	first.Step(1)
	if !first.atEnd || first.Done() {
		t.Fatalf("at the end %v, done %v: expected a router that waits for room", first.atEnd, first.Done())
	}
	number, held := cuts.Hold()
	if !held {
		t.Fatal("no epoch is in flight, and the epochs cannot be held")
	}
	more := cuts.Beside(q, plan.Route{}, nil)
	in2, out2 := ring.New[Chunk](2)
	second, err := NewRouter(0, q, source, plan.Route{}, Fold{}, []*ring.Producer[Chunk]{in2}, []Bell{noBell{}}, nil,
		nil, more)
	if err != nil {
		t.Fatal(err)
	}
	more.Attach()
	fan := FanOf(first)
	fan.Add(second, number)
	if !second.Done() || fan.Done() {
		t.Errorf("the added router is done %v, the fan %v; expected only the first", second.Done(), fan.Done())
	}
	if s := out2.Peek(2); len(s) != 1 || s[0].kind != chunkEnd {
		t.Errorf("the added router has sent %d chunks", len(s))
	}
	if s := out.Peek(2); len(s) != 2 {
		t.Fatalf("%d chunks in a full ring of 2", len(s))
	}
	out.Release(2)
	cuts.Release()
	for range 3 {
		fan.Step(2)
	}
	if !fan.Done() {
		t.Error("the fan is not done though there is room")
	}
	if _, slot := cuts.Raised(); !cuts.IsLast(slot) {
		t.Error("the reader has not left the epochs")
	}
}

// Goal: what only a removed plan computed is not computed any more, and its tables are let go of; a
// plan that is added shares what others compute. Method: three plans, of which two compute alike.
func TestFanRemove(t *testing.T) {
	next, err := expr.New(expr.Add, expr.Column(timedSchema, 1), expr.Int(record.Int64, 1))
	if err != nil {
		t.Fatal(err)
	}
	one := []plan.Output{{Name: "next", Expr: next}}
	var cuts *Cuts
	source := &timedSource{batch: record.NewBatch(timedSchema, 10)}
	router := func(computed []plan.Output, keys ...string) *Router {
		p := &plan.Plan{
			Source: timedSchema, Keys: keys, Computed: computed,
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		}
		if cuts == nil {
			cuts = NewCuts(p, plan.Route{}, 1, 1, 0, nil, func() {})
		}
		in, _ := ring.New[Chunk](2)
		r, err := NewRouter(0, p, source, plan.Route{}, Fold{}, []*ring.Producer[Chunk]{in}, []Bell{noBell{}}, nil, nil,
			cuts)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first, second := router(nil, "key"), router(one, "next")
	fan := NewFan([]*Router{first, second})
	third := router(one, "next")
	fan.Add(third, 0)
	if second.joint == nil || second.joint != third.joint {
		t.Error("a plan that was added does not share what another computes")
	}
	fan.Remove(second)
	if third.joint != nil || len(fan.routers) != 2 {
		t.Errorf("%d routers; the plan that stays still computes what the other did", len(fan.routers))
	}
}
