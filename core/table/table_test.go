package table

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/internal/invariants"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/core/agg"
	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/record"
)

// Goal: a table is a map, for every kind of key: one word, one text, several columns. Method:
// random stripes of keys against a Go map, through several growths, with long strings; then each
// key is looked up.
func TestAgainstMap(t *testing.T) { eachVariant(t, testAgainstMap) }

// eachVariant runs a test with and without assembly.
func eachVariant(t *testing.T, test func(t *testing.T)) {
	t.Run("go", func(t *testing.T) {
		defer func(a, b bool) { have512, haveAVX2 = a, b }(have512, haveAVX2)
		have512, haveAVX2 = false, false
		test(t)
	})
	t.Run("assembly", func(t *testing.T) {
		if !have512 || !haveAVX2 {
			t.Logf("AVX-512 %v, AVX2 %v: what is missing is not tested", have512, haveAVX2)
		}
		test(t)
	})
}

func testAgainstMap(t *testing.T) {
	s, err := record.NewSchema("s", record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "s", Type: record.String}, record.Field{Name: "n", Type: record.Int64, Nullable: true},
		record.Field{Name: "m", Type: record.Int64}, record.Field{Name: "c", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	for name, columns := range map[string][]int{
		"word": {0}, "text": {1}, "several": {0, 1, 2}, "nullable": {2},
		"two": {0, 3}, "three": {0, 3, 3},
		"texts": {4, 1}, "texts and words": {4, 3, 1, 0}, "three texts": {1, 4, 4},
		"text and word": {4, 0}, "texts and word": {4, 4, 0},
	} {
		for seed := range testgen.Seeds(4) {
			rng := rand.New(rand.NewPCG(seed, 5))
			l, err := groupkey.NewLayout(s, columns)
			if err != nil {
				t.Fatal(err)
			}
			tab := newTable(t, l, []uint64{100}) // one state: a counter from 100
			want := map[string]uint64{}
			domain := 10 + rng.IntN(40_000)
			scratch := l.NewKeys(512)
			off := make([]uint64, 512)
			for range 150 {
				b := record.NewBatch(s, 512)
				var ids []string
				for range 1 + rng.IntN(512) {
					n := rng.IntN(domain)
					text := strconv.Itoa(n)
					if n%11 == 0 {
						text = strings.Repeat("long", 10) + text
					}
					if !b.Add(len(text) + len("the same")) {
						break
					}
					b.SetInt64(0, int64(n/3)*1e12)
					b.SetInt64(3, -1) // what differs in other words must not hide behind it
					b.SetString(1, text)
					b.SetString(4, "the same")
					id := map[string]string{
						"word": strconv.Itoa(n / 3), "text": text, "nullable": strconv.Itoa(n),
						"texts": text, "texts and words": text, "three texts": text,
						"text and word": strconv.Itoa(n / 3), "texts and word": strconv.Itoa(n / 3),
						"several": text + "/" + strconv.Itoa(n), "two": strconv.Itoa(n / 3),
						"three": strconv.Itoa(n / 3),
					}[name]
					if b.SetInt64(2, int64(n)); n%7 == 0 {
						b.SetNull(2)
						if name == "nullable" {
							id = "null"
						}
					}
					ids = append(ids, id)
				}
				l.Encode(b, 0, b.Len(), scratch)
				rows := tab.FindOrCreate(scratch.Hashes, scratch.Words, b.Column(1).Bytes, off)
				for i, id := range ids {
					p := (*uint64)(unsafe.Add(rows.Base, uintptr(rows.Off[i])+uintptr(8*l.Words())))
					*p++
					want[id]++
				}
			}
			if tab.Len() != len(want) {
				t.Fatalf("%s, seed %d: %d groups, expected %d", name, seed, tab.Len(), len(want))
			}
			for i := range tab.Len() {
				key, states := tab.Row(i)
				var id string
				text := ""
				null := false
				for c, column := range columns {
					switch column {
					case 0:
						id = strconv.Itoa(int(l.Word(key, c) / 1e12))
					case 1:
						text = string(l.AppendString(nil, key, tab.Heap(), c))
						id = text
					case 2:
						null = l.IsNull(key, c)
						id = strconv.Itoa(int(l.Word(key, c)))
						if null {
							id = "null"
						}
					}
				}
				if name == "two" || name == "three" {
					id = strconv.Itoa(int(l.Word(key, 0) / 1e12))
				}
				if name == "texts and words" {
					id = text
				}
				if name == "several" {
					n := strings.TrimPrefix(text, strings.Repeat("long", 10))
					id = text + "/" + n
					if v, _ := strconv.Atoi(n); null != (v%7 == 0) {
						t.Fatalf("%s: NULL is %v", id, null)
					}
				}
				if states[0] != want[id]+100 {
					t.Fatalf("%s, seed %d: group %q has %d, expected %d", name, seed, id, states[0], want[id]+100)
				}
				if row, ok := tab.Get(l.HashKey(key), key, tab.Heap()); !ok || row != i {
					t.Fatalf("%s: group %q is row %d, found %d, %v", name, id, i, row, ok)
				}
			}
			var none []any
			for _, c := range columns {
				none = append(none, map[int]any{0: -1, 1: "not there", 2: -1, 3: -1, 4: "not there"}[c])
			}
			key, heap, err := l.EncodeValues(none...)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := tab.Get(l.HashKey(key), key, heap); ok {
				t.Fatalf("%s: a group that is not there was found", name)
			}
		}
	}
}

// Goal: a key whose words are all zero is no group before it has come. Method: it is the first that
// an empty table sees, as often as fills vectors.
func TestZeroKey(t *testing.T) {
	s, err := record.NewSchema("s", record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "s", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	for _, vectors := range []bool{false, have512} {
		func() {
			defer func(was bool) { have512 = was }(have512)
			have512 = vectors
			for _, columns := range [][]int{{0}, {1}, {0, 1}} {
				l, err := groupkey.NewLayout(s, columns)
				if err != nil {
					t.Fatal(err)
				}
				b := record.NewBatch(s, 16)
				for range 16 {
					b.Add(0)
				}
				scratch, tab := l.NewKeys(16), newTable(t, l, []uint64{1})
				l.Encode(b, 0, 16, scratch)
				rows := tab.FindOrCreate(scratch.Hashes, scratch.Words, nil, make([]uint64, 16))
				if tab.Len() != 1 {
					t.Fatalf("columns %v, vectors %v: %d groups, expected 1", columns, vectors, tab.Len())
				}
				for _, off := range rows.Off {
					if tab.RowAt(off) != 0 {
						t.Fatalf("row %d, expected 0", tab.RowAt(off))
					}
				}
			}
		}()
	}
}

// Goal: finding and updating rows in one go does what finding them and updating them do. Method:
// two tables, the same stripes of keys of a small table, of a large one, and of more than there is
// room for; all rows are compared, which are in the same order.
func TestFindAndUpdate(t *testing.T) { eachVariant(t, testFindAndUpdate) }

func testFindAndUpdate(t *testing.T) {
	var placed []agg.Placed
	var init []uint64
	for _, kind := range []agg.Kind{agg.Count, agg.Sum, agg.Min, agg.Max} {
		p := agg.Placed{Arg: 0, By: -1, Word: len(init)}
		args := []agg.Arg{{Type: record.Int64}}
		if kind == agg.Count {
			p.Arg, args = -1, nil
		}
		var err error
		if p.Func, err = agg.Bind(kind, args...); err != nil {
			t.Fatal(err)
		}
		placed = append(placed, p)
		init = append(init, make([]uint64, p.Func.Words())...)
		p.Func.Init(init[p.Word:])
	}
	fused, _ := agg.Fuse(placed)
	loop := &fused[0]
	loop.Bind(1, RowWords(1+len(init)))
	if !loop.Finds(&agg.Pace{}) {
		t.Skip("no assembly here that does both")
	}
	for _, groups := range []int64{1, 100, 3000, 50_000} {
		for _, most := range []int{0, 1000} {
			k := newKeysTable(t, Memory{})
			var tables [2]*Table
			for i := range tables {
				var err error
				if tables[i], err = New(k.layout, init, Memory{Groups: most}); err != nil {
					t.Fatal(err)
				}
				defer tables[i].Free()
			}
			rng := rand.New(rand.NewPCG(uint64(groups), uint64(most)))
			values := make([]uint64, 512)
			var paces [2]agg.Pace
			both := 0
			for range 300 {
				b := record.NewBatch(k.schema, 512)
				for i := range 1 + rng.IntN(512) {
					b.Add(0)
					b.SetInt64(0, rng.Int64N(groups)-groups/2)
					values[i] = uint64(rng.Int64N(1e12) - 1e11)
				}
				n := b.Len()
				k.layout.Encode(b, 0, n, k.scratch)
				if loop.Finds(&paces[0]) {
					tables[0].FindAndUpdate(k.scratch.Hashes, k.scratch.Words, k.off,
						Update{Loop: loop, States: 8, Values: values[:n], Pace: &paces[0]})
					both++
				} else {
					loop.Update(tables[0].FindOrCreate(k.scratch.Hashes, k.scratch.Words, nil, k.off), 8, values[:n],
						&paces[0])
				}
				rows := tables[1].FindOrCreate(k.scratch.Hashes, k.scratch.Words, nil, k.off)
				for _, p := range placed {
					p.Func.Update(rows, uintptr(8+8*p.Word), agg.Args{Words: values[:n]})
				}
			}
			if both == 0 {
				t.Fatal("nothing was found and updated in one go")
			}
			if a, b := tables[0].Len(), tables[1].Len(); a != b {
				t.Fatalf("%d groups of %d: %d, and %d", groups, most, a, b)
			}
			for i := range tables[0].Len() {
				key, states := tables[0].Row(i)
				wantKey, want := tables[1].Row(i)
				if !slices.Equal(key, wantKey) || !slices.Equal(states, want) {
					t.Fatalf("%d groups of %d: row %d is %d %d, expected %d %d", groups, most, i, key, states, wantKey,
						want)
				}
			}
			if a, err := tables[0].Shed(); err == nil != (most == 0 || groups <= 1000) {
				t.Fatalf("%d records shed: %v", a, err)
			} else if b, _ := tables[1].Shed(); a != b {
				t.Fatalf("%d records shed, expected %d", a, b)
			}
		}
	}
}

// Goal: groups that are there are found without allocating.
func TestAllocations(t *testing.T) {
	s, _ := record.NewSchema("s", record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "s", Type: record.String})
	for _, columns := range [][]int{{0}, {1}, {0, 1}} {
		l, err := groupkey.NewLayout(s, columns)
		if err != nil {
			t.Fatal(err)
		}
		b := record.NewBatch(s, 512)
		for i := range 500 {
			b.Add(4)
			b.SetInt64(0, int64(i))
			b.SetString(1, strconv.Itoa(i))
		}
		scratch, off, tab := l.NewKeys(512), make([]uint64, 512), newTable(t, l, nil)
		once := func() {
			l.Encode(b, 0, b.Len(), scratch)
			tab.FindOrCreate(scratch.Hashes, scratch.Words, b.Column(1).Bytes, off)
		}
		once()
		if n := testing.AllocsPerRun(10, once); n != 0 {
			t.Errorf("columns %v: %v allocations for 500 records", columns, n)
		}
	}
}

// newTable is New where there is memory.
func newTable(t testing.TB, l *groupkey.Layout, init []uint64) *Table {
	t.Helper()
	tab, err := New(l, init, Memory{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tab.Free)
	return tab
}

// keysTable is a table of bigint keys and a counter, and what it takes to fill it.
type keysTable struct {
	*Table
	t       testing.TB
	schema  *record.Schema
	layout  *groupkey.Layout
	scratch *groupkey.Keys
	off     []uint64
	want    map[int64]uint64
}

func newKeysTable(t testing.TB, memory Memory) *keysTable {
	t.Helper()
	s, err := record.NewSchema("s", record.Field{Name: "i", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	l, err := groupkey.NewLayout(s, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	tab, err := New(l, []uint64{0}, memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tab.Free)
	return &keysTable{tab, t, s, l, l.NewKeys(512), make([]uint64, 512), map[int64]uint64{}}
}

// add counts keys, up to 512. Those that find no room are not in want.
func (k *keysTable) add(keys []int64) {
	b := record.NewBatch(k.schema, len(keys))
	for _, key := range keys {
		b.Add(0)
		b.SetInt64(0, key)
	}
	k.layout.Encode(b, 0, b.Len(), k.scratch)
	rows := k.FindOrCreate(k.scratch.Hashes, k.scratch.Words, nil, k.off)
	for i, key := range keys {
		*(*uint64)(unsafe.Add(rows.Base, uintptr(rows.Off[i])+8))++
		if k.RowAt(rows.Off[i]) >= 0 {
			k.want[key]++
		}
	}
}

// check compares the table with want.
func (k *keysTable) check() {
	k.t.Helper()
	if k.Len() != len(k.want) {
		k.t.Fatalf("%d groups, expected %d", k.Len(), len(k.want))
	}
	for i := range k.Len() {
		key, states := k.Row(i)
		if states[0] != k.want[int64(key[0])] {
			k.t.Fatalf("key %d has %d, expected %d", int64(key[0]), states[0], k.want[int64(key[0])])
		}
		if row, ok := k.Get(k.layout.HashKey(key), key, nil); !ok || row != i {
			k.t.Fatalf("key %d is row %d, found %d, %v", int64(key[0]), i, row, ok)
		}
	}
}

// Goal: buckets that overflow are found and split right, the last ones and the first ones among
// them. Method: hundreds of keys whose homes are the same few buckets, among others, a few at a
// time, while the table doubles.
func TestOverflow(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		k := newKeysTable(t, Memory{})
		const first = firstBuckets
		// runs across the places where splitting stops
		crowded := func(b uint64) bool { return b%64 >= 62 || b > first-4 }
		var crowd, others []int64
		for key := int64(0); len(crowd) < 900 || len(others) < 30_000; key++ {
			h := k.layout.HashKey([]uint64{uint64(key)})
			if b := h << shardBits >> shiftFor(first); crowded(b) && len(crowd) < 900 {
				crowd = append(crowd, key)
			} else if !crowded(b) && len(others) < 30_000 {
				others = append(others, key)
			}
		}
		rng := rand.New(rand.NewPCG(1, 1))
		full := 0
		for from := 0; from < 2*len(others); from += 12 {
			if from == len(others) { // again, over what the first time has left behind
				k.check()
				k.Reset()
				clear(k.want)
			}
			from := from % len(others)
			keys := others[from : from+12]
			for range 24 {
				keys = append(keys[:len(keys):len(keys)], crowd[rng.IntN(min(len(crowd), 10+from))])
			}
			k.add(keys)
			if from%6000 != 0 {
				continue
			}
			k.check()
			for b := range k.buckets.count + spareBuckets {
				if k.buckets.count > 0 && k.buckets.at(b).isFull() {
					full++
				}
			}
		}
		k.check()
		if full == 0 || k.buckets.count <= first {
			t.Fatalf("%d full buckets, %d buckets: nothing was tested", full, k.buckets.count)
		}
	})
}

// Goal: buckets know the turns of their rows at the next doublings. Method: after each addition to
// a growing table, the turns beside those that the hashes of the keys say. In buckets that have not
// been split, nobody asks for them if the next doubling computes hashes.
func TestTurns(t *testing.T) {
	k := newKeysTable(t, Memory{})
	doublings := map[uint]bool{}
	for from := int64(0); from < 50_000; from += 509 {
		var keys []int64
		for key := range int64(509) {
			keys = append(keys, from+key)
		}
		k.add(keys)
		x := &k.buckets
		if x.count == 0 {
			continue
		}
		doublings[x.used] = doublings[x.used] || x.split > 0
		for b := range x.count {
			if x.split > 0 && b >= x.count/2+spareBuckets && b < 2*x.split {
				continue // nothing has been written there yet
			}
			bk := x.at(b)
			for j := range bk.len() {
				hash := k.layout.HashKey(k.row(uint64(bk.rows[j])))
				if x.used == 0 && hash<<shardBits>>x.shift>>1 < x.split {
					continue
				}
				got := bk.turns >> (turnBits * j) & (1<<turnBits - 1)
				if got != x.turnsOf(hash) || bk.tags[j] != tagOf(hash) {
					t.Fatalf("%d buckets, split %d: place %d of bucket %d has the turns %b and tag %x, want %b and %x",
						x.count, x.split, j, b, got, bk.tags[j], x.turnsOf(hash), tagOf(hash))
				}
			}
		}
	}
	if !doublings[0] || !doublings[1] || !doublings[2] {
		t.Fatalf("seen in the middle of doublings: %v", doublings)
	}
}

// Goal: the tags of a bucket that are equal to another are found. Method: the same as a loop over
// random buckets, whose tags differ in one bit.
func TestMatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		var b bucket
		tag := tagOf(rng.Uint64())
		n := rng.IntN(bucketRows + 1)
		var want []int
		for j := range n {
			b.set(j, tag^uint16(rng.IntN(2)<<(1+rng.IntN(15))), rng.Uint32N(1<<turnBits), rng.Uint32())
			if b.tags[j] == tag {
				want = append(want, j)
			}
		}
		var got []int
		for m := b.matches(tag); m != 0; m &= m - 1 {
			got = append(got, firstMatch(m))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || b.len() != n {
			t.Fatalf("tag %x of %x: found at %d, expected %d; %d rows, expected %d", tag, b.tags, got, want, b.len(), n)
		}
	}
}

// Goal: a table that was reset is as good as new. Method: it is filled to different sizes again and
// again.
func TestReset(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		k := newKeysTable(t, Memory{})
		rng := rand.New(rand.NewPCG(1, 1))
		for _, groups := range []int{30_000, 100, 5000, 60_000, 7000} {
			for range 2 * groups / 512 {
				keys := make([]int64, 512)
				for i := range keys {
					keys[i] = rng.Int64N(int64(groups))
				}
				k.add(keys)
			}
			k.check()
			k.Reset()
			clear(k.want)
			if k.Len() != 0 {
				t.Fatal("there are groups after Reset")
			}
		}
	})
}

