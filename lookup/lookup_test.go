package lookup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/velo-engine/velo/record"
)

type account struct {
	ID   int64
	Tier string
	Rate *float64
}

func schemaOf[T any](t testing.TB, name string) *record.Schema {
	t.Helper()
	s, err := record.SchemaOf[T](name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tableOf is a table whose rows load returns.
func tableOf[T any](t testing.TB, load func() ([]T, error), key ...string) *Table {
	t.Helper()
	table, err := New(Config{
		Schema: schemaOf[T](t, "accounts"), Key: key,
		Load: Rows(func(context.Context) ([]T, error) { return load() }),
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func accounts(n int) (all []account) {
	for i := range n {
		a := account{ID: int64(i) * 3, Tier: fmt.Sprintf("tier %d", i%7)}
		if i%5 != 0 {
			rate := float64(i) / 2
			a.Rate = &rate
		}
		all = append(all, a)
	}
	return all
}

// Goal: every row of a version is found by its key, and no other key is, whatever their number.
// Method: tables of 0 to 20,000 rows; every row and as many other keys, one by one and by a probe.
func TestFind(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 4, 5, 17, 100, 1023, 20_000} {
		rows := accounts(n)
		table := tableOf(t, func() ([]account, error) { return rows, nil }, "id")
		if err := table.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := table.Current()
		if v.Len() != n || v.Number() != 1 {
			t.Fatalf("version %d has %d rows, expected %d", v.Number(), v.Len(), n)
		}
		probe := table.NewProbe(1024)
		for begin := 0; begin < 3*n+10; begin += 1000 {
			keys := make([]int64, 1000)
			for i := range keys {
				keys[i] = int64(begin + i - 5)
			}
			probe.Column(0).Int64s = keys
			places, found := make([]uint64, 1000), make([]uint64, 16)
			probe.Find(v, 1000, nil, places, found)
			for i, k := range keys {
				at := int(k / 3)
				want := k >= 0 && k%3 == 0 && at < n
				place, ok, err := v.Find(k)
				if err != nil || ok != want || found[i>>6]>>(i&63)&1 != 0 != want {
					t.Fatalf("%d rows: key %d: found %v (%v), expected %v", n, k, ok, err, want)
				}
				if !want {
					continue
				}
				if places[i] != place || string(v.Text(place, 1)) != rows[at].Tier ||
					v.Null(place, 2) != (rows[at].Rate == nil) {
					t.Fatalf("%d rows: key %d: another row", n, k)
				}
			}
		}
	}
}

// Goal: keys whose hashes are equal are told apart, and found.
func TestEqualHashes(t *testing.T) {
	table := tableOf(t, func() ([]account, error) { return nil, nil }, "id")
	b := newBuilder(table.shape, 100, DefaultMaxBytes)
	err := Rows(func(context.Context) ([]account, error) { return accounts(10), nil })(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	for i := 3; i < 7; i++ {
		b.hashes[i] = b.hashes[2] // as if the hash were a bad one
	}
	v, err := b.build(1)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.rest) != 4 {
		t.Fatalf("%d rows have no slot, expected 4", len(v.rest))
	}
	probe := table.NewProbe(16)
	probe.keys.Hashes = probe.keys.Hashes[:10]
	keys := []int64{0, 3, 6, 9, 12, 15, 18, 21, 24, 27}
	probe.Column(0).Int64s = keys
	probe.batch.SetLen(10)
	v.layout.Encode(probe.batch, 0, 10, probe.keys)
	copy(probe.keys.Hashes, b.hashes)
	places, differs := make([]uint64, 10), make([]uint64, 10)
	v.search(probe, places, differs)
	for i, k := range keys {
		if differs[i] != 0 || v.Word(places[i], 0) != uint64(k) {
			t.Errorf("key %d: found %v, the row of key %d", k, differs[i] == 0, v.Word(places[i], 0))
		}
	}
	b = newBuilder(table.shape, 100, DefaultMaxBytes)
	twice := append(accounts(4), account{ID: 6})
	if err := Rows(func(context.Context) ([]account, error) { return twice, nil })(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	b.hashes[1] = b.hashes[2]
	if _, err := b.build(1); err == nil ||
		!strings.Contains(err.Error(), "the key 6 comes twice, in record 3 and record 5") {
		t.Errorf("a key that comes twice, of rows without a slot: %v", err)
	}
}

// Goal: a load that is wrong says what and where, and changes nothing.
func TestBadLoads(t *testing.T) {
	schema := schemaOf[account](t, "accounts")
	load := func(rows ...account) func(context.Context, *Builder) error {
		return Rows(func(context.Context) ([]account, error) { return rows, nil })
	}
	long := strings.Repeat("x", 40)
	for name, c := range map[string]struct {
		key  []string
		load func(context.Context, *Builder) error
		want string
	}{
		"a key twice": {
			[]string{"id"},
			load(account{ID: 1}, account{ID: 2}, account{ID: 1}),
			"the key 1 comes twice, in record 1 and record 3",
		},
		"a long key twice": {
			[]string{"tier"},
			load(account{Tier: long}, account{Tier: long}),
			"'" + long + "' comes twice",
		},
		"two columns": {
			[]string{"tier", "id"},
			load(account{ID: 1, Tier: "a"}, account{ID: 2, Tier: "a"}, account{ID: 2, Tier: "a"}),
			"the key 'a', 2 comes twice",
		},
		"a key that is NULL": {[]string{"rate"}, load(account{ID: 1}), "column rate of record 1 is NULL"},
		"too many bytes": {
			[]string{"id"}, func(_ context.Context, b *Builder) error {
				batch := record.NewBatch(schema, 4)
				for id := range int64(2) {
					batch.Reset()
					batch.Add(3000)
					batch.SetInt64(0, id)
					batch.SetString(1, strings.Repeat(string(rune('a'+id)), 3000))
					batch.SetNull(2)
					if err := b.Append(batch); err != nil {
						return err
					}
				}
				return b.Append(batch)
			}, "needs more than 4096 bytes",
		},
		"too many rows": {[]string{"id"}, load(accounts(101)...), "more than 100 rows"},
		"an error": {[]string{"id"}, func(context.Context, *Builder) error {
			return errors.New("no connection")
		}, "no connection"},
		"a panic": {[]string{"id"}, func(context.Context, *Builder) error { panic("oh") }, "panic in Load: oh"},
		"Goexit": {[]string{"id"}, func(context.Context, *Builder) error {
			runtime.Goexit()
			return nil
		}, "Load has ended its goroutine"},
		"no Load": {[]string{"id"}, nil, "has no Load"},
		"another schema": {[]string{"id"}, func(_ context.Context, b *Builder) error {
			return b.Append(record.NewBatch(schemaOf[struct{ ID int64 }](t, "other"), 1))
		}, "has 3 columns, the batch has 1"},
		"a rejected record": {[]string{"id"}, func(_ context.Context, b *Builder) error {
			batch := record.NewBatch(schema, 1)
			batch.Reject(record.Reject{Line: 7, Reason: errors.New("no number")})
			return b.Append(batch)
		}, "line 7: no number"},
	} {
		table, err := New(Config{Schema: schema, Key: c.key, Load: c.load, MaxRows: 100, MaxBytes: 4096})
		if err != nil {
			t.Fatal(err)
		}
		err = table.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
		if s := table.Stats(); table.Current() != nil || s.Failures != 1 || s.LastError == nil {
			t.Errorf("%s: a version of %d rows, %d failures", name, s.Rows, s.Failures)
		}
	}
}

// Goal: New and Configure refuse what makes no sense, all of it at once.
func TestConfig(t *testing.T) {
	schema := schemaOf[account](t, "accounts")
	_, err := New(Config{
		Schema: schema, Key: []string{"id", "name", "id"}, MaxStale: time.Second, OnStale: 9,
		MaxRows: -1, Refresh: -1,
	})
	for _, want := range []string{
		`no column "name"`, `"id" twice`, "MaxStale is 1s", "OnStale is 9", "MaxRows is -1",
		"Refresh is -1ns",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	if _, err := New(Config{Schema: schema}); err == nil {
		t.Error("a table without a key was accepted")
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a table without a schema was accepted")
	}
	table := tableOf(t, func() ([]account, error) { return nil, nil }, "id")
	if err := table.Configure(func(c *Config) { c.Refresh, c.MaxStale = time.Minute, time.Second }); err == nil {
		t.Error("MaxStale less than Refresh was accepted")
	}
	release, err := table.Use(t.Context(), func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Configure(func(*Config) {}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a table in use was configured: %v", err)
	}
	release()
	if err := table.Configure(func(c *Config) { c.Key = []string{"tier"} }); err != nil || table.Key()[0] != 0 {
		t.Errorf("Configure has changed the key, or failed: %v", err)
	}
}

// Goal: a table that is used is loaded again and again; a load that fails keeps the version; after
// MaxStale somebody is told, and the users fail if OnStale says so; after the last release nothing
// is loaded. Method: a clock of its own, a loader that fails from the third load on.
func TestRefresh(t *testing.T) {
	for _, on := range []Stale{KeepStale, FailStale} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex // guards the following
			loads := 0
			var events []Event
			table, err := New(Config{
				Schema: schemaOf[account](t, "accounts"), Key: []string{"id"}, Refresh: time.Minute,
				MaxStale: 5 * time.Minute,
				OnStale:  on, OnEvent: func(e Event) {
					mu.Lock()
					defer mu.Unlock()
					events = append(events, e)
					panic("dropped")
				},
				Load: Rows(func(context.Context) ([]account, error) {
					mu.Lock()
					defer mu.Unlock()
					loads++
					if loads > 2 && loads < 12 {
						return nil, errors.New("no connection")
					}
					return accounts(loads), nil
				}),
			})
			if err != nil {
				t.Fatal(err)
			}
			var failed []error
			fail := func(err error) {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
			wait := func(d time.Duration) {
				mu.Unlock()
				time.Sleep(d)
				synctest.Wait()
				mu.Lock()
			}
			release, err := table.Use(t.Context(), fail)
			if err != nil {
				t.Fatal(err)
			}
			second, err := table.Use(t.Context(), fail)
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			wait(90 * time.Second)
			if v := table.Current(); v.Number() != 2 || v.Len() != 2 {
				t.Errorf("after 90 s: version %d of %d rows", v.Number(), v.Len())
			}
			wait(2 * time.Minute)
			if s := table.Stats(); s.Version != 2 || s.Failures != 2 || s.Stale || s.LastError == nil {
				t.Errorf("after two failures: %+v", s)
			}
			wait(3 * time.Minute)
			s := table.Stats()
			if !s.Stale || !slices.ContainsFunc(events, func(e Event) bool { return e.Kind == BecameStale }) {
				t.Errorf("5 minutes after the last load: %+v, %v", s, events)
			}
			if want := map[Stale]int{KeepStale: 0, FailStale: 2}[on]; len(failed) != want {
				t.Errorf("%d users have failed, expected %d: %v", len(failed), want, failed)
			}
			if on == FailStale && (!errors.Is(failed[0], ErrStale) ||
				!strings.Contains(failed[0].Error(), "no connection")) {
				t.Errorf("the error: %v", failed[0])
			}
			wait(7 * time.Minute)
			if s := table.Stats(); s.Version != 5 || s.Stale || s.LastError != nil || s.Rows != 14 {
				t.Errorf("after it could be loaded again: %+v", s)
			}
			release()
			second()
			before := loads
			wait(time.Hour)
			if loads != before || table.Stats().Stale {
				t.Errorf("a table that nobody uses was loaded %d times", loads-before)
			}
		})
	}
}

// Goal: a Load that does not return holds up neither the release nor the end of a Use whose context
// is done, and is told by its context.
func TestLoadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan struct{})
		table, err := New(Config{
			Schema: schemaOf[account](t, "accounts"), Key: []string{"id"},
			Load: func(ctx context.Context, _ *Builder) error {
				<-ctx.Done()
				close(told)
				return ctx.Err()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := table.Use(ctx, func(error) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Use: %v", err)
		}
		<-told
		if s := table.Stats(); s.Failures != 0 {
			t.Errorf("a load that was given up counts as a failure: %+v", s)
		}
	})
}

// Goal: a user whose context ends does not wait for the load of another, and a load that was given
// up and goes on holds nobody up. The user code is told by its context.
func TestLoadsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		loads := 0
		table, err := New(Config{
			Schema: schemaOf[account](t, "accounts"), Key: []string{"id"},
			Load: func(context.Context, *Builder) error {
				loads++
				if loads == 1 {
					<-release // whatever its context says
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		first := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := table.Use(ctx, func(error) {})
			first <- err
		}()
		synctest.Wait()
		short, cancelShort := context.WithTimeout(t.Context(), time.Second)
		defer cancelShort()
		if _, err := table.Use(short, func(error) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a user that waits for the load of another: %v", err)
		}
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first user: %v", err)
		}
		if _, err := table.Use(t.Context(), func(error) {}); err != nil {
			t.Errorf("after the load that hangs was given up: %v", err)
		}
		close(release)
	})
}

// Goal: an engine that may not use a stale table does not begin to use one: it is loaded first, or
// the error is returned.
func TestUseOfStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := false
		table, err := New(Config{
			Schema: schemaOf[account](t, "accounts"), Key: []string{"id"}, Refresh: time.Minute,
			MaxStale: 2 * time.Minute,
			OnStale:  FailStale, Load: Rows(func(context.Context) ([]account, error) {
				if fails {
					return nil, errors.New("no connection")
				}
				return accounts(1), nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		use := func() error {
			release, err := table.Use(t.Context(), func(error) {})
			if err == nil {
				release()
			}
			return err
		}
		if err := use(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour) // nobody uses it, so nobody loads it
		fails = true
		if err := use(); err == nil || !strings.Contains(err.Error(), "no connection") {
			t.Errorf("an hour later, and it cannot be loaded: %v", err)
		}
		fails = false
		if err := use(); err != nil || table.Current().Number() != 2 {
			t.Errorf("an hour later: %v, version %d", err, table.Current().Number())
		}
	})
}

// Goal: what is looked up is counted, without the keys that are not wanted, and some keys that were
// not found are kept as samples until the next version.
func TestCounters(t *testing.T) {
	type place struct {
		Name string
		At   time.Time
		N    int64
	}
	table := tableOf(t, func() ([]place, error) {
		return []place{{Name: "a", At: time.Unix(0, 0), N: 1}}, nil
	}, "name", "at")
	if err := table.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	probe := table.NewProbe(4)
	*probe.Column(0) = record.Column{
		Bytes: []byte("ab'c"),
		Views: []record.View{{Len: 1}, {Off: 1, Len: 3}, {Len: 1}, {Off: 1, Len: 1}},
	}
	probe.Column(1).Int64s = []int64{0, 0, 5e9, 7}
	places, found := make([]uint64, 4), make([]uint64, 1)
	for range 20 {
		probe.Find(table.Current(), 4, []uint64{0b0111}, places, found)
	}
	s := table.Stats()
	if found[0] != 1 || s.Lookups != 60 || s.Misses != 40 {
		t.Errorf("found %b, %d lookups, %d misses", found[0], s.Lookups, s.Misses)
	}
	if len(s.Samples) != MaxSamples || s.Samples[0] != "'b''c', '1970-01-01T00:00:00Z'" {
		t.Errorf("samples %v", s.Samples)
	}
	if err := table.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := table.Stats(); len(s.Samples) != 0 || s.Version != 2 {
		t.Errorf("after a load: %+v", s)
	}
	if n := testing.AllocsPerRun(100, func() { probe.Find(table.Current(), 1, nil, places, found) }); n > 0 {
		t.Errorf("Find allocates %v times", n)
	}
}

// Goal: versions may be read while others are loaded and forgotten.
func TestVersionsConcurrently(t *testing.T) {
	n := 0
	table := tableOf(t, func() ([]account, error) { n++; return accounts(3000 + n%5), nil }, "id")
	if err := table.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var readers sync.WaitGroup
	for seed := range 2 {
		readers.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(seed), 1))
			probe, pins := table.NewProbe(512), NewPins(table)
			keys, places, found, words := make([]int64, 512), make([]uint64, 512), make([]uint64, 8),
				make([]uint64, 512)
			some := make([]uint64, 8)
			for {
				select {
				case <-done:
					return
				default:
				}
				pins.Renew()
				for i := range keys {
					keys[i] = 3 * rng.Int64N(3000)
				}
				probe.Column(0).Int64s = keys
				v := pins.Version(table)
				probe.Find(v, 512, nil, places, found)
				v.Gather(0, places, found, words, some)
				for i, k := range keys {
					if some[i>>6]>>(i&63)&1 == 0 || words[i] != uint64(k) {
						t.Errorf("key %d gave %d", k, words[i])
						return
					}
				}
			}
		})
	}
	for range 30 {
		if err := table.Reload(t.Context()); err != nil {
			t.Error(err)
		}
		runtime.GC()
	}
	close(done)
	readers.Wait()
}

