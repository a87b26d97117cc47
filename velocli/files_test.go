package velocli

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// Goal: files as they are give the right result, or an error that says what is wrong. Method: small files, and what a query over them prints.
func TestFilesAsTheyAre(t *testing.T) {
	for _, c := range []struct {
		what  string
		files map[string]string
		args  []string
		query string
		want  string // the output; after a ! what the error says
	}{
		{
			"other order",
			map[string]string{"a.csv": "k,v\nx,1\n", "b.csv": "v,k\n2,x\n"},
			nil,
			"SELECT k, sum(v) AS s FROM f GROUP BY k", "k,s\nx,3\n",
		},
		{
			"fewer and more",
			map[string]string{"a.csv": "k,v\nx,1\n", "b.csv": "w,k\n5,x\n"},
			nil,
			"SELECT sum(v) AS v, sum(w) AS w, count(*) AS n FROM f", "v,w,n\n1,5,2\n",
		},
		{
			"no header",
			map[string]string{"a.csv": "k,v\nx,1\n", "b.csv": "y,2\n"},
			nil, "SELECT count(*) FROM f",
			"!b.csv: the header has no column \"k\", \"v\"; it has \"y\", \"2\"",
		},
		{
			"a schema in another order",
			map[string]string{"a.csv": "k,v\nx,1\n"},
			[]string{"--schema=v bigint, k text"},
			"SELECT v, k FROM f", "v,k\n1,x\n",
		},
		{
			"a schema with a column more",
			map[string]string{"a.csv": "k,v\nx,1\n"},
			[]string{"--schema=v bigint, z text"},
			"SELECT v FROM f", "!has the columns k, v; expected z too",
		},
		{
			"a byte order mark and no header",
			map[string]string{"a.csv": "\ufeffx,1\nx,2\n"},
			[]string{"--no-header"},
			"SELECT c1, sum(c2) AS s FROM f GROUP BY c1", "c1,s\nx,3\n",
		},
		{
			"a byte order mark and a quoted name",
			map[string]string{"a.csv": "\ufeff\"k\",v\nx,1\n"},
			nil,
			"SELECT k FROM f", "k\nx\n",
		},
		{
			"two columns of one name",
			map[string]string{"a.csv": "a,a,b\n1,2,3\n"},
			nil, "SELECT a, a_1, b FROM f",
			"a,a_1,b\n1,2,3\n",
		},
		{
			"blanks around numbers",
			map[string]string{"a.csv": "k,v\nx, 1\nx,2 \n"},
			nil, "SELECT sum(v) AS s FROM f",
			"s\n3\n",
		},
		{
			"blanks around times",
			map[string]string{"a.csv": "at,v\n2026-01-31 9:30 ,1\n2026/02/01,1\n"},
			nil,
			"SELECT max(at) - min(at) > INTERVAL '14 hours' AS s FROM f", "s\ntrue\n",
		},
		{
			"zones of two digits",
			map[string]string{"a.csv": "at\n2026-01-31 09:30:00-04\n"},
			nil, "SELECT at FROM f",
			"at\n2026-01-31T13:30:00Z\n",
		},
		{
			"a format of times",
			map[string]string{"a.csv": "at\n01/02/2026 09:30\n"},
			[]string{"--time-format=%d/%m/%Y %H:%M", "--time-zone=Europe/Berlin"},
			"SELECT at FROM f",
			"at\n2026-02-01T08:30:00Z\n",
		},
		{
			"times as numbers",
			map[string]string{"a.csv": "at\n\"1700000000.5\"\n"},
			[]string{"--time-unit=s", "--schema=at timestamp"},
			"SELECT at FROM f", "at\n2023-11-14T22:13:20.5Z\n",
		},
		{
			"words for NULL",
			map[string]string{"a.csv": "v\n1\nNA\n-\n"},
			[]string{"--null=NA,-"},
			"SELECT sum(v) AS s, count(v) AS n, count(*) AS m FROM f", "s,n,m\n1,1,3\n",
		},
		{
			"a decimal comma",
			map[string]string{"a.csv": "k;v\nx;1,5\nx;2\n"},
			[]string{"--decimal=,"},
			"SELECT sum(v) AS s FROM f", "s\n3.5\n",
		},
		{
			"lines before the header, and comments",
			map[string]string{"a.csv": "a report; of\nk,v\n#x\n\nx,1\n"},
			[]string{"--skip-lines=1", "--comment=#"},
			"SELECT sum(v) AS s FROM f", "s\n1\n",
		},
		{
			"a delimiter at the end of rows",
			map[string]string{"a.csv": "k,v\nx,1,\nx,2,\n"},
			nil,
			"SELECT sum(v) AS s FROM f", "s\n3\n",
		},
		{
			"a quote in a plain field",
			map[string]string{"a.csv": "k,v\n5\" nail,1\n"},
			nil, "SELECT k FROM f",
			"k\n\"5\"\" nail\"\n",
		},
		{
			"codes",
			map[string]string{"a.csv": "k\n02\n2\n"},
			nil, "SELECT k, count(*) AS n FROM f GROUP BY k ORDER BY k",
			"k,n\n02,1\n2,1\n",
		},
		{
			"codes in JSON",
			map[string]string{"a.ndjson": "{\"k\":10000000000000000001}\n{\"k\":10000000000000000002}\n"},
			nil, "SELECT k, count(*) AS n FROM f GROUP BY k ORDER BY k",
			"k,n\n10000000000000000001,1\n10000000000000000002,1\n",
		},
		{
			"a field of the second file of JSON",
			map[string]string{"a.ndjson": "{\"k\":1}\n", "b.ndjson": "{\"v\":2}\n"},
			nil, "SELECT sum(k) AS k, sum(v) AS v FROM f", "k,v\n1,2\n",
		},
		{"fields within fields", map[string]string{"a.ndjson": "{\"r\":{\"ip\":\"x\",\"n\":1}}\n{\"r\":null}\n{\"r\":7}\n{}\n{\"r\":{\"ip\":\"x\",\"n\":2}}\n"}, nil, "SELECT r.ip, sum(r.n) AS n FROM f GROUP BY r.ip ORDER BY 2", "r.ip,n\nx,3\n,\n"},
		{
			"a path within fields",
			map[string]string{"a.ndjson": "{\"r\":{\"b\":{\"c\":1}}}\n{\"r\":{\"b\":[5]}}\n"},
			nil,
			"SELECT sum(CAST(r->'b'->>'c' AS bigint)) AS n, max(r->'b'->>0) AS m FROM f", "n,m\n1,5\n",
		},
		{
			"a field with a point in its name",
			map[string]string{"a.ndjson": "{\"r\":{\"ip\":\"no\"},\"r.ip\":\"own\"}\n"},
			nil, "SELECT r.ip, r FROM f",
			"r.ip,r\nown,\"{\"\"ip\"\":\"\"no\"\"}\"\n",
		},
		{
			"declared fields within fields",
			map[string]string{"a.ndjson": "{\"R\":{\"Ip\":\"x\"}}\n"},
			[]string{"--schema=\"r.ip\" text"},
			"SELECT r.ip FROM f", "r.ip\nx\n",
		},
		{
			"names of fields in other cases",
			map[string]string{"a.ndjson": "{\"R\":{\"Ip\":\"x\"}}\n"},
			nil,
			"SELECT r.ip FROM f", "r.ip\nx\n",
		},
		{
			"lines that end with CR",
			map[string]string{"a.csv": "k,v\rx,1\ry,2\r"},
			nil, "SELECT count(*) AS n FROM f",
			"!end with CR alone, expected LF or CRLF: tr",
		},
		{
			"names only",
			map[string]string{"a.csv": "k,v,at\n"},
			nil,
			"SELECT count(*) AS n, sum(v) AS s, max(lower(k)) AS k FROM f WHERE at > TIMESTAMP '2024-01-01'",
			"n,s,k\n0,,\n",
		},
		{
			"names only, by window",
			map[string]string{"a.csv": "k,v,at\n"},
			nil,
			"SELECT window_start, sum(v) AS s FROM f GROUP BY tumble(at, INTERVAL '1 hour')", "window_start,s\n",
		},
		{
			"a column without a value",
			map[string]string{"a.csv": "k,v\nx,\ny,\n"},
			nil,
			"SELECT count(*) AS n, sum(v) AS s FROM f", "n,s\n2,\n",
		},
		{
			"names only, and a mistake",
			map[string]string{"a.csv": "k,v\n"},
			nil, "SELECT sum(k || v) AS s FROM f",
			"!sum(text) is not defined",
		},
		{
			"a byte order mark in the second file",
			map[string]string{"a.csv": "k,v\nx,1\n", "b.csv": "\ufeffk,v\nx,2\n"},
			nil, "SELECT sum(v) AS s FROM f", "s\n3\n",
		},
		{
			"a byte order mark in the second file of JSON",
			map[string]string{"a.ndjson": "{\"k\":1}\n", "b.ndjson": "\ufeff{\"k\":2}\n"},
			nil,
			"SELECT sum(k) AS s FROM f", "s\n3\n",
		},
		{
			"quotes in comments",
			map[string]string{"a.csv": "k,v\n# it\"s\nx,1\n#\"\ny,2\n"},
			[]string{"--comment=#"},
			"SELECT sum(v) AS s FROM f", "s\n3\n",
		},
		{
			"a web log",
			map[string]string{"a.log": "::1 - - [10/Oct/2000:13:55:36 -0700] \"GET /a HTTP/1.0\" 200 23 " +
				"\"-\" \"M (x)\"\n"},
			[]string{"--delimiter= ", "--no-header"},
			"SELECT c7, to_timestamp(c4 || ' ' || c5, '[%d/%b/%Y:%H:%M:%S %z]') AS at, split_part(c6, ' ', 2) AS " +
				"url FROM f", "c7,at,url\n200,2000-10-10T20:55:36Z,/a\n",
		},
		{
			"a first line that is a record",
			map[string]string{"a.csv": "1,2.5\n3,4\n"},
			nil,
			"SELECT sum(c1) AS a, sum(c2) AS b FROM f", "a,b\n4,6.5\n",
		},
		{"a first line with codes", map[string]string{"a.csv": "\"00501\",\"+40.92\",\"HOLTSVILLE\"\n\"00544\",\"+40.92\",\"X\"\n"}, nil, "SELECT count(*) AS n FROM f", "n\n2\n"},
		{
			"a first line with a time",
			map[string]string{"a.csv": "2024-01-01 10:00,x\n2024-01-01 10:05,y\n"},
			nil,
			"SELECT count(*) AS n, max(c2) AS m FROM f", "n,m\n2,y\n",
		},
		{
			"days as names",
			map[string]string{"a.csv": "k,2024-01-01,0.5\nx,5,1.5\n"},
			nil,
			"SELECT sum(\"2024-01-01\") AS n FROM f", "n\n5\n",
		},
		{
			"years as names",
			map[string]string{"a.csv": "2024,2025\n3,4\n"},
			[]string{"--header"},
			"SELECT sum(\"2024\") AS a FROM f", "a\n3\n",
		},
		{
			"years beside a name",
			map[string]string{"a.csv": "k,2025\nx,4\n"},
			nil, "SELECT sum(\"2025\") AS a FROM f",
			"a\n4\n",
		},
		{
			"names alone are no record",
			map[string]string{"a.csv": "2024,2025\n"},
			nil, "SELECT count(*) AS n FROM f",
			"n\n0\n",
		},
		{
			"more columns than a query has",
			map[string]string{"a.csv": wide(1500, "c") + wide(1500, "")},
			nil,
			"SELECT sum(c1234) AS a, count(*) AS n FROM f", "a,n\n1234,1\n",
		},
		{
			"more columns and no name",
			map[string]string{"a.csv": wide(1500, "") + wide(1500, "")},
			[]string{"--no-header"},
			"SELECT sum(c1235) AS a FROM f", "a\n2468\n",
		},
		{
			"all of more columns",
			map[string]string{"a.csv": wide(1500, "c") + wide(1500, "")},
			nil, "SELECT * FROM f",
			"!has 1500 columns, and a query has 1024 at most",
		},
		{
			"UTF-16",
			map[string]string{"a.csv": "\xff\xfea\x00\n\x00"},
			nil, "SELECT count(*) FROM f",
			"!is UTF-16: iconv",
		},
		{
			"xz",
			map[string]string{"a.csv": "\xfd7zXZ\x00\x00"},
			nil, "SELECT count(*) FROM f",
			"!is compressed with xz: unpack it",
		},
		{"zip", map[string]string{"a.csv": "PK\x03\x04\x00"}, nil, "SELECT count(*) FROM f", "!is a zip archive"},
	} {
		from := `"` + put(t, c.files) + `"`
		args := append(append([]string{"query", "--format=csv"}, c.args...),
			strings.Replace(c.query, "FROM f", "FROM "+from, 1))
		out, errs, status := velo(t, "", args...)
		if says, isError := strings.CutPrefix(c.want, "!"); isError {
			if status == 0 || !strings.Contains(errs, says) {
				t.Errorf("%s: status %d, %s%s, expected %q", c.what, status, out, errs, says)
			}
		} else if status != 0 || out != c.want {
			t.Errorf("%s: status %d, %s%s, expected %s", c.what, status, out, errs, c.want)
		}
	}
}

