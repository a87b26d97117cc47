// Command agg groups the same records by a 64-bit key, for count, sum, min and max. It does so with
// velo, with what a Go engineer would write instead, and with DuckDB. Every result is checked
// against one reference, outside the timed part.
//
//	go run ./agg --workload u_1k,u_1M --duration 1s --json figures.jsonl
//
// velo is timed when all groups exist (warm) and in the pass that makes them (building). The maps
// are timed warm. DuckDB makes its table for each query. All contestants go over the records once
// to make what is kept between passes, groups or memory, and the median of the passes after that
// counts.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/record"
)

// figure is one contestant on one workload.
type figure struct {
	Rival            string  `json:"rival"`
	Workload         string  `json:"workload"`
	Threads          int     `json:"threads"`
	Records          int     `json:"records"`
	NsPerRecord      float64 `json:"ns_per_record"` // elapsed time, over all threads together
	BuildNsPerRecord float64 `json:"build_ns_per_record,omitempty"`
	RecordsPerSecond float64 `json:"records_per_second"`
	// Ratio is velo's throughput with as many threads, divided by this one's.
	Ratio float64 `json:"ratio"`
	// BuildRatio is the same with velo's throughput in the pass that makes the groups.
	BuildRatio float64 `json:"build_ratio,omitempty"`
}

// contestant times one pass over the records, after one that is not timed, and returns the groups
// for the check.
type contestant struct {
	name    string
	threads int
	most    int // most records that it gets; 0 is all
	run     func(batches []*record.Batch) (nsPerRecord float64, t totals, err error)
}

func contestants() []contestant {
	return []contestant{
		{"Go map", 1, 0, goMap},
		{"64 maps with a mutex each", 1, 0, func(b []*record.Batch) (float64, totals, error) { return sharded(b, 1) }},
		{"64 maps with a mutex each", 2, 0, func(b []*record.Batch) (float64, totals, error) { return sharded(b, 2) }},
		{"sync.Map", 1, 0, syncMap},
		{"channel of records", 2, 1 << 20, func(b []*record.Batch) (float64, totals, error) { return channel(b, 1) }},
		{"channel of 1,024 records", 2, 0, func(b []*record.Batch) (float64, totals, error) {
			return channel(b, 1024)
		}},
		{"DuckDB", 1, 0, func(b []*record.Batch) (float64, totals, error) { return duckDB(b, 1) }},
		{"DuckDB", 2, 0, func(b []*record.Batch) (float64, totals, error) { return duckDB(b, 2) }},
	}
}

func main() {
	workloads := flag.String("workload", "u_10,u_1k,u_100k,u_1M,z_1M", "workloads, by commas")
	duration := flag.Duration("duration", time.Second, "how long velo runs")
	file := flag.String("json", "", "also write a JSON object per line to this file")
	flag.Parse()
	if err := run(strings.Split(*workloads, ","), *duration, *file); err != nil {
		fmt.Fprintln(os.Stderr, "agg:", err)
		os.Exit(1)
	}
}

func run(names []string, d time.Duration, file string) error {
	var lines *json.Encoder
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		lines = json.NewEncoder(f)
	}
	for _, name := range names {
		w, ok := bench.Workloads[name]
		if !ok || w.Text || w.Aggregates != nil {
			return fmt.Errorf("no workload %q with numbers for keys", name)
		}
		figures, err := compare(name, w, d)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "%s\tthreads\tns/record\tbuilding\tM records/s\tvelo is faster by\tbuilding\t\n", name)
		for _, f := range figures {
			some := func(v float64) string {
				if v == 0 {
					return "-"
				}
				return fmt.Sprintf("%.1f", v)
			}
			fmt.Fprintf(table, "%s\t%d\t%.1f\t%s\t%.1f\t%.1f\t%s\t\n", f.Rival, f.Threads, f.NsPerRecord,
				some(f.BuildNsPerRecord), f.RecordsPerSecond/1e6, f.Ratio, some(f.BuildRatio))
			if lines != nil {
				if err := lines.Encode(f); err != nil {
					return err
				}
			}
		}
		table.Flush()
		fmt.Println()
	}
	return nil
}

// compare runs all contestants on a workload.
func compare(name string, w bench.Workload, d time.Duration) (figures []figure, err error) {
	velo := map[int]figure{} // by threads
	for _, threads := range []int{1, 2} {
		var warm, build []float64
		records := 0
		for pass := range passes {
			runtime.GC()
			r, err := w.Run(threads, threads, threads, d, nil) // it checks itself
			if err != nil {
				return nil, err
			}
			if pass > 0 {
				warm, build, records = append(warm, 1e9/r.PerSecond()), append(build, r.Build/float64(threads)),
					int(r.Records)
			}
		}
		slices.Sort(warm)
		slices.Sort(build)
		ns := warm[len(warm)/2]
		velo[threads] = figure{"velo", name, threads, records, ns, build[len(build)/2], 1e9 / ns, 1, 0}
		figures = append(figures, velo[threads])
	}
	all, err := w.Batches(1)
	if err != nil {
		return nil, err
	}
	for _, c := range contestants() {
		batches, n := all[0], 0
		for i, b := range batches {
			n += b.Len()
			if c.most > 0 && n >= c.most {
				batches = batches[:i+1]
				break
			}
		}
		runtime.GC()
		ns, got, err := c.run(batches)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if want := reference(batches); got != want {
			return nil, fmt.Errorf("%s: the result is wrong: %+v, expected %+v", c.name, got, want)
		}
		v := velo[c.threads]
		figures = append(figures, figure{
			c.name, name, c.threads, n, ns, 0, 1e9 / ns, ns / v.NsPerRecord,
			ns / v.BuildNsPerRecord,
		})
	}
	return figures, nil
}
