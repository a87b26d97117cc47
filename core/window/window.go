package window

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// A Kind says how windows follow each other.
type Kind uint8

// The kinds.
const (
	Tumbling Kind = 1 + iota // one after the other
	Hopping                  // each begins a slide after the one before
	// Cumulating windows end one step after each other. As many of them begin together as there are
	// steps in the size.
	Cumulating
	// Session windows belong to one key: from its first record to a gap, the size, after its last.
	Session
)

// String returns the name of the kind in SQL.
func (k Kind) String() string {
	switch k {
	case Tumbling:
		return "tumble"
	case Hopping:
		return "hop"
	case Cumulating:
		return "cumulate"
	case Session:
		return "session"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

const (
	// MaxTime bounds the times that windows are made for, on both sides of 1970. It is some 146
	// years, so the sum of a time, a size and a lateness never overflows.
	MaxTime = math.MaxInt64 / 2

	// MaxSize bounds the size of a window, its offset and the allowed lateness. It is ten years.
	MaxSize = 10 * 366 * 24 * time.Hour

	// MaxPanes bounds the panes of one window.
	MaxPanes = 1 << 12

	// MinPane is the lower bound of the length of a pane. Sizes and slides are multiples of it, or
	// nearly so. See Pane for the reason.
	MinPane = MaxPanes * time.Nanosecond
)

// Windows describes the windows of a plan. Zero values of Slide and Offset describe tumbling
// windows that are aligned to 1970.
type Windows struct {
	Kind Kind

	// Size is the size of a window. For a session it is the gap: records of one key that are
	// further apart are in different sessions.
	Size time.Duration

	// Slide is the time from the begin of a hopping window to the begin of the next, or from the
	// end of a cumulating window to the end of the next. It is 0 for other kinds.
	Slide time.Duration

	// Offset is when one of the windows begins, counted from 1970-01-01T00:00:00Z. If the windows
	// follow each other by whole weeks it is counted from the Monday after that, 1970-01-05.
	Offset time.Duration

	// Months makes tumbling windows of that many calendar months, counted from January 1970. Size
	// is 0 then.
	Months int

	// Zone is the time zone in which windows of months or of whole days begin at midnight. Nil is
	// UTC.
	Zone *time.Location
}

// Validate reports what is wrong with the windows.
func (w Windows) Validate() error {
	switch {
	case w.Kind < Tumbling || w.Kind > Session:
		return fmt.Errorf("window: no kind %v", w.Kind)
	case w.isCalendar():
		return w.validateCalendar()
	case w.Size <= 0 || w.Size > MaxSize:
		return fmt.Errorf("window: windows of %v, expected more than 0 and at most %v", w.Size, MaxSize)
	case w.Offset <= -w.Size || w.Offset >= w.Size:
		return fmt.Errorf("window: an offset of %v, expected less than the size, %v", w.Offset, w.Size)
	case w.Kind == Tumbling && w.Slide != 0 && w.Slide != w.Size:
		return errors.New("window: tumbling windows have no slide")
	case w.Kind == Session && (w.Slide != 0 || w.Offset != 0):
		return errors.New("window: sessions have no slide and no offset")
	case w.Kind != Tumbling && w.Kind != Session && (w.Slide <= 0 || w.Slide > w.Size):
		return fmt.Errorf("window: %v by %v, expected more than 0 and at most the size, %v", w.Kind, w.Slide, w.Size)
	case w.Kind == Cumulating && w.Size%w.Slide != 0:
		return fmt.Errorf("window: cumulating windows of %v by %v: the size is no multiple of the step", w.Size,
			w.Slide)
	case w.paneSize() < MinPane:
		return fmt.Errorf("window: a window of %v by %v would have panes of %v, at least %v are allowed", w.Size,
			w.Slide, w.paneSize(), MinPane)
	case w.Size/w.paneSize() > MaxPanes:
		return fmt.Errorf("window: a window of %v by %v would have %d panes, at most %d are allowed", w.Size, w.Slide,
			w.Size/w.paneSize(), MaxPanes)
	}
	return nil
}

// String writes the windows as SQL does.
func (w Windows) String() string {
	switch {
	case w.Months > 0:
		return fmt.Sprintf("%v(%d months, %s)", w.Kind, w.Months, w.zoneName())
	case w.Zone != nil:
		return fmt.Sprintf("%v(%d days, %s)", w.Kind, w.Size/day, w.zoneName())
	}
	if w.Kind == Tumbling || w.Kind == Session {
		return fmt.Sprintf("%v(%v)", w.Kind, w.Size)
	}
	return fmt.Sprintf("%v(%v, %v)", w.Kind, w.Slide, w.Size)
}

// paneSize returns the length of a pane, the greatest common divisor of size and slide.
func (w Windows) paneSize() time.Duration {
	a, b := w.Size, w.step()
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// step returns the time from one end of a window to the next.
func (w Windows) step() time.Duration {
	if w.Kind == Tumbling || w.Kind == Session {
		return w.Size
	}
	return w.Slide
}

// A Clock does the arithmetic of some windows. It has what the arithmetic needs at hand.
type Clock struct {
	w                        Windows
	size, step, offset, pane int64
	begins                   []int64 // begins of calendar windows; nil for other windows
}

// NewClock makes the clock of windows that are valid.
func NewClock(w Windows) Clock {
	if w.isCalendar() {
		return Clock{w: w, begins: w.begins()}
	}
	offset := w.Offset
	if unit := w.step(); w.Kind != Session && unit%week == 0 && w.Size%week == 0 {
		offset += monday
	}
	return Clock{w: w, size: int64(w.Size), step: int64(w.step()), offset: int64(offset), pane: int64(w.paneSize())}
}

// Windows returns the windows that the clock is for.
func (c *Clock) Windows() Windows { return c.w }

// PaneSize returns the length of a pane. It is 0 for calendar windows, whose lengths differ.
func (c *Clock) PaneSize() int64 { return c.pane }

// NextPane returns the begin of the pane after the one that begins at begin.
func (c *Clock) NextPane(begin int64) int64 {
	if c.begins != nil {
		return c.begins[c.at(begin)+1]
	}
	return begin + c.pane
}

// floor returns the greatest multiple of unit, counted from the offset, that is at most t. For
// calendar windows it returns the begin of the window that has t.
func (c *Clock) floor(t, unit int64) int64 {
	if c.begins != nil {
		return c.begins[c.at(t)]
	}
	d := t - c.offset
	r := d % unit
	if r < 0 {
		r += unit
	}
	return t - r
}

// Begin returns the begin of the window that ends at end. It does not work for sessions.
func (c *Clock) Begin(end int64) int64 {
	if c.w.Kind == Cumulating || c.begins != nil {
		return c.floor(end-1, c.size)
	}
	return end - c.size
}

// EndAtMost returns the greatest end of a window that is at most t.
func (c *Clock) EndAtMost(t int64) int64 {
	if c.w.Kind == Hopping {
		return c.floor(t-c.size, c.step) + c.size
	}
	return c.floor(t, c.step)
}

// FirstEnd returns the end of the first window that contains the pane that begins at begin.
func (c *Clock) FirstEnd(begin int64) int64 {
	if c.w.Kind == Session || c.begins != nil {
		return c.LastEnd(begin)
	}
	return c.EndAtMost(begin) + c.step
}

// LastEnd returns the end of the last window that contains the pane that begins at begin. For
// sessions it returns the time at which the sessions are closed whose last record is in the pane: a
// record of the next pane may join them until that pane is shut.
func (c *Clock) LastEnd(begin int64) int64 {
	if c.begins != nil {
		return c.NextPane(begin)
	}
	switch c.w.Kind {
	case Hopping:
		return c.floor(begin, c.step) + c.size
	case Session:
		return begin + 3*c.size
	}
	return c.floor(begin, c.size) + c.size
}

// Shut returns the time from which on all records of a pane are late: all windows that end up to
// then are closed. For sessions it is the end of the session that the last record of the pane would
// form alone, so it is sooner than LastEnd.
func (c *Clock) Shut(p Pane) int64 {
	if c.w.Kind == Session {
		return int64(p) + 2*c.size
	}
	return c.LastEnd(c.PaneBegin(p))
}

// SessionEnd returns LastEnd of the pane that has the last record of a session that ends at end.
func (c *Clock) SessionEnd(end int64) int64 { return c.LastEnd(c.floor(end-c.size, c.size)) }

// NextEnd returns the end of the window after the one that ends at end.
func (c *Clock) NextEnd(end int64) int64 {
	if c.begins != nil {
		return c.NextPane(end)
	}
	return end + c.step
}

// Before returns the end of the window that lies the given number of windows before the one that
// ends at end.
func (c *Clock) Before(end int64, windows int) int64 {
	if c.begins != nil {
		return c.begins[max(c.at(end)-windows, 0)]
	}
	return end - int64(windows)*c.step
}

// Panes returns how many panes there are from the one that begins at first to the one that begins
// at last, both included.
func (c *Clock) Panes(first, last int64) int64 {
	if c.begins != nil {
		return int64(c.at(last)-c.at(first)) + 1
	}
	return (last-first)/c.pane + 1
}

// Floor returns the begin of the piece of time that t is in. That is its pane if no window has
// closed.
func (c *Clock) Floor(t int64) int64 { return c.floor(t, c.pane) }

// Floors is Floor for several times. first is Floor of the least of them.
func (c *Clock) Floors(panes []uint64, times []int64, first int64) {
	panes = panes[:len(times)]
	if c.begins != nil {
		c.floorsCalendar(panes, times)
		return
	}
	size, inverse := c.pane, 1/float64(c.pane)
	for i, t := range times {
		// The quotient is computed in floating point, so it may be off by one at the bounds of a
		// pane.
		d := t - first
		begin := int64(float64(d)*inverse) * size
		if begin > d {
			begin -= size
		}
		if d-begin >= size {
			begin += size
		}
		panes[i] = uint64(first + begin)
	}
}

// A Pane is a piece of time whose records are aggregated together. It is the begin of that time
// plus, in the digits below the pane length, how many of the windows that contain it were already
// closed when its records came. So records that are late for some windows and not for others are
// kept apart from records that are late for none. Panes are ordered by time.
type Pane int64

// PaneOf returns the pane of a record with time t when all windows that end up to closed are
// closed. late says that no window takes the record.
func (c *Clock) PaneOf(t, closed int64) (p Pane, late bool) {
	begin := c.floor(t, c.pane)
	if closed <= begin {
		return Pane(begin), false
	}
	if c.w.Kind == Session {
		// As in Flink, the record is late if the session that it would form alone has ended.
		return Pane(begin), closed >= t+c.size
	}
	first := c.FirstEnd(begin)
	if closed < first {
		return Pane(begin), false
	}
	if closed >= c.LastEnd(begin) {
		return 0, true
	}
	return Pane(begin + (closed-first)/c.step + 1), false
}

// PaneBegin returns the begin of a pane.
func (c *Clock) PaneBegin(p Pane) int64 { return c.floor(int64(p), c.pane) }

// Ends returns the ends of the first and the last window that still take the pane.
func (c *Clock) Ends(p Pane) (first, last int64) {
	begin := c.PaneBegin(p)
	passed := int64(p) - begin
	return c.FirstEnd(begin) + passed*c.step, c.LastEnd(begin)
}
