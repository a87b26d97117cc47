package lint

import (
	"fmt"
	"go/ast"
	"go/build"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A scope is what a package declares: its names, and the names of the fields and methods of each type.
type scope struct {
	names   map[string]bool
	members map[string]map[string]bool // by type
	embeds  map[string][]string        // by type, the names of embedded types
	files   map[string]bool
}

// scopes are the packages of the module by the last element of their paths; packages of the same
// name share one.
type scopes map[string]*scope

func declarations(all []*source) scopes {
	pkgs := scopes{}
	for _, s := range all {
		name := scopeName(s)
		p := pkgs[name]
		if p == nil {
			p = &scope{
				names: map[string]bool{}, members: map[string]map[string]bool{},
				embeds: map[string][]string{}, files: map[string]bool{},
			}
			pkgs[name] = p
		}
		p.files[path.Base(s.path)] = true
		p.add(s.file)
	}
	return pkgs
}

// scopeName is the last element of the path of a file's package. A program has its whole path.
func scopeName(s *source) string {
	switch {
	case s.pkg == ".":
		return path.Base(module)
	case s.file.Name.Name == "main":
		return s.pkg
	}
	return path.Base(s.pkg)
}

func (p *scope) add(f *ast.File) {
	for _, d := range f.Decls {
		if d, ok := d.(*ast.FuncDecl); ok {
			if d.Recv == nil {
				p.names[d.Name.Name] = true
			} else {
				p.member(typeName(d.Recv.List[0].Type), d.Name.Name)
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for _, id := range n.Names {
				p.names[id.Name] = true
			}
		case *ast.TypeSpec:
			p.names[n.Name.Name] = true
			p.fields(n.Name.Name, n.Type)
		}
		return true
	})
}

// fields adds the fields, methods and embedded types of a type.
func (p *scope) fields(name string, t ast.Expr) {
	var list *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		p.embeds[name] = append(p.embeds[name], typeName(t))
		return
	}
	for _, f := range list.List {
		for _, id := range f.Names {
			p.member(name, id.Name)
		}
		if len(f.Names) == 0 {
			p.member(name, typeName(f.Type))
			p.embeds[name] = append(p.embeds[name], typeName(f.Type))
		}
	}
}

func (p *scope) member(of, name string) {
	if p.members[of] == nil {
		p.members[of] = map[string]bool{}
	}
	p.members[of][name] = true
}

// typeName is the name of a type without pointers, arguments and its package.
func typeName(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return typeName(t.X)
	case *ast.IndexExpr:
		return typeName(t.X)
	case *ast.IndexListExpr:
		return typeName(t.X)
	case *ast.SelectorExpr:
		return t.Sel.Name
	case *ast.Ident:
		return t.Name
	}
	return ""
}

// has says whether a type, or one that it embeds or is an alias of, has a field or method. These
// other types may be of other packages, and they may embed again, maxDepth times.
func (pkgs scopes) has(p *scope, of, name string, depth int) bool {
	if p.members[of][name] {
		return true
	}
	if depth == maxDepth {
		return false
	}
	for _, e := range p.embeds[of] {
		for _, q := range pkgs {
			if (q != p || e != of) && q.names[e] && pkgs.has(q, e, name, depth+1) {
				return true
			}
		}
	}
	return false
}

// maxDepth bounds how far the members of embedded types are looked for.
const maxDepth = 3

// qualified says whether package.Name or package.Type.member is declared.
func (pkgs scopes) qualified(name string) bool {
	parts := strings.Split(name, ".")
	p := pkgs[parts[0]]
	if p == nil {
		return false
	}
	return len(parts) == 2 && p.names[parts[1]] || len(parts) == 3 && pkgs.has(p, parts[1], parts[2], 0)
}

// resolves says whether a name in a comment of a file means something: a package, a file, something
// that the file's package declares, or a qualified name of the module or the standard library.
func (pkgs scopes) resolves(s *source, name string) bool {
	if strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".md") {
		return isFile(s, name)
	}
	own := pkgs[scopeName(s)]
	first, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		if own.names[name] {
			return true
		}
		for _, members := range own.members {
			if members[name] {
				return true
			}
		}
		return pkgs[name] != nil
	}
	if pkgs.qualified(name) || pkgs.has(own, first, rest, 0) {
		return true
	}
	std, err := os.Stat(filepath.Join(build.Default.GOROOT, "src", first))
	return err == nil && std.IsDir() && pkgs[first] == nil
}

