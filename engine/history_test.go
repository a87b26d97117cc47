package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// What goroutines may rely on who send through lanes and read snapshots, as histories that porcupine judges (Wing and Gong's test for
// linearizability, with Lowe's cache).
//
// A snapshot is one state of all groups, and each next one has more. Of one lane it has a prefix. So, for each lane alone, a Send and a
// "Sync, then Snapshot" are linearizable: a goroutine that syncs sees all that was sent before by anybody. This is checkLanes.
//
// Across lanes a Send that has returned is not ordered before one that begins later: the feed notes the ends of its lanes one after the other when an epoch is
// raised, and gives out more than that. A snapshot may have the later one alone, as TestLanesApart shows; the next has both. But where a write is
// "Send, then Sync", all writes and all snapshots are linearizable together, whatever the lane, and snapshots need no Sync. This is checkAcknowledged.

const (
	historyKeys  = 3
	historyLanes = 4
	laneBits     = 16 // lane l sends the value 1<<(l*laneBits), so the sum of a group says how many came from each
)

// tally is how many records of each lane there are in the group of each key.
type tally [historyKeys][historyLanes]int64

func (c *tally) total() (n int64) {
	for k := range c {
		for _, v := range c[k] {
			n += v
		}
	}
	return n
}

// of is what there is of one lane.
func (c tally) of(lane int) (only tally) {
	for k := range c {
		only[k][lane] = c[k][lane]
	}
	return only
}

// within says whether d has all that c has.
func (c *tally) within(d *tally) bool {
	for k := range c {
		for l := range c[k] {
			if c[k][l] > d[k][l] {
				return false
			}
		}
	}
	return true
}

// historyWrite is a Send. Times are nanoseconds of one clock.
type historyWrite struct {
	lane, key    int
	call, ret    int64
	acknowledged int64 // the return of the Sync after it, 0 where there was none
}

// historyRead is a look at the groups of all keys in one snapshot.
type historyRead struct {
	synced    bool // after a Sync; call is then the call of the Sync
	call, ret int64
	seen      tally
}

type history struct {
	writes []historyWrite // of each lane in its order
	reads  []historyRead
}

func (h *history) String() string {
	type line struct {
		call int64
		text string
	}
	var lines []line
	for _, w := range h.writes {
		lines = append(lines, line{
			w.call,
			fmt.Sprintf("%9d-%9d lane %d: send %d, acknowledged %d", w.call, w.ret, w.lane, w.key, w.acknowledged),
		})
	}
	for _, r := range h.reads {
		lines = append(lines, line{r.call, fmt.Sprintf("%9d-%9d read %v, synced %v", r.call, r.ret, r.seen, r.synced)})
	}
	slices.SortFunc(lines, func(a, b line) int { return int(a.call - b.call) })
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}

// historyInput is what an operation of the model is asked; -1 for the lane is a read of all of them.
type historyInput struct {
	write     bool
	lane, key int
}

// historyModel is a table that counts.
var historyModel = porcupine.Model{
	Init: func() any { return tally{} },
	Step: func(state, input, output any) (bool, any) {
		s, in := state.(tally), input.(historyInput)
		if !in.write {
			return s == output.(tally), s
		}
		s[in.key][in.lane]++
		return true, s
	},
	// Each lane is a table of its own.
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		lanes := make([][]porcupine.Operation, 1+historyLanes)
		for _, op := range all {
			l := op.Input.(historyInput).lane
			lanes[1+l] = append(lanes[1+l], op)
		}
		return slices.DeleteFunc(lanes, func(l []porcupine.Operation) bool { return len(l) == 0 })
	},
}

// checkLanes is for histories whose Sends are only sent.
func checkLanes(h *history) error {
	if err := checkReads(h); err != nil {
		return err
	}
	var ops []porcupine.Operation
	for _, w := range h.writes {
		ops = append(ops, porcupine.Operation{
			ClientId: w.lane, Input: historyInput{true, w.lane, w.key}, Call: w.call,
			Return: w.ret,
		})
	}
	for _, r := range h.reads {
		if !r.synced {
			continue // it may be old
		}
		for l := range historyLanes {
			ops = append(ops, porcupine.Operation{
				Input: historyInput{false, l, 0}, Output: r.seen.of(l), Call: r.call,
				Return: r.ret,
			})
		}
	}
	if !porcupine.CheckOperations(historyModel, ops) {
		return errors.New("Send and Sync with Snapshot are not linearizable, a lane for itself")
	}
	return nil
}

