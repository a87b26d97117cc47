package table

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/internal/arena"
	"github.com/velo-engine/velo/record"
)

// Goal: twins are the same table at different times: the live one has all, a frozen one stays what
// it was. Method: four twins of rows of several widths, live in turn, while records come; each is
// compared with a copy of a Go map when it is frozen, when it has caught up and before it follows
// again.
func TestTwins(t *testing.T) { eachVariant(t, testTwins) }

func testTwins(t *testing.T) {
	s, err := record.NewSchema("s", record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "s", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	const twins = 4
	tracked := 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 9))
		column := rng.IntN(2)
		l, err := groupkey.NewLayout(s, []int{column})
		if err != nil {
			t.Fatal(err)
		}
		init := make([]uint64, 1+rng.IntN(12)) // rows of up to 15 words
		budget := arena.NewBudget(64 << 20)
		memory := Memory{Budget: budget, Twins: NewTwins(budget, 3)}
		tables := make([]*Table, twins)
		saw := make([]map[string]uint64, twins) // what a frozen table has
		for i := range tables {
			memory.Extra = i >= 3
			if tables[i], err = New(l, init, memory); err != nil {
				t.Fatal(err)
			}
			saw[i] = map[string]uint64{}
		}
		live, want := 0, map[string]uint64{}
		tables[0].Live()
		domain := 1 << rng.IntN(15)
		scratch := l.NewKeys(512)
		off := make([]uint64, 512)
		b := record.NewBatch(s, 512)
		some := make([]int, 1+rng.IntN(512)) // in some rounds the same few groups are touched
		for i := range some {
			some[i] = rng.IntN(domain)
		}
		check := func(what string, i int) {
			t.Helper()
			if err := sameAs(l, tables[i], saw[i]); err != nil {
				t.Fatalf("seed %d: table %d, %s: %v", seed, i, what, err)
			}
		}
		freeze := func(image int) {
			for i, other := range tables {
				if i != image {
					tables[image].Tell(other)
				}
			}
			tables[image].Freeze()
		}
		for range 60 {
			few := rng.IntN(2) == 0
			for range rng.IntN(20) {
				b.Reset()
				var ids []string
				for range 1 + rng.IntN(512) {
					n := rng.IntN(domain)
					if few {
						n = some[n%len(some)]
					}
					text := fmt.Sprint(n)
					if n%5 == 0 && column == 1 {
						text = strings.Repeat("long", 8) + text
					}
					if !b.Add(len(text)) {
						break
					}
					b.SetInt64(0, int64(n))
					b.SetString(1, text)
					ids = append(ids, text)
				}
				l.Encode(b, 0, b.Len(), scratch)
				rows := tables[live].FindOrCreate(scratch.Hashes, scratch.Words, b.Column(1).Bytes, off)
				for i, id := range ids {
					for w := range init {
						*(*uint64)(unsafe.Add(rows.Base, uintptr(rows.Off[i])+uintptr(8*(l.Words()+w))))++
					}
					want[id]++
				}
			}
			image := live
			saw[image] = maps.Clone(want)
			freeze(image)
			check("frozen", image)
			live = (image + 1 + rng.IntN(twins-1)) % twins
			check("before it follows", live)
			hog := arena.New(budget, 1<<30)
			// Nothing is left but less than a page, and what is too little for a mapping: what the
			// table needs has been charged for.
			if rest := (budget.Limit() - budget.Used()) &^ (os.Getpagesize() - 1); live < 3 && rest > 64<<10 {
				if err := hog.Grow(rest); err != nil {
					t.Fatal(err)
				}
			}
			if err := tables[live].Follow(tables[image]); err != nil {
				t.Fatal(err)
			}
			bytes := 1 << (6 + rng.IntN(14))
			var copied int
			for done := false; !done; {
				var n int
				if n, done, err = tables[live].CatchUp(tables[image], bytes); err != nil {
					t.Fatal(err)
				}
				copied += n
			}
			hog.Free()
			added := tables[live].used - len(saw[live])
			if most := 2*tables[live].used*int(tables[live].rowBytes) + tables[live].indexBytes() +
				tables[live].heapUsed + added*insertCost + 4<<10; copied > most {
				t.Fatalf("seed %d: %d bytes were copied, there are %d", seed, copied, most)
			}
			saw[live] = maps.Clone(want)
			check("caught up", live)
			tables[live].Live()
		}
		// Once all are in step, what is not touched is not copied.
		if rows := tables[live].used * int(tables[live].rowBytes); rows > 2*wholeBytes {
			for round := range 2*twins + 1 {
				image := live
				freeze(image)
				live = (image + 1) % twins
				if err := tables[live].Follow(tables[image]); err != nil {
					t.Fatal(err)
				}
				copied, _, err := tables[live].CatchUp(tables[image], 1<<30)
				if err != nil {
					t.Fatal(err)
				}
				tables[live].Live()
				if round >= 2*twins && copied > 0 {
					t.Fatalf("seed %d: %d of %d bytes were copied though nothing was touched", seed, copied, rows)
				}
			}
			tracked++
		}
	}
	if tracked == 0 {
		t.Error("no table was large enough to note what it is touched in")
	}
}