// Goal: a table that may take no more goes on with the groups that it has, and counts the records
// of others. Method: a bound on the groups, and budgets of several sizes; every record is in a
// group or shed.
func TestShed(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		memories := []Memory{{Groups: 100}, {Groups: 5000}}
		step := 100
		if testing.Short() || invariants.Enabled {
			step = 900
		}
		// so that sometimes the rows are what cannot grow, sometimes the index
		for kib := 200; kib < 5000; kib += step {
			memories = append(memories, Memory{Budget: arena.NewBudget(kib << 10)})
		}
		for _, memory := range memories {
			k := newKeysTable(t, memory)
			rng := rand.New(rand.NewPCG(1, 1))
			records := uint64(0)
			for more := 0; more < 60; { // rounds after the first in which records were shed
				if shed, _ := k.Shed(); shed > 0 {
					more++
				}
				keys := make([]int64, 512)
				for i := range keys {
					keys[i] = rng.Int64N(1_000_000)
				}
				k.add(keys)
				records += 512
			}
			k.check()
			shed, err := k.Shed()
			for _, n := range k.want {
				records -= n
			}
			if shed == 0 || shed != records || err == nil {
				t.Fatalf("%d shed, %d records are in no group: %v", shed, records, err)
			}
			if memory.Groups > 0 && k.Len() != memory.Groups {
				t.Fatalf("%d groups, expected %d", k.Len(), memory.Groups)
			}
			first, why := k.TakeShed()
			if again, _ := k.TakeShed(); first != shed || why == nil || again != 0 {
				t.Fatalf("%d and then %d are taken, expected %d once", first, again, shed)
			}
			if b := memory.Budget; b != nil && (b.Used() > b.Limit() || k.Len()*16 < b.Limit()/4) {
				t.Fatalf("%d groups in %d bytes of %d", k.Len(), b.Used(), b.Limit())
			}
		}
	})
}
