package velocli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/velo-engine/velo/connect"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// maxJobBytes is how much of a job is read: one byte more than a text may have, so that the parser
// reports the length of the text.
const maxJobBytes = 1<<20 + 1

// runCmd runs a job.
type runCmd struct {
	Job    string `arg:"" help:"A file with CREATE SOURCE, TABLE, SINK, INSERT INTO and maybe a SELECT; - is standard input."`
	Format string `help:"How to print the result of a SELECT without a sink: ${enum}." enum:"table,csv,ndjson" default:"table"`
	sizing
	durability
	observed
	Quarantine string `help:"Write the records that could not be read there, an object a line: file, offset, line, reason, bytes." placeholder:"FILE"`
	Stats      bool   `help:"Print what the engines did, to standard error."`
	Live       bool   `help:"Show on standard error, in a terminal, what each query and each source does while the job runs."`
	SkipGaps   bool   `help:"Skip this once, and count, what a source cannot give any more."`
	Check      bool   `help:"Compile the job, print its queries, and run nothing."`

	serves bool // views are read by others
}

// Help is the additional text of velo run --help.
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

    source  file       path, format (auto, csv, tsv, ndjson), delimiter, header (true, false, skip), time.unit, follow, follow.files, idle
            stdin      the same without path and follow
            tcp        address (host:port, of this machine unless there are certificate, key and token.file),
                       format (csv, tsv, ndjson), delimiter, header, time.unit, connections,
                       connections.idle, connections.peer, admit.within
            unix       path of the socket, and the options of tcp
            push       time.unit, time.format, time.zone, strict; objects of JSON, pushed over HTTP; velo serve only
            generator  rows, groups, distribution (uniform, zipf, sequential), seed; two bigint columns
    sink    file       path, format (csv, ndjson), rotate.bytes, rotate.every, flush.every, full (stop, wait)
            stdout     format (table, csv, ndjson)
    table   a source with an end, and a PRIMARY KEY, for JOIN: also refresh, max.stale, on.stale (keep, fail), max.bytes
            in velo serve also: view       query (a SELECT over views of other jobs)
` + moreConnectors() + `
An interrupt or SIGTERM ends the reading, and what has been read is written, except windows that are not closed then.
A second one ends at once.

With --state DIR the job goes on after a restart, and after a crash, where it stopped: DIR has a folder for each source,
with the groups of all queries over it. A query is known by its sink's name (select if there is none); one that comes or
goes is refused without --new-query or --drop-query. At the start the program says for each query what is guaranteed.
An interrupt saves the state; a result that has no windows is written only when the input has come to its end.

    velo run job.sql --state state
    velo state show state

