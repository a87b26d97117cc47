package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/velo-engine/velo/internal/cli"
	"github.com/velo-engine/velo/internal/figures"
	"github.com/velo-engine/velo/internal/perfreport"
)

// reportCmd makes a page of results.
type reportCmd struct {
	Results []string `arg:"" help:"Files that commands printed with --json, and folders of files *.json." type:"path"`
	Out     string   `help:"The page to write; - is standard output. It is report.html without it."`
	Text    bool     `help:"Print a text for a terminal instead."`
	JSON    bool     `name:"json" help:"Print JSON objects instead, one for each section: its lines and its table."`
}

func (c *reportCmd) Run(std streams) error {
	if c.Text && c.JSON || (c.Text || c.JSON) && c.Out != "" {
		return cli.Misusef("--text, --json, --out: expected one of them")
	}
	var all []figures.Result
	for _, name := range c.Results {
		files := []string{name}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		if info.IsDir() {
			files, err = filepath.Glob(filepath.Join(name, "*.json"))
			if err != nil {
				return err
			}
			if len(files) == 0 {
				return fmt.Errorf("%s has no file *.json", name)
			}
		}
		for _, f := range files {
			results, err := readResults(f)
			if err != nil {
				return err
			}
			all = append(all, results...)
		}
	}
	sections := perfreport.Sections(all)
	switch {
	case c.Text:
		return perfreport.Text(std.out, sections)
	case c.JSON:
		return printSections(std.out, sections)
	}
	page := func(w io.Writer) error { return perfreport.HTML(w, sections) }
	if c.Out == "" {
		c.Out = "report.html"
	}
	if c.Out == "-" {
		return page(std.out)
	}
	return writeFile(c.Out, page)
}

// printSections prints what a report says as objects, without its charts.
func printSections(w io.Writer, sections []perfreport.Section) error {
	out, from := json.NewEncoder(w), newStamp(nil)
	for _, s := range sections {
		err := out.Encode(struct {
			stamp
			Title string     `json:"title"`
			Lines []string   `json:"lines"`
			Head  []string   `json:"head"`
			Rows  [][]string `json:"rows"`
		}{
			from, s.Title, append([]string{}, s.Lines...), append([]string{}, s.Head...),
			append([][]string{}, s.Rows...),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
