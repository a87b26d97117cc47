package core

import (
	"fmt"
	"slices"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// simThird is a plan that comes while the others run and goes again, simPlan with partitions of its
// own. It has the records of each reader from the mark of its first epoch on.
type simThird struct {
	cuts    *Cuts
	parts   []*Partition
	routers []*Router // by reader
	begins  uint64
	before  []int64 // how many records of each reader came before; nil as long as it is not known

	key, n, sum result.Column[int64]
}

// comeOrGo adds the third plan, or removes it. It does what the engine does while the epochs are
// held; as long as they cannot be held it does nothing, and is called again.
func (s *sim) comeOrGo() error {
	if s.joining != nil || s.endless || s.third == nil && s.cuts.LastRaised() {
		return nil
	}
	last, held := s.cuts.Hold()
	s.holding = !held && !s.cuts.LastRaised()
	if s.holding {
		return nil
	}
	defer s.cuts.Release()
	switch {
	case !held: // the last epoch has been raised
		return nil
	case s.third == nil:
		return s.comeThird(last)
	}
	x := s.third
	x.cuts.Detach()
	for r, fan := range s.fans() {
		if !fan.Done() {
			fan.Fan.Remove(x.routers[r])
		}
	}
	s.agents = slices.DeleteFunc(s.agents, func(a Agent) bool {
		part, ok := a.(*Partition)
		return ok && slices.Contains(x.parts, part)
	})
	s.third = nil
	s.went++
	return nil
}

// fans are the fans of all readers, in the order of the readers.
func (s *sim) fans() (all []simFan) {
	for _, a := range s.agents {
		fan, ok := a.(simFan)
		if ok {
			all = append(all, fan)
		}
	}
	return all
}

func (s *sim) comeThird(last uint64) (err error) {
	x := &simThird{cuts: s.cuts.Beside(simPlan, plan.Route{}, nil), begins: last + 1}
	for name, column := range map[string]*result.Column[int64]{"key": &x.key, "n": &x.n, "sum": &x.sum} {
		*column, err = result.ColumnOf[int64](simPlan, name)
		if err != nil {
			return err
		}
	}
	bells := make([]Bell, s.partitions)
	for p := range s.partitions {
		bells[p] = noBell{}
		part, err := NewPartition(plan.PartitionID(p), simPlan, nil, nil, nil, x.cuts)
		if err != nil {
			return err
		}
		part.BeginAfter(last)
		x.parts = append(x.parts, part)
	}
	for r := range s.fans() {
		var in []*ring.Producer[Chunk]
		local := make([]*Partition, s.partitions)
		for p, part := range x.parts {
			pr, co := ring.New[Chunk](s.slots)
			in = append(in, pr)
			part.Join(co, noBell{})
			if s.rng.IntN(2) == 0 {
				local[p] = part
			}
		}
		fold := Fold{Exchange: plan.Exchange(s.rng.IntN(4)), Bytes: 1 << 12}
		router, err := NewRouter(plan.ReaderID(r), simPlan, s.sources[r], plan.Route{}, fold, in, bells, local, nil, x.cuts)
		if err != nil {
			return err
		}
		x.routers = append(x.routers, router)
	}
	x.cuts.Attach()
	for r, fan := range s.fans() {
		if fan.Done() {
			x.routers[r].End(last, fan.Fan.routers[0])
		} else {
			fan.Fan.Add(x.routers[r], last)
		}
	}
	for _, part := range x.parts {
		s.agents = append(s.agents, part)
	}
	s.third = x
	return nil
}

// checkThird says how the cut of the third plan in a slot differs from what the first plan has got
// since.
func (s *sim) checkThird(c *result.Cut, slot int) error {
	x := s.third
	if x == nil || c.Epoch() < x.begins {
		return nil
	}
	d, counters := x.cuts.At(slot), c.Counters()
	if d.Epoch() != c.Epoch() {
		return fmt.Errorf("the cut of the third plan is of epoch %d, and of the first of %d", d.Epoch(), c.Epoch())
	}
	n, sum := make([]int64, len(counters)), make([]int64, len(counters))
	for row := range d.Rows() {
		r := x.key.Of(row) >> 32
		n[r] += x.n.Of(row)
		sum[r] += x.sum.Of(row)
	}
	if x.before == nil {
		for r := range counters {
			x.before = append(x.before, int64(counters[r].Counted)-n[r])
		}
	}
	for r := range counters {
		all, before := int64(counters[r].Counted), x.before[r]
		if n[r] != all-before || sum[r] != all*(all+1)/2-before*(before+1)/2 || c.Epoch() == x.begins && n[r] > 0 {
			return fmt.Errorf("epoch %d: the third plan, which begins with epoch %d, has %d records of reader %d, sum %d; "+
				"the first has %d, of them %d before", c.Epoch(), x.begins, n[r], r, sum[r], all, before)
		}
	}
	return nil
}
