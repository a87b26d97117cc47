package doctor

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Watch looks at what the host does to a running measurement: stolen time, what others take of
// the CPUs, and the frequency.
type Watch struct {
	root   fs.FS
	usable []int
	before reading
	stop   chan struct{}
	clocks chan clocks // what was seen until stop
}

// A reading has the counters that a Watch compares.
type reading struct {
	cpus      Sample
	own       uint64 // ticks of this process and its children
	throttled int
}

// clocks are the lowest and the highest frequency of the usable CPUs, in kHz.
type clocks struct{ low, high int }

const (
	// watchEvery is how often frequencies are read. It takes some ten microseconds for each CPU.
	watchEvery = 200 * time.Millisecond

	stealSpoils  = 0.005
	othersSpoil  = 0.03
	clockSpoils  = 0.05
	shortestTime = 5 // ticks of a CPU; less says nothing, because counters lag by some
)

// StartWatch begins to watch. Stop must be called.
func StartWatch(root fs.FS, usable []int) *Watch {
	w := &Watch{root: root, usable: usable, stop: make(chan struct{}), clocks: make(chan clocks, 1)}
	w.before = w.read()
	go func() {
		seen := w.lookAtClocks(clocks{})
		if seen.low == 0 { // this host does not say, so there is no need to wake up
			<-w.stop
			w.clocks <- seen
			return
		}
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				seen = w.lookAtClocks(seen)
			case <-w.stop:
				w.clocks <- w.lookAtClocks(seen)
				return
			}
		}
	}()
	return w
}

// Stop ends the watch and says what spoiled the measurement, a line each.
func (w *Watch) Stop() []string {
	after := w.read()
	close(w.stop)
	return w.judge(after, <-w.clocks)
}

// read reads the counters that the kernel sums up.
func (w *Watch) read() (r reading) {
	r.cpus = Sample{cpus: readCPUs(w.root)}
	text := line(w.root, "proc/self/stat")
	words := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	for i := 14; i <= 17 && len(words) >= 15; i++ { // utime stime cutime cstime of proc(5)
		n, _ := strconv.ParseUint(words[i-3], 10, 64)
		r.own += n
	}
	for _, cpu := range w.usable {
		n := number(w.root, fmt.Sprintf("%s/cpu%d/thermal_throttle/core_throttle_count", cpuDir, cpu))
		r.throttled += max(n, 0)
	}
	return r
}

func (w *Watch) lookAtClocks(seen clocks) clocks {
	for _, cpu := range w.usable {
		khz := number(w.root, fmt.Sprintf("%s/cpu%d/cpufreq/scaling_cur_freq", cpuDir, cpu))
		if khz <= 0 {
			return clocks{}
		}
		if seen.low == 0 || khz < seen.low {
			seen.low = khz
		}
		seen.high = max(seen.high, khz)
	}
	return seen
}

// judge compares the counters after a measurement with those before.
func (w *Watch) judge(after reading, seen clocks) (spoilers []string) {
	t := after.cpus.since(w.before.cpus, w.usable)
	if t.total >= shortestTime*uint64(len(w.usable)) && t.total > 0 {
		total := float64(t.total)
		if share := float64(t.steal) / total; share >= stealSpoils {
			spoilers = append(spoilers, fmt.Sprintf("steal: the host took %.1f %% of the CPUs' time", 100*share))
		}
		// The process's own ticks may be counted on other CPUs too, and a tick late.
		others := float64(t.total-t.idle-t.steal) - float64(after.own-w.before.own) - float64(len(w.usable))
		if share := others / total; after.own >= w.before.own && share >= othersSpoil {
			spoilers = append(spoilers, fmt.Sprintf("load: others took %.1f %% of the CPUs' time", 100*share))
		}
	}
	if seen.low > 0 && float64(seen.low) < (1-clockSpoils)*float64(seen.high) {
		spoilers = append(spoilers, fmt.Sprintf("frequency: the CPUs ran at %.2f to %.2f GHz", float64(seen.low)/1e6,
			float64(seen.high)/1e6))
	}
	if n := after.throttled - w.before.throttled; n > 0 {
		spoilers = append(spoilers, fmt.Sprintf("heat: the CPUs were slowed down %d times", n))
	}
	return spoilers
}

// readCPUs returns the times of each CPU.
func readCPUs(root fs.FS) map[int]cpuTimes {
	cpus := map[int]cpuTimes{}
	stat, _ := fs.ReadFile(root, "proc/stat")
	for l := range strings.Lines(string(stat)) {
		words := strings.Fields(l)
		if !strings.HasPrefix(l, "cpu") || len(words) < 9 {
			continue
		}
		cpu, err := strconv.Atoi(strings.TrimPrefix(words[0], "cpu"))
		if err != nil {
			continue // the sum of all
		}
		var t cpuTimes
		for i, word := range words[1:9] { // user nice system idle iowait irq softirq steal; guests are in user
			n, _ := strconv.ParseUint(word, 10, 64)
			t.total += n
			switch i {
			case 3, 4:
				t.idle += n
			case 7:
				t.steal += n
			}
		}
		cpus[cpu] = t
	}
	return cpus
}

// Setup are the findings about how the running system is set up that would spoil a run, a line
// each. It does not look at what runs now, which a Watch does.
func Setup(root fs.FS, usable []int) []string {
	r := Examine(root, usable, Sample{}, Sample{})
	r.Findings = append(r.Findings, buildFindings()...)
	return slices.DeleteFunc(r.Spoilers(), func(s string) bool { return strings.HasPrefix(s, "steal:") })
}
