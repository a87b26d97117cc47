package engine

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// bomb is an agent that panics when it is stepped.
type bomb struct{ core.Agent }

func (b bomb) Step(core.Nanos) int { panic("in an agent") }

type quiet struct{}

func (quiet) Read(ctx context.Context, _ *record.Batch) error { <-ctx.Done(); return ctx.Err() }
func (quiet) Close() error                                    { return nil }

// Goal: a panic in a partition fails the plan and nothing else: Wait returns it with the agent's name, all runners end, another
// engine goes on. Method: an agent is replaced by one that panics before the engine is launched.
func TestPanicInAgent(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Plan:    &plan.Plan{Source: schema, Keys: []string{"k"}},
		Readers: []record.Reader{quiet{}, quiet{}}, Partitions: 2, Cores: 2,
	}
	other, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	e, err := newEngine(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range e.runners {
		for i := range r.agents {
			if r.agents[i].name == "partition/1" {
				r.agents[i].Agent = bomb{r.agents[i].Agent}
			}
		}
	}
	e.launch(t.Context())
	err = e.Wait()
	if err == nil || !strings.Contains(err.Error(), "panic in partition/1: in an agent") {
		t.Fatalf("%v, expected the panic with the name of its agent", err)
	}
	select {
	case <-other.done:
		t.Fatal("the other engine has ended too")
	case <-time.After(20 * time.Millisecond):
	}
	if err := other.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Goal: no wake-up is lost. Method: two goroutines play ping-pong over their bells, each sleeping with a time-out that is far longer
// than a sleep may take; a lost wake-up would show as a sleep that takes it.
func TestBellLosesNoWakeUp(t *testing.T) {
	for name, locked := range map[string]bool{"futex": true, "channel": false} {
		if locked && !haveFutex {
			continue
		}
		a, b := newBell(locked), newBell(locked)
		var ball [2]atomic.Uint64
		const rounds = 20_000
		play := func(mine, theirs *bell, my, their int) {
			for i := uint64(1); i <= rounds; i++ {
				if my == 0 {
					ball[their].Store(i)
					theirs.Wake()
				}
				for ball[my].Load() < i {
					mine.announce()
					if ball[my].Load() >= i {
						mine.retract()
						break
					}
					began := time.Now()
					mine.sleep(time.Minute)
					if took := time.Since(began); took > 50*time.Second {
						t.Errorf("%s: a sleep took %v: a wake-up was lost", name, took)
						return
					}
				}
				if my == 1 {
					ball[their].Store(i)
					theirs.Wake()
				}
			}
		}
		done := make(chan struct{})
		go func() { play(b, a, 1, 0); close(done) }()
		play(a, b, 0, 1)
		<-done
	}
}

// paced is an agent whose steps take what the test says, on a clock of its own.
type paced struct {
	core.Agent
	stall core.Stall
}

func (p paced) Stall() core.Stall { return p.stall }

// Goal: steps, stalls by cause, and who starved whom, from the times of the steps. Method: a script of them.
func TestTally(t *testing.T) {
	r := &runner{agents: []stepper{
		{Agent: paced{}, name: "reader/0"},
		{Agent: paced{stall: core.StallRing}, name: "partition/0"},
	}}
	const ms = core.Nanos(time.Millisecond)
	reader, partition := &r.agents[0], &r.agents[1]

	r.worked(0, 0, ms/2) // a short step starves nobody
	r.worked(1, ms/2, ms)
	if reader.tally.steps != 1 || reader.tally.long != 0 || partition.tally.starved != 0 {
		t.Fatalf("%+v\n%+v", reader.tally, partition.tally)
	}
	r.worked(0, ms, 6*ms) // a long one does
	r.worked(1, 6*ms, 7*ms)
	if reader.tally.long != 1 || reader.tally.longest != 5*time.Millisecond || reader.tally.starved != 0 {
		t.Fatalf("%+v", reader.tally)
	}
	if p := partition.tally; p.starved != 1 || p.by != 0 || p.waited != 5*time.Millisecond ||
		p.busy != 3*time.Millisecond/2 {
		t.Fatalf("%+v", p)
	}
	r.worked(0, 7*ms, 17*ms) // but not who has no work at its turn
	partition.idle(17 * ms)
	partition.idle(18 * ms)
	r.worked(1, 20*ms, 20*ms+ms/2)
	if p := partition.tally; p.starved != 1 || p.stalls[core.StallRing] != (StallStats{1, 3 * time.Millisecond}) {
		t.Fatalf("%+v", p)
	}
	// A stall whose cause changes is two.
	partition.idle(21 * ms)
	partition.Agent = paced{stall: core.StallInput}
	partition.idle(23 * ms)
	r.worked(1, 24*ms, 24*ms)
	if p := partition.tally; p.stalls[core.StallRing] != (StallStats{2, 5 * time.Millisecond}) ||
		p.stalls[core.StallInput] != (StallStats{1, time.Millisecond}) {
		t.Fatalf("%+v", p.stalls)
	}
}

// Goal: runners wait as their policy says. Method: an engine that has nothing to do, its parks and the CPU time of its runner.
func TestWaitPolicies(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	for _, policy := range []WaitPolicy{WaitPark, WaitYield, WaitSpin} {
		for _, noPin := range []bool{false, true} {
			e, err := Start(t.Context(),
				Config{
					Plan: &plan.Plan{Source: schema, Keys: []string{"k"}}, Readers: []record.Reader{quiet{}},
					Cores: 1, Wait: policy, NoPin: noPin,
				})
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(60 * time.Millisecond)
			st := e.Stats().Runners[0]
			for end := time.Now().Add(time.Minute); time.Now().Before(end); st = e.Stats().Runners[0] {
				if policy == WaitPark && st.Parks > 0 || policy != WaitPark && st.Turns >= 2 {
					break
				}
				time.Sleep(10 * time.Millisecond) // the machine has other work
			}
			if parked := st.Parks > 0; parked != (policy == WaitPark) {
				t.Errorf("%v, not pinned %v: parked %d times", policy, noPin, st.Parks)
			}
			if policy != WaitPark && st.Turns < 2 {
				t.Errorf("%v: %d turns in a minute", policy, st.Turns)
			}
			if err := e.Shutdown(t.Context()); err != nil { // a runner that does not park sees the end too
				t.Fatal(err)
			}
		}
	}
}

// Goal: a command that nobody will take does not hang its sender: the runner has ended after the last look at its mailbox.
func TestSendAfterTheLastLook(t *testing.T) {
	r := &runner{bell: newBell(false), mailbox: newMailbox(), ended: make(chan struct{})}
	close(r.ended)
	if err := (&Engine{}).send(t.Context(), r, func() { t.Error("done") }); !errors.Is(err, ErrEnded) {
		t.Fatal(err)
	}
	r.mailbox.box.Dispose()
	if err := (&Engine{}).send(t.Context(), r, func() { t.Error("done") }); !errors.Is(err, ErrEnded) {
		t.Fatal(err)
	}
	r = &runner{bell: newBell(false), mailbox: newMailbox(), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := (&Engine{}).send(ctx, r, func() {}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
