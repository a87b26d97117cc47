package readers

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/record"
)

// Limits and defaults of listeners.
const (
	// DefaultConnections is how many connections a listener holds at the same time.
	DefaultConnections = 256
	maxConnections     = 1 << 16

	// DefaultListenBlockBytes and DefaultListenRecordBytes are smaller than those of files, because every connection has buffers of its own: with them
	// it has less than half a megabyte, and most have much less.
	DefaultListenBlockBytes  = 64 << 10
	DefaultListenRecordBytes = 64 << 10

	// DefaultAdmitWithin is how long a connection may take for its handshake and its token.
	DefaultAdmitWithin = 5 * time.Second

	// DefaultIdle is how long a connection may bring no record and keep its place when another one needs it.
	DefaultIdle = 30 * time.Second

	// evictWait is how long a connection that has just come waits for the place of one that is sent away.
	evictWait = 100 * time.Millisecond

	// MinTokenBytes and MaxTokenBytes bound a token: a shorter one can be guessed, and of a longer first line nothing is kept.
	MinTokenBytes = 16
	MaxTokenBytes = 1024

	// connStretches is how many stretches a connection has: one is filled while one is parsed.
	connStretches = 2

	// endGrace is how long connections are read on after End, for what they had sent before: the kernel may not have handed it over yet.
	endGrace = 100 * time.Millisecond

	// acceptPauseMin and acceptPauseMax are how long no connection is taken after one could not be, doubling: the process may have no descriptor left.
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// ListenConfig says where to listen, and whom to let in.
type ListenConfig struct {
	// Network is "tcp" or "unix"; "" is "tcp".
	Network string

	// Address is host:port for tcp, where no host is 127.0.0.1 and port 0 one that is free, or the path of a unix socket.
	Address string

	// Token is what the first line of each connection must be; "" lets everybody in who can connect. The line is no record, and offsets
	// and lines begin behind it.
	Token string

	// TLS has the certificate, and whatever else a handshake shall ask for; nil is a connection without.
	TLS *tls.Config

	Connections int           // that may be open at the same time; 0 is DefaultConnections
	AdmitWithin time.Duration // for the handshake and the token together; 0 is DefaultAdmitWithin

	// Idle is for how long a connection that brings no whole record keeps its place when all are taken and another one comes; 0 is
	// DefaultIdle. One that has never brought a record keeps it for AdmitWithin. The one that has been silent for the longest is closed. So
	// neither silence nor half lines keep senders out, and where there is room nobody is closed.
	Idle time.Duration

	// PeerConnections is how many connections one address may have at the same time; 0 is any number. It means nothing for unix sockets.
	PeerConnections int
}

// Validate reports every fault at once, but for those of the address that only the system knows.
func (c *ListenConfig) Validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("readers: listen: "+format, args...))
	}
	switch c.Network {
	case "", networkTCP, networkUnix:
	default:
		fault("network %q, expected tcp or unix", c.Network)
	}
	if c.Address == "" {
		fault("no address, expected host:port, or the path of a unix socket")
	}
	if n := len(c.Token); n > 0 && (n < MinTokenBytes || n > MaxTokenBytes) {
		fault("a token of %d bytes, expected %d..%d", n, MinTokenBytes, MaxTokenBytes)
	}
	for _, b := range []byte(c.Token) {
		if b < ' ' || b == 0x7f {
			fault("the token has a control character, expected one line of text")
			break
		}
	}
	if t := c.TLS; t != nil && len(t.Certificates) == 0 && t.GetCertificate == nil && t.GetConfigForClient == nil {
		fault("TLS without a certificate")
	}
	if c.Connections < 0 || c.Connections > maxConnections {
		fault("%d connections, expected 1..%d, or 0 for %d", c.Connections, maxConnections, DefaultConnections)
	}
	if c.AdmitWithin < 0 {
		fault("connections are admitted within %v, expected more than 0, or 0 for %v", c.AdmitWithin, DefaultAdmitWithin)
	}
	if c.Idle < 0 {
		fault("connections that are idle after %v, expected more than 0, or 0 for %v", c.Idle, DefaultIdle)
	}
	if c.PeerConnections < 0 || c.PeerConnections > maxConnections {
		fault("%d connections from one address, expected 1..%d, or 0 for any number", c.PeerConnections, maxConnections)
	}
	return errors.Join(faults...)
}

