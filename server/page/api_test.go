package page_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/server/page"
	"github.com/velo-engine/velo/server/stats"
	"github.com/velo-engine/velo/server/try"
)

// evil is a text that would be markup if the page took it for some.
const evil = `<img src=x onerror="document.title='owned'">`

type object = map[string]any

// api plays the server: its paths below /v1, with jobs whose counters go on.
type api struct {
	mu     sync.Mutex
	begin  time.Time
	token  string            // that is needed; empty if none is
	states map[string]string // of the jobs
	texts  map[string]string
	did    []string // what was changed
	more   []string // names of further jobs
	beside bool     // a replacement runs beside volumes
	asks   int      // how often the rows of the view have been read
	sample map[string]*stats.Sampler
}

func newAPI(t *testing.T) (*api, string) {
	a := &api{
		begin:  time.Now().Add(-time.Hour),
		states: map[string]string{"volumes": "running", "alerts": "failed", "archive": "stopped", "clicks": "paused"},
		texts:  map[string]string{}, sample: map[string]*stats.Sampler{},
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	handle := func(pattern string, do func(r *http.Request, body string) (int, any)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.token != "" && r.Header.Get("Authorization") != "Bearer "+a.token {
				answer(w, 401, object{"error": object{"code": "unauthorized", "message": "a token is needed"}})
				return
			}
			status, v := do(r, string(body))
			answer(w, status, v)
		})
	}
	handle("GET /v1/jobs", func(*http.Request, string) (int, any) {
		var all []object
		for _, name := range append([]string{"alerts", "archive", "clicks", "volumes"}, a.more...) {
			if a.states[name] != "" {
				all = append(all, a.job(name))
			}
		}
		return 200, object{"jobs": all, "memory": object{"taken": 3 << 30, "budget": 8 << 30}, "last_event": 5}
	})
	handle("GET /v1/stats", func(*http.Request, string) (int, any) {
		return 200, object{"engines": object{"volumes": a.engines("volumes"), "clicks": a.engines("clicks")}}
	})
	handle("GET /v1/jobs/{job}", func(r *http.Request, _ string) (int, any) {
		j := a.job(r.PathValue("job"))
		j["text"] = "SELECT '" + evil + "'"
		return 200, j
	})
	handle("GET /v1/jobs/{job}/stats", func(r *http.Request, _ string) (int, any) {
		name := r.PathValue("job")
		if a.states[name] == "" {
			return 404, object{"error": object{"code": "no_job", "message": "there is no such job"}}
		}
		if a.beside && name == "volumes" {
			return 200, object{"job": a.job(name), "engines": a.engines(name), "replacement": a.engines(name)}
		}
		return 200, object{"job": a.job(name), "engines": a.engines(name)}
	})
	handle("GET /v1/jobs/{job}/events", func(r *http.Request, _ string) (int, any) {
		return 200, object{"events": []object{{"id": 1, "time": a.begin, "to": "running", "cause": "started " + evil}}}
	})
	handle("GET /v1/jobs/{job}/quarantine", func(*http.Request, string) (int, any) {
		return 200, object{"all": 12, "rejects": []object{{
			"time": a.begin, "source": "trades", "place": "trades.csv:7", "reason": "column size: \"x\" is no bigint",
			"bytes": evil,
		}}}
	})
	handle("POST /v1/jobs/{job}/{action}", func(r *http.Request, _ string) (int, any) {
		name, action := r.PathValue("job"), r.PathValue("action")
		a.did = append(a.did, action+" "+name)
		a.beside = a.beside && action != "abort"
		a.states[name] = map[string]string{"stop": "stopped", "pause": "paused"}[action]
		if a.states[name] == "" {
			a.states[name] = "running"
		}
		return 200, a.job(name)
	})
	handle("PUT /v1/jobs/{job}", func(r *http.Request, body string) (int, any) {
		name, q := r.PathValue("job"), r.URL.RawQuery
		a.did = append(a.did, strings.TrimSpace("put "+name+" "+q))
		if name == "volumes" && q == "dry-run=true" {
			return 409, object{"error": object{
				"code": "state_lost", "message": "the keys differ",
				"hint": "fresh=true begins anew",
			}}
		}
		if q != "dry-run=true" {
			a.states[name], a.texts[name] = "running", body
		}
		return 200, object{"name": name, "done": "created"}
	})
	handle("DELETE /v1/jobs/{job}", func(r *http.Request, _ string) (int, any) {
		a.did = append(a.did, "delete "+r.PathValue("job"))
		delete(a.states, r.PathValue("job"))
		return 200, object{"done": "deleted"}
	})
	handle("POST /v1/validate", func(_ *http.Request, body string) (int, any) {
		line := strings.Count(body[:max(strings.Index(body, "FORM"), 0)], "\n") + 1
		if at := strings.Index(body, "FORM"); at >= 0 {
			begin := strings.LastIndex(body[:at], "\n") + 1
			return 200, object{"ok": false, "faults": []object{{
				"message":  "FORM " + evil + ", expected FROM",
				"position": object{"line": line, "column": len([]rune(body[begin:at])) + 1, "offset": at},
			}}}
		}
		return 200, object{"ok": true, "objects": []object{
			{"kind": "source", "name": "trades"},
			{"kind": "view", "name": "volumes"},
		}}
	})
	handle("POST /v1/try", func(r *http.Request, body string) (int, any) {
		var q struct{ Text, Source, Records string }
		_ = json.Unmarshal([]byte(body), &q)
		got, err := try.Run(r.Context(), nil, q.Text, q.Source, []byte(q.Records))
		if err != nil {
			return 400, object{"error": object{"code": "try", "message": err.Error()}}
		}
		return 200, got
	})
	columns := []object{{"name": "symbol", "type": "text"}, {"name": "volume", "type": "bigint"}}
	handle("GET /v1/views", func(*http.Request, string) (int, any) {
		return 200, object{"views": []object{{
			"name": "volumes", "keys": []string{"symbol"}, "columns": columns,
			"groups": 3, "epoch": 7 + a.asks,
		}}}
	})
	handle("GET /v1/views/{view}", func(*http.Request, string) (int, any) {
		a.asks++
		return 200, object{"columns": columns, "rows": []object{
			{"symbol": evil, "volume": 100 * a.asks},
			{"symbol": "AAPL", "volume": json.Number("9007199254740993")},
			{"symbol": "MSFT", "volume": nil},
		}}
	})
	mux.Handle("/", page.Handler())
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return a, s.URL
}