// checkAcknowledged is for histories in which a Sync comes after every Send.
func checkAcknowledged(h *history) error {
	if err := checkReads(h); err != nil {
		return err
	}
	whole := historyModel
	whole.Partition = nil
	var ops []porcupine.Operation
	for _, w := range h.writes {
		if w.acknowledged == 0 {
			return fmt.Errorf("a Send without a Sync: %+v", w)
		}
		ops = append(ops, porcupine.Operation{
			ClientId: w.lane, Input: historyInput{true, w.lane, w.key}, Call: w.call,
			Return: w.acknowledged,
		})
	}
	for _, r := range h.reads {
		ops = append(ops, porcupine.Operation{
			Input: historyInput{false, -1, 0}, Output: r.seen, Call: r.call,
			Return: r.ret,
		})
	}
	if !porcupine.CheckOperations(whole, ops) {
		return errors.New("Send with Sync, and Snapshot, are not linearizable")
	}
	return nil
}

// checkReads is what holds for every look, old or new: it has a prefix of each lane, nothing that was sent later, and of two looks one has all
// that the other has; the one that begins after the end of the other.
func checkReads(h *history) error {
	lanes := make([][]historyWrite, historyLanes)
	for _, w := range h.writes {
		lanes[w.lane] = append(lanes[w.lane], w)
	}
	for _, r := range h.reads {
		for l, writes := range lanes {
			only, prefix := r.seen.of(l), tally{}
			n := only.total()
			if n > int64(len(writes)) || n > 0 && writes[n-1].call > r.ret {
				return fmt.Errorf("a look into the future: of lane %d, %+v", l, r)
			}
			for _, w := range writes[:n] {
				prefix[w.key][l]++
			}
			if only != prefix {
				return fmt.Errorf("not a prefix of lane %d, which would be %v: %+v", l, prefix, r)
			}
		}
	}
	more := slices.Clone(h.reads)
	slices.SortFunc(more, func(a, b historyRead) int { return int(a.seen.total() - b.seen.total()) })
	for i := 1; i < len(more); i++ {
		if a, b := more[i-1], more[i]; !a.seen.within(&b.seen) {
			return fmt.Errorf("two looks of which neither has all of the other: %+v, %+v", a, b)
		}
	}
	byCall, byRet := more, slices.Clone(more)
	slices.SortFunc(byCall, func(a, b historyRead) int { return int(a.call - b.call) })
	slices.SortFunc(byRet, func(a, b historyRead) int { return int(a.ret - b.ret) })
	newest := historyRead{} // of those that had ended
	for _, r := range byCall {
		for ; len(byRet) > 0 && byRet[0].ret < r.call; byRet = byRet[1:] {
			if byRet[0].seen.total() > newest.seen.total() {
				newest = byRet[0]
			}
		}
		if r.seen.total() < newest.seen.total() {
			return fmt.Errorf("a look back: %+v after %+v", r, newest)
		}
	}
	return nil
}

// historyShape is an engine and its users.
type historyShape struct {
	cfg          engine.Config
	feeds        int  // that the lanes are dealt to
	acknowledged bool // a Sync after each Send
	// Sends go through appenders: for histories that are acknowledged
	appender bool
	steps    int                                    // of each goroutine
	seed     uint64                                 // of what the goroutines do; in which order is the scheduler's
	reader   func(*readers.Feed[hit]) record.Reader // what the engine gets; nil is the feed itself
}

