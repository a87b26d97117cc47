package lint

import (
	"fmt"
	"go/ast"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// An atomicName is an atomic that outlives a call: a field, a variable or a named type.
type atomicName struct {
	name      string // package.Type.field, package.variable
	at        string
	statistic bool // its comment says so
}

// statistic marks an atomic that orders nothing. It stands in the comment of the field.
var statistic = regexp.MustCompile(`\bStatistics?\b`)

// atomicsOf returns the atomics of a file. Those of bench are left out: the rivals there are
// ordinary programs.
func atomicsOf(s *source) (all []atomicName) {
	if s.test || strings.HasPrefix(s.path, "bench/") {
		return nil
	}
	pkg := path.Base(s.pkg)
	if s.file.Name.Name == "main" {
		pkg = s.pkg
	}
	add := func(prefix string, names []*ast.Ident, t ast.Expr, comments ...*ast.CommentGroup) {
		if t == nil || !hasAtomic(t) {
			return
		}
		marked := false
		for _, c := range comments {
			marked = marked || statistic.MatchString(c.Text())
		}
		for _, name := range names {
			all = append(all, atomicName{prefix + name.Name, s.at(name.Pos()), marked})
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GenDecl:
			if v, ok := n.Specs[0].(*ast.ValueSpec); ok && !n.Lparen.IsValid() {
				v.Doc = n.Doc
			}
		case *ast.ValueSpec:
			add(pkg+".", n.Names, n.Type, n.Doc, n.Comment)
		case *ast.TypeSpec:
			fields, ok := n.Type.(*ast.StructType)
			if !ok {
				add(pkg+".", []*ast.Ident{n.Name}, n.Type, n.Doc, n.Comment)
				break
			}
			for _, f := range fields.Fields.List {
				add(pkg+"."+n.Name.Name+".", f.Names, f.Type, f.Doc, f.Comment)
			}
		}
		return true
	})
	return all
}

// hasAtomic says whether a type is one of sync/atomic or has one in it, as an element or an
// argument. Functions have none: their parameters are somebody else's.
func hasAtomic(t ast.Expr) (has bool) {
	ast.Inspect(t, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncType, *ast.InterfaceType:
			return false
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "atomic" {
				has = true
			}
		}
		return true
	})
	return has
}

var quoted = regexp.MustCompile("`([\\w/]+(?:\\.\\w+)*)`")

// tableNames are the names in the first column of a table of atomics. A name without a package is
// of the type of the name before it. The name of a type stands for all its fields.
func tableNames(text string) (names []string) {
	for row := range strings.Lines(text) {
		if !strings.HasPrefix(row, "| ") || strings.HasPrefix(row, "| before") {
			continue
		}
		cell, _, _ := strings.Cut(row[2:], " | ")
		prefix := ""
		for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
			name := m[1]
			if !strings.Contains(name, ".") {
				name = prefix + name
			} else if strings.HasPrefix(name, "sync.") {
				continue // the type of what the row is about
			}
			prefix = name[:strings.LastIndexByte(name, '.')+1]
			names = append(names, name)
		}
	}
	return names
}

// checkTable compares the atomics of the code with the table.
func checkTable(all []*source, table string) (faults []string) {
	named := map[string]bool{}
	for _, name := range tableNames(table) {
		named[name] = true
	}
	declared := declarations(all)
	for _, s := range all {
		for _, a := range atomicsOf(s) {
			of := a.name[:strings.LastIndexByte(a.name, '.')]
			if !named[a.name] && !named[of] && !a.statistic {
				faults = append(faults, fmt.Sprintf("%s: %s is not in the table of docs/architecture/protocols.md, "+
					"and its comment does not say that it is a statistic", a.at, a.name))
			}
		}
	}
	for name := range named {
		if !declared.qualified(name) {
			faults = append(faults, fmt.Sprintf(
				"docs/architecture/protocols.md: %s is in the table and not in the code", name))
		}
	}
	return faults
}

// Goal: each atomic outside of tests has its argument in the table of docs/architecture/protocols.md,
// or orders nothing and says so. Nothing is in the table that is not in the code.
func TestAtomicsTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/architecture/protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range checkTable(sources(t), string(text)) {
		t.Error(fault)
	}
}

// Goal: the rule can fail. Method: small files and tables, and how many faults they have.
func TestAtomicsTableCanFail(t *testing.T) {
	const field = "package ring\n\ntype T struct {\n\tn, m []*padded[atomic.Int64]\n}\n"
	for _, c := range []struct {
		name, text, table string
		faults            int
	}{
		{"fields without a row", field, "", 2},
		{"one has a row", field, "| `ring.T.n` | a | b | c |\n", 1},
		{"both have, the second without its type", field, "| `ring.T.n` and `m` | a | b | c |\n", 0},
		{"the type has a row", field, "| `ring.T`, words of it | a | b | c |\n", 0},
		{"a word that is declared elsewhere in the row", field, "| a | `ring.T.n` | `ring.T.m` | c |\n", 2},
		{"a row without a field", "package ring\n", "| `ring.T.n` | a | b | c |\n", 1},
		{"a variable", "package ring\n\nvar n atomic.Bool\n", "", 1},
		{"a variable of a function", "package ring\n\nfunc f() {\n\tvar n atomic.Bool\n}\n", "", 1},
		{"a named type", "package ring\n\ntype n []atomic.Bool\n", "", 1},
		{"statistics", "package ring\n\n// Statistic: calls.\nvar n atomic.Int64\n", "", 0},
		{
			"statistics in the type's comment only",
			"package ring\n\n// Statistics.\ntype T struct {\n\tn atomic.Int64\n}\n", "", 1,
		},
		{"a parameter", "package ring\n\nvar f func(*atomic.Int64)\n", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := checkTable([]*source{parse(t, "ring/a.go", c.text)}, c.table)
			if len(got) != c.faults {
				t.Errorf("%d faults, expected %d: %q", len(got), c.faults, got)
			}
		})
	}
}
