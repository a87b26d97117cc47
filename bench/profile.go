package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/dgryski/go-metro"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

// A Result says what an engine did with a workload of prepared records.
type Result struct {
	// Figure is for the timed part: all groups existed when it began.
	Figure
	// Build is how many nanoseconds of each core a record took in the first pass over all records,
	// which makes the groups.
	Build  float64
	Groups int
	Sum    uint64       // see Checksum
	Stats  engine.Stats // at the end
}

// Run runs a workload of prepared records for d, after a first pass that makes all groups. started
// is called with the engine when it runs; it may be nil. The result is compared with the result of
// a Go map, outside the timed part: a difference is an error.
func (w Workload) Run(readers, partitions, cores int, d time.Duration, started func(*engine.Engine)) (Result, error) {
	batches, err := w.Batches(readers)
	if err != nil {
		return Result{}, err
	}
	return w.RunPrepared(batches, partitions, cores, d, started)
}

// RunPrepared is Run with the batches of each reader, as Batches makes them. They can be used
// again.
func (w Workload) RunPrepared(batches [][]*record.Batch, partitions, cores int, d time.Duration,
	started func(*engine.Engine),
) (Result, error) {
	var rs []record.Reader
	var passes []*passReader
	for _, of := range batches {
		m, err := newMemory(of, 0)
		if err != nil {
			return Result{}, err
		}
		passes = append(passes, newPassReader(m, len(of)))
		rs = append(rs, passes[len(passes)-1])
	}
	begin := time.Now()
	eng, err := w.start(rs, partitions, cores)
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
	if err := eng.Shutdown(context.Background()); err != nil {
		return Result{}, err
	}
	r.Stats = eng.Stats()
	snap := eng.Snapshot()
	defer snap.Close()
	r.Groups, r.Sum, err = w.Checksum(eng.Plan(), snap.All())
	if err != nil {
		return Result{}, err
	}
	reads := make([]uint64, len(batches))
	for i, rd := range r.Stats.Readers {
		reads[i] = rd.In
	}
	groups, sum := w.Reference(batches, reads)
	if groups != r.Groups || sum != r.Sum {
		return Result{}, fmt.Errorf("bench: the result is wrong: %d groups with checksum %016x, expected %d with %016x",
			r.Groups, r.Sum, groups, sum)
	}
	return r, nil
}

// A passReader is a reader without end that says when it has been through its batches once. So
// nobody has to ask again and again, which would take time from the core that is measured.
type passReader struct {
	record.Poller
	left int           // batches of the first pass that have not been polled
	done chan struct{} // closed by the Poll after the last of them
}

func newPassReader(r record.Poller, batches int) *passReader {
	return &passReader{r, batches, make(chan struct{})}
}

// Poll lends the next batch. The engine has taken the batch before.
func (r *passReader) Poll(b *record.Batch) error {
	if r.left >= 0 {
		if r.left == 0 {
			close(r.done)
		}
		r.left--
	}
	return r.Poller.Poll(b)
}

// firstPass waits until each reader has been through its batches once. It returns how many
// nanoseconds of each core a record has taken since begin. The error is the engine's, if it ends
// before that.
func firstPass(eng *engine.Engine, passes []*passReader, begin time.Time) (float64, error) {
	ended := make(chan error, 1)
	go func() { ended <- eng.Wait() }()
	for _, r := range passes {
		select {
		case err := <-ended:
			return 0, err
		case <-r.done:
		}
	}
	took, st := time.Since(begin), eng.Stats()
	return float64(took) * float64(len(st.Runners)) / float64(st.Counters().In), nil
}

func rowsOfBatches(batches []*record.Batch) (n uint64) {
	for _, b := range batches {
		n += uint64(b.Len())
	}
	return n
}

// Checksum is the number of groups and a sum over them that does not depend on their order: the sum
// of a hash of each key with its aggregates.
func (w Workload) Checksum(p *plan.Plan, rows iter.Seq[result.Row]) (groups int, sum uint64, err error) {
	var columns []result.Column[int64]
	for _, a := range p.Aggregates {
		c, err := result.ColumnOf[int64](p, a.Name)
		if err != nil {
			return 0, 0, err
		}
		columns = append(columns, c)
	}
	var appendKey func([]byte, result.Row) []byte
	if w.Text {
		c, err := result.ColumnOf[string](p, "key")
		if err != nil {
			return 0, 0, err
		}
		appendKey = c.AppendBytes
	} else {
		c, err := result.ColumnOf[int64](p, "key")
		if err != nil {
			return 0, 0, err
		}
		appendKey = func(to []byte, row result.Row) []byte {
			return binary.LittleEndian.AppendUint64(to, uint64(c.Of(row)))
		}
	}
	var line []byte
	for row := range rows {
		line = appendKey(line[:0], row)
		for _, c := range columns {
			line = binary.LittleEndian.AppendUint64(line, uint64(c.Of(row)))
		}
		sum += metro.Hash64(line, 1)
		groups++
	}
	return groups, sum, nil
}

