// Command streams groups the same records by a 64-bit key, for count, sum, min and max, with velo
// and with the streaming frameworks that a Go engineer would choose today. Every group of every
// result is checked against a Go map, outside the timed part. A wrong result is an error, and has
// no speed.
//
//	go run . --workload u_1k,u_100k --duration 1s --json figures.jsonl
//
// All start from the same slice of structs, one for each record. Inside the timed part each makes
// what it needs of them (a metric, a message, a series), in the largest pieces that it accepts.
// velo boxed does so too, with a record.Encoder; velo batches lends its own batches, which are
// ready. If a rival's input can be kept and used again, there is another line with ready input. All
// are timed when the groups exist, after a pass over the records that is not timed.
//
// What belongs to each rival, and what does not:
//
//   - go-streams has Keyed, which makes a flow and its goroutines for each key. The other line is
//     its transport alone: slices of records to a function with a Go map.
//   - telegraf is the plugin basicstats, called directly, without the agent's channels and locks.
//   - benthos keeps no groups from batch to batch. A processor of ours, with a Go map for each
//     thread, does; what comes before it is benthos's own.
//   - goka is the processor on its own tester instead of Kafka, which adds a queue and takes away
//     the network. The group table is a Go map: goka's in-memory table sorts all keys whenever one
//     is new, which took 39 s for the first 63,000.
//   - streamaggr is VictoriaMetrics' lib/streamaggr, one interval that lasts. It is v1.131.0,
//     because the newest version needs a newer Go than velo.
//
// The command is a module of its own, beside bench/peers, because these five require about a
// hundred modules.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/bench"
)

// figure is one contestant on one workload.
type figure struct {
	Rival            string  `json:"rival"`
	Workload         string  `json:"workload"`
	Threads          int     `json:"threads"`
	Records          int     `json:"records"`
	NsPerRecord      float64 `json:"ns_per_record"` // elapsed time, over all threads together
	RecordsPerSecond float64 `json:"records_per_second"`
	// Ratio is the throughput of velo batches with as many threads, divided by this one's.
	Ratio float64 `json:"ratio"`
	// RatioBoxed is the same for velo boxed.
	RatioBoxed      float64 `json:"ratio_boxed"`
	AllocsPerRecord float64 `json:"allocs_per_record"`
}

// contestant groups records for at least some time, after a pass over them that is not timed.
type contestant struct {
	name    string
	threads int // threads that can be busy at once
	most    int // records of a pass, so that it takes about a second; 0 is all
	run     func(in input, d time.Duration) (outcome, error)
}

// The names of velo's lines, which the ratios refer to.
const (
	veloBatches = "velo, its batches"
	veloBoxed   = "velo, one struct at a time"
)

func contestants() []contestant {
	return []contestant{
		{veloBatches, 1, 0, func(in input, d time.Duration) (outcome, error) { return velo(in, d, 1, lend) }},
		{veloBoxed, 1, 0, func(in input, d time.Duration) (outcome, error) { return velo(in, d, 1, encode) }},
		{veloBatches, 2, 0, func(in input, d time.Duration) (outcome, error) { return velo(in, d, 2, lend) }},
		{veloBoxed, 2, 0, func(in input, d time.Duration) (outcome, error) { return velo(in, d, 2, encode) }},
		{"go-streams Keyed, Fold", 2, 1 << 19, goStreamsKeyed},
		{"go-streams, 1,024 records to a Go map", 2, 0, goStreamsBatches},
		{"telegraf basicstats", 1, 1 << 18, func(in input, d time.Duration) (outcome, error) {
			return basicStats(in, d, false)
		}},
		{"telegraf basicstats, ready metrics", 1, 1 << 18, func(in input, d time.Duration) (outcome, error) {
			return basicStats(in, d, true)
		}},
		{"benthos, a processor", 2, 1 << 18, func(in input, d time.Duration) (outcome, error) {
			return benthos(in, d, 2, benthosNothing)
		}},
		{"benthos, mapping, a processor", 2, 1 << 18, func(in input, d time.Duration) (outcome, error) {
			return benthos(in, d, 2, benthosMapping)
		}},
		{"benthos, group_by_value, a processor", 2, 1 << 17, func(in input, d time.Duration) (outcome, error) {
			return benthos(in, d, 2, benthosGroups)
		}},
		{"goka, its tester", 2, 1 << 17, gokaTable},
		{"streamaggr, 1,024 series", 1, 1 << 19, func(in input, d time.Duration) (outcome, error) {
			return streamAggr(in, d, 1, false)
		}},
		{"streamaggr, 1,024 series", 2, 1 << 19, func(in input, d time.Duration) (outcome, error) {
			return streamAggr(in, d, 2, false)
		}},
		{"streamaggr, 1,024 ready series", 2, 1 << 19, func(in input, d time.Duration) (outcome, error) {
			return streamAggr(in, d, 2, true)
		}},
	}
}

