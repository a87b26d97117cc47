package query

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/internal/interval"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// value is an expression, with what SQL knows about it besides its type.
type value struct {
	e        *expr.Expr
	interval bool // the value is an interval in nanoseconds
	// months are the months of an interval, in addition to the nanoseconds. Only a constant has
	// any.
	months int
	// elapsed says that an interval is shown as days, and a time of less than a day with the same
	// sign. All are except for constants that were written otherwise, such as '36 hours'.
	elapsed bool
	// wall says that a timestamp is what a clock in some zone shows. AT TIME ZONE makes an instant
	// of such a timestamp, and such a timestamp of an instant.
	wall bool
	// date says that a timestamp is a date, as far as that is known: of columns it is not.
	date bool
	// open says that the value is a text constant or NULL, which takes the type of what it meets.
	open bool
}

// leaf binds the names and the aggregates of an expression, and whatever else stands for a column.
// done says that it has bound e, or has noted a fault.
type leaf func(e syntax.Expr) (v value, done, ok bool)

// sourceLeaf binds names to columns of the source. what names the clause, for the fault if there is
// an aggregate.
func (c *compiler) sourceLeaf(what string) leaf {
	return func(e syntax.Expr) (v value, done, ok bool) {
		switch x := e.(type) {
		case *syntax.Ident:
			if c.isJoined(x.Name) {
				v, ok = c.joinedColumn(x, what)
				return v, true, ok
			}
			i, ok := c.sourceColumn(x)
			if !ok {
				return v, true, false
			}
			return valueOf(expr.Column(c.source, i)), true, true
		case *syntax.Call:
			if isAggregate(x) {
				hint := ""
				if what == "WHERE" {
					hint = ": WHERE is for records, write HAVING"
				}
				c.fault(x.Pos, "the aggregate %s cannot be in %s%s", x.Name, what, hint)
				return v, true, false
			}
			if isWindow(x.Name) {
				c.fault(x.Pos, "%s(...) cannot be in %s; windows are what GROUP BY is for", x.Name, what)
				return v, true, false
			}
		}
		return v, false, false
	}
}

// sourceColumn is the column that a name stands for.
func (c *compiler) sourceColumn(x *syntax.Ident) (int, bool) {
	i, ok := c.source.Index(x.Name)
	if ok {
		return i, true
	}
	if isBound(x.Name) {
		c.fault(x.Pos, "%s is a column of windows: it can be in SELECT, HAVING and ORDER BY", x.Name)
		return 0, false
	}
	names := namesOf(c.source)
	for name := range c.fields {
		names = append(names, name)
	}
	slices.Sort(names[c.source.Len():])
	if c.source == noSource {
		c.fault(x.Pos, "there is no column %q: the query has no FROM", x.Name)
		return 0, false
	}
	hint := nearest(x.Name, names)
	switch {
	case clocks[strings.ToLower(x.Name)]:
		hint = ": write now(), or current_date"
	case c.text[min(int(x.Pos), len(c.text)-1)] == '"' && !strings.HasPrefix(hint, "; did you mean"):
		hint += "; a text is in single quotes: '" + strings.ReplaceAll(x.Name, "'", "''") + "'"
	}
	c.fault(x.Pos, "there is no column %q%s", x.Name, hint)
	return 0, false
}

// clocks are names that other databases have for the time.
var clocks = map[string]bool{
	"now": true, "sysdate": true, "systimestamp": true, "today": true, "getdate": true, "utcnow": true,
}

// groupLeaf binds keys of the groups, aggregates, and the bounds of windows to columns of the
// groups.
func (c *compiler) groupLeaf(e syntax.Expr) (v value, done, ok bool) {
	if x, is := e.(*syntax.Call); is && isGrouping(x) {
		v, ok = c.grouping(x)
		return v, true, ok
	}
	name, ok := c.keys[e.String()]
	if !ok {
		name, ok = c.aggregates[e.String()]
	}
	if id, isIdent := e.(*syntax.Ident); isIdent && !ok {
		name, ok = id.Name, isBound(id.Name) && c.window != nil
		if !ok {
			c.fault(id.Pos, "column %q must be in GROUP BY or in an aggregate", id.Name)
			return v, true, false
		}
	}
	if !ok {
		return v, false, false
	}
	i, found := c.inner.Index(name)
	if !found {
		c.fault(e.Start(), "%s cannot be read here", e)
		return v, true, false
	}
	kind := c.kinds[name]
	v = valueOf(expr.Column(c.inner, i))
	v.wall, v.date = kind.wall, kind.date
	return v, true, true
}

