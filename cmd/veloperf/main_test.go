package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/internal/brc"
	"github.com/velo-engine/velo/internal/figures"
	"github.com/velo-engine/velo/internal/hosttree"
	"github.com/velo-engine/velo/internal/testgen"
)

// veloperf runs the program. On a busy host the short times of tests may pass without anything to
// measure. The program says so, and is run again for up to a minute.
func veloperf(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs)
	for begin := time.Now(); ; {
		var out, errs bytes.Buffer
		status = run(args, &out, &errs)
		if status != 1 || !strings.Contains(errs.String(), "as if nothing had been measured") ||
			time.Since(begin) > time.Minute {
			return out.String(), errs.String(), status
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.txt")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// shapes are the numbers of readers and partitions that results must not depend on.
var shapes = []int{1, 2, 3, 8}

// Goal: the samples of the challenge come out byte for byte, for any shape, from files with LF and
// with CRLF, with and without the last newline, and in blocks so small that most rows are cut.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testgen.Corpus(t, "1brc"), "measurements-*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no samples", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(strings.TrimSuffix(file, "txt") + "out")
		if err != nil {
			t.Fatal(err)
		}
		check := func(path string, args ...string) {
			t.Helper()
			got, stderr, status := veloperf(t, append([]string{"1brc", path}, args...)...)
			if status != 0 || got != string(want) {
				t.Errorf("%s %v: status %d, %s\ngot      %sexpected %s", filepath.Base(file), args, status, stderr, got,
					want)
			}
		}
		crlf := write(t, strings.ReplaceAll(string(text), "\n", "\r\n"))
		cut := write(t, strings.TrimSuffix(string(text), "\n"))
		for _, r := range shapes {
			for _, p := range shapes {
				shape := []string{fmt.Sprintf("--readers=%d", r), fmt.Sprintf("--partitions=%d", p)}
				check(file, shape...)
				if !testing.Short() {
					check(crlf, append(shape, "--block-bytes=7")...)
					check(cut, append(shape, "--block-bytes=16")...)
				}
			}
		}
	}
}

// Goal: the obvious program and the engine agree on a larger file of the generator's.
func TestAgainstReference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.txt")
	if out, stderr, status := veloperf(t, "gen", "1brc", "--rows=200000", "--seed=7", "--out="+path); status != 0 {
		t.Fatal(out, stderr)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := brc.Reference(f)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		r, p := shapes[rand.IntN(4)], shapes[rand.IntN(4)]
		args := []string{
			"1brc", path, fmt.Sprintf("--readers=%d", r), fmt.Sprintf("--partitions=%d", p),
			fmt.Sprintf("--block-bytes=%d", 1000+rand.IntN(100_000)),
		}
		if got, stderr, status := veloperf(t, args...); status != 0 || strings.TrimSuffix(got, "\n") != want {
			t.Fatalf("%v: status %d, %s: not what the reference says", args, status, stderr)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	out, _, _ := veloperf(t, "1brc", path, "--json")
	var r brcReport
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err, out)
	}
	if r.Rows != 200_000 || r.Bytes != info.Size() || r.Groups != 413 || r.Quarantined != 0 || r.CPUNsPerRow <= 0 ||
		r.Seconds <= 0 || len(r.Checksum) != 16 {
		t.Fatalf("%+v", r)
	}
}

