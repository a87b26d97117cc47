package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/bench"
	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/filegen"
	"github.com/velo-engine/velo/plan"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/readers/compressed"
	"github.com/velo-engine/velo/record"
)

// ingestCmd measures how fast files as people have them are read, on one core.
type ingestCmd struct {
	measuring
	Rows int    `help:"Number of records of each file." default:"1000000"`
	Dir  string `help:"Where the files are made; a temporary folder if it is empty." type:"path"`
}

// ingestCase is a file and the query that reads it.
type ingestCase struct {
	name    string
	file    string
	write   func(w io.Writer, rows int) error
	columns string // as CREATE TABLE has them
	query   string
}

const (
	wideTrades = "SELECT symbol, min(price) AS low, max(price) AS high, sum(size) AS n FROM t GROUP BY symbol"
	everyTrade = "SELECT max(id) AS a, max(at) AS b, symbol, max(venue) AS c, max(side) AS d, max(price) AS e, " +
		"max(size) AS f, max(account) AS g, max(fee) AS h, max(note) AS i FROM t GROUP BY symbol"
	hitsPerHost = "SELECT host, count(*) AS n, max(status) AS s, sum(bytes) AS b FROM t GROUP BY host"
	hitsNested  = `SELECT host, "request.method" AS m, count(*) AS n, sum(bytes) AS b FROM t ` +
		`GROUP BY host, "request.method"`
	hits         = "SELECT count(*) AS n FROM t"
	tradeSymbols = 5000
)

// ingestCases are all that is measured.
func ingestCases() []ingestCase {
	trades := func(percent int, all bool) func(io.Writer, int) error {
		return func(w io.Writer, rows int) error {
			return filegen.Trades{
				Rows: rows, Symbols: tradeSymbols, QuotedPercent: percent, AllQuoted: all,
			}.Write(w, 1)
		}
	}
	log := func(flat bool) func(io.Writer, int) error {
		return func(w io.Writer, rows int) error { return filegen.WebLog{Rows: rows, Flat: flat}.Write(w, 1) }
	}
	packed := func(w io.Writer, rows int) error {
		z := gzip.NewWriter(w)
		return errors.Join(trades(10, false)(z, rows), z.Close())
	}
	frames := func(w io.Writer, rows int) error {
		z, err := zstd.NewWriter(w)
		return errors.Join(err, trades(10, false)(z, rows), z.Close())
	}
	return []ingestCase{
		{"CSV, 3 of 10 columns", "plain.csv", trades(0, false), filegen.TradeColumns, wideTrades},
		{"CSV, 10 of 10 columns", "plain.csv", nil, filegen.TradeColumns, everyTrade},
		{"CSV, a tenth with quotes, 3 of 10", "quoted.csv", trades(10, false), filegen.TradeColumns, wideTrades},
		{"CSV, all texts in quotes, 3 of 10", "texts.csv", trades(10, true), filegen.TradeColumns, wideTrades},
		{"CSV, gzip, 3 of 10", "quoted.csv.gz", packed, filegen.TradeColumns, wideTrades},
		{
			"CSV, gzip of many members, 3 of 10", "members.csv.gz", members(trades(10, false)), filegen.TradeColumns,
			wideTrades,
		},
		{"CSV, zstd, 3 of 10", "quoted.csv.zst", frames, filegen.TradeColumns, wideTrades},
		{"JSON lines, flat, 3 fields of 10", "flat.ndjson", log(true), filegen.FlatLogColumns, hitsPerHost},
		{"JSON lines, nested, 3 fields of 12", "nested.ndjson", log(false), filegen.WebLogColumns, hitsNested},
		{"JSON lines, nested, count(*)", "nested.ndjson", nil, filegen.WebLogColumns, hits},
	}
}

// memberBytes is how much of the text is in a member, about as bgzip has it.
const memberBytes = 64 << 10

// members packs what another function writes with gzip, in many members.
func members(write func(io.Writer, int) error) func(io.Writer, int) error {
	return func(w io.Writer, rows int) error {
		var plain bytes.Buffer
		err := write(&plain, rows)
		for err == nil && plain.Len() > 0 {
			z := gzip.NewWriter(w)
			_, err = z.Write(plain.Next(memberBytes))
			err = errors.Join(err, z.Close())
		}
		return err
	}
}

// isPacked says whether a file is packed, by its name.
func isPacked(path string) bool { return filepath.Ext(path) == ".gz" || filepath.Ext(path) == ".zst" }

// ingestReport is one row of the table. Times are of the thread that does the work, in nanoseconds
// a record; a roofline is the time for the same bytes, or the same records.
type ingestReport struct {
	Name    string `json:"case"`
	Records int    `json:"records"`
	Bytes   int64  `json:"bytes"` // unpacked
	// Reader is the time of the reader alone, with the columns that the query reads.
	Reader float64 `json:"reader_ns"`
	// Query is the time from opening the file to the last group on one core, by the clock.
	Query float64 `json:"query_ns"`
	// GBps is gigabytes a second of the reader alone.
	GBps float64 `json:"reader_gb_per_second"`
	// Split is the roofline of a reader that finds the records and no value in them, Copy the one
	// of copying the unpacked bytes, and Inflate the one of unpacking alone, 0 if there is nothing
	// to unpack.
	Split   float64 `json:"split_ns"`
	Copy    float64 `json:"memcpy_ns"`
	Inflate float64 `json:"inflate_ns"`
}

