package engine

import "github.com/velo-engine/velo/plan"

// ColumnsRead says which columns of a plan's source the plan reads. The plan must be valid. The
// engine tells it to the readers that want to know: see record.Projector.
func ColumnsRead(p *plan.Plan) []bool {
	read := make([]bool, p.Source.Len())
	l, err := p.Layout()
	switch {
	case err != nil: // it cannot be found out
		for i := range read {
			read[i] = true
		}
		return read
	case l.Stage != nil:
		for _, i := range l.Stage.Columns() {
			read[i] = true
		}
		return read
	}
	// Nothing is computed and nothing is filtered: the columns have names.
	mark := func(name string) {
		if i, ok := p.Source.Index(name); ok {
			read[i] = true
		}
	}
	for _, name := range p.Keys {
		mark(name)
	}
	for _, a := range p.Aggregates {
		mark(a.Column)
		mark(a.By)
		for _, o := range a.OrderBy {
			mark(o.Column)
		}
		mark(a.Filter)
	}
	if p.Window != nil {
		mark(p.Window.Column)
	}
	return read
}
