package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/plan"
)

// skewCmd measures skewed loads with and without moves of shards.
type skewCmd struct {
	measuring
	Skew       []string      `help:"Loads, some of ${skews}; all without it."`
	Readers    int           `help:"Readers; 0 is one for each core." default:"0"`
	Partitions int           `help:"Partitions." default:"4"`
	Cores      int           `help:"Cores, and readers; 0 is all that may be used." default:"0"`
	Exchange   string        `help:"auto, direct or route." enum:"auto,direct,route" default:"route"`
	Duration   time.Duration `help:"How long to measure each, in each run." default:"2s"`
}

func (c *skewCmd) Run(std streams) error {
	s := sizing{Cores: c.Cores, Readers: c.Readers}
	if err := s.settle(); err != nil {
		return err
	}
	for _, name := range c.Skew {
		if !slices.ContainsFunc(bench.Skews, func(s bench.Skew) bool { return s.Name == name }) {
			return cli.Misusef("--skew %s: expected some of %s", name, skewNames())
		}
	}
	exchange := map[string]plan.Exchange{
		"auto": plan.ExchangeAuto, "direct": plan.ExchangeDirect, "route": plan.ExchangeRoute,
	}[c.Exchange]
	readers, cores := s.Readers, s.Cores
	return measure(&c.measuring, std, printing[bench.SkewPoint]{
		head: "load\tassignment\tpartitions\trecords/s\tof the best fixed\tof none\tshards moved\tclean slices\t",
		cells: func(p bench.SkewPoint) string {
			ratios := "\t\t"
			if p.OfFixed > 0 {
				ratios = fmt.Sprintf("%.3f\t%.3f\t", p.OfFixed, p.OfNone)
			}
			moved := "-" // only the policy counts them
			if p.Assignment == "policy" {
				moved = fmt.Sprint(p.Shards)
			}
			return fmt.Sprintf("%s\t%s\t%d\t%.1f M\t%s%s\t%d of %d\t", p.Skew, p.Assignment, p.Partitions, p.T/1e6,
				ratios, moved, p.Clean, p.Slices)
		},
	}, func(warm bool, each func(bench.SkewPoint)) error {
		if warm {
			return nil // each measurement begins when its groups are there
		}
		for _, sk := range bench.Skews {
			if len(c.Skew) > 0 && !slices.Contains(c.Skew, sk.Name) {
				continue
			}
			if err := sk.Run(readers, c.Partitions, cores, exchange, c.Duration, each); err != nil {
				return err
			}
		}
		return nil
	})
}

// skewNames lists the names of the skewed loads.
func skewNames() string {
	var names []string
	for _, s := range bench.Skews {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}