// over is an expression whose type is settled.
func (c *compiler) over(e syntax.Expr, l leaf) (*expr.Expr, bool) {
	v, ok := c.bind(e, l)
	if !ok {
		return nil, false
	}
	return c.settled(v, e)
}

// settled is the expression of a value whose type is settled.
func (c *compiler) settled(v value, e syntax.Expr) (*expr.Expr, bool) {
	if !c.fixed(v, e) {
		return nil, false
	}
	if !v.interval {
		return v.e, true
	}
	if !c.isShown(v, e) {
		return nil, false
	}
	x, err := expr.Retype(v.e, record.Interval)
	if err != nil {
		c.fault(e.Start(), "%s", said(err))
	}
	return x, err == nil
}

// fixed says whether a value has no months, which have no fixed length. If it has some, that is a
// fault.
func (c *compiler) fixed(v value, at syntax.Expr) bool {
	if v.months != 0 {
		c.fault(at.Start(), "%s: months and years have no fixed length: they can be added to a timestamp, and be "+
			"the size of tumble", at)
	}
	return v.months == 0
}

// condition is a boolean expression over the source.
func (c *compiler) condition(e syntax.Expr, what string) *expr.Expr {
	v, ok := c.bind(e, c.sourceLeaf(what))
	if !ok {
		return nil
	}
	return c.boolean(v, e, what)
}

// boolean is v as a boolean. If it is not one, the result is nil and there is a fault.
func (c *compiler) boolean(v value, at syntax.Expr, what string) *expr.Expr {
	v, ok := c.as(v, record.Bool, at)
	if ok && v.e.Type() != record.Bool {
		c.fault(at.Start(), "%s: %v is %v, expected boolean%s", what, at, v.e.Type(), conditionInstead(v))
		return nil
	}
	if !ok {
		return nil
	}
	return v.e
}

// as gives an open value a type; other values stay as they are.
func (c *compiler) as(v value, t record.Type, at syntax.Expr) (value, bool) {
	if !v.open || v.e.Type() == t {
		return v, true
	}
	k, _ := v.e.Const()
	if k.Null {
		return value{e: expr.Null(t)}, true
	}
	e, err := expr.Cast(v.e, t)
	if err == nil {
		if _, ok := e.Const(); ok {
			return value{e: e}, true
		}
		_, err = e.EvalFunc(nil)
	}
	text := reason(err)
	switch {
	case t == record.Timestamp:
		text = fmt.Sprintf("%q %s%s", k.Text, text, timeInstead(k.Text))
	case isNumber(t) && !strings.Contains(text, `"`):
		text = fmt.Sprintf("%q is %s of %v", k.Text, text, t)
	case isNumber(t):
		text += ", which it meets here; CAST(x AS text) makes a text of the other value"
	}
	c.fault(at.Start(), "%s", text)
	return v, false
}

