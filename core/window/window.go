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
	Tumbling   Kind = 1 + iota // one behind the other
	Hopping                    // each begins a slide after the one before
	Cumulating                 // each ends a step after the one before; as many begin together as make the size
	Session                    // of one key: from its first record to a gap, the size, behind its last
)

// String is the name in SQL.
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
	// MaxTime bounds the times that windows are made for, on both sides of 1970: some 146 years. So no sum of a time, a size and a lateness overflows.
	MaxTime = math.MaxInt64 / 2

	// MaxSize bounds the size of a window, its offset and the lateness that is allowed: ten years.
	MaxSize = 10 * 366 * 24 * time.Hour

	// MaxPanes bounds the panes of one window.
	MaxPanes = 1 << 12

	// MinPane bounds the length of a pane from below: sizes and slides are multiples of it, or nearly. See Pane for why.
	MinPane = MaxPanes * time.Nanosecond
)

// Windows are the windows of a plan. Zero values of Slide and Offset are those of tumbling windows at 1970.
type Windows struct {
	Kind  Kind
	Size  time.Duration // of a session the gap: records of one key that are further apart are in different ones
	Slide time.Duration // from the begin of a hopping window to that of the next, from the end of a cumulating one to that of the next; else 0

	// Offset is when one of them begins, from 1970-01-01T00:00:00Z; where they follow each other by whole weeks, from the
	// Monday after it, 1970-01-05.
	Offset time.Duration

	// Months makes tumbling windows of so many calendar months, counted from January 1970, and Size is 0 then. Zone has windows of
	// months, or of whole days, begin at the midnights of a time zone; nil is UTC.
	Months int
	Zone   *time.Location
}

// Validate reports what is wrong with them.
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
		return fmt.Errorf("window: cumulating windows of %v by %v: the size is no multiple of the step", w.Size, w.Slide)
	case w.paneSize() < MinPane:
		return fmt.Errorf("window: a window of %v by %v would have panes of %v, at least %v are allowed", w.Size, w.Slide, w.paneSize(), MinPane)
	case w.Size/w.paneSize() > MaxPanes:
		return fmt.Errorf("window: a window of %v by %v would have %d panes, at most %d are allowed", w.Size, w.Slide, w.Size/w.paneSize(), MaxPanes)
	}
	return nil
}

// String is how SQL writes them.
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

// paneSize is the length of a pane: what divides both size and slide.
func (w Windows) paneSize() time.Duration {
	a, b := w.Size, w.step()
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// step is from one end of a window to the next.
func (w Windows) step() time.Duration {
	if w.Kind == Tumbling || w.Kind == Session {
		return w.Size
	}
	return w.Slide
}

// Clock is the arithmetic of some windows, with what it needs at hand.
type Clock struct {
	w                        Windows
	size, step, offset, pane int64
	begins                   []int64 // of calendar windows, else nil
}

// NewClock is the arithmetic of windows that are valid.
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

// Windows are those that the clock is for.
func (c *Clock) Windows() Windows { return c.w }

// PaneSize is the length of a pane; 0 of calendar windows, which differ.
func (c *Clock) PaneSize() int64 { return c.pane }

// NextPane is the begin of the piece of time behind the one that begins then.
func (c *Clock) NextPane(begin int64) int64 {
	if c.begins != nil {
		return c.begins[c.at(begin)+1]
	}
	return begin + c.pane
}

// floor is the greatest multiple of unit, counted from the offset, that is at most t.
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

// Begin is the begin of the window that ends then, of no session.
func (c *Clock) Begin(end int64) int64 {
	if c.w.Kind == Cumulating || c.begins != nil {
		return c.floor(end-1, c.size)
	}
	return end - c.size
}

// EndAtMost is the greatest end of a window that is at most t.
func (c *Clock) EndAtMost(t int64) int64 {
	if c.w.Kind == Hopping {
		return c.floor(t-c.size, c.step) + c.size
	}
	return c.floor(t, c.step)
}

// FirstEnd is the end of the first window that has a pane, given by its begin.
func (c *Clock) FirstEnd(begin int64) int64 {
	if c.w.Kind == Session || c.begins != nil {
		return c.LastEnd(begin)
	}
	return c.EndAtMost(begin) + c.step
}

// LastEnd is the end of the last window that has it. Of sessions it is when those are closed whose last record is in the pane: a
// record of the next pane may join them until that is shut.
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

// Shut is when all records of a pane are late: when windows that end up to there are closed. Of sessions that is when the session that
// the last record of the pane would be alone has ended, so it is sooner than LastEnd.
func (c *Clock) Shut(p Pane) int64 {
	if c.w.Kind == Session {
		return int64(p) + 2*c.size
	}
	return c.LastEnd(c.PaneBegin(p))
}

// SessionEnd is what LastEnd is of the pane with the last record of a session that ends then.
func (c *Clock) SessionEnd(end int64) int64 { return c.LastEnd(c.floor(end-c.size, c.size)) }

// NextEnd is the end of the window behind the one that ends then.
func (c *Clock) NextEnd(end int64) int64 {
	if c.begins != nil {
		return c.NextPane(end)
	}
	return end + c.step
}

// Before is the end of the window that ends so many before the one that ends then.
func (c *Clock) Before(end int64, windows int) int64 {
	if c.begins != nil {
		return c.begins[max(c.at(end)-windows, 0)]
	}
	return end - int64(windows)*c.step
}

// Panes is how many panes there are from one that begins at first to one that begins at last, both included.
func (c *Clock) Panes(first, last int64) int64 {
	if c.begins != nil {
		return int64(c.at(last)-c.at(first)) + 1
	}
	return (last-first)/c.pane + 1
}

// Floor is the begin of the piece of time that t is in: its pane, where no window has closed.
func (c *Clock) Floor(t int64) int64 { return c.floor(t, c.pane) }

// Floors is Floor of some times, of which first is that of the least.
func (c *Clock) Floors(panes []uint64, times []int64, first int64) {
	panes = panes[:len(times)]
	if c.begins != nil {
		c.floorsCalendar(panes, times)
		return
	}
	size, inverse := c.pane, 1/float64(c.pane)
	for i, t := range times {
		// The quotient by way of a float may be one off at the bounds of a pane.
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

// A Pane is a piece of time whose records are aggregated together: its begin, and in the digits below how many of the windows that have it were closed
// already when its records came. Records that are late for some windows and not for others so are kept apart from those that are late for
// none. Panes are ordered by time.
type Pane int64

// PaneOf is the pane of a record with time t when all windows that end up to closed are. Late says that no window takes it.
func (c *Clock) PaneOf(t, closed int64) (p Pane, late bool) {
	begin := c.floor(t, c.pane)
	if closed <= begin {
		return Pane(begin), false
	}
	if c.w.Kind == Session {
		return Pane(begin), closed >= t+c.size // as Flink has it: the session that it would be alone has ended
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

// PaneBegin is where a pane begins.
func (c *Clock) PaneBegin(p Pane) int64 { return c.floor(int64(p), c.pane) }

// Ends are the ends of the first and the last window that the pane is part of.
func (c *Clock) Ends(p Pane) (first, last int64) {
	begin := c.PaneBegin(p)
	passed := int64(p) - begin
	return c.FirstEnd(begin) + passed*c.step, c.LastEnd(begin)
}
