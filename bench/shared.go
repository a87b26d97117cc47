package bench

import (
	"encoding/binary"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Workiva/go-datastructures/trie/ctrie"

	"github.com/velo-engine/velo/record"
)

// A SharedState says what another way to read keyed state while it is written did, with one writer
// and one reader that takes pictures of all groups.
type SharedState struct {
	Impl    string `json:"impl"`
	Profile string `json:"profile"`
	// Consistent says that a picture has all groups as they were at one moment.
	Consistent bool    `json:"consistent"`
	Interval   float64 `json:"interval_ms"`
	// Baseline is the throughput without a reader.
	Baseline float64 `json:"baseline_records_per_second"`
	// T is the throughput with one picture per interval.
	T    float64 `json:"records_per_second"`
	Loss float64 `json:"loss"`
	// Snapshot is the median time to take a picture.
	Snapshot float64 `json:"snapshot_us"`
	// GetNs is the time to read one group, as it is now or in the newest picture.
	GetNs        float64 `json:"get_ns"`
	AllocsPerGet float64 `json:"allocs_per_get"`
	// GetLoss is the part of the throughput that is lost to a million such reads a second.
	GetLoss float64 `json:"gets_1m_loss"`
}

// aggregates are the state of a group of a rival.
type aggregates struct{ n, sum, least, most int64 }

func (a *aggregates) update(v int64) {
	a.n++
	a.sum += v
	a.least, a.most = min(a.least, v), max(a.most, v)
}

func firstOf(v int64) aggregates { return aggregates{1, v, v, v} }

// sharedMap is a rival. The writer calls apply; the other methods are called by another goroutine
// at the same time.
type sharedMap interface {
	apply(b *record.Batch)
	snapshot() (groups int, records int64)
	get(key int64) bool
}

// rwMutexMap takes the lock once for each batch. A snapshot is a copy of the map.
type rwMutexMap struct {
	mu sync.RWMutex
	m  map[int64]*aggregates
}

func (s *rwMutexMap) apply(b *record.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	values := b.Column(1).Int64s[:b.Len()]
	for i, key := range b.Column(0).Int64s[:b.Len()] {
		if a := s.m[key]; a != nil {
			a.update(values[i])
		} else {
			a := firstOf(values[i])
			s.m[key] = &a
		}
	}
}

func (s *rwMutexMap) snapshot() (int, int64) {
	s.mu.RLock()
	c := make(map[int64]aggregates, len(s.m))
	for k, a := range s.m {
		c[k] = *a
	}
	s.mu.RUnlock()
	return count(maps.Values(c))
}

func (s *rwMutexMap) get(key int64) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	a := s.m[key]
	return a != nil && a.n > 0
}

// count returns the number of groups, and the number of their records.
func count(all func(func(aggregates) bool)) (groups int, records int64) {
	for a := range all {
		groups++
		records += a.n
	}
	return groups, records
}

// syncMap keeps the states in a sync.Map, each under a lock of its own. So what Range copies does
// not come from a single moment.
type syncMap struct{ m sync.Map }

type lockedAggregates struct {
	mu sync.Mutex
	aggregates
}

func (s *syncMap) apply(b *record.Batch) {
	values := b.Column(1).Int64s[:b.Len()]
	for i, key := range b.Column(0).Int64s[:b.Len()] {
		v, ok := s.m.Load(key)
		if !ok {
			// there is only one writer
			s.m.Store(key, &lockedAggregates{aggregates: firstOf(values[i])})
			continue
		}
		a := v.(*lockedAggregates)
		a.mu.Lock()
		a.update(values[i])
		a.mu.Unlock()
	}
}

func (s *syncMap) snapshot() (int, int64) {
	c := map[int64]aggregates{}
	s.m.Range(func(key, v any) bool {
		a := v.(*lockedAggregates)
		a.mu.Lock()
		c[key.(int64)] = a.aggregates
		a.mu.Unlock()
		return true
	})
	return count(maps.Values(c))
}

func (s *syncMap) get(key int64) bool {
	v, ok := s.m.Load(key)
	if !ok {
		return false
	}
	a := v.(*lockedAggregates)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n > 0
}

// ctrieMap is Workiva's concurrent trie, whose snapshots take constant time. States are replaced
// and not changed, so that a snapshot keeps its own.
type ctrieMap struct{ t *ctrie.Ctrie }

func ctrieKey(key int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(key)) }

func (s *ctrieMap) apply(b *record.Batch) {
	values := b.Column(1).Int64s[:b.Len()]
	for i, key := range b.Column(0).Int64s[:b.Len()] {
		k := ctrieKey(key)
		a := firstOf(values[i])
		if v, ok := s.t.Lookup(k); ok {
			a = *v.(*aggregates)
			a.update(values[i])
		}
		s.t.Insert(k, &a)
	}
}

func (s *ctrieMap) snapshot() (int, int64) {
	c := s.t.ReadOnlySnapshot()
	return count(func(yield func(aggregates) bool) {
		more := true
		for e := range c.Iterator(nil) {
			if more {
				more = yield(*e.Value.(*aggregates))
			}
		}
	})
}