// bind binds an expression.
func (c *compiler) bind(e syntax.Expr, l leaf) (v value, ok bool) {
	if x, is := e.(*syntax.Call); is && x.Over != nil {
		if v, done, ok := l(e); done {
			return v, ok
		}
		c.fault(x.Pos, "%s with OVER can be in SELECT, QUALIFY and ORDER BY only", x.Name)
		return v, false
	}
	if id, is := e.(*syntax.Ident); is && c.bareNow(id) {
		return c.now(&syntax.Call{Pos: id.Pos, Name: id.Name}, l)
	}
	if v, done, ok := l(e); done {
		return v, ok
	}
	switch x := e.(type) {
	case *syntax.Literal:
		return c.literal(x)
	case *syntax.Unary:
		return c.unary(x, l)
	case *syntax.Binary:
		return c.binary(x, l)
	case *syntax.IsNull:
		return c.negated(x.Pos, x.Not, func() (value, bool) { return c.call1(x.Pos, expr.IsNull, x.X, l) })
	case *syntax.IsTruth:
		return c.negated(x.Pos, x.Not, func() (value, bool) {
			a, ok := c.bind(x.X, l)
			if !ok {
				return v, false
			}
			b := c.boolean(a, x.X, "IS "+string(x.Truth))
			if b == nil {
				return v, false
			}
			op := map[syntax.Truth]expr.Op{
				syntax.True: expr.IsTrue, syntax.False: expr.IsFalse,
				syntax.Unknown: expr.IsNull,
			}[x.Truth]
			return c.make(x.Pos, op, b)
		})
	case *syntax.IsDistinct:
		return c.negated(x.Pos, x.Not, func() (value, bool) {
			args, ok := c.same(x.Pos, l, x.X, x.Y)
			if !ok {
				return v, false
			}
			return c.make(x.Pos, expr.Distinct, args...)
		})
	case *syntax.Value:
		return valueOf(x.Of.(*expr.Expr)), true
	case *syntax.In:
		return c.negated(x.Pos, x.Not, func() (value, bool) { return c.in(x, l) })
	case *syntax.Between:
		return c.negated(x.Pos, x.Not, func() (value, bool) {
			between := func(low, high syntax.Expr) syntax.Expr {
				return &syntax.Binary{
					Pos: x.Pos, Op: "AND", X: &syntax.Binary{Pos: x.Pos, Op: ">=", X: x.X, Y: low},
					Y: &syntax.Binary{Pos: x.Pos, Op: "<=", X: x.X, Y: high},
				}
			}
			e := between(x.Low, x.High)
			if x.Symmetric {
				e = &syntax.Binary{Pos: x.Pos, Op: "OR", X: e, Y: between(x.High, x.Low)}
			}
			return c.bind(e, l)
		})
	case *syntax.Like:
		return c.negated(x.Pos, x.Not, func() (value, bool) { return c.like(x, l) })
	case *syntax.Case:
		return c.caseOf(x, l)
	case *syntax.Cast:
		return c.cast(x, l)
	case *syntax.Call:
		return c.call(x, l)
	}
	c.fault(e.Start(), "%s is not there yet", e)
	return v, false
}

// make makes an operation; an error of it is a fault at pos.
func (c *compiler) make(pos syntax.Pos, op expr.Op, args ...*expr.Expr) (value, bool) {
	e, err := expr.New(op, args...)
	if err != nil {
		c.fault(pos, "%s", said(err))
		return value{}, false
	}
	return valueOf(e), true
}

func (c *compiler) negated(pos syntax.Pos, not bool, bind func() (value, bool)) (value, bool) {
	v, ok := bind()
	if !ok || !not {
		return v, ok
	}
	return c.make(pos, expr.Not, v.e)
}

func (c *compiler) call1(pos syntax.Pos, op expr.Op, x syntax.Expr, l leaf) (value, bool) {
	v, ok := c.bind(x, l)
	if !ok {
		return v, false
	}
	return c.make(pos, op, v.e)
}

// number is a literal that is a whole number.
func number(x *syntax.Literal) (int64, bool) {
	if x.Kind != syntax.Integer {
		return 0, false
	}
	n, err := strconv.ParseInt(x.Text, 10, 64)
	return n, err == nil
}

