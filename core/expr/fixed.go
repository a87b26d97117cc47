package expr

// Fixed are the columns that must have a given value for a condition to be true: those that it
// compares for equality with a constant, if the comparisons are joined by AND. The value has the
// column's own type.
func (e *Expr) Fixed() map[int]Value {
	fixed := map[int]Value{}
	e.fixed(fixed)
	return fixed
}

func (e *Expr) fixed(to map[int]Value) {
	switch e.op {
	case And:
		for _, a := range e.args {
			a.fixed(to)
		}
	case Eq:
		column, constant := e.args[0], e.args[1]
		if column.op == opConst {
			column, constant = constant, column
		}
		if column.op == opColumn && constant.op == opConst && !constant.value.Null {
			to[column.column] = constant.value
		}
	}
}
