package readers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// looseMember is a field of an object whose values are not looked at.
type looseMember struct {
	name string
	raw  string
}

// looseObject is the twin of what is checked in values that nobody reads: a byte at a time, with a
// stack of brackets. It returns the fields of an object.
func looseObject(text string) (members []looseMember, err error) {
	text = strings.Trim(text, " \t\r")
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, errors.New("no object")
	}
	var open []byte
	inString := false
	colon, begin := -1, 1
	member := func(end int) error {
		if colon < 0 {
			return errors.New("no colon")
		}
		var name string
		if err := json.Unmarshal([]byte(text[begin:colon]), &name); err != nil ||
			!strings.HasPrefix(strings.Trim(text[begin:colon], " \t\r"), `"`) {
			return errors.New("no name")
		}
		raw := strings.Trim(text[colon+1:end], " \t\r")
		if raw == "" {
			return errors.New("no value")
		}
		members = append(members, looseMember{name, raw})
		colon, begin = -1, end+1
		return nil
	}
	for i := 1; i < len(text); i++ {
		c := text[i]
		switch {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '\\':
			return nil, errors.New("a backslash")
		case c == '{' || c == '[':
			open = append(open, c)
		case (c == '}' || c == ']') && len(open) > 0:
			if open[len(open)-1]^c != '{'^'}' && open[len(open)-1]^c != '['^']' {
				return nil, errors.New("brackets")
			}
			open = open[:len(open)-1]
		case c == ']':
			return nil, errors.New("brackets")
		case len(open) > 0:
		case c == '}':
			if i < len(text)-1 {
				return nil, errors.New("something after the object")
			}
			if begin == 1 && strings.Trim(text[1:i], " \t\r") == "" {
				return nil, nil
			}
			return members, member(i)
		case c == ':' && colon >= 0:
			return nil, errors.New("a second colon")
		case c == ':':
			colon = i
		case c == ',':
			if err := member(i); err != nil {
				return nil, err
			}
		}
	}
	return nil, errors.New("no end")
}

// looseColumns has the value of each column of a line, and an error if the value of a column is no JSON.
func looseColumns(text string, cfg NDJSONConfig, read []bool) (map[string]json.RawMessage, error) {
	members, err := looseObject(text)
	if err != nil {
		return nil, err
	}
	object := map[string]json.RawMessage{}
	for _, m := range members {
		for i := range cfg.Schema.Len() {
			if cfg.name(i) == m.name && (read == nil || read[i]) && !json.Valid([]byte(m.raw)) {
				return nil, errors.New("no JSON")
			}
		}
		object[m.name] = json.RawMessage(m.raw)
	}
	return object, nil
}

// Goal: the assembly and its twin walk alike: the same lines, values and escapes, and they stop at
// the same places for the same reasons. Method: random lines, wrong ones among them; the twin goes
// on from where the assembly has stopped, and the links of a walk are known to both.
func TestWalkTwin(t *testing.T) {
	if !haveAVX2 {
		t.Skip("this processor, or this build, does not have vectors")
	}
	lines, whys := 0, map[uint64]int{}
	base := rand.Uint64()
	for seed := base; seed < base+300; seed++ {
		rng := rand.New(rand.NewPCG(seed, 14))
		s := nestedSchema(t, rng.IntN(2) == 0)
		f, err := newJSONFormat(NDJSONConfig{Schema: s, ValueOptions: ValueOptions{Strict: rng.IntN(3) == 0}})
		if err != nil {
			t.Fatal(err)
		}
		r := newJSONParser(f)
		r.project(randomColumns(rng, s))
		r.walker = newJSONWalker(f, r.unread)
		r.buf = bytes.Repeat([]byte{'x'}, pad)
		for range rng.IntN(200) {
			r.buf = append(r.buf, nestedLine(rng)...)
		}
		r.pos, r.end = pad, len(r.buf)
		r.buf = append(r.buf, bytes.Repeat([]byte{'{'}, pad)...)
		for r.pos < r.end {
			w := r.walker
			w.start(r, 1+rng.IntN(maxStripe))
			for on := true; on; {
				w.tables()
				twin := copyWalk(w)
				walkJSON(&w.jsonWalk)
				walkJSONGo(&twin.jsonWalk)
				if diff := sameWalk(w, twin); diff != "" {
					t.Fatalf("seed %d: %s\n%.3000s", seed, diff, r.buf[r.pos:r.end])
				}
				whys[w.why]++
				on = r.goOn()
			}
			lines += int(w.line)
			if w.line > 0 {
				r.pos = int(w.lineEnds[w.line-1]) + 1
			}
			if w.why != walkDone {
				r.pos += lineLength(r.buf[r.pos:r.end])
			}
		}
	}
	if lines < 10_000 || whys[walkUnusual] < 100 || whys[walkMissing] < 100 || whys[walkCheck] < 100 {
		t.Errorf("%d lines, %v", lines, whys)
	}
}

