package prom

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/velo-engine/velo/metrics"
)

// An Option changes what a Collector shows.
type Option func(*Collector)

// WithDetail shows the series of each ring, too: one for each reader and partition.
func WithDetail() Option { return func(c *Collector) { c.detail = true } }

// Collector shows the jobs of a set. Any goroutine may use it.
type Collector struct {
	set    *metrics.Set
	detail bool
	of     map[string]description // by the name of the family
}

// description is a family as client_golang knows it.
type description struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// NewCollector makes a collector of the jobs of a set, also of those that are added later.
func NewCollector(set *metrics.Set, options ...Option) *Collector {
	c := &Collector{set: set, of: map[string]description{}}
	for _, o := range options {
		o(c)
	}
	for _, f := range metrics.Families() {
		kind := prometheus.GaugeValue
		if f.Kind == metrics.Counter {
			kind = prometheus.CounterValue
		}
		c.of[f.Name] = description{prometheus.NewDesc(f.Series(), f.Help, f.Labels, nil), kind}
	}
	return c
}

// Describe describes all families, whether they have series now or not.
func (c *Collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range c.of {
		to <- d.desc
	}
}

// Collect reads the counters.
func (c *Collector) Collect(to chan<- prometheus.Metric) {
	metrics.Visit(c.set.Process(), c.set.Jobs(), c.detail, func(f *metrics.Family, labels []string, value float64) {
		valid := make([]string, len(labels))
		for i, l := range labels { // a label that is no UTF-8 would spoil the whole scrape
			valid[i] = strings.ToValidUTF8(l, "\uFFFD")
		}
		d := c.of[f.Name]
		m, err := prometheus.NewConstMetric(d.desc, d.kind, value, valid...)
		if err != nil {
			m = prometheus.NewInvalidMetric(d.desc, err)
		}
		to <- m
	})
}
