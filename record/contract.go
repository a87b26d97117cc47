package record

import (
	"context"
	"errors"
	"iter"
)

// A Reader brings the records of one source. Package readers has some; a service writes its own.
//
// Read fills b, which arrives empty, and may block. The engine calls it on a goroutine of its own,
// one call at a time. Read returns as soon as it has some rows and waiting for more would delay
// them. It may return no rows and no error. It must return when ctx is done. The rows in b count
// whatever the error:
//
//   - nil: more may come;
//   - io.EOF: the source has ended;
//   - an error that wraps ErrTransient (see Transient): the engine waits, 100 ms at first and
//     doubling, and calls again;
//   - any other error: the source has failed and ends. The other sources go on, the job ends with
//     the error.
//
// If Read panics, rows that were read in the same call are dropped, and the source ends as failed.
//
// Close is called once, after the last Read has returned, whatever the reason.
type Reader interface {
	Read(ctx context.Context, b *Batch) error
	Close() error
}

// A Poller is a Reader that can be asked without blocking. The engine then calls Poll, and never
// Read, on the pinned thread that routes the rows. That saves a hand-over between threads for each
// batch. Poll must return within microseconds; no rows and a nil error mean that there is nothing
// now.
type Poller interface {
	Reader
	Poll(b *Batch) error
}

// A Drainer is a Poller that is fed by goroutines of the service which want to read what they have
// sent. Everything that was handed over before an epoch was raised belongs to that epoch. The
// engine calls Drained between two Polls, again and again with the same epoch, until it returns
// true: everything that was there at the first of these calls has then been given out by Poll. The
// epochs increase, and some may be skipped.
//
// End says that nothing more shall be handed over: anyone who tries gets an error from then on.
// What was handed over before is given out by Poll, followed by io.EOF. The engine calls End when
// it is shut down or the reader is removed. Any goroutine may call it, any number of times.
type Drainer interface {
	Poller
	Drained(epoch uint64) (done bool)
	End()
}

// A Notifier is a Poller that can say when it has something: the engine gives it a function to call
// then, after what it has can be polled. Any goroutine may call the function at any time. It never
// blocks, and does nothing if the engine is not asleep. No call is needed after a Poll that had
// something and before one that has nothing. The engine looks again within 50 ms anyway.
type Notifier interface {
	Poller
	Notify(wake func())
}

// An Announcer is a Notifier that may call the function for all that it has, and for its end. Then
// the engine looks again within half a second only, so that engines that nobody feeds take little.
type Announcer interface {
	Notifier
	// AnnouncesAll says whether the reader does that now. The engine asks after Polls that had
	// nothing, on the same thread. A reader calls the function when that becomes false.
	AnnouncesAll() bool
}

// A Position says how far a split of a source has been read.
type Position struct {
	// Split names the split. A split is a part of a source that is read in order by one reader at a
	// time, or in parts by several: a file, a lane of a Feed, a partition of Kafka. No two sources
	// of an engine may have splits of the same name.
	Split string

	// Offset says how far, in whatever form the reader likes. It is at most MaxOffsetBytes long.
	Offset []byte
}

// MaxOffsetBytes bounds Position.Offset.
const MaxOffsetBytes = 64 << 10

// A Resumer is a Reader whose source can be read again from a position, so that an engine which
// keeps its state (engine.Config.State) can go on after a restart without losing a record and
// without counting one twice.
//
// The engine calls ResumeFrom once, before the first Read or Poll, also if there is nothing to
// resume. Saved are the positions of all splits of all readers as they were saved. There may be
// several of one split if several readers shared it. There may be other readers now, and more or
// fewer of them: each takes up the splits that are its own, or its part of them. ResumeFrom returns
// the names of the splits that it goes on with, and where each split that it reads stands now,
// including those that begin at their beginning. The error says that a split cannot be gone on
// with: what was found, what was expected, and what to do.
//
// From then on the reader says with Batch.SetPosition, in each batch, where the splits stand that
// the batch has records of. What it says last is saved together with the groups that have exactly
// the records before that position.
type Resumer interface {
	Reader
	ResumeFrom(saved []Position) (resumed []string, now []Position, err error)
}

// A Durable is a Resumer that wants to know what has been saved: the sender of its records may
// forget those before the positions. The engine calls it after each save, with the positions of
// this reader, on a goroutine that does nothing else. The positions are valid during the call.
type Durable interface {
	Resumer
	Durable(saved []Position)
}

// A Projector is a Reader that can leave out columns that nobody reads. The engine calls Columns
// once, before the first Read or Poll, with an entry for each column of the schema that says
// whether the plan reads it. It does not call Columns if the configuration has OnLate or a
// RouteFunc, which may look at any column. The reader need not convert the other columns; in its
// batches they are NULL, or zero or the empty text if they are not nullable. A reader that is not
// told reads all columns. So a reader of one's own that embeds another, and looks at columns of its
// batches, hides this method with one that does nothing.
type Projector interface {
	Reader
	Columns(read []bool)
}

