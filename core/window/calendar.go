package window

import (
	"fmt"
	"slices"
	"time"

	"github.com/velo-engine/velo/internal/zone"
)

// Calendar windows
//
// Days in a time zone differ in length, and months differ anywhere. Their windows can only be
// tumbling: whole days of a zone (Size and Zone), or whole months (Months, in Zone or UTC). Their
// begins are computed once, as a sorted slice for all times that windows are made for, and a clock
// looks them up there. Windows of constant length do not use the slice.

const (
	// MaxMonths bounds the months of a window, as MaxSize bounds its size.
	MaxMonths = 120

	day  = 24 * time.Hour
	week = 7 * day

	// calendarYears is the number of years on both sides of 1970 for which there are windows. It
	// covers MaxTime and MaxSize, and some more.
	calendarYears = 160
)

// monday is the begin of a week, counted from 1970-01-01, which was a Thursday.
const monday = 4 * day

// isCalendar says whether the windows may differ in length.
func (w Windows) isCalendar() bool { return w.Months != 0 || w.Zone != nil }

// validateCalendar is Validate for calendar windows.
func (w Windows) validateCalendar() error {
	switch {
	case w.Kind != Tumbling:
		return fmt.Errorf("window: %v by months or in a time zone, expected tumble: only such windows may differ "+
			"in length", w.Kind)
	case w.Slide != 0 || w.Offset != 0:
		return fmt.Errorf("window: windows by months or in a time zone have no slide and no offset")
	case w.Months < 0 || w.Months > MaxMonths:
		return fmt.Errorf("window: windows of %d months, expected 1 to %d", w.Months, MaxMonths)
	case w.Months > 0 && w.Size != 0:
		return fmt.Errorf("window: windows of %d months and %v, expected months alone", w.Months, w.Size)
	case w.Months == 0 && (w.Size <= 0 || w.Size > MaxSize || w.Size%day != 0):
		return fmt.Errorf("window: windows of %v in a time zone, expected whole days or months, at most %v", w.Size,
			MaxSize)
	}
	return nil
}

// zoneName returns the name of the zone.
func (w Windows) zoneName() string {
	if w.Zone == nil {
		return "UTC"
	}
	return w.Zone.String()
}

// begins returns the times at which the windows begin, in order.
func (w Windows) begins() []int64 {
	in := w.Zone
	if in == nil {
		in = time.UTC
	}
	var begins []int64
	first := 1970 - calendarYears
	if w.Months > 0 {
		// Month 0 is January 1970.
		for m := -(12 * calendarYears / w.Months) * w.Months; m <= 12*calendarYears; m += w.Months {
			begins = append(begins, zone.Midnight(1970, time.Month(1+m), 1, in).UnixNano())
		}
	} else {
		days, from := int(w.Size/day), 1
		if w.Size%week == 0 {
			from += int(monday / day)
		}
		span := int(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC).Sub(time.Date(first, 1, 1, 0, 0, 0, 0, time.UTC)) / day)
		for d := -(span / days) * days; d <= span; d += days {
			begins = append(begins, zone.Midnight(1970, 1, from+d, in).UnixNano())
		}
	}
	return slices.Compact(begins) // a zone may skip a day
}

// at returns the index of the window that has time t.
func (c *Clock) at(t int64) int {
	i, found := slices.BinarySearch(c.begins, t)
	if !found {
		i--
	}
	return min(max(i, 0), len(c.begins)-2) // no time is outside the windows
}

// floorsCalendar is Floors for calendar windows. Neighbouring times are mostly in the same window.
func (c *Clock) floorsCalendar(panes []uint64, times []int64) {
	begin, end := int64(1), int64(0) // an empty window
	for i, t := range times {
		if t < begin || t >= end {
			at := c.at(t)
			begin, end = c.begins[at], c.begins[at+1]
		}
		panes[i] = uint64(begin)
	}
}
