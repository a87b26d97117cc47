package catalog

import (
	"slices"
	"strconv"
)

func (p *parser) exprs() (all []node) {
	for {
		all = append(all, p.expr())
		if !p.take(",") {
			return all
		}
	}
}

func (p *parser) expr() node {
	defer p.deeper()()
	return p.or()
}

func (p *parser) or() node {
	l := p.and()
	for p.is("or") {
		pos := p.cur().Pos
		p.i++
		l = &binary{"or", l, p.and(), pos}
	}
	return l
}

func (p *parser) and() node {
	l := p.not()
	for p.is("and") {
		pos := p.cur().Pos
		p.i++
		l = &binary{"and", l, p.not(), pos}
	}
	return l
}

func (p *parser) not() node {
	if p.is("not") {
		defer p.deeper()()
		pos := p.cur().Pos
		p.i++
		return &unary{"not", p.not(), pos}
	}
	return p.is1()
}

// is1 parses IS, which binds less than comparisons.
func (p *parser) is1() node {
	x := p.comparison()
	for {
		switch {
		case p.take("isnull"):
			x = &isTest{x, "null", false}
		case p.take("notnull"):
			x = &isTest{x, "null", true}
		case p.take("is"):
			not := p.take("not")
			t := p.cur()
			switch {
			case p.take("null"), p.take("true"), p.take("false"), p.take("unknown"):
				x = &isTest{x, t.Text, not}
			case p.take("distinct", "from"):
				x = &distinctTest{x, p.comparison(), not}
			default:
				p.unexpected()
			}
		default:
			return x
		}
	}
}

func (p *parser) comparison() node {
	l := p.like()
	for {
		t := p.cur()
		if t.Kind != Operator || !slices.Contains([]string{"=", "<", ">", "<=", ">=", "<>", "!="}, t.Text) {
			return l
		}
		p.i++
		op := t.Text
		if op == "!=" {
			op = "<>"
		}
		l = p.right(l, op, t.Pos, p.like)
	}
}

// right parses what is on the right of an operator: an operand, or ANY and ALL of several.
func (p *parser) right(l node, op string, pos int, operand func() node) node {
	if p.is("any") || p.is("some") || p.is("all") {
		all := p.is("all")
		p.i++
		p.need("(")
		q := &quantified{x: l, op: op, all: all, pos: pos}
		if p.is("select") || p.is("with") || p.is("values") {
			q.r = &subquery{p.query()}
		} else {
			q.r = p.expr()
		}
		p.need(")")
		return q
	}
	return &binary{op, l, operand(), pos}
}

// like parses LIKE, IN and BETWEEN.
func (p *parser) like() node {
	x := p.other()
	for {
		pos := p.cur().Pos
		not := p.is("not") && (p.peek(1).Is("like") || p.peek(1).Is("ilike") || p.peek(1).Is("in") ||
			p.peek(1).Is("between") || p.peek(1).Is("similar"))
		if not {
			p.i++
		}
		switch {
		case p.take("like"), p.take("ilike"):
			op := "~~"
			if p.t[p.i-1].Text == "ilike" {
				op = "~~*"
			}
			if not {
				op = "!" + op
			}
			x = p.right(x, op, pos, p.other)
			if b, ok := x.(*binary); ok && p.take("escape") {
				b.r = &call{name: "like_escape", args: []node{b.r, p.other()}, pos: pos}
			}
		case p.take("between"):
			p.take("symmetric")
			lo := p.other()
			p.need("and")
			hi := p.other()
			x = &binary{"and", &binary{">=", x, lo, pos}, &binary{"<=", x, hi, pos}, pos}
			if not {
				x = &unary{"not", x, pos}
			}
		case p.take("in"):
			p.need("(")
			if p.is("select") || p.is("with") || p.is("values") {
				x = &inQuery{x, p.query(), not, pos}
			} else {
				x = &inList{x, p.exprs(), not, pos}
			}
			p.need(")")
		default:
			return x
		}
	}
}

