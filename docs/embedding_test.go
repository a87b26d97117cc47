package docs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo"
	"github.com/velo-engine/velo/aggregate"
	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/scalar"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// This file is the Go of embedding.md: TestGoBlocks finds each block of the guide here, word for word.

type Trade struct {
	Symbol string
	Venue  *string        // a pointer: nil is NULL
	Price  record.Decimal `velo:"price,decimal(9,2)"`
	Size   int64
	At     time.Time
}

func volumePlan() (*velo.Plan, error) {
	trades, err := velo.SchemaOf[Trade]("trades")
	if err != nil {
		return nil, err
	}
	return velo.Compile(`
		SELECT symbol, count(*) AS n, sum(size) AS volume, avg(price) AS mean
		FROM trades
		WHERE size > 0
		GROUP BY symbol`, trades)
}

func volumeLiteral(trades *velo.Schema) *velo.Plan {
	return &velo.Plan{
		Source: trades,
		Keys:   []string{"symbol"},
		Aggregates: []plan.Aggregate{
			{Name: "n", Func: plan.Count},
			{Name: "volume", Func: plan.Sum, Column: "size"},
			{Name: "mean", Func: plan.Avg, Column: "price"},
		},
	}
}

type Volumes struct {
	feed   *velo.Feed[Trade]
	eng    *velo.Engine
	plan   *velo.Plan
	volume velo.Column[int64]
	rows   velo.Scanner[Volume]
}

type Volume struct {
	Symbol string
	N      int64
	Volume int64
	Mean   float64
}

func StartVolumes(ctx context.Context) (v *Volumes, err error) {
	v = &Volumes{}
	if v.plan, err = volumePlan(); err != nil {
		return nil, err
	}
	if v.volume, err = velo.ColumnOf[int64](v.plan, "volume"); err != nil {
		return nil, err
	}
	if v.rows, err = velo.ScannerOf[Volume](v.plan); err != nil {
		return nil, err
	}
	if v.feed, err = readers.NewFeed[Trade](v.plan.Source, velo.FeedConfig{}); err != nil {
		return nil, err
	}
	v.eng, err = velo.Start(ctx, velo.Config{
		Plan:    v.plan,
		Readers: []velo.Reader{v.feed},
		Cores:   1,
	})
	return v, err
}

