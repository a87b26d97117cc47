package expr

import (
	"errors"
	"fmt"
	"slices"

	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
)

// A lookup is two operations. One finds the row of a table that has the key of a record; its value
// is the row's place, or NULL if there is none. The other takes a column of the row. Several
// columns share the first.

// joined is what the two operations know of their table.
type joined struct {
	table *lookup.Table
	// alias is the name of the table in the query.
	alias string
}

// Lookup finds the row of a table whose key is keys: a value for each column of the table's key, of
// the same type. If want is not nil, it is a boolean, and records for which it is not true are not
// looked up. The result is NULL if there is no such row, or if a key is NULL. It can only be tested
// for NULL, be a branch of a CASE, and be an argument of LookupColumn. alias is the name of the
// table in the query.
func Lookup(t *lookup.Table, alias string, keys []*Expr, want *Expr) (*Expr, error) {
	if want != nil {
		keys = append(keys[:len(keys):len(keys)], want)
	}
	return build(&Expr{op: opLookup, name: alias, args: keys, aux: joined{t, alias}})
}

// LookupColumn is a column of the row that Lookup has found, NULL if it has found none.
func LookupColumn(t *lookup.Table, alias string, row *Expr, column int) (*Expr, error) {
	return build(&Expr{op: opLookupColumn, name: alias, column: column, args: []*Expr{row}, aux: joined{t, alias}})
}

// changes says whether the value of an operation over constants may change.
func (op Op) changes() bool { return op == opLookup || op == opLookupColumn }

func lookupTypes(e *Expr) error {
	t := e.aux.(joined).table
	key := t.Key()
	if n := len(e.args); n != len(key) && n != len(key)+1 {
		return fmt.Errorf("expr: a lookup in %q by %d values, its key has %d columns", t.Name(), n, len(key))
	}
	for i, c := range key {
		want, have := t.Schema().Field(c), e.args[i].typ
		if have != want.Type && !(isAnyDecimal(have) && isAnyDecimal(want.Type) &&
			have.IsWide() == want.Type.IsWide() && have.Scale() == want.Type.Scale()) {
			return fmt.Errorf("expr: column %q of table %q is %v, and is compared with %v", want.Name, t.Name(),
				want.Type, have)
		}
	}
	if len(e.args) > len(key) && e.args[len(key)].typ != record.Bool {
		return errors.New("expr: whether a record is looked up is no boolean")
	}
	e.typ, e.nullable = record.Int64, true
	return nil
}

func lookupColumnTypes(e *Expr) error {
	t := e.aux.(joined).table
	if len(e.args) != 1 || e.args[0].typ != record.Int64 || e.column >= t.Schema().Len() {
		return fmt.Errorf("expr: column %d of what is looked up in %v", e.column, t.Schema())
	}
	e.typ, e.nullable = t.Schema().Field(e.column).Type, true
	return nil
}

// lookupText writes a lookup as accounts(id), and a column of it as accounts(id).tier.
func (e *Expr) lookupText() string {
	if e.op == opLookup {
		return e.name + "(" + list(e.args[:len(e.aux.(joined).table.Key())]) + ")"
	}
	return e.args[0].String() + "." + e.aux.(joined).table.Schema().Field(e.column).Name
}

var errNoVersion = errors.New("the table has not been loaded")

// evalLookup looks in the table's newest version. A machine may still have an older one.
func evalLookup(e *Expr, a []Value) (Value, error) {
	t := e.aux.(joined).table
	v := t.Current()
	if v == nil {
		return Value{}, errNoVersion
	}
	if len(a) > len(t.Key()) && a[len(t.Key())].Bits == 0 {
		return Value{Null: true}, nil
	}
	var key []any
	for i := range t.Key() {
		key = append(key, a[i].ForKey(e.args[i].typ))
	}
	place, found, err := v.Find(key...)
	return Value{Null: !found, Bits: place}, err
}

