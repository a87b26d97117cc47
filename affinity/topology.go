package affinity

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// Where a Topology was read.
const (
	SourceSysfs = "sysfs" // the kernel's files
	SourceCPUID = "cpuid" // the processors themselves, each asked in turn
	SourceFlat  = "flat"  // nothing is known but the CPUs: each is taken for a core, all for one package
)

// FullCapacity is the Capacity of the fastest kind of core, as in the kernel's cpu_capacity.
const FullCapacity = 1024

// efficientCapacity is the Capacity of a core that is only known to be of the efficient kind. It is a rank, not a measurement.
const efficientCapacity = 768

// A CPU is one logical processor: what the kernel schedules on and Pin takes.
type CPU struct {
	ID      int // the kernel's number
	Core    int // physical core; numbered through the host in the order of its lowest usable CPU
	Package int // socket, the kernel's number
	Node    int // NUMA node, the kernel's number

	// LLC is the group of CPUs that share a last-level cache, numbered like Core. Where the host does not tell, the CPUs of a
	// package on one node are taken for a group.
	LLC int

	// SMT is the place among the usable threads of its core: 0 is the first. A CPU whose sibling the process may not use has 0.
	SMT int

	// Capacity is the speed relative to the fastest kind of core of the host, FullCapacity; 0 < Capacity. Compare it, do not
	// compute with it: it comes from the kernel's cpu_capacity, from maximal frequencies, or from the kind of the core alone.
	Capacity int
}

// A Topology is the usable CPUs of the host and how they lie to each other.
type Topology struct {
	CPUs   []CPU  // sorted by ID; at most MaxCPU+1
	Source string // SourceSysfs, SourceCPUID or SourceFlat; empty in the zero Topology
}

// Discover reads how the usable CPUs lie to each other. It reads some 15 small files for each CPU, so call it once, not for
// every engine. A file that is missing or odd costs what it says, not the rest. Where /sys has no topology, each CPU is asked
// in turn, on a thread of its own that is pinned to it meanwhile (amd64 on Linux and Windows, 0.5 ms on two CPUs); where that
// fails too, the Topology is flat.
//
// The error says why the usable CPUs are not known; the Topology is empty then, and Place pins nothing.
func Discover() (Topology, error) {
	usable, err := Usable()
	if err != nil {
		return Topology{}, err
	}
	if runtime.GOOS == "linux" {
		if t, ok := readTopology("/", usable); ok {
			return t, nil
		}
	}
	if t, ok := scanTopology(usable); ok {
		return t, nil
	}
	return flatTopology(usable), nil
}

// flatTopology is what is left when nothing but the CPUs is known.
func flatTopology(usable []int) Topology {
	t := Topology{Source: SourceFlat}
	for i, id := range usable {
		t.CPUs = append(t.CPUs, CPU{ID: id, Core: i, Capacity: FullCapacity})
	}
	return t
}

// String is the topology in a short line, for people: 32 cpus, 16 cores, 4 llcs, 4 nodes, 2 packages.
func (t Topology) String() string {
	if len(t.CPUs) == 0 {
		return "no cpus known"
	}
	if t.Source == SourceFlat {
		return count(len(t.CPUs), "cpu") + ", layout unknown"
	}
	distinct := func(of func(CPU) int) int {
		seen := map[int]bool{}
		for _, c := range t.CPUs {
			seen[of(c)] = true
		}
		return len(seen)
	}
	parts := []string{
		count(len(t.CPUs), "cpu"),
		count(distinct(func(c CPU) int { return c.Core }), "core"),
		count(distinct(func(c CPU) int { return c.LLC }), "llc"),
		count(distinct(func(c CPU) int { return c.Node }), "node"),
	}
	if n := distinct(func(c CPU) int { return c.Package }); n > 1 {
		parts = append(parts, count(n, "package"))
	}
	slow, class := map[int]bool{}, classes(t.CPUs)
	for _, c := range t.CPUs {
		if class[c.Capacity] > 0 {
			slow[c.Core] = true
		}
	}
	if len(slow) > 0 {
		parts = append(parts, fmt.Sprintf("%d of the cores slower", len(slow)))
	}
	return strings.Join(parts, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// classes says of each capacity how many kinds of cores are faster. A kind begins more than an eighth below the fastest of the
// kind before: the favoured cores of a turbo are a few per cent faster than their neighbours and no kind of their own. Efficient
// cores that come nearer than that are still known by readCapacities, where the kernel names them.
func classes(cpus []CPU) map[int]int {
	var all []int
	for _, c := range cpus {
		all = append(all, c.Capacity)
	}
	slices.SortFunc(all, func(a, b int) int { return cmp.Compare(b, a) })
	class, kinds, top := map[int]int{}, 0, 0
	for i, c := range all {
		if i == 0 {
			top = c
		} else if c < top-top/8 {
			top = c
			kinds++
		}
		class[c] = kinds
	}
	return class
}

// A rawCPU is what a source says of a CPU. Keys are equal where CPUs share the thing.
type rawCPU struct {
	id, pkg, node, capacity int
	core, llc               string // an empty llc: not known
}

// assemble numbers cores, caches and threads. raw is sorted by id, each once.
func assemble(raw []rawCPU, source string) Topology {
	t := Topology{Source: source}
	cores, llcs, threads := map[string]int{}, map[string]int{}, map[int]int{}
	number := func(m map[string]int, key string) int {
		n, ok := m[key]
		if !ok {
			n = len(m)
			m[key] = n
		}
		return n
	}
	for _, r := range raw {
		if r.llc == "" {
			r.llc = fmt.Sprintf("package %d node %d", r.pkg, r.node)
		}
		c := CPU{
			ID: r.id, Core: number(cores, r.core), Package: r.pkg, Node: r.node, LLC: number(llcs, r.llc), Capacity: r.capacity,
		}
		c.SMT = threads[c.Core]
		threads[c.Core]++
		t.CPUs = append(t.CPUs, c)
	}
	return t
}
