package core

import (
	"context"
	"fmt"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// simSecond is another plan over the same records, simPlan with other partitions of its own. Each
// of its cuts has the same records as the cut of the first plan in the same slot, until it is
// abandoned; then it stays as it was.
type simSecond struct {
	cuts      *Cuts
	parts     []*Partition
	routers   []*Router
	abandoned uint64 // the epoch before which it was; 0 if it was not
	frozen    int64  // how many records it shows since; less than 0 before
	plan      *plan.Plan
	table     *simTable // that it joins; nil in some runs
	key       result.Column[int64]
	n, sum    result.Column[int64]
}

// addSecond adds the plan and its partitions, which have no readers yet.
func (s *sim) addSecond() (err error) {
	x := &simSecond{plan: simPlan, frozen: -1}
	key := "key"
	if s.rng.IntN(2) == 0 {
		if x.table, err = newSimTable(); err != nil {
			return err
		}
		x.plan, key = x.table.plan, "reader"
	}
	x.cuts = s.cuts.Share(x.plan, plan.Route{}, nil)
	s.second = x
	for p := range s.partitions {
		part, err := NewPartition(plan.PartitionID(p), x.plan, nil, nil, nil, x.cuts)
		if err != nil {
			return err
		}
		x.parts = append(x.parts, part)
		s.agents = append(s.agents, part)
	}
	for name, column := range map[string]*result.Column[int64]{key: &x.key, "n": &x.n, "sum": &x.sum} {
		if *column, err = result.ColumnOf[int64](x.plan, name); err != nil {
			return err
		}
	}
	return nil
}

// checkSecond says how the cut of the second plan in a slot differs from that of the first.
func (s *sim) checkSecond(c *result.Cut, slot int) error {
	x := s.second
	if x == nil {
		return nil
	}
	d := x.cuts.At(slot)
	n, sum, all := make([]int64, len(c.Counters())), make([]int64, len(c.Counters())), int64(0)
	for row := range d.Rows() {
		r := x.key.Of(row)
		if x.table == nil {
			r >>= 32
		}
		n[r] += x.n.Of(row)
		sum[r] += x.sum.Of(row)
		all += x.n.Of(row)
	}
	switch {
	case d.Epoch() != c.Epoch():
		return fmt.Errorf("the cuts of epoch %d and %d are in one slot", c.Epoch(), d.Epoch())
	case x.abandoned > 0 && c.Epoch() > x.abandoned:
		if x.frozen >= 0 && all != x.frozen {
			return fmt.Errorf("epoch %d: the abandoned plan had %d records and has %d", c.Epoch(), x.frozen, all)
		}
		x.frozen = all
		return nil
	case x.abandoned > 0 && c.Epoch() == x.abandoned:
		return nil // some of its partitions had answered
	}
	for r, counters := range c.Counters() {
		if want := int64(counters.Counted); n[r] != want || sum[r] != want*(want+1)/2 {
			return fmt.Errorf("epoch %d: the second plan has %d records of reader %d, sum %d; the first has %d",
				c.Epoch(), n[r], r, sum[r], want)
		}
	}
	if x.table != nil {
		return x.table.check(d, s.sources)
	}
	return nil
}

// A simTable is a table with one row, whose value is the version, that the second plan of a
// simulation joins with all records. New versions come at any moment. The plan counts the records
// of each reader and version. What is between two marks of a reader has to have met one version,
// the newest at the first of them.
type simTable struct {
	table   *lookup.Table
	version int64
	plan    *plan.Plan

	reader, seen, n, low, high result.Column[int64]
}

func newSimTable() (*simTable, error) {
	t := &simTable{}
	schema, err := record.NewSchema("d", record.Field{Name: "id", Type: record.Int64},
		record.Field{Name: "version", Type: record.Int64})
	if err != nil {
		return nil, err
	}
	t.table, err = lookup.New(lookup.Config{
		Schema: schema, Key: []string{"id"},
		Load: func(_ context.Context, to *lookup.Builder) error {
			b := record.NewBatch(schema, 1)
			b.Add(0)
			b.SetInt64(0, 0)
			b.SetInt64(1, t.version)
			return to.Append(b)
		},
	})
	if err == nil {
		err = t.renew()
	}
	if err != nil {
		return nil, err
	}
	source := simPlan.Source
	key, v := expr.Column(source, 0), expr.Column(source, 1)
	reader, err := expr.New(expr.Div, key, expr.Int(record.Int64, 1<<32))
	if err != nil {
		return nil, err
	}
	none, err := expr.New(expr.Sub, v, v)
	if err != nil {
		return nil, err
	}
	row, err := expr.Lookup(t.table, "d", []*expr.Expr{none}, nil)
	if err != nil {
		return nil, err
	}
	seen, err := expr.LookupColumn(t.table, "d", row, 1)
	if err != nil {
		return nil, err
	}
	t.plan = &plan.Plan{
		Source: source, Computed: []expr.Output{{Name: "reader", Expr: reader}, {Name: "seen", Expr: seen}},
		Keys: []string{"reader", "seen"},
		Aggregates: []plan.Aggregate{
			{Name: "n", Func: plan.Count},
			{Name: "sum", Func: plan.Sum, Column: "v"},
			{Name: "low", Func: plan.Min, Column: "v"},
			{Name: "high", Func: plan.Max, Column: "v"},
		},
	}
	for name, column := range map[string]*result.Column[int64]{
		"reader": &t.reader, "seen": &t.seen, "n": &t.n, "low": &t.low, "high": &t.high,
	} {
		if *column, err = result.ColumnOf[int64](t.plan, name); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// renew makes the next version.
func (t *simTable) renew() error {
	t.version++
	return t.table.Reload(context.Background())
}

// check says which records of a cut have met another version than those between the same two marks.
func (t *simTable) check(d *result.Cut, sources []*simSource) error {
	type part struct{ seen, low, high int64 }
	last := map[int64]part{} // of each reader, the part with the greatest version
	versions := map[int64]int{}
	for row := range d.Rows() {
		if t.n.Of(row) == 0 {
			continue
		}
		r, p := t.reader.Of(row), part{t.seen.Of(row), t.low.Of(row), t.high.Of(row)}
		versions[r]++
		switch {
		case p.seen < 1 || p.seen > t.version:
			return fmt.Errorf("reader %d: records %d to %d have met version %d, and there are %d", r, p.low,
				p.high, p.seen, t.version)
		case p.high-p.low+1 != t.n.Of(row):
			return fmt.Errorf("reader %d: %d of records %d to %d have met version %d", r, t.n.Of(row), p.low, p.high,
				p.seen)
		}
		if met, ok := sources[r].marks[p.low-1]; !ok || met != p.seen {
			return fmt.Errorf("reader %d: version %d begins with record %d, and the mark before it came at version %d",
				r, p.seen, p.low, met)
		}
		for after, met := range sources[r].marks {
			if after >= p.low && after < p.high && met != p.seen {
				return fmt.Errorf("reader %d: records %d to %d have met version %d, and the mark after record %d "+
					"came at version %d", r, p.low, p.high, p.seen, after, met)
			}
		}
		other, ok := last[r]
		if ok && (other.seen < p.seen) != (other.low < p.low) {
			return fmt.Errorf("reader %d: version %d comes after %d, and its records before", r,
				max(p.seen, other.seen), min(p.seen, other.seen))
		}
		if !ok || other.seen < p.seen {
			last[r] = p
		}
	}
	return nil
}

// Step notes where marks are, and which version there was.
func (f simFan) Step(now Nanos) int {
	was := f.routers[0].epoch
	work := f.Fan.Step(now)
	if f.routers[0].epoch != was && f.table != nil {
		f.source.marks[f.source.next] = f.table.version
	}
	return work
}
