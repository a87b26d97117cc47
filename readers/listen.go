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

	// DefaultListenBlockBytes and DefaultListenRecordBytes are smaller than the defaults of files,
	// because every connection has buffers of its own. With them a connection takes less than half
	// a megabyte, and most take much less.
	DefaultListenBlockBytes  = 64 << 10
	DefaultListenRecordBytes = 64 << 10

	// DefaultAdmitWithin is how long a connection may take for its handshake and its token.
	DefaultAdmitWithin = 5 * time.Second

	// DefaultIdle is how long a connection may bring no record and still keep its place when
	// another one needs it.
	DefaultIdle = 30 * time.Second

	// evictWait is how long a new connection waits for the place of one that is being evicted.
	evictWait = 100 * time.Millisecond

	// MinTokenBytes and MaxTokenBytes bound a token. A shorter token can be guessed. Of a first
	// line that is longer, no more is kept.
	MinTokenBytes = 16
	MaxTokenBytes = 1024

	// connStretches is how many stretches a connection has: one is filled while the other is
	// parsed.
	connStretches = 2

	// endGrace is how long connections are still read after End, for what they had sent before: the
	// kernel may not have delivered it yet.
	endGrace = 100 * time.Millisecond

	// acceptPauseMin and acceptPauseMax bound the pause after a connection could not be accepted;
	// the process may have no descriptor left, for example. The pause doubles each time.
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// ListenConfig says where to listen, and whom to let in.
type ListenConfig struct {
	// Network is "tcp" or "unix"; "" is "tcp".
	Network string

	// Address is host:port for tcp, or the path of a unix socket. Without a host it is 127.0.0.1;
	// port 0 is any free port.
	Address string

	// Token is what the first line of each connection must be; "" lets in everybody who can
	// connect. The line is not a record, and offsets and lines are counted from after it.
	Token string

	// TLS has the certificate, and whatever else a handshake shall require. If it is nil,
	// connections do not use TLS.
	TLS *tls.Config

	// Connections is how many may be open at the same time; 0 is DefaultConnections.
	Connections int
	// AdmitWithin is the time for the handshake and the token together; 0 is DefaultAdmitWithin.
	AdmitWithin time.Duration

	// Idle is how long a connection that brings no complete record keeps its place when all places
	// are taken and another connection comes; 0 is DefaultIdle. A connection that has never brought
	// a record keeps its place for AdmitWithin, if that is shorter. The connection that has been
	// silent for the longest beyond its limit is closed. So neither silence nor half lines keep
	// senders out, and as long as there is room nobody is closed.
	Idle time.Duration

	// PeerConnections is how many connections one address may have at the same time; 0 is any
	// number. It means nothing for unix sockets.
	PeerConnections int
}

// Validate reports every fault at once, except faults of the address that only the system can find.
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
		fault("connections are admitted within %v, expected more than 0, or 0 for %v", c.AdmitWithin,
			DefaultAdmitWithin)
	}
	if c.Idle < 0 {
		fault("connections that are idle after %v, expected more than 0, or 0 for %v", c.Idle, DefaultIdle)
	}
	if c.PeerConnections < 0 || c.PeerConnections > maxConnections {
		fault("%d connections from one address, expected 1..%d, or 0 for any number", c.PeerConnections, maxConnections)
	}
	return errors.Join(faults...)
}

// A Listener reads lines from connections that others make to it: any number of them one after the
// other, and up to a limit at the same time. A record ends with a newline. What a connection has
// sent after its last newline goes to quarantine, because nobody knows whether it is complete.
//
// A Listener only listens on this machine, on a loopback address or a unix socket, unless there are
// both TLS and a token. Any other address is refused when the listener is made.
//
// Connections do not affect each other. Each has a goroutine and buffers of its own, at most twice
// BlockBytes and three times MaxRecordBytes. A connection that sends nothing, or half a line, holds
// up nobody: see ListenConfig.Idle. A panic in a callback of the tls.Config ends only that
// connection. A faulty record costs only that record: it goes to quarantine, with the connection's
// name before the reason, and with its offset and line in that connection. Records of one
// connection stay in order. When the engine takes nothing, a connection is read until its buffers
// are full, and then its sender has to wait.
//
// A Listener is a Poller and wakes the engine when there is something to poll. It never ends by
// itself: see End and Close.
type Listener struct {
	cfg      ListenConfig
	listener deadlineListener
	// shut stops listening and removes the socket's file. Calling it again does nothing.
	shut func() error
	// parser parses the current stretch.
	parser parser
	// lines makes the lineStream of a connection.
	lines func(io.Reader) *lineStream
	// current is the stretch that is being parsed.
	current connStretch

	// full carries the stretches to Poll. It has room for all stretches of all connections.
	full chan *connStretch
	// lent is where the current stretch has to be returned to its connection; nil if there is none.
	lent *connStretch
	// round is how many stretches of the current round are still to come.
	round int
	// notify has the function that wakes the engine.
	notify atomic.Pointer[func()]

	// mu guards conns, fault and endAt. It is not on the data path.
	mu sync.Mutex
	// conns has the connections that have a place.
	conns map[net.Conn]*place
	// fault describes the last connection in which user code panicked.
	fault error
	// left gets a value when a place has become free.
	left chan struct{}
	// endAt is when reading ends; zero until End.
	endAt time.Time
	// active counts the goroutines of connections, and the one that accepts.
	active sync.WaitGroup
	// done is closed when all of them have ended, and so all stretches have been parsed.
	done chan struct{}
	// closed is closed by Close.
	closed chan struct{}
	// once guards Close.
	once sync.Once

	// Statistics: the counters of ListenStats.
	accepted, refused, crowded, evicted, denied, broken, panicked, failed, lineCount, byteCount atomic.Uint64
}

