package query

import (
	"slices"
	"time"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/query/internal/syntax"
)

// The options that every table has, besides the options of its connector.
const (
	optionRefresh  = "refresh"
	optionMaxStale = "max.stale"
	optionOnStale  = "on.stale"
	optionMaxBytes = "max.bytes"
)

// onStale are the values of on.stale.
var onStale = []string{"keep", "fail"}

var tableOptions = []connect.Option{
	{Name: optionRefresh, Kind: connect.Duration},
	{Name: optionMaxStale, Kind: connect.Duration},
	{Name: optionOnStale, Values: onStale},
	{Name: optionMaxBytes, Kind: connect.Bytes},
}

// table declares a table. Its Lookup is nil if it has faults.
func (j *jobCompiler) table(
	s *syntax.CreateSource, names []string, find func(string) ([]connect.Option, bool),
) *Table {
	if find != nil {
		of := find
		find = func(name string) ([]connect.Option, bool) {
			options, ok := of(name)
			return append(slices.Clone(options), tableOptions...), ok
		}
	}
	before := len(j.faults)
	t := &Table{Name: s.Name, Options: j.options(s.Pos, "table", s.Options, names, find)}
	if find == nil { // options that the caller does not know have been taken as texts
		for i := range tableOptions {
			j.option(t.Options, "table", &tableOptions[i])
		}
	}
	if s.Watermark != nil {
		j.fault(s.Watermark.Pos, "a table has no watermark: it is what PRIMARY KEY makes of %q, and a source "+
			"without a key has one", s.Name)
	}
	schema := j.columns(s)
	if schema == nil || len(j.faults) > before {
		return t
	}
	c := lookup.Config{Schema: schema}
	for _, k := range s.Key {
		if _, ok := schema.Index(k.Name); !ok {
			j.fault(k.Pos, "PRIMARY KEY: there is no column %q%s", k.Name, nearest(k.Name, namesOf(schema)))
		}
		if slices.Contains(c.Key, k.Name) {
			j.fault(k.Pos, "PRIMARY KEY names column %q twice", k.Name)
		}
		c.Key = append(c.Key, k.Name)
	}
	o := t.Options
	c.Refresh, c.MaxStale = time.Duration(o.Int(optionRefresh)), time.Duration(o.Int(optionMaxStale))
	c.MaxBytes = int(o.Int(optionMaxBytes))
	if o.Text(optionOnStale) == onStale[1] {
		c.OnStale = lookup.FailStale
	}
	if o.Has(optionMaxStale) && (!o.Has(optionRefresh) || c.MaxStale <= c.Refresh) {
		j.fault(o.places[optionMaxStale],
			"%s must be longer than %s: a table is stale when it has not been loaded for that "+
				"long", optionMaxStale, optionRefresh)
	}
	if o.Has(optionOnStale) && !o.Has(optionMaxStale) {
		j.fault(o.places[optionOnStale], "%s without %s: the table never becomes stale", optionOnStale, optionMaxStale)
	}
	if len(j.faults) > before {
		return t
	}
	var err error
	t.Lookup, err = lookup.New(c)
	if err != nil {
		j.fault(s.Pos, "%v", err)
	}
	return t
}

// lookups are the tables of the job that have no faults.
func (j *jobCompiler) lookups() (all []*lookup.Table) {
	for _, t := range j.job.Tables {
		if t.Lookup != nil {
			all = append(all, t.Lookup)
		}
	}
	return all
}

// joinable says whether no table that a query joins has faults.
func (j *jobCompiler) joinable(q *syntax.Select) bool {
	for _, q := range selectsOf(q) {
		for _, join := range q.From.Joins {
			if t := j.tables[join.Name]; t != nil && t.Lookup == nil {
				return false
			}
			if j.sources[join.Name] != nil {
				j.fault(join.Pos, "%q is a source: records are joined with the rows of a table, which has a "+
					"key: CREATE "+
					"TABLE %s (..., PRIMARY KEY (...))", join.Name, join.Name)
				return false
			}
		}
	}
	return true
}
