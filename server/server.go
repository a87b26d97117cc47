package server

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"path"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/server/push"
	"github.com/velo-engine/velo/server/stats"
	"github.com/velo-engine/velo/view"
)

// Config configures a Server. Views is required.
type Config struct {
	Views *view.Catalog

	// Jobs are shown and changed; nil shows none. Runner compiles what is to be validated.
	Jobs   *job.Manager
	Runner job.Runner

	// Engines are the engines of a service, for statistics, beside the engines of the jobs. It may
	// be nil.
	Engines func() []Engine

	// Access says who may do what; nil is for listeners that only this machine can reach.
	Access *Access

	Limits Limits

	// Metrics makes what answers /metrics. Page answers / and what no other path does. Either may
	// be nil.
	Metrics func(*Server) http.Handler
	Page    http.Handler

	// Log is told what goes wrong in the server itself; nil is not told.
	Log func(text string)
}

// Limits bound what clients take. A field that is 0 has its default.
type Limits struct {
	BodyBytes    int64         // of a request
	Queries      int           // at the same time; more get 429
	Streams      int           // of events and changes at the same time; more get 429
	QueryTime    time.Duration // for a statement, up to its last row in memory
	WriteTime    time.Duration // for the client to take a piece of the answer
	ChangeGroups int           // groups of a view whose changes are streamed
	// SourceBytes bounds the memory that bodies of pushes to one source take at once: the bodies,
	// and 32 bytes for each of their lines. PushBytes bounds it for all sources. More get 429.
	SourceBytes, PushBytes int64
}

// The default limits.
const (
	DefaultBodyBytes    = 8 << 20
	DefaultQueries      = 128
	DefaultStreams      = 256
	DefaultQueryTime    = 30 * time.Second
	DefaultWriteTime    = 30 * time.Second
	DefaultChangeGroups = 100_000
	DefaultSourceBytes  = sourceBodies * DefaultBodyBytes    // or sourceBodies times Limits.BodyBytes
	DefaultPushBytes    = serverSources * DefaultSourceBytes // or serverSources times Limits.SourceBytes
)

func (l Limits) withDefaults() Limits {
	l.BodyBytes = cmp.Or(l.BodyBytes, DefaultBodyBytes)
	l.Queries = cmp.Or(l.Queries, DefaultQueries)
	l.Streams = cmp.Or(l.Streams, DefaultStreams)
	l.QueryTime = cmp.Or(l.QueryTime, DefaultQueryTime)
	l.WriteTime = cmp.Or(l.WriteTime, DefaultWriteTime)
	l.ChangeGroups = cmp.Or(l.ChangeGroups, DefaultChangeGroups)
	l.SourceBytes = cmp.Or(l.SourceBytes, sourceBodies*l.BodyBytes)
	l.PushBytes = cmp.Or(l.PushBytes, serverSources*l.SourceBytes)
	return l
}

// A Server is a handler.
type Server struct {
	cfg      Config
	mux      *http.ServeMux
	routes   []route
	queries  chan struct{} // has a value for each statement that is answered
	streams  chan struct{} // has a value for each stream
	ctx      context.Context
	cancel   context.CancelFunc
	mu       sync.Mutex // guards ended
	ended    bool       // true after Close: no request begins any more
	requests sync.WaitGroup
	bodies   bodies         // what the bodies of pushes take
	samplers stats.Samplers // what the counters of engines were a moment ago
	// served and refused count requests. Statistic.
	served, refused atomic.Uint64
}

// A route is a path of the server.
type route struct {
	method, path string
	role         Role
	handle       func(http.ResponseWriter, *http.Request) error
}

//go:embed openapi.json
var openAPI []byte

// New makes a server.
func New(cfg Config) (*Server, error) {
	if cfg.Views == nil {
		return nil, errors.New("server: no catalog of views")
	}
	cfg.Limits = cfg.Limits.withDefaults()
	s := &Server{
		cfg: cfg, mux: http.NewServeMux(), queries: make(chan struct{}, cfg.Limits.Queries),
		streams: make(chan struct{}, cfg.Limits.Streams),
		bodies: bodies{
			ofSource: cfg.Limits.SourceBytes, ofAll: cfg.Limits.PushBytes, sources: map[*push.Source]int64{},
		},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.routes = s.paths()
	for _, r := range s.routes {
		s.mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, q *http.Request) { s.serve(w, q, r) })
	}
	s.mux.HandleFunc("/", s.other)
	return s, nil
}

