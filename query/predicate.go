package query

import (
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// in is an IN over constants, or a chain of comparisons if the list has other expressions.
func (c *compiler) in(x *syntax.In, l leaf) (v value, ok bool) {
	all := append([]syntax.Expr{x.X}, x.List...)
	args, ok := c.same(x.Pos, l, all...)
	if !ok || !c.jsonCompared(all...) {
		return v, false
	}
	constants := true
	for _, a := range args[1:] {
		_, is := a.Const()
		constants = constants && is
	}
	if constants && len(args) > inConstants {
		e, err := expr.InSet(args[0], args[1:])
		return c.made(x.Pos, e, err)
	}
	if constants {
		return c.make(x.Pos, expr.In, args...)
	}
	for i, a := range args[1:] {
		eq, ok := c.make(x.Pos, expr.Eq, args[0], a)
		if !ok {
			return v, false
		}
		if i == 0 {
			v = eq
			continue
		}
		v, ok = c.make(x.Pos, expr.Or, v.e, eq.e)
		if !ok {
			return v, false
		}
	}
	return v, true
}

func (c *compiler) like(x *syntax.Like, l leaf) (v value, ok bool) {
	a, ok := c.bind(x.X, l)
	if !ok {
		return v, false
	}
	if t := a.e.Type(); !a.interval && (t == record.Int64 || isDecimal(t)) { // as SQLite does
		a.e = c.to(a.e, record.String)
	}
	if a.e.Type() != record.String {
		c.fault(x.Pos, "LIKE of %v, expected text", typeOf(a))
		return v, false
	}
	pattern, ok := c.constant(x.Pattern, l, "the pattern of LIKE")
	if !ok {
		return v, false
	}
	if x.Glob {
		e, err := expr.Glob(a.e, pattern)
		return c.made(x.Pattern.Start(), e, err)
	}
	escape := '\\'
	if x.Escape != nil {
		text, ok := c.constant(x.Escape, l, "the escape of LIKE")
		if !ok {
			return v, false
		}
		runes := []rune(text)
		if len(runes) > 1 {
			c.fault(x.Escape.Start(), "the escape of LIKE is one character")
			return v, false
		}
		escape = 0
		if len(runes) == 1 {
			escape = runes[0]
		}
	}
	if x.Similar {
		e, err := expr.Similar(a.e, pattern, escape)
		return c.made(x.Pattern.Start(), e, err)
	}
	e, err := expr.Like(a.e, pattern, escape, x.ILike)
	if err != nil {
		c.fault(x.Pattern.Start(), "%s", said(err))
		return v, false
	}
	return value{e: e}, true
}
