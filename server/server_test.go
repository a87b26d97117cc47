package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type trade struct {
	Symbol string
	Size   int64
	At     time.Time
}

// mounted is a service that mounts a server over one engine.
func mounted(t *testing.T, set func(*Config)) (*Server, *readers.Lane[trade], *engine.Engine) {
	t.Helper()
	schema, err := record.SchemaOf[trade]("trades")
	must(t, err)
	feed, err := readers.NewFeed[trade](schema, readers.FeedConfig{})
	must(t, err)
	p, err := query.Compile("SELECT symbol, sum(size) AS volume, max(at) AS last FROM trades GROUP BY symbol", schema)
	must(t, err)
	lane, err := feed.Lane()
	must(t, err)
	e, err := engine.Start(t.Context(), engine.Config{
		Plan: p, Readers: []record.Reader{feed}, NoPin: true, Cores: 1, Partitions: 1, StateBytes: 64 << 20,
	})
	must(t, err)
	views := view.NewCatalog(view.Limits{})
	must(t, views.Add("volumes", view.View{Engine: e, Plan: p, Comment: "shares"}))
	cfg := Config{Views: views, Engines: func() []Engine { return []Engine{{Name: "volumes", Engine: e}} }}
	if set != nil {
		set(&cfg)
	}
	s, err := New(cfg)
	must(t, err)
	t.Cleanup(func() {
		must(t, s.Close())
		must(t, e.Close())
		if use := views.Use(); use.Results != 0 || use.Held != 0 || use.Memory != 0 || use.Running != 0 {
			t.Errorf("left: %+v", use)
		}
	})
	return s, lane, e
}

func ask(s http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "localhost"
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// TestMounted mounts a server below a path of a service.
func TestMounted(t *testing.T) {
	s, lane, e := mounted(t, nil)
	must(t, lane.Send(t.Context(), trade{"A", 5, time.Unix(0, 0)}))
	must(t, e.Sync(t.Context()))
	mux := http.NewServeMux()
	mux.Handle("/velo/", http.StripPrefix("/velo", s))
	w := ask(mux, "GET", "/velo/v1/views/volumes?key=A", "")
	var got struct {
		View    string
		Epoch   uint64
		Columns []struct{ Name, Type string }
		Rows    []map[string]any
	}
	must(t, json.Unmarshal(w.Body.Bytes(), &got))
	if got.View != "volumes" || got.Epoch == 0 || len(got.Rows) != 1 || got.Rows[0]["volume"] != 5.0 ||
		got.Columns[2].Type != "timestamp" {
		t.Errorf("%s", w.Body)
	}
	if w := ask(mux, "GET", "/velo/v1/jobs", ""); w.Code != 404 {
		t.Errorf("a service without jobs: %d", w.Code)
	}
	if w := ask(mux, "POST", "/velo/v1/query", "SHOW JOBS"); w.Code != 404 ||
		!strings.Contains(w.Body.String(), "no_jobs") {
		t.Errorf("a service without jobs: %d, %s", w.Code, w.Body)
	}
	if w := ask(mux, "GET", "/velo/v1/stats", ""); !strings.Contains(w.Body.String(), `"name":"volumes"`) {
		t.Errorf("%s", w.Body)
	}
	if w := ask(mux, "GET", "/velo/readyz", ""); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
}

// noJobs is a Runner of no job.
type noJobs struct{}

func (noJobs) Compile(string, string, job.Options) (job.Program, error) {
	return nil, fmt.Errorf("query: nothing compiles")
}

// TestOpenAPI compares the description with the paths, both ways.
func TestOpenAPI(t *testing.T) {
	jobs, err := job.Open(job.Config{Dir: t.TempDir(), Runner: noJobs{}})
	must(t, err)
	defer func() { must(t, jobs.Close()) }()
	s, _, _ := mounted(t, func(c *Config) {
		c.Jobs, c.Runner = jobs, noJobs{}
		c.Metrics = func(*Server) http.Handler { return http.NotFoundHandler() }
	})
	var doc struct {
		Paths map[string]map[string]struct {
			Role       string `json:"x-role"`
			Parameters []struct{ Name, In string }
			Responses  map[string]any
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	must(t, json.Unmarshal(openAPI, &doc))
	said, there := map[string]string{}, map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			said[strings.ToUpper(method)+" "+path] = op.Role
			var in []string
			for _, p := range op.Parameters {
				if p.In == "path" {
					in = append(in, "{"+p.Name+"}")
				}
			}
			for _, part := range strings.Split(path, "/") {
				if strings.HasPrefix(part, "{") && !slices.Contains(in, part) {
					t.Errorf("%s %s: the parameter %s is not described", method, path, part)
				}
			}
			if strings.Count(path, "{") != len(in) {
				t.Errorf("%s %s describes the path parameters %q", method, path, in)
			}
		}
	}
	for _, r := range s.routes {
		if !strings.HasPrefix(r.path, "/debug/") {
			there[r.method+" "+r.path] = r.role.String()
		}
	}
	if !reflect.DeepEqual(said, there) {
		t.Errorf("the description says %v\nthere are %v", said, there)
	}
	// The query parameters that handlers read are described, and the others are not.
	read := map[string]bool{}
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, call := range []string{`f.bool("`, `f.int("`, `f.duration("`, `Query().Get("`, `Query()["`} {
			for _, rest := range strings.Split(string(text), call)[1:] {
				name, _, _ := strings.Cut(rest, `"`)
				read[name] = true
			}
		}
	}
	described := map[string]bool{}
	for _, methods := range doc.Paths {
		for _, op := range methods {
			for _, p := range op.Parameters {
				if p.In == "query" {
					described[p.Name] = true
				}
			}
		}
	}
	if !reflect.DeepEqual(read, described) {
		t.Errorf("handlers read %v\ndescribed are %v", read, described)
	}
	// The fields of answers are described.
	for name, v := range map[string]any{
		"Job": jobAnswer{}, "View": viewInfo{}, "Column": column{}, "Fault": Fault{}, "Reject": Reject{},
		"Event":  job.Event{},
		"Object": job.Object{}, "Pushed": pushAnswer{},
	} {
		fields := map[string]bool{}
		jsonFields(reflect.TypeOf(v), fields)
		for f := range fields {
			if _, ok := doc.Components.Schemas[name].Properties[f]; !ok {
				t.Errorf("the field %s of %s is not described", f, name)
			}
		}
		for f := range doc.Components.Schemas[name].Properties {
			if !fields[f] {
				t.Errorf("%s has no field %s", name, f)
			}
		}
	}
	// Every error has a description.
	for _, path := range []string{"GET /v1/jobs/none", "PUT /v1/jobs/a", "GET /v1/views/none", "POST /v1/query"} {
		method, at, _ := strings.Cut(path, " ")
		w := ask(s, method, at, "SELECT")
		template := strings.NewReplacer("/jobs/none", "/jobs/{job}", "/jobs/a", "/jobs/{job}", "/views/none",
			"/views/{view}").
			Replace(at)
		if _, ok := doc.Paths[template][strings.ToLower(method)].Responses[fmt.Sprint(w.Code)]; !ok {
			t.Errorf("%s answers %d, which is not described", path, w.Code)
		}
	}
}

