package main

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Goal: the list follows the code. Method: every mutant is applied, and what comes out is Go; the tests that should notice it are there.
func TestMutantsApply(t *testing.T) {
	root := filepath.Join("..", "..")
	names := map[string]bool{}
	for i := range mutants {
		m := &mutants[i]
		if names[m.name] || m.name == "" || m.breaks == "" {
			t.Errorf("%q: a name that is not its own, or no word about what breaks", m.name)
		}
		names[m.name] = true
		if m.named && m.survives != "" {
			t.Errorf("%s: it must be killed, and says why it cannot be", m.name)
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
		if err != nil {
			t.Error(err)
			continue
		}
		changed, err := m.apply(string(text))
		if err != nil {
			t.Errorf("%v\nthe code has changed: bring the mutant after it, in internal/mutants/list.go", err)
			continue
		}
		if changed == string(text) {
			t.Errorf("%s changes nothing", m.name)
		}
		if _, err := parser.ParseFile(token.NewFileSet(), m.file, changed, parser.SkipObjectResolution); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if !hasTest(t, filepath.Join(root, filepath.FromSlash(m.pkg)), m.run) {
			t.Errorf("%s: no test of %s matches %q", m.name, m.pkg, m.run)
		}
	}
}

// hasTest says whether a package has a test that matches.
func hasTest(t *testing.T, folder, run string) bool {
	t.Helper()
	first, _, _ := strings.Cut(run, "/")
	match, err := regexp.Compile(first)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`).FindAllStringSubmatch(string(text), -1) {
			if match.MatchString(f[1]) {
				return true
			}
		}
	}
	return false
}

// Goal: a mutant that does not fit is refused, and says how.
func TestApplyRefuses(t *testing.T) {
	const text = "package p\n\nfunc f() {\n\ta()\n}\n\nfunc g() {\n\ta()\n\tb()\n\tb()\n}\n"
	for _, c := range []struct{ in, old, want string }{
		{"func f(", "a()", ""},
		{"func g(", "b()", "occurs 2 times"},
		{"func f(", "b()", "occurs 0 times"},
		{"", "a()", "occurs 2 times"},
		{"func h(", "a()", "begins 0 lines"},
		{"func ", "a()", "begins 2 lines"},
	} {
		m := mutant{name: "x", in: c.in, old: c.old, new: "c()"}
		out, err := m.apply(text)
		if c.want == "" {
			if want := strings.Replace(text, "a()", "c()", 1); err != nil || out != want {
				t.Errorf("%q, %v", out, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q in %q: %v, expected %q", c.old, c.in, err, c.want)
		}
	}
}

// Goal: named mutants must be killed, and of the others a tenth may survive.
func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		named  fate
		others []fate
		want   bool
	}{
		{killed, []fate{killed, killed}, true},
		{timedOut, []fate{killed}, false},
		{survived, []fate{killed}, false},
		{killed, []fate{timedOut}, true},
		{killed, []fate{killed, survived}, false},
		{killed, []fate{killed, killed, killed, killed, killed, killed, killed, killed, killed, survived}, true},
		{killed, []fate{notApplied}, false},
		{killed, []fate{notCompiled}, false},
	} {
		var s tally
		s.add(&mutant{named: true, name: "n"}, c.named)
		for _, f := range c.others {
			s.add(&mutant{name: "o"}, f)
		}
		if got := s.verdict(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
