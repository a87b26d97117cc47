package core

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

// # Simulation
//
// The routers, partitions and epochs of an engine, as they run in production, stepped in one goroutine in an order that a seed chooses: agents
// that stand still for long, sources that stall, end, fail and join, epochs raised and shards moved at any moment, snapshots held for long. A seed that fails is run again
// with VELO_SIM=seed.

// simPlan is count, sum and max of a value for each key; the reader is in the key.
var simPlan = func() *plan.Plan {
	schema, err := record.NewSchema("sim", record.Field{Name: "key", Type: record.Int64},
		record.Field{Name: "v", Type: record.Int64})
	if err != nil {
		panic(err)
	}
	return &plan.Plan{Source: schema, Keys: []string{"key"}, Aggregates: simAggregates}
}()

var simAggregates = []plan.Aggregate{
	{Name: "n", Func: plan.Count},
	{Name: "sum", Func: plan.Sum, Column: "v"},
	{Name: "max", Func: plan.Max, Column: "v"},
}

// simSidedPlan has states with blocks beside the rows too: the values are all different, the text belongs to the greatest.
var simSidedPlan = func() *plan.Plan {
	schema, err := record.NewSchema("sim", record.Field{Name: "key", Type: record.Int64},
		record.Field{Name: "v", Type: record.Int64}, record.Field{Name: "text", Type: record.String})
	if err != nil {
		panic(err)
	}
	twice, err := expr.New(expr.Add, expr.Column(schema, 1), expr.Column(schema, 1))
	if err != nil {
		panic(err)
	}
	return &plan.Plan{
		Source: schema, Keys: []string{"key"}, Computed: []expr.Output{{Name: "twice", Expr: twice}},
		Aggregates: append(simAggregates[:3:3],
			plan.Aggregate{Name: "text", Func: plan.MaxBy, Column: "text", By: "v"},
			plan.Aggregate{Name: "different", Func: plan.ApproxCountDistinct, Column: "v"},
			plan.Aggregate{Name: "top", Func: plan.ApproxPercentile, Column: "twice", Fraction: 1}),
	}
}()

// simKinds is how many different values there are to count, and NULL beside them.
const simKinds = 6

// Plans that count different values, of numbers of which some are NULL, that emit changes, of groups that come and go, and that do both.
var simDistinctPlan, simChangesPlan, simBothPlan = simShapedPlan(true, false), simShapedPlan(false, true),
	simShapedPlan(true, true)

func simShapedPlan(distinct, changes bool) *plan.Plan {
	must := func(e *expr.Expr, err error) *expr.Expr {
		if err != nil {
			panic(err)
		}
		return e
	}
	make := func(having *expr.Expr) *plan.Plan {
		p := &plan.Plan{Source: simPlan.Source, Keys: []string{"key"}, Aggregates: simAggregates, Having: having}
		if distinct {
			kind := must(expr.New(expr.Mod, expr.Column(p.Source, 1), expr.Int(record.Int64, simKinds+1)))
			p.Computed = []expr.Output{{
				Name: "kind",
				Expr: must(expr.New(expr.NullIf, kind, expr.Int(record.Int64, simKinds))),
			}}
			p.Aggregates = append(simAggregates[:3:3],
				plan.Aggregate{Name: "kinds", Func: plan.Count, Column: "kind", Distinct: true})
		}
		if changes {
			p.Emit = plan.EmitChanges
		}
		return p
	}
	inner, err := make(nil).Inner()
	if err != nil {
		panic(err)
	}
	n, _ := inner.Index("n")
	rest := must(expr.New(expr.Mod, expr.Column(inner, n), expr.Int(record.Int64, 3)))
	return make(must(expr.New(expr.Ne, rest, expr.Int(record.Int64, 0))))
}

// simPadding has a text take two lines or three.
const simPadding = "a text that is as long as it has to be to need more than one line of a block, and with some " +
	"numbers one more: it is 124 and "

