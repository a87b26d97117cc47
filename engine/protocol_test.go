package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/ring"
)

// The tests of this file play one side of a protocol by hand, in an engine of which nothing runs, so that the one order of steps that matters is there every
// time.

// handEngine is an engine in which nothing runs. When the test is over it ends.
func handEngine(t *testing.T, cfg Config) *Engine {
	t.Helper()
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Plan = &plan.Plan{Source: schema, Keys: []string{"k"}}
	cfg.NoPin, cfg.EpochInterval = true, -1
	e, err := newEngine(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.launch(context.Background())
		e.Close()
	})
	return e
}

// ready is an agent that has n steps of work.
type ready struct {
	core.Agent
	steps int
}

func (a *ready) Step(core.Nanos) int {
	if a.steps == 0 {
		return 0
	}
	a.steps--
	return 1
}
func (a *ready) Err() error        { return nil }
func (a *ready) Done() bool        { return false }
func (a *ready) Wake() core.Nanos  { return core.Never }
func (a *ready) Stall() core.Stall { return core.StallInput }
func (a *ready) String() string    { return "ready" }

// Goal: what was published before a runner said that it parks is found by its last look, for nobody has rung for that. Method: an agent has work, and the runner parks without
// having been asked; it must do the work and not sleep.
func TestParkLooksOnceMore(t *testing.T) {
	e := handEngine(t, Config{Readers: []record.Reader{quiet{}}, Cores: 1})
	a := &ready{steps: 1}
	r := &runner{engine: e, bell: newBell(false), mailbox: newMailbox(), ended: make(chan struct{})}
	r.add(a, "ready", nil, nil)
	r.park()
	if r.tally.parks != 0 || a.steps != 0 {
		t.Errorf("it has slept %d times; %d steps of work are left", r.tally.parks, a.steps)
	}
	if r.bell.state.Load() != awake {
		t.Error("it is awake and says that it is parked")
	}
	done := false
	if err := r.mailbox.box.Put(command{func() { done = true }, make(chan struct{})}); err != nil {
		t.Fatal(err)
	}
	if r.park(); r.tally.parks != 0 || !done {
		t.Errorf("it has slept %d times; the command is done: %v", r.tally.parks, done)
	}
	e.closing.Store(true)
	if r.park(); r.tally.parks != 0 {
		t.Error("it sleeps though the engine closes")
	}
	e.closing.Store(false)
}

// neverDone is a context that says that it is done to everybody who waits for it, and notes that somebody did.
type neverDone struct {
	context.Context
	waited bool
}

func (c *neverDone) Done() <-chan struct{} {
	c.waited = true
	done := make(chan struct{})
	close(done)
	return done
}

// Goal: a pump that has found no batch and says that it waits looks once more: the batch that came back between the two has been rung for by nobody. Method: it comes back
// just there.
func TestPumpLooksOnceMore(t *testing.T) {
	if !invariants.Enabled {
		t.Skip("needs the hooks of -tags invariants or -race")
	}
	e := handEngine(t, Config{Readers: []record.Reader{quiet{}}, Cores: 1})
	ps := e.inlets.all()[0].source.(*pumpSource)
	var taken []*record.Batch
	for range pumpBatches {
		taken = append(taken, ps.pump.take(t.Context()))
	}
	defer invariants.Hook("engine.pump.take", func(of any) {
		if of == any(ps.pump) && len(taken) > 0 {
			ps.free.PushN(taken[:1])
			ps.pump.freed.wake()
			taken = taken[1:]
		}
	})()
	first, ctx := taken[0], &neverDone{Context: context.Background()}
	if b := ps.pump.take(ctx); b != first || ctx.waited {
		t.Errorf("it has got the batch: %v; it has waited: %v", b == first, ctx.waited)
	}
	if ps.pump.freed.waiting.Load() {
		t.Error("it has a batch and says that it waits")
	}
}

// fedReader is a poller that goroutines of the service feed.
type fedReader struct {
	script []func(b *record.Batch) error // of each Poll; then the end
	cuts   int
	closed chan struct{}
}

func (f *fedReader) Poll(b *record.Batch) error {
	if len(f.script) == 0 {
		return io.EOF
	}
	next := f.script[0]
	f.script = f.script[1:]
	return next(b)
}
func (f *fedReader) Read(_ context.Context, b *record.Batch) error { return f.Poll(b) }
func (f *fedReader) Drained(uint64) bool                           { f.cuts++; return true }
func (f *fedReader) End()                                          {}
func (f *fedReader) Close() error {
	if f.closed != nil {
		close(f.closed)
	}
	return nil
}

