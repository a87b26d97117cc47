package pages

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// advise asks for huge pages for the whole ones that lie in words. It is advice: an error changes nothing but the speed. The memory is
// the collector's, and stays what it is.
func advise(words []uint64) {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), 8*len(words))
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))
	skip := int(-begin & (hugePage - 1))
	if whole := (len(bytes) - skip) &^ (hugePage - 1); whole > 0 {
		unix.Madvise(bytes[skip:skip+whole], unix.MADV_HUGEPAGE)
	}
}
