package engine

import (
	"testing"
	"time"

	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
)

// Goal: Stats has the last saves with their times and sizes, a bounded number of them, and what it
// has given out does not change. Method: more saves than are kept.
func TestLastCheckpoints(t *testing.T) {
	schema, err := record.NewSchema("ticks", record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		t.Fatal(err)
	}
	r := &timedReader{at: make(chan time.Time), lag: []record.Lag{}}
	e, err := Start(t.Context(), Config{
		Plan:       &plan.Plan{Source: schema, Aggregates: []plan.Aggregate{{Func: plan.Count, Name: "n"}}},
		Partitions: 1, Cores: 1, NoPin: true, Readers: []record.Reader{r},
		State: &State{Path: t.TempDir(), Interval: time.Hour, NoSync: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	begin := time.Now()
	var early []StateEvent
	for i := range MaxCheckpoints + 5 {
		r.at <- time.Unix(int64(i), 0)
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			early = e.Stats().State.Last
		}
	}
	s := e.Stats().State
	newest := s.Last[len(s.Last)-1]
	if len(s.Last) != MaxCheckpoints || newest.Generation != s.Generation || newest.Bytes != s.Bytes ||
		newest.At.Before(begin) || newest.Kind != Saved {
		t.Errorf("%d saves, the newest is %+v, and the state %+v", len(s.Last), newest, s)
	}
	for i := range s.Last[1:] {
		if s.Last[i+1].Generation != s.Last[i].Generation+1 {
			t.Errorf("after generation %d comes %d", s.Last[i].Generation, s.Last[i+1].Generation)
		}
	}
	if newestEarly := early[len(early)-1]; newestEarly.Generation > 6 {
		t.Errorf("what had been given out has changed: %+v", early)
	}
}
