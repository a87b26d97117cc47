package engine

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/result"
)

// A loadModel is the cost model that the policy is tried on: a deterministic simulation of runners
// that are full of work. The throughput is such that the busiest runner is busy all the time.
// Records cost nothing but their work for a partition; so what is uneven hurts most.
type loadModel struct {
	runner []int // by partition
	owner  [plan.Shards]int
	// share is the part of the records that each shard has at a time.
	share func(now time.Duration) *[plan.Shards]float64
	// apply is how long a record takes its partition.
	apply time.Duration
	bytes int // of all groups
	rng   *rand.Rand

	now     time.Duration
	records float64
	moved   int           // shards
	spent   int           // bytes
	pause   time.Duration // how long the moves since the last interval hold everything up
}

const modelTick = 100 * time.Millisecond

func newLoadModel(partitions, runners int, share func(time.Duration) *[plan.Shards]float64) *loadModel {
	m := &loadModel{share: share, apply: 50, bytes: 16 << 20, rng: rand.New(rand.NewPCG(1, 1))}
	owners := result.NewOwners(partitions)
	for s := range m.owner {
		m.owner[s] = int(owners.OfShard(uint8(s)))
	}
	for p := range partitions {
		m.runner = append(m.runner, p%runners)
	}
	return m
}

// step simulates an interval and returns what the policy would see of it.
func (m *loadModel) step() *loadMeasure {
	share := m.share(m.now)
	runners := slices.Max(m.runner) + 1
	work := make([]float64, len(m.runner)) // of each partition, for each record
	byRunner := make([]float64, runners)
	for s, p := range m.owner {
		work[p] += share[s] * float64(m.apply)
		byRunner[m.runner[p]] += share[s] * float64(m.apply)
	}
	usable := max(modelTick-m.pause, 0)
	m.pause = 0
	n := float64(usable) / slices.Max(byRunner)
	m.records += n
	m.now += modelTick
	x := &loadMeasure{
		now: m.now, elapsed: modelTick, owner: slices.Clone(m.owner[:]), runner: m.runner, records: uint64(n),
		room: []int{1 << 40}, samples: make([]uint64, plan.Shards), plans: []int{0},
	}
	for s := range x.samples { // with the noise of a sample
		mean := share[s] * n / 128
		x.samples[s] = uint64(max(0, mean+math.Sqrt(mean)*m.rng.NormFloat64()+0.5))
	}
	for p := range work {
		x.partition = append(x.partition, time.Duration(work[p]*n))
		x.bytes = append(x.bytes, m.bytes/len(m.runner))
	}
	for r := range byRunner {
		noise := 1 + 0.02*m.rng.NormFloat64()
		x.runners = append(x.runners, time.Duration(min(byRunner[r]*n*noise, float64(modelTick))))
	}
	return x
}

// move carries out moves. All partitions wait for it: two passes over the old owner's groups and
// three epochs.
func (m *loadModel) move(moves []shardMove) {
	for _, v := range moves {
		for _, s := range v.shards {
			m.owner[s] = v.to
		}
		m.moved += len(v.shards)
		m.spent += v.bytes
		// 4 bytes a nanosecond
		m.pause += 3*time.Millisecond + time.Duration(m.bytes/len(m.runner))/4
	}
}

// assign gives the shards to the runners as evenly as the well-known greedy way does it, the most
// work first.
func (m *loadModel) assign(share *[plan.Shards]float64) {
	order := make([]int, plan.Shards)
	for s := range order {
		order[s] = s
	}
	slices.SortFunc(order, func(a, b int) int {
		if share[a] > share[b] {
			return -1
		}
		return 1
	})
	sum := make([]float64, slices.Max(m.runner)+1)
	for _, s := range order {
		r := slices.Index(sum, slices.Min(sum))
		sum[r] += share[s]
		m.owner[s] = slices.Index(m.runner, r)
	}
}

// zipfShares are the shares of shards whose keys come with a skew.
func zipfShares(skew float64) *[plan.Shards]float64 {
	rng := rand.New(rand.NewPCG(7, 7))
	var share [plan.Shards]float64
	sum := 0.0
	for k := range 100_000 {
		w := math.Pow(float64(k+1), -skew)
		share[rng.IntN(plan.Shards)] += w
		sum += w
	}
	for s := range share {
		share[s] /= sum
	}
	return &share
}

