package readers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/record"
)

// slowJSON is the twin: the whole file at once, with encoding/json and math/big.
func slowJSON(data []byte, cfg NDJSONConfig) *result { return slowJSONColumns(data, cfg, nil) }

// slowJSONColumns is the twin of a reader that reads only some columns; nil is all.
func slowJSONColumns(data []byte, cfg NDJSONConfig, read []bool) *result {
	res := newResult()
	for offset := 0; offset < len(data); {
		line, _, _ := bytes.Cut(data[offset:], []byte("\n"))
		at := int64(offset)
		offset += len(line) + 1
		long := cfg.MaxRecordBytes > 0 && len(line) > cfg.MaxRecordBytes
		line = bytes.TrimSuffix(line, []byte("\r"))
		text := line
		if at == 0 {
			text = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if len(bytes.Trim(text, " \t\r")) == 0 && !long {
			continue
		}
		var object map[string]json.RawMessage
		err := json.Unmarshal(text, &object)
		if !cfg.Strict {
			object, err = looseColumns(string(text), cfg, read)
		}
		if err != nil {
			res.reject(at, line, err)
			continue
		}
		if object == nil {
			res.reject(at, line, errors.New("null"))
			continue
		}
		var values []string
		for i := range cfg.Schema.Len() {
			f, raw := cfg.Schema.Field(i), object[cfg.name(i)]
			v, verr := slowJSONValue(f, raw)
			if read != nil && !read[i] {
				if v = unreadText(f); f.Nullable || raw != nil && string(raw) != "null" {
					verr = nil
				}
			}
			values = append(values, v)
			err = errors.Join(err, verr)
		}
		if long {
			err = errors.New("long")
		}
		if err != nil {
			res.reject(at, line, err)
		} else {
			res.add(values)
		}
	}
	return res
}

func slowJSONValue(f record.Field, raw json.RawMessage) (string, error) {
	wrong := fmt.Errorf("%s is no %v", raw, f.Type)
	if raw == nil || string(raw) == "null" {
		if !f.Nullable {
			return "", wrong
		}
		return "NULL", nil
	}
	number := raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'
	switch {
	case f.Type == record.String && raw[0] == '"':
		var s string
		err := json.Unmarshal(raw, &s)
		return s, err
	case f.Type == record.String:
		return string(raw), nil
	case f.Type == record.Bool && (string(raw) == "true" || string(raw) == "false"):
		return map[string]string{"true": "1", "false": "0"}[string(raw)], nil
	case f.Type == record.Float64 && number:
		v, err := strconv.ParseFloat(string(raw), 64)
		return fmt.Sprint(math.Float64bits(v)), err
	case f.Type == record.Timestamp && raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", err
		}
		v, err := record.ParseTime(s, nil)
		return fmt.Sprint(v), err
	case (f.Type == record.Int64 || f.Type.IsDecimal()) && number:
		if e := bytes.IndexAny(raw, "eE"); e >= 0 {
			if n, err := strconv.Atoi(string(raw[e+1:])); err != nil || n > 1000 || n < -1000 {
				if strings.Trim(string(raw[:e]), "-0.") == "" {
					return "0", nil
				}
				return "", wrong
			}
		}
		r, ok := new(big.Rat).SetString(string(raw))
		if !ok {
			return "", wrong
		}
		r.Mul(r, new(big.Rat).SetInt64(record.Pow10[f.Type.Scale()]))
		if !r.IsInt() || !r.Num().IsInt64() || f.Type.IsDecimal() &&
			r.Num().CmpAbs(big.NewInt(record.Pow10[f.Type.Precision()])) >= 0 {
			return "", wrong
		}
		return r.Num().String(), nil
	}
	return "", wrong
}

func fastJSON(t testing.TB, path string, cfg NDJSONConfig, n, batchRows int) *result {
	t.Helper()
	return fastJSONColumns(t, path, cfg, nil, n, batchRows)
}

// fastJSONColumns is fastJSON for readers that read only some columns; nil is all.
func fastJSONColumns(t testing.TB, path string, cfg NDJSONConfig, read []bool, n, batchRows int) *result {
	t.Helper()
	f, err := OpenNDJSON(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, cfg.Schema, projected(f.Readers(n), read), batchRows)
}

