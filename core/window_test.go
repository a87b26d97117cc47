package core

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/core/window"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
	"github.com/velo-engine/velo/ring"
)

var timedSchema = testgen.TimedSchema("v")

type timedRow struct{ at, key, v int64 }

// timedSource gives rows in batches.
type timedSource struct {
	rows  []timedRow
	batch *record.Batch
	stops bool // its end is not the end of the input
}

func (s *timedSource) Next(Nanos) (*record.Batch, bool) {
	if len(s.rows) == 0 {
		return nil, true
	}
	n := min(len(s.rows), s.batch.Cap())
	s.batch.Reset()
	s.batch.Add(0)
	s.batch.SetLen(n)
	for i, row := range s.rows[:n] {
		s.batch.Column(0).Int64s[i], s.batch.Column(1).Int64s[i], s.batch.Column(2).Int64s[i] = row.at, row.key, row.v
	}
	s.rows = s.rows[n:]
	return s.batch, false
}
func (s *timedSource) Drained(uint64) bool           { return true }
func (s *timedSource) Quarantine(record.Reject) bool { return true }
func (s *timedSource) Wake() Nanos                   { return Never }
func (s *timedSource) Complete() bool                { return !s.stops }

// windowSum is what a plan with windows computes of one window and key: the number of records, their sum, the begin of the window.
type windowSum [3]int64

// windowSums are the sums of all windows and keys, row by row, by end and key.
func windowSums(w *plan.Window, readers [][]timedRow) (sums map[[2]int64]windowSum, late uint64) {
	c := window.NewClock(w.Windows)
	if w.Kind == window.Session {
		return sessionSums(w, c, readers)
	}
	sums = map[[2]int64]windowSum{}
	for _, rows := range readers {
		watermark := int64(-window.MaxTime)
		for _, row := range rows {
			taken := false
			for end := c.FirstEnd(c.Floor(row.at)); end <= c.LastEnd(c.Floor(row.at)); end = c.NextEnd(end) {
				if end+int64(w.Lateness) <= watermark {
					continue
				}
				taken = true
				s := sums[[2]int64{end, row.key}]
				sums[[2]int64{end, row.key}] = windowSum{s[0] + 1, s[1] + row.v, c.Begin(end)}
			}
			if !taken {
				late++
			}
			if w.OutOfOrder != plan.AnyOrder {
				watermark = max(watermark, row.at-int64(w.OutOfOrder))
			}
		}
	}
	return sums, late
}

// sessionSums is windowSums for sessions, by their definition: the records of a key in the order of time, cut where the next is further than the gap.
func sessionSums(w *plan.Window, c window.Clock, readers [][]timedRow) (sums map[[2]int64]windowSum, late uint64) {
	byKey := map[int64][]timedRow{}
	gap := int64(w.Size)
	for _, rows := range readers {
		watermark := int64(-window.MaxTime)
		for _, row := range rows {
			if row.at+gap <= c.EndAtMost(watermark-int64(w.Lateness)) { // alone it would be a session that has ended
				late++
				continue
			}
			byKey[row.key] = append(byKey[row.key], row)
			if w.OutOfOrder != plan.AnyOrder {
				watermark = max(watermark, row.at-int64(w.OutOfOrder))
			}
		}
	}
	sums = map[[2]int64]windowSum{}
	for key, rows := range byKey {
		slices.SortFunc(rows, func(a, b timedRow) int { return cmp.Compare(a.at, b.at) })
		var s windowSum
		for i, row := range rows {
			if s[0] == 0 {
				s[2] = row.at
			}
			s[0], s[1] = s[0]+1, s[1]+row.v
			if i+1 == len(rows) || rows[i+1].at-row.at > gap {
				sums[[2]int64{row.at + gap, key}] = s
				s = windowSum{}
			}
		}
	}
	return sums, late
}