// sameAs compares a table of counters with a map.
func sameAs(l *groupkey.Layout, tab *Table, want map[string]uint64) error {
	if tab.Len() != len(want) {
		return fmt.Errorf("%d groups, expected %d", tab.Len(), len(want))
	}
	for i := range tab.Len() {
		key, states := tab.Row(i)
		id := ""
		if len(l.Strings()) > 0 {
			id = string(l.AppendString(nil, key, tab.Heap(), 0))
		} else {
			id = fmt.Sprint(int64(key[0]))
		}
		for _, n := range states {
			if n != want[id] {
				return fmt.Errorf("group %q has %d, expected %d", id, n, want[id])
			}
		}
		if found, ok := tab.Get(l.HashKey(key), key, tab.Heap()); !ok || found != i {
			return fmt.Errorf("group %q is at %d, it is found at %d", id, i, found)
		}
	}
	return nil
}

// Goal: a row that is taken back to nothing is noted like one that is touched, so twins get it.
// Method: a table that is too large to be copied whole, and two epochs.
func TestClearIsNoted(t *testing.T) {
	s, err := record.NewSchema("s", record.Field{Name: "i", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	l, err := groupkey.NewLayout(s, []int{0})
	if err != nil {
		t.Fatal(err)
	}
	budget := arena.NewBudget(64 << 20)
	memory := Memory{Budget: budget, Twins: NewTwins(budget, 2)}
	var tables [2]*Table
	for i := range tables {
		if tables[i], err = New(l, []uint64{7}, memory); err != nil {
			t.Fatal(err)
		}
	}
	const groups = 1 << 15
	tables[0].Live()
	b, keys, off := record.NewBatch(s, 512), l.NewKeys(512), make([]uint64, 512)
	for n := 0; n < groups; n += 512 {
		b.Reset()
		for i := range 512 {
			b.Add(0)
			b.SetInt64(0, int64(n+i))
		}
		l.Encode(b, 0, 512, keys)
		tables[0].FindOrCreate(keys.Hashes, keys.Words, nil, off)
	}
	for i := range groups {
		_, states := tables[0].Row(i)
		states[0] = 100
	}
	step := func(from, to *Table) { // an epoch
		t.Helper()
		from.Tell(to)
		from.Freeze()
		if err := to.Follow(from); err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			if _, done, err = to.CatchUp(from, 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		to.Live()
	}
	step(tables[0], tables[1])
	step(tables[1], tables[0]) // both are in step, and what is touched is noted
	if !tables[0].tracks {
		t.Fatal("the table is copied whole: the test shows nothing")
	}
	cleared := []int{0, 1, 100, groups - 1}
	for _, i := range cleared {
		tables[0].Clear(i)
	}
	step(tables[0], tables[1])
	for _, i := range append(cleared, 2, 99, groups-2) {
		want := uint64(100)
		if slices.Contains(cleared, i) {
			want = 7
		}
		if _, states := tables[1].Row(i); states[0] != want {
			t.Errorf("row %d of the twin has %d, expected %d", i, states[0], want)
		}
	}
}
