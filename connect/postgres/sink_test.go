//go:build unix

package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/internal/cursors"
	"github.com/velo-engine/velo/record"
)

// sink makes a sink of the server.
func (s *server) sink(cfg SinkConfig) *Sink {
	s.t.Helper()
	sink, err := s.open(cfg)
	must(s.t, err)
	return sink
}

func (s *server) open(cfg SinkConfig) (*Sink, error) {
	s.t.Helper()
	if cfg.URL == "" {
		cfg.URL = s.url()
	}
	if cfg.Table == "" {
		cfg.Table = "sums"
	}
	if cfg.Schema == nil {
		cfg.Schema = sumSchema(s.t)
	}
	if cfg.Name == "" {
		cfg.Name = "out"
	}
	if cfg.Mode == Upsert && cfg.Keys == nil {
		cfg.Keys = []string{"w", "k"}
	}
	sink, err := NewSink(s.t.Context(), cfg)
	if err == nil {
		s.t.Cleanup(func() { _ = sink.Close() })
	}
	return sink, err
}

// rowsOf are the rows k0, k1, ... of a window.
func rowsOf(t testing.TB, window, keys int) *record.Batch { return keysOf(t, window, 0, keys) }

// keysOf are the rows of some keys of a window.
func keysOf(t testing.TB, window, from, to int) *record.Batch {
	b := record.NewBatch(sumSchema(t), 0)
	for k := from; k < to; k++ {
		b.Add(10)
		b.SetInt64(0, int64(window))
		b.SetString(1, fmt.Sprint("k", k))
		b.SetInt64(2, int64(window*1000+k))
	}
	return b
}

// until calls as an engine does: again after a transient error, for a minute at most.
func until(t testing.TB, call func() error) error {
	t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := call()
		if err == nil || !errors.Is(err, record.ErrTransient) {
			return err
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("still after a minute: %v", err)
		}
	}
}

// window writes a window with two keys.
func window(t testing.TB, s *Sink, w int) error {
	t.Helper()
	must(t, s.Write(t.Context(), rowsOf(t, w, 2)))
	return until(t, func() error { return s.EndWindow(t.Context(), int64(w)) })
}

// checkWindows checks that the table has the windows 1..n, each once and whole.
func (s *server) checkWindows(n int) {
	s.t.Helper()
	want := ""
	for w := 1; w <= n; w++ {
		want += fmt.Sprintf("%d k0 %d\n%d k1 %d\n", w, w*1000, w, w*1000+1)
	}
	if got := s.text("SELECT format('%s %s %s', w, k, n) FROM sums ORDER BY w, k, n"); got != want {
		s.t.Errorf("the table has\n%s, expected\n%s", got, want)
	}
}

