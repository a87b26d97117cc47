package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// A Workload is a stream of records (key, value) and what is computed for each key.
type Workload struct {
	Groups uint64
	// Zipf is the skew of the keys; 0 is uniform.
	Zipf float64
	// Text says that the keys are text of 4 to 20 bytes; such records are prepared.
	Text bool
	Seed uint64

	// Prepare is how many records each reader makes before the start and then lends again and
	// again, so that the figures do not include the generator. If it is 0, records are made as they
	// are read.
	Prepare int

	BatchRows  int // 0 is record.DefaultRows
	RingSlots  int // 0 is the engine's choice
	StateBytes int // as in engine.Config
	Exchange   plan.Exchange
	Rebalance  bool              // as in engine.Config
	Wait       engine.WaitPolicy // as in engine.Config

	// EpochInterval and EpochShare are as in engine.Config.
	EpochInterval time.Duration
	EpochShare    float64

	// Aggregates are the aggregates of the value; nil is count, sum, min, max.
	Aggregates []plan.AggregateKind
}

// Workloads are those that figures are published for.
var Workloads = map[string]Workload{
	"u_10":     {Groups: 10, Prepare: 1 << 20},
	"u_1k":     {Groups: 1000, Prepare: 1 << 20},
	"u_10k":    {Groups: 10_000, Prepare: 1 << 20},
	"u_100k":   {Groups: 100_000, Prepare: 1 << 22},
	"u_1M":     {Groups: 1_000_000, Prepare: 1 << 24},
	"u_10M":    {Groups: 10_000_000, Prepare: 1 << 26},
	"z_100k":   {Groups: 100_000, Zipf: 1.1, Prepare: 1 << 22},
	"z_1M":     {Groups: 1_000_000, Zipf: 1.1, Prepare: 1 << 24},
	"str_1k":   {Groups: 1000, Prepare: 1 << 20, Text: true},
	"str_100k": {Groups: 100_000, Prepare: 1 << 21, Text: true},
	"str_1M":   {Groups: 1_000_000, Prepare: 1 << 22, Text: true},

	// The query that the engine before velo was judged by: it did 68,000 records/s.
	"seed": {Groups: 10, Prepare: 100_000, BatchRows: 1000, Aggregates: []plan.AggregateKind{plan.Sum}},
}

// Plan is SELECT key, count(*) AS count, sum(value) AS sum ... GROUP BY key.
func (w Workload) Plan() *plan.Plan {
	p := &plan.Plan{Source: w.schema(), Keys: []string{"key"}}
	for _, fn := range w.functions() {
		a := plan.Aggregate{Name: fn.String(), Func: fn, Column: "value"}
		if fn == plan.Count {
			a.Column = "" // counts records
		}
		p.Aggregates = append(p.Aggregates, a)
	}
	return p
}

func (w Workload) functions() []plan.AggregateKind {
	if w.Aggregates == nil {
		return []plan.AggregateKind{plan.Count, plan.Sum, plan.Min, plan.Max}
	}
	return w.Aggregates
}

// textSchema is readers.GeneratorSchema with keys of text.
var textSchema = func() *record.Schema {
	s, err := record.NewSchema("generated", record.Field{Name: "key", Type: record.String},
		record.Field{Name: "value", Type: record.Int64})
	if err != nil {
		panic(err)
	}
	return s
}()

func (w Workload) schema() *record.Schema {
	if w.Text {
		return textSchema
	}
	return readers.GeneratorSchema
}

// texts makes a batch with keys of text from a batch with numbers; the same number becomes the same
// text. Four characters distinguish a text from the others; up to 16 more follow.
func texts(b *record.Batch, number map[int64]int) *record.Batch {
	t := record.NewBatch(textSchema, b.Len())
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	var text [20]byte
	for i, key := range b.Column(0).Int64s[:b.Len()] {
		n, ok := number[key]
		if !ok {
			n = len(number)
			number[key] = n
		}
		for j := range text {
			if j == 4 {
				n = int(readers.Scramble(uint64(number[key])) >> 1)
			}
			text[j] = alphabet[n%len(alphabet)]
			n /= len(alphabet)
		}
		length := 4 + number[key]%17
		if !t.Add(length) {
			panic("bench: no room for a batch of short texts")
		}
		t.SetBytes(0, text[:length])
		t.SetInt64(1, b.Column(1).Int64s[i])
	}
	return t
}

// generators makes n generators without end, each with records of its own.
func (w Workload) generators(n int) ([]*readers.Generator, error) {
	cfg := readers.GeneratorConfig{Seed: w.Seed, Groups: w.Groups, Readers: n}
	if w.Zipf > 0 {
		cfg.Distribution, cfg.Skew = readers.Zipf, w.Zipf
	}
	var gs []*readers.Generator
	for cfg.Reader = range n {
		g, err := readers.NewGenerator(cfg)
		if err != nil {
			return nil, err
		}
		gs = append(gs, g)
	}
	return gs, nil
}

