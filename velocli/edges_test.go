package velocli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Goal: a guess merges no keys and loses no records: codes stay texts, and columns may be NULL unless all of them has been seen.
// Method: golden outputs.
func TestGuesses(t *testing.T) {
	folder := t.TempDir()
	file := func(name string, lines ...string) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	large := []string{"id,code"} // more than what is looked at
	for range 120_000 {
		large = append(large, "12345678,12")
	}
	for _, c := range []struct{ path, sql, want string }{
		{
			file("zero.csv", "code", "02", "2", "02", "0"),
			`SELECT code, count(*) AS n FROM $ GROUP BY code ORDER BY code`, "code,n\n0,1\n02,2\n2,1\n",
		},
		{
			file("sign.csv", "phone", "+49", "49"), `SELECT phone, count(*) AS n FROM $ GROUP BY phone ORDER BY phone`,
			"phone,n\n+49,1\n49,1\n",
		},
		{
			file("long.csv", "id,n", "12345678901234567890,1", "12345678901234567891,2"),
			`SELECT id, sum(n) AS s FROM $ GROUP BY id ORDER BY id`,
			"id,s\n12345678901234567890,1\n12345678901234567891,2\n",
		},
		{file("fraction.csv", "x", "0.5", "-0.25", "0", "1e3"), `SELECT sum(x) AS s FROM $`, "s\n1000.25\n"},
		{
			file("point.csv", "x", "00.5", "0.5"), `SELECT x, count(*) AS n FROM $ GROUP BY x ORDER BY x`,
			"x,n\n0.5,1\n00.5,1\n",
		},
		{file("sex.csv", "sex,n", "F,1", "F,2"), `SELECT sex, sum(n) AS s FROM $ GROUP BY sex`, "sex,s\nF,3\n"},
		{file("bool.csv", "b", "true", "FALSE"), `SELECT count(*) FILTER (WHERE b) AS n FROM $`, "n\n1\n"},
		{
			file("late.csv", append(large, ",13")...), `SELECT count(*) AS n, count(id) AS ids FROM $`,
			"n,ids\n120001,120000\n",
		},
		{filepath.Dir(file("d/1.csv", "a", "1", "2")) + "/*.csv", `SELECT sum(a) AS s FROM $`, "s\n3\n"},
		{file("[x]_1.csv", "a", "1"), `SELECT sum(a) AS s FROM $`, "s\n1\n"},
		{
			file("large.csv", "n", "1000000", "1500001"), `SELECT avg(n) AS m, sum(n) / 2.0 AS h FROM $`,
			"m,h\n1250000.5,1250000.5\n",
		},
	} {
		out, errs, status := velo(t, "", "query", "--format=csv", strings.ReplaceAll(c.sql, "$", `"`+c.path+`"`))
		if status != 0 || out != c.want {
			t.Errorf("%s: status %d\n%s%s\nexpected\n%s", c.path, status, errs, out, c.want)
		}
	}
	file("two/1.csv", "a,b", "1,2")
	file("two/2.csv", "a,b", ",4")
	file("two/3.csv.5f0c83d2.unfinished", "a,b", "100,100")
	for _, name := range []string{"two", "two/*", "t*/**/*"} {
		out, errs, status := velo(t, "", "query", "--format=csv",
			`SELECT count(*) AS n, sum(a) AS a, sum(b) AS b FROM "`+filepath.Join(folder, name)+`"`)
		if want := "n,a,b\n2,1,6\n"; status != 0 || out != want {
			t.Errorf("%s: status %d\n%s%s\nexpected\n%s", name, status, errs, out, want)
		}
	}
}

