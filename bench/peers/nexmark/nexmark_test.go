package nexmark

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/velo-engine/velo/bench/nexmark"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/record"
)

// A pair is a query in velo's words and in DuckDB's, where a window is arithmetic with nanoseconds: %[1]s is a second.
type pair struct{ name, velo, duck string }

const hops = `WITH hops AS (SELECT auction, (date_time // (2 * %[1]s) + k + 1) * 2 * %[1]s AS e FROM bid, range(0, 5) AS r(k)),
	counts AS (SELECT e - 10 * %[1]s AS b, e, auction, count(*) AS num FROM hops GROUP BY e, auction)
	SELECT b, e, auction, num FROM counts `

const tens = `WITH tens AS (SELECT *, (date_time // (10 * %[1]s) + 1) * 10 * %[1]s AS e FROM bid) `

var pairs = []pair{
	// a decimal with three digits after the point is that
	{"q1", nexmark.Queries["q1"], `SELECT auction, bidder, 908 * price, date_time FROM bid`},
	{"q2", nexmark.Queries["q2"], `SELECT auction, price FROM bid WHERE auction % 123 = 0`},
	{"q5", nexmark.Queries["q5"], hops +
		`QUALIFY row_number() OVER (PARTITION BY e ORDER BY num DESC, auction) = 1 ORDER BY e`},
	{"q5, all auctions", strings.TrimSuffix(nexmark.Queries["q5"], "LIMIT 1"), hops + `ORDER BY e, num DESC, auction`},
	{"q7", nexmark.Queries["q7"], tens + `, most AS (SELECT e, max(price) AS price FROM tens GROUP BY e)
		SELECT e - 10 * %[1]s, e, price, max(auction), max(bidder) FROM tens JOIN most USING (e, price) GROUP BY e, price ORDER BY e`},
	{"q11", nexmark.Queries["q11"], `WITH gaps AS (SELECT bidder, date_time, coalesce(date_time - lag(date_time) OVER w > 10 * %[1]s, true) AS new FROM bid WINDOW w AS (PARTITION BY bidder ORDER BY date_time)),
		sessions AS (SELECT bidder, date_time, sum(new::INT) OVER (PARTITION BY bidder ORDER BY date_time ROWS UNBOUNDED PRECEDING) AS s FROM gaps)
		SELECT min(date_time), max(date_time) + 10 * %[1]s, bidder, count(*) FROM sessions GROUP BY bidder, s`},
	{"q12", nexmark.Queries["q12"], tens +
		`SELECT e - 10 * %[1]s, e, bidder, count(*) FROM tens GROUP BY e, bidder ORDER BY e, bidder`},
}

// rowsWriter keeps the rows that are written.
type rowsWriter struct {
	rows    []string
	written atomic.Bool
}

func (w *rowsWriter) Write(_ context.Context, b *record.Batch) error {
	for i := range b.Len() {
		var row []string
		for c := range b.Schema().Len() {
			row = append(row, fmt.Sprint(b.Column(c).Int64s[i]))
		}
		w.rows = append(w.rows, strings.Join(row, " "))
	}
	w.written.Store(w.written.Load() || b.Len() > 0)
	return nil
}
func (w *rowsWriter) Close() error { return nil }

// withheld keeps its last batch back until something has been written: so windows are closed and written while there are records to come.
type withheld struct {
	*nexmark.Generator
	w    *rowsWriter
	next *record.Batch
	err  error
}

func (r *withheld) Poll(b *record.Batch) error {
	if r.next == nil {
		r.next = record.NewBatch(b.Schema(), b.Cap())
		r.err = r.Generator.Poll(r.next)
	}
	if r.err == io.EOF && !r.w.written.Load() {
		return nil
	}
	for i := range b.Schema().Len() {
		to, from := b.Column(i), r.next.Column(i)
		copy(to.Int64s, from.Int64s[:min(len(from.Int64s), r.next.Len())])
		copy(to.Views, from.Views[:min(len(from.Views), r.next.Len())])
		to.Bytes = from.Bytes
	}
	b.SetLen(r.next.Len())
	if r.err != nil {
		return r.err
	}
	r.next.Reset()
	r.err = r.Generator.Poll(r.next)
	return nil
}
func (r *withheld) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }

