package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo/record"
)

// Goal: a record that must be set aside when the batch has no room for that is set aside in the next
// batch, also if it is the last one before the end. Method: one more than a batch takes, and two.
func TestAsideAtTheEnd(t *testing.T) {
	for _, n := range []int{record.MaxRejects, record.MaxRejects + 1, 2*record.MaxRejects + 1} {
		f := newFake(t, 1, "aside")
		var tombstones []*kgo.Record
		for range n {
			tombstones = append(tombstones, &kgo.Record{Topic: "aside", Key: []byte("k")})
		}
		f.produce(tombstones...)
		schema := schemaOf(t, record.Field{Name: "v", Type: record.Int64, Nullable: true})
		s, err := f.source(SourceConfig{Topic: "aside", Schema: schema, UntilEnd: true, Tombstones: RejectTombstones})
		if err != nil {
			t.Fatal(err)
		}
		rs, err := s.Readers(1)
		if err != nil {
			t.Fatal(err)
		}
		_, rejects, err := rows(t, schema, rs)
		if err != nil || len(rejects) != n {
			t.Errorf("%v: %d records were set aside, expected %d", err, len(rejects), n)
		}
	}
}
