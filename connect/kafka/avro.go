package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/twmb/avro"

	"github.com/velo-engine/velo/internal/int128"
	"github.com/velo-engine/velo/record"
)

// # Avro
//
// A value has a byte 0, the id of the schema that it was written with (four bytes, big endian), and
// the fields of a record one after the other, without names. So it can only be read with the
// writer's schema, which the schema registry has (registry.go). From that and the columns a plan is
// made, once for each schema and reader:
//
//	schema    user: {id: long, tags: [string]}, price: ["null", double]
//	columns   "user.id", price
//	plan      record { record { -> column 0, pass over }, null or -> column 1 }
//
// The plan goes through the bytes of a value and sets columns; no object is made for a value or a
// field. A library parses schemas; what it makes of values (maps, structs) is used by tests as the
// twin.

const (
	// maxAvroDepth bounds how deep values are nested, so that a type that contains itself cannot
	// exhaust the stack.
	maxAvroDepth = 64
)

var errAvroShort = errors.New("the value ends within a field")

// avroKind is how a value lies in bytes.
type avroKind uint8

const (
	avroNull   avroKind = iota
	avroBool            // a byte
	avroInt             // zigzag
	avroFloat           // 4 bytes
	avroDouble          // 8 bytes
	avroBytes           // a length and bytes
	avroFixed           // size bytes
	avroEnum            // the number of a symbol
	avroRecord          // the fields
	avroUnion           // the number of a branch and its value
	avroArray           // blocks
	avroMap             // blocks of names and values
)

var avroKinds = map[string]avroKind{
	"null": avroNull, "boolean": avroBool, "int": avroInt, "long": avroInt, "float": avroFloat, "double": avroDouble,
	"bytes": avroBytes, "string": avroBytes, "fixed": avroFixed, "enum": avroEnum, "record": avroRecord,
	"error": avroRecord, "union": avroUnion, "array": avroArray, "map": avroMap,
}

// avroType is a type of a writer's schema.
type avroType struct {
	kind    avroKind
	name    string // as the schema writes it, for messages
	logical string
	scale   int // of a decimal
	size    int // of a fixed
	symbols [][]byte
	names   []string    // of the fields of a record
	parts   []*avroType // fields, branches, or the one type of elements
}

// avroTypes makes types of a parsed schema. Types with names refer to each other.
type avroTypes struct{ named map[string]*avroType }

// of makes a type, and those below it. Within is the namespace around it, in which names without a
// point are looked for first.
func (a *avroTypes) of(n *avro.SchemaNode, within string) (*avroType, error) {
	kind, ok := avroKinds[n.Type]
	if !ok {
		t := a.named[within+"."+n.Type]
		if t == nil || strings.Contains(n.Type, ".") {
			t = a.named[n.Type]
		}
		if t == nil {
			return nil, fmt.Errorf("type %q is not known", n.Type)
		}
		return t, nil
	}
	t := &avroType{kind: kind, name: n.Type, logical: n.LogicalType, scale: n.Scale, size: n.Size}
	if n.Name != "" && (kind == avroRecord || kind == avroEnum || kind == avroFixed) {
		full := n.Name
		if n.Namespace != "" && !strings.Contains(full, ".") {
			full = n.Namespace + "." + full
		}
		a.named[full] = t
		within = full[:max(strings.LastIndexByte(full, '.'), 0)]
	}
	for _, s := range n.Symbols {
		t.symbols = append(t.symbols, []byte(s))
	}
	var parts []*avro.SchemaNode
	for i := range n.Fields {
		t.names = append(t.names, n.Fields[i].Name)
		parts = append(parts, &n.Fields[i].Type)
	}
	for i := range n.Branches {
		parts = append(parts, &n.Branches[i])
	}
	if kind == avroArray {
		parts = append(parts, n.Items)
	}
	if kind == avroMap {
		parts = append(parts, n.Values)
	}
	for _, part := range parts {
		p, err := a.of(part, within)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, p)
	}
	return t, nil
}

// avroField is what is done with a field of a record.
type avroField struct {
	typ    *avroType
	null   int           // the branch of a union that is null; -1 if there is none
	column int           // -1 if there is none
	within []avroField   // the fields of a record that has columns
	set    avroConverter // makes a value of the column
}

// avroConverter reads a value of a column at i.
type avroConverter func(d *schemaDecoder, t *avroType, to *columnValue, buf []byte, i int) (int, error)

