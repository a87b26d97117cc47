package engine_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Goal: no record that has been received is late because another connection was parsed before its own, and times count when all has been
// parsed. Method: connections in lockstep, record i of each has the same time, while the engine is held up for more event time than
// records may be late; then it reads on. The window before the last record's closes though nothing more comes.
func TestConnectionsAreNotLate(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		t.Fatal(err)
	}
	for _, connections := range []int{2, 16} {
		t.Run(fmt.Sprint(connections), func(t *testing.T) {
			l, err := readers.ListenDelimited(readers.ListenConfig{Address: "127.0.0.1:0"}, readers.DelimitedConfig{Schema: schema})
			if err != nil {
				t.Fatal(err)
			}
			p, err := query.Compile("SELECT window_end, count(*) AS n FROM s GROUP BY tumble(at, INTERVAL '1 s')", schema)
			if err != nil {
				t.Fatal(err)
			}
			p.Window.OutOfOrder = 200 * time.Millisecond
			e := start(t, engine.Config{Plan: p, Readers: []record.Reader{l}, Cores: 1, NoPin: true})
			if err := e.Pause(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			var all []net.Conn
			for range connections {
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				all = append(all, c)
			}
			const per = 400
			base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			var lines []byte
			for i := range per {
				lines = base.Add(time.Duration(i)*15*time.Millisecond).AppendFormat(lines, "2006-01-02T15:04:05.000Z\n")
			}
			for _, c := range all {
				if _, err := c.Write(lines); err != nil {
					t.Fatal(err)
				}
			}
			want := uint64(connections * per)
			for l.Stats().Lines < want {
				time.Sleep(time.Millisecond)
			}
			if err := e.Resume(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			for closed := base; closed.Before(base.Add(5 * time.Second)); time.Sleep(time.Millisecond) {
				snap := e.Snapshot()
				if end, ok := snap.Closed(); ok {
					closed = end
				}
				_ = snap.Close()
			}
			l.End()
			if err := e.Wait(); err != nil {
				t.Fatal(err)
			}
			if c := e.Stats().Counters(); c.Late > 0 || c.Counted != want {
				t.Errorf("%d of %d records were late, %d counted", c.Late, want, c.Counted)
			}
		})
	}
}
