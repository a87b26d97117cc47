package syntax

import (
	"slices"
	"strconv"
	"sync"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// This is the grammar of the statements, in participle's notation: a word in quotes is a keyword, @
// puts what matches into the field, @@ what the type of the field says. The grammar needs one token
// to decide, and in three places two, (?= ...). So the parser never goes back, which a lookahead of
// 0 tells it: a rule that has taken a token must succeed. No rule is recursive. Only expressions
// nest, and they have a parser of their own (expr.go), which is called by the types that have a
// method Parse.

// statements builds the parser when it is first used (about 1 ms), so that importing the package
// costs nothing.
var statements = sync.OnceValue(func() *participle.Parser[statementNode] {
	return participle.MustBuild[statementNode](participle.Lexer(definition{}), participle.UseLookahead(0))
})

type statementNode struct {
	Pos     lexer.Position
	Explain bool        `parser:"  @'EXPLAIN'?"`
	Select  *queryNode  `parser:"( @@"`
	Source  *sourceNode `parser:"| 'CREATE' ( ( 'SOURCE' | 'TABLE' ) @@"`
	Sink    *sinkNode   `parser:"           | 'SINK' @@"`
	View    *viewNode   `parser:"           | @@ )"`
	Insert  *insertNode `parser:"| 'INSERT' 'INTO' @@ )"`
}

type selectNode struct {
	Pos      lexer.Position
	Distinct bool         `parser:"'SELECT' ( @'DISTINCT'"`
	On       *onNode      `parser:"  @@? | 'ALL' )?"`
	Items    []itemNode   `parser:"@@ ( ',' @@ )*"`
	From     *tableNode   `parser:"( 'FROM' @@ )?"`
	Where    *exprNode    `parser:"( 'WHERE' @@ )?"`
	GroupAll bool         `parser:"( 'GROUP' 'BY' ( @'ALL'"`
	GroupBy  []groupNode  `parser:"  | @@ ( ',' @@ )* ) )?"`
	Having   *exprNode    `parser:"( 'HAVING' @@ )?"`
	Windows  *windowsNode `parser:"( (?= 'WINDOW' ) 'WINDOW' @@ )?"`
	Qualify  *exprNode    `parser:"( 'QUALIFY' @@ )?"`
	OrderBy  *ordersNode  `parser:"( 'ORDER' 'BY' @@ )?"`
	Tail     []tailNode   `parser:"@@*"`
}

type tailNode struct {
	Pos     lexer.Position
	Limit   *countNode `parser:"( 'LIMIT' ( @@"`
	More    *countNode `parser:"            ( ',' @@ )?"`
	All     bool       `parser:"          | @( 'ALL' | 'NULL' ) )"`
	Offset  *countNode `parser:"| 'OFFSET' @@ ( 'ROW' | 'ROWS' )?"`
	Fetch   *fetchNode `parser:"| 'FETCH' ( 'FIRST' | 'NEXT' ) @@ ( 'ROW' | 'ROWS' ) 'ONLY'"`
	Changes bool       `parser:"| 'EMIT' ( @'CHANGES'"`
	Final   bool       `parser:"         | @'FINAL' | 'ON' 'WINDOW' @'CLOSE' ) )"`
}

type sourceNode struct {
	IfNotExists bool         `parser:"( (?= 'IF' 'NOT') @'IF' 'NOT' 'EXISTS' )?"`
	Name        nameNode     `parser:"@@"`
	Columns     []columnNode `parser:"( '(' @@ ( ',' @@ )* ')' )?"`
	Options     []optionNode `parser:"( 'WITH' '(' @@ ( ',' @@ )* ')' )?"`
	Format      *formatNode  `parser:"@@?"`
}

type formatNode struct {
	Pos     lexer.Position
	Format  nameNode     `parser:"'FORMAT' @@"`
	Encode  nameNode     `parser:"'ENCODE' @@"`
	Options []optionNode `parser:"( '(' @@ ( ',' @@ )* ')' )?"`
}

type columnNode struct {
	Watermark   *watermarkNode   `parser:"  @@"`
	Key         []columnNameNode `parser:"| 'PRIMARY' 'KEY' '(' @@ ( ',' @@ )* ')'"`
	Name        *nameNode        `parser:"| @@"`
	Type        typeNode         `parser:"  @@"`
	Constraints []constraintNode `parser:"  @@*"`
}

type constraintNode struct {
	Pos     lexer.Position
	NotNull bool `parser:"  @'NOT' 'NULL'"`
	Null    bool `parser:"| @'NULL'"`
	Key     bool `parser:"| @'PRIMARY' 'KEY'"`
}

type watermarkNode struct {
	Pos    lexer.Position
	Column columnNameNode `parser:"(?= 'WATERMARK' 'FOR') 'WATERMARK' 'FOR' @@"`
	Expr   exprNode       `parser:"'AS' @@"`
}

type optionNode struct {
	Key   keyNode   `parser:"@@"`
	Value valueNode `parser:"'=' @@"`
}

type sinkNode struct {
	IfNotExists bool         `parser:"( (?= 'IF' 'NOT') @'IF' 'NOT' 'EXISTS' )?"`
	Name        nameNode     `parser:"@@"`
	From        *nameNode    `parser:"( 'FROM' @@"`
	As          *queryNode   `parser:"| 'AS' @@ )?"`
	Options     []optionNode `parser:"( 'WITH' '(' @@ ( ',' @@ )* ')' )?"`
}

type viewNode struct {
	Materialized bool         `parser:"@'MATERIALIZED'? 'VIEW'"`
	IfNotExists  bool         `parser:"( (?= 'IF' 'NOT') @'IF' 'NOT' 'EXISTS' )?"`
	Name         nameNode     `parser:"@@"`
	Options      []optionNode `parser:"( 'WITH' '(' @@ ( ',' @@ )* ')' )?"`
	As           *queryNode   `parser:"'AS' @@"`
}

type insertNode struct {
	Sink   nameNode   `parser:"@@"`
	Select *queryNode `parser:"@@"`
}

// The types below parse themselves.
type (
	exprNode       struct{ Expr }
	queryNode      struct{ *Select }
	groupNode      struct{ Expr }
	onNode         struct{ list []Expr }
	windowsNode    struct{ list []NamedWindow }
	fetchNode      struct{ Count }
	itemNode       struct{ Item }
	tableNode      struct{ Table }
	ordersNode     struct{ list []Order }
	countNode      struct{ Count }
	typeNode       struct{ TypeName }
	columnNameNode struct{ *Ident }
	nameNode       struct {
		pos  Pos
		name string
	}
	keyNode struct {
		pos  Pos
		name string
	}
	valueNode struct {
		*Literal
		env bool
	}
)

func (n *exprNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) { n.Expr = p.expr(lowest, false) })
}

