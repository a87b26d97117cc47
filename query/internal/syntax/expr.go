package syntax

import (
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

const (
	// MaxDepth is how deep parentheses, calls, CASE and prefix operators may nest.
	MaxDepth = 200

	// MaxOperators is how many operators one expression may have. With MaxDepth it bounds the
	// height of the tree, so that a tree can be walked recursively.
	MaxOperators = 10_000
)

// level says how tightly an operator binds. It is PostgreSQL's table (SQL Syntax, 4.1.6), loosest
// first.
type level int

const (
	lowest         level = iota
	or                   // OR
	and                  // AND
	not                  // NOT
	is                   // IS ..., ISNULL, NOTNULL
	comparison           // = <> < <= > >=, which cannot be chained
	membership           // IN, BETWEEN, LIKE, ILIKE
	other                // ||, ~, -> and similar operators
	additive             // + -
	multiplicative       // * / %
	power                // ^, from the left
	zone                 // ^, left-associative
	sign                 // - + before an operand
	typecast             // ::
	primary              // names, literals, calls, parentheses
)

var binary = map[string]level{
	"OR": or, "AND": and, "=": comparison, "<>": comparison, "<": comparison, "<=": comparison, ">": comparison,
	">=": comparison, "||": other,
	"~": other, "~*": other, "!~": other, "!~*": other, "->": other, "->>": other,
	"#>": other, "#>>": other,
	"~~": other, "~~*": other, "!~~": other, "!~~*": other, "^@": other,
	"&": other, "|": other, "#": other, "<<": other, ">>": other,
	"+": additive, "-": additive, "*": multiplicative, "/": multiplicative, "%": multiplicative, "^": power,
}

// parser parses what participle's grammar hands to it: expressions, and everything that needs to
// look two words ahead. A fault is a panic of *failure, which run recovers.
type parser struct {
	lex       *lexer.PeekingLexer
	depth     int
	operators int
	// selects counts the SELECTs of one query.
	selects int
}

// run parses with f and returns its fault.
func run(lex *lexer.PeekingLexer, f func(p *parser)) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *failure:
			err = r
		default:
			panic(r)
		}
	}()
	f(&parser{lex: lex})
	return nil
}

func (p *parser) peek() *lexer.Token { return p.lex.Peek() }
func (p *parser) next() *lexer.Token { return p.lex.Next() }
func (p *parser) pos() Pos           { return Pos(p.peek().Pos.Offset) }

// second is the token after the next.
func (p *parser) second() *lexer.Token {
	ahead := *p.lex
	ahead.Next()
	return ahead.Peek()
}

// third is the token after the second.
func (p *parser) third() *lexer.Token {
	ahead := *p.lex
	ahead.Next()
	ahead.Next()
	return ahead.Peek()
}

// is says whether the next tokens are these. There are at most two.
func (p *parser) is(values ...string) bool {
	return p.peek().Value == values[0] && (len(values) == 1 || p.second().Value == values[1])
}

// accept takes the next token if it is this one.
func (p *parser) accept(value string) bool {
	if p.peek().Value != value {
		return false
	}
	p.next()
	return true
}

// expect takes the next tokens, which must be these.
func (p *parser) expect(values ...string) {
	for _, v := range values {
		if !p.accept(v) {
			p.unexpected("")
		}
	}
}

// unexpected fails at the next token. If expected is empty, explain finds out later what was
// expected.
func (p *parser) unexpected(expected string) {
	panic(&failure{pos: p.pos(), expected: expected})
}

// fail fails with this message.
func fail(pos Pos, message string) { panic(&failure{pos: pos, message: message}) }

// nested runs f one level deeper.
func (p *parser) nested(f func()) {
	p.depth++
	if p.depth > MaxDepth {
		fail(p.pos(), "nested more than "+strconv.Itoa(MaxDepth)+" deep")
	}
	f()
	p.depth--
}

// expr parses an expression of operators that bind at least as tightly as min. A restricted
// expression has no IN, BETWEEN, LIKE or NOT outside of parentheses. It is for the lower bound of
// BETWEEN, whose AND is a different one, and for both sides of position(a IN b). (PostgreSQL's
// b_expr.)
func (p *parser) expr(least level, restricted bool) Expr {
	return single(p.rowOrExpr(least, restricted))
}

