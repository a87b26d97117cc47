package velocli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/velo-engine/velo/internal/golden"
)

// Goal: the commands print what a person expects, to the output that they expect, and end with the
// right status. Method: testdata/*.txt, each in a folder of its own. A case is one of
//
//	file NAME        writes its input to a file
//	folder NAME      makes a folder
//	cat NAME         prints a file
//	ls               prints the names of the files that are not hidden
//	run OPTIONS      writes its input to job.sql and runs velo run job.sql OPTIONS
//	velo ARGUMENTS   runs velo with its input as standard input
//
// A line of standard error begins with "2> ". A status other than 0 is the last line.
func TestGolden(t *testing.T) {
	golden.RunAll(t, "testdata/*.txt", func(t *testing.T, path string) {
		t.Chdir(t.TempDir())
		golden.Run(t, path, goldenCase)
	})
}

func goldenCase(t *testing.T, c *golden.Case) string {
	args := c.Args()
	var err error
	switch args[0] {
	case "file":
		err = os.WriteFile(args[1], []byte(c.Input), 0o600)
	case "folder":
		err = os.Mkdir(args[1], 0o700)
	case "cat":
		var text []byte
		text, err = os.ReadFile(args[1])
		return string(text) + faultText(err)
	case "ls":
		names, err := filepath.Glob("*")
		return strings.Join(names, "\n") + faultText(err)
	case "run":
		if err := os.WriteFile("job.sql", []byte(c.Input), 0o600); err != nil {
			t.Fatal(err)
		}
		return printed(velo(t, "", append([]string{"run", "job.sql"}, args[1:]...)...))
	case "velo":
		return printed(velo(t, c.Input, args[1:]...))
	default:
		t.Fatalf("no command %s", args[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	return ""
}

func faultText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error() + "\n"
}

// printed is what a run of velo has left, as the golden files show it.
func printed(out, errs string, status int) string {
	var b strings.Builder
	b.WriteString(out)
	for line := range strings.Lines(errs) {
		b.WriteString("2> " + strings.TrimSuffix(line, "\n") + "\n")
	}
	if status != 0 {
		fmt.Fprintf(&b, "exit %d\n", status)
	}
	return b.String()
}
