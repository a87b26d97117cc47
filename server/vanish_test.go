package server

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/view"
)

// vanishing are how many clients go away at random.
const vanishing = 200

// vanishPaths is what they ask for: answers of many rows, streams, keys and counters.
var vanishPaths = []string{
	"/v1/views/volumes?limit=100000", "/v1/views/volumes/changes?every=100ms",
	"/v1/query?sql=SELECT+*+FROM+volumes+ORDER+BY+volume", "/v1/views/volumes?key=7", "/v1/stats",
}

// vanish has clients ask and go away at random until the returned function is called. Each waits up
// to 50 ms for its answer, reads a part of it, and is gone.
func vanish(url string) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: vanishing}}
	var all sync.WaitGroup
	for n := range vanishing {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			for ctx.Err() == nil {
				asking, gone := context.WithTimeout(ctx, time.Duration(random.IntN(50))*time.Millisecond)
				r, err := http.NewRequestWithContext(asking, http.MethodGet,
					url+vanishPaths[random.IntN(len(vanishPaths))], nil)
				if err == nil {
					a, err := client.Do(r)
					if err == nil {
						_, _ = a.Body.Read(make([]byte, 100))
						_ = a.Body.Close()
					}
				}
				gone()
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
		client.CloseIdleConnections()
	}
}

// BenchmarkVanish is what an engine does beside 200 clients that cancel and vanish at random, in
// the same process: how many records it takes, and what a record costs its thread in time of its
// CPU. The source brings a million records a second, which is a part of what a thread can do, so
// that a service with CPUs to spare is measured and not who gets the CPUs. Half a second alone and
// half a second beside the clients follow each other, so that both see the same machine.
func BenchmarkVanish(b *testing.B) {
	const rate = 1_000_000
	g, err := readers.NewGenerator(readers.GeneratorConfig{Groups: 1000, Rate: rate})
	must(b, err)
	p, err := query.Compile("SELECT key AS symbol, count(*) AS n, sum(value) AS volume FROM events GROUP BY key",
		readers.GeneratorSchema)
	must(b, err)
	e, err := engine.Start(b.Context(), engine.Config{Plan: p, Readers: []record.Reader{g}, Cores: 1, Partitions: 1})
	must(b, err)
	defer func() { must(b, e.Close()) }()
	views := view.NewCatalog(view.Limits{})
	must(b, views.Add("volumes", view.View{Engine: e, Plan: p}))
	s, err := New(Config{Views: views, Engines: func() []Engine { return []Engine{{Name: "volumes", Engine: e}} }})
	must(b, err)
	defer func() { must(b, s.Close()) }()
	web := httptest.NewServer(s)
	defer web.Close()

	var sums [2]struct {
		records uint64
		cpu     time.Duration
		time    time.Duration
	}
	measure := func(beside int) {
		end := func() {}
		if beside == 1 {
			end = vanish(web.URL)
		}
		time.Sleep(50 * time.Millisecond)
		began, before := time.Now(), e.Stats()
		time.Sleep(500 * time.Millisecond)
		after, took := e.Stats(), time.Since(began)
		end()
		sum := &sums[beside]
		sum.records += after.Counters().In - before.Counters().In
		sum.cpu += after.CPUTime() - before.CPUTime()
		sum.time += took
	}
	measure(1) // everything has been done once
	sums[1].records, sums[1].cpu, sums[1].time = 0, 0, 0
	for b.Loop() {
		measure(0)
		measure(1)
	}
	for i, name := range []string{"alone", "beside"} {
		sum := &sums[i]
		b.ReportMetric(float64(sum.records)/sum.time.Seconds()/1e6, "M-records/s-"+name)
		b.ReportMetric(float64(sum.cpu.Nanoseconds())/float64(sum.records), "cpu-ns/record-"+name)
	}
	b.ReportMetric(0, "ns/op")
	use := s.Use()
	if use.Queries != 0 {
		b.Logf("still asked: %+v", use)
	}
}
