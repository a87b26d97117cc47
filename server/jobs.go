package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/connect"
	"github.com/velo-engine/velo/query"
	"github.com/velo-engine/velo/server/job"
)

const (
	// defaultWait is how long a change of a job is waited for; then the answer is 202.
	defaultWait = 10 * time.Second
	// maxWait bounds what ?wait= may ask for.
	maxWait = 5 * time.Minute
	// bodyTime is how long the body of a request may take.
	bodyTime = time.Minute
)

func (s *Server) listJobs(w http.ResponseWriter, _ *http.Request) error {
	taken, budget := s.cfg.Jobs.Memory()
	return writeJSON(w, http.StatusOK, map[string]any{
		"jobs": s.cfg.Jobs.List(), "memory": map[string]int64{"taken": taken, "budget": budget},
		"last_event": s.cfg.Jobs.Events().Last(),
	})
}

// jobAnswer is a job, and what was done.
type jobAnswer struct {
	job.Status
	Text string `json:"text,omitempty"`
	// ReplacementText is the text of the replacement that runs beside it.
	ReplacementText string `json:"replacement_text,omitempty"`
	Done            string `json:"done,omitempty"`
	// Pending says that the change goes on; events later than Event tell its end.
	Pending bool   `json:"pending,omitempty"`
	Event   uint64 `json:"event,omitempty"`
}

func (s *Server) getJob(w http.ResponseWriter, r *http.Request) error {
	status, text, err := s.cfg.Jobs.Get(r.PathValue("job"))
	if err != nil {
		return err
	}
	_, beside, err := s.cfg.Jobs.Candidate(status.Name)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, jobAnswer{Status: status, Text: text, ReplacementText: beside})
}

// readBody reads the body.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(time.Now().Add(bodyTime))
	b, err := io.ReadAll(r.Body)
	_ = c.SetReadDeadline(time.Time{}) // else it would end the waiting for the client's end
	return b, err
}

// flags of a query string.
type flags struct {
	r      *http.Request
	faults []error
}

func (f *flags) bool(name string) bool {
	text := f.r.URL.Query().Get(name)
	if text == "" {
		return f.r.URL.Query().Has(name)
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		f.faults = append(f.faults, fmt.Errorf("%s=%s, expected true or false", name, text))
	}
	return b
}

func (f *flags) int(name string, otherwise, most int64) int64 {
	text := f.r.URL.Query().Get(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		f.faults = append(f.faults, fmt.Errorf("%s=%s, expected a number from 0 to %d", name, text, most))
	}
	return n
}

func (f *flags) duration(name string, otherwise, most time.Duration) time.Duration {
	text := f.r.URL.Query().Get(name)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		f.faults = append(f.faults, fmt.Errorf("%s=%s, expected a time such as 500ms, up to %v", name, text, most))
	}
	return d
}

// err has all faults.
func (f *flags) err() error {
	if len(f.faults) == 0 {
		return nil
	}
	e := &Error{Status: http.StatusBadRequest, Code: "parameter", Message: f.faults[0].Error()}
	for _, fault := range f.faults {
		e.Faults = append(e.Faults, Fault{Message: fault.Error()})
	}
	return e
}

func (s *Server) putJob(w http.ResponseWriter, r *http.Request) error {
	f := &flags{r: r}
	o := job.PutOptions{Fresh: f.bool("fresh"), DryRun: f.bool("dry-run"), Stopped: f.bool("stopped")}
	o.Drop, o.Beside = f.bool("drop"), f.bool("side-by-side")
	wait := f.duration("wait", defaultWait, maxWait)
	if text := r.URL.Query().Get("memory"); text != "" {
		n, err := connect.ByteSize(text)
		if err != nil {
			f.faults = append(f.faults, fmt.Errorf("memory=%w", err))
		}
		o.Memory = n
	}
	if err := f.err(); err != nil {
		return err
	}
	text, err := readBody(w, r)
	if err != nil {
		return err
	}
	name, done := r.PathValue("job"), ""
	return s.change(w, r, name, wait, func(ctx context.Context) error {
		done, err = s.cfg.Jobs.Put(ctx, name, string(text), o)
		return err
	}, func(a *jobAnswer) (status int) {
		a.Done = done
		if done == job.PutCreated && !o.DryRun {
			return http.StatusCreated
		}
		return http.StatusOK
	})
}

// change changes a job, and waits for the end of that as long as the client wants.
func (s *Server) change(w http.ResponseWriter, r *http.Request, name string, wait time.Duration,
	do func(context.Context) error, done func(*jobAnswer) int,
) error {
	event := s.cfg.Jobs.Events().Last()
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	err := do(ctx)
	pending := errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil
	if err != nil && !pending {
		return err
	}
	status, _, err := s.cfg.Jobs.Get(name)
	if err != nil && !errors.Is(err, job.ErrNoJob) {
		return err
	}
	status.Name = name
	a := jobAnswer{Status: status}
	code := done(&a)
	if pending {
		a.Pending, a.Event, code = true, event, http.StatusAccepted
	}
	return writeJSON(w, code, a)
}

