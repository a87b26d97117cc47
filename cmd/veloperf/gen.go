package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/velo-engine/velo/internal/brc"
	"github.com/velo-engine/velo/internal/cli"
)

// genBrcCmd writes a file for 1brc.
type genBrcCmd struct {
	Rows     int64  `help:"Number of lines." required:""`
	Seed     uint64 `help:"Seed: the same seed writes the same file." default:"1"`
	Out      string `help:"File to write; - is standard output." required:""`
	Stations string `help:"File of name;mean lines to draw the names from, instead of the built-in ones." type:"path"`
	JSON     bool   `name:"json" help:"Then print one JSON object: rows, bytes, seed."`
}

// genReport is what gen prints with --json.
type genReport struct {
	File  string `json:"file"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
	Seed  uint64 `json:"seed"`
}

// countedBytes counts the bytes that go to a writer.
type countedBytes struct {
	io.Writer
	n int64
}

func (c *countedBytes) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += int64(n)
	return n, err
}

func (c *genBrcCmd) Run(std streams) error {
	if c.JSON && c.Out == "-" {
		return cli.Misusef("--json: the lines go to standard output, expected --out FILE")
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
	report := genReport{File: c.Out, Rows: c.Rows, Seed: c.Seed}
	write := func(out io.Writer) error {
		to := &countedBytes{Writer: out}
		w := bufio.NewWriterSize(to, 1<<20)
		err := brc.Write(w, c.Rows, c.Seed, stations)
		if err == nil {
			err = w.Flush()
		}
		report.Bytes = to.n
		return err
	}
	if c.Out == "-" {
		return write(std.out)
	}
	err := writeFile(c.Out, write)
	if err != nil || !c.JSON {
		return err
	}
	return json.NewEncoder(std.out).Encode(struct {
		stamp
		genReport
	}{newStamp(nil), report})
}
