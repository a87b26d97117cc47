package view_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/view"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type trade struct {
	Symbol string
	Venue  string
	Size   int64
	Price  float64
	At     time.Time
}

// running is an engine over a feed of trades.
type running struct {
	*engine.Engine
	plans []*plan.Plan
	lane  *readers.Lane[trade]
}

// start runs queries over a feed.
func start(t testing.TB, queries ...string) *running {
	t.Helper()
	schema, err := record.SchemaOf[trade]("trades")
	must(t, err)
	feed, err := readers.NewFeed[trade](schema, readers.FeedConfig{})
	must(t, err)
	r := &running{}
	var plans []engine.PlanConfig
	for _, q := range queries {
		p, err := query.Compile(q, schema)
		must(t, err)
		r.plans, plans = append(r.plans, p), append(plans, engine.PlanConfig{Plan: p})
	}
	r.lane, err = feed.Lane()
	must(t, err)
	r.Engine, err = engine.Start(t.Context(), engine.Config{
		Plans: plans, Readers: []record.Reader{feed}, NoPin: true, Cores: 1, Partitions: 2, StateBytes: 256 << 20,
	})
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// send sends trades and waits until they can be read.
func (r *running) send(t testing.TB, trades ...trade) {
	t.Helper()
	_, err := r.lane.SendAll(t.Context(), trades)
	must(t, err)
	must(t, r.Sync(t.Context()))
}

// catalog has the plans as views of these names.
func (r *running) catalog(t testing.TB, l view.Limits, names ...string) *view.Catalog {
	t.Helper()
	c := view.NewCatalog(l)
	for i, name := range names {
		must(t, c.Add(name, view.View{Engine: r.Engine, Plan: r.plans[i], Comment: "view " + name}))
	}
	t.Cleanup(func() {
		if use := c.Use(); use.Memory+use.Spilled+use.Results+use.Held != 0 || use.Running != 0 {
			t.Errorf("left at the end: %+v", use)
		}
	})
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lines are rows as text.
func lines(t testing.TB, rows *view.Rows) (all []string) {
	t.Helper()
	for b, err := range rows.Batches() {
		must(t, err)
		for i := range b.Len() {
			var cells []string
			for c := range b.Schema().Len() {
				cells = append(cells, cell(b, c, i))
			}
			all = append(all, strings.Join(cells, "|"))
		}
	}
	if len(all) != rows.Len() {
		t.Errorf("Len is %d, there are %d rows", rows.Len(), len(all))
	}
	return all
}

func cell(b *record.Batch, column, row int) string {
	c := b.Column(column)
	switch t := b.Schema().Field(column).Type; {
	case c.Null(row):
		return "NULL"
	case t == record.String:
		return string(c.View(row))
	case t == record.Float64:
		return fmt.Sprint(c.Float64s[row])
	case t == record.Timestamp:
		return time.Unix(0, c.Int64s[row]).UTC().Format("15:04:05")
	case t.IsDecimal():
		return record.Decimal{Unscaled: c.Int64s[row], Scale: uint8(t.Scale())}.String()
	default:
		return fmt.Sprint(c.Int64s[row])
	}
}

func ask(t testing.TB, c *view.Catalog, sql string, values ...any) []string {
	t.Helper()
	rows, err := c.Select(t.Context(), sql, values...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	defer rows.Close()
	return lines(t, rows)
}

var nine = time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)

var trades = []trade{
	{"NVDA", "xnas", 100, 120.5, nine},
	{"NVDA", "arca", 300, 121, nine.Add(10 * time.Second)},
	{"AAPL", "xnas", 75, 189.25, nine.Add(20 * time.Second)},
	{"AAPL", "", 50, 188, nine.Add(40 * time.Second)},
	{"NVDA", "xnas", 200, 121, nine.Add(70 * time.Second)},
	{"O'X", "xnas", -5, 1, nine.Add(70 * time.Second)},
}

const (
	bySymbol = "SELECT symbol, sum(size) AS volume, count(*) AS n, avg(price) AS price FROM trades GROUP BY symbol"
	byVenue  = "SELECT symbol, venue, sum(size) AS volume, CAST(max(size) AS decimal(10,2)) AS most FROM trades " +
		"GROUP BY symbol, venue"
)

func TestSelect(t *testing.T) {
	r := start(t, bySymbol, byVenue)
	c := r.catalog(t, view.Limits{}, "sums", "venues")
	r.send(t, trades...)
	tests := []struct {
		sql    string
		values []any
		want   []string
	}{
		{
			"SELECT * FROM sums ORDER BY symbol", nil,
			[]string{"AAPL|125|2|188.625", "NVDA|600|3|120.83333333333333", "O'X|-5|1|1"},
		},
		{"SELECT symbol FROM sums WHERE volume > 0 ORDER BY volume DESC LIMIT 1", nil, []string{"NVDA"}},
		{"SELECT volume FROM sums WHERE symbol = $1", []any{"NVDA"}, []string{"600"}},
		{"SELECT volume + 1, s.symbol FROM sums AS s WHERE s.symbol = $1", []any{"O'X"}, []string{"-4|O'X"}},
		{"SELECT volume FROM sums WHERE symbol = $1", []any{[]byte("none")}, nil},
		{"SELECT volume FROM sums WHERE symbol = $1", []any{nil}, nil},
		{"SELECT volume FROM sums WHERE symbol = $2 AND n = $1", []any{3, "NVDA"}, []string{"600"}},
		{"SELECT volume FROM sums WHERE symbol = $2 AND n = $1", []any{2, "NVDA"}, nil},
		{"SELECT symbol FROM sums WHERE volume = $1", []any{int64(-5)}, []string{"O'X"}},
		{"SELECT symbol FROM sums WHERE price > $1 ORDER BY symbol", []any{120.5}, []string{"AAPL", "NVDA"}},
		{"SELECT symbol FROM sums ORDER BY symbol LIMIT $1 OFFSET $2", []any{1, 1}, []string{"NVDA"}},
		{"SELECT n > 2, count(*) FROM sums GROUP BY 1 ORDER BY 1", nil, []string{"0|2", "1|1"}},
		{"SELECT DISTINCT venue FROM venues ORDER BY venue", nil, []string{"", "arca", "xnas"}},
		{
			"SELECT symbol FROM venues GROUP BY symbol HAVING count(*) > 1 ORDER BY symbol", nil,
			[]string{"AAPL", "NVDA"},
		},
		{"SELECT venue, most FROM venues WHERE symbol = 'NVDA' AND venue = 'arca'", nil, []string{"arca|300.00"}},
		{
			"SELECT venue FROM venues WHERE most = $1",
			[]any{record.Decimal{Unscaled: 30000, Scale: 2}},
			[]string{"arca"},
		},
		{
			"SELECT max(volume) FROM (SELECT symbol, sum(volume) AS volume FROM venues GROUP BY symbol)", nil,
			[]string{"600"},
		},
		{
			"SELECT symbol, rank() OVER (ORDER BY volume DESC) FROM sums ORDER BY 2", nil,
			[]string{"NVDA|1", "AAPL|2", "O'X|3"},
		},
		{
			"SELECT symbol FROM venues WHERE venue = $1 UNION SELECT upper(venue) FROM venues WHERE most < $2 " +
				"ORDER BY 1",
			[]any{"arca", 300},
			[]string{"", "NVDA", "XNAS"},
		},
		{
			"SELECT venue FROM venues UNION SELECT symbol FROM venues WHERE symbol = 'NVDA' ORDER BY 1", nil,
			[]string{"", "NVDA", "arca", "xnas"},
		},
		{"SELECT count(*) FROM sums WHERE symbol = 'none'", nil, []string{"0"}},
		{"SELECT symbol FROM sums WHERE volume = (SELECT max(volume) FROM sums)", nil, []string{"NVDA"}},
		{
			"SELECT symbol FROM sums WHERE symbol IN (SELECT symbol FROM venues WHERE venue = $1)",
			[]any{"arca"},
			[]string{"NVDA"},
		},
		{"SELECT volume FROM sums WHERE symbol = $1 AND EXISTS (SELECT 1 FROM venues)", []any{"NVDA"}, []string{"600"}},
		{"SELECT upper(symbol) FROM sums WHERE symbol = 'NVDA' AND volume > 1000", nil, nil},
	}
	for _, test := range tests {
		if got := ask(t, c, test.sql, test.values...); !slices.Equal(got, test.want) {
			t.Errorf("%s, %v:\n got %q\nwant %q", test.sql, test.values, got, test.want)
		}
	}
}

func TestSelectFaults(t *testing.T) {
	r := start(t, bySymbol)
	c := r.catalog(t, view.Limits{}, "sums")
	r.send(t, trades...)
	tests := []struct {
		sql    string
		values []any
		want   string
		is     error
	}{
		{"SELECT * FROM sum", nil, `line 1, column 15: there is no stream "sum"; did you mean "sums"`, nil},
		{"SELECT volum FROM sums", nil, `line 1, column 8: there is no column "volum"`, nil},
		{"SELECT volume FROM sums WHERE symbol = $1", nil, "line 1, column 40: parameter $1 has no value", nil},
		{"SELECT volume FROM sums WHERE symbol = $0", nil, "line 1, column 40: there is no parameter $0", nil},
		{"SELECT volume FROM sums", []any{1}, "1 values are given for 0 parameters", nil},
		{"SELECT volume FROM sums WHERE volume = $1", []any{"x"}, "line 1, column 40", nil},
		{"SELECT volume FROM sums WHERE volume = $1", []any{struct{}{}}, "parameter $1: struct {} is no type", nil},
		{"SELECT volume FROM sums WHERE volume = $1", []any{uint64(1 << 63)}, "out of range of a bigint", nil},
		{"SELECT volume FROM sums WHERE symbol = $1", []any{"\xff"}, "not UTF-8", nil},
		{"SELECT volume FROM sums LIMIT $1", []any{"x"}, "line 1, column 31", nil},
		{"SELECT volume FROM $1", []any{"sums are long"}, "line 1, column", nil},
		{"SELECT volume $1 FROM sums", []any{"sums are long"}, "line 1, column 15: unexpected text after", nil},
		{"SELECT volume FROM sums OFFSET $1", []any{-1}, "line 1, column 32", nil},
		{"SELECT 1 / (n - 3) FROM sums", nil, "division by zero", view.ErrRow},
		{"SELECT 1 / (n - 3) FROM sums WHERE symbol = 'NVDA'", nil, "division by zero", view.ErrRow},
		{"SELECT symbol, count(*) FROM sums GROUP BY symbol EMIT CHANGES", nil, "EMIT CHANGES over a view", nil},
		{
			"SELECT * FROM sums JOIN sums AS b USING (symbol)", nil,
			`"sums" is no table, and JOIN finds rows of tables only: sources and views are not joined with each other yet`,
			nil,
		},
		{"SELECT 1; SELECT 2", nil, "line 1, column", nil},
	}
	for _, test := range tests {
		rows, err := c.Select(t.Context(), test.sql, test.values...)
		if err == nil {
			_ = rows.Close()
			t.Errorf("%s, %v: no error, want %q", test.sql, test.values, test.want)
			continue
		}
		if !strings.Contains(err.Error(), test.want) || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s, %v:\n got %v\nwant %s", test.sql, test.values, err, test.want)
		}
	}
}

// TestKeyLookup compares the rows of a key lookup with the rows of the same condition in a form
// that is none.
func TestKeyLookup(t *testing.T) {
	const windows = "SELECT window_end, symbol, sum(size) AS volume FROM trades GROUP BY symbol, tumble(at, " +
		"INTERVAL '1 minute')"
	r := start(t, bySymbol, byVenue, windows,
		"SELECT symbol, count(*) AS n FROM trades GROUP BY symbol HAVING count(*) > 2")
	c := r.catalog(t, view.Limits{}, "sums", "venues", "windows", "many")
	random := rand.New(rand.NewPCG(1, 2))
	var all []trade
	for i := range 3000 {
		all = append(all, trade{
			Symbol: fmt.Sprint("S", random.IntN(50)), Venue: []string{"", "a", "b"}[random.IntN(3)],
			Size: random.Int64N(100), Price: float64(i), At: nine.Add(time.Duration(random.IntN(300)) * time.Second),
		})
	}
	r.send(t, all...)
	items := map[string][]string{
		"sums":    {"*", "symbol, volume * 2 AS v", "CASE WHEN n > 60 THEN 'many' END AS c"},
		"venues":  {"*", "most", "venue || symbol AS vs, most"},
		"windows": {"*", "volume", "date_trunc('hour', window_end) AS w"},
		"many":    {"*"},
	}
	found := 0
	for name, list := range items {
		for _, item := range list {
			for range 100 {
				symbol, venue := fmt.Sprint("S", random.IntN(52)), []string{"", "a", "b", "c"}[random.IntN(4)]
				end := nine.Add(time.Duration(random.IntN(7)) * time.Minute)
				where, twin := "symbol = $1", "symbol || '' = $1"
				values := []any{symbol}
				switch name {
				case "venues":
					where, twin = where+" AND venue = $2", twin+" AND venue || '' = $2"
					values = append(values, venue)
				case "windows":
					where, twin = "$2 = window_end AND "+where, "NOT $2 <> window_end AND "+twin
					values = append(values, end)
				}
				if random.IntN(2) == 0 && name != "many" {
					where, twin = where+" AND volume > 60", twin+" AND volume > 60"
				}
				text := "SELECT " + item + " FROM " + name + " WHERE "
				got, want := ask(t, c, text+where, values...), ask(t, c, text+twin, values...)
				if !slices.Equal(got, want) {
					t.Fatalf("%s, %v:\n got %q\nwant %q", text+where, values, got, want)
				}
				found += len(got)
			}
		}
	}
	if found < 300 {
		t.Errorf("only %d lookups have found something", found)
	}
}

// TestReadingSeesOneCut adds records between the statements of a reading.
func TestReadingSeesOneCut(t *testing.T) {
	r := start(t, bySymbol, byVenue)
	c := r.catalog(t, view.Limits{Lease: time.Hour}, "sums", "venues")
	r.send(t, trades...)
	reading := c.Begin()
	defer reading.Close()
	volume := func(sql string) string {
		rows, err := reading.Select(t.Context(), sql)
		must(t, err)
		defer rows.Close()
		return strings.Join(lines(t, rows), ",")
	}
	if got := volume("SELECT volume FROM sums WHERE symbol = 'NVDA'"); got != "600" {
		t.Fatal(got)
	}
	r.send(t, trades...)
	if got := volume("SELECT sum(volume) FROM venues WHERE symbol = 'NVDA'"); got != "600" {
		t.Errorf("the second statement of a reading sees %s, the first has seen 600", got)
	}
	if got := volume("SELECT volume FROM sums WHERE symbol = 'NVDA'"); got != "600" {
		t.Errorf("the third statement of a reading sees %s", got)
	}
	if got := ask(t, c, "SELECT volume FROM sums WHERE symbol = 'NVDA'"); got[0] != "1200" {
		t.Errorf("another reading sees %s", got)
	}
	must(t, c.Remove("sums"))
	if _, err := reading.Select(t.Context(), "SELECT * FROM sums"); err == nil {
		t.Error("a view that was removed is found")
	}
}

// TestLeaseOfRunning has a lease that is over before the statement is: it goes on to its end.
func TestLeaseOfRunning(t *testing.T) {
	r := start(t, bySymbol)
	c := r.catalog(t, view.Limits{Lease: time.Nanosecond}, "sums")
	var many []trade
	for i := range 20_000 {
		many = append(many, trade{Symbol: fmt.Sprint("symbol ", i), At: nine})
	}
	r.send(t, many...)
	for range 5 {
		if got := ask(t, c, "SELECT count(*) FROM (SELECT symbol FROM sums ORDER BY symbol)"); got[0] != "20000" {
			t.Errorf("%q", got)
		}
	}
}

func TestLease(t *testing.T) {
	r := start(t, bySymbol)
	var c *view.Catalog
	var reading *view.Reading
	var rows *view.Rows
	for lease := 20 * time.Millisecond; ; lease *= 4 { // longer, if the machine is too slow for it
		c = r.catalog(t, view.Limits{Lease: lease}, "sums")
		reading = c.Begin()
		var err error
		rows, err = reading.Select(t.Context(), "SELECT count(*) FROM sums")
		if !errors.Is(err, view.ErrLease) {
			must(t, err)
			break
		}
	}
	defer reading.Close()
	defer rows.Close()
	for c.Use().Held > 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := reading.Select(t.Context(), "SELECT count(*) FROM sums"); !errors.Is(err, view.ErrLease) {
		t.Errorf("after the lease: %v", err)
	}
	if got := lines(t, rows); !slices.Equal(got, []string{"0"}) {
		t.Errorf("rows after the lease: %q", got)
	}
	reading.Close()
	closed := c.Begin()
	closed.Close()
	if _, err := closed.Select(t.Context(), "SELECT count(*) FROM sums"); !errors.Is(err, view.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// TestSpill reads results that lie in memory, in part in a file, and that are too large.
func TestSpill(t *testing.T) {
	r := start(t, bySymbol)
	var many []trade
	for i := range 20_000 {
		many = append(many, trade{Symbol: fmt.Sprintf("symbol %07d", i), Size: int64(i), At: nine})
	}
	r.send(t, many...)
	tests := []struct {
		limits view.Limits
		memory bool
		file   bool
	}{
		{view.Limits{}, true, false},
		{view.Limits{ResultBytes: 200_000}, true, true},
		{view.Limits{ResultBytes: 1}, false, true},
		{view.Limits{ResultMemory: 200_000}, true, true},
		{view.Limits{ResultBytes: 1, SpillBytes: 1000}, false, false},
	}
	for _, test := range tests {
		test.limits.SpillDir = t.TempDir()
		c := r.catalog(t, test.limits, "sums")
		rows, err := c.Select(t.Context(), "SELECT symbol, volume FROM sums ORDER BY symbol")
		if !test.memory && !test.file {
			if !errors.Is(err, view.ErrTooLarge) {
				t.Errorf("%+v: %v", test.limits, err)
			}
			continue
		}
		must(t, err)
		if use := c.Use(); use.Memory > 0 != test.memory || use.Spilled > 0 != test.file {
			t.Errorf("%+v: %+v", test.limits, use)
		}
		for range 2 {
			got := lines(t, rows)
			for i, want := range many {
				if got[i] != fmt.Sprintf("%s|%d", want.Symbol, want.Size) {
					t.Fatalf("%+v: row %d is %s", test.limits, i, got[i])
				}
			}
		}
		must(t, rows.Close())
		for _, err := range rows.Batches() {
			if !errors.Is(err, view.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
	}
}

func TestQueryMemory(t *testing.T) {
	r := start(t, bySymbol)
	c := r.catalog(t, view.Limits{QueryBytes: 1 << 20}, "sums")
	var many []trade
	for i := range 50_000 {
		many = append(many, trade{Symbol: fmt.Sprintf("symbol %07d", i), At: nine})
	}
	r.send(t, many...)
	for _, sql := range []string{
		"SELECT symbol, count(*) FROM sums GROUP BY symbol", "SELECT symbol, n FROM sums ORDER BY n",
	} {
		if _, err := c.Select(t.Context(), sql); !errors.Is(err, view.ErrMemory) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// TestCancel cancels statements at random while records come.
func TestCancel(t *testing.T) {
	r := start(t, bySymbol)
	c := r.catalog(t, view.Limits{Lease: 3 * time.Millisecond}, "sums")
	var many []trade
	for i := range 20_000 {
		many = append(many, trade{Symbol: fmt.Sprint("symbol ", i), At: nine})
	}
	r.send(t, many...)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n)))
			for range 30 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(10_000))*time.Microsecond)
				rows, err := c.Select(ctx, "SELECT symbol, n FROM sums ORDER BY symbol")
				switch {
				case err == nil:
					if rows.Len() < len(many) {
						t.Errorf("%d rows", rows.Len())
					}
					_ = rows.Close()
				case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, view.ErrLease):
					t.Error(err)
				}
				cancel()
			}
		})
	}
	for range 20 {
		r.send(t, many[:100]...)
	}
	all.Wait()
}