// place is what the listener knows about a connection that it holds.
type place struct {
	// peer is the address that the connection comes from, without its port.
	peer string
	// came is when the connection was accepted.
	came time.Time

	// since is when the connection began to wait for a record, in nanoseconds after came, or
	// notWaiting while it does not wait. The connection's goroutine writes it. accept reads it when
	// it wants the place; either order of the two is correct.
	since atomic.Int64
	// some says that the connection has brought a record.
	some atomic.Bool
	// evicted says that the connection was closed to make room for another. It is written before
	// the connection is closed, and read after its Read has ended.
	evicted atomic.Bool
}

// notWaiting is the value of place.since while a connection is parsed, or waits to be parsed.
const notWaiting = -1

// wait notes that the connection waits for a record now, and parse that it does not.
func (p *place) wait()  { p.since.Store(int64(time.Since(p.came))) }
func (p *place) parse() { p.since.Store(notWaiting) }

// silent is how much longer a connection has brought no record than it may. If it is 0 or less, the
// connection may stay.
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

// ListenDelimited listens for delimited lines. With a Header, the first record of each connection
// is its header. If BlockBytes and MaxRecordBytes are 0, they are DefaultListenBlockBytes and
// DefaultListenRecordBytes. The address is in use when ListenDelimited returns, and connections are
// accepted from then on. So the listener must be closed even if it is never given to an engine.
func ListenDelimited(at ListenConfig, cfg DelimitedConfig) (*Listener, error) {
	cfg.BlockBytes, cfg.MaxRecordBytes = cmp.Or(cfg.BlockBytes, DefaultListenBlockBytes),
		cmp.Or(cfg.MaxRecordBytes, DefaultListenRecordBytes)
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
	cfg.BlockBytes, cfg.MaxRecordBytes = cmp.Or(cfg.BlockBytes, DefaultListenBlockBytes),
		cmp.Or(cfg.MaxRecordBytes, DefaultListenRecordBytes)
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
		cfg: at, listener: socket, shut: sync.OnceValue(func() error {
			return errors.Join(remove(), socket.Close())
		}), parser: p, lines: lines,
		conns: map[net.Conn]*place{}, left: make(chan struct{}, 1),
		full: make(chan *connStretch, connStretches*at.Connections), done: make(chan struct{}),
		closed: make(chan struct{}),
	}
	l.active.Go(l.accept)
	go func() {
		l.active.Wait()
		close(l.done)
		l.wake() // it may be the end
	}()
	return l, nil
}

// Addr is the address that it listens on.
func (l *Listener) Addr() net.Addr { return l.listener.Addr() }

// Notify takes the function that is called when there is something to poll.
func (l *Listener) Notify(wake func()) { l.notify.Store(&wake) }

func (l *Listener) wake() {
	if wake := l.notify.Load(); wake != nil {
		(*wake)()
	}
}

