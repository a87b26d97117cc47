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

// quoteCarry is what the assembly passes from 64 bytes to the next. It knows the layout.
type quoteCarry struct {
	inside uint64 // all bits set inside of quotes
	first  uint64 // 1 if a quote opens quotes
	second uint64 // 1 right after a quote that closes, unless another one follows
	odd    uint64 // how many bytes there are up to the last doubled quotes
}

// steps does what stepsGo says.
func (q quoting) steps(words *structuralWords, masks *quoteMasks, buf []byte, from, n int, state quoteState) (
	after quoteState, odd, stray int,
) {
	if !haveAVX2 || !haveCLMUL {
		return q.stepsGo(words, masks, buf, from, n, state)
	}
	_, _ = buf[from+n+pad-1], words[(n+63)/64-1]
	for i := 0; i < n; {
		if whole := (n - i) / 64; whole > 0 {
			var c quoteCarry
			switch state {
			case fieldStart:
				c.first = 1
			case inQuotes:
				c.inside = ^uint64(0)
			case afterQuote:
				c.first, c.second = 1, 1
			}
			done := stepQuotesAVX2(&words[i/64], unsafe.SliceData(buf), from+i, whole, q.delimiter, q.quote, &c)
			switch {
			case c.inside != 0:
				state = inQuotes
			case c.second != 0:
				state = afterQuote
			case c.first != 0:
				state = fieldStart
			default:
				state = bareField
			}
			if c.odd != 0 {
				odd = from + i + int(c.odd)
			}
			i += 64 * done
			if i == n {
				break
			}
		}
		// These bytes have a stray quote, or are less than 64.
		m := min(64, n-i)
		findQuotes(masks, buf, from+i, m, q)
		var some oddQuotes
		words[i/64], some, state = step(masks[0], masks[1], m, state)
		if some != 0 {
			odd = from + i + 64
			if some&strayQuotes != 0 {
				stray = odd
			}
		}
		i += 64
	}
	return state, odd, stray
}

// stepQuotesAVX2 is step for n times 64 bytes, up to the first with a stray quote. It returns how
// many times it was. n is at least 1.
//
//go:noescape
func stepQuotesAVX2(words *uint64, buf *byte, from, n int, delimiter, quote byte, c *quoteCarry) (done int)
