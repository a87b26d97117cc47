package main

import (
	"testing"
	"time"

	"github.com/velo-engine/velo/bench"
)

// Goal: every contestant comes to the groups of the reference, over 2,000 records; a wrong result would be found out.
func TestContestants(t *testing.T) {
	in, err := newInput(bench.Workload{Groups: 100, Prepare: 2000, BatchRows: 250})
	if err != nil {
		t.Fatal(err)
	}
	if len(in.events) != 2000 {
		t.Fatalf("%d records", len(in.events))
	}
	for _, c := range contestants() {
		o, err := c.run(in, 10*time.Millisecond)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if err := o.check(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(o.groups) != 100 || o.timed == 0 || o.elapsed <= 0 {
			t.Errorf("%s: %d groups, %d records in %v", c.name, len(o.groups), o.timed, o.elapsed)
		}
		o.fed[0].n++
		if o.check() == nil {
			t.Errorf("%s: a record too few is not found out", c.name)
		}
		o.fed[0].n--
		for key, s := range o.groups {
			s.Max--
			o.groups[key] = s
			break
		}
		if o.check() == nil {
			t.Errorf("%s: a maximum too small is not found out", c.name)
		}
	}
}
