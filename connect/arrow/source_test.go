package arrow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
)

// streamTypes are the types that are read, and two that are not.
var streamTypes = []arrow.DataType{
	arrow.FixedWidthTypes.Boolean, arrow.PrimitiveTypes.Int8, arrow.PrimitiveTypes.Int16, arrow.PrimitiveTypes.Int32,
	arrow.PrimitiveTypes.Int64, arrow.PrimitiveTypes.Uint8, arrow.PrimitiveTypes.Uint16, arrow.PrimitiveTypes.Uint32,
	arrow.PrimitiveTypes.Uint64, arrow.PrimitiveTypes.Float32, arrow.PrimitiveTypes.Float64, arrow.BinaryTypes.String,
	arrow.BinaryTypes.LargeString, arrow.BinaryTypes.Binary, arrow.BinaryTypes.LargeBinary,
	arrow.FixedWidthTypes.Timestamp_s, arrow.FixedWidthTypes.Timestamp_ms, arrow.FixedWidthTypes.Timestamp_ns,
	arrow.PrimitiveTypes.Date32, arrow.PrimitiveTypes.Date64, &arrow.Decimal128Type{Precision: 12, Scale: 2},
	&arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int16, ValueType: arrow.BinaryTypes.String},
	arrow.ListOf(arrow.PrimitiveTypes.Int64), &arrow.Decimal128Type{Precision: 30, Scale: 2},
}

// appendRandom appends a value, and sometimes one that no column has.
func appendRandom(rnd *rand.Rand, build array.Builder, odd bool) {
	n := int64(rnd.Uint64()) >> (8 + rnd.IntN(50))
	switch b := build.(type) {
	case *array.BooleanBuilder:
		b.Append(n&1 == 0)
	case *array.Int8Builder:
		b.Append(int8(n))
	case *array.Int16Builder:
		b.Append(int16(n))
	case *array.Int32Builder:
		b.Append(int32(n))
	case *array.Int64Builder:
		b.Append(n)
	case *array.Uint8Builder:
		b.Append(uint8(n))
	case *array.Uint16Builder:
		b.Append(uint16(n))
	case *array.Uint32Builder:
		b.Append(uint32(n))
	case *array.Uint64Builder:
		b.Append(uint64(n) >> 1)
		if odd {
			b.Append(math.MaxInt64 + 1)
		}
	case *array.Float32Builder:
		b.Append(float32(n) / 8)
	case *array.Float64Builder:
		b.Append(float64(n) / 8)
	case *array.StringBuilder:
		b.Append(strings.Repeat("ä", rnd.IntN(20)))
	case *array.LargeStringBuilder:
		b.Append(strings.Repeat("b", rnd.IntN(20)))
	case *array.BinaryBuilder:
		b.Append([]byte(strings.Repeat("\xff", rnd.IntN(20))))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(n >> 30))
		if odd {
			b.Append(math.MaxInt64)
		}
	case *array.Date32Builder:
		b.Append(arrow.Date32(n >> 40))
	case *array.Date64Builder:
		b.Append(arrow.Date64(n >> 20))
	case *array.Decimal128Builder:
		b.Append(decimal128.FromI64(n % 1e12))
		if odd {
			b.Append(decimal128.FromI64(1e12))
		}
	case *array.BinaryDictionaryBuilder:
		_ = b.AppendString(fmt.Sprint("word", rnd.IntN(9)))
	default:
		build.AppendNull()
	}
}

