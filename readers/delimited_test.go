package readers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/record"
)

// row is a record as the twin and the reader are compared: the values as text, NULL as the word.
type row = string

// result is what a file gave: its rows, and its rejects as offset:bytes.
type result struct {
	rows    map[row]int
	rejects map[string]error
	total   int
}

func newResult() *result { return &result{rows: map[row]int{}, rejects: map[string]error{}} }

func (r *result) add(values []string) {
	r.rows[strings.Join(values, "|")]++
	r.total++
}

func (r *result) reject(offset int64, line []byte, err error) {
	line = line[:min(len(line), record.MaxRejectBytes)]
	r.rejects[fmt.Sprintf("%d:%s", offset, line)] = err
}

// same says how two results differ; "" where they do not.
func (r *result) same(want *result) string {
	for k, n := range want.rows {
		if r.rows[k] != n {
			return fmt.Sprintf("row %q comes %d times, expected %d", k, r.rows[k], n)
		}
	}
	for k := range r.rows {
		if want.rows[k] == 0 {
			return fmt.Sprintf("row %q should not be there", k)
		}
	}
	for k, err := range want.rejects {
		if r.rejects[k] == nil {
			return fmt.Sprintf("%q was not rejected: %v", k, err)
		}
	}
	for k, err := range r.rejects {
		if want.rejects[k] == nil {
			return fmt.Sprintf("%q was rejected: %v", k, err)
		}
	}
	return ""
}

// slow is the twin: the whole file at once, a field after the other, math/big.
func slow(data []byte, cfg DelimitedConfig) *result { return slowColumns(data, cfg, nil) }

// slowColumns is the twin of a reader that reads only some columns; nil is all.
func slowColumns(data []byte, cfg DelimitedConfig, read []bool) *result {
	res := newResult()
	mark, header := 0, cfg.Header
	if bytes.HasPrefix(data, []byte(byteOrderMark)) {
		mark = len(byteOrderMark)
	}
	for begin := mark; begin < len(data); {
		if line, _, _ := bytes.Cut(data[begin:], []byte{'\n'}); header &&
			len(bytes.TrimSuffix(line, []byte{'\r'})) == 0 {
			begin += min(len(line)+1, len(data)-begin) // the header is the first line that is not empty
			continue
		}
		fields, end := slowRecord(data[begin:], cfg)
		offset := begin
		text := bytes.TrimSuffix(data[begin:begin+end], []byte{'\n'})
		if open := fields[len(fields)-1].err == errOpen; open {
			text = data[begin:] // a newline at its end is one of its bytes
		}
		begin += end
		if header {
			header = false
			continue
		}
		long := cfg.MaxRecordBytes > 0 && len(text) > cfg.MaxRecordBytes
		text = bytes.TrimSuffix(text, []byte{'\r'})
		if len(text) == 0 && cfg.Schema.Len() > 1 {
			continue
		}
		if n := cfg.Schema.Len(); len(fields) == n+1 && fields[n] == (slowField{}) {
			fields = fields[:n] // a delimiter at the end of the record
		}
		if len(fields) != cfg.Schema.Len() {
			res.reject(int64(offset), text, errors.New("fields"))
			continue
		}
		var values []string
		var err error
		for c, f := range fields {
			column := cfg.Schema.Field(c)
			v, ferr := f.value(column, cfg.Quote != 0)
			if read != nil && !read[c] {
				empty := !column.Nullable && column.Type != record.String && f.err == nil &&
					strings.TrimSpace(f.text) == ""
				if v = unreadText(column); !empty && ferr != errOpen {
					ferr = nil
				}
			}
			if ferr != nil && err == nil {
				err = ferr
			}
			values = append(values, v)
		}
		if err == nil && long {
			err = errors.New("long")
		}
		if err != nil {
			res.reject(int64(offset), text, err)
		} else {
			res.add(values)
		}
	}
	return res
}

