package engine_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/core/groupkey"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

var logSchema = func() *record.Schema {
	s, err := record.NewSchema("log", record.Field{Name: "k", Type: record.Int64, Nullable: true},
		record.Field{Name: "host", Type: record.String, Nullable: true},
		record.Field{Name: "v", Type: record.Int64}, record.Field{Name: "w", Type: record.Float64},
		record.Field{Name: "at", Type: record.Timestamp}, record.Field{Name: "note", Type: record.String})
	if err != nil {
		panic(err)
	}
	return s
}()

// A splitLog is some splits that can be read again from any place. Record seq of a split is always
// the same. Readers stop at until, as if nothing more had come, and end after rows records if that
// is further.
type splitLog struct {
	splits, rows int
	until        atomic.Int64
}

// reader makes reader i of n, which reads each n-th split.
func (l *splitLog) reader(i, n int) *logReader {
	r := &logReader{log: l}
	for s := i; s < l.splits; s += n {
		r.splits = append(r.splits, &logSplit{name: fmt.Sprintf("log/%d", s), number: s})
	}
	return r
}

type logSplit struct {
	name   string
	number int
	next   int64
}

type logReader struct {
	log    *splitLog
	splits []*logSplit
	turn   int
	// durable is what Durable was told last.
	durable map[string]int64
}

func (r *logReader) ResumeFrom(saved []record.Position) (resumed []string, now []record.Position, err error) {
	for _, s := range r.splits {
		for _, p := range saved {
			if p.Split == s.name {
				s.next = int64(binary.LittleEndian.Uint64(p.Offset))
				resumed = append(resumed, s.name)
			}
		}
		now = append(now, record.Position{Split: s.name, Offset: s.offset()})
	}
	return resumed, now, nil
}

func (r *logReader) Durable(saved []record.Position) {
	r.durable = map[string]int64{}
	for _, p := range saved {
		r.durable[p.Split] = int64(binary.LittleEndian.Uint64(p.Offset))
	}
}

func (s *logSplit) offset() []byte { return binary.LittleEndian.AppendUint64(nil, uint64(s.next)) }

func (r *logReader) Poll(b *record.Batch) error {
	until := min(r.log.until.Load(), int64(r.log.rows))
	left := 0
	for range r.splits {
		s := r.splits[r.turn%len(r.splits)]
		r.turn++
		n := int64(0)
		for ; s.next < until && n < 37 && addLogRow(b, s.number, s.next); n++ {
			s.next++
		}
		if n > 0 {
			b.SetPosition(s.name, s.offset())
		}
		if s.next < int64(r.log.rows) {
			left++
		}
	}
	if left == 0 {
		return io.EOF
	}
	return nil
}

func (r *logReader) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }
func (r *logReader) Close() error                                  { return nil }

// addLogRow adds a record. False means that the batch is full.
func addLogRow(b *record.Batch, split int, seq int64) bool {
	rng := rand.New(rand.NewPCG(uint64(split), uint64(seq)))
	host := fmt.Sprintf("host-%d", rng.IntN(20))
	if rng.IntN(3) == 0 {
		host = strings.Repeat(host, 1+rng.IntN(6)) // some are longer than what fits a key
	}
	note := strings.Repeat("n", rng.IntN(40)) + fmt.Sprint(rng.IntN(30))
	if !b.Add(len(host) + len(note)) {
		return false
	}
	b.SetInt64(0, rng.Int64N(50))
	if rng.IntN(9) == 0 {
		b.SetNull(0)
	}
	b.SetString(1, host)
	if rng.IntN(9) == 0 {
		b.SetNull(1)
	}
	b.SetInt64(2, rng.Int64N(2000)-1000)
	b.SetFloat64(3, float64(rng.IntN(100)))
	b.SetInt64(4, seq*int64(10*time.Millisecond)+rng.Int64N(int64(time.Second)))
	b.SetString(5, note)
	return true
}

