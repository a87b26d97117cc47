package doctor

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/velo-engine/velo/affinity"
)

// An examination is one host under the checks.
type examination struct {
	root          fs.FS
	m             *Machine
	before, after Sample
	findings      []Finding
}

func (e *examination) add(id, level, found, spoils, mend string) {
	e.findings = append(e.findings, Finding{id, level, found, spoils, mend})
}

// checks are what is looked at, in the order in which people should mend it.
var checks = []func(*examination){
	(*examination).hypervisor, (*examination).steal, (*examination).quota, (*examination).busy,
	(*examination).kernelThreads, (*examination).interrupts,
	(*examination).governor, (*examination).turbo, (*examination).idleStates, (*examination).clock,
	(*examination).smt, (*examination).kinds, (*examination).oneCPU, (*examination).isolation,
	(*examination).offline,
	(*examination).memory, (*examination).reporting, (*examination).swap,
	(*examination).hugePages, (*examination).numaBalancing,
	(*examination).mapCount, (*examination).perf, (*examination).mitigations,
}

func (e *examination) hypervisor() {
	if e.m.Hypervisor == "" {
		return
	}
	e.add("hypervisor", LevelSpoils, "a virtual machine ("+e.m.Hypervisor+")",
		"everything: its cores may be threads of one core, others run on them, and their frequency and caches are "+
			"not seen",
		noCommand+"measure on bare metal; or pin the virtual CPUs to cores of the host that nothing else uses")
}

func (e *examination) steal() {
	t := e.after.since(e.before, e.m.Usable)
	now := 0.0
	if t.total > 0 {
		now = float64(t.steal) / float64(t.total)
	}
	const much, some = 0.005, 0.0005
	if now < some && e.m.StealSinceBoot < some {
		return
	}
	level := LevelNote
	if max(now, e.m.StealSinceBoot) >= much {
		level = LevelSpoils
	}
	e.add("steal", level, fmt.Sprintf("the host took %.2f %% of the CPUs' time since it started, %.2f %% just now",
		100*e.m.StealSinceBoot, 100*now),
		"throughput by that share and the longest latencies by far more",
		noCommand+"move to a host that is not overcommitted, or to dedicated cores")
}

func (e *examination) quota() {
	if e.m.Quota == 0 || e.m.Quota >= float64(len(e.m.Usable)) {
		return
	}
	e.add("quota", LevelSpoils,
		fmt.Sprintf("the control group grants the time of %.2f of %d usable CPUs", e.m.Quota, len(e.m.Usable)),
		"everything: threads that spin use up the quota and are stopped for the rest of each period",
		fmt.Sprintf("systemctl set-property --runtime UNIT CPUQuota=%d%%   # docker: --cpus %d; or leave the quota "+
			"and "+
			"run on fewer: taskset -c LIST", 100*len(e.m.Usable), len(e.m.Usable)))
}

// busy is what other processes do with the CPUs.
func (e *examination) busy() {
	const much = 0.03
	var names []string
	greatest := 0.0
	for _, l := range e.after.loads(e.before, e.m.Usable) {
		if l.kernel || l.share < much {
			continue
		}
		greatest = max(greatest, l.share)
		if len(names) < 3 {
			names = append(names, fmt.Sprintf("%s (%.0f %%)", l.name, 100*l.share))
		}
	}
	t := e.after.since(e.before, e.m.Usable)
	taken := 0.0
	if t.total > 0 {
		taken = 1 - float64(t.idle)/float64(t.total) - float64(t.steal)/float64(t.total)
	}
	if taken < much && greatest < much {
		return
	}
	found := fmt.Sprintf("others take %.0f %% of the usable CPUs", 100*taken)
	if len(names) > 0 {
		found += ": " + strings.Join(names, ", ") + " of a CPU"
	}
	e.add("busy", LevelSpoils, found,
		"everything: the engine's threads wait for these, and their caches are written over",
		"ps -eo pcpu,pid,psr,comm --sort=-pcpu | head   # then stop what comes first, or keep it on other CPUs with "+
			"taskset -p")
}

