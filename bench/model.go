package bench

import (
	"fmt"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/desim"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// A ModelCase is a shape that can be measured here and is predicted too.
type ModelCase struct {
	Name       string `json:"name"`
	Readers    int    `json:"readers"`
	Partitions int    `json:"partitions"`
	Cores      int    `json:"cores"`
	// Weights is the part of the records that each partition gets; nil is the same for all.
	Weights []float64 `json:"weights,omitempty"`
	// RouteMore is how many nanoseconds more a record takes its router than one of the calibration,
	// as measured on one core.
	RouteMore float64 `json:"route_more_ns,omitempty"`
	// Slow is how many times as long each partition takes for a record as in the calibration, as
	// measured on one core; nil is once.
	Slow []float64 `json:"slow,omitempty"`
	// Measured is the throughput of the engine, the median over the slices of time in which its
	// threads had their CPUs.
	Measured float64 `json:"measured_records_per_second"`
	// Least and Most are over these slices, and Low to High is an interval that has the true median
	// with a probability of 95 %, if there are six slices or more.
	Least float64 `json:"measured_least"`
	Most  float64 `json:"measured_most"`
	Low   float64 `json:"measured_low"`
	High  float64 `json:"measured_high"`
	// Slices is how many slices of time were measured, and Clean in how many of them the threads
	// had their CPUs. If these are too few, the case is spoiled; see Spoiled.
	Slices int `json:"slices"`
	Clean  int `json:"clean_slices"`
}

// Spoiled says that the host left the threads of the case their CPUs too seldom, so its figure says
// more of the host than of the engine.
func (k *ModelCase) Spoiled() bool { return k.Clean < modelLeast }

// A Calibrated is what was measured for the model. The model depends on nothing else.
type Calibrated struct {
	Profile     string            `json:"profile"`
	Cores       int               `json:"cores"` // that it was measured on
	Calibration desim.Calibration `json:"calibration"`
	// Bandwidth is how many bytes these cores copied in a nanosecond, read and written.
	Bandwidth float64     `json:"bandwidth_bytes_per_ns"`
	Cases     []ModelCase `json:"cases"`
	// Parts are all that was measured, the cases too.
	Parts []ModelPart `json:"parts"`
	// Spoilers is what the caller found to have spoiled the measurement.
	Spoilers []string `json:"spoilers,omitempty"`
}

// A ModelPart is what the agents of one engine took, in nanoseconds for a record.
type ModelPart struct {
	Name      string  `json:"name"`
	Route     float64 `json:"route_ns"`
	Apply     float64 `json:"apply_ns"`
	ChunkRows float64 `json:"rows_per_chunk"`
	T         float64 `json:"records_per_second"`
	Slices    int     `json:"slices"` // see ModelCase
	Clean     int     `json:"clean_slices"`
}

// Spoiled is as of a ModelCase.
func (p *ModelPart) Spoiled() bool { return p.Clean < modelLeast }

const (
	// modelHot is the part of the records that one key has in the case with a hot key.
	modelHot = 0.6

	// modelRecords is how many prepared records all readers together have, if the groups are not
	// more. They are 512 KiB, so they stay in a cache: the model is of readers that have their
	// records at hand.
	modelRecords = 1 << 15

	// modelSlice is how long a slice is. The engine's counters lag by 10 ms.
	modelSlice = 50 * time.Millisecond

	// modelHad is the part of a slice in which each thread had its CPU if the slice is clean, and
	// modelLeast how many clean slices a figure needs. If there are fewer, those count in which the
	// threads had most of their CPUs, and the figure is called spoiled.
	modelHad   = 0.97
	modelLeast = 5

	// modelSmall is how many records the small batches have.
	modelSmall = 64

	// modelUneven is how many partitions the cases with uneven loads have.
	modelUneven = 4

	// modelPatience is how many times as long as it was asked to a run looks for clean slices.
	modelPatience = 4

	// modelCopies is how often the bandwidth of memory is measured; the greatest counts.
	modelCopies = 5

	// trips is how many times a record in a chunk goes to memory or comes from there: its line is
	// fetched to be written, written back, and fetched by the other core.
	trips = 3

	// modelPoll is how long a look at an empty ring is taken to be, in nanoseconds. It is too short
	// to measure here; the model says so.
	modelPoll = 2
)

// modelWidths are the numbers of partitions that routing to is measured, on one core.
var modelWidths = []int{1, 2, 4, 16, 64, 256}

// modelCold are the numbers of readers and of partitions with which all rings of one core go
// through more and more bytes.
var modelCold = []int{4, 8, 16}

// A modelRun is an engine that the model is calibrated or compared with.
type modelRun struct {
	name                       string
	readers, partitions, cores int
	start                      func() (*engine.Engine, error)
	slices                     []moment
}

// modelRuns are all runs, in the order in which each round measures them.
type modelRuns struct {
	wide  []*modelRun  // by modelWidths
	small [2]*modelRun // small batches, to one partition and to two
	cold  []*modelRun  // by modelCold
	both  *modelRun    // as many readers and partitions as cores
	even  []*modelRun  // cases
	alone []*modelRun  // uneven loads on one core, by uneven
	cases []*modelRun  // the same on several
}

func (m *modelRuns) all() (all []*modelRun) {
	for _, some := range [][]*modelRun{m.wide, m.small[:], m.cold, {m.both}, m.even, m.alone, m.cases} {
		all = append(all, some...)
	}
	return all
}

// Calibrate measures a workload on one core and on cores cores, and each case of the model. It goes
// through all of them runs times, for d each or for as much longer as it takes to find some time in
// which the threads had their CPUs. round is called as a round begins, with its number from 1 on,
// and progress before each measurement.
func Calibrate(profile string, w Workload, cores, runs int, d time.Duration, round func(int), progress func(string),
) (*Calibrated, error) {
	w.Exchange, w.Wait = plan.ExchangeRoute, engine.WaitSpin
	if w.Prepare > 0 {
		w.Prepare = max(modelRecords, 4*int(w.Groups))
	}
	l, err := w.Plan().Layout()
	if err != nil {
		return nil, err
	}
	c := &Calibrated{Profile: profile, Cores: cores, Calibration: desim.Calibration{
		Poll: modelPoll, ChunkRows: l.Rows, EpochInterval: float64(engine.DefaultEpochInterval),
		RecordBytes: core.ChunkBytes / float64(l.Rows), Bytes: trips * core.ChunkBytes / float64(l.Rows),
		RingSlots: engine.DefaultRingSlots, LocalSlots: 2,
	}}
	m := newModelRuns(w, cores)
	for n := range runs {
		round(n + 1)
		for _, r := range m.all() {
			progress(r.name)
			err := r.measure(d)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	c.settle(m)
	for range modelCopies { // a limit: others can only make it look lower
		c.Bandwidth = max(c.Bandwidth, copyBandwidth(cores, modelSlice))
	}
	return c, nil
}

// newModelRuns says what is measured of a workload.
func newModelRuns(w Workload, cores int) *modelRuns {
	run := func(name string, w Workload, readers, partitions, cores int) *modelRun {
		return &modelRun{
			name: name, readers: readers, partitions: partitions, cores: cores,
			start: func() (*engine.Engine, error) { return w.dealt(readers).Start(readers, partitions, cores) },
		}
	}
	m := &modelRuns{}
	for _, n := range modelWidths {
		m.wide = append(m.wide, run(fmt.Sprintf("one core, a reader, %d partitions", n), w, 1, n, 1))
	}
	small := w
	small.BatchRows = modelSmall
	for i := range m.small {
		m.small[i] = run(fmt.Sprintf("one core, small batches, %d partitions", i+1), small, 1, i+1, 1)
	}
	for _, n := range modelCold {
		m.cold = append(m.cold, run(fmt.Sprintf("one core, %d readers and partitions", n), w, n, n, 1))
	}
	m.both = run(fmt.Sprintf("%d readers, %d partitions on %d cores", cores, cores, cores), w, cores, cores, cores)
	for _, s := range []struct{ r, p int }{{1, 2}, {4, 4}, {8, 8}, {16, 16}} {
		if cores > 1 {
			name := fmt.Sprintf("%d readers, %d partitions on %d cores", s.r, s.p, cores)
			m.even = append(m.even, run(name, w, s.r, s.p, cores))
		}
	}
	for _, u := range uneven {
		if cores == 1 {
			break
		}
		on := func(readers, cores int) *modelRun {
			return &modelRun{
				name: fmt.Sprintf("%s on %d cores", u.name, cores), readers: readers,
				partitions: modelUneven, cores: cores,
				start: func() (*engine.Engine, error) { return u.start(readers, modelUneven, cores) },
			}
		}
		m.alone, m.cases = append(m.alone, on(1, 1)), append(m.cases, on(cores, cores))
	}
	return m
}

// settle makes the calibration and the cases of what was measured.
func (c *Calibrated) settle(m *modelRuns) {
	for _, r := range m.all() {
		w := r.work()
		c.Parts = append(c.Parts, ModelPart{r.name, w.route, w.apply, w.chunkRows, w.perSecond, w.slices, w.clean})
	}
	x := &c.Calibration
	wide := make([]work, len(m.wide))
	for i, r := range m.wide {
		wide[i] = r.work()
	}
	two, small := wide[1], m.small[1].work() // two partitions each
	// Small batches make small chunks. The records of a batch share the time that a batch takes,
	// and the records of a chunk the time that a chunk takes. A batch makes as many chunks as there
	// are partitions, one or two here: the rest of the difference is the batch.
	batch := 1.0/modelSmall - 1.0/record.DefaultRows
	more := small.route - two.route
	x.RouteChunk = max(more-(m.small[0].work().route-wide[0].route), 0) / batch
	x.Batch = max(more/batch-2*x.RouteChunk, 0)
	x.ApplyChunk = max(small.apply-two.apply, 0) / (1/small.chunkRows - 1/two.chunkRows)
	for i, n := range modelWidths {
		x.Route = append(x.Route, desim.Point{At: float64(n), Nanos: max(c.routed(wide[i]), 0.1)})
	}
	x.Apply = max(c.applied(two), 0.1)
	x.RouteCold, x.ApplyCold = desim.Curve{}, desim.Curve{}
	last := x.CycledOf(2, 1, two.chunkRows)
	x.RouteCold = append(x.RouteCold, desim.Point{At: last})
	x.ApplyCold = append(x.ApplyCold, desim.Point{At: last})
	for i, n := range modelCold {
		w := m.cold[i].work()
		at := x.CycledOf(n, 1, w.chunkRows)
		if !(at > last) {
			continue
		}
		last = at
		route := max(c.routed(w)-x.Route.At(float64(n)), 0)
		x.RouteCold = append(x.RouteCold, desim.Point{At: at, Nanos: route})
		x.ApplyCold = append(x.ApplyCold, desim.Point{At: at, Nanos: max(c.applied(w)-x.Apply, 0)})
	}
	if both := m.both.work(); c.Cores > 1 {
		// One of the cores that a record may go to is its own.
		n := float64(c.Cores)
		at := x.CycledOf(c.Cores, c.Cores, both.chunkRows)
		x.RouteRemote = max((c.routed(both)-x.Route.At(n))*n-x.RouteCold.At(at), 0) / (n - 1)
		x.ApplyRemote = max((c.applied(both)-x.Apply)*n-x.ApplyCold.At(at), 0) / (n - 1)
		x.Epoch = both.epoch
	} else {
		x.Epoch = two.epoch
	}
	c.Cases = append(c.Cases, m.wide[0].asCase(), m.both.asCase())
	for _, r := range m.even {
		c.Cases = append(c.Cases, r.asCase())
	}
	for i, r := range m.cases {
		k := r.asCase()
		c.uneven(&k, m.alone[i].work())
		c.Cases = append(c.Cases, k)
	}
}

// uneven fills in what is special of the load of a case, of how long it takes on one core.
func (c *Calibrated) uneven(k *ModelCase, alone work) {
	x := &c.Calibration
	k.Weights = alone.weights
	k.RouteMore = c.routed(alone) - x.Route.At(float64(k.Partitions))
	for p, each := range alone.each {
		k.Slow = append(k.Slow, max((each-x.ApplyChunk/alone.rowsOf[p])/x.Apply, 0.1))
	}
}

// routed is what a record took its router, without what the batch and the chunks took.
func (c *Calibrated) routed(w work) float64 {
	return w.route - c.Calibration.Batch/record.DefaultRows - c.Calibration.RouteChunk/w.chunkRows
}

// applied is what a record took its partition, without what the chunks took.
func (c *Calibrated) applied(w work) float64 { return w.apply - c.Calibration.ApplyChunk/w.chunkRows }

// Slots is the calibration with as many slots of rings as the engine has for a shape by default.
func Slots(c desim.Calibration, readers, partitions int) desim.Calibration {
	for c.RingSlots > c.LocalSlots && readers*partitions*c.RingSlots*core.ChunkBytes > 64<<20 {
		c.RingSlots /= 2
	}
	return c
}
