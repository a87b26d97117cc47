package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program is run with a socket of its own.
type program struct {
	socket string
	ended  chan error
	cancel func()

	mu   sync.Mutex
	text strings.Builder
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

// last is the last table that was printed.
func (p *program) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.text.String()
	return text[max(strings.LastIndex(text, " sources"), 0):]
}

func start(t *testing.T) *program {
	t.Helper()
	dir, err := os.MkdirTemp("", "velo") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &program{socket: filepath.Join(dir, "s"), ended: make(chan error, 1)}
	l, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Skipf("no unix sockets: %v", err)
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	go func() { p.ended <- run(ctx, l, time.Millisecond, 2, p) }()
	return p
}

func (p *program) stop(t *testing.T) {
	t.Helper()
	p.cancel()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}

func (p *program) dial(t *testing.T) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn)
}

// talk writes lines and returns the answer.
func (p *program) talk(t *testing.T, lines string) (answer string, err error) {
	t.Helper()
	c := p.dial(t)
	defer c.Close()
	_, err = io.WriteString(c, lines)
	if err == nil {
		err = c.CloseWrite()
	}
	text, more := io.ReadAll(c) // also where it was closed before it had read anything
	return string(text), errors.Join(err, more)
}

// Goal: the table adds up what all connections wrote, and a malformed line costs that line only.
func TestTable(t *testing.T) {
	p := start(t)
	const clients, rounds = 6, 2000
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			var lines strings.Builder
			for range rounds {
				fmt.Fprintf(&lines, "most 100\nclient%d 1\nsecond  50 \n", c)
			}
			answer, err := p.talk(t, lines.String()+"no-number\nnegative -4\n"+strings.Repeat("long ", 1000)+"\nlast 7") // no newline at the end
			if want := fmt.Sprintf("%d lines taken\n", 3*rounds+1); err != nil || answer != want {
				t.Errorf("the answer is %q, %v, expected %q", answer, err, want)
			}
		})
	}
	all.Wait()
	want := fmt.Sprintf(" sources, %d malformed lines, 0 connections refused\n%12d  most\n%12d  second\n", 3*clients, 100*clients*rounds, 50*clients*rounds)
	for end := time.Now().Add(time.Minute); p.last() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q, expected %q", p.last(), want)
		}
	}
	p.stop(t)
	if got := p.last(); got != want {
		t.Errorf("at the end %q, expected %q", got, want)
	}
	if text := p.text.String(); !strings.Contains(text, fmt.Sprintf("%d sources", clients+3)) {
		t.Errorf("expected %d sources in\n%s", clients+3, text)
	}
}

// Goal: a connection that is open does not hold up the end, and what it wrote before is in the last table.
func TestStop(t *testing.T) {
	p := start(t)
	c := p.dial(t)
	defer c.Close()
	if _, err := io.WriteString(c, "early 5\n"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(p.last(), "early"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is printed while the connection is open")
		}
	}
	p.stop(t)
	if got := p.last(); !strings.Contains(got, "5  early") {
		t.Errorf("at the end %q", got)
	}
}

// Goal: a connection that finds no lane is told so; when another has ended there is room again.
func TestRefused(t *testing.T) {
	p := start(t)
	var held []*net.UnixConn
	for range maxConnections {
		held = append(held, p.dial(t))
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // until all have been accepted
		if answer, _ := p.talk(t, ""); strings.HasPrefix(answer, "refused: ") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("never refused")
		}
	}
	for _, c := range held {
		c.Close()
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) { // until their lanes have left
		if answer, err := p.talk(t, "back 1\n"); err == nil && answer == "1 lines taken\n" {
			break
		}
		if time.Now().After(end) {
			t.Fatal("refused for ever")
		}
	}
	p.stop(t)
}

func TestParse(t *testing.T) {
	for line, want := range map[string]packet{
		"a 1\n": {"a", 1}, "a 0": {"a", 0}, " a  12 \r\n": {"a", 12}, "ä 4611686018427387903": {"ä", 1<<62 - 1},
	} {
		if got, ok := parse([]byte(line)); !ok || got != want {
			t.Errorf("%q: %v %v, expected %v", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "\n", "a", "a b", "a 1 2", "a -1", "a 1.5", "a 4611686018427387904"} {
		if got, ok := parse([]byte(line)); ok {
			t.Errorf("%q: %v, expected that it is malformed", line, got)
		}
	}
}
