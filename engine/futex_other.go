//go:build !linux

package engine

import (
	"runtime"
	"sync/atomic"
	"time"
)

// haveFutex is false: runners sleep on channels.
const haveFutex = false

func futexWait(*atomic.Uint32, uint32, time.Duration) { panic("engine: no futex on this system") }
func futexWake(*atomic.Uint32)                        { panic("engine: no futex on this system") }
func osYield()                                        { runtime.Gosched() }
