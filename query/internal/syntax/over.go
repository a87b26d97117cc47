package syntax

import "strings"

// over parses OVER name, or OVER (...).
func (p *parser) over() *Over {
	p.next()
	if p.is("(") {
		return p.windowSpec()
	}
	o := &Over{Pos: p.pos()}
	var ok bool
	o.Name, ok = p.name()
	if !ok {
		p.unexpected("a window in parentheses, or the name of one")
	}
	return o
}

// windowSpec parses ([name] [PARTITION BY ...] [ORDER BY ...] [frame]).
func (p *parser) windowSpec() *Over {
	o := &Over{Pos: p.pos()}
	p.parenthesised(func() {
		if t := p.peek(); !p.is("PARTITION") && !p.isFrame() && (t.Type == quoted || t.Type == word &&
			keywords[t.Value].use != reserved) {
			o.Name, _ = p.name()
		}
		if p.accept("PARTITION") {
			p.expect("BY")
			o.PartitionBy = p.list()
		}
		if p.accept("ORDER") {
			p.expect("BY")
			o.OrderBy = p.orders()
		}
		if p.isFrame() {
			o.Frame = p.frame()
		}
		if p.is("exclude") && o.Frame == nil {
			fail(p.pos(), "EXCLUDE comes after a frame: ROWS, RANGE or GROUPS BETWEEN ...")
		}
	})
	return o
}

// isFrame says whether a frame begins here.
func (p *parser) isFrame() bool {
	switch p.peek().Value {
	case "ROWS", "range", "groups":
		switch p.second().Value {
		case "BETWEEN", "unbounded", "CURRENT":
			return true
		}
		return p.second().Type != symbol || strings.Contains("(-+", p.second().Value)
	}
	return false
}

// frame parses ROWS, RANGE or GROUPS, one bound or two.
func (p *parser) frame() *Frame {
	f := &Frame{Pos: p.pos(), Unit: strings.ToUpper(p.next().Value)}
	f.End = Bound{Kind: CurrentRow}
	if p.accept("BETWEEN") {
		f.Begin = p.bound()
		p.expect("AND")
		f.End = p.bound()
	} else {
		f.Begin = p.bound()
	}
	if f.Begin.Kind == UnboundedFollowing || f.End.Kind == UnboundedPreceding || f.Begin.Kind > f.End.Kind {
		fail(f.Pos, "the frame ends before it begins")
	}
	if p.accept("exclude") {
		f.Exclude = p.exclusion()
	}
	return f
}

// exclusion parses what follows EXCLUDE.
func (p *parser) exclusion() Exclusion {
	switch {
	case p.is("CURRENT", "ROW"):
		p.next()
		p.next()
		return ExcludeCurrentRow
	case p.accept("GROUP"):
		return ExcludeGroup
	case p.accept("ties"):
		return ExcludeTies
	case p.is("no", "others"):
		p.next()
		p.next()
		return ExcludeNoOthers
	}
	p.unexpected("CURRENT ROW, GROUP, TIES or NO OTHERS")
	return ExcludeNoOthers
}

// bound parses one bound of a frame.
func (p *parser) bound() (b Bound) {
	switch {
	case p.accept("CURRENT"):
		p.expect("ROW")
		return Bound{Kind: CurrentRow}
	case p.accept("unbounded"):
		switch {
		case p.accept("preceding"):
			return Bound{Kind: UnboundedPreceding}
		case p.accept("following"):
			return Bound{Kind: UnboundedFollowing}
		}
		p.unexpected("PRECEDING or FOLLOWING")
	}
	b.N = p.expr(additive, true)
	switch {
	case p.accept("preceding"):
		b.Kind = Preceding
	case p.accept("following"):
		b.Kind = Following
	default:
		p.unexpected("PRECEDING or FOLLOWING")
	}
	return b
}

// namedWindows parses name AS (...), ....
func (p *parser) namedWindows() (list []NamedWindow) {
	for {
		w := NamedWindow{Pos: p.pos()}
		var ok bool
		w.Name, ok = p.name()
		if !ok {
			p.unexpected("the name of a window")
		}
		p.expect("AS")
		w.Over = *p.windowSpec()
		list = append(list, w)
		if !p.accept(",") {
			return list
		}
	}
}

// grouping parses an item of GROUP BY: an expression, GROUPING SETS (...), ROLLUP (...), CUBE
// (...). Within GROUPING SETS a list in parentheses is one set.
func (p *parser) grouping(top bool) (e Expr) {
	g := &Grouping{Pos: p.pos()}
	switch {
	case p.is("grouping", "sets"):
		p.next()
		g.Kind = "GROUPING SETS"
	case p.is("rollup", "("):
		g.Kind = "ROLLUP"
	case p.is("cube", "("):
		g.Kind = "CUBE"
	case p.is("(") && (!top || p.second().Value == ")"):
		g.Items = p.groupingSet()
		return g
	default:
		return p.expr(lowest, false)
	}
	p.next()
	p.expect("(")
	p.nested(func() {
		for {
			g.Items = append(g.Items, p.grouping(false))
			if !p.accept(",") {
				break
			}
		}
	})
	p.expect(")")
	return g
}

// groupingSet parses (a, b, ...) or ().
func (p *parser) groupingSet() (items []Expr) {
	p.expect("(")
	if p.accept(")") {
		return nil
	}
	p.nested(func() { items = p.list() })
	p.expect(")")
	return items
}

func (g *Grouping) print(p *printer) {
	p.WriteString(g.Kind)
	p.when(g.Kind != "", " ")
	p.WriteString("(")
	p.exprs(g.Items)
	p.WriteString(")")
}

func (o *Over) parenthesised(p *printer) {
	p.WriteString("(")
	sep := ""
	part := func(text string) {
		p.words(sep, text)
		sep = " "
	}
	if o.Name != "" {
		p.name(o.Name)
		sep = " "
	}
	if len(o.PartitionBy) > 0 {
		part("PARTITION BY ")
		p.exprs(o.PartitionBy)
	}
	if len(o.OrderBy) > 0 {
		part("ORDER BY ")
		list(p, o.OrderBy)
	}
	if f := o.Frame; f != nil {
		part(f.Unit + " BETWEEN ")
		f.Begin.print(p)
		p.WriteString(" AND ")
		f.End.print(p)
		p.when(f.Exclude != ExcludeNoOthers, []string{
			"", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES",
		}[f.Exclude])
	}
	p.WriteString(")")
}

func (b *Bound) print(p *printer) {
	if b.N != nil {
		p.operand(b.N, additive+1)
	}
	p.WriteString([]string{
		"UNBOUNDED PRECEDING", " PRECEDING", "CURRENT ROW", " FOLLOWING",
		"UNBOUNDED FOLLOWING",
	}[b.Kind])
}
