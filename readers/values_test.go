package readers

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/record"
)

// readColumn reads the lines of one column, with the values in quotes or not, and calls each with the number of the line and the value as
// Int64s has it, or the bits of a float; ok is false where the line was rejected.
func readColumn(t *testing.T, typ record.Type, quote byte, lines []string, each func(line int, value int64, ok bool)) {
	t.Helper()
	s := schemaOf(t, record.Field{Name: "s", Type: record.String}, record.Field{Name: "x", Type: typ})
	var data []byte
	offsets := map[int64]int{}
	for i, l := range lines {
		offsets[int64(len(data))] = i
		if quote != 0 {
			l = string(quote) + l + string(quote)
		}
		data = fmt.Appendf(data, "%d\t%s\n", i, l)
	}
	d, err := OpenDelimited(write(t, data), DelimitedConfig{Schema: s, Delimiter: '\t', Quote: quote})
	if err != nil {
		t.Fatal(err)
	}
	r := d.Readers(1)[0]
	defer r.Close()
	b := record.NewBatch(s, 0)
	seen := 0
	for err == nil {
		b.Reset()
		err = r.(record.Poller).Poll(b)
		for i := range b.Len() {
			n, _ := strconv.Atoi(string(b.Column(0).View(i)))
			if c := b.Column(1); c.Float64s != nil {
				each(n, int64(math.Float64bits(c.Float64s[i])), true)
			} else {
				each(n, c.Int64s[i], true)
			}
			seen++
		}
		for _, rj := range b.Rejects() {
			each(offsets[rj.Offset], 0, false)
			seen++
		}
	}
	if seen != len(lines) {
		t.Fatalf("%d rows and rejects, expected %d", seen, len(lines))
	}
}

// Goal: floats are right to the last bit. Method: the cases that others have collected, with the bits that they say; quoted and not.
func TestFloatCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testgen.Corpus(t, "floats"), "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files, %v", err)
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var bits []uint64
		var texts []string
		for scan := bufio.NewScanner(f); scan.Scan(); {
			columns := strings.Fields(scan.Text())
			if len(columns) != 4 {
				t.Fatalf("%s: %q, expected four columns", path, scan.Text())
			}
			b, err := strconv.ParseUint(columns[2], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			bits, texts = append(bits, b), append(texts, columns[3])
		}
		f.Close()
		if len(texts) == 0 {
			t.Fatalf("%s has no lines", path)
		}
		for _, quote := range []byte{0, '"'} {
			readColumn(t, record.Float64, quote, texts, func(line int, v int64, ok bool) {
				// What is too large for a float64 is rejected, not made an infinity.
				if tooLarge := bits[line]&^(1<<63) == math.Float64bits(math.Inf(1)) &&
					!strings.Contains(strings.ToLower(texts[line]), "inf"); tooLarge {
					if ok {
						t.Errorf("%s: %.60q was read as %x, expected a reject", filepath.Base(path), texts[line],
							uint64(v))
					}
				} else if !ok || uint64(v) != bits[line] {
					t.Errorf("%s: %.60q was read as %x %v, expected %x", filepath.Base(path), texts[line], uint64(v),
						ok, bits[line])
				}
			})
		}
	}
}

// Goal: whole numbers and decimals are exact or rejected, at both ends of what a column holds, however they are written. Method: every
// number near the ends, with signs, zeros in front and at the end and every scale, against big.Rat; quoted and not, in columns long enough
// for vectors.
func TestNumberExtremes(t *testing.T) { eachVariant(t, testNumberExtremes) }