func TestDescribe(t *testing.T) {
	r := start(t, bySymbol)
	c := r.catalog(t, view.Limits{}, "sums")
	d, err := c.Describe("SELECT symbol, volume * 2 AS v FROM sums WHERE symbol = $2 AND price BETWEEN $1 AND " +
		"5 LIMIT $3")
	must(t, err)
	if want := []record.Type{record.Float64, record.String, record.Int64}; !slices.Equal(d.Parameters, want) {
		t.Errorf("parameters are %v, want %v", d.Parameters, want)
	}
	if got := d.Result.String(); !strings.Contains(got, "symbol text, v bigint") {
		t.Errorf("the result is %s", got)
	}
	d, err = c.Describe("SELECT (SELECT max(symbol) FROM sums) AS s FROM sums WHERE volume IN (SELECT n FROM sums " +
		"WHERE n > $1)")
	must(t, err)
	if got := d.Result.String(); !strings.Contains(got, "s text") || d.Parameters[0] != record.Int64 {
		t.Errorf("the result is %s, of %v", got, d.Parameters)
	}
	if _, err := c.Describe("SELECT nothing FROM sums"); err == nil {
		t.Error("no error")
	}
	list := c.List()
	if len(list) != 1 || list[0].Name != "sums" || list[0].Schema.Name() != "sums" || list[0].Comment != "view sums" ||
		!slices.Equal(list[0].Keys, []string{"symbol"}) {
		t.Errorf("%+v", list)
	}
}

