package query

import (
	"fmt"
	"strings"
	"testing"

	"github.com/velo-engine/velo/internal/golden"
)

// Goal: a fault says what and where. All faults are said at once, each with its place, and none that
// only follows from another. Those of a job come in the order of its text. Method: see
// testdata/errors.txt and testdata/job_errors.txt.
func TestFaults(t *testing.T) {
	for _, path := range []string{"testdata/errors.txt", "testdata/job_errors.txt"} {
		golden.Run(t, path, func(t *testing.T, c *golden.Case) string {
			text := strings.TrimSuffix(c.Input, "\n")
			var err error
			switch c.Command() {
			case "compile":
				_, err = Compile(text, trades)
			case "job":
				_, err = CompileJob(text, someConnectors)
			default:
				t.Fatalf("no command %s", c.Command())
			}
			if err == nil {
				t.Fatalf("%s is accepted", text)
			}
			return err.Error()
		})
	}
}

// Goal: queries become the plans that they say, and EXPLAIN says how each of them reads, keeps and
// returns its groups. Method: the plan, the schema of its result and EXPLAIN, for each query of
// testdata/explain.txt.
func TestExplain(t *testing.T) {
	golden.Run(t, "testdata/explain.txt", func(t *testing.T, c *golden.Case) string {
		p, err := Compile(strings.TrimSuffix(c.Input, "\n"), trades)
		if err != nil {
			t.Fatal(err)
		}
		result, err := p.Result()
		if err != nil {
			t.Fatal(err)
		}
		text, err := p.Explain()
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("plan         %v\nresult       %v\n%s", p, result, text)
	})
}