// randomJSON is a value, right for the type mostly.
func randomJSON(rng *rand.Rand, typ record.Type, depth int) string {
	odd := func(usual string, others ...string) string {
		if rng.IntN(12) > 0 {
			return usual
		}
		return others[rng.IntN(len(others))]
	}
	switch {
	case rng.IntN(40) == 0:
		return "null"
	case rng.IntN(60) == 0:
		kinds := []record.Type{record.Int64, record.String, record.Bool, record.Float64, record.Timestamp}
		typ = kinds[rng.IntN(len(kinds))]
	case rng.IntN(60) == 0 && depth < 4:
		inner := randomJSON(rng, typ, depth+1)
		return []string{
			"[" + inner + "]", "[]", "{}", `{"a":` + inner + `,"b" : [1 , 2]}`,
			"[[" + inner + "],{}]",
		}[rng.IntN(5)]
	}
	switch {
	case typ == record.Bool:
		return odd([]string{"true", "false"}[rng.IntN(2)], "True", "tru", "falsee", `"true"`, "1")
	case typ == record.String:
		return odd(fmt.Sprintf("%q", []string{"", "a", "some text", "é", "日本, ok: }{", "x,y"}[rng.IntN(6)]),
			`"a\"b"`, `"\u00e9\ud83d\ude00"`, `"\ud83d"`, `"\ude00\ud83dx"`, `"line\nbreak\t\\"`, `"\x"`, `"\u12g4"`,
			`"unended`, "'a'", "\"a\tb\"", `"\/\b\f\r"`, `"\ud83d\u0041"`)
	case typ == record.Timestamp:
		return odd(fmt.Sprintf(`"2024-0%d-1%dT0%d:00:5%d%sZ"`, 1+rng.IntN(9), rng.IntN(10), rng.IntN(10), rng.IntN(10),
			[]string{"", ".5", ".123456", ".123456789"}[rng.IntN(4)]),
			`"2024-01-01"`, `"2024-01-01 10:00:00"`, `"2024-13-01T00:00:00Z"`, `"\u0032024-01-01"`,
			`"2024-01-01T00:00:00+02:00"`, "1700000000")
	case typ == record.Float64:
		return odd(strconv.FormatFloat(rng.NormFloat64()*math.Pow(10, float64(rng.IntN(12))), 'f', rng.IntN(8), 64),
			"-0.0", "1e5", "1E-7", "1.7976931348623157e308", "1e999", "01", "1.", ".5", "-", "+1", "0x10", "NaN",
			"0.1234567890123456789", "5e-324", "-.5", "00.5")
	}
	v := strconv.FormatInt(rng.Int64N(int64(math.Pow(10, float64(1+rng.IntN(17)))))-500, 10)
	if typ.IsDecimal() && len(v) > 3 && rng.IntN(3) > 0 {
		v = v[:len(v)-2] + "." + v[len(v)-2:]
	}
	return odd(v, "0", "-0", "007", "1.0", "1e3", "12.50", "1.5", "9223372036854775807", "-9223372036854775808",
		"9223372036854775808", "1e19", "-5e-1", "0e99999999999", "1e-99999999999", "120e-1", "-01", "- 1")
}

