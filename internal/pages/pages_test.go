package pages

import "testing"

// Goal: blocks of every size are there and zero.
func TestMake(t *testing.T) {
	for _, n := range []int{0, 1, 1000, hugePage / 8, hugePage/8 + 1, 3*hugePage/8 + 77, 4 * hugePage / 8} {
		words := Make(n)
		if len(words) != n {
			t.Fatalf("%d words, expected %d", len(words), n)
		}
		for i := range words {
			if words[i] != 0 {
				t.Fatalf("word %d of %d is %d", i, n, words[i])
			}
			words[i] = ^uint64(0)
		}
	}
}
