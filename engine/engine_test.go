package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// TestMain checks that no test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var schema = func() *record.Schema {
	s, err := record.NewSchema("events", record.Field{Name: "key", Type: record.Int64, Nullable: true},
		record.Field{Name: "value", Type: record.Int64})
	if err != nil {
		panic(err)
	}
	return s
}()

// sumPlan counts and sums the values of each key.
func sumPlan() *plan.Plan {
	return &plan.Plan{Source: schema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{
		{Name: "n", Func: plan.Count}, {Name: "sum", Func: plan.Sum, Column: "value"},
	}}
}

// add appends rows with one key and the value 1.
func add(b *record.Batch, key int64, rows int) {
	for range rows {
		if !b.Add(0) {
			panic("the batch is full")
		}
		b.SetInt64(0, key)
		b.SetInt64(1, 1)
	}
}

// ends is a reader of n batches of 100 rows with one key; the last comes with io.EOF.
func ends(key int64, n int) *testgen.ScriptedPoller {
	return &testgen.ScriptedPoller{Step: func(call int, b *record.Batch) error {
		add(b, key, 100)
		if call == n-1 {
			return io.EOF
		}
		return nil
	}}
}

// sized is how much a test takes: a quarter of n in the short tests, which run with the race
// detector.
func sized(n int64) int64 {
	if testing.Short() {
		return n / 4
	}
	return n
}

func start(t *testing.T, cfg engine.Config) *engine.Engine {
	t.Helper()
	e, err := engine.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// counts has the count of each key of the engine's snapshot.
func counts(t *testing.T, p *plan.Plan, e *engine.Engine) map[int64]int64 {
	t.Helper()
	key, err := result.ColumnOf[int64](p, "key")
	if err != nil {
		t.Fatal(err)
	}
	n, err := result.ColumnOf[int64](p, "n")
	if err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	got := map[int64]int64{}
	for row := range s.All() {
		got[key.Of(row)] = n.Of(row)
	}
	return got
}

// eventually waits for a condition that nothing announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still waiting after a minute: %s", what)
		}
	}
}

// Goal: a source that blocks for ever holds nobody up. Method: a blocked reader beside one that flows, with one partition and all
// agents on one thread; then shutdown.
func TestBlockedReader(t *testing.T) {
	p := sumPlan()
	e := start(t, engine.Config{
		Plan: p, Readers: []record.Reader{testgen.BlockedReader{}, ends(1, 50)}, Partitions: 1,
		Cores: 1, Exchange: plan.ExchangeRoute,
	})
	eventually(t, "the other reader's rows are applied", func() bool { return e.Stats().Partitions[0].Rows == 5000 })
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := counts(t, p, e); got[1] != 5000 {
		t.Fatalf("%v, expected 5000 of key 1", got)
	}
	st := e.Stats()
	if st.Readers[0].State != engine.Stopped || st.Readers[1].State != engine.Ended {
		t.Fatalf("states %v and %v, expected stopped and ended", st.Readers[0].State, st.Readers[1].State)
	}
}

// Goal: a record without its key is counted, in a group of its own, and its batch survives.
func TestKeyless(t *testing.T) {
	p := sumPlan()
	r := &testgen.ScriptedPoller{Step: func(_ int, b *record.Batch) error {
		add(b, 1, 3)
		add(b, 0, 1)
		b.SetNull(0)
		add(b, 2, 3)
		return io.EOF
	}}
	e := start(t, engine.Config{Plan: p, Readers: []record.Reader{r}, Partitions: 3})
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := counts(t, p, e); got[1] != 3 || got[2] != 3 || len(got) != 3 {
		t.Fatalf("%v, expected 3 of keys 1 and 2 and the group without a key", got)
	}
	if c := e.Stats().Readers[0].Counters; c.Keyless != 1 || c.Counted != 7 || c.In != 7 {
		t.Fatalf("%+v, expected 7 counted, 1 of them keyless", c)
	}
	if st := e.Stats(); st.Partitions[0].Groups < 1 {
		t.Fatal("the group without a key is not in partition 0")
	}
}