func main() {
	// the rivals register flags of their own on the common one
	flags := flag.NewFlagSet("streams", flag.ExitOnError)
	workloads := flags.String("workload", "u_1k,u_100k", "workloads, by commas")
	duration := flags.Duration("duration", time.Second, "how long each runs at least")
	file := flags.String("json", "", "also write a JSON object per line to this file")
	flags.Parse(os.Args[1:])
	if err := run(strings.Split(*workloads, ","), *duration, *file); err != nil {
		fmt.Fprintln(os.Stderr, "streams:", err)
		os.Exit(1)
	}
}

func run(names []string, d time.Duration, file string) (failed error) {
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
		in, err := newInput(w)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var figures []figure
		// velo's figures, by threads
		ns := map[string]map[int]float64{veloBatches: {}, veloBoxed: {}}
		for _, c := range contestants() {
			f, err := c.measure(in, d)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s: %s: %w", name, c.name, err))
			} else if of := ns[c.name]; of != nil {
				of[c.threads] = f.NsPerRecord
			}
			f.Workload = name
			figures = append(figures, f)
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "%s\tthreads\tns/record\tM records/s\tto velo boxed\tto velo batches\tallocs/record\t\n",
			name)
		for _, f := range figures {
			if f.Records == 0 {
				fmt.Fprintf(table, "%s\t%d\terror\t-\t-\t-\t-\t\n", f.Rival, f.Threads)
				continue
			}
			boxed, batches := "-", "-" // in case velo itself has failed
			if base := ns[veloBoxed][f.Threads]; base > 0 {
				f.RatioBoxed = f.NsPerRecord / base
				boxed = fmt.Sprintf("%.1f", f.RatioBoxed)
			}
			if base := ns[veloBatches][f.Threads]; base > 0 {
				f.Ratio = f.NsPerRecord / base
				batches = fmt.Sprintf("%.1f", f.Ratio)
			}
			fmt.Fprintf(table, "%s\t%d\t%.1f\t%.2f\t%s\t%s\t%.2f\t\n", f.Rival, f.Threads, f.NsPerRecord,
				f.RecordsPerSecond/1e6, boxed, batches, f.AllocsPerRecord)
			if lines != nil {
				if err := lines.Encode(f); err != nil {
					return err
				}
			}
		}
		table.Flush()
		fmt.Println()
	}
	return failed
}

// measure runs a contestant on its share of the input and checks the result. A figure with an error
// has no records.
func (c contestant) measure(in input, d time.Duration) (figure, error) {
	f := figure{Rival: c.name, Threads: c.threads}
	if c.most > 0 {
		in = in.first(c.most)
	}
	runtime.GC()
	o, err := c.run(in, d)
	if err == nil {
		err = o.check()
	}
	if err != nil {
		return f, err
	}
	f.Records = o.timed
	f.NsPerRecord = float64(o.elapsed) / float64(o.timed)
	f.RecordsPerSecond = 1e9 / f.NsPerRecord
	f.AllocsPerRecord = float64(o.allocs) / float64(o.timed)
	return f, nil
}