// simManyGroups are more groups of a reader than it has records: those are looked at less often, for that is what takes the time.
const simManyGroups = 4096

// simSidedLooks is of how many groups of a cut, at least, the states with blocks are looked at, where it has as many; at most of twice as many.
const simSidedLooks = 8

// simSource gives records whose value is their number.
type simSource struct {
	rng    *rand.Rand
	id     int64
	groups int64
	next   int64 // number of the last record
	most   int64
	ends   bool
	batch  *record.Batch
	sided  bool   // records have texts
	text   []byte // of the last record
	raised uint64 // the newest epoch, and the records that had been fed to the source before
	fed    int64
	late   uint64          // the newest epoch when it joined
	marks  map[int64]int64 // the version of the simTable at the mark that came after this number of records
}

func (s *simSource) Next(Nanos) (*record.Batch, bool) {
	switch {
	// the second is a failure: the end all the same, and nothing is owed
	case s.next == s.most || s.ends && s.rng.IntN(50) == 0:
		s.most = s.next
		s.fed = min(s.fed, s.next)
		return nil, true
	case s.rng.IntN(4) == 0:
		return nil, false
	}
	s.batch.Reset()
	for range min(1+s.rng.Int64N(int64(s.batch.Cap())), s.most-s.next) {
		if s.sided {
			s.text = strconv.AppendInt(append(s.text[:0], simPadding...), s.next+1, 10)
		}
		if !s.batch.Add(len(s.text)) {
			break
		}
		s.next++
		s.batch.SetInt64(0, s.id<<32|s.next*0x9e3779b9%s.groups)
		s.batch.SetInt64(1, s.next)
		if s.sided {
			s.batch.SetBytes(2, s.text)
		}
	}
	return s.batch, false
}

// Drained is as for a reader that is fed: some records were there when the epoch was raised and must come first.
func (s *simSource) Drained(epoch uint64) bool { return s.next >= s.fed }

// raise is told to the source when an epoch is raised.
func (s *simSource) raise(epoch uint64) {
	s.raised, s.fed = epoch, min(s.next+s.rng.Int64N(200)*s.rng.Int64N(2), s.most)
}
func (s *simSource) Quarantine(record.Reject) bool { return true }
func (s *simSource) Wake() Nanos                   { return Never }
func (s *simSource) Complete() bool                { return true }

// sim is one run.
type sim struct {
	rng        *rand.Rand
	cuts       *Cuts
	agents     []Agent
	sources    []*simSource
	held       []heldCut
	last       uint64 // the newest epoch that was seen
	partitions int
	groups     int64
	moves      []*Move

	parts   []*Partition
	route   plan.Route
	fold    Fold
	slots   int // of each ring
	joining *simJoin
	joins   int

	endless bool   // the sources end when some epochs have been waited for, one at a time
	waits   uint64 // the epoch that is waited for
	waited  int    // steps
	what    string // the shape, for messages

	n, sum, max result.Column[int64]

	plan      *plan.Plan
	text      result.Column[string] // of simSidedPlan
	different result.Column[int64]
	top       result.Column[float64]
	key       result.Column[int64]
	kinds     result.Column[int64] // of plans that count different values
	distinct  bool

	changes *result.Changes // of plans that emit them, nil else
	applied map[int64][3]int64

	second  *simSecond // nil in runs of one plan
	third   *simThird  // nil while it is not there
	holding bool       // whether the epochs are about to be held
	went    int        // how often the third plan went
}

// simJoin is a reader that is joining: the partitions get its ring one after the other, in an order and at moments of their own.
type simJoin struct {
	source      *simSource
	router      simAgent
	rings       []*ring.Consumer[Chunk] // to the partitions, and then to those of the second plan
	left        []int                   // partitions that have not got theirs
	least, most uint64                  // epochs that the others had answered
}

