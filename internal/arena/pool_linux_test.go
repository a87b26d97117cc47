package arena

import (
	"testing"
	"time"
)

// prepared is a region of most bytes whose first n are ready.
func prepared(t *testing.T, budget *Budget, most, n int) *Region {
	t.Helper()
	r := New(budget, most)
	for end := time.Now().Add(time.Minute); !r.Ready(n); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d bytes are not ready after ten seconds", n)
		}
	}
	return r
}

// Goal: a region that was given back is taken by the next for as many bytes, with its pages, and by no other; a budget is charged for what is used of it and not for what is there; new pages are made only when as many have been given
// back; and what nobody takes goes. Method: step by step; the pieces of address space are counted as ever.
func TestPool(t *testing.T) {
	if !canPopulate {
		t.Skip("this kernel does not make pages present when asked")
	}
	makeRoom(1 << 40)
	const most, other = 256 << 20, 128 << 20
	counted := pieces.Load()
	budget := NewBudget(most)
	r := prepared(t, budget, most, 32<<20)
	if err := r.Grow(32 << 20); err != nil {
		t.Fatal(err)
	}
	base := r.Base()
	words(r)[1<<20] = 7
	r.Free()
	if budget.Used() != 0 || pool.bytes != 32<<20 {
		t.Fatalf("the budget has %d bytes, the pool %d", budget.Used(), pool.bytes)
	}

	small := New(budget, other)
	if err := small.begin(1); err != nil || small.Base() == base {
		t.Errorf("%v: a region for fewer bytes got it", err)
	}
	small.Free()

	r = New(budget, most)
	if err := r.begin(1); err != nil {
		t.Fatal(err)
	}
	if r.Base() != base || pool.bytes != 0 || !r.Ready(32<<20) {
		t.Fatalf("not taken: %d bytes in the pool", pool.bytes)
	}
	if r.Len() != 0 || budget.Used() != 0 {
		t.Errorf("%d bytes may be used at once, %d are charged", r.Len(), budget.Used())
	}
	if err := r.Grow(10 << 20); err != nil || budget.Used() != r.Len() || r.Len() != 10<<20 || words(r)[1<<20] != 7 {
		t.Errorf("%v: %d bytes may be used, %d are charged", err, r.Len(), budget.Used())
	}
	if err := r.Grow(40 << 20); err != nil || r.Len() < 40<<20 { // beyond what was there
		t.Errorf("%v: %d bytes", err, r.Len())
	}
	words(r)[5<<20-1] = 1
	r.Free()

	kept := pool.bytes
	if kept < 32<<20 {
		t.Fatalf("%d bytes in the pool", kept)
	}
	fresh := prepared(t, nil, other, 8<<20)
	if pool.bytes != 0 {
		t.Errorf("%d new bytes, and still %d in the pool", 8<<20, pool.bytes)
	}
	fresh.Free()
	if pool.bytes != 8<<20 {
		t.Errorf("%d bytes in the pool", pool.bytes)
	}
	expire()
	if pool.bytes != 8<<20 {
		t.Error("given back at once")
	}
	pool.Lock()
	pool.kept[0].since = time.Now().Add(-keepFor)
	pool.Unlock()
	expire()
	if pool.bytes != 0 || len(pool.kept) != 0 || pool.timer != nil {
		t.Errorf("%d bytes in the pool after %v", pool.bytes, keepFor)
	}
	if n := pieces.Load(); n > counted { // the collector may have found some of other tests
		t.Errorf("%d pieces are counted, expected %d", n, counted)
	}
}