// Goal: a bad line is reported with its line and the reason, and the rest is right; a file that is
// none is one clear line.
func TestBadInput(t *testing.T) {
	path := write(t, "a;1.0\nb\n\na;3.0\nc;1.25\nc;x\nd;100.0\n;5.0\n")
	out, stderr, status := veloperf(t, "1brc", path, "--readers=3")
	if status != 0 || out != "{=5.0/5.0/5.0, a=1.0/2.0/3.0}\n" {
		t.Errorf("status %d, %s", status, out)
	}
	for _, want := range []string{
		":2: 1 field, expected 2", `:5: column "value": "1.25" has more than 1 digits`,
		`:6: column "value": "x"`, `:7: column "value": "100.0" is out of range`,
	} {
		if !strings.Contains(stderr, path+want) {
			t.Errorf("nothing says %s%s in:\n%s", path, want, stderr)
		}
	}
	if strings.Contains(stderr, path+":3:") {
		t.Errorf("an empty line is no record:\n%s", stderr)
	}
	many := write(t, strings.Repeat("bad\n", 100)+"a;1.0\n")
	if _, stderr, _ := veloperf(t, "1brc", many); !strings.Contains(stderr, "90 more lines quarantined") ||
		strings.Count(stderr, "\n") != maxShownRejects+1 {
		t.Errorf("%s", stderr)
	}
	none := write(t, "bad\nworse\n")
	for _, args := range [][]string{{}, {"--json"}, {"--runs=3"}, {"--stats", "--readers=2"}} {
		if out, stderr, status := veloperf(t, append([]string{"1brc", none}, args...)...); status != 2 ||
			strings.Contains(out, "{") || !strings.Contains(stderr, "no line could be read of 2") {
			t.Errorf("nothing can be read, %v: status %d, %s%s", args, status, out, stderr)
		}
	}
	if out, stderr, status := veloperf(t, "1brc", write(t, ""), "--memory=16MiB"); status != 0 || out != "{}\n" {
		t.Errorf("an empty file: status %d, %s%s", status, out, stderr)
	}
	for want, args := range map[string][]string{
		"no such file":   {"1brc", path + ".missing"},
		"is a directory": {"1brc", filepath.Dir(path)},
		"line 1":         {"gen", "1brc", "--rows=1", "--out=" + path + ".out", "--stations=" + many},
	} {
		_, stderr, status := veloperf(t, args...)
		if status != 1 || !strings.Contains(stderr, want) || strings.Contains(stderr, "goroutine") {
			t.Errorf("%v: status %d, %s; expected something with %q", args, status, stderr, want)
		}
	}
	if _, stderr, status := veloperf(t, "1brc"); status != 80 || !strings.Contains(stderr, "<file>") {
		t.Errorf("without a file: status %d, %s", status, stderr)
	}
}

// Goal: the canonical workload ends with figures that add up, for shapes with and without a runner
// for each agent.
func TestRun(t *testing.T) {
	for _, shape := range [][]string{
		{"--readers=1", "--partitions=1", "--cores=1"},
		{"--readers=3", "--partitions=2", "--cores=2"},
		{"--readers=1", "--partitions=1", "--cores=2", "--zipf=1.1"},
	} {
		out, stderr, status := veloperf(
			t, append([]string{"run", "--duration=100ms", "--runs=2", "--groups=1000", "--json"}, shape...)...)
		var r runReport
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 {
			t.Fatal(status, err, out, stderr)
		}
		if r.Records == 0 || r.Groups != 1000 || r.RecordsPerSecond <= 0 || r.CPUNsPerRecord <= 0 {
			t.Errorf("%v: %+v", shape, r)
		}
	}
	out, stderr, status := veloperf(t, "run", "--profile=s3a", "--readers=2", "--partitions=1", "--cores=1",
		"--duration=50ms", "--runs=2", "--json")
	var r runReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 || r.Profile != "s3a" || r.Groups == 0 ||
		len(r.Checksum) != 16 || r.RecordsPerSecond <= 0 {
		t.Errorf("a stream: status %d, %v, %+v\n%s", status, err, r, stderr)
	}
	if _, stderr, status := veloperf(t, "run", "--profile=s3a", "--rival=gomap"); status != 80 ||
		!strings.Contains(stderr, "without time") {
		t.Errorf("a stream with a rival: status %d, %s", status, stderr)
	}
	out, stderr, status = veloperf(t, "run", "--duration=1200ms", "--runs=1")
	for _, want := range []string{"usable: ", "records/s", "full stalls", "add up"} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("status %d: nothing says %q in:\n%s%s", status, want, out, stderr)
		}
	}
	if !strings.Contains(stderr, "M records/s") {
		t.Errorf("no progress in %q", stderr)
	}
}

