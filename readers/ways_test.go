package readers

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// A way is one in which the same bytes can be read.
type way struct {
	name string
	open func(t testing.TB, data []byte, path string) ([]record.Reader, error)
	read []bool // the columns that are read; nil is all
}

// fileWays are the ways to read a file at rest: whole, and in blocks by several readers.
func fileWays(open func(path string, blockBytes int) (interface{ Readers(int) []record.Reader }, error), block,
	n int,
) (ways []way) {
	for _, w := range []struct {
		name     string
		block, n int
	}{{"a file", 0, 1}, {fmt.Sprintf("a file in blocks of %d by %d readers", block, n), block, n}} {
		ways = append(ways, way{w.name, func(_ testing.TB, _ []byte, path string) ([]record.Reader, error) {
			f, err := open(path, w.block)
			if err != nil {
				return nil, err
			}
			return f.Readers(w.n), nil
		}, nil})
	}
	return ways
}

// streamWays are the ways to read a stream in pieces of random length up to most: polled, and by a goroutine that reads ahead.
func streamWays(open func(in io.Reader, inline bool) (*Stream, error), seed uint64, most int) (ways []way) {
	for _, inline := range []bool{true, false} {
		ways = append(ways, way{
			fmt.Sprintf("a stream in pieces of up to %d, polled %v", most, inline),
			func(_ testing.TB, data []byte, _ string) ([]record.Reader, error) {
				s, err := open(&pieces{data: data, rng: rand.New(rand.NewPCG(seed, 5)), most: most}, inline)
				if err != nil {
					return nil, err
				}
				if !inline {
					return []record.Reader{waited{s}}, nil
				}
				return []record.Reader{s}, nil
			}, nil,
		})
	}
	return ways
}

// same has all ways read the same columns.
func same(read []bool, ways []way) []way {
	for i := range ways {
		ways[i].read = read
	}
	return ways
}

func delimitedWays(cfg DelimitedConfig, read []bool, seed uint64, block, n, most int) []way {
	return same(read, append(fileWays(func(path string, blockBytes int) (interface{ Readers(int) []record.Reader },
		error,
	) {
		c := cfg
		c.BlockBytes = blockBytes
		return OpenDelimited(path, c)
	}, block, n), streamWays(func(in io.Reader, inline bool) (*Stream, error) {
		c := cfg
		c.BlockBytes = block
		return newDelimitedStream("stream", in, c, inline)
	}, seed, most)...))
}

func jsonWays(cfg NDJSONConfig, read []bool, seed uint64, block, n, most int) []way {
	return same(read, append(fileWays(func(path string, blockBytes int) (interface{ Readers(int) []record.Reader },
		error,
	) {
		c := cfg
		c.BlockBytes = blockBytes
		return OpenNDJSON(path, c)
	}, block, n), streamWays(func(in io.Reader, inline bool) (*Stream, error) {
		c := cfg
		c.BlockBytes = block
		return newNDJSONStream("stream", in, c, inline)
	}, seed, most)...))
}

// told is all that readers say of some bytes, in an order that does not depend on who read which of them: rows, the place, line, bytes and reason of each reject, and
// an error at the end. Where longest says that records may be too long, rejects are without reason and their bytes are cut: how many are kept of such a record depends on how
// much was read, and one that is also wrong in another way may be rejected for either.
func told(t testing.TB, w way, schema *record.Schema, data []byte, path string, batchRows, longest int) (all []string) {
	t.Helper()
	rs, err := w.open(t, data, path)
	if err != nil {
		return []string{"error"} // a stream says it when it is read
	}
	projected(rs, w.read)
	b := record.NewBatch(schema, batchRows)
	for _, r := range rs {
		p := r.(record.Poller)
		var err error
		for idle := 0; err == nil; idle++ {
			b.Reset()
			err = p.Poll(b)
			if cerr := b.Check(); cerr != nil {
				t.Fatalf("%s: %v", w.name, cerr)
			}
			for i := range b.Len() {
				var values []string
				for c := range schema.Len() {
					values = append(values, fmt.Sprintf("%q", text(schema.Field(c), b.Column(c), i)))
				}
				all = append(all, "row "+strings.Join(values, ","))
			}
			for _, rj := range b.Rejects() {
				line := rj.Line
				if l, ok := r.(record.Liner); ok && line == 0 {
					if line, err = l.Line(rj.Offset); err != nil {
						t.Fatalf("%s: %v", w.name, err)
					}
				}
				kept, reason := rj.Bytes, ": "+rj.Reason.Error()
				if longest > 0 {
					kept, reason = kept[:min(len(kept), longest/2)], ""
				}
				all = append(all, fmt.Sprintf("reject at %d, line %d, %q%s", rj.Offset, line, kept, reason))
			}
			if b.Len()+len(b.Rejects()) > 0 {
				idle = 0
			} else if idle > 1_000_000 {
				t.Fatalf("%s: the reader does not come to an end", w.name)
			}
		}
		if cerr := r.Close(); cerr != nil {
			t.Fatal(cerr)
		}
		if err != io.EOF {
			return []string{"error"} // of the header: there are no records
		}
	}
	slices.Sort(all)
	return all
}

