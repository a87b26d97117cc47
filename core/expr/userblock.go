package expr

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime/debug"
	"strings"
	"time"
	"unsafe"

	"github.com/velo-engine/velo/internal/usercode"
	"github.com/velo-engine/velo/record"
)

// A machine calls a user's function for each stripe once, with slices of Go values. The words of
// bigints and floats are lent as they are; other values are made. Rows that are not to be computed
// are left out: those that have failed, those that the filter has rejected, and those with a NULL,
// unless the function wants to see them. So a function that does not look for NULLs meets none.

// ErrNull is returned by a function of a user for a row whose value is NULL.
var ErrNull = errors.New("NULL")

// A Block is the rows that a user's function is called for. It is valid during the call.
type Block struct {
	spec *UserSpec

	// base is the row of the block that the slices of the present call begin with, and at is the
	// row that the function has said it is at, -1 if it has not.
	base, at int

	// valid has the rows of each argument that are not NULL; nil if none is NULL.
	valid    [MaxUserArgs][]uint64
	ownValid [MaxUserArgs][stripeWords]uint64

	null, failed       [stripeWords]uint64 // rows of the result
	someNull, someFail bool
	err                error // of the last row that has failed

	texts  []string // the results of the present call, if they are texts
	buffer []byte
}

// IsNull says whether an argument is NULL in row i. The arguments are counted from 0. The value of
// such a row is the zero value.
func (b *Block) IsNull(argument, i int) bool {
	valid, i := b.valid[argument], b.base+i
	return valid != nil && valid[i>>6]>>(i&63)&1 == 0
}

// SetNull makes the result of row i NULL.
func (b *Block) SetNull(i int) {
	if b.spec.NotNull {
		b.Fail(i, errors.New("the result is NULL, and the function has said that it never is (NotNull)"))
		return
	}
	i += b.base
	b.null[i>>6] |= 1 << (i & 63)
	b.someNull = true
}

// Fail says that row i cannot be computed. The record is set aside with the error, unless it does
// not count, as in a branch of a CASE that the record does not take.
func (b *Block) Fail(i int, err error) {
	if err == nil {
		err = errors.New("the function has failed, and has not said why")
	}
	i += b.base
	b.failed[i>>6] |= 1 << (i & 63)
	b.someFail, b.err = true, err
}

// At says that the function comes to row i. If it panics then, only this row has failed. A function
// that does not say it is called again, row by row.
func (b *Block) At(i int) { b.at = b.base + i }

// Buffer has the texts that have been made so far. A function appends the next one and gives the
// whole to Take.
func (b *Block) Buffer() []byte { return b.buffer }

// Take makes what was appended to Buffer the text of row i.
func (b *Block) Take(i int, buffer []byte) {
	text := buffer[len(b.buffer):] // panics if the buffer has become shorter, which other texts lie in
	b.buffer = buffer
	b.texts[i] = unsafeString(text)
}

// begin prepares a block of n rows.
func (b *Block) begin() {
	b.base, b.at, b.buffer, b.err = 0, -1, b.buffer[:0], nil
	if b.someNull {
		clear(b.null[:])
	}
	if b.someFail {
		clear(b.failed[:])
	}
	b.someNull, b.someFail = false, false
}

// A caller has the Go values of a block, and calls the function.
type caller interface {
	// load brings the arguments of the rows together; rows is nil for the first n.
	load(args []*vec, n int, rows []int32)
	// lend has the results written to words, if they are words.
	lend(words []uint64)
	// run calls the function for rows from to to-1 of the block.
	run(b *Block, from, to int)
	// store puts the results into the register. rows is nil for the first n.
	store(r *register, b *Block, n int, rows []int32)
	// free forgets the arguments.
	free()
}

// A userBlock is the memory of a node that calls a user's function.
type userBlock struct {
	call *called
	caller
	block Block
	want  [stripeWords]uint64
	rows  []int32
	// says is whether a panic is to say where it was.
	says bool
}

func newUserBlock(c *called, rows int) *userBlock {
	return &userBlock{
		call: c, caller: c.caller(c.types, rows), block: Block{spec: &c.UserSpec}, rows: make([]int32, 0, rows),
	}
}

// vectorUser calls a user's function for a stripe.
func vectorUser(m *Machine, n *node, a []*vec) bool {
	r := registerOf(a[len(a)-1])
	if r.user == nil {
		r.user = newUserBlock(n.aux.(*called), stripeRows)
	}
	u := r.user
	watch := usercode.Start()
	rows, count := u.wanted(m, n, r), m.n
	if rows != nil {
		count = len(rows)
	}
	u.compute(r, a[:len(a)-1], count, rows)
	u.call.meter.Stop(count, watch)
	return true
}