// duckDB has the bids in a table.
func duckDB(t *testing.T, batches []*record.Batch) *sql.Conn {
	t.Helper()
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		db.Close()
		connector.Close()
	})
	for _, q := range []string{
		"SET threads = 1",
		"CREATE TABLE bid (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, date_time BIGINT)",
	} {
		if _, err := conn.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	err = conn.Raw(func(c any) error {
		a, err := duckdb.NewAppenderFromConn(c.(driver.Conn), "", "bid")
		if err != nil {
			return err
		}
		for _, b := range batches {
			for i := range b.Len() {
				row := make([]driver.Value, b.Schema().Len())
				for c := range row {
					if column := b.Column(c); column.Views != nil {
						row[c] = string(column.View(i))
					} else {
						row[c] = column.Int64s[i]
					}
				}
				if err := a.AppendRow(row...); err != nil {
					return err
				}
			}
		}
		return a.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// answer are the rows of a query of whole numbers.
func answer(t *testing.T, conn *sql.Conn, q string) (all []string) {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), q)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimSuffix(fmt.Sprintln(values...), "\n"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Goal: the answers are DuckDB's row by row, in the order of the windows, written while records come (those that say no order in any), for each number of readers and partitions and each exchange; and with disorder up to the bound none is
// late. Method: bids of two minutes of event time, in and out of order, in small batches; an epoch each 100 us.
func TestNexmark(t *testing.T) {
	const events, seed = 200_000, 11
	for _, disorder := range []time.Duration{0, 3 * time.Second} {
		cfg := nexmark.Config{Stream: nexmark.Bids, Seed: seed, Events: events, Rate: events / 120, Disorder: disorder}
		g, err := nexmark.NewGenerator(cfg)
		if err != nil {
			t.Fatal(err)
		}
		conn := duckDB(t, g.Prepare(events, record.DefaultRows))
		for _, q := range pairs {
			want := answer(t, conn, strings.ReplaceAll(q.duck, "%[1]s", "1000000000::BIGINT"))
			anyOrder := !strings.Contains(q.velo, "ORDER BY") && q.name != "q7"
			if anyOrder {
				slices.Sort(want)
			}
			for readers := 1; readers <= 3; readers++ {
				for partitions := 1; partitions <= 3; partitions++ {
					for x := plan.ExchangeAuto; x <= plan.ExchangeRoute; x++ {
						what := fmt.Sprintf("%s, seed %d, disorder %v, %d readers, %d partitions, %v", q.name, seed,
							disorder, readers, partitions, x)
						if q.name == "q1" || q.name == "q2" {
							x = plan.ExchangeRoute // there are no groups to exchange
						}
						plan, err := query.Compile(q.velo, nexmark.BidSchema)
						if err != nil {
							t.Fatal(err)
						}
						if plan.Window != nil {
							plan.Window.OutOfOrder = disorder
						}
						w := &rowsWriter{}
						c := engine.Config{
							Plan: plan, Partitions: partitions, Cores: 1, NoPin: true, Exchange: x, FoldBytes: 1 << 16,
							BatchRows: 500, Writer: w,
							EpochInterval: 100 * time.Microsecond, EpochShare: 1,
						}
						cfg := cfg
						for cfg.Readers = readers; cfg.Reader < readers; cfg.Reader++ {
							g, err := nexmark.NewGenerator(cfg)
							if err != nil {
								t.Fatal(err)
							}
							c.Readers = append(c.Readers, &withheld{Generator: g, w: w})
						}
						e, err := engine.Start(t.Context(), c)
						if err != nil {
							t.Fatal(err)
						}
						if err := e.Wait(); err != nil {
							t.Fatalf("%s: %v", what, err)
						}
						n := e.Stats().Counters()
						e.Close()
						if anyOrder {
							slices.Sort(w.rows)
						}
						if n.Late > 0 || n.Counted+n.Filtered != n.In ||
							n.In != events/nexmark.EventsPerEpoch*nexmark.BidsPerEpoch {
							t.Fatalf("%s: %+v", what, n)
						}
						if !slices.Equal(w.rows, want) {
							for i := range max(len(want), len(w.rows)) {
								got, of := "nothing", "nothing"
								if i < len(w.rows) {
									got = w.rows[i]
								}
								if i < len(want) {
									of = want[i]
								}
								if got != of {
									t.Fatalf("%s: row %d of %d: %s, DuckDB has %s of %d", what, i, len(w.rows), got, of,
										len(want))
								}
							}
						}
					}
				}
			}
			t.Logf("%s, disorder %v: %d rows", q.name, disorder, len(want))
		}
	}
}
