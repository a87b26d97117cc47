package readers

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/record"
)

// texts is a schema of text columns.
func texts(t testing.TB, names ...string) *record.Schema {
	var fields []record.Field
	for _, name := range names {
		fields = append(fields, record.Field{Name: name, Type: record.String})
	}
	return schemaOf(t, fields...)
}

// quoteSoup is n bytes of which most have a meaning.
func quoteSoup(rng *rand.Rand, n int) []byte {
	soup := make([]byte, n)
	common := []string{`"`, `",`, `,"`, "\"\n", "x"}[rng.IntN(5)]
	for i := range soup {
		if soup[i] = "\",\n\rxyz"[rng.IntN(7)]; rng.IntN(3) > 0 {
			soup[i] = common[rng.IntN(len(common))]
		}
	}
	return soup
}

// Goal: sixty-four bytes at a time and byte by byte come to the same state, the same structural bytes and the same moves, from each
// state. Method: bytes that are mostly quotes, in pieces of any length.
func TestQuoteStates(t *testing.T) { eachVariant(t, testQuoteStates) }

func testQuoteStates(t *testing.T) {
	q := quoting{',', '"'}
	for seed := range testgen.Seeds(3000) {
		rng := rand.New(rand.NewPCG(seed, 5))
		from, n := rng.IntN(70), rng.IntN(structuralChunk/8)
		buf := append(quoteSoup(rng, from+n), make([]byte, pad)...)
		for i := from + n; i < len(buf); i++ {
			buf[i] = '"' // must not be looked at
		}
		chains := newQuoteChains(q)
		for at := from; at < from+n; {
			to := at + 1 + rng.IntN(from+n-at)
			if got, want := chains.feed(buf, at, to), bytes.IndexByte(buf[at:to], '"') >= 0; got != want {
				t.Fatalf("seed %d: quotes %v, expected %v", seed, got, want)
			}
			at = to
		}
		for begin := range quoteStates {
			state, odd, stray := begin, false, false
			var want []uint32
			for i, c := range buf[from : from+n] {
				after := q.next(state, c)
				if after == fieldStart {
					want = append(want, uint32(from+i))
				}
				stray = stray || c == '"' && state == bareField
				odd = odd || c == '"' && (state == bareField || state == afterQuote)
				state = after
			}
			s := structurals{state: begin}
			out := make([]uint32, n+structuralSlack)
			if n > 0 {
				found := s.findQuoted(out, buf, from, n, q)
				if out = out[:found]; !slices.Equal(out, want) && found+len(want) > 0 {
					t.Fatalf("seed %d, from state %d: %v, expected %v in %q", seed, begin, out, want, buf[from:from+n])
				}
			}
			if s.state != state || s.odd > 0 != odd || s.stray > 0 != stray {
				t.Fatalf("seed %d, from state %d: state %d odd %v, expected %d %v behind %q", seed, begin, s.state,
					s.odd > 0, state, odd, buf[from:from+n])
			}
			if got := chains.moves().from(begin); got != state {
				t.Fatalf("seed %d, from state %d: the moves say %d, expected %d behind %q", seed, begin, got, state,
					buf[from:from+n])
			}
			line := -1
			for _, at := range want {
				if buf[at] == '\n' {
					line = int(at) + 1
					break
				}
			}
			if got, _ := q.newline(buf, from, from+n, begin); got != line {
				t.Fatalf("seed %d, from state %d: newline %d, expected %d in %q", seed, begin, got, line,
					buf[from:from+n])
			}
		}
	}
}

// randomQuoted writes lines for everything, with quotes around any of the fields and some where they must not be.
func randomQuoted(rng *rand.Rand) []byte {
	var out []byte
	for _, line := range bytes.SplitAfter(randomFile(rng), []byte{'\n'}) {
		text := bytes.TrimRight(line, "\r\n")
		fields := strings.Split(string(text), ",")
		for i, f := range fields {
			if f = strings.Trim(f, `"`); rng.IntN(2) == 0 {
				if i == 0 || i == 7 {
					f += []string{
						"", "", ",", "\n", "\"", "\"\"", "\r\n", ",\"\n",
						strings.Repeat("\n,long", rng.IntN(30)),
					}[rng.IntN(9)]
				}
				f = `"` + strings.ReplaceAll(f, `"`, `""`) + `"`
			}
			if i > 0 {
				out = append(out, ',')
			}
			out = append(out, f...)
		}
		out = append(out, line[len(text):]...)
		if n := len(out); n > 0 && rng.IntN(60) == 0 {
			out = slices.Insert(out, n-1-rng.IntN(min(n, 30)), '"')
		}
	}
	return out
}

