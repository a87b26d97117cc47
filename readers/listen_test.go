package readers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/velo-engine/velo/record"
)

// secret is a token.
const secret = "open sesame, please"

// socketPath is a short one: the path of t.TempDir may be too long for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "velo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// listening is a listener of lines "a,b", which is closed at the end of the test; no goroutine may be left then.
func listening(t *testing.T, at ListenConfig, cfg DelimitedConfig) *Listener {
	t.Helper()
	before := goleak.IgnoreCurrent()
	if cfg.Schema == nil {
		cfg.Schema = texts(t, "a", "b")
	}
	if at.Address == "" {
		at.Address = "127.0.0.1:0"
	}
	l, err := ListenDelimited(at, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, before)
	})
	return l
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// send writes a text and says that nothing more comes.
func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Error(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
}

// gone waits until the other side has closed a connection.
func gone(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, c); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v: expected that the connection is closed", n, err)
	}
}

// taken reads batches until there are n rows and rejects together, and returns how often each row came.
func taken(t *testing.T, l *Listener, want int) (rows map[string]int, rejects []record.Reject) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rows = map[string]int{}
	b := record.NewBatch(l.parserSchema(), 100)
	for n := 0; n < want; {
		b.Reset()
		err := l.Read(ctx, b)
		n += collect(t, b, rows, &rejects)
		if err != nil {
			t.Fatalf("%d of %d records, %v, %v", n, want, err, l.Stats())
		}
	}
	return rows, rejects
}

// collect adds up what a batch has.
func collect(t *testing.T, b *record.Batch, rows map[string]int, rejects *[]record.Reject) int {
	t.Helper()
	if err := b.Check(); err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		rows[string(b.Column(0).View(i))+"|"+string(b.Column(1).View(i))]++
	}
	for _, r := range b.Rejects() {
		r.Bytes = bytes.Clone(r.Bytes)
		*rejects = append(*rejects, r)
	}
	return b.Len() + len(b.Rejects())
}

// rest ends a listener and reads what it has left.
func rest(t *testing.T, l *Listener) (rows map[string]int, rejects []record.Reject) {
	t.Helper()
	l.End()
	rows = map[string]int{}
	b := record.NewBatch(l.parserSchema(), 100)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for err := error(nil); err == nil; {
		b.Reset()
		if err = l.Read(ctx, b); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		collect(t, b, rows, &rejects)
	}
	return rows, rejects
}

// parserSchema is the schema of a listener of either format.
func (l *Listener) parserSchema() *record.Schema {
	if p, ok := l.parser.(*jsonParser); ok {
		return p.format.cfg.Schema
	}
	return l.parser.(*delimitedParser).format.cfg.Schema
}

// until waits for a state of the listener that comes without anybody being told.
func until(t *testing.T, l *Listener, what func(ListenStats) bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !what(l.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come to that: %v", l.Stats())
		}
	}
}

