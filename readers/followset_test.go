package readers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

// setOf is a FollowSet over the files of a folder, with what its Streams have given.
type setOf struct {
	t       *testing.T
	folder  string
	set     *FollowSet
	streams []*FollowedFile
	clocks  []*clock
	found   Found
	schema  *record.Schema
}

func newSetOf(t *testing.T, pattern string, most int) *setOf {
	t.Helper()
	s := &setOf{t: t, folder: t.TempDir(), schema: texts(t, "a")}
	find := func() ([]string, error) { return filepath.Glob(filepath.Join(s.folder, pattern)) }
	var err error
	if s.set, err = FollowDelimitedFiles(find, most, DelimitedConfig{Schema: s.schema}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, r := range s.streams {
			_ = r.Close()
		}
	})
	return s
}

// look looks for files, and closes the Streams that are gone.
func (s *setOf) look() {
	s.t.Helper()
	var err error
	if s.found, err = s.set.Look(); err != nil {
		s.t.Fatal(err)
	}
	for _, r := range s.found.New {
		s.streams, s.clocks = append(s.streams, r.(*FollowedFile)), append(s.clocks, setClock(r.(*FollowedFile)))
	}
	for _, r := range s.found.Gone {
		i := slices.Index(s.streams, r.(*FollowedFile))
		if err := r.Close(); err != nil {
			s.t.Error(err)
		}
		s.streams, s.clocks = slices.Delete(s.streams, i, i+1), slices.Delete(s.clocks, i, i+1)
	}
}

// drain is what all Streams have now, in order.
func (s *setOf) drain() (got []string) {
	s.t.Helper()
	b := record.NewBatch(s.schema, 0)
	for _, r := range s.streams {
		got = append(got, drainTexts(s.t, r, b)...)
	}
	slices.Sort(got)
	return got
}

func (s *setOf) wait() {
	for _, c := range s.clocks {
		c.pass(DefaultRotateWait)
	}
}

func (s *setOf) path(name string) string { return filepath.Join(s.folder, name) }

