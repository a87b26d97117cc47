package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Goal: the program in the README runs and prints what is written below it.
func TestReadmeProgram(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```go\n")
	program, rest, _ := strings.Cut(rest, "```")
	_, rest, says := strings.Cut(rest, "It prints `")
	want, _, _ := strings.Cut(rest, "`")
	if !strings.HasPrefix(program, "package main") || !says {
		t.Fatal("the first block of Go in README.md is no program with its output")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.Command("go", "run", file)
	run.Dir = ".." // of the module
	out, err := run.CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != want {
		t.Errorf("it prints %q, %v, expected %q", got, err, want)
	}
}
