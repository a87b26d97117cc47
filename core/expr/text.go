package expr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// evalMade is for operations whose text is not a piece of an argument.
func evalMade(e *Expr, a []Value) (Value, error) {
	b, err := ops[e.op].made(e, nil, a)
	return Value{Text: string(b)}, err
}

// appendMade appends the text that an operation makes.
func appendMade(e *Expr, to []byte, a []Value) ([]byte, error) {
	s, begin := a[0].Text, len(to)
	switch e.op {
	case Lower, Upper:
		to = append(to, s...)
		if !changeCase(to[begin:], e.op) {
			to = to[:begin]
			for _, r := range s {
				if e.op == Lower {
					r = unicode.ToLower(r)
				} else {
					r = unicode.ToUpper(r)
				}
				to = utf8.AppendRune(to, r)
			}
		}
	case Join:
		to = append(append(to, s...), a[1].Text...)
	case Replace:
		what, by := a[1].Text, a[2].Text
		if what == "" {
			return append(to, s...), nil
		}
		if n := len(s) + strings.Count(s, what)*(len(by)-len(what)); n > MaxText {
			return to, fmt.Errorf("a text of %d bytes, at most %d are made", n, MaxText)
		}
		for {
			i := strings.Index(s, what)
			if i < 0 {
				return append(to, s...), nil
			}
			to = append(append(to, s[:i]...), by...)
			s = s[i+len(what):]
		}
	}
	if n := len(to) - begin; n > MaxText && n > len(a[0].Text) {
		return to[:begin], fmt.Errorf("a text of %d bytes, at most %d are made", n, MaxText)
	}
	return to, nil
}

// changeCase changes letters to lower or upper case in place, eight bytes at a time. It returns
// false if there are bytes that are not ASCII; then what it has done so far must be thrown away.
func changeCase(b []byte, op Op) bool {
	const ones = 0x0101010101010101
	first := uint64('A')
	if op == Upper {
		first = 'a'
	}
	for ; len(b) >= headBytes; b = b[headBytes:] {
		w := binary.LittleEndian.Uint64(b)
		if w&(0x80*ones) != 0 {
			return false
		}
		// letters gets the highest bit of each byte that is at or after the first letter and not
		// after the last. No sum carries into the next byte.
		letters := (w + (0x80-first)*ones) &^ (w + (0x80-first-26)*ones) & (0x80 * ones)
		binary.LittleEndian.PutUint64(b, w^letters>>2)
	}
	for i, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
		if uint64(c)-first < 26 {
			b[i] ^= 0x20
		}
	}
	return true
}

func evalText(e *Expr, a []Value) (Value, error) {
	s := a[0].Text
	switch e.op {
	case Length:
		return Value{Bits: uint64(utf8.RuneCountInString(s))}, nil
	case Substring:
		n := int64(math.MaxInt64)
		if len(a) == 3 {
			n = int64(a[2].Bits)
			if n < 0 {
				return Value{}, errors.New("a negative length")
			}
		}
		s = substring(s, int64(a[1].Bits), n)
	case Trim, TrimLeft, TrimRight:
		cut := " "
		if len(a) == 2 {
			cut = a[1].Text
		}
		if e.op != TrimRight {
			s = strings.TrimLeft(s, cut)
		}
		if e.op != TrimLeft {
			s = strings.TrimRight(s, cut)
		}
	case SplitPart:
		return splitPart(s, a[1].Text, int64(a[2].Bits))
	case Position:
		i := strings.Index(a[1].Text, s)
		if i >= 0 {
			i = utf8.RuneCountInString(a[1].Text[:i])
		}
		return Value{Bits: uint64(i + 1)}, nil
	}
	return Value{Text: s}, nil
}

// substring returns up to n characters from character from on. Characters before the first one
// count, although there are none.
func substring(s string, from, n int64) string {
	end := from + n
	if end < from {
		end = math.MaxInt64
	}
	begin, at := -1, int64(1)
	for i := range s {
		if at >= end {
			if begin < 0 {
				return ""
			}
			return s[begin:i]
		}
		if at >= from && begin < 0 {
			begin = i
		}
		at++
	}
	if begin < 0 {
		return ""
	}
	return s[begin:]
}

func splitPart(s, sep string, n int64) (Value, error) {
	if n == 0 {
		return Value{}, errors.New("part 0, expected one from 1, or from -1 back")
	}
	parts := int64(1)
	if sep != "" {
		parts += int64(strings.Count(s, sep))
	}
	if n < 0 {
		n += parts + 1
	}
	if n < 1 || n > parts {
		return Value{}, nil
	}
	for ; n > 1; n-- {
		_, s, _ = strings.Cut(s, sep)
	}
	if sep != "" {
		s, _, _ = strings.Cut(s, sep)
	}
	return Value{Text: s}, nil
}

