package arena

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
	"unsafe"
)

func words(r *Region) []uint64 { return unsafe.Slice((*uint64)(r.Base()), r.Len()/8) }

// Goal: a region keeps what is in it while it grows, what comes is zero, and the budget has exactly what the regions hold. Method: random
// steps on several regions, each word with its own number.
func TestRegion(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	budget := NewBudget(64 << 20)
	for range 20 {
		r, err := New(budget, 48<<20)
		if err != nil {
			t.Fatal(err)
		}
		written := 0
		for range 1 + rng.IntN(10) {
			before := r.Base()
			if err := r.Grow(min(48<<20, r.Len()+1+rng.IntN(1<<(10+rng.IntN(14))))); err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS == "linux" && r.Base() != before {
				t.Fatal("the region has moved")
			}
			if budget.Used() != r.Len() {
				t.Fatalf("the budget has %d bytes, the region %d", budget.Used(), r.Len())
			}
			w := words(r)
			for i := range w {
				if i < written && w[i] != uint64(i)+1 || i >= written && w[i] != 0 {
					t.Fatalf("word %d of %d is %d", i, written, w[i])
				}
				w[i] = uint64(i) + 1
			}
			written = len(w)
			r.Ahead(rng.IntN(r.Len()))
		}
		r.Free()
		r.Free() // does nothing
		if budget.Used() != 0 {
			t.Fatalf("the budget has %d bytes after Free", budget.Used())
		}
	}
}

// Goal: what cannot be had is refused, and nothing is lost by it.
func TestRefused(t *testing.T) {
	budget := NewBudget(1 << 20)
	a, err := New(budget, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Free()
	b, err := New(budget, 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Free()
	if err := a.Grow(900 << 10); err != nil {
		t.Fatal(err)
	}
	words(a)[0] = 7
	if err := b.Grow(200 << 10); !errors.Is(err, ErrBudget) || b.Len() != 0 {
		t.Fatalf("%v, %d bytes: expected ErrBudget", err, b.Len())
	}
	if err := b.Grow(10 << 10); err != nil { // what is left, without anything to spare
		t.Fatal(err)
	}
	if err := a.Grow(5 << 20); err == nil || errors.Is(err, ErrBudget) {
		t.Fatalf("%v: expected that the region is too small", err)
	}
	if words(a)[0] != 7 || budget.Used() != a.Len()+b.Len() {
		t.Fatalf("%d in the budget, %d and %d in the regions", budget.Used(), a.Len(), b.Len())
	}
}

// Goal: a region that nobody has is freed by the collector.
func TestCollected(t *testing.T) {
	budget := NewBudget(1 << 20)
	func() {
		r, err := New(budget, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Grow(1 << 20); err != nil {
			t.Fatal(err)
		}
	}()
	for range 100 {
		runtime.GC()
		if budget.Used() == 0 {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Errorf("the budget still has %d bytes", budget.Used())
}

// Goal: pages are made present ahead, and are what they were.
func TestAhead(t *testing.T) {
	if !canPopulate {
		t.Skip("this kernel does not make pages present when asked")
	}
	r, err := New(nil, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Grow(64 << 20); err != nil {
		t.Fatal(err)
	}
	w := words(r)
	for i := range w[:len(w)/2] {
		w[i] = 42
	}
	r.Ahead(8 << 20)
	want := int64(r.asked)
	if want < 16<<20 {
		t.Fatalf("pages up to %d were asked for", want)
	}
	for end := time.Now().Add(10 * time.Second); r.present.Load() < want; {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are present, expected %d", r.present.Load(), want)
		}
		<-time.After(time.Millisecond)
	}
	for i := range w {
		if i < len(w)/2 && w[i] != 42 || i >= len(w)/2 && w[i] != 0 {
			t.Fatalf("word %d is %d", i, w[i])
		}
	}
	r.Free()
}