// Goal: transient errors back off, lose nothing and hold nobody up; the rows that came with them count. Method: three errors
// with rows, polled and pumped, beside a reader that flows.
func TestTransient(t *testing.T) {
	for _, pumped := range []bool{false, true} {
		p := sumPlan()
		flaky := &testgen.ScriptedPoller{Step: func(call int, b *record.Batch) error {
			add(b, 1, 10)
			if call < 3 {
				return record.Transient(fmt.Errorf("try %d", call))
			}
			return io.EOF
		}}
		var r record.Reader = flaky
		if pumped {
			r = testgen.OnlyRead(r)
		}
		began := time.Now()
		e := start(t, engine.Config{
			Plan: p, Readers: []record.Reader{r, ends(2, 20)}, Cores: 1,
			RetryMin: 20 * time.Millisecond,
		})
		eventually(t, "the other reader has ended", func() bool { return e.Stats().Readers[1].State == engine.Ended })
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 140*time.Millisecond {
			t.Errorf("pumped %v: %v, three waits of 20, 40 and 80 ms take longer", pumped, took)
		}
		if got := counts(t, p, e); got[1] != 40 || got[2] != 2000 {
			t.Fatalf("pumped %v: %v, expected 40 and 2000", pumped, got)
		}
		if n := e.Stats().Readers[0].Retries; n != 3 {
			t.Fatalf("pumped %v: %d retries, expected 3", pumped, n)
		}
	}
}