func (s *setOf) add(name, text string) {
	s.t.Helper()
	f, err := os.OpenFile(s.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

func (s *setOf) rename(from, to string) {
	s.t.Helper()
	if err := os.Rename(s.path(from), s.path(to)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *setOf) expect(what string, want ...string) {
	s.t.Helper()
	if got := s.drain(); !slices.Equal(got, want) {
		s.t.Errorf("%s: %q, expected %q", what, got, want)
	}
}

// Goal: files of a pattern that appear later are read, and a file that is renamed within the
// pattern is counted once, whatever is written to it under its new name and however late. Method: a
// log that is rotated as logrotate does it, with three numbers, looks and polls in between.
func TestFollowSetRotation(t *testing.T) {
	s := newSetOf(t, "log*", 0)
	s.add("log", "1\n")
	s.add("log.1", "old\n")
	s.look()
	s.expect("at first", "1", "old")
	s.add("log-other", "2\n")
	s.expect("before a look")
	s.look()
	s.expect("a new file", "2")
	for i := range 5 {
		for _, move := range [][2]string{{"log.2", "log.3"}, {"log.1", "log.2"}, {"log", "log.1"}} {
			if _, err := os.Stat(s.path(move[0])); err == nil {
				s.rename(move[0], move[1])
			}
		}
		if i%2 == 0 {
			s.look() // in the middle of it
			s.expect("in between")
		}
		a, b := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)
		s.add("log", a+"\n")
		s.add("log.1", b+"\n") // by who has it open
		s.expect("rotated", a, b)
		s.look()
		s.expect("looked", []string{}...)
		s.wait()
		s.expect("waited", []string{}...)
		s.look()
		s.add("log.1", "late\n") // long after
		s.expect("later", "late")
	}
	if n := len(s.streams); n != 3 {
		t.Errorf("%d streams, expected the streams of log, log.1 and log-other", n)
	}
	for _, r := range s.streams {
		if n := r.ClosedEarly(); n > 0 {
			t.Errorf("%v: %d files were closed", r, n)
		}
	}
}

// Goal: a file that is gone is closed when nothing more comes to it, its last line is given out,
// and it makes room for another one. A name that comes back is followed anew.
func TestFollowSetGone(t *testing.T) {
	s := newSetOf(t, "*.csv", 2)
	s.add("a.csv", "1\n2")
	s.add("b.csv", "3\n")
	s.add("c.csv", "4\n")
	s.look()
	s.expect("two files", "1", "3")
	if want := []string{s.path("c.csv")}; !slices.Equal(s.found.Over, want) {
		t.Errorf("%q are too many, expected %q", s.found.Over, want)
	}
	if err := os.Remove(s.path("a.csv")); err != nil {
		t.Fatal(err)
	}
	s.look()
	s.expect("removed")
	if len(s.found.Gone) > 0 {
		t.Error("it is gone though somebody may write to it still")
	}
	s.wait()
	s.expect("its last line", "2")
	s.look()
	if len(s.found.Gone) != 1 {
		t.Errorf("%v are gone", s.found.Gone)
	}
	s.look()
	s.expect("the next file", "4")
	if err := os.Remove(s.path("b.csv")); err != nil {
		t.Fatal(err)
	}
	s.look()
	s.wait()
	s.expect("nothing")
	s.look()
	s.add("b.csv", "5\n")
	s.look()
	s.expect("a name that has come back", "5")
	if n := len(s.set.family.claims); n != 2 {
		t.Errorf("%d files are claimed, expected 2", n)
	}
}

// Goal: a name that is no file is said once, and read when it is one.
func TestFollowSetSkipped(t *testing.T) {
	s := newSetOf(t, "*", 0)
	if err := os.Mkdir(s.path("folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.look()
	if len(s.found.Skipped) != 1 || !strings.Contains(s.found.Skipped[0].Error(), "folder is a directory") {
		t.Errorf("%v", s.found.Skipped)
	}
	s.look()
	if len(s.found.Skipped) > 0 {
		t.Errorf("again: %v", s.found.Skipped)
	}
	if err := os.Remove(s.path("folder")); err != nil {
		t.Fatal(err)
	}
	s.add("folder", "1\n")
	s.look()
	s.expect("a file now", "1")
	for _, most := range []int{-1, MaxFollowFiles + 1} {
		if _, err := FollowDelimitedFiles(nil, most, DelimitedConfig{Schema: s.schema}); err == nil ||
			!strings.Contains(err.Error(), "expected 1..4096") {
			t.Errorf("%d: %v", most, err)
		}
	}
}

// Goal: no more than MaxRotatedFiles of one name are open, also if names of the pattern lead to all
// of them; those that are closed are not read twice, and what comes to them later is said.
func TestFollowSetBounds(t *testing.T) {
	s := newSetOf(t, "log*", 0)
	s.add("log", "x\n")
	s.look()
	n := len(s.drain())
	const rotations = MaxRotatedFiles + 10
	for i := range rotations {
		s.rename("log", fmt.Sprintf("log.%d", i))
		s.add("log", "x\n")
		n += len(s.drain())
		s.look()
		n += len(s.drain())
	}
	if n != rotations+1 || len(s.streams) != 1 {
		t.Errorf("%d records, expected %d, of %d streams", n, rotations+1, len(s.streams))
	}
	if early := s.streams[0].ClosedEarly(); early == 0 {
		t.Error("no file was closed")
	}
	s.add("log.0", "late\n")
	s.look()
	if len(s.found.Skipped) != 1 || !strings.Contains(
		s.found.Skipped[0].Error(), "log.0 has grown after it was closed") {
		t.Errorf("%v", s.found.Skipped)
	}
	s.expect("what came to it")
}
