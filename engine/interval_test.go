package engine

import (
	"testing"
	"time"
)

// Goal: an interval grows with what the next epoch will have to copy, up to a bound.
func TestForeseen(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		share float64
		grown uint64
		want  time.Duration
	}{
		{100 * time.Millisecond, 0.03, 0, 0},
		{100 * time.Millisecond, 0.5, 1 << 20, 1024 * growthCost * 2},
		{100 * time.Millisecond, 0.03, 1 << 30, time.Second},
		{time.Hour, 0.03, 1 << 20, 1024 * growthCost * 100 / 3},
		{100 * time.Millisecond, 1, 1 << 40, 0},
	} {
		got := newInterval(c.every, c.share).after(c.grown).Round(time.Microsecond)
		if got != c.want.Round(time.Microsecond) {
			t.Errorf("each %v, share %v, %d bytes more: %v, expected %v", c.every, c.share, c.grown, got, c.want)
		}
	}
}
