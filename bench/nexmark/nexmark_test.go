package nexmark

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

// all are the rows of a stream by R readers, each row as text, and what each reader gave in its order.
func all(t *testing.T, cfg Config, readers, rows int) (counts map[string]int, times [][]int64) {
	t.Helper()
	counts = map[string]int{}
	for cfg.Readers, cfg.Reader = readers, 0; cfg.Reader < readers; cfg.Reader++ {
		g, err := NewGenerator(cfg)
		if err != nil {
			t.Fatal(err)
		}
		b := record.NewBatch(g.Schema(), rows)
		var at []int64
		for err = nil; err == nil; {
			b.Reset()
			err = g.Poll(b)
			if bad := b.Check(); bad != nil {
				t.Fatal(bad)
			}
			for i := range b.Len() {
				var line []string
				for c := range b.Schema().Len() {
					if b.Schema().Field(c).Type == record.String {
						line = append(line, string(b.Column(c).View(i)))
						continue
					}
					line = append(line, fmt.Sprint(b.Column(c).Int64s[i]))
					if b.Schema().Field(c).Name == "date_time" {
						at = append(at, b.Column(c).Int64s[i])
					}
				}
				counts[strings.Join(line, ",")]++
			}
		}
		if !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		times = append(times, at)
	}
	return counts, times
}

// Goal: R readers make the records that one makes, in any size of batch; the proportions are 1:3:46; no record comes later than the disorder after another, and some come
// about that late. Method: all records of several R as texts.
func TestGenerator(t *testing.T) {
	const events = 100_033
	for stream, want := range map[Stream]int{Persons: 2001, Auctions: 6003, Bids: 2000*46 + 29} {
		for _, disorder := range []time.Duration{0, time.Millisecond, 3 * time.Second} {
			if testing.Short() && disorder == time.Millisecond {
				continue
			}
			cfg := Config{Stream: stream, Seed: 7, Events: events, Disorder: disorder, Rate: 100_000}
			one, _ := all(t, cfg, 1, 2048)
			n := 0
			for _, c := range one {
				n += c
			}
			if n != want {
				t.Fatalf("%v: %d records, expected %d", stream, n, want)
			}
			for readers := 1; readers <= 4; readers++ {
				if testing.Short() && readers != 3 {
					continue
				}
				some, times := all(t, cfg, readers, 100*readers+7)
				if !maps.Equal(some, one) {
					t.Fatalf("%v, disorder %v: %d readers make other records than one", stream, disorder, readers)
				}
				for r, at := range times {
					if len(at) == 0 {
						continue // fewer blocks than readers
					}
					var worst time.Duration
					most := at[0]
					for _, v := range at {
						worst = max(worst, time.Duration(most-v))
						most = max(most, v)
					}
					if worst > disorder || stream == Bids && worst < disorder*9/10-1 {
						t.Errorf("%v: reader %d of %d: a record comes %v late, the disorder is %v", stream, r, readers,
							worst, disorder)
					}
				}
			}
			cfg.Seed++
			if other, _ := all(t, cfg, 1, 2048); stream == Bids && maps.Equal(one, other) {
				t.Error("another seed makes the same records")
			}
		}
	}
}

// Goal: the numbers are typical of an auction house: half of the bids on hot auctions, bids on auctions that are about to be or were there a moment ago, prices over six orders of magnitude, event time at the
// rate. Method: the bids of 100,000 epochs in columns.
func TestShape(t *testing.T) {
	g, err := NewGenerator(Config{Stream: Bids, Seed: 1, Rate: 50_000})
	if err != nil {
		t.Fatal(err)
	}
	const n = 46 * 100_000
	hotAuction, hotBidder, hotChannel, k := 0, 0, 0, int64(0)
	least, most := int64(1<<62), int64(0)
	var first, last int64
	for _, b := range g.Prepare(n, 4600) {
		for i := range b.Len() {
			newest := k/BidsPerEpoch*AuctionsPerEpoch + 2
			auction, bidder, price := b.Column(0).Int64s[i]-firstID, b.Column(1).Int64s[i]-firstID,
				b.Column(2).Int64s[i]
			if auction < max(0, newest-inFlight)/hotEvery*hotEvery || auction > newest+lead || bidder < 0 ||
				bidder > k/BidsPerEpoch+lead {
				t.Fatalf("bid %d: auction %d, bidder %d, the newest auction is %d", k, auction, bidder, newest)
			}
			if auction == newest/hotEvery*hotEvery {
				hotAuction++
			}
			if bidder == k/BidsPerEpoch/hotEvery*hotEvery+1 {
				hotBidder++
			}
			if b.Column(3).Views[i].Off < channels.views[hotChannels].Off {
				hotChannel++
			}
			least, most = min(least, price), max(most, price)
			if last = b.Column(4).Int64s[i]; k == 0 {
				first = last
			}
			k++
		}
	}
	near := func(what string, got int, want float64) {
		if share := float64(got) / n; share < want-0.02 || share > want+0.02 {
			t.Errorf("%s: %.3f of all bids, expected %.2f", what, share, want)
		}
	}
	near("hot auctions", hotAuction, 0.5)
	near("hot bidders", hotBidder, 0.75)
	near("hot channels", hotChannel, 0.5)
	if least > 110 || most < 90_000_000 || most > 100_000_000 {
		t.Errorf("prices from %d to %d", least, most)
	}
	if d := time.Duration(last - first); d < 99*time.Second || d > 101*time.Second {
		t.Errorf("%d epochs of 50 events took %v at 50,000 a second", n/46, d)
	}
}

// Goal: a record takes no allocation.
func TestNoAllocation(t *testing.T) {
	for stream := range Bids + 1 {
		g, err := NewGenerator(Config{Stream: stream, Readers: 3})
		if err != nil {
			t.Fatal(err)
		}
		b := record.NewBatch(g.Schema(), 2048)
		if n := testing.AllocsPerRun(20, func() {
			b.Reset()
			if err := g.Poll(b); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%v: %v allocations for a batch", stream, n)
		}
	}
}

// Goal: every fault of a configuration is reported.
func TestValidate(t *testing.T) {
	_, err := NewGenerator(Config{Stream: 9, Rate: MaxRate + 1, Disorder: -1, Reader: 3, Readers: 3})
	for _, want := range []string{"Stream(9)", "events a second", "disorder", "reader 3 of 3"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("nothing says %q in %v", want, err)
		}
	}
}

// What a record takes to make.
func BenchmarkGenerator(b *testing.B) {
	for stream := range Bids + 1 {
		b.Run("stream="+stream.String(), func(b *testing.B) {
			g, err := NewGenerator(Config{Stream: stream, Disorder: time.Second})
			if err != nil {
				b.Fatal(err)
			}
			batch := record.NewBatch(g.Schema(), 2048)
			n := 0
			for b.Loop() {
				batch.Reset()
				if err := g.Poll(batch); err != nil {
					b.Fatal(err)
				}
				n += batch.Len()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
		})
	}
}
