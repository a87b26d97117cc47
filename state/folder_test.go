package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A disk is an FS that forgets what was not synced. A file has what was synced and what was only
// written; the folder has the names that were synced and the operations since.
type disk struct {
	files  map[string]*diskFile // what a program sees
	synced map[string]*diskFile // the names that are durable
	// pending are the operations on names that are not durable: each takes a name, or nil to
	// remove it.
	pending []nameOp
	locked  bool
	// calls counts the calls that change something. If it gets to crashAt the program is gone.
	calls, crashAt int
	// fail is returned by call number failAt.
	failAt int
	fail   error
}

type nameOp struct {
	name string
	file *diskFile
}

type diskFile struct {
	written []byte
	durable int // how many bytes are durable
}

// gone is the panic of a call after the crash.
type gone struct{}

func newDisk() *disk {
	return &disk{files: map[string]*diskFile{}, synced: map[string]*diskFile{}}
}

// change counts a call that changes something.
func (d *disk) change() error {
	d.calls++
	if d.crashAt > 0 && d.calls >= d.crashAt {
		panic(gone{})
	}
	if d.calls == d.failAt {
		return d.fail
	}
	return nil
}

// crash is what is left when the power fails: of each file what was synced and perhaps more, of the
// names those that were synced and any of the later operations, in any order.
func (d *disk) crash(rng *rand.Rand) *disk {
	left := newDisk()
	names := maps.Clone(d.synced)
	rng.Shuffle(len(d.pending), func(i, j int) { d.pending[i], d.pending[j] = d.pending[j], d.pending[i] })
	for _, op := range d.pending {
		if rng.IntN(2) == 0 {
			continue
		}
		names[op.name] = op.file
		if op.file == nil {
			delete(names, op.name)
		}
	}
	for name, f := range names {
		n := f.durable
		if more := len(f.written) - n; more > 0 {
			n += rng.IntN(more + 1)
		}
		c := &diskFile{written: slices.Clone(f.written[:n]), durable: n}
		if n > f.durable && rng.IntN(2) == 0 {
			c.written[f.durable+rng.IntN(n-f.durable)] ^= 0x55 // a page that was not written
		}
		left.files[name], left.synced[name] = c, c
	}
	return left
}

func (d *disk) Create(name string) (File, error) {
	if err := d.change(); err != nil {
		return nil, err
	}
	if d.files[name] != nil {
		return nil, fs.ErrExist
	}
	f := &diskFile{}
	d.files[name] = f
	d.pending = append(d.pending, nameOp{name, f})
	return &diskHandle{d, f}, nil
}

func (d *disk) Open(name string) (Source, error) {
	f := d.files[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return diskSource{bytes.NewReader(f.written)}, nil
}

func (d *disk) Rename(from, to string) error {
	if err := d.change(); err != nil {
		return err
	}
	f := d.files[from]
	if f == nil {
		return fs.ErrNotExist
	}
	delete(d.files, from)
	d.files[to] = f
	d.pending = append(d.pending, nameOp{to, f}, nameOp{from, nil})
	return nil
}

func (d *disk) Remove(name string) error {
	if err := d.change(); err != nil {
		return err
	}
	if d.files[name] == nil {
		return fs.ErrNotExist
	}
	delete(d.files, name)
	d.pending = append(d.pending, nameOp{name, nil})
	return nil
}

func (d *disk) List() ([]string, error) { return slices.Collect(maps.Keys(d.files)), nil }

func (d *disk) SyncFolder() error {
	if err := d.change(); err != nil {
		return err
	}
	for _, op := range d.pending {
		d.synced[op.name] = op.file
		if op.file == nil {
			delete(d.synced, op.name)
		}
	}
	d.pending = nil
	return nil
}

func (d *disk) Lock() error {
	if d.locked {
		return ErrLocked
	}
	d.locked = true
	return nil
}

func (d *disk) Unlock() error  { d.locked = false; return nil }
func (d *disk) Home() string   { return "disk" }
func (d *disk) String() string { return "disk" }

type diskHandle struct {
	disk *disk
	file *diskFile
}

func (h *diskHandle) Write(p []byte) (int, error) {
	if err := h.disk.change(); err != nil {
		return 0, err
	}
	h.file.written = append(h.file.written, p...)
	return len(p), nil
}

func (h *diskHandle) Sync() error {
	if err := h.disk.change(); err != nil {
		return err
	}
	h.file.durable = len(h.file.written)
	return nil
}

func (h *diskHandle) Close() error { return nil }

type diskSource struct{ *bytes.Reader }

func (s diskSource) Size() (int64, error) { return s.Reader.Size(), nil }
func (s diskSource) Close() error         { return nil }

// content is what a generation of the tests has: a part for each pane, whose bytes say which
// generation wrote it.
func content(generation uint64, pane int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "g%06dp%d;", generation, pane), 100+30*pane)
}

