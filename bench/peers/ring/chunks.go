package main

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/velo-engine/velo/ring"
)

// chunk is a large item; its first and last word carry its number.
type chunk [chunkBytes]byte

func (c *chunk) number(v uint64) {
	binary.LittleEndian.PutUint64(c[:8], v)
	binary.LittleEndian.PutUint64(c[chunkBytes-8:], v)
}

func (c *chunk) differs(v uint64) uint64 {
	return (binary.LittleEndian.Uint64(c[:8]) ^ v) | (binary.LittleEndian.Uint64(c[chunkBytes-8:]) ^ v)
}

// veloChunks is velo's ring with large slots. They are written and read as a whole where they lie:
// copied from src and to dst.
type veloChunks struct {
	p        *ring.Producer[chunk]
	c        *ring.Consumer[chunk]
	src, dst *chunk
}

func newVeloChunks(int) pipe {
	p, c := ring.New[chunk](chunkSlots)
	return &veloChunks{p, c, new(chunk), new(chunk)}
}

func (q *veloChunks) produce(first uint64, n int) {
	for v := first; v != first+uint64(n); v++ {
		q.src.number(v)
		s := q.p.Reserve(1)
		for len(s) == 0 {
			relax()
			s = q.p.Reserve(1)
		}
		copy(s[0][:], q.src[:])
		q.p.Commit(1)
	}
}

func (q *veloChunks) consume(first uint64, n int) (wrong uint64) {
	for want := first; want != first+uint64(n); want++ {
		s := q.c.Peek(1)
		for len(s) == 0 {
			relax()
			s = q.c.Peek(1)
		}
		copy(q.dst[:], s[0][:])
		q.c.Release(1)
		wrong |= q.dst.differs(want)
	}
	return wrong
}

// plainCopy is the limit for large slots: copies into and out of buffers that change hands by two
// counters, and nothing else.
type plainCopy struct {
	_        [128]byte
	written  atomic.Uint64 // written by the producer
	_        [120]byte
	read     atomic.Uint64 // written by the consumer
	_        [120]byte
	buffers  [chunkSlots]chunk
	_        [128]byte
	src, dst *chunk
}

func newPlainCopy(int) pipe { return &plainCopy{src: new(chunk), dst: new(chunk)} }

func (q *plainCopy) produce(first uint64, n int) {
	for v := first; v != first+uint64(n); v++ {
		q.src.number(v)
		for v-q.read.Load() >= chunkSlots {
			relax()
		}
		copy(q.buffers[v%chunkSlots][:], q.src[:])
		q.written.Store(v + 1)
	}
}

func (q *plainCopy) consume(first uint64, n int) (wrong uint64) {
	for want := first; want != first+uint64(n); want++ {
		for q.written.Load() <= want {
			relax()
		}
		copy(q.dst[:], q.buffers[want%chunkSlots][:])
		q.read.Store(want + 1)
		wrong |= q.dst.differs(want)
	}
	return wrong
}
