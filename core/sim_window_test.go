package core

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// simWindows is one run of a plan with windows: agents stepped in an order that the seed chooses, snapshots and a writer at any moment, against windowSums of the records that
// each snapshot says it has.
func simWindows(seed uint64) (looks, windows int, err error) {
	rng := rand.New(rand.NewPCG(seed, 78))
	w := &plan.Window{
		Column: "at", OutOfOrder: time.Duration(rng.IntN(2000)) * time.Millisecond,
		Lateness: time.Duration(rng.IntN(2)*rng.IntN(2000)) * time.Millisecond,
		Retain:   plan.MaxRetain, Windows: window.Windows{Kind: window.Kind(1 + rng.IntN(4)), Size: time.Second},
	}
	switch w.Kind {
	case window.Hopping, window.Cumulating:
		w.Slide, w.Size = time.Second, time.Duration(1+rng.IntN(4))*time.Second
	case window.Session:
		w.Size = time.Duration(1+rng.IntN(1000)) * time.Millisecond
	}
	clock := window.NewClock(w.Windows)
	pl := &plan.Plan{
		Source: timedSchema, Keys: []string{"key"}, Window: w,
		Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}, {Name: "sum", Func: plan.Sum, Column: "v"}},
	}
	emits := w.Kind != window.Session && rng.IntN(3) == 0
	if emits {
		pl.Emit = plan.EmitChanges
	}
	readers, partitions := 1+rng.IntN(3), 1+rng.IntN(4)
	fold := Fold{Exchange: plan.Exchange(rng.IntN(4)), Bytes: 1 << (9 + rng.IntN(8))}
	cuts := NewCuts(pl, plan.Route{}, readers, partitions, rng.IntN(3), nil, func() {})
	cuts.KeepWindows()
	bells := make([]Bell, max(readers, partitions))
	for i := range bells {
		bells[i] = noBell{}
	}
	in, out := make([][]*ring.Consumer[Chunk], partitions), make([][]*ring.Producer[Chunk], readers)
	for r := range readers {
		for p := range partitions {
			pr, co := ring.New[Chunk](1 << rng.IntN(4))
			out[r], in[p] = append(out[r], pr), append(in[p], co)
		}
	}
	var parts []*Partition
	var agents []Agent
	for p := range partitions {
		part, err := NewPartition(plan.PartitionID(p), pl, in[p], bells[:readers], nil, cuts)
		if err != nil {
			return 0, 0, err
		}
		parts, agents = append(parts, part), append(agents, part)
	}
	all := make([][]timedRow, readers)
	disorder := 1 + rng.Int64N(int64(3*time.Second)) // more than OutOfOrder in some runs: then some are late
	for r := range all {
		for i := range rng.IntN(2000) {
			all[r] = append(all[r], timedRow{
				int64(i)*int64(10*time.Millisecond) + rng.Int64N(disorder), rng.Int64N(8),
				rng.Int64N(1000),
			})
		}
		local := make([]*Partition, partitions)
		for p := range local {
			if rng.IntN(2) == 0 {
				local[p] = parts[p]
			}
		}
		src := &timedSource{rows: all[r], batch: record.NewBatch(timedSchema, 1+rng.IntN(200))}
		router, err := NewRouter(plan.ReaderID(r), pl, src, plan.Route{}, fold, out[r], bells[:partitions], local, nil,
			cuts)
		if err != nil {
			return 0, 0, err
		}
		agents = append(agents, router)
	}
	whole, _ := windowSums(w, all)
	n, _ := result.ColumnOf[int64](pl, "n")
	sum, _ := result.ColumnOf[int64](pl, "sum")
	start, _ := result.ColumnOf[int64](pl, plan.WindowStart)
	end, _ := result.ColumnOf[int64](pl, plan.WindowEnd)
	key, _ := result.ColumnOf[int64](pl, "key")
	look := func() error {
		c, slot := cuts.Pin()
		defer cuts.Unpin(slot)
		prefix := make([][]timedRow, readers)
		var late uint64
		for r, counters := range c.Counters() {
			prefix[r] = all[r][:counters.In]
			late += counters.Late
		}
		want, wantLate := windowSums(w, prefix)
		got := map[[2]int64]windowSum{}
		for row := range c.All() {
			got[[2]int64{end.Of(row), key.Of(row)}] = windowSum{n.Of(row), sum.Of(row), start.Of(row)}
		}
		if looks++; !maps.Equal(got, want) || late != wantLate {
			return fmt.Errorf("epoch %d: %v, %d late, expected %v, %d", c.Epoch(), got, late, want, wantLate)
		}
		return nil
	}
	closing := func(end int64) int64 {
		if w.Kind == window.Session {
			return clock.SessionEnd(end)
		}
		return end
	}
	last := int64(math.MinInt64)
	written := map[[2]int64]windowSum{}
	schema, err := pl.Result()
	if err != nil {
		return 0, 0, err
	}
	write := func() error {
		c, slot := cuts.Pin()
		defer cuts.Unpin(slot)
		for _, at := range c.Windows(last) {
			for b := range c.WindowBatches(at, record.NewBatch(schema, 3)) {
				for i := range b.Len() {
					id := [2]int64{b.Column(1).Int64s[i], b.Column(2).Int64s[i]}
					got := windowSum{b.Column(3).Int64s[i], b.Column(4).Int64s[i], b.Column(0).Int64s[i]}
					if _, twice := written[id]; twice || closing(id[0]) != at || got != whole[id] {
						return fmt.Errorf("window %d, %v is written with %v, expected %v, twice: %v", at, id, got,
							whole[id], twice)
					}
					written[id] = got
				}
			}
			last = at
			windows++
			cuts.Written(at)
		}
		return nil
	}
	if emits {
		changes, err := result.NewChanges(pl)
		if err != nil {
			return 0, 0, err
		}
		ended := map[int64]bool{}
		write = func() error {
			c, slot := cuts.Pin()
			defer cuts.Unpin(slot)
			seen := map[[2]int64]bool{}
			for b := range changes.Batches(c, 1+rng.IntN(30)) {
				for i := range b.Len() {
					id := [2]int64{b.Column(2).Int64s[i], b.Column(3).Int64s[i]}
					got := windowSum{b.Column(4).Int64s[i], b.Column(5).Int64s[i], b.Column(1).Int64s[i]}
					if seen[id] || written[id] == got || ended[id[0]] {
						return fmt.Errorf(
							"epoch %d: window %v is written with %v; before: %v, this time: %v, it had ended: %v",
							c.Epoch(), id, got, written[id], seen[id], ended[id[0]])
					}
					seen[id], written[id] = true, got
				}
			}
			want := map[[2]int64]windowSum{}
			for row := range c.All() {
				want[[2]int64{end.Of(row), key.Of(row)}] = windowSum{n.Of(row), sum.Of(row), start.Of(row)}
			}
			if !maps.Equal(written, want) {
				return fmt.Errorf("epoch %d: the changes make %v, expected %v", c.Epoch(), written, want)
			}
			if clock, ok := c.Closed(); ok {
				for id := range want {
					if id[0] <= clock && !ended[id[0]] {
						ended[id[0]] = true
						windows++
					}
				}
				cuts.Written(clock)
			}
			return nil
		}
	}
	slow := rng.IntN(len(agents))
	for steps := 0; !cuts.Ended(); steps++ {
		if steps > 3_000_000 {
			return looks, windows, fmt.Errorf(
				"no end after %d steps; %v, %d readers, %d partitions, %+v, epochs %+v\n%s", steps, w.Windows, readers,
				partitions, fold, cuts.Stats(), (&sim{agents: agents}).state())
		}
		var err error
		switch rng.IntN(400) {
		case 0:
			cuts.Want()
		case 2:
			err = look()
		case 3:
			err = write()
		}
		if err != nil {
			return looks, windows, err
		}
		if i := rng.IntN(len(agents)); i != slow || rng.IntN(10) == 0 {
			if agents[i].Step(0); agents[i].Err() != nil {
				return looks, windows, agents[i].Err()
			}
		}
	}
	if err := look(); err != nil {
		return looks, windows, err
	}
	if err := write(); err != nil {
		return looks, windows, err
	}
	if !maps.Equal(written, whole) {
		return looks, windows, fmt.Errorf("%d groups were written, expected %d", len(written), len(whole))
	}
	return looks, windows, nil
}

// Goal: in any order of steps a snapshot has the windows of exactly the records that it counts, and each window is written once, with all it ever has; or
// applying its changes gives what each snapshot has, and none comes of one that has closed.
func TestSimulationWindows(t *testing.T) {
	first, n := uint64(0), uint64(1000)
	if testing.Short() {
		n = 40
	} else if invariants.Enabled {
		n = 150
	}
	if v, err := strconv.ParseUint(os.Getenv("VELO_SIM"), 10, 64); err == nil {
		first, n = v, 1
	} else if v, err := strconv.ParseUint(os.Getenv("VELO_SIMS"), 10, 64); err == nil {
		n = v
	}
	var looks, windows int
	for seed := first; seed < first+n; seed++ {
		l, w, err := simWindows(seed)
		if err != nil {
			t.Fatalf("VELO_SIM=%d go test ./core -run TestSimulationWindows: %v", seed, err)
		}
		looks, windows = looks+l, windows+w
	}
	if n > 1 && (looks < 2*int(n) || windows < 5*int(n)) {
		t.Errorf("%d looks, %d windows written in %d runs: too few to mean anything", looks, windows, n)
	}
	t.Logf("%d runs, %d looks, %d windows written", n, looks, windows)
}
