package affinity

import (
	"cmp"
	"maps"
	"slices"
)

// A seat is a CPU with its class, which is how many kinds of cores are faster.
type seat struct {
	CPU
	class int
}

// A board is the state of the CPUs while runners are put on them.
type board struct {
	seats []seat // sorted by ID; each CPU once

	// load is the number of runners of each CPU, by ID.
	load map[int]int

	coreLoad map[int]int // number of runners, by Core
	threads  map[int]int // number of usable CPUs, by Core

	housekeepingCore int // -1 if there is none
}

func newBoard(cpus []CPU, busy map[int]int) *board {
	b := &board{load: map[int]int{}, coreLoad: map[int]int{}, threads: map[int]int{}, housekeepingCore: -1}
	class := classes(cpus)
	for _, c := range cpus {
		b.seats = append(b.seats, seat{c, class[c.Capacity]})
	}
	slices.SortFunc(b.seats, func(x, y seat) int { return cmp.Or(cmp.Compare(x.ID, y.ID), byPlace(x, y)) })
	b.seats = slices.CompactFunc(b.seats, func(x, y seat) bool { return x.ID == y.ID })
	for _, c := range b.seats {
		b.load[c.ID] = max(0, busy[c.ID])
		b.coreLoad[c.Core] += b.load[c.ID]
		b.threads[c.Core]++
	}
	return b
}

func (b *board) clone() *board {
	c := *b
	c.load, c.coreLoad = maps.Clone(b.load), maps.Clone(b.coreLoad)
	return &c
}

func (b *board) take(c seat) {
	b.load[c.ID]++
	b.coreLoad[c.Core]++
}

// reserve takes a CPU for housekeeping off the board if more CPUs are free than runners come. It
// returns the CPU's ID, or -1 if it has taken none.
//
// It does not take a CPU that is all of a core that a runner needs for itself. If there are at most
// as many free cores as runners, and more free CPUs than runners, some free CPU has a sibling. So
// there always is a CPU to reserve.
func (b *board) reserve(runners int) int {
	free, freeCores := 0, 0
	for _, c := range b.seats {
		if b.load[c.ID] == 0 {
			free++
		}
	}
	for core := range b.threads {
		if b.coreLoad[core] == 0 {
			freeCores++
		}
	}
	if free <= runners {
		return -1
	}
	for i, c := range b.seats {
		if b.load[c.ID] == 0 && (freeCores > runners || b.coreLoad[c.Core] > 0 || b.threads[c.Core] > 1) {
			b.seats = slices.Delete(slices.Clone(b.seats), i, i+1)
			b.housekeepingCore = c.Core
			return c.ID
		}
	}
	return -1
}

// A tier says how good a seat is, without its neighbours. Smaller is better, and the first field
// that differs decides.
type tier struct{ load, coreLoad, class, housekeeping int }

func (b *board) tier(c seat) tier {
	t := tier{load: b.load[c.ID], coreLoad: b.coreLoad[c.Core], class: c.class}
	if c.Core == b.housekeepingCore {
		t.housekeeping = 1
	}
	return t
}

func (t tier) compare(u tier) int {
	return cmp.Or(cmp.Compare(t.load, u.load), cmp.Compare(t.coreLoad, u.coreLoad),
		cmp.Compare(t.class, u.class), cmp.Compare(t.housekeeping, u.housekeeping))
}

// territory takes n seats, close together, in steps. The seats of a step are of one tier and on
// different cores. A seat may be taken again in a later step, after all seats have been taken.
func (b *board) territory(n int) (steps [][]seat) {
	var taken []seat
	for len(taken) < n {
		best := b.tier(b.seats[0])
		for _, c := range b.seats {
			if t := b.tier(c); t.compare(best) < 0 {
				best = t
			}
		}
		var step []seat
		onCore := map[int]bool{}
		for _, c := range b.seats {
			if b.tier(c) == best && !onCore[c.Core] {
				onCore[c.Core] = true
				step = append(step, c)
			}
		}
		step = compact(step, n-len(taken), taken)
		for _, c := range step {
			b.take(c)
		}
		steps, taken = append(steps, step), append(taken, step...)
	}
	return steps
}

