package readers

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// followedLog is a log that a program writes, and what was read of it in several lives.
type followedLog struct {
	t      *testing.T
	rng    *rand.Rand
	schema *record.Schema
	folder string
	format string
	// set says that a pattern is followed, and not one file.
	set bool

	// written has the keys of each file by its name, and gone those whose file is gone. half is the
	// rest of a line that has been begun.
	written map[string][]string
	gone    []string
	tell    bool // it must be said that something is gone
	half    string
	next    int
	// long counts the records that are too long.
	long int

	got   []string
	saved []record.Position
	told  []string

	clocks []*clock // of the readers
}

func (l *followedLog) path(name string) string { return filepath.Join(l.folder, name) }

// write appends records to the log, the last of which may be incomplete.
func (l *followedLog) write(n int) {
	l.t.Helper()
	f, err := os.OpenFile(l.path("log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	var b strings.Builder
	if _, ok := l.written["log"]; !ok {
		l.written["log"] = nil
		if l.format == "header" {
			b.WriteString("pad,key\n")
		}
	}
	b.WriteString(l.half)
	l.half = ""
	for range n {
		key := fmt.Sprintf("r%d", l.next)
		l.next++
		if l.rng.IntN(60) == 0 { // longer than a record may be
			b.WriteString(l.line(key, 1000))
			l.long++
			continue
		}
		b.WriteString(l.line(key, l.rng.IntN(60)))
		l.written["log"] = append(l.written["log"], key)
	}
	text := b.String()
	if l.rng.IntN(3) == 0 && n > 0 {
		cut := len(text) - 1 - l.rng.IntN(3)
		text, l.half = text[:cut], text[cut:]
	}
	if _, err := f.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
}

func (l *followedLog) line(key string, pad int) string {
	switch l.format {
	case "ndjson":
		return fmt.Sprintf(`{"key":%q,"pad":%q}`, key, strings.Repeat("x", pad)) + "\n"
	case "quoted":
		return key + `,"` + strings.Repeat("a\n,", pad/3) + "\"\n"
	case "header":
		return strings.Repeat("x", pad) + "," + key + "\n"
	}
	return key + "," + strings.Repeat("x", pad) + "\n"
}

func (l *followedLog) rename(from, to string) {
	l.t.Helper()
	if _, ok := l.written[from]; !ok {
		return
	}
	if l.half != "" {
		l.write(0)
	}
	if err := os.Rename(l.path(from), l.path(to)); err != nil {
		l.t.Fatal(err)
	}
	l.written[to] = l.written[from]
	delete(l.written, from)
}

// inPosition is what the saved positions know of a file, and nil if that is nothing.
func (l *followedLog) inPosition(name string) *savedFile {
	l.t.Helper()
	info, err := os.Stat(l.path(name))
	if err != nil {
		return nil
	}
	for _, p := range l.saved {
		files, err := parseFollowPosition("", "", p.Offset)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, s := range files {
			if s.key == keyOf(l.path(name), info) {
				return s
			}
		}
	}
	return nil
}

// lose notes that what has not been read of a file is gone. It must be said if that can be known.
func (l *followedLog) lose(name string, known bool) {
	for _, key := range l.written[name] {
		if !slices.Contains(l.got, key) && !slices.Contains(l.gone, key) {
			l.gone = append(l.gone, key)
			l.tell = l.tell || known
		}
	}
}

// loseUnknown loses the files that had the name only after the positions, and do not have it any
// more. If all files of a pattern are followed, that concerns those that do not fit it.
func (l *followedLog) loseUnknown() {
	l.t.Helper()
	for name := range l.written {
		fits := strings.HasPrefix(name, "log")
		if _, err := os.Stat(l.path(name)); err != nil || name == "log" || l.set && fits || l.saved == nil {
			continue
		}
		if l.inPosition(name) == nil {
			l.lose(name, fits)
		}
	}
}

// open opens the readers of a life. look finds more of them.
func (l *followedLog) open() (rs []*FollowedFile, look func() []*FollowedFile) {
	l.t.Helper()
	delimited := DelimitedConfig{Schema: l.schema, BlockBytes: 256, MaxRecordBytes: 300}
	switch l.format {
	case "quoted":
		delimited.Quote = '"'
	case "header":
		delimited.Header, delimited.ByName = true, true
	}
	json := NDJSONConfig{Schema: l.schema, BlockBytes: 256, MaxRecordBytes: 300}
	var r *FollowedFile
	var set *FollowSet
	var err error
	find := func() ([]string, error) { return filepath.Glob(l.path("log*")) }
	switch {
	case l.set && l.format == "ndjson":
		set, err = FollowNDJSONFiles(find, 0, json)
	case l.set:
		set, err = FollowDelimitedFiles(find, 0, delimited)
	case l.format == "ndjson":
		r, err = FollowNDJSON(l.path("log"), json)
	default:
		r, err = FollowDelimited(l.path("log"), delimited)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	if !l.set {
		l.clocks = []*clock{setClock(r)}
		return []*FollowedFile{r}, func() []*FollowedFile { return nil }
	}
	look = func() (rs []*FollowedFile) {
		found, err := set.Look()
		if err != nil {
			l.t.Fatal(err)
		}
		for _, r := range found.New {
			l.clocks = append(l.clocks, setClock(r.(*FollowedFile)))
			rs = append(rs, r.(*FollowedFile))
		}
		return rs
	}
	l.clocks = nil
	return look(), look
}

// A given is what a batch had, and where the reader stood after it.
type given struct {
	keys []string
	at   record.Position
}

// live reads in one life, while more is written. If it is the last one, it reads everything;
// otherwise the positions that go on are of some batch of each reader.
func (l *followedLog) live(last bool) {
	l.t.Helper()
	l.loseUnknown()
	rs, look := l.open()
	var all [][]given
	taken := map[string]bool{}
	begin := func(r *FollowedFile, saved []record.Position) {
		resumed, now, err := r.ResumeFrom(saved)
		if err != nil || len(now) != 1 {
			l.t.Fatal(now, err)
		}
		for _, split := range resumed {
			taken[split] = true
		}
		for _, err := range r.Lost() {
			l.told = append(l.told, err.Error())
		}
		all = append(all, []given{{at: now[0]}})
	}
	for _, r := range rs {
		begin(r, l.saved)
	}
	for _, p := range l.saved {
		if len(rs) > 0 && !taken[p.Split] {
			l.t.Fatalf("nobody goes on with %q", p.Split)
		}
	}
	b := record.NewBatch(l.schema, 1+l.rng.IntN(20))
	idle, renamed := 0, false
	for calls := l.rng.IntN(60); last && idle < 30 || !last && calls > 0; calls-- {
		if l.rng.IntN(6) == 0 && !last {
			l.write(l.rng.IntN(10))
		}
		if l.rng.IntN(60) == 0 && !last && !renamed { // a file that has the name for a moment only may not be seen
			renamed = true
			l.rename("log", fmt.Sprintf("log.%d", l.next))
			l.next++
			l.write(3)
		}
		for _, r := range look() {
			rs = append(rs, r)
			begin(r, nil)
		}
		idle++
		for i, r := range rs {
			b.Reset()
			l.clocks[i].pass(lookEvery)
			if err := r.Poll(b); err != nil {
				l.t.Fatal(err)
			}
			var g given
			for row := range b.Len() {
				g.keys = append(g.keys, string(b.Column(0).View(row)))
			}
			for range b.Rejects() {
				g.keys = append(g.keys, "reject")
			}
			if len(g.keys) == 0 {
				continue
			}
			idle = 0
			p := b.Positions()[len(b.Positions())-1]
			g.at = record.Position{Split: p.Split, Offset: slices.Clone(p.Offset)}
			all[i] = append(all[i], g)
		}
	}
	l.saved = nil
	for i, r := range rs {
		if err := r.Close(); err != nil {
			l.t.Fatal(err)
		}
		n := len(all[i])
		if !last {
			n = 1 + l.rng.IntN(n)
		}
		for _, g := range all[i][:n] {
			l.got = append(l.got, g.keys...)
		}
		l.saved = append(l.saved, all[i][n-1].at)
	}
}

// downs are what happens to the log while nothing runs.
var downs = map[string]func(l *followedLog){
	"unchanged": func(*followedLog) {},
	"grown":     func(l *followedLog) { l.write(20) },
	"renamed": func(l *followedLog) {
		l.write(5)
		l.rename("log", fmt.Sprintf("log.%d", l.next))
		l.write(5)
	},
	"renamed, and nothing has the name": func(l *followedLog) {
		l.rename("log", fmt.Sprintf("log.%d", l.next))
	},
	"renamed out of the pattern": func(l *followedLog) {
		l.rename("log", fmt.Sprintf("old.%d", l.next))
		l.write(5)
	},
	"renamed twice": func(l *followedLog) {
		l.rename("log", fmt.Sprintf("log.%d", l.next))
		l.write(5)
		l.rename("log", fmt.Sprintf("log.%d", l.next))
		l.write(5)
	},
	"deleted": func(l *followedLog) {
		if _, ok := l.written["log"]; !ok {
			return
		}
		s := l.inPosition("log")
		l.lose("log", s != nil)
		if err := os.Remove(l.path("log")); err != nil {
			l.t.Fatal(err)
		}
		l.half = ""
		delete(l.written, "log")
		l.write(5)
	},
	"cut short": func(l *followedLog) {
		s := l.inPosition("log")
		l.lose("log", s != nil && s.digested > 0)
		if err := os.Truncate(l.path("log"), 0); err != nil {
			l.t.Fatal(err)
		}
		l.half = ""
		l.written[fmt.Sprint("lost", l.next)] = l.written["log"]
		l.written["log"] = []string{}
		if s == nil || s.header == nil {
			delete(l.written, "log") // no header is known: it comes again
		}
		l.write(l.rng.IntN(3) * 300)
	},
}

// Goal: whatever happens to a followed log while nothing runs, each record is read exactly once up
// to the positions; what cannot be read is said. Method: random lives, in each format, with one file
// followed and with a pattern; of each life only what some batch of each reader had goes on.
func TestFollowResumes(t *testing.T) {
	for name, down := range downs {
		for _, format := range []string{"plain", "quoted", "header", "ndjson"} {
			for _, set := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/set %v", name, format, set), func(t *testing.T) {
					for seed := range uint64(4) {
						l := &followedLog{
							t: t, rng: rand.New(rand.NewPCG(seed, 3)), schema: resumeSchema(t), folder: t.TempDir(), format: format,
							set: set, written: map[string][]string{},
						}
						l.write(5)
						for range 4 {
							l.live(false)
							down(l)
						}
						l.write(0)
						l.live(true)
						l.check(seed, name)
					}
				})
			}
		}
	}
}

