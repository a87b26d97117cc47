package writers

import (
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// footed is a format that has an end: the rows of a CSV, which are written some at a time, and then
// their number.
type footed struct {
	to   io.Writer
	rows strings.Builder
	csv  *CSV
	n    int
}

func newFooted(to io.Writer) Encoder {
	f := &footed{to: to}
	f.csv = NewCSV(&f.rows)
	return f
}

// footedBlock is how many bytes of rows are written at once.
const footedBlock = 200

func (f *footed) Write(ctx context.Context, b *record.Batch) error {
	f.n += b.Len()
	_ = f.csv.Write(ctx, b)
	_ = f.csv.Flush()
	if f.rows.Len() >= footedBlock {
		return f.block()
	}
	return nil
}

func (f *footed) block() error {
	_, err := io.WriteString(f.to, f.rows.String())
	f.rows.Reset()
	return err
}

func (f *footed) Flush() error    { return nil }
func (f *footed) Buffered() int64 { return int64(f.rows.Len()) }

func (f *footed) Close() error {
	if err := f.block(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(f.to, "rows: %d\n", f.n)
	return err
}

// linesOfFile are the rows of a file, and whether it is one: see linesOf. One that is footed has
// its end, once.
func linesOfFile(name, text string) (rows []string, ok bool) {
	if !strings.HasSuffix(name, ".footed") {
		return linesOf(text)
	}
	text, end, ok := strings.Cut(text, "rows: ")
	if !ok {
		return nil, false
	}
	rows, ok = linesOf(text)
	return rows, ok && end == fmt.Sprintf("%d\n", len(rows))
}

// Goal: a format that has an end needs names with numbers if an engine keeps its state, bounds the
// rows of a window, and has no file of a window that has not ended.
func TestFileSealed(t *testing.T) {
	ctx := context.Background()
	for _, path := range []string{"out.footed", "out-{time}.footed"} {
		f, err := newFile(FileConfig{Path: path, Encode: newFooted}, newDisk())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Recover(ctx, "job", nil); err == nil || !strings.Contains(err.Error(), "expected {n} in the name") {
			t.Error(err)
		}
		if _, err := f.RecoverOutput(ctx, "job"); err == nil || !strings.Contains(err.Error(), "expected {n} in the name") {
			t.Error(err)
		}
	}
	d := newDisk()
	f, err := newFile(FileConfig{Path: "out-{n}.footed", Encode: newFooted, WindowBytes: 1000}, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Recover(ctx, "job", nil); err != nil {
		t.Fatal(err)
	}
	do := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	do("write", f.Write(ctx, batchOf(0, 3)))
	do("end", f.EndWindow(ctx, 1))
	do("write", f.Write(ctx, batchOf(3, 2)))
	_, err = f.Save(ctx)
	do("save", err)
	_, err = f.Save(ctx)
	do("save", err)
	do("write", f.Write(ctx, batchOf(5, 2)))
	do("end", f.EndWindow(ctx, 2))
	do("end", f.EndWindow(ctx, math.MaxInt64))
	do("close", f.Close())
	delete(d.files, "out-n.footed.velo")
	names, texts := d.whole()
	want := []string{"n\n0\n1\n2\nrows: 3\n", "n\n3\n4\n5\n6\nrows: 4\n"}
	if fmt.Sprint(names) != "[out-000001.footed out-000002.footed]" || fmt.Sprint(texts) != fmt.Sprint(want) {
		t.Errorf("%q: %q", names, texts)
	}
	f, err = newFile(FileConfig{Path: "out-{n}.footed", Encode: newFooted, WindowBytes: 1000}, newDisk())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Recover(ctx, "job", nil); err != nil {
		t.Fatal(err)
	}
	err = f.Write(ctx, batchOf(0, 200))
	if err == nil || !strings.Contains(err.Error(), "more than 1000 bytes of rows") {
		t.Error(err)
	}
}
