package readers

import (
	"fmt"
	"math"

	"github.com/velo-engine/velo/record"
)

// decoded is the memory of the columns whose bytes differ from what the file has: uuids and byteas.
// Each column has bytes of its own, which are lent to one batch after the other. The twin of a
// column of such a type is a column of texts that SQL casts to it.
type decoded struct {
	fields []field
	memory [][]byte
}

// begin gives a batch the memory, empty.
func (d *decoded) begin(b *record.Batch, fields []field) {
	for col := range fields {
		if fields[col].kind != fieldBytes {
			continue
		}
		if d.memory == nil {
			d.memory = make([][]byte, len(fields))
		}
		b.Column(col).Bytes = d.memory[col][:0]
	}
	d.fields = fields
}

// end keeps what has become of the memory.
func (d *decoded) end(b *record.Batch) {
	for col := range d.memory {
		if d.fields[col].kind == fieldBytes {
			d.memory[col] = b.Column(col).Bytes
		}
	}
}

// logicalValue makes the value of a row of a text.
func (f *field) logicalValue(c *record.Column, row int, text []byte) (err error) {
	if f.kind == fieldBytes {
		return f.decode(c, row, text)
	}
	c.Int64s[row], _, err = f.value(text)
	return err
}

// comma says whether the values are numbers that have a comma instead of the point.
func (f *field) comma() bool { return f.logical.IsWide() && f.rules.DecimalComma }

// decode appends the bytes that a text stands for to a column, and makes them the value of a row.
func (f *field) decode(c *record.Column, row int, text []byte) error {
	at := len(c.Bytes)
	if f.comma() {
		var point [maxNumberBytes]byte
		with, err := withPoint(point[:], text)
		if err != nil {
			return err
		}
		text = with
	}
	_, bytes, err := record.ParseLogical(c.Bytes, f.logical, view(text))
	if err != nil {
		return err
	}
	if len(bytes) > math.MaxUint32 {
		return fmt.Errorf("a batch with more than %d bytes in a column: smaller batches have less", math.MaxUint32)
	}
	c.Bytes = bytes
	c.Views[row] = record.View{Off: uint32(at), Len: uint32(len(bytes) - at)}
	return nil
}
