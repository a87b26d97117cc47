package velo_test

import (
	"context"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/writers"
)

// Goal: wide decimals of a file are read in every form that numbers have there, and no digit is
// lost.
func TestWideFiles(t *testing.T) {
	schema, err := record.NewSchema("t", record.Field{Name: "d", Type: record.DecimalOf(30, 2), Nullable: true})
	if err != nil {
		t.Fatal(err)
	}
	read := func(r *readers.Stream, err error) (values, faults string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		b := record.NewBatch(schema, 100)
		if err := r.Read(t.Context(), b); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		for row := range b.Len() {
			text, null := writers.Text(b, 0, row)
			if null {
				text = "NULL"
			}
			values += text + " "
		}
		for _, x := range b.Rejects() {
			faults += x.Reason.Error() + "\n"
		}
		return values, faults
	}
	values, faults := read(readers.NewNDJSONStream("json", strings.NewReader(`{"d":12345678901234567890.5}
{"d":"-0.25"}
{"d":1e20}
{"d":null}
{"d":1.005}
{"d":1e30}
{"d":true}
{"d":"x"}
`), readers.NDJSONConfig{Schema: schema}))
	if want := "12345678901234567890.50 -0.25 100000000000000000000.00 NULL "; values != want ||
		strings.Count(faults, "\n") != 4 || !strings.Contains(faults, "more than 2 digits after the point") ||
		!strings.Contains(faults, "does not fit decimal(30,2)") {
		t.Errorf("JSON has %s and\n%sexpected %s", values, faults, want)
	}
	config := readers.DelimitedConfig{Schema: schema, Quote: '"', Delimiter: ';'}
	config.DecimalComma = true
	values, faults = read(readers.NewDelimitedStream("csv", strings.NewReader("12345678901234567890,5\n\"-1,25\"\n\n7\n1.5\n"),
		config))
	if want := "12345678901234567890.50 -1.25 NULL 7.00 "; values != want || !strings.Contains(faults, "decimal comma") {
		t.Errorf("CSV has %s and\n%sexpected %s", values, faults, want)
	}
}

// Goal: a program reads the results of wide decimals, and of sums beyond 18 digits, in every Go
// type that they have; engines of several cores and readers agree with package big.
func TestWideResults(t *testing.T) {
	schema, err := record.NewSchema("t", record.Field{Name: "k", Type: record.DecimalOf(20, 0)},
		record.Field{Name: "d", Type: record.DecimalOf(38, 3)}, record.Field{Name: "s", Type: record.DecimalOf(18, 2)})
	if err != nil {
		t.Fatal(err)
	}
	sums, small := map[int64]*big.Int{}, map[int64]*big.Int{}
	var batches []*record.Batch
	for i := range int64(40) {
		b := record.NewBatch(schema, 1000)
		for row := range int64(500) {
			k := (i + row) % 7
			v := big.NewInt(i*1000 + row)
			v.Mul(v, new(big.Int).Exp(big.NewInt(-10), big.NewInt(row%29), nil))
			d, err := record.Decimal128Of(v, 3)
			if err != nil {
				t.Fatal(err)
			}
			b.Add(32)
			b.SetBytes(0, record.Decimal{Unscaled: k}.Wide().AppendBytes(nil))
			b.SetBytes(1, d.AppendBytes(nil))
			b.SetInt64(2, 999_999_999_999_999_000+row)
			if sums[k] == nil {
				sums[k], small[k] = new(big.Int), new(big.Int)
			}
			sums[k].Add(sums[k], v)
			small[k].Add(small[k], big.NewInt(999_999_999_999_999_000+row))
		}
		batches = append(batches, b)
	}
	p, err := query.Compile("SELECT k, sum(d) AS d, sum(s::decimal(38,2)) AS s, sum(s) AS short, count(*) AS n FROM t GROUP BY k",
		schema)
	if err != nil {
		t.Fatal(err)
	}
	var all []record.Reader
	for i := range 4 {
		r, err := readers.NewMemory(schema, batches[10*i:10*i+10], 1)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	e, err := engine.Start(context.Background(), engine.Config{Plan: p, Readers: all, Cores: 2, NoPin: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	snapshot := e.Snapshot()
	defer snapshot.Close()
	wide, err := result.ColumnOf[record.Decimal128](p, "d")
	if err != nil {
		t.Fatal(err)
	}
	float, err2 := result.ColumnOf[float64](p, "d")
	text, err3 := result.ColumnOf[string](p, "s")
	short, err4 := result.ColumnOf[record.Decimal](p, "short")
	if err := errors.Join(err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	for k := range int64(7) {
		key, err := p.Key(record.Decimal128{Low: uint64(k)})
		if err != nil {
			t.Fatal(err)
		}
		row, ok := snapshot.Get(key)
		if !ok {
			t.Fatalf("there is no group %d", k)
		}
		want, _ := record.Decimal128Of(sums[k], 3)
		if got := wide.Of(row); got != want || float.Of(row) != want.Float64() {
			t.Errorf("group %d: the sum is %v, %v, expected %v", k, got, float.Of(row), want)
		}
		wantText, _ := record.Decimal128Of(small[k], 2)
		if got := text.Of(row); got != wantText.String() || !short.Null(row) || !short.Overflow(row) {
			t.Errorf("group %d: the sum is %s, expected %v; the short one is %v", k, got, wantText, short.Of(row))
		}
	}
	if n := len(queried(t, batches[0], 1, "SELECT k, d FROM t WHERE d = '0.000' GROUP BY k, d")); n != 1 {
		t.Errorf("%d groups of 0", n)
	}
}
