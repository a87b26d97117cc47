package bench

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/aggregate"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/perfstat"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// A moment is what the agents of an engine did in a short time, without the time that others took.
type moment struct {
	had       float64 // the part of the time that the thread that had least of it had its CPU
	route     float64 // nanoseconds a record
	epoch     float64 // nanoseconds an epoch and partition
	perSecond float64 // records, for each second that the threads had their CPUs
	apply     []float64
	rows      []float64 // by partition, as apply
	chunks    []float64
}

// measure measures a run once: for d, and longer if others take the CPUs.
func (r *modelRun) measure(d time.Duration) error {
	e, err := r.start()
	if err != nil {
		return err
	}
	defer e.Close()
	Settle(e)
	r.slices = append(r.slices, watchSlices(e, d)...)
	return e.Shutdown(context.Background())
}

// watchSlices looks at a running engine slice by slice: for d, and longer if others take the CPUs,
// until clean slices add up to d, or for modelPatience times d.
func watchSlices(e *engine.Engine, d time.Duration) (all []moment) {
	defer observe()()
	clean := 0
	before := e.Stats()
	each := min(d, modelSlice)
	for spent := time.Duration(0); spent < modelPatience*d && clean < int(d/each); spent += each {
		<-time.After(each)
		after := e.Stats()
		s := momentOf(before, after)
		before = after
		if !(s.perSecond > 0) {
			continue // nothing was done, or the counters lag
		}
		all = append(all, s)
		if s.had >= modelHad {
			clean++
		}
	}
	return all
}

// cleanRate is the mean throughput over the clean slices, or over the least spoiled ones if these
// are too few, and how many are clean.
func cleanRate(all []moment) (perSecond float64, clean int) {
	of := slices.Clone(all)
	slices.SortStableFunc(of, func(a, b moment) int { return cmp.Compare(b.had, a.had) })
	for clean < len(of) && of[clean].had >= modelHad {
		clean++
	}
	of = of[:min(len(of), max(clean, modelLeast))]
	for _, s := range of {
		perSecond += s.perSecond / float64(len(of))
	}
	return perSecond, clean
}

// momentOf is what happened between two looks.
func momentOf(before, after engine.Stats) moment {
	n := len(after.Partitions)
	s := moment{had: 1, apply: make([]float64, n), rows: make([]float64, n), chunks: make([]float64, n)}
	elapsed := after.Elapsed - before.Elapsed
	part := make([]float64, len(after.Runners))
	spent := time.Duration(0)
	for i := range part {
		cpu := after.Runners[i].CPUTime - before.Runners[i].CPUTime
		spent += cpu
		part[i] = min(float64(cpu)/float64(elapsed), 1)
		s.had = min(s.had, part[i])
	}
	total, copied := 0.0, uint64(0)
	for i := range n {
		s.rows[i] = float64(after.Partitions[i].Rows - before.Partitions[i].Rows)
		copied += after.Partitions[i].Copied - before.Partitions[i].Copied
		total += s.rows[i]
	}
	for i := range after.Rings {
		s.chunks[after.Rings[i].Partition] += float64(after.Rings[i].Popped - before.Rings[i].Popped)
	}
	for i, a := range after.Agents {
		busy := float64(a.Busy-before.Agents[i].Busy) * part[a.Runner]
		var p int
		if _, err := fmt.Sscanf(a.Name, "partition/%d", &p); err == nil {
			s.apply[p] = busy / s.rows[p]
		} else if strings.HasPrefix(a.Name, "reader/") {
			s.route += busy / total
		}
	}
	s.perSecond = total / spent.Seconds() * float64(len(part))
	if epochs := after.Epochs.Published - before.Epochs.Published; epochs > 0 {
		const bytesPerNano = 8
		s.epoch = float64(copied) / float64(epochs) / float64(n) / bytesPerNano
	}
	return s
}

// work is what agents take for a record, in nanoseconds, and for an epoch.
type work struct {
	route, apply, epoch, perSecond float64
	chunkRows                      float64 // records of a chunk, on average

	each, weights, rowsOf []float64        // by partition: apply, part of the records, chunkRows
	rates                 perfstat.Summary // of perSecond
	slices, clean         int
}

