package syntax

import "strconv"

// MaxValues bounds the rows of VALUES.
const MaxValues = 10_000

// isValues says whether VALUES (...) comes next.
func (p *parser) isValues() bool { return p.is("values", "(") }

// values parses VALUES (a, b), ... as a query that reads these rows.
func (p *parser) values() *Select {
	pos := p.pos()
	p.next()
	q := &Select{Pos: pos, Items: []Item{{Pos: pos, Star: true}}, From: Table{Pos: pos}}
	for {
		if len(q.From.Rows) == MaxValues {
			fail(p.pos(), "more than "+strconv.Itoa(MaxValues)+" rows in VALUES")
		}
		at := p.pos()
		var row []Expr
		p.parenthesised(func() { row = p.list() })
		if len(q.From.Rows) > 0 && len(row) != len(q.From.Rows[0]) {
			fail(at, "a row of "+strconv.Itoa(len(row))+" values in VALUES, the first has "+
				strconv.Itoa(len(q.From.Rows[0])))
		}
		q.From.Rows = append(q.From.Rows, row)
		if !p.accept(",") {
			break
		}
	}
	if p.is("ORDER") || p.is("LIMIT") || p.is("OFFSET") || p.is("FETCH") {
		p.end(q)
	}
	return q
}

// OnlyRows says whether a query is VALUES and nothing else. Its columns may have names.
func (s *Select) OnlyRows() bool { return s.allRows() && !s.ends() }

// onlyRows says whether a query is VALUES, maybe with an ORDER BY and a LIMIT.
func (s *Select) onlyRows() bool { return s.allRows() && s.From.Columns == nil }

// allRows says whether a query, before its ORDER BY and LIMIT, has the rows of VALUES as they are.
func (s *Select) allRows() bool {
	if s.From.Rows == nil || len(s.Items) != 1 || !s.Items[0].Star || s.Items[0].Table != "" ||
		len(s.Items[0].Exclude) > 0 {
		return false
	}
	groups := len(s.GroupBy) > 0 || s.GroupAll || s.Having != nil
	return !groups && !s.Distinct && len(s.DistinctOn) == 0 && s.Where == nil && s.Qualify == nil &&
		len(s.From.Joins) == 0
}

// renamed parses the names of columns after the alias of a query in FROM.
func (p *parser) renamed(t *Table) {
	pos := p.pos()
	names := p.columnNames()
	switch {
	case names == nil:
	case t.Rows == nil:
		t.Query.rename(pos, names)
	case len(names) > len(t.Rows[0]):
		fail(pos, "names are given to "+strconv.Itoa(len(names))+" columns, and VALUES has "+
			strconv.Itoa(len(t.Rows[0])))
	default:
		t.Columns = names
	}
}

func (t *Table) printRows(p *printer) {
	p.WriteString("(VALUES ")
	for i, row := range t.Rows {
		p.when(i > 0, ", ")
		p.WriteString("(")
		p.exprs(row)
		p.WriteString(")")
	}
	p.WriteString(")")
	p.alias(t.Alias)
	if t.Columns == nil {
		return
	}
	p.WriteString(" (")
	for i, name := range t.Columns {
		p.when(i > 0, ", ")
		p.name(name)
	}
	p.WriteString(")")
}
