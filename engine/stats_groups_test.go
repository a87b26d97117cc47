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
	e, _ := fedEngine(t, engine.Config{Partitions: 1, Cores: 1, EpochInterval: -1})
	for epoch := range 3 {
		if err := e.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("100 groups in Stats after epoch %d", epoch+1), func() bool {
			return e.Stats().Groups() == 100
		})
	}
}

// fedRow is the record of fedEngine.
type fedRow struct{ Key int64 }

// fedEngine starts an engine that counts the records of each key of a feed, beside the readers of the
// configuration. It has sent a record for each of 100 keys by the lane.
func fedEngine(t *testing.T, cfg engine.Config) (*engine.Engine, *readers.Lane[fedRow]) {
	t.Helper()
	schema, err := record.SchemaOf[fedRow]("rows")
	if err != nil {
		t.Fatal(err)
	}
	feed, err := readers.NewFeed[fedRow](schema, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Plan = &plan.Plan{
		Source: schema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
	}
	cfg.Readers = append([]record.Reader{feed}, cfg.Readers...)
	e := start(t, cfg)
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(100) {
		if err := lane.Send(t.Context(), fedRow{i}); err != nil {
			t.Fatal(err)
		}
	}
	return e, lane
}