// A Listener reads lines from connections that others make to it, any number of them one after the other and up to a limit at the same time. A record
// ends with a newline: what a connection has sent behind its last one goes to quarantine, because nobody knows whether that is all of it.
//
// Only this machine is listened to, on a loopback address or a unix socket, unless there are TLS and a token; any other address is refused when
// the listener is made.
//
// Connections do not see each other. Each has a goroutine and buffers of its own, twice BlockBytes and three times MaxRecordBytes at most, and one that
// sends nothing, or half a line, holds up nobody: see ListenConfig.Idle. A panic in a callback of the tls.Config ends that connection. What is wrong with a record costs that record, and goes to quarantine with the connection's name
// before the reason, and offset and line counted in that connection. Records of one connection stay in their order. When the engine takes nothing, a
// connection is read until its buffers are full, and then its sender waits.
//
// It is a Poller, and rings when there is something. It never ends by itself: see End and Close.
type Listener struct {
	cfg      ListenConfig
	listener deadlineListener
	shut     func() error // ends it, and removes the socket's file; again, it does nothing
	parser   parser
	lines    func(io.Reader) *lineStream
	current  connStretch

	full  chan *connStretch // room for all stretches of all connections
	lent  *connStretch
	round int // stretches that are left of the round at hand
	ring  atomic.Pointer[func()]

	mu     sync.Mutex // guards conns, fault and endAt: off the data path
	conns  map[net.Conn]*place
	fault  error          // of the last connection in which user code has panicked
	left   chan struct{}  // a place has become free
	endAt  time.Time      // when the reading ends; zero until End
	active sync.WaitGroup // goroutines of connections, and the one that accepts
	done   chan struct{}  // all of them have ended, so all stretches have been parsed
	closed chan struct{}
	once   sync.Once

	accepted, refused, crowded, evicted, denied, broken, panicked, failed, lineCount, byteCount atomic.Uint64
}

// place is what the listener knows of a connection that has one.
type place struct {
	peer string
	came time.Time

	// since is when the connection began to wait for a record, in nanoseconds of time since came, and notWaiting while it does not. The
	// connection's goroutine writes it, and accept looks when it wants the place: either order is right.
	since   atomic.Int64
	some    atomic.Bool // it has brought a record
	evicted atomic.Bool // it was closed for another: written before it is closed, and looked at after its Read has ended
}

// notWaiting is the value of place.since while a connection is parsed, or waits for that.
const notWaiting = -1

// wait and parse say what the connection does.
func (p *place) wait()  { p.since.Store(int64(time.Since(p.came))) }
func (p *place) parse() { p.since.Store(notWaiting) }

// silent is for how long a connection has brought no record, less what it may: 0 or less where it may stay.
func (p *place) silent(c *ListenConfig) time.Duration {
	since := p.since.Load()
	if since == notWaiting || p.evicted.Load() {
		return 0
	}
	may := c.Idle
	if !p.some.Load() {
		may = min(may, c.AdmitWithin)
	}
	return time.Since(p.came) - time.Duration(since) - may
}

// deadlineListener is what listeners on TCP and on unix sockets have in common.
type deadlineListener interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// ListenDelimited listens for delimited lines. With a Header, the first record of each connection is none. Of BlockBytes and MaxRecordBytes, 0 is
// DefaultListenBlockBytes and DefaultListenRecordBytes. The address is taken when it returns, and connections are made from then on, so the
// listener must be closed also where no engine gets it.
func ListenDelimited(at ListenConfig, cfg DelimitedConfig) (*Listener, error) {
	cfg.BlockBytes, cfg.MaxRecordBytes = cmp.Or(cfg.BlockBytes, DefaultListenBlockBytes), cmp.Or(cfg.MaxRecordBytes, DefaultListenRecordBytes)
	format, err := newDelimitedFormat(cfg)
	if err != nil {
		return nil, errors.Join(at.Validate(), err)
	}
	p := newDelimitedParser(format)
	c := &format.cfg
	return newListener(at, &p, func(in io.Reader) *lineStream {
		return newLineStream(in, c.BlockBytes, c.MaxRecordBytes, format.quoting, format.newHeadScan())
	})
}

