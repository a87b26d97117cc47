package expr

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/internal/int128"
	"github.com/velo-engine/velo/record"
)

// maxNumberFormat bounds the digits of a format of numbers.
const maxNumberFormat = 100

// A numberFormat is a format of to_char of numbers, as in PostgreSQL (utils/adt/formatting.c): 9
// and 0 are digits, . and D the decimal point, a comma and G separate groups, S, MI and PR are the
// sign, FM leaves blanks and zeros out, and "..." is copied.
type numberFormat struct {
	items     []numberItem
	pre, post int // digits before and after the point
	zero      bool
	// zeroStart is the number of the first digit that is not left out, zeroEnd the number of digits
	// up to the last 0 of the format.
	zeroStart, zeroEnd int
	point              bool
	fill               bool // FM
	minus, bracket     bool
	sign               bool // S
	signAt             int  // digits before S if it comes before the point, else -1
}

// numberItem is a pattern of one letter: 9 0 . , M for MI, or " for a text.
type numberItem struct {
	kind byte
	text string
}

// ToCharNumber writes a number in a format. The error says what the format has that is not there.
func ToCharNumber(x *Expr, format string) (*Expr, error) {
	f, err := parseNumberFormat(format)
	if err != nil {
		return nil, err
	}
	return build(&Expr{op: toCharNumber, name: format, args: []*Expr{x}, aux: f})
}

func toCharNumberTypes(e *Expr) error {
	if t := e.args[0].typ; !isNumber(t) {
		return fmt.Errorf("expr: to_char of %v, expected a number", t)
	}
	e.typ = record.String
	return nil
}

func parseNumberFormat(format string) (*numberFormat, error) {
	f := &numberFormat{signAt: -1}
	fault := func(what string) error {
		return fmt.Errorf("expr: the format %s of a number %s; it may have 9 0 . D , G S MI PR FM and \"texts\"",
			quote(format), what)
	}
	signs := 0
	for rest := format; rest != ""; {
		upper := strings.ToUpper(rest)
		n := 1
		switch c := upper[0]; {
		case f.bracket:
			return nil, fault("has something after PR")
		case strings.HasPrefix(upper, "FM"):
			f.fill, n = true, 2
		case strings.HasPrefix(upper, "MI"):
			f.minus, n = true, 2
			signs++
			f.items = append(f.items, numberItem{kind: 'M'})
		case strings.HasPrefix(upper, "PR"):
			f.bracket, n = true, 2
			signs++
		case c == 'S' && !strings.HasPrefix(upper, "SG"):
			f.sign = true
			signs++
			if !f.point {
				f.signAt = f.pre
			}
		case c == '9' || c == '0':
			f.digit(c)
		case c == '.' || c == 'D':
			if f.point {
				return nil, fault("has two decimal points")
			}
			f.point = true
			f.items = append(f.items, numberItem{kind: '.'})
		case c == ',' || c == 'G':
			f.items = append(f.items, numberItem{kind: ','})
		case c == '"':
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, fault("has a text that is not closed")
			}
			f.items = append(f.items, numberItem{'"', rest[1 : 1+end]})
			n = end + 2
		case c == ' ':
			f.items = append(f.items, numberItem{'"', " "})
		default:
			return nil, fault("has " + strconv.Quote(rest[:1]))
		}
		rest = rest[n:]
	}
	switch {
	case signs > 1:
		return nil, fault("has its sign twice")
	case f.pre+f.post > maxNumberFormat:
		return nil, fault(fmt.Sprintf("has more than %d digits", maxNumberFormat))
	}
	if f.zeroStart > 0 {
		f.zeroStart--
	}
	return f, nil
}

// digit adds a 9 or a 0.
func (f *numberFormat) digit(c byte) {
	if c == '0' && !f.zero && !f.point {
		f.zero, f.zeroStart = true, f.pre+1
	}
	if f.point {
		f.post++
	} else {
		f.pre++
	}
	if c == '0' {
		f.zeroEnd = f.pre + f.post
	}
	f.items = append(f.items, numberItem{kind: c})
}

// digitsOf are the digits of a number without its sign, rounded to post digits after the point: as
// many as the format has, or fewer for a float of many digits, as in PostgreSQL.
func (f *numberFormat) digitsOf(t record.Type, value Value) (digits string, negative bool, post int) {
	bits := value.Bits
	post = f.post
	switch {
	case t == record.Float64:
		v := math.Float64frombits(bits)
		const exact = 15 // more digits of a float are not shown
		whole := len(strconv.FormatFloat(math.Abs(v), 'f', 0, 64))
		switch {
		case v != v:
			digits = "NaN"
		case math.IsInf(v, 0):
			digits = []string{"Infinity", "-Infinity"}[word(v < 0)]
			post = max(0, min(post, exact-len("Infinity")))
		default:
			post = max(0, min(post, exact-whole))
			digits = strconv.FormatFloat(v, 'f', post, 64)
		}
	case t.IsWide():
		x, scale := value.wideOf(), t.Scale()
		if scale > f.post {
			x, _ = x.Rescale(scale, f.post, int128.HalfAway) // has no more digits than before
			scale = f.post
		}
		digits = padScale(string(x.Append(nil, scale)), scale, f.post)
	default:
		v, scale := int64(bits), t.Scale()
		if scale > f.post { // half away from zero
			unit := record.Pow10[scale-f.post]
			rest := v % unit
			v, scale = v/unit, f.post
			if rest >= unit-rest {
				v++
			} else if -rest >= unit+rest {
				v--
			}
		}
		digits = padScale(record.Decimal{Unscaled: v, Scale: uint8(scale)}.String(), scale, f.post)
	}
	digits, negative = strings.CutPrefix(digits, "-")
	if whole, _, _ := strings.Cut(digits, "."); len(whole) > f.pre {
		digits = strings.Repeat("#", f.pre) + "." + strings.Repeat("#", post)
	}
	return digits, negative, post
}

