package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// queryCmd runs a SELECT.
type queryCmd struct {
	SQL    string `arg:"" name:"sql" help:"One SELECT; FROM names a file, a directory, a pattern of files, or stdin."`
	Format string `help:"How to print the result: ${enum}." enum:"table,csv,ndjson" default:"table"`
	shape
	Quarantine string `help:"Write the records that could not be read there, an object a line: file, offset, line, reason, bytes." placeholder:"FILE"`
	Stats      bool   `help:"Print what the engine did, to standard error: by source, reader, partition, ring, thread."`
	Live       bool   `help:"Show the greatest groups, rates and queues while the query runs; the result is printed at the end."`

	ExplainSchema bool `help:"Print the columns that would be read, as --schema takes them, and no result."`
	input
}

// Help is what velo query --help says besides.
func (queryCmd) Help() string {
	return `FROM names a file, a pattern of files, or stdin. Names with dots or slashes are in double quotes, so the query is in single ones:

    velo query 'SELECT symbol, count(*) AS n, avg(price) FROM "trades.csv" GROUP BY symbol ORDER BY n DESC LIMIT 10'
    velo query "SELECT window_start, sum(size) FROM 'logs/*.csv' GROUP BY tumble(at, INTERVAL '1 hour') ORDER BY 1"
    cat trades.csv | velo query --format csv 'SELECT count(*) FROM stdin'
    velo query --schema 'city text, celsius decimal(4,1)' --no-header 'SELECT city, max(celsius) FROM "t.csv" GROUP BY city'
    velo query 'SELECT symbol, price * size AS value FROM "trades.csv" WHERE size > 100 LIMIT 20'
    velo query --follow --format ndjson 'SELECT symbol, sum(size) AS v FROM "trades.csv" GROUP BY symbol EMIT CHANGES'
    velo query --live 'SELECT user, count(*) AS n FROM "big.csv" GROUP BY user'

Results go to standard output, everything else to standard error. An interrupt or SIGTERM ends the reading; the result is
that of what has been read. A second one ends at once.

Exit statuses: 0; 1 where something failed; 2 where records were set aside, and the result is that of the others; 3 where
an interrupt came before the end of the input; 80 where the command line is not understood.`
}

// plan compiles the query over the files that it names.
func (in *input) plan(sql string, stdin io.Reader) (*core.Plan, *files, error) {
	name, err := query.Stream(sql)
	if err != nil {
		return nil, nil, err
	}
	f, err := in.open(name, stdin)
	if err != nil {
		return nil, nil, err
	}
	err = f.choose(sql)
	if err == nil && f.nested != nil {
		err = f.addNested(mentionsPath(sql))
	}
	var plan *core.Plan
	if err == nil {
		plan, err = f.compile(sql)
	}
	if err != nil {
		f.remove()
		return nil, nil, err
	}
	return plan, f, nil
}

// Run runs the command.
func (c *queryCmd) Run(std streams) (err error) {
	plan, f, err := c.plan(c.SQL, std.in)
	if err != nil {
		return err
	}
	defer f.remove()
	if f.said != "" {
		note(std.err, "velo: "+f.said)
	}
	if c.ExplainSchema {
		return printSchema(std.out, f.schema)
	}
	if err := c.fill(1); err != nil {
		return err
	}
	for {
		aside, err := newQuarantine(c.Quarantine, f)
		if err != nil {
			return err
		}
		if err = c.pass(plan, f, aside, std); !errors.Is(err, errAgain) {
			return err
		}
		if err := aside.widening.widen(std.err); err != nil {
			return err
		}
		if plan, err = f.compile(c.SQL); err != nil {
			return err
		}
	}
}

