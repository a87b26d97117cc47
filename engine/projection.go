package engine

import (
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
)

// ColumnsRead says which columns of a plan's source the plan reads. The plan must be valid. The
// engine tells it to the readers that want to know: see record.Projector.
func ColumnsRead(p *plan.Plan) []bool {
	read := make([]bool, p.Source.Len())
	mark := func(name string) {
		if i, ok := p.Source.Index(name); ok {
			read[i] = true
		}
	}
	exprs := []*expr.Expr{p.Where}
	for _, o := range p.Computed {
		exprs = append(exprs, o.Expr)
	}
	if p.PassesThrough() { // else these are expressions over the groups
		for _, o := range p.Select {
			exprs = append(exprs, o.Expr)
		}
		for _, o := range p.OrderBy {
			exprs = append(exprs, o.Expr)
		}
	}
	for _, e := range exprs {
		if e == nil {
			continue
		}
		program, err := expr.Compile(p.Source, nil, []expr.Output{{Name: "c", Expr: e}})
		if err != nil {
			for i := range read {
				read[i] = true // it cannot be found out
			}
			return read
		}
		for _, i := range program.Columns() {
			read[i] = true
		}
	}
	for _, name := range p.Keys {
		mark(name)
	}
	for _, a := range p.Aggregates {
		mark(a.Column)
		mark(a.By)
	}
	if p.Window != nil {
		mark(p.Window.Column)
	}
	return read
}
