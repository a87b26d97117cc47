package readers

import (
	"encoding/binary"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// jsonTexts reads strings that begin behind a quote. The index has seen that nothing but their end is between them and what ends the field.
func (c *columnText) jsonTexts(quoted bool, views []record.View) int {
	if !quoted {
		return 0
	}
	at, width, skip := c.at, c.width, c.skip+1
	for i := range views {
		begin, end := at[i*width]+skip, at[i*width+1]-1
		views[i] = record.View{Off: begin, Len: end - begin}
	}
	return len(views)
}

// jsonTimes reads timestamps that begin behind a quote, up to the first that is not as usual.
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

// jsonNumbers returns how many of the next n fields begin as a JSON number must, behind a minus perhaps: with a digit that is no zero, or a zero
// with no digit behind it.
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
