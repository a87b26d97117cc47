package query

import (
	"fmt"
	"math"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// nameOfValues is the name of the rows of VALUES that have no alias.
const nameOfValues = "values"

// findSource finds the source of the query, if there is one of its name. It returns false if there
// are faults.
func (c *compiler) findSource(g Catalog) bool {
	if c.query.From.Name == "" {
		return c.given(c.query)
	}
	for _, s := range g.Sources {
		if s.Name() == c.query.From.Name {
			c.source = s
		}
	}
	return true
}

// given makes the source of a query whose records are in its text: one without FROM, or with
// VALUES. It returns false if there are faults.
func (c *compiler) given(q *syntax.Select) bool {
	if q.From.Rows == nil {
		q.From.Name = NoSource
		c.source, c.plans.Given = noSource, []*record.Batch{noSourceBatch()}
		return true
	}
	q.From.Name = nameOfValues
	if q.From.Alias != "" {
		q.From.Name = q.From.Alias
	}
	c.source = noSource // the values have no columns
	columns := make([][]*expr.Expr, len(q.From.Rows[0]))
	var fields []record.Field
	for i := range columns {
		var all []syntax.Expr
		for _, row := range q.From.Rows {
			all = append(all, row[i])
		}
		values, ok := c.same(all[0].Start(), c.sourceLeaf("VALUES"), all...)
		if !ok {
			return false
		}
		f := record.Field{Name: valuesColumn(i), Type: values[0].Type(), Nullable: true}
		if i < len(q.From.Columns) {
			f.Name = q.From.Columns[i]
		}
		if isDecimal(f.Type) { // constants have as many digits as they were written with
			f.Type = decimalOf(f.Type.IsWide(), scaleOf(values[0]))
		}
		for n, v := range values {
			v = c.to(v, f.Type)
			if _, ok := v.Const(); !ok {
				c.fault(all[n].Start(), "%s in VALUES, expected a constant", all[n])
				return false
			}
			columns[i] = append(columns[i], v)
		}
		fields = append(fields, f)
	}
	source, err := record.NewSchema(q.From.Name, fields...)
	if err != nil {
		c.fault(q.From.Pos, "the columns of VALUES: %s", reason(err))
		return false
	}
	c.source, c.plans.Given = source, batchesOf(source, columns)
	return true
}

// valuesColumn is the name of column i of VALUES.
func valuesColumn(i int) string { return fmt.Sprintf("column%d", i+1) }

// batchesOf makes batches of constants, by columns.
func batchesOf(schema *record.Schema, columns [][]*expr.Expr) (all []*record.Batch) {
	var b *record.Batch
	for row := range columns[0] {
		text := 0
		for _, column := range columns {
			v, _ := column[row].Const()
			text += len(v.Text)
		}
		if b == nil || !b.Add(text) {
			b = record.NewBatch(schema, 0)
			all = append(all, b)
			b.Add(text)
		}
		for i, column := range columns {
			v, _ := column[row].Const()
			switch t := schema.Field(i).Type; {
			case v.Null:
				b.SetNull(i)
			case t.Kind() == record.String:
				b.SetString(i, v.Text)
			case t == record.Float64:
				b.SetFloat64(i, math.Float64frombits(v.Bits))
			default:
				b.SetInt64(i, int64(v.Bits))
			}
		}
	}
	return all
}
