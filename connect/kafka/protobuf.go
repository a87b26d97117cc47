package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/velo-engine/velo/internal/int128"
	"github.com/velo-engine/velo/record"
)

// # Protobuf
//
// A value has a byte 0, the id of the schema that it was written with (four bytes, big endian), the
// way to its message in the schema, and the message:
//
//	0 | 00 00 00 07 | 0           the first message of schema 7
//	0 | 00 00 00 07 | 2 1 0       of two numbers: the first message within the second one
//
// The numbers are in zigzag. The schema is the text of a .proto file, which a library compiles
// (bufbuild/protocompile). From the message and the columns a plan is made, once for each reader:
//
//	message   Trade { User user = 1; optional double price = 2; repeated string tags = 3; }
//	columns   "user.id", price
//	plan      1: message { 1: -> column 0 }, 2: -> column 1, all others: pass over
//
// The plan goes through the bytes and sets columns; no object is made for a message or a field.
// What the bytes mean is as in Google's library, which tests use as the twin: the last of several
// values of a field counts, messages that come twice are merged, a member of a oneof ends the
// others, and fields of another wire type are unknown fields.

const (
	// maxProtoWay bounds the numbers of the way to a message.
	maxProtoWay = 64

	// lowNumbers is from which number on a field is looked up in a map.
	lowNumbers = 128

	// maxWays bounds the ways to messages that a plan of a schema keeps.
	maxWays = 1000

	timestampName = "google.protobuf.Timestamp"
)

// protoSchema is the plan of a schema: a plan for each message that has come.
type protoSchema struct {
	file protoreflect.FileDescriptor
	// messages are by the bytes of the way to them, as they come. last is the plan of lastWay.
	messages map[string]*protoMessage
	lastWay  []byte
	last     *protoMessage
}

// protoMessage is the plan of a message.
type protoMessage struct {
	unfit error // why none can become a row

	fields []protoField
	low    [lowNumbers]uint16 // the place of a field and 1, by its number; 0 is no field
	high   map[protowire.Number]uint16
	// zeros are the columns that have a value if the message is there: fields without presence.
	zeros []protoZero
	// times are the columns of Timestamps, of this message and of those within.
	times []int
}

// protoZero is what a column has if its field does not come.
type protoZero struct {
	column int
	value  columnValue
}

// protoField is what is done with a field.
type protoField struct {
	wire   protowire.Type // of its values: others are unknown fields
	column int            // -1 if there is none
	set    protoConverter // makes a value of the column
	within *protoMessage  // of a message that has columns
	// ends are the columns that become NULL: all columns of the other members of its oneof.
	ends []int
}

// protoConverter makes a value of a column of a number, or of bytes.
type protoConverter func(d *schemaDecoder, v *columnValue, n uint64, text []byte) error

// protobufRow reads a value into d.values.
func (d *schemaDecoder) protobufRow(plan *protoSchema, value []byte) error {
	m, at, err := d.messageOf(plan, value[schemaHeader:])
	if err != nil {
		return err
	}
	if m.unfit != nil {
		return m.unfit
	}
	d.digits = d.digits[:0]
	err = d.message(m, value[schemaHeader+at:])
	if err != nil {
		return err
	}
	for _, column := range m.times {
		err := d.values[column].timestamp()
		if err != nil {
			return fmt.Errorf("column %q: %w", d.schema.Field(column).Name, err)
		}
	}
	return nil
}

// messageOf finds the plan of the message that a value has, and where it begins.
func (d *schemaDecoder) messageOf(plan *protoSchema, value []byte) (m *protoMessage, at int, err error) {
	if n := len(plan.lastWay); n > 0 && len(value) >= n && string(value[:n]) == string(plan.lastWay) {
		return plan.last, n, nil
	}
	count, n := binary.Varint(value)
	at = n
	if n <= 0 || count < 0 || count > maxProtoWay {
		return nil, 0, errors.New("the way to the message cannot be read")
	}
	way := make([]int64, max(count, 1)) // nothing is the first message
	for i := range count {
		number, n := binary.Varint(value[at:])
		if n <= 0 {
			return nil, 0, errors.New("the way to the message cannot be read")
		}
		way[i] = number
		at += n
	}
	m = plan.messages[string(value[:at])]
	if m == nil {
		m = d.compileMessage(plan.file, way)
		if len(plan.messages) >= maxWays {
			clear(plan.messages)
		}
		plan.messages[string(value[:at])] = m
	}
	plan.lastWay, plan.last = append(plan.lastWay[:0], value[:at]...), m
	return m, at, nil
}

