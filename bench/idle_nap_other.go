//go:build !linux

package bench

import "time"

// nap sleeps for a time below a millisecond, or as short as the system can.
func nap(d time.Duration) { <-time.After(d) }
