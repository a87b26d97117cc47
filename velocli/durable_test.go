package velocli

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	durableSource = `CREATE SOURCE trades (symbol text NOT NULL, size bigint, at timestamp NOT NULL, WATERMARK FOR at AS at - INTERVAL '5 s')
		WITH (connector = 'file', path = 'trades.csv');
	`
	durableWindows = durableSource + `CREATE SINK volumes WITH (connector = 'file', path = 'volumes.csv');
		INSERT INTO volumes SELECT window_start, symbol, sum(size) AS v FROM trades GROUP BY symbol, tumble(at, INTERVAL '1 minute') ORDER BY window_start, symbol;
	`
	durableTrades = "symbol,size,at\nA,1,2024-01-01T00:00:01Z\nB,2,2024-01-01T00:00:02Z\nA,4,2024-01-01T00:01:02Z\n"
)

// Goal: a job that has ended and is run again has the same results, and says what is guaranteed and where it goes on. Method: windows into a file, a SELECT, windows on the terminal and
// changes, over one file; what the second run finds has not changed.
func TestStateAgain(t *testing.T) {
	inFolder(t, map[string]string{
		"trades.csv": durableTrades, "job.sql": durableWindows + `SELECT symbol, sum(size) AS v FROM trades GROUP BY symbol ORDER BY symbol;`,
		"more.sql": durableSource + `CREATE SINK "Odd/name" WITH (connector = 'stdout', format = 'csv');
			INSERT INTO "Odd/name" SELECT window_start, count(*) AS n FROM trades GROUP BY tumble(at, INTERVAL '1 minute');
			CREATE SINK changed WITH (connector = 'file', path = 'changed-{n}.csv');
			INSERT INTO changed SELECT symbol, count(*) AS n FROM trades GROUP BY symbol EMIT CHANGES;
			CREATE SINK whole WITH (connector = 'file', path = 'all.csv');
			INSERT INTO whole SELECT symbol, size * 10 AS s FROM trades WHERE size <> 2;
			CREATE SINK nothing WITH (connector = 'file', path = 'nothing.csv');
			INSERT INTO nothing SELECT symbol FROM trades WHERE size > 100;
			CREATE SINK none WITH (connector = 'file', path = 'none.csv');
			INSERT INTO none SELECT window_start, count(*) AS n FROM trades WHERE size > 100 GROUP BY tumble(at, INTERVAL '1 minute');`,
	})
	const windows = "window_start,symbol,v\n2024-01-01T00:00:00Z,A,1\n2024-01-01T00:00:00Z,B,2\n2024-01-01T00:01:00Z,A,4\n"
	for i, begins := range []string{"begins anew in state/source-trades", "goes on at generation 2 (", "goes on at generation"} {
		out, errs, status := velo(t, "", "run", "job.sql", "--format=csv", "--state=state")
		if status != 0 || out != "symbol,v\nA,5\nB,2\n" {
			t.Errorf("run %d: status %d\n%s%s", i, status, out, errs)
		}
		want(t, "volumes.csv", windows)
		for _, line := range []string{
			"velo: trades -> volumes: exactly once\n", "velo: volumes: " + begins,
			"velo: trades -> SELECT: exactly once: the result is written when the input has come to its end\n",
		} {
			if !strings.Contains(errs, filepath.FromSlash(line)) {
				t.Errorf("run %d: there is no %q in\n%s", i, line, errs)
			}
		}
	}
	out, errs, status := velo(t, "", "run", "more.sql", "--state=more", "--partitions=1")
	if status != 0 || out != "window_start,n\n2024-01-01T00:00:00Z,2\n2024-01-01T00:01:00Z,1\n" {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	for _, line := range []string{
		"trades -> Odd/name: at least once: windows after the last checkpoint are written again",
		"trades -> changed: exactly once: rows are written with each checkpoint",
		"trades -> whole: exactly once: rows are written with each checkpoint",
	} {
		if !strings.Contains(errs, line) {
			t.Errorf("there is no %q in\n%s", line, errs)
		}
	}
	want(t, "changed-000001.csv", "op,symbol,n\nupsert,A,2\nupsert,B,1\n")
	want(t, "none.csv", "window_start,n\n")
	if all, err := filepath.Glob("*/*/LOCK"); err != nil || len(all) != 2 {
		t.Errorf("%q, %v; expected a folder for each source", all, err)
	}
	out, errs, status = velo(t, "", "run", "more.sql", "--state=more", "--partitions=1")
	if status != 0 || strings.Contains(out, "2024") {
		t.Errorf("the windows again: status %d\n%s%s", status, out, errs)
	}
	if _, err := os.Stat("changed-000002.csv"); err == nil {
		t.Error("there is another file, and nothing has changed")
	}
	for range 2 {
		want(t, "changed-000001.csv", "op,symbol,n\nupsert,A,2\nupsert,B,1\n")
		want(t, "all.csv", "symbol,s\nA,10\nA,40\n")
		want(t, "nothing.csv", "symbol\n")
		want(t, "none.csv", "window_start,n\n")
		if _, errs, status = velo(t, "", "run", "more.sql", "--state=more", "--partitions=1"); status != 0 {
			t.Error(status, errs)
		}
	}
}

// Goal: what cannot survive is refused with what to do, and nothing is written. Method: a table of options and jobs.
func TestStateRefused(t *testing.T) {
	groups := `SELECT symbol, sum(size) AS v FROM trades GROUP BY symbol;`
	for _, c := range []struct{ name, job, want string }{
		{"passes some through", durableSource + `SELECT symbol FROM trades LIMIT 3;`, "SELECT: --state: the query passes records through in an order"},
		{"passes through in an order", durableSource + `SELECT symbol FROM trades ORDER BY symbol;`, "SELECT: --state: the query passes records through in an order"},
		{"within what is read", strings.Replace(durableSource, "trades.csv", "**/*", 1) + groups, "--state: state/source-trades/generation-00000001.manifest would be read as **/*"},
		{"another query", durableSource + `SELECT symbol, min(size) AS v FROM trades GROUP BY symbol;`, "--fresh begins anew"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inFolder(t, map[string]string{
				"trades.csv": durableTrades, "first.sql": durableSource + groups, "job.sql": c.job,
			})
			if _, errs, status := velo(t, "", "run", "first.sql", "--state=state"); status != 0 {
				t.Fatal(errs)
			}
			out, errs, status := velo(t, "", "run", "job.sql", "--state=state")
			if status != 1 || out != "" || !strings.Contains(filepath.ToSlash(errs), c.want) {
				t.Errorf("status %d\n%s%s", status, out, errs)
			}
		})
	}
	inFolder(t, map[string]string{"trades.csv": durableTrades, "job.sql": durableSource + groups})
	for _, option := range []string{"--fresh", "--takeover", "--checkpoint=5s"} {
		_, errs, status := velo(t, "", "run", "job.sql", option)
		if status != 80 || !strings.Contains(errs, "--state DIR") {
			t.Errorf("%s: status %d, %s", option, status, errs)
		}
	}
}

