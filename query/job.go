package query

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/internal/interval"
	"github.com/velo-engine/velo/lookup"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query/internal/syntax"
	"github.com/velo-engine/velo/record"
)

// MaxOutputs bounds the queries of a job, because each of them is given threads.
const MaxOutputs = 64

// A Job is one text that says where records come from, what is made of them and where that goes:
//
//	CREATE SOURCE trades (symbol text NOT NULL, size bigint, at timestamp NOT NULL,
//	  WATERMARK FOR at AS at - INTERVAL '5 s')
//	  WITH (connector = 'file', path = 'trades.csv', format = 'csv');
//	CREATE SINK volumes WITH (connector = 'file', path = 'volumes.csv');
//	INSERT INTO volumes SELECT window_start, symbol, sum(size) AS volume
//	  FROM trades GROUP BY symbol, tumble(at, INTERVAL '1 minute');
//	SELECT symbol, count(*) FROM trades GROUP BY symbol
//
// It is only data: the caller that runs it opens sources and sinks as their options say.
type Job struct {
	Sources []*Source // in the order of the text
	Tables  []*Table  // in the order of the text
	Outputs []*Output // in the order of the text
	Sinks   []*Sink   // in the order of the text
}

// A Source is a CREATE SOURCE.
type Source struct {
	Name      string
	Schema    *record.Schema
	Watermark *Watermark // nil if there is none
	Options   *Options
}

// A Table is a CREATE TABLE with a PRIMARY KEY: rows that queries join their records with. The
// caller says how Lookup is loaded, with its Configure, before a plan over it is started.
type Table struct {
	Name    string
	Options *Options
	Lookup  *lookup.Table // its Config has Refresh, MaxStale and OnStale as the options say
}

// A Watermark is WATERMARK FOR column AS column - INTERVAL '...': records come at most OutOfOrder
// later than others. The column may be NULL, and may be of any type that windows can make their
// time of.
type Watermark struct {
	Column     string
	OutOfOrder time.Duration
}

// A Sink is a CREATE SINK.
type Sink struct {
	Name    string
	Options *Options
}

// A View is a CREATE MATERIALIZED VIEW: the groups of its query are kept, and are read by its name.
type View struct {
	Name    string
	Options *Options
}

// viewOptions are the options of a view.
var viewOptions = []connect.Option{
	{Name: OptionRetain, Kind: connect.Int},
	{Name: OptionComment},
}

// The options of a view: how many closed windows it shows, and what people are told about it.
const (
	OptionRetain  = "retain"
	OptionComment = "comment"
)

// An Output is a query and the place where its result goes.
type Output struct {
	Source *Source
	Sink   *Sink // nil if the result is printed, or read by a name
	View   *View // nil if it goes to a sink, or is printed
	Plan   *plan.Plan
	Text   string // text of the query
}

// CompileJob compiles a text of several statements, in any order, to a job. The error joins all
// faults in the order of their places, except those that only follow from others. connectors are
// those that may be named, so that misspelt names are faults of the text, with their place, before
// anything is opened; nil accepts all connectors, and all options.
//
// A plan with a window takes its OutOfOrder from the watermark of its source; the window must be
// over the watermark's column. If the source has no watermark, no record is late, and windows close
// at the end of the input.
func CompileJob(text string, connectors *connect.Registry) (*Job, error) {
	all, faults := syntax.ParseAll(text)
	j := &jobCompiler{
		text: text, faults: faults, broken: len(faults) > 0, sources: map[string]*Source{},
		tables: map[string]*Table{}, sinks: map[string]*Sink{}, fed: map[string]bool{}, views: map[string]*View{},
		viewed: map[string]bool{}, named: map[string]*syntax.CreateView{},
	}
	j.declare(all, connectors)
	j.queries(all)
	if len(j.faults) > 0 {
		return nil, joined(j.faults)
	}
	return &j.job, nil
}

// joined joins faults in the order of their places.
func joined(faults []error) error {
	var flat []error
	for _, f := range faults {
		if many, ok := f.(interface{ Unwrap() []error }); ok {
			flat = append(flat, many.Unwrap()...)
		} else {
			flat = append(flat, f)
		}
	}
	place := func(err error) syntax.Pos {
		if at := new(syntax.Error); errors.As(err, &at) {
			return at.Pos
		}
		return -1
	}
	slices.SortStableFunc(flat, func(a, b error) int { return cmp.Compare(place(a), place(b)) })
	return errors.Join(flat...)
}

