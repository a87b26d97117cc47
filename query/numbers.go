package query

import (
	"math"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// numberFunctions are functions of numbers that are not in the table functions.
var numberFunctions = map[string]func(*compiler, *syntax.Call, leaf) (value, bool){
	"round": (*compiler).round, "trunc": (*compiler).round, "truncate": (*compiler).round,
	"log": (*compiler).log, "pi": (*compiler).pi,
}

// mathFunction is a function of one float by its name.
func (c *compiler) mathFunction(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 1) {
		return v, false
	}
	v, ok = c.bind(x.Args[0], l)
	if !ok {
		return v, false
	}
	e, ok := c.argument(v, record.Float64, x.Args[0], x.Name)
	if !ok {
		return v, false
	}
	e, err := expr.Math(x.Name, e)
	return c.made(x.Pos, e, err)
}

// pi is pi().
func (c *compiler) pi(x *syntax.Call, _ leaf) (v value, ok bool) {
	return value{e: expr.Float(math.Pi)}, c.arity(x, 0, 0)
}

// log is log(x) to the base 10, and log(b, x).
func (c *compiler) log(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 2) {
		return v, false
	}
	if len(x.Args) == 1 {
		return c.function(x, l)
	}
	of := func(name string, arg syntax.Expr) *syntax.Call {
		return &syntax.Call{Pos: x.Pos, Name: name, Args: []syntax.Expr{arg}}
	}
	if b, is := x.Args[0].(*syntax.Literal); is {
		if n, whole := number(b); whole && (n == 2 || n == 10) {
			return c.call(of(map[int64]string{2: "log2", 10: "log10"}[n], x.Args[1]), l)
		}
	}
	return c.bind(&syntax.Binary{Pos: x.Pos, Op: "/", X: of("ln", x.Args[1]), Y: of("ln", x.Args[0])}, l)
}

// round is round(x), round(x, n), trunc(x) and trunc(x, n); n is a constant.
func (c *compiler) round(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 2) {
		return v, false
	}
	arg := x.Args[0]
	if cast, is := arg.(*syntax.Cast); is && !cast.Try && len(x.Args) == 2 && len(cast.Type.Args) == 0 &&
		(cast.Type.Name == "numeric" || cast.Type.Name == "decimal") {
		// round(x::numeric, 2) of a float: PostgreSQL has no other way to say it.
		if inner, ok := c.bind(cast.X, l); ok && inner.e.Type() == record.Float64 {
			arg = cast.X
		}
	}
	v, ok = c.bind(arg, l)
	if !ok {
		return v, false
	}
	e, ok := c.argument(v, anyNumber, arg, x.Name)
	if !ok {
		return v, false
	}
	op := expr.Trunc
	if x.Name == "round" {
		op = expr.Round
	}
	if len(x.Args) == 1 {
		if op == expr.Round {
			e = expr.RoundQuotient(e, 0)
		}
		return c.make(x.Pos, op, e)
	}
	d, ok := c.bind(x.Args[1], l)
	if !ok {
		return v, false
	}
	k, constant := d.e.Const()
	n, most := int64(k.Bits), record.MaxPrecision
	if e.Type().IsWide() {
		most = record.MaxDigits
	}
	if !constant || d.e.Type() != record.Int64 || d.interval || k.Null || n > int64(most) || n < -400 {
		c.fault(x.Args[1].Start(), "the digits of %s must be a constant, up to %d", x.Name, most)
		return v, false
	}
	if op == expr.Round && n >= 0 {
		e = expr.RoundQuotient(e, int(n))
	}
	if t := e.Type(); n >= 0 && (t == record.Int64 || isDecimal(t) && int(n) >= t.Scale()) {
		return value{e: e}, true
	}
	e, err := expr.RoundTo(e, int(n), op == expr.Trunc)
	return c.made(x.Pos, e, err)
}

var bitOps = map[string]expr.Op{
	"&": expr.BitAnd, "|": expr.BitOr, "#": expr.BitXor, "<<": expr.ShiftLeft, ">>": expr.ShiftRight,
}

// bits is an operator of the bits of two bigints.
func (c *compiler) bits(x *syntax.Binary, l leaf) (v value, ok bool) {
	var args []*expr.Expr
	for _, a := range []syntax.Expr{x.X, x.Y} {
		v, ok := c.bind(a, l)
		if !ok {
			return v, false
		}
		e, ok := c.argument(v, record.Int64, a, x.Op)
		if !ok {
			return value{}, false
		}
		args = append(args, e)
	}
	return c.make(x.Pos, bitOps[x.Op], args...)
}

// div is div(a, b) of bigints: the quotient, cut.
func (c *compiler) div(x *syntax.Call, l leaf) (v value, ok bool) {
	v, ok = c.bind(&syntax.Binary{Pos: x.Pos, Op: "/", X: x.Args[0], Y: x.Args[1]}, l)
	if ok && (v.e.Type() != record.Int64 || v.interval) {
		c.fault(x.Pos, "div of %s and %s, expected bigints: write trunc(a / b)", x.Args[0], x.Args[1])
		return v, false
	}
	return v, ok
}
