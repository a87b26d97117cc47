package record

import (
	"bytes"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// Goal: Types has every type that a column may have. Method: all kinds and all logical types.
func TestTypes(t *testing.T) {
	known := map[Type]bool{}
	for _, typ := range Types() {
		known[typ] = true
		if !typ.Valid() {
			t.Errorf("%v is not valid", typ)
		}
	}
	for kind := range Type(16) {
		for logical := range Type(256) {
			typ := kind | logical<<logicalShift
			if typ.Valid() && !known[typ] {
				t.Errorf("%v is valid, and not in Types", typ)
			}
		}
	}
	if (DecimalOf(3, 1) | 1<<logicalShift).Valid() {
		t.Error("a decimal that is a logical type is valid")
	}
}

// Goal: the texts of logical values are PostgreSQL's, and are read as the same values.
func TestLogicalTexts(t *testing.T) {
	for _, c := range []struct {
		typ  Type
		text string
		want string // how it is written; "" if it is refused
	}{
		{TimeOfDay, "12:30:01.5", "12:30:01.5"},
		{TimeOfDay, " 9:05 ", "09:05:00"},
		{TimeOfDay, "24:00:00", "24:00:00"},
		{TimeOfDay, "23:59:60", "24:00:00"},
		{TimeOfDay, "093015", "09:30:15"},
		{TimeOfDay, "0930", "09:30:00"},
		{TimeOfDay, "12:00 AM", "00:00:00"},
		{TimeOfDay, "12:15pm", "12:15:00"},
		{TimeOfDay, "11:15:01 PM", "23:15:01"},
		{TimeOfDay, "00:00:00.123456789", "00:00:00.123456789"},
		{TimeOfDay, "24:00:01", ""},
		{TimeOfDay, "12:60", ""},
		{TimeOfDay, "12:30Z", ""},
		{TimeOfDay, "12:30+02", ""},
		{TimeOfDay, "13:00 PM", ""},
		{TimeOfDay, "12", ""},
		{TimeOfDay, "", ""},
		{TimeOfDay, "12:3", ""},
		{TimeOfDay, "12:30:", ""},
		{Interval, "1 day 02:03:04.5", "1 day 02:03:04.5"},
		{Interval, "-1 day -02:00:00", "-1 days -02:00:00"},
		{Interval, "36:00:00", "1 day 12:00:00"},
		{Interval, "P1DT2H", "1 day 02:00:00"},
		{Interval, "0", "00:00:00"},
		{Interval, "-00:00:00.000001", "-00:00:00.000001"},
		{Interval, "13343 days 18:47:48.914", "13343 days 18:47:48.914"},
		{Interval, "36500 days 12:34:56.123456789", "36500 days 12:34:56.123456789"},
		{Interval, "1 month", ""},
		{UUID, "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{UUID, "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{UUID, "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{UUID, "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", ""},
		{UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111", ""},
		{UUID, "a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11", ""},
		{UUID, "-a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", ""},
		{UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-", ""},
		{UUID, "a0e-ebc999c0b4ef8bb6d6bb9bd380a11", ""},
		{UUID, "a0-eebc999c0b4ef8bb6d6bb9bd380a11", ""},
		{UUID, "g0eebc999c0b4ef8bb6d6bb9bd380a11", ""},
		{UUID, "", ""},
		{Bytes, `\xDEADbeef`, `\xdeadbeef`},
		{Bytes, `\x`, `\x`},
		{Bytes, `\x de ad`, `\xdead`},
		{Bytes, `abc\\ \000\377`, `\x6162635c2000ff`},
		{Bytes, "", `\x`},
		{Bytes, `\xabc`, ""},
		{Bytes, `\xa b`, ""},
		{Bytes, `\xzz`, ""},
		{Bytes, `a\b`, ""},
		{Bytes, `\400`, ""},
		{Bytes, `\`, ""},
	} {
		word, text, err := ParseLogical([]byte("before"), c.typ, c.text)
		switch {
		case c.want == "" && err == nil:
			t.Errorf("%v %q is read as %q, expected an error", c.typ, c.text, AppendLogical(nil, c.typ, word, text[6:]))
		case c.want == "" && string(text) != "before":
			t.Errorf("%v %q: an error, and the bytes %q", c.typ, c.text, text)
		case c.want == "":
		case err != nil:
			t.Errorf("%v %q: %v", c.typ, c.text, err)
		default:
			got := AppendLogical(nil, c.typ, word, text[6:])
			again, bytesAgain, err := ParseLogical(nil, c.typ, string(got))
			if string(got) != c.want || err != nil || again != word || !bytes.Equal(bytesAgain, text[6:]) {
				t.Errorf("%v %q is written as %q, expected %q; read again: %v", c.typ, c.text, got, c.want, err)
			}
		}
	}
}

type logicalRecord struct {
	Opens  time.Duration  `velo:"opens,time"`
	Took   time.Duration  `velo:"took,interval"`
	ID     [16]byte       `velo:"id"`
	Raw    []byte         `velo:"raw,bytea"`
	Closes *time.Duration `velo:"closes,time"`
	Other  *[16]byte
}

// Goal: structs with logical types are records, and records are such structs, one by one and all
// together.
func TestLogicalStructs(t *testing.T) {
	schema, err := SchemaOf[logicalRecord]("r")
	if err != nil {
		t.Fatal(err)
	}
	want := "r(opens time NOT NULL, took interval NOT NULL, id uuid NOT NULL, raw bytea NOT NULL, closes time, " +
		"other uuid)"
	if got := schema.String(); !strings.Contains(got, "interval") || !strings.Contains(got, "uuid") {
		t.Fatalf("the schema is %v, expected %s", got, want)
	}
	at, id := 3*time.Hour, [16]byte{1, 2, 15: 3}
	in := []logicalRecord{
		{9 * time.Hour, -time.Second, id, []byte{0, 255}, &at, &id},
		{24 * time.Hour, 1, [16]byte{}, nil, nil, nil},
	}
	e, err := EncoderOf[logicalRecord](schema)
	if err != nil {
		t.Fatal(err)
	}
	d, err := DecoderOf[logicalRecord](schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, whole := range []bool{true, false} {
		b := NewBatch(schema, 10)
		if whole {
			if n, err := e.AppendAll(b, in); n != 2 || err != nil {
				t.Fatal(n, err)
			}
		} else {
			for i := range in {
				if ok, err := e.Append(b, &in[i]); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
		}
		for row := range in {
			var out logicalRecord
			for i := range d.Fields() {
				c := b.Column(d.Column(i))
				var word uint64
				var text []byte
				if schema.Field(i).Type.IsFixed() {
					word = uint64(c.Int64s[row])
				} else {
					text = c.View(row)
				}
				if err := d.Set(&out, i, word, text, c.Null(row)); err != nil {
					t.Fatal(err)
				}
			}
			a := in[row]
			same := out.Opens == a.Opens && out.Took == a.Took && out.ID == a.ID && bytes.Equal(out.Raw, a.Raw) &&
				(out.Closes == nil) == (a.Closes == nil) && (out.Other == nil) == (a.Other == nil)
			if !same || a.Closes != nil && (*out.Closes != *a.Closes || *out.Other != *a.Other) {
				t.Errorf("row %d is %+v, expected %+v", row, out, a)
			}
		}
	}
	bad := in[0]
	bad.Opens = 25 * time.Hour
	if _, err := e.Append(NewBatch(schema, 1), &bad); err == nil || !strings.Contains(err.Error(), "time of day") {
		t.Errorf("a time of day of 25 hours: %v", err)
	}
	if _, err := SchemaOf[struct {
		A int32 `velo:"a,interval"`
	}]("x"); err == nil {
		t.Error("an int32 is an interval")
	}
}

// Goal: a struct holds wide decimals: what is encoded is decoded, one by one and all at once, and
// what does not fit is refused. Method: fields of both decimal types, over columns of both.
func TestWideStructs(t *testing.T) {
	type row struct {
		Wide  Decimal128  `velo:"wide,decimal(38,4)"`
		Maybe *Decimal128 `velo:"maybe,decimal(20,2)"`
		Small Decimal128  `velo:"small,decimal(9,2)"`
		Up    Decimal     `velo:"up,decimal(9,2)"`
	}
	s := mustSchema(t, Field{"wide", DecimalOf(38, 4), false}, Field{"maybe", DecimalOf(20, 2), true},
		Field{"small", DecimalOf(9, 2), false}, Field{"up", DecimalOf(30, 3), false})
	e, err := EncoderOf[row](s)
	if err != nil {
		t.Fatal(err)
	}
	large, err := Decimal128Of(new(big.Int).Exp(big.NewInt(-10), big.NewInt(33), nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	rows := []row{
		{large, &Decimal128{High: 5, Low: 7, Scale: 2}, Decimal{Unscaled: -1234, Scale: 2}.Wide(), Decimal{5, 1}},
		{Decimal{Unscaled: 1}.Wide(), nil, Decimal{Unscaled: 7, Scale: 1}.Wide(), Decimal{-3, 0}},
	}
	want := "[-1000000000000000000000000000000000.0000 922337203685477580.87 -12.34 0.500]" +
		"[1.0000 NULL 0.70 -3.000]"
	for how := range 2 {
		b := NewBatch(s, 64)
		if how == 0 {
			n, err := e.AppendAll(b, rows)
			if n != len(rows) || err != nil {
				t.Fatal(n, err)
			}
		} else {
			for i := range rows {
				ok, err := e.Append(b, &rows[i])
				if !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
		}
		got := ""
		for r := range b.Len() {
			var cells []string
			for i := range s.Len() {
				c, typ := b.Column(i), s.Field(i).Type
				switch {
				case c.Null(r):
					cells = append(cells, "NULL")
				case typ.IsWide():
					cells = append(cells, WideDecimal(typ, c.View(r)).String())
				default:
					cells = append(cells, Decimal{c.Int64s[r], uint8(typ.Scale())}.String())
				}
			}
			got += fmt.Sprint(cells)
		}
		if got != want {
			t.Errorf("way %d: %s, expected %s", how, got, want)
		}
		wideDecoded(t, b)
	}
	for _, bad := range []row{
		{Wide: Decimal128{Low: 1, Scale: 5}},
		{Maybe: &Decimal128{High: 1 << 40}},
		{Small: Decimal128{High: 1, Scale: 2}},
		{Up: Decimal{1, 4}},
	} {
		b := NewBatch(s, 64)
		if ok, err := e.Append(b, &bad); ok || err == nil || !strings.Contains(err.Error(), "column") {
			t.Errorf("%+v was appended, %v", bad, err)
		}
	}
}

// wideDecoded decodes the columns of a batch into wide decimals.
func wideDecoded(t *testing.T, b *Batch) {
	t.Helper()
	type named struct {
		Wide  Decimal128  `velo:"wide,decimal(38,4)"`
		Small Decimal128  `velo:"small,decimal(9,2)"`
		Up    Decimal128  `velo:"up,decimal(30,3)"`
		Maybe *Decimal128 `velo:"maybe,decimal(20,2)"`
	}
	d, err := DecoderOf[named](b.Schema())
	if err != nil {
		t.Fatal(err)
	}
	var v named
	for i := range d.Fields() {
		c := b.Column(d.Column(i))
		word, text := uint64(0), []byte(nil)
		if c.Views != nil {
			text = c.View(0)
		} else {
			word = uint64(c.Int64s[0])
		}
		if err := d.Set(&v, i, word, text, false); err != nil {
			t.Fatal(err)
		}
	}
	got := fmt.Sprint(v.Wide, v.Small, v.Up, v.Maybe)
	if want := "-1000000000000000000000000000000000.0000 -12.34 0.500 922337203685477580.87"; got != want {
		t.Errorf("decoded %s, expected %s", got, want)
	}
}