type heldCut struct {
	cut  *result.Cut
	slot int
	sums string
}

func newSim(seed uint64) (*sim, error) {
	rng := rand.New(rand.NewPCG(seed, 77))
	s := &sim{rng: rng}
	readers, partitions := 1+rng.IntN(4), 1+rng.IntN(5)
	s.partitions = partitions
	slots := 1 << rng.IntN(4)
	routing := plan.RouteAuto
	if rng.IntN(4) == 0 {
		routing = plan.Routing(rng.IntN(int(plan.RouteCustom)))
	}
	route := plan.Route{Routing: routing}
	fold := Fold{Exchange: plan.Exchange(rng.IntN(4)), Bytes: 1 << (8 + rng.IntN(10))}
	held := rng.IntN(3)
	groups := int64(1) << rng.IntN(7)
	if rng.IntN(32) == 0 {
		groups = simManyGroups // some tables that are not copied whole
	}
	s.groups = groups
	s.plan = []*plan.Plan{simPlan, simPlan, simSidedPlan, simDistinctPlan, simChangesPlan, simBothPlan}[rng.IntN(6)]
	s.what = fmt.Sprintf("%d readers, %d partitions, rings of %d, %v, %v, %d held, %d groups", readers, partitions,
		slots, routing, fold.Exchange, held, groups)
	s.cuts = NewCuts(s.plan, route, readers, partitions, held, nil, func() {
		number, _ := s.cuts.Raised()
		for _, src := range s.sources {
			if src.raised != number { // else it is rung for something else
				src.raise(number)
			}
		}
	})
	s.endless = rng.IntN(8) == 0
	in := make([][]*ring.Consumer[Chunk], partitions)
	out := make([][]*ring.Producer[Chunk], readers)
	bells := make([]Bell, readers)
	for i := range bells {
		bells[i] = noBell{}
	}
	for r := range readers {
		for p := range partitions {
			pr, co := ring.New[Chunk](slots)
			out[r] = append(out[r], pr)
			in[p] = append(in[p], co)
		}
	}
	s.route, s.fold, s.slots = route, fold, slots
	for p := range partitions {
		part, err := NewPartition(plan.PartitionID(p), s.plan, in[p], bells, nil, s.cuts)
		if err != nil {
			return s, err
		}
		s.parts = append(s.parts, part)
		s.agents = append(s.agents, part)
	}
	if rng.IntN(3) == 0 {
		if err := s.addSecond(); err != nil {
			return s, err
		}
	}
	for r := range readers {
		src, router, more, err := s.newReader(out[r])
		if err != nil {
			return s, err
		}
		for p, ring := range more {
			s.second.parts[p].Join(ring, noBell{})
		}
		s.add(src, router)
	}
	for c, column := range map[string]*result.Column[int64]{"n": &s.n, "sum": &s.sum, "max": &s.max, "key": &s.key} {
		var err error
		if *column, err = result.ColumnOf[int64](s.plan, c); err != nil {
			return s, err
		}
	}
	if s.distinct = slices.ContainsFunc(s.plan.Aggregates, func(a plan.Aggregate) bool {
		return a.Distinct
	}); s.distinct {
		var err error
		if s.kinds, err = result.ColumnOf[int64](s.plan, "kinds"); err != nil {
			return s, err
		}
	}
	if s.plan.Emit == plan.EmitChanges {
		var err error
		if s.changes, err = result.NewChanges(s.plan); err != nil {
			return s, err
		}
		s.applied = map[int64][3]int64{}
	}
	if s.plan == simSidedPlan {
		var errs [3]error
		s.text, errs[0] = result.ColumnOf[string](s.plan, "text")
		s.different, errs[1] = result.ColumnOf[int64](s.plan, "different")
		s.top, errs[2] = result.ColumnOf[float64](s.plan, "top")
		return s, errors.Join(errs[:]...)
	}
	return s, nil
}

