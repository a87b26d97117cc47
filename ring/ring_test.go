package ring

import (
	"math"
	"runtime"
	"testing"
)

// Goal: every element arrives once and in order, whatever mix of calls either end uses, for tiny rings and for positions
// about to wrap. Method: a counting producer and a checking consumer on two goroutines.
func TestInOrder(t *testing.T) {
	const n = 50_000
	for _, slots := range []int{1, 2, 8, 128} {
		for _, start := range []uint64{0, math.MaxUint64 - 1000} {
			p, c := newAt[[3]uint64](slots, start)
			go func() {
				defer p.Close()
				var batch [7][3]uint64
				for i := uint64(0); i < n; {
					before := i
					switch i % 3 {
					case 0:
						s := p.Reserve(5)
						k := 0
						for ; k < len(s) && i < n; k++ {
							s[k] = [3]uint64{i, i, i}
							i++
						}
						p.Commit(k)
					case 1:
						k := min(uint64(len(batch)), n-i)
						for j := range batch[:k] {
							v := i + uint64(j)
							batch[j] = [3]uint64{v, v, v}
						}
						i += uint64(p.PushN(batch[:k]))
					default:
						if p.Push([3]uint64{i, i, i}) {
							i++
						}
					}
					if i == before {
						runtime.Gosched()
					}
				}
			}()
			next := uint64(0)
			check := func(v [3]uint64) {
				if v != [3]uint64{next, next, next} {
					t.Fatalf("slots %d, start %d: got %v, expected %d three times", slots, start, v, next)
				}
				next++
			}
			var batch [5][3]uint64
			for !c.Drained() {
				before := next
				switch next % 3 {
				case 0:
					s := c.Peek(3)
					for _, v := range s {
						check(v)
					}
					c.Release(len(s))
				case 1:
					for _, v := range batch[:c.PopN(batch[:])] {
						check(v)
					}
				default:
					if v, ok := c.Pop(); ok {
						check(v)
					}
				}
				if next == before {
					runtime.Gosched()
				}
			}
			if next != n {
				t.Fatalf("slots %d, start %d: %d elements, expected %d", slots, start, next, n)
			}
		}
	}
}

// Goal: Empty looks where the consumer is now, whatever the producer has seen before; what Push holds back does not count, for nobody has seen it. Method: each step by hand.
func TestEmptyLooksAnew(t *testing.T) {
	p, c := New[int](8)
	steps := []struct {
		name string
		do   func()
		want bool
	}{
		{"new", func() {}, true},
		{"pushed", func() { p.PushN([]int{1, 2}) }, false},
		{"one is read", func() { c.PopN(make([]int, 1)) }, false},
		{"all are read", func() { c.PopN(make([]int, 1)) }, true},
		{"read and not released", func() { p.PushN([]int{3}); c.Peek(1) }, false},
		{"released", func() { c.Release(1) }, true},
		{"held back", func() { p.Push(4) }, true},
		{"flushed", func() { p.Flush() }, false},
		{"read to the end", func() { c.PopN(make([]int, 8)) }, true},
	}
	for _, s := range steps {
		if s.do(); p.Empty() != s.want {
			t.Errorf("%s: Empty is %v, expected %v", s.name, p.Empty(), s.want)
		}
	}
}

// Goal: what is committed, and what was pushed before Close, is there at once, and is drained when it has been read and not before. Method: each step by hand.
func TestCommittedIsThere(t *testing.T) {
	p, c := New[int](4)
	for i := range 10 {
		p.Reserve(1)[0] = i
		p.Commit(1)
		if s := c.Peek(4); len(s) != 1 || s[0] != i {
			t.Fatalf("element %d: %v is there", i, s)
		}
		c.Release(1)
	}
	p.Push(10)
	p.Push(11)
	p.Close()
	var got []int
	for !c.Drained() {
		v, ok := c.Pop()
		if !ok {
			t.Fatal("the ring is empty and not drained")
		}
		got = append(got, v)
	}
	if len(got) != 2 || got[0] != 10 || got[1] != 11 {
		t.Errorf("%v, expected 10 and 11: both were pushed before Close", got)
	}
}
