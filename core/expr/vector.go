package expr

import (
	"math/bits"
	"unsafe"

	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/record"
)

// stripeRows is how many rows a machine computes at a time. It is small enough that the vectors of
// some nodes stay in the first-level cache.
const (
	stripeRows  = 1024
	stripeWords = stripeRows / 64
)

// vec has the values of a node for a stripe, in the slices that its type uses. Bit i%64 of word
// i/64 of a bitmap is row i.
type vec struct {
	words []uint64 // values of fixed types except Bool
	bits  []uint64 // values of Bool
	views []record.View
	bytes []byte
	valid []uint64 // rows that are not NULL; nil if no row is NULL
	errs  []uint64 // rows that have failed; nil if no row has

	// shared says that bytes belong to a table or to a column of the batch, so that they stay: an
	// output refers to them and copies nothing.
	shared bool
}

// A register is the memory of a node.
type register struct {
	vec
	ownWords []uint64
	ownBits  [stripeWords]uint64
	ownViews []record.View
	ownBytes []byte
	ownValid [stripeWords]uint64
	ownErrs  [stripeWords]uint64

	// unit is the factor of a cast to a decimal with more digits after the point, once for each
	// row.
	unit []uint64

	cache *dayCache // what the calendar says; nil until it is needed

	probe *lookup.Probe // looks up keys; nil until it is needed
	user  *userBlock    // calls a user's function; nil until it is needed
	flags []uint64      // booleans as words, for lookups: a stripe for each column of a key
}

func (r *register) init(n *node) {
	switch {
	case n.op == opColumn && n.typ != record.Bool:
		return
	case n.typ.Kind() == record.String:
		r.ownViews = make([]record.View, stripeRows)
	case n.typ != record.Bool:
		r.ownWords = make([]uint64, stripeRows)
	}
	r.vec = vec{words: r.ownWords, views: r.ownViews}
	if n.typ == record.Bool {
		r.bits = r.ownBits[:]
	}
	if n.op == opCast {
		if from := n.Expr.args[0].typ; isNumber(from) && n.typ.IsDecimal() && from != record.Float64 &&
			n.typ.Scale() > from.Scale() {
			r.unit = make([]uint64, stripeRows)
			for i := range r.unit {
				r.unit[i] = uint64(record.Pow10[n.typ.Scale()-from.Scale()])
			}
		}
	}
	if n.op != opConst {
		return
	}
	v := n.value
	for i := range r.words {
		r.words[i] = v.Bits
	}
	for i := range r.bits {
		r.bits[i] = -v.Bits
	}
	r.bytes = []byte(v.Text)
	for i := range r.views {
		r.views[i] = record.View{Len: uint32(len(v.Text))}
	}
	if v.Null {
		r.valid = r.ownValid[:]
	}
}

// step computes one node for the present stripe.
func (m *Machine) step(id int) {
	n, r := &m.p.nodes[id], &m.regs[id]
	switch n.op {
	case opConst:
		return
	case opColumn:
		m.load(n, r)
		return
	}
	m.args = m.args[:0]
	for _, a := range n.args {
		m.args = append(m.args, &m.regs[a].vec)
	}
	r.valid, r.errs, r.shared = nil, nil, false
	switch n.op {
	case opCase:
		m.stepCase(n, r)
		return
	case Coalesce:
		m.stepCoalesce(n, r)
		return
	}
	o := &ops[n.op]
	for _, a := range m.args {
		if a.errs != nil && n.op != opTry {
			orInto(r.errors(), a.errs)
		}
		if a.valid != nil && !o.lenient {
			if r.valid == nil {
				r.valid = r.ownValid[:]
				copy(r.valid, a.valid[:words(m.n)])
			} else {
				and(r.valid[:words(m.n)], a.valid)
			}
		}
	}
	m.args = append(m.args, &r.vec)
	if o.vector == nil || !o.vector(m, n, m.args) {
		m.rowByRow(n, r, m.args[:len(n.args)])
	}
}

