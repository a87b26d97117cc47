package catalog

import (
	"slices"
	"strings"
	"time"
)

// literal is a value that is always the same.
func literal(v any, typ uint32) value {
	return value{typ: typ, eval: func(*env) (any, error) { return v, nil }}
}

// expr compiles an expression.
func (s *scope) expr(x node) value {
	switch x := x.(type) {
	case *constant:
		v := literal(x.v, x.typ)
		if x.typ == oidUnknown {
			v.lit = x
		}
		return v
	case *parameter:
		return s.parameter(x)
	case *columnRef:
		return s.column(x)
	case *call:
		return s.call(x)
	case *unary:
		return s.unary(x)
	case *binary:
		return s.binary(x)
	case *isTest:
		return s.isTest(x)
	case *distinctTest:
		return s.distinctTest(x)
	case *inList:
		return s.inList(x)
	case *inQuery:
		return s.quantified(&quantified{x: x.x, op: inOp(x.not), all: x.not, r: &subquery{x.q}, pos: x.pos})
	case *quantified:
		return s.quantified(x)
	case *caseExpr:
		return s.caseExpr(x)
	case *cast:
		return s.cast(x)
	case *arrayLit:
		return s.arrayLit(x)
	case *arrayQuery:
		return s.arrayQuery(x)
	case *subquery:
		return s.subquery(x)
	case *exists:
		p := s.c.query(x.q, s)
		return value{typ: oidBool, eval: func(e *env) (any, error) {
			rows, err := p.rows(e)
			return len(rows) > 0, err
		}}
	case *index:
		return s.index(x)
	case *field:
		return s.field(x)
	case *row:
		return s.row(x)
	case *star:
		panic(fault(codeSyntax, x.pos, "* is not allowed here"))
	}
	panic(fault(codeUnsupported, -1, "this kind of expression is not supported"))
}

func inOp(not bool) string {
	if not {
		return "<>"
	}
	return "="
}

func (s *scope) parameter(x *parameter) value {
	for len(s.c.params) < x.n {
		s.c.params = append(s.c.params, 0)
	}
	v := value{typ: s.c.params[x.n-1], eval: func(e *env) (any, error) {
		if x.n > len(e.run.args) {
			return nil, fault("42P02", x.pos, "there is no parameter $%d", x.n)
		}
		v := e.run.args[x.n-1]
		text, ok := v.(string)
		if t := s.c.params[x.n-1]; ok && !TextLike(t) {
			return e.run.db.input(t, text, x.pos) // such as a regclass
		}
		return v, nil
	}}
	if v.typ == 0 || v.typ == oidUnknown {
		v.typ, v.par = oidUnknown, x
	}
	return v
}

// column finds a column: in this query, or in those around it.
func (s *scope) column(x *columnRef) value {
	depth := 0
	for at := s; at != nil; at = at.parent {
		if at.virtual {
			continue
		}
		v, ok := at.find(x)
		if ok {
			if depth == 0 {
				return v
			}
			for inner := s; inner != at; inner = inner.parent {
				inner.outer = true
			}
			eval := v.eval
			d := depth
			v.eval = func(e *env) (any, error) {
				for range d {
					e = e.parent
				}
				return eval(e)
			}
			return v
		}
		depth++
	}
	name := x.parts[len(x.parts)-1]
	if len(x.parts) > 1 {
		for at := s; at != nil; at = at.parent {
			for _, r := range at.rels {
				if r.alias == x.parts[len(x.parts)-2] {
					panic(fault(codeUndefinedName, x.pos, "column %s.%s does not exist", r.alias, name))
				}
			}
		}
		panic(fault(codeUndefinedRel, x.pos, "missing FROM-clause entry for table %q", x.parts[len(x.parts)-2]))
	}
	panic(fault(codeUndefinedName, x.pos, "column %q does not exist", name))
}

// find finds a column in one query.
func (s *scope) find(x *columnRef) (v value, ok bool) {
	name := x.parts[len(x.parts)-1]
	for i, r := range s.rels {
		if len(x.parts) > 1 && (r.alias != x.parts[len(x.parts)-2] ||
			len(x.parts) > 2 && r.schema != "" && r.schema != x.parts[len(x.parts)-3]) {
			continue
		}
		for k, c := range r.columns {
			if c.Name != name || r.hidden[k] && (len(x.parts) == 1 && c.Name != "tableoid" && c.Name != "ctid") {
				continue
			}
			if ok {
				panic(fault(codeAmbiguous, x.pos, "column reference %q is ambiguous", name))
			}
			v, ok = value{typ: c.Type, cols: c.fields, eval: at(i, k)}, true
			s.refs |= 1 << i
		}
	}
	if ok || len(x.parts) > 1 {
		return v, ok
	}
	for i, r := range s.rels { // the whole row of a relation
		if r.alias == name {
			s.refs |= 1 << i
			if r.whole {
				return value{typ: r.columns[0].Type, eval: at(i, 0)}, true
			}
			return value{typ: oidRecord, cols: r.columns, eval: func(e *env) (any, error) {
				if e.rows[i] == nil {
					return nil, nil
				}
				return record{fields: e.rows[i]}, nil
			}}, true
		}
	}
	return v, false
}

