package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/engine"
)

// These lines of the list run an engine and look at it from outside.

// dataPath are functions that records go through. A goroutine that waits in one of them for a mutex
// or a channel has left the path that takes no lock.
var dataPath = []string{
	"velo/ring.", "velo/core.", "velo/core/table.", "velo/core/agg.", "velo/core/groupkey.",
	"velo/engine.(*runner).turn", "velo/engine.(*runner).park",
}

func (c *validateCmd) locks(ctx context.Context, v *verdict) error {
	w, err := workload(c.Profile)
	if err != nil {
		return err
	}
	v.Ran = fmt.Sprintf("%s under full mutex and block profiles for %v", c.Profile, c.Duration)
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)
	n := realCores()
	e, err := w.Start(n, n, n)
	if err != nil {
		return err
	}
	defer e.Close()
	bench.Settle(e)
	mutexes, blocks := waits(runtime.MutexProfile), waits(runtime.BlockProfile)
	f, err := bench.Measure(e, c.Duration)
	if err != nil {
		return err
	}
	in, total := waitsSince(mutexes, waits(runtime.MutexProfile))
	inBlocks, totalBlocks := waitsSince(blocks, waits(runtime.BlockProfile))
	v.decide(in+inBlocks == 0 && f.Records > 0,
		"%d of %d waits for mutexes and %d of %d for channels and the like are in the data path, in %s records", in,
		total,
		inBlocks, totalBlocks, short(float64(f.Records)))
	return within(stuckAfter, func() error { return e.Shutdown(ctx) })
}

// waits reads a profile of the runtime: how often each stack has waited.
func waits(read func([]runtime.BlockProfileRecord) (int, bool)) map[[32]uintptr]int64 {
	records := make([]runtime.BlockProfileRecord, 256)
	n, ok := read(records)
	for !ok {
		records = make([]runtime.BlockProfileRecord, 2*n)
		n, ok = read(records)
	}
	counts := map[[32]uintptr]int64{}
	for _, r := range records[:n] {
		counts[r.Stack0] += r.Count
	}
	return counts
}

// waitsSince counts the waits between two looks at a profile: those in the data path, and all.
func waitsSince(before, after map[[32]uintptr]int64) (inPath, total int64) {
	for stack, n := range after {
		n -= before[stack]
		if n <= 0 {
			continue
		}
		total += n
		pcs := stack[:]
		for i, pc := range pcs {
			if pc == 0 {
				pcs = pcs[:i]
				break
			}
		}
		var functions []string
		for frames := runtime.CallersFrames(pcs); ; {
			f, more := frames.Next()
			functions = append(functions, f.Function)
			if !more {
				break
			}
		}
		if inDataPath(functions) {
			inPath += n
		}
	}
	return inPath, total
}

func (c *validateCmd) queues(ctx context.Context, v *verdict) error {
	w, err := workload(c.Profile)
	if err != nil {
		return err
	}
	v.Ran = fmt.Sprintf("%s, 4 readers and partitions on %d cores, looked at each ms for %v", c.Profile, realCores(),
		c.Duration)
	e, err := w.Start(4, 4, realCores())
	if err != nil {
		return err
	}
	defer e.Close()
	deepest, slots, beyond := 0, 0, 0
	look := func() engine.Stats {
		st := e.Stats()
		for _, r := range st.Rings {
			deepest, slots = max(deepest, r.Depth, r.HighWater), max(slots, r.Slots)
			if max(r.Depth, r.HighWater) > r.Slots {
				beyond++
			}
		}
		return st
	}
	for end := time.Now().Add(c.Duration); time.Now().Before(end); <-time.After(time.Millisecond) {
		look()
	}
	if err := within(stuckAfter, func() error { return e.Shutdown(ctx) }); err != nil {
		return err
	}
	left := 0
	for _, r := range look().Rings {
		left += r.Depth
	}
	v.decide(beyond == 0 && left == 0 && slots > 0, "at most %d of %d slots were in use, %d are at rest", deepest,
		slots,
		left)
	return nil
}

// stuckAfter is when something that should end is taken not to.
const stuckAfter = 30 * time.Second

func (c *validateCmd) readersEnd(_ context.Context, v *verdict) error {
	w, err := workload(c.Profile)
	if err != nil {
		return err
	}
	v.Ran = fmt.Sprintf("%s, 4 readers of one pass each, no Shutdown", c.Profile)
	e, err := w.StartFinite(4, 4, realCores(), 1)
	if err != nil {
		return err
	}
	defer e.Close()
	if err := within(stuckAfter, e.Wait); err != nil {
		return err
	}
	ended := 0
	st := e.Stats()
	for _, r := range st.Readers {
		if r.State == engine.Ended {
			ended++
		}
	}
	v.decide(ended == len(st.Readers), "%d of %d readers ended, after %d records", ended, len(st.Readers),
		st.Counters().In)
	return nil
}

