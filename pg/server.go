package pg

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Config says what Serve serves.
type Config struct {
	Source Source
	// TLS is used by clients that ask for it; nil if there is none.
	TLS *tls.Config
	// Users know the passwords. If Users and Password are nil, nobody is asked for one, which is
	// only allowed on loopback.
	Users *Users
	// Password says whether a password is right; it is used if Users is nil. Clients send the
	// password as it is, so other machines need TLS.
	Password func(user, password string) bool
	// Change runs a statement that begins with ALTER or DROP; nil refuses all of them. It is called
	// on the goroutine of the client, outside of transactions. Its error may be an *Error.
	Change func(ctx context.Context, sql string) error
	// MayChange says whether a client that has logged in may use Change; nil means that nobody may.
	// password is what it has sent: it is empty if it was not asked for one, or with Users.
	MayChange func(user, password string) bool
	// Log gets what an operator should know; nil is slog.Default.
	Log *slog.Logger
	// Limits bound what clients take. Fields that are 0 have their default.
	Limits Limits
	// Stats, if it is not nil, counts.
	Stats *Stats
}

// Limits bound what clients take.
type Limits struct {
	Connections   int           // clients at the same time; default 200, then SQLSTATE 53300
	Message       int           // bytes of a message of a client, so of a statement too; default 1 MiB
	Statements    int           // prepared statements of a session; default 1,000
	StatementText int           // bytes of their texts together; default 8 MiB
	Portals       int           // portals and cursors of a session; default 64
	Startup       time.Duration // from the connection to the password; default 10 s
	Idle          time.Duration // without a statement; default 1 h, then 57P05
	IdleInTx      time.Duration // without a statement in a transaction; default 60 s, then 25P03
	Statement     time.Duration // one statement, if the client sets no statement_timeout; default 60 s, then 57014
	Transaction   time.Duration // how long a transaction keeps its cut; default 5 s, then 72000
	Write         time.Duration // a write to a client that takes nothing; default 30 s
	Subscribed    int64         // bytes of the rows that all SUBSCRIBE compare with; default 256 MiB, then 53200
}

func (l Limits) withDefaults() Limits {
	l.Connections = cmp.Or(l.Connections, 200)
	l.Message = cmp.Or(l.Message, 1<<20)
	l.Statements = cmp.Or(l.Statements, 1000)
	l.StatementText = cmp.Or(l.StatementText, 8<<20)
	l.Portals = cmp.Or(l.Portals, 64)
	l.Startup = cmp.Or(l.Startup, 10*time.Second)
	l.Idle = cmp.Or(l.Idle, time.Hour)
	l.IdleInTx = cmp.Or(l.IdleInTx, time.Minute)
	l.Statement = cmp.Or(l.Statement, time.Minute)
	l.Transaction = cmp.Or(l.Transaction, 5*time.Second)
	l.Write = cmp.Or(l.Write, 30*time.Second)
	l.Subscribed = cmp.Or(l.Subscribed, 256<<20)
	return l
}

// Stats count. Any number of goroutines may read them.
type Stats struct {
	Connections atomic.Int64  // clients now
	Connected   atomic.Uint64 // clients since the start
	Refused     atomic.Uint64 // clients that did not get in: too many, no password, not the protocol
	Statements  atomic.Uint64
	Rows        atomic.Uint64 // rows sent
	Failed      atomic.Uint64 // statements that ended with an error
	Canceled    atomic.Uint64 // statements that a client cancelled
	Unknown     atomic.Uint64 // statements of the catalog that velo does not know
	Panics      atomic.Uint64 // statements that ended with a fault of velo
}

// maxStarting is how many connections more than Limits.Connections may be before their startup
// message: those that cancel a statement, and those that will hear that there are too many.
const maxStarting = 100

