package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/velo-engine/velo/record"
)

// duckDB groups a table in memory. Filling the table is not timed. The query makes a table of the
// groups, so that nothing is fetched.
func duckDB(batches []*record.Batch, threads int) (ns float64, t totals, err error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return 0, t, err
	}
	defer connector.Close()
	db := sql.OpenDB(connector)
	defer db.Close()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, t, err
	}
	defer conn.Close()
	for _, q := range []string{fmt.Sprintf("SET threads = %d", threads), "CREATE TABLE t (key BIGINT, value BIGINT)"} {
		if _, err := conn.ExecContext(ctx, q); err != nil {
			return 0, t, err
		}
	}
	err = conn.Raw(func(c any) error {
		a, err := duckdb.NewAppenderFromConn(c.(driver.Conn), "", "t")
		if err != nil {
			return err
		}
		for _, b := range batches {
			for i, k := range b.Column(0).Int64s[:b.Len()] {
				if err := a.AppendRow(k, b.Column(1).Int64s[i]); err != nil {
					return err
				}
			}
		}
		return a.Close()
	})
	if err != nil {
		return 0, t, err
	}
	ns = timed(batches, func() {
		const q = `CREATE OR REPLACE TEMP TABLE r AS SELECT key, count(*) AS n, sum(value)::BIGINT AS s, min(value) AS a, max(value) AS b FROM t GROUP BY key`
		if _, e := conn.ExecContext(ctx, q); e != nil {
			err = e
		}
	})
	if err != nil {
		return 0, t, err
	}
	row := conn.QueryRowContext(ctx, "SELECT count(*), sum(n)::BIGINT, sum(s)::BIGINT, sum(a)::BIGINT, "+
		"sum(b)::BIGINT FROM r")
	err = row.Scan(&t.Groups, &t.Count, &t.Sum, &t.Mins, &t.Maxs)
	return ns, t, err
}