// hotShares are even but for one shard, which has a part of all records.
func hotShares(hot int, part float64) *[plan.Shards]float64 {
	var share [plan.Shards]float64
	for s := range share {
		share[s] = (1 - part) / (plan.Shards - 1)
	}
	share[hot] = part
	return &share
}

func always(s *[plan.Shards]float64) func(time.Duration) *[plan.Shards]float64 {
	return func(time.Duration) *[plan.Shards]float64 { return s }
}

// wandering has the hot shard somewhere else each period, of as many places as that.
func wandering(every time.Duration, places int, part float64) func(time.Duration) *[plan.Shards]float64 {
	var at []*[plan.Shards]float64
	for i := range places {
		at = append(at, hotShares(i*97%plan.Shards, part))
	}
	return func(now time.Duration) *[plan.Shards]float64 { return at[int(now/every)%places] }
}

// skewed are the loads that the policy is tried on, and how it must do.
var skewed = []struct {
	name  string
	share func(time.Duration) *[plan.Shards]float64
	// best is the least throughput compared with the best fixed assignment; none is the same
	// compared with no policy.
	best, none float64
	moves      bool // whether shards may move at all
}{
	{"even", always(hotShares(0, 1.0/plan.Shards)), 0.98, 0.98, false},
	{"zipf 0.8", always(zipfShares(0.8)), 0.9, 0.98, true},
	{"zipf 1.0", always(zipfShares(1.0)), 0.9, 0.98, true},
	{"zipf 1.2", always(zipfShares(1.2)), 0.9, 0.98, true},
	{"zipf 1.4", always(zipfShares(1.4)), 0.9, 0.98, true},
	{"hot shard", always(hotShares(3, 0.4)), 0.9, 1.2, true},
	{"one key", always(hotShares(3, 0.95)), 0.95, 0.98, false},
	{"wanders each second", wandering(time.Second, 16, 0.3), 0.95, 1, true},
	{"wanders in 50 ms", wandering(50*time.Millisecond, 16, 0.3), 0.9, 0.95, true},
	{"alternates each second", wandering(time.Second, 2, 0.3), 0.9, 0.98, true},
	{"alternates in 300 ms", wandering(300*time.Millisecond, 2, 0.3), 0.9, 0.95, true},
	{"idle", always(hotShares(3, 0.0)), 0.98, 0.98, false},
}

// Goal: the policy comes close to the best fixed assignment, and never does harm. Method: the cost
// model for half a minute, with the policy, with none, with the best fixed assignment for the mean
// of the load, and with random moves.
func TestRebalancerOnModel(t *testing.T) {
	const ticks = 300
	for _, partitions := range []int{2, 4, 8} {
		for _, c := range skewed {
			run := func(decide func(m *loadModel, x *loadMeasure) []shardMove, m *loadModel) float64 {
				for range ticks {
					m.move(decide(m, m.step()))
				}
				return m.records
			}
			nothing := func(*loadModel, *loadMeasure) []shardMove { return nil }
			model := func() *loadModel { return newLoadModel(partitions, 2, c.share) }
			none := run(nothing, model())
			fixed := model()
			var mean [plan.Shards]float64
			for tick := range ticks {
				for s, v := range c.share(time.Duration(tick) * modelTick) {
					mean[s] += v
				}
			}
			fixed.assign(&mean)
			best := max(run(nothing, fixed), none)
			random := run(func(m *loadModel, x *loadMeasure) []shardMove {
				if m.rng.IntN(5) > 0 {
					return nil
				}
				s := m.rng.IntN(plan.Shards)
				return []shardMove{{from: m.owner[s], to: m.rng.IntN(partitions), shards: []int{s}}}
			}, model())
			b := newRebalancer(DefaultRebalanceBytes)
			policy := model()
			got := run(func(m *loadModel, x *loadMeasure) []shardMove {
				moves, _ := b.decide(x)
				return moves
			}, policy)
			t.Logf("%d partitions, %s: %.3f of the best fixed, %.3f of none, %.3f of random; %d shards, %d MiB moved",
				partitions, c.name, got/best, got/none, got/random, policy.moved, policy.spent>>20)
			if got < c.best*best || got < c.none*none || got < 0.97*random {
				t.Errorf("%d partitions, %s: %.3f of the best fixed assignment (expected %.2f), %.3f of none (%.2f), "+
					"%.3f of random moves", partitions, c.name, got/best, c.best, got/none, c.none, got/random)
			}
			if policy.moved > 0 && !c.moves {
				t.Errorf("%d partitions, %s: %d shards moved, expected none", partitions, c.name, policy.moved)
			}
			if most := int(30.5*DefaultRebalanceBytes) + policy.bytes; policy.spent > most {
				t.Errorf("%d partitions, %s: %d bytes moved, at most %d in that time", partitions, c.name, policy.spent,
					most)
			}
		}
	}
}

