package engine

import (
	"errors"
	"testing"

	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/state"
)

// boxWith is an outbox with a row for each of some epochs.
func boxWith(t *testing.T, epochs ...uint64) *outbox {
	t.Helper()
	schema, err := record.NewSchema("rows", record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	x := &outbox{schema: schema, most: 1 << 20, changed: make(chan struct{}, 1)}
	b := record.NewBatch(schema, 1)
	b.Add(0)
	b.SetLen(1)
	for _, epoch := range epochs {
		x.put(epoch, b)
	}
	return x
}

// Goal: a generation gets the rows up to its cut, and no later ones, which stay for the next.
func TestOutboxUpTo(t *testing.T) {
	x := boxWith(t, 1, 2, 2, 3)
	all := x.bytes
	if parcels, rows := x.upTo(2); len(parcels) != 3 || rows != 3 {
		t.Errorf("%d parcels of %d rows, expected 3 of 3", len(parcels), rows)
	}
	x.forget(2)
	if parcels, rows := x.upTo(9); len(parcels) != 1 || rows != 1 || x.bytes != all/4 {
		t.Errorf("%d parcels of %d rows and %d bytes are left, expected 1 of 1 and %d", len(parcels), rows, x.bytes, all/4)
	}
}

// Goal: no generation is made after one whose rows the writer has not taken: it would not have them.
func TestOutboxAfterFailure(t *testing.T) {
	x := boxWith(t, 1)
	x.failed = errors.New("the writer is gone")
	if _, err := x.save(nil, &state.Plan{}, 1, false); !errors.Is(err, x.failed) {
		t.Errorf("%v, expected %v", err, x.failed)
	}
}
