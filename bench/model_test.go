package bench

import (
	"math"
	"testing"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/result"
)

// Goal: a figure of the model is of the slices of time in which the threads had their CPUs, however
// many others there are, and it is called spoiled if these are too few. Method: slices that are
// made up, in which others take four times as long.
func TestCleanSlices(t *testing.T) {
	moments := func(clean, spoiled int) []moment {
		var all []moment
		for i := range clean + spoiled {
			m := moment{had: 0.99, route: 5, apply: []float64{3}, perSecond: 8}
			m.rows, m.chunks = []float64{100}, []float64{4}
			if i >= clean {
				m.had, m.route, m.apply, m.perSecond = 0.6, 20, []float64{12}, 2
			}
			all = append(all, m)
		}
		return all
	}
	for _, c := range []struct {
		clean, spoiled int
		route          float64
		isSpoiled      bool
	}{{10, 0, 5, false}, {modelLeast, 50, 5, false}, {0, 9, 20, true}, {modelLeast - 1, 50, 5, true}} {
		r := &modelRun{partitions: 1, slices: moments(c.clean, c.spoiled)}
		w, k := r.work(), r.asCase()
		if w.route != c.route || w.chunkRows != 25 || k.Spoiled() != c.isSpoiled || k.Clean != c.clean {
			t.Errorf("%d clean slices of %d: %+v, spoiled %v", c.clean, c.clean+c.spoiled, w, k.Spoiled())
		}
		rate, clean := cleanRate(r.slices)
		if clean != c.clean || c.clean >= modelLeast && math.Abs(rate-8) > 1e-9 || c.clean == 0 && math.Abs(rate-2) > 1e-9 {
			t.Errorf("%d clean slices of %d: %d, %v a second", c.clean, c.clean+c.spoiled, clean, rate)
		}
	}
	empty := moment{had: 1, apply: []float64{math.NaN()}, rows: []float64{0}, chunks: []float64{0}}
	w := (&modelRun{partitions: 1, slices: []moment{empty}}).work()
	if math.IsNaN(w.apply) || math.IsNaN(w.chunkRows) || math.IsNaN(w.weights[0]) {
		t.Errorf("a partition without records: %+v", w)
	}
}

// Goal: the uneven loads are what they say: one key has most of the records, or all records of the
// first partition and no others are slow.
func TestUnevenLoads(t *testing.T) {
	for _, u := range uneven {
		p := u.plan()
		batches, err := u.batches(p, 0, 1<<14, modelUneven)
		if err != nil {
			t.Fatal(err)
		}
		owners := result.NewOwners(modelUneven)
		hot, slow, n := 0, 0, 0
		for _, b := range batches {
			for i, key := range b.Column(0).Int64s[:b.Len()] {
				n++
				if key == int64(readers.Scramble(0)) {
					hot++
				}
				k, err := p.Key(key)
				if err != nil {
					t.Fatal(err)
				}
				owner := owners.OfShard(uint8(k.Shard()))
				isSlow := b.Column(1).Int64s[i] < 0
				if isSlow {
					slow++
				}
				if isSlow != (u.slow && owner == 0) {
					t.Fatalf("%s: slow is %v of a record in partition %d", u.name, isSlow, owner)
				}
			}
		}
		if part := float64(hot) / float64(n); math.Abs(part-u.hot) > 0.02 || (slow > 0) != u.slow {
			t.Errorf("%s: %.2f of the records have one key, %d of %d are slow", u.name, part, slow, n)
		}
	}
}
