// Package desim is a model of velo: a discrete-event simulation of readers, rings, partitions,
// epochs and the bandwidth of memory. It is a model and not a measurement. It runs no engine; it
// says what would happen if each step took as long as it was measured to take on a few cores.
//
// The model has the engine's structure: runners that step their agents in turn, routers that fill
// chunks stripe by stripe and wait for room in the rings, partitions that take up to four chunks a
// step, marks of epochs that hold back rings. It is deterministic.
package desim

import (
	"container/heap"
	"errors"
	"fmt"
	"math"
	"slices"
)

// What the engine does at once.
const (
	batchRows     = 2048
	stripeRows    = 512
	chunksPerStep = 4
)

// A Point of a curve is how many nanoseconds something takes at a number of partitions or bytes.
type Point struct {
	At    float64 `json:"at"`
	Nanos float64 `json:"ns"`
}

// A Curve has points in ascending order. Between two points it is straight over the logarithm of
// At; before the first and after the last it is level. A curve without points is 0.
type Curve []Point

// At is the value of the curve.
func (c Curve) At(x float64) float64 {
	if len(c) == 0 {
		return 0
	}
	if x <= c[0].At {
		return c[0].Nanos
	}
	for i, to := range c[1:] {
		if x < to.At {
			from := c[i]
			return from.Nanos + (to.Nanos-from.Nanos)*math.Log(x/from.At)/math.Log(to.At/from.At)
		}
	}
	return c[len(c)-1].Nanos
}

// A Calibration is how long the parts of the work take, in nanoseconds.
//
// What a record takes depends on where the line of memory is that it is written to or read from.
// It takes least if the chunks that a core goes through stay in the caches of that core. If they
// are too many bytes for that, a record that stays on its core takes RouteCold and ApplyCold more.
// If the other end of the ring is on another core, the line has to come from there, however few
// bytes there are. Then a record takes RouteRemote and ApplyRemote more, and not RouteCold and
// ApplyCold.
type Calibration struct {
	Route Curve   `json:"route_ns"` // a record, at its router, by number of partitions
	Apply float64 `json:"apply_ns"` // a record, at its partition

	RouteRemote float64 `json:"route_remote_more_ns"`
	ApplyRemote float64 `json:"apply_remote_more_ns"`
	// RouteCold and ApplyCold are by the bytes that a core goes through; see cycled.
	RouteCold Curve `json:"route_cold_more_ns"`
	ApplyCold Curve `json:"apply_cold_more_ns"`

	Batch float64 `json:"batch_ns"` // a batch, beside its records
	// RouteChunk and ApplyChunk are a chunk, beside its records, at its router and its partition.
	RouteChunk float64 `json:"route_chunk_ns"`
	ApplyChunk float64 `json:"apply_chunk_ns"`

	Poll  float64 `json:"poll_ns"`  // a look at a ring, of a partition
	Epoch float64 `json:"epoch_ns"` // an epoch, of a partition, beside its marks

	ChunkRows     int     `json:"chunk_rows"`
	RingSlots     int     `json:"ring_slots"`       // between cores
	LocalSlots    int     `json:"local_ring_slots"` // on one core
	EpochInterval float64 `json:"epoch_interval_ns"`
	RecordBytes   float64 `json:"bytes_in_chunk"`   // of a record
	Bytes         float64 `json:"bytes_per_record"` // that go to memory and come from there
}

// A Shape is what is simulated.
type Shape struct {
	Readers, Partitions, Cores int
	// Weights is the part of the records that each partition gets; nil is the same for all.
	Weights []float64
	// RouteMore is how many nanoseconds more than Route a record takes its router, because of what
	// is in the records; less if it is negative.
	RouteMore float64
	// Slow is how many times as long as Apply each partition takes for a record; nil is once.
	Slow []float64
	// Bandwidth is how many bytes all cores together may move in a nanosecond; 0 is without limit.
	Bandwidth float64
}

