package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/server/push"
)

const (
	// defaultDurable is how long ?durable waits for a generation, unless ?wait= says otherwise.
	defaultDurable = time.Minute
	// durableEvery is how often it looks whether there is one. A generation comes every 10 s unless
	// somebody has said otherwise.
	durableEvery = 20 * time.Millisecond
)

// source finds a source that records are pushed to.
func (s *Server) source(r *http.Request) (*push.Source, []Engine, error) {
	name, of := r.PathValue("source"), r.URL.Query().Get("job")
	var found []Inside
	known := false
	for _, j := range s.cfg.Jobs.List() {
		if of != "" && j.Name != of {
			continue
		}
		for _, o := range j.Objects {
			known = known || o.Kind == job.KindSource && o.Name == name && o.Connector == "push"
		}
		if in, err := s.inside(j.Name); err == nil && in.Push(name) != nil {
			found = append(found, in)
		}
	}
	switch {
	case len(found) > 1:
		return nil, nil, &Error{
			Status: http.StatusConflict, Code: "ambiguous", Message: fmt.Sprintf("%d jobs have a source %q", len(found),
				name), Hint: "?job=NAME says which is meant",
		}
	case len(found) == 1:
		return found[0].Push(name), found[0].Engines(), nil
	case known:
		return nil, nil, push.ErrNotRead
	}
	return nil, nil, &Error{
		Status: http.StatusNotFound, Code: "no_source", Message: fmt.Sprintf("there is no source %q that records are "+
			"pushed to", name), Hint: "CREATE SOURCE name (...) WITH (connector = 'push')",
	}
}

// pushAnswer says what has become of records.
type pushAnswer struct {
	Taken      int          `json:"taken"`
	Duplicates int          `json:"duplicates"`
	Rejected   int          `json:"rejected"`
	Rejects    []pushReject `json:"rejects,omitempty"`
	Next       uint64       `json:"next,omitempty"`
	// Durable says, if the client asked to wait, whether the records are in a generation.
	Durable *bool `json:"durable,omitempty"`
}

type pushReject struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// The headers of a producer whose records have numbers.
const (
	HeaderProducer = "Velo-Producer"
	HeaderSequence = "Velo-Sequence"
)

func (s *Server) push(w http.ResponseWriter, r *http.Request) error {
	f := &flags{r: r}
	sync, whole, durable := f.bool("sync"), f.bool("atomic"), f.bool("durable")
	wait := f.duration("wait", defaultDurable, maxWait)
	producer, first := r.Header.Get(HeaderProducer), uint64(0)
	if text := r.Header.Get(HeaderSequence); text != "" || producer != "" {
		var err error
		first, err = strconv.ParseUint(text, 10, 63)
		if err != nil || producer == "" {
			f.faults = append(f.faults, fmt.Errorf("%s: %s with %s: %q, expected both or none: the name of the "+
				"producer, and the number of the first record", HeaderSequence, text, HeaderProducer, producer))
		}
	}
	if err := f.err(); err != nil {
		return err
	}
	to, engines, err := s.source(r)
	if err != nil {
		return err
	}
	if durable {
		if err := keepState(engines, to); err != nil {
			return err
		}
	}
	q := push.Request{Producer: producer, First: first, Whole: whole}
	a, err := s.take(w, r, to, q)
	if err != nil {
		return err
	}
	if sync {
		for _, e := range engines {
			if err := e.Engine.Sync(r.Context()); err != nil {
				return err
			}
		}
	}
	if !durable {
		return writeJSON(w, http.StatusOK, a)
	}
	is, err := awaitSaved(r.Context(), engines, to, wait)
	if err != nil {
		return err
	}
	a.Durable = &is
	status := http.StatusOK
	if !is {
		status = http.StatusAccepted
	}
	return writeJSON(w, status, a)
}

