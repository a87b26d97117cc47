package velocli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/server"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/server/push"
	"github.com/velo-engine/velo/view"
)

// jobs is a manager with the runner of velo serve.
func openJobs(t *testing.T, dir string) (*job.Manager, *view.Catalog) {
	t.Helper()
	views := view.NewCatalog(view.Limits{})
	m, err := job.Open(job.Config{Dir: dir, Runner: &jobRunner{views: views, cores: 1}, Policy: job.Policy{
		Min: 10 * time.Millisecond, Max: 50 * time.Millisecond, Most: 3, Within: time.Hour,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, views
}

// rowsOf is a result as text.
func rowsOf(t *testing.T, views *view.Catalog, sql string) string {
	t.Helper()
	rows, err := views.Select(t.Context(), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer rows.Close()
	var all []string
	for b, err := range rows.Batches() {
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			var cells []string
			for c := range b.Schema().Len() {
				if b.Schema().Field(c).Type == record.String {
					cells = append(cells, string(b.Column(c).View(i)))
				} else {
					cells = append(cells, fmt.Sprint(b.Column(c).Int64s[i]))
				}
			}
			all = append(all, strings.Join(cells, "|"))
		}
	}
	return strings.Join(all, ",")
}

const pushedJob = `
CREATE SOURCE orders (symbol text NOT NULL, size bigint NOT NULL) WITH (connector = 'push');
CREATE MATERIALIZED VIEW sums AS SELECT symbol, sum(size) AS total FROM orders GROUP BY symbol;
CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS n FROM orders`

// TestServedJob runs a job of views over a source that is pushed to: pause, replace, restart.
func TestServedJob(t *testing.T) {
	dir := t.TempDir()
	m, views := openJobs(t, dir)
	ctx := t.Context()
	put := func(text string, o job.PutOptions) (string, error) { return m.Put(ctx, "orders", text, o) }
	pushTo := func(m *job.Manager, first uint64, lines ...string) {
		t.Helper()
		r, err := m.Running("orders")
		if err != nil || r == nil {
			t.Fatal("it does not run", err)
		}
		var all [][]byte
		for _, l := range lines {
			all = append(all, []byte(l))
		}
		if _, err := r.(server.Inside).Push("orders").Push(
			ctx, push.Request{Producer: "me", First: first, Lines: all}); err != nil {
			t.Fatal(err)
		}
		for _, e := range r.(server.Inside).Engines() {
			if err := e.Engine.Sync(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	if done, err := put(pushedJob, job.PutOptions{}); err != nil || done != job.PutCreated {
		t.Fatal(done, err)
	}
	pushTo(m, 1, `{"symbol":"A","size":5}`, `{"symbol":"B","size":7}`, `nonsense`, `{"symbol":"A","size":1}`)
	if got := rowsOf(t, views, "SELECT * FROM sums ORDER BY symbol"); got != "A|6,B|7" {
		t.Errorf("sums are %s", got)
	}
	r, _ := m.Running("orders")
	rejects, n := r.(server.Inside).Rejects()
	for begin := time.Now(); n < 1 && time.Since(begin) < time.Minute; time.Sleep(time.Millisecond) {
		rejects, n = r.(server.Inside).Rejects()
	}
	if n != 1 || !strings.Contains(rejects[0].Bytes, "nonsense") {
		t.Errorf("rejects: %d, %+v", n, rejects)
	}
	// Another query of the same name is refused; one more view goes on with the others' state.
	_, err := put(strings.Replace(pushedJob, "sum(size)", "max(size)", 1), job.PutOptions{})
	if err == nil || !strings.Contains(err.Error(), "now: aggregate 1 is max(size") {
		t.Errorf("another plan: %v", err)
	}
	if done, err := put(pushedJob+`; CREATE MATERIALIZED VIEW most AS SELECT max(size) AS m FROM orders`,
		job.PutOptions{}); err != nil || done != job.PutReplaced {
		t.Fatal(done, err)
	}
	pushTo(m, 5, `{"symbol":"A","size":100}`)
	if got := rowsOf(t, views, "SELECT * FROM sums ORDER BY symbol"); got != "A|106,B|7" {
		t.Errorf("after another view was added, sums are %s", got)
	}
	if got := rowsOf(t, views, "SELECT * FROM most"); got != "100" {
		t.Errorf("the view that was added has %s", got)
	}
	// Without it the groups of the view are given up, if that is said.
	if _, err := put(pushedJob, job.PutOptions{}); err == nil || !strings.Contains(err.Error(), "most: the text has no query of that name") {
		t.Errorf("a view is gone: %v", err)
	}
	if done, err := put(pushedJob, job.PutOptions{Options: job.Options{Drop: true}}); err != nil || done != job.PutReplaced {
		t.Fatal(done, err)
	}
	if folders, err := filepath.Glob(filepath.Join(dir, "jobs/orders/*/*")); err != nil || len(folders) != 1 {
		t.Errorf("the job has the folders %q, %v", folders, err)
	}
	if err := m.Pause(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, views, "SELECT * FROM counts"); got != "4" {
		t.Errorf("while it is paused there are %s", got)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	// The next process goes on, paused.
	m, views = openJobs(t, dir)
	waitFor(t, m, "orders", job.Paused)
	if got := rowsOf(t, views, "SELECT * FROM sums ORDER BY symbol"); got != "A|106,B|7" {
		t.Errorf("after a restart, sums are %s", got)
	}
	if err := m.Resume(ctx, "orders"); err != nil {
		t.Fatal(err)
	}
	pushTo(m, 3, `again`, `{"symbol":"A","size":1}`, `{"symbol":"A","size":100}`, `{"symbol":"A","size":1000}`)
	if got := rowsOf(t, views, "SELECT * FROM sums ORDER BY symbol"); got != "A|1106,B|7" {
		t.Errorf("after records were pushed again, sums are %s", got)
	}
	if done, err := m.Put(ctx, "orders", strings.Replace(pushedJob, "sum(size)", "max(size)", 1),
		job.PutOptions{Fresh: true}); err != nil || done != job.PutFresh {
		t.Fatal(done, err)
	}
	if got := rowsOf(t, views, "SELECT * FROM counts"); got != "0" {
		t.Errorf("begun anew, there are %s", got)
	}
}

func waitFor(t *testing.T, m *job.Manager, name string, want job.State) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		s, _, err := m.Get(name)
		if err == nil && s.State == want {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("job %q is %+v, want %s", name, s, want)
		}
	}
}

// TestServedFiles runs a job from a file to a view with windows and to a sink.
func TestServedFiles(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	in, out := filepath.Join(data, "in.csv"), filepath.Join(data, "out.csv")
	if err := os.WriteFile(in, []byte("k,at\na,2026-01-01T00:00:01Z\nb,2026-01-01T00:00:02Z\na,2026-01-01T00:01:01Z\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	m, views := openJobs(t, dir)
	text := fmt.Sprintf(`CREATE SOURCE s (k text, at timestamp NOT NULL, WATERMARK FOR at AS at)
		WITH (connector = 'file', path = '%s');
	CREATE SINK o WITH (connector = 'file', path = '%s');
	INSERT INTO o SELECT window_end, count(*) AS n FROM s GROUP BY tumble(at, INTERVAL '1 minute');
	CREATE MATERIALIZED VIEW w WITH (retain = 10) AS SELECT window_end, k, count(*) AS n FROM s
		GROUP BY k, tumble(at, INTERVAL '1 minute')`, in, out)
	if _, err := m.Put(t.Context(), "files", text, job.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, m, "files", job.Finished)
	if got := rowsOf(t, views, "SELECT k, n FROM w ORDER BY window_end, k"); got != "a|1,b|1,a|1" {
		t.Errorf("the view has %s", got)
	}
	written, err := os.ReadFile(out)
	if err != nil || strings.Count(string(written), "\n") != 3 {
		t.Errorf("%s, %v", written, err)
	}
	if err := m.Stop(context.Background(), "files"); err != nil {
		t.Error(err)
	}
	if len(views.List()) != 0 {
		t.Error("a view of a stopped job is there")
	}
}

func TestServedFaults(t *testing.T) {
	t.Setenv("VELO_TEST_PASSWORD", "hunter2")
	var r connect.Registry
	r.AddSource("locked", connect.Source{Options: []connect.Option{{Name: "sasl.password"}, {Name: "password.file"}, {Name: "url"}}})
	t.Setenv("VELO_TEST_URL", "postgres://u:hunter2@h/d")
	for _, test := range []struct{ with, want string }{
		{"sasl.password = 'hunter2'", "line 1, column 56: a secret in the text"},
		{"sasl.password = env('VELO_TEST_PASSWORD')", ""},
		{"password.file = 'x'", ""},
		{"url = 'postgres://u:hunter2@h/d'", "a secret in the text"},
		{"url = 'postgres://u@h/d?password=hunter2'", "a secret in the text"},
		{"url = 'host=h password=hunter2'", "a secret in the text"},
		{"url = 'postgres://u@h/d?sslmode=require'", ""},
		{"url = env('VELO_TEST_URL')", ""},
	} {
		compiled, err := query.CompileJob("CREATE SOURCE s (k bigint) WITH (connector = 'locked', "+test.with+
			"); CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM s", &r)
		if err != nil {
			t.Fatal(err)
		}
		err = (&program{job: compiled}).faults()
		if (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.with, err)
		}
	}
	m, _ := openJobs(t, t.TempDir())
	for text, want := range map[string]string{
		"CREATE SOURCE s (k bigint, v bigint) WITH (connector = 'generator'); SELECT count(*) FROM s":                 "a server prints no result",
		"CREATE SOURCE s (k bigint) WITH (connector = 'stdin'); CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM s": "line 1, column 34: a server has no standard input",
		"CREATE SOURCE s (k bigint) WITH (connector = 'push', x = 1); CREATE MATERIALIZED VIEW v AS SELECT " +
			"count(*) FROM s": `no option "x"`,
		"CREATE SOURCE s (k bigint, v bigint) WITH (connector = 'generator'); CREATE SINK o WITH (connector = " +
			"'stdout'); INSERT INTO o SELECT count(*) FROM s": "no standard output",
	} {
		_, err := m.Put(t.Context(), "a", text, job.PutOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", text, err, want)
		}
	}
	if len(m.List()) != 0 {
		t.Error("a text with faults is in the catalog")
	}
}

// TestServedEnd restarts the server after the input of jobs has come to its end, and then begins
// one of them anew with another file.
func TestServedEnd(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	in := filepath.Join(data, "in.csv")
	other := filepath.Join(data, "other.csv")
	for _, path := range []string{in, other} {
		if err := os.WriteFile(path, []byte("k,at\na,2026-01-01T00:00:01Z\nb,2026-01-01T00:00:02Z\n"), 0o600); err !=
			nil {
			t.Fatal(err)
		}
	}
	source := func(path string) string {
		return fmt.Sprintf("CREATE SOURCE s (k text, at timestamp NOT NULL, WATERMARK FOR at AS at) "+
			"WITH (connector = 'file', path = '%s');", path)
	}
	const windows = "CREATE MATERIALIZED VIEW w AS SELECT window_end, count(*) AS n FROM s GROUP BY tumble(at, " +
		"INTERVAL '1 s')"
	const groups = "CREATE MATERIALIZED VIEW g AS SELECT k, count(*) AS n FROM s GROUP BY k"
	m, views := openJobs(t, dir)
	for name, text := range map[string]string{"windows": windows, "groups": groups} {
		if _, err := m.Put(t.Context(), name, source(in)+text, job.PutOptions{}); err != nil {
			t.Fatal(err)
		}
		waitFor(t, m, name, job.Finished)
	}
	want := rowsOf(t, views, "SELECT k, n FROM g ORDER BY k")
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m, views = openJobs(t, dir)
	waitFor(t, m, "groups", job.Finished)
	waitFor(t, m, "windows", job.Finished)
	if got := rowsOf(t, views, "SELECT k, n FROM g ORDER BY k"); got != want {
		t.Errorf("after a restart there are %s, want %s", got, want)
	}
	if done, err := m.Put(t.Context(), "groups", source(other)+groups, job.PutOptions{Fresh: true}); err != nil ||
		done != job.PutFresh {
		t.Errorf("another file, anew: %s, %v", done, err)
	}
}

// TestServedRestarts reads a view while its job is restarted and replaced again and again.
func TestServedRestarts(t *testing.T) {
	m, views := openJobs(t, t.TempDir())
	if _, err := m.Put(t.Context(), "orders", pushedJob, job.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-ended:
					return
				case <-time.After(time.Millisecond):
				}
				sql := []string{
					"SELECT * FROM sums", "SELECT total FROM sums WHERE symbol = 'A'",
					"SELECT sum(n) FROM counts",
				}[n%3]
				rows, err := views.Select(t.Context(), sql)
				if err == nil {
					_ = rows.Close()
				} else if !strings.Contains(err.Error(), "there is no") {
					t.Error(err)
				}
			}
		})
	}
	for i := range 10 {
		var err error
		if i%2 == 0 {
			err = m.Restart(t.Context(), "orders")
		} else {
			_, err = m.Put(t.Context(), "orders", pushedJob+strings.Repeat(" ", i), job.PutOptions{Fresh: i%4 == 1})
		}
		if err != nil {
			t.Error(err)
		}
	}
	close(ended)
	clients.Wait()
	if use := views.Use(); use.Held+use.Results+use.Memory != 0 {
		t.Errorf("left: %+v", use)
	}
}