// ListenNDJSON listens for JSON lines, as ListenDelimited does.
func ListenNDJSON(at ListenConfig, cfg NDJSONConfig) (*Listener, error) {
	cfg.BlockBytes, cfg.MaxRecordBytes = cmp.Or(cfg.BlockBytes, DefaultListenBlockBytes), cmp.Or(cfg.MaxRecordBytes, DefaultListenRecordBytes)
	format, err := newJSONFormat(cfg)
	if err != nil {
		return nil, errors.Join(at.Validate(), err)
	}
	c := &format.cfg
	return newListener(at, newJSONParser(format), func(in io.Reader) *lineStream {
		return newLineStream(in, c.BlockBytes, c.MaxRecordBytes, quoting{}, nil)
	})
}

func newListener(at ListenConfig, p parser, lines func(io.Reader) *lineStream) (*Listener, error) {
	if err := at.Validate(); err != nil {
		return nil, err
	}
	at.Network, at.Connections = cmp.Or(at.Network, networkTCP), cmp.Or(at.Connections, DefaultConnections)
	at.AdmitWithin, at.Idle = cmp.Or(at.AdmitWithin, DefaultAdmitWithin), cmp.Or(at.Idle, DefaultIdle)
	socket, remove, err := openSocketFor(&at)
	if err != nil {
		return nil, fmt.Errorf("readers: listen on %s %s: %w", at.Network, at.Address, err)
	}
	l := &Listener{
		cfg: at, listener: socket, shut: sync.OnceValue(func() error { return errors.Join(remove(), socket.Close()) }), parser: p, lines: lines,
		conns: map[net.Conn]*place{}, left: make(chan struct{}, 1),
		full: make(chan *connStretch, connStretches*at.Connections), done: make(chan struct{}), closed: make(chan struct{}),
	}
	l.active.Go(l.accept)
	go func() {
		l.active.Wait()
		close(l.done)
		l.wake() // it may be the end
	}()
	return l, nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.listener.Addr() }

// Notify takes the function that is called when there is something to poll.
func (l *Listener) Notify(ring func()) { l.ring.Store(&ring) }

func (l *Listener) wake() {
	if ring := l.ring.Load(); ring != nil {
		(*ring)()
	}
}

// accept takes connections until End or Close. One that cannot be taken does not end it.
func (l *Listener) accept() {
	defer l.shut() // Close says what went wrong
	pause := acceptPauseMin
	for {
		c, err := l.listener.Accept()
		switch {
		case err == nil:
			pause = acceptPauseMin
			p := l.enter(c)
			if p == nil {
				l.refused.Add(1)
				_ = c.Close()
				continue
			}
			number := l.accepted.Add(1)
			l.active.Go(func() { l.serve(c, p, number) })
		case l.over():
			return
		default:
			l.failed.Add(1)
			select {
			case <-time.After(pause):
			case <-l.closed:
				return
			}
			pause = min(2*pause, acceptPauseMax)
		}
	}
}

// over says whether no more connections are to be taken.
func (l *Listener) over() bool {
	select {
	case <-l.closed:
		return true
	default:
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.endAt.IsZero() && !time.Now().Before(l.endAt)
}

// enter notes a connection; nil says that there is no room for it. Where all places are taken it waits a moment for that of a connection which has been
// silent for too long.
func (l *Listener) enter(c net.Conn) *place {
	p := &place{peer: peerOf(c), came: time.Now()}
	var late <-chan time.Time
	for {
		entered, again := l.tryEnter(c, p)
		if entered {
			return p
		}
		if !again {
			return nil
		}
		if late == nil {
			late = time.After(evictWait)
		}
		select {
		case <-l.left:
		case <-l.closed:
			return nil
		case <-late:
			return nil
		}
	}
}

// tryEnter notes a connection if there is room. again says that one was closed for it, and its place will be free.
func (l *Listener) tryEnter(c net.Conn, p *place) (entered, again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		return false, false
	default:
	}
	if most := l.cfg.PeerConnections; most > 0 && p.peer != "" {
		same := 0
		for _, other := range l.conns {
			if other.peer == p.peer {
				same++
			}
		}
		if same >= most {
			l.crowded.Add(1)
			return false, false
		}
	}
	if len(l.conns) < l.cfg.Connections {
		l.conns[c] = p
		return true, false
	}
	var longest net.Conn
	var most time.Duration
	leaving := false
	for other, at := range l.conns {
		leaving = leaving || at.evicted.Load()
		if d := at.silent(&l.cfg); d > most {
			longest, most = other, d
		}
	}
	if longest != nil && !leaving {
		l.evicted.Add(1)
		l.conns[longest].evicted.Store(true)
		_ = longest.Close() // ends its Read
	}
	return false, leaving || longest != nil
}

