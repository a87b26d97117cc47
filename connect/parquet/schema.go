package parquet

import (
	"fmt"
	"math"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"github.com/velo-engine/velo/record"
)

// leaf is a column of a file: a field that has values and no fields within.
type leaf struct {
	// name is its path, with points in it.
	name     string
	physical format.Type
	// size is the length of fixed byte arrays.
	size int
	// present is the definition level of a value that is not NULL; 0 if none can be NULL.
	// depthRepeated is how many of the fields on the path are repeated.
	present, depthRepeated int

	// kind is the type that the column has in velo, and how says what the numbers in the file mean.
	kind record.Type
	how  meaning
	// unread says why velo does not read it; "" if it does.
	unread string
}

// meaning says what the values of a file mean.
type meaning struct {
	// unsigned says that integers have no sign.
	unsigned bool
	// times multiplies a number to make it nanoseconds; 0 if it is no time.
	times int64
	// scale is how many digits of an integer are after the point; precision is 0 if it is no
	// decimal.
	precision, scale int
	always           bool // all values are NULL
}

// maxDepth bounds how deep fields may lie in others.
const maxDepth = 64

// leavesOf makes the columns of a schema. Elements come depth first.
func leavesOf(elements []format.SchemaElement) ([]leaf, error) {
	if len(elements) == 0 {
		return nil, damaged("its footer has no schema")
	}
	w := &schemaWalk{elements: elements[1:]}
	if err := w.children(&elements[0], nil, 0, 0, ""); err != nil {
		return nil, err
	}
	if len(w.elements) > 0 {
		return nil, damaged("its schema has %d elements too many", len(w.elements))
	}
	return w.leaves, nil
}

// schemaWalk walks through the elements of a schema.
type schemaWalk struct {
	elements []format.SchemaElement // that are left
	leaves   []leaf
}

// children takes the fields of a group. unread says why velo does not read what is in it.
func (w *schemaWalk) children(group *format.SchemaElement, path []string, present, repeated int, unread string) error {
	if len(path) > maxDepth {
		return damaged("its fields lie more than %d levels deep", maxDepth)
	}
	for range group.NumChildren.V {
		if len(w.elements) == 0 {
			return damaged("its schema ends too early")
		}
		e := &w.elements[0]
		w.elements = w.elements[1:]
		present, repeated, why := present, repeated, unread
		switch e.RepetitionType.V {
		case format.Optional:
			present++
		case format.Repeated:
			present, repeated = present+1, repeated+1
			if why == "" {
				why = "it is repeated"
			}
		}
		path := append(path[:len(path):len(path)], e.Name)
		if !e.Type.Valid {
			if what := listed(e); why == "" && what != "" {
				why = what
			}
			if err := w.children(e, path, present, repeated, why); err != nil {
				return err
			}
			continue
		}
		l := leaf{
			name: strings.Join(path, "."), physical: e.Type.V, size: int(e.TypeLength.V), present: present,
			depthRepeated: repeated, unread: why,
		}
		if l.unread == "" {
			l.kind, l.how, l.unread = typeOf(e)
		}
		w.leaves = append(w.leaves, l)
	}
	return nil
}

// listed says what a group is, if that is something velo does not read.
func listed(e *format.SchemaElement) string {
	switch e.LogicalType.Value.(type) {
	case *format.ListType:
		return "it is a list"
	case *format.MapType:
		return "it is a map"
	case nil:
		if e.ConvertedType.Valid && e.ConvertedType.V == deprecated.List {
			return "it is a list"
		}
		if e.ConvertedType.Valid && e.ConvertedType.V <= deprecated.MapKeyValue && e.ConvertedType.V > deprecated.UTF8 {
			return "it is a map"
		}
		return ""
	}
	return "it is of a type that velo does not read"
}

// nanosOf is how many nanoseconds a unit has.
func nanosOf(u format.TimeUnit) int64 {
	switch u.Value.(type) {
	case *format.MilliSeconds:
		return 1e6
	case *format.MicroSeconds:
		return 1e3
	case *format.NanoSeconds:
		return 1
	}
	return 0
}