// Goal: every value comes back as it was, in a table that the sink has made and in one of other
// types. Method: the extremes and random values of each type, compared as the server prints them.
func TestTypes(t *testing.T) {
	s := newServer(t)
	schema := schemaOf(t, record.Field{Name: "b", Type: record.Bool, Nullable: true},
		record.Field{Name: "Odd \"name", Type: record.Int64}, record.Field{Name: "f", Type: record.Float64},
		record.Field{Name: "s", Type: record.String, Nullable: true}, record.Field{Name: "at", Type: record.Timestamp},
		record.Field{Name: "d", Type: record.DecimalOf(18, 5)})
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	b := record.NewBatch(schema, 0)
	want := ""
	add := func(null bool, i int64, f float64, text string, at time.Time, d int64) {
		b.Add(len(text))
		want += "|"
		if null {
			b.SetNull(0)
			b.SetNull(3)
			want = strings.TrimSuffix(want, "|") + "-|"
			text = "-"
		} else {
			b.SetBool(0, i&1 == 1)
			b.SetString(3, text)
			want = strings.TrimSuffix(want, "|") + fmt.Sprint(i&1 == 1) + "|"
		}
		b.SetInt64(1, i)
		b.SetFloat64(2, f)
		b.SetTime(4, at)
		b.SetInt64(5, d)
		shown := at.UTC().Format("2006-01-02 15:04:05.000000")
		want += fmt.Sprintf("%d|%x|%s|%s|%s\n", i, math.Float64bits(f), text, shown,
			record.Decimal{Unscaled: d, Scale: 5})
	}
	day := time.Date(2026, 3, 2, 9, 30, 0, 123456000, time.UTC)
	add(false, math.MaxInt64, math.MaxFloat64, "", day, 999_999_999_999_999_999)
	add(true, math.MinInt64, math.SmallestNonzeroFloat64, "", time.Unix(0, 0), -999_999_999_999_999_999)
	add(false, -1, math.Inf(-1), "ünï\tcode\n\\N", time.Unix(-1, 999_999_000), -1)
	add(false, 0, math.Copysign(0, -1), "'", time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC), 0)
	for range 500 {
		add(random.IntN(3) == 0, int64(random.Uint64()), random.NormFloat64(), fmt.Sprint(random.Uint64()),
			time.UnixMicro(random.Int64N(1<<52)-1<<51), random.Int64N(2e17)-1e17)
	}
	columns := `"Odd ""name" bigint, at timestamp, d numeric, f float8, s bytea, b boolean, id serial`
	s.exec("CREATE TABLE other (" + columns + ")")
	for _, table := range []string{"made", "public.other"} {
		sink := s.sink(SinkConfig{Table: table, Schema: schema, Create: true})
		must(t, sink.Write(t.Context(), b))
		got := s.text(fmt.Sprintf(`SELECT concat_ws('|', coalesce(CASE WHEN b THEN 'true' WHEN NOT b THEN 'false' END, '-'),
			"Odd ""name", ltrim(encode(float8send(f), 'hex'), '0'), coalesce(%s, '-'),
			to_char(at, 'YYYY-MM-DD HH24:MI:SS.US'), d) FROM %s`,
			map[string]string{"made": "s", "public.other": "convert_from(s, 'UTF8')"}[table], table))
		// A table has no order.
		found, expected := strings.Split(got, "\n"), strings.Split(want, "\n")
		slices.Sort(found)
		slices.Sort(expected)
		if len(found) != len(expected) {
			t.Fatalf("seed %d, table %s: %d lines, expected %d", seed, table, len(found), len(expected))
		}
		for i, line := range expected {
			if found[i] != line {
				t.Fatalf("seed %d, table %s: a row is\n%q, expected\n%q", seed, table, found[i], line)
			}
		}
	}
}