// other parses all operators that are not arithmetic or comparisons: ~, ||, OPERATOR(...).
func (p *parser) other() node {
	l := p.additive()
	for {
		t := p.cur()
		switch {
		case p.is("operator", "("):
			op := p.operatorName()
			if op == "!=" {
				op = "<>"
			}
			l = p.right(l, op, t.Pos, p.additive)
		case t.Kind == Operator && !slices.Contains(arithmetic, t.Text):
			p.i++
			l = p.right(l, t.Text, t.Pos, p.additive)
		default:
			return l
		}
	}
}

var arithmetic = []string{"=", "<", ">", "<=", ">=", "<>", "!=", "+", "-", "*", "/", "%", "^", "::"}

// operatorName is an operator, or OPERATOR(schema.op).
func (p *parser) operatorName() string {
	if p.take("operator", "(") {
		for p.cur().Kind == Word || p.cur().Kind == Quoted {
			p.i++
			p.need(".")
		}
		op := p.cur()
		if op.Kind != Operator {
			p.unexpected()
		}
		p.i++
		p.need(")")
		return op.Text
	}
	op := p.cur()
	if op.Kind != Operator {
		p.unexpected()
	}
	p.i++
	return op.Text
}

func (p *parser) additive() node {
	l := p.multiplicative()
	for p.is("+") || p.is("-") {
		t := p.cur()
		p.i++
		l = &binary{t.Text, l, p.multiplicative(), t.Pos}
	}
	return l
}

func (p *parser) multiplicative() node {
	l := p.signed()
	for p.is("*") || p.is("/") || p.is("%") || p.is("^") {
		t := p.cur()
		p.i++
		l = &binary{t.Text, l, p.signed(), t.Pos}
	}
	return l
}

func (p *parser) signed() node {
	t := p.cur()
	switch {
	case p.take("-"):
		defer p.deeper()()
		return &unary{"-", p.signed(), t.Pos}
	case p.take("+"):
		defer p.deeper()()
		return p.signed()
	}
	x := p.postfix()
	for p.take("at", "time", "zone") {
		x = &call{name: "timezone", args: []node{p.postfix(), x}, pos: t.Pos}
	}
	return x
}

// postfix parses casts, subscripts, fields and COLLATE.
func (p *parser) postfix() node {
	x := p.primary()
	for {
		pos := p.cur().Pos
		switch {
		case p.take("::"):
			x = &cast{x, p.typeName(), pos}
		case p.take("["):
			ix := &index{x: x, pos: pos}
			if !p.is(":") {
				ix.lo = p.expr()
			}
			if p.take(":") {
				ix.slice = true
				if !p.is("]") {
					ix.hi = p.expr()
				}
			}
			p.need("]")
			x = ix
		case p.is(".") && !isColumn(x):
			p.i++
			if p.take("*") {
				x = &star{parts: nil, pos: pos}
				panic(fault(codeUnsupported, pos, "expansion of a composite value is not supported"))
			}
			x = &field{x, p.label(), pos}
		case p.take("collate"):
			p.label()
			if p.take(".") {
				p.label()
			}
		default:
			return x
		}
	}
}

func isColumn(x node) bool {
	_, ok := x.(*columnRef)
	return ok
}

// typeName parses the name of a type, with its length and [].
func (p *parser) typeName() uint32 {
	pos := p.cur().Pos
	name := p.label()
	for p.take(".") {
		name = p.label()
	}
	switch name {
	case "double":
		p.need("precision")
		name = "float8"
	case "character", "char", "bit", "national":
		if p.take("varying") {
			name = "varchar"
		} else if name == "character" || p.t[p.i-1].Kind == Word && name == "char" {
			name = "bpchar"
		}
	case "timestamp", "time":
		p.modifiers()
		if p.take("with", "time", "zone") {
			name += "tz"
		} else {
			p.take("without", "time", "zone")
		}
	}
	p.modifiers()
	oid, ok := TypeOID(name)
	if !ok {
		panic(fault(codeUndefinedObj, pos, "type %q does not exist", name))
	}
	for p.is("[") {
		p.i++
		if p.cur().Kind == Number {
			p.i++
		}
		p.need("]")
		oid = arrayOf(oid)
	}
	if p.take("array") {
		oid = arrayOf(oid)
	}
	return oid
}