// rowOrExpr is expr, but the expression may be a row of several values in parentheses, which can
// only be compared.
func (p *parser) rowOrExpr(least level, restricted bool) Expr {
	x := p.prefix(restricted)
	// open is the level of the operator whose operand x ends with. If the operators of that level
	// do not chain, the next one must not be of the same level.
	open := primary
	for {
		t := p.peek()
		if t.Type != word && t.Type != symbol {
			return x
		}
		l := p.infix(t)
		if l == lowest || l < least || restricted && (l == membership || l <= is) {
			return x
		}
		if l == open {
			fail(p.pos(), chained[l])
		}
		p.operators++
		if p.operators > MaxOperators {
			fail(p.pos(), "more than "+strconv.Itoa(MaxOperators)+" operators in one expression")
		}
		p.next()
		pos := Pos(t.Pos.Offset)
		open = primary
		if r, ok := x.(*row); ok {
			x = p.rowTail(r, t.Value, pos)
			if l == comparison {
				open = comparison
			}
			continue
		}
		switch l {
		case is:
			x, open = p.isTail(x, t.Value, pos)
		case membership:
			x, open = p.membershipTail(x, t.Value, pos)
		case zone: // PostgreSQL has a function for it
			p.expect("TIME", "ZONE")
			x = &Call{Pos: pos, Name: "timezone", Args: []Expr{p.expr(zone+1, restricted), x}}
		case typecast:
			if t.Value == "COLLATE" {
				p.next() // texts are compared by their bytes anyway
				continue
			}
			x = &Cast{Pos: pos, X: x, Type: p.typeName()}
		default:
			if e := p.spelled(x, t.Value, pos, restricted); e != nil { // PostgreSQL's operators for these
				x = e
				continue
			}
			if l == comparison {
				open = comparison
				if quantified := p.quantified(x, t.Value, pos); quantified != nil {
					x, open = quantified, primary
					continue
				}
			}
			x = &Binary{Pos: pos, Op: t.Value, X: x, Y: p.expr(l+1, restricted)}
		}
	}
}

// typeWords are the types that may stand before a text constant.
var typeWords = []string{
	"bool", "boolean", "smallint", "int2", "int", "int4", "integer", "bigint", "int8", "real", "float4", "float8",
	"float", "text", "varchar",
}

// bytewise are the collations that compare texts by their bytes.
var bytewise = []string{"c", "posix", "ucs_basic", "binary"}

// spelled parses the right side of operators that are other names of LIKE and of functions. It
// returns nil for other operators.
func (p *parser) spelled(x Expr, op string, pos Pos, restricted bool) Expr {
	switch op {
	case "~~", "~~*", "!~~", "!~~*":
		y := p.expr(other+1, restricted)
		return &Like{Pos: pos, X: x, Pattern: y, ILike: strings.HasSuffix(op, "*"), Not: op[0] == '!'}
	case "#>", "#>>":
		name := map[string]string{"#>": "json_extract_path", "#>>": "json_extract_path_text"}[op]
		call := &Call{Pos: pos, Name: name, Args: []Expr{x}}
		at := p.peek()
		keys, ok := p.expr(other+1, restricted).(*Literal)
		if !ok || keys.Kind != String || !strings.HasPrefix(keys.Text, "{") || !strings.HasSuffix(keys.Text, "}") ||
			strings.ContainsAny(keys.Text, `"\\`) || len(keys.Text) < 3 {
			fail(Pos(at.Pos.Offset), "the path of "+op+" is a list of names and numbers: '{a,0,b}'")
		}
		for _, key := range strings.Split(keys.Text[1:len(keys.Text)-1], ",") {
			call.Args = append(call.Args, &Literal{Pos: keys.Pos, Kind: String, Text: strings.TrimSpace(key)})
		}
		return call
	case "^@":
		return &Call{Pos: pos, Name: "starts_with", Args: []Expr{x, p.expr(other+1, restricted)}}
	}
	return nil
}

