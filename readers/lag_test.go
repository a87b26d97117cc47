package readers

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// lagOf is what waits to be read of a reader.
func lagOf(t *testing.T, r any) record.Lag {
	t.Helper()
	lag := r.(record.Lagging).Lag()
	if len(lag) != 1 {
		t.Fatalf("%T has %d lags, expected 1", r, len(lag))
	}
	return lag[0]
}

// Goal: the readers of a file say how many bytes they have not begun with: all of it before the
// first Poll, nothing at the end, and less with each block, whatever the number of readers and
// blocks is.
func TestLagOfFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.csv")
	text := "a,b\n" + strings.Repeat("x,y\n", 10_000)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := texts(t, "a", "b")
	for _, n := range []int{1, 2, 3, 7} {
		f, err := OpenDelimited(path, DelimitedConfig{Schema: s, Header: true, BlockBytes: 4096})
		if err != nil {
			t.Fatal(err)
		}
		rs := f.Readers(n)
		sum := uint64(0)
		for _, r := range rs {
			l := lagOf(t, r)
			sum += l.Bytes
			if l.Split != "file "+path || !l.InBytes || l.Records != 0 {
				t.Errorf("%+v", l)
			}
		}
		if sum != uint64(len(text)-len("a,b\n")) {
			t.Errorf("%d readers: %d bytes wait at first, the file has %d after its header", n, sum, len(text)-len("a,b\n"))
		}
		for _, r := range rs {
			b := record.NewBatch(s, 0)
			before := lagOf(t, r).Bytes
			for err = nil; err == nil; {
				b.Reset()
				err = r.(record.Poller).Poll(b)
				now := lagOf(t, r).Bytes
				if now > before {
					t.Fatalf("%d readers: %d bytes wait, there were %d", n, now, before)
				}
				before = now
			}
			if err != io.EOF || before != 0 {
				t.Errorf("%d readers: %v, %d bytes wait at the end", n, err, before)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// Goal: a followed file says how many bytes were written that have not been read, also of the file
// that had its name before.
func TestLagOfFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	write := func(path, text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "1,2\n3,4\n")
	s := texts(t, "a", "b")
	r, err := FollowDelimited(path, DelimitedConfig{Schema: s})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	clock := setClock(r)
	if l := lagOf(t, r); l.Bytes != 8 || !l.InBytes || !strings.Contains(l.Split, path) {
		t.Errorf("before the first Poll: %+v", l)
	}
	b := record.NewBatch(s, 0)
	read := func() {
		t.Helper()
		for range 6 {
			b.Reset()
			if err := r.Poll(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	read()
	if l := lagOf(t, r); l.Bytes != 0 {
		t.Errorf("after everything was read: %+v", l)
	}
	write(path, "5,6\n")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	write(path, "7,8\n9,10\n")
	clock.pass(lookEvery)
	r.followed.look(clock.at)
	if l := lagOf(t, r); l.Bytes != 13 {
		t.Errorf("of two files: %+v, expected 4 and 9 bytes", l)
	}
	read()
	clock.pass(lookEvery)
	read()
	if l := lagOf(t, r); l.Bytes != 0 {
		t.Errorf("after both were read: %+v", l)
	}
}

// Goal: a feed says how many records wait in its lanes.
func TestLagOfFeed(t *testing.T) {
	type row struct{ A int64 }
	s, err := record.SchemaOf[row]("rows")
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFeed[row](s, FeedConfig{Name: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	lane, err := f.Lane()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := lane.Send(t.Context(), row{int64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if l := lagOf(t, f); l != (record.Lag{Split: "orders", Records: 3}) {
		t.Errorf("%+v", l)
	}
	if err := f.Poll(record.NewBatch(s, 0)); err != nil {
		t.Fatal(err)
	}
	if l := lagOf(t, f); l.Records != 0 {
		t.Errorf("after a Poll: %+v", l)
	}
}