func (n *groupNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) { n.Expr = p.grouping(true) })
}

// Parse parses what follows DISTINCT: ON (a, b).
func (n *onNode) Parse(lex *lexer.PeekingLexer) error {
	ahead := *lex
	if on := ahead.Next().Value; on != "ON" || ahead.Peek().Value != "(" {
		return participle.NextMatch
	}
	return run(lex, func(p *parser) {
		p.next()
		p.parenthesised(func() { n.list = p.list() })
	})
}

func (n *windowsNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) { n.list = p.namedWindows() })
}

// Parse parses the number of FETCH FIRST, which may be left out.
func (n *fetchNode) Parse(lex *lexer.PeekingLexer) error {
	if v := lex.Peek().Value; v == "ROW" || v == "ROWS" {
		n.Count = Count{Pos: Pos(lex.Peek().Pos.Offset), N: 1}
		return nil
	}
	var c countNode
	err := c.Parse(lex)
	n.Count = c.Count
	return err
}

func (n *itemNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) { n.Item = p.item() })
}

func (n *tableNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) { n.Table = p.table() })
}

func (n *ordersNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) { n.list = p.orders() })
}

func (n *typeNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) { n.TypeName = p.typeName() })
}

func (n *columnNameNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) { n.Ident = p.column() })
}

