package catalog

import (
	"cmp"
	"slices"
	"strings"
)

// A function is one that the evaluator knows.
type function struct {
	typ  uint32   // of the result; 0: the type of argument like
	like int      // the argument that has the type of the result
	args []uint32 // types that constants take; the last is for all that follow
	min  int      // arguments at least
	max  int      // arguments at most; -1: any number
	lax  bool     // it is called with NULL too; others give NULL then
	f    func(e *env, a []any) (any, error)
}

// call compiles the call of a function.
func (s *scope) call(x *call) value {
	switch {
	case x.over != nil:
		return s.windowCall(x)
	case isAggregate(x):
		return s.aggregateCall(x)
	case isSet(x.name):
		if s.calls == nil {
			panic(fault(codeUnsupported, x.pos, "set-returning functions are not allowed here"))
		}
		set := s.set(x)
		set.slot = s.calls.slot()
		s.calls.sets = append(s.calls.sets, set)
		return value{typ: set.typ, cols: set.cols, eval: slot(set.slot)}
	case slices.Contains([]string{"coalesce", "greatest", "least", "nullif"}, x.name):
		return s.choice(x)
	}
	// A function of one argument may be a cast: text(x), regclass(x).
	f, ok := functions[x.name]
	if !ok {
		if oid, isType := TypeOID(x.name); isType && len(x.args) == 1 {
			return s.cast(&cast{x.args[0], oid, x.pos})
		}
	}
	var args []value
	for i, a := range x.args {
		v := s.expr(a)
		want := uint32(oidText)
		if len(f.args) > 0 {
			want = f.args[min(i, len(f.args)-1)]
		}
		args = append(args, s.coerce(v, want, x.pos))
	}
	if !ok || x.star || len(args) < f.min || f.max >= 0 && len(args) > f.max {
		panic(s.noFunction(x, args))
	}
	typ := f.typ
	if x.label == "extract" {
		typ = oidNumeric
	}
	if typ == 0 {
		typ = args[f.like].typ
	}
	return value{typ: typ, eval: func(e *env) (any, error) {
		a, err := evalAll(args, e)
		if err != nil || !f.lax && hasNull(a) {
			return nil, err
		}
		v, err := f.f(e, a)
		var at *Error
		if err != nil && asFault(err, &at) && at.Pos < 0 {
			at.Pos = x.pos
		}
		return v, err
	}}
}

func asFault(err error, to **Error) bool {
	f, ok := err.(*Error)
	*to = f
	return ok
}

// hasNull does not use slices.Contains, which compares with ==: that panics for arrays.
func hasNull(a []any) bool { return slices.ContainsFunc(a, func(v any) bool { return v == nil }) }

func (s *scope) noFunction(x *call, args []value) *Error {
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = formatType(a.typ, -1, false)
	}
	if x.star {
		names = []string{"*"}
	}
	return &Error{
		Code: codeUndefinedFunc, Pos: x.pos,
		Message: "function " + x.name + "(" + strings.Join(names, ", ") + ") does not exist",
		Hint: "Statements about the catalog may use the functions that psql and the drivers use. A SELECT over a " +
			"view may use the functions of velo's SQL.",
	}
}

func (c *callSlots) slot() int {
	c.slots++
	return c.slots - 1
}

func slot(n int) func(e *env) (any, error) {
	return func(e *env) (any, error) { return e.slots[n], nil }
}

// choice compiles COALESCE and its relatives, which are no functions.
func (s *scope) choice(x *call) value {
	if len(x.args) == 0 {
		panic(s.noFunction(x, nil))
	}
	var all []value
	for _, a := range x.args {
		all = append(all, s.expr(a))
	}
	all = s.unify(all)
	if x.name == "nullif" {
		if len(all) != 2 {
			panic(s.noFunction(x, all))
		}
		equal := s.compare("=", all[0], all[1], x.pos)
		return value{typ: all[0].typ, eval: func(e *env) (any, error) {
			same, err := equal.eval(e)
			if err != nil || same == true {
				return nil, err
			}
			return all[0].eval(e)
		}}
	}
	return value{typ: all[0].typ, eval: func(e *env) (best any, err error) {
		for _, a := range all {
			v, err := a.eval(e)
			switch {
			case err != nil:
				return nil, err
			case v == nil:
			case x.name == "coalesce":
				return v, nil
			case best == nil, x.name == "greatest" && order(v, best) > 0, x.name == "least" && order(v, best) < 0:
				best = v
			}
		}
		return best, nil
	}}
}

var aggregateNames = []string{
	"count", "sum", "min", "max", "avg", "string_agg", "array_agg", "bool_and", "bool_or", "every",
}

func isAggregate(x *call) bool { return slices.Contains(aggregateNames, x.name) }

