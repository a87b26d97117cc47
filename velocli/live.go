package velocli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

const (
	// liveEvery is how often a live view gets a new snapshot.
	liveEvery = 250 * time.Millisecond

	// liveGroups is how many groups the view looks at to find the greatest: looking at more would
	// cost the engine more than it is worth to the user.
	liveGroups = 1 << 20
)

var errNoTerminal = errors.New("--live: standard output is no terminal")

// errNoTerminals is errNoTerminal for a job, whose view is shown beside what it prints.
var errNoTerminals = errors.New("--live: standard error is no terminal")

// live is a view of engines in a terminal, redrawn from snapshots. The engines do not know of it.
type live struct {
	to     io.Writer
	begin  time.Time
	flows  []*flow
	order  int // the column by which groups are ranked; -1 as the query orders them
	meters map[string]*meter
	after  *heldBack // messages that are shown after the view; nil if none are kept

	// looks are the counters from which the bottleneck of each engine is told.
	looks map[*ingest]*look
}

// look is the counters of an engine at two times.
type look struct{ earlier, last engine.Stats }

// lookEvery is the time between the two: long enough for shares of it to mean something.
const lookEvery = 2 * time.Second

// bottleneck says what holds an engine up.
func (l *live) bottleneck(in *ingest, now engine.Stats) string {
	k := l.looks[in]
	if k == nil {
		k = &look{}
		l.looks[in] = k
	}
	if now.Elapsed-k.last.Elapsed >= lookEvery {
		k.earlier, k.last = k.last, now
	}
	return now.Bottleneck(k.earlier).Text
}

// meter measures how fast a number grows.
type meter struct {
	// seen is the number at the last frame that was long enough after the previous one; at is the
	// time of that frame.
	seen uint64
	at   time.Duration
	// rate is the growth per second.
	rate  float64
	moved time.Duration // when the number last grew
}

// saw notes a number.
func (m *meter) saw(n uint64, now time.Duration) {
	if n > m.seen || m.moved == 0 {
		m.moved = now
	}
	if now > m.at+progressEvery/2 {
		m.rate = float64(n-min(m.seen, n)) / (now - m.at).Seconds()
		m.seen, m.at = n, now
	}
}

// showLive shows queries over one source until the view is stopped. Then it shows the last frame
// and restores the terminal.
func showLive(to io.Writer, all ...*flow) (*background, error) {
	f := all[0]
	schema, err := f.plan.Result()
	if err != nil {
		return nil, err
	}
	return newLive(to, orderOf(f.plan, schema), all...).show(), nil
}

func newLive(to io.Writer, order int, shown ...*flow) *live {
	return &live{
		to: to, begin: time.Now(), flows: shown, order: order, meters: map[string]*meter{}, looks: map[*ingest]*look{},
	}
}

func (l *live) show() *background {
	fmt.Fprint(l.to, enterView)
	return inBackground(0, liveEvery, l.draw, func() {
		l.draw()
		fmt.Fprint(l.to, leaveView)
		if l.after != nil {
			l.after.cover(false)
		}
	})
}

// showJob shows the queries of a job. Messages that are written in the meantime come after the
// view.
func showJob(say *heldBack, shown []*flow) *background {
	l := newLive(say.to, -1, shown...)
	l.after = say
	say.cover(true)
	return l.show()
}

// orderOf is the column that decides which groups are the greatest: the first number that is not a
// key. For a query that orders its rows there is none.
func orderOf(p *plan.Plan, schema *record.Schema) int {
	if len(p.OrderBy) > 0 {
		return -1
	}
	for c := range schema.Len() {
		f := schema.Field(c)
		if numeric(f.Type) && !slices.Contains(p.Keys, f.Name) {
			return c
		}
	}
	return -1
}

func numeric(t record.Type) bool {
	return t == record.Int64 || t == record.Float64 || t.IsDecimal() || t.IsWide()
}

// draw draws a frame over the previous one.
func (l *live) draw() {
	columns, rows, ok := cli.TerminalSize(l.to)
	if !ok {
		return
	}
	var b strings.Builder
	b.WriteString(homeView)
	for i, line := range l.frame(rows) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(cut(line, columns) + eraseRight)
	}
	b.WriteString(eraseBelow)
	fmt.Fprint(l.to, b.String())
}

