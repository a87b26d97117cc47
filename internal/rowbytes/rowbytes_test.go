package rowbytes

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

var schema = func() *record.Schema {
	s, err := record.NewSchema("rows", record.Field{Name: "k", Type: record.Int64, Nullable: true},
		record.Field{Name: "text", Type: record.String, Nullable: true}, record.Field{Name: "w", Type: record.Float64})
	if err != nil {
		panic(err)
	}
	return s
}()

// batch has rows of all kinds.
func batch(rows int) *record.Batch {
	b := record.NewBatch(schema, max(rows, 1))
	for row := range rows {
		text := strings.Repeat("velo", row%7)
		b.Add(len(text))
		b.SetInt64(0, int64(row)-3)
		b.SetString(1, text)
		b.SetFloat64(2, float64(row)/2)
		if row%5 == 2 {
			b.SetNull(0)
		}
		if row%6 == 4 {
			b.SetNull(1)
		}
	}
	return b
}

// Goal: what Read returns is what Append was given; what is cut off at any byte is refused. Method:
// numbers of rows about the length of a word of NULLs, two parcels in a row.
func TestRoundTrip(t *testing.T) {
	for _, rows := range []int{0, 1, 63, 64, 65, 200} {
		text := Append(Append(nil, batch(rows)), batch(3))
		b, rest, err := Read(schema, text)
		if err != nil {
			t.Fatal(err)
		}
		if again := Append(nil, b); !bytes.Equal(again, text[:len(again)]) || len(again)+len(rest) != len(text) {
			t.Errorf("%d rows come back as %d", rows, b.Len())
		}
		if b, rest, err := Read(schema, rest); err != nil || b.Len() != 3 || len(rest) > 0 {
			t.Errorf("the second parcel: %d rows, %d bytes left, %v", b.Len(), len(rest), err)
		}
		first := text[:len(text)-len(rest)]
		for n := range len(first) {
			if _, _, err := Read(schema, first[:n]); !errors.Is(err, ErrBroken) {
				t.Fatalf("%d rows, %d of %d bytes: %v, expected ErrBroken", rows, n, len(first), err)
			}
			short := slices.Clone(first[:n])
			if n >= 4 { // the length is right, and what it says is missing
				binary.LittleEndian.PutUint32(short, uint32(n-4))
				if _, _, err := Read(schema, short); !errors.Is(err, ErrBroken) {
					t.Fatalf("%d rows in %d bytes: %v, expected ErrBroken", rows, n, err)
				}
			}
		}
	}
}

// Goal: no bytes crash the reader, and rows that it accepts can be written and read again.
func FuzzRead(f *testing.F) {
	for _, rows := range []int{0, 1, 65} {
		f.Add(Append(nil, batch(rows)))
	}
	f.Add(binary.LittleEndian.AppendUint32(nil, 1<<32-1))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, rest, err := Read(schema, text)
		if err != nil {
			return
		}
		if len(rest) >= len(text) {
			t.Fatalf("%d of %d bytes are left", len(rest), len(text))
		}
		again := Append(nil, b)
		if c, _, err := Read(schema, again); err != nil || c.Len() != b.Len() || !bytes.Equal(Append(nil, c), again) {
			t.Fatalf("%d rows come back as %d: %v", b.Len(), c.Len(), err)
		}
	})
}
