package push

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Goal: a text is split into the records that encoding/csv finds, and each begins at the line that
// it says. Method: random texts of the characters that matter; records with bare quotes, which
// encoding/csv refuses, are left out.
func TestSplitCSV(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	compared := 0
	for range 40_000 {
		var text []byte
		for range rnd.IntN(14) {
			text = append(text, "a,\"\"\"\n\r "[rnd.IntN(8)])
		}
		r := csv.NewReader(bytes.NewReader(text))
		r.FieldsPerRecord = -1
		want, err := r.ReadAll()
		if err != nil || bytes.ContainsRune(bytes.ReplaceAll(text, []byte("\r\n"), nil), 13) {
			continue
		}
		var got [][]string
		for rec := range SplitCSV(text) {
			if len(rec.Text) == 0 {
				continue // encoding/csv leaves them out
			}
			own := csv.NewReader(bytes.NewReader(rec.Text))
			fields, err := own.Read()
			if err != nil {
				t.Fatalf("%q: record %q: %v", text, rec.Text, err)
			}
			got = append(got, fields)
			if lines := bytes.SplitAfter(text, []byte{'\n'}); !strings.HasPrefix(
				string(bytes.Join(lines[rec.Line-1:], nil)), string(rec.Text)) {
				t.Fatalf("%q: record %q does not begin in line %d", text, rec.Text, rec.Line)
			}
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q: %q, expected %q", text, got, want)
		}
		compared++
	}
	if compared < 5000 {
		t.Errorf("%d texts compared", compared)
	}
	all := slices.Collect(SplitCSV([]byte("a\n\"b\nc\nd")))
	if len(all) != 2 || all[1].Line != 2 || string(all[1].Text) != "\"b\nc\nd" {
		t.Errorf("%+v", all)
	}
}

// Goal: records of CSV are taken as objects of JSON are: by the names of the header or in their
// order, with numbers, and what is no record is said by its line.
func TestPushCSV(t *testing.T) {
	s, schema := newSource(t)
	e, p := start(t, s, schema, t.TempDir())
	lines := func(texts ...string) (all [][]byte) {
		for _, text := range texts {
			all = append(all, []byte(text))
		}
		return all
	}
	fields, err := s.Fields([]byte(`note,"N",K`))
	if err != nil || !slices.Equal(fields, []int{-1, 1, 0}) {
		t.Fatal(fields, err)
	}
	r, err := s.Push(t.Context(), Request{CSV: true, Fields: fields, Lines: lines(
		`x,1,a`, `"x, ""y""`+"\n"+`z",2,a`, `x,no,a`, `x,,a`, `x,3`, `"x,3,a`,
	)})
	must(t, err)
	if r.Taken != 3 || r.Rejected != 3 || r.Rejects[0].Line != 3 || r.Rejects[1].Line != 5 || r.Rejects[2].Line != 6 {
		t.Errorf("%+v", r)
	}
	if got := total(t, e, p); got != "3/3" {
		t.Error(got)
	}
	r, err = s.Push(t.Context(), Request{CSV: true, Producer: "c", First: 1, Lines: lines(`a,10`, `a,20`)})
	must(t, err)
	r, err = s.Push(t.Context(), Request{CSV: true, Producer: "c", First: 2, Lines: lines(`a,20`, `a,30`)})
	must(t, err)
	if r.Taken != 1 || r.Duplicates != 1 || r.Next != 4 {
		t.Errorf("%+v", r)
	}
	if got := total(t, e, p); got != "6/63" {
		t.Error(got)
	}
	for header, want := range map[string]string{
		`n,x`:   "expected k too, which are NOT NULL",
		`k,n,K`: "",
		`k,"n`:  "the header",
		``:      "the header",
	} {
		if _, err := s.Fields([]byte(header)); want == "" && err != nil || want != "" && (err == nil ||
			!strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, expected %s", header, err, want)
		}
	}
	nullable, err := record.NewSchema("n", record.Field{Name: "a", Type: record.Int64, Nullable: true})
	must(t, err)
	n, err := New("n", nullable, readers.NDJSONConfig{})
	must(t, err)
	if _, err := n.Fields([]byte("b,c")); err == nil || !strings.Contains(err.Error(), "none of the columns a") {
		t.Error(err)
	}
}
