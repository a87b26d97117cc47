// Package rowbytes has batches as bytes: rows that wait in memory or in a file until somebody takes
// them.
//
// All numbers are little-endian. A parcel is
//
//	u32 bytes of the parcel after these four
//	u32 rows
//	for each column: u8 whether there are NULLs; if so, a bit for each row in words of 64 bits
//	                 the values: a word for each row, or for texts a u32 length for each row and
//	                 then the bytes of all of them
package rowbytes

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/velo-engine/velo/record"
)

// Append appends a batch.
func Append(to []byte, b *record.Batch) []byte {
	begin, rows := len(to), b.Len()
	to = binary.LittleEndian.AppendUint32(to, 0)
	to = binary.LittleEndian.AppendUint32(to, uint32(rows))
	for i := range b.Schema().Len() {
		c := b.Column(i)
		nulls := c.AnyNull(0, rows)
		if !nulls {
			to = append(to, 0)
		} else {
			to = append(to, 1)
			for _, w := range c.Valid[:(rows+63)/64] {
				to = binary.LittleEndian.AppendUint64(to, w)
			}
		}
		if b.Schema().Field(i).Type.Kind() != record.String {
			for _, w := range c.Words()[:rows] {
				to = binary.LittleEndian.AppendUint64(to, w)
			}
			continue
		}
		text := func(row int) []byte {
			if nulls && c.Null(row) {
				return nil // the value of a NULL is never read
			}
			return c.View(row)
		}
		for row := range rows {
			to = binary.LittleEndian.AppendUint32(to, uint32(len(text(row))))
		}
		for row := range rows {
			to = append(to, text(row)...)
		}
	}
	binary.LittleEndian.PutUint32(to[begin:], uint32(len(to)-begin-4))
	return to
}

// ErrBroken says that the bytes are not what Append has made.
var ErrBroken = errors.New("rows that were kept as bytes cannot be read")

// Read makes a batch of the first parcel, and returns the rest of the bytes. The batch is
// valid as long as the bytes.
func Read(schema *record.Schema, from []byte) (b *record.Batch, rest []byte, err error) {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrBroken, what) }
	if len(from) < 8 {
		return nil, nil, bad("it is cut off")
	}
	size, rows := binary.LittleEndian.Uint32(from), int(binary.LittleEndian.Uint32(from[4:]))
	if uint64(size)+4 > uint64(len(from)) || size < 4 {
		return nil, nil, bad(fmt.Sprintf("%d bytes of %d", len(from), size))
	}
	if rows > record.MaxRows {
		return nil, nil, bad(fmt.Sprintf("%d rows", rows))
	}
	from, rest = from[8:4+size], from[4+size:]
	take := func(n int) (taken []byte) {
		if n > len(from) {
			err, n = bad("a column is cut off"), 0
		}
		taken, from = from[:n], from[n:]
		return taken
	}
	b = record.NewBatch(schema, max(rows, 1))
	b.SetLen(rows)
	for i := range schema.Len() {
		c := b.Column(i)
		if flag := take(1); len(flag) > 0 && flag[0] != 0 {
			c.Valid = make([]uint64, (rows+63)/64)
			getWords(c.Valid, take(8*len(c.Valid)))
		}
		if schema.Field(i).Type.Kind() != record.String {
			getWords(c.Words()[:rows], take(8*rows))
			continue
		}
		lengths, end := take(4*rows), uint64(0)
		for row := range len(lengths) / 4 {
			n := binary.LittleEndian.Uint32(lengths[4*row:])
			c.Views[row] = record.View{Off: uint32(end), Len: n}
			end += uint64(n)
		}
		c.Bytes = take(int(end))
	}
	if err == nil && len(from) > 0 {
		err = bad("it has bytes after the last column")
	}
	if err == nil {
		err = b.Check()
	}
	return b, rest, err
}

func getWords(to []uint64, from []byte) {
	for i := range len(from) / 8 {
		to[i] = binary.LittleEndian.Uint64(from[8*i:])
	}
}