func (s *ctrieMap) get(key int64) bool {
	v, ok := s.t.Lookup(ctrieKey(key))
	return ok && v.(*aggregates).n > 0
}

// copiedMap is a map that only its writer uses. When somebody has asked, the writer copies the map
// and publishes the copy by a pointer.
type copiedMap struct {
	m         map[int64]*aggregates
	wanted    atomic.Bool
	published atomic.Pointer[map[int64]aggregates]
}

func (s *copiedMap) apply(b *record.Batch) {
	values := b.Column(1).Int64s[:b.Len()]
	for i, key := range b.Column(0).Int64s[:b.Len()] {
		if a := s.m[key]; a != nil {
			a.update(values[i])
		} else {
			a := firstOf(values[i])
			s.m[key] = &a
		}
	}
	if s.published.Load() == nil || s.wanted.Load() {
		c := make(map[int64]aggregates, len(s.m))
		for k, a := range s.m {
			c[k] = *a
		}
		s.published.Store(&c)
		s.wanted.Store(false)
	}
}

func (s *copiedMap) snapshot() (int, int64) {
	s.wanted.Store(true)
	for s.wanted.Load() {
		runtime.Gosched()
	}
	return count(maps.Values(*s.published.Load()))
}

func (s *copiedMap) get(key int64) bool {
	p := s.published.Load()
	return p != nil && (*p)[key].n > 0
}

// sharedImpls are the rivals of a snapshot.
var sharedImpls = []struct {
	name       string
	consistent bool
	make       func() sharedMap
}{
	{"map with RWMutex, copied under it", true, func() sharedMap { return &rwMutexMap{m: map[int64]*aggregates{}} }},
	{"map copied by its writer", true, func() sharedMap { return &copiedMap{m: map[int64]*aggregates{}} }},
	{"sync.Map, by Range", false, func() sharedMap { return new(syncMap) }},
	{"Workiva ctrie", true, func() sharedMap { return &ctrieMap{ctrie.New(nil)} }},
}

// SnapshotRivals measures the other ways, over the records of one reader of a workload with keys of
// numbers. It measures throughput for d each, with a picture of all groups each interval. Each way
// is first measured when all of its groups exist.
func SnapshotRivals(w Workload, interval, d time.Duration, each func(SharedState)) error {
	if w.Text {
		return errors.New("bench: the rivals of snapshots have keys of numbers")
	}
	batches, err := w.Batches(1)
	if err != nil {
		return err
	}
	for _, impl := range sharedImpls {
		runtime.GC()
		r := measureShared(impl.make(), batches[0], interval, d)
		r.Impl, r.Consistent = impl.name, impl.consistent
		each(r)
	}
	return nil
}

func measureShared(m sharedMap, batches []*record.Batch, interval, d time.Duration) SharedState {
	s := SharedState{Interval: float64(interval) / 1e6}
	for _, b := range batches {
		m.apply(b)
	}
	var written atomic.Int64
	var stop atomic.Bool
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; !stop.Load(); i++ {
			b := batches[i%len(batches)]
			m.apply(b)
			written.Add(int64(b.Len()))
		}
	})
	rate := func(during func(end time.Time)) float64 {
		defer observe()()
		before, begin := written.Load(), time.Now()
		during(begin.Add(d))
		for written.Load() == before { // a slow batch may take longer than d
			<-time.After(time.Millisecond)
		}
		return float64(written.Load()-before) / time.Since(begin).Seconds()
	}
	sleep := func(end time.Time) { <-time.After(time.Until(end)) }
	s.Baseline = rate(sleep)
	var took []float64
	s.T = rate(func(end time.Time) {
		for next := time.Now(); next.Before(end) || len(took) == 0; <-time.After(time.Until(next)) {
			begin := time.Now()
			m.snapshot()
			took = append(took, float64(time.Since(begin))/1e3)
			next = next.Add(interval)
		}
	})
	s.Snapshot, s.Loss = median(took), 1-s.T/s.Baseline

	keys := slices.Clone(batches[0].Column(0).Int64s[:min(batches[0].Len(), 1<<10)])
	var before, after runtime.MemStats
	gets, begin := 0, time.Now()
	for time.Since(begin) < d/2 {
		for _, k := range keys {
			m.get(k)
		}
		gets += len(keys)
	}
	s.GetNs = float64(time.Since(begin)) / float64(gets)
	base := rate(sleep)
	with := rate(func(end time.Time) {
		paced(end, func(n int) { m.get(keys[n%len(keys)]) })
	})
	s.GetLoss = 1 - with/base
	stop.Store(true)
	writing.Wait()
	runtime.ReadMemStats(&before)
	// while nothing else runs, so that allocations of the writer are not counted
	for _, k := range keys {
		m.get(k)
	}
	runtime.ReadMemStats(&after)
	s.AllocsPerGet = float64(after.Mallocs-before.Mallocs) / float64(len(keys))
	return s
}
