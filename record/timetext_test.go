package record

import (
	"strings"
	"testing"
	"time"
)

// Goal: every form of a time that has one meaning is read, and no other. Method: a table against
// time.Time.
func TestParseTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	at := func(y, mo, d, h, mi, s, ns int) time.Time {
		return time.Date(y, time.Month(mo), d, h, mi, s, ns, time.UTC)
	}
	for _, c := range []struct {
		text string
		want time.Time
	}{
		{"2026-01-31", at(2026, 1, 31, 0, 0, 0, 0)},
		{"2026-01-31T12:30:45Z", at(2026, 1, 31, 12, 30, 45, 0)},
		{" 2026-01-31t12:30:45z\t", at(2026, 1, 31, 12, 30, 45, 0)},
		{"2026-01-31 12:30:45.123456789999", at(2026, 1, 31, 12, 30, 45, 123456789)},
		{"2026-01-31 12:30:45,5", at(2026, 1, 31, 12, 30, 45, 500000000)},
		{"2026-01-31 12:30", at(2026, 1, 31, 12, 30, 0, 0)},
		{"2026-01-31T12:30Z", at(2026, 1, 31, 12, 30, 0, 0)},
		{"2026-1-5  9:30:05", at(2026, 1, 5, 9, 30, 5, 0)},
		{"2024-11-03 01:30:00-04", at(2024, 11, 3, 5, 30, 0, 0)},
		{"2024-11-03 01:30:00 +0530", at(2024, 11, 2, 20, 0, 0, 0)},
		{"2024-11-03 01:30:00+05:30", at(2024, 11, 2, 20, 0, 0, 0)},
		{"2024-11-03 01:30:00 UTC", at(2024, 11, 3, 1, 30, 0, 0)},
		{"2024/12/31", at(2024, 12, 31, 0, 0, 0, 0)},
		{"2016/01/01 00:30:04.91", at(2016, 1, 1, 0, 30, 4, 910000000)},
		{"31.12.2024", at(2024, 12, 31, 0, 0, 0, 0)},
		{"1.2.2024 7:05", at(2024, 2, 1, 7, 5, 0, 0)},
		{"31-OCT-2023", at(2023, 10, 31, 0, 0, 0, 0)},
		{"31-october-2023 23:59:59", at(2023, 10, 31, 23, 59, 59, 0)},
		{"9 May 2023", at(2023, 5, 9, 0, 0, 0, 0)},
		{"[10/Oct/2000:13:55:36 -0700]", at(2000, 10, 10, 20, 55, 36, 0)},
		{"10/Oct/2000:13:55:36 -0700", at(2000, 10, 10, 20, 55, 36, 0)},
		{"Tue, 10 Oct 2000 13:55:36 GMT", at(2000, 10, 10, 13, 55, 36, 0)},
		{"20260131T123045.5Z", at(2026, 1, 31, 12, 30, 45, 500000000)},
		{"20260131T1230+0100", at(2026, 1, 31, 11, 30, 0, 0)},
		{"20260131", at(2026, 1, 31, 0, 0, 0, 0)},
		{"20260131123045", at(2026, 1, 31, 12, 30, 45, 0)},
		{"1678-01-01", at(1678, 1, 1, 0, 0, 0, 0)},
		{"2261-12-31T23:59:59.999999999Z", at(2261, 12, 31, 23, 59, 59, 999999999)},
		{"2024-02-29", at(2024, 2, 29, 0, 0, 0, 0)},
	} {
		if got, err := ParseTime(c.text, nil); err != nil || got != c.want.UnixNano() {
			t.Errorf("%q: %v, %v; expected %v", c.text, time.Unix(0, got).UTC(), err, c.want)
		}
	}
	for text, want := range map[string]string{
		"":                     "is not a timestamp",
		"2026":                 "is not a timestamp",
		"2026-13-01":           "is not a timestamp",
		"2023-02-29":           "is not a timestamp",
		"2026-01-31T":          "is not a timestamp",
		"2026-01-31T12":        "is not a timestamp",
		"2026-01-31T12:3":      "is not a timestamp",
		"2026-01-31T12:30:4":   "is not a timestamp",
		"2026-01-31T12:30:":    "is not a timestamp",
		"2026-01-31T12:30:45.": "is not a timestamp",
		"2026-01-31T24:00:00":  "is not a timestamp",
		"2026-01-31T12:60":     "is not a timestamp",
		"2026-01-31T12:30+1":   "is not a timestamp",
		"2026-01-31T12:30+24":  "is not a timestamp",
		"2026-01-31 12:30 x":   "is not a timestamp",
		"2026-01/31":           "is not a timestamp",
		"[2026-01-31":          "is not a timestamp",
		"202601311230":         "is not a timestamp",
		"1700000000":           "is not a timestamp",
		"12/31/2024":           "month/day",
		"31/12/2024 10:00":     "month/day",
		"01-02-2024":           "month/day",
		"31-OCT-23":            "is not a timestamp",
		"31-OCX-2023":          "is not a timestamp",
		"1677-12-31":           "out of range",
		"2262-01-01":           "out of range",
		"9999-12-31":           "out of range",
	} {
		if got, err := ParseTime(text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; expected an error with %q", text, time.Unix(0, got).UTC(), err, want)
		}
	}
	// A zone is for times without one.
	for text, want := range map[string]time.Time{
		"2026-07-01 12:00":       at(2026, 7, 1, 10, 0, 0, 0),
		"2026-01-01 12:00":       at(2026, 1, 1, 11, 0, 0, 0),
		"2026-07-01":             at(2026, 6, 30, 22, 0, 0, 0),
		"2026-07-01 12:00Z":      at(2026, 7, 1, 12, 0, 0, 0),
		"2026-07-01 12:00+05:00": at(2026, 7, 1, 7, 0, 0, 0),
	} {
		if got, err := ParseTime(text, berlin); err != nil || got != want.UnixNano() {
			t.Errorf("%q in Berlin: %v, %v; expected %v", text, time.Unix(0, got).UTC(), err, want)
		}
	}
}

