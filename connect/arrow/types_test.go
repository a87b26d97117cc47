package arrow

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/record"
)

// Goal: streams have every type, and are read as the same types and values. Method: a batch of all
// types, read column by column and row by row.
func TestAllTypes(t *testing.T) {
	b := testgen.AllTypes()
	schema := b.Schema()
	var text bytes.Buffer
	e := NewEncoder(&text, schema)
	if err := errors.Join(e.Write(t.Context(), b), e.Close()); err != nil {
		t.Fatal(err)
	}
	for _, plain := range []bool{false, true} {
		s, err := Open(io.NopCloser(bytes.NewReader(text.Bytes())))
		if err != nil {
			t.Fatal(err)
		}
		fields, left, err := s.Columns()
		if err != nil || len(left) > 0 || len(fields) != schema.Len() {
			t.Fatal(fields, left, err)
		}
		for i, f := range fields {
			if f != schema.Field(i) {
				t.Errorf("%v is %v in the stream", schema.Field(i), f)
			}
		}
		if err := s.Bind(schema); err != nil {
			t.Fatal(err)
		}
		r := s.Readers(1)[0]
		r.(*Reader).plain = plain
		to := record.NewBatch(schema, 0)
		var got [][]string
		for {
			to.Reset()
			if err := r.Read(t.Context(), to); err != nil {
				break
			}
			got = append(got, testgen.Cells(to)...)
		}
		want := testgen.Cells(b)
		if len(got) != len(want) {
			t.Fatalf("%d rows, expected %d", len(got), len(want))
		}
		for row := range want {
			if !slices.Equal(got[row], want[row]) {
				t.Errorf("row by row: %v: row %d is\n%q\nexpected\n%q", plain, row, got[row], want[row])
			}
		}
	}
}
