package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pq "github.com/parquet-go/parquet-go"

	"github.com/velo-engine/velo/record"
)

// write writes rows to a file.
func write[T any](t testing.TB, rows []T, options ...pq.WriterOption) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.parquet")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := pq.NewGenericWriter[T](f, options...)
	if _, err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

type mixed struct {
	A int64    `parquet:"a,delta"`
	B *int64   `parquet:"b,optional"`
	C string   `parquet:"c,dict"`
	D *string  `parquet:"d"`
	E *float64 `parquet:"e,optional"`
	F bool     `parquet:"f"`
	G *int32   `parquet:"g,dict"`
	H string   `parquet:"h,delta"`
}

func (m *mixed) line() string {
	opt := func(null bool, f func() string) string {
		if null {
			return "NULL"
		}
		return f()
	}
	return strings.Join([]string{
		fmt.Sprint(m.A),
		opt(m.B == nil, func() string { return fmt.Sprint(*m.B) }),
		fmt.Sprintf("%q", m.C),
		opt(m.D == nil, func() string { return fmt.Sprintf("%q", *m.D) }),
		opt(m.E == nil, func() string { return fmt.Sprint(*m.E) }),
		map[bool]string{true: "1", false: "0"}[m.F],
		opt(m.G == nil, func() string { return fmt.Sprint(*m.G) }),
		fmt.Sprintf("%q", m.H),
	}, "\t")
}

// Goal: a reader gives the values that were written.
// Method: random rows with random runs of NULL and of equal values, in files of random page sizes,
// versions and compressions, which the library writes out of structs.
func TestTwin(t *testing.T) {
	for round := range 60 {
		rnd := rand.New(rand.NewPCG(1, uint64(round)))
		rows := make([]mixed, 1+rnd.IntN(6000))
		var run int
		var null bool
		for i := range rows {
			if run == 0 {
				run, null = 1+rnd.IntN(300), rnd.IntN(2) == 0
			}
			run--
			m := mixed{A: int64(rnd.Uint64()), C: fmt.Sprint(rnd.IntN(5)), F: rnd.IntN(3) == 0, H: fmt.Sprint(rnd.IntN(1e6))}
			if !null {
				b, d, e, g := int64(i)*3+rnd.Int64N(5), fmt.Sprint("d", rnd.IntN(1000)), float64(rnd.IntN(1000))/4,
					int32(rnd.IntN(70))
				m.B, m.D, m.E, m.G = &b, &d, &e, &g
			}
			if rnd.IntN(9) == 0 {
				m.G = nil
			}
			rows[i] = m
		}
		codec := []pq.WriterOption{
			pq.Compression(&pq.Uncompressed), pq.Compression(&pq.Snappy), pq.Compression(&pq.Zstd),
			pq.Compression(&pq.Gzip), pq.Compression(&pq.Lz4Raw), pq.Compression(&pq.Brotli),
		}[rnd.IntN(6)]
		path := write(t, rows, codec, pq.DataPageVersion(1+rnd.IntN(2)), pq.PageBufferSize(64+rnd.IntN(8000)),
			pq.MaxRowsPerRowGroup(int64(100+rnd.IntN(5000))))
		var want []string
		for i := range rows {
			want = append(want, rows[i].line())
		}
		s := open(t, nil, path)
		got, rejects, err := lines(s.Readers(1)[0], s.schema, 1+rnd.IntN(3000))
		if err != nil || len(rejects) > 0 {
			t.Fatalf("round %d: %v %v", round, err, rejects)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: %d rows, expected %d: %s", round, len(got), len(want), differs(got, want))
		}
	}
}

