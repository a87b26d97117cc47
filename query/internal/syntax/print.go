package syntax

import (
	"strconv"
	"strings"
)

// printer writes the canonical text: keywords in upper case, names in quotes only if they need
// them, one space between tokens, and parentheses only if an operand binds looser than its place
// requires.
type printer struct{ strings.Builder }

func text(n Node) string {
	var p printer
	n.print(&p)
	return p.String()
}

// words writes strings as they are.
func (p *printer) words(s ...string) {
	for _, w := range s {
		p.WriteString(w)
	}
}

// when writes s if a condition holds.
func (p *printer) when(cond bool, s string) {
	if cond {
		p.WriteString(s)
	}
}

// operand writes an expression in a place that requires a level.
func (p *printer) operand(e Expr, least level) {
	if e.level() >= least {
		e.print(p)
		return
	}
	p.WriteByte('(')
	e.print(p)
	p.WriteByte(')')
}

// list writes nodes separated by commas.
func list[T any, N interface {
	*T
	Node
}](p *printer, all []T) {
	for i := range all {
		p.when(i > 0, ", ")
		N(&all[i]).print(p)
	}
}

func (p *printer) exprs(all []Expr) {
	for i, e := range all {
		p.when(i > 0, ", ")
		e.print(p)
	}
}

// name writes a name, in quotes if it would otherwise be read as something else.
func (p *printer) name(s string) {
	if plain(s) {
		p.WriteString(s)
		return
	}
	p.words(`"`, strings.ReplaceAll(s, `"`, `""`), `"`)
}

// plain says whether a name needs no quotes: it is a word in lower case that is not reserved.
func plain(s string) bool {
	kind, end := word, 0
	if s != "" && isLetter([]rune(s)[0]) {
		kind, end, _ = scanOne(s, 0)
	}
	return s != "" && kind == word && end == len(s) && lower(s) == s && keywords[fold(s)].use != reserved &&
		s != "table"
}

func (p *printer) string(s string) { p.words("'", strings.ReplaceAll(s, "'", "''"), "'") }

func (s *Select) print(p *printer) {
	if s.Set != nil {
		s.Set.print(p)
		s.printEnd(p)
		return
	}
	p.WriteString("SELECT ")
	p.when(s.Distinct, "DISTINCT ")
	if s.DistinctOn != nil {
		p.WriteString("ON (")
		p.exprs(s.DistinctOn)
		p.WriteString(") ")
	}
	list(p, s.Items)
	if s.From.Name != "" || s.From.Query != nil || s.From.Rows != nil {
		p.WriteString(" FROM ")
		s.From.print(p)
	}
	clause := func(word string, e Expr) {
		if e != nil {
			p.WriteString(word)
			e.print(p)
		}
	}
	clause(" WHERE ", s.Where)
	p.when(len(s.GroupBy) > 0 || s.GroupAll, " GROUP BY ")
	p.when(s.GroupAll, "ALL")
	p.exprs(s.GroupBy)
	clause(" HAVING ", s.Having)
	p.when(len(s.Windows) > 0, " WINDOW ")
	for i := range s.Windows {
		p.when(i > 0, ", ")
		p.name(s.Windows[i].Name)
		p.WriteString(" AS ")
		s.Windows[i].Over.parenthesised(p)
	}
	clause(" QUALIFY ", s.Qualify)
	s.printEnd(p)
}

// printEnd writes ORDER BY and what follows it.
func (s *Select) printEnd(p *printer) {
	p.when(len(s.OrderBy) > 0, " ORDER BY ")
	list(p, s.OrderBy)
	if s.Limit != nil {
		p.WriteString(" LIMIT ")
		s.Limit.print(p)
	}
	if s.Offset != nil {
		p.WriteString(" OFFSET ")
		s.Offset.print(p)
	}
	p.when(s.Emit == EmitChanges, " EMIT CHANGES")
	p.when(s.Emit == EmitFinal, " EMIT FINAL")
}

func (i *Item) print(p *printer) {
	switch {
	case i.Star && i.Table != "":
		p.name(i.Table)
		p.WriteString(".*")
		p.excluded(i.Exclude)
	case i.Star:
		p.WriteString("*")
		p.excluded(i.Exclude)
	default:
		i.Expr.print(p)
		p.alias(i.Alias)
	}
}

