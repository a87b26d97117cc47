package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// A Skew is a load of which some shards have more than others.
type Skew struct {
	Name string
	zipf float64
	// hot are the shards that are hot in turn, Period each; part is the part of the records that
	// the hot one has.
	hot    []int
	part   float64
	Period time.Duration
}

// Skews are the loads that moving shards is measured on.
var Skews = []Skew{
	{Name: "even"},
	{Name: "zipf0.8", zipf: 0.8},
	{Name: "zipf1.0", zipf: 1.0},
	{Name: "zipf1.2", zipf: 1.2},
	{Name: "zipf1.4", zipf: 1.4},
	{Name: "hot", hot: []int{3}, part: 0.4},
	{Name: "wander", hot: []int{3, 100, 197, 38, 135, 232, 73, 170}, part: 0.4, Period: time.Second},
	{Name: "alternate", hot: []int{3, 200}, part: 0.4, Period: 300 * time.Millisecond},
	{Name: "key", hot: []int{-1}, part: 0.9},
}

// Assignments are the ways in which shards get to partitions.
var Assignments = []string{"none", "fixed", "random", "policy"}

// A SkewPoint is what an engine did with a skewed load.
type SkewPoint struct {
	Skew       string `json:"skew"`
	Assignment string `json:"assignment"`
	Readers    int    `json:"readers"`
	Partitions int    `json:"partitions"`
	Cores      int    `json:"cores"`
	// T is the throughput, the mean over the slices of time in which the engine's threads had their
	// CPUs. Clean is how many of the Slices those are.
	T       float64 `json:"records_per_second"`
	Slices  int     `json:"slices"`
	Clean   int     `json:"clean_slices"`
	OfFixed float64 `json:"of_fixed,omitempty"` // T / T of the better of none and fixed
	OfNone  float64 `json:"of_none,omitempty"`  // T / T of none
	Moves   uint64  `json:"moves"`
	Shards  uint64  `json:"shards_moved"`
	Why     string  `json:"why,omitempty"`
}

const (
	skewGroups = 100_000

	// skewRecords is how many records each reader has for each place of the hot shard. They are 2
	// MiB: with many more the readers would wait for the memory, and not for the partitions.
	skewRecords = 1 << 17
)

// phases lends batches of a set, and of another set when its time is over.
type phases struct {
	sets   [][]*record.Batch
	period time.Duration
	begin  time.Time
	next   int
}

// Poll lends the next batch.
func (p *phases) Poll(b *record.Batch) error {
	set := p.sets[0]
	if p.period > 0 {
		set = p.sets[int(time.Since(p.begin)/p.period)%len(p.sets)]
	}
	from := set[p.next%len(set)]
	p.next++
	for i := range b.Schema().Len() {
		*b.Column(i) = *from.Column(i)
	}
	b.SetLen(from.Len())
	return nil
}

// Read is Poll.
func (p *phases) Read(_ context.Context, b *record.Batch) error { return p.Poll(b) }

// Close does nothing.
func (p *phases) Close() error { return nil }

// batches makes the records of one reader, for each place of the hot shard. weight has the number
// of records of each shard added to it.
func (s Skew) batches(p *plan.Plan, reader int, weight *[plan.Shards]float64) (sets [][]*record.Batch, err error) {
	shard := make([]int, skewGroups)
	in := make([][]int64, plan.Shards) // the keys of each shard
	for k := range shard {
		key, err := p.Key(int64(readers.Scramble(uint64(k))))
		if err != nil {
			return nil, err
		}
		shard[k] = key.Shard()
		in[shard[k]] = append(in[shard[k]], int64(k))
	}
	rng := rand.New(rand.NewPCG(uint64(reader), 11))
	pick := func() int64 { return rng.Int64N(skewGroups) }
	if s.zipf > 0 {
		g, err := readers.NewGenerator(readers.GeneratorConfig{
			Seed: 5, Groups: skewGroups, Readers: 2, Reader: reader % 2, Distribution: readers.Zipf, Skew: s.zipf,
		})
		if err != nil {
			return nil, err
		}
		set := g.Prepare(skewRecords, record.DefaultRows)
		for _, b := range set {
			for _, v := range b.Column(0).Int64s[:b.Len()] {
				key, err := p.Key(v)
				if err != nil {
					return nil, err
				}
				weight[key.Shard()]++
			}
		}
		return [][]*record.Batch{set}, nil
	}
	places := s.hot
	if len(places) == 0 {
		places = []int{0}
	}
	for _, hot := range places {
		var set []*record.Batch
		for range skewRecords / record.DefaultRows {
			b := record.NewBatch(p.Source, record.DefaultRows)
			b.Add(0)
			b.SetLen(record.DefaultRows)
			for i := range record.DefaultRows {
				k := pick()
				if rng.Float64() < s.part {
					k = 0 // a single key
					if hot >= 0 {
						k = in[hot][rng.IntN(len(in[hot]))]
					}
				}
				weight[shard[k]]++
				b.Column(0).Int64s[i] = int64(readers.Scramble(uint64(k)))
				b.Column(1).Int64s[i] = int64(i)
			}
			set = append(set, b)
		}
		sets = append(sets, set)
	}
	return sets, nil
}

