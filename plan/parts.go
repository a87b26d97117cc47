package plan

import (
	"errors"
	"fmt"
	"slices"

	"github.com/velo-engine/velo/record"
)

// DividedBy reports whether processes that each read a part of the records may run the plan by
// themselves: whether their results together are the result over all records. Records with the
// same values in all of columns, which are columns of the innermost Source, are in one part. The
// error says why the results would not be the result: a group would be in several parts, or a part
// of the plan is about all rows. A plan that passes records through may always be divided, if it
// has neither LIMIT nor DISTINCT nor functions over rows.
func (p *Plan) DividedBy(columns ...string) error {
	if len(columns) == 0 {
		return errors.New("plan: no columns that records are divided by")
	}
	_, err := p.divided(columns)
	return err
}

// divided is DividedBy. It returns where the result has each of the columns as it is: the places
// among the columns of the result.
func (p *Plan) divided(columns []string) (places [][]int, err error) {
	names, err := p.dividing(columns)
	if err != nil {
		return nil, err
	}
	for _, c := range p.Computed {
		if i, ok := c.Expr.IsColumn(); ok && i < p.Source.Len() {
			for k := range names {
				if slices.Contains(names[k], p.Source.Field(i).Name) {
					names[k] = append(names[k], c.Name)
				}
			}
		}
	}
	rows := p.Source
	if !p.PassesThrough() {
		rows, err = p.Inner()
		if err != nil {
			return nil, err
		}
		for _, set := range append(p.Sets[:len(p.Sets):len(p.Sets)], p.Keys) {
			for k := range names {
				if !slices.ContainsFunc(names[k], func(name string) bool { return slices.Contains(set, name) }) {
					return nil, fmt.Errorf("a group would be in several parts: GROUP BY lacks column %q, by which "+
						"records are divided", columns[k])
				}
			}
		}
		for k := range names {
			names[k] = slices.DeleteFunc(names[k], func(name string) bool { return !slices.Contains(p.Keys, name) })
		}
	}
	for i := range p.Over {
		o := &p.Over[i]
		for k := range names {
			if !slices.ContainsFunc(o.PartitionBy, func(e *Expr) bool { return isOneOf(e, rows, names[k]) }) {
				return nil, fmt.Errorf("%s would see the rows of one part: PARTITION BY lacks column %q, by which "+
					"records are divided", o.text(), columns[k])
			}
		}
	}
	if p.Limit != nil || p.Offset > 0 {
		return nil, errors.New("LIMIT and OFFSET would be of each part")
	}
	places = p.selected(rows, names)
	for k := range places {
		if p.Distinct && len(places[k]) == 0 {
			return nil, fmt.Errorf("DISTINCT would be of each part: SELECT lacks column %q, by which records are "+
				"divided", columns[k])
		}
	}
	return places, nil
}

// dividing are the columns of Source that have the values of each of the columns.
func (p *Plan) dividing(columns []string) (names [][]string, err error) {
	names = make([][]string, len(columns))
	if p.From == nil {
		for k, column := range columns {
			_, ok := p.Source.Index(column)
			if !ok {
				return nil, fmt.Errorf("plan: there is no column %q, by which records are divided", column)
			}
			names[k] = []string{column}
		}
		return names, nil
	}
	for i, from := range append([]*Plan{p.From}, p.FromMore...) {
		places, err := from.divided(columns)
		if err != nil {
			return nil, err
		}
		for k := range places {
			var found []string
			for _, place := range places[k] {
				found = append(found, p.Source.Field(place).Name)
			}
			if i > 0 { // every arm must have it there
				found = slices.DeleteFunc(found, func(name string) bool { return !slices.Contains(names[k], name) })
			}
			names[k] = found
		}
	}
	return names, nil
}

// isOneOf says whether an expression over rows is just one of the columns.
func isOneOf(e *Expr, rows *record.Schema, names []string) bool {
	i, ok := e.IsColumn()
	return ok && i < rows.Len() && slices.Contains(names, rows.Field(i).Name)
}

// selected are the places of columns of rows in the result.
func (p *Plan) selected(rows *record.Schema, names [][]string) (places [][]int) {
	places = make([][]int, len(names))
	for k := range names {
		if p.Select == nil {
			for i := range rows.Len() {
				if slices.Contains(names[k], rows.Field(i).Name) {
					places[k] = append(places[k], i)
				}
			}
			continue
		}
		for i, o := range p.Select {
			if isOneOf(o.Expr, rows, names[k]) {
				places[k] = append(places[k], i)
			}
		}
	}
	return places
}
