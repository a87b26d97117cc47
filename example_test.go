package velo_test

import (
	"context"
	"fmt"
	"log"

	"github.com/velo-engine/velo"
)

// Trade is the record of this program.
type Trade struct {
	Symbol string
	Size   int64
}

// A whole program: a query, a feed, and a snapshot.
func Example() {
	if err := trade(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// NVDA 300
	// groups: 2
}

func trade(ctx context.Context) error {
	feed, err := velo.NewFeed[Trade]("trades", velo.FeedConfig{})
	if err != nil {
		return err
	}
	plan, err := velo.Compile(`SELECT symbol, sum(size) AS volume FROM trades GROUP BY symbol`, feed.Schema())
	if err != nil {
		return err
	}
	eng, err := velo.Start(ctx, velo.Config{Plan: plan, Readers: []velo.Reader{feed}})
	if err != nil {
		return err // every fault of the configuration at once
	}
	defer eng.Close()

	lane, err := feed.Lane() // each goroutine has its own; an Appender serves any number
	if err != nil {
		return err
	}
	for _, t := range []Trade{{"NVDA", 100}, {"AMD", 50}, {"NVDA", 200}} {
		if err := lane.Send(ctx, t); err != nil {
			return err
		}
	}
	if err := eng.Sync(ctx); err != nil { // the next snapshot has what was sent
		return err
	}

	volume, err := velo.ColumnOf[int64](plan, "volume")
	if err != nil {
		return err
	}
	key, err := plan.Key("NVDA")
	if err != nil {
		return err
	}
	snap := eng.Snapshot()
	defer snap.Close()
	if row, ok := snap.Get(key); ok {
		fmt.Println("NVDA", volume.Of(row))
	}
	fmt.Println("groups:", snap.Len())
	return nil
}

// Rows are read into structs by a Scanner.
func ExampleScannerOf() {
	type volume struct {
		Symbol string
		Volume int64
	}
	ctx := context.Background()
	feed, err := velo.NewFeed[Trade]("trades", velo.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	plan, err := velo.Compile(`SELECT symbol, sum(size) AS volume FROM trades GROUP BY symbol ORDER BY volume DESC LIMIT 10`, feed.Schema())
	if err != nil {
		log.Fatal(err)
	}
	scanner, err := velo.ScannerOf[volume](plan)
	if err != nil {
		log.Fatal(err)
	}
	eng, err := velo.Start(ctx, velo.Config{Plan: plan, Readers: []velo.Reader{feed}})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	app, err := feed.Appender()
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range []Trade{{"AMD", 50}, {"NVDA", 100}, {"AMD", 70}} {
		if err := app.Send(ctx, t); err != nil {
			log.Fatal(err)
		}
	}
	if err := eng.Shutdown(ctx); err != nil { // what was sent is read to its end
		log.Fatal(err)
	}
	snap := eng.Snapshot()
	defer snap.Close()
	for row := range snap.All() {
		var v volume
		if err := scanner.Scan(row, &v); err != nil {
			log.Fatal(err)
		}
		fmt.Println(v.Symbol, v.Volume)
	}
	// Output:
	// AMD 120
	// NVDA 100
}

// Events that are only counted need no record each: a counter keeps the sum until it is read.
func ExampleCounter() {
	ctx := context.Background()
	feed, err := velo.NewFeed[Trade]("trades", velo.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	plan, err := velo.Compile(`SELECT symbol, sum(size) AS volume FROM trades GROUP BY symbol`, feed.Schema())
	if err != nil {
		log.Fatal(err)
	}
	volume, err := velo.ColumnOf[int64](plan, "volume")
	if err != nil {
		log.Fatal(err)
	}
	eng, err := velo.Start(ctx, velo.Config{Plan: plan, Readers: []velo.Reader{feed}})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	// One goroutine's own; another goroutine that counts NVDA has another counter.
	nvda, err := feed.Counter(Trade{Symbol: "NVDA"}, func(t *Trade) *int64 { return &t.Size })
	if err != nil {
		log.Fatal(err)
	}
	defer nvda.Close()
	for range 1000 {
		nvda.Add(100)
	}
	if err := eng.Sync(ctx); err != nil {
		log.Fatal(err)
	}
	snap := eng.Snapshot()
	defer snap.Close()
	for row := range snap.All() {
		fmt.Println(volume.Of(row))
	}
	// Output:
	// 100000
}
