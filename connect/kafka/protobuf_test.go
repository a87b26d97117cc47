package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/velo-engine/velo/record"
)

const userProto = `syntax = "proto3"; package shop;
message User { int64 id = 1; repeated string tags = 2; optional Place home = 3;
  message Place { string city = 1; string street = 700; User owner = 4; } }`

const orderProto = `syntax = "proto3"; package shop;
import "user.proto"; import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto";
message Other { string nothing = 1; }
message Order {
  enum Side { option allow_alias = true; UNKNOWN = 0; BUY = 1; ASK = 2; SELL = 2; LOW = -3; }
  User who = 1;
  Side side = 2;
  optional double price = 3;
  google.protobuf.Timestamp at = 4;
  bool paid = 5;
  bytes raw = 6;
  map<string, int32> extra = 7;
  repeated int32 many = 8;
  oneof way { int32 card = 9; string cash = 10; User friend = 11; fixed64 code = 12; Other other = 13; }
  uint64 big = 100; sint32 small = 101; fixed32 four = 102; float f = 103; sfixed64 eight = 104; int32 cents = 105;
  google.protobuf.Int64Value boxed = 106;
  message Line { string sku = 1; }
}`

// orderFields are columns of it.
var orderFields = []record.Field{
	{Name: "who.id", Type: record.Int64, Nullable: true},
	{Name: "who.home.city", Type: record.String, Nullable: true},
	{Name: "who.home.street", Type: record.String, Nullable: true},
	{Name: "side", Type: record.String},
	{Name: "price", Type: record.Float64, Nullable: true},
	{Name: "at", Type: record.Timestamp, Nullable: true},
	{Name: "at.seconds", Type: record.Int64, Nullable: true},
	{Name: "paid", Type: record.Bool},
	{Name: "raw", Type: record.String},
	{Name: "card", Type: record.Int64, Nullable: true},
	{Name: "cash", Type: record.String, Nullable: true},
	{Name: "friend.id", Type: record.Int64, Nullable: true},
	{Name: "code", Type: record.Int64, Nullable: true},
	{Name: "big", Type: record.Int64},
	{Name: "small", Type: record.Int64},
	{Name: "four", Type: record.Float64},
	{Name: "f", Type: record.Float64},
	{Name: "eight", Type: record.Int64},
	{Name: "cents", Type: record.DecimalOf(12, 2)},
	{Name: "boxed.value", Type: record.Int64, Nullable: true},
	{Name: "none", Type: record.Int64, Nullable: true},
}

// compiled compiles a file of Protobuf.
func compiled(t testing.TB, text string) protoreflect.FileDescriptor {
	t.Helper()
	l := &schemaLoad{files: map[string]string{"user.proto": userProto}}
	file, err := l.compile(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// protoFrame is a value as serializers write it.
func protoFrame(id uint32, payload []byte, way ...int64) []byte {
	var head []byte
	if len(way) == 1 && way[0] == 0 {
		head = []byte{0}
	} else {
		head = binary.AppendVarint(nil, int64(len(way)))
		for _, i := range way {
			head = binary.AppendVarint(head, i)
		}
	}
	return framed(id, append(head, payload...))
}

// fill sets random fields of a message.
func fillRandom(random *rand.Rand, m protoreflect.Message, depth int) {
	for i := range m.Descriptor().Fields().Len() {
		fd := m.Descriptor().Fields().Get(i)
		if random.IntN(3) == 0 {
			continue
		}
		switch {
		case fd.IsMap():
			m.Mutable(fd).Map().Set(protoreflect.ValueOfString("k").MapKey(), protoreflect.ValueOfInt32(7))
		case fd.IsList():
			for range random.IntN(4) {
				m.Mutable(fd).List().Append(randomProto(random, fd))
			}
		case fd.Kind() == protoreflect.MessageKind && fd.Message().FullName() == timestampName:
			at := m.Mutable(fd).Message()
			at.Set(at.Descriptor().Fields().ByNumber(1), protoreflect.ValueOfInt64(random.Int64N(1e10)-5e9))
			if random.IntN(2) == 0 {
				at.Set(at.Descriptor().Fields().ByNumber(2), protoreflect.ValueOfInt32(random.Int32N(1e9)))
			}
		case fd.Kind() == protoreflect.MessageKind:
			if depth < 4 {
				fillRandom(random, m.Mutable(fd).Message(), depth+1)
			}
		default:
			m.Set(fd, randomProto(random, fd))
		}
	}
}

// randomProto is a value that is not a message.
func randomProto(random *rand.Rand, fd protoreflect.FieldDescriptor) protoreflect.Value {
	n := int64(random.Uint64()) >> random.IntN(64)
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(n&1 != 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(random.IntN(9) - 4))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n) >> 1)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(float32(random.NormFloat64()))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(random.NormFloat64())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(strings.Repeat("ü", random.IntN(40)))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(strings.Repeat("\xff", random.IntN(40))))
	}
	return protoreflect.ValueOfInt64(n)
}

