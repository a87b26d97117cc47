package parquet

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"unsafe"

	"github.com/parquet-go/parquet-go/format"

	"github.com/velo-engine/velo/record"
)

// dictionary is the dictionary of a column of a row group: its values in the form that batches
// have.
type dictionary struct {
	some bool // there is one
	// adjusted says that the numbers were compared and multiplied, so that places need not be.
	adjusted bool

	ints   []int64
	floats []float64
	views  []record.View
	text   []byte // of views
	memory []byte // of the page
}

// fits says whether the values of a page come from the dictionary, where they were adjusted.
func (d *dictionary) fits(p *page) bool { return p.form == formPlaces && d.adjusted }

// readDictionary reads the dictionary out of a page of n values.
func (c *column) readDictionary(text []byte, n int) error {
	least := fixedSize(c.leaf)
	if c.leaf.physical == format.ByteArray {
		least = 4
	}
	if least == 0 || n > maxPageValues || int64(n)*int64(least) > int64(len(text)) {
		return damaged("it has %d values in %d bytes", n, len(text))
	}
	d := &c.dict
	d.some = true
	p := page{form: formPlain, data: text}
	switch {
	case c.field.Type.Kind() == record.String:
		to := record.Column{Views: sized(d.views, n)}
		if err := c.textsOf(&p, &to, n); err != nil {
			return err
		}
		d.views, d.text = to.Views, to.Bytes
		if c.spellsUUIDs() || c.makesWide() {
			d.text = append([]byte(nil), to.Bytes...) // the scratch is used again
		}
	case c.field.Type == record.Float64 && c.leaf.kind == record.Float64:
		d.floats = sized(d.floats, n)
		return c.floatsOf(&p, d.floats)
	default:
		d.ints = sized(d.ints, n)
		if err := c.integersOf(&p, d.ints); err != nil {
			return err
		}
		d.adjusted = c.adjustAll(d.ints)
	}
	return nil
}

// adjustAll adjusts values if all of them fit.
func (c *column) adjustAll(values []int64) bool {
	if c.plain {
		return true
	}
	for _, v := range values {
		if v < c.least || v > c.greatest {
			return false
		}
	}
	for i := range values {
		values[i] *= c.times
	}
	return true
}

// sized is a slice of n values; they are not kept.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// unfit is a row with a value that does not fit the type of its column.
type unfit struct {
	row    int
	reason error
}

// adjust compares and multiplies the numbers of n rows.
func (c *column) adjust(to *record.Column, n int) (all []unfit) {
	for i, v := range to.Int64s[:n] {
		if v < c.least || v > c.greatest {
			if to.Valid == nil || to.Valid[i>>6]>>(i&63)&1 != 0 {
				all = append(all, unfit{i, c.unfitError(v)})
			}
			to.Int64s[i] = 0
			continue
		}
		to.Int64s[i] = v * c.times
	}
	return all
}

// unfitError says that a number does not fit.
func (c *column) unfitError(v int64) error {
	text := fmt.Sprint(v)
	switch {
	case c.leaf.how.unsigned:
		text = fmt.Sprint(uint64(v))
	case v == math.MaxInt64:
		text = "a number" // what it is did not fit into 64 bits
	}
	switch {
	case c.field.Type == record.TimeOfDay:
		return fmt.Errorf("column %q: %s of %d ns since midnight are not in a day", c.field.Name, text,
			c.leaf.how.times)
	case c.field.Type == record.Interval:
		return fmt.Errorf("column %q: the interval has months, which have no fixed length", c.field.Name)
	case c.leaf.how.times == dayNanos:
		return fmt.Errorf("column %q: %s days since 1970 are not in the years 1678 to 2261", c.field.Name, text)
	case c.leaf.how.times > 0:
		return fmt.Errorf("column %q: %s of %d ns since 1970 are not in the years 1678 to 2261", c.field.Name, text,
			c.leaf.how.times)
	}
	return fmt.Errorf("column %q: %s does not fit %v", c.field.Name, text, c.field.Type)
}

// integersAsFloats reads integers for a column of floats.
func (c *column) integersAsFloats(to *record.Column, values, n int) ([]unfit, error) {
	own := record.Column{Int64s: sized(c.ints, n), Valid: to.Valid}
	c.ints = own.Int64s
	if err := c.integers(own.Int64s[:values]); err != nil {
		return nil, err
	}
	if values < n {
		spread(&own, n, values)
	}
	var all []unfit
	if !c.dict.fits(&c.page) {
		all = c.adjust(&own, n)
	}
	for i, v := range own.Int64s {
		to.Float64s[i] = float64(v)
	}
	return all, nil
}

// integers reads the next values, which are integers, booleans, decimals or times, as they are in
// the file.
func (c *column) integers(to []int64) error {
	if len(to) == 0 {
		return nil
	}
	if c.page.form == formPlaces {
		return c.fromDictionary(to, c.dict.ints)
	}
	return c.integersOf(&c.page, to)
}

func (c *column) fromDictionary(to, values []int64) error { return placed(c, to, values) }

