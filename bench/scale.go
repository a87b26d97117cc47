package bench

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/record"
)

// A ScalePoint is the throughput with N partitions, and with as many readers unless their number is
// fixed.
type ScalePoint struct {
	Profile string  `json:"profile"` // the caller's name of the workload
	N       int     `json:"n"`
	Readers int     `json:"readers"`
	Cores   int     `json:"cores"` // runners: N, or as many as there are CPUs
	T       float64 `json:"records_per_second"`
	CPUNs   float64 `json:"cpu_ns_per_record"`
	// E is T(N) / (N x T(1)). It is 0 for more partitions than real cores, of which it says
	// nothing: threads of one core, and partitions that take turns, share what they run on.
	E      float64 `json:"efficiency,omitempty"`
	Beyond bool    `json:"beyond_cores"` // N is more than the real cores
	OfMost float64 `json:"of_most"`      // T(N) / the best T with fewer partitions
}

// Scale measures a workload with 1, 2, 4, ... up to most partitions on at most cores cores, for d
// each. All groups exist before it measures. readers is the greatest number of readers; 0 is as
// many as partitions. real is the number of cores, of which each may have several CPUs.
//
// Prepared records are dealt to the readers, so every point reads the same number of bytes again
// and again. If each reader had as many as one, 16 readers would read from memory what one reads
// from a cache, and the points would say more of that than of partitions.
func Scale(w Workload, most, readers, cores, real int, d time.Duration, each func(ScalePoint)) error {
	var one, best float64
	for n := 1; n <= most; n *= 2 {
		r := n
		if readers > 0 {
			r = min(n, readers)
		}
		e, err := w.dealt(r).Start(r, n, min(n, cores))
		if err != nil {
			return err
		}
		Settle(e)
		f, err := measureAndStop(e, d)
		if err != nil {
			return err
		}
		p := ScalePoint{N: n, Readers: r, Cores: min(n, cores), T: f.PerSecond(), CPUNs: f.CPUNanos(), OfMost: 1}
		if n == 1 {
			one = p.T
		} else {
			p.OfMost = p.T / best
		}
		if n <= real {
			p.E = p.T / (float64(n) * one)
		} else {
			p.Beyond = true
		}
		best = max(best, p.T)
		each(p)
	}
	return nil
}

// dealt is the workload with its prepared records dealt to n readers. Each gets one batch at least.
func (w Workload) dealt(n int) Workload {
	if w.Prepare > 0 {
		w.Prepare = max(w.Prepare/n, w.batchRows())
	}
	return w
}

// A Mode is one way to run a plan over the same records.
type Mode struct {
	Name   string  `json:"mode"`
	Rows   uint64  `json:"records"`
	Groups int     `json:"groups"`
	T      float64 `json:"records_per_second"`
	Ratio  float64 `json:"ratio"` // compared with the single goroutine
	Same   bool    `json:"same_rows"`
}

// Modes runs a workload over the same finite records: in a single goroutine, which steps router and
// partition in turn, and in engines of one and two readers and partitions. It says whether the
// results are the same.
func Modes(w Workload, passes int, each func(Mode)) error {
	if w.Prepare == 0 {
		return fmt.Errorf("bench: the workload makes its records as they are read, so two runs are not of the same")
	}
	parts, err := w.Batches(2)
	if err != nil {
		return err
	}
	all := append(append([]*record.Batch(nil), parts[0]...), parts[1]...)
	memory := func(batches []*record.Batch) (record.Reader, error) { return newMemory(batches, passes) }
	plan := w.Plan()
	var single Mode
	var want map[int64][]any
	add := func(name string, elapsed time.Duration, rows uint64, groups map[int64][]any) {
		m := Mode{
			Name: name, Rows: rows, Groups: len(groups), T: float64(rows) / elapsed.Seconds(), Ratio: 1,
			Same: true,
		}
		if want == nil {
			single, want = m, groups
		} else {
			m.Ratio = m.T / single.T
			m.Same = rows == single.Rows && len(groups) == len(want)
			for key, values := range groups {
				m.Same = m.Same && fmt.Sprint(values) == fmt.Sprint(want[key])
			}
		}
		each(m)
	}

	r, err := memory(all)
	if err != nil {
		return err
	}
	end := observe()
	image, rows, elapsed, err := runSingle(plan, r.(record.Poller))
	end()
	if err != nil {
		return err
	}
	groups, err := rowsOf(plan, image.All())
	if err != nil {
		return err
	}
	add("single goroutine", elapsed, rows, groups)

	for n, name := range []string{1: "1x1", 2: "2x2"} {
		if n == 0 {
			continue
		}
		var rs []record.Reader
		for i := range n {
			batches := all
			if n == 2 {
				batches = parts[i]
			}
			r, err := memory(batches)
			if err != nil {
				return err
			}
			rs = append(rs, r)
		}
		e, err := runToEnd(engine.Config{Plan: plan, Readers: rs, Partitions: n, Cores: n, BatchRows: w.BatchRows})
		if err != nil {
			return err
		}
		snap := e.Snapshot()
		groups, err := rowsOf(plan, snap.All())
		if err != nil {
			return err
		}
		st := e.Stats()
		add(name, st.Elapsed, st.Counters().In, groups)
		snap.Close()
		e.Close()
	}
	return nil
}

// runToEnd runs an engine until its input ends.
func runToEnd(cfg engine.Config) (*engine.Engine, error) {
	defer observe()()
	e, err := engine.Start(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return e, e.Wait()
}

// pollSource is a source that polls in the router's own goroutine, without an engine.
type pollSource struct {
	r    record.Poller
	b    *record.Batch
	err  error
	last bool
}

func (s *pollSource) Next(core.Nanos) (*record.Batch, bool) {
	if s.last {
		return nil, true
	}
	s.b.Reset()
	if err := s.r.Poll(s.b); err != nil {
		if err != io.EOF {
			s.err = err
		}
		s.last = true
	}
	if s.b.Len()+len(s.b.Rejects()) == 0 {
		return nil, s.last
	}
	return s.b, false
}
func (s *pollSource) Quarantine(record.Reject) bool { return true }
func (s *pollSource) Drained(uint64) bool           { return true }
func (s *pollSource) Wake() core.Nanos              { return 0 }
func (s *pollSource) Complete() bool                { return true }

// silent is the bell for agents that share a goroutine.
type silent struct{}

func (silent) Wake() {}
