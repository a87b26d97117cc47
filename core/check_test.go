package core

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// checkedAgents are a router and two partitions, of which the first is the router's own. They have
// come through an epoch that has closed two windows, and have records of two open ones.
type checkedAgents struct {
	r    *Router
	p, q *Partition
}

// Goal: a router that goes on after a restart is not taken for broken by counters of before, in
// which what was too late for a partition is not counted any more. What it counts itself is checked.
func TestChecksAfterResume(t *testing.T) {
	if !invariants.Enabled {
		t.Skip("invariants are not checked")
	}
	a := newCheckedAgents(t)
	a.r.Resume(result.Counters{In: 10, Counted: 2, Late: 8, Folded: 5, Keyless: 4})
	a.r.check()
	a.r.counters.Folded++
	defer func() {
		if recover() == nil {
			t.Error("a record that is folded and not counted is not found")
		}
	}()
	a.r.check()
}

func newCheckedAgents(t *testing.T) checkedAgents {
	t.Helper()
	pl := &plan.Plan{
		Source: timedSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		Window: &plan.Window{Column: "at", Windows: window.Windows{Kind: window.Tumbling, Size: time.Second}},
	}
	cuts := NewCuts(pl, plan.Route{}, 1, 2, 0, nil, func() {})
	var out []*ring.Producer[Chunk]
	var parts []*Partition
	for id := range plan.PartitionID(2) {
		producer, consumer := ring.New[Chunk](4)
		out = append(out, producer)
		p, err := NewPartition(id, pl, []*ring.Consumer[Chunk]{consumer}, []Bell{noBell{}}, nil, cuts)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p)
	}
	batch := func(first, last int) *record.Batch {
		b := record.NewBatch(timedSchema, 1024)
		key, _ := timedSchema.Index("key")
		at, _ := timedSchema.Index("at")
		for i := range 1000 {
			b.Add(0)
			b.SetInt64(key, int64(i%100))
			b.SetInt64(at, (int64(first)+int64(i*(last-first)/1000))*int64(time.Second))
		}
		return b
	}
	s := &sliceSource{batches: []*record.Batch{batch(10, 14)}}
	r, err := NewRouter(0, pl, s, plan.Route{}, Fold{Exchange: plan.ExchangeDirect}, out, []Bell{noBell{}, noBell{}},
		[]*Partition{parts[0], nil}, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	step := func(agents ...Agent) {
		for _, a := range agents {
			a.Step(0)
		}
	}
	step(r, parts[0], parts[1])
	cuts.Want()
	step(r, parts[0], parts[1], parts[0], parts[1])
	s.batches = []*record.Batch{batch(13, 15), batch(13, 15)}
	step(r, r) // the second batch stays in the open chunk: the ring has the first
	a := checkedAgents{r, parts[0], parts[1]}
	a.r.check()
	a.p.check()
	a.q.check()
	if a.p.sealed == 0 || len(a.p.panes) == a.p.sealed || a.r.targets[1].open == nil {
		t.Fatalf("%d of %d panes are closed, chunk %v is open: the agents have too little to break", a.p.sealed,
			len(a.p.panes), a.r.targets[1].open)
	}
	return a
}