// Goal: every record that is sent at a rate is seen, and the figures are in order.
func TestLatency(t *testing.T) {
	args := []string{"latency", "--rate=100000", "--duration=200ms", "--runs=1"}
	out, stderr, status := veloperf(t, append(args, "--json")...)
	var l struct {
		Sent, Seen uint64
		P50        float64 `json:"p50_us"`
		P99        float64 `json:"p99_us"`
		Max        float64 `json:"max_us"`
		IdleGap    float64 `json:"idle_gap_p9999_us"`
	}
	if err := json.Unmarshal([]byte(out), &l); err != nil || status != 0 {
		t.Fatalf("status %d, %v\n%s%s", status, err, out, stderr)
	}
	if l.Sent != 20_000 || l.Seen != l.Sent || l.P50 <= 0 || l.P99 < l.P50 || l.Max < l.P99 || l.IdleGap <= 0 {
		t.Errorf("%+v", l)
	}
	if out, _, status := veloperf(t, args...); status != 0 ||
		!strings.Contains(out, "20000 records at 100000 a second") {
		t.Errorf("status %d\n%s", status, out)
	}
	if _, stderr, status := veloperf(t, "latency", "--rate=0"); status != 80 || !strings.Contains(stderr, "1..") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// Goal: the comparing commands print a row for each thing they compare, and say so where they
// cannot run.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		args []string
		rows int
		key  string
	}{
		{[]string{"scale", "--profile=seed", "--max=4", "--duration=50ms"}, 3, "beyond_cores"},
		{[]string{"modes", "--workload=seed", "--passes=2"}, 3, "same_rows"},
		{[]string{"snapshot", "--profile=u_1k", "--duration=100ms", "--interval=10ms", "--rivals"}, 5, "interval_ms"},
		{[]string{"locks", "--duration=20ms", "--writers=2"}, 7, "lock_wait_seconds"},
		{[]string{"batching", "--duration=20ms", "--loads=0.01"}, 10, "setting"},
		{[]string{"skew", "--duration=20ms", "--skew=hot", "--readers=1"}, 4, "shards_moved"},
		{[]string{"readers", "--max=2", "--duration=50ms"}, 2, "speedup"},
	} {
		runs := "--runs=2"
		if c.args[0] == "snapshot" {
			runs = "--runs=1" // one takes 8 s
		}
		out, stderr, status := veloperf(t, append(c.args, runs, "--warmup=1ms", "--json")...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if status != 0 || len(lines) != c.rows {
			t.Fatalf("%v: status %d, %d rows, expected %d\n%s%s", c.args, status, len(lines), c.rows, out, stderr)
		}
		for _, line := range lines {
			var row map[string]any
			if err := json.Unmarshal([]byte(line), &row); err != nil || row[c.key] == nil {
				t.Errorf("%v: %v in %s", c.args, err, line)
			}
			// On a busy host there may be no slice in which all threads had their CPUs; then it says so.
			none := strings.Contains(fmt.Sprint(row["impossible"]), "nothing was measured")
			if rate, ok := row["records_per_second"].(float64); !ok || rate <= 0 && !none {
				t.Errorf("%v: no rate in %s", c.args, line)
			}
			checkStamp(t, line)
		}
		if testing.Short() || c.args[0] == "snapshot" || c.args[0] == "locks" || c.args[0] == "skew" {
			continue // which take longest; all are printed by the same code
		}
		if out, _, status := veloperf(t, append(c.args, "--runs=1", "--warmup=0")...); status != 0 ||
			!strings.Contains(out, "records/s") {
			t.Errorf("%v: status %d\n%s", c.args, status, out)
		}
	}
	for want, args := range map[string][]string{
		"--peers": {"ring", "--peers=" + t.TempDir()},
	} {
		if _, stderr, status := veloperf(t, args...); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%v: status %d, %s", args, status, stderr)
		}
	}
}

// Goal: the doctor's answer is its exit status, for a host that is fit and one that is not, and as
// one object.
func TestDoctor(t *testing.T) {
	for host, want := range map[string]int{"quiet": 0, "laptop": 3} {
		root := hostTree(t, host)
		out, stderr, status := veloperf(t, "doctor", "--root="+root)
		if status != want || stderr != "" || !strings.Contains(out, "usable") ||
			strings.Contains(out, "mend") != (host == "laptop") {
			t.Errorf("%s: status %d, expected %d\n%s%s", host, status, want, out, stderr)
		}
		out, _, status = veloperf(t, "doctor", "--json", "--root="+root)
		var r struct {
			stamp
			Findings []map[string]string
		}
		if err := json.Unmarshal([]byte(out), &r); err != nil || status != want || r.SchemaVersion != schemaVersion ||
			r.Command != "veloperf doctor --json --root="+root ||
			(len(r.Spoilers) > 0) != (want == 3) || r.GoVersion == "" || r.Commit == "" || r.Time == "" {
			t.Errorf("%s: status %d, %v\n%s", host, status, err, out)
		}
	}
	if out, _, status := veloperf(t, "doctor", "--watch=10ms"); status != 0 && status != 3 ||
		!strings.Contains(out, "usable") {
		t.Errorf("status %d\n%s", status, out)
	}
	if _, stderr, status := veloperf(t, "doctor", "--root="+t.TempDir()); status != 1 ||
		!strings.Contains(stderr, "usable were not") && !strings.Contains(stderr, "proc/self/status") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if out, _, status := veloperf(t, "--version"); status != 0 || !strings.Contains(out, "veloperf") ||
		!strings.Contains(out, runtime.Version()) {
		t.Errorf("status %d, %s", status, out)
	}
}

