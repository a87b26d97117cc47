package core

import (
	"fmt"
	"slices"

	"github.com/velo-engine/velo/internal/invariants"
)

// This file has the states that the two agents can be in, as formulas. check looks at them at the
// begin of each Step if invariants are on. TestChecks breaks each formula once.

// checkPanes bounds the panes that are looked at one by one: there may be millions.
const checkPanes = 64

// check panics if the state of the router is not one that it can be in.
func (r *Router) check() {
	if !invariants.Enabled {
		return
	}
	r.checkPhase()
	r.checkStripe()
	for p := range r.targets {
		r.checkTarget(p)
	}
	c := &r.counters
	r.holds(c.In == c.Counted+c.Filtered+c.Late+c.Quarantined, "every record that was read has one fate")
	// What was counted and was too late for a partition is late in the counters of a cut, which are
	// those that a router resumes with.
	began := &r.resumed
	counted := c.Counted - began.Counted
	r.holds(c.Folded+c.Direct-began.Folded-began.Direct <= counted,
		"records that are folded or applied in place are counted")
	r.holds(c.Keyless-began.Keyless <= counted, "records without a key are counted")
	r.holds(r.times.marked <= r.times.watermark, "the watermark does not fall below that of the last mark")
}

// holds panics with the state of the router if an invariant does not hold.
func (r *Router) holds(ok bool, formula string) {
	if !ok {
		panic(fmt.Sprintf("core: router %d: it does not hold that %s: phase %d, stripe [%d, %d), marks %+v, "+
			"counters %+v", r.id, formula, r.phase, r.from, r.to, r.marks, r.counters))
	}
}

func (r *Router) checkPhase() {
	raised, _ := r.cuts.Raised()
	r.holds(r.epoch <= raised, "marks are sent of an epoch that was raised")
	r.holds(r.asked <= raised+1, "the epoch asked for is at most the next")
	r.holds(r.phase == routing || r.phase == flushing || r.batch == nil, "marks are sent between two batches")
	r.holds(r.phase != routing || r.sent == 0 || r.sent == len(r.targets),
		"a router that routes has sent no mark or all")
	r.holds(r.phase != marking || r.sent < len(r.targets), "a router that sends marks has some to send")
	r.holds(r.phase != flushing && r.phase != flushingForMarks || r.folder.on && r.folder.groups() > 0,
		"a router that flushes has groups")
	r.holds((r.phase == finished) == (r.targets == nil), "a router has no rings when it has finished, and only then")
	r.holds(r.phase != finished || r.atEnd, "a router finishes after its source has ended")
	r.holds(!r.joining || !r.atEnd, "a router has joined before its source ends")
}

func (r *Router) checkStripe() {
	if r.batch == nil || len(r.failed) > 0 {
		return
	}
	r.holds(0 <= r.from && r.from <= r.to && r.to <= r.batch.Len(), "a stripe lies in its batch")
	r.holds(!r.encoded || r.to-r.from == len(r.keys.Hashes), "each row of a stripe has a key")
	if !r.encoded || !r.assigned {
		return
	}
	rows := 0
	for _, n := range r.counts {
		rows += n
	}
	r.holds(rows == r.to-r.from, "each row of a stripe has a partition")
	r.holds(r.single < 0 || r.counts[r.single] == rows, "a single partition gets all rows")
}

func (r *Router) checkTarget(p int) {
	t := &r.targets[p]
	r.holds((t.beside == nil) == (t.local == nil), "partitions of the same runner have a chunk beside the ring")
	c := t.open
	if c == nil {
		return
	}
	r.holds(r.phase != marking || p >= r.sent, "a partition gets no chunk after its mark")
	r.holds(c != t.beside || t.ring.Empty(), "records are applied in place after all that was sent")
	r.holds(int(c.heapBytes) <= r.layout.HeapSize(), "the long strings fit the chunk")
	switch c.kind {
	case chunkRows:
		r.holds(int(c.rows) <= r.layout.Rows, "the records fit the chunk")
	case chunkPartials:
		r.holds(int(c.rows) <= r.layout.PartialRows, "the groups fit the chunk")
	default:
		r.holds(false, "a chunk that is filled has records or groups")
	}
}

// check panics if the state of the partition is not one that it can be in.
func (p *Partition) check() {
	if !invariants.Enabled {
		return
	}
	p.checkInputs()
	p.checkEpoch()
	if p.phase != discarding && !p.layout.PassThrough && len(p.panes)+len(p.removed)+len(p.unused) <= checkPanes {
		p.checkPanes()
	}
}