// keptPlans are plans of every kind of group. The results of all of them are exact, whatever the
// order of the records.
var keptPlans = map[string]string{
	"one group":   `SELECT count(*) AS n, sum(v) AS s, max(w) AS m FROM log`,
	"integers":    `SELECT k, count(*) AS n, sum(v) AS s, avg(v) AS a, min(w) AS lo FROM log GROUP BY k`,
	"texts":       `SELECT host, k, count(*) AS n, var_pop(v) AS s FROM log GROUP BY host, k`,
	"text states": `SELECT k, min(note) AS lo, max(note) AS hi, min_by(note, v) AS b FROM log GROUP BY k`,
	"sketches":    `SELECT k, approx_count_distinct(note) AS d, approx_percentile(v, 0.9) AS p FROM log GROUP BY k`,
	"sketch states": `SELECT k, approx_count_distinct_state(note) AS d, approx_percentile_state(v) AS p, approx_top_k(w, 7) AS t,
		json_array_length(reservoir_sample(note, 30)) AS s FROM log GROUP BY k`,
	"sketches of windows": `SELECT window_end, approx_top_k(host, 100) AS t, approx_count_distinct_state(v) AS d,
		json_array_length(reservoir_sample(v, 90)) AS s FROM log GROUP BY hop(at, INTERVAL '500 ms', INTERVAL '2 s')`,
	"sketches of sessions": `SELECT window_start, k, approx_top_k(v, 3) AS t, approx_percentile_state(v) AS p,
		reservoir_sample(w, 1) IS NOT NULL AS s FROM log GROUP BY k, session(at, INTERVAL '100 ms')`,
	"distinct":       `SELECT host, count(DISTINCT v) AS d, count(*) AS n FROM log GROUP BY host`,
	"filter":         `SELECT k, count(*) AS n FROM log WHERE v > 0 AND length(note) > 5 GROUP BY k HAVING count(*) > 3`,
	"tumble":         `SELECT window_end, k, count(*) AS n, sum(v) AS s FROM log GROUP BY k, tumble(at, INTERVAL '1 s')`,
	"hop":            `SELECT window_end, host, count(*) AS n FROM log GROUP BY host, hop(at, INTERVAL '500 ms', INTERVAL '2 s')`,
	"session":        `SELECT window_start, window_end, k, count(*) AS n FROM log GROUP BY k, session(at, INTERVAL '100 ms')`,
	"distinct texts": `SELECT window_end, count(DISTINCT note) AS d FROM log GROUP BY tumble(at, INTERVAL '1 s')`,
}

func keptPlan(t *testing.T, text string) *plan.Plan {
	t.Helper()
	p, err := query.Compile(text, logSchema)
	if err != nil {
		t.Fatal(err)
	}
	if p.Window != nil {
		p.Window.OutOfOrder = 2 * time.Second
	}
	return p
}

// lines are the rows of a snapshot, sorted.
func lines(t *testing.T, s *engine.Snapshot) []string {
	t.Helper()
	var all []string
	for b := range s.Batches(100) {
		all = append(all, linesOf(b)...)
	}
	slices.Sort(all)
	return all
}

// undisturbed is the result over the first rows records of each split, and the windows written.
func undisturbed(t *testing.T, text string, splits, rows int) (groups, written []string) {
	t.Helper()
	l := &splitLog{splits: splits, rows: rows}
	l.until.Store(int64(rows))
	out := &windowLog{}
	cfg := engine.Config{
		Plan: keptPlan(t, text), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 1, Cores: 1, NoPin: true,
		Exchange: plan.ExchangeRoute,
	}
	if cfg.Plan.Window != nil {
		cfg.Writer = out.writer()
		cfg.Plan.Window.Retain = 1000
	}
	e := start(t, cfg)
	if err := e.Wait(); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	slices.Sort(out.lines)
	return lines(t, s), out.lines
}

// A windowLog keeps what a writer was given.
type windowLog struct {
	mu    sync.Mutex
	lines []string
}