// A Result is what the simulation comes to.
type Result struct {
	Nanos   float64 // simulated time, after the warm-up
	Records float64 // applied in that time
	Bytes   float64 // moved in that time
	Epochs  int
	// Arrived is how many records went into the rings, Queued the mean number of records in them,
	// and Wait the mean time in nanoseconds that a record that left was in them.
	Arrived, Queued, Wait float64
	// Busy is the part of the time in which the runners had work, on average.
	Busy float64
	// Cycled is how many bytes of chunks the core that goes through most of them goes through.
	Cycled float64
}

// PerSecond is the throughput.
func (r *Result) PerSecond() float64 { return r.Records / r.Nanos * 1e9 }

// Validate says what is wrong with a calibration.
func (c *Calibration) Validate() error {
	var faults []error
	type value struct {
		name  string
		v     float64
		least string
	}
	all := []value{
		{"apply_ns", c.Apply, "more than 0"},
		{"epoch_interval_ns", c.EpochInterval, "more than 0"},
		{"chunk_rows", float64(c.ChunkRows), "more than 0"},
		{"ring_slots", float64(c.RingSlots), "more than 0"},
		{"local_ring_slots", float64(c.LocalSlots), "more than 0"},
		{"bytes_in_chunk", c.RecordBytes, "more than 0"},
		{"route_remote_more_ns", c.RouteRemote, "0 or more"},
		{"apply_remote_more_ns", c.ApplyRemote, "0 or more"},
		{"batch_ns", c.Batch, "0 or more"},
		{"route_chunk_ns", c.RouteChunk, "0 or more"},
		{"apply_chunk_ns", c.ApplyChunk, "0 or more"},
		{"poll_ns", c.Poll, "0 or more"},
		{"epoch_ns", c.Epoch, "0 or more"},
		{"bytes_per_record", c.Bytes, "0 or more"},
	}
	if len(c.Route) == 0 {
		faults = append(faults, errors.New("calibration: route_ns has no points, expected one at least"))
	}
	for _, curve := range []struct {
		name   string
		points Curve
		least  string
	}{
		{"route_ns", c.Route, "more than 0"},
		{"route_cold_more_ns", c.RouteCold, "0 or more"},
		{"apply_cold_more_ns", c.ApplyCold, "0 or more"},
	} {
		last := 0.0
		for _, p := range curve.points {
			all = append(all, value{fmt.Sprintf("%s at %v", curve.name, p.At), p.Nanos, curve.least})
			if !(p.At > last) || math.IsInf(p.At, 1) {
				faults = append(faults, fmt.Errorf("calibration: %s has a point at %v after %v, expected more",
					curve.name, p.At, last))
			}
			last = p.At
		}
	}
	for _, f := range all {
		if !(f.v >= 0) || f.v == 0 && f.least == "more than 0" || math.IsInf(f.v, 1) {
			faults = append(faults, fmt.Errorf("calibration: %s is %v, expected %s", f.name, f.v, f.least))
		}
	}
	if c.ChunkRows > 0 && c.ChunkRows < stripeRows {
		faults = append(faults, fmt.Errorf("calibration: chunk_rows is %d, expected at least %d", c.ChunkRows,
			stripeRows))
	}
	return errors.Join(faults...)
}

// A chunk is records on their way, or the mark of an epoch.
type chunk struct {
	reader int
	rows   float64
	since  float64
	mark   bool
}

// A ringState is a ring from a router to a partition.
type ringState struct {
	queued, slots int
	open          float64 // rows in the open chunk
	owed          float64 // rows that the weights have not made whole yet

	chunks  []chunk // that the partition sees and has not taken
	held    bool    // the mark of the next epoch has been taken
	rows, n float64 // that the partition has taken, in n chunks
}

type router struct {
	id, epoch int
	left      int     // rows of the batch at hand
	each      float64 // how long a record takes, on average over the partitions
	leaves    float64 // the part of the records whose lines leave the caches of the core
	rings     []ringState
}

type partition struct {
	id, epoch, marks int
	next             int       // the ring that is looked at first
	each             []float64 // how long a record takes, by reader
	leaves           []float64 // as of a router, by reader
}

// A runner steps its agents in turn.
type runner struct {
	id      int
	agents  []any
	next    int
	idle    bool
	at      float64
	effects func() // what is seen by others at the end of the step
}

