package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

const brief = 2 * time.Millisecond

// testStage is where tests measure: they share their CPUs with other tests and thus yield.
func testStage(t *testing.T) *stage {
	t.Helper()
	s, err := newStage("", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s.yields = true
	return s
}

// Goal: everything that is measured carries all items in order, in every case. Method: brief measurements, which check that
// themselves; of batches, here, every item.
func TestInOrder(t *testing.T) {
	s := testStage(t)
	for _, p := range inGo {
		for _, c := range p.cases {
			t.Run(p.name+"/"+c, func(t *testing.T) {
				checked := *p
				checked.burst = min(p.burst, 1<<12) // under the race detector a burst takes long
				checked.open = func(slots int) pipe {
					q := p.open(slots)
					if b, ok := q.(*veloBatch); ok {
						b.all = true
					}
					return q
				}
				for _, slots := range []int{turn, 1024} {
					if nanos, err := s.measure(&checked, c, slots, brief); err != nil || nanos <= 0 {
						t.Errorf("%d slots: %v ns, %v", slots, nanos, err)
					}
				}
			})
		}
	}
}

// swapping carries items in the wrong order, two by two.
type swapping struct{ channel }

func (q swapping) produce(first uint64, n int) {
	for v := first; v != first+uint64(n); v++ {
		q.channel <- v ^ 1
	}
}

// Goal: a queue that mixes items up is found out, in every case.
func TestDisorderIsFound(t *testing.T) {
	s := testStage(t)
	broken := &peer{burst: 1 << 10, open: func(slots int) pipe { return swapping{make(channel, slots)} }}
	for _, c := range items {
		if _, err := s.measure(broken, c, turn, brief); err == nil || !strings.Contains(err.Error(), "out of order") {
			t.Errorf("%s: %v", c, err)
		}
	}
	for _, open := range []func(int) pipe{veloBatchOf(64), newVeloChunks} {
		q := open(turn)
		q.produce(0, 1)
		if q.consume(1, 1) == 0 {
			t.Errorf("%T: item 0 passes for item 1", q)
		}
	}
	for _, at := range []int{0, chunkBytes - 1} {
		var c chunk
		c.number(7)
		if c[at] ^= 1 << 7; c.differs(7) == 0 {
			t.Errorf("a chunk passes whose byte %d is another", at)
		}
	}
	b := veloBatchOf(64)(turn).(*veloBatch)
	b.all = true
	b.produce(0, 64)
	s0 := b.c.Peek(64)
	s0[20], s0[21] = s0[21], s0[20]
	if b.consume(0, 64) == 0 {
		t.Error("a disordered batch passes")
	}
}

// Goal: the C++ queue carries all items in order, and its program refuses what it does not know.
func TestCPP(t *testing.T) {
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("there is no g++")
	}
	c, err := buildCPP()
	if err != nil {
		t.Fatal(err)
	}
	defer c.remove()
	s := testStage(t)
	for _, kind := range items {
		if v, err := c.measure(s, kind, turn, brief); err != nil || v <= 0 {
			t.Errorf("%s: %v, %v", kind, v, err)
		}
	}
	if _, err := c.measure(s, "sideways", turn, brief); err == nil || !strings.Contains(err.Error(), "sideways") {
		t.Errorf("an unknown case: %v", err)
	}
}

// Goal: only what was measured at one floor is compared, and the common floor is the least that is not a rarity.
func TestFloors(t *testing.T) {
	m := &measurement{taken: []sample{{1, 100, 110}, {2, 540, 550}, {3, 95, 560}, {4, 105, 98}, {5, 560, 530}, {6, 545, 101}, {7, 550, 540}, {8, 50, 100}}}
	common := commonFloor([]*measurement{m})
	if common < 95 || common > 110 {
		t.Errorf("common floor %v, expected about 100", common)
	}
	if got := m.at(common); len(got) != 2 || got[0] != 1 || got[1] != 4 {
		t.Errorf("values %v, expected 1 and 4", got)
	}
	if got := m.at(0); len(got) != len(m.taken) {
		t.Errorf("values %v, expected all", got)
	}
	if f := commonFloor([]*measurement{{taken: []sample{{value: 1}}}}); f != 0 {
		t.Errorf("floor %v where nobody looked", f)
	}
}

// Goal: a run prints one line per measurement that a program can read.
func TestRun(t *testing.T) {
	var out, messages bytes.Buffer
	if err := run([]string{"--passes=2", "--seconds=0.002", "--only=^(velo-push|xsync|channel)/same"}, &out, &messages); err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(out.String()) {
		var r result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if r.Min > r.Value || r.Value > r.Max || r.Value <= 0 || r.Passes != 2 || r.ItemBytes != 8 || r.Unit != "M/s" {
			t.Errorf("%+v", r)
		}
		names = append(names, r.Impl)
	}
	if got := strings.Join(names, " "); got != "velo-push xsync channel" {
		t.Errorf("measured %q\n%s", got, messages.String())
	}
	for _, args := range [][]string{{"--passes=0"}, {"--slots=100"}, {"--cpus=0-2"}, {"--only=("}} {
		if err := run(args, io.Discard, io.Discard); err == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
