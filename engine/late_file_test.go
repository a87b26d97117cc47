package engine_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Goal: of a file that several readers share, no record is late that is not late with one reader,
// and with one reader exactly those are late that the order of the file makes late. Method: records
// out of order by more than is allowed, in small blocks, against a loop.
func TestLateOfSharedFile(t *testing.T) {
	const rows = 20_000
	rng := rand.New(rand.NewPCG(5, 5))
	var text bytes.Buffer
	text.WriteString("n,at\n")
	late, most := map[int64]bool{}, time.Time{}
	for n := range int64(rows) {
		at := time.Unix(0, n*int64(10*time.Millisecond)-rng.Int64N(int64(20*time.Second))).UTC()
		fmt.Fprintf(&text, "%d,%s\n", n, at.Format(time.RFC3339Nano))
		end := at.Truncate(time.Second).Add(time.Second)
		if !most.IsZero() && !end.After(most.Add(-10*time.Second)) {
			late[n] = true
		}
		if at.After(most) {
			most = at
		}
	}
	path := filepath.Join(t.TempDir(), "in.csv")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	schema, err := record.NewSchema("in", record.Field{Name: "n", Type: record.Int64},
		record.Field{Name: "at", Type: record.Timestamp})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{1, 2, 5} {
		f, err := readers.OpenDelimited(path, readers.DelimitedConfig{Schema: schema, Header: true, BlockBytes: 4 << 10})
		if err != nil {
			t.Fatal(err)
		}
		p, err := query.Compile(`SELECT window_end, count(*) AS n FROM "in" GROUP BY tumble(at, INTERVAL '1 s')`, schema)
		if err != nil {
			t.Fatal(err)
		}
		p.Window.OutOfOrder = 10 * time.Second
		var mu sync.Mutex
		got := map[int64]bool{}
		e := start(t, engine.Config{
			Plan: p, Readers: f.Readers(n), Partitions: 2, Cores: 2, NoPin: true, EpochInterval: time.Millisecond,
			OnLate: func(_ int, b *record.Batch) {
				mu.Lock()
				defer mu.Unlock()
				for _, v := range b.Column(0).Int64s[:b.Len()] {
					got[v] = true
				}
			},
		})
		if err := e.Wait(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		for v := range got {
			if !late[v] {
				t.Fatalf("%d readers: record %d is late, and is not with one", n, v)
			}
		}
		if n == 1 && len(got) != len(late) || len(got) == 0 {
			t.Errorf("%d readers: %d records are late, expected %d", n, len(got), len(late))
		}
		t.Logf("%d readers: %d records are late, %d with one", n, len(got), len(late))
		mu.Unlock()
	}
}
