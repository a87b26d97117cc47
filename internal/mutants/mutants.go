package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// A mutant is one change to the code, and the tests that should notice it.
type mutant struct {
	name   string
	breaks string // what goes wrong, in one sentence
	named  bool   // the mutant must be killed

	file string // path below the module
	in   string // how the function begins; "" means the whole file
	old  string // text that occurs there exactly once
	new  string

	pkg  string // package whose tests are run
	run  string // tests that are run
	tags string // build tags

	survives string // why no test kills the mutant; "" if one does
}

// apply returns the file with the change.
func (m *mutant) apply(text string) (string, error) {
	from, to := 0, len(text)
	if m.in != "" {
		if n := strings.Count(text, "\n"+m.in); n != 1 {
			return "", fmt.Errorf("%s: %s: %q begins %d lines, expected one", m.name, m.file, m.in, n)
		}
		from = strings.Index(text, "\n"+m.in)
		end := strings.Index(text[from:], "\n}\n")
		if end < 0 {
			return "", fmt.Errorf("%s: %s: %q does not end", m.name, m.file, m.in)
		}
		to = from + end
	}
	if n := strings.Count(text[from:to], m.old); n != 1 {
		return "", fmt.Errorf("%s: %s: the text to change occurs %d times in %q, expected once:\n%s", m.name, m.file, n,
			m.in, m.old)
	}
	return text[:from] + strings.Replace(text[from:to], m.old, m.new, 1) + text[to:], nil
}

// tests returns the arguments of go test for a mutant.
func (m *mutant) tests() []string {
	return []string{"-tags=" + m.tags, "-run=" + m.run, "./" + m.pkg}
}

// A fate is what became of a mutant.
type fate int

const (
	killed fate = iota
	timedOut
	survived
	notApplied
	notCompiled
)

func (f fate) String() string {
	return [...]string{"killed", "timed out", "SURVIVED", "NOT APPLIED", "NOT COMPILED"}[f]
}

const (
	// leastLimit is the shortest time that the tests of a mutant may take. There is a limit because
	// a mutant may turn into an endless loop. It is ten times what the tests take without a change,
	// if that is more.
	leastLimit = 30 * time.Second

	// mostSurvivors is the share of the mutants that are not named that may survive.
	mostSurvivors = 0.10
)

// A bench runs the tests of mutants.
type bench struct {
	root, temp string
	limits     map[string]time.Duration // how long tests may take, by their arguments
}

// goTest runs tests. With an overlay, one file is replaced by another.
func (b *bench) goTest(ctx context.Context, limit time.Duration, overlay string, tests []string) (out []byte,
	err error,
) {
	args := []string{"test", "-short", "-vet=off", "-count=1", "-failfast", "-timeout=" + limit.String()}
	if overlay != "" {
		args = append(args, "-overlay="+overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, tests...)...)
	cmd.Dir = b.root
	return cmd.CombinedOutput()
}

// limit returns how long the tests of a mutant may take. It first runs them without a change; they
// must pass.
func (b *bench) limit(ctx context.Context, m *mutant) (time.Duration, error) {
	key := strings.Join(m.tests(), " ")
	if d, ok := b.limits[key]; ok {
		return d, nil
	}
	began := time.Now()
	out, err := b.goTest(ctx, 10*time.Minute, "", m.tests())
	if err != nil {
		return 0, fmt.Errorf("go test %s fails without any change: %w\n%s", key, err, out)
	}
	if bytes.Contains(out, []byte("no tests to run")) {
		return 0, fmt.Errorf("go test %s: there are no such tests", key)
	}
	b.limits[key] = max(leastLimit, 10*time.Since(began))
	return b.limits[key], nil
}

