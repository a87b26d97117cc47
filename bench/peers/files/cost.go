package main

import (
	"time"

	"github.com/velo-engine/velo/internal/cputime"
)

// cost is what a run took: by the clock, and of the processor, by all threads of the process. On a
// machine with other work the second one says more.
type cost struct {
	elapsed, processor time.Duration
}

// measure begins a run. What it returns ends it.
func measure() func() cost {
	begin, processor := time.Now(), cputime.Process()
	return func() cost { return cost{time.Since(begin), cputime.Process() - processor} }
}
