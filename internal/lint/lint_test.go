package lint

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// source is a Go file of the module.
type source struct {
	path string // relative to the module, with slashes
	pkg  string // its folder
	test bool
	text string
	file *ast.File
	fset *token.FileSet
}

func parse(t *testing.T, name, text string) *source {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return &source{
		path: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), text: text, file: f,
		fset: fset,
	}
}

func (s *source) at(p token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(p).Line)
}

// sources are all Go files of this module; nested modules have rules of their own.
func sources(t *testing.T) (all []*source) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil && p != root {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		all = append(all, parse(t, filepath.ToSlash(rel), string(text)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("%d files found: the module is not where it was", len(all))
	}
	return all
}

// A rule looks at one file and says what is wrong with it, a line each.
type rule func(s *source) []string

var rules = map[string]struct {
	check rule
	bad   map[string]string // files that break it: the proof that it can fail
}{
	"layers": {checkLayers, map[string]string{
		"record/a.go":          `package record; import _ "github.com/velo-engine/velo/core"`,
		"ring/b.go":            `package ring; import _ "github.com/velo-engine/velo/record"`,
		"readers/c.go":         `package readers; import _ "github.com/velo-engine/velo/engine"`,
		"unheardof/d.go":       `package unheardof`,
		"internal/brc/e.go":    `package brc; import _ "github.com/velo-engine/velo/core"`,
		"core/agg/f.go":        `package agg; import _ "github.com/velo-engine/velo/core/table"`,
		"engine/g.go":          `package engine; import _ "github.com/velo-engine/velo/cmd/velo"`,
		"core/expr/h.go":       `package expr; import _ "github.com/velo-engine/velo/core/window"`,
		"writers/j.go":         `package writers; import _ "github.com/velo-engine/velo"`,
		"examples/http/i_a.go": `package http; import _ "github.com/velo-engine/velo/bench"`,
	}},
	"typed atomics": {checkAtomics, map[string]string{
		"ring/a.go": `package ring; import "sync/atomic"; func f(p *uint64) { atomic.AddUint64(p, 1) }`,
	}},
	"core is pure": {checkCore, map[string]string{
		"core/a.go":     `package core; import "time"; var t = time.Now()`,
		"core/agg/b.go": `package agg; func f() { go f() }`,
		"core/c.go":     `package core; import _ "log"`,
		"core/d.go":     `package core; import "sync"; var mu sync.Mutex`,
		"core/e.go":     `package core; import _ "os"`,
	}},
	"waits": {checkWaits, map[string]string{
		"core/a.go":   `package core; import "time"; func f() { time.Sleep(1) }`,
		"engine/b.go": `package engine; import "runtime"; func f() { runtime.Gosched() }`,
	}},
	"comments": {checkComments, map[string]string{
		"ring/a.go": "package ring\n\nfunc Exported() {}\n",
		"ring/b.go": "package ring\n\ntype T struct{}\n",
		"ring/c.go": "package ring\n\n// U is.\ntype U struct{}\n\nfunc (U) M() {}\n",
		"ring/d.go": "package ring\n\nconst C = 1\n",
	}},
	"length": {checkLength, map[string]string{
		"ring/a.go": "package ring\n" + strings.Repeat("\n", 1000),
	}},
	"words": {checkWords, map[string]string{
		"ring/a.go": "package ring\n\n// TO" + "DO: later\n",
		"ring/b.go": "package ring\n\nconst p = \"/ho" + "me/me/velo\"\n",
	}},
}

// Goal: the rules hold, for every file of the module.
func TestRules(t *testing.T) {
	all := sources(t)
	for name, r := range rules {
		t.Run(name, func(t *testing.T) {
			for _, s := range all {
				for _, fault := range r.check(s) {
					t.Error(fault)
				}
			}
		})
	}
	t.Run("package comments", func(t *testing.T) {
		has := map[string]bool{}
		for _, s := range all {
			if !s.test {
				has[s.pkg] = has[s.pkg] || s.file.Doc != nil
			}
		}
		for pkg, ok := range has {
			if !ok {
				t.Errorf("package %s has no package comment", pkg)
			}
		}
	})
}

// Goal: the picture of the layers that people read is what is kept.
func TestPicture(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), picture()) {
		t.Errorf("ARCHITECTURE.md has another picture of the layers, expected\n%s", picture())
	}
}

// Goal: every rule can fail. Method: files that break it.
func TestRulesCanFail(t *testing.T) {
	for name, r := range rules {
		for file, text := range r.bad {
			if len(r.check(parse(t, file, text))) == 0 {
				t.Errorf("rule %q finds nothing wrong with %s:\n%s", name, file, text)
			}
		}
	}
}

// layerOf is the line of a package, -1 for one below internal.
func layerOf(pkg string) (layer int, ok bool) {
	if strings.HasPrefix(pkg, "internal/") {
		return -1, true
	}
	for i, line := range layers {
		for _, name := range line.packages {
			if pkg == name || strings.HasSuffix(name, "/") && strings.HasPrefix(pkg, name) {
				return i, true
			}
		}
	}
	return 0, false
}

