package core

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/core/layout"
	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

type noBell struct{}

func (noBell) Wake() {}

// sliceSource hands out prepared batches.
type sliceSource struct {
	batches  []*record.Batch
	rejected int
}

func (s *sliceSource) Next(Nanos) (*record.Batch, bool) {
	if len(s.batches) == 0 {
		return nil, true
	}
	b := s.batches[0]
	s.batches = s.batches[1:]
	return b, false
}
func (s *sliceSource) Quarantine(record.Reject) bool { s.rejected++; return true }
func (s *sliceSource) Drained(uint64) bool           { return true }
func (s *sliceSource) Wake() Nanos                   { return Never }
func (s *sliceSource) Complete() bool                { return true }

// run steps routers and partitions in one goroutine, in a random order, until all are done.
func run(t *testing.T, p *plan.Plan, sources []Source, partitions, slots int, seed uint64) (*result.Owners,
	[]*result.Image, []*Router,
) {
	t.Helper()
	return runRoute(t, p, sources, plan.Route{}, Fold{Exchange: plan.ExchangeRoute}, partitions, slots, seed)
}

func runRoute(t *testing.T, p *plan.Plan, sources []Source, route plan.Route, fold Fold, partitions, slots int,
	seed uint64,
) (*result.Owners, []*result.Image, []*Router) {
	t.Helper()
	return runLooking(t, p, sources, route, fold, partitions, slots, seed, nil)
}

// runLooking is runRoute with a look at the cuts between any two steps, if there is one to be taken.
func runLooking(t *testing.T, pl *plan.Plan, sources []Source, route plan.Route, fold Fold, partitions, slots int,
	seed uint64, look func(*Cuts, *rand.Rand),
) (*result.Owners, []*result.Image, []*Router) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	owners := result.NewOwners(partitions)
	var agents []Agent
	in := make([][]*ring.Consumer[Chunk], partitions)
	var routers []*Router
	bells := make([]Bell, max(partitions, len(sources)))
	for i := range bells {
		bells[i] = noBell{}
	}
	cuts := NewCuts(pl, route, len(sources), partitions, 0, nil, func() {})
	for i, s := range sources {
		var out []*ring.Producer[Chunk]
		for p := range partitions {
			pr, co := ring.New[Chunk](slots)
			out = append(out, pr)
			in[p] = append(in[p], co)
		}
		r, err := NewRouter(plan.ReaderID(i), pl, s, route, fold, out, bells[:partitions], nil, nil, cuts)
		if err != nil {
			t.Fatal(err)
		}
		routers = append(routers, r)
		agents = append(agents, r)
	}
	for p := range partitions {
		part, err := NewPartition(plan.PartitionID(p), pl, in[p], bells[:len(sources)], nil, cuts)
		if err != nil {
			t.Fatal(err)
		}
		agents = append(agents, part)
	}
	for steps := 0; ; steps++ {
		if steps > 10_000_000 {
			for _, a := range agents {
				switch a := a.(type) {
				case *Router:
					t.Logf("router %d: phase %d at end %v sent %d batch %v stall %v", a.id, a.phase, a.atEnd, a.sent,
						a.batch != nil, a.stall)
				case *Partition:
					n, slot := cuts.Raised()
					t.Logf("partition %d: phase %d epoch %d unmarked %d active %d raised %d %d", a.id, a.phase, a.epoch,
						a.unmarked, a.active, n, slot)
				}
			}
			t.Fatalf("seed %d: no end after %d steps", seed, steps)
		}
		left := 0
		for _, a := range agents {
			if !a.Done() {
				left++
			}
		}
		if left == 0 {
			break
		}
		if look != nil {
			look(cuts, rng)
		}
		a := agents[rng.IntN(len(agents))]
		if a.Step(0); a.Err() != nil {
			t.Fatalf("seed %d: %v", seed, a.Err())
		}
	}
	cut, _ := cuts.Pin()
	return owners, cut.Images, routers
}

