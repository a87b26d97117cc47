//go:build !linux

package counters

import (
	"errors"
	"runtime"
)

// An event is not known on this system.
type event struct{ name string }

// A Set is the events that this system gives.
type Set struct {
	events  []event
	missing map[string]string
}

// Open returns an error: this system has no perf_event_open.
func Open() (*Set, error) {
	return nil, errors.New("counters: " + runtime.GOOS + " has no perf_event_open")
}

// A Part counts from Begin to End.
type Part struct{}

// Begin returns an error.
func (*Set) Begin() (*Part, error) { return nil, errors.ErrUnsupported }

// End returns an error.
func (*Part) End() (Threads, error) { return nil, errors.ErrUnsupported }