// copyWalk copies what a walk writes to.
func copyWalk(w *jsonWalker) *jsonWalker {
	twin := *w
	twin.jsonKeys.frames = slices.Clone(w.jsonKeys.frames)
	twin.slab, twin.lineEnds, twin.escapes = slices.Clone(w.slab), slices.Clone(w.lineEnds), slices.Clone(w.escapes)
	twin.tables()
	return &twin
}

// sameWalk says what differs between two walks, as far as it counts.
func sameWalk(a, b *jsonWalker) string {
	if a.why != b.why || a.line != b.line || a.number != b.number {
		return fmt.Sprintf("stopped for %d in line %d, the twin for %d in line %d", a.why, a.line, b.why, b.line)
	}
	if a.why != walkUnusual && (a.pos != b.pos || a.why != walkDone && a.key != b.key || a.found != b.found) {
		return fmt.Sprintf("stopped at %d with key %d and %d escapes, the twin at %d with key %d and %d", a.pos, a.key,
			a.found, b.pos, b.key, b.found)
	}
	if !slices.Equal(a.lineEnds[:a.line], b.lineEnds[:a.line]) || !slices.Equal(a.jsonKeys.frames, b.jsonKeys.frames) {
		return "other ends of lines, or other frames"
	}
	for col, spans := range a.noted {
		if spans == nil {
			continue
		}
		from := int(a.slots[col] / 4)
		if i := 2 * int(a.line); !slices.Equal(a.slab[from:from+i], b.slab[from:from+i]) {
			return fmt.Sprintf("other values of column %d", col)
		}
	}
	if least := min(a.found, b.found); !slices.Equal(a.escapes[:least], b.escapes[:least]) {
		return "other escapes"
	}
	return ""
}

// nestedLine is a line of a log whose fields come in several orders, are missing, have fields within
// them, and are wrong now and then.
func nestedLine(rng *rand.Rand) string {
	var value func(depth int) string
	value = func(depth int) string {
		switch n := rng.IntN(24); {
		case n < 5 && depth > 0:
			var fields []string
			for _, name := range []string{"b", "c", "a", "a.b"} {
				if rng.IntN(3) > 0 {
					fields = append(fields, fmt.Sprintf("%q:%s", name, value(depth-1)))
				}
			}
			return "{" + strings.Join(fields, ",") + "}"
		case n < 7 && depth > 0:
			return "[" + value(depth-1) + []string{",", ", "}[rng.IntN(2)] + value(depth-1) + "]"
		case n < 8:
			return []string{"{}", "[]", "[{}]", "null", "true", `""`, `{"b": 1}`}[rng.IntN(7)]
		case n < 9:
			return []string{`"\u0041\"}"`, `"a\\"`, `"x,y:z{"`, `"]\n"`}[rng.IntN(4)]
		case n < 15:
			return fmt.Sprint(rng.IntN(100_000) - 100)
		}
		return fmt.Sprintf(`"t%d"`, rng.IntN(100))
	}
	names := []string{"a", "b", "n", "other", "t"}
	if rng.IntN(4) == 0 {
		rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}
	var fields []string
	for _, name := range names {
		if rng.IntN(8) == 0 {
			continue
		}
		v := value(3)
		if name == "n" && rng.IntN(20) > 0 {
			v = fmt.Sprint(rng.IntN(1000))
		}
		fields = append(fields, fmt.Sprintf("%q:%s%s", name, []string{"", "", "", " "}[rng.IntN(4)], v))
		if rng.IntN(100) == 0 {
			fields = append(fields, fields[rng.IntN(len(fields))])
		}
	}
	line := "{" + strings.Join(fields, ",") + "}"
	if rng.IntN(12) == 0 {
		i := rng.IntN(len(line))
		odd := []string{"", `"`, ",", ":", "}", "{", "[", "]", "\\", " ", "\t", "\r", "x", `""`, "null"}[rng.IntN(15)]
		line = line[:i] + odd + line[min(i+rng.IntN(2), len(line)):]
	}
	return line + []string{"\n", "\n", "\n", "\r\n"}[rng.IntN(4)]
}