// Goal: each formula of check.go is there for something. Method: a state is broken as a bug would
// break it, and the formula that the bug violates is the one that says so. A formula that no case
// breaks fails the test.
func TestChecks(t *testing.T) {
	if !invariants.Enabled {
		t.Skip("the checks are on with -tags invariants or -race")
	}
	broken := map[string]bool{}
	for _, c := range []struct {
		formula string
		bug     func(a checkedAgents)
	}{
		{"every record that was read has one fate", func(a checkedAgents) { a.r.counters.In++ }},
		{"records that are folded or applied in place are counted", func(a checkedAgents) {
			a.r.counters.Direct += 1e6
		}},
		{"records without a key are counted", func(a checkedAgents) { a.r.counters.Keyless += 1e6 }},
		{"the watermark does not fall below that of the last mark", func(a checkedAgents) { a.r.times.watermark = 0 }},
		{"marks are sent of an epoch that was raised", func(a checkedAgents) { a.r.epoch++ }},
		{"the epoch asked for is at most the next", func(a checkedAgents) { a.r.asked = 3 }},
		{"marks are sent between two batches", func(a checkedAgents) {
			a.r.phase, a.r.sent, a.r.batch = marking, 0, record.NewBatch(timedSchema, 1)
		}},
		{"a router that routes has sent no mark or all", func(a checkedAgents) { a.r.sent = 1 }},
		{"a router that sends marks has some to send", func(a checkedAgents) { a.r.phase = marking }},
		{"a router that flushes has groups", func(a checkedAgents) { a.r.phase = flushing }},
		{"a router has no rings when it has finished, and only then", func(a checkedAgents) {
			a.r.targets, a.r.sent = nil, 0
		}},
		{"a router finishes after its source has ended", func(a checkedAgents) {
			a.r.phase, a.r.targets = finished, nil
		}},
		{"a router has joined before its source ends", func(a checkedAgents) { a.r.joining, a.r.atEnd = true, true }},
		{"a stripe lies in its batch", func(a checkedAgents) {
			a.r.batch, a.r.to = record.NewBatch(timedSchema, 1), 10
			a.r.from = 5
		}},
		{"each row of a stripe has a key", func(a checkedAgents) { a.breakStripe().to = 1 }},
		{"each row of a stripe has a partition", func(a checkedAgents) { a.breakStripe().counts[0]++ }},
		{"a single partition gets all rows", func(a checkedAgents) {
			s := a.breakStripe()
			s.single = 0
			s.counts[0], s.counts[1] = 0, s.to-s.from
		}},
		{"partitions of the same runner have a chunk beside the ring", func(a checkedAgents) {
			a.r.targets[0].beside = nil
		}},
		{"a partition gets no chunk after its mark", func(a checkedAgents) {
			a.r.phase, a.r.sent = marking, 1
			a.r.targets = append(a.r.targets[1:], a.r.targets[0])
		}},
		{"records are applied in place after all that was sent", func(a checkedAgents) {
			x := &a.r.targets[0]
			x.open = x.beside
			x.open.begin(chunkRows, 0)
			x.ring.Reserve(1)
			x.ring.Commit(1)
		}},
		{"the long strings fit the chunk", func(a checkedAgents) { a.r.targets[1].open.heapBytes = layout.ChunkBytes }},
		{"the records fit the chunk", func(a checkedAgents) { a.r.targets[1].open.rows = 1 << 16 }},
		{"the groups fit the chunk", func(a checkedAgents) {
			a.r.targets[1].open.kind, a.r.targets[1].open.rows = chunkPartials, 1<<16
		}},
		{"a chunk that is filled has records or groups", func(a checkedAgents) {
			a.r.targets[1].open.kind = chunkMark
		}},

		{"a reader has a ring until it has ended", func(a checkedAgents) { a.p.inputs[0].ring = nil }},
		{"a partition that catches up holds the readers whose marks it had", func(a checkedAgents) {
			a.p.phase = catchingUp
		}},
		{"the ring of a reader that is held begins with its mark", func(a checkedAgents) {
			a.p.inputs[0].phase = held
		}},
		{"active counts the readers that have not ended", func(a checkedAgents) { a.p.active++ }},
		{"unmarked counts the readers that are read", func(a checkedAgents) { a.p.unmarked-- }},
		{"the next reader is one of the readers", func(a checkedAgents) { a.p.nextInput = 1 }},
		{"the epoch raised is the one answered last or the next", func(a checkedAgents) { a.p.epoch++ }},
		{"the last epoch comes after the end of all readers", func(a checkedAgents) {
			a.p.phase, a.p.inputs[0].counters.In = answeredLast, 0
		}},
		{"an image is lent by a partition that is lending", func(a checkedAgents) { a.p.lentImage = &result.Image{} }},
		{"an image is lent for a shard that moves", func(a checkedAgents) {
			a.p.phase, a.p.lentImage, a.p.inputs[0].counters.In = lending, &result.Image{}, 0
		}},
		{"a shard moves at the epoch answered last", func(a checkedAgents) {
			a.p.handover = &handover{move: move{epoch: a.p.epoch + 1}}
		}},
		{"the panes that have caught up had lagged", func(a checkedAgents) { a.p.caughtUp = len(a.p.lagging) + 1 }},
		{"a partition that catches up has a pane that lags", func(a checkedAgents) {
			a.p.phase, a.p.inputs[0].counters.In = catchingUp, 0
			a.p.lagging, a.p.caughtUp = a.p.panes[:1], 1
		}},
		{"no pane lags in a partition that takes records", func(a checkedAgents) {
			a.p.lagging, a.p.caughtUp = a.p.panes[:1], 0
		}},
		{"the oldest window that is kept is not later than the last that has closed", func(a checkedAgents) {
			a.p.oldest = a.p.closed + 1
		}},
		{"the rows of shards that have gone are counted", func(a checkedAgents) {
			a.p.away = &result.AwayShards{All: 1}
		}},
		{"every pane is found by its id, and no other", func(a checkedAgents) { a.p.byID[7] = nil }},
		{"closed panes are panes", func(a checkedAgents) { a.p.sealed = len(a.p.panes) + 1 }},
		{"a pane is found by its id", func(a checkedAgents) { a.p.byID[a.p.panes[0].id] = a.p.panes[1] }},
		{"closed panes are in order of time", func(a checkedAgents) {
			a.p.panes[0], a.p.panes[1] = a.p.panes[1], a.p.panes[0]
			a.p.sealed, a.p.panes[0].live, a.p.panes[1].live = 2, nil, nil
		}},
		{"a pane has a live table until it is closed", func(a checkedAgents) {
			a.p.panes[len(a.p.panes)-1].live = nil
		}},
		{"no slot shows an unused pane", func(a checkedAgents) { a.p.unused = append(a.p.unused, a.p.panes[0]) }},
		{"the sums are those of all panes", func(a checkedAgents) {
			a.p.store()
			a.p.sums.groups++
		}},
		{"a pane that lags is in the list of those", func(a checkedAgents) {
			a.p.lagging, a.p.caughtUp = nil, 0
			a.p.panes[len(a.p.panes)-1].lagging = true
		}},
		{"a table counts the slots that show it", func(a checkedAgents) { a.p.panes[0].tables[0].Slots++ }},
		{"no slot shows a live table", func(a checkedAgents) {
			x := a.p.panes[len(a.p.panes)-1]
			x.show(0, x.live)
		}},
	} {
		t.Run(c.formula, func(t *testing.T) {
			a := newCheckedAgents(t)
			c.bug(a)
			if got := checkPanic(a.r.check) + checkPanic(a.p.check); !strings.Contains(
				got, "it does not hold that "+c.formula) {
				t.Errorf("the check says %q", got)
			}
		})
		broken[c.formula] = true
	}
	text, err := os.ReadFile("check.go")
	if err != nil {
		t.Fatal(err)
	}
	formulas := regexp.MustCompile(`\.holds\([^"]*"([^"]*)"\)`).FindAllStringSubmatch(string(text), -1)
	if len(formulas) < 30 {
		t.Errorf("%d formulas are found in check.go, expected at least 30", len(formulas))
	}
	for _, f := range formulas {
		if !broken[f[1]] {
			t.Errorf("no case breaks %q", f[1])
		}
	}
}

// breakStripe gives the router a stripe of ten rows, all of them encoded and assigned.
func (a checkedAgents) breakStripe() *stripe {
	s := &a.r.stripe
	s.batch = record.NewBatch(timedSchema, 16)
	for range 10 {
		s.batch.Add(0)
	}
	s.from, s.to, s.encoded, s.assigned, s.single = 0, 10, true, true, -1
	s.keys.Hashes = s.keys.Hashes[:10]
	clear(s.counts)
	s.counts[1] = 10
	return s
}

// checkPanic is the text of the panic of f; it is empty if f does not panic.
func checkPanic(f func()) (text string) {
	defer func() {
		if x := recover(); x != nil {
			text, _ = x.(string)
		}
	}()
	f()
	return ""
}
