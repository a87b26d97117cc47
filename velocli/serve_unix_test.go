//go:build unix

package velocli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// life is a process of velo serve.
type life struct {
	t    testing.TB
	url  string
	proc *exec.Cmd
	http http.Client
}

// begin starts velo serve and waits until it answers.
func begin(t testing.TB, dir string, args ...string) *life {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"serve", "--state", dir, "--listen", "127.0.0.1:0"}, args...)
	l := &life{t: t, proc: exec.Command(program, args...)}
	stderr, err := l.proc.StderrPipe()
	if err == nil {
		err = l.proc.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	var all []string
	for lines.Scan() {
		all = append(all, lines.Text())
		if _, rest, ok := strings.Cut(lines.Text(), "velo: http://"); ok {
			l.url, _, _ = strings.Cut("http://"+rest, " ")
			break
		}
	}
	if l.url == "" {
		t.Fatalf("it does not answer: %q", all)
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	l.http.Timeout = time.Minute
	return l
}

// kill ends the process at once.
func (l *life) kill() {
	_ = l.proc.Process.Kill()
	_ = l.proc.Wait()
	l.http.CloseIdleConnections()
}

// ask returns the status, 0 if the process was killed, and the answer.
func (l *life) ask(method, path, body string, headers ...string) (int, map[string]any) {
	q, err := http.NewRequest(method, l.url+path, strings.NewReader(body))
	if err != nil {
		l.t.Error(err)
		return 0, nil
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Set(name, value)
	}
	a, err := l.http.Do(q)
	if err != nil {
		return 0, nil
	}
	defer a.Body.Close()
	var answer map[string]any
	if json.NewDecoder(a.Body).Decode(&answer) != nil {
		return 0, nil // cut off
	}
	return a.StatusCode, answer
}

// Goal: kill -9 at any moment loses no job, no change of what a job should do that was answered,
// and no record, and has no record counted twice. Method: ten jobs of two views, whose records have numbers;
// clients push and change jobs until the process is killed, many times.
func TestServeKill(t *testing.T) {
	const jobs = 10
	dir := t.TempDir()
	kills := 5
	if soak() > 20 { // VELO_SOAK
		kills = 100
	}
	text := func(i int) string {
		return fmt.Sprintf(`CREATE SOURCE s%d (n bigint NOT NULL) WITH (connector = 'push');
			CREATE MATERIALIZED VIEW v%d AS SELECT count(*) AS c, sum(n) AS s, max(n) AS m FROM s%d;
			CREATE MATERIALIZED VIEW w%d AS SELECT n %% 7 AS k, count(*) AS c FROM s%d GROUP BY n %% 7`, i, i, i, i, i)
	}
	l := begin(t, dir, "--checkpoint", "50ms")
	for i := range jobs {
		if status, a := l.ask("PUT", fmt.Sprintf("/v1/jobs/j%d", i), text(i)); status != 201 {
			t.Fatalf("%d, %v", status, a)
		}
	}
	desired := make([]map[string]bool, jobs) // what each job may be asked to do
	for i := range desired {
		desired[i] = map[string]bool{"running": true}
	}
	for life := range kills {
		var clients sync.WaitGroup
		for i := range jobs {
			clients.Go(func() { l.use(i, desired[i], rand.New(rand.NewPCG(uint64(life), uint64(i)))) })
		}
		time.Sleep(time.Duration(20+rand.IntN(250)) * time.Millisecond)
		l.kill()
		clients.Wait()
		l = begin(t, dir, "--checkpoint", "50ms")
		for i := range jobs {
			l.check(i, desired[i])
		}
		if t.Failed() {
			break
		}
	}
	_ = l.proc.Process.Signal(syscall.SIGTERM)
	if err := l.proc.Wait(); err != nil {
		t.Errorf("the end: %v", err)
	}
	l.http.CloseIdleConnections()
}

// use pushes records to a job, and changes what it should do, until the process is killed.
func (l *life) use(i int, desired map[string]bool, random *rand.Rand) {
	next := uint64(0)
	for {
		if random.IntN(8) == 0 {
			action := []string{"pause", "resume", "stop", "start", "start", "restart", "checkpoint"}[random.IntN(7)]
			wants := map[string]string{
				"pause": "paused", "resume": "running", "stop": "stopped",
				"start": "running",
			}[action]
			if wants != "" {
				desired[wants] = true // it may be, if the answer does not come
			}
			status, _ := l.ask("POST", fmt.Sprintf("/v1/jobs/j%d/%s", i, action), "")
			switch {
			case status == 0:
				return
			case status == 200 && wants != "":
				clear(desired)
				desired[wants] = true
			case wants != "": // it was refused
				status, a := l.ask("GET", fmt.Sprintf("/v1/jobs/j%d", i), "")
				if status == 0 {
					return
				}
				clear(desired)
				desired[fmt.Sprint(a["desired"])] = true
			}
			continue
		}
		if next == 0 {
			status, a := l.ask("GET", fmt.Sprintf("/v1/sources/s%d/producers/p", i), "")
			if status == 0 {
				return
			}
			if status != 200 {
				continue // it does not run
			}
			next = uint64(a["next"].(float64))
		}
		var lines strings.Builder
		for k := range uint64(1 + random.IntN(300)) {
			fmt.Fprintf(&lines, "{\"n\":%d}\n", next+k)
		}
		status, a := l.ask("POST", fmt.Sprintf("/v1/sources/s%d/records", i), lines.String(), "Velo-Producer: p",
			fmt.Sprintf("Velo-Sequence: %d", next))
		switch status {
		case 0:
			return
		case 200:
			next = uint64(a["next"].(float64))
		default:
			next = 0
		}
	}
}

// check compares a job with what it should do, and its groups with the numbers of its records.
func (l *life) check(i int, desired map[string]bool) {
	l.t.Helper()
	var job map[string]any
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		_, job = l.ask("GET", fmt.Sprintf("/v1/jobs/j%d", i), "")
		state, wants := fmt.Sprint(job["state"]), fmt.Sprint(job["desired"])
		if state == wants {
			break
		}
		if time.Since(begin) > signalGrace {
			l.t.Errorf("job %d is %v", i, job)
			return
		}
	}
	if wants := fmt.Sprint(job["desired"]); !desired[wants] {
		l.t.Errorf("job %d should be %s, the client has asked for %v", i, wants, desired)
	}
	clear(desired)
	desired[fmt.Sprint(job["desired"])] = true
	if job["state"] == "stopped" {
		return
	}
	_, a := l.ask("GET", fmt.Sprintf("/v1/sources/s%d/producers/p", i), "")
	next := int64(a["next"].(float64))
	_, a = l.ask("GET", fmt.Sprintf("/v1/views/v%d", i), "")
	row := a["rows"].([]any)[0].(map[string]any)
	n := next - 1
	want := fmt.Sprint(float64(n), float64(n*(n+1)/2), float64(n))
	if n == 0 {
		want = fmt.Sprint(0.0, nil, nil)
	}
	if got := fmt.Sprint(row["c"], row["s"], row["m"]); got != want {
		l.t.Errorf("job %d has %s, by its numbers it has %s", i, got, want)
	}
	_, a = l.ask("GET", fmt.Sprintf("/v1/views/w%d", i), "")
	sum := 0.0
	for _, row := range a["rows"].([]any) {
		sum += row.(map[string]any)["c"].(float64)
	}
	if sum != float64(n) {
		l.t.Errorf("job %d has %v records in its other view, by its numbers it has %d", i, sum, n)
	}
}