// compileMessage makes the plan of a message.
func (d *schemaDecoder) compileMessage(file protoreflect.FileDescriptor, way []int64) *protoMessage {
	all := file.Messages()
	var md protoreflect.MessageDescriptor
	for _, i := range way {
		if i < 0 || i >= int64(all.Len()) {
			return &protoMessage{unfit: fmt.Errorf("it has no message %v", way)}
		}
		md = all.Get(int(i))
		all = md.Messages()
	}
	m, err := d.messagePlan(md, d.paths())
	if err != nil {
		return &protoMessage{unfit: fmt.Errorf("message %s: %w", md.FullName(), err)}
	}
	return m
}

// messagePlan makes the plan of a message, for columns by their paths. The error says all that does
// not fit.
func (d *schemaDecoder) messagePlan(md protoreflect.MessageDescriptor, paths map[int]string) (*protoMessage, error) {
	m := &protoMessage{high: map[protowire.Number]uint16{}}
	var faults []error
	used := map[int]bool{}
	members := map[protoreflect.Name][]int{} // columns of the oneof that has the field, by field
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		f := protoField{column: -1, wire: protoWire(fd)}
		inner := map[int]string{}
		for column, path := range paths {
			rest, ok := strings.CutPrefix(path, string(fd.Name()))
			switch {
			case ok && rest == "":
				f.column = column
			case ok && rest[0] == '.':
				inner[column] = rest[1:]
			default:
				continue
			}
			used[column] = true
			members[fd.Name()] = append(members[fd.Name()], column)
		}
		if f.column >= 0 || len(inner) > 0 {
			err := d.bindProto(m, &f, fd, inner)
			if err != nil {
				faults = append(faults, err)
				continue
			}
		}
		if len(members[fd.Name()]) > 0 || fd.ContainingOneof() != nil {
			m.add(fd.Number(), f)
		}
	}
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		if fd.ContainingOneof() == nil || len(faults) > 0 {
			continue
		}
		f := m.field(fd.Number())
		others := fd.ContainingOneof().Fields()
		for k := range others.Len() {
			if other := others.Get(k); other.Number() != fd.Number() {
				f.ends = append(f.ends, members[other.Name()]...)
			}
		}
	}
	for column := range d.schema.Len() {
		path, ok := paths[column]
		if ok && !used[column] && !d.schema.Field(column).Nullable {
			faults = append(faults, fmt.Errorf("there is no field %q, and column %q is not nullable", path,
				d.schema.Field(column).Name))
		}
	}
	return m, errors.Join(faults...)
}

// add adds a field.
func (m *protoMessage) add(number protowire.Number, f protoField) {
	m.fields = append(m.fields, f)
	if number < lowNumbers {
		m.low[number] = uint16(len(m.fields))
	} else {
		m.high[number] = uint16(len(m.fields))
	}
}

// field finds a field by its number; nil if nothing is done with it.
func (m *protoMessage) field(number protowire.Number) *protoField {
	i := uint16(0)
	if number < lowNumbers {
		i = m.low[number]
	} else {
		i = m.high[number]
	}
	if i == 0 {
		return nil
	}
	return &m.fields[i-1]
}