func (e *examination) kernelThreads() {
	const much = 0.01
	var names []string
	for _, name := range slices.SortedFunc(maps.Keys(e.m.KernelThreads), func(a, b string) int {
		return cmp.Or(cmp.Compare(e.m.KernelThreads[b], e.m.KernelThreads[a]), cmp.Compare(a, b))
	}) {
		if share := e.m.KernelThreads[name]; share >= much {
			names = append(names, fmt.Sprintf("%s (%.1f %%)", name, 100*share))
		}
	}
	if len(names) == 0 {
		return
	}
	e.add("kernel-threads", LevelSpoils, "kernel threads on the usable CPUs: "+strings.Join(names, ", "),
		"latencies: they run before the engine's threads",
		fmt.Sprintf("echo %s | sudo tee /sys/devices/virtual/workqueue/cpumask   # and rcu_nocbs=%s nohz_full=%s on "+
			"the "+
			"kernel's command line", e.maskOfOthers(), affinity.FormatList(e.m.Usable),
			affinity.FormatList(e.m.Usable)))
}

// others are the CPUs that are online and not usable here. If there are none, it is the first one.
func (e *examination) others() []int {
	others := slices.DeleteFunc(list(e.root, cpuDir+"/online"), func(c int) bool {
		return slices.Contains(e.m.Usable, c)
	})
	if len(others) == 0 {
		return []int{0}
	}
	return others
}

// maskOfOthers is others as the kernel reads a mask: words of 32 bits, the highest first.
func (e *examination) maskOfOthers() string {
	others := e.others()
	words := make([]uint32, slices.Max(others)/32+1)
	for _, c := range others {
		words[c/32] |= 1 << (c % 32)
	}
	var b strings.Builder
	for i, w := range slices.Backward(words) {
		if i == len(words)-1 {
			fmt.Fprintf(&b, "%x", w)
		} else {
			fmt.Fprintf(&b, ",%08x", w)
		}
	}
	return b.String()
}

func (e *examination) interrupts() {
	const some, much = 100, 1000 // a second
	elapsed := e.after.elapsed(e.before).Seconds()
	if elapsed == 0 {
		return
	}
	level, total, worst, worstRate := LevelNote, 0.0, "", 0.0
	var found []string
	for _, id := range slices.Sorted(maps.Keys(e.after.irqs)) {
		now, rate := e.after.irqs[id], 0.0
		var on []int
		for _, cpu := range e.m.Usable {
			was, is := e.before.irqs[id].counts[cpu], now.counts[cpu]
			if is > was {
				rate += float64(is-was) / elapsed
				on = append(on, cpu)
			}
		}
		total += rate
		if rate >= some {
			found = append(found, fmt.Sprintf("irq %s (%s) %.0f a second on cpus %s", id, now.what, rate,
				affinity.FormatList(on)))
		}
		if rate > worstRate {
			worst, worstRate = id, rate
		}
	}
	if len(found) == 0 {
		return
	}
	if total >= much {
		level = LevelSpoils
	}
	e.add("interrupts", level, strings.Join(found, "; "),
		"latencies, and the throughput of the CPUs that answer them",
		fmt.Sprintf("sudo systemctl stop irqbalance; echo %s | sudo tee /proc/irq/%s/smp_affinity_list",
			affinity.FormatList(e.others()), worst))
}

func (e *examination) governor() {
	var slow []string
	for _, g := range slices.Sorted(maps.Keys(e.m.Governors)) {
		if g != "performance" {
			slow = append(slow, fmt.Sprintf("%s on cpus %s", g, e.m.Governors[g]))
		}
	}
	if len(slow) == 0 {
		return
	}
	e.add("governor", LevelSpoils, "the frequency governor is "+strings.Join(slow, ", "),
		"short runs and latencies: the clock rises only after some time under load, and falls in each pause",
		"sudo cpupower frequency-set -g performance")
}

func (e *examination) turbo() {
	if e.m.Turbo != "on" {
		return
	}
	file := cpuDir + "/cpufreq/boost"
	off := "0"
	if line(e.root, cpuDir+"/intel_pstate/no_turbo") != "" {
		file, off = cpuDir+"/intel_pstate/no_turbo", "1"
	}
	e.add("turbo", LevelSpoils, "turbo is on",
		"efficiency, and comparisons: one core runs faster than many do, and all slow down as the chip warms up",
		fmt.Sprintf("echo %s | sudo tee /%s", off, file))
}

