package job

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Limits of the events.
const (
	// MaxEvents bounds the events that can be asked for.
	MaxEvents = 10_000
	// maxEventBytes is the size at which the file of events is renamed; one older file is kept.
	maxEventBytes = 8 << 20
	// maxCause bounds the cause of an event.
	maxCause = 4096
)

// An Event is something that has happened to a job.
type Event struct {
	// ID is one more for each event, also after a restart.
	ID   uint64    `json:"id"`
	Time time.Time `json:"time"`
	Job  string    `json:"job"`
	// From and To are the states; they are empty if the job has only said something.
	From  State  `json:"from,omitempty"`
	To    State  `json:"to,omitempty"`
	Cause string `json:"cause"`
}

// Events are what has happened to all jobs. Any goroutine may use them.
type Events struct {
	path string

	mu     sync.Mutex
	last   []Event // the newest MaxEvents at most, with IDs one after the other
	nextID uint64
	more   chan struct{} // closed when there is another
	file   *os.File      // nil if it cannot be written
	size   int64
	// lost counts the events that the file does not have.
	lost uint64
}

// openEvents reads the events of before. The file is for people and for those who go on reading
// after a restart: if it cannot be used, events are in memory only.
func openEvents(dir string) *Events {
	e := &Events{path: filepath.Join(dir, "events.ndjson"), nextID: 1, more: make(chan struct{})}
	for _, path := range []string{e.path + ".1", e.path} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var ev Event
			err := json.Unmarshal(lines.Bytes(), &ev)
			if err != nil || ev.ID < e.nextID {
				continue // cut off when the process ended
			}
			if ev.ID > e.nextID {
				e.last = e.last[:0] // what is between is missing
			}
			e.keep(ev)
		}
		_ = f.Close()
	}
	e.open()
	return e
}

func (e *Events) open() {
	f, err := os.OpenFile(e.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	e.file, e.size = f, 0
	if info, err := f.Stat(); err == nil {
		e.size = info.Size()
	}
	_, _ = f.WriteString("\n") // what is before may be half a line
}

func (e *Events) keep(ev Event) {
	if len(e.last) >= MaxEvents {
		e.last = append(e.last[:0:0], e.last[MaxEvents/10:]...)
	}
	e.last = append(e.last, ev)
	e.nextID = ev.ID + 1
}

// bounded is a cause of maxCause bytes at most.
func bounded(cause string) string {
	if len(cause) <= maxCause {
		return cause
	}
	return strings.ToValidUTF8(cause[:maxCause-len("...")], "") + "..."
}

// add adds an event.
func (e *Events) add(ev Event) {
	ev.Cause = bounded(ev.Cause)
	e.mu.Lock()
	defer e.mu.Unlock()
	ev.ID, ev.Time = e.nextID, time.Now().UTC()
	e.keep(ev)
	close(e.more)
	e.more = make(chan struct{})
	line, err := json.Marshal(ev)
	if err != nil || e.file == nil {
		e.lost++
		return
	}
	if e.size+int64(len(line)) > maxEventBytes {
		_ = e.file.Close()
		_ = os.Rename(e.path, e.path+".1")
		e.file = nil
		e.open()
		if e.file == nil {
			e.lost++
			return
		}
	}
	n, err := e.file.Write(append(line, '\n'))
	e.size += int64(n)
	if err != nil {
		e.lost++
	}
}

// After returns the events later than an ID, and whether all of them are still there. wait is
// closed when there are more. job "" is all jobs.
func (e *Events) After(id uint64, job string) (all []Event, complete bool, wait <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	first := e.nextID - uint64(len(e.last))
	for _, ev := range e.last {
		if ev.ID > id && (job == "" || ev.Job == job) {
			all = append(all, ev)
		}
	}
	return all, id+1 >= first, e.more
}

// Watch yields the events later than an ID, and those that come, until ctx is done. An event that
// is no longer there is passed over.
func (e *Events) Watch(ctx context.Context, id uint64, job string) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for {
			all, _, wait := e.After(id, job)
			for _, ev := range all {
				id = ev.ID
				if !yield(ev) {
					return
				}
			}
			select {
			case <-wait:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Last is the ID of the newest event.
func (e *Events) Last() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.nextID - 1
}

// close closes the file.
func (e *Events) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.file == nil {
		return nil
	}
	err := e.file.Close()
	e.file = nil
	if err != nil {
		return fmt.Errorf("job: events: %w", err)
	}
	return nil
}