// coerce gives a constant or a parameter of unknown type the type that it meets. Other values stay.
func (s *scope) coerce(v value, to uint32, pos int) value {
	switch {
	case v.par != nil && to != oidUnknown:
		n := v.par.n - 1
		if t := s.c.params[n]; t == 0 || t == oidUnknown {
			s.c.params[n] = to
		}
		v.typ, v.par = s.c.params[n], nil
		return v
	case v.lit == nil || to == oidUnknown:
		return v
	case v.lit.v == nil:
		return literal(nil, to)
	}
	x, err := s.c.db.input(to, v.lit.v.(string), pos)
	if err != nil {
		panic(err)
	}
	return literal(x, to)
}

// condition compiles an expression that is true or false.
func (s *scope) condition(x node) value {
	v := s.coerce(s.expr(x), oidBool, -1)
	if v.typ != oidBool {
		panic(
			fault(
				codeMismatch,
				-1,
				"argument of WHERE must be type boolean, not type %s",
				formatType(v.typ, -1, false),
			),
		)
	}
	return v
}

func (s *scope) unary(x *unary) value {
	v := s.expr(x.x)
	if x.op == "not" {
		v = s.coerce(v, oidBool, x.pos)
		return value{typ: oidBool, eval: func(e *env) (any, error) {
			a, err := v.eval(e)
			b, ok := a.(bool)
			if err != nil || !ok {
				return nil, err
			}
			return !b, nil
		}}
	}
	v = s.coerce(v, oidFloat8, x.pos)
	return value{typ: v.typ, eval: func(e *env) (any, error) {
		a, err := v.eval(e)
		switch n := a.(type) {
		case int64:
			return -n, err
		case float64:
			return -n, err
		}
		return nil, err
	}}
}

func (s *scope) binary(x *binary) value {
	switch x.op {
	case "and", "or":
		return s.logic(x)
	case "=", "<>", "<", ">", "<=", ">=":
		l, r := s.expr(x.l), s.expr(x.r)
		return s.compare(x.op, l, r, x.pos)
	}
	l, r := s.expr(x.l), s.expr(x.r)
	return s.operator(x.op, l, r, x.pos)
}

func (s *scope) logic(x *binary) value {
	l, r := s.condition(x.l), s.condition(x.r)
	stop := x.op == "or" // the value that decides
	return value{typ: oidBool, eval: func(e *env) (any, error) {
		a, err := l.eval(e)
		if err != nil || a == stop {
			return a, err
		}
		b, err := r.eval(e)
		if err != nil || b == stop {
			return b, err
		}
		if a == nil || b == nil {
			return nil, nil
		}
		return !stop, nil
	}}
}

// same gives two values the same type, if one is of unknown type.
func (s *scope) same(l, r value, pos int) (value, value) {
	lu, ru := l.lit != nil || l.par != nil, r.lit != nil || r.par != nil
	switch {
	case lu && ru:
		return s.coerce(l, oidText, pos), s.coerce(r, oidText, pos)
	case lu:
		return s.coerce(l, base(r.typ), pos), r
	case ru:
		return l, s.coerce(r, base(l.typ), pos)
	}
	return l, r
}

// base is the type that a constant takes that meets a value: regclass compares as OID.
func base(t uint32) uint32 {
	switch t {
	case oidName, oidVarchar, oidBpchar:
		return oidText
	}
	return t
}

func (s *scope) compare(op string, l, r value, pos int) value {
	l, r = s.same(l, r, pos)
	s.comparable(op, l.typ, r.typ, pos)
	return value{typ: oidBool, eval: func(e *env) (any, error) {
		a, err := l.eval(e)
		if err != nil || a == nil {
			return nil, err
		}
		b, err := r.eval(e)
		if err != nil || b == nil {
			return nil, err
		}
		return holds(op, a, b), nil
	}}
}

