package query

import (
	"fmt"
	"slices"

	"github.com/velo-engine/velo/query/internal/syntax"
)

// star replaces * by the columns of the source, if the query does not group, and names the items.
func (c *compiler) star() {
	names := map[string]bool{}
	grouped := len(c.query.GroupBy) > 0 || c.query.From.Window != nil ||
		slices.ContainsFunc(c.query.Items, func(it syntax.Item) bool { return !it.Star && hasAggregate(it.Expr) })
	var items []syntax.Item
	for _, it := range c.query.Items {
		switch {
		case !it.Star:
			items = append(items, it)
		case c.source == noSource:
			c.fault(it.Pos, "* without FROM: there are no columns")
		case grouped:
			c.fault(it.Pos, "* has no meaning for groups: name the columns and aggregates")
		default:
			items = append(items, c.columnsOfStar(it)...)
		}
	}
	for _, it := range items {
		name := it.Alias
		if name == "" {
			switch e := it.Expr.(type) {
			case *syntax.Ident:
				name = c.bare(e.Name)
			case *syntax.Call:
				name = e.Name
			case *syntax.Binary:
				name = "column"
				if key, ok := e.Y.(*syntax.Literal); ok && (e.Op == "->" || e.Op == "->>") &&
					key.Kind == syntax.String {
					name = key.Text
				}
			case *syntax.Case:
				name = "case"
			case *syntax.Cast:
				if id, ok := e.X.(*syntax.Ident); ok {
					name = id.Name
				} else {
					name = e.Type.Name
				}
			default:
				name = "column"
			}
		} else if names[name] {
			c.fault(it.Pos, "two columns of the result are called %q: give one another name with AS", name)
		}
		for base, n := name, 2; names[name]; n++ {
			name = fmt.Sprintf("%s_%d", base, n)
		}
		names[name] = true
		c.items = append(c.items, item{it.Expr, name})
	}
}

// columnsOfStar are the columns that * or name.* stands for.
func (c *compiler) columnsOfStar(star syntax.Item) (items []syntax.Item) {
	add := func(name string) {
		items = append(items, syntax.Item{Pos: star.Pos, Expr: &syntax.Ident{Pos: star.Pos, Name: name}})
	}
	if len(c.scopes) == 0 || star.Table == "" || star.Table == c.sourceName() {
		for i := range c.source.Len() {
			if name := c.source.Field(i).Name; !c.within(name) {
				add(name)
			}
		}
	}
	for _, s := range c.scopes {
		if star.Table != "" && star.Table != s.alias {
			continue
		}
		for _, name := range namesOf(s.table.Schema()) {
			if star.Table != "" || !s.shared[name] {
				add(s.nameOfField(name))
			}
		}
	}
	if len(items) == 0 {
		c.fault(star.Pos, "there is no %q in FROM", star.Table)
	}
	return c.leaveOut(items, star.Exclude)
}

// leaveOut takes the columns out of a star that are in EXCLUDE.
func (c *compiler) leaveOut(items []syntax.Item, names []*syntax.Ident) []syntax.Item {
	before := len(items)
	for _, n := range names {
		is := func(it syntax.Item) bool {
			id, ok := it.Expr.(*syntax.Ident)
			return ok && c.bare(id.Name) == n.Name
		}
		if !slices.ContainsFunc(items, is) {
			var all []string
			for _, it := range items {
				if id, ok := it.Expr.(*syntax.Ident); ok {
					all = append(all, c.bare(id.Name))
				}
			}
			c.fault(n.Pos, "there is no column %q to leave out%s", n.Name, nearest(n.Name, all))
		}
		items = slices.DeleteFunc(items, is)
	}
	if before > 0 && len(items) == 0 {
		c.fault(names[0].Pos, "EXCLUDE leaves no column")
	}
	return items
}
