package readers

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// These routines read values that are longer than the eight bytes of shortNumbers, in the form in
// which they are written most often. Each does what its counterpart in values.go does, or reports
// that it cannot tell.

// eightDigits is the number that the eight digits of w form, the first of them in the lowest byte.
// It returns false if they are not all digits.
//
//gcassert:inline
func eightDigits(w uint64) (uint64, bool) {
	bad := (w&0xf0f0f0f0f0f0f0f0 ^ zeros) | ((w+0x0606060606060606)&0xf0f0f0f0f0f0f0f0 ^ zeros)
	w = w & 0x0f0f0f0f0f0f0f0f * 2561 >> 8
	w = w & 0x00ff00ff00ff00ff * 6553601 >> 16
	return w & 0x0000ffff0000ffff * 42949672960001 >> 32, bad == 0
}

// top returns the n bytes before end, 1 to 8 of them, at the top of a word, with zeros below.
//
//gcassert:inline
func top(end unsafe.Pointer, n uint64) uint64 {
	below := 64 - 8*n
	return word(unsafe.Add(end, -8))>>below<<below | zeros&(1<<below-1)
}

// powers are the powers of ten by which a double can be divided exactly. The assembly uses the
// first eight.
var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16}

// shortFloat reads a number of up to 16 bytes without an exponent. If there is a point, it has
// digits on both sides.
//
// With a point there are at most 15 digits. Then the digits and the power of ten are both exact as
// doubles, so their quotient is rounded once (Clinger, "How to read floating point numbers
// accurately", 1990). 16 digits without a point are rounded when they become a double.
//
// 8 bytes can be loaded before begin and 16 before end. If codes, as in columnText, is set,
// shortFloat accepts no number that is a code or that a double cannot hold exactly.
func shortFloat(base unsafe.Pointer, begin, end uint32, codes uint64) (float64, bool) {
	n := uint64(end - begin)
	if n-1 > 15 {
		return 0, false
	}
	last := unsafe.Add(base, end)
	first := *(*byte)(unsafe.Add(base, begin))
	var sign uint64
	if first == '-' {
		n--
		if n == 0 {
			return 0, false
		}
		sign = 1 << 63
		first = *(*byte)(unsafe.Add(base, begin+1))
	}
	if first-'0' > 9 {
		return 0, false
	}
	if n > 1 && uint64(*(*byte)(unsafe.Add(last, -int(n))))|uint64(*(*byte)(unsafe.Add(last, 1-int(n))))<<8&codeMask ==
		codes {
		return 0, false
	}
	behind := uint64(0) // digits after the point
	var v uint64
	if n <= 8 {
		w := top(last, n)
		if points := zeroBytes(w ^ '.'*ones); points != 0 {
			w, behind = takePoint(w, points)
			if behind == 0 {
				return 0, false
			}
		}
		var ok bool
		v, ok = eightDigits(w)
		if !ok {
			return 0, false
		}
	} else {
		low, high := word(unsafe.Add(last, -8)), top(unsafe.Add(last, -8), n-8)
		if points := zeroBytes(low ^ '.'*ones); points != 0 {
			low, behind = takePoint(low, points)
			if behind == 0 {
				return 0, false
			}
			low = low&^0xff | high>>56
			high = high<<8 | '0'
		} else if points := zeroBytes(high ^ '.'*ones); points != 0 {
			high, behind = takePoint(high, points)
			behind += 8
		}
		l, ok1 := eightDigits(low)
		h, ok2 := eightDigits(high)
		v = 1e8*h + l
		if !ok1 || !ok2 {
			return 0, false
		}
	}
	if codes != 0 && behind == 0 && v > maxExact {
		return 0, false
	}
	return math.Float64frombits(math.Float64bits(float64(v)/powers[behind]) | sign), true
}

// takePoint removes the first of the points from w: what is before it moves up a byte, and a zero
// comes in. It also returns how many bytes come after the point.
//
//gcassert:inline
func takePoint(w, points uint64) (uint64, uint64) {
	at := uint64(bits.TrailingZeros64(points)) &^ 7
	before := uint64(1)<<at - 1
	return w&^(before<<8|0xff) | w&before<<8 | '0', 7 - at>>3
}

// floats reads doubles up to the first that shortFloat does not accept, and returns how many it has
// read.
func (c *columnText) floats(values []float64) int {
	plain := c.plain(len(values))
	for done := 0; done < len(values); {
		if have512 && plain-done >= vectorNumbers {
			done += doubles512(&numberArgs{
				base: c.base, at: &c.at[done*c.width], values: (*int64)(unsafe.Pointer(&values[done])), n: plain - done,
				width: c.width, end: uint64(c.end), before: uint64(c.skip) + 1,
				lanes: [vectorNumbers]uint32{0, 1, 2, 3, 4, 5, 6, 7},
			})
		}
		// One of the next eight is longer, or has an unusual form.
		next := min(done+vectorNumbers, len(values))
		if haveAVX2 && done < plain {
			most := plain - done
			if have512 {
				most = min(most, vectorNumbers)
			}
			done += doublesAVX2(c.base, &c.at[done*c.width], &values[done], most, c.width, uint64(c.skip)+1,
				uint64(c.end))
			next = min(done+1, len(values))
		}
		for ; done < next; done++ {
			begin, end, ok := c.field(done)
			if !ok {
				return done
			}
			values[done], ok = shortFloat(c.base, begin, end, c.codes)
			if !ok {
				return done
			}
		}
	}
	return len(values)
}

