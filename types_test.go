package velo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/testgen"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// Goal: every format writes and reads every type. Method: a batch of all types is written, read
// again in batches of two rows, and compared.
func TestTypesFormats(t *testing.T) {
	b := testgen.AllTypes()
	schema := b.Schema()
	formats := map[string]struct {
		write func(io.Writer) record.Writer
		read  func(io.Reader) (*readers.Stream, error)
	}{
		"csv": {
			func(to io.Writer) record.Writer { return writers.NewCSV(to) },
			func(in io.Reader) (*readers.Stream, error) {
				return readers.NewDelimitedStream("csv", in, readers.DelimitedConfig{Schema: schema, Quote: '"', Header: true})
			},
		},
		"ndjson": {
			func(to io.Writer) record.Writer { return writers.NewNDJSON(to) },
			func(in io.Reader) (*readers.Stream, error) {
				return readers.NewNDJSONStream("ndjson", in, readers.NDJSONConfig{Schema: schema})
			},
		},
	}
	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			w := f.write(&file)
			if err := errors.Join(w.Write(t.Context(), b), w.Close()); err != nil {
				t.Fatal(err)
			}
			r, err := f.read(strings.NewReader(file.String()))
			if err != nil {
				t.Fatal(err)
			}
			var got [][]string
			to := record.NewBatch(schema, 2)
			for {
				to.Reset()
				err := r.Read(t.Context(), to)
				for _, x := range to.Rejects() {
					t.Errorf("%q: %v", x.Bytes, x.Reason)
				}
				to.Keep()
				got = append(got, testgen.Cells(to)...)
				if err != nil {
					break
				}
			}
			want := testgen.Cells(b)
			if len(got) != len(want) {
				t.Fatalf("%d rows, expected %d:\n%s", len(got), len(want), file.String())
			}
			for row := range want {
				for i := range want[row] {
					if got[row][i] != want[row][i] {
						t.Errorf("row %d: %s, expected %s", row, got[row][i], want[row][i])
					}
				}
			}
		})
	}
}

// Goal: what is no value of a type is set aside with its column, and the other records are read.
func TestTypesRefused(t *testing.T) {
	schema, err := record.NewSchema("t", record.Field{Name: "at", Type: record.TimeOfDay},
		record.Field{Name: "took", Type: record.Interval}, record.Field{Name: "id", Type: record.UUID},
		record.Field{Name: "raw", Type: record.Bytes, Nullable: true})
	if err != nil {
		t.Fatal(err)
	}
	const id = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
	lines := []struct{ csv, fault string }{
		{"25:00,1 s," + id + ",a", `column "at"`},
		{"12:00,1 month," + id + ",a", `column "took"`},
		{"12:00,1 s,x,a", `column "id"`},
		{"12:00,1 s," + id + `,\xa`, `column "raw"`},
		{"12:00,1 s,,a", `column "id"`},
		{`"12:00","1 s","` + id + `"," a""b\\ "`, ""},
		{"12:00,1 s," + id + ",", ""},
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.csv + "\n")
	}
	r, err := readers.NewDelimitedStream("csv", strings.NewReader(text.String()),
		readers.DelimitedConfig{Schema: schema, Quote: '"'})
	if err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(schema, 10)
	if err := r.Read(t.Context(), b); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if len(b.Rejects()) != 5 {
		t.Fatalf("%d records were set aside, expected 5", len(b.Rejects()))
	}
	for i, x := range b.Rejects() {
		if !strings.Contains(x.Reason.Error(), lines[i].fault) {
			t.Errorf("%q: %v, expected %s", x.Bytes, x.Reason, lines[i].fault)
		}
	}
	uuid := fmt.Sprintf("uuid %q", "\xa0\xee\xbc\x99\x9c\x0bN\xf8\xbbmk\xb9\xbd8\n\x11")
	want := "[[time 43200000000000 interval 1000000000 " + uuid + ` bytea " a\"b\\ "] ` +
		"[time 43200000000000 interval 1000000000 " + uuid + " NULL]]"
	if got := fmt.Sprint(testgen.Cells(b)); got != want {
		t.Errorf("the records are\n%s\nexpected\n%s", got, want)
	}
}

