package cputime

import (
	"runtime"
	"testing"
	"time"
)

// Goal: work takes CPU time, where it is known.
func TestProcess(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it is not known here")
	}
	before, sum := Process(), 0
	for began := time.Now(); Process() == before; sum++ {
		if time.Since(began) > time.Minute {
			t.Fatalf("%v after a minute of work, and before", before)
		}
	}
}
