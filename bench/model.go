package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/desim"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// A ModelCase is a shape that can be measured here and is predicted too.
type ModelCase struct {
	Name       string `json:"name"`
	Readers    int    `json:"readers"`
	Partitions int    `json:"partitions"`
	Cores      int    `json:"cores"`
	// Weights is the part of the records that each partition gets; nil is the same for all.
	Weights []float64 `json:"weights,omitempty"`
	// Slow is how many times as long as others each partition takes for a record, as measured on
	// one core; nil is once.
	Slow []float64 `json:"slow,omitempty"`
	// Measured is the throughput of the engine, the median of several runs, for each second that
	// its threads had their CPUs.
	Measured float64 `json:"measured_records_per_second"`
}

// A Calibrated is what was measured for the model. The model depends on nothing else.
type Calibrated struct {
	Profile     string            `json:"profile"`
	Cores       int               `json:"cores"` // that it was measured on
	Calibration desim.Calibration `json:"calibration"`
	// Bandwidth is how many bytes these cores copied in a nanosecond, read and written.
	Bandwidth float64     `json:"bandwidth_bytes_per_ns"`
	Cases     []ModelCase `json:"cases"`
}

const (
	// modelHot is the part of the records that one key has in the case with a hot key.
	modelHot = 0.6

	// trips is how many times a record in a chunk goes to memory or comes from there: its line is
	// fetched to be written, written back, and fetched by the other core.
	trips = 3

	// modelPoll is how long a look at an empty ring is taken to be, in nanoseconds. It is too short
	// to measure here; the model says so.
	modelPoll = 2
)

// Calibrate measures a workload on one core and on cores cores, and each case of the model. Of runs
// measurements of d each, the median counts.
func Calibrate(profile string, w Workload, cores, runs int, d time.Duration, progress func(string),
) (*Calibrated, error) {
	w.Exchange, w.Wait = plan.ExchangeRoute, engine.WaitSpin
	l, err := w.Plan().Layout()
	if err != nil {
		return nil, err
	}
	c := &Calibrated{Profile: profile, Cores: cores, Calibration: desim.Calibration{
		Poll: modelPoll, ChunkRows: l.Rows, EpochInterval: float64(engine.DefaultEpochInterval),
		Bytes: trips * core.ChunkBytes / float64(l.Rows),
	}}
	c.Calibration.RingSlots, c.Calibration.LocalSlots = engine.DefaultRingSlots, 2
	measure := func(name string, readers, partitions, cores int, w Workload) (work, error) {
		progress(name)
		return medianWork(func() (*engine.Engine, error) { return w.Start(readers, partitions, cores) }, cores, runs, d)
	}
	alone, err := measure("one core, one partition", 1, 1, 1, w)
	if err != nil {
		return nil, err
	}
	one, err := measure("one core", 1, 2, 1, w)
	if err != nil {
		return nil, err
	}
	small := w
	small.BatchRows = 64
	little, err := measure("one core, small batches", 1, 2, 1, small)
	if err != nil {
		return nil, err
	}
	several, err := measure("several cores", cores, cores, cores, w)
	if err != nil {
		return nil, err
	}
	x := &c.Calibration
	x.Route, x.Apply, x.RouteOne = one.route, one.apply, alone.route
	// Of the records, one of cores is from the same core, or to it.
	remote := func(several, one float64) float64 {
		if cores == 1 {
			return one
		}
		return max((several*float64(cores)-one)/float64(cores-1), one/2)
	}
	x.Remote, x.RouteRemote = remote(several.apply, one.apply), remote(several.route, one.route)
	// In a batch of 64 rows, 64 records share the time that a batch takes, and the same goes for
	// the chunks that are sent after it.
	per := 1/64.0 - 1.0/record.DefaultRows
	x.Batch = max(little.route-one.route, 0) / per
	x.Chunk = max(little.apply-one.apply, 0) / per / 2
	x.Route = max(x.Route-x.Batch/record.DefaultRows, x.Route/2)
	x.RouteRemote = max(x.RouteRemote-x.Batch/record.DefaultRows, x.RouteRemote/2)
	x.RouteOne = max(x.RouteOne-x.Batch/record.DefaultRows, x.RouteOne/2)
	x.Epoch = several.epoch
	c.Bandwidth = copyBandwidth(cores, 100*time.Millisecond)

	for _, shape := range []struct{ r, p, c int }{{1, 1, 1}, {1, 2, 2}, {2, 2, 2}, {4, 4, 2}, {8, 8, 2}, {16, 16, 2}} {
		if shape.c > cores {
			continue
		}
		k := ModelCase{
			Name:    fmt.Sprintf("%d partitions on %d cores", shape.p, shape.c),
			Readers: shape.r, Partitions: shape.p, Cores: shape.c,
		}
		m, err := measure(k.Name, shape.r, shape.p, shape.c, w)
		if err != nil {
			return nil, err
		}
		k.Measured = m.perSecond
		c.Cases = append(c.Cases, k)
	}
	if cores > 1 {
		progress("a hot key")
		k, err := hotCase(one.apply, runs, d)
		if err != nil {
			return nil, err
		}
		c.Cases = append(c.Cases, k)
	}
	return c, nil
}