// quantified parses what follows x op if it is ANY or ALL of ARRAY[...]. It returns nil if it is
// not.
func (p *parser) quantified(x Expr, op string, pos Pos) (e Expr) {
	some := p.is("any", "(") || p.is("some", "(")
	if !some && !p.is("ALL", "(") {
		return nil
	}
	p.next()
	list, query := p.anyOf()
	if query != nil {
		if some && op == "=" || !some && op == "<>" {
			return &In{Pos: pos, X: x, Query: query, Not: op == "<>"}
		}
		return &In{Pos: pos, X: x, Query: query, Op: op, All: !some}
	}
	if some && op == "=" || !some && op == "<>" {
		return &In{Pos: pos, X: x, List: list, Not: op == "<>"}
	}
	join := map[bool]string{true: "OR", false: "AND"}[some]
	for _, y := range list {
		one := Expr(&Binary{Pos: pos, Op: op, X: x, Y: y})
		if e != nil {
			one = &Binary{Pos: pos, Op: join, X: e, Y: one}
		}
		e = one
	}
	return e
}

// anyOf parses the parentheses of ANY and ALL: a query or a list.
func (p *parser) anyOf() (list []Expr, query *Select) {
	p.parenthesised(func() {
		switch t := p.peek(); {
		case p.beginsQuery():
			query = p.inQuery()
		case p.is("ARRAY", "["):
			p.next()
			p.next()
			list = p.list()
			p.expect("]")
		case t.Type == str:
			list = p.elements()
		default:
			fail(p.pos(), "ANY and ALL are of ARRAY[...], of a list '{...}' or of a query; write IN (...) with "+
				"the values")
		}
	})
	return list, query
}

// likeAny parses what follows LIKE if it is ANY or ALL of a list, and joins a LIKE for each pattern
// of the list. It returns nil if it is not.
func (p *parser) likeAny(like Like) (e Expr) {
	some := p.is("any", "(") || p.is("some", "(")
	if like.Similar || like.Glob || !some && !p.is("ALL", "(") {
		return nil
	}
	p.next()
	at := p.pos()
	list, query := p.anyOf()
	if query != nil {
		fail(at, "LIKE ANY and LIKE ALL of a query are not supported: write the patterns, LIKE ANY (ARRAY['a%', 'b%'])")
	}
	p.operators += 2 * len(list)
	if p.operators > MaxOperators {
		fail(at, "more than "+strconv.Itoa(MaxOperators)+" operators in one expression")
	}
	for _, pattern := range list {
		one := like
		one.Pattern = pattern
		e = joined(like.Pos, map[bool]string{true: "OR", false: "AND"}[some], e, &one)
	}
	return e
}

// elements parses a list as PostgreSQL writes an array: '{a,"b c",NULL}'.
func (p *parser) elements() (list []Expr) {
	pos := p.pos()
	text := p.stringValue()
	if cast := p.peek(); cast.Value == "::" { // '{1,2}'::bigint[]
		p.next()
		p.name()
		p.expect("[", "]")
	}
	inner, ok := strings.CutPrefix(text, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !ok || !closed || strings.ContainsAny(inner, `{}\`) {
		fail(pos, "the list of ANY and ALL is written as '{1,2,3}'")
	}
	for inner != "" || len(list) == 0 {
		var item string
		whole := false
		if rest, quotes := strings.CutPrefix(inner, `"`); quotes {
			item, inner, ok = strings.Cut(rest, `"`)
			if !ok || inner != "" && inner[0] != ',' {
				fail(pos, "the list of ANY and ALL is written as '{1,2,3}'")
			}
			inner, whole = strings.TrimPrefix(inner, ","), true
		} else {
			item, inner, _ = strings.Cut(inner, ",")
			item = strings.TrimSpace(item)
		}
		e := &Literal{Pos: pos, Kind: String, Text: item}
		switch {
		case whole:
		case item == "":
			fail(pos, "the list of ANY and ALL has an empty value")
		case strings.EqualFold(item, "null"):
			e.Kind, e.Text = Null, ""
		}
		list = append(list, e)
	}
	return list
}

