package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/velo-engine/velo/internal/invariants"
)

// # The memory of responses
//
// The client reads each response into memory of its own, which it allocates anew. For fetch
// responses that is as much memory as there are records: it has to be cleared, paged in and
// collected, which takes more CPU time than parsing the values. So large fetch responses are taken
// off the connection before the client sees them:
//
//	broker --> fetchConn --> client: everything else, and in the place of a large fetch
//	               |         response an empty one, whose session id is a token
//	               v
//	           responses: the large response, in memory that is used again
//
// consumer.fetch exchanges the empty response for the one of its token. Each chunk that is queued
// holds the memory; when the reader has read all of them, it goes back to responses. Memory that is
// never given back is collected, so an error path may forget it.
//
// The client still makes the connection, authenticates, and sees throttling. A dialer of the user's
// own is kept. Where nothing can be exchanged (brokers before Kafka 1.1 have no session ids) the
// client's response is used as it is; TestResponsesTwin compares both ways.

const (
	// smallResponse is the size up to which a response is left to the client: its memory would be
	// held by few records.
	smallResponse = 64 << 10

	// largestResponse is the size from which on it is, too.
	largestResponse = maxFetchBytes + 1<<20

	// maxFree bounds the memory that waits to be used again, and maxFreeBuffers how many pieces it
	// is in.
	maxFree        = 32 << 20
	maxFreeBuffers = 64

	// maxArrived bounds the responses that were taken off and that nobody has collected, and the
	// requests of a connection whose responses have not come.
	maxArrived = 64

	// sessionVersion is the first version of fetch responses that has a session id, and
	// flexibleVersion the first with tags after the correlation id.
	sessionVersion  = 7
	flexibleVersion = 12

	// requestHead is the length, key, version and correlation id of a request, and responseHead the
	// length and correlation id of a response.
	requestHead  = 12
	responseHead = 8
	lengthBytes  = 4
)

// responses has the memory of large fetch responses.
type responses struct {
	mu        sync.Mutex
	free      [][]byte
	freeBytes int
	arrived   map[int32]*response
	token     int32
}

// response is a fetch response with its memory.
type response struct {
	fetch *kmsg.FetchResponse
	err   error // why it cannot be parsed
	buf   []byte
	of    *responses
	held  int // by the goroutine that fetches and by chunks; under of.mu
}

func newResponses() *responses { return &responses{arrived: map[int32]*response{}} }

// take takes memory of n bytes, with what was there before.
func (r *responses) take(n int) []byte {
	r.mu.Lock()
	best := -1
	for i, b := range r.free {
		if cap(b) >= n && cap(b) <= 2*n && (best < 0 || cap(b) < cap(r.free[best])) {
			best = i
		}
	}
	if best >= 0 {
		b := r.free[best]
		r.free = slices.Delete(r.free, best, best+1)
		r.freeBytes -= cap(b)
		r.mu.Unlock()
		return b[:n]
	}
	r.mu.Unlock()
	room := n + n/8 // responses have about the same size, and seldom exactly
	return make([]byte, n, (room+smallResponse-1)/smallResponse*smallResponse)
}

// give takes memory back.
func (r *responses) give(b []byte) {
	if invariants.Enabled { // who still reads it shall notice
		for i := range b {
			b[i] = 0xDB
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.free) > 0 && (r.freeBytes+cap(b) > maxFree || len(r.free) == maxFreeBuffers) {
		r.freeBytes -= cap(r.free[0]) // the oldest
		r.free = slices.Delete(r.free, 0, 1)
	}
	if cap(b) <= maxFree {
		r.free = append(r.free, b[:0])
		r.freeBytes += cap(b)
	}
}

// hold keeps the memory for one more chunk.
func (p *response) hold() {
	if p != nil {
		p.of.mu.Lock()
		p.held++
		p.of.mu.Unlock()
	}
}

// release ends a hold, or the first one, which collect has made.
func (p *response) release() {
	if p == nil {
		return
	}
	p.of.mu.Lock()
	p.held--
	held := p.held
	p.of.mu.Unlock()
	if held < 0 {
		panic("kafka: the memory of a response was released twice")
	}
	if held == 0 {
		p.of.give(p.buf)
	}
}

// arrive takes a response in, and returns its token: a negative number, as no session has. It is 0
// if too many were not collected.
func (r *responses) arrive(p *response) int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.arrived) >= maxArrived {
		return 0
	}
	r.token--
	if r.token >= 0 {
		r.token = -1
	}
	p.held = 1
	r.arrived[r.token] = p
	return r.token
}

// collect returns the response that an empty one stands for; nil if it stands for itself.
func (r *responses) collect(f *kmsg.FetchResponse) *response {
	if f.SessionID >= 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.arrived[f.SessionID]
	delete(r.arrived, f.SessionID)
	return p
}