// Goal: every record of many connections at once comes exactly once, in the order of its connection, and a bad one costs itself only. Method: both
// formats and both networks; lines of random lengths in random pieces, one of each connection's wrong, counted.
func TestListenMany(t *testing.T) {
	seed := rand.Uint64()
	const connections, lines = 40, 300
	for _, json := range []bool{false, true} {
		for _, network := range []string{"tcp", "unix"} {
			before := goleak.IgnoreCurrent()
			at := ListenConfig{Network: network, Address: ":0", Connections: connections}
			if network == "unix" {
				at.Address = socketPath(t)
			}
			s := texts(t, "a", "b")
			l, err := ListenDelimited(at, DelimitedConfig{Schema: s, BlockBytes: 700})
			if json {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				l, err = ListenNDJSON(at, NDJSONConfig{Schema: s, BlockBytes: 700})
			}
			if err != nil {
				t.Fatal(err)
			}
			var senders sync.WaitGroup
			for c := range connections {
				conn := dial(t, l)
				senders.Go(func() {
					rng := rand.New(rand.NewPCG(seed, uint64(c)))
					var text bytes.Buffer
					for i := range lines {
						if i == lines/2 {
							fmt.Fprintln(&text, "wrong")
						}
						filler := strings.Repeat("x", rng.IntN(40))
						if json {
							fmt.Fprintf(&text, `{"a":"%d-%d","b":"%s"}`+"\n", c, i, filler)
						} else {
							fmt.Fprintf(&text, "%d-%d,%s\n", c, i, filler)
						}
					}
					for text.Len() > 0 {
						if _, err := conn.Write(text.Next(1 + rng.IntN(400))); err != nil {
							t.Error(err)
							return
						}
					}
					send(t, conn, "")
				})
			}
			next := make([]int, connections)
			rejects, n := 0, 0
			b := record.NewBatch(s, 0)
			for n < connections*(lines+1) {
				b.Reset()
				if err := l.Read(t.Context(), b); err != nil {
					t.Fatal(err)
				}
				for i := range b.Len() {
					var c, number int
					if _, err := fmt.Sscanf(string(b.Column(0).View(i)), "%d-%d", &c, &number); err != nil ||
						next[c] != number {
						t.Fatalf("seed %d: %s, %v, expected line %d", seed, b.Column(0).View(i), err, next[c])
					}
					next[c]++
				}
				for _, r := range b.Rejects() {
					rejects++
					if r.Line != lines/2+1 || string(bytes.TrimSuffix(r.Bytes, []byte("\n"))) != "wrong" ||
						!strings.HasPrefix(r.Reason.Error(), "connection ") {
						t.Errorf("reject %+v", r)
					}
				}
				n += b.Len() + len(b.Rejects())
			}
			senders.Wait()
			if rejects != connections {
				t.Errorf("%d rejects, expected %d", rejects, connections)
			}
			if rows, rejected := rest(t, l); len(rows)+len(rejected) > 0 {
				t.Errorf("seed %d: %v and %v came twice", seed, rows, rejected)
			}
			st := l.Stats()
			if st.Accepted != connections || st.Lines != connections*(lines+1) ||
				st.Open+int(st.Refused+st.Denied+st.Broken+st.Failed) != 0 {
				t.Errorf("%v", st)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if network == "unix" {
				if _, err := os.Lstat(at.Address); !os.IsNotExist(err) {
					t.Errorf("the socket's file is left: %v", err)
				}
			}
			goleak.VerifyNone(t, before)
		}
	}
}

// Goal: a client that may not connect is turned away and counted, and nothing that it sends is read; a client with the token may. Method: wrong first lines of every kind.
func TestListenToken(t *testing.T) {
	l := listening(t, ListenConfig{Token: secret, AdmitWithin: 20 * time.Millisecond}, DelimitedConfig{})
	wrong := []string{
		"", "\n", "1,2\n", secret[:len(secret)-1] + "\n", secret + "x\n1,2\n", " " + secret + "\n",
		strings.Repeat("x", MaxTokenBytes+10), secret, "GET / HTTP/1.1\r\n\r\n",
	}
	for _, first := range wrong {
		c := dial(t, l)
		if _, err := io.WriteString(c, first); err != nil {
			t.Error(err)
		}
		gone(t, c) // also where it only keeps silent
	}
	until(t, l, func(s ListenStats) bool { return s.Denied == uint64(len(wrong)) && s.Open == 0 })
	if s := l.Stats(); s.Bytes != 0 || s.Lines != 0 {
		t.Errorf("%v", s)
	}
}

// Goal: with the token, lines come as without, and offsets begin after it. Method: the token with either end of a line; a time limit that cannot pass.
func TestListenTokenGiven(t *testing.T) {
	l := listening(t, ListenConfig{Token: secret, AdmitWithin: time.Hour}, DelimitedConfig{})
	for _, end := range []string{"\n", "\r\n"} {
		send(t, dial(t, l), secret+end+"1,2\nwrong\n3,4\n")
		rows, rejects := taken(t, l, 3)
		if rows["1|2"] != 1 || rows["3|4"] != 1 || len(rejects) != 1 || rejects[0].Offset != 4 || rejects[0].Line != 2 {
			t.Errorf("%v %v", rows, rejects)
		}
	}
	if s := l.Stats(); s.Denied != 0 || s.Bytes != 2*14 || s.Lines != 6 {
		t.Errorf("%v", s)
	}
}

// certificate is one that nobody has signed, and what believes in it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, pool
}

