package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// did is what an agent did in ten seconds.
func did(name string, runner int, busy time.Duration, stalls map[core.Stall]time.Duration) AgentStats {
	a := AgentStats{Name: name, Runner: runner, Busy: busy}
	for cause, d := range stalls {
		a.Stalls[cause] = StallStats{Count: 1, Time: d}
	}
	return a
}

// arrived adds when the reader of an agent last brought records.
func arrived(a AgentStats, at time.Duration) AgentStats {
	a.Arrived = at
	return a
}

// Goal: the sentence names the agent that the others wait for, and not one of those that wait.
// Method: a table of what agents did in ten seconds, two readers and two partitions.
func TestBottleneck(t *testing.T) {
	type stalls = map[core.Stall]time.Duration
	const s = time.Second
	for _, c := range []struct {
		name   string
		agents []AgentStats
		ended  bool
		limit  Limit
		agent  string
		text   string
	}{
		{
			"the sources bring little",
			[]AgentStats{
				did("reader/0", 0, s, stalls{core.StallInput: 9 * s}),
				did("reader/1", 1, 3*s, stalls{core.StallInput: 7 * s}),
				did("partition/0", 2, s, stalls{core.StallInput: 9 * s}), did("partition/1", 3, s, nil),
			},
			false, LimitInput, "",
			"The sources are the bottleneck: every reader waited for records at least 70 % of the last 10 s.",
		},
		{
			"the sources bring nothing",
			[]AgentStats{
				arrived(did("reader/0", 0, 0, stalls{core.StallInput: 10 * s}), 48*s),
				arrived(did("reader/1", 1, 0, stalls{core.StallInput: 9 * s}), 20*s),
				did("partition/0", 2, 0, stalls{core.StallInput: 10 * s}),
			},
			false, LimitIdle, "",
			"Nothing arrives: the last record came 12 s ago.",
		},
		{
			"the sources have brought nothing yet",
			[]AgentStats{did("reader/0", 0, 0, stalls{core.StallInput: 10 * s})},
			false, LimitIdle, "",
			"Nothing arrives: no source has brought a record since the start, 60 s ago.",
		},
		{
			"one partition is full",
			[]AgentStats{
				did("reader/0", 0, 4*s, stalls{core.StallRing: 6 * s}),
				did("reader/1", 1, 4*s, stalls{core.StallRing: 5 * s}),
				did("partition/0", 2, 3*s, stalls{core.StallInput: 7 * s}),
				did("partition/1", 3, 9900*time.Millisecond, nil),
			},
			false, LimitPartition, "partition/1",
			"Partition 1 is the bottleneck: its thread worked 99 % of the last 10 s, and reader 0 (a.csv) waited " +
				"for room " +
				"in a ring 60 %.",
		},
		{
			"the writer is slow, so partitions and readers wait",
			[]AgentStats{
				did("reader/0", 0, s, stalls{core.StallRing: 9 * s}),
				did("reader/1", 1, s, stalls{core.StallRing: 9 * s}),
				did("partition/0", 2, s, stalls{core.StallOutput: 8 * s}), did("partition/1", 3, s, nil),
			},
			false, LimitOutput, "partition/0",
			"The writer is the bottleneck: partition 0 waited for it 80 % of the last 10 s.",
		},
		{
			"one reader routes all the time",
			[]AgentStats{
				did("reader/0", 0, 9500*time.Millisecond, nil), did("reader/1", 1, s, stalls{core.StallInput: 9 * s}),
				did("partition/0", 2, 2*s, stalls{core.StallInput: 8 * s}), did("partition/1", 3, s, nil),
			},
			false, LimitReader, "reader/0",
			"Reader 0 (a.csv) is the bottleneck: its thread worked 95 % of the last 10 s.",
		},
		{
			"two agents share a thread",
			[]AgentStats{
				did("reader/0", 0, 6*s, stalls{core.StallRing: 4 * s}),
				did("partition/0", 0, 3*s, stalls{core.StallInput: s}),
				did("reader/1", 1, s, stalls{core.StallInput: 9 * s}),
				did("partition/1", 1, s, stalls{core.StallInput: 9 * s}),
			},
			false, LimitRunner, "partition/0",
			"Thread 0 is the bottleneck: its 2 agents worked 90 % of the last 10 s, most of it partition 0; more cores " +
				"would help.",
		},
		{
			"windows are held back",
			[]AgentStats{
				did("reader/0", 0, s, stalls{core.StallWindows: 7 * s}),
				did("reader/1", 1, s, stalls{core.StallInput: 9 * s}),
				did("partition/0", 2, s, stalls{core.StallInput: 9 * s}),
			},
			false, LimitWindows, "reader/0",
			"Open windows are the bottleneck: reader 0 (a.csv) waited for some to close 70 % of the last 10 s; " +
				"reader 1 " +
				"(b.csv) is the furthest behind in event time.",
		},
		{
			"memory",
			[]AgentStats{did("reader/0", 0, s, nil), did("partition/0", 1, s, stalls{core.StallMemory: 5 * s})},
			false, LimitMemory, "partition/0",
			"Memory is the bottleneck: partition 0 waited for room for new groups 50 % of the last 10 s.",
		},
		{
			"the quarantine",
			[]AgentStats{did("reader/1", 0, s, stalls{core.StallQuarantine: 4 * s})},
			false,
			LimitQuarantine, "reader/1",
			"The quarantine is the bottleneck: reader 1 (b.csv) waited for room for records that are set aside 40 % of " +
				"the last 10 s.",
		},
		{
			"a thread of a second plan",
			[]AgentStats{
				did("reader/0", 0, s, stalls{core.StallRing: 8 * s}), did("plan/1/partition/0", 1, 9*s, nil),
			},
			false, LimitPartition, "plan/1/partition/0",
			"Plan 1, partition 0 is the bottleneck: its thread worked 90 % of the last 10 s, and reader 0 " +
				"(a.csv) waited " +
				"for room in a ring 80 %.",
		},
		{
			"time to spare",
			[]AgentStats{
				did("reader/0", 0, 5*s, stalls{core.StallInput: 2 * s}),
				did("partition/0", 1, 6*s, stalls{core.StallInput: 4 * s}),
			},
			false, LimitNone, "partition/0",
			"There is no bottleneck: the busiest is partition 0, which worked 60 % of the last 10 s.",
		},
		{
			"the end",
			[]AgentStats{did("reader/0", 0, s, nil), did("reader/1", 0, s, nil)},
			true, LimitNone, "",
			"All readers have ended.",
		},
		{"nothing yet", nil, false, LimitUnknown, "", "there is nothing to compare yet"},
	} {
		t.Run(c.name, func(t *testing.T) {
			// the same before: only what has come since counts
			earlier := Stats{Elapsed: 50 * s}
			now := Stats{
				Elapsed: 60 * s, Windowed: true,
				Readers: []ReaderStats{
					{Name: "a.csv", Watermark: Watermark{At: time.Unix(100, 0)}},
					{Name: "b.csv", Watermark: Watermark{At: time.Unix(50, 0)}},
				},
			}
			if c.limit != LimitIdle {
				now.Readers[1].In = 7
			}
			for _, a := range c.agents {
				then := did(a.Name, a.Runner, 20*s, stalls{core.StallOutput: 30 * s, core.StallInput: s})
				earlier.Agents = append(earlier.Agents, then)
				a.Busy += then.Busy
				for i := range a.Stalls {
					a.Stalls[i].Time += then.Stalls[i].Time
				}
				now.Agents = append(now.Agents, a)
				now.Runners = append(now.Runners, RunnerStats{CPU: -1})
			}
			for i := range now.Readers {
				if c.ended {
					now.Readers[i].State = Ended
				}
			}
			b := now.Bottleneck(earlier)
			if b.Limit != c.limit || b.Agent != c.agent || b.Text != c.text {
				t.Errorf("%v, %q: %s\nexpected %v, %q: %s", b.Limit, b.Agent, b.Text, c.limit, c.agent, c.text)
			}
		})
	}
}

