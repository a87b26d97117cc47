package epoch

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/velo-engine/velo/internal/invariants"
)

const (
	// MaxSlots bounds the number of slots, including the slot of the last epoch.
	MaxSlots = 1 << slotBits
	slotBits = 8

	// linePad keeps words that different threads write off each other's cache lines.
	linePad = 128
)

// packed is an epoch's number and its slot in one word, so that they change together. The highest
// bit says that no epoch is raised after it: see Hold.
type packed uint64

const heldBit packed = 1 << 63

func pack(number uint64, slot int) packed { return packed(number<<slotBits | uint64(slot)) }
func (c packed) number() uint64           { return uint64(c&^heldBit) >> slotBits }
func (c packed) slot() int                { return int(c & (MaxSlots - 1)) }

// Epochs are the epochs of one engine. All methods may be called from any goroutine, and none
// waits.
type Epochs struct {
	// partitions is the number of partitions of all groups. Both change only as Extend says.
	partitions int
	groups     []*Group
	wake       func() // wakes all routers and partitions

	refs []padded[atomic.Int64] // number of references to each slot

	// numbers has the epoch of the cut in each slot. The last partition to answer writes it before
	// current. A goroutine that has pinned the slot reads it; until Unpin nobody writes it.
	numbers []uint64

	_ [linePad]byte

	// raised is the newest epoch, with its slot. It is written by a CAS in Raise, from the epoch
	// that has finished. Every router polls it between batches. A goroutine that loads it sees what
	// came before the raise: the slot is free, and what was sent to a reader is there.
	raised atomic.Uint64
	_      [linePad - 8]byte

	// current is the newest epoch that has a cut, with its slot. The last partition to answer
	// writes it, after all images are in the slot. The load in Pin pairs with that store and so
	// sees the images.
	current atomic.Uint64
	_       [linePad - 8]byte

	// finished is the newest epoch that all partitions have answered. It is equal to raised if no
	// epoch is in flight. The last partition to answer writes it.
	finished atomic.Uint64

	// wanted is the newest epoch that was asked for. It is written before raised is looked at
	// (Want, Raise), and looked at after finished was written (Answer). So either the asker finds
	// that no epoch is in flight and raises one, or the last partition to answer finds the wish.
	wanted atomic.Uint64

	// over says that no reader is left, so that the next epoch is the last. It follows the same
	// protocol as wanted.
	over atomic.Bool

	// holding says that somebody wants to hold the epochs, so that none is raised until then. It is
	// a hint, which keeps raises from coming first again and again: what holds them is heldBit of
	// raised, which Hold sets by a CAS.
	holding atomic.Bool

	readers atomic.Int64 // number of readers that have not left; the last one to leave sets over

	left    atomic.Int64 // number of partitions that have not answered the epoch in flight
	lacking atomic.Bool  // true if some answer had no image

	// full says that a raise found no free slot. It is set before the slots are looked at once
	// more, and it is looked at after a reference was given back. So either the raise finds the
	// slot, or the goroutine that gave it back clears full and raises.
	full atomic.Bool

	// waiters is closed, and taken away, when the next epoch finishes. A waiter puts it there, in
	// Next, before it looks at finished.
	waiters atomic.Pointer[chan struct{}]

	// These counters are for Stats; they order nothing.
	requests, published, withheld, noImage atomic.Uint64
}

// A Group is the partitions of one plan.
type Group struct {
	partitions int
	// done is called when an epoch has been answered, with or without a cut, and before the cut is
	// visible.
	done func(number uint64, slot int, cut bool)
}

type padded[T any] struct {
	v T
	_ [linePad - 8]byte
}

