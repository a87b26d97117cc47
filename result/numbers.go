package result

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/record"
)

// number is a value that is a word, as an integer of the same order, and how often a group has it.
type number struct {
	ordered int64
	n       uint64
}

func (x number) times() uint64 { return x.n }

func (x number) value(t record.Type) expr.Value {
	if t == record.Float64 {
		return expr.Value{Bits: agg.Unordered(x.ordered)}
	}
	return expr.Value{Bits: uint64(x.ordered)}
}

// numbers are the values of all groups that an aggregate collects, if they are words and are
// collected in their own order. The slow twin is valuesOf, which takes every type and order.
type numbers struct {
	c *layout.Collect
	// values has the values of group after group. ends has, for each row of the groups, where its
	// values end.
	values []number
	ends   []int
}

// are says whether these are the values of an aggregate.
func (x *numbers) are(c *layout.Collect) bool {
	return x.c.Value == c.Value && x.c.Filter == c.Filter && x.c.Distinct == c.Distinct
}

// all are the rows of the groups that have a value, and their values.
func (x *numbers) all() iter.Seq2[int, []number] {
	return func(yield func(int, []number) bool) {
		from := 0
		for group, end := range x.ends {
			if end > from && !yield(group, x.values[from:end]) {
				return
			}
			from = end
		}
	}
}

// check compares them with what the slow twin says.
func (x *numbers) check(slow []collectedValue) {
	typ := layout.OrderBy{Typ: x.c.Type}
	for group, values := range x.all() {
		for _, v := range values {
			if len(slow) == 0 || slow[0].group != group || slow[0].n != v.n ||
				typ.Compare(slow[0].v, v.value(x.c.Type)) != 0 {
				panic(fmt.Sprintf("result: group %d: collected %+v, its twin %+v", group, v, slow[:min(1, len(slow))]))
			}
			slow = slow[1:]
		}
	}
	if len(slow) > 0 {
		panic(fmt.Sprintf("result: %d values were not collected, among them %+v", len(slow), slow[0]))
	}
}

// numbersOf are the values of the groups, each with the number of records that have it. groups is
// how many groups there are.
func (m *Merger) numbersOf(c *layout.Collect, groups int) *numbers {
	// A value belongs to the group of its row. The rows of each group are counted first. That says
	// where the values of the group begin.
	next := make([]int, groups+1)
	for _, set := range m.members {
		for _, x := range set.rows {
			next[x.group+1]++
		}
	}
	for i := range groups {
		next[i+1] += next[i]
	}
	begins := slices.Clone(next[:groups])
	all := make([]number, next[groups])
	keys := m.from.Keys
	for _, set := range m.members {
		for _, x := range set.rows {
			key, states := set.from.Table.Row(x.row)
			if keys.IsNull(key, c.Value) || !m.passes(c, key) {
				continue
			}
			v := number{ordered: int64(keys.Word(key, c.Value)), n: m.presents(states)}
			if c.Type == record.Float64 {
				v.ordered = agg.Ordered(uint64(v.ordered))
			}
			all[next[x.group]] = v
			next[x.group]++
		}
	}
	kept := &numbers{c: c, values: all[:0], ends: next[:groups]}
	for i := range groups {
		values := all[begins[i]:next[i]]
		slices.SortFunc(values, func(a, b number) int { return cmp.Compare(a.ordered, b.ordered) })
		from := len(kept.values)
		for _, v := range values {
			// The same value may be there several times, beside other values of other columns.
			if n := len(kept.values); n > from && kept.values[n-1].ordered == v.ordered {
				kept.values[n-1].n += v.n
			} else {
				kept.values = append(kept.values, v)
			}
		}
		kept.ends[i] = len(kept.values)
	}
	if c.Distinct {
		for i := range kept.values {
			kept.values[i].n = 1
		}
	}
	return kept
}
