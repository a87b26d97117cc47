package velocli

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

// queryCmd runs a SELECT.
type queryCmd struct {
	Args   []string `arg:"" name:"sql" help:"One SELECT, or several with semicolons between them; FROM names a file, a directory, a pattern of files, or stdin. Files before or after it are read by the name files."`
	Format string   `help:"How to print the result: ${enum}." enum:"${formats}" default:"table"`
	sizing
	Quarantine string `help:"Write the records that could not be read there, an object a line: file, offset, line, reason, bytes." placeholder:"FILE"`
	Stats      bool   `help:"Print what the engine did, to standard error: by source, reader, partition, ring, thread."`
	Live       bool   `help:"Show the greatest groups, rates and queues while the query runs; the result is printed at the end."`

	ExplainSchema bool `help:"Print the columns that would be read, as --schema takes them, and no result."`
	pace
	input
}

// Help is the additional text of velo query --help.
func (queryCmd) Help() string {
	return `FROM names a file, a pattern of files, or stdin. Names with dots or slashes are in double quotes, so the query is in single ones:

    velo query 'SELECT symbol, count(*) AS n, avg(price) FROM "trades.csv" GROUP BY symbol ORDER BY n DESC LIMIT 10'
    velo query "SELECT window_start, sum(size) FROM 'logs/*.csv' GROUP BY tumble(at, INTERVAL '1 hour') ORDER BY 1"
    cat trades.csv | velo query --format csv 'SELECT count(*) FROM stdin'
    velo query --schema 'city text, celsius decimal(4,1)' --no-header 'SELECT city, max(celsius) FROM "t.csv" GROUP BY city'
    velo query 'SELECT symbol, price * size AS value FROM "trades.csv" WHERE size > 100 LIMIT 20'
    velo query --follow --format ndjson 'SELECT symbol, sum(size) AS v FROM "trades.csv" GROUP BY symbol EMIT CHANGES'
    velo query --live 'SELECT user, count(*) AS n FROM "big.csv" GROUP BY user'
    velo query 'SELECT count(*) FROM "big.csv"; SELECT user, max(size) FROM "big.csv" GROUP BY user'
    velo query data/*.parquet 'SELECT symbol, count(*) FROM files GROUP BY symbol'
    velo query 'SELECT u.country, count(*) FROM "big.csv" AS b LEFT JOIN "users.csv" AS u ON b.user = u.id GROUP BY 1'

Several SELECTs are over the same input, which is read once; their results are printed one after the other.

Results go to standard output, everything else to standard error. An interrupt or SIGTERM ends the reading; the result
has what had been read. A second one, more than 0.3 seconds later, ends at once.

With --follow, windows are printed as they close: --watermark says how much later than others a record may come, --idle for
how long a file in which nothing comes is waited for.

Exit statuses: 0; 1 if something failed; 2 if records were set aside, and the result is of the others; 3 if an
interrupt came before the end of the input; 80 if the command line is not understood; 141 if the reader of standard
output has closed it.`
}

// plans compiles the queries over the files that they name.
func (in *input) plans(sql string, std streams, pace *pace) ([]*plan.Plan, *files, error) {
	name, err := query.Stream(sql)
	if err == nil {
		err = in.wantsListed(name)
	}
	if err != nil {
		return nil, nil, err
	}
	f := newNoSource()
	if name != query.NoSource {
		if err := errors.Join(namesOf(name, in.listed, std).faults...); err != nil {
			return nil, nil, err
		}
		f, err = in.open(name, std.in)
	} else if in.Follow {
		err = errors.New("--follow: the query has no FROM")
	}
	if err != nil {
		return nil, nil, err
	}
	f.mostFiles = pace.FollowFiles
	if !f.none {
		err = f.choose(sql)
	}
	if err == nil && f.nested != nil {
		err = f.addNested(mentionsPath(sql))
	}
	var plans []*plan.Plan
	if err == nil {
		f.tables, err = tablesOf(sql, std.in)
	}
	if err == nil {
		err = in.openSubqueries(f, sql, pace, std.err)
	}
	if err == nil {
		plans, err = f.compile(sql, pace)
	}
	if err != nil {
		f.remove()
		return nil, nil, err
	}
	return plans, f, nil
}

