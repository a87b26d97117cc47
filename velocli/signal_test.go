//go:build unix

package velocli

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/velo-engine/velo/writers"
)

// folder is the package's, whatever a test makes the current one.
var folder, _ = os.Getwd()

// built is where binary is, to be removed; empty where no test wanted it.
var built string

// binary is the program, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "velo-test-*")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "velo")
	build := exec.Command("go", "build", "-o", path, "../cmd/velo")
	build.Dir = folder
	out, err := build.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return path, err
})

func TestMain(m *testing.M) {
	status := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(status)
}

// soak is how many signals TestSignals sends; VELO_SOAK=1 sends more.
func soak() int {
	if os.Getenv("VELO_SOAK") != "" {
		return 200
	}
	return 20
}

const (
	// signalRows are the records of the file that is read, in order of their times, 1,000 in a second.
	signalRows = 400_000

	// signalGrace is how long a process may take to end before it is said to hang: far more than it needs on any machine.
	signalGrace = time.Minute
)

// signalled is what a process has left that was told to end.
type signalled struct {
	t          *testing.T
	out, errs  string
	status     int
	killed     bool // by the signal, before it listened
	took       time.Duration
	unfinished []string
}

// tell starts the program in the current folder and tells it to end some time later.
func tell(t *testing.T, after time.Duration, sig os.Signal, args ...string) signalled {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	r := signalled{t: t}
	var begin time.Time
	select {
	case err = <-ended:
	case <-time.After(after):
		begin = time.Now()
		_ = cmd.Process.Signal(sig) // it may just have ended
		select {
		case err = <-ended:
			r.took = time.Since(begin)
		case <-time.After(signalGrace):
			_ = cmd.Process.Signal(syscall.SIGQUIT)
			<-ended
			t.Fatalf("%v: still there after %v\n%s", args, signalGrace, errs.String())
		}
	}
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	r.out, r.errs, r.status = out.String(), errs.String(), cmd.ProcessState.ExitCode()
	if w, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
		r.killed = w.Signaled()
	}
	r.unfinished, err = filepath.Glob("*" + writers.Unfinished)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var readSoFar = regexp.MustCompile(`: (\d+) records read`)

// read is how many records the process says that it has read; -1 where it does not say.
func (r *signalled) read() int64 {
	m := readSoFar.FindStringSubmatch(r.errs)
	if m == nil {
		return -1
	}
	n, _ := strconv.ParseInt(m[1], 10, 64) // digits
	return n
}

// sum adds up the last column of CSV texts, each of which must be whole.
func (r *signalled) sum(texts ...string) (n int64) {
	for _, text := range texts {
		if !strings.HasSuffix(text, "\n") {
			r.t.Errorf("a line is cut: %q", text)
		}
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || len(rows) == 0 {
			r.t.Errorf("%v: %q", err, text)
			continue
		}
		for _, row := range rows[1:] {
			v, err := strconv.ParseInt(row[len(row)-1], 10, 64)
			if err != nil {
				r.t.Error(err)
			}
			n += v
		}
	}
	return n
}

// Goal: a process that is told to end at any moment ends, with the documented status, has written everything that it had read, and nothing half. Method: jobs and queries over a file and over
// records without end get SIGTERM at random moments; the counts in their results add up to the records that they say they have read, windows are there from the first on, each whole.
func TestSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts the program many times")
	}
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	dir := t.TempDir()
	file := filepath.Join(dir, "in.csv")
	timedFile(t, file, signalRows)
	const endless = `CREATE SOURCE g (k bigint NOT NULL, v bigint NOT NULL) WITH (connector = 'generator', groups = 50);
		CREATE SINK o WITH (connector = 'file', path = 'o.csv'); INSERT INTO o SELECT k, count(*) AS n FROM g GROUP BY k`
	windows := `CREATE SOURCE f (k bigint NOT NULL, at timestamp NOT NULL, WATERMARK FOR at AS at - INTERVAL '1 minute') WITH (connector = 'file', path = '` + file + `', header = 'false');
		CREATE SINK w WITH (connector = 'file', path = 'w-{n}.csv', rotate.bytes = 1024);
		INSERT INTO w SELECT window_start, k, count(*) AS n FROM f GROUP BY k, tumble(at, INTERVAL '1 s') ORDER BY window_start, k`
	query := fmt.Sprintf(`SELECT c1, count(*) AS n FROM "%s" GROUP BY c1`, file)
	early, ended, longest := 0, 0, time.Duration(0)
	for i := range soak() {
		t.Chdir(t.TempDir())
		for name, text := range map[string]string{"endless.sql": endless, "windows.sql": windows} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		after := time.Duration(r.Int64N(int64(150 * time.Millisecond)))
		args := [][]string{
			{"run", "endless.sql"},
			{"run", "windows.sql"},
			{"query", "--format=csv", "--no-header", query},
		}[i%3]
		if i%3 == 1 {
			args = append(args, fmt.Sprintf("--readers=%d", 1+r.IntN(4)), fmt.Sprintf("--partitions=%d", 1+r.IntN(3)))
		}
		p := tell(t, after, syscall.SIGTERM, args...)
		what := fmt.Sprintf("seed %d: %v after %v: status %d\n%s", seed, args, after, p.status, p.errs)
		longest = max(longest, p.took)
		names, err := filepath.Glob("*.csv")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		var texts []string
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
		if len(p.unfinished) > 0 {
			t.Errorf("%s: %v is left", what, p.unfinished)
		}
		switch {
		case p.killed: // before it listened: nothing was begun
			early++
			if p.out != "" || len(names) > 0 {
				t.Errorf("%s: %q, %v", what, p.out, names)
			}
			continue
		case p.status == 0 && i%3 != 0: // it had come to the end
			ended++
		case p.status != map[bool]int{true: 0, false: statusInterrupted}[i%3 == 0]:
			t.Errorf("%s", what)
		}
		read := p.read()
		if read < 0 {
			read = signalRows
		}
		switch i % 3 {
		case 0:
			if n := p.sum(texts...); n != p.read() || len(names) != 1 {
				t.Errorf("%s: %d counted, %d read, %v", what, n, p.read(), names)
			}
		case 1:
			n := p.sum(texts...)
			if n > read || p.status == 0 && n != signalRows || n%1000 != 0 {
				t.Errorf("%s: %d counted, %d read", what, n, read)
			}
			var got []string
			for _, text := range texts {
				got = append(got, strings.Split(strings.TrimSuffix(text, "\n"), "\n")[1:]...)
			}
			begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
			for j, line := range got {
				if want := fmt.Sprintf("%s,%d,100", begin.Add(time.Duration(j/10)*time.Second).Format(time.RFC3339),
					j%10); line != want {
					t.Errorf("%s: row %d is %s, expected %s", what, j, line, want)
					break
				}
			}
		case 2:
			if n := p.sum(p.out); n != read || p.status == 0 && n != signalRows {
				t.Errorf("%s: %d counted, %d read", what, n, read)
			}
		}
	}
	t.Logf("%d signals: %d before the program listened, %d after its end; the longest wait for an end was %v", soak(),
		early, ended, longest)
}

