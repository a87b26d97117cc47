package affinity

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Goal: the rules of Place, on each kind of host. Method: the whole placement spelled out.
func TestPlace(t *testing.T) {
	type busy = map[int]int
	for _, c := range []struct {
		host  string
		busy  busy
		shape Demand
		want  string
		why   string
	}{
		{"vm", nil, Demand{1, 1, 2}, "r0@0 p0@1", "nothing is to spare"},
		{"vm", nil, Demand{1, 1, 8}, "r0@0 p0@1", "no more runners than agents"},
		{"vm", nil, Demand{2, 2, 2}, "r0+p0@0 r1+p1@1", "reader i meets partition i"},
		{"vm", nil, Demand{1, 2, 1}, "r0+p0+p1@1, housekeeping@0", "one runner for all"},
		{"vm", nil, Demand{2, 3, 5}, "r0@0 r1@1 p0@0 p1@1 p2@1", "more runners than CPUs: dealt evenly"},
		{"vm", busy{1: 1}, Demand{1, 1, 1}, "r0+p0@0", "the CPU that another engine left"},
		{"vm", busy{0: 1, 1: 1, 2: 9}, Demand{1, 1, 1}, "r0+p0@1", "all CPUs have one already"},
		{"vm", nil, Demand{0, 0, 1}, ", housekeeping@0", "nothing to place"},
		{"", nil, Demand{2, 3, 2}, "r0+p0+p2 r1+p1", "an empty topology: no CPUs"},

		{"epyc", nil, Demand{1, 3, 4}, "r0@12 p0@13 p1@14 p2@15, housekeeping@0", "one cache has room for all"},
		{
			"epyc", nil,
			Demand{1, 2, 3},
			"r0@1 p0@2 p1@3, housekeeping@0",
			"the smallest cache that has room: whole ones stay whole",
		},
		{
			"epyc", nil,
			Demand{2, 6, 8},
			"r0@8 r1@12 p0@9 p1@10 p2@11 p3@13 p4@14 p5@15, housekeeping@0",
			"one package has room for all, and a reader is in each cache",
		},
		{
			"epyc", nil,
			Demand{4, 4, 8},
			"r0@8 r1@10 r2@12 r3@14 p0@9 p1@11 p2@13 p3@15, housekeeping@0",
			"reader i near partition i",
		},
		{
			"epyc", nil,
			Demand{4, 4, 4},
			"r0+p0@12 r1+p1@13 r2+p2@14 r3+p3@15, housekeeping@0",
			"shared runners, one cache",
		},
		{
			"epyc", nil,
			Demand{8, 16, 24},
			"r0@17 r1@18 r2@20 r3@22 r4@24 r5@26 r6@28 r7@30 " +
				"p0@16 p1@1 p2@2 p3@3 p4@4 p5@5 p6@6 p7@7 p8@8 p9@9 p10@10 p11@11 p12@12 p13@13 p14@14 p15@15, " +
				"housekeeping@0",
			"partitions on all cores, readers on siblings, two in each cache",
		},
		{
			"epyc",
			busy{12: 1, 13: 1, 14: 1, 15: 1, 8: 1},
			Demand{3, 4, 4},
			"r0+p0@4 r1+p1@5 r2+p2@6 p3@7, housekeeping@0",
			"another engine has a cache and a core",
		},

		{
			"xeon", nil,
			Demand{2, 2, 4},
			"r0@1 r1@5 p0@3 p1@7, housekeeping@0",
			"one socket; its CPUs are not neighbours by number",
		},
		{
			"xeon", nil,
			Demand{2, 4, 6},
			"r0@4 r1@3 p0@6 p1@1 p2@5 p3@7, housekeeping@0",
			"two sockets, a reader in each",
		},
		{
			"xeon", nil,
			Demand{4, 8, 12},
			"r0@10 r1@12 r2@9 r3@13 p0@8 p1@2 p2@4 p3@6 p4@1 p5@3 p6@5 p7@7, housekeeping@0",
			"siblings only for readers, and the core of the housekeeping CPU is better than none",
		},
		{"xeon", nil, Demand{4, 2, 3}, "r0+r3+p0@4 r1+p1@6 r2@2, housekeeping@0", "more readers than partitions"},
		{"xeon", nil, Demand{3, 0, 8}, "r0@2 r1@4 r2@6, housekeeping@0", "no partitions"},

		{"hybrid", nil, Demand{1, 2, 3}, "r0@2 p0@4 p1@6, housekeeping@0", "fast cores first"},
		{
			"hybrid", nil,
			Demand{2, 4, 6},
			"r0@14 r1@15 p0@1 p1@2 p2@4 p3@6, housekeeping@0",
			"partitions on fast cores, readers on slow ones rather than on siblings",
		},
		{
			"hybrid", nil,
			Demand{4, 10, 14},
			"r0@8 r1@12 r2@5 r3@7 p0@1 p1@2 p2@4 p3@6 p4@9 p5@10 p6@11 p7@13 p8@14 p9@15, housekeeping@0",
			"siblings when all cores are in use",
		},
		{"biglittle", nil, Demand{1, 2, 3}, "r0@5 p0@6 p1@7, housekeeping@0", "three kinds"},

		{"arm", nil, Demand{3, 4, 7}, "r0@1 r1@3 r2@5 p0@2 p1@4 p2@6 p3@7, housekeeping@0", "no caches known: by node"},
		{"cpuset", nil, Demand{1, 2, 3}, "r0@9 p0@11 p1@12, housekeeping@1", "only what is usable"},
		{
			"cpuset", nil,
			Demand{3, 3, 6},
			"r0@1 r1@5 r2@13 p0@3 p1@9 p2@11, housekeeping@12",
			"housekeeping on a sibling: no runner shares a core for it",
		},
		{
			"cpuset", nil,
			Demand{8, 8, 8},
			"r0+p0@1 r1+p1@3 r2+p2@5 r3+p3@9 r4+p4@11 r5+p5@11 r6+p6@12 r7+p7@13",
			"twice only what is alone on its core",
		},
		{"sparse", nil, Demand{1, 2, 3}, "r0@2 p0@4 p1@5, housekeeping@0", "most of the topology is missing"},
	} {
		var top Topology
		if c.host != "" {
			top = host(t, c.host)
		}
		p, err := Place(top, c.busy, c.shape)
		if err != nil || p.String() != c.want {
			t.Errorf("%s %+v busy %v (%s):\n%s %v, expected\n%s", c.host, c.shape, c.busy, c.why, p, err, c.want)
		}
	}
}

