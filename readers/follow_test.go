package readers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/velo-engine/velo/record"
)

// Goal: a file that grows is read as it grows, across a rename with a successor and across being
// cut short, each record once; nothing waits. Method: writes, renames and truncations with polls
// between them.
func TestFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := texts(t, "a", "b")
	csv, err := FollowDelimited(path, DelimitedConfig{Schema: s, Header: true, BlockBytes: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer csv.Close()
	clock := setClock(csv)
	b := record.NewBatch(s, 0)
	var got, rejects []string
	look := func(r *FollowedFile, want ...string) {
		t.Helper()
		got = got[:0]
		for idle := 0; idle < 5; idle++ {
			b.Reset()
			if err := r.Poll(b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Len() {
				got = append(got, fmt.Sprintf("%s %s", b.Column(0).View(i), b.Column(1).View(i)))
				idle = 0
			}
			for _, rj := range b.Rejects() {
				rejects = append(rejects, fmt.Sprintf("%d:%d:%s:%v", rj.Line, rj.Offset, rj.Bytes, rj.Reason))
				idle = 0
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, expected %q", got, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	add := func(path, text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		must(err)
		_, err = f.WriteString(text)
		must(err)
		must(f.Close())
	}
	look(csv) // it is not there
	add(path, "")
	look(csv)
	add(path, "a,b\n1,")
	look(csv)
	add(path, "2\n3,4\n"+strings.Repeat("5,6\n", 3))
	look(csv, "1 2", "3 4", "5 6", "5 6", "5 6")
	add(path, "7,8\nbad\n9")
	look(csv, "7 8")
	// Rotated: what is written to the old file is read first, its last line ends with it, and the
	// new one has its header.
	must(os.Rename(path, path+".1"))
	look(csv)
	add(path+".1", ",10")
	look(csv)
	add(path, "a,b\n11,12\n")
	look(csv) // the end of the last line may still come
	clock.pass(DefaultRotateWait)
	look(csv, "9 10", "11 12")
	// Cut short, and written again.
	add(path, "13,1")
	look(csv)
	must(os.Truncate(path, 0))
	look(csv)
	add(path, "a,b\n14,15\n")
	look(csv, "14 15")
	want := []string{
		"8:28:bad:1 field, expected 2",
		"3:10:13,1:the record does not end: the file was cut short",
	}
	if !slices.Equal(rejects, want) {
		t.Errorf("rejects %q, expected %q", rejects, want)
	}

	json, err := FollowNDJSON(path+".json", NDJSONConfig{Schema: s})
	must(err)
	defer json.Close()
	add(path+".json", `{"a":"1","b":"2"}`+"\n"+`{"a":"3"`)
	look(json, "1 2")
	add(path+".json", `,"b":"4"}`+"\n")
	look(json, "3 4")

	if _, err := FollowDelimited(t.TempDir(), DelimitedConfig{Schema: s}); err == nil ||
		!strings.Contains(err.Error(), "is a directory, expected a regular file") {
		t.Errorf("%v", err)
	}
}

// clock is the time of a followed file, which passes when it is told to.
type clock struct{ at time.Time }

func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }

func setClock(s *FollowedFile) *clock {
	c := &clock{at: time.Unix(1e9, 0)}
	s.followed.now = func() time.Time {
		c.pass(time.Microsecond)
		return c.at
	}
	return c
}

// writer is a program that writes a log: it goes on with its file, whatever its name is now, until
// it is told to reopen.
type writer struct {
	t    *testing.T
	path string
	file *os.File
}

func (w *writer) reopen() {
	w.t.Helper()
	if w.file != nil {
		_ = w.file.Close()
	}
	var err error
	if w.file, err = os.OpenFile(w.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = w.file.Close() })
}

func (w *writer) put(text string) {
	w.t.Helper()
	if _, err := w.file.WriteString(text); err != nil {
		w.t.Fatal(err)
	}
}

// drainTexts polls until nothing comes and returns the first field of each record, ! for a reject.
func drainTexts(t *testing.T, r *FollowedFile, b *record.Batch) (got []string) {
	t.Helper()
	for idle := 0; idle < 5; idle++ {
		b.Reset()
		if err := r.Poll(b); err != nil {
			t.Fatal(err)
		}
		for i := range b.Len() {
			got = append(got, string(b.Column(0).View(i)))
			idle = 0
		}
		for range b.Rejects() {
			got = append(got, "!")
			idle = 0
		}
	}
	return got
}

// Goal: what is written to a file after another has taken its name is read, once, and before what
// was written to the other after it, whatever the order of renames, writes and polls; lines that
// are written in pieces to two files at once stay whole. Method: scripts of what a daemon and
// logrotate do, in two formats, with fields that have newlines, and with a header; after each step
// the records that must be there.
func TestRotate(t *testing.T) {
	type step struct {
		do   string // see below
		text string
		want string
		torn string // instead of want, where half a line is no record
	}
	for name, steps := range map[string][]step{
		"the old file is written to after the new one is there": {
			{do: "old", text: "1,"},
			{do: "poll", want: "1"},
			{do: "rotate"},
			{do: "poll"},
			{do: "old", text: "2,"},
			{do: "poll", want: "2"},
			{do: "new", text: "3,"},
			{do: "poll", want: "3"},
			{do: "old", text: "4,"},
			{do: "poll", want: "4"},
		},
		"nothing is polled between": {
			{do: "old", text: "1,"},
			{do: "poll", want: "1"},
			{do: "old", text: "2,"},
			{do: "rotate"},
			{do: "old", text: "3,"},
			{do: "new", text: "4,"},
			{do: "old", text: "5,"},
			{do: "poll", want: "2,3,5,4"},
		},
		"several rotations within the wait": {
			{do: "old", text: "1,"},
			{do: "poll", want: "1"},
			{do: "rotate"},
			{do: "poll"},
			{do: "rotate"},
			{do: "poll"},
			{do: "rotate"},
			{do: "new", text: "3,"},
			{do: "old", text: "2,"},
			{do: "poll", want: "2,3"},
		},
		"half lines in both": {
			{do: "old", text: "1,2"},
			{do: "poll", want: "1"},
			{do: "rotate"},
			{do: "old", text: "2,3"},
			{do: "poll", want: "22"},
			{do: "new", text: "44"},
			{do: "poll"},
			{do: "wait"},
			{do: "poll", want: "3", torn: "!"},
			{do: "new", text: "4,"},
			{do: "poll", want: "444"},
		},
		"a half line in the new file while the old one goes on": {
			{do: "old", text: "1,"},
			{do: "poll", want: "1"},
			{do: "rotate"},
			{do: "new", text: "2"},
			{do: "poll"},
			{do: "old", text: "3,"},
			{do: "poll", want: "3"},
			{do: "new", text: "2,"},
			{do: "poll", want: "22"},
			{do: "old", text: "5"},
			{do: "poll"},
			{do: "old", text: "5,"},
			{do: "poll", want: "55"},
		},
		"the old file is quiet, then the new one goes on": {
			{do: "old", text: "1,"},
			{do: "poll", want: "1"},
			{do: "rotate"},
			{do: "new", text: "2,"},
			{do: "poll", want: "2"},
			{do: "wait"},
			{do: "poll"},
			{do: "new", text: "3,"},
			{do: "poll", want: "3"},
		},
		"deleted, and it comes back": {
			{do: "old", text: "1,"},
			{do: "poll", want: "1"},
			{do: "delete"},
			{do: "old", text: "2,"},
			{do: "poll", want: "2"},
			{do: "reopen"},
			{do: "old", text: "3,"},
			{do: "poll", want: "3"},
		},
		"it gets its name back": {
			{do: "old", text: "1,"},
			{do: "poll", want: "1"},
			{do: "rotate"},
			{do: "new", text: "2,"},
			{do: "poll", want: "2"},
			{do: "back"},
			{do: "poll"},
			{do: "old", text: "3,"},
			{do: "poll", want: "3"},
			{do: "wait"},
			{do: "poll"},
			{do: "old", text: "4,"},
			{do: "poll", want: "4"},
		},
		"copied and cut short": {
			{do: "old", text: "1,2,"},
			{do: "poll", want: "1,2"},
			{do: "truncate"},
			{do: "poll"},
			{do: "old", text: "3,"},
			{do: "poll", want: "3"},
		},
	} {
		for _, format := range []string{"csv", "quoted", "ndjson", "header"} {
			t.Run(name+"/"+format, func(t *testing.T) {
				schema := texts(t, "a")
				path := filepath.Join(t.TempDir(), "log")
				encode, header := map[string]func(string) string{
					"csv":    func(s string) string { return strings.ReplaceAll(s, ",", "\n") },
					"header": func(s string) string { return strings.ReplaceAll(s, ",", "\n") },
				}[format], ""
				cfg := DelimitedConfig{Schema: schema}
				var s *FollowedFile
				var err error
				switch format {
				case "quoted": // a text begins with a quote and a newline
					cfg.Quote = '"'
					encode = func(s string) string {
						return strings.NewReplacer("<", "\"\n", ",", "\"\n").Replace(s)
					}
				case "ndjson":
					encode = func(s string) string {
						return strings.NewReplacer("<", `{"a":"`, ",", "\"}\n").Replace(s)
					}
				case "header":
					cfg.Header, header = true, "a\n"
				}
				if format == "ndjson" {
					s, err = FollowNDJSON(path, NDJSONConfig{Schema: schema})
				} else {
					s, err = FollowDelimited(path, cfg)
				}
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				clock := setClock(s)
				b := record.NewBatch(schema, 0)
				// open says whether a file has a line that has begun: the next text goes on with
				// it.
				open := map[*writer]bool{}
				put := func(w *writer, text string) {
					out := ""
					for _, c := range text {
						if c != ',' && !open[w] && (format == "quoted" || format == "ndjson") {
							out += "<"
						}
						open[w] = c != ','
						out += string(c)
					}
					w.put(encode(out))
				}
				begin := func(w *writer) {
					w.reopen()
					w.put(header)
				}
				old, fresh := &writer{t: t, path: path}, &writer{t: t, path: path}
				begin(old)
				seen, due := "", ""
				for i, step := range steps {
					switch step.do {
					case "old":
						put(old, step.text)
					case "new":
						put(fresh, step.text)
					case "rotate":
						if err := os.Rename(path, fmt.Sprintf("%s.%d", path, i)); err != nil {
							t.Fatal(err)
						}
						begin(fresh)
					case "back":
						if err := os.Rename(path+".2", path); err != nil {
							t.Fatal(err)
						}
					case "delete":
						if err := os.Remove(path); err != nil {
							t.Fatal(err)
						}
					case "reopen":
						begin(old)
					case "truncate":
						if err := os.Truncate(path, 0); err != nil {
							t.Fatal(err)
						}
						drainTexts(t, s, b)
						old.put(header)
					case "wait":
						clock.pass(DefaultRotateWait)
					case "poll":
						for _, text := range drainTexts(t, s, b) {
							seen += strings.TrimPrefix(text, "\n") + ","
						}
						if step.torn != "" && (format == "quoted" || format == "ndjson") {
							step.want = step.torn
						}
						if step.want != "" {
							due += step.want + ","
						}
						if seen != due {
							t.Fatalf("step %d: %q, expected %q", i, seen, due)
						}
					}
				}
				if seen != due {
					t.Errorf("%q, expected %q", seen, due)
				}
			})
		}
	}
}

// Goal: a file that nothing more comes to is closed, and no more than MaxRotatedFiles are open,
// while nothing is lost. Method: more rotations than that without a pause, each with a record after
// it in the old file.
func TestRotateBounds(t *testing.T) {
	s := texts(t, "a")
	path := filepath.Join(t.TempDir(), "log")
	old := &writer{t: t, path: path}
	old.reopen()
	r, err := FollowDelimited(path, DelimitedConfig{Schema: s}) // the file is there, and renamed before the first Poll
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	clock, f := setClock(r), r.followed
	b := record.NewBatch(s, 0)
	n, got := 0, 0
	for range 2 * MaxRotatedFiles {
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		fresh := &writer{t: t, path: path}
		fresh.reopen()
		got += len(drainTexts(t, r, b))
		old.put("1\n")
		n++
		old = fresh
		got += len(drainTexts(t, r, b))
		if len(f.files) > MaxRotatedFiles {
			t.Fatalf("%d files are open, expected %d at most", len(f.files), MaxRotatedFiles)
		}
	}
	if got != n {
		t.Errorf("%d records, expected %d", got, n)
	}
	clock.pass(DefaultRotateWait)
	drainTexts(t, r, b)
	if len(f.files) != 1 {
		t.Errorf("%d files are open, expected the one that has the name", len(f.files))
	}
}

// Goal: each file that has had the name keeps its own header: what is still written to the old one
// is read by its columns, also if the order is another in the new one. Method: lines to both in
// turn, in halves too.
func TestRotateColumns(t *testing.T) {
	schema, err := record.NewSchema("s", record.Field{Name: "a", Type: record.Int64},
		record.Field{Name: "b", Type: record.Int64})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "log.csv")
	put := func(to *os.File, text string) {
		if _, err := to.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	begin := func() *os.File {
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	old := begin()
	put(old, "a,b\n1,10\n")
	s, err := FollowDelimited(path, DelimitedConfig{Schema: schema, Header: true, ByName: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := record.NewBatch(schema, 0)
	var as, bs int64
	look := func(a, ten int64) {
		t.Helper()
		for range 20 {
			b.Reset()
			if err := s.Poll(b); err != nil || len(b.Rejects()) > 0 {
				t.Fatal(err, b.Rejects())
			}
			for i := range b.Len() {
				as, bs = as+b.Column(0).Int64s[i], bs+b.Column(1).Int64s[i]
			}
		}
		if as != a || bs != ten {
			t.Fatalf("the sums are %d and %d, expected %d and %d", as, bs, a, ten)
		}
	}
	look(1, 10)
	if err := os.Rename(path, path+".1"); err != nil {
		t.Skip(err) // a file that is open
	}
	next := begin()
	put(next, "b,")
	put(old, "2,20\n")
	look(3, 30)
	put(next, "a\n")
	put(old, "3,30\n")
	look(6, 60)
	put(next, "40,4\n")
	put(old, "5,50\n")
	look(15, 150)
	put(old, "6,60\n")
	look(21, 210)
	put(next, "70,7\n")
	look(28, 280)
}

// Goal: a file that cannot be read for a reason has an unknown lag, and one that is not there has
// none. Method: no file, a folder of its name, and then a file.
func TestFollowLag(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	schema := texts(t, "a", "b")
	r, err := FollowDelimited(path, DelimitedConfig{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	clock, b := setClock(r), record.NewBatch(schema, 0)
	is := func(unknown bool, bytes uint64) {
		t.Helper()
		clock.pass(lookEvery)
		b.Reset()
		if err := r.Poll(b); err != nil {
			t.Fatal(err)
		}
		if l := r.Lag()[0]; l.Unknown != unknown || l.Bytes != bytes {
			t.Errorf("the lag is %+v, expected %d, unknown %v", l, bytes, unknown)
		}
	}
	is(false, 0)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	is(true, 0)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	is(false, 0) // it has been read
}
