package cli

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Goal: a command is returned, help and faults end the program with their status.
func TestParse(t *testing.T) {
	type add struct {
		To   string `arg:""`
		Many int    `default:"1"`
	}
	for _, c := range []struct {
		args, out, errs string
		command         string
		status          int
	}{
		{"add x --many=3", "", "", "add <to>", 0},
		{"--help", "Usage: program", "", "", 0},
		{"add --help", "Usage: program add", "", "", 0},
		{"add", "", "Usage: program add", "", 80},
		{"add", "", `expected "<to>"`, "", 80},
		{"sub", "", "unexpected argument sub", "", 80},
	} {
		t.Run(c.args, func(t *testing.T) {
			var commands struct {
				Add add `cmd:""`
			}
			var out, errs strings.Builder
			ctx, status := Parse(&commands, strings.Fields(c.args), &out, &errs, kong.Name("program"))
			command := ""
			if ctx != nil {
				command = ctx.Command()
			}
			if command != c.command || status != c.status || !strings.Contains(out.String(), c.out) ||
				!strings.Contains(errs.String(), c.errs) || c.errs == "" && errs.Len() > 0 ||
				c.out == "" && out.Len() > 0 {
				t.Errorf("command %q, status %d, printed %q and %q", command, status, out.String(), errs.String())
			}
		})
	}
}
