package bench

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/bench/nexmark"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// A Stream is a query over records with event time that go on without end: the records of a pass
// are prepared, and lent again and again with later times. What is written is compared with what a
// plain program computes.
type Stream struct {
	SQL      string
	Disorder time.Duration // how much later than others a record may come

	Seed uint64
	// RingSlots, StateBytes, Exchange and EpochInterval are as in engine.Config.
	RingSlots     int
	StateBytes    int
	Exchange      plan.Exchange
	EpochInterval time.Duration

	schema *record.Schema
	// groups is for records with keys.
	groups uint64
	// time is the column of the schema with the event time.
	time    int
	prepare func(s Stream, readers int) (pass, error)
	// sink is nil for a checksum of the rows.
	sink     func() sink
	expected func(p pass, reads []uint64) *expected
}

// A sink is a Writer that says, at the end, how many rows there are and what their checksum is.
type sink interface {
	record.Writer
	result() (rows int, sum uint64)
}

// pass is what the readers of a Stream go through again and again.
type pass struct {
	batches [][]*record.Batch // for each reader
	span    int64             // event time from one pass to the next
}

const (
	streamRate = 10_000_000 // records in a second of event time, of all readers together
	streamPass = 1 << 20    // records of each reader

	nexmarkRate = 100_000 // events in a second of event time
	// nexmarkBlocks is how many epochs of 50 events a pass has for each reader: two million bids,
	// in whole blocks.
	nexmarkBlocks = 44 * 1024
)

var streamSchema = func() *record.Schema {
	s, err := record.NewSchema("records", record.Field{Name: "at", Type: record.Timestamp},
		record.Field{Name: "key", Type: record.Int64}, record.Field{Name: "value", Type: record.Int64})
	if err != nil {
		panic(err)
	}
	return s
}()

// Streams are those that figures are published for. s0 to s3b are the kinds of query that the
// engine before velo published figures for, with a thousand keys and ten million records in a
// second of event time. The others are Nexmark's, with 100,000 events in a second.
var Streams = map[string]Stream{
	"s0": { // filter and project, records in, records out
		SQL: `SELECT key, value * 2 AS twice FROM records WHERE value > 0`, Disorder: 200 * time.Millisecond,
		schema: streamSchema, groups: 1000, prepare: Stream.keyed,
		expected: expectedEach(func(b *record.Batch, i int, _ int64, add func(...int64)) {
			if v := b.Column(2).Int64s[i]; v > 0 {
				add(b.Column(1).Int64s[i], 2*v)
			}
		}),
	},
	"s2": {
		SQL: `SELECT key, count(*) AS n, sum(value) AS sum FROM records GROUP BY key`, Disorder: 200 * time.Millisecond,
		schema: streamSchema, groups: 1000, prepare: Stream.keyed, expected: expectedKeyed(0),
	},
	"s3a": {
		SQL: `SELECT window_end, key, count(*) AS n, sum(value) AS sum FROM records GROUP BY key, tumble(at, INTERVAL '1 s')`, Disorder: 200 * time.Millisecond,
		schema: streamSchema, groups: 1000, prepare: Stream.keyed, expected: expectedKeyed(time.Second.Nanoseconds()),
	},
	"s3b": { // as s3a, but writes the groups changed at each epoch; the final result is the same
		SQL: `SELECT window_end, key, count(*) AS n, sum(value) AS sum FROM records GROUP BY key, tumble(at, INTERVAL '1 s') EMIT CHANGES`, Disorder: 200 * time.Millisecond,
		schema: streamSchema, groups: 1000, prepare: Stream.keyed, sink: func() sink {
			return &changes{groups: map[[2]int64][2]int64{}}
		}, expected: expectedKeyed(time.Second.Nanoseconds()),
	},
	"q1": {
		SQL: nexmark.Queries["q1"], Disorder: time.Second, schema: nexmark.BidSchema, time: 4, prepare: Stream.bids,
		expected: expectedEach(func(b *record.Batch, i int, later int64, add func(...int64)) {
			add(b.Column(0).Int64s[i], b.Column(1).Int64s[i], 908*b.Column(2).Int64s[i], b.Column(4).Int64s[i]+later)
		}),
	},
	"q2": {
		SQL: nexmark.Queries["q2"], Disorder: time.Second, schema: nexmark.BidSchema, time: 4, prepare: Stream.bids,
		expected: expectedEach(func(b *record.Batch, i int, _ int64, add func(...int64)) {
			if auction := b.Column(0).Int64s[i]; auction%123 == 0 {
				add(auction, b.Column(2).Int64s[i])
			}
		}),
	},
	"q5": {
		SQL: nexmark.Queries["q5"], Disorder: time.Second, schema: nexmark.BidSchema, time: 4, prepare: Stream.bids,
		expected: expectedQ5,
	},
	"q7": {
		SQL: nexmark.Queries["q7"], Disorder: time.Second, schema: nexmark.BidSchema, time: 4, prepare: Stream.bids,
		expected: expectedQ7,
	},
}

