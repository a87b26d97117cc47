package docs_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/velo-engine/velo"
)

// This file is the Go of durability.md: TestGoBlocks finds each block of the guide here, word for word.

type Order struct {
	Customer string
}

func startOrders(ctx context.Context, dir string) (*velo.Feed[Order], *velo.Engine, error) {
	feed, err := velo.NewFeed[Order]("orders", velo.FeedConfig{Name: "orders"})
	if err != nil {
		return nil, nil, err
	}
	plan, err := velo.Compile(`SELECT customer, count(*) AS n FROM orders GROUP BY customer`, feed.Schema())
	if err != nil {
		return nil, nil, err
	}
	eng, err := velo.Start(ctx, velo.Config{
		Plan: plan, Readers: []velo.Reader{feed}, State: velo.Dir(dir),
	})
	return feed, eng, err
}

func sendOrders(ctx context.Context, feed *velo.Feed[Order], orders []Order) error {
	lane, from, err := feed.Resume("shop/1") // after velo.Start
	if err != nil {
		return err
	}
	defer lane.Close()
	for number := from; number < uint64(len(orders)); number++ {
		if err := lane.SendAt(ctx, number, orders[number]); err != nil {
			return err
		}
	}
	return nil
}

// countOrders is one life of a service: it sends what has not been counted, and ends without a word.
func countOrders(ctx context.Context, dir string, orders []Order) error {
	feed, eng, err := startOrders(ctx, dir)
	if err != nil {
		return err
	}
	defer eng.Close()
	feed.OnDurable(func(lane string, upTo uint64) {
		log.Printf("%s: orders before %d are not asked for again", lane, upTo)
	})
	if err := sendOrders(ctx, feed, orders); err != nil {
		return err
	}
	if err := eng.Checkpoint(ctx); err != nil {
		return err
	}
	type count struct {
		Customer string
		N        int64
	}
	rows, err := velo.ScannerOf[count](eng.Plan())
	if err != nil {
		return err
	}
	snap := eng.Snapshot()
	defer snap.Close()
	for row := range snap.All() {
		var c count
		if err := rows.Scan(row, &c); err != nil {
			return err
		}
		fmt.Println(c.Customer, c.N)
	}
	return nil
}

// Goal: orders are counted once over two lives.
func Example_durability() {
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)
	dir, err := os.MkdirTemp("", "velo-docs-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	orders := []Order{{"Ada"}, {"Ada"}, {"Ada"}}
	for _, there := range []int{2, 3} {
		if err := countOrders(context.Background(), dir, orders[:there]); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// Ada 2
	// Ada 3
}

// startOthers is a later version of the service: it counts all orders too, and no customers any more.
func startOthers(ctx context.Context, dir string) (*velo.Engine, error) {
	feed, err := velo.NewFeed[Order]("orders", velo.FeedConfig{Name: "orders"})
	if err != nil {
		return nil, err
	}
	var plans []velo.PlanConfig
	for name, text := range map[string]string{
		"all": `SELECT count(*) AS n FROM orders`, "a_customers": `SELECT count(*) AS n FROM orders WHERE customer LIKE 'A%'`,
	} {
		plan, err := velo.Compile(text, feed.Schema())
		if err != nil {
			return nil, err
		}
		plan.Name = name
		plans = append(plans, velo.PlanConfig{Plan: plan})
	}
	return velo.Start(ctx, velo.Config{
		Plans: plans, Readers: []velo.Reader{feed},
		State: &velo.State{
			Path:         dir,
			NewPlans:     []string{"all", "a_customers"}, // begin without history if the state does not have them
			DroppedPlans: []string{"orders"},             // its groups are given up
		},
	})
}

// Goal: another version of the service goes on with other plans, once and again.
func Example_otherPlans() {
	dir, err := os.MkdirTemp("", "velo-docs-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	_, eng, err := startOrders(context.Background(), dir)
	if err != nil {
		log.Fatal(err)
	}
	_ = eng.Close()
	for range 2 {
		eng, err := startOthers(context.Background(), dir)
		if err != nil {
			log.Fatal(err)
		}
		if err := eng.Checkpoint(context.Background()); err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(eng.Plans()), "plans, goes on:", eng.Stats().State.Restored > 0)
		_ = eng.Close()
	}
	// Output:
	// 2 plans, goes on: true
	// 2 plans, goes on: true
}