// protoRow is the row of a message as the library has read it. It is false if a value does not fit
// its column.
func protoRow(m protoreflect.Message, fields []record.Field) (row string, fits bool) {
	var values []string
	for _, f := range fields {
		text, ok := protoColumn(m, strings.Split(f.Name, "."), f.Type)
		if !ok {
			return "", false
		}
		values = append(values, text)
	}
	return strings.Join(values, "|"), true
}

func protoColumn(m protoreflect.Message, path []string, to record.Type) (text string, fits bool) {
	fd := m.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	if fd == nil || fd.HasPresence() && !m.Has(fd) {
		return "NULL", true
	}
	v := m.Get(fd)
	if len(path) > 1 {
		return protoColumn(v.Message(), path[1:], to)
	}
	switch fd.Kind() {
	case protoreflect.MessageKind:
		parts := v.Message()
		seconds := parts.Get(parts.Descriptor().Fields().ByNumber(1)).Int()
		nanos := parts.Get(parts.Descriptor().Fields().ByNumber(2)).Int()
		return fmt.Sprint(seconds*1e9 + nanos), nanos >= 0 && nanos < 1e9 && seconds < math.MaxInt64/int64(time.Second) &&
			seconds > math.MinInt64/int64(time.Second)
	case protoreflect.EnumKind:
		if value := fd.Enum().Values().ByNumber(v.Enum()); value != nil {
			return string(value.Name()), true
		}
		return fmt.Sprint(v.Enum()), true
	case protoreflect.BoolKind:
		return map[bool]string{false: "0", true: "1"}[v.Bool()], true
	case protoreflect.BytesKind:
		return string(v.Bytes()), true
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind, protoreflect.Fixed32Kind, protoreflect.Uint32Kind:
		if to == record.Float64 {
			return fmt.Sprint(float64(v.Uint())), v.Uint() <= 1<<53
		}
		return fmt.Sprint(v.Uint()), v.Uint() <= math.MaxInt64
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return fmt.Sprint(v.Float()), true
	case protoreflect.StringKind:
		return v.String(), true
	}
	n := v.Int()
	if to.IsDecimal() {
		return fmt.Sprint(n * record.Pow10[to.Scale()]), n < record.Pow10[to.Precision()-to.Scale()] &&
			-n < record.Pow10[to.Precision()-to.Scale()]
	}
	return fmt.Sprint(n), true
}

// protoDecoder is a decoder with schema 1.
func protoDecoder(t testing.TB, file protoreflect.FileDescriptor, fields []record.Field) (*schemaDecoder, *record.Batch) {
	schema := schemaOf(t, fields...)
	d := newSchemaDecoder(&SourceConfig{}, schema, nil)
	p := &schemaPlan{}
	p.compile(d, &writtenSchema{proto: file})
	d.plans[1] = p
	return d, record.NewBatch(schema, 1)
}

