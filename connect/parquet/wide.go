package parquet

import (
	"github.com/parquet-go/parquet-go/format"

	"github.com/velo-engine/velo/internal/int128"
	"github.com/velo-engine/velo/record"
)

// makesWide says whether the column is a wide decimal, whose bytes differ from what the file has.
func (c *column) makesWide() bool { return c.field.Type.IsWide() && !c.leaf.how.always }

// widesOf reads numbers as wide decimals. They have no more digits than the type of the file, which
// the column has room for: see leaf.takes.
func (c *column) widesOf(p *page, to *record.Column, n int) error {
	t, from := c.field.Type, c.leaf.how.scale
	whole := c.leaf.physical == format.Int32 || c.leaf.physical == format.Int64
	if whole {
		c.ints = sized(c.ints, n)
		err := c.integersOf(p, c.ints)
		if err != nil {
			return err
		}
	}
	bytes := c.uuids[:0]
	for i := range to.Views[:n] {
		var x int128.Int
		ok := true
		switch {
		case whole && c.leaf.how.unsigned:
			x = int128.Int{Lo: uint64(c.ints[i])}
		case whole:
			x = int128.Of(c.ints[i])
		default:
			text, err := p.text1(c.leaf)
			if err != nil {
				return err
			}
			x, ok = int128.FromTwos(text)
		}
		if ok {
			x, ok = x.Rescale(from, t.Scale(), int128.Exact)
		}
		if !ok || !x.Fits(t.Precision()) {
			return damaged("a decimal of more digits than its type %v", c.leaf.kind)
		}
		to.Views[i] = record.View{Off: uint32(len(bytes)), Len: int128.Size}
		bytes = x.AppendBytes(bytes)
	}
	c.uuids, to.Bytes = bytes, bytes
	return nil
}
