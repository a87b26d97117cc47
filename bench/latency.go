package bench

import (
	"context"
	"runtime"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// A Latency says how long records take from Feed.Send until a snapshot has them.
type Latency struct {
	Rate  int     `json:"rate"` // records a second
	Sent  uint64  `json:"sent"`
	Seen  uint64  `json:"seen"`
	P50   float64 `json:"p50_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	P9999 float64 `json:"p9999_us"`
	Max   float64 `json:"max_us"`

	// IdleGap is measured by the same loop without an engine: it is what the machine adds by
	// itself.
	IdleGap float64 `json:"idle_gap_p9999_us"`
	Epochs  uint64  `json:"epochs"`
	CPUs    float64 `json:"cpus"` // CPU time of the engine for each second

	// Curve has the latency at some percentiles, and IdleCurve the same of the loop without an
	// engine.
	Curve     []Quantile `json:"curve"`
	IdleCurve []Quantile `json:"idle_curve"`
	SendNs    float64    `json:"send_ns"` // mean time of a Send, from a sample
}

// A Quantile is a point of a curve of latencies.
type Quantile struct {
	Percentile float64 `json:"percentile"`
	Micros     float64 `json:"us"`
}

// quantiles are the points of a curve: ever closer to 100, as far as there are values.
func quantiles(h *hdrhistogram.Histogram) (curve []Quantile) {
	for _, p := range []float64{0, 25, 50, 75, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 99.999} {
		if (100-p)/100*float64(h.TotalCount()) < 1 && p > 0 {
			break
		}
		curve = append(curve, Quantile{p, float64(h.ValueAtPercentile(p)) / 1e3})
	}
	return append(curve, Quantile{100, float64(h.Max()) / 1e3})
}

const (
	latencyGroups   = 1000
	latencyInterval = 50 * time.Microsecond
	sendSample      = 64 // one of this many Sends is timed
)

type latencyRecord struct{ Key, Value int64 }

// Latencies sends records at a fixed rate, whether or not the engine keeps up (open loop). The time
// of a record begins when it was due, so a record that was held up by earlier ones counts with the
// whole delay (no coordinated omission). The engine runs on one core; a goroutine on another core
// sends and looks at snapshots.
func Latencies(rate int, d time.Duration) (Latency, error) {
	return latencies(rate, d, func(*engine.Config) {})
}

// latencies is Latencies with another configuration of the engine.
func latencies(rate int, d time.Duration, change func(*engine.Config)) (Latency, error) {
	l := Latency{Rate: rate}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	idle := hdrhistogram.New(1, int64(10*time.Second), 3)
	openLoop(rate, d/4, func(uint64) bool { return true }, func() uint64 { return 1 << 62 }, idle)
	l.IdleGap, l.IdleCurve = float64(idle.ValueAtPercentile(99.99))/1e3, quantiles(idle)

	e, feed, err := startLatency(change)
	if err != nil {
		return l, err
	}
	defer e.Close()
	if err := e.Sync(context.Background()); err != nil { // the runner is pinned after that
		return l, err
	}
	defer pinBeside(e)()
	lane, err := feed.Lane()
	if err != nil {
		return l, err
	}
	defer lane.Close()
	var sendTime time.Duration
	var sends int
	send := func(i uint64) bool {
		r := latencyRecord{int64(i * 0x9e3779b9 % latencyGroups), int64(i)}
		if i%sendSample > 0 {
			return lane.TrySend(r)
		}
		begin := time.Now()
		ok := lane.TrySend(r)
		sendTime += time.Since(begin)
		sends++
		return ok
	}
	seen := func() uint64 {
		s := e.Snapshot()
		n := s.Records()
		s.Close()
		return n
	}
	// afterwards tables, pages and branches are warm
	openLoop(rate, d/10, send, seen, hdrhistogram.New(1, int64(10*time.Second), 3))
	h := hdrhistogram.New(1, int64(10*time.Second), 3)
	end := observe()
	before, began := e.Stats(), time.Now()
	sendTime, sends = 0, 0
	start := seen()
	l.Sent = openLoop(rate, d, send, func() uint64 { return seen() - start }, h)
	l.Seen = seen() - start
	after := e.Stats()
	end()
	l.CPUs = float64(after.CPUTime()-before.CPUTime()) / float64(time.Since(began))
	l.Epochs = after.Epochs.Published - before.Epochs.Published
	at := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1e3 }
	l.P50, l.P99, l.P999, l.P9999, l.Max = at(50), at(99), at(99.9), at(99.99), float64(h.Max())/1e3
	l.Curve = quantiles(h)
	l.SendNs = float64(sendTime) / float64(max(sends, 1))
	return l, nil
}

// startLatency starts an engine that is fed, on one core.
func startLatency(change func(*engine.Config)) (*engine.Engine, *readers.Feed[latencyRecord], error) {
	feed, err := readers.NewFeed[latencyRecord](nil, readers.FeedConfig{LaneSlots: 1 << 14})
	if err != nil {
		return nil, nil, err
	}
	p := &plan.Plan{Source: feed.Schema(), Keys: []string{"key"}, Aggregates: []plan.Aggregate{
		{Name: "n", Func: plan.Count},
		{Name: "sum", Func: plan.Sum, Column: "value"},
		{Name: "min", Func: plan.Min, Column: "value"},
		{Name: "max", Func: plan.Max, Column: "value"},
	}}
	cfg := engine.Config{
		Plan: p, Readers: []record.Reader{feed}, Partitions: 1, Cores: 1, EpochInterval: latencyInterval,
		EpochShare: 1, Wait: engine.WaitSpin,
	}
	change(&cfg)
	e, err := engine.Start(context.Background(), cfg)
	return e, feed, err
}

// pinBeside gives the calling thread a CPU other than the engine's, if there is one.
func pinBeside(e *engine.Engine) (restore func()) {
	cpus, _ := affinity.Usable() // if they are not known, nothing is pinned
	for _, cpu := range cpus {
		if cpu == e.Stats().Runners[0].CPU {
			continue
		}
		p, err := affinity.Pin(cpu)
		if err != nil {
			break
		}
		return func() { p.Restore() }
	}
	return func() {}
}

// openLoop calls send for each record as soon as it is due, and again if there is no room for it.
// In between it calls seen, which says how many records are visible. h gets how long each record
// took. It returns when all are visible, or some seconds after the last one was due.
func openLoop(rate int, d time.Duration, send func(i uint64) bool, seen func() uint64,
	h *hdrhistogram.Histogram,
) (sent uint64) {
	const grace = 5 * time.Second
	n := uint64(float64(rate) * d.Seconds())
	due := func(i uint64) time.Duration { return time.Duration(float64(i) * 1e9 / float64(rate)) }
	begin := time.Now()
	for visible := uint64(0); visible < n; {
		now := time.Since(begin)
		for sent < n && due(sent) <= now && send(sent) {
			sent++
		}
		if to := min(seen(), sent); to > visible {
			for now = time.Since(begin); visible < to; visible++ {
				h.RecordValue(max(1, int64(now-due(visible))))
			}
		}
		if now > d+grace {
			break
		}
	}
	return sent
}