// columnValue is a value of a column, until the whole record has been read.
type columnValue struct {
	int   int64
	float float64
	text  []byte
	null  bool
	nanos int32 // of a Timestamp of Protobuf, whose seconds are in int
}

// planOf makes the plan for the fields of a record, for columns by their paths. The error says all
// that does not fit.
func (d *schemaDecoder) planOf(t *avroType, paths map[int]string) (plan []avroField, err error) {
	var faults []error
	used := map[int]bool{}
	for i, name := range t.names {
		f := avroField{typ: t.parts[i], null: -1, column: -1}
		inner := map[int]string{}
		for column, path := range paths {
			rest, ok := strings.CutPrefix(path, name)
			switch {
			case ok && rest == "":
				f.column = column
				used[column] = true
			case ok && rest[0] == '.':
				inner[column] = rest[1:]
				used[column] = true
			}
		}
		if f.column >= 0 || len(inner) > 0 {
			err := d.bind(&f, inner)
			if err != nil {
				faults = append(faults, err)
			}
		}
		plan = append(plan, f)
	}
	for column := range d.schema.Len() {
		path, ok := paths[column]
		if !ok || used[column] {
			continue
		}
		if !d.schema.Field(column).Nullable {
			faults = append(faults, fmt.Errorf("there is no field %q, and column %q is not nullable", path,
				d.schema.Field(column).Name))
		}
	}
	return plan, errors.Join(faults...)
}

// bind finds out how a field becomes columns.
func (d *schemaDecoder) bind(f *avroField, inner map[int]string) error {
	if f.typ.kind == avroUnion && len(f.typ.parts) == 2 {
		for i, part := range f.typ.parts {
			if part.kind == avroNull {
				f.null, f.typ = i, f.typ.parts[1-i]
				break
			}
		}
	}
	if len(inner) > 0 {
		if f.typ.kind != avroRecord {
			return d.unfit(first(inner), f.typ, "a record, whose fields are named after the point")
		}
		within, err := d.planOf(f.typ, inner)
		if err != nil {
			return err
		}
		f.within = within
	}
	if f.column >= 0 {
		to := d.schema.Field(f.column).Type
		f.set = d.converter(f.typ, to)
		if f.set == nil {
			return d.unfit(f.column, f.typ, avroExpected(to))
		}
	}
	return nil
}

func first(m map[int]string) int {
	least := math.MaxInt
	for column := range m {
		least = min(least, column)
	}
	return least
}

// unfit is an error about a type that is no use for a column.
func (d *schemaDecoder) unfit(column int, t *avroType, want string) error {
	is := t.name
	if t.logical != "" {
		is += " (" + t.logical + ")"
	}
	return fmt.Errorf("column %q: the field is %s, expected %s", d.schema.Field(column).Name, is, want)
}

// avroExpected says what may become a column, besides a union of that and null.
func avroExpected(t record.Type) string {
	switch {
	case t == record.Bool:
		return "boolean"
	case t == record.Int64:
		return "int or long"
	case t == record.Float64:
		return "float, double, int or long"
	case t == record.Timestamp:
		return "timestamp-millis, -micros or -nanos, date, or a long together with time.unit"
	case t.IsDecimal():
		return "decimal, int or long"
	case t.IsWide():
		return "decimal, int, long or string"
	case t == record.TimeOfDay:
		return "time-millis, time-micros or string"
	case t == record.Interval:
		return "duration or string"
	case t == record.UUID:
		return "uuid, string, or fixed of 16 bytes"
	case t == record.Bytes:
		return "bytes or fixed"
	}
	return "string, enum, bytes or fixed"
}

// avroUnits are the units of logical types that are times.
var avroUnits = map[string]time.Duration{
	"timestamp-millis": time.Millisecond, "timestamp-micros": time.Microsecond, "timestamp-nanos": 1,
	"local-timestamp-millis": time.Millisecond, "local-timestamp-micros": time.Microsecond, "local-timestamp-nanos": 1,
	"date": 24 * time.Hour,
}