// anyWindows are windows of any kind. Sessions are short: there are many records.
func anyWindows(rng *rand.Rand) window.Windows {
	w := window.Windows{Kind: window.Kind(1 + rng.IntN(4)), Size: time.Duration(1+rng.IntN(6)) * time.Second}
	switch w.Kind {
	case window.Hopping, window.Cumulating:
		w.Slide = w.Size / time.Duration(1+rng.IntN(4))
		w.Size = w.Slide * (w.Size / w.Slide)
	case window.Session:
		w.Size /= time.Duration(1 + rng.IntN(100))
		return w
	}
	if rng.IntN(2) == 0 {
		w.Offset = time.Duration(rng.Int64N(int64(w.Size)))
	}
	return w
}

// Goal: the same windows for every shape, exchange and kind, and the same records late, whatever comes when. Method: agents stepped in random orders,
// against a sum row by row.
func TestWindows(t *testing.T) {
	for seed := range testgen.Seeds(150) {
		rng := rand.New(rand.NewPCG(seed, 5))
		w := &plan.Window{
			Column: "at", OutOfOrder: time.Duration(rng.IntN(3)) * time.Duration(rng.IntN(5000)) * time.Millisecond,
			Lateness: time.Duration(rng.IntN(2)*rng.IntN(3000)) * time.Millisecond, Retain: plan.MaxRetain,
			Windows: anyWindows(rng),
		}
		if rng.IntN(3) == 0 {
			w.Idle = time.Hour // partial states count their records then
		}
		p := &plan.Plan{
			Source: timedSchema, Keys: []string{"key"}, Window: w,
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}, {Name: "sum", Func: plan.Sum, Column: "v"}},
		}
		keyless := rng.IntN(5) == 0
		if keyless {
			p.Keys = nil
		}
		readers, partitions := 1+rng.IntN(3), 1+rng.IntN(4)
		all := make([][]timedRow, readers)
		var sources []Source
		disorder := int64(1+rng.IntN(8000)) * int64(time.Millisecond)
		base := rng.Int64N(int64(100*time.Hour)) - int64(50*time.Hour)
		for r := range all {
			rows := rng.IntN(4000)
			for i := range rows {
				row := timedRow{
					base + int64(i)*int64(10*time.Millisecond) + rng.Int64N(disorder), rng.Int64N(20),
					rng.Int64N(1000),
				}
				if keyless {
					row.key = 0
				}
				all[r] = append(all[r], row)
			}
			sources = append(sources, &timedSource{rows: all[r], batch: record.NewBatch(timedSchema, 1+rng.IntN(700))})
		}
		want, late := windowSums(w, all)
		fold := Fold{Exchange: plan.Exchange(rng.IntN(4)), Bytes: 1 << (10 + rng.IntN(8))}
		what := fmt.Sprintf("seed %d: %v, %+v, %d readers, %d partitions, disorder %v", seed, fold.Exchange, *w,
			readers, partitions, time.Duration(disorder))
		_, images, routers := runRoute(t, p, sources, plan.Route{}, fold, partitions, 1<<rng.IntN(4), seed)
		if keyless && w.Kind != window.Session {
			images = []*result.Image{merged(t, images)}
		}
		n, _ := result.ColumnOf[int64](p, "n")
		sum, _ := result.ColumnOf[int64](p, "sum")
		start, _ := result.ColumnOf[int64](p, plan.WindowStart)
		end, _ := result.ColumnOf[int64](p, plan.WindowEnd)
		key, _ := result.ColumnOf[int64](p, "key")
		got := map[[2]int64]windowSum{}
		for _, m := range images {
			rows := 0
			for row := range m.All() {
				rows++
				k := int64(0)
				var at plan.Key
				var err error
				if keyless {
					at, err = p.Key(time.Unix(0, end.Of(row)))
				} else {
					k = key.Of(row)
					at, err = p.Key(time.Unix(0, end.Of(row)), k)
				}
				if err != nil {
					t.Fatal(err)
				}
				id := [2]int64{end.Of(row), k}
				if _, twice := got[id]; twice {
					t.Fatalf("%s: %v is there twice", what, id)
				}
				got[id] = windowSum{n.Of(row), sum.Of(row), start.Of(row)}
				if found, ok := m.Get(at); !ok || found != row {
					t.Fatalf("%s: %v is not found", what, id)
				}
			}
			if rows != m.Len() {
				t.Fatalf("%s: %d groups, Len says %d", what, rows, m.Len())
			}
		}
		if !maps.Equal(got, want) {
			for id := range want {
				if got[id] != want[id] {
					t.Errorf("%s: window %v: %v, expected %v", what, id, got[id], want[id])
				}
			}
			t.Fatalf("%s: %d groups, expected %d", what, len(got), len(want))
		}
		var counters result.Counters
		for _, r := range routers {
			counters.Add(r.Counters())
		}
		if counters.Late != late || counters.In != counters.Counted+counters.Late {
			t.Fatalf("%s: %+v, expected %d late", what, counters, late)
		}
	}
}