// randomStream is a stream of some record batches with all types. If odd, some values fit no
// column.
func randomStream(t testing.TB, rnd *rand.Rand, odd bool, types ...arrow.DataType) []byte {
	t.Helper()
	var fields []arrow.Field
	for i, kind := range types {
		fields = append(fields, arrow.Field{Name: fmt.Sprint("c", i), Type: kind, Nullable: i%2 == 0 || i >= 22})
	}
	schema := arrow.NewSchema(fields, nil)
	options := []ipc.Option{ipc.WithSchema(schema)}
	switch rnd.IntN(3) {
	case 0:
		options = append(options, ipc.WithLZ4())
	case 1:
		options = append(options, ipc.WithZstd())
	}
	var text bytes.Buffer
	w := ipc.NewWriter(&text, append(options, ipc.WithDictionaryDeltas(true))...)
	for range rnd.IntN(4) {
		rows := rnd.IntN(400)
		var columns []arrow.Array
		for _, f := range fields {
			build := array.NewBuilder(memory.DefaultAllocator, f.Type)
			for build.Len() < rows {
				if f.Nullable && rnd.IntN(4) == 0 {
					build.AppendNull()
					continue
				}
				appendRandom(rnd, build, odd && rnd.IntN(60) == 0 && build.Len() < rows-1)
			}
			c := build.NewArray()
			columns = append(columns, array.NewSlice(c, int64(min(3, rows)), int64(rows)))
		}
		batch := array.NewRecordBatch(schema, columns, int64(max(rows-3, 0)))
		err := w.Write(batch)
		if err != nil {
			t.Fatal(err)
		}
	}
	err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// lines are the rows of a stream, and what is set aside. The column forbid is declared NOT NULL; -1
// is none.
func lines(t testing.TB, text []byte, read []bool, forbid, size int, plain bool) (rows, aside []string, err error) {
	t.Helper()
	s, err := Open(io.NopCloser(bytes.NewReader(text)))
	if err != nil {
		return nil, nil, err
	}
	columns, _, err := s.Columns()
	if err != nil {
		t.Fatal(err)
	}
	if forbid >= 0 {
		columns[forbid].Nullable = false
	}
	schema, err := record.NewSchema("t", columns...)
	if err == nil {
		err = s.Bind(schema)
	}
	if err != nil {
		return nil, nil, err
	}
	r := s.Readers(3)[0].(*Reader)
	r.plain = plain
	if read != nil {
		r.Columns(read[:schema.Len()])
	}
	b := record.NewBatch(schema, size)
	for {
		b.Reset()
		err := r.Read(context.Background(), b)
		if check := b.Check(); check != nil {
			t.Fatal(check)
		}
		for row := range b.Len() {
			line := ""
			for i := range schema.Len() {
				c := b.Column(i)
				switch {
				case c.Null(row):
					line += "NULL|"
				case c.Views != nil:
					line += string(c.View(row)) + "|"
				case c.Float64s != nil:
					line += fmt.Sprint(c.Float64s[row], "|")
				default:
					line += fmt.Sprint(c.Int64s[row], "|")
				}
			}
			rows = append(rows, line)
		}
		for _, x := range b.Rejects() {
			aside = append(aside, fmt.Sprint(x.Offset, x.Reason))
		}
		if errors.Is(err, io.EOF) {
			return rows, aside, r.Close()
		}
		if err != nil {
			return rows, aside, errors.Join(err, r.Close())
		}
	}
}

// Goal: columns that are lent have the values that are read row by row, and what fits no column is
// set aside in both ways. Method: random streams of all types, packed and not, of slices.
func TestLendTwin(t *testing.T) {
	total, set := 0, 0
	for round := range 200 {
		rnd := rand.New(rand.NewPCG(7, uint64(round)))
		text := randomStream(t, rnd, round%2 == 1, streamTypes...)
		var read []bool
		if rnd.IntN(2) == 0 {
			for range streamTypes {
				read = append(read, rnd.IntN(3) > 0)
			}
		}
		size, forbid := 1+rnd.IntN(300), -1
		if rnd.IntN(4) == 0 {
			forbid = rnd.IntN(20)
		}
		got, aside, err := lines(t, text, read, forbid, size, false)
		want, asideWant, errWant := lines(t, text, read, forbid, 1000, true)
		if err != nil || errWant != nil || !slices.Equal(got, want) || !slices.Equal(aside, asideWant) {
			t.Fatalf("round %d: %v, %v, %d rows, expected %d, %q set aside, expected %q", round, err, errWant, len(got),
				len(want), aside, asideWant)
		}
		total, set = total+len(got), set+len(aside)
	}
	if total < 10_000 || set < 20 {
		t.Errorf("%d rows, %d set aside", total, set)
	}
}

// Goal: what the encoder writes is read as it was. Method: a stream is read, written and read
// again.
func TestSourceOfEncoder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 9))
	var text []byte
	for len(text) < 3000 {
		text = randomStream(t, rnd, false, streamTypes[4], streamTypes[10], streamTypes[11], streamTypes[17],
			streamTypes[20])
	}
	want, _, err := lines(t, text, nil, -1, 100, false)
	if err != nil || len(want) == 0 {
		t.Fatal(err)
	}
	s, err := Open(io.NopCloser(bytes.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	columns, _, _ := s.Columns()
	schema, err := record.NewSchema("t", columns...)
	if err == nil {
		err = s.Bind(schema)
	}
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	e := NewEncoder(&again, schema)
	b, r := record.NewBatch(schema, 50), s.Readers(1)[0]
	for err == nil {
		b.Reset()
		err = r.Read(context.Background(), b)
		if b.Len() > 0 {
			err = errors.Join(err, e.Write(context.Background(), b))
		}
	}
	if !errors.Is(err, io.EOF) || e.Close() != nil {
		t.Fatal(err)
	}
	got, _, err := lines(t, again.Bytes(), nil, -1, 33, false)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %d rows, expected %d", err, len(got), len(want))
	}
}