// Goal: with quotes, too, the reader and its twin agree on every row and every reject, for every size of block, number of readers and
// size of batch. Method: random files with quotes around anything, and some too many or too few.
func TestQuotedTwin(t *testing.T) { eachVariant(t, testQuotedTwin) }

func testQuotedTwin(t *testing.T) {
	s := everything(t)
	rows, rejects := 0, 0
	for seed := range testgen.Seeds(150) {
		rng := rand.New(rand.NewPCG(seed, 6))
		data := randomQuoted(rng)
		if rng.IntN(4) == 0 {
			// A record with too many fields that ends in another chunk than the one in which that shows.
			long := strings.Repeat([]string{"\n,1", "xyz", `""`, "\",\""}[rng.IntN(4)], rng.IntN(4000))
			data = slices.Concat(data, []byte("\n1,2,3,4,5,6,7,8,9,\""+long+"\",10\n"), randomQuoted(rng))
		}
		path := write(t, data)
		cfg := DelimitedConfig{Schema: s, Delimiter: ',', Quote: '"', Header: rng.IntN(3) == 0}
		if rng.IntN(3) == 0 {
			cfg.MaxRecordBytes = 60 + rng.IntN(200)
		}
		cfg.Header = cfg.Header && headerFits(data, cfg)
		for range 4 {
			cfg.BlockBytes = []int{1, 2, 3, 7, 16, 64, 100, 1000, 0}[rng.IntN(9)]
			if len(data) > 5000 {
				cfg.BlockBytes *= 50 // each block is read with what may be after it: small ones take long
			}
			n, batch := 1+rng.IntN(8), 1+rng.IntN(70)
			read := randomColumns(rng, s)
			want := slowColumns(data, cfg, read)
			got := fastColumns(t, path, cfg, read, n, batch)
			if cfg.MaxRecordBytes > 0 {
				trim(want, cfg.MaxRecordBytes)
				trim(got, cfg.MaxRecordBytes)
			}
			if diff := got.same(want); diff != "" {
				t.Fatalf("seed %d, blocks of %d, %d readers, batches of %d, longest %d, header %v, columns %v: %s\n%q",
					seed, cfg.BlockBytes, n, batch, cfg.MaxRecordBytes, cfg.Header, read, diff, data)
			}
			rows += got.total
			rejects += len(got.rejects)
		}
	}
	if rows == 0 || rejects == 0 {
		t.Fatalf("%d rows and %d rejects", rows, rejects)
	}
}

// Goal: readers that run at once agree on the state at each block. Method: small blocks, so that they look at each other's.
func TestQuotedTogether(t *testing.T) {
	var data []byte
	rng := rand.New(rand.NewPCG(1, 7))
	s := texts(t, "a", "b")
	want := 0
	for range 20_000 {
		field := strings.Repeat([]string{"x", ",", "\n", "a,b\n", `""`}[rng.IntN(5)], rng.IntN(20))
		data = fmt.Appendf(data, "%d,\"%s\"\n", rng.IntN(1000), field)
		want++
	}
	path := write(t, data)
	for _, block := range []int{100, 5_000, 60_000} {
		d, err := OpenDelimited(path, DelimitedConfig{Schema: s, Quote: '"', BlockBytes: block})
		if err != nil {
			t.Fatal(err)
		}
		rows := make([]int, 5)
		var all sync.WaitGroup
		for i, r := range d.Readers(len(rows)) {
			all.Go(func() {
				b := record.NewBatch(s, 0)
				var err error
				for err == nil {
					b.Reset()
					err = r.(record.Poller).Poll(b)
					rows[i] += b.Len()
					if len(b.Rejects()) > 0 {
						t.Error(b.Rejects()[0].Reason)
						return
					}
				}
				if err != io.EOF {
					t.Error(err)
				}
				r.Close()
			})
		}
		all.Wait()
		sum := 0
		for _, n := range rows {
			sum += n
		}
		if sum != want {
			t.Errorf("blocks of %d: %d rows, expected %d", block, sum, want)
		}
	}
}

// Goal: what is well formed is read as encoding/csv reads it. Method: random tables, quoted where they must be and sometimes where not.
func TestQuotedLikeEncodingCSV(t *testing.T) { eachVariant(t, testQuotedLikeEncodingCSV) }