// nearest returns the best seat for a runner that works with the runner on another seat.
func (b *board) nearest(to seat, preferred map[int]bool) seat {
	strange := func(c seat) int {
		if preferred[c.ID] {
			return 0
		}
		return 1
	}
	return slices.MinFunc(b.seats, func(x, y seat) int {
		return cmp.Or(b.tier(x).compare(b.tier(y)), cmp.Compare(closeness(y, to), closeness(x, to)),
			cmp.Compare(strange(x), strange(y)), cmp.Compare(x.ID, y.ID))
	})
}

// closeness returns how close two seats are: 4 on one core, 3 at one last-level cache, 2 on one
// node, 1 in one package, and 0 otherwise. A cache that spans nodes counts only within a node.
func closeness(a, b seat) int {
	switch {
	case a.Core == b.Core:
		return 4
	case a.Node == b.Node && a.LLC == b.LLC:
		return 3
	case a.Node == b.Node:
		return 2
	case a.Package == b.Package:
		return 1
	}
	return 0
}

// A group names the seats that are together at one level.
type group struct{ pkg, node, llc int }

var levels = []func(seat) group{
	func(c seat) group { return group{0, c.Node, c.LLC} },
	func(c seat) group { return group{0, c.Node, 0} },
	func(c seat) group { return group{c.Package, 0, 0} },
}

// compact chooses n of the seats, all different, as close together and as close to the seats taken
// before as possible. It takes the smallest group that has room, at the finest level at which there
// is one. If no group has room, it fills the largest group and chooses the rest again.
func compact(seats []seat, n int, taken []seat) []seat {
	if n >= len(seats) {
		return seats
	}
	if n <= 0 {
		return nil
	}
	for i, level := range levels {
		groups := groupBy(seats, level)
		groups = slices.DeleteFunc(groups, func(g []seat) bool { return len(g) < n })
		if len(groups) == 0 {
			continue
		}
		best := choose(groups, taken, func(g []seat) int { return len(g) })
		if i == 0 {
			slices.SortFunc(best, func(a, b seat) int { return cmp.Compare(b.ID, a.ID) })
			return best[:n]
		}
		return fill(best, n, taken, levels[i-1])
	}
	return fill(seats, n, taken, levels[len(levels)-1])
}

// fill takes all of the largest group of a level at which no group has room for n, and chooses the
// rest.
func fill(seats []seat, n int, taken []seat, level func(seat) group) []seat {
	best := choose(groupBy(seats, level), taken, func(g []seat) int { return -len(g) })
	others := slices.DeleteFunc(slices.Clone(seats), func(c seat) bool { return level(c) == level(best[0]) })
	return append(best, compact(others, n-len(best), slices.Concat(taken, best))...)
}

// choose returns the group that is closest to the seats taken before. Among equal ones it takes the
// one with the smallest size, and then the one with the highest-numbered CPU.
func choose(groups [][]seat, taken []seat, size func([]seat) int) []seat {
	near := func(g []seat) (sum int) {
		for _, t := range taken {
			// It counts closeness to the group, and not to the core of its first seat.
			sum += min(closeness(g[0], t), 3)
		}
		return sum
	}
	return slices.MinFunc(groups, func(g, h []seat) int {
		return cmp.Or(cmp.Compare(near(h), near(g)), cmp.Compare(size(g), size(h)),
			cmp.Compare(h[len(h)-1].ID, g[len(g)-1].ID))
	})
}

// groupBy splits seats into groups. The seats keep their order, and the groups are in the order of
// their first seats.
func groupBy(seats []seat, level func(seat) group) (groups [][]seat) {
	index := map[group]int{}
	for _, c := range seats {
		key := level(c)
		i, ok := index[key]
		if !ok {
			i = len(groups)
			index[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], c)
	}
	return groups
}