// held is what a process holds.
type held struct {
	goroutines, mappings int
	bytes                int // resident
}

// holding looks at the process. Mappings and bytes are 0 if the system does not say.
func holding() (h held) {
	runtime.GC()
	h.goroutines = runtime.NumGoroutine()
	if maps, err := os.ReadFile("/proc/self/maps"); err == nil {
		h.mappings = bytes.Count(maps, []byte("\n"))
	}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		var pages int
		if _, err := fmt.Sscanf(string(statm), "%d %d", new(int), &pages); err == nil {
			h.bytes = pages * os.Getpagesize()
		}
	}
	return h
}

// leaks starts and ends engines. What is left after the first half of them must not grow in the
// second. The pool of the arena gives memory back after 10 seconds, so it waits for that.
func (c *validateCmd) leaks(ctx context.Context, v *verdict) error {
	const slackBytes, slackMappings = 64 << 20, 32 // Go's heap comes and goes by this
	v.Ran = fmt.Sprintf("%d engines of 100,000 groups are started and closed, twice", c.Engines)
	cycle := func() error {
		for range c.Engines {
			e, err := bench.Workload{Groups: 100_000}.Start(2, 2, realCores())
			if err != nil {
				return err
			}
			<-time.After(20 * time.Millisecond)
			err = within(stuckAfter, func() error { return e.Shutdown(ctx) })
			e.Close()
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := cycle(); err != nil {
		return err
	}
	<-time.After(c.Settle)
	before := holding()
	if err := cycle(); err != nil {
		return err
	}
	<-time.After(c.Settle)
	after := holding()
	ok := after.goroutines <= before.goroutines && after.mappings <= before.mappings+slackMappings &&
		after.bytes <= before.bytes+slackBytes
	v.decide(ok, "goroutines %d, then %d; mappings %d, then %d; resident %.0f MiB, then %.0f", before.goroutines,
		after.goroutines, before.mappings, after.mappings, float64(before.bytes)/(1<<20), float64(after.bytes)/(1<<20))
	return nil
}

// deadlock runs shapes that wait often: more agents than cores, rings of the fewest slots,
// snapshots all the time. In each second records must come.
func (c *validateCmd) deadlock(ctx context.Context, v *verdict) error {
	shapes := [][2]int{{1, 1}, {1, 4}, {4, 1}, {3, 5}, {8, 8}}
	v.Ran = fmt.Sprintf("rings of 2 slots, a snapshot each ms, %d shapes for %v", len(shapes), c.Watch)
	each := c.Watch / time.Duration(len(shapes))
	var least uint64
	var at string
	for i, s := range shapes {
		n, err := stress(ctx, s[0], s[1], each)
		if err != nil {
			return fmt.Errorf("%d readers, %d partitions: %w", s[0], s[1], err)
		}
		if i == 0 || n < least {
			least, at = n, fmt.Sprintf("%dx%d", s[0], s[1])
		}
	}
	v.decide(least > 0, "no stop; the least in a second is %s records, with %s", short(float64(least)), at)
	return nil
}

// stress runs a shape and returns the least number of records in a second.
func stress(ctx context.Context, readers, partitions int, d time.Duration) (least uint64, err error) {
	w := bench.Workload{Groups: 1000, RingSlots: 2, EpochInterval: time.Millisecond, EpochShare: 1}
	e, err := w.Start(readers, partitions, realCores())
	if err != nil {
		return 0, err
	}
	defer e.Close()
	last, first := e.Stats().Counters().In, true
	for end := time.Now().Add(d); time.Now().Before(end); first = false {
		<-time.After(min(time.Second, max(d, 10*time.Millisecond)))
		n := e.Stats().Counters().In
		if n == last { // a loaded machine gets another chance
			<-time.After(5 * time.Second)
			n = e.Stats().Counters().In
			if n == last {
				return 0, fmt.Errorf("no record came for 6 s\n%v", e.Stats())
			}
		}
		if first || n-last < least {
			least = n - last
		}
		last = n
		if err := within(stuckAfter, func() error { return e.Sync(ctx) }); err != nil {
			return 0, fmt.Errorf("a snapshot: %w", err)
		}
	}
	return least, within(stuckAfter, func() error { return e.Shutdown(ctx) })
}

// inDataPath says whether a stack of function names has one of the data path.
func inDataPath(functions []string) bool {
	for _, f := range functions {
		for _, part := range dataPath {
			if strings.Contains(f, part) {
				return true
			}
		}
	}
	return false
}
