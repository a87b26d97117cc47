package syntax

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
	e.Args = p.list()
	if p.accept("ORDER") {
		p.expect("BY")
		e.OrderBy = p.orders()
	}
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
