package velocli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/internal/filekind"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/readers/compressed"
	"github.com/velo-engine/velo/record"
)

// followEvery is how often followed files are checked: which files there are, and whether they can
// be read.
var followEvery = time.Second

// isPattern says whether a name stands for any number of files, and not for one.
func isPattern(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir() || strings.ContainsAny(name, "*?[") && (err != nil || !info.Mode().IsRegular())
}

// onlyFiles splits what a pattern has found into regular files and the rest: opening a FIFO would
// wait for somebody who writes to it.
func onlyFiles(paths []string) (files []string, skipped []error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.Mode().IsRegular():
			skipped = append(skipped, fmt.Errorf("%s is %s and is not read", path, filekind.Of(info.Mode())))
		default:
			files = append(files, path) // opening it reports what is wrong with it
		}
	}
	return files, skipped
}

// followable says why a named file cannot be followed. It does not open the file for that: opening
// a FIFO would wait.
func (f *files) followable() error {
	info, err := os.Stat(f.target())
	if !f.follow || err != nil || info.Mode().IsRegular() || info.IsDir() {
		return nil // opening it reports what is wrong
	}
	return fmt.Errorf("--follow: %s is %s, which is read until it ends anyway: leave --follow out", f.target(),
		filekind.Of(info.Mode()))
}

// saySkipped says which names that a pattern has found are not read. For followed files that is
// said elsewhere (following.sayFound).
func (f *files) saySkipped(name string, say io.Writer) {
	if f.follow {
		return
	}
	for _, err := range f.skipped {
		note(say, fmt.Sprintf("velo: %s: %v", name, err))
	}
	f.skipped = nil // a query that begins again says it only once
}

// followSet makes the FollowSet for the files of a pattern.
func (f *files) followSet() (*readers.FollowSet, error) {
	if f.format == formatNDJSON {
		return readers.FollowNDJSONFiles(f.findGrowing(), f.mostFiles, f.ndjson())
	}
	return readers.FollowDelimitedFiles(f.findGrowing(), f.mostFiles, f.delimited())
}

// findGrowing finds the files of a pattern that may grow. Compressed files do not: they were made
// from another file, which may have been read under its earlier name.
func (f *files) findGrowing() func() ([]string, error) {
	packed := map[string]bool{}
	return func() (growing []string, err error) {
		paths, err := f.find()
		if err != nil {
			return nil, err
		}
		before := packed
		packed = map[string]bool{} // names that are gone are forgotten
		for _, path := range paths {
			is, known := before[path]
			if info, err := os.Stat(path); !known && err == nil && info.Mode().IsRegular() &&
				info.Size() >= compressed.MagicBytes {
				is, known = isPacked(path), true
				if is {
					f.packed = append(f.packed, path)
				}
			}
			if known {
				packed[path] = is
			}
			if !is {
				growing = append(growing, path)
			}
		}
		return growing, nil
	}
}

// followed opens what is followed.
func (f *files) followed() (all []record.Reader, err error) {
	f.set, err = f.followSet()
	if err != nil {
		return nil, err
	}
	found, err := f.set.Look()
	if err != nil {
		return nil, err
	}
	f.found = found
	if len(found.New) == 0 {
		none := fmt.Errorf("--follow: %s: there is no file that can be followed", f.name)
		return nil, errors.Join(append([]error{none}, found.Skipped...)...)
	}
	return found.New, nil
}

// following looks after what an engine follows.
type following struct {
	files  *files
	engine *engine.Engine
	name   string
	say    io.Writer

	// live has the readers that have files, and their numbers.
	live map[record.Reader]int
	// gone has the readers that have no file any more and are to be removed.
	gone []record.Reader
	// wrong has the last trouble that was reported for each reader.
	wrong map[record.Reader]string
	// early has how many files closed early were last reported for each reader.
	early map[record.Reader]uint64
	// over is how many files have been reported to be too many.
	over int
	// fault is why the last look for files failed.
	fault string
	// ending is closed by stop, and ended when the goroutine has ended.
	ending chan struct{}
	ended  chan struct{}
}

