package query

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// function is a scalar function: its operation and the types of its arguments, of which the last may be left out where optional is set.
type function struct {
	op       expr.Op
	args     []record.Type
	optional bool
}

const (
	anyNumber = record.Type(0) // what the operation takes
)

var functions = map[string]function{
	"lower": {expr.Lower, []record.Type{record.String}, false}, "upper": {expr.Upper, []record.Type{record.String}, false},
	"length": {expr.Length, []record.Type{record.String}, false}, "char_length": {expr.Length, []record.Type{record.String}, false},
	"substring": {expr.Substring, []record.Type{record.String, record.Int64, record.Int64}, true}, "substr": {expr.Substring, []record.Type{record.String, record.Int64, record.Int64}, true},
	"trim": {expr.Trim, []record.Type{record.String, record.String}, true}, "btrim": {expr.Trim, []record.Type{record.String, record.String}, true},
	"ltrim": {expr.TrimLeft, []record.Type{record.String, record.String}, true}, "rtrim": {expr.TrimRight, []record.Type{record.String, record.String}, true},
	"split_part": {expr.SplitPart, []record.Type{record.String, record.String, record.Int64}, false},
	"replace":    {expr.Replace, []record.Type{record.String, record.String, record.String}, false},
	"position":   {expr.Position, []record.Type{record.String, record.String}, false},
	"abs":        {expr.Abs, []record.Type{anyNumber}, false}, "sign": {expr.Sign, []record.Type{anyNumber}, false},
	"floor": {expr.Floor, []record.Type{anyNumber}, false}, "ceil": {expr.Ceil, []record.Type{anyNumber}, false}, "ceiling": {expr.Ceil, []record.Type{anyNumber}, false},
	"trunc": {expr.Trunc, []record.Type{anyNumber}, false},
	"power": {expr.Power, []record.Type{record.Float64, record.Float64}, false}, "pow": {expr.Power, []record.Type{record.Float64, record.Float64}, false},
	"sqrt": {expr.Sqrt, []record.Type{record.Float64}, false}, "ln": {expr.Ln, []record.Type{record.Float64}, false}, "exp": {expr.Exp, []record.Type{record.Float64}, false},
	"to_timestamp": {expr.ToTimestamp, []record.Type{record.Float64}, false},
}

// call binds a call of a scalar function.
func (c *compiler) call(x *syntax.Call, l leaf) (v value, ok bool) {
	if c.unknown(x) {
		return v, false
	}
	if x.Distinct || x.Star || x.Filter != nil || len(x.OrderBy)+len(x.WithinGroup) > 0 {
		c.fault(x.Pos, "%s is no aggregate", x.Name)
		return v, false
	}
	switch x.Name {
	case "coalesce", "greatest", "least":
		args, ok := c.same(x.Pos, l, x.Args...)
		if !ok {
			return v, false
		}
		return c.make(x.Pos, map[string]expr.Op{"coalesce": expr.Coalesce, "greatest": expr.Greatest, "least": expr.Least}[x.Name], args...)
	case "nullif", "mod":
		if !c.arity(x, 2, 2) {
			return v, false
		}
		if x.Name == "mod" {
			return c.bind(&syntax.Binary{Pos: x.Pos, Op: "%", X: x.Args[0], Y: x.Args[1]}, l)
		}
		args, ok := c.same(x.Pos, l, x.Args...)
		if !ok {
			return v, false
		}
		return c.make(x.Pos, expr.NullIf, args...)
	case "concat":
		var args []*expr.Expr
		for _, a := range x.Args {
			v, ok := c.bind(a, l)
			if !ok {
				return v, false
			}
			if v.e.Type() == record.Bool {
				// PostgreSQL's concat has t and f where its || has true and false.
				letter, err := expr.Case(v.e, expr.Text("t"), expr.Text("f"))
				isNull, ok := c.make(x.Pos, expr.IsNull, v.e)
				if err == nil && ok {
					v.e, err = expr.Case(isNull.e, expr.Null(record.String), letter)
				}
				if err != nil || !ok {
					c.fault(x.Pos, "concat: %v", err)
					return value{}, false
				}
			}
			args = append(args, v.e)
		}
		return c.texts(x.Pos, expr.Concat, args...)
	case "extract", "date_part", "date_trunc":
		return c.timeField(x, l)
	case "round":
		return c.round(x, l)
	case processingTime:
		c.fault(x.Pos, "%s() is the time of a window: GROUP BY tumble(%s(), INTERVAL '1 s')", processingTime, processingTime)
		return v, false
	case "now", "current_timestamp", "current_date", "random":
		c.fault(x.Pos, "%s() would make the result depend on when it is computed: use a column of the stream", x.Name)
		return v, false
	}
	f := functions[x.Name]
	least := len(f.args)
	if f.optional {
		least--
	}
	if !c.arity(x, least, len(f.args)) {
		return v, false
	}
	var args []*expr.Expr
	for i, a := range x.Args {
		v, ok := c.bind(a, l)
		if !ok {
			return v, false
		}
		e, ok := c.argument(v, f.args[i], a, x.Name)
		if !ok {
			return value{}, false
		}
		args = append(args, e)
	}
	return c.make(x.Pos, f.op, args...)
}