// pass runs the query once. errAgain says that there is no result, because columns that were guessed have been widened.
func (c *queryCmd) pass(plan *core.Plan, f *files, aside *quarantine, std streams) (err error) {
	defer func() { err = errors.Join(err, aside.close()) }()
	rs, err := f.readers(c.Readers)
	if err != nil {
		return err
	}
	interval := time.Duration(-1)
	if c.Live {
		if plan.Streams() {
			return errors.New("--live shows groups while they are counted; this query prints rows as they come")
		}
		if _, _, ok := terminalSize(std.out); !ok {
			return errNoTerminal
		}
		interval = liveEvery
	}
	cfg := engine.Config{Plan: plan, Readers: rs, Partitions: c.Partitions, Cores: c.Cores, EpochInterval: interval, OnReject: aside.put}
	var out *kept
	rows := &held{to: std.out, through: aside.widening == nil || f.allSeen}
	if plan.Streams() { // rows are printed as they come
		rows.check = func() error { return aside.widening.check(c.Readers) }
		out = &kept{Writer: newLines(c.Format, &terminal{to: rows}), name: f.name, say: std.err}
		cfg.Writer, cfg.EpochInterval = out, 0
	}
	stop := listen()
	eng, err := engine.Start(context.Background(), cfg)
	if err != nil {
		stop.end()
		return err
	}
	defer eng.Close()
	var view *background
	if c.Live {
		if view, err = showLive(std.out, f.name, eng); err != nil {
			return err
		}
	} else if _, _, ok := terminalSize(std.out); out == nil || !ok { // rows and a bar would be written over each other
		view = showProgress(std.err, f, eng)
	}
	stop.stops(std.err, work{engine: eng})
	read := aside.widening.ends(eng)
	err = eng.Wait()
	read()
	view.stop()
	interrupted := stop.end()
	if aside.widening.some() && !rows.printed && !interrupted && (err == nil || errors.Is(err, errAgain)) {
		return errAgain
	}
	if err != nil {
		return err
	}
	if c.Stats {
		fmt.Fprintf(std.err, "%v%s\n", eng.Stats(), sourceLine(f.name, f.extent(), eng))
	} else if interrupted {
		fmt.Fprintln(std.err, summary(f.name, eng))
	}
	if out != nil {
		err = errors.Join(out.end(plan), rows.release())
	} else {
		err = printResult(eng, c.Format, std.out)
	}
	if err != nil {
		return err
	}
	sayLost(std.err, f.name, eng)
	err = aside.report(std.err)
	if interrupted && !f.follow && cutShort(eng) { // what is followed has no other end
		return errInterrupted
	}
	return err
}

// end prints what is left of rows that were printed as they came; of none, the names.
func (k *kept) end(plan *core.Plan) error {
	if !k.begun {
		schema, err := plan.Written()
		if err != nil {
			return err
		}
		if err := k.Writer.Write(context.Background(), record.NewBatch(schema, 1)); err != nil {
			return err
		}
	}
	return k.Writer.Close()
}

// printResult prints the last snapshot.
func printResult(eng *engine.Engine, format string, to io.Writer) error {
	p := newPrinter(format, to)
	if err := writeAll(eng, p); err != nil {
		return err
	}
	return p.Close()
}

// quarantine takes the records that could not be read. put is called by one goroutine.
type quarantine struct {
	files    *files
	file     *os.File
	n        int
	first    string
	err      error
	widening *widening // nil where the files cannot be read again, or nothing is guessed
	guess    string    // the column whose guess did not hold, of what cannot be read again
}

func newQuarantine(path string, f *files) (*quarantine, error) {
	q := &quarantine{files: f}
	if f.again() {
		q.widening = newWidening(f)
	}
	var err error
	if path != "" {
		if err := notAmong("--quarantine "+path, path, f.paths); err != nil {
			return nil, err
		}
		q.file, err = os.Create(path)
	}
	return q, err
}

// notAmong says whether a name that is to be written is that of a file that is read, by whatever way it leads there.
func notAmong(what, path string, read []string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // it is not there yet
	}
	for _, other := range read {
		if o, err := os.Stat(other); err == nil && os.SameFile(info, o) {
			return fmt.Errorf("%s: that is the file %s, which is read: give it another name", what, other)
		}
	}
	return nil
}

// sayLost says what is not in a result and was not set aside, a line each.
func sayLost(to io.Writer, name string, eng *engine.Engine) {
	c := eng.Stats().Counters()
	if c.Late > 0 {
		note(to, fmt.Sprintf("velo: %s: %d records were late, their windows had closed, and are not in the result; a longer interval in WATERMARK keeps windows open", name, c.Late))
	}
	if c.Shed > 0 {
		note(to, fmt.Sprintf("velo: %s: %d records were dropped, there was no memory for their groups", name, c.Shed))
	}
}