func onlyShard3(n uint64) []uint64 {
	samples := make([]uint64, plan.Shards)
	samples[3] = n
	return samples
}

// Goal: each reason not to move holds shards back, and the reason is told. Method: a load that is
// moved, and the same with one thing changed.
func TestRebalancerReasons(t *testing.T) {
	measure := func() *loadMeasure {
		m := newLoadModel(2, 2, always(hotShares(3, 0.4)))
		return m.step()
	}
	for _, c := range []struct {
		name, why string
		change    func(*rebalancer, *loadMeasure)
	}{
		{"", "runner 0 was busy", func(*rebalancer, *loadMeasure) {}},
		{"little to do", "no runner is busy", func(_ *rebalancer, m *loadMeasure) { m.elapsed *= 2 }},
		{"even", "even", func(_ *rebalancer, m *loadMeasure) { m.runners[1] = m.runners[0] }},
		{"few samples", "few records", func(_ *rebalancer, m *loadMeasure) { m.samples = onlyShard3(200) }},
		{"kept from its CPU", "its CPU", func(_ *rebalancer, m *loadMeasure) { m.stale = true }},
		{"no memory", "memory", func(_ *rebalancer, m *loadMeasure) { m.room[0] = 0 }},
		{"little memory", "memory", func(_ *rebalancer, m *loadMeasure) { m.room[0] = 1000 }},
		{"budget", "budget", func(b *rebalancer, _ *loadMeasure) { b.tokens, b.bytesPerSecond = -1, 1 }},
		{"one shard", "shard 3 alone", func(_ *rebalancer, m *loadMeasure) {
			m.samples = onlyShard3(10_000)
		}},
		{"first sight", "chance", func(b *rebalancer, _ *loadMeasure) { b.sure = 0 }},
		{"backing off", "did not help", func(b *rebalancer, _ *loadMeasure) { b.notBefore = time.Hour }},
	} {
		b, m := newRebalancer(DefaultRebalanceBytes), measure()
		b.sure, b.hot, b.plans = rebalanceSure, 0, m.plans
		c.change(b, m)
		moves, why := b.decide(m)
		if !strings.Contains(why, c.why) || (len(moves) > 0) != (c.name == "") {
			t.Errorf("%q: %d moves because %q, expected %q", c.name, len(moves), why, c.why)
		}
	}
}

// Goal: moves after which fewer records come are undone, and then it waits; moves that make no
// difference stay, and it waits; moves that help are followed by others as soon as they pay.
// Method: the cost model, and a throughput after the moves that is told by the test.
func TestRebalancerJudges(t *testing.T) {
	for _, c := range []struct {
		times float64
		why   string
		undone,
		waits bool
	}{
		{1.2, "have helped", false, false},
		{1, "did not help", false, true},
		{0.8, "undone", true, true},
	} {
		model := newLoadModel(4, 2, always(hotShares(3, 0.4)))
		b := newRebalancer(DefaultRebalanceBytes)
		before := model.owner
		var moves []shardMove
		var x *loadMeasure
		for len(moves) == 0 {
			x = model.step()
			moves, _ = b.decide(x)
		}
		model.move(moves)
		var back []shardMove
		var why string
		for range rebalanceTrial {
			next := model.step()
			next.records = uint64(float64(x.records) * c.times)
			back, why = b.decide(next)
		}
		model.move(back)
		if !strings.Contains(why, c.why) || (model.owner == before) != c.undone || (b.notBefore > 0) != c.waits {
			t.Errorf("%.1f times as many records: %q, undone %v, waits until %v; expected %q, %v, %v", c.times, why,
				model.owner == before, b.notBefore, c.why, c.undone, c.waits)
		}
	}
}

