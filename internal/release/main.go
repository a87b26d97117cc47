// Command release builds what is published: for each system an archive of the program velo with
// all connectors, its manual page, completions and deployment files, a list of the modules in it
// (CycloneDX), and the checksums of everything. The same commit and the same Go give the same
// bytes.
//
//	go run ./internal/release -out dist
//
// It reads git for the version, the commit and the time of the commit; outside a clone they are
// flags. make release runs it.
package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// targets are the systems that there are archives for.
const targets = "linux/amd64,linux/arm64,darwin/arm64,darwin/amd64,windows/amd64"

// A release is what is built.
type release struct {
	root    string // of the repository
	out     string
	version string
	commit  string
	at      time.Time // the time of every file in an archive
	targets []string
}

func main() {
	var r release
	r.root = "."
	on := flag.String("targets", targets, "systems, with commas between them")
	flag.StringVar(&r.out, "out", "dist", "folder for the archives")
	flag.StringVar(&r.version, "version", "", "version; what git describe says without it")
	flag.StringVar(&r.commit, "commit", "", "commit; what git says without it")
	flag.Parse()
	r.targets = strings.Split(*on, ",")
	err := r.identify()
	if err == nil {
		err = r.build()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
}

// identify fills in what git knows.
func (r *release) identify() error {
	ask := func(args ...string) (string, error) {
		cmd := exec.Command("git", args...)
		cmd.Dir = r.root
		text, err := cmd.Output()
		return strings.TrimSpace(string(text)), err
	}
	var err error
	if r.version == "" {
		r.version, err = ask("describe", "--tags", "--always", "--dirty")
		if err != nil {
			return fmt.Errorf("git does not know the version, expected -version: %w", err)
		}
	}
	if r.commit == "" {
		r.commit, err = ask("rev-parse", "HEAD")
		if err != nil {
			return fmt.Errorf("git does not know the commit, expected -commit: %w", err)
		}
	}
	stamp := os.Getenv("SOURCE_DATE_EPOCH")
	if stamp == "" {
		stamp, err = ask("log", "-1", "--format=%ct", r.commit)
		if err != nil {
			return fmt.Errorf("git does not know the time of %s, expected SOURCE_DATE_EPOCH: %w", r.commit, err)
		}
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("the time %q, expected seconds since 1970", stamp)
	}
	r.at = time.Unix(seconds, 0).UTC()
	return nil
}

// build makes everything.
func (r *release) build() error {
	for _, t := range r.targets {
		system, machine, ok := strings.Cut(t, "/")
		if !ok || system == "" || machine == "" {
			return fmt.Errorf("target %q, expected a system and a machine, such as linux/amd64", t)
		}
	}
	err := os.MkdirAll(r.out, 0o755)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "velo-release")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	pages, err := r.pages(work)
	if err != nil {
		return err
	}
	var made []string
	for _, t := range r.targets {
		system, machine, _ := strings.Cut(t, "/")
		program := filepath.Join(work, system+"-"+machine, "velo")
		if system == "windows" {
			program += ".exe"
		}
		err := r.compile(program, system, machine)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("velo_%s_%s_%s", strings.TrimPrefix(r.version, "v"), system, machine)
		bill, err := billOf(program, r)
		if err != nil {
			return err
		}
		files := append(slices.Clone(pages), entry{filepath.Base(program), 0o755, read(program)})
		archive, ending := tarball, ".tar.gz"
		if system == "windows" {
			archive, ending = zipped, ".zip"
		}
		packed, err := archive(name, files, r.at)
		if err != nil {
			return err
		}
		for ending, data := range map[string][]byte{ending: packed, ".cdx.json": bill} {
			err := os.WriteFile(filepath.Join(r.out, name+ending), data, 0o644)
			if err != nil {
				return err
			}
			made = append(made, name+ending)
		}
		fmt.Println(name + ending)
	}
	return r.sums(made)
}

// compile builds the program for a system.
func (r *release) compile(to, system, machine string) error {
	const of = "github.com/velo-engine/velo/velocli."
	flags := fmt.Sprintf("-s -w -X %srelease=%s -X %scommit=%s", of, r.version, of, r.commit)
	to, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	// The version and the commit are said by the flags, so that a clone and an archive of the same
	// sources give the same bytes.
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", to, ".")
	cmd.Dir = filepath.Join(r.root, "connect", "cmd", "velo")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+machine, "GOFLAGS=", "GOAMD64=v1")
	text, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s/%s: %w\n%s", system, machine, err, text)
	}
	return nil
}

// pages are the files of every archive except the program.
func (r *release) pages(work string) (files []entry, err error) {
	program := filepath.Join(work, "host", "velo")
	err = r.compile(program, runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	for _, p := range []struct {
		name string
		args []string
	}{
		{"man/velo.1", []string{"man"}},
		{"completions/velo.bash", []string{"completion", "bash"}},
		{"completions/_velo", []string{"completion", "zsh"}},
		{"completions/velo.fish", []string{"completion", "fish"}},
	} {
		text, err := exec.Command(program, p.args...).Output()
		if err != nil {
			return nil, fmt.Errorf("velo %s: %w", strings.Join(p.args, " "), err)
		}
		// the page must not say on what it was made
		text = bytes.ReplaceAll(text, []byte(", "+runtime.GOOS+"/"+runtime.GOARCH), nil)
		files = append(files, entry{p.name, 0o644, text})
	}
	for _, name := range []string{
		"LICENSE", "README.md", "CHANGELOG.md", "deploy/alerts.yml", "deploy/dashboard.json", "deploy/velo.service",
		"deploy/kubernetes.yml",
	} {
		text, err := os.ReadFile(filepath.Join(r.root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		files = append(files, entry{name, 0o644, text})
	}
	return files, nil
}

// read is a file that has just been written; it is empty if it is gone, which the archive refuses.
func read(path string) []byte {
	data, _ := os.ReadFile(path)
	return data
}

// sums writes the checksums of what was made, as sha256sum -c reads them.
func (r *release) sums(made []string) error {
	slices.Sort(made)
	var b strings.Builder
	for _, name := range made {
		data, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), name)
	}
	if b.Len() == 0 {
		return errors.New("there are no targets")
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(b.String()), 0o644)
}
