//go:build !linux

package engine_test

import (
	"testing"
	"time"
)

func processCPU(t *testing.T) time.Duration {
	t.Helper()
	t.Skip("the CPU time of the process is not read on this system")
	return 0
}

func threadCount() int { return 0 }