// New makes the epochs of that many readers and partitions, with the given number of slots and one
// more for the last epoch. Slot 0 holds the cut of epoch 0 and is current. wake wakes the routers
// and partitions. done is as for Extend.
func New(readers, partitions, slots int, wake func(), done func(number uint64, slot int, cut bool)) *Epochs {
	if slots < 2 || slots >= MaxSlots {
		panic(fmt.Sprintf("epoch: %d slots, expected 2..%d", slots, MaxSlots-1))
	}
	e := &Epochs{wake: wake, refs: make([]padded[atomic.Int64], slots+1), numbers: make([]uint64, slots+1)}
	e.Extend(partitions, done)
	e.readers.Store(int64(readers))
	return e
}

// Extend adds the partitions of a plan: an epoch is answered when they have answered it too. The
// last partition of all to answer calls done before the cut is visible; cut says whether there is
// one. Extend is called before anything runs, or between Hold and Release: no goroutine answers an
// epoch then, and the goroutine that raises the next one has seen Release.
func (e *Epochs) Extend(partitions int, done func(number uint64, slot int, cut bool)) *Group {
	g := &Group{partitions, done}
	e.groups = append(e.groups, g)
	e.partitions += partitions
	e.left.Store(int64(e.partitions))
	return g
}

// Shrink takes partitions away, which answer no epoch after that. It is called between Hold and
// Release.
func (e *Epochs) Shrink(g *Group) {
	i := slices.Index(e.groups, g)
	e.groups = slices.Delete(e.groups, i, i+1)
	e.partitions -= g.partitions
	e.left.Store(int64(e.partitions))
}

// First returns the partitions that New was called for.
func (e *Epochs) First() *Group { return e.groups[0] }

// Number returns the epoch of the cut in a slot that the caller has pinned.
func (e *Epochs) Number(slot int) uint64 { return e.numbers[slot] }

// Slots returns the number of slots, including the slot of the last epoch.
func (e *Epochs) Slots() int { return len(e.refs) }

// Begin makes number the first epoch instead of 0: its cut is the one in slot 0. It is called
// before anything runs.
func (e *Epochs) Begin(number uint64) {
	e.numbers[0] = number
	e.raised.Store(uint64(pack(number, 0)))
	e.current.Store(uint64(pack(number, 0)))
	e.finished.Store(number)
	e.wanted.Store(number)
}

// Raised returns the newest epoch and the slot that its images go to.
//
//gcassert:inline
func (e *Epochs) Raised() (number uint64, slot int) {
	c := packed(e.raised.Load())
	return c.number(), c.slot()
}

// Finished returns the newest epoch that all partitions have answered.
func (e *Epochs) Finished() uint64 { return e.finished.Load() }

// Visible returns the newest epoch that has a cut.
func (e *Epochs) Visible() uint64 { return packed(e.current.Load()).number() }

// IsLast says whether a slot is the slot of the last epoch.
func (e *Epochs) IsLast(slot int) bool { return slot == len(e.refs)-1 }

// Ended says whether the last epoch is visible.
func (e *Epochs) Ended() bool { return e.IsLast(packed(e.current.Load()).slot()) }

// Want asks for an epoch and returns its number. It is the first epoch raised after the call, and
// it has everything that the caller has handed to a reader before.
func (e *Epochs) Want() (number uint64) {
	// This read-modify-write does more than count. It makes what the caller has sent with release
	// stores visible before raised is looked at, so an epoch that is raised after the look has it.
	e.requests.Add(1)
	number, _ = e.Raised()
	number++
	for {
		w := e.wanted.Load()
		if w >= number || e.wanted.CompareAndSwap(w, number) {
			break
		}
	}
	e.Raise()
	return number
}

