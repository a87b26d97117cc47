// Package zone has what windows and expressions both need of time zones.
package zone

import (
	"fmt"
	"time"
)

// Load is the time zone of an IANA name, such as Europe/Berlin, or UTC. The error says what was expected.
func Load(name string) (*time.Location, error) {
	const expected = "expected a name such as 'Europe/Berlin' or 'UTC'"
	if name == "" || name == "Local" { // would be the machine's, and the result another on another one
		return nil, fmt.Errorf("there is no time zone %q, %s", name, expected)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q, %s: %w", name, expected, err)
	}
	return zone, nil
}

// Midnight is the first instant of a day in a zone, also where a clock is set forward or back at midnight.
func Midnight(year int, month time.Month, day int, zone *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if zone == time.UTC {
		return t
	}
	want := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	_, offset := t.Zone()
	begin, end := t.ZoneBounds()
	switch shown := t.Add(time.Duration(offset) * time.Second); { // as a time of UTC
	case shown.Before(want): // midnight is never shown: the day begins where the clock is set
		return end
	case shown.After(want):
		return begin
	case begin.IsZero():
		return t
	}
	// Where midnight is shown twice, the day begins at the first.
	_, before := begin.Add(-1).Zone()
	if first := t.Add(time.Duration(offset-before) * time.Second); before > offset && first.Before(begin) {
		return first
	}
	return t
}