// randomNDJSON is a file of objects with fields of the schema and others, in one or several orders, with all that may be wrong.
func randomNDJSON(rng *rand.Rand, s *record.Schema) []byte {
	var data []byte
	colon, comma := []string{":", ": ", " : "}[rng.IntN(3)], []string{",", ", "}[rng.IntN(2)]
	end := []string{"\n", "\n", "\r\n"}[rng.IntN(3)]
	orders := make([][]int, 1+rng.IntN(6))
	for i := range orders {
		orders[i] = rng.Perm(s.Len() + 2)
	}
	tidy := rng.IntN(3) > 0 // mostly one order
	for range rng.IntN(400) {
		order := orders[0]
		if !tidy || rng.IntN(30) == 0 {
			order = orders[rng.IntN(len(orders))]
		}
		var fields []string
		for _, i := range order {
			name, typ := fmt.Sprintf("other%d", i), record.Float64
			if i < s.Len() {
				name, typ = s.Field(i).Name, s.Field(i).Type
			} else if i == s.Len() {
				typ = record.String
			}
			if rng.IntN(50) == 0 {
				continue
			}
			quoted := fmt.Sprintf("%q", name)
			if rng.IntN(100) == 0 {
				quoted = fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:])
			}
			fields = append(fields, quoted+colon+randomJSON(rng, typ, 0))
			if rng.IntN(100) == 0 {
				fields = append(fields, fields[rng.IntN(len(fields))])
			}
		}
		line := "{" + strings.Join(fields, comma) + "}"
		switch rng.IntN(60) {
		case 0:
			i := rng.IntN(len(line))
			line = line[:i] + []string{"", `"`, ",", ":", "}", "{", "[", "\\", " ", "\t", "\r", "x"}[rng.IntN(12)] +
				line[min(i+rng.IntN(2), len(line)):]
		case 1:
			line = []string{
				"", " ", "[]", "1", `"a"`, "null", "{}", "{} x", "{},", line + line, line + "," + line,
				" " + line, line + " ",
			}[rng.IntN(13)]
		}
		line = strings.ToValidUTF8(line, "?") // encoding/json replaces what is not
		data = append(append(data, line...), end...)
	}
	if rng.IntN(2) == 0 {
		data = bytes.TrimSuffix(data, []byte(end))
	}
	return data
}

// Goal: what a file of JSON lines is read as does not depend on readers, blocks, shapes or vectors, and is what encoding/json says. Method: random
// files, with every way of writing a value and of getting it wrong, compared with a twin.
func TestNDJSONTwin(t *testing.T) { eachVariant(t, testNDJSONTwin) }

func testNDJSONTwin(t *testing.T) {
	s := jsonSchema(t)
	rows, rejects := 0, 0
	base := rand.Uint64()
	for seed := base; seed < base+testgen.Seeds(120); seed++ {
		rng := rand.New(rand.NewPCG(seed, 5))
		data := randomNDJSON(rng, s)
		cfg := NDJSONConfig{Schema: s, BlockBytes: 1 + rng.IntN(3000)}
		if rng.IntN(4) == 0 {
			cfg.MaxRecordBytes = 100 + rng.IntN(200)
		}
		if rng.IntN(4) == 0 {
			cfg.BlockBytes = 0
		}
		read := randomColumns(rng, s)
		want := slowJSONColumns(data, cfg, read)
		got := fastJSONColumns(t, write(t, data), cfg, read, 1+rng.IntN(4), 1+rng.IntN(600))
		if cfg.MaxRecordBytes > 0 {
			trim(got, cfg.MaxRecordBytes)
			trim(want, cfg.MaxRecordBytes)
		}
		if diff := got.same(want); diff != "" {
			t.Fatalf("seed %d, columns %v: %s\nblocks of %d, records up to %d\n%.4000s", seed, read, diff,
				cfg.BlockBytes, cfg.MaxRecordBytes, data)
		}
		rows += want.total
		rejects += len(want.rejects)
	}
	if rows < int(25*testgen.Seeds(120)) || rejects < int(2*testgen.Seeds(120)) {
		t.Errorf("only %d rows and %d rejects", rows, rejects)
	}
}

func jsonSchema(t testing.TB) *record.Schema {
	return schemaOf(t,
		record.Field{Name: "name", Type: record.String},
		record.Field{Name: "number", Type: record.Int64, Nullable: true},
		record.Field{Name: "x", Type: record.Float64, Nullable: true},
		record.Field{Name: "a_name_that_is_longer_than_two_words", Type: record.DecimalOf(12, 2), Nullable: true},
		record.Field{Name: "at", Type: record.Timestamp, Nullable: true},
		record.Field{Name: "ok", Type: record.Bool, Nullable: true},
		record.Field{Name: "note", Type: record.String, Nullable: true},
	)
}

