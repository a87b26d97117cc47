package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/velo-engine/velo/internal/counters"
	"github.com/velo-engine/velo/internal/pprofile"
)

// Goal: profiles have the measured parts and not the checks, which take as long. Method: a workload whose check is a Go map, with all
// profiles; a flame graph of what was written.
func TestProfiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	args := []string{
		"run", "--profile=u_1k", "--duration=300ms", "--runs=2", "--json", "--cpuprofile=" + file("cpu"),
		"--memprofile=" + file("mem"),
		"--mutexprofile=" + file("mutex"), "--trace=" + file("trace.out"),
	}
	if out, stderr, status := veloperf(t, args...); status != 0 {
		t.Fatal(out, stderr)
	}
	for _, name := range []string{"cpu", "mem", "mutex"} {
		text, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		p, err := pprofile.Read(bytes.NewReader(text))
		if err != nil {
			t.Fatal(name, err)
		}
		for _, s := range p.Stacks(len(p.Types)-1, "") {
			if strings.Contains(strings.Join(s.Names, " "), "Workload.Reference") {
				t.Errorf("%s: the check is in the profile: %q", name, s.Names)
			}
		}
		if name == "cpu" && len(p.Stacks(1, "")) == 0 {
			t.Error("nothing in the CPU profile")
		}
	}
	traced := func(name string) {
		t.Helper()
		if text, err := os.ReadFile(file(name)); err != nil || !bytes.HasPrefix(text, []byte("go 1.")) {
			t.Errorf("%s: %v, %.20q", name, err, text)
		}
	}
	traced("trace-1.out") // one for each of the parts
	traced("trace-2.out")
	if _, err := os.Stat(file("trace.out")); err == nil {
		t.Error("there is a trace of two parts as if there was one")
	}
	one := []string{"run", "--profile=seed", "--duration=20ms", "--runs=1", "--trace=" + file("one.out")}
	if out, stderr, status := veloperf(t, one...); status != 0 {
		t.Fatal(out, stderr)
	}
	traced("one.out")
	if _, err := os.Stat(file("one-1.out")); err == nil {
		t.Error("the trace of the only part has a number")
	}
	out, stderr, status := veloperf(t, "flame", file("cpu"), "--out="+file("x.svg"), "--top=3")
	if svg, err := os.ReadFile(file("x.svg")); err != nil || status != 0 || !strings.Contains(out, " %  ") ||
		!bytes.Contains(svg, []byte("velo/core")) || !bytes.Contains(svg, []byte("reader/0")) {
		t.Errorf("status %d, %v\n%s%s", status, err, out, stderr)
	}
	if out, _, status := veloperf(t, "flame", file("cpu"), "--out=-"); status != 0 || !strings.HasPrefix(out, "<svg") {
		t.Errorf("status %d, %.100s", status, out)
	}
	for want, args := range map[string][]string{
		"neither a pprof profile": {"flame", write(t, "hello")}, "no value": {"flame", file("cpu"), "--value=x"},
		"no such file": {"readers", "--runs=1", "--max=1", "--duration=1ms", "--memprofile=/nowhere/x"},
	} {
		if _, stderr, status := veloperf(t, args...); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%v: status %d, %s", args, status, stderr)
		}
	}
}

// Goal: what the kernel counts is there for each thread and record, and what it does not is said once.
func TestCounters(t *testing.T) {
	set, err := counters.Open()
	if err != nil {
		if _, stderr, status := veloperf(t, "readers", "--max=1", "--counters"); status != 1 ||
			!strings.Contains(stderr, "counters:") {
			t.Errorf("status %d, %s", status, stderr)
		}
		t.Skip(err)
	}
	args := []string{"run", "--profile=u_1k", "--duration=100ms", "--runs=2", "--counters"}
	out, stderr, status := veloperf(t, append(args, "--json")...)
	var r struct{ Counters countersReport }
	if err := json.Unmarshal([]byte(out), &r); err != nil || status != 0 {
		t.Fatal(status, err, out, stderr)
	}
	sum := counters.Counts{}
	for _, c := range r.Counters.PerRecord {
		sum.Add(c)
	}
	if len(sum) != len(set.Given()) || r.Counters.Records <= 0 || r.Counters.Error != "" || sum["task-clock-ns"] <= 0 {
		t.Errorf("%+v", r.Counters)
	}
	if missing := set.Missing(); missing != r.Counters.Missing || missing != "" &&
		strings.Count(stderr, "not counted") != 1 {
		t.Errorf("missing: %q, said: %s", missing, stderr)
	}
	if out, _, status := veloperf(t, args...); status != 0 || !strings.Contains(out, "for each record") ||
		!strings.Contains(out, "context-switches") {
		t.Errorf("status %d\n%s", status, out)
	}
}

// A teller calls f with each text that is written.
type teller func(string)

func (f teller) Write(b []byte) (int, error) { f(string(b)); return len(b), nil }

// Goal: profiles can be fetched while it runs, and not afterwards.
func TestPprof(t *testing.T) {
	var url, page string
	status := run([]string{"readers", "--max=1", "--duration=100ms", "--runs=2", "--warmup=0", "--pprof=127.0.0.1:0"},
		io.Discard, teller(func(text string) {
			if m := regexp.MustCompile(`http://\S+`).FindString(text); m != "" {
				url = m
			}
			if url != "" && strings.HasPrefix(text, "run 2") {
				r, err := http.Get(url)
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Body.Close()
				b, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				page = string(b)
			}
		}))
	if status != 0 || !strings.Contains(page, "goroutine") {
		t.Errorf("status %d, %s: %.200s", status, url, page)
	}
	if r, err := http.Get(url); err == nil {
		r.Body.Close()
		t.Error("it is still served")
	}
}

// Goal: a trace that is written to a device, a pipe or a link does not take its place: /dev/null of
// a root user would be gone. Method: a link to a file, which must still be one and lead to the
// trace; an ordinary file and a name that nothing has.
func TestMoveFile(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	err := errors.Join(os.WriteFile(target, []byte("before, and longer"), 0o600), os.Symlink(target, link))
	if err != nil {
		t.Skip(err)
	}
	for _, to := range []string{link, target, filepath.Join(dir, "new")} {
		from := filepath.Join(dir, "part")
		if err := os.WriteFile(from, []byte(to), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := moveFile(from, to); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(to); err != nil || string(text) != to {
			t.Errorf("%s has %q, %v", to, text, err)
		}
		if _, err := os.Lstat(from); err == nil {
			t.Errorf("%s: the part is left", to)
		}
		if to == link {
			text, err := os.ReadFile(target)
			info, lerr := os.Lstat(link)
			if errors.Join(err, lerr) != nil || string(text) != link || info.Mode().IsRegular() {
				t.Errorf("the link is gone: %v %v, and leads to %q", err, lerr, text)
			}
		}
	}
}
