// Package lint keeps the rules of the house that a compiler does not: it is a test, and this file only says what the layers are.
package lint

// module is the path of the module.
const module = "github.com/velo-engine/velo"

// layers are the packages of velo, lowest first. A package imports only from lower lines; the packages of one line do not import
// each other. Packages below internal may be imported by all and import line 0 at most; commands are the top.
//
// A new package gets its place here.
var layers = [][]string{
	0: {"ring", "affinity", "record", "query/internal/syntax"},
	1: {"core/epoch", "ring/model"},
	2: {"core/expr", "core/agg", "core/window"},
	3: {"core/table"},
	4: {"core"},
	5: {"engine", "query", "readers", "readers/compressed", "writers", "bench/nexmark"},
	6: {"."}, // the package that a service imports
	7: {"bench", "examples/"},
	8: {"cmd/", "docs"},
}
