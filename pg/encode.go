package pg

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/velo-engine/velo/internal/int128"
	"github.com/velo-engine/velo/record"
)

// Formats of values in messages.
const (
	formatText   = 0
	formatBinary = 1
)

// pgEpoch is 2000-01-01, from which PostgreSQL counts, in microseconds since 1970.
const pgEpoch = 946684800 * 1_000_000

// A style is how a session wants its values written.
type style struct {
	zone   *time.Location
	utc    bool
	digits int // of float8: 0 means the shortest text that reads as the same
}

// field appends the value of a column in row i, with its length before it.
func (st *style) field(to []byte, t record.Type, c *record.Column, i int, format int16) []byte {
	if c.Null(i) {
		return append(to, 0xff, 0xff, 0xff, 0xff)
	}
	at := len(to)
	to = append(to, 0, 0, 0, 0)
	if format == formatBinary {
		to = appendBinary(to, t, c, i)
	} else {
		to = st.appendText(to, t, c, i)
	}
	binary.BigEndian.PutUint32(to[at:], uint32(len(to)-at-4))
	return to
}

func appendBinary(to []byte, t record.Type, c *record.Column, i int) []byte {
	switch {
	case t == record.Bool:
		return append(to, byte(c.Int64s[i]&1))
	case t == record.Int64:
		return binary.BigEndian.AppendUint64(to, uint64(c.Int64s[i]))
	case t == record.Float64:
		return binary.BigEndian.AppendUint64(to, math.Float64bits(c.Float64s[i]))
	case t == record.Timestamp:
		return binary.BigEndian.AppendUint64(to, uint64(micros(c.Int64s[i])-pgEpoch))
	case t == record.TimeOfDay:
		return binary.BigEndian.AppendUint64(to, uint64(micros(c.Int64s[i])))
	case t == record.Interval: // microseconds, days and months
		us := micros(c.Int64s[i])
		const dayMicros = record.DayNanos / 1000
		to = binary.BigEndian.AppendUint64(to, uint64(us%dayMicros))
		to = binary.BigEndian.AppendUint32(to, uint32(us/dayMicros))
		return binary.BigEndian.AppendUint32(to, 0)
	case t.IsWide():
		return int128.FromBytes(c.View(i)).AppendNumeric(to, t.Scale())
	case t.IsDecimal():
		return appendNumeric(to, record.Decimal{Unscaled: c.Int64s[i], Scale: uint8(t.Scale())})
	}
	return append(to, c.View(i)...)
}

func (st *style) appendText(to []byte, t record.Type, c *record.Column, i int) []byte {
	switch {
	case t == record.Bool:
		if c.Int64s[i] != 0 {
			return append(to, 't')
		}
		return append(to, 'f')
	case t == record.Int64:
		return strconv.AppendInt(to, c.Int64s[i], 10)
	case t == record.Float64:
		return st.appendFloat(to, c.Float64s[i])
	case t == record.Timestamp:
		return st.appendTime(to, micros(c.Int64s[i]))
	case t == record.TimeOfDay || t == record.Interval: // to the microsecond
		return record.AppendLogical(to, t, uint64(micros(c.Int64s[i])*1000), nil)
	case t.IsLogical():
		return c.AppendLogical(to, t, i)
	case t.IsDecimal():
		return record.Decimal{Unscaled: c.Int64s[i], Scale: uint8(t.Scale())}.Append(to)
	}
	return append(to, c.View(i)...)
}

// micros are nanoseconds in PostgreSQL's microseconds, rounded down.
func micros(nanos int64) int64 {
	n := nanos / 1000
	if nanos%1000 < 0 {
		n--
	}
	return n
}

// appendFloat writes as PostgreSQL does: with an exponent below 1e-4 and from 1e15 on.
func (st *style) appendFloat(to []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(to, "NaN"...)
	case math.IsInf(f, 1):
		return append(to, "Infinity"...)
	case math.IsInf(f, -1):
		return append(to, "-Infinity"...)
	case st.digits > 0:
		return strconv.AppendFloat(to, f, 'g', st.digits, 64)
	}
	a := math.Abs(f)
	if a != 0 && (a < 1e-4 || a >= 1e15) {
		return strconv.AppendFloat(to, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(to, f, 'f', -1, 64)
}

// appendTime writes a time in the zone of the session: 2026-03-02 09:30:00.25+00.
func (st *style) appendTime(to []byte, us int64) []byte {
	t := time.UnixMicro(us)
	if st.utc {
		t = t.UTC()
	} else {
		t = t.In(st.zone)
	}
	bc := t.Year() <= 0
	year := t.Year()
	if bc {
		year = 1 - year
	}
	for n := 1000; n > year && n > 1; n /= 10 {
		to = append(to, '0')
	}
	to = strconv.AppendInt(to, int64(year), 10)
	to = t.AppendFormat(to, "-01-02 15:04:05")
	if frac := t.Nanosecond() / 1000; frac != 0 {
		to = append(to, '.')
		for n := 100_000; frac > 0; n /= 10 {
			to = append(to, byte('0'+frac/n))
			frac %= n
		}
	}
	_, offset := t.Zone()
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	to = append(to, sign, byte('0'+offset/36000), byte('0'+offset/3600%10))
	for rest := offset % 3600; rest > 0; rest = rest % 60 * 60 {
		to = append(to, ':', byte('0'+rest/600), byte('0'+rest/60%10))
	}
	if bc {
		to = append(to, " BC"...)
	}
	return to
}

// appendNumeric writes a numeric: groups of four decimal digits.
func appendNumeric(to []byte, d record.Decimal) []byte {
	u, sign := uint64(d.Unscaled), uint16(0)
	if d.Unscaled < 0 {
		u, sign = -u, 0x4000
	}
	whole, frac := u, uint64(0)
	scale := int(d.Scale)
	if scale > 0 {
		p := uint64(record.Pow10[scale])
		whole, frac = u/p, u%p
	}
	var groups [12]uint16
	n, weight := 0, -1
	for w := whole; w > 0; w /= 10_000 {
		weight++
	}
	n = weight + 1
	for i, w := n-1, whole; i >= 0; i-- {
		groups[i] = uint16(w % 10_000)
		w /= 10_000
	}
	parts := (scale + 3) / 4
	i := parts - 1
	if last := scale % 4; last > 0 {
		p := uint64(record.Pow10[last])
		groups[n+i] = uint16(frac % p * uint64(record.Pow10[4-last]))
		frac /= p
		i--
	}
	for ; i >= 0; i-- {
		groups[n+i] = uint16(frac % 10_000)
		frac /= 10_000
	}
	all := groups[:n+parts]
	for len(all) > 0 && all[len(all)-1] == 0 {
		all = all[:len(all)-1]
	}
	for len(all) > 0 && all[0] == 0 {
		all = all[1:]
		weight--
	}
	if len(all) == 0 {
		weight, sign = 0, 0
	}
	to = binary.BigEndian.AppendUint16(to, uint16(len(all)))
	to = binary.BigEndian.AppendUint16(to, uint16(int16(weight)))
	to = binary.BigEndian.AppendUint16(to, sign)
	to = binary.BigEndian.AppendUint16(to, uint16(d.Scale))
	for _, g := range all {
		to = binary.BigEndian.AppendUint16(to, g)
	}
	return to
}
