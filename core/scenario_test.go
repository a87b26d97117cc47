package core

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/internal/golden"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// Goal: the protocols can be read as stories. Method: testdata/*.txt, each with what happens and why
// in its first lines. The routers, partitions and epochs are the ones of production; nothing moves
// unless a line says so. The lines are
//
//	engine NAME=VALUE ...   begins: readers, partitions, slots (of a ring), exchange, held, window,
//	                        disorder, idle, bytes (of groups; more is shed), memory (the same; more
//	                        is an error)
//	rows R                  feeds its input to reader R: key, value, and with windows a time
//	fill R N KEYS           feeds N records, of keys k0, k1, ... in turn
//	end R                   the input of reader R ends
//	now TIME                the clock of the agents
//	step router R [N]       steps a router N times, once if there is no N
//	step partition P [N]    steps a partition
//	run                     steps all agents, in turn, until none has work
//	raise                   raises an epoch
//	move KEY P              asks for the shard of a key to be moved to partition P
//	join                    begins to add a reader
//	join P                  partition P gets its ring
//	joined                  the reader goes on: it is the last one of router
//	memory is taken         somebody else takes what is left of the memory
//	memory returns          and gives it back
//	hold NAME, let NAME go  holds the newest snapshot, and lets go of it
//	snapshot [NAME]         prints the newest snapshot, or one that is held
//	count KEY               prints one group of the newest snapshot, and how many groups there are
//	windows                 prints the windows that have closed, as of the newest snapshot
//	state                   prints the agents and the epochs
//
// The hash of a key is another in each run. A key that is called a@1 belongs to partition 1 at the
// start, and a to partition 0; each has a shard of its own. Of k0, k1, ... each partition has its
// part in turn.
func TestScenarios(t *testing.T) {
	golden.RunAll(t, "testdata/*.txt", func(t *testing.T, path string) {
		s := &scenario{t: t, keys: map[string]int64{}, names: map[int64]string{}, held: map[string]heldCut{}}
		golden.Run(t, path, func(t *testing.T, c *golden.Case) string {
			s.t = t
			return s.do(c)
		})
	})
}

// scenario is one file.
type scenario struct {
	t       *testing.T
	plan    *plan.Plan
	cuts    *Cuts
	sources []*scenarioSource
	routers []*Router
	parts   []*Partition
	slots   int
	fold    Fold
	budget  *MemoryBudget
	hog     *arena.Region // memory that somebody else has taken
	now     Nanos
	written int64
	joining *simJoin

	keys   map[string]int64
	names  map[int64]string
	shards [plan.Shards]bool // that some key has
	tried  int64             // keys that were tried
	held   map[string]heldCut

	key, n, sum result.Column[int64]
}

// scenarioSource has the batches that it was fed.
type scenarioSource struct {
	timedSource
	waiting  [][]timedRow
	fed      int // number of batches
	given    int
	owed     int // batches that were fed before the newest epoch
	complete bool
}

func (s *scenarioSource) Next(Nanos) (*record.Batch, bool) {
	if len(s.waiting) == 0 {
		return nil, s.complete
	}
	s.batch.Reset()
	for _, row := range s.waiting[0] {
		s.batch.Add(0)
		s.batch.SetInt64(0, row.at)
		s.batch.SetInt64(1, row.key)
		s.batch.SetInt64(2, row.v)
	}
	s.waiting = s.waiting[1:]
	s.given++
	return s.batch, false
}

func (s *scenarioSource) Drained(uint64) bool { return s.given >= s.owed }