// check checks what has been read.
func (l *followedLog) check(seed uint64, down string) {
	l.t.Helper()
	var want []string
	for _, keys := range l.written {
		want = append(want, keys...)
	}
	slices.Sort(want)
	got := slices.Clone(l.got)
	slices.Sort(got)
	rejects := 0
	for i, key := range got {
		if key == "reject" {
			rejects++
			continue
		}
		if i > 0 && got[i-1] == key {
			l.t.Fatalf("seed %d: %s was read twice", seed, key)
		}
	}
	for _, key := range want {
		if _, ok := slices.BinarySearch(got, key); !ok && !slices.Contains(l.gone, key) {
			l.t.Fatalf("seed %d: %s was not read; told:\n%s", seed, key, strings.Join(l.told, "\n"))
		}
	}
	switch {
	case rejects > l.long || rejects < l.long && len(l.gone) == 0:
		l.t.Fatalf("seed %d: %d records were rejected, %d are too long", seed, rejects, l.long)
	case l.tell && len(l.told) == 0:
		l.t.Fatalf("seed %d: %d records are lost, and nothing was said", seed, len(l.gone))
	case len(l.gone) == 0 && len(l.told) > 0 && down != "deleted" && down != "cut short" && down != "renamed twice":
		l.t.Fatalf("seed %d: nothing is lost, and it is said that something may be: %s", seed, l.told)
	}
}
