package readers

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"github.com/velo-engine/velo/affinity"
	"github.com/velo-engine/velo/internal/filegen"
	"github.com/velo-engine/velo/record"
)

// tradeSchema is the schema of filegen.Trades.
func tradeSchema(t testing.TB) *record.Schema {
	return schemaOf(t, record.Field{Name: "id", Type: record.Int64}, record.Field{Name: "at", Type: record.Timestamp},
		record.Field{Name: "symbol", Type: record.String}, record.Field{Name: "venue", Type: record.String},
		record.Field{Name: "side", Type: record.String}, record.Field{Name: "price", Type: record.Float64},
		record.Field{Name: "size", Type: record.Int64},
		record.Field{Name: "account", Type: record.String, Nullable: true},
		record.Field{Name: "fee", Type: record.DecimalOf(9, 4), Nullable: true},
		record.Field{Name: "note", Type: record.String, Nullable: true})
}

// logSchema is the schema of filegen.WebLog, and flat of a flat one.
func logSchema(t testing.TB, flat bool) *record.Schema {
	fields := []record.Field{
		{Name: "at", Type: record.Timestamp},
		{Name: "host", Type: record.String},
		{Name: "status", Type: record.Int64},
		{Name: "bytes", Type: record.Int64, Nullable: true},
		{Name: "duration", Type: record.Float64},
		{Name: "user", Type: record.String, Nullable: true},
		{Name: "agent", Type: record.String, Nullable: true},
	}
	if !flat {
		fields = append(fields, record.Field{Name: "request.method", Type: record.String, Nullable: true})
	}
	return schemaOf(t, fields...)
}

// readFile reads all records of a file that a benchmark has opened.
func readFile(b *testing.B, r record.Poller, batch *record.Batch, rows int) {
	n := 0
	var err error
	for err == nil {
		batch.Reset()
		err = r.Poll(batch)
		n += batch.Len()
	}
	if n != rows || err != io.EOF {
		b.Fatal(n, err, batch.Rejects())
	}
	r.Close()
}

// The reader alone on files as people have them, of which all columns are read, or three.
func BenchmarkFiles(b *testing.B) {
	const rows = 200_000
	trades, log, flat := tradeSchema(b), logSchema(b, false), logSchema(b, true)
	for _, c := range []struct {
		name   string
		schema *record.Schema
		write  func(w io.Writer, seed uint64) error
		json   bool
		read   []string
	}{
		{"csv=plain/columns=all", trades, filegen.Trades{Rows: rows, Symbols: 5000}.Write, false, nil},
		{
			"csv=quoted/columns=all", trades, filegen.Trades{Rows: rows, Symbols: 5000, QuotedPercent: 10}.Write, false,
			nil,
		},
		{
			"csv=texts/columns=all", trades,
			filegen.Trades{Rows: rows, Symbols: 5000, QuotedPercent: 10, AllQuoted: true}.Write, false, nil,
		},
		{
			"csv=plain/columns=3", trades, filegen.Trades{Rows: rows, Symbols: 5000}.Write, false,
			[]string{"symbol", "price", "size"},
		},
		{
			"csv=quoted/columns=3", trades, filegen.Trades{Rows: rows, Symbols: 5000, QuotedPercent: 10}.Write, false,
			[]string{"symbol", "price", "size"},
		},
		{"csv=texts/columns=3", trades, filegen.Trades{
			Rows: rows, Symbols: 5000, QuotedPercent: 10,
			AllQuoted: true,
		}.Write, false, []string{"symbol", "price", "size"}},
		{"json=flat/columns=all", flat, filegen.WebLog{Rows: rows, Flat: true}.Write, true, nil},
		{"json=nested/columns=all", log, filegen.WebLog{Rows: rows}.Write, true, nil},
		{
			"json=flat/columns=3", flat, filegen.WebLog{Rows: rows, Flat: true}.Write, true,
			[]string{"host", "status", "bytes"},
		},
		{
			"json=nested/columns=3", log, filegen.WebLog{Rows: rows}.Write, true,
			[]string{"host", "status", "request.method"},
		},
	} {
		var data bytes.Buffer
		if err := c.write(&data, 1); err != nil {
			b.Fatal(err)
		}
		path := write(b, data.Bytes())
		batch := record.NewBatch(c.schema, 0)
		b.Run(c.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			begun, _ := affinity.ThreadCPUTime()
			for b.Loop() {
				var rs []record.Reader
				if c.json {
					f, err := OpenNDJSON(path, NDJSONConfig{Schema: c.schema})
					if err != nil {
						b.Fatal(err)
					}
					rs = f.Readers(1)
				} else {
					f, err := OpenDelimited(path, DelimitedConfig{Schema: c.schema, Quote: '"', Header: true})
					if err != nil {
						b.Fatal(err)
					}
					rs = f.Readers(1)
				}
				project(rs[0], c.schema, c.read)
				readFile(b, rs[0].(record.Poller), batch, rows)
			}
			took, _ := affinity.ThreadCPUTime() // 0 on a system that does not tell
			cpu := float64((took - begun).Nanoseconds()) / float64(b.N)
			b.ReportMetric(cpu/rows, "cpu-ns/record")
			b.ReportMetric(float64(data.Len())/cpu, "GB/cpu-s")
		})
	}
}

// project has a reader read only the named columns; nil is all of them.
func project(r record.Reader, schema *record.Schema, names []string) {
	p, ok := r.(interface{ Columns([]bool) })
	if names == nil || !ok {
		return
	}
	read := make([]bool, schema.Len())
	for _, name := range names {
		i, _ := schema.Index(name)
		read[i] = true
	}
	p.Columns(read)
}