// simAgent is a router, or a fan of two.
type simAgent interface {
	Agent
	Join(least, most uint64)
}

// simFan is a fan whose routers join together.
type simFan struct {
	*Fan
	routers []*Router
	source  *simSource
	table   *simTable
}

func (f simFan) Join(least, most uint64) {
	for _, r := range f.routers {
		r.Join(least, most)
	}
}

// newReader makes the next reader and its router, and the rings to the partitions of the second plan if there is one.
func (s *sim) newReader(out []*ring.Producer[Chunk]) (*simSource, simAgent, []*ring.Consumer[Chunk], error) {
	id, rng := len(s.sources), s.rng
	rows := 20 + rng.IntN(400)
	if s.endless {
		rows = 20 + rng.IntN(40) // there are many
	}
	src := &simSource{
		rng: rng, id: int64(id), groups: s.groups, most: rng.Int64N(2500), ends: rng.IntN(3) == 0,
		batch: record.NewBatch(s.plan.Source, rows),
		sided: s.plan == simSidedPlan, marks: map[int64]int64{},
	}
	local := make([]*Partition, s.partitions)
	bells := make([]Bell, s.partitions)
	for p := range local {
		bells[p] = noBell{}
		if rng.IntN(2) == 0 {
			local[p] = s.parts[p]
		}
	}
	router, err := NewRouter(plan.ReaderID(id), s.plan, src, s.route, s.fold, out, bells, local, nil, s.cuts)
	if err != nil || s.second == nil {
		return src, router, nil, err
	}
	var in []*ring.Producer[Chunk]
	var more []*ring.Consumer[Chunk]
	for p := range s.partitions {
		pr, co := ring.New[Chunk](s.slots)
		in, more = append(in, pr), append(more, co)
		local[p] = nil
		if rng.IntN(2) == 0 {
			local[p] = s.second.parts[p]
		}
	}
	fold := Fold{Exchange: plan.Exchange(rng.IntN(4)), Bytes: 1 << 12}
	other, err := NewRouter(plan.ReaderID(id), s.second.plan, src, plan.Route{}, fold, in, bells, local, nil,
		s.second.cuts)
	if err != nil {
		return nil, nil, nil, err
	}
	if s.second.abandoned > 0 {
		other.Abandon()
	}
	s.second.routers = append(s.second.routers, other)
	both := []*Router{router, other}
	fan := simFan{NewFan(both), both, src, s.second.table}
	if fan.table != nil {
		src.marks[0] = fan.table.version
	}
	return src, fan, more, nil
}

func (s *sim) add(src *simSource, router simAgent) {
	if s.endless {
		src.most, src.ends = 1<<31, false
	}
	s.sources = append(s.sources, src)
	s.agents = append(s.agents, router)
}

// join goes on with a reader that joins, or begins with one.
func (s *sim) join() (err error) {
	j := s.joining
	switch {
	case j == nil:
		if s.joins == 4 || !s.cuts.Join() {
			return nil
		}
		s.joins++
		j = &simJoin{least: math.MaxUint64}
		var rings []*ring.Producer[Chunk]
		for range s.partitions {
			in, out := ring.New[Chunk](s.slots)
			rings, j.rings = append(rings, in), append(j.rings, out)
		}
		s.joining = j
		var more []*ring.Consumer[Chunk]
		j.source, j.router, more, err = s.newReader(rings)
		j.rings = append(j.rings, more...)
		j.left = s.rng.Perm(len(j.rings))
	case len(j.left) > 0:
		p := j.left[0]
		j.left = j.left[1:]
		part := s.parts[p%s.partitions]
		if p >= s.partitions {
			part = s.second.parts[p-s.partitions]
		}
		answered := part.Join(j.rings[p], noBell{})
		j.least, j.most = min(j.least, answered), max(j.most, answered)
	default:
		s.joining = nil
		j.router.Join(j.least, j.most)
		j.source.raised, _ = s.cuts.Raised()
		j.source.late = j.source.raised // owes nothing to the epoch in flight, although it has been fed
		j.source.fed = min(j.source.most, s.rng.Int64N(200))
		s.add(j.source, j.router)
	}
	return err
}