// Goal: records come through TLS, and who does not speak it is denied; a line that is cut off is a reject, whether the end was announced or not.
func TestListenTLS(t *testing.T) {
	cfg, pool := certificate(t)
	l := listening(t, ListenConfig{Token: secret, TLS: cfg, AdmitWithin: time.Hour}, DelimitedConfig{})
	plain := dial(t, l)
	if _, err := io.WriteString(plain, secret+"\n1,2\n"); err != nil {
		t.Error(err)
	}
	until(t, l, func(s ListenStats) bool { return s.Denied == 1 && s.Open == 0 })
	for _, polite := range []bool{true, false} {
		raw := dial(t, l)
		c := tls.Client(raw, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
		if _, err := io.WriteString(c, secret+"\n1,2\n3,"); err != nil {
			t.Fatal(err)
		}
		if polite {
			if err := c.CloseWrite(); err != nil {
				t.Error(err)
			}
		} else {
			raw.Close()
		}
		rows, rejects := taken(t, l, 2)
		if rows["1|2"] != 1 || len(rejects) != 1 || rejects[0].Offset != 4 || !errors.Is(rejects[0].Reason, errHungUp) {
			t.Errorf("%v %v", rows, rejects)
		}
	}
}

// Goal: an address that others can reach is refused when the listener is made, unless there are TLS and a token; so is everything else that is wrong, all of it
// together. Method: a table of faults with words that the error must have.
func TestListenRefuses(t *testing.T) {
	cfg, _ := certificate(t)
	s := texts(t, "a", "b")
	socket := socketPath(t)
	file := socket + ".txt"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   ListenConfig
		want []string
	}{
		{
			ListenConfig{Address: "0.0.0.0:0"},
			[]string{"readers: listen on tcp 0.0.0.0:0: 0.0.0.0 is no loopback address", "TLS and a token"},
		},
		{ListenConfig{Address: "[::]:0"}, []string{":: is no loopback address"}},
		{ListenConfig{Address: "0.0.0.0:0", Token: secret}, []string{"no loopback address"}},
		{ListenConfig{Address: "0.0.0.0:0", TLS: cfg}, []string{"no loopback address"}},
		{ListenConfig{Address: "192.0.2.1:0"}, []string{"192.0.2.1 is no loopback address"}},
		{ListenConfig{Address: "[::ffff:192.0.2.1]:0"}, []string{"no loopback address"}},
		{ListenConfig{Address: "127.0.0.1"}, []string{"missing port", "expected host:port"}},
		{ListenConfig{Network: "udp", Connections: -1, Token: "short", TLS: &tls.Config{}, AdmitWithin: -1}, []string{
			`network "udp"`, "no address", "a token of 5 bytes, expected 16..1024", "TLS without a certificate",
			"-1 connections", "admitted within -1ns",
		}},
		{ListenConfig{Address: ":0", Token: secret + "\n" + secret}, []string{"control character"}},
		{ListenConfig{Network: "unix", Address: file}, []string{"which is no socket"}},
		{ListenConfig{Network: "unix", Address: "@velo"}, []string{"abstract"}},
		{
			ListenConfig{Network: "unix", Address: filepath.Join(socket, strings.Repeat("x", 200))},
			[]string{"expected 103 at most"},
		},
		{ListenConfig{Network: "unix", Address: socket + "/s"}, []string{"no such file"}},
	} {
		l, err := ListenDelimited(c.at, DelimitedConfig{Schema: s})
		if err == nil {
			t.Errorf("%+v: it listens", c.at)
			l.Close()
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secret) {
				t.Errorf("%+v: %v\nexpected %q", c.at, err, want)
			}
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("what is no socket was removed: %v", err)
	}
	if _, err := ListenNDJSON(ListenConfig{}, NDJSONConfig{}); err == nil ||
		!strings.Contains(err.Error(), "no schema") || !strings.Contains(err.Error(), "no address") {
		t.Errorf("%v", err)
	}
}

