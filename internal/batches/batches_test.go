package batches

import (
	"io"
	"testing"

	"github.com/velo-engine/velo/record"
)

// numbers gives the numbers below most, at most three at a time.
type numbers struct{ next, most int64 }

func (n *numbers) Poll(b *record.Batch) error {
	for range 3 {
		if n.next == n.most {
			return io.EOF
		}
		b.Add(0)
		b.SetInt64(0, n.next)
		n.next++
	}
	return nil
}

// Goal: there are at least as many records as were asked for, in their order, or all.
func TestPrepare(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]int{0: 0, 1: 3, 3: 3, 4: 6, 100: 10} {
		got := 0
		for _, b := range Prepare((&numbers{most: 10}).Poll, schema, n, 4) {
			for _, v := range b.Column(0).Int64s[:b.Len()] {
				if v != int64(got) {
					t.Errorf("record %d is %d", got, v)
				}
				got++
			}
		}
		if got != want {
			t.Errorf("%d records for %d, expected %d", got, n, want)
		}
	}
}
