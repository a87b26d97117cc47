package doctor

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/affinity"
)

// A Machine is how a host is set up. Fields that could not be read are empty; numbers for which 0
// is a value are -1 then.
type Machine struct {
	CPU        string `json:"cpu"`
	Kernel     string `json:"kernel"`
	Hypervisor string `json:"hypervisor"` // what the host runs on; empty on bare metal

	Usable   []int             `json:"usable_cpus"`
	Layout   string            `json:"layout"`
	Topology affinity.Topology `json:"topology"`
	Cores    int               `json:"cores"`
	SMTPairs [][]int           `json:"smt_siblings"` // usable CPUs that share a core
	LLCs     [][]int           `json:"llc_groups"`
	Nodes    [][]int           `json:"numa_nodes"`
	Excluded []Excluded        `json:"excluded_cpus"`
	Isolated []int             `json:"isolated_cpus"`
	NoHzFull []int             `json:"nohz_full_cpus"`
	Quota    float64           `json:"cpu_quota"` // CPUs that the control group grants; 0 is no limit

	Governors      map[string]string `json:"governors"` // by the governor, the CPUs that have it
	Driver         string            `json:"frequency_driver"`
	Turbo          string            `json:"turbo"` // on, off
	SMT            string            `json:"smt"`
	THP            string            `json:"transparent_huge_pages"`
	HugePages      int               `json:"huge_pages"`
	Memory         int               `json:"memory_bytes"`
	MemoryFrom     string            `json:"memory_from"` // the file that limits it
	SwapTotal      int               `json:"swap_bytes"`
	SwapUsed       int               `json:"swap_used_bytes"`
	MaxMapCount    int               `json:"max_map_count"`
	PerfParanoid   int               `json:"perf_event_paranoid"`
	Clocksource    string            `json:"clocksource"`
	Clocksources   string            `json:"clocksources"`
	NUMABalancing  bool              `json:"numa_balancing"`
	Mitigations    map[string]string `json:"mitigations"`
	StealSinceBoot float64           `json:"steal_since_boot"` // share of the usable CPUs' time
	// KernelThreads is the share of a CPU that kernel threads took during the sample.
	KernelThreads map[string]float64 `json:"kernel_threads"`
	// Reporting are the virtio devices that give free memory back to the host.
	Reporting []string `json:"free_page_reporting"`
}

// Excluded are CPUs that the process may not use.
type Excluded struct {
	CPUs []int  `json:"cpus"`
	Why  string `json:"why"`
}

const (
	cpuDir    = "sys/devices/system/cpu"
	clockDir  = "sys/devices/system/clocksource/clocksource0"
	noCommand = "# "
)

func readMachine(root fs.FS, usable []int) Machine {
	m := Machine{
		Usable: usable, Kernel: line(root, "proc/sys/kernel/osrelease"),
		Hypervisor: hypervisor(root), CPU: cpuModel(root),
		Isolated: list(root, cpuDir+"/isolated"), NoHzFull: list(root, cpuDir+"/nohz_full"),
		Governors: map[string]string{}, Driver: line(root, cpuDir+"/cpu0/cpufreq/scaling_driver"),
		Turbo: turbo(root), SMT: line(root, cpuDir+"/smt/control"),
		THP:       chosen(line(root, "sys/kernel/mm/transparent_hugepage/enabled")),
		HugePages: number(root, "proc/sys/vm/nr_hugepages"), MaxMapCount: number(root, "proc/sys/vm/max_map_count"),
		PerfParanoid: number(root, "proc/sys/kernel/perf_event_paranoid"),
		Clocksource:  line(root, clockDir+"/current_clocksource"), Clocksources: line(root,
			clockDir+"/available_clocksource"),
		NUMABalancing: number(root, "proc/sys/kernel/numa_balancing") > 0,
		Mitigations:   mitigations(root),
		Reporting:     reporting(root),
	}
	m.Topology, _ = affinity.ReadTopology(root, usable)
	if m.Topology.Source != "" {
		m.Layout = m.Topology.String()
	}
	m.groups()
	m.Quota, _ = affinity.QuotaOf(root)
	m.Memory, m.MemoryFrom = affinity.MemoryOf(root)
	meminfo := fields(root, "proc/meminfo", ":")
	m.SwapTotal, m.SwapUsed = kib(meminfo["SwapTotal"]), kib(meminfo["SwapTotal"])-kib(meminfo["SwapFree"])
	m.Excluded = excluded(root, usable)
	governors := map[string][]int{}
	for _, cpu := range usable {
		if g := line(root, fmt.Sprintf("%s/cpu%d/cpufreq/scaling_governor", cpuDir, cpu)); g != "" {
			governors[g] = append(governors[g], cpu)
		}
	}
	for g, cpus := range governors {
		m.Governors[g] = affinity.FormatList(cpus)
	}
	if t := (Sample{cpus: readCPUs(root)}).of(usable); t.total > 0 {
		m.StealSinceBoot = float64(t.steal) / float64(t.total)
	}
	return m
}

