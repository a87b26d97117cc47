package core

import (
	"sync/atomic"

	"github.com/velo-engine/velo/record"
)

// positions are what a router knows of how far the splits of its reader have been read, for an
// engine that keeps its state. A batch says where its splits stand after its last record
// (record.Batch.SetPosition). Marks are sent between two batches only. So the positions at a mark
// say how far exactly the records before the mark go.
type positions struct {
	// splits has each split once, and index finds it there.
	splits []record.Position
	index  map[string]int
	// bySlot is what the router had routed before the mark of an epoch, by the epoch's slot. The
	// router writes an entry before it sends the marks. A slot that is pinned is not raised again,
	// so the entry of a pinned cut does not change.
	bySlot []marked
	// final is the same at the mark of the end. complete says that the source has come to its end.
	final    marked
	complete bool
	// first is what stood before any record was routed. It belongs to the cut that was visible
	// then, which a restored engine begins with, and does not change.
	first marked
	// quiet says that the source has had nothing at least once. The router stores it once.
	// Statistic.
	quiet atomic.Bool
}

// marked is what stands before a mark.
type marked struct {
	epoch     uint64
	watermark int64
	splits    []record.Position
}

// newPositions makes the positions of a router. They begin with where its reader begins.
func newPositions(slots int, begin []record.Position) *positions {
	p := &positions{index: map[string]int{}, bySlot: make([]marked, slots)}
	p.take(begin)
	return p
}

// take takes over what a batch says after all of its records have been routed.
func (p *positions) take(said []record.Position) {
	for _, s := range said {
		i, ok := p.index[s.Split]
		if !ok {
			i = len(p.splits)
			p.splits = append(p.splits, record.Position{Split: s.Split})
			p.index[s.Split] = i
		}
		p.splits[i].Offset = append(p.splits[i].Offset[:0], s.Offset...)
	}
}

// keep notes what stands before the mark of an epoch.
func (m *marked) keep(epoch uint64, watermark int64, splits []record.Position) {
	m.epoch, m.watermark = epoch, watermark
	for len(m.splits) < len(splits) {
		m.splits = append(m.splits, record.Position{})
	}
	for i, s := range splits {
		m.splits[i].Split = s.Split
		m.splits[i].Offset = append(m.splits[i].Offset[:0], s.Offset...)
	}
}

// A Resumed is where a router goes on after a restart.
type Resumed struct {
	// Positions are where the splits of its reader stand.
	Positions []record.Position
	// Watermark is the watermark that the reader had. If it has splits of several readers now, it
	// is their least watermark; if it has none, it is WatermarkNone.
	Watermark int64
}

// A reader that has brought no record has WatermarkNone. One that has ended has WatermarkEnd: no
// window waits for it.
const (
	WatermarkNone = watermarkNone
	WatermarkEnd  = watermarkEnd
)

// KeepPositions has the router note the positions of its reader's splits at each epoch, from the
// given ones on. It is called before the first Step.
func (r *Router) KeepPositions(at Resumed) {
	r.kept = newPositions(len(r.cuts.cuts), at.Positions)
	r.kept.first.keep(r.cuts.Visible(), at.Watermark, r.kept.splits)
	r.times.watermark, r.times.next, r.times.marked = at.Watermark, at.Watermark, at.Watermark
}

// follow has the router of a plan that is added stand where another router of its reader stands. It
// is called on the reader's thread.
func (r *Router) follow(other *Router) {
	if r.kept == nil {
		return
	}
	r.kept.take(other.kept.splits)
	if other.batch != nil {
		r.kept.take(other.sourceBatch.Positions()) // no mark comes before the end of the batch
	}
}

// CaughtUp says whether the reader has had nothing to give at least once, or has ended. Any
// goroutine may call it.
func (r *Router) CaughtUp() bool { return r.kept.quiet.Load() }

// A Standing is where a router stood at an epoch.
type Standing struct {
	// Positions are the positions of its reader's splits. They are valid while the cut is pinned.
	Positions []record.Position
	Watermark int64
	// Ended says that the reader had come to the end of its source.
	Ended bool
}

// PositionsAt is where the router stood at the epoch of a cut that the caller has pinned. The
// reader must be one of the cut's (result.Cut.Counters).
func (r *Router) PositionsAt(epoch uint64, slot int) Standing {
	if m := &r.kept.first; epoch <= m.epoch {
		return Standing{m.splits, m.watermark, false}
	}
	if m := &r.kept.bySlot[slot]; m.epoch == epoch {
		return Standing{m.splits, m.watermark, false}
	}
	// The reader had ended before, and the partitions had its last mark when they answered the
	// epoch: final was written before that.
	m := &r.kept.final
	return Standing{m.splits, m.watermark, r.kept.complete}
}
