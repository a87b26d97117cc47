package readers

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/record"
)

// Goal: a column with a point in its name is the field within a field, whatever is around it, and NULL where the way does not lead
// through objects; a field of the whole name wins. Method: a line each.
func TestJSONPaths(t *testing.T) {
	s := schemaOf(t,
		record.Field{Name: "a", Type: record.String, Nullable: true},
		record.Field{Name: "a.b", Type: record.String, Nullable: true},
		record.Field{Name: "a.c.d", Type: record.Int64, Nullable: true},
		record.Field{Name: "x", Type: record.Int64, Nullable: true})
	for _, c := range []struct{ line, want string }{
		{`{"a":{"b":"one","c":{"d":2}},"x":3}`, `{"b":"one","c":{"d":2}}|one|2|3`},
		{`{"x":3,"a":{"c":{"d":2,"e":[{"d":5}]},"b":"one"}}`, `{"c":{"d":2,"e":[{"d":5}]},"b":"one"}|one|2|3`},
		{`{"a":{"b":"\u0041\n\"q\""}}`, `{"b":"\u0041\n\"q\""}|A` + "\n" + `"q"|NULL|NULL`},
		{`{"a":{"b":{"c":1}}}`, `{"b":{"c":1}}|{"c":1}|NULL|NULL`},
		{`{"a":{"b":null,"c":5}}`, `{"b":null,"c":5}|NULL|NULL|NULL`},
		{`{"a":null}`, `NULL|NULL|NULL|NULL`},
		{`{"a":7}`, `7|NULL|NULL|NULL`},
		{`{"a":[{"b":"no"}]}`, `[{"b":"no"}]|NULL|NULL|NULL`},
		{`{"a":"text"}`, `text|NULL|NULL|NULL`},
		{`{}`, `NULL|NULL|NULL|NULL`},
		{`{"a":{}}`, `{}|NULL|NULL|NULL`},
		{`{"a.b":"own","a":{"b":"nested"}}`, `{"b":"nested"}|own|NULL|NULL`},
		{`{"a":{"b":"nested"},"a.b":"own"}`, `{"b":"nested"}|own|NULL|NULL`},
		{`{"a":{"c.d":4}}`, `{"c.d":4}|NULL|4|NULL`},
		{`{"a.c":{"d":4}}`, `NULL|NULL|4|NULL`},
		{`{"\u0061":{"\u0062":"e"}}`, `{"\u0062":"e"}|e|NULL|NULL`},
		{`{"a":{"b":"first"},"a":{}}`, `{}|NULL|NULL|NULL`},
		{`{"a":{"b":"first"},"a":5}`, `5|NULL|NULL|NULL`},
		{`{"a":{"b":"first","b":"second"}}`, `{"b":"first","b":"second"}|second|NULL|NULL`},
		{`{"A":{"b":"other"}}`, `NULL|NULL|NULL|NULL`},
		{`{"a":{"c":{"d":"text"}}}`, `!column "a.c.d": "text" is a string`},
		{`{"a":{"b":"x"}`, `!the record ends`},
		{`{"a":{"b":"x",}}`, `!expected a name in quotes`},
		{`{"a":{"b" "x"}}`, `!expected a colon`},
		{`{"a":{"b":"x" "c":1}}`, `!expected a comma or the end`},
		{`{"a":` + strings.Repeat("[", 1024) + strings.Repeat("]", 1024) + `}`, strings.Repeat("[", 1024) +
			strings.Repeat("]", 1024) + `|NULL|NULL|NULL`},
		{`{"a":{"c":` + strings.Repeat("[", 1024) + strings.Repeat("]", 1024) + `}}`, `!nested no deeper`},
	} {
		// Lines like others are read together: they are among some that are alike, and among others.
		for _, around := range []string{`{"x":1}`, `{"a.b":"own","x":1}`, `{"a":{"b":"1\u0031"},"x":1}`} {
			lines := strings.Repeat(around+"\n", 20)
			f, err := OpenNDJSON(write(t, []byte(lines+c.line+"\n"+lines)), NDJSONConfig{Schema: s})
			if err != nil {
				t.Fatal(err)
			}
			got := readRows(t, s, f.Readers(1)[0])
			if len(got) != 41 || strings.HasPrefix(c.want, "!") != strings.HasPrefix(got[20], "!") ||
				!strings.Contains(got[20], c.want[1:]) {
				t.Fatalf("%.100s: %d rows, %.200q, expected %.200q", c.line, len(got), got[min(20, len(got)-1)], c.want)
			}
			want := map[string]string{`{"x":1}`: "NULL|NULL|NULL|1", `{"a.b":"own","x":1}`: "NULL|own|NULL|1"}[around]
			if want == "" {
				want = `{"b":"1\u0031"}|11|NULL|1`
			}
			if got[19] != want || got[40] != want {
				t.Fatalf("%.100s among %s: %q and %q, expected %q", c.line, around, got[19], got[40], want)
			}
		}
	}
}

