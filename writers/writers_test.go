package writers_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// file is what is written to; it may be full.
type file struct {
	bytes.Buffer
	full   bool
	closed int
}

func (f *file) Write(b []byte) (int, error) {
	if f.full {
		return 0, errors.New("no space")
	}
	return f.Buffer.Write(b)
}
func (f *file) Close() error { f.closed++; return nil }

func someBatch(t *testing.T) *record.Batch {
	s, err := record.NewSchema("t", record.Field{Name: "a \"b\"", Type: record.String, Nullable: true}, record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "f", Type: record.Float64}, record.Field{Name: "ok", Type: record.Bool}, record.Field{Name: "at", Type: record.Timestamp},
		record.Field{Name: "d", Type: record.DecimalOf(10, 2)})
	if err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(s, 10)
	for i, f := range []float64{0.1, math.Inf(-1)} {
		b.Add(20)
		if i == 0 {
			b.SetString(0, "x,\"y\"\n")
		} else {
			b.SetNull(0)
		}
		b.SetInt64(1, -7)
		b.SetFloat64(2, f)
		b.SetBool(3, i == 0)
		b.SetInt64(4, 1_500_000_000)
		b.SetInt64(5, -1205)
	}
	return b
}

// Goal: what is written is what the formats say, and is all there, and closed, after Close; a full disk is an error.
func TestFormats(t *testing.T) {
	for name, c := range map[string]struct {
		make func(*file) record.Writer
		want string
	}{
		"csv": {
			func(f *file) record.Writer { return writers.NewCSV(f) },
			"\"a \"\"b\"\"\",i,f,ok,at,d\n\"x,\"\"y\"\"\n\",-7,0.1,true,1970-01-01T00:00:01.5Z,-12.05\n,-7,-Inf,false,1970-01-01T00:00:01.5Z,-12.05\n",
		},
		"ndjson": {
			func(f *file) record.Writer { return writers.NewNDJSON(f) },
			`{"a \"b\"":"x,\"y\"\n","i":-7,"f":0.1,"ok":true,"at":"1970-01-01T00:00:01.5Z","d":"-12.05"}` + "\n" +
				`{"a \"b\"":null,"i":-7,"f":"-Inf","ok":false,"at":"1970-01-01T00:00:01.5Z","d":"-12.05"}` + "\n",
		},
	} {
		f := &file{}
		w := c.make(f)
		if err := w.Write(context.Background(), someBatch(t)); err != nil {
			t.Error(name, err)
		}
		if err := w.Close(); err != nil || f.String() != c.want || f.closed != 1 {
			t.Errorf("%s: %v, closed %d times\n%s\nexpected\n%s", name, err, f.closed, f.String(), c.want)
		}
		f = &file{full: true}
		w = c.make(f)
		err := w.Write(context.Background(), someBatch(t))
		if err = errors.Join(err, w.Close()); err == nil {
			t.Errorf("%s: a full disk was no error", name)
		}
	}
	n := 0
	var w record.Writer = writers.Func(func(_ context.Context, b *record.Batch) error { n += b.Len(); return nil })
	if err := errors.Join(w.Write(context.Background(), someBatch(t)), w.Close()); err != nil || n != 2 {
		t.Error(n, err)
	}
}

// Goal: texts are quoted as encoding/csv and encoding/json quote them, which are the twins; an empty text is "" in CSV, which NULL is not. Method: random texts of the characters that matter, each line beside the twin's.
func TestQuoting(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	s, err := record.NewSchema("t", record.Field{Name: "a", Type: record.String}, record.Field{Name: "b", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	letters := []string{"a", "Z", ",", "\"", "\n", "\r", " ", "\t", "\\", ".", "<", "&", "ä", "\u00a0", "\u2028", "\x00", "\x7f", "\xff", "日"}
	text := func() (s string) {
		for range r.IntN(5) {
			s += letters[r.IntN(len(letters))]
		}
		return s
	}
	var gotCSV, wantCSV, gotJSON, wantJSON bytes.Buffer
	c, j := writers.NewCSV(&gotCSV), writers.NewNDJSON(&gotJSON)
	field := func(text, end string) {
		if text == "" {
			text = `""`
		} else {
			var one bytes.Buffer
			twin := csv.NewWriter(&one)
			if err := twin.Write([]string{text}); err != nil {
				t.Fatal(err)
			}
			twin.Flush()
			text = strings.TrimSuffix(one.String(), "\n")
		}
		wantCSV.WriteString(text + end)
	}
	wantCSV.WriteString("a,b\n")
	for range 5000 {
		a, b := text(), text()
		batch := record.NewBatch(s, 1)
		batch.Add(len(a) + len(b))
		batch.SetString(0, a)
		batch.SetString(1, b)
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		fmt.Fprintf(&wantJSON, `{"a":%s,"b":%s}`+"\n", x, y)
		if err := errors.Join(c.Write(t.Context(), batch), c.Flush(), j.Write(t.Context(), batch), j.Flush()); err != nil {
			t.Fatal(err)
		}
		field(a, ",")
		field(b, "\n")
		if !bytes.Equal(gotCSV.Bytes(), wantCSV.Bytes()) || !bytes.Equal(gotJSON.Bytes(), wantJSON.Bytes()) {
			t.Fatalf("seed %d: %q, %q\nare %q\nnot %q\nor %q\nnot %q", seed, a, b, gotCSV.Bytes(), wantCSV.Bytes(), gotJSON.Bytes(), wantJSON.Bytes())
		}
		gotCSV.Reset()
		wantCSV.Reset()
		gotJSON.Reset()
		wantJSON.Reset()
	}
}