// slowReader is a reader that fails for a moment, rejects a record, or ends with an error.
type slowReader struct {
	steps  []func(b *record.Batch) error
	closed bool
}

func (r *slowReader) Read(_ context.Context, b *record.Batch) error {
	if len(r.steps) == 0 {
		return io.EOF
	}
	step := r.steps[0]
	r.steps = r.steps[1:]
	return step(b)
}

func (r *slowReader) Line(offset int64) (int64, error) { return offset / 10, nil }

func (r *slowReader) Close() error { r.closed = true; return nil }

// Goal: a load reads its readers to their end, waits after transient errors, says where a record
// was rejected, and closes the readers whatever happens.
func TestReaders(t *testing.T) {
	row := func(id int64) func(b *record.Batch) error {
		return func(b *record.Batch) error {
			b.Add(1)
			b.SetInt64(0, id)
			b.SetString(1, "a")
			b.SetNull(2)
			return nil
		}
	}
	for name, c := range map[string]struct {
		steps []func(b *record.Batch) error
		rows  int
		want  string
	}{
		"whole": {[]func(b *record.Batch) error{row(1), func(*record.Batch) error {
			return record.Transient(errors.New("later"))
		}, row(2)}, 2, ""},
		"rejected": {[]func(b *record.Batch) error{row(1), func(b *record.Batch) error {
			b.Reject(record.Reject{Offset: 70, Reason: errors.New("no number")})
			return nil
		}}, 0, "line 7: no number"},
		"failed": {[]func(b *record.Batch) error{row(1), func(*record.Batch) error {
			return errors.New("broken")
		}}, 0, "broken"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &slowReader{steps: c.steps}
			table, err := New(Config{
				Schema: schemaOf[account](t, "accounts"), Key: []string{"id"},
				Load: Readers(func(context.Context) ([]record.Reader, error) { return []record.Reader{r}, nil }),
			})
			if err != nil {
				t.Fatal(err)
			}
			err = table.Reload(t.Context())
			if c.want == "" && (err != nil || table.Current().Len() != c.rows) || c.want != "" &&
				(err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%s: %v, expected %q", name, err, c.want)
			}
			if !r.closed {
				t.Errorf("%s: the reader was not closed", name)
			}
		})
	}
}

