package velocli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/velo-engine/velo/connect"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/state"
	"github.com/velo-engine/velo/writers"
)

// stateExportCmd prints the groups of a state.
type stateExportCmd struct {
	Dir    string   `arg:"" help:"The folder of --state, or one of the folders in it."`
	Job    string   `arg:"" help:"The job that made it; - is standard input."`
	Query  string   `help:"Print this query only: the name of its sink, or select." placeholder:"NAME"`
	Key    []string `help:"Print only rows that have this value." placeholder:"COLUMN=VALUE" sep:"none"`
	Format string   `help:"How to print: ${enum}." enum:"table,csv,ndjson" default:"table"`
}

// Help is the additional text of velo state export --help.
func (stateExportCmd) Help() string {
	return `The newest generation is read, also while the job runs; nothing is changed. The job says what the columns
are: its keys, aggregates, WHERE and windows must be those that made the groups, and its SELECT, HAVING, ORDER BY and
LIMIT may be others. Windows that are still open are printed with what they have.`
}

// Run runs the command.
func (c *stateExportCmd) Run(std streams) error {
	text, err := (&runCmd{Job: c.Job}).text(std.in)
	if err != nil {
		return err
	}
	job, err := query.CompileJob(text, connect.Default)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Job, err)
	}
	found := 0
	for _, o := range job.Outputs {
		if c.Query != "" && !named([]string{c.Query}, nameOf(o)) && c.Query != folderOf(o) {
			continue
		}
		path, ok, err := c.find(job, o)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		found++
		if err := c.print(path, o, std); err != nil {
			return err
		}
	}
	if found == 0 {
		return fmt.Errorf("%s: no query of %s has its state there; --query names one", c.Dir, c.Job)
	}
	return nil
}

// find finds the folder that has the groups of a query.
func (c *stateExportCmd) find(job *query.Job, o *query.Output) (path string, ok bool, err error) {
	if !state.Holds(c.Dir) {
		path, ok = queryFolder(c.Dir, o)
		if !ok {
			return "", false, nil
		}
		ok, err = hasQuery(path, o)
		return path, ok, err
	}
	switch filepath.Base(filepath.Clean(c.Dir)) {
	case folderOfSource(o.Source):
		ok, err = hasQuery(c.Dir, o)
		return c.Dir, ok, err
	case folderOf(o):
		return c.Dir, true, nil
	}
	// It has another name, so it is known only if there is one query, or the generation has it.
	if c.Query != "" || len(job.Outputs) == 1 {
		return c.Dir, true, nil
	}
	ok, err = hasQuery(c.Dir, o)
	return c.Dir, ok, err
}

// print prints the groups of a query.
func (c *stateExportCmd) print(path string, o *query.Output, std streams) error {
	o.Plan.Name = nameOf(o)
	saved, err := engine.ReadState(path, o.Plan)
	if err != nil {
		return err
	}
	schema, err := o.Plan.Result()
	if err != nil {
		return err
	}
	keys, err := keysOf(c.Key, schema)
	if err != nil {
		return fmt.Errorf("%s: %w", nameOf(o), err)
	}
	w := newLines(c.Format, &terminal{to: std.out}, false)
	some := false
	for b := range saved.Batches(record.DefaultRows) {
		b = keys.of(b)
		if b.Len() == 0 {
			continue
		}
		some = true
		if err := w.Write(context.Background(), b); err != nil {
			return err
		}
	}
	if !some {
		if err := w.Write(context.Background(), record.NewBatch(schema, 1)); err != nil { // the names of the columns
			return err
		}
	}
	return w.Close()
}

// exportKeys are values of columns that the rows to print have, as text; NULL is the empty text.
type exportKeys map[int]string

// keysOf reads --key.
func keysOf(options []string, schema *record.Schema) (exportKeys, error) {
	keys := exportKeys{}
	for _, text := range options {
		column, value, ok := strings.Cut(text, "=")
		i, found := schema.Index(column)
		if !ok || !found {
			var names []string
			for i := range schema.Len() {
				names = append(names, schema.Field(i).Name)
			}
			return nil, fmt.Errorf("--key %s: expected COLUMN=VALUE, and one of the columns %s", text,
				strings.Join(names, ", "))
		}
		keys[i] = value
	}
	return keys, nil
}

// of returns the rows of a batch that have the values.
func (k exportKeys) of(b *record.Batch) *record.Batch {
	if len(k) == 0 {
		return b
	}
	var rows []int32
next:
	for row := range b.Len() {
		for column, value := range k {
			if text, _ := writers.Text(b, column, row); text != value {
				continue next
			}
		}
		rows = append(rows, int32(row))
	}
	return b.CopyRows(rows)
}
