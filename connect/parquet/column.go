package parquet

import (
	"fmt"
	"io"
	"math/bits"

	"github.com/parquet-go/parquet-go/format"

	"github.com/velo-engine/velo/record"
)

// maxPageValues bounds the values of a page.
const maxPageValues = 1 << 26

// column reads one column of one row group after the other, into columns of batches.
//
//	chunk --window--> page, packed --unpack--> levels, places or values
//	                                 levels  --> Valid
//	                                 places  --> dictionary --> Int64s, Float64s or Views
//	                                 values  ----------------->
//
// Texts are not copied: views are of the page, or of the dictionary. What is lent to a batch is
// valid until the next fill.
type column struct {
	leaf  *leaf
	field record.Field
	// number is the column in the batch, and place the one among the leaves of the file.
	number, place int

	codec  format.CompressionCodec
	window window
	unpack *unpacker
	page   page
	dict   dictionary
	// rows is how many rows of the row group have not been read from pages.
	rows int64
	// pages counts the pages of the row group, for errors.
	pages int

	// scratch for a batch
	valid  []uint64
	levels []int32
	places []int32
	uuids  []byte
	ints   []int64

	least, greatest, times int64
	plain                  bool // nothing need be compared or multiplied
}

// newColumn makes the reader of a column, for batches of up to size rows.
func newColumn(f record.Field, number, size int, u *unpacker) *column {
	return &column{
		field: f, number: number, unpack: u, valid: make([]uint64, (size+63)/64),
		levels: make([]int32, size), places: make([]int32, size),
	}
}

// begin begins with a row group of a file. place is the column's place among the leaves of the
// file.
func (c *column) begin(f *file, in io.ReaderAt, group, place int) error {
	c.leaf, c.place = &f.leaves[place], place
	meta := &f.meta.RowGroups[group].Columns[place].MetaData
	if why := readable(meta.Codec); why != "" {
		return fmt.Errorf("column %q: %s", c.leaf.name, why)
	}
	begin, length := chunkOf(meta)
	c.codec, c.rows, c.pages = meta.Codec, f.meta.RowGroups[group].NumRows, 0
	c.window.begin(in, begin, length)
	c.page.left = 0
	old := c.dict
	c.dict = dictionary{memory: old.memory, ints: old.ints, floats: old.floats, views: old.views}
	c.least, c.greatest, c.times = c.leaf.bounds(c.field.Type)
	c.plain = c.least == -1<<63 && c.greatest == 1<<63-1 && c.times == 1
	return nil
}

// available says how many rows can be read at once. It reads the next page if there is none. There
// must be rows left.
func (c *column) available() (int, error) {
	for c.page.left == 0 {
		if c.rows == 0 {
			return 0, damaged("column %q: it has fewer rows than its row group", c.leaf.name)
		}
		if err := c.nextPage(); err != nil {
			return 0, fmt.Errorf("column %q, page %d: %w", c.leaf.name, c.pages, err)
		}
	}
	return c.page.left, nil
}

// nextPage reads the next page of values, and the dictionary if it comes before.
func (c *column) nextPage() error {
	var h format.PageHeader
	if err := c.window.header(&h); err != nil {
		return err
	}
	body, err := c.window.body(&h)
	if err != nil {
		return err
	}
	c.pages++
	switch {
	case h.Type == format.DictionaryPage && h.DictionaryPageHeader.Valid:
		d := &h.DictionaryPageHeader.V
		if c.dict.some || d.NumValues < 0 || d.Encoding != format.Plain && d.Encoding != plainDictionary {
			return damaged("it is no dictionary that can be")
		}
		text, err := c.unpack.unpack(c.codec, c.dict.memory, body, int(h.UncompressedPageSize))
		if err != nil {
			return err
		}
		if c.codec == format.Uncompressed {
			text = append(grow(c.dict.memory, len(text))[:0], text...) // the window goes on
		}
		c.dict.memory = text
		return c.readDictionary(text, int(d.NumValues))
	case h.Type == format.DataPage && h.DataPageHeader.Valid:
		return c.pageV1(&h, body)
	case h.Type == format.DataPageV2 && h.DataPageHeaderV2.Valid:
		return c.pageV2(&h, body)
	case h.Type == format.IndexPage:
		return nil
	}
	return damaged("it is of type %v, or lacks the header of that", h.Type)
}

// take notes that a page has n rows.
func (c *column) take(n int32) error {
	if n < 0 || int64(n) > c.rows || n > maxPageValues {
		return damaged("it has %d rows, and %d are left of the row group, at most %d are possible", n, c.rows,
			maxPageValues)
	}
	c.page.left = int(n)
	c.rows -= int64(n)
	return nil
}