// converter is how a type becomes a value of a column; nil if it does not.
func (d *schemaDecoder) converter(t *avroType, to record.Type) avroConverter {
	switch {
	case to.IsLogical():
		return logicalConverter(t, to)
	case to == record.Bool && t.kind == avroBool:
		return func(_ *schemaDecoder, _ *avroType, v *columnValue, buf []byte, i int) (int, error) {
			if i >= len(buf) {
				return 0, errAvroShort
			}
			v.int = int64(buf[i] & 1)
			return i + 1, nil
		}
	case to == record.Int64 && t.kind == avroInt:
		return func(_ *schemaDecoder, _ *avroType, v *columnValue, buf []byte, i int) (int, error) {
			var err error
			v.int, i, err = avroLong(buf, i)
			return i, err
		}
	case to == record.Float64:
		return floatConverter(t)
	case to == record.Timestamp && t.kind == avroInt:
		unit := avroUnits[t.logical]
		if unit == 0 {
			unit = d.timeUnit
		}
		if unit == 0 {
			return nil
		}
		return timesConverter(int64(unit), "is out of the range of a timestamp")
	case to.IsDecimal() && t.kind == avroInt:
		most := record.Pow10[to.Precision()-to.Scale()]
		times := timesConverter(record.Pow10[to.Scale()], fmt.Sprintf("does not fit %v", to))
		return func(d *schemaDecoder, t *avroType, v *columnValue, buf []byte, i int) (int, error) {
			n, _, err := avroLong(buf, i)
			if err == nil && (n >= most || n <= -most) {
				return 0, fmt.Errorf("%d does not fit %v", n, to)
			}
			return times(d, t, v, buf, i)
		}
	case to.IsDecimal() && t.logical == "decimal":
		return decimalConverter(to)
	case to == record.String && t.kind == avroEnum:
		return func(_ *schemaDecoder, t *avroType, v *columnValue, buf []byte, i int) (int, error) {
			n, i, err := avroLong(buf, i)
			if err == nil && (n < 0 || n >= int64(len(t.symbols))) {
				err = fmt.Errorf("symbol %d of an enum that has %d", n, len(t.symbols))
			}
			if err != nil {
				return 0, err
			}
			v.text = t.symbols[n]
			return i, nil
		}
	case to == record.String && (t.kind == avroBytes || t.kind == avroFixed) && t.logical != "decimal":
		return func(_ *schemaDecoder, t *avroType, v *columnValue, buf []byte, i int) (int, error) {
			var err error
			v.text, i, err = t.bytes(buf, i)
			return i, err
		}
	}
	return nil
}

// logicalConverter is converter for the logical types of velo.
func logicalConverter(t *avroType, to record.Type) avroConverter {
	isText := t.kind == avroBytes && t.name == "string"
	isBytes := (t.kind == avroBytes || t.kind == avroFixed) && !isText && t.logical != "decimal"
	unit := map[string]int64{"time-millis": 1e6, "time-micros": 1e3}[t.logical]
	switch {
	case to == record.TimeOfDay && t.kind == avroInt && unit > 0:
		return func(_ *schemaDecoder, _ *avroType, v *columnValue, buf []byte, i int) (int, error) {
			n, i, err := avroLong(buf, i)
			if err == nil && (n < 0 || n > record.DayNanos/unit) {
				err = fmt.Errorf("%d of %d ns since midnight are no time of day", n, unit)
			}
			v.int = n * unit
			return i, err
		}
	case to == record.Interval && t.kind == avroFixed && t.logical == "duration" && t.size == 12:
		return func(_ *schemaDecoder, t *avroType, v *columnValue, buf []byte, i int) (int, error) {
			b, i, err := t.bytes(buf, i)
			if err != nil {
				return 0, err
			}
			months, days := binary.LittleEndian.Uint32(b), int64(binary.LittleEndian.Uint32(b[4:]))
			if months > 0 || days > math.MaxInt64/2/record.DayNanos {
				return 0, fmt.Errorf("an interval of %d months and %d days: months have no fixed length, and at most "+
					"146 years are kept", months, days)
			}
			v.int = days*record.DayNanos + int64(binary.LittleEndian.Uint32(b[8:]))*1e6
			return i, nil
		}
	case to.IsWide() && (t.kind == avroInt || t.logical == "decimal"):
		return wideConverter(to)
	case to == record.Bytes && isBytes, to == record.UUID && t.kind == avroFixed && t.size == 16:
		return func(_ *schemaDecoder, t *avroType, v *columnValue, buf []byte, i int) (int, error) {
			var err error
			v.text, i, err = t.bytes(buf, i)
			return i, err
		}
	case to != record.Bytes && isText:
		return func(d *schemaDecoder, t *avroType, v *columnValue, buf []byte, i int) (int, error) {
			text, i, err := t.bytes(buf, i)
			if err != nil {
				return 0, err
			}
			return i, d.logical(v, to, text)
		}
	}
	return nil
}