// Goal: rows that would lie in two cache lines are made longer, if that takes at most a third more.
// Method: tables with up to eleven columns, whose key is a bigint or a text.
func TestLines(t *testing.T) {
	const line = 64
	for columns := 1; columns < 12; columns++ {
		for _, kind := range []record.Type{record.Int64, record.String} {
			fields := []record.Field{{Name: "id", Type: kind}}
			for i := 1; i < columns; i++ {
				fields = append(fields, record.Field{Name: fmt.Sprintf("c%d", i), Type: record.Int64})
			}
			schema, err := record.NewSchema("t", fields...)
			if err != nil {
				t.Fatal(err)
			}
			s, err := newShape(schema, []int{0})
			if err != nil {
				t.Fatal(err)
			}
			used, size := 8*s.nulls, 8*s.stride
			if size < used || size > used+used/3 {
				t.Errorf("%d columns, %v: a row of %d bytes takes %d", columns, kind, used, size)
			}
			want := used == 3*8 || used == 6*8 || used == 7*8 || line%used == 0
			one := line%size == 0
			if one != want {
				t.Errorf("%d columns, %v: rows of %d bytes take %d", columns, kind, used, size)
			}
		}
	}
}

// What a load costs for each row.
func BenchmarkLoad(b *testing.B) {
	rows := accounts(1_000_000)
	table := tableOf(b, func() ([]account, error) { return rows, nil }, "id")
	for b.Loop() {
		if err := table.Reload(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/row")
}
