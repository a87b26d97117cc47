package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// velo runs the program.
func velo(t *testing.T, stdin string, args ...string) (out, errs string, status int) {
	t.Helper()
	var o, e bytes.Buffer
	status = run(args, strings.NewReader(stdin), &o, &e)
	return o.String(), e.String(), status
}

// Goal: no record of a file is late, however far apart the times are and in whatever order they come.
func TestQueryAnyOrder(t *testing.T) {
	path := write(t, "events.csv", "at,v", "2026-01-01T00:00:00Z,1", "1970-01-02T00:00:00Z,2", "1999-12-31T23:59:59Z,3", "2026-01-01T12:00:00Z,4", "1985-05-05T05:05:05Z,5")
	out, errs, status := velo(t, "", "query", "--format=csv", `SELECT window_start, sum(v) AS v FROM "`+path+`" GROUP BY tumble(at, INTERVAL '1 day') ORDER BY 1`)
	want := "window_start,v\n1970-01-02T00:00:00Z,2\n1985-05-05T00:00:00Z,5\n1999-12-31T00:00:00Z,3\n2026-01-01T00:00:00Z,5\n"
	if status != 0 || out != want {
		t.Errorf("status %d\n%s%s\nexpected\n%s", status, errs, out, want)
	}
}

// write makes a file of some lines.
func write(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var tradesLines = []string{
	"symbol,price,size,venue,at",
	"A,10.5,1,x,2024-01-01T00:00:01Z",
	"B,20,2,,2024-01-01T00:00:11Z",
	`"A, Inc",11,3,"y ""z""",2024-01-01T00:00:12Z`,
	"A,12,5,x,2024-01-01T00:01:12Z",
}

// Goal: results as they are printed, in every format, from files, patterns and standard input. Method: golden outputs.
func TestQuery(t *testing.T) {
	path := write(t, "trades.csv", tradesLines...)
	from := func(sql string) string { return strings.ReplaceAll(sql, "$", `"`+path+`"`) }
	for _, c := range []struct {
		args []string
		want string
	}{
		{
			[]string{from(`SELECT symbol, count(*) AS n, sum(price * size) / sum(size) AS vwap FROM $ GROUP BY symbol ORDER BY n DESC, symbol`)},
			"symbol  n   vwap\n------  -  -----\nA       2  11.75\nA, Inc  1     11\nB       1     20\n",
		},
		{[]string{"--format=csv", from(`SELECT symbol, max(venue IS NULL) AS no FROM $ GROUP BY symbol ORDER BY 1`)}, ""}, // refused
		{[]string{"--format=csv", from(`SELECT venue, count(*) FROM $ GROUP BY venue ORDER BY venue`)}, "venue,count\nx,2\n\"y \"\"z\"\"\",1\n,1\n"},
		{
			[]string{"--format=ndjson", from(`SELECT window_start, sum(size) AS v FROM $ GROUP BY tumble(at, INTERVAL '10 s') ORDER BY 1`)},
			`{"window_start":"2024-01-01T00:00:00Z","v":1}` + "\n" + `{"window_start":"2024-01-01T00:00:10Z","v":5}` + "\n" + `{"window_start":"2024-01-01T00:01:10Z","v":5}` + "\n",
		},
		{[]string{"--format=csv", from(`SELECT symbol FROM $ WHERE size > 100 GROUP BY symbol`)}, "symbol\n"},
		{[]string{"--format=csv", "--readers=1", from(`SELECT symbol, price * size AS value FROM $ WHERE venue IS NOT NULL`)}, "symbol,value\nA,10.5\n\"A, Inc\",33\nA,60\n"},
		{[]string{"--readers=1", from(`SELECT size, venue FROM $ LIMIT 2`)}, "size  venue\n----  -----\n   1  x\n   2  NULL\n"},
		{[]string{"--format=csv", from(`SELECT price, size FROM $ WHERE size > 100`)}, "price,size\n"},
		{[]string{"--format=ndjson", from(`SELECT count(DISTINCT symbol) AS n FROM $ EMIT CHANGES`)}, `{"op":"upsert","n":3}` + "\n"},
		{[]string{"--readers=3", "--partitions=2", "--format=csv", from(`SELECT count(*) AS n FROM $`)}, "n\n4\n"},
	} {
		out, errs, status := velo(t, "", append([]string{"query"}, c.args...)...)
		if c.want == "" {
			if status != statusFailed || !strings.Contains(errs, "^") {
				t.Errorf("%v: status %d\n%s", c.args, status, errs)
			}
			continue
		}
		if status != 0 || out != c.want {
			t.Errorf("%v: status %d\n%s%s\nexpected\n%s", c.args, status, errs, out, c.want)
		}
	}
	out, errs, status := velo(t, strings.Join(tradesLines, "\n"), "query", "--format=csv", "SELECT count(*) AS n FROM stdin")
	if status != 0 || out != "n\n4\n" {
		t.Errorf("standard input: status %d, %s%s", status, out, errs)
	}
	out, errs, status = velo(t, "", "query", "--format=csv", "--stats", fmt.Sprintf(`SELECT count(*) AS n FROM "%s/*.csv"`, filepath.Dir(path)))
	if status != 0 || out != "n\n4\n" || !strings.Contains(errs, "partition") {
		t.Errorf("a pattern: status %d, %s%s", status, out, errs)
	}
}

// Goal: a SELECT without a command is velo query, also after options; a word that is none is said.
func TestNoCommand(t *testing.T) {
	path := write(t, "trades.csv", tradesLines...)
	sql := `SELECT count(*) AS n FROM "` + path + `"`
	for _, args := range [][]string{{sql}, {"--format=csv", sql}, {sql, "--format", "csv"}, {"--format", "csv", " select\n count(*) AS n FROM '" + path + "'"}} {
		out, errs, status := velo(t, "", args...)
		if status != 0 || !strings.HasPrefix(out, "n\n") || !strings.HasSuffix(out, "4\n") {
			t.Errorf("%q: status %d, %s%s", args, status, out, errs)
		}
	}
	for _, args := range [][]string{{"selects"}, {"select"}, {"--format=csv"}, {}} {
		if _, errs, status := velo(t, "", args...); status != 80 || errs == "" {
			t.Errorf("%q: status %d, %s", args, status, errs)
		}
	}
}

// Goal: records that cannot be read are set aside, counted and written where they are asked for, and the status says so.
func TestQuarantine(t *testing.T) {
	path := write(t, "t.csv", "a,b", "1,2", "x,3", "4,5")
	aside := filepath.Join(t.TempDir(), "bad.ndjson")
	out, errs, status := velo(t, "", "query", "--format=csv", "--schema=a bigint, b bigint", "--strict", "--quarantine="+aside, fmt.Sprintf(`SELECT sum(b) AS s FROM "%s"`, path))
	if status != statusAside || out != "s\n7\n" || !strings.Contains(errs, "line 3") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	data, err := os.ReadFile(aside)
	if err != nil {
		t.Fatal(err)
	}
	var row struct {
		Line          int
		Reason, Bytes string
	}
	if err := json.Unmarshal(data, &row); err != nil || row.Line != 3 || row.Bytes != "x,3" || !strings.Contains(row.Reason, "bigint") {
		t.Errorf("%v: %s", err, data)
	}
}

// Goal: columns are guessed as a person would, and what was guessed can be given back.
func TestSchema(t *testing.T) {
	path := write(t, "t.csv", "Id;name;ok;x;when;empty", "1;a;true;1.5;2024-01-01;", "2;;false;;2024-01-02 10:00:00;")
	out, errs, status := velo(t, "", "schema", path)
	want := `"id" bigint not null,` + "\n" + `"name" text,` + "\n" + `"ok" boolean not null,` + "\n" + `"x" double precision,` + "\n" + `"when" timestamp not null,` + "\n" + `"empty" text` + "\n"
	if status != 0 || out != want {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	got, errs, status := velo(t, "", "query", "--format=csv", "--schema="+out, fmt.Sprintf(`SELECT sum(id) AS s, count(x) AS n FROM "%s"`, path))
	if status != 0 || got != "s,n\n3,1\n" {
		t.Errorf("status %d, %s%s", status, got, errs)
	}
	if out, _, status := velo(t, "1,2\n", "query", "--no-header", "--format=csv", "SELECT sum(c1) AS a, sum(c2) AS b FROM stdin"); status != 0 || out != "a,b\n1,2\n" {
		t.Errorf("status %d, %s", status, out)
	}
}

// Goal: --version says what the program is, and that is all.
func TestVersion(t *testing.T) {
	out, errs, status := velo(t, "", "--version")
	if status != 0 || !strings.HasPrefix(out, "velo ") || !strings.Contains(out, "go1.") || errs != "" {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
}

// Goal: what is wrong is said, with the status that says that something is.
func TestErrors(t *testing.T) {
	empty := write(t, "empty.csv")
	if err := os.Truncate(empty, 0); err != nil {
		t.Fatal(err)
	}
	path := write(t, "t.csv", "a", "1")
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"query", "SELECT count(*) FROM \"nothere.csv\""}, 1, "nothere.csv"},
		{[]string{"query", "SELECT count(*) FROM \"/nothere/*.csv\""}, 1, "no file"},
		{[]string{"query", "SELEC count(*)"}, 1, "^"},
		{[]string{"query", fmt.Sprintf(`SELECT b FROM "%s" GROUP BY b`, path)}, 1, `there is no column "b"`},
		{[]string{"query", fmt.Sprintf(`SELECT count(*) FROM "%s"`, empty)}, 1, "is empty"},
		{[]string{"query", "--schema=a money", fmt.Sprintf(`SELECT count(*) FROM "%s"`, path)}, 1, "money"},
		{[]string{"query", "--delimiter=ab", fmt.Sprintf(`SELECT count(*) FROM "%s"`, path)}, 1, "one character"},
		{[]string{"query", "--partitions=-1", fmt.Sprintf(`SELECT count(*) FROM "%s"`, path)}, 1, "negative"},
		{[]string{"quer"}, 80, "quer"},
	} {
		if _, errs, status := velo(t, "", c.args...); status != c.status || !strings.Contains(errs, c.want) {
			t.Errorf("%v: status %d, %s", c.args, status, errs)
		}
	}
	if out, _, status := velo(t, "", "explain", fmt.Sprintf(`SELECT a, count(*) FROM "%s" WHERE a > 0 GROUP BY a`, path)); status != 0 || !strings.Contains(out, "filter       (a > 0)") || !strings.Contains(out, "bytes of state") {
		t.Errorf("explain: status %d\n%s", status, out)
	}
	if out, _, status := velo(t, "", "--help"); status != 0 || !strings.Contains(out, "query") {
		t.Errorf("help: status %d\n%s", status, out)
	}
}
