package bench

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/cputime"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// An IdlePoint is what an engine with nothing to do costs, and how long a record takes that comes
// then.
type IdlePoint struct {
	Source  string  `json:"source"`          // feed, or pumped reader
	Wakeups float64 `json:"wakeups_per_sec"` // how often the runner went back to sleep, a second
	// Engine is the part of a core that the engine's threads took, and Process what all threads of
	// the process did, with the pump and the runtime; 0 if the system does not say.
	Engine  float64 `json:"engine_core_share"`
	Process float64 `json:"process_core_share"`
	// Visible is how long records took from the call that gives them to the engine until a snapshot
	// had them, each after a pause in which the engine slept.
	P50     float64 `json:"visible_p50_us"`
	Longest float64 `json:"visible_max_us"`
	Records int     `json:"records"`
}

// IdleSources are the sources that Idle knows.
var IdleSources = []string{"feed", "pumped reader"}

const (
	// idleSettle is how long the waits of an engine grow until it sleeps as long as it will.
	idleSettle = time.Second

	// idlePause is the pause before each record, in which the engine goes to sleep again. It is
	// longer than the interval between epochs.
	idlePause = 150 * time.Millisecond

	// idleLook is the time between two looks whether a record is visible.
	idleLook = 20 * time.Microsecond

	// idleRecords is how many records come.
	idleRecords = 10
)

// Idle measures an engine that has nothing to do for d, for each of the sources, and then how long
// some records take. The engine has one core, and the default interval between epochs: each record
// comes after a longer pause, so that an epoch is due.
func Idle(d time.Duration, each func(IdlePoint)) error {
	for _, source := range IdleSources {
		p, err := idle(source, d)
		if err != nil {
			return err
		}
		each(p)
	}
	return nil
}

// A giver is a source to which one record at a time is given.
type giver struct {
	reader record.Reader
	give   func(int64) error
}

func newGiver(source string) (giver, error) {
	if source == "feed" {
		feed, err := readers.NewFeed[latencyRecord](nil, readers.FeedConfig{})
		if err != nil {
			return giver{}, err
		}
		lane, err := feed.Lane()
		if err != nil {
			return giver{}, err
		}
		return giver{feed, func(v int64) error { return lane.Send(context.Background(), latencyRecord{v, v}) }}, nil
	}
	r := &givenReader{values: make(chan int64), ended: make(chan struct{})}
	return giver{r, func(v int64) error { r.values <- v; return nil }}, nil
}

// A givenReader blocks until a record is given to it.
type givenReader struct {
	values chan int64
	ended  chan struct{}
}

// Read waits for the next record.
func (r *givenReader) Read(ctx context.Context, b *record.Batch) error {
	select {
	case v := <-r.values:
		b.Add(0)
		b.Column(0).Int64s[0], b.Column(1).Int64s[0] = v, v
		return nil
	case <-r.ended:
		return io.EOF
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close does nothing.
func (r *givenReader) Close() error { return nil }

// startIdle starts an engine over a source that has nothing yet.
func startIdle(source string) (*engine.Engine, giver, error) {
	g, err := newGiver(source)
	if err != nil {
		return nil, g, err
	}
	e, err := engine.Start(context.Background(), engine.Config{
		Plan: Workload{}.Plan(), Readers: []record.Reader{g.reader}, Partitions: 1, Cores: 1,
	})
	return e, g, err
}

func idle(source string, d time.Duration) (IdlePoint, error) {
	x := IdlePoint{Source: source, Records: idleRecords}
	e, g, err := startIdle(source)
	if err != nil {
		return x, err
	}
	defer e.Close()
	<-time.After(idleSettle)
	end := observe()
	before, process, began := e.Stats(), cputime.Process(), time.Now()
	<-time.After(d)
	after := e.Stats()
	took := time.Since(began)
	x.Engine = float64(after.CPUTime()-before.CPUTime()) / float64(took)
	x.Process = float64(cputime.Process()-process) / float64(took)
	x.Wakeups = float64(parks(after)-parks(before)) / took.Seconds()
	var latencies []time.Duration
	for i := range idleRecords {
		<-time.After(idlePause)
		took, err := untilVisible(e, g, int64(i))
		if err != nil {
			return x, err
		}
		latencies = append(latencies, took)
	}
	end()
	slices.Sort(latencies)
	x.P50 = float64(latencies[len(latencies)/2]) / 1e3
	x.Longest = float64(latencies[len(latencies)-1]) / 1e3
	return x, e.Shutdown(context.Background())
}

// parks is how often the runners have gone to sleep.
func parks(s engine.Stats) (n uint64) {
	for _, r := range s.Runners {
		n += r.Parks
	}
	return n
}

// untilVisible gives a record to an engine that has i records, and looks until a snapshot has it.
func untilVisible(e *engine.Engine, g giver, i int64) (time.Duration, error) {
	begin := time.Now()
	err := g.give(i)
	if err != nil {
		return 0, err
	}
	for {
		s := e.Snapshot()
		n := s.Records()
		s.Close()
		if n > uint64(i) {
			return time.Since(begin), nil
		}
		err := e.Stats().Err
		if err != nil {
			return 0, err
		}
		nap(idleLook) // the pump needs a CPU too
	}
}