// chained has the message for each level whose operators cannot be chained.
var chained = map[level]string{
	comparison: "comparisons do not chain: join them with AND, or use parentheses",
	membership: "BETWEEN, IN and LIKE do not chain: use parentheses",
	is:         "IS does not chain after IS DISTINCT FROM: use parentheses",
}

// infix is the level of an operator that follows an operand, or lowest for anything else.
func (p *parser) infix(t *lexer.Token) level {
	if l, ok := binary[t.Value]; ok {
		return l
	}
	switch t.Value {
	case "IS", "ISNULL", "NOTNULL":
		return is
	case "NOT":
		if p.second().Value == "NULL" { // SQLite's x NOT NULL
			return is
		}
		return membership
	case "IN", "BETWEEN", "LIKE", "ILIKE", "SIMILAR":
		return membership
	case "glob": // it is a name elsewhere
		if s := p.second(); s.Type == str || s.Type == estr {
			return membership
		}
	case "::":
		return typecast
	case "[":
		fail(p.pos(), "arrays are not supported")
	case "COLLATE":
		if !slices.Contains(bytewise, strings.ToLower(strings.Trim(p.second().Value, `"`))) {
			fail(p.pos(), "COLLATE is not supported except for \"C\": texts are compared by their bytes; "+
				"lower(x) makes a comparison ignore case")
		}
		return typecast
	case "AT":
		if p.second().Value == "TIME" {
			return zone
		}
	}
	return lowest
}

// isTail parses what follows x IS.
func (p *parser) isTail(x Expr, op string, pos Pos) (e Expr, open level) {
	if op == "NOT" {
		p.expect("NULL")
		return &IsNull{Pos: pos, X: x, Not: true}, primary
	}
	if op != "IS" {
		return &IsNull{Pos: pos, X: x, Not: op == "NOTNULL"}, primary
	}
	not := p.accept("NOT")
	switch {
	case p.accept("NULL"):
		return &IsNull{Pos: pos, X: x, Not: not}, primary
	case p.is("TRUE"), p.is("FALSE"), p.is("UNKNOWN"):
		return &IsTruth{Pos: pos, X: x, Truth: Truth(p.next().Value), Not: not}, primary
	case p.accept("DISTINCT"):
		p.expect("FROM")
		return &IsDistinct{Pos: pos, X: x, Y: p.expr(is+1, false), Not: not}, is
	}
	if t := p.peek(); t.Type == lexer.EOF || t.Type == word && keywords[t.Value].use == reserved {
		p.unexpected("")
	}
	return &IsDistinct{Pos: pos, X: x, Y: p.expr(is+1, false), Not: !not}, is // SQLite's x IS y
}

// membershipTail parses what follows x [NOT] IN, BETWEEN, LIKE. op is the first of these words.
func (p *parser) membershipTail(x Expr, op string, pos Pos) (e Expr, open level) {
	negated := op == "NOT"
	if negated {
		op = p.peek().Value
		if op != "IN" && op != "BETWEEN" && op != "LIKE" && op != "ILIKE" && op != "SIMILAR" && op != "glob" {
			p.unexpected("IN, BETWEEN, LIKE, ILIKE, GLOB or SIMILAR TO")
		}
		p.next()
	}
	switch op {
	case "IN":
		in := &In{Pos: pos, X: x, Not: negated}
		p.parenthesised(func() {
			if p.beginsQuery() {
				in.Query = p.inQuery()
			} else {
				in.List = p.list()
			}
		})
		return in, primary
	case "BETWEEN":
		symmetric := p.accept("SYMMETRIC")
		b := &Between{Pos: pos, X: x, Low: p.expr(comparison, true), Not: negated, Symmetric: symmetric}
		p.expect("AND")
		b.High = p.expr(membership+1, false)
		return b, membership
	}
	if op == "SIMILAR" {
		p.expect("TO")
	}
	like := &Like{
		Similar: op == "SIMILAR", Pos: pos, X: x, ILike: op == "ILIKE", Glob: op == "glob", Not: negated,
	}
	if quantified := p.likeAny(*like); quantified != nil {
		return quantified, primary
	}
	like.Pattern = p.expr(membership+1, false)
	if !like.Glob && p.accept("ESCAPE") {
		like.Escape = p.expr(membership+1, false)
	}
	return like, membership
}