func (s *scenario) do(c *golden.Case) string {
	args := c.Args()
	number := func(i, otherwise int) int {
		if len(args) <= i {
			return otherwise
		}
		return s.number(args[i])
	}
	switch args[0] {
	case "engine":
		return s.begin(args[1:])
	case "rows":
		return s.feed(number(1, 0), s.rows(c.Input))
	case "fill":
		rows := make([]timedRow, number(2, 0))
		for i := range rows {
			rows[i] = timedRow{0, s.named("k" + strconv.Itoa(i%number(3, 1))), 1}
		}
		return s.feed(number(1, 0), rows)
	case "end":
		s.sources[number(1, 0)].complete = true
	case "now":
		s.now = Nanos(s.duration(args[1]))
	case "step":
		return s.step(args[1], number(2, 0), number(3, 1))
	case "run":
		return s.run()
	case "raise":
		return s.raise()
	case "move":
		return s.move(args[1], number(2, 0))
	case "join":
		return s.join(number(1, -1))
	case "joined":
		return s.joined()
	case "memory":
		s.memory(args[1])
	case "hold":
		cut, slot := s.cuts.Pin()
		s.held[args[1]] = heldCut{cut: cut, slot: slot}
	case "let":
		s.cuts.Unpin(s.held[args[1]].slot)
		delete(s.held, args[1])
	case "snapshot":
		if len(args) > 1 {
			return s.snapshot(s.held[args[1]].cut)
		}
		cut, slot := s.cuts.Pin()
		defer s.cuts.Unpin(slot)
		return s.snapshot(cut)
	case "count":
		return s.count(args[1])
	case "windows":
		return s.windows()
	case "state":
		return s.state()
	default:
		s.t.Fatalf("no command %s", args[0])
	}
	return ""
}

// memory takes what is left of the memory for groups, or gives it back.
func (s *scenario) memory(what string) {
	if what == "returns" {
		s.hog.Free()
		return
	}
	s.hog = arena.New(s.budget.budget, 2*s.budget.budget.Limit())
	for n := s.budget.budget.Limit(); n >= 4096; n >>= 1 {
		for s.hog.Grow(s.hog.Len()+n) == nil {
		}
	}
}

func (s *scenario) number(text string) int {
	n, err := strconv.Atoi(text)
	s.must(err)
	return n
}

func (s *scenario) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	s.must(err)
	return d
}

func (s *scenario) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scenario) begin(args []string) string {
	readers, partitions, held := 1, 1, 0
	s.slots, s.fold = 8, Fold{Exchange: plan.ExchangeRoute, Bytes: 1 << 16}
	s.plan = &plan.Plan{Source: timedSchema, Keys: []string{"key"}, Aggregates: []plan.Aggregate{
		{Name: "n", Func: plan.Count}, {Name: "sum", Func: plan.Sum, Column: "v"},
	}}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		if w := s.plan.Window; w == nil && slices.Contains([]string{"disorder", "idle"}, name) {
			s.t.Fatalf("%s comes after window", name)
		}
		switch name {
		case "readers":
			readers = s.number(value)
		case "partitions":
			partitions = s.number(value)
		case "slots":
			s.slots = s.number(value)
		case "held":
			held = s.number(value)
		case "exchange":
			for x := range plan.ExchangeRoute + 1 {
				if x.String() == value {
					s.fold.Exchange = x
				}
			}
		case "bytes":
			s.budget = NewMemoryBudget(s.number(value), plan.StateShed)
		case "memory":
			s.budget = NewMemoryBudget(s.number(value), plan.StateStop)
		case "window":
			kind, size, _ := strings.Cut(value, ":")
			w := window.Windows{Kind: window.Tumbling, Size: s.duration(size)}
			if kind == "session" {
				w.Kind = window.Session
			}
			s.plan.Window = &plan.Window{Column: "at", Windows: w, Retain: plan.MaxRetain}
		case "disorder":
			s.plan.Window.OutOfOrder = s.duration(value)
		case "idle":
			s.plan.Window.Idle = s.duration(value)
		default:
			s.t.Fatalf("no option %s", name)
		}
	}
	s.written = -window.MaxTime
	s.cuts = NewCuts(s.plan, plan.Route{}, readers, partitions, held, s.budget, func() {})
	in, bells := make([][]*ring.Consumer[Chunk], partitions), make([]Bell, readers)
	out := make([][]*ring.Producer[Chunk], readers)
	for r := range readers {
		bells[r] = noBell{}
		for p := range partitions {
			producer, consumer := ring.New[Chunk](s.slots)
			out[r], in[p] = append(out[r], producer), append(in[p], consumer)
		}
	}
	for p := range partitions {
		part, err := NewPartition(plan.PartitionID(p), s.plan, in[p], bells, s.budget, s.cuts)
		s.must(err)
		s.parts = append(s.parts, part)
	}
	for r := range readers {
		s.addReader(out[r])
	}
	for name, column := range map[string]*result.Column[int64]{"key": &s.key, "n": &s.n, "sum": &s.sum} {
		var err error
		*column, err = result.ColumnOf[int64](s.plan, name)
		s.must(err)
	}
	return ""
}

