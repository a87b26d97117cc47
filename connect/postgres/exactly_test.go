//go:build unix

package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/velo-engine/velo"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// jobVariable says that this process is a job that a test kills: mode, query, input, folder of the
// state, where it kills itself and at which commit, and the url.
const jobVariable = "VELO_POSTGRES_JOB"

func TestMain(m *testing.M) {
	if args := os.Getenv(jobVariable); args != "" {
		if err := runJob(args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The queries of the job.
var jobQueries = map[string]string{
	"windows": `SELECT window_start AS w, k, sum(v) AS n FROM s GROUP BY k, tumble(at, INTERVAL '1 s')`,
	"passed":  `SELECT at AS w, k, v AS n FROM s`,
	"changes": `SELECT k, sum(v) AS n, count(*) AS c FROM s GROUP BY k EMIT CHANGES`,
}

// slow is a file that takes its time, so that there are several transactions.
type slow struct{ record.Resumer }

// Read reads some rows.
func (s *slow) Read(ctx context.Context, b *record.Batch) error {
	time.Sleep(20 * time.Millisecond)
	return s.Resumer.Read(ctx, b)
}

func runJob(args string) error {
	a := strings.SplitN(args, " ", 7)
	mode, query, input, dir, place, url := Mode(a[0]), a[1], a[2], a[3], a[4], a[6]
	var left int
	if _, err := fmt.Sscan(a[5], &left); err != nil {
		return err
	}
	hook = func(at string) {
		if strings.HasPrefix(at, place) {
			left--
			if left == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		}
	}
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.Int64},
		record.Field{Name: "v", Type: record.Int64}, record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		return err
	}
	plan, err := velo.Compile(jobQueries[query], schema)
	if err != nil {
		return err
	}
	in, err := readers.OpenNDJSON(input, readers.NDJSONConfig{Schema: schema})
	if err != nil {
		return err
	}
	written, err := plan.Written()
	if err != nil {
		return err
	}
	ctx := context.Background()
	sink, err := NewSink(ctx, SinkConfig{
		URL: url, Table: query + "_" + string(mode), Name: "out", Schema: written, Changes: query == "changes", Mode: mode,
		Keys: plan.WrittenKeys(), Create: true,
	})
	if err != nil {
		return err
	}
	eng, err := velo.Start(ctx, velo.Config{
		Plan: plan, Readers: []velo.Reader{&slow{in.Readers(1)[0].(record.Resumer)}}, Writer: sink, Cores: 1, Partitions: 1,
		State: &velo.State{Path: dir, Interval: 20 * time.Millisecond},
	})
	if err != nil {
		return err
	}
	return eng.Wait()
}

// Goal: whatever moment a job dies at, each row is in the table once when the job has come to its
// end. Method: the job is killed between its rows and COMMIT, and between COMMIT and what the
// engine does next, at a later commit each time; then it runs to its end.
func TestKill(t *testing.T) {
	s := newServer(t)
	input := filepath.Join(t.TempDir(), "in.ndjson")
	const records, keys = 60_000, 5
	var lines strings.Builder
	for i := range records {
		at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC).Add(time.Duration(i) * time.Millisecond)
		fmt.Fprintf(&lines, `{"k":%d,"v":%d,"at":"%s"}`+"\n", i%keys, i, at.Format(time.RFC3339Nano))
	}
	must(t, os.WriteFile(input, []byte(lines.String()), 0o600))
	for _, test := range []struct {
		mode  Mode
		query string
		check string
		want  string
	}{
		{
			Append, "windows", "SELECT count(*) || ' ' || count(DISTINCT (w, k)) || ' ' || sum(n) FROM windows_append",
			fmt.Sprintf("%d %d %d\n", records/1000*keys, records/1000*keys, records*(records-1)/2),
		},
		{
			Upsert, "windows", "SELECT count(*) || ' ' || sum(n) FROM windows_upsert",
			fmt.Sprintf("%d %d\n", records/1000*keys, records*(records-1)/2),
		},
		{
			Append, "passed", "SELECT count(*) || ' ' || count(DISTINCT n) || ' ' || sum(n) FROM passed_append",
			fmt.Sprintf("%d %d %d\n", records, records, records*(records-1)/2),
		},
		{
			Upsert, "changes", "SELECT count(*) || ' ' || sum(c) || ' ' || sum(n) FROM changes_upsert",
			fmt.Sprintf("%d %d %d\n", keys, records, records*(records-1)/2),
		},
	} {
		t.Run(test.query+"_"+string(test.mode), func(t *testing.T) {
			dir := t.TempDir()
			killed := 0
			run := func(place string, n int) error {
				job := exec.Command(os.Args[0])
				job.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %s %s %d %s", jobVariable, test.mode, test.query,
					input, dir, place, n, s.url()))
				out, err := job.CombinedOutput()
				if err != nil && job.ProcessState.Exited() {
					t.Fatalf("%v\n%s", err, out)
				}
				return err
			}
			for n := range 4 {
				for _, place := range []string{"before", "after"} {
					if run(place, n+2) != nil { // the first commit is that of Recover
						killed++
					}
				}
			}
			if killed == 0 {
				t.Error("the job was never killed")
			}
			if err := run("never", 1); err != nil {
				t.Fatal(err)
			}
			t.Logf("killed %d times", killed)
			if got := s.text(test.check); got != test.want {
				t.Errorf("%s, expected %s after %d kills", got, test.want, killed)
			}
		})
	}
}