func (c *compiler) literal(x *syntax.Literal) (v value, ok bool) {
	parsed := func(t record.Type) (value, bool) {
		return c.as(value{e: expr.Text(x.Text), open: true}, t, x)
	}
	switch x.Kind {
	case syntax.Null:
		return value{e: expr.Null(record.String), open: true}, true
	case syntax.Bool:
		return value{e: expr.Bool(strings.EqualFold(x.Text, "true"))}, true
	case syntax.Integer:
		if n, ok := number(x); ok {
			return value{e: expr.Int(record.Int64, n)}, true
		}
		if digits := len(strings.TrimLeft(x.Text, "0")); digits <= record.MaxDigits {
			return parsed(record.DecimalOf(digits, 0))
		}
		return parsed(record.Float64)
	case syntax.Decimal:
		whole, fraction, _ := strings.Cut(strings.TrimLeft(x.Text, "0"), ".")
		digits := len(whole) + len(fraction)
		if !strings.ContainsAny(x.Text, "eE") && digits <= record.MaxDigits && digits > 0 {
			return parsed(record.DecimalOf(digits, len(fraction)))
		}
		return parsed(record.Float64)
	case syntax.String:
		return value{e: expr.Text(x.Text), open: true}, true
	case syntax.Interval:
		return c.interval(x.Pos, x.Text, x.Unit)
	case syntax.Date:
		v, ok = parsed(record.Timestamp)
		if !ok {
			return v, false
		}
		v, ok = c.day(v, x.Pos)
		v.wall, v.date = true, true
		return v, ok
	case syntax.Timestamp, syntax.TimestampTZ:
		v, ok = parsed(record.Timestamp)
		v.wall = x.Kind == syntax.Timestamp
		return v, ok
	}
	c.fault(x.Pos, "%s is not there yet", x)
	return v, false
}

func (c *compiler) unary(x *syntax.Unary, l leaf) (v value, ok bool) {
	if lit, is := x.X.(*syntax.Literal); is && x.Op == "-" && lit.Kind == syntax.Integer {
		// The least bigint is not the negation of a bigint.
		if n, err := strconv.ParseInt("-"+lit.Text, 10, 64); err == nil {
			return value{e: expr.Int(record.Int64, n)}, true
		}
	}
	v, ok = c.bind(x.X, l)
	if !ok {
		return v, false
	}
	if x.Op == "NOT" {
		b := c.boolean(v, x.X, "NOT")
		if b == nil {
			return v, false
		}
		return c.make(x.Pos, expr.Not, b)
	}
	if x.Op == "~" {
		e, ok := c.argument(v, record.Int64, x.X, "~")
		if !ok {
			return v, false
		}
		return c.make(x.Pos, expr.BitNot, e)
	}
	v, ok = c.as(v, record.Float64, x.X)
	if !ok || x.Op == "+" {
		return v, ok
	}
	of := v
	v, ok = c.make(x.Pos, expr.Neg, v.e)
	v.interval, v.elapsed, v.months = of.interval, of.elapsed, -of.months
	return v, ok
}

var comparisons = map[string]expr.Op{
	"=": expr.Eq, "<>": expr.Ne, "<": expr.Lt, "<=": expr.Le, ">": expr.Gt,
	">=": expr.Ge,
}

var arithmetics = map[string]expr.Op{"+": expr.Add, "-": expr.Sub, "*": expr.Mul, "/": expr.Div, "%": expr.Mod}