// comparable refuses comparisons that PostgreSQL refuses.
func (s *scope) comparable(op string, l, r uint32, pos int) {
	class := func(t uint32) int {
		switch {
		case isNumber(t):
			return 1
		case TextLike(t):
			return 2
		case t == oidBool:
			return 3
		case t == oidTimestamp || t == oidTimestamptz || t == oidDate:
			return 4
		}
		return 0
	}
	a, b := class(l), class(r)
	if a != 0 && b != 0 && a != b {
		panic(&Error{
			Code: codeUndefinedFunc, Pos: pos,
			Message: "operator does not exist: " + formatType(l, -1, false) + " " + op + " " + formatType(r, -1, false),
			Hint:    "No operator matches the given name and argument types. You might need to add type casts.",
		})
	}
}

func holds(op string, a, b any) bool {
	n := order(a, b)
	switch op {
	case "=":
		return n == 0
	case "<>":
		return n != 0
	case "<":
		return n < 0
	case ">":
		return n > 0
	case "<=":
		return n <= 0
	}
	return n >= 0
}

func (s *scope) isTest(x *isTest) value {
	v := s.expr(x.x)
	return value{typ: oidBool, eval: func(e *env) (any, error) {
		a, err := v.eval(e)
		if err != nil {
			return nil, err
		}
		is := a == nil
		if x.what == "true" || x.what == "false" {
			is = a == (x.what == "true")
		}
		return is != x.not, nil
	}}
}

func (s *scope) distinctTest(x *distinctTest) value {
	l, r := s.same(s.expr(x.l), s.expr(x.r), -1)
	return value{typ: oidBool, eval: func(e *env) (any, error) {
		a, err := l.eval(e)
		if err != nil {
			return nil, err
		}
		b, err := r.eval(e)
		if err != nil {
			return nil, err
		}
		differ := (a == nil) != (b == nil) || a != nil && b != nil && order(a, b) != 0
		return differ != x.not, nil
	}}
}

func (s *scope) inList(x *inList) value {
	l := s.expr(x.x)
	var tests []value
	for _, y := range x.list {
		tests = append(tests, s.compare("=", l, s.expr(y), x.pos))
	}
	return value{typ: oidBool, eval: func(e *env) (any, error) {
		unknown := false
		for _, t := range tests {
			v, err := t.eval(e)
			if err != nil {
				return nil, err
			}
			if v == true {
				return !x.not, nil
			}
			unknown = unknown || v == nil
		}
		if unknown {
			return nil, nil
		}
		return x.not, nil
	}}
}

// quantified compiles = ANY (array), IN (SELECT ...) and their relatives.
func (s *scope) quantified(x *quantified) value {
	l := s.expr(x.x)
	var list func(e *env) ([]any, bool, error)
	var elem uint32
	if q, ok := x.r.(*subquery); ok {
		p := s.c.query(q.q, s)
		if t, isRow := x.x.(*row); len(p.columns) != 1 && !(isRow && len(t.items) == len(p.columns)) {
			panic(fault(codeSyntax, x.pos, "subquery has too many columns"))
		}
		elem = p.columns[0].Type
		wide := len(p.columns) > 1
		if wide {
			elem = oidRecord
		}
		list = func(e *env) ([]any, bool, error) {
			rows, err := p.rows(e)
			all := make([]any, len(rows))
			for i, r := range rows {
				all[i] = r[0]
				if wide {
					all[i] = record{fields: r}
				}
			}
			return all, false, err
		}
	} else {
		r := s.expr(x.r)
		if r.lit != nil || r.par != nil {
			r = s.coerce(r, arrayOf(base(l.typ)), x.pos)
		}
		elem = elementOf(r.typ)
		if elem == 0 && r.typ != oidUnknown {
			panic(fault("42809", x.pos, "op ANY/ALL (array) requires array on right side"))
		}
		list = func(e *env) ([]any, bool, error) {
			v, err := r.eval(e)
			all, ok := v.([]any)
			return all, !ok, err
		}
	}
	var current any
	test := s.binaryValues(x.op, l, value{typ: elem, eval: func(*env) (any, error) { return current, nil }}, x.pos)
	return value{typ: oidBool, eval: func(e *env) (any, error) {
		all, null, err := list(e)
		if err != nil || null {
			return nil, err
		}
		unknown := false
		for _, v := range all {
			current = v
			r, err := test.eval(e)
			if err != nil {
				return nil, err
			}
			if r == !x.all {
				return r, nil
			}
			unknown = unknown || r == nil
		}
		if unknown {
			return nil, nil
		}
		return x.all, nil
	}}
}