func (n *countNode) Parse(lex *lexer.PeekingLexer) error {
	if v := lex.Peek().Value; v == "ALL" || v == "NULL" {
		return participle.NextMatch
	}
	return run(lex, func(p *parser) {
		if t := p.peek(); t.Type == word && t.Value != "CAST" { // what is misspelt here is the number
			p.unexpected("a number of rows")
		}
		pos := p.pos()
		v, ok := wholeOf(p.expr(other, false))
		if !ok {
			fail(pos, fewRows)
		}
		n.Count = Count{Pos: pos, N: v}
	})
}

// fewRows is the fault of a number of rows.
const fewRows = "the number of rows is a constant of 0 or more"

// wholeOf is the value of a constant that is written with whole numbers, + and -.
func wholeOf(e Expr) (v int64, ok bool) {
	switch x := e.(type) {
	case *Literal:
		if x.Kind != Integer && x.Kind != String {
			return 0, false
		}
		v, err := strconv.ParseInt(x.Text, 10, 64)
		return v, err == nil
	case *Cast:
		return wholeOf(x.X)
	case *Unary:
		v, ok = wholeOf(x.X)
		return -v, ok && x.Op == "-"
	case *Binary:
		a, ok := wholeOf(x.X)
		b, also := wholeOf(x.Y)
		switch {
		case !ok || !also:
		case x.Op == "+" && a+b >= a == (b >= 0):
			return a + b, true
		case x.Op == "-" && a-b <= a == (b >= 0):
			return a - b, true
		}
	}
	return 0, false
}

func (n *nameNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) {
		n.pos = p.pos()
		var ok bool
		n.name, ok = p.name()
		if !ok {
			p.unexpected("a name")
		}
	})
}

func (n *keyNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) {
		n.pos = p.pos()
		if t := p.peek(); t.Type == str || t.Type == estr {
			n.name = p.stringValue()
			return
		}
		for {
			part, ok := p.label()
			if !ok {
				p.unexpected("the name of an option")
			}
			n.name += part
			if !p.accept(".") {
				return
			}
			n.name += "."
		}
	})
}

func (n *valueNode) Parse(lex *lexer.PeekingLexer) error {
	return run(lex, func(p *parser) {
		pos := p.pos()
		if p.is("env", "(") {
			p.next()
			p.next()
			t := p.peek()
			if t.Type != str {
				p.unexpected("the name of an environment variable in quotes")
			}
			n.Literal, n.env = p.operand(t).(*Literal), true
			n.Pos = pos
			p.expect(")")
			return
		}
		minus := p.accept("-")
		if t := p.peek(); t.Type == integer || t.Type == decimal || !minus &&
			(t.Type == str || t.Type == estr || p.is("TRUE") || p.is("FALSE")) {
			n.Literal = p.operand(t).(*Literal)
			n.Pos = pos
			if minus {
				n.Text = "-" + n.Text
			}
			return
		}
		p.unexpected("a string, a number, TRUE, FALSE or env('NAME')")
	})
}

// item parses one item of a SELECT.
func (p *parser) item() Item {
	i := Item{Pos: p.pos()}
	if p.accept("*") {
		i.Star, i.Exclude = true, p.excluded()
		return i
	}
	if t := p.peek(); (t.Type == word || t.Type == quoted) && p.second().Value == "." {
		// t.*: only this may have a star after the dot.
		ahead := *p.lex
		ahead.Next()
		ahead.Next()
		if ahead.Peek().Value == "*" {
			name, ok := p.name()
			if !ok {
				p.unexpected("an expression")
			}
			p.next()
			p.next()
			i.Star, i.Table, i.Exclude = true, name, p.excluded()
			return i
		}
	}
	i.Expr = p.expr(lowest, false)
	i.Alias = p.alias()
	return i
}

