package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Goal: the same records give the same results as Parquet and as CSV: in velo query, as standard input
// and as a joined table, and in a job that declares the columns.
// Method: the program itself, over the files of connect/parquet/testdata, which it also writes as CSV.
func TestParquet(t *testing.T) {
	velo := build(t)
	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(velo, args...).Output()
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		return string(out)
	}
	for file, queries := range map[string][]string{
		"duckdb": {
			"SELECT s, count(*), sum(n), sum(d), sum(dec), min(at), max(day), bool_or(b), count(b) FROM %s GROUP BY s ORDER BY s",
			"SELECT * FROM %s ORDER BY n DESC LIMIT 7",
			"SELECT count(*), count(DISTINCT id) FROM %s WHERE d > 20 AND s LIKE '%%3'",
			"SELECT window_start, count(*) FROM %s GROUP BY tumble(at, INTERVAL '10 s') ORDER BY 1",
			"SELECT a.s, count(*) FROM %s AS a JOIN %s AS b ON a.n = b.n WHERE b.d < 30 GROUP BY a.s ORDER BY 1",
		},
		"snappy-dictionary": {
			`SELECT few, count(*), count(f64), sum(f32), max(i64), min(u32), sum(d18) FROM %s GROUP BY few ORDER BY few`,
			`SELECT b, count(*), max(ns), min(us), max(ms), min(many) FROM %s GROUP BY b ORDER BY b`,
		},
	} {
		path, err := filepath.Abs(filepath.Join("..", "..", "parquet", "testdata", file+".parquet"))
		if err != nil {
			t.Fatal(err)
		}
		csv := filepath.Join(dir, file+".csv")
		text := run("query", "--format", "csv", `SELECT * FROM "`+path+`"`)
		if err := os.WriteFile(csv, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		schema := run("schema", path)
		for _, q := range queries {
			over := func(name string) string {
				return strings.ReplaceAll(strings.ReplaceAll(q, "%%", "%"), "%s", `"`+name+`"`)
			}
			got := run("query", "--format", "csv", over(path))
			want := run("query", "--format", "csv", "--schema", schema, over(csv))
			if strings.Contains(q, "JOIN") {
				want = run("query", "--format", "csv", over(csv))
			}
			if got != want || strings.Count(got, "\n") < 2 {
				t.Errorf("%s\nof Parquet:\n%s\nof CSV:\n%s", q, got, want)
			}
		}
		from, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		count := exec.Command(velo, "query", "--format", "csv", "SELECT count(*) FROM stdin")
		count.Stdin = from
		out, err := count.Output()
		if err := from.Close(); err != nil {
			t.Fatal(err)
		}
		if want := run("query", "--format", "csv", `SELECT count(*) FROM "`+csv+`"`); err != nil || string(out) != want {
			t.Errorf("standard input: %v: %s, expected %s", err, out, want)
		}
	}

	path := filepath.Join("..", "..", "parquet", "testdata", "duckdb.parquet")
	for connector, state := range map[string]string{"parquet": "", "file": "", "parquet'--": "--state"} {
		name, _, _ := strings.Cut(connector, "'")
		job, out := filepath.Join(dir, "job.sql"), filepath.Join(dir, "out-"+name+state+".csv")
		text := `CREATE SOURCE t (n bigint NOT NULL, S text, at timestamp NOT NULL, lacks bigint, WATERMARK FOR at AS at)
  WITH (connector = '` + name + `', path = '` + path + `');
CREATE SINK o WITH (connector = 'file', path = '` + out + `');
INSERT INTO o SELECT window_end, count(*) AS n, sum(n) AS s, count(lacks) AS l, max(S) AS m FROM t GROUP BY tumble(at, INTERVAL '30 s');`
		if err := os.WriteFile(job, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"run", job}
		if state != "" {
			args = append(args, state, filepath.Join(dir, "state"))
		}
		run(args...)
		got, err := os.ReadFile(out)
		want := "window_end,n,s,l,m\n2026-03-02T09:30:30Z,30,435,0,name 9\n2026-03-02T09:31:00Z,30,1335,0,name 9\n" +
			"2026-03-02T09:31:30Z,30,2235,0,name 9\n"
		if err != nil || string(got) != want {
			t.Errorf("%s %s: %v\n%s", connector, state, err, got)
		}
	}
	manifests, err := filepath.Glob(filepath.Join(dir, "state", "*", "*.manifest"))
	if err != nil || len(manifests) == 0 {
		t.Fatal(manifests, err)
	}
	if shown := run("state", "show", filepath.Dir(manifests[0])); !strings.Contains(shown, "1 of 1 row groups read") {
		t.Errorf("velo state show:\n%s", shown)
	}
}

