package expr

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

func evalText(e *Expr, a []Value) (Value, error) {
	s := a[0].Text
	switch e.op {
	case Lower:
		s = strings.ToLower(s)
	case Upper:
		s = strings.ToUpper(s)
	case Length:
		return Value{Bits: uint64(utf8.RuneCountInString(s))}, nil
	case Substring:
		n := int64(math.MaxInt64)
		if len(a) == 3 {
			if n = int64(a[2].Bits); n < 0 {
				return Value{}, errors.New("a negative length")
			}
		}
		s = substring(s, int64(a[1].Bits), n)
	case Join:
		s += a[1].Text
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
	case Replace:
		if a[1].Text != "" {
			if n := len(s) + strings.Count(s, a[1].Text)*(len(a[2].Text)-len(a[1].Text)); n > MaxText {
				return Value{}, fmt.Errorf("a text of %d bytes, at most %d are made", n, MaxText)
			}
			s = strings.ReplaceAll(s, a[1].Text, a[2].Text)
		}
	case Position:
		i := strings.Index(a[1].Text, s)
		if i >= 0 {
			i = utf8.RuneCountInString(a[1].Text[:i])
		}
		return Value{Bits: uint64(i + 1)}, nil
	}
	if len(s) > MaxText && len(s) > len(a[0].Text) {
		return Value{}, fmt.Errorf("a text of %d bytes, at most %d are made", len(s), MaxText)
	}
	return Value{Text: s}, nil
}

// substring is up to n characters from character from on; those before the first are counted but not there.
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
	parts := []string{s}
	if sep != "" {
		parts = strings.Split(s, sep)
	}
	if n < 0 {
		n += int64(len(parts)) + 1
	}
	if n < 1 || n > int64(len(parts)) {
		return Value{}, nil
	}
	return Value{Text: parts[n-1]}, nil
}

func evalConcat(_ *Expr, a []Value) (Value, error) {
	var b strings.Builder
	for _, v := range a {
		if !v.Null {
			b.WriteString(v.Text)
		}
		if b.Len() > MaxText {
			return Value{}, fmt.Errorf("a text of more than %d bytes", MaxText)
		}
	}
	return Value{Text: b.String()}, nil
}

// likePattern is a compiled pattern: what is between its %.
type likePattern struct {
	text   string
	fold   bool
	pieces [][]likeRune // between two %; the first and the last are at the ends of the text
	exact  string       // its characters but for _ and %
	bytes  []byte       // the same
	kind   likeKind
}

// likeKind is how a pattern may be looked for.
type likeKind uint8

const (
	likeOther  likeKind = iota
	likeExact           // neither _ nor %
	likePrefix          // one % at the end
	likeSuffix          // one % at the beginning
	likeWithin          // one % at each end
)

// likeRune is a character to match, or any.
type likeRune struct {
	r   rune
	any bool
}

func compileLike(pattern string, escape rune, fold bool) (*likePattern, error) {
	p := &likePattern{text: pattern, fold: fold, pieces: [][]likeRune{nil}}
	var exact strings.Builder
	escaped, any := false, false
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
			any = true
		}
	}
	if escaped {
		return nil, fmt.Errorf("expr: the pattern %s ends with its escape", quote(pattern))
	}
	p.exact, p.bytes = exact.String(), []byte(exact.String())
	if empty := func(i int) bool { return len(p.pieces[i]) == 0 }; !fold && !any {
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

// match says whether a text is like the pattern: pieces are looked for from left to right, each as early as it can be, which is right because what is between them
// may be anything.
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
	// The last piece is at the end.
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