// take reads the body of a push and pushes its lines. The memory of the body counts until the
// queues have the records, and no longer while sync or durable wait for them.
func (s *Server) take(w http.ResponseWriter, r *http.Request, to *push.Source, q push.Request) (pushAnswer, error) {
	room := held{in: &s.bodies, of: to}
	defer func() { room.giveBack(room.bytes) }() // also if parsing panics
	body, err := room.read(w, r, s.cfg.Limits.BodyBytes)
	if err != nil {
		return pushAnswer{}, err
	}
	lines := bytes.Count(body, []byte{'\n'}) + 1 // or fewer, if lines are blank or records have several
	if err := room.take(int64(lines) * lineBytes); err != nil {
		return pushAnswer{}, err
	}
	q.Lines = make([][]byte, 0, lines)
	numbers, err := split(&q, to, r.Header.Get("Content-Type"), body, make([]int, 0, lines))
	if err != nil {
		return pushAnswer{}, &Error{Status: http.StatusBadRequest, Code: "body", Message: err.Error()}
	}
	result, err := to.Push(r.Context(), q)
	var rejected *push.RejectError
	if errors.As(err, &rejected) {
		e := &Error{Status: http.StatusUnprocessableEntity, Code: "rejected", Message: err.Error()}
		for _, x := range rejected.Result.Rejects {
			e.Faults = append(e.Faults, Fault{x.Reason, &Position{Line: numbers[x.Line-1]}})
		}
		return pushAnswer{}, e
	}
	if err != nil {
		return pushAnswer{}, err
	}
	a := pushAnswer{Taken: result.Taken, Duplicates: result.Duplicates, Rejected: result.Rejected, Next: result.Next}
	for _, x := range result.Rejects {
		a.Rejects = append(a.Rejects, pushReject{numbers[x.Line-1], x.Reason})
	}
	return a, nil
}

func (s *Server) producer(w http.ResponseWriter, r *http.Request) error {
	from, _, err := s.source(r)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]uint64{"next": from.Next(r.PathValue("producer"))})
}

// split appends the lines of a body to q.Lines, and to numbers the line of the body with which each
// of them begins.
func split(q *push.Request, to *push.Source, contentType string, body []byte, numbers []int) ([]int, error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	q.CSV = err == nil && kind == "text/csv"
	if q.CSV {
		return splitCSV(q, to, parameters["header"] != "absent", body, numbers)
	}
	n := 0
	for line := range bytes.Lines(body) {
		n++
		line = bytes.TrimRight(line, "\r\n")
		if len(line) > 0 || q.Producer != "" { // without numbers, blank lines do not count
			q.Lines, numbers = append(q.Lines, line), append(numbers, n)
		}
	}
	return numbers, nil
}

// splitCSV is split of a body of CSV. The header is no record, and has no number.
func splitCSV(q *push.Request, to *push.Source, header bool, body []byte, numbers []int) (_ []int, err error) {
	for r := range push.SplitCSV(body) {
		switch {
		case header:
			header = false
			q.Fields, err = to.Fields(r.Text)
			if err != nil {
				return nil, err
			}
		case len(r.Text) > 0 || q.Producer != "":
			q.Lines, numbers = append(q.Lines, r.Text), append(numbers, r.Line)
		}
	}
	return numbers, nil
}

// keepState refuses to wait for what never comes: generations of a job that keeps no state.
func keepState(engines []Engine, of *push.Source) error {
	for _, e := range engines {
		if e.Source == of.Name() && e.Engine.State().Generation == 0 {
			return &Error{
				Status: http.StatusConflict, Code: "no_state", Message: fmt.Sprintf("%q keeps no state, so nothing is "+
					"ever durable", e.Name), Hint: "without durable=true the records are taken",
			}
		}
	}
	return nil
}

// awaitSaved waits until every query over a source has a generation with everything that was pushed
// to it before the call. It returns false if there is none in time.
func awaitSaved(ctx context.Context, engines []Engine, of *push.Source, wait time.Duration) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	late := func(err error) (bool, error) {
		if errors.Is(err, context.DeadlineExceeded) {
			return false, nil
		}
		return false, err
	}
	ticks := time.NewTicker(durableEvery)
	defer ticks.Stop()
	for _, e := range engines {
		if e.Source != of.Name() {
			continue
		}
		if err := e.Engine.Sync(ctx); err != nil {
			return late(err)
		}
		snap := e.Engine.Snapshot()
		epoch := snap.Epoch()
		_ = snap.Close() // it never fails
		for e.Engine.State().Epoch < epoch {
			select {
			case <-ticks.C:
			case <-ctx.Done(): // also if the engine ends without another generation
				return late(context.Cause(ctx))
			}
		}
	}
	return true, nil
}
