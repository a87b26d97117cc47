package velocli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/plan"

	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// lineOptions are the options of sources that have lines.
var lineOptions = []connect.Option{
	{Name: "format", Values: []string{"auto", "csv", "tsv", "ndjson"}},
	{Name: "delimiter", Kind: connect.Char},
	{Name: "header", Values: []string{"true", "false", "skip"}},
	{Name: "time.unit", Values: []string{"s", "ms", "us", "ns"}},
	{Name: "time.format"},
	{Name: "time.zone"},
	{Name: "null"},
	{Name: "decimal", Values: []string{".", ","}},
	{Name: "comment", Kind: connect.Char},
	{Name: "skip.lines", Kind: connect.Int},
	{Name: "strict", Kind: connect.Bool},
}

// optionConnector is for errors that are about no single option.
const optionConnector = ""

func init() {
	connect.RegisterSource("file", connect.Source{
		Options: append([]connect.Option{
			{Name: "path", Required: true},
			{Name: "follow", Kind: connect.Bool},
			{Name: "follow.files", Kind: connect.Int},
			{Name: "idle", Kind: connect.Duration, OrZero: true},
		}, lineOptions...),
		Check:   checkLines,
		Endless: func(o *connect.Options) bool { return o.Bool("follow") },
		Open: func(_ context.Context, r *connect.SourceRequest) (connect.Input, error) {
			return openFiles(r, r.Options.Text("path"))
		},
	})
	connect.RegisterSource("stdin", connect.Source{
		Options: lineOptions,
		Check:   checkLines,
		Open: func(_ context.Context, r *connect.SourceRequest) (connect.Input, error) {
			return openFiles(r, stdinName)
		},
	})
	for network, place := range socketPlaces {
		connect.RegisterSource(network, connect.Source{
			Options: append([]connect.Option{{Name: place, Required: true}}, socketOptions...),
			Check: func(r *connect.SourceRequest) error {
				_, atErr := listenConfig(r, network)
				_, err := socketFiles(r)
				return errors.Join(atErr, err)
			},
			Endless: func(*connect.Options) bool { return true },
			Open: func(_ context.Context, r *connect.SourceRequest) (connect.Input, error) {
				return openListener(r, network)
			},
		})
	}
	connect.RegisterSource("generator", connect.Source{
		Options: []connect.Option{
			{Name: "rows", Kind: connect.Int},
			{Name: "groups", Kind: connect.Int},
			{Name: "distribution", Values: []string{"uniform", "zipf", "sequential"}},
			{Name: "seed", Kind: connect.Int},
			{Name: "rate", Kind: connect.Int},
		},
		Check: func(r *connect.SourceRequest) error {
			_, err := openGenerator(r)
			return err
		},
		Endless: func(o *connect.Options) bool { return o.Int("rows") == 0 },
		Open: func(_ context.Context, r *connect.SourceRequest) (connect.Input, error) {
			return openGenerator(r)
		},
	})
	connect.RegisterSink("file", connect.Sink{
		Options: []connect.Option{
			{Name: "path", Required: true},
			{Name: "format", Values: []string{"csv", "ndjson"}},
			{Name: "rotate.bytes", Kind: connect.Bytes},
			{Name: "rotate.every", Kind: connect.Duration},
			{Name: "flush.every", Kind: connect.Duration},
			{Name: "full", Values: []string{"stop", "wait"}},
		},
		Check: func(r *connect.SinkRequest) error {
			w, err := openFile(r) // it checks the folder, and makes nothing
			abandon(w)
			if errors.Is(err, writers.ErrTaken) {
				return nil // by the job that this one replaces, or Open says so
			}
			return err
		},
		Open: func(_ context.Context, r *connect.SinkRequest) (record.Writer, error) { return openFile(r) },
	})
	connect.RegisterSink("stdout", connect.Sink{
		Options: []connect.Option{{Name: "format", Values: []string{"table", "csv", "ndjson"}}},
	})
}

// ownConnectors are the connectors that this package registers.
var ownConnectors = []string{"file", "stdin", "tcp", "unix", "generator", "push", connectorView, "stdout"}