func (p *parser) modifiers() {
	if !p.take("(") {
		return
	}
	for !p.take(")") {
		if p.cur().Kind != Number && !p.is(",") {
			p.unexpected()
		}
		p.i++
	}
}

func (p *parser) primary() node {
	t := p.cur()
	switch t.Kind {
	case Number:
		p.i++
		return numberOf(t)
	case String:
		p.i++
		return &constant{v: t.Text, typ: oidUnknown}
	case Parameter:
		p.i++
		n, err := strconv.Atoi(t.Text)
		if err != nil || n < 1 || n > 65535 {
			panic(fault(codeUndefinedName, t.Pos, "there is no parameter $%s", t.Text))
		}
		return &parameter{n, t.Pos}
	case Punct:
		if t.Text == "(" {
			return p.paren()
		}
	case Quoted:
		return p.nameOrCall()
	case Word:
		return p.word(t)
	}
	p.unexpected()
	return nil
}

func numberOf(t Token) node {
	n, err := strconv.ParseInt(t.Text, 10, 64)
	if err == nil {
		if n > 1<<31-1 {
			return &constant{v: n, typ: oidInt8}
		}
		return &constant{v: n, typ: oidInt4}
	}
	f, err := strconv.ParseFloat(t.Text, 64)
	if err != nil {
		panic(fault(codeRange, t.Pos, "number %s is out of range", t.Text))
	}
	return &constant{f, oidNumeric, t.Text}
}

func (p *parser) paren() node {
	p.need("(")
	if p.is("select") || p.is("with") || p.is("values") || p.is("(") && p.subqueryAhead() {
		mark := p.i
		q := p.query()
		if p.take(")") {
			return &subquery{q}
		}
		p.i = mark
	}
	items := p.exprs()
	p.need(")")
	if len(items) > 1 {
		return &row{items}
	}
	if c, ok := items[0].(*columnRef); ok && p.is(".") {
		// (x).f of a column: a field of a composite value, not a column of a relation x.
		return &field{c, func() string { p.i++; return p.label() }(), c.pos}
	}
	return items[0]
}

func (p *parser) word(t Token) node {
	if isReserved(t) || t.Text == "row" && p.peek(1).Is("(") {
		return p.keyword(t)
	}
	if p.peek(1).Kind == String { // DATE '...', timestamp '...'
		if oid, ok := TypeOID(t.Text); ok {
			p.i += 2
			return &cast{&constant{v: p.t[p.i-1].Text, typ: oidUnknown}, oid, t.Pos}
		}
	}
	switch t.Text {
	case "current_user", "current_role", "current_catalog", "current_schema", "current_timestamp", "localtimestamp",
		"current_date":
		if !p.peek(1).Is("(") {
			p.i++
			if p.is("(") {
				p.modifiers()
			}
			return &call{name: t.Text, pos: t.Pos}
		}
	case "extract", "position", "substring", "trim", "overlay":
		if p.peek(1).Is("(") {
			p.i += 2
			return p.special(t)
		}
	}
	return p.nameOrCall()
}

func (p *parser) keyword(t Token) node {
	p.i++
	switch t.Text {
	case "null":
		return &constant{v: nil, typ: oidUnknown}
	case "true", "false":
		return &constant{v: t.Text == "true", typ: oidBool}
	case "user", "session_user":
		return &call{name: t.Text, pos: t.Pos}
	case "case":
		return p.caseExpr()
	case "cast":
		p.need("(")
		x := p.expr()
		p.need("as")
		to := p.typeName()
		p.need(")")
		return &cast{x, to, t.Pos}
	case "exists":
		p.need("(")
		q := p.query()
		p.need(")")
		return &exists{q}
	case "row":
		p.need("(")
		items := p.exprs()
		p.need(")")
		return &row{items}
	case "array":
		if p.take("[") {
			return p.arrayItems()
		}
		p.need("(")
		q := p.query()
		p.need(")")
		return &arrayQuery{q}
	case "left", "right":
		if p.is("(") {
			return p.callOf([]string{t.Text}, t.Pos)
		}
	}
	p.i--
	p.unexpected()
	return nil
}

