package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"

	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// lineOptions are the options of sources that have lines.
var lineOptions = []query.OptionSpec{
	{Name: "format", Values: []string{"auto", "csv", "tsv", "ndjson"}},
	{Name: "delimiter", Kind: query.OptionChar},
	{Name: "header", Values: []string{"true", "false", "skip"}},
	{Name: "time.unit", Values: []string{"s", "ms", "us", "ns"}},
	{Name: "time.format"},
	{Name: "time.zone"},
	{Name: "null"},
	{Name: "decimal", Values: []string{".", ","}},
	{Name: "comment", Kind: query.OptionChar},
	{Name: "skip.lines", Kind: query.OptionInt},
	{Name: "strict", Kind: query.OptionBool},
}

// connectors are what the sources and sinks of a job may be.
var connectors = &query.Connectors{
	Sources: map[string]query.Connector{
		"file": {Options: append([]query.OptionSpec{
			{Name: "path", Required: true},
			{Name: "follow", Kind: query.OptionBool},
			{Name: "follow.files", Kind: query.OptionInt},
			{Name: "idle", Kind: query.OptionDuration, OrZero: true},
		}, lineOptions...)},
		"stdin": {Options: lineOptions},
		"tcp":   {Options: append([]query.OptionSpec{{Name: "address", Required: true}}, socketOptions...)},
		"unix":  {Options: append([]query.OptionSpec{{Name: "path", Required: true}}, socketOptions...)},
		"generator": {Options: []query.OptionSpec{
			{Name: "rows", Kind: query.OptionInt},
			{Name: "groups", Kind: query.OptionInt},
			{Name: "distribution", Values: []string{"uniform", "zipf", "sequential"}},
			{Name: "seed", Kind: query.OptionInt},
		}},
	},
	Sinks: map[string]query.Connector{
		"file": {Options: []query.OptionSpec{
			{Name: "path", Required: true},
			{Name: "format", Values: []string{"csv", "ndjson"}},
			{Name: "rotate.bytes", Kind: query.OptionBytes},
			{Name: "rotate.every", Kind: query.OptionDuration},
			{Name: "flush.every", Kind: query.OptionDuration},
			{Name: "full", Values: []string{"stop", "wait"}},
		}},
		"stdout": {Options: []query.OptionSpec{{Name: "format", Values: []string{"table", "csv", "ndjson"}}}},
	},
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
	if f.generate != nil {
		return f.generate(n)
	}
	return f.files.readers(n)
}

// generatedGroups is the number of groups of a generator whose options do not say it, and
// generatedSkew is the skew of zipf.
const (
	generatedGroups = 1000
	generatedSkew   = 1.1
)

// openSource opens a source of a job.
func openSource(s *query.Source, std streams) (*feeder, error) {
	o := s.Options
	switch o.Connector() {
	case "generator":
		return openGenerator(s)
	case "tcp", "unix":
		return openListener(s, std.err)
	}
	var columns strings.Builder
	if err := printSchema(&columns, s.Schema); err != nil {
		return nil, err
	}
	in := inputOptions(s)
	in.Schema, in.InputFormat, in.Delimiter = columns.String(), cmp.Or(o.Text("format"), "auto"), o.Text("delimiter")
	in.NoHeader, in.byPlace, in.Follow = o.Text("header") == "false", o.Text("header") == "skip", o.Bool("follow")
	name := stdinName
	if o.Connector() == "file" {
		name = o.Text("path")
	}
	f, err := in.open(name, std.in)
	if err != nil {
		return nil, o.Errorf("path", "%v", err)
	}
	f.schema, f.mostFiles = s.Schema, int(o.Int("follow.files"))
	once := ""
	if f.stdin != nil {
		once = f.streamName()
	}
	return &feeder{name: s.Name, files: f, endless: f.follow, once: once}, nil
}

// inputOptions are the options of a source that say how lines are written.
func inputOptions(s *query.Source) *input {
	o := s.Options
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

func openGenerator(s *query.Source) (*feeder, error) {
	o := s.Options
	if s.Schema.Len() != 2 || s.Schema.Field(0).Type != record.Int64 || s.Schema.Field(1).Type != record.Int64 {
		return nil, o.Errorf(query.OptionConnector,
			"a generator makes a key and a value, expected two columns of type bigint")
	}
	cfg := readers.GeneratorConfig{
		Seed: uint64(o.Int("seed")), Groups: uint64(o.Int("groups")),
		Records: uint64(o.Int("rows")),
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
		return nil, o.Errorf("groups", "%v", err)
	}
	return &feeder{
		name: s.Name, files: &files{name: s.Name, remove: func() {}}, endless: cfg.Records == 0,
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
var errPiped = errors.New("who reads standard output has closed it")

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

// openSink opens a sink of a job; a nil sink is the terminal.
func openSink(s *query.Sink, format string, out *terminal, atOnce bool) (record.Writer, error) {
	if s == nil {
		return newLines(format, out, atOnce), nil
	}
	o := s.Options
	if o.Connector() == "stdout" {
		if f := o.Text("format"); f != "" {
			format = f
		}
		return newLines(format, out, atOnce), nil
	}
	f, err := writers.NewFile(fileConfig(s))
	if err != nil {
		return nil, o.Errorf("path", "%v", err)
	}
	return f, nil
}

// fileConfig is the configuration of a sink that is a file.
func fileConfig(s *query.Sink) writers.FileConfig {
	o := s.Options
	return writers.FileConfig{
		Path: o.Text("path"), Format: o.Text("format"), RotateBytes: o.Int("rotate.bytes"),
		RotateEvery: o.Duration("rotate.every"),
		FlushEvery:  o.Duration("flush.every"), AwaitSpace: o.Text("full") == "wait",
	}
}