// dayNanos is how many nanoseconds a day has.
const dayNanos = 86400 * 1e9

// typeOf is the type of a leaf in velo, or why there is none.
func typeOf(e *format.SchemaElement) (t record.Type, how meaning, unread string) {
	kind := e.Type.V
	switch l := logicalOf(e).(type) {
	case *format.DecimalType:
		return decimalOf(kind, int(l.Precision), int(l.Scale))
	case *format.DateType:
		if kind == format.Int32 {
			return record.Timestamp, meaning{times: dayNanos}, ""
		}
	case *format.TimestampType:
		if n := nanosOf(l.Unit); kind == format.Int64 && n > 0 {
			return record.Timestamp, meaning{times: n}, ""
		}
		return 0, meaning{}, "its times are of a unit that velo does not know"
	case *format.TimeType:
		if n := nanosOf(l.Unit); n == 1e6 && kind == format.Int32 || (n == 1e3 || n == 1) && kind == format.Int64 {
			return record.TimeOfDay, meaning{times: n}, ""
		}
		return 0, meaning{}, "its times of day are of a unit that velo does not know"
	case *format.IntType:
		return record.Int64, meaning{unsigned: !l.IsSigned}, ""
	case *format.NullType:
		return record.String, meaning{always: true}, ""
	case *format.UUIDType:
		if kind == format.FixedLenByteArray && e.TypeLength.V == 16 {
			return record.UUID, meaning{}, ""
		}
	case *format.Float16Type:
		return 0, meaning{}, "its numbers have 16 bits, which velo does not read"
	case *format.StringType, *format.EnumType, *format.JsonType, *format.BsonType:
		if kind == format.ByteArray {
			return record.String, meaning{}, ""
		}
	case nil:
	default:
		return 0, meaning{}, "it is of a type that velo does not read"
	}
	if e.ConvertedType.Valid {
		switch e.ConvertedType.V {
		case deprecated.Interval:
			if kind == format.FixedLenByteArray && e.TypeLength.V == intervalBytes {
				return record.Interval, meaning{}, ""
			}
		case deprecated.UTF8, deprecated.Enum, deprecated.Json, deprecated.Bson:
			if kind == format.ByteArray {
				return record.String, meaning{}, ""
			}
		}
	}
	return plainOf(kind, e)
}

// plainOf is the type of a leaf that has no meaning besides its physical type.
func plainOf(kind format.Type, e *format.SchemaElement) (t record.Type, how meaning, unread string) {
	switch kind {
	case format.Boolean:
		return record.Bool, meaning{}, ""
	case format.Int32, format.Int64:
		return record.Int64, meaning{}, ""
	case format.Int96:
		return record.Timestamp, meaning{times: 1}, ""
	case format.Float, format.Double:
		return record.Float64, meaning{}, ""
	case format.ByteArray:
		return record.Bytes, meaning{}, ""
	case format.FixedLenByteArray:
		if e.TypeLength.V > 0 && e.TypeLength.V <= maxFixedBytes {
			return record.Bytes, meaning{}, ""
		}
	}
	return 0, meaning{}, "it is of a type that velo does not read"
}

// intervalBytes is how many bytes an interval has: its months, days and milliseconds.
const intervalBytes = 12

// maxFixedBytes bounds the length of fixed byte arrays.
const maxFixedBytes = 1 << 20

// decimalOf is the type of a decimal.
func decimalOf(kind format.Type, precision, scale int) (t record.Type, how meaning, unread string) {
	switch kind {
	case format.Int32, format.Int64, format.FixedLenByteArray, format.ByteArray:
	default:
		return 0, meaning{}, "it is of a type that velo does not read"
	}
	if precision > record.MaxDigits {
		return 0, meaning{}, fmt.Sprintf("it is a decimal of %d digits, and velo has %d at most", precision,
			record.MaxDigits)
	}
	t = record.DecimalOf(precision, scale)
	if !t.Valid() {
		return 0, meaning{}, fmt.Sprintf("it is a decimal of %d digits, %d of them after the point", precision, scale)
	}
	return t, meaning{precision: precision, scale: scale}, ""
}

