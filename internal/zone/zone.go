// Package zone has what both windows and expressions need for time zones.
package zone

import (
	"fmt"
	"time"
)

// Load returns the time zone with an IANA name, such as Europe/Berlin or UTC. The error says what
// was expected.
func Load(name string) (*time.Location, error) {
	const expected = "expected a name such as 'Europe/Berlin' or 'UTC'"
	// These names would mean the zone of the machine, so the result would differ between machines.
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("there is no time zone %q, %s", name, expected)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q, %s: %w", name, expected, err)
	}
	return zone, nil
}

// Midnight returns the first instant of a day in a zone, even if a clock is set forward or back at
// midnight.
func Midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if zone == time.UTC {
		return t
	}
	want := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	_, offset := t.Zone()
	begin, end := t.ZoneBounds()
	// shown is what the clock shows, as a time in UTC.
	switch shown := t.Add(time.Duration(offset) * time.Second); {
	case shown.Before(want): // midnight is never shown: the day begins when the clock is set
		return end
	case shown.After(want):
		return begin
	case begin.IsZero():
		return t
	}
	// If midnight is shown twice, the day begins at the first one.
	_, before := begin.Add(-1).Zone()
	if first := t.Add(time.Duration(offset-before) * time.Second); before > offset && first.Before(begin) {
		return first
	}
	return t
}