func (w *windowLog) writer() record.Writer {
	return writers.Func(func(_ context.Context, b *record.Batch) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lines = append(w.lines, linesOf(b)...)
		return nil
	})
}

// Goal: an engine that was stopped at any moment goes on to the same result as one that was not,
// with any other number of readers and partitions, any exchange and other hash seeds, again and
// again. Method: plans of every kind over splits that can be read again; each life ends by Close,
// which saves nothing, some records after a checkpoint.
func TestStateSurvives(t *testing.T) {
	const splits, rows = 5, 1500
	for name, text := range keptPlans {
		t.Run(name, func(t *testing.T) {
			want, windows := undisturbed(t, text, splits, rows)
			dir := t.TempDir()
			shapes := [][2]int{{1, 1}, {3, 2}, {2, 3}, {1, 5}, {5, 1}}
			out := &windowLog{}
			for life, shape := range shapes {
				defer groupkey.Reseed()()
				l := &splitLog{splits: splits, rows: rows}
				l.until.Store(int64(rows * (2*life + 1) / (2*len(shapes) - 1)))
				cfg := engine.Config{
					Plan: keptPlan(t, text), Partitions: shape[1], Cores: 2, NoPin: true, State: engine.Dir(dir),
					Exchange: plan.Exchange(life % 4), EpochInterval: time.Millisecond,
				}
				cfg.State.NoSync = true
				if cfg.Plan.Window != nil {
					cfg.Writer = out.writer()
					cfg.Plan.Window.Retain = 1000
				}
				for i := range shape[0] {
					cfg.Readers = append(cfg.Readers, l.reader(i, shape[0]))
				}
				e := start(t, cfg)
				first := e.Snapshot()
				if n := first.Epoch(); life > 0 && n == 0 {
					t.Fatal("the first snapshot of a restored engine is that of epoch 0")
				}
				records := first.Records()
				first.Close()
				if life > 0 && records == 0 {
					t.Fatal("the first snapshot of a restored engine has no records")
				}
				if life == len(shapes)-1 {
					if err := e.Wait(); err != nil {
						t.Fatal(err)
					}
					s := e.Snapshot()
					defer s.Close()
					if got := lines(t, s); !slices.Equal(got, want) {
						t.Fatalf("%d rows, expected %d:\n%s", len(got), len(want), difference(got, want))
					}
					if n := s.Records(); n != splits*rows {
						t.Fatalf("the snapshot says %d records, expected %d", n, splits*rows)
					}
					break
				}
				waitRecords(t, e, uint64(splits)*uint64(l.until.Load()))
				if err := e.Checkpoint(t.Context()); err != nil {
					t.Fatal(err)
				}
				// More comes, and is lost with this life.
				more := int64(rows * (2*life + 2) / (2*len(shapes) - 1))
				l.until.Store(more)
				waitRecords(t, e, uint64(splits)*uint64(more))
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
			}
			// Windows that were written after the last checkpoint of a life come again, and are the
			// same then.
			slices.Sort(out.lines)
			if got := slices.Compact(out.lines); !slices.Equal(got, windows) {
				t.Fatalf("written: %s", difference(got, windows))
			}
		})
	}
}