// work is the median over the clean slices, or over the least spoiled ones if these are too few.
func (r *modelRun) work() work {
	of := slices.Clone(r.slices)
	slices.SortStableFunc(of, func(a, b moment) int { return cmp.Compare(b.had, a.had) })
	w := work{slices: len(of)}
	for w.clean < len(of) && of[w.clean].had >= modelHad {
		w.clean++
	}
	of = of[:min(len(of), max(w.clean, modelLeast))]
	w.route = middle(of, func(s moment) float64 { return s.route })
	w.epoch = middle(of, func(s moment) float64 { return s.epoch })
	rates := make([]float64, len(of))
	for i, s := range of {
		rates[i] = s.perSecond
	}
	w.rates = perfstat.Summarize(rates)
	w.perSecond = middle(of, func(s moment) float64 { return s.perSecond })
	rows, chunks := make([]float64, r.partitions), make([]float64, r.partitions)
	var allRows, allChunks float64
	for p := range r.partitions {
		w.each = append(w.each, middle(of, func(s moment) float64 { return s.apply[p] }))
		for _, s := range of {
			rows[p] += s.rows[p]
			chunks[p] += s.chunks[p]
		}
		allRows += rows[p]
		allChunks += chunks[p]
		w.rowsOf = append(w.rowsOf, rows[p]/max(chunks[p], 1))
	}
	for p := range r.partitions {
		w.weights = append(w.weights, rows[p]/max(allRows, 1))
		w.apply += w.each[p] * rows[p] / max(allRows, 1)
	}
	w.chunkRows = max(allRows, 1) / max(allChunks, 1)
	return w
}

// middle is the median of a figure; slices in which it is no number are left out.
func middle(of []moment, figure func(moment) float64) float64 {
	var values []float64
	for _, s := range of {
		v := figure(s)
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// asCase is the run as a case of the model.
func (r *modelRun) asCase() ModelCase {
	w := r.work()
	return ModelCase{
		Name: r.name, Readers: r.readers, Partitions: r.partitions, Cores: r.cores,
		Measured: w.perSecond, Least: w.rates.Min, Most: w.rates.Max, Low: w.rates.Low, High: w.rates.High,
		Slices: w.slices, Clean: w.clean,
	}
}

// An unevenLoad has a partition that has more to do than the others.
type unevenLoad struct {
	name string
	hot  float64 // the part of the records that have one key
	slow bool    // an aggregate takes long for records of the first partition
}

// uneven are the loads of the cases of the model.
var uneven = []unevenLoad{
	{name: "4 partitions, a hot key", hot: modelHot},
	{name: "4 partitions, a slow one", slow: true},
}

// slowRounds is how many multiplications, one after the other, the slow aggregate does. They take
// about 15 ns.
const slowRounds = 12

// slowSum is a sum, which takes long for values below zero.
var slowSum = aggregate.Must(aggregate.Spec[int64, int64, int64]{
	Name: "slow_sum",
	Add: func(s *int64, v int64) {
		if v < 0 {
			for range slowRounds {
				v *= v | 1
			}
		}
		*s += v
	},
	Merge:  func(into, from *int64) { *into += *from },
	Result: func(s int64) (int64, bool) { return s, true },
})

func (u unevenLoad) plan() *plan.Plan {
	p := Workload{}.Plan()
	if u.slow {
		p.Aggregates = append(p.Aggregates, plan.Aggregate{Name: "slow", User: slowSum, Column: "value"})
	}
	return p
}

// batches makes the records of a reader.
func (u unevenLoad) batches(p *plan.Plan, reader, records, partitions int) ([]*record.Batch, error) {
	const groups = 1000
	rng := rand.New(rand.NewPCG(uint64(reader), 11))
	owners := result.NewOwners(partitions)
	var slow [groups]bool
	for k := range slow {
		key, err := p.Key(int64(readers.Scramble(uint64(k))))
		if err != nil {
			return nil, err
		}
		slow[k] = u.slow && owners.OfShard(uint8(key.Shard())) == 0
	}
	var all []*record.Batch
	for range max(records/record.DefaultRows, 1) {
		b := record.NewBatch(p.Source, record.DefaultRows)
		b.Add(0)
		b.SetLen(record.DefaultRows)
		for i := range record.DefaultRows {
			k := rng.IntN(groups)
			if rng.Float64() < u.hot {
				k = 0
			}
			b.Column(0).Int64s[i] = int64(readers.Scramble(uint64(k)))
			b.Column(1).Int64s[i] = int64(i)
			if slow[k] {
				b.Column(1).Int64s[i] = -1 - int64(i)
			}
		}
		all = append(all, b)
	}
	return all, nil
}

func (u unevenLoad) start(n, partitions, cores int) (*engine.Engine, error) {
	p := u.plan()
	cfg := engine.Config{
		Plan: p, Partitions: partitions, Cores: cores, Exchange: plan.ExchangeRoute, Wait: engine.WaitSpin,
	}
	for r := range n {
		of, err := u.batches(p, r, modelRecords/n, partitions)
		if err != nil {
			return nil, err
		}
		m, err := newMemory(of, 0)
		if err != nil {
			return nil, err
		}
		cfg.Readers = append(cfg.Readers, m)
	}
	return engine.Start(context.Background(), cfg)
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