func (c *compiler) binary(x *syntax.Binary, l leaf) (v value, ok bool) {
	switch x.Op {
	case "AND", "OR":
		a, okA := c.bind(x.X, l)
		b, okB := c.bind(x.Y, l)
		if !okA || !okB {
			return v, false
		}
		p, q := c.boolean(a, x.X, x.Op), c.boolean(b, x.Y, x.Op)
		if p == nil || q == nil {
			return v, false
		}
		return c.make(x.Pos, map[string]expr.Op{"AND": expr.And, "OR": expr.Or}[x.Op], p, q)
	case "||":
		a, okA := c.bind(x.X, l)
		b, okB := c.bind(x.Y, l)
		if !okA || !okB {
			return v, false
		}
		bytesA, bytesB := a.e.Type() == record.Bytes, b.e.Type() == record.Bytes
		if bytesA && (b.open || bytesB) || a.open && bytesB {
			return c.joinBytes(x, a, b)
		}
		if a.e.Type() != record.String && b.e.Type() != record.String {
			c.fault(x.Pos, "%v || %v: one of them must be a text", a.e.Type(), b.e.Type())
			return v, false
		}
		return c.texts(x.Pos, expr.Join, a.e, b.e)
	case "~", "~*", "!~", "!~*":
		return c.matches(x, l)
	case "->", "->>":
		return c.path(x, l)
	case "&", "|", "#", "<<", ">>":
		return c.bits(x, l)
	case "^":
		return c.call(&syntax.Call{Pos: x.Pos, Name: "power", Args: []syntax.Expr{x.X, x.Y}}, l)
	}
	a, okA := c.bind(x.X, l)
	b, okB := c.bind(x.Y, l)
	if !okA || !okB {
		return v, false
	}
	op, ok := comparisons[x.Op]
	if !ok {
		return c.arithmetic(x, a, b)
	}
	values := []value{a, b}
	ok = c.jsonCompared(x.X, x.Y) && c.exact([]syntax.Expr{x.X, x.Y}, values)
	if !ok {
		return v, false
	}
	if op, p, q, ok := coarser(op, values[0], values[1]); ok {
		return c.make(x.Pos, op, p, q)
	}
	args, ok := c.unify(x.Pos, []syntax.Expr{x.X, x.Y}, values)
	if !ok {
		return v, false
	}
	return c.make(x.Pos, op, args...)
}

// turned has each comparison with its sides exchanged.
var turned = map[expr.Op]expr.Op{
	expr.Eq: expr.Eq, expr.Ne: expr.Ne, expr.Lt: expr.Gt, expr.Le: expr.Ge,
	expr.Gt: expr.Lt, expr.Ge: expr.Le,
}

// coarser handles a comparison of a bigint or a decimal with a constant that has more decimals. It
// returns a comparison with a constant of equally many decimals, so that no value gets more digits
// than a decimal may have.
func coarser(op expr.Op, a, b value) (_ expr.Op, p, q *expr.Expr, ok bool) {
	_, constantB := b.e.Const()
	if _, constant := a.e.Const(); constant && !(constantB && isDecimal(b.e.Type())) {
		a, b, op = b, a, turned[op]
	}
	k, constant := b.e.Const()
	t := a.e.Type()
	if t != record.Int64 && !isDecimal(t) || a.interval || a.open || !isDecimal(b.e.Type()) || !constant || k.Null ||
		isDecimal(t) && t.Scale() >= scaleOf(b.e) {
		return op, nil, nil, false
	}
	number := record.Decimal{Unscaled: int64(k.Bits), Scale: uint8(scaleOf(b.e))}.Wide()
	if wide, is := b.e.WideConst(); is {
		number = wide
	}
	whole, cut := number.Floor(t.Scale())
	least, fits := whole.Decimal()
	if !t.IsWide() && !fits {
		return op, nil, nil, false
	}
	switch {
	case !cut:
	case op == expr.Eq:
		return expr.Ne, a.e, a.e, true // false, but NULL for NULL
	case op == expr.Ne:
		return expr.Eq, a.e, a.e, true
	case op == expr.Lt:
		op = expr.Le
	case op == expr.Ge:
		op = expr.Gt
	}
	if t.IsWide() {
		return op, a.e, expr.Wide(t, whole), true
	}
	return op, a.e, expr.Int(t, least.Unscaled), true
}

// arithmetic is + - * / and % of numbers, times and intervals.
func (c *compiler) arithmetic(x *syntax.Binary, a, b value) (v value, ok bool) {
	timeA, timeB := a.e.Type() == record.Timestamp, b.e.Type() == record.Timestamp
	if v, done, ok := c.days(x, a, b); done {
		return v, ok
	}
	if v, done, ok := c.clocks(x, a, b); done {
		return v, ok
	}
	switch {
	case x.Op == "+" && timeA && b.interval:
		return c.later(x.Pos, a, b)
	case x.Op == "+" && a.interval && timeB:
		return c.later(x.Pos, b, a)
	case x.Op == "-" && timeA && b.interval:
		months := b.months
		b, ok = c.make(x.Pos, expr.Neg, b.e)
		if !ok {
			return v, false
		}
		b.months = -months
		return c.later(x.Pos, a, b)
	case !c.fixed(a, x.X) || !c.fixed(b, x.Y):
		return v, false
	case x.Op == "-" && timeA && (timeB || b.open):
		b, ok = c.as(b, record.Timestamp, x.Y)
		if !ok {
			return v, false
		}
		v, ok = c.make(x.Pos, expr.SubTimes, a.e, b.e)
		v.interval, v.elapsed = true, true
		return v, ok
	case a.interval || b.interval:
		return c.intervals(x, a, b)
	case timeA || timeB:
		return c.notDefined(x, a, b)
	}
	return c.numeric(x, a, b)
}