// Run measures the load with each assignment: as the engine begins, the best fixed one, a shard
// that moves at random every 100 ms, and the engine's policy. The readers lend prepared
// records.
func (s Skew) Run(readers, partitions, cores int, exchange plan.Exchange, d time.Duration, each func(SkewPoint)) error {
	p := Workload{}.Plan()
	var weight [plan.Shards]float64
	var sets [][][]*record.Batch
	for r := range readers {
		of, err := s.batches(p, r, &weight)
		if err != nil {
			return err
		}
		sets = append(sets, of)
	}
	var none, fixed float64
	for _, how := range Assignments {
		cfg := engine.Config{
			Plan: p, Partitions: partitions, Cores: cores, Exchange: exchange, Rebalance: how == "policy",
			Wait: engine.WaitSpin,
		}
		begin := time.Now()
		for r := range readers {
			cfg.Readers = append(cfg.Readers, &phases{sets: sets[r], period: s.Period, begin: begin})
		}
		point, err := runSkew(cfg, how, &weight, d)
		if err != nil {
			return err
		}
		point.Skew = s.Name
		switch how {
		case "none":
			none = point.T
		case "fixed":
			fixed = max(point.T, none)
		default:
			point.OfFixed, point.OfNone = point.T/fixed, point.T/none
		}
		each(point)
	}
	return nil
}

func runSkew(cfg engine.Config, how string, weight *[plan.Shards]float64, d time.Duration) (SkewPoint, error) {
	x := SkewPoint{Assignment: how, Readers: len(cfg.Readers), Partitions: cfg.Partitions, Cores: cfg.Cores}
	e, err := engine.Start(context.Background(), cfg)
	if err != nil {
		return x, err
	}
	defer e.Close()
	Settle(e)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	switch how {
	case "fixed":
		if err := assign(ctx, e, cfg.Partitions, weight); err != nil {
			return x, err
		}
		ended <- nil
	case "random":
		go func() { ended <- moveAtRandom(ctx, e, cfg.Partitions) }()
	default:
		ended <- nil
	}
	<-time.After(time.Second) // the policy finds its way
	slices := watchSlices(e, d)
	cancel()
	err = <-ended
	x.T, x.Clean = cleanRate(slices)
	x.Slices = len(slices)
	r := e.Stats().Rebalance
	x.Moves, x.Shards, x.Why = r.Moves, r.Shards, r.Why
	return x, errors.Join(err, e.Shutdown(context.Background()))
}

// moveAtRandom moves a shard every 100 ms.
func moveAtRandom(ctx context.Context, e *engine.Engine, partitions int) error {
	rng := rand.New(rand.NewPCG(3, 3))
	for {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
		if err := e.MoveShard(ctx, rng.IntN(plan.Shards), rng.IntN(partitions)); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// assign gives the shards to runners as evenly as the well-known greedy way does, the heaviest
// first, and on each runner to its partitions in turn.
func assign(ctx context.Context, e *engine.Engine, partitions int, weight *[plan.Shards]float64) error {
	st := e.Stats()
	on := map[int][]int{} // partitions by runner
	for _, a := range st.Agents {
		var p int
		if _, err := fmt.Sscanf(a.Name, "partition/%d", &p); err == nil && strings.HasPrefix(a.Name, "partition/") {
			on[a.Runner] = append(on[a.Runner], p)
		}
	}
	order := make([]int, plan.Shards)
	for s := range order {
		order[s] = s
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case weight[a] > weight[b]:
			return -1
		case weight[a] < weight[b]:
			return 1
		}
		return a - b
	})
	load := map[int]float64{}
	dealt := map[int]int{}
	for _, s := range order {
		least := -1
		for r := range st.Runners {
			if len(on[r]) > 0 && (least < 0 || load[r] < load[least]) {
				least = r
			}
		}
		load[least] += weight[s]
		p := on[least][dealt[least]%len(on[least])]
		dealt[least]++
		if err := e.MoveShard(ctx, s, p); err != nil {
			return err
		}
	}
	return nil
}
