package docs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// Goal: the commands of the guide to profiles run and succeed, as far as this machine has the tool. Method: each through a shell, one
// after the other in one folder. What they print is timings, which nothing is said about.
func TestProfilingCommands(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("there is no shell")
	}
	if testing.Short() {
		t.Skip("it measures for some seconds")
	}
	bin, folder := t.TempDir(), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "../cmd/veloperf").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	run := func(line string) (string, error) {
		c := exec.Command(sh, "-c", line)
		c.Dir = folder
		c.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "LC_ALL=C")
		out, err := c.CombinedOutput()
		return string(out), err
	}
	ran := 0
	for _, b := range blocks(t, "profiling.md") {
		if b.kind == "text" {
			continue // what a run printed once
		}
		if b.kind != "console" {
			t.Errorf("%s: a block of kind %q, which nothing checks", b.at, b.kind)
		}
		missing, before := "", ""
		for _, c := range commands(b.text) {
			if tool := strings.Fields(c.line)[0]; missing == "" && tool != "veloperf" {
				if _, err := exec.LookPath(tool); err != nil {
					missing = err.Error()
				} else if out, err := run("perf record -e cpu-clock -o probe.data true"); tool == "perf" && err != nil {
					missing = out
				}
			}
			if strings.Contains(c.line, "--counters") {
				if out, err := run(strings.TrimSpace(c.line)); err != nil && strings.Contains(out, "counters:") {
					t.Logf("%s: %s", b.at, out)
					continue
				}
			}
			if missing != "" {
				t.Logf("%s: not run: %s: %s", b.at, strings.TrimSpace(c.line), missing)
				continue
			}
			out, err := run(c.line)
			for try := 0; err != nil && strings.Contains(out, "has no samples") && try < 10; try++ {
				// The machine gave the run before too little CPU time for one sample: it runs once more.
				if again, err := run(before); err != nil {
					t.Fatalf("%s: %s%v\n%s", b.at, before, err, again)
				}
				out, err = run(c.line)
			}
			if err != nil {
				t.Errorf("%s: %s%v\n%s", b.at, c.line, err, out)
			}
			before = c.line
			ran++
		}
	}
	if ran < 12 {
		t.Errorf("%d commands: too few to mean anything", ran)
	}
	for _, svg := range []string{"flame.svg", "memory.svg", "ring.svg", "starved.svg", "parked.svg", "mem.svg"} {
		if text, err := os.ReadFile(filepath.Join(folder, svg)); err != nil ||
			!strings.HasPrefix(string(text), "<svg") {
			t.Errorf("%s: %v", svg, err)
		}
	}
}

// Goal: every symbol that the guide names is there. Method: its declaration is looked for in the sources of its package.
func TestProfilingSymbols(t *testing.T) {
	text, err := os.ReadFile("profiling.md")
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]string{
		"core": "core", "table": "core/table", "agg": "core/agg", "groupkey": "core/groupkey",
		"record": "record", "engine": "engine", "readers": "readers", "bench": "bench",
	}
	names := regexp.MustCompile("`(core|table|agg|groupkey|record|engine|readers|bench)\\.(?:\\(?\\*?(\\w+)\\)?\\.)?(\\w*)`").FindAllStringSubmatch(string(text), -1)
	if len(names) < 20 {
		t.Fatalf("%d symbols found", len(names))
	}
	for _, m := range names {
		if err := declared(folders[m[1]], m[2], m[3]); err != nil {
			t.Errorf("%s: %v", m[0], err)
		}
	}
	if declared("core", "Router", "noSuchThing") == nil || declared("core", "", "noSuchThing") == nil {
		t.Error("what is not there was found")
	}
}

// declared says whether a folder declares a function, or a method of a type; an empty name is for the type itself.
func declared(folder, receiver, name string) error {
	pattern := fmt.Sprintf(`(?m)^func (\(\w+ \*?%s(\[[^]]*\])?\) )?%s[\[(]`, regexp.QuoteMeta(receiver),
		regexp.QuoteMeta(name))
	switch {
	case name == "":
		pattern = fmt.Sprintf(`(?m)^(type )?\s*%s(\[[^]]*\])? struct`, regexp.QuoteMeta(receiver))
	case receiver == "":
		pattern = fmt.Sprintf(`(?m)^func %s[\[(]`, regexp.QuoteMeta(name))
	}
	find := regexp.MustCompile(pattern)
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(folder), "*.go"))
	if err != nil {
		return err
	}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if find.Match(source) {
			return nil
		}
	}
	return errors.New("it is not declared in " + folder)
}
