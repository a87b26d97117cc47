package doctor

import (
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc, which is the same for all systems that Go runs on.
const tick = 10 * time.Millisecond

// A Sample has the counters of a host at one time.
type Sample struct {
	cpus  map[int]cpuTimes
	irqs  map[string]irq
	tasks map[int]task
	self  int
}

// cpuTimes are ticks of a CPU since the host started.
type cpuTimes struct{ total, idle, steal uint64 }

// irq counts how often a device interrupted each CPU.
type irq struct {
	what   string
	counts map[int]uint64
}

// task is a process, or a thread of the kernel.
type task struct {
	name   string
	kernel bool
	cpu    int // where it ran last
	spent  time.Duration
}

// TakeSample reads the counters below root. What cannot be read is empty.
func TakeSample(root fs.FS) Sample {
	s := Sample{cpus: readCPUs(root), irqs: readIRQs(root), tasks: map[int]task{}}
	s.self, _ = strconv.Atoi(firstWord(line(root, "proc/self/stat")))
	s.readTasks(root)
	return s
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}

func readIRQs(root fs.FS) map[string]irq {
	text, _ := fs.ReadFile(root, "proc/interrupts")
	all := map[string]irq{}
	var cpus []int
	for l := range strings.Lines(string(text)) {
		words := strings.Fields(l)
		if len(words) == 0 {
			continue
		}
		if cpus == nil { // the head names the CPUs that are online
			for _, w := range words {
				if n, err := strconv.Atoi(strings.TrimPrefix(w, "CPU")); err == nil {
					cpus = append(cpus, n)
				}
			}
			continue
		}
		id := strings.TrimSuffix(words[0], ":")
		if _, err := strconv.Atoi(id); err != nil || len(words) <= len(cpus) {
			continue // timers and messages between CPUs come with the work of the engine
		}
		q := irq{strings.Join(words[1+len(cpus):], " "), map[int]uint64{}}
		for i, cpu := range cpus {
			q.counts[cpu], _ = strconv.ParseUint(words[1+i], 10, 64)
		}
		all[id] = q
	}
	return all
}

func (s *Sample) readTasks(root fs.FS) {
	entries, _ := fs.ReadDir(root, "proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == s.self {
			continue
		}
		dir := path.Join("proc", e.Name())
		text := line(root, dir+"/stat")
		// The name is in parentheses and may have any byte.
		open, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
		if open < 0 || end < open {
			continue
		}
		words := strings.Fields(text[end+1:]) // the first is field 3 of proc(5)
		if len(words) < 37 {
			continue
		}
		field := func(n int) uint64 { v, _ := strconv.ParseUint(words[n-3], 10, 64); return v }
		const isKernelThread = 0x00200000
		t := task{
			name: text[open+1 : end], kernel: field(9)&isKernelThread != 0, cpu: int(field(39)),
			spent: time.Duration(field(14)+field(15)) * tick,
		}
		if t.kernel { // which has one thread, so this is all of it and more exact
			if ns, err := strconv.ParseInt(firstWord(line(root, dir+"/schedstat")), 10, 64); err == nil {
				t.spent = time.Duration(ns)
			}
		}
		s.tasks[pid] = t
	}
}

// of adds up the times of some CPUs.
func (s Sample) of(cpus []int) (sum cpuTimes) {
	for _, c := range cpus {
		t := s.cpus[c]
		sum.total += t.total
		sum.idle += t.idle
		sum.steal += t.steal
	}
	return sum
}

// since is what has passed since another sample on some CPUs.
func (s Sample) since(before Sample, cpus []int) cpuTimes {
	a, b := before.of(cpus), s.of(cpus)
	if b.total < a.total || b.idle < a.idle || b.steal < a.steal {
		return cpuTimes{}
	}
	return cpuTimes{b.total - a.total, b.idle - a.idle, b.steal - a.steal}
}

// elapsed is the time between two samples by the ticks of the CPUs, which recorded trees have too.
func (s Sample) elapsed(before Sample) (d time.Duration) {
	for cpu := range s.cpus {
		d = max(d, time.Duration(s.since(before, []int{cpu}).total)*tick)
	}
	return d
}

// A load is what a task took of one CPU between two samples.
type load struct {
	task
	share float64
}

// loads are the tasks that ran between two samples, the greatest first. Kernel threads count only
// if they ran last on one of the CPUs.
func (s Sample) loads(before Sample, cpus []int) (all []load) {
	elapsed := s.elapsed(before)
	if elapsed == 0 {
		return nil
	}
	for pid, t := range s.tasks {
		old, ok := before.tasks[pid]
		if !ok || t.spent <= old.spent || old.name != t.name || !slices.Contains(cpus, t.cpu) {
			continue
		}
		all = append(all, load{t, float64(t.spent-old.spent) / float64(elapsed)})
	}
	slices.SortFunc(all, func(a, b load) int {
		switch {
		case a.share > b.share:
			return -1
		case a.share < b.share:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	return all
}

// kernelThreads are the kernel threads that ran between two samples, and the share of a CPU that
// each took.
func kernelThreads(before, after Sample, cpus []int) map[string]float64 {
	all := map[string]float64{}
	for _, l := range after.loads(before, cpus) {
		if l.kernel {
			all[l.name] += l.share
		}
	}
	return all
}
