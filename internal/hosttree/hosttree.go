// Package hosttree reads recorded trees of /proc and /sys, which tests use in the place of hosts
// that are not at hand.
//
// A tree is a text file. Each line is the path of a file, a colon, a blank and a line of that file:
//
//	sys/devices/system/cpu/cpu[0-3]/topology/physical_package_id: 0
//
// A path that comes again adds a line to its file. A list in brackets stands for each of its
// numbers, as the kernel writes lists of CPUs. Lines that begin with # are comments.
package hosttree

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing/fstest"
)

// Read reads trees. A file that is in several trees is as in the last of them.
func Read(names ...string) (fs.FS, error) {
	tree := fstest.MapFS{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		files, err := Parse(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for path, content := range files {
			tree[path] = &fstest.MapFile{Data: []byte(content), Mode: 0o444}
		}
	}
	return tree, nil
}

// Parse returns the files of a tree by their paths.
func Parse(text string) (map[string]string, error) {
	files := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		path, content, ok := strings.Cut(line, ": ")
		if !ok {
			return nil, fmt.Errorf("no path in %q", line)
		}
		paths, err := expand(path)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		for _, p := range paths {
			files[p] += content + "\n"
		}
	}
	return files, nil
}

// expand writes out the lists in brackets of a path.
func expand(path string) (paths []string, err error) {
	before, rest, ok := strings.Cut(path, "[")
	if !ok {
		return []string{path}, nil
	}
	list, after, ok := strings.Cut(rest, "]")
	if !ok {
		return nil, fmt.Errorf("a bracket is not closed")
	}
	tails, err := expand(after)
	if err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(list, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		if !isRange {
			hi = lo
		}
		first, err1 := strconv.Atoi(lo)
		last, err2 := strconv.Atoi(hi)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%q is no list of numbers", list)
		}
		for n := first; n <= last; n++ {
			for _, tail := range tails {
				paths = append(paths, before+strconv.Itoa(n)+tail)
			}
		}
	}
	return paths, nil
}
