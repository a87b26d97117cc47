package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tagged is a build constraint on what is not the same in every kind of test.
var tagged = regexp.MustCompile(`(?m)^//go:build .*\b(purego|invariants|race)\b`)

// Goal: each package with code that depends on these tags is tested with and without them by make twins. Method: the
// packages that the Makefile names.
func TestTwins(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^TWINS = (.*)$`).FindSubmatch(text)
	if line == nil {
		t.Fatal("the Makefile has no line TWINS = ...")
	}
	named := func(pkg string) bool {
		for _, pattern := range strings.Fields(string(line[1])) {
			folder, below := strings.CutSuffix(strings.TrimPrefix(pattern, "./"), "/...")
			if pkg == folder || below && strings.HasPrefix(pkg+"/", folder+"/") {
				return true
			}
		}
		return false
	}
	if named("server") || !named("core/agg") {
		t.Fatal("the test looks wrong: server has no such code, and core/agg has")
	}
	n := 0
	for _, s := range sources(t) {
		if tagged.MatchString(s.text) {
			n++
			if !named(s.pkg) {
				t.Errorf("%s depends on a build tag, and TWINS in the Makefile does not name %s", s.path, s.pkg)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d files depend on build tags, expected more", n)
	}
}
