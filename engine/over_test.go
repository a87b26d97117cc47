package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// unplugged is a reader that fails at once.
type unplugged struct{}

func (unplugged) Read(context.Context, *record.Batch) error { return errors.New("the cable was cut") }
func (unplugged) Close() error                              { return nil }

// Goal: a caller who asks an engine for something, or sends to a feed, after the end is told what has
// ended it. Method: an engine whose reader fails, and one that is closed; a feed that was ended,
// one whose engine is closed, and a lane that is closed.
func TestOverSaysWhy(t *testing.T) {
	feed, plan := hitFeed(t, readers.FeedConfig{})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	left, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	left.Close()
	if err := left.Send(t.Context(), hit{}); !errors.Is(err, readers.ErrFeedEnded) ||
		!strings.Contains(err.Error(), "Close was called") {
		t.Errorf("a closed lane: %v", err)
	}
	for what, c := range map[string]struct {
		end  func(*engine.Engine)
		with []record.Reader
		says string
	}{
		"closed": {func(e *engine.Engine) { _ = e.Close() }, []record.Reader{feed}, "closed"},
		"failed": {func(e *engine.Engine) { _ = e.Wait() }, []record.Reader{unplugged{}}, "the cable was cut"},
	} {
		e := start(t, engine.Config{Plan: plan, Readers: c.with, Partitions: 1, Cores: 1, NoPin: true})
		c.end(e)
		_, added := e.AddReader(t.Context(), unplugged{})
		for ask, err := range map[string]error{
			"Sync": e.Sync(t.Context()), "Pause": e.Pause(t.Context(), 0), "AddReader": added,
			"MoveShard": e.MoveShard(t.Context(), 0, 0),
		} {
			if what == "failed" && ask == "Sync" && err == nil {
				continue // the last snapshot is there
			}
			if !errors.Is(err, engine.ErrEnded) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s of an engine that was %s: %v", ask, what, err)
			}
		}
	}
	if err := lane.Send(t.Context(), hit{}); !errors.Is(err, readers.ErrFeedEnded) ||
		!strings.Contains(err.Error(), "the engine that read it") {
		t.Errorf("a feed of an engine that was closed: %v", err)
	}
	ended, err := readers.NewFeed[hit](nil, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ended.End()
	if _, err := ended.Lane(); !errors.Is(err, readers.ErrFeedEnded) ||
		!strings.Contains(err.Error(), "End was called") {
		t.Errorf("a feed that was ended: %v", err)
	}
}
