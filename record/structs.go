package record

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// structField is a field of a Go struct that is a column.
type structField struct {
	name   string
	path   string // as Go writes it, for messages
	offset uintptr
	source sourceKind
	bits   int // size of an integer or a float
	typ    Type
	null   bool // the field is a pointer: nil is NULL
	// duration says that the field is a time.Duration, which may be an interval or a time of day
	// without a tag that says so, if the column is one.
	duration bool
}

// sourceKind is the kind of value at the offset.
type sourceKind uint8

const (
	fromBool sourceKind = iota
	fromInt
	fromUint
	fromFloat
	fromString
	fromBytes
	fromTime
	fromDecimal
	fromSymbol
	fromUUID // [16]byte
	fromWide // Decimal128
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
	decimalType  = reflect.TypeFor[Decimal]()
	wideType     = reflect.TypeFor[Decimal128]()
	symbolType   = reflect.TypeFor[Symbol]()
)

// structFields finds the columns of a struct, and all faults.
func structFields(t reflect.Type, base uintptr, path string) (fields []structField, faults []error) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("velo")
		if tag == "-" {
			continue
		}
		at := path + "." + f.Name
		if f.Anonymous && f.Type.Kind() == reflect.Struct && tag == "" && f.Type != timeType &&
			f.Type != decimalType && f.Type != wideType && f.Type != symbolType {
			inner, more := structFields(f.Type, base+f.Offset, at)
			fields, faults = append(fields, inner...), append(faults, more...)
			continue
		}
		if !f.IsExported() {
			continue
		}
		sf, err := structFieldOf(f, base, at, tag)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		fields = append(fields, sf)
	}
	return fields, faults
}

func structFieldOf(f reflect.StructField, base uintptr, at, tag string) (sf structField, err error) {
	fault := func(format string, args ...any) (structField, error) {
		return sf, fmt.Errorf("record: %s: "+format, append([]any{at}, args...)...)
	}
	name, option, _ := strings.Cut(tag, ",")
	if name == "" {
		name = snakeCase(f.Name)
	}
	sf = structField{name: name, path: at, offset: base + f.Offset}
	var decimal Type
	logical := logicalTags[option]
	if option != "" && logical == 0 {
		decimal, err = parseDecimalTag(option)
		if err != nil {
			return fault("the tag %q: %w", tag, err)
		}
	}
	t := f.Type
	if t.Kind() == reflect.Pointer {
		sf.null = true
		t = t.Elem()
	}
	switch k := t.Kind(); {
	case t == timeType:
		sf.source, sf.typ = fromTime, Timestamp
	case t == decimalType || t == wideType:
		sf.source, sf.typ = fromDecimal, decimal
		like := ",decimal(18,2)"
		if t == wideType {
			sf.source, like = fromWide, ",decimal(38,2)"
		}
		if decimal == 0 {
			return fault("a record.%s needs its type in the tag, like `velo:%q`", t.Name(), name+like)
		}
	case t == symbolType:
		sf.source, sf.typ = fromSymbol, String
	case k == reflect.Bool:
		sf.source, sf.typ = fromBool, Bool
	case k >= reflect.Int && k <= reflect.Int64:
		sf.source, sf.typ, sf.bits = fromInt, Int64, t.Bits()
	case k >= reflect.Uint && k <= reflect.Uint64:
		sf.source, sf.typ, sf.bits = fromUint, Int64, t.Bits()
	case k == reflect.Float32 || k == reflect.Float64:
		sf.source, sf.typ, sf.bits = fromFloat, Float64, t.Bits()
	case k == reflect.String:
		sf.source, sf.typ = fromString, String
	case k == reflect.Array && t.Len() == uuidBytes && t.Elem().Kind() == reflect.Uint8:
		sf.source, sf.typ = fromUUID, UUID
	case k == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		sf.source, sf.typ = fromBytes, String
	default:
		return fault("a %v is not a column; expected a bool, an integer, a float, a string, []byte, [16]byte, "+
			"time.Time, record.Decimal, record.Decimal128, record.Symbol or a pointer to one; the tag `velo:\"-\"` "+
			"leaves a field out", f.Type)
	}
	sf.duration = t == durationType
	if logical != 0 {
		fits := logical.IsFixed() && sf.source == fromInt && sf.bits == 64 ||
			logical == Bytes && sf.source == fromBytes || logical == UUID && sf.source == fromUUID
		if !fits {
			return fault("the tag %q: time and interval are for time.Duration and int64 in nanoseconds, bytea for "+
				"[]byte and uuid for [16]byte, not for %v", tag, f.Type)
		}
		sf.typ = logical
	}
	if decimal != 0 && !sf.isDecimal() {
		switch {
		case sf.source != fromInt:
			return fault("the tag %q is for record.Decimal, record.Decimal128 and signed integers, not %v", tag, f.Type)
		case decimal.IsWide():
			return fault("the tag %q: more than %d digits need a record.Decimal128", tag, MaxPrecision)
		}
		sf.typ = decimal // the integer holds units of 10^-scale
	}
	return sf, nil
}