// peerOf is the address that a connection comes from, without its port; "" where it has none.
func peerOf(c net.Conn) string {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.IP.String()
	}
	return ""
}

// leave makes room for another connection.
func (l *Listener) leave(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	select {
	case l.left <- struct{}{}:
	default:
	}
}

// blame counts a connection that user code has ended, and keeps what it says.
func (l *Listener) blame(fault error) {
	l.panicked.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = fault
}

// within says until when a connection may be waited for, unless the end comes before that; zero is as long as it takes.
func (l *Listener) within(c net.Conn, until time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.endAt.IsZero() && (until.IsZero() || l.endAt.Before(until)) {
		until = l.endAt
	}
	return c.SetDeadline(until)
}

// Poll reads records of one connection, up to the capacity of the batch.
//
// It reads in rounds: the stretches that wait when a round begins, one connection after the other. Until a round has ended its times
// do not count (record.Batch.SetHold): so no record that has been received is late because another connection was parsed before its
// own. What the kernel still has is not received: after the engine has been held up for long, records of connections that
// bring more than their buffers hold can be late by those of others. A longer OutOfOrder keeps windows open for them.
func (l *Listener) Poll(b *record.Batch) error { return l.next(context.Background(), false, b) }

// Read waits for records if there are none.
func (l *Listener) Read(ctx context.Context, b *record.Batch) error { return l.next(ctx, true, b) }

// next reads records of a stretch, and waits for one if it may.
func (l *Listener) next(ctx context.Context, wait bool, b *record.Batch) error {
	w := l.parser.loaded()
	for w.pos == w.end {
		if cut := l.current.cut; cut != nil {
			named := *cut
			named.Reason = fmt.Errorf("%s: %w", l.current.name, cut.Reason)
			if !b.Reject(named) {
				return nil
			}
			l.current.cut = nil
		}
		if len(b.Rejects()) > 0 {
			l.hold(b)
			return nil // of the stretch before
		}
		if some, err := l.take(ctx, wait); !some {
			return err
		}
		if w.pos < w.end {
			l.parser.begin()
		}
	}
	before := len(b.Rejects())
	l.parser.parse(b)
	l.hold(b)
	for i := range b.Rejects()[before:] {
		r := &b.Rejects()[before+i] // the batch's own
		r.Reason = fmt.Errorf("%s: %w", l.current.name, r.Reason)
	}
	return nil
}

// hold says whether the times of a batch that ends where the listener is now count.
func (l *Listener) hold(b *record.Batch) {
	w := l.parser.loaded()
	switch {
	case l.round > 0 || w.pos < w.end:
		b.SetHold(record.HoldRound)
	case len(l.full) > 0:
		b.SetHold(record.HoldRoundEnds)
	default:
		b.SetHold(record.HoldSettled)
	}
}

