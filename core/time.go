package core

import (
	"fmt"
	"time"

	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/record"
)

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
func (t *times) advance(w *layout.Windowing, watermark, at int64) int64 {
	if t.hold != record.HoldNone {
		t.heldNext = w.Advance(t.heldNext, at)
		return watermark
	}
	return w.Advance(watermark, at)
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
func (t *times) opened(w *layout.Windowing, panes int64) bool {
	return t.rows >= panes && w.Clock.Panes(t.first, t.last) >= panes
}

// lookIdle sets idle if the source has had nothing for so long that the reader does not hold
// windows back.
func (t *times) lookIdle(w *layout.Windowing) {
	t.idle = w != nil && w.Idle > 0 && t.quiet && t.quietTo-t.quietFrom >= Nanos(w.Idle)
}

// arrive notes when a batch came.
func (t *times) arrive(origin int64, now Nanos) { t.quiet, t.arrival = false, origin+int64(now) }

// advanceClock moves the watermark on if time passes by itself: everything that came before has
// been routed.
func (t *times) advanceClock(w *layout.Windowing, origin int64, now Nanos) {
	if w != nil && w.Column < 0 && t.watermark != watermarkEnd {
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
	w, t := r.layout.Window, &r.times
	if w.Column < 0 {
		t.next = max(t.watermark, t.arrival)
		r.panes[0], r.onePane = uint64(w.Clock.Floor(t.next)), true
		return true, true
	}
	at := r.batch.Column(w.Column).Int64s[r.from:r.to]
	least, most := bounds(at)
	if least < -window.MaxTime || most > window.MaxTime {
		return r.quarantineTimes(at)
	}
	t.heldNext = watermarkNone
	t.next = t.advance(w, t.watermark, most)
	closed := w.Closed(t.next)
	first, last := w.Clock.Floor(least), w.Clock.Floor(most)
	t.stripeFirst, t.stripeLast = first, last
	if closed <= first {
		// No window that any record belongs to has closed, not even at the end of the stripe.
		r.onePane = first == last
		switch last {
		case first:
			r.panes[0] = uint64(first)
		case w.Clock.NextPane(first):
			size := last - first
			for i, v := range at { // without a branch: it cannot be guessed which of the two it is
				r.panes[i] = uint64(first + size&^((v-last)>>63))
			}
		default:
			w.Clock.Floors(r.panes[:len(at)], at, first)
		}
		return true, true
	}
	r.onePane = false
	// Each record is judged by the records before it, one by one.
	t.next = t.watermark
	late := 0
	for i, v := range at {
		pane, isLate := w.Clock.PaneOf(v, w.Closed(t.next))
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
		reason := fmt.Errorf("core: column %q: the time %v is too far from 1970", r.layout.Window.Name,
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
