package velocli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// stateRun is a run of job.sql with a state.
type stateRun struct {
	t *testing.T
}

// aged is how old a state is, which depends on the machine.
var aged = regexp.MustCompile(`\(\d+ s old`)

// is runs a job, and compares its status, what it prints, and what it says.
func (s stateRun) is(status int, out string, says []string, args ...string) {
	s.t.Helper()
	got, errs, code := velo(s.t, "", append([]string{"run", "--format=csv", "--state=state", "--readers=1"}, args...)...)
	if code != status || got != out {
		s.t.Errorf("%v: status %d, expected %d; it prints\n%sexpected\n%s%s", args, code, status, got, out, errs)
	}
	errs = aged.ReplaceAllString(filepath.ToSlash(errs), "(N s old")
	for _, line := range says {
		if !strings.Contains(errs, line) {
			s.t.Errorf("%v: there is no %q in\n%s", args, line, errs)
		}
	}
}

const (
	folderSums  = `CREATE SINK sums WITH (connector = 'file', path = 'sums.csv'); INSERT INTO sums SELECT symbol, sum(size) AS v FROM trades GROUP BY symbol ORDER BY symbol;`
	folderLeast = `CREATE SINK least WITH (connector = 'file', path = 'least.csv'); INSERT INTO least SELECT symbol, min(size) AS v FROM trades GROUP BY symbol ORDER BY symbol;`
	folderCount = `SELECT count(*) AS n FROM trades`
)