// excluded writes the columns that a star leaves out.
func (p *printer) excluded(names []*Ident) {
	for i, n := range names {
		p.WriteString([]string{" EXCLUDE (", ", "}[min(i, 1)])
		p.name(n.Name)
	}
	p.when(len(names) > 0, ")")
}

func (p *printer) alias(a string) {
	if a != "" {
		p.WriteString(" AS ")
		p.name(a)
	}
}

func (o *Order) print(p *printer) {
	if o.Expr == nil {
		p.WriteString("ALL")
	} else {
		o.Expr.print(p)
	}
	p.when(o.Desc, " DESC")
	p.when(o.Nulls == NullsFirst, " NULLS FIRST")
	p.when(o.Nulls == NullsLast, " NULLS LAST")
}

func (c *Count) print(p *printer) { p.WriteString(strconv.FormatInt(c.N, 10)) }

func (t *Table) print(p *printer) {
	if t.Rows != nil {
		t.printRows(p)
		return
	}
	if t.Query != nil {
		p.WriteString("(")
		t.Query.print(p)
		p.WriteString(")")
	} else if t.Window == nil {
		p.name(t.Name)
	} else {
		t.Window.in(p, t.Name)
	}
	p.alias(t.Alias)
	for i := range t.Joins {
		t.Joins[i].print(p)
	}
}

func (j *Join) print(p *printer) {
	p.when(j.Left, " LEFT")
	p.WriteString(" JOIN ")
	p.name(j.Name)
	p.alias(j.Alias)
	if j.On != nil {
		p.WriteString(" ON ")
		j.On.print(p)
		return
	}
	p.WriteString(" USING (")
	p.idents(j.Using)
	p.WriteString(")")
}

func (p *printer) idents(all []*Ident) {
	for i, c := range all {
		p.when(i > 0, ", ")
		c.print(p)
	}
}

// print writes the window without a table; Table.print writes the window over a table.
func (w *Window) print(p *printer) { w.in(p, "...") }

func (w *Window) in(p *printer, name string) {
	p.words(string(w.Kind), "(")
	p.name(name)
	if len(w.PartitionBy) > 0 {
		p.WriteString(" PARTITION BY (")
		p.idents(w.PartitionBy)
		p.WriteString(")")
	}
	p.WriteString(", ")
	w.At.print(p)
	for _, a := range windowArguments[w.Kind] {
		if e := *w.argument(a); e != nil {
			p.WriteString(", ")
			e.print(p)
		}
	}
	p.WriteString(")")
}

func (s *CreateSource) print(p *printer) {
	if len(s.Key) > 0 {
		p.WriteString("CREATE TABLE ")
	} else {
		p.WriteString("CREATE SOURCE ")
	}
	p.when(s.IfNotExists, "IF NOT EXISTS ")
	p.name(s.Name)
	if len(s.Columns) > 0 || s.Watermark != nil {
		p.WriteString(" (")
		list(p, s.Columns)
		if s.Watermark != nil {
			p.when(len(s.Columns) > 0, ", ")
			s.Watermark.print(p)
		}
		if len(s.Key) > 0 {
			p.WriteString(", PRIMARY KEY (")
			p.idents(s.Key)
			p.WriteString(")")
		}
		p.WriteString(")")
	}
	p.options(s.Options)
}

func (c *ColumnDef) print(p *printer) {
	p.name(c.Name)
	p.WriteByte(' ')
	c.Type.print(p)
	p.when(c.NotNull, " NOT NULL")
}

func (w *Watermark) print(p *printer) {
	p.WriteString("WATERMARK FOR ")
	w.Column.print(p)
	p.WriteString(" AS ")
	w.Expr.print(p)
}

func (p *printer) options(all []Option) {
	if len(all) > 0 {
		p.WriteString(" WITH (")
		list(p, all)
		p.WriteString(")")
	}
}

func (o *Option) print(p *printer) {
	simple := true
	for part := range strings.SplitSeq(o.Key, ".") {
		simple = simple && plain(part)
	}
	if simple {
		p.WriteString(o.Key)
	} else {
		p.string(o.Key)
	}
	p.WriteString(" = ")
	if o.Env {
		p.WriteString("env(")
		o.Value.print(p)
		p.WriteString(")")
		return
	}
	o.Value.print(p)
}

