// Package velocli is the command velo, for programs that have more connectors or functions than
// cmd/velo: such a program imports connectors, so that they register themselves (see package
// connect), registers its functions (query.RegisterFunction and RegisterAggregate), and calls Main.
//
//	package main
//
//	import (
//		_ "github.com/velo-engine/velo/connect/kafka"
//		"github.com/velo-engine/velo/velocli"
//	)
//
//	func main() { velocli.Main() }
//
// What the command does is said in cmd/velo. It is in a package of its own because the modules of
// connectors require this one, and not the other way around.
package velocli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	_ "time/tzdata" // time zones, for machines that have none

	"github.com/alecthomas/kong"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/cli"
)

type commands struct {
	Version kong.VersionFlag `help:"Print the version and what it was built with."`

	Query   queryCmd   `cmd:"" help:"Run a SELECT over files or standard input, and print the result."`
	Run     runCmd     `cmd:"" help:"Run a job: sources, sinks and queries in one text."`
	Serve   serveCmd   `cmd:"" help:"Keep jobs alive, and answer over HTTP: views, queries, pushed records."`
	Apply   applyCmd   `cmd:"" help:"Show what files of SQL would change at a server, and change it."`
	Explain explainCmd `cmd:"" help:"Print the plan of a SELECT without running it."`
	State   stateCmd   `cmd:"" help:"Look at what velo run --state has saved, verify it, copy it."`
	Schema  schemaCmd  `cmd:"" help:"Print the columns that a file seems to have, in the form that --schema takes."`
	Doctor  doctorCmd  `cmd:"" help:"Look at a cluster that a job will work with, and say what will hold."`

	Completion completionCmd `cmd:"" help:"Print a script with which a shell completes the commands of velo."`
	Man        manCmd        `cmd:"" help:"Print the manual page, in roff." hidden:""`
}

// Exit statuses.
const (
	statusFailed      = 1
	statusAside       = 2
	statusInterrupted = 3
	statusPiped       = 141 // as in shells after SIGPIPE
)

// errAside says that there is a result, of the records that could be read.
var errAside = errors.New("records were set aside")

// Main runs the command with the arguments of the process, and ends the process with its exit
// status.
func Main() {
	// If the program that reads velo's output closes it, that must end the printing, but not the
	// sinks of a job: a write returns an error instead of a signal ending the process.
	signal.Ignore(syscall.SIGPIPE)
	collectLater()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// collectLater has the first garbage collection wait for a heap of 16 MB instead of 4, unless GOGC
// is set. To start takes a few megabytes, and to collect them in between would take a quarter of
// the time of a short query. What comes after the first collection is as usual.
func collectLater() {
	if os.Getenv("GOGC") != "" {
		return
	}
	usual := debug.SetGCPercent(400)
	collected := new([64]byte)
	runtime.AddCleanup(collected, func(usual int) { debug.SetGCPercent(usual) }, usual)
}

// streams are what a command reads and where it writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run runs the program and returns its exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, status := cli.Parse(&commands{}, withCommand(args), stdout, stderr, kong.Name("velo"),
		kong.Description("SQL over files, as fast as the machine reads them.\n\nExit statuses: 0; 1 something "+
			"failed; 2 records were set aside; 3 an interrupt came before the end of the input; 80 the command line "+
			"is not understood; 141 the reader of standard output has closed it."), kong.Vars{
			"version": version(), "checkpoint": engine.DefaultCheckpointInterval.String(),
			"formats": printFormats(),
		},
		kong.Bind(streams{stdin, stdout, stderr}))
	if ctx == nil {
		return status
	}
	err := cli.CheckRanges(ctx, ranges)
	if err == nil {
		err = ctx.Run()
	}
	e := sorted(err)
	switch {
	case e.failed != nil:
		fmt.Fprintf(stderr, "velo: %v\n", e.failed)
		if cli.IsMisuse(e.failed) {
			return cli.StatusMisuse
		}
		return statusFailed
	case e.piped:
		return statusPiped
	case e.interrupted:
		return statusInterrupted
	case e.aside:
		return statusAside
	}
	return 0
}

// ranges are the values that flags may have: see cli.CheckRanges.
var ranges = map[string]string{
	"checkpoint": "0s..", "cores": "0..1024", "idle": "0s..", "partitions": "0..256", "readers": "0..4096",
	"skip-lines": "0..", "watermark": "0s..",
}

// commandNames are the names of the commands.
var commandNames = []string{
	"query", "run", "explain", "schema", "state", "serve", "apply", "doctor", "completion", "man",
}

// withCommand adds the command query to a command line that has a statement of SQL and no command,
// takes "help run" for "run --help", and has SQL that begins with a comment not be taken for a
// flag.
func withCommand(args []string) []string {
	if len(args) > 0 && args[0] == "help" {
		return append(slices.Clone(args[1:]), "--help")
	}
	args = slices.Clone(args)
	for i, arg := range args {
		if strings.HasPrefix(arg, "-") && isStatement(arg) {
			args[i] = " " + arg
		}
	}
	for _, arg := range args {
		switch {
		case slices.Contains(commandNames, arg):
			return args
		case isStatement(arg):
			return append([]string{"query"}, args...)
		}
	}
	return args
}

// ending says how a command has ended.
type ending struct {
	aside, interrupted, piped bool
	failed                    error
}

// sorted classifies an error, which may be several joined. The ending has flags for what is not a
// failure, and the failures that remain.
func sorted(err error) (e ending) {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		switch {
		case errors.Is(err, errAside):
			e.aside = true
		case errors.Is(err, errInterrupted):
			e.interrupted = true
		case errors.Is(err, errPiped):
			e.piped = true
		default:
			e.failed = err
		}
		return e
	}
	var rest []error
	for _, one := range many.Unwrap() {
		o := sorted(one)
		rest = append(rest, o.failed)
		e.aside, e.interrupted, e.piped = e.aside || o.aside, e.interrupted || o.interrupted, e.piped || o.piped
	}
	e.failed = errors.Join(rest...)
	return e
}

// release and commit are set by the linker for what is published, see internal/release.
var release, commit string

// buildOf is the version of the module as it was built, and the commit with the mark dirty if the
// sources had changed since. Either is empty if it is not known.
func buildOf() (version, at string) {
	version, at = release, commit
	info, ok := debug.ReadBuildInfo()
	if ok && version == "" {
		version = info.Main.Version
	}
	dirty := ""
	for _, s := range settings(info) {
		switch {
		case s.Key == "vcs.revision" && at == "":
			at = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if at != "" {
		at = at[:min(12, len(at))] + dirty
	}
	return version, at
}

// version is what --version says.
func version() string {
	v, at := buildOf()
	text := strings.TrimSuffix("velo "+cmp.Or(v, "unknown")+" "+at, " ")
	return fmt.Sprintf("%s, %s, %s/%s", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// settings are what a program was built with.
func settings(info *debug.BuildInfo) []debug.BuildSetting {
	if info == nil {
		return nil
	}
	return info.Settings
}