// paths are all paths.
func (s *Server) paths() []route {
	all := []route{
		{"GET", "/healthz", RoleNone, s.health},
		{"GET", "/readyz", RoleNone, s.ready},
		{"GET", "/v1/openapi.json", RoleRead, s.openAPI},
		{"GET", "/v1/views", RoleRead, s.listViews},
		{"GET", "/v1/views/{view}", RoleRead, s.readView},
		{"GET", "/v1/views/{view}/changes", RoleRead, s.changes},
		{"GET", "/v1/query", RoleRead, s.query},
		{"POST", "/v1/query", RoleRead, s.query},
		{"GET", "/v1/stats", RoleRead, s.stats},
	}
	if s.cfg.Metrics != nil {
		all = append(all, route{"GET", "/metrics", RoleRead, plain(s.cfg.Metrics(s))})
	}
	if s.cfg.Jobs != nil {
		all = append(all, []route{
			{"GET", "/v1/jobs", RoleRead, s.listJobs},
			{"GET", "/v1/jobs/{job}", RoleRead, s.getJob},
			{"PUT", "/v1/jobs/{job}", RoleAdmin, s.putJob},
			{"DELETE", "/v1/jobs/{job}", RoleAdmin, s.deleteJob},
			{"POST", "/v1/jobs/{job}/{action}", RoleAdmin, s.actOnJob},
			{"GET", "/v1/jobs/{job}/stats", RoleRead, s.jobStats},
			{"GET", "/v1/jobs/{job}/events", RoleRead, s.events},
			{"GET", "/v1/jobs/{job}/quarantine", RoleRead, s.quarantine},
			{"GET", "/v1/events", RoleRead, s.events},
			{"POST", "/v1/validate", RoleRead, s.validate},
			{"POST", "/v1/try", RoleRead, s.try},
			{"POST", "/v1/sources/{source}/records", RoleWrite, s.push},
			{"GET", "/v1/sources/{source}/producers/{producer}", RoleWrite, s.producer},
		}...)
	}
	for path, h := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol,
		"trace": pprof.Trace,
	} {
		all = append(all, route{"GET", "/debug/pprof/" + path, RoleAdmin, onLoopback(h)})
	}
	return all
}

// Close ends all streams, and waits for requests that are being answered. The manager of the jobs
// and the catalog stay open.
func (s *Server) Close() error {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.cancel()
	s.requests.Wait()
	return nil
}

// begin counts a request that Close waits for. It returns false after Close, which may be waiting
// already.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.requests.Add(1)
	}
	return !s.ended
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		s.fail(w, r, errEnding)
		return
	}
	defer s.requests.Done()
	s.served.Add(1)
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "+
		"frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	s.mux.ServeHTTP(w, r)
}

// serve answers a request for a path.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, to route) {
	if err := s.allow(r, to.role); err != nil {
		s.fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, s.cfg.Limits.BodyBytes)
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(errEnding) })()
	out := &deadlined{ResponseWriter: w, control: http.NewResponseController(w), most: s.cfg.Limits.WriteTime}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler {
			panic(p)
		}
		s.log(fmt.Sprintf("panic at %s %s: %v\n%s", r.Method, r.URL.Path, p, strings.TrimSpace(string(debug.Stack()))))
		if !out.begun {
			s.fail(out, r, errors.New("the server has a fault; its log has more"))
			return
		}
		panic(http.ErrAbortHandler) // the client must not take it for the whole answer
	}()
	err := to.handle(out, r.WithContext(ctx))
	switch {
	case err == nil:
	case !out.begun:
		s.fail(out, r, err)
	default:
		s.log(r.Method + " " + r.URL.Path + ": " + err.Error())
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) log(text string) {
	if s.cfg.Log != nil {
		s.cfg.Log(text)
	}
}

// pageHas says whether the page answers a path. A page that can tell is asked, so that what is
// nowhere gets the error that all others get.
func (s *Server) pageHas(path string) bool {
	p, tells := s.cfg.Page.(interface{ Has(path string) bool })
	return s.cfg.Page != nil && (!tells || p.Has(path))
}

