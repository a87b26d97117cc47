package engine_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/core"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/writers"
)

type passed struct {
	Reader int64
	Seq    int64
	Name   string
	Note   *string
	Amount *float64
}

// passedBatches are records of a reader: texts of any length, NULLs, numbers that some expressions
// cannot be computed from.
func passedBatches(t *testing.T, schema *record.Schema, rng *rand.Rand, reader, n int) (batches []*record.Batch,
	rows []passed,
) {
	t.Helper()
	enc, err := record.EncoderOf[passed](schema)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		p := passed{Reader: int64(reader), Seq: int64(i), Name: strings.Repeat("x", rng.IntN(4)*rng.IntN(20))}
		if rng.IntN(100) == 0 {
			p.Name = strings.Repeat("long", rng.IntN(2000))
		}
		if rng.IntN(3) > 0 {
			note := fmt.Sprint("note ", rng.IntN(100))
			p.Note = &note
		}
		if rng.IntN(3) > 0 {
			v := float64(rng.IntN(9))
			p.Amount = &v
		}
		rows = append(rows, p)
	}
	for left := rows; len(left) > 0; {
		b := record.NewBatch(schema, 1+rng.IntN(700))
		k, err := enc.AppendAll(b, left)
		if err != nil {
			t.Fatal(err)
		}
		left = left[k:]
		batches = append(batches, b)
	}
	return batches, rows
}

// passedLine is a row of the query of TestPass; false where WHERE does not let it pass, an error
// where it cannot be computed.
func passedLine(p passed) (line string, ok bool, err error) {
	if p.Seq%3 == 1 {
		return "", false, nil
	}
	note, amount := "NULL", "NULL"
	if p.Note != nil {
		note = *p.Note + "!"
	}
	if p.Amount != nil {
		if *p.Amount == 0 {
			return "", false, errors.New("division by zero")
		}
		amount = fmt.Sprint(1 / *p.Amount)
	}
	return fmt.Sprintf("%d %d %s %s %s", p.Reader, p.Seq, p.Name, note, amount), true, nil
}

func linesOf(b *record.Batch) (lines []string) {
	for row := range b.Len() {
		var line []string
		for c := range b.Schema().Len() {
			s, null := writers.Text(b, c, row)
			if null {
				s = "NULL"
			}
			line = append(line, s)
		}
		lines = append(lines, strings.Join(line, " "))
	}
	return lines
}