// Goal: a copied folder is refused until it is taken over, and a folder is begun anew only once it is said.
func TestStateCopiedAndFresh(t *testing.T) {
	inFolder(t, map[string]string{"trades.csv": durableTrades, "job.sql": durableSource + `SELECT sum(size) AS v FROM trades`})
	run := func(status int, says string, args ...string) {
		t.Helper()
		out, errs, got := velo(t, "", append([]string{"run", "job.sql", "--format=csv"}, args...)...)
		if got != status || !strings.Contains(errs, says) || status == 0 && out != "v\n7\n" {
			t.Errorf("%v: status %d\n%s%s", args, got, out, errs)
		}
	}
	run(0, "begins anew", "--state=state")
	if err := os.CopyFS("copy", os.DirFS("state")); err != nil {
		t.Fatal(err)
	}
	run(1, "--takeover goes on with it", "--state=copy")
	run(0, "goes on at generation 2", "--state=copy", "--takeover")
	run(0, "goes on at generation 3", "--state=copy")
	run(0, "begins anew", "--state=copy", "--fresh")
	aside, err := filepath.Glob("copy/source-trades/aside-*")
	if err != nil || len(aside) == 0 {
		t.Errorf("%v, %v", aside, err)
	}
}

// Goal: what comes through a pipe adds up over the runs.
func TestStateOfPipe(t *testing.T) {
	inFolder(t, map[string]string{"job.sql": `CREATE SOURCE t (k text NOT NULL, v bigint) WITH (connector = 'stdin', format = 'csv');
		CREATE SINK totals WITH (connector = 'stdout', format = 'csv'); INSERT INTO totals SELECT k, sum(v) AS v FROM t GROUP BY k`})
	for i := 1; i <= 3; i++ {
		out, errs, status := velo(t, "k,v\nA,5\n", "run", "job.sql", "--state=state")
		if status != 0 || out != fmt.Sprintf("k,v\nA,%d\n", 5*i) ||
			!strings.Contains(errs, "t -> totals: the state survives; what had been read after the last checkpoint is lost\n") {
			t.Errorf("run %d: status %d\n%s%s", i, status, out, errs)
		}
	}
}

