package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newSource(t testing.TB) (*Source, *record.Schema) {
	t.Helper()
	schema, err := record.NewSchema("orders", record.Field{Name: "k", Type: record.String},
		record.Field{Name: "n", Type: record.Int64, Nullable: true})
	must(t, err)
	s, err := New("orders", schema, readers.NDJSONConfig{})
	must(t, err)
	return s, schema
}

// start runs a count over a source, with its state in a folder; "" keeps none.
func start(t testing.TB, s *Source, schema *record.Schema, dir string) (*engine.Engine, *plan.Plan) {
	t.Helper()
	p, err := query.Compile("SELECT k, count(*) AS n, sum(n) AS total FROM orders GROUP BY k", schema)
	must(t, err)
	cfg := engine.Config{Plan: p, Readers: []record.Reader{s.Reader()}, NoPin: true, Cores: 1, Partitions: 1}
	if dir != "" {
		cfg.State = engine.Dir(dir)
	}
	e, err := engine.Start(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { _ = e.Close() })
	return e, p
}

func total(t testing.TB, e *engine.Engine, p *plan.Plan) string {
	t.Helper()
	must(t, e.Sync(t.Context()))
	n, err := result.ColumnOf[int64](p, "n")
	must(t, err)
	sum, err := result.ColumnOf[int64](p, "total")
	must(t, err)
	s := e.Snapshot()
	defer s.Close()
	var all []string
	for row := range s.All() {
		all = append(all, fmt.Sprintf("%d/%d", n.Of(row), sum.Of(row)))
	}
	return strings.Join(all, ",")
}

func records(from, to int) (lines [][]byte) {
	for i := from; i <= to; i++ {
		lines = append(lines, fmt.Appendf(nil, `{"k":"a","n":%d}`, i))
	}
	return lines
}

func TestPush(t *testing.T) {
	s, schema := newSource(t)
	if _, err := s.Push(t.Context(), Request{Producer: "", First: 0, Lines: records(1, 1)}); !errors.Is(
		err, ErrNotRead) {
		t.Errorf("nobody reads: %v", err)
	}
	e, p := start(t, s, schema, "")
	e2, p2 := start(t, s, schema, "")
	r, err := s.Push(t.Context(), Request{
		Producer: "", First: 0,
		Lines: append(records(1, 10), []byte("nonsense"), []byte(`{"k":"a"}`)),
	})
	must(t, err)
	if r.Taken != 11 || r.Rejected != 1 || len(r.Rejects) != 1 || r.Rejects[0].Line != 11 {
		t.Errorf("%+v", r)
	}
	for _, got := range []string{total(t, e, p), total(t, e2, p2)} {
		if got != "11/55" {
			t.Errorf("after the push: %s", got)
		}
	}
	if n := e.Stats().Readers[0]; n.Quarantined != 1 {
		t.Errorf("the engine has counted %d rejects", n.Quarantined)
	}
	must(t, e.Close())
	must(t, e2.Close())
	if _, err := s.Push(t.Context(), Request{Producer: "", First: 0, Lines: records(1, 1)}); !errors.Is(
		err, ErrNotRead) {
		t.Errorf("after the end: %v", err)
	}
}