// Goal: records that pass through come to the writer once, the records of a reader in their order,
// whatever the shape; those that cannot be computed go to quarantine; the counters add up. Method:
// random records against the expressions in Go; a writer that is slow now and then and fails for a
// while.
func TestPass(t *testing.T) {
	schema, err := record.SchemaOf[passed]("passed")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := query.Compile(`SELECT reader, seq, name, note || '!' AS note, 1 / amount AS share FROM passed WHERE seq % 3 <> 1`, schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range [][3]int{{1, 1, 1}, {1, 3, 2}, {2, 2, 1}, {3, 2, 2}, {2, 5, 3}} {
		rng := rand.New(rand.NewPCG(1, uint64(shape[0]+10*shape[1])))
		var all []record.Reader
		want := make([][]string, shape[0])
		filtered, bad := 0, 0
		for r := range shape[0] {
			batches, rows := passedBatches(t, schema, rng, r, 5000)
			m, err := readers.NewMemory(schema, batches, 1)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
			for _, p := range rows {
				switch line, ok, err := passedLine(p); {
				case err != nil:
					bad++
				case !ok:
					filtered++
				default:
					want[r] = append(want[r], line)
				}
			}
		}
		got := make([][]string, shape[0])
		calls := 0
		w := writers.Func(func(_ context.Context, b *record.Batch) error {
			if calls++; calls%5 == 0 {
				return record.Transient(errors.New("not now"))
			}
			for i, line := range linesOf(b) {
				r := b.Column(0).Int64s[i]
				got[r] = append(got[r], line)
			}
			return nil
		})
		e := start(t, engine.Config{
			Plan: plan, Readers: all, Partitions: shape[1], Cores: shape[2], NoPin: true, Writer: w,
			RetryMin: time.Microsecond, EpochInterval: time.Millisecond,
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		for r := range want {
			if !slices.Equal(got[r], want[r]) {
				t.Errorf("%v: reader %d: %d rows, expected %d", shape, r, len(got[r]), len(want[r]))
			}
		}
		st := e.Stats()
		c := st.Counters()
		written := 0
		for _, lines := range want {
			written += len(lines)
		}
		if int(c.Filtered) != filtered || int(c.Quarantined) != bad || int(c.Counted) != written ||
			int(st.Output.Rows) != written || c.In != c.Counted+c.Filtered+c.Quarantined {
			t.Errorf("%v: %+v, %+v; expected %d filtered, %d bad, %d written", shape, c, st.Output, filtered, bad,
				written)
		}
		s := e.Snapshot()
		if s.Len() != 0 || s.Records() != c.In {
			t.Errorf("%v: %d groups, %d records", shape, s.Len(), s.Records())
		}
		s.Close()
	}
}

// Goal: LIMIT ends a plan that would never end; a writer that fails ends it with the error; one
// that hangs holds the readers up and loses nothing; Shutdown writes all that was read; without a
// writer nothing starts.
func TestPassEnds(t *testing.T) {
	schema, err := record.SchemaOf[passed]("passed")
	if err != nil {
		t.Fatal(err)
	}
	begin := func(text string, w record.Writer) *engine.Engine {
		plan, err := query.Compile(text, schema)
		if err != nil {
			t.Fatal(err)
		}
		batches, _ := passedBatches(t, schema, rand.New(rand.NewPCG(2, 2)), 0, 3000)
		m, err := readers.NewMemory(schema, batches, 1<<40)
		if err != nil {
			t.Fatal(err)
		}
		cfg := engine.Config{
			Plan: plan, Readers: []record.Reader{m}, Partitions: 2, Cores: 1, NoPin: true, Writer: w,
			EpochInterval: time.Millisecond,
		}
		if w == nil {
			if _, err := engine.Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "Writer") {
				t.Errorf("without a writer: %v", err)
			}
			return nil
		}
		return start(t, cfg)
	}
	begin(`SELECT seq FROM passed`, nil)
	for _, limit := range []int{0, 1, 2999, 10_001} {
		n := 0
		e := begin(fmt.Sprintf(`SELECT seq FROM passed LIMIT %d`, limit),
			writers.Func(func(_ context.Context, b *record.Batch) error {
				n += b.Len()
				return nil
			}))
		if err := e.Wait(); err != nil || n != limit {
			t.Errorf("limit %d: %d rows, %v", limit, n, err)
		}
	}
	full := errors.New("the disk is full")
	if err := begin(`SELECT seq FROM passed`, writers.Func(func(context.Context, *record.Batch) error {
		return full
	})).Wait(); !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
	hang, hanging, n := make(chan struct{}), make(chan struct{}, 1), uint64(0)
	e := begin(`SELECT seq, name FROM passed`, writers.Func(func(_ context.Context, b *record.Batch) error {
		select {
		case hanging <- struct{}{}:
		default:
		}
		<-hang
		n += uint64(b.Len())
		return nil
	}))
	<-hanging
	blocked := func(a engine.AgentStats) bool {
		return a.Stalls[core.StallOutput].Count > 0 && strings.HasPrefix(a.Name, "partition") ||
			a.Stalls[core.StallRing].Count > 0
	}
	for !slices.ContainsFunc(e.Stats().Agents, blocked) {
		time.Sleep(time.Millisecond) // until there is back-pressure
	}
	close(hang)
	if err := e.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := e.Stats().Counters(); n != c.In || n == 0 {
		t.Errorf("%d rows written of %d that were read", n, c.In)
	}
}

// Goal: a reader that joins passes its records through, all of them in their order, one that is
// paused meanwhile too; Close ends a plan whose writer is held up, from whatever goroutine and no
// matter who else waits. Method: a feed keeps the plan open; then a writer that waits for its
// context.
func TestPassJoinsAndCloses(t *testing.T) {
	schema, err := record.SchemaOf[passed]("passed")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := query.Compile(`SELECT reader, seq, name FROM passed`, schema)
	if err != nil {
		t.Fatal(err)
	}
	memory := func(reader, times int) (record.Reader, []passed) {
		batches, rows := passedBatches(t, schema, rand.New(rand.NewPCG(3, uint64(reader))), reader, 3000)
		m, err := readers.NewMemory(schema, batches, times)
		if err != nil {
			t.Fatal(err)
		}
		return m, rows
	}
	f, err := readers.NewFeed[passed](schema, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	lane, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	first, rows := memory(0, 1)
	want := [][]string{nil, nil, nil, nil}
	add := func(rows []passed) {
		for _, p := range rows {
			want[p.Reader] = append(want[p.Reader], fmt.Sprintf("%d %d %s", p.Reader, p.Seq, p.Name))
		}
	}
	add(rows)
	got := make([][]string, len(want))
	e := start(t, engine.Config{
		Plan: plan, Readers: []record.Reader{first, f}, Partitions: 3, Cores: 2, NoPin: true,
		EpochInterval: time.Millisecond,
		Writer: writers.Func(func(_ context.Context, b *record.Batch) error {
			for i, line := range linesOf(b) {
				r := b.Column(0).Int64s[i]
				got[r] = append(got[r], line)
			}
			return nil
		}),
	})
	if err := e.Pause(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for id := 2; id <= 3; id++ {
		m, rows := memory(id, 1)
		if got, err := e.AddReader(t.Context(), m); err != nil || got != id {
			t.Fatalf("reader %d, expected %d: %v", got, id, err)
		}
		add(rows)
		p := passed{Reader: 1, Seq: int64(id), Name: "fed"}
		if err := lane.Send(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		add([]passed{p})
	}
	if err := e.Resume(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	lane.Close()
	f.End()
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	for r := range want {
		if !slices.Equal(got[r], want[r]) {
			t.Errorf("reader %d: %d rows, expected %d", r, len(got[r]), len(want[r]))
		}
	}

	for how := range 3 {
		m, _ := memory(0, 1<<40)
		held := make(chan struct{}, 1)
		e := start(t, engine.Config{
			Plan: plan, Readers: []record.Reader{m}, Partitions: 2, Cores: 1, NoPin: true, EpochInterval: -1,
			Writer: writers.Func(func(ctx context.Context, b *record.Batch) error {
				select {
				case held <- struct{}{}:
				default:
				}
				<-ctx.Done()
				return ctx.Err()
			}),
		})
		<-held
		waited := make(chan error, 1)
		go func() { waited <- e.Wait() }()
		switch how {
		case 0:
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		case 1:
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := e.Shutdown(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, engine.ErrClosed) {
				t.Errorf("shutdown: %v", err)
			}
		case 2:
			go e.Shutdown(t.Context()) // which waits for the writer
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-waited; !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%d: %v, expected that it was closed", how, err)
		}
	}
}

// Goal: records that pass through are written in the order of the query, at the end, from OFFSET up
// to LIMIT, whatever the shape. Method: random records against a sort in Go, by texts, numbers,
// NULLs and expressions that are not selected; an order that has no ties.
func TestPassSorted(t *testing.T) {
	schema, err := record.SchemaOf[passed]("passed")
	if err != nil {
		t.Fatal(err)
	}
	nullsLast := func(a, b *float64) int {
		switch {
		case a == nil && b == nil:
			return 0
		case a == nil:
			return 1
		case b == nil:
			return -1
		}
		return cmp.Compare(*a, *b)
	}
	orders := map[string]func(a, b passed) int{
		"seq, reader": func(a, b passed) int {
			return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Reader, b.Reader))
		},
		"name DESC, 2 DESC, reader DESC": func(a, b passed) int {
			return cmp.Or(cmp.Compare(b.Name, a.Name), cmp.Compare(b.Seq, a.Seq), cmp.Compare(b.Reader, a.Reader))
		},
		"note, seq, reader": func(a, b passed) int {
			c := 0
			switch {
			case a.Note != nil && b.Note != nil:
				c = cmp.Compare(*a.Note, *b.Note)
			case a.Note != nil:
				c = -1
			case b.Note != nil:
				c = 1
			}
			return cmp.Or(c, cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Reader, b.Reader))
		},
		"amount, seq % 10, seq DESC, reader": func(a, b passed) int {
			return cmp.Or(nullsLast(a.Amount, b.Amount), cmp.Compare(a.Seq%10, b.Seq%10), cmp.Compare(b.Seq, a.Seq),
				cmp.Compare(a.Reader, b.Reader))
		},
	}
	for order, compare := range orders {
		for i, cut := range []string{
			"", " LIMIT 10", " LIMIT 3000 OFFSET 100", " OFFSET 4990", " LIMIT 0",
			" LIMIT 5 OFFSET 1000000",
		} {
			rng := rand.New(rand.NewPCG(3, uint64(i)))
			var all []record.Reader
			var rows []passed
			for r := range 1 + i%3 {
				batches, some := passedBatches(t, schema, rng, r, 5000)
				m, err := readers.NewMemory(schema, batches, 1)
				if err != nil {
					t.Fatal(err)
				}
				all, rows = append(all, m), append(rows, some...)
			}
			slices.SortFunc(rows, compare)
			var want []string
			for _, p := range rows {
				note := "NULL"
				if p.Note != nil {
					note = *p.Note
				}
				want = append(want, fmt.Sprintf("%d %d %s", p.Reader, p.Seq, note))
			}
			var limit, offset int
			if n, _ := fmt.Sscanf(cut, " LIMIT %d OFFSET %d", &limit, &offset); n == 0 {
				limit = len(want)
				fmt.Sscanf(cut, " OFFSET %d", &offset)
			}
			want = want[min(offset, len(want)):]
			want = want[:min(limit, len(want))]
			plan, err := query.Compile("SELECT reader, seq, note FROM passed ORDER BY "+order+cut, schema)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			w := writers.Func(func(_ context.Context, b *record.Batch) error {
				got = append(got, linesOf(b)...)
				return nil
			})
			e := start(t, engine.Config{
				Plan: plan, Readers: all, Partitions: 1 + i%2, Cores: 1, NoPin: true,
				Writer: w,
			})
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, want) {
				t.Errorf("ORDER BY %s%s: %d rows, expected %d", order, cut, len(got), len(want))
			}
			if n := e.Stats().Output.Rows; n != uint64(len(want)) {
				t.Errorf("ORDER BY %s%s: Stats have %d rows, expected %d", order, cut, n, len(want))
			}
		}
	}
}

// Goal: records that are to be sorted and have no room end the plan with an error that says what to
// do, and a limit gets along with little.
func TestPassSortedFull(t *testing.T) {
	schema, err := record.SchemaOf[passed]("passed")
	if err != nil {
		t.Fatal(err)
	}
	for text, fits := range map[string]bool{"": false, " LIMIT 100": true} {
		batches, _ := passedBatches(t, schema, rand.New(rand.NewPCG(4, 4)), 0, 50_000)
		m, err := readers.NewMemory(schema, batches, 1)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := query.Compile("SELECT reader, name FROM passed ORDER BY seq DESC"+text, schema)
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		w := writers.Func(func(_ context.Context, b *record.Batch) error { rows += b.Len(); return nil })
		e := start(t, engine.Config{
			Plan: plan, Readers: []record.Reader{m}, Cores: 1, NoPin: true, Writer: w,
			StateBytes: engine.MinStateBytes,
		})
		err = e.Wait()
		switch {
		case fits && (err != nil || rows != 100):
			t.Errorf("with a limit: %d rows, %v", rows, err)
		case !fits && (!errors.Is(err, result.ErrSorterFull) || rows > 0 || !strings.Contains(err.Error(), "LIMIT")):
			t.Errorf("without a limit: %d rows, %v", rows, err)
		}
	}
}
