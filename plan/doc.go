// Package plan has what a user writes: a Plan, which says how records are grouped, by which keys,
// aggregates and windows, and what is read of the groups. A query in SQL becomes a Plan too, see
// package query.
//
//	p := &plan.Plan{
//		Source: schema, // the schema of the records
//		Keys:   []string{"symbol"},
//		Aggregates: []plan.Aggregate{
//			{Name: "n", Func: plan.Count},
//			{Name: "high", Func: plan.Max, Column: "price"},
//		},
//		Window: &plan.Window{
//			Column:     "at",
//			OutOfOrder: time.Second,
//			Windows:    plan.Windows{Kind: plan.Tumbling, Size: time.Minute},
//		},
//	}
//
// Validate says everything that is wrong with a plan, and Explain what it comes to. Package engine
// runs it. Package result reads what it gives: Plan.Key is the key of a group, result.ColumnOf a
// column.
//
// A Route says which partition a record goes to, and an Exchange how it comes there. The result
// does not depend on either.
package plan