// frame returns the lines of a frame, as many as fit: what each query has done, what each of its
// sources has, and, if there is only one query, groups.
func (l *live) frame(rows int) []string {
	now := time.Since(l.begin)
	var lines []string
	for i, f := range l.flows {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, l.flowLines(f, now)...)
	}
	if len(l.flows) == 1 && l.flows[0].atEnd {
		lines = append(lines, l.sources(l.flows[0], now, max(3, rows/4))...)
		snap, end := l.flows[0].snapshot()
		defer end()
		lines = append(append(lines, ""), l.table(snap, rows-len(lines)-1)...)
	} else {
		for _, f := range l.flows {
			if f.number > 0 {
				continue // the first query of the source has shown them
			}
			lines = append(append(lines, ""), l.sources(f, now, max(3, rows/(2*len(l.flows))))...)
		}
	}
	return lines[:min(len(lines), max(rows, 1))]
}

// flowLines say what a query has done.
func (l *live) flowLines(f *flow, now time.Duration) []string {
	s := f.stats()
	c := s.Counters()
	m := l.meter(f.name)
	m.saw(c.In, now)
	lines := []string{
		fmt.Sprintf("%s  %v", f.name, s.Elapsed.Round(100*time.Millisecond)),
		fmt.Sprintf("  records %d  %s/s now  %s/s overall", c.In, count(m.rate),
			count(float64(c.In)/max(s.Elapsed.Seconds(), 1e-9))),
		fmt.Sprintf("  groups %d  %d KiB  filtered %d  late %d  set aside %d  dropped %d",
			s.Groups(), s.StateBytes>>10, c.Filtered, c.Late, c.Quarantined, c.Shed),
	}
	if f.number == 0 {
		lines = append(lines, "  "+l.bottleneck(f.ingest, s))
		lines = append(lines, rebalanced(s.Rebalance)...) // of all queries over the source
	}
	snap, end := f.snapshot()
	defer end()
	if f.plan.Window != nil {
		line := fmt.Sprintf("  windows %d written, %d open", s.Output.Windows, snap.OpenWindows())
		if end, ok := snap.Closed(); ok && end.Year() < 9999 {
			line += ", closed up to " + end.Format(time.RFC3339Nano)
		}
		lines = append(lines, line)
	}
	if f.atEnd {
		lines = append(lines, fmt.Sprintf("  shown as it was %d records ago", c.In-min(snap.Records(), c.In)))
	}
	return lines
}

// rebalanced says which shards have moved with --rebalance, and why; nothing without it.
func rebalanced(r engine.RebalanceStats) []string {
	if r.Why == "" {
		return nil
	}
	lines := []string{fmt.Sprintf("  shards moved %d  %d KiB  now: %s", r.Shards, r.Bytes>>10, r.Why)}
	if n := len(r.Last); n > 0 {
		lines = append(lines, "  last "+r.Last[n-1].String())
	}
	return lines
}

func (l *live) meter(name string) *meter {
	m := l.meters[name]
	if m == nil {
		m = &meter{}
		l.meters[name] = m
	}
	return m
}

// silence is how long a source must have brought nothing before the view mentions it.
const silence = 2 * time.Second

// sources are the sources of a query, one per line, at most most of them. Those that have been
// silent for the longest time come first, because they may hold windows back.
func (l *live) sources(f *flow, now time.Duration, most int) []string {
	type source struct {
		name          string
		in            uint64
		rate          float64
		late, aside   uint64
		state         engine.ReaderState
		moved         time.Duration
		readers, over int
	}
	var all []*source
	byName := map[string]*source{}
	for i, r := range f.stats().Readers {
		name := r.Name
		x := byName[name]
		if x == nil {
			x = &source{name: name}
			byName[name], all = x, append(all, x)
		}
		m := l.meter(fmt.Sprintf("%s/%d", f.name, i))
		m.saw(r.In, now)
		x.in, x.rate, x.late, x.aside, x.state = x.in+r.In, x.rate+m.rate, x.late+r.Late, x.aside+r.Quarantined, r.State
		x.moved, x.readers = max(x.moved, m.moved), x.readers+1
		if r.State == engine.Ended {
			x.over++
		}
	}
	over := func(x *source) bool { return x.over == x.readers }
	slices.SortStableFunc(all, func(a, b *source) int {
		switch {
		case over(a) != over(b):
			return map[bool]int{false: -1, true: 1}[over(a)]
		case now-a.moved < silence && now-b.moved < silence:
			return 0
		}
		return cmp.Compare(a.moved, b.moved)
	})
	t := writers.NewTable(io.Discard)
	_ = t.Write(context.Background(), record.NewBatch(sourceColumns, 1)) // the names
	for _, x := range all[:min(len(all), max(most-3, 1))] {
		state := x.state.String()
		if quiet := now - x.moved; !over(x) && quiet >= silence {
			state = fmt.Sprintf("nothing for %s", roughly(quiet))
		}
		t.Append([]string{fmt.Sprint(x.in), count(x.rate), fmt.Sprint(x.late), fmt.Sprint(x.aside), state, x.name})
	}
	lines := t.Lines()
	if n := len(all) - max(most-3, 1); n > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", n))
	}
	return lines
}