// holds panics with the state of the partition if an invariant does not hold.
func (p *Partition) holds(ok bool, formula string) {
	if !ok {
		panic(fmt.Sprintf("core: partition %d: it does not hold that %s: phase %d, epoch %d, %d of %d readers have "+
			"no mark, %d panes, %d of them closed, %d of %d have caught up, handover %+v", p.id, formula, p.phase,
			p.epoch, p.unmarked, p.active, len(p.panes), p.sealed, p.caughtUp, len(p.lagging), p.handover))
	}
}

func (p *Partition) checkInputs() {
	active, unmarked := 0, 0
	for i := range p.inputs {
		in := &p.inputs[i]
		p.holds((in.phase == ended) == (in.ring == nil), "a reader has a ring until it has ended")
		if in.phase != ended {
			active++
		}
		if in.phase == reading {
			unmarked++
		}
		p.holds(p.phase == draining || p.phase == discarding || in.phase != reading || in.counters.In == 0,
			"a partition that catches up holds the readers whose marks it had")
		if in.phase == held {
			s := in.ring.Peek(1)
			p.holds(len(s) == 1 && s[0].kind == chunkMark, "the ring of a reader that is held begins with its mark")
		}
	}
	p.holds(p.active == active, "active counts the readers that have not ended")
	p.holds(p.unmarked == unmarked, "unmarked counts the readers that are read")
	p.holds(p.nextInput == 0 || p.nextInput < len(p.inputs), "the next reader is one of the readers")
}

func (p *Partition) checkEpoch() {
	raised, _ := p.cuts.Raised()
	p.holds(p.epoch <= raised && raised <= p.epoch+1,
		"the epoch raised is the one answered last or the next")
	p.holds(p.phase != answeredLast || p.active == 0, "the last epoch comes after the end of all readers")
	p.holds((p.phase == lending) == (p.lentImage != nil), "an image is lent by a partition that is lending")
	p.holds(p.phase != lending || p.handover != nil, "an image is lent for a shard that moves")
	p.holds(p.handover == nil || p.handover.epoch == p.epoch, "a shard moves at the epoch answered last")
	p.holds(p.caughtUp <= len(p.lagging), "the panes that have caught up had lagged")
	p.holds(p.phase != catchingUp || p.caughtUp < len(p.lagging) || p.err != nil || len(p.lagging) == 0,
		"a partition that catches up has a pane that lags")
	p.holds(p.phase != draining || p.caughtUp == len(p.lagging), "no pane lags in a partition that takes records")
	p.holds(p.oldest <= p.closed, "the oldest window that is kept is not later than the last that has closed")
	rows := 0
	if p.away != nil {
		for _, n := range p.away.Rows {
			rows += n
		}
		p.holds(p.away.All == rows, "the rows of shards that have gone are counted")
	}
}

func (p *Partition) checkPanes() {
	p.holds(len(p.byID) == len(p.panes), "every pane is found by its id, and no other")
	p.holds(p.sealed <= len(p.panes), "closed panes are panes")
	var sums paneSums
	noted := false
	for _, list := range [][]*pane{p.panes, p.removed, p.unused} {
		for _, x := range list {
			p.checkPane(x)
			noted = noted || x.noted
			sums.add(x.counted, paneSums{})
		}
	}
	for i, x := range p.panes {
		p.holds(p.byID[x.id] == x, "a pane is found by its id")
		p.holds(i >= p.sealed || i == 0 || p.panes[i-1].id < x.id, "closed panes are in order of time")
		p.holds((x.live == nil) == (i < p.sealed), "a pane has a live table until it is closed")
	}
	for _, x := range p.unused {
		p.holds(!x.shows(), "no slot shows an unused pane")
	}
	p.holds(noted || sums == p.sums, "the sums are those of all panes")
}

func (p *Partition) checkPane(x *pane) {
	p.holds(!x.lagging || slices.Contains(p.lagging, x), "a pane that lags is in the list of those")
	for _, g := range x.tables {
		shown := 0
		for _, other := range x.bySlot {
			if other == g {
				shown++
			}
		}
		p.holds(g.Slots == shown, "a table counts the slots that show it")
		p.holds(g != x.live || shown == 0, "no slot shows a live table")
	}
}
