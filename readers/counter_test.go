package readers_test

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// countedRecord has what counters may count in, and what they may not.
type countedRecord struct {
	Key    int64
	Hits   int64
	Hidden int64 `velo:"-"`
	Cents  int64 `velo:"cents,decimal(9,2)"`
	Size   uint64
}

func hits(r *countedRecord) *int64 { return &r.Hits }

func countedFeed(t testing.TB) *readers.Feed[countedRecord] {
	f, err := readers.NewFeed[countedRecord](nil, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// pollCounts reads what a feed has now, or to the end of it, and adds up the hits of each key.
func pollCounts(t testing.TB, f *readers.Feed[countedRecord], rows int, sums map[int64]int64, toEnd bool) {
	t.Helper()
	b := record.NewBatch(f.Schema(), rows)
	for {
		b.Reset()
		err := f.Poll(b)
		for i := range b.Len() {
			sums[b.Column(0).Int64s[i]] += b.Column(1).Int64s[i]
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			t.Fatal(err)
		case !toEnd && b.Len() == 0:
			return
		}
	}
}

// Goal: a counter that cannot be is refused, with an error that says why.
func TestCounterErrors(t *testing.T) {
	f := countedFeed(t)
	var elsewhere int64
	for _, c := range []struct {
		v     countedRecord
		field func(*countedRecord) *int64
		want  string
	}{
		{countedRecord{}, func(*countedRecord) *int64 { return &elsewhere }, "not in the record"},
		{countedRecord{}, func(*countedRecord) *int64 { return nil }, "not in the record"},
		{countedRecord{}, func(r *countedRecord) *int64 { return &r.Hidden }, "no bigint column"},
		{countedRecord{}, func(r *countedRecord) *int64 { return &r.Cents }, "no bigint column"},
		{countedRecord{Size: 1 << 63}, hits, "does not fit column"},
	} {
		if _, err := f.Counter(c.v, c.field); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, expected %q", c.v, err, c.want)
		}
	}
	var first *readers.Counter
	for range readers.MaxCounters {
		c, err := f.Counter(countedRecord{}, hits)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = c
		}
	}
	if _, err := f.Counter(countedRecord{}, hits); !errors.Is(err, readers.ErrNoCounter) {
		t.Errorf("one counter too many: %v", err)
	}
	first.Add(3)
	first.Close()
	if f.Drained(1) {
		t.Error("an epoch does not wait for a counter that was closed")
	}
	sums := map[int64]int64{}
	pollCounts(t, f, 10, sums, false)
	if !f.Drained(1) || !f.Drained(2) || sums[0] != 3 {
		t.Errorf("%v, expected 3 hits, and no more", sums)
	}
	if _, err := f.Counter(countedRecord{}, hits); err != nil {
		t.Errorf("a closed counter leaves no room: %v", err)
	}
	f.End()
	if _, err := f.Counter(countedRecord{}, hits); !errors.Is(err, readers.ErrFeedEnded) {
		t.Errorf("a counter after the end: %v", err)
	}
	pollCounts(t, f, 10, sums, true)
}