// aggregateOf compiles an aggregate without its slot.
func (s *scope) aggregateOf(x *call) (*aggregate, uint32) {
	calls := s.calls
	s.calls = nil // aggregates do not nest
	defer func() { s.calls = calls }()
	a := &aggregate{unique: x.distinct, keys: x.orderBy}
	for _, arg := range x.args {
		a.args = append(a.args, s.coerce(s.expr(arg), oidText, x.pos))
	}
	if len(a.args) == 0 && !x.star || len(a.args) == 0 && x.name != "count" {
		panic(s.noFunction(x, a.args))
	}
	if x.filter != nil {
		v := s.condition(x.filter)
		a.filter = &v
	}
	for _, k := range x.orderBy {
		a.orderBy = append(a.orderBy, s.expr(k.x))
	}
	typ := uint32(oidInt8)
	var in uint32
	if len(a.args) > 0 {
		in = a.args[0].typ
	}
	switch x.name {
	case "count":
		a.make = func() accumulator { return &counter{star: x.star} }
		return a, typ
	case "string_agg":
		if len(a.args) != 2 {
			panic(s.noFunction(x, a.args))
		}
		typ = oidText
	case "array_agg":
		typ = arrayOf(in)
	case "bool_and", "bool_or", "every":
		typ = oidBool
	case "avg":
		typ = oidNumeric
	case "sum":
		if in == oidFloat8 || in == oidNumeric || in == oidFloat4 {
			typ = in
		} else if !isNumber(in) {
			panic(s.noFunction(x, a.args))
		}
	default:
		typ = in
	}
	a.make = func() accumulator { return &folder{name: x.name} }
	return a, typ
}

func (s *scope) aggregateCall(x *call) value {
	if s.calls == nil || !s.calls.grouping {
		panic(fault(codeGrouping, x.pos, "aggregate functions are not allowed here"))
	}
	a, typ := s.aggregateOf(x)
	a.slot = s.calls.slot()
	s.calls.aggregates = append(s.calls.aggregates, a)
	return value{typ: typ, eval: slot(a.slot)}
}

func (s *scope) windowCall(x *call) value {
	if s.calls == nil {
		panic(fault("42P20", x.pos, "window functions are not allowed here"))
	}
	w := &windowCall{name: x.name, keys: x.over.orderBy}
	typ := uint32(oidInt8)
	switch {
	case isAggregate(x) && !x.distinct && x.filter == nil && len(x.orderBy) == 0:
		w.agg, typ = s.aggregateOf(x)
	case slices.Contains([]string{"row_number", "rank", "dense_rank"}, x.name) && len(x.args) == 0:
	default:
		panic(
			fault(
				codeUnsupported,
				x.pos,
				"window function %s is not supported in statements about the catalog",
				x.name,
			),
		)
	}
	for _, p := range x.over.partition {
		w.partition = append(w.partition, s.expr(p))
	}
	for _, k := range x.over.orderBy {
		w.orderBy = append(w.orderBy, s.expr(k.x))
	}
	w.slot = s.calls.slot()
	s.calls.windows = append(s.calls.windows, w)
	return value{typ: typ, eval: slot(w.slot)}
}

// A counter is count(*) and count(x).
type counter struct {
	star bool
	n    int64
}

func (c *counter) add(args []any) error {
	if c.star || !hasNull(args) {
		c.n++
	}
	return nil
}

func (c *counter) result() any { return c.n }

// A folder computes the other aggregates.
type folder struct {
	name string
	n    int64
	v    any
	all  []any
	text strings.Builder
}

func (f *folder) add(args []any) error {
	v := args[0]
	if f.name == "array_agg" {
		f.all = append(f.all, v)
		return fits(len(f.all))
	}
	if v == nil {
		return nil
	}
	f.n++
	first := f.n == 1
	switch f.name {
	case "min":
		if first || order(v, f.v) < 0 {
			f.v = v
		}
	case "max":
		if first || order(v, f.v) > 0 {
			f.v = v
		}
	case "bool_and", "every":
		f.v = v == true && (first || f.v == true)
	case "bool_or":
		f.v = v == true || f.v == true
	case "string_agg":
		s, ok := v.(string)
		sep, ok2 := args[1].(string)
		if !first {
			f.text.WriteString(sep)
		}
		if !ok || !ok2 && args[1] != nil {
			return fault(codeUndefinedFunc, -1, "string_agg takes text")
		}
		f.text.WriteString(s)
		return fits(f.text.Len())
	case "avg":
		if first {
			f.v = 0.0
		}
		f.v = f.v.(float64) + asFloat(v)
	case "sum":
		if first {
			f.v = v
			return nil
		}
		x, ok := f.v.(int64)
		y, ok2 := v.(int64)
		if !ok || !ok2 {
			f.v = asFloat(f.v) + asFloat(v)
			return nil
		}
		n, err := wholeResult("+", x, y, -1)
		f.v = n
		return err
	}
	return nil
}

func (f *folder) result() any {
	switch {
	case f.name == "array_agg":
		if f.all == nil {
			return nil
		}
		return f.all
	case f.n == 0:
		return nil
	case f.name == "string_agg":
		return f.text.String()
	case f.name == "avg":
		return f.v.(float64) / float64(f.n)
	}
	return f.v
}

var setNames = []string{
	"generate_series", "unnest", "generate_subscripts", "_pg_expandarray", "pg_get_keywords", "pg_options_to_table",
	"aclexplode", "pg_listening_channels", "string_to_table", "pg_partition_ancestors",
}

