package velocli

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/metrics"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/server"
	"github.com/velo-engine/velo/server/job"
)

// Limits of the requests for metrics.
const (
	// metricsWithin is how long a request may take to arrive, and its answer to leave.
	metricsWithin = 10 * time.Second
	// metricsIdle is how long a connection may be idle.
	metricsIdle = 2 * time.Minute
	// metricsHeader bounds the headers of a request.
	metricsHeader = 16 << 10
	// metricsConnections bounds the connections at a time; others wait.
	metricsConnections = 32
)

// observed says where the metrics of a job can be read while it runs.
type observed struct {
	Metrics     string `help:"Serve metrics for Prometheus there while the job runs." placeholder:"HOST:PORT"`
	MetricsCert string `help:"The certificate of that address, for TLS." placeholder:"FILE"`
	MetricsKey  string `help:"The key of the certificate." placeholder:"FILE"`
	// MetricsToken is a file, so that the token is not in the list of processes.
	MetricsToken string `help:"A file with the token that requests must bear." placeholder:"FILE"`
}

// endpoint serves the metrics of a job.
type endpoint struct {
	server *http.Server
	ended  chan struct{}
}

// listenMetrics begins to listen, before anything runs. It returns nil if nobody asks for metrics.
func (o *observed) listenMetrics(std streams) (net.Listener, []byte, error) {
	if o.Metrics == "" {
		if o.MetricsCert != "" || o.MetricsKey != "" || o.MetricsToken != "" {
			return nil, nil, cli.Misusef("--metrics-cert, --metrics-key and --metrics-token are for --metrics " +
				"HOST:PORT")
		}
		return nil, nil, nil
	}
	if (o.MetricsCert == "") != (o.MetricsKey == "") {
		return nil, nil, cli.Misusef("--metrics-cert and --metrics-key go together, expected both or none")
	}
	var token []byte
	if o.MetricsToken != "" {
		text, err := os.ReadFile(o.MetricsToken)
		if err != nil {
			return nil, nil, fmt.Errorf("--metrics-token: %w", err)
		}
		token = []byte(strings.TrimRight(string(text), "\r\n"))
		if len(token) < readers.MinTokenBytes || len(token) > readers.MaxTokenBytes {
			return nil, nil, fmt.Errorf("--metrics-token: %s has a line of %d bytes, expected %d..%d", o.MetricsToken,
				len(token), readers.MinTokenBytes, readers.MaxTokenBytes)
		}
	}
	at, err := net.ResolveTCPAddr("tcp", o.Metrics)
	if err != nil {
		return nil, nil, cli.Misusef("--metrics: %w; expected host:port, such as 127.0.0.1:9090", err)
	}
	if !at.IP.IsLoopback() && (o.MetricsCert == "" || token == nil) {
		return nil, nil, cli.Misusef("--metrics: %v is no loopback address, so other machines could connect: expected "+
			"127.0.0.1 or ::1, or --metrics-cert, --metrics-key and --metrics-token", at)
	}
	scheme := "http"
	listener, err := net.ListenTCP("tcp", at)
	if err != nil {
		return nil, nil, fmt.Errorf("--metrics: %w", err)
	}
	var all net.Listener = &bounded{listener, make(chan struct{}, metricsConnections)}
	if o.MetricsCert != "" {
		pair, err := tls.LoadX509KeyPair(o.MetricsCert, o.MetricsKey)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("--metrics-cert: %w", err), listener.Close())
		}
		all = tls.NewListener(all, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
		scheme = "https"
	}
	note(std.err, fmt.Sprintf("velo: metrics are at %s://%v/metrics", scheme, listener.Addr()))
	return all, token, nil
}

// bounded is a listener that has a bounded number of connections at a time.
type bounded struct {
	net.Listener
	open chan struct{}
}

// Accept waits until there is room.
func (b *bounded) Accept() (net.Conn, error) {
	b.open <- struct{}{}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.open
		return nil, err
	}
	return &boundedConn{Conn: c, open: b.open}, nil
}

// boundedConn makes room when it is closed.
type boundedConn struct {
	net.Conn
	open   chan struct{}
	closed bool
}

// Close is called by the server, one call at a time.
func (c *boundedConn) Close() error {
	if !c.closed {
		c.closed = true
		<-c.open
	}
	return c.Conn.Close()
}

// serveMetrics serves the metrics of a job until it is stopped.
func serveMetrics(l net.Listener, token []byte, job string, ins []*ingest) *endpoint {
	if l == nil {
		return nil
	}
	var set metrics.Set
	set.AddJobs(func() []metrics.Job { return []metrics.Job{jobMetrics(job, ins)} })
	set.SetProcess(thisProcess)
	mux := http.NewServeMux()
	mux.Handle("/metrics", bearing(token, &set))
	// Probes bear no token, so they are told whether, and only who may see the rest is told why.
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		why := unready(jobMetrics(job, ins))
		if why != "" && token != nil {
			why = "not ready; /metrics says more"
		}
		if why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	e := &endpoint{
		server: &http.Server{
			Handler: mux, ReadTimeout: metricsWithin, WriteTimeout: metricsWithin,
			IdleTimeout: metricsIdle, MaxHeaderBytes: metricsHeader,
		},
		ended: make(chan struct{}),
	}
	go func() {
		defer close(e.ended)
		_ = e.server.Serve(l) // it ends when it is stopped
	}()
	return e
}