func appendConcat(_ *Expr, to []byte, a []Value) ([]byte, error) {
	begin := len(to)
	for _, v := range a {
		if !v.Null {
			to = append(to, v.Text...)
		}
		if len(to)-begin > MaxText {
			return to[:begin], fmt.Errorf("a text of more than %d bytes", MaxText)
		}
	}
	return to, nil
}

// A likePattern is a compiled pattern: the pieces between its %.
type likePattern struct {
	text string
	fold bool

	// pieces between two %; the first and the last piece are at the ends of the text
	pieces [][]likeRune

	exact string // characters of the pattern except _ and %
	bytes []byte // the same as bytes
	kind  likeKind
}

// A likeKind says how a pattern is matched.
type likeKind uint8

const (
	likeOther  likeKind = iota
	likeExact           // neither _ nor %
	likePrefix          // one % at the end
	likeSuffix          // one % at the beginning
	likeWithin          // one % at each end
)

// A likeRune is a character to match, or any character.
type likeRune struct {
	r   rune
	any bool
}

func compileLike(pattern string, escape rune, fold bool) (*likePattern, error) {
	p := &likePattern{text: pattern, fold: fold, pieces: [][]likeRune{nil}}
	var exact strings.Builder
	escaped, wild := false, false
	for _, r := range pattern {
		last := len(p.pieces) - 1
		switch {
		case escaped || (r != '%' && r != '_' && (r != escape || escape == 0)):
			escaped = false
			exact.WriteRune(r)
			if fold {
				r = unicode.ToLower(r)
			}
			p.pieces[last] = append(p.pieces[last], likeRune{r: r})
		case r == escape:
			escaped = true
		case r == '%':
			p.pieces = append(p.pieces, nil)
		default:
			p.pieces[last] = append(p.pieces[last], likeRune{any: true})
			wild = true
		}
	}
	if escaped {
		return nil, fmt.Errorf("expr: the pattern %s ends with its escape", quote(pattern))
	}
	p.exact, p.bytes = exact.String(), []byte(exact.String())
	if empty := func(i int) bool { return len(p.pieces[i]) == 0 }; !fold && !wild {
		switch n := len(p.pieces); {
		case n == 1:
			p.kind = likeExact
		case n == 2 && empty(1):
			p.kind = likePrefix
		case n == 2 && empty(0):
			p.kind = likeSuffix
		case n == 3 && empty(0) && empty(2):
			p.kind = likeWithin
		}
	}
	return p, nil
}

// match says whether a text matches the pattern. It looks for the pieces from left to right, each
// as early as possible. That is right because anything may be between them.
func (p *likePattern) match(s string) bool {
	if p.kind == likeExact {
		return s == p.exact
	}
	rest, ok := p.prefix(s, p.pieces[0])
	if !ok {
		return false
	}
	if len(p.pieces) == 1 {
		return rest == ""
	}
	middle, last := p.pieces[1:len(p.pieces)-1], p.pieces[len(p.pieces)-1]
	for _, piece := range middle {
		if len(piece) == 0 {
			continue
		}
		for {
			if after, ok := p.prefix(rest, piece); ok {
				rest = after
				break
			}
			if rest == "" {
				return false
			}
			_, n := utf8.DecodeRuneInString(rest)
			rest = rest[n:]
		}
	}
	// The last piece must be at the end.
	at := len(rest)
	for range last {
		if at == 0 {
			return false
		}
		_, n := utf8.DecodeLastRuneInString(rest[:at])
		at -= n
	}
	after, ok := p.prefix(rest[at:], last)
	return ok && after == ""
}

// prefix takes a piece off the beginning of a text.
func (p *likePattern) prefix(s string, piece []likeRune) (rest string, ok bool) {
	for _, c := range piece {
		if s == "" {
			return "", false
		}
		r, n := utf8.DecodeRuneInString(s)
		if p.fold {
			r = unicode.ToLower(r)
		}
		if !c.any && (r != c.r || r == utf8.RuneError && n == 1) {
			return "", false
		}
		s = s[n:]
	}
	return s, true
}

func evalLike(e *Expr, a []Value) (Value, error) {
	return Value{Bits: word(e.aux.(*likePattern).match(a[0].Text))}, nil
}
