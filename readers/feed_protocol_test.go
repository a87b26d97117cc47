package readers

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/record"
)

// The tests of this file play one side of a protocol of the feed by hand, so that the one order of steps that matters is there every time.

// numbered is a record.
type numbered struct{ Number int64 }

// handFeed is a feed with one lane.
func handFeed(t *testing.T, slots int) (*Feed[numbered], *Lane[numbered]) {
	t.Helper()
	f, err := NewFeed[numbered](nil, FeedConfig{LaneSlots: slots})
	if err != nil {
		t.Fatal(err)
	}
	l, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	return f, l
}

// polled is what one Poll gives.
func polled(f *Feed[numbered]) (numbers []int64, err error) {
	b := record.NewBatch(f.Schema(), 16)
	err = f.Poll(b)
	return b.Column(0).Int64s[:b.Len()], err
}

// Goal: a Send that had begun when the feed ended is waited for: its record is read before the end, and one that gives up leaves nothing to wait for.
func TestFeedEndWaitsForSends(t *testing.T) {
	for name, gives := range map[string]bool{"sends": true, "gives up": false} {
		f, l := handFeed(t, 4)
		if _, ok := l.enter(1); !ok {
			t.Fatal("the feed is open")
		}
		f.End()
		for range 3 {
			if numbers, err := polled(f); err != nil || len(numbers) > 0 {
				t.Fatalf("%s: %v, %v while a Send is on its way, expected nothing and no end", name, numbers, err)
			}
		}
		if gives {
			if !l.in.PushRelease(numbered{7}) {
				t.Fatal("there is room")
			}
			l.left()
			if numbers, err := polled(f); err != nil || len(numbers) != 1 || numbers[0] != 7 {
				t.Fatalf("%v, %v, expected the record that was on its way", numbers, err)
			}
		} else {
			l.leave()
		}
		if numbers, err := polled(f); !errors.Is(err, io.EOF) || len(numbers) > 0 {
			t.Errorf("%s: %v, %v, expected the end", name, numbers, err)
		}
		if err := l.Send(t.Context(), numbered{8}); !errors.Is(err, ErrFeedEnded) {
			t.Errorf("%s: a Send behind the end: %v", name, err)
		}
	}
}

// Goal: Poll fences all threads between its look at the state and those at the lanes: a Send that has seen the feed open, and whose announcement is still in
// the store buffer of its processor, is found. Method: the announcement is kept from the word until the fence, as a store buffer may.
func TestFeedEndFences(t *testing.T) {
	if !invariants.Enabled {
		t.Skip("needs the hooks of -tags invariants or -race")
	}
	f, l := handFeed(t, 4)
	fences := 0
	defer invariants.Hook("fence.All", func(any) {
		fences++
		l.begun.Store(l.count)
	})()
	f.End()
	l.count++ // what enter does, before End; nobody can see it yet
	if numbers, err := polled(f); err != nil || len(numbers) > 0 {
		t.Errorf("%v, %v with a Send on its way, expected nothing and no end; %d fences", numbers, err, fences)
	}
	l.in.PushRelease(numbered{7})
	if numbers, err := polled(f); err != nil || len(numbers) != 1 {
		t.Errorf("%v, %v, expected the record that was on its way", numbers, err)
	}
}

// atErr is a context that is done and does something when it is asked why.
type atErr struct {
	context.Context
	done chan struct{}
	do   func()
}

func (c *atErr) Done() <-chan struct{} { return c.done }

func (c *atErr) Err() error {
	c.do()
	return context.Canceled
}

// Goal: a Send that has waited leaves no word in its channel, however it ends: Poll would stand still with the next one. Method: Poll makes room and leaves a word just
// when the sender has said that it waits, and just when its context has ended.
func TestFeedLeavesNoWord(t *testing.T) {
	poll := func(f *Feed[numbered]) { _ = f.Poll(record.NewBatch(f.Schema(), 1)) }
	for name, ends := range map[string]bool{"room comes": false, "the context ends": true} {
		f, l := handFeed(t, 1)
		if err := l.Send(t.Context(), numbered{1}); err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		polls := 0
		if ends {
			done := make(chan struct{})
			close(done)
			ctx = &atErr{t.Context(), done, func() {
				if polls++; polls == 1 {
					poll(f)
				}
			}}
		} else if !invariants.Enabled {
			continue
		} else {
			defer invariants.Hook("readers.Lane.waiting", func(of any) {
				if of == any(l) {
					polls++
					poll(f)
				}
			})()
		}
		err := l.Send(ctx, numbered{2})
		if (err != nil) != ends || polls == 0 {
			t.Fatalf("%s: %v after %d polls", name, err, polls)
		}
		if len(l.room) > 0 || l.waiting.Load() {
			t.Errorf("%s: %d words are left, the sender waits: %v", name, len(l.room), l.waiting.Load())
		}
	}
}

// Goal: Drained is true when all has been given out that was sent before the epoch was raised, to the last record, and waits for nothing that came later. Method: a record at a time.
func TestFeedCutToTheLast(t *testing.T) {
	f, l := handFeed(t, 8)
	b := record.NewBatch(f.Schema(), 1)
	send := func(n int64) {
		if err := l.Send(t.Context(), numbered{n}); err != nil {
			t.Fatal(err)
		}
	}
	send(1)
	send(2)
	for given, want := range []bool{false, false, true} {
		if f.Drained(1) != want {
			t.Errorf("%d of 2 records have been given out: Drained is %v", given, !want)
		}
		send(int64(3 + given)) // belongs to later epochs
		if given == 2 {
			break
		}
		b.Reset()
		if err := f.Poll(b); err != nil || b.Len() != 1 {
			t.Fatal(b.Len(), err)
		}
	}
	if !f.Drained(1) || f.Drained(2) {
		t.Error("the next epoch has what was sent since, and the one before has not")
	}
}