func TestNumbers(t *testing.T) {
	s, schema := newSource(t)
	e, p := start(t, s, schema, "")
	push := func(first, from, to int) (Result, error) {
		return s.Push(t.Context(), Request{Producer: "me", First: uint64(first), Lines: records(from, to)})
	}
	r, err := push(1, 1, 5000)
	must(t, err)
	if r.Next != 5001 || r.Taken != 5000 {
		t.Errorf("%+v", r)
	}
	r, err = push(4001, 4001, 6000) // half of it again
	must(t, err)
	if r.Next != 6001 || r.Taken != 1000 || r.Duplicates != 1000 {
		t.Errorf("%+v", r)
	}
	r, err = push(1, 1, 10)
	must(t, err)
	if r.Next != 6001 || r.Taken != 0 || r.Duplicates != 10 {
		t.Errorf("%+v", r)
	}
	if r, err := s.Push(t.Context(), Request{Producer: "late", First: 7, Lines: records(7, 7)}); err != nil ||
		r.Next != 8 {
		t.Errorf("a producer that begins at 7: %+v, %v", r, err)
	}
	gap := new(GapError)
	if _, err := push(6002, 6002, 6002); !errors.As(err, &gap) || gap.Wanted != 6001 {
		t.Errorf("a gap: %v", err)
	}
	for _, name := range []string{"", "a\x00", strings.Repeat("a", 257)} {
		if _, err := s.Push(t.Context(), Request{Producer: name, First: 1, Lines: records(1, 1)}); !errors.Is(
			err, ErrName) {
			t.Errorf("producer %q: %v", name, err)
		}
	}
	if _, err := push(0, 1, 1); err == nil {
		t.Error("number 0")
	}
	if got, want := total(t, e, p), fmt.Sprintf("6001/%d", 6000*6001/2+7); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRestart closes engines at random moments, without saving, and goes on from what is expected.
func TestRestart(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	const last = 60_000
	at := 1
	for life := 0; ; life++ {
		s, schema := newSource(t)
		e, p := start(t, s, schema, dirs[0])
		e2, p2 := start(t, s, schema, dirs[1])
		at = int(s.Next("me"))
		for n := 0; at <= last; n++ {
			to := min(at+6999, last)
			r, err := s.Push(t.Context(), Request{Producer: "me", First: uint64(at), Lines: records(at, to)})
			must(t, err)
			at = int(r.Next)
			if n == 1 {
				must(t, e.Checkpoint(t.Context()))
			}
			if n == 2 && life%2 == 0 {
				must(t, e2.Checkpoint(t.Context()))
			}
			if n == 3 && life < 6 {
				break
			}
		}
		if at > last {
			want := fmt.Sprintf("%d/%d", last, last*(last+1)/2)
			if got, got2 := total(t, e, p), total(t, e2, p2); got != want || got2 != want {
				t.Errorf("after %d lives: %s and %s, want %s", life, got, got2, want)
			}
			return
		}
		must(t, e.Close())
		must(t, e2.Close())
	}
}

// TestShortLines pushes lines of few bytes, which take more memory than their text has.
func TestShortLines(t *testing.T) {
	s, _ := newSource(t)
	r := s.Reader()
	lines := slices.Repeat([][]byte{[]byte(`{"k":""}`)}, QueueBytes/(2*valueBytes))
	_, err := s.Push(t.Context(), Request{Lines: lines})
	must(t, err)
	if r.queued < QueueBytes {
		t.Errorf("%d bytes wait, want %d", r.queued, QueueBytes)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Push(ctx, Request{Lines: lines[:1]}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a full queue: %v", err)
	}
	for r.queued > 0 {
		must(t, r.Poll(record.NewBatch(s.schema, record.DefaultRows)))
	}
	must(t, r.Close())
}

// TestBackPressure pushes to a reader that takes nothing.
func TestBackPressure(t *testing.T) {
	s, _ := newSource(t)
	r := s.Reader()
	line := []byte(`{"k":"` + strings.Repeat("x", 1<<20) + `"}`)
	for range QueueBytes >> 20 {
		_, err := s.Push(t.Context(), Request{Producer: "", First: 0, Lines: [][]byte{line}})
		if err != nil {
			t.Fatal(err)
		}
		if r.queued > QueueBytes {
			break
		}
		if r.queued+len(line) > QueueBytes {
			break
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Push(ctx, Request{Producer: "", First: 0, Lines: [][]byte{line}}); !errors.Is(
		err, context.DeadlineExceeded) {
		t.Errorf("a full queue: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Push(t.Context(), Request{Producer: "", First: 0, Lines: [][]byte{line}})
		done <- err
	}()
	before := r.Lag()[0]
	must(t, r.Poll(record.NewBatch(s.schema, record.DefaultRows)))
	must(t, <-done)
	if after := r.Lag()[0]; before.Records == 0 || before.Split != r.String() || after.Records != before.Records {
		t.Errorf("%+v wait, and %+v after one was taken and one was pushed", before, after)
	}
	must(t, r.Close())
}

// Goal: what has no room in the queue is not parsed, however many push, and all of it is taken when
// there is room. Method: pushes of more than the queue has room for, before anybody reads; one of
// them has a line that is no record, which nobody may have found out.
func TestPushesThatDoNotFit(t *testing.T) {
	s, schema := newSource(t)
	r := s.Reader()
	big := slices.Repeat([][]byte{fmt.Appendf(nil, `{"k":%q,"n":1}`, strings.Repeat("a", 1000))}, 3000)
	const pushes = 8
	results := make(chan error, pushes)
	for range pushes {
		go func() {
			_, err := s.Push(t.Context(), Request{Lines: big})
			results <- err
		}()
	}
	must(t, <-results)
	must(t, <-results)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Push(ctx, Request{Lines: append([][]byte{[]byte("nonsense")}, big...), Whole: true})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a push without room: %v", err)
	}
	s.mu.Lock()
	queued, parsing := r.queued, s.parsing
	s.mu.Unlock()
	if queued+parsing > QueueBytes || len(results) > 0 {
		t.Errorf("%d bytes are queued and %d parsed, of %d; %d more pushes have ended", queued, parsing, QueueBytes,
			len(results))
	}
	rows := 0
	for b := record.NewBatch(schema, 0); rows < pushes*len(big); b.Reset() {
		must(t, r.Poll(b))
		rows += b.Len()
		if b.Len() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	for range pushes - 2 {
		must(t, <-results)
	}
	if r.queued+s.parsing != 0 {
		t.Errorf("%d bytes are queued and %d parsed when all has been read", r.queued, s.parsing)
	}
}

// Goal: a push that has room wakes others even if it queues nothing. Method: a push waits for room,
// the room comes without a word, and then a producer sends again what it has sent.
func TestDuplicatesWakeOthers(t *testing.T) {
	s, schema := newSource(t)
	r := s.Reader()
	again := Request{Producer: "p", First: 1, Lines: records(1, 1)}
	_, err := s.Push(t.Context(), again)
	must(t, err)
	must(t, r.Poll(record.NewBatch(schema, 0)))
	s.mu.Lock()
	s.parsing = QueueBytes - 1000
	s.mu.Unlock()
	result := make(chan error, 1)
	go func() {
		_, err := s.Push(t.Context(), Request{Lines: records(1, 1000)})
		result <- err
	}()
	time.Sleep(20 * time.Millisecond) // it waits
	s.mu.Lock()
	s.parsing = 0
	s.mu.Unlock()
	_, err = s.Push(t.Context(), again)
	must(t, err)
	select {
	case err := <-result:
		must(t, err)
	case <-time.After(time.Minute):
		t.Error("it still waits")
	}
}

// Goal: a push whose parsing panics gives back its room in the queue and wakes who waits for it.
// Method: a schema for batches that lacks a column of the parser's. A push that waits for room
// waits until the channel moved is closed.
func TestPanicGivesRoomBack(t *testing.T) {
	s, _ := newSource(t)
	r := s.Reader()
	whole := s.schema
	var err error
	s.schema, err = record.NewSchema("orders", record.Field{Name: "k", Type: record.String})
	must(t, err)
	func() {
		defer func() {
			if recover() == nil {
				t.Fatal("parsing has not panicked")
			}
		}()
		_, _ = s.Push(t.Context(), Request{Lines: records(1, 10)})
	}()
	moved := s.moved
	s.mu.Lock()
	parsing, queued := s.parsing, r.queued
	s.mu.Unlock()
	if parsing != 0 || queued != 0 {
		t.Errorf("%d bytes are parsed and %d queued after a panic", parsing, queued)
	}
	func() {
		defer func() { _ = recover() }()
		_, _ = s.Push(t.Context(), Request{Lines: records(1, 10)})
	}()
	select {
	case <-moved:
	default:
		t.Error("a panic wakes nobody")
	}
	s.schema = whole
	res, err := s.Push(t.Context(), Request{Lines: records(1, 10)})
	if err != nil || res.Taken != 10 {
		t.Errorf("a push after panics: %+v, %v", res, err)
	}
}
