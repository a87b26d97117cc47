package syntax

import (
	"slices"
	"strconv"
	"strings"
)

// call parses what follows the name of a function.
func (p *parser) call(name string, pos Pos) Expr {
	e := &Call{Pos: pos, Name: name}
	p.parenthesised(func() {
		switch name {
		case "extract":
			p.extract(e)
		case "substring":
			p.substring(e)
		case "position":
			e.Args = append(e.Args, p.expr(membership+1, true))
			p.expect("IN")
			e.Args = append(e.Args, p.expr(membership+1, true))
		case "trim":
			p.trim(e)
		case "overlay":
			p.overlay(e)
		default:
			p.arguments(e)
		}
	})
	if p.is("WITHIN", "GROUP") {
		p.next()
		p.next()
		p.parenthesised(func() {
			p.expect("ORDER", "BY")
			e.WithinGroup = p.orders()
		})
	}
	if p.is("FILTER", "(") {
		p.next()
		p.parenthesised(func() {
			p.expect("WHERE")
			e.Filter = p.expr(lowest, false)
		})
	}
	if p.is("OVER") {
		e.Over = p.over()
	}
	return e
}

// arguments parses the arguments of an ordinary function.
func (p *parser) arguments(e *Call) {
	switch {
	case p.is(")"):
		return
	case p.accept("*"):
		e.Star = true
		return
	case p.accept("DISTINCT"):
		e.Distinct = true
	default:
		p.accept("ALL")
	}
	for {
		if p.isNamed() {
			p.byName(e)
			return
		}
		e.Args = append(e.Args, p.expr(lowest, false))
		if !p.accept(",") {
			break
		}
	}
	if p.accept("ORDER") {
		p.expect("BY")
		e.OrderBy = p.orders()
	}
}

// parameters are the names of the arguments of the functions that have names for them, as in
// PostgreSQL. What is left out of make_interval is 0.
var parameters = map[string][]string{
	"make_date": {"year", "month", "day"}, "make_time": {"hour", "min", "sec"},
	"make_timestamp": {"year", "month", "mday", "hour", "min", "sec"},
	"make_interval":  {"years", "months", "weeks", "days", "hours", "mins", "secs"},
}

// isNamed says whether an argument with a name comes next: name => x, or name := x.
func (p *parser) isNamed() bool {
	t := p.peek()
	if t.Type != word && t.Type != quoted {
		return false
	}
	v := p.second().Value
	return v == "=>" || v == ":="
}

// byName parses arguments with names, which come after those without.
func (p *parser) byName(e *Call) {
	names := parameters[e.Name]
	if names == nil {
		fail(p.pos(), "arguments by name are those of make_date, make_interval, make_time and make_timestamp only: "+
			"write those of "+e.Name+" without names, in order")
	}
	given := make([]Expr, len(names))
	if len(e.Args) > len(names) {
		fail(p.pos(), e.Name+" has "+strconv.Itoa(len(names))+" arguments: "+strings.Join(names, ", "))
	}
	copy(given, e.Args)
	for {
		pos := p.pos()
		if !p.isNamed() {
			p.unexpected("an argument with a name, as before")
		}
		name, _ := p.label()
		i := slices.Index(names, name)
		switch {
		case i < 0:
			fail(pos, e.Name+" has no argument "+shown(name)+", expected "+strings.Join(names, ", "))
		case given[i] != nil:
			fail(pos, "the argument "+name+" is given twice")
		}
		p.next()
		given[i] = p.expr(lowest, false)
		if !p.accept(",") {
			break
		}
	}
	for i, x := range given {
		switch {
		case x != nil:
		case e.Name == "make_interval":
			given[i] = &Literal{Pos: e.Pos, Kind: Integer, Text: "0"}
		default:
			fail(e.Pos, e.Name+" lacks its argument "+names[i])
		}
	}
	e.Args = given
}

// extract parses field FROM x; the field is a word or a string.
func (p *parser) extract(e *Call) {
	field := &Literal{Pos: p.pos(), Kind: String}
	if t := p.peek(); t.Type == str || t.Type == estr {
		field.Text = p.stringValue()
	} else {
		var ok bool
		field.Text, ok = p.name()
		if !ok {
			p.unexpected("a field such as HOUR")
		}
	}
	p.expect("FROM")
	e.Args = []Expr{field, p.expr(lowest, false)}
}

// substring parses s FROM a FOR b, s FROM a, s FOR b, and s, a, b.
func (p *parser) substring(e *Call) {
	e.Args = p.list()
	if len(e.Args) != 1 {
		return
	}
	pos := p.pos()
	switch {
	case p.accept("FROM"):
		e.Args = append(e.Args, p.expr(lowest, false))
		if p.accept("FOR") {
			e.Args = append(e.Args, p.expr(lowest, false))
		}
	case p.accept("FOR"):
		e.Args = append(e.Args, &Literal{Pos: pos, Kind: Integer, Text: "1"}, p.expr(lowest, false))
	}
}

// trim parses [BOTH | LEADING | TRAILING] [chars] FROM s, and s, chars.
func (p *parser) trim(e *Call) {
	switch {
	case p.accept("LEADING"):
		e.Name = "ltrim"
	case p.accept("TRAILING"):
		e.Name = "rtrim"
	default:
		p.accept("BOTH")
	}
	if p.accept("FROM") {
		e.Args = p.list()
		return
	}
	e.Args = p.list()
	if len(e.Args) == 1 && p.accept("FROM") {
		e.Args = []Expr{p.expr(lowest, false), e.Args[0]}
	}
}

// overlay parses s PLACING r FROM a [FOR b], and s, r, a [, b].
func (p *parser) overlay(e *Call) {
	e.Args = p.list()
	if !p.accept("PLACING") {
		return
	}
	e.Args = append(e.Args, p.expr(lowest, false))
	p.expect("FROM")
	e.Args = append(e.Args, p.expr(lowest, false))
	if p.accept("FOR") {
		e.Args = append(e.Args, p.expr(lowest, false))
	}
}

// orders parses what follows ORDER BY.
func (p *parser) orders() (list []Order) {
	for {
		o := Order{Pos: p.pos()}
		if !p.accept("ALL") {
			o.Expr = p.expr(lowest, false)
		}
		if p.accept("DESC") {
			o.Desc = true
		} else {
			p.accept("ASC")
		}
		if p.accept("NULLS") {
			switch {
			case p.accept("FIRST"):
				o.Nulls = NullsFirst
			case p.accept("LAST"):
				o.Nulls = NullsLast
			default:
				p.unexpected("")
			}
		}
		list = append(list, o)
		if !p.accept(",") {
			return list
		}
	}
}
