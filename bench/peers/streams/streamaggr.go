package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/VictoriaMetrics/lib/prompb"
	"github.com/VictoriaMetrics/VictoriaMetrics/lib/streamaggr"
)

// The interval outlasts the run, so that the groups come out once, at the end. Without by, each
// series is a group, so the labels need not be told apart.
const streamaggrConfig = `
- interval: 24h
  no_align_flush_to_interval: true
  flush_on_shutdown: true
  outputs: [count_samples, sum_samples, min, max]
`

// seriesOf makes a series of one sample from each record. It appends them to to.
func seriesOf(to []prompb.TimeSeries, events []event, at int64) []prompb.TimeSeries {
	for i, e := range events {
		if i == len(to) {
			to = append(to, prompb.TimeSeries{
				Labels:  []prompb.Label{{Name: "__name__", Value: "event"}, {Name: "key"}},
				Samples: make([]prompb.Sample, 1),
			})
		}
		to[i].Labels[1].Value = strconv.FormatInt(e.Key, 10)
		to[i].Samples[0] = prompb.Sample{Value: float64(e.Value), Timestamp: at}
	}
	return to[:len(events)]
}

// streamAggr gets batches of series from this many goroutines, as from the connections of vmagent.
// The series are made in the timed part, or, if ready, before it.
func streamAggr(in input, d time.Duration, threads int, ready bool) (outcome, error) {
	groups := map[int64]*state{}
	var mu sync.Mutex
	var faults error
	aggregators, err := streamaggr.LoadFromData([]byte(streamaggrConfig), func(series []prompb.TimeSeries) {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range series {
			if err := addSeries(groups, s); err != nil {
				faults = err
			}
		}
	}, nil, "velo")
	if err != nil {
		return outcome{}, err
	}
	const together = 1024
	now := time.Now().UnixMilli()
	parts := in.split(threads)
	prepared := make([][][]prompb.TimeSeries, threads)
	if ready {
		for i, part := range parts {
			pieces(part.events, together, func(events []event) error {
				prepared[i] = append(prepared[i], seriesOf(nil, events, now))
				return nil
			})
		}
	}
	o, err := passes(in.events, d, func() error {
		var wg sync.WaitGroup
		for i, part := range parts {
			wg.Go(func() {
				var matches []uint32
				if ready {
					for _, series := range prepared[i] {
						matches = aggregators.Push(series, matches)
					}
					return
				}
				room := make([]prompb.TimeSeries, 0, together)
				pieces(part.events, together, func(events []event) error {
					room = seriesOf(room, events, now)
					matches = aggregators.Push(room, matches)
					return nil
				})
			})
		}
		wg.Wait()
		return nil
	})
	aggregators.MustStop() // flushes
	if err == nil {
		err = faults
	}
	o.merge(groups)
	return o, err
}

// addSeries puts one output of a group, a series event:24h_output, into the state of the group.
func addSeries(groups map[int64]*state, series prompb.TimeSeries) error {
	var name, text string
	for _, l := range series.Labels {
		switch l.Name {
		case "__name__":
			name = l.Value
		case "key":
			text = l.Value
		}
	}
	key, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("a series with labels %v: %w", series.Labels, err)
	}
	s := groups[key]
	if s == nil {
		s = &state{}
		groups[key] = s
	}
	_, output, _ := strings.Cut(name, "_")
	v := int64(series.Samples[0].Value) // exact, below 2^53
	switch output {
	case "count_samples":
		s.Count = v
	case "sum_samples":
		s.Sum = v
	case "min":
		s.Min = v
	case "max":
		s.Max = v
	default:
		return fmt.Errorf("a series named %q", name)
	}
	return nil
}