func (s *Server) deleteJob(w http.ResponseWriter, r *http.Request) error {
	f := &flags{r: r}
	wait := f.duration("wait", defaultWait, maxWait)
	if err := f.err(); err != nil {
		return err
	}
	name := r.PathValue("job")
	return s.change(w, r, name, wait, func(ctx context.Context) error { return s.cfg.Jobs.Delete(ctx, name) },
		func(a *jobAnswer) int {
			a.Done = "deleted"
			return http.StatusOK
		})
}

// actions are what can be done to a job.
var actions = map[string]func(*job.Manager, context.Context, string) error{
	"start": (*job.Manager).Start, "stop": (*job.Manager).Stop, "pause": (*job.Manager).Pause,
	"resume": (*job.Manager).Resume, "restart": (*job.Manager).Restart, "checkpoint": (*job.Manager).Checkpoint,
	"abort": (*job.Manager).Abort,
}

func (s *Server) actOnJob(w http.ResponseWriter, r *http.Request) error {
	action := r.PathValue("action")
	do := actions[action]
	if do == nil {
		return &Error{
			Status: http.StatusNotFound, Code: "not_found", Message: "nothing is called " + action,
			Hint: "start, stop, pause, resume, restart, checkpoint or abort",
		}
	}
	f := &flags{r: r}
	wait := f.duration("wait", defaultWait, maxWait)
	if err := f.err(); err != nil {
		return err
	}
	name := r.PathValue("job")
	return s.change(w, r, name, wait, func(ctx context.Context) error { return do(s.cfg.Jobs, ctx, name) },
		func(a *jobAnswer) int {
			a.Done = action
			return http.StatusOK
		})
}

func (s *Server) validate(w http.ResponseWriter, r *http.Request) error {
	text, err := readBody(w, r)
	if err != nil {
		return err
	}
	answer := struct {
		OK      bool         `json:"ok"`
		Objects []job.Object `json:"objects,omitempty"`
		Memory  int64        `json:"memory,omitempty"`
		Faults  []Fault      `json:"faults,omitempty"`
	}{}
	if s.cfg.Runner == nil {
		return &Error{Status: http.StatusNotFound, Code: "not_found", Message: "this server compiles no jobs"}
	}
	p, err := s.cfg.Runner.Compile("validated", string(text), job.Options{})
	if err != nil {
		answer.Faults = faultsOf(err)
	} else {
		answer.OK, answer.Objects, answer.Memory = true, p.Objects(), p.Memory()
	}
	return writeJSON(w, http.StatusOK, answer)
}

// inside is a job that runs.
func (s *Server) inside(name string) (Inside, error) {
	r, err := s.cfg.Jobs.Running(name)
	if err != nil {
		return nil, err
	}
	in, ok := r.(Inside)
	if !ok {
		return nil, fmt.Errorf("job %q: %w: it does not run", name, job.ErrState)
	}
	return in, nil
}

func (s *Server) quarantine(w http.ResponseWriter, r *http.Request) error {
	f := &flags{r: r}
	limit := f.int("limit", 100, MaxRejects)
	if err := f.err(); err != nil {
		return err
	}
	in, err := s.inside(r.PathValue("job"))
	if err != nil {
		return err
	}
	newest, all := in.Rejects()
	newest = newest[max(0, len(newest)-int(limit)):]
	return writeJSON(w, http.StatusOK, map[string]any{"rejects": append([]Reject{}, newest...), "all": all})
}

// candidate is the replacement that runs beside a job; nil if there is none.
func (s *Server) candidate(name string) Inside {
	r, _, err := s.cfg.Jobs.Candidate(name)
	if err != nil {
		return nil
	}
	in, _ := r.(Inside)
	return in
}

// Command carries out SHOW, ALTER JOB and DROP JOB, and returns the rows of SHOW. The role is what
// the caller may do.
func (s *Server) Command(
	ctx context.Context, c query.Command, role Role,
) (columns []string, rows [][]string, err error) {
	m := s.cfg.Jobs
	if m == nil {
		return nil, nil, &Error{Status: http.StatusNotFound, Code: "no_jobs", Message: "this server has no jobs"}
	}
	if c.Verb != "show" && role < RoleAdmin {
		return nil, nil, &Error{
			Status: http.StatusForbidden, Code: "forbidden",
			Message: strings.ToUpper(c.Verb) + " JOB is for the role admin",
		}
	}
	switch {
	case c.Verb == "drop":
		return nil, nil, m.Delete(ctx, c.Name)
	case c.Verb == "alter":
		return nil, nil, actions[c.Action](m, ctx, c.Name)
	case c.Object == "jobs":
		for _, j := range m.List() {
			rows = append(rows, []string{
				j.Name, string(j.State), string(j.Desired), j.Since.Format(time.RFC3339), j.Cause,
				j.Replacement.String(),
			})
		}
		return []string{"name", "state", "desired", "since", "cause", "replacement"}, rows, nil
	}
	for _, j := range m.List() {
		for _, o := range j.Objects {
			if o.Kind+"s" == c.Object {
				rows = append(rows, []string{o.Name, j.Name, o.Connector, o.Text})
			}
		}
	}
	return []string{"name", "job", "connector", "text"}, rows, nil
}
