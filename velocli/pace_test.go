//go:build unix

package velocli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/internal/cli"

	"github.com/velo-engine/velo/query"
)

// growing are files that a test writes to while the program follows them, and what the program has
// said until now.
type growing struct {
	t      *testing.T
	folder string
	mu     sync.Mutex
	out    bytes.Buffer
	errs   bytes.Buffer
	status chan int
}

// follows starts the program. It ends with the test, or when stop is called.
func follows(t *testing.T, folder string, args ...string) *growing {
	t.Helper()
	g := &growing{t: t, folder: folder, status: make(chan int, 1)}
	go func() { g.status <- run(args, strings.NewReader(""), locked{g, &g.out}, locked{g, &g.errs}) }()
	return g
}

type locked struct {
	g  *growing
	to io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	return l.to.Write(b)
}

// add appends to a file.
func (g *growing) add(name, text string) {
	g.t.Helper()
	f, err := os.OpenFile(filepath.Join(g.folder, name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		g.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		g.t.Fatal(err)
	}
}

// texts is what the program has printed and said.
func (g *growing) texts() (out, errs string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.out.String(), g.errs.String()
}

// awaits waits until the program has printed, or said, a text.
func (g *growing) awaits(text string) {
	g.t.Helper()
	for begin := time.Now(); time.Since(begin) < signalGrace; <-time.After(time.Millisecond) {
		if out, errs := g.texts(); strings.Contains(out+errs, text) {
			return
		}
		select {
		case status := <-g.status:
			out, errs := g.texts()
			g.t.Fatalf("it has ended with status %d, and has not said %q\n%s%s", status, text, out, errs)
		default:
		}
	}
	out, errs := g.texts()
	g.t.Fatalf("it does not say %q\n%s%s", text, out, errs)
}

// end interrupts the program and returns its status.
func (g *growing) end() (out, errs string, status int) {
	g.t.Helper()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		g.t.Fatal(err)
	}
	if err := self.Signal(os.Interrupt); err != nil {
		g.t.Skipf("a process cannot interrupt itself here: %v", err)
	}
	select {
	case status = <-g.status:
	case <-time.After(signalGrace):
		g.t.Fatal("it does not end")
	}
	out, errs = g.texts()
	return out, errs, status
}

// Goal: windows over a followed file are printed as they close, in every format, with the names
// once; those that are open at the end are not printed, and that is said; a late record is said
// too. Method: the file grows when the window before has been printed.
func TestFollowWindows(t *testing.T) {
	for format, want := range map[string]string{
		"csv": "window_start,n\n2024-01-01T00:00:00Z,3\n2024-01-01T00:01:00Z,4\n",
		"ndjson": `{"window_start":"2024-01-01T00:00:00Z","n":3}` + "\n" +
			`{"window_start":"2024-01-01T00:01:00Z","n":4}` + "\n",
		"table": "window_start          n\n--------------------  -\n2024-01-01T00:00:00Z  3\n2024-01-01T00:01:00Z  4\n",
	} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			g := &growing{t: t, folder: dir}
			g.add("in.csv", "n,at\n1,2024-01-01T00:00:00Z\n2,2024-01-01T00:00:59Z\n")
			g = follows(t, dir, "query", "--follow", "--watermark=2s", "--format="+format,
				`SELECT window_start, sum(n) AS n FROM "`+dir+`/in.csv" GROUP BY tumble(at, INTERVAL '1 minute')`)
			g.add("in.csv", "4,2024-01-01T00:01:02Z\n")
			g.awaits("2024-01-01T00:00:00Z")
			g.add("in.csv", "100,2024-01-01T00:00:01Z\n8,2024-01-01T00:02:02Z\n")
			g.awaits("2024-01-01T00:01:00Z")
			out, errs, status := g.end()
			if out != want || status != 0 {
				t.Errorf("status %d\n%s\nexpected\n%s", status, out, want)
			}
			for _, says := range []string{"1 records were late", "--watermark", "1 windows had not closed"} {
				if !strings.Contains(errs, says) {
					t.Errorf("it does not say %q\n%s", says, errs)
				}
			}
		})
	}
}

