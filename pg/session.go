package pg

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/velo-engine/velo/pg/catalog"
)

// States of a session, as ReadyForQuery says them.
const (
	txNone   = 'I'
	txOpen   = 'T'
	txFailed = 'E'
)

// A session is one client. Its goroutine reads a message, answers it, and reads the next.
type session struct {
	server   *server
	conn     net.Conn
	in       *bufio.Reader
	backend  *pgproto3.Backend
	out      writer
	id       uint32
	secret   uint32
	user     string
	database string
	types    *pgtype.Map // made when it is needed, since it is large: see typeMap
	started  bool
	changes  bool // the client may change something: see Config.MayChange

	settings map[string]string // by name in lower case
	first    map[string]string // those at the start
	style    style
	timeout  time.Duration // statement_timeout; 0 means the limit of the server

	prepared map[string]*prepared
	portals  map[string]*portal
	tx       transaction

	// skip says that messages are skipped up to the next Sync, after an error in the extended
	// protocol.
	skip bool

	mu     sync.Mutex
	busy   bool                    // a message is being answered
	cancel context.CancelCauseFunc // of the statement that runs; nil if none does
	asked  error                   // why the next statement of this message is to end at once; nil if it is not
}

// typeMap has the codecs of pgx, for values that are neither of views nor plain parameters.
func (c *session) typeMap() *pgtype.Map {
	if c.types == nil {
		c.types = pgtype.NewMap()
	}
	return c.types
}

// A prepared is a statement that is ready to be run.
type prepared struct {
	text    string
	tokens  []catalog.Token
	params  []uint32
	columns []column // nil if it gives no rows
	// always says that it may run in a transaction that has failed.
	always bool
	run    func(ctx context.Context, args []any) (*result, error)
}

// A result is what a statement gives.
type result struct {
	columns []column
	rows    rowSource // nil if it gives no rows
	tag     string    // of CommandComplete; the number of rows follows if count is set
	count   bool
	copy    bool                                                    // the rows are sent as COPY TO STDOUT
	stream  func(ctx context.Context, w *writer) (n int, err error) // sends them instead of rows
}

// A portal is a statement with its parameters, and what is left of its rows.
type portal struct {
	*prepared
	args    []any
	formats []int16
	result  *result
	done    bool
	cursor  bool // made by DECLARE
	hold    bool // stays after the transaction
}

func (p *portal) close() {
	if p.result != nil && p.result.rows != nil {
		p.result.rows.close()
		p.result.rows = nil
	}
}

// loop answers messages until the client leaves.
func (c *session) loop() {
	defer c.end()
	for {
		idle, code := c.server.limits.Idle, codeIdle
		if c.tx.state != txNone {
			idle, code = c.server.limits.IdleInTx, codeIdleInTx
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(idle))
		if c.server.ctx.Err() != nil {
			c.fatal(errorf(codeShutdown, "%v", errShutdown))
			return
		}
		m, err := c.backend.Receive()
		if err != nil {
			c.unreadable(err, code)
			return
		}
		if !c.answer(m) || c.out.err != nil {
			return
		}
	}
}

// end gives back what the session holds.
func (c *session) end() {
	c.endTransaction(false)
	for name := range c.portals {
		c.closePortal(name)
	}
	_ = c.out.flush()
}

// unreadable ends a session whose next message cannot be read.
func (c *session) unreadable(err error, idleCode string) {
	var large *pgproto3.ExceededMaxBodyLenErr
	switch {
	case c.server.ctx.Err() != nil:
		c.fatal(errorf(codeShutdown, "%v", errShutdown))
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.fatal(errorf(idleCode, "terminating connection due to idle timeout"))
	case errors.As(err, &large):
		c.fatal(
			errorf(
				codeLimit,
				"a message of %d bytes, and there may be %d",
				large.ActualBodyLen,
				large.MaxExpectedBodyLen,
			),
		)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isNetError(err):
	default:
		c.fatal(errorf(codeProtocol, "%v", err))
	}
}

func isNetError(err error) bool {
	var n *net.OpError
	return errors.As(err, &n)
}

// fatal sends a last error.
func (c *session) fatal(e *Error) {
	e.fatal = true
	c.out.send(e.response(""))
	_ = c.out.flush()
}

