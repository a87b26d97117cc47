package syntax

import "strconv"

// MaxExpanded bounds the SELECTs that the names of one WITH stand for, counted where they are read.
const MaxExpanded = 1000

// with parses WITH name AS (query), ... and the query that reads them. The names stand for their
// queries: each place that reads a name has a copy of its query.
func (p *parser) with() *Select {
	p.expect("WITH")
	recursive := p.peek().Value == "recursive" && p.second().Value != "AS"
	if recursive {
		p.next()
	}
	w := &withNames{queries: map[string]*Select{}}
	for {
		pos := p.pos()
		name, ok := p.name()
		if !ok {
			p.unexpected("a name")
		}
		if w.queries[name] != nil {
			fail(pos, "WITH gives the name "+shown(name)+" twice")
		}
		columns := p.columnNames()
		p.expect("AS")
		if p.accept("NOT") {
			p.expect("MATERIALIZED")
		} else {
			p.accept("MATERIALIZED")
		}
		var q *Select
		p.expect("(")
		p.nested(func() { q = p.alone() })
		p.expect(")")
		if recursive && q.reads(name) {
			fail(pos, "WITH RECURSIVE is not supported: the query "+shown(name)+" reads itself")
		}
		q.rename(pos, columns)
		w.expand(q)
		w.queries[name] = q
		if !p.accept(",") {
			break
		}
	}
	q := p.alone()
	w.expand(q)
	if q.depth() > MaxQueries {
		fail(q.Pos, "more than "+strconv.Itoa(MaxQueries)+" queries in each other, by the names of WITH")
	}
	return q
}

// depth is how deep queries are in each other.
func (s *Select) depth() (n int) {
	for _, leaf := range s.Leaves() {
		if leaf.From.Query != nil {
			n = max(n, leaf.From.Query.depth())
		}
	}
	for _, q := range s.Subqueries() {
		n = max(n, q.depth())
	}
	return n + 1
}

// columnNames parses the names of columns in parentheses, which may be left out.
func (p *parser) columnNames() (all []string) {
	if !p.is("(") {
		return nil
	}
	p.parenthesised(func() {
		for {
			name, ok := p.name()
			if !ok {
				p.unexpected("the name of a column")
			}
			all = append(all, name)
			if !p.accept(",") {
				return
			}
		}
	})
	return all
}

// rename gives the first columns of a query other names.
func (s *Select) rename(pos Pos, columns []string) {
	first := s.Leaves()[0]
	if first.onlyRows() && len(columns) <= len(first.From.Rows[0]) {
		first.From.Columns = columns
		return
	}
	for i, name := range columns {
		if i >= len(first.Items) || first.Items[i].Star {
			fail(pos, "names are given to "+strconv.Itoa(len(columns))+" columns, and the SELECT does not write "+
				"as many, without *")
		}
		first.Items[i].Alias = name
	}
}

// reads says whether a query reads a name.
func (s *Select) reads(name string) bool {
	for _, leaf := range s.Leaves() {
		if leaf.From.Query == nil && leaf.From.Name == name || leaf.From.Query != nil && leaf.From.Query.reads(name) {
			return true
		}
	}
	for _, q := range s.Subqueries() {
		if q.reads(name) {
			return true
		}
	}
	return false
}

// selects is how many SELECTs a query has, with all that are in it.
func (s *Select) selects() (n int) {
	for _, leaf := range s.Leaves() {
		n++
		if leaf.From.Query != nil {
			n += leaf.From.Query.selects()
		}
	}
	for _, q := range s.Subqueries() {
		n += q.selects()
	}
	return n
}

// withNames are the names that a WITH has given.
type withNames struct {
	queries map[string]*Select
	// expanded counts the SELECTs of the copies.
	expanded int
}

// expand has each FROM of a query read a copy of a query if its name stands for one.
func (w *withNames) expand(s *Select) {
	for _, q := range s.Subqueries() {
		w.expand(q)
	}
	for _, leaf := range s.Leaves() {
		if leaf.From.Query != nil {
			w.expand(leaf.From.Query)
			continue
		}
		q := w.queries[leaf.From.Name]
		if q == nil {
			continue
		}
		w.expanded += q.selects()
		if w.expanded > MaxExpanded {
			fail(leaf.From.Pos, "the names of WITH stand for more than "+strconv.Itoa(MaxExpanded)+" SELECTs")
		}
		if leaf.From.Alias == "" {
			leaf.From.Alias = leaf.From.Name
		}
		leaf.From.Query, leaf.From.Name = q.Clone(), ""
	}
}
