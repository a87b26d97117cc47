//go:build unix

package velocli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/velo-engine/velo/internal/cli"
)

// screen runs the program, with standard output or standard error in a terminal of its own, and gives what that has got.
func screen(t *testing.T, columns, rows uint16, outIsTerminal bool, args ...string) (seen, other string, status int) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("there are no pseudo-terminals: %v", err)
	}
	defer master.Close()
	if err := pty.Setsize(slave, &pty.Winsize{Cols: columns, Rows: rows}); err != nil {
		t.Fatal(err)
	}
	got := make(chan string)
	go func() {
		text, _ := io.ReadAll(master) // it ends with an error where the other end is closed
		got <- string(text)
	}()
	var rest bytes.Buffer
	out, errs := io.Writer(slave), io.Writer(&rest)
	if !outIsTerminal {
		out, errs = errs, out
	}
	status = run(args, strings.NewReader(""), out, errs)
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	return <-got, rest.String(), status
}

// Goal: a query over files shows in a terminal how far it is, and takes it away; where standard error is no terminal there is nothing of it.
func TestProgress(t *testing.T) {
	after := progressAfter
	progressAfter = 0
	defer func() { progressAfter = after }()
	dir := t.TempDir()
	timedFile(t, dir+"/in.csv", signalRows)
	sql := fmt.Sprintf(`SELECT count(*) AS n FROM "%s"`, dir+"/in.csv")
	seen, out, status := screen(t, 60, 20, false, "query", "--format=csv", "--no-header", sql)
	if status != 0 || out != fmt.Sprintf("n\n%d\n", signalRows) {
		t.Errorf("status %d, %s", status, out)
	}
	// On a machine that is fast enough there is nothing to show.
	if seen != "" {
		if !strings.Contains(seen, " % [") || !strings.HasSuffix(seen, eraseLine) {
			t.Errorf("%q", seen)
		}
		for frame := range strings.SplitSeq(seen, eraseLine) {
			if len(frame) > 59 {
				t.Errorf("a line of %d columns in 60: %q", len(frame), frame)
			}
		}
	}
	if _, errs, _ := velo(t, "", "query", "--format=csv", "--no-header", sql); errs != "" {
		t.Errorf("standard error is no terminal: %q", errs)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, _, ok := cli.TerminalSize(null); ok {
		t.Errorf("%s is a terminal", os.DevNull)
	}
}

// Goal: the line says share, numbers and time in their units.
func TestProgressLine(t *testing.T) {
	e := extent{files: 1, bytes: 1e9, records: 10e6}
	for _, c := range []struct {
		records uint64
		elapsed time.Duration
		want    string
	}{
		{0, time.Second, "  0 % [------------------------------] 0 records, 0/s"},
		{2_500_000, time.Second, " 25 % [#######-----------------------] 2.50 M records, 2.50 M/s, about 4 s left"},
		{5_000_000, 10 * time.Minute, " 50 % [###############---------------] 5.00 M records, 8.33 k/s, about " +
			"11 min left"},
		{50_000_000, time.Hour, " 99 % [#############################-] 50.0 M records, 13.9 k/s, about 37 s left"},
		{100_000, time.Hour, "  1 % [------------------------------] 100 k records, 28/s, about 99.0 h left"},
	} {
		if got := progressLine(e, c.records, c.elapsed); got != c.want {
			t.Errorf("%q, expected %q", got, c.want)
		}
	}
}

var escapes = regexp.MustCompile("\x1b\\[[?0-9]*[A-Za-z]")

// Goal: a live view shows what a snapshot has, fits into its terminal, leaves it as it was, and the result comes after it. Method: what a terminal gets of a whole run; the last frame is from the end.
func TestLive(t *testing.T) {
	dir := t.TempDir()
	timedFile(t, dir+"/in.csv", signalRows)
	sql := fmt.Sprintf(`SELECT c1 AS k, count(*) AS n, sum(c1) AS s FROM "%s" GROUP BY c1`, dir+"/in.csv")
	seen, errs, status := screen(t, 70, 12, true, "query", "--live", "--no-header", "--partitions=2", sql)
	before, result, left := strings.Cut(seen, leaveView)
	if status != 0 || !left || !strings.HasPrefix(before, enterView) || errs != "" {
		t.Fatalf("status %d, %q, %s", status, seen, errs)
	}
	if lines := strings.Count(result, "\n"); lines != 12 || !strings.Contains(result, "k      n") {
		t.Errorf("the result is\n%s", result)
	}
	frames := strings.Split(before, homeView)
	last := escapes.ReplaceAllString(frames[len(frames)-1], "")
	lines := strings.Split(last, "\r\n")
	if len(lines) != 12 {
		t.Errorf("%d lines in a terminal of 12:\n%s", len(lines), last)
	}
	for _, line := range lines {
		if line = strings.TrimRight(line, "\r"); len(line) > 70 { // the terminal adds one
			t.Errorf("a line of %d columns in 70: %q", len(line), line)
		}
	}
	for _, want := range []string{
		"records 400000", "groups 10", "late 0", "set aside 0",
		"shown as it was 0 records ago", "source", "ended", "k      n", "  40000",
	} {
		if !strings.Contains(last, want) {
			t.Errorf("there is no %q in\n%s", want, last)
		}
	}
	if _, errs, status := velo(t, "", "query", "--live", "--no-header", sql); status != statusFailed ||
		!strings.Contains(errs, "no terminal") {
		t.Errorf("without a terminal: status %d, %s", status, errs)
	}
}

// Goal: the view shows the greatest groups, in their order, whatever order they come in.
func TestRank(t *testing.T) {
	var top []ranked
	made := 0
	for i := range 1000 {
		v := float64(i * 7919 % 1000)
		top = rank(top, 3, ranked{v, nil}, func() []string { made++; return []string{fmt.Sprint(v)} })
	}
	if len(top) != 3 || top[0].texts[0] != "999" || top[1].texts[0] != "998" || top[2].texts[0] != "997" || made > 100 {
		t.Errorf("%v, %d texts made", top, made)
	}
}

// Goal: a signal in a live view leaves the terminal as it was. Method: the program in a terminal.
func TestLiveSignal(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	timedFile(t, dir+"/in.csv", signalRows)
	cmd := exec.Command(path, "query", "--live", "--no-header",
		fmt.Sprintf(`SELECT c1, count(*) AS n FROM "%s" GROUP BY c1`, dir+"/in.csv"))
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Skipf("there are no pseudo-terminals: %v", err)
	}
	defer terminal.Close()
	hang := time.AfterFunc(signalGrace, func() { _ = cmd.Process.Kill() })
	defer hang.Stop()
	first := make([]byte, 1)
	if _, err := terminal.Read(first); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Signal(os.Interrupt) // it may just have ended
	rest, _ := io.ReadAll(terminal)      // it ends with an error where the other end is closed
	_ = cmd.Wait()                       // the status says it
	if status := cmd.ProcessState.ExitCode(); status != statusInterrupted && status != 0 ||
		strings.Count(string(rest), leaveView) != 1 {
		t.Errorf("status %d\n%q", status, rest)
	}
}

