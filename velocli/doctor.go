package velocli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/velo-engine/velo/connect"
)

// doctorCmd looks at a system that connectors work with.
type doctorCmd struct {
	System  string        `arg:"" help:"What to look at, such as kafka."`
	Options []string      `arg:"" optional:"" name:"option=value" help:"Options, as in WITH of a job."`
	Timeout time.Duration `help:"How long to try before it gives up." default:"30s"`
	JSON    bool          `help:"Print one JSON object."`
}

// errUnfit says that a probe has found something that fails. It has been printed.
var errUnfit = errors.New("a job would not run, or a guarantee does not hold")

// Help is the additional text of velo doctor --help.
func (doctorCmd) Help() string {
	var b strings.Builder
	b.WriteString("Looks at a cluster before a job needs it: what can be reached, which versions and limits it has, " +
		"and what a job can rely on. Nothing is written that a reader would see. The exit status is 1 if something " +
		"fails, and 0 if there are only warnings.\n\n    velo doctor kafka brokers=localhost:9092 topic=trades\n")
	for _, name := range connect.Default.Probes() {
		p, _ := connect.Default.Probe(name)
		line := fmt.Sprintf("\n    %-8s", name)
		for i, o := range p.Options {
			text := " " + o.Name
			if i < len(p.Options)-1 {
				text += ","
			}
			if len(line)+len(text) > helpColumns {
				b.WriteString(line)
				line = fmt.Sprintf("\n%12s", "")
			}
			line += text
		}
		b.WriteString(line)
	}
	return b.String()
}

// Run runs the command.
func (c *doctorCmd) Run(std streams) error {
	p, ok := connect.Default.Probe(c.System)
	if !ok {
		names := strings.Join(connect.Default.Probes(), ", ")
		if names == "" {
			return fmt.Errorf("doctor: this program has nothing to look at %q with; the velo of connect/cmd/velo has "+
				"kafka, and docs/connectors.md says how to install it", c.System)
		}
		return fmt.Errorf("doctor: there is nothing to look at %q with, expected one of %s", c.System, names)
	}
	if c.Timeout <= 0 {
		return fmt.Errorf("doctor: --timeout %v: expected more than 0", c.Timeout)
	}
	set := map[string]string{}
	for _, arg := range c.Options {
		name, value, ok := strings.Cut(arg, "=")
		_, twice := set[name]
		if !ok || twice {
			return fmt.Errorf("doctor: %q, expected option=value, each option once", arg)
		}
		set[name] = value
	}
	o, err := connect.NewOptions(p.Options, set)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout)
	defer cancel()
	found, err := p.Run(ctx, o)
	if err != nil {
		return fmt.Errorf("doctor: %w", err)
	}
	err = c.print(pipe{std.out}, found)
	for _, f := range found {
		if f.Grade == connect.Failed {
			return errors.Join(err, errUnfit)
		}
	}
	return err
}

// print prints what was found.
func (c *doctorCmd) print(to io.Writer, found []connect.Finding) error {
	if c.JSON {
		failed := false
		for _, f := range found {
			failed = failed || f.Grade == connect.Failed
		}
		e := json.NewEncoder(to)
		e.SetEscapeHTML(false)
		return e.Encode(struct {
			System   string            `json:"system"`
			Failed   bool              `json:"failed"`
			Findings []connect.Finding `json:"findings"`
		}{c.System, failed, found})
	}
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%-8s %s: %s\n", f.Grade, f.Check, f.Found)
		if f.Advice != "" {
			fmt.Fprintf(&b, "%-8s   %s\n", "", f.Advice)
		}
	}
	_, err := io.WriteString(to, b.String())
	return err
}
