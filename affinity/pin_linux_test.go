package affinity

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// onThread runs f on a goroutine that is locked to its thread, and unlocks it.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		f()
	}()
	<-done
}

// Goal: a pinned thread runs on its CPU and nowhere else, and has its old mask back afterwards; a second Restore does nothing.
func TestPin(t *testing.T) {
	usable, err := Usable()
	if err != nil {
		t.Fatal(err)
	}
	for _, cpu := range usable {
		onThread(func() {
			before, _ := getMask(0)
			p, err := Pin(cpu)
			if err != nil {
				t.Error(err)
				return
			}
			for range 100 {
				if got := cpuNow(); got != cpu {
					t.Errorf("on cpu %d, pinned to %d", got, cpu)
				}
			}
			masks, err := ThreadMasks()
			if err != nil {
				t.Error(err)
			}
			if got := masks[p.tid]; !slices.Equal(got, []int{cpu}) {
				t.Errorf("/proc says %v, expected %d", got, cpu)
			}
			if err := p.Restore(); err != nil {
				t.Error(err)
			}
			if after, _ := getMask(0); !slices.Equal(before, after) {
				t.Errorf("mask %v after Restore, %v before Pin", after, before)
			}
			if err := p.Restore(); err != nil {
				t.Errorf("second Restore: %v", err)
			}
		})
	}
}

// cpuNow is the CPU that the calling thread runs on.
func cpuNow() int {
	var cpu uint32
	unix.RawSyscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0)
	return int(cpu)
}

// Goal: a CPU that is not there is refused with a message that says which are, and the thread is as before.
func TestPinRefused(t *testing.T) {
	onThread(func() {
		before, _ := getMask(0)
		for _, cpu := range []int{-1, MaxCPU, MaxCPU + 1} {
			_, err := Pin(cpu)
			if err == nil || !strings.Contains(err.Error(), "usable") {
				t.Errorf("Pin(%d): %v", cpu, err)
			}
		}
		if after, _ := getMask(0); !slices.Equal(before, after) {
			t.Errorf("mask %v after, %v before", after, before)
		}
	})
}

// Goal: no thread that is made while others are pinned keeps their mask. Method: pinned goroutines start many that block in
// system calls, which makes the runtime start threads; then every mask of the process is read.
func TestMaskIsNotInherited(t *testing.T) {
	usable, err := Usable()
	if err != nil {
		t.Fatal(err)
	}
	if len(usable) < 2 {
		t.Skip("one usable CPU: every mask is the same")
	}
	var pinned, sleepers sync.WaitGroup
	pinnedThreads := map[int]bool{}
	var mu sync.Mutex
	release := make(chan struct{})
	for i := range 4 {
		pinned.Add(1)
		go onThread(func() {
			p, err := Pin(usable[i%len(usable)])
			if err != nil {
				t.Error(err)
				pinned.Done()
				return
			}
			mu.Lock()
			pinnedThreads[p.tid] = true
			mu.Unlock()
			for range 8 {
				sleepers.Go(func() { unix.Nanosleep(&unix.Timespec{Nsec: 50e6}, nil) })
			}
			pinned.Done()
			<-release
			if err := p.Restore(); err != nil {
				t.Error(err)
			}
		})
	}
	pinned.Wait()
	time.Sleep(20 * time.Millisecond) // the sleepers are in their system calls
	masks, err := ThreadMasks()
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	for tid, mask := range masks {
		if !pinnedThreads[tid] && !slices.Equal(mask, usable) {
			t.Errorf("thread %d has mask %v, expected %v", tid, mask, usable)
		}
	}
	mu.Unlock()
	close(release)
	sleepers.Wait()
}

// Goal: a function that leaves its thread pinned does not leave it so.
func TestKeepMask(t *testing.T) {
	onThread(func() {
		before, _ := getMask(0)
		var during []int
		restored := keepMask(func() {
			if _, err := Pin(before[0]); err != nil {
				t.Error(err)
			}
			during, _ = getMask(0)
		})
		if after, _ := getMask(0); !restored || len(during) != 1 || !slices.Equal(after, before) {
			t.Errorf("%v: mask %v, then %v, then %v", restored, before, during, after)
		}
	})
}

// Goal: the CPU time of a thread grows with what it does and not with what it sleeps.
func TestThreadCPUTime(t *testing.T) {
	onThread(func() {
		before, ok := ThreadCPUTime()
		if !ok {
			t.Error("not told on Linux")
		}
		time.Sleep(20 * time.Millisecond)
		slept, _ := ThreadCPUTime()
		worked := slept
		// On a busy machine a thread may have no CPU for long.
		for end := time.Now().Add(time.Minute); worked-slept < time.Millisecond && time.Now().Before(end); {
			worked, _ = ThreadCPUTime()
		}
		if slept-before > 15*time.Millisecond || worked-slept < time.Millisecond {
			t.Errorf("%v while sleeping, %v while working", slept-before, worked-slept)
		}
	})
}
