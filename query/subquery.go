package query

import (
	"fmt"

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

// selectsOf are all SELECTs of a query, those in FROM included.
func selectsOf(q *syntax.Select) (all []*syntax.Select) {
	for _, leaf := range q.Leaves() {
		all = append(all, leaf)
		if leaf.From.Query != nil {
			all = append(all, selectsOf(leaf.From.Query)...)
		}
	}
	return all
}

// Stream is the name that a SELECT has in FROM, or that several have that are over the same: the
// name of a schema, or of a file. The error is a fault of the text.
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
		if q.From.Name != first {
			return "", syntax.ErrorAt(text, q.From.Start(),
				"this SELECT is from %q and the first from %q: all SELECTs "+
					"of one text are over the same input", q.From.Name, first)
		}
	}
	return first, nil
}
