package arena

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// mappings is how many pieces the kernel says that this process has.
func mappings(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Skipf("the kernel does not say: %v", err)
	}
	return bytes.Count(text, []byte("\n"))
}

// Goal: regions are refused, with an error that says why, before the kernel has no more pieces of address space for the Go runtime; what they are counted as is about what the kernel has them in; and when they
// are freed there is room again. Method: as many regions as there can be that are just too large for the Go heap.
func TestPieces(t *testing.T) {
	if maxPieces > 1<<18 {
		t.Skipf("this system allows %d pieces", maxPieces)
	}
	before, counted := mappings(t), pieces.Load()
	var all []*Region
	for {
		r := New(nil, 1<<20)
		all = append(all, r)
		if err := r.Grow(smallMost + 1); err != nil {
			if !strings.Contains(err.Error(), "vm.max_map_count") {
				t.Fatal(err)
			}
			break
		}
	}
	have, of := mappings(t)-before, int(pieces.Load()-counted)
	if have > of+100 || of > 2*have {
		t.Errorf("%d regions are counted as %d pieces, the kernel has them in %d", len(all), of, have)
	}
	for _, r := range all {
		r.Free()
	}
	if n := pieces.Load(); n > counted {
		t.Errorf("%d pieces are counted when all are free, there were %d", n, counted)
	}
	large := New(nil, 64<<20)
	before = mappings(t)
	for n := 1 << 20; n <= 64<<20; n *= 2 {
		if err := large.Grow(n); err != nil {
			t.Fatal(err)
		}
	}
	if more := mappings(t) - before; more > largePieces-1 {
		t.Errorf("a large region takes %d pieces more, counted as %d", more, largePieces)
	}
	large.Free()
}

// Goal: regions that nobody has are found in time, though they are nothing to the collector. Method: more than there can be, each left alone; the collector does not run for another reason.
func TestPiecesCollected(t *testing.T) {
	var worst int64
	for range 4 * maxPieces / smallPieces {
		for try := 0; ; try++ {
			err := New(nil, 1<<20).Grow(smallMost + 1)
			if err == nil {
				break
			}
			// On a machine that is busy the collector may take longer than this loop.
			if try == 10_000 {
				t.Fatal(err)
			}
			<-time.After(time.Millisecond)
		}
		worst = max(worst, pieces.Load())
	}
	runtime.GC()
	t.Logf("at most %d pieces at once, %d may be", worst, maxPieces)
}