// special are the functions that are not bound by functions.
var special = []string{
	"coalesce", "greatest", "least", "nullif", "mod", "concat", "extract", "date_part", "date_trunc", "round", "now", "current_timestamp", "current_date", "random", processingTime,
}

// unknown says, with a fault, that there is no such function.
func (c *compiler) unknown(x *syntax.Call) bool {
	if _, known := functions[x.Name]; known || slices.Contains(special, x.Name) {
		return false
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(functions)), maps.Keys(aggregates))
	names = append(names, special...)
	slices.Sort(names)
	c.fault(x.Pos, "there is no function %q%s", x.Name, nearest(x.Name, names))
	return true
}

func (c *compiler) arity(x *syntax.Call, least, most int) bool {
	if n := len(x.Args); n < least || n > most {
		want := fmt.Sprint(least)
		if most > least {
			want = fmt.Sprintf("%d to %d", least, most)
		}
		c.fault(x.Pos, "%s of %d arguments, expected %s", x.Name, n, want)
		return false
	}
	return true
}

// argument is a value as an argument of a type: numbers become floats, decimals and floats no integers.
func (c *compiler) argument(v value, t record.Type, at syntax.Expr, of string) (*expr.Expr, bool) {
	want := t
	if t == anyNumber {
		want = record.Float64
	}
	v, ok := c.as(v, want, at)
	if !ok {
		return nil, false
	}
	u := v.e.Type()
	switch {
	case v.interval:
	case t == anyNumber && isNumber(u), u == t:
		return v.e, true
	case t == record.Float64 && isNumber(u):
		return c.to(v.e, t), true
	}
	c.fault(at.Start(), "%s of %s, expected %v", of, typeOf(v), map[bool]string{true: "a number", false: want.String()}[t == anyNumber])
	return nil, false
}

// texts is an operation of texts; other values become texts.
func (c *compiler) texts(pos syntax.Pos, op expr.Op, args ...*expr.Expr) (value, bool) {
	for i, a := range args {
		args[i] = c.to(a, record.String)
	}
	return c.make(pos, op, args...)
}

// timeField is extract and date_trunc.
func (c *compiler) timeField(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	name, is := x.Args[0].(*syntax.Literal)
	if !is || name.Kind != syntax.String {
		c.fault(x.Args[0].Start(), "the field of %s must be a text constant", x.Name)
		return v, false
	}
	field := strings.ToLower(name.Text)
	if v, ok = c.bind(x.Args[1], l); !ok {
		return v, false
	}
	if v.interval && field == "epoch" && x.Name != "date_trunc" {
		// By way of microseconds, which a float has of 285 years.
		if v, ok = c.make(x.Pos, expr.Div, v.e, expr.Int(record.Int64, 1000)); !ok {
			return v, false
		}
		return c.make(x.Pos, expr.Div, c.to(v.e, record.Float64), expr.Float(1e6))
	}
	e, ok := c.argument(v, record.Timestamp, x.Args[1], x.Name)
	if !ok {
		return v, false
	}
	var err error
	if x.Name == "date_trunc" {
		e, err = expr.DateTrunc(field, e)
	} else {
		e, err = expr.Extract(field, e)
	}
	if err != nil {
		c.fault(name.Pos, "%s", strings.TrimPrefix(err.Error(), "expr: "))
		return v, false
	}
	return value{e: e}, true
}

// round is round(x) and round(x, n), n a constant.
func (c *compiler) round(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 1, 2) {
		return v, false
	}
	if v, ok = c.bind(x.Args[0], l); !ok {
		return v, false
	}
	e, ok := c.argument(v, anyNumber, x.Args[0], "round")
	if !ok {
		return v, false
	}
	if len(x.Args) == 1 {
		return c.make(x.Pos, expr.Round, e)
	}
	lit, is := x.Args[1].(*syntax.Literal)
	n, whole := int64(0), false
	if is {
		n, whole = number(lit)
	}
	if !whole || n > record.MaxPrecision {
		c.fault(x.Args[1].Start(), "the digits of round must be a constant, 0 to %d", record.MaxPrecision)
		return v, false
	}
	switch t := e.Type(); {
	case t == record.Int64 || t.IsDecimal() && int(n) >= t.Scale():
		return value{e: e}, true
	case t.IsDecimal():
		return value{e: c.to(e, record.DecimalOf(min(record.MaxPrecision, t.Precision()-t.Scale()+int(n)+1), int(n)))}, true
	}
	// Of floats through a decimal, as PostgreSQL's round(x::numeric, n).
	return value{e: c.to(c.to(e, record.DecimalOf(record.MaxPrecision, int(n))), record.Float64)}, true
}
