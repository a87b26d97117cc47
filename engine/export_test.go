package engine

import (
	"context"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/state"
)

// OpenBy has a State use another file system.
func (s *State) OpenBy(open func(state.Options) (*state.Folder, error)) { s.open = open }

// BoundOutbox replaces MaxOutboxBytes.
func (s *State) BoundOutbox(bytes int) { s.outboxBytes = bytes }

// OutboxBytes is how many bytes wait for a generation.
func (e *Engine) OutboxBytes() int {
	x := e.branches()[0].output.box
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.bytes
}

// CutOf is the cut of a snapshot, an object that its plan has alone.
func CutOf(s *Snapshot) *result.Cut { return s.cut }

// HasOf is Snapshot.Has for a goroutine that has found a plan just before it was removed.
func HasOf(e *Engine, number int) func(s *Snapshot) bool {
	b := e.branches()[number]
	return func(s *Snapshot) bool { return s.has(b) }
}

// StartMoving starts an engine with Config.Rebalance whose policy moves shards at random, as many
// and as often as it can.
func StartMoving(ctx context.Context, cfg Config, seed uint64) (*Engine, error) {
	e, err := newEngine(ctx, cfg)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, seed))
	e.rebalancing.decide = func(m *loadMeasure) (moves []shardMove, why string) {
		for range 1 + rng.IntN(4) {
			each := len(m.runner) / len(m.room)
			of := each * rng.IntN(len(m.room))
			v := shardMove{from: of + rng.IntN(each), to: of + rng.IntN(each), bytes: 1}
			for s := range m.owner {
				if m.owner[s] == v.from && rng.IntN(3) == 0 {
					v.shards = append(v.shards, s)
				}
			}
			if len(v.shards) > 0 {
				moves = append(moves, v)
			}
		}
		return moves, "by chance"
	}
	e.rebalancing.every = 0
	e.launch(ctx)
	return e, nil
}

// CPUUse is the number of runners on each CPU.
func CPUUse() map[int]int {
	cpuUse.Lock()
	defer cpuUse.Unlock()
	return maps.Clone(cpuUse.runners)
}

// Fingerprint is what the groups of a plan depend on, in words.
func Fingerprint(p *plan.Plan) []string { return fingerprint(p) }

// TickAt has an engine look whether an epoch is due that long after its start. It returns when the
// next one is due.
func TickAt(e *Engine, after time.Duration) (due time.Duration) {
	e.tick(core.Nanos(after))
	return time.Duration(e.interval.due.Load())
}

// HangAfter replaces SlowWriter.
func (s *State) HangAfter(d time.Duration) { s.patience = d }

// Held says whether a save waits for a writer.
func (e *Engine) Held() bool { return e.heldBy() != nil }

// StartWrapped starts an engine whose runners step what wrap makes of their agents.
func StartWrapped(ctx context.Context, cfg Config, wrap func(core.Agent) core.Agent) (*Engine, error) {
	e, err := newEngine(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for _, r := range e.runners {
		for i := range r.agents {
			r.agents[i].Agent = wrap(r.agents[i].Agent)
		}
	}
	e.launch(ctx)
	return e, nil
}
