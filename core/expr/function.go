package expr

import (
	"crypto/md5" //nolint:gosec // md5(x) is a function of SQL; nothing is kept secret with it
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/velo-engine/velo/record"
)

// The functions below take texts and make a piece of an argument, a number or a boolean. They are
// computed row by row.

func evalPiece(e *Expr, a []Value) (Value, error) {
	s := a[0].Text
	switch e.op {
	case StartsWith:
		return Value{Bits: word(strings.HasPrefix(s, a[1].Text))}, nil
	case ASCII:
		r, n := utf8.DecodeRuneInString(s)
		if n == 0 {
			r = 0
		}
		return Value{Bits: uint64(r)}, nil
	case OctetLength:
		return Value{Bits: uint64(len(s))}, nil
	}
	n := int64(a[1].Bits)
	if n >= 0 {
		return Value{Text: ends(s, n, e.op == Right)}, nil
	}
	length := int64(utf8.RuneCountInString(s))
	// All characters except -n on the other side.
	return Value{Text: ends(s, max(length+n, 0), e.op == Right)}, nil
}

// ends returns the first or the last n characters of a text.
func ends(s string, n int64, last bool) string {
	if n >= int64(len(s)) {
		return s
	}
	at := 0
	if last {
		for at = len(s); n > 0 && at > 0; n-- {
			at--
			if s[at] >= utf8.RuneSelf {
				_, size := utf8.DecodeLastRuneInString(s[:at+1])
				at += 1 - size
			}
		}
		return s[at:]
	}
	for ; n > 0 && at < len(s); n-- {
		if s[at] < utf8.RuneSelf {
			at++
			continue
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return s[:at]
}

// appendFunction appends the text of a function that makes one.
func appendFunction(e *Expr, to []byte, a []Value) ([]byte, error) {
	switch e.op {
	case PadLeft, PadRight:
		return appendPadded(e.op, to, a)
	case Repeat:
		s, n := a[0].Text, int64(a[1].Bits)
		if n > 0 && len(s) > 0 && n > int64(MaxText/len(s)) {
			return to, fmt.Errorf("a text of more than %d bytes", MaxText)
		}
		if len(s) > 0 {
			for range max(n, 0) {
				to = append(to, s...)
			}
		}
		return to, nil
	case Reverse:
		for s := a[0].Text; s != ""; {
			_, n := utf8.DecodeLastRuneInString(s)
			to = append(to, s[len(s)-n:]...)
			s = s[:len(s)-n]
		}
		return to, nil
	case Chr:
		n := int64(a[0].Bits)
		if n <= 0 || n > math.MaxInt32 || !utf8.ValidRune(rune(n)) {
			return to, errors.New("there is no such character")
		}
		return utf8.AppendRune(to, rune(n)), nil
	case MD5:
		sum := md5.Sum([]byte(a[0].Text)) //nolint:gosec // see the import
		return hex.AppendEncode(to, sum[:]), nil
	}
	return to, e.fault()
}

// appendPadded is lpad and rpad. A text that is longer than asked for is cut on the right.
func appendPadded(op Op, to []byte, a []Value) ([]byte, error) {
	// A negative number of characters counts as 0.
	s, n, fill := a[0].Text, max(int64(a[1].Bits), 0), " "
	if len(a) == 3 {
		fill = a[2].Text
	}
	if n > MaxText/utf8.UTFMax {
		return to, fmt.Errorf("a text of %d characters, at most %d are made", n, MaxText/utf8.UTFMax)
	}
	missing := n - int64(utf8.RuneCountInString(s))
	if missing <= 0 || fill == "" {
		return append(to, substring(s, 1, n)...), nil
	}
	if op == PadRight {
		to = append(to, s...)
	}
	for missing > 0 {
		for _, r := range fill {
			if missing == 0 {
				break
			}
			to = utf8.AppendRune(to, r)
			missing--
		}
	}
	if op == PadLeft {
		to = append(to, s...)
	}
	return to, nil
}

// evalDateBin cuts a time to a multiple of a stride, counted from an origin.
func evalDateBin(_ *Expr, a []Value) (Value, error) {
	stride, at, origin := int64(a[0].Bits), int64(a[1].Bits), int64(a[2].Bits)
	if stride <= 0 {
		return Value{}, errors.New("a stride that is not more than 0")
	}
	d, err := intOf(Sub, at, origin)
	if err != nil {
		return Value{}, err
	}
	rest := d % stride
	if rest < 0 {
		rest += stride
	}
	v, err := intOf(Sub, at, rest)
	return Value{Bits: uint64(v)}, err
}

func dateBinTypes(e *Expr) error {
	return signature(record.Timestamp, false, record.Int64, record.Timestamp, record.Timestamp)(e)
}