// Goal: what is out of range is refused with its limits, and what is only odd is placed.
func TestPlaceRefused(t *testing.T) {
	for _, s := range []Demand{
		{-1, 1, 1},
		{1, -1, 1},
		{1, 1, 0},
		{1, 1, -5},
		{MaxAgents + 1, 1, 1},
		{1, math.MaxInt, 1},
	} {
		p, err := Place(flatTopology([]int{0, 1}), nil, s)
		if err == nil || !strings.Contains(err.Error(), "8192") || len(p.Runners) > 0 || p.Housekeeping != -1 {
			t.Errorf("%+v: %v, %v", s, p, err)
		}
	}
	odd := Topology{CPUs: []CPU{
		{ID: 7},
		{ID: 7, Core: 3},
		{ID: -2, Core: -1, Capacity: -1},
		{ID: math.MaxInt, Capacity: math.MaxInt},
	}}
	p, err := Place(odd, map[int]int{7: math.MinInt, -2: math.MaxInt}, Demand{2, 2, 4})
	if want := "r0@9223372036854775807 r1@7 p0@7 p1@9223372036854775807"; err != nil || p.String() != want {
		t.Errorf("%v, %v, expected %s", p, err, want)
	}
	if p, err := Place(flatTopology([]int{0, 1}), nil, Demand{MaxAgents, MaxAgents, math.MaxInt}); err != nil ||
		len(p.Runners) != 2*MaxAgents {
		t.Errorf("%d runners, %v", len(p.Runners), err)
	}
}

// Goal: closer is more. Method: a pair for each step.
func TestCloseness(t *testing.T) {
	at := func(pkg, node, llc, core int) seat {
		return seat{CPU: CPU{Package: pkg, Node: node, LLC: llc, Core: core}}
	}
	for want, other := range []seat{at(1, 1, 1, 9), at(0, 1, 1, 9), at(0, 0, 1, 9), at(0, 0, 0, 9), at(0, 0, 0, 0)} {
		if got := closeness(at(0, 0, 0, 0), other); got != want {
			t.Errorf("%+v: %d, expected %d", other, got, want)
		}
	}
	if got := closeness(at(0, 0, 0, 0), at(0, 1, 0, 9)); got != 1 {
		t.Errorf("a cache across nodes: %d, expected 1", got)
	}
}

