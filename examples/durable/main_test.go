package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// child is set in the process that is killed: the folder to use.
const child = "VELO_DURABLE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(child); dir != "" {
		if err := run(context.Background(), dir, time.Millisecond, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// Goal: an order that was acknowledged is counted once, whenever the service is killed. Method: a process of its own gets orders and is killed at a random one, again and again; at the end the
// counts count the lines in the log, which has all that were acknowledged.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	taken := 0
	for range 8 {
		taken = killed(t, dir, taken, 1+r.IntN(3000))
	}
	var out bytes.Buffer
	if err := run(t.Context(), dir, time.Second, strings.NewReader("A\nB\n"), &out); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "orders.log"))
	if err != nil {
		t.Fatal(err)
	}
	in := strings.Count(string(text), "\n")
	if in < taken+2 {
		t.Errorf("the log has %d orders, %d were acknowledged", in, taken+2)
	}
	want := fmt.Sprintf("A %d\nB %d\n", strings.Count(string(text), "A\n"), strings.Count(string(text), "B\n"))
	if !strings.HasSuffix(out.String(), want) {
		t.Errorf("it ends with\n%s\nexpected\n%s", out.String()[max(0, out.Len()-100):], want)
	}
}

// killed runs the service, kills it after some acknowledgements, and returns the last one. At least as many as before must have survived.
func killed(t *testing.T, dir string, before, after int) (taken int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), child+"="+dir)
	cmd.Stderr = os.Stderr
	in, inErr := cmd.StdinPipe()
	out, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	go func() {
		for i := 0; ; i++ {
			if _, err := io.WriteString(in, "AB"[i%2:i%2+1]+"\n"); err != nil {
				return
			}
		}
	}()
	taken = before
	lines := bufio.NewScanner(out)
	for n := 0; n < after && lines.Scan(); {
		if text, ok := strings.CutSuffix(lines.Text(), " orders from before"); ok {
			if survived, err := strconv.Atoi(text); err != nil || survived < before {
				t.Errorf("%s orders have survived, %d were acknowledged", text, before)
			}
		} else if text, ok := strings.CutPrefix(lines.Text(), "taken "); ok {
			n++
			if taken, err = strconv.Atoi(text); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	return taken
}

// Goal: a log that lacks what was counted is refused.
func TestOtherLog(t *testing.T) {
	dir := t.TempDir()
	if err := run(t.Context(), dir, time.Second, strings.NewReader("A\nA\nB\n"), io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "orders.log"), []byte("A\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), dir, time.Second, strings.NewReader(""), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "has 1 orders, and 3 were counted") {
		t.Errorf("%v", err)
	}
}