// Goal: a file that is followed has no end: its windows are written as they close, and a signal is how such a job ends, with status 0. Method: the file is made longer, and then longer again when the
// window that this closes has been printed.
func TestFollow(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	job := `CREATE SOURCE f (n bigint, at timestamp NOT NULL, WATERMARK FOR at AS at) WITH (connector = 'file', path = 'in.csv', follow = true);
		CREATE SINK w AS SELECT window_start, sum(n) AS n FROM f GROUP BY tumble(at, INTERVAL '1 minute') WITH (connector = 'file', path = 'w.csv');
		SELECT window_start, sum(n) AS n FROM f GROUP BY tumble(at, INTERVAL '1 minute')`
	in, err := os.Create("in.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	write := func(text string) {
		if _, err := in.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	write("n,at\n1,2024-01-01T00:00:00Z\n2,2024-01-01T00:00:59Z\n4,2024-01-01T00:01:00Z\n")
	if err := os.WriteFile("job.sql", []byte(job), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "run", "job.sql", "--format=csv")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hang := time.AfterFunc(signalGrace, func() { _ = cmd.Process.Kill() })
	defer hang.Stop()
	lines := bufio.NewScanner(out)
	next := func() string {
		if !lines.Scan() {
			t.Fatalf("it has ended\n%s", errs.String())
		}
		return lines.Text()
	}
	next()
	if got := next(); got != "2024-01-01T00:00:00Z,3" {
		t.Error(got)
	}
	write("8,2024-01-01T00:02:00Z\n")
	if got := next(); got != "2024-01-01T00:01:00Z,4" {
		t.Error(got)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		t.Errorf("%q: of a window that has not closed", lines.Text())
	}
	_ = cmd.Wait() // the status says it
	if cmd.ProcessState.ExitCode() != 0 || !strings.Contains(errs.String(), "SELECT: 4 records read") {
		t.Errorf("%v\n%s", cmd.ProcessState, errs.String())
	}
	text, err := os.ReadFile("w.csv")
	if err != nil || !strings.HasPrefix(string(text), "window_start,n\n2024-01-01T00:00:00Z,3\n") ||
		strings.Contains(string(text), "00:02:00Z,") {
		t.Errorf("%v\n%s", err, text)
	}
}

// Goal: what a process leaves that is killed is whole where it has its name, and else can be recognised. Method: SIGKILL at random moments; the windows in the files go on from the first without
// a gap, and every file else is a leftover.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts the program many times")
	}
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	file := filepath.Join(dir, "in.csv")
	timedFile(t, file, signalRows)
	job := `CREATE SOURCE f (k bigint NOT NULL, at timestamp NOT NULL, WATERMARK FOR at AS at) WITH (connector = 'file', path = '` + file + `', header = 'false');
		CREATE SINK w WITH (connector = 'file', path = 'w-{n}.csv', rotate.bytes = 1024);
		INSERT INTO w SELECT window_start, k, count(*) AS n FROM f GROUP BY k, tumble(at, INTERVAL '1 s') ORDER BY window_start, k`
	left, whole := 0, 0
	for range soak() / 2 {
		t.Chdir(t.TempDir())
		if err := os.WriteFile("job.sql", []byte(job), 0o600); err != nil {
			t.Fatal(err)
		}
		after := time.Duration(r.Int64N(int64(150 * time.Millisecond)))
		p := tell(t, after, syscall.SIGKILL, "run", "job.sql", "--readers=1")
		names, err := filepath.Glob("w-*")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		found, err := writers.Leftovers("w-{n}.csv")
		if err != nil {
			t.Fatal(err)
		}
		left += len(found)
		var rows []string
		for _, name := range names {
			if slices.Contains(found, name) {
				continue
			}
			whole++
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			p.sum(string(text)) // no line is cut
			if len(text) < 1024 && p.status != 0 {
				t.Errorf("seed %d: %s has %d bytes and its name", seed, name, len(text))
			}
			rows = append(rows, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")[1:]...)
		}
		begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
		for j, line := range rows {
			if want := fmt.Sprintf("%s,%d,100", begin.Add(time.Duration(j/10)*time.Second).Format(time.RFC3339),
				j%10); line != want {
				t.Errorf("seed %d: after %v: row %d is %s, expected %s", seed, after, j, line, want)
				break
			}
		}
	}
	t.Logf("seed %d: %d whole files, %d left over", seed, whole, left)
}
