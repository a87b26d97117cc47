package view

import (
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// entry is a view of a catalog.
type entry struct {
	Info
	// lookup are the columns of the values that Plan.Key takes, in their order; nil if a group
	// cannot be found by columns of the result, or if a group that is found need not be in the
	// result.
	lookup []int
}

func newEntry(name string, v View) (*entry, error) {
	of := v.Plan
	if v.Over != nil {
		over, err := v.Over()
		if err != nil {
			return nil, err
		}
		of = over
	}
	columns, err := of.Result()
	if err != nil {
		return nil, err
	}
	fields := make([]record.Field, columns.Len())
	for i := range fields {
		fields[i] = columns.Field(i)
	}
	schema, err := record.NewSchema(name, fields...)
	if err != nil {
		return nil, err
	}
	e := &entry{Info: Info{View: v, Name: name, Schema: schema, Keys: of.WrittenKeys()}}
	if v.Over != nil || !found(v.Plan) {
		return e, nil
	}
	for i, key := range e.Keys {
		column, ok := schema.Index(key)
		if !ok || i == 0 && v.Plan.Window != nil && !isWindowEnd(v.Plan, key) {
			e.lookup = nil
			break
		}
		e.lookup = append(e.lookup, column)
	}
	return e, nil
}

// found says whether every group that Snapshot.Get finds is a row of the result, as it is there.
func found(p *plan.Plan) bool {
	if p.Window != nil && p.Window.Kind == plan.Session {
		return false // a session has no end that anybody could name
	}
	return p.Having == nil && p.Copies == nil && p.Limit == nil && p.Offset == 0 && !p.Distinct && len(p.Over) == 0 &&
		p.Qualify == nil && len(p.Sets) == 0
}

// isWindowEnd says whether a column of the result is the end of the window.
func isWindowEnd(p *plan.Plan, name string) bool {
	if p.Select == nil {
		return name == plan.WindowEnd
	}
	inner, err := p.Inner()
	if err != nil {
		return false
	}
	for _, o := range p.Select {
		if i, ok := o.Expr.IsColumn(); ok && o.Name == name {
			return inner.Field(i).Name == plan.WindowEnd
		}
	}
	return false
}

// key is the key of the one group that a condition lets through; false if it may be several.
func (e *entry) key(where *expr.Expr) (k plan.Key, ok bool) {
	if where == nil || e.lookup == nil {
		return k, false
	}
	fixed := where.Fixed()
	values := make([]any, len(e.lookup))
	for i, column := range e.lookup {
		v, ok := fixed[column]
		if !ok {
			return k, false
		}
		values[i] = v.ForKey(e.Schema.Field(column).Type)
	}
	k, err := e.Plan.Key(values...)
	return k, err == nil
}

// one finds the rows of a statement that reads one group at most. It is the fast path of run, and
// gives the same rows. A nil condition is known to be true.
func (e *entry) one(p *plan.Plan, where *expr.Expr, s *engine.Snapshot, k plan.Key) (*record.Batch, error) {
	schema, err := p.Result()
	if err != nil {
		return nil, err
	}
	row, ok := s.Get(k)
	if !ok {
		return nil, nil
	}
	from := record.NewBatch(e.Schema, 1)
	result.AppendRow(from, row)
	if where != nil {
		pass, err := where.Eval(from, 0)
		if err != nil || pass.Null || pass.Bits == 0 {
			return nil, rowError(err)
		}
	}
	to := record.NewBatch(schema, 1)
	values := make([]expr.Value, len(p.Select))
	text := 0
	for i, o := range p.Select {
		values[i], err = o.Expr.Eval(from, 0)
		if err != nil {
			return nil, rowError(err)
		}
		text += len(values[i].Text)
	}
	to.Add(text)
	for i, v := range values {
		switch {
		case v.Null:
			to.SetNull(i)
		case schema.Field(i).Type.Kind() == record.String:
			to.SetString(i, v.Text)
		default:
			to.Column(i).Words()[0] = v.Bits
		}
	}
	return to, nil
}

// isOne says whether a statement that reads one group can be computed without an engine.
func isOne(p *plan.Plan) bool {
	return p.From == nil && p.Window == nil && p.PassesThrough() && len(p.Over) == 0 && p.Qualify == nil &&
		p.Offset == 0 && (p.Limit == nil || *p.Limit > 0)
}