// placed reads the next values out of the dictionary.
func placed[T any](c *column, to, values []T) error {
	place, same, err := c.page.places.same(len(to))
	if err != nil {
		return damaged("%w", err)
	}
	if same {
		if uint(place) >= uint(len(values)) {
			return errPlace(place, len(values))
		}
		for i := range to {
			to[i] = values[place]
		}
		return nil
	}
	places := c.places[:len(to)]
	if err := c.page.places.next(places); err != nil {
		return damaged("%w", err)
	}
	for i, place := range places {
		if uint(place) >= uint(len(values)) {
			return errPlace(place, len(values))
		}
		to[i] = values[place]
	}
	return nil
}

func errPlace(place int32, n int) error {
	return damaged("it has place %d of a dictionary of %d values", uint32(place), n)
}

// bytesOf takes n plain values of size bytes each.
func (p *page) bytesOf(n, size int) ([]byte, error) {
	if n*size > len(p.data) {
		return nil, damaged("%w", errNoValues)
	}
	taken := p.data[:n*size]
	p.data = p.data[n*size:]
	return taken, nil
}

// integersOf reads values that are not in a dictionary.
func (c *column) integersOf(p *page, to []int64) error {
	switch p.form {
	case formInts:
		if p.at+len(to) > len(p.ints) {
			return damaged("%w", errNoValues)
		}
		copy(to, p.ints[p.at:])
		p.at += len(to)
		if c.leaf.physical == format.Int32 && c.leaf.how.unsigned {
			for i, v := range to {
				to[i] = int64(uint32(v))
			}
		}
		return nil
	case formBits:
		return p.bits(to)
	case formRuns:
		places := c.places[:len(to)]
		if err := p.places.next(places); err != nil {
			return damaged("%w", err)
		}
		for i, v := range places {
			to[i] = int64(v)
		}
		return nil
	}
	switch c.leaf.physical {
	case format.Int32:
		data, err := p.bytesOf(len(to), 4)
		if err == nil {
			widen(to, data, c.leaf.how.unsigned)
		}
		return err
	case format.Int64:
		data, err := p.bytesOf(len(to), 8)
		if err == nil {
			copyWords(to, data)
		}
		return err
	case format.Int96:
		data, err := p.bytesOf(len(to), 12)
		for i := 0; err == nil && i < len(to); i++ {
			to[i] = julian(data[12*i:])
		}
		return err
	}
	if c.leaf.kind == record.Interval {
		data, err := p.bytesOf(len(to), intervalBytes)
		for i := 0; err == nil && i < len(to); i++ {
			to[i] = intervalOf(data[intervalBytes*i:])
		}
		return err
	}
	return c.decimals(p, to) // byte arrays
}

// intervalOf reads an interval: months, days and milliseconds, none of which has a sign. It is the
// greatest number if there are months, or too many days.
func intervalOf(data []byte) int64 {
	months, days := binary.LittleEndian.Uint32(data), int64(binary.LittleEndian.Uint32(data[4:]))
	if months != 0 || days > 100_000 {
		return math.MaxInt64
	}
	return days*dayNanos + int64(binary.LittleEndian.Uint32(data[8:]))*1e6
}

// bits reads booleans.
func (p *page) bits(to []int64) error {
	if p.bit+len(to) > 8*len(p.data) {
		return damaged("%w", errNoValues)
	}
	for i := range to {
		at := p.bit + i
		to[i] = int64(p.data[at>>3] >> (at & 7) & 1)
	}
	p.bit += len(to)
	return nil
}

// littleEndian says whether the processor has numbers as files have them.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// copyWords reads 64-bit words.
func copyWords[T int64 | float64](to []T, data []byte) {
	if littleEndian && len(to) > 0 {
		// The bytes of to are written, all of which it has.
		copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(to))), 8*len(to)), data)
		return
	}
	for i := range to {
		word := binary.LittleEndian.Uint64(data[8*i:])
		to[i] = *(*T)(unsafe.Pointer(&word)) // the same 64 bits
	}
}

// widen reads 32-bit integers.
func widen(to []int64, data []byte, unsigned bool) {
	if unsigned {
		for i := range to {
			to[i] = int64(binary.LittleEndian.Uint32(data[4*i:]))
		}
		return
	}
	for i := range to {
		to[i] = int64(int32(binary.LittleEndian.Uint32(data[4*i:])))
	}
}

// julianEpoch is the Julian day of 1970-01-01.
const julianEpoch = 2440588

// julian reads a time of 96 bits: nanoseconds of a day, and the Julian day. It is
// the greatest number if it does not fit.
func julian(data []byte) int64 {
	nanos := int64(binary.LittleEndian.Uint64(data))
	day := int64(binary.LittleEndian.Uint32(data[8:])) - julianEpoch
	if day < -106_000 || day > 106_000 || nanos < 0 || nanos > dayNanos {
		return math.MaxInt64
	}
	return day*dayNanos + nanos
}

// decimals reads decimals of big endian bytes.
func (c *column) decimals(p *page, to []int64) error {
	for i := range to {
		text, err := p.text1(c.leaf)
		if err != nil {
			return err
		}
		to[i] = bigEndian(text)
	}
	return nil
}