// Goal: a window that a snapshot calls closed has all its records, and has them for good, while others come and go; those that are to be kept are there,
// and no others. Memory is used again. Method: epochs raised at random between the steps of the agents, each closed window against the sum row by row.
func TestClosing(t *testing.T) {
	var looks, closed int
	for seed := range testgen.Seeds(60) {
		rng := rand.New(rand.NewPCG(seed, 6))
		w := &plan.Window{
			Column: "at", OutOfOrder: time.Duration(rng.IntN(2000)) * time.Millisecond,
			Lateness: time.Duration(rng.IntN(2)) * time.Second, Retain: 1 + rng.IntN(4),
			Windows: window.Windows{Kind: window.Kind(1 + rng.IntN(4)), Size: time.Second},
		}
		switch w.Kind {
		case window.Hopping, window.Cumulating:
			w.Size *= 4
			w.Slide = time.Second
		case window.Session:
			w.Size = time.Duration(1+rng.IntN(1000)) * time.Millisecond
		}
		p := &plan.Plan{
			Source: timedSchema, Keys: []string{"key"}, Window: w,
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}, {Name: "sum", Func: plan.Sum, Column: "v"}},
		}
		readers, partitions := 1+rng.IntN(3), 1+rng.IntN(3)
		all := make([][]timedRow, readers)
		var sources []Source
		groups := int64(1) << rng.IntN(11)
		for r := range all {
			for i := range 20_000 {
				all[r] = append(all[r], timedRow{int64(i)*int64(time.Millisecond) +
					rng.Int64N(int64(2500*time.Millisecond)), rng.Int64N(groups), rng.Int64N(1000)})
			}
			sources = append(sources, &timedSource{rows: all[r], batch: record.NewBatch(timedSchema, 200)})
		}
		want, _ := windowSums(w, all)
		byEnd := map[int64]int{}
		for id := range want {
			byEnd[id[0]]++
		}
		n, _ := result.ColumnOf[int64](p, "n")
		sum, _ := result.ColumnOf[int64](p, "sum")
		end, _ := result.ColumnOf[int64](p, plan.WindowEnd)
		key, _ := result.ColumnOf[int64](p, "key")
		start, _ := result.ColumnOf[int64](p, plan.WindowStart)
		last := int64(math.MinInt64)
		c := window.NewClock(w.Windows)
		check := func(cut *result.Cut) {
			clock, ok := cut.Closed()
			if !ok {
				return
			}
			if looks++; clock < last {
				t.Fatalf("seed %d: windows up to %d were closed, now up to %d are", seed, last, clock)
			}
			last = clock
			rows := map[int64]int{}
			for row := range cut.All() {
				at := end.Of(row)
				rows[at]++
				if at > clock {
					continue // open
				}
				if got, of := (windowSum{n.Of(row), sum.Of(row), start.Of(row)}),
					want[[2]int64{at, key.Of(row)}]; got != of {
					t.Fatalf("seed %d, %+v: epoch %d: window %d of key %d is closed with %v, expected %v", seed, *w,
						cut.Epoch(), at, key.Of(row), got, of)
				}
			}
			if clock == window.MaxTime {
				return
			}
			if w.Kind == window.Session {
				expected := map[int64]int{}
				for at, n := range byEnd {
					if at <= clock && c.SessionEnd(at) > clock+int64(w.Size)-int64(w.Retain-1)*int64(w.Size) {
						expected[at] = n
						closed++
					}
				}
				maps.DeleteFunc(rows, func(at int64, _ int) bool { return at > clock })
				if !maps.Equal(rows, expected) {
					t.Fatalf("seed %d, %+v: epoch %d, closed up to %d: sessions by end: %v, expected %v", seed, *w,
						cut.Epoch(), clock, rows, expected)
				}
				return
			}
			for at := clock - int64(w.Retain+2)*int64(time.Second); at <= clock; at += int64(time.Second) {
				expected := byEnd[at]
				if at <= clock-int64(w.Retain)*int64(time.Second) {
					expected = 0 // not kept
				}
				if rows[at] != expected {
					t.Fatalf("seed %d, %+v: epoch %d, closed up to %d: window %d has %d groups, expected %d", seed, *w,
						cut.Epoch(), clock, at, rows[at], expected)
				}
				if rows[at] > 0 {
					closed++
				}
			}
		}
		var held []int // slots
		fold := Fold{Exchange: plan.Exchange(rng.IntN(4)), Bytes: 1 << 16}
		_, images, _ := runLooking(t, p, sources, plan.Route{}, fold, partitions, 4, seed,
			func(cuts *Cuts, rng *rand.Rand) {
				switch rng.IntN(40) {
				case 0:
					cuts.Want()
				case 1:
					c, slot := cuts.Pin()
					check(c)
					held = append(held, slot)
				case 2:
					if len(held) > 0 {
						newest := last
						last = math.MinInt64 // it may be an old one
						check(cuts.cuts[held[0]])
						last = newest
						cuts.Unpin(held[0])
						held = held[1:]
					}
				}
			})
		left := 0
		for _, m := range images {
			left += m.Len()
			for row := range m.All() { // at the end too: what has gone does not come back without its first panes
				if got, of := (windowSum{n.Of(row), sum.Of(row), start.Of(row)}),
					want[[2]int64{end.Of(row), key.Of(row)}]; got != of {
					t.Fatalf("seed %d, %+v: at the end: window %d of key %d has %v, expected %v", seed, *w, end.Of(row),
						key.Of(row), got, of)
				}
			}
		}
		if left == 0 {
			t.Fatalf("seed %d: nothing is left at the end", seed)
		}
	}
	if least := int(8 * testgen.Seeds(60)); looks < least || closed < least {
		t.Errorf("%d looks, %d closed windows: too few to mean anything", looks, closed)
	}
	t.Logf("%d looks, %d closed windows", looks, closed)
}

