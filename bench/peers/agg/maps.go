package main

import (
	"slices"
	"sync"
	"time"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/record"
)

type state = bench.GroupState

// totals summarise the groups of one pass over some records.
type totals struct{ Groups, Count, Sum, Mins, Maxs int64 }

func (t *totals) add(s *state) {
	t.Groups++
	t.Count += s.Count
	t.Sum += s.Sum
	t.Mins += s.Min
	t.Maxs += s.Max
}

func update(m map[int64]*state, key, v int64) {
	s := m[key]
	if s == nil {
		s = &state{Min: v, Max: v}
		m[key] = s
	}
	touch(s, v)
}

func touch(s *state, v int64) {
	s.Count++
	s.Sum += v
	s.Min = min(s.Min, v)
	s.Max = max(s.Max, v)
}

func reference(batches []*record.Batch) (t totals) {
	m := map[int64]*state{}
	for _, b := range batches {
		for i, k := range b.Column(0).Int64s[:b.Len()] {
			update(m, k, b.Column(1).Int64s[i])
		}
	}
	for _, s := range m {
		t.add(s)
	}
	return t
}

// passes is how often a contestant goes over the records: once to make the groups, then the median
// of the others counts.
const passes = 4

// timed runs pass and returns nanoseconds for each record.
func timed(batches []*record.Batch, pass func()) float64 {
	n := 0
	for _, b := range batches {
		n += b.Len()
	}
	pass()
	var took []time.Duration
	for range passes - 1 {
		begin := time.Now()
		pass()
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return float64(took[len(took)/2]) / float64(n)
}

// once returns the totals of groups that have seen the records several times; sums and counts are
// those of one time.
func once(groups []*state) (t totals) {
	for _, s := range groups {
		t.add(s)
	}
	t.Count /= passes
	t.Sum /= passes
	return t
}

func values(m map[int64]*state) (all []*state) {
	for _, s := range m {
		all = append(all, s)
	}
	return all
}

func goMap(batches []*record.Batch) (float64, totals, error) {
	m := map[int64]*state{}
	ns := timed(batches, func() {
		for _, b := range batches {
			values := b.Column(1).Int64s
			for i, k := range b.Column(0).Int64s[:b.Len()] {
				update(m, k, values[i])
			}
		}
	})
	return ns, once(values(m)), nil
}

// sharded is 64 maps, each with a mutex, and goroutines that share the batches.
func sharded(batches []*record.Batch, goroutines int) (float64, totals, error) {
	type shard struct {
		mu sync.Mutex
		m  map[int64]*state
		_  [48]byte
	}
	var shards [64]shard
	for i := range shards {
		shards[i].m = map[int64]*state{}
	}
	ns := timed(batches, func() {
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for j := g; j < len(batches); j += goroutines {
					b := batches[j]
					values := b.Column(1).Int64s
					for i, k := range b.Column(0).Int64s[:b.Len()] {
						s := &shards[uint64(k)*0x9e3779b97f4a7c15>>58]
						s.mu.Lock()
						update(s.m, k, values[i])
						s.mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
	})
	var all []*state
	for i := range shards {
		all = append(all, values(shards[i].m)...)
	}
	return ns, once(all), nil
}

// syncMap is a sync.Map of states with a mutex each.
func syncMap(batches []*record.Batch) (float64, totals, error) {
	type locked struct {
		mu sync.Mutex
		state
	}
	var m sync.Map
	ns := timed(batches, func() {
		for _, b := range batches {
			values := b.Column(1).Int64s
			for i, k := range b.Column(0).Int64s[:b.Len()] {
				v := values[i]
				s, ok := m.Load(k)
				if !ok {
					s, _ = m.LoadOrStore(k, &locked{state: state{Min: v, Max: v}})
				}
				l := s.(*locked)
				l.mu.Lock()
				touch(&l.state, v)
				l.mu.Unlock()
			}
		}
	})
	var all []*state
	m.Range(func(_, s any) bool {
		all = append(all, &s.(*locked).state)
		return true
	})
	return ns, once(all), nil
}

// channel is a Go map in a second goroutine. It gets the records by a channel, this many at a time.
func channel(batches []*record.Batch, together int) (float64, totals, error) {
	type pair struct{ key, value int64 }
	m := map[int64]*state{}
	done := make(chan struct{})
	if together == 1 {
		in := make(chan pair, 1024)
		ns := timed(batches, func() {
			go func() {
				n := 0
				for _, b := range batches {
					n += b.Len()
				}
				for range n {
					p := <-in
					update(m, p.key, p.value)
				}
				done <- struct{}{}
			}()
			for _, b := range batches {
				for i, k := range b.Column(0).Int64s[:b.Len()] {
					in <- pair{k, b.Column(1).Int64s[i]}
				}
			}
			<-done
		})
		return ns, once(values(m)), nil
	}
	in := make(chan []pair, 16)
	pool := sync.Pool{New: func() any { s := make([]pair, 0, together); return &s }}
	ns := timed(batches, func() {
		go func() {
			for s := range in {
				if s == nil {
					break
				}
				for _, p := range s {
					update(m, p.key, p.value)
				}
				s = s[:0]
				pool.Put(&s)
			}
			done <- struct{}{}
		}()
		s := *pool.Get().(*[]pair)
		for _, b := range batches {
			for i, k := range b.Column(0).Int64s[:b.Len()] {
				s = append(s, pair{k, b.Column(1).Int64s[i]})
				if len(s) == together {
					in <- s
					s = *pool.Get().(*[]pair)
				}
			}
		}
		in <- append(s[:len(s):len(s)], []pair{}...)
		in <- nil
		<-done
	})
	return ns, once(values(m)), nil
}
