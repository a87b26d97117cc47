package core

import (
	"errors"
	"fmt"
	"time"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/record"
)

// A Window says that a plan's groups are kept for spans of event time. The result has a row for
// each key in each window, with the columns WindowStart and WindowEnd in front of the keys.
//
// A window is open until the watermark has passed its end by Lateness. Then it is closed, in all
// partitions at the same epoch, and does not change any more. The watermark of a reader is the
// greatest event time that it has brought, less OutOfOrder. The watermark of the engine is the
// least watermark of all readers that are not idle, as of the epoch. A record is late if, by the
// watermark of its own reader, no window takes it any more: it is counted and dropped. So which
// records are late does not depend on how readers, partitions and exchanges come to run, except for
// a reader that was idle or has joined.
//
// When every reader has ended, all windows close. They do not close if the engine is shut down, or
// if a reader has failed or was removed: the records that have not come might have been in them.
type Window struct {
	window.Windows

	// Column is the event time: a timestamp of the source, or a computed one. A record whose time
	// is NULL, or beyond window.MaxTime, goes to quarantine, unless Where leaves it out.
	Column string

	// OutOfOrder is how much later than others a record may come; AnyOrder sets no bound.
	OutOfOrder time.Duration
	// Lateness is how long a window stays open after the watermark has passed its end.
	Lateness time.Duration

	// Idle is how long a reader may have nothing and still hold windows back; 0 is for ever. Only
	// time in which the reader was asked and had nothing counts. Time in which it was not asked
	// because the engine was busy does not, and neither does time in which it was paused. When the
	// reader comes back, some of its records may be late for windows that have closed without it.
	Idle time.Duration

	// ProcessingTime takes the time at which a batch comes to its router instead of a column. The
	// windows go by the clock of this process; this is for records that have no time. Two runs over
	// the same records then differ. Nothing is late, and windows close as time goes by, whether
	// records come or not. Column, OutOfOrder, Lateness and Idle have no meaning, and there are no
	// sessions.
	ProcessingTime bool

	// Retain is how many closed windows snapshots show, which are the last ones; 0 is
	// DefaultRetain. A window that Output has not written is kept in any case.
	Retain int
}

const (
	// AnyOrder is the OutOfOrder of records that come in any order: no record is ever late, and
	// windows close when the input has ended.
	AnyOrder time.Duration = -1

	// WindowStart is the column of the begin of a window. The window includes it.
	WindowStart = "window_start"

	// WindowEnd is the column of the end of a window. The window excludes it.
	WindowEnd = "window_end"

	// DefaultRetain is how many closed windows snapshots show by default.
	DefaultRetain = 1

	// MaxRetain bounds the closed windows that snapshots may show.
	MaxRetain = 1 << 12

	// MaxPanes bounds the pieces of time that a partition keeps groups of at once, open and closed.
	MaxPanes = 1 << 24

	// mostOpen is how many open panes there may be before readers that are ahead of others wait for
	// them; until then the panes are kept open for the others. Windows close in time only if there
	// are epochs, so a reader asks for one after newPanes.
	mostOpen = 1 << 12
	newPanes = 1 << 10

	// MaxPaneGroups bounds the groups of each pane: addresses are reserved for that many.
	MaxPaneGroups = 1 << 24
)

