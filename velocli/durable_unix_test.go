//go:build unix

package velocli

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Goal: whatever ends a job and whenever, its sink of windows has each window once, and its result is the one of an undisturbed run. Method: a job over a file is ended by SIGKILL, SIGTERM and
// SIGINT at random moments, again and again, with other numbers of readers, until it comes to its end; before that nothing is printed that is not whole and the sink has no name. A file of another name is refused meanwhile.
func TestStateSignals(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts the program many times")
	}
	for name, sink := range map[string]string{
		"one name": "path = 'w.csv'", "rotated": "path = 'w-{n}.csv', rotate.bytes = '16 KB'",
	} {
		t.Run(name, func(t *testing.T) { stateSignals(t, sink) })
	}
}

func stateSignals(t *testing.T, sink string) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	t.Chdir(t.TempDir())
	timedFile(t, "in.csv", 1_000_000)
	source := `CREATE SOURCE f (k bigint NOT NULL, at timestamp NOT NULL, WATERMARK FOR at AS at - INTERVAL '1 minute')
		WITH (connector = 'file', path = 'in.csv', header = 'false');
	`
	job := source + `CREATE SINK w WITH (connector = 'file', ` + sink + `);
		INSERT INTO w SELECT window_start, k, count(*) AS n FROM f GROUP BY k, tumble(at, INTERVAL '1 s') ORDER BY window_start, k;
		SELECT k, count(*) AS n FROM f GROUP BY k ORDER BY k`
	for name, text := range map[string]string{"job.sql": job, "other.sql": strings.ReplaceAll(job, "in.csv", "other.csv")} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link("in.csv", "other.csv"); err != nil {
		t.Fatal(err)
	}
	printed, errs, status := velo(t, "", "run", "job.sql", "--format=csv")
	whole, files := windowsOf(t)
	if status != 0 || len(files) == 0 {
		t.Fatal(status, errs)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	ends, other := map[string]int{}, false
	for range 100 {
		sig := []os.Signal{syscall.SIGKILL, syscall.SIGTERM, os.Interrupt}[r.IntN(3)]
		args := []string{
			"run", "job.sql", "--format=csv", "--state=state", "--checkpoint=20ms", fmt.Sprintf("--readers=%d", 1+r.IntN(3)),
			fmt.Sprintf("--partitions=%d", 1+r.IntN(3)),
		}
		s := tell(t, time.Duration(50+r.IntN(350))*time.Millisecond, sig, args...)
		ends[fmt.Sprint(sig, " ", s.status)]++
		if s.status == 0 {
			if text, _ := windowsOf(t); s.out != printed || text != whole || len(s.unfinished) > 0 {
				t.Errorf("it prints\n%s\nexpected\n%s\nand the windows have %d bytes of %d, %v", s.out, printed, len(text), len(whole), s.unfinished)
			}
			break
		}
		if s.out != "" && s.out != printed || s.status != statusInterrupted && !s.killed {
			t.Fatalf("%v: status %d\n%s%s", sig, s.status, s.out, s.errs)
		}
		if _, err := os.Stat("w.csv"); !errors.Is(err, os.ErrNotExist) && s.status == statusInterrupted && len(s.unfinished) > 0 {
			t.Errorf("the sink has its name before its end: %v", err)
		}
		if s.status == statusInterrupted && !other {
			_, errs, status := velo(t, "", "run", "other.sql", "--format=csv", "--state=state")
			if status != statusFailed || !strings.Contains(errs, `"file in.csv"; read it again, or begin anew with fresh`) {
				t.Errorf("another file: status %d, %s", status, errs)
			}
			other = true
		}
	}
	t.Log(ends)
	if ends["interrupt 0"]+ends["killed 0"]+ends["terminated 0"] != 1 {
		t.Error("the job has not come to its end")
	}
}

// windowsOf is the text of all files of a sink, without their first lines, and their names.
func windowsOf(t *testing.T) (text string, files []string) {
	t.Helper()
	files, err := filepath.Glob("w*.csv")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	for _, file := range files {
		all, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, rows, _ := strings.Cut(string(all), "\n")
		text += rows
	}
	return text, files
}

// timedFile makes a file of records in order of their times, 1,000 in a second.
func timedFile(t *testing.T, path string, rows int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range rows {
		fmt.Fprintf(w, "%d,%s\n", i%10, begin.Add(time.Duration(i)*time.Millisecond).Format("2006-01-02T15:04:05.000Z"))
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Goal: a followed file is gone on with: what is appended while nothing runs is counted once.
func TestStateOfFollowed(t *testing.T) {
	inFolder(t, map[string]string{
		"trades.csv": durableTrades,
		"job.sql":    strings.Replace(durableSource, "path =", "follow = true, path =", 1) + `SELECT symbol, sum(size) AS v FROM trades GROUP BY symbol;`,
	})
	for _, want := range []string{" In 3", " In 4"} {
		s := tell(t, time.Second, os.Interrupt, "run", "job.sql", "--state=state")
		if s.status != 0 || s.out != "" || !strings.Contains(s.errs, "exactly once") {
			t.Errorf("status %d\n%s%s", s.status, s.out, s.errs)
		}
		if out, errs, _ := velo(t, "", "state", "show", "state"); !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s%s", want, out, errs)
		}
		if err := os.WriteFile("trades.csv", []byte(durableTrades+"B,8,2024-01-01T00:01:03Z\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
