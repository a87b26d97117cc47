package arena

import (
	"errors"
	"math"
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
		makeRoom(1 << 40) // what was kept of others is not zero
		r := New(budget, 48<<20)
		written := 0
		for range 1 + rng.IntN(10) {
			before, mapped := r.Base(), r.size > 0
			if err := r.Grow(min(48<<20, r.Len()+1+rng.IntN(1<<(4+rng.IntN(20))))); err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS == "linux" && mapped && r.Base() != before {
				t.Fatal("the region has moved")
			}
			if budget.Used() != r.Bytes() || r.Bytes() < r.Len() {
				t.Fatalf("the budget has %d bytes, the region %d, of which %d may be used", budget.Used(), r.Bytes(),
					r.Len())
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
	a := New(budget, 4<<20)
	defer a.Free()
	b := New(budget, 4<<20)
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
		r := New(budget, 1<<20)
		if err := r.Grow(1 << 20); err != nil {
			t.Fatal(err)
		}
	}()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
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
	r := New(nil, 64<<20)
	if err := r.Grow(64 << 20); err != nil {
		t.Fatal(err)
	}
	w := words(r)
	for i := range w[:len(w)/2] {
		w[i] = 42
	}
	r.Ahead(8 << 20)
	want := int64(r.asked)
	if want < 10<<20 || want > 12<<20 {
		t.Fatalf("8 MiB are used and pages up to %d were asked for, expected a huge page or two more", want)
	}
	for end := time.Now().Add(time.Minute); r.ready.Load() < want; {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are present, expected %d", r.ready.Load(), want)
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

// Goal: Ready is false as long as pages are being made ready, and true when they are, when nobody can, and for what is small; and what is ready needs nothing more to grow. Method: the housekeeper is held.
func TestReady(t *testing.T) {
	if !canPopulate {
		t.Skip("this kernel does not make pages present when asked")
	}
	budget := NewBudget(64 << 20)
	r := New(budget, 1<<30)
	defer r.Free()
	if err := r.Grow(1 << 20); err != nil {
		t.Fatal(err)
	}
	words(r)[0] = 7
	makeRoom(1 << 40)
	release := Hold()
	if !r.Ready(hugePage) {
		t.Error("the first pages are not ready")
	}
	for range 2 {
		if r.Ready(16<<20) || r.Waits() != 1 {
			t.Errorf("16 MiB are ready at once, or waited for %d times", r.Waits())
		}
	}
	if budget.Used() != 16<<20 || r.Bytes() != 16<<20 || r.Len() != 1<<20 {
		t.Errorf("the budget has %d bytes, the region %d, of which %d may be used", budget.Used(), r.Bytes(), r.Len())
	}
	if !r.Ready(65 << 20) {
		t.Error("somebody waits for what the budget does not have")
	}
	if err := r.Grow(65 << 20); !errors.Is(err, ErrBudget) {
		t.Errorf("%v, expected ErrBudget", err)
	}
	release()
	for end := time.Now().Add(time.Minute); !r.Ready(16 << 20); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("16 MiB are not ready after a minute")
		}
	}
	if err := r.Grow(3 << 20); err != nil || r.Len() != 4<<20 || budget.Used() != 16<<20 {
		t.Errorf("%v: %d bytes may be used, the budget has %d", err, r.Len(), budget.Used())
	}
	if w := words(r); w[0] != 7 || w[len(w)-1] != 0 {
		t.Error("what was there has changed")
	}
	r.refused.Store(true)
	if !r.Ready(32 << 20) {
		t.Error("somebody waits for what the system does not have")
	}
}

// Goal: a region is given back while its pages are being made ready.
func TestFreedWhilePreparing(t *testing.T) {
	budget := NewBudget(1 << 30)
	for i := range 20 {
		r := New(budget, 1<<30)
		r.Prepare(32 << 20)
		<-time.After(time.Duration(i) * 100 * time.Microsecond)
		r.Free()
	}
	if budget.Used() != 0 {
		t.Errorf("the budget still has %d bytes", budget.Used())
	}
}

// Goal: a region that was made for more than there are addresses gets along with fewer.
func TestFewAddresses(t *testing.T) {
	r := New(nil, math.MaxInt64/2)
	defer r.Free()
	if err := r.Grow(1 << 20); err != nil {
		t.Fatal(err)
	}
	words(r)[1<<17-1] = 7
	if err := r.Grow(math.MaxInt64 / 4); err == nil {
		t.Error("more bytes than there are addresses")
	}
	if words(r)[1<<17-1] != 7 {
		t.Error("what was there is gone")
	}
}
