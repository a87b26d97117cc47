package arrow

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
)

// all has a column of each type, with and without NULL.
func all(t testing.TB) *record.Schema {
	t.Helper()
	var fields []record.Field
	for i, kind := range []record.Type{
		record.Bool, record.Int64, record.Float64, record.String, record.Timestamp, record.DecimalOf(18, 3),
	} {
		fields = append(fields, record.Field{Name: fmt.Sprintf("a%d", i), Type: kind},
			record.Field{Name: fmt.Sprintf("b%d", i), Type: kind, Nullable: true})
	}
	s, err := record.NewSchema("t", fields...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read are the values of a stream, column by column, and its schema as text.
func read(t testing.TB, text []byte) (columns [][]string, schema string) {
	t.Helper()
	r, err := ipc.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	columns = make([][]string, r.Schema().NumFields())
	for _, f := range r.Schema().Fields() {
		schema += fmt.Sprintf("%s %s %t;", f.Name, f.Type, f.Nullable)
	}
	for r.Next() {
		for i, c := range r.RecordBatch().Columns() {
			for row := range c.Len() {
				text := "NULL"
				switch c := c.(type) {
				case *array.Timestamp:
					text = fmt.Sprint(int64(c.Value(row)))
				case *array.Decimal128:
					text = c.Value(row).BigInt().String()
				default:
					text = c.ValueStr(row)
				}
				if c.IsNull(row) {
					text = "NULL"
				}
				columns[i] = append(columns[i], text)
			}
		}
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return columns, schema
}

// Goal: a stream has the schema, the values and the NULLs of the batches. Method: random batches, read
// back by the library.
func TestEncoder(t *testing.T) {
	s := all(t)
	rnd := rand.New(rand.NewPCG(8, 8))
	var text bytes.Buffer
	e := NewEncoder(&text, s)
	want := make([][]string, s.Len())
	for range 5 {
		rows := rnd.IntN(300)
		b := record.NewBatch(s, 1+4*rows) // so that the texts have room
		for range rows {
			b.Add(50)
			for i := range s.Len() {
				f, value := s.Field(i), ""
				switch {
				case f.Nullable && rnd.IntN(3) == 0:
					b.SetNull(i)
					value = "NULL"
				case f.Type == record.Bool:
					v := rnd.IntN(2) == 0
					b.SetBool(i, v)
					value = fmt.Sprint(v)
				case f.Type == record.Float64:
					v := float64(rnd.IntN(1000)) / 8
					b.SetFloat64(i, v)
					value = fmt.Sprint(v)
				case f.Type == record.String:
					value = fmt.Sprint("ä", rnd.IntN(1000))
					b.SetString(i, value)
				default:
					v := rnd.Int64N(2e17) - 1e17
					b.SetInt64(i, v)
					value = fmt.Sprint(v)
				}
				want[i] = append(want[i], value)
			}
		}
		if err := e.Write(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	got, schema := read(t, text.Bytes())
	for i := range want {
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("column %s: %q\nexpected %q", s.Field(i).Name, got[i], want[i])
		}
	}
	if want := "a0 bool false;b0 bool true;a1 int64 false;b1 int64 true;a2 float64 false;b2 float64 true;a3 utf8 false;" +
		"b3 utf8 true;a4 timestamp[ns, tz=UTC] false;b4 timestamp[ns, tz=UTC] true;a5 decimal(18, 3) false;" +
		"b5 decimal(18, 3) true;"; schema != want {
		t.Errorf("%s\nexpected %s", schema, want)
	}
}

// Goal: a stream without a batch has its schema and its end, bad bytes of texts are replaced, and the
// encoding is known by its name and by its media type.
func TestEmpty(t *testing.T) {
	s, err := record.NewSchema("t", record.Field{Name: "s", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	byName, _ := connect.Default.Encoding("arrow")
	byType, ok := connect.Default.EncodingOf(MediaType)
	if !ok || byName.MediaType != MediaType || !byName.Binary {
		t.Fatal(byName, byType)
	}
	var text bytes.Buffer
	if err := byType.New(&text, s).Close(); err != nil {
		t.Fatal(err)
	}
	if got, schema := read(t, text.Bytes()); len(got[0]) != 0 || schema != "s utf8 false;" {
		t.Error(got, schema)
	}
	text.Reset()
	e := byName.New(&text, s)
	b := record.NewBatch(s, 1)
	b.Add(9)
	b.SetString(0, "a\xffb")
	if err := e.Write(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if got, _ := read(t, text.Bytes()); got[0][0] != "a\uFFFDb" {
		t.Errorf("%q", got)
	}
}