func jsonFields(t reflect.Type, to map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			jsonFields(f.Type, to)
		case name != "-":
			to[name] = true
		}
	}
}

// TestLimits asks for too much at the same time, and for too long.
func TestLimits(t *testing.T) {
	s, lane, e := mounted(t, func(c *Config) {
		c.Limits = Limits{Streams: 1, BodyBytes: 100, ChangeGroups: 2, QueryTime: time.Nanosecond}
	})
	for i := range 3 {
		must(t, lane.Send(t.Context(), trade{fmt.Sprint(i), 1, time.Unix(1, 0)}))
	}
	must(t, e.Sync(t.Context()))
	if w := ask(s, "GET", "/v1/views/volumes/changes", ""); w.Code != http.StatusConflict {
		t.Errorf("the changes of too many groups: %d, %s", w.Code, w.Body)
	}
	if w := ask(s, "POST", "/v1/query", strings.Repeat(" ", 101)); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", w.Code)
	}
	if w := ask(s, "POST", "/v1/query", "SELECT count(*) FROM volumes"); w.Code != http.StatusGatewayTimeout {
		t.Errorf("a query that takes too long: %d, %s", w.Code, w.Body)
	}
	s.streams <- struct{}{}
	if w := ask(s, "GET", "/v1/views/volumes/changes", ""); w.Code != http.StatusTooManyRequests ||
		w.Header().Get("Retry-After") == "" {
		t.Errorf("too many streams: %d", w.Code)
	}
	<-s.streams
	s.queries = make(chan struct{})
	if w := ask(s, "POST", "/v1/query", "SELECT count(*) FROM volumes"); w.Code != http.StatusTooManyRequests {
		t.Errorf("too many queries: %d", w.Code)
	}
}

// TestPanic has a page that panics, before and after it has begun.
func TestPanic(t *testing.T) {
	var said []string
	begins := false
	s, _, _ := mounted(t, func(c *Config) {
		c.Log = func(text string) { said = append(said, text) }
		c.Metrics = func(*Server) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if begins {
					_, _ = w.Write([]byte("half"))
				}
				panic("a fault")
			})
		}
	})
	if w := ask(s, "GET", "/metrics", ""); w.Code != 500 || !strings.Contains(w.Body.String(), `"code":"internal"`) ||
		strings.Contains(w.Body.String(), "goroutine") || len(said) == 0 ||
		!strings.Contains(said[0], "panic at GET /metrics: a fault\n") {
		t.Errorf("%d, %s, %q", w.Code, w.Body, said)
	}
	begins = true
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("an answer that was begun ends as if it were whole: %v", p)
		}
	}()
	ask(s, "GET", "/metrics", "")
}

