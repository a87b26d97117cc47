package engine

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
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
		Plan:    &core.Plan{Source: schema, Keys: []string{"k"}},
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

// Goal: agents are dealt to runners so that each has one, or so that reader i meets partition i.
func TestAssign(t *testing.T) {
	for _, c := range []struct {
		readers, partitions, cores int
		want                       string
	}{
		{1, 1, 1, "r0 p0"},
		{1, 1, 2, "r0|p0"},
		{1, 1, 8, "r0|p0"},
		{2, 2, 2, "r0 p0|r1 p1"},
		{2, 2, 4, "r0|r1|p0|p1"},
		{2, 2, 3, "r0 p0|r1 p1"},
		{3, 1, 2, "r0 r2 p0|r1"},
		{1, 4, 2, "r0 p0 p2|p1 p3"},
	} {
		var runners []string
		for _, team := range assign(c.readers, c.partitions, c.cores) {
			var agents []string
			for _, a := range team {
				if a < c.readers {
					agents = append(agents, "r"+string(rune('0'+a)))
				} else {
					agents = append(agents, "p"+string(rune('0'+a-c.readers)))
				}
			}
			runners = append(runners, strings.Join(agents, " "))
		}
		if got := strings.Join(runners, "|"); got != c.want {
			t.Errorf("%d readers, %d partitions on %d cores: %s, expected %s", c.readers, c.partitions, c.cores, got, c.want)
		}
	}
}

// Goal: no wake-up is lost. Method: two goroutines play ping-pong over their bells, each sleeping with a time-out that is far longer
// than the test may take; a lost wake-up would show as a round that takes it.
func TestBellLosesNoWakeUp(t *testing.T) {
	for name, locked := range map[string]bool{"futex": true, "channel": false} {
		if locked && !haveFutex {
			continue
		}
		a, b := newBell(locked), newBell(locked)
		var ball [2]atomic.Uint64
		const rounds = 20_000
		began := time.Now()
		play := func(mine, theirs *bell, my, their int) {
			for i := uint64(1); i <= rounds; i++ {
				if my == 0 {
					ball[their].Store(i)
					theirs.Ring()
				}
				for ball[my].Load() < i {
					mine.announce()
					if ball[my].Load() >= i {
						mine.retract()
						break
					}
					mine.sleep(time.Minute)
				}
				if my == 1 {
					ball[their].Store(i)
					theirs.Ring()
				}
			}
		}
		done := make(chan struct{})
		go func() { play(b, a, 1, 0); close(done) }()
		play(a, b, 0, 1)
		<-done
		if took := time.Since(began); took > 50*time.Second {
			t.Fatalf("%s: %d rounds took %v: a wake-up was lost", name, rounds, took)
		}
	}
}