// errors returns the bitmap of the register's failed rows. At first no row has failed.
func (r *register) errors() []uint64 {
	if r.errs == nil {
		clear(r.ownErrs[:])
		r.errs = r.ownErrs[:]
	}
	return r.errs
}

// fail notes that a row has failed.
func (r *register) fail(i int) { r.errors()[i>>6] |= 1 << (i & 63) }

// validWord says which of the 64 rows of a word are not NULL.
func (v *vec) validWord(w int) uint64 {
	if v.valid == nil {
		return ^uint64(0)
	}
	return v.valid[w]
}

// isValid says whether row i is not NULL.
func (v *vec) isValid(i int) bool { return v.valid == nil || v.valid[i>>6]>>(i&63)&1 != 0 }

// load makes a stripe of a column the values of a node.
func (m *Machine) load(n *node, r *register) {
	c := m.in.Column(n.column)
	to := m.from + m.n
	r.valid = nil
	if c.Valid != nil {
		r.valid = c.Valid[m.from/64:]
	}
	switch n.typ.Kind() {
	case record.String:
		r.views, r.bytes, r.shared = c.Views[m.from:to], c.Bytes, true
	case record.Bool:
		values := c.Words()[m.from:to]
		for w := range words(m.n) {
			var word uint64
			for i, v := range values[64*w : min(64*w+64, m.n)] {
				word |= v & 1 << i
			}
			r.ownBits[w] = word
		}
		r.bits = r.ownBits[:]
	default:
		r.words = c.Words()[m.from:to]
	}
}

// value returns row i of a vector.
func (v *vec) value(t record.Type, i int) Value {
	switch {
	case !v.isValid(i):
		return Value{Null: true}
	case t.Kind() == record.String:
		return Value{Text: unsafeString(v.text(i))}
	case t == record.Bool:
		return Value{Bits: v.bits[i>>6] >> (i & 63) & 1}
	}
	return Value{Bits: v.words[i]}
}

func (v *vec) text(i int) []byte {
	view := v.views[i]
	return v.bytes[view.Off : uint64(view.Off)+uint64(view.Len)]
}

// unsafeString returns a string that shares its bytes, which must not change while an operation
// uses the string.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// rowByRow computes a node with its function of values.
func (m *Machine) rowByRow(n *node, r *register, args []*vec) {
	o := &ops[n.op]
	r.ownBytes = r.ownBytes[:0]
	if n.typ == record.Bool {
		clear(r.ownBits[:])
		r.bits = r.ownBits[:]
	}
	valid := r.valid
	if n.nullable && valid == nil {
		valid = r.ownValid[:]
		fill(valid, stripeRows)
	}
	for i := range m.n {
		if n.typ.Kind() == record.String {
			r.ownViews[i] = record.View{}
		}
		if valid != nil && valid[i>>6]>>(i&63)&1 == 0 || r.errs != nil && r.errs[i>>6]>>(i&63)&1 != 0 {
			continue
		}
		m.values = m.values[:0]
		for a, v := range args {
			m.values = append(m.values, v.value(n.Expr.args[a].typ, i))
		}
		if n.typ.Kind() == record.String && o.made != nil {
			at := len(r.ownBytes)
			to, err := o.made(n.Expr, r.ownBytes, m.values)
			r.ownBytes = to[:at]
			if err != nil {
				r.fail(i)
				continue
			}
			r.ownBytes = to
			r.ownViews[i] = record.View{Off: uint32(at), Len: uint32(len(to) - at)}
			continue
		}
		v, err := o.eval(n.Expr, m.values)
		switch {
		case err != nil:
			r.fail(i)
		case v.Null:
			valid[i>>6] &^= 1 << (i & 63)
		case n.typ.Kind() == record.String:
			r.ownViews[i] = record.View{Off: uint32(len(r.ownBytes)), Len: uint32(len(v.Text))}
			r.ownBytes = append(r.ownBytes, v.Text...)
		case n.typ == record.Bool:
			r.ownBits[i>>6] |= v.Bits << (i & 63)
		default:
			r.ownWords[i] = v.Bits
		}
	}
	r.valid, r.bytes, r.views, r.words = valid, r.ownBytes, r.ownViews, r.ownWords
}

