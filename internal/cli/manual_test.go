package cli

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// program is a command line with everything that pages and completions treat.
type program struct {
	Version kong.VersionFlag `help:"Print the version."`

	Run struct {
		Job    string `arg:"" help:"A file."`
		Format string `enum:"table,csv" default:"table" help:"How to print: ${enum}."`
		Quiet  bool   `help:"Say nothing; it's quiet."`
		Secret string `hidden:""`
	} `cmd:"" help:"Run a job."`
	State struct {
		List struct {
			Dir string `arg:""`
		} `cmd:"" help:"List."`
		Show struct{} `cmd:"" help:"Show."`
	} `cmd:"" help:"Look."`
	Shell struct {
		Name string `arg:"" enum:"bash,fish"`
	} `cmd:"" help:"A shell."`
	Hidden struct{} `cmd:"" hidden:""`
}

func model(t *testing.T) *kong.Application {
	t.Helper()
	k, err := kong.New(&program{}, kong.Name("prog"), kong.Description("Does things.\n\n.Not a request \\ here."),
		kong.Vars{"version": "1"})
	if err != nil {
		t.Fatal(err)
	}
	return k.Model
}

// Goal: bash completes commands, those below them, flags, and the values of flags and arguments.
// Method: bash itself, with the words of a line.
func TestBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	script, err := Completion(model(t), "bash")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, want string }{
		{"prog |", "run state shell --help --version"},
		{"prog r|", "run"},
		{"prog state |", "list show --help --version"},
		{"prog state l|", "list"},
		{"prog run --f|", "--format"},
		{"prog run --format |", "table csv"},
		{"prog run --format = c|", "csv"},
		{"prog run --format =|", "table csv"},
		{"prog run --q|", "--quiet"},
		{"prog shell f|", "fish"},
		{"prog run --s|", ""},
	} {
		line := strings.TrimSuffix(c.line, "|")
		words := strings.Split(line, " ")
		in := script + "\nCOMP_WORDS=("
		for _, w := range words {
			in += "'" + w + "' "
		}
		in += ")\nCOMP_CWORD=$((${#COMP_WORDS[@]}-1))\n_prog_complete\necho \"${COMPREPLY[@]}\"\n"
		cmd := exec.Command(bash, "--norc")
		cmd.Stdin, cmd.Dir = strings.NewReader(in), t.TempDir()
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%q is completed by %q, %v, expected %q", c.line, got, err, c.want)
		}
	}
}

// Goal: the scripts of the other shells have all commands, and what is hidden is in none.
func TestShells(t *testing.T) {
	for _, shell := range Shells {
		text, err := Completion(model(t), shell)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"run", "state", "list", "format", "table csv"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: there is no %s in\n%s", shell, want, text)
			}
		}
		if strings.Contains(text, "idden") || strings.Contains(text, "ecret") {
			t.Errorf("%s: it has what is hidden:\n%s", shell, text)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		check := exec.Command(path, "-n") // reads the script and runs nothing
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", shell, err, out)
		}
	}
	if _, err := Completion(model(t), "cmd.exe"); err == nil || !strings.Contains(err.Error(), "expected bash") {
		t.Errorf("for another shell: %v", err)
	}
}

// Goal: the manual page has each command, flag and argument, and a formatter has nothing to say.
func TestMan(t *testing.T) {
	page := Man(model(t), "1.2")
	for _, want := range []string{
		".TH PROG 1", "prog \\- Does things\n", ".SH COMMAND STATE LIST", "\\-\\-format=", ".B \\-\\-quiet\n",
		"\\&.Not a request \\e here", "How to print: table,csv",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("there is no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "ecret") || strings.Contains(page, "HIDDEN") {
		t.Errorf("it has what is hidden:\n%s", page)
	}
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("there is no groff to format the page")
	}
	cmd := exec.Command(groff, "-man", "-Tascii", "-ww")
	cmd.Stdin = strings.NewReader(page)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 || !strings.Contains(string(out), "Does things") {
		t.Errorf("%v: %s\n%s", err, errs.String(), out)
	}
}
