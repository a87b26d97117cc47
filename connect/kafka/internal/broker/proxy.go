package broker

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
)

// maxFrame bounds a request or a response.
const maxFrame = 128 << 20

// A Proxy stands between clients and a broker: the broker advertises its address (see
// Listener.Advertised). It loses answers and cuts connections. Its methods are for any goroutine.
type Proxy struct {
	// Address is where it listens.
	Address string

	listener net.Listener
	mu       sync.Mutex
	target   string
	random   *rand.Rand
	keys     []int16
	share    float64
	held     float64
	lost     map[int16]int
	cuts     int
	open     map[*passage]bool
}

// NewProxy makes a proxy, which takes connections when Forward has said where they go.
func NewProxy(seed uint64) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &Proxy{
		Address: l.Addr().String(), listener: l, random: rand.New(rand.NewPCG(seed, 1)), lost: map[int16]int{},
		open: map[*passage]bool{},
	}, nil
}

// Forward begins to take connections, and makes one to the target for each.
func (p *Proxy) Forward(target string) {
	p.target = target
	go func() {
		for {
			c, err := p.listener.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
}

// Lose has a share of the answers to requests with these keys lost, after the broker has carried
// them out. A part of those, held, is lost in silence: the connection stays open, and nothing more
// comes out of it. Otherwise it is closed.
func (p *Proxy) Lose(share, held float64, keys ...int16) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.share, p.held, p.keys = share, held, keys
}

// Cut closes all connections, and says how many there were.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	all := p.open
	p.open = map[*passage]bool{}
	p.cuts += len(all)
	p.mu.Unlock()
	for one := range all {
		one.close()
	}
	return len(all)
}

// Lost says how many answers were lost, by the key of the request.
func (p *Proxy) Lost() map[int16]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[int16]int{}
	for key, n := range p.lost {
		all[key] = n
	}
	return all
}

// Close ends the proxy and its connections.
func (p *Proxy) Close() {
	_ = p.listener.Close()
	p.Cut()
}

// passage is a connection through the proxy.
type passage struct {
	client, broker net.Conn

	mu sync.Mutex
	// doomed are the requests whose answers will be lost, by correlation id. The values are their
	// keys.
	doomed map[uint32]int16
}

func (c *passage) close() {
	_ = c.client.Close()
	_ = c.broker.Close()
}

// serve passes requests and answers on until either side closes.
func (p *Proxy) serve(client net.Conn) {
	broker, err := net.Dial("tcp", p.target)
	if err != nil {
		// The broker is down: its machine would refuse the connection, and not close it in peace.
		_ = client.(*net.TCPConn).SetLinger(0)
		_ = client.Close()
		return
	}
	c := &passage{client: client, broker: broker, doomed: map[uint32]int16{}}
	p.mu.Lock()
	p.open[c] = true
	p.mu.Unlock()
	go func() {
		defer c.close()
		for p.request(c) == nil {
		}
	}()
	for p.answer(c) == nil {
	}
	c.close()
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
}

// request passes one request on, and decides whether its answer will be lost.
func (p *Proxy) request(c *passage) error {
	var head [12]byte // length, key, version, correlation id
	_, err := io.ReadFull(c.client, head[:])
	if err != nil {
		return err
	}
	key, id := int16(binary.BigEndian.Uint16(head[4:])), binary.BigEndian.Uint32(head[8:])
	p.mu.Lock()
	lose := slices.Contains(p.keys, key) && p.random.Float64() < p.share
	p.mu.Unlock()
	if lose {
		c.mu.Lock()
		c.doomed[id] = key
		c.mu.Unlock()
	}
	return pass(c.broker, c.client, head[:])
}

// answer passes one answer on, or loses it.
func (p *Proxy) answer(c *passage) error {
	var head [8]byte // length, correlation id
	_, err := io.ReadFull(c.broker, head[:])
	if err != nil {
		return err
	}
	c.mu.Lock()
	key, lose := c.doomed[binary.BigEndian.Uint32(head[4:])]
	c.mu.Unlock()
	if !lose {
		return pass(c.client, c.broker, head[:])
	}
	p.mu.Lock()
	p.lost[key]++
	hold := p.random.Float64() < p.held
	p.mu.Unlock()
	if hold {
		_, _ = io.Copy(io.Discard, c.broker)
	}
	return io.EOF
}

// pass passes a frame on whose first bytes are read.
func pass(to io.Writer, from io.Reader, head []byte) error {
	left := int64(binary.BigEndian.Uint32(head)) - int64(len(head)-4)
	if left < 0 || left > maxFrame {
		return io.ErrUnexpectedEOF
	}
	_, err := to.Write(head)
	if err == nil {
		_, err = io.CopyN(to, from, left)
	}
	return err
}
