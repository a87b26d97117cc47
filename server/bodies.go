package server

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/velo-engine/velo/server/push"
)

const (
	// sourceBodies is how many bodies of the greatest length a source may hold at once.
	// serverSources is how many such sources the server has room for. A source whose queries take
	// nothing keeps only its part of that room, and pushes to the others go on.
	sourceBodies, serverSources = 8, 4
	// firstBytes is the first buffer of a body that does not say its length.
	firstBytes = 64 << 10
	// lineBytes is what a line takes beside its text: where it is, and its number in the body.
	lineBytes = 24 + 8
)

// bodies counts the bytes that bodies of pushes take in memory: each from before it is read until
// the queue of its source has counted its records. Any goroutine may use it.
type bodies struct {
	ofSource, ofAll int64 // limits

	mu      sync.Mutex
	all     int64                  // bytes that are held
	sources map[*push.Source]int64 // bytes that each source holds; none is 0
	most    int64                  // the greatest all that there has been
	refused uint64                 // pushes that found no room
}

// use is how many bytes are held, and how many pushes found no room.
func (b *bodies) use() (bytes int64, refused uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all, b.refused
}

// held is what one body takes. It belongs to the goroutine of the request.
type held struct {
	in    *bodies
	of    *push.Source
	bytes int64
}

// take takes room for n more bytes. Without room it takes nothing, and the error is an *Error.
func (h *held) take(n int64) error {
	b := h.in
	b.mu.Lock()
	defer b.mu.Unlock()
	most := min(b.ofSource, b.ofAll)
	if h.bytes+n > most {
		return &Error{
			Status: http.StatusRequestEntityTooLarge, Code: "too_large",
			Message: fmt.Sprintf("the body and its lines take %d bytes of memory, expected at most %d", h.bytes+n,
				most),
			Hint: "nothing was taken; push fewer lines at once",
		}
	}
	who, has, limit := fmt.Sprintf("source %q", h.of.Name()), b.sources[h.of], b.ofSource
	if has+n <= limit {
		who, has, limit = "all sources", b.all, b.ofAll
	}
	if has+n > limit {
		b.refused++
		return &Error{
			Status: http.StatusTooManyRequests, Code: "full",
			Message: fmt.Sprintf("other pushes to %s hold %d bytes, so %d more have no room: they may hold %d", who,
				has-h.bytes, h.bytes+n, limit),
			Hint: "nothing was taken; push it again after the seconds of Retry-After",
		}
	}
	h.bytes += n
	b.all += n
	b.most = max(b.most, b.all)
	b.sources[h.of] += n
	return nil
}

// giveBack gives room back: n of the bytes that were taken.
func (h *held) giveBack(n int64) {
	b := h.in
	b.mu.Lock()
	defer b.mu.Unlock()
	h.bytes -= n
	b.all -= n
	b.sources[h.of] -= n
	if b.sources[h.of] == 0 {
		delete(b.sources, h.of)
	}
}

// read reads the body of a request, which has at most the given number of bytes. Room is taken
// before each buffer is made. A body that says its length has one buffer, so a client that waits
// for "100 Continue" is refused before it sends anything.
func (h *held) read(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	if r.ContentLength > most {
		return nil, &http.MaxBytesError{Limit: most}
	}
	size := min(firstBytes, most+1)
	if r.ContentLength >= 0 {
		size = r.ContentLength + 1 // the end is found without another buffer
	}
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTime))
	// Without this the deadline would end the waiting for the client's end.
	defer func() { _ = c.SetReadDeadline(time.Time{}) }()
	var text []byte
	for {
		if len(text) == cap(text) {
			if err := h.take(size); err != nil {
				return nil, err
			}
			had := int64(cap(text))
			text = append(make([]byte, 0, size), text...)
			h.giveBack(had)
			size = min(2*size, most+1)
		}
		n, err := r.Body.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		switch {
		case err == io.EOF:
			return text, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, &Error{
				Status: http.StatusBadRequest, Code: "body",
				Message: fmt.Sprintf("the body broke off after %d bytes", len(text)), Hint: "nothing was taken",
			}
		case err != nil:
			return nil, err
		case len(text) > int(most): // a body that bounds itself does not come here
			return nil, &http.MaxBytesError{Limit: most}
		}
	}
}
