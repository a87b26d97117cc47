package affinity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// MaxAgents bounds the number of readers and the number of partitions of a Shape. It is more than
// any engine takes.
const MaxAgents = 1 << 13

// A Demand says what is to be placed.
type Demand struct {
	Readers, Partitions int // 0..MaxAgents
	Cores               int // largest number of runners; at least 1
}

// A Runner is the agents that one thread steps, and the CPU that the thread is pinned to.
type Runner struct {
	Readers    []int // numbers of the readers, ascending
	Partitions []int
	CPU        int // -1 if it is not pinned
}

// A Placement says which agents run on which CPU. It depends only on the topology, on the runners
// that exist already, and on the shape.
type Placement struct {
	Runners []Runner // each has at least one agent

	// Housekeeping is a CPU without a runner, for the rest of the process and for the kernel. It is
	// -1 if all CPUs are needed.
	Housekeeping int
}

// String writes the placement in a line: r0+p0@3 r1+p1@2, housekeeping@0.
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

// Place chooses which agents share a thread, and the CPU of each thread. busy is the number of
// runners that each CPU has already, by its ID. It may be nil, it is not changed, and its entries
// for CPUs outside the topology do not matter.
//
// If there is a runner for each agent, no agents share one, and the readers' runners come first.
// Otherwise agents are dealt in turn. Then reader i and partition i share a runner, and what the
// reader routes to that partition does not leave the caches of the core.
//
// The CPU of a runner is chosen by these rules, the most important first:
//   - It has the fewest runners, and then its core has the fewest, so siblings come last.
//   - It is on the fastest kind of core; runners with partitions choose first.
//   - It is not on the core of the housekeeping CPU.
//   - Runners with partitions are all in one group around a last-level cache, or else on one node,
//     or else in one package. The smallest one that has room is taken. If it takes several groups,
//     readers and partitions are mixed.
//   - A runner with readers alone is near its share of the partitions: by core, by last-level
//     cache, by node, by package.
//   - It has the highest number, because the kernel and the rest of the service prefer low numbers.
//
// If more CPUs are free than there are runners, one is left for housekeeping. It is the free CPU
// with the lowest number, unless a runner would have to share a core because of that. On an empty
// topology all CPUs are -1.
//
// The error says what in the shape is out of range.
func Place(t Topology, busy map[int]int, s Demand) (Placement, error) {
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

	var first, rest []*Runner // runners with partitions, and runners without
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
	// Readers stay in the territory if that costs nothing.
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

// deal makes the runners and gives them their agents.
func deal(s Demand) []Runner {
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

// mix chooses n of the seats of all steps. It takes all seats of the early steps, because they are
// better. In the step in which n runs out, it takes from each group of CPUs its share, so that the
// other seats, which readers take, lie among the chosen ones. The result is sorted by place, so
// that neighbours by number are close to each other.
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
