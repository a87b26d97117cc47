package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/influxdata/telegraf/plugins/aggregators/basicstats"
)

func metricOf(e event, at time.Time) telegraf.Metric {
	return metric.New("event", map[string]string{"key": strconv.FormatInt(e.Key, 10)}, map[string]any{"value": e.Value},
		at)
}

// basicStats is telegraf's plugin, fed with one metric per record. The metrics are made in the
// timed part, or, if ready, before it.
func basicStats(in input, d time.Duration, ready bool) (o outcome, err error) {
	a := aggregators.Aggregators["basicstats"]().(*basicstats.BasicStats)
	a.Stats = []string{"count", "sum", "min", "max"}
	if err := a.Init(); err != nil {
		return o, err
	}
	now := time.Now()
	pass := func() error {
		for _, e := range in.events {
			a.Add(metricOf(e, now))
		}
		return nil
	}
	if ready {
		metrics := make([]telegraf.Metric, len(in.events))
		for i, e := range in.events {
			metrics[i] = metricOf(e, now)
		}
		pass = func() error {
			for _, m := range metrics {
				a.Add(m)
			}
			return nil
		}
	}
	o, err = passes(in.events, d, pass)
	if err != nil {
		return o, err
	}
	result := results{groups: map[int64]state{}}
	a.Push(&result)
	o.groups = result.groups
	return o, result.err
}

// results takes the groups; the plugin calls only AddFields.
type results struct {
	telegraf.Accumulator
	groups map[int64]state
	err    error
}

func (r *results) AddFields(_ string, fields map[string]any, tags map[string]string, _ ...time.Time) {
	key, err := strconv.ParseInt(tags["key"], 10, 64)
	if err != nil {
		r.err = fmt.Errorf("a group with tags %v: %w", tags, err)
		return
	}
	// exact, below 2^53
	of := func(name string) int64 { return int64(fields["value_"+name].(float64)) }
	r.groups[key] = state{Count: of("count"), Sum: of("sum"), Min: of("min"), Max: of("max")}
}