// pageV1 takes a page whose levels are packed with the values.
func (c *column) pageV1(h *format.PageHeader, body []byte) (err error) {
	head := &h.DataPageHeader.V
	text, err := c.unpack.unpack(c.codec, c.page.unpacked, body, int(h.UncompressedPageSize))
	if err != nil {
		return err
	}
	if c.codec != format.Uncompressed {
		c.page.unpacked = text
	}
	if c.leaf.present > 0 {
		if head.DefinitionLevelEncoding != format.RLE {
			return fmt.Errorf("its levels are written as %v, which was given up", head.DefinitionLevelEncoding)
		}
		if len(text) < 4 {
			return damaged("it has no levels")
		}
		n := int64(text[0]) | int64(text[1])<<8 | int64(text[2])<<16 | int64(text[3])<<24
		if n > int64(len(text))-4 {
			return damaged("its levels have %d bytes", n)
		}
		if err := c.page.levels.begin(text[4:4+n], bits.Len(uint(c.leaf.present))); err != nil {
			return damaged("%w", err)
		}
		text = text[4+n:]
	}
	return c.values(head.Encoding, text, head.NumValues)
}

// pageV2 takes a page whose levels come before the values, and are not packed.
func (c *column) pageV2(h *format.PageHeader, body []byte) (err error) {
	head := &h.DataPageHeaderV2.V
	repeats, levels := int64(head.RepetitionLevelsByteLength), int64(head.DefinitionLevelsByteLength)
	if repeats < 0 || levels < 0 || repeats+levels > int64(len(body)) ||
		repeats+levels > int64(h.UncompressedPageSize) {
		return damaged("its levels have %d and %d bytes", repeats, levels)
	}
	if c.leaf.present > 0 {
		// The values that follow may be unpacked elsewhere, but the levels stay in the window.
		if err := c.page.levels.begin(body[repeats:repeats+levels], bits.Len(uint(c.leaf.present))); err != nil {
			return damaged("%w", err)
		}
	}
	codec := c.codec
	if head.IsCompressed.Valid && !head.IsCompressed.V {
		codec = format.Uncompressed
	}
	size := int(int64(h.UncompressedPageSize) - repeats - levels)
	text, err := c.unpack.unpack(codec, c.page.unpacked, body[repeats+levels:], size)
	if err != nil {
		return err
	}
	if codec != format.Uncompressed {
		c.page.unpacked = text
	}
	return c.values(head.Encoding, text, head.NumValues)
}

func (c *column) values(encoding format.Encoding, text []byte, n int32) error {
	if err := c.take(n); err != nil {
		return err
	}
	isDict := encoding == plainDictionary || encoding == format.RLEDictionary
	if isDict && !c.dict.some && len(text) > 0 {
		return damaged("it has places in a dictionary, and there is none")
	}
	if err := c.page.values(c.leaf, encoding, text, int(n)); err != nil {
		return damaged("%w", err)
	}
	return nil
}

// fill reads the next n rows into a column of a batch. The page must have them. It returns the rows
// whose values do not fit, in ascending order.
func (c *column) fill(to *record.Column, n int) (unfit []unfit, err error) {
	values := n
	to.Valid = nil
	if c.leaf.present > 0 {
		values, err = c.validity(n)
		if err != nil {
			return nil, err
		}
		if values < n {
			to.Valid = c.valid
		}
	}
	c.page.left -= n
	switch c.field.Type.Kind() {
	case record.String:
		err = c.texts(to, values)
	case record.Float64:
		if c.leaf.kind == record.Int64 {
			return c.integersAsFloats(to, values, n)
		}
		err = c.floats(to.Float64s[:values])
	default:
		err = c.integers(to.Int64s[:values])
	}
	if err != nil {
		return nil, err
	}
	if values < n {
		spread(to, n, values)
	}
	if to.Int64s != nil && !c.plain && !c.dict.fits(&c.page) {
		unfit = c.adjust(to, n)
	}
	return unfit, nil
}

// validity reads the levels of n rows and returns how many have a value. If some have none, valid
// says which have.
func (c *column) validity(n int) (values int, err error) {
	level, same, err := c.page.levels.same(n)
	if err != nil {
		return 0, damaged("levels: %w", err)
	}
	if same {
		if int(level) == c.leaf.present {
			return n, nil
		}
		clear(c.valid)
		return 0, nil
	}
	levels := c.levels[:n]
	if err := c.page.levels.next(levels); err != nil {
		return 0, damaged("levels: %w", err)
	}
	present := int32(c.leaf.present)
	for w := 0; len(levels) > 0; w++ {
		word := uint64(0)
		some := levels[:min(64, len(levels))]
		for i, l := range some {
			if l == present {
				word |= 1 << i
			}
		}
		c.valid[w] = word
		values += bits.OnesCount64(word)
		levels = levels[len(some):]
	}
	return values, nil
}

// spread moves values, which lie at the beginning of a column, to the rows that have one.
func spread(to *record.Column, n, values int) {
	switch {
	case to.Int64s != nil:
		spreadTo(to.Int64s[:n], to.Valid, values)
	case to.Float64s != nil:
		spreadTo(to.Float64s[:n], to.Valid, values)
	default:
		spreadTo(to.Views[:n], to.Valid, values)
		for i := range n {
			if to.Valid[i>>6]>>(i&63)&1 == 0 {
				to.Views[i] = record.View{} // a view must lie within the bytes
			}
		}
	}
}

// spreadTo stops at the first rows that all have a value: those are where they belong.
func spreadTo[T any](to []T, valid []uint64, values int) {
	for i := len(to) - 1; i >= values && values > 0; i-- {
		if valid[i>>6]>>(i&63)&1 != 0 {
			values--
			to[i] = to[values]
		}
	}
}
