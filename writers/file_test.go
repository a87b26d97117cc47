package writers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/velo-engine/velo/record"
)

// disk is a file system in memory that may be full, fail, or lose its power. What was not synced is
// lost with that.
type disk struct {
	mu    sync.Mutex
	files map[string]*content
	room  int  // bytes that still fit; less than 0 is no limit
	left  int  // operations until the power goes; less than 0 is never
	off   bool // it has gone
	ops   int
	fault map[string]error // of an operation by its name
}

type content struct {
	disk         *disk
	data, synced []byte
}

func newDisk() *disk { return &disk{files: map[string]*content{}, room: -1, left: -1} }

var errPower = errors.New("no power")

// op counts an operation and says whether it fails.
func (d *disk) op(name string) error {
	d.ops++
	if d.left == 0 {
		d.off = true
	}
	if d.off {
		return errPower
	}
	if d.left > 0 {
		d.left--
	}
	return d.fault[name]
}

func (d *disk) list(string) (names []string, err error) {
	for n := range d.files {
		names = append(names, filepath.Base(n))
	}
	return names, nil
}
func (d *disk) replaceable(string) error { return nil }

func (d *disk) create(path string) (handle, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("create"); err != nil {
		return nil, err
	}
	c := &content{disk: d}
	d.files[path] = c
	return c, nil
}

func (d *disk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.op("rename"); err != nil {
		return err
	}
	d.files[to] = d.files[from]
	delete(d.files, from)
	return nil
}

func (d *disk) claim(from, to string) error {
	d.mu.Lock()
	taken := d.files[to] != nil
	d.mu.Unlock()
	if taken {
		return fs.ErrExist
	}
	return d.rename(from, to)
}

func (d *disk) remove(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, path)
	return d.op("remove")
}

func (d *disk) open(path string) (handle, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[path]
	if c == nil {
		return nil, 0, fs.ErrNotExist
	}
	return c, int64(len(c.data)), d.op("open")
}

func (d *disk) read(path string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[path]
	if c == nil {
		return nil, fs.ErrNotExist
	}
	return c.data, d.op("read")
}

func (d *disk) same(a, b string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files[a] != nil && d.files[a] == d.files[b]
}

func (d *disk) syncDir(string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.op("syncDir")
}

func (c *content) WriteAt(b []byte, at int64) (int, error) {
	d := c.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.op("write")
	n := len(b)
	if d.room >= 0 && err == nil { // what is there already needs no room
		fits := max(0, len(c.data)-int(at)) + d.room
		if n = min(n, fits); n < len(b) {
			err = &fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
		}
		d.room -= max(0, int(at)+n-len(c.data))
	} else if err != nil {
		n /= 2 // half of it comes through
	}
	c.data = append(c.data, make([]byte, max(0, int(at)+n-len(c.data)))...)
	copy(c.data[at:], b[:n])
	return n, err
}

func (c *content) Truncate(size int64) error {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	if err := c.disk.op("truncate"); err != nil {
		return err
	}
	c.data = c.data[:size]
	return nil
}

func (c *content) Sync() error {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	if err := c.disk.op("sync"); err != nil {
		return err
	}
	c.synced = slices.Clone(c.data)
	return nil
}

func (c *content) Close() error {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	return c.disk.op("close")
}

// whole are the files under their own names, in their order, as they are after the power has gone.
func (d *disk) whole() (names, texts []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range d.files {
		if !strings.HasSuffix(n, Unfinished) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		texts = append(texts, string(d.files[n].synced))
	}
	return names, texts
}

var numbers = func() *record.Schema {
	s, err := record.NewSchema("t", record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		panic(err)
	}
	return s
}()

// batchOf has rows from..from+n-1.
func batchOf(from, n int) *record.Batch {
	b := record.NewBatch(numbers, max(n, 1))
	for i := range n {
		b.Add(1)
		b.SetInt64(0, int64(from+i))
	}
	return b
}

// linesOf are the rows of such batches in a CSV, and whether the file is one: its first line, and
// no line cut.
func linesOf(text string) (rows []string, ok bool) {
	text, ok = strings.CutPrefix(text, "n\n")
	if !ok || text != "" && !strings.HasSuffix(text, "\n") {
		return nil, false
	}
	return strings.Fields(text), true
}

func sequence(n int) (rows []string) {
	for i := range n {
		rows = append(rows, fmt.Sprint(i))
	}
	return rows
}