// padScale adds zeros to a number with scale digits after the point, until it has post of them.
func padScale(digits string, scale, post int) string {
	if scale >= post {
		return digits
	}
	if scale == 0 {
		digits += "."
	}
	return digits + strings.Repeat("0", post-scale)
}

// numberWriter writes one number.
type numberWriter struct {
	*numberFormat
	to       []byte
	digits   string
	negative bool
	blanks   int // how many digits the format has before the first of the number
	last     int // place in digits of the last that FM leaves; -1 if all are shown
	at       int // place in digits
	place    int // number of the digit of the format
	signed   bool
	after    bool // the sign S comes after the number
	bracket  bool
	written  bool // a digit has been written
	count    int
	post     int
	ended    bool // a float has no more digits; what follows is left out, as in PostgreSQL
}

// appendToCharNumber appends a number in a format.
func appendToCharNumber(e *Expr, to []byte, a []Value) ([]byte, error) {
	f := e.aux.(*numberFormat)
	w := &numberWriter{numberFormat: f, to: to, last: -1, bracket: f.bracket}
	w.digits, w.negative, w.post = f.digitsOf(e.args[0].typ, a[0])
	w.count = f.pre + w.post - 1
	whole, _, _ := strings.Cut(w.digits, ".")
	w.blanks = max(0, f.pre-len(whole))
	switch {
	case f.minus:
		w.signed = true
	default:
		if !w.negative && f.fill {
			w.bracket = false
		}
		w.signed = !w.negative && f.fill && !f.sign
		w.after = f.sign && (f.signAt < 0 || f.signAt == f.pre)
	}
	if f.fill && f.point {
		w.last = w.lastRelevant()
	}
	if !w.signed && w.blanks == 0 {
		w.count++
	}
	for _, it := range f.items {
		w.item(it)
		if w.ended {
			break
		}
	}
	return w.to, nil
}

// lastRelevant is the place of the last digit after the point that is no zero, or of the point.
func (w *numberWriter) lastRelevant() int {
	point := strings.IndexByte(w.digits, '.')
	if point < 0 {
		return -1
	}
	last := point
	for i := point + 1; i < len(w.digits); i++ {
		if w.digits[i] != '0' {
			last = i
		}
	}
	if w.zeroEnd > w.blanks {
		last = max(last, min(len(w.digits)-1, w.zeroEnd-w.blanks))
	}
	return last
}

func (w *numberWriter) item(it numberItem) {
	switch it.kind {
	case '"':
		w.to = append(w.to, it.text...)
	case 'M':
		if w.negative {
			w.to = append(w.to, '-')
		} else if !w.fill {
			w.to = append(w.to, ' ')
		}
	case ',':
		if w.written {
			w.to = append(w.to, ',')
		} else if !w.fill {
			w.to = append(w.to, ' ')
		}
	default:
		w.part(it.kind)
	}
}

// hidden says whether the number is at its only digit before the point, a zero that 9 does not
// show.
func (w *numberWriter) hidden() bool {
	return !w.zero && w.at == 0 && w.digits[0] == '0' && w.post != 0
}

// endsAtPoint says whether FM leaves nothing after the point.
func (w *numberWriter) endsAtPoint() bool { return w.last >= 0 && w.digits[w.last] == '.' }

// part writes what a digit or the point of the format stands for.
func (w *numberWriter) part(kind byte) {
	if !w.signed && (w.place >= w.blanks || w.zero && w.zeroStart == w.place) && (!w.hidden() || w.endsAtPoint()) {
		w.leadingSign()
	}
	switch {
	case w.place < w.blanks && (w.zeroStart > w.place || !w.zero):
		if !w.fill {
			w.to = append(w.to, ' ')
		}
	case w.zero && w.place < w.blanks:
		w.to = append(w.to, '0')
		w.written = true
	default:
		w.digit(kind)
	}
	end := w.count
	if w.blanks > 0 {
		end++
	}
	if w.point {
		end++
	}
	if w.last >= 0 && w.last == w.at {
		end = w.place
	}
	if w.place+1 == end {
		if w.signed && w.bracket {
			w.to = append(w.to, map[bool]byte{true: '>', false: ' '}[w.negative])
		} else if w.sign && w.after {
			w.to = append(w.to, map[bool]byte{true: '-', false: '+'}[w.negative])
		}
	}
	w.place++
}

// digit writes the next digit or the point of the number.
func (w *numberWriter) digit(kind byte) {
	switch {
	case w.at < len(w.digits) && w.digits[w.at] == '.':
		if !w.endsAtPoint() || w.fill {
			w.to = append(w.to, '.')
		}
	case w.last >= 0 && w.at > w.last && kind != '0':
	case w.at >= len(w.digits):
		w.ended = true
		return
	case w.hidden():
		if !w.fill {
			w.to = append(w.to, ' ')
		} else if w.endsAtPoint() {
			w.to = append(w.to, '0')
		}
	default:
		w.to = append(w.to, w.digits[w.at])
		w.written = true
	}
	w.at = min(w.at+1, len(w.digits))
}

// leadingSign writes the sign before the number.
func (w *numberWriter) leadingSign() {
	switch {
	case w.sign:
		if !w.after {
			w.to = append(w.to, map[bool]byte{true: '-', false: '+'}[w.negative])
		}
	case w.bracket:
		w.to = append(w.to, map[bool]byte{true: '<', false: ' '}[w.negative])
	case w.negative:
		w.to = append(w.to, '-')
	case !w.fill:
		w.to = append(w.to, ' ')
	}
	w.signed = true
}