// Goal: a unix socket is its user's own; one that is listened on is left alone, one that was left behind is replaced, and another's that took its place is not
// removed at the end.
func TestListenUnixFile(t *testing.T) {
	path := socketPath(t)
	at := ListenConfig{Network: "unix", Address: path}
	cfg := DelimitedConfig{Schema: texts(t, "a", "b")}
	abandoned, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Skipf("no unix sockets: %v", err)
	}
	if _, err := ListenDelimited(at, cfg); err == nil ||
		!strings.Contains(err.Error(), "another process listens there") {
		t.Errorf("%v", err)
	}
	abandoned.SetUnlinkOnClose(false)
	abandoned.Close()
	l := listening(t, at, cfg)
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("%v, %v", info, err)
	}
	send(t, dial(t, l), "1,2\n")
	if rows, _ := taken(t, l, 1); rows["1|2"] != 1 {
		t.Errorf("%v", rows)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	successor := listening(t, at, cfg)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	send(t, dial(t, successor), "3,4\n")
	if rows, _ := taken(t, successor, 1); rows["3|4"] != 1 {
		t.Errorf("%v", rows)
	}
}

// Goal: what a connection does wrong costs it the record concerned. Method: one for each kind of wrong, and one that stays open through all of it and whose
// records all come.
func TestListenBadConnections(t *testing.T) {
	l := listening(t, ListenConfig{}, DelimitedConfig{MaxRecordBytes: 100, BlockBytes: 64})
	good := dial(t, l)
	silent := dial(t, l)
	half := dial(t, l) // and nothing more
	if _, err := io.WriteString(half, "half,"); err != nil {
		t.Fatal(err)
	}
	oversize := strings.Repeat("x", 100_000)
	for i, c := range []struct {
		text         string
		reset        bool
		rows         int
		offset, line int64 // of the only reject
		reason       string
	}{
		{"1,2\n" + oversize + "\n3,4\n", false, 2, 4, 2, "a record of more than 100 bytes"},
		{"1,2\n" + oversize, false, 1, 4, 2, "a record of more than 100 bytes"},
		{"\x00\xff\x16\x03\x01\n1,2\n", false, 1, 0, 1, "1 field, expected 2"},
		{"1,2\n3,4", false, 1, 4, 2, "the record does not end: the connection was closed"},
		{"1,2\n3,4", true, 1, 4, 2, "the record does not end: "},
	} {
		bad := dial(t, l)
		if _, err := io.WriteString(bad, c.text); err != nil {
			t.Error(err)
		}
		var rows map[string]int
		var rejects []record.Reject
		if c.reset {
			// A reset takes with it what the other side has not read yet: wait until it has.
			rows, _ = taken(t, l, c.rows)
			if err := bad.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			bad.Close()
			_, rejects = taken(t, l, 1)
		} else {
			send(t, bad, "")
			rows, rejects = taken(t, l, c.rows+1)
		}
		if rows["1|2"] != 1 || len(rejects) != 1 {
			t.Errorf("%.20q: %v, %v", c.text, rows, rejects)
			continue
		}
		name := fmt.Sprintf("connection %d (%v): ", i+4, bad.LocalAddr())
		if r := rejects[0]; r.Offset != c.offset || r.Line != c.line || !strings.HasPrefix(r.Reason.Error(), name) ||
			!strings.Contains(r.Reason.Error(), c.reason) {
			t.Errorf("%.20q: offset %d, line %d, %v\nexpected %d, %d, %s%s", c.text, r.Offset, r.Line, r.Reason,
				c.offset, c.line, name, c.reason)
		}
		if _, err := fmt.Fprintf(good, "good,%d\n", i); err != nil {
			t.Error(err)
		}
		if rows, rejects := taken(t, l, 1); rows[fmt.Sprintf("good|%d", i)] != 1 || len(rejects) > 0 {
			t.Errorf("%v %v", rows, rejects)
		}
	}
	if _, err := io.WriteString(half, "way\n"); err != nil {
		t.Error(err)
	}
	if rows, _ := taken(t, l, 1); rows["half|way"] != 1 {
		t.Errorf("%v", rows)
	}
	if s := l.Stats(); s.Open < 3 || s.Denied+s.Refused != 0 {
		t.Errorf("%v", s)
	}
	until(t, l, func(s ListenStats) bool { return s.Broken == 1 })
	silent.Close()
	if rows, rejects := rest(t, l); len(rows)+len(rejects) > 0 {
		t.Errorf("%v %v", rows, rejects)
	}
}