// Goal: NULL and the empty text are two things in CSV.
func TestEmptyTextIsNotNull(t *testing.T) {
	path := write(t, "t.ndjson", `{"a":"","n":1}`, `{"a":null,"n":2}`, `{"a":"x","n":3}`)
	out, errs, status := velo(t, "", "query", "--format=csv", "--readers=1", `SELECT a, n FROM "`+path+`"`)
	if want := "a,n\n\"\",1\n,2\nx,3\n"; status != 0 || out != want {
		t.Fatalf("status %d\n%s%s\nexpected\n%s", status, errs, out, want)
	}
}

// Goal: a name that is written to is none that is read from and none that another writes to; nothing is opened before that is
// known. Method: the same file by several ways; what is in it stays.
func TestNamesApart(t *testing.T) {
	path := write(t, "keep.csv", "a", "1", "2")
	folder := filepath.Dir(path)
	link, hard := filepath.Join(folder, "link"), filepath.Join(folder, "hard")
	for _, err := range []error{os.Symlink(path, link), os.Link(path, hard)} {
		if err != nil {
			t.Skip(err)
		}
	}
	for _, name := range []string{path, link, hard, filepath.Join(folder, "..", filepath.Base(folder), "keep.csv")} {
		_, errs, status := velo(t, "", "query", "--quarantine="+name, `SELECT count(*) FROM "`+path+`"`)
		if status != statusFailed || !strings.Contains(errs, "which is read") {
			t.Errorf("--quarantine %s: status %d, %s", name, status, errs)
		}
	}
	source := `CREATE SOURCE s (a bigint) WITH (connector = 'file', path = '` + path + `'); `
	sink := func(name, path string) string {
		return `CREATE SINK ` + name + ` WITH (connector = 'file', format = 'csv', path = '` + path + `'); `
	}
	other, numbered := filepath.Join(folder, "o.csv"), filepath.Join(folder, "{n}.csv")
	one, two := `INSERT INTO k SELECT a FROM s`, `INSERT INTO k SELECT a FROM s; INSERT INTO l SELECT a FROM s`
	for what, c := range map[string]struct {
		job, says string
		args      []string
	}{
		"its source":         {source + sink("k", path) + one, "which is read", nil},
		"its source, a link": {source + sink("k", hard) + one, "which is read", nil},
		"two sinks":          {source + sink("k", other) + sink("l", folder+"/./o.csv") + two, "is written by", nil},
		"two patterns":       {source + sink("k", numbered) + sink("l", numbered) + two, "is written by", nil},
		"the quarantine":     {source + sink("k", other) + one, "which is read", []string{"--quarantine=" + link}},
		"both":               {source + sink("k", other) + one, "is written by", []string{"--quarantine=" + other}},
	} {
		_, errs, status := velo(t, "", append(append([]string{"run"}, c.args...), write(t, "job.sql", c.job))...)
		if status != statusFailed || !strings.Contains(errs, c.says) {
			t.Errorf("%s: status %d, %s", what, status, errs)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "a\n1\n2\n" {
		t.Errorf("the source is now %q, %v", text, err)
	}
	if _, err := os.Stat(other); err == nil {
		t.Error("a sink was made though the job was refused")
	}
}

// Goal: a run in which records were late says so on standard error.
func TestLateIsSaid(t *testing.T) {
	path := write(t, "t.csv", "at,v", "2024-01-01T00:00:00Z,1", "2024-01-01T01:00:00Z,2", "2024-01-01T00:00:01Z,3")
	job := write(t, "job.sql", `CREATE SOURCE s (at timestamp NOT NULL, v bigint, WATERMARK FOR at AS at - INTERVAL '1 s') WITH (connector = 'file', path = '`+path+`');
		SELECT window_start, sum(v) AS v FROM s GROUP BY tumble(at, INTERVAL '1 minute')`)
	out, errs, status := velo(t, "", "run", "--readers=1", "--format=csv", job)
	if status != 0 || !strings.Contains(errs, "1 records were late") || strings.Count(out, "\n") != 3 {
		t.Errorf("status %d, %s%s", status, errs, out)
	}
}

// Goal: a sum that does not fit its type is NULL, and that is said, with what to do.
func TestUnfitIsSaid(t *testing.T) {
	path := write(t, "t.csv", "k,v", "a,9223372036854775807", "a,9223372036854775807", "b,1")
	for _, by := range []string{"", " GROUP BY k", " GROUP BY k ORDER BY k"} {
		out, errs, status := velo(t, "", "query", "--format=csv", "SELECT sum(v) AS s FROM "+`"`+path+`"`+by)
		if status != 0 || !strings.Contains(errs, "1 values of the result are NULL") ||
			!strings.Contains(errs, "double precision") {
			t.Errorf("%s: status %d, %s%s", by, status, errs, out)
		}
	}
	if _, errs, _ := velo(t, "", "query", "SELECT k, sum(v) AS s FROM "+`"`+path+`" WHERE k = 'b' GROUP BY k`); errs !=
		"" {
		t.Errorf("a sum that fits: %s", errs)
	}
}

// Goal: records that are to be sorted and have no room end the query with what to do, and a limit gets along with little.
func TestSortedFull(t *testing.T) {
	var lines strings.Builder
	lines.WriteString("a\n")
	for i := range 400_000 {
		fmt.Fprintln(&lines, (i*7919)%400_000)
	}
	out, errs, status := velo(t, lines.String(), "query", "--memory=4MiB", "--format=csv",
		"SELECT a FROM stdin ORDER BY a DESC")
	if status != 1 || !strings.Contains(errs, "--memory") || !strings.Contains(errs, "LIMIT") {
		t.Errorf("without a limit: status %d, %s%.100s", status, errs, out)
	}
	out, errs, status = velo(t, lines.String(), "query", "--memory=4MiB", "--format=csv",
		"SELECT a FROM stdin ORDER BY a DESC LIMIT 2")
	if status != 0 || out != "a\n399999\n399998\n" {
		t.Errorf("with a limit: status %d, %s%.100s", status, errs, out)
	}
}

// Goal: what a sink would write is not read as its source, now or when the source is looked at again, and two sinks do not write one
// name, by whatever way it comes. Method: jobs that are refused, by --check too, and jobs that are alike and are not.
func TestNamesFound(t *testing.T) {
	folder := filepath.Dir(write(t, "in.csv", "a", "1"))
	inner := filepath.Join(folder, "inner")
	if err := errors.Join(os.Mkdir(inner, 0o700), os.Symlink(inner, filepath.Join(folder, "way"))); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{"inner/1.csv", "inner/2.csv"} {
		if err := os.WriteFile(filepath.Join(folder, path), []byte("a\n1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
	for _, c := range []struct{ from, sinks, says string }{
		{"inner/*.csv", "inner/out.csv", "would be read as inner/*.csv"},
		{"inner/*.csv", "way/out-{n}.csv", "would be read as inner/*.csv"},
		{"way/*.csv", folder + "/inner/{time}-{n}.csv", "would be read as way/*.csv"},
		{"inner", "inner/out.csv", "would be read as inner"},
		{"inner/", "./way/../inner/out.csv", "would be read as inner/"},
		{"**/*.csv", "inner/deep/../out.csv", "would be read as **/*.csv"},
		{"**/*.csv", "inner/out.csv", "would be read as **/*.csv"},
		{"inn*/?.csv", "inner/3.csv", "would be read as inn*/?.csv"},
		{"in.csv", "in.csv", "which is read"},
		{"in.csv", "o.csv ./o.csv", "is written by sink k0"},
		{"in.csv", "inner/o-{n}.csv way/o-{n}.csv", "is written by sink k0"},
		{"in.csv", "o-{n}.csv o-000007.csv", "is written by sink k0"},
		{"in.csv", "o-000007.csv o-{n}.csv", "is written by sink k0"},
		{"inner/?.csv", "inner/out-{n}.csv", ""},
		{"inner", "out.csv", ""},
		{"inner", "inner/.out.csv", ""},
		{"in.csv", "p-{n}.csv q-{n}.csv inner/p-{n}.csv", ""},
		{"inner/?.csv", "inner/out.ndjson", ""},
	} {
		job := `CREATE SOURCE s (a bigint) WITH (connector = 'file', path = '` + c.from + `');`
		for i, sink := range strings.Fields(c.sinks) {
			job += fmt.Sprintf("CREATE SINK k%d AS SELECT a FROM s WITH (connector = 'file', path = '%s');", i, sink)
		}
		path := write(t, "job.sql", job)
		for _, args := range [][]string{{"run", "--check", path}, {"run", path}} {
			_, errs, status := velo(t, "", args...)
			if c.says == "" && status != 0 || c.says != "" &&
				(status != statusFailed || !strings.Contains(errs, c.says)) {
				t.Errorf("%v from %s to %s: status %d, %s; expected %q", args[:len(args)-1], c.from, c.sinks, status,
					errs, c.says)
			}
		}
	}
	if _, errs, status := velo(t, "", "query", "--quarantine=inner/bad.csv",
		`SELECT count(*) FROM "inner/*.csv"`); status != statusFailed || !strings.Contains(errs, "would be read") {
		t.Errorf("--quarantine: status %d, %s", status, errs)
	}
	job := `CREATE SOURCE s (a bigint) WITH (connector = 'file', path = 'in.csv'); CREATE SINK k AS SELECT a FROM s
		WITH (connector = 'file', format = 'csv', path = 'job.sql')`
	if err := os.WriteFile("job.sql", []byte(job), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, status := velo(t, "", "run", "job.sql"); status != statusFailed ||
		!strings.Contains(errs, "which is read") {
		t.Errorf("the job: status %d, %s", status, errs)
	}
}

// Goal: nothing is printed into a file that is read or that a sink writes. Method: standard output, or standard error, that is such a
// file, by its name and by a link.
func TestPrintedApart(t *testing.T) {
	path := write(t, "in.csv", "a", "1")
	link := path + ".link"
	if err := os.Link(path, link); err != nil {
		t.Skip(err)
	}
	sunk := filepath.Join(filepath.Dir(path), "sunk.csv")
	job := write(t, "job.sql", `CREATE SOURCE s (a bigint) WITH (connector = 'file', path = '`+path+`');
		CREATE SINK k AS SELECT a FROM s WITH (connector = 'file', path = '`+sunk+`'); SELECT a FROM s`)
	for _, c := range []struct {
		to   string
		args []string
		says string
	}{
		{path, []string{"query", `SELECT a FROM "` + path + `"`}, "which is read"},
		{link, []string{"query", `SELECT a FROM "` + path + `"`}, "which is read"},
		{link, []string{"query", `SELECT a FROM "` + filepath.Dir(path) + `/*.csv"`}, "which is read"},
		{path, []string{"schema", path}, "which is read"},
		{path, []string{"explain", `SELECT a FROM "` + path + `"`}, "which is read"},
		{link, []string{"run", job}, "which is read"},
		{sunk, []string{"run", job}, "is written by standard"},
		{sunk, []string{"query", "--quarantine=" + sunk, `SELECT a FROM "` + path + `"`}, "is written by standard"},
	} {
		f, err := os.OpenFile(c.to, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		var rest bytes.Buffer
		if status := run(c.args, strings.NewReader(""), f, &rest); status != statusFailed ||
			!strings.Contains(rest.String(), c.says) {
			t.Errorf("%v > %s: status %d, %s", c.args, c.to, status, rest.String())
		}
		if status := run(c.args, strings.NewReader(""), &rest, f); status != statusFailed {
			t.Errorf("%v 2> %s: status %d", c.args, c.to, status)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		_ = os.Remove(sunk)
		if err := os.WriteFile(path, []byte("a\n1\n"), 0o600); err != nil { // without what was said
			t.Fatal(err)
		}
	}
}
