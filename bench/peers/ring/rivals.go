package main

import (
	"sync/atomic"

	"github.com/Workiva/go-datastructures/queue"
	"github.com/puzpuzpuz/xsync/v4"
)

// xsyncQueue is the SPSC queue of xsync.
type xsyncQueue struct{ q *xsync.SPSCQueue[uint64] }

func newXsync(slots int) pipe { return &xsyncQueue{xsync.NewSPSCQueue[uint64](slots)} }

func (q *xsyncQueue) produce(first uint64, n int) {
	x := q.q
	for v := first; v != first+uint64(n); v++ {
		for !x.TryEnqueue(v) {
			relax()
		}
	}
}

func (q *xsyncQueue) consume(first uint64, n int) (wrong uint64) {
	x := q.q
	for want := first; want != first+uint64(n); want++ {
		v, ok := x.TryDequeue()
		for !ok {
			relax()
			v, ok = x.TryDequeue()
		}
		wrong |= v ^ want
	}
	return wrong
}

// channel is a buffered channel.
type channel chan uint64

func newChannel(slots int) pipe { return make(channel, slots) }

func (q channel) produce(first uint64, n int) {
	for v := first; v != first+uint64(n); v++ {
		q <- v
	}
}

func (q channel) consume(first uint64, n int) (wrong uint64) {
	for want := first; want != first+uint64(n); want++ {
		wrong |= <-q ^ want
	}
	return wrong
}

// workiva is the RingBuffer of go-datastructures, for many producers and consumers. It takes values
// as interfaces, so that a number is boxed. Put and Get wait by themselves. Offer, which does not
// wait, sometimes says full although the buffer is not.
type workiva struct{ q *queue.RingBuffer }

func newWorkiva(slots int) pipe { return &workiva{queue.NewRingBuffer(uint64(slots))} }

func (q *workiva) produce(first uint64, n int) {
	for v := first; v != first+uint64(n); v++ {
		if err := q.q.Put(v); err != nil {
			panic(err) // it was disposed of, which never happens here
		}
	}
}

func (q *workiva) consume(first uint64, n int) (wrong uint64) {
	for want := first; want != first+uint64(n); want++ {
		v, err := q.q.Get()
		if err != nil {
			panic(err)
		}
		wrong |= v.(uint64) ^ want
	}
	return wrong
}

// word is the least that can pass a number: one word on cache lines of its own. Two of them are the
// floor of a round trip.
type word struct {
	_ [128]byte
	w atomic.Uint64
	_ [120]byte
}

func newWord(int) pipe {
	q := new(word)
	q.w.Store(^uint64(0)) // no number yet
	return q
}

// produce sends one number: there is no room for more.
func (q *word) produce(v uint64, _ int) { q.w.Store(v) }

func (q *word) consume(v uint64, _ int) (wrong uint64) {
	for q.w.Load() != v {
		relax()
	}
	return 0
}
