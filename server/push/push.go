// Package push has sources whose records are pushed: a client sends lines of JSON, or records of
// CSV, and learns which of them are records.
//
// A Source is read by one Reader for each query over it. Push parses the lines on the goroutine of
// the caller, and waits while the queries have not taken what was pushed before (QueueBytes).
//
// # Exactly once
//
// A client that can send its records again numbers them, from 1, and gives itself a name: the
// producer. Records with a number that has been taken already are left out. A number that is too
// great is refused (GapError), with the number that is expected. When the engine keeps its state,
// the numbers are saved together with the groups; after a restart the expected number is the one
// after the last that was saved, and the client goes on from there. A query that begins anew begins
// with what comes: it takes the first number that it sees. Without numbers, what was pushed after
// the last checkpoint is lost if the process is killed.
package push

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Limits.
const (
	// QueueBytes bounds the records that wait for one query, or are being parsed: their text, or
	// valueBytes for each value if that is more, because short lines of a source with many columns
	// take more memory than their text.
	QueueBytes = 8 << 20
	// valueBytes is about what a value takes in a batch.
	valueBytes = 16
	// MaxProducers bounds the names of producers of a source.
	MaxProducers = 1 << 16
	// MaxName bounds the name of a producer.
	MaxName = 256
	// MaxRejects bounds the rejects that Push returns.
	MaxRejects = 100
)

// These errors are found with errors.Is.
var (
	// ErrNotRead says that no query reads the source now.
	ErrNotRead = errors.New("push: no query reads the source now")
	// ErrName says that the name of a producer cannot be one.
	ErrName = errors.New("push: the name of a producer has 1 to 256 bytes and no byte 0")
)

// A GapError says that records are missing before those that were pushed. Nothing was taken.
type GapError struct {
	Producer      string
	Given, Wanted uint64
}

// Error describes it.
func (e *GapError) Error() string {
	return fmt.Sprintf("push: producer %q: the first record has the number %d, expected at most %d: records are "+
		"missing", e.Producer, e.Given, e.Wanted)
}

// A Reject is a line that is no record.
type Reject struct {
	Line   int // from 1, of those that were pushed
	Reason string
}

// A Result says what has become of lines.
type Result struct {
	Taken      int // records
	Duplicates int // lines that had been taken before
	Rejected   int
	Rejects    []Reject // the first MaxRejects
	// Next is the number of the producer's next record; 0 without a producer.
	Next uint64
}

// A Source has records that are pushed.
type Source struct {
	name   string
	schema *record.Schema
	cfg    readers.NDJSONConfig

	mu      sync.Mutex
	readers []*Reader
	// parsing is how many bytes of QueueBytes pushes have that are being parsed. Each queue has
	// room for them.
	parsing int
	// moved is closed when a reader has taken something, or has ended, or a push has failed.
	moved chan struct{}
}

// New makes a source.
func New(name string, schema *record.Schema, cfg readers.NDJSONConfig) (*Source, error) {
	cfg.Schema = schema
	if _, err := readers.NewNDJSONMessages(cfg); err != nil {
		return nil, err
	}
	return &Source{name: name, schema: schema, cfg: cfg, moved: make(chan struct{})}, nil
}

// Name is the name of the source.
func (s *Source) Name() string { return s.name }