// Goal: what is read once has any name: standard input as a file, a FIFO. A name without its extension is found in an error. Method:
// queries over them.
func TestNamesOfStreams(t *testing.T) {
	out, errs, status := velo(t, "v\n1\n2\n", "query", "--format=csv", `SELECT sum(v) AS s FROM "/dev/stdin"`)
	if status != 0 || out != "s\n3\n" {
		t.Errorf("/dev/stdin: status %d\n%s%s", status, out, errs)
	}
	dir := put(t, map[string]string{"trades.csv": "v\n1\n"})
	_, errs, status = velo(t, "", "query", `SELECT sum(v) AS s FROM "`+dir+`/trades"`)
	if status != 1 || !strings.Contains(errs, `did you mean FROM "`+dir+`/trades.csv"?`) {
		t.Errorf("without its extension: status %d\n%s", status, errs)
	}
}

// wide is a line of many fields.
func wide(n int, before string) string {
	var fields []string
	for i := range n {
		fields = append(fields, before+strconv.Itoa(i))
	}
	return strings.Join(fields, ",") + "\n"
}

// Goal: the report of records that could not be read has each reason once, with a count and the
// first place, and what comes after the fifth as one.
func TestReasonsAside(t *testing.T) {
	lines := []string{"a,b,c,d", "1,2,3,4"}
	for range 3 {
		lines = append(lines, "x,2,3,4", "1,y,3,4", "1,2", "1,2,3")
	}
	lines = append(lines, "1,2,z,4", "1,2,3,z", `1,"2`)
	path := write(t, "bad.csv", lines...)
	sql := fmt.Sprintf(`SELECT count(*) AS n FROM "%s" WHERE a + b + c + d > 0`, path)
	out, errs, status := velo(t, "", "--format=csv", "--schema=a int, b int, c int, d int", "--readers=1", sql)
	want := `velo: 15 records could not be read and are not in the result; --quarantine writes them to a file
  3, the first in line 3: column "a": "x" is not a bigint
  3, the first in line 4: column "b": "y" is not a bigint
  6, the first in line 5: 2 fields, expected 4
  1, the first in line 15: column "c": "z" is not a bigint
  1, the first in line 16: column "d": "z" is not a bigint
  1 for other reasons, the first in line 17: the quote at offset 112 is not closed
`
	if status != 2 || out != "n\n1\n" || errs != want {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
}

// Goal: an error about a text names the values that made columns of numbers text, and of no others,
// unless there are no others.
func TestWhyText(t *testing.T) {
	path := write(t, "trades.csv", "symbol,price,qty", "NVDA,1.5,10", "AAPL,2,n/a")
	for sql, want := range map[string]string{
		`SELECT symbol, price * qty AS v FROM "%s"`: `"qty" is text because of "n/a"`,
		`SELECT sum(symbol) AS v FROM "%s"`:         `"symbol" is text because of "NVDA"`,
	} {
		_, errs, status := velo(t, "", fmt.Sprintf(sql, path))
		if status != 1 || strings.Count(errs, "because of") != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: status %d, %s", sql, status, errs)
		}
	}
}