// Goal: a wait after a transient error does not hold up Shutdown.
func TestShutdownInterruptsBackOff(t *testing.T) {
	for _, pumped := range []bool{false, true} {
		var r record.Reader = &testgen.ScriptedPoller{Step: func(int, *record.Batch) error {
			return record.Transient(io.ErrUnexpectedEOF)
		}}
		if pumped {
			r = testgen.OnlyRead(r)
		}
		e := start(t, engine.Config{Plan: sumPlan(), Readers: []record.Reader{r}, RetryMin: time.Hour})
		eventually(t, "the first error", func() bool { return e.Stats().Readers[0].State == engine.Retrying })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: a source that fails or panics ends alone, its statistics stay, the job ends with its error, readers are closed once.
func TestFatal(t *testing.T) {
	boom := errors.New("boom")
	for name, step := range map[string]func(int, *record.Batch) error{
		"error": func(call int, b *record.Batch) error {
			add(b, 1, 5)
			if call == 2 {
				return boom
			}
			return nil
		},
		"panic": func(call int, b *record.Batch) error {
			add(b, 1, 5)
			if call == 3 {
				panic("boom")
			}
			return nil
		},
		"broken": func(call int, b *record.Batch) error {
			add(b, 1, 5)
			if call == 3 {
				b.Column(1).Int64s = nil // fewer values than rows
			}
			return nil
		},
	} {
		for _, pumped := range []bool{false, true} {
			p := sumPlan()
			bad := &testgen.ScriptedPoller{Step: step}
			good := ends(2, 30)
			var r record.Reader = bad
			if pumped {
				r = testgen.OnlyRead(r)
			}
			e := start(t, engine.Config{Plan: p, Readers: []record.Reader{r, good}})
			err := e.Wait()
			if err == nil || !strings.Contains(err.Error(), "reader 0") {
				t.Fatalf("%s, pumped %v: error %v, expected one that names reader 0", name, pumped, err)
			}
			if name == "error" && !errors.Is(err, boom) {
				t.Fatalf("%v does not wrap the reader's error", err)
			}
			if got := counts(t, p, e); got[1] != 15 || got[2] != 3000 {
				t.Fatalf("%s, pumped %v: %v, expected 15 and 3000", name, pumped, got)
			}
			st := e.Stats().Readers[0]
			wantDropped := uint64(5)
			if name == "error" {
				wantDropped = 0
			}
			if st.State != engine.Failed || st.Err == nil || st.Dropped != wantDropped || st.Counted != 15 {
				t.Fatalf("%s, pumped %v: %+v", name, pumped, st)
			}
			if bad.Closed.Load() != 1 || good.Closed.Load() != 1 {
				t.Fatalf("%s: closed %d and %d times, expected once", name, bad.Closed.Load(), good.Closed.Load())
			}
		}
	}
}

// Goal: rejected records are counted, delivered once each with their reader, and a slow or panicking OnReject loses no
// good record.
func TestOnReject(t *testing.T) {
	const batches = 100
	reader := func() *testgen.ScriptedPoller {
		return &testgen.ScriptedPoller{Step: func(call int, b *record.Batch) error {
			add(b, 1, 10)
			for i := range 7 {
				b.Reject(record.Reject{Offset: int64(7*call + i), Reason: io.ErrUnexpectedEOF, Bytes: []byte("bad")})
			}
			if call == batches-1 {
				return io.EOF
			}
			return nil
		}}
	}
	for _, name := range []string{"count", "slow", "panic", "none"} {
		p := sumPlan()
		seen := map[int64]int{}
		calls := 0
		var cb func(int, record.Reject)
		if name != "none" {
			cb = func(reader int, r record.Reject) {
				calls++
				if name == "panic" {
					panic("in OnReject")
				}
				if name == "slow" && calls%100 == 0 {
					time.Sleep(2 * time.Millisecond)
				}
				seen[r.Offset]++
				if string(r.Bytes) != "bad" || reader > 1 {
					t.Errorf("reader %d: %q", reader, r.Bytes)
				}
			}
		}
		e := start(t, engine.Config{
			Plan: p, Readers: []record.Reader{reader(), testgen.OnlyRead(reader())},
			OnReject: cb,
		})
		err := e.Wait()
		if (err != nil) != (name == "panic") {
			t.Fatalf("%s: error %v", name, err)
		}
		s := e.Snapshot()
		c := s.Counters()
		s.Close()
		for _, c := range c {
			if c.Quarantined != 7*batches || c.Counted != 10*batches || c.In != c.Counted+c.Quarantined {
				t.Fatalf("%s: %+v", name, c)
			}
		}
		if got := counts(t, p, e); got[1] != 20*batches {
			t.Fatalf("%s: %v, expected %d", name, got, 20*batches)
		}
		if name == "count" || name == "slow" {
			if len(seen) != 7*batches {
				t.Fatalf("%s: %d different rejects, expected %d", name, len(seen), 7*batches)
			}
			for off, n := range seen {
				if n != 2 {
					t.Fatalf("%s: reject at %d came %d times, expected once from each reader", name, off, n)
				}
			}
		}
		if name == "panic" && calls != 1 {
			t.Fatalf("OnReject was called %d times, expected once: it panics", calls)
		}
	}
}

// Goal: the last batch is not lost when it comes together with io.EOF, and the end is not seen before the data. Method: many
// short engines, so that any order that can go wrong does.
func TestLastBatch(t *testing.T) {
	for i := range 200 {
		p := sumPlan()
		e := start(t, engine.Config{
			Plan: p, Readers: []record.Reader{ends(1, 1+i%3), testgen.OnlyRead(ends(2, 1+i%2))},
			RingSlots: 2, Partitions: 1 + i%3, Cores: 1 + i%2,
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := counts(t, p, e); got[1] != int64(100*(1+i%3)) || got[2] != int64(100*(1+i%2)) {
			t.Fatalf("round %d: %v", i, got)
		}
	}
}

// Goal: no deadlock where reader and partition share a thread and the rings are as small as they can be.
func TestOneThreadSmallRings(t *testing.T) {
	p := sumPlan()
	var readers []record.Reader
	for range 3 {
		readers = append(readers, &testgen.ScriptedPoller{Step: func(call int, b *record.Batch) error {
			c := b.Column(0)
			for i := range b.Cap() {
				c.Int64s[i] = int64(i*7 + call)
				b.Column(1).Int64s[i] = 1
			}
			b.SetLen(b.Cap())
			if call == 10_000 {
				return io.EOF
			}
			return nil
		}})
	}
	e := start(t, engine.Config{
		Plan: p, Readers: readers, Partitions: 4, Cores: 1, RingSlots: 1, BatchRows: 128,
		Exchange: plan.ExchangeRoute,
	})
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, want := e.Stats().Counters().Counted, uint64(3*10_001*128); got != want {
		t.Fatalf("%d rows, expected %d", got, want)
	}
}

// Goal: an idle engine costs next to nothing. Method: readers that never have anything, polled and pumped; the CPU time of all threads
// over a while.
func TestIdle(t *testing.T) {
	empty := func(int, *record.Batch) error { return nil }
	e := start(t, engine.Config{
		Plan: sumPlan(),
		Readers: []record.Reader{
			&testgen.ScriptedPoller{Step: empty},
			testgen.OnlyRead(&testgen.ScriptedPoller{Step: empty}),
			testgen.BlockedReader{},
		}, Partitions: 2,
	})
	time.Sleep(50 * time.Millisecond)
	const watch, most = 500 * time.Millisecond, 0.25 // the aim is 0.02 for a runner; a spinning runner is 1
	share := 1.0
	for range 20 { // what earlier tests have left is collected in some windows
		before := processCPU(t)
		time.Sleep(watch)
		share = min(share, float64(processCPU(t)-before)/float64(watch))
		if share <= most {
			break
		}
	}
	t.Logf("idle: %.1f %% of a core", 100*share)
	if share > most {
		t.Fatalf("an idle engine takes %.0f %% of a core", 100*share)
	}
	eventually(t, "a park of each runner", func() bool {
		return !slices.ContainsFunc(e.Stats().Runners, func(r engine.RunnerStats) bool { return r.Parks == 0 })
	})
}

// Goal: Shutdown and Close under full rings are quick, leave no thread with a foreign mask, and a snapshot outlives both.
func TestStopUnderLoad(t *testing.T) {
	endless := func() record.Reader {
		return &testgen.ScriptedPoller{Step: func(call int, b *record.Batch) error {
			c := b.Column(0)
			for i := range b.Cap() {
				c.Int64s[i] = int64(i + call)
				b.Column(1).Int64s[i] = 1
			}
			b.SetLen(b.Cap())
			return nil
		}}
	}
	for _, c := range []struct {
		how      string
		exchange plan.Exchange
	}{
		{"shutdown", plan.ExchangeRoute},
		{"shutdown", plan.ExchangeFold},
		{"close", plan.ExchangeRoute},
		{"close", plan.ExchangeFold},
		{"cancel", plan.ExchangeRoute},
	} {
		how, p := c.how, sumPlan()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		e, err := engine.Start(ctx, engine.Config{
			Plan:    p,
			Readers: []record.Reader{endless(), testgen.OnlyRead(endless())}, Partitions: 2, Exchange: c.exchange,
		})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "load", func() bool { return e.Stats().Counters().In > 1_000_000 })
		began := time.Now()
		switch how {
		case "shutdown":
			if err := e.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			st := e.Stats()
			if st.Epoch != st.Epochs.Raised || st.Epoch == 0 {
				t.Fatal("no final snapshot after Shutdown")
			}
			var rows uint64
			for _, p := range st.Partitions {
				rows += p.Rows
			}
			n := st.Counters()
			if rows += n.Folded; n.Counted != rows {
				t.Fatalf("%d counted, %d folded or applied", n.Counted, rows)
			}
			var total int64
			for _, n := range counts(t, p, e) {
				total += n
			}
			if total != int64(rows) {
				t.Fatalf("the snapshot has %d rows, expected %d", total, rows)
			}
		case "close":
			e.Close()
		case "cancel":
			cancel()
		}
		if how != "shutdown" {
			if err := e.Wait(); !errors.Is(err, engine.ErrClosed) {
				t.Fatalf("%s: Wait says %v, expected ErrClosed", how, err)
			}
			if st := e.Stats(); st.Epoch == st.Epochs.Raised && st.Epoch > 0 && e.Sync(t.Context()) == nil {
				t.Fatalf("%s: the snapshot of epoch %d is taken for the final one", how, st.Epoch)
			}
		}
		t.Logf("%s took %v", how, time.Since(began))
		e.Close()
		e.Close()
	}
}

// Goal: engines leave no thread behind. Method: the number of threads after 20 and after 120 of them.
func TestThreadsStay(t *testing.T) {
	round := func(n int) {
		for range n {
			e := start(t, engine.Config{
				Plan:    sumPlan(),
				Readers: []record.Reader{ends(1, 1), testgen.OnlyRead(ends(1, 1))},
			})
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
		}
	}
	round(20)
	before := threads(t)
	round(100)
	// A stall of the machine may have the runtime make some more; engines that leave one leave 100 or more.
	if after := threads(t); after > before+40 {
		t.Fatalf("%d threads after 20 engines, %d after 120", before, after)
	}
}

// Goal: no thread keeps the mask of a runner that was pinned on it. Method: the masks that the kernel knows, before and after.
func TestMasksRestored(t *testing.T) {
	usable, err := affinity.Usable()
	if errors.Is(err, affinity.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		e := start(t, engine.Config{
			Plan:    sumPlan(),
			Readers: []record.Reader{ends(1, 100), testgen.OnlyRead(ends(1, 100))}, Partitions: 2, Cores: 2,
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		e.Close()
	}
	masks, err := affinity.ThreadMasks()
	if err != nil {
		t.Fatal(err)
	}
	for thread, mask := range masks {
		if !slices.Equal(mask, usable) {
			t.Errorf("thread %d may run on CPUs %v, the process on %v", thread, mask, usable)
		}
	}
}

// Goal: a paused reader is not read, the others flow, resuming goes on where it was, and a paused reader can be shut down. Method:
// a polled and a pumped reader that count their calls.
func TestPause(t *testing.T) {
	for _, pumped := range []bool{false, true} {
		endless := func() *testgen.ScriptedPoller {
			return &testgen.ScriptedPoller{Step: func(_ int, b *record.Batch) error { add(b, 1, 10); return nil }}
		}
		var readers []record.Reader
		for range 2 {
			var r record.Reader = endless()
			if pumped {
				r = testgen.OnlyRead(r)
			}
			readers = append(readers, r)
		}
		e := start(t, engine.Config{Plan: sumPlan(), Readers: readers, Partitions: 2, Cores: 1})
		in := func(reader int) uint64 { return e.Stats().Readers[reader].In }
		eventually(t, "both flow", func() bool { return in(0) > 0 && in(1) > 0 })
		if err := e.Pause(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		paused := in(0) + 10 // a batch that had been read
		other := in(1)
		eventually(t, "the other flows", func() bool { return in(1) > other+1000 })
		if got := in(0); got > paused {
			t.Fatalf("pumped %v: %d records of the paused reader, expected at most %d", pumped, got, paused)
		}
		if st := e.Stats().Readers; st[0].State != engine.Paused || st[1].State != engine.Running {
			t.Fatalf("states %v and %v", st[0].State, st[1].State)
		}
		if err := e.Resume(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it flows again", func() bool { return in(0) > paused+1000 })
		for _, reader := range []int{0, 1} { // both: the runner parks
			if err := e.Pause(t.Context(), reader); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Pause(t.Context(), 2); err == nil || !strings.Contains(err.Error(), "no reader 2") {
			t.Fatal(err)
		}
		eventually(t, "the runner parks", func() bool { return e.Stats().Runners[0].Parks > 0 })
		if err := e.Resume(t.Context(), 1); err != nil { // wakes it
			t.Fatal(err)
		}
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.Pause(t.Context(), 0); !errors.Is(err, engine.ErrEnded) {
			t.Fatalf("%v, expected that the engine has ended", err)
		}
	}
}

// Goal: a route function that panics, or names a partition that does not exist, fails the plan and nothing else. Method: one that does
// so at its third call; another engine beside it.
func TestBadRoute(t *testing.T) {
	for want, bad := range map[string]func(c *plan.RouteContext){
		"panic in reader/0: out of ideas": func(*plan.RouteContext) {
			panic("out of ideas")
		},
		"the route function sent a record to partition 7, there are 2": func(c *plan.RouteContext) {
			c.Partition[0] = 7
		},
	} {
		other := start(t, engine.Config{Plan: sumPlan(), Readers: []record.Reader{testgen.BlockedReader{}}})
		calls := 0
		e := start(t, engine.Config{
			Plan: sumPlan(), Readers: []record.Reader{ends(1, 1000)}, Partitions: 2, Cores: 1,
			Route: plan.Route{Routing: plan.RouteCustom, Func: func(c *plan.RouteContext) {
				clear(c.Partition)
				if calls++; calls == 3 {
					bad(c)
				}
			}},
		})
		if err := e.Wait(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
		if n := e.Stats().Epoch; n != 0 {
			t.Errorf("a plan that has failed shows epoch %d", n)
		}
		if err := other.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Goal: commands from many goroutines are all done, also while the engine ends; nobody hangs.
func TestPauseFromMany(t *testing.T) {
	e := start(t, engine.Config{
		Plan: sumPlan(), Readers: []record.Reader{ends(1, 20_000), testgen.BlockedReader{}},
		Cores: 1,
	})
	var callers sync.WaitGroup
	for i := range 100 {
		callers.Go(func() {
			for range 50 {
				if err := errors.Join(e.Pause(t.Context(), i%2), e.Resume(t.Context(), i%2)); err != nil &&
					!errors.Is(err, engine.ErrEnded) {
					t.Error(err)
				}
			}
		})
	}
	time.Sleep(2 * time.Millisecond)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	callers.Wait()
}

// Goal: a global aggregate has its one row, also before the first epoch and over no rows.
func TestGlobal(t *testing.T) {
	for _, batches := range []int{0, 3} {
		p := &plan.Plan{Source: schema, Aggregates: []plan.Aggregate{
			{Name: "n", Func: plan.Count},
			{Name: "sum", Func: plan.Sum, Column: "value"},
			{Name: "min", Func: plan.Min, Column: "value"},
		}}
		r := &testgen.ScriptedPoller{Step: func(call int, b *record.Batch) error {
			if call >= batches {
				return io.EOF
			}
			add(b, int64(call), 10)
			return nil
		}}
		e := start(t, engine.Config{Plan: p, Readers: []record.Reader{r}, Partitions: 3})
		s := e.Snapshot()
		if n := s.Len(); n != 1 {
			t.Fatalf("%d rows, expected one at any time", n)
		}
		s.Close()
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		n, _ := result.ColumnOf[int64](p, "n")
		sum, _ := result.ColumnOf[int64](p, "sum")
		lo, _ := result.ColumnOf[int64](p, "min")
		s = e.Snapshot()
		defer s.Close()
		if s.Len() != 1 {
			t.Fatalf("%d rows, expected 1", s.Len())
		}
		for row := range s.All() {
			if n.Of(row) != int64(10*batches) || sum.Of(row) != int64(10*batches) || sum.Null(row) != (batches == 0) ||
				lo.Null(row) != (batches == 0) {
				t.Fatalf("%d batches: n %d, sum %d (null %v)", batches, n.Of(row), sum.Of(row), sum.Null(row))
			}
		}
		k, err := p.Key()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Get(k); !ok {
			t.Fatal("the one row is not found by its empty key")
		}
	}
}

// Goal: every fault of a configuration is named, all at once.
func TestValidate(t *testing.T) {
	bad := engine.Config{
		Plan: &plan.Plan{Source: schema, Keys: []string{"kee"}, Aggregates: []plan.Aggregate{
			{Name: "x", Func: plan.Sum}, {Name: "y", Func: plan.Avg, Column: "nope"}, {Name: "z", Column: "value"},
		}},
		Readers: []record.Reader{nil}, Partitions: -1, Cores: -1, BatchRows: 1 << 20, RingSlots: 3, RetryMin: 2,
		RetryMax: 1,
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no fault found")
	}
	for _, want := range []string{
		`"kee"`, `"x"`, `"nope"`, `"z"`, "reader 0 is nil", "-1 partitions", "-1 cores",
		"1048576 rows", "3 slots", "retries",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %s in:\n%v", want, err)
		}
	}
	if _, err := engine.Start(t.Context(), bad); err == nil {
		t.Fatal("Start took it")
	}
	if err := (&engine.Config{}).Validate(); err == nil || !strings.Contains(err.Error(), "no plan") ||
		!strings.Contains(err.Error(), "no readers") {
		t.Fatalf("the empty configuration: %v", err)
	}
}

// threads is the number of OS threads of this process; skips where that is not known.
func threads(t *testing.T) int {
	t.Helper()
	n := threadCount()
	if n == 0 {
		t.Skipf("the number of threads is not known on %s", runtime.GOOS)
	}
	return n
}

// Goal: an engine that is printed names its plan and its shape, and nothing of what is inside.
func TestEngineString(t *testing.T) {
	e := start(t, engine.Config{
		Plan: sumPlan(), Readers: []record.Reader{ends(1, 1)}, Partitions: 2, Cores: 1,
		NoPin: true,
	})
	want := "engine of 1 readers, 2 partitions and 1 runners: SELECT key, count(*) AS n, sum(value) AS sum FROM " +
		"events GROUP BY key"
	for _, got := range []string{e.String(), fmt.Sprint(e), fmt.Sprintf("%+v", e)} {
		if got != want {
			t.Errorf("%s, expected %s", got, want)
		}
	}
}
