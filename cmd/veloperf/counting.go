package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/internal/counters"
)

// counting counts events in measured parts. The zero counting counts nothing.
type counting struct {
	set     *counters.Set
	since   counters.Threads // in the parts since the last result
	elapsed time.Duration    // of these parts
	results []counted        // by the place of the result in a run
	err     error
}

// counted is what was counted for one result over all runs.
type counted struct {
	threads counters.Threads
	elapsed time.Duration
}

// count opens the counters, and says once what the kernel does not give.
func (m *meter) count(messages io.Writer) error {
	set, err := counters.Open()
	if err != nil {
		return err
	}
	if missing := set.Missing(); missing != "" {
		fmt.Fprintf(messages, "not counted, because the kernel does not give it: %s\n", missing)
	}
	m.counting.set, m.counting.since = set, counters.Threads{}
	return nil
}

// begin begins to count a measured part.
func (c *counting) begin() (end func()) {
	if c.set == nil {
		return func() {}
	}
	part, err := c.set.Begin()
	if err != nil {
		c.err = err
		return func() {}
	}
	began := time.Now()
	return func() {
		c.elapsed += time.Since(began)
		threads, err := part.End()
		if err != nil {
			c.err = err
			return
		}
		c.since.Add(threads)
	}
}

// counted gives what was counted since the last result to the result at a place.
func (m *meter) counted(place int) {
	c := &m.counting
	if c.set == nil {
		return
	}
	for len(c.results) <= place {
		c.results = append(c.results, counted{threads: counters.Threads{}})
	}
	c.results[place].threads.Add(c.since)
	c.results[place].elapsed += c.elapsed
	c.since, c.elapsed = counters.Threads{}, 0
}

// countersReport are the counts of one result.
type countersReport struct {
	Records   float64                    `json:"records"` // in the counted parts of all runs
	Totals    counters.Threads           `json:"totals"`
	PerRecord map[string]counters.Counts `json:"per_record"`
	Missing   string                     `json:"missing"`
	Error     string                     `json:"error,omitempty"`
}

// perRecord divides what was counted by the records of that time, which are the rate of the result
// times the time.
func (m *meter) perRecord(place int, fields map[string]any) *countersReport {
	c := &m.counting
	if c.set == nil || place >= len(c.results) {
		return nil
	}
	r := &countersReport{Totals: c.results[place].threads, PerRecord: map[string]counters.Counts{}}
	r.Missing = c.set.Missing()
	if c.err != nil {
		r.Error = c.err.Error()
	}
	number := func(name string) float64 { v, _ := fields[name].(float64); return v }
	rate := number("records_per_second")
	switch {
	case rate > 0:
	case number("rows") > 0 && number("seconds") > 0:
		rate = number("rows") / number("seconds")
	default:
		rate = number("rate")
	}
	r.Records = rate * c.results[place].elapsed.Seconds()
	if r.Records <= 0 {
		return r
	}
	for thread, counts := range r.Totals {
		r.PerRecord[thread] = counters.Counts{}
		for name, n := range counts {
			r.PerRecord[thread][name] = n / r.Records
		}
	}
	return r
}

// print prints the counts of the i-th of n results.
func (r *countersReport) print(w io.Writer, i, n int, set *counters.Set) error {
	if r == nil {
		return nil
	}
	if r.Error != "" {
		fmt.Fprintf(w, "counters are not complete: %s\n", r.Error)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	which := ""
	if n > 1 {
		which = fmt.Sprintf(", line %d", i+1)
	}
	threads := slices.Sorted(maps.Keys(r.Totals))
	fmt.Fprintf(t, "\nfor each record%s\t", which)
	for _, name := range threads {
		fmt.Fprintf(t, "%s\t", name)
	}
	fmt.Fprintln(t)
	for _, event := range set.Given() {
		fmt.Fprintf(t, "%s\t", event)
		for _, name := range threads {
			fmt.Fprintf(t, "%s\t", short(r.PerRecord[name][event]))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
