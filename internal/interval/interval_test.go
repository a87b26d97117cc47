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
		{"10", "day to hour", 0, 10 * time.Hour},
		{"100", "minute to second", 0, 100 * time.Second},
		{"2:03", "minute to second", 0, 123 * time.Second},
		{"-2:03", "minute to second", 0, -123 * time.Second},
		{"1 2:03", "minute to second", 0, 24*time.Hour + 123*time.Second},
		{"1:02:03", "minute to second", 0, 3723 * time.Second},
		{"1 2:03", "day to minute", 0, 26*time.Hour + 3*time.Minute},
		{"36 hours", "hour", 0, 36 * time.Hour},
		{"1.5", "second", 0, 1500 * time.Millisecond},
		{"1-2", "year to month", 14, 0},
		{"2", "quarter", 6, 0},
		{"3", "week", 0, 21 * 24 * time.Hour},
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
	// PostgreSQL has no more than the last unit of these.
	for text, unit := range map[string]string{
		"1.5": "hour", "1 2:03": "day to hour", "1 2:03:04": "hour to minute", "1.5 days": "day", "90 minutes": "day",
		"1-3": "year", "14 months": "year", "1 day": "month", "1 day 2:30": "hour", "P1DT2H3M": "day to hour",
	} {
		if months, d, err := Of(text, unit); err == nil {
			t.Errorf("%q %s is %d months and %v, expected an error", text, unit, months, d)
		}
	}
	if _, err := Fixed("1 month", ""); err == nil {
		t.Error("a month has no fixed length")
	}
}