func testQuotedLikeEncodingCSV(t *testing.T) {
	s := texts(t, "a", "b", "c")
	for seed := range testgen.Seeds(200) {
		rng := rand.New(rand.NewPCG(seed, 8))
		var data []byte
		for range rng.IntN(200) {
			for i := range 3 {
				var f []byte
				for range rng.IntN(12) * rng.IntN(12) {
					f = append(f, "abcdefg;'\",\nü"[rng.IntN(14)])
				}
				if i > 0 {
					data = append(data, ',')
				}
				if rng.IntN(2) == 0 || bytes.ContainsAny(f, "\",\n") || i == 0 && len(f) == 0 {
					f = slices.Concat([]byte{'"'}, bytes.ReplaceAll(f, []byte(`"`), []byte(`""`)), []byte{'"'})
				}
				data = append(data, f...)
			}
			data = append(data, []string{"\n", "\r\n"}[rng.IntN(2)]...)
		}
		rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		want := newResult()
		for _, values := range rows {
			want.add(values)
		}
		cfg := DelimitedConfig{Schema: s, Quote: '"', BlockBytes: 1 + rng.IntN(1000)}
		if diff := fast(t, write(t, data), cfg, 1+rng.IntN(3), 1+rng.IntN(100)).same(want); diff != "" {
			t.Fatalf("seed %d: %s\n%q", seed, diff, data)
		}
	}
}

// Goal: each thing that may be done with quotes, and what is said about each that may not.
func TestQuotedEdges(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "name", Type: record.String, Nullable: true},
		record.Field{Name: "value", Type: record.DecimalOf(9, 1), Nullable: true})
	for _, c := range []struct {
		data string
		want []string // rows and, after "!", what a reason must say
	}{
		{"\"a\",\"1.0\"\n", []string{"a|10"}},
		{"\"a\",\"1.0\"\r\n", []string{"a|10"}},
		{"\"a\",1.0", []string{"a|10"}},
		{"a,\"1.0\"", []string{"a|10"}},
		{",\n\"\",\"\"\n", []string{"NULL|NULL", "|NULL"}},
		{"\"a,b\nc\r\n\"\"\",1\n", []string{"a,b\nc\r\n\"|10"}},
		{"\"\"\"\",1\n\"\"\"\"\"\",2\n", []string{"\"|10", "\"\"|20"}},
		{"a\"b,1\nc,2\n", []string{"a\"b|10", "c|20"}},
		{"\"a\"b,1\nc,2\n", []string{"!1: column \"name\": bytes after the closing quote", "c|20"}},
		{"\"a\"b\"\n,1\nc,2\n", []string{"!1: 1 field, expected 2", "NULL|10", "c|20"}},
		{" \"a\",1\nc,2\n", []string{" \"a\"|10", "c|20"}},
		{"\"a\" ,1\nc,2\n", []string{"!1: column \"name\": bytes after", "c|20"}},
		{"c,2\na,\"1\nc,2\n", []string{"c|20", "!2: the quote at offset 6 is not closed"}},
		{"c,2\n\"a", []string{"c|20", "!2: the quote at offset 4 is not closed"}},
		{"\"", []string{"!1: the quote at offset 0 is not closed"}},
		{"a,\"1\"\"2\"\nc,2\n", []string{"!1: column \"value\": \"1\\\"\\\"2\" is not a decimal", "c|20"}},
		{"\"x,\ny\",1,2\nc,2\n", []string{"!1: 3 fields, expected 2", "c|20"}},
		{"'a',1\n", []string{"'a'|10"}},
		{strings.Repeat("\"a\",\"-12345678.5\"\n", 20), slices.Repeat([]string{"a|-123456785"}, 20)},
	} {
		for n := 1; n <= 3; n++ {
			for block := range 9 {
				d, err := OpenDelimited(
					write(t, []byte(c.data)), DelimitedConfig{Schema: s, Quote: '"', BlockBytes: block})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, r := range d.Readers(n) {
					b := record.NewBatch(s, 0)
					for err := error(nil); err == nil; {
						b.Reset()
						err = r.(record.Poller).Poll(b)
						for i := range b.Len() {
							got = append(got, text(s.Field(0), b.Column(0), i)+"|"+text(s.Field(1), b.Column(1), i))
						}
						for _, rj := range b.Rejects() {
							line, err := r.(record.Liner).Line(rj.Offset)
							if err != nil {
								t.Fatal(err)
							}
							got = append(got, fmt.Sprintf("!%d: %v", line, rj.Reason))
						}
					}
					r.Close()
				}
				want := slices.Clone(c.want)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.EqualFunc(got, want, func(g, w string) bool {
					return g == w || w[0:min(1, len(w))] == "!" && strings.HasPrefix(g, w)
				}) {
					t.Errorf("%q, %d readers, blocks of %d: %q, expected %q", c.data, n, block, got, want)
				}
			}
		}
	}

	for _, c := range []struct {
		cfg  DelimitedConfig
		want string
	}{
		{DelimitedConfig{Schema: s, Quote: '\n'}, "cannot be the quote"},
		{DelimitedConfig{Schema: s, Quote: '\r'}, "cannot be the quote"},
		{DelimitedConfig{Schema: s, Quote: ','}, "cannot be the quote"},
		{DelimitedConfig{Schema: s, Quote: ';', Delimiter: ';'}, "cannot be the quote"},
	} {
		if _, err := OpenDelimited(write(t, nil), c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, expected something with %q", err, c.want)
		}
	}
	one := texts(t, "line")
	if r := fast(t, write(t, []byte("'it''s',\n\"x\",\n")), DelimitedConfig{Schema: texts(t, "a", "b"), Quote: '\''}, 1,
		10); r.rows["it's|"] != 1 || r.rows["\"x\"|"] != 1 {
		t.Errorf("with another quote: %v %v", r.rows, r.rejects)
	}
	if r := fast(t, write(t, []byte("\"x\"\ny\n")), DelimitedConfig{Schema: one}, 1, 10); r.total != 1 ||
		len(r.rejects) != 1 {
		t.Errorf("without quotes: %v %v", r.rows, r.rejects)
	}
}

