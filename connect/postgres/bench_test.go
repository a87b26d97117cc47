//go:build unix

package postgres

import (
	"fmt"
	"testing"

	"github.com/velo-engine/velo/record"
)

// benchKeys is how many rows a window has.
const benchKeys = 10_000

// BenchmarkEncode makes rows for COPY: what the engine's goroutine does for each row.
func BenchmarkEncode(b *testing.B) {
	cfg := SinkConfig{Schema: sumSchema(b), Mode: Append}
	e := newEncoder(&cfg, nil)
	must(b, e.fit([]form{formInt8, formText, formInt8}))
	rows := rowsOf(b, 1, record.DefaultRows)
	b.ReportAllocs()
	for b.Loop() {
		e.clear()
		must(b, e.add(rows))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows.Len()), "ns/row")
}

// BenchmarkSink writes windows of 10,000 rows to a server on this machine that does not sync.
func BenchmarkSink(b *testing.B) {
	for _, mode := range []Mode{Append, Upsert} {
		b.Run(fmt.Sprint("mode=", mode), func(b *testing.B) {
			s := newServer(b)
			s.exec("ALTER SYSTEM SET fsync = off")
			s.exec("SELECT pg_reload_conf()")
			sink := s.sink(SinkConfig{Mode: mode, Create: true})
			_, err := sink.Recover(b.Context(), "job", nil)
			must(b, err)
			w := 0
			for b.Loop() {
				w++
				for from := 0; from < benchKeys; from += record.DefaultRows {
					must(b, sink.Write(b.Context(), keysOf(b, w, from, min(from+record.DefaultRows, benchKeys))))
				}
				must(b, sink.EndWindow(b.Context(), int64(w)))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchKeys), "ns/row")
		})
	}
}