// flinkWindow reads "HOP slide 5s size 10s" and its like.
func flinkWindow(t *testing.T, text string) window.Windows {
	words := strings.Fields(strings.ReplaceAll(text, "1d", "24h"))
	w := window.Windows{Kind: map[string]window.Kind{
		"TUMBLE": window.Tumbling, "HOP": window.Hopping,
		"CUMULATE": window.Cumulating,
	}[words[0]]}
	into := &w.Size
	for _, word := range words[1:] {
		switch word {
		case "slide", "step":
			into = &w.Slide
		case "size", "max":
			into = &w.Size
		case "OFFSET", "offset":
			into = &w.Offset
		default:
			d, err := time.ParseDuration(word)
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			*into = d
		}
	}
	return w
}

// Goal: the windows of Flink's own tests, late records included. Method: its rows and results, one reader.
func TestFlinkWindows(t *testing.T) {
	text, err := os.ReadFile("../../shared/corpora/windows/cases.json")
	if err != nil {
		t.Skipf("the corpus is not here: %v", err)
	}
	var corpus struct {
		Rows  [][]any
		Cases map[string]struct {
			Window, Group string
			Expected      [][]string
		}
	}
	if err := json.Unmarshal(text, &corpus); err != nil {
		t.Fatal(err)
	}
	schema, err := record.NewSchema("flink", record.Field{Name: "ts", Type: record.Timestamp},
		record.Field{Name: "name", Type: record.String, Nullable: true},
		record.Field{Name: "bigdec", Type: record.DecimalOf(10, 2), Nullable: true},
		record.Field{Name: "double", Type: record.Float64, Nullable: true},
		record.Field{Name: "float", Type: record.Float64, Nullable: true})
	if err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(schema, len(corpus.Rows))
	for _, row := range corpus.Rows {
		b.Add(16)
		at, err := time.Parse(time.DateTime, row[0].(string))
		if err != nil {
			t.Fatal(err)
		}
		b.SetTime(0, at)
		set := func(column int, v any, set func()) {
			if v == nil {
				b.SetNull(column)
			} else {
				set()
			}
		}
		set(1, row[6], func() { b.SetString(1, row[6].(string)) })
		set(2, row[4], func() {
			f, err := strconv.ParseFloat(row[4].(string), 64)
			if err != nil {
				t.Fatal(err)
			}
			b.SetInt64(2, int64(math.Round(100*f)))
		})
		set(3, row[2], func() { b.SetFloat64(3, row[2].(float64)) })
		set(4, row[3], func() { b.SetFloat64(4, row[3].(float64)) })
	}
	ran := 0
	for name, c := range corpus.Cases {
		ran++
		p := &plan.Plan{
			Source: schema, Window: &plan.Window{
				Windows: flinkWindow(t, c.Window), Column: "ts",
				OutOfOrder: time.Second, Retain: plan.MaxRetain,
			},
			Aggregates: []plan.Aggregate{
				{Name: "n", Func: plan.Count},
				{Name: "sum", Func: plan.Sum, Column: "bigdec"},
				{Name: "max", Func: plan.Max, Column: "double"},
				{Name: "min", Func: plan.Min, Column: "float"},
			},
		}
		if c.Group != "" {
			p.Keys = []string{"name"}
		}
		_, images, _ := runRoute(t, p, []Source{&oneBatch{b: b}}, plan.Route{}, Fold{}, 1, 4, 1)
		var got, want []string
		for batch := range images[0].Batches(100) {
			for i := range batch.Len() {
				var row []string
				for f := range batch.Schema().Len() {
					column := batch.Column(f)
					switch typ := batch.Schema().Field(f).Type; {
					case column.Null(i):
						row = append(row, "null")
					case typ == record.Timestamp:
						row = append(row,
							strings.TrimSuffix(time.Unix(0, column.Int64s[i]).UTC().Format("2006-01-02T15:04:05"),
								":00"))
					case typ == record.String:
						row = append(row, string(column.View(i)))
					case typ == record.Float64:
						row = append(row, strconv.FormatFloat(column.Float64s[i], 'f', 1, 64))
					case typ.IsDecimal():
						row = append(row, record.Decimal{Unscaled: column.Int64s[i], Scale: 2}.String())
					default:
						row = append(row, fmt.Sprint(column.Int64s[i]))
					}
				}
				if len(p.Keys) > 0 { // in front, in the corpus
					row = append([]string{row[2], row[0], row[1]}, row[3:]...)
				}
				got = append(got, strings.Join(row, " "))
			}
		}
		for _, row := range c.Expected {
			n := len(p.Keys) + 6
			want = append(want, strings.Join(row[:n], " "))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s (%s):\n%s\nexpected\n%s", name, c.Window, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	t.Logf("%d of %d cases", ran, len(corpus.Cases))
}

// Goal: of records in any order none is late, however far apart their times are, in every exchange. Method: times from one end
// of what windows are made for to the other, in random order, against the sum row by row.
func TestAnyOrder(t *testing.T) {
	for seed := range testgen.Seeds(40) {
		rng := rand.New(rand.NewPCG(seed, 12))
		w := &plan.Window{
			Column: "at", OutOfOrder: plan.AnyOrder,
			Windows: window.Windows{Kind: window.Kind(1 + rng.IntN(4)), Size: 24 * time.Hour},
		}
		switch w.Kind {
		case window.Hopping, window.Cumulating:
			w.Size, w.Slide = 48*time.Hour, 24*time.Hour
		}
		p := &plan.Plan{
			Source: timedSchema, Keys: []string{"key"}, Window: w,
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}, {Name: "sum", Func: plan.Sum, Column: "v"}},
		}
		all := make([][]timedRow, 1+rng.IntN(3))
		var sources []Source
		for r := range all {
			for range rng.IntN(300) {
				all[r] = append(all[r], timedRow{
					rng.Int64N(2*window.MaxTime) - window.MaxTime, rng.Int64N(3),
					rng.Int64N(1000),
				})
			}
			sources = append(sources, &timedSource{rows: all[r], batch: record.NewBatch(timedSchema, 1+rng.IntN(200))})
		}
		want, late := windowSums(w, all)
		if late > 0 {
			t.Fatalf("seed %d: the twin has %d late", seed, late)
		}
		fold := Fold{Exchange: plan.Exchange(rng.IntN(4)), Bytes: 1 << 16}
		_, images, routers := runRoute(t, p, sources, plan.Route{}, fold, 1+rng.IntN(3), 4, seed)
		n, _ := result.ColumnOf[int64](p, "n")
		sum, _ := result.ColumnOf[int64](p, "sum")
		start, _ := result.ColumnOf[int64](p, plan.WindowStart)
		end, _ := result.ColumnOf[int64](p, plan.WindowEnd)
		key, _ := result.ColumnOf[int64](p, "key")
		got := map[[2]int64]windowSum{}
		for _, m := range images {
			for row := range m.All() {
				got[[2]int64{end.Of(row), key.Of(row)}] = windowSum{n.Of(row), sum.Of(row), start.Of(row)}
			}
		}
		if !maps.Equal(got, want) {
			t.Fatalf("seed %d: %v: %d groups, expected %d", seed, w.Windows, len(got), len(want))
		}
		for _, r := range routers {
			if c := r.Counters(); c.Late > 0 {
				t.Fatalf("seed %d: %d late", seed, c.Late)
			}
		}
	}
}