func (s *CreateSink) print(p *printer) {
	p.WriteString("CREATE SINK ")
	p.when(s.IfNotExists, "IF NOT EXISTS ")
	p.name(s.Name)
	if s.As != nil {
		p.WriteString(" AS ")
		s.As.print(p)
	} else if s.From != "" {
		p.WriteString(" FROM ")
		p.name(s.From)
	}
	p.options(s.Options)
}

func (s *CreateView) print(p *printer) {
	p.WriteString("CREATE ")
	p.when(s.Materialized, "MATERIALIZED ")
	p.WriteString("VIEW ")
	p.when(s.IfNotExists, "IF NOT EXISTS ")
	p.name(s.Name)
	p.options(s.Options)
	p.WriteString(" AS ")
	s.As.print(p)
}

func (s *InsertInto) print(p *printer) {
	p.WriteString("INSERT INTO ")
	p.name(s.Sink)
	p.WriteByte(' ')
	s.Select.print(p)
}

func (s *Explain) print(p *printer) {
	p.WriteString("EXPLAIN ")
	s.Statement.print(p)
}

func (e *Ident) level() level      { return primary }
func (e *Literal) level() level    { return primary }
func (e *Case) level() level       { return primary }
func (e *Call) level() level       { return primary }
func (e *Grouping) level() level   { return primary }
func (e *Cast) level() level       { return typecast }
func (e *Binary) level() level     { return binary[e.Op] }
func (e *IsNull) level() level     { return is }
func (e *IsTruth) level() level    { return is }
func (e *IsDistinct) level() level { return is }

func (e *In) level() level {
	if e.Op != "" {
		return comparison
	}
	return membership
}

func (e *Between) level() level { return membership }
func (e *Like) level() level    { return membership }

func (e *Unary) level() level {
	switch e.Op {
	case "NOT":
		return not
	case "~":
		return other + 1
	}
	return sign
}

func (e *Ident) print(p *printer) {
	if e.Table != "" {
		p.name(e.Table)
		p.WriteByte('.')
	}
	p.name(e.Name)
}

func (e *Literal) print(p *printer) {
	switch e.Kind {
	case Null:
		p.WriteString("NULL")
	case Bool:
		p.WriteString(strings.ToUpper(e.Text))
	case Integer, Decimal:
		p.WriteString(e.Text)
	case String:
		p.string(e.Text)
	default:
		p.WriteString(map[Kind]string{
			Interval: "INTERVAL ", Timestamp: "TIMESTAMP ",
			TimestampTZ: "TIMESTAMP WITH TIME ZONE ", Date: "DATE ",
		}[e.Kind])
		p.string(e.Text)
		if e.Unit != "" {
			p.words(" ", strings.ToUpper(e.Unit))
		}
	}
}

func (e *Unary) print(p *printer) {
	p.WriteString(e.Op)
	// A space keeps two signs from being a comment.
	if x, ok := e.X.(*Unary); e.Op == "NOT" || ok && x.Op != "NOT" {
		p.WriteByte(' ')
	}
	p.operand(e.X, e.level())
}

func (e *Binary) print(p *printer) {
	l := e.level()
	left := l
	if l == comparison {
		left++ // comparisons do not chain
	}
	p.operand(e.X, left)
	p.words(" ", e.Op, " ")
	p.operand(e.Y, l+1)
}

func (e *IsNull) print(p *printer) {
	p.operand(e.X, is+1)
	p.when(!e.Not, " IS NULL")
	p.when(e.Not, " IS NOT NULL")
}

func (e *IsTruth) print(p *printer) {
	p.operand(e.X, is+1)
	p.WriteString(" IS ")
	p.when(e.Not, "NOT ")
	p.WriteString(string(e.Truth))
}

func (e *IsDistinct) print(p *printer) {
	p.operand(e.X, is+1)
	p.WriteString(" IS ")
	p.when(e.Not, "NOT ")
	p.WriteString("DISTINCT FROM ")
	p.operand(e.Y, is+1)
}

