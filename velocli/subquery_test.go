package velocli

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Goal: a value that does not fit the guessed type of a column that only a query in an expression
// reads makes that query read again, with another type; a record that cannot be read makes it fail.
// Method: a small sample, and a file that has the value where nobody has looked.
func TestSubqueryWidens(t *testing.T) {
	fewSpots(t)
	var b strings.Builder
	b.WriteString("a,b\n")
	for i := range 50_000 {
		if i == 31_234 {
			b.WriteString("3,9.5\n")
		}
		fmt.Fprintf(&b, "%d,%d\n", i%7, i)
	}
	inFolder(t, map[string]string{"t.csv": b.String(), "bad.csv": b.String() + "3,4,5\n"})
	out, errs, status := velo(t, "", "query", "--format=csv",
		`SELECT count(*) AS n FROM "t.csv" WHERE a = (SELECT a FROM "t.csv" WHERE b = 9.5)`)
	if status != 0 || out != "n\n7144\n" || !strings.Contains(errs, `column "b"`) || !strings.Contains(errs, "reading again") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	_, errs, status = velo(t, "", "query", `SELECT count(*) FROM "t.csv" WHERE a IN (SELECT a FROM "bad.csv")`)
	if status != statusFailed || !strings.Contains(errs, "bad.csv") || !strings.Contains(errs, "all records, or not at all") {
		t.Errorf("status %d, %s", status, errs)
	}
	if err := os.Remove("bad.csv"); err != nil {
		t.Fatal(err)
	}
	_, errs, status = velo(t, "", "query", `SELECT count(*) FROM "t.csv" WHERE a IN (SELECT a FROM "bad.csv")`)
	if status != statusFailed || !strings.Contains(errs, "bad.csv") {
		t.Errorf("status %d, %s", status, errs)
	}
}
