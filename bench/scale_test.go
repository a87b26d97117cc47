package bench

import "testing"

// Goal: the points of Scale read the same number of bytes, whatever the number of readers, and no
// reader is without a batch. Method: the records that Batches makes are counted.
func TestDealt(t *testing.T) {
	w := Workload{Groups: 10, Prepare: 1 << 16}
	for _, n := range []int{1, 2, 8, 64} {
		all, err := w.dealt(n).Batches(n)
		if err != nil {
			t.Fatal(err)
		}
		total := uint64(0)
		for r, of := range all {
			if len(of) == 0 {
				t.Errorf("%d readers: reader %d has no batch", n, r)
			}
			total += rowsOfBatches(of)
		}
		want := uint64(max(w.Prepare, n*w.batchRows()))
		if total != want {
			t.Errorf("%d readers have %d records, expected %d", n, total, want)
		}
	}
	if got := (Workload{Groups: 10}).dealt(4).Prepare; got != 0 {
		t.Errorf("a generator prepares %d records after dealing", got)
	}
}