// Goal: the same groups for every shape. Method: production agents stepped in random orders over tiny rings, against a Go map.
func TestShapes(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64, Nullable: true},
		record.Field{Name: "name", Type: record.String}, record.Field{Name: "v", Type: record.Int64, Nullable: true})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Source: schema, Keys: []string{"k", "name"}, Aggregates: []plan.Aggregate{
		{Name: "n", Func: plan.Count},
		{Name: "nv", Func: plan.Count, Column: "v"},
		{Name: "sum", Func: plan.Sum, Column: "v"},
		{Name: "min", Func: plan.Min, Column: "v"},
		{Name: "max", Func: plan.Max, Column: "v"},
		{Name: "avg", Func: plan.Avg, Column: "v"},
	}}
	type state struct {
		n, nv, sum, min, max int64
	}
	k, _ := result.ColumnOf[int64](p, "k")
	name, _ := result.ColumnOf[string](p, "name")
	n, _ := result.ColumnOf[int64](p, "n")
	nv, _ := result.ColumnOf[int64](p, "nv")
	sum, _ := result.ColumnOf[int64](p, "sum")
	lo, _ := result.ColumnOf[int64](p, "min")
	hi, _ := result.ColumnOf[int64](p, "max")
	avg, err := result.ColumnOf[float64](p, "avg")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range testgen.Seeds(20) {
		for _, readers := range []int{1, 2, 3} {
			for _, partitions := range []int{1, 2, 3, 8} {
				rng := rand.New(rand.NewPCG(seed, uint64(readers*100+partitions)))
				want := map[string]*state{}
				var sources []Source
				for range readers {
					s := &sliceSource{}
					for range rng.IntN(8) {
						b := record.NewBatch(schema, 1+rng.IntN(3000))
						for range rng.IntN(b.Cap() + 1) {
							key, v := rng.Int64N(50), rng.Int64()>>rng.IntN(64)
							str := fmt.Sprintf("%0*d", rng.IntN(4)*12, rng.IntN(10))
							if !b.Add(len(str)) {
								break
							}
							b.SetString(1, str)
							b.SetInt64(0, key)
							b.SetInt64(2, v)
							id := fmt.Sprint(key, str)
							if key == 7 {
								b.SetNull(0)
								id = "null" + str
							}
							st := want[id]
							if st == nil {
								st = &state{min: 1<<63 - 1, max: -1 << 63}
								want[id] = st
							}
							st.n++
							if v%5 == 0 {
								b.SetNull(2)
							} else {
								st.nv++
								st.sum += v
								st.min, st.max = min(st.min, v), max(st.max, v)
							}
						}
						s.batches = append(s.batches, b)
					}
					sources = append(sources, s)
				}
				route := plan.Route{Routing: plan.Routing(rng.IntN(int(plan.RouteCustom) + 1))}
				if route.Routing == plan.RouteCustom {
					route.Func = func(c *plan.RouteContext) {
						for i := range c.Partition {
							c.Partition[i] = uint32(c.Batch.Column(0).Int64s[c.First+i]+int64(i)) % uint32(c.Partitions)
						}
					}
				}
				fold := Fold{Exchange: plan.Exchange(rng.IntN(3)), Bytes: 1 << (10 + rng.IntN(12))}
				owners, images, routers := runRoute(t, p, sources, route, fold, partitions, 1<<rng.IntN(4), seed)
				for _, r := range routers {
					if c := r.Counters(); fold.Exchange == plan.ExchangeFold && c.Folded != c.Counted ||
						fold.Exchange == plan.ExchangeRoute && c.Folded > 0 ||
						c.Partials > c.Folded || (c.Folded > 0) != (c.Flushes > 0) {
						t.Fatalf("seed %d, %v: %+v", seed, fold, c)
					}
				}
				scatters := route.For(p).Scatters()
				if scatters {
					images = []*result.Image{merged(t, images)}
				}
				got := 0
				for _, m := range images {
					for row := range m.All() {
						got++
						id := fmt.Sprint(k.Of(row), name.Of(row))
						if k.Null(row) {
							id = "null" + name.Of(row)
						}
						st := want[id]
						if st == nil {
							t.Fatalf("seed %d: group %q should not be there", seed, id)
						}
						if n.Of(row) != st.n || nv.Of(row) != st.nv || sum.Null(row) != (st.nv == 0) &&
							!sum.Overflow(row) || !sum.Null(row) && sum.Of(row) != st.sum ||
							st.nv > 0 && (lo.Of(row) != st.min || hi.Of(row) != st.max) ||
							avg.Null(row) != (st.nv == 0) {
							t.Fatalf("seed %d: group %q: %d %d %d %d %d, expected %+v", seed, id, n.Of(row), nv.Of(row),
								sum.Of(row), lo.Of(row), hi.Of(row), *st)
						}
						var key plan.Key
						if k.Null(row) {
							key, err = p.Key(nil, name.Of(row))
						} else {
							key, err = p.Key(k.Of(row), name.Of(row))
						}
						if err != nil {
							t.Fatal(err)
						}
						image := images[0]
						if !scatters {
							image = images[owners.Of(key)]
						}
						if r, ok := image.Get(key); !ok || r != row {
							t.Fatalf("seed %d: group %q is not found by its key", seed, id)
						}
					}
				}
				if got != len(want) {
					t.Fatalf("seed %d, %d readers, %d partitions: %d groups, expected %d", seed, readers, partitions,
						got, len(want))
				}
			}
		}
	}
}

