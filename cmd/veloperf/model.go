package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/desim"
	"github.com/velo-engine/velo/plan"
)

// modelCmd predicts what more cores would come to. It is a model, and says so.
type modelCmd struct {
	Max             int           `name:"cores" help:"The greatest number of cores to extrapolate to." default:"1024"`
	Profile         string        `help:"Workload: ${workloads}." default:"u_1k"`
	Calibration     string        `help:"A file with what was measured; nothing is measured then." type:"path"`
	Save            string        `help:"Write what was measured to a file, for --calibration."`
	Runs            int           `help:"How often to measure; medians count." default:"5"`
	Duration        time.Duration `help:"How long to measure each." default:"300ms"`
	SocketCores     int           `help:"An assumption: cores that share a memory." default:"64"`
	SocketBandwidth float64       `help:"An assumption: what that memory moves, in GB/s." default:"300"`
	Verbose         bool          `help:"Say on standard error what is measured."`
	JSON            bool          `name:"json" help:"Print JSON objects, one a line, instead of text."`
}

// A modelPoint is a prediction, beside a measurement if there is one.
type modelPoint struct {
	Kind       string  `json:"kind"` // "model": it was not measured; "model beside measurement"
	Profile    string  `json:"profile"`
	Case       string  `json:"case"`
	Readers    int     `json:"readers"`
	Partitions int     `json:"partitions"`
	Cores      int     `json:"cores"`
	Predicted  float64 `json:"predicted_records_per_second"`
	Measured   float64 `json:"measured_records_per_second,omitempty"`
	Error      float64 `json:"error,omitempty"` // predicted / measured - 1
	// These are of the measurements: the least and the most, and an interval of their median.
	Least float64 `json:"measured_least,omitempty"`
	Most  float64 `json:"measured_most,omitempty"`
	Low   float64 `json:"measured_low,omitempty"`
	High  float64 `json:"measured_high,omitempty"`
	// Spoiled says that the host left the threads their CPUs too seldom while this was measured.
	Spoiled    bool    `json:"spoiled,omitempty"`
	Efficiency float64 `json:"efficiency,omitempty"` // T(N) / (N T(1)), both predicted
	// Limit is what the engine has in the way of this shape today; it is empty if nothing is.
	Limit string `json:"limit,omitempty"`
}

// modelTrust is how far a prediction may be from the measurement.
const modelTrust = 0.1

// modelNanos is how long is simulated: less for many rings, of which more happens at a time. It is
// several times as long as a record is in the rings, which is 4 ms for 256 readers and partitions,
// and longer for more readers of as many partitions.
func modelNanos(readers, partitions int) float64 {
	return math.Max(300e6/float64(readers*partitions), 16e6*math.Max(1, float64(readers)/plan.MaxPartitions))
}

func (c *modelCmd) Run(std streams) error {
	from, err := c.calibrated(std)
	if err != nil {
		return err
	}
	points, err := c.points(from)
	if err != nil {
		return err
	}
	if !c.JSON {
		return c.print(std, from, points)
	}
	out := json.NewEncoder(std.out)
	for _, p := range points {
		err := out.Encode(struct {
			stamp
			modelPoint
			Assumptions []string `json:"assumptions"`
		}{newStamp(from.Spoilers), p, c.assumptions(from)})
		if err != nil {
			return err
		}
	}
	return nil
}