// logical makes a value of a logical type of its text.
func (d *schemaDecoder) logical(v *columnValue, to record.Type, text []byte) error {
	at := len(d.digits)
	word, all, err := record.ParseLogical(d.digits, to, string(text))
	if err != nil {
		return err
	}
	d.digits = all
	v.int, v.text = int64(word), all[at:]
	return nil
}

// floatConverter is converter for double precision.
func floatConverter(t *avroType) avroConverter {
	switch t.kind {
	case avroFloat:
		return func(_ *schemaDecoder, _ *avroType, v *columnValue, buf []byte, i int) (int, error) {
			if len(buf)-i < 4 {
				return 0, errAvroShort
			}
			v.float = float64(math.Float32frombits(binary.LittleEndian.Uint32(buf[i:])))
			return i + 4, nil
		}
	case avroDouble:
		return func(_ *schemaDecoder, _ *avroType, v *columnValue, buf []byte, i int) (int, error) {
			if len(buf)-i < 8 {
				return 0, errAvroShort
			}
			v.float = math.Float64frombits(binary.LittleEndian.Uint64(buf[i:]))
			return i + 8, nil
		}
	case avroInt:
		return func(_ *schemaDecoder, _ *avroType, v *columnValue, buf []byte, i int) (int, error) {
			n, i, err := avroLong(buf, i)
			v.float = float64(n)
			if err == nil && (n > 1<<53 || n < -1<<53) {
				err = fmt.Errorf("%d would lose digits as double precision", n)
			}
			return i, err
		}
	}
	return nil
}

// timesConverter reads a whole number and multiplies it.
func timesConverter(unit int64, otherwise string) avroConverter {
	return func(_ *schemaDecoder, _ *avroType, v *columnValue, buf []byte, i int) (int, error) {
		n, i, err := avroLong(buf, i)
		if err != nil {
			return 0, err
		}
		if n > math.MaxInt64/unit || n < math.MinInt64/unit {
			return 0, fmt.Errorf("%d %s", n, otherwise)
		}
		v.int = n * unit
		return i, nil
	}
}

// decimalConverter reads a decimal: a whole number, big endian, in two's complement.
func decimalConverter(to record.Type) avroConverter {
	limit := record.Pow10[to.Precision()] - 1
	return func(_ *schemaDecoder, t *avroType, v *columnValue, buf []byte, i int) (int, error) {
		digits, i, err := t.bytes(buf, i)
		if err != nil {
			return 0, err
		}
		n, ok := avroUnscaled(digits)
		scale := t.scale
		for ; ok && scale > to.Scale(); scale-- {
			ok = n%10 == 0
			n /= 10
		}
		for ; ok && scale < to.Scale(); scale++ {
			ok = n <= limit/10 && n >= -limit/10
			n *= 10
		}
		if !ok || n > limit || n < -limit {
			return 0, fmt.Errorf("the decimal %x of scale %d does not fit %v", digits, t.scale, to)
		}
		v.int = n
		return i, nil
	}
}

// wideConverter reads a decimal, or a whole number, as a wide decimal.
func wideConverter(to record.Type) avroConverter {
	return func(d *schemaDecoder, t *avroType, v *columnValue, buf []byte, i int) (int, error) {
		var x int128.Int
		ok, scale := true, 0
		if t.kind == avroInt {
			n, next, err := avroLong(buf, i)
			if err != nil {
				return 0, err
			}
			x, i = int128.Of(n), next
		} else {
			digits, next, err := t.bytes(buf, i)
			if err != nil {
				return 0, err
			}
			x, ok = int128.FromTwos(digits)
			i, scale = next, t.scale
		}
		err := d.wide(v, to, x, scale)
		if err != nil || !ok {
			return 0, fmt.Errorf("a decimal of scale %d does not fit %v", scale, to)
		}
		return i, nil
	}
}

