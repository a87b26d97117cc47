package record

import "fmt"

// A Type is the type of one column. Types are comparable with ==.
//
// The low byte is the kind. A decimal keeps its precision and its scale in the two bytes above.
type Type uint32

// The types without parameters. A decimal comes from DecimalOf.
const (
	Bool      Type = 1 + iota // 0 or 1
	Int64                     // 64-bit signed integer
	Float64                   // IEEE 754 binary64
	String                    // bytes, UTF-8 by convention, compared by bytes
	Timestamp                 // nanoseconds since 1970-01-01T00:00:00Z, UTC
	kindDecimal
)

// MaxPrecision is the number of digits a decimal may have: as many as an int64 can always hold.
const MaxPrecision = 18

// DecimalOf is the type of exact decimals with precision digits, scale of them after the point. A
// value is kept as the integer value*10^scale. NewSchema refuses a precision outside 1..18 and a
// scale outside 0..precision.
func DecimalOf(precision, scale int) Type {
	if precision < 1 || precision > MaxPrecision || scale < 0 || scale > precision {
		precision, scale = 0, 0 // not valid: NewSchema names the column
	}
	return kindDecimal | Type(precision)<<8 | Type(scale)<<16
}

// IsDecimal says whether t came from DecimalOf.
func (t Type) IsDecimal() bool { return t&0xff == kindDecimal }

// Precision is the number of digits of a decimal type, and 0 for any other type.
func (t Type) Precision() int { return int(t >> 8 & 0xff) }

// Scale is the number of digits after the point of a decimal type, and 0 for any other type.
func (t Type) Scale() int { return int(t >> 16 & 0xff) }

// IsFixed says whether values of t are one 64-bit word: every type but String.
func (t Type) IsFixed() bool { return t != String }

// Valid says whether t is a type that a column may have.
func (t Type) Valid() bool {
	return t >= Bool && t <= Timestamp || t.IsDecimal() && t.Precision() > 0
}

// String is the type as SQL writes it.
func (t Type) String() string {
	switch {
	case t == Bool:
		return "boolean"
	case t == Int64:
		return "bigint"
	case t == Float64:
		return "double precision"
	case t == String:
		return "text"
	case t == Timestamp:
		return "timestamp"
	case t.IsDecimal() && t.Precision() > 0:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision(), t.Scale())
	case t.IsDecimal():
		return "decimal(invalid)"
	}
	return fmt.Sprintf("Type(%#x)", uint32(t))
}
