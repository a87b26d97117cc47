package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/view"
)

// defaultRows is how many rows of a view are shown if ?limit= does not say it, and maxLimit is what
// it may say.
const (
	defaultRows = 1000
	maxLimit    = 1 << 40
)

// column describes a column of a result.
type column struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Nullable bool   `json:"nullable"`
}

func columnsOf(s *record.Schema) []column {
	all := make([]column, s.Len())
	for i := range all {
		f := s.Field(i)
		all[i] = column{f.Name, f.Type.String(), f.Nullable}
	}
	return all
}

// viewInfo describes a view.
type viewInfo struct {
	Name    string   `json:"name"`
	Comment string   `json:"comment,omitempty"`
	Keys    []string `json:"keys"`
	Columns []column `json:"columns"`
	Groups  int      `json:"groups"`
	Epoch   uint64   `json:"epoch"`
}

func (s *Server) listViews(w http.ResponseWriter, _ *http.Request) error {
	all := []viewInfo{}
	for _, v := range s.cfg.Views.List() {
		snap := v.Engine.Snapshot()
		of := snap.Of(v.Plan)
		all = append(all, viewInfo{
			v.Name, v.Comment, append([]string{}, v.Keys...), columnsOf(v.Schema), of.Len(), snap.Epoch(),
		})
		_ = snap.Close()
	}
	return writeJSON(w, http.StatusOK, map[string]any{"views": all})
}

// quotedName is a name as SQL takes any.
func quotedName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// readView answers with rows of a view: all, or those with a key.
func (s *Server) readView(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("view")
	v, err := s.cfg.Views.Find(name)
	if err != nil {
		return err
	}
	f := &flags{r: r}
	sync, limit := f.bool("sync"), f.int("limit", defaultRows, maxLimit)
	keys := r.URL.Query()["key"]
	if len(keys) > 0 && len(keys) != len(v.Keys) {
		f.faults = append(f.faults, fmt.Errorf("%d values of key, view %q has the keys %q: ?key= for each, in this "+
			"order", len(keys), name, v.Keys))
	}
	if err := f.err(); err != nil {
		return err
	}
	sql := "SELECT * FROM " + quotedName(name)
	var values []any
	for i, key := range keys {
		sql += map[bool]string{true: " WHERE ", false: " AND "}[i == 0]
		sql += fmt.Sprintf("%s = $%d", quotedName(v.Keys[i]), i+1)
		values = append(values, key)
	}
	if len(keys) == 0 {
		sql += fmt.Sprintf(" LIMIT %d", limit)
	}
	return s.answer(w, r, func(ctx context.Context) (*view.Rows, error) {
		if sync {
			if err := s.cfg.Views.Sync(ctx, name); err != nil {
				return nil, err
			}
		}
		return s.cfg.Views.Select(ctx, sql, values...)
	})
}

// statement is the body of a query.
type statement struct {
	SQL        string `json:"sql"`
	Parameters []any  `json:"parameters"`
}

// readStatement reads the statement of a request: the text itself, an object of JSON, or ?sql=.
func readStatement(w http.ResponseWriter, r *http.Request) (st statement, err error) {
	if r.Method == http.MethodGet {
		st.SQL = r.URL.Query().Get("sql")
		return st, nil
	}
	body, err := readBody(w, r)
	if err != nil {
		return st, err
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		st.SQL = string(body)
		return st, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(&st); err != nil {
		return st, &Error{
			Status: http.StatusBadRequest, Code: "body", Message: "the body: " + err.Error(),
			Hint: `{"sql": "SELECT ...", "parameters": [...]}, or the statement itself as text/plain`,
		}
	}
	for i, v := range st.Parameters {
		switch v := v.(type) {
		case json.Number:
			if n, err := v.Int64(); err == nil {
				st.Parameters[i] = n
			} else if f, err := v.Float64(); err == nil {
				st.Parameters[i] = f
			} else {
				st.Parameters[i] = v.String()
			}
		case nil, bool, string:
		default:
			return st, &Error{
				Status: http.StatusBadRequest, Code: "body",
				Message: fmt.Sprintf("parameter %d is an array or an object, expected a value", i+1),
			}
		}
	}
	return st, nil
}

// query answers a SELECT, or a command about jobs.
func (s *Server) query(w http.ResponseWriter, r *http.Request) error {
	st, err := readStatement(w, r)
	if err != nil {
		return err
	}
	c, is, err := query.ParseCommand(st.SQL)
	if err != nil {
		return err
	}
	if !is {
		return s.answer(w, r, func(ctx context.Context) (*view.Rows, error) {
			return s.cfg.Views.Select(ctx, st.SQL, st.Parameters...)
		})
	}
	role := RoleAdmin
	if s.cfg.Access != nil {
		role = s.cfg.Access.Role(r)
	}
	if r.Method == http.MethodGet {
		role = RoleRead // a link must not change anything
	}
	columns, rows, err := s.Command(r.Context(), c, role)
	if err != nil {
		return err
	}
	if columns == nil {
		return writeJSON(w, http.StatusOK, map[string]string{"done": c.Verb})
	}
	b, err := textBatch(c.Object, columns, rows)
	if err != nil {
		return err
	}
	e, err := newEncoder(w, r, b.Schema())
	if err != nil {
		return err
	}
	return errors.Join(e.begin(nil), e.batch(b), e.end())
}

// textBatch is a batch of texts.
func textBatch(name string, columns []string, rows [][]string) (*record.Batch, error) {
	fields := make([]record.Field, len(columns))
	for i, c := range columns {
		fields[i] = record.Field{Name: c, Type: record.String, Nullable: true}
	}
	schema, err := record.NewSchema(name, fields...)
	if err != nil {
		return nil, err
	}
	b := record.NewBatch(schema, max(len(rows), 1))
	size := 0
	for _, row := range rows {
		for _, cell := range row {
			size += len(cell)
		}
	}
	for _, row := range rows {
		b.Add(size) // the first makes room for all
		for i, cell := range row {
			b.SetString(i, cell)
		}
	}
	return b, nil
}

// answer runs a statement and writes its rows.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, run func(context.Context) (*view.Rows, error)) error {
	if err := acceptable(r); err != nil {
		return err
	}
	giveBack, err := take(s.queries, "queries")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.Limits.QueryTime)
	rows, err := run(ctx)
	cancel()
	giveBack() // a client that takes the rows slowly keeps no other from asking
	if err != nil {
		return err
	}
	defer rows.Close()
	e, err := newEncoder(w, r, rows.Schema())
	if err != nil {
		return err
	}
	if err := e.begin(&rows.Cut); err != nil {
		return err
	}
	for b, err := range rows.Batches() {
		if err == nil {
			err = e.batch(b)
		}
		if err != nil {
			return err
		}
	}
	return e.end()
}
