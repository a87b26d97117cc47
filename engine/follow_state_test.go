package engine_test

import (
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/readers/compressed"
	"github.com/velo-engine/velo/record"
)

// Goal: an engine over the files of a pattern that is followed and over a packed file goes on
// without losing a record or counting one twice, with any number of readers. Method: in each life
// something is written before and after a checkpoint, and between lives the log is rotated.
func TestStateOfFollowedAndPackedFiles(t *testing.T) {
	const packedRows, lives = 60_000, 4
	schema, err := record.NewSchema("log", record.Field{Name: "v", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	folder, dir := t.TempDir(), t.TempDir()
	rows, sum := int64(0), int64(0)
	line := func() string {
		rows, sum = rows+1, sum+rows
		return fmt.Sprintln(rows - 1)
	}
	write := func(n int) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(folder, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range n {
			if _, err := f.WriteString(line()); err != nil {
				t.Fatal(err)
			}
		}
	}
	packed := filepath.Join(folder, "packed.gz")
	f, err := os.Create(packed)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	for range packedRows {
		if _, err := z.Write([]byte(line())); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	write(100)
	cfg := readers.DelimitedConfig{Schema: schema}
	for life := range lives {
		set, err := readers.FollowDelimitedFiles(func() ([]string, error) {
			return filepath.Glob(filepath.Join(folder, "log*"))
		}, 0, cfg)
		if err != nil {
			t.Fatal(err)
		}
		found, err := set.Look()
		if err != nil {
			t.Fatal(err)
		}
		in, _, err := compressed.Open(packed)
		if err != nil {
			t.Fatal(err)
		}
		rs, err := readers.NewDelimitedStreams(packed, in, cfg, 1+life%3)
		if err != nil {
			t.Fatal(err)
		}
		p, err := query.Compile("SELECT count(*) AS n, sum(v) AS s FROM log", schema)
		if err != nil {
			t.Fatal(err)
		}
		e := start(t, engine.Config{
			Plan: p, Readers: append(found.New, rs...), Partitions: 1 + life%2, Cores: 2, NoPin: true,
			State: &engine.State{Path: dir, NoSync: true}, EpochInterval: time.Millisecond,
		})
		if life == 0 { // somewhere in the packed file
			waitRecords(t, e, 100)
		} else {
			waitRecords(t, e, uint64(rows))
		}
		if err := e.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		write(500)
		if life > 0 {
			waitRecords(t, e, uint64(rows)) // and is lost with this life
			s := e.Snapshot()
			got, want := lines(t, s), fmt.Sprint(rows, " ", sum)
			s.Close()
			if len(got) != 1 || got[0] != want {
				t.Fatalf("life %d: %v, expected %s", life, got, want)
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		if life%2 == 0 {
			if err := os.Rename(filepath.Join(folder, "log"), filepath.Join(folder, fmt.Sprint("log.", life))); err != nil {
				t.Fatal(err)
			}
		}
		write(200)
	}
}
