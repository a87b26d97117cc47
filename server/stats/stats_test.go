package stats

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// at is the counters of an engine after some seconds: reader 0 waits for a full ring half of the
// time.
func at(seconds int) engine.Stats {
	d := time.Duration(seconds) * time.Second
	begin := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	counters := result.Counters{In: uint64(10 * seconds), Counted: uint64(8 * seconds), Late: uint64(2 * seconds)}
	s := engine.Stats{
		Elapsed: d, Windowed: true,
		Readers: []engine.ReaderStats{
			{Name: "t/0", Counters: counters, Lag: []record.Lag{{Split: "t/0", Records: 5}}},
			{Name: "t/1", Lag: []record.Lag{{Split: "f", Bytes: 9, InBytes: true}}},
		},
		Runners: []engine.RunnerStats{{CPU: 3, CPUTime: d}, {CPU: -1, PinError: "refused"}},
		Agents: []engine.AgentStats{
			{Name: "reader/0", Busy: d / 4, Functions: "slow(bigint)"},
			{Name: "partition/0", Runner: 1, Busy: d * 9 / 10},
		},
		Plans: []engine.PlanStats{{
			Plan: "SELECT", Windowed: true, Closed: begin, StateBytes: 3, StateLimit: 10,
			Readers:    []result.Counters{counters, {}},
			Folded:     []uint64{0, 0},
			Watermarks: []engine.Watermark{{At: begin.Add(time.Minute)}, {At: begin}},
			Partitions: []engine.PartitionStats{{Rows: 80, Groups: 4, Shed: 1}},
		}},
		Tables: []lookup.Stats{{
			Table: "symbols", Rows: 3, Loaded: begin, Lookups: 9, Misses: 1,
			Samples: []string{"'XYZ'"},
		}},
		State: engine.StateStats{
			Interval: time.Second, Generation: 2, Saved: begin, Failures: 1, Err: errors.New("full"),
			Last: []engine.StateEvent{
				{Kind: engine.Saved, At: begin, Generation: 2, Duration: time.Second, Bytes: 9, Written: 4},
				{Kind: engine.SaveFailed, At: begin.Add(time.Second), Err: errors.New("full")},
			},
		},
	}
	s.Agents[0].Stalls[core.StallRing].Time = d / 2
	return s
}

// Goal: shares are of the last seconds and not of the whole run, and everything that the page shows
// is in the JSON under the name that it is read by. Method: a sampler that is asked five times.
func TestSampler(t *testing.T) {
	var s Sampler
	var e Engine
	for _, seconds := range []int{1, 100, 110, 111, 112} {
		e = s.Engine("volumes", at(seconds))
	}
	if b := e.Bottleneck; b.Limit != engine.LimitPartition || !strings.Contains(b.Text, "of the last 2.0 s") {
		t.Errorf("the bottleneck is %+v", b)
	}
	if a := e.Agents[0]; a.Busy != 0.25 || a.Stalls["ring_full"] != 0.5 || len(a.Stalls) != 1 {
		t.Errorf("reader 0 is %+v", a)
	}
	p := e.Plans[0]
	if p.Name != "volumes" || p.Holds == nil || *p.Holds != 1 || p.Records.Late != 224 || p.Records.Shed != 1 ||
		p.Closed.Minute() != 30 {
		t.Errorf("the plan is %+v", p)
	}
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"bottleneck":{"limit":"partition","agent":"partition/0","share":0.9`, `"lag":[{"split":"t/0","records":5}]`,
		`"lag":[{"split":"f","records":0,"bytes":9}]`, `"functions":"slow(bigint)"`,
		`"saves":[{"at":"2026-03-02T09:30:00Z","generation":2,"seconds":1,`, `"error":"full"}]`,
		`"tables":[{"name":"symbols","rows":3,"bytes":0,"loaded":"2026-03-02T09:30:00Z","lookups":9,"misses":1,"samples":["'XYZ'"]}]`,
		`"pin_error":"refused"`, `"watermarks":[{"at":"2026-03-02T09:31:00Z"}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	// Another engine under the same name begins anew.
	if e := s.Engine("volumes", at(1), "other"); e.Agents[0].Busy != 0.25 || e.Plans[0].Name != "other" {
		t.Errorf("after a restart reader 0 is %+v", e.Agents[0])
	}
}
