package velocli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/server"
)

// quarantine takes the records that could not be read. Only one goroutine calls put.
type quarantine struct {
	files *files
	// engine has the names of files that appear while the query runs; it is set before there are
	// any.
	engine *engine.Engine
	// file gets the records as JSON; nil if nobody asked for that.
	file *os.File
	// n counts the records, and reasons has what was wrong with them.
	n       int
	reasons []asideReason
	// err is why the file could not be written.
	err error
	// ring gets the records of a server's job, and of is its source; nil if there is none.
	ring *rejectRing
	of   string

	// widening is nil if the files cannot be read again, or if nothing was guessed.
	widening *widening
	// guess is the column whose guess turned out wrong, for input that cannot be read again.
	guess string
}

func newQuarantine(path string, f *files, std streams) (*quarantine, error) {
	q := &quarantine{files: f}
	if f.again() {
		q.widening = newWidening(f)
	}
	var err error
	if path != "" {
		n := namesOf(f.name, f.listed, std)
		n.writes("--quarantine", path)
		if len(n.faults) > 0 {
			return nil, errors.Join(n.faults...)
		}
		q.file, err = os.Create(path)
	}
	return q, err
}

func (q *quarantine) put(reader int, r record.Reject) {
	file, where := q.files.place(reader, r)
	if reader >= len(q.files.sources) && q.engine != nil { // it was added while the query ran
		file = strings.TrimPrefix(q.engine.Stats().Readers[reader].Name, "file ")
	}
	if !q.widening.takes(file+", "+where, r.Reason) {
		q.sayGuess(r.Reason)
	}
	if q.ring != nil {
		q.ring.add(server.Reject{
			Source: q.of, Place: file + ", " + where, Reason: r.Reason.Error(), Bytes: string(r.Bytes),
		})
	}
	q.n++
	if len(q.files.paths) > 1 || q.files.set != nil {
		where = file + ", " + where
	}
	q.count(where, r.Reason)
	if q.file == nil || q.err != nil {
		return
	}
	q.err = json.NewEncoder(q.file).Encode(map[string]any{
		"file": file, "offset": r.Offset, "line": r.Line, "reason": r.Reason.Error(), "bytes": string(r.Bytes),
	})
}

// place is the file of a record, and where it is in that file.
func (f *files) place(reader int, r record.Reject) (file, where string) {
	file = f.name
	if reader < len(f.sources) {
		file = f.sources[reader]
	}
	switch {
	case r.Line > 0:
		return file, fmt.Sprintf("line %d", r.Line)
	case r.Offset < 0:
		return file, "a record"
	case f.whole != nil:
		return file, fmt.Sprintf("row %d", r.Offset)
	case f.ofMessages:
		return file, fmt.Sprintf("offset %d", r.Offset)
	}
	return file, fmt.Sprintf("byte %d", r.Offset)
}

// sayGuess notes the first column with a value that did not fit its guessed type, for input that
// cannot be read again.
func (q *quarantine) sayGuess(reason error) {
	var e *readers.ValueError
	if q.guess != "" || q.files.guessed == nil || !errors.As(reason, &e) {
		return
	}
	if i, ok := q.files.schema.Index(e.Column); ok {
		q.guess = fmt.Sprintf("; column %q was guessed to be %v from what had come until then: --schema "+
			"declares its type", e.Column, q.files.schema.Field(i).Type)
	}
}

func (q *quarantine) close() error {
	if q.file == nil {
		return q.err
	}
	return errors.Join(q.err, q.file.Close())
}

// report says how many records there were.
func (q *quarantine) report(to io.Writer) error {
	if q.n == 0 {
		return nil
	}
	hint := "; --quarantine writes them to a file"
	if q.file != nil {
		hint = ""
	}
	what := fmt.Sprintf("%d records could not be read and are not in the result, the first in", q.n)
	switch {
	case q.n == 1:
		what = "a record could not be read and is not in the result,"
	case len(q.reasons) > 1:
		what = fmt.Sprintf("%d records could not be read and are not in the result%s%s", q.n, q.guess, hint)
		for i, r := range q.reasons {
			others := ""
			if i == maxReasons {
				others = " for other reasons"
			}
			what += fmt.Sprintf("\n  %d%s, the first in %s", r.n, others, r.first)
		}
		fmt.Fprintln(to, "velo: "+what)
		return errAside
	}
	fmt.Fprintf(to, "velo: %s %s%s%s\n", what, q.reasons[0].first, q.guess, hint)
	return errAside
}

// An asideReason is why some records could not be read.
type asideReason struct {
	kind  string // what the reasons have in common
	n     int
	first string // place and reason of the first
}

// maxReasons is how many different reasons a report names. What comes after them is counted as one.
const maxReasons = 5

// count counts a record by its reason: the column, or the text without its numbers.
func (q *quarantine) count(where string, reason error) {
	var e *readers.ValueError
	var kind string
	if errors.As(reason, &e) {
		kind = e.Column
	} else {
		kind = strings.Map(withoutDigits, reason.Error())
	}
	for i := range q.reasons {
		if r := &q.reasons[i]; r.kind == kind || i == maxReasons {
			r.n++
			return
		}
	}
	q.reasons = append(q.reasons, asideReason{kind, 1, fmt.Sprintf("%s: %v", where, reason)})
}

func withoutDigits(r rune) rune {
	if '0' <= r && r <= '9' {
		return -1
	}
	return r
}
