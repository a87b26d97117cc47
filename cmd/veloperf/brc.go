package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dgryski/go-metro"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// brcCmd is the one billion row challenge, through the engine and its generic reader.
type brcCmd struct {
	File string `arg:"" help:"File of name;value lines, the value with one decimal." type:"path"`
	sizing
	BlockBytes int  `help:"Bytes of the blocks that the file is dealt in; 0 is the reader's default." default:"0"`
	Stats      bool `help:"Print the engine's statistics to standard error."`

	// These are like the flags in measuring, but without --json or --runs it is run once, for its
	// result.
	Runs   int           `help:"How often to measure; without it 5 times with --json and once without." default:"0"`
	Warmup time.Duration `help:"0: no run before the first that counts; none without --json." default:"1s"`
	JSON   bool          `name:"json" help:"Print one JSON object with the figures instead of the result."`
	profiling
	Counters bool `help:"Count cycles, cache misses, context switches and the like for each row and thread."`
}

// brcReport is what 1brc --json prints.
type brcReport struct {
	Rows        uint64  `json:"rows"`
	Bytes       int64   `json:"bytes"`
	Quarantined uint64  `json:"quarantined"`
	Groups      int     `json:"groups"`
	Readers     int     `json:"readers"`
	Partitions  int     `json:"partitions"`
	Cores       int     `json:"cores"`
	Seconds     float64 `json:"seconds"`
	CPUNsPerRow float64 `json:"cpu_ns_per_row"`
	Checksum    string  `json:"checksum"` // MetroHash64 of the result line
}

// errAllAside says that there is no result, because all lines were set aside.
var errAllAside = errors.New("no line could be read")

// brcSchema is the schema of a line of the file.
func brcSchema() (*record.Schema, error) {
	return record.NewSchema("measurements",
		record.Field{Name: "name", Type: record.String},
		record.Field{Name: "value", Type: record.DecimalOf(3, 1)})
}

// brcPlan is SELECT name, min(value), sum(value), count(*), max(value) ... GROUP BY name.
func brcPlan(schema *record.Schema) *plan.Plan {
	return &plan.Plan{
		Source: schema, Keys: []string{"name"},
		Aggregates: []plan.Aggregate{
			{Name: "n", Func: plan.Count},
			{Name: "sum", Func: plan.Sum, Column: "value"},
			{Name: "min", Func: plan.Min, Column: "value"},
			{Name: "max", Func: plan.Max, Column: "value"},
		},
	}
}

func (c *brcCmd) Run(std streams) error {
	if err := c.settle(); err != nil {
		return err
	}
	m := measuring{Runs: c.Runs, Warmup: c.Warmup, JSON: c.JSON, profiling: c.profiling, Counters: c.Counters}
	switch {
	case c.Runs == 0 && !c.JSON && !c.Counters:
		m.Runs, m.Warmup = 1, 0
	case c.Runs == 0:
		m.Runs = 5
	}
	if m.Runs == 1 && !c.JSON && !c.Counters {
		err := m.profiling.check()
		if err != nil {
			return err
		}
		profiles, err := m.profiling.start(std.err)
		if err != nil {
			return err
		}
		bench.Observe = profiles.begin
		defer func() { bench.Observe = nil }()
		_, line, err := c.once(std, true)
		if err != nil {
			return err
		}
		if err := profiles.finish(); err != nil {
			return err
		}
		_, err = fmt.Fprintln(std.out, line)
		return err
	}
	first := true
	return measure(&m, std, printing[brcReport]{
		head: "rows\tgroups\treaders\tpartitions\tcores\tseconds\tns/row/core\t",
		cells: func(r brcReport) string {
			return fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%.3f\t%.2f\t", r.Rows, r.Groups, r.Readers, r.Partitions, r.Cores,
				r.Seconds, r.CPUNsPerRow)
		},
	}, func(_ bool, each func(brcReport)) error {
		r, _, err := c.once(std, first)
		first = false
		if err == nil {
			each(r)
		}
		return err
	})
}