// Join says that one more reader will send marks. It returns false if it is too late because all
// others have left.
func (e *Epochs) Join() bool {
	for {
		n := e.readers.Load()
		if n == 0 {
			return false // the last reader to leave has set over, or will set it
		}
		if e.readers.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Leave says that a reader has sent its last mark. When all readers have left, the last epoch is
// raised.
func (e *Epochs) Leave() {
	if e.readers.Add(-1) == 0 {
		e.over.Store(true)
		e.Raise()
	}
}

// Raise raises the next epoch if it is wanted and none is in flight. It returns false if it has not
// raised one.
func (e *Epochs) Raise() bool {
	for {
		r := packed(e.raised.Load())
		n := r.number()
		if e.finished.Load() != n || e.IsLast(r.slot()) {
			return false // the last partition to answer raises; no epoch comes after the last one
		}
		if r&heldBit != 0 || e.holding.Load() {
			return false // Release raises
		}
		slot := len(e.refs) - 1
		if !e.over.Load() {
			if e.wanted.Load() <= n {
				return false
			}
			slot = e.free()
			if slot < 0 {
				if invariants.Enabled {
					invariants.At("epoch.Raise.full", e)
				}
				e.full.Store(true)
				slot = e.free()
				if slot < 0 {
					e.withheld.Add(1)
					return false
				}
			}
		}
		// From here to the CAS a goroutine may take a reference to the slot and give it back. It
		// finds that the slot is not current and reads nothing. If another goroutine has raised
		// meanwhile, the CAS fails.
		if e.raised.CompareAndSwap(uint64(r), uint64(pack(n+1, slot))) {
			e.wake()
			return true
		}
	}
}

// Hold keeps any epoch from being raised until Release, and returns the number of the last one. It
// returns false while an epoch is in flight: the caller has got the channel of Next before, waits
// for it, and calls Hold again, or Release if it gives up. No epoch follows the last one: then Hold
// returns false, too. Only one goroutine at a time may hold the epochs.
func (e *Epochs) Hold() (number uint64, held bool) {
	e.holding.Store(true)
	r := packed(e.raised.Load())
	if e.finished.Load() != r.number() || e.IsLast(r.slot()) {
		return 0, false
	}
	// A raise that has not seen holding may have come first. Then this fails.
	return r.number(), e.raised.CompareAndSwap(uint64(r), uint64(r|heldBit))
}

// LastRaised says whether the last epoch has been raised.
func (e *Epochs) LastRaised() bool { return e.IsLast(packed(e.raised.Load()).slot()) }

// Release ends a Hold, and raises the epoch that was asked for meanwhile.
func (e *Epochs) Release() {
	for {
		r := packed(e.raised.Load())
		if r&heldBit == 0 || e.raised.CompareAndSwap(uint64(r), uint64(r&^heldBit)) {
			break
		}
	}
	e.holding.Store(false)
	e.Raise()
}

// free returns a slot that is not current and that no snapshot holds, or -1 if there is none. It is
// called while no epoch is in flight.
func (e *Epochs) free() int {
	current := packed(e.current.Load()).slot()
	for s := range e.refs[:len(e.refs)-1] {
		if s != current && e.refs[s].v.Load() == 0 {
			return s
		}
	}
	return -1
}

// Answer says that a partition has put its image into the slot of the epoch in flight, or that it
// has no image. Each partition answers each epoch once.
func (e *Epochs) Answer(image bool) {
	if !image {
		e.lacking.Store(true)
	}
	left := e.left.Add(-1)
	if invariants.Enabled {
		holds(left >= 0, "a partition answers an epoch once")
	}
	if left > 0 {
		return
	}
	// The Add of the last partition comes after the Adds of the others, and so after everything
	// that they wrote. No other goroutine writes the following fields until finished is stored.
	r := packed(e.raised.Load())
	e.check(r)
	e.left.Store(int64(e.partitions))
	lacking := e.lacking.Swap(false)
	for _, g := range e.groups {
		g.done(r.number(), r.slot(), !lacking)
	}
	if lacking {
		e.noImage.Add(1)
	} else {
		e.numbers[r.slot()] = r.number()
		e.current.Store(uint64(r))
		e.published.Add(1)
	}
	e.finished.Store(r.number())
	if c := e.waiters.Swap(nil); c != nil {
		close(*c)
	}
	e.Raise()
}

// check panics if the state of the epochs is not one that they can be in when all partitions have
// answered the epoch raised, if invariants are on. TestChecks breaks each formula once.
func (e *Epochs) check(raised packed) {
	if !invariants.Enabled {
		return
	}
	current, finished := packed(e.current.Load()), e.finished.Load()
	holds(raised.number() == finished+1, "an epoch is answered after the one before, and once")
	holds(raised.slot() != current.slot(), "images are not put into the slot that is read")
	holds(current.number() <= finished, "a cut is visible after its epoch was answered")
	holds(!e.IsLast(raised.slot()) || e.over.Load(), "the last epoch is raised when no reader is left")
	holds(e.readers.Load() >= 0, "a reader leaves once")
}

// holds panics if an invariant does not hold.
func holds(ok bool, formula string) {
	if !ok {
		panic("epoch: it does not hold that " + formula)
	}
}

// PinAgain keeps the slot of a cut that the caller has pinned for one more Unpin.
func (e *Epochs) PinAgain(slot int) { e.refs[slot].v.Add(1) }

// Pin returns the slot of the newest cut and keeps it as it is until Unpin. It never waits. If a
// newer cut became current in the same moment it tries again.
func (e *Epochs) Pin() (slot int) {
	for {
		c := packed(e.current.Load())
		refs := &e.refs[c.slot()].v
		if invariants.Enabled {
			invariants.At("epoch.Pin", e)
		}
		refs.Add(1)
		// If the slot is still current, a goroutine that takes it out of use later finds the
		// reference. If it is not, the slot may be in use for another epoch by now.
		if packed(e.current.Load()) == c {
			return c.slot()
		}
		e.Unpin(c.slot())
	}
}

// Unpin lets go of a slot.
func (e *Epochs) Unpin(slot int) {
	n := e.refs[slot].v.Add(-1)
	if invariants.Enabled {
		holds(n >= 0, "a slot is let go of as often as it was taken")
	}
	if n == 0 && e.full.Load() {
		// full is cleared before the raise, which sets it again if it finds no slot. A raise that
		// succeeds must not clear it, because the raise of the following epoch may have set it
		// meanwhile.
		e.full.Store(false)
		e.Raise()
	}
}

// Next returns a channel that is closed when the next epoch has finished. A goroutine that waits
// for an epoch gets the channel first and looks at Passed then.
func (e *Epochs) Next() <-chan struct{} {
	for {
		if c := e.waiters.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		if e.waiters.CompareAndSwap(nil, &c) {
			return c
		}
	}
}

// Passed says whether an epoch has finished. No epoch after the last ever does; see Ended.
func (e *Epochs) Passed(number uint64) bool { return e.finished.Load() >= number }

// HasCut says whether there is a cut of this epoch, which has passed, or of a later one. There is
// none if a partition had no memory for its image.
func (e *Epochs) HasCut(number uint64) bool { return e.Visible() >= number }

// Stats are the counters of the epochs of an engine.
type Stats struct {
	Raised    uint64 // number of epochs, which is the number of the newest one
	Published uint64 // number of epochs that have become visible

	// NoImage is the number of epochs that have not become visible, because a partition had no
	// memory for its image.
	NoImage uint64

	// Requests is the number of requests, by Sync and others. Several requests may have led to one
	// epoch.
	Requests uint64

	Withheld uint64 // number of times that no epoch was raised because snapshots held all slots
	Held     int    // number of slots that snapshots hold
}

// Stats reads the counters.
func (e *Epochs) Stats() Stats {
	n, _ := e.Raised()
	s := Stats{
		Raised: n, Published: e.published.Load(), NoImage: e.noImage.Load(), Requests: e.requests.Load(),
		Withheld: e.withheld.Load(),
	}
	for i := range e.refs {
		if e.refs[i].v.Load() > 0 {
			s.Held++
		}
	}
	return s
}