// isFile says whether a file or folder is there, beside a file of Go or in the module.
func isFile(s *source, name string) bool {
	for _, folder := range []string{s.pkg, "."} {
		if _, err := os.Stat(filepath.Join("..", "..", folder, name)); err == nil {
			return true
		}
	}
	return false
}

// reference finds "see X", after a bracket or at the begin of a clause. What follows "to see" or
// "cannot see" is no reference.
var reference = regexp.MustCompile(`(?:^|[(;:,.]\s+|\()[sS]ee\s+(package\s+)?([A-Za-z_]\w*(?:/\w+)*(?:\.[A-Za-z_]\w*)*)`)

// prose are words that follow "see" and name nothing.
var prose = regexp.MustCompile(`^(the|below|above|what|how|there|its?|this|that|https?)$`)

// checkSee looks at every reference of a file's comments.
func checkSee(pkgs scopes, s *source) (faults []string) {
	for _, group := range s.file.Comments {
		for _, m := range reference.FindAllStringSubmatch(group.Text(), -1) {
			name := m[2]
			switch {
			case prose.MatchString(name):
			case m[1] != "":
				if pkgs[path.Base(name)] == nil {
					faults = append(faults, fmt.Sprintf("%s: see package %s: there is none", s.at(group.Pos()), name))
				}
			case strings.Contains(name, "/"):
				if !isFile(s, name) {
					faults = append(faults, fmt.Sprintf("%s: see %s: there is none", s.at(group.Pos()), name))
				}
			case !pkgs.resolves(s, name):
				faults = append(faults, fmt.Sprintf("%s: see %s: nothing of that name is declared", s.at(group.Pos()),
					name))
			}
		}
	}
	return faults
}

// Goal: what a comment refers to is there. Method: every "see X" of every comment.
func TestSee(t *testing.T) {
	all := sources(t)
	pkgs := declarations(all)
	n := 0
	for _, s := range all {
		for _, fault := range checkSee(pkgs, s) {
			t.Error(fault)
		}
		for _, group := range s.file.Comments {
			n += len(reference.FindAllString(group.Text(), -1))
		}
	}
	if n < 50 {
		t.Errorf("%d references found: too few, the pattern does not find them", n)
	}
}

// Goal: the rule can fail, and finds only what it should.
func TestSeeCanFail(t *testing.T) {
	const code = `

type T struct { field int; Inner }

type Inner struct { depth int }

func (T) method() {}

const limit = 1
`
	for _, c := range []struct {
		name, comment string
		faults        int
	}{
		{"a method that is there", "It moves, see T.method.", 0},
		{"a method that is not", "It moves, see T.methods.", 1},
		{"a field", "It moves (see T.field and more).", 0},
		{"a field of what is embedded", "It moves; see T.depth.", 0},
		{"a field that is not there", "It moves: see T.fields.", 1},
		{"a name that stands alone", "See limit.", 0},
		{"a method that stands alone", "See method.", 0},
		{"a name that is not there", "It moves; see limits.", 1},
		{"over the end of a line", "It moves; see\n// limits.", 1},
		{"a qualified name", "It moves; see ring.T.method.", 0},
		{"a qualified name that is not there", "It moves; see ring.U.", 1},
		{"the standard library", "It moves, see sync.Cond.", 0},
		{"a package", "It moves; see package ring.", 0},
		{"a package that is not there", "It moves; see package rings.", 1},
		{"a file", "It moves; see ring.go.", 0},
		{"a file that is not there", "It moves; see rings.go.", 1},
		{"a verb", "Nobody can see nothing of it.", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse(t, "ring/a.go", "package ring\n\n// "+c.comment+"\nvar v int\n"+code)
			if got := checkSee(declarations([]*source{s}), s); len(got) != c.faults {
				t.Errorf("%d faults, expected %d: %q", len(got), c.faults, got)
			}
		})
	}
}