// TestPlaces asks from other places without tokens.
func TestPlaces(t *testing.T) {
	s, _, _ := mounted(t, nil)
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8123": 200, "127.0.0.1:1": 200, "[::1]:8123": 200, "127.8.8.8": 200,
		"example.com": 403, "10.0.0.1:8123": 403, "localhost.evil.example": 403,
	} {
		r := httptest.NewRequest("GET", "/v1/views", nil)
		r.Host = host
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %s: %d, want %d", host, w.Code, want)
		}
	}
	for _, h := range []string{"Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"} {
		if w := ask(s, "POST", "/v1/query", "SELECT count(*) FROM volumes", h); w.Code != 403 {
			t.Errorf("%s: %d", h, w.Code)
		}
	}
	if w := ask(s, "POST", "/v1/query", "SELECT count(*) FROM volumes", "Origin: http://localhost"); w.Code != 200 {
		t.Errorf("the own page: %d, %s", w.Code, w.Body)
	}
}

func TestTokens(t *testing.T) {
	dir := t.TempDir()
	path := func(name, text string, mode os.FileMode) string {
		p := filepath.Join(dir, name)
		must(t, os.WriteFile(p, []byte(text), mode))
		must(t, os.Chmod(p, mode))
		return p
	}
	good := path("good", "# comment\n\n0123456789abcdef\nfedcba9876543210\n", 0o600)
	a, err := ReadTokens(good, "", path("admin", "adminadminadmin!", 0o640))
	must(t, err)
	for token, want := range map[string]Role{
		"0123456789abcdef": RoleRead, "fedcba9876543210": RoleRead, "adminadminadmin!": RoleAdmin, "": RoleNone,
		"0123456789abcde": RoleNone, "# comment": RoleNone,
	} {
		if got := a.RoleOf(token); got != want {
			t.Errorf("token %q is for %v, want %v", token, got, want)
		}
	}
	for name, p := range map[string]string{
		"short": path("short", "0123", 0o600), "empty": path("empty", "# nothing\n", 0o600),
		"none": filepath.Join(dir, "none"),
		"open": path("open", "0123456789abcdef", 0o644),
	} {
		if _, err := ReadTokens(p, "", ""); err == nil || strings.Contains(err.Error(), "0123") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEnding closes the server while a stream is open.
func TestEnding(t *testing.T) {
	s, _, _ := mounted(t, nil)
	web := httptest.NewServer(s)
	defer web.Close()
	a, err := http.Get(web.URL + "/v1/views/volumes/changes")
	must(t, err)
	defer a.Body.Close()
	ended := make(chan error, 1)
	go func() { ended <- s.Close() }()
	select {
	case err := <-ended:
		must(t, err)
	case <-time.After(time.Minute):
		t.Fatal("a stream keeps the server from ending")
	}
	if w := ask(s, "GET", "/v1/views", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("after the end: %d", w.Code)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestEndingUnderLoad closes servers while requests come. Each is answered, or refused, and none
// begins after Close has returned: the race detector sees requests that Close does not know of.
func TestEndingUnderLoad(t *testing.T) {
	for range 20 {
		s, err := New(Config{Views: view.NewCatalog(view.Limits{})})
		must(t, err)
		var clients sync.WaitGroup
		refused := make(chan struct{}, 4)
		for range cap(refused) {
			clients.Go(func() {
				for {
					w := ask(s, "GET", "/v1/views", "")
					switch w.Code {
					case http.StatusOK:
					case http.StatusServiceUnavailable:
						refused <- struct{}{}
						return
					default:
						t.Errorf("%d: %s", w.Code, w.Body)
						return
					}
				}
			})
		}
		must(t, s.Close())
		if w := ask(s, "GET", "/v1/views", ""); w.Code != http.StatusServiceUnavailable {
			t.Errorf("after the end: %d", w.Code)
		}
		clients.Wait()
		if len(refused) != cap(refused) {
			t.Errorf("%d of %d clients were refused in the end", len(refused), cap(refused))
		}
	}
}

// TestVanish has 200 clients that go away at any moment, while an engine runs. Nothing of them is
// left.
func TestVanish(t *testing.T) {
	s, lane, e := mounted(t, nil)
	for i := range 2000 {
		must(t, lane.Send(t.Context(), trade{fmt.Sprint(i), 1, time.Unix(1, 0)}))
	}
	must(t, e.Sync(t.Context()))
	web := httptest.NewServer(s)
	defer web.Close()
	end := vanish(web.URL)
	for range 200 {
		must(t, lane.Send(t.Context(), trade{"x", 1, time.Unix(1, 0)}))
		time.Sleep(5 * time.Millisecond)
	}
	end()
	if n := s.Use().Requests; n < vanishing {
		t.Errorf("%d requests of %d clients", n, vanishing)
	}
	must(t, s.Close()) // waits for what is being answered; the end of the test looks at what is left
	if use := s.Use(); use.Queries != 0 || use.Streams != 0 {
		t.Errorf("left: %+v", use)
	}
}
