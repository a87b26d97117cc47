package velo_test

import (
	"testing"

	"github.com/velo-engine/velo"
)

// Goal: a program that imports only this package takes, reads and closes a snapshot without an allocation. Method: this file imports
// only it, so what is inlined here is what is inlined there.
func TestSnapshotAllocations(t *testing.T) {
	feed, err := velo.NewFeed[Trade]("trades", velo.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := velo.Compile(`SELECT symbol, sum(size) AS volume FROM trades GROUP BY symbol`, feed.Schema())
	if err != nil {
		t.Fatal(err)
	}
	eng, err := velo.Start(t.Context(), velo.Config{Plan: plan, Readers: []velo.Reader{feed}, Cores: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	if err := lane.Send(t.Context(), Trade{"NVDA", 100}); err != nil {
		t.Fatal(err)
	}
	if err := eng.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	volume, err := velo.ColumnOf[int64](plan, "volume")
	if err != nil {
		t.Fatal(err)
	}
	key, err := plan.Key("NVDA")
	if err != nil {
		t.Fatal(err)
	}
	most := 0.0
	if watched {
		most = 2 // a finalizer that finds snapshots which nobody closes
	}
	if n := testing.AllocsPerRun(1000, func() {
		snap := eng.Snapshot()
		if row, ok := snap.Get(key); !ok || volume.Of(row) != 100 {
			t.Fatal("the group is not what it was")
		}
		if snap.Close() != nil {
			t.Fatal("Close fails")
		}
	}); n > most {
		t.Errorf("%v allocations for a snapshot", n)
	}
}