// sameWays says which way tells something else than the first; "" where all agree.
func sameWays(t testing.TB, ways []way, schema *record.Schema, data []byte, path string, batchRows,
	longest int,
) string {
	t.Helper()
	want := told(t, ways[0], schema, data, path, batchRows, longest)
	for _, w := range ways[1:] {
		got := told(t, w, schema, data, path, batchRows, longest)
		for i := range max(len(got), len(want)) {
			a, b := "nothing", "nothing"
			if i < len(want) {
				a = want[i]
			}
			if i < len(got) {
				b = got[i]
			}
			if a != b {
				return fmt.Sprintf("%s tells\n\t%s\n%s tells\n\t%s", ways[0].name, a, w.name, b)
			}
		}
	}
	return ""
}

// checkLines says what is wrong with the lines of rejects as a stream tells them, by counting.
func checkLines(t testing.TB, w way, schema *record.Schema, data []byte) string {
	for _, line := range told(t, w, schema, data, "", 10, 1) {
		var offset, number int
		if n, _ := fmt.Sscanf(line, "reject at %d, line %d,", &offset, &number); n < 2 {
			continue
		}
		if want := 1 + bytes.Count(data[:offset], []byte{'\n'}); number != want {
			return fmt.Sprintf("%s: %s; expected line %d", w.name, line, want)
		}
	}
	return ""
}

// Goal: the lines of rejects are right after a record that is too long, which is not in memory as a whole, and may have newlines within quotes. Method: the same record in
// pieces of every size, so that it is found too long in any place; between wrong records.
func TestStreamLinesBehindLongRecords(t *testing.T) {
	s := texts(t, "a", "b")
	long := strings.Repeat("x\n", 30) + strings.Repeat("y", 300) + strings.Repeat("\n", 40)
	csv := "wrong\n1,\"" + long + "\"\nwrong\n\"" + long + strings.Repeat(long, 40) + "\",2\nwrong\n" +
		strings.Repeat("z", 500) + "\nwrong\n\"" + long
	ndjson := "wrong\n" + strings.Repeat("x", 3000) + "\nwrong\n\n" + strings.Repeat("y", 300) + "\nwrong\n"
	for most := 1; most < 400; most += 1 + most/7 {
		for _, block := range []int{1, 50, 1000} {
			for _, w := range delimitedWays(DelimitedConfig{Schema: s, Quote: '"', MaxRecordBytes: 100}, nil,
				uint64(most), block, 1, most)[2:] {
				if wrong := checkLines(t, w, s, []byte(csv)); wrong != "" {
					t.Fatal(wrong)
				}
			}
			for _, w := range jsonWays(NDJSONConfig{Schema: s, MaxRecordBytes: 100}, nil, uint64(most), block, 1,
				most)[2:] {
				if wrong := checkLines(t, w, s, []byte(ndjson)); wrong != "" {
					t.Fatal(wrong)
				}
			}
		}
	}
}

// Goal: the same bytes are the same records, the same rejects with their lines and reasons, and the
// same columns, whether they are a file at rest, that file in blocks of several readers, or a
// stream in pieces, polled or read ahead. Method: random files of all kinds.
func TestWaysAgree(t *testing.T) {
	base := rand.Uint64()
	for seed := base; seed < base+50; seed++ {
		rng := rand.New(rand.NewPCG(seed, 8))
		cfg := DelimitedConfig{Schema: everything(t), Header: rng.IntN(3) == 0}
		data := randomFile(rng)
		if rng.IntN(2) == 0 {
			cfg.Quote, cfg.Schema, data = '"', texts(t, "a", "b"), randomQuoted(rng)
		}
		if rng.IntN(3) == 0 {
			cfg.MaxRecordBytes = 20 + rng.IntN(200)
		}
		ways, schema, longest := delimitedWays(cfg, randomColumns(rng, cfg.Schema), seed, 1+rng.IntN(300),
			1+rng.IntN(4), 1+rng.IntN(200)), cfg.Schema, cfg.MaxRecordBytes
		if rng.IntN(2) == 0 {
			schema = jsonSchema(t)
			data = randomNDJSON(rng, schema)
			json := NDJSONConfig{Schema: schema, MaxRecordBytes: rng.IntN(2) * (100 + rng.IntN(200))}
			ways, longest = jsonWays(json, randomColumns(rng, schema), seed, 1+rng.IntN(3000), 1+rng.IntN(4),
				1+rng.IntN(200)), json.MaxRecordBytes
		}
		if diff := sameWays(t, ways, schema, data, write(t, data), 1+rng.IntN(100), longest); diff != "" {
			t.Fatalf("seed %d, %+v: %s\n%.3000q", seed, cfg, diff, data)
		}
	}
}