// keyed prepares records with keys, as in a Workload. Their times rise evenly over all readers, and
// lie up to the disorder before that.
func (s Stream) keyed(n int) (p pass, err error) {
	gs, err := Workload{Groups: s.groups, Seed: s.Seed}.generators(n)
	if err != nil {
		return p, err
	}
	step := int64(n) * 1e9 / streamRate // from one record of a reader to its next
	p.span = streamPass * step
	for r, g := range gs {
		var batches []*record.Batch
		turn := int64(0)
		for _, from := range g.Prepare(streamPass, record.DefaultRows) {
			b := record.NewBatch(s.schema, from.Len())
			for i := range from.Len() {
				b.Column(0).Int64s[i] = turn*step + int64(r)*step/int64(n) -
					int64(readers.Scramble(uint64(turn)^s.Seed<<32)%uint64(s.Disorder+1))
				turn++
			}
			b.Column(1).Int64s, b.Column(2).Int64s = from.Column(0).Int64s, from.Column(1).Int64s
			b.SetLen(from.Len())
			batches = append(batches, b)
		}
		p.batches = append(p.batches, batches)
	}
	return p, nil
}

// bids prepares the bids of Nexmark.
func (s Stream) bids(n int) (p pass, err error) {
	epochs := nexmarkBlocks * n
	cfg := nexmark.Config{
		Stream: nexmark.Bids, Seed: s.Seed, Events: uint64(epochs) * nexmark.EventsPerEpoch,
		Rate: nexmarkRate, Disorder: s.Disorder, Readers: n,
	}
	p.span = int64(epochs) * nexmark.EventsPerEpoch * 1e9 / nexmarkRate
	for cfg.Reader = range n {
		g, err := nexmark.NewGenerator(cfg)
		if err != nil {
			return p, err
		}
		p.batches = append(p.batches, g.Prepare(epochs*nexmark.BidsPerEpoch, record.DefaultRows))
	}
	return p, nil
}

// replay lends the records of a pass again and again, with later times, until it is told to end.
type replay struct {
	batches []*record.Batch
	time    int
	span    int64
	at      []int64 // batches lent so far
	next    int
	later   int64 // how much later than in the first pass
	end     *atomic.Bool
}

func (r *replay) Poll(b *record.Batch) error {
	if r.end.Load() {
		return io.EOF
	}
	from := r.batches[r.next]
	for i := range b.Schema().Len() {
		*b.Column(i) = *from.Column(i)
	}
	at := r.at[:from.Len()]
	for i, t := range from.Column(r.time).Int64s[:from.Len()] {
		at[i] = t + r.later
	}
	b.Column(r.time).Int64s = at
	b.SetLen(from.Len())
	r.next++
	if r.next == len(r.batches) {
		r.next = 0
		r.later += r.span
	}
	return nil
}
func (r *replay) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }
func (r *replay) Close() error                                  { return nil }

// checksum is a Writer that keeps the number of rows and a sum that does not depend on their order:
// the sum of a hash of each row. It works by columns, because for queries that pass records through
// a writer has to be about as fast as the engine.
type checksum struct {
	rows   int
	sum    uint64
	hashes []uint64
}

// another is the hash of a row with one more value.
func another(hash uint64, v int64) uint64 {
	return readers.Scramble(hash*0x9e3779b97f4a7c15 + uint64(v))
}

func (c *checksum) add(row ...int64) {
	hash := uint64(1)
	for _, v := range row {
		hash = another(hash, v)
	}
	c.sum += hash
	c.rows++
}