// Goal: while nobody polls, what is taken from connections is bounded, also when they come and go; those for which there is no room are refused; and in the
// end everything that was taken comes. Method: a sender that is never done, until it is held up; short connections until they are refused.
func TestListenBackpressure(t *testing.T) {
	const connections, block = 4, 4096
	l := listening(t, ListenConfig{Connections: connections}, DelimitedConfig{BlockBytes: block, MaxRecordBytes: 100})
	c := dial(t, l)
	held := make(chan int)
	go func() {
		n := 0
		text := []byte(strings.Repeat("1,2\n", 16<<10))
		// A stall may use up the time of a write. A sender that is held up comes to it again and again.
		for none := 0; none < 5; none++ {
			_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			w, err := c.Write(text)
			n += w
			if w > 0 {
				none = -1
			} else if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
		}
		held <- n
	}()
	sent := <-held
	until(t, l, func(s ListenStats) bool { return s.Bytes > 0 })
	if got := l.Stats().Bytes; got > connStretches*(block+100) {
		t.Errorf("%d bytes were taken of %d, expected %d at most", got, sent, connStretches*(block+100))
	}
	short := 0
	for ; l.Stats().Refused == 0; short++ {
		one := dial(t, l)
		_, _ = io.WriteString(one, "3,4\n") // refused: perhaps it cannot
		until(t, l, func(s ListenStats) bool { return s.Accepted+s.Refused == uint64(short+2) })
		one.Close()
		if short > 2*connections {
			t.Fatal("connections come and go without end while nobody polls")
		}
	}
	if s := l.Stats(); s.Open != connections || s.Refused != 1 || short != connections {
		t.Errorf("%v, %d short connections", s, short)
	}
	whole := sent / len("1,2\n")
	var rejects []record.Reject
	rows, more := taken(t, l, whole+connections-1)
	rejects = append(rejects, more...)
	c.Close()
	last, more := rest(t, l)
	rejects = append(rejects, more...)
	if rows["1|2"]+last["1|2"] != whole || rows["3|4"]+last["3|4"] != connections-1 || len(rejects) > 1 ||
		len(rejects) == 1 != (sent%4 != 0) {
		t.Errorf("%v, %v, %v, expected %d of %d bytes", rows, last, rejects, whole, sent)
	}
}

// Goal: what has been received completely before End is given out, and what has not is a reject; nobody has to close. Method: open connections, and
// one that has closed before anybody polled.
func TestListenEnd(t *testing.T) {
	l := listening(t, ListenConfig{}, DelimitedConfig{})
	open, closed := dial(t, l), dial(t, l)
	if _, err := io.WriteString(open, "1,2\n3,"); err != nil {
		t.Fatal(err)
	}
	send(t, closed, strings.Repeat("5,6\n", 10_000))
	rung := make(chan struct{}, 1)
	l.Notify(func() {
		select {
		case rung <- struct{}{}:
		default:
		}
	})
	until(t, l, func(s ListenStats) bool { return s.Bytes > 6 })
	l.End()
	rows, rejects := rest(t, l)
	if rows["1|2"] != 1 || rows["5|6"] != 10_000 || len(rejects) != 1 || !errors.Is(rejects[0].Reason, errLate) ||
		rejects[0].Offset != 4 {
		t.Errorf("%v %v", rows, rejects)
	}
	<-rung
	b := record.NewBatch(l.parserSchema(), 0)
	if err := l.Poll(b); err != io.EOF || b.Len() > 0 {
		t.Errorf("%d rows, %v", b.Len(), err)
	}
	if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
		c.Close()
		t.Error("it listens on")
	}
}

