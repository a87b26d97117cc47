package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/record"
)

// event is a record as a Go program has it.
type event struct{ Key, Value int64 }

// input has the same records in two forms.
type input struct {
	batches []*record.Batch
	events  []event
}

func newInput(w bench.Workload) (in input, err error) {
	all, err := w.Batches(1)
	if err != nil {
		return in, err
	}
	in.batches = all[0]
	for _, b := range in.batches {
		values := b.Column(1).Int64s
		for i, k := range b.Column(0).Int64s[:b.Len()] {
			in.events = append(in.events, event{k, values[i]})
		}
	}
	return in, nil
}

// first is the first batches, until they have n records.
func (in input) first(n int) input {
	rows := 0
	for i, b := range in.batches {
		rows += b.Len()
		if rows >= n {
			return input{in.batches[:i+1], in.events[:rows]}
		}
	}
	return in
}

// split is the input in n parts.
func (in input) split(n int) (parts []input) {
	at := 0
	for i := range n {
		part := input{batches: in.batches[i*len(in.batches)/n : (i+1)*len(in.batches)/n]}
		rows := 0
		for _, b := range part.batches {
			rows += b.Len()
		}
		part.events = in.events[at : at+rows]
		at += rows
		parts = append(parts, part)
	}
	return parts
}

// pieces calls do with n records at a time, and stops at the first error.
func pieces(events []event, n int, do func([]event) error) error {
	for len(events) > 0 {
		n := min(n, len(events))
		if err := do(events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

type state = bench.GroupState

func touch(s *state, v int64) {
	if s.Count == 0 {
		s.Min, s.Max = v, v
	}
	s.Count++
	s.Sum += v
	s.Min = min(s.Min, v)
	s.Max = max(s.Max, v)
}

// update is how a Go map does it, for the reference and for contestants that have no groups of
// their own.
func update(m map[int64]*state, key, v int64) {
	s := m[key]
	if s == nil {
		s = &state{}
		m[key] = s
	}
	touch(s, v)
}

// outcome is what a contestant did.
type outcome struct {
	timed   int // records of the timed part
	elapsed time.Duration
	allocs  uint64

	fed    []stretch // all records that the groups have seen
	groups map[int64]state
}

// stretch is n records: the events from the first on, again and again.
type stretch struct {
	events []event
	n      int
}

// check compares every group with the reference.
func (o *outcome) check() error {
	want := map[int64]*state{}
	for _, of := range o.fed {
		passes, rest := of.n/len(of.events), of.n%len(of.events)
		for i, e := range of.events {
			n := int64(passes)
			if i < rest {
				n++
			}
			if n > 0 {
				update(want, e.Key, e.Value)
				s := want[e.Key]
				s.Count += n - 1
				s.Sum += (n - 1) * e.Value
			}
		}
	}
	if len(o.groups) != len(want) {
		return fmt.Errorf("the result is wrong: %d groups, expected %d", len(o.groups), len(want))
	}
	for k, s := range want {
		if got, ok := o.groups[k]; !ok || got != *s {
			return fmt.Errorf("the result is wrong: group %d is %+v, expected %+v", k, got, *s)
		}
	}
	return nil
}

// merge adds the groups of a map.
func (o *outcome) merge(m map[int64]*state) {
	if o.groups == nil {
		o.groups = make(map[int64]state, len(m))
	}
	for k, s := range m {
		if had, ok := o.groups[k]; ok {
			o.groups[k] = state{
				Count: had.Count + s.Count, Sum: had.Sum + s.Sum, Min: min(had.Min, s.Min),
				Max: max(had.Max, s.Max),
			}
		} else {
			o.groups[k] = *s
		}
	}
}

// passes runs pass, which returns when all events are in the groups. It runs once to make the
// groups, and is then timed until d is over.
func passes(events []event, d time.Duration, pass func() error) (o outcome, err error) {
	if err := pass(); err != nil {
		return o, err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	for o.elapsed < d || o.timed == 0 {
		if err := pass(); err != nil {
			return o, err
		}
		o.timed += len(events)
		o.elapsed = time.Since(begin)
	}
	runtime.ReadMemStats(&after)
	o.allocs = after.Mallocs - before.Mallocs
	o.fed = []stretch{{events, o.timed + len(events)}}
	return o, nil
}
