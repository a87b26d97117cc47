package counters

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/velo-engine/velo/affinity"
)

// open opens a Set, if the kernel lets this process.
func open(t *testing.T) *Set {
	t.Helper()
	s, err := Open()
	if err != nil {
		t.Skip(err)
	}
	return s
}

// Goal: page faults and context switches are counted while a part lasts and not outside of it. Method: pages that are touched for the
// first time, and sleeps, on a thread that is there before the part begins.
func TestPart(t *testing.T) {
	s := open(t)
	if !slices.Contains(s.Given(), "page-faults") {
		t.Skip("no page faults: ", s.Missing())
	}
	touch := func(pages int) {
		size := pages * os.Getpagesize()
		b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			t.Error(err)
			return
		}
		unix.Madvise(b, unix.MADV_NOHUGEPAGE)
		for i := 0; i < size; i += os.Getpagesize() {
			b[i] = 1
		}
		unix.Munmap(b)
	}
	touch(5000)
	p, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	touch(1000)
	<-time.After(time.Millisecond)
	threads, err := p.End()
	if err != nil {
		t.Fatal(err)
	}
	touch(5000)
	all := Counts{}
	for _, c := range threads {
		all.Add(c)
	}
	if n := all["page-faults"]; n < 1000 || n > 4000 {
		t.Errorf("%v page faults of 1000", n)
	}
	for _, name := range s.Given() {
		if _, ok := all[name]; !ok {
			t.Errorf("%s is given and not counted", name)
		}
	}
	if len(all) != len(s.Given()) {
		t.Errorf("%v, expected %v", all, s.Given())
	}
	if p.open != nil {
		t.Error("counters are left open")
	}
}

// Goal: what a pinned thread does counts for its CPU.
func TestPinned(t *testing.T) {
	s := open(t)
	usable, err := affinity.Usable()
	if err != nil || len(usable) < 2 {
		t.Skip("one CPU", err)
	}
	ready, end := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		p, err := affinity.Pin(usable[1])
		if err != nil {
			t.Error(err)
			close(ready)
			return
		}
		close(ready)
		for range end {
			for begin := time.Now(); time.Since(begin) < 20*time.Millisecond; {
			}
		}
		if p.Restore() == nil {
			runtime.UnlockOSThread()
		}
	}()
	<-ready
	part, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	end <- struct{}{}
	end <- struct{}{}
	threads, err := part.End()
	close(end)
	<-done
	if err != nil {
		t.Fatal(err)
	}
	name := "cpu " + affinity.FormatList(usable[1:2])
	if threads[name] == nil || threads[name]["task-clock-ns"] <= 0 {
		t.Errorf("nothing at %s: %v", name, threads)
	}
}

// Goal: what is missing is said once for all events with the same reason.
func TestMissing(t *testing.T) {
	s := &Set{missing: map[string]string{"b": "no entry", "a": "no entry", "c": "denied"}}
	if got := s.Missing(); got != "c (denied); a, b (no entry)" {
		t.Error(got)
	}
	if got := (&Set{}).Missing(); got != "" {
		t.Error(got)
	}
	if s, err := Open(); err == nil && len(s.Given())+len(s.missing) != len(events) || err != nil &&
		!strings.Contains(err.Error(), "gives none") {
		t.Error(s, err)
	}
}
