package record

import "unsafe"

// asWords is the same memory as unsigned words. int64 and uint64 have the same size and alignment,
// and the result keeps the memory alive as any slice does.
func asWords(s []int64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}

// floatWords is the same memory as the bits of the floats.
func floatWords(s []float64) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}

// Words has the values of a fixed column as words, in place: Int64s, or the bits of Float64s.
func (c *Column) Words() []uint64 {
	if c.Float64s != nil {
		return floatWords(c.Float64s)
	}
	return asWords(c.Int64s)
}
