package figures

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/velo-engine/velo/internal/perfstat"
)

// A Result is one JSON object of veloperf.
type Result struct {
	Fields  map[string]any    // all of it
	Figures map[string]Figure // empty if it has none
}

// maxLine is the greatest size of an object.
const maxLine = 64 << 20

// Read reads the objects of a file, one a line. name is for errors.
func Read(r io.Reader, name string) (all []Result, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		text := lines.Bytes()
		if len(strings.TrimSpace(string(text))) == 0 {
			continue
		}
		var one Result
		if err := json.Unmarshal(text, &one.Fields); err != nil {
			return nil, fmt.Errorf("%s:%d: expected what veloperf prints with --json: %w", name, n, err)
		}
		var with struct{ Figures map[string]Figure }
		if err := json.Unmarshal(text, &with); err != nil {
			return nil, fmt.Errorf("%s:%d: figures: %w", name, n, err)
		}
		one.Figures = with.Figures
		all = append(all, one)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return all, nil
}

// Text returns a field that is text, or empty.
func (r Result) Text(name string) string { s, _ := r.Fields[name].(string); return s }

// Texts returns a field that is a list of texts.
func (r Result) Texts(name string) (all []string) {
	list, _ := r.Fields[name].([]any)
	for _, v := range list {
		if s, ok := v.(string); ok {
			all = append(all, s)
		}
	}
	return all
}

// Number returns a field that is a number.
func (r Result) Number(name string) (float64, bool) { v, ok := r.Fields[name].(float64); return v, ok }

// Measured is the name of the command that made the result, such as scale.
func (r Result) Measured() string {
	words := strings.Fields(r.Text("command"))
	if len(words) < 2 {
		return "?"
	}
	return words[1]
}

// naming are the fields that say what was measured, besides the command.
var naming = []string{
	"profile", "workload", "mode", "impl", "case", "skew", "assignment", "setting", "load", "item_bytes",
	"exchange", "n", "readers", "partitions", "cores",
	"writers", "rate", "interval_ms", "rival",
}

// Name says what was measured. Results with the same name are compared.
func (r Result) Name() string {
	words := []string{r.Measured()}
	for _, f := range naming {
		switch v := r.Fields[f].(type) {
		case string:
			words = append(words, v)
		case float64:
			words = append(words, fmt.Sprintf("%s=%v", f, v))
		}
	}
	return strings.Join(words, " ")
}

// A Change compares one figure of two results.
type Change struct {
	Name   string `json:"name"` // of the results
	Figure string `json:"figure"`
	Better string `json:"better"`
	perfstat.Ratio
	A perfstat.Summary `json:"a"`
	B perfstat.Summary `json:"b"`
	// Verdict is one of the words below.
	Verdict string `json:"verdict"`
}

// These are the verdicts of a Change.
const (
	Same   = "same"   // no change beyond the threshold that the runs could tell
	Better = "better" // a change for the better
	Worse  = "worse"  // a change for the worse
	Few    = "few"    // so few runs that not even the clearest change could be told
)

// Diff compares the results of a and b that have the same name, in the order of a. threshold is the
// relative change that is of no interest, such as 0.05. left are the names that only one has.
func Diff(a, b []Result, threshold float64) (changes []Change, left []string) {
	taken := map[int]bool{}
	for _, ra := range a {
		at := slices.IndexFunc(b, func(rb Result) bool { return rb.Name() == ra.Name() })
		for at >= 0 && taken[at] { // the same was measured several times
			next := slices.IndexFunc(b[at+1:], func(rb Result) bool { return rb.Name() == ra.Name() })
			if next < 0 {
				at = -1
				break
			}
			at += 1 + next
		}
		if at < 0 {
			left = append(left, "only in the first: "+ra.Name())
			continue
		}
		taken[at] = true
		for _, figure := range slices.Sorted(maps.Keys(ra.Figures)) {
			fb, ok := b[at].Figures[figure]
			if !ok {
				continue
			}
			if c, ok := compare(ra.Figures[figure], fb, threshold); ok {
				c.Name, c.Figure = ra.Name(), figure
				changes = append(changes, c)
			}
		}
	}
	for i, rb := range b {
		if !taken[i] {
			left = append(left, "only in the second: "+rb.Name())
		}
	}
	return changes, left
}

// compare judges one figure. A change counts if the test tells the runs apart, and if the ratio is
// beyond the threshold.
func compare(a, b Figure, threshold float64) (c Change, ok bool) {
	ratio, ok := perfstat.Compare(a.Samples, b.Samples)
	if !ok {
		return c, false
	}
	c = Change{
		Better: a.Better, Ratio: ratio, A: perfstat.Summarize(a.Samples), B: perfstat.Summarize(b.Samples),
		Verdict: Same,
	}
	switch changed := max(ratio.Ratio, 1/ratio.Ratio) - 1; {
	case !perfstat.Enough(len(a.Samples), len(b.Samples)):
		c.Verdict = Few
	case ratio.P >= 1-perfstat.Level || changed <= threshold:
	case (ratio.Ratio > 1) == (a.Better == Higher):
		c.Verdict = Better
	default:
		c.Verdict = Worse
	}
	return c, true
}
