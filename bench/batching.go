package bench

import (
	"context"
	"runtime"
	"time"

	"github.com/velo-engine/velo/engine"
)

// A Batching is a way to choose how much is done at once and how long to wait awake.
type Batching struct {
	Name   string
	change func(*engine.Config)
}

// Batchings are fixed settings, from the least latency to the most work at once, and what adapts.
var Batchings = []Batching{
	{"64 rows, spin", func(c *engine.Config) { c.BatchRows, c.Wait = 64, engine.WaitSpin }},
	{"512 rows, spin", func(c *engine.Config) { c.BatchRows, c.Wait = 512, engine.WaitSpin }},
	{"2048 rows, park 50us", func(c *engine.Config) { c.BatchRows, c.ParkAfter = 2048, engine.DefaultParkAfter }},
	{"8192 rows, park 50us", func(c *engine.Config) { c.BatchRows, c.ParkAfter = 8192, engine.DefaultParkAfter }},
	{"adaptive", func(*engine.Config) {}},
}

// batchingInterval is how often records become visible while latencies are measured. It is much
// less than the latency that is allowed.
const batchingInterval = 100 * time.Microsecond

// A BatchingPoint is what a setting comes to at a load.
type BatchingPoint struct {
	Setting string  `json:"setting"`
	Load    float64 `json:"load"` // part of the full load; 1 is as much as it takes
	T       float64 `json:"records_per_second"`
	P50     float64 `json:"p50_us,omitempty"`
	P99     float64 `json:"p99_us,omitempty"`
	CPU     float64 `json:"cpus"` // CPU time of the engine for each second
}

// RunBatching measures each setting under full load, and then at each of the loads, which are parts
// of what the adaptive setting takes, for d each. A record's latency is from when it is due until a
// snapshot has it.
func RunBatching(loads []float64, d time.Duration, each func(BatchingPoint)) error {
	var full float64
	for _, b := range Batchings {
		t, cpus, err := b.fullLoad(d)
		if err != nil {
			return err
		}
		full = t // of the last, which is adaptive
		each(BatchingPoint{Setting: b.Name, Load: 1, T: t, CPU: cpus})
	}
	for _, load := range loads {
		for _, b := range Batchings {
			rate := max(int(load*full), 1)
			l, err := latencies(rate, d, func(c *engine.Config) {
				c.Wait, c.EpochInterval, c.EpochShare = engine.WaitPark, batchingInterval, 1
				b.change(c)
			})
			if err != nil {
				return err
			}
			each(BatchingPoint{
				Setting: b.Name, Load: load, T: float64(l.Sent) / d.Seconds(), P50: l.P50, P99: l.P99, CPU: l.CPUs,
			})
		}
	}
	return nil
}

// fullLoad sends as fast as the engine takes records, and returns how many that is in a second.
func (b Batching) fullLoad(d time.Duration) (perSecond, cpus float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	e, feed, err := startLatency(func(c *engine.Config) {
		c.Wait, c.EpochInterval, c.EpochShare = engine.WaitPark, 0, 0
		b.change(c)
	})
	if err != nil {
		return 0, 0, err
	}
	defer e.Close()
	if err := e.Sync(context.Background()); err != nil {
		return 0, 0, err
	}
	defer pinBeside(e)()
	lane, err := feed.Lane()
	if err != nil {
		return 0, 0, err
	}
	defer lane.Close()
	send := func(d time.Duration) (sent uint64) {
		for begin := time.Now(); time.Since(begin) < d; {
			for range 256 {
				if lane.TrySend(latencyRecord{int64(sent * 0x9e3779b9 % latencyGroups), int64(sent)}) {
					sent++
				}
			}
		}
		return sent
	}
	send(d / 5) // afterwards tables, pages and branches are warm
	defer observe()()
	before, begin := e.Stats().CPUTime(), time.Now()
	sent := send(d)
	if err := e.Sync(context.Background()); err != nil {
		return 0, 0, err
	}
	took := time.Since(begin)
	return float64(sent) / took.Seconds(), float64(e.Stats().CPUTime()-before) / float64(took), nil
}
