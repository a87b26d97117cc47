package catalog

import (
	"slices"
	"strings"
)

// maxDepth is how deep expressions and subqueries may be nested.
const maxDepth = 200

type parser struct {
	t     []Token
	i     int
	depth int
	names []Name
	ctes  []string
}

// Parse parses a SELECT. The error says where it is wrong.
func Parse(t []Token) (s *Statement, err error) {
	p := &parser{t: t}
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		e, ok := r.(*Error)
		if !ok {
			panic(r)
		}
		s, err = nil, e
	}()
	q := p.query()
	if p.cur().Kind != End {
		p.unexpected()
	}
	return &Statement{q, p.names}, nil
}

func (p *parser) cur() Token { return p.peek(0) }

func (p *parser) peek(n int) Token { return p.t[min(p.i+n, len(p.t)-1)] }

// is says whether the next tokens are these keywords or signs.
func (p *parser) is(words ...string) bool {
	for n, w := range words {
		if !p.peek(n).Is(w) {
			return false
		}
	}
	return true
}

// take takes the next tokens, if they are these.
func (p *parser) take(words ...string) bool {
	if !p.is(words...) {
		return false
	}
	p.i += len(words)
	return true
}

func (p *parser) need(words ...string) {
	for _, w := range words {
		if !p.take(w) {
			p.unexpected()
		}
	}
}

func (p *parser) unexpected() {
	t := p.cur()
	if t.Kind == End {
		panic(fault(codeSyntax, t.Pos, "syntax error at end of input"))
	}
	panic(fault(codeSyntax, t.Pos, "syntax error at or near %q", t.Text))
}

func (p *parser) deeper() func() {
	p.depth++
	if p.depth > maxDepth {
		panic(fault(codeTooComplex, p.cur().Pos, "the statement is nested deeper than %d levels", maxDepth))
	}
	return func() { p.depth-- }
}

// reserved are the words that are no names of columns and no aliases without AS.
var reserved = strings.Fields(`all and any array as asc both case cast check collate column constraint create cross
	default desc distinct do else end except exists false fetch for from full grant group having in inner intersect into
	is 	isnull join lateral leading left like ilike limit natural not notnull null offset on only or order outer
	primary references returning right select session_user similar some table then to trailing true union unique
	user using variadic when where window with between operator over filter`)

func isReserved(t Token) bool { return t.Kind == Word && slices.Contains(reserved, t.Text) }

func (p *parser) isName() bool {
	t := p.cur()
	return t.Kind == Quoted || t.Kind == Word && !isReserved(t)
}

func (p *parser) name() string {
	if !p.isName() {
		p.unexpected()
	}
	p.i++
	return p.t[p.i-1].Text
}

// label is a name after AS or after a point, where every word may be one.
func (p *parser) label() string {
	t := p.cur()
	if t.Kind != Word && t.Kind != Quoted {
		p.unexpected()
	}
	p.i++
	return t.Text
}

func (p *parser) query() *query {
	defer p.deeper()()
	q := &query{}
	mark := len(p.ctes)
	if p.take("with") {
		p.take("recursive")
		for {
			c := cte{name: p.name()}
			if p.is("(") {
				c.columns = p.nameList()
			}
			p.need("as")
			p.take("not")
			p.take("materialized")
			p.need("(")
			c.query = p.query()
			p.need(")")
			q.with = append(q.with, c)
			p.ctes = append(p.ctes, c.name)
			if !p.take(",") {
				break
			}
		}
	}
	q.body = p.setOps(0)
	if p.take("order", "by") {
		q.orderBy = p.sortKeys()
	}
	for {
		switch {
		case p.take("limit"):
			if !p.take("all") {
				q.limit = p.expr()
			}
		case p.take("offset"):
			q.offset = p.expr()
			if !p.take("rows") {
				p.take("row")
			}
		case p.take("fetch"):
			if !p.take("first") {
				p.need("next")
			}
			q.limit = &constant{v: int64(1), typ: oidInt4}
			if !p.is("row") && !p.is("rows") {
				q.limit = p.primary()
			}
			if !p.take("rows") {
				p.need("row")
			}
			p.need("only")
		default:
			p.ctes = p.ctes[:mark]
			return q
		}
	}
}

// setOps parses selects with UNION and EXCEPT between them; INTERSECT binds tighter.
func (p *parser) setOps(level int) node {
	if level == 2 {
		return p.selectOrParen()
	}
	l := p.setOps(level + 1)
	for {
		t := p.cur()
		if level == 0 && !t.Is("union") && !t.Is("except") || level == 1 && !t.Is("intersect") {
			return l
		}
		p.i++
		s := &setOp{op: t.Text, l: l, pos: t.Pos}
		s.all = p.take("all")
		p.take("distinct")
		s.r = p.setOps(level + 1)
		l = s
	}
}

func (p *parser) selectOrParen() node {
	switch {
	case p.take("("):
		q := p.query()
		p.need(")")
		return q
	case p.take("values"):
		v := &values{}
		for {
			p.need("(")
			v.rows = append(v.rows, p.exprs())
			p.need(")")
			if !p.take(",") {
				return v
			}
		}
	case p.take("table"):
		c := &core{items: []item{{x: &star{}}}}
		c.from = []node{p.table()}
		return c
	}
	p.need("select")
	return p.selectCore()
}

