package velocli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// served is velo serve in this process.
type servedHere struct {
	t    *testing.T
	url  string
	end  func() error
	said *syncBuffer
	head http.Header
}

// syncBuffer is a buffer that several goroutines write to.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// serveHere starts velo serve.
func serveHere(t *testing.T, c *serveCmd) *servedHere {
	t.Helper()
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &servedHere{t: t, said: &syncBuffer{}, head: http.Header{}}
	listens, ended := make(chan []listening, 1), make(chan error, 1)
	go func() {
		ended <- c.serve(ctx, streams{strings.NewReader(""), io.Discard, s.said}, func(all []listening) {
			listens <- all
		})
	}()
	s.end = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	select {
	case all := <-listens:
		s.url = "http://" + all[0].Addr().String()
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.end(); err != nil {
			t.Errorf("the end: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// ask asks, and returns the status, the headers and the body.
func (s *servedHere) ask(method, path, body string, headers ...string) (int, http.Header, string) {
	s.t.Helper()
	q, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for k, v := range s.head {
		q.Header[k] = v
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			q.Host = value
		} else {
			q.Header.Set(name, value)
		}
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return a.StatusCode, a.Header, string(b)
}

// wants asks, and checks the status and that the body has a text.
func (s *servedHere) wants(status int, has, method, path, body string, headers ...string) string {
	s.t.Helper()
	got, _, text := s.ask(method, path, body, headers...)
	if got != status || !strings.Contains(text, has) {
		s.t.Errorf("%s %s: %d, %s\nwant %d, %s", method, path, got, text, status, has)
	}
	return text
}

// soon waits until an answer has a text: what is set aside is told after it has been counted.
func (s *servedHere) soon(has, path string) {
	s.t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(time.Millisecond) {
		if _, _, text := s.ask("GET", path, ""); strings.Contains(text, has) {
			return
		}
	}
	s.t.Errorf("%s has no %q after a minute", path, has)
}

// TestServe goes through the life of a job by HTTP.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	s := serveHere(t, &serveCmd{State: dir})
	s.wants(200, "ok", "GET", "/healthz", "")
	s.wants(200, `"ready":true`, "GET", "/readyz", "")
	s.wants(404, `"code":"no_job"`, "GET", "/v1/jobs/orders", "")
	s.wants(200, `"ok":true`, "POST", "/v1/validate", pushedJob)
	s.wants(200, `"position":{"line":1,"column":15,"offset":14}`, "POST", "/v1/validate", "SELECT x FROM nowhere")
	s.wants(200, `"done":"created"`, "PUT", "/v1/jobs/orders?dry-run", pushedJob)
	s.wants(201, `"state":"running"`, "PUT", "/v1/jobs/orders", pushedJob)
	s.wants(200, `"done":"unchanged"`, "PUT", "/v1/jobs/orders", pushedJob)
	s.wants(200, `CREATE SOURCE orders`, "GET", "/v1/jobs/orders", "")
	s.wants(200, `"taken":2,"duplicates":0,"rejected":1,"rejects":[{"line":3,"reason":`, "POST",
		"/v1/sources/orders/records?sync=true",
		"{\"symbol\":\"A\",\"size\":5}\n\nnonsense\n{\"symbol\":\"B\",\"size\":7}\n")
	s.wants(422, `"code":"rejected"`, "POST", "/v1/sources/orders/records?atomic", "{\"symbol\":\"A\",\"size\":5}\nx")
	s.wants(200, `"next":3`, "POST", "/v1/sources/orders/records?sync",
		"{\"symbol\":\"A\",\"size\":1}\n{\"symbol\":\"C\",\"size\":1}", "Velo-Producer: me", "Velo-Sequence: 1")
	s.wants(409, `"next":3`, "POST", "/v1/sources/orders/records", "{}", "Velo-Producer: me", "Velo-Sequence: 9")
	s.wants(200, `"next":3`, "GET", "/v1/sources/orders/producers/me", "")
	s.wants(400, "Velo-Sequence", "POST", "/v1/sources/orders/records", "{}", "Velo-Producer: me")
	s.wants(404, "no_source", "POST", "/v1/sources/other/records", "{}")
	s.soon("nonsense", "/v1/jobs/orders/quarantine")
	if status, h, body := s.ask("GET", "/v1/views/sums?key=A&sync", ""); status != 200 ||
		!strings.Contains(body, `"rows":[{"symbol":"A","total":6}]`) || h.Get("Velo-Epoch") == "" ||
		h.Get("Velo-Positions") != "5" {
		t.Errorf("%d, %v, %s", status, h, body)
	}
	s.wants(200, `"rows":[]`, "GET", "/v1/views/sums?key=Z", "")
	s.wants(400, "keys", "GET", "/v1/views/sums?key=A&key=B", "")
	s.wants(404, "no_view", "GET", "/v1/views/none", "")
	s.wants(200, `"name":"sums"`, "GET", "/v1/views", "")
	s.wants(200, "symbol,total\nA,6\nB,7\n", "POST", "/v1/query", "SELECT * FROM sums ORDER BY symbol LIMIT 2",
		"Accept: text/csv")
	s.wants(200, "{\"t\":7}\n", "POST", "/v1/query",
		`{"sql":"SELECT total AS t FROM sums WHERE total > $1","parameters":[6]}`,
		"Accept: application/x-ndjson", "Content-Type: application/json")
	s.wants(200, `"rows":[{"n":4}]`, "GET", "/v1/query?sql=SELECT+*+FROM+counts", "")
	s.wants(400, `"column":8`, "POST", "/v1/query", "SELECT x FROM sums")
	s.wants(406, "not_acceptable", "POST", "/v1/query", "SELECT * FROM sums", "Accept: image/png")
	s.wants(405, "method_not_allowed", "DELETE", "/v1/query", "")
	s.wants(404, "not_found", "GET", "/v2", "")
	s.wants(200, "orders,running,running", "POST", "/v1/query", "SHOW JOBS", "Accept: text/csv")
	s.wants(200, `"name":"counts","job":"orders"`, "POST", "/v1/query", "SHOW VIEWS")
	s.wants(403, "admin", "GET", "/v1/query?sql=DROP+JOB+orders", "")
	s.wants(200, `"state":"paused"`, "POST", "/v1/jobs/orders/pause", "")
	s.wants(200, "alter", "POST", "/v1/query", "ALTER JOB orders RESUME")
	s.wants(409, `"code":"state"`, "POST", "/v1/jobs/orders/resume", "")
	s.wants(200, "", "POST", "/v1/jobs/orders/checkpoint", "")
	s.wants(404, "not_found", "POST", "/v1/jobs/orders/fly", "")
	s.wants(409, `"code":"state_lost"`, "PUT", "/v1/jobs/orders", strings.Replace(pushedJob, "sum(", "max(", 1))
	s.wants(400, `"code":"faults"`, "PUT", "/v1/jobs/orders", "nonsense")
	s.wants(400, `"code":"name"`, "PUT", "/v1/jobs/Orders", pushedJob)
	s.wants(400, `"code":"parameter"`, "PUT", "/v1/jobs/orders?fresh=maybe", pushedJob)
	s.wants(413, `"code":"too_large"`, "POST", "/v1/sources/orders/records", strings.Repeat("x", 9<<20))
	s.wants(200, `"cause":"started"`, "GET", "/v1/jobs/orders/events", "")
	s.wants(200, `"last":`, "GET", "/v1/events?after=2", "")
	s.wants(200, `"quarantined":1`, "GET", "/v1/jobs/orders/stats", "")
	s.wants(200, `"results":0`, "GET", "/v1/stats", "")
	s.wants(200, `velo_job_state{job_name="orders",state="running"} 1`, "GET", "/metrics", "")
	s.wants(200, `"openapi":`, "GET", "/v1/openapi.json", "")
	s.wants(200, "goroutine", "GET", "/debug/pprof/goroutine?debug=1", "")
	s.wants(403, "another place", "GET", "/v1/jobs", "", "Host: evil.example")
	s.wants(403, "another place", "POST", "/v1/jobs/orders/stop", "", "Origin: http://evil.example")
	s.wants(200, `"state":"stopped"`, "POST", "/v1/jobs/orders/stop", "")
	s.wants(503, `"code":"not_read"`, "POST", "/v1/sources/orders/records", "{}")
	s.wants(200, `"state":"running"`, "POST", "/v1/jobs/orders/start", "")
	s.wants(200, `"rows":[{"n":4}]`, "GET", "/v1/views/counts", "")
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	s = serveHere(t, &serveCmd{State: dir})
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(5 * time.Millisecond) {
		if status, _, _ := s.ask("GET", "/readyz", ""); status == 200 {
			break
		}
	}
	s.wants(200, `"rows":[{"n":4}]`, "GET", "/v1/views/counts", "")
	s.wants(200, `"done":"deleted"`, "DELETE", "/v1/jobs/orders", "")
	s.wants(404, "no_job", "GET", "/v1/jobs/orders", "")
}

// Goal: a job joins its records with a view of another job, also after a restart, when the other
// starts later: it waits for the view. A view that nobody has is named.
func TestServeTableOfViews(t *testing.T) {
	dir := t.TempDir()
	s := serveHere(t, &serveCmd{State: dir})
	sums := `CREATE SOURCE trades (symbol text, size bigint) WITH (connector = 'push');
CREATE MATERIALIZED VIEW sums AS SELECT symbol, sum(size) AS total FROM trades GROUP BY symbol`
	shares := `CREATE SOURCE marks (symbol text, size bigint) WITH (connector = 'push');
CREATE TABLE totals (symbol text PRIMARY KEY, total bigint)
WITH (connector = 'view', query = 'SELECT symbol, total FROM sums WHERE total > 5', refresh = '20 ms');
CREATE MATERIALIZED VIEW shares AS SELECT m.symbol, any_value(t.total) AS total, sum(m.size) AS mine
FROM marks AS m JOIN totals AS t ON m.symbol = t.symbol GROUP BY m.symbol`
	s.wants(201, `"state":"running"`, "PUT", "/v1/jobs/sums", sums)
	s.wants(200, `"taken":2`, "POST", "/v1/sources/trades/records?sync",
		"{\"symbol\":\"A\",\"size\":30}\n{\"symbol\":\"B\",\"size\":4}\n")
	s.wants(201, `"state":"running"`, "PUT", "/v1/jobs/shares", shares)
	s.wants(200, `"taken":2`, "POST", "/v1/sources/marks/records?sync",
		"{\"symbol\":\"A\",\"size\":3}\n{\"symbol\":\"B\",\"size\":4}\n")
	s.wants(200, `"rows":[{"symbol":"A","total":30,"mine":3}]`, "GET", "/v1/views/shares?sync", "")
	s.wants(200, "the rows of a view are no stream", "POST", "/v1/validate",
		`CREATE SOURCE x (a bigint) WITH (connector = 'view', query = 'SELECT 1'); `+
			`CREATE MATERIALIZED VIEW y AS SELECT count(*) AS n FROM x`)
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	s = serveHere(t, &serveCmd{State: dir})
	for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(5 * time.Millisecond) {
		if status, _, _ := s.ask("GET", "/readyz", ""); status == 200 {
			break
		}
	}
	s.wants(200, `"taken":1`, "POST", "/v1/sources/marks/records?sync", "{\"symbol\":\"A\",\"size\":5}\n")
	s.wants(200, `"rows":[{"symbol":"A","total":30,"mine":8}]`, "GET", "/v1/views/shares?sync", "")
}

// stream reads server-sent events.
func (s *servedHere) stream(ctx context.Context, path string, headers ...string) <-chan [2]string {
	s.t.Helper()
	q, err := http.NewRequestWithContext(ctx, "GET", s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	q.Header.Set("Accept", "text/event-stream")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Set(name, value)
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	if a.StatusCode != 200 {
		s.t.Fatal(a.Status)
	}
	events := make(chan [2]string, 100)
	go func() {
		defer close(events)
		defer a.Body.Close()
		var id string
		for lines := bufio.NewScanner(a.Body); lines.Scan(); {
			if v, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
				id = v
			}
			if v, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				events <- [2]string{id, v}
			}
		}
	}()
	return events
}

func TestServeStreams(t *testing.T) {
	s := serveHere(t, &serveCmd{State: t.TempDir()})
	s.wants(201, "", "PUT", "/v1/jobs/orders", pushedJob)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := s.stream(ctx, "/v1/views/sums/changes?every=100ms")
	if first := <-changes; !strings.Contains(first[1], `"whole":true,"upserts":[],"deletes":[]`) {
		t.Errorf("the first is %q", first)
	}
	s.wants(200, "", "POST", "/v1/sources/orders/records?sync",
		"{\"symbol\":\"A\",\"size\":5}\n{\"symbol\":\"B\",\"size\":7}")
	var c struct{ Upserts []struct{ Symbol string } }
	if err := json.Unmarshal([]byte((<-changes)[1]), &c); err != nil || len(c.Upserts) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	s.wants(200, "", "POST", "/v1/sources/orders/records?sync", "{\"symbol\":\"B\",\"size\":1}")
	if next := <-changes; !strings.Contains(next[1], `"upserts":[{"symbol":"B","total":8}],"deletes":[]`) {
		t.Errorf("the next is %q", next)
	}
	events := s.stream(ctx, "/v1/events", "Last-Event-ID: 1")
	first := <-events
	if first[0] != "2" {
		t.Errorf("the stream goes on with %q", first)
	}
	s.wants(200, "", "POST", "/v1/jobs/orders/pause", "")
	for ev := range events {
		if strings.Contains(ev[1], `"to":"paused"`) {
			break
		}
	}
	cancel()
	for range changes {
	}
	for range events {
	}
}

// TestServeAccess gives tokens of all roles.
func TestServeAccess(t *testing.T) {
	dir := t.TempDir()
	token := func(role string) string { return role + " token " + strings.Repeat(role, 5) }
	file := func(role string) string {
		path := filepath.Join(dir, role)
		if err := os.WriteFile(path, []byte("# "+role+"\n"+token(role)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := serveHere(t, &serveCmd{
		State: t.TempDir(), ReadToken: file("read"), WriteToken: file("write"), AdminToken: file("admin"),
	})
	with := func(role string) string { return "Authorization: Bearer " + token(role) }
	s.wants(200, "ok", "GET", "/healthz", "")
	s.wants(401, "unauthorized", "GET", "/v1/jobs", "")
	s.wants(401, "unauthorized", "GET", "/v1/jobs", "", "Authorization: Bearer nonsense")
	s.wants(200, "jobs", "GET", "/v1/jobs", "", with("read"))
	s.wants(403, "admin is needed", "PUT", "/v1/jobs/orders", pushedJob, with("read"))
	s.wants(403, "admin is needed", "PUT", "/v1/jobs/orders", pushedJob, with("write"))
	s.wants(201, "running", "PUT", "/v1/jobs/orders", pushedJob, with("admin"))
	s.wants(403, "write is needed", "POST", "/v1/sources/orders/records", "{}", with("read"))
	s.wants(200, "rejected", "POST", "/v1/sources/orders/records", "{}", with("write"))
	s.wants(403, "admin", "POST", "/v1/query", "DROP JOB orders", with("write"))
	s.wants(200, "drop", "POST", "/v1/query", "DROP JOB orders", with("admin"))
	s.wants(403, "admin is needed", "GET", "/debug/pprof/", "", with("read"))
}

// TestServeListeners says which listeners are opened, and which are refused.
func TestServeListeners(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:1", "nonsense"} {
		c := &serveCmd{State: t.TempDir(), Listen: address}
		if all, err := c.listeners(nil, nil); err == nil {
			t.Errorf("%s is opened without tokens and TLS: %v", address, all)
		}
	}
	RegisterProtocol("test", Protocol{})
	c := &serveCmd{Listen: "127.0.0.1:0", Pg: "127.0.0.1:0"}
	if _, err := c.listeners(nil, nil); err == nil || !strings.Contains(err.Error(), "connect/cmd/velo") {
		t.Errorf("a protocol that the program does not have: %v", err)
	}
	c.Pg = ""
	all, err := c.listeners(nil, nil)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	_ = all[0].Close()
}

// TestServeKeepsSecrets gives a job a secret by the environment, and one in its text.
func TestServeKeepsSecrets(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "hunter2.csv")
	if err := os.WriteFile(secret, []byte("k,v\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VELO_TEST_SECRET", secret)
	s := serveHere(t, &serveCmd{State: dir})
	const text = "CREATE SOURCE s (k bigint, v bigint) WITH (connector = 'file', path = env('VELO_TEST_SECRET'));" +
		"CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n FROM s"
	s.wants(201, "", "PUT", "/v1/jobs/a", text)
	t.Setenv("VELO_TEST_SECRET", secret+".gone")
	s.wants(200, "", "POST", "/v1/jobs/a/stop", "")
	s.wants(409, "env('VELO_TEST_SECRET')", "POST", "/v1/jobs/a/start?wait=1s", "")
	for _, path := range []string{
		"/v1/jobs", "/v1/jobs/a", "/v1/events", "/v1/jobs/a/stats", "/v1/views",
		"/v1/jobs/a/quarantine",
	} {
		if _, _, body := s.ask("GET", path, ""); strings.Contains(body, "hunter2") {
			t.Errorf("%s has the secret: %s", path, body)
		}
	}
	if strings.Contains(s.said.String(), "hunter2") {
		t.Errorf("the log has the secret: %s", s.said)
	}
}

// TestApply applies files.
func TestApply(t *testing.T) {
	s := serveHere(t, &serveCmd{State: t.TempDir()})
	dir := t.TempDir()
	file := filepath.Join(dir, "orders.sql")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(more ...string) (status int, out string) {
		var b, e bytes.Buffer
		status = run(append([]string{"apply", "--server", s.url, dir}, more...), strings.NewReader(""), &b, &e)
		return status, b.String() + e.String()
	}
	wants := func(status int, has string, more ...string) {
		t.Helper()
		if got, out := apply(more...); got != status || !strings.Contains(out, has) {
			t.Errorf("apply %q: %d, %s\nwant %d, %s", more, got, out, status, has)
		}
	}
	write(pushedJob + "\n")
	wants(0, "job orders: would be created\n", "--dry-run")
	s.wants(404, "", "GET", "/v1/jobs/orders", "")
	wants(0, "job orders: created, is running")
	wants(0, "job orders: would be unchanged\n")
	write(strings.Replace(pushedJob, "total", "n", 1))
	wants(0, "- CREATE MATERIALIZED VIEW sums AS SELECT symbol, sum(size) AS total", "--dry-run")
	write(strings.Replace(pushedJob, "sum(", "max(", 1))
	wants(1, "--fresh begins anew")
	wants(0, "job orders: begun anew, is running", "--fresh")
	write("SELECT x FROM y")
	wants(1, "line 1, column 15: there is no source")
}