// excluded parses what follows a star if it is EXCLUDE (a, b), or EXCEPT (a, b), which is no set
// operation unless a query follows.
func (p *parser) excluded() (names []*Ident) {
	one := func() {
		pos := p.pos()
		name, ok := p.name()
		if !ok {
			p.unexpected("the name of a column")
		}
		names = append(names, &Ident{Pos: pos, Name: name})
	}
	third := p.third()
	except := p.is("EXCEPT", "(") && third.Type != symbol && !slices.Contains(begins, third.Value)
	if !except && !p.is("exclude") {
		return nil
	}
	p.next()
	if !p.is("(") {
		one()
		return names
	}
	p.parenthesised(func() {
		one()
		for p.accept(",") {
			one()
		}
	})
	return names
}

// tree makes the statement of a parsed text.
func (n *statementNode) tree() (s Statement, fault *failure) {
	pos := Pos(n.Pos.Offset)
	begin := pos
	switch {
	case n.Select != nil:
		s = n.Select.Select
	case n.Source != nil:
		s, fault = n.Source.tree(begin)
	case n.Sink != nil:
		s, fault = n.Sink.tree(begin)
	case n.View != nil:
		s, fault = n.View.tree(begin)
	default:
		insert := &InsertInto{Pos: begin, Sink: n.Insert.Sink.name}
		insert.Select = n.Insert.Select.Select
		s = insert
	}
	if n.Explain {
		s = &Explain{Pos: pos, Statement: s}
	}
	return s, fault
}

func (n *selectNode) tree() (*Select, *failure) {
	s := &Select{
		Pos: Pos(n.Pos.Offset), Distinct: n.Distinct, From: Table{Pos: Pos(n.Pos.Offset)}, Where: n.Where.tree(),
		Having: n.Having.tree(), GroupAll: n.GroupAll, Qualify: n.Qualify.tree(),
	}
	if n.From != nil {
		s.From = n.From.Table
	}
	if n.On != nil {
		s.DistinctOn = n.On.list
	}
	if n.Windows != nil {
		s.Windows = n.Windows.list
	}
	for _, i := range n.Items {
		s.Items = append(s.Items, i.Item)
	}
	for _, g := range n.GroupBy {
		s.GroupBy = append(s.GroupBy, g.Expr)
	}
	return s, s.end(n.OrderBy, n.Tail)
}

// end puts what follows QUALIFY, or the last of several SELECTs, into the query.
func (s *Select) end(orders *ordersNode, tail []tailNode) *failure {
	if orders != nil {
		s.OrderBy = orders.list
	}
	// LIMIT, OFFSET and EMIT come in any order.
	seen := map[string]bool{}
	for _, t := range tail {
		clause := "EMIT"
		if pos, bad := t.negative(); bad {
			return &failure{pos: pos, message: fewRows}
		}
		switch {
		case t.More != nil: // LIMIT offset, limit: as in MySQL and SQLite
			if seen["OFFSET"] {
				return &failure{pos: Pos(t.Pos.Offset), message: "OFFSET is given twice"}
			}
			seen["OFFSET"] = true
			s.Offset, s.Limit = &t.Limit.Count, t.More.limit()
			clause = "LIMIT"
		case t.Limit != nil:
			s.Limit = t.Limit.limit()
			clause = "LIMIT"
		case t.Fetch != nil:
			s.Limit = &t.Fetch.Count
			clause = "LIMIT"
		case t.All:
			clause = "LIMIT"
		case t.Offset != nil:
			s.Offset = &t.Offset.Count
			clause = "OFFSET"
		case t.Changes:
			s.Emit = EmitChanges
		default:
			s.Emit = EmitFinal
		}
		if seen[clause] {
			return &failure{pos: Pos(t.Pos.Offset), message: clause + " is given twice"}
		}
		seen[clause] = true
	}
	return nil
}

