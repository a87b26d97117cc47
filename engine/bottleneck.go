package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/core"
)

// A Limit is what holds an engine up.
type Limit uint8

// The limits, in the order in which Bottleneck looks for them: what is last in the flow comes
// first, because everything before it waits for it.
const (
	LimitNone       Limit = iota // nothing: every thread has time to spare
	LimitUnknown                 // there is nothing to compare yet
	LimitOutput                  // the writer of a plan
	LimitMemory                  // memory for groups
	LimitQuarantine              // the callback that takes records that are set aside
	LimitWindows                 // a reader that others wait for in event time
	LimitPartition               // a partition
	LimitReader                  // the routing of a reader's records
	LimitRunner                  // a thread that several agents share
	LimitInput                   // the sources: everything that comes is taken at once
	LimitIdle                    // nothing has come from any source
)

var limitNames = []string{
	LimitNone: "none", LimitUnknown: "unknown", LimitOutput: "output", LimitMemory: "memory",
	LimitQuarantine: "quarantine", LimitWindows: "windows", LimitPartition: "partition", LimitReader: "reader",
	LimitRunner: "runner", LimitInput: "input", LimitIdle: "idle",
}

// String is the limit as a word.
func (l Limit) String() string {
	if int(l) < len(limitNames) {
		return limitNames[l]
	}
	return fmt.Sprintf("Limit(%d)", uint8(l))
}

// MarshalJSON writes the word.
func (l Limit) MarshalJSON() ([]byte, error) { return json.Marshal(l.String()) }

// A Bottleneck says what held an engine up during a stretch of time.
type Bottleneck struct {
	Limit Limit   `json:"limit"`
	Agent string  `json:"agent,omitempty"` // such as partition/3; empty if it is none
	Share float64 `json:"share"`           // part of the time, from 0 to 1
	Text  string  `json:"text"`            // a sentence
}

// String is the sentence.
func (b Bottleneck) String() string { return b.Text }

const (
	// heldShare is the part of the time for which agents must have waited for something that is
	// called the bottleneck.
	heldShare = 0.3

	// fullShare is the part of the time that an agent or a runner must have worked to be called
	// full. The rest goes into looking whether there is work.
	fullShare = 0.8

	// leastStretch is the shortest time from which shares are computed: the counters of agents are
	// up to 10 ms old, and up to a second if their thread sleeps.
	leastStretch = 100 * time.Millisecond
)

// Bottleneck says, in a sentence, which thread held the engine up between two Stats of it, or since
// the start if earlier is its zero value. It is a rule over AgentStats.Stalls and AgentStats.Busy
// and looks at nothing else, so what it says can be checked with the metrics. From the end of the
// flow to its beginning it looks for what the others wait for: the writer, memory, the quarantine,
// a reader that holds windows back, a full partition, a full reader. If none of them is it, the
// sources are: the engine takes everything as it comes. If they have brought no record in all that
// time, it says so, and since when.
func (s Stats) Bottleneck(earlier Stats) Bottleneck {
	stretch := s.Elapsed - earlier.Elapsed
	if stretch < leastStretch || len(s.Agents) == 0 {
		return Bottleneck{Limit: LimitUnknown, Text: "there is nothing to compare yet"}
	}
	w := stretchOf(s, earlier, stretch)
	for _, rule := range []func(*stretched) (Bottleneck, bool){
		waitLimit(LimitOutput, core.StallOutput, "The writer is the bottleneck: %s waited for it %s."),
		waitLimit(LimitMemory, core.StallMemory, "Memory is the bottleneck: %s waited for room for new groups %s."),
		waitLimit(LimitQuarantine, core.StallQuarantine, "The quarantine is the bottleneck: %s waited for room for records "+
			"that are set aside %s."),
		windowsLimit, workLimit,
	} {
		b, found := rule(w)
		if found {
			return b
		}
	}
	return idleLimit(w)
}

// stretched is what the agents did during a stretch of time, as parts of it.
type stretched struct {
	stats  *Stats
	agents []share
	over   time.Duration
	// silent says that no reader has brought a record.
	silent bool
}

// share is what an agent did.
type share struct {
	*AgentStats
	partition bool
	done      bool // a reader that has ended
	busy      float64
	stalls    [core.Stalls]float64
}