// answer answers a message. It returns false if the session has ended.
func (c *session) answer(m pgproto3.FrontendMessage) bool {
	if c.skip {
		switch m.(type) {
		case *pgproto3.Sync, *pgproto3.Terminate:
		default:
			return true
		}
	}
	c.setBusy(true)
	defer c.setBusy(false)
	switch m := m.(type) {
	case *pgproto3.Query:
		c.simple(m.String)
	case *pgproto3.Parse:
		c.extended(m.Query, func() error { return c.parse(m) })
	case *pgproto3.Bind:
		c.extended("", func() error { return c.bind(m) })
	case *pgproto3.Describe:
		c.extended("", func() error { return c.describe(m) })
	case *pgproto3.Execute:
		text := ""
		if p := c.portals[m.Portal]; p != nil {
			text = p.text
		}
		c.extended(text, func() error { return c.execute(m) })
	case *pgproto3.Close:
		c.extended("", func() error { return c.close(m) })
	case *pgproto3.Sync:
		c.skip = false
		c.ready()
	case *pgproto3.Flush:
		_ = c.out.flush()
	case *pgproto3.Terminate:
		return false
	case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
		// They may still come after an error in a COPY, and are then ignored.
	case *pgproto3.FunctionCall:
		c.failed(errorf(codeUnsupported, "function calls of the protocol are not supported").
			hint("Call functions with SELECT."), "")
		c.ready()
	default:
		c.fatal(errorf(codeProtocol, "a message of type %T is not expected here", m))
		return false
	}
	return true
}

// ready says that the session waits for a statement. Outside of a transaction nothing of the
// statement before is left.
func (c *session) ready() {
	if c.tx.state == txNone {
		for name, p := range c.portals {
			if !p.hold {
				c.closePortal(name)
			}
		}
	}
	c.out.send(&pgproto3.ReadyForQuery{TxStatus: byte(c.tx.state)})
	_ = c.out.flush()
}

// extended runs a step of the extended protocol. After an error the messages up to Sync are
// skipped.
func (c *session) extended(text string, step func() error) {
	err := c.protect(step)
	if err != nil {
		c.skip = true
		c.failed(asError(context.Background(), err), text)
	}
}

// protect has a panic be an error of the statement: a fault of velo must not end other sessions.
func (c *session) protect(step func() error) (err error) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		c.server.stats.Panics.Add(1)
		c.server.log.Error("pg: a statement has failed with a panic", "panic", r, "stack", string(debug.Stack()))
		err = errorf(
			codeInternal,
			"internal error: %v",
			r,
		).hint("This is a fault of velo. Please report it with the statement.")
	}()
	return step()
}

// failed sends an error, and has the transaction fail, if there is one.
func (c *session) failed(e *Error, text string) {
	c.server.stats.Failed.Add(1)
	if e.Code == codeCanceled {
		c.server.stats.Canceled.Add(1)
	}
	if c.tx.state == txOpen {
		c.failTransaction()
	}
	c.out.send(e.response(text))
	// A client that has asked for Flush waits for it, and that message is skipped after an error.
	_ = c.out.flush()
	if e.fatal {
		c.out.err = net.ErrClosed
	}
}

func (c *session) status(name, value string) {
	c.out.send(&pgproto3.ParameterStatus{Name: name, Value: value})
}

func (c *session) notice(code, format string, args ...any) {
	severity := "NOTICE"
	if code != "00000" {
		severity = "WARNING"
	}
	c.out.send(&pgproto3.NoticeResponse{
		Severity: severity, SeverityUnlocalized: severity, Code: code, Message: fmt.Sprintf(format, args...),
	})
}

// simple runs the statements of a Query message, in turn, up to the first that fails.
func (c *session) simple(text string) {
	err := c.protect(func() error { return c.simpleAll(text) })
	if err != nil {
		c.failed(asError(context.Background(), err), text)
	}
	c.ready()
}

