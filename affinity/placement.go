package affinity

import (
	"cmp"
	"slices"
)

// A Seat is a runner: the readers and partitions that it steps, by their numbers, and the CPU it is pinned to, -1 for none.
type Seat struct {
	Readers    []int
	Partitions []int
	CPU        int
}

// A Placement says who runs where.
type Placement struct {
	Seats []Seat

	// Housekeeping is a CPU that no runner got, for the garbage collector and the rest of the program; -1 where none is to spare.
	Housekeeping int
}

// Place deals readers and partitions to up to so many runners and the runners to CPUs. It looks at nothing but its arguments. busy has
// the number of runners that sit on a CPU already, by its ID; nil is none.
//
// Where there is a runner for each agent, none shares. Where not, reader i and partition i meet on one runner, and what the reader
// routes to that partition does not leave the core's caches.
//
// CPUs are taken with the fewest runners first; among those, cores that nobody is on before the second thread of one that is
// taken; then fast cores before slow ones; then what is nearest to the runners that were placed before: the same node, the same
// cache; then the cache with the most free cores, so that those to come find room in it; then the highest number, because the
// kernel and the rest of a service like the low ones. Partitions are placed before readers that have a runner of their own.
func Place(t Topology, busy map[int]int, readers, partitions, cores int) Placement {
	p := Placement{Seats: deal(readers, partitions, cores), Housekeeping: -1}
	order := make([]*Seat, len(p.Seats))
	for i := range p.Seats {
		order[i] = &p.Seats[i]
	}
	slices.SortStableFunc(order, func(a, b *Seat) int { return cmp.Compare(bit(len(a.Partitions) == 0), bit(len(b.Partitions) == 0)) })

	c := newChooser(t, busy)
	for _, s := range order {
		s.CPU = c.next()
	}
	p.Housekeeping = c.spare()
	return p
}

// deal deals agents to runners; see Place.
func deal(readers, partitions, cores int) []Seat {
	agents := readers + partitions
	cores = max(1, min(cores, agents))
	seats := make([]Seat, cores)
	shift := 0
	if cores == agents {
		shift = readers // partitions come behind the readers
	}
	for i := range readers {
		s := &seats[i%cores]
		s.Readers = append(s.Readers, i)
	}
	for i := range partitions {
		s := &seats[(shift+i)%cores]
		s.Partitions = append(s.Partitions, i)
	}
	return slices.DeleteFunc(seats, func(s Seat) bool { return len(s.Readers)+len(s.Partitions) == 0 })
}

// A chooser takes one CPU after the other.
type chooser struct {
	cpus    []CPU
	fastest int

	use    map[int]int  // runners by CPU
	taken  map[int]bool // cores that a runner sits on
	free   map[int]int  // cores without one, by cache
	placed int
	nodes  map[int]int // placed, by node
	caches map[int]int // placed, by cache
}

func newChooser(t Topology, busy map[int]int) *chooser {
	c := &chooser{cpus: t.CPUs, use: map[int]int{}, taken: map[int]bool{}, free: map[int]int{}, nodes: map[int]int{}, caches: map[int]int{}}
	for _, cpu := range t.CPUs {
		c.fastest = max(c.fastest, cpu.Speed)
		if c.use[cpu.ID] = busy[cpu.ID]; busy[cpu.ID] > 0 {
			c.taken[cpu.Core] = true
		}
	}
	seen := map[int]bool{}
	for _, cpu := range t.CPUs {
		if !seen[cpu.Core] && !c.taken[cpu.Core] {
			c.free[cpu.LLC]++
		}
		seen[cpu.Core] = true
	}
	return c
}

// next takes the best CPU, -1 where there are none at all.
func (c *chooser) next() int {
	if len(c.cpus) == 0 {
		return -1
	}
	best := slices.MinFunc(c.cpus, func(a, b CPU) int {
		x, y := c.cost(a), c.cost(b)
		return slices.Compare(x[:], y[:])
	})
	if c.use[best.ID]++; !c.taken[best.Core] {
		c.taken[best.Core] = true
		c.free[best.LLC]--
	}
	c.placed++
	c.nodes[best.Node]++
	c.caches[best.LLC]++
	return best.ID
}

// cost orders CPUs, the most important first; less is better.
func (c *chooser) cost(cpu CPU) [8]int {
	// Cores of one kind differ by less than a fifth, because some are favoured.
	slow := cpu.Speed > 0 && 5*cpu.Speed < 4*c.fastest
	return [...]int{
		c.use[cpu.ID], bit(c.taken[cpu.Core]), bit(slow), c.placed - c.nodes[cpu.Node], c.placed - c.caches[cpu.LLC],
		-c.free[cpu.LLC], cpu.SMT, -cpu.ID,
	}
}

// spare is a CPU that nobody got, -1 where there is none: the lowest, on a core of its own if there is one.
func (c *chooser) spare() int {
	spare := -1
	for _, cpu := range c.cpus {
		if c.use[cpu.ID] > 0 {
			continue
		}
		if !c.taken[cpu.Core] {
			return cpu.ID
		}
		if spare < 0 {
			spare = cpu.ID
		}
	}
	return spare
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
