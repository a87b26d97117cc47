package affinity

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/cpuid/v2"

	"github.com/velo-engine/velo/internal/invariants"
)

// A Host is what one should know about a machine besides a measurement.
type Host struct {
	CPU        string   // the processor's own name
	Features   []string // features that velo has kernels for, or will have
	CPUs       []int    // CPUs that the process may use
	Topology   Topology // topology of the CPUs that the process may use
	Quota      float64  // number of CPUs that the control group grants; 0 if it sets no limit
	GOMAXPROCS int
	GoVersion  string
	System     string // GOOS/GOARCH
	Kernel     string // release of the kernel, if it is known

	// Warnings are the things that could spoil a measurement.
	Warnings []string
}

// Describe looks at the host. It leaves out what cannot be read.
func Describe() Host {
	h := Host{
		CPU: cpuid.CPU.BrandName, GOMAXPROCS: runtime.GOMAXPROCS(0), GoVersion: runtime.Version(),
		System: runtime.GOOS + "/" + runtime.GOARCH, Kernel: readLine("/proc/sys/kernel/osrelease"),
	}
	h.CPUs, _ = Usable()
	h.Topology, _ = Discover()
	h.Quota, _ = Quota()
	for _, f := range []cpuid.FeatureID{cpuid.AVX2, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.ASIMD} {
		if cpuid.CPU.Supports(f) {
			h.Features = append(h.Features, f.String())
		}
	}
	h.Warnings = warnings(&h, "/")
	return h
}

// String writes the host in one line, and a further line for each warning.
func (h Host) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, usable: %s (%v), %s, %s", or(h.CPU, "unknown cpu"), FormatList(h.CPUs), h.Topology, h.System,
		h.GoVersion)
	if len(h.Features) > 0 {
		fmt.Fprintf(&b, ", %s", strings.ToLower(strings.Join(h.Features, " ")))
	}
	if h.Kernel != "" {
		fmt.Fprintf(&b, ", kernel %s", h.Kernel)
	}
	fmt.Fprintf(&b, ", GOMAXPROCS %d", h.GOMAXPROCS)
	for _, w := range h.Warnings {
		fmt.Fprintf(&b, "\n  could spoil the figures: %s", w)
	}
	return b.String()
}

// warnings returns what could spoil a measurement. root is where /proc and /sys are.
func warnings(h *Host, root string) (w []string) {
	if cpuid.CPU.VM() {
		w = append(w, "a virtual machine: the host may run others on the same cores")
	}
	if len(h.CPUs) == 1 {
		w = append(w, "one usable cpu: the engine shares it with everything else")
	}
	if h.Quota > 0 && h.Quota < float64(len(h.CPUs)) {
		w = append(w, fmt.Sprintf("the control group grants %.2f cpus of %d", h.Quota, len(h.CPUs)))
	}
	for _, cpu := range h.CPUs {
		dir := filepath.Join(root, fmt.Sprintf("sys/devices/system/cpu/cpu%d", cpu))
		if g := readLine(dir + "/cpufreq/scaling_governor"); g != "" && g != "performance" {
			w = append(w, fmt.Sprintf("cpu %d: the frequency governor is %q", cpu, g))
			break
		}
	}
	for _, cpu := range h.CPUs {
		siblings, err := ParseList(readLine(
			filepath.Join(root, fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu))))
		if err == nil && len(siblings) > 1 {
			w = append(w, fmt.Sprintf("cpus %s share a core", FormatList(siblings)))
			break
		}
	}
	if fields := strings.Fields(readLine(filepath.Join(root, "proc/loadavg"))); len(fields) > 0 {
		if load, err := strconv.ParseFloat(fields[0], 64); err == nil && load > 0.5 {
			w = append(w, fmt.Sprintf("a load of %.1f before the start", load))
		}
	}
	if thp := readLine(filepath.Join(root, "sys/kernel/mm/transparent_hugepage/enabled")); strings.Contains(
		thp, "[never]") {
		w = append(w, "no transparent huge pages")
	}
	if invariants.Enabled {
		w = append(w, "built with -race or -tags invariants")
	}
	return w
}

// Quota returns how many CPUs' worth of time the control group of this process grants. It returns
// false if the group sets no limit.
func Quota() (cpus float64, ok bool) { return quota("/") }

// quota looks at the control groups of both versions below root. In a container the process's own
// group is mounted at the top.
func quota(root string) (cpus float64, ok bool) {
	fields := strings.Fields(readLine(filepath.Join(root, "sys/fs/cgroup/cpu.max")))
	if len(fields) == 0 {
		fields = []string{
			readLine(filepath.Join(root, "sys/fs/cgroup/cpu/cpu.cfs_quota_us")),
			readLine(filepath.Join(root, "sys/fs/cgroup/cpu/cpu.cfs_period_us")),
		}
	}
	if len(fields) != 2 {
		return 0, false
	}
	limit, err1 := strconv.ParseFloat(fields[0], 64) // "max" and -1 mean no limit
	period, err2 := strconv.ParseFloat(fields[1], 64)
	if err1 != nil || err2 != nil || limit <= 0 || period <= 0 {
		return 0, false
	}
	return limit / period, true
}

// Memory returns how many bytes of memory the process may use. That is the least of what its
// control group and the groups above it grant and of what the machine has. If none of that is known
// it is 4 GiB.
func Memory() int { return memory("/") }

// memory looks at the control groups of both versions and at the machine, below root.
func memory(root string) int {
	least := math.MaxInt
	for _, file := range memoryLimits(root) {
		if n, err := strconv.Atoi(readLine(file)); err == nil && n > 0 { // "max" means no limit
			least = min(least, n)
		}
	}
	if fields := strings.Fields(readLine(filepath.Join(root, "proc/meminfo"))); len(fields) == 3 &&
		fields[0] == "MemTotal:" {
		if kib, err := strconv.Atoi(fields[1]); err == nil && kib > 0 {
			least = min(least, kib<<10)
		}
	}
	if least == math.MaxInt {
		return min(4<<30, math.MaxInt)
	}
	return least
}

// memoryLimits returns the files that may have a limit: the files of the control group of this
// process and of all groups above it, as far as they can be seen. A service of systemd has its
// limit in a group some levels down. In a container the path names groups of the host that are not
// mounted, and the process's own group is at the top.
func memoryLimits(root string) (files []string) {
	own, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		own = nil
	}
	up := func(mount, path, file string) {
		for path = filepath.Join("/", path); ; path = filepath.Dir(path) {
			files = append(files, filepath.Join(root, mount, path, file))
			if path == "/" {
				return
			}
		}
	}
	up("sys/fs/cgroup", "/", "memory.max")
	up("sys/fs/cgroup/memory", "/", "memory.limit_in_bytes")
	for line := range strings.Lines(string(own)) { // hierarchy:controllers:path
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		switch {
		case parts[0] == "0" && parts[1] == "":
			up("sys/fs/cgroup", parts[2], "memory.max")
			up("sys/fs/cgroup/unified", parts[2], "memory.max") // with groups of version 1 present
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			up("sys/fs/cgroup/memory", parts[2], "memory.limit_in_bytes")
		}
	}
	return files
}

// readLine returns the first line of a file, or an empty string if the file cannot be read.
func readLine(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
