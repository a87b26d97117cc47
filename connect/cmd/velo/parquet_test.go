package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
			over := func(name string) string { return strings.ReplaceAll(strings.ReplaceAll(q, "%%", "%"), "%s", `"`+name+`"`) }
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
