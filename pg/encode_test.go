package pg

import (
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/velo-engine/velo/record"
)

// Goal: values are written as PostgreSQL writes them.
func TestTexts(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	st := &style{zone: time.UTC, utc: true}
	for f, want := range map[float64]string{
		0: "0", 1: "1", -1.5: "-1.5", 100000: "100000", 1e14: "100000000000000", 1e15: "1e+15", 1e20: "1e+20",
		1e-4: "0.0001",
		1e-5: "1e-05", 123456789012345680: "1.2345678901234568e+17", math.Inf(1): "Infinity", math.Inf(-1): "-Infinity",
		math.Nextafter(0.3, 1): "0.30000000000000004",
	} {
		if got := string(st.appendFloat(nil, f)); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
	if got := string((&style{digits: 15}).appendFloat(nil, math.Nextafter(0.3, 1))); got != "0.3" {
		t.Errorf("extra_float_digits = 0: %s", got)
	}
	for _, test := range []struct {
		at   time.Time
		zone *time.Location
		want string
	}{
		{time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC), time.UTC, "2026-03-02 09:30:00+00"},
		{time.Date(2026, 3, 2, 9, 30, 0, 250_000_999, time.UTC), time.UTC, "2026-03-02 09:30:00.25+00"},
		{time.Date(2026, 7, 2, 9, 30, 0, 1000, time.UTC), berlin, "2026-07-02 11:30:00.000001+02"},
		{
			time.Date(2026, 7, 2, 9, 30, 0, 0, time.UTC), time.FixedZone("", -(3*3600 + 30*60)),
			"2026-07-02 06:00:00-03:30",
		},
		{time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.UTC, "1969-12-31 23:59:59.999999+00"},
		{time.Date(1890, 1, 1, 0, 0, 0, 0, time.UTC), berlin, "1890-01-01 00:53:28+00:53:28"},
		{time.Date(1680, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC, "1680-01-01 00:00:00+00"},
	} {
		got := string((&style{zone: test.zone}).appendTime(nil, micros(test.at.UnixNano())))
		if got != test.want {
			t.Errorf("%v: %s, want %s", test.at, got, test.want)
		}
	}
}

// Goal: numerics in binary format are read by a driver as what they are.
func TestNumeric(t *testing.T) {
	types := pgtype.NewMap()
	get := func() *pgtype.Map { return types }
	for scale := range uint8(19) {
		for _, n := range []int64{
			0, 1, -1, 9, 10, 9999, 10000, 10001, 123456789, -100000000, 999999999999999999, 1e17,
			12340000,
		} {
			d := record.Decimal{Unscaled: n, Scale: scale}
			var got pgtype.Numeric
			err := types.Scan(oidNumeric, formatBinary, appendNumeric(nil, d), &got)
			if err != nil {
				t.Fatalf("%v: %v", d, err)
			}
			text, err := types.Encode(oidNumeric, formatText, got, nil)
			if err != nil {
				t.Fatal(err)
			}
			var want pgtype.Numeric
			err = want.Scan(d.String())
			if err != nil {
				t.Fatal(err)
			}
			a, _ := got.Float64Value()
			b, _ := want.Float64Value()
			if a != b {
				t.Errorf("%v with scale %d: %s", d, scale, text)
			}
			back, err := binaryParameter(get, oidNumeric, appendNumeric(nil, d))
			if err != nil {
				t.Fatalf("%v: %v", d, err)
			}
			if r, ok := back.(record.Decimal); !ok || r.Float64() != d.Float64() {
				t.Errorf("%v comes back as %v", d, back)
			}
		}
	}
}

// Goal: parameters are read in both formats, and what is none of their type is refused.
func TestParameterTexts(t *testing.T) {
	types, st := pgtype.NewMap, &style{zone: time.UTC, utc: true}
	for _, test := range []struct {
		oid    uint32
		format int16
		raw    string
		want   any
	}{
		{oidBool, 0, "yes", true},
		{oidBool, 1, "\x00", false},
		{oidInt2, 0, " -7 ", int64(-7)},
		{oidInt2, 1, "\xff\xfe", int64(-2)},
		{oidInt4, 1, "\xff\xff\xff\xff", int64(-1)},
		{oidInt8, 0, "9223372036854775807", int64(math.MaxInt64)},
		{oidFloat8, 0, "-Infinity", math.Inf(-1)},
		{oidFloat4, 1, "\x3f\x80\x00\x00", 1.0},
		{oidText, 1, "ä", "ä"},
		{oidNumeric, 0, "-12.340", record.Decimal{Unscaled: -12340, Scale: 3}},
		{oidNumeric, 0, "1e3", 1000.0},
		{oidDate, 1, "\x00\x00\x00\x01", time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)},
		{oidTimestamptz, 0, "2026-03-02 09:30:00+02", time.Date(2026, 3, 2, 7, 30, 0, 0, time.UTC)},
	} {
		got, err := parameter(types, st, 1, test.oid, test.format, []byte(test.raw))
		if err != nil || got != test.want {
			t.Errorf("%d, %d, %q: %v, want %v; %v", test.oid, test.format, test.raw, got, test.want, err)
		}
	}
	for _, test := range []struct {
		oid    uint32
		format int16
		raw    string
	}{
		{oidBool, 0, "maybe"},
		{oidBool, 1, ""},
		{oidBool, 1, "ab"},
		{oidInt2, 0, "32768"},
		{oidInt2, 1, "\x00"},
		{oidInt4, 0, "x"},
		{oidFloat8, 1, "\x00"},
		{oidText, 0, "\xff"},
		{oidText, 0, "a\x00"},
		{oidNumeric, 0, "1-2"},
		{oidNumeric, 1, "\x00\x01"},
		{oidTimestamptz, 0, "never"},
		{oidTimestamptz, 1, "\x7f\xff\xff\xff\xff\xff\xff\xff"},
		{4711, 0, "x"},
		{oidText, 2, "x"},
	} {
		got, err := parameter(types, st, 1, test.oid, test.format, []byte(test.raw))
		if err == nil {
			t.Errorf("%d, %d, %q: %v, want an error", test.oid, test.format, test.raw, got)
		}
	}
}

// Goal: zones have names, or offsets as POSIX writes them.
func TestZones(t *testing.T) {
	at := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for name, want := range map[string]int{
		"UTC": 0, "gmt": 0, "Europe/Berlin": 7200, "GMT-02:00": 7200, "UTC+3": -10800, "<+05>-5": 18000, "5.5": 19800,
		"-3": -10800,
	} {
		_, zone, ok := zoneOf(name)
		if !ok {
			t.Errorf("%s is not known", name)
			continue
		}
		if _, got := at.In(zone).Zone(); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	for _, name := range []string{"", "local", "Nowhere/At", "GMT-99", "GMT+x", "../../etc/passwd"} {
		if _, zone, ok := zoneOf(name); ok {
			t.Errorf("%q is %v", name, zone)
		}
	}
}