// vectorRequire shares the values of its argument, so it costs nothing if no row is NULL.
func vectorRequire(m *Machine, _ *node, a []*vec) bool {
	x, r := a[0], registerOf(a[1])
	if x.valid != nil {
		errs := r.errors()
		for w := range words(m.n) {
			errs[w] |= ^x.valid[w]
		}
		if rest := m.n % 64; rest != 0 {
			errs[m.n/64] &= 1<<rest - 1
		}
	}
	r.words, r.bits, r.views, r.bytes, r.shared = x.words, x.bits, x.views, x.bytes, x.shared
	return true
}

// registerOf returns the register that a vector is the first field of.
func registerOf(v *vec) *register { return (*register)(unsafe.Pointer(v)) }

// vectorLogic is AND and OR. A row fails if its first argument has failed, or if the second has
// failed and the first does not decide.
func vectorLogic(m *Machine, e *node, a []*vec) bool {
	x, y := a[0], a[1]
	r := registerOf(a[2])
	r.bits = r.ownBits[:]
	n := words(m.n)
	isOr := e.op == Or
	hasErrs, hasNulls := x.errs != nil || y.errs != nil, x.valid != nil || y.valid != nil
	if !hasErrs && !hasNulls {
		for w := range n {
			if isOr {
				r.bits[w] = x.bits[w] | y.bits[w]
			} else {
				r.bits[w] = x.bits[w] & y.bits[w]
			}
		}
		return true
	}
	at := func(s []uint64, w int, none uint64) uint64 {
		if s == nil {
			return none
		}
		return s[w]
	}
	if hasNulls {
		r.valid = r.ownValid[:]
	}
	if hasErrs {
		r.errors()
	}
	for w := range n {
		xv, yv := at(x.valid, w, ^uint64(0)), at(y.valid, w, ^uint64(0))
		xe, ye := at(x.errs, w, 0), at(y.errs, w, 0)
		xb, yb := x.bits[w], y.bits[w]
		if isOr { // by De Morgan
			xb, yb = ^xb, ^yb
		}
		xFalse, yFalse := xv&^xb&^xe, yv&^yb&^ye
		v := xFalse | yFalse | xv&yv
		b := xv & xb & yv & yb
		if isOr {
			b = ^b
		}
		r.bits[w] = b
		if hasNulls {
			r.valid[w] = v
		}
		if hasErrs {
			r.errs[w] = xe | ye&^xFalse
		}
	}
	return true
}

func vectorNot(m *Machine, _ *node, a []*vec) bool {
	r := registerOf(a[1])
	r.bits = r.ownBits[:]
	for w := range words(m.n) {
		r.bits[w] = ^a[0].bits[w]
	}
	return true
}

func vectorIs(m *Machine, e *node, a []*vec) bool {
	r := registerOf(a[1])
	r.bits = r.ownBits[:]
	for w := range words(m.n) {
		valid := ^uint64(0)
		if a[0].valid != nil {
			valid = a[0].valid[w]
		}
		switch e.op {
		case IsNull:
			r.bits[w] = ^valid
		case IsTrue:
			r.bits[w] = valid & a[0].bits[w]
		default:
			r.bits[w] = valid &^ a[0].bits[w]
		}
	}
	return true
}

