// Package lint keeps the rules of the house that a compiler does not check. The rules are a test.
// This file only says what the layers are.
package lint

import (
	"fmt"
	"slices"
	"strings"
)

// module is the path of the module.
const module = "github.com/velo-engine/velo"

// layers are the packages of velo, lowest first. A package imports only from lower lines, and the
// packages of one line do not import each other. All packages may import packages below internal,
// which import line 0 at most. Commands are at the top.
//
// A new package gets its place here.
var layers = []layer{
	{
		[]string{"ring", "affinity", "record", "query/internal/syntax"},
		"ground; record also has the contracts Reader, Poller, Writer",
	},
	{
		[]string{"connect", "core/epoch", "core/groupkey", "ring/model", "state"},
		"connectors by name; epochs, slots, pins: progress, never data; keys as words; models of the protocols; " +
			"generations in files",
	},
	{[]string{"lookup"}, "tables that records are joined with"},
	{[]string{"core/expr", "core/agg", "core/window"}, "scalar expressions; aggregate functions; times and windows"},
	{[]string{"core/table"}, "the groups of a partition; above agg because finding rows returns agg.Rows"},
	{[]string{"core/layout"}, "a compiled plan: where everything lies in chunks and rows"},
	{[]string{"aggregate", "plan", "scalar"}, "what a user writes: functions of one's own; plans, windows, routes"},
	{[]string{"result"}, "what is published and read: images, cuts, rows, columns"},
	{[]string{"core"}, "router and partition: one core's private world"},
	{
		[]string{"engine", "query", "readers", "readers/compressed", "writers", "bench/nexmark"},
		"threads and life cycle; SQL; formats",
	},
	{
		[]string{"metrics", "view", "server/job", "server/page", "server/push", "server/stats", "server/try"},
		"counters of engines as text for Prometheus; live results by name, and SELECT over them; jobs that are " +
			"kept alive; the page; sources that are pushed to; counters as JSON; records tried on a query",
	},
	{[]string{"server"}, "views, jobs and pushed sources over HTTP"},
	{[]string{"."}, "velo: what a service imports, names of the packages below"},
	{[]string{"velocli"}, "the program velo, for mains that import connectors and functions"},
	{[]string{"bench", "examples/"}, "workloads; small services"},
	{[]string{"cmd/", "docs"}, "programs; tests of the guides"},
}

// A layer is packages that do not import each other. A name that ends with a slash is all below it.
type layer struct {
	packages []string
	what     string
}

// picture is the layers as ARCHITECTURE.md shows them, the highest first.
func picture() string {
	var b strings.Builder
	for _, l := range slices.Backward(layers) {
		fmt.Fprintf(&b, "    %s\n        %s\n", strings.Join(l.packages, "  "), l.what)
	}
	return b.String()
}