// Goal: what was added before an epoch was raised is given out before it, whatever the size of the
// batch; what is added after the end is pending.
func TestCounterEpochs(t *testing.T) {
	for _, rows := range []int{1, 3, 100} {
		f := countedFeed(t)
		var cs []*readers.Counter
		for key := range int64(7) {
			c, err := f.Counter(countedRecord{Key: key}, hits)
			if err != nil {
				t.Fatal(err)
			}
			cs = append(cs, c)
		}
		sums, want := map[int64]int64{}, map[int64]int64{}
		for epoch := uint64(1); epoch < 20; epoch++ {
			for key, c := range cs {
				if (uint64(key)+epoch)%3 == 0 {
					n := int64(epoch) - 5
					c.Add(n)
					c.Inc()
					want[int64(key)] += n + 1
				}
			}
			b := record.NewBatch(f.Schema(), rows)
			for polls := 0; !f.Drained(epoch); polls++ {
				b.Reset()
				if err := f.Poll(b); err != nil || polls > 10 {
					t.Fatal(err, polls)
				}
				for i := range b.Len() {
					sums[b.Column(0).Int64s[i]] += b.Column(1).Int64s[i]
				}
			}
			for key, n := range want {
				if sums[key] != n {
					t.Fatalf("batches of %d, epoch %d: key %d has %d, expected %d", rows, epoch, key, sums[key], n)
				}
			}
			if st := f.Stats(); st.PendingCounts != 0 || st.Counters != len(cs) {
				t.Fatalf("%+v", st)
			}
		}
		cs[0].Add(5)
		f.End()
		pollCounts(t, f, rows, sums, true)
		cs[1].Add(7)
		if st := f.Stats(); st.PendingCounts != 7 || sums[0] != want[0]+5 {
			t.Errorf("%+v, %d; expected 7 that nobody reads, and %d", st, sums[0], want[0]+5)
		}
	}
}

// Goal: nothing is lost or comes twice, while goroutines make counters, add, close them and send
// records, and the feed is read beside that.
func TestCounters(t *testing.T) {
	f := countedFeed(t)
	const workers, rounds = 4, 200
	var all sync.WaitGroup
	for w := range int64(workers) {
		all.Go(func() {
			lane, err := f.Lane()
			if err != nil {
				t.Error(err)
				return
			}
			defer lane.Close()
			for round := range int64(rounds) {
				c, err := f.Counter(countedRecord{Key: round % 5}, hits)
				if err != nil {
					t.Error(err)
					return
				}
				for n := range int64(100) {
					c.Add(n)
				}
				c.Close()
				vs := make([]countedRecord, w*round)
				for i := range vs {
					vs[i] = countedRecord{Key: round % 5, Hits: 1}
				}
				if sent, err := lane.SendAll(t.Context(), vs); err != nil || sent != len(vs) {
					t.Error(sent, err)
				}
			}
		})
	}
	go func() { all.Wait(); f.End() }()
	sums := map[int64]int64{}
	pollCounts(t, f, 50, sums, true)
	want := map[int64]int64{}
	for w := range int64(workers) {
		for round := range int64(rounds) {
			want[round%5] += 100*99/2 + w*round
		}
	}
	for key, n := range want {
		if sums[key] != n {
			t.Errorf("key %d has %d, expected %d", key, sums[key], n)
		}
	}
	if st := f.Stats(); st.PendingCounts != 0 {
		t.Errorf("%+v", st)
	}
}

// Goal: SendAll says how many records were taken: when the lane is full and sheds, and when the
// feed has ended.
func TestSendAll(t *testing.T) {
	f := newFeed(t, readers.FeedConfig{LaneSlots: 8, Shed: true})
	lane := newLane(t, f)
	vs := make([]sentRecord, 20)
	for i := range vs {
		vs[i].Number = int64(i)
	}
	if sent, err := lane.SendAll(t.Context(), vs[:5]); sent != 5 || err != nil {
		t.Error(sent, err)
	}
	if sent, err := lane.SendAll(t.Context(), vs[5:]); sent != 3 || !errors.Is(err, readers.ErrFeedFull) {
		t.Error(sent, err)
	}
	if st := f.Stats(); st.Sent != 8 || st.Shed != 12 {
		t.Errorf("%+v, expected 8 sent, 12 shed", st)
	}
	f.End()
	if sent, err := lane.SendAll(t.Context(), vs); sent != 0 || !errors.Is(err, readers.ErrFeedEnded) {
		t.Error(sent, err)
	}
	if sent, err := lane.SendAll(t.Context(), nil); sent != 0 || err != nil {
		t.Error(sent, err)
	}
	next := int64(0)
	drain(t, f, 3, func(_, n int64) {
		if n != next {
			t.Errorf("record %d, expected %d", n, next)
		}
		next++
	})
	if next != 8 {
		t.Errorf("%d records, expected 8", next)
	}
}
