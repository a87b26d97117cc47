package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/bench"
)

// scaleCmd measures one workload with more and more readers and partitions.
type scaleCmd struct {
	Profile  string        `help:"Workload: ${workloads}." default:"u_1k"`
	Max      int           `help:"The greatest number of partitions." default:"16"`
	Readers  int           `help:"The greatest number of readers; 0 is as many as partitions." default:"0"`
	Cores    int           `help:"Cores; 0 is all that may be used." default:"0"`
	Duration time.Duration `help:"How long to measure each." default:"1s"`
	JSON     bool          `name:"json" help:"Print one JSON object for each point instead of a table."`
}

func (c *scaleCmd) Run(std streams) error {
	w, err := workload(c.Profile)
	if err != nil {
		return err
	}
	s := shape{Cores: c.Cores}
	if err := s.settle(); err != nil {
		return err
	}
	out := newReport(std, c.JSON, "partitions\treaders\tcores\trecords/s\tns/record/core\tE(n) = T(n) / (n "+
		"T(1))\tof the best below\t")
	err = bench.Scale(w, c.Max, c.Readers, s.Cores, c.Duration, func(p bench.ScalePoint) {
		out.row(p, "%d\t%d\t%d\t%.1f M\t%.2f\t%.2f\t%.2f\t\n", p.N, p.Readers, p.Cores, p.T/1e6, p.CPUNs, p.E, p.OfMost)
	})
	return out.end(err)
}

// modesCmd compares a single goroutine with pinned threads.
type modesCmd struct {
	Workload string `help:"Workload: ${workloads}." default:"u_1k"`
	Passes   int    `help:"Times to go through the prepared records." default:"20"`
	JSON     bool   `name:"json" help:"Print one JSON object for each mode instead of a table."`
}

func (c *modesCmd) Run(std streams) error {
	w, err := workload(c.Workload)
	if err != nil {
		return err
	}
	s := shape{}
	if err := s.settle(); err != nil {
		return err
	}
	out := newReport(std, c.JSON, "mode\trecords\tgroups\trecords/s\tratio\tsame rows\t")
	same := true
	err = bench.Modes(w, c.Passes, func(m bench.Mode) {
		same = same && m.Same
		out.row(m, "%s\t%d\t%d\t%.1f M\t%.2f\t%v\t\n", m.Name, m.Rows, m.Groups, m.T/1e6, m.Ratio, m.Same)
	})
	if err == nil && !same {
		err = fmt.Errorf("the modes do not have the same rows")
	}
	return out.end(err)
}

// locksCmd compares velo with state that is shared under locks.
type locksCmd struct {
	Writers  int           `help:"Writers; 0 is one for each core." default:"0"`
	Duration time.Duration `help:"How long to measure each." default:"1s"`
	JSON     bool          `name:"json" help:"Print one JSON object for each way instead of a table."`
}

func (c *locksCmd) Run(std streams) error {
	s := shape{Readers: c.Writers}
	if err := s.settle(); err != nil {
		return err
	}
	out := newReport(std, c.JSON, "way\twriters\trecords/s\tp99 of an update\twaited for locks\t")
	return out.end(bench.Locks(s.Readers, c.Duration, func(l bench.Lock) {
		p99 := "-"
		if l.P99 > 0 {
			p99 = fmt.Sprintf("%.0f ns", l.P99)
		}
		out.row(l, "%s\t%d\t%.1f M\t%s\t%.1f %%\t\n", l.Impl, l.Writers, l.T/1e6, p99, 100*l.LockShare)
	}))
}

// readersCmd measures readers whose sources answer late.
type readersCmd struct {
	Max      int           `help:"The greatest number of readers." default:"4"`
	Latency  time.Duration `help:"What a source takes for a batch." default:"1ms"`
	Rows     int           `help:"Records of a batch." default:"1000"`
	Duration time.Duration `help:"How long to measure each." default:"1s"`
	JSON     bool          `name:"json" help:"Print one JSON object for each point instead of a table."`
}

func (c *readersCmd) Run(std streams) error {
	s := shape{}
	if err := s.settle(); err != nil {
		return err
	}
	out := newReport(std, c.JSON, "readers\trecords/s\tspeedup\t")
	return out.end(bench.SlowReaders(c.Max, c.Latency, c.Rows, s.Cores, c.Duration, func(p bench.SlowPoint) {
		out.row(p, "%d\t%.2f M\t%.2f\t\n", p.Readers, p.T/1e6, p.Speedup)
	}))
}

// workload finds a workload by its name.
func workload(name string) (bench.Workload, error) {
	w, ok := bench.Workloads[name]
	if !ok {
		return w, fmt.Errorf("no workload %q, expected one of %s", name, workloadNames())
	}
	return w, nil
}

// report prints rows as they come: as JSON objects, or at the end as a table under a line that
// names the host.
type report struct {
	json *json.Encoder
	err  error
	w    *tabwriter.Writer
}

func newReport(std streams, asJSON bool, head string) *report {
	if asJSON {
		return &report{json: json.NewEncoder(std.out)}
	}
	fmt.Fprintln(std.out, affinity.Describe())
	r := &report{w: tabwriter.NewWriter(std.out, 0, 0, 2, ' ', tabwriter.AlignRight)}
	io.WriteString(r.w, head+"\n")
	return r
}

// row adds a row: v for JSON, the rest for the table.
func (r *report) row(v any, format string, args ...any) {
	if r.json != nil {
		if err := r.json.Encode(v); err != nil && r.err == nil {
			r.err = err
		}
		return
	}
	fmt.Fprintf(r.w, format, args...)
}

// end prints the rest and returns err, or what went wrong with printing.
func (r *report) end(err error) error {
	if r.w != nil {
		if ferr := r.w.Flush(); err == nil {
			err = ferr
		}
	}
	if err == nil {
		err = r.err
	}
	return err
}