// follow begins to look after the readers of an engine.
func follow(f *files, eng *engine.Engine, rs []record.Reader, name string, say io.Writer) *following {
	w := &following{
		files: f, engine: eng, name: name, say: say, live: map[record.Reader]int{}, wrong: map[record.Reader]string{},
		early: map[record.Reader]uint64{}, ending: make(chan struct{}), ended: make(chan struct{}),
	}
	for i, r := range rs {
		w.live[r] = i
	}
	go w.run()
	return w
}

// stop ends it, after a last look at what is wrong.
func (w *following) stop() {
	if w != nil {
		close(w.ending)
		<-w.ended
	}
}

func (w *following) run() {
	defer close(w.ended)
	defer w.sayWrong()
	w.sayFound(w.files.found)
	for r := range w.live {
		if f, ok := r.(*readers.FollowedFile); ok {
			for _, err := range f.Lost() {
				w.tell("%v", err)
			}
		}
	}
	for {
		select {
		case <-w.ending:
			return
		case <-time.After(followEvery):
			w.sayWrong()
			if w.files.set != nil {
				w.look()
			}
		}
	}
}

// tell says something about what is followed.
func (w *following) tell(format string, args ...any) {
	note(w.say, fmt.Sprintf("velo: %s: ", w.name)+fmt.Sprintf(format, args...))
}

// look gives new files to the engine, and removes those that are gone.
func (w *following) look() {
	found, err := w.files.set.Look()
	if text := fmt.Sprint(err); err != nil && text != w.fault {
		w.fault = text
		w.tell("%s; what has been found before is read on", text)
	} else if err == nil {
		w.fault = ""
	}
	w.sayFound(found)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // an engine that ends answers at once; a busy one need not be waited for
		select {
		case <-w.ending:
			cancel()
		case <-ctx.Done():
		}
	}()
	for _, r := range found.New {
		id, err := w.engine.AddReader(ctx, r)
		switch {
		case err == nil || errors.Is(err, engine.ErrAdding):
			w.live[r] = id
		default:
			if !errors.Is(err, engine.ErrEnded) && ctx.Err() == nil {
				w.tell("%v is not read: %v", r, trimPackage(err))
			}
			_ = r.Close() // it has read nothing
		}
	}
	w.gone = append(w.gone, found.Gone...)
	for len(w.gone) > 0 && len(w.live) > 1 { // an engine without readers would end
		r := w.gone[0]
		if err := w.engine.RemoveReader(ctx, w.live[r]); err != nil {
			return
		}
		w.gone = slices.Delete(w.gone, 0, 1)
		delete(w.live, r)
		delete(w.wrong, r)
		delete(w.early, r)
	}
}

// sayFound says what is not followed. How many files are too many is said again when the number has
// doubled.
func (w *following) sayFound(found readers.Found) {
	for _, err := range found.Skipped {
		w.tell("%v", err)
	}
	for _, path := range w.files.packed {
		w.tell("%s is compressed, so it does not grow, and is not read", path)
	}
	w.files.packed = nil
	if n := len(found.Over); n > 0 && n >= 2*w.over {
		w.over = n
		w.tell("%d files are not read, the first is %s: %d are followed at once; "+
			"--follow-files, or the option follow.files, says how many", n, found.Over[0], len(w.live))
	}
}

// sayWrong says what is wrong with the followed files, whenever it changes.
func (w *following) sayWrong() {
	for r := range w.live {
		s, ok := r.(*readers.FollowedFile)
		if !ok {
			continue
		}
		text := ""
		if err := s.Trouble(); err != nil {
			text = err.Error()
		}
		if text != "" && text != w.wrong[r] {
			w.tell("%s", text)
		}
		w.wrong[r] = text
		if n := s.ClosedEarly(); n >= max(1, 2*w.early[r]) {
			w.early[r] = n
			w.tell("%v: %d files that had the name before were closed, because %d are open at once: "+
				"what is still written to them is not read", s, n, readers.MaxRotatedFiles)
		}
	}
}
