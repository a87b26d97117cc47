package velocli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/server/job"
)

// followedJob is a job over a file that others append to.
func followedJob(path, aggregate string) string {
	return fmt.Sprintf(`CREATE SOURCE s (k text NOT NULL, v bigint NOT NULL)
  WITH (connector = 'file', path = '%s', follow = true);
CREATE MATERIALIZED VIEW sums AS SELECT k, %s AS total FROM s GROUP BY k`, path, aggregate)
}

// TestServedBeside replaces a job side by side while readers look and a file grows. A reader sees
// the old result or the new one, whole, and never none.
func TestServedBeside(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	in := filepath.Join(data, "in.csv")
	const records = 50_000
	var text strings.Builder
	text.WriteString("k,v\n")
	for range records {
		text.WriteString("a,2\n")
	}
	if err := os.WriteFile(in, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	m, views := openJobs(t, dir)
	if _, err := m.Put(t.Context(), "sums", followedJob(in, "sum(v)"), job.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	old := fmt.Sprintf("a|%d", 2*records)
	for begin := time.Now(); rowsOf(t, views, "SELECT * FROM sums") != old; time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("the old job does not catch up: ", rowsOf(t, views, "SELECT * FROM sums"))
		}
	}
	loss := new(job.LossError)
	if _, err := m.Put(t.Context(), "sums", followedJob(in, "max(v)"), job.PutOptions{}); !errors.As(err, &loss) ||
		!strings.Contains(err.Error(), "side-by-side=true") {
		t.Errorf("without a choice: %v", err)
	}
	ended := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		seen := 0
		for {
			select {
			case <-ended:
				if seen < 1 {
					t.Error("nobody has looked")
				}
				return
			default:
			}
			rows, err := views.Select(t.Context(), "SELECT * FROM sums")
			if err != nil {
				t.Error(err)
				return
			}
			n := rows.Len()
			_ = rows.Close()
			if n != 1 {
				t.Errorf("a reader sees %d rows", n)
				return
			}
			seen++
		}
	})
	done, err := m.Put(t.Context(), "sums", followedJob(in, "max(v)"), job.PutOptions{Beside: true})
	close(ended)
	readers.Wait()
	if err != nil || done != job.PutBeside {
		t.Fatal(done, err)
	}
	if got := rowsOf(t, views, "SELECT * FROM sums"); got != "a|2" {
		t.Errorf("the new job has %s", got)
	}
	f, err := os.OpenFile(in, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString("a,7\n")
	_ = f.Close()
	for begin := time.Now(); rowsOf(t, views, "SELECT * FROM sums") != "a|7"; time.Sleep(time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatal("the new job does not go on: ", rowsOf(t, views, "SELECT * FROM sums"))
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	m, views = openJobs(t, dir)
	waitFor(t, m, "sums", job.Active)
	if got := rowsOf(t, views, "SELECT * FROM sums"); got != "a|7" {
		t.Errorf("after a restart there are %s", got)
	}
	if use := views.Use(); use.Held+use.Results+use.Memory != 0 {
		t.Errorf("left: %+v", use)
	}
}

// TestServedBesideRefused names what cannot run beside another.
func TestServedBesideRefused(t *testing.T) {
	m, _ := openJobs(t, t.TempDir())
	if _, err := m.Put(t.Context(), "orders", pushedJob, job.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := m.Put(t.Context(), "orders", strings.Replace(pushedJob, "sum(size)", "max(size)", 1),
		job.PutOptions{Beside: true})
	if !errors.Is(err, job.ErrBeside) ||
		!strings.Contains(err.Error(), "source orders are sent to it (connector push)") {
		t.Errorf("a pushed source: %v", err)
	}
	data := t.TempDir()
	in := filepath.Join(data, "in.csv")
	if err := os.WriteFile(in, []byte("k,v\na,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := followedJob(in, "sum(v)") + fmt.Sprintf(`; CREATE SINK o WITH (connector = 'file', path = '%s');
INSERT INTO o SELECT k, v FROM s`, filepath.Join(data, "out.csv"))
	text = strings.Replace(text, "sums", "others", 1)
	if _, err := m.Put(t.Context(), "written", text, job.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = m.Put(t.Context(), "written", strings.Replace(text, "sum(v)", "max(v)", 1), job.PutOptions{Beside: true})
	if !errors.Is(err, job.ErrBeside) || !strings.Contains(err.Error(), "both jobs would write to sink o") {
		t.Errorf("a sink: %v", err)
	}
}

// TestServedReplaceFileSink replaces a job that runs and writes a file. Another job that would
// write the same file does not start.
func TestServedReplaceFileSink(t *testing.T) {
	m, _ := openJobs(t, t.TempDir())
	data := t.TempDir()
	in := filepath.Join(data, "in.csv")
	if err := os.WriteFile(in, []byte("k,v\na,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`CREATE SOURCE s (k text NOT NULL, v bigint NOT NULL)
  WITH (connector = 'file', path = '%s', follow = true);
CREATE SINK o WITH (connector = 'file', path = '%s');
INSERT INTO o SELECT k, v FROM s`, in, filepath.Join(data, "out.csv"))
	if _, err := m.Put(t.Context(), "written", text, job.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if done, err := m.Put(t.Context(), "written", text+" WHERE v > 0", job.PutOptions{Fresh: true}); err != nil ||
		done != job.PutFresh {
		t.Errorf("replacing it: %s, %v", done, err)
	}
	if _, err := m.Put(t.Context(), "thief", text, job.PutOptions{}); err == nil ||
		!strings.Contains(err.Error(), "another File of this process writes it") {
		t.Errorf("another job over the same file: %v", err)
	}
}

// TestServedBesideAbort gives a replacement up that never catches up: a generator without an end.
func TestServedBesideAbort(t *testing.T) {
	m, views := openJobs(t, t.TempDir())
	const generated = `CREATE SOURCE g (k bigint, v bigint) WITH (connector = 'generator');
CREATE MATERIALIZED VIEW sums AS SELECT count(*) AS n FROM g`
	if _, err := m.Put(t.Context(), "sums", generated, job.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := m.Put(ctx, "sums", strings.Replace(generated, "count(*)", "max(v)", 1), job.PutOptions{Beside: true})
		ended <- err
	}()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		r, _, err := m.Candidate("sums")
		if r != nil && err == nil {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("the replacement does not start")
		}
	}
	time.Sleep(5 * catchUpEvery)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if s, _, err := m.Get("sums"); err != nil || s.Replacement == nil || s.Replacement.State != job.StateCatchingUp {
		t.Errorf("%+v, %v", s, err)
	}
	if err := m.Abort(t.Context(), "sums"); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, views, "SELECT n > 0 FROM sums WHERE n > 0"); got == "" {
		t.Error("the old job does not go on")
	}
	if s, _, _ := m.Get("sums"); s.Replacement != nil || s.Generation != 1 || s.State != job.Active {
		t.Errorf("%+v", s)
	}
}