func stretchOf(s, earlier Stats, over time.Duration) *stretched {
	w := &stretched{stats: &s, over: over, silent: true}
	for i := range s.Readers {
		then := uint64(0)
		if i < len(earlier.Readers) {
			then = earlier.Readers[i].In
		}
		w.silent = w.silent && s.Readers[i].In == then
	}
	before := map[string]*AgentStats{}
	for i := range earlier.Agents {
		before[earlier.Agents[i].Name] = &earlier.Agents[i]
	}
	part := func(now, then time.Duration) float64 {
		return min(max(float64(now-then)/float64(over), 0), 1)
	}
	for i := range s.Agents {
		a := &s.Agents[i]
		then := before[a.Name]
		if then == nil {
			then = &AgentStats{}
		}
		one := share{AgentStats: a, partition: isPartition(a.Name), busy: part(a.Busy, then.Busy)}
		for cause := range one.stalls {
			one.stalls[cause] = part(a.Stalls[cause].Time, then.Stalls[cause].Time)
		}
		if !one.partition {
			state := s.readerState(a.Name)
			one.done = state == Ended || state == Failed || state == Stopped
		}
		w.agents = append(w.agents, one)
	}
	return w
}

func isPartition(agent string) bool { return strings.Contains(agent, "partition/") }

// numberOf is the number at the end of an agent's name.
func numberOf(agent string) int {
	n, err := strconv.Atoi(agent[strings.LastIndexByte(agent, '/')+1:])
	if err != nil {
		return -1
	}
	return n
}

// readerState is the state of the reader that an agent routes.
func (s *Stats) readerState(agent string) ReaderState {
	n := numberOf(agent)
	if n < 0 || n >= len(s.Readers) {
		return Running
	}
	return s.Readers[n].State
}

// readerName is a reader with its number.
func (s *Stats) readerName(n int) string {
	if n < 0 || n >= len(s.Readers) || s.Readers[n].Name == "" {
		return fmt.Sprintf("reader %d", n)
	}
	return fmt.Sprintf("reader %d (%s)", n, s.Readers[n].Name)
}

// describe names an agent for people.
func (w *stretched) describe(a *share) string {
	if !a.partition {
		return w.stats.readerName(numberOf(a.Name))
	}
	return strings.Replace(strings.ReplaceAll(a.Name, "/", " "), " partition", ", partition", 1)
}

// most is the agent that waited longest for a reason.
func (w *stretched) most(causes ...core.Stall) (agent *share, part float64) {
	for i := range w.agents {
		sum := 0.0
		for _, c := range causes {
			sum += w.agents[i].stalls[c]
		}
		if sum > part && !w.agents[i].done {
			agent, part = &w.agents[i], sum
		}
	}
	return agent, part
}

// percent is a part of the stretch in words.
func (w *stretched) percent(part float64) string {
	return fmt.Sprintf("%.0f %% of the last %s", 100*part, roughly(w.over))
}

