package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/record"
)

// schemas is a schema registry for tests.
type schemas struct {
	*httptest.Server
	answers map[string]string // by path
	asked   atomic.Int64
	// before is called for each request; it returns a status to answer with, or 0.
	before func(n int64, r *http.Request) int
}

func newSchemas(t testing.TB, answers map[string]string) *schemas {
	s := &schemas{answers: answers}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := s.asked.Add(1)
		status := 0
		if s.before != nil {
			status = s.before(n, r)
		}
		text, ok := s.answers[r.URL.Path]
		switch {
		case status != 0:
			w.WriteHeader(status)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = w.Write([]byte(text))
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// answer is what a registry says of a schema.
func answer(schema string) string { return fmt.Sprintf(`{"schema":%q}`, schema) }

// framed is a value as serializers write it.
func framed(id uint32, payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), payload...)
}

// encoded is a value of a schema.
func encoded(t testing.TB, id uint32, schema string, v any) []byte {
	t.Helper()
	payload, err := avro.MustParse(schema).Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return framed(id, payload)
}

const tradeSchema = `{"type":"record","name":"Trade","namespace":"shop","fields":[
	{"name":"who","type":{"type":"record","name":"User","fields":[
		{"name":"tags","type":{"type":"array","items":"string"}},
		{"name":"id","type":"long"},
		{"name":"home","type":["null",{"type":"record","name":"Place","fields":[{"name":"city","type":"string"}]}]}]}},
	{"name":"extra","type":{"type":"map","values":["null","double",{"type":"array","items":"int"}]}},
	{"name":"side","type":{"type":"enum","name":"Side","symbols":["buy","sell"]}},
	{"name":"price","type":["null","double"]},
	{"name":"fee","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":3}},
	{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"paid","type":["boolean","null"]},
	{"name":"raw","type":{"type":"fixed","name":"Four","size":4}},
	{"name":"friend","type":["null","User"]}]}`

// tradeFields are columns of it.
var tradeFields = []record.Field{
	{Name: "who.id", Type: record.Int64},
	{Name: "who.home.city", Type: record.String, Nullable: true},
	{Name: "side", Type: record.String},
	{Name: "price", Type: record.Float64, Nullable: true},
	{Name: "fee", Type: record.DecimalOf(12, 4)},
	{Name: "at", Type: record.Timestamp},
	{Name: "paid", Type: record.Bool, Nullable: true},
	{Name: "raw", Type: record.String},
	{Name: "friend.id", Type: record.Int64, Nullable: true},
	{Name: "none", Type: record.Int64, Nullable: true},
}

// randomTrade makes a value, and its row as rowTexts has it.
func randomTrade(random *rand.Rand) (value map[string]any, row string) {
	user := func() (map[string]any, int64, string) {
		id := int64(random.Uint64()) >> random.IntN(64)
		tags := []string{"", strings.Repeat("x", random.IntN(200))}[:random.IntN(3)]
		u := map[string]any{"tags": tags, "id": id, "home": nil}
		city := "NULL"
		if random.IntN(2) == 0 {
			city = fmt.Sprint("city", random.IntN(9))
			u["home"] = map[string]any{"city": city}
		}
		return u, id, city
	}
	who, id, city := user()
	millis := random.Int64N(1e13) - 5e12
	unscaled := random.Int64N(2e10) - 1e10
	value = map[string]any{
		"who": who, "extra": map[string]any{"a": nil, "b": 1.5, "c": []any{1, 2, 3}},
		"side": []string{"buy", "sell"}[random.IntN(2)], "price": nil, "fee": big.NewRat(unscaled, 1000),
		"at": time.UnixMilli(millis).UTC(), "paid": nil, "raw": []byte("abcd"), "friend": nil,
	}
	price, paid, friend := "NULL", "NULL", "NULL"
	if random.IntN(2) == 0 {
		p := random.NormFloat64()
		value["price"], price = p, fmt.Sprint(p)
	}
	if random.IntN(2) == 0 {
		value["paid"], paid = true, "1"
	}
	if random.IntN(2) == 0 {
		u, id, _ := user()
		value["friend"], friend = u, fmt.Sprint(id)
	}
	row = fmt.Sprintf("%d|%s|%s|%s|%d|%d|%s|abcd|%s|NULL", id, city, value["side"], price, unscaled*10, millis*1e6, paid,
		friend)
	return value, row
}

