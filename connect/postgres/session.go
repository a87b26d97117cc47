package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/velo-engine/velo/internal/cursors"
	"github.com/velo-engine/velo/record"
)

// exec runs statements without a result.
func (s *Sink) exec(ctx context.Context, sql string) error {
	_, err := s.conn.Exec(ctx, sql).ReadAll()
	return err
}

// query runs a statement with texts as parameters and returns its rows as texts; nil is NULL. It
// prepares nothing that a session would have to keep, so a pooler may share the session.
func (s *Sink) query(ctx context.Context, sql string, args ...string) ([][][]byte, error) {
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = []byte(a)
	}
	r := s.conn.ExecParams(ctx, sql, values, nil, nil, nil).Read()
	return r.Rows, r.Err
}

// final marks an error that comes again whatever is tried.
type final struct{ error }

// Unwrap returns the error.
func (f final) Unwrap() error { return f.error }

// isFinal says whether an error comes again whatever is tried. An error that is not the server's is
// one of the connection.
func isFinal(err error) bool {
	if errors.As(err, new(final)) || errors.Is(err, errGone) || errors.Is(err, cursors.ErrReplaced) ||
		errors.Is(err, cursors.ErrBack) {
		return true
	}
	state := code(err)
	return state != "" && !transientCode(state)
}

// codeLockTimeout is the SQLSTATE of a lock that was not to be had in time.
const codeLockTimeout = "55P03"

// code is the SQLSTATE of an error of the server; "" of another.
func code(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}

// transientCode says whether a SQLSTATE is worth another try.
func transientCode(code string) bool {
	switch code {
	case "25006", // read-only: a standby answers that will be, or was, the primary
		"25P03",                            // the transaction was idle for too long
		"55P03",                            // a lock was not to be had
		"55006",                            // the object is in use
		"57014",                            // canceled, such as by statement_timeout
		"57P01", "57P02", "57P03", "57P05": // the server ends, or begins
		return true
	}
	for _, class := range []string{
		"08", // connection
		"40", // deadlock, serialization
		"53", // no disk, no memory, too many connections
		"58", // the system below the server
	} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

// judged says whether an error is worth another try.
func (s *Sink) judged(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case isFinal(err):
		return s.failed(described(err))
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no end within %v: %w", s.cfg.TransactionTimeout, err)
	}
	return record.Transient(s.failed(described(err)))
}

// described adds what the server says besides the message.
func described(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	var more []string
	for _, text := range []string{e.Detail, e.Hint} {
		if text != "" {
			more = append(more, text)
		}
	}
	if len(more) == 0 {
		return err
	}
	return fmt.Errorf("%w: %s", err, strings.Join(more, " "))
}

// encrypted says whether nobody else can read a connection: it has TLS, or stays on this machine.
func encrypted(c net.Conn) bool {
	if _, ok := c.(*tls.Conn); ok {
		return true
	}
	at, ok := c.RemoteAddr().(*net.TCPAddr)
	return !ok || at.IP.IsLoopback()
}