// record runs an engine with a goroutine for each lane that sends and looks, and one that only looks.
func (sh *historyShape) record(t *testing.T) *history {
	t.Helper()
	first, pl := hitFeed(t, readers.FeedConfig{LaneSlots: 8})
	cfg := sh.cfg
	cfg.Plan, cfg.NoPin, cfg.BatchRows = pl, true, 16
	var feeds []*readers.Feed[hit]
	var apps []*readers.Appender[hit]
	for range sh.feeds {
		f, err := readers.NewFeed[hit](first.Schema(), readers.FeedConfig{LaneSlots: 8})
		if err != nil {
			t.Fatal(err)
		}
		app, err := f.Appender()
		if err != nil {
			t.Fatal(err)
		}
		feeds, apps = append(feeds, f), append(apps, app)
		if sh.reader != nil {
			cfg.Readers = append(cfg.Readers, sh.reader(f))
		} else {
			cfg.Readers = append(cfg.Readers, f)
		}
	}
	e := start(t, cfg)
	look := newLook(t, pl)
	begin := time.Now()
	now := func() int64 { return int64(time.Since(begin)) }
	var all sync.WaitGroup
	var parts [historyLanes + 1]history
	for g := range parts {
		all.Go(func() {
			h := &parts[g]
			rng := rand.New(rand.NewPCG(sh.seed, uint64(g)))
			send := func(context.Context, hit) error { return errors.New("sends nothing") }
			if g < historyLanes {
				lane, err := feeds[g%sh.feeds].Lane()
				if err != nil {
					t.Error(err)
					return
				}
				defer lane.Close()
				if send = lane.Send; sh.appender {
					send = apps[g%sh.feeds].Send
				}
			}
			for range sh.steps {
				r := historyRead{synced: rng.IntN(2) == 0, call: now()}
				switch what := rng.IntN(4); {
				case g < historyLanes && what > 0:
					for range 1 + rng.IntN(3) {
						w := historyWrite{lane: g, key: rng.IntN(historyKeys), call: now()}
						if err := send(t.Context(), hit{Key: int64(w.key), Value: 1 << (g * laneBits)}); err != nil {
							t.Error(err)
							return
						}
						w.ret = now()
						if sh.acknowledged {
							if err := e.Sync(t.Context()); err != nil {
								t.Error(err)
								return
							}
							w.acknowledged = now()
						}
						h.writes = append(h.writes, w)
					}
					continue
				case r.synced:
					if err := e.Sync(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
				s := e.Snapshot()
				err := look.at(s, &r.seen)
				s.Close()
				if r.ret = now(); err != nil {
					t.Error(err)
					return
				}
				h.reads = append(h.reads, r)
			}
		})
	}
	all.Wait()
	for i := range feeds {
		apps[i].Close()
		feeds[i].End()
	}
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	whole := &history{}
	for _, p := range parts {
		whole.writes, whole.reads = append(whole.writes, p.writes...), append(whole.reads, p.reads...)
	}
	return whole
}

// historyLook reads a tally from a snapshot.
type historyLook struct {
	n, sum result.Column[int64]
	keys   [historyKeys]plan.Key
}

func newLook(t *testing.T, p *plan.Plan) *historyLook {
	t.Helper()
	var l historyLook
	var errs [2 + historyKeys]error
	l.n, errs[0] = result.ColumnOf[int64](p, "n")
	l.sum, errs[1] = result.ColumnOf[int64](p, "sum")
	for k := range l.keys {
		l.keys[k], errs[2+k] = p.Key(k)
	}
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	return &l
}

// at fails where the count of a group is not of the same records as its sum.
func (l *historyLook) at(s *engine.Snapshot, seen *tally) error {
	for k, key := range l.keys {
		row, ok := s.Get(key)
		if !ok {
			continue
		}
		n, sum := int64(0), l.sum.Of(row)
		for lane := range historyLanes {
			seen[k][lane] = sum >> (lane * laneBits) & (1<<laneBits - 1)
			n += seen[k][lane]
		}
		if n != l.n.Of(row) {
			return fmt.Errorf("epoch %d, key %d: the count is %d, the sum is of %d records", s.Epoch(), k, l.n.Of(row),
				n)
		}
	}
	return nil
}

// Goal: the two contracts hold in every shape. Method: goroutines that send, sync and look; porcupine.
func TestHistory(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	writes, looks, different := 0, 0, 0
	for _, acknowledged := range []bool{false, true} {
		for _, exchange := range []plan.Exchange{
			plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeFold,
			plan.ExchangeRoute,
		} {
			for feeds := 1; feeds <= 2; feeds++ {
				for cores := 1; cores <= 2; cores++ {
					for round := range rounds {
						sh := &historyShape{
							feeds: feeds, acknowledged: acknowledged, appender: acknowledged && round == 1, steps: 60,
							seed: uint64(round),
							cfg: engine.Config{
								Partitions: 3, Cores: cores, Exchange: exchange,
								EpochInterval: 50 * time.Microsecond, EpochShare: 1,
							},
						}
						check := checkLanes
						if acknowledged {
							check, sh.steps = checkAcknowledged, 20
						}
						if feeds == 2 {
							sh.cfg.EpochInterval = -1
						}
						h := sh.record(t)
						if err := check(h); err != nil {
							t.Errorf("acknowledged %v, exchange %v, %d feeds, %d cores, seed %d: %v", acknowledged,
								exchange, feeds, cores, round, err)
							t.Logf("%v", h)
							return
						}
						writes += len(h.writes)
						looks += len(h.reads)
						states := map[tally]bool{}
						for _, r := range h.reads {
							states[r.seen] = true
						}
						different += len(states)
					}
				}
			}
		}
	}
	t.Logf("%d writes, %d looks at %d states", writes, looks, different)
	if different < looks/10 {
		t.Errorf("%d looks saw only %d states: this tries nothing", looks, different)
	}
}

// Goal: the checks find what they are for. Method: histories made by hand.
func TestHistoryCanFail(t *testing.T) {
	seen := func(counts ...int64) (c tally) { // of key 0, a lane each
		copy(c[0][:], counts)
		return c
	}
	for _, c := range []struct {
		name         string
		h            history
		lanes        string // what checkLanes says
		acknowledged string // what checkAcknowledged says
	}{
		{"in order", history{
			[]historyWrite{{0, 0, 1, 2, 3}, {1, 0, 4, 5, 6}},
			[]historyRead{{true, 7, 8, seen(1, 1)}},
		}, "", ""},
		{"beside each other", history{
			[]historyWrite{{0, 0, 1, 9, 10}, {1, 0, 1, 9, 10}},
			[]historyRead{{true, 2, 4, seen(0, 1)}, {true, 5, 8, seen(1, 1)}},
		}, "", ""},
		{"an old look without Sync", history{
			[]historyWrite{{0, 0, 1, 2, 6}},
			[]historyRead{{false, 3, 4, seen()}},
		}, "", ""},
		{"misses what was sent before the Sync", history{
			[]historyWrite{{0, 0, 1, 2, 3}},
			[]historyRead{{true, 4, 5, seen()}},
		}, "not linearizable", "not linearizable"},
		{"misses what another lane had sent before the Sync", history{
			[]historyWrite{{0, 0, 1, 2, 3}, {1, 0, 1, 2, 3}},
			[]historyRead{{true, 4, 5, seen(0, 1)}},
		}, "not linearizable", "not linearizable"},
		{"misses what was acknowledged, without a Sync of its own", history{
			[]historyWrite{{0, 0, 1, 2, 3}},
			[]historyRead{{false, 4, 5, seen()}},
		}, "", "not linearizable"},
		{"the later of two lanes alone", history{ // see TestLanesApart
			[]historyWrite{{0, 0, 2, 3, 4}, {1, 0, 5, 6, 9}},
			[]historyRead{{true, 1, 8, seen(0, 1)}},
		}, "", "not linearizable"},
		{"from the future", history{
			[]historyWrite{{0, 0, 5, 6, 7}},
			[]historyRead{{true, 1, 2, seen(1)}},
		}, "future", "future"},
		{"what nobody sent", history{
			[]historyWrite{{0, 0, 1, 2, 3}},
			[]historyRead{{true, 4, 5, seen(2)}},
		}, "future", "future"},
		{"the later of one lane alone", history{
			[]historyWrite{{0, 1, 1, 2, 2}, {0, 0, 3, 4, 9}},
			[]historyRead{{false, 1, 5, seen(1)}},
		}, "prefix", "prefix"},
		{"half of the lanes each", history{
			[]historyWrite{{0, 0, 1, 9, 9}, {1, 0, 1, 9, 9}},
			[]historyRead{{false, 2, 8, seen(1, 0)}, {false, 2, 8, seen(0, 1)}},
		}, "neither", "neither"},
		{"back", history{
			[]historyWrite{{0, 0, 1, 9, 9}},
			[]historyRead{{false, 2, 3, seen(1)}, {false, 4, 5, seen()}},
		}, "look back", "look back"},
	} {
		for check, want := range map[string]string{"lanes": c.lanes, "acknowledged": c.acknowledged} {
			err := checkLanes(&c.h)
			if check == "acknowledged" {
				err = checkAcknowledged(&c.h)
			}
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s, %s: %v, expected %q", c.name, check, err, want)
			}
		}
	}
}

// hasty is a feed that does not wait for what it has been sent when an epoch is raised. It looks for it at every second call only, so that there
// is something.
type hasty struct {
	*readers.Feed[hit]
	polls int
	cut   bool // as it should be
}

func (f *hasty) Poll(b *record.Batch) error {
	if f.polls++; f.polls%2 == 0 {
		return nil
	}
	return f.Feed.Poll(b)
}

func (f *hasty) Drained(epoch uint64) bool { return f.Feed.Drained(epoch) || !f.cut }

// Goal: an engine whose feeds cut too early is found out. Method: such a feed, and the same one with the cut as it should be.
func TestHistoryFindsHastyCut(t *testing.T) {
	for _, acknowledged := range []bool{false, true} {
		check, steps := checkLanes, 60
		if acknowledged {
			check, steps = checkAcknowledged, 20
		}
		for _, cut := range []bool{true, false} {
			found := 0
			const rounds = 10
			for round := range uint64(rounds) {
				sh := &historyShape{
					cfg: engine.Config{Cores: 1, EpochInterval: -1}, feeds: 1, acknowledged: acknowledged, steps: steps,
					seed:   round,
					reader: func(f *readers.Feed[hit]) record.Reader { return &hasty{Feed: f, cut: cut} },
				}
				if err := check(sh.record(t)); err != nil {
					found++
				}
			}
			t.Logf("acknowledged %v, cut %v: found in %d of %d histories", acknowledged, cut, found, rounds)
			if cut && found > 0 || !cut && found == 0 {
				t.Errorf("acknowledged %v, cut %v: found in %d of %d histories", acknowledged, cut, found, rounds)
			}
		}
	}
}

// stopped is a feed whose first cut is held while the test sends more, and which gives nothing before.
type stopped struct {
	*readers.Feed[hit]
	cutting, sent chan struct{}
	open          bool
}

func (f *stopped) Poll(b *record.Batch) error {
	if !f.open {
		return nil
	}
	return f.Feed.Poll(b)
}

func (f *stopped) Drained(epoch uint64) bool {
	done := f.Feed.Drained(epoch)
	if !f.open {
		close(f.cutting)
		<-f.sent
		f.open = true
	}
	return done
}

// Goal: why lanes are checked apart: a snapshot may have what was sent through one lane and not what had been sent through another before; the next
// has both. Method: the feed is held between noting the ends of its lanes and giving out what they have; a batch has room for the one lane.
func TestLanesApart(t *testing.T) {
	f, p := hitFeed(t, readers.FeedConfig{})
	var lanes [2]*readers.Lane[hit]
	for i := range lanes {
		var err error
		if lanes[i], err = f.Lane(); err != nil {
			t.Fatal(err)
		}
	}
	send := func(lane int) {
		if err := lanes[lane].Send(t.Context(), hit{Key: int64(lane)}); err != nil {
			t.Fatal(err)
		}
	}
	const rows = 4
	for range rows - 1 { // the cut must wait for something; the first lane is read first
		send(0)
	}
	held := &stopped{Feed: f, cutting: make(chan struct{}), sent: make(chan struct{})}
	e := start(t, engine.Config{
		Plan: p, Readers: []record.Reader{held}, Cores: 1, NoPin: true, BatchRows: rows,
		EpochInterval: -1,
	})
	synced := make(chan error, 1)
	go func() { synced <- e.Sync(context.Background()) }()
	goOn := sync.OnceFunc(func() { close(held.sent) })
	defer goOn()
	<-held.cutting
	send(1) // has returned when the next begins
	send(0)
	goOn()
	if err := <-synced; err != nil {
		t.Fatal(err)
	}
	if got := counts(t, p, e); got[1] != 0 || got[0] != rows {
		t.Errorf("%v, expected %d of lane 0 alone. If lanes have an order now, check histories across them", got, rows)
	}
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := counts(t, p, e); got[1] != 1 || got[0] != rows {
		t.Errorf("%v after another Sync, expected 1 and %d", got, rows)
	}
	f.End()
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
}