func (p *parser) arrayItems() node {
	a := &arrayLit{}
	if p.take("]") {
		return a
	}
	a.items = p.exprs()
	p.need("]")
	return a
}

func (p *parser) caseExpr() node {
	c := &caseExpr{}
	if !p.is("when") {
		c.of = p.expr()
	}
	for p.take("when") {
		cond := p.expr()
		p.need("then")
		c.whens = append(c.whens, when{cond, p.expr()})
	}
	if len(c.whens) == 0 {
		p.unexpected()
	}
	if p.take("else") {
		c.other = p.expr()
	}
	p.need("end")
	return c
}

// special parses the functions whose arguments are separated by words.
func (p *parser) special(t Token) node {
	c := &call{name: t.Text, pos: t.Pos}
	switch t.Text {
	case "extract":
		part := p.label()
		p.need("from")
		c.name, c.label = "date_part", "extract"
		c.args = []node{&constant{v: part, typ: oidText}, p.expr()}
	case "position":
		a := p.other()
		p.need("in")
		c.args = []node{p.expr(), a}
		c.name, c.label = "strpos", "position"
	case "trim":
		c.name = "btrim"
		switch {
		case p.take("both"):
		case p.take("leading"):
			c.name = "ltrim"
		case p.take("trailing"):
			c.name = "rtrim"
		}
		var chars node
		if !p.is("from") {
			chars = p.expr()
		}
		if p.take("from") {
			c.args = []node{p.expr()}
			if chars != nil {
				c.args = append(c.args, chars)
			}
		} else {
			c.args = []node{chars}
			if p.take(",") {
				c.args = append(c.args, p.expr())
			}
		}
	default:
		c.args = []node{p.expr()}
		for p.take(",") || p.take("from") || p.take("for") || p.take("placing") {
			c.args = append(c.args, p.expr())
		}
	}
	p.need(")")
	return c
}

func (p *parser) nameOrCall() node {
	t := p.cur()
	p.i++
	parts := []string{t.Text}
	for p.is(".") {
		p.i++
		if p.take("*") {
			return &star{parts, t.Pos}
		}
		parts = append(parts, p.label())
	}
	if p.is("(") {
		return p.callOf(parts, t.Pos)
	}
	if len(parts) > 1 && p.cur().Kind == String { // pg_catalog.regclass 'x'
		if oid, ok := TypeOID(parts[len(parts)-1]); ok {
			p.i++
			return &cast{&constant{v: p.t[p.i-1].Text, typ: oidUnknown}, oid, t.Pos}
		}
	}
	return &columnRef{parts, t.Pos}
}

// callOf parses the call of a function from its parenthesis on.
func (p *parser) callOf(parts []string, pos int) *call {
	defer p.deeper()()
	c := &call{name: parts[len(parts)-1], pos: pos}
	p.need("(")
	switch {
	case p.take("*"):
		c.star = true
	case p.is(")"):
	default:
		c.distinct = p.take("distinct")
		p.take("all")
		for {
			p.take("variadic")
			x := p.expr()
			if p.take("=>") {
				x = p.expr()
			}
			c.args = append(c.args, x)
			if !p.take(",") {
				break
			}
		}
		if p.take("order", "by") {
			c.orderBy = p.sortKeys()
		}
	}
	p.need(")")
	if p.take("filter") {
		p.need("(", "where")
		c.filter = p.expr()
		p.need(")")
	}
	if p.take("over") {
		c.over = &window{}
		p.need("(")
		if p.take("partition", "by") {
			c.over.partition = p.exprs()
		}
		if p.take("order", "by") {
			c.over.orderBy = p.sortKeys()
		}
		p.need(")")
	}
	return c
}