func (c *session) simpleAll(text string) error {
	all, err := split(text)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		c.out.send(&pgproto3.EmptyQueryResponse{})
		return nil
	}
	c.closePortal("")
	for _, tokens := range all {
		p, err := c.prepare(text, tokens, nil, false)
		if err == nil && len(p.params) > 0 {
			err = errorf(codeUndefinedParam, "there is no parameter $1").hint("Parameters need the extended protocol.")
		}
		if err != nil {
			return err
		}
		err = c.runWhole(p, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// runWhole runs a statement and sends all that it gives, in text format.
func (c *session) runWhole(p *prepared, args []any) error {
	ctx, done := c.begins(p)
	defer done()
	r, err := p.run(ctx, args)
	if err != nil {
		return asError(ctx, err)
	}
	if r.rows != nil {
		defer r.rows.close()
	}
	if r.rows != nil && !r.copy {
		c.out.describe(r.columns, nil)
	}
	_, err = c.sendRows(ctx, r, nil, 0)
	if err != nil {
		return asError(ctx, err)
	}
	return nil
}

// sendRows sends rows of a result, and what follows them. It says whether there are no more.
func (c *session) sendRows(ctx context.Context, r *result, formats []int16, limit int) (done bool, err error) {
	n := 0
	done = true
	switch {
	case r.copy:
		n, err = c.copyOut(ctx, r)
	case r.rows != nil:
		n, done, err = r.rows.send(ctx, &c.out, &c.style, formats, limit)
	}
	c.server.stats.Rows.Add(uint64(n))
	if err != nil {
		return false, err
	}
	if !done {
		c.out.send(&pgproto3.PortalSuspended{})
		return false, nil
	}
	tag := r.tag
	if r.count {
		tag = fmt.Sprintf("%s %d", tag, n)
	}
	c.out.send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
	return true, nil
}

// copyOut sends the rows of a result as COPY does.
func (c *session) copyOut(ctx context.Context, r *result) (n int, err error) {
	c.out.send(&pgproto3.CopyOutResponse{ColumnFormatCodes: make([]uint16, len(r.columns))})
	if r.stream != nil {
		n, err = r.stream(ctx, &c.out)
	} else {
		n, err = r.rows.copyOut(ctx, &c.out, &c.style)
	}
	if err == nil {
		c.out.send(&pgproto3.CopyDone{})
	}
	return n, err
}

// watchAfter is how long a statement runs before the session looks whether the client is still
// there.
const watchAfter = time.Second

// begins gives a statement its context: it ends at the timeout, at a request to cancel, when the
// client leaves, and with the server. done must be called at the end of the statement.
func (c *session) begins(p *prepared) (ctx context.Context, done func()) {
	c.server.stats.Statements.Add(1)
	ctx, cancel := context.WithCancelCause(c.server.ctx)
	limit := c.timeout
	if limit == 0 {
		limit = c.server.limits.Statement
	}
	stop := func() {}
	if !endless(p.tokens) || c.timeout > 0 {
		var end context.CancelFunc
		ctx, end = context.WithTimeoutCause(ctx, limit, errTimeout)
		stop = end
	}
	c.mu.Lock()
	c.cancel = cancel
	if c.asked != nil {
		cancel(c.asked)
	}
	c.mu.Unlock()
	unwatch := c.watch(cancel, endless(p.tokens))
	return ctx, func() {
		c.mu.Lock()
		c.cancel = nil
		c.mu.Unlock()
		unwatch()
		stop()
		cancel(nil)
	}
}

// setBusy says that a message is being answered, or that the session waits for one.
func (c *session) setBusy(busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy, c.asked = busy, nil
}

// cancelStatement ends the statement that runs. While one is only being prepared it ends as soon as
// it begins to run. Between messages there is nothing to end.
func (c *session) cancelStatement(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cancel != nil:
		c.cancel(why)
	case c.busy:
		c.asked = why
	}
}

// watch ends a long statement if the client leaves. Messages that come meanwhile, such as that the
// client is about to leave, stay in the buffer, so what comes after them is looked for too.
func (c *session) watch(cancel context.CancelCauseFunc, endless bool) (stop func()) {
	seen := make(chan struct{})
	_ = c.conn.SetReadDeadline(time.Time{})
	timer := time.AfterFunc(watchAfter, func() {
		defer close(seen)
		var err error
		for n := 1; err == nil; n++ {
			_, err = c.in.Peek(n)
			n = max(n, c.in.Buffered())
			// A statement without an end ends when the client says that it leaves. Others are
			// answered first, since some clients do not wait before they say so.
			if b, _ := c.in.Peek(n); endless && terminates(b) {
				err = errGone
			}
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, bufio.ErrBufferFull) {
			cancel(errGone)
		}
	})
	return func() {
		if timer.Stop() {
			return
		}
		_ = c.conn.SetReadDeadline(time.Unix(1, 0))
		<-seen
		_ = c.conn.SetReadDeadline(time.Time{})
	}
}

// terminates says whether one of the messages in b is Terminate.
func terminates(b []byte) bool {
	for len(b) >= 5 {
		if b[0] == 'X' {
			return true
		}
		size := int64(binary.BigEndian.Uint32(b[1:])) + 1
		if size < 5 || size > int64(len(b)) {
			return false
		}
		b = b[size:]
	}
	return false
}

// A messageReader gives one message at a time, so that what a client has sent after it stays in the
// buffer, where watch sees it.
type messageReader struct {
	in   *bufio.Reader
	left int64 // bytes of the message that have not been read
}

func (r *messageReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		head, err := r.in.Peek(5)
		if err != nil {
			if len(head) == 0 {
				return 0, err
			}
			return r.in.Read(p[:min(len(p), len(head))])
		}
		r.left = max(5, int64(binary.BigEndian.Uint32(head[1:]))+1)
	}
	n, err := r.in.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}