func testNumberExtremes(t *testing.T) {
	types := []record.Type{
		record.Int64, record.DecimalOf(18, 0), record.DecimalOf(18, 18), record.DecimalOf(18, 7),
		record.DecimalOf(9, 6), record.DecimalOf(7, 2), record.DecimalOf(3, 1), record.DecimalOf(1, 1),
	}
	var wholes []string
	for _, edge := range []string{
		"0", "9", "99", "9999999", "99999999", "999999999", "9223372036854775807",
		"9223372036854775808", "18446744073709551615", "18446744073709551616", "999999999999999999",
		"99999999999999999999999999",
	} {
		n, _ := new(big.Int).SetString(edge, 10)
		for d := int64(-1); d <= 1; d++ {
			wholes = append(wholes, new(big.Int).Abs(new(big.Int).Add(n, big.NewInt(d))).String())
		}
	}
	var texts []string
	for _, w := range wholes {
		for _, sign := range []string{"", "-", "+"} {
			for _, front := range []string{"", "0", strings.Repeat("0", 40)} {
				texts = append(texts, sign+front+w)
				for _, behind := range []string{
					".", ".0", ".5", ".9", ".99", ".999999", ".9999999", ".50",
					".500000000000000000000", ".000001", ".999999999999999999",
				} {
					texts = append(texts, sign+front+w+behind)
				}
			}
		}
	}
	texts = append(texts, "", "-", "+", ".", "-.", "--1", "+-1", "1-", "1e3", "0x1", "1_0", " 1", "1 ", "1,5", "١",
		"1.2.3", ".5", "-.5")
	for _, typ := range types {
		for _, quote := range []byte{0, '"'} {
			readColumn(t, typ, quote, texts, func(line int, v int64, ok bool) {
				want, err := slowValue(record.Field{Type: typ}, texts[line])
				if ok != (err == nil) || ok && fmt.Sprint(v) != want {
					t.Errorf("%v: %q was read as %d %v, expected %s, %v", typ, texts[line], v, ok, want, err)
				}
			})
		}
	}
}

