package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/bench/peers"
)

// cppName is the name of the C++ queue in the output.
const cppName = "c++ spsc (rigtorp's design)"

// cpp measures the C++ queue, built into a folder of its own. It is nil if the program could not be
// built.
type cpp struct{ dir string }

func (c *cpp) program() string { return filepath.Join(c.dir, "spsc") }

// buildCPP builds the program. The caller removes it.
func buildCPP() (*cpp, error) {
	compiler, err := exec.LookPath("g++")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "ringpeers")
	if err != nil {
		return nil, err
	}
	c := &cpp{dir}
	source := filepath.Join(dir, "spsc.cpp")
	if err := os.WriteFile(source, []byte(peers.SPSC), 0o600); err != nil {
		c.remove()
		return nil, err
	}
	out, err := exec.Command(compiler, "-std=c++17", "-O3", "-march=native", "-pthread", "-Wall", "-Wextra", "-o",
		c.program(), source).CombinedOutput()
	if err != nil {
		c.remove()
		return nil, fmt.Errorf("g++: %w\n%s", err, out)
	}
	return c, nil
}

func (c *cpp) remove() {
	if c != nil {
		os.RemoveAll(c.dir)
	}
}

// measure runs one case in a process of its own and returns what the process prints, in the unit of
// the case.
func (c *cpp) measure(s *stage, kind string, slots int, d time.Duration) (float64, error) {
	out, err := exec.Command(c.program(), kind, strconv.Itoa(s.cpus[0]), strconv.Itoa(s.cpus[1]),
		fmt.Sprint(d.Seconds()), strconv.Itoa(slots)).Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return 0, err
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		return 0, fmt.Errorf("%q: %w", out, err)
	}
	if r.Case != kind || r.Value <= 0 {
		return 0, fmt.Errorf("%q: expected a value of %s", out, kind)
	}
	return r.Value, nil
}
