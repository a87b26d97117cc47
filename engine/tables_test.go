package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/result"
)

type visit struct{ Page int64 }

type page struct{ ID, Version int64 }

// pages is a table of n pages, all of which have the number of the load as their version.
func pages(t testing.TB, n int, change func(c *lookup.Config)) *lookup.Table {
	t.Helper()
	schema, err := record.SchemaOf[page]("pages")
	if err != nil {
		t.Fatal(err)
	}
	loads := int64(0)
	c := lookup.Config{Schema: schema, Key: []string{"id"}, Load: lookup.Rows(func(context.Context) ([]page, error) {
		loads++
		all := make([]page, n)
		for i := range all {
			all[i] = page{int64(i), loads}
		}
		return all, nil
	})}
	if change != nil {
		change(&c)
	}
	table, err := lookup.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// visits are a feed of visits, and plans over them that join the table.
func visits(t testing.TB, table *lookup.Table, texts ...string) (*readers.Feed[visit], []*plan.Plan) {
	t.Helper()
	schema, err := record.SchemaOf[visit]("visits")
	if err != nil {
		t.Fatal(err)
	}
	feed, err := readers.NewFeed[visit](schema, readers.FeedConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var plans []*plan.Plan
	for _, text := range texts {
		p, err := query.Catalog{Sources: []*record.Schema{schema}, Tables: []*lookup.Table{table}}.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		plans = append(plans, p)
	}
	return feed, plans
}

// Goal: an engine starts when its table is loaded, and takes up a new version with an epoch, soon
// after the load, whether or not somebody asks for epochs. All records are found.
func TestTableVersions(t *testing.T) {
	table := pages(t, 10, nil)
	feed, plans := visits(t, table, `SELECT p.version, count(*) AS n FROM visits v JOIN pages p ON v.page = p.id GROUP BY p.version`)
	e := start(t, engine.Config{
		Plan: plans[0], Readers: []record.Reader{feed}, Partitions: 2, EpochInterval: -1,
		NoPin: true,
	})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	count, err := result.ColumnOf[int64](plans[0], "n")
	if err != nil {
		t.Fatal(err)
	}
	counts := func() (all map[int64]int64, sum int64) {
		if err := e.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		s := e.Snapshot()
		defer s.Close()
		all = map[int64]int64{}
		for row := range s.All() {
			version, err := result.ColumnOf[int64](plans[0], "version")
			if err != nil {
				t.Fatal(err)
			}
			all[version.Of(row)] = count.Of(row)
			sum += count.Of(row)
		}
		return all, sum
	}
	send := func() {
		if err := lane.Send(t.Context(), visit{3}); err != nil {
			t.Fatal(err)
		}
	}
	sent, epoch := int64(0), uint64(0)
	for version := int64(1); version <= 4; version++ {
		deadline := time.Now().Add(time.Minute)
		for {
			send()
			sent++
			all, sum := counts()
			if sum != sent {
				t.Fatalf("%d of %d records were counted: %v", sum, sent, all)
			}
			if all[version] > 2 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("version %d is not taken up: %v", version, all)
			}
		}
		epoch = e.Stats().Epoch
		if err := table.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// Without anybody who asks for epochs: the router asks.
	send()
	eventually(t, "an epoch that nobody has asked for", func() bool { return e.Stats().Epoch > epoch })
	send()
	if all, _ := counts(); all[5] == 0 {
		t.Errorf("nobody asked for an epoch, and the last version was not taken up: %v", all)
	}
	s := e.Stats()
	if len(s.Tables) != 1 || s.Tables[0].Version != 5 || s.Tables[0].Lookups != uint64(sent+2) ||
		s.Tables[0].Misses != 0 {
		t.Errorf("stats: %+v", s.Tables)
	}
}

// Goal: two plans of one engine always meet the same versions: in each snapshot both have counted
// the same records with each version; and the records of the one reader between two epochs have met
// one version. Method: a busy feed, loads one after the other; one plan
// counts by version, and the other by page and version, so that their stages differ.
func TestTableVersionsOfPlans(t *testing.T) {
	table := pages(t, 100, nil)
	feed, plans := visits(t, table,
		`SELECT p.version, count(*) AS n FROM visits v JOIN pages p ON v.page = p.id GROUP BY p.version`,
		`SELECT p.version AS version, v.page % 7 AS part, count(*) AS n FROM visits v LEFT JOIN pages p ON v.page = p.id WHERE v.page >= 0 GROUP BY 1, 2`)
	e := start(t, engine.Config{
		Plans: []engine.PlanConfig{{Plan: plans[0]}, {Plan: plans[1]}}, Readers: []record.Reader{feed},
		Partitions: 2, EpochInterval: 200 * time.Microsecond, EpochShare: 1, NoPin: true, BatchRows: 64,
	})
	var stop atomic.Bool
	done := make(chan error, 2)
	go func() {
		lane, err := feed.Lane()
		for i := 0; err == nil && !stop.Load(); i++ {
			err = lane.Send(context.Background(), visit{int64(i % 100)})
		}
		done <- err
	}()
	go func() {
		var err error
		for err == nil && !stop.Load() {
			err = table.Reload(context.Background())
			time.Sleep(time.Millisecond)
		}
		done <- err
	}()
	byVersion := func(s *engine.Snapshot, p *plan.Plan) map[int64]int64 {
		version, err1 := result.ColumnOf[int64](p, "version")
		n, err2 := result.ColumnOf[int64](p, "n")
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		all := map[int64]int64{}
		for row := range s.Of(p).All() {
			all[version.Of(row)] += n.Of(row)
		}
		return all
	}
	versions, epochs, compared := 0, 0, 0
	var before map[int64]int64
	last := uint64(0)
	for s := range e.Updates(t.Context()) {
		first, second := byVersion(s, plans[0]), byVersion(s, plans[1])
		if fmt.Sprint(first) != fmt.Sprint(second) {
			t.Fatalf("epoch %d: %v in one plan, %v in the other", s.Epoch(), first, second)
		}
		grown := 0
		for version, n := range first {
			if n > before[version] {
				grown++
			}
		}
		if s.Epoch() == last+1 && grown > 1 {
			t.Fatalf("epoch %d has records with %d versions, expected one: %v after %v", s.Epoch(), grown, first,
				before)
		} else if s.Epoch() == last+1 && grown == 1 {
			compared++
		}
		before, last = first, s.Epoch()
		versions = max(versions, len(first))
		epochs++
		if versions >= 20 {
			break
		}
	}
	stop.Store(true)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if compared < 3 {
		t.Logf("only %d of %d epochs could be compared with the one before", compared, epochs)
	}
}

// Goal: an engine does not start without its table, and runs nothing then; a table that becomes
// stale ends it if it is told so; after the end nothing is loaded any more.
func TestTableFailures(t *testing.T) {
	broken := pages(t, 1, func(c *lookup.Config) {
		c.Load = func(context.Context, *lookup.Builder) error { return errors.New("no connection") }
	})
	text := `SELECT count(*) AS n FROM visits v JOIN pages p ON v.page = p.id`
	feed, plans := visits(t, broken, text)
	cfg := engine.Config{Plan: plans[0], Readers: []record.Reader{feed}, Partitions: 1, NoPin: true}
	if _, err := engine.Start(t.Context(), cfg); err == nil || !errors.Is(err, err) ||
		err.Error() != "engine: not started: no connection" {
		t.Errorf("an engine without its table: %v", err)
	}
	var loads atomic.Int64
	aging := pages(t, 1, func(c *lookup.Config) {
		load := c.Load
		c.Refresh, c.MaxStale, c.OnStale = 5*time.Millisecond, 30*time.Millisecond, lookup.FailStale
		c.Load = func(ctx context.Context, b *lookup.Builder) error {
			if loads.Add(1) > 3 {
				return errors.New("no connection")
			}
			return load(ctx, b)
		}
	})
	feed, plans = visits(t, aging, text)
	cfg.Plan, cfg.Readers = plans[0], []record.Reader{feed}
	e, err := engine.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Wait(); !errors.Is(err, lookup.ErrStale) {
		t.Errorf("the table is stale: %v", err)
	}
	if err := e.Close(); err != nil && !errors.Is(err, lookup.ErrStale) {
		t.Error(err)
	}
	before := loads.Load()
	time.Sleep(50 * time.Millisecond)
	if n := loads.Load(); n > before+1 {
		t.Errorf("the table was loaded %d times after the engine had ended", n-before)
	}
}

// Goal: a state belongs to the tables that its plan joins, whatever they are called in the query.
func TestTablesInFingerprint(t *testing.T) {
	other, err := record.NewSchema("articles", record.Field{Name: "id", Type: record.Int64},
		record.Field{Name: "version", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	articles := pages(t, 1, func(c *lookup.Config) { c.Schema = other })
	const text = `SELECT p.version, count(*) AS n FROM visits v JOIN %s p ON v.page = p.id GROUP BY p.version`
	_, first := visits(t, pages(t, 1, nil), fmt.Sprintf(text, "pages"))
	_, again := visits(t, pages(t, 1, nil), fmt.Sprintf(text, "pages"))
	_, second := visits(t, articles, fmt.Sprintf(text, "articles"))
	inWords := func(p []*plan.Plan) string { return fmt.Sprint(engine.Fingerprint(p[0])) }
	if inWords(first) != inWords(again) {
		t.Errorf("the same query has two fingerprints:\n%s\n%s", inWords(first), inWords(again))
	}
	if inWords(first) == inWords(second) {
		t.Errorf("queries over two tables have one fingerprint:\n%s", inWords(first))
	}
}

// Goal: a table may have the groups of a plan of the same engine, so that a plan that is added joins
// each record with what is known of its group.
func TestLoadGroups(t *testing.T) {
	feed, compile := ticks(t)
	first := compile(`SELECT key, sum(value) AS total, max(value) AS most FROM ticks GROUP BY key`)
	e := start(t, engine.Config{
		Plan: first, Readers: []record.Reader{feed}, Partitions: 2, NoPin: true, EpochInterval: -1,
		StateBytes: 16 << 20,
	})
	schema, err := record.NewSchema("totals", record.Field{Name: "key", Type: record.Int64},
		record.Field{Name: "total", Type: record.Int64, Nullable: true},
		record.Field{Name: "most", Type: record.Int64, Nullable: true})
	if err != nil {
		t.Fatal(err)
	}
	totals, err := lookup.New(lookup.Config{Schema: schema, Key: []string{"key"}, Load: engine.LoadGroups(e, first)})
	if err != nil {
		t.Fatal(err)
	}
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	send(t, lane, 0, 100) // key 3: 3 + 13 + ... + 93
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := compile(`SELECT count(*) AS n, sum(t.total) AS total FROM ticks AS k JOIN totals AS t ON k.key = t.key `+
		`WHERE t.most >= 95`, totals)
	if _, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: second}); err != nil {
		t.Fatal(err)
	}
	send(t, lane, 100, 110)
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := e.Snapshot()
	defer s.Close()
	total, err := result.ColumnOf[int64](second, "total")
	if err != nil {
		t.Fatal(err)
	}
	for row := range s.Of(second).All() {
		if got := total.Of(row); got != 2600 { // the group of key k has 450 + 10 k
			t.Errorf("the records of 5 keys find totals of %d, expected 2600", got)
		}
	}
	if n := sumOfN(t, s.Of(second), second); n != 5 {
		t.Errorf("%d records have found a group that they belong to, expected 5", n)
	}
	if err := totals.Configure(func(c *lookup.Config) { c.Load = engine.LoadGroups(e, second) }); err == nil {
		t.Error("a table in use was configured")
	}
	none, err := lookup.New(lookup.Config{
		Schema: schema, Key: []string{"key"}, Load: engine.LoadGroups(e, compile(`SELECT key FROM ticks GROUP BY key`)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := none.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "does not run the plan") {
		t.Errorf("the groups of a plan that does not run: %v", err)
	}
}

// Goal: a plan that could not be added leaves no table in use: it would be loaded for ever, and if
// it went stale, it would end an engine that does not look it up. Method: of two tables of a plan
// one cannot be loaded. Tables of a plan that runs stay in use.
func TestTablesOfPlanNotAdded(t *testing.T) {
	feed, compile := ticks(t)
	shared := pages(t, 5, func(c *lookup.Config) { c.Refresh = time.Hour })
	first := compile(`SELECT count(*) AS n FROM ticks AS t JOIN pages AS p ON t.key = p.id`, shared)
	e := start(t, engine.Config{
		Plan: first, Readers: []record.Reader{feed}, NoPin: true, EpochInterval: -1, StateBytes: 16 << 20,
	})
	named := func(name string, load func(context.Context, *lookup.Builder) error) *lookup.Table {
		schema, err := record.NewSchema(name, record.Field{Name: "id", Type: record.Int64})
		if err != nil {
			t.Fatal(err)
		}
		table, err := lookup.New(lookup.Config{Schema: schema, Key: []string{"id"}, Load: load, Refresh: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	good := named("good", func(context.Context, *lookup.Builder) error { return nil })
	bad := named("bad", func(context.Context, *lookup.Builder) error { return errors.New("no such host") })
	second := compile(`SELECT count(p.id) AS n, count(g.id) AS g, count(b.id) AS b FROM ticks AS t LEFT JOIN pages AS p ON t.key = p.id `+
		`LEFT JOIN good AS g ON t.key = g.id LEFT JOIN bad AS b ON t.key = b.id`, shared, good, bad)
	_, err := e.AddPlan(t.Context(), engine.PlanConfig{Plan: second})
	if err == nil || !strings.Contains(err.Error(), "no such host") {
		t.Fatalf("a plan with a table that cannot be loaded: %v", err)
	}
	if used := e.Stats().Tables; len(used) != 1 || used[0].Table != "pages" {
		t.Errorf("the engine uses %+v, expected the table of the first plan alone", used)
	}
	for _, table := range []*lookup.Table{good, bad} {
		if err := table.Configure(func(*lookup.Config) {}); err != nil {
			t.Errorf("a table that no plan looks up: %v", err)
		}
	}
	if err := shared.Configure(func(*lookup.Config) {}); err == nil {
		t.Error("the table of the first plan is not in use")
	}
}

// Goal: a group whose key is NULL fails a load that says so, and a plan that leaves it out is
// loaded.
func TestLoadGroupsNull(t *testing.T) {
	feed, compile := ticks(t)
	all := compile(`SELECT nullif(key, 3) AS k, count(*) AS n FROM ticks GROUP BY 1`)
	some := compile(`SELECT nullif(key, 3) AS k, count(*) AS n FROM ticks WHERE nullif(key, 3) IS NOT NULL GROUP BY 1`)
	e := start(t, engine.Config{
		Plans:   []engine.PlanConfig{{Plan: all}, {Plan: some}},
		Readers: []record.Reader{feed}, NoPin: true, EpochInterval: -1, StateBytes: 32 << 20,
	})
	lane, err := feed.Lane()
	if err != nil {
		t.Fatal(err)
	}
	send(t, lane, 0, 100)
	if err := e.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	schema, err := record.NewSchema("counts", record.Field{Name: "k", Type: record.Int64},
		record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[*plan.Plan]string{all: "column k of record", some: ""} {
		table, err := lookup.New(lookup.Config{Schema: schema, Key: []string{"k"}, Load: engine.LoadGroups(e, p)})
		if err != nil {
			t.Fatal(err)
		}
		err = table.Reload(t.Context())
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, expected %q", p, err, want)
		}
	}
}