// Goal: what has been moved is taken from the budget, which fills up again with time. Method: a
// budget for one decision, and the same load three times, the last time after a second.
func TestRebalancerBudget(t *testing.T) {
	m := newLoadModel(2, 2, always(hotShares(3, 0.4))).step()
	first, _ := decided(newRebalancer(1<<30), m)
	if len(first) != 1 || first[0].bytes == 0 {
		t.Fatalf("%+v is moved, expected one move of some bytes", first)
	}
	b := newRebalancer(first[0].bytes + 1)
	if moves, why := decided(b, m); len(moves) != 1 {
		t.Errorf("nothing moves, because %q", why)
	}
	if moves, why := decided(b, m); len(moves) > 0 || !strings.Contains(why, "budget") {
		t.Errorf("%d moves, because %q, after the budget has been used up", len(moves), why)
	}
	later := *m
	later.elapsed *= 10
	for r := range later.runners {
		later.runners[r] *= 10
	}
	for p := range later.partition {
		later.partition[p] *= 10
	}
	if moves, why := decided(b, &later); len(moves) != 1 {
		t.Errorf("a second later nothing moves, because %q", why)
	}
}

// decided is what a rebalancer decides that has seen the same load before, and has not moved.
func decided(b *rebalancer, m *loadMeasure) ([]shardMove, string) {
	b.trial, b.sure, b.hot, b.plans = nil, rebalanceSure, 0, m.plans
	return b.decide(m)
}

// both is the measure of an engine that runs the plans of two measures, which have as many
// partitions, on the same runners.
func both(a, b *loadMeasure) *loadMeasure {
	m := *a
	m.plans = []int{4, 7}
	m.samples, m.room = slices.Concat(a.samples, b.samples), slices.Concat(a.room, b.room)
	m.owner = slices.Clone(a.owner)
	for _, p := range b.owner {
		m.owner = append(m.owner, len(a.runner)+p)
	}
	m.runner, m.bytes = slices.Concat(a.runner, b.runner), slices.Concat(a.bytes, b.bytes)
	m.partition, m.runners = nil, make([]time.Duration, len(a.runners))
	for p, d := range slices.Concat(a.partition, b.partition) {
		m.partition = append(m.partition, d/2) // each has half of the time
		m.runners[m.runner[p]] += d / 2
	}
	return &m
}

// Goal: of several plans, shards go from the busy runner to another partition of their own plan; what
// is known is forgotten when the plans change; a plan without memory keeps its shards. Method: a plan
// with an even load and one with a hot shard, in both orders.
func TestRebalancerOfPlans(t *testing.T) {
	const partitions = 2
	for _, hot := range []int{0, 1} {
		measure := func() *loadMeasure {
			even := newLoadModel(partitions, 2, always(hotShares(0, 1.0/plan.Shards))).step()
			uneven := newLoadModel(partitions, 2, always(hotShares(3, 0.7))).step()
			if hot == 0 {
				return both(uneven, even)
			}
			return both(even, uneven)
		}
		b, m := newRebalancer(DefaultRebalanceBytes), measure()
		moves, why := decided(b, m)
		moved := make([]int, 2)
		for _, v := range moves {
			if v.from/partitions != v.to/partitions || m.runner[v.from] != 0 || m.runner[v.to] != 1 {
				t.Errorf("hot %d: partition %d gives shards to %d", hot, v.from, v.to)
			}
			for _, s := range v.shards {
				if m.owner[s] != v.from {
					t.Errorf("hot %d: shard %d is of partition %d, not of %d", hot, s, m.owner[s], v.from)
				}
			}
			moved[v.from/partitions] += len(v.shards)
		}
		if moved[0]+moved[1] == 0 {
			t.Errorf("hot %d: nothing moves, because %q", hot, why)
		}
		m = measure()
		m.room[0], m.room[1] = 0, 0
		moves, why = decided(newRebalancer(DefaultRebalanceBytes), m)
		if len(moves) > 0 || !strings.Contains(why, "memory") {
			t.Errorf("hot %d: %d moves without memory, %q", hot, len(moves), why)
		}
		m = measure()
		m.room[1-hot] = 0
		moves, _ = decided(newRebalancer(DefaultRebalanceBytes), m)
		for _, v := range moves {
			if v.from/partitions != hot {
				t.Errorf("hot %d: partition %d gives shards away, whose plan has no memory", hot, v.from)
			}
		}
		m = measure()
		m.plans = []int{4, 8}
		b.trial, b.sure, b.hot = nil, rebalanceSure, 0
		if moves, why := b.decide(m); len(moves) > 0 || b.sure > 1 {
			t.Errorf("hot %d: other plans, and %d moves: %q", hot, len(moves), why)
		}
	}
}