// drawTopology is a host of random shape, its CPUs numbered at random, of which a cpuset leaves some.
func drawTopology(t *rapid.T) (top Topology) {
	core, llc, node := 0, 0, 0
	for pkg := range rapid.IntRange(1, 2).Draw(t, "packages") {
		for range rapid.IntRange(1, 2).Draw(t, "nodes") {
			for range rapid.IntRange(1, 2).Draw(t, "llcs") {
				for range rapid.IntRange(1, 4).Draw(t, "cores") {
					capacity := rapid.SampledFrom([]int{1024, 1024, 1000, 700, 400}).Draw(t, "capacity")
					for smt := range rapid.IntRange(1, 3).Draw(t, "threads") {
						top.CPUs = append(
							top.CPUs, CPU{Core: core, Package: pkg, Node: node, LLC: llc, SMT: smt, Capacity: capacity})
					}
					core++
				}
				llc++
			}
			node++
		}
	}
	ids := rapid.Permutation(count0(len(top.CPUs))).Draw(t, "ids")
	for i := range top.CPUs {
		top.CPUs[i].ID = 3 * ids[i]
	}
	n := rapid.IntRange(1, len(top.CPUs)).Draw(t, "usable")
	top.CPUs = rapid.Permutation(top.CPUs).Draw(t, "order")[:n]
	return top
}

// count0 is 0, 1, ... n-1.
func count0(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

// Goal: the promises of Place hold on every host. Method: random hosts, loads and shapes; each promise is checked on the result alone.
func TestPlaceProperties(t *testing.T) {
	for range 20 { // rapid tries 100 hosts, too few to see that a rule fails
		rapid.Check(t, placeProperties)
	}
}

func placeProperties(t *rapid.T) {
	top := drawTopology(t)
	busy := map[int]int{}
	if rapid.Bool().Draw(t, "busy") {
		for _, c := range top.CPUs {
			busy[c.ID] = rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "runners")
		}
	}
	s := Demand{
		rapid.IntRange(0, 12).Draw(t, "readers"), rapid.IntRange(0, 12).Draw(t, "partitions"),
		rapid.IntRange(1, 30).Draw(t, "cores"),
	}
	before, busyBefore := slices.Clone(top.CPUs), maps.Clone(busy)
	p, err := Place(top, busy, s)
	if err != nil {
		t.Fatal(err)
	}
	for name, check := range map[string]func() error{
		"agents":       func() error { return checkAgents(p, s) },
		"spread":       func() error { return checkSpread(top, busy, p) },
		"housekeeping": func() error { return checkHousekeeping(top, busy, p) },
		"fast first":   func() error { return checkFast(top, busy, p) },
		"together":     func() error { return checkTogether(top, busy, p) },
		"function": func() error {
			if !slices.Equal(top.CPUs, before) || !maps.Equal(busy, busyBefore) {
				return fmt.Errorf("the inputs were changed")
			}
			again, _ := Place(Topology{CPUs: rapid.Permutation(top.CPUs).Draw(t, "again")}, maps.Clone(busy), s)
			if again.String() != p.String() {
				return fmt.Errorf("another order of the CPUs gives %v", again)
			}
			return nil
		},
	} {
		if err := check(); err != nil {
			t.Fatalf("%s: %v\n%+v of %+v\nbusy %v: %v", name, err, s, top.CPUs, busy, p)
		}
	}
}

// checkAgents: each agent is on the runner that dealing in turn gives it, once.
func checkAgents(p Placement, s Demand) error {
	cores := min(s.Cores, s.Readers+s.Partitions)
	want := make([]string, cores)
	for i := range s.Readers {
		want[i%cores] += fmt.Sprintf("+r%d", i)
	}
	for i := range s.Partitions {
		at := i % cores
		if cores == s.Readers+s.Partitions {
			at = s.Readers + i
		}
		want[at] += fmt.Sprintf("+p%d", i)
	}
	want = slices.DeleteFunc(want, func(w string) bool { return w == "" })
	var got []string
	for _, r := range p.Runners {
		text := Placement{Runners: []Runner{{r.Readers, r.Partitions, -1}}, Housekeeping: -1}.String()
		got = append(got, "+"+text)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("runners %v, expected %v", got, want)
	}
	return nil
}

// loads is the runners of each CPU and of each core, those that were there among them.
func loads(top Topology, busy map[int]int, p Placement) (cpus, cores map[int]int) {
	cpus, cores = map[int]int{}, map[int]int{}
	for _, c := range top.CPUs {
		n := busy[c.ID]
		for _, r := range p.Runners {
			if r.CPU == c.ID {
				n++
			}
		}
		cpus[c.ID] = n
		cores[c.Core] += n
	}
	return cpus, cores
}

