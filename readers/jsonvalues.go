package readers

import (
	"encoding/binary"
	"unsafe"

	"github.com/velo-engine/velo/record"
)

// jsonTexts reads strings, up to the first value that is missing or no string. The width of c is 2.
func (c *columnText) jsonTexts(views []record.View) int {
	for i := range views {
		begin, end := c.at[2*i]+1, c.at[2*i+1]
		if end == 0 || *(*byte)(unsafe.Add(c.base, begin)) != '"' {
			return i
		}
		views[i] = record.View{Off: begin + 1, Len: end - begin - 2}
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

// present returns how many of the next n values come before the first that is missing. The width of
// c is 2.
func (c *columnText) present(n int) int {
	for i := range n {
		if c.at[2*i+1] == 0 {
			return i
		}
	}
	return n
}

// strings returns how many of the next n values are strings. The width of c is 2.
func (c *columnText) strings(n int) int {
	for i := range n {
		if *(*byte)(unsafe.Add(c.base, c.at[2*i]+1)) != '"' {
			return i
		}
	}
	return n
}
