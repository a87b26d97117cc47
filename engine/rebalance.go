package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/velo-engine/velo/plan"
)

const (
	// rebalanceEvery is the shortest time between two measurements of the policy.
	rebalanceEvery = 80 * time.Millisecond

	// rebalanceBusy is how busy a runner must be for it to be the bottleneck.
	rebalanceBusy = 0.85

	// rebalanceGap is how much less busy another runner must be for moves to pay. It is above what
	// chance and other processes make of an even load.
	rebalanceGap = 0.15

	// rebalanceGain is the part of a runner's time that moves must free at least.
	rebalanceGain = 0.05

	// rebalanceSure is how many measurements in a row must show the same bottleneck.
	rebalanceSure = 2

	// rebalanceSamples is how many samples of records a measurement needs: with fewer, what a shard
	// has is chance.
	rebalanceSamples = 256

	// rebalanceMemory is how much of Config.StateBytes may be in use for shards to move. Their
	// groups take memory at the new owner, and the old owner keeps the memory that they had.
	rebalanceMemory = 0.5

	// rebalanceTrial is how many measurements after moves say whether they have helped: whether
	// there are rebalanceHelps times as many records a second as before. Moves after which there
	// are less than rebalanceHarms times as many are undone.
	rebalanceTrial = 2
	rebalanceHelps = 1.02
	rebalanceHarms = 0.98

	// rebalanceWait and rebalanceWaitMax are the shortest and the longest time without moves after
	// moves that did not help.
	rebalanceWait    = 500 * time.Millisecond
	rebalanceWaitMax = 16 * time.Second

	// rebalanceMoves bounds the moves of one decision.
	rebalanceMoves = 8
)

// A shardMove takes shards from one partition to another of the same plan. Partitions and shards
// are counted over all plans, see loadMeasure.
type shardMove struct {
	from, to int
	shards   []int
	bytes    int // about how many bytes of groups they have
}

// A loadMeasure is what the policy sees of an engine: what happened in one interval. The shards of
// all plans are counted one plan after the other, and so are the partitions. Each plan has
// plan.Shards of them, and as many partitions as every other. A runner that has a partition of one
// plan has one of each.
type loadMeasure struct {
	now, elapsed time.Duration
	// plans are the numbers of the plans. If they change, all that was known is forgotten.
	plans []int
	// samples is how many records of each shard were sampled.
	samples []uint64
	// owner is the partition of each shard.
	owner []int
	// runner is the runner of each partition.
	runner []int
	// partition is how long each partition had work; runners is the same of all agents of each
	// runner.
	partition, runners []time.Duration
	// bytes is the memory of the groups of each partition.
	bytes []int
	// room is how many bytes of groups of each plan may be moved before rebalanceMemory is in use.
	room []int
	// records is how many records the readers brought.
	records uint64
	// stale says that a runner that is awake has told nothing for most of the interval. The system
	// has run something else on its CPU.
	stale bool
}

// A rebalancer decides which shards move. It is a pure function of what it has been told so far: it
// reads no clock and starts nothing.
//
// It moves shards if a runner is busy all the time while another one is not, in several
// measurements in a row. It moves what would make both equally busy, beginning with the shards that
// have the most work, so that few move. A shard that has more work than that stays where it is:
// often that is one key, which no move can divide. What it has moved it tries: moves after which
// fewer records come are undone. If moves did not help, because the load wanders faster than shards
// can follow, or because of costs that it does not know, it waits, each time twice as long.
type rebalancer struct {
	bytesPerSecond int

	// plans are the plans that what follows is about.
	plans []int
	// share is the part of the sampled records that each shard has, smoothed; nil if it is unknown.
	share []float64
	sure  int // number of measurements in a row with the same bottleneck
	hot   int // the runner that it is
	// tokens is how many bytes may be moved now; it is less than 0 after a shard that had more.
	tokens float64

	// rate is the mean number of records a second over the measurements that count in sure.
	rate float64

	// trial are the moves that were made last, until their effect has been seen: tried is the
	// number of measurements since, and after the mean rate of those.
	trial []shardMove
	tried int
	after float64

	wait      time.Duration // how long it waits if moves have not helped
	notBefore time.Duration
}