func (w Workload) batchRows() int {
	if w.BatchRows == 0 {
		return record.DefaultRows
	}
	return w.BatchRows
}

// Batches makes the prepared records of n readers.
func (w Workload) Batches(n int) ([][]*record.Batch, error) {
	gs, err := w.generators(n)
	if err != nil {
		return nil, err
	}
	rows := w.batchRows()
	var all [][]*record.Batch
	number := map[int64]int{}
	for _, g := range gs {
		batches := g.Prepare(w.Prepare, rows)
		if w.Text {
			for i, b := range batches {
				batches[i] = texts(b, number)
			}
		}
		all = append(all, batches)
	}
	return all, nil
}

// Readers makes n readers without end, each with records of its own.
func (w Workload) Readers(n int) ([]record.Reader, error) {
	var rs []record.Reader
	if w.Prepare == 0 && !w.Text {
		gs, err := w.generators(n)
		for _, g := range gs {
			rs = append(rs, g)
		}
		return rs, err
	}
	all, err := w.Batches(n)
	if err != nil {
		return nil, err
	}
	for _, batches := range all {
		m, err := newMemory(batches, 0)
		if err != nil {
			return nil, err
		}
		rs = append(rs, m)
	}
	return rs, nil
}

// Start runs the workload through an engine of this size. Shutdown ends it.
func (w Workload) Start(readers, partitions, cores int) (*engine.Engine, error) {
	rs, err := w.Readers(readers)
	if err != nil {
		return nil, err
	}
	return w.start(rs, partitions, cores)
}

// StartFinite is Start with prepared records of which each reader lends all that many times, and
// then ends.
func (w Workload) StartFinite(readers, partitions, cores, passes int) (*engine.Engine, error) {
	all, err := w.Batches(readers)
	if err != nil {
		return nil, err
	}
	var rs []record.Reader
	for _, batches := range all {
		m, err := newMemory(batches, passes)
		if err != nil {
			return nil, err
		}
		rs = append(rs, m)
	}
	return w.start(rs, partitions, cores)
}

func (w Workload) start(rs []record.Reader, partitions, cores int) (*engine.Engine, error) {
	return engine.Start(context.Background(), engine.Config{
		Plan: w.Plan(), Readers: rs, Partitions: partitions, Cores: cores, BatchRows: w.BatchRows,
		RingSlots: w.RingSlots, Exchange: w.Exchange,
		EpochInterval: w.EpochInterval, EpochShare: w.EpochShare, StateBytes: w.StateBytes,
		Rebalance: w.Rebalance, Wait: w.Wait,
	})
}

// A Figure says what an engine did in some time.
type Figure struct {
	Records uint64
	Elapsed time.Duration
	CPUTime time.Duration // of all runners, including waiting
}

// PerSecond is the number of records per second.
func (f Figure) PerSecond() float64 { return float64(f.Records) / f.Elapsed.Seconds() }

// CPUNanos is the nanoseconds of CPU time for each record.
func (f Figure) CPUNanos() float64 { return float64(f.CPUTime) / float64(f.Records) }

// String is the figure for people.
func (f Figure) String() string {
	return fmt.Sprintf("%.1f M records/s, %.2f ns/record/core", f.PerSecond()/1e6, f.CPUNanos())
}

// Measure watches a running engine for the time d, which should be long compared with the 10 ms by
// which CPU times lag. It measures from one snapshot to another, so that it counts the records that
// a reader of snapshots can see, and so that everything that was read is in the partitions. The
// error comes from Sync.
func Measure(e *engine.Engine, d time.Duration) (Figure, error) {
	look := func() (records uint64, at time.Time, cpu time.Duration, err error) {
		if err := e.Sync(context.Background()); err != nil {
			return 0, at, 0, err
		}
		s := e.Snapshot()
		defer s.Close()
		for _, n := range s.Positions() {
			records += n
		}
		return records, time.Now(), e.Stats().CPUTime(), nil
	}
	defer observe()()
	records, begin, cpu, err := look()
	if err != nil {
		return Figure{}, err
	}
	<-time.After(d)
	to, end, spent, err := look()
	return Figure{to - records, end.Sub(begin), spent - cpu}, err
}

// measureAndStop is Measure, after which the engine is shut down.
func measureAndStop(e *engine.Engine, d time.Duration) (Figure, error) {
	f, err := Measure(e, d)
	return f, errors.Join(err, e.Shutdown(context.Background()))
}

// Settle waits until no new groups come. From then on, figures do not include the building of the
// tables.
func Settle(e *engine.Engine) {
	for last := uint64(0); ; {
		<-time.After(100 * time.Millisecond)
		st := e.Stats()
		groups := st.Groups() + st.FoldedGroups()
		if groups > 0 && groups == last {
			return
		}
		last = groups
	}
}
