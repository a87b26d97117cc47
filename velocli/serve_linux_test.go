package velocli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// BenchmarkServeJobs is what velo serve takes for 50 small jobs: the time from the start of the
// process, after a kill -9, until all run with their states; the part of a core while nothing comes,
// in CPU time of the process; and the time of an answer of /metrics.
func BenchmarkServeJobs(b *testing.B) {
	const jobs = 50
	dir := b.TempDir()
	l := begin(b, dir)
	for i := range jobs {
		text := fmt.Sprintf(`CREATE SOURCE s%d (k bigint NOT NULL, v bigint NOT NULL) WITH (connector = 'push');
			CREATE MATERIALIZED VIEW v%d AS SELECT k, count(*) AS n, sum(v) AS v FROM s%d GROUP BY k`, i, i, i)
		if status, a := l.ask("PUT", fmt.Sprintf("/v1/jobs/j%d", i), text); status != 201 {
			b.Fatalf("%d, %v", status, a)
		}
		var lines bytes.Buffer
		for k := range 1000 {
			fmt.Fprintf(&lines, "{\"k\":%d,\"v\":%d}\n", k, k)
		}
		if status, a := l.ask("POST", fmt.Sprintf("/v1/sources/s%d/records", i), lines.String()); status != 200 {
			b.Fatalf("%d, %v", status, a)
		}
	}
	for i := range jobs {
		if status, a := l.ask("POST", fmt.Sprintf("/v1/jobs/j%d/checkpoint", i), ""); status != 200 {
			b.Fatalf("%d, %v", status, a)
		}
	}
	var starts, answers []time.Duration
	var used, over time.Duration
	for b.Loop() {
		l.kill()
		began := time.Now()
		l = begin(b, dir)
		for status := 0; status != 200; time.Sleep(time.Millisecond) {
			status, _ = l.get("/readyz")
		}
		starts = append(starts, time.Since(began))
		time.Sleep(2 * time.Second) // until what the start has left is collected
		before, at := l.cpu(), time.Now()
		time.Sleep(5 * time.Second)
		used, over = used+l.cpu()-before, over+time.Since(at)
		for range 200 {
			began := time.Now()
			if status, n := l.get("/metrics"); status != 200 || n == 0 {
				b.Fatalf("/metrics: %d, %d bytes", status, n)
			}
			answers = append(answers, time.Since(began))
		}
	}
	_ = l.proc.Process.Signal(syscall.SIGTERM)
	_ = l.proc.Wait()
	slices.Sort(starts)
	slices.Sort(answers)
	b.ReportMetric(starts[len(starts)-1].Seconds(), "start-s")
	b.ReportMetric(100*used.Seconds()/over.Seconds(), "idle-%core")
	b.ReportMetric(float64(answers[len(answers)/2].Microseconds())/1e3, "metrics-p50-ms")
	b.ReportMetric(float64(answers[len(answers)*99/100].Microseconds())/1e3, "metrics-p99-ms")
	b.ReportMetric(0, "ns/op")
}

// get returns the status and the length of an answer.
func (l *life) get(path string) (status int, n int64) {
	a, err := l.http.Get(l.url + path)
	if err != nil {
		return 0, 0
	}
	defer a.Body.Close()
	n, _ = io.Copy(io.Discard, a.Body)
	return a.StatusCode, n
}

// cpu is the CPU time of the process, in steps of 10 ms.
func (l *life) cpu() time.Duration {
	l.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", l.proc.Process.Pid))
	if err != nil {
		l.t.Fatal(err)
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime: fields 14 and 15 of proc(5)
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			l.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
