package record

import (
	"fmt"

	"github.com/velo-engine/velo/internal/int128"
)

// A Type is the type of one column. Types are comparable with ==.
//
// The low byte is the kind, which says how values lie in memory: see Kind. A decimal keeps its
// precision and its scale in the two bytes above. The highest byte tells types of one kind apart.
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

// These types lie in memory as values of another type, their kind. What they mean, how they are
// written and which operations they have is their own.
const (
	// TimeOfDay is a time of day without a zone: nanoseconds since midnight, 0 to DayNanos.
	TimeOfDay = Int64 | 1<<logicalShift
	// Interval is a length of time in nanoseconds. A day has 24 hours; there are no months.
	Interval = Int64 | 2<<logicalShift
	// UUID is a text of 16 bytes.
	UUID = String | 1<<logicalShift
	// Bytes is a text of any bytes.
	Bytes = String | 2<<logicalShift
	// kindWide is a wide decimal, with its precision and scale: a text of 16 bytes.
	kindWide = String | 3<<logicalShift

	logicalShift = 24
)

// DayNanos is the number of nanoseconds of a day of 24 hours.
const DayNanos = 24 * 3600 * 1_000_000_000

// Types are all types without parameters, and a decimal of each size. Tests go through them, so
// that no reader and no writer forgets one.
func Types() []Type {
	return []Type{
		Bool, Int64, Float64, String, Timestamp, DecimalOf(MaxPrecision, 2), TimeOfDay, Interval, UUID, Bytes,
		DecimalOf(MaxDigits, 4),
	}
}

// MaxPrecision is the number of digits a decimal of one word may have: as many as an int64 can
// always hold.
const MaxPrecision = 18

// MaxDigits is the number of digits any decimal may have. A decimal of more than MaxPrecision
// digits is a wide decimal.
const MaxDigits = int128.Digits

// DecimalOf is the type of exact decimals with precision digits, scale of them after the point. A
// value is kept as the integer value*10^scale: in one word if it has up to MaxPrecision digits, and
// otherwise in the 16 bytes of a wide decimal, see Decimal128. NewSchema refuses a precision
// outside 1..38 and a scale outside 0..precision.
func DecimalOf(precision, scale int) Type {
	if precision < 1 || precision > MaxDigits || scale < 0 || scale > precision {
		return kindDecimal // not valid: NewSchema names the column
	}
	parameters := Type(precision)<<8 | Type(scale)<<16
	if precision > MaxPrecision {
		return kindWide | parameters
	}
	return kindDecimal | parameters
}

// IsDecimal says whether t is a decimal of one word.
func (t Type) IsDecimal() bool { return t&0xff == kindDecimal }

// IsWide says whether t is a wide decimal: of more than MaxPrecision digits, and of two words.
func (t Type) IsWide() bool { return t&^(0xffff<<8) == kindWide }

// Precision is the number of digits of a decimal type, wide or not, and 0 for any other type.
func (t Type) Precision() int { return int(t >> 8 & 0xff) }

// Scale is the number of digits after the point of a decimal type, wide or not, and 0 for any other
// type.
func (t Type) Scale() int { return int(t >> 16 & 0xff) }

// Kind is the type as whose values the values of t lie in memory: Int64 for TimeOfDay and Interval,
// String for UUID, Bytes and wide decimals. Every other type without parameters is its own kind.
// All decimals have one kind, which is no type: a decimal is a word, as an Int64 is.
func (t Type) Kind() Type { return t & 0xff }

// IsFixed says whether values of t are one 64-bit word. Values of kind String are bytes of any
// number, all others are words.
func (t Type) IsFixed() bool { return t.Kind() != String }

// IsLogical says whether values of t lie in memory as values of another type, its kind.
func (t Type) IsLogical() bool { return t>>logicalShift != 0 }

// Valid says whether t is a type that a column may have.
func (t Type) Valid() bool {
	switch t {
	case Bool, Int64, Float64, String, Timestamp, TimeOfDay, Interval, UUID, Bytes:
		return true
	}
	return t.IsWide() && t.Precision() > MaxPrecision || !t.IsLogical() && t.IsDecimal() && t.Precision() > 0
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
	case t == TimeOfDay:
		return "time"
	case t == Interval:
		return "interval"
	case t == UUID:
		return "uuid"
	case t == Bytes:
		return "bytea"
	case (t.IsDecimal() || t.IsWide()) && t.Precision() > 0:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision(), t.Scale())
	case t.IsDecimal():
		return "decimal(invalid)"
	}
	return fmt.Sprintf("Type(%#x)", uint32(t))
}