// Goal: a quote without end costs bounded memory and is one reject, no matter who reads the blocks after it; a record that is too long and does end is
// passed over whole.
func TestQuotedEndless(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "name", Type: record.String}, record.Field{Name: "value", Type: record.Int64})
	inside := bytes.Repeat([]byte("x\"\"y\n1,2\n"), 2<<20)
	for _, c := range []struct {
		end  string
		rows int
	}{{"", 1}, {"\",1\nb,2\n\"c\",3\n", 3}} {
		path := write(t, slices.Concat([]byte("a,1\nb,\""), inside, []byte(c.end)))
		for _, n := range []int{1, 3} {
			d, err := OpenDelimited(path, DelimitedConfig{Schema: s, Quote: '"', MaxRecordBytes: 100_000})
			if err != nil {
				t.Fatal(err)
			}
			rows, reasons := 0, []string(nil)
			for _, r := range d.Readers(n) {
				b := record.NewBatch(s, 0)
				for err = nil; err == nil; {
					b.Reset()
					err = r.(record.Poller).Poll(b)
					rows += b.Len()
					for _, rj := range b.Rejects() {
						reasons = append(reasons, fmt.Sprint(rj.Offset, " ", rj.Reason))
					}
				}
				if got := cap(r.(*delimitedReader).buf); got > 1<<20 {
					t.Errorf("a buffer of %d bytes", got)
				}
				r.Close()
			}
			if want := "4 a record of more than 100000 bytes: the quote at offset 6 is not closed within them"; rows !=
				c.rows || len(reasons) != 1 || reasons[0] != want {
				t.Errorf("%d readers: %d rows and %q, expected %d and %q", n, rows, reasons, c.rows, want)
			}
		}
	}
}

// Goal: files that others wrote, with the rows that they expect.
func TestQuotedCorpus(t *testing.T) { eachVariant(t, testQuotedCorpus) }

func testQuotedCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testgen.Corpus(t, "csv"), "*.csv"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files, %v", err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(strings.TrimSuffix(path, ".csv") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var rows []map[string]string
		if err := json.Unmarshal(text, &rows); err != nil {
			t.Fatal(err)
		}
		header, err := csv.NewReader(bytes.NewReader(data)).Read()
		if err != nil {
			t.Fatal(err)
		}
		want := newResult()
		for _, r := range rows {
			var values []string
			for _, name := range header {
				// They have the newlines of the system that wrote them; the reader keeps what is in the file.
				values = append(values, strings.ReplaceAll(r[name], "\r\n", "\n"))
			}
			want.add(values)
		}
		for block := range 40 {
			for n := 1; n <= 3; n++ {
				cfg := DelimitedConfig{Schema: texts(t, header...), Quote: '"', Header: true, BlockBytes: block}
				if diff := fast(t, path, cfg, n, 10).same(want); diff != "" {
					t.Fatalf("%s, %d readers, blocks of %d: %s", filepath.Base(path), n, block, diff)
				}
			}
		}
	}
}