func (s *scope) binaryValues(op string, l, r value, pos int) value {
	switch op {
	case "=", "<>", "<", ">", "<=", ">=":
		return s.compare(op, l, r, pos)
	}
	return s.operator(op, l, r, pos)
}

func (s *scope) caseExpr(x *caseExpr) value {
	var conds, thens []value
	for _, w := range x.whens {
		if x.of != nil {
			conds = append(conds, s.compare("=", s.expr(x.of), s.expr(w.cond), -1))
		} else {
			conds = append(conds, s.condition(w.cond))
		}
		thens = append(thens, s.expr(w.then))
	}
	other := value{typ: oidUnknown, lit: &constant{v: nil, typ: oidUnknown}, eval: literal(nil, oidUnknown).eval}
	if x.other != nil {
		other = s.expr(x.other)
	}
	all := s.unify(append(thens, other))
	thens, other = all[:len(thens)], all[len(thens)]
	return value{typ: other.typ, eval: func(e *env) (any, error) {
		for i, c := range conds {
			ok, err := c.eval(e)
			if err != nil {
				return nil, err
			}
			if ok == true {
				return thens[i].eval(e)
			}
		}
		return other.eval(e)
	}}
}

// unify gives values one type.
func (s *scope) unify(all []value) []value {
	t := uint32(oidUnknown)
	for _, v := range all {
		if v.lit == nil && v.par == nil {
			t = common(t, v.typ)
		}
	}
	if t == oidUnknown {
		t = oidText
	}
	all = slices.Clone(all)
	for i, v := range all {
		all[i] = s.coerce(v, t, -1)
		all[i].typ = t
	}
	return all
}

// common is the type of two that the values of both have.
func common(a, b uint32) uint32 {
	switch {
	case a == b, b == oidUnknown:
		return a
	case a == oidUnknown:
		return b
	case TextLike(a) && TextLike(b):
		if a == oidVarchar && b == oidVarchar {
			return a
		}
		return oidText
	case a == oidOID && isInteger(b), b == oidOID && isInteger(a):
		return oidOID
	case isNumber(a) && isNumber(b):
		rank := func(t uint32) int {
			return slices.Index([]uint32{oidInt2, oidInt4, oidInt8, oidNumeric, oidFloat4, oidFloat8}, t)
		}
		if rank(b) > rank(a) {
			return b
		}
		return a
	}
	return a
}

func (s *scope) cast(x *cast) value {
	v := s.expr(x.x)
	if v.lit != nil || v.par != nil {
		return s.coerce(v, x.to, x.pos)
	}
	db := s.c.db
	return value{typ: x.to, cols: v.cols, eval: func(e *env) (any, error) {
		a, err := v.eval(e)
		if err != nil || a == nil {
			return nil, err
		}
		return db.convert(a, v.typ, x.to, x.pos)
	}}
}

// convert casts a value.
func (d *Database) convert(a any, from, to uint32, pos int) (any, error) {
	if from == to {
		return a, nil
	}
	switch v := a.(type) {
	case string:
		return d.input(to, v, pos)
	case int64:
		switch {
		case isInteger(to):
			return v, inRange(to, v, pos)
		case to == oidFloat4 || to == oidFloat8 || to == oidNumeric:
			return float64(v), nil
		case to == oidBool:
			return v != 0, nil
		case to == oidChar:
			return string([]byte{byte(v)}), nil
		}
	case float64:
		switch {
		case isInteger(to):
			n := roundEven(v)
			return n, inRange(to, n, pos)
		case isNumber(to):
			return v, nil
		}
	case bool:
		if isInteger(to) {
			if v {
				return int64(1), nil
			}
			return int64(0), nil
		}
		if TextLike(to) {
			if v {
				return "true", nil
			}
			return "false", nil
		}
	case []any:
		if isArray(to) {
			return d.convertArray(v, elementOf(from), elementOf(to), pos)
		}
	case time.Time:
		if to == oidDate {
			return v.Truncate(24 * time.Hour), nil
		}
		if to == oidTimestamp || to == oidTimestamptz {
			return v, nil
		}
	}
	if TextLike(to) {
		return d.input(to, d.Text(a, from), pos)
	}
	return nil, fault("42846", pos, "cannot cast type %s to %s", formatType(from, -1, false), formatType(to, -1, false))
}

