package expr

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"strings"

	"github.com/velo-engine/velo/record"
)

// headBytes is how many bytes of a text are compared at once.
const headBytes = 8

// beginWith notes which texts of the stripe begin with want, or are equal to it if exactly is set.
// It compares length and first eight bytes without a branch for each row, and then one by one the
// texts that are equal so far. The bits of rows that are NULL are undefined.
func (m *Machine) beginWith(to []uint64, x *vec, want string, exactly bool) {
	var head [headBytes]byte
	n := copy(head[:], want)
	// If want is empty the mask is 0, because a shift by 64 gives 0.
	word, mask := binary.LittleEndian.Uint64(head[:]), ^uint64(0)>>(64-8*n)
	least, most := uint64(len(want)), uint64(math.MaxUint32)
	if exactly {
		most = least
	}
	views, i := x.views[:m.n], 0
	last := len(x.bytes) - headBytes // where the last eight bytes begin
	if blocks := m.n / kernelRows; have512 && blocks > 0 && last >= 0 {
		i = blocks * kernelRows
		if texts512(&to[0], &views[0], &x.bytes[0], blocks, uint64(last), word, mask, least, most) != 0 {
			for j, v := range views[:i] {
				if int(v.Off) > last {
					to[j>>6] = to[j>>6]&^(1<<(j&63)) | m.begins(x, j, want, exactly)<<(j&63)
				}
			}
		}
	}
	for ; i < m.n; i++ {
		v, bit := views[i], uint64(0)
		if off := int(v.Off); off <= last {
			bit = isNothing((binary.LittleEndian.Uint64(x.bytes[off:])^word)&mask) & ^((uint64(v.Len)-least)>>63 | (most-uint64(v.Len))>>63) & 1
		} else {
			bit = m.begins(x, i, want, exactly)
		}
		if i&63 == 0 {
			to[i>>6] = 0
		}
		to[i>>6] = to[i>>6]&^(1<<(i&63)) | bit<<(i&63)
	}
	if len(want) <= headBytes {
		return
	}
	for w := range words(m.n) {
		left := to[w] & x.validWord(w)
		if end := m.n - 64*w; end < 64 {
			left &= 1<<end - 1
		}
		for ; left != 0; left &= left - 1 {
			at := bits.TrailingZeros64(left)
			to[w] &^= (1 - m.begins(x, 64*w+at, want, exactly)) << at
		}
	}
}

// isNothing returns 1 for 0, and 0 for any other word.
func isNothing(w uint64) uint64 { return (w|-w)>>63 ^ 1 }

// begins is beginWith for one row.
func (m *Machine) begins(x *vec, i int, want string, exactly bool) uint64 {
	if !x.isValid(i) {
		return 0
	}
	text := unsafeString(x.text(i))
	return word(strings.HasPrefix(text, want) && (!exactly || len(text) == len(want)))
}

// vectorLike compares bytes if a pattern has no _ and only one piece, because equal characters are
// equal bytes. Other patterns are matched text by text.
func vectorLike(m *Machine, e *node, a []*vec) bool { return m.like(e.aux.(*likePattern), a) }

// like matches all texts of the stripe.
func (m *Machine) like(p *likePattern, a []*vec) bool {
	x, r := a[0], registerOf(a[1])
	r.bits = r.ownBits[:]
	switch p.kind {
	case likeExact:
		m.beginWith(r.bits, x, p.exact, true)
		return true
	case likePrefix:
		m.beginWith(r.bits, x, p.exact, false)
		return true
	}
	clear(r.bits)
	if p.kind == likeWithin && m.within(r.bits, x, p.bytes) {
		return true
	}
	exact := []byte(nil)
	if p.kind != likeOther {
		exact = p.bytes
	}
	for i := range m.n {
		if !x.isValid(i) {
			continue
		}
		text, like := x.text(i), false
		switch p.kind {
		case likeSuffix:
			like = bytes.HasSuffix(text, exact)
		case likeWithin:
			like = bytes.Contains(text, exact)
		default:
			like = p.match(unsafeString(text))
		}
		r.bits[i>>6] |= word(like) << (i & 63)
	}
	return true
}

// within notes which texts of the stripe have want in them. It searches the bytes of all texts at
// once, which is faster than text by text if not most of them have it. It returns false if the
// texts do not lie one after the other, or if there is nothing to look for.
func (m *Machine) within(to []uint64, x *vec, want []byte) bool {
	from, end, ok := m.stretch(x)
	if !ok || len(want) == 0 {
		return false
	}
	last := from
	for i, v := range x.views[:m.n] {
		if v.Len == 0 || !x.isValid(i) {
			continue
		}
		if v.Off < last {
			return false
		}
		last = v.Off + v.Len
	}
	row, at := 0, from
	for {
		found := bytes.Index(x.bytes[at:end], want)
		if found < 0 {
			return true
		}
		at += uint32(found)
		// Find the text that the place is in; it may also lie between two texts, or reach into the
		// next.
		for row < m.n && (!x.isValid(row) || x.views[row].Off+x.views[row].Len <= at) {
			row++
		}
		if row == m.n {
			return true
		}
		v := x.views[row]
		if at >= v.Off && at+uint32(len(want)) <= v.Off+v.Len {
			to[row>>6] |= 1 << (row & 63)
			at = v.Off + v.Len
			row++
			continue
		}
		at++
	}
}

// stretch returns where the texts of the stripe lie in their bytes. ok is false if there is much
// else between them.
func (m *Machine) stretch(x *vec) (from, to uint32, ok bool) {
	from = uint32(len(x.bytes))
	sum := uint64(0)
	for i, v := range x.views[:m.n] {
		if v.Len > 0 && x.isValid(i) {
			from, to = min(from, v.Off), max(to, v.Off+v.Len)
			sum += uint64(v.Len)
		}
	}
	from = min(from, to)
	return from, to, uint64(to-from) <= 2*sum
}

// vectorLetters changes all texts of a stripe at once if they lie next to each other and are ASCII.
// Otherwise the texts are made one by one.
func vectorLetters(m *Machine, e *node, a []*vec) bool {
	x, r := a[0], registerOf(a[1])
	from, to, ok := m.stretch(x)
	if !ok {
		return false
	}
	r.ownBytes = append(r.ownBytes[:0], x.bytes[from:to]...)
	if !changeCase(r.ownBytes, e.op) {
		return false
	}
	for i, v := range x.views[:m.n] {
		if v.Len == 0 || !x.isValid(i) {
			v = record.View{Off: from}
		}
		r.ownViews[i] = record.View{Off: v.Off - from, Len: v.Len}
	}
	r.views, r.bytes = r.ownViews, r.ownBytes
	return true
}

// vectorLength counts bytes instead of characters if all texts are ASCII.
func vectorLength(m *Machine, _ *node, a []*vec) bool {
	x, r := a[0], registerOf(a[1])
	from, to, ok := m.stretch(x)
	if !ok || !isASCII(x.bytes[from:to]) {
		return false
	}
	r.words = r.ownWords[:m.n]
	for i, v := range x.views[:m.n] {
		r.words[i] = uint64(v.Len)
	}
	return true
}

func isASCII(b []byte) bool {
	var all uint64
	for ; len(b) >= headBytes; b = b[headBytes:] {
		all |= binary.LittleEndian.Uint64(b)
	}
	for _, c := range b {
		all |= uint64(c)
	}
	return all&0x8080808080808080 == 0
}