// idleStates looks for states of sleep that take long to leave.
func (e *examination) idleStates() {
	const slow = 50 // us
	if len(e.m.Usable) == 0 {
		return
	}
	for i := 0; ; i++ {
		dir := fmt.Sprintf("%s/cpu%d/cpuidle/state%d", cpuDir, e.m.Usable[0], i)
		name := line(e.root, dir+"/name")
		if name == "" {
			return
		}
		if us := number(e.root, dir+"/latency"); us >= slow && number(e.root, dir+"/disable") != 1 {
			e.add("idle-states", LevelNote, fmt.Sprintf("a parked CPU may sleep so deeply (%s) that it takes %d us "+
				"to wake",
				name, us), "latencies at low load", fmt.Sprintf("sudo cpupower idle-set -D %d", slow-1))
			return
		}
	}
}

func (e *examination) clock() {
	switch e.m.Clocksource {
	case "", "tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page":
		return // which are read without a call into the kernel
	}
	mend := noCommand + "boot with tsc=reliable, if the processor's counter is"
	if slices.Contains(strings.Fields(e.m.Clocksources), "tsc") {
		mend = "echo tsc | sudo tee /" + clockDir + "/current_clocksource"
	}
	e.add("clock", LevelSpoils, "the clock source is "+e.m.Clocksource,
		"latencies and ns per record: each look at the clock is a call into the kernel of up to a microsecond", mend)
}

func (e *examination) smt() {
	if len(e.m.SMTPairs) == 0 {
		return
	}
	var firsts []int
	for _, c := range e.m.Topology.CPUs {
		if c.SMT == 0 {
			firsts = append(firsts, c.ID)
		}
	}
	e.add("smt", LevelNote, fmt.Sprintf("%d cores have several usable threads (%s)", len(e.m.SMTPairs),
		groupsText(e.m.SMTPairs)), "efficiency beyond the cores: two threads of a core do the work of one and a "+
		"quarter",
		fmt.Sprintf("taskset -c %s veloperf ...   # or: echo off | sudo tee /%s/smt/control",
			affinity.FormatList(firsts), cpuDir))
}

func (e *examination) kinds() {
	fast := 0
	var of []int
	for _, c := range e.m.Topology.CPUs {
		fast = max(fast, c.Capacity)
	}
	for _, c := range e.m.Topology.CPUs {
		if c.Capacity >= fast-fast/8 {
			of = append(of, c.ID)
		}
	}
	if len(of) == 0 || len(of) == len(e.m.Topology.CPUs) {
		return
	}
	e.add("cores-differ", LevelSpoils, fmt.Sprintf("%d of %d CPUs belong to slower cores",
		len(e.m.Topology.CPUs)-len(of), len(e.m.Topology.CPUs)),
		"efficiency: a partition on a slow core holds up all others", "taskset -c "+affinity.FormatList(of)+" "+
			"veloperf ...")
}

func (e *examination) oneCPU() {
	if len(e.m.Usable) != 1 {
		return
	}
	e.add("one-cpu", LevelSpoils, fmt.Sprintf("cpu %d is the only usable one", e.m.Usable[0]),
		"everything: the engine shares it with the garbage collector and the rest of the host",
		noCommand+"give the process another CPU: taskset, cpuset.cpus, docker --cpuset-cpus")
}

func (e *examination) isolation() {
	if len(e.m.Isolated) > 0 && len(intersect(e.m.Isolated, e.m.Usable)) == 0 {
		e.add("isolation", LevelNote, fmt.Sprintf("CPUs %s are isolated and this process does not use them",
			affinity.FormatList(e.m.Isolated)), "nothing, but the quiet CPUs are idle",
			"taskset -c "+affinity.FormatList(e.m.Isolated)+" veloperf ...")
		return
	}
	if ticking := minus(e.m.Usable, e.m.NoHzFull); len(ticking) > 0 && len(e.m.Isolated) == 0 {
		e.add("isolation", LevelNote, fmt.Sprintf("CPUs %s are neither isolated nor without ticks",
			affinity.FormatList(ticking)), "the longest latencies: a timer interrupts each CPU, and the scheduler "+
			"may put "+
			"anything on it", fmt.Sprintf("%sboot with isolcpus=%s nohz_full=%s rcu_nocbs=%s", noCommand,
			affinity.FormatList(ticking), affinity.FormatList(ticking), affinity.FormatList(ticking)))
	}
}

