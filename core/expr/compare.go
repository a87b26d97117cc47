package expr

import (
	"bytes"

	"github.com/velo-engine/velo/record"
)

// kernelRows is how many rows a block of the kernels has. The rows after the last whole block are
// left to Go, because memory after a column must not be read.
const kernelRows = 8

func vectorCompare(m *Machine, e *node, a []*vec) bool {
	r := registerOf(a[2])
	r.bits = r.ownBits[:]
	m.compare(e.op, e.Expr.args, r.bits, a[0], a[1])
	return true
}

// compare notes for which rows of the stripe a comparison of two arguments holds. The bits of rows
// in which an argument is NULL are undefined.
func (m *Machine) compare(op Op, args []*Expr, to []uint64, x, y *vec) {
	switch t := args[0].typ; t.Kind() {
	case record.Bool:
		for w := range words(m.n) {
			b, c := x.bits[w], y.bits[w]
			switch op {
			case Eq:
				to[w] = ^(b ^ c)
			case Ne:
				to[w] = b ^ c
			case Lt:
				to[w] = ^b & c
			case Le:
				to[w] = ^b | c
			case Gt:
				to[w] = b &^ c
			case Ge:
				to[w] = b | ^c
			}
		}
	case record.String:
		m.compareTexts(op, args, to, x, y)
	default:
		compareWords(to, op, t == record.Float64, x.words[:m.n], y.words[:m.n])
	}
}

// compareTexts compares with a constant by its length and its beginning if the comparison is one of
// equality. Otherwise it compares text by text.
func (m *Machine) compareTexts(op Op, args []*Expr, to []uint64, x, y *vec) {
	if op == Eq || op == Ne {
		c, ok := args[1].Const()
		if !ok {
			c, ok = args[0].Const()
			x, y = y, x
		}
		if ok && !c.Null {
			m.beginWith(to, x, c.Text, true)
			if op == Ne {
				for w := range words(m.n) {
					to[w] = ^to[w]
				}
			}
			return
		}
	}
	clear(to)
	for i := range m.n {
		// The text of a NULL has no valid place, so it is not looked at.
		if x.isValid(i) && y.isValid(i) && holds(op, bytes.Compare(x.text(i), y.text(i))) {
			to[i>>6] |= 1 << (i & 63)
		}
	}
}

// compareWords notes for which rows a comparison of two columns holds. Only two comparisons are
// computed, because the order is total, NaN included. The others swap the arguments, negate the
// result, or both.
func compareWords(to []uint64, op Op, float bool, x, y []uint64) {
	var flip uint64
	switch op {
	case Ne, Le, Ge:
		flip = ^flip
	}
	if op == Gt || op == Le {
		x, y = y, x
	}
	equal := op == Eq || op == Ne
	i := 0
	if blocks := len(x) / kernelRows; blocks > 0 && (have512 || haveAVX2) {
		i = blocks * kernelRows
		switch {
		case have512 && equal && float:
			equalFloats512(&to[0], &x[0], &y[0], blocks)
		case have512 && equal:
			equalInts512(&to[0], &x[0], &y[0], blocks)
		case have512 && float:
			lessFloats512(&to[0], &x[0], &y[0], blocks)
		case have512:
			lessInts512(&to[0], &x[0], &y[0], blocks)
		case equal && float:
			equalFloatsAVX2(&to[0], &x[0], &y[0], blocks)
		case equal:
			equalIntsAVX2(&to[0], &x[0], &y[0], blocks)
		case float:
			lessFloatsAVX2(&to[0], &x[0], &y[0], blocks)
		default:
			lessIntsAVX2(&to[0], &x[0], &y[0], blocks)
		}
	}
	for i < len(x) { // the rows that are left, one word of bits at a time
		w, end := i>>6, min(len(x), i|63+1)
		word := wordOf(equal, float, x[i:end], y[i:end]) << (i & 63)
		if i&63 != 0 {
			word |= to[w] & (1<<(i&63) - 1)
		}
		to[w] = word
		i = end
	}
	for w := range to[:words(len(x))] {
		to[w] ^= flip
	}
}

// wordOf is the twin of the kernels, for up to 64 rows.
func wordOf(equal, float bool, x, y []uint64) (w uint64) {
	y = y[:len(x)]
	switch {
	case equal && float:
		for i, v := range x {
			w |= word(ordered(v) == ordered(y[i])) << (i & 63)
		}
	case equal:
		for i, v := range x {
			w |= word(v == y[i]) << (i & 63)
		}
	case float:
		for i, v := range x {
			w |= word(ordered(v) < ordered(y[i])) << (i & 63)
		}
	default:
		for i, v := range x {
			w |= word(int64(v) < int64(y[i])) << (i & 63)
		}
	}
	return w
}