// bearing lets requests through that have the token; all do if there is none.
func bearing(token []byte, to http.Handler) http.Handler {
	if token == nil {
		return to
	}
	right := sha256.Sum256(token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		sum := sha256.Sum256([]byte(got)) // of equal length, so that the time does not tell the length
		if subtle.ConstantTimeCompare(sum[:], right[:]) != 1 || !bears {
			w.Header().Set("WWW-Authenticate", "Bearer")
			const want = "the token of --metrics-token is needed: Authorization: Bearer TOKEN"
			http.Error(w, want, http.StatusUnauthorized)
			return
		}
		to.ServeHTTP(w, r)
	})
}

// stop ends it, after the answers that are being written.
func (e *endpoint) stop() {
	if e == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if e.server.Shutdown(ctx) != nil {
		_ = e.server.Close()
	}
	<-e.ended
}

// jobName is what metrics call a job: its file without folders and without .sql.
func jobName(path string) string {
	if path == "-" {
		return "stdin"
	}
	return strings.TrimSuffix(filepath.Base(path), ".sql")
}

// jobMetrics reads the counters of all engines of a job.
func jobMetrics(name string, ins []*ingest) metrics.Job {
	j := metrics.Job{Name: name, State: "finished"}
	for i, in := range ins {
		one := metrics.Engine{Stats: in.engine.Stats()}
		if len(ins) > 1 {
			one.Name = in.feed.name
			if sharesName(ins, i) {
				one.Name = in.names()
			}
		}
		for _, f := range in.flows {
			one.Plans = append(one.Plans, f.name)
		}
		state := metrics.StateOf(&one.Stats)
		switch {
		case state == "failed":
			j.State = state
		case state == "running" && j.State != "failed":
			j.State = state
		}
		j.Engines = append(j.Engines, one)
	}
	return j
}

// sharesName says whether another engine reads a source of the same name.
func sharesName(ins []*ingest, i int) bool {
	for k := range ins {
		if k != i && ins[k].feed.name == ins[i].feed.name {
			return true
		}
	}
	return false
}

// unready says why a job is not ready; it is empty if it is.
func unready(j metrics.Job) string {
	var why []string
	for i := range j.Engines {
		s := &j.Engines[i].Stats
		if s.Err != nil {
			why = append(why, fmt.Sprintf("failed: %s: %v", s.Plan, s.Err))
		}
		if s.State.Restored > 0 && !s.State.CaughtUp && !s.Ended {
			why = append(why, fmt.Sprintf("restored and not caught up: %s", s.Plan))
		}
	}
	return strings.Join(why, "\n")
}

// thisProcess is what this program was built of.
func thisProcess() metrics.Process {
	version, commit := buildOf()
	return metrics.Process{Version: version, Commit: commit, Go: runtime.Version()}
}

// serverMetrics shows the jobs of a server, and what its clients do.
func serverMetrics(jobs *job.Manager, listeners []listening) func(*server.Server) http.Handler {
	return func(s *server.Server) http.Handler {
		var set metrics.Set
		set.SetProcess(func() metrics.Process {
			p, use := thisProcess(), s.Use()
			p.Server = &metrics.Server{
				Requests: use.Requests, Refused: use.Refused, Queries: use.Served, Running: use.Running,
				Streams: use.Streams, Results: use.Results, Held: use.Held, ResultBytes: use.Memory,
				SpilledBytes: use.Spilled, PushBytes: use.PushBytes, PushesFull: use.PushesFull,
			}
			p.Server.Memory, p.Server.MemoryLimit = jobs.Memory()
			for _, l := range listeners {
				if l.protocol != nil && l.protocol.Stats != nil {
					of := l.protocol.Stats()
					of.Name = l.what
					p.Protocols = append(p.Protocols, of)
				}
			}
			return p
		})
		set.AddJobs(func() (all []metrics.Job) {
			engines := s.Engines()
			add := func(j metrics.Job) {
				for _, e := range engines[j.Name] {
					one := metrics.Engine{Stats: e.Engine.Stats(), Plans: e.Plans}
					if len(engines[j.Name]) > 1 {
						one.Name = e.Name
					}
					j.Engines = append(j.Engines, one)
				}
				all = append(all, j)
			}
			for _, status := range jobs.List() {
				add(metrics.Job{Name: status.Name, State: string(status.State), Restarts: status.Restarts})
				if r := status.Replacement; r != nil {
					state := job.Active // that it catches up is seen at what waits to be read
					if r.State == job.Starting || r.State == job.BackingOff {
						state = r.State
					}
					add(metrics.Job{Name: status.Name + server.ReplacementSuffix, State: string(state)})
				}
			}
			return all
		})
		return &set
	}
}
