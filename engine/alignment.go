package engine

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/velo-engine/velo/result"
)

// # Saving groups together with what has been written
//
// A cut that is saved belongs to what the aligned outputs have written (output.aligned): each has
// written up to this cut, and what it writes later is written after a restart as it is without one.
// A plan has one output, and an engine may have several. The keeper has all of them come to the
// same cut:
//
//	keeper                               outputs
//	asks for epoch N                 --> do not wait for room in the outbox any more, and
//	                                     pass on only records that are in the cut of N
//	waits for N
//	pins the newest cut E and says E --> write up to the cut of E, say so, and go on
//	saves the cut of E
//
// An output chooses the cut that it writes next under the lock under which the keeper chooses E. So
// no output has begun with a newer cut than E, and the next one that it writes is the one of E,
// unless it has written that already.
type alignment struct {
	// target is N, then E, while a cut is wanted; it is 0 otherwise. The keeper stores it, and
	// wakes the outputs after that.
	target atomic.Uint64
	// awaits is the output that the keeper waits for; nil if it waits for none. RemovePlan loads it
	// to find out whose writer holds up a save; it knows nothing else by it.
	awaits atomic.Pointer[output]

	mu sync.Mutex // guards what follows, and output.written, off the data path
	// epoch is E, and slot has its cut; epoch is 0 as long as none has been chosen.
	epoch uint64
	slot  int
}

// errNotWritten says why a cut that belongs to what was written cannot be saved any more.
var errNotWritten = errors.New("the writer has ended before it had written everything")

// aligned are the outputs that write up to the cut that is saved.
func (k *keeper) aligned() (outs []*output) {
	for _, b := range k.engine.branches() {
		if b.output != nil && b.output.aligned() {
			outs = append(outs, b.output)
		}
	}
	return outs
}

// choose pins the cut that is written next: the newest, or the one that the keeper is about to
// save.
func (o *output) choose() (cut *result.Cut, slot int) {
	k := o.engine.keeper
	if k == nil || !o.aligned() {
		return o.branch.cuts.Pin()
	}
	a := &k.alignment
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.epoch <= o.written {
		return o.branch.cuts.Pin()
	}
	o.branch.cuts.PinAgain(a.slot)
	return o.branch.cuts.At(a.slot), a.slot
}

// wrote notes that everything up to the cut of an epoch has been written.
func (o *output) wrote(epoch uint64) {
	if o.engine.keeper == nil {
		return
	}
	a := &o.engine.keeper.alignment
	a.mu.Lock()
	defer a.mu.Unlock()
	o.written = max(o.written, epoch)
	if a.epoch == epoch {
		select {
		case o.reached <- struct{}{}:
		default: // said already
		}
	}
}

// bounds says up to which epoch records may be passed on, and which epoch's cut the keeper is about
// to save; that is 0 if there is none, or if everything up to it has been written.
func (o *output) bounds() (most, stop uint64) {
	a := &o.engine.keeper.alignment
	a.mu.Lock()
	if a.epoch > o.written {
		stop = a.epoch
	}
	a.mu.Unlock()
	most = a.target.Load()
	if most == 0 {
		most = math.MaxUint64
	}
	return most, stop
}

// wakeAligned has outputs look at the alignment.
func wakeAligned(outs []*output) {
	for _, o := range outs {
		o.batchReady.wake()
		o.box.notify()
	}
}

// pinAligned pins a cut up to which all outputs have written, and waits for them.
func (k *keeper) pinAligned(outs []*output) (slot int, err error) {
	e, a := k.engine, &k.alignment
	number := e.epochs.Want()
	a.target.Store(number)
	wakeAligned(outs)
	defer func() {
		a.mu.Lock()
		a.epoch = 0
		a.mu.Unlock()
		a.target.Store(0)
		wakeAligned(outs)
	}()
	if err := e.wait(context.Background(), number); err != nil && !errors.Is(err, ErrEnded) {
		return 0, err
	}
	a.mu.Lock()
	slot = e.epochs.Pin()
	a.epoch, a.slot = e.epochs.Number(slot), slot
	a.target.Store(max(number, a.epoch))
	waiting := slices.DeleteFunc(slices.Clone(outs), func(o *output) bool {
		select {
		case <-o.reached: // of a cut that was given up
		default:
		}
		return o.written == a.epoch
	})
	a.mu.Unlock()
	wakeAligned(outs)
	defer a.awaits.Store(nil)
	for _, o := range waiting {
		a.awaits.Store(o)
		select {
		case <-o.reached:
		case <-o.through:
		case <-o.ctx.Done(): // Write may never return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, o := range outs {
		if o.written < a.epoch && !(isDone(o.through) && o.whole.Load()) {
			e.epochs.Unpin(slot)
			return 0, errNotWritten
		}
	}
	return slot, nil
}