// validate reports what is wrong with the window.
func (w *Window) validate(source *record.Schema) error {
	var faults []error
	if err := w.Windows.Validate(); err != nil {
		faults = append(faults, err)
	}
	if w.ProcessingTime {
		if w.Column != "" || w.OutOfOrder != 0 || w.Lateness != 0 || w.Idle != 0 {
			faults = append(faults, errors.New(
				"window: by processing time, where Column, OutOfOrder, Lateness and Idle have no meaning"))
		}
		if w.Kind == window.Session {
			faults = append(faults, errors.New(
				"window: sessions need the time of each record: there are none by processing time"))
		}
	} else if i, ok := source.Index(w.Column); !ok {
		faults = append(faults, fmt.Errorf("window: there is no column %q in %v", w.Column, source))
	} else if f := source.Field(i); f.Type != record.Timestamp {
		faults = append(faults, fmt.Errorf(
			"window: the time is column %q, %v, expected a timestamp, or a computed column that makes one of it",
			w.Column, f.Type))
	}
	disorder := w.OutOfOrder
	if disorder == AnyOrder {
		disorder = 0
	}
	for what, d := range map[string]time.Duration{
		"records out of order by": disorder, "lateness of": w.Lateness,
		"readers that are idle after": w.Idle,
	} {
		if d < 0 || d > window.MaxSize {
			faults = append(faults, fmt.Errorf("window: %s %v, expected 0 to %v", what, d, window.MaxSize))
		}
	}
	if w.Retain < 0 || w.Retain > MaxRetain {
		faults = append(faults, fmt.Errorf("window: %d closed windows to retain, expected 1..%d, or 0 for %d", w.Retain,
			MaxRetain, DefaultRetain))
	}
	return errors.Join(faults...)
}

// windowing is the Window of a plan, compiled.
type windowing struct {
	clock      window.Clock
	column     int // index in the source; -1 for processing time
	chunk      int // column of a chunk that has the pane of each row
	outOfOrder int64
	anyOrder   bool // the watermark of a reader that has not ended stays at watermarkNone
	lateness   int64
	idle       Nanos     // 0 means that readers never are idle
	retain     int       // closed windows that are kept beside the last one
	session    *sessions // nil if the windows are not sessions
}

func compileWindow(w *Window, source *record.Schema) (*windowing, error) {
	if err := w.validate(source); err != nil {
		return nil, err
	}
	column := -1
	if !w.ProcessingTime {
		column, _ = source.Index(w.Column)
	}
	retain := w.Retain
	if retain == 0 {
		retain = DefaultRetain
	}
	c := window.NewClock(w.Windows)
	var s *sessions
	if w.Kind == window.Session {
		s = &sessions{gap: int64(w.Size)}
	}
	return &windowing{
		session: s,
		clock:   c, column: column, outOfOrder: int64(w.OutOfOrder), anyOrder: w.OutOfOrder == AnyOrder,
		lateness: int64(w.Lateness), idle: Nanos(w.Idle),
		retain: retain - 1,
	}, nil
}

// paneSize says how long a pane is.
func (w *windowing) paneSize() string {
	if size := w.clock.PaneSize(); size > 0 {
		return time.Duration(size).String()
	}
	return "a window each"
}

// closed is the end of the last window that is closed at a watermark.
func (w *windowing) closed(watermark int64) int64 {
	switch {
	case watermark >= window.MaxTime:
		return window.MaxTime
	case watermark < -window.MaxTime+2*int64(window.MaxSize):
		return -window.MaxTime
	}
	return w.clock.EndAtMost(watermark - w.lateness)
}

// advance is the watermark of a reader after a record of this time.
//
//gcassert:inline
func (w *windowing) advance(watermark, at int64) int64 {
	if w.anyOrder {
		return watermark
	}
	return max(watermark, at-w.outOfOrder)
}

// oldest is the end of the oldest window that is kept when the windows that end at closed or before
// are closed. At the end of input all windows are kept that still were.
func (w *windowing) oldest(closed int64) int64 {
	if closed >= window.MaxTime || closed <= -window.MaxTime {
		return -window.MaxTime
	}
	return w.clock.Before(closed, w.retain)
}