func newRebalancer(bytesPerSecond int) *rebalancer {
	return &rebalancer{bytesPerSecond: bytesPerSecond, tokens: float64(bytesPerSecond), wait: rebalanceWait}
}

// decide returns the moves to make now, and why these, or why there are none.
func (b *rebalancer) decide(m *loadMeasure) (moves []shardMove, why string) {
	b.tokens = min(b.tokens+float64(b.bytesPerSecond)*m.elapsed.Seconds(), float64(b.bytesPerSecond))
	if !slices.Equal(b.plans, m.plans) {
		b.plans, b.share, b.sure, b.trial = m.plans, nil, 0, nil
	}
	enough := b.smooth(m)
	rate := float64(m.records) / m.elapsed.Seconds()
	if len(b.trial) > 0 {
		return b.judge(m.now, rate)
	}
	switch {
	case m.stale:
		b.sure = 0
		return nil, "a runner has been kept from its CPU"
	case !enough:
		b.sure = 0
		return nil, "few records are routed"
	}
	busy := make([]float64, len(m.runners))
	for r, d := range m.runners {
		busy[r] = float64(d) / float64(m.elapsed)
	}
	hot, cold := m.extremes(busy)
	switch {
	case busy[hot] < rebalanceBusy:
		b.sure = 0
		return nil, "no runner is busy all the time"
	case busy[hot]-busy[cold] < rebalanceGap:
		b.sure = 0
		return nil, "the load is even"
	case b.sure == 0 || b.hot != hot:
		b.hot, b.sure, b.rate = hot, 1, rate
	default:
		b.sure++
		b.rate += (rate - b.rate) / float64(b.sure)
	}
	switch {
	case b.sure < rebalanceSure:
		return nil, "it may be chance"
	case m.now < b.notBefore:
		return nil, "the last moves did not help"
	case slices.Max(m.room) <= 0:
		return nil, "the groups have taken most of their memory"
	}
	moves, why = b.choose(m, busy, hot)
	if len(moves) > 0 {
		b.sure, b.trial, b.tried, b.after = 0, moves, 0, 0
	}
	return moves, why
}

// judge looks at what the last moves have come to. If fewer records come than before, they are
// undone. If not more come, they stay, and no others are made for a while.
func (b *rebalancer) judge(now time.Duration, rate float64) (moves []shardMove, why string) {
	b.tried++
	b.after += (rate - b.after) / float64(b.tried)
	if b.tried < rebalanceTrial {
		return nil, "the last moves are being tried"
	}
	done := b.trial
	b.trial = nil
	if b.after >= rebalanceHelps*b.rate {
		b.wait = rebalanceWait
		return nil, "the last moves have helped"
	}
	b.notBefore = now + b.wait
	b.wait = min(2*b.wait, rebalanceWaitMax)
	if b.after >= rebalanceHarms*b.rate {
		return nil, "the last moves did not help"
	}
	for _, v := range slices.Backward(done) {
		v.from, v.to = v.to, v.from
		moves = append(moves, v)
		b.tokens -= float64(v.bytes) // it may be less than 0 after that: moves that harm are undone
	}
	return moves, fmt.Sprintf("undone: there were %.3g records a second before the last moves, and %.3g after", b.rate,
		b.after)
}

// smooth takes the samples of an interval into the shares. It returns false if there are too few.
func (b *rebalancer) smooth(m *loadMeasure) bool {
	var all uint64
	for _, n := range m.samples {
		all += n
	}
	if all < rebalanceSamples {
		return false
	}
	known := b.share != nil
	if !known {
		b.share = make([]float64, len(m.samples))
	}
	for shard, n := range m.samples {
		share := float64(n) / float64(all)
		if known {
			share = (share + b.share[shard]) / 2
		}
		b.share[shard] = share
	}
	return true
}

// extremes returns the runners that are the busiest and the least busy of those with partitions.
func (m *loadMeasure) extremes(busy []float64) (hot, cold int) {
	hot, cold = m.runner[0], m.runner[0]
	for _, r := range m.runner {
		if busy[r] > busy[hot] {
			hot = r
		}
		if busy[r] < busy[cold] {
			cold = r
		}
	}
	return hot, cold
}