// moreConnectors lists the connectors of other packages and their options, for the help.
func moreConnectors() string {
	var b strings.Builder
	list := func(what, name string, options []connect.Option) {
		if slices.Contains(ownConnectors, name) {
			return
		}
		line := fmt.Sprintf("    %-7s %-10s", what, name)
		for i, o := range options {
			text := " " + o.Name
			if len(o.Values) > 0 {
				text += " (" + strings.Join(o.Values, ", ") + ")"
			}
			if i < len(options)-1 {
				text += ","
			}
			if len(line)+len(text) > helpColumns {
				b.WriteString(line + "\n")
				line = fmt.Sprintf("%18s ", "")
			}
			line += text
		}
		b.WriteString(line + "\n")
	}
	for _, name := range connect.Default.Sources() {
		c, _ := connect.Default.Source(name)
		list("source", name, c.Options)
	}
	for _, name := range connect.Default.Sinks() {
		c, _ := connect.Default.Sink(name)
		list("sink", name, c.Options)
	}
	return b.String()
}

// elsewhere are connectors that velo has and this program may not have.
var elsewhere = []string{"kafka", connectorParquet, "postgres"}

// connectorParquet is the connector of Parquet files, which this package does not have. Their names
// are compared with others.
const connectorParquet = "parquet"

// isFileSink says whether a sink writes files.
func isFileSink(s *query.Sink) bool {
	c := s.Options.Connector()
	return c == "file" || c == connectorParquet
}

// otherProgram says which program has a connector that a job names and this one has not.
func otherProgram(err error) string {
	for _, name := range elsewhere {
		if strings.Contains(err.Error(), fmt.Sprintf("there is no connector %q", name)) {
			return fmt.Sprintf("\nthe velo of connect/cmd/velo has connector %q; docs/connectors.md says how to "+
				"install it", name)
		}
	}
	return ""
}

// helpColumns is how wide the help is.
const helpColumns = 112

// checkLines reports what is wrong with the options of a source that has lines.
func checkLines(r *connect.SourceRequest) error {
	if err := inputOptions(r).lines(&files{}); err != nil {
		return r.Options.Errorf(optionConnector, "%v", err)
	}
	return nil
}

// feeder is an open source. It makes readers, again for each query over it.
type feeder struct {
	name  string
	files *files
	// endless says that the source has no end.
	endless bool
	// once says what it is, if it can be read only once.
	once string
	// generate makes the readers; nil if files are read.
	generate func(n int) ([]record.Reader, error)
	// socket is the socket that is read; nil if there is none.
	socket *socket
	// input is what a connector that is not of this package has opened; nil if it is one of this
	// package.
	input connect.Input
}

// Readers makes the readers of one query: see connect.Input.
func (f *feeder) Readers(n int) ([]record.Reader, error) { return f.open(n) }

// Close removes what was opened.
func (f *feeder) Close() error {
	f.files.remove()
	return nil
}

// another is the same source for another query. It needs a copy because the files note which reader
// has which file.
func (f *feeder) another() *feeder {
	own, files := *f, *f.files
	own.files = &files
	return &own
}

// open makes readers.
func (f *feeder) open(n int) ([]record.Reader, error) {
	if f.generate == nil {
		return f.files.readers(n)
	}
	rs, err := f.generate(n)
	f.files.skip(rs)
	if f.input != nil {
		f.files.sources = nil
		for _, r := range rs {
			f.files.sources = append(f.files.sources, fmt.Sprint(r))
		}
	}
	return rs, err
}

// generatedGroups is the number of groups of a generator whose options do not say it, and
// generatedSkew is the skew of zipf.
const (
	generatedGroups = 1000
	generatedSkew   = 1.1
)

// sourceOf is the connector of a source.
func sourceOf(s *query.Source) connect.Source {
	c, _ := connect.Default.Source(s.Options.Connector()) // CompileJob has found it
	return c
}

// sourceRequest is what a connector is told about a source of a job.
func sourceRequest(s *query.Source, std streams) *connect.SourceRequest {
	return &connect.SourceRequest{
		Name: s.Name, Schema: s.Schema, Options: &s.Options.Options, Stdin: std.in,
		Say: func(text string) { note(std.err, "velo: "+s.Name+": "+text) },
	}
}

