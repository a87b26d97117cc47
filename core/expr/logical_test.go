package expr

import (
	"testing"

	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/record"
)

// Goal: the loops over times, intervals, uuids and byteas give what their twin gives row by row.
// Method: expressions over a batch of all types, many times over, so that a stripe has whole blocks
// and a rest; every row is compared.
func TestLogicalTwins(t *testing.T) {
	few := testgen.AllTypes()
	var rows []int32
	for i := range 1500 {
		rows = append(rows, int32(i*7%few.Len()))
	}
	b := few.CopyRows(rows)
	s := b.Schema()
	column := map[record.Type]*Expr{}
	for i := range s.Len() {
		column[s.Field(i).Type] = Column(s, i)
	}
	at, took, id, raw := column[record.TimeOfDay], column[record.Interval], column[record.UUID], column[record.Bytes]
	made := func(e *Expr, err error) *Expr {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	nanos := made(Retype(took, record.Int64))
	text := column[record.String]
	all := []*Expr{
		made(New(AddClock, at, nanos)), made(Cast(took, record.TimeOfDay)), made(Cast(at, record.Interval)),
		made(Cast(column[record.Timestamp], record.TimeOfDay)), made(Cast(id, record.Bytes)), made(Retype(nanos, record.Interval)),
		made(New(DivNanos, nanos, Int(record.Int64, 7))), made(New(DivNanos, nanos, Int(record.Int64, -3))),
		made(Cast(made(Cast(id, record.String)), record.UUID)), made(Cast(made(Cast(raw, record.String)), record.Bytes)),
		made(Try(made(Cast(text, record.Bytes)))), made(Try(made(Cast(raw, record.UUID)))), made(Encode(raw, "base64")),
		made(Decode(made(Encode(raw, "escape")), "escape")), made(SHA(raw, "256")),
		made(New(SubBytes, raw, Int(record.Int64, 2), Int(record.Int64, 3))), made(New(PositionBytes, raw, raw)),
		made(New(TrimBytes, raw, raw)), made(New(TrimBytesLeft, raw, raw)), made(New(TrimBytesRight, raw, raw)), made(New(Greatest, at, at)),
		made(New(NullIf, took, made(Retype(Int(record.Int64, 1000), record.Interval)))), made(New(Lt, at, at)),
		made(New(Eq, id, made(Retype(Text("0123456789abcdef"), record.UUID)))), made(New(Coalesce, raw, raw)),
		made(Case(made(New(IsNull, at)), raw, made(Cast(id, record.Bytes)))),
	}
	for _, field := range []string{"hour", "minute", "second", "milliseconds", "microseconds", "epoch"} {
		all = append(all, made(Extract(field, at)))
	}
	for _, e := range all {
		p, err := Compile(s, nil, []Output{{Name: "v", Expr: e}})
		if err != nil {
			t.Fatal(err)
		}
		r := p.New(b.Len()).Run(b)
		places := r.AppendRows(nil, 0, r.Batch.Len())
		got := r.Batch.Column(0)
		if len(r.Failed)+len(places) != b.Len() {
			t.Errorf("%v: %d rows and %d that failed, expected %d", e, len(places), len(r.Failed), b.Len())
		}
		for i, row := range places {
			want, err := e.Eval(b, int(row))
			have := columnValue(got, e.Type(), i)
			if err != nil || have.Null != want.Null || !have.Null && compare(e.Type(), have, want) != 0 {
				t.Errorf("%v of row %d is %v, its twin says %v, %v", e, row, have, want, err)
				break
			}
		}
		for _, f := range r.Failed {
			if _, err := e.Eval(b, f.Row); err == nil {
				t.Errorf("%v of row %d fails in the loop alone: %v", e, f.Row, f.Err)
			}
		}
	}
	if _, err := Retype(at, record.String); err == nil {
		t.Error("a word is a text")
	}
	for _, day := range []string{"day", "year", "dow"} {
		if _, err := Extract(day, at); err == nil {
			t.Errorf("a time of day has a %s", day)
		}
	}
}
