//go:build unix

package velocli

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Goal: kill -9 while a replacement runs beside its job, or takes over, leaves the old job or the
// new one, whole. Method: a process is killed again and again at random moments after a replacement
// was put. What the text of the job says is what its view has, and in the end a replacement takes
// over.
func TestBesideKill(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	in := filepath.Join(data, "in.csv")
	const records = 20_000
	if err := os.WriteFile(in, []byte("k,v\n"+strings.Repeat("a,2\n", records)), 0o600); err != nil {
		t.Fatal(err)
	}
	text := map[bool]string{false: followedJob(in, "sum(v)"), true: followedJob(in, "max(v)")}
	want := map[bool]float64{false: 2 * records, true: 2}
	kills := 6
	if soak() > 20 { // VELO_SOAK
		kills = 60
	}
	l := begin(t, dir, "--checkpoint", "50ms")
	if status, a := l.ask("PUT", "/v1/jobs/j?wait=1m", text[false]); status != 201 {
		t.Fatalf("%d, %v", status, a)
	}
	// is waits until the view has what the text of the job says, and returns whether that is the
	// second text.
	is := func() (second bool) {
		last := ""
		for begun := time.Now(); time.Since(begun) < time.Minute; time.Sleep(5 * time.Millisecond) {
			status, a := l.ask("GET", "/v1/jobs/j", "")
			now := fmt.Sprint(a["text"])
			viewed, v := l.ask("GET", "/v1/views/sums", "")
			rows, _ := v["rows"].([]any)
			last = fmt.Sprint(status, a, viewed, v)
			if status != 200 || viewed != 200 || len(rows) != 1 {
				continue
			}
			second = now == text[true]
			if total := rows[0].(map[string]any)["total"]; now == text[second] && total == want[second] {
				return second
			}
		}
		t.Fatalf("the view does not become what the text says: %s", last)
		return false
	}
	took := 0
	for range kills {
		second := is()
		status, a := l.ask("PUT", "/v1/jobs/j?side-by-side=true&wait=0s", text[!second])
		if status != 202 && status != 200 {
			if e := fmt.Sprint(a["error"]); status != 409 || !strings.Contains(e, "a replacement runs beside it") {
				t.Fatalf("%d, %v", status, a)
			}
		}
		time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
		l.kill()
		l = begin(t, dir, "--checkpoint", "50ms")
		if is() != second {
			took++
		}
	}
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) { // one that was left from before
		_, a := l.ask("GET", "/v1/jobs/j", "")
		if a["replacement"] == nil {
			break
		}
		if time.Since(begun) > time.Minute {
			t.Fatalf("the replacement does not take over: %v", a)
		}
	}
	second := is()
	if status, a := l.ask("PUT", "/v1/jobs/j?side-by-side=true&wait=1m", text[!second]); status != 200 ||
		a["done"] != "replaced side by side" {
		t.Fatalf("%d, %v", status, a)
	}
	if is() == second {
		t.Error("the replacement has not taken over")
	}
	t.Logf("%d of %d took over before the process was killed or after it", took, kills)
	_ = l.proc.Process.Signal(syscall.SIGTERM)
	if err := l.proc.Wait(); err != nil {
		t.Errorf("the end: %v", err)
	}
	l.http.CloseIdleConnections()
}