// check says what is wrong with a cut: of each reader it must have the records up to its position, and at least those that were fed before the
// epoch was raised.
func (s *sim) check(c *result.Cut) (sums string, err error) {
	n, sum, most := make([]int64, len(s.sources)), make([]int64, len(s.sources)), make([]int64, len(s.sources))
	groups := 0
	// of the groups, from any one on: a text and two sketches cost more to read than all that was counted
	every := 1 + c.Len()/simSidedLooks
	sided := s.rng.IntN(every)
	kinds := s.kindsOf(c)
	for row := range c.Rows() { // those too that Having does not let through
		r := s.key.Of(row) >> 32
		n[r] += s.n.Of(row)
		sum[r] += s.sum.Of(row)
		most[r] = max(most[r], s.max.Of(row))
		if groups++; groups%every == sided {
			if err := s.checkSided(row); err != nil {
				return "", fmt.Errorf("epoch %d: %w", c.Epoch(), err)
			}
		}
		if groups%61 == 0 {
			k, err := s.plan.Key(s.key.Of(row))
			if err != nil {
				return "", err
			}
			if found, ok := c.Get(k); ok != s.passes(row) || ok && found != row {
				return "", fmt.Errorf("epoch %d: group %x is found: %v", c.Epoch(), s.key.Of(row), ok)
			}
		}
		if kinds != nil {
			if got, want := s.kinds.Of(row), bits.OnesCount8(kinds[r][s.key.Of(row)&math.MaxUint32]); got != int64(
				want) {
				return "", fmt.Errorf("epoch %d: group %x has %d different values, expected %d", c.Epoch(),
					s.key.Of(row), got, want)
			}
		}
	}
	counters := c.Counters()
	for r := range n {
		want := int64(0)
		if r < len(counters) {
			want = int64(counters[r].Counted)
		}
		if n[r] != want || sum[r] != want*(want+1)/2 || most[r] != want {
			return "", fmt.Errorf("epoch %d: of reader %d there are %d records, sum %d, greatest %d; expected %d",
				c.Epoch(), r, n[r], sum[r], most[r], want)
		}
		if c.Epoch() > 0 && s.sources[r].raised == c.Epoch() && s.sources[r].late < c.Epoch() &&
			want < s.sources[r].fed {
			return "", fmt.Errorf("epoch %d: of reader %d there are %d records, %d were fed before", c.Epoch(), r, want,
				s.sources[r].fed)
		}
	}
	if groups != c.Len() {
		return "", fmt.Errorf("epoch %d: %d groups, Len says %d", c.Epoch(), groups, c.Len())
	}
	for len(n) > 0 && n[len(n)-1] == 0 { // readers that have joined since say nothing
		n, sum = n[:len(n)-1], sum[:len(sum)-1]
	}
	return fmt.Sprint(n, sum, groups), nil
}

// passes says whether the plan's Having lets a group through.
func (s *sim) passes(row result.Row) bool { return s.plan.Having == nil || s.n.Of(row)%3 != 0 }

// kindsOf are the different values of each group of each reader as of a cut, a bit each; nil where the plan does not count them.
func (s *sim) kindsOf(c *result.Cut) (kinds [][]uint8) {
	if !s.distinct {
		return nil
	}
	for _, counters := range c.Counters() {
		of := make([]uint8, s.groups)
		for v := range min(int64(counters.Counted), s.groups*(simKinds+1)) { // from there on both come round again
			if kind := (v + 1) % (simKinds + 1); kind != simKinds {
				of[(v+1)*0x9e3779b9%s.groups] |= 1 << kind
			}
		}
		kinds = append(kinds, of)
	}
	return kinds
}