// protoWire is the wire type of the values of a field.
func protoWire(fd protoreflect.FieldDescriptor) protowire.Type {
	switch fd.Kind() {
	case protoreflect.BoolKind, protoreflect.EnumKind, protoreflect.Int32Kind, protoreflect.Sint32Kind,
		protoreflect.Uint32Kind, protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Uint64Kind:
		return protowire.VarintType
	case protoreflect.Sfixed32Kind, protoreflect.Fixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Sfixed64Kind, protoreflect.Fixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.BytesType
}

// bindProto finds out how a field becomes columns.
func (d *schemaDecoder) bindProto(
	m *protoMessage, f *protoField, fd protoreflect.FieldDescriptor, inner map[int]string,
) error {
	column := f.column
	if column < 0 {
		column = first(inner)
	}
	switch {
	case fd.IsMap():
		return d.unfitProto(column, fd, "a map", "")
	case fd.IsList():
		return d.unfitProto(column, fd, "repeated", "")
	case fd.Kind() == protoreflect.GroupKind:
		return d.unfitProto(column, fd, "a group", "")
	}
	if len(inner) > 0 {
		if fd.Kind() != protoreflect.MessageKind {
			return d.unfitProto(column, fd, fd.Kind().String(), "a message, whose fields are named after the point")
		}
		within, err := d.messagePlan(fd.Message(), inner)
		if err != nil {
			return err
		}
		f.within = within
		m.times = append(m.times, within.times...)
	}
	if f.column < 0 {
		return nil
	}
	to := d.schema.Field(f.column).Type
	f.set = d.protoConverter(fd, to)
	if f.set == nil {
		is := fd.Kind().String()
		if fd.Kind() == protoreflect.MessageKind {
			is = "message " + string(fd.Message().FullName())
		}
		return d.unfitProto(f.column, fd, is, protoExpected(to))
	}
	if fd.Kind() == protoreflect.MessageKind {
		m.times = append(m.times, f.column)
	} else if !fd.HasPresence() {
		zero := protoZero{column: f.column}
		err := f.set(d, &zero.value, 0, nil)
		if err != nil {
			return err
		}
		zero.value.text = append([]byte(nil), zero.value.text...)
		m.zeros = append(m.zeros, zero)
	}
	return nil
}

// unfitProto is an error about a field that is no use for a column.
func (d *schemaDecoder) unfitProto(column int, fd protoreflect.FieldDescriptor, is, want string) error {
	if want != "" {
		want = ", expected " + want
	} else {
		want = ", which is no column"
	}
	return fmt.Errorf("column %q: the field %s is %s%s", d.schema.Field(column).Name, fd.Name(), is, want)
}

// protoExpected says what may become a column.
func protoExpected(t record.Type) string {
	switch {
	case t == record.Bool:
		return "bool"
	case t == record.Int64:
		return "a whole number"
	case t == record.Float64:
		return "double, float or a whole number"
	case t == record.Timestamp:
		return timestampName + ", or a whole number together with time.unit"
	case t.IsDecimal():
		return "a whole number"
	case t.IsWide():
		return "a whole number or string"
	case t == record.Bytes:
		return "bytes"
	case t.IsLogical():
		return "nothing, because Protobuf has no such type: declare the column as text or bytea and cast it in SELECT"
	}
	return "string, bytes or an enum"
}

// message reads a message.
func (d *schemaDecoder) message(m *protoMessage, buf []byte) error {
	for i := range m.zeros {
		z := &m.zeros[i]
		if d.values[z.column].null {
			d.values[z.column] = z.value
		}
	}
	for len(buf) > 0 {
		number, wire, n := protowire.ConsumeTag(buf)
		if n < 0 {
			return protowire.ParseError(n)
		}
		buf = buf[n:]
		f := m.field(number)
		if f == nil || f.wire != wire || f.set == nil && f.within == nil {
			n = protowire.ConsumeFieldValue(number, wire, buf)
			if n < 0 {
				return protowire.ParseError(n)
			}
			if f != nil && f.wire == wire {
				d.end(f)
			}
			buf = buf[n:]
			continue
		}
		n, err := d.field(f, buf)
		if err != nil {
			return err
		}
		buf = buf[n:]
	}
	return nil
}

// end makes the columns of the other members of a oneof NULL.
func (d *schemaDecoder) end(f *protoField) {
	for _, column := range f.ends {
		d.values[column] = columnValue{null: true}
	}
}

// field reads a value of a field that has columns. It returns how many bytes it has.
func (d *schemaDecoder) field(f *protoField, buf []byte) (n int, err error) {
	var number uint64
	var text []byte
	switch f.wire {
	case protowire.VarintType:
		number, n = protowire.ConsumeVarint(buf)
	case protowire.Fixed32Type:
		var v uint32
		v, n = protowire.ConsumeFixed32(buf)
		number = uint64(v)
	case protowire.Fixed64Type:
		number, n = protowire.ConsumeFixed64(buf)
	default:
		text, n = protowire.ConsumeBytes(buf)
	}
	if n < 0 {
		return 0, protowire.ParseError(n)
	}
	d.end(f)
	if f.within != nil {
		err = d.message(f.within, text)
		if err != nil {
			return 0, err
		}
	}
	if f.column >= 0 {
		v := &d.values[f.column]
		if v.null {
			*v = columnValue{}
		}
		err = f.set(d, v, number, text)
		if err != nil {
			return 0, fmt.Errorf("column %q: %w", d.schema.Field(f.column).Name, err)
		}
	}
	return n, nil
}

// protoConverter is how a field becomes a value of a column; nil if it does not.
func (d *schemaDecoder) protoConverter(fd protoreflect.FieldDescriptor, to record.Type) protoConverter {
	whole := protoWhole(fd.Kind())
	switch {
	case to == record.Bytes && fd.Kind() == protoreflect.BytesKind:
		return protoText(fd)
	case to.IsWide() && whole != nil:
		return func(d *schemaDecoder, v *columnValue, n uint64, _ []byte) error {
			i, err := whole(n)
			if err != nil {
				return err
			}
			return d.wide(v, to, int128.Of(i), 0)
		}
	case to.IsWide() && fd.Kind() == protoreflect.StringKind:
		return func(d *schemaDecoder, v *columnValue, _ uint64, text []byte) error { return d.logical(v, to, text) }
	case to.IsLogical():
		return nil
	case to == record.Bool && fd.Kind() == protoreflect.BoolKind:
		return func(_ *schemaDecoder, v *columnValue, n uint64, _ []byte) error {
			v.int = 0
			if n != 0 {
				v.int = 1
			}
			return nil
		}
	case to == record.Int64 && whole != nil:
		return func(_ *schemaDecoder, v *columnValue, n uint64, _ []byte) (err error) {
			v.int, err = whole(n)
			return err
		}
	case to == record.Float64 && fd.Kind() == protoreflect.DoubleKind:
		return func(_ *schemaDecoder, v *columnValue, n uint64, _ []byte) error {
			v.float = math.Float64frombits(n)
			return nil
		}
	case to == record.Float64 && fd.Kind() == protoreflect.FloatKind:
		return func(_ *schemaDecoder, v *columnValue, n uint64, _ []byte) error {
			v.float = float64(math.Float32frombits(uint32(n)))
			return nil
		}
	case to == record.Float64 && whole != nil:
		return func(_ *schemaDecoder, v *columnValue, n uint64, _ []byte) error {
			i, err := whole(n)
			v.float = float64(i)
			if err == nil && (i > 1<<53 || i < -1<<53) {
				err = fmt.Errorf("%d would lose digits as double precision", i)
			}
			return err
		}
	case to == record.Timestamp && fd.Kind() == protoreflect.MessageKind && fd.Message().FullName() == timestampName:
		return (*schemaDecoder).timestampParts
	case to == record.Timestamp && whole != nil && d.timeUnit > 0:
		unit := int64(d.timeUnit)
		return timesProto(whole, unit, math.MaxInt64/unit, "is out of the range of a timestamp")
	case to.IsDecimal() && whole != nil:
		return timesProto(whole, record.Pow10[to.Scale()], record.Pow10[to.Precision()-to.Scale()]-1,
			fmt.Sprintf("does not fit %v", to))
	case to == record.String:
		return protoText(fd)
	}
	return nil
}

// protoText is protoConverter for text.
func protoText(fd protoreflect.FieldDescriptor) protoConverter {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return func(_ *schemaDecoder, v *columnValue, _ uint64, text []byte) error {
			v.text = text
			if !utf8.Valid(text) {
				return errors.New("the string is not UTF-8")
			}
			return nil
		}
	case protoreflect.BytesKind:
		return func(_ *schemaDecoder, v *columnValue, _ uint64, text []byte) error {
			v.text = text
			return nil
		}
	case protoreflect.EnumKind:
		names := map[int32][]byte{}
		values := fd.Enum().Values()
		for i := range values.Len() {
			number := int32(values.Get(i).Number())
			if names[number] == nil { // the first name of a number counts
				names[number] = []byte(values.Get(i).Name())
			}
		}
		return func(d *schemaDecoder, v *columnValue, n uint64, _ []byte) error {
			v.text = names[int32(n)]
			if v.text == nil { // a later schema has a name for it
				at := len(d.digits)
				d.digits = strconv.AppendInt(d.digits, int64(int32(n)), 10)
				v.text = d.digits[at:]
			}
			return nil
		}
	}
	return nil
}