// parenthesised parses ( f ).
func (p *parser) parenthesised(f func()) {
	p.expect("(")
	p.nested(f)
	p.expect(")")
}

// list parses expressions separated by commas.
func (p *parser) list() (list []Expr) {
	for {
		list = append(list, p.expr(lowest, false))
		if !p.accept(",") {
			return list
		}
	}
}

// prefix parses an operand and the operators before it.
func (p *parser) prefix(restricted bool) (x Expr) {
	t := p.peek()
	switch t.Value {
	case "NOT":
		if restricted {
			p.unexpected("an expression without NOT, or one in parentheses")
		}
		p.next()
		p.nested(func() { x = &Unary{Pos: Pos(t.Pos.Offset), Op: "NOT", X: p.expr(not, false)} })
		return x
	case "@", "|/", "||/":
		p.next()
		name := map[string]string{"@": "abs", "|/": "sqrt", "||/": "cbrt"}[t.Value]
		p.nested(func() {
			x = &Call{Pos: Pos(t.Pos.Offset), Name: name, Args: []Expr{p.expr(additive, restricted)}}
		})
		return x
	case "~":
		p.next()
		p.nested(func() { x = &Unary{Pos: Pos(t.Pos.Offset), Op: "~", X: p.expr(additive, restricted)} })
		return x
	case "-", "+":
		p.next()
		p.nested(func() { x = &Unary{Pos: Pos(t.Pos.Offset), Op: t.Value, X: p.expr(sign, restricted)} })
		return x
	case "(":
		p.parenthesised(func() {
			if p.beginsQuery() {
				x = &Subquery{Pos: Pos(t.Pos.Offset), Query: p.inQuery()}
			} else {
				x = p.rowOf(Pos(t.Pos.Offset))
			}
		})
		return p.overlaps(x)
	}
	return p.operand(t)
}

// operand parses a name, a literal, a call or CASE.
func (p *parser) operand(t *lexer.Token) Expr {
	pos := Pos(t.Pos.Offset)
	switch t.Type {
	case integer:
		p.next()
		return &Literal{Pos: pos, Kind: Integer, Text: strings.ReplaceAll(t.Value, "_", "")}
	case decimal:
		p.next()
		return &Literal{Pos: pos, Kind: Decimal, Text: strings.ReplaceAll(t.Value, "_", "")}
	case str, estr:
		return &Literal{Pos: pos, Kind: String, Text: p.stringValue()}
	case quoted:
		return p.named()
	case word:
		if e := p.typedCast(t.Value); e != nil {
			return e
		}
		switch t.Value {
		case "NULL":
			p.next()
			return &Literal{Pos: pos, Kind: Null}
		case "TRUE", "FALSE":
			p.next()
			return &Literal{Pos: pos, Kind: Bool, Text: lower(t.Value)}
		case "CASE":
			return p.caseOf()
		case "CAST":
			p.next()
			return p.cast(pos, false)
		case "INTERVAL", "TIMESTAMP", "TIMESTAMPTZ", "DATE":
			if e := p.typed(t.Value); e != nil {
				return e
			}
		case "ROW":
			if p.is("ROW", "(") {
				p.next()
				r := &row{Ident: Ident{Pos: pos}}
				p.parenthesised(func() { r.values = p.list() })
				return p.overlaps(r)
			}
		case "EXISTS":
			if p.is("EXISTS", "(") {
				p.next()
				e := &Subquery{Pos: pos, Exists: true}
				p.parenthesised(func() {
					if !p.beginsQuery() {
						p.unexpected("SELECT")
					}
					e.Query = p.inQuery()
				})
				return e
			}
		case "ARRAY":
			s := p.second()
			if s.Value == "[" {
				fail(pos, "arrays are not supported")
			}
			if s.Value == "(" {
				fail(pos, "ARRAY(SELECT ...) is not supported: array_agg(x ORDER BY ...) makes a list")
			}
		}
		if s := p.second(); (s.Type == str || s.Type == estr) && slices.Contains(typeWords, lower(t.Value)) {
			// bigint '1' is CAST('1' AS bigint)
			typ := p.typeName()
			return &Cast{Pos: pos, X: &Literal{Pos: p.pos(), Kind: String, Text: p.stringValue()}, Type: typ}
		}
		if keywords[t.Value].use != reserved {
			return p.named()
		}
	}
	p.unexpected("an expression")
	return nil
}