// wanted returns the rows of the stripe that are to be computed; nil for all.
func (u *userBlock) wanted(m *Machine, n *node, r *register) []int32 {
	want := u.want[:words(m.n)]
	fill(want, m.n)
	and(want, r.valid)
	if r.errs != nil {
		andNot(want, r.errs)
	}
	if where := m.p.where; where >= 0 && n.id > where { // an output needs only what passes
		v := &m.regs[where].vec
		and(want, v.bits)
		and(want, v.valid)
		if v.errs != nil {
			andNot(want, v.errs)
		}
	}
	if count(want) == m.n {
		return nil
	}
	u.rows = u.rows[:0]
	for w, word := range want {
		for ; word != 0; word &= word - 1 {
			u.rows = append(u.rows, int32(64*w+bits.TrailingZeros64(word)))
		}
	}
	return u.rows
}

// compute computes the rows of a block and puts the results into the register. The arguments are in
// args; rows is nil for the first n rows.
func (u *userBlock) compute(r *register, args []*vec, n int, rows []int32) {
	b := &u.block
	b.begin()
	if u.call.Nulls {
		for i, v := range args {
			b.valid[i] = nil
			if v.valid != nil {
				b.valid[i] = b.ownValid[i][:]
				pickBits(b.valid[i], v.valid, n, rows)
			}
		}
	}
	var lent []uint64
	if rows == nil {
		lent = r.ownWords
	}
	u.lend(lent)
	u.load(args, n, rows)
	u.runAll(n)
	b.base = 0
	u.store(r, b, n, rows)
	u.free()
	if b.someNull && r.valid == nil {
		r.valid = r.ownValid[:]
		fill(r.valid, stripeRows)
	}
	for w := range words(n) {
		if b.someNull {
			each(b.null[w], w, rows, func(row int) { r.valid[row>>6] &^= 1 << (row & 63) })
		}
		if b.someFail {
			each(b.failed[w], w, rows, func(row int) { r.fail(row) })
		}
	}
}

// pickBits copies the first n bits, or the bits of the given rows.
func pickBits(to, from []uint64, n int, rows []int32) {
	if rows == nil {
		copy(to, from[:words(n)])
		return
	}
	clear(to)
	for i, row := range rows {
		to[i>>6] |= from[row>>6] >> (row & 63) & 1 << (i & 63)
	}
}

// each calls do for the rows whose bits are set in word w of a block.
func each(word uint64, w int, rows []int32, do func(row int)) {
	for ; word != 0; word &= word - 1 {
		i := 64*w + bits.TrailingZeros64(word)
		if rows != nil {
			i = int(rows[i])
		}
		do(i)
	}
}

// runAll computes n rows. A row for which the function panics has failed; why it has is found out
// if that counts.
func (u *userBlock) runAll(n int) {
	b := &u.block
	for from := 0; from < n; {
		p := u.try(from, n)
		if p == nil {
			return
		}
		if b.at < from || b.at >= n { // it has not said where it was, or has said nonsense
			u.oneByOne(from, n, p)
			return
		}
		at := b.at
		b.base, from = 0, at+1
		b.Fail(at, p)
	}
}

// oneByOne finds the rows for which a function panics. If there are none, what it does depends on
// how many rows it is called for, and no result can be trusted.
func (u *userBlock) oneByOne(from, n int, first *usercode.Panic) {
	b, found := &u.block, false
	for i := from; i < n; i++ {
		p := u.try(i, i+1)
		if p != nil {
			b.base, found = i, true
			b.Fail(0, p)
		}
	}
	if !found {
		first.Stack = debug.Stack()
		panic(first)
	}
}

// try calls the function for rows from to to-1 of the block.
func (u *userBlock) try(from, to int) (p *usercode.Panic) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		p = &usercode.Panic{Function: u.call.UserSpec.Name, Value: v}
		if u.says {
			p.Stack = debug.Stack()
		}
	}()
	u.block.base, u.block.at = from, -1
	u.run(&u.block, from, to)
	return nil
}

// A userRow is the memory of the row evaluator.
type userRow struct {
	userBlock
	result register
	args   [MaxUserArgs]vec
	vecs   []*vec
	words  [MaxUserArgs][1]uint64
	valid  [MaxUserArgs][1]uint64
	views  [MaxUserArgs][1]record.View
}

