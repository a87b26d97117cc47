package affinity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// MaxAgents bounds the readers and the partitions of a Shape, each: more than any engine takes.
const MaxAgents = 1 << 13

// A Shape is what is to be placed.
type Shape struct {
	Readers, Partitions int // 0..MaxAgents
	Cores               int // runners at most; at least 1
}

// A Runner is the agents that one thread steps, and the CPU that it is pinned to.
type Runner struct {
	Readers    []int // by number, ascending
	Partitions []int
	CPU        int // -1: none
}

// A Placement says who runs where. It is a pure function of the topology, of what runs already and of the shape.
type Placement struct {
	Runners []Runner // each has an agent

	// Housekeeping is a CPU that no runner has, for the rest of the process and for the kernel; -1 where all are needed.
	Housekeeping int
}

// String is the placement in a line: r0+p0@3 r1+p1@2, housekeeping@0.
func (p Placement) String() string {
	var words []string
	for _, r := range p.Runners {
		var agents []string
		for _, i := range r.Readers {
			agents = append(agents, fmt.Sprintf("r%d", i))
		}
		for _, i := range r.Partitions {
			agents = append(agents, fmt.Sprintf("p%d", i))
		}
		word := strings.Join(agents, "+")
		if r.CPU >= 0 {
			word += fmt.Sprintf("@%d", r.CPU)
		}
		words = append(words, word)
	}
	s := strings.Join(words, " ")
	if p.Housekeeping >= 0 {
		s += fmt.Sprintf(", housekeeping@%d", p.Housekeeping)
	}
	return s
}

// Place chooses who shares a thread, and the CPU of each thread. busy is how many runners each CPU has already, by its ID; it may be
// nil, is not changed, and what it says of other CPUs does not matter.
//
// Where there is a runner for each agent, none shares: the readers' runners come first. Where not, agents are dealt in turn: reader i
// and partition i meet, and what the reader routes to that partition does not leave the core's caches.
//
// The CPU of a runner, the most important first:
//   - that has the fewest runners, then on the core that has the fewest: siblings are last;
//   - on the fastest kind of core, first for runners with partitions;
//   - not on the core of the housekeeping CPU;
//   - for a runner with partitions: all in one group around a last-level cache, else on one node, else in one package, the smallest
//     that has room; readers and partitions are mixed where it takes several groups;
//   - for a runner with readers alone: near its share of the partitions, by core, by last-level cache, by node, by package;
//   - the highest-numbered: the kernel and the rest of the service prefer the low ones.
//
// A CPU is left for housekeeping where more are free than there are runners: the lowest-numbered free one, unless a runner
// would have to share a core for that. On an empty topology all CPUs are -1.
//
// The error says what of the shape is out of range.
func Place(t Topology, busy map[int]int, s Shape) (Placement, error) {
	if s.Readers < 0 || s.Readers > MaxAgents || s.Partitions < 0 || s.Partitions > MaxAgents || s.Cores < 1 {
		return Placement{Housekeeping: -1}, fmt.Errorf(
			"affinity: cannot place %d readers and %d partitions on %d cores, expected 0..%d, 0..%d and at least 1",
			s.Readers, s.Partitions, s.Cores, MaxAgents, MaxAgents)
	}
	p := Placement{Runners: deal(s), Housekeeping: -1}
	if len(t.CPUs) == 0 {
		return p, nil
	}
	b := newBoard(t.CPUs, busy)
	p.Housekeeping = b.reserve(len(p.Runners))

	var first, rest []*Runner // with partitions, and without
	for i := range p.Runners {
		if r := &p.Runners[i]; len(r.Partitions) > 0 {
			first = append(first, r)
		} else {
			rest = append(rest, r)
		}
	}
	if len(first) == 0 {
		first, rest = rest, nil
	}
	steps := b.clone().territory(len(p.Runners))
	seats := mix(steps, len(first))
	for i, r := range first {
		r.CPU = seats[i].ID
		b.take(seats[i])
	}
	// Readers keep to the territory where it costs nothing.
	mine := map[int]bool{}
	for _, c := range slices.Concat(steps...) {
		mine[c.ID] = true
	}
	for i, r := range rest {
		seat := b.nearest(seats[i*len(first)/len(rest)], mine)
		r.CPU = seat.ID
		b.take(seat)
	}
	return p, nil
}

// deal makes the runners.
func deal(s Shape) []Runner {
	agents := s.Readers + s.Partitions
	runners := make([]Runner, min(s.Cores, agents))
	place := func(i int) *Runner { return &runners[i%len(runners)] }
	for i := range s.Readers {
		place(i).Readers = append(place(i).Readers, i)
	}
	for i := range s.Partitions {
		r := place(i)
		if len(runners) == agents {
			r = place(s.Readers + i)
		}
		r.Partitions = append(r.Partitions, i)
	}
	runners = slices.DeleteFunc(runners, func(r Runner) bool { return len(r.Readers)+len(r.Partitions) == 0 })
	for i := range runners {
		runners[i].CPU = -1
	}
	return runners
}

// mix chooses n seats of those of all steps: of the early steps all, as they are better; of the step where n runs out as many in
// each group of CPUs as its share, so that the others, which readers take, lie among them. Sorted, so that neighbours by number are
// neighbours.
func mix(steps [][]seat, n int) []seat {
	var seats []seat
	for _, step := range steps {
		slices.SortFunc(step, byPlace)
		share := min(n-len(seats), len(step))
		for k, c := range step {
			if (k+1)*share/len(step) > k*share/len(step) {
				seats = append(seats, c)
			}
		}
	}
	slices.SortFunc(seats, byPlace)
	return seats
}

func byPlace(a, b seat) int {
	return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Node, b.Node), cmp.Compare(a.LLC, b.LLC),
		cmp.Compare(a.Core, b.Core), cmp.Compare(a.ID, b.ID))
}
