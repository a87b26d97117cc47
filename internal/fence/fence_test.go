package fence

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// Goal: of two goroutines, one that announces itself and looks at the other's word, and one that stores that word, calls All and looks whether anybody was announced, at least one sees the other. Method: many rounds that
// both begin together, with distances between them that vary. Without All, where an announcement is no fence, the rounds in which neither sees the other are counted and logged: they show that the test can fail.
func TestAsymmetric(t *testing.T) {
	a := Prepare()
	if again := Prepare(); again != a {
		t.Fatalf("%v, then %v", a, again)
	}
	t.Logf("light: %v", a.light)
	rounds := 20_000
	if testing.Short() {
		rounds = 2_000
	}
	if missed := misses(rounds, a, a.All); missed > 0 {
		t.Errorf("in %d of %d rounds neither saw the other", missed, rounds)
	}
	if a.light {
		t.Logf("without All: in %d of %d rounds", misses(100*rounds, a, func() {}), 100*rounds)
	}
}

// misses plays n rounds and says in how many neither saw the other.
func misses(rounds int, a Asymmetric, all func()) (n int) {
	type words struct {
		_         [128]byte
		announced atomic.Uint64
		_         [128]byte
		ended     atomic.Uint64
		_         [128]byte
		begun     atomic.Int64 // the round that may be played
		_         [128]byte
		done      atomic.Int64 // the round that has been
		found     uint64
	}
	w := &words{}
	wait := func(w *atomic.Int64, n int64) {
		for spins := 0; w.Load() < n; spins++ {
			if spins > 1000 { // one core
				runtime.Gosched()
			}
		}
	}
	go func() {
		for round := int64(1); round <= int64(rounds); round++ {
			wait(&w.begun, round)
			w.ended.Store(1)
			all()
			w.found = w.announced.Load()
			w.done.Store(round)
		}
	}()
	for round := int64(1); round <= int64(rounds); round++ {
		w.announced.Store(0)
		w.ended.Store(0)
		w.begun.Store(round)
		for range round % 256 {
		}
		a.Announce(&w.announced, 1)
		ended := w.ended.Load()
		wait(&w.done, round)
		if ended == 0 && w.found == 0 {
			n++
		}
	}
	return n
}