// calibrated reads the calibration, or measures it.
func (c *modelCmd) calibrated(std streams) (*bench.Calibrated, error) {
	if c.Calibration != "" {
		text, err := os.ReadFile(c.Calibration)
		if err != nil {
			return nil, err
		}
		from := &bench.Calibrated{}
		if err := json.Unmarshal(text, from); err != nil {
			return nil, fmt.Errorf("%s is no calibration: %w", c.Calibration, err)
		}
		if err := from.Calibration.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Calibration, err)
		}
		if from.Cores < 1 || !(from.Bandwidth > 0) {
			return nil, fmt.Errorf("%s: %d cores and a bandwidth of %v, expected more than 0", c.Calibration,
				from.Cores, from.Bandwidth)
		}
		return from, nil
	}
	w, err := workload(c.Profile)
	if err != nil {
		return nil, err
	}
	s := sizing{}
	if err := s.settle(); err != nil {
		return nil, err
	}
	if c.Save != "" {
		err := writable(c.Save)
		if err != nil {
			return nil, err
		}
	}
	meter := newMeter()
	bench.Observe = meter.begin
	defer func() { bench.Observe = nil }()
	from, err := bench.Calibrate(c.Profile, w, min(s.Cores, realCores(), 2), c.Runs, c.Duration,
		func(round int) {
			meter.run = round
			fmt.Fprintf(std.err, "run %d of %d\n", round, c.Runs)
		},
		func(what string) {
			if c.Verbose {
				fmt.Fprintf(std.err, "measuring: %s\n", what)
			}
		})
	if err != nil {
		return nil, err
	}
	from.Spoilers = append(from.Spoilers, append(meter.setup, meter.lines()...)...)
	if c.Save == "" {
		return from, nil
	}
	text, err := json.MarshalIndent(from, "", "\t")
	if err != nil {
		return nil, err
	}
	return from, os.WriteFile(c.Save, append(text, '\n'), 0o644)
}

// points are the predictions beside what was measured, and the extrapolation.
func (c *modelCmd) points(from *bench.Calibrated) (points []modelPoint, err error) {
	simulate := func(s desim.Shape) (float64, error) {
		cal := bench.Slots(from.Calibration, s.Readers, s.Partitions)
		r, err := desim.Run(cal, s, modelNanos(s.Readers, s.Partitions))
		return r.PerSecond(), err
	}
	for _, k := range from.Cases {
		t, err := simulate(desim.Shape{
			Readers: k.Readers, Partitions: k.Partitions, Cores: k.Cores, Weights: k.Weights,
			RouteMore: k.RouteMore, Slow: k.Slow, Bandwidth: from.Bandwidth,
		})
		if err != nil {
			return nil, fmt.Errorf("case %s: %w", k.Name, err)
		}
		points = append(points, modelPoint{
			Kind: "model beside measurement", Profile: from.Profile, Case: k.Name, Readers: k.Readers,
			Partitions: k.Partitions, Cores: k.Cores, Predicted: t, Measured: k.Measured, Error: t/k.Measured - 1,
			Least: k.Least, Most: k.Most, Low: k.Low, High: k.High, Spoiled: k.Spoiled(),
		})
	}
	var one float64
	for n := 1; n <= c.Max; n *= 2 {
		p := min(n, plan.MaxPartitions)
		t, err := simulate(desim.Shape{Readers: n, Partitions: p, Cores: n, Bandwidth: c.bandwidth(from, n)})
		if err != nil {
			return nil, err
		}
		if n == 1 {
			one = t
		}
		x := modelPoint{
			Kind: "model", Profile: from.Profile, Case: "extrapolation", Readers: n, Partitions: p, Cores: n,
			Predicted: t, Efficiency: t / (float64(n) * one),
		}
		if p < n {
			x.Limit = fmt.Sprintf("at most %d partitions", p)
		}
		if rings := n * p * from.Calibration.LocalSlots * core.ChunkBytes; rings > engine.MaxRingBytes {
			x.Limit = fmt.Sprintf("%d GiB of rings, the engine takes %d", rings>>30, engine.MaxRingBytes>>30)
		}
		points = append(points, x)
	}
	return points, nil
}

// bandwidth is what the memory of n cores is taken to move in a nanosecond: for each core as much
// as was measured, and for each socket as much as is assumed.
func (c *modelCmd) bandwidth(from *bench.Calibrated, n int) float64 {
	sockets := (n + c.SocketCores - 1) / c.SocketCores
	return min(from.Bandwidth/float64(from.Cores)*float64(n), c.SocketBandwidth*float64(sockets))
}