// take makes the next stretch the current one; false says that there is none now, or with io.EOF that none comes any more.
func (l *Listener) take(ctx context.Context, wait bool) (bool, error) {
	w := l.parser.loaded()
	if l.lent != nil {
		l.lent.buf = w.buf
		l.lent.free <- l.lent // there is room for all stretches of the connection
		l.lent = nil
	}
	*w = stretch{}
	select {
	case l.lent = <-l.full:
	default:
		if !wait {
			select {
			case <-l.done: // a connection ends when all its stretches have come back, so there are none
				return false, io.EOF
			default:
				return false, nil
			}
		}
		select {
		case l.lent = <-l.full:
		case <-l.done:
			return false, io.EOF
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if l.round == 0 {
		l.round = 1 + len(l.full)
	}
	l.round--
	l.current = *l.lent
	*w = l.current.stretch
	return true, nil
}

// End says that nothing more shall be read. What has been read is given out, then the source ends. Connections are read for a tenth of a second
// more, because what they have sent before may still be with the kernel; what is longer on its way, behind an engine that does not keep up, is lost. A line that has
// not ended by then goes to quarantine. Any goroutine may call it, any number of times. An engine's Shutdown stops asking at once: to have all that was
// read, End the listener and then Wait for the engine.
func (l *Listener) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.endAt.IsZero() {
		return
	}
	l.endAt = time.Now().Add(endGrace)
	_ = l.listener.SetDeadline(l.endAt) // where it fails, the listener is closed already
	for c := range l.conns {
		_ = c.SetDeadline(l.endAt)
	}
}

// Close ends all connections at once, and removes the file of a unix socket. It waits for the goroutines, and may be called more than once.
func (l *Listener) Close() (err error) {
	l.once.Do(func() {
		l.mu.Lock()
		close(l.closed)
		for c := range l.conns {
			_ = c.Close() // ends its Read; what the peer thinks of it does not matter any more
		}
		l.mu.Unlock()
		if err = l.shut(); err != nil {
			err = fmt.Errorf("readers: %v: %w", l, err)
		}
		<-l.done
		l.parser.loaded().buf = nil
	})
	return err
}

// String names the reader.
func (l *Listener) String() string { return fmt.Sprintf("%s %v", l.cfg.Network, l.Addr()) }

// ListenStats are the counters of a listener.
type ListenStats struct {
	Open     int    // connections now, those included whose records wait to be polled
	Accepted uint64 // connections that there was room for
	Refused  uint64 // that there was none for: closed at once
	Crowded  uint64 // of these, the ones whose address had PeerConnections already
	Evicted  uint64 // that were closed because they brought no record and another one needed their place
	Denied   uint64 // without the token or the handshake, or too late: closed
	Broken   uint64 // that ended with an error, and not because the other side had closed them
	Panicked uint64 // in which a callback of the tls.Config panicked, or ended its goroutine: closed
	Failed   uint64 // times that the system had a connection and could not give it
	Lines    uint64 // that have ended, headers and rejects included; token lines are none
	Bytes    uint64 // that were read behind the token lines

	Fault error // of the last that Panicked counts: the connection, the panic and its stack
}

// Stats are the counters now. Any goroutine may call it, also after Close.
func (l *Listener) Stats() ListenStats {
	l.mu.Lock()
	open, fault := len(l.conns), l.fault
	l.mu.Unlock()
	return ListenStats{
		Open: open, Accepted: l.accepted.Load(), Refused: l.refused.Load(), Crowded: l.crowded.Load(), Evicted: l.evicted.Load(),
		Denied: l.denied.Load(), Broken: l.broken.Load(), Panicked: l.panicked.Load(), Failed: l.failed.Load(),
		Lines: l.lineCount.Load(), Bytes: l.byteCount.Load(), Fault: fault,
	}
}

// String is the counters in a line. Those that few listeners ever count are there only where they are not 0.
func (s ListenStats) String() string {
	line := fmt.Sprintf("%d connections open, %d accepted, %d refused, %d denied, %d broken, %d not given, %d lines, %d bytes",
		s.Open, s.Accepted, s.Refused, s.Denied, s.Broken, s.Failed, s.Lines, s.Bytes)
	if s.Crowded > 0 {
		line += fmt.Sprintf(", %d of the refused because their address had enough", s.Crowded)
	}
	if s.Evicted > 0 {
		line += fmt.Sprintf(", %d closed for others because they brought no record", s.Evicted)
	}
	if s.Panicked > 0 {
		line += fmt.Sprintf(", %d ended by a panic, the last by %v", s.Panicked, s.Fault)
	}
	return line
}
