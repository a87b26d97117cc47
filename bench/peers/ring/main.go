// Command ringpeers measures velo's ring and its rivals with one method and prints one JSON object
// per line.
//
//	ringpeers --passes 5 --seconds 0.3
//
// # Method
//
// A queue carries the numbers 0, 1, 2 ..., and the consumer checks that they come in order. If one
// does not, that is an error and there is no result. The cases are:
//
//	one-way      a producer and a consumer, each on a thread pinned to a CPU of its own;
//	             items per second
//	same-thread  both ends on one pinned thread, in turns of 64 items
//	round-trip   there over one queue and back over another, one item at a time,
//	             between two pinned threads; ns
//
// Every measurement is made once per pass, all one after the other, so that a slow moment of the
// machine affects all alike. A line has the median of the passes as value, min and max, and the
// number of passes that these come from.
//
// A host may move the CPUs of a virtual machine at any time, from cores that share a cache to
// others that do not, which makes a factor of five. So the floor of a round trip between the two
// CPUs is measured before and after each measurement, and only values taken at the same floor are
// compared; see floors.go.
//
// Queues that do not wait by themselves are polled in a loop (see relax). The channel and Workiva's
// RingBuffer wait by themselves, in the Go scheduler, and a locked thread makes that slower. They
// are measured pinned like the others, and once more as "(free)", on goroutines that the scheduler
// may place.
//
// What a batch does with its items: velo-batch copies prepared items in and out, of which the first
// and the last carry their number; velo-inplace writes every item in the ring and reads it there;
// velo-slot64k and memcpy copy 64 KiB in and out again.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/velo-engine/velo/affinity"
)

// A result is one line of output.
type result struct {
	Impl      string  `json:"impl"`
	Case      string  `json:"case"`
	ItemBytes int     `json:"item_bytes"`
	Value     float64 `json:"value"` // median of the passes
	Unit      string  `json:"unit"`
	Min       float64 `json:"min"`
	Max       float64 `json:"max"`
	// Samples are the values of the passes that count, the least first.
	Samples []float64 `json:"samples"`
	// Passes is how many passes value, min and max come from. If it is 0, they come from all passes
	// because none was at the common floor; do not compare them.
	Passes int `json:"passes"`
}

// A measurement can be made again and again.
type measurement struct {
	result
	once  func() (float64, error) // in the result's unit
	taken []sample
}