// Goal: a table that does not fit is refused at the start, and the error says everything that
// differs.
func TestCompare(t *testing.T) {
	s := newServer(t)
	s.exec(`CREATE VIEW v AS SELECT 1 AS w; CREATE DOMAIN narrow AS bigint;
		CREATE TABLE a (w integer, n narrow, z text NOT NULL);
		CREATE TABLE g (w bigint GENERATED ALWAYS AS IDENTITY, k text, n bigint GENERATED ALWAYS AS (1) STORED);
		CREATE TABLE nokey (w bigint, k text, n bigint, UNIQUE (w, k, n)); CREATE UNIQUE INDEX ON nokey (w, k) WHERE n > 0;
		CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		CREATE TABLE blind (w bigint, k text COLLATE blind, n bigint, PRIMARY KEY (w, k));
		CREATE TABLE nulls (w bigint, k text, n bigint, UNIQUE (n));
		CREATE UNLOGGED TABLE u (w bigint, k text, n bigint);
		CREATE TABLE mine (w bigint, k text, n bigint); CREATE USER guest;
		CREATE TABLE fits (n bigint, k varchar, extra text, w bigint, PRIMARY KEY (k, w) INCLUDE (n))`)
	for _, test := range []struct {
		cfg  SinkConfig
		want string
	}{
		{SinkConfig{Table: "none"}, "there is no such table"},
		{SinkConfig{Table: "v"}, "public.v is no table"},
		{SinkConfig{Table: "a"}, `column "w" is integer, expected bigint; column "n" is narrow, expected bigint; ` +
			`column "z" is NOT NULL without a default, and the query has no such column; ` +
			`column "k" is missing, expected text, character varying without a length, or bytea`},
		{SinkConfig{Table: "g"}, `column "w" is generated by the database; column "n" is generated by the database`},
		{SinkConfig{Table: "nokey", Mode: Upsert}, `no primary key or unique index on exactly ("w", "k")`},
		{SinkConfig{Table: "blind", Mode: Upsert}, `column "k" of the key has a collation`},
		{SinkConfig{Table: "blind"}, ""},
		{SinkConfig{Table: "nulls", Mode: Upsert, Keys: []string{"n"}}, "NULLS NOT DISTINCT"},
		{
			SinkConfig{Table: "mine", URL: strings.Replace(s.url(), "user=velo", "user=guest", 1)},
			"GRANT INSERT ON public.mine",
		},
		{SinkConfig{Table: "fits", Mode: Upsert}, ""},
		{SinkConfig{Table: "fits"}, ""},
	} {
		_, err := s.open(test.cfg)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, expected %q", test.cfg.Table, err, test.want)
		}
	}
	if _, err := s.sink(SinkConfig{Table: "u"}).Recover(t.Context(), "j", nil); err == nil ||
		!strings.Contains(err.Error(), "SET LOGGED") {
		t.Errorf("a table that a crash empties: %v", err)
	}
	// A table that changes while the job runs is no surprise, either.
	sink := s.sink(SinkConfig{Table: "mine"})
	s.exec("ALTER TABLE mine ALTER n TYPE integer; SELECT pg_terminate_backend(pid) FROM pg_stat_activity " +
		"WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
	err := until(t, func() error { return sink.Write(t.Context(), rowsOf(t, 1, 1)) })
	if err == nil || !strings.Contains(err.Error(), `column "n" is integer, expected bigint`) {
		t.Errorf("after a change: %v", err)
	}
}

// Goal: a window is there when EndWindow returns, and not before; a restart goes on after it; the
// process before is fenced and says so; what does not fit together is refused and disturbs nobody.
func TestWindows(t *testing.T) {
	for _, mode := range []Mode{Append, Upsert} {
		t.Run(string(mode), func(t *testing.T) {
			s := newServer(t)
			first := s.sink(SinkConfig{Mode: mode, Create: true})
			at, err := first.Recover(t.Context(), "job", nil)
			if err != nil || at != cursors.None {
				t.Fatalf("%v, %v", at, err)
			}
			before, err := first.Save(t.Context())
			must(t, err)
			must(t, first.Write(t.Context(), rowsOf(t, 1, 2)))
			s.checkWindows(0)
			must(t, first.EndWindow(t.Context(), 1))
			s.checkWindows(1)
			must(t, first.EndWindow(t.Context(), 1)) // again
			must(t, window(t, first, 2))
			saved, err := first.Save(t.Context())
			must(t, err)

			other := s.sink(SinkConfig{Mode: mode})
			if _, err := other.Recover(t.Context(), "job", nil); err == nil || !strings.Contains(err.Error(),
				"the state has nothing") {
				t.Errorf("a state that is gone: %v", err)
			}
			if _, err := other.Recover(t.Context(), "elsewhere", saved); err == nil || !strings.Contains(err.Error(),
				"has no cursor") {
				t.Errorf("a cursor that is gone: %v", err)
			}
			must(t, window(t, first, 3))

			second := s.sink(SinkConfig{Mode: mode})
			if at, err := second.Recover(t.Context(), "job", before); err != nil || at != 3 {
				t.Fatalf("%v, %v: expected to go on after 3", at, err)
			}
			if err := window(t, first, 4); !errors.Is(err, cursors.ErrReplaced) {
				t.Errorf("the process before: %v", err)
			}
			must(t, window(t, second, 4))
			must(t, second.EndWindow(t.Context(), math.MaxInt64))
			s.checkWindows(4)

			s.exec("UPDATE velo_cursors SET window_end = 3")
			if _, err := s.sink(SinkConfig{Mode: mode}).Recover(t.Context(), "job", []byte(`{"window":4}`)); !errors.Is(err,
				cursors.ErrBack) {
				t.Errorf("a database that was put back: %v", err)
			}
			s.exec("ALTER TABLE sums RENAME TO sums2; CREATE TABLE sums (LIKE sums2 INCLUDING ALL); " +
				"UPDATE velo_cursors SET target = 'public.sums2'")
			if _, err := s.sink(SinkConfig{Mode: mode}).Recover(t.Context(), "job", saved); err == nil ||
				!strings.Contains(err.Error(), "is for table public.sums2") {
				t.Errorf("another table: %v", err)
			}
		})
	}
}