// Goal: a file in which nothing comes does not hold back the windows of others for ever, in a query
// and in a job. Method: two files, one of which grows.
func TestIdleFile(t *testing.T) {
	dir := t.TempDir()
	g := &growing{t: t, folder: dir}
	g.add("a.csv", "n,at\n1,2024-01-01T00:00:00Z\n")
	g.add("b.csv", "n,at\n1,2024-01-01T00:00:00Z\n")
	job := write(t, "job.sql", `CREATE SOURCE f (n bigint, at timestamp NOT NULL, WATERMARK FOR at AS at)
		WITH (connector = 'file', path = '`+dir+`/?.csv', follow = true, idle = '50 ms');
		SELECT window_start, sum(n) AS n FROM f GROUP BY tumble(at, INTERVAL '1 minute')`)
	for what, args := range map[string][]string{
		"query": {
			"query", "--follow", "--idle=50ms", "--watermark=0s", "--format=csv",
			`SELECT window_start, sum(n) AS n FROM "` + dir + `/?.csv" GROUP BY tumble(at, INTERVAL '1 minute')`,
		},
		"run": {"run", "--format=csv", job},
	} {
		t.Run(what, func(t *testing.T) {
			g := follows(t, dir, args...)
			end := make(chan struct{})
			defer close(end)
			go func() { // a file goes on
				for at := time.Date(2024, 1, 1, 0, 1, 0, 0, time.UTC); ; at = at.Add(time.Second) {
					select {
					case <-end:
						return
					case <-time.After(5 * time.Millisecond):
						g.add("a.csv", "1,"+at.Format(time.RFC3339)+"\n")
					}
				}
			}()
			g.awaits("2024-01-01T00:00:00Z,2\n")
			if _, errs, status := g.end(); status != 0 {
				t.Errorf("status %d\n%s", status, errs)
			}
		})
	}
}

// Goal: what cannot be said about windows is refused, with what to do.
func TestPaceRefused(t *testing.T) {
	path := write(t, "t.csv", "n,at", "1,2024-01-01T00:00:00Z")
	window := `SELECT count(*) FROM "` + path + `" GROUP BY tumble(at, INTERVAL '1 minute')`
	for _, c := range []struct {
		args   []string
		says   string
		status int
	}{
		{[]string{"--idle=1s", window}, "without --follow or --watermark", cli.StatusMisuse},
		{[]string{"--follow", "--idle=-1s", window}, "--idle -1s: expected 0s or more", cli.StatusMisuse},
		{[]string{"--watermark=-1s", window}, "--watermark -1s: expected 0s or more", cli.StatusMisuse},
		{
			[]string{"--watermark=1s", `SELECT count(*) FROM "` + path + `"`},
			"has no window over times",
			statusFailed,
		},
		{[]string{"--watermark=1s", `SELECT count(*) FROM "` + path +
			`" GROUP BY tumble(proctime(), INTERVAL '1 minute')`}, "has no window over times", statusFailed},
	} {
		if _, errs, status := velo(t, "", append([]string{"query"}, c.args...)...); status != c.status ||
			!strings.Contains(errs, c.says) {
			t.Errorf("%v: status %d, %s", c.args, status, errs)
		}
	}
	job := write(t, "job.sql", `CREATE SOURCE f (n bigint, at timestamp NOT NULL) WITH (connector = 'file', path = '`+
		path+`', idle = '1 s');
		SELECT window_start, sum(n) AS n FROM f GROUP BY tumble(at, INTERVAL '1 minute')`)
	if _, errs, status := velo(t, "", "run", job); status != statusFailed ||
		!strings.Contains(errs, "without WATERMARK") {
		t.Errorf("a job: status %d, %s", status, errs)
	}
}

// slowly is standard input that takes its time.
type slowly struct {
	lines []string
	pause time.Duration
}

func (s *slowly) Read(b []byte) (int, error) {
	if len(s.lines) == 0 {
		return 0, io.EOF
	}
	<-time.After(s.pause)
	line := s.lines[0]
	s.lines = s.lines[1:]
	return copy(b, line), nil
}

