// Package lint keeps the rules of the house that a compiler does not check. The rules are a test.
// This file only says what the layers are.
package lint

// module is the path of the module.
const module = "github.com/velo-engine/velo"

// layers are the packages of velo, lowest first. A package imports only from lower lines, and the
// packages of one line do not import each other. All packages may import packages below internal,
// which import line 0 at most. Commands are at the top.
//
// A new package gets its place here.
var layers = [][]string{
	0: {"ring", "affinity", "record", "query/internal/syntax"},
	1: {"core/epoch", "ring/model"},
	2: {"core/expr", "core/agg", "core/window"},
	3: {"core/table"},
	4: {"core"},
	5: {"engine", "query", "readers", "readers/compressed", "writers", "bench/nexmark"},
	6: {"bench", "examples/"},
	7: {"cmd/", "docs"},
}