// Goal: an engine that writes changes begins its state, saves it at a cut that it has written, and
// goes on: what the lives have written adds up to the groups.
func TestStateOfChanges(t *testing.T) {
	const splits, rows = 2, 600
	dir := t.TempDir()
	text := `SELECT k, count(*) AS n FROM log GROUP BY k EMIT CHANGES`
	out := &windowLog{}
	for life := range 3 {
		l := &splitLog{splits: splits, rows: rows}
		l.until.Store(int64(rows * (life + 1) / 3))
		e := start(t, engine.Config{
			Plan: keptPlan(t, text), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 2, Cores: 1, NoPin: true,
			State: engine.Dir(dir), EpochInterval: time.Millisecond, Writer: out.writer(),
		})
		if life < 2 {
			waitRecords(t, e, uint64(splits)*uint64(l.until.Load()))
			if err := e.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		defer s.Close()
		has := map[string]bool{}
		for _, line := range out.lines {
			has[line] = true
		}
		for _, line := range lines(t, s) {
			if !has["upsert "+line] {
				t.Errorf("the last state of a group was not written: %s, for example %s", line, out.lines[0])
			}
		}
	}
}

// Goal: an engine without epochs of its own saves what has come all the same.
func TestStateWithoutEpochs(t *testing.T) {
	l := &splitLog{splits: 1, rows: 1000}
	l.until.Store(500)
	cfg := engine.Config{
		Plan: keptPlan(t, keptPlans["one group"]), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 1, Cores: 1,
		NoPin: true, EpochInterval: -1, State: engine.Dir(t.TempDir()),
	}
	cfg.State.Interval = 5 * time.Millisecond
	e := start(t, cfg)
	for end := time.Now().Add(time.Minute); e.Stats().State.Bytes == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nothing of the 500 records was saved: %+v", e.Stats().State)
		}
	}
}

// waitRecords waits until a snapshot has n records.
func waitRecords(t *testing.T, e *engine.Engine, n uint64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		have := s.Records()
		s.Close()
		if have >= n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d records have come, expected %d", have, n)
		}
		time.Sleep(time.Millisecond)
	}
}

// difference shows the first lines that differ.
func difference(got, want []string) string {
	var b strings.Builder
	n := 0
	show := func(sign string, all, without []string) {
		has := map[string]bool{}
		for _, l := range without {
			has[l] = true
		}
		for _, l := range all {
			if !has[l] && n < 20 {
				fmt.Fprintf(&b, "%s %s\n", sign, l)
				n++
			}
		}
	}
	show("+", got, want)
	show("-", want, got)
	return b.String()
}

// Goal: a job that has ended, or was shut down, goes on from its end: nothing is counted again, and
// what comes later is. Method: shut down between two records; end; start again over a log that has
// grown.
func TestStateAtEnd(t *testing.T) {
	dir := t.TempDir()
	var st engine.StateStats
	life := func(rows int, until int64, end func(*engine.Engine) error) (n uint64) {
		l := &splitLog{splits: 3, rows: rows}
		l.until.Store(until)
		cfg := engine.Config{
			Plan: keptPlan(t, keptPlans["integers"]), Readers: []record.Reader{l.reader(0, 2), l.reader(1, 2)},
			Partitions: 2, NoPin: true, State: engine.Dir(dir),
		}
		cfg.State.NoSync = true
		e := start(t, cfg)
		if err := end(e); err != nil {
			t.Fatal(err)
		}
		st = e.Stats().State
		s := e.Snapshot()
		defer s.Close()
		return s.Records()
	}
	shutdown := func(e *engine.Engine) error {
		waitRecords(t, e, 300)
		return e.Shutdown(t.Context())
	}
	if n := life(200, 100, shutdown); n != 300 {
		t.Fatalf("%d records at the shutdown, expected 300", n)
	}
	for i := range 3 {
		if n := life(200, 200, (*engine.Engine).Wait); n != 600 {
			t.Fatalf("%d records at the end, expected 600", n)
		}
		if i > 0 && (st.Saves != 0 || st.Generation != st.Restored) {
			t.Errorf("a start at the end has made %d generations, the last is %d", st.Saves, st.Generation)
		}
	}
	if n := life(250, 250, (*engine.Engine).Wait); n != 750 {
		t.Fatalf("%d records after the log has grown, expected 750", n)
	}
}

