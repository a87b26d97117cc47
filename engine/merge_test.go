package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// Goal: groups with long keys are read where they have to be merged first: made of pairs, scattered, or of several panes. Method: few groups, whose keys are as long as keys may be, so that the
// bytes of keys are more than a kilobyte for each group.
func TestMergeLongKeys(t *testing.T) {
	schema, err := record.NewSchema("long", record.Field{Name: "name", Type: record.String},
		record.Field{Name: "at", Type: record.Timestamp}, record.Field{Name: "v", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	name := func(i int) string { return strings.Repeat(fmt.Sprint("a long name ", i), 700) }
	for _, c := range []struct {
		text    string
		routing plan.Routing
	}{
		{"SELECT name, count(DISTINCT v) AS n FROM long GROUP BY name", plan.RouteAuto},
		{"SELECT name, count(*) AS n FROM long GROUP BY name", plan.RouteRoundRobin},
		{"SELECT name, count(*) AS n FROM long GROUP BY name, hop(at, INTERVAL '1 s', INTERVAL '3 s')", plan.RouteAuto},
	} {
		for groups := 1; groups <= 1024; groups *= 32 {
			p, err := query.Compile(c.text, schema)
			if err != nil {
				t.Fatal(err)
			}
			var batches []*record.Batch
			for i := range 2 * groups {
				b := record.NewBatch(schema, 1)
				b.Add(len(name(i % groups)))
				b.SetString(0, name(i%groups))
				b.SetInt64(1, int64(i/groups)*1e9)
				b.SetInt64(2, int64(i))
				batches = append(batches, b)
			}
			m, err := readers.NewMemory(schema, batches, 1)
			if err != nil {
				t.Fatal(err)
			}
			e := start(t, engine.Config{
				Plan: p, Readers: []record.Reader{m}, Partitions: 2, Cores: 1, NoPin: true,
				Route: plan.Route{Routing: c.routing},
			})
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			s := e.Snapshot()
			most, column := int64(0), func(name string) result.Column[int64] {
				col, err := result.ColumnOf[int64](p, name)
				if err != nil {
					t.Fatal(err)
				}
				return col
			}
			n := column("n")
			for row := range s.All() {
				most = max(most, n.Of(row))
			}
			if s.Len() == 0 || most != 2 {
				t.Errorf("%s: %d groups of up to %d, expected some of 2", c.text, s.Len(), most)
			}
			s.Close()
		}
	}
}
