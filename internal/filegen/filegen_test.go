package filegen

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"testing"
)

// Goal: the files are what they say. Method: packages encoding/csv and encoding/json read them.
func TestFiles(t *testing.T) {
	const rows = 2000
	for _, c := range []Trades{{rows, 50, 0, false}, {rows, 50, 10, false}, {rows, 50, 10, true}} {
		var out bytes.Buffer
		if err := c.Write(&out, 1); err != nil {
			t.Fatal(err)
		}
		records, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(records) != rows+1 || len(records[0]) != 10 {
			t.Fatalf("%+v: %d records, %v", c, len(records), err)
		}
	}
	for _, l := range []WebLog{{rows, false}, {rows, true}} {
		var out bytes.Buffer
		if err := l.Write(&out, 1); err != nil {
			t.Fatal(err)
		}
		in, n := json.NewDecoder(&out), 0
		for in.More() {
			var line map[string]any
			if err := in.Decode(&line); err != nil {
				t.Fatal(err)
			}
			if n++; (line["request"] == nil) != l.Flat {
				t.Fatalf("%+v: %v", l, line)
			}
		}
		if n != rows {
			t.Fatalf("%d lines, expected %d", n, rows)
		}
	}
}
