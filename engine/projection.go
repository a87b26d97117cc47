package engine

import "github.com/velo-engine/velo/plan"

// ColumnsRead says which columns of their source some plans read. The plans must be valid. The
// engine tells it to the readers that want to know: see record.Projector.
func ColumnsRead(plans ...*plan.Plan) []bool {
	read := make([]bool, plans[0].Source.Len())
	for _, p := range plans {
		for i, is := range columnsRead(p) {
			read[i] = read[i] || is
		}
	}
	return read
}

func columnsRead(p *plan.Plan) []bool {
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