// protoWhole is how a whole number is made of what the wire has; nil if the kind is none.
func protoWhole(kind protoreflect.Kind) func(uint64) (int64, error) {
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind:
		return func(n uint64) (int64, error) { return int64(int32(n)), nil }
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return func(n uint64) (int64, error) { return int64(uint32(n)), nil }
	case protoreflect.Sint32Kind:
		return func(n uint64) (int64, error) { return int64(int32(protowire.DecodeZigZag(n & math.MaxUint32))), nil }
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return func(n uint64) (int64, error) { return int64(n), nil }
	case protoreflect.Sint64Kind:
		return func(n uint64) (int64, error) { return protowire.DecodeZigZag(n), nil }
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return func(n uint64) (int64, error) {
			if n > math.MaxInt64 {
				return 0, fmt.Errorf("%d does not fit bigint", n)
			}
			return int64(n), nil
		}
	}
	return nil
}

// timesProto reads a whole number of at most most digits' worth, and multiplies it.
func timesProto(whole func(uint64) (int64, error), unit, most int64, otherwise string) protoConverter {
	return func(_ *schemaDecoder, v *columnValue, n uint64, _ []byte) error {
		i, err := whole(n)
		if err == nil && (i > most || i < -most) {
			err = fmt.Errorf("%d %s", i, otherwise)
		}
		v.int = i * unit
		return err
	}
}

