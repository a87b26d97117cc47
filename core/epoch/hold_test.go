package epoch

import (
	"runtime"
	"sync"
	"testing"
)

// Goal: while the epochs are held none is raised, and what was asked for meanwhile is raised by
// Release; Hold fails while an epoch is in flight, and when there will be no more epochs.
func TestHold(t *testing.T) {
	e := New(1, 1, 2, func() {}, func(uint64, int, bool) {})
	number := func(want uint64) {
		t.Helper()
		if n, _ := e.Raised(); n != want {
			t.Fatalf("epoch %d is raised, expected %d", n, want)
		}
	}
	e.Want()
	number(1)
	if _, held := e.Hold(); held {
		t.Fatal("the epochs are held while one is in flight")
	}
	e.Want()
	e.Answer(true)
	number(1) // somebody wants to hold them
	if n, held := e.Hold(); n != 1 || !held {
		t.Errorf("held %v after epoch %d, expected 1", held, n)
	}
	e.Want()
	number(1)
	partitions, answered := 0, 0
	e.Extend(1, func(uint64, int, bool) { answered++ })
	e.Release()
	number(2)
	for range 2 {
		if e.Passed(2) {
			t.Error("the epoch has passed before all partitions have answered")
		}
		e.Answer(true)
		partitions++
	}
	if !e.Passed(2) || answered != 1 {
		t.Errorf("epoch 2 has passed %v after %d answers, done was called %d times", e.Passed(2), partitions, answered)
	}
	if n, held := e.Hold(); n != 2 || !held {
		t.Error(n, held)
	}
	e.Leave()
	number(2)
	e.Release()
	number(3)
	if _, held := e.Hold(); held || !e.LastRaised() {
		t.Errorf("after the last epoch: held %v, the last is raised %v", held, e.LastRaised())
	}
}

// Goal: no goroutine raises an epoch while another holds them, whatever comes first, and none is
// lost. Method: many goroutines ask, one answers, one holds again and again and looks.
func TestHoldConcurrently(t *testing.T) {
	e := New(1, 1, 3, func() {}, func(uint64, int, bool) {})
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					n := e.Want()
					for !e.Passed(n) {
						select {
						case <-stop:
							return
						default:
							runtime.Gosched()
						}
					}
				}
			}
		})
	}
	all.Go(func() {
		for last := uint64(0); ; {
			select {
			case <-stop:
				return
			default:
			}
			if n, _ := e.Raised(); n > last {
				last = n
				e.Answer(true)
			}
			runtime.Gosched()
		}
	})
	for range 300 {
		next := e.Next()
		before, held := e.Hold()
		for !held {
			<-next
			next = e.Next()
			before, held = e.Hold()
		}
		for range 10 {
			if n, _ := e.Raised(); n != before || !e.Passed(n) {
				t.Fatalf("epoch %d is raised while the epochs are held after %d", n, before)
			}
		}
		e.Release()
	}
	close(stop)
	all.Wait()
}