// groups fills in which CPUs share a core, a cache and a node.
func (m *Machine) groups() {
	by := func(of func(affinity.CPU) int) [][]int {
		var keys []int
		cpus := map[int][]int{}
		for _, c := range m.Topology.CPUs {
			if !slices.Contains(keys, of(c)) {
				keys = append(keys, of(c))
			}
			cpus[of(c)] = append(cpus[of(c)], c.ID)
		}
		var groups [][]int
		for _, k := range keys {
			groups = append(groups, cpus[k])
		}
		return groups
	}
	cores := by(func(c affinity.CPU) int { return c.Core })
	m.Cores = len(cores)
	for _, c := range cores {
		if len(c) > 1 {
			m.SMTPairs = append(m.SMTPairs, c)
		}
	}
	m.LLCs = by(func(c affinity.CPU) int { return c.LLC })
	m.Nodes = by(func(c affinity.CPU) int { return c.Node })
}

// excluded says why CPUs that are there may not be used. The reasons are asked in the order in
// which the kernel applies them.
func excluded(root fs.FS, usable []int) (all []Excluded) {
	left := slices.DeleteFunc(list(root, cpuDir+"/present"), func(c int) bool { return slices.Contains(usable, c) })
	take := func(why string, is func(int) bool) {
		var cpus []int
		left = slices.DeleteFunc(left, func(c int) bool {
			if is(c) {
				cpus = append(cpus, c)
			}
			return is(c)
		})
		if len(cpus) > 0 {
			all = append(all, Excluded{cpus, why})
		}
	}
	if online := list(root, cpuDir+"/online"); len(online) > 0 {
		take("offline", func(c int) bool { return !slices.Contains(online, c) })
	}
	text := affinity.GroupLine(root, "cpuset", "cpuset.cpus.effective", "cpuset.effective_cpus")
	if set, err := affinity.ParseList(text); err == nil && len(set) > 0 {
		take("not in the cpuset of the control group", func(c int) bool { return !slices.Contains(set, c) })
	}
	isolated := list(root, cpuDir+"/isolated")
	take("isolated (isolcpus): only who asks for them gets them", func(c int) bool {
		return slices.Contains(isolated, c)
	})
	take("not in the affinity mask of the process (taskset, or systemd's CPUAffinity)", func(int) bool { return true })
	return all
}

// hypervisor says what the host runs on.
func hypervisor(root fs.FS) string {
	flags := fields(root, "proc/cpuinfo", ":")["flags"]
	kind := line(root, "sys/hypervisor/type")
	product := strings.TrimSpace(line(root, "sys/class/dmi/id/sys_vendor") + " " +
		line(root, "sys/class/dmi/id/product_name"))
	if !slices.Contains(strings.Fields(flags), "hypervisor") && kind == "" {
		for _, word := range []string{"KVM", "QEMU", "VMware", "VirtualBox", "Amazon EC2", "Google Compute", "Xen"} {
			// Hosts of arm64 have no such flag. Metal instances are named so.
			if strings.Contains(product, word) && !strings.Contains(product, "metal") {
				return product
			}
		}
		return ""
	}
	switch {
	case kind != "":
		return kind
	case product != "":
		return product
	}
	return "unknown hypervisor"
}

func cpuModel(root fs.FS) string {
	info := fields(root, "proc/cpuinfo", ":")
	for _, key := range []string{"model name", "Model", "Hardware"} {
		if info[key] != "" {
			return info[key]
		}
	}
	if part := info["CPU part"]; part != "" {
		return fmt.Sprintf("implementer %s part %s", info["CPU implementer"], part)
	}
	return ""
}

// turbo says whether cores may go beyond their nominal frequency.
func turbo(root fs.FS) string {
	switch line(root, cpuDir+"/intel_pstate/no_turbo") {
	case "0":
		return "on"
	case "1":
		return "off"
	}
	switch line(root, cpuDir+"/cpufreq/boost") {
	case "1":
		return "on"
	case "0":
		return "off"
	}
	return ""
}