// Goal: each routing sends records where it says. Method: the rows of each partition.
func TestRoutes(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	// no keys
	pl := &plan.Plan{Source: schema, Aggregates: []plan.Aggregate{
		{Name: "n", Func: plan.Count},
		{Name: "sum", Func: plan.Sum, Column: "k"},
	}}
	batch := func() *record.Batch {
		b := record.NewBatch(schema, 4*stripeRows)
		for i := range b.Cap() {
			b.Add(0)
			b.SetInt64(0, int64(i))
		}
		return b
	}
	first := func(c *plan.RouteContext) {
		for i, v := range c.Batch.Column(0).Int64s[c.First : c.First+len(c.Partition)] {
			if c.Partition[i] = 3; v < 10 {
				c.Partition[i] = uint32(c.Reader)
			}
		}
	}
	const all = 2 * 4 * stripeRows
	for _, c := range []struct {
		route plan.Route
		want  []int64 // rows of each partition
	}{
		{plan.Route{Routing: plan.RouteByKey}, []int64{all, 0, 0, 0}},
		{plan.Route{Routing: plan.RouteAuto}, []int64{all / 4, all / 4, all / 4, all / 4}},
		{plan.Route{Routing: plan.RouteRoundRobin}, []int64{all / 4, all / 4, all / 4, all / 4}},
		{plan.Route{Routing: plan.RouteAligned}, []int64{all / 2, all / 2, 0, 0}},
		{plan.Route{Routing: plan.RouteCustom, Func: first}, []int64{10, 10, 0, all - 20}},
	} {
		sources := []Source{
			&sliceSource{batches: []*record.Batch{batch()}},
			&sliceSource{batches: []*record.Batch{batch()}},
		}
		// Rings that are never full: then round robin passes none by.
		_, images, _ := runRoute(t, pl, sources, c.route, Fold{Exchange: plan.ExchangeRoute}, 4, 64, 1)
		n, err := result.ColumnOf[int64](pl, "n")
		if err != nil {
			t.Fatal(err)
		}
		for p, m := range images {
			got := int64(0)
			for row := range m.All() {
				got += n.Of(row)
			}
			if got != c.want[p] {
				t.Errorf("%v: partition %d has %d rows, expected %d", c.route.Routing, p, got, c.want[p])
			}
		}
		sum, _ := result.ColumnOf[int64](pl, "sum")
		rows := 0
		for row := range merged(t, images).All() {
			if rows++; n.Of(row) != all || sum.Of(row) != 2*int64(4*stripeRows)*(4*stripeRows-1)/2 {
				t.Errorf("%v: %d rows, sum %d", c.route.Routing, n.Of(row), sum.Of(row))
			}
		}
		if rows != 1 {
			t.Errorf("%v: %d rows without keys", c.route.Routing, rows)
		}
	}
	for _, r := range []plan.Route{{Routing: plan.RouteCustom}, {Routing: 77}, {Func: first}} {
		if r.Validate(&plan.Plan{}) == nil {
			t.Errorf("%v is valid", r.Routing)
		}
	}
}