// dialer makes the connections of a client into fetchConns. It keeps the dialer, or the TLS, that
// the options say.
func (r *responses) dialer(opts []kgo.Opt) ([]kgo.Opt, error) {
	probe, err := kgo.NewClient(opts...) // it makes no connection
	if err != nil {
		return nil, err
	}
	dial, ok := probe.OptValue(kgo.Dialer).(func(context.Context, string, string) (net.Conn, error))
	probe.Close()
	if !ok || dial == nil {
		return opts, nil
	}
	wrapped := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &fetchConn{Conn: conn, to: r, asked: map[int32]int16{}}, nil
	}
	return append(opts[:len(opts):len(opts)], kgo.DialTLSConfig(nil), kgo.Dialer(wrapped)), nil
}

// fetchConn is a connection that takes large fetch responses off. The client writes whole requests
// in one goroutine, and reads in another one.
type fetchConn struct {
	net.Conn
	to *responses

	mu sync.Mutex
	// asked has the versions of the fetch requests that were sent, by their correlation ids.
	asked map[int32]int16
	// off says that what goes over the connection is not understood, and is left alone from now on.
	off bool

	// The next fields belong to the goroutine that reads: the rest of what the client gets instead
	// of what has come, where it is kept, and how much of the response at hand the client reads
	// itself.
	ready  []byte
	memory []byte
	rest   int
}

// Write sends requests, and notes those that fetch.
func (c *fetchConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	for at := b; len(at) > 0 && !c.off; {
		n := -1
		if len(at) >= lengthBytes {
			n = int(int32(binary.BigEndian.Uint32(at)))
		}
		if n < 0 || n > len(at)-lengthBytes { // not whole requests
			c.off = true
			break
		}
		if n >= requestHead-lengthBytes && binary.BigEndian.Uint16(at[4:]) == uint16(kmsg.Fetch) {
			version := int16(binary.BigEndian.Uint16(at[6:]))
			if version >= sessionVersion && len(c.asked) < maxArrived {
				c.asked[int32(binary.BigEndian.Uint32(at[8:]))] = version
			}
		}
		at = at[lengthBytes+n:]
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// Read gives the client responses.
func (c *fetchConn) Read(b []byte) (int, error) {
	if len(c.ready) == 0 && c.rest == 0 && !c.isOff() {
		err := c.begin()
		if err != nil {
			return 0, err
		}
	}
	if len(c.ready) > 0 {
		n := copy(b, c.ready)
		c.ready = c.ready[n:]
		return n, nil
	}
	if c.rest == 0 { // it is off
		return c.Conn.Read(b)
	}
	n, err := c.Conn.Read(b[:min(len(b), c.rest)])
	c.rest -= n
	return n, err
}

func (c *fetchConn) isOff() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off
}

// begin reads the head of the next response, and the whole of it if it is taken off.
func (c *fetchConn) begin() error {
	c.memory = slices.Grow(c.memory[:0], responseHead)
	head := c.memory[:responseHead]
	n, err := io.ReadFull(c.Conn, head)
	if n == 0 {
		return err
	}
	if err != nil {
		c.ready = head[:n] // who reads on gets the error
		return nil
	}
	c.ready = head
	size := int(int32(binary.BigEndian.Uint32(head)))
	id := int32(binary.BigEndian.Uint32(head[lengthBytes:]))
	c.mu.Lock()
	version, isFetch := c.asked[id]
	delete(c.asked, id)
	if size < responseHead-lengthBytes {
		c.off = true // no response
	}
	off := c.off
	c.mu.Unlock()
	if off {
		return nil
	}
	c.rest = size - (responseHead - lengthBytes)
	if !isFetch || size <= smallResponse || size > largestResponse {
		return nil
	}
	p := &response{buf: c.to.take(c.rest), of: c.to}
	c.ready, c.rest = nil, 0
	_, err = io.ReadFull(c.Conn, p.buf)
	if err != nil {
		return fmt.Errorf("a fetch response of %d bytes: %w", size, err)
	}
	c.exchange(head, version, p)
	return nil
}

// exchange parses a response that was taken off, and has the client get an empty one.
func (c *fetchConn) exchange(head []byte, version int16, p *response) {
	f := &kmsg.FetchResponse{Version: version}
	body := p.buf
	if version >= flexibleVersion {
		b := kbin.Reader{Src: p.buf}
		kmsg.SkipTags(&b)
		body, p.err = b.Src, b.Complete()
	}
	if p.err == nil {
		p.err = f.ReadFrom(body)
	}
	p.fetch = f
	token := c.to.arrive(p)
	if token == 0 { // nobody collects them, so the client gets it
		c.ready = append(head, p.buf...)
		return
	}
	empty := kmsg.NewPtrFetchResponse()
	empty.Version, empty.ThrottleMillis, empty.SessionID = version, f.ThrottleMillis, token
	out := head
	if version >= flexibleVersion {
		out = append(out, 0) // no tags
	}
	out = empty.AppendTo(out)
	binary.BigEndian.PutUint32(out, uint32(len(out)-lengthBytes))
	c.memory, c.ready = out, out
}
