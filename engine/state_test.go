package engine_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/expr"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/writers"
)

// distinct are readers of n records each, all of groups of their own.
func distinct(t *testing.T, number, n int) (*plan.Plan, []record.Reader) {
	t.Helper()
	p := &plan.Plan{
		Source: readers.GeneratorSchema, Keys: []string{"key"},
		Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}, {Name: "s", Func: plan.Sum, Column: "value"}},
	}
	var rs []record.Reader
	for r := range number {
		var batches []*record.Batch
		for from := 0; from < n; from += 1000 {
			b := record.NewBatch(p.Source, 1000)
			for i := range 1000 {
				b.Add(0)
				b.SetInt64(0, int64(r*n+from+i))
				b.SetInt64(1, 1)
			}
			batches = append(batches, b)
		}
		m, err := readers.NewMemory(p.Source, batches, 2)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, m)
	}
	return p, rs
}

// Goal: a plan whose groups need more than StateBytes ends with an error that says so; the process
// lives.
func TestStateStop(t *testing.T) {
	for _, exchange := range []plan.Exchange{
		plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeFold,
		plan.ExchangeRoute,
	} {
		p, rs := distinct(t, 2, 100_000)
		e, err := engine.Start(context.Background(),
			engine.Config{Plan: p, Readers: rs, Partitions: 3, Cores: 2, Exchange: exchange, StateBytes: 4 << 20})
		if err != nil {
			t.Fatal(err)
		}
		err = e.Wait()
		if err == nil || !strings.Contains(err.Error(), "no room for another group") ||
			!strings.Contains(err.Error(), "4194304 bytes") {
			t.Errorf("%v: %v", exchange, err)
		}
		if n := e.Stats().StateBytes; n > 4<<20 {
			t.Errorf("%v: the groups hold %d bytes", exchange, n)
		}
		e.Close()
	}
}

// Goal: a plan that sheds goes on, every record is counted or shed, and the groups that are there
// have all of their records.
func TestStateShed(t *testing.T) {
	for _, exchange := range []plan.Exchange{plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeRoute} {
		p, rs := distinct(t, 2, 100_000)
		e, err := engine.Start(context.Background(), engine.Config{
			Plan: p, Readers: rs, Partitions: 3, Cores: 2, Exchange: exchange, StateBytes: 4 << 20,
			StatePolicy: plan.StateShed,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		count, err := result.ColumnOf[int64](p, "n")
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
		var c result.Counters
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

// Goal: a plan that counts different values, and one that emits changes, shed records like any
// other: what is counted is in groups, and applying the changes gives what the snapshot has.
// Method: more different values than there is room for, in few groups and in many.
func TestStateShedShapes(t *testing.T) {
	for _, text := range []string{
		"SELECT key % 10 AS k, count(*) AS n, count(DISTINCT key) AS d FROM s GROUP BY key % 10 EMIT CHANGES",
		"SELECT key, count(*) AS n, count(DISTINCT key) AS d FROM s GROUP BY key EMIT CHANGES",
		"SELECT key, count(*) AS n, count(*) AS d FROM s GROUP BY key HAVING count(*) < 2 EMIT CHANGES",
	} {
		of, rs := distinct(t, 2, 100_000)
		p, err := query.Compile(strings.Replace(text, "FROM s", "FROM \""+of.Source.Name()+"\"", 1), of.Source)
		if err != nil {
			t.Fatal(err)
		}
		applied := map[int64][2]int64{}
		e := start(t, engine.Config{
			Plan: p, Readers: rs, Partitions: 3, Cores: 2, NoPin: true, StateBytes: 8 << 20,
			StatePolicy: plan.StateShed, EpochInterval: time.Millisecond,
			Writer: writers.Func(func(_ context.Context, b *record.Batch) error {
				for i := range b.Len() {
					if key := b.Column(1).Int64s[i]; string(b.Column(0).View(i)) == plan.Upsert {
						applied[key] = [2]int64{b.Column(2).Int64s[i], b.Column(3).Int64s[i]}
					} else {
						delete(applied, key)
					}
				}
				return nil
			}),
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		snap := e.Snapshot()
		rows, inGroups := map[int64][2]int64{}, int64(0)
		for b := range snap.Batches(record.DefaultRows) {
			for i := range b.Len() {
				n, d := b.Column(1).Int64s[i], b.Column(2).Int64s[i]
				rows[b.Column(0).Int64s[i]] = [2]int64{n, d}
				if inGroups += n; d > n {
					t.Fatalf("%s: %d different values of %d", text, d, n)
				}
			}
		}
		var c result.Counters
		for _, of := range snap.Counters() {
			c.Add(of)
		}
		snap.Close()
		if c.Shed == 0 || p.Having == nil && inGroups != int64(c.Counted) || c.In != c.Counted+c.Shed {
			t.Errorf("%s: %+v, %d in groups", text, c, inGroups)
		}
		if !maps.Equal(rows, applied) {
			t.Errorf("%s: the changes make %d groups, the snapshot has %d", text, len(applied), len(rows))
		}
	}
}

// Goal: faults of the configuration are named.
func TestStateFaults(t *testing.T) {
	p, rs := distinct(t, 1, 1000)
	c := engine.Config{Plan: p, Readers: rs, StateBytes: 1000, StatePolicy: plan.StateShed, Exchange: plan.ExchangeFold}
	err := c.Validate()
	for _, want := range []string{"1000 bytes for the groups", "cannot fold"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: expected %q", err, want)
		}
	}
}

// Goal: a plan whose texts and sketches need more than StateBytes ends with an error that says so,
// and one that should shed is refused. Method: few groups, sketches of 4 KiB; then the same bound
// with StateShed.
func TestStateOfBlocks(t *testing.T) {
	for _, exchange := range []plan.Exchange{plan.ExchangeAuto, plan.ExchangeFold, plan.ExchangeRoute} {
		p, rs := distinct(t, 2, 200_000)
		schema := p.Source
		key, err := expr.New(expr.Mod, expr.Column(schema, 0), expr.Int(record.Int64, 997))
		if err != nil {
			t.Fatal(err)
		}
		p = &plan.Plan{
			Source: schema, Computed: []expr.Output{{Name: "few", Expr: key}}, Keys: []string{"few"},
			Aggregates: []plan.Aggregate{{Name: "d", Func: plan.ApproxCountDistinct, Column: "key"}},
		}
		cfg := engine.Config{Plan: p, Readers: rs, Partitions: 2, Cores: 2, Exchange: exchange, StateBytes: 2 << 20}
		e, err := engine.Start(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = e.Wait()
		if err == nil || !strings.Contains(err.Error(), "no room") ||
			!strings.Contains(err.Error(), "beside the rows") {
			t.Errorf("%v: %v", exchange, err)
		}
		if n := e.Stats().StateBytes; n > 2<<20 {
			t.Errorf("%v: the groups hold %d bytes", exchange, n)
		}
		e.Close()
		cfg.StatePolicy, cfg.Exchange = plan.StateShed, plan.ExchangeAuto
		_, cfg.Readers = distinct(t, 2, 1000) // the engine may have left the others behind
		if _, err := engine.Start(context.Background(), cfg); err == nil ||
			!strings.Contains(err.Error(), "StateShed") {
			t.Errorf("a plan with blocks that sheds: %v", err)
		}
	}
}
