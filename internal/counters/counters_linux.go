package counters

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/velo-engine/velo/affinity"
)

// An event is one that perf_event_open knows.
type event struct {
	name   string
	typ    uint32
	config uint64
}

// cache is the config of misses of reads in a cache.
func cache(which uint64) uint64 {
	return which | unix.PERF_COUNT_HW_CACHE_OP_READ<<8 | unix.PERF_COUNT_HW_CACHE_RESULT_MISS<<16
}

var events = []event{
	{"cycles", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_CPU_CYCLES},
	{"instructions", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_INSTRUCTIONS},
	{"l1d-misses", unix.PERF_TYPE_HW_CACHE, cache(unix.PERF_COUNT_HW_CACHE_L1D)},
	{"llc-misses", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_CACHE_MISSES},
	{"dtlb-misses", unix.PERF_TYPE_HW_CACHE, cache(unix.PERF_COUNT_HW_CACHE_DTLB)},
	{"branch-misses", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_BRANCH_MISSES},
	{"stalled-cycles-frontend", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_STALLED_CYCLES_FRONTEND},
	{"stalled-cycles-backend", unix.PERF_TYPE_HARDWARE, unix.PERF_COUNT_HW_STALLED_CYCLES_BACKEND},
	{"task-clock-ns", unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_TASK_CLOCK},
	{"context-switches", unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CONTEXT_SWITCHES},
	{"cpu-migrations", unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_CPU_MIGRATIONS},
	{"page-faults", unix.PERF_TYPE_SOFTWARE, unix.PERF_COUNT_SW_PAGE_FAULTS},
}

// A Set is the events that this system gives.
type Set struct {
	events   []event
	missing  map[string]string
	userOnly bool // the kernel's own code is not counted, because that is not allowed
}

// Open tries each event. The error says why there is none at all.
func Open() (*Set, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := &Set{missing: map[string]string{}}
	for _, e := range events {
		fd, err := s.open(e, unix.Gettid())
		if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			s.userOnly = true
			fd, err = s.open(e, unix.Gettid())
		}
		if err != nil {
			s.missing[e.name] = err.Error()
			continue
		}
		unix.Close(fd)
		s.events = append(s.events, e)
	}
	if len(s.events) == 0 {
		return nil, fmt.Errorf("counters: the kernel gives none: %s", s.Missing())
	}
	return s, nil
}

// open opens an event for a thread and those that it starts. It does not count yet.
func (s *Set) open(e event, tid int) (fd int, err error) {
	attr := unix.PerfEventAttr{
		Type: e.typ, Config: e.config, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Bits:        unix.PerfBitDisabled | unix.PerfBitInherit,
		Read_format: unix.PERF_FORMAT_TOTAL_TIME_ENABLED | unix.PERF_FORMAT_TOTAL_TIME_RUNNING,
	}
	if s.userOnly {
		attr.Bits |= unix.PerfBitExcludeKernel | unix.PerfBitExcludeHv
	}
	return unix.PerfEventOpen(&attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
}

// A Part counts from Begin to End.
type Part struct {
	set  *Set
	open []counter
}

// counter is one event of one thread.
type counter struct {
	fd, tid int
	name    string
}

// Begin begins to count all threads of the process, and those that they start. A thread that ends
// meanwhile counts.
func (s *Set) Begin() (*Part, error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, fmt.Errorf("counters: %w", err)
	}
	p := &Part{set: s}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		for _, e := range s.events {
			fd, err := s.open(e, tid)
			if errors.Is(err, unix.ESRCH) {
				break // the thread has ended
			}
			if err != nil {
				p.close()
				return nil, fmt.Errorf("counters: %s of thread %d: %w", e.name, tid, err)
			}
			p.open = append(p.open, counter{fd, tid, e.name})
		}
	}
	for _, c := range p.open {
		if err := unix.IoctlSetInt(c.fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
			p.close()
			return nil, fmt.Errorf("counters: %s: %w", c.name, err)
		}
	}
	return p, nil
}

// End ends the part. Counts of events that had to share a counter of the processor are scaled up to
// the whole time, as perf does it.
func (p *Part) End() (Threads, error) {
	defer p.close()
	masks, err := affinity.ThreadMasks()
	if err != nil {
		return nil, err
	}
	usable, err := affinity.Usable()
	if err != nil {
		return nil, err
	}
	threads := Threads{}
	for _, c := range p.open {
		var b [24]byte
		if n, err := unix.Read(c.fd, b[:]); err != nil || n != len(b) {
			return nil, fmt.Errorf("counters: %s: %d bytes, %w", c.name, n, err)
		}
		value := float64(binary.NativeEndian.Uint64(b[0:]))
		enabled, running := binary.NativeEndian.Uint64(b[8:]), binary.NativeEndian.Uint64(b[16:])
		if running > 0 && running < enabled {
			value *= float64(enabled) / float64(running)
		}
		name := Others
		if mask := masks[c.tid]; len(mask) == 1 && len(usable) > 1 {
			name = fmt.Sprintf("cpu %d", mask[0])
		}
		threads.Add(Threads{name: {c.name: value}})
	}
	return threads, nil
}

func (p *Part) close() {
	for _, c := range p.open {
		unix.Close(c.fd)
	}
	p.open = nil
}