// headerFits says that the header is not too long, which is an error and no reject.
func headerFits(data []byte, cfg DelimitedConfig) bool {
	data = bytes.TrimLeft(bytes.TrimPrefix(data, []byte(byteOrderMark)), "\r\n")
	_, n := slowRecord(data, cfg)
	return cfg.MaxRecordBytes == 0 || n <= cfg.MaxRecordBytes
}

// slowField is a field as it stands in the file, without its quotes.
type slowField struct {
	text   string
	quoted bool
	err    error
}

var errOpen = errors.New("open")

// slowRecord is the record that data begins with, and its length with its newline.
func slowRecord(data []byte, cfg DelimitedConfig) (fields []slowField, end int) {
	i := 0
	for {
		var f slowField
		if i < len(data) && data[i] == cfg.Quote && cfg.Quote != 0 {
			f.quoted = true
			for i++; ; i++ {
				if i == len(data) {
					return append(fields, slowField{err: errOpen}), i
				}
				if data[i] == cfg.Quote {
					if i++; i == len(data) || data[i] != cfg.Quote {
						break
					}
				}
				f.text += string(data[i : i+1])
			}
		}
		begin := i
		for i < len(data) && data[i] != '\n' && data[i] != cfg.Delimiter {
			i++
		}
		rest, last := string(data[begin:i]), i == len(data) || data[i] == '\n'
		if last {
			rest = strings.TrimSuffix(rest, "\r")
		}
		switch {
		case f.quoted && rest != "":
			f.err = errors.New("behind the quote")
		case !f.quoted:
			f.text = rest
		}
		fields = append(fields, f)
		if i == len(data) {
			return fields, i
		}
		if i++; last {
			return fields, i
		}
	}
}

// value is what the field is in a column.
func (f slowField) value(column record.Field, quotes bool) (string, error) {
	switch {
	case f.err != nil:
		return "", f.err
	case f.quoted && column.Type == record.String:
		return f.text, nil
	case !quotes && strings.HasPrefix(f.text, `"`):
		return "", errors.New("quote")
	}
	return slowValue(column, f.text)
}

// unreadText is what a column that nobody reads has in a batch.
func unreadText(f record.Field) string {
	switch {
	case f.Nullable:
		return "NULL"
	case f.Type == record.String:
		return ""
	}
	return "0"
}

func slowValue(f record.Field, s string) (string, error) {
	if f.Type != record.String {
		s = string(bytes.TrimSpace([]byte(s)))
	}
	if s == "" {
		switch {
		case f.Nullable:
			return "NULL", nil
		case f.Type == record.String:
			return "", nil
		}
		return "", errors.New("empty")
	}
	switch {
	case f.Type == record.String:
		return s, nil
	case f.Type == record.Float64:
		v, err := strconv.ParseFloat(s, 64)
		if strings.ContainsAny(s, "xX_") {
			err = errors.New("base 16")
		}
		return fmt.Sprint(math.Float64bits(v)), err
	case f.Type == record.Bool:
		switch strings.ToLower(s) {
		case "true", "t", "1":
			return "1", nil
		case "false", "f", "0":
			return "0", nil
		}
		return "", errors.New("bool")
	case f.Type == record.Timestamp:
		v, err := record.ParseTime(s, nil) // which has a test of its own
		return fmt.Sprint(v), err
	}
	// Whole numbers and decimals: only digits, a sign, a point; then exact arithmetic.
	digits := 0
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case (c == '-' || c == '+') && i == 0:
		case c == '.' && f.Type.IsDecimal() && strings.Count(s, ".") == 1:
		default:
			return "", errors.New("number")
		}
	}
	if digits == 0 {
		return "", errors.New("number")
	}
	whole := s
	if !strings.Contains(whole, ".") {
		whole += "."
	}
	whole += "0"
	if i := strings.IndexByte(whole, '.'); i == 0 || i == 1 && (s[0] == '-' || s[0] == '+') {
		whole = whole[:i] + "0" + whole[i:]
	}
	r, ok := new(big.Rat).SetString(whole)
	if !ok {
		return "", errors.New("number")
	}
	r.Mul(r, new(big.Rat).SetInt64(record.Pow10[f.Type.Scale()]))
	if !r.IsInt() || !r.Num().IsInt64() {
		return "", errors.New("digits")
	}
	if f.Type.IsDecimal() && r.Num().CmpAbs(big.NewInt(record.Pow10[f.Type.Precision()])) >= 0 {
		return "", errors.New("range")
	}
	return r.Num().String(), nil
}

