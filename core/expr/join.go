package expr

import (
	"fmt"
	"slices"

	"github.com/velo-engine/velo/record"
)

// JoinPrograms makes one program of several over the same source, if a record passes, is filtered
// or fails in each of them alike: they have the same filter, and compute the same expressions.
// Plain columns may differ. It returns, for each program, the column of the joint result that each
// of its own is. ok is false if the programs cannot be joined.
func JoinPrograms(programs []*Program) (joint *Program, columns [][]int, ok bool) {
	first := programs[0]
	joint = &Program{source: first.source, where: -1}
	c := compiler{Program: joint, ids: map[string]int{}}
	var computed []int // the nodes that the first computes, sorted
	for i, p := range programs {
		where := -1
		if p.where >= 0 {
			where = c.add(p.nodes[p.where].Expr)
		}
		if i == 0 {
			joint.where = where
		}
		if where != joint.where {
			return nil, nil, false
		}
		var mine, computes []int
		for _, id := range p.outputs {
			id = c.add(p.nodes[id].Expr)
			at := slices.Index(joint.outputs, id)
			if at < 0 {
				at = len(joint.outputs)
				joint.outputs = append(joint.outputs, id)
			}
			mine = append(mine, at)
			if joint.nodes[id].op != opColumn {
				computes = append(computes, id)
			}
		}
		slices.Sort(computes)
		computes = slices.Compact(computes)
		if i == 0 {
			computed = computes
		}
		if !slices.Equal(computed, computes) {
			return nil, nil, false
		}
		columns = append(columns, mine)
	}
	var fields []record.Field
	for i, id := range joint.outputs {
		n := &joint.nodes[id]
		fields = append(fields, record.Field{Name: fmt.Sprintf("c%d", i), Type: n.typ, Nullable: n.nullable})
		joint.texts = append(joint.texts, n.String())
	}
	var err error
	joint.result, err = record.NewSchema(first.source.Name(), fields...)
	return joint, columns, err == nil && len(c.faults) == 0 && len(joint.nodes) <= MaxNodes
}
