package engine_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
)

func rebalanced(t *testing.T, exchange plan.Exchange, stop *atomic.Bool) engine.Config {
	cfg := engine.Config{
		Plan: countedPlan(t), Partitions: 4, Cores: 2, Exchange: exchange, BatchRows: 500, NoPin: true,
		EpochInterval: time.Millisecond, EpochShare: 1, Rebalance: true,
	}
	for r := range 2 {
		cfg.Readers = append(cfg.Readers, &counted{
			reader: int64(r), groups: 5000, most: 1 << 40, slow: 1,
			rng: rand.New(rand.NewPCG(uint64(r), 1)), stop: stop,
		})
	}
	return cfg
}

// Goal: while many shards move again and again, every snapshot has exactly what the readers had
// brought, and so has the end. Method: the prefix oracle, and moves at random that the policy's
// goroutine carries out, in every exchange.
func TestRebalanceMoves(t *testing.T) {
	for _, exchange := range []plan.Exchange{
		plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeFold, plan.ExchangeRoute,
	} {
		var stop atomic.Bool
		cfg := rebalanced(t, exchange, &stop)
		oracle := newPrefixOracle(t, cfg.Plan)
		e, err := engine.StartMoving(t.Context(), cfg, uint64(exchange)+1)
		if err != nil {
			t.Fatal(err)
		}
		for e.Stats().Rebalance.Moves < 25 {
			s := e.Snapshot()
			if err := oracle.check(s, 2); err != nil {
				t.Fatalf("%v: %v", exchange, err)
			}
			s.Close()
			if err := t.Context().Err(); err != nil {
				t.Fatal(err)
			}
		}
		stop.Store(true)
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		if err := oracle.check(s, 2); err != nil {
			t.Errorf("%v, at the end: %v", exchange, err)
		}
		s.Close()
		r := e.Stats().Rebalance
		if r.Shards < r.Moves || len(r.Last) == 0 || r.Why != "by chance" {
			t.Errorf("%v: stats %+v", exchange, r)
		}
		if text := e.Stats().String(); !strings.Contains(text, "shards moved in") || !strings.Contains(text, "by chance") {
			t.Errorf("%v: nothing about the moves in\n%s", exchange, text)
		}
	}
}

// Goal: the policy itself runs in an engine, says why it moves or does not, and ends with it.
func TestRebalanceRuns(t *testing.T) {
	var stop atomic.Bool
	cfg := rebalanced(t, plan.ExchangeRoute, &stop)
	oracle := newPrefixOracle(t, cfg.Plan)
	e := start(t, cfg)
	for strings.HasPrefix(e.Stats().Rebalance.Why, "nothing") {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Millisecond)
	}
	if err := e.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	if err := oracle.check(s, 2); err != nil {
		t.Error(err)
	}
}

// Goal: a configuration that cannot be rebalanced is refused, and the error says why.
func TestRebalanceConfig(t *testing.T) {
	for _, c := range []struct {
		why    string
		change func(*engine.Config)
	}{
		{"", func(*engine.Config) {}},
		{"none by time", func(c *engine.Config) { c.EpochInterval = -1 }},
		{"sheds", func(c *engine.Config) { c.StatePolicy = plan.StateShed }},
		{"windows", func(c *engine.Config) { c.Plan.Window = &plan.Window{ProcessingTime: true} }},
		{"keys", func(c *engine.Config) { c.Plan.Keys = nil }},
		{"routed by key", func(c *engine.Config) { c.Route.Routing = plan.RouteRoundRobin }},
		{"at least 1", func(c *engine.Config) { c.RebalanceBytes = -1 }},
		{"it is off", func(c *engine.Config) { c.Rebalance, c.RebalanceBytes = false, 1 }},
	} {
		var stop atomic.Bool
		cfg := rebalanced(t, plan.ExchangeAuto, &stop)
		cfg.Readers = cfg.Readers[:1:1]
		c.change(&cfg)
		err := cfg.Validate()
		if (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%q: %v", c.why, err)
		}
	}
}
