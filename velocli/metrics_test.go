package velocli

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/metrics"
	"github.com/velo-engine/velo/server"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/view"
)

// said is standard error that a test reads while a program writes it.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// fetch gets a page.
func fetch(t *testing.T, url, token string) (text string, status int) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), answer.StatusCode
}

// Goal: while a job runs, its counters, its health and whether it is ready can be read, with the
// names of the job, its sources and its queries, and only by who has the token. Method: a job over
// standard input, which has not come to its end.
func TestRunMetrics(t *testing.T) {
	inFolder(t, map[string]string{
		"volumes.sql": `CREATE SOURCE trades (symbol text, size bigint)
  WITH (connector = 'stdin', format = 'csv', header = 'false');
CREATE SINK volumes WITH (connector = 'file', path = 'volumes.csv');
INSERT INTO volumes SELECT symbol, sum(size) AS v FROM trades GROUP BY symbol;
SELECT count(*) AS n FROM trades`,
		"token": "0123456789abcdef0123\n",
	})
	in, feed := io.Pipe()
	var errs said
	var out bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- run([]string{
			"run", "volumes.sql", "--metrics", "127.0.0.1:0", "--metrics-token", "token", "--cores",
			"1",
		},
			in, &out, &errs)
	}()
	w := bufio.NewWriter(feed)
	for range 1000 {
		_, _ = w.WriteString("AAPL,5\n")
	}
	_ = w.Flush()
	at := regexp.MustCompile(`metrics are at (http://127\.0\.0\.1:\d+)/metrics`)
	var url string
	text := ""
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if m := at.FindStringSubmatch(errs.String()); m != nil {
			url = m[1]
			text, _ = fetch(t, url+"/metrics", "0123456789abcdef0123")
			if strings.Count(text, `outcome="routed"} 1000`) == 2 { // the plans are read one after the other
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s\n%s", errs.String(), text)
		}
	}
	for _, want := range []string{
		`velo_job_state{job_name="volumes",state="running"} 1`,
		`velo_records_total{job_name="volumes",engine="",plan="volumes",reader="0",outcome="routed"} 1000`,
		`velo_records_total{job_name="volumes",engine="",plan="SELECT",reader="0",outcome="routed"} 1000`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	for _, c := range []struct {
		path, token, want string
		status            int
	}{
		{"/healthz", "", "ok\n", http.StatusOK},
		{"/readyz", "", "ready\n", http.StatusOK},
		{"/metrics", "", "Authorization: Bearer TOKEN", http.StatusUnauthorized},
		{"/metrics", "0123456789abcdef012", "Authorization: Bearer TOKEN", http.StatusUnauthorized},
		{"/", "0123456789abcdef0123", "404 page not found", http.StatusNotFound},
	} {
		if got, status := fetch(t, url+c.path, c.token); status != c.status || !strings.Contains(got, c.want) {
			t.Errorf("%s: %d %q, expected %d %q", c.path, status, got, c.status, c.want)
		}
	}
	_ = feed.Close()
	if status := <-ended; status != 0 {
		t.Errorf("status %d: %s", status, errs.String())
	}
	if _, err := http.Get(url + "/healthz"); err == nil {
		t.Error("it still listens after the job has ended")
	}
}

// Goal: an address that other machines reach is refused without TLS and a token, and so are options
// that do not fit, before anything runs.
func TestMetricsRefused(t *testing.T) {
	inFolder(t, map[string]string{
		"job.sql": `CREATE SOURCE s (k bigint NOT NULL, v bigint NOT NULL) 
  WITH (connector = 'generator', rows = '10');
SELECT count(*) FROM s`,
		"short": "abc\n", "token": "0123456789abcdef0123\n",
	})
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--metrics", "0.0.0.0:0"}, "is no loopback address"},
		{[]string{"--metrics", ":0"}, "is no loopback address"},
		{[]string{"--metrics", "0.0.0.0:0", "--metrics-token", "token"}, "is no loopback address"},
		{[]string{"--metrics", "9090"}, "expected host:port"},
		{[]string{"--metrics-token", "token"}, "are for --metrics HOST:PORT"},
		{[]string{"--metrics", "127.0.0.1:0", "--metrics-token", "short"}, "a line of 3 bytes"},
		{[]string{"--metrics", "127.0.0.1:0", "--metrics-token", "none"}, "--metrics-token: open none"},
		{[]string{"--metrics", "127.0.0.1:0", "--metrics-cert", "token"}, "go together"},
		{
			[]string{"--metrics", "127.0.0.1:0", "--metrics-cert", "token", "--metrics-key", "token"},
			"--metrics-cert: tls",
		},
	} {
		out, errs, status := velo(t, "", append([]string{"run", "job.sql"}, c.args...)...)
		expected := cli.StatusMisuse
		if strings.Contains(c.want, "3 bytes") || strings.Contains(c.want, "--metrics-") {
			expected = statusFailed // it is a file that is wrong
		}
		if status != expected || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%v: status %d, %s%s", c.args, status, out, errs)
		}
	}
}

// Goal: the program prints its manual page and completions, made from its own commands.
func TestManual(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"man"}, ".SH COMMAND STATE BACKUP"},
		{[]string{"man"}, `\-\-metrics=HOST:PORT`},
		{[]string{"completion", "bash"}, "--metrics"},
		{[]string{"completion", "zsh"}, "#compdef velo"},
		{[]string{"completion", "fish"}, "complete -c velo -n '__fish_seen_subcommand_from run' -l metrics"},
	} {
		out, errs, status := velo(t, "", c.args...)
		if status != 0 || errs != "" || !strings.Contains(out, c.want) {
			t.Errorf("%v: status %d, there is no %q in\n%s%s", c.args, status, c.want, out, errs)
		}
	}
}

// Goal: /metrics of a server has what the program was built of, what it gives to jobs, and what the
// clients of another protocol do.
func TestServerMetrics(t *testing.T) {
	views := view.NewCatalog(view.Limits{})
	jobs, err := job.Open(job.Config{Dir: t.TempDir(), Runner: &jobRunner{views: views, cores: 1}, Memory: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer jobs.Close()
	protocol := &Protocol{Stats: func() metrics.Protocol { return metrics.Protocol{Connections: 3, Unknown: 2} }}
	s, err := server.New(server.Config{
		Views: views, Jobs: jobs, Metrics: serverMetrics(
			jobs, []listening{{what: "listen"}, {what: "pg", protocol: protocol}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Host = "127.0.0.1"
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	for _, want := range []string{
		`velo_protocol_connections{protocol="pg"} 3`, `velo_protocol_unknown_total{protocol="pg"} 2`,
		"velo_jobs_memory_limit_bytes 1073741824", "velo_http_requests_total 1", `",go="` + runtime.Version() + `"} 1`,
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("there is no %s in\n%s", want, w.Body)
		}
	}
}