// Goal: auto folds where that makes much less of the records, gives it up where it does not, and tries again. Method: first keys that
// come once only, then few keys; the counters after each.
func TestAutoExchange(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Source: schema, Keys: []string{"k"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}}}
	const rows = 1000
	batches := func(n int, key func(i int) int64) (bs []*record.Batch) {
		for i := range n {
			b := record.NewBatch(schema, rows)
			b.Add(0)
			b.SetLen(rows)
			for j := range rows {
				b.Column(0).Int64s[j] = key(i*rows + j)
			}
			bs = append(bs, b)
		}
		return bs
	}
	unique := func(i int) int64 { return int64(i) }
	few := func(i int) int64 { return int64(i % 10) }
	fold := Fold{Bytes: 1} // flush after each batch

	_, images, routers := runRoute(t, p, []Source{&sliceSource{batches: batches(30, unique)}}, plan.Route{}, fold, 2, 4,
		1)
	if c := routers[0].Counters(); c.Counted != 30*rows || c.Folded < mostLowFlushes*rows || c.Folded > 5*rows {
		t.Errorf("unique keys: %+v, expected that folding is given up after %d flushes and tried again after %d "+
			"times as many records", c, mostLowFlushes, routeTimes)
	}
	if n := images[0].Len() + images[1].Len(); n != 30*rows {
		t.Errorf("%d groups, expected %d", n, 30*rows)
	}
	_, images, routers = runRoute(t, p, []Source{&sliceSource{batches: batches(30, few)}}, plan.Route{}, fold, 2, 4, 1)
	if c := routers[0].Counters(); c.Folded != 30*rows || c.Partials != 30*10 || c.Flushes != 30 {
		t.Errorf("few keys: %+v, expected that everything is folded", c)
	}
	if n := images[0].Len() + images[1].Len(); n != 10 {
		t.Errorf("%d groups, expected 10", n)
	}
	// A sketch of a hundred values takes many lines, so that a partial costs more than its records.
	wide, err := record.NewSchema("w",
		record.Field{Name: "k", Type: record.Int64}, record.Field{Name: "v", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	sketch := &plan.Plan{
		Source: wide, Keys: []string{"k"},
		Aggregates: []plan.Aggregate{{Name: "d", Func: plan.ApproxCountDistinct, Column: "v"}},
	}
	values := batches(30, unique)
	for i, b := range values {
		values[i] = record.NewBatch(wide, rows)
		values[i].Add(0)
		values[i].SetLen(rows)
		for j := range rows {
			values[i].Column(0).Int64s[j] = few(j)
		}
		copy(values[i].Column(1).Int64s, b.Column(0).Int64s[:rows])
	}
	_, _, routers = runRoute(t, sketch, []Source{&sliceSource{batches: values}}, plan.Route{}, fold, 2, 4, 1)
	if c := routers[0].Counters(); c.Folded < mostLowFlushes*rows || c.Folded > 5*rows {
		t.Errorf("sketches: %+v, expected that folding is given up after %d flushes", c, mostLowFlushes)
	}
	_, _, routers = runRoute(t, p, []Source{&sliceSource{batches: batches(5, few)}},
		plan.Route{Routing: plan.RouteRoundRobin}, fold, 2, 4, 1)
	if c := routers[0].Counters(); c.Folded != 0 {
		t.Errorf("a route asked for by name: %+v, expected that nothing is folded", c)
	}

	// It need not fill a table to see that it will not pay, and is not put off by one that is large and pays.
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range []struct {
		name  string
		bytes int
		key   func(int) int64
		folds bool
	}{
		{"unique keys", 64 << 20, unique, false},
		{"ten million keys", 64 << 20, func(int) int64 { return rng.Int64N(1e7) }, false},
		{"500,000 keys in a small table", 4 << 20, func(int) int64 { return rng.Int64N(5e5) }, false},
		{"100,000 keys", 64 << 20, func(int) int64 { return rng.Int64N(1e5) }, true},
		{"keys of which some are frequent", 64 << 20, func(int) int64 {
			return int64(math.Exp(rng.Float64() * 16))
		}, true},
	} {
		_, _, routers = runRoute(t, p, []Source{&sliceSource{batches: batches(300, c.key)}}, plan.Route{},
			Fold{Bytes: c.bytes}, 2, 4, 1)
		got := routers[0].Counters()
		if c.folds && got.Folded != got.Counted || !c.folds && got.Folded > mostLowFlushes*2*firstEstimate {
			t.Errorf("%s: %d of %d records folded, %d flushes", c.name, got.Folded, got.Counted, got.Flushes)
		}
		t.Logf("%s: %d of %d records folded, %d flushes, %d partials", c.name, got.Folded, got.Counted, got.Flushes,
			got.Partials)
	}
}

// Goal: round robin passes a full ring by. Method: one of two partitions is never stepped, and the reader comes to its end.
func TestRoundRobinPassesBy(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	pl := &plan.Plan{Source: schema, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}}}
	s := &sliceSource{}
	for range 1000 {
		b := record.NewBatch(schema, stripeRows)
		b.Add(0)
		b.SetLen(stripeRows)
		s.batches = append(s.batches, b)
	}
	stuckIn, _ := ring.New[Chunk](2)
	in, out := ring.New[Chunk](2)
	cuts := NewCuts(pl, plan.Route{}, 1, 2, 0, nil, func() {})
	r, err := NewRouter(0, pl, s, plan.Route{}, Fold{Exchange: plan.ExchangeRoute},
		[]*ring.Producer[Chunk]{stuckIn, in}, []Bell{noBell{}, noBell{}}, nil, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPartition(1, pl, []*ring.Consumer[Chunk]{out}, []Bell{noBell{}}, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	for range 10_000 {
		r.Step(0)
		p.Step(0)
	}
	if got := r.Counters().In; got != 1000*stripeRows {
		t.Fatalf("%d records routed, expected %d", got, 1000*stripeRows)
	}
	if r.Step(0) != 0 || r.Stall() != StallRing {
		t.Fatalf("the mark waits for the full ring: %v", r.Stall())
	}
}

// Goal: a partition that is slow makes the reader wait with bounded memory, and nothing is lost. Method: the partition is stepped
// once for a hundred steps of the router; the ring never has more chunks than slots, and the router stops taking batches.
func TestBackPressure(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	pl := &plan.Plan{Source: schema, Keys: []string{"k"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}}}
	s := &sliceSource{}
	const batches, rows = 400, 2048
	for range batches {
		b := record.NewBatch(schema, rows)
		for i := range rows {
			b.Column(0).Int64s[i] = int64(i)
		}
		b.SetLen(rows)
		s.batches = append(s.batches, b)
	}
	const slots = 4
	in, out := ring.New[Chunk](slots)
	cuts := NewCuts(pl, plan.Route{}, 1, 1, 0, nil, func() {})
	r, err := NewRouter(0, pl, s, plan.Route{}, Fold{Exchange: plan.ExchangeRoute}, []*ring.Producer[Chunk]{in},
		[]Bell{noBell{}}, nil, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPartition(0, pl, []*ring.Consumer[Chunk]{out}, []Bell{noBell{}}, nil, cuts)
	if err != nil {
		t.Fatal(err)
	}
	idle := 0
	for !p.Done() {
		for range 100 {
			if r.Step(0) == 0 {
				idle++
			}
			if ahead := r.Counters().In - p.Stats().Rows; ahead > (slots+1)*uint64(planLayout(t, pl).Rows) {
				t.Fatalf("the reader is %d rows ahead, the ring holds %d", ahead, slots*planLayout(t, pl).Rows)
			}
		}
		p.Step(0)
	}
	if n := p.Stats().Rows; n != batches*rows {
		t.Fatalf("%d rows arrived, expected %d", n, batches*rows)
	}
	if st := ring.ReadStats(in, out); idle == 0 || st.FullStalls == 0 || st.HighWater != slots {
		t.Fatalf("the router was never stopped: %d idle steps, %+v", idle, st)
	}
}

// Goal: a record whose key fits no chunk goes to quarantine alone, also when the quarantine has no room at first.
func TestHugeKey(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Source: schema, Keys: []string{"k"}, Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}}}
	for try := range 15 { // the huge one first, last, between; among one, two and many partitions
		at, partitions := try%5, []int{1, 2, 64}[try/5]
		b := record.NewBatch(schema, 10)
		b.Add(200_000)
		b.Reset()
		for i := range 5 {
			key := fmt.Sprintf("%030000d", i) // long ones: no two fit one chunk
			if i == at {
				key = fmt.Sprintf("%040000d", i)
			}
			if !b.Add(len(key)) {
				t.Fatal("no room")
			}
			b.SetString(0, key)
		}
		s := &sliceSource{batches: []*record.Batch{b}}
		_, images, routers := run(t, p, []Source{&reluctant{sliceSource: s}}, partitions, 1, uint64(at))
		groups := 0
		for _, m := range images {
			groups += m.Len()
		}
		if c := routers[0].Counters(); groups != 4 || s.rejected != 1 || c.Quarantined != 1 || c.Counted != 4 ||
			c.In != 5 {
			t.Fatalf("huge key at %d: %d groups, %d rejected, %+v", at, groups, s.rejected, c)
		}
	}
}

