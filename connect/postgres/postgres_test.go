package postgres

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/internal/cursors"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/record"
)

var (
	_ record.Committer     = (*Sink)(nil)
	_ record.Transactional = (*Sink)(nil)
	_ connect.Aborter      = (*Sink)(nil)
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func schemaOf(t testing.TB, fields ...record.Field) *record.Schema {
	t.Helper()
	s, err := record.NewSchema("s", fields...)
	must(t, err)
	return s
}

// sumSchema is a window, a key and a sum.
func sumSchema(t testing.TB) *record.Schema {
	return schemaOf(t, record.Field{Name: "w", Type: record.Int64}, record.Field{Name: "k", Type: record.String},
		record.Field{Name: "n", Type: record.Int64, Nullable: true})
}

// Goal: every fault of a configuration is named, all at once, and no message has a password.
// Method: configurations with one fault each, and one with several.
func TestConfig(t *testing.T) {
	const url = "postgres://u@h/d"
	s := sumSchema(t)
	for _, test := range []struct {
		cfg  SinkConfig
		want string
	}{
		{SinkConfig{URL: url, Table: "t", Schema: s}, ""},
		{SinkConfig{URL: "host=h user=u", Table: "a.t", Schema: s, Mode: Upsert, Keys: []string{"k"}}, ""},
		{SinkConfig{Table: "t", Schema: s}, "no url"},
		{SinkConfig{URL: "postgres://u:hunter2@h:x/d", Table: "t", Schema: s}, "the url cannot be read"},
		{SinkConfig{URL: "postgres://u:hunter2@h/d?sslmode=maybe", Table: "t", Schema: s}, "the url cannot be read"},
		{SinkConfig{URL: "password=hunter2 x", Table: "t", Schema: s}, "the url cannot be read"},
		{SinkConfig{URL: "hunter2", Table: "t", Schema: s}, "the url cannot be read"},
		{SinkConfig{URL: "postgres://u:hunter2@h/d", Password: "hunter2", Table: "t", Schema: s}, "more than once"},
		{SinkConfig{URL: "host=h password=hunter2", PasswordFile: "f", Table: "t", Schema: s}, "more than once"},
		{SinkConfig{URL: url, Password: "hunter2", PasswordFile: "f", Table: "t", Schema: s}, "more than once"},
		{SinkConfig{URL: url, Schema: s}, `table "", expected name or schema.name`},
		{SinkConfig{URL: url, Table: "a.b.c", Schema: s}, `table "a.b.c", expected`},
		{SinkConfig{URL: url, Table: `a"b`, Schema: s}, "without quotes"},
		{SinkConfig{URL: url, Table: "t", CursorTable: "t", Schema: s}, "also the table for cursors"},
		{SinkConfig{URL: url, Table: "t"}, "no schema"},
		{SinkConfig{URL: url, Table: "t", Schema: s, Mode: "x"}, `mode "x", expected append or upsert`},
		{SinkConfig{URL: url, Table: "t", Schema: s, BadText: "x"}, `bad text "x"`},
		{SinkConfig{URL: url, Table: "t", Schema: s, Mode: Upsert}, "mode upsert needs a key"},
		{SinkConfig{URL: url, Table: "t", Schema: s, Mode: Upsert, Keys: []string{"x"}}, `no column "x" for the key`},
		{SinkConfig{URL: url, Table: "t", Schema: s, Mode: Upsert, Keys: []string{"k", "k"}}, "twice in the key"},
		{SinkConfig{URL: url, Table: "t", Schema: s, WindowBytes: -1}, "-1 bytes of a window"},
		{
			SinkConfig{URL: url, Table: "t", Schema: schemaOf(t, record.Field{
				Name: strings.Repeat("x", 64), Type: record.Int64,
			})}, "has 64 bytes",
		},
	} {
		err := test.cfg.Validate()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%+v: %v, expected %q", test.cfg, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a password is in the error: %v", err)
		}
	}
	cfg := SinkConfig{URL: "x", Mode: "y"}
	if err := cfg.Validate(); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("%v, expected four faults", err)
	}
}

