// Package cli parses the command lines of the programs.
package cli

import (
	"io"

	"github.com/alecthomas/kong"
)

// Parse fills commands, a pointer to a struct as kong takes it, from the arguments. It returns nil
// and the exit status if there is nothing to run: help was asked for, or the arguments are wrong,
// which Parse has said then.
func Parse(
	commands any, args []string, stdout, stderr io.Writer, options ...kong.Option,
) (ctx *kong.Context, status int) {
	status = -1 // not known yet
	exit := func(s int) {
		if status < 0 { // after --help, kong goes on and finds that arguments are missing
			status = s
		}
	}
	options = append(options, kong.ShortUsageOnError(), kong.Writers(stdout, stderr), kong.Exit(exit))
	parser := kong.Must(commands, options...)
	ctx, err := parser.Parse(args)
	if status < 0 && err != nil {
		parser.Stdout = stderr // the usage belongs to the message
		parser.FatalIfErrorf(err)
	}
	if status >= 0 {
		return nil, status
	}
	return ctx, 0
}
