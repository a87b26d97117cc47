package deploy

import (
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// grammar is the parser of Prometheus as it is configured by default.
var grammar = parser.NewParser(parser.Options{})

// alerts are the rules of alerts.yml.
func alerts(t *testing.T) (all []rulefmt.Rule) {
	t.Helper()
	text, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, grammar, slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.FailNow()
	}
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// check reports what an expression names that there is not.
func check(t *testing.T, where, text string, have map[string]map[string]map[string]bool) {
	t.Helper()
	expr, err := grammar.ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, text)
		return
	}
	names := map[string]bool{} // labels of all series of the expression
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		of := have[s.Name]
		if of == nil {
			t.Errorf("%s: there is no %s", where, s.Name)
			return nil
		}
		for l := range of {
			names[l] = true
		}
		for _, m := range s.LabelMatchers {
			switch {
			case m.Name == nameLabel:
			case of[m.Name] == nil:
				t.Errorf("%s: %s has no label %s", where, s.Name, m.Name)
			case m.Type == labels.MatchEqual && !of[m.Name][m.Value]:
				t.Errorf("%s: the label %s of %s is never %q", where, m.Name, s.Name, m.Value)
			}
		}
		return nil
	})
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		var used []string
		switch n := n.(type) {
		case *parser.AggregateExpr:
			used = n.Grouping
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				used = slices.Concat(n.VectorMatching.MatchingLabels, n.VectorMatching.Include)
			}
		}
		for _, l := range used {
			if !names[l] {
				t.Errorf("%s: no series of it has the label %s", where, l)
			}
		}
		return nil
	})
}

// label finds the labels that a text for people names.
var label = regexp.MustCompile(`\{\{ *(?:\$labels\.)?([a-z_]+) *\}\}`)

// Goal: every alert is a rule that Prometheus loads, names only what there is, has a severity, a
// summary with labels that it has, and a section of docs/operations.md.
func TestAlerts(t *testing.T) {
	have := known(t)
	guide, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range alerts(t) {
		check(t, r.Alert, r.Expr, have)
		if seen[r.Alert] {
			t.Errorf("%s is there twice", r.Alert)
		}
		seen[r.Alert] = true
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
			t.Errorf("%s: severity %q", r.Alert, r.Labels["severity"])
		}
		want := "docs/operations.md#" + strings.ToLower(r.Alert)
		if r.Annotations["summary"] == "" || r.Annotations["runbook"] != want {
			t.Errorf("%s: %v, expected a summary and the runbook %s", r.Alert, r.Annotations, want)
		}
		if !strings.Contains(string(guide), "### "+r.Alert+"\n") {
			t.Errorf("docs/operations.md has no section %s", r.Alert)
		}
	}
}

// board is what the tests look at of dashboard.json.
type board struct {
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat, RefID string }
	}
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
}

// Goal: every panel of the board asks for what there is, by the variables that the board has, and
// no panel covers another.
func TestBoard(t *testing.T) {
	have := known(t)
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var b board
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	replace := []string{"$__rate_interval", "1m", "$__range", "1h"}
	for _, v := range b.Templating.List {
		replace = append(replace, "$"+v.Name, ".*")
		if m := regexp.MustCompile(`^label_values\((.*), ([a-z_]+)\)$`).FindStringSubmatch(v.Query); m != nil {
			check(t, "variable "+v.Name, "count by ("+m[2]+") ("+strings.ReplaceAll(m[1], "$job_name", ".*")+")", have)
		} else if v.Type == "query" {
			t.Errorf("variable %s: %s", v.Name, v.Query)
		}
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	panels := 0
	for _, p := range b.Panels {
		if ids[p.ID] {
			t.Errorf("panel %d is there twice", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%q covers %q, or is outside", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		panels++
		if len(p.Targets) == 0 {
			t.Errorf("%q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			query := strings.NewReplacer(replace...).Replace(target.Expr)
			if strings.Contains(query, "$") {
				t.Errorf("%q: a variable is not known: %s", p.Title, query)
			}
			check(t, p.Title, query, have)
			for _, m := range label.FindAllStringSubmatch(target.LegendFormat, -1) {
				if !strings.Contains(target.Expr, m[1]) && !anyHas(target.Expr, m[1], have) {
					t.Errorf("%q: its legend has %s, which its series do not have", p.Title, m[1])
				}
			}
		}
	}
	if panels < 10 {
		t.Errorf("%d panels", panels)
	}
}

// anyHas says whether a series that is named in an expression has a label.
func anyHas(expr, label string, have map[string]map[string]map[string]bool) bool {
	for name, labels := range have {
		if strings.Contains(expr, name) && labels[label] != nil {
			return true
		}
	}
	return false
}
