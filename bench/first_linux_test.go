package bench

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/record"
)

// BenchmarkFirstPass is what the pass that makes the groups costs beside the passes after it. A
// query on a file is a first pass, without epochs. An engine reads all records once, and another
// one four times. The figures are for the whole process, so that what the kernel
// does for the engine on other threads counts: processor time for a record, elapsed time, page
// faults for each thousand groups, and processor time in the kernel. The median of the runs counts.
func BenchmarkFirstPass(b *testing.B) {
	for _, name := range []string{"u_10", "u_1k", "u_100k", "u_1M", "u_10M", "str_100k"} {
		w := Workloads[name]
		var batches [][]*record.Batch
		for _, c := range []struct {
			cores  int
			epochs time.Duration
		}{{1, engine.DefaultEpochInterval}, {1, -1}, {2, engine.DefaultEpochInterval}} {
			cores := c.cores
			w.EpochInterval = c.epochs
			b.Run(fmt.Sprintf("workload=%s/cores=%d/epochs=%v", name, cores, c.epochs > 0), func(b *testing.B) {
				if len(batches) != cores {
					var err error
					if batches, err = w.Batches(cores); err != nil {
						b.Fatal(err)
					}
				}
				var first, later []passCost
				for b.Loop() {
					one := costOf(b, w, batches, 1)
					four := costOf(b, w, batches, 4)
					first = append(first, one)
					later = append(later, passCost{
						(four.cpu - one.cpu) / 3, (four.system - one.system) / 3, (four.elapsed - one.elapsed) / 3, 0,
					})
				}
				n := float64(cores) * float64(rowsOfBatches(batches[0]))
				middle := func(costs []passCost, of func(passCost) float64) float64 {
					var values []float64
					for _, c := range costs {
						values = append(values, of(c))
					}
					slices.Sort(values)
					return values[len(values)/2]
				}
				cpu := func(c passCost) float64 { return float64(c.cpu) / n }
				system := func(c passCost) float64 { return float64(c.system) / n }
				elapsed := func(c passCost) float64 { return float64(c.elapsed) * float64(cores) / n }
				b.ReportMetric(middle(first, elapsed), "ns/first")
				b.ReportMetric(middle(later, elapsed), "ns/later")
				b.ReportMetric(middle(first, cpu), "cpu-ns/first")
				b.ReportMetric(middle(later, cpu), "cpu-ns/later")
				b.ReportMetric(middle(first, system), "kernel-ns/first")
				b.ReportMetric(middle(first, func(c passCost) float64 { return float64(c.faults) }), "faults")
			})
		}
	}
}

// passCost is what the process used.
type passCost struct {
	cpu, system, elapsed time.Duration
	faults               int64
}

// costOf is what it costs to read the batches some times.
func costOf(b *testing.B, w Workload, batches [][]*record.Batch, passes int) passCost {
	var rs []record.Reader
	for _, of := range batches {
		m, err := newMemory(of, passes)
		if err != nil {
			b.Fatal(err)
		}
		rs = append(rs, m)
	}
	before, begin := usage(b), time.Now()
	e, err := w.start(rs, len(batches), len(batches))
	if err != nil {
		b.Fatal(err)
	}
	if err := e.Wait(); err != nil {
		b.Fatal(err)
	}
	after := usage(b)
	c := passCost{after.cpu - before.cpu, after.system - before.system, time.Since(begin), after.faults - before.faults}
	e.Close()
	arena.EmptyPool() // the next engine begins with nothing too
	return c
}

func usage(b *testing.B) passCost {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	system := time.Duration(u.Stime.Nano())
	return passCost{time.Duration(u.Utime.Nano()) + system, system, 0, u.Minflt}
}