func (c *ingestCmd) Run(std streams) error {
	dir := c.Dir
	if dir == "" {
		var err error
		dir, err = os.MkdirTemp("", "veloperf-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	return measure(&c.measuring, std, printing[ingestReport]{
		head: "file\trecords\treader ns\tGB/s\tquery ns\tsplit ns\tmemcpy ns\tinflate ns\t",
		cells: func(r ingestReport) string {
			return fmt.Sprintf("%s\t%d\t%.1f\t%.2f\t%.1f\t%.1f\t%.1f\t%.1f\t", r.Name, r.Records, r.Reader, r.GBps,
				r.Query,
				r.Split, r.Copy, r.Inflate)
		},
	}, func(warm bool, each func(ingestReport)) error {
		cases := ingestCases()
		if warm {
			cases = cases[:1]
		}
		for _, test := range cases {
			r, err := c.measure(test, dir)
			if err != nil {
				return fmt.Errorf("%s: %w", test.name, err)
			}
			each(r)
		}
		return nil
	})
}

// measure makes the file of a case, if it is not there, and measures everything about it.
func (c *ingestCmd) measure(test ingestCase, dir string) (r ingestReport, err error) {
	path := filepath.Join(dir, test.file)
	if _, err := os.Stat(path); err != nil {
		var out bytes.Buffer
		if err := test.write(&out, c.Rows); err != nil {
			return r, err
		}
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			return r, err
		}
	}
	schema, err := query.Columns("t", test.columns)
	if err != nil {
		return r, err
	}
	plan, err := query.Compile(test.query, schema)
	if err != nil {
		return r, err
	}
	data, err := unpackAll(path)
	if err != nil {
		return r, err
	}
	r = ingestReport{Name: test.name, Records: c.Rows, Bytes: int64(len(data))}
	read, none := engine.ColumnsRead(plan), make([]bool, schema.Len())
	for _, m := range []struct {
		to *float64
		do func() error
	}{
		{&r.Reader, func() error { return readAll(path, schema, read, c.Rows) }},
		{&r.Split, func() error { return readAll(path, schema, none, c.Rows) }},
		{&r.Copy, func() error { copyAll(data); return nil }},
		{&r.Inflate, func() error { return inflate(path) }},
	} {
		*m.to, err = c.once(m.do, true)
		if err != nil {
			return r, err
		}
	}
	if !isPacked(path) {
		r.Inflate = 0
	}
	r.GBps = float64(r.Bytes) / float64(c.Rows) / r.Reader
	r.Query, err = c.once(func() error { return runQuery(path, plan, schema) }, false)
	return r, err
}

// once is the time of one run in nanoseconds a record: of this thread's processor, or by the clock.
func (c *ingestCmd) once(do func() error, thread bool) (ns float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if bench.Observe != nil {
		defer bench.Observe()()
	}
	begun := time.Now()
	cpu, known := affinity.ThreadCPUTime()
	if err := do(); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	if after, _ := affinity.ThreadCPUTime(); thread && known {
		took = after - cpu
	}
	return float64(took.Nanoseconds()) / float64(c.Rows), nil
}

// openFile makes the one reader of a file.
func openFile(path string, schema *record.Schema) (record.Reader, error) {
	csv := readers.DelimitedConfig{Schema: schema, Quote: '"', Header: true}
	switch {
	case isPacked(path):
		in, _, err := compressed.Open(path)
		if err != nil {
			return nil, err
		}
		return readers.NewDelimitedStream(path, in, csv)
	case filepath.Ext(path) == ".csv":
		f, err := readers.OpenDelimited(path, csv)
		if err != nil {
			return nil, err
		}
		return f.Readers(1)[0], nil
	}
	f, err := readers.OpenNDJSON(path, readers.NDJSONConfig{Schema: schema})
	if err != nil {
		return nil, err
	}
	return f.Readers(1)[0], nil
}

// readAll reads the named columns of all records.
func readAll(path string, schema *record.Schema, read []bool, rows int) error {
	r, err := openFile(path, schema)
	if err != nil {
		return err
	}
	defer r.Close()
	r.(record.Projector).Columns(read)
	b, n := record.NewBatch(schema, 0), 0
	for err == nil {
		b.Reset()
		err = r.Read(context.Background(), b)
		n += b.Len()
	}
	if !errors.Is(err, io.EOF) || n != rows {
		return fmt.Errorf("%d of %d records were read: %w", n, rows, err)
	}
	return nil
}

// unpackAll returns what a file has.
func unpackAll(path string) ([]byte, error) {
	in, _, err := compressed.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return io.ReadAll(in)
}

// copyAll copies bytes in the blocks of a reader.
func copyAll(data []byte) {
	to := make([]byte, readers.DefaultBlockBytes)
	for len(data) > 0 {
		data = data[copy(to, data):]
	}
}

// inflate unpacks a file, or reads it if it is not packed.
func inflate(path string) error {
	in, _, err := compressed.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	b := make([]byte, readers.DefaultBlockBytes)
	for err == nil {
		_, err = io.ReadFull(in, b)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// runQuery runs a query over a file on one core.
func runQuery(path string, plan *plan.Plan, schema *record.Schema) error {
	r, err := openFile(path, schema)
	if err != nil {
		return err
	}
	e, err := engine.Start(context.Background(), engine.Config{
		Plan: plan, Readers: []record.Reader{r}, Partitions: 1, Cores: 1, EpochInterval: -1,
	})
	if err != nil {
		return errors.Join(err, r.Close())
	}
	defer e.Close()
	if err := e.Wait(); err != nil {
		return err
	}
	s := e.Snapshot()
	defer s.Close()
	if s.Len() == 0 || e.Stats().Counters().Quarantined > 0 {
		return fmt.Errorf("%d groups, %d records were set aside", s.Len(), e.Stats().Counters().Quarantined)
	}
	return nil
}