func newUserRow(c *called) *userRow {
	u := &userRow{userBlock: *newUserBlock(c, 1)}
	u.says = true
	u.result.ownWords, u.result.ownViews = make([]uint64, 1), make([]record.View, 1)
	for i := range c.types {
		u.vecs = append(u.vecs, &u.args[i])
	}
	return u
}

// evalUser computes a block of one row.
func evalUser(e *Expr, a []Value) (v Value, err error) {
	c := e.aux.(*called)
	u := c.ones.Get().(*userRow)
	for i, x := range a {
		u.words[i][0], u.valid[i][0] = x.Bits, word(!x.Null)
		u.views[i][0] = record.View{Len: uint32(len(x.Text))}
		u.args[i] = vec{
			words: u.words[i][:], bits: u.words[i][:], views: u.views[i][:], valid: u.valid[i][:],
			bytes: unsafe.Slice(unsafe.StringData(x.Text), len(x.Text)),
		}
	}
	r := &u.result
	r.vec = vec{words: r.ownWords, bits: r.ownBits[:], views: r.ownViews}
	u.compute(r, u.vecs, 1, nil)
	switch {
	case r.errs != nil:
		err = u.block.err
	default:
		v = r.value(e.typ, 0)
		v.Text = strings.Clone(v.Text)
	}
	clear(u.args[:])
	c.ones.Put(u)
	return v, err
}

// A userColumn has the Go values of an argument.
type userColumn[T Input] struct {
	typ    record.Type
	values []T
	own    []T  // values that are not lent
	word   bool // whether a word is a value
}

func userColumnOf[T Input](t record.Type, rows int) userColumn[T] {
	c := userColumn[T]{typ: t, own: make([]T, rows)}
	c.word = t == record.Int64 || t == record.Float64
	return c
}

// load takes the values of the given rows; rows is nil for the first n. The value of a row that is
// NULL is the zero value.
func (c *userColumn[T]) load(v *vec, n int, rows []int32) {
	if c.word && rows == nil && v.valid == nil {
		// T is a type of eight bytes, and there is a word for each row.
		c.values = unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(v.words))), n)
		return
	}
	c.values = c.own[:n]
	switch to := any(c.values).(type) {
	case []int64:
		loadValues(to, v, rows, func(i int) int64 { return int64(v.words[i]) })
	case []float64:
		loadValues(to, v, rows, func(i int) float64 { return math.Float64frombits(v.words[i]) })
	case []bool:
		loadValues(to, v, rows, func(i int) bool { return v.bits[i>>6]>>(i&63)&1 != 0 })
	case []string:
		loadValues(to, v, rows, func(i int) string { return unsafeString(v.text(i)) })
	case []time.Time:
		loadValues(to, v, rows, func(i int) time.Time { return time.Unix(0, int64(v.words[i])).UTC() })
	case []record.Decimal:
		scale := uint8(c.typ.Scale())
		loadValues(to, v, rows, func(i int) record.Decimal {
			return record.Decimal{Unscaled: int64(v.words[i]), Scale: scale}
		})
	}
}

func loadValues[T any](to []T, v *vec, rows []int32, value func(i int) T) {
	for k := range to {
		i := k
		if rows != nil {
			i = int(rows[k])
		}
		if !v.isValid(i) {
			var zero T
			to[k] = zero
			continue
		}
		to[k] = value(i)
	}
}

// free forgets texts: what they refer to may be memory outside of Go's heap, which may be given
// back.
func (c *userColumn[T]) free() {
	if c.typ.Kind() == record.String {
		clear(c.values)
	}
	c.values = nil
}

// A userResult has the results of a block.
type userResult[R Outcome] struct {
	typ    record.Type
	values []R
	own    []R // values that are not lent
}

func userResultOf[R Outcome](s UserSpec, rows int) userResult[R] {
	return userResult[R]{typ: resultOf[R](s), own: make([]R, rows)}
}

// lend has the results written to words, if they are words.
func (o *userResult[R]) lend(words []uint64) {
	o.values = o.own
	switch any(o.values).(type) {
	case []int64, []float64:
		if words != nil { // R is a type of eight bytes
			o.values = unsafe.Slice((*R)(unsafe.Pointer(unsafe.SliceData(words))), len(words))
		}
	}
}

