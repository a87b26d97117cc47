package pg

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/record"
)

// Goal: every type is a type of PostgreSQL, and a driver reads its texts and its bytes as the same
// value; a parameter of the type is that value. Method: the values of a batch of all types, in both
// formats, through pgx, and back as parameters.
func TestAllTypes(t *testing.T) {
	types := pgtype.NewMap()
	get := func() *pgtype.Map { return types }
	st := &style{zone: time.UTC, utc: true}
	b := testgen.AllTypes()
	for i := range b.Schema().Len() {
		f, c := b.Schema().Field(i), b.Column(i)
		oid := oidOf(f.Type)
		of, ok := types.TypeForOID(oid)
		if !ok || oid == oidText && f.Type != record.String {
			t.Errorf("%v has the OID %d", f.Type, oid)
			continue
		}
		for row := range b.Len() - 1 {
			text := st.appendText(nil, f.Type, c, row)
			binary := appendBinary([]byte{}, f.Type, c, row)
			if n := sizeOf(oid); n >= 0 && len(binary) != int(n) {
				t.Errorf("%v: %d bytes, and RowDescription says %d", f.Type, len(binary), n)
			}
			fromText, err := of.Codec.DecodeValue(types, oid, formatText, text)
			if err != nil {
				t.Errorf("%v %q: %v", f.Type, text, err)
				continue
			}
			fromBinary, err := of.Codec.DecodeValue(types, oid, formatBinary, binary)
			if err != nil || !f.Type.IsDecimal() && !f.Type.IsWide() && fmt.Sprint(fromText) != fmt.Sprint(fromBinary) {
				t.Errorf("%v: %v as text, and in binary %v, %v", f.Type, fromText, fromBinary, err)
			}
			if !f.Type.IsLogical() {
				continue
			}
			for format, raw := range [][]byte{text, binary} {
				v, err := parameter(get, st, 1, oid, int16(format), raw)
				if f.Type.IsWide() {
					_, bytesOf, bad := record.ParseLogical(nil, f.Type, fmt.Sprint(v))
					if err != nil || bad != nil || !bytes.Equal(bytesOf, c.View(row)) {
						t.Errorf("%v: the parameter %q in format %d is %v, %v, %v", f.Type, raw, format, v, err, bad)
					}
					continue
				}
				lit, ok := v.(record.Literal)
				if err != nil || !ok || lit.Type != f.Type {
					t.Errorf("%v: the parameter %q in format %d is %v, %v", f.Type, raw, format, v, err)
					continue
				}
				word, bytesOf, err := record.ParseLogical(nil, f.Type, lit.Text)
				same := err == nil
				if f.Type.IsFixed() {
					same = same && int64(word) == c.Int64s[row]
				} else {
					same = same && bytes.Equal(bytesOf, c.View(row))
				}
				if !same {
					t.Errorf("%v: the parameter %q in format %d is %q, %v", f.Type, raw, format, lit.Text, err)
				}
			}
		}
	}
	for _, bad := range []struct {
		oid uint32
		raw []byte
	}{
		{oidTime, []byte{0, 0, 0, 0x14, 0x1d, 0xd7, 0x60, 1}},
		{oidTime, []byte{1}},
		{oidUUID, []byte("x")},
		{oidInterval, []byte{15: 1}}, // a month
		{oidInterval, []byte{0: 0x7f, 15: 0}},
	} {
		if v, err := parameter(get, st, 1, bad.oid, formatBinary, bad.raw); err == nil {
			t.Errorf("a parameter of type %d is %v", bad.oid, v)
		}
	}
	if got := string(st.copyField(nil, record.Bytes, b.Column(slices.Index(record.Types(), record.Bytes)), 1)); got != `\\x00` {
		t.Errorf("COPY has %s", got)
	}
}
