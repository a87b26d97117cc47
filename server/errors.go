package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"

	"github.com/velo-engine/velo/engine"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/server/job"
	"github.com/velo-engine/velo/server/push"
	"github.com/velo-engine/velo/view"
)

// An Error is the one shape of errors in answers, within {"error": ...}.
type Error struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
	// Position is the place of the first fault of a text.
	Position *Position `json:"position,omitempty"`
	Hint     string    `json:"hint,omitempty"`
	// Faults are all faults of a text, or what would be lost.
	Faults []Fault `json:"faults,omitempty"`
	// Next is the number of a producer's record that is expected.
	Next uint64 `json:"next,omitempty"`
}

// A Position is a place in a text. Line and column begin at 1, the offset is in bytes.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Offset int `json:"offset"`
}

// A Fault is one of several.
type Fault struct {
	Message  string    `json:"message"`
	Position *Position `json:"position,omitempty"`
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

var errEnding = &Error{Status: http.StatusServiceUnavailable, Code: "ending", Message: "the server is ending"}

// faultsOf are the faults of a text.
func faultsOf(err error) (all []Fault) {
	for _, f := range query.Faults(err) {
		one := Fault{Message: f.Message}
		if f.Line > 0 {
			one.Position = &Position{f.Line, f.Column, f.Offset}
		}
		all = append(all, one)
	}
	return all
}

// errorOf makes an Error of any error.
func errorOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	is := func(status int, code, hint string) *Error {
		return &Error{Status: status, Code: code, Message: err.Error(), Hint: hint}
	}
	var loss *job.LossError
	var gap *push.GapError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &loss):
		e = is(http.StatusConflict, "state_lost", loss.Choice())
		for _, l := range loss.Lost() {
			e.Faults = append(e.Faults, Fault{Message: l})
		}
		return e
	case errors.As(err, &gap):
		e = is(http.StatusConflict, "gap", "go on with the record that is expected")
		e.Next = gap.Wanted
		return e
	case errors.As(err, &large):
		return is(http.StatusRequestEntityTooLarge, "too_large", "")
	}
	for _, known := range errorTable {
		if errors.Is(err, known.is) {
			return is(known.status, known.code, known.hint)
		}
	}
	faults := faultsOf(err)
	ofText := strings.HasPrefix(err.Error(), "query: ")
	if len(faults) > 0 && (faults[0].Position != nil || ofText) {
		return &Error{
			Status: http.StatusBadRequest, Code: "faults", Message: faults[0].Message, Position: faults[0].Position,
			Faults: faults,
		}
	}
	return is(http.StatusInternalServerError, "internal", "")
}

// errorTable has what other packages say.
var errorTable = []struct {
	is         error
	status     int
	code, hint string
}{
	{view.ErrNoView, http.StatusNotFound, "no_view", "GET /v1/views lists the views"},
	{view.ErrLease, http.StatusServiceUnavailable, "lease_over", "try again"},
	{view.ErrTooLarge, http.StatusRequestEntityTooLarge, "result_too_large", "WHERE or LIMIT makes it smaller"},
	{view.ErrMemory, http.StatusServiceUnavailable, "query_memory", "WHERE, or fewer groups, needs less"},
	{view.ErrRow, http.StatusBadRequest, "row", ""},
	{job.ErrNoJob, http.StatusNotFound, "no_job", "GET /v1/jobs lists the jobs"},
	{job.ErrName, http.StatusBadRequest, "name", ""},
	{job.ErrCatalog, http.StatusInsufficientStorage, "catalog", "jobs go on; the disk may be full"},
	{job.ErrFailed, http.StatusConflict, "failed", "the events of the job have more"},
	{job.ErrState, http.StatusConflict, "state", ""},
	{job.ErrBeside, http.StatusConflict, "side_by_side", ""},
	{job.ErrMemory, http.StatusConflict, "memory", "another job may be stopped, or given less"},
	{job.ErrClosed, http.StatusServiceUnavailable, "ending", ""},
	{push.ErrNotRead, http.StatusServiceUnavailable, "not_read", "the job of the source does not run"},
	{push.ErrName, http.StatusBadRequest, "producer", ""},
	{engine.ErrEnded, http.StatusServiceUnavailable, "ended", "the job has ended"},
	{engine.ErrNoImage, http.StatusServiceUnavailable, "memory", "the job has no memory for another snapshot"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout", ""},
	{os.ErrDeadlineExceeded, http.StatusRequestTimeout, "timeout", ""},
	{context.Canceled, 499, "cancelled", ""},
}

// fail answers with an error.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := errorOf(err)
	if e.Status == http.StatusInternalServerError {
		s.log(r.Method + " " + r.URL.Path + ": " + err.Error())
	}
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="velo"`)
	}
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	_ = writeJSON(w, e.Status, map[string]*Error{"error": e})
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(b, '\n'))
	return err
}
