package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Goal: a job of velo serve leaves out row groups that its query does not want, and says how many
// records that are; a job of two queries leaves out none. Method: files with ascending numbers,
// which a job writes.
func TestServedParquetSkips(t *testing.T) {
	velo := build(t)
	dir := t.TempDir()
	var text strings.Builder
	text.WriteString("n\n")
	for i := range 5000 {
		fmt.Fprintf(&text, "%d\n", i)
	}
	err := os.WriteFile(filepath.Join(dir, "t.csv"), []byte(text.String()), 0o600)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "job.sql"), []byte(`CREATE SOURCE t (n bigint)
  WITH (connector = 'file', path = 't.csv');
CREATE SINK o WITH (connector = 'parquet', path = 't-{n}.parquet', row.group.rows = '512');
INSERT INTO o SELECT * FROM t`), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	write := exec.Command(velo, "run", "job.sql", "--readers", "1")
	write.Dir = dir
	out, err := write.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
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
		_, rest, ok := strings.Cut(lines.Text(), "velo: http://")
		if ok {
			url, _, _ = strings.Cut("http://"+rest, " ")
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	ask := func(method, path, body string) string {
		t.Helper()
		q, err := http.NewRequest(method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		a, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		text, err := io.ReadAll(a.Body)
		if err != nil || a.StatusCode >= 300 {
			t.Fatalf("%s %s: %d %v %s", method, path, a.StatusCode, err, text)
		}
		return string(text)
	}
	for name, c := range map[string]struct {
		more  string
		skips bool
	}{
		"one": {"", true},
		"two": {"CREATE MATERIALIZED VIEW other_two AS SELECT count(*) AS c FROM f;", false},
	} {
		ask("PUT", "/v1/jobs/"+name+"?wait=60s", fmt.Sprintf(`CREATE SOURCE f (n bigint)
  WITH (connector = 'parquet', path = '%s/t-*.parquet');
CREATE MATERIALIZED VIEW %s AS SELECT count(*) AS c, min(n) AS lo FROM f WHERE n >= 3800;
%s`, dir, name, c.more))
		rows := ""
		for began := time.Now(); !strings.Contains(rows, "1200") && time.Since(began) < time.Minute; {
			rows = ask("GET", "/v1/views/"+name, "")
			time.Sleep(10 * time.Millisecond)
		}
		if !strings.Contains(rows, "1200") || !strings.Contains(rows, "3800") {
			t.Errorf("%s: %s", name, rows)
		}
		var stats struct {
			Engines []struct {
				Stats struct {
					Readers []struct {
						In, Skipped uint64
					}
				}
			}
		}
		said := ask("GET", "/v1/jobs/"+name+"/stats", "")
		err := json.Unmarshal([]byte(said), &stats)
		if err != nil {
			t.Fatal(err)
		}
		read, skipped := uint64(0), uint64(0)
		for _, e := range stats.Engines {
			for _, r := range e.Stats.Readers {
				read, skipped = read+r.In, skipped+r.Skipped
			}
		}
		if skipped > 0 != c.skips || read+skipped != 5000 {
			t.Errorf("%s: %d records read and %d left out\n%s", name, read, skipped, said)
		}
	}
}