// apply writes the changes up to the newest cut: applying them all gives what it has.
func (s *sim) apply() error {
	if s.changes == nil {
		return nil
	}
	c, slot := s.cuts.Pin()
	defer s.cuts.Unpin(slot)
	seen := map[int64]bool{}
	for b := range s.changes.Batches(c, 1+s.rng.IntN(64)) {
		for i := range b.Len() {
			key, row := b.Column(1).Int64s[i], [3]int64{b.Column(2).Int64s[i], b.Column(3).Int64s[i]}
			if s.distinct {
				row[2] = b.Column(5).Int64s[i]
			}
			old, had := s.applied[key]
			switch op := string(b.Column(0).View(i)); {
			case seen[key]:
				return fmt.Errorf("epoch %d: group %x is written twice", c.Epoch(), key)
			case had && old == row && len(s.moves) == 0:
				return fmt.Errorf("epoch %d: group %x is written and has not changed", c.Epoch(), key)
			case op == plan.Upsert:
				s.applied[key] = row
			case op == plan.Delete && had:
				delete(s.applied, key)
			default:
				return fmt.Errorf("epoch %d: %q of group %x; it was there: %v", c.Epoch(), op, key, had)
			}
			seen[key] = true
		}
	}
	want := map[int64][3]int64{}
	for row := range c.Rows() {
		if !s.passes(row) {
			continue
		}
		w := [3]int64{s.n.Of(row), s.sum.Of(row)}
		if s.distinct {
			w[2] = s.kinds.Of(row)
		}
		want[s.key.Of(row)] = w
	}
	if !maps.Equal(want, s.applied) {
		return fmt.Errorf("epoch %d: the changes make %v, expected %v", c.Epoch(), s.applied, want)
	}
	return nil
}

// checkSided says what is wrong with the states of a group that have blocks.
func (s *sim) checkSided(row result.Row) error {
	if s.plan != simSidedPlan || s.n.Of(row) == 0 {
		return nil
	}
	most := s.max.Of(row)
	if got, want := s.text.Of(row), simPadding+strconv.FormatInt(most, 10); got != want {
		return fmt.Errorf("group %x: the text of %d is %q", s.key.Of(row), most, got)
	}
	n, different := float64(s.n.Of(row)), float64(s.different.Of(row))
	if n <= 384 && n != different || math.Abs(n-different) > n/10 {
		return fmt.Errorf("group %x: %v different of %v", s.key.Of(row), different, n)
	}
	if top := s.top.Of(row); math.Abs(top-2*float64(most)) > 2*float64(most)*agg.MaxPercentileError {
		return fmt.Errorf("group %x: the top is %v, the greatest twice %d", s.key.Of(row), top, most)
	}
	return nil
}

// look pins the newest cut and checks it.
func (s *sim) look() error {
	c, slot := s.cuts.Pin()
	sums, err := s.check(c)
	if err == nil {
		err = s.checkSecond(c, slot)
	}
	if err == nil {
		err = s.checkThird(c, slot)
	}
	if err != nil {
		return err
	}
	if c.Epoch() < s.last {
		return fmt.Errorf("epoch %d was seen after %d", c.Epoch(), s.last)
	}
	s.last = c.Epoch()
	s.held = append(s.held, heldCut{c, slot, sums})
	return nil
}

// letGo unpins one of the held cuts, which must not have changed.
func (s *sim) letGo() error {
	i := s.rng.IntN(len(s.held))
	h := s.held[i]
	s.held = append(s.held[:i], s.held[i+1:]...)
	sums, err := s.check(h.cut)
	if err == nil && sums != h.sums {
		err = fmt.Errorf("epoch %d was %s and is %s", h.cut.Epoch(), h.sums, sums)
	}
	s.cuts.Unpin(h.slot)
	return err
}