// Goal: the mark of an epoch does not overtake a batch that is held until its rejects have room: who has sent its records and syncs would not find them. Method: the queue
// of rejects is full, and nobody empties it but the test.
func TestMarkBehindHeldBatch(t *testing.T) {
	f := &fedReader{script: []func(b *record.Batch) error{func(b *record.Batch) error {
		b.Add(0)
		b.SetInt64(0, 1)
		for range 3 {
			b.Reject(record.Reject{Offset: -1, Reason: errors.New("wrong")})
		}
		return nil
	}}}
	e := handEngine(t, Config{Readers: []record.Reader{f}, Cores: 1, OnReject: func(int, record.Reject) {}})
	s := e.inlets.all()[0].source.(*pollSource)
	for range rejectSlots - 2 {
		if !s.reject(record.Reject{Reason: errors.New("before")}) {
			t.Fatal("there is room")
		}
	}
	for range 3 {
		if b, done := s.Next(0); b != nil || done {
			t.Fatalf("a batch is given out before its rejects: %v, %v", b, done)
		}
		if s.Drained(1) || f.cuts > 0 {
			t.Fatal("the epoch is cut behind a batch that has not been given out")
		}
	}
	var r [rejectSlots]record.Reject
	s.rejectOut.PopN(r[:])
	if b, _ := s.Next(0); b == nil || b.Len() != 1 {
		t.Fatalf("%v, expected the batch that was held", b)
	}
	if !s.Drained(1) || f.cuts != 1 {
		t.Error("the epoch is not cut, though all has been given out")
	}
	if n := s.rejectOut.PopN(r[:]); n != 1 {
		t.Errorf("%d more rejects, expected the last of three", n)
	}
}

// Goal: a reader is closed when all of its rejects have been delivered: who gets one may ask it for the line. Method: the reader ends while OnReject is called for the first
// of many, or before the caller has seen any, and sees the end first.
func TestRejectsBeforeClose(t *testing.T) {
	const rejects = 20
	for name, during := range map[string]bool{"ends during the first": true, "ends before": false} {
		f := &fedReader{closed: make(chan struct{})}
		f.script = append(f.script, func(b *record.Batch) error {
			for range rejects {
				b.Reject(record.Reject{Offset: -1, Reason: errors.New("wrong")})
			}
			return io.EOF
		})
		delivered, first, ended := 0, make(chan struct{}), make(chan struct{})
		e := handEngine(t, Config{Readers: []record.Reader{f}, Cores: 1, OnReject: func(int, record.Reject) {
			if delivered == 0 && during {
				close(first)
				<-ended
			}
			delivered++
			select {
			case <-f.closed:
				t.Errorf("%s: the reader is closed before reject %d of %d was delivered", name, delivered, rejects)
			case <-time.After(time.Millisecond): // for a goroutine that would close it
			}
		}})
		s := e.inlets.all()[0].source.(*pollSource)
		s.Next(0)
		if during {
			go e.rejects.run()
			<-first
		} else {
			<-e.rejects.some
		}
		if _, done := s.Next(0); !done { // says that the reader is to be closed
			t.Fatal("the source has not ended")
		}
		if close(ended); !during {
			go e.rejects.run()
		}
		<-f.closed
		close(e.rejects.closed)
		<-e.rejects.finished
		if delivered != rejects {
			t.Errorf("%s: %d rejects were delivered, expected %d", name, delivered, rejects)
		}
		e.rejects = newRejectQueue(e) // for the end
	}
}

// Goal: the rings of a reader that has ended stay until they are empty. Method: two chunks in one of two rings, taken one by one.
func TestRingsStayUntilEmpty(t *testing.T) {
	e := handEngine(t, Config{Readers: []record.Reader{quiet{}, quiet{}}, Partitions: 2, Cores: 2})
	in := &inlet{engine: e, runner: e.runners[0], gone: make(chan struct{})}
	ends := make([]ringEnds, 2)
	for i := range ends {
		ends[i].in, ends[i].out = ring.New[core.Chunk](4)
	}
	in.addFlow(flow{rings: ends})
	ends[1].in.Reserve(2)
	ends[1].in.Commit(2)
	ends[1].out.Peek(1)
	all := 2 * 4 * core.ChunkBytes
	for step, want := range []int{all, all, all, 0, 0} {
		switch step {
		case 1:
			close(in.gone)
		case 2, 3:
			ends[1].out.Peek(1)
			ends[1].out.Release(1)
		}
		if got := in.compact(); got != want || (in.flows()[0].rings == nil) != (want == 0) {
			t.Fatalf("step %d: %d bytes of rings, expected %d; they are gone: %v", step, got, want,
				in.flows()[0].rings == nil)
		}
	}
	if st := in.flows()[0].ringStats(); fmt.Sprint(st[1].Pushed, st[1].Popped) != "2 2" {
		t.Errorf("%+v", st)
	}
}