// GroupState has the aggregates of a group in a Go map.
type GroupState struct{ Count, Sum, Min, Max int64 }

// Reference computes the Checksum with a Go map. reads says how many records of its batches each
// reader has read, beginning with the first and again and again.
func (w Workload) Reference(batches [][]*record.Batch, reads []uint64) (groups int, sum uint64) {
	ints, texts := map[int64]*GroupState{}, map[string]*GroupState{}
	for r, of := range batches {
		pass := rowsOfBatches(of)
		times, rest := int64(reads[r]/pass), reads[r]%pass
		for _, b := range of {
			n := times
			if rest > 0 { // whole batches are read
				n++
				rest -= min(rest, uint64(b.Len()))
			}
			if n == 0 {
				continue
			}
			for i, v := range b.Column(1).Int64s[:b.Len()] {
				var s *GroupState
				if w.Text {
					view := b.Column(0).Views[i]
					s = ofGroup(texts, string(b.Column(0).Bytes[view.Off:view.Off+view.Len]), v)
				} else {
					s = ofGroup(ints, b.Column(0).Int64s[i], v)
				}
				s.Count += n
				s.Sum += n * v
				s.Min = min(s.Min, v)
				s.Max = max(s.Max, v)
			}
		}
	}
	var line []byte
	add := func(s *GroupState) {
		values := map[plan.AggregateKind]int64{plan.Count: s.Count, plan.Sum: s.Sum, plan.Min: s.Min, plan.Max: s.Max}
		for _, fn := range w.functions() {
			line = binary.LittleEndian.AppendUint64(line, uint64(values[fn]))
		}
		sum += metro.Hash64(line, 1)
		groups++
	}
	for k, s := range ints {
		line = binary.LittleEndian.AppendUint64(line[:0], uint64(k))
		add(s)
	}
	for k, s := range texts {
		line = append(line[:0], k...)
		add(s)
	}
	return groups, sum
}

func ofGroup[K comparable](m map[K]*GroupState, key K, v int64) *GroupState {
	s := m[key]
	if s == nil {
		s = &GroupState{Min: v, Max: v}
		m[key] = s
	}
	return s
}

// Rivals are what an engineer would write instead, over the same records. Each returns the
// nanoseconds for a record of one pass, when all groups exist.
var Rivals = map[string]func(w Workload, batches []*record.Batch) float64{
	"gomap":    Workload.goMap,
	"channels": Workload.channels,
}

// timePasses is the median time per record of three passes, after one that is not timed.
func timePasses(batches []*record.Batch, pass func()) float64 {
	pass()
	var took []time.Duration
	for range 3 {
		begin := time.Now()
		pass()
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return float64(took[1]) / float64(rowsOfBatches(batches))
}

// goMap is a map from the key to its state, in one goroutine.
func (w Workload) goMap(batches []*record.Batch) float64 {
	update := w.mapUpdate()
	return timePasses(batches, func() {
		for _, b := range batches {
			update(b)
		}
	})
}

// channels is goMap in a second goroutine, which gets the batches by a channel: the usual way to
// relieve the goroutine that reads.
func (w Workload) channels(batches []*record.Batch) float64 {
	in, done := make(chan *record.Batch, 16), make(chan struct{}, 1)
	defer close(in)
	update := w.mapUpdate()
	go func() {
		for b := range in {
			if b == nil {
				done <- struct{}{}
				continue
			}
			update(b)
		}
	}()
	return timePasses(batches, func() {
		for _, b := range batches {
			in <- b
		}
		in <- nil
		<-done
	})
}

func (w Workload) mapUpdate() func(*record.Batch) {
	if w.Text {
		groups := map[string]*GroupState{}
		return func(b *record.Batch) {
			keys, bytes := b.Column(0).Views, b.Column(0).Bytes
			for i, v := range b.Column(1).Int64s[:b.Len()] {
				key := bytes[keys[i].Off : keys[i].Off+keys[i].Len]
				s := groups[string(key)] // without a copy of the key
				if s == nil {
					s = &GroupState{Min: v, Max: v}
					groups[string(key)] = s
				}
				s.add(v)
			}
		}
	}
	groups := map[int64]*GroupState{}
	return func(b *record.Batch) {
		keys := b.Column(0).Int64s
		for i, v := range b.Column(1).Int64s[:b.Len()] {
			s := groups[keys[i]]
			if s == nil {
				s = &GroupState{Min: v, Max: v}
				groups[keys[i]] = s
			}
			s.add(v)
		}
	}
}

func (s *GroupState) add(v int64) {
	s.Count++
	s.Sum += v
	s.Min = min(s.Min, v)
	s.Max = max(s.Max, v)
}
