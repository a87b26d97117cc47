package affinity

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/cpuid/v2"
)

// A CPU is a logical processor and what it shares with others. CPUs that share something have the same number there; the numbers
// mean nothing else.
type CPU struct {
	ID   int // as the kernel numbers it
	Core int // the physical core
	SMT  int // its place among the threads of the core: 0 is the first
	LLC  int // the last-level cache
	Node int // the memory that is near

	// Speed compares the CPUs of a machine with cores of several kinds: its capacity or its greatest frequency. 0 is unknown.
	Speed int
}

// A Topology is the CPUs that the process may use, by their ID.
type Topology struct{ CPUs []CPU }

// Discover finds the topology of the usable CPUs: from /sys where there is one, else from CPUID. What neither tells is taken as shared by
// all: one cache, one node, and a core for each CPU. It never fails for lack of knowledge; the error says that not even
// the usable CPUs are known.
func Discover() (Topology, error) {
	cpus, err := Usable()
	if err != nil {
		return Topology{}, err
	}
	t, complete := readTopology("/", cpus)
	if !complete && runtime.GOOS == "linux" {
		if scanned, ok := scanTopology(cpus); ok {
			return scanned, nil
		}
	}
	return t, nil
}

// readTopology reads what /sys below root says of these CPUs. complete says whether it knew their cores and caches.
func readTopology(root string, cpus []int) (t Topology, complete bool) {
	complete = true
	system := filepath.Join(root, "sys/devices/system")
	nodes := map[int]int{}
	dirs, _ := filepath.Glob(filepath.Join(system, "node/node[0-9]*"))
	for _, dir := range dirs {
		node, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "node"))
		list, lerr := ParseList(readLine(filepath.Join(dir, "cpulist")))
		if err != nil || lerr != nil {
			continue
		}
		for _, cpu := range list {
			nodes[cpu] = node
		}
	}
	for _, id := range cpus {
		dir := filepath.Join(system, "cpu", fmt.Sprintf("cpu%d", id))
		c := CPU{ID: id, Core: id, Node: nodes[id], LLC: -1}
		siblings, err := ParseList(readLine(filepath.Join(dir, "topology/thread_siblings_list")))
		if place := slices.Index(siblings, id); err == nil && place >= 0 {
			c.Core, c.SMT = siblings[0], place
		} else {
			complete = false
		}
		if c.LLC = lastLevelCache(dir); c.LLC < 0 {
			complete = false
			// Some arm64 hosts do not list a shared cache; a package has one, or may as well.
			if c.LLC, err = strconv.Atoi(readLine(filepath.Join(dir, "topology/physical_package_id"))); err != nil || c.LLC < 0 {
				c.LLC = 0
			}
		}
		for _, file := range []string{"cpu_capacity", "cpufreq/cpuinfo_max_freq"} {
			if v, err := strconv.Atoi(readLine(filepath.Join(dir, file))); err == nil && v > 0 {
				c.Speed = v
				break
			}
		}
		t.CPUs = append(t.CPUs, c)
	}
	return t, complete
}

// lastLevelCache is the lowest CPU that shares the cache of the highest level with the CPU of a directory, -1 where none is
// listed.
func lastLevelCache(dir string) int {
	level, first := 1, -1 // a first-level cache says nothing
	indexes, _ := filepath.Glob(filepath.Join(dir, "cache/index[0-9]*"))
	for _, index := range indexes {
		l, err := strconv.Atoi(readLine(filepath.Join(index, "level")))
		shared, serr := ParseList(readLine(filepath.Join(index, "shared_cpu_list")))
		if err == nil && serr == nil && len(shared) > 0 && l > level {
			level, first = l, shared[0]
		}
	}
	return first
}

// scanTopology asks each processor for its place with CPUID, which takes a thread to each of them in turn (half a millisecond).
func scanTopology(cpus []int) (t Topology, ok bool) {
	system, err := cpuid.ScanTopology()
	if err != nil || !system.Scanned {
		return t, false
	}
	core, llc := 0, 0
	for _, p := range system.Packages {
		for _, g := range p.Groups {
			for _, c := range g.Cores {
				for smt, thread := range c.Threads {
					if slices.Contains(cpus, thread.ID) {
						t.CPUs = append(t.CPUs, CPU{ID: thread.ID, Core: core, SMT: smt, LLC: llc, Node: g.NUMANode})
					}
				}
				core++
			}
			llc++
		}
	}
	slices.SortFunc(t.CPUs, func(a, b CPU) int { return cmp.Compare(a.ID, b.ID) })
	return t, len(t.CPUs) == len(cpus)
}

// String counts what there is: 8 cpus, 4 cores, 1 cache, 1 node.
func (t Topology) String() string {
	count := func(one, many string, of func(CPU) int) string {
		seen := map[int]bool{}
		for _, c := range t.CPUs {
			seen[of(c)] = true
		}
		if len(seen) == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %s", len(seen), many)
	}
	return strings.Join([]string{
		count("cpu", "cpus", func(c CPU) int { return c.ID }),
		count("core", "cores", func(c CPU) int { return c.Core }),
		count("last-level cache", "last-level caches", func(c CPU) int { return c.LLC }),
		count("node", "nodes", func(c CPU) int { return c.Node }),
	}, ", ")
}

// readLine is the first line of a file, empty where it cannot be read.
func readLine(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}
