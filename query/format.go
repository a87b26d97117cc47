package query

import (
	"strconv"
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// maxWidth bounds the width of a value in format().
const maxWidth = 1000

// format is PostgreSQL's format(text, values...): its text is a constant with %s for the next
// value, %2$s for the second, %10s and %-10s for a value that is padded to ten characters, and %%
// for a percent sign.
func (c *compiler) format(x *syntax.Call, l leaf) (v value, ok bool) {
	if len(x.Args) == 0 {
		c.fault(x.Pos, "format of 0 arguments, expected a text, and then the values that it has %%s for")
		return v, false
	}
	text, ok := c.constant(x.Args[0], l, "the text of format")
	if !ok {
		return v, false
	}
	if len(x.Args) > 1 && !strings.Contains(text, "%") {
		c.fault(x.Args[0].Start(), "the text of format has no place for a value, expected %%s for each, as in "+
			"PostgreSQL")
		return v, false
	}
	var pieces []*expr.Expr
	next := 1 // the argument that %s without a number stands for
	for {
		plain, rest, found := strings.Cut(text, "%")
		if plain != "" {
			pieces = append(pieces, expr.Text(plain))
		}
		if !found {
			break
		}
		if after, percent := strings.CutPrefix(rest, "%"); percent {
			pieces = append(pieces, expr.Text("%"))
			text = after
			continue
		}
		s, after := formatPlace(rest)
		if s.kind != 's' || s.width > maxWidth {
			c.fault(x.Args[0].Start(), "the text of format has %q, expected %%s, %%2$s, %%10s or %%-10s for a value "+
				"(of up to %d characters), and %%%% for a percent sign", "%"+rest[:len(rest)-len(after)], maxWidth)
			return v, false
		}
		if s.number > 0 {
			next = s.number
		}
		if next >= len(x.Args) {
			c.fault(x.Args[0].Start(), "the text of format has a place for value %d; values that are given: %d", next,
				len(x.Args)-1)
			return v, false
		}
		piece, ok := c.formatted(x, x.Args[next], s, l)
		if !ok {
			return v, false
		}
		pieces = append(pieces, piece)
		text = after
		next++
	}
	for _, unused := range x.Args[1:] { // faults of values that no place has
		if _, ok := c.bind(unused, l); !ok {
			return v, false
		}
	}
	if len(pieces) == 0 {
		return value{e: expr.Text("")}, true
	}
	return c.texts(x.Pos, expr.Concat, pieces...)
}

// A place of a value in the text of format.
type place struct {
	number int // of the value, 0 for the next
	left   bool
	width  int
	kind   byte // 0 if the text ends before
}

// formatPlace reads what follows a percent sign.
func formatPlace(text string) (p place, rest string) {
	digits := func() int {
		n := 0
		for n < len(text) && text[n] >= '0' && text[n] <= '9' {
			n++
		}
		v, err := strconv.Atoi(text[:n])
		if err != nil && n > 0 {
			v = maxWidth + 1
		}
		text = text[n:]
		return v
	}
	n := digits()
	if after, numbered := strings.CutPrefix(text, "$"); numbered && n > 0 {
		p.number, text = n, after
		n = 0
	}
	if after, left := strings.CutPrefix(text, "-"); left && n == 0 {
		p.left, text = true, after
	}
	if n == 0 {
		n = digits()
	}
	p.width = n
	if text == "" {
		return p, ""
	}
	p.kind = text[0]
	return p, text[1:]
}

// formatted is a value as format writes it: the empty text for NULL, and padded.
func (c *compiler) formatted(x *syntax.Call, arg syntax.Expr, p place, l leaf) (*expr.Expr, bool) {
	one, ok := c.concat(callOf(x, "concat", arg), l)
	if !ok || p.width == 0 {
		return one.e, ok
	}
	op := expr.PadLeft
	if p.left {
		op = expr.PadRight
	}
	width := expr.Int(record.Int64, int64(p.width))
	length, ok1 := c.make(x.Pos, expr.Length, one.e)
	padded, ok2 := c.make(x.Pos, op, one.e, width)
	if !ok1 || !ok2 {
		return nil, false
	}
	short, ok := c.make(x.Pos, expr.Lt, length.e, width)
	if !ok {
		return nil, false
	}
	e, err := expr.Case(short.e, padded.e, one.e)
	made, ok := c.made(x.Pos, e, err)
	return made.e, ok
}

// typeName is pg_typeof(x): the name of the type in PostgreSQL, which is known when the query is
// compiled.
func (c *compiler) typeName(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 1) {
		return v, false
	}
	v, ok = c.bind(x.Args[0], l)
	if !ok {
		return v, false
	}
	name := v.e.Type().String()
	switch t := v.e.Type(); {
	case v.open:
		name = "unknown"
	case v.interval:
		name = "interval"
	case isDecimal(t):
		name = "numeric"
	case t == record.Timestamp:
		name = "timestamp with time zone"
	}
	return value{e: expr.Text(name)}, true
}
