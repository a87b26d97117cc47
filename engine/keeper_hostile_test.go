package engine_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/state"
	"github.com/velo-engine/velo/writers"
)

type numbered struct{ Key, Number int64 }

// laneLife starts an engine on a folder with a feed, and has do use it. Afterwards it closes it.
func laneLife(t *testing.T, set func(cfg *engine.Config), do func(e *engine.Engine, lane *readers.NumberedLane[numbered], from uint64)) {
	t.Helper()
	f, err := readers.NewFeed[numbered](nil, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := query.Compile(`SELECT key, count(*) AS n, sum(number) AS s FROM feed GROUP BY key`, f.Schema())
	if err != nil {
		t.Fatal(err)
	}
	cfg := engine.Config{Plan: p, Readers: []record.Reader{f}, NoPin: true}
	set(&cfg)
	e := start(t, cfg)
	lane, from, err := f.Resume("lane")
	if err != nil {
		t.Fatal(err)
	}
	do(e, lane, from)
	e.Close()
}

// await waits until ok, at most for some seconds.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it has not come to this: %s", what)
		}
	}
}

// Goal: an engine that is restored and has nothing to do saves nothing, or the same: after another
// restart it stands where it stood. Method: an interval that passes before the first epoch.
func TestStateOfQuietEngine(t *testing.T) {
	dir := t.TempDir()
	set := func(cfg *engine.Config) {
		cfg.State, cfg.EpochInterval = engine.Dir(dir), -1
		cfg.State.NoSync, cfg.State.Interval, cfg.State.Share = true, 2*time.Millisecond, 1
	}
	laneLife(t, set, func(e *engine.Engine, lane *readers.NumberedLane[numbered], _ uint64) {
		for range 10 {
			if err := lane.Send(t.Context(), numbered{1, 1}); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	for range 3 {
		laneLife(t, set, func(e *engine.Engine, _ *readers.NumberedLane[numbered], from uint64) {
			if from != 10 {
				t.Fatalf("the lane goes on from %d, expected 10", from)
			}
			time.Sleep(20 * time.Millisecond)
			if n := e.Stats().State.Saves; n > 0 {
				t.Errorf("%d saves of an engine that has nothing to do", n)
			}
		})
	}
}

// Goal: whatever fails while the state is saved, the engine goes on, says what has failed, and
// saves again when the disk works again. Method: each call fails for a while.
func TestStateOnBadDisk(t *testing.T) {
	for point, fault := range map[string]error{
		"create segment": syscall.EROFS, "write segment": syscall.ENOSPC, "write half of segment": syscall.ENOSPC,
		"sync segment": syscall.EIO, "create manifest": syscall.ENOSPC, "write manifest": syscall.EIO,
		"sync manifest": syscall.EIO, "sync folder": syscall.EIO, "rename manifest": syscall.EIO,
		"remove segment": syscall.EIO, "remove manifest": syscall.EIO,
	} {
		t.Run(point, func(t *testing.T) {
			dir := t.TempDir()
			disk := &faults{}
			var failures atomic.Int64
			set := func(cfg *engine.Config) {
				cfg.State = engine.Dir(dir)
				cfg.State.Interval, cfg.State.Share = 2*time.Millisecond, 1
				cfg.State.OpenBy(disk.open(dir))
				cfg.State.OnEvent = func(e engine.StateEvent) {
					if e.Kind == engine.SaveFailed && errors.Is(e.Err, fault) {
						failures.Add(1)
					}
				}
			}
			next := uint64(0)
			send := func(e *engine.Engine, lane *readers.NumberedLane[numbered], n int) {
				for range n {
					if err := lane.Send(t.Context(), numbered{int64(next % 7), int64(next)}); err != nil {
						t.Fatal(err)
					}
					next++
				}
				if err := e.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			var want []string
			laneLife(t, set, func(e *engine.Engine, lane *readers.NumberedLane[numbered], _ uint64) {
				send(e, lane, 100)
				if err := e.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
				disk.set(point, fault)
				send(e, lane, 100)
				err := e.Checkpoint(t.Context())
				if mayFail := point[:6] != "remove"; mayFail && !errors.Is(err, fault) || !mayFail && err != nil {
					t.Fatalf("a checkpoint: %v, and %s fails", err, point)
				}
				if err != nil {
					await(t, "the keeper tries again and says why not", func() bool {
						s := e.Stats().State
						return failures.Load() > 2 && s.Failures > 2 && errors.Is(s.Err, fault)
					})
				}
				send(e, lane, 100)
				disk.set("", nil)
				saves := e.Stats().State.Saves
				await(t, "it saves again", func() bool {
					s := e.Stats().State
					return s.Saves > saves && s.Failures == 0 && s.Err == nil || err == nil
				})
				if err := e.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
				s := e.Snapshot()
				defer s.Close()
				want = lines(t, s)
			})
			laneLife(t, set, func(e *engine.Engine, _ *readers.NumberedLane[numbered], from uint64) {
				s := e.Snapshot()
				defer s.Close()
				if got := lines(t, s); from != 300 || !slices.Equal(got, want) {
					t.Fatalf("from %d, expected 300:\n%s", from, difference(got, want))
				}
			})
		})
	}
}

// Goal: a source that had ended and was left out for one life is not counted again.
// Method: two logs; the life between has only one of them.
func TestStateOfAbsentSource(t *testing.T) {
	dir := t.TempDir()
	life := func(splits, rows int, skip bool) uint64 {
		l := &splitLog{splits: splits, rows: rows}
		l.until.Store(int64(rows))
		cfg := engine.Config{
			Plan: keptPlan(t, keptPlans["integers"]), NoPin: true, State: engine.Dir(dir),
		}
		cfg.State.NoSync = true
		for i := range splits {
			if i > 0 || !skip {
				cfg.Readers = append(cfg.Readers, l.reader(i, splits))
			}
		}
		e := start(t, cfg)
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		defer s.Close()
		return s.Records()
	}
	for i, l := range []struct {
		rows int
		skip bool
		want uint64
	}{{100, false, 200}, {150, true, 250}, {200, true, 300}, {200, false, 400}} {
		if n := life(2, l.rows, l.skip); n != l.want {
			t.Fatalf("life %d: %d records, expected %d", i, n, l.want)
		}
	}
}

// Goal: callbacks that panic are not called again, and do not add an error at each save.
func TestStateCallbacksPanic(t *testing.T) {
	calls := 0
	var e *engine.Engine
	laneLife(t, func(cfg *engine.Config) {
		cfg.State = engine.Dir(t.TempDir())
		cfg.State.NoSync = true
		cfg.State.OnEvent = func(engine.StateEvent) { calls++; panic("no") }
	}, func(started *engine.Engine, lane *readers.NumberedLane[numbered], _ uint64) {
		e = started
		for range 5 {
			if err := errors.Join(lane.Send(t.Context(), numbered{}), e.Checkpoint(t.Context())); err != nil {
				t.Fatal(err)
			}
		}
	})
	if calls != 1 {
		t.Fatalf("OnEvent was called %d times after it had panicked", calls-1)
	}
}

// Goal: a shard that moves is saved once, whenever the state is saved. Method: shards move between
// partitions while the state is saved all the time; each life begins with the groups of the last.
func TestStateWhileShardsMove(t *testing.T) {
	dir := t.TempDir()
	next := int64(0)
	var want []string
	for life := range 6 {
		laneLife(t, func(cfg *engine.Config) {
			cfg.State, cfg.Partitions, cfg.EpochInterval = engine.Dir(dir), 3, -1
			cfg.State.NoSync, cfg.State.Interval, cfg.State.Share = true, time.Millisecond, 1
			cfg.Exchange = plan.ExchangeRoute
		}, func(e *engine.Engine, lane *readers.NumberedLane[numbered], from uint64) {
			s := e.Snapshot()
			got := lines(t, s)
			s.Close()
			if life > 0 && !slices.Equal(got, want) {
				t.Fatalf("life %d:\n%s", life, difference(got, want))
			}
			for shard := range 60 {
				for range 20 {
					if err := lane.Send(t.Context(), numbered{next % 500, next}); err != nil {
						t.Fatal(err)
					}
					next++
				}
				if err := e.MoveShard(t.Context(), shard%7, (shard+life)%3); err != nil {
					t.Fatal(err)
				}
				if shard%3 == 0 {
					if err := e.Checkpoint(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			// The last move and the last save come in any order.
			moved := make(chan error, 1)
			go func() { moved <- e.MoveShard(t.Context(), 3, life%3) }()
			if err := errors.Join(e.Checkpoint(t.Context()), <-moved, e.Checkpoint(t.Context())); err != nil {
				t.Fatal(err)
			}
			s = e.Snapshot()
			defer s.Close()
			want = lines(t, s)
		})
	}
}

// Goal: readers that come and go while the state is saved are in it.
func TestStateOfAddedReaders(t *testing.T) {
	dir := t.TempDir()
	l := &splitLog{splits: 4, rows: 1000}
	l.until.Store(100)
	config := func(n int) engine.Config {
		cfg := engine.Config{Plan: keptPlan(t, keptPlans["integers"]), NoPin: true, State: engine.Dir(dir)}
		cfg.State.NoSync, cfg.State.Interval, cfg.State.Share = true, time.Millisecond, 1
		for i := range n {
			cfg.Readers = append(cfg.Readers, l.reader(i, 4))
		}
		return cfg
	}
	e := start(t, config(2))
	for i := 2; i < 4; i++ {
		if _, err := e.AddReader(t.Context(), l.reader(i, 4)); err != nil {
			t.Fatal(err)
		}
	}
	waitRecords(t, e, 400)
	if err := e.RemoveReader(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	l.until.Store(200)
	waitRecords(t, e, 700)
	if err := errors.Join(e.Checkpoint(t.Context()), e.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Start(t.Context(), config(3)); !errors.Is(err, engine.ErrLostSplit) {
		t.Fatalf("without the reader that was added: %v, expected ErrLostSplit", err)
	}
	e = start(t, config(4))
	waitRecords(t, e, 800)
	l.until.Store(1000)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	if n := s.Records(); n != 4000 {
		t.Fatalf("%d records, expected 4000", n)
	}
}

// Goal: two feeds of one name are refused, also if one comes later.
func TestStateOfTwoFeedsOfOneName(t *testing.T) {
	laneLife(t, func(cfg *engine.Config) {
		cfg.State = engine.Dir(t.TempDir())
		cfg.State.NoSync = true
	}, func(e *engine.Engine, _ *readers.NumberedLane[numbered], _ uint64) {
		f, err := readers.NewFeed[numbered](nil, readers.FeedConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.AddReader(t.Context(), f); err == nil {
			t.Fatal("a second feed of the same name is not refused")
		}
	})
}

// Goal: what a slow writer takes is no work of the keeper, and does not stretch the interval.
func TestStateWithSlowWriter(t *testing.T) {
	laneLife(t, func(cfg *engine.Config) {
		cfg.State = engine.Dir(t.TempDir())
		cfg.State.NoSync, cfg.State.Interval = true, time.Second
		cfg.Plan.Emit = plan.EmitChanges
		cfg.Writer = writers.Func(func(context.Context, *record.Batch) error {
			time.Sleep(100 * time.Millisecond)
			return nil
		})
	}, func(e *engine.Engine, lane *readers.NumberedLane[numbered], _ uint64) {
		eventually(t, "an interval of about a second", func() bool { // a busy host stretches one of them
			err := errors.Join(lane.Send(t.Context(), numbered{}), e.Checkpoint(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			return e.Stats().State.Interval <= 3*time.Second
		})
	})
}

// Goal: a table to which all changes are applied, each at least once, is at the end what a snapshot
// has, however often the engine is restarted; so no delete is lost, also not of a row that was
// written after the last save of a life. Method: values that let groups through and take them back;
// lives that end after changes that nothing has saved, with other epochs when they come again.
func TestStateAddsUp(t *testing.T) {
	dir := t.TempDir()
	table := map[string]string{}
	var mu sync.Mutex
	var final []string
	const records, lives = 400, 20
	for life := range lives {
		set := func(cfg *engine.Config) {
			cfg.State, cfg.EpochInterval, cfg.Partitions = engine.Dir(dir), -1, 1+life%3
			cfg.State.NoSync = true
			p, err := query.Compile(`SELECT key, count(*) AS n, sum(number) AS s FROM feed GROUP BY key
				HAVING sum(number) % 3 = 0 EMIT CHANGES`, cfg.Plan.Source)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Plan = p
			cfg.Writer = writers.Func(func(_ context.Context, b *record.Batch) error {
				mu.Lock()
				defer mu.Unlock()
				for _, l := range linesOf(b) {
					op, row, _ := strings.Cut(l, " ")
					key, _, _ := strings.Cut(row, " ")
					if delete(table, key); op == plan.Upsert {
						table[key] = row
					}
				}
				return nil
			})
		}
		laneLife(t, set, func(e *engine.Engine, lane *readers.NumberedLane[numbered], from uint64) {
			rng := rand.New(rand.NewPCG(uint64(life), 5))
			until := uint64(records * (life + 2) / (lives + 1))
			save := from + rng.Uint64N(20)
			for n := from; n < until; n++ {
				if err := lane.SendAt(t.Context(), n, numbered{int64(n * n % 31), int64(n * 7 % 11)}); err != nil {
					t.Fatal(err)
				}
				if rng.IntN(3) == 0 {
					if err := e.Sync(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if n == save || n == records-1 {
					if err := e.Checkpoint(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			s := e.Snapshot()
			defer s.Close()
			final = lines(t, s)
		})
	}
	var got []string
	for _, row := range table {
		got = append(got, row)
	}
	slices.Sort(got)
	if !slices.Equal(got, final) || len(final) == 0 {
		t.Fatalf("%d rows in the table, %d in the snapshot:\n%s", len(got), len(final), difference(got, final))
	}
}

// Goal: a row that was written after the last save is taken back if its group does not pass when it
// comes again, once, and a group that passes again is not. Method: the same records in other epochs.
func TestStateLosesNoDelete(t *testing.T) {
	dir := t.TempDir()
	for life, c := range []struct {
		send [][]int64 // the numbers of an epoch, all of key 1
		rows []uint64  // that are written after it
		want []string
	}{
		{[][]int64{{3}}, []uint64{1}, []string{"upsert 1 1 3"}},
		{[][]int64{{3, 1}, {1}, {1}, {1}}, []uint64{1, 1, 2, 3}, []string{"delete 1 2 4", "upsert 1 4 6", "delete 1 5 7"}},
	} {
		var got []string
		set := func(cfg *engine.Config) {
			cfg.State, cfg.EpochInterval = engine.Dir(dir), -1
			cfg.State.NoSync = true
			p, err := query.Compile(`SELECT key, count(*) AS n, sum(number) AS s FROM feed GROUP BY key
				HAVING sum(number) % 3 = 0 EMIT CHANGES`, cfg.Plan.Source)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Plan = p
			cfg.Writer = writers.Func(func(_ context.Context, b *record.Batch) error {
				got = append(got, linesOf(b)...)
				return nil
			})
		}
		laneLife(t, set, func(e *engine.Engine, lane *readers.NumberedLane[numbered], from uint64) {
			if from != 0 {
				t.Fatalf("from %d, expected 0", from)
			}
			for i, epoch := range c.send {
				for _, n := range epoch {
					if err := lane.Send(t.Context(), numbered{1, n}); err != nil {
						t.Fatal(err)
					}
				}
				if err := e.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
				await(t, "the epoch is written", func() bool {
					return e.Stats().Output.Rows >= c.rows[i]
				})
			}
		})
		if !slices.Equal(got, c.want) {
			t.Fatalf("life %d: %q, expected %q", life, got, c.want)
		}
	}
}

// Goal: a checkpoint has all that was handed over before, though the writer is still busy with an
// older epoch.
func TestStateCheckpointWaitsForWriter(t *testing.T) {
	dir := t.TempDir()
	set := func(cfg *engine.Config) {
		cfg.State, cfg.EpochInterval = engine.Dir(dir), -1
		cfg.State.NoSync = true
		cfg.Plan.Emit = plan.EmitChanges
		cfg.Writer = writers.Func(func(context.Context, *record.Batch) error {
			time.Sleep(50 * time.Millisecond)
			return nil
		})
	}
	laneLife(t, set, func(e *engine.Engine, lane *readers.NumberedLane[numbered], _ uint64) {
		err := errors.Join(lane.Send(t.Context(), numbered{1, 1}), e.Sync(t.Context()))
		time.Sleep(10 * time.Millisecond) // the writer has begun
		err = errors.Join(err, lane.Send(t.Context(), numbered{2, 1}), e.Checkpoint(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
	})
	laneLife(t, set, func(_ *engine.Engine, _ *readers.NumberedLane[numbered], from uint64) {
		if from != 2 {
			t.Fatalf("the checkpoint has %d records, expected 2", from)
		}
	})
}

// brittle is a reader and a writer whose methods panic when they are told to.
type brittle struct {
	*logReader
	panics string
}

func (b *brittle) at(method string) {
	if b.panics == method {
		panic("on purpose")
	}
}

func (b *brittle) ResumeFrom(saved []record.Position) ([]string, []record.Position, error) {
	b.at("ResumeFrom")
	return b.logReader.ResumeFrom(saved)
}

// brittleSink is the writer.
type brittleSink struct{ *brittle }

func (b brittleSink) Write(context.Context, *record.Batch) error { return nil }
func (b brittleSink) Close() error                               { return nil }

func (b brittleSink) Recover(context.Context, string, []byte) (int64, error) {
	b.at("Recover")
	return math.MinInt64, nil
}

func (b brittleSink) EndWindow(context.Context, int64) error {
	b.at("EndWindow")
	return nil
}

func (b brittleSink) Save(context.Context) ([]byte, error) {
	b.at("Save")
	return []byte("saved"), nil
}

// Goal: a panic in a user's part of the state is an error that names the method, and nothing is left locked or taken. Method:
// each method panics once, then the same reader and writer start over the same folder.
func TestStateUserCodePanics(t *testing.T) {
	for _, method := range []string{"ResumeFrom", "Recover", "EndWindow", "Save"} {
		l := &splitLog{splits: 2, rows: 600}
		l.until.Store(600)
		b := &brittle{logReader: l.reader(0, 1), panics: method}
		dir := t.TempDir()
		run := func() error {
			st := engine.Dir(dir)
			st.NoSync = true
			e, err := engine.Start(t.Context(), engine.Config{
				Plan: keptPlan(t, keptPlans["tumble"]), Readers: []record.Reader{b}, NoPin: true, State: st,
				Writer: brittleSink{b}, EpochInterval: time.Millisecond,
			})
			if err != nil {
				return err
			}
			return e.Wait()
		}
		err := run()
		if err == nil || !strings.Contains(err.Error(), "on purpose") {
			t.Errorf("%s panics: %v", method, err)
		}
		b.panics = ""
		for _, s := range b.splits {
			s.next = 0
		}
		if err := run(); err != nil {
			t.Errorf("after %s has panicked: %v", method, err)
		}
	}
}

// Goal: one engine at a time uses a folder, and what the second is told does not disturb the first.
func TestStateOfTwoEngines(t *testing.T) {
	dir := t.TempDir()
	config := func() engine.Config {
		l := &splitLog{splits: 1, rows: 100}
		l.until.Store(50)
		st := engine.Dir(dir)
		st.NoSync = true
		return engine.Config{
			Plan: keptPlan(t, keptPlans["integers"]), Readers: []record.Reader{l.reader(0, 1)}, NoPin: true, State: st,
		}
	}
	first := start(t, config())
	if _, err := engine.Start(t.Context(), config()); !errors.Is(err, state.ErrLocked) {
		t.Fatalf("%v, expected ErrLocked", err)
	}
	waitRecords(t, first, 50)
	if err := first.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Close()
	if e := start(t, config()); e.Stats().State.Restored == 0 {
		t.Fatal("the folder of an engine that was closed is not gone on with")
	}
}

// Goal: open snapshots, as many as allowed, do not keep the state from being saved.
func TestStateWithHeldSnapshots(t *testing.T) {
	l := &splitLog{splits: 2, rows: 1000}
	st := engine.Dir(t.TempDir())
	st.NoSync = true
	e := start(t, engine.Config{
		Plan: keptPlan(t, keptPlans["texts"]), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 2, NoPin: true,
		State: st, EpochInterval: -1, HeldSnapshots: 2,
	})
	for i := range int64(2) {
		l.until.Store(100 * (i + 1))
		waitRecords(t, e, uint64(200*(i+1)))
		s := e.Snapshot()
		defer s.Close()
	}
	for i := int64(3); i < 8; i++ {
		l.until.Store(100 * i)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := e.Checkpoint(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: a reader that is removed before its end need not come back after a restart; if it does, it
// goes on where it was. One that was not removed has to come back.
func TestStateOfRemovedReader(t *testing.T) {
	dir := t.TempDir()
	life := func(lanes ...string) (*engine.Engine, []*readers.NumberedLane[numbered], []uint64, error) {
		var all []record.Reader
		var feeds []*readers.Feed[numbered]
		for _, name := range lanes {
			f, err := readers.NewFeed[numbered](nil, readers.FeedConfig{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			all, feeds = append(all, f), append(feeds, f)
		}
		p, err := query.Compile(`SELECT key, count(*) AS n FROM feed GROUP BY key`, feeds[0].Schema())
		if err != nil {
			t.Fatal(err)
		}
		st := engine.Dir(dir)
		st.Interval, st.NoSync = time.Hour, true
		e, err := engine.Start(t.Context(), engine.Config{Plan: p, Readers: all, Cores: 1, NoPin: true, State: st})
		if err != nil {
			return nil, nil, nil, err
		}
		var open []*readers.NumberedLane[numbered]
		var from []uint64
		for _, f := range feeds {
			lane, n, err := f.Resume("lane")
			if err != nil {
				t.Fatal(err)
			}
			open, from = append(open, lane), append(from, n)
		}
		return e, open, from, nil
	}
	e, lanes, _, err := life("one", "two")
	if err != nil {
		t.Fatal(err)
	}
	for _, lane := range lanes {
		if err := lane.SendAt(t.Context(), 6, numbered{1, 1}); err != nil {
			t.Fatal(err)
		}
	}
	save := func() {
		t.Helper()
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	save()
	if _, _, _, err := life("one"); !errors.Is(err, engine.ErrLostSplit) {
		t.Fatalf("without a reader that was not removed: %v", err)
	}
	if e, _, _, err = life("one", "two"); err != nil {
		t.Fatal(err)
	}
	if err := e.RemoveReader(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	save()
	if e, _, _, err = life("one"); err != nil {
		t.Fatal(err)
	}
	save()
	e, _, from, err := life("one", "two")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if from[0] != 7 || from[1] != 7 {
		t.Errorf("the lanes go on at %d, expected 7 and 7", from)
	}
}

// A goexitReader ends the goroutine that has it go on.
type goexitReader struct{ record.Reader }

func (goexitReader) ResumeFrom([]record.Position) ([]string, []record.Position, error) {
	runtime.Goexit()
	return nil, nil, nil
}

// Goal: user code that ends the goroutine which starts the engine does not leave the folder locked.
func TestStateGoexit(t *testing.T) {
	dir := t.TempDir()
	set := func(cfg *engine.Config) { cfg.State = engine.Dir(dir) }
	f, err := readers.NewFeed[numbered](nil, readers.FeedConfig{Name: "feed"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := query.Compile(`SELECT key, count(*) AS n FROM feed GROUP BY key`, f.Schema())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := engine.Start(context.Background(), engine.Config{
			Plan: p, Readers: []record.Reader{goexitReader{f}}, Cores: 1, NoPin: true, State: engine.Dir(dir),
		})
		t.Errorf("Start has returned: %v", err)
	}()
	<-ended
	laneLife(t, set, func(*engine.Engine, *readers.NumberedLane[numbered], uint64) {})
}

// Goal: if it is not known whether a generation is durable, it is left alone: its manifest may be
// there, so its segments have to be, too. Method: the sync of the folder after a rename fails; then
// the folder is looked at.
func TestStateTorn(t *testing.T) {
	path, renamed := t.TempDir(), false
	broken := errors.New("the disk does not answer")
	before := func(point string) error {
		if was := renamed; was && point == "sync folder" {
			renamed = false
			return broken
		}
		return nil
	}
	armed := false
	after := func(point string) { renamed = renamed || armed && point == "rename manifest" }
	l := &splitLog{splits: 1, rows: 1000}
	l.until.Store(400)
	st := engine.Dir(path)
	st.Interval, st.NoSync = time.Hour, true
	st.OpenBy(func(o state.Options) (*state.Folder, error) {
		return state.OpenFS(&watchedFS{state.OS(path, o.NoSync), before, after}, o)
	})
	e := start(t, engine.Config{
		Plan: keptPlan(t, keptPlans["texts"]), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 1, NoPin: true,
		State: st, EpochInterval: -1,
	})
	waitRecords(t, e, 400)
	armed = true // nothing saves now: only Checkpoint does
	if err := e.Checkpoint(t.Context()); !errors.Is(err, broken) || !errors.Is(err, state.ErrTorn) {
		t.Fatalf("%v, expected ErrTorn", err)
	}
	armed = false
	for _, want := range []uint64{2, 3} {
		f, err := state.Inspect(path)
		if err != nil || f.Passed != nil || f.Newest.Generation != want {
			t.Fatalf("%+v, passed over: %v, %v; expected generation %d", f.Newest, f.Passed, err, want)
		}
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