// checkSpread: no usable CPU, but that for housekeeping, has two runners less than one that was chosen; and no core is without
// a runner while one shares a core.
func checkSpread(top Topology, busy map[int]int, p Placement) error {
	cpus, cores := loads(top, busy, p)
	core := map[int]int{}
	for _, c := range top.CPUs {
		core[c.ID] = c.Core
	}
	for _, r := range p.Runners {
		if _, ok := core[r.CPU]; !ok {
			return fmt.Errorf("cpu %d is not usable", r.CPU)
		}
		for id, n := range cpus {
			if id != p.Housekeeping && n < cpus[r.CPU]-1 || id == p.Housekeeping && cpus[r.CPU] > 1 {
				return fmt.Errorf("cpu %d has %d runners, cpu %d has %d", r.CPU, cpus[r.CPU], id, n)
			}
		}
		for other, n := range cores {
			if n == 0 && cores[core[r.CPU]] > 1 {
				return fmt.Errorf("core %d has %d runners, core %d has none", core[r.CPU], cores[core[r.CPU]], other)
			}
		}
	}
	return nil
}

// checkHousekeeping: a CPU is left where more are free than runners come, and it has no runner. It is the lowest-numbered free one,
// or each that is lower is a core by itself that a runner needs.
func checkHousekeeping(top Topology, busy map[int]int, p Placement) error {
	cpus, cores := loads(top, busy, p)
	free := 0
	for _, c := range top.CPUs {
		if busy[c.ID] == 0 {
			free++
		}
	}
	if spare := free > len(p.Runners); spare != (p.Housekeeping >= 0) {
		return fmt.Errorf("%d cpus are free", free)
	}
	if p.Housekeeping < 0 {
		return nil
	}
	if n, ok := cpus[p.Housekeeping]; !ok || n > 0 {
		return fmt.Errorf("it has %d runners", n)
	}
	for _, c := range top.CPUs {
		threads := 0
		for _, d := range top.CPUs {
			if d.Core == c.Core {
				threads++
			}
		}
		if c.ID < p.Housekeeping && busy[c.ID] == 0 && (threads > 1 || cores[c.Core] == 0) {
			return fmt.Errorf("cpu %d could have been it", c.ID)
		}
	}
	return nil
}

// checkFast: a core is left alone, but the core of housekeeping, only if it is of no faster kind than a core that got its first runner.
func checkFast(top Topology, busy map[int]int, p Placement) error {
	_, cores := loads(top, busy, p)
	_, before := loads(top, busy, Placement{})
	class := classes(top.CPUs)
	for _, r := range p.Runners {
		for _, c := range top.CPUs {
			if c.ID != r.CPU || before[c.Core] > 0 {
				continue
			}
			for _, d := range top.CPUs {
				if cores[d.Core] == 0 && !onCoreOf(top, p.Housekeeping, d) && class[d.Capacity] < class[c.Capacity] {
					return fmt.Errorf("cpu %d was chosen, cpu %d is faster", c.ID, d.ID)
				}
			}
		}
	}
	return nil
}

// checkTogether: where one cache has a core of the fastest kind for each runner, all are there; else so with nodes and packages.
func checkTogether(top Topology, busy map[int]int, p Placement) error {
	_, before := loads(top, busy, Placement{})
	class := classes(top.CPUs)
	fastest := math.MaxInt
	for _, c := range top.CPUs {
		if before[c.Core] == 0 && c.ID != p.Housekeeping {
			fastest = min(fastest, class[c.Capacity])
		}
	}
	good := func(c CPU) bool {
		return before[c.Core] == 0 && !onCoreOf(top, p.Housekeeping, c) && class[c.Capacity] == fastest
	}
	for name, of := range map[string]func(CPU) int{
		"llc":     func(c CPU) int { return c.LLC },
		"node":    func(c CPU) int { return c.Node },
		"package": func(c CPU) int { return c.Package },
	} {
		room, used := map[int]map[int]bool{}, map[int]bool{}
		fits := false
		for _, c := range top.CPUs {
			if good(c) {
				if room[of(c)] == nil {
					room[of(c)] = map[int]bool{}
				}
				room[of(c)][c.Core] = true
				fits = fits || len(room[of(c)]) >= len(p.Runners)
			}
			for _, r := range p.Runners {
				used[of(c)] = used[of(c)] || r.CPU == c.ID
			}
		}
		n := 0
		for _, u := range used {
			if u {
				n++
			}
		}
		if fits && n > 1 {
			return fmt.Errorf("runners in %d groups by %s, one has room", n, name)
		}
	}
	return nil
}

func onCoreOf(top Topology, id int, c CPU) bool {
	return id >= 0 && slices.ContainsFunc(top.CPUs, func(d CPU) bool { return d.ID == id && d.Core == c.Core })
}