// Goal: who wakes up is awake for everybody: else each publication would ring for a runner that runs. Method: a sleep that ends by its time, and one that ends by the bell.
func TestAwakeAfterSleep(t *testing.T) {
	for _, locked := range []bool{false, true} {
		if locked && !haveFutex {
			continue
		}
		b := newBell(locked)
		b.announce()
		if b.sleep(time.Microsecond); b.state.Load() != awake {
			t.Errorf("futex %v: it has slept for its time and says that it is parked", locked)
		}
		b.announce()
		b.Wake()
		if b.state.Load() != awake {
			t.Errorf("futex %v: it has been rung for and says that it is parked", locked)
		}
		if b.sleep(time.Minute); b.state.Load() != awake {
			t.Errorf("futex %v: it is awake and says that it is parked", locked)
		}
	}
}

// Goal: rows that a reader could not finish are dropped and counted: the rows of a call that panics, or of a batch whose columns are not as they should be. The rows before an error
// that says that it is one count.
func TestUnfinishedRowsAreCounted(t *testing.T) {
	e := handEngine(t, Config{Readers: []record.Reader{&fedReader{}}, Cores: 1})
	s := e.inlets.all()[0].source.base()
	b := record.NewBatch(e.cfg.Plan.Source, 8)
	rows := func(n int) {
		for range n {
			b.Add(0)
		}
	}
	for _, c := range []struct {
		name          string
		call          func(b *record.Batch) error
		left, dropped int
	}{
		{"whole", func(*record.Batch) error { rows(2); return nil }, 2, 0},
		{"before an error", func(*record.Batch) error { rows(3); return errors.New("no more") }, 3, 0},
		{"a panic", func(*record.Batch) error { rows(4); panic("in the reader") }, 0, 4},
		{"a column too short", func(b *record.Batch) error { rows(5); b.Column(0).Int64s = nil; return nil }, 0, 5},
	} {
		before := s.dropped.Load()
		err := s.read(b, c.call)
		if dropped := s.dropped.Load() - before; b.Len() != c.left || dropped != uint64(c.dropped) ||
			(err == nil) != (c.name == "whole") {
			t.Errorf("%s: %d rows are left and %d dropped, %v; expected %d and %d", c.name, b.Len(), dropped, err,
				c.left, c.dropped)
		}
	}
}

// lendingReader lends the same column again and again, with other values.
type lendingReader struct {
	lent  []int64
	calls int64
}

func (l *lendingReader) Read(ctx context.Context, b *record.Batch) error {
	if l.calls == 3 {
		return io.EOF
	}
	l.calls++
	for i := range l.lent {
		l.lent[i] = l.calls
	}
	b.Column(0).Int64s = l.lent
	b.SetLen(len(l.lent))
	return nil
}
func (l *lendingReader) Close() error { return nil }

// Goal: a batch that a pump has passed on stays as it was when the reader is called again. Method: the pump reads ahead as far as it can before anybody looks.
func TestPumpedBatchesAreKept(t *testing.T) {
	e := handEngine(t, Config{Readers: []record.Reader{&lendingReader{lent: make([]int64, 4)}}, Cores: 1})
	ps := e.inlets.all()[0].source.(*pumpSource)
	ps.pump.run(t.Context()) // it reads to the end: there are enough batches
	for want := int64(1); want <= 3; want++ {
		b, _ := ps.Next(0)
		if b == nil || b.Len() != 4 || b.Column(0).Int64s[0] != want {
			t.Fatalf("batch %d: %v", want, b)
		}
	}
}

// Goal: an engine has had MaxReaders readers and no more.
func TestReadersAtTheLimit(t *testing.T) {
	e := handEngine(t, Config{Readers: []record.Reader{quiet{}}, Cores: 1})
	was := e.inlets.list.Load()
	defer e.inlets.list.Store(was)
	ended := &inlet{engine: e, runner: e.runners[0], gone: make(chan struct{})} // its rings are gone
	for had, room := range map[int]bool{MaxReaders - 1: true, MaxReaders: false} {
		list := make([]*inlet, had)
		for i := range list {
			list[i] = ended
		}
		e.inlets.list.Store(&list)
		if _, err := e.room(); (err == nil) != room {
			t.Errorf("after %d readers: %v", had, err)
		}
	}
}
