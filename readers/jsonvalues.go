package readers

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// jsonTexts reads strings whose opening quote has been passed, up to the first with an escape.
// There is no escape from the place escapes on. The index has checked that between a string and
// what ends its field there is only its closing quote.
func (c *columnText) jsonTexts(escapes int, views []record.View) int {
	at, width, skip := c.at, c.width, c.skip+1
	for i := range views {
		begin, end := at[i*width]+skip, at[i*width+1]-1
		if int(begin) < escapes && bytes.IndexByte(unsafe.Slice((*byte)(unsafe.Add(c.base, begin)), end-begin), '\\') >=
			0 {
			return i
		}
		views[i] = record.View{Off: begin, Len: end - begin}
	}
	return len(views)
}

// jsonTimes reads timestamps whose opening quote has been passed, up to the first that has an
// unusual form.
func (c *columnText) jsonTimes(d *day, values []int64) int {
	at, width, skip := c.at, c.width, c.skip+1
	for i := range values {
		v, ok := d.time(c.base, at[i*width]+skip, at[i*width+1]-1)
		if !ok {
			return i
		}
		values[i] = v
	}
	return len(values)
}

// jsonNumbers returns how many of the next n fields begin as a JSON number must. After an optional
// minus, that is a digit that is not zero, or a zero without a digit after it.
func (c *columnText) jsonNumbers(n int) int {
	at, width, skip := c.at, c.width, c.skip+1
	for i := range n {
		w := uint32(binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(c.base, at[i*width]+skip))[:]))
		if byte(w) == '-' {
			w >>= 8
		}
		if byte(w)-'1' > 8 && (byte(w) != '0' || byte(w>>8)-'0' <= 9) {
			return i
		}
	}
	return n
}

// jsonBools reads true and false.
func (c *columnText) jsonBools(values []int64) int {
	const (
		trueWord = 't' | 'r'<<8 | 'u'<<16 | 'e'<<24
		alseWord = 'a' | 'l'<<8 | 's'<<16 | 'e'<<24
	)
	at, width, skip := c.at, c.width, c.skip+1
	for i := range values {
		begin, end := at[i*width]+skip, at[i*width+1]
		last := binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(c.base, end-4))[:])
		switch {
		case end-begin == 4 && last == trueWord:
			values[i] = 1
		case end-begin == 5 && last == alseWord && *(*byte)(unsafe.Add(c.base, begin)) == 'f':
			values[i] = 0
		default:
			return i
		}
	}
	return len(values)
}