// Goal: values in Avro become the same rows as what the library makes of them, whatever of them is
// read; schemas that differ are read by their ids. Method: random values of a schema with every
// kind of type, which the library encodes, through a topic, from two partitions.
func TestAvro(t *testing.T) { onEach(t, testAvro) }

func testAvro(t *testing.T, cluster func(testing.TB, int32, ...string) *fake) {
	f := cluster(t, 2, "avro")
	const older = `{"type":"record","name":"Trade","fields":[{"name":"raw","type":"string"},{"name":"at","type":"long"},
		{"name":"fee","type":"int"},{"name":"side","type":"string"},
		{"name":"who","type":{"type":"record","name":"U","fields":[{"name":"id","type":"int"}]}}]}`
	s := newSchemas(t, map[string]string{"/schemas/ids/7": answer(tradeSchema), "/schemas/ids/3": answer(older)})
	s.before = func(n int64, _ *http.Request) int { // it is slow, and fails at first
		time.Sleep(20 * time.Millisecond)
		return []int{0, http.StatusServiceUnavailable}[min(n&1, 1)]
	}
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	want := []string{}
	var all []*kgo.Record
	parsed := avro.MustParse(tradeSchema)
	for i := range 3000 {
		v, row := randomTrade(random)
		payload, err := parsed.Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		value := framed(7, payload)
		if i%100 == 99 {
			value = encoded(t, 3, older, map[string]any{
				"raw": "r", "at": int64(i), "fee": int32(i), "side": "old", "who": map[string]any{"id": int32(-i)},
			})
			row = fmt.Sprintf("%d|NULL|old|NULL|%d|%d|NULL|r|NULL|NULL", -i, i*10000, i*1e9)
		}
		want = append(want, row)
		all = append(all, &kgo.Record{Topic: "avro", Partition: int32(random.IntN(2)), Value: value})
	}
	f.produce(all...)
	cfg := SourceConfig{
		Topic: "avro", Schema: schemaOf(t, tradeFields...), Format: Avro, UntilEnd: true,
		Registry: RegistryConfig{URL: s.URL + "/"},
	}
	cfg.Values.TimeUnit = time.Second
	src, err := f.source(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, readers := range []int{1, 2} {
		src.cfg.Readers = readers
		rs, err := src.Readers(0)
		if err != nil {
			t.Fatal(err)
		}
		got, rejects, err := rows(t, cfg.Schema, rs)
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || len(rejects) > 0 || !slices.Equal(got, want) {
			t.Errorf("seed %d, %d readers: %v, %d set aside (%v), %d rows, expected %d", seed, readers, err, len(rejects),
				rejects[:min(len(rejects), 1)], len(got), len(want))
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Fatalf("%s, expected %s", got[i], want[i])
				}
			}
		}
	}
	if n := s.asked.Load(); n > 8 {
		t.Errorf("the registry was asked %d times, expected each schema twice for each source", n)
	}
}

