// Package doctor says what of a host would spoil a measurement, and what mends it.
//
// It reads /proc and /sys below a root, which is the running system or a recorded tree of another
// host. Most of it is files that say how the host is set up. The rest are counters that are read
// twice, some time apart, in which the process that asks should sleep: whatever runs then would run
// beside a measurement too.
//
// What cannot be read is left out. Nothing is guessed: a host whose governor is not known has no
// finding about its governor.
package doctor

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/internal/invariants"
)

// These are the levels of a Finding.
const (
	// LevelSpoils is for what makes figures wrong, or different from one run to the next.
	LevelSpoils = "spoils"
	// LevelNote is for what one has to know to read the figures, or what spoils some of them only.
	LevelNote = "note"
)

// A Finding is something about the host that a measurement feels.
type Finding struct {
	ID     string `json:"id"`
	Level  string `json:"level"`
	Found  string `json:"found"`  // what it is
	Spoils string `json:"spoils"` // what it does to which figures
	// Mend is the command that mends it. If there is none, it says in words what would, after a #,
	// so that it can be pasted anyway.
	Mend string `json:"mend"`
}

// A Report is a host and the findings about it.
type Report struct {
	Machine  Machine   `json:"machine"`
	Findings []Finding `json:"findings"`
}

// Spoiled says whether anything would spoil a run.
func (r Report) Spoiled() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == LevelSpoils })
}

// Spoilers are the findings that would spoil a run, a line each.
func (r Report) Spoilers() (lines []string) {
	for _, f := range r.Findings {
		if f.Level == LevelSpoils {
			lines = append(lines, f.ID+": "+f.Found)
		}
	}
	return lines
}

// Examine looks at a host. usable are the CPUs that the process may use. The samples were taken
// some time apart; if they are the same one, there is no finding about what runs meanwhile.
func Examine(root fs.FS, usable []int, before, after Sample) Report {
	m := readMachine(root, usable)
	m.KernelThreads = kernelThreads(before, after, usable)
	e := examination{root: root, m: &m, before: before, after: after}
	for _, check := range checks {
		check(&e)
	}
	slices.SortStableFunc(e.findings, func(a, b Finding) int {
		return strings.Compare(b.Level, a.Level) // what spoils comes first
	})
	return Report{m, e.findings}
}

// Live looks at the running system and watches it for a while.
func Live(ctx context.Context, watch time.Duration) (Report, error) {
	usable, err := affinity.Usable()
	if err != nil {
		return Report{}, err
	}
	root := affinity.System()
	before := TakeSample(root)
	select {
	case <-time.After(watch):
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
	r := Examine(root, usable, before, TakeSample(root))
	r.Findings = append(buildFindings(), r.Findings...)
	if line(root, "proc/stat") == "" {
		r.Findings = append(r.Findings, Finding{
			"unknown", LevelNote, "this system has no /proc and /sys as Linux has them",
			"nothing that is known: hardly anything could be looked at", noCommand + "measure on Linux",
		})
	}
	return r, nil
}

// buildFindings are about the program itself.
func buildFindings() []Finding {
	if !invariants.Enabled {
		return nil
	}
	return []Finding{{
		"build", LevelSpoils, "veloperf is built with -race or -tags invariants",
		"every figure, by a factor of ten and more", "go build ./cmd/veloperf",
	}}
}

// UsableOf returns the CPUs that the process of a recorded tree could use.
func UsableOf(root fs.FS) ([]int, error) {
	status, err := fs.ReadFile(root, "proc/self/status")
	if err != nil {
		return nil, fmt.Errorf("doctor: which cpus were usable is not in the tree: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
			return affinity.ParseList(list)
		}
	}
	return nil, fmt.Errorf("doctor: proc/self/status has no line Cpus_allowed_list")
}

// Print writes a report for people.
func (r Report) Print(w io.Writer) {
	r.Machine.print(w)
	for _, f := range r.Findings {
		fmt.Fprintf(w, "\n%-6s %s: %s\n", f.Level, f.ID, f.Found)
		fmt.Fprintf(w, "       spoils %s\n", f.Spoils)
		fmt.Fprintf(w, "       mend   %s\n", f.Mend)
	}
	spoils := len(r.Spoilers())
	switch {
	case spoils > 0:
		fmt.Fprintf(w, "\n%d of %d findings spoil a run\n", spoils, len(r.Findings))
	default:
		fmt.Fprintf(w, "\nnothing found that spoils a run\n")
	}
}