// mitigations are those that are on, by the vulnerability.
func mitigations(root fs.FS) map[string]string {
	entries, err := fs.ReadDir(root, cpuDir+"/vulnerabilities")
	if err != nil {
		return nil
	}
	on := map[string]string{}
	for _, e := range entries {
		text := line(root, path.Join(cpuDir, "vulnerabilities", e.Name()))
		if what, ok := strings.CutPrefix(text, "Mitigation: "); ok {
			on[e.Name()] = what
		}
	}
	return on
}

func (m Machine) print(w io.Writer) {
	fmt.Fprintf(w, "%s, kernel %s", or(m.CPU, "unknown cpu"), or(m.Kernel, "unknown"))
	if m.Hypervisor != "" {
		fmt.Fprintf(w, ", on %s", m.Hypervisor)
	}
	fmt.Fprintln(w)
	row := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(w, "  %-12s %s\n", name, text)
		}
	}
	row("usable", "%s (%s)", affinity.FormatList(m.Usable), or(m.Layout, "layout unknown"))
	for _, e := range m.Excluded {
		row("not usable", "%s: %s", affinity.FormatList(e.CPUs), e.Why)
	}
	row("smt", "%s", groupsText(m.SMTPairs))
	row("caches", "%s", groupsText(m.LLCs))
	row("nodes", "%s", groupsText(m.Nodes))
	row("isolated", "%s", affinity.FormatList(m.Isolated))
	row("nohz_full", "%s", affinity.FormatList(m.NoHzFull))
	for g, cpus := range m.Governors {
		row("governor", "%s: cpus %s", g, cpus)
	}
	row("turbo", "%s", m.Turbo)
	row("huge pages", "transparent: %s, reserved: %d", or(m.THP, "unknown"), max(m.HugePages, 0))
	row("memory", "%s (%s)", bytesText(m.Memory), or(m.MemoryFrom, "assumed"))
	row("swap", "%s, %s used", bytesText(m.SwapTotal), bytesText(m.SwapUsed))
	row("clock", "%s", m.Clocksource)
}

func groupsText(groups [][]int) string {
	var words []string
	for _, g := range groups {
		words = append(words, affinity.FormatList(g))
	}
	return strings.Join(words, " | ")
}

func bytesText(n int) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}

// line is the first line of a file, empty if there is none.
func line(root fs.FS, file string) string {
	b, err := fs.ReadFile(root, file)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(first)
}

// number is the number in a file, -1 if there is none.
func number(root fs.FS, file string) int {
	n, err := strconv.Atoi(line(root, file))
	if err != nil {
		return -1
	}
	return n
}

// list is the list of CPUs in a file.
func list(root fs.FS, file string) []int {
	cpus, err := affinity.ParseList(line(root, file))
	if err != nil {
		return nil // such as (null) for an empty list
	}
	return cpus
}

// fields are the lines "key<sep> value" of a file; of a key that comes again, the first line.
func fields(root fs.FS, file, sep string) map[string]string {
	b, _ := fs.ReadFile(root, file)
	all := map[string]string{}
	for l := range strings.Lines(string(b)) {
		key, value, ok := strings.Cut(l, sep)
		key = strings.TrimSpace(key)
		if _, known := all[key]; ok && !known {
			all[key] = strings.TrimSpace(value)
		}
	}
	return all
}

// chosen is the word in brackets of a choice like: always [madvise] never.
func chosen(text string) string {
	_, after, ok := strings.Cut(text, "[")
	if !ok {
		return text
	}
	word, _, _ := strings.Cut(after, "]")
	return word
}

func kib(text string) int {
	n, err := strconv.Atoi(strings.TrimSuffix(text, " kB"))
	if err != nil {
		return 0
	}
	return n << 10
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// reporting are the balloons of a virtual machine through which the kernel gives free memory back.
func reporting(root fs.FS) (balloons []string) {
	const dir = "sys/bus/virtio/devices"
	const balloon, reports = "0x0005", 5 // the virtio specification, 5.5
	entries, err := fs.ReadDir(root, dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		// a digit for each bit, the lowest first
		features := line(root, path.Join(dir, e.Name(), "features"))
		if line(root, path.Join(dir, e.Name(), "device")) == balloon && len(features) > reports &&
			features[reports] == '1' {
			balloons = append(balloons, e.Name())
		}
	}
	return balloons
}
