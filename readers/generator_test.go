package readers

import (
	"context"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

// drain polls a reader until its end, or until it has given most rows, and calls f for each row.
func drain(t testing.TB, p record.Poller, most int, f func(key, value int64)) (rows int) {
	t.Helper()
	b := record.NewBatch(GeneratorSchema, 1000)
	for rows < most {
		b.Reset()
		err := p.Poll(b)
		if cerr := b.Check(); cerr != nil {
			t.Fatal(cerr)
		}
		for i := range b.Len() {
			f(b.Column(0).Int64s[i], b.Column(1).Int64s[i])
		}
		rows += b.Len()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return rows
}

// Goal: the readers of one configuration make exactly its records between them, always the same, all different, spread as the
// distribution says.
func TestGenerator(t *testing.T) {
	const groups, records = 100, 200_003
	for _, cfg := range []GeneratorConfig{
		{Seed: 1, Groups: groups, Records: records},
		{Seed: 1, Groups: groups, Records: records, Distribution: Zipf, Skew: 1.1},
		{Seed: 1, Groups: groups, Records: records, Distribution: Sequential},
	} {
		name := cfg.Distribution.String()
		of := map[int64]int{} // group of a key
		for g := range uint64(groups) {
			of[int64(Scramble(g))] = int(g)
		}
		for _, n := range []int{1, 3} {
			var counts [groups]int
			var sums [2]int64
			for round := range 2 {
				total := 0
				for i := range n {
					cfg.Reader, cfg.Readers = i, n
					g, err := NewGenerator(cfg)
					if err != nil {
						t.Fatal(err)
					}
					total += drain(t, g, math.MaxInt, func(key, value int64) {
						group, ok := of[key]
						if !ok || value < -MaxGeneratorValue || value > MaxGeneratorValue {
							t.Fatalf("%s: key %x, value %d", name, key, value)
						}
						counts[group]++
						sums[round] += value ^ key
					})
				}
				if total != records {
					t.Fatalf("%s, %d readers: %d records, expected %d", name, n, total, records)
				}
			}
			if sums[0] != sums[1] {
				t.Fatalf("%s, %d readers: not the same twice", name, n)
			}
			// Twice the records were counted. Expected counts within 10 %, or 5 standard deviations.
			weight := 0.0
			for g := range groups {
				weight += math.Pow(float64(g+1), -cfg.Skew)
			}
			for g, got := range counts {
				want := 2 * records / float64(groups)
				if cfg.Distribution == Zipf {
					want = 2 * records * math.Pow(float64(g+1), -cfg.Skew) / weight
				}
				if math.Abs(float64(got)-want) > max(want/10, 5*math.Sqrt(2*want)) {
					t.Fatalf("%s, %d readers: group %d comes %d times, expected about %.0f", name, n, g, got, want)
				}
			}
		}
	}
}

// Goal: two readers of one seed do not make the same records.
func TestGeneratorStreamsDiffer(t *testing.T) {
	var streams [2]map[[2]int64]bool
	for i := range streams {
		streams[i] = map[[2]int64]bool{}
		g, err := NewGenerator(GeneratorConfig{Groups: 1 << 40, Reader: i, Readers: 2})
		if err != nil {
			t.Fatal(err)
		}
		drain(t, g, 10_000, func(key, value int64) { streams[i][[2]int64{key, value}] = true })
	}
	for r := range streams[0] {
		if streams[1][r] {
			t.Fatalf("both readers make %v", r)
		}
	}
}

// Goal: every fault of a configuration is named.
func TestGeneratorFaults(t *testing.T) {
	for want, cfg := range map[string]GeneratorConfig{
		"4294967297 records a second": {Groups: 1, Rate: MaxGeneratorRate + 1},
		"0 groups, expected 1":        {}, "skew of 1": {Groups: 1, Skew: 1}, "skew of 0": {Groups: 1, Distribution: Zipf},
		"67108865 groups": {Groups: MaxZipfGroups + 1, Distribution: Zipf, Skew: 1}, "reader 2 of 2": {Groups: 1, Reader: 2, Readers: 2}, "Distribution(9)": {Groups: 1, Distribution: 9},
	} {
		if _, err := NewGenerator(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected something with %q", err, want)
		}
	}
}

// Goal: a generator with a rate makes what is due and no more, makes up what was held up, ends after its records, and makes the same ones
// as without a rate. Method: a clock that is set.
func TestGeneratorRate(t *testing.T) {
	free, err := NewGenerator(GeneratorConfig{Groups: 10, Records: 1000, Reader: 1, Readers: 2})
	if err != nil {
		t.Fatal(err)
	}
	g, err := NewGenerator(GeneratorConfig{Groups: 10, Records: 1000, Reader: 1, Readers: 2, Rate: 200})
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Unix(1000, 0)
	g.now = func() time.Time { return clock }
	want, b := record.NewBatch(GeneratorSchema, 500), record.NewBatch(GeneratorSchema, 500)
	if err := free.Poll(want); err != io.EOF || want.Len() != 500 {
		t.Fatal(want.Len(), err)
	}
	made := 0
	for _, step := range []struct {
		wait time.Duration
		n    int
	}{{0, 0}, {time.Second, 100}, {0, 0}, {9 * time.Millisecond, 0}, {time.Millisecond, 1}, {3 * time.Second, 300}, {time.Hour, 99}} {
		clock = clock.Add(step.wait)
		b.Reset()
		err := g.Poll(b)
		if b.Len() != step.n || (err == io.EOF) != (made+step.n == 500) {
			t.Fatalf("after %d records and %v: %d more, expected %d (%v)", made, step.wait, b.Len(), step.n, err)
		}
		for i, key := range b.Column(0).Int64s[:b.Len()] {
			if key != want.Column(0).Int64s[made+i] {
				t.Fatalf("record %d has another key", made+i)
			}
		}
		made += step.n
	}
	slow, err := NewGenerator(GeneratorConfig{Groups: 1, Rate: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.Reset()
	if err := slow.Read(ctx, b); err != context.Canceled {
		t.Errorf("Read of a reader without a record: %v", err)
	}
}

// Goal: prepared records come again as often as asked, lent and not copied, and nothing is allocated for them.
func TestMemory(t *testing.T) {
	g, err := NewGenerator(GeneratorConfig{Groups: 10})
	if err != nil {
		t.Fatal(err)
	}
	batches := g.Prepare(2500, 1000)
	endless, err := NewMemory(GeneratorSchema, batches, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, passes := range []int{1, 3} {
		m, err := NewMemory(GeneratorSchema, batches, passes)
		if err != nil {
			t.Fatal(err)
		}
		if n := drain(t, m, math.MaxInt, func(int64, int64) {}); n != 3000*passes {
			t.Fatalf("%d rows in %d passes, expected %d", n, passes, 3000*passes)
		}
	}
	b := record.NewBatch(GeneratorSchema, 1000)
	if n := testing.AllocsPerRun(100, func() {
		b.Reset()
		if err := endless.Poll(b); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a batch", n)
	}
	if &b.Column(0).Int64s[0] != &endless.batches[(endless.next+len(endless.batches)-1)%len(endless.batches)].Column(0).Int64s[0] {
		t.Error("the batch is not lent")
	}
	small := record.NewBatch(GeneratorSchema, 10)
	if err := endless.Poll(small); err == nil || !strings.Contains(err.Error(), "1000 rows") {
		t.Errorf("%v, expected that the batch does not fit", err)
	}
	if _, err := NewMemory(GeneratorSchema, nil, 0); err == nil {
		t.Error("no batches without end was taken")
	}
	if _, err := NewMemory(everything(t), endless.batches, 1); err == nil {
		t.Error("another schema was taken")
	}
}

func BenchmarkGenerator(b *testing.B) {
	for _, cfg := range []GeneratorConfig{{Groups: 100_000}, {Groups: 100_000, Distribution: Zipf, Skew: 1.1}, {Groups: 100_000, Distribution: Sequential}} {
		b.Run("dist="+cfg.Distribution.String(), func(b *testing.B) {
			g, err := NewGenerator(cfg)
			if err != nil {
				b.Fatal(err)
			}
			batch := record.NewBatch(GeneratorSchema, 0)
			rows := 0
			for b.Loop() {
				batch.Reset()
				if err := g.Poll(batch); err != nil {
					b.Fatal(err)
				}
				rows += batch.Len()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/record")
		})
	}
}
