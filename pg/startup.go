package pg

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Codes of the first message.
const (
	codeCancel  = 80877102
	codeSSL     = 80877103
	codeGSS     = 80877104
	version3    = 3
	maxStartup  = 10_000 // bytes of a startup message, as in PostgreSQL
	defaultName = "velo"
)

var errNotProtocol = errors.New("not the PostgreSQL protocol")

// serve serves one connection to its end.
func (s *server) serve(conn net.Conn) {
	defer func() {
		if r := recover(); r != nil {
			s.stats.Panics.Add(1)
			s.log.Error("pg: a session has failed", "panic", r, "stack", string(debug.Stack()))
		}
		_ = conn.Close()
	}()
	// The end of the server ends a startup too.
	defer context.AfterFunc(s.ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	_ = conn.SetReadDeadline(time.Now().Add(s.limits.Startup))
	_ = conn.SetWriteDeadline(time.Now().Add(s.limits.Startup))
	secured, params, err := s.startup(conn)
	if err != nil || params == nil { // params are nil after a request to cancel
		if err != nil {
			s.stats.Refused.Add(1)
		}
		return
	}
	c := &session{
		server: s, conn: secured, in: bufio.NewReaderSize(secured, 8<<10),
		out:      writer{conn: secured, timeout: s.limits.Write},
		settings: map[string]string{}, first: map[string]string{},
		prepared: map[string]*prepared{}, portals: map[string]*portal{},
		tx: transaction{state: txNone}, style: style{zone: time.UTC, utc: true},
	}
	c.backend = pgproto3.NewBackend(&messageReader{in: c.in}, nil)
	c.backend.SetMaxBodyLen(s.limits.Message)
	if !c.begin(params) {
		s.stats.Refused.Add(1)
		return
	}
	defer s.stats.Connections.Add(-1)
	defer s.started.Add(-1) // first: a client that sees fewer in Stats finds a place
	s.stats.Connected.Add(1)
	defer s.unregister(c)
	c.loop()
}

// startup reads first messages until there is one with parameters. It reads no byte beyond a
// message: what follows a request for TLS is encrypted, or else somebody has put it there.
func (s *server) startup(conn net.Conn) (net.Conn, []string, error) {
	var ssl, gss bool
	for {
		code, body, err := firstMessage(conn)
		if err != nil {
			return conn, nil, err
		}
		switch {
		case code == codeCancel && len(body) == 8:
			s.cancel(binary.BigEndian.Uint32(body), binary.BigEndian.Uint32(body[4:]))
			return conn, nil, nil
		case code == codeGSS && !gss:
			gss = true
			_, err = conn.Write([]byte{'N'})
		case code == codeSSL && !ssl && s.config.TLS == nil:
			ssl = true
			_, err = conn.Write([]byte{'N'})
		case code == codeSSL && !ssl:
			ssl = true
			_, err = conn.Write([]byte{'S'})
			if err == nil {
				t := tls.Server(conn, s.config.TLS)
				err = t.HandshakeContext(s.ctx)
				conn = t
			}
		case code>>16 == version3:
			params, err := s.parameters(conn, code, body)
			return conn, params, err
		default:
			refuse(conn, errorf(codeUnsupported, "unsupported frontend protocol %d.%d: server supports 3.0",
				code>>16, code&0xffff))
			return conn, nil, errNotProtocol
		}
		if err != nil {
			return conn, nil, err
		}
	}
}

// firstMessage reads a message that has no type.
func firstMessage(conn net.Conn) (code uint32, body []byte, err error) {
	var head [8]byte
	_, err = io.ReadFull(conn, head[:])
	if err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 8 || size > maxStartup {
		return 0, nil, errNotProtocol
	}
	body = make([]byte, size-8)
	_, err = io.ReadFull(conn, body)
	return binary.BigEndian.Uint32(head[4:]), body, err
}

// parameters are the names and values of a startup message, in turn. A newer minor version and
// options of the protocol are negotiated away.
func (s *server) parameters(conn net.Conn, version uint32, body []byte) ([]string, error) {
	params := []string{}
	var options []string
	for len(body) > 0 && body[0] != 0 {
		name, rest, ok := strings.Cut(string(body), "\x00")
		value, rest, ok2 := strings.Cut(rest, "\x00")
		if !ok || !ok2 {
			refuse(conn, errorf(codeProtocol, "invalid startup packet layout: expected terminator as last byte"))
			return nil, errNotProtocol
		}
		if strings.HasPrefix(name, "_pq_.") {
			options = append(options, name)
		} else {
			params = append(params, name, value)
		}
		body = body[len(body)-len(rest):]
	}
	if len(body) != 1 {
		refuse(conn, errorf(codeProtocol, "invalid startup packet layout: expected terminator as last byte"))
		return nil, errNotProtocol
	}
	if version&0xffff == 0 && len(options) == 0 {
		return params, nil
	}
	m := &pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: 0, UnrecognizedOptions: options}
	b, err := m.Encode(nil)
	if err == nil {
		_, err = conn.Write(b)
	}
	return params, err
}

// refuse tells a client why it does not get in.
func refuse(conn net.Conn, e *Error) {
	e.fatal = true
	b, err := e.response("").Encode(nil)
	if err == nil {
		_, _ = conn.Write(b)
	}
}