// jobCompiler compiles one job.
type jobCompiler struct {
	text    string
	faults  []error
	broken  bool // a statement could not be read: it may have had what seems to be missing
	job     Job
	sources map[string]*Source // Schema is nil if the columns have faults
	tables  map[string]*Table  // Lookup is nil if the columns have faults
	sinks   map[string]*Sink
	fed     map[string]bool // sinks that have an input
	views   map[string]*View
	viewed  map[string]bool               // views that have been compiled
	named   map[string]*syntax.CreateView // views that are not materialized
}

func (j *jobCompiler) fault(pos syntax.Pos, format string, args ...any) {
	j.faults = append(j.faults, syntax.ErrorAt(j.text, pos, format, args...))
}

// declare notes sources and sinks, so that queries may come before them.
func (j *jobCompiler) declare(all []syntax.Statement, known *connect.Registry) {
	var sources, sinks []string
	var findSource, findSink func(string) ([]connect.Option, bool)
	if known != nil {
		sources, sinks = known.Sources(), known.Sinks()
		findSource = func(name string) ([]connect.Option, bool) {
			s, ok := known.Source(name)
			return s.Options, ok
		}
		findSink = func(name string) ([]connect.Option, bool) {
			s, ok := known.Sink(name)
			return s.Options, ok
		}
	}
	for _, s := range all {
		switch s := s.(type) {
		case *syntax.CreateSource:
			if j.taken(s.Pos, s.Name, s.IfNotExists) {
				continue
			}
			if len(s.Key) > 0 {
				t := j.table(s, sources, findSource)
				j.tables[s.Name] = t
				j.job.Tables = append(j.job.Tables, t)
				continue
			}
			source := &Source{Name: s.Name, Options: j.options(s.Pos, "source", s.Options, sources, findSource)}
			source.Schema = j.columns(s)
			source.Watermark = j.watermark(s, source.Schema)
			j.sources[s.Name] = source
			j.job.Sources = append(j.job.Sources, source)
		case *syntax.CreateSink:
			if j.taken(s.Pos, s.Name, s.IfNotExists) {
				continue
			}
			sink := &Sink{Name: s.Name, Options: j.options(s.Pos, "sink", s.Options, sinks, findSink)}
			j.sinks[s.Name] = sink
			j.job.Sinks = append(j.job.Sinks, sink)
		case *syntax.CreateView:
			if j.taken(s.Pos, s.Name, s.IfNotExists) {
				continue
			}
			if !s.Materialized {
				j.named[s.Name] = s
				continue
			}
			j.views[s.Name] = &View{Name: s.Name, Options: j.viewOptions(s)}
		}
	}
}

// taken says whether a name exists already. That is a fault, unless it was foreseen (IF NOT
// EXISTS).
func (j *jobCompiler) taken(pos syntax.Pos, name string, foreseen bool) bool {
	_, source := j.sources[name]
	_, sink := j.sinks[name]
	_, table := j.tables[name]
	_, view := j.views[name]
	_, named := j.named[name]
	view = view || named
	if (source || sink || table || view) && !foreseen {
		j.fault(pos, "%q is there already: each source, table, sink and view has a name of its own", name)
	}
	return source || sink || table || view
}

// viewOptions reads the options of a view.
func (j *jobCompiler) viewOptions(s *syntax.CreateView) *Options {
	o := j.options(s.Pos, "view", s.Options, nil, nil)
	for i := range viewOptions {
		j.option(o, "view", &viewOptions[i])
	}
	for _, given := range s.Options {
		if given.Key != OptionRetain && given.Key != OptionComment {
			j.fault(given.Pos, "a view has no option %q%s", given.Key,
				nearest(given.Key, []string{OptionRetain, OptionComment}))
		}
	}
	return o
}

// view compiles a materialized view.
func (j *jobCompiler) view(s *syntax.CreateView) {
	v := j.views[s.Name]
	if v == nil || j.viewed[s.Name] {
		return
	}
	j.viewed[s.Name] = true
	if s.As.Emit == syntax.EmitChanges {
		j.fault(s.As.Pos, "EMIT CHANGES in a view: a view shows its groups as they are; leave it out")
		return
	}
	before := len(j.job.Outputs)
	j.output(nil, s.As)
	if len(j.job.Outputs) == before {
		return // its faults have been reported
	}
	o := j.job.Outputs[before]
	o.View = v
	if o.Plan.PassesThrough() && (o.Plan.From == nil || o.Plan.Innermost().PassesThrough()) {
		j.fault(s.As.Pos, "the view %q passes records through and has no groups to keep: GROUP BY, or an aggregate; "+
			"INSERT INTO a sink writes records", s.Name)
	}
	if w := o.Plan.Window; w != nil {
		w.Retain = int(v.Options.Int(OptionRetain))
		if w.Retain > plan.MaxRetain {
			j.fault(v.Options.places[OptionRetain], "%d windows to retain, at most %d are allowed", w.Retain,
				plan.MaxRetain)
		}
	} else if v.Options.Has(OptionRetain) {
		j.fault(v.Options.places[OptionRetain], "option %q is for views with windows: how many closed ones are shown",
			OptionRetain)
	}
}