// accept takes connections until End or Close. A connection that cannot be accepted does not end
// it.
func (l *Listener) accept() {
	defer l.shut() // Close calls it again and reports its error
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

// over says whether no more connections are to be accepted.
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

// enter notes a connection. It returns nil if there is no room for it. If all places are taken,
// enter waits a moment for the place of a connection that has been silent for too long.
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

// tryEnter notes a connection if there is room. again says that another connection is being closed,
// and that its place will soon be free.
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

// peerOf is the address that a connection comes from, without its port, or "" if it has none.
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

// blame counts a connection that user code has ended, and keeps the fault.
func (l *Listener) blame(fault error) {
	l.panicked.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = fault
}

// within sets the deadline of a connection: until, or endAt if that is earlier. A zero until sets
// no limit of its own.
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
// Poll reads in rounds: the stretches that are waiting when a round begins, one connection after
// the other. Until a round has ended its times do not count (record.Batch.SetHold). So no record
// that has been received is late only because another connection was parsed before its own. What
// the kernel still holds has not been received: after the engine was held up for long, records of
// connections that bring more than their buffers hold can be late because of records of other
// connections. A longer OutOfOrder keeps windows open for them.
func (l *Listener) Poll(b *record.Batch) error { return l.next(context.Background(), false, b) }

// Read is Poll, but waits for records if there are none.
func (l *Listener) Read(ctx context.Context, b *record.Batch) error { return l.next(ctx, true, b) }

// Columns says which columns are read: see record.Projector.
func (l *Listener) Columns(read []bool) { l.parser.project(read) }

// next reads records of a stretch, and waits for one if wait is true.
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
			return nil // rejects of the previous stretch
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
		r := &b.Rejects()[before+i] // in the batch itself, not a copy
		r.Reason = fmt.Errorf("%s: %w", l.current.name, r.Reason)
	}
	return nil
}

// hold tells the batch, from where the listener is now, whether the times of its records count.
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

// take makes the next stretch the current one. It returns false if there is none now, and io.EOF
// with it if no more will come.
func (l *Listener) take(ctx context.Context, wait bool) (bool, error) {
	w := l.parser.loaded()
	if l.lent != nil {
		l.lent.buf = w.buf
		l.lent.free <- l.lent // never blocks: there is room for all stretches of the connection
		l.lent = nil
	}
	*w = stretch{}
	select {
	case l.lent = <-l.full:
	default:
		if !wait {
			select {
			case <-l.done: // a connection ends after its stretches have come back: none is left
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

// End says that nothing more shall be read. What has been read is given out, then the source ends.
// Connections are read for a tenth of a second more, because what they sent before may still be in
// the kernel. What takes longer to arrive, because the engine does not keep up, is lost. A line
// that has not ended by then goes to quarantine. Any goroutine may call End, any number of times.
// An engine's Shutdown stops polling at once: to get everything that was read, End the listener and
// then Wait for the engine.
func (l *Listener) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.endAt.IsZero() {
		return
	}
	l.endAt = time.Now().Add(endGrace)
	_ = l.listener.SetDeadline(l.endAt) // if it fails, the listener is closed already
	for c := range l.conns {
		_ = c.SetDeadline(l.endAt)
	}
}

// Close ends all connections at once, and removes the file of a unix socket. It waits for the
// goroutines, and may be called more than once.
func (l *Listener) Close() (err error) {
	l.once.Do(func() {
		l.mu.Lock()
		close(l.closed)
		for c := range l.conns {
			_ = c.Close() // ends its Read; what the peer makes of it no longer matters
		}
		l.mu.Unlock()
		err = l.shut()
		if err != nil {
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
	// Open is the number of connections now, including those whose records wait to be polled.
	Open int
	// Accepted counts the connections that there was room for.
	Accepted uint64
	// Refused counts the connections that there was no room for. They were closed at once.
	Refused uint64
	// Crowded counts the refused connections whose address had PeerConnections already.
	Crowded uint64
	// Evicted counts connections that were closed because they brought no record and another one
	// needed their place.
	Evicted uint64
	// Denied counts connections that were closed because their token or handshake was missing,
	// wrong or too late.
	Denied uint64
	// Broken counts connections that ended with an error, other than the other side closing them.
	Broken uint64
	// Panicked counts connections that were closed because a callback of the tls.Config panicked,
	// or ended its goroutine.
	Panicked uint64
	// Failed counts how often the system had a connection but could not hand it over.
	Failed uint64
	// Lines counts the lines that have ended, including headers and rejects, but not token lines.
	Lines uint64
	// Bytes counts the bytes that were read after the token lines.
	Bytes uint64

	// Fault describes the last connection that Panicked counts: its name, the panic and its stack.
	Fault error
}

// Stats returns the counters as they are now. Any goroutine may call it, also after Close.
func (l *Listener) Stats() ListenStats {
	l.mu.Lock()
	open, fault := len(l.conns), l.fault
	l.mu.Unlock()
	return ListenStats{
		Open: open, Accepted: l.accepted.Load(), Refused: l.refused.Load(), Crowded: l.crowded.Load(),
		Evicted: l.evicted.Load(),
		Denied:  l.denied.Load(), Broken: l.broken.Load(), Panicked: l.panicked.Load(), Failed: l.failed.Load(),
		Lines: l.lineCount.Load(), Bytes: l.byteCount.Load(), Fault: fault,
	}
}

// String is the counters in one line. Counters that are rarely used appear only if they are not 0.
func (s ListenStats) String() string {
	line := fmt.Sprintf("%d connections open, %d accepted, %d refused, %d denied, %d broken, %d not given, %d "+
		"lines, %d bytes",
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