// await asks for one epoch after the other and nothing else, so that nobody but those who have to raises them.
func (s *sim) await() error {
	switch {
	case !s.endless:
	case !s.cuts.Passed(s.waits):
		// The slow agent gets a step in a thousand or less, and may have 200 records to give before the
		// mark, one by one.
		if s.waited++; s.waited > 1_500_000 {
			return fmt.Errorf("epoch %d did not come within %d steps; %+v\n%s", s.waits, s.waited, s.cuts.Stats(),
				s.state())
		}
	case s.waits > 10:
		s.endless = false
		for _, src := range s.sources {
			src.most = src.next
			src.fed = min(src.fed, src.next)
		}
	default:
		s.waited = 0
		s.waits = s.cuts.Want()
		s.cuts.Want() // two requests before it is raised are one; after it, another
		if s.rng.IntN(2) == 0 {
			s.waits = s.cuts.Want()
		}
	}
	return nil
}

// state is what every agent is at, for messages.
func (s *sim) state() string {
	var b strings.Builder
	for _, a := range s.agents {
		switch a := a.(type) {
		case *Router:
			fmt.Fprintf(&b, "router %d: phase %d at end %v sent %d epoch %d batch %v\n", a.id, a.phase, a.atEnd, a.sent,
				a.epoch,
				a.batch != nil)
		case simFan:
			for _, r := range a.routers {
				fmt.Fprintf(&b, "router %d of a fan: phase %d at end %v sent %d epoch %d batch %v\n", r.id, r.phase, r.atEnd,
					r.sent, r.epoch, r.batch != nil)
			}
		case *Partition:
			fmt.Fprintf(&b, "partition %d: phase %d epoch %d unmarked %d of %d handover %+v\n", a.id, a.phase, a.epoch,
				a.unmarked,
				a.active, a.handover)
		}
	}
	return b.String()
}

// run steps until the end.
func (s *sim) run() error {
	slow := s.rng.IntN(len(s.agents)) // one that is stepped a hundred times less often
	var seen int
	for steps := 0; ; steps++ {
		if steps > 3_000_000 {
			return fmt.Errorf("no end after %d steps; epochs %+v\n%s", steps, s.cuts.Stats(), s.state())
		}
		switch s.rng.IntN(300) {
		case 0:
			if !s.endless {
				s.cuts.Want()
			}
		case 3:
			// Of a few groups that are there, so that shards come back to who had them. Some moves
			// are of several shards, which may have different owners.
			var shards []int
			for range 1 + s.rng.IntN(3) {
				k, err := s.plan.Key(s.rng.Int64N(2)<<32 | s.rng.Int64N(2)*0x9e3779b9%s.groups)
				if err != nil {
					return err
				}
				shards = append(shards, k.Shard())
			}
			cuts := s.cuts
			if s.second != nil && s.rng.IntN(2) == 0 { // also while it is being abandoned
				cuts = s.second.cuts
			}
			if m, err := cuts.RequestMove(plan.PartitionID(s.rng.IntN(s.partitions)), shards...); err == nil {
				s.moves = append(s.moves, m)
			}
		case 4:
			if s.joining == nil && (s.holding || s.third != nil || s.rng.IntN(8) > 0) {
				break
			}
			if err := s.join(); err != nil {
				return err
			}
		case 5:
			if err := s.apply(); err != nil {
				return err
			}
		case 8:
			if s.second == nil || !s.holding && s.rng.IntN(4) > 0 {
				break
			}
			if err := s.comeOrGo(); err != nil {
				return err
			}
		case 7:
			if x := s.second; x != nil && x.table != nil {
				if err := x.table.renew(); err != nil {
					return err
				}
			}
		case 6:
			if x := s.second; x != nil && x.abandoned == 0 && s.rng.IntN(20) == 0 {
				raised, _ := s.cuts.Raised()
				x.abandoned = raised + 1 // what its partitions show from the epoch in flight on is not of one moment
				if !s.cuts.Passed(raised) {
					x.abandoned = raised
				}
				for _, part := range x.parts {
					part.Abandon()
				}
				for _, r := range x.routers {
					r.Abandon()
				}
			}
		case 1:
			if seen++; len(s.held) < 6 && (s.groups < simManyGroups || seen%8 == 0) {
				if err := s.look(); err != nil {
					return err
				}
			}
		case 2:
			if len(s.held) > 0 {
				if err := s.letGo(); err != nil {
					return err
				}
			}
		}
		if err := s.await(); err != nil {
			return err
		}
		i := s.rng.IntN(len(s.agents))
		if i == slow && s.rng.IntN(100) > 0 {
			continue
		}
		s.agents[i].Step(0)
		if err := s.agents[i].Err(); err != nil {
			return err
		}
		if s.cuts.Ended() {
			break
		}
	}
	for len(s.held) > 0 {
		if err := s.letGo(); err != nil {
			return err
		}
	}
	if err := s.look(); err != nil {
		return err
	}
	if err := s.apply(); err != nil {
		return err
	}
	for r, src := range s.sources {
		if got := s.held[0].cut.Counters()[r].Counted; got != uint64(src.next) {
			return fmt.Errorf("reader %d gave %d records, the last cut has %d", r, src.next, got)
		}
	}
	s.cuts.Unpin(s.held[0].slot)
	if st := s.cuts.Stats(); st.Held != 0 || st.Published != st.Raised {
		return fmt.Errorf("epochs %+v", st)
	}
	return nil
}

