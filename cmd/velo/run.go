package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// maxJobBytes bounds a job that is read: one byte more than a text may have, so that the message is about the text.
const maxJobBytes = 1<<20 + 1

// runCmd flows a job.
type runCmd struct {
	Job    string `arg:"" help:"A file with CREATE SOURCE, CREATE SINK, INSERT INTO and maybe a SELECT; - is standard input."`
	Format string `help:"How to print the result of a SELECT without a sink: ${enum}." enum:"table,csv,ndjson" default:"table"`
	shape
	Quarantine string `help:"Write the records that could not be read there, an object a line: file, offset, line, reason, bytes." placeholder:"FILE"`
	Stats      bool   `help:"Print what the engines did, to standard error."`
	Check      bool   `help:"Compile the job, print its queries, and run nothing."`
}

// Help is what velo run --help says besides.
func (runCmd) Help() string {
	return `A job is SQL statements with semicolons between them:

    CREATE SOURCE trades (symbol text NOT NULL, size bigint, at timestamp NOT NULL,
                          WATERMARK FOR at AS at - INTERVAL '5 s')
      WITH (connector = 'file', path = 'trades/*.csv');
    CREATE SINK volumes WITH (connector = 'file', path = 'volumes-{n}.csv', rotate.every = '1 hour');
    INSERT INTO volumes
      SELECT window_start, symbol, sum(size) AS volume FROM trades
      GROUP BY symbol, tumble(at, INTERVAL '1 minute');
    SELECT symbol, count(*) AS n FROM trades GROUP BY symbol ORDER BY n DESC LIMIT 10

Connectors and their options:

    source  file       path, format (auto, csv, tsv, ndjson), delimiter, header (true, false, skip), time.unit, follow
            stdin      the same without path and follow
            tcp        address (host:port, of this machine unless there are certificate, key and token.file),
                       format (csv, tsv, ndjson), delimiter, header, time.unit, connections,
                       connections.idle, connections.peer, admit.within
            unix       path of the socket, and the options of tcp
            generator  rows, groups, distribution (uniform, zipf, sequential), seed; two bigint columns
    sink    file       path, format (csv, ndjson), rotate.bytes, rotate.every, flush.every, full (stop, wait)
            stdout     format (table, csv, ndjson)

An interrupt or SIGTERM ends the reading, and what has been read is written; windows that are not closed then are not.
A second one ends at once.

Exit statuses: 0; 1 where something failed; 2 where records were set aside; 3 where an input had not come to its end.`
}

// flow is one query of a job on its way.
type flow struct {
	name   string
	out    *query.Output
	feed   *feeder
	writer record.Writer
	kept   *kept // the same
	aside  *quarantine
	engine *engine.Engine
}

// Run flows the command.
func (c *runCmd) Run(std streams) (err error) {
	text, err := c.text(std.in)
	if err != nil {
		return err
	}
	job, err := query.CompileJob(text, connectors)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Job, err)
	}
	if c.Check {
		for _, o := range job.Outputs {
			fmt.Fprintf(std.out, "%s: %s\n", nameOf(o), o.Text)
		}
		return nil
	}
	if err := c.fill(len(job.Outputs)); err != nil {
		return err
	}
	flows, err := c.open(job, std)
	defer closeFeeds(flows)
	if err == nil {
		err = c.checkNames(flows)
	}
	if err != nil {
		return err
	}
	if c.Quarantine != "" {
		set, err := os.Create(c.Quarantine)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, set.Close()) }()
		for _, r := range flows {
			r.aside.file = set
		}
	}
	beforeStart()
	stop := listen()
	if err := c.start(flows); err != nil {
		stop.end()
		return err
	}
	return c.wait(flows, stop, std)
}

// beforeStart is called when everything is open and nothing runs: a test takes a folder away there.
var beforeStart = func() {}

// text reads the job.
func (c *runCmd) text(stdin io.Reader) (string, error) {
	from := stdin
	if c.Job != "-" {
		f, err := os.Open(c.Job)
		if err != nil {
			return "", err
		}
		defer f.Close()
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxJobBytes))
	return string(text), err
}

// nameOf is what messages call a query.
func nameOf(o *query.Output) string {
	if o.Sink == nil {
		return "SELECT"
	}
	return o.Sink.Name
}

