//go:build !purego

package readers

import "unsafe"

// findQuotes does what findQuotesGo says.
func findQuotes(out *quoteMasks, buf []byte, from, n int, q quoting) {
	if !haveAVX2 {
		findQuotesGo(out, buf, from, n, q)
		return
	}
	_, _ = buf[from+n+pad-1], out[(n+63)/64*2-1]
	findQuotesAVX2(out, unsafe.SliceData(buf), from, n, q.delimiter, q.quote)
}

// findQuotesAVX2 looks at 64 bytes at a time. n is at least 1.
//
//go:noescape
func findQuotesAVX2(out *quoteMasks, buf *byte, from, n int, delimiter, quote byte)