// Goal: whenever the power goes, what has its own name is whole and was synced, and is the
// beginning of what was written, nothing twice. Method: a run over a disk that stops after each
// number of operations; half of the write under way comes through.
func TestFilePower(t *testing.T) {
	run := func(d *disk) (written int, err error) {
		f, err := newFile(FileConfig{Path: "out-{n}.csv", RotateBytes: MinRotateBytes}, d)
		if err != nil {
			return 0, err
		}
		for written < 2000 {
			if err = f.Write(context.Background(), batchOf(written, 50)); err != nil {
				break
			}
			written += 50
		}
		return written, errors.Join(err, f.Close())
	}
	d := newDisk()
	if n, err := run(d); n != 2000 || err != nil {
		t.Fatal(n, err)
	}
	all := d.ops
	if all < 50 {
		t.Fatalf("%d operations: too few to mean anything", all)
	}
	for left := range all {
		d := newDisk()
		d.left = left
		if _, err := run(d); !errors.Is(err, errPower) {
			t.Errorf("no power after %d operations was no error: %v", left, err)
		}
		names, texts := d.whole()
		var rows []string
		for i, text := range texts {
			if want := fmt.Sprintf("out-%06d.csv", i+1); names[i] != want {
				t.Errorf("after %d operations: file %s, expected %s", left, names[i], want)
			}
			lines, ok := linesOf(text)
			if !ok || len(text) < MinRotateBytes && left < all-5 {
				t.Errorf("after %d operations: %s is not whole: %q", left, names[i], text)
			}
			rows = append(rows, lines...)
		}
		if !slices.Equal(rows, sequence(len(rows))) {
			t.Errorf("after %d operations: the files have %v", left, rows)
		}
	}
}

// Goal: a full disk loses nothing and doubles nothing. Method: a disk that gets a few bytes of room
// at random moments; writes are tried again as the engine does; sometimes it is only seen by the
// clock.
func TestFileNoSpace(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	for _, cfg := range []FileConfig{
		{Path: "a.csv", AwaitSpace: true},
		{Path: "a-{n}.csv", RotateBytes: 1 << 10, AwaitSpace: true},
		{Path: "a.csv", FlushEvery: time.Hour, AwaitSpace: true},
		{Path: "a-{n}.footed", RotateBytes: 1 << 10, AwaitSpace: true, Encode: newFooted},
		{Path: "a.footed", AwaitSpace: true, Encode: newFooted, FlushEvery: time.Hour},
	} {
		d := newDisk()
		d.room = 0
		f, err := newFile(cfg, d)
		if err != nil {
			t.Fatal(err)
		}
		written, refused := 0, 0
		for written < 3000 {
			n := 1 + r.IntN(100)
			for {
				err := f.Write(context.Background(), batchOf(written, n))
				if err == nil {
					break
				}
				if !errors.Is(err, record.ErrTransient) || !errors.Is(err, syscall.ENOSPC) {
					t.Fatalf("seed %d: %v", seed, err)
				}
				if refused++; refused > 100_000 {
					t.Fatalf("seed %d: the writing does not get on", seed)
				}
				d.room += r.IntN(300)
			}
			written += n
		}
		if cfg.FlushEvery == 0 && cfg.Encode == nil { // nothing is left of one that is not tried again
			d.room = 7
			if err := f.Write(context.Background(), batchOf(written, 50)); !errors.Is(err, record.ErrTransient) {
				t.Errorf("seed %d: %v", seed, err)
			}
		}
		d.room = -1
		if err := f.Close(); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if refused < 10 && cfg.FlushEvery == 0 {
			t.Errorf("seed %d: only %d writes were refused", seed, refused)
		}
		names, texts := d.whole()
		var rows []string
		for i, text := range texts {
			lines, ok := linesOfFile(names[i], text)
			if !ok {
				t.Errorf("seed %d: %+v: not whole: %q", seed, cfg, text)
			}
			rows = append(rows, lines...)
		}
		if !slices.Equal(rows, sequence(written)) {
			t.Errorf("seed %d: %+v: %d rows of %d", seed, cfg, len(rows), written)
		}
	}
}