// negative says whether a number of rows is below 0, and where. As LIMIT it is no limit, as in
// SQLite.
func (t *tailNode) negative() (Pos, bool) {
	skipped := t.Offset
	if t.More != nil {
		skipped = t.Limit
	}
	if t.Fetch != nil {
		skipped = &countNode{t.Fetch.Count}
	}
	if skipped == nil || skipped.N >= 0 {
		return 0, false
	}
	return skipped.Pos, true
}

// limit is the number of a LIMIT, nil if it is no limit.
func (n *countNode) limit() *Count {
	if n.N < 0 {
		return nil
	}
	return &n.Count
}

func (n *exprNode) tree() Expr {
	if n == nil {
		return nil
	}
	return n.Expr
}

func (n *sourceNode) tree(pos Pos) (*CreateSource, *failure) {
	s := &CreateSource{Pos: pos, Name: n.Name.name, IfNotExists: n.IfNotExists}
	for _, c := range n.Columns {
		switch w := c.Watermark; {
		case len(c.Key) > 0:
			if s.Key != nil {
				return nil, &failure{pos: c.Key[0].Pos, message: "PRIMARY KEY is given twice"}
			}
			for _, k := range c.Key {
				s.Key = append(s.Key, k.Ident)
			}
		case w == nil:
			def := ColumnDef{Pos: c.Name.pos, Name: c.Name.name, Type: c.Type.TypeName}
			for _, x := range c.Constraints {
				def.NotNull = def.NotNull || x.NotNull
				if !x.Key {
					continue
				}
				if s.Key != nil {
					return nil, &failure{
						pos: Pos(x.Pos.Offset),
						message: "PRIMARY KEY is given twice; a key of several " +
							"columns is PRIMARY KEY (a, b) after them",
					}
				}
				s.Key = []*Ident{{Pos: c.Name.pos, Name: c.Name.name}}
			}
			s.Columns = append(s.Columns, def)
		case s.Watermark != nil:
			return nil, &failure{pos: Pos(w.Pos.Offset), message: "WATERMARK is given twice"}
		default:
			s.Watermark = &Watermark{Pos: Pos(w.Pos.Offset), Column: w.Column.Ident, Expr: w.Expr.Expr}
		}
	}
	list := n.Options
	if f := n.Format; f != nil {
		for _, o := range []struct {
			key   string
			value nameNode
		}{{"format", f.Format}, {"encode", f.Encode}} {
			list = append(list, optionNode{
				keyNode{o.value.pos, o.key},
				valueNode{Literal: &Literal{Pos: o.value.pos, Kind: String, Text: o.value.name}},
			})
		}
		list = append(list, f.Options...)
	}
	var fault *failure
	s.Options, fault = options(list)
	return s, fault
}

func (n *viewNode) tree(pos Pos) (*CreateView, *failure) {
	s := &CreateView{Pos: pos, Name: n.Name.name, IfNotExists: n.IfNotExists, Materialized: n.Materialized}
	var fault *failure
	s.Options, fault = options(n.Options)
	if fault != nil {
		return nil, fault
	}
	s.As = n.As.Select
	return s, nil
}

func (n *sinkNode) tree(pos Pos) (*CreateSink, *failure) {
	s := &CreateSink{Pos: pos, Name: n.Name.name, IfNotExists: n.IfNotExists}
	if n.As != nil {
		s.As = n.As.Select
	} else if n.From != nil {
		s.From = n.From.name
	}
	var fault *failure
	s.Options, fault = options(n.Options)
	return s, fault
}

// options makes the options of WITH; a key may come only once.
func options(list []optionNode) (all []Option, fault *failure) {
	seen := map[string]bool{}
	for _, o := range list {
		if seen[o.Key.name] {
			return nil, &failure{pos: o.Key.pos, message: "option " + shown(o.Key.name) + " is given twice"}
		}
		seen[o.Key.name] = true
		all = append(all, Option{Pos: o.Key.pos, Key: o.Key.name, Value: o.Value.Literal, Env: o.Value.env})
	}
	return all, nil
}
