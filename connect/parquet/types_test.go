package parquet

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/record"
)

// Goal: files have every type, and are read as the same types and values, also by columns that are
// declared. Method: a batch of all types in files of each unit of time. An interval is a bigint in
// a file, so its column is declared.
func TestAllTypes(t *testing.T) {
	b := testgen.AllTypes()
	schema := b.Schema()
	for _, unit := range []Unit{Nanos, Micros} {
		var text bytes.Buffer
		e := NewEncoder(&text, EncoderConfig{Unit: unit})
		if err := e.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "t.parquet")
		if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open([]string{path})
		if err != nil {
			t.Fatal(err)
		}
		fields, left, err := s.Columns()
		if err != nil || len(left) > 0 || len(fields) != schema.Len() {
			t.Fatal(fields, left, err)
		}
		for i, f := range fields {
			want := schema.Field(i).Type
			if want == record.Interval {
				want = record.Int64
			}
			if f.Type != want {
				t.Errorf("%v is %v in the file, expected %v", schema.Field(i).Type, f.Type, want)
			}
		}
		if err := s.Bind(schema); err != nil {
			t.Fatal(err)
		}
		var got [][]string
		to := record.NewBatch(schema, 4)
		r := s.Readers(1)[0]
		for r.Read(t.Context(), to) == nil {
			if len(to.Rejects()) > 0 {
				t.Fatal(to.Rejects())
			}
			got = append(got, testgen.Cells(to)...)
			to.Reset()
		}
		want := testgen.Cells(b)
		if len(got) != len(want) {
			t.Fatalf("%d rows, expected %d", len(got), len(want))
		}
		for row := range want {
			if !slices.Equal(got[row], want[row]) {
				t.Errorf("row %d is\n%q\nexpected\n%q", row, got[row], want[row])
			}
		}
	}
}

// Goal: columns that are declared as text, as bytea and as uuid take what has such bytes, and
// others are refused.
func TestTakesLogical(t *testing.T) {
	for _, c := range []struct {
		have, want record.Type
		size       int
		fits       bool
	}{
		{record.UUID, record.String, 16, true},
		{record.UUID, record.Bytes, 16, true},
		{record.Bytes, record.String, 0, true},
		{record.String, record.Bytes, 0, true},
		{record.Bytes, record.UUID, 16, true},
		{record.Bytes, record.UUID, 15, false},
		{record.String, record.UUID, 0, false},
		{record.TimeOfDay, record.Interval, 0, false},
		{record.TimeOfDay, record.Int64, 0, false},
		{record.Int64, record.TimeOfDay, 0, false},
		{record.Interval, record.String, 12, false},
		{record.DecimalOf(30, 2), record.DecimalOf(18, 2), 0, true},
		{record.DecimalOf(18, 2), record.DecimalOf(30, 4), 0, true},
		{record.DecimalOf(30, 2), record.DecimalOf(38, 10), 0, true},
		{record.DecimalOf(30, 2), record.DecimalOf(38, 11), 0, false},
		{record.DecimalOf(30, 2), record.DecimalOf(38, 1), 0, false},
		{record.Int64, record.DecimalOf(38, 18), 0, true},
		{record.Int64, record.DecimalOf(38, 19), 0, false},
	} {
		l := leaf{kind: c.have, size: c.size}
		if c.size > 0 {
			l.physical = 7 // FIXED_LEN_BYTE_ARRAY
		}
		if why := l.takes(c.want); (why == "") != c.fits {
			t.Errorf("a column %v of %d bytes as %v: %q", c.have, c.size, c.want, why)
		}
	}
}

// Goal: an interval of a file is read if it has no months.
func TestIntervalOf(t *testing.T) {
	if got := intervalOf([]byte{0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}); got != 2*dayNanos+3e6 {
		t.Errorf("two days and 3 ms are %d", got)
	}
	l := leaf{kind: record.Interval}
	_, greatest, _ := l.bounds(record.Interval)
	if got := intervalOf([]byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}); got <= greatest {
		t.Errorf("an interval with a month is %d, expected more than %d", got, greatest)
	}
}
