package main

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/velo-engine/velo/connect/parquet"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/readers/compressed"
	"github.com/velo-engine/velo/record"
)

// source is how velo reads a file.
type source struct {
	columns        string
	delimiter      byte
	quoted, header bool
	json           bool
}

// line is a group as text. The mean has nine digits, because sums of doubles may differ in the
// digits after them.
func line(name string, low, mean, high float64) string {
	return fmt.Sprintf("%s %v %.9g %v", name, low, mean, high)
}

// runVelo runs the query with velo: readers and partitions on this many pinned threads.
func runVelo(f file, path string, cores int) (took cost, lines []string, err error) {
	stop := measure()
	schema, err := query.Columns("file", f.velo.columns)
	if err != nil {
		return took, nil, err
	}
	plan, err := query.Compile(fmt.Sprintf(f.query, "file"), schema)
	if err != nil {
		return took, nil, err
	}
	var all []record.Reader
	if strings.HasSuffix(path, ".gz") {
		cores = max(1, cores/2) // as velo query does: the others are for what unpacks
		all, err = unpack(path, f.velo, schema, cores)
		if err != nil {
			return took, nil, err
		}
	} else if strings.HasSuffix(path, ".parquet") {
		p, err := parquet.Open([]string{path})
		if err == nil {
			err = p.Bind(schema)
		}
		if err != nil {
			return took, nil, err
		}
		all = p.Readers(cores)
	} else if f.velo.json {
		n, err := readers.OpenNDJSON(path, readers.NDJSONConfig{Schema: schema})
		if err != nil {
			return took, nil, err
		}
		all = n.Readers(cores)
	} else {
		d, err := readers.OpenDelimited(path, f.velo.delimited(schema))
		if err != nil {
			return took, nil, err
		}
		all = d.Readers(cores)
	}
	e, err := engine.Start(context.Background(),
		engine.Config{Plan: plan, Readers: all, Partitions: cores, Cores: cores, EpochInterval: -1})
	if err != nil {
		return took, nil, err
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		return took, nil, err
	}
	s := e.Snapshot()
	defer s.Close()
	took = stop()
	if c := e.Stats().Counters(); c.Quarantined > 0 {
		return took, nil, fmt.Errorf("%d records were set aside", c.Quarantined)
	}
	for b := range s.Batches(record.DefaultRows) {
		for i := range b.Len() {
			high := 0.0
			if c := b.Column(3); c.Float64s != nil {
				high = c.Float64s[i]
			} else {
				high = float64(c.Int64s[i])
			}
			lines = append(lines, line(string(b.Column(0).View(i)), b.Column(1).Float64s[i], b.Column(2).Float64s[i],
				high))
		}
	}
	slices.Sort(lines)
	return took, lines, nil
}

// delimited is how velo reads a delimited file.
func (s source) delimited(schema *record.Schema) readers.DelimitedConfig {
	cfg := readers.DelimitedConfig{Schema: schema, Delimiter: s.delimiter, Header: s.header}
	if s.quoted {
		cfg.Quote = '"'
	}
	return cfg
}

// unpack reads a compressed delimited file with n readers.
func unpack(path string, s source, schema *record.Schema, n int) ([]record.Reader, error) {
	in, _, err := compressed.Open(path)
	if err != nil {
		return nil, err
	}
	return readers.NewDelimitedStreams(path, in, s.delimited(schema), n)
}

// runDuckDB runs the query with DuckDB on this many threads.
func runDuckDB(f file, path string, threads int) (took cost, lines []string, err error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return took, nil, err
	}
	defer connector.Close()
	db := sql.OpenDB(connector)
	defer db.Close()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		return took, nil, err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("SET threads = %d", threads)); err != nil {
		return took, nil, err
	}
	stop := measure()
	if _, err := conn.ExecContext(ctx, "CREATE TEMP TABLE r AS "+
		fmt.Sprintf(f.query, fmt.Sprintf(f.duck, path))); err != nil {
		return took, nil, err
	}
	took = stop()
	rows, err := conn.QueryContext(ctx, "SELECT * FROM r")
	if err != nil {
		return took, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var low, mean, high float64
		if err := rows.Scan(&name, &low, &mean, &high); err != nil {
			return took, nil, err
		}
		lines = append(lines, line(name, low, mean, high))
	}
	slices.Sort(lines)
	return took, lines, rows.Err()
}

// duckExec has DuckDB do something.
func duckExec(text string) error {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return err
	}
	defer connector.Close()
	db := sql.OpenDB(connector)
	defer db.Close()
	_, err = db.ExecContext(context.Background(), text)
	return err
}