// Goal: all days are right. Method: each day of the range against time.Date.
func TestParseTimeDays(t *testing.T) {
	for d := time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() < 2262; d = d.AddDate(0, 0, 1) {
		if got, err := ParseTime(d.Format(time.DateOnly), nil); err != nil || got != d.UnixNano() {
			t.Fatalf("%v: %d, %v", d, got, err)
		}
	}
}

// Goal: numbers are times to the nanosecond, in each unit. Method: a table.
func TestParseEpoch(t *testing.T) {
	for _, c := range []struct {
		text string
		unit time.Duration
		want int64
		err  string
	}{
		{"1550530705935", time.Millisecond, 1550530705935e6, ""},
		{" 1735639200 ", time.Second, 1735639200e9, ""},
		{"1735639200.123456789123", time.Second, 1735639200123456789, ""},
		{"1735639200.5", time.Millisecond, 1735639200500000, ""},
		{"1735639200000001.5", time.Microsecond, 1735639200000001500, ""},
		{"1735639200000000001", time.Nanosecond, 1735639200000000001, ""},
		{"-1.5", time.Second, -1500000000, ""},
		{"+.5", time.Second, 500000000, ""},
		{"1.7356392e9", time.Second, 1735639200e9, ""},
		{"17356392000e-1", time.Second, 1735639200e9, ""},
		{"0", time.Second, 0, ""},
		{"1735639200000", time.Second, 0, "out of range"},
		{"9300000000", time.Second, 0, "out of range"},
		{"99999999999999999999999", time.Nanosecond, 0, "out of range"},
		{"1e300", time.Second, 0, "out of range"},
		{"", time.Second, 0, "not a number of seconds"},
		{".", time.Second, 0, "not a number of seconds"},
		{"12x", time.Millisecond, 0, "not a number of milliseconds"},
		{"1e", time.Microsecond, 0, "not a number of microseconds"},
		{"2024-01-01", time.Nanosecond, 0, "not a number of nanoseconds"},
	} {
		got, err := ParseEpoch(c.text, c.unit)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || got != c.want {
			t.Errorf("%q in %v: %d, %v; expected %d %s", c.text, c.unit, got, err, c.want, c.err)
		}
	}
}