// batches are the rows of a transaction.
func batches(all ...*record.Batch) iter.Seq[*record.Batch] { return slices.Values(all) }

// changeRows are changes: "k0=5" upserts, "-k0" deletes, and ~ is a NULL key.
func changeRows(t testing.TB, schema *record.Schema, all ...string) *record.Batch {
	b := record.NewBatch(schema, 0)
	for _, c := range all {
		b.Add(20)
		key, n, upsert := strings.Cut(c, "=")
		if upsert {
			b.SetString(0, "upsert")
			var v int64
			_, err := fmt.Sscan(n, &v)
			must(t, err)
			b.SetInt64(2, v)
		} else {
			b.SetString(0, "delete")
			key = key[1:]
			b.SetNull(2)
		}
		if key == "~" {
			b.SetNull(1)
		} else {
			b.SetString(1, key)
		}
	}
	return b
}

// Goal: in mode upsert the last change of a key counts, whichever batches they are in, and deletes
// delete; a number is written once. Method: changes in several transactions, beside a map.
func TestChanges(t *testing.T) {
	s := newServer(t)
	for _, nullable := range []bool{false, true} {
		table := fmt.Sprint("nullable_", nullable)
		schema := schemaOf(t, record.Field{Name: "op", Type: record.String},
			record.Field{Name: "k", Type: record.String, Nullable: nullable},
			record.Field{Name: "n", Type: record.Int64, Nullable: true})
		cfg := SinkConfig{Table: table, Schema: schema, Changes: true, Mode: Upsert, Keys: []string{"k"}, Create: true}
		sink := s.sink(cfg)
		n, err := sink.RecoverOutput(t.Context(), table)
		if err != nil || n != 0 {
			t.Fatalf("%v, %v", n, err)
		}
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		want := map[string]string{}
		keys := []string{"a", "b", "c", "d", "e"}
		if nullable {
			keys = append(keys, "~")
		}
		for number := uint64(1); number <= 40; number++ {
			var all []*record.Batch
			for range random.IntN(3) {
				var changes []string
				for range 1 + random.IntN(8) {
					key := keys[random.IntN(len(keys))]
					if random.IntN(3) == 0 {
						changes = append(changes, "-"+key)
						delete(want, key)
						continue
					}
					v := fmt.Sprint(random.IntN(1000))
					changes = append(changes, key+"="+v)
					want[key] = v
				}
				all = append(all, changeRows(t, schema, changes...))
			}
			must(t, sink.Commit(t.Context(), number, batches(all...), false))
			must(t, sink.Commit(t.Context(), number, batches(changeRows(t, schema, "wrong=1")), false))
			got := map[string]string{}
			for _, row := range strings.Fields(s.text("SELECT coalesce(k, '~') || '=' || n FROM " + table)) {
				k, v, _ := strings.Cut(row, "=")
				got[k] = v
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("seed %d, transaction %d: %v, expected %v", seed, number, got, want)
			}
			if random.IntN(10) == 0 {
				next := s.sink(cfg)
				if n, err := next.RecoverOutput(t.Context(), table); err != nil || n != number {
					t.Fatalf("%v, %v: expected to go on after %d", n, err, number)
				}
				if err := sink.Commit(t.Context(), number+1, batches(), false); !errors.Is(err, cursors.ErrReplaced) {
					t.Fatalf("the process before: %v", err)
				}
				sink = next
			}
		}
	}
	if s.text("SELECT count(*)::text FROM pg_constraint WHERE conrelid = 'nullable_false'::regclass "+
		"AND contype = 'p'") != "1\n" {
		t.Errorf("the table has no primary key")
	}
}

