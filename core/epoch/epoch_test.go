package epoch

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/velo-engine/velo/internal/invariants"
)

// Goal: one epoch is in flight at a time, requests meanwhile are one, an answer without image makes no cut, the last reader that leaves brings the
// last epoch.
func TestRounds(t *testing.T) {
	rings := 0
	var cuts []uint64
	var e *Epochs
	e = New(2, 2, 2, func() { rings++ }, func(number uint64, _ int, cut bool) {
		if e.Passed(number) || e.HasCut(number) || e.Visible() >= number {
			t.Errorf("epoch %d is seen before it is done", number)
		}
		if cut {
			cuts = append(cuts, number)
		}
	})
	raised := func(want uint64) {
		t.Helper()
		if n, _ := e.Raised(); n != want {
			t.Fatalf("epoch %d is raised, expected %d", n, want)
		}
	}
	if n := e.Want(); n != 1 {
		t.Fatalf("the first is %d", n)
	}
	raised(1)
	if a, b := e.Want(), e.Want(); a != 2 || b != 2 {
		t.Fatalf("%d and %d, expected 2: the one in flight was raised before", a, b)
	}
	raised(1)
	e.Answer(true)
	if e.Passed(1) || e.Visible() != 0 {
		t.Fatal("one of two partitions has answered")
	}
	e.Answer(true)
	raised(2) // it was wanted
	if !e.Passed(1) || !e.HasCut(1) || e.Visible() != 1 || e.Passed(2) {
		t.Fatalf("%+v", e.Stats())
	}
	next := e.Next()
	e.Answer(false)
	e.Answer(true)
	select {
	case <-next:
	default:
		t.Fatal("who waits is not woken")
	}
	raised(2) // nobody wants another
	if !e.Passed(2) || e.HasCut(2) || e.Visible() != 1 {
		t.Fatalf("an epoch without image: %+v", e.Stats())
	}
	e.Leave()
	raised(2)
	if e.Ended() {
		t.Fatal("a reader is left")
	}
	e.Leave()
	raised(3)
	if _, slot := e.Raised(); !e.IsLast(slot) {
		t.Fatalf("the last epoch is in slot %d", slot)
	}
	e.Answer(true)
	e.Answer(true)
	if !e.Ended() || !e.Passed(3) || !e.HasCut(3) {
		t.Fatal("the last epoch has not finished")
	}
	if e.Passed(4) || e.HasCut(4) {
		t.Fatal("an epoch after the last is said to be there")
	}
	if e.Join() {
		t.Error("a reader joins when all have left")
	}
	e.Want()
	raised(3)
	if st := e.Stats(); st.Raised != 3 || st.Published != 2 || st.NoImage != 1 || rings != 3 || len(cuts) != 2 {
		t.Errorf("%+v, %d rings, cuts %v", st, rings, cuts)
	}
}

// Goal: a slot that somebody holds is not taken; where all are held the next to be given back brings the epoch that is wanted.
func TestHeld(t *testing.T) {
	e := New(1, 1, 3, func() {}, func(uint64, int, bool) {})
	var held []int
	for n := uint64(1); n <= 3; n++ {
		held = append(held, e.Pin())
		if n < 3 {
			e.Want()
			_, slot := e.Raised()
			for _, h := range held {
				if h == slot {
					t.Fatalf("slot %d is held and was taken", slot)
				}
			}
			e.Answer(true)
		}
	}
	if n := e.Want(); n != 3 {
		t.Fatal(n)
	}
	if n, _ := e.Raised(); n != 2 || e.Stats().Withheld == 0 || e.Stats().Held != 3 {
		t.Fatalf("epoch %d is raised though all slots are held: %+v", n, e.Stats())
	}
	e.Unpin(held[1])
	if n, slot := e.Raised(); n != 3 || slot != held[1] {
		t.Fatalf("epoch %d in slot %d, expected 3 in %d", n, slot, held[1])
	}
}

// Goal: what is in a pinned slot is whole and does not change, and the epochs that a goroutine sees do not go back. Method: slots of plain words, so
// that the race detector looks too; two goroutines answer, some pin, some want.
func TestPinned(t *testing.T) {
	const partitions, slots, epochs = 2, 3, 3000
	var content [slots + 1][partitions + 1]uint64
	e := New(1, partitions, slots, func() {}, func(number uint64, slot int, _ bool) {
		content[slot][partitions] = number
	})
	var all sync.WaitGroup
	var stop atomic.Bool
	for p := range partitions {
		all.Go(func() {
			for answered := uint64(0); !e.Ended() && !stop.Load(); {
				number, slot := e.Raised()
				if number == answered {
					runtime.Gosched()
					continue
				}
				answered = number
				content[slot][p] = number
				last := e.IsLast(slot)
				if e.Answer(true); last {
					return
				}
			}
		})
	}
	for range 3 {
		all.Go(func() {
			for last, looks := uint64(0), 0; !e.Ended() && !stop.Load(); looks++ {
				slot := e.Pin()
				first := content[slot]
				for range 10 {
					if content[slot] != first || first[0] != first[partitions] || first[1] != first[0] ||
						first[0] < last {
						t.Errorf("slot %d has %v, after epoch %d", slot, content[slot], last)
						stop.Store(true)
					}
				}
				last = first[0]
				e.Unpin(slot)
				if looks%64 == 63 {
					runtime.Gosched() // with fewer processors than goroutines an epoch would take a time slice
				}
			}
		})
	}
	for n := uint64(0); n < epochs && !stop.Load(); {
		n = e.Want()
		for next := e.Next(); !e.Passed(n) && !stop.Load(); next = e.Next() { // the channel before the look
			<-next
		}
	}
	e.Leave()
	all.Wait()
	if st := e.Stats(); !t.Failed() && (st.Published < epochs || st.Held > 0) {
		t.Errorf("%+v", st)
	}
}

