package syntax

import (
	"strconv"
	"sync"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// MaxSelects bounds the SELECTs that one query combines with UNION, INTERSECT and EXCEPT.
const MaxSelects = 32

// oneSelect is the parser of one SELECT, and ends the parser of what follows the last of several.
var (
	oneSelect = sync.OnceValue(func() *participle.Parser[selectNode] {
		return participle.MustBuild[selectNode](participle.Lexer(definition{}), participle.UseLookahead(0))
	})
	ends = sync.OnceValue(func() *participle.Parser[endNode] {
		return participle.MustBuild[endNode](participle.Lexer(definition{}), participle.UseLookahead(0))
	})
)

// endNode is what may follow the last of several SELECTs.
type endNode struct {
	OrderBy *ordersNode `parser:"( 'ORDER' 'BY' @@ )?"`
	Tail    []tailNode  `parser:"@@*"`
}

// Parse parses a query: a SELECT, or several with set operations between them.
func (n *queryNode) Parse(lex *lexer.PeekingLexer) error {
	if v := lex.Peek().Value; v != "SELECT" && v != "(" && v != "WITH" && v != "values" {
		return participle.NextMatch
	}
	return run(lex, func(p *parser) { n.Select = p.query() })
}

// setLevels says how tightly the set operations bind.
var setLevels = map[string]int{"UNION": 1, "EXCEPT": 1, "INTERSECT": 2}

// query parses a query, with the ORDER BY and the LIMIT of the whole.
func (p *parser) query() *Select {
	if p.is("WITH") {
		return p.with()
	}
	q, last := p.sets(1)
	switch {
	case q.Set != nil && last != nil: // what follows the last SELECT is of the whole
		q.OrderBy, q.Limit, q.Offset, q.Emit = last.OrderBy, last.Limit, last.Offset, last.Emit
		last.OrderBy, last.Limit, last.Offset, last.Emit = nil, nil, nil, EmitDefault
	case last == nil && (p.is("ORDER") || p.is("LIMIT") || p.is("OFFSET") || p.is("FETCH") || p.is("EMIT")):
		if q.ends() {
			fail(p.pos(), "the query in parentheses has an ORDER BY, LIMIT, OFFSET or EMIT already: write "+
				"SELECT * FROM (...) before this one")
		}
		p.end(q)
	}
	return q
}

// sets parses SELECTs with set operations between them that bind at least as tightly as least. last
// is the SELECT at the end, or nil if it is in parentheses.
func (p *parser) sets(least int) (q, last *Select) {
	q, last = p.term()
	for {
		op, pos := p.peek().Value, p.pos()
		level := setLevels[op]
		if level == 0 || level < least {
			return q, last
		}
		if last != nil && last.ends() {
			fail(pos, "the SELECT before "+op+" has an ORDER BY, LIMIT, OFFSET or EMIT: put it in parentheses, or "+
				"write that of the whole after the last SELECT")
		}
		p.next()
		set := &SetOperation{Pos: pos, Op: op, All: p.accept("ALL"), Left: q}
		if !set.All {
			p.accept("DISTINCT")
		}
		set.Right, last = p.sets(level + 1)
		q = &Select{Pos: q.Pos, Set: set}
	}
}

// term parses one SELECT, or a query in parentheses, for which last is nil.
func (p *parser) term() (q, last *Select) {
	p.selects++
	if p.selects > MaxSelects {
		fail(p.pos(), "more than "+strconv.Itoa(MaxSelects)+" SELECTs in one query")
	}
	if p.accept("(") {
		p.nested(func() { q = p.query() })
		p.expect(")")
		return q, nil
	}
	if p.isValues() {
		q = p.values()
		return q, q
	}
	if !p.is("SELECT") {
		p.unexpected("SELECT")
	}
	node, err := oneSelect().ParseFromLexer(p.lex, participle.AllowTrailing(true))
	fault := failureOf(err)
	if fault == nil {
		q, fault = node.tree()
	}
	if fault != nil {
		panic(fault)
	}
	return q, q
}

// end parses what follows the last of several SELECTs.
func (p *parser) end(q *Select) {
	node, err := ends().ParseFromLexer(p.lex, participle.AllowTrailing(true))
	fault := failureOf(err)
	if fault == nil {
		fault = q.end(node.OrderBy, node.Tail)
	}
	if fault != nil {
		panic(fault)
	}
}

// ends says whether the query has an ORDER BY or what follows it.
func (s *Select) ends() bool {
	return len(s.OrderBy) > 0 || s.Limit != nil || s.Offset != nil || s.Emit != EmitDefault
}

// Leaves are the SELECTs that a query combines, in the order of the text, or the query itself.
func (s *Select) Leaves() []*Select {
	if s.Set == nil {
		return []*Select{s}
	}
	return append(s.Set.Left.Leaves(), s.Set.Right.Leaves()...)
}

func (s *SetOperation) print(p *printer) {
	side := func(q *Select, least int) {
		loose := q.ends() || q.Set != nil && setLevels[q.Set.Op] < least
		p.when(loose, "(")
		q.print(p)
		p.when(loose, ")")
	}
	side(s.Left, setLevels[s.Op])
	p.words(" ", s.Op)
	p.when(s.All, " ALL")
	p.WriteByte(' ')
	side(s.Right, setLevels[s.Op]+1)
}
