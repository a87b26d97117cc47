package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/velo-engine/velo/internal/figures"
	"github.com/velo-engine/velo/internal/perfreport"
)

// reportCmd makes a page of results.
type reportCmd struct {
	Results []string `arg:"" help:"Files that commands printed with --json, and folders of files *.json." type:"path"`
	Out     string   `help:"The page to write; - is standard output." default:"report.html"`
	Text    bool     `help:"Print a text for a terminal instead."`
}

func (c *reportCmd) Run(std streams) error {
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
	if c.Text {
		return perfreport.Text(std.out, sections)
	}
	page := func(w io.Writer) error { return perfreport.HTML(w, sections) }
	if c.Out == "-" {
		return page(std.out)
	}
	return writeFile(c.Out, page)
}
