package query

import (
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// A Catalog is what the names in FROM and JOIN may stand for.
type Catalog struct {
	// Sources are the schemas that a query may read.
	Sources []*record.Schema
	// Tables are the tables that JOIN may look up.
	Tables []*lookup.Table
	// Subquery computes the plan of a query that is in an expression of another one. It returns its
	// rows, and does not use them afterwards. It is called while the other one is compiled, by the
	// goroutine that compiles. Its error becomes an error of the text. If it is nil, such queries
	// are refused.
	Subquery func(p *plan.Plan) ([]*record.Batch, error)

	// began is when now() was first asked for; nil before the first query.
	began *time.Time
}

// Compile compiles one SELECT to a plan, as the function Compile does.
func (g Catalog) Compile(text string) (*plan.Plan, error) {
	q, err := syntax.ParseQuery(text)
	if err != nil {
		return nil, err
	}
	return compileQuery(text, q, g)
}

// A scope is a table that a query joins its records with.
type scope struct {
	join  *syntax.Join
	alias string
	table *lookup.Table
	// row is the row that is found, as an expression over the source.
	row *expr.Expr
	// shared are the columns of USING: without a table's name they are columns of the source.
	shared map[string]bool
}

// field is a column of a joined table; it is never NULL if neither the column nor the join makes it
// so.
type field struct {
	scope  *scope
	column int
}

// nameOfField is the name that a column of a joined table has in the query once names are resolved.
func (s *scope) nameOfField(name string) string { return s.alias + "." + name }

// openScopes finds the tables that the query joins. Streams are the sources and views that queries
// read.
func (c *compiler) openScopes(tables []*lookup.Table, streams []*record.Schema) {
	from := &c.query.From
	taken := map[string]bool{from.Alias: true}
	if from.Alias == "" {
		taken[from.Name] = true
	}
	for i := range from.Joins {
		j := &from.Joins[i]
		s := &scope{join: j, alias: j.Alias, shared: map[string]bool{}}
		if s.alias == "" {
			s.alias = j.Name
		}
		if taken[s.alias] {
			c.fault(j.Pos, "two tables of the query are called %q: give one another name with AS", s.alias)
			continue
		}
		taken[s.alias] = true
		var names []string
		for _, t := range tables {
			names = append(names, t.Name())
			if t.Name() == j.Name {
				s.table = t
			}
		}
		isStream := func(s *record.Schema) bool { return s.Name() == j.Name }
		if s.table == nil && slices.ContainsFunc(streams, isStream) {
			c.fault(j.Pos, "%q is no table, and JOIN finds rows of tables only: sources and views are not joined with "+
				"each other yet. A job joins records with the rows of a view by CREATE TABLE ... WITH (connector = "+
				"'view', query = 'SELECT ...')", j.Name)
			continue
		}
		if s.table == nil {
			c.fault(j.Pos, "there is no table %q to join with%s", j.Name, nearest(j.Name, names))
			continue
		}
		for i := range s.table.Schema().Len() {
			name := s.table.Schema().Field(i).Name
			if _, there := c.source.Index(s.nameOfField(name)); there {
				c.fault(j.Pos, "the source has a column %q: give the table another name with AS", s.nameOfField(name))
			}
			c.fields[s.nameOfField(name)] = field{s, i}
		}
		for _, u := range j.Using {
			s.shared[u.Name] = true
		}
		c.scopes = append(c.scopes, s)
	}
}

// resolve gives a name the name of the column that it means, if it is one of a joined table. known
// says that it is, or that it has noted a fault.
func (c *compiler) resolve(x *syntax.Ident) (known bool) {
	if x.Table != "" {
		i := slices.IndexFunc(c.scopes, func(s *scope) bool { return s.alias == x.Table })
		if i < 0 {
			return false
		}
		s := c.scopes[i]
		if _, ok := c.fields[s.nameOfField(x.Name)]; !ok {
			c.fault(x.Pos, "table %q has no column %q%s", s.alias, x.Name, nearest(x.Name, namesOf(s.table.Schema())))
			return true
		}
		x.Name, x.Table = s.nameOfField(x.Name), ""
		return true
	}
	if isBound(x.Name) && c.hasWindow() {
		return false // it is the query's own
	}
	var in []string
	_, own := c.source.Index(x.Name)
	for _, s := range c.scopes {
		if _, ok := s.table.Schema().Index(x.Name); ok && !s.shared[x.Name] {
			in = append(in, s.alias)
		}
	}
	switch {
	case own && len(in) > 0 || len(in) > 1:
		if own {
			in = append([]string{c.sourceName()}, in...)
		}
		c.fault(x.Pos, "column %q is in %s: write %s.%s or %s.%s", x.Name, strings.Join(in, " and "), in[0], x.Name,
			in[1],
			x.Name)
	case len(in) == 1:
		x.Name = in[0] + "." + x.Name
	default:
		return false
	}
	return true
}

// hasWindow says whether the query has a window, in FROM or in GROUP BY.
func (c *compiler) hasWindow() bool {
	return c.query.From.Window != nil || slices.ContainsFunc(c.query.GroupBy, func(e syntax.Expr) bool {
		call, ok := e.(*syntax.Call)
		return ok && isWindow(call.Name)
	})
}

// sourceName is what the query calls its source.
func (c *compiler) sourceName() string {
	if c.query.From.Alias != "" {
		return c.query.From.Alias
	}
	return c.query.From.Name
}

func namesOf(s *record.Schema) (names []string) {
	for i := range s.Len() {
		names = append(names, s.Field(i).Name)
	}
	return names
}

// isColumn says whether a name, once it is resolved, is a column of the source or of a joined
// table.
func (c *compiler) isColumn(name string) bool {
	_, own := c.source.Index(name)
	_, joined := c.fields[name]
	return own || joined
}

// bare is the name of a column without the name of its table.
func (c *compiler) bare(name string) string {
	if f, ok := c.fields[name]; ok {
		return f.scope.table.Schema().Field(f.column).Name
	}
	return name
}

// joinedColumn is a column of the row that a join has found.
func (c *compiler) joinedColumn(x *syntax.Ident, what string) (value, bool) {
	f := c.fields[x.Name]
	s := f.scope
	if what == timeOfWindow {
		c.fault(x.Pos, "the time of a window is of the records, and %s is of a table", x.Name)
		return value{}, false
	}
	if s.row == nil {
		c.fault(x.Pos, "%s is of a table that is joined later: its JOIN comes first", x.Name)
		return value{}, false
	}
	e, err := expr.LookupColumn(s.table, s.alias, s.row, f.column)
	if err == nil && !s.join.Left && !s.mayBeNull(f.column) {
		// Records that find nothing are filtered out before this could fail.
		e, err = expr.Require(x.Name, e)
	}
	if err != nil {
		c.fault(x.Pos, "%v", err)
		return value{}, false
	}
	return valueOf(e), true
}

// mayBeNull says whether a column of the table may be NULL in a row.
func (s *scope) mayBeNull(column int) bool {
	return s.table.Schema().Field(column).Nullable && !slices.Contains(s.table.Key(), column)
}

// joinTables binds the joins, in the order of the text. It returns the condition that records
// fulfil which are not filtered out by them, nil for none.
func (c *compiler) joinTables() (filter *expr.Expr) {
	want := c.wanted()
	for _, s := range c.scopes {
		s.row = c.rowOf(s, want)
		if s.row == nil {
			return nil
		}
		on := c.conditionsOf(s)
		if len(on) == 0 && s.join.Left {
			continue
		}
		var match *expr.Expr
		if !s.join.Left {
			missing := c.must(s.join.Pos, expr.IsNull, s.row)
			filter = c.and(s.join.Pos, filter, c.must(s.join.Pos, expr.Not, missing))
		}
		for _, e := range on {
			x := c.condition(e, "ON")
			if x == nil {
				return nil
			}
			match = c.and(e.Start(), match, x)
		}
		switch {
		case !s.join.Left && match != nil:
			filter = c.and(s.join.Pos, filter, match)
		case s.join.Left:
			row, err := expr.Case(match, s.row, expr.Null(record.Int64))
			if err != nil {
				c.fault(s.join.Pos, "%v", err)
				return nil
			}
			s.row = row
		}
	}
	return filter
}

// must makes an operation whose types are right.
func (c *compiler) must(pos syntax.Pos, op expr.Op, args ...*expr.Expr) *expr.Expr {
	v, _ := c.make(pos, op, args...)
	return v.e
}

// and is x AND y, where x may be nil.
func (c *compiler) and(pos syntax.Pos, x, y *expr.Expr) *expr.Expr {
	if x == nil {
		return y
	}
	return c.must(pos, expr.And, x, y)
}

// conjuncts are the expressions that AND connects.
func conjuncts(e syntax.Expr) []syntax.Expr {
	if b, ok := e.(*syntax.Binary); ok && b.Op == "AND" {
		return append(conjuncts(b.X), conjuncts(b.Y)...)
	}
	return []syntax.Expr{e}
}

// wanted is the part of WHERE that needs no joined table, as a condition that is never NULL and
// never fails: records for which it is false are filtered out, so nothing is looked up for them. It
// is nil if there is no such part.
func (c *compiler) wanted() (want *expr.Expr) {
	if c.query.Where == nil {
		return nil
	}
	for _, e := range conjuncts(c.query.Where) {
		if contains(e, func(e syntax.Expr) bool { id, ok := e.(*syntax.Ident); return ok && c.isJoined(id.Name) }) {
			continue
		}
		if x := c.condition(e, "WHERE"); x != nil {
			want = c.and(e.Start(), want, x)
		}
	}
	if want == nil {
		return nil
	}
	tried, err := expr.Try(want)
	if err != nil {
		return nil
	}
	return c.must(c.query.Where.Start(), expr.Coalesce, tried, expr.Bool(true))
}

func (c *compiler) isJoined(name string) bool {
	_, ok := c.fields[name]
	return ok
}

// keyColumn says whether e is a column of the key of the scope, and which.
func (c *compiler) keyColumn(s *scope, e syntax.Expr) (column int, ok bool) {
	id, ok := e.(*syntax.Ident)
	if !ok {
		return 0, false
	}
	f, ok := c.fields[id.Name]
	return f.column, ok && f.scope == s && slices.Contains(s.table.Key(), f.column)
}

// uses says whether an expression has a column of the scope.
func (c *compiler) uses(s *scope, e syntax.Expr) bool {
	return contains(e, func(e syntax.Expr) bool {
		id, ok := e.(*syntax.Ident)
		return ok && c.fields[id.Name].scope == s
	})
}

// equality says whether a condition compares a column of the key with something else, and with
// what.
func (c *compiler) equality(s *scope, e syntax.Expr) (column int, with syntax.Expr, ok bool) {
	b, is := e.(*syntax.Binary)
	if !is || b.Op != "=" {
		return 0, nil, false
	}
	if column, ok := c.keyColumn(s, b.X); ok && !c.uses(s, b.Y) {
		return column, b.Y, true
	}
	if column, ok := c.keyColumn(s, b.Y); ok && !c.uses(s, b.X) {
		return column, b.X, true
	}
	return 0, nil, false
}

// keysOf are the expressions that the columns of the key are compared with, by their columns; the
// other conditions of ON are rest.
func (c *compiler) keysOf(s *scope) (keys map[int]syntax.Expr, rest []syntax.Expr) {
	keys = map[int]syntax.Expr{}
	for _, u := range s.join.Using {
		i, ok := s.table.Schema().Index(u.Name)
		if !ok || !slices.Contains(s.table.Key(), i) {
			c.fault(u.Pos, "USING (%s): table %q has no such column in its key", u.Name, s.alias)
			continue
		}
		in := *u
		c.resolve(&in)
		keys[i] = &in
	}
	if s.join.On == nil {
		return keys, nil
	}
	for _, e := range conjuncts(s.join.On) {
		column, with, ok := c.equality(s, e)
		if ok && keys[column] == nil {
			keys[column] = with
		} else {
			rest = append(rest, e)
		}
	}
	return keys, rest
}

// conditionsOf are the conditions of ON that do not compare the key.
func (c *compiler) conditionsOf(s *scope) []syntax.Expr {
	_, rest := c.keysOf(s)
	return rest
}

// rowOf is the row that a record finds by the key.
func (c *compiler) rowOf(s *scope, want *expr.Expr) *expr.Expr {
	keys, _ := c.keysOf(s)
	var args []*expr.Expr
	var missing []string
	for _, column := range s.table.Key() {
		f := s.table.Schema().Field(column)
		e := keys[column]
		if e == nil {
			missing = append(missing, s.alias+"."+f.Name)
			continue
		}
		v, ok := c.bind(e, c.sourceLeaf("ON"))
		if ok {
			v, ok = c.as(v, f.Type, e)
		}
		var x *expr.Expr
		if ok {
			x, ok = c.settled(v, e)
		}
		if !ok {
			return nil
		}
		x = c.likeKey(x, f, s, e)
		if x == nil {
			return nil
		}
		args = append(args, x)
	}
	if len(missing) > 0 {
		c.fault(s.join.Pos, "JOIN %s: ON must compare every column of the table's key with =; it lacks %s, and "+
			"records find a row by the whole key only", s.join.Name, strings.Join(missing, ", "))
		return nil
	}
	row, err := expr.Lookup(s.table, s.alias, args, want)
	if err != nil {
		c.fault(s.join.Pos, "%s", said(err))
		return nil
	}
	return row
}

// likeKey is x with the type of a column of the key, if it fits that without loss.
func (c *compiler) likeKey(x *expr.Expr, f record.Field, s *scope, at syntax.Expr) *expr.Expr {
	switch have := x.Type(); {
	case have == f.Type, have.IsDecimal() && f.Type.IsDecimal() && have.Scale() == f.Type.Scale():
		return x
	case have == record.Int64 && f.Type == record.Float64:
		if y, err := expr.Cast(x, f.Type); err == nil {
			return y
		}
	}
	c.fault(at.Start(), "%s is %v, and column %s of the key of %q is %v: write CAST(%s AS %v), or declare the "+
		"column as "+
		"%v", at, x.Type(), f.Name, s.alias, f.Type, at, f.Type, x.Type())
	return nil
}

// timeOfWindow names, for faults, the time of a window.
const timeOfWindow = "the time of a window"

// A Joined is a table that a text joins.
type Joined struct {
	// Name is its name as it stands after JOIN.
	Name string
	join *syntax.Join
	text string
}

// Joins lists what the SELECTs of a text join, in the order of the text, for a caller that makes
// the tables of what their names stand for.
func Joins(text string) (all []Joined, err error) {
	list, err := selects(text)
	if err != nil {
		return nil, err
	}
	for _, q := range list {
		for _, q := range selectsOf(q) {
			for i := range q.From.Joins {
				all = append(all, Joined{q.From.Joins[i].Name, &q.From.Joins[i], text})
			}
		}
	}
	return all, nil
}

// Key are the columns of a table that ON compares with =, or that USING names: what its key must be
// for the query to find one row. The error is a fault of the text.
func (j Joined) Key(s *record.Schema) (key []string, err error) {
	alias := j.join.Alias
	if alias == "" {
		alias = j.join.Name
	}
	add := func(e syntax.Expr, qualified bool) bool {
		id, ok := e.(*syntax.Ident)
		if !ok || id.Table != alias && (qualified || id.Table != "") {
			return false
		}
		if _, ok := s.Index(id.Name); !ok {
			return false
		}
		if !slices.Contains(key, id.Name) {
			key = append(key, id.Name)
		}
		return true
	}
	for _, u := range j.join.Using {
		add(u, false)
	}
	for _, e := range conjuncts(j.join.On) {
		if b, ok := e.(*syntax.Binary); ok && b.Op == "=" {
			_ = add(b.X, true) || add(b.Y, true) || add(b.X, false) || add(b.Y, false)
		}
	}
	if len(key) == 0 {
		return nil, syntax.ErrorAt(j.text, j.join.Pos,
			"JOIN %s: ON compares no column of it with =, and records find a row by "+
				"equal values only", j.join.Name)
	}
	return key, nil
}
