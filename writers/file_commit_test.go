package writers

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// rowsOf are n rows from first on, in batches of up to some rows.
func rowsOf(first, n, some int) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		for n > 0 {
			k := min(n, some)
			if !yield(batchOf(first, k)) {
				return
			}
			first, n = first+k, n-k
		}
	}
}

// commits is a run of transactions over a disk.
type commits struct {
	t    *testing.T
	rng  *rand.Rand
	cfg  FileConfig
	disk *disk
	what string
	// acked is the last transaction that was acknowledged, tried the last that was begun.
	acked, tried uint64
}

const lastCommit = 60

func (c *commits) rows(number uint64) int { return int(number*7%40) * int(number%4) }

// life lives until the disk has no power, the writer is closed, or everything is written.
func (c *commits) life() (done bool, err error) {
	f, err := newFile(c.cfg, c.disk)
	if err != nil {
		return false, err
	}
	has, err := f.RecoverOutput(context.Background(), "job")
	if err != nil {
		return false, err
	}
	if has < c.acked || has > c.tried {
		c.t.Fatalf("%s: it has transaction %d; %d was acknowledged and %d begun", c.what, has, c.acked, c.tried)
	}
	for n := has + 1; n <= lastCommit; n++ {
		c.tried = n
		if c.rng.IntN(8) == 0 {
			c.disk.room = c.rng.IntN(300)
		}
		err := record.ErrTransient
		for errors.Is(err, record.ErrTransient) {
			err = f.Commit(context.Background(), n, rowsOf(1000*int(n), c.rows(n), 1+c.rng.IntN(30)), n == lastCommit)
			if c.rng.IntN(3) == 0 {
				c.disk.room = -1
			}
		}
		c.disk.room = -1
		if err != nil {
			return false, err
		}
		c.acked = n
		if c.rng.IntN(10) == 0 { // the answer is lost
			if err := f.Commit(context.Background(), n, rowsOf(1000*int(n), c.rows(n), 100), n == lastCommit); err != nil {
				return false, err
			}
		}
		if c.rng.IntN(30) == 0 && n < lastCommit { // shut down in order
			return false, f.Close()
		}
	}
	return true, f.Close()
}

// Goal: whenever the power goes, each transaction is in exactly one file with a name, in order, and
// such a file never changes. Method: transactions of some rows or none, over a disk that is full at
// times, in lives that end after a random number of operations.
func TestFileCommits(t *testing.T) {
	for _, path := range []string{"out-{n}.csv", "out.csv", "out.ndjson", "out-{n}.footed"} {
		for seed := range uint64(400) {
			c := &commits{
				t: t, rng: rand.New(rand.NewPCG(seed, 12)), cfg: FileConfig{Path: path, AwaitSpace: true}, disk: newDisk(),
				what: fmt.Sprintf("%s, seed %d", path, seed),
			}
			if strings.Contains(path, "{n}") {
				c.cfg.RotateBytes = MinRotateBytes
			}
			if strings.HasSuffix(path, ".footed") {
				c.cfg.Encode = newFooted
			}
			named := map[string]string{}
			for life := 0; ; life++ {
				if c.disk.left = 5 + c.rng.IntN(150); life > 30 {
					c.disk.left = -1
				}
				done, err := c.life()
				if err != nil && !c.disk.off {
					t.Fatalf("%s, life %d: %v", c.what, life, err)
				}
				if c.disk.off {
					c.disk = c.disk.afterPower()
				}
				now := published(c.disk)
				for name, text := range named {
					if now[name] != text {
						t.Fatalf("%s: %s had\n%s and has\n%s", c.what, name, text, now[name])
					}
				}
				named = now
				if done && err == nil {
					break
				}
			}
			c.check(named)
		}
	}
}

func (c *commits) check(named map[string]string) {
	var got, want []string
	for _, name := range slices.Sorted(maps.Keys(named)) {
		text := named[name]
		if strings.HasSuffix(name, ".ndjson") {
			text = "n\n" + strings.NewReplacer(`{"n":`, "", "}", "").Replace(text)
		}
		lines, ok := linesOfFile(name, text)
		if !ok {
			c.t.Fatalf("%s: %s is\n%s", c.what, name, named[name])
		}
		got = append(got, lines...)
	}
	for n := uint64(1); n <= lastCommit; n++ {
		for i := range c.rows(n) {
			want = append(want, fmt.Sprint(1000*int(n)+i))
		}
	}
	if !slices.Equal(got, want) {
		c.t.Fatalf("%s: the files have %d rows, expected %d", c.what, len(got), len(want))
	}
	for name := range c.disk.files {
		if strings.HasSuffix(name, Unfinished) {
			c.t.Fatalf("%s: %s is left", c.what, name)
		}
	}
}

// Goal: a File that has completed its file, and one that another job writes, say so.
func TestFileCommitRefuses(t *testing.T) {
	d, ctx := newDisk(), context.Background()
	open := func(job string) (*File, uint64) {
		f, err := newFile(FileConfig{Path: "out.csv"}, d)
		if err != nil {
			t.Fatal(err)
		}
		n, err := f.RecoverOutput(ctx, job)
		if err != nil {
			t.Fatal(err)
		}
		return f, n
	}
	f, _ := open("one")
	if err := f.Commit(ctx, 3, rowsOf(0, 5, 2), false); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if len(published(d)) > 0 {
		t.Error("a file whose input has not ended has its name")
	}
	f, n := open("one")
	if n != 3 || !f.Resumed() {
		t.Errorf("it has transaction %d, expected 3", n)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, n = open("two"); n != 0 {
		t.Errorf("another job has transaction %d", n)
	}
	for name, content := range d.files {
		if strings.HasSuffix(name, Unfinished) {
			content.data = content.data[:3]
		}
	}
	f, _ = open("three")
	if err := f.Commit(ctx, 1, rowsOf(0, 5, 2), false); err != nil {
		t.Fatal(err)
	}
	for name, content := range d.files {
		if strings.HasSuffix(name, Unfinished) && strings.Contains(name, tag("three")) {
			content.data = content.data[:3]
		}
	}
	f, err := newFile(FileConfig{Path: "out.csv"}, d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.RecoverOutput(ctx, "three"); err == nil || !strings.Contains(err.Error(), "has 3 bytes, and had") {
		t.Errorf("a file that has lost bytes: %v", err)
	}
}
