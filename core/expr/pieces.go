package expr

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// vectorPiece is the loop of functions whose result is a piece of their first argument, such as
// left and trim. The pieces share the bytes of the argument, so nothing is copied.
func vectorPiece(m *Machine, e *node, a []*vec) bool {
	x, r := a[0], registerOf(a[len(a)-1])
	args, rest := a[1:len(a)-1], e.Expr.args[1:]
	r.views, r.bytes, r.shared = r.ownViews, x.bytes, x.shared
	m.values = slices.Grow(m.values[:0], 1+len(args))[:1+len(args)]
	for j, v := range args { // of constants once
		if c, ok := rest[j].Const(); ok {
			m.values[1+j] = c
		} else {
			m.values[1+j] = v.value(rest[j].typ, 0)
		}
	}
	for i := range m.n {
		r.views[i] = record.View{}
		if !r.isValid(i) || r.errs != nil && r.errs[i>>6]>>(i&63)&1 != 0 {
			continue
		}
		text := unsafeString(x.text(i))
		m.values[0] = Value{Text: text}
		for j, v := range args {
			if rest[j].op != opConst {
				m.values[1+j] = v.value(rest[j].typ, i)
			}
		}
		piece, err := ops[e.op].eval(e.Expr, m.values)
		if err != nil {
			r.fail(i)
			continue
		}
		if n := len(piece.Text); n > 0 {
			// The piece lies within the text, which is at Off in the bytes.
			begin := uintptr(unsafe.Pointer(unsafe.StringData(text)))
			at := uintptr(unsafe.Pointer(unsafe.StringData(piece.Text))) - begin
			r.views[i] = record.View{Off: x.views[i].Off + uint32(at), Len: uint32(n)}
		}
	}
	return true
}

// vectorEnd is the loop of starts_with and ends_with with a constant.
func vectorEnd(m *Machine, e *node, a []*vec) bool {
	c, ok := e.Expr.args[1].Const()
	if !ok || c.Null {
		return false
	}
	p := &likePattern{kind: likePrefix, exact: c.Text, bytes: []byte(c.Text)}
	if e.op == EndsWith {
		p.kind = likeSuffix
	}
	return m.like(p, []*vec{a[0], a[2]})
}

// vectorOctets is the loop of octet_length.
func vectorOctets(m *Machine, _ *node, a []*vec) bool {
	r := registerOf(a[1])
	r.words = r.ownWords[:m.n]
	for i, v := range a[0].views[:m.n] {
		r.words[i] = uint64(v.Len)
	}
	return true
}

// vectorPosition is the loop of position(constant IN text).
func vectorPosition(m *Machine, e *node, a []*vec) bool {
	c, ok := e.Expr.args[0].Const()
	if !ok || c.Null {
		return false
	}
	x, r := a[1], registerOf(a[2])
	r.words = r.ownWords[:m.n]
	what := []byte(c.Text)
	for i := range m.n {
		r.words[i] = 0
		if !r.isValid(i) {
			continue
		}
		text := x.text(i)
		if at := bytes.Index(text, what); at >= 0 {
			r.words[i] = uint64(utf8.RuneCount(text[:at]) + 1)
		}
	}
	return true
}

// vectorBin is the loop of date_bin with a constant stride.
func vectorBin(m *Machine, e *node, a []*vec) bool {
	stride, ok := e.Expr.args[0].Const()
	origin, is := e.Expr.args[2].Const()
	if !ok || !is || stride.Null || origin.Null || int64(stride.Bits) <= 0 {
		return false
	}
	r, x := registerOf(a[3]), a[1].words[:m.n]
	r.words = r.ownWords[:m.n]
	d := newDivisor(stride.Bits)
	for i, v := range x {
		at, err := intOf(Sub, int64(v), int64(origin.Bits))
		_, rest := d.floor(uint64(at))
		cut, err2 := intOf(Sub, int64(v), int64(rest))
		if (err != nil || err2 != nil) && r.isValid(i) {
			r.fail(i)
		}
		r.words[i] = uint64(cut)
	}
	return true
}

// fastFloat is places.float for numbers that are not close to where the digits decide; ok is false
// for others. A number below 1e9 in the unit of the last digit has an error of at most 1e-6 in the
// first 15 digits, and the quotient of two whole numbers that are exact as floats is rounded once.
func (p places) fastFloat(f float64) (v float64, ok bool) {
	if p.digits < 0 || p.digits > 15 {
		return 0, false
	}
	unit := float64(record.Pow10[p.digits])
	scaled := math.Abs(f) * unit
	if !(scaled < 1e9) {
		return 0, false
	}
	whole := math.Floor(scaled)
	rest := scaled - whole
	edge := rest - 0.5
	if p.cut {
		edge = min(rest, 1-rest)
	}
	if math.Abs(edge) < 1e-5 {
		return 0, false
	}
	if !p.cut && rest > 0.5 {
		whole++
	}
	return signed(whole/unit, f), true
}

// appendDigits appends a number that is not negative with at least that many digits.
func appendDigits(to []byte, n, digits int) []byte {
	var b [20]byte
	at := len(b)
	for n > 0 || digits > 0 {
		at--
		b[at] = byte('0' + n%10)
		n /= 10
		digits--
	}
	if at == len(b) {
		at--
		b[at] = '0'
	}
	return append(to, b[at:]...)
}

// padTo appends blanks up to a width.
func padTo(to []byte, s string, width int) []byte {
	to = append(to, s...)
	if len(s) < width {
		to = append(to, strings.Repeat(" ", width-len(s))...)
	}
	return to
}
