package readers_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// wideRecord has a field of each kind.
type wideRecord struct {
	N     int64
	Maybe *int64
	Price float64
	Good  bool
	At    time.Time
	Text  string
	Name  *string
	Sym   record.Symbol
}

// Goal: a feed brings the columns that are read as it brings all of them, the others as NULL, zero
// or the empty text, and it looks at no value of the others. Method: two feeds of the same records,
// one of which is told which columns are read and then to bring more, with a batch of a few records
// that is used again.
func TestFeedColumns(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, seed))
		all, some := newWideFeed(t), newWideFeed(t)
		read := make([]bool, all.Schema().Len())
		for epoch := range uint64(3) {
			for i := range read {
				read[i] = read[i] || rng.IntN(3) == 0
			}
			if epoch == 0 {
				some.Columns(read)
			} else {
				some.Widen(read)
			}
			sendWide(t, rng, all, some)
			want, got := wideRows(t, all, epoch+1, read), wideRows(t, some, epoch+1, nil)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, read %v:\n%q\nexpected\n%q", seed, read, got, want)
			}
		}
	}
}

func newWideFeed(t *testing.T) *readers.Feed[wideRecord] {
	t.Helper()
	f, err := readers.NewFeed[wideRecord](nil, readers.FeedConfig{LaneSlots: 64})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sendWide sends the same records to each feed, through a lane and a counter.
func sendWide(t *testing.T, rng *rand.Rand, feeds ...*readers.Feed[wideRecord]) {
	t.Helper()
	var vs []wideRecord
	for i := range 1 + rng.IntN(40) {
		text := fmt.Sprint("text ", rng.IntN(100))
		sym, err := record.NewSymbol(text)
		if err != nil {
			t.Fatal(err)
		}
		v := wideRecord{
			N: int64(i), Price: rng.Float64(), Good: rng.IntN(2) == 0, At: time.Unix(rng.Int64N(1e9), 0), Text: text, Sym: sym,
		}
		if rng.IntN(2) == 0 {
			v.Maybe, v.Name = &v.N, &v.Text
		}
		vs = append(vs, v)
	}
	for _, f := range feeds {
		lane, err := f.Lane()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lane.SendAll(t.Context(), vs); err != nil {
			t.Fatal(err)
		}
		lane.Close()
		c, err := f.Counter(vs[0], func(v *wideRecord) *int64 { return &v.N })
		if err != nil {
			t.Fatal(err)
		}
		c.Add(int64(len(vs)))
		c.Close()
	}
}

// wideRows are the records that a feed has, sorted, as texts. If read is not nil, the columns that
// are not read are as they are in a feed that is told so.
func wideRows(t *testing.T, f *readers.Feed[wideRecord], epoch uint64, read []bool) (rows []string) {
	t.Helper()
	b := record.NewBatch(f.Schema(), 7)
	for drained := false; !drained || b.Len() > 0; {
		drained = f.Drained(epoch) // it looks at the counters
		b.Reset()
		if err := f.Poll(b); err != nil {
			t.Fatal(err)
		}
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		for row := range b.Len() {
			text := ""
			for col := range b.Schema().Len() {
				text += valueText(b, col, row, read == nil || read[col]) + " "
			}
			rows = append(rows, text)
		}
	}
	slices.Sort(rows)
	return rows
}

// valueText is a value as a text, or what it is if nobody reads its column.
func valueText(b *record.Batch, col, row int, read bool) string {
	switch c := b.Column(col); {
	case !read && b.Schema().Field(col).Nullable, c.Valid != nil && c.Null(row):
		return "NULL"
	case c.Int64s != nil && read:
		return fmt.Sprint(c.Int64s[row])
	case c.Float64s != nil && read:
		return fmt.Sprint(c.Float64s[row])
	case c.Views != nil && read:
		return fmt.Sprintf("%q", c.View(row))
	case c.Views != nil:
		return `""`
	}
	return "0"
}

// Goal: a value that does not fit its column sets its record aside only if the column is read.
func TestFeedColumnsRejects(t *testing.T) {
	for _, reads := range []bool{true, false} {
		f := newWideFeed(t)
		read := make([]bool, f.Schema().Len())
		at, _ := f.Schema().Index("at")
		read[0], read[at] = true, reads
		f.Columns(read)
		lane, err := f.Lane()
		if err != nil {
			t.Fatal(err)
		}
		if err := lane.Send(t.Context(), wideRecord{N: 7, At: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}); err != nil {
			t.Fatal(err)
		}
		b := record.NewBatch(f.Schema(), 10)
		if err := f.Poll(b); err != nil {
			t.Fatal(err)
		}
		if len(b.Rejects()) == 1 != reads || b.Len() == 1 == reads {
			t.Errorf("at is read: %v, %d records, rejected %v", reads, b.Len(), b.Rejects())
		}
	}
}
