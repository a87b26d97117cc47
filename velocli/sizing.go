package velocli

import (
	"math"
	"runtime"

	"github.com/velo-engine/velo/connect"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/cli"
)

// sizing says how much of the machine a command uses, and in how many parts.
type sizing struct {
	Readers    int `help:"Readers; 0 is one for each core." default:"0"`
	Partitions int `help:"Partitions; 0 is one for each core." default:"0"`
	Cores      int `help:"Cores; 0 is all that may be used." default:"0"`

	Memory    string `help:"What the groups of all queries together may take, such as 512MB or 4GiB; half of the memory of the machine or its control group without it." env:"VELO_MEMORY" placeholder:"SIZE"`
	Rebalance bool   `help:"Move groups from busy cores to others; for GROUP BY without windows."`
	// stateBytes is for each query; 0 is the engine's default.
	stateBytes int
	// evenReaders and evenPartitions say that there is one for each core.
	evenReaders, evenPartitions bool
}

// besideUnpackers is the size of an engine whose files are packed with gzip or zstd. Unpacking
// them takes longer than reading the lines, and goroutines do it that belong to no core: half of
// the cores are left to them. If runners are pinned to all cores, the unpacker waits for one of
// them each time.
func (s sizing) besideUnpackers() sizing {
	s.Cores = max(1, s.Cores/2)
	if s.evenReaders {
		s.Readers = s.Cores
	}
	if s.evenPartitions {
		s.Partitions = s.Cores
	}
	return s
}

// fill replaces zeros by numbers, for this many queries in this many engines at once, and makes
// room for the rest of the program.
func (s *sizing) fill(engines, queries int) error {
	if s.Cores == 0 {
		s.Cores = runtime.NumCPU()
		if cpus, err := affinity.Usable(); err == nil && len(cpus) > 0 {
			s.Cores = len(cpus)
		}
	}
	if s.Memory != "" {
		n, err := connect.ByteSize(s.Memory)
		if err != nil {
			return cli.Misusef("--memory, or VELO_MEMORY: %w", err)
		}
		if n < int64(queries)*engine.MinStateBytes {
			return cli.Misusef("--memory %s, or VELO_MEMORY: expected %d MiB at least for %d queries", s.Memory,
				queries*engine.MinStateBytes>>20, queries)
		}
		s.stateBytes = int(min(n, math.MaxInt)) / queries
	} else if engines > 1 {
		s.stateBytes = max(affinity.Memory()/2/queries, engine.MinStateBytes)
	}
	// With S threads that spin, the garbage collector needs a quarter of the processors and the
	// rest of the program one.
	s.Cores = max(1, s.Cores/engines)
	runtime.GOMAXPROCS((4*(s.Cores*engines+1) + 2) / 3)
	s.evenReaders, s.evenPartitions = s.Readers == 0, s.Partitions == 0
	if s.evenReaders {
		s.Readers = s.Cores
	}
	if s.evenPartitions {
		s.Partitions = s.Cores
	}
	return nil
}
