package core

import (
	"testing"
	"time"

	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// idleSource gives one batch and does not end.
type idleSource struct {
	oneBatch
}

func (s *idleSource) Next(now Nanos) (*record.Batch, bool) {
	b, _ := s.oneBatch.Next(now)
	return b, false
}

// Goal: a shard that moves at an epoch of which its old owner can make no image arrives all the same. (Spin found that it did not, in marks.pml with
// NOIMAGE=1.) Method: the budget is used up before the epoch, to the last pages, or so far that not even another table can be made.
func TestMoveWithoutImage(t *testing.T) {
	const groups = 65536
	count, err := result.ColumnOf[int64](simPlan, "n")
	if err != nil {
		t.Fatal(err)
	}
	for _, least := range []int{1 << 30, 1 << 19, 1 << 12} {
		b := record.NewBatch(simPlan.Source, groups)
		b.Add(0)
		b.SetLen(groups)
		for i := range groups {
			b.Column(0).Int64s[i], b.Column(1).Int64s[i] = int64(i), int64(i)
		}
		state := NewMemoryBudget(1<<30, plan.StateStop)
		route, fold := plan.Route{}, Fold{Exchange: plan.ExchangeRoute}
		cuts := NewCuts(simPlan, route, 1, 2, 1, state, func() {})
		var out []*ring.Producer[Chunk]
		var agents []Agent
		bells := []Bell{noBell{}, noBell{}}
		for p := range 2 {
			pr, co := ring.New[Chunk](64)
			out = append(out, pr)
			part, err := NewPartition(plan.PartitionID(p), simPlan, []*ring.Consumer[Chunk]{co}, bells[:1], state, cuts)
			if err != nil {
				t.Fatal(err)
			}
			agents = append(agents, part)
		}
		src := &idleSource{oneBatch{b: b}}
		r, err := NewRouter(0, simPlan, src, route, fold, out, bells, nil, state, cuts)
		if err != nil {
			t.Fatal(err)
		}
		agents = append(agents, r)
		run := func() {
			for steps := 0; steps < 3000; steps++ {
				for _, a := range agents {
					if a.Step(0) == 0 && a.Stall() == StallMemory {
						steps = 0
						<-time.After(100 * time.Microsecond) // the one thing here that takes time
					}
					if a.Err() != nil {
						t.Fatal(a.Err())
					}
				}
			}
		}
		run()
		_, held := cuts.Pin() // so that the epoch of the move needs a table more
		k, err := simPlan.Key(int64(0))
		if err != nil {
			t.Fatal(err)
		}
		m, err := cuts.RequestMove(1-cuts.owners.Of(k), k.Shard())
		if err != nil {
			t.Fatal(err)
		}
		cuts.Want()
		run()
		src.done = false // once more, so that the tables have changed
		hog := arena.New(state.budget, 2<<30)
		for n := 1 << 29; n >= least; n >>= 1 {
			for hog.Grow(hog.Len()+n) == nil {
			}
		}
		run()
		cuts.Want()
		run()
		withoutImage := cuts.Stats().NoImage
		cuts.Unpin(held)
		hog.Free()
		cuts.Want()
		run()
		cuts.Want()
		run()
		c, slot := cuts.Pin()
		n := 0
		for row := range c.All() {
			if n++; count.Of(row) != 2 {
				t.Fatalf("%d bytes left: a group of %d records, expected 2", least, count.Of(row))
			}
		}
		if n != groups || c.Len() != groups || !m.Done() {
			t.Errorf("%d bytes left: %d groups, Len %d, expected %d; the shard has moved: %v", least, n, c.Len(),
				groups, m.Done())
		}
		if _, ok := c.Get(k); !ok || c.Owners.Of(k) != m.to || !isIn(c.Partition(int(m.to)), k) {
			t.Errorf("%d bytes left: the group is not with its new owner", least)
		}
		if (withoutImage > 0) != (least < 1<<30) {
			t.Errorf("%d bytes left: %d epochs without a cut", least, withoutImage)
		}
		cuts.Unpin(slot)
	}
}

// handScene is partitions and a router without an engine: the test steps each when it wants.
type handScene struct {
	t     *testing.T
	cuts  *Cuts
	parts []*Partition
	last  *ring.Consumer[Chunk] // of one more partition, which the test plays: it has no Partition that is stepped
	r     *Router
	src   *idleSource
}

// newHandScene makes partitions, of which the last is the test's, and one router that has n groups, two records each.
func newHandScene(t *testing.T, partitions, groups int) *handScene {
	t.Helper()
	b := record.NewBatch(simPlan.Source, groups)
	b.Add(0)
	b.SetLen(groups)
	for i := range groups {
		b.Column(0).Int64s[i], b.Column(1).Int64s[i] = int64(i), int64(i)
	}
	s := &handScene{t: t, src: &idleSource{oneBatch{b: b}}}
	fold := Fold{Exchange: plan.ExchangeRoute}
	s.cuts = NewCuts(simPlan, plan.Route{}, 1, partitions, 1, nil, func() {})
	var out []*ring.Producer[Chunk]
	bells := make([]Bell, partitions)
	for p := range partitions {
		bells[p] = noBell{}
		pr, co := ring.New[Chunk](64)
		out, s.last = append(out, pr), co
		part, err := NewPartition(plan.PartitionID(p), simPlan, []*ring.Consumer[Chunk]{co}, bells[:1], nil, s.cuts)
		if err != nil {
			t.Fatal(err)
		}
		s.parts = append(s.parts, part)
	}
	s.parts = s.parts[:partitions-1]
	var err error
	if s.r, err = NewRouter(0, simPlan, s.src, plan.Route{}, fold, out, bells, nil, nil, s.cuts); err != nil {
		t.Fatal(err)
	}
	return s
}

// settle steps agents until none has work, and takes what comes for the partition that the test plays.
func (s *handScene) settle(agents ...Agent) {
	s.t.Helper()
	for idle := 0; idle < 3; idle++ {
		s.last.Release(len(s.last.Peek(64)))
		for _, a := range agents {
			if a.Step(0) > 0 {
				idle = 0
			}
			if a.Err() != nil {
				s.t.Fatal(a.Err())
			}
		}
	}
}

// Goal: neither the old nor the new owner of a shard answers the next epoch before the new one has taken the shard's groups. What the new one reads is in a slot that
// the next epoch may take, where the epoch of the move has no cut. Method: partitions stepped by hand; a third, which the test plays, has no image
// of that epoch; then only one of the two owners is stepped, whatever the other has left to do.
func TestOwnersWaitForEachOther(t *testing.T) {
	const groups = 1 << 16 // more of each partition than are handed over in one Step
	count, err := result.ColumnOf[int64](simPlan, "n")
	if err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []string{"the old owner", "the new owner"} {
		s := newHandScene(t, 3, groups)
		old, next := s.parts[0], s.parts[1]
		s.settle(s.r, old, next)
		shard := -1
		for i := range plan.Shards {
			if s.cuts.owners.OfShard(uint8(i)) == old.id {
				shard = i
			}
		}
		if _, err := s.cuts.RequestMove(next.id, shard); err != nil {
			t.Fatal(err)
		}
		s.cuts.Want() // the request is seen when this one has been answered
		s.settle(s.r, old, next)
		s.cuts.Answer(true)
		s.src.done = false // once more, so that the tables have changed
		s.settle(s.r, old, next)
		s.cuts.Want()
		number, slot := s.cuts.Raised()
		if s.cuts.move.epoch != number {
			t.Fatalf("epoch %d is raised, the shard moves at %d", number, s.cuts.move.epoch)
		}
		for old.epoch < number || next.epoch < number {
			for _, a := range []Agent{s.r, old, next} {
				a.Step(0)
			}
			s.last.Release(len(s.last.Peek(64)))
		}
		s.cuts.Answer(false)
		s.cuts.Want()
		if n, again := s.cuts.Raised(); n != number+1 || again != slot {
			t.Fatalf("epoch %d is raised in slot %d, expected %d in that of the move, %d: the test shows nothing", n,
				again, number+1, slot)
		}
		if ahead == "the old owner" {
			s.settle(s.r, old)
		} else {
			for next.handover != nil && next.handover.from == nil { // until it has begun to read
				s.r.Step(0)
				next.Step(0)
			}
			for range 3 {
				s.r.Step(0)
				next.Step(0)
			}
			if next.handover == nil {
				t.Fatal("the shard is handed over in a few steps: the test shows nothing")
			}
		}
		if old.epoch != number || next.epoch != number {
			t.Errorf("%s goes ahead: the old owner has answered epoch %d and the new one %d, expected %d of both",
				ahead, old.epoch, next.epoch, number)
		}
		s.settle(s.r, old, next)
		s.cuts.Answer(true)
		s.settle(s.r, old, next)
		c, pinned := s.cuts.Pin()
		if c.Epoch() != number+1 {
			t.Fatalf("%s goes ahead: the newest cut is that of epoch %d, expected %d", ahead, c.Epoch(), number+1)
		}
		of := map[plan.PartitionID]int{}
		for p := range s.parts {
			for row := range c.Images[p].All() {
				if of[plan.PartitionID(p)]++; count.Of(row) != 2 {
					t.Fatalf("%s goes ahead: a group of %d records, expected 2", ahead, count.Of(row))
				}
			}
		}
		s.cuts.Unpin(pinned)
		if n := of[old.id] + of[next.id]; n != s.owned(old.id)+s.owned(next.id) {
			t.Errorf("%s goes ahead: %d groups, expected %d", ahead, n, s.owned(old.id)+s.owned(next.id))
		}
	}
}

// owned is how many groups of the source a partition owns.
func (s *handScene) owned(id plan.PartitionID) (n int) {
	for _, key := range s.src.b.Column(0).Int64s[:s.src.b.Len()] {
		k, err := simPlan.Key(key)
		if err != nil {
			s.t.Fatal(err)
		}
		if s.cuts.owners.Of(k) == id {
			n++
		}
	}
	return n
}

// isIn says whether an image has the group of a key.
func isIn(m *result.Image, k plan.Key) bool {
	_, ok := m.Get(k)
	return ok
}
