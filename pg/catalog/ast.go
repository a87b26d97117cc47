package catalog

// A Name is the name of a relation.
type Name struct{ Schema, Name string }

func (n Name) String() string {
	if n.Schema == "" {
		return n.Name
	}
	return n.Schema + "." + n.Name
}

// A Statement is a SELECT that has been parsed.
type Statement struct {
	query *query
	names []Name
}

// Relations are the names in FROM of the statement and of its subqueries, without the names of
// WITH.
func (s *Statement) Relations() []Name { return s.names }

type query struct {
	with    []cte
	body    node // *core, *setOp, *values
	orderBy []sortKey
	limit   node
	offset  node
}

type cte struct {
	name    string
	columns []string
	query   *query
}

type core struct {
	distinct   bool
	distinctOn []node
	items      []item
	from       []node // *tableRef, *subRef, *funcRef, *joinRef
	where      node
	groupBy    []node
	having     node
}

type item struct {
	x     node
	alias string
}

type setOp struct {
	op   string // union, intersect, except
	all  bool
	l, r node
	pos  int
}

type values struct{ rows [][]node }

type sortKey struct {
	x          node
	desc       bool
	nullsFirst bool
}

type tableRef struct {
	name    Name
	alias   string
	columns []string
	pos     int
}

type subRef struct {
	query   *query
	alias   string
	columns []string
}

type funcRef struct {
	call       *call
	ordinality bool
	alias      string
	columns    []string
}

type joinRef struct {
	kind    string // inner, left, right, full
	l, r    node
	on      node
	using   []string
	natural bool
	pos     int
}

// A node is an expression, or a part of a query.
type node any

type constant struct {
	v    any
	typ  uint32
	text string // of a number, as it was written
}

type parameter struct{ n, pos int }

type columnRef struct {
	parts []string
	pos   int
}

type star struct {
	parts []string
	pos   int
}

type call struct {
	name     string
	label    string // how the result is called, if not by name
	args     []node
	star     bool
	distinct bool
	orderBy  []sortKey
	filter   node
	over     *window
	pos      int
}

type window struct {
	partition []node
	orderBy   []sortKey
}

type unary struct {
	op  string
	x   node
	pos int
}

type binary struct {
	op   string
	l, r node
	pos  int
}

type isTest struct {
	x    node
	what string // null, true, false, unknown
	not  bool
}

type distinctTest struct {
	l, r node
	not  bool
}

type inList struct {
	x    node
	list []node
	not  bool
	pos  int
}

type inQuery struct {
	x   node
	q   *query
	not bool
	pos int
}

type quantified struct {
	x   node
	op  string
	all bool
	r   node // an array, or *subquery
	pos int
}

type caseExpr struct {
	of    node
	whens []when
	other node
}

type when struct{ cond, then node }

type cast struct {
	x   node
	to  uint32
	pos int
}

type arrayLit struct{ items []node }

type arrayQuery struct{ q *query }

type subquery struct{ q *query }

type exists struct{ q *query }

type index struct {
	x      node
	lo, hi node
	slice  bool
	pos    int
}

type field struct {
	x    node
	name string
	pos  int
}

type row struct{ items []node }
