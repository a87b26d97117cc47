package velocli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/velo-engine/velo/record"
)

// packers make the compressed files of the tests.
var packers = map[string]func(io.Writer) io.WriteCloser{
	".gz":  func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	".lz4": func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) },
	".s2":  func(w io.Writer) io.WriteCloser { return s2.NewWriter(w) },
	".zst": func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		if err != nil {
			panic(err) // of its options
		}
		return z
	},
}

func pack(t *testing.T, extension, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := packers[extension](&out)
	_, err := io.WriteString(w, text)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// put makes files in a directory of their own.
func put(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err !=
			nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Goal: the same records give the same result in every format, compressed or not, from a file and from standard input, by the name of a file or by what is
// in it. Method: one table, written in every way.
func TestInputFormats(t *testing.T) {
	csv, tsv, ndjson := "symbol,size\nA,1\nB,2\nA,3\n", "symbol\tsize\nA\t1\nB\t2\nA\t3\n", ""
	for _, line := range []string{
		`{"symbol":"A","size":1}`, `{"size":2,"symbol":"B"}`,
		`{"symbol":"\u0041","size":3,"note":[1]}`,
	} {
		ndjson += line + "\n"
	}
	const want = "symbol,v\nA,4\nB,2\n"
	query := func(from string) string {
		return fmt.Sprintf(`SELECT symbol, sum(size) AS v FROM %s GROUP BY symbol ORDER BY symbol`, from)
	}
	for name, text := range map[string]string{
		"x.csv": csv, "x.tsv": tsv, "x.TAB": tsv, "x.ndjson": ndjson,
		"x.jsonl": ndjson, "x.json": ndjson, "x": csv, "y": ndjson, "z.log": "\ufeff" + ndjson,
	} {
		for _, extension := range []string{"", ".gz", ".zst", ".lz4", ".s2"} {
			content := text
			if extension != "" {
				content = pack(t, extension, text)
			}
			dir := put(t, map[string]string{name + extension: content})
			out, errs, status := velo(t, "", "query", "--format=csv", "--readers=3",
				query(`"`+filepath.Join(dir, name+extension)+`"`))
			if status != 0 || out != want {
				t.Errorf("%s: status %d\n%s%s", name+extension, status, errs, out)
			}
			if strings.HasPrefix(name, "x.") && !strings.HasSuffix(name, "n") {
				continue
			}
			if out, errs, status := velo(t, content, "query", "--format=csv", query("stdin")); status != 0 ||
				out != want {
				t.Errorf("standard input like %s: status %d\n%s%s", name+extension, status, errs, out)
			}
		}
	}
	dir := put(t, map[string]string{"data": ndjson, "other.csv": "symbol;size\nA;4\n"})
	if out, errs, status := velo(t, "", "query", "--format=csv", "--input-format=csv", "--delimiter=;",
		`SELECT count(*) AS n FROM "`+dir+`/data"`); status != 0 || out != "n\n2\n" {
		t.Errorf("JSON as CSV: status %d\n%s%s", status, errs, out)
	}
	if out, errs, status := velo(t, "", "query", "--format=csv", "--input-format=tsv", "--delimiter=;",
		`SELECT size FROM "`+dir+`/other.csv" GROUP BY size`); status != 0 || out != "size\n4\n" {
		t.Errorf("a delimiter wins over a format: status %d\n%s%s", status, errs, out)
	}
}

// Goal: a name stands for the files that one would think. Method: a tree of directories, and the files that each name finds.
func TestFind(t *testing.T) {
	dir := put(t, map[string]string{
		"a.csv": "", "b.csv": "", ".hidden.csv": "", "c.txt": "", "d/e.csv": "",
		"d/f/g.csv": "", "d/.h/i.csv": "", "empty/x/y": "",
	})
	for name, want := range map[string]string{
		"":            "a.csv b.csv c.txt",
		"/":           "a.csv b.csv c.txt",
		"/*.csv":      "a.csv b.csv",
		"/**/*.csv":   "a.csv b.csv d/e.csv d/f/g.csv",
		"/d/**":       "d/e.csv d/f/g.csv",
		"/**/f/*":     "d/f/g.csv",
		"/d/**/?.csv": "d/e.csv d/f/g.csv",
		"/a.csv":      "a.csv",
		"/gone.csv":   "gone.csv",
	} {
		got, err := find(dir + name)
		for i := range got {
			got[i], _ = filepath.Rel(dir, got[i])
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v; expected %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"/empty": "without files", "/*.gone": "no file is called like",
		"/**/*.gone": "no file is called like", "/[": "syntax error",
	} {
		if got, err := find(dir + name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; expected %q", name, got, err, want)
		}
	}
}

// Goal: the columns of JSON lines are guessed as a person would: names in lower case where that is no other's, null where a field lacks, text for what is
// of several kinds; they can be given back, and then find their fields. Method: golden output.
func TestGuessJSON(t *testing.T) {
	lines := []string{
		`{"userId":1,"Name":"x","price":1,"ok":true,"at":"2024-01-01T00:00:00Z","Same":1,"same":2,"tags":["a"],"mixed":1,"none":null}`,
		`not json`,
		`{"userId":2,"Name":"2024","price":1.5,"ok":null,"at":"2024-01-02 10:00:00","Same":1,"same":2,"tags":[],"mixed":"one","later":7}`,
	}
	path := write(t, "t.ndjson", lines...)
	out, errs, status := velo(t, "", "schema", path)
	want := `"userid" bigint not null,
"name" text not null,
"price" double precision not null,
"ok" boolean,
"at" timestamp not null,
"Same" bigint not null,
"same" bigint not null,
"tags" text not null,
"mixed" text not null,
"none" text,
"later" bigint
`
	if status != 0 || out != want {
		t.Errorf("status %d\n%s%s", status, errs, out)
	}
	if again, _, status := velo(t, "", "query", "--explain-schema", "--schema="+out,
		fmt.Sprintf(`SELECT count(*) FROM "%s"`, path)); status != 0 || again != want {
		t.Errorf("--explain-schema: status %d\n%s", status, again)
	}
	for _, schema := range []string{"--schema=" + out, "--schema=userId bigint, name text, tags text", "--no-header"} {
		out, errs, status := velo(t, "", "query", "--format=csv", schema,
			fmt.Sprintf(`SELECT sum(userId) AS u, max(name) AS n, max(tags) AS t FROM "%s"`, path))
		if status != statusAside || out != "u,n,t\n3,x,[]\n" || !strings.Contains(errs, "line 2") {
			t.Errorf("%.20s: status %d\n%s%s", schema, status, errs, out)
		}
	}
	path = write(t, "t.json", `{"at":1700000000500,"n":1}`)
	out, errs, status = velo(t, "", "query", "--format=csv", "--schema=at timestamp", "--time-unit=ms",
		fmt.Sprintf(`SELECT max(at) AS at FROM "%s"`, path))
	if status != 0 || out != "at\n2023-11-14T22:13:20.5Z\n" {
		t.Errorf("--time-unit: status %d\n%s%s", status, errs, out)
	}
	for text, want := range map[string]string{
		`[{"a":1}]`: "begins with [", "": "is empty",
		"{}": "no line of the sample", "\n\n": "is empty",
	} {
		if _, errs, status := velo(t, "", "schema", write(t, "t.json", text)); status != statusFailed ||
			!strings.Contains(errs, want) {
			t.Errorf("%q: status %d, %s", text, status, errs)
		}
	}
}

// Goal: what is set aside says of which file it is. Method: a directory of two files and a compressed one, each with a bad line.
func TestQuarantineFiles(t *testing.T) {
	good := `{"a":1}` + "\n"
	dir := put(t, map[string]string{
		"a.ndjson": good + "{\n", "b.ndjson": "{\"a\":1.5}\n" + good,
		"c.ndjson.gz": pack(t, ".gz", good+good+"x\n"),
	})
	aside := filepath.Join(t.TempDir(), "bad.ndjson")
	out, errs, status := velo(t, "", "query", "--format=csv", "--schema=a bigint", "--strict", "--quarantine="+aside,
		fmt.Sprintf(`SELECT count(*) AS n FROM "%s/"`, dir))
	if status != statusAside || out != "n\n4\n" || !strings.Contains(errs, "3 records") ||
		!strings.Contains(errs, ".ndjson") {
		t.Errorf("status %d\n%s%s", status, errs, out)
	}
	data, err := os.ReadFile(aside)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range bytes.Lines(data) {
		var row struct {
			File, Reason, Bytes string
			Line, Offset        int64
		}
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s:%d:%d:%s", filepath.Base(row.File), row.Line, row.Offset, row.Bytes))
	}
	slices.Sort(got)
	if want := []string{`a.ndjson:2:8:{`, `b.ndjson:1:0:{"a":1.5}`, `c.ndjson.gz:3:16:x`}; !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}

// Goal: a compressed file that is spoiled gives what comes before, and an error that names it. Method: a gzip file cut in two.
func TestSpoiledFile(t *testing.T) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "%d,%d\n", i, i*7919%1000)
	}
	packed := pack(t, ".gz", text.String())
	dir := put(t, map[string]string{"x.csv.gz": packed[:len(packed)/2]})
	_, errs, status := velo(t, "", "query", "--no-header", fmt.Sprintf(`SELECT count(*) AS n FROM "%s/x.csv.gz"`, dir))
	if status != statusFailed || !strings.Contains(errs, "x.csv.gz") || !strings.Contains(errs, "is cut off") {
		t.Errorf("status %d\n%s", status, errs)
	}
}

