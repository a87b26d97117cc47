package readers

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: the lines of a batch are said as they are, however blocks and batches divide the source, or
// the batch has another number of lines than rows. Method: files and streams of some shapes, in
// which the first value of a record is the line that it begins with.
func TestLines(t *testing.T) {
	schema, err := record.NewSchema("t", record.Field{Name: "line", Type: record.Int64},
		record.Field{Name: "text", Type: record.String, Nullable: true})
	if err != nil {
		t.Fatal(err)
	}
	text := func(header string, record func(line int) (text string, lines int)) string {
		var b strings.Builder
		b.WriteString(header)
		for line := 1 + strings.Count(header, "\n"); line < 3000; {
			s, n := record(line)
			b.WriteString(s)
			line += n
		}
		return strings.TrimSuffix(b.String(), "\n") // a file may end without a newline
	}
	for name, c := range map[string]struct {
		text  string
		json  bool
		plain bool // all records are lines
	}{
		"csv": {
			text:  text("line,text\n", func(line int) (string, int) { return fmt.Sprintf("%d,some text\n", line), 1 }),
			plain: true,
		},
		"ndjson": {
			text: text("", func(line int) (string, int) {
				return fmt.Sprintf(`{"line": %d, "text": "a\nb\u0041"}`+"\n", line), 1
			}),
			json: true, plain: true,
		},
		"csv with records of several lines": {
			text: text("line,text\n", func(line int) (string, int) {
				if line%701 == 0 {
					return fmt.Sprintf("%d,\"two\nlines, and \"\"quotes\"\"\"\n", line), 2
				}
				return fmt.Sprintf("%d,\"one\"\n", line), 1
			}),
		},
		"csv with empty lines": {
			text: text("line,text\n", func(line int) (string, int) {
				if line%997 == 0 {
					return "\n", 1
				}
				return fmt.Sprintf("%d,one\n", line), 1
			}),
		},
	} {
		for _, block := range []int{64, 1000, 0} {
			for _, rows := range []int{1, 7, 2048} {
				for way, r := range openLineCounters(t, schema, c.text, c.json, block) {
					known, all := compareLines(t, r, schema, rows)
					if c.plain && known != all || 2*known < all && rows < 2048 || all < 2900 {
						t.Errorf("%s, blocks of %d, batches of %d, %s: the lines of %d of %d rows are known", name,
							block, rows, way, known, all)
					}
					if err := r.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}
}

// openLineCounters opens the text as a file and as a stream.
func openLineCounters(t *testing.T, schema *record.Schema, text string, json bool, block int) map[string]record.Reader {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lines")
	err := os.WriteFile(path, []byte(text), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if json {
		f, err1 := OpenNDJSON(path, NDJSONConfig{Schema: schema, BlockBytes: block})
		s, err2 := NewNDJSONStream("lines", strings.NewReader(text), NDJSONConfig{Schema: schema, BlockBytes: block})
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		return map[string]record.Reader{"file": f.Readers(1)[0], "stream": s}
	}
	cfg := DelimitedConfig{Schema: schema, Quote: '"', Header: true, BlockBytes: block}
	f, err1 := OpenDelimited(path, cfg)
	s, err2 := NewDelimitedStream("lines", strings.NewReader(text), cfg)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return map[string]record.Reader{"file": f.Readers(1)[0], "stream": s}
}

// compareLines reads all rows, and compares their values with the lines, where these are known.
func compareLines(t *testing.T, r record.Reader, schema *record.Schema, rows int) (known, all int) {
	t.Helper()
	counter := r.(record.LineCounter)
	counter.CountLines()
	b := record.NewBatch(schema, rows)
	for {
		b.Reset()
		err := r.Read(t.Context(), b)
		if len(b.Rejects()) > 0 {
			t.Fatalf("%v", b.Rejects()[0])
		}
		all += b.Len()
		first, next := counter.Lines()
		if first == 0 {
			t.Fatal("lines are not counted")
		}
		if next-first == int64(b.Len()) {
			known += b.Len()
			for i := range b.Len() {
				if got := b.Column(0).Int64s[i]; got != first+int64(i) {
					t.Fatalf("row %d of a batch is said to be line %d, it is line %d", i, first+int64(i), got)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return known, all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Goal: lines are not counted by one of several readers of a file.
func TestLinesOfSeveralReaders(t *testing.T) {
	schema, err := record.NewSchema("t", record.Field{Name: "line", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lines")
	err = os.WriteFile(path, []byte("1\n2\n3\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenDelimited(path, DelimitedConfig{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range f.Readers(2) {
		counter := r.(record.LineCounter)
		counter.CountLines()
		b := record.NewBatch(schema, 10)
		_ = r.Read(t.Context(), b)
		if first, _ := counter.Lines(); first != 0 {
			t.Errorf("the first line is %d", first)
		}
		r.Close()
	}
}
