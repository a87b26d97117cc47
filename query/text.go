package query

import (
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/internal/zone"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// constant is a text that does not depend on the record. what describes it, for the fault.
func (c *compiler) constant(e syntax.Expr, l leaf, what string) (string, bool) {
	v, ok := c.bind(e, l)
	if !ok {
		return "", false
	}
	k, is := v.e.Const()
	if !is || k.Null || v.e.Type() != record.String {
		c.fault(e.Start(), "%s must be a text constant", what)
		return "", false
	}
	return k.Text, true
}

// textOf is an argument that must be a text.
func (c *compiler) textOf(e syntax.Expr, l leaf, of string) (*expr.Expr, bool) {
	v, ok := c.bind(e, l)
	if !ok {
		return nil, false
	}
	return c.argument(v, record.String, e, of)
}

// matches is x ~ 'pattern' and similar operators: !~ does not match, ~* ignores case.
func (c *compiler) matches(x *syntax.Binary, l leaf) (v value, ok bool) {
	text, ok := c.textOf(x.X, l, x.Op)
	if !ok {
		return v, false
	}
	pattern, ok := c.constant(x.Y, l, "the regular expression of "+x.Op)
	if !ok {
		return v, false
	}
	flags := ""
	if strings.HasSuffix(x.Op, "*") {
		flags = "i"
	}
	e, err := expr.Regexp(expr.RegexpMatch, text, pattern, flags)
	v, ok = c.made(x.Y.Start(), e, err)
	if !ok || x.Op[0] == '~' {
		return v, ok
	}
	return c.make(x.Pos, expr.Not, v.e)
}

var regexpOps = map[string]expr.Op{
	"regexp_like":   expr.RegexpMatch,
	"regexp_substr": expr.RegexpFind, "regexp_count": expr.RegexpCount, "regexp_instr": expr.RegexpPlace,
}

// regexpExtract is regexp_extract(s, pattern [, group]), as in DuckDB: the empty text if there is
// no match.
func (c *compiler) regexpExtract(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 3) {
		return v, false
	}
	text, ok := c.textOf(x.Args[0], l, x.Name)
	if !ok {
		return v, false
	}
	pattern, ok := c.constant(x.Args[1], l, "the regular expression of "+x.Name)
	if !ok {
		return v, false
	}
	group := int64(0)
	if len(x.Args) == 3 {
		lit, is := x.Args[2].(*syntax.Literal)
		if is {
			group, is = number(lit)
		}
		if !is || group > 99 {
			c.fault(x.Args[2].Start(), "the group of %s must be a constant number", x.Name)
			return v, false
		}
	}
	found, err := expr.RegexpGroup(expr.RegexpFind, text, pattern, "", int(group))
	if err != nil {
		return c.made(x.Args[1].Start(), found, err)
	}
	// A text that is NULL stays NULL.
	isNull, ok := c.make(x.Pos, expr.IsNull, text)
	if !ok {
		return v, false
	}
	or, ok := c.make(x.Pos, expr.Coalesce, found, expr.Text(""))
	if !ok {
		return v, false
	}
	e, err := expr.Case(isNull.e, expr.Null(record.String), or.e)
	return c.made(x.Pos, e, err)
}

// similar is similar_to(s, pattern), the function of SIMILAR TO.
func (c *compiler) similar(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	return c.like(&syntax.Like{Pos: x.Pos, X: x.Args[0], Pattern: x.Args[1], Similar: true}, l)
}

