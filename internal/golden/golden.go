// Package golden compares what a program prints with files that people read: testdata/*.txt. Run
// the tests of a package with -rewrite to write the files again, and look at what git says has
// changed.
//
// A file has cases. Each begins with a line that names it and says what is done, goes on with its
// input, and after a line ---- has the expected output, up to an empty line:
//
//	# Lines that begin with # before a case are for the reader.
//	compile
//	SELECT symbl FROM trades
//	----
//	query: line 1, column 8: there is no column "symbl"
//
// An output that has empty lines itself stands between two pairs of ---- lines. This is the form of
// the data-driven tests of CockroachDB.
package golden

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of the tests again")

// Rewriting says whether the tests were started with -rewrite.
func Rewriting() bool { return *rewrite }

// A Case is one case of a file.
type Case struct {
	Name  string // the first line: what is done
	Input string // the lines after it, each with its newline
	Line  int    // where it begins, from 1

	before string // comments and empty lines
	want   string
}

// Command is the first word of Name.
func (c *Case) Command() string { return c.Args()[0] }

// Args are the words of Name. A part of a word that is between backquotes may have spaces.
func (c *Case) Args() (args []string) {
	word, quoted := "", false
	for _, r := range c.Name + " " {
		switch {
		case r == '`':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word != "" {
				args = append(args, word)
			}
			word = ""
		default:
			word += string(r)
		}
	}
	return args
}

const bar = "----"

// parse returns the cases of a file, and the comments that follow the last of them.
func parse(text string) (cases []*Case, rest string, err error) {
	lines := strings.SplitAfter(text, "\n")
	at := 0
	next := func() (line string, ok bool) {
		if at == len(lines) || lines[at] == "" {
			return "", false
		}
		at++
		return lines[at-1], true
	}
	for {
		c := &Case{}
		line, ok := next()
		for ; ok && (strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#")); line, ok = next() {
			c.before += line
		}
		if !ok {
			return cases, c.before, nil
		}
		c.Name, c.Line = strings.TrimSpace(line), at
		for line, ok = next(); ok && line != bar+"\n"; line, ok = next() {
			c.Input += line
		}
		if !ok {
			return nil, "", fmt.Errorf("line %d: %s: no line %s follows", c.Line, c.Name, bar)
		}
		line, ok = next()
		if ok && line == bar+"\n" {
			for line, ok = next(); ok && (line != bar+"\n" || lines[at] != bar+"\n"); line, ok = next() {
				c.want += line
			}
			if !ok {
				return nil, "", fmt.Errorf("line %d: %s: the two lines %s that end it are missing", c.Line, c.Name, bar)
			}
			next()
		} else {
			for ; ok && line != "\n"; line, ok = next() {
				c.want += line
			}
			if ok {
				at-- // the empty line is before the next case
			}
		}
		cases = append(cases, c)
	}
}

// format writes a case with an output.
func (c *Case) format(b *strings.Builder, got string) {
	b.WriteString(c.before + c.Name + "\n" + c.Input + bar + "\n")
	if strings.HasPrefix(got, "\n") || strings.Contains(got, "\n\n") || strings.HasPrefix(got, bar) {
		got = bar + "\n" + got + bar + "\n" + bar + "\n"
	}
	b.WriteString(got)
}

// Run calls f for each case of a file, in their order, and compares what it returns with the
// expected output. A newline at the end is added if there is none.
//
// f may change the working directory.
func Run(t *testing.T, path string, f func(t *testing.T, c *Case) string) {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cases, rest, err := parse(strings.ReplaceAll(string(text), "\r\n", "\n"))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if len(cases) == 0 {
		t.Fatalf("%s has no cases", path)
	}
	var b strings.Builder
	for _, c := range cases {
		ran := t.Run(fmt.Sprintf("line %d: %s", c.Line, c.Name), func(t *testing.T) {
			got := f(t, c)
			if got != "" && !strings.HasSuffix(got, "\n") {
				got += "\n"
			}
			if got != c.want && !*rewrite {
				t.Errorf("%s:%d: %s\n%s\nprints\n%s\nexpected (-rewrite takes what is printed)\n%s",
					filepath.Base(path), c.Line, c.Name, c.Input, got, c.want)
			}
			c.format(&b, got)
		})
		if !ran && *rewrite {
			return // f has failed by itself: there is nothing to write
		}
	}
	if b.WriteString(rest); *rewrite && b.String() != string(text) {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// RunAll calls f for each file that a pattern matches, as a test with the name of the file. The
// path is absolute.
func RunAll(t *testing.T, pattern string, f func(t *testing.T, path string)) {
	t.Helper()
	pattern, err := filepath.Abs(pattern)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("there is no %s", pattern)
	}
	slices.Sort(paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), func(t *testing.T) { f(t, path) })
	}
}