// Goal: JSON is accepted and refused as the suite has it, in fields that are read and in those that are skipped. Method: JSONTestSuite, each file as the value of a field among
// ordinary lines; encoding/json says what is expected where a newline had to be made a blank.
func TestNDJSONCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testgen.Corpus(t, "json"), "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files, %v", err)
	}
	for _, field := range []string{"text", "skipped"} {
		s := schemaOf(t, record.Field{Name: "n", Type: record.Int64},
			record.Field{Name: "text", Type: record.String, Nullable: true})
		var data []byte
		want := map[int]bool{}
		name := map[int]string{}
		for i, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			kind := filepath.Base(path)[0]
			if bytes.Contains(text, []byte("\n")) {
				text = bytes.ReplaceAll(text, []byte("\n"), []byte(" "))
				kind = 'n'
				if json.Valid(text) {
					kind = 'y'
				}
			}
			name[i] = filepath.Base(path)
			if kind != 'i' {
				want[i] = kind == 'y'
			}
			for range 3 {
				data = fmt.Appendf(data, `{"n":-1,"%s":"x"}`+"\n", field)
			}
			data = fmt.Appendf(data, `{"n":%d,"%s":%s}`+"\n", i, field, text)
		}
		f, err := OpenNDJSON(write(t, data),
			NDJSONConfig{ValueOptions: ValueOptions{Strict: true}, Schema: s, MaxRecordBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, s, f.Readers(1), 0)
		read := map[string]bool{}
		for row := range got.rows {
			n, _, _ := strings.Cut(row, "|")
			read[n] = true
		}
		for i, ok := range want {
			if read[fmt.Sprint(i)] != ok {
				t.Errorf("%s, %s: read %v, expected %v", name[i], field, !ok, ok)
			}
		}
		for where, err := range got.rejects {
			if err.Error() == "" || len(err.Error()) > 300 {
				t.Errorf("%.60s: %v", where, err)
			}
		}
		if len(want) < 100 {
			t.Errorf("only %d files", len(want))
		}
	}
}

// Goal: small files, and lines that look like the ones before them but are not. Method: each three times in a row, so that the last ones are of a shape, against the twin.
func TestNDJSONEdges(t *testing.T) { eachVariant(t, testNDJSONEdges) }

func testNDJSONEdges(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "n", Type: record.Int64, Nullable: true},
		record.Field{Name: "s", Type: record.String, Nullable: true})
	for _, line := range []string{
		"", " ", "{}", "{ }", "\ufeff{}", `{"n":1}`, `{"n":null,"n":5}`, `{"n":5,"n":null}`,
		`{"s":null,"s":"x","n":null,"n":7}`, `{"n":1 }`, `{ "n":1}`, `{"n" :1}`, `{"n":1 ,"s":"a"}`,
		`{"n":1,"s":null}`, `{"n":1,"s":""}`, `{"n":1,"s":12}`, `{"n":1,"s":"a":"b"}`, `{"n":1,"s":"a""b"}`,
		`{"n":1,"s":"a" "b"}`, `{"n":1}{"n":2}`, `{"n":1},{"n":2}`, `{"n":1}}`,
		`{"n":1,"other":[}`, `{"n":1,"other":{}`, `{"n":1,"other":}`, `{"n":1,"other":x"y"}`, `{"n":1,"other":tru}`,
		`{"n":1,"other":- }`, `{"n":,"s":"a"}`, `{"n":1,"s":"a"},`, `{"":1,"n":2}`,
		`{"n":"1"}`, `{"s":"n","n":-}`, `{"n":00}`, `{"n":-0}`, `{"n":-}`, `{"n":1.}`, "{\"n\":1}\r", "{\"n\":1\r}",
		"{\"s\":\"a\rb\"}", `{"s":tru}`, `{"s":"` + strings.Repeat("x", 5000) + `"}`,
	} {
		for _, before := range []string{"", `{"n":1,"s":"a"}` + "\n", `{"n":1,"other":2}` + "\n", `{"n":1}` + "\n"} {
			data := []byte(strings.Repeat(before, 2) + strings.Repeat(line+"\n", 3) + before)
			cfg := NDJSONConfig{Schema: s}
			if diff := fastJSON(t, write(t, data), cfg, 1, 100).same(slowJSON(data, cfg)); diff != "" {
				t.Errorf("%.100q behind %q: %s", line, before, diff)
			}
		}
	}
}