// writeGeneration writes a generation: pane 0 anew, pane 1 referred to if there is one, pane 2 new
// and closed.
func writeGeneration(f *Folder) error {
	w := f.Begin()
	m := &Manifest{Epoch: w.Number() * 10, Plans: []Plan{{RowBytes: 1, KeyWords: 1}}}
	for pane := range 3 {
		if pane == 1 && f.Newest != nil && len(f.Newest.Plans[0].Panes) == 3 && w.Number()%4 != 0 {
			m.Plans[0].Panes = append(m.Plans[0].Panes, f.Newest.Plans[0].Panes[1])
			continue
		}
		part, err := w.Part(pane > 0, Pieces(content(w.Number(), pane)))
		if err != nil {
			w.Abort()
			return err
		}
		m.Plans[0].Panes = append(m.Plans[0].Panes, Pane{Pane: uint64(pane), Rows: part})
	}
	if err := w.Commit(m); err != nil {
		if !errors.Is(err, ErrTorn) {
			w.Abort()
		}
		return err
	}
	return nil
}

// checkGeneration reads a generation and compares it with what was written.
func checkGeneration(t *testing.T, f *Folder, m *Manifest) {
	t.Helper()
	r := f.Read(m)
	defer r.Close()
	for i := range m.Plans[0].Panes {
		p := &m.Plans[0].Panes[i].Rows
		got, err := r.All(p)
		if err != nil {
			t.Fatal(err)
		}
		if want := content(p.Of(), i); !bytes.Equal(got, want) {
			t.Fatalf("generation %d, pane %d: %.20q, expected %.20q", m.Generation, i, got, want)
		}
	}
}

// Goal: whatever the moment at which the process ends or the power fails, the newest generation
// whose Commit has returned, or from which a process has gone on, is there, or a newer one, whole.
// Method: a disk that forgets any part of what was not synced, an end at any call, many lives on
// one disk; some calls fail.
func TestFolderCrash(t *testing.T) {
	seeds := uint64(3000)
	if testing.Short() {
		seeds = 500
	}
	for seed := range seeds {
		rng := rand.New(rand.NewPCG(seed, 3))
		d := newDisk()
		durable, made := uint64(0), 0
		for range 6 {
			d.calls, d.crashAt, d.failAt = 0, 1+rng.IntN(60), 0
			if rng.IntN(3) == 0 {
				d.failAt, d.fail = 1+rng.IntN(60), errors.New("the disk is full")
			}
			func() {
				defer func() {
					if v := recover(); v != nil && v != (gone{}) {
						panic(v)
					}
				}()
				f, err := OpenFS(d, Options{})
				if err != nil && d.fail != nil && errors.Is(err, d.fail) {
					panic(gone{}) // the folder cannot be synced, so nothing goes on from it
				}
				if err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				f.buffer = 512
				if f.Newest == nil && durable > 0 || f.Newest != nil && f.Newest.Generation < durable {
					t.Fatalf("seed %d: generation %d was durable, found %v", seed, durable, f.Newest)
				}
				if f.Passed != nil {
					t.Fatalf("seed %d: a generation is damaged though its manifest is there: %v", seed, f.Passed)
				}
				if n := len(f.Generations()); n < min(made, keepGenerations) {
					t.Fatalf("seed %d: %d generations are whole, expected %d", seed, n, min(made, keepGenerations))
				}
				if f.Newest != nil {
					checkGeneration(t, f, f.Newest)
					durable = f.Newest.Generation // a writer may have got its rows now
				}
				for range 6 {
					switch err := writeGeneration(f); {
					case err == nil:
						durable = f.Newest.Generation
						made++
					case f.Newest == nil:
						panic(gone{}) // an engine does not start without a first generation
					}
					for _, m := range f.Generations() {
						checkGeneration(t, f, m)
					}
				}
				panic(gone{})
			}()
			d.locked = false
			if rng.IntN(3) > 0 { // otherwise the process alone has ended
				d = d.crash(rng)
			}
		}
	}
}