// times is what a router knows of event time.
type times struct {
	// watermark is the watermark of what has been routed.
	watermark int64
	// next is what the watermark will be after the stripe at hand.
	next int64

	// hold is what the batch at hand says about rounds, if its reader reads in rounds
	// (record.Hold).
	hold record.Hold
	// These are watermarks that do not count yet because of the rounds: ended is the one after the
	// round that has ended, round the one after the round at hand, and heldNext the one after the
	// stripe at hand.
	ended, round, heldNext int64
	// arrival is when the last batch came, as a time of the clock. It is what windows by processing
	// time go by.
	arrival int64

	// The source was asked at quietFrom, at quietTo and maybe in between, and had nothing each
	// time. A source keeps what it has until it is asked, so it had nothing during the whole time
	// from quietFrom to quietTo. Time in which the source is not asked, because a ring is full or
	// another agent takes long, does not count.
	quiet              bool
	quietFrom, quietTo Nanos

	// rows is the number of rows routed since the last mark; first and last are the first and the
	// last pane of those rows. The rows can have opened as many panes as there are rows, or as
	// there are panes from first to last, whichever is less.
	rows        int64
	first, last int64
	// stripeFirst and stripeLast are the first and the last pane of the stripe at hand.
	stripeFirst int64
	stripeLast  int64
	// marked is the watermark as of the last mark.
	marked int64
	// idle says that the source had had nothing for Window.Idle as of the last mark.
	idle bool
	// joining says that some partitions had answered the epoch of this mark without this reader. So
	// the mark says watermarkEnd, which holds nothing back, to the other partitions too: all close
	// the same windows.
	joining bool
}

func (t *times) init() {
	t.watermark, t.next, t.marked = watermarkNone, watermarkNone, watermarkNone
	t.ended, t.round, t.heldNext = watermarkNone, watermarkNone, watermarkNone
}

// settle notes that a batch has been routed: from now on the times of rounds count, as far as the
// batch's hold says so.
func (t *times) settle() {
	switch t.hold {
	case record.HoldRoundEnds:
		t.watermark = max(t.watermark, t.ended)
		t.ended, t.round = t.round, watermarkNone
	case record.HoldSettled:
		t.watermark = max(t.watermark, t.ended, t.round)
		t.ended, t.round = watermarkNone, watermarkNone
	}
	t.hold = record.HoldNone
}

// advance moves the watermark on for a record of this time, or the watermark of its round if it is
// in one.
func (t *times) advance(w *windowing, watermark, at int64) int64 {
	if t.hold != record.HoldNone {
		t.heldNext = w.advance(t.heldNext, at)
		return watermark
	}
	return w.advance(watermark, at)
}

// sourceEmpty notes that the source was asked and had nothing.
func (t *times) sourceEmpty(now Nanos) {
	if !t.quiet {
		t.quiet, t.quietFrom = true, now
	}
	t.quietTo = now
}

// routed notes that the stripe at hand has been routed.
func (t *times) routed(rows int) {
	t.watermark = t.next
	t.round, t.heldNext = max(t.round, t.heldNext), watermarkNone
	if t.rows == 0 {
		t.first, t.last = t.stripeFirst, t.stripeLast
	}
	t.rows += int64(rows)
	t.first, t.last = min(t.first, t.stripeFirst), max(t.last, t.stripeLast)
}

// opened says whether that many panes may be new since the last mark.
func (t *times) opened(w *windowing, panes int64) bool {
	return t.rows >= panes && w.clock.Panes(t.first, t.last) >= panes
}

// lookIdle sets idle if the source has had nothing for so long that the reader does not hold
// windows back.
func (t *times) lookIdle(w *windowing) {
	t.idle = w != nil && w.idle > 0 && t.quiet && t.quietTo-t.quietFrom >= w.idle
}

// arrive notes when a batch came.
func (t *times) arrive(origin int64, now Nanos) { t.quiet, t.arrival = false, origin+int64(now) }

// advanceClock moves the watermark on if time passes by itself: everything that came before has
// been routed.
func (t *times) advanceClock(w *windowing, origin int64, now Nanos) {
	if w != nil && w.column < 0 && t.watermark != watermarkEnd {
		t.watermark = max(t.watermark, origin+int64(now))
	}
}

// mark is what a mark says of the reader's time.
func (t *times) mark() int64 {
	switch {
	case t.joining:
		return watermarkEnd
	case t.idle:
		return watermarkIdle
	}
	return t.watermark
}