// numeric is arithmetic of two numbers, of which a decimal meets a decimal of its scale, and a
// double a double.
func (c *compiler) numeric(x *syntax.Binary, a, b value) (v value, ok bool) {
	values := []value{a, b}
	ok = c.exact([]syntax.Expr{x.X, x.Y}, values)
	if !ok {
		return v, false
	}
	a, b = values[0], values[1]
	if a.open {
		a, ok = c.as(a, b.e.Type(), x.X)
	} else {
		b, ok = c.as(b, a.e.Type(), x.Y)
	}
	if !ok {
		return v, false
	}
	p, q := a.e, b.e
	if !isNumber(p.Type()) || !isNumber(q.Type()) {
		return c.notDefined(x, a, b)
	}
	decimal := isDecimal(p.Type()) || isDecimal(q.Type())
	wide := p.Type().IsWide() || q.Type().IsWide() || x.Op == "*" && scaleOf(p)+scaleOf(q) > record.MaxPrecision
	switch {
	case p.Type() == record.Float64 || q.Type() == record.Float64 || decimal && !wide && x.Op == "/":
		if x.Op == "%" {
			c.fault(x.Pos, "%v %% %v is not defined", p.Type(), q.Type())
			return v, false
		}
		p, q = c.to(p, record.Float64), c.to(q, record.Float64)
	case decimal && (x.Op == "*" || x.Op == "/"):
		p, q = c.toDecimal(p, wide, scaleOf(p)), c.toDecimal(q, wide, scaleOf(q))
	case decimal:
		scale := max(scaleOf(p), scaleOf(q))
		p, q = c.toDecimal(p, wide, scale), c.toDecimal(q, wide, scale)
	}
	return c.make(x.Pos, arithmetics[x.Op], p, q)
}

// notDefined reports an operation that there is not, and what may have been meant.
func (c *compiler) notDefined(x *syntax.Binary, a, b value) (v value, ok bool) {
	hint := ""
	switch {
	case x.Op == "+" && (a.e.Type() == record.String && !a.open || b.e.Type() == record.String && !b.open):
		hint = ": texts are joined with ||"
	case (x.Op == "+" || x.Op == "-") && a.e.Type() == record.Timestamp && !b.interval &&
		(b.open || b.e.Type() == record.Int64):
		hint = fmt.Sprintf(": write %s %s INTERVAL '1 day'", x.X, x.Op)
	}
	c.fault(x.Pos, "%s %s %s is not defined%s", typeOf(a), x.Op, typeOf(b), hint)
	return v, false
}

// scaled is an interval times or by a number that is not whole, by way of floats and to the
// microsecond as in PostgreSQL.
func (c *compiler) scaled(x *syntax.Binary, a, b value) (v value, ok bool) {
	if b.interval {
		a, b = b, a
	}
	v, ok = c.make(x.Pos, arithmetics[x.Op], c.to(a.e, record.Float64), c.to(b.e, record.Float64))
	if !ok {
		return v, false
	}
	v, ok = c.make(x.Pos, expr.Div, v.e, expr.Float(1000))
	if !ok {
		return v, false
	}
	v, ok = c.make(x.Pos, expr.Mul, c.to(v.e, record.Int64), expr.Int(record.Int64, 1000))
	v.interval, v.elapsed = true, true
	return v, ok
}