func (p *parser) selectCore() *core {
	c := &core{}
	if p.take("distinct") {
		c.distinct = true
		if p.take("on") {
			p.need("(")
			c.distinctOn = p.exprs()
			p.need(")")
		}
	} else {
		p.take("all")
	}
	if !p.is("from") && p.cur().Kind != End && !p.is(")") {
		for {
			c.items = append(c.items, p.item())
			if !p.take(",") {
				break
			}
		}
	}
	if p.take("from") {
		for {
			c.from = append(c.from, p.fromItem())
			if !p.take(",") {
				break
			}
		}
	}
	if p.take("where") {
		c.where = p.expr()
	}
	if p.take("group", "by") {
		c.groupBy = p.exprs()
	}
	if p.take("having") {
		c.having = p.expr()
	}
	return c
}

func (p *parser) item() item {
	if p.is("*") {
		p.i++
		return item{x: &star{pos: p.t[p.i-1].Pos}}
	}
	it := item{x: p.expr()}
	switch {
	case p.take("as"):
		it.alias = p.label()
	case p.isName():
		it.alias = p.name()
	}
	return it
}

func (p *parser) nameList() (names []string) {
	p.need("(")
	for {
		names = append(names, p.label())
		if !p.take(",") {
			p.need(")")
			return names
		}
	}
}

func (p *parser) fromItem() node {
	defer p.deeper()()
	l := p.tablePrimary()
	for {
		j := &joinRef{kind: "inner", l: l, pos: p.cur().Pos}
		j.natural = p.take("natural")
		switch {
		case p.take("cross", "join"):
			j.r = p.tablePrimary()
			l = j
			continue
		case p.take("left"), p.is("right"), p.is("full"):
			if p.t[p.i-1].Is("left") {
				j.kind = "left"
			} else {
				j.kind = p.cur().Text
				p.i++
			}
			p.take("outer")
			p.need("join")
		case p.take("inner", "join"), p.take("join"):
		default:
			if j.natural {
				p.unexpected()
			}
			return l
		}
		j.r = p.tablePrimary()
		if p.is("left") || p.is("inner") || p.is("join") || p.is("right") {
			// a JOIN b JOIN c ON ... ON ...
			for !p.is("on") && !p.is("using") {
				p.unexpected()
			}
		}
		switch {
		case j.natural:
		case p.take("on"):
			j.on = p.expr()
		case p.take("using"):
			j.using = p.nameList()
		default:
			p.unexpected()
		}
		l = j
	}
}

func (p *parser) tablePrimary() node {
	lateral := p.take("lateral")
	if p.is("(") {
		if n := p.peek(1); n.Is("select") || n.Is("with") || n.Is("values") ||
			n.Is("(") && !lateral && p.subqueryAhead() {
			p.i++
			s := &subRef{query: p.query()}
			p.need(")")
			s.alias, s.columns = p.alias()
			return s
		}
		p.need("(")
		x := p.fromItem()
		p.need(")")
		return x
	}
	p.take("only")
	return p.table()
}

// subqueryAhead says whether nested parentheses begin a subquery.
func (p *parser) subqueryAhead() bool {
	n := 0
	for n <= maxDepth && p.peek(n).Is("(") {
		n++
	}
	return p.peek(n).Is("select") || p.peek(n).Is("with") || p.peek(n).Is("values")
}

// table is a relation, or a function in FROM.
func (p *parser) table() node {
	pos := p.cur().Pos
	parts := []string{p.name()}
	for p.take(".") {
		parts = append(parts, p.label())
	}
	if p.is("(") {
		f := &funcRef{call: p.callOf(parts, pos)}
		f.ordinality = p.take("with", "ordinality")
		f.alias, f.columns = p.alias()
		if f.alias == "" {
			f.alias = f.call.name
		}
		return f
	}
	p.take("*")
	t := &tableRef{pos: pos}
	switch len(parts) {
	case 1:
		t.name = Name{Name: parts[0]}
	case 2:
		t.name = Name{parts[0], parts[1]}
	case 3:
		t.name = Name{parts[1], parts[2]}
	default:
		panic(fault(codeSyntax, pos, "improper qualified name (too many dotted names)"))
	}
	if t.name.Schema != "" || !slices.Contains(p.ctes, t.name.Name) {
		p.names = append(p.names, t.name)
	}
	t.alias, t.columns = p.alias()
	return t
}

// alias is [AS] name [(columns)]. Columns may have types, which are not needed.
func (p *parser) alias() (alias string, columns []string) {
	switch {
	case p.take("as"):
		if !p.is("(") {
			alias = p.label()
		}
	case p.isName():
		alias = p.name()
	default:
		return "", nil
	}
	if !p.take("(") {
		return alias, nil
	}
	for {
		columns = append(columns, p.label())
		if p.isName() {
			p.typeName()
		}
		if !p.take(",") {
			p.need(")")
			return alias, columns
		}
	}
}

func (p *parser) sortKeys() (keys []sortKey) {
	for {
		k := sortKey{x: p.expr()}
		switch {
		case p.take("asc"):
		case p.take("desc"):
			k.desc = true
		case p.take("using"):
			k.desc = p.operatorName() == ">"
		}
		k.nullsFirst = k.desc
		if p.take("nulls") {
			k.nullsFirst = p.take("first")
			if !k.nullsFirst {
				p.need("last")
			}
		}
		keys = append(keys, k)
		if !p.take(",") {
			return keys
		}
	}
}