// Run runs the command.
func (c *queryCmd) Run(std streams) (err error) {
	stop := newStopper(std.err)
	defer stop.end()
	sql, listed, err := queryOf(c.Args)
	if err != nil {
		return err
	}
	c.listed = listed
	if statement, ok := explained(sql); ok {
		return (&explainCmd{pace: c.pace, input: c.input}).explain(statement, std)
	}
	plans, f, err := c.plans(sql, streams{stop.stdin(std.in), std.out, std.err}, &c.pace)
	if err != nil && stop.cutEarly() {
		return errInterrupted // before the first line, which would say what the columns are
	}
	if err != nil {
		return err
	}
	defer f.remove()
	if stop.cutEarly() {
		f.dropHalfLine()
	}
	if f.said != "" {
		note(std.err, "velo: "+f.said)
	}
	if c.ExplainSchema {
		return printSchema(std.out, f.schema)
	}
	if err := c.fill(1, len(plans)); err != nil {
		return err
	}
	f.saySkipped(f.name, std.err)
	for {
		aside, err := newQuarantine(c.Quarantine, f, std)
		if err != nil {
			return err
		}
		err = c.flow(plans, f, aside, stop, std)
		err = errors.Join(err, aside.close())
		if !errors.Is(err, errAgain) {
			return err
		}
		if err := aside.widening.widen(std.err); err != nil {
			return err
		}
		plans, err = f.compile(sql, &c.pace)
		if err != nil {
			return err
		}
	}
}

// queryHints are what velo query advises about its windows.
var queryHints = hints{
	late: "a longer --watermark keeps windows open",
	open: "a shorter --watermark or --idle closes windows earlier",
}

// flow runs the plans, and prints their results. errAgain says that nothing was printed, because
// columns whose types were guessed have been widened.
func (c *queryCmd) flow(plans []*plan.Plan, f *files, aside *quarantine, stop *stopper, std streams) (err error) {
	streams := slices.ContainsFunc(plans, flows)
	switch {
	case len(plans) > 1 && slices.ContainsFunc(plans, func(p *plan.Plan) bool { return p.From != nil }):
		return errors.New("one of several SELECTs is over the result of another query, which reads the input " +
			"for itself: " +
			"ask for it alone")
	case streams && len(plans) > 1:
		return errors.New("the results of several SELECTs are printed one after the other when all has been " +
			"read, and one " +
			"of these prints rows as they come: ask for it alone, or have velo run write each to a sink of its own")
	case len(plans) > 1 && isBinary(c.Format):
		return fmt.Errorf("--format %s has one result, and there are %d SELECTs: ask for each alone", c.Format,
			len(plans))
	case c.Live && streams:
		return errors.New("--live shows groups while they are counted; this query prints rows as they come")
	case c.Live:
		if _, _, ok := cli.TerminalSize(std.out); !ok {
			return errNoTerminal
		}
	}
	if _, _, ok := cli.TerminalSize(std.out); ok && isBinary(c.Format) {
		return fmt.Errorf("--format %s is not for a terminal: write it to a file, or to a pipe", c.Format)
	}
	if stop.start() && streams {
		return errInterrupted // before anything had come
	}
	rows := &held{to: pipe{std.out}, through: aside.widening == nil || f.allSeen || !streams}
	rows.check = func() error {
		var leaves []*plan.Plan
		for _, p := range plans {
			leaves = append(leaves, p.Leaves()...)
		}
		return aside.widening.check(c.Readers, leaves)
	}
	in := &ingest{
		feed: &feeder{name: f.name, files: f, endless: f.follow}, aside: aside, early: stop.cutEarly(),
	}
	if len(plans) == 1 {
		f.bounds = plans[0].Bounds()
	}
	out := &terminal{to: rows}
	for _, p := range plans {
		q := in.add(&flow{
			name: f.name, plan: p, writer: newLines(c.Format, out, f.follow || f.stdin != nil && closesEarly(p)),
			atEnd: !flows(p), hints: queryHints,
		})
		q.kept = &kept{Writer: q.writer, name: f.name, say: std.err}
	}
	if err := in.start(&c.sizing, c.Live); err != nil {
		return err
	}
	defer in.close()
	var view *background
	if c.Live {
		view, err = showLive(std.out, in.flows...)
		if err != nil {
			return err
		}
	} else if _, _, ok := cli.TerminalSize(std.out); !streams || !ok { // rows would overwrite a bar
		view = showProgress(std.err, f, in.engine)
	}
	stop.stops(work{engine: in.engine})
	read := aside.widening.ends(in.engine)
	err = explain(in.ended())
	read()
	view.stop()
	if aside.widening.some() && !rows.printed && !stop.heard() && (err == nil || errors.Is(err, errAgain)) {
		return errAgain
	}
	interrupted := stop.end()
	if err != nil {
		return err
	}
	return c.finish(in, rows, interrupted, std)
}

