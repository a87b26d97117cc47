package ring

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/velo-engine/velo/internal/invariants"
)

// verdict is what an outcome of a litmus test means.
type verdict string

const (
	acceptable  verdict = "acceptable"
	interesting verdict = "interesting" // allowed, and shows that the processor does reorder
	forbidden   verdict = "forbidden"
)

// A litmus test has two threads run a few operations on a fresh ring at the same time, again and again, and judges what they saw.
type litmus struct {
	name     string
	slots    int
	start    uint64 // position of the first slot
	prepare  func(p *Producer[uint64], c *Consumer[uint64])
	one, two func(l *litmusRound) uint64 // what each has seen
	outcomes map[string]verdict          // "one two"
}

// litmusRound is what the two threads share.
type litmusRound struct {
	p      *Producer[uint64]
	c      *Consumer[uint64]
	parked atomic.Uint32
}

// publish are the ways to hand one element over.
var publish = map[string]func(p *Producer[uint64], v uint64){
	"push":    func(p *Producer[uint64], v uint64) { p.Push(v); p.Flush() },
	"pushN":   func(p *Producer[uint64], v uint64) { p.PushN([]uint64{v}) },
	"commit":  func(p *Producer[uint64], v uint64) { p.Reserve(1)[0] = v; p.Commit(1) },
	"release": func(p *Producer[uint64], v uint64) { p.PushRelease(v) },
}

func litmusTests() []litmus {
	const nothing = 99
	pop := func(c *Consumer[uint64]) uint64 {
		if s := c.Peek(1); len(s) == 1 {
			v := s[0]
			c.Release(1)
			return v
		}
		return nothing
	}
	var tests []litmus
	for _, how := range slices.Sorted(maps.Keys(publish)) {
		push := publish[how]
		for _, start := range []uint64{0, ^uint64(0)} {
			tests = append(tests, litmus{
				// Message passing: who sees the tail sees the element, not what the slot held before.
				name: fmt.Sprintf("message/%s/start=%d", how, start), slots: 1, start: start,
				prepare: func(p *Producer[uint64], c *Consumer[uint64]) { push(p, 7); pop(c) },
				one:     func(l *litmusRound) uint64 { push(l.p, 1); return 0 },
				two:     func(l *litmusRound) uint64 { return pop(l.c) },
				outcomes: map[string]verdict{
					"0 99": acceptable, // came before
					"0 1":  acceptable,
					"0 7":  forbidden, // the tail without the element
				},
			}, litmus{
				// Recycling: what is being read is not overwritten.
				name: fmt.Sprintf("recycle/%s/start=%d", how, start), slots: 1, start: start,
				prepare: func(p *Producer[uint64], c *Consumer[uint64]) { push(p, 7) },
				one: func(l *litmusRound) uint64 {
					if l.p.Full() {
						return 0
					}
					push(l.p, 1)
					return 1
				},
				two: func(l *litmusRound) uint64 { return pop(l.c) },
				outcomes: map[string]verdict{
					"0 7": acceptable, // full
					"1 7": acceptable, // released before
					"0 1": forbidden, "1 1": forbidden, "0 99": forbidden, "1 99": forbidden,
				},
			})
		}
		// Store buffering, which the doorbell rests on: publish, then look whether the other sleeps; say that one sleeps, then look
		// once more. Both must not miss.
		both := forbidden
		if how == "release" {
			both = interesting // why its consumers must not sleep for ever
		}
		tests = append(tests, litmus{
			name: "doorbell/" + how, slots: 1,
			one: func(l *litmusRound) uint64 { push(l.p, 1); return uint64(l.parked.Load()) },
			two: func(l *litmusRound) uint64 {
				l.parked.Store(1)
				return uint64(len(l.c.Peek(1)))
			},
			outcomes: map[string]verdict{
				"0 0": both, // the runner sleeps and nobody wakes it
				"0 1": acceptable, "1 0": acceptable, "1 1": acceptable,
			},
		})
	}
	return append(tests, litmus{
		// The end: a ring that says drained has given everything out.
		name: "drained", slots: 4,
		one: func(l *litmusRound) uint64 { l.p.Push(1); l.p.Push(1); l.p.Close(); return 0 },
		two: func(l *litmusRound) uint64 {
			n := uint64(0)
			for !l.c.Drained() {
				if _, ok := l.c.Pop(); ok {
					n++
				}
			}
			return n
		},
		outcomes: map[string]verdict{"0 2": acceptable, "0 1": forbidden, "0 0": forbidden},
	})
}

// Goal: no outcome that the protocols forbid. Method: many rounds of two threads that start together; what was seen is counted and
// logged, an outcome that is not in the table is forbidden.
func TestLitmus(t *testing.T) {
	rounds := 100_000
	if testing.Short() || invariants.Enabled { // with the race detector a round takes ten times as long
		rounds = 10_000
	}
	for _, l := range litmusTests() {
		t.Run(l.name, func(t *testing.T) {
			seen := l.run(rounds)
			var lines []string
			for outcome, n := range seen {
				v, ok := l.outcomes[outcome]
				if !ok {
					v = forbidden
				}
				lines = append(lines, fmt.Sprintf("%-6s %-11s %d", outcome, v, n))
				if v == forbidden {
					t.Errorf("%q is forbidden and came %d times", outcome, n)
				}
			}
			slices.Sort(lines)
			t.Log("\n" + strings.Join(lines, "\n"))
		})
	}
}

// run runs the test for n rounds and counts the outcomes.
func (l *litmus) run(rounds int) map[string]int {
	seen := map[string]int{}
	var round [2]atomic.Int64 // that each thread is ready for, and has seen
	var shared atomic.Pointer[litmusRound]
	var answer uint64
	fresh := func() {
		p, c := newAt[uint64](l.slots, l.start)
		if l.prepare != nil {
			l.prepare(p, c)
		}
		shared.Store(&litmusRound{p: p, c: c})
	}
	wait := func(w *atomic.Int64, n int64) {
		for spins := 0; w.Load() < n; spins++ {
			if spins > 1000 { // one core
				runtime.Gosched()
			}
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := int64(1); n <= int64(rounds); n++ {
			wait(&round[0], n)
			answer = l.two(shared.Load())
			round[1].Store(n)
		}
	}()
	for n := int64(1); n <= int64(rounds); n++ {
		fresh()
		round[0].Store(n)
		for range n % 256 { // so that either comes first about as often
		}
		one := l.one(shared.Load())
		wait(&round[1], n)
		seen[fmt.Sprint(one, answer)]++
	}
	<-done
	return seen
}
