// Package counters counts what the processor and the kernel do for the threads of this process:
// cycles, misses of caches, context switches, page faults.
//
// What the kernel does not give is said once, when a Set is opened, and left out. Virtual machines
// often give no events of the processor, and a kernel may give them to root only.
package counters

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Counts are the values of events, by their names.
type Counts map[string]float64

// Add adds other counts.
func (c Counts) Add(other Counts) {
	for name, v := range other {
		c[name] += v
	}
}

// Others are the threads that are not pinned to one CPU: the garbage collector's and the program's.
const Others = "other threads"

// A Threads has the counts of threads: those pinned to a CPU under "cpu N", and all of the others
// under Others. A runner of velo is the thread that is pinned to its CPU.
type Threads map[string]Counts

// Add adds other counts.
func (t Threads) Add(other Threads) {
	for name, c := range other {
		if t[name] == nil {
			t[name] = Counts{}
		}
		t[name].Add(c)
	}
}

// Missing are events that are not given, and why, for people. It is empty if there are none.
func (s *Set) Missing() string {
	if len(s.missing) == 0 {
		return ""
	}
	byReason := map[string][]string{}
	for name, why := range s.missing {
		byReason[why] = append(byReason[why], name)
	}
	var lines []string
	for _, why := range slices.Sorted(maps.Keys(byReason)) {
		lines = append(lines, fmt.Sprintf("%s (%s)", strings.Join(slices.Sorted(slices.Values(byReason[why])), ", "),
			why))
	}
	return strings.Join(lines, "; ")
}

// Given are the names of the events that are counted, in the order in which people read them.
func (s *Set) Given() (names []string) {
	for _, e := range s.events {
		names = append(names, e.name)
	}
	return names
}