// Goal: a connection that was taken while the listener ends does not outlive it, whatever it is waited for. Method: both kinds of waiting, asked for
// after End; neither the hour of the one nor the eternity of the other may count.
func TestListenEndsWaiting(t *testing.T) {
	l := listening(t, ListenConfig{}, DelimitedConfig{})
	l.End()
	for _, wait := range []time.Time{{}, time.Now().Add(time.Hour)} {
		here, there := net.Pipe()
		if err := l.within(here, wait); err != nil {
			t.Fatal(err)
		}
		stop := time.AfterFunc(time.Minute, func() { there.Close() })
		if _, err := here.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("until %v: %v", wait, err)
		}
		stop.Stop()
		here.Close()
		there.Close()
	}
}

// Goal: Poll does not wait, Read does until its context is done, and the header of each connection is no record.
func TestListenPoll(t *testing.T) {
	l := listening(t, ListenConfig{}, DelimitedConfig{Header: true})
	b := record.NewBatch(l.parserSchema(), 0)
	if err := l.Poll(b); err != nil || b.Len() > 0 {
		t.Errorf("%d rows, %v", b.Len(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Read(ctx, b); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for range 2 {
		send(t, dial(t, l), "a,b\n1,2\n")
	}
	if rows, _ := rest(t, l); rows["1|2"] != 2 || len(rows) != 1 {
		t.Errorf("%v", rows)
	}
}

// flaky is a socket that cannot give the first connections.
type flaky struct {
	deadlineListener
	left int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.left > 0 {
		f.left--
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.deadlineListener.Accept()
}

// Goal: a system that has no descriptor left for a connection does not end the listener, and is counted. Method: a socket that fails three times.
func TestListenAcceptFails(t *testing.T) {
	socket, remove, err := openSocket(&ListenConfig{Network: networkTCP, Address: ":0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func(was func(*ListenConfig) (deadlineListener, func() error, error)) { openSocketFor = was }(openSocketFor)
	openSocketFor = func(*ListenConfig) (deadlineListener, func() error, error) {
		return &flaky{socket, 3}, remove, nil
	}
	l := listening(t, ListenConfig{}, DelimitedConfig{})
	send(t, dial(t, l), "1,2\n")
	if rows, _ := taken(t, l, 1); rows["1|2"] != 1 || l.Stats().Failed != 3 {
		t.Errorf("%v, %v", rows, l.Stats())
	}
}

// Goal: readToken lets in exactly those whose first line is the token, gives back all that is after it, and keeps no more than a token may have.
// Method: the twin has the whole text; random pieces.
func FuzzReadToken(f *testing.F) {
	for _, s := range []string{
		"", "\n", secret, secret + "\n", secret + "\r\n1,2\n", secret + "\r\r\n",
		"x" + secret + "\n", "\x16\x03\x01", strings.Repeat("y", 2*MaxTokenBytes) + "\n" + secret + "\n",
	} {
		f.Add([]byte(s), uint8(3))
		f.Add([]byte(s), uint8(255))
	}
	f.Fuzz(func(t *testing.T, text []byte, most uint8) {
		in := bytes.NewReader(text)
		var r io.Reader = &chopped{in, int(most) + 1}
		if most%2 == 0 {
			r = iotest.DataErrReader(r)
		}
		ahead, err := readToken(r, secret)
		line, behind, found := strings.Cut(string(text), "\n")
		if want := found && strings.TrimSuffix(line, "\r") == secret; want != (err == nil) {
			t.Fatalf("%q: %v", text, err)
		}
		if err != nil {
			if read := len(text) - in.Len(); read > MaxTokenBytes+2+int(most)+1 {
				t.Errorf("%d bytes were read", read)
			}
			return
		}
		rest, err := io.ReadAll(r)
		if err != nil || string(ahead)+string(rest) != behind {
			t.Errorf("%q and %q, expected %q, %v", ahead, rest, behind, err)
		}
	})
}

// chopped gives some bytes at a time.
type chopped struct {
	in   io.Reader
	most int
}

func (c *chopped) Read(b []byte) (int, error) { return c.in.Read(b[:min(len(b), c.most)]) }