// Goal: the twins agree on any bytes, any delimiter and quote, any limit, any blocks and any number of readers.
func FuzzQuoted(f *testing.F) {
	f.Add([]byte("\"a\",1.5,1,1,t,2026-01-01,1,\"z\"\n"), byte(','), byte('"'), uint8(3), uint8(2), uint8(5), uint8(0),
		false)
	f.Add([]byte("a,\"\"\"\n,\"\nb\"c\",\"d"), byte(','), byte('"'), uint8(1), uint8(1), uint8(1), uint8(9), true)
	f.Add([]byte("'a';'\n'\r\n\n'"), byte(';'), byte('\''), uint8(1), uint8(1), uint8(1), uint8(9), true)
	for seed := range uint64(20) {
		f.Add(randomQuoted(rand.New(rand.NewPCG(seed, 9))), byte(','), byte('"'), uint8(seed), uint8(seed), uint8(seed),
			uint8(10*seed), seed%2 == 0)
	}
	everything, two := everything(f), schemaOf(f, record.Field{Name: "s", Type: record.String},
		record.Field{Name: "d", Type: record.DecimalOf(9, 2), Nullable: true})
	path := filepath.Join(f.TempDir(), "fuzz.csv")
	was512, wasAVX2, wasVBMI2 := have512, haveAVX2, haveVBMI2
	f.Fuzz(func(t *testing.T, data []byte, delimiter, quote byte, block, n, batch, longest uint8, header bool) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		defer func() { have512, haveAVX2, haveVBMI2 = was512, wasAVX2, wasVBMI2 }()
		for _, s := range []*record.Schema{everything, two} {
			cfg := DelimitedConfig{
				Schema: s, Delimiter: delimiter, Quote: quote, BlockBytes: int(block),
				Header: header, MaxRecordBytes: int(longest),
			}
			if delimiter == 0 || delimiter >= 0x80 || cfg.Validate() != nil {
				return
			}
			cfg.Header = header && headerFits(data, cfg)
			read := randomColumns(rand.New(rand.NewPCG(uint64(n), uint64(batch))), s)
			want := slowColumns(data, cfg, read)
			if longest > 0 {
				trim(want, cfg.MaxRecordBytes)
			}
			for variant := range 3 {
				have512, haveAVX2, haveVBMI2 = was512 && variant > 1, wasAVX2 && variant > 0, wasVBMI2 && variant > 1
				got := fastColumns(t, path, cfg, read, 1+int(n%3), 1+int(batch))
				if longest > 0 {
					trim(got, cfg.MaxRecordBytes)
				}
				if diff := got.same(want); diff != "" {
					t.Fatalf("variant %d: %s", variant, diff)
				}
			}
		}
	})
}

// The reader alone on lines with quotes, from the page cache: every field in them, texts alone, or only where they must be.
func BenchmarkQuoted(b *testing.B) {
	s := schemaOf(b, record.Field{Name: "id", Type: record.Int64}, record.Field{Name: "name", Type: record.String},
		record.Field{Name: "value", Type: record.DecimalOf(9, 2)}, record.Field{Name: "note", Type: record.String})
	const rows = 200_000
	for _, style := range []string{"all", "texts", "needed", "doubled", "none"} {
		var data []byte
		rng := rand.New(rand.NewPCG(1, 2))
		field := func(quotes bool, text string) {
			if quotes {
				text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
			}
			data = append(data, text...)
			data = append(data, ',')
		}
		for range rows {
			note := "the quick brown fox jumps over"[:5+rng.IntN(25)]
			needed := rng.IntN(10) == 0
			switch {
			case style == "doubled":
				note += ` the "lazy" dog`
			case needed && style != "none":
				note += ", the dog\nand others"
			}
			all, text := style == "all", style == "all" || style == "texts"
			field(all, fmt.Sprint(rng.IntN(1_000_000)))
			field(text, "abcdefghijklmnopq"[:3+rng.IntN(12)])
			field(all, fmt.Sprintf("%.2f", float64(rng.IntN(100_000))/100))
			field(text || needed && style == "needed" || style == "doubled", note)
			data[len(data)-1] = '\n'
		}
		path := write(b, data)
		batch := record.NewBatch(s, 0)
		b.Run("style="+style, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				d, err := OpenDelimited(path, DelimitedConfig{Schema: s, Quote: '"'})
				if err != nil {
					b.Fatal(err)
				}
				r := d.Readers(1)[0].(record.Poller)
				n := 0
				for err == nil {
					batch.Reset()
					err = r.Poll(batch)
					n += batch.Len()
				}
				r.Close()
				if n != rows || err != io.EOF {
					b.Fatal(n, err, batch.Rejects())
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/record")
		})
	}
}