// openSource opens a source of a job.
func openSource(s *query.Source, std streams, skipGaps bool) (*feeder, error) {
	c, r := sourceOf(s), sourceRequest(s, std)
	r.SkipGaps = skipGaps
	in, err := c.Open(context.Background(), r)
	if err != nil {
		return nil, s.Options.Place(err)
	}
	if f, ok := in.(*feeder); ok {
		return f, nil
	}
	return &feeder{
		name: s.Name, endless: isEndless(s), input: in, generate: in.Readers,
		files: &files{name: s.Name, ofMessages: true, remove: sync.OnceFunc(func() { _ = in.Close() })},
	}, nil
}

// openFiles opens a source of files or standard input.
func openFiles(r *connect.SourceRequest, name string) (*feeder, error) {
	o := r.Options
	var columns strings.Builder
	if err := printSchema(&columns, r.Schema); err != nil {
		return nil, err
	}
	in := inputOptions(r)
	in.Schema, in.InputFormat, in.Delimiter = columns.String(), cmp.Or(o.Text("format"), "auto"), o.Text("delimiter")
	in.NoHeader, in.byPlace, in.Follow = o.Text("header") == "false", o.Text("header") == "skip", o.Bool("follow")
	f, err := in.open(name, r.Stdin)
	if err != nil {
		return nil, o.Errorf("path", "%v", err)
	}
	f.schema, f.mostFiles = r.Schema, int(o.Int("follow.files"))
	once := ""
	if f.stdin != nil {
		once = f.streamName()
	}
	return &feeder{name: r.Name, files: f, endless: f.follow, once: once}, nil
}

// inputOptions are the options of a source that say how lines are written.
func inputOptions(r *connect.SourceRequest) *input {
	o := r.Options
	in := &input{
		TimeUnit: o.Text("time.unit"), TimeFormat: o.Text("time.format"), TimeZone: o.Text("time.zone"),
		Decimal: o.Text("decimal"),
		Comment: o.Text("comment"), SkipLines: int(o.Int("skip.lines")), Strict: o.Bool("strict"),
	}
	if words := o.Text("null"); words != "" {
		in.Null = strings.Split(words, ",")
	}
	return in
}

func openGenerator(r *connect.SourceRequest) (*feeder, error) {
	o := r.Options
	if r.Schema.Len() != 2 || r.Schema.Field(0).Type != record.Int64 || r.Schema.Field(1).Type != record.Int64 {
		return nil, o.Errorf(optionConnector,
			"a generator makes a key and a value, expected two columns of type bigint")
	}
	cfg := readers.GeneratorConfig{
		Seed: uint64(o.Int("seed")), Groups: uint64(o.Int("groups")),
		Records: uint64(o.Int("rows")), Rate: uint64(o.Int("rate")),
	}
	if cfg.Groups == 0 {
		cfg.Groups = generatedGroups
	}
	switch o.Text("distribution") {
	case "zipf":
		cfg.Distribution, cfg.Skew = readers.Zipf, generatedSkew
	case "sequential":
		cfg.Distribution = readers.Sequential
	}
	if err := cfg.Validate(); err != nil {
		option := "groups"
		if cfg.Rate > readers.MaxGeneratorRate {
			option = "rate"
		}
		return nil, o.Errorf(option, "%v", err)
	}
	return &feeder{
		name: r.Name, files: &files{name: r.Name, remove: func() {}}, endless: cfg.Records == 0,
		generate: func(n int) (all []record.Reader, err error) {
			for i := range n {
				cfg.Reader, cfg.Readers = i, n
				g, err := readers.NewGenerator(cfg)
				if err != nil {
					return nil, err
				}
				all = append(all, g)
			}
			return all, nil
		},
	}, nil
}

// terminal is standard output, which several sinks may share: each writes whole lines.
type terminal struct {
	mu sync.Mutex
	to io.Writer
}

// Write writes whole lines of one sink.
func (t *terminal) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return pipe{t.to}.Write(b)
}

// pipe is standard output. It says when nobody reads it any more.
type pipe struct{ to io.Writer }

