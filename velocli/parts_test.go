package velocli

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

// divided is a source of files that says it is one part of several, by the column a.
const divided = "divided"

func init() {
	files, _ := connect.Default.Source("file")
	files.Parts = func(r *connect.SourceRequest) *connect.Parts {
		return &connect.Parts{Option: "path", Columns: []string{"a"}}
	}
	connect.RegisterSource(divided, files)
}

// dividedQueries are queries over a table of a, b and n, and what is said of them if records are
// divided by a; "" if they may run on parts.
var dividedQueries = []struct{ text, says string }{
	{"SELECT a, sum(n) FROM t GROUP BY a", ""},
	{"SELECT sum(n) FROM t GROUP BY a", ""},
	{"SELECT b, a, count(DISTINCT n) FROM t GROUP BY b, a HAVING count(*) > 3 ORDER BY b, a", ""},
	{"SELECT a, b FROM t WHERE n > 50", ""},
	{"SELECT DISTINCT a, b FROM t", ""},
	{"SELECT a, b, n, row_number() OVER (PARTITION BY b, a ORDER BY n, b) FROM t ORDER BY a, b, n", ""},
	{"SELECT x, max(s) FROM (SELECT a AS x, b, sum(n) AS s FROM t GROUP BY a, b) u GROUP BY x", ""},
	{"SELECT s FROM (SELECT b, a, sum(n) AS s FROM t GROUP BY a, b) u WHERE s > 100", ""},
	{"SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS ((a, b), (a))", ""},
	{"SELECT a FROM t WHERE n > 90 UNION SELECT a FROM t WHERE n < 10", ""},
	{"SELECT b FROM t WHERE n > 90 UNION ALL SELECT b FROM t WHERE n < 10", ""},
	{"SELECT count(*) FROM t", `GROUP BY lacks column "a"`},
	{"SELECT b, count(*) FROM t GROUP BY b", `GROUP BY lacks column "a"`},
	{"SELECT upper(a), count(*) FROM t GROUP BY upper(a)", `GROUP BY lacks column "a"`},
	{"SELECT b, a, count(*) FROM t GROUP BY ROLLUP (a, b)", `GROUP BY lacks column "a"`},
	{"SELECT a, b, count(*) FROM t GROUP BY GROUPING SETS ((a, b), (b))", `GROUP BY lacks column "a"`},
	{"SELECT a, sum(n) AS s FROM t GROUP BY a ORDER BY s DESC LIMIT 3", "LIMIT and OFFSET"},
	{"SELECT DISTINCT b FROM t", `lacks column "a"`},
	{
		"SELECT a, b, n, row_number() OVER (PARTITION BY b ORDER BY n, a) FROM t ORDER BY 1, 2, 3",
		`PARTITION BY lacks column "a"`,
	},
	{"SELECT max(s) FROM (SELECT a, sum(n) AS s FROM t GROUP BY a) u", `GROUP BY lacks column "a"`},
	{"SELECT b, max(s) FROM (SELECT a, b, sum(n) AS s FROM t GROUP BY a, b) u GROUP BY b", `GROUP BY lacks column "a"`},
	{"SELECT b FROM t WHERE n > 90 UNION SELECT b FROM t WHERE n < 10", `lacks column "a"`},
	{"SELECT a FROM t WHERE n > 90 UNION SELECT b AS a FROM t WHERE n < 10", `lacks column "a"`},
	{"SELECT x FROM (SELECT b AS x, a FROM t) u GROUP BY x", `lacks column "a"`},
}

// Goal: a query that may run on parts has the same rows there as over everything, and one that is
// refused has not. Method: random records in one file, and divided by a into three.
func TestDivided(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	whole, parts := []string{"a,b,n"}, [][]string{{"a,b,n"}, {"a,b,n"}, {"a,b,n"}}
	for range 500 {
		a := random.IntN(9)
		line := fmt.Sprintf("%s%d,%c,%d", []string{"k", "K"}[a%2], a/2, 'a'+rune(random.IntN(3)), random.IntN(100))
		whole = append(whole, line)
		parts[a%3] = append(parts[a%3], line)
	}
	schema, err := record.NewSchema("t", record.Field{Name: "a", Type: record.String},
		record.Field{Name: "b", Type: record.String}, record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	run := func(text string, lines []string) []string {
		out, errs, status := velo(t, strings.Join(lines, "\n")+"\n", "query", "--format=csv", "--schema",
			"a text, b text, n bigint", strings.ReplaceAll(text, "FROM t", "FROM stdin t"))
		if status != 0 {
			t.Fatalf("%s: status %d\n%s", text, status, errs)
		}
		return strings.Split(strings.TrimSuffix(out, "\n"), "\n")[1:]
	}
	for _, c := range dividedQueries {
		plan, err := query.Compile(c.text, schema)
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		err = plan.DividedBy("a")
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected %s", c.text, err, c.says)
		}
		want := run(c.text, whole)
		var got []string
		for _, part := range parts {
			got = append(got, run(c.text, part)...)
		}
		slices.Sort(want)
		slices.Sort(got)
		if slices.Equal(got, want) != (c.says == "") {
			t.Errorf("%s: the parts have %d rows, all %d, expected the same: %v", c.text, len(got), len(want),
				c.says == "")
		}
	}
	if plan, err := query.Compile("SELECT a FROM t", schema); err != nil || plan.DividedBy() == nil ||
		plan.DividedBy("c") == nil || plan.DividedBy("a", "b") != nil {
		t.Error("columns that are not there")
	}
}

// Goal: a job over a part of a source is refused before anything is opened if its groups would be in
// several, with the place of the option and what to do.
func TestDividedJob(t *testing.T) {
	inFolder(t, map[string]string{"t.csv": "a,b,n\nx,y,1\n"})
	job := `CREATE SOURCE t (a text, b text, n bigint) WITH (connector = 'divided', path = 't.csv');
SELECT %s, sum(n) FROM t GROUP BY %[1]s`
	inFolder(t, map[string]string{
		"t.csv": "a,b,n\nx,y,1\n", "good.sql": fmt.Sprintf(job, "a"), "bad.sql": fmt.Sprintf(job, "b"),
	})
	out, errs, status := velo(t, "", "run", "good.sql", "--format=csv")
	if status != 0 || !strings.Contains(out, "x,1") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	_, errs, status = velo(t, "", "run", "bad.sql")
	for _, want := range []string{
		"line 1, column", `GROUP BY lacks column "a"`, "GROUP BY a, ...", "without the option path",
		"SELECT b, sum(n) FROM t GROUP BY b",
	} {
		if status == 0 || !strings.Contains(errs, want) {
			t.Errorf("status %d, expected %q\n%s", status, want, errs)
		}
	}
}
