package velocli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/velo-engine/velo/connect"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/state"
)

// stateCmd looks at what velo run --state, or an embedded engine, has saved. None of its commands
// disturbs a job that runs.
type stateCmd struct {
	List   stateListCmd   `cmd:"" help:"List the generations."`
	Show   stateShowCmd   `cmd:"" help:"Show what the newest generation has: query, groups, positions, counters."`
	Verify stateVerifyCmd `cmd:"" help:"Read every byte, and say which are damaged; exit status 1 if any are."`
	Backup stateBackupCmd `cmd:"" help:"Copy the newest generation while the job runs."`
	Export stateExportCmd `cmd:"" help:"Print the groups of the newest generation."`
}

type stateFolder struct {
	Dir string `arg:"" help:"The folder of --state, one of the folders in it, or that of engine.Dir."`
}

// folders are the folders of the sources.
func (s *stateFolder) folders() ([]string, error) {
	if state.Holds(s.Dir) {
		return []string{s.Dir}, nil
	}
	below, err := os.ReadDir(s.Dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, d := range below {
		if path := filepath.Join(s.Dir, d.Name()); d.IsDir() && state.Holds(path) {
			all = append(all, path)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s: no state is in it, and none in the folders in it", s.Dir)
	}
	return all, nil
}

type stateListCmd struct{ stateFolder }

// Run runs the command.
func (c *stateListCmd) Run(std streams) error {
	folders, err := c.folders()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "folder\tgeneration\tage\tepoch\tgroups\tsize\t")
	var faults []error
	for _, folder := range folders {
		all, err := state.Check(folder)
		faults = append(faults, err)
		for _, g := range all {
			if g.Manifest == nil {
				fmt.Fprintf(t, "%s\t%d\t\t\t\t\tdamaged\n", folder, g.Generation)
				continue
			}
			m := g.Manifest
			fmt.Fprintf(t, "%s\t%d\t%s\t%d\t%s\t%s\t%s\n", folder, m.Generation, age(time.Since(m.Time)), m.Epoch,
				thousands(m.Groups()), size(m.Bytes()), condition(g))
		}
	}
	return errors.Join(t.Flush(), errors.Join(faults...))
}

// condition says what is remarkable about a generation.
func condition(g state.Checked) string {
	switch {
	case g.Err != nil:
		return "damaged"
	case g.Manifest.Finished:
		return "at the end of the input"
	}
	return ""
}

type stateVerifyCmd struct{ stateFolder }

// Run runs the command.
func (c *stateVerifyCmd) Run(std streams) error {
	folders, err := c.folders()
	if err != nil {
		return err
	}
	var faults []error
	for _, folder := range folders {
		all, err := state.Check(folder)
		faults = append(faults, err)
		for _, g := range all {
			if g.Err != nil {
				faults = append(faults, fmt.Errorf("%s: generation %d: %w", folder, g.Generation, g.Err))
				continue
			}
			fmt.Fprintf(std.out, "%s: generation %d is whole: %s\n", folder, g.Generation, size(g.Manifest.Bytes()))
		}
	}
	return errors.Join(faults...)
}

type stateBackupCmd struct {
	stateFolder
	To string `arg:"" help:"A new folder for the copy."`
}

// Run runs the command.
func (c *stateBackupCmd) Run(std streams) error {
	folders, err := c.folders()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		to := c.To
		if folder != c.Dir {
			to = filepath.Join(c.To, filepath.Base(folder))
		}
		m, err := state.Backup(folder, to)
		if err != nil {
			return err
		}
		fmt.Fprintf(std.out, "%s: generation %d of %s\n", to, m.Generation, folder)
	}
	fmt.Fprintf(std.out, "A job goes on from the copy with --state %s --takeover.\n", c.To)
	return nil
}

type stateShowCmd struct {
	stateFolder
	JSON bool `help:"Print one JSON object for each folder."`
}

// A shown is what velo state show prints of a generation.
type shown struct {
	Folder     string        `json:"folder"`
	Job        string        `json:"job"`
	Velo       string        `json:"velo"`
	Generation uint64        `json:"generation"`
	Epoch      uint64        `json:"epoch"`
	Time       time.Time     `json:"time"`
	AgeSeconds float64       `json:"age_seconds"`
	Finished   bool          `json:"finished"`
	Groups     int64         `json:"groups"`
	Bytes      int64         `json:"bytes"`
	Plans      []shownPlan   `json:"plans"`
	Readers    []shownReader `json:"readers"`
}

type shownPlan struct {
	Name        string     `json:"name"`
	Query       string     `json:"query"`
	Fingerprint []string   `json:"fingerprint"`
	Output      []string   `json:"output"`
	Groups      int64      `json:"groups"`
	Bytes       int64      `json:"bytes"`
	Panes       int        `json:"panes"`
	Closed      *time.Time `json:"windows_closed,omitempty"`
	Written     *time.Time `json:"windows_written,omitempty"`
}

type shownReader struct {
	Name      string          `json:"name"`
	Resumes   bool            `json:"resumes"`
	Ended     bool            `json:"ended"`
	Positions []shownPosition `json:"positions"`
	// Plans has how far each plan had come with the reader.
	Plans []shownProgress `json:"plans"`
}