func (s *scenario) addReader(out []*ring.Producer[Chunk]) {
	src := &scenarioSource{timedSource: timedSource{batch: record.NewBatch(timedSchema, 4096)}}
	bells := make([]Bell, len(s.parts))
	for i := range bells {
		bells[i] = noBell{}
	}
	id := plan.ReaderID(len(s.sources))
	r, err := NewRouter(id, s.plan, src, plan.Route{}, s.fold, out, bells, make([]*Partition, len(s.parts)), s.budget,
		s.cuts)
	s.must(err)
	s.sources, s.routers = append(s.sources, src), append(s.routers, r)
}

// named returns the number that a key stands for.
func (s *scenario) named(name string) int64 {
	if key, ok := s.keys[name]; ok {
		return key
	}
	owner := 0
	if _, at, ok := strings.Cut(name, "@"); ok {
		owner = s.number(at)
	}
	byKey := &plan.Plan{Source: s.plan.Source, Keys: s.plan.Keys, Aggregates: s.plan.Aggregates} // without windows
	i, err := strconv.Atoi(strings.TrimPrefix(name, "k"))
	many := err == nil
	if many {
		owner = i % len(s.parts)
	}
	for ; ; s.tried++ {
		k, err := byKey.Key(s.tried)
		s.must(err)
		shard := k.Shard()
		if result.NewOwners(len(s.parts)).Of(k) == plan.PartitionID(owner) && (many || !s.shards[shard]) {
			s.shards[shard] = true
			s.keys[name], s.names[s.tried] = s.tried, name
			s.tried++
			return s.tried - 1
		}
	}
}

func (s *scenario) rows(text string) (rows []timedRow) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		row := timedRow{key: s.named(words[0]), v: int64(s.number(words[1]))}
		if len(words) > 2 {
			row.at = int64(s.duration(words[2]))
		}
		rows = append(rows, row)
	}
	return rows
}

func (s *scenario) feed(reader int, rows []timedRow) string {
	src := s.sources[reader]
	for batch := range slices.Chunk(rows, src.batch.Cap()) {
		src.waiting = append(src.waiting, batch)
		src.fed++
	}
	return ""
}

// worked says what a step has done.
func worked(a Agent, work int) string {
	switch {
	case a.Err() != nil:
		return "failed: " + a.Err().Error()
	case a.Done():
		return "done"
	case work > 0:
		return "worked"
	}
	return "waits: " + a.Stall().String()
}

func (s *scenario) step(kind string, id, times int) (last string) {
	var a Agent = s.routers[0]
	switch kind {
	case "router":
		a = s.routers[id]
	case "partition":
		a = s.parts[id]
	default:
		s.t.Fatalf("step %s", kind)
	}
	for range times {
		last = worked(a, a.Step(s.now))
	}
	return last
}

// manySteps bounds run: agents that work for ever are a fault.
const manySteps = 10_000

func (s *scenario) run() string {
	for range manySteps {
		work := 0
		for _, r := range s.routers {
			work += r.Step(s.now)
		}
		for _, p := range s.parts {
			work += p.Step(s.now)
			s.must(p.Err())
		}
		if work > 0 {
			continue
		}
		if !slices.ContainsFunc(s.parts, func(p *Partition) bool { return p.Stall() == StallMemory }) {
			return ""
		}
		time.Sleep(100 * time.Microsecond) // the housekeeper is making memory ready
	}
	s.t.Fatalf("there is work after %d steps of each agent", manySteps)
	return ""
}

func (s *scenario) raise() string {
	before, _ := s.cuts.Raised()
	s.cuts.Want()
	number, _ := s.cuts.Raised()
	if number == before {
		return "later: epoch " + strconv.FormatUint(before, 10) + " is in flight, or snapshots hold all tables"
	}
	for _, src := range s.sources {
		src.owed = src.fed
	}
	return fmt.Sprintf("epoch %d", number)
}

func (s *scenario) move(name string, to int) string {
	k, err := s.plan.Key(s.named(name))
	s.must(err)
	if _, err := s.cuts.RequestMove(plan.PartitionID(to), k.Shard()); err != nil {
		if errors.Is(err, ErrMoving) {
			return ErrMoving.Error() // the number of the shard is another in each run
		}
		return err.Error()
	}
	return ""
}