// once goes through the file once. It returns the figures and the line that the challenge asks for.
// report says whether lines that were set aside are shown.
func (c *brcCmd) once(std streams, report bool) (r brcReport, line string, err error) {
	schema, err := brcSchema()
	if err != nil {
		return r, "", err
	}
	file, err := readers.OpenDelimited(c.File,
		readers.DelimitedConfig{Schema: schema, Delimiter: ';', BlockBytes: c.BlockBytes})
	if err != nil {
		return r, "", err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	p := brcPlan(schema)
	bad := &rejects{}
	end := func() {}
	if bench.Observe != nil {
		end = bench.Observe()
	}
	eng, err := engine.Start(ctx, engine.Config{
		Plan: p, Readers: file.Readers(c.Readers), Partitions: c.Partitions, Cores: c.Cores,
		StateBytes: c.stateBytes,
		OnReject:   bad.take,
	})
	if err != nil {
		end()
		return r, "", err
	}
	defer eng.Close()
	err = eng.Wait()
	end()
	if ctx.Err() != nil {
		return r, "", errInterrupted
	}
	if err != nil {
		return r, "", err
	}

	snap := eng.Snapshot()
	defer snap.Close()
	line, total, err := brcLine(p, snap)
	if err != nil {
		return r, "", err
	}
	st := eng.Stats()
	if err := addUp(st, total); err != nil {
		return r, "", err
	}
	if report {
		bad.report(std.err, c.File, st.Counters().Quarantined)
	}
	if c.Stats {
		fmt.Fprint(std.err, st)
	}
	n := st.Counters()
	if n.Counted == 0 && n.Quarantined > 0 {
		return r, "", fmt.Errorf("%s: %w of %d, expected lines like name;12.3", c.File, errAllAside, n.Quarantined)
	}
	r = brcReport{
		Rows: n.Counted, Bytes: file.Size(), Quarantined: n.Quarantined, Groups: snap.Len(),
		Readers: c.Readers, Partitions: c.Partitions, Cores: len(st.Runners), Seconds: st.Elapsed.Seconds(),
		Checksum: fmt.Sprintf("%016x", metro.Hash64Str(line, 0)),
	}
	if n.Counted > 0 {
		r.CPUNsPerRow = float64(st.CPUTime()) / float64(n.Counted)
	}
	return r, line, nil
}

// brcLine is the result in the form that the challenge asks for: {name=min/mean/max, ...}, sorted
// by the bytes of the name, one decimal, the mean rounded half up. It is exact, because the values
// are whole numbers of tenths. total is the number of records in all groups.
func brcLine(p *plan.Plan, snap *engine.Snapshot) (line string, total uint64, err error) {
	name, err := result.ColumnOf[string](p, "name")
	if err != nil {
		return "", 0, err
	}
	n, err := result.ColumnOf[int64](p, "n")
	if err != nil {
		return "", 0, err
	}
	var tenths [3]result.Column[record.Decimal]
	for i, column := range []string{"sum", "min", "max"} {
		tenths[i], err = result.ColumnOf[record.Decimal](p, column)
		if err != nil {
			return "", 0, err
		}
	}
	var groups []string
	for row := range snap.All() {
		if tenths[0].Overflow(row) {
			return "", 0, fmt.Errorf("the sum of %q does not fit %d digits", name.Of(row), record.MaxPrecision)
		}
		sum, count := tenths[0].Of(row).Unscaled, n.Of(row)
		mean := record.Decimal{Unscaled: floorDiv(2*sum+count, 2*count), Scale: 1}
		groups = append(groups, fmt.Sprintf("%s=%v/%v/%v", name.Of(row), tenths[1].Of(row), mean, tenths[2].Of(row)))
		total += uint64(count)
	}
	// Sort by the bytes of the name without the =, which does not sort like the end of a name.
	slices.SortFunc(groups, func(a, b string) int {
		return strings.Compare(a[:strings.LastIndexByte(a, '=')], b[:strings.LastIndexByte(b, '=')])
	})
	return "{" + strings.Join(groups, ", ") + "}", total, nil
}

// floorDiv is a / b, rounded towards minus infinity; b > 0.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// maxShownRejects is how many quarantined lines are shown one by one.
const maxShownRejects = 10

// rejects keeps the first quarantined lines for a report.
type rejects struct {
	mu   sync.Mutex
	kept []record.Reject
}

func (r *rejects) take(_ int, reject record.Reject) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, reject)
	slices.SortFunc(r.kept, func(a, b record.Reject) int { return int(a.Offset - b.Offset) })
	r.kept = r.kept[:min(len(r.kept), maxShownRejects)]
}

// report lists the first lines of the file that went to quarantine.
func (r *rejects) report(w io.Writer, file string, quarantined uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if quarantined == 0 {
		return
	}
	for _, k := range r.kept {
		fmt.Fprintf(w, "%s:%d: %v: %.80q\n", file, k.Line, k.Reason, k.Bytes)
	}
	if more := quarantined - uint64(len(r.kept)); more > 0 {
		fmt.Fprintf(w, "%s: %d more lines quarantined\n", file, more)
	}
}