// Goal: a compressed file is gone on with.
func TestStateOfPacked(t *testing.T) {
	inFolder(t, map[string]string{
		"packed.csv.gz": packedTrades(t),
		"job.sql":       strings.Replace(durableWindows, "trades.csv", "packed.csv.gz", 1),
	})
	for i := range 2 {
		out, errs, status := velo(t, "", "run", "job.sql", "--state=state", "--readers=2")
		if status != 0 || !strings.Contains(errs, "velo: trades -> volumes: exactly once\n") {
			t.Errorf("run %d: status %d\n%s%s", i, status, out, errs)
		}
		want(t, "volumes.csv", "window_start,symbol,v\n2024-01-01T00:00:00Z,A,1\n2024-01-01T00:00:00Z,B,2\n2024-01-01T00:01:00Z,A,4\n")
	}
	if out, errs, status := velo(t, "", "state", "show", "state"); status != 0 || !strings.Contains(out, "at byte 90 of what it unpacks to") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// Goal: names of folders are names of files everywhere, and no two sinks share one.
func TestFolderNames(t *testing.T) {
	seen := map[string]string{}
	for sink, want := range map[string]string{
		"volumes": "volumes", "a_1": "a_1", "A_1": "%41_1", "select": "%73elect", "..": "%2E%2E", "a/b": "a%2Fb", "a%2Fb": "a%252%46b", "ü": "%C3%BC",
	} {
		got := folderName(sink)
		if got != want {
			t.Errorf("%q: %q, expected %q", sink, got, want)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q have one folder", sink, other)
		}
		seen[got] = sink
	}
}

// Goal: a compressed file is gone on with where it stood, and not counted again.
func TestStatePacked(t *testing.T) {
	job := strings.Replace(durableSource, "trades.csv", "packed.csv.gz", 1) + `SELECT sum(size) AS v FROM trades`
	inFolder(t, map[string]string{"job.sql": job, "packed.csv.gz": packedTrades(t)})
	for _, says := range []string{"begins anew", "goes on at generation 2"} {
		out, errs, status := velo(t, "", "run", "job.sql", "--format=csv", "--state=state")
		if status != 0 || out != "v\n7\n" || !strings.Contains(errs, says) {
			t.Errorf("status %d\n%s%s", status, out, errs)
		}
	}
	out, errs, status := velo(t, "", "state", "show", "state/source-trades")
	if status != 0 || !strings.Contains(out, "of what it unpacks to") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// packedTrades are the trades, compressed.
func packedTrades(t *testing.T) string {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(durableTrades)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.String()
}

// Goal: nobody is told exactly once if a record that is read again may come into another window, unless
// the sink takes transactions.
func TestStateSaysWhatRepeats(t *testing.T) {
	inFolder(t, map[string]string{
		"trades.csv": durableTrades,
		"job.sql": `CREATE SOURCE trades (symbol text NOT NULL, size bigint, at timestamp NOT NULL) WITH (connector = 'file', path = 'trades.csv');
			CREATE SINK volumes WITH (connector = 'file', path = 'volumes.csv');
			INSERT INTO volumes SELECT window_start, symbol, sum(size) AS v FROM trades GROUP BY symbol, tumble(proctime(), INTERVAL '1 minute');
			SELECT window_start, symbol, sum(size) AS v FROM trades GROUP BY symbol, tumble(proctime(), INTERVAL '1 minute');`,
	})
	_, errs, status := velo(t, "", "run", "job.sql", "--state=state", "--readers=1")
	for _, want := range []string{
		"velo: trades -> volumes: exactly once: rows are written with each checkpoint\n",
		"velo: trades -> SELECT: at least once: windows after the last checkpoint are written again\n",
	} {
		if status != 0 || !strings.Contains(errs, want) {
			t.Errorf("status %d, there is no %q in\n%s", status, want, errs)
		}
	}
}
