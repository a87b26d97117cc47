package syntax

import (
	"reflect"
	"slices"
	"strconv"

	"github.com/alecthomas/participle/v2/lexer"
)

// MaxQueries is how deep queries may be in each other, in FROM and in expressions.
const MaxQueries = 32

// Subquery is a query in an expression: (SELECT ...), which stands for its value, or EXISTS (...).
type Subquery struct {
	Pos    Pos
	Query  *Select
	Exists bool
}

// Start is where the expression begins.
func (n *Subquery) Start() Pos { return n.Pos }

// String is the canonical text.
func (n *Subquery) String() string { return text(n) }
func (n *Subquery) level() level   { return primary }

func (n *Subquery) print(p *printer) {
	p.when(n.Exists, "EXISTS ")
	p.query(n.Query)
}

// Value is a value that has been computed. It is in no text.
type Value struct {
	Pos  Pos
	Text string
	Of   any
}

// Start is where the value comes from.
func (n *Value) Start() Pos { return n.Pos }

// String is the canonical text.
func (n *Value) String() string   { return text(n) }
func (n *Value) level() level     { return primary }
func (n *Value) print(p *printer) { p.WriteString(n.Text) }

// query writes a query in parentheses.
func (p *printer) query(q *Select) {
	p.WriteByte('(')
	q.print(p)
	p.WriteByte(')')
}

// beginsQuery says whether a query comes next.
func (p *parser) beginsQuery() bool { return p.is("SELECT") || p.is("WITH") || p.isValues() }

// alone parses a query that is none of the SELECTs that the query around it combines.
func (p *parser) alone() *Select {
	around := p.selects
	p.selects = 0
	q := p.query()
	p.selects = around
	return q
}

// inQuery parses the query of x IN (SELECT ...), after the parenthesis.
func (p *parser) inQuery() *Select {
	q := p.alone()
	if q.Emit == EmitChanges {
		fail(q.Pos, "EMIT CHANGES in a subquery: it is computed once, before the query around it")
	}
	return q
}

// begins are the tokens that a query begins with.
var begins = []string{"SELECT", "WITH", "values"}

// tooDeep is the fault of tokens that have more than MaxQueries queries in each other; nil if there
// are not that many. It is found before anything is parsed, because each query in FROM has parsers
// of its own, which do not know how deep they are.
func tooDeep(list []lexer.Token) *failure {
	var open []bool // for each parenthesis, whether a query begins in it
	depth := 0
	for i, t := range list {
		switch {
		case t.Type != symbol:
		case t.Value == "(":
			is := i+1 < len(list) && slices.Contains(begins, list[i+1].Value)
			open = append(open, is)
			if is {
				depth++
			}
			if depth > MaxQueries {
				return &failure{
					pos: Pos(t.Pos.Offset), message: "more than " + strconv.Itoa(MaxQueries) + " queries in each other",
				}
			}
		case t.Value == ")" && len(open) > 0:
			if open[len(open)-1] {
				depth--
			}
			open = open[:len(open)-1]
		}
	}
	return nil
}

// Clone is a copy that shares nothing with the query.
func (s *Select) Clone() *Select {
	return clone(reflect.ValueOf(s)).Interface().(*Select)
}

// CloneExpr is a copy that shares nothing with the expression.
func CloneExpr(e Expr) Expr { return clone(reflect.ValueOf(&e)).Elem().Interface().(Expr) }

// clone is a copy of a value of a tree.
func clone(v reflect.Value) reflect.Value {
	to := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			to.Set(reflect.New(v.Type().Elem()))
			to.Elem().Set(clone(v.Elem()))
		}
	case reflect.Interface:
		if !v.IsNil() {
			to.Set(clone(v.Elem()))
		}
	case reflect.Slice:
		if !v.IsNil() {
			to.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
		}
		for i := range v.Len() {
			to.Index(i).Set(clone(v.Index(i)))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			to.Field(i).Set(clone(v.Field(i)))
		}
	default:
		to.Set(v)
	}
	return to
}
