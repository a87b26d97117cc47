package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/velo-engine/velo/record"
)

// Goal: Lag says what the broker has and has not been read, for each partition. Method: a topic of
// two partitions, read in small batches; what has been given out and the lag are all there is.
func TestLag(t *testing.T) { onEach(t, testLag) }

func testLag(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 2, "t")
	const each = 50
	var records []*kgo.Record
	for i := range 2 * each {
		records = append(records, &kgo.Record{
			Topic: "t", Partition: int32(i % 2),
			Value: fmt.Appendf(nil, `{"v":%d}`, i),
		})
	}
	f.produce(records...)
	schema := schemaOf(t, record.Field{Name: "v", Type: record.Int64})
	_, rs, err := f.readersOf(SourceConfig{Topic: "t", Schema: schema, Format: JSON}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, r := range rs {
			_ = r.Close()
		}
	}()
	for _, r := range rs {
		b, read := record.NewBatch(schema, 7), 0
		lagging := r.(record.Lagging)
		for deadline := time.Now().Add(time.Minute); ; {
			b.Reset()
			if err := r.(record.Poller).Poll(b); err != nil {
				t.Fatal(err)
			}
			read += b.Len()
			lag := lagging.Lag()
			if len(lag) != 1 || lag[0].Unknown && (read > 0 || lag[0].Records > 0) {
				t.Fatalf("%d records have been read, the lag is %v", read, lag)
			}
			if read > 0 && (lag[0].Records != uint64(each-read) && read < each) {
				t.Fatalf("%d of %d records have been read, the lag is %v", read, each, lag)
			}
			if read == each && lag[0].Records == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d records, lag %v", read, each, lag)
			}
		}
	}
}
