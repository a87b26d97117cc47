package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// build builds the program.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "velo")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// Goal: a job reads a topic and goes on after an interrupt and after a kill: each record is counted
// once. Method: the program itself, over a broker in this process, that is killed again and again
// while records are written.
func TestJob(t *testing.T) {
	velo := build(t)
	if help, err := exec.Command(velo, "run", "--help").Output(); err != nil ||
		!strings.Contains(string(help), "source  kafka      brokers, topic,") ||
		!strings.Contains(string(help), "sink    postgres   url, table,") {
		t.Errorf("%v: the help is\n%s", err, help)
	}
	const partitions = 3
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "trades"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	dir := t.TempDir()
	job := fmt.Sprintf(`CREATE SOURCE trades (k bigint NOT NULL, v bigint NOT NULL)
  WITH (connector = 'kafka', brokers = '%s', topic = 'trades', group = 'lag'%%s);
CREATE SINK sums WITH (connector = 'file', path = '%s');
INSERT INTO sums SELECT k, count(*) AS n, sum(v) AS v FROM trades GROUP BY k ORDER BY k;
`, strings.Join(cluster.ListenAddrs(), ","), filepath.Join(dir, "sums.csv"))
	path := filepath.Join(dir, "job.sql")
	write := func(options string) {
		if err := os.WriteFile(path, fmt.Appendf(nil, job, options), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"run", path, "--state", filepath.Join(dir, "state"), "--checkpoint", "50ms", "--cores", "1"}
	n := 0
	for round := range 6 {
		write("")
		run := exec.Command(velo, args...)
		var said bytes.Buffer
		run.Stderr = &said
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			var records []*kgo.Record
			for range 500 {
				records = append(records, &kgo.Record{
					Topic: "trades", Partition: int32(n % partitions), Value: fmt.Appendf(nil, `{"k":%d,"v":%d}`,
						n%10, n),
				})
				n++
			}
			if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if round%2 == 0 {
			_ = run.Process.Kill()
		} else {
			_ = run.Process.Signal(os.Interrupt)
		}
		if err := run.Wait(); err == nil && round%2 == 0 {
			t.Fatalf("it ended before it was killed: %s", said.String())
		}
	}
	shown, err := exec.Command(velo, "state", "show", filepath.Join(dir, "state")).CombinedOutput()
	if err != nil || !strings.Contains(string(shown), "kafka trades/0: next is offset ") {
		t.Errorf("%v: the state is %s", err, shown)
	}
	write(", until = 'end'")
	out, err := exec.Command(velo, args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "velo: trades -> sums: exactly once") ||
		!strings.Contains(string(out), "goes on at generation") {
		t.Fatalf("%v: %s", err, out)
	}
	want := "k,n,v\n"
	for k := range 10 {
		count := n / 10
		want += fmt.Sprintf("%d,%d,%d\n", k, count, count*k+10*(count*(count-1)/2))
	}
	if got, err := os.ReadFile(filepath.Join(dir, "sums.csv")); err != nil || string(got) != want {
		t.Errorf("%v: %s, expected %s", err, got, want)
	}
}

// Goal: a job writes windows to a topic, each exactly once over restarts, and what cannot be is
// refused before anything runs. Method: the program itself, run three times while records come.
func TestSinkJob(t *testing.T) {
	velo := build(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "in", "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics("out"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "job.sql")
	run := func(selected string) (string, error) {
		job := fmt.Sprintf(`CREATE SOURCE s (k text NOT NULL, v bigint, at timestamp NOT NULL, WATERMARK FOR at AS at)
  WITH (connector = 'kafka', brokers = '%[1]s', topic = 'in', until = 'end');
CREATE SINK d WITH (connector = 'kafka', brokers = '%[1]s', topic = 'out', mode = 'upsert');
INSERT INTO d SELECT %[2]s, sum(v) AS v FROM s GROUP BY k, tumble(at, INTERVAL '1 minute');
`, brokers, selected)
		if err := os.WriteFile(path, []byte(job), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(velo, "run", path, "--state", filepath.Join(dir, "state"), "--cores",
			"1").CombinedOutput()
		return string(out), err
	}
	if said, err := run("k"); err == nil || !strings.Contains(said, "mode upsert needs a key") ||
		!strings.Contains(said, "line 3") {
		t.Errorf("%v: %s", err, said)
	}
	for _, value := range []string{
		`{"k":"a","v":1,"at":"2026-03-02T09:30:00Z"}`, `{"k":"a","v":2,"at":"2026-03-02T09:31:00Z"}`,
		`{"k":"b","v":3,"at":"2026-03-02T09:31:01Z"}`,
	} {
		if err := client.ProduceSync(context.Background(), &kgo.Record{
			Topic: "in",
			Value: []byte(value),
		}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second run finds that everything has been written
		if said, err := run("window_start, k"); err != nil || !strings.Contains(said, "velo: s -> d: exactly once") {
			t.Fatalf("%v: %s", err, said)
		}
	}
	want := map[string]string{
		`{"window_start":"2026-03-02T09:30:00Z","k":"a"}`: `{"window_start":"2026-03-02T09:30:00Z","k":"a","v":1}`,
		`{"window_start":"2026-03-02T09:31:00Z","k":"a"}`: `{"window_start":"2026-03-02T09:31:00Z","k":"a","v":2}`,
		`{"window_start":"2026-03-02T09:31:00Z","k":"b"}`: `{"window_start":"2026-03-02T09:31:00Z","k":"b","v":3}`,
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for n := 0; ctx.Err() == nil; {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			n++
			if want[string(r.Key)] != string(r.Value) {
				t.Errorf("%s: %s, expected %s once", r.Key, r.Value, want[string(r.Key)])
			}
			delete(want, string(r.Key))
		})
		if len(want) == 0 && n >= 3 {
			cancel()
		}
	}
	if len(want) > 0 {
		t.Errorf("these are missing: %v", want)
	}
}

// Goal: velo doctor kafka says what will hold, as text and as JSON, and its status says whether
// something fails. Method: the program itself, over a broker in this process.
func TestDoctor(t *testing.T) {
	velo := build(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	brokers := "brokers=" + strings.Join(cluster.ListenAddrs(), ",")
	out, err := exec.Command(velo, "doctor", "kafka", brokers, "topic=in").Output()
	if err != nil || !strings.Contains(string(out), "ok       fencing: ") ||
		!strings.Contains(string(out), "holds    sink: with --state each row exactly once") {
		t.Errorf("%v: %s", err, out)
	}
	run := exec.Command(velo, "doctor", "kafka", brokers, "topic=out", "--json")
	out, _ = run.Output()
	if run.ProcessState.ExitCode() != 1 || !strings.Contains(string(out),
		`{"system":"kafka","failed":true,"findings":[`) {
		t.Errorf("status %d: %s", run.ProcessState.ExitCode(), out)
	}
}

// Goal: values that cannot be read are set aside with topic, partition and offset, and the
// program says so.
func TestPoison(t *testing.T) {
	velo := build(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "in"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, value := range []string{`{"k":1}`, `nonsense`, `{"k":"x"}`, `{"k":2}`} {
		if err := client.ProduceSync(context.Background(), &kgo.Record{
			Topic: "in",
			Value: []byte(value),
		}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	path, aside := filepath.Join(dir, "job.sql"), filepath.Join(dir, "aside.ndjson")
	job := fmt.Sprintf(`CREATE SOURCE s (k bigint, "offset" bigint NOT NULL) WITH (connector = 'kafka', brokers = '%s',
  topic = 'in', until = 'end', offset.column = 'offset');
SELECT sum(k) AS k, max("offset") AS last FROM s`, brokers)
	if err := os.WriteFile(path, []byte(job), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.Command(velo, "run", path, "--format", "csv", "--quarantine", aside)
	var said bytes.Buffer
	run.Stderr = &said
	out, err := run.Output()
	if run.ProcessState.ExitCode() != 2 || string(out) != "k,last\n3,3\n" ||
		!strings.Contains(said.String(), "2 records could not be read and are not in the result\n"+
			"  1, the first in offset 1: in/0, offset 1: ") {
		t.Errorf("%v: %s\n%s", err, out, said.String())
	}
	set, err := os.ReadFile(aside)
	if err != nil || strings.Count(string(set), "\n") != 2 || !strings.Contains(string(set), `"file":"kafka in/0"`) ||
		!strings.Contains(string(set), `"offset":2`) || !strings.Contains(string(set), `"bytes":"nonsense"`) {
		t.Errorf("%v: %s", err, set)
	}
}

// Goal: records that pass through from topic to topic are there exactly once, though the program is
// killed. Method: it is killed again and again while records are written.
func TestPassJob(t *testing.T) {
	velo := build(t)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "in", "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "job.sql")
	job := `CREATE SOURCE s (v bigint NOT NULL) WITH (connector = 'kafka', brokers = '%[1]s', topic = 'in'%[2]s);
CREATE SINK d WITH (connector = 'kafka', brokers = '%[1]s', topic = 'out');
INSERT INTO d SELECT v * 2 AS v FROM s WHERE v >= 0;
`
	write := func(options string) {
		if err := os.WriteFile(path, fmt.Appendf(nil, job, brokers, options), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"run", path, "--state", filepath.Join(dir, "state"), "--checkpoint", "100ms", "--cores", "1"}
	n := 0
	write("")
	for range 4 {
		run := exec.Command(velo, args...)
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			var records []*kgo.Record
			for range 100 {
				records = append(records, &kgo.Record{Topic: "in", Value: fmt.Appendf(nil, `{"v":%d}`, n)})
				n++
			}
			if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(25 * time.Millisecond)
		}
		_ = run.Process.Kill()
		_ = run.Wait()
	}
	write(", until = 'end'")
	out, err := exec.Command(velo, args...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "velo: s -> d: exactly once") {
		t.Fatalf("%v: %s", err, out)
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics("out"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	seen := map[string]int{}
	poll := func(most time.Duration) {
		ctx, cancel := context.WithTimeout(context.Background(), most)
		defer cancel()
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++ })
	}
	for until := time.Now().Add(time.Minute); len(seen) < n && time.Now().Before(until); {
		poll(time.Second)
	}
	for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); { // what should not be there
		poll(100 * time.Millisecond)
	}
	for v := range n {
		if row := fmt.Sprintf(`{"v":%d}`, 2*v); seen[row] != 1 {
			t.Errorf("%s is there %d times", row, seen[row])
			break
		}
	}
	if len(seen) != n {
		t.Errorf("%d rows, expected %d", len(seen), n)
	}
}

// Goal: what velo serve keeps is read with a client of PostgreSQL. Method: the program itself; a job
// is applied and records are pushed over HTTP.
func TestServePostgreSQL(t *testing.T) {
	velo := build(t)
	web, wire := freePort(t), freePort(t)
	cmd := exec.Command(velo, "serve", "--state", t.TempDir(), "--listen", web, "--pg", wire)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := <-ended; err != nil {
			t.Errorf("velo serve: %v\n%s", err, log.String())
		}
	}()
	sql := filepath.Join(t.TempDir(), "trades.sql")
	if err := os.WriteFile(sql, []byte(`CREATE SOURCE trades (symbol text NOT NULL, size bigint NOT NULL)
		WITH (connector = 'push');
		CREATE MATERIALIZED VIEW volumes AS SELECT symbol, sum(size) AS volume FROM trades GROUP BY symbol`),
		0o600); err != nil {
		t.Fatal(err)
	}
	var out []byte
	err := fmt.Errorf("not tried")
	for began := time.Now(); err != nil && time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		out, err = exec.Command(velo, "apply", "--server", "http://"+web, sql).CombinedOutput()
	}
	if err != nil {
		t.Fatalf("velo apply: %v\n%s", err, out)
	}
	answer, err := http.Post("http://"+web+"/v1/sources/trades/records", "application/x-ndjson",
		strings.NewReader(`{"symbol":"NVDA","size":100}`+"\n"+`{"symbol":"NVDA","size":50}`))
	if err != nil || answer.StatusCode >= 300 {
		t.Fatalf("push: %v, %v", err, answer)
	}
	_ = answer.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, "postgres://velo@"+wire+"/velo?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(ctx) }()
	volume := ""
	for volume != "150" && ctx.Err() == nil {
		err = c.QueryRow(ctx, "SELECT volume::text FROM volumes WHERE symbol = $1", "NVDA").Scan(&volume)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
	}
	var name, state string
	if err := c.QueryRow(ctx, "SELECT definition FROM pg_matviews WHERE matviewname = 'volumes'").Scan(&name); err !=
		nil ||
		!strings.Contains(name, "sum(size)") {
		t.Errorf("the definition is %q, %v", name, err)
	}
	rows, err := c.Query(ctx, "SHOW JOBS")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, _ := rows.Values()
		name, state = fmt.Sprint(values[0]), fmt.Sprint(values[1])
	}
	if rows.Err() != nil || name != "trades" || state != "running" {
		t.Errorf("SHOW JOBS: %s is %s, %v", name, state, rows.Err())
	}
	for _, step := range []struct{ sql, code string }{
		{"ALTER JOB trades PAUSE", ""},
		{"ALTER JOB none PAUSE", "42704"},
		{"ALTER JOB trades FLY", "42601"},
		{"ALTER TABLE volumes ADD x int", "25006"},
		{"ALTER JOB trades RESUME", ""},
		{"DROP JOB trades", ""},
		{"SELECT * FROM volumes", "42P01"},
	} {
		_, err := c.Exec(ctx, step.sql)
		var e *pgconn.PgError
		if (step.code != "" || err != nil) && (!errors.As(err, &e) || e.Code != step.code) {
			t.Errorf("%s: %v, expected %q", step.sql, err, step.code)
		}
	}
}

// freePort is an address of this machine that nobody listens on.
func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