// slowInput gives a line, and the rest only when asked to.
type slowInput struct {
	text []string
	wait chan struct{}
}

func (s *slowInput) Read(b []byte) (int, error) {
	if len(s.text) == 0 {
		return 0, io.EOF
	}
	if len(s.text) == 1 {
		<-s.wait
	}
	n := copy(b, s.text[0])
	if s.text[0] = s.text[0][n:]; s.text[0] == "" {
		s.text = s.text[1:]
	}
	return n, nil
}

// Goal: columns of a stream that goes on and on are guessed from its beginning, of which nothing is lost. Method: standard input that stops after the sample until
// the columns are known.
func TestSlowInput(t *testing.T) {
	in := &slowInput{text: []string{"a,b\n1,2\n3,", "4\n5,6\n"}, wait: make(chan struct{})}
	f, err := (&input{}).open(stdinName, in)
	if err != nil {
		t.Fatal(err)
	}
	close(in.wait)
	rs, err := f.readers(4)
	if err != nil || len(rs) != 1 {
		t.Fatalf("%d readers, %v", len(rs), err)
	}
	if got := sum(t, f.schema, rs[0], 1); got != 2+4+6 {
		t.Errorf("the sum is %d", got)
	}
}

// sum adds up a column until the end.
func sum(t *testing.T, s *record.Schema, r record.Reader, column int) (total int64) {
	t.Helper()
	b := record.NewBatch(s, 0)
	for err := error(nil); err != io.EOF; {
		b.Reset()
		if err = r.Read(t.Context(), b); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		for _, v := range b.Column(column).Int64s[:b.Len()] {
			total += v
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	return total
}

// Goal: --follow reads what is appended, and is refused where nothing can be. Method: its readers, polled between writes.
func TestFollowFiles(t *testing.T) {
	path := write(t, "t.ndjson", `{"a":1}`)
	f, err := (&input{Follow: true}).open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := f.readers(4)
	if err != nil || len(rs) != 1 {
		t.Fatalf("%d readers, %v", len(rs), err)
	}
	defer rs[0].Close()
	b := record.NewBatch(f.schema, 0)
	for i := range 3 {
		if err := rs[0].(record.Poller).Poll(b); err != nil || b.Len() != 1 {
			t.Errorf("%d rows, %v", b.Len(), err)
		}
		b.Reset()
		if err := rs[0].(record.Poller).Poll(b); err != nil || b.Len() != 0 {
			t.Errorf("%d rows, %v", b.Len(), err)
		}
		text, _ := os.ReadFile(path)
		if err := os.WriteFile(path, fmt.Appendf(text, `{"a":%d}`+"\n", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	packed := put(t, map[string]string{"t.csv.gz": pack(t, ".gz", "a\n1\n")})
	for _, args := range [][]string{
		{`SELECT count(*) FROM stdin`, "standard input"},
		{fmt.Sprintf(`SELECT count(*) FROM "%s/t.csv.gz"`, packed), "is compressed"},
	} {
		if _, errs, status := velo(t, "a\n1\n", "query", "--follow", args[0]); status != statusFailed ||
			!strings.Contains(errs, args[1]) {
			t.Errorf("%s: status %d, %s", args[0], status, errs)
		}
	}
}