// later is a timestamp plus an interval: first its months are added, then the rest.
func (c *compiler) later(pos syntax.Pos, at, by value) (v value, ok bool) {
	v = at
	if by.months != 0 {
		e, err := expr.AddMonths(at.e, by.months)
		if err != nil {
			c.fault(pos, "%s", said(err))
			return v, false
		}
		v.e = e
		if isZero(by.e) {
			return v, true
		}
	}
	sum, ok := c.make(pos, expr.AddNanos, v.e, by.e)
	sum.wall = at.wall
	return sum, ok
}

// isZero says whether a value is the constant 0.
func isZero(e *expr.Expr) bool {
	k, ok := e.Const()
	return ok && !k.Null && k.Bits == 0
}

// typeOf names the type of a value.
func typeOf(v value) string {
	switch {
	case v.interval:
		return "interval"
	case v.open:
		return "an unknown type"
	}
	return v.e.Type().String()
}

func isNumber(t record.Type) bool { return t == record.Int64 || t == record.Float64 || isDecimal(t) }

// isDecimal says whether a type is a decimal, of one word or wide.
func isDecimal(t record.Type) bool { return t.IsDecimal() || t.IsWide() }

// decimalOf is the decimal type with the most digits there may be, wide or not, of which scale are
// after the point.
func decimalOf(wide bool, scale int) record.Type {
	if wide {
		return record.DecimalOf(record.MaxDigits, scale)
	}
	return record.DecimalOf(record.MaxPrecision, scale)
}

// withDigits is the decimal type for a constant with that many digits, scale of them after the
// point.
func withDigits(digits, scale int) record.Type { return decimalOf(digits > record.MaxPrecision, scale) }

func scaleOf(e *expr.Expr) int { return e.Type().Scale() }

// to is a cast that is known to exist.
func (c *compiler) to(e *expr.Expr, t record.Type) *expr.Expr {
	x, err := expr.Cast(e, t)
	if err != nil {
		panic(fmt.Sprintf("query: %v", err)) // the caller has checked it
	}
	return x
}

// toDecimal is a number as a decimal of a scale, wide or not.
func (c *compiler) toDecimal(e *expr.Expr, wide bool, scale int) *expr.Expr {
	t := e.Type()
	if isDecimal(t) && t.IsWide() == wide && t.Scale() == scale {
		return e
	}
	return c.to(e, decimalOf(wide, scale))
}

// same binds expressions and converts them to one type.
func (c *compiler) same(pos syntax.Pos, l leaf, all ...syntax.Expr) ([]*expr.Expr, bool) {
	var values []value
	bound := true
	for _, e := range all {
		v, ok := c.bind(e, l)
		values, bound = append(values, v), bound && ok
	}
	if !bound {
		return nil, false
	}
	return c.unify(pos, all, values)
}

// unify converts values to one type: the type of those which are not open, or for numbers, a type
// that holds all of them.
func (c *compiler) unify(pos syntax.Pos, all []syntax.Expr, values []value) ([]*expr.Expr, bool) {
	t, intervals, wide, scale := record.Type(0), 0, false, 0
	if !c.exact(all, values) {
		return nil, false
	}
	for i, v := range values {
		switch u := v.e.Type(); {
		case !c.fixed(v, all[i]):
			return nil, false
		case v.interval:
			intervals++
		case v.open:
			continue
		case t == 0 || t == u:
			t = u
		case t == record.Float64 && isNumber(u):
		case isNumber(t) && isNumber(u) && u == record.Float64:
			t = u
		case isNumber(t) && isNumber(u):
			t = record.DecimalOf(record.MaxPrecision, 0)
		default:
			c.fault(pos, "%v and %v do not fit each other: %s, %s; CAST(x AS %v) makes one of the other", t, u, all[0],
				all[i], t)
			return nil, false
		}
		wide, scale = wide || v.e.Type().IsWide(), max(scale, v.e.Type().Scale())
	}
	switch {
	case intervals > 0 && t != 0:
		c.fault(pos, "interval and %v do not fit each other", t)
		return nil, false
	case intervals > 0:
		t = record.Int64
	case t == 0:
		t = record.String
	case isDecimal(t):
		t = decimalOf(wide, scale)
	}
	var args []*expr.Expr
	for i, v := range values {
		if v.open && intervals > 0 {
			k, _ := v.e.Const()
			d, err := interval.Fixed(k.Text, "")
			switch {
			case k.Null:
				v = value{e: expr.Null(record.Int64)}
			case err != nil:
				c.fault(all[i].Start(), "%v", err)
				return nil, false
			default:
				v = value{e: expr.Int(record.Int64, int64(d))}
			}
		}
		if isDecimal(t) {
			v.e = c.numberOf(v, wide, scale)
		} else if t == record.Float64 && !v.open {
			v.e = c.to(v.e, t)
		}
		v, ok := c.as(v, t, all[i])
		if !ok {
			return nil, false
		}
		if intervals > 0 {
			typed, err := expr.Retype(v.e, record.Interval)
			if err != nil {
				c.fault(pos, "%s", said(err))
				return nil, false
			}
			v.e = typed
		}
		args = append(args, v.e)
	}
	return args, true
}

