package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// script runs one program over one file.
//
//go:embed peers.py
var script string

// runPython runs the query with a program that has a Python package. The interpreter is a new
// process each time; its start and the import do not count. versions gets the program's version.
func runPython(python, program string, versions map[string]string) func(f file, path string, cores int) (
	took cost, lines []string, err error,
) {
	return func(f file, path string, cores int) (took cost, lines []string, err error) {
		cmd := exec.Command(python, "-", program, f.name, path, strconv.Itoa(cores))
		cmd.Stdin = strings.NewReader(script)
		var faults bytes.Buffer
		cmd.Stderr = &faults
		out, err := cmd.Output()
		if err != nil {
			text := strings.TrimSpace(faults.String())
			return took, nil, fmt.Errorf("%s: %w: %s", program, err, text[max(0, len(text)-300):])
		}
		var result struct {
			Version   string
			Seconds   float64
			Processor float64
			Groups    [][]any
		}
		if err := json.Unmarshal(out, &result); err != nil {
			return took, nil, fmt.Errorf("%s: %w", program, err)
		}
		versions[program] = result.Version
		for _, g := range result.Groups {
			if len(g) != 4 {
				return took, nil, fmt.Errorf("%s: a group of %d values, expected 4", program, len(g))
			}
			name, isText := g[0].(string)
			var v [3]float64
			for i := range v {
				number, isNumber := g[i+1].(float64)
				if !isText || !isNumber {
					return took, nil, fmt.Errorf("%s: the group %v, expected a text and three numbers", program, g)
				}
				v[i] = number
			}
			lines = append(lines, line(name, v[0], v[1], v[2]))
		}
		slices.Sort(lines)
		took.elapsed = time.Duration(result.Seconds * float64(time.Second))
		took.processor = time.Duration(result.Processor * float64(time.Second))
		return took, lines, nil
	}
}