// assignPanes leaves the panes of the stripe in r.panes; if r.onePane says that they are all the
// same, only the first is there. A stripe that begins with late records loses them: they are
// counted and left out. Before any other late record the stripe is cut short. ok says that some
// records are left. room says that there was room for the records that were set aside.
func (r *Router) assignPanes() (ok, room bool) {
	w, t := r.layout.window, &r.times
	if w.column < 0 {
		t.next = max(t.watermark, t.arrival)
		r.panes[0], r.onePane = uint64(w.clock.Floor(t.next)), true
		return true, true
	}
	at := r.batch.Column(w.column).Int64s[r.from:r.to]
	least, most := bounds(at)
	if least < -window.MaxTime || most > window.MaxTime {
		return r.quarantineTimes(at)
	}
	t.heldNext = watermarkNone
	t.next = t.advance(w, t.watermark, most)
	closed := w.closed(t.next)
	first, last := w.clock.Floor(least), w.clock.Floor(most)
	t.stripeFirst, t.stripeLast = first, last
	if closed <= first {
		// No window that any record belongs to has closed, not even at the end of the stripe.
		r.onePane = first == last
		switch last {
		case first:
			r.panes[0] = uint64(first)
		case w.clock.NextPane(first):
			size := last - first
			for i, v := range at { // without a branch: it cannot be guessed which of the two it is
				r.panes[i] = uint64(first + size&^((v-last)>>63))
			}
		default:
			w.clock.Floors(r.panes[:len(at)], at, first)
		}
		return true, true
	}
	r.onePane = false
	// Each record is judged by the records before it, one by one.
	t.next = t.watermark
	late := 0
	for i, v := range at {
		pane, isLate := w.clock.PaneOf(v, w.closed(t.next))
		if isLate && i > late {
			r.to = r.from + i
			break
		}
		t.next = t.advance(w, t.next, v)
		if isLate {
			late++
			continue
		}
		r.panes[i-late] = uint64(pane)
	}
	if late > 0 && r.aside != nil && !r.aside.Late(r.sourceBatch, r.sourceRows(r.from, r.from+late)) {
		return false, false
	}
	r.counters.In += uint64(late)
	r.counters.Late += uint64(late)
	r.from += late
	return r.from < r.to, true
}

// sourceRows are some rows of the batch, as rows of the batch that the source gave.
func (r *Router) sourceRows(from, to int) []int32 {
	r.lateRows = r.lateRows[:0]
	if r.result != nil {
		r.lateRows = r.result.AppendRows(r.lateRows, from, to)
		return r.lateRows
	}
	for i := from; i < to; i++ {
		r.lateRows = append(r.lateRows, int32(i))
	}
	return r.lateRows
}

// bounds are the least and the greatest of some words. It takes four at a time because each minimum
// waits for the one before.
func bounds(at []int64) (least, most int64) {
	l0, m0 := at[0], at[0]
	l1, l2, l3, m1, m2, m3 := l0, l0, l0, m0, m0, m0
	for ; len(at) >= 4; at = at[4:] {
		v0, v1, v2, v3 := at[0], at[1], at[2], at[3]
		l0, l1, l2, l3 = min(l0, v0), min(l1, v1), min(l2, v2), min(l3, v3)
		m0, m1, m2, m3 = max(m0, v0), max(m1, v1), max(m2, v2), max(m3, v3)
	}
	for _, v := range at {
		l0, m0 = min(l0, v), max(m0, v)
	}
	return min(l0, l1, l2, l3), max(m0, m1, m2, m3)
}

// quarantineTimes is timely for a stripe with times that no window has. The stripe ends before the
// first of them; if that is its first record, the record goes to quarantine.
func (r *Router) quarantineTimes(at []int64) (ok, room bool) {
	for i, v := range at {
		if v >= -window.MaxTime && v <= window.MaxTime {
			continue
		}
		if i > 0 {
			r.to = r.from + i
			return r.assignPanes()
		}
		reason := fmt.Errorf("core: column %q: the time %v is too far from 1970", r.layout.plan.Window.Column,
			time.Unix(0, v).UTC())
		if !r.source.Quarantine(record.Reject{Offset: -1, Reason: reason}) {
			return false, false
		}
		r.counters.In++
		r.counters.Quarantined++
		r.from++
		break
	}
	r.to = r.from
	return false, true
}
