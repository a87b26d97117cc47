package engine_test

import (
	"context"
	"fmt"
	"log"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// fill is a record of the examples.
type fill struct {
	Symbol string
	Size   int64
}

// startFills starts an engine that adds up fills, and makes a lane into it.
func startFills() (eng *engine.Engine, feed *readers.Feed[fill], lane *readers.Lane[fill]) {
	feed, err := readers.NewFeed[fill](nil, readers.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	p := &plan.Plan{
		Source:     feed.Schema(),
		Keys:       []string{"symbol"},
		Aggregates: []plan.Aggregate{{Name: "volume", Func: plan.Sum, Column: "size"}},
	}
	if eng, err = engine.Start(context.Background(), engine.Config{Plan: p, Readers: []record.Reader{feed}}); err !=
		nil {
		log.Fatal(err)
	}
	if lane, err = feed.Lane(); err != nil {
		log.Fatal(err)
	}
	return eng, feed, lane
}

// A snapshot does not change, whatever comes: to see more, take another.
func ExampleEngine_Snapshot() {
	ctx := context.Background()
	eng, _, lane := startFills() // SELECT symbol, sum(size) AS volume ... GROUP BY symbol
	defer eng.Close()
	volume, err := result.ColumnOf[int64](eng.Plan(), "volume")
	if err != nil {
		log.Fatal(err)
	}
	sum := func(s *engine.Snapshot) (total int64) {
		for row := range s.All() {
			total += volume.Of(row)
		}
		return total
	}

	before := eng.Snapshot() // the empty one
	defer before.Close()
	for _, f := range []fill{{"AAPL", 100}, {"NVDA", 250}} {
		if err := lane.Send(ctx, f); err != nil {
			log.Fatal(err)
		}
	}
	if err := eng.Sync(ctx); err != nil {
		log.Fatal(err)
	}
	after := eng.Snapshot()
	defer after.Close()
	fmt.Println(before.Len(), "symbols, volume", sum(before))
	fmt.Println(after.Len(), "symbols, volume", sum(after))
	// Output:
	// 0 symbols, volume 0
	// 2 symbols, volume 350
}

// A key is encoded once and looked up in any number of snapshots, without allocating.
func ExampleSnapshot_Get() {
	ctx := context.Background()
	eng, _, lane := startFills() // SELECT symbol, sum(size) AS volume ... GROUP BY symbol
	defer eng.Close()
	volume, err := result.ColumnOf[int64](eng.Plan(), "volume")
	if err != nil {
		log.Fatal(err)
	}
	key, err := eng.Plan().Key("NVDA")
	if err != nil {
		log.Fatal(err)
	}
	for size := range int64(3) {
		snap := eng.Snapshot()
		if row, ok := snap.Get(key); ok {
			fmt.Println("volume", volume.Of(row))
		} else {
			fmt.Println("not traded")
		}
		snap.Close()
		if err := lane.Send(ctx, fill{"NVDA", 100 + size}); err != nil {
			log.Fatal(err)
		}
		if err := eng.Sync(ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// not traded
	// volume 100
	// volume 201
}

// A goroutine reads what it has written: Sync returns when a snapshot has it.
func ExampleEngine_Sync() {
	ctx := context.Background()
	eng, _, lane := startFills() // SELECT symbol, sum(size) AS volume ... GROUP BY symbol
	defer eng.Close()

	if err := lane.Send(ctx, fill{"NVDA", 250}); err != nil {
		log.Fatal(err)
	}
	// A snapshot that is taken now may have it or not. It has after this:
	if err := eng.Sync(ctx); err != nil {
		log.Fatal(err)
	}
	snap := eng.Snapshot()
	defer snap.Close()
	fmt.Println(snap.Len(), "symbol")
	// Output: 1 symbol
}

// Updates yields each new snapshot, at least the newest; the last one has everything.
func ExampleEngine_Updates() {
	ctx := context.Background()
	eng, feed, lane := startFills() // SELECT symbol, sum(size) AS volume ... GROUP BY symbol
	defer eng.Close()
	volume, err := result.ColumnOf[int64](eng.Plan(), "volume")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for range 100_000 {
			if err := lane.Send(ctx, fill{"NVDA", 2}); err != nil {
				log.Fatal(err)
			}
		}
		feed.End() // ends the engine, and so the loop below
	}()

	var last int64
	for snap := range eng.Updates(ctx) { // closes the snapshot after the body
		for row := range snap.All() {
			last = volume.Of(row)
		}
	}
	if err := eng.Wait(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("volume", last)
	// Output: volume 200000
}
