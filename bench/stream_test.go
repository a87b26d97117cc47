package bench

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/velo-engine/velo/plan"
)

// Goal: what every stream writes comes out as a plain program has it, by auto and one other exchange and shape, which take turns; and where one batch more was read it does not.
func TestStreams(t *testing.T) {
	for i, name := range slices.Sorted(maps.Keys(Streams)) {
		s := Streams[name]
		for x, shape := range [][3]int{{1, 1, 1}, {2, 2, 1}, {3, 2, 2}, {1, 3, 1}} {
			if x > 0 && (x != 1+i%3 || testing.Short()) {
				continue
			}
			s.Exchange, s.EpochInterval, s.Seed = plan.Exchange(x), 5*time.Millisecond, uint64(x)
			r, err := s.Run(shape[0], shape[1], shape[2], 20*time.Millisecond, nil)
			if err != nil {
				t.Fatalf("%s, %v, %v: %v", name, shape, s.Exchange, err)
			}
			if r.Groups == 0 || r.Records == 0 || r.Build <= 0 {
				t.Fatalf("%s: %+v", name, r)
			}
			if x > 0 {
				continue
			}
			p, err := s.prepare(s, 1)
			if err != nil {
				t.Fatal(err)
			}
			reads := []uint64{r.Stats.Readers[0].In}
			if want := s.expected(p, reads); want.sum != r.Sum {
				t.Errorf("%s: checksum %x, expected %x", name, r.Sum, want.sum)
			}
			reads[0] += uint64(p.batches[0][0].Len())
			// the top of a window may be the same
			if other := s.expected(p, reads); other.sum == r.Sum && name != "q5" && name != "q7" {
				t.Errorf("%s: the checksum is the same for a batch more", name)
			}
		}
	}
}

// Goal: the streams' own readers do what the engine relies on: no record is later than the disorder after another, and the time of a pass goes on into the next.
func TestReplay(t *testing.T) {
	for name, s := range Streams {
		p, err := s.prepare(s, 3)
		if err != nil {
			t.Fatal(err)
		}
		for r, of := range p.batches {
			var worst time.Duration
			most := of[0].Column(s.time).Int64s[0]
			for pass := range int64(2) {
				for _, b := range of {
					for _, at := range b.Column(s.time).Int64s[:b.Len()] {
						at += pass * p.span
						worst = max(worst, time.Duration(most-at))
						most = max(most, at)
					}
				}
			}
			if worst > s.Disorder || worst < s.Disorder*9/10 {
				t.Errorf("%s: reader %d: a record comes %v late, the disorder is %v", name, r, worst, s.Disorder)
			}
		}
	}
}
