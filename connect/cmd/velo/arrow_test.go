package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// rowsOf is how many rows a stream of Arrow has, and its columns.
func rowsOf(t *testing.T, text []byte) string {
	t.Helper()
	r, err := ipc.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	n, all := int64(0), ""
	for r.Next() {
		n += r.RecordBatch().NumRows()
		for _, c := range r.RecordBatch().Columns() {
			for row := range c.Len() {
				all += " " + c.ValueStr(row)
			}
		}
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return fmt.Sprintf("%d rows of %d:%s", n, r.Schema().NumFields(), all)
}

// Goal: results are streams of Arrow if somebody asks for that: velo query --format arrow, and
// clients of velo serve.
func TestArrow(t *testing.T) {
	velo := build(t)
	query := func(sql string) ([]byte, error) {
		return exec.Command(velo, "query", "--format", "arrow", sql).Output()
	}
	const file = `FROM "../../parquet/testdata/duckdb.parquet"`
	for sql, want := range map[string]string{
		"SELECT count(*) AS n, max(s) AS s " + file: "1 rows of 2: 90 name 9",
		"SELECT n " + file + " WHERE n < 0":         "0 rows of 1:",
		"SELECT n " + file + " WHERE n IN (3, 80)":  "2 rows of 1: 3 80",
	} {
		text, err := query(sql)
		if err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if got := rowsOf(t, text); got != want {
			t.Errorf("%s: %s, expected %s", sql, got, want)
		}
	}
	text, err := query("SELECT * " + file)
	if err != nil {
		t.Fatal(err)
	}
	const sum = "SELECT s, count(*) AS n, sum(d) AS d, max(at) AS at, sum(dec) AS x, count(b) AS b FROM stdin " +
		"GROUP BY s ORDER BY s"
	want, err := exec.Command(velo, "query", "--format", "csv", strings.Replace(sum, "FROM stdin", file, 1)).Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "t.arrows")
	err = os.WriteFile(path, text, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for what, args := range map[string][]string{
		"a pipe": {sum}, "a file": {path, strings.Replace(sum, "stdin", "files", 1)},
	} {
		read := exec.Command(velo, append([]string{"query", "--format", "csv"}, args...)...)
		read.Stdin = io.MultiReader(bytes.NewReader(text)) // no file
		got, err := read.Output()
		if err != nil || !bytes.Equal(got, want) || len(got) < 100 {
			t.Errorf("a stream from %s: %v\n%s\nexpected\n%s", what, err, got, want)
		}
	}
	cut := exec.Command(velo, "query", "SELECT count(*) FROM stdin")
	cut.Stdin = io.MultiReader(bytes.NewReader(text[:len(text)-100]))
	said, err := cut.CombinedOutput()
	if err == nil || !strings.Contains(string(said), "the stream is damaged: it ends within a message") {
		t.Errorf("a stream that is cut off: %v\n%s", err, said)
	}
	_, err = query("SELECT count(*) " + file + "; SELECT sum(n) " + file)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(exit.Stderr), "--format arrow has one result") {
		t.Errorf("%v", err)
	}

	serve := exec.Command(velo, "serve", "--state", t.TempDir(), "--listen", "127.0.0.1:0")
	stderr, err := serve.StderrPipe()
	if err == nil {
		err = serve.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = serve.Process.Kill()
		_ = serve.Wait()
	}()
	url := ""
	for lines := bufio.NewScanner(stderr); url == "" && lines.Scan(); {
		if _, rest, ok := strings.Cut(lines.Text(), "velo: http://"); ok {
			url, _, _ = strings.Cut("http://"+rest, " ")
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	ask := func(method, path, body, accept string) (int, []byte, string) {
		q, err := http.NewRequest(method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Accept", accept)
		a, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, text, a.Header.Get("Content-Type")
	}
	const media = "application/vnd.apache.arrow.stream"
	if status, text, _ := ask("PUT", "/v1/jobs/j?wait=60s", `CREATE SOURCE o (k text NOT NULL, n bigint) WITH (connector = 'push');
CREATE MATERIALIZED VIEW v AS SELECT k, sum(n) AS s FROM o GROUP BY k`, "*/*"); status != 201 {
		t.Fatalf("%d %s", status, text)
	}
	if status, text, kind := ask("GET", "/v1/views/v", "", media); status != 200 || kind != media ||
		rowsOf(t, text) != "0 rows of 2:" {
		t.Errorf("%d %s", status, kind)
	}
	if status, text, _ := ask("POST", "/v1/sources/o/records?sync=true", `{"k":"a","n":7}`, "*/*"); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	for _, path := range []string{"/v1/views/v", "/v1/query?sql=SELECT%20k,%20s%20FROM%20v"} {
		status, text, kind := ask("GET", path, "", "text/html, "+media+";q=0.5")
		if status != 200 || kind != media || rowsOf(t, text) != "1 rows of 2: a 7" {
			t.Errorf("%s: %d %s %q", path, status, kind, text)
		}
	}
	if status, text, _ := ask("GET", "/v1/views/v", "", "image/png"); status != 406 || !strings.Contains(string(text), media) {
		t.Errorf("%d %s", status, text)
	}
}