// Goal: a row that the database refuses, a text that it cannot store, a window that is too large
// and a key with nanoseconds end the job, with what is wrong; texts are replaced only on demand.
func TestRefused(t *testing.T) {
	s := newServer(t)
	schema := schemaOf(t, record.Field{Name: "s", Type: record.String}, record.Field{Name: "at", Type: record.Timestamp})
	row := func(text string, nanos int64) *record.Batch {
		b := record.NewBatch(schema, 0)
		b.Add(len(text))
		b.SetString(0, text)
		b.SetInt64(1, nanos)
		return b
	}
	s.exec(`CREATE TABLE checked (s text CHECK (s <> 'no'), at timestamptz PRIMARY KEY, UNIQUE (s))`)
	cfg := SinkConfig{Table: "checked", Schema: schema}
	for _, test := range []struct {
		change func(*SinkConfig)
		batch  *record.Batch
		want   string
	}{
		{func(*SinkConfig) {}, row("no", 0), "violates check constraint"},
		{func(*SinkConfig) {}, row("a\x00b", 0), "it has a byte 0"},
		{func(*SinkConfig) {}, row("a\xffb", 0), "it is not valid UTF-8"},
		{func(c *SinkConfig) { c.Mode, c.Keys = Upsert, []string{"at"} }, row("a", 1001), "has nanoseconds"},
		{func(*SinkConfig) {}, row("a", 1001), ""},
		{func(*SinkConfig) {}, row("a", 1000), "Key (at)=(1970-01-01 00:00:00.000001+00) already exists."},
		{func(c *SinkConfig) { c.Mode, c.Keys, c.BadText = Upsert, []string{"s"}, ReplaceText }, row("\xff", 0), "is a key"},
		{func(c *SinkConfig) { c.BadText = ReplaceText }, row("a\x00b\xff", 5000), ""},
	} {
		c := cfg
		test.change(&c)
		sink := s.sink(c)
		err := sink.Write(t.Context(), test.batch)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) ||
			errors.Is(err, record.ErrTransient)) {
			t.Errorf("%v, expected %q", err, test.want)
		}
		if c.BadText != "" && test.want == "" && sink.Stats().Replaced != 1 {
			t.Errorf("%d texts were replaced, expected 1", sink.Stats().Replaced)
		}
	}
	if got := s.text("SELECT s FROM checked ORDER BY at"); got != "a\na\uFFFDb\uFFFD\n" {
		t.Errorf("the table has %q", got)
	}
	cfg.WindowBytes = 100
	sink := s.sink(cfg)
	_, err := sink.Recover(t.Context(), "job", nil)
	must(t, err)
	must(t, sink.Write(t.Context(), row("a", 0)))
	if err := sink.Write(t.Context(), row(strings.Repeat("x", 100), 0)); err == nil || !strings.Contains(err.Error(),
		"window.bytes") {
		t.Errorf("a window of more than 100 bytes: %v", err)
	}
}

// proxy stands between a sink and the server.
type proxy struct {
	l    net.Listener
	to   string // socket of the server
	mu   sync.Mutex
	mode string
	hits int
}

// The modes of a proxy: what happens to the next COMMIT.
const (
	dropAnswer = "the COMMIT arrives, its answer does not"
	dropCommit = "the COMMIT does not arrive"
	holdCommit = "the COMMIT arrives when the client has long given up"
	noAnswer   = "the COMMIT arrives, and there is silence"
)

func newProxy(t *testing.T, to string) *proxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &proxy{l: l, to: to}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(c)
		}
	}()
	return p
}

// url is how to connect to the proxy.
func (p *proxy) url() string {
	at := p.l.Addr().(*net.TCPAddr)
	return fmt.Sprintf("postgres://velo@127.0.0.1:%d/velo?sslmode=disable", at.Port)
}

// set says what happens to the next COMMIT.
func (p *proxy) set(mode string) {
	p.mu.Lock()
	p.mode = mode
	p.mu.Unlock()
}