// mustStart and trade keep the examples short.
func mustStart() *Volumes {
	v, err := StartVolumes(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func trade(symbol string, cents, size int64) Trade {
	return Trade{
		Symbol: symbol, Price: record.Decimal{Unscaled: cents, Scale: 2}, Size: size,
		At: time.Unix(1_772_443_800, 0),
	}
}

func Example_send() {
	ctx := context.Background()
	v := mustStart()
	defer v.eng.Close()

	lane, err := v.feed.Lane() // one goroutine's own
	if err != nil {
		log.Fatal(err)
	}
	nvda := Trade{Symbol: "NVDA", Price: record.Decimal{Unscaled: 120_50, Scale: 2}, Size: 100, At: time.Now()}
	if err := lane.Send(ctx, nvda); err != nil {
		log.Fatal(err)
	}

	shared, err := v.feed.Appender() // for any number of goroutines, in no order
	if err != nil {
		log.Fatal(err)
	}
	if err := shared.Send(ctx, nvda); err != nil {
		log.Fatal(err)
	}

	sold, err := v.feed.Counter(Trade{Symbol: "NVDA", At: time.Now()}, func(t *Trade) *int64 { return &t.Size })
	if err != nil {
		log.Fatal(err)
	}
	sold.Add(100)
	sold.Close()

	if err := v.eng.Sync(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(v.Of("NVDA"))
	// Output:
	// 300 <nil>
}

func (v *Volumes) Of(symbol string) (int64, error) {
	key, err := v.plan.Key(symbol) // allocates: keep it if you ask often
	if err != nil {
		return 0, err
	}
	snap := v.eng.Snapshot()
	defer snap.Close()
	row, ok := snap.Get(key)
	if !ok {
		return 0, nil
	}
	return v.volume.Of(row), nil
}

func (v *Volumes) All() ([]Volume, error) {
	snap := v.eng.Snapshot()
	defer snap.Close()
	var all []Volume
	for row := range snap.All() {
		var one Volume
		if err := v.rows.Scan(row, &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func Example_read() {
	ctx := context.Background()
	v := mustStart()
	defer v.eng.Close()
	lane, err := v.feed.Lane()
	if err != nil {
		log.Fatal(err)
	}
	for _, t := range []Trade{trade("NVDA", 120_50, 100), trade("NVDA", 121_00, 200), trade("NVDA", 120_00, 0)} {
		if err := lane.Send(ctx, t); err != nil {
			log.Fatal(err)
		}
	}
	if err := v.eng.Sync(ctx); err != nil { // what has been sent is in the next snapshot
		log.Fatal(err)
	}
	fmt.Println(v.Of("NVDA"))
	fmt.Println(v.Of("MSFT"))
	fmt.Println(v.All())
	// Output:
	// 300 <nil>
	// 0 <nil>
	// [{NVDA 2 300 120.75}] <nil>
}

func minutes(trades *velo.Schema) (*velo.Plan, error) {
	plan, err := velo.Compile(`
		SELECT window_start, symbol, sum(size) AS volume
		FROM trades
		GROUP BY symbol, tumble(at, INTERVAL '1 minute')
		ORDER BY volume DESC
		LIMIT 2`, trades)
	if err != nil {
		return nil, err
	}
	plan.Window.OutOfOrder = 5 * time.Second // before the plan is used
	plan.Window.Idle = 10 * time.Second
	return plan, nil
}

func Example_windows() {
	ctx := context.Background()
	trades, err := velo.SchemaOf[Trade]("trades")
	if err != nil {
		log.Fatal(err)
	}
	plan, err := minutes(trades)
	if err != nil {
		log.Fatal(err)
	}
	feed, err := readers.NewFeed[Trade](trades, velo.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	eng, err := velo.Start(ctx, velo.Config{
		Plan: plan, Readers: []velo.Reader{feed}, Cores: 1,
		Writer: writers.NewCSV(struct{ writer }{os.Stdout}), // os.Stdout without its Close
	})
	if err != nil {
		log.Fatal(err)
	}
	lane, err := feed.Lane()
	if err != nil {
		log.Fatal(err)
	}
	begin := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	for i, symbol := range []string{"NVDA", "AAPL", "MSFT", "NVDA", "AAPL"} {
		t := Trade{Symbol: symbol, Size: 100 * int64(i+1), At: begin.Add(time.Duration(i) * 20 * time.Second)}
		if err := lane.Send(ctx, t); err != nil {
			log.Fatal(err)
		}
	}
	lane.Close()
	feed.End()
	if err := eng.Wait(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// window_start,symbol,volume
	// 2026-03-02T09:30:00Z,MSFT,300
	// 2026-03-02T09:30:00Z,AAPL,200
	// 2026-03-02T09:31:00Z,AAPL,500
	// 2026-03-02T09:31:00Z,NVDA,400
}

// writer is io.Writer under a name that the block of the guide can embed.
type writer interface{ Write(b []byte) (int, error) }

type spread struct {
	low, high float64
	some      bool
}

var spreadSpec = aggregate.Spec[spread, float64, float64]{
	Name: "spread",
	Add: func(s *spread, v float64) {
		if !s.some || v < s.low {
			s.low = v
		}
		if !s.some || v > s.high {
			s.high = v
		}
		s.some = true
	},
	Merge: func(into, from *spread) {
		if from.some && into.some {
			into.low, into.high = min(into.low, from.low), max(into.high, from.high)
		} else if from.some {
			*into = *from
		}
	},
	Result: func(s spread) (float64, bool) { return s.high - s.low, s.some },
}

var bpsSpec = scalar.Spec2[float64, float64, float64]{
	Name: "bps", // the distance of two prices in basis points
	Row: func(price, reference float64) (float64, error) {
		if reference <= 0 {
			return 0, fmt.Errorf("a reference price of %v", reference)
		}
		return (price - reference) / reference * 10_000, nil
	},
}

// Goal: the scalar function of the guide is a function of its arguments, and SQL knows it.
func TestBasisPoints(t *testing.T) {
	price := func(rng *rand.Rand) float64 { return rng.NormFloat64() + 2 }
	scalar.Check2(t, bpsSpec, price, price)
	trades, err := velo.SchemaOf[Trade]("trades")
	if err != nil {
		t.Fatal(err)
	}
	query.RegisterFunction(scalar.Must(bpsSpec))
	far, err := velo.Compile(`SELECT symbol, max(bps(size, 100)) AS most FROM trades GROUP BY symbol`, trades)
	if err != nil || len(far.UserCalls()) != 1 {
		t.Fatalf("%v, %v", far, err)
	}
}

// Goal: the function of the guide commutes, and SQL knows it.
func TestSpread(t *testing.T) {
	aggregate.Check(t, spreadSpec, func(rng *rand.Rand) float64 { return rng.NormFloat64() })
	trades, err := velo.SchemaOf[Trade]("trades")
	if err != nil {
		t.Fatal(err)
	}
	query.RegisterAggregate(aggregate.Must(spreadSpec))
	prices, err := velo.Compile(`SELECT symbol, spread(size) AS spread FROM trades GROUP BY symbol`, trades)
	if err != nil || prices.Aggregates[0].User == nil {
		t.Fatalf("%v, %v", prices, err)
	}
}

func Example_plans() {
	ctx := context.Background()
	feed, err := velo.NewFeed[Trade]("trades", velo.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	trades := feed.Schema()
	bySymbol, err := velo.Compile(`SELECT symbol, sum(size) AS volume FROM trades GROUP BY symbol`, trades)
	if err != nil {
		log.Fatal(err)
	}
	inAll, err := velo.Compile(`SELECT count(*) AS n, sum(size) AS volume FROM trades`, trades)
	if err != nil {
		log.Fatal(err)
	}
	eng, err := velo.Start(ctx, velo.Config{
		Plans: []velo.PlanConfig{{Plan: bySymbol}, {Plan: inAll}}, Readers: []velo.Reader{feed}, Cores: 1,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	lane, err := feed.Lane()
	if err != nil {
		log.Fatal(err)
	}
	for i, name := range []string{"NVDA", "NVDA", "NVDA"} {
		if err := lane.Send(ctx, Trade{Symbol: name, Size: int64(100 * (i + 1)), At: time.Now()}); err != nil {
			log.Fatal(err)
		}
	}
	if err := eng.Sync(ctx); err != nil {
		log.Fatal(err)
	}
	symbol, _ := velo.ColumnOf[string](bySymbol, "symbol")
	volume, _ := velo.ColumnOf[int64](bySymbol, "volume")
	total, _ := velo.ColumnOf[int64](inAll, "volume")
	whole := func(s *velo.Snapshot) velo.Row {
		row, _ := s.Get(velo.Key{})
		return row
	}
	snap := eng.Snapshot()
	defer snap.Close()
	for row := range snap.Of(bySymbol).All() {
		fmt.Println(symbol.Of(row), volume.Of(row), "of", total.Of(whole(snap.Of(inAll))))
	}
	// Output:
	// NVDA 600 of 600
}

type Desk struct {
	Venue string
	Desk  string
}

func Example_table() {
	ctx := context.Background()
	feed, err := velo.NewFeed[Trade]("trades", velo.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	trades := feed.Schema()
	schema, err := velo.SchemaOf[Desk]("desks")
	if err != nil {
		log.Fatal(err)
	}
	desks, err := velo.NewTable(velo.TableConfig{
		Schema: schema, Key: []string{"venue"}, Refresh: time.Minute, MaxStale: 10 * time.Minute,
		Load: lookup.Rows(func(context.Context) ([]Desk, error) {
			return []Desk{{"xnas", "stocks"}, {"arca", "funds"}}, nil // a query to your database
		}),
		OnEvent: func(e lookup.Event) {
			if e.Err != nil {
				log.Printf("table %s, version %d stays: %v", e.Table, e.Version, e.Err)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	byDesk, err := velo.Compile(`
		SELECT d.desk, sum(t.size) AS volume
		FROM trades AS t LEFT JOIN desks AS d ON t.venue = d.venue
		GROUP BY d.desk`, trades, desks)
	if err != nil {
		log.Fatal(err)
	}
	eng, err := velo.Start(ctx, velo.Config{Plan: byDesk, Readers: []velo.Reader{feed}, Cores: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	lane, err := feed.Lane()
	if err != nil {
		log.Fatal(err)
	}
	xnas, unknown := "xnas", "iexg"
	for i, venue := range []*string{&xnas, &unknown, nil} {
		if err := lane.Send(ctx, Trade{Symbol: "NVDA", Venue: venue, Size: int64(100 * (i + 1)), At: time.Now()}); err != nil {
			log.Fatal(err)
		}
	}
	if err := eng.Sync(ctx); err != nil {
		log.Fatal(err)
	}
	desk, _ := velo.ColumnOf[string](byDesk, "desk")
	volume, _ := velo.ColumnOf[int64](byDesk, "volume")
	snap := eng.Snapshot()
	defer snap.Close()
	for row := range snap.All() {
		if desk.Null(row) {
			fmt.Println("no desk", volume.Of(row))
		} else {
			fmt.Println(desk.Of(row), volume.Of(row))
		}
	}
	s := eng.Stats().Tables[0]
	fmt.Println(s.Misses, "of", s.Lookups, "found nothing, such as", s.Samples)
	// Unordered output:
	// stocks 100
	// no desk 500
	// 1 of 2 found nothing, such as ['iexg']
}

func Example_quarantine() {
	ctx := context.Background()
	trades, err := velo.SchemaOf[Trade]("trades")
	if err != nil {
		log.Fatal(err)
	}
	plan, err := velo.Compile(`SELECT symbol, max(1000000 / size) AS most FROM trades GROUP BY symbol`, trades)
	if err != nil {
		log.Fatal(err)
	}
	feed, err := readers.NewFeed[Trade](trades, velo.FeedConfig{})
	if err != nil {
		log.Fatal(err)
	}
	eng, err := velo.Start(ctx, velo.Config{
		Plan: plan, Readers: []velo.Reader{feed}, Cores: 1,
		OnReject: func(reader int, r velo.Reject) { fmt.Println("reader", reader, r.Reason) },
	})
	if err != nil {
		log.Fatal(err)
	}
	lane, err := feed.Lane()
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(lane.Send(ctx, trade("NVDA", 120_50, 0)), lane.Send(ctx, trade("NVDA", 120_50, 8))); err !=
		nil {
		log.Fatal(err)
	}
	lane.Close()
	feed.End()
	fmt.Println(eng.Wait())
	c := eng.Stats().Counters()
	fmt.Println(c.In, "read,", c.Counted, "counted,", c.Quarantined, "set aside")
	// Output:
	// reader 0 expr: (1000000 / size): / of 1000000 and 0: division by zero
	// <nil>
	// 2 read, 1 counted, 1 set aside
}

func (v *Volumes) Stop() error {
	v.feed.End()        // Sends fail from here on; what was sent before is read
	return v.eng.Wait() // the final snapshot is visible, the windows are written, the errors are joined
}

func Example_stop() {
	ctx := context.Background()
	v := mustStart()
	lane, err := v.feed.Lane()
	if err != nil {
		log.Fatal(err)
	}
	for range 1000 {
		if err := lane.Send(ctx, trade("NVDA", 120_50, 1)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(v.Stop())
	fmt.Println(v.Of("NVDA"))
	fmt.Println(lane.Send(ctx, trade("NVDA", 120_50, 1)))
	// Output:
	// <nil>
	// 1000 <nil>
	// readers: feed: it has ended: the engine that read it has closed it, and its Wait says why
}

func Example_faults() {
	_, err := velo.Start(context.Background(), velo.Config{Cores: -1, RingSlots: 3})
	fmt.Println(err)
	// Output:
	// engine: no plan
	// engine: no readers
	// engine: -1 cores, expected at least 1, or 0 for all but one
	// engine: rings of 3 slots, expected a power of two up to 1048576, or 0 for 32
}

func threads(cores int) {
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), (4*(cores+1)+2)/3))
}

// Goal: what embedding.md says beside its blocks.
func TestEmbeddingClaims(t *testing.T) {
	trades, err := velo.SchemaOf[Trade]("trades")
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := volumePlan()
	if err != nil {
		t.Fatal(err)
	}
	compiled.Where = nil
	a, b := compiled.String(), volumeLiteral(trades).String()
	if !strings.HasPrefix(a, "SELECT symbol, count(*) AS n, sum(size) AS volume, avg(price) AS mean FROM trades "+
		"GROUP BY symbol") || a != b {
		t.Errorf("the query is\n%s\nthe literal\n%s", a, b)
	}
	plan, err := minutes(trades)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Window.Kind != window.Tumbling || plan.Window.Size != time.Minute {
		t.Errorf("the windows are %v", plan.Window.Windows)
	}

	// A snapshot does not change; what was sent and synced is in the next; open ones say what they hold.
	v := mustStart()
	defer v.eng.Close()
	before := v.eng.Snapshot()
	lane, err := v.feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(lane.Send(t.Context(), trade("NVDA", 1, 1)), v.eng.Sync(t.Context())); err != nil {
		t.Fatal(err)
	}
	after := v.eng.Snapshot()
	if before.Len() != 0 || after.Len() != 1 || after.Records() != 1 || after.Epoch() <= before.Epoch() {
		t.Errorf("%d groups before, %d and %d records after, epochs %d and %d", before.Len(), after.Len(),
			after.Records(), before.Epoch(), after.Epoch())
	}
	before.Close()
	after.Close()

	// Without Sync too a snapshot has it, some time after.
	if err := lane.Send(t.Context(), trade("MSFT", 1, 1)); err != nil {
		t.Fatal(err)
	}
	seen := false
	for until := time.Now().Add(time.Minute); !seen && time.Now().Before(until); time.Sleep(time.Millisecond) {
		n, err := v.Of("MSFT")
		if err != nil {
			t.Fatal(err)
		}
		seen = n == 1
	}
	if !seen {
		t.Error("no snapshot has the record within a minute")
	}

	// Shutdown does not wait for what nobody has read: the counters still add up, and Wait is nil.
	if err := v.eng.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if n, err := v.Of("NVDA"); n != 1 || err != nil {
		t.Errorf("after Shutdown: %d, %v", n, err)
	}

	// The end of the context is Close.
	ctx, cancel := context.WithCancel(t.Context())
	v, err = StartVolumes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := v.eng.Wait(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("after the end of the context: %v", err)
	}

	was := runtime.GOMAXPROCS(0)
	threads(2)
	if got := runtime.GOMAXPROCS(was); got != max(was, 4) {
		t.Errorf("GOMAXPROCS %d", got)
	}

	// A feed that sheds says so.
	shedding, err := readers.NewFeed[Trade](trades, velo.FeedConfig{LaneSlots: 1, Shed: true})
	if err != nil {
		t.Fatal(err)
	}
	if lane, err = shedding.Lane(); err != nil {
		t.Fatal(err)
	}
	if err := lane.Send(t.Context(), trade("NVDA", 1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := lane.Send(t.Context(), trade("NVDA", 1, 1)); !errors.Is(err, readers.ErrFeedFull) ||
		shedding.Stats().Shed != 1 {
		t.Errorf("a full lane: %v", err)
	}
}
