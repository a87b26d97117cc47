// Package market is an engine with a few live results, for tests and measurements of pg.
package market

import (
	"context"
	"fmt"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/view"
)

// A Trade is one record.
type Trade struct {
	Symbol string
	Venue  string
	Size   int64
	Price  float64
	At     time.Time
}

// Queries are the views, by name.
var Queries = map[string]string{
	"volumes": `SELECT symbol, count(*) AS n, avg(price) AS avg_price, sum(CAST(price AS decimal(18,2))) AS turnover,
		bool_or(size > 100) AS hot, max(at) AS last_at, max(venue) AS venue FROM trades GROUP BY symbol`,
	"sizes": "SELECT symbol, size, avg(price) AS avg_price FROM trades GROUP BY symbol, size",
}

// A Market is an engine over a feed of trades, and a catalog of its views.
type Market struct {
	*engine.Engine
	Catalog *view.Catalog
	lane    *readers.Lane[Trade]
}

// Start starts a market without trades.
func Start(ctx context.Context, limits view.Limits) (*Market, error) {
	schema, err := record.SchemaOf[Trade]("trades")
	if err != nil {
		return nil, err
	}
	feed, err := readers.NewFeed[Trade](schema, readers.FeedConfig{})
	if err != nil {
		return nil, err
	}
	m := &Market{Catalog: view.NewCatalog(limits)}
	byName := map[string]*plan.Plan{}
	var plans []engine.PlanConfig
	for name, q := range Queries {
		p, err := query.Compile(q, schema)
		if err != nil {
			return nil, err
		}
		byName[name] = p
		plans = append(plans, engine.PlanConfig{Plan: p})
	}
	m.lane, err = feed.Lane()
	if err != nil {
		return nil, err
	}
	m.Engine, err = engine.Start(ctx, engine.Config{
		Plans: plans, Readers: []record.Reader{feed}, NoPin: true, Cores: 1, Partitions: 2, StateBytes: 512 << 20,
	})
	if err != nil {
		return nil, err
	}
	for name, p := range byName {
		err = m.Catalog.Add(name, view.View{Engine: m.Engine, Plan: p, Comment: "the " + name + " of the market"})
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Send sends trades and waits until they can be read.
func (m *Market) Send(ctx context.Context, trades ...Trade) error {
	err := m.Push(ctx, trades...)
	if err != nil {
		return err
	}
	return m.Sync(ctx)
}

// Push sends trades and waits for nothing but room.
func (m *Market) Push(ctx context.Context, trades ...Trade) error {
	_, err := m.lane.SendAll(ctx, trades)
	return err
}

// Some are n trades of as many symbols: S0, S1, ...
func Some(n int) []Trade {
	all := make([]Trade, n)
	for i := range all {
		all[i] = Trade{
			Symbol: fmt.Sprintf(
				"S%d",
				i,
			), Venue: []string{"xnas", "arca"}[i%2], Size: int64(i), Price: float64(i) + 0.25,
			At: time.Date(2026, 3, 2, 9, 30, i%60, 250_000_000, time.UTC),
		}
	}
	return all
}