// job describes a job as the server does.
func (a *api) job(name string) object {
	causes := map[string]string{"failed": "sink alerts: connection refused " + evil, "running": "started"}
	if len(a.more) > 0 { // many lines, and a word without a blank
		causes["failed"] += "\n" + strings.Repeat("goroutine 7 [running]: main.go:12\n", 30) + strings.Repeat("x", 400)
	}
	var beside object
	if a.beside && name == "volumes" {
		beside = object{"state": "catching up", "since": a.begin, "generation": 2}
	}
	return object{
		"replacement": beside,
		"name":        name, "state": a.states[name], "desired": "running", "since": a.begin,
		"cause": causes[a.states[name]],
	}
}

// engines are the engines of a job that runs.
func (a *api) engines(name string) []object {
	if a.states[name] != "running" && a.states[name] != "paused" {
		return []object{}
	}
	if name == "nothing" {
		s := &stats.Sampler{}
		idle := engine.Stats{
			Elapsed: time.Second, Readers: []engine.ReaderStats{{Name: "push orders"}},
			Runners: []engine.RunnerStats{{CPU: -1}},
			Agents:  []engine.AgentStats{{Name: "reader/0"}, {Name: "partition/0"}},
			Plans: []engine.PlanStats{{
				Plan: "SELECT count(*) FROM orders", Readers: []result.Counters{{}}, Folded: []uint64{0},
				Watermarks: []engine.Watermark{{}}, Partitions: []engine.PartitionStats{{}},
			}},
		}
		s.Engine(name, idle)
		idle.Elapsed = time.Minute
		return []object{{"name": name, "summary": s.Engine(name, idle)}}
	}
	if a.sample[name] == nil {
		a.sample[name] = &stats.Sampler{}
		a.sample[name].Engine(name, a.counters(10*time.Second))
	}
	return []object{{"name": name, "summary": a.sample[name].Engine(name, a.counters(time.Since(a.begin)))}}
}

