package interval

import (
	"testing"
	"time"
)

// Goal: intervals are PostgreSQL's, and what is none is refused.
func TestIntervals(t *testing.T) {
	for _, c := range []struct {
		text, unit string
		months     int
		d          time.Duration
	}{
		{"10 s", "", 0, 10 * time.Second},
		{"10", "", 0, 10 * time.Second},
		{"10", "minute", 0, 10 * time.Minute},
		{"1 hour 30 minutes", "", 0, 90 * time.Minute},
		{"01:30:00", "", 0, 90 * time.Minute},
		{"01:30", "", 0, 90 * time.Minute},
		{"00:00:01.5", "", 0, 1500 * time.Millisecond},
		{"-01:30:00", "", 0, -90 * time.Minute},
		{"1 day 01:00:00", "", 0, 25 * time.Hour},
		{"1.5 h", "", 0, 90 * time.Minute},
		{"90m", "", 0, 90 * time.Minute},
		{"2 weeks", "", 0, 14 * 24 * time.Hour},
		{"1 year 2 months", "", 14, 0},
		{"1 quarter 1 day", "", 3, 24 * time.Hour},
		{"0.5 years", "", 6, 0},
		{"-1 month", "", -1, 0},
	} {
		if months, d, err := Of(c.text, c.unit); err != nil || months != c.months || d != c.d {
			t.Errorf("%q %s: %d months and %v, %v; expected %d and %v", c.text, c.unit, months, d, err, c.months, c.d)
		}
	}
	for _, text := range []string{"", "x", "10 x", "1.5 months", "-1.5 months", "1:2:3:4", "1:x", "10000 years", "1e300 s", "nan s"} {
		if months, d, err := Of(text, ""); err == nil {
			t.Errorf("%q is %d months and %v, expected an error", text, months, d)
		}
	}
	if _, err := Fixed("1 month", ""); err == nil {
		t.Error("a month has no fixed length")
	}
}