// wide makes a wide decimal of an unscaled value.
func (d *schemaDecoder) wide(v *columnValue, to record.Type, x int128.Int, scale int) error {
	x, ok := x.Rescale(scale, to.Scale(), int128.Exact)
	if !ok || !x.Fits(to.Precision()) {
		return fmt.Errorf("%s does not fit %v", x.Append(nil, 0), to)
	}
	at := len(d.digits)
	d.digits = x.AppendBytes(d.digits)
	v.text = d.digits[at:]
	return nil
}

// avroUnscaled is a number in two's complement, if it fits.
func avroUnscaled(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, true
	}
	n = int64(int8(b[0]))
	for _, c := range b[1:] {
		if n > math.MaxInt64>>8 || n < math.MinInt64>>8 {
			return 0, false
		}
		n = n<<8 | int64(c)
	}
	return n, true
}

// avroLong reads a number in zigzag.
func avroLong(buf []byte, i int) (n int64, next int, err error) {
	if i > len(buf) {
		return 0, 0, errAvroShort
	}
	n, size := binary.Varint(buf[i:])
	switch {
	case size == 0:
		return 0, 0, errAvroShort
	case size < 0:
		return 0, 0, errors.New("a number of more than 64 bits")
	}
	return n, i + size, nil
}

// bytes reads what a string, bytes or fixed has.
func (t *avroType) bytes(buf []byte, i int) (b []byte, next int, err error) {
	n := int64(t.size)
	if t.kind == avroBytes {
		n, i, err = avroLong(buf, i)
		if err != nil {
			return nil, 0, err
		}
	}
	if n < 0 || n > int64(len(buf)-i) {
		return nil, 0, errAvroShort
	}
	return buf[i : i+int(n)], i + int(n), nil
}

// pass goes over a value.
func (t *avroType) pass(buf []byte, i, depth int) (next int, err error) {
	if depth > maxAvroDepth {
		return 0, fmt.Errorf("values are nested more than %d deep", maxAvroDepth)
	}
	size := 0
	switch t.kind {
	case avroNull:
	case avroBool:
		size = 1
	case avroFloat:
		size = 4
	case avroDouble:
		size = 8
	case avroInt, avroEnum:
		_, i, err = avroLong(buf, i)
		return i, err
	case avroBytes, avroFixed:
		_, i, err = t.bytes(buf, i)
		return i, err
	case avroRecord:
		for _, f := range t.parts {
			i, err = f.pass(buf, i, depth+1)
			if err != nil {
				return 0, err
			}
		}
		return i, nil
	case avroUnion:
		var branch *avroType
		branch, i, err = t.branch(buf, i)
		if err != nil {
			return 0, err
		}
		return branch.pass(buf, i, depth+1)
	default:
		return t.passBlocks(buf, i, depth)
	}
	if size > len(buf)-i {
		return 0, errAvroShort
	}
	return i + size, nil
}

// branch reads which branch of a union comes.
func (t *avroType) branch(buf []byte, i int) (*avroType, int, error) {
	n, i, err := avroLong(buf, i)
	if err == nil && (n < 0 || n >= int64(len(t.parts))) {
		err = fmt.Errorf("branch %d of a union that has %d", n, len(t.parts))
	}
	if err != nil {
		return nil, 0, err
	}
	return t.parts[n], i, nil
}

// passBlocks goes over the blocks of an array or a map: a count and as many elements, or a negative
// count, the bytes of the block, and the elements. A count of 0 ends them.
func (t *avroType) passBlocks(buf []byte, i, depth int) (int, error) {
	for {
		n, next, err := avroLong(buf, i)
		if err != nil {
			return 0, err
		}
		i = next
		if n == 0 {
			return i, nil
		}
		if n < 0 {
			size, next, err := avroLong(buf, i)
			if err != nil {
				return 0, err
			}
			if size < 0 || size > int64(len(buf)-next) {
				return 0, errAvroShort
			}
			i = next + int(size)
			continue
		}
		if n > int64(len(buf)-i) { // elements without bytes would be counted for ever
			return 0, fmt.Errorf("%d elements in %d bytes", n, len(buf)-i)
		}
		for range n {
			if t.kind == avroMap {
				_, i, err = avroName.bytes(buf, i)
			}
			if err == nil {
				i, err = t.parts[0].pass(buf, i, depth+1)
			}
			if err != nil {
				return 0, err
			}
		}
	}
}

// avroName is the type of the names in a map.
var avroName = &avroType{kind: avroBytes, name: "string"}