// other answers what no path does.
func (s *Server) other(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		ask := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		_, pattern := s.mux.Handler(ask)
		if pattern != "/" && (!strings.HasSuffix(pattern, "/{action}") || actions[path.Base(r.URL.Path)] != nil) {
			allowed = append(allowed, method)
		}
	}
	switch {
	case len(allowed) > 0:
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.fail(w, r, &Error{
			Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
			Message: r.Method + " is not for " + r.URL.Path, Hint: "it takes " + strings.Join(allowed, ", "),
		})
	case s.pageHas(r.URL.Path) && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		!strings.HasPrefix(r.URL.Path, "/v1/"):
		// The page has no data of its own: what it shows it asks for, with a token.
		if err := s.allow(r, RoleNone); err != nil {
			s.fail(w, r, err)
			return
		}
		s.cfg.Page.ServeHTTP(w, r)
	default:
		s.fail(w, r, &Error{
			Status: http.StatusNotFound, Code: "not_found", Message: "there is no " + r.URL.Path,
			Hint: "/v1/openapi.json describes what there is",
		})
	}
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) error {
	_, err := io.WriteString(w, "ok\n")
	return err
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	type waiting struct {
		Job   string    `json:"job"`
		State job.State `json:"state"`
	}
	answer := struct {
		Ready   bool      `json:"ready"`
		Waiting []waiting `json:"waiting"`
	}{true, []waiting{}}
	status := http.StatusOK
	if s.cfg.Jobs != nil {
		ok, all := s.cfg.Jobs.Ready()
		if !ok {
			status = http.StatusServiceUnavailable
		}
		answer.Ready = ok
		if s.allow(r, RoleRead) != nil {
			all = nil // who has no token hears no names
		}
		for _, j := range all {
			answer.Waiting = append(answer.Waiting, waiting{j.Name, j.State})
		}
	}
	return writeJSON(w, status, answer)
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	text, err := describe(s.cfg.Access != nil)
	if err == nil {
		_, err = w.Write(text)
	}
	return err
}

// describe is the description of a server with tokens, or of one that asks for none.
func describe(tokens bool) ([]byte, error) {
	if tokens {
		return openAPI, nil
	}
	var doc map[string]any
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		return nil, err
	}
	paths, _ := doc["paths"].(map[string]any)
	for _, p := range paths {
		methods, _ := p.(map[string]any)
		for _, m := range methods {
			operation, _ := m.(map[string]any)
			delete(operation, "security")
		}
	}
	return json.MarshalIndent(doc, "", " ")
}

// plain makes a route of a handler.
func plain(h http.Handler) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// onLoopback answers only clients of this machine.
func onLoopback(h http.HandlerFunc) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			return &Error{
				Status: http.StatusForbidden, Code: "forbidden", Message: "profiles are for clients of this machine",
			}
		}
		if d, ok := w.(*deadlined); ok {
			d.most = time.Hour
		}
		h(w, r)
		return nil
	}
}

// deadlined gives the client some time for each piece of the answer, and notes that it has begun.
type deadlined struct {
	http.ResponseWriter
	control *http.ResponseController
	most    time.Duration
	begun   bool
}

func (d *deadlined) deadline() {
	// Not every ResponseWriter has deadlines: then there are none.
	_ = d.control.SetWriteDeadline(time.Now().Add(d.most))
}

// WriteHeader begins the answer.
func (d *deadlined) WriteHeader(status int) {
	d.begun = true
	d.deadline()
	d.ResponseWriter.WriteHeader(status)
}

// Write writes a piece.
func (d *deadlined) Write(b []byte) (int, error) {
	d.begun = true
	d.deadline()
	return d.ResponseWriter.Write(b)
}

// Flush sends what has been written.
func (d *deadlined) Flush() {
	d.deadline()
	_ = d.control.Flush()
}

// Unwrap is for http.ResponseController.
func (d *deadlined) Unwrap() http.ResponseWriter { return d.ResponseWriter }

// take takes a place, or says that there is none.
func take(places chan struct{}, what string) (giveBack func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, &Error{
			Status: http.StatusTooManyRequests, Code: "too_many", Message: "there are too many " + what + " now",
			Hint: "try again later",
		}
	}
}
