package record

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
	"unsafe"

	"github.com/velo-engine/velo/internal/int128"
)

// An Encoder appends Go structs to batches. It is for readers and feeds that have their records as
// T. Only one goroutine at a time may use it.
type Encoder[T any] struct {
	schema *Schema
	ops    []encodeOp
	checks []encodeOp // the ops whose values may not fit the column
	texts  []encodeOp // the ops for strings
	nulls  []int      // nullable columns that T has no field for
}

// Only returns an encoder that fills some columns, those whose entry of read is true. Append and
// AppendAll leave the other columns as they are and do not look at their fields: the caller lends
// them to the batch. See Projector.
func (e *Encoder[T]) Only(read []bool) *Encoder[T] {
	only := func(ops []encodeOp) (kept []encodeOp) {
		for _, op := range ops {
			if read[op.column] {
				kept = append(kept, op)
			}
		}
		return kept
	}
	some := &Encoder[T]{schema: e.schema, ops: only(e.ops), checks: only(e.checks), texts: only(e.texts)}
	for _, column := range e.nulls {
		if read[column] {
			some.nulls = append(some.nulls, column)
		}
	}
	return some
}

// The range of seconds since 1970 that a timestamp in nanoseconds can hold.
const (
	minSecond = math.MinInt64/1_000_000_000 + 1
	maxSecond = math.MaxInt64/1_000_000_000 - 1
)

// encodeOp moves one field into one column.
type encodeOp struct {
	structField
	column int
	typ    Type // type of the column
}

