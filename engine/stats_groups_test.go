package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Goal: Stats has the number of groups after an epoch too, when nothing comes any more. Method: a
// feed of some keys, a Sync, and a look when the partitions have caught up.
func TestStatsGroupsAfterAnEpoch(t *testing.T) {
	type row struct{ Key int64 }
	schema, err := record.SchemaOf[row]("rows")
	if err != nil {
		t.Fatal(err)
	}
	feed, err := readers.NewFeed[row](schema, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Source: schema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}}}
	e := start(t, engine.Config{Plan: p, Readers: []record.Reader{feed}, Partitions: 1, Cores: 1, EpochInterval: -1})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(100) {
		if err := lane.Send(context.Background(), row{i}); err != nil {
			t.Fatal(err)
		}
	}
	for epoch := range 3 {
		if err := e.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("100 groups in Stats after epoch %d", epoch+1), func() bool {
			return e.Stats().Groups() == 100
		})
	}
}