// Goal: a line of blanks, or a comment, that is longer than a record may be is rejected, in a file
// as in a stream, which finds that out before it has the rest of the line; shorter ones are
// skipped. Method: such lines between records, in pieces of every size.
func TestLongLinesThatAreNoRecords(t *testing.T) {
	two := texts(t, "a", "b")
	for _, length := range []int{10, 100, 101, 102, 300} {
		blank := "{\"a\":\"1\",\"b\":\"2\"}\n" + strings.Repeat(" ", length) + "\n{\"a\":\"3\",\"b\":\"4\"}\r\n" +
			strings.Repeat("\r", length) + "\n"
		comment := "1,2\n#" + strings.Repeat("c", length-1) + "\n3,4\n#" + strings.Repeat(",", length-1) + "\n"
		rejects := 0
		if length > 100 {
			rejects = 2
		}
		for most := 1; most < 400; most += 1 + most/3 {
			for _, block := range []int{1, 50, 1000} {
				for _, c := range []struct {
					data string
					ways []way
				}{
					{blank, jsonWays(NDJSONConfig{Schema: two, MaxRecordBytes: 100}, nil, uint64(most), block, 2, most)},
					{comment, delimitedWays(DelimitedConfig{Schema: two, MaxRecordBytes: 100, Comment: '#'}, nil,
						uint64(most), block, 2, most)},
				} {
					path := write(t, []byte(c.data))
					if diff := sameWays(t, c.ways, two, []byte(c.data), path, 10, 100); diff != "" {
						t.Fatalf("%d bytes, blocks of %d, pieces of %d: %s", length, block, most, diff)
					}
					n := 0
					for _, line := range told(t, c.ways[0], two, []byte(c.data), path, 10, 100) {
						if strings.HasPrefix(line, "reject") {
							n++
						}
					}
					if n != rejects {
						t.Fatalf("%d bytes: %d rejects, expected %d: %q", length, n, rejects, c.data)
					}
				}
			}
		}
	}
}

// fuzzColumns are some columns that depend on a seed.
func fuzzColumns(seed uint64, s *record.Schema) []bool {
	return randomColumns(rand.New(rand.NewPCG(seed, 10)), s)
}

// Goal: as TestWaysAgree, of any bytes.
func FuzzDelimitedWays(f *testing.F) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		data := randomQuoted(rng)
		if seed%2 == 0 {
			data = randomFile(rng)
		}
		f.Add(data, uint64(seed), uint8(seed), uint8(seed), uint8(10*seed), uint8(5*seed), seed%3 == 0, seed%2 == 1)
	}
	f.Add(bytes.Repeat([]byte("a,b\r\n\r\nc,d\n"), 50), uint64(99), uint8(20), uint8(3), uint8(9), uint8(1), false,
		false)
	path := filepath.Join(f.TempDir(), "fuzz.csv")
	everything, two := everything(f), texts(f, "a", "b")
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, block, n, most, longest uint8, header, quotes bool) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg := DelimitedConfig{Schema: everything, Header: header, MaxRecordBytes: int(longest)}
		if quotes {
			cfg.Quote, cfg.Schema = '"', two
		}
		if seed%4 == 3 {
			cfg.Comment = '#'
		}
		ways := delimitedWays(cfg, fuzzColumns(seed, cfg.Schema), seed, 1+int(block), 1+int(n%4), 1+int(most))
		if diff := sameWays(t, ways, cfg.Schema, data, path, 1+int(n), cfg.MaxRecordBytes); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Goal: as TestWaysAgree, of any bytes.
func FuzzNDJSONWays(f *testing.F) {
	schema := jsonSchema(f)
	for seed := range uint64(20) {
		data := randomNDJSON(rand.New(rand.NewPCG(seed, 6)), schema)
		f.Add(data[:min(len(data), 2000)], seed, uint16(100*seed), uint8(seed), uint8(10*seed), uint16(20*seed))
	}
	path := filepath.Join(f.TempDir(), "fuzz.ndjson")
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, block uint16, n, most uint8, longest uint16) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg := NDJSONConfig{Schema: schema, MaxRecordBytes: int(longest)}
		ways := jsonWays(cfg, fuzzColumns(seed, schema), seed, 1+int(block), 1+int(n%4), 1+int(most))
		if diff := sameWays(t, ways, schema, data, path, 1+int(n), cfg.MaxRecordBytes); diff != "" {
			t.Fatal(diff)
		}
	})
}
