package table

import "github.com/velo-engine/velo/internal/invariants"

// check panics if the state of the table is not one that it can be in, if invariants are on. It is
// called after each addition. TestChecks breaks each formula once.
func (t *Table) check() {
	if !invariants.Enabled {
		return
	}
	holds(t.used <= t.room, "the rows have memory")
	holds(t.room <= t.most, "there is no memory for more rows than there may be")
	holds((t.room+1)*int(t.rowBytes) <= t.rows.Len(), "the rows lie in their region")
	holds(t.base == t.rows.Base(), "rows are looked up in the region that has them")
	holds(t.heap == nil || t.heapUsed <= t.heap.Len(), "the long strings lie in their region")
	holds(t.shed == 0 || t.err != nil, "records that found no room have a reason")
	x := &t.buckets
	if x.count > 0 {
		holds(x.count&(x.count-1) == 0, "the number of buckets is a power of two")
		holds(x.split <= x.count/2, "buckets are split from the last to the first")
		holds(x.split == 0 || x.seen <= t.used, "buckets were split for groups that are there")
		holds(indexBytes(x.count) <= x.region.Len(), "the buckets lie in their region")
	} else {
		slots := len(t.near.slots)
		holds(slots&(slots-1) == 0, "the number of slots is a power of two")
		holds(t.used < slots, "a slot is free, where a search ends")
	}
	if t.used > 0 {
		key, _ := t.Row(t.used - 1)
		holds(t.find(t.keys.HashKey(key), key, t.Heap()) == uint64(t.used), "the index finds the newest row")
	}
}

// holds panics if an invariant does not hold.
func holds(ok bool, formula string) {
	if !ok {
		panic("table: it does not hold that " + formula)
	}
}
