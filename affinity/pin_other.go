//go:build !linux

package affinity

import (
	"fmt"
	"runtime"
	"time"
)

// Usable is the CPUs that this process may run on: all that the runtime sees.
func Usable() ([]int, error) {
	cpus := make([]int, runtime.NumCPU())
	for i := range cpus {
		cpus[i] = i
	}
	return cpus, nil
}

// A Pinned is a thread that runs on one CPU. There is none on this system.
type Pinned struct{}

// Pin says ErrUnsupported.
func Pin(cpu int) (*Pinned, error) {
	return nil, fmt.Errorf("affinity: cannot pin to cpu %d: %w", cpu, ErrUnsupported)
}

// Restore does nothing.
func (*Pinned) Restore() error { return nil }

// keepMask runs f, which puts the mask back itself where it pins.
func keepMask(f func()) (restored bool) {
	f()
	return true
}

// ThreadMasks says ErrUnsupported.
func ThreadMasks() (map[int][]int, error) { return nil, fmt.Errorf("affinity: %w", ErrUnsupported) }

// ThreadCPUTime says false: this system does not tell.
func ThreadCPUTime() (time.Duration, bool) { return 0, false }