// Write writes.
func (p pipe) Write(b []byte) (int, error) {
	n, err := p.to.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		err = errPiped
	}
	return n, err
}

// errPiped says that nobody reads standard output any more.
var errPiped = errors.New("the reader of standard output has closed it")

// lines is a writer to a terminal that shows each batch when it comes.
type lines struct {
	record.Writer
	flush  func() error
	buffer bytes.Buffer
	to     *terminal
}

// newLines makes the writer. A table needs all rows to know how wide its columns are; atOnce is for
// results whose last row would never come, or too late.
func newLines(format string, to *terminal, atOnce bool) *lines {
	l := &lines{to: to}
	switch format {
	case "csv":
		w := writers.NewCSV(&l.buffer)
		l.Writer, l.flush = w, w.Flush
	case "ndjson":
		w := writers.NewNDJSON(&l.buffer)
		l.Writer, l.flush = w, w.Flush
	default:
		if e, ok := connect.Default.Encoding(format); ok {
			w := &coded{of: e, to: &l.buffer}
			l.Writer, l.flush = w, w.Flush
			return l
		}
		w := writers.NewTable(&l.buffer)
		l.Writer, l.flush = w, func() error { return nil }
		if atOnce {
			l.flush = w.Flush
		}
	}
	return l
}

// Write shows a batch.
func (l *lines) Write(ctx context.Context, b *record.Batch) error {
	if err := errors.Join(l.Writer.Write(ctx, b), l.flush()); err != nil {
		return err
	}
	return l.show()
}

// Close shows the rest.
func (l *lines) Close() error { return errors.Join(l.Writer.Close(), l.show()) }

func (l *lines) show() error {
	_, err := l.buffer.WriteTo(l.to)
	return err
}

// openSink opens the sink of a query; without one the result goes to the terminal. again says that
// the job keeps its state.
func openSink(q *query.Output, format string, std streams, out *terminal, atOnce, again bool) (record.Writer, error) {
	s := q.Sink
	if s == nil {
		return newLines(format, out, atOnce), nil
	}
	if s.Options.Connector() == "stdout" {
		return newLines(cmp.Or(s.Options.Text("format"), format), out, atOnce), nil
	}
	c, _ := connect.Default.Sink(s.Options.Connector()) // CompileJob has found it
	r, err := sinkRequest(q, std, again)
	if err != nil {
		return nil, err
	}
	w, err := c.Open(context.Background(), r)
	return w, s.Options.Place(err)
}

// checkSink reports what is wrong with a sink and can be known before it is opened.
func checkSink(q *query.Output, std streams, again bool) error {
	if q.Sink == nil {
		return nil
	}
	c, _ := connect.Default.Sink(q.Sink.Options.Connector())
	if c.Check == nil {
		return nil
	}
	r, err := sinkRequest(q, std, again)
	if err != nil {
		return err
	}
	return q.Sink.Options.Place(c.Check(r))
}

// sinkRequest is what a connector is told about the sink of a query.
func sinkRequest(q *query.Output, std streams, again bool) (*connect.SinkRequest, error) {
	schema, err := q.Plan.Written()
	if err != nil {
		return nil, err
	}
	s := q.Sink
	return &connect.SinkRequest{
		Name: s.Name, Options: &s.Options.Options, Schema: schema, Keys: q.Plan.WrittenKeys(),
		Changes: q.Plan.Emit == plan.EmitChanges, Durable: again,
		Say: func(text string) { note(std.err, "velo: "+s.Name+": "+text) },
	}, nil
}

// openFile opens a sink that is a file.
func openFile(r *connect.SinkRequest) (*writers.File, error) {
	f, err := writers.NewFile(fileConfig(r.Options))
	if err != nil {
		return nil, r.Options.Errorf("path", "%w", err)
	}
	return f, nil
}

// fileConfig is the configuration of a sink that is a file.
func fileConfig(o *connect.Options) writers.FileConfig {
	return writers.FileConfig{
		Path: o.Text("path"), Format: o.Text("format"), RotateBytes: o.Int("rotate.bytes"),
		RotateEvery: o.Duration("rotate.every"),
		FlushEvery:  o.Duration("flush.every"), AwaitSpace: o.Text("full") == "wait",
	}
}