func (e *examination) offline() {
	for _, x := range e.m.Excluded {
		if x.Why == "offline" {
			e.add("offline", LevelNote, "CPUs "+affinity.FormatList(x.CPUs)+" are offline", "nothing, but they are "+
				"idle",
				fmt.Sprintf("echo 1 | sudo tee /%s/cpu%d/online", cpuDir, x.CPUs[0]))
		}
	}
}

func (e *examination) memory() {
	if e.m.MemoryFrom == "" || e.m.MemoryFrom == "proc/meminfo" {
		return
	}
	level := LevelNote
	if e.m.Memory < 1<<30 {
		level = LevelSpoils
	}
	e.add("memory", level, fmt.Sprintf("the control group grants %s (/%s)", bytesText(e.m.Memory), e.m.MemoryFrom),
		"workloads with many groups: they are refused at half of that, and the kernel kills what takes more",
		"systemctl set-property --runtime UNIT MemoryMax=infinity   # docker: --memory 0; or --memory SIZE for "+
			"fewer groups")
}

func (e *examination) reporting() {
	if len(e.m.Reporting) == 0 {
		return
	}
	e.add("free-page-reporting", LevelSpoils, "the kernel gives free memory back to the host ("+
		strings.Join(e.m.Reporting, ", ")+")",
		"first passes, many groups and restores: the first touch of a page may wait for the host, seconds for each GB",
		fmt.Sprintf("echo %s | sudo tee /sys/bus/virtio/drivers/virtio_balloon/unbind   # until the next boot",
			e.m.Reporting[0]))
}

func (e *examination) swap() {
	switch {
	case e.m.SwapUsed > 64<<20:
		e.add("swap", LevelSpoils, fmt.Sprintf("%s are swapped out", bytesText(e.m.SwapUsed)),
			"everything: a page that is not in memory takes as long as 100,000 records", "sudo swapoff -a")
	case e.m.SwapTotal > 0:
		e.add("swap", LevelNote, fmt.Sprintf("there is swap, %s", bytesText(e.m.SwapTotal)),
			"workloads that fill the memory", "sudo swapoff -a")
	}
}

func (e *examination) hugePages() {
	if e.m.THP != "never" {
		return
	}
	e.add("huge-pages", LevelSpoils, "transparent huge pages are off",
		"large tables: from 100,000 groups on, each record misses the TLB",
		"echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled")
}

func (e *examination) numaBalancing() {
	if !e.m.NUMABalancing || len(e.m.Nodes) < 2 {
		return
	}
	e.add("numa-balancing", LevelSpoils, "the kernel moves pages between nodes by itself",
		"latencies, and throughput in the first seconds: it unmaps pages to see who uses them",
		"sudo sysctl kernel.numa_balancing=0")
}

func (e *examination) mapCount() {
	const usual = 65530
	if e.m.MaxMapCount < 0 || e.m.MaxMapCount >= usual {
		return
	}
	e.add("max-map-count", LevelSpoils, fmt.Sprintf("a process may have %d mappings", e.m.MaxMapCount),
		"workloads with many groups: they end with \"cannot allocate memory\"",
		fmt.Sprintf("sudo sysctl vm.max_map_count=%d", 4*usual))
}

func (e *examination) perf() {
	if e.m.PerfParanoid < 2 {
		return // -1 also allows everything
	}
	what := "perf and --counters see no kernel code"
	if e.m.PerfParanoid > 2 {
		what = "perf and --counters see nothing, unless they run as root"
	}
	e.add("perf", LevelNote, fmt.Sprintf("perf_event_paranoid is %d", e.m.PerfParanoid), "no figure; "+what,
		"sudo sysctl kernel.perf_event_paranoid=1")
}

func (e *examination) mitigations() {
	if len(e.m.Mitigations) == 0 {
		return
	}
	e.add("mitigations", LevelNote, "on against "+strings.Join(slices.Sorted(maps.Keys(e.m.Mitigations)), ", "),
		"reading files and waking parked threads: each call into the kernel takes longer, also where the figures "+
			"come from "+
			"another host",
		noCommand+"boot with mitigations=off, on a host that runs nothing foreign")
}

func intersect(a, b []int) []int {
	return slices.DeleteFunc(slices.Clone(a), func(x int) bool { return !slices.Contains(b, x) })
}

func minus(a, b []int) []int {
	return slices.DeleteFunc(slices.Clone(a), func(x int) bool { return slices.Contains(b, x) })
}