// isDecimal says whether the field is a decimal, of one word or wide.
func (f *structField) isDecimal() bool { return f.source == fromDecimal || f.source == fromWide }

// logicalTags are the options of the tag velo that say which logical type a column has.
var logicalTags = map[string]Type{"time": TimeOfDay, "interval": Interval, "uuid": UUID, "bytea": Bytes}

// parseDecimalTag reads decimal(p,s).
func parseDecimalTag(s string) (Type, error) {
	inner, ok1 := strings.CutPrefix(s, "decimal(")
	inner, ok2 := strings.CutSuffix(inner, ")")
	p, sc, _ := strings.Cut(inner, ",")
	precision, err1 := strconv.Atoi(strings.TrimSpace(p))
	scale, err2 := strconv.Atoi(strings.TrimSpace(sc))
	if !ok1 || !ok2 || err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q is not an option, expected decimal(precision,scale), time, interval, uuid or bytea", s)
	}
	t := DecimalOf(precision, scale)
	if !t.Valid() {
		return 0, fmt.Errorf("%s: a decimal has a precision of 1..%d and a scale of 0..precision", s, MaxDigits)
	}
	return t, nil
}

// snakeCase is the name of a column for a Go field without a tag: UserID becomes user_id.
func snakeCase(s string) string {
	var b strings.Builder
	runes := []rune(s)
	for i, r := range runes {
		if unicode.IsUpper(r) {
			if i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
				b.WriteByte('_')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// columnsOf are the columns of T.
func columnsOf[T any]() ([]structField, error) {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("record: %v is not a struct", t)
	}
	fields, faults := structFields(t, 0, t.String())
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	return fields, nil
}

// SchemaOf is the schema of the records that T, a struct, holds. name stands for the source. The
// columns are the exported fields, in order, including the fields of embedded structs:
//
//	bool                     boolean
//	integers of any size     bigint; with the tag decimal(p,s) a signed one holds units of 10^-s
//	time.Duration, int64     with the tag interval an interval, with the tag time a time of day,
//	                         both in nanoseconds; without a tag a bigint
//	float32, float64         double precision
//	string, []byte           text; with the tag bytea, []byte is a bytea
//	[16]byte                 uuid
//	record.Symbol            text that repeats
//	time.Time                timestamp
//	record.Decimal           decimal(p,s) of up to 18 digits, from the tag
//	record.Decimal128        decimal(p,s) of up to 38 digits, from the tag
//	a pointer to one         the same, and nil is NULL
//
// The tag velo gives the name, and the type if the Go type leaves it open:
// `velo:"price,decimal(18,2)"`, `velo:"opens,time"`. Without it, the name is the field's own in
// snake case. `velo:"-"` leaves a field out. The error lists every fault.
func SchemaOf[T any](name string) (*Schema, error) {
	columns, err := columnsOf[T]()
	if err != nil {
		return nil, err
	}
	fields := make([]Field, len(columns))
	for i, c := range columns {
		fields[i] = Field{Name: c.name, Type: c.typ, Nullable: c.null}
	}
	return NewSchema(name, fields...)
}