// Goal: a record is late after a restart if it is late without one. Method: two readers, whose
// records are further out of order than allowed; lives of a few records.
func TestStateLate(t *testing.T) {
	const rows = 900
	run := func(dir string, until int64) (late uint64) {
		l := &splitLog{splits: 2, rows: rows}
		l.until.Store(until)
		p := keptPlan(t, keptPlans["tumble"])
		p.Window.OutOfOrder = 0
		cfg := engine.Config{
			Plan: p, Readers: []record.Reader{l.reader(0, 2), l.reader(1, 2)}, NoPin: true,
			EpochInterval: -1,
		}
		if dir != "" {
			cfg.State = engine.Dir(dir)
			cfg.State.NoSync = true
		}
		e := start(t, cfg)
		if until < rows {
			waitRecords(t, e, 2*uint64(until))
			if err := errors.Join(e.Checkpoint(t.Context()), e.Close()); err != nil {
				t.Fatal(err)
			}
			return 0
		}
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		return e.Stats().Counters().Late
	}
	want := run("", rows)
	if want == 0 {
		t.Fatal("no record is late")
	}
	dir := t.TempDir()
	for until := int64(10); until < rows; until += 10 {
		run(dir, until)
	}
	if got := run(dir, rows); got != want {
		t.Fatalf("%d records are late with restarts, %d without", got, want)
	}
}