// Goal: a decimal may be a number or a string, as velo itself writes it so that no program makes a
// double of it. Method: lines that are read alone and together, and what comes of them.
func TestNDJSONDecimals(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "d", Type: record.DecimalOf(9, 2), Nullable: true})
	for value, want := range map[string]string{
		`1.5`: "150", `"1.50"`: "150", `"-0.01"`: "-1", `"12"`: "1200", `"\u0031.5"`: "150", `null`: "NULL",
		`""`: "expected decimal", `"1.505"`: "more than 2 digits after the point", `"1e2"`: "is not a decimal",
		`" 1"`: "is not a decimal", `"12345678.00"`: "out of range", `true`: "expected decimal",
	} {
		for _, n := range []int{1, 20} {
			f, err := OpenNDJSON(write(t, []byte(strings.Repeat(`{"d":`+value+"}\n", n))), NDJSONConfig{Schema: s})
			if err != nil {
				t.Fatal(err)
			}
			r, b := f.Readers(1)[0], record.NewBatch(s, 50)
			if err := r.Read(t.Context(), b); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			got := ""
			switch c := b.Column(0); {
			case len(b.Rejects()) == n:
				got = b.Rejects()[n-1].Reason.Error()
			case b.Len() == n && c.Null(n-1):
				got = "NULL"
			case b.Len() == n:
				got = strconv.FormatInt(c.Int64s[n-1], 10)
			}
			if got != want && (len(b.Rejects()) == 0 || !strings.Contains(got, want)) {
				t.Errorf("%s, %d times: %q, expected %q", value, n, got, want)
			}
		}
	}
}

// Goal: what is wrong with a record is said. Method: lines and the words that the reason must have.
func TestNDJSONErrors(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "n", Type: record.Int64},
		record.Field{Name: "at", Type: record.Timestamp, Nullable: true})
	for line, want := range map[string]string{
		`[1]`:                          "an array, expected an object",
		`{"n":"12"}`:                   `column "n": "12" is a string, expected bigint`,
		`{"n":1.5}`:                    `column "n": "1.5" is not a bigint`,
		`{"n":1e99}`:                   "out of range",
		`{}`:                           `column "n": missing, and not nullable`,
		`{"n":null}`:                   `column "n": null, and not nullable`,
		`{"n":1`:                       "the record ends after 6 bytes, expected a comma or }",
		`{"n":1,}`:                     `"}" at byte 8 of the record, expected a name in quotes`,
		`{"n":1,"x":[1 2]}`:            `"2]}" at byte 15 of the record, expected a comma`,
		`{"n":1,"x":"\q"}`:             "expected an escape",
		`{"n":1} 2`:                    "expected the end of the line",
		`{"n":1,"at":17}`:              `"17" is a number, expected timestamp`,
		`{"n":1,"at":"yesterday"}`:     "is not a timestamp",
		strings.Repeat(`{"n":`, 2000):  "nested no deeper than 1024",
		`{"n":1,"at":"2024-01-01","x"`: "expected a colon",
	} {
		f, err := OpenNDJSON(write(t, []byte(line)), NDJSONConfig{ValueOptions: ValueOptions{Strict: true}, Schema: s})
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, s, f.Readers(1), 0)
		if len(got.rejects) != 1 || got.total != 0 {
			t.Errorf("%.60s: %d rows, rejects %v", line, got.total, got.rejects)
		}
		for _, err := range got.rejects {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.60s: %v, expected %s", line, err, want)
			}
		}
	}
	err := (&NDJSONConfig{
		Schema: s, Names: []string{"a", "a"}, ValueOptions: ValueOptions{TimeUnit: 3},
		BlockBytes: -1,
	}).Validate()
	for _, want := range []string{
		`columns "n" and "at" are the same field "a"`, "time unit of 3ns",
		"blocks of -1 bytes",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %s", err, want)
		}
	}
}

// Goal: nothing is allocated for lines that are as most are, nor for those with escapes and values in values. Method: count while a file is read again.
func TestNDJSONAllocations(t *testing.T) {
	s := jsonSchema(t)
	var data []byte
	for i := range 20_000 {
		data = append(data, jsonTestLine(i)...)
		if i%5 == 0 {
			data = fmt.Appendf(data, `{"name":"a\"b","number":%d,"tags":["x",{"y":1}]}`+"\n", i)
		}
	}
	f, err := OpenNDJSON(write(t, data), NDJSONConfig{Schema: s})
	if err != nil {
		t.Fatal(err)
	}
	r := f.Readers(1)[0].(*blockReader)
	defer r.Close()
	b := record.NewBatch(s, 0)
	rows := 0
	read := func() {
		r.block = 0
		for {
			b.Reset()
			if r.Poll(b) != nil {
				return
			}
			rows += b.Len()
		}
	}
	read()
	if n := testing.AllocsPerRun(3, read); n > 2 || rows == 0 {
		t.Errorf("%v allocations for %d bytes, %d rows", n, len(data), rows)
	}
}

