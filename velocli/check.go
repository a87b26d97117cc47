package velocli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
)

// check reports everything that is wrong with a job and can be known before anything is opened:
// options that are wrong or contradict each other, names that are both written and read, and names
// that are written twice. It does not check whether files can be read.
func (c *runCmd) check(job *query.Job, std streams) error {
	var faults []error
	seen := map[*query.Source]bool{}
	for _, o := range job.Outputs {
		if o.View != nil && !c.serves {
			faults = append(faults, fmt.Errorf("view %q is read by its name while the job runs: velo serve runs the "+
				"job", o.View.Name))
		}
		if o.Source.Options.Connector() == connectorView {
			faults = append(faults, o.Source.Options.Errorf(query.OptionConnector,
				"the rows of a view are no stream of records: make it a table, CREATE TABLE %s (..., PRIMARY "+
					"KEY (...)), and join it", o.Source.Name))
		}
		if !seen[o.Source] {
			faults = append(faults, c.checkSource(o.Source, std))
		} else if c.apart(job, o.Source) && isSocket(o.Source) {
			faults = append(faults, readOnce(o, "a socket"))
		}
		seen[o.Source] = true
		if isEndless(o.Source) && growsForEver(o.Plan) {
			faults = append(faults, o.Source.Options.Errorf(query.OptionConnector, "%v", errEndlessSet))
		}
		endless := func(p *plan.Plan) bool { return p.Window == nil && !p.PassesThrough() }
		ofCut := o.View != nil && cutFault(o.Plan) == nil
		if isEndless(o.Source) && o.Plan.From != nil && !ofCut && slices.ContainsFunc(o.Plan.Leaves(), endless) {
			faults = append(faults, o.Source.Options.Errorf(query.OptionConnector,
				"the source has no end, so the inner query never gives its result: group it by a window"))
		}
		if isEndless(o.Source) && o.Plan.Window != nil && !o.Plan.Window.ProcessingTime && o.Source.Watermark == nil {
			faults = append(faults, o.Source.Options.Errorf(query.OptionConnector,
				"the source has no end, so a window over it closes by a watermark only: WATERMARK FOR %s AS %s - "+
					"INTERVAL '5 s'",
				o.Plan.Window.Column, o.Plan.Window.Column))
		}
		if c.Rebalance {
			faults = append(faults, cannotRebalance(nameOf(o), o.Plan))
		}
		faults = append(faults, checkParts(o, std), setIdle(o))
		faults = append(faults, checkSink(o, std, c.State != ""))
	}
	return errors.Join(append(faults, c.checkTables(job, std), c.checkState(job), c.checkNames(job, std))...)
}

// checkParts reports whether other processes read other parts of the source, and the results of all
// of them are not the result of the query.
func checkParts(o *query.Output, std streams) error {
	find := sourceOf(o.Source).Parts
	if find == nil || o.Source.Schema == nil {
		return nil
	}
	parts := find(sourceRequest(o.Source, std))
	if parts == nil {
		return nil
	}
	err := o.Plan.DividedBy(parts.Columns...)
	if err == nil {
		return nil
	}
	return o.Source.Options.Errorf(parts.Option, "this process reads a part of the source, and others read the "+
		"others, but their results together are not the result of the query: %v. Make the query so that each group "+
		"is in one part (GROUP BY %s, ...), or read the whole source in one process, without the option %s\n%s", err,
		strings.Join(parts.Columns, ", "), parts.Option, o.Text)
}

// checkSource reports what is wrong with the options of a source.
func (c *runCmd) checkSource(s *query.Source, std streams) error {
	if s.Options.Connector() == "stdin" && c.Job == "-" {
		return s.Options.Errorf(query.OptionConnector, "standard input is the job itself: give it as a file")
	}
	if s.Options.Connector() == "push" && !c.serves {
		return s.Options.Errorf(query.OptionConnector, "records are pushed to a server: velo serve runs the job")
	}
	check := sourceOf(s).Check
	if check == nil || s.Schema == nil {
		return nil
	}
	return s.Options.Place(check(sourceRequest(s, std)))
}

// readOnce is the error for a second query that would read a source which can be read only once.
func readOnce(o *query.Output, what string) error {
	return o.Source.Options.Errorf(query.OptionConnector,
		"%s can be read once, and several queries read it, each for itself: make it a file", what)
}

func isSocket(s *query.Source) bool {
	c := s.Options.Connector()
	return c == "tcp" || c == "unix"
}

// isEndless says whether a source has no end.
func isEndless(s *query.Source) bool {
	endless := sourceOf(s).Endless
	return endless != nil && endless(&s.Options.Options)
}

// checkNames reports each name that is written and also read, or written twice: one file would
// replace the other.
func (c *runCmd) checkNames(job *query.Job, std streams) error {
	var n names
	if c.Job != "-" {
		n.read = append(n.read, c.Job)
	}
	read := job.Sources
	for _, t := range job.Tables {
		read = append(read, sourceOfTable(t))
	}
	for _, s := range read {
		for _, option := range sourceOf(s).Options {
			if path := s.Options.Text(option.Name); option.File && path != "" {
				n.read = append(n.read, path)
			}
		}
		switch s.Options.Connector() {
		case "file", connectorParquet:
			n.reads(s.Options.Text("path"))
		case "stdin":
			if isFile(std.in) {
				n.read = append(n.read, stdinFile)
			}
		}
	}
	n.prints("standard output", std.out)
	n.prints("standard error", std.err)
	for _, o := range job.Outputs {
		if s := o.Sink; s != nil && isFileSink(s) {
			n.writes(fmt.Sprintf("sink %s", s.Name), s.Options.Text("path"))
		}
	}
	folders := map[string]bool{}
	for _, o := range job.Outputs {
		if s := c.stateOf(job, o); s != nil && !folders[s.Path] {
			folders[s.Path] = true
			n.writes("--state", filepath.Join(s.Path, "generation-00000001.manifest"))
		}
	}
	if c.Quarantine != "" {
		n.writes("--quarantine", c.Quarantine)
	}
	return errors.Join(n.faults...)
}

// setIdle sets in the plan of a query how long a file of its source must have brought no record
// before it stops holding windows back. For followed files the default is the one of velo query.
func setIdle(o *query.Output) error {
	options := o.Source.Options
	idle := options.Duration("idle")
	switch {
	case !options.Has("idle") && !options.Bool("follow"):
		return nil
	case o.Source.Watermark == nil && options.Has("idle"):
		return options.Errorf("idle",
			"without WATERMARK windows close at the end of the input, and wait for nobody before that")
	case !options.Has("idle"):
		idle = followIdle
	}
	if w := o.Plan.Window; w != nil && !w.ProcessingTime {
		w.Idle = idle
	}
	return nil
}