// EncoderOf is the encoder of T for a schema; see SchemaOf for what T may hold. Columns are found
// by name. The error lists every fault: a column that T does not have and that is not nullable, or
// a field of another type. Fields without a column are left out.
func EncoderOf[T any](schema *Schema) (*Encoder[T], error) {
	fields, err := columnsOf[T]()
	if err != nil {
		return nil, err
	}
	e := &Encoder[T]{schema: schema}
	byName := map[string]structField{}
	for _, f := range fields {
		byName[f.name] = f
	}
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("record: encoder of %v for schema %q: "+format,
			append([]any{reflect.TypeFor[T](), schema.Name()}, args...)...))
	}
	for i := range schema.Len() {
		c := schema.Field(i)
		f, ok := byName[c.Name]
		switch {
		case !ok && c.Nullable:
			e.nulls = append(e.nulls, i)
			continue
		case !ok:
			fault("no field for column %q, which is not nullable", c.Name)
			continue
		case f.typ != c.Type && !(f.isDecimal() && (c.Type.IsDecimal() || c.Type.IsWide())) &&
			!(f.duration && f.typ == Int64 && c.Type.IsLogical() && c.Type.IsFixed()):
			fault("column %q is %v, %s is %v", c.Name, c.Type, f.path, f.typ)
			continue
		case f.null && !c.Nullable:
			fault("%s may be nil, column %q is not nullable", f.path, c.Name)
			continue
		}
		op := encodeOp{f, i, c.Type}
		e.ops = append(e.ops, op)
		switch {
		case f.source == fromUint && f.bits == 64, f.source == fromTime, f.isDecimal(), c.Type == TimeOfDay,
			f.source == fromInt && c.Type.IsDecimal():
			e.checks = append(e.checks, op)
		}
		if c.Type.Kind() == String && f.source != fromSymbol {
			e.texts = append(e.texts, op)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return e, nil
}

// Append appends one record to a batch of the encoder's schema. If it returns false, the record
// does not fit: return the batch and keep the record for the next one. The error says which value
// does not fit its column (an unsigned integer, a time or a decimal out of range); the record is
// then not appended, and the encoder can go on. Nothing is allocated, except for an error, or for
// text that is larger than an empty batch has room for.
func (e *Encoder[T]) Append(b *Batch, v *T) (bool, error) {
	if b.schema != e.schema {
		return false, fmt.Errorf("record: a batch of schema %v, the encoder is for %v", b.schema, e.schema)
	}
	base := unsafe.Pointer(v) // keeps v alive; the offsets belong to T's own fields
	for i := range e.checks {
		if _, err := e.checks[i].word(base); err != nil {
			return false, err
		}
	}
	text := 0
	for i := range e.texts {
		text += e.texts[i].textLen(base)
	}
	if b.rows == b.limit || !b.roomFor(text) {
		return false, nil
	}
	row := b.rows
	b.rows++
	for i := range e.ops {
		e.ops[i].set(b, base)
	}
	for _, column := range e.nulls {
		b.SetNull(column)
		b.cols[column].zero(row)
	}
	return true, nil
}

// AppendAll appends records until one does not fit, and returns how many it has appended. The error
// says what is wrong with the record after those: go on after it. AppendAll works column by column;
// Append is its twin.
func (e *Encoder[T]) AppendAll(b *Batch, vs []T) (n int, err error) {
	if b.schema != e.schema {
		return 0, fmt.Errorf("record: a batch of schema %v, the encoder is for %v", b.schema, e.schema)
	}
	n = min(len(vs), b.limit-b.rows)
	// full, or one record with more text than the batch has room for
	n = e.textsFit(b, vs[:n])
	if n == 0 && len(vs) > 0 {
		if ok, err := e.Append(b, &vs[0]); !ok {
			return 0, err
		}
		return 1, nil
	}
	// All uses below are in bounds: the first n of vs.
	base, size := unsafe.Pointer(unsafe.SliceData(vs)), unsafe.Sizeof(*new(T))
	for k := range e.checks {
		for i := range n {
			if _, bad := e.checks[k].word(unsafe.Add(base, uintptr(i)*size)); bad != nil {
				n, err = i, bad
				break
			}
		}
	}
	first := b.rows
	for k := range e.ops {
		op := &e.ops[k]
		switch {
		case op.source == fromSymbol && !op.null:
			op.fillSymbols(&b.cols[op.column], first, n, base, size)
			continue
		case op.typ.Kind() == String && !op.null:
			op.fillTexts(b, first, n, base, size)
			continue
		case op.null:
			for i := range n {
				b.rows = first + i + 1
				op.set(b, unsafe.Add(base, uintptr(i)*size))
			}
			continue
		}
		op.fill(&b.cols[op.column], first, n, base, size)
	}
	for _, column := range e.nulls {
		for i := range n {
			b.rows = first + i + 1
			b.SetNull(column)
			b.cols[column].zero(first + i)
		}
	}
	b.rows = first + n
	return n, err
}

// textsFit is how many of the records have texts that fit the batch together.
func (e *Encoder[T]) textsFit(b *Batch, vs []T) int {
	room := cap(b.text) - len(b.text)
	all := 0
	for k := range e.texts {
		all += e.texts[k].length(unsafe.Pointer(unsafe.SliceData(vs)), len(vs), unsafe.Sizeof(*new(T)))
	}
	if all <= room {
		return len(vs)
	}
	for i := range vs {
		for k := range e.texts {
			room -= e.texts[k].textLen(unsafe.Pointer(&vs[i]))
		}
		if room < 0 {
			return i
		}
	}
	return len(vs)
}

// length is the length of all texts of n records of size bytes each.
func (op *encodeOp) length(base unsafe.Pointer, n int, size uintptr) (all int) {
	if op.null {
		for i := range n {
			all += op.textLen(unsafe.Add(base, uintptr(i)*size))
		}
		return all
	}
	if op.source == fromUUID || op.typ.IsWide() {
		return n * uuidBytes // as many bytes as a wide decimal has
	}
	at := unsafe.Add(base, op.offset)
	for i := range n {
		all += len(*(*string)(unsafe.Add(at, uintptr(i)*size))) // a []byte begins as a string does
	}
	return all
}

// set sets the column of the last row from the record at base, which has been checked.
func (op *encodeOp) set(b *Batch, base unsafe.Pointer) {
	c, row := &b.cols[op.column], b.rows-1
	if op.null && op.pointer(base) == nil {
		b.SetNull(op.column)
		c.zero(row)
		return
	}
	switch {
	case op.source == fromSymbol:
		table := symbols.table.Load()
		c.Views[row], c.Bytes = table.views[(*Symbol)(op.pointer(base)).id], table.bytes
	case op.typ.IsWide():
		var bytes [int128.Size]byte
		d, _ := op.decimal(base)
		setText(b, op.column, d.AppendBytes(bytes[:0]))
	case op.typ.Kind() == String:
		setText(b, op.column, op.text(base))
	case op.typ == Float64:
		c.Float64s[row] = op.float(base)
	default:
		c.Int64s[row], _ = op.word(base)
	}
}

// fill sets n rows of a fixed column from the records at base. The records have been checked, and
// are size bytes each. The field is not a pointer.
func (op *encodeOp) fill(c *Column, first, n int, base unsafe.Pointer, size uintptr) {
	at := unsafe.Add(base, op.offset)
	if op.typ == Float64 {
		out := c.Float64s[first : first+n]
		for i := range out {
			if op.bits == 64 {
				out[i] = *(*float64)(unsafe.Add(at, uintptr(i)*size))
			} else {
				out[i] = op.float(unsafe.Add(base, uintptr(i)*size))
			}
		}
		return
	}
	out := c.Int64s[first : first+n]
	switch {
	case op.source == fromBool:
		for i := range out {
			out[i] = int64(*(*uint8)(unsafe.Add(at, uintptr(i)*size))) // a bool is 0 or 1
		}
	case (op.source == fromInt || op.source == fromUint) && op.bits == 64:
		for i := range out {
			out[i] = *(*int64)(unsafe.Add(at, uintptr(i)*size))
		}
	default:
		for i := range out {
			out[i], _ = op.word(unsafe.Add(base, uintptr(i)*size))
		}
	}
}

// fillSymbols is fill for symbols. The column lends the bytes of all symbols.
func (op *encodeOp) fillSymbols(c *Column, first, n int, base unsafe.Pointer, size uintptr) {
	table := symbols.table.Load()
	at := unsafe.Add(base, op.offset)
	views := c.Views[first : first+n]
	for i := range views {
		views[i] = table.views[(*Symbol)(unsafe.Add(at, uintptr(i)*size)).id]
	}
	c.Bytes = table.bytes
}

// fillTexts is fill for texts. They fit the batch; see textsFit.
func (op *encodeOp) fillTexts(b *Batch, first, n int, base unsafe.Pointer, size uintptr) {
	at := unsafe.Add(base, op.offset)
	c := &b.cols[op.column]
	text := b.text
	views := c.Views[first : first+n]
	for i := range views {
		if op.source == fromUUID {
			views[i] = View{uint32(len(text)), uuidBytes}
			text = append(text, (*[uuidBytes]byte)(unsafe.Add(at, uintptr(i)*size))[:]...)
			continue
		}
		if op.typ.IsWide() {
			d, _ := op.decimal(unsafe.Add(base, uintptr(i)*size))
			views[i] = View{uint32(len(text)), int128.Size}
			text = d.AppendBytes(text)
			continue
		}
		s := *(*string)(unsafe.Add(at, uintptr(i)*size)) // a []byte begins as a string does
		views[i] = View{uint32(len(text)), uint32(len(s))}
		text = append(text, s...)
	}
	b.text, c.Bytes = text, text
}

// zero sets the value of a NULL, which nobody reads, to the same value each time.
func (c *Column) zero(row int) {
	switch {
	case c.Int64s != nil:
		c.Int64s[row] = 0
	case c.Float64s != nil:
		c.Float64s[row] = 0
	default:
		c.Views[row] = View{}
	}
}

// pointer is what the field points to, or the field itself if it is not a pointer. base is a *T and
// offset is the offset of a field of T, so the result is in bounds.
func (op *encodeOp) pointer(base unsafe.Pointer) unsafe.Pointer {
	p := unsafe.Add(base, op.offset)
	if op.null {
		return *(*unsafe.Pointer)(p)
	}
	return p
}

// textLen is the length of the text of a record, 0 for a nil pointer.
func (op *encodeOp) textLen(base unsafe.Pointer) int {
	switch {
	case op.pointer(base) == nil:
		return 0
	case op.typ.IsWide():
		return int128.Size
	}
	return len(op.text(base))
}

// decimal is the value of a decimal field with the digits of the column. The field is not nil.
func (op *encodeOp) decimal(base unsafe.Pointer) (Decimal128, error) {
	p := op.pointer(base)
	if op.source == fromWide {
		return (*Decimal128)(p).Rescale(op.typ)
	}
	return (*Decimal)(p).Wide().Rescale(op.typ)
}

func (op *encodeOp) text(base unsafe.Pointer) string {
	p := op.pointer(base)
	switch {
	case p == nil:
		return ""
	case op.source == fromString:
		return *(*string)(p)
	case op.source == fromUUID:
		return unsafe.String((*byte)(p), uuidBytes)
	}
	s := *(*[]byte)(p)
	return unsafe.String(unsafe.SliceData(s), len(s)) // copied before Append returns
}

func (op *encodeOp) float(base unsafe.Pointer) float64 {
	p := op.pointer(base)
	if op.bits == 32 {
		return float64(*(*float32)(p))
	}
	return *(*float64)(p)
}

// word is the value of a fixed column other than a float; a nil pointer is 0.
func (op *encodeOp) word(base unsafe.Pointer) (int64, error) {
	p := op.pointer(base)
	if p == nil {
		return 0, nil
	}
	switch op.source {
	case fromBool:
		if *(*bool)(p) {
			return 1, nil
		}
		return 0, nil
	case fromInt:
		v := signed(p, op.bits)
		if op.typ.IsDecimal() {
			return v, op.checkDigits(v)
		}
		err := CheckLogical(op.typ, uint64(v))
		if err != nil {
			return 0, fmt.Errorf("record: %s: column %q: %w", op.path, op.name, err)
		}
		return v, nil
	case fromUint:
		v := unsigned(p, op.bits)
		if v > math.MaxInt64 {
			return 0, fmt.Errorf("record: %s: %d does not fit column %q, a bigint", op.path, v, op.name)
		}
		return int64(v), nil
	case fromTime:
		t := *(*time.Time)(p)
		if s := t.Unix(); s < minSecond || s > maxSecond {
			return 0, fmt.Errorf("record: %s: %v does not fit column %q, whose years are 1678 to 2261", op.path, t,
				op.name)
		}
		return t.UnixNano(), nil
	default:
		if op.source == fromDecimal && op.typ.IsDecimal() {
			v, err := (*Decimal)(p).Rescale(op.typ)
			if err != nil {
				return 0, fmt.Errorf("record: %s: column %q: %w", op.path, op.name, err)
			}
			return v, nil
		}
		d, err := op.decimal(base)
		if err != nil {
			return 0, fmt.Errorf("record: %s: column %q: %w", op.path, op.name, err)
		}
		return int64(d.Low), nil // of a column of one word, which it fits
	}
}

func (op *encodeOp) checkDigits(v int64) error {
	if limit := Pow10[op.typ.Precision()]; v >= limit || v <= -limit {
		return fmt.Errorf("record: %s: column %q: %d has more digits than %v", op.path, op.name, v, op.typ)
	}
	return nil
}

func signed(p unsafe.Pointer, bits int) int64 {
	switch bits {
	case 8:
		return int64(*(*int8)(p))
	case 16:
		return int64(*(*int16)(p))
	case 32:
		return int64(*(*int32)(p))
	}
	return *(*int64)(p)
}

func unsigned(p unsafe.Pointer, bits int) uint64 {
	switch bits {
	case 8:
		return uint64(*(*uint8)(p))
	case 16:
		return uint64(*(*uint16)(p))
	case 32:
		return uint64(*(*uint32)(p))
	}
	return *(*uint64)(p)
}