// Goal: what is wrong with a stream, or with the columns that are declared, is said, and nothing
// panics, also if bytes are damaged anywhere.
func TestStreamFaults(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	text := randomStream(t, rnd, false, streamTypes...)
	for len(text) < 20_000 {
		text = randomStream(t, rnd, false, streamTypes...)
	}
	s, err := Open(io.NopCloser(bytes.NewReader(text)))
	if err != nil {
		t.Fatal(err)
	}
	_, left, err := s.Columns()
	if err != nil || len(left) != 1 || left[0].Name != "c22" || !strings.Contains(left[0].Why, "it is list") {
		t.Errorf("%v, left are %v", err, left)
	}
	schema, err := record.NewSchema("t", record.Field{Name: "C4", Type: record.Int64},
		record.Field{Name: "c5", Type: record.String}, record.Field{Name: "none", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Bind(schema)
	said := fmt.Sprint(err)
	if strings.Contains(said, "C4") || !strings.Contains(said, `"c5", which is text: it is uint8`) ||
		!strings.Contains(said, `"none": the stream has no such field`) {
		t.Error(said)
	}
	failed := 0
	for range 3000 {
		damaged := slices.Clone(text[:len(text)-rnd.IntN(2)*rnd.IntN(len(text))])
		for range rnd.IntN(4) {
			if len(damaged) > 0 {
				damaged[rnd.IntN(len(damaged))] ^= byte(1 << rnd.IntN(8))
			}
		}
		_, _, err := lines(t, damaged, nil, -1, 100, rnd.IntN(2) == 0)
		if err != nil {
			failed++
		}
	}
	if failed < 300 {
		t.Errorf("only %d of 3,000 damaged streams are errors", failed)
	}
	_, format, ok := connect.Default.FormatOf(text)
	if !ok || format.OpenStream == nil {
		t.Error("a stream is not known by its beginning")
	}
	_, err = format.Open([]string{"a", "b"})
	if err == nil || !strings.Contains(err.Error(), "expected one file") {
		t.Error(err)
	}
}

// Goal: no bytes make the reader panic or take more memory than there is, and both ways of reading
// say the same.
func FuzzStream(f *testing.F) {
	for round := range uint64(6) {
		f.Add(randomStream(f, rand.New(rand.NewPCG(4, round)), round%2 == 0, streamTypes[round*4:round*4+4]...))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, aside, err := lines(t, text, nil, -1, 64, false)
		want, asideWant, errWant := lines(t, text, nil, -1, 64, true)
		if err == nil && errWant == nil && (!slices.Equal(got, want) || !slices.Equal(aside, asideWant)) {
			t.Fatalf("%q, %q set aside, expected %q, %q", got, aside, want, asideWant)
		}
	})
}

// Goal: which values of a slice are there. Method: slices of an array, which streams do not have.
func TestValidityOfSlices(t *testing.T) {
	build := array.NewInt64Builder(memory.DefaultAllocator)
	for i := range 200 {
		if i%3 == 0 {
			build.AppendNull()
		} else {
			build.Append(int64(i))
		}
	}
	all := build.NewArray()
	for from := range 70 {
		slice := array.NewSlice(all, int64(from), 200)
		var to lent
		var col record.Column
		if !to.validity(&col, slice, true, 5, 100) || to.validity(&col, slice, false, 5, 100) {
			t.Fatal("NULLs are not seen")
		}
		for k := range 100 {
			if col.Null(k) != slice.IsNull(5+k) {
				t.Fatalf("row %d of the slice from %d", k, from)
			}
		}
	}
}