// endlessReader brings records all the time.
type endlessReader struct{}

func (endlessReader) Read(ctx context.Context, b *record.Batch) error {
	b.SetLen(b.Cap())
	return ctx.Err()
}

func (endlessReader) Close() error { return nil }

// oneBatch brings one batch and then waits.
type oneBatch struct{ brought bool }

func (r *oneBatch) Read(ctx context.Context, b *record.Batch) error {
	if !r.brought {
		r.brought = true
		b.SetLen(b.Cap())
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (*oneBatch) Close() error { return nil }

// Goal: an engine whose source has stopped to bring records says so, and since when; the time grows
// and does not begin anew with epochs. Method: a reader that brings one batch, and snapshots every
// 20 ms.
func TestBottleneckOfSilence(t *testing.T) {
	schema, err := record.NewSchema("numbers", record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Start(t.Context(), Config{
		Plan: &plan.Plan{
			Source: schema, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		},
		Partitions: 1, Cores: 1, NoPin: true, EpochInterval: 20 * time.Millisecond,
		Readers: []record.Reader{&oneBatch{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var first time.Duration
	earlier := e.Stats()
	for deadline := time.Now().Add(time.Minute); ; {
		time.Sleep(1200 * time.Millisecond)
		now := e.Stats()
		b, since := now.Bottleneck(earlier), now.Idle()
		if b.Limit == LimitIdle && strings.HasPrefix(b.Text, "Nothing arrives: the last record came ") {
			if first == 0 {
				first = since
			} else if since != first {
				t.Fatalf("records came last at %v, and before that at %v", since, first)
			} else if now.Elapsed-since > 3*time.Second {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, %v\n%v", b, since, now)
		}
		earlier = now
	}
}

// stuckWriter waits until it is released.
type stuckWriter struct{ release chan struct{} }

func (w *stuckWriter) Write(context.Context, *record.Batch) error {
	<-w.release
	return nil
}

func (*stuckWriter) Close() error { return nil }

// Goal: a writer that hangs is named while it hangs, not only after it has returned. Method: an
// engine whose writer waits, looked at twice.
func TestBottleneckOfAStallThatGoesOn(t *testing.T) {
	schema, err := record.NewSchema("numbers", record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	w := &stuckWriter{release: make(chan struct{})}
	e, err := Start(t.Context(), Config{
		Plan:       &plan.Plan{Source: schema, Select: []plan.Output{{Name: "n", Expr: expr.Column(schema, 0)}}},
		Partitions: 1, Cores: 2, NoPin: true, Writer: w,
		Readers: []record.Reader{endlessReader{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	defer close(w.release)
	deadline := time.Now().Add(time.Minute)
	for {
		earlier := e.Stats()
		time.Sleep(2500 * time.Millisecond) // counters of a runner that sleeps are up to a second old
		now := e.Stats()
		b := now.Bottleneck(earlier)
		if b.Limit == LimitOutput && strings.HasPrefix(b.Text, "The writer is the bottleneck: partition 0 waited") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v\n%v", b, now)
		}
	}
}