// named parses what begins with a name: a column or a call.
func (p *parser) named() Expr {
	pos := p.pos()
	name, _ := p.name()
	if p.is("(") {
		if name == "rollup" || name == "cube" {
			fail(pos, strings.ToUpper(name)+" belongs into GROUP BY")
		}
		if name == "try_cast" || name == "safe_cast" {
			return p.cast(pos, true)
		}
		return p.call(name, pos)
	}
	if !p.accept(".") {
		return &Ident{Pos: pos, Name: name}
	}
	column := ""
	for {
		part, ok := p.label()
		if !ok {
			p.unexpected("the name of a column")
		}
		if p.is("(") {
			fail(pos, "functions have no schema: write "+part+"(...)")
		}
		column += part
		if !p.accept(".") {
			return &Ident{Pos: pos, Table: name, Name: column}
		}
		column += "."
	}
}

// typed parses INTERVAL '...' and similar literals. It returns nil if the word is an ordinary name.
func (p *parser) typed(kind string) Expr {
	e := &Literal{Pos: p.pos(), Kind: map[string]Kind{
		"INTERVAL": Interval, "TIMESTAMP": Timestamp,
		"TIMESTAMPTZ": TimestampTZ, "DATE": Date,
	}[kind]}
	s := p.second()
	switch {
	case s.Type == str || s.Type == estr:
		p.next()
	case kind == "INTERVAL" && s.Type == integer:
		// INTERVAL 1 DAY, as in DuckDB and MySQL.
		ahead := *p.lex
		ahead.Next()
		ahead.Next()
		unit, ok := units[ahead.Peek().Value]
		if !ok {
			return nil
		}
		p.next()
		e.Text, e.Unit = p.next().Value, unit
		p.next()
		return e
	case kind == "TIMESTAMP" && (s.Value == "WITH" || s.Value == "WITHOUT"):
		// TIMESTAMP WITH TIME ZONE '...' needs all of its words, so that a column of this name may
		// come before a WITH.
		ahead := *p.lex
		for range 2 {
			ahead.Next()
		}
		if ahead.Peek().Value != "TIME" {
			return nil
		}
		p.next()
		if p.next().Value == "WITH" {
			e.Kind = TimestampTZ
		}
		p.expect("TIME", "ZONE")
		s = p.peek()
		if s.Type != str && s.Type != estr {
			p.unexpected("a text such as '2026-03-02 09:30:00'")
		}
	default:
		return nil
	}
	e.Text = p.stringValue()
	if e.Kind == Interval {
		if unit, ok := units[p.peek().Value]; ok {
			p.next()
			e.Unit = unit
			if p.accept("TO") {
				to, ok := units[p.peek().Value]
				if !ok {
					p.unexpected("a unit such as SECOND")
				}
				p.next()
				e.Unit += " to " + to
			}
		}
	}
	return e
}

// typedCast parses TIME '...', which is CAST('...' AS time), and other types that have no literals
// of their own. It returns nil if the word is an ordinary name.
func (p *parser) typedCast(name string) Expr {
	kind := lower(name)
	if kind != "time" && kind != "uuid" && kind != "bytea" && kind != "blob" && kind != "json" {
		return nil
	}
	s := p.second()
	if s.Type != str && s.Type != estr {
		return nil
	}
	pos := p.pos()
	p.next()
	text := &Literal{Pos: p.pos(), Kind: String}
	text.Text = p.stringValue()
	return &Cast{Pos: pos, X: text, Type: TypeName{Pos: pos, Name: kind}}
}

// units are the words that may follow INTERVAL '...', with what the tree has for them.
var units = func() map[string]string {
	m := map[string]string{}
	for _, u := range []string{"millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"} {
		m[strings.ToUpper(u)], m[strings.ToUpper(u)+"S"] = u, u
	}
	return m
}()