func (s *scenario) join(p int) string {
	if p >= 0 {
		answered := s.parts[p].Join(s.joining.rings[p], noBell{})
		s.joining.least, s.joining.most = min(s.joining.least, answered), max(s.joining.most, answered)
		return fmt.Sprintf("partition %d has answered epoch %d", p, answered)
	}
	if !s.cuts.Join() {
		return "too late: the engine has ended"
	}
	s.joining = &simJoin{least: math.MaxUint64}
	var out []*ring.Producer[Chunk]
	for range s.parts {
		producer, consumer := ring.New[Chunk](s.slots)
		out, s.joining.rings = append(out, producer), append(s.joining.rings, consumer)
	}
	s.addReader(out)
	return ""
}

func (s *scenario) joined() string {
	s.routers[len(s.routers)-1].Join(s.joining.least, s.joining.most)
	return fmt.Sprintf("router %d: epochs %d to %d were answered without it", len(s.routers)-1, s.joining.least,
		s.joining.most)
}

func (s *scenario) snapshot(cut *result.Cut) string {
	lines := []string{}
	for row := range cut.All() {
		lines = append(lines, fmt.Sprintf("  %s: n %d, sum %d\n", s.names[s.key.Of(row)], s.n.Of(row), s.sum.Of(row)))
	}
	slices.Sort(lines)
	return fmt.Sprintf("epoch %d, %d records\n", cut.Epoch(), cut.Records()) + strings.Join(lines, "")
}

func (s *scenario) count(name string) string {
	cut, slot := s.cuts.Pin()
	defer s.cuts.Unpin(slot)
	k, err := s.plan.Key(s.named(name))
	s.must(err)
	row, ok := cut.Get(k)
	if !ok {
		return name + " is not there"
	}
	return fmt.Sprintf("epoch %d, %s: n %d, sum %d", cut.Epoch(), name, s.n.Of(row), s.sum.Of(row))
}

func (s *scenario) windows() string {
	cut, slot := s.cuts.Pin()
	defer s.cuts.Unpin(slot)
	schema, err := s.plan.Result()
	s.must(err)
	var b strings.Builder
	place := func(name string) int {
		i, _ := schema.Index(name)
		return i
	}
	for _, end := range cut.Windows(s.written) {
		lines := []string{}
		for batch := range cut.WindowBatches(end, record.NewBatch(schema, 64)) {
			value := func(row int, name string) int64 { return batch.Column(place(name)).Int64s[row] }
			for i := range batch.Len() {
				lines = append(lines, fmt.Sprintf("  %v to %v, %s: n %d, sum %d\n",
					time.Duration(value(i, plan.WindowStart)),
					time.Duration(value(i, plan.WindowEnd)), s.names[value(i, "key")], value(i, "n"), value(i, "sum")))
			}
		}
		slices.Sort(lines)
		b.WriteString(strings.Join(lines, ""))
		s.written = end
	}
	s.cuts.Written(s.written)
	open := fmt.Sprintf("%d windows are open\n", cut.OpenWindows())
	return b.String() + open
}

func (s *scenario) state() string {
	var b strings.Builder
	for i, r := range s.routers {
		c := r.Counters()
		fmt.Fprintf(&b, "router %d: %v", i, worked(r, 0))
		fmt.Fprintf(&b, "; %d records in, %d counted", c.In, c.Counted)
		if c.Late > 0 {
			fmt.Fprintf(&b, ", %d late", c.Late)
		}
		if c.Folded > 0 {
			fmt.Fprintf(&b, ", %d folded, %d partial states sent", c.Folded, c.Partials)
		}
		b.WriteString("\n")
	}
	for i, p := range s.parts {
		st := p.Stats()
		fmt.Fprintf(&b, "partition %d: %v", i, worked(p, 0))
		if st.Shed > 0 {
			b.WriteString("; it sheds") // how many records depends on their hashes
		} else {
			fmt.Fprintf(&b, "; %d records, %d partial states", st.Rows, st.Partials)
		}
		if st.Late > 0 {
			fmt.Fprintf(&b, ", %d late", st.Late)
		}
		b.WriteString("\n")
	}
	e := s.cuts.Stats()
	fmt.Fprintf(&b, "epochs: %d raised, %d published, %d without an image", e.Raised, e.Published, e.NoImage)
	if e.Withheld > 0 {
		fmt.Fprintf(&b, ", %d withheld", e.Withheld)
	}
	fmt.Fprintf(&b, ", %d slots held\n", e.Held)
	return b.String()
}