// Goal: every type can be a key of groups, the least and the greatest, and be counted, and every
// value is compared with a constant of its own. Method: the same rows three times; each value is a
// group of three records.
func TestTypesGroups(t *testing.T) {
	b := testgen.AllTypes()
	for i := range b.Schema().Len() {
		f := b.Schema().Field(i)
		t.Run(f.Type.String(), func(t *testing.T) {
			extremes := ", min(" + f.Name + ") AS least, max(" + f.Name + ") AS greatest"
			if f.Type == record.Bool { // PostgreSQL has neither
				extremes = ""
			}
			rows := queried(t, b, 3, "SELECT "+f.Name+", count(*) AS n"+extremes+" FROM types GROUP BY "+f.Name+
				" ORDER BY "+f.Name)
			var want []string
			for _, row := range testgen.Cells(b) {
				cells := []string{row[i], "bigint 3", row[i], row[i]}
				if f.Type == record.Bool {
					cells = cells[:2]
				}
				want = append(want, strings.Join(cells, " "))
			}
			slices.Sort(want)
			if f.Type != record.Bool {
				want = slices.Compact(want)
			}
			sorted := slices.Clone(rows)
			slices.Sort(sorted)
			if f.Type == record.Bool {
				want = []string{"NULL bigint 3", "boolean 0 bigint 9", "boolean 1 bigint 6"}
			}
			if !slices.Equal(sorted, want) {
				t.Errorf("the groups are\n%q\nexpected\n%q", sorted, want)
			}
			if rows[len(rows)-1][:4] != "NULL" {
				t.Errorf("the last group is %q, expected NULL", rows[len(rows)-1])
			}
			distinct := queried(t, b, 3, "SELECT count(DISTINCT "+f.Name+") AS n, approx_count_distinct("+f.Name+
				") AS m FROM types")
			if n := fmt.Sprintf("bigint %d", len(want)-1); distinct[0] != n+" "+n {
				t.Errorf("%s different values, expected %s", distinct[0], n)
			}
			if f.Type != record.Bool {
				ends := queried(t, b, 3, "SELECT min("+f.Name+") AS least, max("+f.Name+") AS greatest FROM types")
				first, _, _ := strings.Cut(rows[0], " bigint 3 ")
				last, _, _ := strings.Cut(rows[len(rows)-2], " bigint 3 ")
				if ends[0] != first+" "+last {
					t.Errorf("from %q to %q, and the least and the greatest are %q", first, last, ends[0])
				}
			}
			for row, cells := range testgen.Cells(b)[:testgen.TypeRows-1] {
				text, _ := writers.Text(b, i, row)
				text = strings.ReplaceAll(text, "'", "''")
				got := queried(t, b, 1, fmt.Sprintf("SELECT min(%s::text)::%v AS v FROM types WHERE %s = '%s'", f.Name,
					f.Type, f.Name, text))
				if f.Type != record.Bool && got[0] != cells[i] {
					t.Errorf("the value that equals %q is %s, expected %s", text, got[0], cells[i])
				}
			}
		})
	}
}