// checkStamp checks what every JSON object has.
func checkStamp(t *testing.T, line string) {
	t.Helper()
	var row struct {
		stamp
		Runs        int
		Figures     map[string]figures.Figure
		Impossible  []string
		SpoiledRuns []int `json:"spoiled_runs"`
	}
	if err := json.Unmarshal([]byte(line), &row); err != nil {
		t.Fatal(err, line)
	}
	s := row.stamp
	if s.SchemaVersion != schemaVersion || !strings.HasPrefix(s.Command, "veloperf ") || s.Time == "" ||
		s.System == "" || s.GoVersion == "" || s.Commit == "" || s.Spoilers == nil {
		t.Errorf("no complete stamp: %+v", s)
	}
	if row.Runs < 1 || len(row.Figures) == 0 || row.Impossible == nil || row.SpoiledRuns == nil {
		t.Errorf("no complete figures: %s", line)
	}
	for name, f := range row.Figures {
		if len(f.Samples) != row.Runs || f.N != row.Runs || f.Min > f.Median || f.Median > f.Max || f.Low < f.Min ||
			f.High > f.Max || f.Better == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// A point is what a measurement of the tests gives.
type point struct {
	N int     `json:"n"`
	T float64 `json:"records_per_second"`
	E float64 `json:"efficiency"`
}

// Goal: what spoils a run and what cannot be is printed beside the figures, as text and as JSON, and the warm-up counts for nothing.
func TestMeasure(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var out, errs bytes.Buffer
		warm, run := 0, 0
		p := printing[point]{head: "n\trecords/s\t", cells: func(p point) string {
			return fmt.Sprintf("%d\t%.0f\t", p.N, p.T)
		}}
		m := &measuring{Runs: 3, Warmup: time.Millisecond, JSON: asJSON}
		err := measure(m, streams{&out, &errs}, p, func(isWarm bool, each func(point)) error {
			if isWarm {
				if warm++; run > 0 {
					t.Error("a warm-up after a run")
				}
				each(point{1, 1e12, 9})
				return nil
			}
			run++
			bench.Observe()()
			each(point{1, []float64{0, 30, 10, 20}[run], 1})
			each(point{2, 50, 1.3})
			return nil
		})
		if err != nil || warm != 1 || run != 3 || !strings.Contains(errs.String(), "run 3 of 3") ||
			bench.Observe != nil {
			t.Fatal(err, warm, run, errs.String())
		}
		text := out.String()
		if asJSON {
			for line := range strings.Lines(text) {
				checkStamp(t, line)
			}
		}
		for _, want := range map[bool][]string{
			false: {"10.00..30.00   10.00..30.00", "cannot be: efficiency is 1.30", "75 % interval"},
			true:  {`"records_per_second":20,`, `"samples":[30,10,20]`, `"impossible":["efficiency is 1.30`},
		}[asJSON] {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing in\n%s", want, text)
			}
		}
	}
	m := &meter{spoilers: map[int][]string{2: {
		"steal: the host took 1.0 %", "load: others took 5.0 %",
		"steal: the host took 3.0 %",
	}}}
	if got := strings.Join(m.lines(), "\n"); got !=
		"run 2: steal: the host took 3.0 %\nrun 2: load: others took 5.0 %" {
		t.Error(got)
	}
	if _, stderr, status := veloperf(t, "run", "--runs=0"); status != 80 || !strings.Contains(stderr, "--runs 0") {
		t.Errorf("status %d, %s", status, stderr)
	}
	boom := errors.New("boom")
	var out bytes.Buffer
	err := measure(&measuring{Runs: 3}, streams{&out, io.Discard},
		printing[point]{head: "n\t", cells: func(p point) string {
			return "1\t"
		}}, func(_ bool, each func(point)) error {
			each(point{1, 1, 1})
			return boom
		})
	if !errors.Is(err, boom) || !strings.Contains(out.String(), "of 1 run ") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// hostTree writes a recorded tree to a folder.
func hostTree(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../internal/doctor/testdata", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := hosttree.Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for file, content := range files {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// Goal: diff says what has changed, and its exit status stops a build if something is worse.
func TestDiff(t *testing.T) {
	file := func(name, cpu string, rates ...float64) string {
		text, err := json.Marshal(map[string]any{
			"command": "veloperf run --json", "cpu": cpu, "commit": "0123456789abcdef", "spoilers": []string{"busy: x"},
			"figures": map[string]figures.Figure{"records_per_second": {Better: figures.Higher, Samples: rates}},
		})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	before, slower := file("a", "x", 100e6, 101e6, 102e6, 103e6, 104e6), file("b", "y", 90e6, 91e6, 92e6, 93e6, 94e6)
	few := file("c", "x", 1e6, 2e6)
	for _, c := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{before, before}, 0, []string{"1.000", "~", "A could be spoilt: busy: x"}},
		{[]string{before, slower}, 3, []string{"0.902", "worse", `not the same: cpu: "x" and "y"`, "0.008"}},
		{[]string{slower, before}, 0, []string{"1.109", "better"}},
		{[]string{before, slower, "--threshold=20%"}, 0, []string{"~"}},
		{[]string{before, slower, "--json"}, 3, []string{`"verdict":"worse"`, `"schema_version":1`, `"ratio":0.9`}},
		{[]string{before, few}, 0, []string{"too few runs", "4 and 4"}},
		{[]string{before, slower, "--threshold=much"}, 80, []string{"such as 5%"}},
		{[]string{before, slower, "--figure=p99_us"}, 1, []string{"no figure in common"}},
		{[]string{before, write(t, "")}, 1, []string{"is empty"}},
		{[]string{before, write(t, "no json")}, 1, []string{":1: expected what veloperf prints"}},
	} {
		out, stderr, status := veloperf(t, append([]string{"diff"}, c.args...)...)
		if status != c.status {
			t.Errorf("%v: status %d, expected %d\n%s%s", c.args, status, c.status, out, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(out+stderr, want) {
				t.Errorf("%v: nothing says %q in\n%s%s", c.args, want, out, stderr)
			}
		}
	}
}

// Goal: results of real runs become a page and a text, from files and from folders.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"run":     {"run", "--profile=seed", "--duration=30ms", "--rival=gomap"},
		"scale":   {"scale", "--profile=seed", "--max=2", "--duration=30ms"},
		"latency": {"latency", "--duration=50ms", "--rate=50000"},
	} {
		out, stderr, status := veloperf(t, append(args, "--runs=2", "--json")...)
		if status != 0 {
			t.Fatal(name, out, stderr)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page := filepath.Join(dir, "report.html")
	if out, stderr, status := veloperf(t, "report", dir, "--out="+page); status != 0 {
		t.Fatal(out, stderr)
	}
	text, err := os.ReadFile(page)
	if err != nil || strings.Count(string(text), "<svg") < 4 {
		t.Errorf("%v: %d charts", err, strings.Count(string(text), "<svg"))
	}
	out, stderr, status := veloperf(t, "report", filepath.Join(dir, "run.json"), filepath.Join(dir, "latency.json"),
		"--text")
	for _, want := range []string{"CPU time of a record", "gomap", "From due to visible", "Placement", "reader/0"} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("status %d: nothing says %q in\n%s%s", status, want, out, stderr)
		}
	}
	for want, args := range map[string][]string{
		"no file *.json": {t.TempDir()}, "no such file": {dir + "/x"},
		":1: expected": {write(t, "x")},
	} {
		if _, stderr, status := veloperf(t, append([]string{"report"}, args...)...); status != 1 ||
			!strings.Contains(stderr, want) {
			t.Errorf("%v: status %d, %s", args, status, stderr)
		}
	}
}

// Goal: veloperf idle has both kinds of sources, with wake-ups and latencies that can be.
func TestIdle(t *testing.T) {
	out, stderr, status := veloperf(t, "idle", "--runs=1", "--duration=200ms", "--json")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != 0 || len(lines) != 2 {
		t.Fatalf("status %d, %d lines\n%s%s", status, len(lines), out, stderr)
	}
	for i, line := range lines {
		var p bench.IdlePoint
		err := json.Unmarshal([]byte(line), &p)
		if err != nil {
			t.Fatal(err)
		}
		if p.Source != bench.IdleSources[i] || !(p.P50 > 0) || p.Longest < p.P50 || p.Wakeups < 0 || p.Records < 1 {
			t.Errorf("%s", line)
		}
	}
}
