package desim

import (
	"math"
	"testing"
)

// typical is about what a core of a server comes to.
var typical = Calibration{
	Route: Curve{{1, 5}}, Apply: 6, ApplyRemote: 1, Batch: 300, RouteChunk: 100, ApplyChunk: 100, Poll: 2,
	Epoch: 20_000, ChunkRows: 2730, RingSlots: 32,
	LocalSlots: 2, EpochInterval: 1e6, Bytes: 64, RecordBytes: 24,
}

func simulate(t *testing.T, c Calibration, s Shape, nanos float64) Result {
	t.Helper()
	r, err := Run(c, s, nanos)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Goal: on one core the throughput is what the times add up to, by hand.
func TestOneCore(t *testing.T) {
	c := typical
	c.Batch, c.RouteChunk, c.ApplyChunk, c.Poll, c.Epoch, c.EpochInterval = 0, 0, 0, 0, 0, 1e12
	r := simulate(t, c, Shape{Readers: 1, Partitions: 1, Cores: 1}, 20e6)
	if want := 1e9 / 11.0; math.Abs(r.PerSecond()/want-1) > 0.01 || r.Busy < 0.99 {
		t.Errorf("%.3g records a second, expected %.3g; busy %.3f", r.PerSecond(), want, r.Busy)
	}
}

// Goal: on cores of their own the slower of router and partition says how fast it goes.
func TestPipeline(t *testing.T) {
	c := typical
	c.Batch, c.RouteChunk, c.ApplyChunk, c.Poll, c.Epoch, c.EpochInterval = 0, 0, 0, 0, 0, 1e12
	c.Apply = 1
	for _, remote := range []float64{2, 5, 20} {
		c.ApplyRemote = remote - c.Apply
		r := simulate(t, c, Shape{Readers: 1, Partitions: 1, Cores: 2}, 20e6)
		if want := 1e9 / max(5, remote); math.Abs(r.PerSecond()/want-1) > 0.02 {
			t.Errorf("%v ns remote: %.3g records a second, expected %.3g", remote, r.PerSecond(), want)
		}
	}
}

// Goal: no more bytes move than the bandwidth allows, whatever the shape, and with enough of it the
// limit makes no difference.
func TestBandwidth(t *testing.T) {
	for _, n := range []int{1, 2, 8, 32} {
		free := simulate(t, typical, Shape{Readers: n, Partitions: n, Cores: n}, 2e6)
		for _, bandwidth := range []float64{1, 10, 1e6} {
			r := simulate(t, typical, Shape{Readers: n, Partitions: n, Cores: n, Bandwidth: bandwidth}, 2e6)
			// What was begun in the warm-up or ends after the end is at most a step of each core.
			step := float64(n) * chunksPerStep * float64(typical.ChunkRows) * typical.Bytes
			if r.Bytes > bandwidth*r.Nanos+step {
				t.Errorf("%d cores: %.3g bytes in %.3g ns with %v bytes a ns", n, r.Bytes, r.Nanos, bandwidth)
			}
			if each := r.Bytes / r.Records; math.Abs(each/typical.Bytes-1) > 0.1 && r.Records > 1e6 {
				t.Errorf("%d cores: %.1f bytes a record, expected %v", n, each, typical.Bytes)
			}
			if r.Records > free.Records*1.02 {
				t.Errorf("%d cores: %.3g records with a limit, %.3g without", n, r.Records, free.Records)
			}
			if bandwidth == 1e6 && r.Records < 0.98*free.Records {
				t.Errorf("%d cores: %.3g records with enough bandwidth, %.3g without a limit", n, r.Records,
					free.Records)
			}
		}
	}
}

// Goal: without contention more cores are never slower.
func TestMoreCores(t *testing.T) {
	c := typical
	c.RouteChunk, c.ApplyChunk, c.Poll, c.Epoch, c.EpochInterval = 0, 0, 0, 0, 1e12
	last := 0.0
	for n := 1; n <= 64; n *= 2 {
		r := simulate(t, c, Shape{Readers: n, Partitions: n, Cores: n}, 3e6)
		if r.PerSecond() < 0.99*last {
			t.Errorf("%d cores: %.3g records a second, %.3g with half as many", n, r.PerSecond(), last)
		}
		last = r.PerSecond()
	}
	last = 0
	for cores := 1; cores <= 16; cores *= 2 {
		r := simulate(t, c, Shape{Readers: 8, Partitions: 8, Cores: cores}, 3e6)
		if r.PerSecond() < 0.99*last {
			t.Errorf("8 readers on %d cores: %.3g records a second, %.3g with half as many", cores, r.PerSecond(), last)
		}
		last = r.PerSecond()
	}
}

// Goal: Little's law holds: the mean number of records in the rings is the rate at which they come
// times the mean time that they stay.
func TestLittle(t *testing.T) {
	for _, s := range []Shape{
		{Readers: 1, Partitions: 1, Cores: 2},
		{Readers: 4, Partitions: 4, Cores: 2},
		{Readers: 2, Partitions: 8, Cores: 4},
		{Readers: 2, Partitions: 2, Cores: 2, Slow: []float64{1, 5}},
		{Readers: 2, Partitions: 4, Cores: 2, Weights: []float64{0.7, 0.1, 0.1, 0.1}},
	} {
		r := simulate(t, typical, s, 30e6)
		if want := r.Arrived / r.Nanos * r.Wait; math.Abs(r.Queued/want-1) > 0.03 {
			t.Errorf("%+v: %.4g records in the rings, rate times wait is %.4g", s, r.Queued, want)
		}
		if math.Abs(r.Arrived/r.Records-1) > 0.05 || r.Epochs < 5 {
			t.Errorf("%+v: %.4g records came, %.4g were applied, in %d epochs", s, r.Arrived, r.Records, r.Epochs)
		}
	}
}

// Goal: a slow or a hot partition holds all back, as in an engine whose rings are full.
func TestUneven(t *testing.T) {
	even := simulate(t, typical, Shape{Readers: 4, Partitions: 4, Cores: 8}, 10e6)
	for name, s := range map[string]Shape{
		"slow": {Readers: 4, Partitions: 4, Cores: 8, Slow: []float64{4, 1, 1, 1}},
		"hot":  {Readers: 4, Partitions: 4, Cores: 8, Weights: []float64{0.7, 0.1, 0.1, 0.1}},
	} {
		r := simulate(t, typical, s, 10e6)
		factor := 4.0
		if name == "hot" {
			factor = 0.7 * 4
		}
		if got := even.PerSecond() / r.PerSecond(); got < 0.6*factor || got > 1.1*factor {
			t.Errorf("%s: %.2f times slower, expected about %.2f", name, got, factor)
		}
	}
}

// Goal: the same calibration gives the same result, to the last bit, and a bad one is refused.
func TestDeterministic(t *testing.T) {
	s := Shape{Readers: 5, Partitions: 3, Cores: 4, Bandwidth: 20}
	if a, b := simulate(t, typical, s, 5e6), simulate(t, typical, s, 5e6); a != b {
		t.Errorf("%+v, then %+v", a, b)
	}
	bad := typical
	bad.Apply, bad.ChunkRows, bad.Poll = 0, 100, math.NaN()
	if _, err := Run(bad, s, 1e6); err == nil {
		t.Error("a calibration without times was taken")
	}
	if _, err := Run(typical, Shape{}, 1e6); err == nil {
		t.Error("a shape without cores was taken")
	}
}

// Goal: a record takes longer if the chunks of its core do not stay in a cache, by as much as the
// curve says for the bytes that come out of the simulation, and longer across cores. Method: rings
// whose chunks have as many rows as a batch gives each partition, so the bytes are known.
func TestCold(t *testing.T) {
	c := typical
	c.Batch, c.RouteChunk, c.ApplyChunk, c.Poll, c.Epoch, c.EpochInterval = 0, 0, 0, 0, 0, 1e12
	s := Shape{Readers: 1, Partitions: 16, Cores: 1}
	bytes := 16 * 2 * float64(batchRows) / 16 * c.RecordBytes
	for _, more := range []float64{0, 3, 9} {
		c.RouteCold = Curve{{bytes / 2, 0}, {bytes, more}, {2 * bytes, 100}}
		c.ApplyCold = Curve{{bytes / 4, 0}, {bytes / 2, more}}
		s.Bandwidth = 0
		r := simulate(t, c, s, 20e6)
		if math.Abs(r.Cycled/bytes-1) > 0.01 {
			t.Errorf("a core goes through %.0f bytes, expected %.0f", r.Cycled, bytes)
		}
		s.Bandwidth = 1
		if b := simulate(t, c, s, 20e6).Bytes; (b == 0) != (more == 0) {
			t.Errorf("%v ns more: %.0f bytes went to memory", more, b)
		}
		if want := 1e9 / (11 + 2*more); math.Abs(r.PerSecond()/want-1) > 0.02 {
			t.Errorf("%v ns more: %.4g records a second, expected %.4g", more, r.PerSecond(), want)
		}
	}
}

// Goal: a curve goes through its points, is straight over the logarithm between them, and level
// outside.
func TestCurve(t *testing.T) {
	c := Curve{{2, 4}, {8, 10}, {16, 6}}
	for at, want := range map[float64]float64{0: 4, 1: 4, 2: 4, 4: 7, 8: 10, 16: 6, 1000: 6} {
		if got := c.At(at); math.Abs(got-want) > 1e-9 {
			t.Errorf("at %v: %v, expected %v", at, got, want)
		}
	}
	if got := Curve(nil).At(3); got != 0 {
		t.Errorf("no points: %v", got)
	}
	bad := typical
	bad.RouteCold = Curve{{2, 1}, {2, 1}}
	if _, err := Run(bad, Shape{Readers: 1, Partitions: 1, Cores: 1}, 1e6); err == nil {
		t.Error("a curve that goes back was taken")
	}
}
