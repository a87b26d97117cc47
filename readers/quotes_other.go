//go:build !amd64 || purego

package readers

// findQuotes does what findQuotesGo says.
func findQuotes(out *quoteMasks, buf []byte, from, n int, q quoting) {
	findQuotesGo(out, buf, from, n, q)
}

// steps does what stepsGo says.
func (q quoting) steps(words *structuralWords, masks *quoteMasks, buf []byte, from, n int, state quoteState) (
	after quoteState, odd, stray int,
) {
	return q.stepsGo(words, masks, buf, from, n, state)
}