// jsonTestLine is a flat line of jsonSchema.
func jsonTestLine(i int) []byte {
	return fmt.Appendf(nil, `{"at":"2024-01-01T00:%02d:%02d.123Z","name":"S%03d","number":%d,"x":%d.%02d,"ok":%v}`+"\n",
		i/60%60, i%60, i%500, i*7919%100_000, i%1000, i%100, i%3 > 0)
}

func FuzzNDJSON(f *testing.F) {
	s := jsonSchema(f)
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 6))
		data := randomNDJSON(rng, s)
		f.Add(data[:min(len(data), 2000)], uint16(rng.IntN(500)), uint8(rng.IntN(3)))
	}
	f.Fuzz(func(t *testing.T, data []byte, block uint16, readers uint8) {
		if !utf8.Valid(data) {
			return // encoding/json replaces what is not
		}
		cfg := NDJSONConfig{Schema: s, BlockBytes: int(block)}
		read := fuzzColumns(uint64(block), s)
		want := slowJSONColumns(data, cfg, read)
		if diff := fastJSONColumns(t, write(t, data), cfg, read, 1+int(readers%4), 100).same(want); diff != "" {
			t.Fatalf("blocks of %d: %s", block, diff)
		}
		r, err := newNDJSONStream("stream", iotest.HalfReader(bytes.NewReader(data)), cfg, true)
		if err != nil {
			t.Fatal(err)
		}
		if diff := readAll(t, s, projected([]record.Reader{r}, read), 100).same(want); diff != "" {
			t.Fatalf("a stream in blocks of %d: %s", block, diff)
		}
	})
}

// BenchmarkNDJSON reads flat lines, all of one shape or of four that take turns; lines with escapes, one in ten or all; lines with values in
// values, which are read one by one.
func BenchmarkNDJSON(b *testing.B) {
	s := jsonSchema(b)
	for _, lines := range []string{"flat", "spaced", "skipped", "fourshapes", "mixed", "escapes", "nested"} {
		var data []byte
		for i := 0; len(data) < 16<<20; i++ {
			line := jsonTestLine(i)
			switch lines {
			case "spaced":
				line = bytes.ReplaceAll(bytes.ReplaceAll(line, []byte(`":`), []byte(`": `)), []byte(`,"`),
					[]byte(`, "`))
			case "skipped":
				line = bytes.ReplaceAll(line, []byte(`"x":`), []byte(`"y":12345,"x":`))
			case "fourshapes":
				line = bytes.Replace(line, []byte(`"at":`),
					[][]byte{
						[]byte(`"at":`), []byte(`"q":true,"at":`), []byte(`"r":1,"at":`),
						[]byte(`"s":"t","at":`),
					}[i/7%4], 1)
			case "mixed":
				if i%10 == 0 {
					line = bytes.Replace(line, []byte(`"S`), []byte(`"\"S`), 1)
				}
			case "escapes":
				line = bytes.Replace(line, []byte(`"S`), []byte(`"\"S`), 1)
			case "nested":
				line = bytes.Replace(line, []byte(`,"x"`), []byte(`,"tags":["a",1],"x"`), 1)
			}
			data = append(data, line...)
		}
		path := write(b, data)
		b.Run("lines="+lines, func(b *testing.B) {
			f, err := OpenNDJSON(path, NDJSONConfig{Schema: s})
			if err != nil {
				b.Fatal(err)
			}
			r := f.Readers(1)[0].(*blockReader)
			defer r.Close()
			batch := record.NewBatch(s, 0)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				r.block, rows = 0, 0
				for {
					batch.Reset()
					if err := r.Poll(batch); err != nil {
						break
					}
					rows += batch.Len()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(rows), "ns/record")
		})
	}
}