// Goal: timestamps are exact to the nanosecond, in every form that is taken, and others are rejected. Method: every day near the ends of
// months, years, centuries and of the range, against package time.
func TestTimestamps(t *testing.T) {
	var texts []string
	want := map[int]int64{}
	good := func(text string, at time.Time) {
		want[len(texts)] = at.UnixNano()
		texts = append(texts, text)
	}
	for _, year := range []int{1678, 1700, 1900, 1969, 1970, 1999, 2000, 2024, 2026, 2100, 2261} {
		for month := time.January; month <= time.December; month++ {
			for _, day := range []int{1, 28, 29, 30, 31} {
				at := time.Date(year, month, day, 23, 59, 59, 999_999_999, time.UTC)
				if at.Month() != month {
					texts = append(texts, fmt.Sprintf("%d-%02d-%02d", year, month, day))
					continue
				}
				good(at.Format("2006-01-02"), time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
				good(at.Format(time.RFC3339Nano), at)
				good(at.Format("2006-01-02 15:04:05.999999999"), at)
				good(at.Format("2006-01-02t15:04:05z"), at.Truncate(time.Second))
				for _, zone := range []int{-23*3600 - 59*60, -5 * 3600, 5*3600 + 45*60, 14 * 3600} {
					if year > 1678 && year < 2261 {
						good(at.In(time.FixedZone("", zone)).Format(time.RFC3339Nano), at)
					}
				}
			}
		}
	}
	at := time.Date(2026, 1, 31, 12, 30, 45, 0, time.UTC)
	good("2026-01-31T12:30", at.Truncate(time.Minute))
	good("2026-01-31T12:30:45+0100", at.Add(-time.Hour))
	good("2026-01-31T12:30:45-04", at.Add(4*time.Hour))
	good("2026-1-31 12:30:45,5Z", at.Add(time.Second/2))
	good(" 2026/01/31 12:30:45 ", at)
	good("[31/Jan/2026:12:30:45 +0000]", at)
	good("31.01.2026", at.Truncate(24*time.Hour))
	good("20260131", at.Truncate(24*time.Hour))
	texts = append(texts, "01/02/2026", "0", "1700000000", "2026-01-31T12:30:60Z", "2026-01-31T24:00:00Z",
		"2026-01-31T12:30:45+24:00", "2026-00-01", "2026-13-01", "2026-01-31T", "1600-01-01", "2300-01-01",
		"+2026-01-31", "2026-01-31T12:30:45Zx")
	for _, quote := range []byte{0, '"'} {
		readColumn(t, record.Timestamp, quote, texts, func(line int, v int64, ok bool) {
			if w, isGood := want[line]; ok != isGood || v != w {
				t.Errorf("%q was read as %d %v, expected %d %v", texts[line], v, ok, w, isGood)
			}
		})
	}
}

// Goal: a column of which the type was guessed takes no code, in any format and by any path, and the reason says the column and
// the value. Method: one value among many that are as usual.
func TestNoCodes(t *testing.T) { eachVariant(t, testNoCodes) }

func testNoCodes(t *testing.T) {
	for _, c := range []struct {
		typ         record.Type
		usual, text string
		refused     bool
	}{
		{record.Int64, "12", "012", true},
		{record.Int64, "12", "-012", true},
		{record.Int64, "12", "+12", true},
		{record.Int64, "12", "0000000012", true},
		{record.Int64, "12", "0", false},
		{record.Int64, "12", "9007199254740993", false},
		{record.Float64, "1.5", "01.5", true},
		{record.Float64, "1.5", "007", true},
		{record.Float64, "1.5", "0.5", false},
		{record.Float64, "1.5", "9007199254740993", true},
		{record.Float64, "1.5", "123456789012345678", true},
		{record.Float64, "1.5", "900719925474099", false},
		{record.Float64, "1.5", "+1.5", true},
		{record.Float64, "1.5", "+Inf", false},
		{record.Bool, "true", "t", true},
		{record.Bool, "true", "1", true},
		{record.Bool, "true", "FALSE", false},
	} {
		s := schemaOf(t, record.Field{Name: "k", Type: record.String}, record.Field{Name: "v", Type: c.typ})
		for _, quote := range []string{"", `"`} {
			lines := strings.Repeat("x,"+c.usual+"\n", 20)
			cfg := DelimitedConfig{Schema: s, Quote: '"', ValueOptions: ValueOptions{NoCodes: true}}
			d, err := OpenDelimited(write(t, []byte(lines+"x,"+quote+c.text+quote+"\n"+lines)), cfg)
			if err != nil {
				t.Fatal(err)
			}
			checkRefused(t, s, d.Readers(1)[0], c.text, c.refused)
		}
		if c.typ == record.Bool || strings.HasPrefix(strings.Trim(c.text, "+-"), "0") && c.refused || c.text[0] == '+' {
			continue // no JSON
		}
		lines := strings.Repeat(`{"k":"x","v":`+c.usual+"}\n", 20)
		n, err := OpenNDJSON(write(t, []byte(lines+`{"k":"x","v":`+c.text+"}\n"+lines)),
			NDJSONConfig{Schema: s, ValueOptions: ValueOptions{NoCodes: true}})
		if err != nil {
			t.Fatal(err)
		}
		checkRefused(t, s, n.Readers(1)[0], c.text, c.refused)
	}
}

// checkRefused reads 41 records, of which the value of one may be refused.
func checkRefused(t *testing.T, s *record.Schema, r record.Reader, value string, refused bool) {
	t.Helper()
	defer r.Close()
	b := record.NewBatch(s, 0)
	rows := 0
	var rejects []record.Reject
	var err error
	for err == nil {
		b.Reset()
		err = r.(record.Poller).Poll(b)
		rows += b.Len()
		rejects = append(rejects, b.Rejects()...)
	}
	if rows+len(rejects) != 41 || refused != (len(rejects) == 1) {
		t.Errorf("%s: %d rows and %v, expected it to be refused: %v", value, rows, rejects, refused)
		return
	}
	if e := new(ValueError); refused && (!errors.As(rejects[0].Reason, &e) || e.Column != "v" || e.Value != value) {
		t.Errorf("%s: the reason is %v of %q", value, rejects[0].Reason, e.Value)
	}
}