type shownProgress struct {
	Plan      string            `json:"plan"`
	Watermark *time.Time        `json:"watermark,omitempty"`
	Counters  map[string]uint64 `json:"counters"`
}

type shownPosition struct {
	Split  string `json:"split"`
	Words  string `json:"words"`
	Offset []byte `json:"offset"`
}

// instant is a time of a manifest; it is nil if there is none.
func instant(ns int64) *time.Time {
	if ns >= window.MaxTime || ns <= -window.MaxTime {
		return nil
	}
	t := time.Unix(0, ns).UTC()
	return &t
}

// show makes what is printed.
func show(folder string, m *state.Manifest) shown {
	s := shown{
		Folder: folder, Job: m.Job, Velo: m.Velo, Generation: m.Generation, Epoch: m.Epoch, Time: m.Time,
		AgeSeconds: time.Since(m.Time).Seconds(), Finished: m.Finished, Groups: m.Groups(), Bytes: m.Bytes(),
	}
	for i := range m.Plans {
		p := &m.Plans[i]
		s.Plans = append(s.Plans, shownPlan{
			Name: p.Name, Query: p.Text, Fingerprint: p.Print, Output: p.Output, Groups: p.Groups(), Bytes: p.Bytes(),
			Panes: len(p.Panes), Closed: instant(p.Closed), Written: instant(p.Written),
		})
	}
	for _, r := range m.Readers {
		one := shownReader{
			Name: r.Name, Resumes: r.Resumes, Ended: r.Ended,
		}
		for i, p := range r.Plans {
			one.Plans = append(one.Plans, shownProgress{m.Plans[i].Name, instant(p.Watermark), p.Counters})
		}
		for _, p := range r.Positions {
			words := describe(record.Position{Split: p.Split, Offset: p.Offset})
			one.Positions = append(one.Positions, shownPosition{p.Split, words, p.Offset})
		}
		s.Readers = append(s.Readers, one)
	}
	return s
}

// Run runs the command.
func (c *stateShowCmd) Run(std streams) error {
	folders, err := c.folders()
	if err != nil {
		return err
	}
	for i, folder := range folders {
		f, err := state.Inspect(folder)
		if err != nil {
			return err
		}
		s := show(folder, f.Newest)
		if c.JSON {
			if err := json.NewEncoder(std.out).Encode(s); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			fmt.Fprintln(std.out)
		}
		if f.Passed != nil {
			fmt.Fprintf(std.out, "%v\n", f.Passed)
		}
		if err := s.print(std.out); err != nil {
			return err
		}
	}
	return nil
}

// print prints it for people.
func (s *shown) print(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	end := ""
	if s.Finished {
		end = ", at the end of the input"
	}
	line("folder", "%s", s.Folder)
	line("generation", "%d, epoch %d, %s old%s", s.Generation, s.Epoch, age(time.Since(s.Time)), end)
	for i := range s.Plans {
		if len(s.Plans) > 1 {
			line("plan", "%s", s.Plans[i].Name)
		}
		s.Plans[i].print(line)
	}
	for i, r := range s.Readers {
		r.print(line, i)
	}
	return t.Flush()
}

func (p *shownPlan) print(line func(what, format string, args ...any)) {
	for i, l := range strings.Split(strings.TrimSpace(p.Query), "\n") {
		line(onlyFirst(i, "query"), "%s", l)
	}
	for i, l := range p.Fingerprint {
		line(onlyFirst(i, "depends on"), "%s", l)
	}
	line("groups", "%s, %s, %d panes", thousands(p.Groups), size(p.Bytes), p.Panes)
	if p.Closed != nil {
		line("windows", "closed to %s", p.Closed.Format(time.RFC3339Nano))
	}
	if p.Written != nil {
		line("", "written to %s", p.Written.Format(time.RFC3339Nano))
	}
}

func (r *shownReader) print(line func(what, format string, args ...any), i int) {
	how := ""
	switch {
	case !r.Resumes:
		how = ", cannot be gone on with"
	case r.Ended:
		how = ", has ended"
	}
	line(fmt.Sprintf("reader %d", i), "%s%s", r.Name, how)
	for _, p := range r.Positions {
		line("", "%s: %s", p.Split, p.Words)
	}
	for _, p := range r.Plans {
		of := ""
		if len(r.Plans) > 1 {
			of = p.Plan + ": "
		}
		if p.Watermark != nil {
			line("", "%swatermark %s", of, p.Watermark.Format(time.RFC3339Nano))
		}
		var counters []string
		for name, n := range p.Counters {
			if n > 0 {
				counters = append(counters, fmt.Sprintf("%s %s", name, thousands(n)))
			}
		}
		slices.Sort(counters)
		line("", "%scounters: %s", of, strings.Join(counters, ", "))
	}
}

// onlyFirst is the text for the first of several lines.
func onlyFirst(i int, text string) string {
	if i > 0 {
		return ""
	}
	return text
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}

// describe says in words what a position means.
func describe(p record.Position) string {
	if words := connect.Default.Describe(p); words != "" {
		return words
	}
	return readers.Describe(p)
}
