//go:build !amd64 || purego

package readers

// findQuotes does what findQuotesGo says.
func findQuotes(out *quoteMasks, buf []byte, from, n int, q quoting) {
	findQuotesGo(out, buf, from, n, q)
}
