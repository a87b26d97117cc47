package velocli

import (
	"os"
	"strings"
	"testing"
)

// Goal: files that a shell makes of a pattern are read before and after the query, each once, and
// what is not understood is said.
func TestListedFiles(t *testing.T) {
	inFolder(t, map[string]string{
		"x1.csv": "a,b\n1,2\n", "x2.csv": "a,b\n3,4\n", "y.ndjson": `{"a":5}` + "\n", "select": "a\n7\n",
		"files": "a\n8\n",
	})
	err := os.Mkdir("d", 0o700)
	if err == nil {
		err = os.WriteFile("d/x3.csv", []byte("a,b\n100,0\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	const sum = "SELECT sum(a) AS s FROM files"
	for _, c := range []struct {
		args   []string
		want   string // in the output
		fault  string // in the errors
		status int
	}{
		{[]string{"query", "x1.csv", "x2.csv", sum}, "s\n4\n", "", 0},
		{[]string{"query", sum, "x1.csv", "x2.csv"}, "s\n4\n", "", 0},
		{[]string{"query", "x1.csv", sum, "x2.csv"}, "s\n4\n", "", 0},
		{[]string{"x1.csv", "x2.csv", sum}, "s\n4\n", "", 0},
		{[]string{"query", "x1.csv", "./x1.csv", "x*.csv", sum}, "s\n4\n", "", 0},
		{[]string{"query", "x?.csv", "d", sum}, "s\n104\n", "", 0},
		{[]string{"query", "x*.csv", sum}, "s\n4\n", "", 0},
		{[]string{"query", "y.ndjson", "/* all */ -- of them\n" + sum}, "s\n5\n", "", 0},
		{[]string{"query", "select", sum}, "s\n7\n", "", 0},
		{[]string{"query", "x1.csv", "SELECT count(*) AS n FROM files; " + sum}, "s\n1\n", "", 0},
		{
			[]string{"query", "x1.csv", "SELECT f.a FROM files AS f JOIN \"y.ndjson\" AS y ON f.a + 4 = y.a"},
			"a\n1\n", "", 0,
		},
		{
			[]string{"query", "x1.csv", "(SELECT a FROM files) UNION ALL SELECT b FROM files ORDER BY 1"},
			"a\n1\n2\n", "", 0,
		},
		{[]string{"query", sum}, "s\n8\n", "", 0}, // a file of that name
		{[]string{"explain", "x1.csv", "x2.csv", sum}, "sum(a)", "", 0},
		{[]string{"schema", "x1.csv", "x2.csv"}, "\"a\" bigint,\n\"b\" bigint\n", "", 0},
		{
			[]string{"query", "x1.csv", "SELECT sum(a) FROM t"},
			"", `the command line lists files (x1.csv), and the query reads "t": expected FROM files`, 1,
		},
		{[]string{"query", "x1.csv", "SELECT 1"}, "", "expected FROM files", 1},
		{[]string{"query", "x1.csv"}, "", "x1.csv is a file, and there is no query", 80},
		{[]string{"query", "x1.csv", "x2.csv"}, "", "none of the arguments is a query", 80},
		{[]string{"query", "SELECT 1", "SELECT 2"}, "", "two queries", 80},
		{[]string{"query", "x1.csv", "none.csv", sum}, "", "none.csv", 1},
		{[]string{"query", "z*.csv", "x1.csv", sum}, "", "no file is called like z*.csv", 1},
		{[]string{"query", "x1.csv", sum, "--quarantine", "x1.csv"}, "", "that is the file x1.csv, which is read", 1},
	} {
		if c.args[0] == "query" {
			c.args = append(c.args, "--format=csv")
		}
		if c.args[0] == "x1.csv" {
			c.args = append([]string{"--format=csv"}, c.args...)
		}
		out, errs, status := velo(t, "", c.args...)
		if status != c.status || !strings.Contains(out, c.want) || !strings.Contains(errs, c.fault) {
			t.Errorf("%q: status %d\n%s%s\nexpected status %d, %s%s", c.args, status, out, errs, c.status, c.want,
				c.fault)
		}
	}
	if got, err := os.ReadFile("x1.csv"); err != nil || string(got) != "a,b\n1,2\n" {
		t.Errorf("x1.csv has become %q, %v", got, err)
	}
}
