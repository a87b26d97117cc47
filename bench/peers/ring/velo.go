package main

import "github.com/velo-engine/velo/ring"

// veloPush is velo's ring item by item.
type veloPush struct {
	p *ring.Producer[uint64]
	c *ring.Consumer[uint64]
}

func newVeloPush(slots int) pipe {
	p, c := ring.New[uint64](slots)
	return &veloPush{p, c}
}

func (q *veloPush) produce(first uint64, n int) {
	p := q.p
	for v := first; v != first+uint64(n); v++ {
		for !p.Push(v) {
			relax()
		}
	}
	p.Flush()
}

func (q *veloPush) consume(first uint64, n int) (wrong uint64) {
	c := q.c
	for want := first; want != first+uint64(n); want++ {
		v, ok := c.Pop()
		for !ok {
			relax()
			v, ok = c.Pop()
		}
		wrong |= v ^ want
	}
	return wrong
}

// veloBatch is velo's ring with batches copied in and out.
type veloBatch struct {
	veloPush
	src, dst []uint64
	all      bool // number and check every item, not only the first and the last of a batch
}

func veloBatchOf(batch int) func(slots int) pipe {
	return func(slots int) pipe {
		p, c := ring.New[uint64](slots)
		return &veloBatch{veloPush{p, c}, make([]uint64, batch), make([]uint64, batch), false}
	}
}

func (q *veloBatch) produce(first uint64, n int) {
	for n > 0 {
		batch := q.src[:min(n, len(q.src))]
		if q.all {
			for i := range batch {
				batch[i] = first + uint64(i)
			}
		}
		batch[0], batch[len(batch)-1] = first, first+uint64(len(batch))-1
		first += uint64(len(batch))
		n -= len(batch)
		for len(batch) > 0 {
			k := q.p.PushN(batch)
			if k == 0 {
				relax()
			}
			batch = batch[k:]
		}
	}
}

func (q *veloBatch) consume(first uint64, n int) (wrong uint64) {
	for n > 0 {
		batch := q.dst[:min(n, len(q.dst))]
		for have := 0; have < len(batch); {
			k := q.c.PopN(batch[have:])
			if k == 0 {
				relax()
			}
			have += k
		}
		if q.all {
			for i, v := range batch {
				wrong |= v ^ (first + uint64(i))
			}
		}
		wrong |= (batch[0] ^ first) | (batch[len(batch)-1] ^ (first + uint64(len(batch)) - 1))
		first += uint64(len(batch))
		n -= len(batch)
	}
	return wrong
}

// veloInPlace is velo's ring with items written and read where they lie.
type veloInPlace struct {
	veloPush
	batch int
}

func veloInPlaceOf(batch int) func(slots int) pipe {
	return func(slots int) pipe {
		p, c := ring.New[uint64](slots)
		return &veloInPlace{veloPush{p, c}, batch}
	}
}

func (q *veloInPlace) produce(first uint64, n int) {
	for n > 0 {
		s := q.p.Reserve(min(n, q.batch))
		if len(s) == 0 {
			relax()
			continue
		}
		for i := range s {
			s[i] = first + uint64(i)
		}
		q.p.Commit(len(s))
		first += uint64(len(s))
		n -= len(s)
	}
}

func (q *veloInPlace) consume(first uint64, n int) (wrong uint64) {
	for n > 0 {
		s := q.c.Peek(min(n, q.batch))
		if len(s) == 0 {
			relax()
			continue
		}
		for i, v := range s {
			wrong |= v ^ (first + uint64(i))
		}
		q.c.Release(len(s))
		first += uint64(len(s))
		n -= len(s)
	}
	return wrong
}
