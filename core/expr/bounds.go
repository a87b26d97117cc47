package expr

import (
	"slices"

	"github.com/velo-engine/velo/record"
)

// Bounds are comparisons of columns with constants that must be true for a condition to be true. It
// returns none if computing the condition may fail for a record: a reader that leaves out records
// which do not meet the bounds would leave out the failure, too.
func (e *Expr) Bounds() []record.Bound {
	if !e.harmless() {
		return nil
	}
	return e.bounds(nil)
}

func (e *Expr) bounds(to []record.Bound) []record.Bound {
	if e.op == And {
		for _, a := range e.args {
			to = a.bounds(to)
		}
		return to
	}
	is := boundOps[e.op]
	if is == 0 {
		return to
	}
	column, constant := e.args[0], e.args[1]
	if column.op == opConst {
		column, constant = constant, column
		is = mirrored[is]
	}
	if column.op == opColumn && constant.op == opConst && !constant.value.Null &&
		(column.typ.Kind() != record.String || column.typ == record.String) {
		b := record.Bound{Column: column.column, Is: is, Bits: constant.value.Bits}
		if column.typ == record.String {
			b.Bits, b.Text = 0, constant.value.Text
		}
		to = append(to, b)
	}
	return to
}

// boundOps are the operations that are bounds; 0 for the others.
var boundOps = map[Op]record.Comparison{
	Eq: record.Equal, Lt: record.Less, Le: record.LessOrEqual, Gt: record.Greater, Ge: record.GreaterOrEqual,
}

// mirrored is the comparison with its sides exchanged.
var mirrored = map[record.Comparison]record.Comparison{
	record.Equal: record.Equal, record.Less: record.Greater, record.LessOrEqual: record.GreaterOrEqual,
	record.Greater: record.Less, record.GreaterOrEqual: record.LessOrEqual,
}

// harmlessOps never fail if their arguments do not.
var harmlessOps = []Op{
	opColumn, opConst, Eq, Ne, Lt, Le, Gt, Ge, Distinct, In, And, Or, Not, IsNull, IsTrue, IsFalse,
}

func (e *Expr) harmless() bool {
	for _, a := range e.args {
		if !a.harmless() {
			return false
		}
	}
	return slices.Contains(harmlessOps, e.op)
}