// reluctant has no room for rejects at first.
type reluctant struct {
	*sliceSource
	asked int
}

func (r *reluctant) Quarantine(reject record.Reject) bool {
	if r.asked++; r.asked < 3 {
		return false
	}
	return r.sliceSource.Quarantine(reject)
}

// Goal: stepping allocates nothing once the groups are there, nor does an epoch.
func TestStepAllocations(t *testing.T) {
	// the last flushes after each batch
	for _, fold := range []Fold{
		{Exchange: plan.ExchangeRoute},
		{Exchange: plan.ExchangeFold, Bytes: 1 << 20},
		{Exchange: plan.ExchangeFold, Bytes: 1},
	} {
		testStepAllocations(t, fold)
	}
}

func testStepAllocations(t *testing.T, fold Fold) {
	schema, _ := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64},
		record.Field{Name: "name", Type: record.String}, record.Field{Name: "v", Type: record.Float64, Nullable: true},
		record.Field{Name: "w", Type: record.Int64})
	for _, keys := range [][]string{{"k"}, {"name"}, {"name", "k"}} {
		pl := &plan.Plan{Source: schema, Keys: keys, Aggregates: []plan.Aggregate{
			{Name: "n", Func: plan.Count},
			{Name: "s", Func: plan.Sum, Column: "v"},
			{Name: "lo", Func: plan.Min, Column: "v"},
			{Name: "avg", Func: plan.Avg, Column: "v"},
			{Name: "ws", Func: plan.Sum, Column: "w"},
			{Name: "wlo", Func: plan.Min, Column: "w"},
			{Name: "dev", Func: plan.StddevSamp, Column: "v"},
			{Name: "wvar", Func: plan.VarPop, Column: "w"},
			{Name: "first", Func: plan.First, Column: "w", By: "v"},
			{Name: "least", Func: plan.Min, Column: "name"},
			{Name: "last", Func: plan.Last, Column: "name", By: "w"},
			{Name: "different", Func: plan.ApproxCountDistinct, Column: "name"},
			{Name: "median", Func: plan.ApproxPercentile, Column: "v", Fraction: 0.5},
			{Name: "top", Func: plan.ApproxTopK, Column: "name", K: 3},
			{Name: "wtop", Func: plan.ApproxTopK, Column: "w", K: 3},
			{Name: "sample", Func: plan.ReservoirSample, Column: "w", K: 5},
			{Name: "names", Func: plan.ReservoirSample, Column: "name", K: 2},
		}}
		b := record.NewBatch(schema, 1000)
		for i := range 1000 {
			b.Add(3)
			b.SetInt64(0, int64(i%100))
			b.SetString(1, fmt.Sprintf("%03d", i%100))
			if b.SetFloat64(2, float64(i)); i%9 == 0 {
				b.SetNull(2)
			}
		}
		const partitions = 2
		s := &sliceSource{}
		var out []*ring.Producer[Chunk]
		var parts []*Partition
		cuts := NewCuts(pl, plan.Route{}, 1, partitions, 0, nil, func() {})
		for i := range partitions {
			in, o := ring.New[Chunk](4)
			out = append(out, in)
			p, err := NewPartition(plan.PartitionID(i), pl, []*ring.Consumer[Chunk]{o}, []Bell{noBell{}}, nil, cuts)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, p)
		}
		r, err := NewRouter(0, pl, s, plan.Route{}, fold, out, []Bell{noBell{}, noBell{}}, nil, nil, cuts)
		if err != nil {
			t.Fatal(err)
		}
		one := []*record.Batch{b}
		step := func() {
			s.batches = one
			r.Step(0)
			if r.phase == flushing {
				r.flush()
			}
			for _, p := range parts {
				p.Step(0)
			}
		}
		step()
		runs := 50
		if testing.Short() || invariants.Enabled {
			runs = 10
		}
		if n := testing.AllocsPerRun(runs, step); n != 0 {
			t.Errorf("keys %v, %v: %v allocations for a batch", keys, fold, n)
		}
		if c := r.Counters(); c.In < uint64(runs)*1000 || (fold.Bytes == 1) != (c.Flushes > uint64(runs)) {
			t.Errorf("keys %v, %v: not what was to be measured: %+v", keys, fold, c)
		}
		epoch := func() {
			cuts.Want()
			for range 16 { // each with a batch: the source would end else
				step()
			}
		}
		for range 8 { // slots and tables have been used then
			epoch()
		}
		most := 0.0
		if invariants.Enabled {
			most = 2 // groups for rows of before: see pane.renew
		}
		if n := testing.AllocsPerRun(runs, epoch); n > most {
			t.Errorf("keys %v, %v: %v allocations for an epoch", keys, fold, n)
		}
		c, slot := cuts.Pin()
		if raised, _ := cuts.Raised(); raised < uint64(runs) || c.Epoch() != raised || c.Len() != 100 {
			t.Errorf("keys %v, %v: not what was to be measured: epoch %d of %d, %d groups", keys, fold, c.Epoch(),
				raised, c.Len())
		}
		cuts.Unpin(slot)
	}
}

