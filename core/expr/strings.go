package expr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The functions below take texts and are computed row by row.

// evalEnds says whether a text ends with another.
func evalEnds(_ *Expr, a []Value) (Value, error) {
	return Value{Bits: word(strings.HasSuffix(a[0].Text, a[1].Text))}, nil
}

// concatWSTypes is the type of concat_ws: it is NULL only if the separator is.
func concatWSTypes(e *Expr) error {
	if len(e.args) == 0 {
		return e.fault()
	}
	err := concatTypes(e)
	e.nullable = e.args[0].nullable
	return err
}

// evalConcatWS joins the texts that are not NULL with a separator.
func evalConcatWS(e *Expr, a []Value) (Value, error) {
	if a[0].Null {
		return Value{Null: true}, nil
	}
	var b []byte
	first := true
	for _, v := range a[1:] {
		if v.Null {
			continue
		}
		if !first {
			b = append(b, a[0].Text...)
		}
		b, first = append(b, v.Text...), false
		if len(b) > MaxText {
			return Value{}, fmt.Errorf("a text of more than %d bytes", MaxText)
		}
	}
	return Value{Text: string(b)}, nil
}

// appendChanged is for functions that make a text from another character by character.
func appendChanged(e *Expr, to []byte, a []Value) ([]byte, error) {
	switch e.op {
	case InitCap:
		inside := false
		for _, r := range a[0].Text {
			if inside {
				r = unicode.ToLower(r)
			} else {
				r = unicode.ToUpper(r)
			}
			to = utf8.AppendRune(to, r)
			inside = unicode.IsLetter(r) || unicode.IsDigit(r)
		}
	case Translate:
		from, into := []rune(a[1].Text), []rune(a[2].Text)
		for _, r := range a[0].Text {
			at := -1
			for i, f := range from {
				if f == r {
					at = i
					break
				}
			}
			switch {
			case at < 0:
				to = utf8.AppendRune(to, r)
			case at < len(into):
				to = utf8.AppendRune(to, into[at])
			}
		}
	case ToHex:
		to = strconv.AppendUint(to, a[0].Bits, 16)
	case Overlay:
		s, from := a[0].Text, int64(a[2].Bits)
		n := int64(utf8.RuneCountInString(a[1].Text))
		if len(a) == 4 {
			n = int64(a[3].Bits)
		}
		if from <= 0 {
			return to, errors.New("a position that is not more than 0")
		}
		end := from + n
		if n > 0 && end < from {
			return to, errRange
		}
		to = append(to, substring(s, 1, from-1)...)
		to = append(to, a[1].Text...)
		to = append(to, substring(s, end, 1<<62)...)
	}
	if len(to) > MaxText+len(a[0].Text) {
		return to, fmt.Errorf("a text of more than %d bytes", MaxText)
	}
	return to, nil
}

// Try returns x, or NULL where x cannot be computed.
func Try(x *Expr) (*Expr, error) { return build(&Expr{op: opTry, args: []*Expr{x}}) }

func tryTypes(e *Expr) error {
	err := requireTypes(e)
	e.nullable = true
	return err
}

// evalTry gets only values that could be computed; Expr.eval and vectorTry see to those that could
// not.
func evalTry(_ *Expr, a []Value) (Value, error) { return a[0], nil }

// vectorTry shares the values of its argument. Rows that have failed become NULL.
func vectorTry(m *Machine, _ *node, a []*vec) bool {
	x, r := a[0], registerOf(a[1])
	r.words, r.bits, r.views, r.bytes, r.shared = x.words, x.bits, x.views, x.bytes, x.shared
	r.valid, r.errs = r.ownValid[:], nil
	for w := range words(m.n) {
		r.valid[w] = x.validWord(w)
		if x.errs != nil {
			r.valid[w] &^= x.errs[w]
		}
	}
	return true
}
