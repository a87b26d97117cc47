package brc

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/velo-engine/velo/internal/testgen"
)

// Goal: the obvious program gives the samples' results, so that it can be held against.
func TestReference(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(testgen.Corpus(t, "1brc"), "measurements-*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no samples", err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		got, err := Reference(f)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(strings.TrimSuffix(file, "txt") + "out")
		if err != nil {
			t.Fatal(err)
		}
		if got != strings.TrimSpace(string(want)) {
			t.Errorf("%s: %s\nexpected %s", file, got, want)
		}
	}
}

// Goal: 413 different names of sensible length and means, the same each time.
func TestStations(t *testing.T) {
	all := Stations()
	seen := map[string]bool{}
	multibyte, length := 0, 0
	for _, s := range all {
		if seen[s.Name] || len(s.Name) < 3 || len(s.Name) > 26 || strings.Contains(s.Name, ";") ||
			!utf8.ValidString(s.Name) || s.Mean < -150 || s.Mean > 350 {
			t.Errorf("%+v", s)
		}
		seen[s.Name] = true
		length += len(s.Name)
		if len(s.Name) != utf8.RuneCountInString(s.Name) {
			multibyte++
		}
	}
	if len(all) != 413 || multibyte < 20 {
		t.Errorf("%d stations, %d with letters beyond ASCII", len(all), multibyte)
	}
	if mean := float64(length) / float64(len(all)); mean < 7 || mean > 11 {
		t.Errorf("the names have %.1f bytes in the mean, those of the challenge 8", mean)
	}
	if again := Stations(); again[0] != all[0] || again[412] != all[412] {
		t.Error("not the same twice")
	}
}

// Goal: a file is the same for the same seed, another for another, and every line can be read.
func TestWrite(t *testing.T) {
	var a, b, c bytes.Buffer
	for seed, w := range map[uint64]*bytes.Buffer{1: &a, 2: &c} {
		if err := Write(w, 50_000, seed, Stations()); err != nil {
			t.Fatal(err)
		}
	}
	if err := Write(&b, 50_000, 1, Stations()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) || bytes.Equal(a.Bytes(), c.Bytes()) {
		t.Error("the seed does not decide")
	}
	if n := bytes.Count(a.Bytes(), []byte{'\n'}); n != 50_000 {
		t.Errorf("%d lines", n)
	}
	if _, err := Reference(&a); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "a", ";1", "a;b", "a;100", strings.Repeat("x", 101) + ";1"} {
		if _, err := ReadStations(strings.NewReader("ok;1.5\r\n" + bad + "\n")); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
