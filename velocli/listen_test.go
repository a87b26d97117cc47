package velocli

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/connect"

	"github.com/velo-engine/velo/query"
)

// told is what a command says while it runs.
type told struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func (w *told) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
	return w.text.Write(b)
}

func (w *told) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// certificate writes the certificate of a test server, and its key.
func certificate(t *testing.T) *x509.Certificate {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"server.pem": {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		"key.pem":    {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return server.Certificate()
}

// Goal: a job reads what others send it, by each network and in each format, with TLS and a token too, and what is wrong with a record is set aside with its connection. Method: jobs that end after three
// records; several connections, of which one does not have the token.
func TestRunListens(t *testing.T) {
	const token = "the longest day of june"
	inFolder(t, map[string]string{"token": token + "\n"})
	roots := x509.NewCertPool()
	roots.AddCert(certificate(t))
	for _, c := range []struct {
		with  string
		first string // line of each connection
		tls   bool
		lines []string
	}{
		{with: `connector = 'tcp', address = 'localhost:0'`, lines: []string{"a,1\nb,2\nx,y\n", "c,3\n"}},
		{
			with: `connector = 'tcp', address = '127.0.0.1:0', format = 'ndjson'`,
			lines: []string{
				`{"name":"a","n":1}` + "\n", `{"n":2,"name":"b"}` + "\n{}x\n",
				`{"name":"c","n":3}` + "\n",
			},
		},
		{
			with:  `connector = 'tcp', address = '[::1]:0', format = 'tsv', delimiter = ';', header = true`,
			first: "name;n\n", lines: []string{"a;1\nx;y\nb;2\n", "c;3\n"},
		},
		{
			with:  `connector = 'unix', path = 's.sock', format = 'tsv'`,
			lines: []string{"a\t1\n", "b\t2\nx\ty\n", "c\t3\n"},
		},
		{with: `connector = 'tcp', address = '0.0.0.0:0', certificate = 'server.pem', key = 'key.pem', token.file = 'token'`, first: token + "\n", tls: true, lines: []string{"x,y\na,1\nb,2\n", "c,3\n"}},
	} {
		if strings.Contains(c.with, "::1") && !hasIPv6() {
			t.Logf("no IPv6 here: %s", c.with)
			continue
		}
		job := `CREATE SOURCE s (name text NOT NULL, n bigint NOT NULL) WITH (` + c.with +
			`); SELECT name, n + 1 AS more FROM s WHERE n < 10 LIMIT 3`
		if err := os.WriteFile("job.sql", []byte(job), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		errs := &told{more: make(chan struct{}, 1)}
		ended := make(chan int, 1)
		go func() {
			ended <- run([]string{"run", "job.sql", "--format=csv", "--quarantine=bad.ndjson"}, strings.NewReader(""),
				&out, errs)
		}()
		// until waits for something that the job does; one that has ended will not.
		until := func(what string, done func() bool) {
			t.Helper()
			deadline := time.After(time.Minute)
			for !done() {
				select {
				case <-errs.more:
				case <-time.After(time.Millisecond):
				case status := <-ended:
					t.Fatalf("%s: ended with status %d before %s\n%s", c.with, status, what, errs)
				case <-deadline:
					t.Fatalf("%s: no %s\n%s", c.with, what, errs)
				}
			}
		}
		place := regexp.MustCompile(`velo: s: listening on (tcp|unix) (\S+)\n`)
		var at []string
		until("it listens", func() bool {
			at = place.FindStringSubmatch(errs.String())
			return at != nil
		})
		send := func(lines string) {
			conn, err := net.Dial(at[1], strings.Replace(at[2], "0.0.0.0", "127.0.0.1", 1))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if c.tls {
				conn = tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "example.com"})
			}
			if _, err := io.WriteString(conn, lines); err != nil {
				t.Fatal(err)
			}
		}
		if c.tls {
			send("the longest day of july\nd,4\n")
		}
		for _, lines := range c.lines[:len(c.lines)-1] {
			send(c.first + lines)
		}
		// The last record ends the job, so what is before it must be there: the one that is set aside too.
		until("record set aside", func() bool {
			set, err := os.ReadFile("bad.ndjson")
			return err == nil && bytes.Contains(set, []byte("connection"))
		})
		send(c.first + c.lines[len(c.lines)-1])
		select {
		case status := <-ended:
			if status != statusAside {
				t.Errorf("%s: status %d\n%s", c.with, status, errs)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: it does not end\n%s", c.with, errs)
		}
		// Who was turned away is said, and of nobody nothing.
		if said := regexp.MustCompile(`velo: s: 0 connections open, 3 accepted, 0 refused, 1 denied, \d broken, `).MatchString(errs.String()); said != c.tls {
			t.Errorf("%s: %s", c.with, errs)
		}
		rows := strings.Split(strings.TrimSpace(out.String()), "\n")
		slices.Sort(rows[1:])
		if got := strings.Join(rows, " "); got != "name,more a,2 b,3 c,4" {
			t.Errorf("%s: %s\n%s", c.with, got, errs)
		}
		if left, err := filepath.Glob("*.sock"); len(left) > 0 || err != nil {
			t.Errorf("%s: %v is left, %v", c.with, left, err)
		}
	}
}

// Goal: an interrupt loses nothing that a socket had received, and closes no window. Method: a reader that is paused, so that what has been received waits in
// the listener; connections that have closed and one that has not, a signal, and only then the reader goes on.
func TestRunDrains(t *testing.T) {
	for _, c := range []struct{ query, want string }{
		{`SELECT count(*) AS n, sum(n) AS total FROM s`, "n,total\n400,400\n"},
		{
			`SELECT window_end, count(*) AS n FROM s GROUP BY tumble(at, INTERVAL '1 hour')`,
			"window_end,n\n2024-01-01T01:00:00Z,100\n",
		},
	} {
		inFolder(t, map[string]string{"job.sql": `CREATE SOURCE s (n bigint NOT NULL, at timestamp NOT NULL, WATERMARK FOR at AS at - INTERVAL '1 s')
			WITH (connector = 'unix', path = 's.sock'); ` + c.query})
		var out bytes.Buffer
		errs := &told{more: make(chan struct{}, 1)}
		std := streams{in: strings.NewReader(""), out: &out, err: errs}
		cmd := &runCmd{Job: "job.sql", Format: "csv"}
		text, err := cmd.text(std.in)
		if err != nil {
			t.Fatal(err)
		}
		job, err := query.CompileJob(text, connect.Default)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.fill(cmd.ingests(job), len(job.Outputs)); err != nil {
			t.Fatal(err)
		}
		flows, err := cmd.open(job, std)
		if err != nil {
			t.Fatal(err)
		}
		defer closeFeeds(flows)
		stop := newStopper(std.err)
		stop.start()
		if err := cmd.start(job, flows); err != nil {
			t.Fatal(err)
		}
		eng, k := flows[0].engine, flows[0].feed.socket
		if err := eng.Pause(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		sent := 0
		for i, hour := range []string{"00", "01", "01", "01"} {
			conn, err := net.Dial("unix", "s.sock")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			lines := strings.Repeat("1,2024-01-01T"+hour+":30:00Z\n", 100)
			if _, err := io.WriteString(conn, lines); err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				conn.Close()
			}
			// One after the other, so that the hours come in their order.
			for sent += len(lines); k.Stats().Bytes < uint64(sent); {
				<-time.After(time.Millisecond)
			}
		}
		ended := make(chan error)
		go func() { ended <- cmd.wait(flows, stop, nil, std.err) }()
		stop.signals <- os.Interrupt
		for !strings.Contains(errs.String(), "interrupted") {
			<-errs.more
		}
		if err := eng.Resume(t.Context(), 0); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil || out.String() != c.want {
			t.Errorf("%s: %v\n%s%s\nexpected\n%s", c.query, err, &out, errs, c.want)
		}
		if n := eng.Stats().Counters().In; n != 400 {
			t.Errorf("%s: %d records, expected 400", c.query, n)
		}
	}
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	return err == nil && l.Close() == nil
}
