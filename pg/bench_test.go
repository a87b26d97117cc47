package pg_test

import (
	"context"
	"sort"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/velo-engine/velo/internal/cputime"
	"github.com/velo-engine/velo/pg"
)

// BenchmarkKey is one group by its key over loopback: the figures are the median and the 99th
// percentile of a round trip, beside ns/op of the client and the server together.
func BenchmarkKey(b *testing.B) {
	h := serve(b, 100_000, pg.Config{})
	c := connect(b, h)
	times := make([]time.Duration, 0, b.N)
	perCore := perCore(b)
	for b.Loop() {
		began := time.Now()
		var n int64
		err := c.QueryRow(b.Context(), "SELECT n FROM volumes WHERE symbol = $1", "S4711").Scan(&n)
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	perCore(b.N)
	sort.Slice(times, func(i, k int) bool { return times[i] < times[k] })
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1e3, "p50-us")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1e3, "p99-us")
}

// BenchmarkKeys is BenchmarkKey with several clients at once.
func BenchmarkKeys(b *testing.B) {
	h := serve(b, 100_000, pg.Config{})
	b.SetParallelism(4)
	perCore := perCore(b)
	b.RunParallel(func(pb *testing.PB) {
		c, err := pgx.Connect(b.Context(), h.url())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = c.Close(context.Background()) }()
		for pb.Next() {
			var n int64
			err := c.QueryRow(b.Context(), "SELECT n FROM volumes WHERE symbol = $1", "S4711").Scan(&n)
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	perCore(b.N)
}

// perCore reports how many operations a core does, by the CPU time of the process: of the client and
// the server together, and of the engine.
func perCore(b *testing.B) (report func(n int)) {
	began := cputime.Process()
	return func(n int) {
		if used := cputime.Process() - began; used > 0 {
			b.ReportMetric(float64(n)/used.Seconds(), "ops/s-core")
		}
	}
}

// BenchmarkRows is a result of 100,000 rows of three columns, in both formats.
func BenchmarkRows(b *testing.B) {
	h := serve(b, 100_000, pg.Config{})
	c := connect(b, h)
	for name, formats := range map[string]pgx.QueryResultFormats{"text": {0, 0, 0}, "binary": {1, 1, 1}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				rows, err := c.Query(b.Context(), "SELECT symbol, n, avg_price FROM volumes", formats)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for rows.Next() {
					n++
				}
				if rows.Err() != nil || n != 100_000 {
					b.Fatal(n, rows.Err())
				}
			}
		})
	}
}

// describeD is what psql 15 sends for \d.
const describeD = `SELECT n.nspname as "Schema", c.relname as "Name",
	CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' END as "Type",
	pg_catalog.pg_get_userbyid(c.relowner) as "Owner"
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast'
	AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid)
ORDER BY 1,2`

// BenchmarkDescribe is \d.
func BenchmarkDescribe(b *testing.B) {
	c := connect(b, serve(b, 1, pg.Config{}))
	for b.Loop() {
		rows, err := c.Query(b.Context(), describeD, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
		}
		if rows.Err() != nil {
			b.Fatal(rows.Err())
		}
	}
}

// BenchmarkColumns is what a driver asks for the columns of all views.
func BenchmarkColumns(b *testing.B) {
	c := connect(b, serve(b, 1, pg.Config{}))
	for b.Loop() {
		rows, err := c.Query(b.Context(), `SELECT table_name, column_name, data_type FROM information_schema.columns
			WHERE table_schema = 'public' ORDER BY 1, ordinal_position`, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			b.Fatal(err)
		}
		for rows.Next() {
		}
		if rows.Err() != nil {
			b.Fatal(rows.Err())
		}
	}
}
