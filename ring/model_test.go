package ring

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/internal/invariants"
)

// run plays a list of commands on a ring and on its model, in one goroutine, and says where they differ. The model is four numbers:
// what was written and read, and how much of either the other end may know at least and at most.
func run(t *testing.T, slots int, start uint64, commands []byte) {
	p, c := newAt[uint32](slots, start)
	var written, read uint32 // the next value of either end
	// published and freed are what the other end knows for certain; Push and Pop may have told it more.
	var published, freed uint32
	for step, cmd := range commands {
		n := int(cmd>>4) + 1
		fail := func(what string, got, want any) {
			t.Helper()
			t.Fatalf("step %d of %v (%d slots from %d): %s is %v, expected %v", step, commands, slots, start, what, got, want)
		}
		within := func(what string, got int, least, most uint32) {
			t.Helper()
			if got < min(n, int(least)) || got > min(n, int(most)) {
				fail(what, got, []int{min(n, int(least)), min(n, int(most))})
			}
		}
		// What has been read was published, and what was written had room.
		published = max(published, read)
		if written > uint32(slots) {
			freed = max(freed, written-uint32(slots))
		}
		leastFree, mostFree := uint32(slots)-(written-freed), uint32(slots)-(written-read)
		leastReady, mostReady := published-read, written-read
		value := func(v uint32) {
			t.Helper()
			if v != read {
				fail("value", v, read)
			}
			read++
		}
		switch cmd & 7 {
		case 0: // in place; all or half of what there is
			s := p.Reserve(n)
			if len(s) > int(mostFree) || len(s) > n || len(s) == 0 && leastFree > 0 {
				fail("Reserve", len(s), mostFree)
			}
			k := len(s) - int(cmd>>3&1)*len(s)/2
			for i := range k {
				s[i] = written
				written++
			}
			p.Commit(k)
			published = written
		case 1: // copied
			src := make([]uint32, n)
			for i := range src {
				src[i] = written + uint32(i)
			}
			k := p.PushN(src)
			within("PushN", k, leastFree, mostFree)
			if written += uint32(k); k > 0 {
				published = written
			}
		case 2: // one by one
			push, lazy := p.Push, n%2 == 0
			if !lazy {
				push = p.PushRelease
			}
			k := 0
			for k < n && push(written) {
				written++
				k++
			}
			within("Push", k, leastFree, mostFree)
			if k < n || !lazy && k > 0 {
				published = written // it publishes before it says full
			}
		case 3:
			p.Flush()
			published = written
		case 4:
			s := c.Peek(n)
			if len(s) > int(mostReady) || len(s) > n || len(s) == 0 && leastReady > 0 {
				fail("Peek", len(s), mostReady)
			}
			for _, v := range s {
				value(v)
			}
			c.Release(len(s))
			freed = read
		case 5:
			dst := make([]uint32, n)
			k := c.PopN(dst)
			within("PopN", k, leastReady, mostReady)
			for _, v := range dst[:k] {
				value(v)
			}
			if k > 0 {
				freed = read
			}
		case 6:
			k := 0
			for ; k < n; k++ {
				v, ok := c.Pop()
				if !ok {
					freed = read // it frees before it says empty
					break
				}
				value(v)
			}
			within("Pop", k, leastReady, mostReady)
		case 7:
			c.Flush()
			freed = read
		}
		if st := ReadStats(p, c); st.Pushed-start < uint64(published) || st.Pushed-start > uint64(written) || st.Popped-start < uint64(freed) || st.Popped-start > uint64(read) {
			fail("what is published", st, []uint32{published, written, freed, read})
		}
	}
	p.Close()
	for !c.Drained() {
		if v, ok := c.Pop(); ok {
			if v != read {
				t.Fatalf("after %v: value %d, expected %d", commands, v, read)
			}
			read++
		}
	}
	if read != written {
		t.Fatalf("after %v: %d elements, expected %d", commands, read, written)
	}
}

// Goal: a ring does what a slice would, for any list of commands, for tiny rings and where positions wrap.
func FuzzModel(f *testing.F) {
	f.Add(uint8(0), []byte{0, 4, 0x12, 3, 6, 7})
	f.Add(uint8(3), []byte{0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 6, 0x76, 0xf5})
	f.Add(uint8(2), []byte{0xf1, 0x34, 0xf1, 0x45, 0xf8, 0xf4})
	f.Fuzz(func(t *testing.T, size uint8, commands []byte) {
		run(t, 1<<(size%9), 0, commands)
		run(t, 1<<(size%9), math.MaxUint64-5, commands)
	})
}

// Goal: what is misused is caught where it happens. Method: only with invariants, which -race switches on too.
func TestMisuse(t *testing.T) {
	if !invariants.Enabled {
		t.Skip("invariants are off: run with -race or -tags invariants")
	}
	for name, f := range map[string]func(){
		"commit more":   func() { p, _ := New[int](4); p.Reserve(2); p.Commit(3) },
		"commit twice":  func() { p, _ := New[int](4); p.Reserve(2); p.Commit(2); p.Commit(1) },
		"release more":  func() { p, c := New[int](4); p.Push(1); p.Flush(); c.Peek(4); c.Release(2) },
		"release blind": func() { p, c := New[int](4); p.Push(1); p.Flush(); c.Release(1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: nothing was said", name)
				}
			}()
			f()
		}()
	}
}

// Goal: sizes that cannot be are refused with what is expected.
func TestSize(t *testing.T) {
	for _, n := range []int{-1, 0, 3, MaxSlots + 1, 2 * MaxSlots} {
		func() {
			defer func() {
				if s, _ := recover().(string); !strings.Contains(s, "power of two") {
					t.Errorf("%d slots: %q", n, s)
				}
			}()
			New[byte](n)
		}()
	}
}

// Goal: the counters say what happened.
func TestStats(t *testing.T) {
	p, c := New[int](4)
	p.PushN([]int{1, 2, 3, 4, 5})
	p.PushN([]int{5}) // full: a stall
	p.PushN([]int{5}) // still the same one
	got := make([]int, 3)
	c.PopN(got)
	if !slices.Equal(got, []int{1, 2, 3}) {
		t.Fatal(got)
	}
	want := Stats{Slots: 4, Depth: 1, HighWater: 4, Pushed: 4, Popped: 3, FullStalls: 1, EmptyStalls: 0}
	if st := ReadStats(p, c); st != want {
		t.Fatalf("%+v, expected %+v", st, want)
	}
	c.PopN(got)
	c.PopN(got)
	c.PopN(got)
	if st := ReadStats(p, c); st.EmptyStalls != 1 || st.Depth != 0 {
		t.Fatalf("%+v, expected one empty stall", st)
	}
}

// Goal: nothing is allocated once a ring is made.
func TestAllocations(t *testing.T) {
	p, c := New[[8]uint64](64)
	src, dst := make([][8]uint64, 32), make([][8]uint64, 32)
	if n := testing.AllocsPerRun(100, func() {
		p.PushN(src)
		c.PopN(dst)
		p.Commit(len(p.Reserve(3)))
		c.Release(len(c.Peek(3)))
		p.Push(src[0])
		p.Flush()
		c.Pop()
		c.Flush()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
