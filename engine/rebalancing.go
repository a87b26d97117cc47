package engine

import (
	"slices"
	"sync"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
)

// lastMoves is how many moves Stats shows.
const lastMoves = 8

// A rebalancing measures an engine at its epochs, has a rebalancer decide, and carries out the
// moves. It has a goroutine of its own, which the runner that raises an epoch wakes.
type rebalancing struct {
	engine *Engine
	due    wakeup
	// decide is the policy, or what a test puts in its place.
	decide func(*loadMeasure) ([]shardMove, string)

	every time.Duration // shortest time between two measurements

	// last has now, plans, samples and records as they were measured last, since the start. busy is
	// how long each agent of each runner had worked by the time at. Only the goroutine uses them.
	last loadMeasure
	at   []core.Nanos
	busy [][]time.Duration
	// moving are the plans of the last measurement.
	moving []*branch

	mu   sync.Mutex // guards told
	told RebalanceStats
}

func newRebalancing(e *Engine) *rebalancing {
	return &rebalancing{
		engine: e, due: newWakeup(), every: rebalanceEvery,
		decide: newRebalancer(e.cfg.RebalanceBytes).decide,
		at:     make([]core.Nanos, len(e.runners)),
		busy:   make([][]time.Duration, len(e.runners)),
		told:   RebalanceStats{Why: "nothing has been measured yet"},
	}
}

// run moves shards until the engine stops to read.
func (r *rebalancing) run() {
	ctx := r.engine.readCtx
	for {
		r.due.announce()
		select {
		case <-r.due.c:
			r.due.over()
		case <-ctx.Done():
			return
		}
		if time.Duration(r.engine.now())-r.last.now < r.every {
			continue
		}
		m := r.measure()
		if len(m.plans) == 0 {
			continue // all plans have ended
		}
		moves, why := r.decide(m)
		r.note(why, nil)
		for _, v := range moves {
			begin, each := r.engine.now(), len(r.engine.partitionOn)
			b, shards := r.moving[v.from/each], slices.Clone(v.shards)
			for i := range shards {
				shards[i] %= plan.Shards
			}
			if r.engine.moveShards(ctx, b, v.to%each, shards...) != nil {
				break // the user moves a shard, the plan was removed, or the engine ends
			}
			now := r.engine.now()
			r.note(why, &ShardMove{
				Plan: b.id, At: time.Duration(now), From: v.from % each, To: v.to % each, Shards: shards,
				Bytes: v.bytes, Took: time.Duration(now - begin), Why: why,
			})
		}
		if len(moves) > 0 {
			r.measure() // what happened during the moves says nothing about the time after them
		}
	}
}

// note is for Stats.
func (r *rebalancing) note(why string, m *ShardMove) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.told
	s.Why = why
	if m == nil {
		return
	}
	s.Moves++
	s.Shards += uint64(len(m.Shards))
	s.Bytes += uint64(m.Bytes)
	if len(s.Last) == lastMoves {
		s.Last = s.Last[1:]
	}
	s.Last = append(s.Last[:len(s.Last):len(s.Last)], *m) // a copy: others may have the slice
}

func (r *rebalancing) stats() RebalanceStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.told
}

// measure returns what has happened since the last time.
func (r *rebalancing) measure() *loadMeasure {
	e := r.engine
	now := time.Duration(e.now())
	m := &loadMeasure{now: now, elapsed: now - r.last.now}
	slot := e.epochs.Pin()
	r.moving = slices.DeleteFunc(e.branchesAt(slot), func(b *branch) bool { return b.ended.Load() })
	each := len(e.partitionOn)
	var samples []uint64
	for i, b := range r.moving {
		m.plans = append(m.plans, b.id)
		samples = append(samples, b.shardSamples()...)
		owners := b.cuts.At(slot).Owners
		for s := range plan.Shards {
			m.owner = append(m.owner, i*each+int(owners.OfShard(uint8(s))))
		}
		m.room = append(m.room, int(rebalanceMemory*float64(b.cfg.StateBytes))-b.state.Bytes())
	}
	e.epochs.Unpin(slot)
	m.samples = make([]uint64, len(samples))
	records := e.recordsIn()
	if slices.Equal(m.plans, r.last.plans) {
		for s := range samples {
			m.samples[s] = samples[s] - r.last.samples[s]
		}
		m.records = records - min(r.last.records, records)
	}
	r.last.now, r.last.plans, r.last.samples, r.last.records = now, m.plans, samples, records

	agents := make([][]time.Duration, len(e.runners))
	for i := range e.runners {
		agents[i] = r.work(i, m)
		var all time.Duration
		for _, d := range agents[i] {
			all += d
		}
		m.runners = append(m.runners, all)
	}
	for _, b := range r.moving {
		for p, on := range e.partitionOn {
			m.runner = append(m.runner, on.id)
			var busy time.Duration
			place := int(b.places[p].Load()) - 1
			if place >= 0 && place < len(agents[on.id]) {
				busy = agents[on.id][place]
			}
			m.partition = append(m.partition, busy)
			m.bytes = append(m.bytes, int(b.partitions[p].Stats().Bytes))
		}
	}
	return m
}

// shardSamples is how many records of each shard of a plan were sampled since the start.
func (b *branch) shardSamples() []uint64 {
	var samples [plan.Shards]uint64
	for _, in := range b.engine.inlets.all() {
		if f, ok := in.to(b); ok {
			f.router.AddShardSamples(&samples)
		}
	}
	return samples[:]
}

// work returns how long each agent of a runner had work since the last time, scaled to the time
// that has passed: the tallies of a runner are copied up to sampleEvery late. A runner that sleeps
// copies none, and has no work.
func (r *rebalancing) work(runner int, m *loadMeasure) []time.Duration {
	on := r.engine.runners[runner]
	busy, at := on.published.busy(nil)
	window := time.Duration(at - r.at[runner])
	if on.bell.state.Load() == parked {
		window = max(window, m.elapsed-sampleEvery)
	} else if window < m.elapsed/2 {
		m.stale = true
	}
	window = max(window, sampleEvery)
	var work []time.Duration
	for i, d := range busy {
		if i < len(r.busy[runner]) {
			d -= r.busy[runner][i]
		}
		// A new reader in the place of one that has ended begins at 0.
		work = append(work, time.Duration(float64(max(d, 0))*float64(m.elapsed)/float64(window)))
	}
	r.at[runner], r.busy[runner] = at, busy
	return work
}