// simulate runs a simulation for many seeds, on all processors, and returns how many: short or
// checked of them with those flags, 10,000 or VELO_SIMS without. VELO_SIM runs one.
func simulate(t *testing.T, short, checked uint64, run func(seed uint64) error) (n uint64) {
	t.Helper()
	first, n := uint64(0), uint64(10_000)
	if testing.Short() {
		n = short
	} else if invariants.Enabled {
		n = checked
	}
	if v, err := strconv.ParseUint(os.Getenv("VELO_SIM"), 10, 64); err == nil {
		first, n = v, 1
	} else if v, err := strconv.ParseUint(os.Getenv("VELO_SIMS"), 10, 64); err == nil {
		n = v
	}
	var seeds atomic.Uint64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := seeds.Add(1) - 1; i < n && !t.Failed(); i = seeds.Add(1) - 1 {
				if err := run(first + i); err != nil {
					t.Errorf("VELO_SIM=%d go test ./core -run '%s$': %v", first+i, t.Name(), err)
				}
			}
		})
	}
	workers.Wait()
	return n
}

// Goal: in any order of steps every cut is a prefix of each reader, does not change while it is held, and has what was fed before; everything
// ends, and the last cut has all. Applying the changes of a plan that emits them gives what the cut has; different values are as brute force has them.
func TestSimulation(t *testing.T) {
	var epochs, moves, joins, went atomic.Uint64
	n := simulate(t, 40, 150, func(seed uint64) error {
		s, err := newSim(seed)
		if err == nil {
			err = s.run()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		epochs.Add(s.cuts.Stats().Published)
		joins.Add(uint64(s.joins))
		went.Add(uint64(s.went))
		for _, m := range s.moves {
			if m.Done() {
				moves.Add(1)
			}
		}
		return nil
	})
	few := epochs.Load() < 5*n || moves.Load() < n/2 || joins.Load() < n/4 || went.Load() < n/8
	if few && n > 1 && !t.Failed() {
		t.Errorf("%d epochs, %d moves, %d readers that joined and %d plans that went in %d runs: too few to mean anything",
			epochs.Load(), moves.Load(), joins.Load(), went.Load(), n)
	}
	t.Logf("%d runs, %d epochs, %d shards moved, %d readers joined, %d plans came and went", n, epochs.Load(),
		moves.Load(), joins.Load(), went.Load())
}