func evalLookupColumn(e *Expr, a []Value) (Value, error) {
	v := e.aux.(joined).table.Current()
	switch {
	case v == nil:
		return Value{}, errNoVersion
	case v.Null(a[0].Bits, e.column):
		return Value{Null: true}, nil
	case e.typ.Kind() == record.String:
		return Value{Text: string(v.Text(a[0].Bits, e.column))}, nil
	}
	return Value{Bits: v.Word(a[0].Bits, e.column)}, nil
}

// Tables returns the tables that the program looks up.
func (p *Program) Tables() []*lookup.Table { return p.tables }

// TableColumns returns the columns that the program takes of the rows of a table.
func (p *Program) TableColumns(t *lookup.Table) (columns []int) {
	for _, n := range p.nodes {
		if n.op == opLookupColumn && p.tables[n.table] == t {
			columns = append(columns, n.column)
		}
	}
	slices.Sort(columns)
	return slices.Compact(columns)
}

// vectorLookup looks up a stripe of keys.
func vectorLookup(m *Machine, n *node, a []*vec) bool {
	r := registerOf(a[len(a)-1])
	key := n.aux.(joined).table.Key()
	if r.probe == nil {
		r.probe = n.aux.(joined).table.NewProbe(stripeRows)
		r.flags = make([]uint64, stripeRows*len(key))
	}
	want := r.valid // rows without a NULL among their keys, which have not failed; nil for all
	if r.errs != nil {
		want = r.ownValid[:]
		if r.valid == nil {
			fill(want, m.n)
		}
		andNot(want[:words(m.n)], r.errs)
	}
	if len(a)-1 > len(key) {
		if want == nil {
			want = r.ownValid[:]
			fill(want, m.n)
		}
		and(want[:words(m.n)], a[len(key)].bits)
	}
	for i := range key {
		r.probeColumn(m, i, n.Expr.args[i].typ, a[i], want)
	}
	r.words, r.valid = r.ownWords, r.ownValid[:]
	v := m.versions[n.table]
	if v == nil {
		clear(r.valid)
		return true
	}
	r.probe.Find(v, m.n, want, r.words, r.valid)
	return true
}

// probeColumn gives the probe the values of a column of the key. The text of a row that is not
// wanted may lie anywhere, so it is not looked at.
func (r *register) probeColumn(m *Machine, i int, t record.Type, v *vec, want []uint64) {
	c := r.probe.Column(i)
	switch t.Kind() {
	case record.String:
		c.Views, c.Bytes, c.Valid = v.views[:m.n], v.bytes, want
	case record.Float64:
		c.Float64s = floats(v.words[:m.n])
	case record.Bool:
		flags := r.flags[i*stripeRows:][:m.n] // each column has its own
		for row := range flags {
			flags[row] = v.bits[row>>6] >> (row & 63) & 1
		}
		c.Int64s = ints(flags)
	default:
		c.Int64s = ints(v.words[:m.n])
	}
}

// vectorLookupColumn takes a column of the rows that were found.
func vectorLookupColumn(m *Machine, n *node, a []*vec) bool {
	places, r := a[0], registerOf(a[1])
	to := r.ownWords
	switch n.typ.Kind() {
	case record.String:
		to = viewWords(r.ownViews)
	case record.Bool:
		to = r.flags
		if to == nil {
			to = make([]uint64, stripeRows)
			r.flags = to
		}
	}
	v := m.versions[n.table]
	r.valid = r.ownValid[:]
	if v == nil {
		clear(r.valid)
		clear(to)
	} else {
		v.Gather(n.column, places.words[:m.n], places.valid, to, r.valid)
	}
	switch n.typ.Kind() {
	case record.String:
		r.views, r.bytes, r.shared = r.ownViews, nil, true
		if v != nil {
			r.bytes = v.Texts()
		}
	case record.Bool:
		r.bits = r.ownBits[:]
		clear(r.bits)
		for row, flag := range to[:m.n] {
			r.bits[row>>6] |= flag << (row & 63)
		}
	default:
		r.words = r.ownWords
	}
	return true
}