// readRows reads everything: the values of a row with bars between them, or ! and the reason of a reject, in the order of the lines.
func readRows(t *testing.T, s *record.Schema, r record.Reader) (rows []string) {
	t.Helper()
	defer r.Close()
	b := record.NewBatch(s, 1) // one by one, so that rejects are in their place
	var err error
	for err == nil {
		b.Reset()
		err = r.(record.Poller).Poll(b)
		for _, j := range b.Rejects() {
			rows = append(rows, "!"+j.Reason.Error())
		}
		for i := range b.Len() {
			var values []string
			for col := range s.Len() {
				switch c := b.Column(col); {
				case c.Null(i):
					values = append(values, "NULL")
				case s.Field(col).Type == record.String:
					values = append(values, string(c.View(i)))
				default:
					values = append(values, fmt.Sprint(c.Int64s[i]))
				}
			}
			rows = append(rows, strings.Join(values, "|"))
		}
	}
	return rows
}

// Goal: nested fields are those that encoding/json finds, with batches and blocks of any size. Method: random objects, and the same
// schema read by walking what encoding/json makes.
func TestJSONPathsTwin(t *testing.T) {
	s := schemaOf(t,
		record.Field{Name: "a.b", Type: record.String, Nullable: true},
		record.Field{Name: "b", Type: record.String, Nullable: true},
		record.Field{Name: "b.a.b", Type: record.String, Nullable: true})
	for seed := range testgen.Seeds(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var value func(depth int) string
		value = func(depth int) string {
			switch n := rng.IntN(10); {
			case n < 5 && depth > 0:
				var fields []string
				for range rng.IntN(4) {
					fields = append(fields, fmt.Sprintf("%q: %s", []string{"a", "b", "c"}[rng.IntN(3)], value(depth-1)))
				}
				return "{" + strings.Join(fields, " ,") + "}"
			case n < 6:
				return "null"
			case n < 7:
				return `"\u0041\\"`
			}
			return fmt.Sprintf(`"t%d"`, rng.IntN(100))
		}
		var data strings.Builder
		want := map[string]int{}
		for range 50 {
			line := fmt.Sprintf(`{"a": %s,"b":%s}`, value(3), value(3))
			data.WriteString(line + "\n")
			var object map[string]json.RawMessage
			if err := json.Unmarshal([]byte(line), &object); err != nil {
				t.Fatal(err)
			}
			want[slowPath(line, "a", "b")+"|"+slowPath(line, "b")+"|"+slowPath(line, "b", "a", "b")]++
		}
		f, err := OpenNDJSON(write(t, []byte(data.String())), NDJSONConfig{Schema: s, BlockBytes: 1 + rng.IntN(500)})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range readRows(t, s, f.Readers(1)[0]) {
			if want[row]--; want[row] < 0 {
				t.Fatalf("seed %d: the row %q is not expected", seed, row)
			}
		}
		for row, n := range want {
			if n != 0 {
				t.Fatalf("seed %d: %d rows %q are missing", seed, n, row)
			}
		}
	}
}

// slowPath is the text of a field within fields.
func slowPath(text string, keys ...string) string {
	for _, key := range keys {
		var object map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &object) != nil || object[key] == nil {
			return "NULL"
		}
		text = string(object[key])
	}
	var s string
	switch {
	case text == "null":
		return "NULL"
	case text[0] == '"' && json.Unmarshal([]byte(text), &s) == nil:
		return s
	}
	return text
}