// once hooks f to a place that e comes to, for the first time that it does.
func once(t *testing.T, place string, e *Epochs, f func()) {
	t.Helper()
	if !invariants.Enabled {
		t.Skip("needs the hooks of -tags invariants or -race")
	}
	t.Cleanup(invariants.Hook(place, func(of any) {
		if of == e && f != nil {
			g := f
			f = nil
			g()
		}
	}))
}

// Goal: a slot that is taken for another cut between the look at current and the reference is not pinned. Method: at that place another goroutine's part is
// played: an epoch is answered, so the slot is current no more, and the next is raised, which takes the slot.
func TestPinLooksTwice(t *testing.T) {
	e := New(1, 1, 2, func() {}, func(uint64, int, bool) {})
	e.Want()
	_, first := e.Raised()
	e.Answer(true)
	var taken int
	once(t, "epoch.Pin", e, func() {
		e.Want()
		e.Answer(true)
		e.Want()
		_, taken = e.Raised()
	})
	slot := e.Pin()
	if taken != first {
		t.Fatalf("the epoch in flight has slot %d, expected %d: the test shows nothing", taken, first)
	}
	if slot == taken {
		t.Errorf("slot %d is pinned, which is the slot of the epoch in flight", slot)
	}
	e.Unpin(slot)
	if held := e.Stats().Held; held != 0 {
		t.Errorf("%d slots are held when all have been given back", held)
	}
}

// Goal: a raise that finds no slot finds the one that is given back just before it says so. Method: the slot is given back between the
// two.
func TestRaiseLooksTwice(t *testing.T) {
	e := New(1, 1, 2, func() {}, func(uint64, int, bool) {})
	held := e.Pin()
	e.Want()
	e.Answer(true)
	once(t, "epoch.Raise.full", e, func() { e.Unpin(held) })
	e.Want()
	if number, slot := e.Raised(); number != 2 || slot != held {
		t.Errorf("epoch %d in slot %d is raised, expected 2 in the slot that was given back, %d: nobody raises "+
			"it any more", number, slot, held)
	}
}

// Goal: the slot of the newest cut is not taken, though nobody holds it: who comes next pins it.
func TestCurrentIsNotTaken(t *testing.T) {
	e := New(1, 1, 2, func() {}, func(uint64, int, bool) {})
	for range 5 {
		current := e.Pin()
		e.Unpin(current)
		number := e.Want()
		if n, slot := e.Raised(); n != number || slot == current {
			t.Fatalf("epoch %d in slot %d is raised, expected %d, and the current cut is in slot %d", n, slot, number,
				current)
		}
		e.Answer(true)
	}
}

// Goal: each formula of check is there for something. Method: epochs are broken as a bug would break
// them, and the formula that the bug violates is the one that says so.
func TestChecks(t *testing.T) {
	if !invariants.Enabled {
		t.Skip("the checks are on with -tags invariants or -race")
	}
	for formula, bug := range map[string]func(e *Epochs){
		"an epoch is answered after the one before, and once": func(e *Epochs) { e.finished.Store(7) },
		"images are not put into the slot that is read":       func(e *Epochs) { e.raised.Store(uint64(pack(1, 0))) },
		"a cut is visible after its epoch was answered":       func(e *Epochs) { e.current.Store(uint64(pack(1, 0))) },
		"the last epoch is raised when no reader is left":     func(e *Epochs) { e.raised.Store(uint64(pack(1, 2))) },
		"a reader leaves once":                                func(e *Epochs) { e.readers.Store(-1) },
		"a partition answers an epoch once":                   func(e *Epochs) { e.left.Store(0) },
	} {
		e := New(1, 1, 2, func() {}, func(uint64, int, bool) {})
		e.Want()
		bug(e)
		if got := panicOf(func() { e.Answer(true) }); got != "epoch: it does not hold that "+formula {
			t.Errorf("%s: the check says %q", formula, got)
		}
	}
	e := New(1, 1, 2, func() {}, func(uint64, int, bool) {})
	if got := panicOf(func() {
		e.Unpin(1)
	}); got != "epoch: it does not hold that a slot is let go of as often as it was taken" {
		t.Errorf("a slot that nobody holds is let go of: the check says %q", got)
	}
}

func panicOf(f func()) (text string) {
	defer func() { text, _ = recover().(string) }()
	f()
	return ""
}