// Goal: a job from Parquet to Parquet writes each window once, and each change once, whatever ends
// the process. Method: the program is killed again and again at random moments; in the end the files
// that it has written are read.
func TestParquetKilled(t *testing.T) {
	velo := build(t)
	dir := t.TempDir()
	const rows, each = 1_500_000, 1000 // rows of a window
	var csv bytes.Buffer
	csv.WriteString("n,at\n")
	for i := range rows {
		fmt.Fprintf(&csv, "%d,%d\n", i, i*1000) // a microsecond each
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	from := write("t.csv", csv.String())
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(velo, args...).Output()
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		return string(out)
	}
	run("run", write("convert.sql", `CREATE SOURCE t (n bigint NOT NULL, at bigint NOT NULL)
  WITH (connector = 'file', path = '`+from+`');
CREATE SINK o WITH (connector = 'parquet', path = '`+filepath.Join(dir, "t.parquet")+`', row.group.rows = '50000', time.unit = 'us');
INSERT INTO o SELECT n, to_timestamp(at / 1000000000.0::double precision) AS at FROM t;`), "--cores", "1")
	const slow = "^(1?2?3?4?)*x$" // so that the job takes a second or more
	for name, query := range map[string]string{
		"windows": "SELECT window_start, count(*) AS n, sum(n) AS s, count(*) FILTER (WHERE n::text ~ '" + slow + "') AS r FROM t GROUP BY tumble(at, INTERVAL '1 ms')",
		"passed":  "SELECT n, n AS s FROM t WHERE n % 100 = 0 AND n::text !~ '" + slow + "'",
	} {
		job := write(name+".sql", `CREATE SOURCE t (n bigint NOT NULL, at timestamp NOT NULL, WATERMARK FOR at AS at - INTERVAL '1 ms')
  WITH (connector = 'parquet', path = '`+filepath.Join(dir, "t.parquet")+`');
CREATE SINK o WITH (connector = 'parquet', path = '`+filepath.Join(dir, name+"-{n}.parquet")+`', rotate.bytes = '100 kB');
INSERT INTO o `+query+`;`)
		begun := time.Now()
		run("run", job, "--cores", "2")
		whole := time.Since(begun) // how long all of it takes
		killed := 0
		for round := 0; round < 5 && killed < 3; round++ {
			old, err := filepath.Glob(filepath.Join(dir, name+"-*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range old {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
			killed += runKilled(t, velo, job, filepath.Join(dir, fmt.Sprint("state-", name, round)), whole>>round)
			got := run("query", "--format", "csv", `SELECT count(*), count(DISTINCT s), sum(s), min(s) FROM "`+
				filepath.Join(dir, name+"-*.parquet")+`"`)
			want := fmt.Sprintf("%d,%d,%d,%d\n", rows/each, rows/each, rows*(rows-1)/2, each*(each-1)/2)
			if name == "passed" {
				want = fmt.Sprintf("%d,%d,%d,0\n", rows/100, rows/100, rows/100*(rows/100-1)/2*100)
			}
			if _, got, _ = strings.Cut(got, "\n"); got != want {
				t.Errorf("%s: %s, expected %s", name, got, want)
			}
			files, err := filepath.Glob(filepath.Join(dir, name+"-*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if strings.HasSuffix(f, ".unfinished") {
					t.Errorf("%s is left", f)
				}
			}
			t.Logf("%s: %d kills, %d files", name, killed, len(files))
		}
	}
}

// runKilled runs a job to its end, and kills it at random moments before. It returns how often.
func runKilled(t *testing.T, velo, job, state string, whole time.Duration) (killed int) {
	t.Helper()
	for life := 0; ; life++ {
		cmd := exec.Command(velo, "run", job, "--state", state, "--checkpoint", "20ms", "--cores", "2")
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		var wait <-chan time.Time
		if life < 10 {
			wait = time.After(whole/4 + time.Duration(rand.Int64N(int64(whole)/2)))
		}
		var err error
		select {
		case err = <-done:
		case <-wait:
			killed++
			_ = cmd.Process.Kill() // it may have ended by itself
			err = <-done
		}
		if err == nil {
			return killed
		}
		if !strings.Contains(err.Error(), "killed") {
			t.Fatalf("%s: %v: %s", job, err, said.String())
		}
	}
}

// Goal: row groups that WHERE excludes are not read by velo query, which --stats says, and the result
// is the same; files come from the command line as a shell lists them. Method: a file with row groups of
// ascending numbers, which a job writes, beside the CSV that it is made of.
func TestParquetSkips(t *testing.T) {
	velo := build(t)
	t.Chdir(t.TempDir())
	var text strings.Builder
	text.WriteString("n,at,s\n")
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 5000 {
		fmt.Fprintf(&text, "%d,%s,%d\n", i, begin.Add(time.Duration(i)*time.Second).Format(time.RFC3339), i%7)
	}
	err := os.WriteFile("t.csv", []byte(text.String()), 0o600)
	if err == nil {
		err = os.WriteFile("job.sql", []byte(`CREATE SOURCE t (n bigint, at timestamp, s text)
  WITH (connector = 'file', path = 't.csv');
CREATE SINK o WITH (connector = 'parquet', path = 't-{n}.parquet', row.group.rows = '512');
INSERT INTO o SELECT * FROM t`), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, string) {
		t.Helper()
		var out, said bytes.Buffer
		cmd := exec.Command(velo, args...)
		cmd.Stdout, cmd.Stderr = &out, &said
		err := cmd.Run()
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, said.String())
		}
		return out.String(), said.String()
	}
	run("run", "job.sql", "--readers", "1")
	paths, err := filepath.Glob("t-*.parquet")
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	for query, skips := range map[string]int{
		"SELECT count(*), min(n), max(n) FROM files WHERE n >= 3800":                                                  3584,
		"SELECT s, sum(n) FROM files WHERE n BETWEEN 600 AND 700 GROUP BY s ORDER BY s":                               4488,
		"SELECT count(*), max(s) FROM files WHERE at < timestamp '2026-01-01T00:05:00Z' AND s <> '3'":                 4488,
		"SELECT count(*), max(s) FROM files WHERE n = 4999 OR s = '1'":                                                0,
		"SELECT n FROM files WHERE n > 4990 AND n / (n - 10) > 0 ORDER BY n":                                          0,
		"SELECT count(*) FROM files WHERE s > '6'":                                                                    5000,
		"SELECT count(*) FROM files WHERE s >= '6'":                                                                   0,
		"SELECT count(*) FROM files WHERE n > 10000":                                                                  5000,
		"SELECT window_start, count(*) FROM files WHERE n > 4600 GROUP BY tumble(at, INTERVAL '1 minute') ORDER BY 1": 4096,
		"SELECT count(*) FROM (SELECT n FROM files WHERE n > 4600) AS u":                                              -1,
	} {
		args := append([]string{"query", "--stats", "--format", "csv"}, paths...)
		got, said := run(append(args, query)...)
		want, _ := run("query", "--format", "csv", query, "t.csv")
		if got != want {
			t.Errorf("%s\n%s\nexpected\n%s", query, got, want)
		}
		line := fmt.Sprintf("%d rows skipped, in row groups", skips)
		if skips >= 0 && strings.Contains(said, line) != (skips > 0) || skips == 0 && strings.Contains(said, "skipped") {
			t.Errorf("%s\n%s\nexpected %d rows skipped", query, said, skips)
		}
	}
	// In a job, with a state and without: if one query alone reads the source, and no window closes.
	for i, c := range []struct {
		watermark, queries string
		state              bool
		skips              int
	}{
		{"", "INSERT INTO a SELECT n, s FROM f WHERE n >= 3800;", false, 3584},
		{"", "INSERT INTO a SELECT n, s FROM f WHERE n >= 3800;", true, 3584},
		{"", "INSERT INTO a SELECT n, s FROM f WHERE n >= 3800 AND s <= '4';", true, 3584},
		{"", "INSERT INTO a SELECT count(*) AS c FROM f WHERE s > '6';", false, 5000},
		{"", "INSERT INTO a SELECT n, s FROM f WHERE s > '6' OR n < 3;", false, 0},
		{
			"", "INSERT INTO a SELECT n, s FROM f WHERE n >= 3800; CREATE SINK b WITH (connector = 'file', path = 'b.csv'); INSERT INTO b SELECT n FROM f;",
			false, 0,
		},
		{
			", WATERMARK FOR at AS at - INTERVAL '5 s'",
			"INSERT INTO a SELECT window_start, count(*) AS c FROM f WHERE n >= 3800 GROUP BY tumble(at, INTERVAL '1 minute');",
			false, 0,
		},
	} {
		var want string
		for _, connector := range []string{"file", "parquet"} {
			path, name := "t.csv", fmt.Sprintf("a-%d-%s.csv", i, connector)
			if connector == "parquet" {
				path = "t-*.parquet"
			}
			job := fmt.Sprintf(`CREATE SOURCE f (n bigint, at timestamp NOT NULL, s text%s)
  WITH (connector = '%s', path = '%s');
CREATE SINK a WITH (connector = 'file', path = '%s');
%s`, c.watermark, connector, path, name, c.queries)
			err := os.WriteFile("skips.sql", []byte(job), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"run", "skips.sql", "--stats", "--readers", "1"}
			if c.state {
				args = append(args, "--state", name+".state")
			}
			_, said := run(args...)
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if connector == "file" {
				want = string(text)
				continue
			}
			if got := string(text); got != want || got == "" {
				t.Errorf("%s\n%d bytes, expected %d", job, len(got), len(want))
			}
			line := fmt.Sprintf("%d rows skipped, in row groups", c.skips)
			if strings.Contains(said, line) != (c.skips > 0) || c.skips == 0 && strings.Contains(said, "skipped") {
				t.Errorf("%s\n%s\nexpected %d rows skipped", job, said, c.skips)
			}
		}
	}
}
