package testgen

import "testing"

// Goal: -short runs fewer seeds, and never none.
func TestSeeds(t *testing.T) {
	for n, short := range map[int]uint64{0: 0, 1: 1, 5: 2, 16: 2, 1500: 187} {
		want := uint64(n)
		if testing.Short() {
			want = short
		}
		if got := Seeds(n); got != want {
			t.Errorf("%d of %d seeds, expected %d", got, n, want)
		}
	}
}