// fast reads a file with n readers, in turns of random length, as an engine would.
func fast(t testing.TB, path string, cfg DelimitedConfig, n int, batchRows int) *result {
	t.Helper()
	return fastColumns(t, path, cfg, nil, n, batchRows)
}

// fastColumns is fast for readers that read only some columns; nil is all.
func fastColumns(t testing.TB, path string, cfg DelimitedConfig, read []bool, n int, batchRows int) *result {
	t.Helper()
	d, err := OpenDelimited(path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, cfg.Schema, projected(d.Readers(n), read), batchRows)
}

// projected has readers read only some columns; nil is all.
func projected(rs []record.Reader, read []bool) []record.Reader {
	for _, r := range rs {
		if p, ok := r.(record.Projector); ok && read != nil {
			p.Columns(read)
		}
	}
	return rs
}

// randomColumns are some columns of a schema, or nil for all.
func randomColumns(rng *rand.Rand, s *record.Schema) []bool {
	if rng.IntN(3) == 0 {
		return nil
	}
	read := make([]bool, s.Len())
	for i := range read {
		read[i] = rng.IntN(3) == 0
	}
	return read
}

// readAll is what readers give, one after the other.
func readAll(t testing.TB, schema *record.Schema, rs []record.Reader, batchRows int) *result {
	t.Helper()
	res := newResult()
	b := record.NewBatch(schema, batchRows)
	for _, r := range rs {
		p := r.(record.Poller)
		for idle := 0; ; {
			b.Reset()
			err := p.Poll(b)
			if cerr := b.Check(); cerr != nil {
				t.Fatal(cerr)
			}
			for i := range b.Len() {
				var values []string
				for c := range schema.Len() {
					values = append(values, text(schema.Field(c), b.Column(c), i))
				}
				res.add(values)
			}
			for _, rj := range b.Rejects() {
				res.reject(rj.Offset, rj.Bytes, rj.Reason)
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if idle++; b.Len()+len(b.Rejects()) > 0 {
				idle = 0
			} else if idle > 1_000_000 {
				t.Fatal("the reader does not come to an end")
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return res
}

func text(f record.Field, c *record.Column, i int) string {
	switch {
	case c.Null(i):
		return "NULL"
	case f.Type == record.String:
		return string(c.View(i))
	case f.Type == record.Float64:
		return fmt.Sprint(math.Float64bits(c.Float64s[i]))
	}
	return fmt.Sprint(c.Int64s[i])
}

func write(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.csv")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func schemaOf(t testing.TB, fields ...record.Field) *record.Schema {
	t.Helper()
	s, err := record.NewSchema("lines", fields...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// everything has a column of each type.
func everything(t testing.TB) *record.Schema {
	return schemaOf(t,
		record.Field{Name: "s", Type: record.String},
		record.Field{Name: "d", Type: record.DecimalOf(3, 1), Nullable: true},
		record.Field{Name: "i", Type: record.Int64}, record.Field{Name: "f", Type: record.Float64, Nullable: true},
		record.Field{Name: "b", Type: record.Bool}, record.Field{Name: "t", Type: record.Timestamp, Nullable: true},
		record.Field{Name: "e", Type: record.DecimalOf(18, 7)},
		record.Field{Name: "z", Type: record.String, Nullable: true})
}

// randomFile writes lines for everything: mostly right, some wrong in every way that comes to mind.
func randomFile(rng *rand.Rand) []byte {
	var out []byte
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	for range rng.IntN(60) {
		line := strings.Join([]string{
			pick("", "a", "Berlin", "Petropavlovsk-Kamchatsky", strings.Repeat("ü", rng.IntN(50)), "\"q\"", "a b"),
			pick("", "0.0", "1.5", "-99.9", "99.9", "100.0", "7", "-3", "1.25", "1.50", ".5", "5.", "+1.0", "-", ".",
				"1e1", "--1", "12345678", "-0.0", "0012.3"),
			pick("1", "-1", "0", "12345678", "123456789", "-12345678", "9223372036854775807", "-9223372036854775808",
				"9223372036854775808", "x", "", "1.0", "+5", "-"),
			pick("", "1", "-2.5e10", "NaN", "Inf", "1e400", "abc", "0x1p3", "1_0", "\"1\""),
			pick("true", "F", "1", "yes", "0", "TRUE", ""),
			pick("", "2026-01-31T12:30:45Z", "2026-01-31 12:30:45.123456789", "2026-02-30", "2026-02-28",
				"1969-12-31T23:59:59.5-01:30", "2026-01-31T24:00:00Z", "now", "2026-1-1", "1500-01-01", "9999-12-31",
				"2026-01-31T12:30:45."),
			pick("1", "1.1234567", "1.12345678", "-0.0000001", "12345678901.0", "123456789012", "99999999999.9999999",
				"1.12345670"),
			pick("", "last", "x\ry"),
		}, ",")
		switch rng.IntN(20) {
		case 0:
			line = line[:rng.IntN(len(line)+1)]
		case 1:
			line += ",more"
		case 2:
			line = ""
		case 3:
			line = strings.Repeat("long", rng.IntN(100)) + line
		}
		out = append(out, line...)
		out = append(out, pick("\n", "\n", "\r\n")...)
	}
	if n := len(out); n > 0 && rng.IntN(2) == 0 {
		out = bytes.TrimRight(out, "\r\n")
	}
	return out
}

// Goal: the reader and its twin agree on every row and every reject, for every size of block, number of readers and size of batch.
// Method: random files with good and bad lines.
func TestDelimitedTwin(t *testing.T) { eachVariant(t, testDelimitedTwin) }

func testDelimitedTwin(t *testing.T) {
	s := everything(t)
	for seed := range testgen.Seeds(150) {
		rng := rand.New(rand.NewPCG(seed, 3))
		data := randomFile(rng)
		path := write(t, data)
		cfg := DelimitedConfig{Schema: s, Delimiter: ',', Header: rng.IntN(3) == 0}
		if rng.IntN(3) == 0 {
			cfg.MaxRecordBytes = 60 + rng.IntN(200)
		}
		cfg.Header = cfg.Header && headerFits(data, cfg)
		for range 6 {
			cfg.BlockBytes = []int{1, 2, 3, 7, 16, 64, 100, 1000, 0}[rng.IntN(9)]
			n, rows := 1+rng.IntN(8), 1+rng.IntN(70)
			read := randomColumns(rng, s)
			want := slowColumns(data, cfg, read)
			got := fastColumns(t, path, cfg, read, n, rows)
			if cfg.MaxRecordBytes > 0 {
				// What is kept of a line that was too long to read is another thing.
				trim(want, cfg.MaxRecordBytes)
				trim(got, cfg.MaxRecordBytes)
			}
			if diff := got.same(want); diff != "" {
				t.Fatalf("seed %d, blocks of %d, %d readers, batches of %d, longest %d, header %v, columns %v: %s\n%q",
					seed, cfg.BlockBytes, n, rows, cfg.MaxRecordBytes, cfg.Header, read, diff, data)
			}
		}
	}
}

// trim cuts the bytes of rejects for the comparison.
func trim(r *result, n int) {
	cut := map[string]error{}
	for k, err := range r.rejects {
		offset, line, _ := strings.Cut(k, ":")
		cut[offset+":"+line[:min(len(line), n/2)]] = err
	}
	r.rejects = cut
}

// Goal: small files, odd ends, and files that are no files.
func TestDelimitedEdges(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "name", Type: record.String},
		record.Field{Name: "value", Type: record.DecimalOf(3, 1)})
	for data, want := range map[string]string{
		"":                                   "0 rows, 0 rejects",
		"\n":                                 "0 rows, 0 rejects",
		"a;1.0":                              "1 rows, 0 rejects",
		"a;1.0\n":                            "1 rows, 0 rejects",
		"a;1.0\r\nb;2.0\r\n":                 "2 rows, 0 rejects",
		"a;1.0\n\n":                          "1 rows, 0 rejects",
		"a;1.0\n\nb;2.0\n":                   "2 rows, 0 rejects",
		"\ufeffa;1.0\n":                      "1 rows, 0 rejects",
		"a;1.0;\nb;2.0;\r\nc;3.0\n":          "3 rows, 0 rejects",
		"a;1.0;\nb;2.0;x\n":                  "1 rows, 1 rejects",
		"a; 1.0 \n":                          "1 rows, 0 rejects",
		"a":                                  "0 rows, 1 rejects",
		";1.0\n":                             "1 rows, 0 rejects",
		strings.Repeat("ü", 50) + ";-99.9\n": "1 rows, 0 rejects",
	} {
		path := write(t, []byte(data))
		for _, n := range []int{1, 3, 8} {
			r := fast(t, path, DelimitedConfig{Schema: s, Delimiter: ';'}, n, 10)
			if got := fmt.Sprintf("%d rows, %d rejects", r.total, len(r.rejects)); got != want {
				t.Errorf("%q with %d readers: %s, expected %s", data, n, got, want)
			}
		}
	}
	one := schemaOf(t, record.Field{Name: "line", Type: record.String})
	if r := fast(t, write(t, []byte("a\n\nb\n")), DelimitedConfig{Schema: one}, 2, 10); r.total != 3 {
		t.Errorf("%d rows of one column, expected 3: an empty line is one", r.total)
	}
	for _, c := range []struct {
		path string
		cfg  DelimitedConfig
		want string
	}{
		{filepath.Join(t.TempDir(), "missing"), DelimitedConfig{Schema: s}, "no such file"},
		{t.TempDir(), DelimitedConfig{Schema: s}, "is a directory"},
		{write(t, nil), DelimitedConfig{Delimiter: '\n', BlockBytes: -1, MaxRecordBytes: -1}, "no schema"},
	} {
		if _, err := OpenDelimited(c.path, c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, expected something with %q", err, c.want)
		}
	}
}

// Goal: a rejected line is reported with its line number, also far into the file, and a row after one with a NULL is not NULL.
func TestDelimitedLine(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "a", Type: record.Int64, Nullable: true},
		record.Field{Name: "b", Type: record.Int64})
	var data []byte
	bad := map[int64]int64{} // line by offset
	for line := int64(1); line <= 300_000; line++ {
		if line%50_000 == 7 {
			bad[int64(len(data))] = line
			data = append(data, ",x\n"...)
			continue
		}
		data = append(data, "1,1\n"...)
	}
	d, err := OpenDelimited(write(t, data), DelimitedConfig{Schema: s})
	if err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(s, 0)
	r := d.Readers(1)[0]
	defer r.Close()
	for err == nil {
		b.Reset()
		err = r.(record.Poller).Poll(b)
		for i := range b.Len() {
			if b.Column(0).Null(i) {
				t.Fatal("a NULL that was in a rejected row")
			}
		}
		for _, rj := range b.Rejects() {
			line, err := r.(record.Liner).Line(rj.Offset)
			if err != nil || line != bad[rj.Offset] {
				t.Errorf("offset %d is line %d, %v; expected %d", rj.Offset, line, err, bad[rj.Offset])
			}
			if !strings.Contains(rj.Reason.Error(), `column "b"`) {
				t.Errorf("%v does not name the column", rj.Reason)
			}
			delete(bad, rj.Offset)
		}
	}
	if len(bad) > 0 {
		t.Errorf("not rejected: %v", bad)
	}
}

// Goal: a line without end costs bounded memory and is one reject.
func TestDelimitedEndlessLine(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "name", Type: record.String}, record.Field{Name: "value", Type: record.Int64})
	data := append([]byte("a,1\n"), bytes.Repeat([]byte{'x'}, 20<<20)...)
	path := write(t, data)
	for _, n := range []int{1, 3} {
		d, err := OpenDelimited(path, DelimitedConfig{Schema: s, MaxRecordBytes: 100_000})
		if err != nil {
			t.Fatal(err)
		}
		rows, rejects := 0, 0
		for _, r := range d.Readers(n) {
			b := record.NewBatch(s, 0)
			for err = nil; err == nil; {
				b.Reset()
				err = r.(record.Poller).Poll(b)
				rows += b.Len()
				rejects += len(b.Rejects())
			}
			if got := cap(r.(*delimitedReader).buf); got > 1<<20 {
				t.Errorf("a buffer of %d bytes", got)
			}
			r.Close()
		}
		if rows != 1 || rejects != 1 {
			t.Errorf("%d readers: %d rows and %d rejects, expected 1 and 1", n, rows, rejects)
		}
	}
}