// Goal: an answer with durable says that a generation has the records: they are there after kill
// -9. Method: a process is killed as soon as it has answered, again and again.
func TestPushDurable(t *testing.T) {
	dir := t.TempDir()
	l := begin(t, dir)
	if status, a := l.ask("PUT", "/v1/jobs/j?wait=30s", pushedView); status != 201 {
		t.Fatalf("%d, %v", status, a)
	}
	for i := 1; i <= 6; i++ {
		status, a := 0, map[string]any(nil)
		for begun := time.Now(); status != 200 && time.Since(begun) < time.Minute; time.Sleep(10 * time.Millisecond) {
			status, a = l.ask("POST", "/v1/sources/o/records?durable=true", fmt.Sprintf(`{"k":"a","n":%d}`, i))
		}
		if status != 200 || a["durable"] != true {
			t.Fatalf("%d, %v", status, a)
		}
		l.kill()
		l = begin(t, dir)
		want := fmt.Sprintf("map[c:%d k:a s:%d]", i, i*(i+1)/2)
		got := ""
		for begun := time.Now(); got != want && time.Since(begun) < time.Minute; time.Sleep(10 * time.Millisecond) {
			if status, a = l.ask("GET", "/v1/views/v", ""); status == 200 {
				rows, _ := a["rows"].([]any)
				if got = ""; len(rows) == 1 {
					got = fmt.Sprint(rows[0])
				}
				if got != want {
					break
				}
			}
		}
		if got != want {
			t.Fatalf("after %d kills: %v, expected %s", i, a, want)
		}
	}
	l.kill()
}
