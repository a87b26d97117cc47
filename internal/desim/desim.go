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
)

// What the engine does at once.
const (
	batchRows     = 2048
	stripeRows    = 512
	chunksPerStep = 4
)

// A Calibration is how long the parts of the work take, in nanoseconds.
type Calibration struct {
	Route       float64 `json:"route_ns"`        // a record, at its router, to the same core
	RouteRemote float64 `json:"route_remote_ns"` // to another core
	// RouteOne is Route if there is one partition: then records are copied and not scattered.
	RouteOne float64 `json:"route_one_ns"`
	Apply    float64 `json:"apply_ns"`        // a record from the same core, at its partition
	Remote   float64 `json:"apply_remote_ns"` // from another core
	Batch    float64 `json:"batch_ns"`        // a batch, beside its records
	Chunk    float64 `json:"chunk_ns"`        // a chunk, beside its records, half on either side
	Poll     float64 `json:"poll_ns"`         // a look at a ring, of a partition
	Epoch    float64 `json:"epoch_ns"`        // an epoch, of a partition, beside its marks

	ChunkRows     int     `json:"chunk_rows"`
	RingSlots     int     `json:"ring_slots"`       // between cores
	LocalSlots    int     `json:"local_ring_slots"` // on one core
	EpochInterval float64 `json:"epoch_interval_ns"`
	Bytes         float64 `json:"bytes_per_record"` // that go to memory and come from there
}

// A Shape is what is simulated.
type Shape struct {
	Readers, Partitions, Cores int
	// Weights is the part of the records that each partition gets; nil is the same for all.
	Weights []float64
	// Slow is how many times as long each partition takes for a record; nil is once.
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
}

// PerSecond is the throughput.
func (r *Result) PerSecond() float64 { return r.Records / r.Nanos * 1e9 }

// Validate says what is wrong with a calibration.
func (c *Calibration) Validate() error {
	var faults []error
	for _, f := range []struct {
		name  string
		v     float64
		least string
	}{
		{"route_ns", c.Route, "more than 0"},
		{"route_remote_ns", c.RouteRemote, "more than 0"},
		{"route_one_ns", c.RouteOne, "more than 0"},
		{"apply_ns", c.Apply, "more than 0"},
		{"apply_remote_ns", c.Remote, "more than 0"},
		{"epoch_interval_ns", c.EpochInterval, "more than 0"},
		{"chunk_rows", float64(c.ChunkRows), "more than 0"},
		{"ring_slots", float64(c.RingSlots), "more than 0"},
		{"local_ring_slots", float64(c.LocalSlots), "more than 0"},
		{"batch_ns", c.Batch, "0 or more"},
		{"chunk_ns", c.Chunk, "0 or more"},
		{"poll_ns", c.Poll, "0 or more"},
		{"epoch_ns", c.Epoch, "0 or more"},
		{"bytes_per_record", c.Bytes, "0 or more"},
	} {
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

// A chunk is records on their way, or the mark of an epoch if rows is 0.
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
	held          bool    // the mark of the next epoch is in front
	later         []chunk // what came after that mark
}

type router struct {
	id, epoch int
	left      int     // rows of the batch at hand
	each      float64 // how long a record takes, on average over the partitions
	rings     []ringState
}

type partition struct {
	id, epoch, marks int
	queue            []chunk // of all rings, in the order in which they came
	remote           []bool  // by reader
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

// Run simulates the shape for that many nanoseconds, after a warm-up of half as many.
func Run(c Calibration, s Shape, nanos float64) (Result, error) {
	if err := c.Validate(); err != nil {
		return Result{}, err
	}
	if s.Readers < 1 || s.Partitions < 1 || s.Cores < 1 || !(nanos > 0) {
		return Result{}, fmt.Errorf("model: %d readers, %d partitions, %d cores for %v ns, expected at least 1 of each",
			s.Readers, s.Partitions, s.Cores, nanos)
	}
	m := newSimulation(c, s)
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
	return m.res, nil
}

func newSimulation(c Calibration, s Shape) *simulation {
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
		for p := range r.rings {
			r.rings[p].slots = c.RingSlots
			if m.partOn[p] == m.routerOn[i] {
				r.rings[p].slots = c.LocalSlots
				r.each += m.weights[p] * c.Route
			} else {
				r.each += m.weights[p] * c.RouteRemote
			}
		}
		if s.Partitions == 1 {
			r.each += c.RouteOne - c.Route
		}
		m.routers = append(m.routers, r)
		m.routerOn[i].agents = append(m.routerOn[i].agents, r)
	}
	for i := range s.Partitions {
		p := &partition{id: i, remote: make([]bool, s.Readers)}
		for r := range p.remote {
			p.remote[r] = m.routerOn[r] != m.partOn[i]
		}
		m.partitions = append(m.partitions, p)
		m.partOn[i].agents = append(m.partOn[i].agents, p)
	}
	return m
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
			took, bytes, effects = m.route(a)
			bytes *= m.Bytes * 2 / 3 // the chunk is fetched to be written, and written back
		case *partition:
			took, bytes, effects = m.apply(a)
			bytes *= m.Bytes / 3
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
	took += records*r.each + float64(len(out))*m.Chunk/2
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

// arrive puts a chunk into the queue of a partition. If a mark waits for others in its ring, the
// chunk waits too.
func (m *simulation) arrive(p *partition, c chunk) {
	m.inRings += c.rows
	m.res.Arrived += c.rows
	g := &m.routers[c.reader].rings[p.id]
	switch {
	case g.held:
		g.later = append(g.later, c)
	case c.mark:
		g.held = true
		p.marks++
		m.wake(m.partOn[p.id])
	default:
		p.queue = append(p.queue, c)
		m.wake(m.partOn[p.id])
	}
}

// apply is the Step of a partition: some chunks, or the answer to an epoch.
func (m *simulation) apply(p *partition) (took, records float64, effects func()) {
	taken := p.queue[:min(chunksPerStep, len(p.queue))]
	slow := 1.0
	if m.shape.Slow != nil {
		slow = m.shape.Slow[p.id]
	}
	for _, c := range taken {
		each := m.Apply
		if p.remote[c.reader] {
			each = m.Remote
		}
		took += c.rows*each*slow + m.Chunk/2
		records += c.rows
	}
	if len(taken) == 0 {
		if p.marks < len(m.routers) {
			return 0, 0, nil
		}
		return max(m.Epoch, 1), 0, func() { m.answer(p) }
	}
	taken = append([]chunk(nil), taken...)
	p.queue = p.queue[len(taken):]
	took += m.Poll * float64(len(m.routers))
	return max(took, 1), records, func() {
		for _, c := range taken {
			m.release(p, c)
		}
		m.res.Records += records
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
	p.marks = 0
	p.epoch++
	if p.id == 0 {
		m.res.Epochs++
	}
	for id, r := range m.routers {
		g := &r.rings[p.id]
		g.held = false
		m.release(p, chunk{reader: id})
		later := g.later
		g.later = nil
		for _, c := range later {
			m.inRings -= c.rows // arrive counts it again
			m.res.Arrived -= c.rows
			m.arrive(p, c)
		}
	}
}