// Goal: more groups than fit a piece of a segment, in rows that end in the next piece, with long
// keys and blocks.
func TestStateOfManyGroups(t *testing.T) {
	type event struct {
		Key   string
		Value int64
		Note  string
	}
	dir := t.TempDir()
	run := func(partitions int, do func(e *engine.Engine, lane *readers.Lane[event])) {
		f, err := readers.NewFeed[event](nil, readers.FeedConfig{})
		if err != nil {
			t.Fatal(err)
		}
		p, err := query.Compile(`SELECT key, count(*) AS n, sum(value) AS s, min(value) AS lo, max(value) AS hi, min(note) AS note, max(note) AS note2,
			var_pop(value) AS v FROM feed GROUP BY key`, f.Schema())
		if err != nil {
			t.Fatal(err)
		}
		cfg := engine.Config{
			Plan: p, Readers: []record.Reader{f}, Partitions: partitions, NoPin: true, State: engine.Dir(dir),
			EpochInterval: -1,
		}
		cfg.State.NoSync = true
		e := start(t, cfg)
		lane, err := f.Lane()
		if err != nil {
			t.Fatal(err)
		}
		do(e, lane)
		f.End()
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	const groups = 40_000
	send := func(e *engine.Engine, lane *readers.Lane[event]) {
		for i := range groups {
			err := lane.Send(t.Context(),
				event{fmt.Sprintf("a key that does not fit a row %d", i), int64(i), fmt.Sprint("note ", i)})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	var want []string
	run(1, func(e *engine.Engine, lane *readers.Lane[event]) {
		send(e, lane)
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		defer s.Close()
		want = lines(t, s)
	})
	run(3, func(e *engine.Engine, _ *readers.Lane[event]) {
		s := e.Snapshot()
		defer s.Close()
		if got := lines(t, s); !slices.Equal(got, want) || len(got) != groups {
			t.Fatalf("%d groups, expected %d:\n%s", len(got), groups, difference(got, want))
		}
		if st := e.Stats().State; st.Bytes < 4<<20 || st.Restored == 0 {
			t.Fatalf("the state is %+v, expected some MiB", st)
		}
		if n := e.Stats().Plans[0].Restored; n != groups {
			t.Errorf("it began with %d groups, expected %d", n, groups)
		}
	})
	run(2, func(e *engine.Engine, lane *readers.Lane[event]) { send(e, lane) })
	run(1, func(e *engine.Engine, _ *readers.Lane[event]) {
		s := e.Snapshot()
		defer s.Close()
		for _, l := range lines(t, s) {
			if !strings.Contains(l, " 2 ") {
				t.Fatalf("%s: expected two records", l)
			}
		}
	})
}

// Goal: a sender that goes on at the number it is told loses no record and has none counted twice;
// it is told what is durable. Method: lives that end by Close at any moment, checkpoints in
// between; the sum of all numbers.
func TestStateOfLanes(t *testing.T) {
	type event struct{ Key, Number int64 }
	dir := t.TempDir()
	const lanes, records = 3, 3000
	rng := rand.New(rand.NewPCG(1, 2))
	for life := 0; ; life++ {
		f, err := readers.NewFeed[event](nil, readers.FeedConfig{Lanes: 8, LaneSlots: 1 << (life % 3 * 3)})
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		durable := map[string]uint64{}
		f.OnDurable(func(name string, upTo uint64) {
			mu.Lock()
			defer mu.Unlock()
			if upTo < durable[name] {
				t.Errorf("%s: durable up to %d, and before that up to %d", name, upTo, durable[name])
			}
			durable[name] = upTo
		})
		p, err := query.Compile(`SELECT key, count(*) AS n, sum(number) AS s FROM feed GROUP BY key`, f.Schema())
		if err != nil {
			t.Fatal(err)
		}
		cfg := engine.Config{
			Plan: p, Readers: []record.Reader{f}, Partitions: 1 + life%3, NoPin: true, State: engine.Dir(dir),
			EpochInterval: time.Millisecond,
		}
		cfg.State.NoSync = true
		e := start(t, cfg)
		var sending sync.WaitGroup
		least := uint64(records)
		sent := make([]uint64, lanes)
		for i := range lanes {
			lane, from, err := f.Resume(fmt.Sprint("lane ", i))
			if err != nil {
				t.Fatal(err)
			}
			least, sent[i] = min(least, from), from
			if from > 0 {
				if err := lane.SendAt(t.Context(), from-1, event{}); !errors.Is(err, readers.ErrSequence) {
					t.Fatalf("a number before %d: %v, expected ErrSequence", from, err)
				}
			}
			sending.Go(func() {
				for n := from; n < records; n++ {
					if err := lane.SendAt(t.Context(), n, event{int64(i), int64(n)}); err != nil {
						return // the engine is closed
					}
					sent[i] = n + 1
				}
			})
		}
		if _, _, err := f.Resume("lane 0"); !errors.Is(err, readers.ErrLaneOpen) {
			t.Fatalf("a lane twice: %v, expected ErrLaneOpen", err)
		}
		if life > 30 || least == records {
			sending.Wait()
			if err := e.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := e.Snapshot()
			defer s.Close()
			var want []string
			for i := range lanes {
				want = append(want, fmt.Sprintf("%d %d %d", i, records, records*(records-1)/2))
			}
			if got := lines(t, s); !slices.Equal(got, want) {
				t.Fatalf("after %d lives: %v, expected %v", life, got, want)
			}
			return
		}
		time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
		for range 2 {
			if err := e.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Duration(rng.IntN(2)) * time.Millisecond)
		e.Close()
		sending.Wait()
		mu.Lock()
		for name, upTo := range durable {
			var i int
			if _, err := fmt.Sscanf(name, "lane %d", &i); err != nil || upTo > sent[i] {
				t.Fatalf("%s is durable up to %d, and %d were sent", name, upTo, sent[i])
			}
		}
		mu.Unlock()
	}
}

// Goal: a state whose windows have all closed takes no new input, which would be late without
// anybody noticing; the same input again, which has nothing new, is fine.
func TestStateFinished(t *testing.T) {
	dir := t.TempDir()
	life := func(splits, rows int, more ...record.Reader) error {
		l := &splitLog{splits: splits, rows: rows}
		l.until.Store(int64(rows))
		cfg := engine.Config{
			Plan: keptPlan(t, keptPlans["tumble"]), Readers: append(more, &finite{l.reader(0, 1)}), NoPin: true,
			State: engine.Dir(dir),
		}
		e, err := engine.Start(t.Context(), cfg)
		if err != nil {
			return err
		}
		return e.Wait()
	}
	if err := life(2, 300); err != nil {
		t.Fatal(err)
	}
	if err := life(2, 300); err != nil {
		t.Fatalf("the same input again: %v", err)
	}
	if err := life(3, 300); !errors.Is(err, engine.ErrFinished) {
		t.Fatalf("one more split: %v, expected ErrFinished", err)
	}
	if err := life(2, 300, struct{ record.Reader }{&finite{}}); !errors.Is(err, engine.ErrFinished) {
		t.Fatalf("a reader that cannot be resumed beside it: %v, expected ErrFinished", err)
	}
}

// finite is a logReader whose senders are not told what is durable.
type finite struct{ r *logReader }

func (f *finite) ResumeFrom(saved []record.Position) ([]string, []record.Position, error) {
	return f.r.ResumeFrom(saved)
}
func (f *finite) Poll(b *record.Batch) error                      { return f.r.Poll(b) }
func (f *finite) Read(ctx context.Context, b *record.Batch) error { return f.r.Read(ctx, b) }
func (f *finite) Close() error                                    { return nil }

// Goal: the groups that a folder has can be read without an engine, also while one uses it. Method:
// plans of every kind against the snapshot that was saved.
func TestReadState(t *testing.T) {
	for name, text := range keptPlans {
		l := &splitLog{splits: 3, rows: 1000}
		l.until.Store(400)
		st := engine.Dir(t.TempDir())
		st.NoSync = true
		e := start(t, engine.Config{
			Plan: keptPlan(t, text), Readers: []record.Reader{l.reader(0, 2), l.reader(1, 2)}, Partitions: 3,
			NoPin: true,
			State: st, EpochInterval: -1,
		})
		waitRecords(t, e, 1200)
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		want := lines(t, s)
		s.Close()
		restore := groupkey.Reseed()
		saved, err := engine.ReadState(st.Path, keptPlan(t, text))
		restore()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		for b := range saved.Batches(100) {
			got = append(got, linesOf(b)...)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || saved.Records() != 1200 || saved.Epoch() == 0 || saved.Generation() != 2 {
			t.Errorf("%s: generation %d of epoch %d with %d records:\n%s", name, saved.Generation(), saved.Epoch(),
				saved.Records(), difference(got, want))
		}
		if _, err := engine.ReadState(st.Path, keptPlan(t, `SELECT v, count(*) AS n FROM log GROUP BY v`)); !errors.Is(
			err,
			engine.ErrOtherPlan) {
			t.Errorf("%s: another query: %v, expected ErrOtherPlan", name, err)
		}
		e.Close()
	}
}

// Goal: senders are told to forget only what no kept generation needs: if the newest is damaged, a
// restart goes on from the one before. Method: checkpoints at known places.
func TestStateTellsOldest(t *testing.T) {
	l := &splitLog{splits: 1, rows: 1000}
	r := l.reader(0, 1)
	st := engine.Dir(t.TempDir())
	st.Interval, st.NoSync = time.Hour, true
	e := start(t, engine.Config{
		Plan: keptPlan(t, keptPlans["integers"]), Readers: []record.Reader{r}, Partitions: 1, NoPin: true, State: st,
		EpochInterval: -1,
	})
	before := int64(0) // what the generation before has
	for _, n := range []int64{100, 300, 450} {
		l.until.Store(n)
		waitRecords(t, e, uint64(n))
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := r.durable["log/0"]; got != before {
			t.Errorf("after a checkpoint at record %d, records before %d are said to be durable, expected %d", n, got,
				before)
		}
		before = n
	}
}

// Goal: a state is refused if its groups, or what was written of them, would be other ones with the
// plan of now, and only then. Method: one plan, and others that differ from it in one thing.
func TestComparePlans(t *testing.T) {
	const (
		groups  = `SELECT k, count(*) AS n, sum(v) AS s FROM log WHERE v > 0 GROUP BY k HAVING count(*) > 1`
		changes = groups + ` EMIT CHANGES`
		windows = `SELECT window_end, k, count(*) AS n FROM log GROUP BY k, tumble(at, INTERVAL '2 s')`
		passed  = `SELECT k, v FROM log WHERE v > 0`
	)
	for _, c := range []struct {
		before, now string
		same        bool
	}{
		{groups, groups, true},
		// the states lie in another order
		{groups, `SELECT sum(v) AS s, k, count(*) AS n FROM log WHERE v > 0 GROUP BY k`, false},
		{groups, `SELECT k, count(*) AS n, sum(v) AS s FROM log WHERE v > 0 GROUP BY k`, true},
		{groups, `SELECT k, count(*) AS n, sum(v) AS s FROM log WHERE v > 0 GROUP BY k HAVING count(*) > 2 ORDER BY n LIMIT 3`, true},
		{groups, `SELECT k, count(*) AS m, sum(v) AS s FROM log WHERE v > 0 GROUP BY k HAVING count(*) > 1`, true},
		{groups, `SELECT k, count(*) AS n, sum(v) AS s FROM log WHERE v > 1 GROUP BY k`, false},
		{groups, `SELECT k, count(*) AS n, sum(v) AS s FROM log GROUP BY k`, false},
		{groups, `SELECT k, count(*) AS n, min(v) AS s FROM log WHERE v > 0 GROUP BY k`, false},
		{groups, `SELECT k, count(*) AS n, sum(w) AS s FROM log WHERE v > 0 GROUP BY k`, false},
		{groups, `SELECT k, host, count(*) AS n, sum(v) AS s FROM log WHERE v > 0 GROUP BY k, host`, false},
		{groups, `SELECT count(*) AS n, sum(v) AS s FROM log WHERE v > 0`, false},
		{groups, `SELECT k, count(*) AS n, sum(DISTINCT v) AS s FROM log WHERE v > 0 GROUP BY k`, false},
		{changes, changes, true},
		{changes, groups, false},
		{changes, `SELECT k, count(*) AS n, sum(v) AS s FROM log WHERE v > 0 GROUP BY k HAVING count(*) > 2 EMIT CHANGES`, false},
		{changes, `SELECT k, count(*) AS n, sum(v) AS s FROM log WHERE v > 0 GROUP BY k EMIT CHANGES`, false},
		{windows, windows, true},
		{windows, `SELECT window_end, k, count(*) AS n FROM log GROUP BY k, tumble(at, INTERVAL '1 s')`, false},
		{
			windows, `SELECT window_end, k, count(*) AS n FROM log GROUP BY k, hop(at, INTERVAL '1 s', INTERVAL '2 s')`,
			false,
		},
		{windows, `SELECT window_end, k, count(*) AS n FROM log GROUP BY k, session(at, INTERVAL '2 s')`, false},
		{windows, `SELECT k, count(*) AS n FROM log GROUP BY k`, false},
		{passed, passed, true},
		{passed, `SELECT v, k FROM log WHERE v > 0`, false},
		{passed, `SELECT k, v FROM log WHERE v > 2`, false},
	} {
		err := engine.ComparePlans(keptPlan(t, c.before), keptPlan(t, c.now))
		if c.same != (err == nil) || err != nil && !errors.Is(err, engine.ErrOtherPlan) {
			t.Errorf("%s\n%s\nthe same: %v, expected %v: %v", c.before, c.now, err == nil, c.same, err)
		}
	}
}

// Goal: a split that is quiet for a whole life goes on where it was in the next. Method: a life
// that saves and reads nothing.
func TestStateOfQuietSplit(t *testing.T) {
	dir := t.TempDir()
	for life, until := range []int64{100, 100, 200} {
		l := &splitLog{splits: 2, rows: 300}
		l.until.Store(until)
		st := engine.Dir(dir)
		st.Interval, st.NoSync = time.Hour, true
		e := start(t, engine.Config{
			Plan: keptPlan(t, keptPlans["one group"]), Readers: []record.Reader{l.reader(0, 1)}, Partitions: 1,
			State: st, EpochInterval: -1,
		})
		waitRecords(t, e, uint64(2*until))
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		if n := s.Records(); n != uint64(2*until) {
			t.Errorf("life %d: %d records, expected %d", life, n, 2*until)
		}
		s.Close()
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
