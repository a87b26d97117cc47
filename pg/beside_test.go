package pg_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/pg"
	"github.com/velo-engine/velo/pg/internal/market"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/view"
)

// BenchmarkBeside is what the engine's thread takes for a record, in time of its CPU: alone, beside
// goroutines that only compute, and beside 200 clients that cancel, stop reading and vanish (see
// TestChaos). Time of the CPU leaves out the time in which the system runs others on it, but not
// that the caches are cold after that: the difference between burners and clients is what the
// clients cost the engine beyond that. The thread makes its records itself, so that it never waits:
// what the scheduler of Go gives to a goroutine that sends is no cost of the engine.
func BenchmarkBeside(b *testing.B) {
	for _, beside := range []string{"nothing", "burners", "clients"} {
		b.Run("beside="+beside, func(b *testing.B) {
			m := generated(b)
			h := serveMarket(b, m, pg.Config{Limits: pg.Limits{Write: 2 * time.Second, Connections: 150}})
			end := func() {}
			switch beside {
			case "burners":
				end = burn()
			case "clients":
				end = startClients(b, h.addr)
			}
			counters := func() (used time.Duration, records uint64) {
				s := m.Stats()
				return s.CPUTime(), s.Counters().In
			}
			for beside == "clients" && h.stats.Connected.Load() < chaosCount {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(time.Second)
			from := h.stats.Connected.Load()
			used, records := counters()
			began := time.Now()
			for b.Loop() {
				time.Sleep(10 * time.Millisecond)
			}
			took, now := counters()
			b.ReportMetric(float64((took-used).Nanoseconds())/float64(now-records), "cpu-ns/record")
			b.ReportMetric((took-used).Seconds()/time.Since(began).Seconds(), "cores")
			b.ReportMetric(float64(h.stats.Connected.Load()-from)/time.Since(began).Seconds(), "clients/s")
			b.ReportMetric(0, "ns/op")
			end()
			for began := time.Now(); h.stats.Connections.Load() > 0 && time.Since(began) < time.Minute; {
				time.Sleep(time.Millisecond)
			}
		})
	}
}

const (
	// chaosCount is how many clients misbehave.
	chaosCount = 200

	// chaosAddress is the variable of the environment that makes this program the clients.
	chaosAddress = "VELO_PG_CLIENTS"
)

// chaosClients are clients that misbehave until standard input ends.
func chaosClients(addr string) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var all sync.WaitGroup
	for i := range chaosCount {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for ctx.Err() == nil {
				misbehave(ctx, &host{addr: addr}, r)
			}
		})
	}
	all.Wait()
}

// burn keeps as many goroutines busy as statements may run.
func burn() (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for rows := 1; ctx.Err() == nil; rows++ {
				burnt.Store(new(make([]int64, 1000+rows%1000)))
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// burnt keeps what is burnt from being left out. Statistic.
var burnt atomic.Pointer[[]int64]

// startClients starts the clients as a process of their own, which gets less of the CPUs: elsewhere
// it would have some of its own.
func startClients(b *testing.B, addr string) (end func()) {
	b.Helper()
	self, err := os.Executable()
	must(b, err)
	c := exec.Command("nice", "-n", "10", self)
	c.Env = append(os.Environ(), chaosAddress+"="+addr)
	in, err := c.StdinPipe()
	must(b, err)
	must(b, c.Start())
	return func() {
		must(b, in.Close())
		must(b, c.Wait())
	}
}

// generated is a market whose records are generated on the thread of the engine, without end.
func generated(b *testing.B) *market.Market {
	b.Helper()
	g, err := readers.NewGenerator(readers.GeneratorConfig{Groups: 1000})
	must(b, err)
	m := &market.Market{Catalog: view.NewCatalog(view.Limits{})}
	cfg := engine.Config{Readers: []record.Reader{g}, Cores: 1, Partitions: 1}
	queries := map[string]string{
		"volumes": "SELECT key AS symbol, count(*) AS n, sum(value) AS turnover FROM events GROUP BY key",
		"sizes":   "SELECT key, value % 10 AS size, max(value) AS most FROM events GROUP BY key, value % 10",
	}
	views := map[string]view.View{}
	for name, text := range queries {
		p, err := query.Compile(text, readers.GeneratorSchema)
		must(b, err)
		cfg.Plans = append(cfg.Plans, engine.PlanConfig{Plan: p})
		views[name] = view.View{Plan: p}
	}
	m.Engine, err = engine.Start(context.Background(), cfg)
	must(b, err)
	for name, v := range views {
		v.Engine = m.Engine
		must(b, m.Catalog.Add(name, v))
	}
	return m
}
