package core

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// pausedSource is a timedSource that may be paused.
type pausedSource struct {
	waitingSource
	paused bool
}

func (s *pausedSource) Paused() bool   { return s.paused }
func (s *pausedSource) Stopping() bool { return false }

func (s *pausedSource) Next(now Nanos) (*record.Batch, bool) {
	if s.paused {
		return nil, false
	}
	return s.waitingSource.Next(now)
}

// idleSim is two readers and a partition in which readers that have nothing for a second are idle.
type idleSim struct {
	cuts      *Cuts
	sources   [2]*pausedSource
	routers   [2]*Router
	partition *Partition
}

func newIdleSim(t *testing.T, exchange plan.Exchange, rows [2][]timedRow) *idleSim {
	t.Helper()
	p := &plan.Plan{
		Source: timedSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		Window: &plan.Window{
			Column: "at", Windows: window.Windows{Kind: window.Tumbling, Size: time.Second},
			Idle: time.Second,
		},
	}
	s := &idleSim{cuts: NewCuts(p, plan.Route{}, 2, 1, 0, nil, func() {})}
	var outs []*ring.Consumer[Chunk]
	for i := range s.routers {
		s.sources[i] = &pausedSource{waitingSource: waitingSource{timedSource{
			rows:  rows[i],
			batch: record.NewBatch(timedSchema, 200),
		}, false}}
		in, out := ring.New[Chunk](2)
		r, err := NewRouter(plan.ReaderID(i), p, s.sources[i], plan.Route{}, Fold{Exchange: exchange, Bytes: 1 << 14},
			[]*ring.Producer[Chunk]{in}, []Bell{noBell{}}, nil, nil, s.cuts)
		if err != nil {
			t.Fatal(err)
		}
		s.routers[i], outs = r, append(outs, out)
	}
	var err error
	if s.partition, err = NewPartition(0, p, outs, []Bell{noBell{}, noBell{}}, nil, s.cuts); err != nil {
		t.Fatal(err)
	}
	return s
}

// late is how many records came too late, by the counters of the newest cut.
func (s *idleSim) late() (late uint64) {
	c, slot := s.cuts.Pin()
	defer s.cuts.Unpin(slot)
	for _, n := range c.Counters() {
		late += n.Late
	}
	return late
}