// sourceColumns are the columns of the table of sources.
var sourceColumns = func() *record.Schema {
	var fields []record.Field
	for _, name := range []string{"records", "now/s", "late", "set aside", "state", "source"} {
		f := record.Field{Name: name, Type: record.Int64}
		if name == "source" || name == "state" {
			f.Type = record.String
		}
		fields = append(fields, f)
	}
	s, err := record.NewSchema("sources", fields...)
	if err != nil {
		panic(err) // the schema is a constant
	}
	return s
}()

// heldBack is standard error while a view covers the terminal: messages are shown after the view.
type heldBack struct {
	to io.Writer

	mu      sync.Mutex
	covered bool
	said    bytes.Buffer
}

// Write writes a message, or keeps it.
func (h *heldBack) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.covered {
		return h.said.Write(b)
	}
	return h.to.Write(b)
}

// cover begins to keep messages, or shows those that have been kept.
func (h *heldBack) cover(covered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.covered = covered
	if !covered {
		_, _ = h.said.WriteTo(h.to) // if this fails, there is nobody to tell
	}
}

// checkLive says why a job cannot be shown.
func checkLive(all []*flow, std streams) error {
	if _, _, ok := cli.TerminalSize(std.err); !ok {
		return errNoTerminals
	}
	_, _, shared := cli.TerminalSize(std.out)
	for _, f := range all {
		if _, printed := f.writer.(*lines); printed && shared && !f.atEnd {
			return fmt.Errorf("--live: %s prints rows as they come, over the view: send standard output to a file, "+
				"or give the query a sink", f.name)
		}
	}
	return nil
}

// table has the greatest groups, or the first ones of a query that orders them.
func (l *live) table(snap *engine.Snapshot, lines int) []string {
	most := lines - 2 // without the names and the rule
	if most <= 0 {
		return nil
	}
	t := writers.NewTable(io.Discard)
	if l.order < 0 {
		for b := range snap.Batches(most) {
			_ = t.Write(context.Background(), b) // it only keeps the rows
			break
		}
		return t.Lines()
	}
	var top []ranked
	seen := 0
	for b := range snap.Batches(record.DefaultRows) {
		for row := range b.Len() {
			if v, ok := valueOf(b, l.order, row); ok {
				top = rank(top, most, ranked{v, nil}, func() []string { return writers.Texts(b, row) })
			}
		}
		if seen == 0 {
			_ = t.Write(context.Background(), record.NewBatch(b.Schema(), 1)) // the names
		}
		seen += b.Len()
		if seen >= liveGroups {
			break
		}
	}
	for _, r := range top {
		t.Append(r.texts)
	}
	return t.Lines()
}

// ranked is a row that may be shown.
type ranked struct {
	value float64
	texts []string
}

// rank puts a row into its place among the greatest. Its texts are made only if it has one.
func rank(top []ranked, most int, r ranked, texts func() []string) []ranked {
	if len(top) == most && r.value <= top[most-1].value {
		return top
	}
	r.texts = texts()
	i, _ := slices.BinarySearchFunc(top, r, func(a, b ranked) int { return cmp.Compare(b.value, a.value) })
	for i < len(top) && top[i].value == r.value {
		i++
	}
	top = slices.Insert(top, i, r)
	return top[:min(len(top), most)]
}

// valueOf is a number as a float. ok is false if it is NULL.
func valueOf(b *record.Batch, column, row int) (float64, bool) {
	c := b.Column(column)
	if c.Null(row) {
		return 0, false
	}
	if b.Schema().Field(column).Type == record.Float64 {
		return c.Float64s[row], true
	}
	return float64(c.Int64s[row]), true
}
