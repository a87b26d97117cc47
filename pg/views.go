package pg

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/view"
)

// Views are a Source: the views of a catalog.
func Views(c *view.Catalog) Source { return &viewSource{c} }

type viewSource struct{ catalog *view.Catalog }

func (s *viewSource) Views() (all []View) {
	for _, i := range s.catalog.List() {
		all = append(all, View{Name: i.Name, Schema: i.Schema, Key: i.Keys, Comment: i.Comment})
	}
	return all
}

func (s *viewSource) Begin() (Reading, error) { return viewReading{s.catalog.Begin()}, nil }

func (s *viewSource) Describe(sql string) (Description, error) {
	d, err := s.catalog.Describe(sql)
	if err != nil {
		return Description{}, err
	}
	return Description{d.Result, d.Parameters}, nil
}

// Explain is the plan of a SELECT over the rows of a view.
func (s *viewSource) Explain(sql string) (string, error) {
	r := s.catalog.Begin()
	defer r.Close()
	return r.Explain(context.Background(), sql)
}

type viewReading struct{ *view.Reading }

func (r viewReading) Select(ctx context.Context, sql string, args ...any) (Rows, error) {
	rows, err := r.Reading.Select(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func (r viewReading) Close() { _ = r.Reading.Close() }

// sourceError gives the errors of views and of queries their SQLSTATEs.
func sourceError(err error) *Error {
	for _, c := range []struct {
		is   error
		code string
		hint string
	}{
		{view.ErrNoView, codeUndefinedTable, "SHOW VIEWS lists the views."},
		{view.ErrLease, codeSnapshotOld, "ROLLBACK, and begin again."},
		{view.ErrClosed, codeSnapshotOld, "ROLLBACK, and begin again."},
		{view.ErrTooLarge, codeOutOfMemory, "WHERE or LIMIT makes the result smaller."},
		{view.ErrMemory, codeOutOfMemory, "WHERE makes the query smaller."},
		{view.ErrRow, "22000", ""},
	} {
		if errors.Is(err, c.is) {
			e := errorf(c.code, "%v", err)
			e.Hint = c.hint
			return e
		}
	}
	faults := query.Faults(err)
	if len(faults) == 0 || faults[0].Line == 0 && !strings.HasPrefix(err.Error(), "query:") {
		return errorf(codeInternal, "%v", err)
	}
	return queryError(faults)
}

// queryError is the first of the faults of a text; the others are its detail.
func queryError(faults []query.Fault) *Error {
	first := faults[0]
	e := errorf(codeSyntax, "%s", strings.TrimPrefix(first.Message, "query: "))
	switch {
	case strings.Contains(first.Message, "no column"):
		e.Code = codeUndefinedCol
	case strings.Contains(first.Message, "no function"), strings.Contains(first.Message, "no such function"):
		e.Code = "42883"
	case strings.Contains(first.Message, "not supported"):
		e.Code = codeUnsupported
	}
	if first.Line > 0 {
		e.Position = first.Offset
	}
	var more []string
	for _, f := range faults[1:] {
		more = append(more, fmt.Sprintf("line %d, column %d: %s", f.Line, f.Column, f.Message))
	}
	e.Detail = strings.Join(more, "\n")
	return e
}