// Goal: a query that comes later is refused without an option, and begins with it where the source stands, without what came before; one that goes is refused without an option, and its groups are given up
// with it; the others go on. Method: a followed file that grows between the runs of jobs with other queries.
func TestStateQueriesComeAndGo(t *testing.T) {
	source := strings.Replace(durableSource, "trades.csv'", "trades-*.csv'", 1)
	inFolder(t, map[string]string{
		"trades-1.csv": durableTrades,
		"one.sql":      source + folderSums + folderCount,
		"two.sql":      source + folderSums + folderLeast + folderCount,
		"three.sql":    source + folderLeast + folderCount,
		"changed.sql":  source + strings.Replace(folderLeast, "min(", "max(", 1) + folderCount,
		"twice.sql":    source + folderSums + strings.ReplaceAll(folderSums, "sums", "least") + folderCount,
	})
	run := stateRun{t}
	interrupted := func() {
		// The state is not at the end of all input, so that records may come.
		t.Helper()
		run.is(0, "n\n3\n", []string{"sums: begins anew in state/source-trades", "SELECT: begins anew in state/source-trades"}, "one.sql")
	}
	interrupted()
	run.is(80, "", []string{"--repeat-output least: the job has no query of that name"}, "--repeat-output=least", "one.sql")
	run.is(80, "", []string{"--skip-output-to least: the job has no query of that name"}, "--skip-output-to=least=3", "one.sql")
	want(t, "sums.csv", "symbol,v\nA,5\nB,2\n")
	run.is(1, "", []string{
		"state/source-trades: the state belongs to another query: it has no query least, but sums, SELECT: --new-query least has it begin with the records after generation 2",
	}, "two.sql")
	if err := os.WriteFile("trades-2.csv", []byte("symbol,size,at\nA,100,2024-01-01T00:02:00Z\nC,7,2024-01-01T00:02:01Z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run.is(0, "n\n5\n", []string{
		"sums: goes on at generation 2 (N s old, 2 groups)", "SELECT: goes on at generation 2 (N s old, 1 groups)",
		"trades -> least: exactly once", "least: begins with the records after generation 2, without what came before",
	}, "two.sql", "--new-query=least")
	want(t, "sums.csv", "symbol,v\nA,105\nB,2\nC,7\n")
	want(t, "least.csv", "symbol,v\nA,100\nC,7\n")
	run.is(0, "n\n5\n", []string{"least: goes on at generation"}, "two.sql", "--new-query=least") // the option may stay
	run.is(1, "", []string{"it has the query sums, which the job has no more: --drop-query sums gives up its 3 groups"}, "three.sql")
	run.is(1, "", []string{"--drop-query least: the job has the query; --new-query least in addition has it begin anew"}, "two.sql", "--drop-query=least")
	run.is(80, "", []string{"--new-query most: the job has no query of that name"}, "two.sql", "--new-query=most")
	want(t, "sums.csv", "symbol,v\nA,105\nB,2\nC,7\n") // what was refused has written nothing
	run.is(0, "n\n5\n", []string{"velo: trades: the 3 groups of sums are given up", "least: goes on at generation"}, "three.sql", "--drop-query=sums")
	run.is(1, "", []string{"aggregate 1 is max(size bigint)", "--drop-query least --new-query least begins least anew, and the others go on"}, "changed.sql")
	if err := os.WriteFile("trades-3.csv", []byte("symbol,size,at\nB,1,2024-01-01T00:02:00Z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run.is(0, "n\n6\n", []string{"least: begins with the records after generation", "the 2 groups of least are given up"}, "changed.sql", "--drop-query=least", "--new-query=least")
	want(t, "least.csv", "symbol,v\nB,1\n")
	run.is(0, "n\n6\n", []string{"sums: begins anew in", "least: begins anew in"}, "twice.sql", "--fresh") // two queries of one text
	want(t, "least.csv", "symbol,v\nA,105\nB,3\nC,7\n")
	want(t, "sums.csv", "symbol,v\nA,105\nB,3\nC,7\n")
}

// Goal: a job that an earlier version has given a folder for each query goes on with them, and with --fresh gets one for the source. Method: folders of one query, renamed to what they would have been called.
func TestStateOfEarlierVersion(t *testing.T) {
	inFolder(t, map[string]string{
		"trades.csv": durableTrades, "sums.sql": durableSource + folderSums, "count.sql": durableSource + folderCount,
		"both.sql": durableSource + folderSums + folderCount,
	})
	run := stateRun{t}
	for job, folder := range map[string]string{"sums.sql": "sums", "count.sql": "select"} {
		run.is(0, map[string]string{"count.sql": "n\n3\n"}[job], nil, job)
		if err := os.Rename("state/source-trades", filepath.Join("state", folder)); err != nil {
			t.Fatal(err)
		}
	}
	run.is(0, "n\n3\n", []string{
		"sums: goes on at generation 2 (N s old, 2 groups)", "SELECT: goes on at generation 2 (N s old, 1 groups)",
		"sums: has a folder of its own, as earlier versions made it, so each query reads trades for itself; --fresh begins anew",
	}, "both.sql")
	for _, c := range [][2]string{{"sums", "symbol,v\nA,5\nB,2\n"}, {"select", "n\n3\n"}} {
		out, errs, status := velo(t, "", "state", "export", "state", "both.sql", "--format=csv", "--query="+c[0])
		if status != 0 || len(out) != len(c[1]) {
			t.Errorf("%s: status %d\n%s%s", c[0], status, out, errs)
		}
	}
	run.is(0, "n\n3\n", []string{"sums: begins anew in state/source-trades", "SELECT: begins anew in state/source-trades"}, "both.sql", "--fresh")
	run.is(0, "n\n3\n", []string{"sums: goes on at generation 2"}, "both.sql")
	aside, err := filepath.Glob("state/*/aside-*")
	if err != nil || len(aside) == 0 {
		t.Errorf("what was there before is not aside: %q, %v", aside, err)
	}
	out, errs, status := velo(t, "", "state", "list", "state")
	if status != 0 || strings.Contains(out, "state/sums") || !strings.Contains(filepath.ToSlash(out), "state/source-trades") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// Goal: a query that fails takes along those with which it shares its state, and says so, and the next run goes on. Method: a query that needs more memory than there is.
func TestStateFailsTogether(t *testing.T) {
	inFolder(t, map[string]string{"job.sql": `
		CREATE SOURCE s (key bigint, value bigint) WITH (connector = 'generator', rows = 2000000, groups = 1000000);
		CREATE SINK sums AS SELECT key, sum(value) AS v FROM s GROUP BY key WITH (connector = 'file', path = 'sums.csv');
		SELECT count(*) AS n FROM s`})
	run := stateRun{t}
	run.is(1, "", []string{
		"velo: sums: ", "--memory, or VELO_MEMORY, gives the query more",
		"SELECT: it has ended before its input, because it shares its state with a query that has failed",
	}, "job.sql", "--memory=8MiB")
	if _, err := os.Stat("sums.csv"); err == nil {
		t.Error("the query that has failed has a result")
	}
	run.is(0, "n\n2000000\n", []string{"sums: goes on at generation 1", "SELECT: goes on at generation 1"}, "job.sql", "--memory=1GiB")
}
