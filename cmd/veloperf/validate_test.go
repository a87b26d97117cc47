package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Goal: the lines that run an engine pass, and say what was run. How fast the machine is decides nothing here.
func TestValidate(t *testing.T) {
	out, stderr, status := veloperf(t, "validate", "--only=twin,queues,readers,leaks,deadlock,locks", "--duration=30ms",
		"--watch=50ms", "--settle=1ms", "--engines=2", "--profile=seed", "--json")
	names := map[string]bool{}
	for line := range strings.Lines(out) {
		var v struct {
			stamp
			verdict
		}
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err, line)
		}
		names[v.Name] = true
		// What is resident depends on what other tests have left.
		if v.Result != pass && v.Name != "leaks" || v.Ran == "" || v.Figure == "" || v.Expect == "" ||
			v.SchemaVersion != schemaVersion {
			t.Errorf("%+v", v)
		}
	}
	if len(names) != 6 || status != 0 && status != 3 {
		t.Errorf("status %d\n%s%s", status, out, stderr)
	}
	out, _, status = veloperf(t, "validate", "--only=throughput,efficiency", "--duration=10ms", "--runs=1",
		"--profile=seed")
	if status != 0 && status != 3 || !strings.Contains(out, "times the plan's") {
		t.Errorf("status %d\n%s", status, out)
	}
}

// Goal: the lines about the source tree pass, fail and say that they cannot be run. Method: trees of a few lines.
func TestValidateSource(t *testing.T) {
	if out, _, status := veloperf(t, "validate", "--only=warnings,tests", "--source="+t.TempDir()); status != 3 ||
		strings.Count(out, notRun) != 2 || !strings.Contains(out, "--source") {
		t.Errorf("no tree: status %d\n%s", status, out)
	}
	for name, c := range map[string]struct {
		body   string
		status int
		want   []string
	}{
		"good": {"", 0, []string{"0 warnings", "1 packages pass, 0 fail"}},
		"bad":  {`t.Fatalf("%d", "x")`, 3, []string{"1 warnings: ", "0 packages pass, 1 fail: "}},
	} {
		dir := t.TempDir()
		for file, text := range map[string]string{
			"go.mod": "module github.com/velo-engine/velo\n\ngo 1.26\n", "a.go": "package a\n",
			"a_test.go": "package a\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {\n" + c.body + "\n}\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		out, stderr, status := veloperf(t, "validate", "--only=warnings,tests", "--source="+dir)
		if status != c.status {
			t.Errorf("%s: status %d\n%s%s", name, status, out, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: nothing says %q in\n%s", name, want, out)
			}
		}
	}
}

// contend waits for a mutex.
func contend() {
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 20 {
				mu.Lock()
				<-time.After(100 * time.Microsecond)
				mu.Unlock()
			}
		})
	}
	group.Wait()
}

// Goal: a wait for a lock is found, and it counts against the data path if and only if its stack is in it.
func TestWaits(t *testing.T) {
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	before := waits(runtime.MutexProfile)
	contend()
	after := waits(runtime.MutexProfile)
	if in, total := waitsSince(before, after); in != 0 || total == 0 {
		t.Errorf("%d of %d", in, total)
	}
	defer func(path []string) { dataPath = path }(dataPath)
	dataPath = []string{"veloperf.contend"}
	if in, total := waitsSince(before, after); in == 0 || in > total {
		t.Errorf("in the data path: %d of %d", in, total)
	}
}