// regexpCall is regexp_like(s, pattern [, flags]) and similar functions, and regexp_replace(s,
// pattern, replacement [, flags]).
func (c *compiler) regexpCall(x *syntax.Call, l leaf) (v value, ok bool) {
	least := 2
	if x.Name == "regexp_replace" {
		least = 3
	}
	if !c.arity(x, least, least+1) {
		return v, false
	}
	text, ok := c.textOf(x.Args[0], l, x.Name)
	if !ok {
		return v, false
	}
	var rest [3]string
	for i, what := range []string{"the regular expression", "the replacement", "the flags"} {
		at := i + 1
		if least == 2 && i == 1 {
			continue
		}
		if least == 2 && i == 2 {
			at = 2
		}
		if at >= len(x.Args) {
			continue
		}
		rest[i], ok = c.constant(x.Args[at], l, what+" of "+x.Name)
		if !ok {
			return v, false
		}
	}
	if least == 3 {
		e, err := expr.RegexpReplace(text, rest[0], rest[1], rest[2])
		return c.made(x.Args[1].Start(), e, err)
	}
	e, err := expr.Regexp(regexpOps[x.Name], text, rest[0], rest[2])
	return c.made(x.Args[1].Start(), e, err)
}

// zoneNamed is a time zone given by its name, a constant.
func (c *compiler) zoneNamed(e syntax.Expr, l leaf) (*time.Location, bool) {
	name, ok := c.constant(e, l, "a time zone")
	if !ok {
		return nil, false
	}
	in, err := zone.Load(name)
	if err != nil {
		c.fault(e.Start(), "%v", err)
	}
	return in, err == nil
}

// timezone is x AT TIME ZONE z. If x is an instant, the result is what a clock in z shows then. If
// x is what a clock shows, the result is the instant when a clock in z shows it.
func (c *compiler) timezone(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	in, ok := c.zoneNamed(x.Args[0], l)
	if !ok {
		return v, false
	}
	v, ok = c.bind(x.Args[1], l)
	if !ok {
		return v, false
	}
	wall := v.wall
	at, ok := c.argument(v, record.Timestamp, x.Args[1], "AT TIME ZONE")
	if !ok {
		return v, false
	}
	if wall {
		e, err := expr.FromZone(at, in)
		return c.made(x.Pos, e, err)
	}
	e, err := expr.InZone(at, in)
	v, ok = c.made(x.Pos, e, err)
	v.wall = true
	return v, ok
}

// toChar is to_char(at, format), to_char(number, format) or to_char(interval, format).
func (c *compiler) toChar(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 2) {
		return v, false
	}
	v, ok = c.bind(x.Args[0], l)
	if !ok {
		return v, false
	}
	format, ok := c.constant(x.Args[1], l, "the format of to_char")
	if !ok {
		return v, false
	}
	if isNumber(v.e.Type()) && !v.interval {
		e, err := expr.ToCharNumber(v.e, format)
		return c.made(x.Args[1].Start(), e, err)
	}
	if v.interval {
		if !c.fixed(v, x.Args[0]) || !c.isShown(v, x.Args[0]) {
			return v, false
		}
		_, isConst := v.e.Const()
		e, err := expr.ToCharInterval(v.e, format, isConst || c.isDifference(x.Args[0], l))
		return c.made(x.Args[1].Start(), e, err)
	}
	at, ok := c.argument(v, record.Timestamp, x.Args[0], "to_char")
	if !ok {
		return v, false
	}
	e, err := expr.ToChar(at, format)
	return c.made(x.Args[1].Start(), e, err)
}

// isDifference says whether an interval is the difference of two times: PostgreSQL has whole days
// and less than 24 hours of it.
func (c *compiler) isDifference(e syntax.Expr, l leaf) bool {
	x, is := e.(*syntax.Binary)
	if !is || x.Op != "-" {
		return false
	}
	a, okA := c.bind(x.X, l)
	b, okB := c.bind(x.Y, l)
	return okA && okB && !a.interval && !b.interval
}