// A Widener is a Projector that can bring more columns later, because it still has them. A plan
// that is added while the engine runs may read columns that no plan has read before. The engine
// calls Widen between two Polls, with what Columns would be called with now. Each batch of a later
// Poll has those columns. Plans that are added are refused if they read what a Projector that is no
// Widener was told not to bring.
type Widener interface {
	Poller
	Projector
	Widen(read []bool)
}

// A Liner is a Reader that knows the line of an offset. A reader that would have to count lines all
// the time leaves Reject.Line at 0 and counts when asked. The engine asks only for rejected
// records, on an ordinary goroutine, which may run at the same time as Read or Poll, but not after
// Close.
type Liner interface {
	Line(offset int64) (int64, error)
}

// A LineCounter is a Reader of one source, from its beginning, that counts lines while it reads, so
// that its rows can be named when it is closed.
type LineCounter interface {
	// CountLines has the reader count. It is called before the first Read.
	CountLines()
	// Lines returns the line with which the first record of the last batch begins, and the line
	// after the last record. first is 0 if lines are not counted. If there are as many lines as
	// rows, each row is a line.
	Lines() (first, next int64)
}

// A Lag is what waits to be read of one split.
type Lag struct {
	Split   string // as in SetPosition, such as a partition of a topic
	Records uint64 // how many records wait; 0 if the source counts bytes
	Bytes   uint64 // how many bytes wait, if it counts those
	InBytes bool   // the source counts bytes
	// Unknown says that the owner of the split, such as a broker, has not answered yet. Then
	// Records and Bytes are 0.
	Unknown bool
}

// A Lagging is a Reader that knows how much waits to be read. The engine asks when its Stats are
// read, on any goroutine, at the same time as Read or Poll, and also after Close. Lag must not
// block: it returns what the reader has last heard of. It names all splits that the reader reads.
// As long as one of them is Unknown, the engine does not take a reader that has nothing to give for
// one that has caught up.
type Lagging interface {
	Lag() []Lag
}

// A Writer takes results away.
type Writer interface {
	Write(ctx context.Context, b *Batch) error
	Close() error
}

// A Committer is a Writer that goes on after a restart where it stopped, together with an engine
// that keeps its state. So each window is written exactly once. It is for plans with windows: a
// window is identified by its end, in nanoseconds since 1970.
type Committer interface {
	Writer

	// Recover is called once, before the first Write. Job names the state; saved is what Save
	// returned for the generation that the engine goes on with, and nil if there is none. Recover
	// takes back what was written after the windows that it has for good, and returns the end of
	// the last of those. The engine writes the windows after that. The error says what does not fit
	// together: the engine does not start then.
	Recover(ctx context.Context, job string, saved []byte) (window int64, err error)

	// EndWindow says that the rows of the window with this end have all been written. It is called
	// like Write, and may be repeated after a transient error. The end math.MaxInt64 says that the
	// input has come to its end.
	EndWindow(ctx context.Context, window int64) error

	// Save makes the windows that have ended durable and returns what Recover needs to find them.
	// Another goroutine calls it, also while Write runs.
	Save(ctx context.Context) ([]byte, error)
}

// A Transactional is a Writer that takes results in numbered transactions, together with an engine
// that keeps its state. So each row is written exactly once also if it belongs to no window that
// could tell it apart: changes, records that pass through, and windows that a record which is read
// again need not come into again. The engine keeps the rows until the state that they belong to is
// durable, and then gives them to the writer. It does not call Write.
type Transactional interface {
	Writer

	// RecoverOutput is called once, before the first Commit. Job names the state. It takes back
	// what was written after the last transaction that is there for good, and returns the number of
	// that one; 0 if there is none of this job. It also makes sure that no process of before still
	// writes, as far as it can. The error says what does not fit together: the engine does not
	// start then.
	RecoverOutput(ctx context.Context, job string) (number uint64, err error)

	// Commit writes the rows of a transaction. When it returns nil, the rows and the number are
	// durable; if the process ends before that, either both are or none is. Numbers increase. After
	// a transient error it is called again with the same number and the same rows; if the number is
	// there by then, nothing is written. Complete says that the input has come to its end, so that
	// nothing comes after it; if there are no rows, there is a batch without rows then, which has
	// the columns. A batch is valid until the next one.
	Commit(ctx context.Context, number uint64, rows iter.Seq[*Batch], complete bool) error
}

// ErrTransient marks an error that is worth another try. Test for it with errors.Is, make it with
// Transient.
var ErrTransient = errors.New("transient error")

// Transient wraps err so that the engine backs off and calls the reader again, instead of ending
// the source.
func Transient(err error) error { return transient{err} }

type transient struct{ err error }

func (t transient) Error() string   { return t.err.Error() }
func (t transient) Unwrap() []error { return []error{t.err, ErrTransient} }
