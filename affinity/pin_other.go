//go:build !linux

package affinity

import (
	"fmt"
	"runtime"
	"time"
)

// Usable returns the CPUs that this process may run on, which are all that the Go runtime sees.
func Usable() ([]int, error) {
	cpus := make([]int, runtime.NumCPU())
	for i := range cpus {
		cpus[i] = i
	}
	return cpus, nil
}

// A Pinned is a thread that runs on one CPU. This system has none.
type Pinned struct{}

// Pin returns ErrUnsupported.
func Pin(cpu int) (*Pinned, error) {
	return nil, fmt.Errorf("affinity: cannot pin to cpu %d: %w", cpu, ErrUnsupported)
}

// Restore does nothing.
func (*Pinned) Restore() error { return nil }

// keepMask runs f. If f pins, it must restore the mask itself.
func keepMask(f func()) (restored bool) {
	f()
	return true
}

// ThreadMasks returns ErrUnsupported.
func ThreadMasks() (map[int][]int, error) { return nil, fmt.Errorf("affinity: %w", ErrUnsupported) }

// ThreadCPUTime returns false: this system does not say.
func ThreadCPUTime() (time.Duration, bool) { return 0, false }
