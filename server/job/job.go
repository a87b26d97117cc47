package job

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Runner compiles jobs.
type Runner interface {
	// Compile compiles a text and opens nothing. The error has all faults of the text.
	Compile(name, text string, o Options) (Program, error)
}

// Options of a job are what its text does not say.
type Options struct {
	// Memory bounds the groups of all queries of the job together, in bytes; 0 is the Runner's
	// default.
	Memory int64 `json:"memory,omitempty"`

	// Drop gives up the groups of queries that the state has and the text has no more. It belongs
	// to the text: the next one that is put says it again, or not.
	Drop bool `json:"drop,omitempty"`
}

// A Program is a compiled job.
type Program interface {
	// Objects are what the text defines.
	Objects() []Object

	// Memory is how much of the budget the job takes.
	Memory() int64

	// Lost says what of the state of another program this one cannot go on with. It is empty if it
	// can go on with all of it.
	Lost(before Program) Loss

	// Start starts the job with the state in a folder, which is made if it is not there. An error
	// that errors.Is ErrPermanent is not tried again. Say tells what happens while the job runs; it
	// may be called by any goroutine.
	Start(ctx context.Context, folder string, paused bool, say func(text string)) (Running, error)
}

// A Running job has been started.
type Running interface {
	// Done is closed when the job has ended by itself, and Err says why. A nil Err says that its
	// input has come to its end.
	Done() <-chan struct{}
	Err() error

	Pause(ctx context.Context) error
	Resume(ctx context.Context) error

	// Checkpoint saves the state.
	Checkpoint(ctx context.Context) error

	// Stop ends the job in order and saves its state. If ctx is done first, the job ends at once.
	// It is also called after Done, to release what the job has.
	Stop(ctx context.Context) error
}

// ErrPermanent marks an error of Program.Start that another try does not mend.
var ErrPermanent = errors.New("it is not tried again")

// An Object is what the text of a job defines.
type Object struct {
	Kind      string `json:"kind"` // source, table, sink or view
	Name      string `json:"name"`
	Connector string `json:"connector,omitempty"`
	// Text is a list of columns, or a query.
	Text string `json:"text,omitempty"`
}

// The kinds of objects.
const (
	KindSource = "source"
	KindTable  = "table"
	KindSink   = "sink"
	KindView   = "view"
)

// A State is where a job is.
type State string

// The states.
const (
	Stopped    State = "stopped"
	Starting   State = "starting"
	Active     State = "running"
	Paused     State = "paused"
	Stopping   State = "stopping"
	Finished   State = "finished" // its input has come to its end
	Failed     State = "failed"
	BackingOff State = "backing off" // it has failed, and is started again later
	Replacing  State = "replacing"
)

// Desired is what a job should do.
type Desired string

// What a job should do.
const (
	ShouldRun   Desired = "running"
	ShouldPause Desired = "paused"
	ShouldStop  Desired = "stopped"
	shouldGo    Desired = "deleted" // it is being deleted
)

// Status describes a job.
type Status struct {
	Name    string    `json:"name"`
	State   State     `json:"state"`
	Desired Desired   `json:"desired"`
	Since   time.Time `json:"since"` // of the state
	// Cause says why the job is in the state.
	Cause string `json:"cause,omitempty"`
	// Failures are how many failures there have been in a row.
	Failures int `json:"failures,omitempty"`
	// Restarts are how many times it has been started again after a failure, since the process
	// began.
	Restarts uint64 `json:"restarts,omitempty"`
	// Next is when a job that backs off is started again.
	Next    *time.Time `json:"next,omitempty"`
	Objects []Object   `json:"objects,omitempty"`
	Memory  int64      `json:"memory,omitempty"`
	// Generation is one more each time that the job has begun anew.
	Generation int `json:"generation"`
	// Replacement is what runs beside the job and takes its place when it has caught up; nil if
	// there is none.
	Replacement *Beside `json:"replacement,omitempty"`
}

// These errors are found with errors.Is.
var (
	ErrNoJob  = errors.New("there is no such job")
	ErrName   = errors.New("expected a name of 1 to 63 small letters, digits, _ and -, and a letter first")
	ErrClosed = errors.New("the server is ending")
	// ErrCatalog says that the catalog cannot be written, so nothing was changed.
	ErrCatalog = errors.New("the catalog cannot be written")
	ErrFailed  = errors.New("it does not run")
	ErrState   = errors.New("the job is in another state")
	ErrMemory  = errors.New("the memory of the server is not enough")
)

// A Loss is what a program cannot go on with of the state of another.
type Loss struct {
	// Changed says in words which queries have changed so that their groups do not fit them.
	Changed []string
	// Gone are the names of queries that the program has no more.
	Gone []string
}

// A LossError says what replacing a job would lose. Nothing has been done.
type LossError struct {
	Job string
	Loss
}

// Lost says in words what would be lost, one line for each query.
func (e *LossError) Lost() []string {
	lost := slices.Clone(e.Changed)
	for _, name := range e.Gone {
		lost = append(lost, name+": the text has no query of that name, so its groups would be given up")
	}
	return lost
}

// Choice says what can be done, in the words of the API.
func (e *LossError) Choice() string {
	if len(e.Changed) == 0 {
		return "drop=true gives up what is gone, and the other queries go on"
	}
	return "fresh=true begins anew, and loses it; side-by-side=true begins anew beside the old job, which goes on " +
		"until the new one has caught up"
}

// Error says what would be lost, and what the choice is.
func (e *LossError) Error() string {
	return fmt.Sprintf("job %q cannot go on with its state: %s; nothing was changed. The choice: %s", e.Job,
		strings.Join(e.Lost(), "; "), e.Choice())
}

var nameOK = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// checkName checks the name of a job.
func checkName(name string) error {
	if !nameOK.MatchString(name) || strings.HasSuffix(name, "-") {
		return fmt.Errorf("job: %q: %w", name, ErrName)
	}
	return nil
}

// A Policy says when a job that has failed is started again.
type Policy struct {
	Min, Max time.Duration // the first wait and the longest
	Most     int           // failures within Within, after which it stays failed
	Within   time.Duration
}

// DefaultPolicy is the policy of a Config that has none.
var DefaultPolicy = Policy{Min: time.Second, Max: time.Minute, Most: 10, Within: 10 * time.Minute}

// delay is the wait after a number of failures in a row.
func (p Policy) delay(failures int) time.Duration {
	d := p.Min
	for i := 1; i < failures && d < p.Max; i++ {
		d *= 2
	}
	return min(d, p.Max)
}

// failures are the failures of one job or replacement that count for a Policy.
type failures struct {
	times []time.Time // within the policy's time
	row   int         // how many there have been one after the other
}

// add adds a failure. It returns how long to wait before it is tried again; again is false if it is
// not, because there have been too many.
func (f *failures) add(p Policy) (delay time.Duration, again bool) {
	now := time.Now()
	if f.row > 0 && len(f.times) > 0 && now.Sub(f.times[len(f.times)-1]) > p.Within {
		*f = failures{}
	}
	f.row++
	f.times = append(f.times, now)
	for len(f.times) > 0 && now.Sub(f.times[0]) > p.Within {
		f.times = f.times[1:]
	}
	return p.delay(f.row), len(f.times) < p.Most
}