// try returns what becomes of a mutant, and the end of what the tests printed.
func (b *bench) try(ctx context.Context, m *mutant) (fate, string, error) {
	limit, err := b.limit(ctx, m)
	if err != nil {
		return 0, "", err
	}
	path := filepath.Join(b.root, filepath.FromSlash(m.file))
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, "", err
	}
	changed, err := m.apply(string(text))
	if err != nil {
		return notApplied, err.Error(), nil
	}
	file, overlay := filepath.Join(b.temp, "changed"+filepath.Ext(path)), filepath.Join(b.temp, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: file}})
	if err != nil {
		return 0, "", err
	}
	if err := errors.Join(os.WriteFile(file, []byte(changed), 0o600), os.WriteFile(overlay, replace, 0o600)); err !=
		nil {
		return 0, "", err
	}
	out, err := b.goTest(ctx, limit, overlay, m.tests())
	switch {
	case ctx.Err() != nil:
		return 0, "", ctx.Err()
	case err == nil:
		return survived, "", nil
	case bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")):
		return notCompiled, string(out), nil
	case bytes.Contains(out, []byte("panic: test timed out")):
		return timedOut, "", nil
	}
	return killed, firstFailure(out), nil
}

// firstFailure returns the line that says which test failed.
func firstFailure(out []byte) string {
	for _, prefix := range []string{"--- FAIL: ", "panic: ", "fatal error: "} {
		if i := bytes.Index(out, []byte(prefix)); i >= 0 {
			line, _, _ := bytes.Cut(out[i+len(prefix):], []byte{'\n'})
			return string(line)
		}
	}
	return ""
}

func main() {
	only := flag.String("run", "", "only mutants whose name matches this regular expression")
	named := flag.Bool("named", false, "only mutants that must be killed")
	list := flag.Bool("n", false, "say what there is and run nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, *only, *named, *list)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run tries the mutants that were asked for, and says whether enough of them were killed.
func run(ctx context.Context, only string, named, list bool) (ok bool, err error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return false, err
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f={{.Dir}}").Output()
	if err != nil {
		return false, fmt.Errorf("go list -m: %w", err)
	}
	b := &bench{root: strings.TrimSpace(string(out)), limits: map[string]time.Duration{}}
	b.temp, err = os.MkdirTemp("", "velo-mutants-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(b.temp)
	var t tally
	for i := range mutants {
		m := &mutants[i]
		if !match.MatchString(m.name) || named && !m.named {
			continue
		}
		if list {
			fmt.Printf("%-52s %s: %s\n", m.name, m.file, m.breaks)
			continue
		}
		began := time.Now()
		f, what, err := b.try(ctx, m)
		if err != nil {
			return false, err
		}
		fmt.Printf("%-12v %5.1f s  %-52s %s\n", f, time.Since(began).Seconds(), m.name, what)
		t.add(m, f)
	}
	return list || t.verdict(), nil
}

// A tally counts what became of the mutants.
type tally struct {
	fates   [notCompiled + 1]int
	others  int // number of mutants that are not named
	escaped int // number of mutants that are not named and survived
	wrong   []string
}

func (t *tally) add(m *mutant, f fate) {
	t.fates[f]++
	if !m.named {
		t.others++
	}
	switch {
	case f == notApplied || f == notCompiled:
		t.wrong = append(t.wrong, fmt.Sprintf("%s: %v", m.name, f))
	case m.named && f != killed:
		t.wrong = append(t.wrong, fmt.Sprintf("%s must be killed: %s", m.name, m.breaks))
	case f == survived:
		t.escaped++
		if m.survives == "" {
			fmt.Printf("             no test notices that %s\n", m.breaks)
		}
	case m.survives != "":
		fmt.Printf("             it is killed, and its entry says why it should not be: %s\n", m.survives)
	}
}

// verdict prints the sums and says whether they are good enough.
func (t *tally) verdict() bool {
	fmt.Printf("\n%d killed, %d timed out, %d survived, %d not applied, %d not compiled\n",
		t.fates[killed], t.fates[timedOut], t.fates[survived], t.fates[notApplied], t.fates[notCompiled])
	if float64(t.escaped) > mostSurvivors*float64(t.others) {
		t.wrong = append(t.wrong, fmt.Sprintf("%d of %d that are not named have survived, at most %.0f %% may",
			t.escaped, t.others, 100*mostSurvivors))
	}
	for _, w := range t.wrong {
		fmt.Println(w)
	}
	return len(t.wrong) == 0
}
