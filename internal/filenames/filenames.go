// Package filenames finds the files that a name stands for.
package filenames

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Unfinished ends the names of files that are being written.
const Unfinished = ".unfinished"

// Find returns the files that a name stands for, in order: a file, the files of a directory, or the
// files that match a pattern, in which ** is any number of directories. Files whose names begin
// with a point, and files that are still being written, are found only if they are named.
func Find(name string) ([]string, error) {
	if info, err := os.Stat(name); strings.ContainsAny(name, "*?[") && (err != nil || !info.Mode().IsRegular()) {
		return match(name) // unless a file has exactly this name
	}
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return []string{name}, nil // opening it reports what is wrong with it
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		path := filepath.Join(name, e.Name())
		// For a link, what it leads to counts.
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && !Left(e.Name()) {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("%s is a directory without files; for the files of its directories, say %q", name,
			filepath.Join(name, "**", "*"))
	}
	return paths, nil
}

// Left says whether a file is left out unless it is named: it is hidden, or another program has not
// finished it.
func Left(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, Unfinished)
}

// match returns the files that match a pattern.
func match(pattern string) (paths []string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", pattern, err)
		} else if len(paths) == 0 {
			err = fmt.Errorf("no file is called like %s", pattern)
		}
		slices.Sort(paths)
	}()
	if !strings.Contains(pattern, "**") {
		paths, err := filepath.Glob(pattern)
		if !strings.HasPrefix(filepath.Base(pattern), ".") {
			paths = slices.DeleteFunc(paths, func(path string) bool { return Left(filepath.Base(path)) })
		}
		return paths, err
	}
	steps := strings.Split(filepath.ToSlash(pattern), "/")
	root := 0
	for !strings.ContainsAny(steps[root], "*?[") {
		root++
	}
	for _, step := range steps {
		if _, err := filepath.Match(step, ""); err != nil {
			return nil, err
		}
	}
	base := strings.Join(steps[:root], "/")
	if base == "" && root > 0 {
		base = "/"
	}
	err = filepath.WalkDir(cmp.Or(base, "."), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(e.Name(), ".") && len(e.Name()) > 1 && path != base {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || Left(e.Name()) {
			return nil
		}
		rest, err := filepath.Rel(cmp.Or(base, "."), path)
		if err == nil && Matches(steps[root:], strings.Split(filepath.ToSlash(rest), "/")) {
			paths = append(paths, path)
		}
		return err
	})
	return paths, err
}

// Matches says whether the steps of a path match the steps of a pattern.
func Matches(pattern, path []string) bool {
	if len(pattern) == 0 {
		return len(path) == 0
	}
	if pattern[0] == "**" {
		return Matches(pattern[1:], path) || len(path) > 0 && Matches(pattern, path[1:])
	}
	if len(path) == 0 {
		return false
	}
	ok, _ := filepath.Match(pattern[0], path[0]) // the pattern has been checked
	return ok && Matches(pattern[1:], path[1:])
}
