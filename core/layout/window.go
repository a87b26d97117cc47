package layout

import (
	"time"

	"github.com/velo-engine/velo/core/window"
)

// Windowing is the Window of a plan, compiled.
type Windowing struct {
	Clock      window.Clock
	Name       string // the column of the time
	Column     int    // index in the source; -1 for processing time
	Chunk      int    // column of a chunk that has the pane of each row
	OutOfOrder int64
	AnyOrder   bool // the watermark of a reader that has not ended stays at watermarkNone
	Lateness   int64
	Idle       int64     // 0 means that readers never are idle
	Retain     int       // closed windows that are kept beside the last one
	Session    *Sessions // nil if the windows are not sessions
}

// PaneSize says how long a pane is.
func (w *Windowing) PaneSize() string {
	if size := w.Clock.PaneSize(); size > 0 {
		return time.Duration(size).String()
	}
	return "a window each"
}

// Closed is the end of the last window that is closed at a watermark.
func (w *Windowing) Closed(watermark int64) int64 {
	switch {
	case watermark >= window.MaxTime:
		return window.MaxTime
	case watermark < -window.MaxTime+2*int64(window.MaxSize):
		return -window.MaxTime
	}
	return w.Clock.EndAtMost(watermark - w.Lateness)
}

// Advance is the watermark of a reader after a record of this time.
//
//gcassert:inline
func (w *Windowing) Advance(watermark, at int64) int64 {
	if w.AnyOrder {
		return watermark
	}
	return max(watermark, at-w.OutOfOrder)
}

// Oldest is the end of the oldest window that is kept when the windows that end at closed or before
// are closed. At the end of input all windows are kept that still were.
func (w *Windowing) Oldest(closed int64) int64 {
	if closed >= window.MaxTime || closed <= -window.MaxTime {
		return -window.MaxTime
	}
	return w.Clock.Before(closed, w.Retain)
}

// Sessions have what is special if the windows of a plan are sessions; see package window,
// Sessions. Each group of a pane has the least and the greatest time of its records. When a pane is
// shut, its partition merges into it those groups of the pane before whose sessions go on in it. So
// a shut pane has everything that its sessions have had so far, however long ago they began, and
// the panes before can go. For panes that have not been shut, the goroutine that reads them puts
// the sessions together.
type Sessions struct {
	Gap         int64 // a session ends when no record comes for longer than this
	First, Last int   // words of a group's states: the least and the greatest time
}

// Bounds are the begin and the end of a session.
func (s *Sessions) Bounds(states []uint64) (begin, end int64) {
	return int64(states[s.First]), int64(states[s.Last]) + s.Gap
}

// GoesOn says whether a session goes on in the next pane. next are the states that its key has
// there; they are nil if the key is not there.
func (s *Sessions) GoesOn(states, next []uint64) bool {
	return next != nil && int64(next[s.First])-int64(states[s.Last]) <= s.Gap
}
