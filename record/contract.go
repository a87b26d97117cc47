package record

import (
	"context"
	"errors"
)

// A Reader brings the records of one source. Package readers has some; a service writes its own.
//
// Read fills b, which arrives empty, and may block; the engine calls it on a goroutine of its own, one call at a time.
// It returns as soon as it has some rows and waiting for more would hold them up; no rows and no error is allowed.
// It must return when ctx is done. The rows in b count whatever the error:
//
//   - nil: more may come;
//   - io.EOF: the source has ended;
//   - an error that wraps ErrTransient (see Transient): the engine waits, 100 ms at first and doubling, and calls again;
//   - any other error: the source has failed and ends. The other sources go on, the job ends with the error.
//
// Rows that were read before a panic in the same call are dropped, and the source ends as failed.
//
// Close is called once, after the last Read has returned, whatever the reason.
type Reader interface {
	Read(ctx context.Context, b *Batch) error
	Close() error
}

// A Poller is a Reader that can be asked without blocking. The engine then calls Poll, and never Read, on the pinned
// thread that routes the rows, which saves a hand-over between threads for each batch. Poll must return within
// microseconds; no rows and a nil error say that there is nothing now.
type Poller interface {
	Reader
	Poll(b *Batch) error
}

// A Cutter is a Poller that is fed by goroutines of the service, which want to read what they have sent: everything that was handed over
// before an epoch was raised belongs to it. The engine calls Cut between two Polls, again and again with the same epoch, until it says
// true: all that was there at the first of these calls has been given out by Poll. The numbers rise, and some may be left out.
//
// End says that nothing more shall be handed over: who tries gets an error from then on. What was handed over before is given
// out by Poll, and then io.EOF. The engine calls it when it is shut down or the reader is removed; it may be called by any
// goroutine, any number of times.
type Cutter interface {
	Poller
	Cut(epoch uint64) (done bool)
	End()
}

// A Notifier is a Poller that can say when it has something: the engine gives it a function to call then. It may be called by any goroutine at
// any time, does nothing where nobody sleeps, and never blocks. A call that comes too early to be seen is no harm: the engine looks
// again within a millisecond or so all the same.
type Notifier interface {
	Poller
	Notify(ring func())
}

// A Resumer is a Reader whose source can be read again from a position.
type Resumer interface {
	Reader
	// AppendPosition appends the position after the last record of the last batch.
	AppendPosition(to []byte) []byte
	// Resume goes on behind position; it is called before the first Read or Poll.
	Resume(position []byte) error
}

// A Liner is a Reader that knows the line of an offset. A reader that would have to count lines all the time leaves
// Reject.Line at 0 and says it when asked: the engine asks for rejected records only, on an ordinary goroutine, which may
// run beside Read or Poll, and not after Close.
type Liner interface {
	Line(offset int64) (int64, error)
}

// A Writer takes results away.
type Writer interface {
	Write(ctx context.Context, b *Batch) error
	Close() error
}

// A Committer is a Writer with transactions: what was written since the last Commit becomes visible as one, or not at
// all. Prepare makes it durable under the number of the epoch; Commit makes it visible and may be repeated after a crash.
type Committer interface {
	Writer
	Prepare(ctx context.Context, epoch uint64) error
	Commit(ctx context.Context, epoch uint64) error
}

// ErrTransient marks an error that is worth another try. Test with errors.Is, make with Transient.
var ErrTransient = errors.New("transient error")

// Transient wraps err so that the engine backs off and calls the reader again, instead of ending the source.
func Transient(err error) error { return transient{err} }

type transient struct{ err error }

func (t transient) Error() string   { return t.err.Error() }
func (t transient) Unwrap() []error { return []error{t.err, ErrTransient} }
