package readers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/record"
)

// pieces gives data in pieces of random length, with nothing now and then.
type pieces struct {
	data []byte
	rng  *rand.Rand
	most int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	if p.rng.IntN(4) == 0 {
		return 0, nil
	}
	n := copy(b[:min(len(b), 1+p.rng.IntN(p.most))], p.data)
	p.data = p.data[n:]
	if len(p.data) == 0 && p.rng.IntN(2) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// waited makes a reader that is polled of one whose Read waits.
type waited struct{ *Stream }

func (w waited) Poll(b *record.Batch) error { return w.Read(context.Background(), b) }

// Goal: a stream gives what a file with the same bytes gives, with the same offsets, however the bytes come. Method: random files of both formats
// in random pieces, with a goroutine that reads ahead and without, compared with the twins of the files.
func TestStreamTwin(t *testing.T) {
	base := rand.Uint64()
	for seed := base; seed < base+testgen.Seeds(200); seed++ {
		rng := rand.New(rand.NewPCG(seed, 7))
		inline := rng.IntN(2) == 0
		var s *Stream
		var err error
		var want *result
		var data []byte
		var schema *record.Schema
		most := 0
		in := &pieces{rng: rng, most: 1 + rng.IntN(2000)}
		if rng.IntN(2) == 0 {
			schema = jsonSchema(t)
			data = randomNDJSON(rng, schema)
			cfg := NDJSONConfig{Schema: schema, BlockBytes: 1 + rng.IntN(3000)}
			if rng.IntN(3) == 0 {
				cfg.MaxRecordBytes = 100 + rng.IntN(200)
			}
			want, most = slowJSON(data, cfg), cfg.MaxRecordBytes
			s, err = newNDJSONStream("stream", in, cfg, inline)
		} else {
			cfg := DelimitedConfig{Delimiter: ';', BlockBytes: 1 + rng.IntN(500), Header: rng.IntN(2) == 0}
			if rng.IntN(2) == 0 {
				cfg.Quote = '"'
				data = randomQuoted(rng)
				cfg.Schema = texts(t, "a", "b")
			} else {
				data = randomFile(rng)
				cfg.Schema = everything(t)
			}
			if rng.IntN(3) == 0 {
				cfg.MaxRecordBytes = 20 + rng.IntN(200)
			}
			schema = cfg.Schema
			cfg.Header = cfg.Header && headerFits(data, cfg)
			want, most = slow(data, cfg), cfg.MaxRecordBytes
			s, err = newDelimitedStream("stream", in, cfg, inline)
		}
		in.data = data
		if err != nil {
			t.Fatal(err)
		}
		var r record.Reader = waited{s}
		if inline {
			r = s
		}
		got := readAll(t, schema, []record.Reader{r}, 1+rng.IntN(600))
		if most > 0 {
			trim(got, most)
			trim(want, most)
		}
		if diff := got.same(want); diff != "" {
			t.Fatalf("seed %d, inline %v, records up to %d: %s\n%.3000q", seed, inline, most, diff, data)
		}
	}
}

// endless has a record that does not end.
type endless struct{ left int }

func (e *endless) Read(b []byte) (int, error) {
	n := min(len(b), e.left)
	if e.left -= n; n == 0 {
		return 0, io.EOF
	}
	for i := range b[:n] {
		b[i] = 'x'
	}
	return n, nil
}

// Goal: a line without end is one reject, in bounded memory, and what comes before and after it is read. Method: 64 MiB of one line, and the
// bytes that are allocated meanwhile.
func TestStreamEndlessLine(t *testing.T) {
	for _, quote := range []byte{0, '"'} {
		s := texts(t, "a", "b")
		in := io.MultiReader(strings.NewReader("1,2\n3,"), &endless{64 << 20}, strings.NewReader(",\n\n5,6\n"))
		r, err := NewDelimitedStream("stream", in, DelimitedConfig{Schema: s, Quote: quote})
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := readAll(t, s, []record.Reader{waited{r}}, 0)
		runtime.ReadMemStats(&after)
		if got.rows["1|2"] != 1 || got.rows["5|6"] != 1 || got.total != 2 || len(got.rejects) != 1 {
			t.Errorf("%v, %d rejects", got.rows, len(got.rejects))
		}
		for where, err := range got.rejects {
			if strings.HasPrefix(where, "4:3,xxx") &&
				!strings.Contains(err.Error(), fmt.Sprint(DefaultMaxRecordBytes)) {
				t.Errorf("%.20s: %v", where, err)
			}
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 32<<20 {
			t.Errorf("%d bytes were allocated", n)
		}
	}
}

// Goal: what came before a failure is read, the record that it cut is a reject, and the error says who and where. Method: a reader that fails.
func TestStreamFails(t *testing.T) {
	s := texts(t, "a", "b")
	cause := errors.New("the cable")
	in := io.MultiReader(strings.NewReader("1,2\n3,4\n5,"), iotest.ErrReader(cause))
	r, err := NewDelimitedStream("standard input", in, DelimitedConfig{Schema: s})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := record.NewBatch(s, 0)
	rows, rejects := 0, 0
	for err == nil {
		b.Reset()
		err = r.Read(context.Background(), b)
		rows += b.Len()
		for _, rj := range b.Rejects() {
			if rejects++; rj.Offset != 8 || rj.Line != 3 || string(rj.Bytes) != "5," {
				t.Errorf("reject %+v", rj)
			}
		}
	}
	if !errors.Is(err, cause) || err.Error() != "readers: standard input: offset 8: the cable" || rows != 2 ||
		rejects != 1 {
		t.Errorf("%d rows, %d rejects, %v", rows, rejects, err)
	}
}

// Goal: a stream that has nothing holds up nobody, rings when it has something, and lets Read go with its context. Method: a pipe.
func TestStreamWaits(t *testing.T) {
	s := texts(t, "a")
	out, in := io.Pipe()
	r, err := NewDelimitedStream("pipe", out, DelimitedConfig{Schema: s})
	if err != nil {
		t.Fatal(err)
	}
	rung := make(chan struct{}, 16)
	r.Notify(func() { rung <- struct{}{} })
	b := record.NewBatch(s, 0)
	if err := r.Poll(b); err != nil || b.Len() != 0 {
		t.Fatalf("%d rows, %v", b.Len(), err)
	}
	fmt.Fprint(in, "one\ntw")
	<-rung
	if err := r.Poll(b); err != nil || b.Len() != 1 {
		t.Errorf("%d rows, %v", b.Len(), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.Reset()
	if err := r.Read(ctx, b); !errors.Is(err, context.Canceled) || b.Len() != 0 {
		t.Errorf("%d rows, %v", b.Len(), err)
	}
	fmt.Fprint(in, "o\n")
	<-rung
	b.Reset()
	if err := r.Read(context.Background(), b); err != nil || b.Len() != 1 || string(b.Column(0).View(0)) != "two" {
		t.Errorf("%d rows, %v", b.Len(), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := in.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v: the pipe should be closed", err)
	}
}

// Goal: the lines of rejects are the lines of the source, even if texts lost quotes and escapes got newlines too. Method: one record in ten is wrong.
func TestStreamLines(t *testing.T) {
	var csv, ndjson bytes.Buffer
	lines := map[int64]bool{}
	for i := int64(1); i <= 3000; i++ {
		if i%10 == 0 {
			lines[i] = true
			fmt.Fprintln(&csv, "wrong")
			fmt.Fprintln(&ndjson, `{"a":"b"`)
			continue
		}
		fmt.Fprintf(&csv, "%d,\"a \"\"b\"\" c\"\n", i)
		fmt.Fprintf(&ndjson, `{"a":"1\n2","b":"%d"}`+"\n", i)
	}
	s := texts(t, "a", "b")
	d, err1 := NewDelimitedStream("csv", &csv, DelimitedConfig{Schema: s, Quote: '"', BlockBytes: 5000})
	j, err2 := NewNDJSONStream("ndjson", &ndjson, NDJSONConfig{Schema: s, BlockBytes: 5000})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Stream{d, j} {
		b := record.NewBatch(s, 0)
		n := 0
		for err := error(nil); err != io.EOF; {
			b.Reset()
			if err = r.Read(context.Background(), b); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			for _, rj := range b.Rejects() {
				if n++; !lines[rj.Line] {
					t.Errorf("%v: line %d is right", r, rj.Line)
				}
			}
		}
		if n != len(lines) {
			t.Errorf("%v: %d rejects, expected %d", r, n, len(lines))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Goal: an empty line is no record, however late it is known what follows it. Method: small streams, in pieces.
func TestStreamEmptyLines(t *testing.T) {
	s := texts(t, "a", "b")
	for _, c := range []struct {
		pieces []string
		rows   int
		offset []int64
	}{
		{[]string{"1,2\n\n"}, 1, nil},
		{[]string{"1,2\r\n\r\n"}, 1, nil},
		{[]string{"1,2\n\n\n"}, 1, nil},
		{[]string{"1,2\n", "\n", "3,4\n"}, 2, nil},
		{[]string{"1,2\n\n" + strings.Repeat("x", 200)}, 1, []int64{5}},
		{[]string{"1,2\n\n", "\n" + strings.Repeat("x", 200), "\n3,4"}, 2, []int64{6}},
		{[]string{"\n"}, 0, nil},
		{nil, 0, nil},
	} {
		for i := range 4 {
			inline, late := i%2 == 0, i/2 == 0 // late: the end comes by itself
			var ins []io.Reader
			for _, p := range c.pieces {
				ins = append(ins, strings.NewReader(p))
			}
			in := io.MultiReader(ins...)
			if !late {
				in = iotest.DataErrReader(in)
			}
			r, err := newDelimitedStream("stream", in, DelimitedConfig{Schema: s, MaxRecordBytes: 100}, inline)
			if err != nil {
				t.Fatal(err)
			}
			b := record.NewBatch(s, 0)
			rows := 0
			var offsets []int64
			for err := error(nil); err != io.EOF; {
				b.Reset()
				if inline {
					err = r.Poll(b)
				} else {
					err = r.Read(context.Background(), b)
				}
				if err != nil && err != io.EOF {
					t.Fatal(err)
				}
				rows += b.Len()
				for _, rj := range b.Rejects() {
					offsets = append(offsets, rj.Offset)
				}
			}
			if rows != c.rows || !slices.Equal(offsets, c.offset) {
				t.Errorf("%.20q, inline %v: %d rows, rejects at %v, expected %d and %v", c.pieces, inline, rows,
					offsets, c.rows, c.offset)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