// columns makes the schema of a source, or nil if it has faults.
func (j *jobCompiler) columns(s *syntax.CreateSource) *record.Schema {
	if len(s.Columns) == 0 {
		j.fault(s.Pos, "source %q has no columns, expected their names and types: CREATE SOURCE %s (name type, ...)",
			s.Name, s.Name)
		return nil
	}
	before := len(j.faults)
	var fields []record.Field
	seen := map[string]bool{}
	for _, c := range s.Columns {
		t, err := typeNamed(c.Type)
		if err != nil {
			j.fault(c.Type.Pos, "column %q: %v", c.Name, err)
		}
		if seen[c.Name] {
			j.fault(c.Pos, "column %q is given twice", c.Name)
		}
		seen[c.Name] = true
		fields = append(fields, record.Field{Name: c.Name, Type: t, Nullable: !c.NotNull})
	}
	if len(j.faults) > before {
		return nil
	}
	schema, err := record.NewSchema(s.Name, fields...)
	if err != nil {
		j.fault(s.Pos, "%v", err)
		return nil
	}
	return schema
}

// watermark reads column, or column - INTERVAL '...'.
func (j *jobCompiler) watermark(s *syntax.CreateSource, schema *record.Schema) *Watermark {
	w := s.Watermark
	if w == nil || schema == nil {
		return nil
	}
	i, ok := schema.Index(w.Column.Name)
	if !ok {
		var names []string
		for i := range schema.Len() {
			names = append(names, schema.Field(i).Name)
		}
		j.fault(w.Column.Pos, "there is no column %q%s", w.Column.Name, nearest(w.Column.Name, names))
		return nil
	}
	// For a column of another type, windows make their time of it: tumble(to_timestamp(ts), ...).
	if f := schema.Field(i); f.Type == record.Bool {
		j.fault(w.Column.Pos, "the watermark is for column %q, %v, expected a timestamp, or what a timestamp can "+
			"be made of", f.Name, f.Type)
		return nil
	}
	usage := func(at syntax.Pos) *Watermark {
		j.fault(at, "the watermark is %s, expected %s, or %s - INTERVAL '5 s', or an expression of that column "+
			"alone in its place", w.Expr, w.Column, w.Column)
		return nil
	}
	mark := &Watermark{Column: w.Column.Name}
	of := w.Expr
	if minus, ok := w.Expr.(*syntax.Binary); ok && minus.Op == "-" {
		of = minus.X
		length, ok := minus.Y.(*syntax.Literal)
		if !ok || length.Kind != syntax.Interval && length.Kind != syntax.String {
			return usage(minus.Y.Start())
		}
		var err error
		mark.OutOfOrder, err = interval.Fixed(length.Text, length.Unit)
		if err != nil {
			j.fault(length.Pos, "%v", err)
			return nil
		}
		if mark.OutOfOrder < 0 || mark.OutOfOrder > window.MaxSize {
			j.fault(length.Pos, "records come %v later than others, expected 0 to %v", mark.OutOfOrder, window.MaxSize)
			return nil
		}
	}
	names := columnsOf(of, nil)
	_, shifted := of.(*syntax.Binary)
	if shifted || len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return name != mark.Column }) {
		return usage(of.Start())
	}
	return mark
}