// merged is mergeImages where there is memory.
func merged(t *testing.T, images []*result.Image) *result.Image {
	t.Helper()
	m, err := result.MergeImages(images)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Goal: each argument of a record is NULL for itself: two that are NULL together are both left out, and one beside a value is. Method: every case of three
// columns, routed and folded.
func TestNullsOfSeveralArguments(t *testing.T) {
	names := []string{"a", "b", "c"}
	fields := []record.Field{{Name: "key", Type: record.Int64}}
	p := &plan.Plan{Keys: []string{"key"}}
	for _, name := range names {
		fields = append(fields, record.Field{Name: name, Type: record.Int64, Nullable: true})
		p.Aggregates = append(p.Aggregates, plan.Aggregate{Name: "n" + name, Func: plan.Count, Column: name},
			plan.Aggregate{Name: "s" + name, Func: plan.Sum, Column: name})
	}
	var err error
	if p.Source, err = record.NewSchema("nulls", fields...); err != nil {
		t.Fatal(err)
	}
	for _, exchange := range []plan.Exchange{plan.ExchangeRoute, plan.ExchangeFold} {
		b := record.NewBatch(p.Source, 8)
		for row := range 8 {
			b.Add(0)
			b.SetInt64(0, int64(row)) // a group for each case
			for c := range names {
				if b.SetInt64(1+c, int64(10*c+1)); row>>c&1 == 1 {
					b.SetNull(1 + c)
				}
			}
		}
		_, images, _ := runRoute(t, p, []Source{&sliceSource{batches: []*record.Batch{b}}}, plan.Route{},
			Fold{Exchange: exchange}, 2, 2, 1)
		key, err := result.ColumnOf[int64](p, "key")
		if err != nil {
			t.Fatal(err)
		}
		groups := 0
		for _, m := range images {
			for row := range m.All() {
				groups++
				for c, name := range names {
					n, err1 := result.ColumnOf[int64](p, "n"+name)
					s, err2 := result.ColumnOf[int64](p, "s"+name)
					if err1 != nil || err2 != nil {
						t.Fatal(err1, err2)
					}
					null := key.Of(row)>>c&1 == 1
					if got := n.Of(row); (got == 0) != null || s.Null(row) != null || !null &&
						s.Of(row) != int64(10*c+1) {
						t.Errorf("%v: case %03b: %d values of %s, their sum is NULL: %v", exchange, key.Of(row), got,
							name, s.Null(row))
					}
				}
			}
		}
		if groups != 8 {
			t.Errorf("%v: %d groups, expected 8", exchange, groups)
		}
	}
}

// planLayout is the layout of a plan.
func planLayout(t testing.TB, p *plan.Plan) *layout.Layout {
	t.Helper()
	l, err := p.Layout()
	if err != nil {
		t.Fatal(err)
	}
	return l
}
