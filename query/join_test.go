package query_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/lookup"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

type instrument struct {
	Symbol string
	Sector *string
	Lot    int64
	Rate   float64
}

type desk struct {
	Sector string
	Size   int64
	Boss   string
}

// load makes a table of rows and loads it.
func load[T any](t *testing.T, name string, key []string, rows ...T) *lookup.Table {
	t.Helper()
	schema, err := record.SchemaOf[T](name)
	if err != nil {
		t.Fatal(err)
	}
	table, err := lookup.New(lookup.Config{
		Schema: schema, Key: key, Load: lookup.Rows(func(context.Context) ([]T, error) { return rows, nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return table
}

// oneBatch is a reader of some trades.
type oneBatch struct {
	encoder *record.Encoder[trade]
	rows    []trade
}

func (r *oneBatch) Read(_ context.Context, b *record.Batch) error {
	if len(r.rows) == 0 {
		return io.EOF
	}
	n, err := r.encoder.AppendAll(b, r.rows)
	r.rows = r.rows[n:]
	return err
}

func (*oneBatch) Close() error { return nil }

// collected is a writer that keeps the rows as texts.
type collected struct{ rows []string }

func (w *collected) Write(_ context.Context, b *record.Batch) error {
	for i := range b.Len() {
		var row []string
		for c := range b.Schema().Len() {
			row = append(row, format(b, c, i))
		}
		w.rows = append(w.rows, strings.Join(row, " "))
	}
	return nil
}

func (*collected) Close() error { return nil }

// joined are the rows of a query over trades that joins tables.
func joined(t *testing.T, text string, trades []trade, tables ...*lookup.Table) []string {
	t.Helper()
	schema, err := record.SchemaOf[trade]("trades")
	if err != nil {
		t.Fatal(err)
	}
	encoder, err := record.EncoderOf[trade](schema)
	if err != nil {
		t.Fatal(err)
	}
	pl, err := query.Catalog{Sources: []*record.Schema{schema}, Tables: tables}.Compile(text)
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	w := &collected{}
	e, err := engine.Start(t.Context(), engine.Config{
		Plan: pl, Readers: []record.Reader{&oneBatch{encoder, trades}}, Partitions: 1, Writer: w, NoPin: true,
	})
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	if err := e.Wait(); err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return w.rows
}

// Goal: joins give the rows that PostgreSQL gives. Method: a few trades and two tables, rows
// written down from PostgreSQL's answers (make diff compares many more).
func TestJoins(t *testing.T) {
	x, metals, food := "x", "metals", "food"
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	trades := []trade{
		{"A", 10, 1, &x, at(1)},
		{"B", 20, 2, nil, at(2)},
		{"A", 12, 3, &metals, at(11)},
		{"C", 5, 10, &food, at(12)},
		{"D", 22, 5, &x, at(25)},
		{"A", 8, 0, nil, at(29)},
	}
	instruments := load(t, "instruments", []string{"symbol"},
		instrument{"A", &metals, 10, 0.5}, instrument{"B", &food, 1, 2}, instrument{"C", nil, 100, 1})
	desks := load(t, "desks", []string{"sector", "size"},
		desk{"metals", 1, "Ann"}, desk{"metals", 3, "Bob"}, desk{"food", 2, "Cid"})
	for _, c := range []struct {
		text string
		want string
	}{
		{
			`SELECT t.symbol, i.sector, i.lot FROM trades AS t JOIN instruments AS i ON t.symbol = i.symbol`,
			"A metals 10, B food 1, A metals 10, C NULL 100, A metals 10",
		},
		{
			`SELECT t.symbol, sector, lot FROM trades t LEFT JOIN instruments i ON i.symbol = t.symbol`,
			"A metals 10, B food 1, A metals 10, C NULL 100, D NULL NULL, A metals 10",
		},
		{
			`SELECT symbol, i.symbol AS other, size * lot AS pieces FROM trades LEFT OUTER JOIN instruments i USING (symbol)`,
			"A A 10, B B 2, A A 30, C C 1000, D NULL NULL, A A 0",
		},
		// A condition of ON decides the match and does not filter; the same in WHERE filters.
		{
			`SELECT t.symbol, i.lot FROM trades t LEFT JOIN instruments i ON t.symbol = i.symbol AND i.rate < 1`,
			"A 10, B NULL, A 10, C NULL, D NULL, A 10",
		},
		{
			`SELECT t.symbol, i.lot FROM trades t LEFT JOIN instruments i ON t.symbol = i.symbol AND t.size > 0`,
			"A 10, B 1, A 10, C 100, D NULL, A NULL",
		},
		{
			`SELECT t.symbol, i.lot FROM trades t LEFT JOIN instruments i ON t.symbol = i.symbol WHERE i.rate < 1`,
			"A 10, A 10, A 10",
		},
		{
			`SELECT t.symbol, i.lot FROM trades t JOIN instruments i ON t.symbol = i.symbol AND i.rate < 1`,
			"A 10, A 10, A 10",
		},
		{`SELECT t.symbol FROM trades t LEFT JOIN instruments i ON t.symbol = i.symbol WHERE i.symbol IS NULL`, "D"},
		// A NULL key finds nothing, and LEFT keeps the record.
		{
			`SELECT t.symbol, d.boss FROM trades t LEFT JOIN desks d ON t.venue = d.sector AND t.size = d.size`,
			"A NULL, B NULL, A Bob, C NULL, D NULL, A NULL",
		},
		// A join by columns of another join.
		{
			`SELECT t.symbol, d.boss FROM trades t JOIN instruments i ON t.symbol = i.symbol JOIN desks d ON i.sector = d.sector AND t.size = d.size`,
			"A Ann, B Cid, A Bob",
		},
		{
			`SELECT t.symbol, d.boss FROM trades t LEFT JOIN instruments i USING (symbol) LEFT JOIN desks d ON i.sector = d.sector AND d.size = t.size`,
			"A Ann, B Cid, A Bob, C NULL, D NULL, A NULL",
		},
		{
			`SELECT d.boss, sum(t.size * i.rate) AS s FROM trades t JOIN instruments i USING (symbol) LEFT JOIN desks d ON i.sector = d.sector AND d.size = t.size GROUP BY d.boss ORDER BY boss`,
			"Ann 0.5, Bob 1.5, Cid 4, NULL 10",
		},
		{
			`SELECT sector, count(*) AS n FROM trades JOIN instruments USING (symbol) WHERE price > 5 AND lot < 100 GROUP BY sector HAVING count(*) > 1`,
			"metals 3",
		},
		{
			`SELECT window_start, i.sector, sum(t.size) AS s FROM trades t LEFT JOIN instruments i ON t.symbol = i.symbol GROUP BY i.sector, tumble(t.at, INTERVAL '20 s') ORDER BY ALL`,
			"1970-01-01T00:00:00Z food 2, 1970-01-01T00:00:00Z metals 4, 1970-01-01T00:00:00Z NULL 10, " +
				"1970-01-01T00:00:20Z metals 0, 1970-01-01T00:00:20Z NULL 5",
		},
		{
			`SELECT * FROM trades t JOIN desks ON venue = sector AND t.size = desks.size`,
			"A 12 3 metals 1970-01-01T00:00:11Z metals 3 Bob",
		},
		{`SELECT i.* FROM trades t JOIN instruments i USING (symbol) WHERE t.size = 2`, "B food 1 2"},
		{`SELECT t.symbol, i.lot FROM trades t JOIN instruments i ON i.symbol = CASE WHEN t.size > 2 THEN 'B' ELSE 'none' END`, "A 1, C 1, D 1"},
		{`SELECT t.symbol FROM trades t JOIN instruments i ON i.symbol = 'A' AND t.size > 2`, "A, C, D"},
	} {
		text := c.text
		got := joined(t, text, trades, instruments, desks)
		want := strings.Split(c.want, ", ")
		if strings.Contains(text, "GROUP BY") && !strings.Contains(text, "ORDER BY") {
			slices.Sort(got)
			slices.Sort(want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\ngave     %s\nexpected %s", c.text, strings.Join(got, ", "), strings.Join(want, ", "))
		}
	}
}

type shift struct {
	Symbol    string
	WindowEnd int64
}

// Goal: the bounds of the window of a query are its own, whatever columns a joined table has.
func TestJoinBounds(t *testing.T) {
	shifts := load(t, "shifts", []string{"symbol"}, shift{"A", 7})
	trades := []trade{{"A", 10, 1, nil, time.Unix(1, 0)}}
	got := joined(t, `SELECT window_end, s.window_end AS other, count(*) AS n FROM trades t JOIN shifts s ON t.symbol = s.symbol
		GROUP BY s.window_end, tumble(t.at, INTERVAL '10 s')`, trades, shifts)
	if want := "1970-01-01T00:00:10Z 7 1"; len(got) != 1 || got[0] != want {
		t.Errorf("%v, expected %s", got, want)
	}
}

// Goal: each fault of a join names its place and what to write instead.
func TestJoinFaults(t *testing.T) {
	schema, err := record.SchemaOf[trade]("trades")
	if err != nil {
		t.Fatal(err)
	}
	g := query.Catalog{
		Sources: []*record.Schema{schema},
		Tables: []*lookup.Table{
			load(t, "instruments", []string{"symbol"}, instrument{Symbol: "A"}),
			load(t, "desks", []string{"sector", "size"}, desk{Sector: "a"}),
		},
	}
	for text, want := range map[string]string{
		`SELECT count(*) FROM instruments`:                                                                                           `"instruments" is a table`,
		`SELECT count(*) FROM trades JOIN instrument ON symbol = 'a'`:                                                                `did you mean "instruments"?`,
		`SELECT count(*) FROM trades, instruments`:                                                                                   `several names in FROM are not supported`,
		`SELECT count(*) FROM trades RIGHT JOIN instruments USING (symbol)`:                                                          `write LEFT JOIN`,
		`SELECT count(*) FROM trades CROSS JOIN instruments`:                                                                         `CROSS JOIN is not supported`,
		`SELECT count(*) FROM trades JOIN instruments`:                                                                               `expected ON or USING`,
		`SELECT count(*) FROM trades JOIN (SELECT 1) ON true`:                                                                        `a query in JOIN is not supported`,
		`SELECT symbol FROM trades t JOIN instruments i ON t.symbol = i.symbol`:                                                      `write t.symbol or i.symbol`,
		`SELECT i.name FROM trades t JOIN instruments i ON t.symbol = i.symbol`:                                                      `table "i" has no column "name"`,
		`SELECT count(*) FROM trades t JOIN instruments t ON t.symbol = 'a'`:                                                         `two tables of the query are called "t"`,
		`SELECT count(*) FROM trades t JOIN instruments i ON t.size = i.lot`:                                                         `it lacks i.symbol`,
		`SELECT count(*) FROM trades t JOIN desks d ON t.symbol = d.sector`:                                                          `it lacks d.size`,
		`SELECT count(*) FROM trades t JOIN instruments i ON t.symbol > i.symbol`:                                                    `it lacks i.symbol`,
		`SELECT count(*) FROM trades t JOIN instruments i ON t.size = i.symbol`:                                                      `write CAST(size AS text)`,
		`SELECT count(*) FROM trades t JOIN instruments i USING (lot)`:                                                               `has no such column in its key`,
		`SELECT count(*) FROM trades t JOIN desks d ON d.sector = i.sector AND d.size = 1 JOIN instruments i ON i.symbol = t.symbol`: `its JOIN comes first`,
		`SELECT lot, count(*) FROM trades t JOIN instruments i ON t.symbol = i.symbol GROUP BY i.sector`:                             `must be in GROUP BY`,
		`SELECT count(*) FROM trades t JOIN instruments i ON t.symbol = i.symbol GROUP BY tumble(i.lot, INTERVAL '1 s')`:             `the time of a window is of the records`,
		`SELECT x.* FROM trades t JOIN instruments i ON t.symbol = i.symbol`:                                                         `there is no "x" in FROM`,
		`SELECT rank() OVER (ORDER BY t.size) FROM trades t JOIN instruments i ON t.symbol = i.symbol`:                               `JOIN and functions with OVER`,
	} {
		_, err := g.Compile(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v\nexpected %q", text, err, want)
		}
	}
}
