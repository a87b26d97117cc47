package engine

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/epoch"
	"github.com/velo-engine/velo/internal/golden"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// calmStats are the counters of an engine with two readers and two partitions that had no trouble.
func calmStats() Stats {
	counters := func(in, counted uint64) result.Counters {
		return result.Counters{
			In: in, Counted: counted, Keyless: 3, Filtered: in - counted - 3, Batches: in / 512,
			Direct: counted,
		}
	}
	return Stats{
		Plan:       "SELECT symbol, count(*) AS n FROM trades GROUP BY symbol",
		StateBytes: 5 << 20, Elapsed: 2345678 * time.Microsecond, Epoch: 41,
		Epochs: EpochStats{epoch.Stats{Raised: 41, Published: 41, Requests: 50}, 57 * time.Millisecond},
		Readers: []ReaderStats{
			{Name: "trades.csv 0", State: Ended, Counters: counters(100_000, 90_000)},
			{Name: "trades.csv 1", State: Running, Counters: counters(120_000, 110_000), Retries: 1, Groups: 7},
		},
		Partitions: []PartitionStats{
			{Rows: 99_000, Groups: 500, Bytes: 3 << 20},
			{Rows: 101_000, Groups: 520, Bytes: 2 << 20},
		},
		Rings: []RingStats{
			{0, 0, 0, ring.Stats{Slots: 16, HighWater: 4, Pushed: 100, Popped: 100}},
			{0, 1, 1, ring.Stats{
				Slots: 16, Depth: 2, HighWater: 16, Pushed: 120, Popped: 118, FullStalls: 9,
				EmptyStalls: 30,
			}},
		},
		Runners: []RunnerStats{
			{
				Agents: "reader/0+partition/0", CPU: 2, CPUTime: 1234 * time.Millisecond, Turns: 5000, Busy: 4000,
				Parks: 12,
			},
			{Agents: "reader/1+partition/1", CPU: -1, Turns: 6000, Busy: 5500, Parks: 3},
		},
		Agents: []AgentStats{
			{Name: "reader/0", Steps: 2000, Busy: time.Second, Longest: 12345 * time.Nanosecond},
			{
				Name: "partition/1", Runner: 1, Steps: 2500, Busy: 2 * time.Second, Longest: 3 * time.Millisecond,
				Long: 1,
				Stalls: [core.Stalls]StallStats{
					core.StallRing: {9, 20 * time.Millisecond},
					core.StallMark: {1, time.Millisecond},
				},
			},
		},
	}
}

// troubledStats are calmStats with everything that String has a sentence for.
func troubledStats() Stats {
	s := calmStats()
	s.Epochs.Interval = math.MaxInt64
	s.Epochs.Held, s.Epochs.NoImage, s.Epochs.Withheld = 3, 2, 5
	s.Output = OutputStats{Rows: 1000, Windows: 20, Retries: 1, Unfit: 4}
	s.Partitions[0].Shed, s.Partitions[1].Late = 17, 6
	s.Partitions[1].Rows = 400_000
	s.Readers[0].State, s.Readers[0].Err = Failed, errors.New("trades.csv: line 5 is longer than 64 KiB")
	s.Readers[0].Late, s.Readers[0].Quarantined, s.Readers[0].Dropped = 11, 12, 13
	s.Runners[1].PinError = "CPU 7 is not in the cpuset"
	s.Agents[0].Starved, s.Agents[0].By, s.Agents[0].Waited = 8, "partition/0", 40*time.Millisecond
	return s
}

// Goal: the table of the counters is what people read: every trouble has a sentence that says which
// limit it comes from, and there is none without trouble. Method: testdata/stats.txt.
func TestStatsString(t *testing.T) {
	golden.Run(t, "testdata/stats.txt", func(t *testing.T, c *golden.Case) string {
		switch c.Name {
		case "nothing":
			return Stats{}.String()
		case "calm":
			return calmStats().String()
		case "troubled":
			return troubledStats().String()
		}
		t.Fatalf("no command %s", c.Name)
		return ""
	})
}
