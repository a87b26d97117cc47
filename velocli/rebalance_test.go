package velocli

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
)

// Goal: --rebalance reaches the engine, --stats says so, and a query whose groups cannot
// move is refused with its name and what to do, before anything is read or written.
func TestRebalance(t *testing.T) {
	dir := t.TempDir()
	job := func(statements string) string {
		path := dir + "/job.sql"
		text := `CREATE SOURCE g (key bigint NOT NULL, value bigint NOT NULL) WITH (connector = 'generator',
			rows = '100000', groups = '100');
		` + statements
		err := os.WriteFile(path, []byte(text), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	sink := "CREATE SINK a WITH (connector = 'file', path = '" + dir + "/a.csv'); INSERT INTO a "
	grouped := "SELECT key, count(*) AS n FROM g GROUP BY key"
	path := job(grouped)
	for flag, want := range map[string]bool{"--rebalance": true, "--stats": false} {
		out, errs, status := velo(t, "", "run", "--stats", flag, path)
		if status != 0 || strings.Contains(errs, "shards moved in") != want || !strings.Contains(out, "key") {
			t.Errorf("%s: status %d\n%s%s", flag, status, out, errs)
		}
	}
	out, errs, status := velo(t, "", "run", "--stats", "--rebalance",
		job(strings.ReplaceAll(sink, "a.csv", "b.csv")+grouped+"; SELECT key % 7 AS k, sum(value) AS s FROM g GROUP BY key % 7"))
	if status != 0 || !strings.Contains(errs, "shards moved in") || !strings.Contains(out, "k") {
		t.Errorf("two queries: status %d\n%s%s", status, out, errs)
	}
	for statements, want := range map[string]string{
		sink + "SELECT sum(value) AS s FROM g;": "query a cannot have it, it has one group only",
		sink + "SELECT key FROM g;":             "query a cannot have it, it groups nothing",
		"SELECT key, window_end, count(*) AS n FROM g GROUP BY key, tumble(now(), INTERVAL '1 s')": "it has windows",
	} {
		_, errs, status := velo(t, "", "run", "--rebalance", job(statements))
		if status == 0 || !strings.Contains(errs, want) || !strings.Contains(errs, "Leave --rebalance out") {
			t.Errorf("%s: status %d, %s", statements, status, errs)
		}
		_, err := os.Stat(dir + "/a.csv")
		if err == nil {
			t.Errorf("%s: a sink was written", statements)
		}
	}
	_, errs, status = velo(t, "", "query", "--rebalance", `SELECT count(*) FROM "`+dir+`/job.sql"`)
	if status == 0 || !strings.Contains(errs, "it has one group only") {
		t.Errorf("query: status %d, %s", status, errs)
	}
}

// Goal: a live view has how many shards have moved, why, and the last move.
func TestRebalancedLines(t *testing.T) {
	r := engine.RebalanceStats{Shards: 7, Bytes: 5 << 10, Why: "partition 0 is the bottleneck"}
	last := engine.ShardMove{From: 0, To: 3, Shards: []int{4, 5}, Bytes: 2048, Took: time.Millisecond, Why: "busy"}
	r.Last = []engine.ShardMove{{To: 9}, last}
	got := strings.Join(rebalanced(r), "\n")
	for _, want := range []string{
		"shards moved 7  5 KiB  now: partition 0 is the bottleneck", "last 2 shards (2 KiB) from partition 0 to 3",
		"busy",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if lines := rebalanced(engine.RebalanceStats{}); lines != nil {
		t.Errorf("without --rebalance: %q", lines)
	}
}