// Goal: a file that shrinks while it is read is an error that names it, not a crash.
func TestDelimitedShrinks(t *testing.T) {
	s := schemaOf(t, record.Field{Name: "name", Type: record.String})
	path := write(t, bytes.Repeat([]byte("line\n"), 100_000))
	d, err := OpenDelimited(path, DelimitedConfig{Schema: s, BlockBytes: 4096})
	if err != nil {
		t.Fatal(err)
	}
	r := d.Readers(1)[0]
	defer r.Close()
	b := record.NewBatch(s, 0)
	if err := r.(record.Poller).Poll(b); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 10_000); err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; {
		b.Reset()
		err = r.(record.Poller).Poll(b)
	}
	if err == io.EOF || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "ends at offset 10000") {
		t.Errorf("%v, expected an error that names the file and the offset", err)
	}
}

// Goal: the twins agree on any bytes.
func FuzzDelimited(f *testing.F) {
	f.Add([]byte("a,1.5,1,1,t,2026-01-01,1,z\n"), uint8(3), uint8(2), false)
	f.Add([]byte(",,,,,,,\r\n\n\""), uint8(1), uint8(1), true)
	s := everything(f)
	path := filepath.Join(f.TempDir(), "fuzz.csv")
	f.Fuzz(func(t *testing.T, data []byte, block, n uint8, header bool) {
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		cfg := DelimitedConfig{Schema: s, Delimiter: ',', BlockBytes: int(block), Header: header}
		if diff := fast(t, path, cfg, 1+int(n%8), 1+int(n)).same(slow(data, cfg)); diff != "" {
			t.Fatal(diff)
		}
	})
}

// The reader alone on name;value lines, from the page cache.
func BenchmarkDelimited(b *testing.B) {
	s := schemaOf(b, record.Field{Name: "name", Type: record.String},
		record.Field{Name: "value", Type: record.DecimalOf(3, 1)})
	var data []byte
	rng := rand.New(rand.NewPCG(1, 2))
	const rows = 1_000_000
	for range rows {
		data = append(data, "abcdefghijklmnopq"[:3+rng.IntN(12)]...)
		data = append(data, ';')
		data = strconv.AppendFloat(data, float64(rng.IntN(1999)-999)/10, 'f', 1, 64)
		data = append(data, '\n')
	}
	path := write(b, data)
	batch := record.NewBatch(s, 0)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := OpenDelimited(path, DelimitedConfig{Schema: s, Delimiter: ';'})
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
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/rows, "ns/record")
}
