package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// The limits of connections.
const (
	MaxConnections     = 1024
	MaxPeerConnections = 256 // of one address
)

// Listen bounds the connections of a listener, in all and for each peer. A connection that is too
// many is closed at once.
func Listen(l net.Listener) net.Listener { return &limited{Listener: l, peers: map[string]int{}} }

type limited struct {
	net.Listener
	mu    sync.Mutex
	all   int
	peers map[string]int
}

// Accept returns the next connection that there is room for.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := c.RemoteAddr().String()
		if host, _, err := net.SplitHostPort(peer); err == nil {
			peer = host
		}
		l.mu.Lock()
		ok := l.all < MaxConnections && l.peers[peer] < MaxPeerConnections
		if ok {
			l.all++
			l.peers[peer]++
		}
		l.mu.Unlock()
		if ok {
			return &counted{Conn: c, of: l, peer: peer}, nil
		}
		_ = c.Close()
	}
}

type counted struct {
	net.Conn
	of   *limited
	peer string
	once sync.Once
}

// Close gives the place back.
func (c *counted) Close() error {
	c.once.Do(func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.of.all--
		c.of.peers[c.peer]--
		if c.of.peers[c.peer] == 0 {
			delete(c.of.peers, c.peer)
		}
	})
	return c.Conn.Close()
}

// Serve answers on a listener until ctx is done, and then ends in order. A nil cfg is without TLS.
func (s *Server) Serve(ctx context.Context, l net.Listener, cfg *tls.Config) error {
	h := &http.Server{
		Handler: s, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		TLSConfig: cfg,
	}
	l = Listen(l)
	ended := make(chan error, 1)
	go func() {
		if cfg != nil {
			ended <- h.ServeTLS(l, "", "")
		} else {
			ended <- h.Serve(l)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s.cancel() // streams end
	err := h.Shutdown(late)
	if errors.Is(err, context.DeadlineExceeded) {
		err = h.Close()
	}
	<-ended
	return err
}
