package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/invariants"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// counted is a reader whose record number n has the value n, spread over some groups: what it has
// given is known from how many they are.
type counted struct {
	reader, groups int64
	next           int64
	most           int64
	slow           int // one of this many polls gives something
	polls          int
	rng            *rand.Rand
	stop           *atomic.Bool
}

func countedPlan(t testing.TB) *plan.Plan {
	schema, err := record.NewSchema("counted", record.Field{Name: "reader", Type: record.Int64},
		record.Field{Name: "key", Type: record.Int64},
		record.Field{Name: "v", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	return &plan.Plan{Source: schema, Keys: []string{"reader", "key"}, Aggregates: []plan.Aggregate{
		{Name: "n", Func: plan.Count},
		{Name: "sum", Func: plan.Sum, Column: "v"},
		{Name: "max", Func: plan.Max, Column: "v"},
	}}
}

func (c *counted) Poll(b *record.Batch) error {
	if c.polls++; c.polls%c.slow != 0 {
		return nil
	}
	n := min(1+c.rng.Int64N(int64(b.Cap())), c.most-c.next)
	b.Add(0)
	b.SetLen(int(n))
	for i := range n {
		c.next++
		b.Column(0).Int64s[i] = c.reader
		b.Column(1).Int64s[i] = c.next * 0x9e3779b9 % c.groups
		b.Column(2).Int64s[i] = c.next
	}
	if c.next == c.most || c.stop.Load() {
		return io.EOF
	}
	return nil
}

func (c *counted) Read(_ context.Context, b *record.Batch) error { return c.Poll(b) }
func (c *counted) Close() error                                  { return nil }

// prefixOracle looks whether a snapshot has, of each reader, exactly the records up to its
// position.
type prefixOracle struct {
	reader, n, sum, max result.Column[int64]
}

func newPrefixOracle(t testing.TB, p *plan.Plan) *prefixOracle {
	column := func(name string) result.Column[int64] {
		c, err := result.ColumnOf[int64](p, name)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return &prefixOracle{column("reader"), column("n"), column("sum"), column("max")}
}

func (o *prefixOracle) check(s *engine.Snapshot, readers int) error {
	n, sum, most := make([]int64, readers), make([]int64, readers), make([]int64, readers)
	groups := 0
	for row := range s.All() {
		r := o.reader.Of(row)
		n[r] += o.n.Of(row)
		sum[r] += o.sum.Of(row)
		most[r] = max(most[r], o.max.Of(row))
		groups++
	}
	if groups != s.Len() {
		return fmt.Errorf("epoch %d: %d groups, Len says %d", s.Epoch(), groups, s.Len())
	}
	positions := s.Positions()
	for len(positions) < readers { // before the first epoch, and of readers that have joined since
		positions = append(positions, 0)
	}
	for r := range n {
		if n[r] != int64(positions[r]) || sum[r] != sumTo(n[r]) || most[r] != n[r] {
			return fmt.Errorf("epoch %d: of reader %d there are %d records, sum %d, last %d; it had read %d, sum %d",
				s.Epoch(), r, n[r], sum[r], most[r], positions[r], sumTo(int64(positions[r])))
		}
	}
	return nil
}

// sumTo is 1 + 2 + ... + n, for as many records as a reader gives in an hour.
func sumTo(n int64) int64 {
	if n%2 == 0 {
		return n / 2 * (n + 1)
	}
	return (n + 1) / 2 * n
}

// Goal: every snapshot holds exactly what each reader had routed at its mark, and epochs never go
// back for a goroutine. Method: readers whose records can be counted, at speeds of 1 to 100, in
// every shape and exchange; several goroutines take snapshots by epochs of 50 us and by Sync, and
// hold some of them.
func TestPrefix(t *testing.T) {
	perShape := int(testgen.Seeds(12))
	if n, err := strconv.Atoi(os.Getenv("VELO_SNAPSHOTS")); err == nil {
		perShape = n / (4 * 4 * 4 * 3)
	}
	p := countedPlan(t)
	oracle := newPrefixOracle(t, p)
	var total atomic.Int64
	for _, exchange := range []plan.Exchange{
		plan.ExchangeAuto, plan.ExchangeDirect, plan.ExchangeFold,
		plan.ExchangeRoute,
	} {
		for _, readers := range []int{1, 2, 3, 8} {
			for _, partitions := range []int{1, 2, 3, 8} {
				var stop atomic.Bool
				cfg := engine.Config{
					Plan: p, Partitions: partitions, Cores: 1 + (readers+partitions)%3, Exchange: exchange, NoPin: true,
					BatchRows:     700,
					EpochInterval: 50 * time.Microsecond, EpochShare: 1, RingSlots: 1 << (partitions % 4),
					FoldBytes: 64 << 10,
				}
				if (readers+partitions)%4 == 3 {
					cfg.Route.Routing = plan.RouteRoundRobin
				}
				for r := range readers {
					cfg.Readers = append(cfg.Readers, &counted{
						reader: int64(r), groups: 1 << (4 + 4*(partitions%3)), most: 1 << 40, slow: 1 + 99*(r&1),
						rng: rand.New(rand.NewPCG(uint64(r), 1)), stop: &stop,
					})
				}
				e := start(t, cfg)
				var looking sync.WaitGroup
				fail := func(err error) {
					t.Errorf("%v, %d readers, %d partitions: %v", exchange, readers, partitions, err)
					stop.Store(true)
				}
				for g := range 3 {
					looking.Go(func() {
						var last uint64
						var held *engine.Snapshot
						for i := range perShape {
							if g == 2 {
								if err := e.Sync(t.Context()); err != nil {
									fail(err)
									return
								}
							}
							s := e.Snapshot()
							if s.Epoch() < last {
								fail(fmt.Errorf("epoch %d after %d", s.Epoch(), last))
							}
							last = s.Epoch()
							if err := oracle.check(s, readers); err != nil {
								fail(err)
							}
							total.Add(1)
							switch {
							case g == 1 && i%8 == 0 && held == nil:
								held = s
							case held != nil && i%8 == 7:
								if err := oracle.check(held, readers); err != nil { // it has not changed
									fail(err)
								}
								held.Close()
								held = nil
								fallthrough
							default:
								s.Close()
							}
							if g < 2 {
								time.Sleep(20 * time.Microsecond)
							}
						}
						if held != nil {
							held.Close()
						}
					})
				}
				looking.Wait()
				stop.Store(true)
				if err := e.Wait(); err != nil {
					fail(err)
				}
				final := e.Snapshot()
				if err := oracle.check(final, readers); err != nil {
					fail(err)
				}
				st := e.Stats()
				if in := st.Counters().In; in != sumOf(final.Positions()) {
					fail(fmt.Errorf("%d records read, the last snapshot has %d", in, sumOf(final.Positions())))
				}
				if st.Epochs.Published < 3 {
					fail(fmt.Errorf("only %d epochs", st.Epochs.Published))
				}
				final.Close()
				if t.Failed() {
					t.Logf("%v", st)
					return
				}
			}
		}
	}
	t.Logf("%d snapshots", total.Load())
}

func sumOf(values []uint64) (sum uint64) {
	for _, v := range values {
		sum += v
	}
	return sum
}

// transfers is a reader whose every batch moves amounts between accounts: their sum is always 0.
type transfers struct {
	rng  *rand.Rand
	stop *atomic.Bool
}

func (r *transfers) Poll(b *record.Batch) error {
	n := b.Cap() &^ 1
	b.Add(0)
	b.SetLen(n)
	for i := 0; i < n; i += 2 {
		amount := r.rng.Int64N(1000)
		b.Column(0).Int64s[i], b.Column(1).Int64s[i] = r.rng.Int64N(1000), amount
		b.Column(0).Int64s[i+1], b.Column(1).Int64s[i+1] = r.rng.Int64N(1000), -amount
	}
	if r.stop.Load() {
		return io.EOF
	}
	return nil
}

func (r *transfers) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }
func (r *transfers) Close() error                                  { return nil }

// Goal: no snapshot sees half of a batch. Method: a bank whose transfers never change the total,
// with groups over several partitions.
func TestBank(t *testing.T) {
	schema, err := record.NewSchema("bank", record.Field{Name: "account", Type: record.Int64},
		record.Field{Name: "amount", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{
		Source: schema, Keys: []string{"account"},
		Aggregates: []plan.Aggregate{{Name: "balance", Func: plan.Sum, Column: "amount"}},
	}
	balance, err := result.ColumnOf[int64](p, "balance")
	if err != nil {
		t.Fatal(err)
	}
	var stop atomic.Bool
	cfg := engine.Config{
		Plan: p, Partitions: 4, Cores: 2, BatchRows: 512, EpochInterval: 100 * time.Microsecond,
		EpochShare: 1, NoPin: true,
	}
	for i := range 3 {
		cfg.Readers = append(cfg.Readers, &transfers{rand.New(rand.NewPCG(uint64(i), 2)), &stop})
	}
	e := start(t, cfg)
	epochs := map[uint64]bool{}
	for s := range e.Updates(t.Context()) {
		total := int64(0)
		for row := range s.All() {
			total += balance.Of(row)
		}
		if total != 0 {
			t.Errorf("epoch %d: the total is %d", s.Epoch(), total)
		}
		epochs[s.Epoch()] = true
		if len(epochs) == 300 {
			stop.Store(true)
		}
	}
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(epochs) < 300 {
		t.Errorf("%d epochs were seen, expected 300 and the last", len(epochs))
	}
}

// Goal: snapshots that nobody closes cost memory up to the limit, then no epoch is raised and that
// is counted; the engine goes on, and epochs come again when one is closed.
func TestHeldSnapshots(t *testing.T) {
	var stop atomic.Bool
	p := countedPlan(t)
	oracle := newPrefixOracle(t, p)
	e := start(t, engine.Config{
		Plan: p, Partitions: 2, Cores: 1, HeldSnapshots: 3, EpochInterval: time.Millisecond, EpochShare: 1, NoPin: true,
		BatchRows: 500,
		Readers: []record.Reader{&counted{
			groups: 1000, most: 1 << 40, slow: 1, rng: rand.New(rand.NewPCG(1, 1)),
			stop: &stop,
		}},
	})
	var held []*engine.Snapshot
	for range 4 { // one more comes after them
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		held = append(held, e.Snapshot())
	}
	before := e.Stats().Counters().In
	eventually(t, "a raise that is withheld", func() bool { return e.Stats().Epochs.Withheld > 0 })
	newest := e.Stats().Epoch
	eventually(t, "records while no epoch comes", func() bool { return e.Stats().Counters().In > before+100_000 })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := e.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sync: %v, expected that it waits for a slot", err)
	}
	s := e.Snapshot()
	if s.Epoch() != newest {
		t.Errorf("epoch %d became visible, expected none after %d", s.Epoch(), newest)
	}
	s.Close()
	for _, s := range held {
		if err := oracle.check(s, 1); err != nil {
			t.Error(err)
		}
	}
	held[1].Close()
	if err := e.Sync(t.Context()); err != nil {
		t.Errorf("after a snapshot was closed: %v", err)
	}
	for _, s := range held {
		s.Close()
		s.Close() // does nothing
	}
	stop.Store(true)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := e.Sync(t.Context()); !errors.Is(err, engine.ErrEnded) {
		t.Errorf("Sync after the end: %v, expected ErrEnded", err)
	}
}

// Goal: shards move under load and nobody sees it. Method: the prefix oracle while every shard goes
// round the partitions, in every exchange.
func TestMoveShard(t *testing.T) {
	p := countedPlan(t)
	oracle := newPrefixOracle(t, p)
	for _, exchange := range []plan.Exchange{plan.ExchangeDirect, plan.ExchangeFold, plan.ExchangeRoute} {
		var stop atomic.Bool
		cfg := engine.Config{
			Plan: p, Partitions: 3, Cores: 2, Exchange: exchange, BatchRows: 500, NoPin: true,
			EpochInterval: time.Millisecond, EpochShare: 1,
		}
		for r := range 2 {
			cfg.Readers = append(cfg.Readers,
				&counted{
					reader: int64(r), groups: 5000, most: 1 << 40, slow: 1,
					rng: rand.New(rand.NewPCG(uint64(r), 1)), stop: &stop,
				})
		}
		e := start(t, cfg)
		for i := range 40 {
			shard := i * 37 % plan.Shards
			if i%4 == 3 {
				shard = (i - 1) * 37 % plan.Shards // the one before again: on, or back
			}
			if err := e.MoveShard(t.Context(), shard, i%3); err != nil {
				t.Fatal(err)
			}
			s := e.Snapshot()
			if err := oracle.check(s, 2); err != nil {
				t.Errorf("%v, move %d: %v", exchange, i, err)
			}
			s.Close()
		}
		if err := e.MoveShard(t.Context(), plan.Shards, 0); err == nil {
			t.Error("a shard that does not exist was moved")
		}
		if err := e.MoveShard(t.Context(), 0, 3); err == nil {
			t.Error("a shard was moved to a partition that does not exist")
		}
		stop.Store(true)
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		if err := oracle.check(s, 2); err != nil {
			t.Errorf("%v, at the end: %v", exchange, err)
		}
		s.Close()
		if err := e.MoveShard(t.Context(), 0, 1); !errors.Is(err, engine.ErrEnded) {
			t.Errorf("after the end: %v", err)
		}
	}
}

// Goal: Sync and Updates end with the engine.
func TestSyncAfterClose(t *testing.T) {
	e := start(t, engine.Config{
		Plan: sumPlan(), Readers: []record.Reader{testgen.BlockedReader{}}, EpochInterval: -1,
		NoPin: true,
	})
	if err := e.Sync(t.Context()); err != nil { // an idle reader answers
		t.Fatal(err)
	}
	synced := make(chan error)
	go func() {
		for {
			if err := e.Sync(context.Background()); err != nil {
				synced <- err
				return
			}
		}
	}()
	go func() {
		for range e.Updates(context.Background()) {
		}
		synced <- nil
	}()
	e.Close()
	for range 2 {
		if err := <-synced; err != nil && !errors.Is(err, engine.ErrEnded) {
			t.Errorf("%v, expected ErrEnded", err)
		}
	}
}

// Goal: taking, reading and closing a snapshot allocates nothing.
func TestSnapshotAllocations(t *testing.T) {
	p := sumPlan()
	e := start(t, engine.Config{Plan: p, Readers: []record.Reader{ends(7, 100)}, NoPin: true})
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	k, err := p.Key(int64(7))
	if err != nil {
		t.Fatal(err)
	}
	if invariants.Enabled {
		t.Skip("snapshots are watched")
	}
	found := 0
	if n := testing.AllocsPerRun(100, func() {
		s := e.Snapshot()
		if _, ok := s.Get(k); ok {
			found++
		}
		s.Close()
	}); n != 0 || found == 0 {
		t.Errorf("%v allocations, found %d times", n, found)
	}
}

// Goal: a row that is used after Close of its snapshot does not end the process. Method: a window
// whose groups lie outside of Go's heap goes while a row of it is kept; with invariants also a
// table that has merely been written to since.
func TestRowAfterClose(t *testing.T) {
	type event struct {
		Key int64
		At  time.Time
	}
	for _, windows := range []bool{true, false} {
		if !windows && !invariants.Enabled {
			continue
		}
		feed, err := readers.NewFeed[event](nil, readers.FeedConfig{})
		if err != nil {
			t.Fatal(err)
		}
		p := &plan.Plan{
			Source: feed.Schema(), Keys: []string{"key"},
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		}
		if windows {
			p.Window = &plan.Window{
				Column: "at", Windows: plan.Windows{Kind: plan.Tumbling, Size: time.Second},
				OutOfOrder: time.Minute,
			}
		}
		e := start(t, engine.Config{Plan: p, Readers: []record.Reader{feed}, Cores: 1, NoPin: true, EpochInterval: -1})
		a, err := feed.Appender()
		if err != nil {
			t.Fatal(err)
		}
		send := func(n int, at int64) {
			for i := range n {
				if err := a.Send(t.Context(), event{int64(i), time.Unix(at, 0)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		n, err := result.ColumnOf[int64](p, "n")
		if err != nil {
			t.Fatal(err)
		}
		scanner, err := result.ScannerOf[struct{ N int64 }](p)
		if err != nil {
			t.Fatal(err)
		}
		// open at the same time; of those that close the partition keeps some tables for later
		// windows
		for at := range int64(10) {
			send(10_000, at)
		}
		var kept []result.Row
		s := e.Snapshot()
		for row := range s.All() {
			kept = append(kept, row)
		}
		s.Close()
		for at := int64(1000); at < 10_000; at += 1000 {
			send(1, at)
		}
		for name, use := range map[string]func(result.Row){
			"Of": func(r result.Row) { n.Of(r) }, "Null": func(r result.Row) { n.Null(r) },
			"Scan": func(r result.Row) { _ = scanner.Scan(r, &struct{ N int64 }{}) },
		} {
			panics := 0
			for _, row := range kept {
				func() {
					defer func() {
						if r := recover(); r != nil && !strings.Contains(fmt.Sprint(r), "used after Close") {
							panic(r)
						} else if r != nil {
							panics++
						}
					}()
					use(row)
				}()
			}
			if want := len(kept) / 2; panics < want {
				t.Errorf("windows %t: %s of %d rows whose snapshot is closed: %d panics, expected %d or more", windows,
					name, len(kept), panics, want)
			}
		}
	}
}

// Goal: an epoch that is due while there is nothing new stays due, and the first record is seen by
// it. Method: the interval is an hour, and the test says how late it is, once before the record and
// once after it.
func TestDueWhileIdle(t *testing.T) {
	f, p := hitFeed(t, readers.FeedConfig{})
	e := start(t, engine.Config{Plan: p, Readers: []record.Reader{f}, Cores: 1, NoPin: true, EpochInterval: time.Hour})
	const late = 90 * time.Minute
	if due := engine.TickAt(e, late); due != time.Hour {
		t.Fatalf("the next epoch is due after %v, expected %v", due, time.Hour)
	}
	lane, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	err = lane.Send(t.Context(), hit{Key: 1})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a record", func() bool { return e.Stats().Counters().In == 1 })
	if due := engine.TickAt(e, late); due != late+time.Hour {
		t.Errorf("the next epoch is due after %v, expected an hour after the last", due)
	}
	eventually(t, "a snapshot with the record", func() bool {
		s := e.Snapshot()
		defer s.Close()
		return s.Records() == 1
	})
}
