package affinity

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
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
		System: runtime.GOOS + "/" + runtime.GOARCH, Kernel: readLine(System(), "proc/sys/kernel/osrelease"),
	}
	h.CPUs, _ = Usable()
	h.Topology, _ = Discover()
	h.Quota, _ = Quota()
	for _, f := range []cpuid.FeatureID{cpuid.AVX2, cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.ASIMD} {
		if cpuid.CPU.Supports(f) {
			h.Features = append(h.Features, f.String())
		}
	}
	h.Warnings = warnings(&h, System())
	return h
}

// String writes the host in one line, and a further line for each warning.
func (h Host) String() string {
	var b strings.Builder
	b.WriteString(h.Line())
	for _, w := range h.Warnings {
		fmt.Fprintf(&b, "\n  could spoil the figures: %s", w)
	}
	return b.String()
}

// Line writes the host in one line, without the warnings.
func (h Host) Line() string {
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
	return b.String()
}

// warnings returns what could spoil a measurement. root has /proc and /sys.
func warnings(h *Host, root fs.FS) (w []string) {
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
		dir := fmt.Sprintf("sys/devices/system/cpu/cpu%d", cpu)
		if g := readLine(root, dir+"/cpufreq/scaling_governor"); g != "" && g != "performance" {
			w = append(w, fmt.Sprintf("cpu %d: the frequency governor is %q", cpu, g))
			break
		}
	}
	for _, cpu := range h.CPUs {
		siblings, err := ParseList(readLine(root,
			fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu)))
		if err == nil && len(siblings) > 1 {
			w = append(w, fmt.Sprintf("cpus %s share a core", FormatList(siblings)))
			break
		}
	}
	if fields := strings.Fields(readLine(root, "proc/loadavg")); len(fields) > 0 {
		if load, err := strconv.ParseFloat(fields[0], 64); err == nil && load > 0.5 {
			w = append(w, fmt.Sprintf("a load of %.1f before the start", load))
		}
	}
	if thp := readLine(root, "sys/kernel/mm/transparent_hugepage/enabled"); strings.Contains(
		thp, "[never]") {
		w = append(w, "no transparent huge pages")
	}
	if invariants.Enabled {
		w = append(w, "built with -race or -tags invariants")
	}
	return w
}

// System is the root of this system's files, from which ReadTopology and the other functions with a
// root read /proc and /sys. Recorded trees of other hosts can stand in its place.
func System() fs.FS { return os.DirFS("/") }

// readLine returns the first line of a file, or an empty string if the file cannot be read.
func readLine(root fs.FS, file string) string {
	b, err := fs.ReadFile(root, file)
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