// begin lets a client in: parameters, password, and what clients want to know of a server.
func (c *session) begin(params []string) bool {
	e := c.start(params)
	if e == nil {
		e = c.authenticate()
	}
	if e == nil && c.server.started.Add(1) > int64(c.server.limits.Connections) {
		c.server.started.Add(-1)
		e = errorf(codeTooMany, "sorry, too many clients already").
			hint("There may be %d at the same time.", c.server.limits.Connections)
	}
	if e != nil {
		e.fatal = true
		c.out.send(e.response(""))
		_ = c.out.flush()
		return false
	}
	c.server.register(c)
	c.server.stats.Connections.Add(1) // before the client knows that it is in
	c.out.send(&pgproto3.AuthenticationOk{})
	for i := range settings {
		if settings[i].report {
			c.status(settings[i].name, c.setting(settings[i].name))
		}
	}
	c.started = true
	c.out.send(&pgproto3.BackendKeyData{ProcessID: c.id, SecretKey: binary.BigEndian.AppendUint32(nil, c.secret)})
	c.ready()
	return true
}

// start takes the parameters of a startup message: a user, a database, and settings.
func (c *session) start(params []string) *Error {
	for i := 0; i < len(params); i += 2 {
		name, value := params[i], params[i+1]
		var e *Error
		switch strings.ToLower(name) {
		case "user":
			c.user = value
		case "database":
			c.database = value
		case "replication":
			if on, ok := boolean(value); !ok || on {
				return errorf(
					codeUnsupported,
					"there is no replication here",
				).hint("SUBSCRIBE tells what changes in a view.")
			}
		case "options":
			e = c.options(value)
		default:
			e = c.first1(name, value)
		}
		if e != nil {
			return e
		}
	}
	if c.user == "" {
		return errorf(codeBadAuth, "no PostgreSQL user name specified in startup packet")
	}
	if c.database == "" {
		c.database = c.user
	}
	c.first["session_authorization"] = c.user
	return nil
}

// first1 sets a parameter for the whole session, so that RESET gives it this value again.
func (c *session) first1(name, value string) *Error {
	e := c.set(name, value)
	if e == nil {
		key := strings.ToLower(name)
		c.first[key] = c.settings[key]
	}
	return e
}

// options takes -c name=value and --name=value, as libpq's option "options" has them.
func (c *session) options(text string) *Error {
	words := optionWords(text)
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "-c" && i+1 < len(words):
			i++
			w = words[i]
		case strings.HasPrefix(w, "-c"):
			w = w[2:]
		case strings.HasPrefix(w, "--"):
			w = w[2:]
		default:
			return errorf(codeBadValue, "option %q is not known", w).hint("There are -c name=value and --name=value.")
		}
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return errorf(codeBadValue, "option %q has no value", w)
		}
		e := c.first1(strings.ReplaceAll(name, "-", "_"), value)
		if e != nil {
			return e
		}
	}
	return nil
}

// optionWords splits at blanks; a backslash takes the next character as it is.
func optionWords(text string) (words []string) {
	var b strings.Builder
	some := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
			some = true
		case text[i] == ' ' || text[i] == '\t' || text[i] == '\n':
			if some {
				words = append(words, b.String())
				b.Reset()
			}
			some = false
		default:
			b.WriteByte(text[i])
			some = true
		}
	}
	if some {
		words = append(words, b.String())
	}
	return words
}

// authenticate asks for the password.
func (c *session) authenticate() *Error {
	users, password, mayChange := c.server.config.Users, c.server.config.Password, c.server.config.MayChange
	if mayChange == nil {
		mayChange = func(_, _ string) bool { return false }
	}
	if users == nil && password == nil {
		c.changes = mayChange(c.user, "")
		return nil
	}
	if _, ok := c.conn.(*tls.Conn); !ok && c.server.config.TLS != nil && !loopback(c.conn.RemoteAddr()) {
		return errorf(codeBadAuth, "connections from other machines need TLS").hint("Connect with sslmode=require.")
	}
	var err error
	if users != nil {
		err = users.ask(c)
		c.changes = err == nil && mayChange(c.user, "")
	} else {
		err = c.askPlain(password, mayChange)
	}
	if err == nil {
		return nil
	}
	c.server.log.Warn("pg: a client was refused", "user", c.user, "from", fmt.Sprint(c.conn.RemoteAddr()), "error", err)
	return errorf(codeBadPassword, "password authentication failed for user %q", c.user)
}

// askPlain asks for a password as it is.
func (c *session) askPlain(right, mayChange func(user, password string) bool) error {
	c.out.send(&pgproto3.AuthenticationCleartextPassword{})
	err := c.out.flush()
	if err != nil {
		return err
	}
	_ = c.backend.SetAuthType(pgproto3.AuthTypeCleartextPassword)
	m, err := c.backend.Receive()
	if err != nil {
		return err
	}
	p, ok := m.(*pgproto3.PasswordMessage)
	if !ok || !right(c.user, p.Password) {
		return errors.New("the password is wrong")
	}
	c.changes = mayChange(c.user, p.Password)
	return nil
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return !ok || t.IP.IsLoopback()
}
