package engine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// distinct are readers of n records each, all of groups of their own.
func distinct(t *testing.T, number, n int) (*core.Plan, []record.Reader) {
	t.Helper()
	plan := &core.Plan{
		Source: readers.GeneratorSchema, Keys: []string{"key"},
		Aggregates: []core.Aggregate{{Name: "n", Func: core.Count}, {Name: "s", Func: core.Sum, Column: "value"}},
	}
	var rs []record.Reader
	for r := range number {
		var batches []*record.Batch
		for from := 0; from < n; from += 1000 {
			b := record.NewBatch(plan.Source, 1000)
			for i := range 1000 {
				b.Add(0)
				b.SetInt64(0, int64(r*n+from+i))
				b.SetInt64(1, 1)
			}
			batches = append(batches, b)
		}
		m, err := readers.NewMemory(plan.Source, batches, 2)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, m)
	}
	return plan, rs
}

// Goal: a plan whose groups need more than StateBytes ends with an error that says so; the process lives.
func TestStateStop(t *testing.T) {
	for _, exchange := range []core.Exchange{core.ExchangeAuto, core.ExchangeDirect, core.ExchangeFold, core.ExchangeRoute} {
		plan, rs := distinct(t, 2, 100_000)
		e, err := engine.Start(context.Background(), engine.Config{Plan: plan, Readers: rs, Partitions: 3, Cores: 2, Exchange: exchange, StateBytes: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		err = e.Wait()
		if err == nil || !strings.Contains(err.Error(), "no room for another group") || !strings.Contains(err.Error(), "4194304 bytes") {
			t.Errorf("%v: %v", exchange, err)
		}
		if n := e.Stats().StateBytes; n > 4<<20 {
			t.Errorf("%v: the groups hold %d bytes", exchange, n)
		}
		e.Close()
	}
}

// Goal: a plan that sheds goes on, every record is counted or shed, and the groups that are there have all of their records.
func TestStateShed(t *testing.T) {
	for _, exchange := range []core.Exchange{core.ExchangeAuto, core.ExchangeDirect, core.ExchangeRoute} {
		plan, rs := distinct(t, 2, 100_000)
		e, err := engine.Start(context.Background(), engine.Config{
			Plan: plan, Readers: rs, Partitions: 3, Cores: 2, Exchange: exchange, StateBytes: 4 << 20, StatePolicy: core.StateShed,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		count, err := core.ColumnOf[int64](plan, "n")
		if err != nil {
			t.Fatal(err)
		}
		snap := e.Snapshot()
		defer snap.Close()
		inGroups := uint64(0)
		for row := range snap.All() {
			if n := count.Of(row); n != 2 && n != 1 { // 1 where there was no room yet at the first pass
				t.Fatalf("a group has %d records", n)
			}
			inGroups += uint64(count.Of(row))
		}
		var c core.Counters
		for _, of := range snap.Counters() {
			if of.In != of.Counted+of.Quarantined+of.Shed {
				t.Fatalf("%+v", of)
			}
			c.Add(of)
		}
		st := e.Stats()
		if st.Counters() != c {
			t.Errorf("%v: Stats says %+v, the snapshot %+v", exchange, st.Counters(), c)
		}
		if c.In != 400_000 || c.Shed == 0 || c.Counted != inGroups || st.StateBytes > 4<<20 || snap.Len() < 10_000 {
			t.Errorf("%v: %+v, %d in %d groups of %d bytes", exchange, c, inGroups, snap.Len(), st.StateBytes)
		}
		if !strings.Contains(st.String(), "SHED") {
			t.Error("the table does not say that records were shed")
		}
	}
}

// Goal: faults of the configuration are named.
func TestStateFaults(t *testing.T) {
	plan, rs := distinct(t, 1, 1000)
	c := engine.Config{Plan: plan, Readers: rs, StateBytes: 1000, StatePolicy: core.StateShed, Exchange: core.ExchangeFold}
	err := c.Validate()
	for _, want := range []string{"1000 bytes for the groups", "cannot fold"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: expected %q", err, want)
		}
	}
}

// Goal: a plan whose texts and sketches need more than StateBytes ends with an error that says so, and one that should shed is refused. Method: few groups, sketches of
// 4 KiB; then the same bound with StateShed.
func TestStateOfBlocks(t *testing.T) {
	for _, exchange := range []core.Exchange{core.ExchangeAuto, core.ExchangeFold, core.ExchangeRoute} {
		plan, rs := distinct(t, 2, 200_000)
		schema := plan.Source
		key, err := expr.New(expr.Mod, expr.Column(schema, 0), expr.Int(record.Int64, 997))
		if err != nil {
			t.Fatal(err)
		}
		plan = &core.Plan{
			Source: schema, Computed: []expr.Output{{Name: "few", Expr: key}}, Keys: []string{"few"},
			Aggregates: []core.Aggregate{{Name: "d", Func: core.ApproxCountDistinct, Column: "key"}},
		}
		cfg := engine.Config{Plan: plan, Readers: rs, Partitions: 2, Cores: 2, Exchange: exchange, StateBytes: 2 << 20}
		e, err := engine.Start(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = e.Wait()
		if err == nil || !strings.Contains(err.Error(), "no room") || !strings.Contains(err.Error(), "beside the rows") {
			t.Errorf("%v: %v", exchange, err)
		}
		if n := e.Stats().StateBytes; n > 2<<20 {
			t.Errorf("%v: the groups hold %d bytes", exchange, n)
		}
		e.Close()
		cfg.StatePolicy, cfg.Exchange = core.StateShed, core.ExchangeAuto
		if _, err := engine.Start(context.Background(), cfg); err == nil || !strings.Contains(err.Error(), "StateShed") {
			t.Errorf("a plan with blocks that sheds: %v", err)
		}
	}
}
