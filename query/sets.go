package query

import (
	"errors"
	"fmt"
	"strings"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// MaxCombined is how many queries set operations may combine.
const MaxCombined = 32

// A Statement is a compiled SELECT: one plan, or several over the same source whose results are
// combined by UNION, INTERSECT or EXCEPT when all of them are there.
type Statement struct {
	Plans []*plan.Plan
	set   *set // nil if there is one plan
}

// set is how the results of plans are combined.
type set struct {
	ops    []result.SetOp
	parts  []*record.Schema
	schema *record.Schema
	then   *plan.Plan // orders the combined rows
}

// Combined says whether there are several results.
func (s *Statement) Combined() bool { return s.set != nil }

// Combiner makes what takes the results of the plans, each by its place in Plans, and makes one of
// them. Its rows may take about limit bytes. It is only for a Statement that is Combined.
func (s *Statement) Combiner(limit int) (*result.Combiner, error) {
	return result.NewCombiner(s.set.parts, s.set.schema, s.set.ops, s.set.then, limit)
}

// Result is the schema of the combined rows.
func (s *Statement) Result() (*record.Schema, error) { return s.set.then.Result() }

// Explain says how the results of the plans are combined: "(1) UNION (2), then ORDER BY n".
func (s *Statement) Explain() string {
	var b strings.Builder
	for i := range s.Plans {
		if i > 0 {
			fmt.Fprintf(&b, " %v ", s.set.ops[i-1])
		}
		fmt.Fprintf(&b, "(%d)", i+1)
	}
	if _, order, ok := strings.Cut(s.set.then.String(), " ORDER BY "); ok {
		b.WriteString(", then ORDER BY " + order)
	} else if l := s.set.then.Limit; l != nil {
		fmt.Fprintf(&b, ", then LIMIT %d", *l)
	}
	return b.String()
}

// CompileStatements compiles the SELECTs of a text that has semicolons between them. Other than for
// CompileAll, they may have set operations. The error joins the faults of all.
func (g Catalog) CompileStatements(text string) ([]*Statement, error) {
	all, err := selects(text)
	if err != nil {
		return nil, err
	}
	var list []*Statement
	var faults []error
	for _, q := range all {
		s, err := compileStatement(text, q, g)
		list, faults = append(list, s), append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return list, nil
}

// leaves are the queries that a query combines, or the query itself.
func leaves(q *syntax.Select) []*syntax.Select {
	if len(q.Sets) == 0 {
		return []*syntax.Select{q}
	}
	first := *q
	first.Sets, first.OrderBy, first.Limit, first.Offset, first.Emit = nil, nil, nil, nil, syntax.EmitDefault
	all := []*syntax.Select{&first}
	for _, s := range q.Sets {
		all = append(all, s.Select)
	}
	return all
}

// compileStatement compiles one SELECT, which may have set operations.
func compileStatement(text string, q *syntax.Select, g Catalog) (*Statement, error) {
	if len(q.Sets) == 0 {
		p, err := compileQuery(text, q, g)
		return &Statement{Plans: []*plan.Plan{p}}, err
	}
	if q.Emit != syntax.EmitDefault {
		return nil, syntax.ErrorAt(text, q.Sets[0].Pos, "EMIT and %s: results are combined when all of their rows are "+
			"there", q.Sets[0].Op)
	}
	if len(q.Sets) >= MaxCombined {
		return nil, syntax.ErrorAt(text, q.Sets[MaxCombined-1].Pos, "%d queries are combined, at most %d are allowed",
			len(q.Sets)+1, MaxCombined)
	}
	s := &Statement{set: &set{}}
	distinct := true
	for _, op := range q.Sets {
		distinct = distinct && !op.All
		s.set.ops = append(s.set.ops, map[string]result.SetOp{
			"UNION": result.Union, "INTERSECT": result.Intersect, "EXCEPT": result.Except,
		}[op.Op]+map[bool]result.SetOp{true: 1}[op.All])
	}
	parts := leaves(q)
	var faults []error
	for _, part := range parts {
		p, err := compilePart(text, part, g, distinct)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		s.Plans = append(s.Plans, p)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if err := s.unify(text, q, parts); err != nil {
		return nil, err
	}
	return s, s.order(text, q)
}

// compilePart compiles one of the queries. If no operation keeps rows that are equal, none of them
// need be kept of a query that passes records through either: it has a group for each.
func compilePart(text string, q *syntax.Select, g Catalog, distinct bool) (*plan.Plan, error) {
	p, err := compileQuery(text, q, g)
	if err != nil || !distinct || !p.PassesThrough() || len(p.Over) > 0 {
		return p, err
	}
	again := *q
	again.Distinct = true
	few, err := compileQuery(text, &again, g)
	if err != nil {
		return compileQuery(text, q, g) // of constants only
	}
	return few, nil
}

// unify finds the types of the combined rows.
func (s *Statement) unify(text string, q *syntax.Select, parts []*syntax.Select) error {
	for i, p := range s.Plans {
		r, err := p.Written()
		if err != nil {
			return fmt.Errorf("query: %w", err)
		}
		if i > 0 && r.Len() != s.set.parts[0].Len() {
			return syntax.ErrorAt(text, q.Sets[i-1].Pos, "%s of results of %d and %d columns", q.Sets[i-1].Op,
				s.set.parts[0].Len(), r.Len())
		}
		s.set.parts = append(s.set.parts, r)
	}
	var fields []record.Field
	for k := range s.set.parts[0].Len() {
		typ, scale := record.Type(0), 0
		for i, r := range s.set.parts {
			t := r.Field(k).Type
			if isNullItem(parts[i], k, r.Len()) {
				continue
			}
			scale = max(scale, t.Scale())
			switch {
			case typ == 0 || typ == t:
				typ = t
			case !isNumber(typ) || !isNumber(t):
				return syntax.ErrorAt(text, q.Sets[max(i, 1)-1].Pos, "%s: column %d is %v and %v: cast one of them",
					q.Sets[max(i, 1)-1].Op, k+1, typ, t)
			case typ == record.Float64 || t == record.Float64:
				typ = record.Float64
			default:
				typ = record.DecimalOf(record.MaxPrecision, scale)
			}
		}
		if typ == 0 {
			typ = record.String
		}
		fields = append(fields, record.Field{Name: s.set.parts[0].Field(k).Name, Type: typ, Nullable: true})
	}
	var err error
	s.set.schema, err = record.NewSchema("combined", fields...)
	return err
}

// isNullItem says whether an item of a query is NULL, which takes the type of the others.
func isNullItem(q *syntax.Select, k, columns int) bool {
	if len(q.Items) != columns || q.Items[k].Expr == nil {
		return false
	}
	x, ok := q.Items[k].Expr.(*syntax.Literal)
	return ok && x.Kind == syntax.Null
}

// order makes the plan that orders and limits the combined rows.
func (s *Statement) order(text string, q *syntax.Select) error {
	then := &syntax.Select{
		Pos: q.Pos, From: syntax.Table{Pos: q.Pos, Name: s.set.schema.Name()}, OrderBy: q.OrderBy, Limit: q.Limit,
		Offset: q.Offset,
	}
	for k := range s.set.schema.Len() {
		then.Items = append(then.Items, syntax.Item{
			Pos: q.Pos, Expr: &syntax.Ident{Pos: q.Pos, Name: s.set.schema.Field(k).Name},
		})
	}
	for _, o := range q.OrderBy {
		if o.Expr != nil && (hasAggregate(o.Expr) || hasOver(o.Expr)) {
			return syntax.ErrorAt(text, o.Expr.Start(), "ORDER BY of combined results is by their columns")
		}
	}
	var err error
	s.set.then, err = compileQuery(text, then, Catalog{Sources: []*record.Schema{s.set.schema}})
	return err
}

// refuseSets is the fault of a query with set operations where there can be none, or nil.
func refuseSets(text string, q *syntax.Select) error {
	if len(q.Sets) == 0 {
		return nil
	}
	return syntax.ErrorAt(text, q.Sets[0].Pos, "%s combines results when all of their rows are there, which "+
		"velo query does: here a query has one result, and rows as they come; write several queries", q.Sets[0].Op)
}