// take makes a measurement and remembers it, with the floor around it.
func (m *measurement) take(s *stage) error {
	crosses := m.Case != sameThread && s.hasFloor()
	var v sample
	var err error
	if crosses {
		v.before, err = s.floor()
		if err != nil {
			return err
		}
	}
	v.value, err = m.once()
	if err != nil {
		return fmt.Errorf("%s, %s: %w", m.Impl, m.Case, err)
	}
	if crosses {
		v.after, err = s.floor()
	}
	m.taken = append(m.taken, v)
	return err
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "ringpeers: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("ringpeers", flag.ExitOnError)
	passes := flags.Int("passes", 5, "how often each measurement is made")
	seconds := flags.Float64("seconds", 0.3, "how long each measurement takes")
	slots := flags.Int("slots", 16384, "slots of the queues of 8-byte items, a power of two")
	cpus := flags.String("cpus", "", "two CPUs, as 0,1 (default: the first two that may be used)")
	floor := flags.Float64("floor", 0, "compare what is measured at a round trip of about N ns between the "+
		"CPUs (0: found)")
	patience := flags.Duration("patience", time.Minute,
		"how long to measure again, at most, where too few passes had the common floor")
	only := flags.String("only", "", "regular expression of the measurements to make, as impl/case")
	profile := flags.String("cpuprofile", "", "write a pprof CPU profile of all passes to this file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *passes < 1 || *seconds <= 0 || *slots < turn || *slots&(*slots-1) != 0 {
		return fmt.Errorf("passes %d, seconds %v, slots %d: expected at least one pass, some time, and a power of "+
			"two from %d slots on", *passes, *seconds, *slots, turn)
	}
	filter, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	stage, err := newStage(*cpus, stderr)
	if err != nil {
		return err
	}
	// As in cmd/veloperf: two threads that spin, and room for the collector beside them.
	runtime.GOMAXPROCS(4)
	fmt.Fprintln(stderr, affinity.Describe())

	cpp, err := buildCPP()
	if err != nil {
		fmt.Fprintf(stderr, "the C++ queue is left out: %v\n", err)
	}
	defer cpp.remove()
	all := measurements(stage, cpp, *slots, time.Duration(*seconds*float64(time.Second)))
	all = slices.DeleteFunc(all, func(m *measurement) bool { return !filter.MatchString(m.Impl + "/" + m.Case) })

	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	take := func(round string, which []*measurement) error {
		for _, m := range which {
			fmt.Fprintf(stderr, "%s: %s, %s\n", round, m.Impl, m.Case)
			if err := m.take(stage); err != nil {
				return err
			}
		}
		return nil
	}
	for pass := range *passes {
		if err := take(fmt.Sprintf("pass %d of %d", pass+1, *passes), all); err != nil {
			return err
		}
	}
	common := *floor
	if common == 0 {
		common = commonFloor(all)
	}
	if common != 0 {
		fmt.Fprintf(stderr, "floor of a round trip: %.0f ns\n", common)
	}
	for deadline := time.Now().Add(*patience); ; {
		few := slices.DeleteFunc(slices.Clone(all), func(m *measurement) bool { return len(m.at(common)) > *passes/2 })
		if len(few) == 0 || !time.Now().Before(deadline) {
			break
		}
		if err := stage.await(common, deadline); err != nil {
			return err
		}
		if err := take("again, for the floor was another", few); err != nil {
			return err
		}
	}
	enc := json.NewEncoder(stdout)
	for _, m := range all {
		values := m.at(common)
		m.Passes = len(values)
		if m.Passes == 0 {
			fmt.Fprintf(stderr, "%s, %s: never measured at the common floor: not comparable\n", m.Impl, m.Case)
			values = m.at(0)
		}
		slices.Sort(values)
		m.Value, m.Min, m.Max = rounded(values[len(values)/2]), rounded(values[0]), rounded(values[len(values)-1])
		m.Samples = nil
		for _, v := range values {
			m.Samples = append(m.Samples, rounded(v))
		}
		if err := enc.Encode(m.result); err != nil {
			return err
		}
	}
	return nil
}

// rounded keeps two decimals: more would be noise.
func rounded(v float64) float64 { return math.Round(v*100) / 100 }

// measurements are all measurements, in the order of the output.
func measurements(stage *stage, cpp *cpp, slots int, d time.Duration) (all []*measurement) {
	for _, p := range inGo {
		for _, c := range p.cases {
			m := &measurement{result: result{Impl: p.name, Case: c, ItemBytes: p.bytes, Unit: "M/s"}}
			switch {
			case c == roundTrip:
				m.Unit = "ns"
			case p.bytes >= 1<<10:
				m.Unit = "GB/s"
			}
			m.once = func() (float64, error) {
				nanos, err := stage.measure(p, c, slots, d)
				switch m.Unit {
				case "M/s":
					return 1e3 / nanos, err
				case "GB/s":
					return float64(p.bytes) / nanos, err
				}
				return nanos, err
			}
			all = append(all, m)
		}
	}
	for _, c := range []string{oneWay, sameThread, roundTrip} {
		if cpp == nil {
			break
		}
		m := &measurement{result: result{Impl: cppName, Case: c, ItemBytes: 8, Unit: "M/s"}}
		if c == roundTrip {
			m.Unit = "ns"
		}
		m.once = func() (float64, error) { return cpp.measure(stage, c, slots, d) }
		all = append(all, m)
	}
	return all
}