// Goal: records are sorted by values of every type as groups are. Method: records that are passed on,
// in order, beside groups, whose order is another's code.
func TestTypesOrder(t *testing.T) {
	b := testgen.AllTypes()
	for i := range b.Schema().Len() {
		name := b.Schema().Field(i).Name
		var want []string
		for _, row := range queried(t, b, 1, "SELECT "+name+" AS v, count(*) AS n FROM types GROUP BY "+name+
			" ORDER BY v DESC NULLS LAST") {
			at := strings.LastIndex(row, " bigint ")
			n, err := strconv.Atoi(row[at+len(" bigint "):])
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, slices.Repeat([]string{row[:at]}, n)...)
		}
		p, err := query.Compile("SELECT "+name+" AS v FROM types ORDER BY v DESC NULLS LAST", b.Schema())
		if err != nil {
			t.Fatal(err)
		}
		r, err := readers.NewMemory(b.Schema(), []*record.Batch{b}, 1)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		w := writers.Func(func(_ context.Context, b *record.Batch) error {
			for _, cells := range testgen.Cells(b) {
				got = append(got, cells[0])
			}
			return nil
		})
		e, err := engine.Start(t.Context(), engine.Config{Plan: p, Readers: []record.Reader{r}, Writer: w, Cores: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		e.Close()
		if !slices.Equal(got, want) {
			t.Errorf("%s: the records are\n%q\nexpected\n%q", name, got, want)
		}
	}
}

// queried runs a query over a batch, some times over, and gives the cells of each row.
func queried(t *testing.T, b *record.Batch, passes int, sql string) (rows []string) {
	t.Helper()
	p, err := query.Compile(sql, b.Schema())
	if err != nil {
		t.Fatal(err)
	}
	reversed := make([]int32, b.Len()) // texts lie elsewhere in the second batch
	for i := range reversed {
		reversed[i] = int32(b.Len() - 1 - i)
	}
	batches := []*record.Batch{b, b.CopyRows(reversed)}
	r, err := readers.NewMemory(b.Schema(), slices.Repeat(batches, passes)[:passes], 1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := engine.Start(ctx, engine.Config{Plan: p, Readers: []record.Reader{r}, Cores: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	for b := range s.Batches(3) {
		for _, cells := range testgen.Cells(b) {
			rows = append(rows, strings.Join(cells, " "))
		}
	}
	return rows
}

// Goal: groups by every type go on from a saved state. Method: a followed file, a life of the engine
// for each half of it, and the groups of both.
func TestTypesState(t *testing.T) {
	b := testgen.AllTypes()
	for i := range b.Schema().Len() {
		f := b.Schema().Field(i)
		t.Run(f.Type.String(), func(t *testing.T) {
			t.Parallel()
			path, dir := filepath.Join(t.TempDir(), "log"), t.TempDir()
			sql := "SELECT " + f.Name + ", count(*) AS n, count(DISTINCT " + f.Name + ") AS d FROM types GROUP BY " + f.Name
			if f.Type != record.Bool {
				sql = "SELECT " + f.Name + ", count(*) AS n, min(" + f.Name + ") AS least, max_by(" + f.Name +
					", c1) AS last FROM types GROUP BY " + f.Name
			}
			var got []string
			for life := range 2 {
				file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
				if err != nil {
					t.Fatal(err)
				}
				var text bytes.Buffer
				w := writers.NewCSV(&text)
				if err := errors.Join(w.Write(t.Context(), b), w.Close()); err != nil {
					t.Fatal(err)
				}
				_, rows, _ := strings.Cut(text.String(), "\n") // without the header
				if _, err := io.WriteString(file, rows); err != nil {
					t.Fatal(err)
				}
				if err := file.Close(); err != nil {
					t.Fatal(err)
				}
				got = followed(t, b.Schema(), path, dir, sql, (life+1)*testgen.TypeRows)
			}
			for _, line := range got {
				groups := strings.Count(line, "bigint 2") + strings.Count(line, "bigint 4") + strings.Count(line, "bigint 6")
				if groups == 0 || f.Type != record.Bool && !strings.HasPrefix(line, "NULL") &&
					strings.Count(line, line[:strings.Index(line, " bigint 2")]) != 3 {
					t.Errorf("a group is %q", line)
				}
			}
			if want := len(queried(t, b, 1, sql)); len(got) != want {
				t.Errorf("%d groups, expected %d", len(got), want)
			}
		})
	}
}

// followed is a life of an engine with a state: until it has that many records, and a checkpoint.
func followed(t *testing.T, s *record.Schema, path, dir, sql string, records int) (rows []string) {
	t.Helper()
	p, err := query.Compile(sql, s)
	if err != nil {
		t.Fatal(err)
	}
	set, err := readers.FollowDelimitedFiles(func() ([]string, error) { return []string{path}, nil }, 0,
		readers.DelimitedConfig{Schema: s, Quote: '"'})
	if err != nil {
		t.Fatal(err)
	}
	found, err := set.Look()
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Start(t.Context(), engine.Config{
		Plan: p, Readers: found.New, Cores: 1, NoPin: true, State: &engine.State{Path: dir, NoSync: true},
		EpochInterval: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		n := 0
		rows = nil
		snapshot := e.Snapshot()
		for b := range snapshot.Batches(100) {
			for row, cells := range testgen.Cells(b) {
				rows = append(rows, strings.Join(cells, " "))
				n += int(b.Column(1).Int64s[row])
			}
		}
		snapshot.Close()
		if n >= records {
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%d records after a minute, expected %d", n, records)
		}
	}
	if err := e.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rows
}