// Goal: the live view of a job shows each query and each source, the silent ones first; what is said meanwhile comes after it, and
// standard output has the results alone. A job that prints over its view is refused. Method: what a terminal gets of a whole run.
func TestRunLive(t *testing.T) {
	dir := t.TempDir()
	timedFile(t, dir+"/in.csv", signalRows)
	source := `CREATE SOURCE f (k bigint NOT NULL, at timestamp NOT NULL, WATERMARK FOR at AS at - INTERVAL '1 minute')
		WITH (connector = 'file', path = '` + dir + `/in.csv', header = 'false');`
	job := write(t, "job.sql", source+`CREATE SINK w AS SELECT window_start, k, count(*) AS n FROM f GROUP BY k, tumble(at, INTERVAL '1 s')
		WITH (connector = 'file', path = '`+dir+`/w.csv'); SELECT k, count(*) AS n FROM f GROUP BY k ORDER BY k`)
	seen, out, status := screen(t, 100, 30, false, "run", "--live", "--format=csv", job)
	if status != 0 || !strings.HasPrefix(out, "k,n\n0,40000\n") {
		t.Errorf("status %d, %s", status, out)
	}
	before, after, left := strings.Cut(seen, leaveView)
	if !left || !strings.HasPrefix(before, enterView) || after != "" {
		t.Errorf("%q comes after the view", after)
	}
	frames := strings.Split(before, homeView)
	last := escapes.ReplaceAllString(frames[len(frames)-1], "")
	for _, want := range []string{
		"w  ", "SELECT  ", "records 400000", "windows 400 written, 0 open", "late 0", "ended",
		"file " + dir + "/in.csv",
	} {
		if !strings.Contains(last, want) {
			t.Errorf("there is no %q in\n%s", want, last)
		}
	}
	if _, errs, status := velo(t, "", "run", "--live", job); status != statusFailed ||
		!strings.Contains(errs, "standard error is no terminal") {
		t.Errorf("without a terminal: status %d, %s", status, errs)
	}
	say := &heldBack{to: &bytes.Buffer{}}
	say.cover(true)
	note(say, "meanwhile")
	if text := say.to.(*bytes.Buffer).String(); text != "" {
		t.Errorf("%q over the view", text)
	}
	say.cover(false)
	if text := say.to.(*bytes.Buffer).String(); text != "meanwhile\n" {
		t.Errorf("%q after the view", text)
	}
}

