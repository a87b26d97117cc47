package job

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// MaxText bounds the text of a job, as package query does.
const MaxText = 1 << 20

// entry is a file of the catalog.
type entry struct {
	text string
	meta
}

// meta is the comment at the end of a file.
type meta struct {
	Desired Desired `json:"desired"`
	// Generation is the number of the folder of the state.
	Generation int `json:"generation"`
	Options
}

// metaPrefix begins the comment. The text before it is as it was given, so that the places of
// faults are right.
const metaPrefix = "-- velo: "

// store has the files.
type store struct {
	dir string
	// crash is called before each step that is durable; a test ends there.
	crash func(step string)
}

func openStore(dir string) (*store, error) {
	s := &store{dir: dir, crash: func(string) {}}
	for _, d := range []string{s.catalog(), filepath.Join(dir, "jobs")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("job: %w", err)
		}
	}
	return s, nil
}

func (s *store) catalog() string           { return filepath.Join(s.dir, "catalog") }
func (s *store) file(name string) string   { return filepath.Join(s.catalog(), name+".sql") }
func (s *store) folder(name string) string { return filepath.Join(s.dir, "jobs", name) }

// state is the folder of a job's state.
func (s *store) state(name string, generation int) string {
	return filepath.Join(s.folder(name), fmt.Sprint(generation))
}

// load reads the catalog. A file that cannot be read is an error of that job alone.
func (s *store) load() (all map[string]entry, faults map[string]error, err error) {
	files, err := os.ReadDir(s.catalog())
	if err != nil {
		return nil, nil, fmt.Errorf("job: %w", err)
	}
	all, faults = map[string]entry{}, map[string]error{}
	for _, f := range files {
		path := filepath.Join(s.catalog(), f.Name())
		if strings.HasPrefix(f.Name(), ".") {
			_ = os.Remove(path) // a file that was being written when the process ended
			continue
		}
		name, ok := strings.CutSuffix(f.Name(), ".sql")
		if !ok {
			continue
		}
		if err := checkName(name); err != nil {
			faults[name] = fmt.Errorf("%s: %w", path, err)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			faults[name] = fmt.Errorf("job: %w", err)
			continue
		}
		e, err := parseEntry(string(text))
		if err != nil {
			faults[name] = fmt.Errorf("%s: %w", path, err)
		}
		all[name] = e
	}
	return all, faults, nil
}

// parseEntry takes a file apart. Without the comment at the end the job should run.
func parseEntry(text string) (entry, error) {
	e := entry{text: text, meta: meta{Desired: ShouldRun, Generation: 1}}
	trimmed := strings.TrimRight(text, "\n")
	at := strings.LastIndexByte(trimmed, '\n') + 1
	comment, ok := strings.CutPrefix(trimmed[at:], metaPrefix)
	if !ok {
		return e, nil
	}
	d := json.NewDecoder(strings.NewReader(comment))
	d.DisallowUnknownFields()
	if err := d.Decode(&e.meta); err != nil {
		return e, fmt.Errorf("the last line is not what velo writes there: %w", err)
	}
	if !slices.Contains([]Desired{ShouldRun, ShouldPause, ShouldStop, shouldGo}, e.Desired) || e.Generation < 1 {
		return e, fmt.Errorf("the last line says desired %q, generation %d", e.Desired, e.Generation)
	}
	e.text = strings.TrimSuffix(trimmed[:at], "\n")
	return e, nil
}

func (e entry) bytes() ([]byte, error) {
	comment, err := json.Marshal(e.meta)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s%s\n", e.text, metaPrefix, comment)
	return b.Bytes(), nil
}

// unchanged adds to an error that it has changed nothing in the catalog; nil stays nil.
func unchanged(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("job: %w, so nothing was changed: %w", ErrCatalog, err)
}

// put writes the file of a job. When it returns nil, the file is durable.
func (s *store) put(name string, e entry) (err error) {
	defer func() { err = unchanged(err) }()
	b, err := e.bytes()
	if err != nil {
		return err
	}
	s.crash("begin")
	return s.write(s.catalog(), "."+name+"-*", s.file(name), b)
}

// write writes a file in a folder, whole or not at all, and makes it durable.
func (s *store) write(dir, temporary, path string, b []byte) error {
	f, err := os.CreateTemp(dir, temporary)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	s.crash("write")
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	err = syncDir(dir)
	s.crash("rename")
	return err
}

// remove removes a job and its state.
func (s *store) remove(name string) error {
	s.crash("remove")
	err := os.RemoveAll(s.folder(name))
	if err == nil {
		s.crash("state")
		err = os.Remove(s.file(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil {
		err = syncDir(s.catalog())
	}
	if err != nil {
		return fmt.Errorf("job: removing %q: %w", name, err)
	}
	return nil
}

// tidy removes the states that are older than the one before.
func (s *store) tidy(name string, generation int) {
	folders, _ := os.ReadDir(s.folder(name))
	var older []int
	for _, f := range folders {
		n, err := strconv.Atoi(f.Name())
		if err == nil && n > 0 && n < generation {
			older = append(older, n)
		}
	}
	slices.Sort(older)
	for _, n := range older[:max(0, len(older)-1)] {
		_ = os.RemoveAll(s.state(name, n)) // it is tried again the next time
	}
}

// syncDir makes the names in a folder durable.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be synced there
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