// finish prints the results of queries that have been run, and says what is missing in them.
func (c *queryCmd) finish(in *ingest, rows *held, interrupted bool, std streams) error {
	for i, q := range in.flows {
		if c.Stats {
			fmt.Fprintf(std.err, "%v%s\n%s", q.stats(), sourceLine(in.feed.name, in.feed.files.extent(), in.engine),
				in.feed.files.skippedLine())
		} else if interrupted {
			fmt.Fprintln(std.err, q.summary())
		}
		if i > 0 && c.Format != formatNDJSON {
			fmt.Fprintln(rows)
		}
		if err := q.finish(nil); err != nil {
			return err
		}
	}
	if err := rows.release(); err != nil {
		return err
	}
	for _, q := range in.flows {
		q.sayLost(std.err)
	}
	tables := in.feed.files.tables
	if c.Stats {
		tableLines(tables, std.err)
	}
	sayMisses(tables, std.err)
	err := in.aside.report(std.err)
	if interrupted && in.short() {
		return errInterrupted
	}
	return err
}

// explainCmd prints a plan.
type explainCmd struct {
	Args []string `arg:"" name:"sql" help:"One SELECT. Files before or after it are read by the name files."`
	pace
	input
}

// Run runs the command.
func (c *explainCmd) Run(std streams) error {
	sql, listed, err := queryOf(c.Args)
	if err != nil {
		return err
	}
	c.listed = listed
	return c.explain(sql, std)
}

// explain prints the plans of the SELECTs of a text.
func (c *explainCmd) explain(sql string, std streams) error {
	plans, f, err := c.plans(sql, std, &c.pace)
	if err != nil {
		return err
	}
	defer f.remove()
	for i, p := range plans {
		text, err := p.Explain()
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintln(std.out)
		}
		fmt.Fprint(std.out, text)
	}
	return nil
}

// schemaCmd prints the columns of a file.
type schemaCmd struct {
	Files []string `arg:"" name:"file" help:"A file, a directory, a pattern of files, or stdin; or several."`
	input
}

// Run runs the command.
func (c *schemaCmd) Run(std streams) error {
	name := c.Files[0]
	if len(c.Files) > 1 {
		name, c.listed = filesName, c.Files
	}
	if err := errors.Join(namesOf(name, c.listed, std).faults...); err != nil {
		return err
	}
	f, err := c.open(name, std.in)
	if err != nil {
		return err
	}
	defer f.remove()
	if f.said != "" {
		note(std.err, "velo: "+f.said)
	}
	if f.schema == nil && f.whole != nil {
		return tooWide(f.name, len(f.whole.columns))
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

// printSchema prints columns in the form that --schema takes.
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