// serve passes on what both say.
func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("unix", p.to)
	if err != nil {
		return
	}
	var mu sync.Mutex
	mute, silent, keep := false, false, false
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			mu.Lock()
			muted, quiet := mute, silent
			mu.Unlock()
			if err != nil {
				_ = client.Close()
				return
			}
			if quiet {
				continue
			}
			if muted {
				_ = client.Close()
				continue
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	defer func() {
		if !keep {
			_ = server.Close()
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		mode := ""
		if strings.Contains(string(buf[:n]), "COMMIT\x00") {
			p.mu.Lock()
			mode, p.mode = p.mode, ""
			if mode != "" {
				p.hits++
			}
			p.mu.Unlock()
		}
		switch mode {
		case dropCommit:
			return
		case holdCommit:
			keep = true
			time.AfterFunc(300*time.Millisecond, func() {
				_, _ = server.Write(buf[:n])
				time.AfterFunc(time.Second, func() { _ = server.Close() })
			})
			return
		case dropAnswer:
			mu.Lock()
			mute = true
			mu.Unlock()
			keep = true // the answer ends it
		case noAnswer:
			mu.Lock()
			silent = true
			mu.Unlock()
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// Goal: each window and each numbered transaction is there once, whatever happens to a COMMIT and
// its answer, also if the COMMIT comes to the server after the sink has begun to try again. Method:
// a proxy that does it to every third COMMIT.
func TestLostCommit(t *testing.T) {
	for _, mode := range []string{dropAnswer, dropCommit, holdCommit, noAnswer} {
		t.Run(strings.ReplaceAll(mode, " ", "_"), func(t *testing.T) {
			s := newServer(t)
			p := newProxy(t, s.socket())
			cfg := SinkConfig{URL: p.url(), Create: true}
			if mode == noAnswer {
				cfg.TransactionTimeout = 2 * time.Second
			}
			sink := s.sink(cfg)
			_, err := sink.Recover(t.Context(), "job", nil)
			must(t, err)
			const windows = 12
			for w := 1; w <= windows; w++ {
				if w%3 == 0 {
					p.set(mode)
				}
				if w%2 == 0 {
					must(t, window(t, sink, w))
					continue
				}
				must(t, until(t, func() error {
					return sink.Commit(t.Context(), uint64(w), batches(rowsOf(t, w, 2)), false)
				}))
			}
			s.checkWindows(windows)
			if p.hits != windows/3 {
				t.Errorf("%d COMMITs were lost, expected %d", p.hits, windows/3)
			}
		})
	}
}

// Goal: a process that hangs in a transaction does not keep another one from taking over, and
// commits nothing afterwards.
func TestHungPredecessor(t *testing.T) {
	s := newServer(t)
	first := s.sink(SinkConfig{Create: true})
	_, err := first.Recover(t.Context(), "job", nil)
	must(t, err)
	must(t, window(t, first, 1))
	hangs, goOn := make(chan struct{}), make(chan struct{})
	hook = func(at string) {
		if at == beforeCommit {
			hook = func(string) {}
			close(hangs)
			<-goOn
		}
	}
	defer func() { hook = func(string) {} }()
	must(t, first.Write(t.Context(), rowsOf(t, 2, 2)))
	ended := make(chan error, 1)
	go func() { ended <- first.EndWindow(context.Background(), 2) }()
	<-hangs
	second := s.sink(SinkConfig{})
	if at, err := second.Recover(t.Context(), "job", []byte(`{"window":1}`)); err != nil || at != 1 {
		t.Fatalf("%v, %v: expected to go on after 1", at, err)
	}
	close(goOn)
	if err := <-ended; !errors.Is(err, record.ErrTransient) {
		t.Errorf("it hung: %v", err)
	}
	if err := first.EndWindow(t.Context(), 2); !errors.Is(err, cursors.ErrReplaced) {
		t.Errorf("tried again: %v", err)
	}
	must(t, window(t, second, 2))
	s.checkWindows(2)
}

// Goal: a server that crashes and comes back costs nothing. Method: it is killed while windows are
// written, and started again.
func TestServerCrash(t *testing.T) {
	s := newServer(t)
	// A commit that was confirmed must be there although the database would not wait for the disk.
	s.exec("ALTER DATABASE velo SET synchronous_commit = off")
	sink := s.sink(SinkConfig{Create: true})
	_, err := sink.Recover(t.Context(), "job", nil)
	must(t, err)
	for w := 1; w <= 6; w++ {
		if w%2 == 1 {
			must(t, window(t, sink, w))
			continue
		}
		s.Kill()
		started := make(chan struct{})
		time.AfterFunc(200*time.Millisecond, func() {
			defer close(started)
			s.Restart()
		})
		must(t, window(t, sink, w))
		<-started
	}
	s.connect("velo")
	s.checkWindows(6)
}

// Goal: a server that only reads, as a standby does that is about to take over, is tried again.
func TestReadOnly(t *testing.T) {
	s := newServer(t)
	const forget = "; SELECT pg_terminate_backend(pid) FROM pg_stat_activity " +
		"WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
	for _, mode := range []Mode{Append, Upsert} {
		s.exec("DROP TABLE IF EXISTS sums")
		sink := s.sink(SinkConfig{Mode: mode, Create: true})
		_, err := sink.Recover(t.Context(), string(mode), nil)
		must(t, err)
		s.exec("ALTER DATABASE velo SET default_transaction_read_only = on" + forget)
		must(t, sink.Write(t.Context(), rowsOf(t, 1, 2)))
		said := ""
		for range 3 {
			err = sink.EndWindow(t.Context(), 1)
			if !errors.Is(err, record.ErrTransient) {
				t.Fatalf("mode %s: %v, expected an error that is tried again", mode, err)
			}
			said = err.Error()
		}
		if !strings.Contains(said, "read-only") {
			t.Errorf("mode %s: %s", mode, said)
		}
		s.exec("SET transaction_read_only = off; ALTER DATABASE velo RESET default_transaction_read_only" + forget)
		must(t, until(t, func() error { return sink.EndWindow(t.Context(), 1) }))
		s.checkWindows(1)
	}
}

// Goal: without a state rows are written at least once, and in mode upsert again to the same
// effect. The password comes from a file, at each connection, and is in no message.
func TestWithoutState(t *testing.T) {
	s := newServer(t)
	s.exec("CREATE USER secret PASSWORD 'hunter2'; GRANT ALL ON SCHEMA public TO secret")
	conf := filepath.Join(s.Dir, "data", "pg_hba.conf")
	must(t, os.WriteFile(conf, []byte("local all secret scram-sha-256\nlocal all all trust\n"), 0o600))
	s.exec("SELECT pg_reload_conf()")
	file := filepath.Join(t.TempDir(), "password")
	url := strings.Replace(s.url(), "user=velo", "user=secret", 1)
	must(t, os.WriteFile(file, []byte("wrong hunter2\n"), 0o600))
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) { // until the server has read its file
		_, err := s.open(SinkConfig{URL: url, PasswordFile: file, Create: true, Mode: Upsert})
		if err != nil {
			if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "password authentication failed") {
				t.Errorf("a wrong password: %v", err)
			}
			break
		}
		if time.Since(began) > time.Minute {
			t.Fatal("no password was asked for after a minute")
		}
	}
	must(t, os.WriteFile(file, []byte("hunter2\n"), 0o600))
	p := newProxy(t, s.socket())
	url = strings.Replace(p.url(), "velo@", "secret@", 1)
	sink := s.sink(SinkConfig{URL: url, PasswordFile: file, Create: true, Mode: Upsert})
	for w := 1; w <= 4; w++ {
		p.set(map[int]string{2: dropAnswer, 3: dropCommit}[w])
		must(t, until(t, func() error { return sink.Write(t.Context(), rowsOf(t, w, 2)) }))
	}
	s.checkWindows(4)
	if s.text("SELECT to_regclass('velo_cursors')::text") != "NULL\n" {
		t.Error("there is a cursor table, and nothing needs it")
	}
}
