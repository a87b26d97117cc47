package plan

import (
	"fmt"
	"slices"

	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/record"
)

// collects says whether an aggregate is computed from all values of a group when it is read.
func (a *Aggregate) collects() bool { return a.Distinct || a.Func.Collects() }

// more are the columns of an aggregate that are neither Column nor By.
func (a *Aggregate) more() (names []string) {
	for _, o := range a.OrderBy {
		names = append(names, o.Column)
	}
	if a.Filter != "" {
		names = append(names, a.Filter)
	}
	return names
}

// hasTuples says whether the plan keeps its groups by more than their keys, because some aggregate
// needs all values.
func (p *Plan) hasTuples() bool {
	return slices.ContainsFunc(p.Aggregates, func(a Aggregate) bool { return a.collects() })
}

// countsOne says whether all that the plan needs the values for is to count the distinct values of
// one column. Then each pair of a key and a value counts for one.
func (p *Plan) countsOne() bool {
	column := ""
	if p.Sets != nil {
		return false
	}
	for _, a := range p.Aggregates {
		switch {
		case !a.collects():
		case a.Func != Count || column != "" && a.Column != column:
			return false
		default:
			column = a.Column
		}
	}
	return true
}

// distinctFuncs are the functions of distinct values.
var distinctFuncs = []AggregateKind{
	Count, Sum, Avg, VarPop, VarSamp, StddevPop, StddevSamp, BitAnd, BitOr, BitXor, PercentileCont, PercentileDisc,
	StringAgg, ArrayAgg,
}

// tuple are the columns by which the groups are kept beside their keys.
func (p *Plan) tuple() (columns []string, err error) {
	for i := range p.Aggregates {
		a := &p.Aggregates[i]
		if !a.collects() {
			if len(a.more()) > 0 || a.Separator != "" {
				return nil, fmt.Errorf("plan %s: aggregate %q: %v takes no order, no filter and no separator", p.name(),
					a.Name, a.Func)
			}
			continue
		}
		if a.Distinct && !slices.Contains(distinctFuncs, a.Func) || a.Column == "" || a.By != "" {
			return nil, fmt.Errorf("plan %s: aggregate %q: %v cannot be DISTINCT", p.name(), a.Name, a.Func)
		}
		for _, name := range append([]string{a.Column}, a.more()...) {
			if !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	if p.Sets != nil && p.hasSessions() {
		return nil, fmt.Errorf("plan %s: sets of keys and sessions: each key has sessions of its own", p.name())
	}
	if len(columns) > 0 && p.hasSessions() {
		return nil, fmt.Errorf("plan %s: different values cannot be counted in sessions: each value of a key "+
			"would have sessions of its own", p.name())
	}
	return columns, nil
}

// collect makes how an aggregate is collected. compileTuples finds the key columns.
func (l *compiler) collect(a *Aggregate, t record.Type) *layout.Collect {
	c := &layout.Collect{
		Type: t, Distinct: a.Distinct, Fraction: a.Fraction, Separator: a.Separator, Nulls: a.Func == ArrayAgg,
		Filter: -1,
		Names:  append([]string{a.Column}, a.more()...),
	}
	for _, o := range a.OrderBy {
		if i, ok := l.column(fmt.Sprintf("aggregate %q", a.Name), o.Column); ok {
			c.Order = append(c.Order, layout.OrderBy{
				Typ: l.Source.Field(i).Type, Desc: o.Desc, NullsFirst: o.NullsFirst,
			})
		}
	}
	return c
}

// compileTuples makes the layout of what is kept, from which groups of the layout read are made. It
// has a group for each key and each combination of values of these columns.
func compileTuples(p *Plan, read *layout.Layout, columns []string) (*layout.Layout, error) {
	q := &Plan{
		Name: p.name(), Source: p.Source, Where: p.Where, Computed: p.Computed, Keys: slices.Clone(p.Keys),
		Window: p.Window, Emit: p.Emit, bare: p.mayBeEmpty(),
	}
	for _, name := range columns {
		if !slices.Contains(q.Keys, name) {
			q.Keys = append(q.Keys, name)
		}
	}
	count := false // whether the records of a tuple must be counted
	for _, a := range p.Aggregates {
		if !a.collects() {
			q.Aggregates = append(q.Aggregates, a)
		}
		count = count || a.Func.Collects() && !a.Distinct
	}
	if count {
		q.Aggregates = append(q.Aggregates, Aggregate{Name: "records of a tuple", Func: Count})
	}
	l, err := compileLayout(q)
	if err != nil {
		return nil, err
	}
	l.Keys = l.Keys.WithExtra(len(q.Keys) - len(p.Keys))
	l.Reading, l.ValueKey, l.PresentWord = read, -1, -1
	l.Panics = read.Panics
	if len(columns) > 0 && p.countsOne() {
		l.ValueKey = slices.Index(q.Keys, columns[0])
	}
	if count {
		l.PresentWord = l.Outputs[len(l.Outputs)-1].Word
	}
	for _, s := range read.States {
		c := s.Collect
		if c == nil {
			continue
		}
		c.Value = slices.Index(q.Keys, c.Names[0])
		for i := range c.Order {
			c.Order[i].Inner = slices.Index(q.Keys, c.Names[1+i])
		}
		if len(c.Names) > 1+len(c.Order) {
			c.Filter = slices.Index(q.Keys, c.Names[1+len(c.Order)])
		}
	}
	return l, nil
}
