package query

import (
	"slices"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// A groupingSet is a set of expressions that groups are made by.
type groupingSet []syntax.Expr

// groupings says whether GROUP BY has GROUPING SETS, ROLLUP or CUBE.
func groupings(q *syntax.Select) bool {
	return slices.ContainsFunc(q.GroupBy, func(e syntax.Expr) bool { _, ok := e.(*syntax.Grouping); return ok })
}

// setsOf are the sets that an item of GROUP BY stands for.
func setsOf(e syntax.Expr) (sets []groupingSet) {
	g, ok := e.(*syntax.Grouping)
	if !ok {
		return []groupingSet{{e}}
	}
	list := func(e syntax.Expr) groupingSet {
		if g, ok := e.(*syntax.Grouping); ok && g.Kind == "" {
			return g.Items
		}
		return groupingSet{e}
	}
	switch g.Kind {
	case "ROLLUP":
		for n := len(g.Items); n >= 0; n-- {
			var set groupingSet
			for _, item := range g.Items[:n] {
				set = append(set, list(item)...)
			}
			sets = append(sets, set)
		}
	case "CUBE":
		n := len(g.Items)
		if n > 8 {
			return nil
		}
		for mask := 1<<n - 1; mask >= 0; mask-- {
			var set groupingSet
			for i, item := range g.Items {
				if mask>>(n-1-i)&1 != 0 {
					set = append(set, list(item)...)
				}
			}
			sets = append(sets, set)
		}
	case "":
		return []groupingSet{g.Items}
	default:
		for _, item := range g.Items {
			sets = append(sets, setsOf(item)...)
		}
	}
	return sets
}

// groupBySets replaces what is in GROUP BY by the expressions of all sets, and notes the sets: each
// item of GROUP BY has some, and the query has every combination.
func (c *compiler) groupBySets() {
	q := c.query
	if !groupings(q) {
		return
	}
	sets := []groupingSet{nil}
	var rest, all []syntax.Expr
	for _, e := range q.GroupBy {
		if call, ok := e.(*syntax.Call); ok && isWindow(call.Name) {
			rest = append(rest, e)
			continue
		}
		if id, ok := e.(*syntax.Ident); ok && isBound(id.Name) {
			rest = append(rest, e)
			continue
		}
		more := setsOf(e)
		var product []groupingSet
		for _, a := range sets {
			for _, b := range more {
				product = append(product, append(slices.Clone(a), b...))
			}
		}
		sets = product
		if len(sets) > plan.MaxSets || more == nil {
			c.fault(e.Start(), "GROUP BY has more than %d sets", plan.MaxSets)
			return
		}
	}
	for _, s := range sets {
		for _, e := range s {
			if !slices.ContainsFunc(all, func(o syntax.Expr) bool { return o.String() == e.String() }) {
				all = append(all, e)
			}
		}
	}
	q.GroupBy = append(rest, all...)
	c.sets = sets
}

// nameSets gives the plan its sets, when the names of the keys are known. keyOf is the name of each
// expression in GROUP BY.
func (c *compiler) nameSets(keyOf map[string]string) {
	if c.sets == nil {
		return
	}
	for _, s := range c.sets {
		names := []string{}
		for _, e := range s {
			if name := keyOf[e.String()]; name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		c.plans.Sets = append(c.plans.Sets, names)
	}
	if len(c.keyNames) == 0 { // only sets without keys
		if len(c.plans.Sets) > 1 {
			c.fault(c.query.Pos, "several sets without keys have the same group: write () once")
		}
		c.plans.Sets = nil
	}
}

// isGrouping says whether a call is grouping(...): which of its arguments are not in the set of a
// group.
func isGrouping(x *syntax.Call) bool {
	return (x.Name == "grouping" || x.Name == "grouping_id") && x.Over == nil
}

// grouping binds grouping(a, b, ...).
func (c *compiler) grouping(x *syntax.Call) (v value, ok bool) {
	if !c.arity(x, 1, 31) {
		return v, false
	}
	sum := expr.Int(record.Int64, 0)
	for i, a := range x.Args {
		key := slices.Index(c.keyNames, c.keys[a.String()])
		if key < 0 {
			c.fault(a.Start(), "%s of %s, expected what is in GROUP BY", x.Name, a)
			return v, false
		}
		at, there := c.inner.Index(plan.GroupingColumn)
		if !there {
			continue
		}
		bit, ok := c.make(x.Pos, expr.ShiftRight, expr.Column(c.inner, at), expr.Int(record.Int64, int64(key)))
		if !ok {
			return v, false
		}
		bit, ok = c.make(x.Pos, expr.BitAnd, bit.e, expr.Int(record.Int64, 1))
		if !ok {
			return v, false
		}
		bit, ok = c.make(x.Pos, expr.ShiftLeft, bit.e, expr.Int(record.Int64, int64(len(x.Args)-1-i)))
		if !ok {
			return v, false
		}
		bit, ok = c.make(x.Pos, expr.BitOr, sum, bit.e)
		if !ok {
			return v, false
		}
		sum = bit.e
	}
	return value{e: sum}, true
}
