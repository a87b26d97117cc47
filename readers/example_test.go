package readers_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"sync"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// visit is a record of the examples.
type visit struct {
	Page  string
	Nanos int64
}

// Each goroutine that sends has a lane of its own, made when it begins and closed when it ends.
func ExampleFeed_Lane() {
	ctx := context.Background()
	feed, err := readers.NewFeed[visit](nil, readers.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	p := &plan.Plan{
		Source: feed.Schema(), // page text, nanos bigint
		Keys:   []string{"page"},
		Aggregates: []plan.Aggregate{
			{Name: "visits", Func: plan.Count},
			{Name: "slowest", Func: plan.Max, Column: "nanos"},
		},
	}
	eng, err := engine.Start(ctx, engine.Config{Plan: p, Readers: []record.Reader{feed}})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	var visitors sync.WaitGroup
	for v := range int64(4) {
		visitors.Go(func() {
			lane, err := feed.Lane()
			if err != nil {
				log.Fatal(err)
			}
			defer lane.Close()
			for i := range int64(1000) {
				if err := lane.Send(ctx, visit{"/index", 1000*v + i}); err != nil {
					log.Fatal(err)
				}
			}
		})
	}
	visitors.Wait()
	feed.End() // nothing more comes: what is in the lanes is read, then the engine ends
	if err := eng.Wait(); err != nil {
		log.Fatal(err)
	}

	visits, err := result.ColumnOf[int64](p, "visits")
	if err != nil {
		log.Fatal(err)
	}
	slowest, err := result.ColumnOf[int64](p, "slowest")
	if err != nil {
		log.Fatal(err)
	}
	snap := eng.Snapshot()
	defer snap.Close()
	for row := range snap.All() {
		fmt.Println(visits.Of(row), "visits, the slowest took", slowest.Of(row))
	}
	// Output: 4000 visits, the slowest took 3999
}

// Goroutines that are many, or that come and go, such as those of requests, share an Appender.
func ExampleFeed_Appender() {
	ctx := context.Background()
	feed, err := readers.NewFeed[visit](nil, readers.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	eng, err := engine.Start(ctx, engine.Config{
		Plan: &plan.Plan{
			Source: feed.Schema(), Keys: []string{"page"},
			Aggregates: []plan.Aggregate{{Name: "visits", Func: plan.Count}},
		},
		Readers: []record.Reader{feed},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	app, err := feed.Appender()
	if err != nil {
		log.Fatal(err)
	}

	var requests sync.WaitGroup
	for r := range 100 {
		requests.Go(func() {
			if err := app.Send(ctx, visit{Page: fmt.Sprintf("/page/%d", r%10)}); err != nil {
				log.Fatal(err)
			}
		})
	}
	requests.Wait()
	if err := eng.Sync(ctx); err != nil {
		log.Fatal(err)
	}
	snap := eng.Snapshot()
	defer snap.Close()
	fmt.Println(snap.Len(), "pages,", feed.Stats().Sent, "visits")
	// Output: 10 pages, 100 visits
}

// Lines of JSON from a pipe: the engine reads them as they come, and sets aside what is no record.
func ExampleNewNDJSONStream() {
	ctx := context.Background()
	schema, err := record.NewSchema("requests",
		record.Field{Name: "page", Type: record.String}, record.Field{Name: "ms", Type: record.Float64})
	if err != nil {
		log.Fatal(err)
	}
	lines := strings.NewReader(`{"page":"/","ms":1.5,"user":{"name":"ann"}}
{"page":"/","ms":2}
{"page":"/","ms":"slow"}
`)
	requests, err := readers.NewNDJSONStream("requests", lines, readers.NDJSONConfig{Schema: schema})
	if err != nil {
		log.Fatal(err)
	}
	p := &plan.Plan{
		Source: schema, Keys: []string{"page"},
		Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}, {Name: "mean", Func: plan.Avg, Column: "ms"}},
	}
	eng, err := engine.Start(ctx, engine.Config{
		Plan: p, Readers: []record.Reader{requests},
		OnReject: func(_ int, r record.Reject) { fmt.Printf("line %d: %v\n", r.Line, r.Reason) },
	})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	if err := eng.Wait(); err != nil {
		log.Fatal(err)
	}
	n, _ := result.ColumnOf[int64](p, "n")
	mean, _ := result.ColumnOf[float64](p, "mean")
	snap := eng.Snapshot()
	defer snap.Close()
	for row := range snap.All() {
		fmt.Println(n.Of(row), "requests,", mean.Of(row), "ms")
	}
	// Output:
	// line 3: column "ms": "slow" is a string, expected double precision
	// 2 requests, 1.75 ms
}