// bigEndian is the number of some bytes, the greatest there is if it has more than 64 bits.
func bigEndian(b []byte) int64 {
	if len(b) == 0 {
		return 0
	}
	sign := int64(int8(b[0])) >> 7
	for len(b) > 8 {
		if b[0] != byte(sign) {
			return math.MaxInt64
		}
		b = b[1:]
	}
	if int64(int8(b[0]))>>7 != sign {
		return math.MaxInt64
	}
	v := sign
	for _, d := range b {
		v = v<<8 | int64(d)
	}
	return v
}

// text1 takes one byte array.
func (p *page) text1(l *leaf) ([]byte, error) {
	if p.form == formViews {
		if p.at >= len(p.views) {
			return nil, damaged("%w", errNoValues)
		}
		v := p.views[p.at]
		p.at++
		return p.text[v.Off : v.Off+v.Len], nil
	}
	n := l.size
	if l.physical == format.ByteArray {
		head, err := p.bytesOf(1, 4)
		if err != nil {
			return nil, err
		}
		n = int(binary.LittleEndian.Uint32(head))
		if n > len(p.data) {
			return nil, damaged("a text of %d bytes, and %d are left", n, len(p.data))
		}
	}
	return p.bytesOf(1, n)
}

// floats reads the next values, which are floats.
func (c *column) floats(to []float64) error {
	if len(to) == 0 {
		return nil
	}
	if c.page.form == formPlaces {
		return placed(c, to, c.dict.floats)
	}
	return c.floatsOf(&c.page, to)
}

func (c *column) floatsOf(p *page, to []float64) error {
	if c.leaf.physical == format.Double {
		data, err := p.bytesOf(len(to), 8)
		if err == nil {
			copyWords(to, data)
		}
		return err
	}
	data, err := p.bytesOf(len(to), 4)
	for i := 0; err == nil && i < len(to); i++ {
		to[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
	}
	return err
}

// texts lends the next values, which are texts.
func (c *column) texts(to *record.Column, n int) error {
	if n == 0 {
		to.Bytes = nil
		return nil
	}
	if c.page.form == formPlaces {
		to.Bytes = c.dict.text
		return placed(c, to.Views[:n], c.dict.views)
	}
	return c.textsOf(&c.page, to, n)
}

func (c *column) textsOf(p *page, to *record.Column, n int) error {
	switch {
	case c.spellsUUIDs():
		return c.uuidsOf(p, to, n)
	case c.makesWide():
		return c.widesOf(p, to, n)
	case p.form == formViews:
		if p.at+n > len(p.views) {
			return damaged("%w", errNoValues)
		}
		copy(to.Views, p.views[p.at:p.at+n])
		to.Bytes = p.text
		p.at += n
		return nil
	case c.leaf.physical == format.FixedLenByteArray:
		data, err := p.bytesOf(n, c.leaf.size)
		if err != nil {
			return err
		}
		to.Bytes = data
		for i := range to.Views[:n] {
			to.Views[i] = record.View{Off: uint32(i * c.leaf.size), Len: uint32(c.leaf.size)}
		}
		return nil
	case c.leaf.physical != format.ByteArray:
		return damaged("it has values, and is said to have none") // the column is always NULL
	}
	data, at := p.data, uint64(0)
	for i := range to.Views[:n] {
		if at+4 > uint64(len(data)) {
			return damaged("%w", errNoValues)
		}
		length := binary.LittleEndian.Uint32(data[at:])
		at += 4
		if uint64(length) > uint64(len(data))-at {
			return damaged("a text of %d bytes, and %d are left", length, uint64(len(data))-at)
		}
		to.Views[i] = record.View{Off: uint32(at), Len: length}
		at += uint64(length)
	}
	to.Bytes, p.data = data, data[at:]
	return nil
}

// uuidBytes is how many bytes the text of a UUID has.
const uuidBytes = 36

// spellsUUIDs says whether UUIDs are read as texts, for a column that was declared as text.
func (c *column) spellsUUIDs() bool {
	return c.leaf.kind == record.UUID && c.field.Type == record.String
}

// uuidsOf writes UUIDs as texts.
func (c *column) uuidsOf(p *page, to *record.Column, n int) error {
	c.uuids = sized(c.uuids, n*uuidBytes)
	for i := range to.Views[:n] {
		id, err := p.text1(c.leaf)
		if err != nil {
			return err
		}
		if len(id) != 16 {
			return damaged("a UUID of %d bytes", len(id))
		}
		text := c.uuids[i*uuidBytes : (i+1)*uuidBytes]
		hex.Encode(text, id[:4])
		hex.Encode(text[9:], id[4:6])
		hex.Encode(text[14:], id[6:8])
		hex.Encode(text[19:], id[8:10])
		hex.Encode(text[24:], id[10:])
		text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
		to.Views[i] = record.View{Off: uint32(i * uuidBytes), Len: uuidBytes}
	}
	to.Bytes = c.uuids
	return nil
}
