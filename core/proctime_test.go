package core

import (
	"slices"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// clockSource gives a batch when it is told to.
type clockSource struct {
	next     *record.Batch
	end      bool
	complete bool
}

func (s *clockSource) Next(Nanos) (*record.Batch, bool) {
	b := s.next
	s.next = nil
	return b, b == nil && s.end
}
func (s *clockSource) Quarantine(record.Reject) bool { return true }
func (s *clockSource) Drained(uint64) bool           { return true }
func (s *clockSource) Wake() Nanos                   { return Never }
func (s *clockSource) Complete() bool                { return s.complete }

// Goal: windows by processing time have the records that came in them, close as time goes by without any, are held up by no reader that brings nothing or has failed, and the last is not closed by a
// failure. Method: time as it is given to Step.
func TestProcessingTime(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	pl := &plan.Plan{
		Source: schema, Keys: []string{"k"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		Window: &plan.Window{
			Windows:        window.Windows{Kind: window.Tumbling, Size: 10 * time.Second},
			ProcessingTime: true, Retain: plan.MaxRetain,
		},
	}
	sources := []*clockSource{{}, {}}
	cuts := NewCuts(pl, plan.Route{}, 2, 1, 0, nil, func() {})
	cuts.Origin = int64(time.Hour)
	var routers []*Router
	var outs []*ring.Consumer[Chunk]
	for i, s := range sources {
		in, out := ring.New[Chunk](4)
		r, err := NewRouter(plan.ReaderID(i), pl, s, plan.Route{}, Fold{Exchange: plan.Exchange(2 + i), Bytes: 1 << 20},
			[]*ring.Producer[Chunk]{in}, []Bell{noBell{}}, nil, nil, cuts)
		if err != nil {
			t.Fatal(err)
		}
		routers, outs = append(routers, r), append(outs, out)
	}
	p, err := NewPartition(0, pl, outs, []Bell{noBell{}, noBell{}}, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := result.ColumnOf[int64](pl, "n")
	start, _ := result.ColumnOf[int64](pl, plan.WindowStart)
	seconds := func(nanos int64) int64 { return (nanos - int64(time.Hour)) / int64(time.Second) }
	step := func(now time.Duration) {
		for range 50 {
			for _, r := range routers {
				r.Step(Nanos(now))
			}
			p.Step(Nanos(now))
		}
	}
	bring := func(i, rows int) {
		b := record.NewBatch(schema, rows)
		for range rows {
			b.Add(0)
		}
		sources[i].next = b
	}
	look := func(now time.Duration, closed int64, want ...[2]int64) {
		t.Helper()
		cuts.Want()
		step(now)
		c, slot := cuts.Pin()
		defer cuts.Unpin(slot)
		var got [][2]int64
		for row := range c.All() {
			got = append(got, [2]int64{seconds(start.Of(row)), n.Of(row)})
		}
		if end, ok := c.Closed(); !ok || seconds(end) != closed || !slices.Equal(got, want) {
			t.Fatalf("at %v: closed up to %d, %v; expected %d, %v", now, seconds(end), got, closed, want)
		}
	}
	bring(0, 3)
	step(2 * time.Second)
	bring(1, 4)
	step(9999 * time.Millisecond)
	look(9999*time.Millisecond, 0, [2]int64{0, 7})
	look(10*time.Second, 10, [2]int64{0, 7}) // nothing came
	bring(0, 1)
	step(10 * time.Second)
	look(25*time.Second, 20, [2]int64{0, 7}, [2]int64{10, 1})
	sources[1].end = true // it fails
	step(26 * time.Second)
	bring(0, 2)
	step(27 * time.Second)
	look(31*time.Second, 30, [2]int64{0, 7}, [2]int64{10, 1}, [2]int64{20, 2})
	bring(0, 5)
	step(32 * time.Second)
	sources[0].end = true // as does the other
	step(33 * time.Second)
	step(99 * time.Second)
	c, slot := cuts.Pin()
	defer cuts.Unpin(slot)
	if end, _ := c.Closed(); !p.Done() || !cuts.IsLast(slot) || seconds(end) != 30 || c.Len() != 4 {
		t.Fatalf("at the end: done %v, closed up to %d, %d groups", p.Done(), seconds(end), c.Len())
	}
	for _, bad := range []plan.Window{
		{Windows: window.Windows{Kind: window.Session, Size: time.Second}, ProcessingTime: true},
		{Windows: window.Windows{Kind: window.Tumbling, Size: time.Second}, ProcessingTime: true, OutOfOrder: 1},
		{Windows: window.Windows{Kind: window.Tumbling, Size: time.Second}, ProcessingTime: true, Column: "k"},
	} {
		if err := (&plan.Plan{Source: schema, Keys: []string{"k"}, Window: &bad}).Validate(); err == nil {
			t.Errorf("%+v is valid", bad)
		}
	}
}
