package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Goal: an archive has what it should, whatever the order in which files were found, with one time
// for all; what is empty is refused.
func TestArchives(t *testing.T) {
	at := time.Date(2026, 3, 2, 9, 30, 0, 0, time.UTC)
	files := []entry{{"velo", 0o755, []byte("program")}, {"man/velo.1", 0o644, []byte("page")}}
	other := slices.Clone(files)
	slices.Reverse(other)
	a, err := tarball("velo_1", files, at)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tarball("velo_1", other, at)
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("%v: archives of the same files differ", err)
	}
	z, err := gzip.NewReader(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %o %v", h.Name, h.Mode, h.ModTime.UTC().Equal(at)))
	}
	if want := "velo_1/man/velo.1 644 true, velo_1/velo 755 true"; strings.Join(names, ", ") != want {
		t.Errorf("%v, expected %s", names, want)
	}
	packed, err := zipped("velo_1", other, at)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil || len(r.File) != 2 || r.File[1].Name != "velo_1/velo" || r.File[1].Mode().Perm() != 0o755 {
		t.Errorf("%v: %v", err, r)
	}
	if _, err := tarball("velo_1", []entry{{"velo", 0o755, nil}}, at); err == nil {
		t.Error("an empty file is packed")
	}
}

// Goal: two builds of a release are the same bytes, the program says its version and commit, the
// checksums are right, and the bill has the modules. Method: a release for this system, twice.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("it links the program four times")
	}
	made := func() map[string][]byte {
		r := release{
			root: "../..", out: t.TempDir(), version: "v1.2.3", commit: strings.Repeat("ab", 20),
			at: time.Unix(1_780_000_000, 0).UTC(), targets: []string{runtime.GOOS + "/" + runtime.GOARCH},
		}
		if err := r.build(); err != nil {
			t.Fatal(err)
		}
		all := map[string][]byte{}
		entries, err := os.ReadDir(r.out)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all[e.Name()] = read(filepath.Join(r.out, e.Name()))
		}
		return all
	}
	first, second := made(), made()
	for name, data := range first {
		if !bytes.Equal(data, second[name]) {
			t.Errorf("%s is not the same in two builds", name)
		}
	}
	name := fmt.Sprintf("velo_1.2.3_%s_%s", runtime.GOOS, runtime.GOARCH)
	if len(first) != 3 || !strings.Contains(string(first["SHA256SUMS"]), "  "+name+".") {
		t.Errorf("there are %d files; the checksums are %s", len(first), first["SHA256SUMS"])
	}
	var b bill
	if err := json.Unmarshal(first[name+".cdx.json"], &b); err != nil || b.Metadata.Component.Version != "v1.2.3" ||
		!slices.ContainsFunc(b.Components, func(c component) bool { return c.Name == "github.com/twmb/franz-go" }) {
		t.Errorf("%v: the bill is %s", err, first[name+".cdx.json"])
	}
	if runtime.GOOS != "linux" {
		return
	}
	dir := t.TempDir()
	unpack := exec.Command("tar", "-xzf", "-", "-C", dir)
	unpack.Stdin = bytes.NewReader(first[name+".tar.gz"])
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, err := exec.Command(filepath.Join(dir, name, "velo"), "--version").Output()
	if err != nil || !strings.HasPrefix(string(said), "velo v1.2.3 abababababab, go1.") {
		t.Errorf("%v: %s", err, said)
	}
	for _, file := range []string{"man/velo.1", "completions/velo.bash", "deploy/alerts.yml", "LICENSE"} {
		if _, err := os.Stat(filepath.Join(dir, name, file)); err != nil {
			t.Error(err)
		}
	}
}

// Goal: a system that is none is refused before anything is built.
func TestTargets(t *testing.T) {
	r := release{out: filepath.Join(t.TempDir(), "none"), targets: []string{"linux/amd64", "plan9"}}
	if err := r.build(); err == nil || !strings.Contains(err.Error(), `"plan9", expected`) {
		t.Errorf("%v", err)
	}
}
