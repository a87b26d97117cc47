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

	// slot is the place of each partition among the agents of its runner.
	slot []int

	// last has now, samples and records as they were measured last, since the start. busy is how
	// long each agent of each runner had worked by the time at. Only the goroutine uses them.
	last loadMeasure
	at   []core.Nanos
	busy [][]time.Duration

	mu   sync.Mutex // guards told
	told RebalanceStats
}

// newRebalancing is called when the runners have their first agents.
func newRebalancing(e *Engine) *rebalancing {
	r := &rebalancing{
		engine: e, due: newWakeup(), every: rebalanceEvery,
		decide: newRebalancer(e.cfg.RebalanceBytes).decide,
		at:     make([]core.Nanos, len(e.runners)),
		busy:   make([][]time.Duration, len(e.runners)),
		told:   RebalanceStats{Why: "nothing has been measured yet"},
	}
	for p, on := range e.partitionOn {
		// A partition stays in its place: only agents that are done are replaced.
		r.slot = append(r.slot, slices.IndexFunc(on.agents, func(a stepper) bool { return a.Agent == e.partitions[p] }))
	}
	return r
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
		moves, why := r.decide(r.measure())
		r.note(why, nil)
		for _, v := range moves {
			begin := r.engine.now()
			if r.engine.moveShards(ctx, v.to, v.shards...) != nil {
				break // the user moves a shard, or the engine ends
			}
			now := r.engine.now()
			r.note(why, &ShardMove{
				At: time.Duration(now), From: v.from, To: v.to, Shards: v.shards, Bytes: v.bytes,
				Took: time.Duration(now - begin), Why: why,
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
	var samples [plan.Shards]uint64
	for _, in := range e.inlets.all() {
		in.router.AddShardSamples(&samples)
	}
	for s := range samples {
		m.samples[s] = samples[s] - r.last.samples[s]
	}
	records := e.recordsIn()
	m.records = records - r.last.records
	r.last.now, r.last.samples, r.last.records = now, samples, records

	cut, slot := e.cuts.Pin()
	for s := range m.owner {
		m.owner[s] = cut.Owners.OfShard(uint8(s))
	}
	e.cuts.Unpin(slot)

	agents := make([][]time.Duration, len(e.runners))
	for i := range e.runners {
		agents[i] = r.work(i, m)
		var all time.Duration
		for _, d := range agents[i] {
			all += d
		}
		m.runners = append(m.runners, all)
	}
	for p, on := range e.partitionOn {
		m.runner = append(m.runner, on.id)
		var busy time.Duration
		if r.slot[p] < len(agents[on.id]) {
			busy = agents[on.id][r.slot[p]]
		}
		m.partition = append(m.partition, busy)
		m.bytes = append(m.bytes, int(e.partitions[p].Stats().Bytes))
	}
	m.room = int(rebalanceMemory*float64(e.cfg.StateBytes)) - e.state.Bytes()
	return m
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
