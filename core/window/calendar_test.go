package window

import (
	"math/rand/v2"
	"testing"
	"time"
)

// calendarOf is the window of a calendar that has a time, by going through days, or months, one after the other.
func calendarOf(w Windows, t int64) (begin, end int64) {
	in := w.Zone
	if in == nil {
		in = time.UTC
	}
	at := time.Unix(0, t).In(in)
	first := func(n int) int64 { // of the window number n: the first instant that a clock shows as that day or a later one
		day := time.Date(1970, 1, 1+n*int(w.Size/(24*time.Hour)), 12, 0, 0, 0, time.UTC)
		if w.Size%(7*24*time.Hour) == 0 {
			day = day.AddDate(0, 0, 4)
		}
		if w.Months > 0 {
			day = time.Date(1970, time.Month(1+n*w.Months), 1, 12, 0, 0, 0, time.UTC)
		}
		date := day.Year()*10000 + int(day.Month())*100 + day.Day()
		low := day.Add(-48 * time.Hour).Unix()
		for high := day.Add(48 * time.Hour).Unix(); low < high; {
			middle := low + (high-low)/2
			if u := time.Unix(middle, 0).In(in); u.Year()*10000+int(u.Month())*100+u.Day() < date {
				low = middle + 1
			} else {
				high = middle
			}
		}
		return low * 1e9
	}
	n := int(at.Sub(time.Unix(0, 0)) / (24 * time.Hour))
	if w.Months > 0 {
		n = (at.Year()-1970)*12/w.Months + 1
	} else {
		n /= int(w.Size / (24 * time.Hour))
	}
	for n += 13; first(n) > t; {
		n--
	}
	return first(n), first(n + 1)
}

// Goal: days of a time zone and months begin and end where the clocks of the zone say so, also where they are set, and each method of the clock agrees. Method: random
// times around the changes of several zones, against a search for the first instant of each day.
func TestCalendar(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	zones := []string{"", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu", "America/St_Johns", "Africa/Cairo"}
	for _, name := range zones {
		var in *time.Location
		if name != "" {
			var err error
			if in, err = time.LoadLocation(name); err != nil {
				t.Skip(err)
			}
		}
		for _, w := range []Windows{{Size: 24 * time.Hour}, {Size: 7 * 24 * time.Hour}, {Size: 3 * 24 * time.Hour}, {Months: 1}, {Months: 3}, {Months: 12}} {
			if w.Kind, w.Zone = Tumbling, in; w.Months == 0 && in == nil {
				continue
			}
			if err := w.Validate(); err != nil {
				t.Fatal(err)
			}
			c := NewClock(w)
			for range 60 {
				at := time.Date(1990+rng.IntN(40), time.Month(1+rng.IntN(12)), 1+rng.IntN(31), rng.IntN(24), rng.IntN(60), rng.IntN(60), 0, time.UTC).UnixNano()
				checkCalendar(t, c, at)
			}
		}
	}
}

func checkCalendar(t *testing.T, c Clock, at int64) {
	t.Helper()
	begin, end := calendarOf(c.Windows(), at)
	p, late := c.PaneOf(at, begin)
	first, last := c.Ends(p)
	switch {
	case late || c.PaneBegin(p) != begin || c.Floor(at) != begin || first != end || last != end:
		t.Fatalf("%v at %v: %v to %v, expected %v to %v", c.Windows(), utc(at), utc(c.PaneBegin(p)), utc(last), utc(begin), utc(end))
	case c.Begin(end) != begin || c.NextPane(begin) != end || c.NextEnd(begin) != end || c.Before(end, 1) != begin || c.EndAtMost(at) != begin || c.Shut(p) != end:
		t.Fatalf("%v at %v: begin %v, next %v and %v, before %v, at most %v", c.Windows(), utc(at), c.Begin(end), c.NextPane(begin), c.NextEnd(begin), c.Before(end, 1), c.EndAtMost(at))
	}
	if _, late := c.PaneOf(at, end); !late {
		t.Fatalf("%v at %v: not late when it is closed", c.Windows(), utc(at))
	}
	panes := make([]uint64, 3)
	c.Floors(panes, []int64{at, begin, end}, begin)
	if int64(panes[0]) != begin || int64(panes[1]) != begin || int64(panes[2]) != end {
		t.Fatalf("%v at %v: floors %d", c.Windows(), utc(at), panes)
	}
}

func utc(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }

// Goal: weeks begin on Mondays. Method: each kind of window that is made of weeks.
func TestWeeks(t *testing.T) {
	const week = 7 * 24 * time.Hour
	at := time.Date(2024, 2, 29, 1, 2, 3, 0, time.UTC).UnixNano() // a Thursday
	monday := time.Date(2024, 2, 26, 0, 0, 0, 0, time.UTC)
	for _, w := range []Windows{{Kind: Tumbling, Size: week}, {Kind: Hopping, Size: 2 * week, Slide: week}} {
		c := NewClock(w)
		if got := utc(c.Floor(at)); !got.Equal(monday) {
			t.Errorf("%v: %v, expected %v", w, got, monday)
		}
	}
	c := NewClock(Windows{Kind: Tumbling, Size: week, Offset: -24 * time.Hour})
	if got := utc(c.Floor(at)); got.Weekday() != time.Sunday {
		t.Errorf("with an offset of -1 day: %v, expected a Sunday", got)
	}
}