// longNumber reads a bigint or a decimal of 9 to 16 bytes in its usual form, as shortNumbers reads
// shorter ones. pad bytes can be loaded before text.
func (f *field) longNumber(text []byte) (int64, bool) {
	n := uint64(len(text))
	if n-9 > 7 {
		return 0, false
	}
	last := unsafe.Add(unsafe.Pointer(unsafe.SliceData(text)), n)
	negative := text[0] == '-'
	if negative {
		n--
	}
	if f.codes != 0 && *(*byte)(unsafe.Add(last, -int(n))) == '0' {
		return 0, false
	}
	var low, high uint64
	low = word(unsafe.Add(last, -8))
	high = zeros
	if n > 8 {
		high = top(unsafe.Add(last, -8), n-8)
	}
	if f.scale > 0 {
		points := zeroBytes(low ^ '.'*ones)
		if points == 0 || f.scale > 6 {
			return 0, false
		}
		var behind uint64
		low, behind = takePoint(low, points)
		if behind != uint64(f.scale) {
			return 0, false
		}
		low = low&^0xff | high>>56
		high = high<<8 | '0'
	}
	l, ok1 := eightDigits(low)
	h, ok2 := eightDigits(high)
	v := int64(1e8*h + l)
	if !ok1 || !ok2 || v > f.shortLimit {
		return 0, false
	}
	if negative {
		v = -v
	}
	return v, true
}

// A day is a date whose midnight is known. Timestamps that come together are mostly of the same few
// days.
type day struct {
	text  [10]byte // such as 2026-01-31; zeros if none is known
	nanos int64
}

// The range of days in which no time of day is out of range.
const (
	firstEasyDay = -250 * 365 * 86400e9
	lastEasyDay  = 230 * 365 * 86400e9
)

// times reads timestamps like 2026-01-31T12:30:45Z with up to 8 digits of a second. It stops at the
// first in another form, and returns how many it has read.
func (c *columnText) times(d *day, values []int64) int {
	for i := range values {
		begin, end, ok := c.field(i)
		if !ok {
			return i
		}
		v, ok := d.time(c.base, begin, end)
		if !ok {
			return i
		}
		values[i] = v
	}
	return len(values)
}

// time reads one timestamp.
func (d *day) time(base unsafe.Pointer, begin, end uint32) (int64, bool) {
	n := end - begin
	if n < 20 || n > 29 {
		return 0, false
	}
	p := unsafe.Add(base, begin)
	if *(*byte)(unsafe.Add(p, n-1)) != 'Z' {
		return 0, false
	}
	if *(*[10]byte)(p) != d.text && !d.learn((*[10]byte)(p)) {
		return 0, false
	}

	if t := *(*byte)(unsafe.Add(p, 10)); t != 'T' && t != ' ' {
		return 0, false
	}
	w := word(unsafe.Add(p, 11)) // 12:30:45
	const colons = 0x0000ff0000ff0000
	if w&colons != 0x00003a00003a0000 {
		return 0, false
	}
	w = w&^colons | 0x0000300000300000
	if w&0xf0f0f0f0f0f0f0f0|(w+0x0606060606060606)&0xf0f0f0f0f0f0f0f0>>4 != 0x3333333333333333 {
		return 0, false
	}
	w &= 0x0f0f0f0f0f0f0f0f
	hours := 10*(w&0xff) + w>>8&0xff
	minutes := 10*(w>>24&0xff) + w>>32&0xff
	seconds := 10*(w>>48&0xff) + w>>56
	if hours > 23 || minutes > 59 || seconds > 59 {
		return 0, false
	}
	nanos := d.nanos + int64((hours*60+minutes)*60+seconds)*1_000_000_000
	if n > 20 {
		digits := uint64(n - 21)
		if *(*byte)(unsafe.Add(p, 19)) != '.' || digits == 0 {
			return 0, false
		}
		const shift = 8
		w := word(unsafe.Add(p, n-1-shift))
		below := 64 - 8*digits
		// The digits go to the bottom of the word, in order, with zeros after them.
		w = w>>below | zeros<<(8*digits)
		v, ok := eightDigits(w)
		if !ok {
			return 0, false
		}
		nanos += 10 * int64(v)
	}
	return nanos, true
}

// learn makes d the day of a text. It returns false if the text is not a date.
func (d *day) learn(text *[10]byte) bool {
	for i, c := range text {
		if dash := i == 4 || i == 7; dash && c != '-' || !dash && c-'0' > 9 {
			return false // ParseTime also accepts shorter dates, with blanks around them
		}
	}
	nanos, err := record.ParseTime(view(text[:]), nil)
	if err != nil || nanos < firstEasyDay || nanos > lastEasyDay {
		return false
	}
	d.text, d.nanos = *text, nanos
	return true
}