func isSet(name string) bool { return slices.Contains(setNames, name) }

// maxSeries is how many rows a function may give.
const maxSeries = 1_000_000

// set compiles a function that gives a set.
func (s *scope) set(x *call) setValue {
	if !isSet(x.name) {
		v := s.call(x)
		return setValue{typ: v.typ, cols: v.cols, set: func(e *env) ([]any, error) {
			one, err := v.eval(e)
			return []any{one}, err
		}}
	}
	want := uint32(oidText)
	if x.name == "generate_series" || x.name == "generate_subscripts" {
		want = oidInt4
	}
	var args []value
	for _, a := range x.args {
		args = append(args, s.coerce(s.expr(a), want, x.pos))
	}
	call := func(f func(e *env, a []any) ([]any, error)) func(e *env) ([]any, error) {
		return func(e *env) ([]any, error) {
			a, err := evalAll(args, e)
			if err != nil || hasNull(a) {
				return nil, err
			}
			return f(e, a)
		}
	}
	need := func(least, most int) {
		if len(args) < least || len(args) > most {
			panic(s.noFunction(x, args))
		}
	}
	switch x.name {
	case "generate_series":
		need(2, 3)
		return setValue{typ: cmp.Or(args[0].typ, oidInt4), set: call(series)}
	case "unnest":
		need(1, 1)
		return setValue{typ: cmp.Or(elementOf(args[0].typ), oidText), set: call(func(_ *env, a []any) ([]any, error) {
			all, _ := a[0].([]any)
			return all, nil
		})}
	case "generate_subscripts":
		need(2, 2)
		first := lowerBound(args[0].typ)
		return setValue{typ: oidInt4, set: call(func(e *env, a []any) ([]any, error) {
			all, _ := a[0].([]any)
			return series(e, []any{first, first + int64(len(all)) - 1})
		})}
	case "_pg_expandarray":
		need(1, 1)
		elem := cmp.Or(elementOf(args[0].typ), oidText)
		return setValue{
			typ: oidRecord, cols: fieldsOf("x", int(elem), "n", oidInt4),
			set: call(func(_ *env, a []any) (out []any, _ error) {
				all, _ := a[0].([]any)
				for i, v := range all {
					out = append(out, record{fields: []any{v, int64(i + 1)}})
				}
				return out, nil
			}),
		}
	case "string_to_table":
		need(2, 2)
		return setValue{typ: oidText, set: call(func(_ *env, a []any) (out []any, _ error) {
			text, ok := a[0].(string)
			sep, ok2 := a[1].(string)
			if !ok || !ok2 {
				return nil, s.noFunction(x, args)
			}
			for part := range strings.SplitSeq(text, sep) {
				out = append(out, part)
			}
			return out, nil
		})}
	}
	return constantSets[x.name]
}

func fieldsOf(pairs ...any) (cols []Column) {
	for i := 0; i < len(pairs); i += 2 {
		cols = append(cols, Column{Name: pairs[i].(string), Type: uint32(pairs[i+1].(int)), Mod: -1})
	}
	return cols
}

func noRows(*env) ([]any, error) { return nil, nil }

// constantSets are the sets that do not depend on arguments.
var constantSets = map[string]setValue{
	"pg_get_keywords": {
		typ: oidRecord, set: keywordRows,
		cols: fieldsOf(
			"word", oidText, "catcode", oidChar, "barelabel", oidBool, "catdesc", oidText, "baredesc", oidText,
		),
	},
	"pg_options_to_table": {
		typ: oidRecord, set: noRows, cols: fieldsOf("option_name", oidText, "option_value", oidText),
	},
	"aclexplode": {
		typ: oidRecord, set: noRows,
		cols: fieldsOf("grantor", oidOID, "grantee", oidOID, "privilege_type", oidText, "is_grantable", oidBool),
	},
	"pg_listening_channels":  {typ: oidText, set: noRows},
	"pg_partition_ancestors": {typ: oidRegclass, set: noRows},
}

func keywordRows(*env) (out []any, _ error) {
	for _, r := range constantRows("pg_get_keywords") {
		out = append(out, record{fields: []any{r[0], r[1], r[2] == "true", r[3], r[4]}})
	}
	return out, nil
}

func series(_ *env, a []any) (all []any, err error) {
	step := int64(1)
	from, ok := a[0].(int64)
	to, ok2 := a[1].(int64)
	if len(a) == 3 {
		n, ok3 := a[2].(int64)
		step, ok2 = n, ok2 && ok3
	}
	switch {
	case !ok || !ok2:
		return nil, fault(codeUnsupported, -1, "generate_series counts with integers in statements about the catalog")
	case step == 0:
		return nil, fault(codeBadValue, -1, "step size cannot equal zero")
	case (to-from)/step > maxSeries || (to > from) != (to-from > 0):
		return nil, fault(codeTooComplex, -1, "generate_series gives more than %d rows", maxSeries)
	}
	for n := from; step > 0 && n <= to || step < 0 && n >= to; n += step {
		all = append(all, n)
	}
	return all, nil
}
