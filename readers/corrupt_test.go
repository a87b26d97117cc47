package readers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/velo-engine/velo/record"
)

// Goal: of a million records of which one in a hundred is spoiled, exactly the spoiled ones are set aside, each at its offset, and no other is
// lost, from a file and from a stream. Method: every way to spoil a record, at random places; the sum of a column that says which rows came.
func TestOneInAHundredSpoiled(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 50_000
	}
	seed := rand.Uint64()
	s := schemaOf(t,
		record.Field{Name: "i", Type: record.Int64},
		record.Field{Name: "name", Type: record.String},
		record.Field{Name: "x", Type: record.Float64},
	)
	formats := map[string]struct {
		good  func(data []byte, i int) []byte
		spoil func(rng *rand.Rand, i int) string
	}{
		"delimited": {
			func(data []byte, i int) []byte { return fmt.Appendf(data, "%d,\"name, %d\",%d.5\n", i, i%100, i%1000) },
			func(rng *rand.Rand, i int) string {
				return []string{
					fmt.Sprint(i), fmt.Sprintf("%d,a,1,2", i), "x,a,1", fmt.Sprintf("%d,a,one", i), fmt.Sprintf("%d,\"a\"b,1", i), fmt.Sprintf("%d,\"a\" ,1", i),
					",,,,", ",,", "\x00\xff", fmt.Sprintf("%d,a,", i), "99999999999999999999,a,1",
				}[rng.IntN(11)]
			},
		},
		"ndjson": {
			func(data []byte, i int) []byte {
				return fmt.Appendf(data, `{"i":%d,"name":"name %d","x":%d.5}`+"\n", i, i%100, i%1000)
			},
			func(rng *rand.Rand, i int) string {
				line := string(bytes.TrimSpace([]byte(fmt.Sprintf(`{"i":%d,"name":"n","x":1.5}`, i))))
				cut := line[:1+rng.IntN(len(line)-1)]
				return []string{
					cut, cut, line + "}", line + line, `{"i":"1","name":"n","x":1}`, `{"i":1,"name":"n"}`, `{"i":1,"name":null,"x":1}`, `{"i":1,"name":"n","x":01}`,
					`{"i":1,"name":"n","x":tru}`, `{"i":1,"name":"\q","x":1}`, `{"i":1,"name":"` + "\t" + `","x":1}`, `[1]`, `"`, `{"i":1.5,"name":"n","x":1}`, "\x00\xff",
				}[rng.IntN(15)]
			},
		},
	}
	for format, f := range formats {
		rng := rand.New(rand.NewPCG(seed, 3))
		var data []byte
		var want int64
		spoiled := map[int64]bool{}
		for i := range n {
			if rng.IntN(100) == 0 {
				spoiled[int64(len(data))] = true
				data = append(append(data, f.spoil(rng, i)...), '\n')
				continue
			}
			want += int64(i) + 1
			data = f.good(data, i)
		}
		data = f.good(data, 0) // an empty line at the end would be none
		want++
		path := write(t, data)
		var fromFile []record.Reader
		var stream *Stream
		var err error
		if format == "ndjson" {
			d, oerr := OpenNDJSON(path, NDJSONConfig{Schema: s})
			if oerr != nil {
				t.Fatal(oerr)
			}
			fromFile = d.Readers(3)
			stream, err = NewNDJSONStream("stream", bytes.NewReader(data), NDJSONConfig{Schema: s})
		} else {
			d, oerr := OpenDelimited(path, DelimitedConfig{Schema: s, Quote: '"'})
			if oerr != nil {
				t.Fatal(oerr)
			}
			fromFile = d.Readers(3)
			stream, err = NewDelimitedStream("stream", bytes.NewReader(data), DelimitedConfig{Schema: s, Quote: '"'})
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range [][]record.Reader{fromFile, {stream}} {
			var got int64
			seen := map[int64]bool{}
			b := record.NewBatch(s, 0)
			for _, r := range from {
				for err := error(nil); err != io.EOF; {
					b.Reset()
					if err = r.Read(context.Background(), b); err != nil && err != io.EOF {
						t.Fatal(err)
					}
					for _, v := range b.Column(0).Int64s[:b.Len()] {
						got += v + 1
					}
					for _, rj := range b.Rejects() {
						if !spoiled[rj.Offset] || seen[rj.Offset] {
							t.Fatalf("seed %d, %s: %q at %d: %v", seed, format, rj.Bytes, rj.Offset, rj.Reason)
						}
						seen[rj.Offset] = true
					}
				}
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
			if got != want || len(seen) != len(spoiled) {
				t.Errorf("seed %d, %s: sum %d and %d rejects, expected %d and %d", seed, format, got, len(seen), want, len(spoiled))
			}
		}
	}
}
