package velocli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// inFolder makes a folder with some files, and makes it the current one.
func inFolder(t *testing.T, files map[string]string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// want reads a file that must be there and have a text.
func want(t *testing.T, name, text string) {
	t.Helper()
	if got, err := os.ReadFile(name); err != nil || string(got) != text {
		t.Errorf("%s: %v\n%s\nexpected\n%s", name, err, got, text)
	}
}

const tradesTable = `CREATE SOURCE trades (symbol text NOT NULL, price double precision, size bigint, venue text, at timestamp NOT NULL, WATERMARK FOR at AS at - INTERVAL '1 minute')
`

// Goal: records pass through to a sink, all of a source too; changes add up to the groups; a sink of nothing has its names. Method: golden outputs.
func TestRunStreams(t *testing.T) {
	inFolder(t, map[string]string{
		"trades.csv": strings.Join(tradesLines, "\n") + "\n",
		"job.sql": tradesTable + `WITH (connector = 'file', path = 'trades.csv');
		CREATE SINK large AS SELECT symbol, price * size AS value FROM trades WHERE size > 2 WITH (connector = 'file', path = 'large.csv');
		CREATE SINK none AS SELECT symbol FROM trades WHERE size > 1000 WITH (connector = 'file', path = 'none.csv');
		CREATE SINK everything FROM trades WITH (connector = 'file', path = 'everything.ndjson');
		CREATE SINK none_changed AS SELECT symbol, count(*) AS n FROM trades WHERE size > 1000 GROUP BY symbol EMIT CHANGES WITH (connector = 'file', path = 'none_changed.csv');
		SELECT symbol, sum(size) AS v FROM trades GROUP BY symbol HAVING sum(size) > 2 EMIT CHANGES`,
	})
	out, errs, status := velo(t, "", "run", "job.sql", "--format=csv", "--readers=1")
	if status != 0 || errs != "" {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	rows := strings.Split(strings.TrimSpace(out), "\n")
	slices.Sort(rows[1:])
	if got := strings.Join(rows, " "); got != `op,symbol,v upsert,"A, Inc",3 upsert,A,6` {
		t.Errorf("%s", got)
	}
	want(t, "large.csv", "symbol,value\n\"A, Inc\",33\nA,60\n")
	want(t, "none.csv", "symbol\n")
	want(t, "none_changed.csv", "op,symbol,n\n")
	text, err := os.ReadFile("everything.ndjson")
	if err != nil || strings.Count(string(text), "\n") != 4 ||
		!strings.HasPrefix(string(text), `{"symbol":"A","price":10.5,"size":1,`) {
		t.Errorf("%v, %s", err, text)
	}
}

// Goal: a window closes by the watermark that the job says: what comes later than that is late, and is counted.
func TestRunWatermark(t *testing.T) {
	inFolder(t, map[string]string{"t.csv": "at,n\n2024-01-01T00:00:01Z,1\n2024-01-01T00:05:00Z,2\n2024-01-01T00:00:02Z,4\n2024-01-01T00:04:55Z,8\n", "job.sql": `
		CREATE SOURCE t (at timestamp NOT NULL, n bigint, WATERMARK FOR at AS at - INTERVAL '1 minute') WITH (connector = 'file', path = 't.csv');
		SELECT window_start, sum(n) AS n FROM t GROUP BY tumble(at, INTERVAL '1 minute')`})
	out, errs, status := velo(t, "", "run", "job.sql", "--readers=1", "--format=csv", "--stats")
	if status != 0 || out != "window_start,n\n2024-01-01T00:00:00Z,1\n2024-01-01T00:04:00Z,8\n2024-01-01T00:05:00Z,2\n" {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	if !strings.Contains(errs, "SELECT from t: ") || !strings.Contains(errs, "3 rows written, of 3 windows") {
		t.Errorf("the statistics are\n%s", errs)
	}
}

// Goal: standard input, generators, delimiters and headers are what the options say. Method: golden outputs.
func TestRunSources(t *testing.T) {
	inFolder(t, map[string]string{"t.tsv": "7\t1\n", "header.csv": "x;y\n7;1\n", "t.ndjson": `{"a":1,"at":1700000000}` +
		"\n" + `{"at":1700000001,"a":2}` + "\n"})
	for _, c := range []struct{ job, stdin, want string }{
		{
			`CREATE SOURCE s (a bigint, b bigint) WITH (connector = 'stdin'); SELECT sum(a) AS a, sum(b) AS b FROM s`,
			"A, b\n1,2\n3,4\n", "a,b\n4,6\n",
		},
		{`CREATE SOURCE s (a bigint, b bigint) WITH (connector = 'file', path = 't.tsv', format = 'tsv', header = false); SELECT sum(a) AS a FROM s`, "", "a\n7\n"},
		{`CREATE SOURCE s (a bigint, b bigint) WITH (connector = 'file', path = 'header.csv', delimiter = ';', header = 'skip'); SELECT sum(a) AS a FROM s`, "", "a\n7\n"},
		{`CREATE SOURCE s (a bigint, at timestamp) WITH (connector = 'file', path = 't.ndjson', time.unit = 's'); SELECT sum(a) AS a, max(at) AS at FROM s`, "", "a,at\n3,2023-11-14T22:13:21Z\n"},
		{
			`CREATE SOURCE s (a bigint) WITH (connector = 'stdin', format = 'ndjson'); SELECT sum(a) AS a FROM s`,
			`{"a":1,"b":{}}` + "\n" + `{"a":2}` + "\n", "a\n3\n",
		},
		{`CREATE SOURCE s (k bigint, v bigint) WITH (connector = 'generator', rows = 1000, groups = 10, distribution = 'sequential'); SELECT count(*) AS n FROM s GROUP BY k LIMIT 2`, "", "n\n100\n100\n"},
		{`CREATE SOURCE s (k bigint, v bigint) WITH (connector = 'generator', rows = 1000, distribution = 'zipf', seed = 7); CREATE SINK o AS SELECT count(*) AS n FROM s WITH (connector = 'stdout', format = 'ndjson')`, "", `{"n":1000}` + "\n"},
	} {
		if err := os.WriteFile("job.sql", []byte(c.job), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, errs, status := velo(t, c.stdin, "run", "--format=csv", "job.sql"); status != 0 || out != c.want {
			t.Errorf("%s\nstatus %d\n%s%s", c.job, status, out, errs)
		}
	}
	job := `CREATE SOURCE s (k bigint, v bigint) WITH (connector = 'generator', rows = 10); SELECT count(*) AS n FROM s`
	if out, errs, status := velo(t, job, "run", "-", "--format=csv"); status != 0 || out != "n\n10\n" {
		t.Errorf("a job from standard input: status %d, %s%s", status, out, errs)
	}
	if out, errs, status := velo(t, job, "run", "-", "--check"); status != 0 ||
		out != "SELECT: SELECT count(*) AS n FROM s\n" {
		t.Errorf("--check: status %d, %s%s", status, out, errs)
	}
}

// Goal: records that cannot be read are set aside once, although two queries read them; both have the others, and the status says so.
func TestRunQuarantine(t *testing.T) {
	inFolder(t, map[string]string{"t.csv": "a,b\n1,2\nx,3\n4,5\n", "job.sql": `
		CREATE SOURCE t (a bigint, b bigint) WITH (connector = 'file', path = 't.csv', strict = 'true');
		CREATE SINK s AS SELECT sum(b) AS s FROM t WITH (connector = 'file', path = 's.csv');
		SELECT count(*) AS n FROM t`})
	out, errs, status := velo(t, "", "run", "job.sql", "--format=csv", "--quarantine=bad.ndjson")
	if status != statusAside || out != "n\n2\n" || strings.Count(errs, "line 3") != 1 {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	want(t, "s.csv", "s\n7\n")
	if text, err := os.ReadFile("bad.ndjson"); err != nil || strings.Count(string(text), `"bytes":"x,3"`) != 1 {
		t.Errorf("%v, %s", err, text)
	}
}

// Goal: a source is read once for all queries over it, also if they keep their state. Method: standard input, which cannot be read twice, and four queries of every kind.
func TestRunReadsOnce(t *testing.T) {
	job := `
		CREATE SOURCE s (k bigint, v bigint, at timestamp, WATERMARK FOR at AS at - INTERVAL '1 s') WITH (connector = 'stdin', header = false);
		CREATE SINK sums AS SELECT k, sum(v) AS v FROM s GROUP BY k ORDER BY k WITH (connector = 'file', path = 'sums.csv');
		CREATE SINK passed AS SELECT v FROM s WHERE v > 7 WITH (connector = 'file', path = 'passed.csv');
		CREATE SINK windows AS SELECT window_start, count(*) AS n FROM s GROUP BY tumble(at, INTERVAL '1 minute')
			WITH (connector = 'file', path = 'windows.csv');
		SELECT count(*) AS n FROM s`
	inFolder(t, map[string]string{"job.sql": job})
	in := "1,5,2026-01-01 00:00:01\n2,8,2026-01-01 00:00:02\n1,9,2026-01-01 00:01:02\n"
	for _, args := range [][]string{nil, {"--state=kept"}} {
		out, errs, status := velo(t, in, append([]string{"run", "job.sql", "--format=csv"}, args...)...)
		if status != 0 || out != "n\n3\n" {
			t.Errorf("%v: status %d, %s%s", args, status, out, errs)
		}
		want(t, "sums.csv", "k,v\n1,14\n2,8\n")
		want(t, "passed.csv", "v\n8\n9\n")
		want(t, "windows.csv", "window_start,n\n2026-01-01T00:00:00Z,2\n2026-01-01T00:01:00Z,1\n")
		for _, file := range []string{"sums.csv", "passed.csv", "windows.csv"} {
			if err := os.Remove(file); err != nil {
				t.Error(err)
			}
		}
	}
}

// Goal: a query that runs out of memory ends alone: the others over the same source have everything, and the status says so.
func TestRunOutOfMemory(t *testing.T) {
	inFolder(t, map[string]string{"job.sql": `
		CREATE SOURCE s (key bigint, value bigint) WITH (connector = 'generator', rows = 2000000, groups = 1000000);
		CREATE SINK few AS SELECT count(*) AS n FROM s WITH (connector = 'file', path = 'few.csv');
		CREATE SINK many AS SELECT key, value, count(*) AS n FROM s GROUP BY key, value WITH (connector = 'file', path = 'many.csv')`})
	_, errs, status := velo(t, "", "run", "job.sql", "--memory=4MiB")
	if status != statusFailed || !strings.Contains(errs, "many: ") || !strings.Contains(errs, "--memory, or VELO_MEMORY") ||
		strings.Contains(errs, "few: ") {
		t.Errorf("status %d, %s", status, errs)
	}
	want(t, "few.csv", "n\n2000000\n")
	if _, err := os.Stat("many.csv"); err == nil {
		t.Error("the result of the query that failed is there")
	}
}

// Goal: a failure of one query does not take the others with it.
func TestRunFailure(t *testing.T) {
	inFolder(t, map[string]string{"t.csv": "a,b\n1,2\n"})
	if err := os.WriteFile("job.sql", []byte(`
		CREATE SOURCE s (a bigint, b bigint) WITH (connector = 'file', path = 't.csv');
		CREATE SINK bad AS SELECT count(*) AS n FROM s WITH (connector = 'file', path = 'sub/bad.csv');
		CREATE SINK good AS SELECT count(*) AS n FROM s WITH (connector = 'file', path = 'good.csv')`), 0o600); err !=
		nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("sub", 0o700); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join("sub", "bad.csv")
	run := &runCmd{Job: "job.sql", sizing: sizing{Readers: 1, Partitions: 1, Cores: 1}}
	beforeStart = func() { _ = os.Remove("sub") }
	defer func() { beforeStart = func() {} }()
	err := run.Run(streams{strings.NewReader(""), &strings.Builder{}, &strings.Builder{}})
	if err == nil || !strings.Contains(err.Error(), "bad: writers: file") || !strings.Contains(err.Error(), broken) {
		t.Errorf("a folder that has gone: %v", err)
	}
	want(t, "good.csv", "n\n1\n")
}

// tiring is a writer that refuses every other batch.
type tiring struct {
	record.Writer
	n int
}

func (w *tiring) Write(ctx context.Context, b *record.Batch) error {
	if w.n++; w.n%2 == 1 {
		return record.Transient(errors.New("no room"))
	}
	return w.Writer.Write(ctx, b)
}

// Goal: what a sink refuses for now is written again, and it is said, once.
func TestRunTriesAgain(t *testing.T) {
	schema, err := record.NewSchema("t", record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := query.Compile("SELECT n, count(*) AS c FROM t GROUP BY n", schema)
	if err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(schema, 2000)
	for i := range 2000 {
		b.Add(1)
		b.SetInt64(0, int64(i))
	}
	memory, err := readers.NewMemory(schema, []*record.Batch{b}, 1)
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.Start(t.Context(), engine.Config{Plan: plan, Readers: []record.Reader{memory}, NoPin: true})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	if err := eng.Wait(); err != nil {
		t.Fatal(err)
	}
	var out, said bytes.Buffer
	w := writers.NewCSV(&out)
	in := &ingest{engine: eng}
	f := in.add(&flow{plan: plan, kept: &kept{Writer: &tiring{Writer: w}, name: "sink", say: &said}})
	if err := errors.Join(f.writeAll(), w.Close()); err != nil {
		t.Error(err)
	}
	if n := strings.Count(out.String(), "\n"); n != 2001 ||
		said.String() != "velo: sink: no room; it is tried again\n" {
		t.Errorf("%d lines, %s", n, said.String())
	}
}

// Goal: the examples of velo query --help are understood.
func TestQueryHelp(t *testing.T) {
	out, _, status := velo(t, "", "query", "--help")
	if status != 0 || !strings.Contains(out, "Exit statuses") {
		t.Errorf("status %d\n%s", status, out)
	}
	inFolder(t, map[string]string{
		"trades.csv": strings.Join(tradesLines, "\n") + "\n", "t.csv": "Oslo,1.5\n",
		"big.csv": "user\n1\n",
	})
	for _, args := range [][]string{
		{"query", `SELECT symbol, count(*) AS n, avg(price) FROM "trades.csv" GROUP BY symbol ORDER BY n DESC LIMIT 10`},
		{"query", `SELECT window_start, sum(size) FROM 'trade*.csv' GROUP BY tumble(at, INTERVAL '1 hour') ORDER BY 1`},
		{
			"query", "--schema", "city text, celsius decimal(4,1)", "--no-header",
			`SELECT city, max(celsius) FROM "t.csv" GROUP BY city`,
		},
		{"query", `SELECT user, count(*) AS n FROM "big.csv" GROUP BY user`},
	} {
		if _, errs, status := velo(t, "", args...); status != 0 {
			t.Errorf("%v: status %d, %s", args, status, errs)
		}
	}
}

// Goal: --help teaches: with an example that runs.
func TestRunHelp(t *testing.T) {
	out, _, status := velo(t, "", "run", "--help")
	for _, word := range []string{
		"CREATE SOURCE", "CREATE SINK", "INSERT INTO", "WATERMARK", "Exit statuses",
		"generator",
	} {
		if status != 0 || !strings.Contains(out, word) {
			t.Errorf("status %d, there is no %s in\n%s", status, word, out)
		}
	}
	text := runCmd{}.Help()
	example := text[strings.Index(text, "    CREATE SOURCE"):strings.Index(text, "Connectors and")]
	inFolder(t, map[string]string{"job.sql": example})
	if err := os.Mkdir("trades", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("trades/1.csv", []byte("symbol,size,at\nA,1,2024-01-01T00:00:01Z\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, status := velo(t, "", "run", "job.sql", "--format=csv")
	if status != 0 || out != "symbol,n\nA,1\n" {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	want(t, "volumes-000001.csv", "window_start,symbol,volume\n2024-01-01T00:00:00Z,A,1\n")
	names, err := filepath.Glob("volumes*")
	if err != nil || !slices.Equal(names, []string{"volumes-000001.csv"}) {
		t.Errorf("%v, %v", names, err)
	}
}

// Goal: several SELECTs over one input are answered in one pass, one after the other. Method: standard input, which can be read once; a column whose guess does not hold, over a
// file, so that all begin again; and what is refused.
func TestQuerySeveral(t *testing.T) {
	inFolder(t, map[string]string{"t.csv": "a,b\n1,2\n2,5\n"})
	sql := `SELECT count(*) AS n FROM stdin; SELECT a, sum(b) AS b FROM stdin GROUP BY a ORDER BY a;`
	out, errs, status := velo(t, "a,b\n1,2\n2,5\n1,4\n", "query", "--format=csv", sql)
	if want := "n\n3\n\na,b\n1,6\n2,5\n"; status != 0 || out != want {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	out, errs, status = velo(t, "", "query", "--format=ndjson", `SELECT max(b) AS b FROM "t.csv"; SELECT min(b) AS b FROM "t.csv"`)
	if want := "{\"b\":5}\n{\"b\":2}\n"; status != 0 || out != want {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	out, errs, status = velo(t, "", "explain", `SELECT max(b) AS b FROM "t.csv"; SELECT min(b) AS b FROM "t.csv"`)
	if status != 0 || strings.Count(out, "max(b)") != 1 || strings.Count(out, "min(b)") != 1 {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	for sql, want := range map[string]string{
		`SELECT max(b) FROM "t.csv"; SELECT b FROM "t.csv"`:       "prints rows as they come",
		`SELECT max(b) FROM "t.csv"; SELECT max(b) FROM "u.csv"`:  `this SELECT is from "u.csv"`,
		`SELECT max(b) FROM "t.csv"; SELECT max(c) FROM "t.csv"`:  `line 1, column 40`,
		`SELECT max(b) FROM "t.csv"; DROP TABLE x`:                "column 29",
		`SELECT max(d) FROM "t.csv"; SELECT max(c) FROM "t.csv";`: `"d"`,
	} {
		if _, errs, status := velo(t, "", "query", sql); status != statusFailed || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, %s", sql, status, errs)
		}
	}
}

// Goal: queries over queries are answered by velo query, velo explain and jobs, and what cannot be is refused with its place.
func TestSubqueries(t *testing.T) {
	inFolder(t, map[string]string{
		"t.csv": "k,v,at\na,1,2026-01-01 00:00:01\na,2,2026-01-01 00:00:02\nb,5,2026-01-01 00:00:03\na,7,2026-01-01 00:01:03\nc,9,2026-01-01 00:02:03\n",
		"job.sql": `
			CREATE SOURCE t (k text, v bigint, at timestamp, WATERMARK FOR at AS at - INTERVAL '1 s') WITH (connector = 'file', path = 't.csv');
			CREATE SINK best AS SELECT window_start, max(s) AS s FROM (SELECT window_end AS e, k, sum(v) AS s FROM t GROUP BY k, tumble(at, INTERVAL '1 minute'))
				GROUP BY tumble(e, INTERVAL '2 minutes') WITH (connector = 'file', path = 'best.csv');
			SELECT count(*) AS n FROM t`,
	})
	for sql, want := range map[string]string{
		`SELECT n, count(*) AS keys FROM (SELECT k, count(*) AS n FROM "t.csv" GROUP BY k) AS x GROUP BY x.n ORDER BY n`:                                                                                 "n,keys\n1,2\n3,1\n",
		`WITH a AS (SELECT k, v FROM "t.csv"), b AS (SELECT k, sum(v) AS s FROM a GROUP BY k) SELECT max(s) AS m FROM b`:                                                                                 "m\n10\n",
		`SELECT * FROM (SELECT k, v * 2 AS d FROM "t.csv" WHERE v > 1) WHERE d > 10 ORDER BY d`:                                                                                                          "k,d\na,14\nc,18\n",
		`with top as (SELECT window_start AS w, k, sum(v) AS s FROM "t.csv" GROUP BY k, tumble(at, INTERVAL '1 minute') ORDER BY s DESC LIMIT 1) SELECT k, count(*) AS n FROM top GROUP BY k ORDER BY k`: "k,n\na,1\nb,1\nc,1\n",
	} {
		if out, errs, status := velo(t, "", "--format=csv", sql); status != 0 || out != want {
			t.Errorf("%s: status %d, %s%s", sql, status, out, errs)
		}
	}
	if out, errs, status := velo(t, "", "run", "job.sql", "--format=csv"); status != 0 || out != "n\n5\n" {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	want(t, "best.csv", "window_start,s\n2026-01-01T00:00:00Z,5\n2026-01-01T00:02:00Z,9\n")
	if out, _, status := velo(t, "", "explain", `SELECT max(n) AS m FROM (SELECT k, count(*) AS n FROM "t.csv" GROUP BY k)`); status != 0 ||
		!strings.Contains(out, "source       t.csv") || !strings.Contains(out, "source       subquery(k text, n bigint)") {
		t.Errorf("status %d, %s", status, out)
	}
	for sql, want := range map[string]string{
		`SELECT max(n) FROM (SELECT k, count(*) AS n FROM "t.csv" GROUP BY k EMIT CHANGES)`:      "line 1, column 21: EMIT CHANGES",
		`SELECT max(x) FROM (SELECT k, count(*) AS n FROM "t.csv" GROUP BY k)`:                   `line 1, column 12: there is no column "x"`,
		`SELECT max(n) FROM (SELECT k, count(*) AS n FROM "t.csv" GROUP BY k`:                    "unclosed parenthesis",
		`SELECT v FROM "t.csv" WHERE v IN (SELECT 1, 2 FROM "t.csv")`:                            "expected 1",
		`WITH a AS (SELECT k FROM "t.csv"), a AS (SELECT k FROM "t.csv") SELECT count(*) FROM a`: `the name "a" twice`,
		`SELECT max(v) FROM "t.csv"; SELECT max(n) FROM (SELECT count(*) AS n FROM "t.csv")`:     "ask for it alone",
		`SELECT max(n) FROM (SELECT count(*) AS n, count(*) AS n FROM "t.csv")`:                  `"n"`,
	} {
		if _, errs, status := velo(t, "", "query", sql); status != statusFailed || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, expected %q, got %s", sql, status, want, errs)
		}
	}
}
