package core

import (
	"cmp"
	"slices"

	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/result"
)

// copyPerStep bounds the bytes that a partition copies in one Step to catch up with its image. That
// takes some hundred microseconds. Copies of a mebibyte bypass the caches, see runtime.memmove.
const copyPerStep = 1 << 20

// answer answers an epoch: the live tables become what the partition shows in the epoch's slot,
// and other tables take their places. If there is no memory for that, the partition goes on as
// before and the epoch has no cut.
func (p *Partition) answer(number uint64, slot int) {
	if invariants.Enabled && number != p.epoch+1 {
		panic("core: an epoch was passed over")
	}
	p.epoch, p.stamp = number, number+1
	p.beginHandover(number, slot)
	isLast := p.cuts.IsLast(slot)
	if w := p.layout.Window; w != nil {
		p.closed = max(p.closed, w.Closed(p.watermark()))
		p.oldest = max(p.oldest, w.Oldest(p.closed))
		p.sortPanes()
		if w.Session != nil {
			p.carrySessions()
		}
		p.dropOld(slot)
	}
	m := p.cuts.cuts[slot].Images[p.id]
	if err := p.showPanes(m, slot, isLast); err != nil {
		p.noteLagging()
		p.cuts.Answer(false)
		if p.lentImage != nil {
			p.phase = lending
			return
		}
		p.phase = catchingUp
		p.catchUp() // the panes that have published
		return
	}
	m.Readers = m.Readers[:0]
	for i := range p.inputs {
		in := &p.inputs[i]
		m.Readers = append(m.Readers, result.ReaderImage{Counters: in.counters, Shed: in.shed, Late: in.tooOld})
	}
	m.Clock, m.Oldest = p.closed, p.oldest
	p.noteLagging()
	p.cuts.noteWindows(p.id, len(p.panes)-p.sealed, p.awaited())
	p.shown = m
	p.phase = catchingUp
	if isLast {
		p.phase = answeredLast
	}
	// No epoch takes the tables of this image before the live tables have caught up with them. The
	// epoch after the next is the first that can, and this partition has to answer the next one
	// before that.
	p.cuts.Answer(true)
}

// isShut says whether no more records come to a pane.
func (p *Partition) isShut(x *pane) bool { return p.layout.Window != nil && x.shut <= p.closed }

// showPanes has an image show the panes in its slot. The error says that there is no memory for
// that.
func (p *Partition) showPanes(m *result.Image, slot int, isLast bool) error {
	m.Forget()
	m.Panes = m.Panes[:0]
	p.sealed = 0
	for _, x := range p.panes {
		if x.live != nil {
			x.live.Away = p.away
		}
		if isLast || p.isShut(x) {
			x.seal(p.epoch, slot)
			p.sealed++ // the panes before this one are sealed, too
		} else if err := x.publish(p, slot); err != nil {
			if h := p.handover; h != nil && h.move.from == p.id {
				// The new owner takes the shard's groups from this image, and routers have already
				// been told of the move. So the image shows the live table, which does not change
				// until the new owner has read it.
				m.Panes = append(m.Panes, result.PaneImage{Pane: x.id, Last: x.last, Groups: x.live})
				p.lentImage = m
			}
			return err
		}
		m.Panes = append(m.Panes, result.PaneImage{Pane: x.id, Last: x.last, Groups: x.bySlot[slot]})
	}
	return nil
}

// maxUnwritten is how many closed panes may wait to be written before a partition takes no more
// records. Then its rings fill up and the readers wait. For small panes the bound is
// unwrittenSmall.
const (
	maxUnwritten   = 256
	unwrittenSmall = 1 << 13
)

// unwritten says whether more closed panes than that wait to be written. The goroutine that writes
// them can go on: what it needs is in the current cut.
func (p *Partition) unwritten() bool {
	most := maxUnwritten
	if p.sums.bytes <= len(p.panes)*smallPane/4 {
		most = unwrittenSmall
	}
	if p.sealed <= most {
		return false
	}
	return p.panes[p.sealed-1-most].last > p.cuts.written.Load() // later panes end no earlier
}

// sortPanes puts the panes that have come since the last epoch in their places.
func (p *Partition) sortPanes() {
	byTime := func(a, b *pane) int { return cmp.Compare(a.id, b.id) }
	if !slices.IsSortedFunc(p.panes, byTime) {
		slices.SortFunc(p.panes, byTime)
	}
}

// noteLagging notes the panes whose live tables have to catch up.
func (p *Partition) noteLagging() {
	p.lagging, p.caughtUp = p.lagging[:0], 0
	for _, x := range p.panes {
		if x.lagging {
			p.lagging = append(p.lagging, x)
			p.note(x) // it may have one more table
		}
	}
}

// watermark is the least watermark of all readers that hold windows back. Every partition computes
// the same one, because it has got the same marks.
func (p *Partition) watermark() int64 {
	least, idle := int64(watermarkEnd), false
	for i := range p.inputs {
		w := p.inputs[i].watermark
		if w == watermarkIdle {
			idle = true
			continue
		}
		least = min(least, w)
	}
	if least == watermarkEnd && idle {
		return watermarkNone // no reader says anything: they are idle or have ended
	}
	return least
}

