package readers

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// These errors say why a record at the end of a connection has no newline. Neither is io.EOF: at
// the end of a file a newline may be missing, but half a line of a sender that was killed looks
// like a whole one.
var (
	errHungUp  = errors.New("the connection was closed")
	errNoToken = errors.New("the first line is not the token")
	errLate    = errors.New("the listener ends")
	errSilent  = errors.New("the connection brought no record for too long, and another one needed its place")
)

// connStretch is a stretch of a connection.
type connStretch struct {
	filled
	name string            // name of the connection
	free chan *connStretch // where it goes after it has been parsed
}

// connReader reads the lines of a connection: first what came together with the token, then the
// rest.
type connReader struct {
	listener *Listener
	place    *place
	in       io.Reader
	ahead    []byte
}

// Read reads what there is, and waits for it.
func (r *connReader) Read(b []byte) (n int, err error) {
	if len(r.ahead) > 0 {
		n = copy(b, r.ahead)
		r.ahead = r.ahead[n:]
	} else {
		n, err = r.in.Read(b)
	}
	r.listener.byteCount.Add(uint64(n))
	switch {
	case errors.Is(err, io.EOF):
		err = errHungUp
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errLate
	case err != nil && r.place.evicted.Load():
		err = errSilent
	}
	return n, err
}

// serve reads a connection until it ends. The stretches of the connection come back before it gives
// its place away. So there are never more stretches than there is room for, however many
// connections come and go while nobody polls.
//
// User code is called in the handshake, and when a tls.Conn is read: if it panics or calls
// runtime.Goexit, the connection ends.
func (l *Listener) serve(raw net.Conn, p *place, number uint64) {
	defer l.leave(raw)
	defer raw.Close() // perhaps a second time; no written data can be lost
	name := fmt.Sprintf("connection %d", number)
	if a := raw.RemoteAddr(); a != nil && l.cfg.Network == networkTCP {
		name += fmt.Sprintf(" (%v)", a)
	}
	doing, whole := "the handshake", false
	defer func() {
		if v := recover(); v != nil {
			l.blame(fmt.Errorf("%s: %w", name, panicError(doing, v)))
		} else if !whole {
			l.blame(fmt.Errorf("%s: in %s: %w", name, doing, errGoexit))
		}
	}()
	p.wait()
	in, ahead, err := l.admit(raw)
	if err != nil {
		whole = true
		if !p.evicted.Load() {
			l.denied.Add(1)
		}
		return
	}
	doing = "reading"
	l.read(raw, p, name, &connReader{l, p, in, ahead})
	whole = true
}

// read is serve for a connection that has been let in.
func (l *Listener) read(raw net.Conn, p *place, name string, in io.Reader) {
	lines := l.lines(in)
	free := make(chan *connStretch, connStretches)
	for range connStretches {
		free <- &connStretch{name: name, free: free}
	}
	atOnce := func() bool { return true } // a record does not wait until another one comes
	for {
		var s *connStretch
		select {
		case s = <-free:
		case <-l.closed:
			return
		}
		p.wait()
		for s.err = nil; ; {
			line := lines.line
			lines.fill(&s.filled, atOnce)
			l.lineCount.Add(uint64(lines.line - line))
			if s.pos < s.end || s.cut != nil || s.err != nil {
				break
			}
		}
		p.parse()
		if s.pos < s.end {
			p.some.Store(true)
		}
		ended := s.err
		if s.pos < s.end || s.cut != nil {
			l.full <- s // never blocks: there is room for all stretches
			l.wake()
		} else {
			free <- s // only the end: a stretch that is passed on must have a record or a reject
		}
		if ended != nil {
			if !errors.Is(ended, errHungUp) && !errors.Is(ended, errLate) && !errors.Is(ended, errSilent) &&
				!errors.Is(ended, net.ErrClosed) {
				l.broken.Add(1)
			}
			break
		}
	}
	_ = raw.Close()
	for range connStretches {
		select {
		case <-free:
		case <-l.closed:
			return
		}
	}
}

// admit does the handshake and reads the token, if they are required. It returns what to read from,
// and what has been read already.
func (l *Listener) admit(raw net.Conn) (in net.Conn, ahead []byte, err error) {
	in = raw
	if l.cfg.TLS == nil && l.cfg.Token == "" {
		return in, nil, l.within(raw, time.Time{})
	}
	if err := l.within(raw, time.Now().Add(l.cfg.AdmitWithin)); err != nil {
		return nil, nil, err
	}
	if l.cfg.TLS != nil {
		t := tls.Server(raw, l.cfg.TLS)
		if err := t.Handshake(); err != nil {
			return nil, nil, err
		}
		in = t
	}
	if l.cfg.Token != "" {
		ahead, err = readToken(in, l.cfg.Token)
		if err != nil {
			return nil, nil, err
		}
	}
	return in, ahead, l.within(raw, time.Time{})
}

// readToken reads the first line of a connection and returns what came after it. It keeps no more
// bytes than a token may have, and the time of the comparison reveals nothing about the token.
func readToken(in io.Reader, token string) (ahead []byte, err error) {
	line := make([]byte, 0, MaxTokenBytes+len("\r\n"))
	for {
		n, err := in.Read(line[len(line):cap(line)])
		line = line[:len(line)+n]
		if first, rest, whole := bytes.Cut(line, []byte{'\n'}); whole {
			got, want := sha256.Sum256(bytes.TrimSuffix(first, []byte{'\r'})), sha256.Sum256([]byte(token))
			if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				return nil, errNoToken
			}
			return rest, nil
		}
		if len(line) == cap(line) {
			return nil, errNoToken
		}
		if err != nil {
			return nil, err
		}
	}
}