// exact makes numbers of the text constants that appear together with decimals. They keep the
// digits with which they are written: the decimals of a column would round them.
func (c *compiler) exact(all []syntax.Expr, values []value) bool {
	decimals := false
	for _, v := range values {
		if t := v.e.Type(); !v.open && (t == record.Float64 || !isNumber(t)) {
			return true
		}
		decimals = decimals || isDecimal(v.e.Type())
	}
	if !decimals {
		return true
	}
	for i, v := range values {
		k, _ := v.e.Const()
		if !v.open || k.Null {
			continue
		}
		text := strings.Trim(k.Text, " \t\n\r\f\v")
		digits := strings.TrimLeft(text, "+-")
		if strings.Trim(digits, "0123456789.") != "" { // with an exponent, or not a number
			continue
		}
		whole, fraction, _ := strings.Cut(digits, ".")
		whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
		if len(whole)+len(fraction) > record.MaxDigits {
			c.fault(all[i].Start(), "%s has more than %d digits", all[i], record.MaxDigits)
			return false
		}
		v, ok := c.as(v, withDigits(len(whole)+len(fraction), len(fraction)), all[i])
		if !ok {
			return false
		}
		values[i] = v
	}
	return true
}

// numberOf is a number as a decimal of a scale; an open value stays open.
func (c *compiler) numberOf(v value, wide bool, scale int) *expr.Expr {
	if v.open {
		return v.e
	}
	return c.toDecimal(v.e, wide, scale)
}

func (c *compiler) caseOf(x *syntax.Case, l leaf) (v value, ok bool) {
	var conditions []*expr.Expr
	var values []syntax.Expr
	good := true
	for _, w := range x.Whens {
		when := w.When
		if x.Operand != nil {
			when = &syntax.Binary{Pos: w.Pos, Op: "=", X: x.Operand, Y: w.When}
		}
		cond, ok := c.bind(when, l)
		if ok {
			b := c.boolean(cond, when, "WHEN")
			conditions, ok = append(conditions, b), b != nil
		}
		good = good && ok
		values = append(values, w.Then)
	}
	if x.Else != nil {
		values = append(values, x.Else)
	} else {
		values = append(values, &syntax.Literal{Pos: x.Pos, Kind: syntax.Null})
	}
	args, ok := c.same(x.Pos, l, values...)
	if !ok || !good {
		return v, false
	}
	var all []*expr.Expr
	for i, cond := range conditions {
		all = append(all, cond, args[i])
	}
	e, err := expr.Case(append(all, args[len(args)-1])...)
	return c.made(x.Pos, e, err)
}

// day is a timestamp without its time of day.
func (c *compiler) day(v value, pos syntax.Pos) (value, bool) {
	e, err := expr.DateTrunc("day", v.e)
	if err != nil {
		c.fault(pos, "%s", said(err))
		return v, false
	}
	return value{e: e}, true
}