// vectorDistinct is IS DISTINCT FROM. If both arguments have values these must differ; otherwise
// exactly one argument must be NULL.
func vectorDistinct(m *Machine, e *node, a []*vec) bool {
	r := registerOf(a[2])
	r.bits = r.ownBits[:]
	m.compare(Ne, e.Expr.args, r.bits, a[0], a[1])
	for w := range words(m.n) {
		x, y := a[0].validWord(w), a[1].validWord(w)
		r.bits[w] = r.bits[w]&x&y | (x ^ y)
	}
	return true
}

// vectorNullIf makes rows NULL whose arguments are equal.
func vectorNullIf(m *Machine, e *node, a []*vec) bool {
	if e.typ.Kind() == record.String || e.typ == record.Bool {
		return false
	}
	r := registerOf(a[2])
	m.compare(Eq, e.Expr.args, r.ownBits[:], a[0], a[1])
	r.words, r.valid = a[0].words, r.ownValid[:]
	for w := range words(m.n) {
		x := a[0].validWord(w)
		r.valid[w] = x &^ (r.ownBits[w] & a[1].validWord(w))
	}
	return true
}

// vectorExtreme goes through the arguments and takes each value that is greater, or less, than the
// best so far.
func vectorExtreme(m *Machine, e *node, a []*vec) bool {
	if e.typ.Kind() == record.String || e.typ == record.Bool {
		return false
	}
	args, r := a[:len(a)-1], registerOf(a[len(a)-1])
	r.words = r.ownWords
	copy(r.words[:m.n], args[0].words)
	for w := range words(m.n) {
		r.ownValid[w] = args[0].validWord(w)
	}
	op := Gt
	if e.op == Least {
		op = Lt
	}
	var take [stripeWords]uint64
	for _, v := range args[1:] {
		compareWords(take[:], op, e.typ == record.Float64, v.words[:m.n], r.words[:m.n])
		for w := range words(m.n) {
			valid := v.validWord(w)
			take[w] = valid & (take[w] | ^r.ownValid[w])
			r.ownValid[w] |= valid
		}
		if left := m.n & 63; left != 0 {
			take[m.n>>6] &= 1<<left - 1
		}
		merge(r.words[:m.n], v.words, &take)
	}
	if e.nullable {
		r.valid = r.ownValid[:]
	}
	return true
}

// inAtOnce and inTextsAtOnce are the largest numbers of constants for which IN compares all rows
// with one constant after the other. They were found with BenchmarkSQL: a look into a map takes as
// long as some twenty comparisons of words, or five of texts.
const (
	inAtOnce      = 16
	inTextsAtOnce = 6
)

// vectorIn compares with each constant if there are few. Otherwise it looks into the set, row by
// row.
func vectorIn(m *Machine, e *node, a []*vec) bool {
	r, x, s, t := registerOf(a[len(a)-1]), a[0], e.aux.(*set), e.Expr.args[0].typ
	isText := t.Kind() == record.String
	if t == record.Bool {
		return false
	}
	r.bits = r.ownBits[:]
	clear(r.bits)
	var some [stripeWords]uint64
	switch n := len(a) - 2; {
	case !s.many && isText && n <= inTextsAtOnce, !s.many && !isText && n <= inAtOnce:
		for i, c := range e.Expr.args[1:] {
			if v, _ := c.Const(); v.Null {
				continue
			} else if isText {
				m.beginWith(some[:], x, v.Text, true)
			} else {
				compareWords(some[:], Eq, t == record.Float64, x.words[:m.n], a[1+i].words[:m.n])
			}
			orInto(r.bits, some[:])
		}
	case isText:
		for i := range m.n {
			if x.isValid(i) {
				r.bits[i>>6] |= word(s.texts[unsafeString(x.text(i))]) << (i & 63)
			}
		}
	default:
		for i, v := range x.words[:m.n] {
			r.bits[i>>6] |= word(s.words[inWord(t, v)]) << (i & 63)
		}
	}
	r.valid = x.valid
	if s.null {
		r.valid = r.ownValid[:]
		for w := range words(m.n) {
			r.valid[w] = x.validWord(w) & r.bits[w]
		}
	}
	return true
}

// merge copies those words of a column that have a bit in take. take has no bits after the end of
// to.
func merge(to, from []uint64, take *[stripeWords]uint64) {
	i := 0
	from = from[:len(to)]
	if blocks := len(to) / kernelRows; have512 && blocks > 0 {
		merge512(&to[0], &from[0], &take[0], blocks)
		i = blocks * kernelRows
	}
	for ; i < len(to); i++ {
		mask := -(take[i>>6&(stripeWords-1)] >> (i & 63) & 1)
		to[i] = to[i]&^mask | from[i]&mask
	}
}