// Goal: after a restart each row is read once, whatever the number of readers before and after.
// Method: several files; readers stop after random batches, two times, with the positions of their
// last batches; the rows of all three lives together are all rows.
func TestResume(t *testing.T) {
	type row struct {
		N int64 `parquet:"n"`
	}
	var paths []string
	const each = 3000
	for f := range 3 {
		var rows []row
		for i := range each {
			rows = append(rows, row{int64(f*each + i)})
		}
		paths = append(paths, write(t, rows, pq.MaxRowsPerRowGroup(700), pq.PageBufferSize(800)))
	}
	for round := range 40 {
		rnd := rand.New(rand.NewPCG(2, uint64(round)))
		seen := map[string]int{}
		var positions []record.Position
		for life := range 3 {
			s := open(t, nil, paths...)
			rs := s.Readers(1 + rnd.IntN(4))
			latest := map[string]record.Position{} // of a reader and split
			note := func(r int, p record.Position) {
				latest[fmt.Sprint(r, p.Split)] = record.Position{Split: p.Split, Offset: slices.Clone(p.Offset)}
			}
			for i, r := range rs {
				resumed, now, err := r.(record.Resumer).ResumeFrom(positions)
				if err != nil {
					t.Fatal(err)
				}
				if life > 0 && len(resumed) != len(paths) {
					t.Fatalf("resumed %q", resumed)
				}
				for _, p := range now {
					note(i, p)
				}
			}
			steps := rnd.IntN(25)
			if life == 2 {
				steps = 1 << 20
			}
			ended := make([]bool, len(rs))
			b := record.NewBatch(s.schema, 1+rnd.IntN(400))
			for range steps {
				i := rnd.IntN(len(rs))
				if ended[i] {
					if !slices.Contains(ended, false) {
						break
					}
					continue
				}
				b.Reset()
				err := rs[i].Read(context.Background(), b)
				if err == io.EOF {
					ended[i] = true
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				for row := range b.Len() {
					seen[line(b, row)]++
				}
				for _, p := range b.Positions() {
					note(i, p)
				}
			}
			positions = positions[:0]
			for _, p := range latest {
				positions = append(positions, p)
			}
			for _, r := range rs {
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if len(seen) != each*len(paths) {
			t.Fatalf("round %d: %d rows were read, expected %d", round, len(seen), each*len(paths))
		}
		for row, n := range seen {
			if n != 1 {
				t.Fatalf("round %d: row %s was read %d times", round, row, n)
			}
		}
	}
}

// Goal: a position of another file is refused, and one is described in words.
func TestOtherFile(t *testing.T) {
	type row struct {
		N int64 `parquet:"n"`
	}
	a, other := write(t, []row{{1}, {2}}), write(t, []row{{1}, {2}, {3}})
	r := open(t, nil, a).Readers(1)[0].(*Reader)
	_, now, err := r.ResumeFrom(nil)
	if err != nil {
		t.Fatal(err)
	}
	if words := Describe(now[0]); words != "0 of 1 row groups read" {
		t.Error(words)
	}
	if words := Describe(record.Position{Split: "file x", Offset: now[0].Offset}); words != "" {
		t.Error(words)
	}
	now[0].Split = splitPrefix + other
	_, _, err = open(t, nil, other).Readers(1)[0].(*Reader).ResumeFrom(now)
	if err == nil || !strings.Contains(err.Error(), "it is another file") {
		t.Error(err)
	}
	for i := range now[0].Offset {
		if _, err := parsePosition(now[0].Offset[:i]); err == nil {
			t.Errorf("a position of %d bytes", i)
		}
	}
}

// Goal: a record with a value that does not fit is set aside, with its row and column, and no other
// is lost; also if there are more than a batch carries.
func TestSetAside(t *testing.T) {
	type row struct {
		N int64   `parquet:"n"`
		U uint64  `parquet:"u,dict"`
		V uint64  `parquet:"v"`
		S *string `parquet:"s"`
		D int32   `parquet:"d,date"`
	}
	var rows []row
	text, want := "x", 0
	for i := range 1000 {
		r := row{N: int64(i), U: uint64(i % 50), V: uint64(i), S: &text, D: int32(i)}
		switch i % 7 {
		case 1:
			r.U = 1<<63 + 7
		case 3:
			r.V = 1 << 63
		case 4:
			r.S = nil
		case 5:
			r.D = 1 << 30
		default:
			want++
		}
		rows = append(rows, r)
	}
	s, err := Open([]string{write(t, rows)})
	if err != nil {
		t.Fatal(err)
	}
	schema, err := record.NewSchema("t", record.Field{Name: "n", Type: record.Int64},
		record.Field{Name: "u", Type: record.Int64}, record.Field{Name: "V", Type: record.Int64, Nullable: true},
		record.Field{Name: "s", Type: record.String}, record.Field{Name: "d", Type: record.Timestamp})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Bind(schema); err != nil {
		t.Fatal(err)
	}
	got, rejects, err := lines(s.Readers(1)[0], schema, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != want || len(rejects) != len(rows)-want {
		t.Fatalf("%d rows and %d set aside, expected %d", len(got), len(rejects), want)
	}
	for i, reason := range map[int]string{
		0: `row 1: column "u": 9223372036854775815 does not fit bigint`,
		1: `row 3: column "V": 9223372036854775808 does not fit bigint`,
		2: `row 4: column "s": it is NULL, and the column is NOT NULL`,
		3: `row 5: column "d": 1073741824 days since 1970 are not in the years 1678 to 2261`,
	} {
		if !strings.Contains(rejects[i].Reason.Error(), reason) {
			t.Errorf("%v, expected %s", rejects[i].Reason, reason)
		}
	}
	if want := "0\t0\t0\t\"x\"\t0"; got[0] != want {
		t.Errorf("%s, expected %s", got[0], want)
	}
}

// Goal: declared columns take what fits them, and refuse the rest by the name of the column.
func TestBind(t *testing.T) {
	s, err := Open([]string{"testdata/nested.parquet"})
	if err != nil {
		t.Fatal(err)
	}
	_, left, err := s.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, l := range left {
		said = append(said, l.Name+": "+l.Why)
	}
	want := []string{
		"tags.list.element: it is a list", "m.key_value.key: it is a map", "m.key_value.value: it is a map",
	}
	if !slices.Equal(said, want) {
		t.Errorf("%q\nexpected\n%q", said, want)
	}
	for column, why := range map[string]string{
		"n:text":     `column "n", which is text: it is bigint in the file`,
		"at:bigint":  "it is time in the file",
		"gone:text!": "there is no such field, and the column is NOT NULL",
		"N:double":   "",
		"gone:text":  "",
		"n:dec":      "",
		"n:wide":     "",
		"huge:wide":  "",
		"huge:dec":   "",
		"huge:short": `column "huge", which is decimal(19,2): it is decimal(38,2) in the file`,
	} {
		name, kind, _ := strings.Cut(column, ":")
		types := map[string]record.Type{
			"text": record.String, "bigint": record.Int64, "double": record.Float64, "dec": record.DecimalOf(10, 2),
			"wide": record.DecimalOf(38, 2), "short": record.DecimalOf(19, 2),
		}
		bare := strings.TrimSuffix(kind, "!")
		schema, err := record.NewSchema("t", record.Field{Name: name, Type: types[bare], Nullable: bare == kind})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Bind(schema)
		if why == "" && err != nil || why != "" && (err == nil || !strings.Contains(err.Error(), why)) {
			t.Errorf("%s: %v, expected %s", column, err, why)
		}
		if why == "" {
			all, _, err := lines(s.Readers(1)[0], schema, 100)
			if err != nil || len(all) != 50 {
				t.Fatal(column, len(all), err)
			}
			if want := map[string]string{"N:double": "7", "gone:text": "NULL", "n:dec": "700", "n:wide": "7.00", "huge:wide": "7.00", "huge:dec": "700"}[column]; all[7] != want {
				t.Errorf("%s: %s, expected %s", column, all[7], want)
			}
		}
	}
}

// Goal: what nobody reads costs nothing: columns that are not read are not unpacked.
// Method: the bytes of an unread column are overwritten.
func TestProjection(t *testing.T) {
	type row struct {
		A int64 `parquet:"a"`
		B int64 `parquet:"b"`
	}
	path := write(t, []row{{1, 2}, {3, 4}})
	s := open(t, nil, path)
	begin, length := chunkOf(&s.files[0].meta.RowGroups[0].Columns[1].MetaData)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, length), begin); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	r := s.Readers(1)[0].(*Reader)
	r.Columns([]bool{true, false})
	got, _, err := lines(r, s.schema, 10)
	if err != nil || !slices.Equal(got, []string{"1\t0", "3\t0"}) {
		t.Error(got, err)
	}
	_, _, err = lines(s.Readers(1)[0], s.schema, 10)
	if !errors.Is(err, errDamaged) {
		t.Error(err)
	}
}
