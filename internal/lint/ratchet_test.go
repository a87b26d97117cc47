package lint

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// A ratchet counts what there should be less of. It may only fall: most follows it.
type ratchet struct {
	name  string
	most  int
	count func(s *source) int
	bad   string // a file with one of it
}

const (
	codeWidth    = 120 // columns of a line of code
	commentWidth = 100 // columns of a line that is a comment
	longFunction = 80  // lines of a function
	tabWidth     = 4
)

// telegram are words that stand for others: behind for after, so many for n, that of for the noun.
var telegram = regexp.MustCompile(`(?i)\b(behind|so many|whoever|that of|those of|but for)\b`)

// fine are phrases in which such a word has its usual meaning.
var fine = regexp.MustCompile(`(?i)\b(left|furthest|is)\s+behind\b`)

var ratchets = []ratchet{
	{"lines of code wider than 120 columns", 50, wide(false, codeWidth), "package a\n\nvar _ = \"" +
		strings.Repeat("x", 120) + "\"\n"},
	{
		"lines of comments wider than 100 columns", 1, wide(true, commentWidth),
		"package a\n\n// " + strings.Repeat("x", 100) + "\n",
	},
	{"functions longer than 80 lines", 5, longFunctions, "package a\n\nfunc f() {\n" + strings.Repeat("\tf()\n", 90) +
		"}\n"},
	{
		"words of telegrams in comments", 8, telegrams,
		"package a\n\n// f comes behind that of the others.\nfunc f() {}\n",
	},
	{
		"assignments in the header of an if or switch", 0, headerAssignments,
		"package a\n\nfunc f(x int) {\n\tif x = 1; x > 0 {\n\t}\n}\n",
	},
	{"builtins whose names are taken", 0, shadowed, "package a\n\nfunc f(len int) int { return len }\n"},
}

// Goal: there is no more of what there should be less of.
func TestRatchets(t *testing.T) {
	all := sources(t)
	for _, r := range ratchets {
		n := 0
		for _, s := range all {
			if !s.test {
				n += r.count(s)
			}
		}
		switch {
		case n > r.most:
			t.Errorf("%s: %d, at most %d are allowed", r.name, n, r.most)
		case n < r.most-r.most/10:
			t.Errorf("%s: %d are left, so ratchets says at most that and not %d", r.name, n, r.most)
		}
		if r.count(parse(t, "ring/bad.go", r.bad)) == 0 {
			t.Errorf("%s: a file that has one is found to have none", r.name)
		}
	}
}

// wide counts lines that are wider than they may be, of comments or of code.
func wide(comments bool, most int) func(s *source) int {
	return func(s *source) (n int) {
		for line := range strings.Lines(s.text) {
			line = strings.TrimRight(line, "\n")
			code := strings.TrimLeft(line, "\t")
			width := utf8.RuneCountInString(code) + tabWidth*(len(line)-len(code))
			if width > most && strings.HasPrefix(code, "//") == comments && !strings.HasPrefix(code, "//go:") {
				n++
			}
		}
		return n
	}
}

func longFunctions(s *source) (n int) {
	for _, d := range s.file.Decls {
		line := func(p token.Pos) int { return s.fset.Position(p).Line }
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil && line(f.Body.End())-line(f.Pos()) >= longFunction {
			n++
		}
	}
	return n
}

func telegrams(s *source) (n int) {
	for _, group := range s.file.Comments {
		n += len(telegram.FindAllString(fine.ReplaceAllString(group.Text(), ""), -1))
	}
	return n
}

func headerAssignments(s *source) (n int) {
	assigns := func(init ast.Stmt) {
		if a, ok := init.(*ast.AssignStmt); ok && a.Tok != token.DEFINE {
			n++
		}
	}
	ast.Inspect(s.file, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.IfStmt:
			assigns(x.Init)
		case *ast.SwitchStmt:
			assigns(x.Init)
		}
		return true
	})
	return n
}

// builtins are names of the language that a variable may have, and should not.
var builtins = map[string]bool{
	"append": true, "cap": true, "clear": true, "close": true, "copy": true, "delete": true, "len": true, "make": true,
	"max": true, "min": true,
	"new": true, "panic": true, "print": true, "recover": true, "any": true, "error": true, "string": true,
}

func shadowed(s *source) (n int) {
	names := func(list *ast.FieldList) {
		if list == nil {
			return
		}
		for _, f := range list.List {
			for _, name := range f.Names {
				if builtins[name.Name] {
					n++
				}
			}
		}
	}
	ast.Inspect(s.file, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.FuncType:
			names(x.Params)
			names(x.Results)
		case *ast.AssignStmt:
			if x.Tok != token.DEFINE {
				break
			}
			for _, e := range x.Lhs {
				if id, ok := e.(*ast.Ident); ok && builtins[id.Name] {
					n++
				}
			}
		case *ast.ValueSpec:
			for _, id := range x.Names {
				if builtins[id.Name] {
					n++
				}
			}
		}
		return true
	})
	return n
}