// Goal: sources that have been silent for the longest time are shown first, and what cannot be shown is counted.
func TestLiveSources(t *testing.T) {
	m := &meter{}
	m.saw(10, time.Second)
	m.saw(10, 2*time.Second)
	if m.rate != 0 || m.moved != time.Second {
		t.Errorf("%+v", m)
	}
	m.saw(40, 3*time.Second)
	if m.rate != 30 || m.moved != 3*time.Second {
		t.Errorf("%+v", m)
	}
}

// Goal: --memory and VELO_MEMORY bound what the groups of all queries take; what is too little or no size is refused.
func TestMemory(t *testing.T) {
	path := write(t, "t.csv", "a", "1")
	sql := `SELECT a, count(*) AS n FROM "` + path + `" GROUP BY a`
	for arg, says := range map[string]string{
		"64MB": "", "1 GiB": "", "1kB": "expected 1 MiB at least",
		"lots": "such as '64 MB'",
	} {
		_, errs, status := velo(t, "", "query", "--memory", arg, sql)
		if (status == 0) != (says == "") || !strings.Contains(errs, says) {
			t.Errorf("--memory %s: status %d, %s", arg, status, errs)
		}
		t.Setenv("VELO_MEMORY", arg)
		_, errs, status = velo(t, "", "query", sql)
		if (status == 0) != (says == "") || !strings.Contains(errs, says) {
			t.Errorf("VELO_MEMORY=%s: status %d, %s", arg, status, errs)
		}
	}
	t.Setenv("VELO_MEMORY", "")
	s := sizing{Memory: "64MiB"}
	if err := s.fill(4, 4); err != nil || s.stateBytes != 16<<20 {
		t.Errorf("%d bytes for each of 4 queries, %v", s.stateBytes, err)
	}
	var lines []string
	for i := range 300_000 {
		lines = append(lines, fmt.Sprintf("%d", i*7919))
	}
	many := write(t, "many.csv", append([]string{"a"}, lines...)...)
	_, errs, status := velo(t, "", "query", "--memory=1MiB", `SELECT a, count(*) AS n FROM "`+many+`" GROUP BY a`)
	if status != statusFailed || !strings.Contains(errs, "--memory, or VELO_MEMORY, gives") {
		t.Errorf("more groups than there is memory for: status %d, %s", status, errs)
	}
}

// Goal: a live view of an engine that moves shards says so.
func TestRebalanceLive(t *testing.T) {
	path := t.TempDir() + "/job.sql"
	err := os.WriteFile(path, []byte(`CREATE SOURCE g (key bigint NOT NULL, value bigint NOT NULL) WITH (
		connector = 'generator', rows = '100000', groups = '100');
		SELECT key, count(*) AS n FROM g GROUP BY key`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	seen, errs, status := screen(t, 120, 20, false, "run", "--live", "--rebalance", path)
	if status != 0 || !strings.Contains(seen, "shards moved 0") {
		t.Errorf("status %d\n%s\n%s", status, seen, errs)
	}
}
