package velocli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/velo-engine/velo/server"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/server/push"
)

const overJob = `
CREATE SOURCE orders (symbol text NOT NULL, size bigint NOT NULL) WITH (connector = 'push');
CREATE MATERIALIZED VIEW sizes AS
  SELECT total, count(*) AS symbols FROM (SELECT symbol, sum(size) AS total FROM orders GROUP BY symbol) GROUP BY total;
CREATE MATERIALIZED VIEW large AS
  SELECT symbol, total * 2 AS twice FROM (SELECT symbol, sum(size) AS total FROM orders GROUP BY symbol) WHERE total > 5`

// TestServedOverCut has views over the results of others: each reading computes them of one cut,
// they share the engine of their source, and they go on after a restart. Another outer query goes
// on with the groups of the inner one.
func TestServedOverCut(t *testing.T) {
	dir := t.TempDir()
	m, views := openJobs(t, dir)
	pushTo := func(lines ...string) {
		t.Helper()
		r, err := m.Running("over")
		if err != nil || r == nil {
			t.Fatal("it does not run", err)
		}
		in := r.(server.Inside)
		var all [][]byte
		for _, l := range lines {
			all = append(all, []byte(l))
		}
		if _, err := in.Push("orders").Push(t.Context(), push.Request{Lines: all}); err != nil {
			t.Fatal(err)
		}
		if n := len(in.Engines()); n != 1 {
			t.Errorf("there are %d engines", n)
		}
		if err := in.Engines()[0].Engine.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	is := func(sql, want string) {
		t.Helper()
		if got := rowsOf(t, views, sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if _, err := m.Put(t.Context(), "over", overJob, job.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	pushTo(`{"symbol":"A","size":5}`, `{"symbol":"B","size":7}`, `{"symbol":"C","size":5}`)
	is("SELECT total, symbols FROM sizes ORDER BY total", "5|2,7|1")
	pushTo(`{"symbol":"A","size":2}`) // its total is another, and counted once
	is("SELECT total, symbols FROM sizes ORDER BY total", "5|1,7|2")
	is("SELECT symbols FROM sizes WHERE total = 7", "2")
	is("SELECT sum(symbols) FROM sizes", "3")
	is("SELECT * FROM large ORDER BY symbol", "A|14,B|14")
	is("SELECT max(twice) FROM (SELECT twice FROM large) GROUP BY twice", "14")
	is("SELECT count(*) FROM sizes WHERE total > (SELECT min(total) FROM sizes)", "1")
	if info, err := views.Find("sizes"); err != nil || strings.Join(info.Keys, ",") != "total" {
		t.Errorf("%+v, %v", info, err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m, views = openJobs(t, dir)
	waitFor(t, m, "over", job.Active)
	is("SELECT total, symbols FROM sizes ORDER BY total", "5|1,7|2")
	done, err := m.Put(t.Context(), "over", strings.Replace(overJob, "total > 5", "total < 6", 1), job.PutOptions{})
	if err != nil || done != job.PutReplaced {
		t.Fatal(done, err)
	}
	is("SELECT * FROM large", "C|10")
	_, err = m.Put(t.Context(), "over", strings.ReplaceAll(overJob, "sum(size)", "max(size)"), job.PutOptions{})
	if err == nil || !strings.Contains(err.Error(), "now: aggregate 1 is max(size") {
		t.Errorf("another inner query: %v", err)
	}
	if use := views.Use(); use.Held+use.Results+use.Memory != 0 {
		t.Errorf("left: %+v", use)
	}
}

// TestOverCutRefused names the queries that cannot be computed from a cut.
func TestOverCutRefused(t *testing.T) {
	m, _ := openJobs(t, t.TempDir())
	const source = `CREATE SOURCE s (k text NOT NULL, v bigint NOT NULL, at timestamp NOT NULL, WATERMARK FOR at AS at)
WITH (connector = 'push'); CREATE MATERIALIZED VIEW o AS `
	for sql, want := range map[string]string{
		"SELECT n, count(*) AS c FROM (SELECT window_end, k, count(*) AS n FROM s GROUP BY k, " +
			"tumble(at, INTERVAL '1 minute')) GROUP BY n": "it has windows",
		"SELECT w, count(*) AS c FROM (SELECT v + 1 AS w, k FROM s ORDER BY v LIMIT 5) GROUP BY w": "groups nothing",
		"SELECT k, count(*) AS c FROM (SELECT k FROM s GROUP BY k UNION ALL SELECT k FROM s GROUP BY k) GROUP BY k": "set " +
			"operation",
	} {
		_, err := m.Put(t.Context(), "a", source+sql, job.PutOptions{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "keeps no state unless") {
			t.Errorf("%s: %v, want %s", sql, err, want)
		}
	}
}

// TestRunOverCut runs a query over the result of another with its state kept, to the end of its
// input: it writes what it writes without a state.
func TestRunOverCut(t *testing.T) {
	data := t.TempDir()
	in := filepath.Join(data, "in.csv")
	var text strings.Builder
	text.WriteString("k,v\n")
	for i := range 5000 {
		fmt.Fprintf(&text, "k%d,%d\n", i%97, i%13)
	}
	if err := os.WriteFile(in, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	results := map[string]string{}
	for _, state := range []string{"", filepath.Join(data, "state")} {
		out := filepath.Join(data, "out"+filepath.Base(state)+".csv")
		path := filepath.Join(data, "job.sql")
		job := fmt.Sprintf(`CREATE SOURCE s (k text NOT NULL, v bigint NOT NULL) WITH (connector = 'file', path = '%s');
CREATE SINK o WITH (connector = 'file', path = '%s');
INSERT INTO o SELECT n, count(*) AS keys, sum(total) AS total
  FROM (SELECT k, count(*) AS n, sum(v) AS total FROM s GROUP BY k) GROUP BY n ORDER BY n`, in, out)
		if err := os.WriteFile(path, []byte(job), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"run", path}
		if state != "" {
			args = append(args, "--state", state)
		}
		stdout, stderr, code := velo(t, "", args...)
		if code != 0 {
			t.Fatalf("%v: %d\n%s%s", args, code, stdout, stderr)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		results[state] = string(b)
		if state != "" && !strings.Contains(stderr, "exactly once") {
			t.Errorf("it says %s", stderr)
		}
	}
	if want := results[""]; want == "" || results[filepath.Join(data, "state")] != want ||
		!strings.HasPrefix(want, "n,keys,total\n51,44,") {
		t.Errorf("%q", results)
	}
}