// Reader makes a reader, for one engine.
func (s *Source) Reader() *Reader {
	r := &Reader{source: s, anew: true, next: map[string]uint64{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers = append(s.readers, r)
	return r
}

// Next is the number that a producer's next record should have.
func (s *Source) Next(producer string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.expected(producer), 1)
}

// expected is the least number that a reader lacks; 0 if every reader takes any. s.mu is held.
func (s *Source) expected(producer string) (least uint64) {
	for _, r := range s.open() {
		n := r.next[producer]
		if n == 0 && r.anew {
			continue
		}
		n = max(n, 1)
		if least == 0 || n < least {
			least = n
		}
	}
	return least
}

// open are the readers that take records. s.mu is held.
func (s *Source) open() (all []*Reader) {
	for _, r := range s.readers {
		if !r.ended {
			all = append(all, r)
		}
	}
	return all
}

// A Request is what is pushed.
type Request struct {
	// Producer is the name of who pushes; "" has no numbers. First is the number of the first line.
	Producer string
	First    uint64
	// Lines are objects of JSON, or with CSV records of that. Fields has the column of each field
	// of those; nil is their order. See SplitCSV and Source.Fields.
	Lines  [][]byte
	CSV    bool
	Fields []int
	// Whole takes nothing if a line is no record.
	Whole bool
}

// A RejectError says that nothing was taken because of lines that are no records.
type RejectError struct{ Result Result }

// Error describes it.
func (e *RejectError) Error() string {
	return fmt.Sprintf("push: %d lines are no records, so nothing was taken: line %d: %s", e.Result.Rejected,
		e.Result.Rejects[0].Line, e.Result.Rejects[0].Reason)
}

// Push pushes records. When it returns nil, every query over the source gets them. After any error
// no query gets any of them.
func (s *Source) Push(ctx context.Context, q Request) (Result, error) {
	producer, first, lines := q.Producer, q.First, q.Lines
	if len(producer) > MaxName || strings.IndexByte(producer, 0) >= 0 || producer == "" && first != 0 {
		return Result{}, ErrName
	}
	if producer != "" && first == 0 {
		return Result{}, fmt.Errorf("push: producer %q: numbers begin at 1", producer)
	}
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	size = max(size, len(lines)*s.schema.Len()*valueBytes)
	skip, err := s.reserve(ctx, &q, size)
	if err != nil {
		return Result{}, err
	}
	released := false
	defer func() {
		if !released { // parse has panicked
			s.mu.Lock()
			s.parsing -= size
			s.wakeAll()
			s.mu.Unlock()
		}
	}()
	// Most of the time all readers lack the same lines, which are parsed while nothing is locked.
	parsed, result, err := s.parse(&q, skip)
	if err == nil && q.Whole && result.Rejected > 0 {
		err = &RejectError{result}
	}
	s.mu.Lock()
	s.parsing -= size
	released = true
	open := s.open()
	if err == nil {
		err = s.takes(open, &q)
	}
	if err == nil {
		result, err = s.enqueue(open, &q, size, skip, parsed, result)
	}
	s.wakeAll() // others may have the room that duplicates did not need
	s.mu.Unlock()
	if err != nil {
		return Result{}, err
	}
	for _, r := range open {
		r.ring()
	}
	return result, nil
}

// reserve waits until the queues have room for the lines, and takes it before they are parsed, as
// batches take more memory than their text. It returns how many of the lines have been taken by all
// readers before.
func (s *Source) reserve(ctx context.Context, q *Request, size int) (skip int, err error) {
	for {
		s.mu.Lock()
		open, wait := s.open(), s.moved
		err := s.takes(open, q)
		full := slices.ContainsFunc(open, func(r *Reader) bool {
			has := r.queued + s.parsing
			return has > 0 && has+size > QueueBytes
		})
		if err == nil && !full {
			s.parsing += size
			skip = s.duplicates(q.Producer, q.First, len(q.Lines))
		}
		s.mu.Unlock()
		if err != nil || !full {
			return skip, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// takes says why the open readers do not take the lines. s.mu is held.
func (s *Source) takes(open []*Reader, q *Request) error {
	if len(open) == 0 {
		return ErrNotRead
	}
	if q.Producer == "" {
		return nil
	}
	if wanted := s.expected(q.Producer); wanted > 0 && q.First > wanted {
		return &GapError{q.Producer, q.First, wanted}
	}
	if len(open[0].next) >= MaxProducers && open[0].next[q.Producer] == 0 {
		return fmt.Errorf("push: source %q has had %d producers, no more are allowed", s.name, MaxProducers)
	}
	return nil
}

// duplicates is how many of n lines have been taken by all readers. s.mu is held.
func (s *Source) duplicates(producer string, first uint64, n int) int {
	if producer == "" {
		return 0
	}
	if wanted := s.expected(producer); wanted > first {
		return int(min(wanted-first, uint64(n)))
	}
	return 0
}

// enqueue gives the lines to all readers. s.mu is held, and there is room.
func (s *Source) enqueue(
	open []*Reader, q *Request, size, skip int, parsed []part, result Result,
) (Result, error) {
	producer, first, lines := q.Producer, q.First, q.Lines
	type share struct {
		of     *Reader
		parsed []part
	}
	var shares []share
	for _, r := range open {
		own := share{r, parsed}
		lacks := 0
		if had := r.next[producer]; producer != "" && had > first {
			lacks = int(min(had-first, uint64(len(lines))))
		}
		if lacks != skip { // it was restored at another place than others
			var err error
			own.parsed, _, err = s.parse(q, lacks)
			if err != nil {
				return Result{}, err
			}
		}
		shares = append(shares, own)
	}
	for _, own := range shares {
		r := own.of
		if producer != "" {
			r.next[producer] = max(r.next[producer], first+uint64(len(lines)))
		}
		for i, p := range own.parsed {
			it := item{batch: p.batch, producer: producer, next: max(first+uint64(p.end), 1)}
			if i == len(own.parsed)-1 {
				it.size = size
			}
			r.queue = append(r.queue, it)
			r.pushed++
		}
		if len(own.parsed) > 0 {
			r.queued += size
		}
	}
	if producer != "" {
		result.Next = s.expected(producer)
	}
	return result, nil
}

// parse makes batches of lines, and leaves out the first skip of them.
func (s *Source) parse(q *Request, skip int) (all []part, result Result, err error) {
	m, err := s.messages(q)
	if err != nil {
		return nil, result, err
	}
	result.Duplicates = skip
	for _, l := range q.Lines[skip:] {
		m.Add(l)
	}
	for at := skip; m.Len() > 0; {
		b := record.NewBatch(s.schema, min(m.Len(), record.DefaultRows))
		n := m.Parse(b)
		for _, r := range b.Rejects() {
			result.Rejected++
			if len(result.Rejects) < MaxRejects {
				result.Rejects = append(result.Rejects, Reject{at + int(r.Offset) + 1, r.Reason.Error()})
			}
		}
		at += n
		result.Taken += b.Len()
		all = append(all, part{b, at})
	}
	return all, result, nil
}

// A part is a batch of the lines of a push, up to one of them.
type part struct {
	batch *record.Batch
	end   int
}

// wakeAll says that a reader has moved. s.mu is held.
func (s *Source) wakeAll() {
	close(s.moved)
	s.moved = make(chan struct{})
}

// item is a batch that waits for a reader.
type item struct {
	batch *record.Batch
	// size is what the push takes of QueueBytes; the last batch of a push has it.
	size int
	// next is the number after the last record of the batch.
	producer string
	next     uint64
}

// A Reader reads a source for one engine. It is a record.Drainer, a record.Announcer and a
// record.Resumer.
type Reader struct {
	source *Source

	// All of it is guarded by source.mu.
	queue  []item
	queued int // bytes
	ended  bool
	// anew says that the query has begun with an empty state.
	anew bool
	// next has the number that is expected of each producer.
	next map[string]uint64
	// pushed and given count batches, mark is pushed when the epoch was first drained.
	pushed, given, mark, epoch uint64
	wake                       func()
}

// splitOf is the name of the split of a producer.
func (s *Source) splitOf(producer string) string { return "push " + s.name + " " + producer }

// String names the reader.
func (r *Reader) String() string { return "push " + r.source.name }

// Notify keeps the function that wakes the engine.
func (r *Reader) Notify(wake func()) {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	r.wake = wake
}

// Lag says how many records have been pushed that the engine has not taken.
func (r *Reader) Lag() []record.Lag {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	waits := 0
	for _, it := range r.queue {
		waits += it.batch.Len() + len(it.batch.Rejects())
	}
	return []record.Lag{{Split: r.String(), Records: uint64(waits)}}
}

// AnnouncesAll says that the engine is woken for each push, and for the end.
func (r *Reader) AnnouncesAll() bool { return true }

func (r *Reader) ring() {
	r.source.mu.Lock()
	wake := r.wake
	r.source.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// ResumeFrom takes up the numbers of the producers.
func (r *Reader) ResumeFrom(saved []record.Position) (resumed []string, now []record.Position, err error) {
	s := r.source
	s.mu.Lock()
	defer s.mu.Unlock()
	// The producer without a name marks a state that was saved: it says that there was nobody else.
	r.anew = true
	for _, p := range saved {
		producer, mine := strings.CutPrefix(p.Split, s.splitOf(""))
		if !mine {
			continue
		}
		if producer == "" {
			r.anew = false
			resumed = append(resumed, p.Split)
			continue
		}
		if len(p.Offset) != 8 {
			return nil, nil, fmt.Errorf("push: the position of producer %q has %d bytes, expected 8", producer,
				len(p.Offset))
		}
		r.next[producer] = max(r.next[producer], binary.LittleEndian.Uint64(p.Offset))
		resumed, now = append(resumed, p.Split), append(now, p)
	}
	if r.anew {
		for _, other := range s.readers {
			for producer, next := range other.next {
				r.next[producer] = max(r.next[producer], next)
			}
		}
		for producer, next := range r.next {
			now = append(now, record.Position{
				Split: s.splitOf(producer), Offset: binary.LittleEndian.AppendUint64(nil, next),
			})
		}
	}
	return resumed, append(now, record.Position{Split: s.splitOf(""), Offset: []byte{0}}), nil
}

// Poll lends the next batch.
func (r *Reader) Poll(b *record.Batch) error {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	if len(r.queue) == 0 {
		if r.ended {
			return io.EOF
		}
		return nil
	}
	it := r.queue[0]
	r.queue[0] = item{}
	r.queue = r.queue[1:]
	for i := range it.batch.Schema().Len() {
		*b.Column(i) = *it.batch.Column(i)
	}
	b.SetLen(it.batch.Len())
	for _, reject := range it.batch.Rejects() {
		b.Reject(reject)
	}
	if it.producer != "" {
		var offset [8]byte
		binary.LittleEndian.PutUint64(offset[:], it.next)
		b.SetPosition(r.source.splitOf(it.producer), offset[:])
	}
	r.given++
	if it.size > 0 {
		r.queued -= it.size
		r.source.wakeAll()
	}
	return nil
}

// Read is Poll: the engine never calls it.
func (r *Reader) Read(_ context.Context, b *record.Batch) error { return r.Poll(b) }

// Drained says whether everything has been given out that was pushed before the epoch was raised.
func (r *Reader) Drained(epoch uint64) bool {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	if epoch != r.epoch {
		r.epoch, r.mark = epoch, r.pushed
	}
	return r.given >= r.mark
}

// End has the reader take nothing more. What it has is given out.
func (r *Reader) End() {
	r.source.mu.Lock()
	r.ended = true
	r.source.wakeAll()
	r.source.mu.Unlock()
	r.ring()
}

// Close ends the reader, and drops what it has.
func (r *Reader) Close() error {
	r.source.mu.Lock()
	defer r.source.mu.Unlock()
	r.ended, r.queue, r.queued = true, nil, 0
	r.source.readers = slices.DeleteFunc(r.source.readers, func(o *Reader) bool { return o == r })
	r.source.wakeAll()
	return nil
}
