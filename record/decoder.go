package record

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
	"unsafe"
)

// A Decoder sets the fields of Go structs from the columns of a schema: the opposite of an Encoder.
// Any number of goroutines may use it.
type Decoder[T any] struct{ ops []encodeOp }

// DecoderOf is the decoder of T for a schema; see SchemaOf for what T may hold. Columns are found
// by the names of the fields. For a timestamp, a field may be a time, or an int64 for its
// nanoseconds. The error lists every fault: a field without a column, or a column of another type.
// Columns without a field are left out.
func DecoderOf[T any](schema *Schema) (*Decoder[T], error) {
	fields, err := columnsOf[T]()
	if err != nil {
		return nil, err
	}
	d := &Decoder[T]{}
	var faults []error
	for _, f := range fields {
		i, ok := schema.Index(f.name)
		if !ok {
			faults = append(faults, fmt.Errorf("record: %s: there is no column %q in %v", f.path, f.name, schema))
			continue
		}
		typ := schema.Field(i).Type
		if f.typ != typ && !(f.source == fromDecimal && typ.IsDecimal()) &&
			!(f.source == fromWide && (typ.IsDecimal() || typ.IsWide())) && !(f.typ == Int64 && typ == Timestamp) &&
			!(f.typ == Int64 && f.source == fromInt && f.bits == 64 && typ.IsLogical() && typ.IsFixed()) &&
			!(f.source == fromBytes && typ.Kind() == String) {
			faults = append(faults, fmt.Errorf("record: %s is %v, column %q is %v", f.path, f.typ, f.name, typ))
			continue
		}
		d.ops = append(d.ops, encodeOp{f, i, typ})
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return d, nil
}

// Fields is the number of fields that have a column.
func (d *Decoder[T]) Fields() int { return len(d.ops) }

// Column is the column of field i.
func (d *Decoder[T]) Column(i int) int { return d.ops[i].column }

// Set sets field i of v: to the word of a fixed value (for a double its bits), or to a copy of the
// text. For NULL it sets the zero value, or nil if the field is a pointer. The error says that the
// value does not fit the field, which is then unchanged.
func (d *Decoder[T]) Set(v *T, i int, word uint64, text []byte, null bool) error {
	op := &d.ops[i]
	// In bounds: offset is the offset of a field of T.
	at := unsafe.Add(unsafe.Pointer(v), op.offset)
	if op.null {
		p := (*unsafe.Pointer)(at)
		if null {
			*p = nil
			return nil
		}
		at = op.newValue()
		if err := op.store(at, word, text); err != nil {
			return err
		}
		*p = at
		return nil
	}
	if null {
		switch op.source {
		case fromTime:
			*(*time.Time)(at) = time.Time{}
			return nil
		case fromDecimal:
			*(*Decimal)(at) = Decimal{}
			return nil
		case fromWide:
			*(*Decimal128)(at) = Decimal128{}
			return nil
		}
		word, text = 0, nil
	}
	return op.store(at, word, text)
}

// newValue allocates what a pointer field points to.
func (op *encodeOp) newValue() unsafe.Pointer {
	switch op.source {
	case fromString:
		return unsafe.Pointer(new(string))
	case fromBytes:
		return unsafe.Pointer(new([]byte))
	case fromUUID:
		return unsafe.Pointer(new([uuidBytes]byte))
	case fromTime:
		return unsafe.Pointer(new(time.Time))
	case fromDecimal:
		return unsafe.Pointer(new(Decimal))
	case fromWide:
		return unsafe.Pointer(new(Decimal128))
	}
	return unsafe.Pointer(new(uint64)) // as large and as aligned as any number
}

// store sets the value at a place that has the field's type.
func (op *encodeOp) store(at unsafe.Pointer, word uint64, text []byte) error {
	switch op.source {
	case fromBool:
		*(*bool)(at) = word != 0
	case fromInt, fromUint:
		return op.storeInt(at, int64(word))
	case fromFloat:
		if f := math.Float64frombits(word); op.bits == 32 {
			*(*float32)(at) = float32(f)
		} else {
			*(*float64)(at) = f
		}
	case fromSymbol:
		sym, err := NewSymbol(string(text))
		if err != nil {
			return err
		}
		*(*Symbol)(at) = sym
	case fromString:
		*(*string)(at) = string(text)
	case fromBytes:
		*(*[]byte)(at) = append([]byte(nil), text...)
	case fromUUID:
		id := [uuidBytes]byte{}
		copy(id[:], text)
		*(*[uuidBytes]byte)(at) = id
	case fromTime:
		*(*time.Time)(at) = time.Unix(0, int64(word)).UTC()
	case fromDecimal:
		*(*Decimal)(at) = Decimal{int64(word), uint8(op.typ.Scale())}
	case fromWide:
		d := Decimal{int64(word), uint8(op.typ.Scale())}.Wide()
		if op.typ.IsWide() {
			d = WideDecimal(op.typ, text)
		}
		*(*Decimal128)(at) = d
	}
	return nil
}

func (op *encodeOp) storeInt(at unsafe.Pointer, n int64) error {
	shift := 64 - op.bits
	if op.source == fromInt && n<<shift>>shift != n || op.source == fromUint &&
		(n < 0 || uint64(n)<<shift>>shift != uint64(n)) {
		kind := map[sourceKind]string{fromInt: "int", fromUint: "uint"}[op.source]
		return fmt.Errorf("record: column %q: %d does not fit %s, a %s%d", op.name, n, op.path, kind, op.bits)
	}
	switch op.bits {
	case 8:
		*(*int8)(at) = int8(n)
	case 16:
		*(*int16)(at) = int16(n)
	case 32:
		*(*int32)(at) = int32(n)
	default:
		*(*int64)(at) = n
	}
	return nil
}

// String is the type that the decoder makes.
func (d *Decoder[T]) String() string { return reflect.TypeFor[T]().String() }