// nestedSchema has columns within columns, some of which must not be missing.
func nestedSchema(t testing.TB, required bool) *record.Schema {
	return schemaOf(t,
		record.Field{Name: "n", Type: record.Int64, Nullable: !required},
		record.Field{Name: "a.b", Type: record.String, Nullable: true},
		record.Field{Name: "t", Type: record.String, Nullable: true},
		record.Field{Name: "a.c.b", Type: record.Int64, Nullable: true},
		record.Field{Name: "b.a", Type: record.Float64, Nullable: true})
}

// slowNested is the twin for nested columns: a line after the other, each path by itself.
func slowNested(data []byte, cfg NDJSONConfig, read []bool) *result {
	res := newResult()
	for offset := 0; offset < len(data); {
		line, _, _ := bytes.Cut(data[offset:], []byte("\n"))
		at := int64(offset)
		offset += len(line) + 1
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(bytes.Trim(line, " \t\r")) == 0 {
			continue
		}
		values, err := slowNestedLine(string(line), cfg, read)
		if err != nil {
			res.reject(at, line, err)
			continue
		}
		res.add(values)
	}
	return res
}

func slowNestedLine(line string, cfg NDJSONConfig, read []bool) (values []string, err error) {
	s := cfg.Schema
	members, err := looseObject(line)
	if err != nil {
		return nil, err
	}
	if cfg.Strict && !json.Valid([]byte(line)) {
		return nil, errors.New("no JSON")
	}
	found := make([]string, s.Len())
	// reads says of a column whether it is looked for.
	reads := func(i int) bool { return read == nil || read[i] || !s.Field(i).Nullable }
	var look func(members []looseMember, prefix string) error
	look = func(members []looseMember, prefix string) error {
		for _, m := range members {
			path := prefix + m.name
			within := false
			for i := range s.Len() {
				name := s.Field(i).Name
				if strings.HasPrefix(name, path+".") && reads(i) {
					within = true
				}
				if name != path {
					continue
				}
				if read == nil || read[i] {
					if !json.Valid([]byte(m.raw)) {
						return errors.New("no JSON")
					}
				}
			}
			if !within || m.raw[0] != '{' {
				continue
			}
			inner, err := looseObject(m.raw)
			if err != nil {
				return err
			}
			if err := look(inner, path+"."); err != nil {
				return err
			}
		}
		return nil
	}
	if err := look(members, ""); err != nil {
		return nil, err
	}
	for i := range s.Len() {
		found[i] = loosePath(members, s.Field(i).Name, true)
		f := s.Field(i)
		var raw json.RawMessage
		if found[i] != "" {
			raw = json.RawMessage(found[i])
		}
		v, verr := slowJSONValue(f, raw)
		if read != nil && !read[i] {
			if v = unreadText(f); f.Nullable || raw != nil && string(raw) != "null" {
				verr = nil
			}
		}
		values, err = append(values, v), errors.Join(err, verr)
	}
	return values, err
}

// loosePath is the value of a column in an object: the last field of the whole name, or what a path
// leads to in the last of its fields.
func loosePath(members []looseMember, name string, outermost bool) (raw string) {
	for _, m := range members {
		if m.name == name {
			raw = m.raw
		}
	}
	if raw != "" && outermost {
		return raw
	}
	// Which of two paths to the same column counts depends on their order in the line.
	for _, m := range members {
		if m.name == name && !outermost {
			raw = m.raw
		}
		if rest, ok := strings.CutPrefix(name, m.name+"."); ok {
			raw2 := ""
			if m.raw[0] == '{' {
				if inner, err := looseObject(m.raw); err == nil {
					raw2 = loosePath(inner, rest, false)
				}
			}
			raw = raw2
		}
	}
	return raw
}

// Goal: lines with fields within fields, that are missing or come in other orders, are read alike
// line by line, walked, in blocks, by several readers and as streams, and are what a twin says,
// whatever columns are read, strictly and not. Method: random lines, wrong ones among them.
func TestNestedTwin(t *testing.T) { eachVariant(t, testNestedTwin) }