// timestampParts reads a Timestamp: seconds into int, and nanoseconds into nanos. Another one of
// the same field is merged with it, so they are put together when the whole value has been read.
func (d *schemaDecoder) timestampParts(v *columnValue, _ uint64, text []byte) error {
	for len(text) > 0 {
		number, wire, n := protowire.ConsumeTag(text)
		if n < 0 {
			return protowire.ParseError(n)
		}
		text = text[n:]
		if wire == protowire.VarintType && (number == 1 || number == 2) {
			var u uint64
			u, n = protowire.ConsumeVarint(text)
			if number == 1 {
				v.int = int64(u)
			} else {
				v.nanos = int32(u)
			}
		} else {
			n = protowire.ConsumeFieldValue(number, wire, text)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		text = text[n:]
	}
	return nil
}

// timestamp puts seconds and nanoseconds together.
func (v *columnValue) timestamp() error {
	if v.null {
		return nil
	}
	const second = int64(time.Second)
	if v.nanos < 0 || int64(v.nanos) >= second {
		return fmt.Errorf("a Timestamp of %d nanoseconds, expected 0 to 999999999", v.nanos)
	}
	if v.int >= math.MaxInt64/second || v.int <= math.MinInt64/second {
		return fmt.Errorf("%d seconds are out of the range of a timestamp", v.int)
	}
	v.int = v.int*second + int64(v.nanos)
	return nil
}