// counters are of an engine in which partition 1 is full, and the second split holds windows back.
func (a *api) counters(d time.Duration) engine.Stats {
	n := uint64(d.Seconds() * 120_000)
	now := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC).Add(d)
	c := result.Counters{In: n, Counted: n * 9 / 10, Filtered: n / 12, Late: n / 5000, Quarantined: 12}
	s := engine.Stats{
		Elapsed: d, Windowed: true,
		Readers: []engine.ReaderStats{
			{Name: "kafka trades/0", Counters: c, Lag: []record.Lag{{Split: "trades/0", Records: 1200}}},
			{Name: "kafka trades/1", Counters: c, Lag: []record.Lag{{Split: "trades/1", Records: 87_000 + n/9000}}},
			{Name: "kafka trades/2", State: engine.Retrying, Lag: []record.Lag{{Split: "trades/2", Records: 3}}},
		},
		Runners: []engine.RunnerStats{{CPU: 2}, {CPU: 3}, {CPU: -1, PinError: "not permitted"}},
		Agents: []engine.AgentStats{
			{Name: "reader/0", Busy: d * 3 / 10},
			{Name: "reader/1", Busy: d / 5},
			{Name: "reader/2", Busy: d / 50},
			{Name: "partition/0", Runner: 1, Busy: d * 4 / 10},
			{Name: "partition/1", Runner: 2, Busy: d * 97 / 100},
		},
		Plans: []engine.PlanStats{{
			Plan: "SELECT symbol, sum(size) FROM trades", Windowed: true,
			Closed:     now.Add(-12 * time.Minute).Truncate(time.Minute),
			StateBytes: 700 << 20, StateLimit: 1 << 30, Readers: []result.Counters{c, c, {}}, Folded: []uint64{0, 0, 0},
			Watermarks: []engine.Watermark{{At: now}, {At: now.Add(-11 * time.Minute)}, {At: now, Idle: true}},
			Partitions: []engine.PartitionStats{{Rows: n, Groups: 40_000}, {Rows: 2 * n, Groups: 41_000}},
			Output:     engine.OutputStats{Rows: n / 1000, Retries: 2},
		}},
		Tables: []lookup.Stats{{
			Table: "symbols", Rows: 4200, Loaded: time.Now().Add(-time.Minute), Stale: true, Lookups: n, Misses: n / 50,
			Samples: []string{"'" + evil + "'"}, LastError: fmt.Errorf("symbols.csv: no such file"),
		}},
		State: engine.StateStats{
			Interval: 10 * time.Second, Generation: 40, Saved: time.Now().Add(-4 * time.Second), Bytes: 300 << 20,
			Restored: 1,
		},
	}
	s.Agents[0].Stalls[core.StallRing].Time = d * 6 / 10
	s.Agents[1].Stalls[core.StallRing].Time = d * 7 / 10
	s.Agents[2].Stalls[core.StallInput].Time = d * 9 / 10
	s.Agents[3].Stalls[core.StallInput].Time = d * 5 / 10
	for i := range 40 {
		e := engine.StateEvent{
			At: a.begin.Add(time.Hour + time.Duration(10*(i-40))*time.Second), Generation: uint64(i), Bytes: 300 << 20,
			Written:  80 << 20,
			Duration: time.Duration(200+40*(i%7)) * time.Millisecond, Waited: 90 * time.Millisecond,
		}
		if i == 21 || i == 22 {
			e.Err = fmt.Errorf("no space left on device")
		}
		s.State.Last = append(s.State.Last, e)
	}
	return s
}