// stepCase takes for each row the branch of the first condition that is true.
func (m *Machine) stepCase(n *node, r *register) {
	m.chooseBegin(n, r)
	var left [stripeWords]uint64
	fill(left[:], m.n)
	args := m.args
	for i := 0; i < len(args); i += 2 {
		take := left
		v := args[len(args)-1]
		if i < len(args)-1 {
			c := args[i]
			v = args[i+1]
			if c.errs != nil {
				e := r.errors()
				for w := range left {
					e[w] |= left[w] & c.errs[w]
					left[w] &^= c.errs[w]
				}
				take = left
			}
			and(take[:words(m.n)], c.bits)
			and(take[:words(m.n)], c.valid)
		}
		m.choose(n, r, v, &take)
		andNot(left[:], take[:])
	}
	r.bytes = r.ownBytes
}

// stepCoalesce takes for each row the first argument that is not NULL.
func (m *Machine) stepCoalesce(n *node, r *register) {
	m.chooseBegin(n, r)
	var left [stripeWords]uint64
	fill(left[:], m.n)
	for i, v := range m.args {
		if v.errs != nil {
			e := r.errors()
			for w := range left {
				e[w] |= left[w] & v.errs[w]
				left[w] &^= v.errs[w]
			}
		}
		take := left
		if i < len(m.args)-1 {
			and(take[:words(m.n)], v.valid)
		}
		m.choose(n, r, v, &take)
		andNot(left[:], take[:])
	}
	r.bytes = r.ownBytes
}

// chooseBegin prepares a register for choose.
func (m *Machine) chooseBegin(n *node, r *register) {
	r.words, r.views, r.ownBytes = r.ownWords, r.ownViews, r.ownBytes[:0]
	if n.typ == record.Bool {
		clear(r.ownBits[:])
		r.bits = r.ownBits[:]
	}
	if n.nullable {
		r.valid = r.ownValid[:]
		clear(r.valid)
	}
	if n.typ.Kind() == record.String {
		clear(r.ownViews)
	}
}

// choose copies some rows of a vector into a register.
func (m *Machine) choose(n *node, r *register, v *vec, take *[stripeWords]uint64) {
	for w := range words(m.n) {
		word := take[w]
		if v.errs != nil && word != 0 {
			r.errors()[w] |= word & v.errs[w]
		}
		if r.valid != nil {
			valid := word
			if v.valid != nil {
				valid &= v.valid[w]
			}
			r.valid[w] |= valid
		}
		switch n.typ.Kind() {
		case record.Bool:
			r.bits[w] |= word & v.bits[w]
		case record.String:
			for ; word != 0; word &= word - 1 {
				i := 64*w + bits.TrailingZeros64(word)
				if !v.isValid(i) {
					continue
				}
				r.ownViews[i] = record.View{Off: uint32(len(r.ownBytes)), Len: v.views[i].Len}
				r.ownBytes = append(r.ownBytes, v.text(i)...)
			}
		}
	}
	if n.typ != record.Bool && n.typ.Kind() != record.String {
		merge(r.ownWords[:m.n], v.words, take)
	}
}

// fill sets the first n bits and clears the rest.
func fill(b []uint64, n int) {
	for w := range b {
		switch left := n - 64*w; {
		case left >= 64:
			b[w] = ^uint64(0)
		case left > 0:
			b[w] = 1<<left - 1
		default:
			b[w] = 0
		}
	}
}

// and, andNot and orInto change the first bitmap, whose length says how many words they take. For
// and, a nil bitmap means that all bits are set; for orInto it means that none is.
func and(b, c []uint64) {
	if c == nil {
		return
	}
	for w := range b {
		b[w] &= c[w]
	}
}

func andNot(b, c []uint64) {
	for w := range b {
		b[w] &^= c[w]
	}
}

func orInto(b, c []uint64) {
	if c == nil {
		return
	}
	for w := range min(len(b), len(c)) {
		b[w] |= c[w]
	}
}

func count(b []uint64) (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// floats and ints return the same memory as another type. All three types have eight bytes.
func floats(w []uint64) []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(w))), len(w))
}

func ints(w []uint64) []int64 {
	return unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(w))), len(w))
}