Exit statuses: 0; 1 if something failed; 2 if records were set aside; 3 if an input had not come to its end; 80 if the
command line is not understood; 141 if the reader of standard output has closed it: the sinks are written.`
}

// Run runs the command.
func (c *runCmd) Run(std streams) (err error) {
	say := &heldBack{to: std.err}
	text, err := c.text(std.in)
	if err != nil {
		return err
	}
	job, err := query.CompileJob(text, connect.Default)
	if err != nil {
		return fmt.Errorf("%s: %w%s", c.Job, err, otherProgram(err))
	}
	if err := errors.Join(c.fill(c.ingests(job), len(job.Outputs)), c.check(job, std)); err != nil {
		return err
	}
	if c.Check {
		for _, o := range job.Outputs {
			fmt.Fprintf(std.out, "%s: %s\n", nameOf(o), o.Text)
		}
		return nil
	}
	all := std
	if c.Live {
		std.err = say
	}
	stop := newStopper(std.err)
	stop.saves = c.State != ""
	defer stop.end()
	opened := streams{stop.stdin(std.in), std.out, std.err}
	ins, err := c.open(job, opened)
	err = errors.Join(err, prepareTables(job, opened, nil))
	defer closeFeeds(ins)
	if stop.cutEarly() {
		return errInterrupted // before anything had come
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
		for _, in := range ins {
			in.aside.file = set
		}
	}
	listener, token, err := c.listenMetrics(std)
	if err != nil {
		return err
	}
	if listener != nil {
		defer listener.Close() // serving closes it, too
	}
	if stop.start() {
		return errInterrupted
	}
	beforeStart()
	if c.Live {
		if err := checkLive(flowsOf(ins), all); err != nil {
			return err
		}
	}
	if err := c.start(job, ins); err != nil {
		return err
	}
	defer serveMetrics(listener, token, jobName(c.Job), ins).stop()
	var view *background
	if c.Live {
		view = showJob(say, flowsOf(ins))
	}
	err = c.wait(ins, stop, view, std.err)
	if c.Stats {
		tableLines(lookups(job), std.err)
	}
	sayMisses(lookups(job), std.err)
	return err
}

// beforeStart is called when everything is open and nothing runs yet. A test uses it to remove a
// folder.
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

// nameOfSelect is what a SELECT without a sink is called.
const nameOfSelect = "SELECT"

// nameOf is what messages call a query, and by which a state knows it.
func nameOf(o *query.Output) string {
	switch {
	case o.View != nil:
		return o.View.Name
	case o.Sink == nil:
		return nameOfSelect
	}
	return o.Sink.Name
}

// ingests is how many engines a job needs: one for each source that is read, except for queries
// that have one of their own.
func (c *runCmd) ingests(job *query.Job) int {
	sources, apart := map[*query.Source]bool{}, 0
	for _, o := range job.Outputs {
		if c.chained(o) || c.apart(job, o.Source) {
			apart++
		} else {
			sources[o.Source] = true
		}
	}
	return len(sources) + apart
}

// chained says whether a query is over the result of another that an engine of its own computes. If
// the job keeps its state, the query is computed from the groups of the other: see overCut.
func (c *runCmd) chained(o *query.Output) bool { return o.Plan.From != nil && c.State == "" }

// open opens everything that the job names, before anything runs. The error lists everything that
// is wrong. A source is opened once, and is read once for all queries over it, except for those
// over the result of another, and those whose states have folders of their own.
func (c *runCmd) open(job *query.Job, std streams) (ins []*ingest, err error) {
	var faults []error
	feeds := map[*query.Source]*feeder{}
	shared := map[*query.Source]*ingest{}
	out := &terminal{to: std.out}
	for _, o := range job.Outputs {
		feed, seen := feeds[o.Source]
		if !seen {
			feed, err = openSource(o.Source, std, c.SkipGaps)
			if err != nil {
				faults = append(faults, err)
			} else {
				feed.files.saySkipped(feed.name, std.err)
			}
			feeds[o.Source] = feed
		}
		if feed == nil {
			continue
		}
		in, alone := shared[o.Source], c.apart(job, o.Source)
		if in == nil || alone || c.chained(o) {
			// only after it was opened is it known whether standard input is a file
			if seen && feed.once != "" {
				faults = append(faults, readOnce(o, feed.once))
			}
			feed = feed.another()
			in = &ingest{feed: feed, aside: &quarantine{files: feed.files}, alone: alone}
			if s := c.stateOf(job, o); s != nil {
				in.state = &keptState{State: s}
			}
			if !c.chained(o) {
				shared[o.Source] = in
			}
			ins = append(ins, in)
		}
		w, err := openSink(o, c.Format, std, out,
			feed.endless || c.State != "" || feed.once != "" && closesEarly(o.Plan), c.State != "")
		if err != nil {
			faults = append(faults, err)
		}
		f := in.add(&flow{
			name: nameOf(o), plan: o.Plan, sink: o.Sink, writer: w,
			kept:  &kept{Writer: w, name: nameOf(o), say: std.err},
			atEnd: o.Plan.Window == nil && !o.Plan.Streams() && o.View == nil, view: o.View != nil,
			hints: runHints,
		})
		if o.Plan.From != nil && !c.chained(o) {
			f.plan, f.written, f.atEnd = keptPlan(o), o.Plan, o.View == nil
			f.over, f.overBytes = func() (*plan.Plan, error) { return overCut(o) }, c.stateBytes
		}
	}
	return ins, errors.Join(faults...)
}

// closeFeeds closes what has been opened. For sinks it discards what has not been written to its
// end.
func closeFeeds(ins []*ingest) {
	for _, in := range ins {
		in.feed.files.remove()
	}
	for _, f := range flowsOf(ins) {
		abandon(f.writer)
	}
}

// flowsOf are all queries.
func flowsOf(ins []*ingest) (all []*flow) {
	for _, in := range ins {
		all = append(all, in.flows...)
	}
	return all
}

// settle compares what the folders have with the queries of the job, before anything runs.
func (c *runCmd) settle(job *query.Job, ins []*ingest) error {
	var faults []error
	for _, in := range ins {
		faults = append(faults, in.settle(&c.durability))
	}
	err := errors.Join(faults...)
	if err != nil {
		return fmt.Errorf("%w\n--fresh begins anew, and puts the old state aside", err)
	}
	return c.putAside(job)
}

// start starts an engine for each source. If one does not start, none runs.
func (c *runCmd) start(job *query.Job, ins []*ingest) error {
	if err := c.settle(job, ins); err != nil {
		return err
	}
	for _, in := range ins {
		if err := in.start(&c.sizing, c.Live); err != nil {
			for _, other := range ins {
				other.close()
			}
			return fmt.Errorf("%s: %w", in.names(), stateHint(err))
		}
	}
	for _, f := range flowsOf(ins) {
		if f.state != nil {
			f.sayState()
		}
	}
	return nil
}

// abandon closes a writer and discards what is not complete. A writer that has been closed is left
// alone.
func abandon(w record.Writer) {
	switch w := w.(type) {
	case *writers.File:
		if w != nil {
			_ = w.Abandon()
		}
	case connect.Aborter:
		w.Abort(nil)
		_ = w.Close()
	}
}

// runHints are what a job advises about its windows.
var runHints = hints{
	late: "a longer interval in WATERMARK keeps windows open",
	open: "a shorter interval in WATERMARK, or the option idle of the source, closes windows earlier",
}

// wait waits for all queries to end and finishes what each has written. A query that fails does not
// hold up the others.
func (c *runCmd) wait(ins []*ingest, stop *stopper, view *background, say io.Writer) error {
	var works []work
	for _, in := range ins {
		works = append(works, work{in.engine, in.feed.socket})
	}
	stop.stops(works...)
	flows := flowsOf(ins)
	errs := make([]error, len(flows))
	var ended sync.WaitGroup
	for i, f := range flows {
		ended.Go(func() {
			errs[i] = f.finish(f.wait())
			if errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", f.name, errs[i])
			}
			if errors.Is(errs[i], errPiped) {
				note(say, fmt.Sprintf("velo: %s: %v: the rest of the result is not printed", f.name, errPiped))
			}
		})
	}
	ended.Wait()
	interrupted := stop.end()
	view.stop()
	for _, f := range flows {
		c.report(f, interrupted, say)
	}
	short := false
	for _, f := range flows {
		f.sayLost(say)
	}
	for _, in := range ins {
		short = short || in.short()
		if err := in.aside.report(say); err != nil && !errors.Is(err, errAside) {
			errs = append(errs, err)
		} else if err != nil && errors.Join(errs...) == nil {
			errs = append(errs, err)
		}
		if in.aside.err != nil {
			errs = append(errs, in.aside.err)
		}
		if k := in.feed.socket; k != nil && (c.Stats || k.turnedAway()) {
			fmt.Fprintf(say, "velo: %s: %v\n", in.feed.name, k.Stats())
		}
		if c.Stats {
			fmt.Fprint(say, in.feed.files.skippedLine())
		}
		in.close()
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

// report says what a flow that has ended has done, if the user asked for it or a signal ended it.
func (c *runCmd) report(f *flow, interrupted bool, to io.Writer) {
	if c.Stats {
		fmt.Fprintf(to, "%s from %s: %v%s\n%s\n", f.name, f.feed.name, f.stats(),
			sourceLine(f.feed.name, f.feed.files.extent(), f.engine), f.summary())
	} else if interrupted {
		fmt.Fprintln(to, f.summary())
	}
}