// awaited is the watermark of the reader that is furthest behind, if that reader can still go on.
// If it has ended, no reader waits for it, and awaited is watermarkEnd.
func (p *Partition) awaited() int64 {
	least, live := int64(watermarkEnd), true
	for i := range p.inputs {
		in := &p.inputs[i]
		if in.watermark != watermarkIdle && in.watermark < least {
			least, live = in.watermark, in.phase != ended
		}
	}
	if !live {
		return watermarkEnd
	}
	return least
}

// dropOld takes out the panes that are not kept any more, gives up what the slot showed of panes
// that were taken out, and keeps some of the panes that no slot shows any more.
func (p *Partition) dropOld(slot int) {
	written := p.cuts.written.Load()
	n := 0
	for n < len(p.panes) && p.panes[n].last < p.oldest && p.panes[n].last <= written && p.panes[n].live == nil {
		n++
	}
	for _, x := range p.panes[:n] {
		delete(p.byID, x.id)
		p.uncount(x)
	}
	p.removed = append(p.removed, p.panes[:n]...)
	p.panes = slices.Delete(p.panes, 0, n)
	p.lastPane = nil
	p.removed = slices.DeleteFunc(p.removed, func(x *pane) bool {
		x.show(slot, nil)
		if x.shows() {
			return false
		}
		if n := len(p.unused); n < unusedPanes || n < unusedSmall && x.counted.bytes <= smallPane {
			p.unused = append(p.unused, x)
		} else {
			x.free()
			p.sums.add(paneSums{}, x.counted)
			x.counted = paneSums{}
			// A table of the pane may be in it; the others will be noted again.
			p.lacking = p.lacking[:0]
		}
		return true
	})
}

// takeBack goes on with a table that was lent to a shard's new owner, once that has read it.
func (p *Partition) takeBack() (work int) {
	if p.cuts.handed.Load() < p.handover.epoch {
		p.stall = StallMark
		return 0
	}
	p.lentImage.Panes = p.lentImage.Panes[:0]
	p.lentImage = nil
	p.phase = catchingUp
	return p.catchUp()
}

// catchUp copies a piece of what the live tables lack. When they lack nothing the partition goes
// on.
func (p *Partition) catchUp() (work int) {
	left := copyPerStep
	for left > 0 && p.caughtUp < len(p.lagging) {
		x := p.lagging[p.caughtUp]
		copied, done, err := x.live.Table.CatchUp(x.shown.Table, left)
		p.counts.copied += uint64(copied)
		work += copied
		left -= copied
		if err != nil {
			p.fail(p.budget.outOfRoom(p.layout.Name, x.live.Table.Len(), err))
		}
		if err != nil || !done {
			break
		}
		x.live.Table.Live()
		x.lagging = false
		p.note(x) // the number of its groups has to be read again
		p.caughtUp++
		p.lacking.note(x.live.Table, p.maxGroupsPerChunk())
	}
	p.store()
	if p.caughtUp < len(p.lagging) {
		if work == 0 {
			p.stall = StallMemory
		}
		return work
	}
	p.phase = draining
	p.resume()
	return work + 1
}

// resume takes the marks out of the rings that were held.
func (p *Partition) resume() {
	for r := range p.inputs {
		if p.inputs[r].phase == held {
			p.inputs[r].phase = reading
			p.unmarked++
			p.release(r)
		}
	}
}

// Abandon has the partition apply nothing more, because its plan has ended while others go on. It
// shows what it has shown last from then on. Any goroutine may call it, and wakes the partition's
// runner after it.
func (p *Partition) Abandon() { p.abandoned.Store(true) }

// isAbandoned says whether the partition applies nothing more. A partition that could not go on has
// applied a part of a chunk, which nobody is to see.
func (p *Partition) isAbandoned() bool { return p.err != nil || p.abandoned.Load() }

// beginDiscarding lets go of everything that the partition has not shown. Its tables are not
// changed any more, so the image that it has shown last may be shown again and again.
func (p *Partition) beginDiscarding() {
	m := p.shown
	p.shown = &result.Image{
		Layout: m.Layout, Panes: slices.Clone(m.Panes), Readers: slices.Clone(m.Readers), Clock: m.Clock,
		Oldest: m.Oldest,
	}
	p.cuts.noteWindows(p.id, 0, watermarkEnd) // no reader waits for this plan
	if p.phase == catchingUp {
		p.resume() // the marks are of the epoch that was answered; otherwise they are of the next
	}
	p.phase = discarding
	p.leaveHandover()
}

// discard takes everything out of the rings, and answers an epoch when all marks have come.
func (p *Partition) discard() (work int) {
	for r := range p.inputs {
		if p.inputs[r].phase == reading {
			work += p.drain(r, chunksPerStep)
		}
	}
	if p.unmarked > 0 || p.leaveHandover() {
		return work
	}
	number, slot := p.cuts.Raised()
	if number == p.epoch {
		return work
	}
	p.epoch = number
	p.beginHandover(number, slot)
	m := p.cuts.cuts[slot].Images[p.id]
	m.Forget()
	m.Panes, m.Readers = append(m.Panes[:0], p.shown.Panes...), append(m.Readers[:0], p.shown.Readers...)
	m.Clock, m.Oldest = p.shown.Clock, p.shown.Oldest
	if p.cuts.IsLast(slot) {
		p.phase = answeredLast
	}
	p.cuts.Answer(true)
	p.leaveHandover()
	if p.phase == discarding {
		p.resume()
	}
	return work + 1
}