// Goal: a declared form is read as declared, in both notations, and nothing else is. Method: a
// table against RFC 3339.
func TestTimeFormat(t *testing.T) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		format, text, want string
		zone               *time.Location
	}{
		{"%d/%m/%Y %H:%M", "31/12/2024 23:59", "2024-12-31T23:59:00Z", nil},
		{"%m/%d/%Y", "12/31/2024", "2024-12-31T00:00:00Z", nil},
		{"%m/%d/%y %I:%M:%S %p", "7/4/99 12:05:09 am", "1999-07-04T00:05:09Z", nil},
		{"%m/%d/%y %I:%M %p", "7/4/24 12:05 PM", "2024-07-04T12:05:00Z", nil},
		{"%d-%b-%Y %T.%f", "31-oct-2023 10:11:12.25", "2023-10-31T10:11:12.25Z", nil},
		{"%A, %d %B %Y", "Tuesday, 31 October 2023", "2023-10-31T00:00:00Z", nil},
		{"%Y-%j", "2024-366", "2024-12-31T00:00:00Z", nil},
		{"%F %R %z", "2024-01-01 10:00 +0200", "2024-01-01T08:00:00Z", newYork},
		{"%F %R", "2024-07-01 10:00", "2024-07-01T14:00:00Z", newYork},
		{"%s", "1735639200.5", "2024-12-31T10:00:00.5Z", nil},
		{"%Y%m%d%H%M%S%L", "20240102030405678", "2024-01-02T03:04:05.678Z", nil},
		{"100%% %Y %m %d", "100% 2024 1 2", "2024-01-02T00:00:00Z", nil},
		{"DD/MM/YYYY HH24:MI:SS", "31/12/2024 23:59:58", "2024-12-31T23:59:58Z", nil},
		{"Mon DD, YYYY HH12:MI AM", "Jul 04, 2024 01:02 PM", "2024-07-04T13:02:00Z", nil},
		{`yyyy-mm-dd"T"hh24:mi:ss.us`, "2024-01-02T03:04:05.000006", "2024-01-02T03:04:05.000006Z", nil},
		{"YYYY-MM", "2024-05", "2024-05-01T00:00:00Z", nil},
		{"%Y", "2024", "2024-01-01T00:00:00Z", nil},
		{`"Month:" FMMonth, "DD" DD, "FM" YYYY`, "Month: May, DD 16, FM 1976", "1976-05-16T00:00:00Z", nil},
		{`FMDD/FMMM/YYYY "BC"`, "3/1/2024 BC", "2024-01-03T00:00:00Z", nil},
	} {
		f, err := CompileTimeFormat(c.format, c.zone)
		if err != nil {
			t.Errorf("%q: %v", c.format, err)
			continue
		}
		got, err := f.Parse(c.text)
		if s := time.Unix(0, got).UTC().Format(time.RFC3339Nano); err != nil || s != c.want {
			t.Errorf("%q of %q: %s, %v; expected %s", c.text, c.format, s, err, c.want)
		}
	}
	f, err := CompileTimeFormat("%d/%m/%Y %I %p", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"", "12/31/2024 1 am", "31/12/2024", "31/12/2024 13 pm", "31/12/2024 0 am",
		"31/12/2024 1 am x", "31/12/24 1 am",
	} {
		if _, err := f.Parse(text); err == nil || !strings.Contains(err.Error(), "of the form") {
			t.Errorf("%q: %v, expected an error that says the form", text, err)
		}
	}
	for format, want := range map[string]string{
		"%d.%m": "no year", "%Y-%d": "a day and no month", "%Y-%m-%d %I": "AM or PM", "%Q": "no directive",
		"%Y%": "ends with a percent sign", "": "no year", "hello": "no year",
		"YYYY BC MM DD": "BC is not supported", "yyyy b.c. mm dd": "B.C. is not supported",
		"YYYY-MM-DD HH:MI": "write HH24", "DD.MM": "expected YYYY or YY", "YYYY-DD": "expected MM or MON too",
	} {
		if _, err := CompileTimeFormat(format, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("format %q: %v, expected an error with %q", format, err, want)
		}
	}
}