func (q *quarantine) put(reader int, r record.Reject) {
	file, where := q.files.place(reader, r)
	if !q.widening.takes(file+", "+where, r.Reason) {
		q.sayGuess(r.Reason)
	}
	if q.n++; q.n == 1 {
		if len(q.files.paths) > 1 {
			where = file + ", " + where
		}
		q.first = fmt.Sprintf("%s: %v", where, r.Reason)
	}
	if q.file == nil || q.err != nil {
		return
	}
	q.err = json.NewEncoder(q.file).Encode(map[string]any{
		"file": file, "offset": r.Offset, "line": r.Line, "reason": r.Reason.Error(), "bytes": string(r.Bytes),
	})
}

// place is the file of a record and where it is in that.
func (f *files) place(reader int, r record.Reject) (file, where string) {
	file = f.name
	if reader < len(f.sources) {
		file = f.sources[reader]
	}
	switch {
	case r.Line > 0:
		return file, fmt.Sprintf("line %d", r.Line)
	case r.Offset < 0:
		return file, "a record"
	}
	return file, fmt.Sprintf("byte %d", r.Offset)
}

// sayGuess notes the first column whose guess a value that cannot be read again did not fit.
func (q *quarantine) sayGuess(reason error) {
	var e *readers.ValueError
	if q.guess != "" || q.files.guessed == nil || !errors.As(reason, &e) {
		return
	}
	if i, ok := q.files.schema.Index(e.Column); ok {
		q.guess = fmt.Sprintf("; column %q was guessed to be %v from what had come until then: --schema declares its type", e.Column, q.files.schema.Field(i).Type)
	}
}

func (q *quarantine) close() error {
	if q.file == nil {
		return q.err
	}
	return errors.Join(q.err, q.file.Close())
}

// report says how many there were.
func (q *quarantine) report(to io.Writer) error {
	if q.n == 0 {
		return nil
	}
	hint := "; --quarantine writes them to a file"
	if q.file != nil {
		hint = ""
	}
	what := fmt.Sprintf("%d records could not be read and are not in the result, the first in", q.n)
	if q.n == 1 {
		what = "a record could not be read and is not in the result,"
	}
	fmt.Fprintf(to, "velo: %s %s%s%s\n", what, q.first, q.guess, hint)
	return errAside
}

// explainCmd prints a plan.
type explainCmd struct {
	SQL string `arg:"" name:"sql" help:"One SELECT."`
	input
}

// Run runs the command.
func (c *explainCmd) Run(std streams) error {
	plan, f, err := c.plan(c.SQL, std.in)
	if err != nil {
		return err
	}
	defer f.remove()
	text, err := plan.Explain()
	if err != nil {
		return err
	}
	fmt.Fprint(std.out, text)
	return nil
}

// schemaCmd prints the columns of a file.
type schemaCmd struct {
	File string `arg:"" help:"A file, a directory, a pattern of files, or stdin."`
	input
}

// Run runs the command.
func (c *schemaCmd) Run(std streams) error {
	f, err := c.open(c.File, std.in)
	if err != nil {
		return err
	}
	defer f.remove()
	if f.said != "" {
		note(std.err, "velo: "+f.said)
	}
	if f.schema == nil {
		return tooWide(f.name, len(f.guessed))
	}
	if f.nested != nil {
		if err := f.addNested(func(string) bool { return true }); err != nil {
			return err
		}
	}
	return printSchema(std.out, f.schema)
}

// printSchema prints columns as --schema takes them.
func printSchema(to io.Writer, schema *record.Schema) error {
	for i := range schema.Len() {
		field := schema.Field(i)
		end := ","
		if i == schema.Len()-1 {
			end = ""
		}
		null := " not null"
		if field.Nullable {
			null = ""
		}
		fmt.Fprintf(to, "%q %v%s%s\n", field.Name, field.Type, null, end)
	}
	return nil
}