// open opens everything that the job names, before anything flows; the error has all that is wrong. A source is opened once, and has readers of its own for each query.
func (c *runCmd) open(job *query.Job, std streams) (flows []*flow, err error) {
	var faults []error
	feeds := map[*query.Source]*feeder{}
	out := &terminal{to: std.out}
	for _, o := range job.Outputs {
		feed, seen := feeds[o.Source]
		if !seen {
			if o.Source.Options.Connector() == "stdin" && c.Job == "-" {
				err = o.Source.Options.Errorf(query.OptionConnector, "standard input is the job itself: give it as a file")
			} else {
				feed, err = openSource(o.Source, std)
			}
			if err != nil {
				faults = append(faults, err)
			}
			feeds[o.Source] = feed
		}
		w, err := openSink(o.Sink, c.Format, out)
		if err != nil {
			faults = append(faults, err)
		}
		if feed == nil {
			continue
		}
		if feed.endless && o.Plan.Window != nil && o.Source.Watermark == nil {
			faults = append(faults, o.Source.Options.Errorf(query.OptionConnector, "the source has no end, so a window over it closes by a watermark only: WATERMARK FOR %s AS %s - INTERVAL '5 s'", o.Plan.Window.Column, o.Plan.Window.Column))
		}
		if seen && feed.once != "" {
			faults = append(faults, o.Source.Options.Errorf(query.OptionConnector, "%s can be read once, and several queries read it: make it a file", feed.once))
		}
		feed = feed.another()
		flows = append(flows, &flow{name: nameOf(o), out: o, feed: feed, writer: w, kept: &kept{Writer: w, name: nameOf(o), say: std.err}, aside: &quarantine{files: feed.files}})
	}
	return flows, errors.Join(faults...)
}

// checkNames reports each name that is written to and is read too, or written by another: one would take the place of the other.
// Nothing has been written yet.
func (c *runCmd) checkNames(flows []*flow) error {
	var faults []error
	var read []string
	for _, r := range flows {
		read = append(read, r.feed.files.paths...)
	}
	written := map[string]string{}
	check := func(what, path string) {
		if err := notAmong(what, path, read); err != nil {
			faults = append(faults, err)
		}
		same := path
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			same = filepath.Join(dir, filepath.Base(path))
		}
		if abs, err := filepath.Abs(same); err == nil {
			same = abs
		}
		if other, taken := written[same]; taken {
			faults = append(faults, fmt.Errorf("%s: %s is written by %s already: give each its own", what, path, other))
		}
		written[same] = what
	}
	seen := map[*query.Sink]bool{}
	for _, r := range flows {
		if s := r.out.Sink; s != nil && s.Options.Connector() == "file" {
			if seen[s] {
				faults = append(faults, fmt.Errorf("sink %s: two queries are written to it, and would replace each other's file: give each its own", s.Name))
				continue
			}
			seen[s] = true
			check("sink "+s.Name, s.Options.Text("path"))
		}
	}
	if c.Quarantine != "" {
		check("--quarantine", c.Quarantine)
	}
	return errors.Join(faults...)
}

func closeFeeds(flows []*flow) {
	for _, r := range flows {
		r.feed.files.remove()
	}
}

// kept is a writer that the engine does not close: whether what it has is all is known later. It says when it is waiting.
type kept struct {
	record.Writer
	name  string
	say   io.Writer
	said  bool
	begun bool // something has been written
}

// Write says once why it could not; that it is tried again looks like a query that hangs.
func (k *kept) Write(ctx context.Context, b *record.Batch) error {
	err := k.Writer.Write(ctx, b)
	k.begun = k.begun || err == nil
	if !k.said && errors.Is(err, record.ErrTransient) {
		k.said = true
		note(k.say, fmt.Sprintf("velo: %s: %v; it is tried again", k.name, err))
	}
	return err
}

// Close does nothing.
func (*kept) Close() error { return nil }