func (c *checksum) Write(_ context.Context, b *record.Batch) error {
	if c.hashes == nil {
		c.hashes = make([]uint64, record.MaxRows)
	}
	hashes := c.hashes[:b.Len()]
	for i := range hashes {
		hashes[i] = 1
	}
	for f := range b.Schema().Len() {
		for i, v := range b.Column(f).Int64s[:len(hashes)] {
			hashes[i] = another(hashes[i], v)
		}
	}
	for _, h := range hashes {
		c.sum += h
	}
	c.rows += len(hashes)
	return nil
}
func (c *checksum) Close() error                   { return nil }
func (c *checksum) result() (rows int, sum uint64) { return c.rows, c.sum }

// changes applies changes of groups to what was written before. Each change has an operation, two
// columns of key and two columns of results.
type changes struct {
	groups map[[2]int64][2]int64
}

func (c *changes) Write(_ context.Context, b *record.Batch) error {
	for i := range b.Len() {
		if op := b.Column(0).View(i); string(op) != "upsert" {
			return fmt.Errorf("bench: %q, expected only groups that come or change", op)
		}
		c.groups[[2]int64{b.Column(1).Int64s[i], b.Column(2).Int64s[i]}] = [2]int64{
			b.Column(3).Int64s[i],
			b.Column(4).Int64s[i],
		}
	}
	return nil
}
func (c *changes) Close() error { return nil }

func (c *changes) result() (rows int, sum uint64) {
	var of checksum
	for key, s := range c.groups {
		of.add(key[0], key[1], s[0], s[1])
	}
	return of.result()
}

// start runs the stream until end is set.
func (s Stream) start(p pass, partitions, cores int, out record.Writer, end *atomic.Bool,
) (eng *engine.Engine, passes []*passReader, err error) {
	pl, err := query.Compile(s.SQL, s.schema)
	if err != nil {
		return nil, nil, err
	}
	if pl.Window != nil {
		pl.Window.OutOfOrder = s.Disorder
	}
	cfg := engine.Config{
		Plan: pl, Partitions: partitions, Cores: cores, RingSlots: s.RingSlots, Exchange: s.Exchange,
		EpochInterval: s.EpochInterval,
		StateBytes:    s.StateBytes, Writer: out,
	}
	for _, of := range p.batches {
		r := &replay{batches: of, time: s.time, span: p.span, at: make([]int64, record.DefaultRows), end: end}
		passes = append(passes, newPassReader(r, len(of)))
		cfg.Readers = append(cfg.Readers, passes[len(passes)-1])
	}
	eng, err = engine.Start(context.Background(), cfg)
	return eng, passes, err
}

// Run runs the stream for d, after a first pass over the prepared records. Then its input ends, all
// windows close, and everything that has been written since the beginning is compared with the
// reference: a difference is an error. Writing has its own goroutine, whose time is not part of the
// CPU time.
func (s Stream) Run(readers, partitions, cores int, d time.Duration, started func(*engine.Engine)) (Result, error) {
	p, err := s.prepare(s, readers)
	if err != nil {
		return Result{}, err
	}
	out := sink(&checksum{})
	if s.sink != nil {
		out = s.sink()
	}
	var end atomic.Bool
	begin := time.Now()
	eng, passes, err := s.start(p, partitions, cores, out, &end)
	if err != nil {
		return Result{}, err
	}
	defer eng.Close()
	if started != nil {
		started(eng)
	}
	var r Result
	r.Build, err = firstPass(eng, passes, begin)
	if err != nil {
		return Result{}, err
	}
	r.Figure, err = Measure(eng, d)
	if err != nil {
		return Result{}, err
	}
	end.Store(true)
	if err := eng.Wait(); err != nil {
		return Result{}, err
	}
	r.Stats = eng.Stats()
	r.Groups, r.Sum = out.result()
	reads := make([]uint64, readers)
	for i, rd := range r.Stats.Readers {
		reads[i] = rd.In
	}
	if n := r.Stats.Counters(); n.Counted+n.Filtered != n.In {
		return Result{}, fmt.Errorf("bench: of %d records %d were counted and %d late", n.In, n.Counted, n.Late)
	}
	want := s.expected(p, reads)
	if want.rows != r.Groups || want.sum != r.Sum {
		return Result{}, fmt.Errorf("bench: what was written is wrong: %d rows with checksum %016x, expected %d "+
			"with %016x", r.Groups, r.Sum, want.rows, want.sum)
	}
	return r, nil
}
