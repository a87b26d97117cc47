package expr_test

import (
	"fmt"
	"testing"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/record"
)

// Goal: bounds are what must be true of a record, whichever side the column is on, and a condition
// that may fail has none. Method: conditions made by hand.
func TestBounds(t *testing.T) {
	schema, err := record.NewSchema("t", record.Field{Name: "a", Type: record.Int64, Nullable: true},
		record.Field{Name: "f", Type: record.Float64}, record.Field{Name: "s", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	is := func(op expr.Op, args ...*expr.Expr) *expr.Expr {
		e, err := expr.New(op, args...)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	a, f, s, five := expr.Column(schema, 0), expr.Column(schema, 1), expr.Column(schema, 2), expr.Int(record.Int64, 5)
	for _, c := range []struct {
		where *expr.Expr
		want  string
	}{
		{is(expr.Lt, a, five), "[{0 2 5 }]"},
		{is(expr.Lt, five, a), "[{0 4 5 }]"},
		{is(expr.Ge, five, a), "[{0 3 5 }]"},
		{
			is(expr.And, is(expr.Eq, a, five), is(expr.And, is(expr.Gt, f, expr.Float(0)), is(expr.Le, a, five))),
			"[{0 1 5 } {1 4 0 } {0 3 5 }]",
		},
		{
			is(expr.And, is(expr.Ge, a, five), is(expr.Or, is(expr.IsNull, f), is(expr.Ne, s, expr.Text("x")))),
			"[{0 5 5 }]",
		},
		{is(expr.Or, is(expr.Ge, a, five), is(expr.IsNull, f)), "[]"},
		{is(expr.Not, is(expr.Ge, a, five)), "[]"},
		{is(expr.Eq, s, expr.Text("x")), "[{2 1 0 x}]"},
		{is(expr.Ge, expr.Text(""), s), "[{2 3 0 }]"},
		{is(expr.Lt, s, expr.Null(record.String)), "[]"},
		{is(expr.Lt, a, expr.Null(record.Int64)), "[]"},
		{is(expr.Eq, a, a), "[]"},
		{is(expr.And, is(expr.Ge, a, five), is(expr.Gt, is(expr.Add, a, five), five)), "[]"}, // may fail
	} {
		if got := fmt.Sprint(c.where.Bounds()); got != c.want {
			t.Errorf("%v: %s, expected %s", c.where, got, c.want)
		}
	}
}
