package table

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/internal/invariants"
)

// Goal: each formula of check.go is there for something. Method: a table is broken as a bug would
// break it, and the formula that the bug violates is the one that says so. A formula that no case
// breaks fails the test.
func TestChecks(t *testing.T) {
	if !invariants.Enabled {
		t.Skip("the checks are on with -tags invariants or -race")
	}
	broken := map[string]bool{}
	for _, c := range []struct {
		formula string
		groups  int
		bug     func(x *Table)
	}{
		{"the rows have memory", 10, func(x *Table) { x.used = x.room + 1 }},
		{"there is no memory for more rows than there may be", 10, func(x *Table) { x.most = x.room - 1 }},
		{"the rows lie in their region", 10, func(x *Table) { x.rowBytes *= 8 }},
		{"rows are looked up in the region that has them", 10, func(x *Table) { x.base = nil }},
		{"the long strings lie in their region", 10, func(x *Table) {
			x.heap, x.heapUsed = arena.New(nil, 1<<20), 1
		}},
		{"records that found no room have a reason", 10, func(x *Table) { x.shed = 1 }},
		{"the number of slots is a power of two", 10, func(x *Table) { x.near.slots = x.near.slots[:48] }},
		{"a slot is free, where a search ends", 10, func(x *Table) { x.near.slots = x.near.slots[:8] }},
		{"the index finds the newest row", 10, func(x *Table) { clear(x.near.slots) }},
		{"the number of buckets is a power of two", 100_000, func(x *Table) { x.buckets.count++ }},
		{"buckets are split from the last to the first", 100_000, func(x *Table) { x.buckets.split = x.buckets.count }},
		{"buckets were split for groups that are there", 100_000, func(x *Table) {
			x.buckets.split, x.buckets.seen = 1, x.used+1
		}},
		{"the buckets lie in their region", 100_000, func(x *Table) { x.buckets.count <<= 20 }},
	} {
		t.Run(c.formula, func(t *testing.T) {
			x := newKeysTable(t, Memory{})
			for from := 0; from < c.groups; from += 500 {
				var keys []int64
				for i := from; i < min(from+500, c.groups); i++ {
					keys = append(keys, int64(i))
				}
				x.add(keys)
			}
			defer func(saved Table) { *x.Table = saved }(*x.Table) // the clean-up frees what was there
			c.bug(x.Table)
			var got string
			func() {
				defer func() { got, _ = recover().(string) }()
				x.Table.check()
			}()
			if !strings.HasSuffix(got, "it does not hold that "+c.formula) {
				t.Errorf("the check says %q", got)
			}
		})
		broken[c.formula] = true
	}
	text, err := os.ReadFile("check.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range regexp.MustCompile(`holds\(.*"([^"]*)"\)`).FindAllStringSubmatch(string(text), -1) {
		if !broken[f[1]] {
			t.Errorf("no case breaks %q", f[1])
		}
	}
}