type queue []*runner

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].id < q[j].id
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(*runner)) }

func (q *queue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

type simulation struct {
	Calibration
	shape      Shape
	weights    []float64
	routers    []*router
	partitions []*partition
	runners    []*runner
	routerOn   []*runner
	partOn     []*runner
	events     queue
	now        float64
	memory     float64 // when the memory has moved all that it was asked for
	raised     int     // epochs
	nextEpoch  float64

	res        Result
	counting   bool
	inRings    float64
	looked     float64
	waits, out float64
}

// Run simulates the shape for that many nanoseconds, after a warm-up of half as many. It does so
// twice: the first time says how many rows the chunks have, and so how many bytes the cores go
// through.
func Run(c Calibration, s Shape, nanos float64) (Result, error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	if s.Readers < 1 || s.Partitions < 1 || s.Cores < 1 || !(nanos > 0) {
		return Result{}, fmt.Errorf("model: %d readers, %d partitions, %d cores for %v ns, expected at least 1 of each",
			s.Readers, s.Partitions, s.Cores, nanos)
	}
	m := newSimulation(c, s, make([]float64, s.Cores))
	m.run(nanos)
	if len(c.RouteCold)+len(c.ApplyCold) == 0 {
		return m.res, nil
	}
	cycled := m.cycled()
	m = newSimulation(c, s, cycled)
	m.run(nanos)
	m.res.Cycled = slices.Max(cycled)
	return m.res, nil
}

func (m *simulation) run(nanos float64) {
	for _, r := range m.runners {
		heap.Push(&m.events, r)
	}
	warm := nanos / 2
	for len(m.events) > 0 {
		r := heap.Pop(&m.events).(*runner)
		if !m.counting && r.at >= warm {
			m.begin(warm)
		}
		if r.at >= warm+nanos {
			break
		}
		m.advance(r.at)
		m.step(r)
	}
	m.advance(warm + nanos)
	m.res.Nanos = nanos
	m.res.Queued /= nanos
	if m.out > 0 {
		m.res.Wait = m.waits / m.out
	}
	m.res.Busy /= nanos * float64(len(m.runners))
}

// cycled is how many bytes of chunks each core has gone through when it has gone once through all
// slots of its rings. If they are more than a cache has room for, a line has left the cache by the
// time it is needed again.
func (m *simulation) cycled() []float64 {
	bytes := make([]float64, m.shape.Cores)
	for id, r := range m.routers {
		for p := range r.rings {
			g := &r.rings[p]
			if g.n == 0 {
				continue
			}
			n := float64(g.slots) * g.rows / g.n * m.RecordBytes
			bytes[m.routerOn[id].id] += n
			if m.partOn[p] != m.routerOn[id] {
				bytes[m.partOn[p].id] += n
			}
		}
	}
	return bytes
}

// CycledOf is cycled for n readers and n partitions on as many cores, one of each on a core, or all
// on one core, whose chunks have rows records. Calibrations need it.
func (c *Calibration) CycledOf(n, cores int, rows float64) float64 {
	slots := n * n * c.LocalSlots
	if cores > 1 {
		slots = c.LocalSlots + 2*(n-1)*c.RingSlots
	}
	return float64(slots) * rows * c.RecordBytes
}

// newSimulation sets up a simulation. cycled has the bytes that each core goes through.
func newSimulation(c Calibration, s Shape, cycled []float64) *simulation {
	m := &simulation{Calibration: c, shape: s, weights: s.Weights, nextEpoch: c.EpochInterval}
	if m.weights == nil {
		for range s.Partitions {
			m.weights = append(m.weights, 1/float64(s.Partitions))
		}
	}
	cores := min(s.Cores, s.Readers+s.Partitions)
	for i := range cores {
		m.runners = append(m.runners, &runner{id: i})
	}
	for i := range s.Readers {
		m.routerOn = append(m.routerOn, m.runners[i%cores])
	}
	for i := range s.Partitions {
		on := i % cores
		if cores == s.Readers+s.Partitions {
			on = s.Readers + i
		}
		m.partOn = append(m.partOn, m.runners[on])
	}
	for i := range s.Readers {
		r := &router{id: i, rings: make([]ringState, s.Partitions)}
		on := m.routerOn[i]
		r.each = max(c.Route.At(float64(s.Partitions))+s.RouteMore, 0)
		for p := range r.rings {
			r.rings[p].slots = c.LocalSlots
			if m.partOn[p] != on {
				r.rings[p].slots = c.RingSlots
				r.each += m.weights[p] * c.RouteRemote
				r.leaves += m.weights[p]
			} else {
				r.each += m.weights[p] * c.RouteCold.At(cycled[on.id])
				r.leaves += m.weights[p] * c.leaves(cycled[on.id])
			}
		}
		m.routers = append(m.routers, r)
		on.agents = append(on.agents, r)
	}
	for i := range s.Partitions {
		p := &partition{id: i, each: make([]float64, s.Readers), leaves: make([]float64, s.Readers)}
		on := m.partOn[i]
		for r := range p.each {
			p.each[r] = c.Apply
			if s.Slow != nil {
				p.each[r] *= s.Slow[i]
			}
			if m.routerOn[r] != on {
				p.each[r] += c.ApplyRemote
				p.leaves[r] = 1
			} else {
				p.each[r] += c.ApplyCold.At(cycled[on.id])
				p.leaves[r] = c.leaves(cycled[on.id])
			}
		}
		m.partitions = append(m.partitions, p)
		on.agents = append(on.agents, p)
	}
	return m
}

// leaves is the part of the records that stay on their core whose lines leave its caches: all or
// none. They do if it is not known what fits.
func (c *Calibration) leaves(cycled float64) float64 {
	if len(c.RouteCold) > 0 && c.RouteCold.At(cycled) == 0 {
		return 0
	}
	return 1
}

// begin begins to count, after the warm-up.
func (m *simulation) begin(at float64) {
	m.advance(at)
	m.counting = true
	m.res, m.waits, m.out = Result{}, 0, 0
}

// advance goes on to a time.
func (m *simulation) advance(to float64) {
	m.now = to
	m.res.Queued += m.inRings * (to - m.looked)
	m.looked = to
	if to >= m.nextEpoch {
		m.nextEpoch = to + m.EpochInterval
		m.raised++
	}
}

// step ends the step of a runner and begins its next one.
func (m *simulation) step(r *runner) {
	if r.effects != nil {
		done := r.effects
		r.effects = nil
		done()
	}
	for range r.agents {
		a := r.agents[r.next]
		r.next = (r.next + 1) % len(r.agents)
		var took, bytes float64
		var effects func()
		switch a := a.(type) {
		case *router:
			var records float64
			took, records, effects = m.route(a)
			bytes = records * a.leaves * m.Bytes * 2 / 3 // fetched to be written, and written back
		case *partition:
			took, bytes, effects = m.apply(a)
		}
		if took == 0 {
			continue
		}
		end := m.now + took
		if m.shape.Bandwidth > 0 {
			m.memory = max(m.memory, m.now) + bytes/m.shape.Bandwidth
			end = max(end, m.memory)
		}
		m.res.Bytes += bytes
		m.res.Busy += end - m.now
		r.at, r.effects = end, effects
		heap.Push(&m.events, r)
		return
	}
	r.idle = true
}

// wake has a runner look for work if it has none.
func (m *simulation) wake(r *runner) {
	if r.idle {
		r.idle = false
		r.at = m.now
		heap.Push(&m.events, r)
	}
}

// route is the Step of a router: a batch, or as much of it as there is room for.
func (m *simulation) route(r *router) (took, records float64, effects func()) {
	type sent struct {
		p int
		c chunk
	}
	var out []sent
	send := func(p int, c chunk) {
		c.reader = r.id
		out = append(out, sent{p, c})
		r.rings[p].queued++
	}
	if r.left == 0 && m.raised > r.epoch {
		for p := range r.rings {
			if g := &r.rings[p]; g.queued+2 > g.slots {
				return 0, 0, nil
			}
		}
		r.epoch++
		for p := range r.rings {
			if g := &r.rings[p]; g.open > 0 {
				send(p, chunk{rows: g.open})
				g.open = 0
			}
			send(p, chunk{mark: true})
		}
		took = 1
	} else {
		if r.left == 0 {
			r.left = batchRows
			took += m.Batch
		}
		for r.left > 0 && r.fits(m) {
			for p := range r.rings {
				g := &r.rings[p]
				g.owed += m.weights[p] * stripeRows
				n := float64(int(g.owed))
				g.owed -= n
				if n > 0 && g.open+n > float64(m.ChunkRows) {
					send(p, chunk{rows: g.open})
					g.open = 0
				}
				g.open += n
			}
			r.left -= stripeRows
			records += stripeRows
		}
		for p := range r.rings {
			if g := &r.rings[p]; g.open > 0 && g.queued == 0 {
				send(p, chunk{rows: g.open})
				g.open = 0
			}
		}
		if records == 0 && len(out) == 0 {
			return 0, 0, nil
		}
	}
	took += records*r.each + float64(len(out))*m.RouteChunk
	return max(took, 1), records, func() {
		for _, s := range out {
			s.c.since = m.now
			m.arrive(m.partitions[s.p], s.c)
		}
	}
}

// fits says whether the next stripe fits the open chunks or the rings.
func (r *router) fits(m *simulation) bool {
	for p := range r.rings {
		g := &r.rings[p]
		if g.open+g.owed+m.weights[p]*stripeRows >= float64(m.ChunkRows) && g.queued >= g.slots {
			return false
		}
		if g.open == 0 && g.queued >= g.slots && g.owed+m.weights[p]*stripeRows >= 1 {
			return false
		}
	}
	return true
}

// arrive puts a chunk into its ring.
func (m *simulation) arrive(p *partition, c chunk) {
	m.inRings += c.rows
	m.res.Arrived += c.rows
	g := &m.routers[c.reader].rings[p.id]
	g.chunks = append(g.chunks, c)
	m.wake(m.partOn[p.id])
}

// apply is the Step of a partition: some chunks, ring by ring, and the answer to an epoch. It
// returns the time, the bytes from memory and the effects.
func (m *simulation) apply(p *partition) (took, bytes float64, effects func()) {
	var taken []chunk
	records := 0.0
	work := 0
	for range m.routers {
		g := &m.routers[p.next].rings[p.id]
		reader := p.next
		p.next = (p.next + 1) % len(m.routers)
		n := 0
		for n < len(g.chunks) && work < chunksPerStep && !g.held {
			c := g.chunks[n]
			n++
			work++
			if c.mark { // it stays in the ring until the epoch is answered
				g.held = true
				p.marks++
				break
			}
			took += c.rows*p.each[reader] + m.ApplyChunk
			records += c.rows
			bytes += c.rows * p.leaves[reader] * m.Bytes / 3
			g.rows += c.rows
			g.n++
			taken = append(taken, c)
		}
		g.chunks = g.chunks[n:]
		if work == chunksPerStep {
			break
		}
	}
	answers := p.marks == len(m.routers)
	if work == 0 && !answers {
		return 0, 0, nil
	}
	if answers {
		took += m.Epoch
		p.marks = 0
	}
	took += m.Poll * float64(len(m.routers))
	return max(took, 1), bytes, func() {
		for _, c := range taken {
			m.release(p, c)
		}
		m.res.Records += records
		if answers {
			m.answer(p)
		}
	}
}

// release takes a chunk out of its ring.
func (m *simulation) release(p *partition, c chunk) {
	m.inRings -= c.rows
	m.waits += c.rows * (m.now - c.since)
	m.out += c.rows
	m.routers[c.reader].rings[p.id].queued--
	m.wake(m.routerOn[c.reader])
}

// answer ends an epoch at a partition: the rings go on.
func (m *simulation) answer(p *partition) {
	p.epoch++
	if p.id == 0 {
		m.res.Epochs++
	}
	for id, r := range m.routers {
		r.rings[p.id].held = false
		m.release(p, chunk{reader: id})
	}
	m.wake(m.partOn[p.id])
}
