package velocli

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Goal: signals within a moment are one, as timeout(1) sends them, and the result is there, also of
// a pipe that has given less than a compressed file has at least; one that has given nothing is no
// failure either. Method: signals when the pipe has been read to where it is.
func TestSameSignal(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	job := write(t, "job.sql", `CREATE SOURCE s (a bigint, b bigint) WITH (connector = 'stdin'); SELECT count(*) AS n FROM s`)
	for _, c := range []struct {
		args       []string
		text, want string
	}{
		{[]string{"query", "--format=csv", "SELECT count(*) AS n FROM stdin"}, "a,b\n1,2\n", "n\n1\n"},
		{[]string{"query", "--format=csv", "SELECT count(*) AS n FROM stdin"}, "a", "n\n0\n"},
		{
			[]string{"query", "--format=csv", "--schema=a bigint, b bigint", "SELECT count(*) AS n FROM stdin"},
			"a,b\n1,2\n3,4", "n\n1\n",
		},
		{[]string{"run", "--format=csv", job}, "a,b\n1,2", ""},
	} {
		cmd, out, errs := signalThrice(t, c.text, path, c.args...)
		// A stall between two of the signals makes them two.
		for tries := 1; tries < 10 && strings.Contains(errs, "ended at once"); tries++ {
			cmd, out, errs = signalThrice(t, c.text, path, c.args...)
		}
		if cmd.ExitCode() != statusInterrupted || strings.Contains(errs, "ended at once") {
			t.Errorf("%v: %v\n%s%s", c.args, cmd, out, errs)
		}
		if out != c.want {
			t.Errorf("%v: %q, expected %q\n%s", c.args, out, c.want, errs)
		}
	}
}

// signalThrice runs the program with a text as its standard input, which does not end, and sends it
// three signals within a moment when it has read the text.
func signalThrice(t *testing.T, text, path string, args ...string) (state *os.ProcessState, out, errs string) {
	t.Helper()
	in, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer to.Close()
	cmd := exec.Command(path, args...)
	var said, failed bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &said, &failed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hang := time.AfterFunc(signalGrace, func() { _ = cmd.Process.Kill() })
	defer hang.Stop()
	if _, err := to.WriteString(text); err != nil {
		t.Fatal(err)
	}
	// it listens before it reads, and until then a signal would kill it
	for left := 1; left > 0; <-time.After(time.Millisecond) {
		if left, err = unix.IoctlGetInt(int(in.Fd()), unix.TIOCINQ); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may just have ended
		<-time.After(time.Millisecond)
	}
	_ = cmd.Wait() // the status says it
	return cmd.ProcessState, said.String(), failed.String()
}

// Goal: who closes standard output ends the query that is printed and not the sinks of the job.
// Method: a job of two queries whose printed one is read up to its first line; the same for a query
// alone, which says nothing.
func TestClosedOutput(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	timedFile(t, "in.csv", signalRows)
	job := `CREATE SOURCE f (k bigint NOT NULL, at timestamp NOT NULL) WITH (connector = 'file', path = 'in.csv', header = 'false');
		CREATE SINK o AS SELECT k, count(*) AS n FROM f GROUP BY k WITH (connector = 'file', path = 'o.csv');
		SELECT k, at FROM f`
	if err := os.WriteFile("job.sql", []byte(job), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		args []string
		says string
	}{
		"run":   {[]string{"run", "job.sql", "--format=csv"}, "SELECT: the reader of standard output has closed it"},
		"query": {[]string{"query", "--format=csv", "--no-header", `SELECT c1, c2 FROM "in.csv"`}, ""},
		"table": {[]string{"query", "--no-header", `SELECT c1, c2 FROM "in.csv"`}, ""},
	} {
		cmd := exec.Command(path, c.args...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		hang := time.AfterFunc(signalGrace, func() { _ = cmd.Process.Kill() })
		defer hang.Stop()
		if _, err := out.Read(make([]byte, 10)); err != nil {
			t.Error(err)
		}
		_ = out.Close()
		_ = cmd.Wait() // the status says it
		if cmd.ProcessState.ExitCode() != statusPiped || !strings.Contains(errs.String(), c.says) || c.says == "" &&
			errs.Len() > 0 {
			t.Errorf("%s: %v\n%s", what, cmd.ProcessState, errs.String())
		}
	}
	text, err := os.ReadFile("o.csv")
	if err != nil || strings.Count(string(text), ",40000\n") != 10 {
		t.Errorf("%v\n%s", err, text)
	}
}

// Goal: a second signal ends a process that does not end at the first. Method: nobody reads what it
// prints any more.
func TestSecondSignal(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	timedFile(t, "in.csv", signalRows)
	job := `CREATE SOURCE f (k bigint NOT NULL, at timestamp NOT NULL, WATERMARK FOR at AS at - INTERVAL '1 s') WITH (connector = 'file', path = 'in.csv', header = 'false');
		SELECT window_start, k, count(*) AS n FROM f GROUP BY k, tumble(at, INTERVAL '1 s')`
	if err := os.WriteFile("job.sql", []byte(job), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "run", "job.sql", "--format=csv")
	out, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer to.Close()
	const room = 4096
	if _, err := unix.FcntlInt(to.Fd(), unix.F_SETPIPE_SZ, room); err != nil {
		t.Skipf("a pipe has no size here: %v", err)
	}
	cmd.Stdout = to
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hang := time.AfterFunc(signalGrace, func() { _ = cmd.Process.Kill() })
	defer hang.Stop()
	for there := 0; there < room-512; <-time.After(time.Millisecond) { // until it waits for room
		if there, err = unix.IoctlGetInt(int(out.Fd()), unix.TIOCINQ); err != nil {
			t.Fatal(err)
		}
	}
	lines := bufio.NewScanner(errs)
	for _, want := range []string{"interrupted", "at once"} {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Errorf("it says %q, expected %q", lines.Text(), want)
		}
		<-time.After(2 * sameSignal) // sooner it would be the same
	}
	for lines.Scan() { // to its end
	}
	_ = cmd.Wait() // the status says it
	if cmd.ProcessState.ExitCode() != statusFailed {
		t.Errorf("%v", cmd.ProcessState)
	}
}
