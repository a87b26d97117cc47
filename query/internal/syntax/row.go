package syntax

import (
	"slices"
	"strconv"
)

// MaxRow is how many values a row may have.
const MaxRow = 100

// row is a row of several values: (a, b) or ROW(a, b). It is no part of a tree: what compares it is
// written with comparisons of its values.
type row struct {
	Ident  // makes it an Expr; only Pos is used
	values []Expr
}

// rowOf parses what is in parentheses: an expression, or the values of a row.
func (p *parser) rowOf(pos Pos) Expr {
	first := p.rowOrExpr(lowest, false)
	if !p.is(",") {
		return first
	}
	r := &row{Ident: Ident{Pos: pos}, values: []Expr{single(first)}}
	for p.accept(",") {
		if len(r.values) == MaxRow {
			fail(p.pos(), "a row of more than "+strconv.Itoa(MaxRow)+" values")
		}
		r.values = append(r.values, p.expr(lowest, false))
	}
	return r
}

// single is an expression that is no row.
func single(e Expr) Expr {
	if r, ok := e.(*row); ok {
		fail(r.Pos, "a row of several values can only be compared: (a, b) = (1, 2), (a, b) < (1, 2), "+
			"(a, b) IN ((1, 2), (3, 4)), (a, b) OVERLAPS (c, d)")
	}
	return e
}

// rowTail parses the other side of an operator whose left side is a row.
func (p *parser) rowTail(x *row, op string, pos Pos) Expr {
	not := op == "NOT"
	if not {
		op = p.peek().Value
		if op != "IN" {
			p.unexpected("IN")
		}
		p.next()
	}
	switch op {
	case "=", "<>", "<", "<=", ">", ">=":
		return p.compared(x, op, p.otherRow(x, comparison+1), pos)
	case "IN":
		var e Expr
		p.parenthesised(func() {
			if p.beginsQuery() {
				e = &In{Pos: pos, Row: x.values, Query: p.inQuery()}
				return
			}
			for {
				e = joined(pos, "OR", e, p.compared(x, "=", p.otherRow(x, lowest), pos))
				if !p.accept(",") {
					return
				}
			}
		})
		if not {
			e = &Unary{Pos: pos, Op: "NOT", X: e}
		}
		return e
	case "IS", "ISNULL", "NOTNULL":
		return p.rowIs(x, op, pos)
	}
	fail(pos, "a row of several values can only be compared with =, <>, <, <=, >, >=, IN and IS")
	return nil
}

// overlaps parses what follows an expression if that is a row and OVERLAPS follows: another row.
// Both have two values.
func (p *parser) overlaps(e Expr) Expr {
	x, ok := e.(*row)
	pos := p.pos()
	if !ok || !p.accept("overlaps") {
		return e
	}
	if len(x.values) != 2 {
		fail(x.Pos, "OVERLAPS is between two rows of two values each: (begin, end) OVERLAPS (begin, end)")
	}
	y := p.otherRow(x, comparison+1)
	return &Call{Pos: pos, Name: "overlaps", Args: append(slices.Clone(x.values), y.values...)}
}

// rowIs parses what follows a row and IS: it is NULL if all its values are.
func (p *parser) rowIs(x *row, op string, pos Pos) (e Expr) {
	not := op == "NOTNULL" || op == "IS" && p.accept("NOT")
	if op == "IS" && p.accept("DISTINCT") {
		p.expect("FROM")
		y := p.otherRow(x, is+1)
		for i := range x.values {
			e = joined(pos, "OR", e, &IsDistinct{Pos: pos, X: x.values[i], Y: y.values[i]})
		}
		if not {
			e = &Unary{Pos: pos, Op: "NOT", X: e}
		}
		return e
	}
	if op == "IS" {
		p.expect("NULL")
	}
	for _, v := range x.values {
		e = joined(pos, "AND", e, &IsNull{Pos: pos, X: v, Not: not})
	}
	return e
}

// otherRow parses the row that another is compared with.
func (p *parser) otherRow(x *row, least level) *row {
	at := p.pos()
	y, ok := p.rowOrExpr(least, false).(*row)
	if !ok || len(y.values) != len(x.values) {
		fail(at, "expected a row of "+strconv.Itoa(len(x.values))+" values in parentheses")
	}
	return y
}

// compared is a comparison of two rows: of the first values that differ, as in PostgreSQL.
func (p *parser) compared(x *row, op string, y *row, pos Pos) (e Expr) {
	n := len(x.values)
	p.operators += 2 * n
	if p.operators > MaxOperators {
		fail(pos, "more than "+strconv.Itoa(MaxOperators)+" operators in one expression")
	}
	of := func(op string, i int) Expr { return &Binary{Pos: pos, Op: op, X: x.values[i], Y: y.values[i]} }
	switch op {
	case "=":
		for i := range n {
			e = joined(pos, "AND", e, of(op, i))
		}
		return e
	case "<>":
		for i := range n {
			e = joined(pos, "OR", e, of(op, i))
		}
		return e
	}
	e = of(op, n-1)
	for i := n - 2; i >= 0; i-- {
		e = joined(pos, "OR", of(op[:1], i), joined(pos, "AND", of("=", i), e))
	}
	return e
}

// joined is x op y, or y if there is no x.
func joined(pos Pos, op string, x, y Expr) Expr {
	if x == nil {
		return y
	}
	return &Binary{Pos: pos, Op: op, X: x, Y: y}
}