// Goal: a reader that has records whenever it is asked is never idle, however long nobody asks it: because its ring is full,
// because other agents take long, because it is paused, because an epoch takes its time. So none of its records is late.
// Method: seeded schedules in which agents stand still while the clock runs, over sources that have everything from the
// beginning, one of them behind the other in event time only as far as the schedule makes it.
func TestBusyIsNotIdle(t *testing.T) {
	for seed := range testgen.Seeds(200) {
		rng := rand.New(rand.NewPCG(seed, 11))
		var rows [2][]timedRow
		for r := range rows {
			for i := range 20_000 {
				rows[r] = append(rows[r], timedRow{int64(i) * int64(5*time.Millisecond), rng.Int64N(200), 1})
			}
		}
		s := newIdleSim(t, plan.Exchange(rng.IntN(4)), rows)
		agents := []Agent{s.routers[0], s.routers[1], s.partition}
		now := Nanos(0)
		for !s.partition.Done() {
			a := rng.IntN(len(agents))
			for range 1 + rng.IntN(20) {
				agents[a].Step(now)
				now += Nanos(rng.IntN(int(100 * time.Microsecond)))
			}
			switch rng.IntN(30) {
			case 0:
				now += Nanos(rng.IntN(int(5 * time.Second)))
			case 1:
				p := s.sources[rng.IntN(2)]
				p.paused = !p.paused && rng.IntN(3) == 0
			}
			if rng.IntN(4) == 0 {
				s.cuts.Want()
			}
			for i, src := range s.sources {
				src.ends = len(src.rows) == 0
				src.paused = src.paused && !s.routers[i].atEnd && len(s.sources[1-i].rows) > 0
			}
			if err := s.partition.Err(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if late := s.late(); late > 0 {
			t.Fatalf("seed %d: %d records late, of readers that always had some", seed, late)
		}
	}
}

// Goal: a reader that has nothing for as long as Window.Idle says does not hold windows back, and one that has been asked only
// at the beginning of that time is asked again before it is said to be idle.
func TestIdleIsAskedAgain(t *testing.T) {
	at := func(second int64) timedRow { return timedRow{second * int64(time.Second), 1, 1} }
	s := newIdleSim(t, plan.ExchangeRoute, [2][]timedRow{{at(10)}, nil})
	step := func(now time.Duration) {
		for range 20 {
			for _, r := range s.routers {
				r.Step(Nanos(now))
			}
			s.partition.Step(Nanos(now))
		}
	}
	closed := func() int64 {
		c, slot := s.cuts.Pin()
		defer s.cuts.Unpin(slot)
		end, ok := c.Closed()
		if !ok {
			return -1
		}
		return end / int64(time.Second)
	}
	step(0)
	s.sources[1].rows = []timedRow{at(3)} // it has come while nobody asked
	s.cuts.Want()
	step(time.Minute)
	if got := closed(); got != 3 {
		t.Fatalf("windows up to %d s have closed, expected 3: the second reader was not idle", got)
	}
	s.sources[1].paused = true
	for minute := time.Duration(3); minute < 6; minute++ {
		s.sources[0].rows = []timedRow{at(10 + int64(minute))} // else both would be idle
		step(minute * time.Minute)
		s.cuts.Want()
		step(minute*time.Minute + time.Second/2)
		if got := closed(); got != 3 {
			t.Fatalf("windows up to %d s have closed, expected 3: a reader that is paused is not idle", got)
		}
	}
	s.sources[1].paused = false
	step(7 * time.Minute) // the reader has nothing from now on
	for _, c := range []struct {
		after time.Duration
		want  int64
	}{{900 * time.Millisecond, 3}, {1100 * time.Millisecond, 21}} {
		s.sources[0].rows = []timedRow{at(20 + c.want/21)}
		step(7*time.Minute + c.after - time.Millisecond)
		s.cuts.Want()
		step(7*time.Minute + c.after)
		if got := closed(); got != c.want {
			t.Fatalf("windows up to %d s have closed, expected %d, %v after the second reader had nothing", got, c.want,
				c.after)
		}
	}
}

// heldSource gives batches, each with its hold.
type heldSource struct {
	waitingSource
	batches []heldBatch
}

type heldBatch struct {
	at   []int64 // seconds
	hold record.Hold
}

func (s *heldSource) Next(Nanos) (*record.Batch, bool) {
	if len(s.batches) == 0 {
		return nil, true
	}
	next := s.batches[0]
	s.batches = s.batches[1:]
	s.batch.Reset()
	for _, at := range next.at {
		s.batch.Add(0)
		s.batch.SetInt64(0, at*int64(time.Second))
	}
	s.batch.SetHold(next.hold)
	return s.batch, false
}

// Goal: the times of a reader that reads in rounds count when the round after theirs has ended, or at once if nothing waits.
// Method: records at 0 and 100 seconds, of windows of a second; those at 0 are late as soon as 100 counts.
func TestHolds(t *testing.T) {
	const part, ends, settled = record.HoldRound, record.HoldRoundEnds, record.HoldSettled
	for what, c := range map[string]struct {
		batches []heldBatch
		late    uint64
	}{
		"no rounds, within a batch": {[]heldBatch{{[]int64{100, 0}, record.HoldNone}}, 1},
		"no rounds": {[]heldBatch{
			{[]int64{100}, record.HoldNone},
			{[]int64{0, 0}, record.HoldNone},
		}, 2},
		"within a round": {[]heldBatch{
			{[]int64{100, 0}, part},
			{[]int64{0}, part},
			{[]int64{0}, settled},
		}, 0},
		"the round after": {[]heldBatch{
			{[]int64{100}, ends},
			{[]int64{0, 0}, part},
			{[]int64{0}, ends},
		}, 0},
		"two rounds after": {[]heldBatch{
			{[]int64{100}, ends},
			{[]int64{0}, ends},
			{[]int64{0, 0}, ends},
		}, 2},
		"settled": {[]heldBatch{{[]int64{100, 0}, settled}, {[]int64{0}, part}}, 1},
		"settled after a round": {[]heldBatch{
			{[]int64{100}, ends},
			{[]int64{0}, settled},
			{[]int64{0}, part},
		}, 1},
		"a round does not take back the one": {[]heldBatch{
			{[]int64{100}, settled},
			{[]int64{0}, ends},
			{[]int64{0}, ends},
		}, 2},
	} {
		s := &heldSource{batches: c.batches}
		s.batch = record.NewBatch(timedSchema, 10)
		p := &plan.Plan{
			Source: timedSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
			Window: &plan.Window{Column: "at", Windows: window.Windows{Kind: window.Tumbling, Size: time.Second}},
		}
		_, _, routers := runRoute(t, p, []Source{s}, plan.Route{}, Fold{Exchange: plan.ExchangeRoute}, 1, 4, 1)
		if n := routers[0].Counters(); n.Late != c.late {
			t.Errorf("%s: %d late, expected %d", what, n.Late, c.late)
		}
	}
}