// oneBatch is a source of one batch.
type oneBatch struct {
	b    *record.Batch
	done bool
}

func (s *oneBatch) Next(Nanos) (*record.Batch, bool) {
	if s.done {
		return nil, true
	}
	s.done = true
	return s.b, false
}
func (s *oneBatch) Drained(uint64) bool           { return true }
func (s *oneBatch) Quarantine(record.Reject) bool { return true }
func (s *oneBatch) Wake() Nanos                   { return Never }
func (s *oneBatch) Complete() bool                { return true }

// waitingSource gives its rows and has nothing more until it may end.
type waitingSource struct {
	timedSource
	ends bool
}

func (s *waitingSource) Next(now Nanos) (*record.Batch, bool) {
	if len(s.rows) == 0 && !s.ends {
		return nil, false
	}
	return s.timedSource.Next(now)
}

// Goal: a reader that joins while an epoch is in flight, after the answers of some partitions and before the answers of others, changes nothing about that epoch: all partitions close the same windows in
// it. Else a writer would get windows of which some partitions are not done. Method: one partition answers, the reader joins, the other answers; with a reader beside it that has time, and with one
// that has ended.
func TestJoinClosesAlike(t *testing.T) {
	for _, ended := range []bool{false, true} {
		pl := &plan.Plan{
			Source: timedSchema, Keys: []string{"key"},
			Window:     &plan.Window{Column: "at", Windows: window.Windows{Kind: window.Tumbling, Size: time.Second}},
			Aggregates: []plan.Aggregate{{Name: "n", Func: plan.Count}},
		}
		const partitions = 2
		readers := 1
		if ended {
			readers = 2 // one that has ended, one that is idle: the engine would end otherwise
			pl.Window.Idle = time.Nanosecond
		}
		cuts := NewCuts(pl, plan.Route{}, readers, partitions, 1, nil, func() {})
		bells := []Bell{noBell{}, noBell{}, noBell{}}
		ends := func() (in []*ring.Producer[Chunk], out []*ring.Consumer[Chunk]) {
			for range partitions {
				i, o := ring.New[Chunk](16)
				in, out = append(in, i), append(out, o)
			}
			return in, out
		}
		in := make([][]*ring.Consumer[Chunk], partitions)
		out := make([][]*ring.Producer[Chunk], readers)
		for r := range readers {
			var rings []*ring.Consumer[Chunk]
			out[r], rings = ends()
			for p := range partitions {
				in[p] = append(in[p], rings[p])
			}
		}
		var parts []*Partition
		for p := range partitions {
			part, err := NewPartition(plan.PartitionID(p), pl, in[p], bells[:readers], nil, cuts)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, part)
		}
		router := func(id int, rows []timedRow, ends bool, out []*ring.Producer[Chunk]) (*Router, *waitingSource) {
			src := &waitingSource{timedSource{rows: rows, batch: record.NewBatch(timedSchema, 100)}, ends}
			r, err := NewRouter(plan.ReaderID(id), pl, src, plan.Route{}, Fold{Exchange: plan.ExchangeRoute}, out,
				bells[:partitions], nil, nil, cuts)
			if err != nil {
				t.Fatal(err)
			}
			return r, src
		}
		var rows []timedRow
		for i := range 100 {
			rows = append(rows, timedRow{int64(i) * int64(100*time.Millisecond), int64(i % 7), 1})
		}
		first, src := router(0, rows, ended, out[0])
		sources := []*waitingSource{src}
		agents := []Agent{first}
		if ended {
			idle, src := router(1, nil, false, out[1])
			agents, sources = append(agents, idle), append(sources, src)
		}
		step := func(agents ...Agent) {
			for range 100 {
				for _, a := range agents {
					if a.Step(Nanos(time.Second)); a.Err() != nil {
						t.Fatal(a.Err())
					}
				}
			}
		}
		step(append(agents, parts[0], parts[1])...)
		cuts.Want()
		step(append(agents, parts[0])...)
		if !cuts.Join() {
			t.Fatal("nobody can join")
		}
		joined, rings := ends()
		least, most := parts[0].Join(rings[0], noBell{}), parts[1].Join(rings[1], noBell{})
		if least != 1 || most != 0 {
			t.Fatalf("epochs %d and %d are answered, expected 1 and 0", least, most)
		}
		last, src := router(readers, []timedRow{{int64(9500 * time.Millisecond), 1, 1}}, false, joined)
		last.Join(most, least)
		agents, sources = append(agents, last, parts[0], parts[1]), append(sources, src)
		for want := uint64(1); ; want++ {
			step(agents...)
			c, slot := cuts.Pin()
			// after the last reader's end comes one that nobody has asked for
			if a, b := c.Images[0].Clock, c.Images[1].Clock; c.Epoch() < want || a != b {
				t.Fatalf("ended %v: epoch %d, expected %d or later: partitions have closed up to %d and %d", ended,
					c.Epoch(), want, a, b)
			}
			cuts.Unpin(slot)
			if cuts.Ended() {
				break
			}
			if want == 3 {
				for _, s := range sources {
					s.ends = true
				}
			}
			cuts.Want()
		}
	}
}