// Goal: values become the rows that Google's library makes of them: defaults, fields that are not
// there, oneofs, nested messages, enums, times; also if messages are put one after the other, which
// merges them. Method: random messages, of a topic with two partitions and two schemas.
func TestProtobufTwin(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	f := newFake(t, 2, "proto")
	reply := func(text string) string {
		return fmt.Sprintf(`{"schemaType":"PROTOBUF","schema":%q,"references":[{"name":"user.proto","subject":"user","version":1}]}`, text)
	}
	s := newSchemas(t, map[string]string{
		"/schemas/ids/1":            reply(orderProto),
		"/schemas/ids/2":            reply(strings.ReplaceAll(orderProto, "message Other {", "message Before {} message Other {")),
		"/subjects/user/versions/1": fmt.Sprintf(`{"schemaType":"PROTOBUF","schema":%q}`, userProto),
	})
	md := compiled(t, orderProto).Messages().ByName("Order")
	var all []*kgo.Record
	var want []string
	for n := range 2000 {
		var payload []byte
		for range 1 + random.IntN(3) {
			m := dynamicpb.NewMessage(md)
			fillRandom(random, m, 0)
			text, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			payload = append(payload, text...)
		}
		m := dynamicpb.NewMessage(md)
		err := proto.Unmarshal(payload, m)
		if err != nil {
			t.Fatal(err)
		}
		row, fits := protoRow(m, orderFields)
		if !fits {
			t.Fatalf("seed %d: a random message does not fit", seed)
		}
		want = append(want, row)
		value := protoFrame(1, payload, 1)
		if n%2 == 1 {
			value = protoFrame(2, payload, 2)
		}
		all = append(all, &kgo.Record{Topic: "proto", Partition: int32(random.IntN(2)), Value: value})
	}
	f.produce(all...)
	src, err := f.source(SourceConfig{
		Topic: "proto", Schema: schemaOf(t, orderFields...), Format: Protobuf, UntilEnd: true,
		Registry: RegistryConfig{URL: s.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	rs, err := src.Readers(0)
	if err != nil {
		t.Fatal(err)
	}
	got, rejects, err := rows(t, src.cfg.Schema, rs)
	slices.Sort(got)
	slices.Sort(want)
	if err != nil || len(rejects) > 0 || !slices.Equal(got, want) {
		t.Errorf("seed %d: %v, %q set aside, %d rows, expected %d", seed, err, rejects[:min(len(rejects), 1)], len(got),
			len(want))
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("%s, expected %s", got[i], want[i])
			}
		}
	}
}

// Goal: what cannot be a row is set aside with its place and the reason, and the records around it
// are read. Method: values made by hand.
func TestProtobufAside(t *testing.T) {
	f := newFake(t, 1, "aside")
	reply := func(text string) string { return fmt.Sprintf(`{"schemaType":"PROTOBUF","schema":%q}`, text) }
	v := func(text string) string { return reply(`syntax = "proto3"; message M { ` + text + ` }`) }
	s := newSchemas(t, map[string]string{
		"/schemas/ids/1": v("optional int64 v = 1; int32 w = 2;"), "/schemas/ids/2": v("repeated int64 v = 1; int32 w = 2;"),
		"/schemas/ids/3": v("map<int32, int32> v = 1; int32 w = 2;"), "/schemas/ids/4": v("string v = 1;"),
		"/schemas/ids/5": answer(`"long"`), "/schemas/ids/6": reply(`message {`),
		"/schemas/ids/7": reply(`syntax = "proto3"; import "not.there"; message M {}`),
		"/schemas/ids/8": reply(`syntax = "proto2"; message M { optional group Old = 1 { optional int64 v = 1; } ` +
			`required int32 w = 2; optional int64 v = 3 [default = 7]; }`),
		"/schemas/ids/9": v("M v = 1; int32 w = 2;"),
	})
	good := protoFrame(1, []byte{8, 5, 16, 6}, 0)
	var values [][]byte
	var want []string
	add := func(reason string, value []byte) {
		if reason != "" {
			want = append(want, fmt.Sprintf("aside/0, offset %d: %s", len(values), reason))
		}
		values = append(values, value, good)
	}
	add("", good)
	add("the value does not begin with a byte 0", []byte(`{"v":1}`))
	add("schema 1: the way to the message cannot be read", framed(1, nil))
	add("schema 1: the way to the message cannot be read", framed(1, []byte{4, 0}))
	add("schema 1: the way to the message cannot be read", framed(1, []byte{1}))
	add("schema 1: the way to the message cannot be read", framed(1, []byte{254, 254, 254, 1}))
	add("schema 1: it has no message [3]", protoFrame(1, nil, 3))
	add("schema 1: it has no message [0 0]", protoFrame(1, nil, 0, 0))
	add("schema 1: it has no message [-1]", protoFrame(1, nil, -1))
	add("schema 1: unexpected EOF", good[:len(good)-1])
	add("schema 1: invalid field number", protoFrame(1, []byte{0, 0}, 0))
	add("schema 1: mismatching end group marker", protoFrame(1, []byte{12}, 0))
	add("schema 1: unexpected EOF", protoFrame(1, []byte{11, 8}, 0)) // a group that does not end
	add("schema 2: message M: column \"v\": the field v is repeated, which is no column", protoFrame(2, nil, 0))
	add("schema 3: message M: column \"v\": the field v is a map, which is no column", protoFrame(3, nil, 0))
	add("schema 4: message M: column \"v\": the field v is string, expected a whole number\n"+
		"there is no field \"w\", and column \"w\" is not nullable", protoFrame(4, nil, 0))
	add("schema 5: the schema cannot be used: it is of type AVRO, expected PROTOBUF", protoFrame(5, nil, 0))
	add("schema 6: the schema cannot be used: schema:1:", protoFrame(6, nil, 0))
	add("schema 7: the schema cannot be used: schema:1:", protoFrame(7, nil, 0))
	add("column \"w\" is null, and not nullable", protoFrame(8, []byte{24, 9}, 0))
	add("schema 9: message M: column \"v\": the field v is message M, expected a whole number", protoFrame(9, nil, 0))
	for _, value := range []struct{ in, want string }{
		{"\x08\x05\x10\x06", "5|6"},
		{"\x10\x06\x08\x01\x08\x05", "5|6"},             // the last counts
		{"\x10\x06", "NULL|6"},                          // not there, with presence
		{"\x08\x00", "0|0"},                             // there, and the default of the other
		{"\x0a\x01\x05\x08\x05\x15abcd\x10\x06", "5|6"}, // of other wire types: unknown fields
		{"\x0b\x08\x07\x0c\x08\x05\x10\x06", "5|6"},     // a group is one, too
	} {
		d, b := protoDecoder(t, compiled(t, `syntax = "proto3"; message M { optional int64 v = 1; int32 w = 2; }`),
			[]record.Field{{Name: "v", Type: record.Int64, Nullable: true}, {Name: "w", Type: record.Int64}})
		d.add(protoFrame(1, []byte(value.in), 0))
		if d.parse(b); b.Len() != 1 || rowTexts(b)[0] != value.want {
			t.Errorf("%x: %v, %v, expected %s", value.in, rowTexts(b), b.Rejects(), value.want)
		}
	}
	var all []*kgo.Record
	for _, v := range values {
		all = append(all, &kgo.Record{Topic: "aside", Value: v})
	}
	f.produce(all...)
	schema := schemaOf(t, record.Field{Name: "v", Type: record.Int64, Nullable: true},
		record.Field{Name: "w", Type: record.Int64})
	src, err := f.source(SourceConfig{
		Topic: "aside", Schema: schema, Format: Protobuf, UntilEnd: true, Registry: RegistryConfig{URL: s.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	rs, err := src.Readers(0)
	if err != nil {
		t.Fatal(err)
	}
	got, rejects, err := rows(t, schema, rs)
	if err != nil || len(got) != len(values)-len(want) || got[0] != "5|6" || len(rejects) != len(want) {
		t.Fatalf("%v: %d rows, expected %d; set aside are %q", err, len(got), len(values)-len(want), rejects)
	}
	for i := range want {
		// The library writes a space or a no-break space, so that nobody relies on its words.
		if said := strings.ReplaceAll(rejects[i], "\u00a0", " "); !strings.HasPrefix(strings.ReplaceAll(said, "proto: ", ""), want[i]) {
			t.Errorf("%s, expected %s", said, want[i])
		}
	}
}

// Goal: no bytes make the decoder panic or read outside of a value, and what Google's library reads
// is the same row, unless a value does not fit its column.
func FuzzProtobuf(f *testing.F) {
	file := compiled(f, orderProto)
	md := file.Messages().ByName("Order")
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		m := dynamicpb.NewMessage(md)
		fillRandom(random, m, 0)
		text, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("\x4a\x01\x05\x48\x05\x5a\x02\x08\x07\x52\x01a\x22\x02\x08\x05\x22\x02\x10\x07"))
	d, b := protoDecoder(f, file, orderFields)
	f.Fuzz(func(t *testing.T, payload []byte) {
		b.Reset()
		d.add(protoFrame(1, payload, 1))
		if n := d.parse(b); n != 1 || b.Len()+len(b.Rejects()) != 1 {
			t.Fatalf("%d values, %d rows, %d set aside", n, b.Len(), len(b.Rejects()))
		}
		err := b.Check()
		if err != nil {
			t.Fatal(err)
		}
		m := dynamicpb.NewMessage(md)
		err = proto.Unmarshal(payload, m)
		if err != nil {
			return // what is passed over is not parsed, so it may be a row
		}
		want, fits := protoRow(m, orderFields)
		switch {
		case b.Len() == 0 && fits && !passing(payload):
			t.Fatalf("set aside: %v, expected %s", b.Rejects()[0].Reason, want)
		case b.Len() == 1 && (!fits || rowTexts(b)[0] != want):
			t.Fatalf("%s, expected %s, fits: %v", rowTexts(b)[0], want, fits)
		}
	})
}

// passing says whether a field may come twice in a message, so that a value that does not fit may
// have been replaced by one that does: our decoder has set it aside at the first.
func passing(payload []byte) bool {
	seen := map[protowire.Number]bool{}
	for len(payload) > 0 {
		number, wire, n := protowire.ConsumeTag(payload)
		if n < 0 {
			return false
		}
		m := protowire.ConsumeFieldValue(number, wire, payload[n:])
		if m < 0 || seen[number] {
			return m >= 0
		}
		seen[number] = true
		payload = payload[n+m:]
	}
	return seen[9] || seen[10] || seen[11] || seen[12] || seen[13] // members of a oneof replace each other
}

// Goal: numbers at the limits of their columns, and what no column takes.
func TestProtobufLimits(t *testing.T) {
	tag := func(wire protowire.Type) []byte { return protowire.AppendTag(nil, 1, wire) }
	varint := func(n uint64) []byte { return protowire.AppendVarint(tag(protowire.VarintType), n) }
	at := func(seconds int64, nanos int32) []byte {
		b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(seconds))
		b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(int64(nanos)))
		return protowire.AppendBytes(tag(protowire.BytesType), b)
	}
	const stamp = timestampName
	for _, c := range []struct {
		typ  string
		to   record.Type
		in   []byte
		want string
	}{
		{"uint64", record.Int64, varint(math.MaxInt64), "9223372036854775807"},
		{"uint64", record.Int64, varint(math.MaxInt64 + 1), "9223372036854775808 does not fit bigint"},
		{"int32", record.Int64, varint(math.MaxUint64), "-1"},
		{"int32", record.Int64, varint(1 << 31), "-2147483648"},
		{"uint32", record.Int64, varint(1<<32 + 5), "5"},
		{"sint32", record.Int64, varint(math.MaxUint32), "-2147483648"},
		{"bool", record.Bool, varint(2), "1"},
		{"int64", record.Float64, varint(1 << 53), "9.007199254740992e+15"},
		{"int64", record.Float64, varint(1<<53 + 1), "would lose digits"},
		{"int64", record.DecimalOf(4, 2), varint(99), "9900"},
		{"int64", record.DecimalOf(4, 2), varint(100), "100 does not fit decimal(4,2)"},
		{stamp, record.Timestamp, at(9223372035, 999999999), "9223372035999999999"},
		{stamp, record.Timestamp, at(9223372036, 0), "out of the range"},
		{stamp, record.Timestamp, at(-9223372035, 1), "-9223372034999999999"},
		{stamp, record.Timestamp, at(0, -1), "a Timestamp of -1 nanoseconds"},
		{stamp, record.Timestamp, at(0, 1e9), "a Timestamp of 1000000000 nanoseconds"},
		{stamp, record.Timestamp, append(tag(protowire.BytesType), 1, 8), "unexpected EOF"},
		{stamp, record.Timestamp, append(tag(protowire.BytesType), 3, 0x1a, 1, 0), "0"},
		{"string", record.String, append(tag(protowire.BytesType), 1, 0xff), "the string is not UTF-8"},
		{"bytes", record.String, append(tag(protowire.BytesType), 1, 0xff), "\xff"},
		{"bytes", record.Bytes, append(tag(protowire.BytesType), 2, 0, 0xff), "\x00\xff"},
		{"string", record.Bytes, nil, "expected bytes"},
		{"string", record.UUID, nil, "declare the column as text or bytea and cast it"},
		{"int64", record.Interval, nil, "declare the column as text or bytea and cast it"},
		{"int64", record.Timestamp, nil, "expected google.protobuf.Timestamp, or a whole number together with time.unit"},
		{"string", record.Bool, nil, "the field v is string, expected bool"},
		{"double", record.Int64, nil, "expected a whole number"},
		{"M", record.String, nil, "the field v is message M, expected string, bytes or an enum"},
		{"bool", record.Float64, nil, "expected double, float or a whole number"},
	} {
		text := `syntax = "proto3"; import "google/protobuf/timestamp.proto"; message M { ` + c.typ + ` v = 1; }`
		d, b := protoDecoder(t, compiled(t, text), []record.Field{{Name: "v", Type: c.to, Nullable: true}})
		d.add(protoFrame(1, c.in, 0))
		d.parse(b)
		got := strings.Join(rowTexts(b), "")
		if len(b.Rejects()) > 0 {
			got = strings.ReplaceAll(b.Rejects()[0].Reason.Error(), "\u00a0", " ")
		}
		if !strings.Contains(got, c.want) || got == "" {
			t.Errorf("%s to %v: %s, expected %s", c.typ, c.to, got, c.want)
		}
	}
	d, b := protoDecoder(t, compiled(t, `syntax = "proto3"; message M { M v = 1; int32 w = 2; }`),
		[]record.Field{{Name: "w.x", Type: record.Int64, Nullable: true}})
	d.add(protoFrame(1, nil, 0))
	d.parse(b)
	if said := fmt.Sprint(b.Rejects()); !strings.Contains(said, "the field w is int32, expected a message") {
		t.Error(said)
	}
}

// Goal: a value costs no allocation, and the ways to messages that are kept are bounded.
func TestProtobufAllocations(t *testing.T) {
	file := compiled(t, orderProto)
	m := dynamicpb.NewMessage(file.Messages().ByName("Order"))
	fillRandom(rand.New(rand.NewPCG(3, 4)), m, 0)
	text, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	d, b := protoDecoder(t, file, orderFields)
	value := protoFrame(1, text, 1)
	work := func() {
		b.Reset()
		d.add(value)
		d.parse(b)
	}
	work()
	if n := testing.AllocsPerRun(100, work); n > 0 || b.Len() != 1 {
		t.Errorf("%v allocations, %d rows", n, b.Len())
	}
	for i := range int64(maxWays + 10) {
		b.Reset()
		d.add(protoFrame(1, nil, i+5))
		d.parse(b)
	}
	if n := len(d.plans[1].proto.messages); n > maxWays {
		t.Errorf("%d ways", n)
	}
	l := &schemaLoad{files: map[string]string{}}
	_, err = l.compile(context.Background(), "nonsense")
	if !errors.Is(err, errNoSchema) {
		t.Errorf("%v", err)
	}
}