func (d *Database) convertArray(all []any, from, to uint32, pos int) (any, error) {
	out := make([]any, len(all))
	for i, v := range all {
		if v == nil {
			continue
		}
		x, err := d.convert(v, from, to, pos)
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return out, nil
}

func (s *scope) arrayLit(x *arrayLit) value {
	var all []value
	for _, i := range x.items {
		all = append(all, s.expr(i))
	}
	all = s.unify(all)
	typ := uint32(oidTextArray)
	if len(all) > 0 {
		typ = arrayOf(all[0].typ)
	}
	return value{typ: typ, eval: func(e *env) (any, error) { return anySlice(evalAll(all, e)) }}
}

// anySlice keeps a slice from being taken for no value.
func anySlice(all []any, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return all, nil
}

func (s *scope) arrayQuery(x *arrayQuery) value {
	p := s.c.query(x.q, s)
	if len(p.columns) != 1 {
		panic(fault(codeSyntax, -1, "subquery must return only one column"))
	}
	return value{typ: arrayOf(p.columns[0].Type), eval: func(e *env) (any, error) {
		rows, err := p.rows(e)
		all := make([]any, len(rows))
		for i, r := range rows {
			all[i] = r[0]
		}
		return anySlice(all, err)
	}}
}

func (s *scope) subquery(x *subquery) value {
	p := s.c.query(x.q, s)
	if len(p.columns) != 1 {
		panic(fault(codeSyntax, -1, "subquery must return only one column"))
	}
	return value{typ: p.columns[0].Type, eval: func(e *env) (any, error) {
		rows, err := p.rows(e)
		switch {
		case err != nil || len(rows) == 0:
			return nil, err
		case len(rows) > 1:
			return nil, fault(codeCardinality, -1, "more than one row returned by a subquery used as an expression")
		}
		return rows[0][0], nil
	}}
}

func (s *scope) index(x *index) value {
	v := s.expr(x.x)
	elem := elementOf(v.typ)
	if elem == 0 {
		panic(fault(codeMismatch, x.pos, "cannot subscript type %s because it does not support subscripting",
			formatType(v.typ, -1, false)))
	}
	bound := func(n node) value {
		if n == nil {
			return value{}
		}
		return s.coerce(s.expr(n), oidInt8, x.pos)
	}
	lo, hi := bound(x.lo), bound(x.hi)
	first := lowerBound(v.typ)
	return value{typ: map[bool]uint32{true: v.typ, false: elem}[x.slice], eval: func(e *env) (any, error) {
		a, err := v.eval(e)
		all, ok := a.([]any)
		if err != nil || !ok {
			return nil, err
		}
		from, to := first, first+int64(len(all))-1
		for i, b := range []value{lo, hi} {
			if b.eval == nil {
				continue
			}
			n, err := b.eval(e)
			k, ok := n.(int64)
			if err != nil || !ok {
				return nil, err
			}
			if i == 0 {
				from = k
			} else {
				to = min(to, k)
			}
		}
		if !x.slice {
			if from < first || from-first >= int64(len(all)) {
				return nil, nil
			}
			return all[from-first], nil
		}
		from = max(from, first)
		if from > to {
			return []any{}, nil
		}
		return all[from-first : to-first+1], nil
	}}
}

// lowerBound is the first subscript of arrays of a type: vectors of the catalog begin at 0.
func lowerBound(oid uint32) int64 {
	if oid == oidInt2Vector || oid == oidOIDVector {
		return 0
	}
	return 1
}

func (s *scope) field(x *field) value {
	v := s.expr(x.x)
	i := slices.IndexFunc(v.cols, func(c Column) bool { return c.Name == x.name })
	if i < 0 {
		panic(
			fault(
				codeUndefinedName,
				x.pos,
				"column %q not found in data type %s",
				x.name,
				formatType(v.typ, -1, false),
			),
		)
	}
	return value{typ: v.cols[i].Type, eval: func(e *env) (any, error) {
		a, err := v.eval(e)
		r, ok := a.(record)
		if err != nil || !ok {
			return nil, err
		}
		return r.fields[i], nil
	}}
}

func (s *scope) row(x *row) value {
	var all []value
	var cols []Column
	for i, it := range x.items {
		v := s.expr(it)
		if v.lit != nil || v.par != nil {
			v = s.coerce(v, oidText, -1)
		}
		all = append(all, v)
		cols = append(cols, Column{Name: "f" + itoa(i+1), Type: v.typ, Mod: -1})
	}
	return value{typ: oidRecord, cols: cols, eval: func(e *env) (any, error) {
		fields, err := evalAll(all, e)
		return record{fields: fields}, err
	}}
}

func upper(s string) string { return strings.ToUpper(s) }