// Goal: what cannot be a row is set aside with its place and the reason, and the records around it
// are read.
func TestAvroAside(t *testing.T) {
	f := newFake(t, 1, "aside")
	const long = `{"type":"record","name":"R","fields":[{"name":"v","type":["null","long"]},{"name":"w","type":"int"}]}`
	wrong := strings.ReplaceAll(long, `"int"`, `"string"`)
	s := newSchemas(t, map[string]string{
		"/schemas/ids/1": answer(long), "/schemas/ids/2": answer(wrong), "/schemas/ids/4": answer(`"long"`),
		"/schemas/ids/5": `{"schema":"message M {}","schemaType":"PROTOBUF"}`, "/schemas/ids/6": answer(`{"type":`),
		"/schemas/ids/8": answer(`{"type":"record","name":"R","fields":[{"name":"v","type":"long"}]}`),
	})
	good := encoded(t, 1, long, map[string]any{"v": int64(5), "w": int32(6)})
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
	add("the value does not begin with a byte 0", []byte{0, 0})
	add("schema 1: column \"w\": the value ends within a field", good[:len(good)-1])
	add("schema 1: 1 bytes are left after the last field", append(slices.Clone(good), 0))
	add("schema 1: branch 2 of a union that has 2", framed(1, []byte{4, 0, 0}))
	add("schema 1: column \"v\": a number of more than 64 bits", framed(1, append([]byte{2},
		slices.Repeat([]byte{255}, 12)...)))
	add("schema 2: column \"w\": the field is string, expected int or long", framed(2, []byte{0, 0}))
	add("schema 3: the schema cannot be used: the registry does not have it (/schemas/ids/3)", framed(3, nil))
	add("schema 4: it is long, expected a record", framed(4, []byte{2}))
	add("schema 5: the schema cannot be used: it is of type PROTOBUF, expected AVRO", framed(5, []byte{2}))
	add("schema 6: the schema cannot be used: ", framed(6, []byte{2}))
	add("schema 8: there is no field \"w\", and column \"w\" is not nullable", framed(8, []byte{2}))
	var all []*kgo.Record
	for _, v := range values {
		all = append(all, &kgo.Record{Topic: "aside", Value: v})
	}
	f.produce(all...)
	schema := schemaOf(t, record.Field{Name: "v", Type: record.Int64, Nullable: true},
		record.Field{Name: "w", Type: record.Int64})
	src, err := f.source(SourceConfig{
		Topic: "aside", Schema: schema, Format: Avro, UntilEnd: true, Registry: RegistryConfig{URL: s.URL},
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
		if !strings.HasPrefix(rejects[i], want[i]) {
			t.Errorf("%s, expected %s", rejects[i], want[i])
		}
	}
}

// Goal: schemas that refer to others are read with them; a registry that wants a password gets it;
// one that refuses ends the source; what is wrong in the options is said.
func TestAvroRegistry(t *testing.T) {
	f := newFake(t, 1, "refers")
	s := newSchemas(t, map[string]string{
		"/schemas/ids/1": `{"schema":"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"b\",\"type\":\"x.B\"},` +
			`{\"name\":\"c\",\"type\":[\"null\",\"x.B\"]}]}","references":[{"name":"x.B","subject":"b/b","version":3}]}`,
		"/subjects/b/b/versions/3": answer(`{"type":"record","name":"B","namespace":"x","fields":[
			{"name":"n","type":"long"},{"name":"next","type":["null","B"]}]}`),
	})
	s.before = func(_ int64, r *http.Request) int {
		user, pass, _ := r.BasicAuth()
		if user != "u" || pass != "hush" {
			return http.StatusUnauthorized
		}
		return 0
	}
	dir := t.TempDir()
	secret, wrong := filepath.Join(dir, "secret"), filepath.Join(dir, "wrong")
	err := errors.Join(os.WriteFile(secret, []byte("hush\n"), 0o600), os.WriteFile(wrong, []byte("no"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	// b = {n: 1, next: {n: 2, next: null}}, c = {n: 3, next: null}
	f.produce(&kgo.Record{Topic: "refers", Value: framed(1, []byte{2, 2, 4, 0, 2, 6, 0})})
	schema := schemaOf(t, record.Field{Name: "b.n", Type: record.Int64}, record.Field{
		Name: "b.next.n", Type: record.Int64,
		Nullable: true,
	}, record.Field{Name: "c.n", Type: record.Int64, Nullable: true})
	read := func(pass string) ([]string, []string, error) {
		src, err := f.source(SourceConfig{
			Topic: "refers", Schema: schema, Format: Avro, UntilEnd: true,
			Registry: RegistryConfig{URL: s.URL, User: "u", Secret: pass},
		})
		if err != nil {
			t.Fatal(err)
		}
		rs, err := src.Readers(0)
		if err != nil {
			t.Fatal(err)
		}
		return rows(t, schema, rs)
	}
	got, rejects, err := read(secret)
	if err != nil || len(rejects) > 0 || !slices.Equal(got, []string{"1|2|3"}) {
		t.Errorf("%q, %q, %v", got, rejects, err)
	}
	got, _, err = read(wrong)
	if !errors.Is(err, errRegistry) || len(got) > 0 || strings.Contains(fmt.Sprint(err), "hush") {
		t.Errorf("%q, %v", got, err)
	}
	c, _ := connect.Default.Source("kafka")
	for _, x := range []struct{ options, want string }{
		{"format=avro", "needs the address of a schema registry"},
		{"format=json schema.registry=http://a", "are for formats avro and protobuf"},
		{"format=avro schema.registry=a:8081", "expected http://host:port"},
		{"format=avro schema.registry=http://u:geheim@a", "a user and a password in the URL would be seen"},
		{"format=avro schema.registry=http://a schema.registry.user=u", "go together"},
		{"format=avro schema.registry=http://a", ""},
	} {
		set := map[string]string{"brokers": "b", "topic": "t"}
		for _, one := range strings.Fields(x.options) {
			name, value, _ := strings.Cut(one, "=")
			set[name] = value
		}
		o, err := connect.NewOptions(c.Options, set)
		if err == nil {
			err = c.Check(&connect.SourceRequest{Name: "s", Schema: schema, Options: o})
		}
		if (err == nil) != (x.want == "") || err != nil && (!strings.Contains(err.Error(), x.want) ||
			strings.Contains(err.Error(), "geheim")) {
			t.Errorf("%s: %v, expected %q", x.options, err, x.want)
		}
	}
}

// Goal: no bytes make the decoder panic, read outside of a value, or count for ever, and what has
// become a row can be passed over.
func FuzzAvro(f *testing.F) {
	types := avroTypes{named: map[string]*avroType{}}
	typ, err := types.of(avro.MustParse(tradeSchema).Root(), "")
	if err != nil {
		f.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		v, _ := randomTrade(random)
		f.Add(encoded(f, 1, tradeSchema, v))
	}
	schema := schemaOf(f, tradeFields...)
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) >= schemaHeader {
			copy(value, []byte{0, 0, 0, 0, 1})
		}
		d := newSchemaDecoder(&SourceConfig{}, schema, nil)
		p := &schemaPlan{}
		p.compile(d, &writtenSchema{avro: typ})
		if p.unfit != nil {
			t.Fatal(p.unfit)
		}
		d.plans[1] = p
		d.add(value)
		b := record.NewBatch(schema, 1)
		if n := d.parse(b); n != 1 || b.Len()+len(b.Rejects()) != 1 {
			t.Fatalf("%d values, %d rows, %d set aside", n, b.Len(), len(b.Rejects()))
		}
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		_, ours := typ.pass(value, min(schemaHeader, len(value)), 0)
		if b.Len() == 1 && len(value) > 0 && ours != nil {
			t.Fatalf("it is a row, and cannot be passed over: %v", ours)
		}
	})
}

// wideBytes is a number with some zeros after it as the bytes of a wide decimal.
func wideBytes(v int64, zeros int) string {
	d := record.Decimal{Unscaled: v}.Wide().Big()
	for range zeros {
		d.Mul(d, big.NewInt(10))
	}
	x, _ := record.Decimal128Of(d, 0)
	return string(x.AppendBytes(nil))
}

// Goal: numbers at the limits of their columns.
func TestAvroLimits(t *testing.T) {
	for _, c := range []struct {
		typ  string
		to   record.Type
		in   []byte
		want string
	}{
		{`"long"`, record.Int64, binary.AppendVarint(nil, math.MinInt64), "-9223372036854775808"},
		{`"long"`, record.Float64, binary.AppendVarint(nil, 1<<53), "9.007199254740992e+15"},
		{`"long"`, record.Float64, binary.AppendVarint(nil, 1<<53+1), "would lose digits"},
		{`"long"`, record.DecimalOf(4, 2), binary.AppendVarint(nil, 99), "9900"},
		{`"long"`, record.DecimalOf(4, 2), binary.AppendVarint(nil, 100), "does not fit decimal(4,2)"},
		{`"long"`, record.DecimalOf(4, 2), binary.AppendVarint(nil, math.MinInt64), "does not fit decimal(4,2)"},
		{
			`{"type":"long","logicalType":"timestamp-millis"}`, record.Timestamp, binary.AppendVarint(nil, 9223372036854),
			"9223372036854000000",
		},
		{
			`{"type":"long","logicalType":"timestamp-millis"}`, record.Timestamp, binary.AppendVarint(nil, 9223372036855),
			"out of the range",
		},
		{`{"type":"int","logicalType":"date"}`, record.Timestamp, binary.AppendVarint(nil, -1), "-86400000000000"},
		{
			`{"type":"bytes","logicalType":"decimal","precision":30,"scale":1}`, record.DecimalOf(3, 0),
			[]byte{4, 0x26, 0xfc},
			"998",
		},
		{
			`{"type":"bytes","logicalType":"decimal","precision":30,"scale":1}`, record.DecimalOf(3, 0),
			[]byte{4, 0x26, 0xfd},
			"does not fit decimal(3,0)",
		},
		{
			`{"type":"bytes","logicalType":"decimal","precision":30,"scale":0}`, record.DecimalOf(18, 0),
			append([]byte{18}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe), "-2",
		},
		{
			`{"type":"bytes","logicalType":"decimal","precision":30,"scale":0}`, record.DecimalOf(18, 0),
			append([]byte{18}, 1, 0, 0, 0, 0, 0, 0, 0, 0), "does not fit decimal(18,0)",
		},
		{`"long"`, record.DecimalOf(20, 1), binary.AppendVarint(nil, math.MinInt64), wideBytes(-1<<63, 1)},
		{`"long"`, record.DecimalOf(38, 38), binary.AppendVarint(nil, 1), "does not fit decimal(38,38)"},
		{
			`{"type":"bytes","logicalType":"decimal","precision":30,"scale":1}`, record.DecimalOf(38, 2),
			[]byte{4, 0xff, 0x85},
			wideBytes(-123, 1),
		},
		{
			`{"type":"fixed","name":"F","size":17,"logicalType":"decimal","precision":38,"scale":0}`, record.DecimalOf(38, 0),
			[]byte{0, 0x80, 16: 0},
			"does not fit decimal(38,0)",
		},
		{`"string"`, record.DecimalOf(30, 3), append([]byte{8}, "-7.5"...), wideBytes(-75, 2)},
		{`"double"`, record.DecimalOf(30, 3), make([]byte, 8), "expected decimal, int, long or string"},
		{`{"type":"int","logicalType":"time-millis"}`, record.TimeOfDay, binary.AppendVarint(nil, 86400000), "86400000000000"},
		{`{"type":"int","logicalType":"time-millis"}`, record.TimeOfDay, binary.AppendVarint(nil, 86400001), "no time of day"},
		{`{"type":"long","logicalType":"time-micros"}`, record.TimeOfDay, binary.AppendVarint(nil, 7), "7000"},
		{`{"type":"long","logicalType":"time-micros"}`, record.TimeOfDay, binary.AppendVarint(nil, -1), "no time of day"},
		{`"string"`, record.TimeOfDay, append([]byte{10}, "12:30"...), "45000000000000"},
		{`"long"`, record.TimeOfDay, []byte{0}, "expected time-millis, time-micros or string"},
		{
			`{"type":"fixed","name":"F","size":12,"logicalType":"duration"}`, record.Interval,
			[]byte{0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0},
			"86400002000000",
		},
		{
			`{"type":"fixed","name":"F","size":12,"logicalType":"duration"}`, record.Interval,
			[]byte{1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0},
			"months have no fixed length",
		},
		{`"string"`, record.Interval, append([]byte{6}, "1 s"...), "1000000000"},
		{`"long"`, record.Interval, []byte{0}, "expected duration or string"},
		{
			`{"type":"string","logicalType":"uuid"}`, record.UUID, append([]byte{64}, strings.Repeat("61", 16)...),
			strings.Repeat("a", 16),
		},
		{`{"type":"fixed","name":"F","size":16}`, record.UUID, []byte(strings.Repeat("b", 16)), strings.Repeat("b", 16)},
		{`"string"`, record.UUID, []byte{2, 'x'}, "is not a uuid"},
		{`"bytes"`, record.UUID, []byte{2, 'x'}, "expected uuid, string, or fixed of 16 bytes"},
		{`"bytes"`, record.Bytes, []byte{4, 'x', 0}, "x\x00"},
		{`"string"`, record.Bytes, []byte{2, 'x'}, "expected bytes or fixed"},
		{`"long"`, record.Timestamp, []byte{0}, "expected timestamp-millis"},
		{`["int","string"]`, record.Int64, []byte{0, 0}, "the field is union, expected int or long"},
	} {
		schema := schemaOf(t, record.Field{Name: "v", Type: c.to})
		types := avroTypes{named: map[string]*avroType{}}
		text := `{"type":"record","name":"R","fields":[{"name":"v","type":` + c.typ + `}]}`
		typ, err := types.of(avro.MustParse(text).Root(), "")
		if err != nil {
			t.Fatal(err)
		}
		d := newSchemaDecoder(&SourceConfig{}, schema, nil)
		p := &schemaPlan{}
		p.compile(d, &writtenSchema{avro: typ})
		d.plans[1] = p
		d.add(framed(1, c.in))
		b := record.NewBatch(schema, 1)
		d.parse(b)
		got := strings.Join(rowTexts(b), "")
		if len(b.Rejects()) > 0 {
			got = b.Rejects()[0].Reason.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s to %v: %s, expected %s", c.typ, c.to, got, c.want)
		}
	}
}

// Goal: blocks of arrays and maps are passed over in both of their forms, and wrong ones are
// refused.
func TestAvroBlocks(t *testing.T) {
	types := avroTypes{named: map[string]*avroType{}}
	array, err := types.of(avro.MustParse(`{"type":"array","items":{"type":"map","values":"null"}}`).Root(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		in   []byte
		next int
		want string
	}{
		{[]byte{0, 9}, 1, ""},
		{[]byte{2, 0, 0, 9}, 3, ""},                  // one map without elements
		{[]byte{2, 2, 2, 'a', 0, 2, 0, 0, 9}, 8, ""}, // a map with the name a; another empty map
		{[]byte{1, 4, 0, 0, 0, 9}, 5, ""},            // a block of two bytes
		{[]byte{1, 8, 0, 0, 0}, 0, "ends within"},    // a block of four bytes, and there are three
		{[]byte{1, 1, 0, 0, 0}, 0, "ends within"},    // a block of less than no bytes
		{[]byte{200, 1, 0, 0}, 0, "100 elements in 2 bytes"},
		{[]byte{2, 0}, 0, "ends within"},
	} {
		next, err := array.pass(c.in, 0, 0)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || next != c.next {
			t.Errorf("%v: %d, %v, expected %d, %q", c.in, next, err, c.next, c.want)
		}
	}
	deep := &avroType{kind: avroRecord}
	deep.parts = []*avroType{deep}
	_, err = deep.pass(nil, 0, 0)
	if err == nil || !strings.Contains(err.Error(), "nested more than 64 deep") {
		t.Errorf("a type that has no end: %v", err)
	}
}

// Goal: the schemas that a source keeps are bounded, and a schema that could not be used is asked
// for again. Method: a registry and a decoder that are full.
func TestAvroBounds(t *testing.T) {
	f := newFake(t, 1, "bounds")
	s := newSchemas(t, map[string]string{"/schemas/ids/7000": answer(tradeSchema)})
	schema := schemaOf(t, tradeFields...)
	src, err := f.source(SourceConfig{Topic: "bounds", Schema: schema, Format: Avro, Registry: RegistryConfig{URL: s.URL}})
	if err != nil {
		t.Fatal(err)
	}
	rs, err := src.Readers(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rs[0].Close() }()
	d := rs[0].(*Reader).coded
	for id := range uint32(maxSchemas) {
		d.registry.schemas[id] = &registered{err: errNoSchema, at: time.Now()}
		d.plans[id] = &schemaPlan{}
	}
	delete(d.registry.schemas, 0) // in its place:
	d.registry.schemas[7000] = &registered{err: errNoSchema, at: time.Now().Add(-2 * askAgain)}
	value := framed(7000, nil)
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		ready, err := d.ready(value)
		if err != nil {
			t.Fatal(err)
		}
		if ready {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("the schema was not asked for again")
		}
	}
	if d.plans[7000].unfit != nil || len(d.plans) != 1 {
		t.Errorf("%v, %d plans", d.plans[7000].unfit, len(d.plans))
	}
	if _, there, err := d.registry.get(8000); there || err != nil { // one more
		t.Errorf("a schema that nobody has asked for is there: %v, %v", there, err)
	}
	d.registry.mu.Lock()
	defer d.registry.mu.Unlock()
	if len(d.registry.schemas) > maxSchemas {
		t.Errorf("%d schemas", len(d.registry.schemas))
	}
}