// assumptions are what the model takes for granted.
func (c *modelCmd) assumptions(from *bench.Calibrated) []string {
	return []string{
		"every record is routed through a ring: nothing is folded, and keys are even unless the case says otherwise",
		"E(n) is in comparison with one reader and one partition, whose records need not be dealt to partitions",
		fmt.Sprintf("a step takes as long as it was measured to on %d cores, on any number", from.Cores),
		"a record that stays on its core takes longer if the chunks that this core goes through are too many for its " +
			"caches, by as much as was measured on one core with as many bytes",
		"a record from another core takes the same time longer whatever the shape, because its line is in no cache " +
			"of this core anyway",
		"how much longer a hot key or a slow partition takes was measured on one core with one reader",
		fmt.Sprintf("%d cores share a memory of %v GB/s, and each core gets what was measured here at most",
			c.SocketCores, c.SocketBandwidth),
		fmt.Sprintf("a record that does not stay in the caches of a core moves %.0f bytes from and to memory; the "+
			"groups stay there", from.Calibration.Bytes),
		fmt.Sprintf("a look at a ring takes a partition %v ns, which was not measured", from.Calibration.Poll),
		"a line from another socket takes no longer than one from another core",
		"threads are never interrupted, and clocks do not slow down when more cores work",
		"readers have their records at hand: all readers together go through half a MiB, or four times the groups",
	}
}

func (c *modelCmd) print(std streams, from *bench.Calibrated, points []modelPoint) error {
	w := std.out
	x := from.Calibration
	fmt.Fprintf(w, "MODEL, not a measurement: a simulation of %s, calibrated on %d cores\n", from.Profile, from.Cores)
	fmt.Fprintf(w, "a record: %.2f ns to route to 2 partitions and %.2f to apply; %.2f and %.2f more across cores\n",
		x.Route.At(2), x.Apply, x.RouteRemote, x.ApplyRemote)
	fmt.Fprintf(w, "if the chunks of a core do not fit its caches: up to %.2f and %.2f more\n",
		x.RouteCold.At(math.Inf(1)), x.ApplyCold.At(math.Inf(1)))
	fmt.Fprintf(w, "a batch %.0f ns, a chunk %.0f at its router and %.0f at its partition, an epoch %.0f; memory %.1f "+
		"GB/s\n", x.Batch, x.RouteChunk, x.ApplyChunk, x.Epoch, from.Bandwidth)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "shape\tmodel, records/s\tmeasured\tleast..most\tinterval\terror\t\t")
	within, of := 0, 0
	for _, p := range points {
		if p.Measured == 0 {
			continue
		}
		mark := ""
		if p.Spoiled {
			mark = "spoiled"
		} else {
			of++
			if math.Abs(p.Error) <= modelTrust {
				within++
			}
		}
		fmt.Fprintf(t, "%s\t%.1f M\t%.1f M\t%s..%s\t%s..%s\t%+.0f %%\t%s\t\n", p.Case, p.Predicted/1e6,
			p.Measured/1e6, short(p.Least), short(p.Most), short(p.Low), short(p.High), 100*p.Error, mark)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "within %.0f %%: %d of %d that were not spoiled\n", 100*modelTrust, within, of)
	fmt.Fprintln(t, "cores\treaders\tpartitions\tmodel, records/s\tmodel, E(n)\tlimit of the engine\t")
	for _, p := range points {
		if p.Measured == 0 {
			fmt.Fprintf(t, "%d\t%d\t%d\t%.1f M\t%.2f\t%s\t\n", p.Cores, p.Readers, p.Partitions, p.Predicted/1e6,
				p.Efficiency, p.Limit)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, p := range from.Parts {
		if p.Spoiled() {
			fmt.Fprintf(w, "spoiled: %s: its threads had their CPUs in %d of %d slices of time\n", p.Name, p.Clean,
				p.Slices)
		}
	}
	for _, s := range from.Spoilers {
		fmt.Fprintf(w, "could spoil the figures: %s\n", s)
	}
	fmt.Fprintln(w, "the model assumes:")
	for _, a := range c.assumptions(from) {
		fmt.Fprintf(w, "- %s\n", a)
	}
	return nil
}
