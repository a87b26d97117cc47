//go:build !linux

package kafka

import "time"

// threadTime is the CPU time of this process: only Linux says that of a thread.
func threadTime() time.Duration { return cpuTime() }