// start starts an engine for each query; where one does not start, none flows.
func (c *runCmd) start(flows []*flow) error {
	for _, r := range flows {
		readers, err := r.feed.open(c.Readers)
		if err == nil {
			plan := r.out.Plan
			cfg := engine.Config{Plan: plan, Readers: readers, Partitions: c.Partitions, Cores: c.Cores, EpochInterval: -1, OnReject: r.aside.put}
			if plan.Window != nil && plan.Window.OutOfOrder != core.AnyOrder || plan.Streams() {
				cfg.EpochInterval = 0 // windows close, and groups change, while records come
			}
			if plan.Window != nil || plan.Streams() {
				cfg.Writer = r.kept
			}
			if r.engine, err = engine.Start(context.Background(), cfg); err != nil {
				for _, reader := range readers {
					_ = reader.Close() // they have read nothing
				}
			}
		}
		if err != nil {
			for _, other := range flows {
				if other.engine != nil {
					_ = other.engine.Close()
				}
				abandon(other.writer)
			}
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

func abandon(w record.Writer) {
	if f, ok := w.(*writers.File); ok {
		_ = f.Abandon()
	}
}

// wait waits for all queries to end and finishes what each has written. One that fails does not hold up the others.
func (c *runCmd) wait(flows []*flow, stop *stopper, std streams) error {
	var works []work
	for _, r := range flows {
		works = append(works, work{r.engine, r.feed.socket})
	}
	stop.stops(std.err, works...)
	errs := make([]error, len(flows))
	var ended sync.WaitGroup
	for i, r := range flows {
		ended.Go(func() {
			if errs[i] = r.finish(r.engine.Wait()); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", r.name, errs[i])
			}
		})
	}
	ended.Wait()
	interrupted := stop.end()
	for _, r := range flows {
		if c.Stats {
			fmt.Fprintf(std.err, "%s from %s: %v%s\n%s\n", r.name, r.feed.name, r.engine.Stats(), sourceLine(r.feed.name, r.feed.files.extent(), r.engine), r.summary())
		} else if interrupted {
			fmt.Fprintln(std.err, r.summary())
		}
		if k := r.feed.socket; k != nil && (c.Stats || k.turnedAway()) {
			fmt.Fprintf(std.err, "velo: %s: %v\n", r.feed.name, k.Stats())
		}
	}
	short := false
	for _, r := range flows {
		sayLost(std.err, r.name, r.engine)
		short = short || !r.feed.endless && cutShort(r.engine)
		if err := r.aside.report(std.err); err != nil && !errors.Is(err, errAside) {
			errs = append(errs, err)
		} else if err != nil && errors.Join(errs...) == nil {
			errs = append(errs, err)
		}
		if r.aside.err != nil {
			errs = append(errs, r.aside.err)
		}
		_ = r.engine.Close() // it has ended
	}
	switch err := errors.Join(errs...); {
	case stop.twice.Load():
		return errors.Join(errTwice, err)
	case interrupted && short && (err == nil || errors.Is(err, errAside)):
		return errInterrupted
	default:
		return err
	}
}

// finish writes what is to be written at the end, and makes it whole.
func (r *flow) finish(failed error) error {
	if failed == nil && r.out.Plan.Window == nil && !r.out.Plan.Streams() {
		failed = writeAll(r.engine, r.kept)
	}
	if f, ok := r.writer.(*writers.File); ok {
		if failed == nil {
			failed = r.begun(f)
		}
		if failed != nil {
			f.Fail(failed)
			return f.Close()
		}
	} else if failed != nil {
		return failed
	}
	return r.writer.Close()
}

// begun makes a file even of no rows.
func (r *flow) begun(f *writers.File) error {
	if !f.Empty() {
		return nil
	}
	schema, err := r.out.Plan.Written()
	if err != nil {
		return err
	}
	return f.Write(context.Background(), record.NewBatch(schema, 1))
}

// writeAll writes the last snapshot. What is transient is tried again, as the engine does with windows; a second signal ends that.
func writeAll(eng *engine.Engine, w record.Writer) error {
	s := eng.Snapshot()
	defer s.Close()
	some := false
	for b := range s.Batches(record.DefaultRows) {
		some = true
		err := w.Write(context.Background(), b)
		for delay := engine.DefaultRetryMin; errors.Is(err, record.ErrTransient); delay = min(2*delay, engine.DefaultRetryMax) {
			<-time.After(delay)
			err = w.Write(context.Background(), b)
		}
		if err != nil {
			return err
		}
	}
	if some {
		return nil
	}
	schema, err := eng.Plan().Result() // the names all the same
	if err != nil {
		return err
	}
	return w.Write(context.Background(), record.NewBatch(schema, 1))
}

// summary is what an engine has done, in a line.
func summary(name string, eng *engine.Engine) string {
	s := eng.Stats()
	c := s.Counters()
	var b strings.Builder
	fmt.Fprintf(&b, "velo: %s: %d records read, %d groups", name, c.In, s.Groups())
	if s.Output.Windows > 0 {
		fmt.Fprintf(&b, ", %d windows written", s.Output.Windows)
	}
	if s.Output.Retries > 0 {
		fmt.Fprintf(&b, ", %d writes tried again", s.Output.Retries)
	}
	if c.Late > 0 {
		fmt.Fprintf(&b, ", %d records late", c.Late)
	}
	return b.String()
}

// summary is what a query has done, in a line.
func (r *flow) summary() string {
	var b strings.Builder
	b.WriteString(summary(r.name, r.engine))
	if f, ok := r.writer.(*writers.File); ok {
		_, n := f.Whole()
		fmt.Fprintf(&b, ", %d files", n)
	}
	return b.String()
}
