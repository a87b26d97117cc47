package velocli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/view"
)

// connectorView is the connector of tables whose rows are what a SELECT over views gives.
const connectorView = "view"

func init() {
	connect.RegisterSource(connectorView, connect.Source{
		Options: []connect.Option{{Name: "query", Required: true}},
		Open: func(context.Context, *connect.SourceRequest) (connect.Input, error) {
			return nil, errors.New("a view is read by tables of a server only") // check has said so
		},
	})
}

// sourceOfTable is a table as what it is read from.
func sourceOfTable(t *query.Table) *query.Source {
	return &query.Source{Name: t.Name, Schema: t.Lookup.Schema(), Options: t.Options}
}

// checkTables reports what is wrong with the options of the tables of a job.
func (c *runCmd) checkTables(job *query.Job, std streams) error {
	var faults []error
	for _, t := range job.Tables {
		s := sourceOfTable(t)
		faults = append(faults, c.checkSource(s, std))
		switch {
		case s.Options.Connector() == connectorView && !c.serves:
			faults = append(faults, t.Options.Errorf(query.OptionConnector,
				"a table reads the views of a server: velo serve runs the job"))
		case isEndless(s):
			faults = append(faults, t.Options.Errorf(query.OptionConnector,
				"table %q is loaded to its end, and this source has none", t.Name))
		case t.Options.Connector() == "stdin" && t.Options.Has("refresh"):
			faults = append(faults, t.Options.Errorf("refresh", "standard input can be read once: make it a file"))
		}
	}
	return errors.Join(faults...)
}

// prepareTables says how the tables of a job are loaded, and what is said of it. views has the
// views of the server that runs the job; it is nil if none does.
func prepareTables(job *query.Job, std streams, views *view.Catalog) error {
	var faults []error
	for _, t := range job.Tables {
		s := sourceOfTable(t)
		faults = append(faults, t.Lookup.Configure(func(c *lookup.Config) {
			c.Load = func(ctx context.Context, b *lookup.Builder) error {
				feed, err := openSource(s, std, false)
				if err != nil {
					return err
				}
				defer feed.files.remove()
				return lookup.Readers(func(context.Context) ([]record.Reader, error) { return feed.open(1) })(ctx, b)
			}
			if s.Options.Connector() == connectorView {
				c.Load = loadViews(views, s.Options.Text("query"))
			}
			c.OnEvent = func(e lookup.Event) { sayTable(std.err, e) }
		}))
	}
	return errors.Join(faults...)
}

// viewWait is how long the first load of a table waits for a view: after a start of the server the
// job that has it may start later.
const viewWait = 10 * time.Second

// loadViews loads a table with what a SELECT over views gives.
func loadViews(views *view.Catalog, sql string) func(context.Context, *lookup.Builder) error {
	return func(ctx context.Context, b *lookup.Builder) error {
		rows, err := views.Select(ctx, sql)
		for begin := time.Now(); err != nil && time.Since(begin) < viewWait; rows, err = views.Select(ctx, sql) {
			if !errors.Is(err, view.ErrNoView) {
				return err
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(viewWait / 100):
			}
		}
		if err != nil {
			return fmt.Errorf("%w: a table reads views of other jobs, which must run", err)
		}
		defer rows.Close()
		for batch, err := range rows.Batches() {
			if err != nil {
				return err
			}
			if err := b.Append(batch); err != nil {
				return err
			}
		}
		return nil
	}
}

// sayTable says what has gone wrong with a table.
func sayTable(to io.Writer, e lookup.Event) {
	switch {
	case e.Kind == lookup.LoadFailed && e.Version > 0:
		note(to, fmt.Sprintf("velo: table %s could not be loaded again, and stays as it was loaded %s: %v", e.Table,
			versionWords(e), e.Err))
	case e.Kind == lookup.BecameStale:
		note(to, fmt.Sprintf("velo: table %s: %v", e.Table, e.Err))
	}
}

// versionWords says which load it was.
func versionWords(e lookup.Event) string {
	if e.Version == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", e.Version)
}

// sayMisses says of each table which keys were not found.
func sayMisses(tables []*lookup.Table, to io.Writer) {
	for _, t := range tables {
		s := t.Stats()
		if s.Misses == 0 {
			continue
		}
		text := fmt.Sprintf("velo: table %s: %d of %d records found no row", s.Table, s.Misses, s.Lookups)
		if len(s.Samples) > 0 {
			text += ", such as " + strings.Join(s.Samples, "; ")
		}
		note(to, text)
	}
}

// lookups are the tables of a job.
func lookups(job *query.Job) (all []*lookup.Table) {
	for _, t := range job.Tables {
		all = append(all, t.Lookup)
	}
	return all
}

// tableLines are the counters of the tables, for --stats.
func tableLines(tables []*lookup.Table, to io.Writer) {
	for _, t := range tables {
		s := t.Stats()
		line := fmt.Sprintf("table %s: version %d of %s, %d rows, %d KiB, loaded in %v; %d lookups, %d found nothing",
			s.Table,
			s.Version, s.Loaded.UTC().Format(time.RFC3339), s.Rows, s.Bytes>>10, s.Took.Round(time.Millisecond),
			s.Lookups,
			s.Misses)
		if s.Failures > 0 {
			line += fmt.Sprintf("; %d loads failed, the last: %v", s.Failures, s.LastError)
		}
		fmt.Fprintln(to, line)
	}
}

// tablesOf opens the files that a query joins, guesses their columns, and makes tables of them
// whose keys are the columns that ON compares.
func tablesOf(sql string, stdin io.Reader) (tables []*lookup.Table, err error) {
	joins, err := query.Joins(sql)
	if err != nil {
		return nil, err
	}
	known := map[string][]string{}
	for _, j := range joins {
		if j.Name == stdinName || j.Name == stdinFile {
			return nil, errors.New("JOIN stdin: a table is a file; the input may be standard input")
		}
		in := &input{InputFormat: "auto"}
		f, err := in.open(j.Name, stdin)
		if err != nil {
			return nil, fmt.Errorf("JOIN %s: %w", j.Name, err)
		}
		f.remove()
		if f.pipe {
			return nil, fmt.Errorf("JOIN %s: a table is a file, which this is not", j.Name)
		}
		key, err := j.Key(f.schema)
		if err != nil {
			return nil, err
		}
		slices.Sort(key)
		if before, seen := known[j.Name]; seen {
			if !slices.Equal(before, key) {
				return nil, fmt.Errorf("JOIN %s: it is joined by %s and by %s; a table has one key", j.Name,
					strings.Join(before, ", "), strings.Join(key, ", "))
			}
			continue
		}
		known[j.Name] = key
		t, err := lookup.New(lookup.Config{Schema: f.schema, Key: key, Load: loadFiles(j.Name)})
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// loadFiles loads a table from files whose columns have been guessed.
func loadFiles(name string) func(context.Context, *lookup.Builder) error {
	return func(ctx context.Context, b *lookup.Builder) error {
		var columns strings.Builder
		if err := printSchema(&columns, b.Schema()); err != nil {
			return err
		}
		in := &input{InputFormat: "auto", Schema: columns.String()}
		f, err := in.open(name, nil)
		if err != nil {
			return err
		}
		defer f.remove()
		f.schema = b.Schema()
		err = lookup.Readers(func(context.Context) ([]record.Reader, error) { return f.readers(1) })(ctx, b)
		if wrong := new(readers.ValueError); errors.As(err, &wrong) {
			err = fmt.Errorf("%w\nthe types of its columns were guessed; a job with CREATE TABLE declares them", err)
		}
		return err
	}
}
