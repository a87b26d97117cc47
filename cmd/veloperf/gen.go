package main

import (
	"bufio"
	"fmt"
	"os"

	"github.com/velo-engine/velo/internal/brc"
)

// genBrcCmd writes a file for 1brc.
type genBrcCmd struct {
	Rows     int64  `help:"Number of lines." required:""`
	Seed     uint64 `help:"Seed: the same seed writes the same file." default:"1"`
	Out      string `help:"File to write." required:"" type:"path"`
	Stations string `help:"File of name;mean lines to draw the names from, instead of the built-in ones." type:"path"`
}

func (c *genBrcCmd) Run() (err error) {
	if c.Rows < 0 {
		return fmt.Errorf("--rows %d, expected 0 or more", c.Rows)
	}
	stations := brc.Stations()
	if c.Stations != "" {
		f, err := os.Open(c.Stations)
		if err != nil {
			return err
		}
		defer f.Close()
		stations, err = brc.ReadStations(f)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Stations, err)
		}
	}
	f, err := os.Create(c.Out)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := brc.Write(w, c.Rows, c.Seed, stations); err != nil {
		return err
	}
	return w.Flush()
}
