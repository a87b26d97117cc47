package epoch

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// Goal: while the epochs are held none is raised, and what was asked for meanwhile is raised by
// Release; Hold waits for the epoch in flight, gives up when ctx is done, and says when there will
// be no more epochs.
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
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := e.Hold(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("an epoch is in flight: %v", err)
	}
	held := make(chan uint64)
	go func() {
		n, err := e.Hold(t.Context())
		if err != nil {
			t.Error(err)
		}
		held <- n
	}()
	time.Sleep(10 * time.Millisecond)
	e.Want()
	e.Answer(true)
	if n := <-held; n != 1 {
		t.Errorf("held after epoch %d, expected 1", n)
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
	if n, err := e.Hold(t.Context()); n != 2 || err != nil {
		t.Error(n, err)
	}
	e.Leave()
	number(2)
	e.Release()
	number(3)
	if _, err := e.Hold(t.Context()); !errors.Is(err, ErrOver) {
		t.Errorf("after the last epoch: %v", err)
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
		}
	})
	for range 2000 {
		before, err := e.Hold(t.Context())
		if err != nil {
			t.Fatal(err)
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
