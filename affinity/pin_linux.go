package affinity

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// atStart is the mask that the process was started with. It is read before anything can pin. Later
// any thread of the process, even the first, may have the mask of a runner.
var atStart, errAtStart = getMask(0)

// Usable returns the CPUs that this process may run on, sorted. They are what the kernel's affinity
// mask allowed when the process started, which includes cpusets.
func Usable() ([]int, error) {
	if errAtStart != nil {
		return nil, fmt.Errorf("affinity: usable CPUs: %w", errAtStart)
	}
	return slices.Clone(atStart), nil
}

func getMask(tid int) ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &set); err != nil {
		return nil, err
	}
	return cpusOf(&set), nil
}

func cpusOf(set *unix.CPUSet) []int {
	var cpus []int
	for cpu := range MaxCPU + 1 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// A Pinned is a thread that runs on one CPU.
type Pinned struct {
	tid      int
	old      unix.CPUSet
	restored bool
}

// Pin binds the calling OS thread to a CPU. The goroutine must have called runtime.LockOSThread,
// and must call Restore before it unlocks. The error says why the kernel refused; then the thread
// is as it was.
func Pin(cpu int) (*Pinned, error) {
	p := &Pinned{tid: unix.Gettid()}
	fail := func(err error) (*Pinned, error) {
		usable := "unknown"
		if cpus, uerr := Usable(); uerr == nil {
			usable = FormatList(cpus)
		}
		if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: %w", ErrUnsupported, err) // such as a sandbox's filter
		}
		return nil, fmt.Errorf("affinity: cannot pin thread %d to cpu %d: %w (usable: %s)", p.tid, cpu, err, usable)
	}
	if cpu < 0 || cpu > MaxCPU {
		return fail(fmt.Errorf("no such cpu, expected 0..%d", MaxCPU))
	}
	if err := unix.SchedGetaffinity(0, &p.old); err != nil {
		return fail(err)
	}
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fail(err)
	}
	// The mask is read back, because a cpuset may have narrowed it.
	if got, err := getMask(0); err != nil || len(got) != 1 || got[0] != cpu {
		p.Restore()
		return fail(fmt.Errorf("the kernel gave %s instead", FormatList(got)))
	}
	return p, nil
}

// Restore restores the mask that the thread had before Pin. It must run on the same thread. A
// second call does nothing. After an error the thread still has the foreign mask and must not be
// given back to the runtime: leave the goroutine locked and let it end.
func (p *Pinned) Restore() error {
	if p.restored {
		return nil
	}
	if tid := unix.Gettid(); tid != p.tid {
		return fmt.Errorf("affinity: Restore on thread %d of what was pinned on thread %d", tid, p.tid)
	}
	if err := unix.SchedSetaffinity(0, &p.old); err != nil {
		return fmt.Errorf("affinity: cannot restore the mask of thread %d: %w", p.tid, err)
	}
	p.restored = true
	return nil
}

// keepMask runs f, which may pin the calling thread, and restores the mask. The goroutine must be
// locked to the thread. It returns false if the thread is not as it was; then the thread must end.
// If the mask cannot be read, f does not run.
func keepMask(f func()) (restored bool) {
	var old, now unix.CPUSet
	if unix.SchedGetaffinity(0, &old) != nil {
		return true
	}
	f()
	if unix.SchedSetaffinity(0, &old) != nil || unix.SchedGetaffinity(0, &now) != nil {
		return false
	}
	return now == old
}

// ThreadMasks returns the list of CPUs that each thread of this process may run on, by the number
// of the thread, as /proc has it.
func ThreadMasks() (map[int][]int, error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, fmt.Errorf("affinity: %w", err)
	}
	masks := make(map[int][]int, len(tasks))
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		status, err := os.ReadFile("/proc/self/task/" + task.Name() + "/status")
		if err != nil {
			continue // the thread has ended meanwhile
		}
		for line := range strings.Lines(string(status)) {
			if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
				masks[tid], err = ParseList(list)
				if err != nil {
					return nil, err
				}
			}
		}
	}
	return masks, nil
}

// ThreadCPUTime returns the CPU time that the calling thread has used. It returns false if this
// system does not say.
func ThreadCPUTime() (time.Duration, bool) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0, false
	}
	return time.Duration(ts.Nano()), true
}
