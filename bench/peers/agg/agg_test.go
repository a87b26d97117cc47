package main

import (
	"testing"

	"github.com/velo-engine/velo/bench"
)

// Goal: every contestant comes to what the reference comes to; a wrong result would be found out.
func TestContestants(t *testing.T) {
	w := bench.Workload{Groups: 100, Prepare: 1 << 14}
	all, err := w.Batches(1)
	if err != nil {
		t.Fatal(err)
	}
	want := reference(all[0])
	if want.Groups != 100 || want.Count != 1<<14 {
		t.Fatalf("the reference is %+v", want)
	}
	for _, c := range contestants() {
		ns, got, err := c.run(all[0])
		if err != nil || got != want || ns <= 0 {
			t.Errorf("%s: %+v, %v, expected %+v", c.name, got, err, want)
		}
	}
	if got := reference(all[0][1:]); got == want {
		t.Error("a batch less comes to the same")
	}
}