func testNestedTwin(t *testing.T) {
	rejects := 0
	base := rand.Uint64()
	for seed := base; seed < base+150; seed++ {
		rng := rand.New(rand.NewPCG(seed, 15))
		s := nestedSchema(t, rng.IntN(2) == 0)
		var data []byte
		for range rng.IntN(400) {
			data = append(data, nestedLine(rng)...)
		}
		cfg := NDJSONConfig{Schema: s, BlockBytes: rng.IntN(5000), ValueOptions: ValueOptions{Strict: rng.IntN(3) == 0}}
		read := randomColumns(rng, s)
		looks := read
		if cfg.Strict {
			looks = nil
		}
		want := slowNested(data, cfg, looks)
		f, err := OpenNDJSON(write(t, data), cfg)
		if err != nil {
			t.Fatal(err)
		}
		rs := projected(f.Readers(1+rng.IntN(3)), read)
		got := readAll(t, s, rs, 1+rng.IntN(600))
		if diff := got.same(want); diff != "" {
			t.Fatalf("seed %d, columns %v, strict %v: %s\n%.6000s", seed, read, cfg.Strict, diff, data)
		}
		rejects += len(want.rejects)
		if diff := sameWays(t, jsonWays(cfg, read, seed, 1+rng.IntN(3000), 1+rng.IntN(4), 1+rng.IntN(2000)), s, data,
			write(t, data), 1+rng.IntN(100), 0); diff != "" {
			t.Fatalf("seed %d, columns %v: %s\n%.6000s", seed, read, diff, data)
		}
	}
	if rejects < 300 {
		t.Errorf("%d rejects", rejects)
	}
}

// FuzzNested is TestNestedTwin of any bytes.
func FuzzNested(f *testing.F) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 16))
		var data []byte
		for range 30 {
			data = append(data, nestedLine(rng)...)
		}
		f.Add(data, seed, uint16(100*seed), seed%3 == 0)
	}
	was512, wasAVX2 := have512, haveAVX2
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, block uint16, strict bool) {
		if !json.Valid([]byte(`"`+strings.ToValidUTF8(string(data), "")+`"`)) && bytes.ContainsRune(data, '\ufffd') ||
			bytes.HasPrefix(data, []byte("\ufeff")) {
			return
		}
		if string(data) != strings.ToValidUTF8(string(data), "") {
			return // encoding/json replaces what is not UTF-8
		}
		defer func() { have512, haveAVX2 = was512, wasAVX2 }()
		s := nestedSchema(t, seed%2 == 0)
		cfg := NDJSONConfig{Schema: s, BlockBytes: int(block), ValueOptions: ValueOptions{Strict: strict}}
		read := fuzzColumns(seed, s)
		looks := read
		if strict {
			looks = nil
		}
		want := slowNested(data, cfg, looks)
		for _, vectors := range []bool{false, true} {
			have512, haveAVX2 = was512 && vectors, wasAVX2 && vectors
			if diff := fastJSONColumns(t, write(t, data), cfg, read, 1, 100).same(want); diff != "" {
				t.Fatalf("vectors %v: %s", vectors, diff)
			}
		}
	})
}

// Goal: a column and one within it are both what the twin says, whichever of them are read. Method:
// such columns, with escapes in both.
func TestColumnWithinColumn(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "a", Type: record.String, Nullable: true},
		record.Field{Name: "a.b", Type: record.String, Nullable: true})
	var data []byte
	for i := range 100 {
		data = fmt.Appendf(data, "{\"a\":{\"b\":\"x\\\"%d\"},\"c\":[1]}\n", i)
		data = fmt.Appendf(data, "{\"c\":%d,\"a\":\"\\\"\"}\n{\"a.b\":\"\\u0041\",\"a\":[\"\\\"\"]}\n", i)
	}
	for _, read := range [][]bool{{false, true}, {true, false}, {true, true}, nil} {
		f, err := OpenNDJSON(write(t, data), NDJSONConfig{Schema: s})
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, s, projected(f.Readers(1), read), 10)
		if diff := got.same(slowNested(data, NDJSONConfig{Schema: s}, read)); diff != "" {
			t.Errorf("columns %v: %s", read, diff)
		}
	}
}