func (e *In) print(p *printer) {
	if e.Op != "" {
		p.operand(e.X, comparison+1)
		p.WriteString(" " + e.Op + map[bool]string{true: " ALL ", false: " ANY "}[e.All])
		p.query(e.Query)
		return
	}
	if e.Row == nil {
		p.operand(e.X, membership+1)
	} else {
		p.WriteString("(")
		p.exprs(e.Row)
		p.WriteString(")")
	}
	p.when(e.Not, " NOT")
	p.WriteString(" IN ")
	if e.Query != nil {
		p.query(e.Query)
		return
	}
	p.WriteString("(")
	p.exprs(e.List)
	p.WriteString(")")
}

func (e *Between) print(p *printer) {
	p.operand(e.X, membership+1)
	p.when(e.Not, " NOT")
	p.WriteString(" BETWEEN ")
	p.when(e.Symmetric, "SYMMETRIC ")
	p.operand(e.Low, membership+1)
	p.WriteString(" AND ")
	p.operand(e.High, membership+1)
}

func (e *Like) print(p *printer) {
	p.operand(e.X, membership+1)
	p.when(e.Not, " NOT")
	switch {
	case e.ILike:
		p.WriteString(" ILIKE ")
	case e.Glob:
		p.WriteString(" GLOB ")
	case e.Similar:
		p.WriteString(" SIMILAR TO ")
	default:
		p.WriteString(" LIKE ")
	}
	p.operand(e.Pattern, membership+1)
	if e.Escape != nil {
		p.WriteString(" ESCAPE ")
		p.operand(e.Escape, membership+1)
	}
}

func (e *Case) print(p *printer) {
	p.WriteString("CASE ")
	if e.Operand != nil {
		e.Operand.print(p)
		p.WriteByte(' ')
	}
	for i := range e.Whens {
		e.Whens[i].print(p)
		p.WriteByte(' ')
	}
	if e.Else != nil {
		p.WriteString("ELSE ")
		e.Else.print(p)
		p.WriteByte(' ')
	}
	p.WriteString("END")
}

func (w *When) print(p *printer) {
	p.WriteString("WHEN ")
	w.When.print(p)
	p.WriteString(" THEN ")
	w.Then.print(p)
}

func (e *Cast) print(p *printer) {
	if e.Try {
		p.WriteString("TRY_CAST(")
		e.X.print(p)
		p.WriteString(" AS ")
		e.Type.print(p)
		p.WriteString(")")
		return
	}
	p.operand(e.X, typecast)
	p.WriteString("::")
	e.Type.print(p)
}

func (t *TypeName) print(p *printer) {
	if t.Name == "double precision" {
		p.WriteString(t.Name)
	} else {
		p.name(t.Name)
	}
	for i, a := range t.Args {
		p.when(i == 0, "(")
		p.when(i > 0, ", ")
		p.WriteString(strconv.FormatInt(a, 10))
	}
	p.when(len(t.Args) > 0, ")")
}

func (e *Call) print(p *printer) {
	p.name(e.Name)
	p.WriteString("(")
	switch {
	case e.Star:
		p.WriteString("*")
	case e.Name == "extract" && len(e.Args) == 2:
		if field, ok := e.Args[0].(*Literal); ok && plain(field.Text) {
			p.WriteString(field.Text)
		} else {
			e.Args[0].print(p)
		}
		p.WriteString(" FROM ")
		e.Args[1].print(p)
	case e.Name == "position" && len(e.Args) == 2:
		p.operand(e.Args[0], membership+1)
		p.WriteString(" IN ")
		p.operand(e.Args[1], membership+1)
	default:
		p.when(e.Distinct, "DISTINCT ")
		p.exprs(e.Args)
		p.when(len(e.OrderBy) > 0, " ORDER BY ")
		list(p, e.OrderBy)
	}
	p.WriteString(")")
	if len(e.WithinGroup) > 0 {
		p.WriteString(" WITHIN GROUP (ORDER BY ")
		list(p, e.WithinGroup)
		p.WriteString(")")
	}
	if e.Filter != nil {
		p.WriteString(" FILTER (WHERE ")
		e.Filter.print(p)
		p.WriteString(")")
	}
	if e.Over != nil {
		p.WriteString(" OVER ")
		if o := e.Over; o.Name != "" && len(o.PartitionBy)+len(o.OrderBy) == 0 && o.Frame == nil {
			p.name(o.Name)
		} else {
			o.parenthesised(p)
		}
	}
}
