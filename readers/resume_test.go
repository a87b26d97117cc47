package readers

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/velo-engine/velo/record"
)

// resumeFile is a file that is read in several lives.
type resumeFile struct {
	name string
	// text makes the text of the file and the keys of its records, in order.
	text func(rng *rand.Rand) (text string, keys []string)
	open func(path string) (func(n int) []record.Reader, error)
	// single says that one of the readers reads everything.
	single bool
}

func resumeSchema(t *testing.T) *record.Schema {
	t.Helper()
	s, err := record.NewSchema("t", record.Field{Name: "key", Type: record.String},
		record.Field{Name: "pad", Type: record.String, Nullable: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// packedFile is a file as an unpacker gives it: in pieces of any size.
type packedFile struct {
	io.Reader
	file *os.File
}

func (p packedFile) File() *os.File { return p.file }
func (p packedFile) Close() error   { return p.file.Close() }

// openPacked opens a file that is packed by turning each bit.
func openPacked(path string) (packedFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return packedFile{}, err
	}
	return packedFile{turnedReader{iotest.HalfReader(f)}, f}, nil
}

// turnedReader turns the bits of what it reads.
type turnedReader struct{ in io.Reader }

func (r turnedReader) Read(b []byte) (int, error) {
	n, err := r.in.Read(b)
	copy(b, turned(b[:n]))
	return n, err
}

func turned(b []byte) []byte {
	t := make([]byte, len(b))
	for i, c := range b {
		t[i] = ^c
	}
	return t
}

// packedFiles are the files of resumeFiles, packed.
func packedFiles(t *testing.T) (files []resumeFile) {
	schema := resumeSchema(t)
	for _, f := range resumeFiles(t) {
		open := func(path string) (func(n int) []record.Reader, error) {
			in, err := openPacked(path)
			if err != nil {
				return nil, err
			}
			return func(n int) (rs []record.Reader) {
				if f.name == "ndjson" {
					rs, err = NewNDJSONStreams(path, in, NDJSONConfig{Schema: schema, BlockBytes: 512, MaxRecordBytes: 700}, n)
				} else {
					cfg := DelimitedConfig{Schema: schema, Header: f.name == "csv", BlockBytes: 512, MaxRecordBytes: 700}
					if f.name == "quoted" {
						cfg.Quote = '"'
					}
					rs, err = NewDelimitedStreams(path, in, cfg, n)
				}
				if err != nil {
					t.Fatal(err)
				}
				return rs
			}, nil
		}
		text := func(rng *rand.Rand) (string, []string) {
			text, keys := f.text(rng)
			return string(turned([]byte(text))), keys
		}
		files = append(files, resumeFile{name: "packed " + f.name, text: text, open: open, single: true})
	}
	return files
}

func resumeFiles(t *testing.T) []resumeFile {
	schema := resumeSchema(t)
	delimited := func(quote byte, header bool) func(path string) (func(int) []record.Reader, error) {
		return func(path string) (func(int) []record.Reader, error) {
			d, err := OpenDelimited(path, DelimitedConfig{
				Schema: schema, Quote: quote, Header: header, BlockBytes: 512, MaxRecordBytes: 700,
			})
			if err != nil {
				return nil, err
			}
			return d.Readers, nil
		}
	}
	lines := func(rng *rand.Rand, header string, line func(key string, pad int) string) (string, []string) {
		var b strings.Builder
		var keys []string
		b.WriteString(header)
		for i := range 50 + rng.IntN(400) {
			pad := rng.IntN(40)
			switch rng.IntN(40) {
			case 0:
				pad = 300 + rng.IntN(300) // over the end of a block
			case 1:
				pad = 5000 // longer than a record may be
			}
			key := fmt.Sprintf("r%d", i)
			b.WriteString(line(key, pad))
			if pad == 5000 {
				key = "reject"
			}
			keys = append(keys, key)
		}
		text := b.String()
		if rng.IntN(2) == 0 {
			text = strings.TrimSuffix(text, "\n")
		}
		return text, keys
	}
	return []resumeFile{
		{
			"csv", func(rng *rand.Rand) (string, []string) {
				return lines(rng, "key,pad\n", func(key string, pad int) string {
					return key + "," + strings.Repeat("x", pad) + "\n"
				})
			}, delimited(0, true), false,
		},
		{
			"quoted", func(rng *rand.Rand) (string, []string) {
				return lines(rng, "", func(key string, pad int) string {
					if rng.IntN(3) == 0 {
						return key + "," + strings.Repeat("x", pad) + "\n"
					}
					return key + `,"` + strings.Repeat("a,\n", pad/3) + `"` + "\n"
				})
			}, delimited('"', false), false,
		},
		{
			"ndjson", func(rng *rand.Rand) (string, []string) {
				return lines(rng, "", func(key string, pad int) string {
					return fmt.Sprintf(`{"key":%q,"pad":%q}`, key, strings.Repeat("x", pad)) + "\n"
				})
			},
			func(path string) (func(int) []record.Reader, error) {
				f, err := OpenNDJSON(path, NDJSONConfig{Schema: schema, BlockBytes: 512, MaxRecordBytes: 700})
				if err != nil {
					return nil, err
				}
				return f.Readers, nil
			}, false,
		},
	}
}

// Goal: whatever the number of readers in each life, and wherever each of them stops, each record
// of a file is read exactly once up to the positions, in the end all of them. Method: random files
// and lives; a life ends after some batches of some readers, and only the positions of the last
// batch of each go on; some lives save nothing new.
func TestFilesResume(t *testing.T) {
	for _, f := range slices.Concat(resumeFiles(t), packedFiles(t)) {
		t.Run(f.name, func(t *testing.T) {
			for seed := range uint64(60) {
				rng := rand.New(rand.NewPCG(seed, 7))
				text, want := f.text(rng)
				path := filepath.Join(t.TempDir(), "file")
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				got := readInLives(t, rng, f, path)
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d: %d records, expected %d:\n%v\n%v", seed, len(got), len(want), got, want)
				}
			}
		})
	}
}

// readInLives reads a file in several lives and returns the keys of all records.
func readInLives(t *testing.T, rng *rand.Rand, f resumeFile, path string) (all []string) {
	t.Helper()
	var saved []record.Position
	schema := resumeSchema(t)
	for life := 0; ; life++ {
		open, err := f.open(path)
		if err != nil {
			t.Fatal(err)
		}
		n := 1 + rng.IntN(4)
		rs := open(n)
		standing := make([]record.Position, n)
		for i, r := range rs {
			resumed, now, err := r.(record.Resumer).ResumeFrom(saved)
			if err != nil {
				t.Fatal(err)
			}
			if f.single && i > 0 {
				if resumed != nil || now != nil {
					t.Fatalf("reader %d goes on with what the first has: %v, %v", i, resumed, now)
				}
				continue
			}
			if (len(resumed) == 1) != (life > 0) || len(now) != 1 {
				t.Fatalf("life %d: a file that was read goes on as %v at %v", life, resumed, now)
			}
			standing[i] = now[0]
		}
		ended := 0
		done := make([]bool, n)
		b := record.NewBatch(schema, 1+rng.IntN(9))
		for calls := rng.IntN(120); ended < n && (life > 20 || calls > 0); calls-- {
			i := rng.IntN(n)
			if rng.IntN(4) > 0 {
				i = 0 // the others get less to read
			}
			if done[i] {
				calls++
				i = slices.Index(done, false)
			}
			b.Reset()
			err := rs[i].Read(t.Context(), b)
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			for row := range b.Len() {
				all = append(all, string(b.Column(0).View(row)))
			}
			for range b.Rejects() {
				all = append(all, "reject")
			}
			for _, p := range b.Positions() {
				standing[i] = record.Position{Split: p.Split, Offset: slices.Clone(p.Offset)}
			}
			if err != nil {
				done[i] = true
				ended++
			}
		}
		for _, r := range rs {
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if ended == n {
			return all
		}
		saved = standing
	}
}

// Goal: another file of the same name is refused, and the message says what is different.
func TestFileResumeRefuses(t *testing.T) {
	schema := resumeSchema(t)
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "file.csv")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	resume := func(path string, block int, saved []record.Position) ([]record.Position, error) {
		d, err := OpenDelimited(path, DelimitedConfig{Schema: schema, BlockBytes: block})
		if err != nil {
			t.Fatal(err)
		}
		r := d.Readers(1)[0]
		defer r.Close()
		_, now, err := r.(record.Resumer).ResumeFrom(saved)
		return now, err
	}
	text := strings.Repeat("a,b\n", 100)
	saved, err := resume(write(text), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	damaged := []record.Position{{Split: saved[0].Split, Offset: saved[0].Offset[:20]}}
	for _, c := range []struct {
		name, text string
		block      int
		saved      []record.Position
		want       string
	}{
		{"the same", text, 0, saved, ""},
		{"longer", text + "a,b\n", 0, saved, "it had 400 bytes when the state was saved, and has 404 now"},
		{"another beginning", "c" + text[1:], 0, saved, "it is another file"},
		{"another end", text[:399] + "x", 0, saved, "it is another file"},
		{"other blocks", text, 4096, saved, "in blocks of 131072 bytes when the state was saved, and is in 4096 now"},
		{"a damaged position", text, 0, damaged, "damaged"},
	} {
		_, err := resume(write(c.text), c.block, c.saved)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
	}
}

// Goal: another packed file of the same name is refused, and so is one that would be cut into other
// records, and one of which something has been read. What cannot be opened again is no Resumer.
func TestPackedResumeRefuses(t *testing.T) {
	schema := resumeSchema(t)
	path := filepath.Join(t.TempDir(), "file")
	open := func(text string, cfg DelimitedConfig) []record.Reader {
		if err := os.WriteFile(path, turned([]byte(text)), 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := openPacked(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = in.Close() })
		cfg.Schema = schema
		rs, err := NewDelimitedStreams(path, in, cfg, 2)
		if err != nil {
			t.Fatal(err)
		}
		return rs
	}
	resume := func(r record.Reader, saved []record.Position) ([]record.Position, error) {
		_, now, err := r.(record.Resumer).ResumeFrom(saved)
		return now, err
	}
	text := strings.Repeat("a,b\n", 100)
	saved, err := resume(open(text, DelimitedConfig{})[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	damaged := []record.Position{{Split: saved[0].Split, Offset: saved[0].Offset[:50]}}
	for _, c := range []struct {
		name, text string
		cfg        DelimitedConfig
		saved      []record.Position
		want       string
	}{
		{"the same", text, DelimitedConfig{}, saved, ""},
		{"other blocks", text, DelimitedConfig{BlockBytes: 4096}, saved, ""},
		{"longer", text + "a,b\n", DelimitedConfig{}, saved, "it had 400 bytes when the state was saved, and has 404 now"},
		{"another beginning", "c" + text[1:], DelimitedConfig{}, saved, "it is another file"},
		{"another end", text[:399] + "x", DelimitedConfig{}, saved, "it is another file"},
		{"a header", text, DelimitedConfig{Header: true}, saved, "cut into records in another way"},
		{"a damaged position", text, DelimitedConfig{}, damaged, "damaged"},
	} {
		_, err := resume(open(c.text, c.cfg)[0], c.saved)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
	}
	begun := open(text, DelimitedConfig{})
	if err := begun[1].Read(t.Context(), record.NewBatch(schema, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := resume(begun[0], nil); err == nil || !strings.Contains(err.Error(), "some of it has been read") {
		t.Errorf("%v, expected an error: it has been read", err)
	}
	rs, err := NewDelimitedStreams("in", strings.NewReader(text), DelimitedConfig{Schema: schema}, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := rs[0].(record.Resumer); ok {
		t.Error("what cannot be opened again is a Resumer")
	}
}