// Goal: windows by the clock of the process are all there, in a query and in a job: each is written
// when it closes. Method: standard input that takes longer than some windows; the numbers add up.
func TestProcessingTime(t *testing.T) {
	sql := `SELECT window_start, count(*) AS n FROM %s GROUP BY tumble(proctime(), INTERVAL '20 ms')`
	job := write(t, "job.sql", `CREATE SOURCE s (c1 bigint) WITH (connector = 'stdin', header = 'false'); `+
		strings.Replace(sql, "%s", "s", 1))
	for what, args := range map[string][]string{
		"query": {"query", "--format=csv", "--no-header", strings.Replace(sql, "%s", "stdin", 1)},
		"run":   {"run", "--format=csv", job},
	} {
		in := &slowly{pause: 50 * time.Millisecond}
		for range 20 {
			in.lines = append(in.lines, "1\n")
		}
		var out, errs bytes.Buffer
		if status := run(args, in, &out, &errs); status != 0 {
			t.Fatalf("%s: status %d, %s", what, status, errs.String())
		}
		n := 0
		for line := range strings.Lines(out.String()) {
			if _, number, found := strings.Cut(strings.TrimSpace(line), "Z,"); found {
				v, err := strconv.Atoi(number)
				if err != nil {
					t.Error(err)
				}
				n += v
			}
		}
		if n != 20 || strings.Count(out.String(), "\n") < 4 {
			t.Errorf("%s: %d records in\n%s", what, n, out.String())
		}
	}
}

// Goal: windows over standard input are printed as they close, as a table too. Method: standard
// input that ends when the first window has been printed.
func TestWatermarkOfStdin(t *testing.T) {
	job := write(t, "job.sql", `CREATE SOURCE s (at timestamp NOT NULL, WATERMARK FOR at AS at) WITH (connector = 'stdin', header = 'false');
		SELECT window_start, count(*) AS n FROM s GROUP BY tumble(at, INTERVAL '1 minute')`)
	for what, args := range map[string][]string{
		"query": {
			"query", "--no-header", "--watermark=0s",
			`SELECT window_start, count(*) AS n FROM stdin GROUP BY tumble(c1, INTERVAL '1 minute')`,
		},
		"run": {"run", job},
	} {
		t.Run(what, func(t *testing.T) {
			in, to := io.Pipe()
			g := &growing{t: t, status: make(chan int, 1)}
			go func() { g.status <- run(args, in, locked{g, &g.out}, locked{g, &g.errs}) }()
			if _, err := io.WriteString(
				to, "2024-01-01T00:00:30Z\n2024-01-01T00:01:30Z\n2024-01-01T00:02:30Z\n"); err != nil {
				t.Fatal(err)
			}
			g.awaits("2024-01-01T00:00:00Z  1\n2024-01-01T00:01:00Z  1\n")
			if err := to.Close(); err != nil {
				t.Error(err)
			}
			g.awaits("2024-01-01T00:02:00Z  1\n")
			if status := <-g.status; status != 0 {
				t.Errorf("status %d", status)
			}
		})
	}
}

// Goal: a followed source of a job is waited for as one of a query is, unless it says how long.
func TestIdleOfJobs(t *testing.T) {
	for options, want := range map[string]time.Duration{
		"follow = true":                     followIdle,
		"follow = true, idle = '2 s'":       2 * time.Second,
		"follow = true, idle = '0 s'":       0,
		"idle = '3 s'":                      3 * time.Second,
		"follow = false, format = 'ndjson'": 0,
	} {
		job, err := query.CompileJob(`CREATE SOURCE f (n bigint, at timestamp, WATERMARK FOR at AS at) WITH (connector = 'file', path = 'x', `+options+`);
			SELECT window_start, sum(n) AS n FROM f GROUP BY tumble(at, INTERVAL '1 minute')`, connect.Default)
		if err != nil {
			t.Fatal(err)
		}
		o := job.Outputs[0]
		if err := setIdle(o); err != nil || o.Plan.Window.Idle != want {
			t.Errorf("%s: idle after %v, %v, expected %v", options, o.Plan.Window.Idle, err, want)
		}
	}
}
