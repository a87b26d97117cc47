// Command veloperf measures velo, on its built-in generator and on files in the format of the one
// billion row challenge.
//
//	veloperf run                        the canonical workload, five times 2 seconds
//	veloperf gen 1brc --rows 50000000 --out measurements.txt
//	veloperf 1brc measurements.txt      minimum, mean and maximum for each name
//	veloperf ring                       the ring beside its rivals
//	veloperf scale --profile u_100k     1, 2, 4, ... readers and partitions
//	veloperf skew                       skewed loads, with shards that move and without
//	veloperf model --cores 64           a model of more cores than there are
//	veloperf modes                      a single goroutine against pinned threads
//	veloperf snapshot                   what snapshots cost
//	veloperf latency                    from Send to a snapshot
//	veloperf batching                   latency and throughput over the load
//	veloperf idle                       what an engine costs that has nothing to do
//	veloperf locks                      shared maps under locks against velo
//	veloperf readers                    sources that answer late, read side by side
//	veloperf ingest                     files as people have them, with rooflines
//	veloperf doctor                     what of this host would spoil a run, and what mends it
//	veloperf diff before.json after.json   what has changed, and whether that is chance
//	veloperf validate                   the list by which velo is accepted, line by line
//	veloperf flame cpu.pprof            a flame graph, as SVG
//	veloperf report results/            one page with all results and their charts
//
// Every command has --help. Results go to standard output, progress and messages to standard error.
// The exit status is 0; 1 if something went wrong; 2 if there is no result because no line of a
// file could be read; 3 if a command that answers a question says no, as doctor does of a host that
// would spoil a run; 4 if an interrupt came before the end: what was measured before it was
// printed; 80 if the command line is not understood, which a value out of range is, too.
package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"

	"github.com/velo-engine/velo/connect"

	"github.com/alecthomas/kong"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/cli"
)

type commands struct {
	Run      runCmd      `cmd:"" help:"Run the canonical workload on the built-in generator: group by a scrambled 64-bit key, count, sum, min, max."`
	Brc      brcCmd      `cmd:"" name:"1brc" help:"Minimum, mean and maximum for each name of a file of name;value lines."`
	Ring     ringCmd     `cmd:"" help:"The ring beside channels, other queues and one in C++; needs the source tree and Go."`
	Scale    scaleCmd    `cmd:"" help:"Throughput with 1, 2, 4, ... readers and partitions."`
	Skew     skewCmd     `cmd:"" help:"Skewed loads, with shards that stay and shards that move."`
	Model    modelCmd    `cmd:"" help:"A model: what more cores would come to, simulated from runs on one and two."`
	Modes    modesCmd    `cmd:"" help:"A single goroutine against pinned threads, over the same records."`
	Snapshot snapshotCmd `cmd:"" help:"What snapshots cost the writers, and what reading them takes."`
	Latency  latencyCmd  `cmd:"" help:"From Send to a snapshot, at a fixed rate."`
	Batching batchingCmd `cmd:"" help:"Latency and throughput over the load: fixed batches beside what adapts."`
	Idle     idleCmd     `cmd:"" help:"What an engine costs that has nothing to do, and how long a record takes."`
	Locks    locksCmd    `cmd:"" help:"Shared maps under locks, channels and rings against velo."`
	Readers  readersCmd  `cmd:"" help:"Readers side by side whose sources answer late."`
	Ingest   ingestCmd   `cmd:"" help:"How fast files are read: CSV, JSON lines, gzip, with rooflines."`
	Doctor   doctorCmd   `cmd:"" help:"What of this host spoils a run; what mends it."`

	Diff     diffCmd     `cmd:"" help:"Compare two files of results: what has changed, and is it chance?"`
	Validate validateCmd `cmd:"" help:"Go through the list by which velo is accepted."`
	Flame    flameCmd    `cmd:"" help:"Draw a profile as a flame graph."`
	Report   reportCmd   `cmd:"" help:"Make a page of results, or a text for a terminal."`

	Version kong.VersionFlag `help:"Print the version, the commit and the version of Go."`
	Gen     struct {
		Brc genBrcCmd `cmd:"" name:"1brc" help:"Write a file of name;value lines."`
	} `cmd:"" help:"Write test data."`
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs the program and returns its exit status.
func run(args []string, stdout, stderr io.Writer) int {
	commandLine = args
	out := &checked{Writer: stdout}
	ctx, status := cli.Parse(&commands{}, args, stdout, stderr, kong.Name("veloperf"),
		kong.Description("Measures velo, the stream-aggregation engine."), kong.Bind(streams{out, stderr}),
		kong.Vars{
			"workloads": workloadNames(), "streams": streamNames(), "skews": skewNames(), "rivals": rivalNames(),
			"version": version(), "checks": checkNames(),
		})
	if ctx == nil {
		return status
	}
	err := cli.CheckRanges(ctx, ranges)
	if err == nil {
		err = ctx.Run()
	}
	if out.err != nil && (err == nil || errors.Is(err, errSaysNo)) {
		err = fmt.Errorf("standard output: %w", out.err)
	}
	if err != nil && !errors.Is(err, errSaysNo) {
		fmt.Fprintf(stderr, "veloperf: %v\n", err)
	}
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errAllAside):
		return 2
	case errors.Is(err, errSaysNo):
		return 3
	case errors.Is(err, errInterrupted):
		return 4
	case cli.IsMisuse(err):
		return cli.StatusMisuse
	}
	return 1
}

// A checked writer remembers its first error, so that nobody has to look at each line.
type checked struct {
	io.Writer
	err error
}

func (c *checked) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	if c.err == nil {
		c.err = err
	}
	return n, err
}

// streams say where a command writes: results to out, progress and messages to err.
type streams struct {
	out, err io.Writer
}

// sizing says how many readers, partitions and cores an engine has.
type sizing struct {
	Readers    int `help:"Readers; 0 is one for each core." default:"0"`
	Partitions int `help:"Partitions; 0 is one for each core." default:"0"`
	Cores      int `help:"Cores; 0 is all that may be used." default:"0"`
	memory
}

// memory is how much memory the groups may take.
type memory struct {
	Memory     string `help:"What the groups may take, such as 512MB or 4GiB; half of the memory of the machine or its control group without it." env:"VELO_MEMORY" placeholder:"SIZE"`
	stateBytes int
}

func (m *memory) settle() error {
	if m.Memory == "" {
		return nil
	}
	n, err := connect.ByteSize(m.Memory)
	if err != nil {
		return cli.Misusef("--memory, or VELO_MEMORY: %w", err)
	}
	if n < engine.MinStateBytes {
		return cli.Misusef("--memory %s, or VELO_MEMORY: expected %d MiB at least", m.Memory, engine.MinStateBytes>>20)
	}
	m.stateBytes = int(min(n, math.MaxInt))
	return nil
}

// settle fills in the zeros and gives the Go runtime enough processors beside the engine's threads.
func (s *sizing) settle() error {
	if err := s.memory.settle(); err != nil {
		return err
	}
	if s.Cores == 0 {
		s.Cores = runtime.NumCPU()
		if cpus, err := affinity.Usable(); err == nil && len(cpus) > 0 {
			s.Cores = len(cpus)
		}
	}
	if s.Readers == 0 {
		s.Readers = s.Cores
	}
	if s.Partitions == 0 {
		s.Partitions = s.Cores
	}
	// With S threads that spin, the garbage collector needs a quarter of the processors and the
	// rest of the program one.
	runtime.GOMAXPROCS((4*(s.Cores+1) + 2) / 3)
	return nil
}