// hotCase is two readers on two cores, most of whose records have one key. apply is how long a
// record takes its partition if no key is hot. Records of one key wait for each other, so how long
// they take is measured too, on one core.
func hotCase(apply float64, runs int, d time.Duration) (ModelCase, error) {
	k := ModelCase{Name: "4 partitions on 2 cores, a hot key", Readers: 2, Partitions: 4, Cores: 2}
	s := Skew{hot: []int{-1}, part: modelHot}
	p := Workload{}.Plan()
	var weight [plan.Shards]float64
	var sets [][][]*record.Batch
	for r := range k.Readers {
		of, err := s.batches(p, r, &weight)
		if err != nil {
			return k, err
		}
		sets = append(sets, of)
	}
	start := func(readers, partitions, cores int) func() (*engine.Engine, error) {
		return func() (*engine.Engine, error) {
			cfg := engine.Config{
				Plan: p, Partitions: partitions, Cores: cores, Exchange: plan.ExchangeRoute, Wait: engine.WaitSpin,
			}
			for r := range readers {
				cfg.Readers = append(cfg.Readers, &phases{sets: sets[r]})
			}
			return engine.Start(context.Background(), cfg)
		}
	}
	one, err := medianWork(start(1, 2, 1), 1, runs, d)
	if err != nil {
		return k, err
	}
	two, err := medianWork(start(k.Readers, k.Partitions, k.Cores), k.Cores, runs, d)
	if err != nil {
		return k, err
	}
	k.Measured = two.perSecond

	k.Weights, k.Slow = make([]float64, k.Partitions), make([]float64, k.Partitions)
	sum := 0.0
	owners := result.NewOwners(k.Partitions)
	for shard, n := range weight {
		k.Weights[owners.OfShard(uint8(shard))] += n
		sum += n
	}
	hot := max((one.apply-(1-modelHot)*apply)/modelHot, apply/2) // of a record with that key
	for i := range k.Weights {
		k.Weights[i] /= sum
		k.Slow[i] = 1
		if k.Weights[i] > modelHot {
			k.Slow[i] = (modelHot*hot + (k.Weights[i]-modelHot)*apply) / k.Weights[i] / apply
		}
	}
	return k, nil
}

// work is what agents took for a record, in nanoseconds, and for an epoch.
type work struct{ route, apply, epoch, perSecond float64 }

// medianWork measures an engine several times and takes the median of each figure.
func medianWork(start func() (*engine.Engine, error), cores, runs int, d time.Duration) (work, error) {
	var all [4][]float64
	for range runs {
		e, err := start()
		if err != nil {
			return work{}, err
		}
		Settle(e)
		before := e.Stats()
		f, err := Measure(e, d)
		after := e.Stats()
		err = errors.Join(err, e.Shutdown(context.Background()))
		if err != nil {
			return work{}, err
		}
		x := workOf(before, after)
		for i, v := range []float64{x.route, x.apply, x.epoch, undisturbed(f, cores)} {
			all[i] = append(all[i], v)
		}
	}
	var median [4]float64
	for i, values := range all {
		slices.Sort(values)
		median[i] = values[len(values)/2]
	}
	return work{median[0], median[1], median[2], median[3]}, nil
}

// undisturbed is the throughput if the threads had their CPUs all the time. They spin when they
// have no work, so the CPU time that they lack was taken by others.
func undisturbed(f Figure, cores int) float64 {
	return float64(f.Records) / f.CPUTime.Seconds() * float64(cores)
}

// workOf is what agents did between two looks, without the time that others took.
func workOf(before, after engine.Stats) (w work) {
	var route, apply time.Duration
	for i := range after.Agents {
		busy := after.Agents[i].Busy
		if i < len(before.Agents) {
			busy -= before.Agents[i].Busy
		}
		on := after.Agents[i].Runner
		had := float64(after.Runners[on].CPUTime-before.Runners[on].CPUTime) / float64(after.Elapsed-before.Elapsed)
		busy = time.Duration(float64(busy) * min(had, 1))
		if strings.HasPrefix(after.Agents[i].Name, "reader") {
			route += busy
		} else {
			apply += busy
		}
	}
	var rows, copied uint64
	for i := range after.Partitions {
		rows += after.Partitions[i].Rows - before.Partitions[i].Rows
		copied += after.Partitions[i].Copied - before.Partitions[i].Copied
	}
	w.route, w.apply = float64(route)/float64(rows), float64(apply)/float64(rows)
	if n := after.Epochs.Published - before.Epochs.Published; n > 0 {
		const bytesPerNano = 8
		w.epoch = float64(copied) / float64(n) / float64(len(after.Partitions)) / bytesPerNano
	}
	return w
}

// copyBandwidth is how many bytes cores goroutines read and write in a nanosecond when they copy.
func copyBandwidth(cores int, d time.Duration) float64 {
	const size = 32 << 20 // more than the caches
	var all sync.WaitGroup
	var mu sync.Mutex
	total := 0.0
	for range cores {
		all.Go(func() {
			from, to := make([]byte, size), make([]byte, size)
			copy(to, from)
			n, begin := 0, time.Now()
			for time.Since(begin) < d {
				copy(to, from)
				n += 2 * size
			}
			mu.Lock()
			defer mu.Unlock()
			total += float64(n) / float64(time.Since(begin))
		})
	}
	all.Wait()
	return total
}

// Slots is the calibration with as many slots of rings as the engine has for a shape by default.
func Slots(c desim.Calibration, readers, partitions int) desim.Calibration {
	for c.RingSlots > c.LocalSlots && readers*partitions*c.RingSlots*core.ChunkBytes > 64<<20 {
		c.RingSlots /= 2
	}
	return c
}