// caseOf parses CASE ... END.
func (p *parser) caseOf() Expr {
	e := &Case{Pos: p.pos()}
	p.next()
	p.nested(func() {
		if !p.is("WHEN") {
			e.Operand = p.expr(lowest, false)
		}
		for {
			w := When{Pos: p.pos()}
			p.expect("WHEN")
			w.When = p.expr(lowest, false)
			p.expect("THEN")
			w.Then = p.expr(lowest, false)
			e.Whens = append(e.Whens, w)
			if !p.is("WHEN") {
				break
			}
		}
		if p.accept("ELSE") {
			e.Else = p.expr(lowest, false)
		}
	})
	p.expect("END")
	return e
}

// cast parses the parentheses of CAST(x AS type).
func (p *parser) cast(pos Pos, try bool) Expr {
	e := &Cast{Pos: pos, Try: try}
	p.parenthesised(func() {
		e.X = p.expr(lowest, false)
		p.expect("AS")
		e.Type = p.typeName()
	})
	return e
}

// typeName parses the name of a type.
func (p *parser) typeName() TypeName {
	t := TypeName{Pos: p.pos()}
	var ok bool
	if p.peek().Value == `"char"` {
		fail(t.Pos, "there is no type \"char\" in quotes, one byte in PostgreSQL: write char, or text")
	}
	t.Name, ok = p.name()
	if !ok {
		p.unexpected("a type")
	}
	switch {
	case t.Name == "double" && p.accept("PRECISION"):
		t.Name = "double precision"
	case (t.Name == "character" || t.Name == "char") && p.accept("VARYING"):
		t.Name = "varchar"
	}
	if p.accept("(") {
		for {
			n := p.peek()
			v, err := strconv.ParseInt(n.Value, 10, 64)
			if n.Type != integer || err != nil {
				p.unexpected("a number")
			}
			p.next()
			t.Args = append(t.Args, v)
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
	}
	if t.Name == "timestamp" || t.Name == "time" {
		zone := p.is("WITH", "TIME") || p.is("WITH", "LOCAL")
		if zone || p.is("WITHOUT", "TIME") {
			p.next()
			p.accept("LOCAL")
			p.expect("TIME", "ZONE")
			if zone {
				t.Name += "tz"
			}
		}
	}
	if p.is("<") && (t.Name == "array" || t.Name == "row" || t.Name == "struct" || t.Name == "map") || p.is("[") {
		fail(t.Pos, "columns of "+t.Name+"s of values are not supported")
	}
	return t
}

// name parses a name: a quoted one, or a word that is not reserved.
func (p *parser) name() (string, bool) {
	if t := p.peek(); t.Type == quoted || t.Type == word && keywords[t.Value].use != reserved {
		return nameOf(p.next()), true
	}
	return "", false
}

// label parses a name of any kind, as after AS.
func (p *parser) label() (string, bool) {
	if t := p.peek(); t.Type == quoted || t.Type == word {
		return nameOf(p.next()), true
	}
	return "", false
}

// alias parses [AS] alias. It returns "" if there is none.
func (p *parser) alias() string {
	if p.accept("AS") {
		if t := p.peek(); t.Type == str && len(t.Value) > 2 { // as MySQL and SQLite allow
			return p.stringValue()
		}
		name, ok := p.label()
		if !ok {
			p.unexpected("a name")
		}
		return name
	}
	t := p.peek()
	if t.Type == quoted || t.Type == word && keywords[t.Value].use == free && !p.clause(t) {
		return nameOf(p.next())
	}
	return ""
}

// clause says whether a word that may be a name begins a clause. That depends on the next word.
func (p *parser) clause(t *lexer.Token) bool {
	switch t.Value {
	case "EMIT":
		s := p.second().Value
		return s == "CHANGES" || s == "FINAL" || s == "ON"
	case "WINDOW":
		return p.second().Type == word && p.second().Value != "FROM"
	}
	return false
}

// nameOf is the name that a word or a quoted name stands for.
func nameOf(t *lexer.Token) string {
	if t.Type == quoted {
		return strings.ReplaceAll(t.Value[1:len(t.Value)-1], `""`, `"`)
	}
	return lower(t.Value)
}