// queries compiles the SELECTs of the job.
func (j *jobCompiler) queries(all []syntax.Statement) {
	printed := false
	for i, s := range all {
		switch s := s.(type) {
		case *syntax.Select:
			switch {
			case printed:
				j.fault(s.Pos, "a second SELECT that is printed: give it a sink, INSERT INTO name SELECT ...")
				continue
			case i < len(all)-1:
				j.fault(s.Pos, "a SELECT that is printed comes last; or give it a sink, INSERT INTO name SELECT ...")
			}
			printed = true
			j.output(nil, s)
		case *syntax.InsertInto:
			sink := j.sinks[s.Sink]
			_, source := j.sources[s.Sink]
			_, view := j.views[s.Sink]
			_, named := j.named[s.Sink]
			switch {
			case view || named:
				j.fault(s.Pos, "%q is a view, whose query is part of it; expected a sink", s.Sink)
			case source:
				j.fault(s.Pos, "%q is a source, expected a sink: CREATE SINK name WITH (...)", s.Sink)
			case sink == nil && !j.broken:
				j.fault(s.Pos, "there is no sink %q%s", s.Sink, nearest(s.Sink, sortedKeys(j.sinks)))
			}
			j.feed(s.Pos, s.Sink)
			j.output(sink, s.Select)
		case *syntax.CreateSink:
			switch {
			case s.As != nil:
				j.feed(s.Pos, s.Name)
				j.output(j.sinks[s.Name], s.As)
			case s.From != "":
				j.feed(s.Pos, s.Name)
				j.output(j.sinks[s.Name], &syntax.Select{
					Pos: s.Pos, Items: []syntax.Item{{Pos: s.Pos, Star: true}},
					From: syntax.Table{Pos: s.Pos, Name: s.From},
				})
			}
		case *syntax.CreateView:
			if s.Materialized {
				j.view(s)
			} else {
				j.checkNamed(s)
			}
		case *syntax.Explain:
			j.fault(s.Pos, "EXPLAIN is no part of a job, expected SELECT, INSERT INTO or CREATE")
		}
	}
	if j.broken {
		return
	}
	for _, s := range all {
		if s, ok := s.(*syntax.CreateSink); ok && !j.fed[s.Name] {
			j.fault(s.Pos, "sink %q gets nothing: INSERT INTO %s SELECT ...", s.Name, s.Name)
		}
	}
	switch n := len(j.job.Outputs); {
	case n == 0 && len(j.faults) == 0:
		j.fault(syntax.Pos(len(j.text)), "the job does nothing, expected a SELECT, INSERT INTO a sink, or "+
			"CREATE MATERIALIZED VIEW")
	case n > MaxOutputs:
		j.fault(0, "the job has %d queries, at most %d are allowed", n, MaxOutputs)
	}
}

// feed notes that a sink has an input. A sink may have only one: two results in one file would be
// useless.
func (j *jobCompiler) feed(pos syntax.Pos, name string) {
	if j.fed[name] {
		j.fault(pos, "sink %q gets two results: each has a sink of its own", name)
	}
	j.fed[name] = true
}

// output compiles one query.
func (j *jobCompiler) output(sink *Sink, q *syntax.Select) {
	if !j.expand(q) {
		return
	}
	leaves := innermost(q)
	from := leaves[0].From
	for _, leaf := range leaves[1:] {
		if leaf.From.Name != from.Name {
			j.fault(leaf.From.Pos, "this SELECT is from %q and the first from %q: set operations are over one source",
				leaf.From.Name, from.Name)
			return
		}
	}
	source := j.sources[from.Name]
	if source == nil {
		if from.Name == "" {
			j.fault(from.Pos, "a SELECT without FROM in a job: expected one that reads a source")
		} else if j.tables[from.Name] != nil {
			j.fault(from.Pos, "%q is a table: a query reads a source, and JOIN %s ON ... finds rows of the table",
				from.Name, from.Name)
		} else if !j.broken {
			j.fault(from.Pos, "there is no source %q%s", from.Name, nearest(from.Name, sortedKeys(j.sources)))
		}
		return
	}
	if source.Schema == nil {
		return // its faults have been reported
	}
	if !j.joinable(q) {
		return // the faults of its tables have been reported
	}
	text := q.String()
	c, err := analyse(j.text, q, Catalog{Sources: []*record.Schema{source.Schema}, Tables: j.lookups()})
	if err != nil {
		j.faults = append(j.faults, err)
		return
	}
	p := c.plan()
	readers := c.leaves()
	for i, leaf := range p.Leaves() {
		w := leaf.Window
		if w == nil || w.ProcessingTime {
			continue
		}
		w.OutOfOrder = plan.AnyOrder
		if mark := source.Watermark; mark != nil {
			if !slices.Contains(readers[i].timeOf, mark.Column) {
				j.fault(windowPlace(leaves[i]), "the window is over column %q, and the watermark of %q is for %q",
					strings.Join(readers[i].timeOf, ", "), source.Name, mark.Column)
			}
			w.OutOfOrder = mark.OutOfOrder
		}
	}
	j.job.Outputs = append(j.job.Outputs, &Output{Source: source, Sink: sink, Plan: p, Text: text})
}

// windowPlace is where a query names the time of its window.
func windowPlace(q *syntax.Select) syntax.Pos {
	if q.From.Window != nil {
		return q.From.Window.At.Start()
	}
	for _, e := range q.GroupBy {
		if call, ok := e.(*syntax.Call); ok && isWindow(call.Name) && len(call.Args) > 0 {
			return call.Args[0].Start()
		}
	}
	return q.Pos
}