// Goal: a job's options become a configuration, and what does not fit is an error of its option.
func TestOptions(t *testing.T) {
	sink, ok := connect.Default.Sink("postgres")
	if !ok {
		t.Fatal("there is no connector postgres")
	}
	check := func(set map[string]string, keys ...string) error {
		o, err := connect.NewOptions(sink.Options, set)
		if err != nil {
			return err
		}
		return sink.Check(&connect.SinkRequest{Name: "s", Options: o, Schema: sumSchema(t), Keys: keys})
	}
	base := func(more ...string) map[string]string {
		m := map[string]string{"url": "postgres://u@h/d", "table": "t"}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	for _, test := range []struct {
		set  map[string]string
		keys []string
		want string
	}{
		{base(), nil, ""},
		{base("mode", "upsert"), []string{"w", "k"}, ""},
		{base("mode", "upsert", "key.columns", "k, w"), []string{"w", "k"}, ""},
		{base("mode", "upsert"), nil, "mode upsert needs a key"},
		{base("mode", "upsert", "key.columns", "k"), []string{"w", "k"}, `option key.columns: the key lacks column "w"`},
		{base("mode", "upsert", "key.columns", "k"), nil, "no columns that tell its rows apart"},
		{base("key.columns", "k"), []string{"k"}, "they are for mode upsert"},
		{base("create", "yes"), nil, "expected true or false"},
		{map[string]string{"table": "t"}, nil, "option url: it is missing"},
	} {
		err := check(test.set, test.keys...)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%v: %v, expected %q", test.set, err, test.want)
		}
	}
}

// Goal: a table's column takes a type only if every value of the type fits and stays what it is.
func TestFormOf(t *testing.T) {
	numeric := func(p, s int) int { return p<<16 | s + 4 }
	for _, test := range []struct {
		t    record.Type
		oid  uint32
		mod  int
		want form
	}{
		{record.Bool, pgtype.BoolOID, -1, formBool},
		{record.Int64, pgtype.Int8OID, -1, formInt8},
		{record.Int64, pgtype.Int4OID, -1, 0},
		{record.Int64, pgtype.NumericOID, -1, 0},
		{record.Float64, pgtype.Float8OID, -1, formFloat8},
		{record.Float64, pgtype.Float4OID, -1, 0},
		{record.Timestamp, pgtype.TimestamptzOID, -1, formTimestamp},
		{record.Timestamp, pgtype.TimestampOID, 6, formTimestamp},
		{record.Timestamp, pgtype.TimestamptzOID, 3, 0},
		{record.Timestamp, pgtype.DateOID, -1, 0},
		{record.String, pgtype.TextOID, -1, formText},
		{record.String, pgtype.VarcharOID, -1, formText},
		{record.String, pgtype.VarcharOID, 14, 0},
		{record.String, pgtype.ByteaOID, -1, formBytea},
		{record.String, pgtype.JSONBOID, -1, 0},
		{record.DecimalOf(10, 2), pgtype.NumericOID, -1, formNumeric},
		{record.DecimalOf(10, 2), pgtype.NumericOID, numeric(10, 2), formNumeric},
		{record.DecimalOf(10, 2), pgtype.NumericOID, numeric(12, 4), formNumeric},
		{record.DecimalOf(10, 2), pgtype.NumericOID, numeric(11, 4), 0},
		{record.DecimalOf(10, 2), pgtype.NumericOID, numeric(10, 1), 0},
		{record.DecimalOf(10, 2), pgtype.Float8OID, -1, 0},
		{record.TimeOfDay, pgtype.TimeOID, -1, formTime},
		{record.TimeOfDay, pgtype.TimeOID, 3, 0},
		{record.TimeOfDay, pgtype.TimetzOID, -1, 0},
		{record.Interval, pgtype.IntervalOID, -1, formInterval},
		{record.Interval, pgtype.TextOID, -1, 0},
		{record.UUID, pgtype.UUIDOID, -1, formBytea},
		{record.UUID, pgtype.TextOID, -1, 0},
		{record.Bytes, pgtype.ByteaOID, -1, formBytea},
		{record.Bytes, pgtype.TextOID, -1, 0},
	} {
		if got := formOf(test.t, test.oid, test.mod); got != test.want {
			t.Errorf("%v in type %d with %d is %d, expected %d", test.t, test.oid, test.mod, got, test.want)
		}
	}
}