// roughly is a duration in the unit that suits it.
func roughly(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

// waitLimit makes the rule for agents that wait for something too long. Text says what is the
// bottleneck; it takes the agent and the part of the time.
func waitLimit(limit Limit, cause core.Stall, text string) func(w *stretched) (b Bottleneck, found bool) {
	return func(w *stretched) (b Bottleneck, found bool) {
		a, part := w.most(cause)
		if part < heldShare {
			return b, false
		}
		return Bottleneck{limit, a.Name, part, fmt.Sprintf(text, w.describe(a), w.percent(part))}, true
	}
}

func windowsLimit(w *stretched) (b Bottleneck, found bool) {
	a, part := w.most(core.StallWindows, core.StallEpoch)
	if part < heldShare {
		return b, false
	}
	text := fmt.Sprintf("Open windows are the bottleneck: %s waited for some to close %s", w.describe(a),
		w.percent(part))
	holder, ok := w.stats.HoldsWindows()
	if ok {
		text += fmt.Sprintf("; %s is the furthest behind in event time", w.stats.readerName(holder))
	}
	return Bottleneck{LimitWindows, a.Name, part, text + "."}, true
}

// workLimit finds an agent that worked all the time. An agent that shares its thread is full when
// the thread is.
func workLimit(w *stretched) (b Bottleneck, found bool) {
	waits, held := w.most(core.StallRing)
	busiest := w.busiest(func(a *share) bool { return a.partition })
	if held < heldShare || busiest == nil {
		waits, busiest = nil, w.busiest(func(*share) bool { return true })
	}
	if busiest == nil {
		return b, false
	}
	runner, beside := w.runner(busiest.Runner)
	switch {
	case beside > 1 && runner >= fullShare:
		return Bottleneck{LimitRunner, busiest.Name, runner, w.sharedText(busiest, runner, beside)}, true
	case waits == nil && busiest.busy < fullShare:
		return b, false
	}
	limit, text := LimitReader, fmt.Sprintf("%s is the bottleneck: its thread worked %s", w.describe(busiest),
		w.percent(busiest.busy))
	if busiest.partition {
		limit = LimitPartition
	}
	if waits != nil {
		text += fmt.Sprintf(", and %s waited for room in a ring %.0f %%", w.describe(waits), 100*held)
	}
	return Bottleneck{limit, busiest.Name, busiest.busy, upper(text) + "."}, true
}

// busiest is the agent that worked most.
func (w *stretched) busiest(of func(*share) bool) (agent *share) {
	for i := range w.agents {
		a := &w.agents[i]
		if of(a) && (agent == nil || a.busy > agent.busy) {
			agent = a
		}
	}
	return agent
}

// runner is how much a runner worked, and for how many agents.
func (w *stretched) runner(id int) (part float64, agents int) {
	for i := range w.agents {
		if w.agents[i].Runner == id {
			part += w.agents[i].busy
			agents++
		}
	}
	return min(part, 1), agents
}

func (w *stretched) sharedText(a *share, part float64, agents int) string {
	on := fmt.Sprintf("Thread %d", a.Runner)
	if a.Runner < len(w.stats.Runners) && w.stats.Runners[a.Runner].CPU >= 0 {
		on += fmt.Sprintf(" on CPU %d", w.stats.Runners[a.Runner].CPU)
	}
	return fmt.Sprintf("%s is the bottleneck: its %d agents worked %s, most of it %s; more cores would help.", on,
		agents, w.percent(part), w.describe(a))
}

// idleLimit is for an engine that nothing holds up.
func idleLimit(w *stretched) Bottleneck {
	live, least := 0, math.Inf(1)
	for i := range w.agents {
		a := &w.agents[i]
		if !a.partition && !a.done {
			live++
			least = min(least, a.stalls[core.StallInput])
		}
	}
	busiest := w.busiest(func(*share) bool { return true })
	if live == 0 {
		return Bottleneck{Limit: LimitNone, Text: "All readers have ended."}
	}
	if least >= heldShare && w.silent {
		return Bottleneck{LimitIdle, "", least, w.silence()}
	}
	if least >= heldShare {
		return Bottleneck{
			LimitInput, "", least,
			fmt.Sprintf("The sources are the bottleneck: every reader waited for records at least %s.",
				w.percent(least)),
		}
	}
	return Bottleneck{
		LimitNone, busiest.Name, busiest.busy,
		fmt.Sprintf("There is no bottleneck: the busiest is %s, which worked %s.", w.describe(busiest),
			w.percent(busiest.busy)),
	}
}

// Idle says since when no reader has brought a record, as Elapsed was then: 0 if none has since the
// start.
func (s *Stats) Idle() (since time.Duration) {
	for i := range s.Agents {
		since = max(since, s.Agents[i].Arrived)
	}
	return since
}

// silence says since when nothing has come.
func (w *stretched) silence() string {
	since := w.stats.Idle()
	if since == 0 {
		return fmt.Sprintf("Nothing arrives: no source has brought a record since the start, %s ago.",
			roughly(w.stats.Elapsed))
	}
	return fmt.Sprintf("Nothing arrives: the last record came %s ago.", roughly(w.stats.Elapsed-since))
}

// upper begins a sentence.
func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// HoldsWindows is the reader whose watermark is the least, so that its plan's windows close no
// earlier. Readers that are idle or have ended hold nothing back. ok is false if there is none.
func (s *Stats) HoldsWindows() (reader int, ok bool) {
	var least time.Time
	for i := range s.Readers {
		r := &s.Readers[i]
		if !s.Windowed || r.State == Ended || r.Watermark.Idle {
			continue
		}
		// A reader that has brought nothing yet comes before all others.
		if !ok || r.Watermark.At.Before(least) {
			reader, least, ok = i, r.Watermark.At, true
		}
	}
	return reader, ok
}