// choose picks shards of a runner and the partitions that they go to.
func (b *rebalancer) choose(m *loadMeasure, busy []float64, hot int) (moves []shardMove, why string) {
	load, shards := b.loads(m)
	var candidates []int
	for shard, p := range m.owner {
		if m.runner[p] == hot && load[shard] > 0 {
			candidates = append(candidates, shard)
		}
	}
	slices.SortStableFunc(candidates, func(a, b int) int { return cmp.Compare(load[b], load[a]) })
	was := busy[hot]
	work := make([]float64, len(m.partition)) // of each partition
	for p, d := range m.partition {
		work[p] = float64(d) / float64(m.elapsed)
	}
	spent, held := 0.0, "" // held says what holds other shards back
	spentOf := make([]float64, len(m.room))
	for _, shard := range candidates {
		_, cold := m.extremes(busy)
		from := m.owner[shard]
		of := shard / plan.Shards
		bytes := float64(m.bytes[from]) / float64(max(shards[from], 1))
		if busy[hot]-load[shard] < busy[cold]+load[shard] {
			continue // that would only change which runner is the bottleneck
		}
		if spentOf[of]+bytes > float64(m.room[of]) {
			held = "the groups have taken most of their memory"
			if len(m.room) == 1 {
				break
			}
			spentOf[of] = float64(m.room[of]) + 1 // no smaller ones of this plan instead
			continue
		}
		if spent+bytes > b.tokens && !(spent == 0 && b.tokens >= float64(b.bytesPerSecond)) {
			held = "the budget of moved bytes is used up"
			break
		}
		to := m.leastOn(cold, of, work)
		i := slices.IndexFunc(moves, func(v shardMove) bool { return v.from == from && v.to == to })
		if i < 0 {
			if len(moves) == rebalanceMoves {
				continue
			}
			i = len(moves)
			moves = append(moves, shardMove{from: from, to: to})
		}
		moves[i].shards = append(moves[i].shards, shard)
		moves[i].bytes += int(bytes)
		spent += bytes
		spentOf[of] += bytes
		busy[hot] -= load[shard]
		busy[cold] += load[shard]
	}
	if was-busy[hot] < rebalanceGain {
		if held == "" {
			held = m.stuck(candidates, load, was)
		}
		return nil, held
	}
	b.tokens -= spent
	return moves, fmt.Sprintf("runner %d was busy %.0f %% of the time, to become %.0f %%", hot, 100*was, 100*busy[hot])
}

// loads returns the part of the time that each shard takes its partition, and how many shards each
// partition has.
func (b *rebalancer) loads(m *loadMeasure) (load []float64, shards []int) {
	load = make([]float64, len(m.owner))
	shards = make([]int, len(m.partition))
	sum := make([]float64, len(m.partition))
	for shard, p := range m.owner {
		shards[p]++
		sum[p] += b.share[shard]
	}
	for shard, p := range m.owner {
		if sum[p] > 0 {
			load[shard] = float64(m.partition[p]) / float64(m.elapsed) * b.share[shard] / sum[p]
		}
	}
	return load, shards
}

// leastOn returns the partition of a plan on a runner that has the least work.
func (m *loadMeasure) leastOn(runner, of int, work []float64) (least int) {
	least = -1
	each := len(m.runner) / len(m.room)
	for p := of * each; p < (of+1)*each; p++ {
		if m.runner[p] == runner && (least < 0 || work[p] < work[least]) {
			least = p
		}
	}
	return least
}

// stuck says why no shard of the busiest runner can move; candidates has them by their load.
func (m *loadMeasure) stuck(candidates []int, load []float64, busy float64) string {
	if len(candidates) > 0 && load[candidates[0]] > rebalanceGap {
		shard := candidates[0]
		name := fmt.Sprintf("shard %d", shard%plan.Shards)
		if len(m.plans) > 1 {
			name += fmt.Sprintf(" of plan %d", m.plans[shard/plan.Shards])
		}
		return fmt.Sprintf("%s alone takes %.0f %% of the time of its runner, which no move can divide", name,
			100*load[shard]/busy)
	}
	return "other work than that for shards makes the runner busy"
}
