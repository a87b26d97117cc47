package velocli

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// Goal: the fields of a line are those that encoding/json finds. Method: lines with blanks, escapes, brackets and quotes in texts, empty
// and nested values, and what is no object; the decoder is the twin.
func TestJSONFields(t *testing.T) {
	for _, line := range []string{
		`{}`, ` { } `, `{"a":1}`, `{ "a" : 1 , "b" : -2.5e3 }` + "\n", `{"a":"x","a":"y"}`,
		`{"":null,"b":true ,"c":false}`,
		`{"a\"b":"c\\","d":"}","e":"[{\\\"","f\u00e4":"\ud83d\ude00"}`, `{"a":{"b":[1,{"c":"]}"}]},"d":[ ]}`,
		`{"a":[[],[[]],{}],"b":{}}`,
		"{\"a\":\t1\r\n}", `{"a":1 }`, `{"a":"","b":"\\"}`, `[1,2]`, `"a"`, `1`, ``, `{`, `{"a"}`, `{"a":1}x`,
		`{"a":1}{"b":2}`, `{"a":01}`, "{\"a\":\"\x01\"}",
	} {
		want, wantErr := decoderFields([]byte(line))
		got, err := jsonFields([]byte(line))
		same := slices.EqualFunc(got, want, func(a, b jsonPair) bool {
			return a.name == b.name && bytes.Equal(a.value, b.value)
		})
		if (err != nil) != wantErr || err == nil && !same {
			t.Errorf("%s: %q, %v, expected %q, a fault: %v", line, got, err, want, wantErr)
		}
	}
}

// decoderFields is jsonFields by encoding/json alone.
func decoderFields(line []byte) (pairs []jsonPair, fault bool) {
	if !json.Valid(line) {
		return nil, true
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, true
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, true
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, true
		}
		pairs = append(pairs, jsonPair{name.(string), value})
	}
	return pairs, false
}
