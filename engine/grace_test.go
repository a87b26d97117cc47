//go:build unix

package engine

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const graceEnv = "VELO_GRACE_CHILD"

// Goal: a process that is stopped for longer than a grace gives up on nothing that returns soon
// after that, and gives up on what does not return. Method: a child waits for a goroutine that
// sleeps ten times for a fortieth of the grace, and is stopped between two of them.
func TestGraceOfAStoppedProcess(t *testing.T) {
	child := exec.Command(os.Args[0], "-test.run=^TestGraceChild$", "-test.timeout=2m")
	child.Env = append(os.Environ(), graceEnv+"=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "waits") {
	}
	time.Sleep(readGrace / 20) // it waits by now
	if err := child.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * readGrace)
	if err := child.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	var text []string
	for lines.Scan() {
		text = append(text, lines.Text())
	}
	if err := child.Wait(); err != nil {
		t.Errorf("%v\n%s", err, strings.Join(text, "\n"))
	}
}

// TestGraceChild is what the process does that TestGraceOfAStoppedProcess stops.
func TestGraceChild(t *testing.T) {
	if os.Getenv(graceEnv) == "" {
		t.Skip("it is run by TestGraceOfAStoppedProcess")
	}
	done := make(chan struct{})
	go func() {
		for range 10 {
			time.Sleep(readGrace / 40)
		}
		close(done)
	}()
	_, _ = os.Stdout.WriteString("waits\n")
	if !within(done, readGrace) {
		t.Error("it gave up on what returns after a quarter of the grace")
	}
	if within(make(chan struct{}), readGrace/10) {
		t.Error("it did not give up on what never returns")
	}
}
