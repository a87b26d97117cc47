package query

import (
	"fmt"
	"slices"

	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// nameOfSubquery is the name of a query in FROM that has no alias.
const nameOfSubquery = "subquery"

// subquery compiles the query in FROM, and returns the schema of its result.
func (c *compiler) subquery(q *syntax.Select, g Catalog) (*record.Schema, error) {
	if q.Emit == syntax.EmitChanges {
		return nil, syntax.ErrorAt(c.text, q.Pos,
			"EMIT CHANGES in a query that another reads: a row that changes would be "+
				"counted again; leave it out")
	}
	inner, err := analyse(c.text, q, g)
	if err != nil {
		return nil, err
	}
	result, err := inner.plan().Written()
	if err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	c.from = inner
	var fields []record.Field
	for i := range result.Len() {
		fields = append(fields, result.Field(i))
	}
	if c.query.From.Alias == "" {
		c.query.From.Alias = nameOfSubquery
	}
	c.query.From.Name = c.query.From.Alias
	source, err := record.NewSchema(c.query.From.Name, fields...)
	if err != nil {
		return nil, syntax.ErrorAt(c.text, q.Pos, "the columns of the query: %v", err)
	}
	return source, nil
}

// innermost are the SELECTs that read a source, in FROM of the others, in the order of the text.
// There are several if the query has set operations.
func innermost(q *syntax.Select) (all []*syntax.Select) {
	for _, leaf := range q.Leaves() {
		if leaf.From.Query != nil {
			all = append(all, innermost(leaf.From.Query)...)
		} else {
			all = append(all, leaf)
		}
	}
	return all
}

// selectsOf are all SELECTs of a query, those in FROM and in expressions included.
func selectsOf(q *syntax.Select) (all []*syntax.Select) {
	for _, leaf := range q.Leaves() {
		all = append(all, leaf)
		if leaf.From.Query != nil {
			all = append(all, selectsOf(leaf.From.Query)...)
		}
	}
	for _, sub := range q.Subqueries() {
		all = append(all, selectsOf(sub)...)
	}
	return all
}

// hasSubqueries says whether a query, or one that it reads, has queries in its expressions.
func hasSubqueries(q *syntax.Select) bool {
	return slices.ContainsFunc(selectsOf(q), func(s *syntax.Select) bool { return len(s.Subqueries()) > 0 })
}

// SubqueryStreams are the names that the queries in the expressions of a text read, each once.
// Queries without FROM read none.
func SubqueryStreams(text string) (names []string, err error) {
	all, err := selects(text)
	if err != nil {
		return nil, err
	}
	for _, q := range all {
		for _, s := range selectsOf(q) {
			for _, sub := range s.Subqueries() {
				for _, leaf := range innermost(sub) {
					if leaf.From.Name != "" && !slices.Contains(names, leaf.From.Name) {
						names = append(names, leaf.From.Name)
					}
				}
			}
		}
	}
	return names, nil
}

// Stream is the name that a SELECT has in FROM, or that several have that are over the same: the
// name of a schema, or of a file; NoSource if it has no FROM. The error is a fault of the text.
func Stream(text string) (string, error) {
	all, err := selects(text)
	if err != nil {
		return "", err
	}
	var leaves []*syntax.Select
	for _, q := range all {
		leaves = append(leaves, innermost(q)...)
	}
	first := leaves[0].From.Name
	for _, q := range leaves[1:] {
		if (q.From.Name == "") != (first == "") {
			return "", syntax.ErrorAt(text, q.From.Start(), "one SELECT has a FROM and another has none: all SELECTs "+
				"of one text are over the same input")
		}
		if q.From.Name != first {
			return "", syntax.ErrorAt(text, q.From.Start(),
				"this SELECT is from %q and the first from %q: all SELECTs "+
					"of one text are over the same input", q.From.Name, first)
		}
	}
	if first == "" {
		return NoSource, nil
	}
	return first, nil
}

// NoSource stands for the input of queries that have their records in their text: VALUES, and
// queries without FROM, which read one record. The records are in plan.Plan.Given.
const NoSource = "one row without columns"

// noSource is the schema of NoSource. A record has at least one column. No text can have the name
// of this one.
var noSource = func() *record.Schema {
	s, err := record.NewSchema(NoSource, record.Field{Name: "\x00", Type: record.Bool, Nullable: true})
	if err != nil {
		panic(err)
	}
	return s
}()

// noSourceBatch makes a batch with the one record that a query without FROM reads.
func noSourceBatch() *record.Batch {
	b := record.NewBatch(noSource, 1)
	b.Add(0)
	b.SetNull(0)
	return b
}
