package affinity

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// These are the sources of a Topology.
const (
	SourceSysfs = "sysfs" // the kernel's files
	SourceCPUID = "cpuid" // the processors themselves, asked one by one
	// SourceFlat means that only the CPUs are known. Each is taken for a core, and all of them for
	// one package.
	SourceFlat = "flat"
)

// FullCapacity is the Capacity of the fastest kind of core, as in the kernel's cpu_capacity.
const FullCapacity = 1024

// efficientCapacity is the Capacity of a core of which only its efficient kind is known. It is a
// rank and not a measurement.
const efficientCapacity = 768

// A CPU is one logical processor. The kernel schedules on CPUs, and Pin takes one.
type CPU struct {
	ID int // the kernel's number

	// Core is the physical core. Cores are numbered over the host in the order of their lowest
	// usable CPU.
	Core int

	Package int // socket, by the kernel's number
	Node    int // NUMA node, by the kernel's number

	// LLC is the group of CPUs that share a last-level cache, numbered like Core. If the host does
	// not say, the CPUs of a package on one node are taken for a group.
	LLC int

	// SMT is the place of this CPU among the usable threads of its core; 0 is the first. It is 0
	// for a CPU whose sibling the process may not use.
	SMT int

	// Capacity is the speed relative to the fastest kind of core of the host, which has
	// FullCapacity. It is greater than 0. Use it only for comparisons and not for arithmetic,
	// because it comes from the kernel's cpu_capacity, from maximal frequencies, or from the kind
	// of the core alone.
	Capacity int
}

// A Topology is the usable CPUs of the host and how they are related.
type Topology struct {
	CPUs   []CPU  // sorted by ID; at most MaxCPU+1
	Source string // SourceSysfs, SourceCPUID or SourceFlat; empty in the zero Topology
}

// Discover reads how the usable CPUs are related. It reads some 15 small files for each CPU, so
// call it once and not for every engine. If a file is missing or odd, only what it would say is
// missing. If /sys has no topology, Discover asks each CPU in turn, on a thread of its own that is
// pinned to the CPU meanwhile (amd64 on Linux and Windows, 0.5 ms for two CPUs). If that fails too,
// the Topology is flat.
//
// The error says why the usable CPUs are not known. Then the Topology is empty, and Place pins
// nothing.
func Discover() (Topology, error) {
	usable, err := Usable()
	if err != nil {
		return Topology{}, err
	}
	if runtime.GOOS == "linux" {
		if t, ok := ReadTopology(System(), usable); ok {
			return t, nil
		}
	}
	if t, ok := scanTopology(usable); ok {
		return t, nil
	}
	return flatTopology(usable), nil
}

// flatTopology makes the topology for when nothing but the CPUs is known.
func flatTopology(usable []int) Topology {
	t := Topology{Source: SourceFlat}
	for i, id := range usable {
		t.CPUs = append(t.CPUs, CPU{ID: id, Core: i, Capacity: FullCapacity})
	}
	return t
}

// String writes the topology in a short line for people, such as: 32 cpus, 16 cores, 4 llcs, 4
// nodes, 2 packages.
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

// classes returns for each capacity how many kinds of cores are faster. A new kind begins more than
// an eighth below the fastest core of the kind before. The favoured cores of a turbo are a few per
// cent faster than their neighbours and are not a kind of their own. Efficient cores that are
// closer than an eighth are still recognised by readCapacities if the kernel names them.
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

// A rawCPU is what a source says about a CPU. CPUs that share a core or a cache have equal keys for
// it.
type rawCPU struct {
	id, pkg, node, capacity int
	core, llc               string // an empty llc means that it is not known
}

// assemble numbers cores, caches and threads. raw is sorted by id and has each CPU once.
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
			ID: r.id, Core: number(cores, r.core), Package: r.pkg, Node: r.node, LLC: number(llcs, r.llc),
			Capacity: r.capacity,
		}
		c.SMT = threads[c.Core]
		threads[c.Core]++
		t.CPUs = append(t.CPUs, c)
	}
	return t
}