// Goal: a table that the sink makes takes every type, and its values are read by a driver as what
// they are.
func TestAllTypes(t *testing.T) {
	types := pgtype.NewMap()
	b := testgen.AllTypes()
	for i := range b.Schema().Len() {
		f := b.Schema().Field(i)
		name := map[string]string{
			"boolean": "bool", "bigint": "int8", "double precision": "float8", "timestamp with time zone": "timestamptz",
			"numeric(18,2)": "numeric", "numeric(38,4)": "numeric",
		}[sqlType(f.Type)]
		of, ok := types.TypeForName(cmp.Or(name, sqlType(f.Type)))
		if !ok {
			t.Errorf("%v: PostgreSQL has no type %s", f.Type, sqlType(f.Type))
			continue
		}
		form := formOf(f.Type, of.OID, -1)
		if form == 0 {
			t.Errorf("%v does not fit a column of type %s", f.Type, of.Name)
			continue
		}
		for row := range b.Len() - 1 {
			e := &encoder{}
			err := e.value(&field{typ: f.Type, form: form}, b.Column(i), row)
			if err != nil {
				t.Errorf("%v: %v", f.Type, err)
				continue
			}
			if !f.Type.IsLogical() {
				continue
			}
			v, err := of.Codec.DecodeDatabaseSQLValue(types, of.OID, pgtype.BinaryFormatCode, e.text[4:])
			want := string(b.Column(i).AppendLogical(nil, f.Type, row))
			switch got := v.(type) {
			case string:
				if f.Type.IsWide() {
					_, bytesOf, _ := record.ParseLogical(nil, f.Type, got)
					v = string(record.AppendLogical(nil, f.Type, 0, bytesOf))
				}
				if f.Type == record.Interval || f.Type == record.TimeOfDay { // with six digits of a fraction
					word, _, _ := record.ParseLogical(nil, f.Type, got)
					v = string(record.AppendLogical(nil, f.Type, word, nil))
				}
			case []byte:
				v = fmt.Sprintf("\\x%x", got)
			}
			if err != nil || fmt.Sprint(v) != want {
				t.Errorf("%v: %v, %v, expected %s", f.Type, v, err, want)
			}
		}
	}
}

// Goal: decimals are encoded exactly. Method: random ones and the extremes, computed back with big
// numbers.
func TestNumeric(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	check := func(unscaled int64, scale int) {
		t.Helper()
		text := appendNumeric(nil, unscaled, scale)
		n, weight := int(binary.BigEndian.Uint16(text)), int(int16(binary.BigEndian.Uint16(text[2:])))
		got := new(big.Rat)
		for i := range n {
			g := binary.BigEndian.Uint16(text[8+2*i:])
			if g > 9999 || (i == 0 || i == n-1) && g == 0 {
				t.Fatalf("seed %d: %d/10^%d has the group %d in place %d", seed, unscaled, scale, g, i)
			}
			power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10000), big.NewInt(int64(max(weight-i, i-weight))), nil))
			if weight < i {
				power.Inv(power)
			}
			got.Add(got, power.Mul(power, new(big.Rat).SetInt64(int64(g))))
		}
		if binary.BigEndian.Uint16(text[4:]) == 0x4000 {
			got.Neg(got)
		}
		want := new(big.Rat).SetFrac(big.NewInt(unscaled), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		if got.Cmp(want) != 0 || len(text) != 8+2*n || int(binary.BigEndian.Uint16(text[6:])) != scale {
			t.Fatalf("seed %d: %d/10^%d is %v, expected %v", seed, unscaled, scale, got, want)
		}
	}
	for scale := range record.MaxPrecision + 1 {
		for _, v := range []int64{0, 1, -1, 9, 10, 9999, 10000, 10001, 999_999_999_999_999_999, -1 << 63, 1<<63 - 1} {
			check(v, scale)
		}
		for range 2000 {
			check(int64(random.Uint64()>>random.IntN(64)), scale)
			check(record.Pow10[random.IntN(18)]*int64(random.IntN(9)), scale)
		}
	}
}

// Goal: what may pass is tried again, and what comes again is not.
func TestFinal(t *testing.T) {
	for _, test := range []struct {
		err  error
		want bool
	}{
		{errors.New("connection reset"), false},
		{&pgconn.PgError{Code: "57P01"}, false},
		{&pgconn.PgError{Code: "40P01"}, false},
		{&pgconn.PgError{Code: "53100"}, false},
		{&pgconn.PgError{Code: "25006"}, false},
		{fmt.Errorf("%w", &pgconn.PgError{Code: "23505"}), true},
		{&pgconn.PgError{Code: "42501"}, true},
		{&pgconn.PgError{Code: "28P01"}, true},
		{fmt.Errorf("%w", cursors.ErrReplaced), true},
		{fmt.Errorf("%w", final{errors.New("x")}), true},
	} {
		if got := isFinal(test.err); got != test.want {
			t.Errorf("%v: final is %v, expected %v", test.err, got, test.want)
		}
	}
}
