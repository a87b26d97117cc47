package lookup

import (
	"sync/atomic"
	"time"
)

// MaxSamples bounds the keys that were not found and are kept as samples, for each version.
const MaxSamples = 8

// Stats are what is known of a table.
type Stats struct {
	Table string
	// Version is the number of the newest version, Rows how many rows it has, and Bytes its memory.
	Version uint64
	Rows    int
	Bytes   int
	// Loaded is when it was loaded, and Took how long that took.
	Loaded time.Time
	Took   time.Duration
	// Stale says that MaxStale has passed since then.
	Stale bool
	// Failures is the number of loads that have failed, and LastError why the last one did; nil if
	// the last load succeeded.
	Failures  uint64
	LastError error
	// Lookups is the number of keys that were looked up, without those that have a NULL, and Misses
	// how many of them were not found. Readers that look up the same keys for several plans count
	// once for each.
	Lookups, Misses uint64
	// Samples are some of the keys that the newest version does not have, as SQL would write them.
	Samples []string
}

// Stats returns what is known of the table.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Stats{
		Table: t.Name(), Loaded: t.loaded, Took: t.took, Stale: t.stale, Failures: t.failures, LastError: t.lastErr,
		Lookups: t.counters.lookups.Load(), Misses: t.counters.misses.Load(),
	}
	if v := t.Current(); v != nil {
		s.Version, s.Rows, s.Bytes = v.Number(), v.Len(), v.Bytes()
	}
	for i := range t.counters.samples {
		if p := t.counters.samples[i].Load(); p != nil {
			s.Samples = append(s.Samples, *p)
		}
	}
	return s
}

// counters are what probes of all threads count.
type counters struct {
	// Statistics: each is right by itself, and nothing is published by it.
	lookups, misses atomic.Uint64
	// sampled is the number of samples that were taken, or more. Statistic.
	sampled atomic.Uint32
	// samples are stored by the probe that took them, and never change. Statistic.
	samples [MaxSamples]atomic.Pointer[string]
}

// looked counts the lookups of a stripe.
func (c *counters) looked(lookups, misses int) {
	c.lookups.Add(uint64(lookups))
	if misses > 0 {
		c.misses.Add(uint64(misses))
	}
}

// sampling says whether another sample is wanted.
func (c *counters) sampling() bool { return c.sampled.Load() < MaxSamples }

// sample keeps a key that was not found.
func (c *counters) sample(key string) {
	if i := c.sampled.Add(1) - 1; i < MaxSamples {
		c.samples[i].Store(&key)
	}
}

// newVersion drops the samples: the new version may have those keys.
func (c *counters) newVersion() {
	for i := range c.samples {
		c.samples[i].Store(nil)
	}
	c.sampled.Store(0)
}