// Goal: an error that is not transient ends the writing, is said by every later call with the name
// of what was written, and nothing gets its name. Method: each operation fails.
func TestFileFaults(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "close", "rename"} {
		d := newDisk()
		d.fault = map[string]error{op: syscall.EIO}
		f, err := newFile(FileConfig{Path: "a.csv"}, d)
		if err != nil {
			t.Fatal(err)
		}
		err = f.Write(context.Background(), batchOf(0, 5))
		if (err != nil) != (op == "create" || op == "write") {
			t.Errorf("%s: %v", op, err)
		}
		again := f.Write(context.Background(), batchOf(5, 5))
		if err != nil && again != err {
			t.Errorf("%s: the next write: %v", op, again)
		}
		closed := f.Close()
		if !errors.Is(closed, syscall.EIO) || errors.Is(closed, record.ErrTransient) ||
			!strings.Contains(closed.Error(), `writers: file "a.csv": `+op) {
			t.Errorf("%s: %v", op, closed)
		}
		if op != "create" && !strings.Contains(closed.Error(), Unfinished) {
			t.Errorf("%s: %v does not name the unfinished file", op, closed)
		}
		if err := f.Write(context.Background(), batchOf(0, 5)); err == nil {
			t.Errorf("%s: a write after Close was no error", op)
		}
		if names, _ := d.whole(); len(names) != 0 {
			t.Errorf("%s: %v has its name", op, names)
		}
	}
	// Without AwaitSpace a full disk is such an error.
	d := newDisk()
	d.room = 3
	f, err := newFile(FileConfig{Path: "a.csv"}, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(context.Background(), batchOf(0, 5)); err == nil || errors.Is(err, record.ErrTransient) {
		t.Error(err)
	}
	// A writer whose engine was closed has not got everything.
	d = newDisk()
	if f, err = newFile(FileConfig{Path: "a.csv"}, d); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := f.Write(ctx, batchOf(0, 5)); err != nil {
		t.Error(err)
	}
	cancel()
	if err := f.Write(ctx, batchOf(5, 5)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := f.Close(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if names, _ := d.whole(); len(names) != 0 {
		t.Errorf("%v has its name", names)
	}
	// Nor has one whose caller says so.
	d = newDisk()
	if f, err = newFile(FileConfig{Path: "a.csv"}, d); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(context.Background(), batchOf(0, 5)); err != nil {
		t.Error(err)
	}
	f.Fail(syscall.EPIPE)
	if err := f.Close(); !errors.Is(err, syscall.EPIPE) || !strings.Contains(err.Error(), Unfinished) {
		t.Error(err)
	}
	if names, _ := d.whole(); len(names) != 0 {
		t.Errorf("%v has its name", names)
	}
}

// Goal: files end where the configuration says: by size at the batch that reaches it, by time also
// when nothing is written; rows are flushed when they are due. Method: a clock that the test moves.
func TestFileRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		f, err := newFile(FileConfig{Path: "a-{time}-{n}.csv", RotateEvery: time.Minute, FlushEvery: time.Second}, d)
		if err != nil {
			t.Fatal(err)
		}
		system := func() (bytes int) {
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, c := range d.files {
				bytes += len(c.data)
			}
			return bytes
		}
		begun := time.Now().UTC()
		write := func(from int) {
			if err := f.Write(context.Background(), batchOf(from, 1)); err != nil {
				t.Fatal(err)
			}
		}
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		write(0)
		if system() != 0 {
			t.Error("rows were flushed at once")
		}
		pass(time.Second)
		if system() != len("n\n0\n") {
			t.Errorf("%d bytes were flushed after a second", system())
		}
		pass(58 * time.Second)
		write(1)
		if names, _ := d.whole(); len(names) != 0 {
			t.Errorf("%v was ended early", names)
		}
		pass(time.Second)
		pass(10 * time.Minute) // nothing comes: no empty files
		write(2)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		names, texts := d.whole()
		want := []string{
			fmt.Sprintf("a-%s-000001.csv", begun.Format(timeLayout)),
			fmt.Sprintf("a-%s-000002.csv", begun.Add(11*time.Minute).Format(timeLayout)),
		}
		if !slices.Equal(names, want) || !slices.Equal(texts, []string{"n\n0\n1\n", "n\n2\n"}) {
			t.Errorf("%v %q, expected %v", names, texts, want)
		}
		if whole, n := f.Whole(); !slices.Equal(whole, want) || n != 2 {
			t.Errorf("%v, %d", whole, n)
		}
	})
	// A disk that was full when a file was to be ended by time.
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		f, err := newFile(FileConfig{
			Path: "a-{n}.csv", RotateEvery: time.Minute, FlushEvery: time.Hour,
			AwaitSpace: true,
		}, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Write(context.Background(), batchOf(0, 1)); err != nil {
			t.Fatal(err)
		}
		d.mu.Lock()
		d.room = 0
		d.mu.Unlock()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		d.mu.Lock()
		d.room = -1
		d.mu.Unlock()
		time.Sleep(retryEvery)
		synctest.Wait()
		if _, texts := d.whole(); !slices.Equal(texts, []string{"n\n0\n"}) {
			t.Errorf("%q", texts)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Goal: on a real disk: one file appears as a whole in place of the one before, numbers go on after
// those that are there, a device is not replaced, leftovers are found, nothing else is.
func TestFileSystem(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out.ndjson")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile(FileConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Write(context.Background(), batchOf(7, 1)); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); string(text) != "old" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if left, err := Leftovers(path); len(left) != 1 || err != nil {
		t.Errorf("%v, %v", left, err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(path); string(text) != `{"n":7}`+"\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}

	// Abandoned: the old one stays, nothing is left over.
	if f, err = NewFile(FileConfig{Path: path}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Write(context.Background(), batchOf(8, 1)), f.Abandon(), f.Close()); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(path); string(text) != `{"n":7}`+"\n" {
		t.Errorf("%q", text)
	}
	if left, err := Leftovers(path); len(left) != 0 || err != nil {
		t.Errorf("%v, %v", left, err)
	}

	rotated := filepath.Join(dir, "x-{n}.csv")
	for _, name := range []string{"x-000041.csv", "x-7.csv", "x-000099.csv.bak", "x-000100.csv.0123abcd" + Unfinished} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if f, err = NewFile(FileConfig{Path: rotated, RotateEvery: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Write(context.Background(), batchOf(0, 0)), f.Close()); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "x-000042.csv")); string(text) != "n\n" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if left, err := Leftovers(rotated); len(left) != 1 || err != nil {
		t.Errorf("%v, %v", left, err)
	}
	for path, want := range map[string]string{dir + "/sub": "no format", dir + "/nothere/x.csv": "no such file"} {
		if _, err := NewFile(FileConfig{Path: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := os.Mkdir(dir+"/sub.csv", 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFile(FileConfig{Path: dir + "/sub.csv"}); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a folder: %v", err)
	}
}

// Goal: all faults of a configuration are said at once.
func TestFileConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  FileConfig
		want []string
	}{
		{FileConfig{}, []string{"no path", "no format"}},
		{FileConfig{Path: "a{n}/b.csv"}, []string{"not into the folder"}},
		{FileConfig{Path: "a{n}{n}.csv"}, []string{"twice"}},
		{
			FileConfig{Path: "a.csv", RotateBytes: 5, RotateEvery: 5, FlushEvery: -1, Format: "xml"},
			[]string{"{n}", "5 bytes", "5ns", "-1ns", `"xml"`},
		},
	} {
		_, err := NewFile(c.cfg)
		for _, w := range c.want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %v, expected %q", c.cfg, err, w)
			}
		}
	}
}

// Goal: a table has its columns aligned, and no value leaves its line or speaks to the terminal.
func TestTable(t *testing.T) {
	s, err := record.NewSchema("t", record.Field{Name: "name", Type: record.String, Nullable: true},
		record.Field{Name: "n", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	b := record.NewBatch(s, 3)
	for i, name := range []string{"Zürich", "a\n\x1b[2Jb"} {
		b.Add(1)
		b.SetString(0, name)
		b.SetInt64(1, int64(i*100))
	}
	b.Add(1)
	b.SetNull(0)
	b.SetInt64(1, 5)
	var out bytes.Buffer
	w := NewTable(&out)
	if err := errors.Join(w.Write(context.Background(), b), w.Close()); err != nil {
		t.Error(err)
	}
	want := "name       n\n-------  ---\nZürich     0\na  [2Jb  100\nNULL       5\n"
	if out.String() != want {
		t.Errorf("\n%s\nexpected\n%s", out.String(), want)
	}
	out.Reset()
	if err := NewTable(&out).Close(); err != nil || out.Len() != 0 {
		t.Errorf("%v, %q", err, out.String())
	}
}

// Goal: a table that is written as rows come has its names once, aligns a row with those before it,
// and grows with a wider one. It keeps no more than maxTableRows.
func TestTableFlush(t *testing.T) {
	s, err := record.NewSchema("t", record.Field{Name: "n", Type: record.Int64},
		record.Field{Name: "s", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := NewTable(&out)
	if err := w.Flush(); err != nil || out.Len() > 0 {
		t.Errorf("%v, %q", err, out.String())
	}
	b := record.NewBatch(s, 3)
	add := func(n int64) {
		b.Reset()
		b.Add(1)
		b.SetInt64(0, n)
		b.SetString(1, "x")
		if err := errors.Join(w.Write(context.Background(), b), w.Flush()); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int64{10, 5, 100, 7} {
		add(n)
	}
	if want := " n  s\n--  -\n10  x\n 5  x\n100  x\n  7  x\n"; out.String() != want {
		t.Errorf("\n%s\nexpected\n%s", out.String(), want)
	}
	w = NewTable(&out)
	for range maxTableRows + 1 {
		if err := w.Write(context.Background(), b); err != nil {
			t.Fatal(err)
		}
	}
	if w.len() != 1 {
		t.Errorf("it keeps %d rows", w.len())
	}
}

// Goal: two writers of one pattern, in one process or two, take no number twice: no file takes the
// place of another. Method: both begun before either has written, so that they count from the same
// number.
func TestFilePatternShared(t *testing.T) {
	folder := t.TempDir()
	schema, err := record.NewSchema("s", record.Field{Name: "k", Type: record.String})
	if err != nil {
		t.Fatal(err)
	}
	const files = 5
	var two [2]*File
	for i := range two {
		if two[i], err = NewFile(FileConfig{Path: filepath.Join(folder, "out-{n}.csv"), RotateBytes: 1 << 10}); err !=
			nil {
			t.Fatal(err)
		}
	}
	for n := range files {
		for i, f := range two {
			b := record.NewBatch(schema, 1)
			b.Add(1100)
			b.SetString(0, fmt.Sprintf("%d%01099d", i, n))
			if err := f.Write(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range two {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	paths, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Fields(string(text))[1:] {
			seen[line] = true
		}
	}
	if len(seen) != 2*files {
		t.Errorf("%d of %d rows are there, in %v", len(seen), 2*files, paths)
	}
}

// Goal: a path has one File at a time, by whatever name it comes, and another one when that has
// ended. One with {n} has several.
func TestFileTaken(t *testing.T) {
	folder := t.TempDir()
	inner := filepath.Join(folder, "inner")
	if err := errors.Join(os.Mkdir(inner, 0o700), os.Symlink(inner, filepath.Join(folder, "way"))); err != nil {
		t.Skip(err)
	}
	path := filepath.Join(inner, "o.csv")
	others := []string{path, filepath.Join(inner, "..", "inner", "o.csv"), filepath.Join(folder, "way", "o.csv")}
	for _, end := range []func(*File) error{(*File).Close, (*File).Abandon} {
		first, err := NewFile(FileConfig{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range others {
			if _, err := NewFile(FileConfig{Path: other}); err == nil ||
				!strings.Contains(err.Error(), "another File of this process writes it") {
				t.Errorf("%s beside %s: %v", other, path, err)
			}
		}
		if err := end(first); err != nil {
			t.Error(err)
		}
	}
	first, err := NewFile(FileConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	first.Fail(errors.New("by the test"))
	if err := first.Close(); err == nil {
		t.Error("a file that has failed is whole")
	}
	for _, name := range []string{"o.csv", "p.csv", "q-{n}.csv", "q-{n}.csv"} {
		f, err := NewFile(FileConfig{Path: filepath.Join(inner, name)})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
}

// Goal: Writes knows the names of a path's files.
func TestWrites(t *testing.T) {
	for _, c := range []struct {
		path, name string
		want       bool
	}{
		{"o.csv", "o.csv", true},
		{"a/o.csv", "b/o.csv", true},
		{"o.csv", "o.csv.5f0c83d2.unfinished", true},
		{"o.csv", "p.csv", false},
		{"o-{n}.csv", "o-000001.csv", true},
		{"o-{n}.csv", "o-1.csv", false},
		{"o-{n}.csv", "o-000001.csv.5f0c83d2.unfinished", true},
		{"o-{n}.csv", "o-000001.csv.gz", false},
		{"{time}-{n}.csv", "20240131T235959Z-000001.csv", true},
	} {
		if got := Writes(c.path, c.name); got != c.want {
			t.Errorf("%s of %s: %v", c.name, c.path, got)
		}
	}
}

// Goal: a file ends with the batch that brings it to RotateBytes, and not with one that is a byte
// short of it. Method: two batches, and limits around the size of the first.
func TestFileRotatesAtTheSize(t *testing.T) {
	size := int64(len("n\n"))
	for i := range 500 {
		size += int64(len(fmt.Sprintln(i)))
	}
	for more, want := range map[int64]int{-1: 2, 0: 2, 1: 1} {
		d := newDisk()
		f, err := newFile(FileConfig{Path: "a-{n}.csv", RotateBytes: size + more}, d)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := f.Write(context.Background(), batchOf(0, 500)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if names, _ := d.whole(); len(names) != want {
			t.Errorf("a limit of %d bytes more than the first batch has: %d files, expected %d", more, len(names), want)
		}
	}
}
