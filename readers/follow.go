package readers

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// errTruncated is what an input returns from Read where what was read last is not there any more, and the source begins anew.
var errTruncated = errors.New("the file was cut short")

// FollowDelimited reads a file of delimited lines that others append to, as tail -F does: from its beginning, and then what comes. It can be
// polled, never waits and does not end. The file need not be there yet. A file that takes its place, as when logs are rotated, is read when the old
// one has been read to its end; offsets, lines and the header begin anew with it. So they do where the file is cut short and written again; what was not
// read before that is lost, and a record that it cut in two is a reject. A last line without a newline is kept until its newline comes, or another
// file does.
func FollowDelimited(path string, cfg DelimitedConfig) (*Stream, error) {
	in, err := follow(path)
	if err != nil {
		return nil, err
	}
	return newDelimitedStream("file "+path, in, cfg, true)
}

// FollowNDJSON reads a file of JSON lines that others append to, as FollowDelimited does.
func FollowNDJSON(path string, cfg NDJSONConfig) (*Stream, error) {
	in, err := follow(path)
	if err != nil {
		return nil, err
	}
	return newNDJSONStream("file "+path, in, cfg, true)
}

// follow looks whether a path can be followed. It is opened by the first Read.
func follow(path string) (*followed, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("readers: %s is not a regular file, it cannot be followed", path)
	}
	if err != nil && !absent(err) {
		return nil, fmt.Errorf("readers: %w", err)
	}
	return &followed{path: path}, nil
}

// absent says that a file is not there, or not for us: it may be in a moment.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// followed is a file that grows. Its Read returns nothing and no error where there is nothing more now.
type followed struct {
	path   string
	file   *os.File
	offset int64
}

// Read reads what has come.
func (f *followed) Read(b []byte) (int, error) {
	if f.file == nil {
		file, err := os.Open(f.path)
		if err != nil {
			if absent(err) {
				return 0, nil
			}
			return 0, err
		}
		f.file, f.offset = file, 0
	}
	if n, err := f.read(b); n > 0 || err != nil {
		return n, err
	}
	// The end, for now.
	here, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	if here.Size() < f.offset {
		if _, err := f.file.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		f.offset = 0
		return 0, errTruncated
	}
	there, err := os.Stat(f.path)
	if err != nil {
		if absent(err) {
			return 0, nil // renamed, and the new one is not there yet
		}
		return 0, err
	}
	if os.SameFile(here, there) {
		return 0, nil
	}
	// Somebody may have written to the old file between the read and the look at its successor.
	if n, err := f.read(b); n > 0 || err != nil {
		return n, err
	}
	err = f.file.Close()
	if f.file = nil; err != nil {
		return 0, err
	}
	return 0, errNewSource
}

// read reads from the file; its end is no error.
func (f *followed) read(b []byte) (int, error) {
	n, err := f.file.Read(b)
	f.offset += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Close closes the file.
func (f *followed) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
