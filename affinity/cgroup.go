package affinity

import (
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Quota returns how many CPUs' worth of time the control groups of this process grant. It returns
// false if they set no limit.
func Quota() (cpus float64, ok bool) { return QuotaOf(System()) }

// QuotaOf is Quota for a tree of /proc and /sys: the least of what the control group of the process
// and the groups above it grant, of both versions.
func QuotaOf(root fs.FS) (cpus float64, ok bool) {
	least := math.Inf(1)
	for _, g := range cgroupsOf(root, "cpu") {
		fields := strings.Fields(readLine(root, path.Join(g.dir, "cpu.max")))
		if g.v1 {
			fields = []string{
				readLine(root, path.Join(g.dir, "cpu.cfs_quota_us")),
				readLine(root, path.Join(g.dir, "cpu.cfs_period_us")),
			}
		}
		if len(fields) != 2 {
			continue
		}
		limit, err1 := strconv.ParseFloat(fields[0], 64) // "max" and -1 mean no limit
		period, err2 := strconv.ParseFloat(fields[1], 64)
		if err1 == nil && err2 == nil && limit > 0 && period > 0 {
			least = min(least, limit/period)
		}
	}
	if math.IsInf(least, 1) {
		return 0, false
	}
	return least, true
}

// Memory returns how many bytes of memory the process may use. That is the least of what its
// control group and the groups above it grant and of what the machine has. If none of that is known
// it is 4 GiB.
func Memory() int {
	n, _ := MemoryOf(System())
	return n
}

// MemoryOf is Memory for a tree of /proc and /sys. from is the file that has the limit; it is empty
// if nothing is known. A limit at which the kernel slows a process down (memory.high, MemoryHigh of
// systemd) counts like one at which it kills it.
func MemoryOf(root fs.FS) (bytes int, from string) {
	least := math.MaxInt
	take := func(file, text string) {
		if n, err := strconv.Atoi(text); err == nil && n > 0 && n < least { // "max" means no limit
			least, from = n, file
		}
	}
	for _, g := range cgroupsOf(root, "memory") {
		if !g.v1 {
			for _, name := range []string{"memory.max", "memory.high"} {
				take(path.Join(g.dir, name), readLine(root, path.Join(g.dir, name)))
			}
			continue
		}
		file := path.Join(g.dir, "memory.limit_in_bytes")
		take(file, readLine(root, file))
		// The kernel also says what the groups above grant, which a container cannot see.
		file = path.Join(g.dir, "memory.stat")
		stat, err := fs.ReadFile(root, file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(stat)) {
			if n, ok := strings.CutPrefix(line, "hierarchical_memory_limit "); ok {
				take(file, strings.TrimSpace(n))
			}
		}
	}
	if fields := strings.Fields(readLine(root, "proc/meminfo")); len(fields) == 3 && fields[0] == "MemTotal:" {
		if kib, err := strconv.Atoi(fields[1]); err == nil && kib > 0 && kib <= math.MaxInt>>10 {
			take("proc/meminfo", strconv.Itoa(kib<<10))
		}
	}
	if from == "" {
		return min(4<<30, math.MaxInt), ""
	}
	return least, from
}

// A cgroup is a control group that limits this process.
type cgroup struct {
	dir string // below the root
	v1  bool   // version 1 of control groups, whose files have other names
}

// A cgroupMount says where a hierarchy of control groups is mounted.
type cgroupMount struct {
	root  string // the group that is at the mount point
	point string
	v1    bool
}

// cgroupsOf returns the control groups that limit a controller of this process, of both versions:
// its own group and all groups above it, as far as they are mounted. A service of systemd has its
// limit in a group some levels down. In a container the path may name groups of the host that are
// not mounted. Then the process's own group, or one above it, is at the mount point.
func cgroupsOf(root fs.FS, controller string) (groups []cgroup) {
	add := func(m cgroupMount, below string) {
		for below = path.Join("/", below); ; below = path.Dir(below) {
			g := cgroup{path.Join(".", m.point, below), m.v1}
			if !slices.Contains(groups, g) {
				groups = append(groups, g)
			}
			if below == "/" {
				return
			}
		}
	}
	mounts := cgroupMounts(root, controller)
	own, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(own)) { // hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		v2 := parts[0] == "0" && parts[1] == ""
		if !v2 && !slices.Contains(strings.Split(parts[1], ","), controller) {
			continue
		}
		for _, m := range mounts {
			if m.v1 == v2 {
				continue
			}
			// The path is relative to the whole hierarchy, and what is mounted may be a part of it.
			below, inside := strings.CutPrefix(parts[2], strings.TrimSuffix(m.root, "/"))
			if !inside || below != "" && below[0] != '/' {
				below = parts[2]
			}
			add(m, below)
		}
	}
	for _, m := range mounts {
		add(m, "/")
	}
	return groups
}

// cgroupMounts returns where the hierarchies that may limit a controller are mounted. If the list
// of mounts says nothing, it returns the usual places.
func cgroupMounts(root fs.FS, controller string) (mounts []cgroupMount) {
	list, _ := fs.ReadFile(root, "proc/self/mountinfo")
	for line := range strings.Lines(string(list)) {
		// id parent device root point options [tags] - type source options
		before, after, ok := strings.Cut(line, " - ")
		from, to := strings.Fields(before), strings.Fields(after)
		if !ok || len(from) < 5 || len(to) < 1 {
			continue
		}
		m := cgroupMount{root: from[3], point: unescapeMount.Replace(from[4]), v1: to[0] == "cgroup"}
		switch {
		case to[0] == "cgroup2":
			mounts = append(mounts, m)
		case m.v1 && len(to) >= 3 && slices.Contains(strings.Split(to[2], ","), controller):
			mounts = append(mounts, m)
		}
	}
	if len(mounts) > 0 {
		return mounts
	}
	return []cgroupMount{
		{"/", "sys/fs/cgroup", false},
		{"/", "sys/fs/cgroup/unified", false}, // with groups of version 1 present
		{"/", "sys/fs/cgroup/" + controller, true},
	}
}

// unescapeMount undoes how the kernel writes paths in the list of mounts.
var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// GroupLine returns the first line of a file of the process's own control group, or of the nearest
// group above it that has the file. The file may be named otherwise in version 1. It is empty if no
// group has it.
func GroupLine(root fs.FS, controller, name, nameV1 string) string {
	for _, g := range cgroupsOf(root, controller) {
		file := path.Join(g.dir, name)
		if g.v1 {
			file = path.Join(g.dir, nameV1)
		}
		if line := readLine(root, file); line != "" {
			return line
		}
	}
	return ""
}