func TestAdd(t *testing.T) {
	r := start(t, bySymbol)
	other := start(t, byVenue)
	c := r.catalog(t, view.Limits{}, "sums")
	for name, v := range map[string]view.View{
		"":      {Engine: r.Engine, Plan: r.plans[0]},
		"sums":  {Engine: r.Engine, Plan: r.plans[0]},
		"none":  {Engine: r.Engine},
		"other": {Engine: r.Engine, Plan: other.plans[0]},
	} {
		if err := c.Add(name, v); err == nil {
			t.Errorf("%q is added", name)
		}
	}
	if err := c.Remove("none"); !errors.Is(err, view.ErrNoView) {
		t.Errorf("removing what is not there: %v", err)
	}
}

// TestSwap exchanges views. After an error nothing has changed.
func TestSwap(t *testing.T) {
	r, other := start(t, bySymbol), start(t, byVenue)
	c := r.catalog(t, view.Limits{}, "sums")
	names := func() (all []string) {
		for _, v := range c.List() {
			all = append(all, v.Name)
		}
		return all
	}
	venues := view.View{Engine: other.Engine, Plan: other.plans[0]}
	mixed := view.View{Engine: r.Engine, Plan: other.plans[0]}
	for what, err := range map[string]error{
		"what is not there":    c.Swap([]string{"sums", "none"}, nil),
		"a name that is taken": c.Swap(nil, map[string]view.View{"new": venues, "sums": venues}),
		"a plan of another":    c.Swap([]string{"sums"}, map[string]view.View{"sums": mixed}),
	} {
		if err == nil || !slices.Equal(names(), []string{"sums"}) {
			t.Errorf("%s: %v, %v", what, err, names())
		}
	}
	reading := c.Begin()
	defer reading.Close()
	rows, err := reading.Select(t.Context(), "SELECT * FROM sums")
	must(t, err)
	must(t, rows.Close())
	must(t, c.Swap([]string{"sums"}, map[string]view.View{"sums": venues, "more": venues}))
	if !slices.Equal(names(), []string{"more", "sums"}) {
		t.Errorf("there are %v", names())
	}
	if info, err := c.Find("sums"); err != nil || info.Engine != other.Engine {
		t.Errorf("%+v, %v", info, err)
	}
	// A statement at any moment finds one of the two.
	ended := make(chan struct{})
	var looks sync.WaitGroup
	looks.Go(func() {
		for {
			if _, err := c.Find("sums"); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-ended:
				return
			default:
			}
		}
	})
	of := []view.View{venues, {Engine: r.Engine, Plan: r.plans[0]}}
	for i := range 20_000 {
		must(t, c.Swap([]string{"sums"}, map[string]view.View{"sums": of[i%2]}))
	}
	close(ended)
	looks.Wait()
}