// A server is a Serve that runs.
type server struct {
	config Config
	limits Limits
	stats  *Stats
	log    *slog.Logger
	ctx    context.Context
	began  time.Time

	started atomic.Int64 // clients that are in, bounded by Limits.Connections
	open    atomic.Int64 // connections in all
	unknown unknownLog
	// heavy has a value for each statement over the catalog that looks at many rows. Package view
	// bounds the others.
	heavy chan struct{}
	// cells are the values of open results of the catalog, subscribed the bytes of rows that
	// SUBSCRIBE compares with.
	cells, subscribed atomic.Int64

	mu       sync.Mutex
	sessions map[uint32]*session
	lastID   uint32
}

// Serve serves clients until the context ends or the listener fails. It closes the listener, ends
// the sessions, and returns when nothing of them is left. It refuses a listener that others than
// this machine can reach, unless there are TLS and Users.
func Serve(ctx context.Context, l net.Listener, config Config) error {
	defer func() { _ = l.Close() }()
	if config.Source == nil {
		return errors.New("pg: no Source")
	}
	err := exposed(l.Addr(), config)
	if err != nil {
		return err
	}
	s := &server{
		config: config, limits: config.Limits.withDefaults(), stats: config.Stats, log: config.Log,
		sessions: map[uint32]*session{}, began: time.Now().UTC(),
		heavy: make(chan struct{}, max(4, runtime.GOMAXPROCS(0))),
	}
	if s.stats == nil {
		s.stats = &Stats{}
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	parent := ctx
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	s.ctx = ctx
	defer context.AfterFunc(parent, func() { cancel(errShutdown) })()
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel(errShutdown)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	for wait := time.Duration(0); ; {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			var temporary net.Error
			if errors.Is(err, net.ErrClosed) || !errors.As(err, &temporary) {
				return fmt.Errorf("pg: %w", err)
			}
			// Such as too many open files: it passes when clients leave.
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			s.log.Warn("pg: a connection could not be accepted", "error", err, "wait", wait)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			continue
		}
		wait = 0
		if s.open.Add(1) > int64(s.limits.Connections+maxStarting) {
			s.open.Add(-1)
			s.stats.Refused.Add(1)
			_ = conn.Close()
			continue
		}
		all.Go(func() {
			defer s.open.Add(-1)
			s.serve(conn)
		})
	}
}

// exposed says what is missing for a listener that others can reach.
func exposed(addr net.Addr, config Config) error {
	switch a := addr.(type) {
	case *net.TCPAddr:
		if a.IP.IsLoopback() {
			return nil
		}
	case *net.UnixAddr:
		return nil
	}
	if config.TLS == nil || config.Users == nil && config.Password == nil {
		return fmt.Errorf(
			"pg: %v can be reached from other machines: it needs TLS and passwords; or listen on 127.0.0.1",
			addr,
		)
	}
	return nil
}

// register gives a session its number and secret, by which it can be cancelled.
func (s *server) register(c *session) {
	var secret [4]byte
	_, _ = rand.Read(secret[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.lastID++; s.lastID == 0 || s.lastID > 1<<31-1 || s.sessions[s.lastID] != nil; {
		s.lastID = s.lastID%(1<<31-1) + 1
	}
	c.id, c.secret = s.lastID, binary.BigEndian.Uint32(secret[:])
	s.sessions[c.id] = c
}

func (s *server) unregister(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c.id)
}

// cancel ends the statement that a session runs, if the secret is right.
func (s *server) cancel(id, secret uint32) {
	s.mu.Lock()
	c := s.sessions[id]
	s.mu.Unlock()
	if c != nil && c.secret == secret {
		c.cancelStatement(errCanceled)
	}
}

// maxUnknown is how many different unknown statements are remembered, so that each is logged once.
const maxUnknown = 1000

// unknownLog remembers which unknown statements have been logged.
type unknownLog struct {
	mu   sync.Mutex
	seen map[string]bool
}

// first says whether a statement has not been logged.
func (u *unknownLog) first(text string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen[text] || len(u.seen) >= maxUnknown {
		return false
	}
	if u.seen == nil {
		u.seen = map[string]bool{}
	}
	u.seen[text] = true
	return true
}