// Goal: a generation from which a process has gone on is not lost, although the process before
// ended before its name was durable. Method: that process ends between the rename and the sync of
// the folder; the next one opens the folder; then the power fails, and all names that were not
// synced are gone.
func TestFolderNameFound(t *testing.T) {
	for before := range 3 {
		d := newDisk()
		f, err := OpenFS(d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range before {
			if err := writeGeneration(f); err != nil {
				t.Fatal(err)
			}
		}
		renamed := func() bool { return d.files[name(uint64(before+1), manifestSuffix)] != nil }
		f.fs = endAfter{d, renamed}
		func() {
			defer func() {
				if v := recover(); v != (gone{}) {
					t.Fatalf("the process ends by %v, expected after the rename", v)
				}
			}()
			_ = writeGeneration(f)
		}()
		d.locked = false
		f, err = OpenFS(d, Options{})
		if err != nil || f.Newest == nil || f.Newest.Generation != uint64(before+1) {
			t.Fatalf("after %d generations: %+v, %v", before, f.Newest, err)
		}
		d.locked, d.files, d.pending = false, maps.Clone(d.synced), nil
		f, err = OpenFS(d, Options{})
		if err != nil || f.Newest == nil || f.Newest.Generation != uint64(before+1) || f.Passed != nil {
			t.Errorf("generation %d was gone on from and is lost: %+v, %v", before+1, f.Newest, err)
		}
	}
}

// endAfter is a disk whose process ends at the first sync of the folder after something.
type endAfter struct {
	*disk
	after func() bool
}

func (d endAfter) SyncFolder() error {
	if d.after() {
		panic(gone{})
	}
	return d.disk.SyncFolder()
}

// Goal: every byte of a generation counts. Method: each byte of the manifest and every few bytes of
// the segments flipped, and every length cut off; the generation before is taken then, and it is
// said why.
func TestFolderDamage(t *testing.T) {
	d := newDisk()
	f, err := OpenFS(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := writeGeneration(f); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	newest := map[string][]byte{}
	for name, file := range d.files {
		if n, _, _ := parse(name); n == 2 {
			newest[name] = file.written
		}
	}
	if len(newest) != 3 {
		t.Fatalf("generation 2 has %d files, expected 3", len(newest))
	}
	try := func(what, name string, text []byte) {
		t.Helper()
		d.files[name] = &diskFile{written: text, durable: len(text)}
		f, err := OpenFS(d, Options{})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		f.fs = noRemove{d}
		if f.Newest.Generation != 1 || f.Passed == nil || !strings.Contains(f.Passed.Error(), "generation 2 is passed over") {
			t.Fatalf("%s: generation %d is taken, passed over: %v", what, f.Newest.Generation, f.Passed)
		}
		f.Close()
	}
	for name, text := range newest {
		step := 1
		if !strings.HasSuffix(name, manifestSuffix) {
			step = len(text)/50 + 1
		}
		for at := 0; at < len(text); at += step {
			if at >= used(t, f, name, len(text)) {
				continue
			}
			flipped := slices.Clone(text)
			flipped[at] ^= 1 << (at % 8)
			try(fmt.Sprintf("bit %d of byte %d of %s", at%8, at, name), name, flipped)
			try(fmt.Sprintf("%s cut off at byte %d", name, at), name, text[:at])
			restore(d, newest)
		}
		restore(d, newest)
	}
}

// Goal: there is no bit and no length of a generation that is not looked at. Method: each bit of
// the newest generation flipped, and each length.
func TestFolderEveryBit(t *testing.T) {
	d, f := twoGenerations(t)
	for file, was := range d.files {
		if n, _, _ := parse(file); n != 2 {
			continue
		}
		whole := func(text []byte) bool {
			d.files[file] = &diskFile{written: text, durable: len(text)}
			m, err := f.read(2)
			if err == nil {
				err = f.Verify(m)
			}
			if err != nil && !errors.Is(err, ErrDamaged) && !strings.Contains(err.Error(), "this velo reads format") {
				t.Fatalf("%s: %v", file, err)
			}
			return err == nil
		}
		text := slices.Clone(was.written)
		n := used(t, f, file, len(text))
		for at := range n {
			if whole(text[:at]) {
				t.Fatalf("%s cut off at byte %d of %d is not noticed", file, at, n)
			}
			if padding(f, file, at) {
				continue
			}
			for bit := range 8 {
				text[at] ^= 1 << bit
				if whole(text) {
					t.Fatalf("%s: bit %d of byte %d is flipped, and that is not noticed", file, bit, at)
				}
				text[at] ^= 1 << bit
			}
		}
		if !whole(text) {
			t.Fatalf("%s is not whole as it was", file)
		}
		d.files[file] = was
	}
}

// padding says whether a byte of a segment lies between two parts.
func padding(f *Folder, file string, at int) bool {
	if strings.HasSuffix(file, manifestSuffix) {
		return false
	}
	for _, p := range f.Newest.parts() {
		if p.File == file && int64(at) >= p.At && int64(at) < p.At+p.Bytes {
			return false
		}
	}
	return true
}

// twoGenerations is a folder on a disk. Nothing is removed from it.
func twoGenerations(t *testing.T) (*disk, *Folder) {
	t.Helper()
	d := newDisk()
	f, err := OpenFS(noRemove{d}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := writeGeneration(f); err != nil {
			t.Fatal(err)
		}
	}
	return d, f
}

// Goal: bytes that were right in another place are damage here: those of another generation, of
// another job, or of another place in the segment. Method: files of the same length in each other's
// place, and manifests that are whole and say something else.
func TestFolderStale(t *testing.T) {
	change := func(d *disk, how func(m *Manifest)) {
		m, err := decode(d.files[name(2, manifestSuffix)].written)
		if err != nil {
			t.Fatal(err)
		}
		how(m)
		text, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		d.files[name(2, manifestSuffix)] = &diskFile{written: text, durable: len(text)}
	}
	for what, put := range map[string]func(d *disk){
		"the segment of the generation before": func(d *disk) {
			d.files[name(2, openSuffix)] = d.files[name(1, openSuffix)]
		},
		"the manifest of the generation before": func(d *disk) {
			d.files[name(2, manifestSuffix)] = d.files[name(1, manifestSuffix)]
		},
		"the same bytes of another job": func(d *disk) {
			change(d, func(m *Manifest) { m.Job = newID() })
		},
		"a part that begins later": func(d *disk) {
			change(d, func(m *Manifest) {
				m.Plans[0].Panes[0].Rows.At += 8
				m.Plans[0].Panes[0].Rows.Bytes -= 8
			})
		},
	} {
		d, f := twoGenerations(t)
		f.Close()
		put(d)
		f, err := OpenFS(noRemove{d}, Options{})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if f.Newest.Generation != 1 || f.Passed == nil || !errors.Is(f.Passed, ErrDamaged) {
			t.Errorf("%s: generation %d is taken, passed over: %v", what, f.Newest.Generation, f.Passed)
		}
	}
}

// used is how many bytes of a file count: the last part of a segment may end before the file does.
func used(t *testing.T, f *Folder, name string, size int) int {
	t.Helper()
	if strings.HasSuffix(name, manifestSuffix) {
		return size
	}
	last := 0
	for _, p := range f.Newest.Plans[0].Panes {
		if p.Rows.File == name {
			last = max(last, int(p.Rows.At+p.Rows.Bytes))
		}
	}
	return last
}

func restore(d *disk, files map[string][]byte) {
	for name, text := range files {
		d.files[name] = &diskFile{written: text, durable: len(text)}
	}
}

// noRemove is a disk from which nothing is removed.
type noRemove struct{ *disk }

func (noRemove) Remove(string) error { return nil }

// Goal: what must not be guessed is refused, with what to do. Method: folders of each kind.
func TestFolderRefuses(t *testing.T) {
	write := func(t *testing.T, n int) string {
		dir := filepath.Join(t.TempDir(), "state")
		f, err := OpenFolder(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for range n {
			if err := writeGeneration(f); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	open := func(dir string, o Options) (*Manifest, error) {
		f, err := OpenFolder(dir, o)
		if err != nil {
			return nil, err
		}
		return f.Newest, f.Close()
	}
	t.Run("in use", func(t *testing.T) {
		dir := write(t, 2)
		f, err := OpenFolder(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := open(dir, Options{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
			t.Fatalf("%v, expected ErrLocked with the process", err)
		}
		if g, err := Inspect(dir); err != nil || g.Newest.Generation != 2 {
			t.Fatalf("a folder in use cannot be looked at: %v", err)
		}
	})
	t.Run("copied", func(t *testing.T) {
		dir := write(t, 2)
		to := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if _, err := open(to, Options{}); !errors.Is(err, ErrCopied) {
			t.Fatalf("%v, expected ErrCopied", err)
		}
		if m, err := open(to, Options{Takeover: true}); err != nil || m.Generation != 2 {
			t.Fatalf("taken over: %v, %v", m, err)
		}
		if m, err := open(dir, Options{}); err != nil || m.Generation != 2 {
			t.Fatalf("the original: %v, %v", m, err)
		}
	})
	t.Run("no manifest", func(t *testing.T) {
		dir := write(t, 2)
		for _, n := range []uint64{1, 2} {
			if err := os.Remove(filepath.Join(dir, name(n, manifestSuffix))); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := open(dir, Options{}); !errors.Is(err, ErrNoManifest) {
			t.Fatalf("%v, expected ErrNoManifest", err)
		}
		if m, err := open(dir, Options{Fresh: true}); err != nil || m != nil {
			t.Fatalf("fresh: %v, %v", m, err)
		}
	})
	t.Run("fresh", func(t *testing.T) {
		dir := write(t, 3)
		if m, err := open(dir, Options{Fresh: true}); err != nil || m != nil {
			t.Fatalf("fresh: %v, %v", m, err)
		}
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		aside := 0
		for _, f := range files {
			if strings.HasPrefix(f.Name(), "aside-") {
				aside++
			}
		}
		if aside < 4 {
			t.Fatalf("%d files are put aside, expected all of two generations: %v", aside, files)
		}
	})
	t.Run("all damaged", func(t *testing.T) {
		dir := write(t, 2)
		for _, n := range []uint64{1, 2} {
			if err := os.WriteFile(filepath.Join(dir, name(n, manifestSuffix)), []byte("velo"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := open(dir, Options{}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "begin anew with fresh") {
			t.Fatalf("%v, expected ErrDamaged and what to do", err)
		}
	})
	t.Run("another format", func(t *testing.T) {
		dir := write(t, 2)
		file := filepath.Join(dir, name(2, manifestSuffix))
		m := &Manifest{Format: 7, Velo: "v9.0.0", Generation: 2}
		text, err := m.encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "format 7, written by velo v9.0.0") {
			t.Fatalf("%v, expected both versions", err)
		}
	})
}

// Goal: a folder does not grow: only what two generations name is there.
func TestFolderForgets(t *testing.T) {
	d := newDisk()
	f, err := OpenFS(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if err := writeGeneration(f); err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for _, m := range f.Generations() {
			want[name(m.Generation, manifestSuffix)] = true
			for _, file := range m.Files() {
				want[file] = true
			}
		}
		if len(f.Generations()) > keepGenerations || !maps.Equal(want, keysOf(d.files)) {
			t.Fatalf("%v are there, expected %v", slices.Sorted(maps.Keys(d.files)), slices.Sorted(maps.Keys(want)))
		}
	}
	if len(d.files) > 2*3+2 {
		t.Fatalf("%d files", len(d.files))
	}
}

func keysOf[V any](m map[string]V) map[string]bool {
	keys := map[string]bool{}
	for k := range m {
		keys[k] = true
	}
	return keys
}

// Goal: no manifest crashes the reader, and what passes can be written again.
func FuzzManifest(f *testing.F) {
	m := &Manifest{Format: Format, Generation: 3, Plans: []Plan{{}, {RowBytes: 8, Panes: []Pane{{Rows: Part{
		File: name(3, openSuffix), Bytes: 16, Digests: strings.Repeat("0", 16),
	}}}}}, Readers: []Reader{{Positions: []Position{{Split: "x"}}, Plans: make([]Progress, 2)}}}
	text, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	_, body, _ := bytes.Cut(text, []byte("\n"))
	f.Add(body)
	f.Fuzz(func(t *testing.T, text []byte) {
		check := func(text []byte) {
			m, err := decode(text)
			if err != nil {
				return
			}
			again, err := m.encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := decode(again); err != nil {
				t.Fatalf("%v of\n%s", err, again)
			}
			m.Files()
			for i := range m.Plans {
				m.Watermarks(i)
			}
			m.Unfinished()
			m.Groups()
		}
		check(text)
		check(encodeBody(Format, text)) // so that the digest does not keep everything out
		check(encodeBody(formatOfOnePlan, text))
	})
}

// Goal: no bytes of a segment crash the reader, and none are taken for those that were written.
func FuzzSegment(f *testing.F) {
	d := newDisk()
	folder, err := OpenFS(d, Options{})
	if err != nil {
		f.Fatal(err)
	}
	if err := writeGeneration(folder); err != nil {
		f.Fatal(err)
	}
	m, file := folder.Newest, name(1, closedSuffix)
	was := d.files[file].written
	f.Add(was)
	f.Add(was[:len(was)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		d.files[file] = &diskFile{written: text, durable: len(text)}
		err := folder.Verify(m)
		same := true
		for _, p := range m.parts() {
			if p.File == file {
				same = same && int64(len(text)) >= p.At+p.Bytes &&
					bytes.Equal(text[p.At:p.At+p.Bytes], was[p.At:p.At+p.Bytes])
			}
		}
		if same != (err == nil) || err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("the parts are those that were written: %v; %v", same, err)
		}
	})
}

// Goal: parts of any length come back as they were, in pieces.
func TestParts(t *testing.T) {
	d := newDisk()
	f, err := OpenFS(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	w := f.Begin()
	m := &Manifest{Plans: []Plan{{RowBytes: 1}}}
	var want [][]byte
	for _, size := range []int{0, 1, 63, 64, 65, pieceBytes - 1, pieceBytes, pieceBytes + 1, syncBytes + 12345} {
		text := make([]byte, size)
		for i := range text {
			text[i] = byte(rng.Uint32())
		}
		p, err := w.Part(size%2 == 0, Pieces(text))
		if err != nil {
			t.Fatal(err)
		}
		if p.Bytes != int64(size) || p.At%partAlign != 0 {
			t.Fatalf("a part of %d bytes: %+v", size, p)
		}
		want = append(want, text)
		m.Plans[0].Panes = append(m.Plans[0].Panes, Pane{Rows: p})
	}
	if err := w.Commit(m); err != nil {
		t.Fatal(err)
	}
	r := f.Read(m)
	defer r.Close()
	for i, text := range want {
		got, err := r.All(&m.Plans[0].Panes[i].Rows)
		if err != nil || !bytes.Equal(got, text) {
			t.Fatalf("a part of %d bytes comes back as %d: %v", len(text), len(got), err)
		}
	}
	if m.Bytes() < syncBytes || len(m.Files()) != 2 {
		t.Fatalf("%d bytes in %v", m.Bytes(), m.Files())
	}
}

// Goal: the manifest of a damaged generation is there until a newer one is whole, and not longer.
func TestFolderForgetsDamaged(t *testing.T) {
	d := newDisk()
	f, err := OpenFS(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := writeGeneration(f); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	damage := func(n uint64) {
		d.files[name(n, manifestSuffix)] = &diskFile{written: []byte("velo"), durable: 4}
	}
	has := func(n uint64) bool { return d.files[name(n, manifestSuffix)] != nil }
	damage(3)
	f, err = OpenFS(d, Options{})
	if err != nil || f.Newest.Generation != 2 || !has(3) {
		t.Fatalf("%v; the damaged generation is there: %v", err, has(3))
	}
	if err := writeGeneration(f); err != nil {
		t.Fatal(err)
	}
	if has(3) || !has(2) || !has(4) {
		t.Errorf("there are 2, 3 and 4: %v, %v, %v", has(2), has(3), has(4))
	}
	f.Close()
	damage(2)
	f, err = OpenFS(d, Options{})
	if err != nil || f.Newest.Generation != 4 || f.Passed != nil || has(2) {
		t.Errorf("%v, %v; the older one that is damaged is there: %v", err, f.Passed, has(2))
	}
	f.Close()
}
