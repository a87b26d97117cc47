package main

import (
	"time"

	"github.com/reugn/go-streams"
	"github.com/reugn/go-streams/extension"
	"github.com/reugn/go-streams/flow"
)

// keyed is the state of a group that does not know its key before its first record.
type keyed struct {
	key int64
	state
}

// goStreamsKeyed is the library's own grouping: a flow for each key. The records pass through as
// pointers, so that boxing them copies nothing.
func goStreamsKeyed(in input, d time.Duration) (outcome, error) {
	var groups []*keyed
	byKey := flow.NewKeyed(func(e *event) int64 { return e.Key }, func() streams.Flow {
		s := &keyed{}
		groups = append(groups, s) // Keyed calls this from one goroutine
		return flow.NewFold(s, func(e *event, s *keyed) *keyed {
			s.key = e.Key
			touch(&s.state, e.Value)
			return s
		})
	})
	from, to := make(chan any, 1024), make(chan any, 1024)
	go extension.NewChanSource(from).Via(byKey).To(extension.NewChanSink(to))
	o, err := passes(in.events, d, func() error {
		go func() {
			for i := range in.events {
				from <- &in.events[i]
			}
		}()
		for range in.events { // one state comes out for each event
			<-to
		}
		return nil
	})
	close(from)
	for range to { // until all flows have ended
	}
	o.groups = map[int64]state{}
	for _, s := range groups {
		o.groups[s.key] = s.state
	}
	return o, err
}

// goStreamsBatches has slices of records as elements, and a Go map for the groups.
func goStreamsBatches(in input, d time.Duration) (outcome, error) {
	groups := map[int64]*state{}
	fold := flow.NewMap(func(events []event) int {
		for _, e := range events {
			update(groups, e.Key, e.Value)
		}
		return len(events)
	}, 1)
	from, to := make(chan any, 16), make(chan any, 16)
	go extension.NewChanSource(from).Via(fold).To(extension.NewChanSink(to))
	o, err := passes(in.events, d, func() error {
		go pieces(in.events, 1024, func(events []event) error {
			from <- events
			return nil
		})
		for n := 0; n < len(in.events); {
			n += (<-to).(int)
		}
		return nil
	})
	close(from)
	for range to {
	}
	o.merge(groups)
	return o, err
}
