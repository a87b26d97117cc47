package velocli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fewSpots has only a little of the beginning and the end of files looked at.
func fewSpots(t *testing.T) {
	wasBytes, wasSpots := sampleBytes, maxSpots
	sampleBytes, maxSpots = 16<<10, 1
	t.Cleanup(func() { sampleBytes, maxSpots = wasBytes, wasSpots })
}

// late is a file in which one value is another. Records are as line makes them.
func late(n, at int, line func(i int, odd bool) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(line(i, i == at))
	}
	return b.String()
}

// Goal: a value that does not fit a column whose type was guessed loses no record and merges no keys: the column is widened, and
// somebody is told. Method: files with one odd value where no sample is, of every format, read by queries of
// every kind; each also compressed.
func TestWiden(t *testing.T) {
	fewSpots(t)
	const n, at = 30_000, 15_123
	csv := func(header, usual, odd string) string {
		return header + late(n, at, func(i int, isOdd bool) string {
			if isOdd {
				return fmt.Sprintf("%d,k%d,%s\n", i, i%3, odd)
			}
			return fmt.Sprintf("%d,k%d,%s\n", i, i%3, usual)
		})
	}
	json := func(usual, odd string) string {
		return late(n, at, func(i int, isOdd bool) string {
			if isOdd {
				return fmt.Sprintf("{\"id\":%d,\"k\":\"k%d\",\"v\":%s}\n", i, i%3, odd)
			}
			return fmt.Sprintf("{\"id\":%d,\"k\":\"k%d\",\"v\":%s}\n", i, i%3, usual)
		})
	}
	const groups = "SELECT v, count(*) AS n FROM f GROUP BY v ORDER BY n"
	for _, c := range []struct {
		what, name, text, query, want, says string
	}{
		{
			"a number with a fraction", "a.csv", csv("id,k,v\n", "2", "0.5"),
			"SELECT sum(v) AS v, count(*) AS n FROM f",
			"v,n\n59998.5,30000\n", `line 15125: column "v": "0.5" is not a bigint; it was guessed to be bigint and is double precision now`,
		},
		{"a code", "a.csv", csv("id,k,v\n", "2", "02"), groups, "v,n\n02,1\n2,29999\n", "is text now"},
		{
			"a long code", "a.csv", csv("id,k,v\n", "200000000", "0200000000"), groups,
			"v,n\n0200000000,1\n200000000,29999\n", "is text now",
		},
		{
			"a word", "a.csv", csv("id,k,v\n", "1.5", "n/a"), groups, "v,n\nn/a,1\n1.5,29999\n",
			`"n/a" is not a double precision`,
		},
		{
			"a time", "a.csv", csv("id,k,v\n", "2024-01-01", "soon"), groups, "v,n\nsoon,1\n2024-01-01,29999\n",
			"guessed to be timestamp and is text now",
		},
		{
			"a boolean", "a.csv", csv("id,k,v\n", "true", "1"), groups, "v,n\n1,1\ntrue,29999\n",
			"guessed to be boolean and is text now",
		},
		{
			"a fraction beside ids", "a.csv", csv("id,k,v\n", "9007199254740993", "0.5"), groups,
			"v,n\n0.5,1\n9007199254740993,29999\n", "is text now",
		},
		{
			"a sum over what is text", "a.csv", csv("id,k,v\n", "1", "n/a"), "SELECT sum(v) AS v FROM f", "",
			`column "v" is text because of "n/a" in FILE, line 15125`,
		},
		{
			"a window", "a.csv", csv("id,k,v\n", "2024-01-01T00:00:00Z", "soon"),
			"SELECT window_start, count(*) AS n FROM f GROUP BY tumble(v, INTERVAL '1 day')", "",
			`column "v" is text because of "soon"`,
		},
		{
			"another column than that of the window", "a.csv",
			csv("id,v,at\n", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z") + "x,k,2024-01-01T00:00:00Z\n",
			"SELECT window_start, count(*) AS n, max(id) AS id FROM f GROUP BY tumble(at, INTERVAL '1 day')",
			"window_start,n,id\n2024-01-01T00:00:00Z,30001,x\n", "",
		},
		{
			"rows that are printed as they come", "a.csv", csv("id,k,v\n", "2", "02"),
			"SELECT id FROM f WHERE v = '02'",
			"id\n15123\n", "is text now",
		},
		{
			"JSON", "a.ndjson", json("2", "0.5"), "SELECT sum(v) AS v, count(*) AS n FROM f", "v,n\n59998.5,30000\n",
			"is double precision now",
		},
		{"a string in JSON", "a.ndjson", json("2", `"02"`), groups, "v,n\n02,1\n2,29999\n", "is text now"},
		{
			"a number in JSON", "a.ndjson", json(`"2024-01-01"`, "20240101"), groups,
			"v,n\n20240101,1\n2024-01-01,29999\n", "is text now",
		},
		{
			"an object in JSON", "a.ndjson", json("true", `{"a":1}`), groups, "v,n\n\"{\"\"a\"\":1}\",1\ntrue,29999\n",
			"is text now",
		},
	} {
		for _, extension := range []string{"", ".gz"} {
			text := c.text
			if extension != "" {
				text = pack(t, extension, text)
			}
			path := filepath.Join(put(t, map[string]string{c.name + extension: text}), c.name+extension)
			out, errs, status := velo(t, "", "query", "--format=csv",
				strings.Replace(c.query, "FROM f", `FROM "`+path+`"`, 1))
			wantStatus := 0
			if c.want == "" {
				wantStatus = 1
			}
			if status != wantStatus || out != c.want ||
				!strings.Contains(errs, strings.ReplaceAll(c.says, "FILE", path)) {
				t.Errorf("%s%s: status %d\n%.300s%s", c.what, extension, status, out, errs)
			}
		}
	}
}

// Goal: output that was printed is never taken back and never repeated, however much it is. Method: a query that prints every record
// of a file with an odd value near its end.
func TestWidenBeforeRows(t *testing.T) {
	fewSpots(t)
	const n = 300_000
	text := "id,v\n" + late(n, n-40_000, func(i int, odd bool) string {
		if odd {
			return fmt.Sprintf("%d,007\n", i)
		}
		return fmt.Sprintf("%d,7\n", i)
	})
	path := filepath.Join(put(t, map[string]string{"a.csv": text}), "a.csv")
	out, errs, status := velo(t, "", "query", "--format=csv", "--readers=1", `SELECT id, v FROM "`+path+`"`)
	if status != 0 || out != text || strings.Count(errs, "reading again") != 1 {
		t.Errorf("status %d, %d bytes, expected %d; %s", status, len(out), len(text), errs)
	}
}

// Goal: of many files, and of many columns, all that do not fit are widened, in few passes. Method: a file for each column.
func TestWidenFiles(t *testing.T) {
	fewSpots(t)
	files := map[string]string{}
	for k := range 4 {
		files[fmt.Sprintf("%d.csv", k)] = "a,b,c,d\n" + late(60_000, 40_000, func(_ int, odd bool) string {
			fields := strings.Split("1,1,1,1", ",")
			if odd {
				fields[k] = "x"
			}
			return strings.Join(fields, ",") + "\n"
		})
	}
	dir := put(t, files)
	out, errs, status := velo(t, "", "query", "--format=csv",
		`SELECT count(*) AS n, max(a) AS a, max(b) AS b, max(c) AS c, max(d) AS d FROM "`+dir+`/*.csv"`)
	if status != 0 || out != "n,a,b,c,d\n240000,x,x,x,x\n" || strings.Count(errs, "reading again") != 4 {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// Goal: a record that does not fit a guess is set aside where the input cannot be read again, and the message says that it is the
// guess, and what to do. A column that is declared is not widened. Method: standard input, and --schema.
func TestNotWidened(t *testing.T) {
	fewSpots(t)
	text := "v\n" + strings.Repeat("7\n", 70_000) + "x\n"
	out, errs, status := velo(t, text, "query", "--format=csv", `SELECT count(v) AS n FROM stdin`)
	if status != 2 || out != "n\n70000\n" ||
		!strings.Contains(errs, `column "v" was guessed to be bigint from what had come until then: --schema declares`) {
		t.Errorf("standard input: status %d\n%s%s", status, out, errs)
	}
	path := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, status = velo(t, "", "query", "--format=csv", "--schema=v bigint", `SELECT count(v) AS n FROM "`+path+
		`"`)
	if status != 2 || out != "n\n70000\n" || strings.Contains(errs, "guessed") {
		t.Errorf("--schema: status %d\n%s%s", status, out, errs)
	}
	out, errs, status = velo(t, "", "query", "--format=csv", "--schema=v bigint", `SELECT v, count(*) AS n FROM "`+
		write(t, "b.csv", "v", "7", "007")+`" GROUP BY v`)
	if status != 0 || out != "v,n\n7,2\n" {
		t.Errorf("a declared number is one however it is written: status %d\n%s%s", status, out, errs)
	}
}