func TestCutOfRows(t *testing.T) {
	r := start(t, bySymbol)
	c := r.catalog(t, view.Limits{}, "sums")
	r.send(t, trades...)
	rows, err := c.Select(t.Context(), "SELECT * FROM sums")
	must(t, err)
	defer rows.Close()
	if cut := rows.Cut; cut.View != "sums" || cut.Epoch == 0 || !slices.Equal(cut.Positions, []uint64{6}) {
		t.Errorf("%+v", cut)
	}
	must(t, c.Sync(t.Context(), "sums"))
}

func BenchmarkSelect(b *testing.B) {
	r := start(b, bySymbol)
	c := r.catalog(b, view.Limits{}, "sums")
	var many []trade
	for i := range 100_000 {
		many = append(many, trade{Symbol: fmt.Sprint("symbol ", i), Size: int64(i), At: nine})
	}
	r.send(b, many...)
	for _, bench := range []struct {
		name, sql string
		values    []any
	}{
		{"key", "SELECT volume FROM sums WHERE symbol = $1", []any{"symbol 77"}},
		{"all", "SELECT symbol, volume, n FROM sums", nil},
		{"top", "SELECT symbol, volume FROM sums ORDER BY volume DESC LIMIT 10", nil},
		{"count", "SELECT count(*) FROM sums", nil},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				rows, err := c.Select(b.Context(), bench.sql, bench.values...)
				must(b, err)
				for batch, err := range rows.Batches() {
					must(b, err)
					_ = batch
				}
				_ = rows.Close()
			}
		})
	}
}
