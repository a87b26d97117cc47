// Package try runs the queries of a job over a few records that somebody has pasted, in memory,
// without opening any source or sink of the job. What it shows is what the job would write if these
// records were all that ever came.
package try

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// Limits of a try.
const (
	// MaxBytes bounds the records.
	MaxBytes = 256 << 10
	// MaxRows bounds the rows of each result that are shown, and the records that are shown because
	// they could not be read.
	MaxRows = 1000
	// Within is how long a try may take.
	Within = 5 * time.Second
	// stateBytes bounds the groups.
	stateBytes = 64 << 20
)

// A Result is what became of the records.
type Result struct {
	Source  string   `json:"source"` // that the records were taken for
	Format  string   `json:"format"` // ndjson or csv
	Records uint64   `json:"records"`
	Rejects []Reject `json:"rejects"` // records that could not be read
	Outputs []Output `json:"outputs"` // of the queries over the source
}

// A Reject is a record that could not be read.
type Reject struct {
	Line   int64  `json:"line,omitempty"`
	Reason string `json:"reason"`
	Bytes  string `json:"bytes"`
}

// An Output is the result of a query.
type Output struct {
	Name     string     `json:"name"` // of the sink or view; empty for a SELECT alone
	Query    string     `json:"query"`
	Columns  []Column   `json:"columns"`
	Rows     [][]string `json:"rows"`
	More     bool       `json:"more,omitempty"` // says that there are more than MaxRows
	Counted  uint64     `json:"counted"`
	Filtered uint64     `json:"filtered"`
	Late     uint64     `json:"late"`
	Error    string     `json:"error,omitempty"`
}

// A Column is a column of a result.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// ErrInput marks errors that are about what was given, and not about the text of the job.
var ErrInput = errors.New("try")

// Run compiles a job and runs its queries over records of a source. The records are JSON objects,
// one a line, or lines of comma-separated values in the order of the columns. If source is empty
// the job must have one source.
func Run(ctx context.Context, connectors *connect.Registry, text, source string, records []byte) (*Result, error) {
	job, err := query.CompileJob(text, connectors)
	if err != nil {
		return nil, err
	}
	if len(records) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes of records, at most %d are tried", ErrInput, len(records), MaxBytes)
	}
	of, err := sourceOf(job, source)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, Within)
	defer cancel()
	r := &Result{Source: of.Name, Format: "csv", Rejects: []Reject{}, Outputs: []Output{}}
	if isJSON(records) {
		r.Format = "ndjson"
	}
	for _, o := range job.Outputs {
		if o.Source != of {
			continue
		}
		out := Output{Query: o.Text, Rows: [][]string{}}
		switch {
		case o.Sink != nil:
			out.Name = o.Sink.Name
		case o.View != nil:
			out.Name = o.View.Name
		}
		first := len(r.Outputs) == 0
		err := run(ctx, of, o, records, &out, r, first)
		if err != nil {
			out.Error = err.Error()
		}
		r.Outputs = append(r.Outputs, out)
	}
	if len(r.Outputs) == 0 {
		return nil, fmt.Errorf("%w: no query reads the source %q", ErrInput, of.Name)
	}
	return r, nil
}

// sourceOf finds a source of a job.
func sourceOf(job *query.Job, name string) (*query.Source, error) {
	var names []string
	for _, s := range job.Sources {
		if s.Name == name || name == "" && len(job.Sources) == 1 {
			return s, nil
		}
		names = append(names, s.Name)
	}
	if name == "" {
		return nil, fmt.Errorf("%w: the job has %d sources, expected the name of one: %s", ErrInput, len(names),
			strings.Join(names, ", "))
	}
	return nil, fmt.Errorf("%w: the job has no source %q, it has: %s", ErrInput, name, strings.Join(names, ", "))
}

// run runs one query. Rejects and the number of records are taken from the first query, because all
// read the same.
func run(ctx context.Context, s *query.Source, o *query.Output, text []byte, out *Output, r *Result, first bool) error {
	reader, err := readerOf(s, text)
	if err != nil {
		return err
	}
	schema, err := o.Plan.Written()
	if err != nil {
		return errors.Join(err, reader.Close())
	}
	for c := range schema.Len() {
		f := schema.Field(c)
		out.Columns = append(out.Columns, Column{f.Name, fmt.Sprint(f.Type)})
	}
	var mu sync.Mutex
	e, err := engine.Start(ctx, engine.Config{
		Plan: o.Plan, Readers: []record.Reader{reader}, Partitions: 1, Cores: 1, NoPin: true, StateBytes: stateBytes,
		Writer: &rows{out}, OnReject: func(_ int, x record.Reject) {
			mu.Lock()
			defer mu.Unlock()
			if first && len(r.Rejects) < MaxRows {
				text := strings.ToValidUTF8(string(x.Bytes), "\uFFFD")
				r.Rejects = append(r.Rejects, Reject{x.Line, x.Reason.Error(), text})
			}
		},
	})
	if err != nil {
		return errors.Join(err, reader.Close())
	}
	err = e.Wait()
	if ctx.Err() != nil {
		err = fmt.Errorf("it took more than %v", Within)
	}
	c := e.Stats().Counters()
	out.Counted, out.Filtered, out.Late = c.Counted, c.Filtered, c.Late
	if first {
		r.Records = c.In
	}
	mu.Lock() // the last callback has returned
	defer mu.Unlock()
	return err
}

// isJSON says whether records are JSON objects.
func isJSON(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == '{'
}

var units = map[string]time.Duration{
	"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond,
}

// readerOf reads records as the source would, as far as its options say how.
func readerOf(s *query.Source, text []byte) (record.Reader, error) {
	in := io.Reader(bytes.NewReader(append(bytes.TrimRight(text, "\r\n"), '\n')))
	values := readers.ValueOptions{TimeUnit: units[s.Options.Text("time.unit")]}
	if zone := s.Options.Text("time.zone"); zone != "" {
		at, err := time.LoadLocation(zone)
		if err != nil {
			return nil, err
		}
		values.TimeZone = at
	}
	if format := s.Options.Text("time.format"); format != "" {
		f, err := record.CompileTimeFormat(format, values.TimeZone)
		if err != nil {
			return nil, err
		}
		values.TimeFormat = f
	}
	if isJSON(text) {
		return readers.NewNDJSONStream(s.Name, in, readers.NDJSONConfig{Schema: s.Schema, ValueOptions: values})
	}
	if words := s.Options.Text("null"); words != "" {
		values.Nulls = strings.Split(words, ",")
	}
	values.DecimalComma = s.Options.Text("decimal") == ","
	return readers.NewDelimitedStream(s.Name, in, readers.DelimitedConfig{
		Schema: s.Schema, ValueOptions: values, Delimiter: cmp.Or(s.Options.Char("delimiter"), ','), Quote: '"',
	})
}

// rows keeps the rows of a result.
type rows struct{ out *Output }

// Write keeps rows, up to MaxRows.
func (w *rows) Write(_ context.Context, b *record.Batch) error {
	for row := range b.Len() {
		if len(w.out.Rows) == MaxRows {
			w.out.More = true
			return nil
		}
		w.out.Rows = append(w.out.Rows, writers.Texts(b, row))
	}
	return nil
}

// Close does nothing.
func (*rows) Close() error { return nil }
