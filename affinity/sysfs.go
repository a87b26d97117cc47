package affinity

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// ReadTopology reads the kernel's files below root, which is System or a recorded tree. usable is
// sorted. ok is false if the tree has no topology for any usable CPU.
//
// The files are described in Documentation/ABI/stable/sysfs-devices-system-cpu and
// Documentation/ABI/testing/sysfs-devices-system-cpu of Linux. They are believed only as far as
// they agree with themselves: a list of siblings must contain the CPU that it is for.
func ReadTopology(root fs.FS, usable []int) (t Topology, ok bool) {
	dir := "sys/devices/system/cpu"
	if online, err := ParseList(readLine(root, path.Join(dir, "online"))); err == nil {
		if both := intersect(usable, online); len(both) > 0 {
			usable = both // some may have gone offline since the process started
		}
	}
	nodes, speeds := readNodes(root), readCapacities(root, usable)
	var raw []rawCPU
	for i, id := range usable {
		cpuDir := path.Join(dir, fmt.Sprintf("cpu%d", id))
		r := rawCPU{id: id, node: nodes[id], capacity: speeds[i]}
		// The number is -1 on platforms that do not know the package, which makes it 0 here.
		r.pkg, _ = readNumber(root, path.Join(cpuDir, "topology/physical_package_id"))
		core, siblings := readCore(root, cpuDir, id, r.pkg)
		r.core, r.llc = core, readLLC(root, cpuDir, id, max(siblings, 1))
		if core == "" {
			r.core = fmt.Sprintf("cpu %d", id)
		} else {
			ok = true
		}
		raw = append(raw, r)
	}
	return assemble(raw, SourceSysfs), ok
}

// readCore returns a name of the core of a CPU and how many threads the core has. The name is empty
// if the tree does not say. The list of siblings is the kernel's own view. core_id is a number of
// the hardware, and unique only within a die.
func readCore(root fs.FS, cpuDir string, id, pkg int) (key string, threads int) {
	// These are the new name and the old one.
	for _, file := range []string{"core_cpus_list", "thread_siblings_list"} {
		if list, err := ParseList(readLine(root, path.Join(cpuDir, "topology", file))); err == nil &&
			slices.Contains(list, id) {
			return fmt.Sprintf("threads from %d", list[0]), len(list)
		}
	}
	if core, ok := readNumber(root, path.Join(cpuDir, "topology/core_id")); ok {
		die, _ := readNumber(root, path.Join(cpuDir, "topology/die_id"))
		return fmt.Sprintf("package %d die %d core %d", pkg, die, core), 0
	}
	return "", 0
}

// readLLC returns a name of the last-level cache of a CPU whose core has that many threads. It is
// empty if the tree does not say. A cache below level 3 that no other core shares does not count,
// because arm64 servers list the two levels of a core and not the cache of the system.
func readLLC(root fs.FS, cpuDir string, id, threads int) (key string) {
	entries, err := fs.ReadDir(root, path.Join(cpuDir, "cache"))
	if err != nil {
		return ""
	}
	last := 0
	for _, e := range entries {
		dir := path.Join(cpuDir, "cache", e.Name())
		if !strings.HasPrefix(e.Name(), "index") || readLine(root, path.Join(dir, "type")) == "Instruction" {
			continue
		}
		level, ok := readNumber(root, path.Join(dir, "level"))
		if !ok || level <= last {
			continue
		}
		shared, err := ParseList(readLine(root, path.Join(dir, "shared_cpu_list")))
		if err != nil || !slices.Contains(shared, id) || level < 3 && len(shared) <= threads {
			continue
		}
		last, key = level, fmt.Sprintf("level %d from %d", level, shared[0])
	}
	return key
}

// readNodes returns the NUMA node of each CPU. A kernel without NUMA has no nodes; then all CPUs
// are on node 0.
func readNodes(root fs.FS) map[int]int {
	dir := "sys/devices/system/node"
	entries, err := fs.ReadDir(root, dir)
	if err != nil {
		return nil
	}
	nodes := map[int]int{}
	for _, e := range entries {
		name, isNode := strings.CutPrefix(e.Name(), "node")
		node, err := strconv.Atoi(name)
		if !isNode || err != nil || node < 0 {
			continue
		}
		// A node that only has memory has no CPUs.
		list, _ := ParseList(readLine(root, path.Join(dir, e.Name(), "cpulist")))
		for _, cpu := range list {
			nodes[cpu] = node
		}
	}
	return nodes
}

// readCapacities returns the Capacity of each usable CPU. It takes cpu_capacity if that tells kinds
// of cores apart; on x86 it is 1024 for all cores of a hybrid processor with SMT. Otherwise it
// takes the maximal frequencies, and what the kernel calls cpu_atom ranks below the other cores.
func readCapacities(root fs.FS, usable []int) []int {
	dir := "sys/devices/system/cpu"
	read := func(file string) (values []int, highest int) {
		for _, id := range usable {
			v, ok := readNumber(root, path.Join(dir, fmt.Sprintf("cpu%d", id), file))
			if !ok || v == 0 {
				return nil, 0
			}
			values = append(values, v)
			highest = max(highest, v)
		}
		return values, highest
	}
	caps, highest := read("cpu_capacity")
	if len(caps) > 0 && slices.Min(caps) < highest {
		return scale(caps, highest)
	}
	caps, highest = read("cpufreq/cpuinfo_max_freq")
	if len(caps) > 0 {
		caps = scale(caps, highest)
	} else {
		caps = slices.Repeat([]int{FullCapacity}, len(usable))
	}
	if atoms, err := ParseList(readLine(root, "sys/devices/cpu_atom/cpus")); err == nil {
		for i, id := range usable {
			if slices.Contains(atoms, id) {
				caps[i] = min(caps[i], efficientCapacity)
			}
		}
	}
	return caps
}

// scale scales the values so that the highest is FullCapacity.
func scale(values []int, highest int) []int {
	for i, v := range values {
		values[i] = max(1, int(int64(v)*FullCapacity/int64(highest)))
	}
	return values
}

// readNumber returns the number in a file. It returns 0 and false if there is no number from 0 to
// 2^31-1. Frequencies in kHz and odd package ids fit that range.
func readNumber(root fs.FS, file string) (n int, ok bool) {
	v, err := strconv.ParseInt(readLine(root, file), 10, 32)
	if err != nil || v < 0 {
		return 0, false
	}
	return int(v), true
}

// intersect returns the elements of a, in order, that are in b.
func intersect(a, b []int) []int {
	return slices.DeleteFunc(slices.Clone(a), func(x int) bool { return !slices.Contains(b, x) })
}
