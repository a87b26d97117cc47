package parquet

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// open opens files with the columns that they have. The names of the columns, if there are any, are
// the only ones.
func open(t testing.TB, only []string, paths ...string) *Source {
	t.Helper()
	s, err := Open(paths)
	if err != nil {
		t.Fatal(err)
	}
	fields, _, err := s.Columns()
	if err != nil {
		t.Fatal(err)
	}
	if only != nil {
		fields = slices.DeleteFunc(fields, func(f record.Field) bool { return !slices.Contains(only, f.Name) })
	}
	schema, err := record.NewSchema("t", fields...)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(schema); err != nil {
		t.Fatal(err)
	}
	return s
}

// lines reads all rows of a reader, as the files of testdata have them.
func lines(r record.Reader, schema *record.Schema, size int) (all []string, rejects []record.Reject, err error) {
	b := record.NewBatch(schema, size)
	for {
		b.Reset()
		err := r.Read(context.Background(), b)
		if err == io.EOF {
			return all, rejects, r.Close()
		}
		if err == nil {
			err = b.Check()
		}
		if err != nil {
			return all, rejects, err
		}
		rejects = append(rejects, slices.Clone(b.Rejects())...)
		for row := range b.Len() {
			all = append(all, line(b, row))
		}
	}
}

// line is a row.
func line(b *record.Batch, row int) string {
	var values []string
	for i := range b.Schema().Len() {
		c, f := b.Column(i), b.Schema().Field(i)
		switch {
		case c.Null(row):
			values = append(values, "NULL")
		case f.Type == record.Float64:
			values = append(values, strconv.FormatFloat(c.Float64s[row], 'f', -1, 64))
		case f.Type == record.Bytes:
			values = append(values, "x"+hex.EncodeToString(c.View(row)))
		case f.Type.IsWide():
			values = append(values, string(c.AppendLogical(nil, f.Type, row)))
		case f.Type == record.UUID:
			values = append(values, strconv.Quote(string(c.AppendLogical(nil, f.Type, row))))
		case f.Type == record.String:
			text, _ := json.Marshal(string(c.View(row)))
			values = append(values, string(text))
		default:
			values = append(values, fmt.Sprint(c.Int64s[row]))
		}
	}
	return strings.Join(values, "\t")
}

// Goal: files of pyarrow and DuckDB are read as those programs meant them: all encodings and
// compressions that they write, pages of both versions, NULL, fields within fields.
// Method: testdata/make.py has written the files, and their rows as text. Batches of 1, 7 and 2,048
// rows, and 1 and 3 readers, give the same rows.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.parquet")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(strings.TrimSuffix(path, "parquet") + "txt")
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			names := strings.Split(want[0], "\t")
			want = want[1:]
			for _, size := range []int{1, 7, 2048} {
				for _, n := range []int{1, 3} {
					s := open(t, names, path)
					var got []string
					for _, r := range s.Readers(n) {
						all, rejects, err := lines(r, s.schema, size)
						if err != nil || len(rejects) > 0 {
							t.Fatal(err, rejects)
						}
						got = append(got, all...)
					}
					if !slices.Equal(got, want) {
						t.Fatalf("batches of %d rows, %d readers: %d rows, expected %d; the first that differs: %s", size,
							n, len(got), len(want), differs(got, want))
					}
				}
			}
		})
	}
}

// differs is the first line in which two lists differ.
func differs(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("row %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
	return "one is longer"
}