// store puts the results into the register. rows is nil for the first n.
func (o *userResult[R]) store(r *register, b *Block, n int, rows []int32) {
	switch values := any(o.values[:n]).(type) {
	case []int64:
		r.words = r.ownWords
		for k, row := range rows {
			r.ownWords[row] = uint64(values[k])
		}
	case []float64:
		r.words = r.ownWords
		for k, row := range rows {
			r.ownWords[row] = math.Float64bits(values[k])
		}
	case []bool:
		r.bits = r.ownBits[:]
		clear(r.bits)
		for k, v := range values {
			row := rowOf(rows, k)
			r.bits[row>>6] |= word(v) << (row & 63)
		}
	case []time.Time:
		r.words = r.ownWords
		for k, v := range values {
			nanos, ok := usercode.Nanos(v)
			if !ok && !b.lost(k) {
				b.Fail(k, fmt.Errorf("the time %v: %w", v, errRange))
			}
			r.ownWords[rowOf(rows, k)] = uint64(nanos)
		}
	case []record.Decimal:
		r.words = r.ownWords
		for k, v := range values {
			if b.lost(k) {
				continue
			}
			unscaled, err := v.Rescale(o.typ)
			if err != nil {
				b.Fail(k, fmt.Errorf("the decimal %w", err))
			}
			r.ownWords[rowOf(rows, k)] = uint64(unscaled)
		}
	case []string:
		o.storeTexts(values, r, b, rows)
	}
}

// lost says whether row k of the block has no value.
func (b *Block) lost(k int) bool { return (b.null[k>>6]|b.failed[k>>6])>>(k&63)&1 != 0 }

func rowOf(rows []int32, k int) int {
	if rows == nil {
		return k
	}
	return int(rows[k])
}

// storeTexts puts texts into the bytes of the register. Those that Take was given lie there
// already.
func (o *userResult[R]) storeTexts(values []string, r *register, b *Block, rows []int32) {
	bytes := b.buffer
	begin := uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))
	if rows != nil {
		clear(r.ownViews)
	}
	for k, text := range values {
		row := rowOf(rows, k)
		r.ownViews[row] = record.View{}
		switch {
		case b.lost(k) || len(text) == 0:
			continue
		case len(text) > MaxText:
			b.Fail(k, fmt.Errorf("a text of %d bytes, at most %d are made", len(text), MaxText))
			continue
		}
		at := uintptr(unsafe.Pointer(unsafe.StringData(text))) - begin
		if at >= uintptr(len(b.buffer)) || uintptr(len(text)) > uintptr(len(b.buffer))-at {
			at = uintptr(len(bytes))
			bytes = append(bytes, text...)
		}
		r.ownViews[row] = record.View{Off: uint32(at), Len: uint32(len(text))}
	}
	clear(values)
	b.buffer = bytes
	r.views, r.bytes = r.ownViews, bytes
}

// call1, call2 and call3 call functions of one, two and three arguments.
type call1[A Input, R Outcome] struct {
	userResult[R]
	a userColumn[A]
	f func(*Block, []A, []R)
}

func (c *call1[A, R]) load(args []*vec, n int, rows []int32) { c.a.load(args[0], n, rows) }

func (c *call1[A, R]) run(b *Block, from, to int) {
	b.texts, _ = any(c.values[from:to]).([]string)
	c.f(b, c.a.values[from:to:to], c.values[from:to:to])
}

func (c *call1[A, R]) free() { c.a.free() }

type call2[A, B Input, R Outcome] struct {
	userResult[R]
	a userColumn[A]
	b userColumn[B]
	f func(*Block, []A, []B, []R)
}

func (c *call2[A, B, R]) load(args []*vec, n int, rows []int32) {
	c.a.load(args[0], n, rows)
	c.b.load(args[1], n, rows)
}

func (c *call2[A, B, R]) run(b *Block, from, to int) {
	b.texts, _ = any(c.values[from:to]).([]string)
	c.f(b, c.a.values[from:to:to], c.b.values[from:to:to], c.values[from:to:to])
}

func (c *call2[A, B, R]) free() {
	c.a.free()
	c.b.free()
}

type call3[A, B, C Input, R Outcome] struct {
	userResult[R]
	a userColumn[A]
	b userColumn[B]
	c userColumn[C]
	f func(*Block, []A, []B, []C, []R)
}

func (c *call3[A, B, C, R]) load(args []*vec, n int, rows []int32) {
	c.a.load(args[0], n, rows)
	c.b.load(args[1], n, rows)
	c.c.load(args[2], n, rows)
}

func (c *call3[A, B, C, R]) run(b *Block, from, to int) {
	b.texts, _ = any(c.values[from:to]).([]string)
	c.f(b, c.a.values[from:to:to], c.b.values[from:to:to], c.c.values[from:to:to], c.values[from:to:to])
}

func (c *call3[A, B, C, R]) free() {
	c.a.free()
	c.b.free()
	c.c.free()
}
