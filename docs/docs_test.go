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

// A block is what stands between two fences of a guide.
type block struct {
	at   string // file and line of its first line
	kind string // the word after the fence
	text string
}

// blocks are the fenced blocks of a guide.
func blocks(t *testing.T, name string) (all []block) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var open *block
	for i, line := range strings.Split(string(text), "\n") {
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{at: fmt.Sprintf("%s:%d", name, i+2), kind: kind}
		case fence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("%s: the block is not closed", open.at)
	}
	return all
}

// dedent takes from all lines the tabs that they have in common.
func dedent(text string) string {
	lines := strings.Split(text, "\n")
	common := -1
	for _, line := range lines {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if n := len(line) - len(strings.TrimLeft(line, "\t")); common < 0 || n < common {
			common = n
		}
	}
	for i, line := range lines {
		lines[i] = line[min(max(common, 0), len(line)):]
	}
	return strings.Join(lines, "\n")
}

// holds says whether whole lines of the source are the lines of the block, except for how far all of them are indented.
func holds(source, block string) bool {
	want := strings.Split(strings.TrimRight(dedent(block), "\n"), "\n")
	lines := strings.Split(source, "\n")
	for i := range len(lines) - len(want) + 1 {
		if strings.HasSuffix(lines[i], want[0]) && dedent(strings.Join(lines[i:i+len(want)], "\n")) == strings.Join(
			want, "\n") {
			return true
		}
	}
	return false
}

// Goal: the Go of the guides compiles, runs and prints what it says. Method: each block stands in the test of its guide word for word, whose examples print what their
// Output says.
func TestGoBlocks(t *testing.T) {
	for guide, least := range map[string]int{"embedding": 10, "durability": 4} {
		t.Run(guide, func(t *testing.T) { goBlocks(t, guide, least) })
	}
}

func goBlocks(t *testing.T, guide string, least int) {
	source, err := os.ReadFile(guide + "_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if holds(string(source), "func volumePlan() (*plan.Plan, error) {\n\treturn nil, nil\n") ||
		holds(string(source), "a line that is not there\n") {
		t.Error("lines were found that are not there")
	}
	n := 0
	for _, b := range blocks(t, guide+".md") {
		if b.kind == "console" && guide == "durability" {
			continue // TestConsoleBlocks
		}
		if b.kind != "go" {
			t.Errorf("%s: a block of kind %q, which nothing checks", b.at, b.kind)
		} else if !holds(string(source), b.text) {
			t.Errorf("%s: the block is not in %s_test.go:\n%s", b.at, guide, b.text)
		}
		n++
	}
	if n < least {
		t.Errorf("%d blocks in %s.md: too few to mean anything", n, guide)
	}
}

// A command is a line of a console block with what it prints.
type command struct{ line, prints string }

// commands are those of a console block: after "$ ", with the lines that go on after "> ".
func commands(text string) (all []command) {
	for line := range strings.Lines(text) {
		switch c, ok := strings.CutPrefix(line, "$ "); {
		case ok:
			all = append(all, command{line: c})
		case len(all) == 0:
			all = append(all, command{line: "false # output before any command\n"})
		case strings.HasPrefix(line, "> ") && all[len(all)-1].prints == "":
			all[len(all)-1].line += line[2:]
		default:
			all[len(all)-1].prints += line
		}
	}
	return all
}

// steady is a text without what is another each time: ages, epochs and the numbers of files.
func steady(text string) string {
	text = regexp.MustCompile(`\d+ s old`).ReplaceAllString(text, "0 s old")
	text = regexp.MustCompile(`epoch \d+`).ReplaceAllString(text, "epoch 1")
	return regexp.MustCompile(`inode \d+`).ReplaceAllString(text, "inode 1")
}

// Goal: the commands of the guides print what the guides say, messages and exit statuses included. Method: each through a shell, one after the other in one empty folder, with
// the velo of this tree.
func TestConsoleBlocks(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("there is no shell")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "../cmd/velo")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, least := range map[string]int{"shell.md": 20, "semantics.md": 8, "sql.md": 5, "durability.md": 10} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			status, ran := 0, 0
			for _, b := range blocks(t, name) {
				if b.kind == "go" && name == "durability.md" {
					continue // TestGoBlocks
				}
				if b.kind != "console" {
					t.Errorf("%s: a block of kind %q, which nothing checks", b.at, b.kind)
					continue
				}
				for _, c := range commands(b.text) {
					tool := strings.Fields(c.line)[0]
					if tool != "velo" && exec.Command(sh, "-c", "command -v "+tool).Run() != nil {
						t.Logf("%s: the rest of the block is not run: there is no %s", b.at, tool)
						break
					}
					// The subshell hands on $?.
					run := exec.Command(sh, "-c", fmt.Sprintf("(exit %d)\n%s", status, c.line))
					run.Dir = folder
					run.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"),
						"LC_ALL=C")
					out, err := run.CombinedOutput()
					status = run.ProcessState.ExitCode()
					if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
						t.Fatal(err)
					}
					if steady(string(out)) != steady(c.prints) {
						t.Errorf("%s: %sprints\n%sthe guide says\n%s", b.at, c.line, out, c.prints)
					}
					ran++
				}
			}
			if ran < least {
				t.Errorf("%d commands: too few to mean anything", ran)
			}
		})
	}
}
