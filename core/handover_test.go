package core

import (
	"testing"
	"time"

	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/record"
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
	count, err := ColumnOf[int64](simPlan, "n")
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
		state := NewState(1<<30, StateStop)
		route, fold := Route{}, Fold{Exchange: ExchangeRoute}
		cuts := NewCuts(simPlan, route, 1, 2, 1, state, func() {})
		var out []*ring.Producer[Chunk]
		var agents []Agent
		bells := []Bell{noBell{}, noBell{}}
		for p := range 2 {
			pr, co := ring.New[Chunk](64)
			out = append(out, pr)
			part, err := NewPartition(PartitionID(p), simPlan, []*ring.Consumer[Chunk]{co}, bells[:1], state, cuts)
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
		m, err := cuts.RequestMove(int(shardOf(k.hash)), 1-cuts.owners.Of(k))
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
			t.Errorf("%d bytes left: %d groups, Len %d, expected %d; the shard has moved: %v", least, n, c.Len(), groups, m.Done())
		}
		if found, ok := c.Get(k); !ok || c.owners.Of(k) != m.to || found.groups != c.images[m.to].panes[0].groups {
			t.Errorf("%d bytes left: the group is not with its new owner", least)
		}
		if (withoutImage > 0) != (least < 1<<30) {
			t.Errorf("%d bytes left: %d epochs without a cut", least, withoutImage)
		}
		cuts.Unpin(slot)
	}
}