func checkLayers(s *source) (faults []string) {
	mine, ok := layerOf(s.pkg)
	if !ok {
		return []string{fmt.Sprintf("package %s has no layer: give it one in internal/lint/lint.go", s.pkg)}
	}
	if s.test && strings.HasSuffix(s.file.Name.Name, "_test") {
		return nil // an external test may look from above
	}
	for _, imp := range s.file.Imports {
		path := strings.Trim(imp.Path.Value, `"`)
		pkg, ok := strings.CutPrefix(path, module+"/")
		if path == module {
			pkg, ok = ".", true
		}
		if !ok {
			continue
		}
		theirs, known := layerOf(pkg)
		switch {
		case !known:
			faults = append(faults, fmt.Sprintf("%s imports %s, which has no layer", s.at(imp.Pos()), pkg))
		case theirs == -1, mine == -1 && theirs == 0, theirs >= 0 && theirs < mine:
		default:
			faults = append(faults, fmt.Sprintf("%s: %s imports %s, which is not below it", s.at(imp.Pos()), s.pkg,
				pkg))
		}
	}
	return faults
}

// calls yields the selectors pkg.Name that a file uses.
func calls(s *source, f func(pkg, name string, pos token.Pos)) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Obj == nil {
				f(id.Name, sel.Sel.Name, sel.Pos())
			}
		}
		return true
	})
}

// checkAtomics: functions of sync/atomic on plain words are for files named store_*; everywhere else an atomic has an atomic type.
func checkAtomics(s *source) (faults []string) {
	if strings.HasPrefix(path.Base(s.path), "store_") {
		return nil
	}
	raw := regexp.MustCompile(`^(Add|Load|Store|Swap|CompareAndSwap|And|Or)(Int32|Int64|Uint32|Uint64|Uintptr|Pointer)$`)
	calls(s, func(pkg, name string, pos token.Pos) {
		if pkg == "atomic" && raw.MatchString(name) {
			faults = append(faults, fmt.Sprintf("%s: atomic.%s: use a type of sync/atomic", s.at(pos), name))
		}
	})
	return faults
}

// checkCore: core has no clock, goroutine, log, file or lock.
func checkCore(s *source) (faults []string) {
	if s.test || s.pkg != "core" && !strings.HasPrefix(s.pkg, "core/") {
		return nil
	}
	for _, imp := range s.file.Imports {
		if p := strings.Trim(imp.Path.Value, `"`); slices.Contains([]string{"log", "log/slog", "os", "net", "context"},
			p) {
			faults = append(faults, fmt.Sprintf("%s: core does not import %s", s.at(imp.Pos()), p))
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			faults = append(faults, fmt.Sprintf("%s: core starts no goroutine", s.at(g.Pos())))
		}
		return true
	})
	calls(s, func(pkg, name string, pos token.Pos) {
		switch pkg + "." + name {
		case "time.Now", "time.Since", "time.After", "time.NewTimer", "time.NewTicker":
			faults = append(faults, fmt.Sprintf("%s: core reads no clock: time comes as data", s.at(pos)))
		case "sync.Mutex", "sync.RWMutex", "sync.Cond", "sync.WaitGroup", "sync.Map":
			faults = append(faults, fmt.Sprintf("%s: core takes no lock", s.at(pos)))
		}
	})
	return faults
}

// checkWaits: only the runner and what it is made of may yield, and Sync and Send, which are no runner's; nothing sleeps; the rivals in bench are ordinary
// goroutines.
func checkWaits(s *source) (faults []string) {
	if s.test || strings.HasPrefix(s.path, "bench/") ||
		slices.Contains([]string{
			"engine/runner.go", "engine/futex_other.go", "engine/snapshot.go", "readers/feed.go",
			"readers/appender.go",
		}, s.path) {
		return nil
	}
	calls(s, func(pkg, name string, pos token.Pos) {
		if call := pkg + "." + name; call == "runtime.Gosched" || call == "time.Sleep" {
			faults = append(faults, fmt.Sprintf("%s: %s: it may run on a locked thread", s.at(pos), call))
		}
	})
	return faults
}

// checkComments: what is exported is documented.
func checkComments(s *source) (faults []string) {
	if s.test || s.file.Name.Name == "main" {
		return nil
	}
	missing := func(pos token.Pos, name string) {
		faults = append(faults, fmt.Sprintf("%s: %s has no comment", s.at(pos), name))
	}
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
				missing(d.Pos(), d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
						missing(spec.Pos(), spec.Name.Name)
					}
				case *ast.ValueSpec:
					if spec.Names[0].IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
						missing(spec.Pos(), spec.Names[0].Name)
					}
				}
			}
		}
	}
	return faults
}

// exportedReceiver says whether a function can be reached from outside: methods of exported types, and functions. Methods of types
// that are not exported, which implement some interface, are left to that.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// maxLines bounds a file: one idea each.
const maxLines = 900

func checkLength(s *source) []string {
	if n := strings.Count(s.text, "\n"); n > maxLines && !s.test {
		return []string{fmt.Sprintf("%s has %d lines, at most %d: one idea per file", s.path, n, maxLines)}
	}
	return nil
}

var forbidden = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b|(^|[^.\w])/(ho` + `me|ro` + `ot|wo` + `rk)/`)

// checkWords: no unfinished business, no paths of somebody's machine.
func checkWords(s *source) (faults []string) {
	for i, line := range strings.Split(s.text, "\n") {
		if m := forbidden.FindString(line); m != "" {
			faults = append(faults, fmt.Sprintf("%s:%d: %q", s.path, i+1, m))
		}
	}
	return faults
}