// dateBin is date_bin(stride, at [, origin]). If no origin is given, it is 2001-01-01, a Monday, as
// in the examples of PostgreSQL.
func (c *compiler) dateBin(x *syntax.Call, l leaf) (v value, ok bool) {
	if !c.arity(x, 2, 3) {
		return v, false
	}
	stride, ok := c.bind(x.Args[0], l)
	if ok && stride.open {
		stride, ok = c.bind(&syntax.Cast{
			Pos: x.Args[0].Start(), X: x.Args[0],
			Type: syntax.TypeName{Pos: x.Args[0].Start(), Name: "interval"},
		}, l)
	}
	if !ok || !c.fixed(stride, x.Args[0]) {
		return v, false
	}
	if !stride.interval {
		c.fault(x.Args[0].Start(), "date_bin of %s, expected an interval such as INTERVAL '15 minutes'", typeOf(stride))
		return v, false
	}
	origin := expr.Int(record.Timestamp, time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	times := []*expr.Expr{nil, origin}
	for i, a := range x.Args[1:] {
		v, ok = c.bind(a, l)
		if !ok {
			return v, false
		}
		times[i], ok = c.argument(v, record.Timestamp, a, "date_bin")
		if !ok {
			return v, false
		}
	}
	return c.make(x.Pos, expr.DateBin, stride.e, times[0], times[1])
}

// parseTime is to_timestamp of a text and a format. to_timestamp of a number is an ordinary
// function.
func (c *compiler) parseTime(x *syntax.Call, l leaf) (v value, ok bool) {
	v, ok = c.bind(x.Args[0], l)
	if !ok {
		return v, false
	}
	text, ok := c.argument(v, record.String, x.Args[0], x.Name)
	if !ok {
		return v, false
	}
	format, ok := c.constant(x.Args[1], l, "the format of "+x.Name)
	if !ok {
		return v, false
	}
	e, err := expr.ParseTime(text, format)
	v, ok = c.made(x.Args[1].Start(), e, err)
	// As for a cast: if the text has no zone, the value is what a clock in some zone shows.
	v.wall = !strings.Contains(strings.ToUpper(format), "TZ") &&
		!slices.ContainsFunc([]string{"%z", "%Z", "%s"}, func(d string) bool {
			return strings.Contains(format, d)
		})
	return v, ok
}

// A path leads to a value within JSON: a->'b'->>'c'.
type path struct {
	base syntax.Expr
	keys []string
	text bool // the last step makes a text
}

// pathOf splits a path into its steps.
func (c *compiler) pathOf(x *syntax.Binary) (p path, ok bool) {
	p.text = x.Op == "->>"
	for {
		step, sign := x.Y, ""
		if u, is := step.(*syntax.Unary); is && u.Op == "-" { // an element, counted from the end
			step, sign = u.X, "-"
		}
		key, is := step.(*syntax.Literal)
		if !is || sign != "" && key.Kind != syntax.Integer || key.Kind != syntax.String && key.Kind != syntax.Integer {
			c.fault(x.Y.Start(), "the step of a path must be the name of a field, or the number of an element: "+
				"a->'b', a->0")
			return p, false
		}
		p.keys = append([]string{sign + key.Text}, p.keys...)
		before, is := x.X.(*syntax.Binary)
		if !is || before.Op != "->" {
			p.base = x.X
			return p, true
		}
		x = before
	}
}

// path binds a path: to the column of the source that has it, or to a function of a text that
// contains JSON.
func (c *compiler) path(x *syntax.Binary, l leaf) (v value, ok bool) {
	p, ok := c.pathOf(x)
	if !ok {
		return v, false
	}
	base := p.base
	keys := p.keys
	if id, is := base.(*syntax.Ident); is {
		for n := len(keys); n > 0; n-- {
			name := id.Name + "." + strings.Join(keys[:n], ".")
			if _, there := c.source.Index(name); there {
				base, keys = &syntax.Ident{Pos: id.Pos, Name: name}, keys[n:]
				break
			}
		}
	}
	v, ok = c.bind(base, l)
	if !ok {
		return v, false
	}
	if len(keys) == 0 {
		if p.text && v.e.Type() != record.String {
			v = value{e: c.to(v.e, record.String)}
		}
		return v, true
	}
	if v.e.Type() != record.String || v.open && isNullConst(v.e) {
		c.fault(x.Pos, "%s of %s, expected a text that has JSON", x.Op, typeOf(v))
		return value{}, false
	}
	e, err := expr.JSON(v.e, keys, p.text)
	return c.made(x.Pos, e, err)
}