// logicalOf is what an element says its values mean, in the new words also if it has the old ones.
func logicalOf(e *format.SchemaElement) format.LogicalTypeValue {
	if e.LogicalType.Value != nil || !e.ConvertedType.Valid {
		return e.LogicalType.Value
	}
	switch e.ConvertedType.V {
	case deprecated.Decimal:
		return &format.DecimalType{Precision: e.Precision.V, Scale: e.Scale.V}
	case deprecated.Date:
		return &format.DateType{}
	case deprecated.TimestampMillis:
		return &format.TimestampType{Unit: format.TimeUnit{Value: &format.MilliSeconds{}}}
	case deprecated.TimestampMicros:
		return &format.TimestampType{Unit: format.TimeUnit{Value: &format.MicroSeconds{}}}
	case deprecated.TimeMillis:
		return &format.TimeType{Unit: format.TimeUnit{Value: &format.MilliSeconds{}}}
	case deprecated.TimeMicros:
		return &format.TimeType{Unit: format.TimeUnit{Value: &format.MicroSeconds{}}}
	case deprecated.Uint8, deprecated.Uint16, deprecated.Uint32, deprecated.Uint64:
		return &format.IntType{}
	case deprecated.Int8, deprecated.Int16, deprecated.Int32, deprecated.Int64:
		return &format.IntType{IsSigned: true}
	}
	return nil
}

// takes says why a declared column cannot take the values of a leaf; "" if it can.
func (l *leaf) takes(t record.Type) string {
	switch {
	case l.unread != "":
		return l.unread
	case l.how.always, l.kind == t:
		return ""
	case t == record.Float64 && l.kind == record.Int64:
		return ""
	case t.IsDecimal() && (l.kind.IsDecimal() || l.kind.IsWide()) && t.Scale() >= l.kind.Scale():
		return ""
	case t.IsWide() && (l.kind.IsDecimal() || l.kind.IsWide()) && t.Scale() >= l.kind.Scale() &&
		t.Precision()-t.Scale() >= l.kind.Precision()-l.kind.Scale():
		return ""
	case t.IsWide() && l.kind == record.Int64 && t.Precision()-t.Scale() >= wholeDigits:
		return ""
	case t.IsDecimal() && l.kind == record.Int64:
		return ""
	case (t == record.String || t == record.Bytes) && l.kind.Kind() == record.String:
		return "" // a uuid as a text is its 36 characters
	case t == record.UUID && l.kind == record.Bytes && l.physical == format.FixedLenByteArray && l.size == 16:
		return ""
	case t == record.Interval && l.kind == record.Int64 && l.physical == format.Int64 && !l.how.unsigned:
		return "" // nanoseconds, as velo writes them
	}
	return fmt.Sprintf("it is %v in the file", l.kind)
}

// wholeDigits is how many digits an integer of 64 bits has.
const wholeDigits = 20

// bounds are the least and the greatest number of a file that fits a type, and what each is
// multiplied with to make it a value of the type.
func (l *leaf) bounds(t record.Type) (least, greatest, times int64) {
	least, greatest, times = math.MinInt64, math.MaxInt64, 1
	switch {
	case t == record.Float64:
		return -1 << 53, 1 << 53, 1 // every integer between is a double
	case t == record.TimeOfDay:
		return 0, record.DayNanos / l.how.times, l.how.times
	case t == record.Interval && l.kind == t:
		greatest-- // the greatest stands for intervals that have no value
	case l.how.times > 1:
		times = l.how.times
		least, greatest = math.MinInt64/times, math.MaxInt64/times
	case t.IsDecimal():
		times = pow10(t.Scale() - l.how.scale)
		greatest = (pow10(t.Precision()) - 1) / times
		least = -greatest
	case l.physical == format.Int96:
		greatest-- // the greatest stands for times that have no value
	}
	if l.how.unsigned {
		least = 0
	}
	return least, greatest, times
}

// pow10 is a power of ten, up to 10^18.
func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}
