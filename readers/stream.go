package readers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/velo-engine/velo/record"
)

// streamStretches is how many stretches rotate between the goroutine that fills them and the
// reader: one is being filled, one is being parsed, one waits.
const streamStretches = 3

// skipBlocks is how many blocks of a record that is too long are dropped in one call of fill. It is
// low enough that readAhead soon notices when the reader has been closed.
const skipBlocks = 64

// errNewSource is what an input returns from Read if another file follows: what was read before is
// complete.
var errNewSource = errors.New("another file follows")

// lineStream cuts what an io.Reader gives into stretches of whole records. Between two stretches it
// keeps the incomplete record, which never has more bytes than a record may have.
type lineStream struct {
	in             io.Reader
	blockBytes     int
	maxRecordBytes int
	quoting        quoting // if its quote is 0, a newline always ends a record
	head           *headScan

	linePlace
	err    error      // error that Read returned, passed on after the records that came before it
	next   *otherFile // what Read returned instead of an error: the file that is read next
	turned bool       // the last fill went on with another file
}

// linePlace says how far the lines of a file have been read.
type linePlace struct {
	rest   []byte // beginning of a record, left over from the last stretch
	offset int64  // offset of rest in its file
	line   int64  // line number of rest, from 1
	inHead bool   // rest lies before the first record
	// the record at offset is too long and was rejected already: drop the rest of it
	skipping bool
	// state is the quote state after what was dropped of a record that is too long.
	state quoteState
	lay   *layout // layout of the fields of the file; nil if lines have none
	headPlace
}

// otherFile is what an input with several files returns from Read, as an error, when it goes on
// with another one of them. The unfinished line of the previous file is kept in that file's place,
// and goes on when the input comes back to it.
type otherFile struct {
	// from receives the place in the previous file. It is nil if that file is complete and nothing
	// of it is left.
	from *linePlace
	// to is the place in the next file. Its zero value is the beginning of the file.
	to *linePlace
}

func (*otherFile) Error() string { return "another file is read" }

// filled is a stretch and what comes after its records.
type filled struct {
	stretch
	cut *record.Reject // reject of a record that is too long or does not end
	err error          // io.EOF at the end, or what went wrong
}

// empty says that there is nothing in it.
func (f *filled) empty() bool { return f.pos == f.end && f.cut == nil && f.err == nil }

// newLineStream makes a lineStream. head is nil if a file begins with its first record.
func newLineStream(in io.Reader, blockBytes, maxRecordBytes int, q quoting, head *headScan) *lineStream {
	s := &lineStream{in: in, blockBytes: blockBytes, maxRecordBytes: maxRecordBytes, quoting: q, head: head}
	s.linePlace = s.beginning()
	return s
}

// beginning is the place at the beginning of a file.
func (s *lineStream) beginning() linePlace {
	return linePlace{inHead: s.head != nil, line: 1, state: fieldStart}
}

// turn goes on with another file.
func (s *lineStream) turn() {
	if s.next.from != nil {
		*s.next.from, s.linePlace.rest = s.linePlace, nil
	}
	s.linePlace = *s.next.to
	if s.line == 0 {
		s.linePlace = s.beginning()
	}
	s.next.to.rest, s.next, s.turned = nil, nil, true
}

// fill reads the next records into f. It returns when f has at least one record, a reject or an
// error, or when there is nothing to read now. After each Read it asks hurry whether somebody waits
// for the records that there are.
func (s *lineStream) fill(f *filled, hurry func() bool) {
	f.cut, f.err, s.turned = nil, nil, false
	f.oversized = false
	f.pos, f.end = 0, 0
	ahead := false // rest may have records: look at them first, because the next Read may take long
	if s.inHead {
		if !s.fillHead(f) {
			return
		}
		ahead = len(s.rest) > 0
	}
	f.buf = resize(f.buf[:0], pad+len(s.rest)+s.blockBytes+pad)
	to := pad + copy(f.buf[pad:], s.rest)
	known, state, last := pad, s.state, pad // records end at last, as far as known
	if !s.skipping {
		state = fieldStart
	}
	for skipped := 0; ; {
		if s.err == nil && !ahead {
			n, err := s.in.Read(f.buf[to : len(f.buf)-pad])
			to += n
			if other, ok := err.(*otherFile); ok { //nolint:errorlint // it comes from an input of this package, as it is
				s.next, err = other, nil
			}
			s.err = err
			if n == 0 && err == nil && last == pad {
				break // there is nothing to read now
			}
		}
		ahead = false
		if s.skipping {
			// Only the end of the record matters.
			next, after := s.end(f.buf, known, to, state)
			if next < 0 {
				s.offset += int64(to - pad)
				s.line += int64(bytes.Count(f.buf[pad:to], []byte{'\n'}))
				to, known, s.state = pad, pad, after
				s.rest = s.rest[:0]
				state = after
				if s.err == nil && s.next == nil {
					skipped++
					if skipped == skipBlocks {
						return
					}
					continue
				}
				break
			}
			s.line += int64(bytes.Count(f.buf[pad:next], []byte{'\n'}))
			s.offset += int64(next - pad)
			to = pad + copy(f.buf[pad:], f.buf[next:to])
			s.skipping, s.state, known, last, state = false, fieldStart, pad, pad, fieldStart
		}
		if end, after := s.lastEnd(f.buf, known, to, state); end >= 0 {
			last, state = end, after
		} else {
			state = after
		}
		known = to
		if s.err != nil || s.next != nil || to == len(f.buf)-pad || last > pad && hurry() ||
			to-last > s.maxRecordBytes {
			break
		}
	}
	s.finish(f, last, to)
}

// finish gives out the records of f.buf[pad:last] and keeps what comes after them.
func (s *lineStream) finish(f *filled, last, to int) {
	f.base, f.size = s.offset-pad, unknownSize
	f.line, f.counted = s.line, pad
	complete := s.err == nil || errors.Is(s.err, io.EOF) || errors.Is(s.err, errNewSource)
	if s.err != nil && complete && last < to && to-last <= s.maxRecordBytes {
		// The source ends without a newline, or inside of quotes: add a newline.
		f.buf = resize(f.buf, to+1+pad)
		f.buf[to] = '\n'
		to++
		last = to
	}
	if s.err != nil {
		f.size = s.offset + int64(to-pad)
	}
	f.pos, f.end, f.lay = pad, last, s.lay
	rest := f.buf[last:to]
	s.offset += int64(last - pad)
	s.line += int64(bytes.Count(f.buf[pad:last], []byte{'\n'}))
	switch {
	case len(rest) > s.maxRecordBytes:
		f.cut = &record.Reject{
			Offset: s.offset, Line: s.line, Bytes: bytes.Clone(rest[:min(len(rest), record.MaxRejectBytes)]),
			Reason: fmt.Errorf("a record of more than %d bytes", s.maxRecordBytes),
		}
		if s.quoting.quote != 0 {
			if o := s.quoting.outline(rest); o.open >= 0 {
				f.cut.Reason = fmt.Errorf(
					"a record of more than %d bytes: the quote at offset %d is not closed within them",
					s.maxRecordBytes, s.offset+int64(o.open))
			}
		}
		_, s.state = s.end(f.buf, last, to, fieldStart)
		s.skipping = true
		s.offset += int64(len(rest))
		s.line += int64(bytes.Count(rest, []byte{'\n'}))
		rest = nil
	case s.err != nil && len(rest) > 0:
		f.cut = &record.Reject{
			Offset: s.offset, Line: s.line, Bytes: bytes.Clone(rest[:min(len(rest), record.MaxRejectBytes)]),
			Reason: fmt.Errorf("the record does not end: %w", s.err),
		}
		rest = nil
	}
	s.rest = append(s.rest[:0], rest...)
	if s.next != nil {
		s.turn()
	}
	if s.err != nil {
		if errors.Is(s.err, errNewSource) || errors.Is(s.err, errTruncated) {
			place := s.beginning()
			if errors.Is(s.err, errTruncated) {
				place.lay, place.header, place.truncated = s.lay, s.header, true
			}
			s.err, s.linePlace, s.turned = nil, place, true
			return
		}
		f.err = s.err
		if !errors.Is(s.err, io.EOF) {
			f.err = fmt.Errorf("offset %d: %w", s.offset, s.err)
		}
	}
}

// end returns the position after the first record that ends in buf[from:to], or -1 if none does,
// and the quote state there.
func (s *lineStream) end(buf []byte, from, to int, state quoteState) (int, quoteState) {
	if s.quoting.quote != 0 {
		return s.quoting.newline(buf, from, to, state)
	}
	if i := bytes.IndexByte(buf[from:to], '\n'); i >= 0 {
		return from + i + 1, fieldStart
	}
	return -1, fieldStart
}

// lastEnd returns the position after the last record that ends in buf[from:to], or -1 if none does,
// and the quote state before to.
func (s *lineStream) lastEnd(buf []byte, from, to int, state quoteState) (int, quoteState) {
	if from == to {
		return -1, state
	}
	if s.quoting.quote == 0 || state != inQuotes && bytes.IndexByte(buf[from:to], s.quoting.quote) < 0 {
		if s.quoting.quote != 0 {
			state = s.quoting.next(bareField, buf[to-1])
		}
		if i := bytes.LastIndexByte(buf[from:to], '\n'); i >= 0 {
			return from + i + 1, state
		}
		return -1, state
	}
	return s.quoting.lastEnd(buf, from, to, state)
}

// A Stream reads lines from an io.Reader that may have no end: standard input, a socket, the output
// of a decompressor. A goroutine of its own calls the io.Reader, up to three blocks ahead, so that
// reading or decompressing and parsing go on at the same time. Memory is bounded by the blocks and
// MaxRecordBytes, however long a line is. Offsets count the bytes that were read from the
// io.Reader, and rejects have their line.
//
// A Stream is a Poller and wakes the engine when there is something to poll. A Read of the
// io.Reader that does not return holds up nobody: Close closes the io.Reader if it is an io.Closer.
// It must allow that while a Read is under way, as files, pipes and connections do. The goroutine
// returns when the Read does. Close may be called again, and while a Read or Poll of the Stream is
// under way.
//
// The stream ends with an error if the io.Reader panics, calls runtime.Goexit, returns an
// impossible count, or returns nothing and no error a hundred times in a row. The records before
// that count, except that after runtime.Goexit the records of the same stretch are lost.
type Stream struct {
	countsLines bool // somebody wants to know the lines of each batch

	// name appears in errors.
	name   string
	parser parser
	stream *lineStream
	// closer is the io.Reader if it can be closed, otherwise nil.
	closer io.Closer
	// inline says that Poll itself calls the io.Reader, which never blocks.
	inline bool
	// current is the stretch that is being parsed, as it was filled.
	current filled
	// say says in a batch where the stream stands; nil unless the engine keeps its state. holding
	// is called before current is filled inline; it may be nil.
	say     func(b *record.Batch)
	holding func()
	// passed is one more than the offset of the last record that was too long.
	passed int64

	// full and free hand stretches to the reader and back. Each has room for all of them.
	full, free chan *filled
	// lent is where the current stretch has to be returned to; nil if there is none.
	lent *filled
	// started says that this Stream has started readAhead, or has seen that another one did.
	started bool
	// wake has the function that wakes the engine.
	wake atomic.Pointer[func()]
	// closed is closed by Close.
	closed chan struct{}
	// shared are the Streams that take their stretches from the same channels.
	shared *sharedStreams

	// use has streamBusy while a Read or Poll is under way, and streamClosed from Close on. Of
	// these two, the one that leaves last releases the memory. It knows that by whether it finds
	// the bit of the other.
	use atomic.Uint32
}

// The bits of Stream.use.
const (
	streamBusy = 1 << iota
	streamClosed
)

// errStreamBusy says that two goroutines read one stream.
var errStreamBusy = errors.New("it is being read by another goroutine: a stream belongs to one at a time")

// NewDelimitedStream reads delimited lines from in. The name appears in errors.
func NewDelimitedStream(name string, in io.Reader, cfg DelimitedConfig) (*Stream, error) {
	return newDelimitedStream(name, in, cfg, false)
}

// NewDelimitedStreams is NewDelimitedStream for n readers, which share what is read from in: it is
// dealt in blocks, each to the reader that asks first. in is closed with the last of them. An error
// of in is returned by one of them; the others have ended.
//
// If in is a FileReader, as what compressed.Open returns, the readers are Resumers: an engine that
// keeps its state goes on where they stood. For that in is unpacked again from its beginning, and
// what was read before is dropped. There may be another number of readers then. If the state is
// kept, one of the readers reads everything and the others end at once, so that a position is a
// place in what was unpacked.
func NewDelimitedStreams(name string, in io.Reader, cfg DelimitedConfig, n int) ([]record.Reader, error) {
	return newStreams(in, n, cfg.cutting(), func() (*Stream, error) { return NewDelimitedStream(name, in, cfg) })
}

// NewNDJSONStreams is NewNDJSONStream for n readers: see NewDelimitedStreams.
func NewNDJSONStreams(name string, in io.Reader, cfg NDJSONConfig, n int) ([]record.Reader, error) {
	return newStreams(in, n, cfg.cutting(), func() (*Stream, error) { return NewNDJSONStream(name, in, cfg) })
}

// newStreams makes n Streams that share the lines of the first. config says how in is cut into
// records.
func newStreams(
	in io.Reader, n int, config string, one func() (*Stream, error),
) (rs []record.Reader, err error) {
	streams := make([]*Stream, max(n, 1))
	for i := range streams {
		streams[i], err = one()
		if err != nil {
			return nil, err
		}
		streams[i].stream = streams[0].stream
		rs = append(rs, streams[i])
	}
	newShared(streams)
	if f := fileOf(in); f != nil {
		for i, s := range streams {
			rs[i] = &fileStream{Stream: s, file: f, config: config}
		}
	}
	return rs, nil
}

// NewNDJSONStream reads JSON lines from in. The name appears in errors.
func NewNDJSONStream(name string, in io.Reader, cfg NDJSONConfig) (*Stream, error) {
	return newNDJSONStream(name, in, cfg, false)
}

func newDelimitedStream(name string, in io.Reader, cfg DelimitedConfig, inline bool) (*Stream, error) {
	format, err := newDelimitedFormat(cfg)
	if err != nil {
		return nil, err
	}
	p := newDelimitedParser(format)
	c := &format.cfg
	return newStream(name, in, &p, newLineStream(in, c.BlockBytes, c.MaxRecordBytes, format.quoting,
		format.newHeadScan()), inline), nil
}

func newNDJSONStream(name string, in io.Reader, cfg NDJSONConfig, inline bool) (*Stream, error) {
	format, err := newJSONFormat(cfg)
	if err != nil {
		return nil, err
	}
	c := &format.cfg
	return newStream(name, in, newJSONParser(format), newLineStream(in, c.BlockBytes, c.MaxRecordBytes, quoting{}, nil),
		inline), nil
}

func newStream(name string, in io.Reader, p parser, lines *lineStream, inline bool) *Stream {
	s := &Stream{name: name, parser: p, stream: lines, inline: inline, closed: make(chan struct{})}
	s.closer, _ = in.(io.Closer)
	if !inline {
		lines.in = &userReader{in: in}
		newShared([]*Stream{s})
	}
	return s
}

// sharedStreams are Streams of one io.Reader. A goroutine of the one that is read first reads ahead
// for all of them. Each takes the next stretch when it has parsed its last one.
type sharedStreams struct {
	streams []*Stream
	// start starts that goroutine.
	start sync.Once
	// open is how many are not closed yet, and closed is closed by the last of them.
	open   atomic.Int32
	closed chan struct{}
	// taken says that one of the Streams reads everything: see fileStream. from is the offset of
	// the first record that it had not read before a restart. Both are set before the goroutine
	// starts.
	taken bool
	from  int64
}

// end ends the Streams that do not get the last stretch.
func (h *sharedStreams) end() {
	close(h.streams[0].full)
	if len(h.streams) > 1 {
		defer func() { _ = recover() }() // a function that Notify was given; readAhead has reported the first panic
		h.wake()
	}
}

// newShared gives Streams the channels that they share.
func newShared(streams []*Stream) {
	shared := &sharedStreams{streams: streams, closed: make(chan struct{})}
	shared.open.Store(int32(len(streams)))
	stretches := streamStretches + 2*(len(streams)-1)
	// One more than there are at first: readAhead may add one.
	full, free := make(chan *filled, stretches+1), make(chan *filled, stretches+1)
	for range stretches {
		free <- &filled{}
	}
	for _, s := range streams {
		s.shared, s.full, s.free = shared, full, free
	}
}

// wake wakes the engine of each Stream.
func (h *sharedStreams) wake() {
	for _, s := range h.streams {
		if wake := s.wake.Load(); wake != nil {
			(*wake)()
		}
	}
}

// Notify takes the function that is called when there is something to poll.
func (s *Stream) Notify(wake func()) { s.wake.Store(&wake) }

// readAhead fills stretches until the end. It owns the lineStream and the stretch that it has
// taken.
//
// It may be cut off by runtime.Goexit in the io.Reader, or by a panic in the function that Notify
// got. Then it says so in an additional stretch that it makes for that, because the current one may
// have been handed to the reader already. Nobody is woken then.
func (s *Stream) readAhead() {
	whole := false
	defer s.shared.end()
	defer func() {
		if v := recover(); v != nil {
			s.full <- &filled{err: panicError("the function that Notify was given", v)}
		} else if !whole {
			s.full <- &filled{err: fmt.Errorf("after offset %d, in Read of the io.Reader: %w", s.stream.offset,
				errGoexit)}
		}
	}()
	waiting := func() bool { return len(s.full) == 0 } // the parser has nothing else to do
	for {
		var f *filled
		select {
		case f = <-s.free:
		case <-s.shared.closed:
			whole = true
			return
		}
		s.stream.fill(f, waiting)
		ended := f.err != nil
		if f.passOver(s.shared.from) {
			s.free <- f
			continue
		}
		s.full <- f // never blocks: there is room for all stretches
		s.shared.wake()
		if ended {
			whole = true
			return
		}
	}
}

// Poll reads records of one stretch, up to the capacity of the batch.
func (s *Stream) Poll(b *record.Batch) error { return s.next(context.Background(), false, b) }

// Read is Poll, but waits for a stretch if there is none.
func (s *Stream) Read(ctx context.Context, b *record.Batch) error { return s.next(ctx, true, b) }

// next reads records of a stretch, and waits for one if wait is true.
func (s *Stream) next(ctx context.Context, wait bool, b *record.Batch) error {
	switch old := s.use.Or(streamBusy); {
	case old&streamClosed != 0:
		return fmt.Errorf("readers: %s: %w", s.name, os.ErrClosed)
	case old&streamBusy != 0:
		return fmt.Errorf("readers: %s: %w", s.name, errStreamBusy)
	}
	defer func() {
		if s.use.And(^uint32(streamBusy))&streamClosed != 0 {
			_ = s.release() // Close has returned and left this to us
		}
	}()
	err := s.parse(ctx, wait, b)
	if s.say != nil {
		s.say(b)
	}
	return err
}

// parse is next without the check that nobody else reads the stream.
func (s *Stream) parse(ctx context.Context, wait bool, b *record.Batch) error {
	w := s.parser.loaded()
	for w.pos == w.end {
		if cut := s.current.cut; cut != nil {
			if !b.Reject(*cut) {
				return nil
			}
			s.passed = cut.Offset + 1
			s.current.cut = nil
		}
		if err := s.current.err; err != nil {
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return fmt.Errorf("readers: %s: %w", s.name, err)
		}
		if len(b.Rejects()) > 0 {
			return nil // rejects of the previous stretch
		}
		if !s.take(ctx, wait) {
			if s.use.Load()&streamClosed != 0 {
				return fmt.Errorf("readers: %s: %w", s.name, os.ErrClosed)
			}
			return ctx.Err()
		}
		w.asked = s.countsLines
		if w.pos < w.end {
			s.parser.begin()
		}
	}
	w.countBatch(b, s.parser.parse)
	return nil
}

// CountLines has the lines of each batch counted.
func (s *Stream) CountLines() { s.countsLines = true }

// Lines returns the lines of the last batch.
func (s *Stream) Lines() (first, next int64) {
	w := s.parser.loaded()
	return w.first, w.next
}

// take makes the next stretch the current one. It returns false if there is none now.
func (s *Stream) take(ctx context.Context, wait bool) bool {
	w := s.parser.loaded()
	if s.inline {
		// The memory that was lent to the last batch is not used any more.
		s.current.stretch = *w
		for again := true; again; {
			if s.holding != nil {
				s.holding()
			}
			s.stream.fill(&s.current, func() bool { return true })
			// the other file may have something already
			again = s.stream.turned && s.current.empty()
		}
		*w = s.current.stretch
		return !s.current.empty()
	}
	if !s.started {
		s.started = true
		s.shared.start.Do(func() { go s.readAhead() })
	}
	if s.lent != nil {
		s.lent.buf = w.buf
		s.free <- s.lent // never blocks: there is room for all stretches
		s.lent = nil
	}
	*w = stretch{}
	ended := false
	if wait {
		select {
		case f, ok := <-s.full:
			s.lent, ended = f, !ok
		case <-ctx.Done():
			return false
		case <-s.closed:
			return false
		}
	} else {
		select {
		case f, ok := <-s.full:
			s.lent, ended = f, !ok
		default:
			return false
		}
	}
	if ended {
		s.current = filled{err: io.EOF}
		return true
	}
	s.current = *s.lent
	*w = s.current.stretch
	return true
}

// Columns says which columns are read: see record.Projector.
func (s *Stream) Columns(read []bool) { s.parser.project(read) }

// Close ends the goroutine and closes what it reads from, if no other Stream shares it. A Read that
// waits returns os.ErrClosed.
// Closing again does nothing.
func (s *Stream) Close() error {
	old := s.use.Or(streamClosed)
	if old&streamClosed != 0 {
		return nil
	}
	close(s.closed)
	var err error
	if !s.inline && s.shared.open.Add(-1) == 0 {
		close(s.shared.closed)
		if s.closer != nil {
			err = closeUser(s.closer)
		}
	}
	if old&streamBusy == 0 {
		err = errors.Join(err, s.release())
	}
	return err
}

// release releases what only a Read or Poll uses.
func (s *Stream) release() error {
	s.parser.loaded().buf = nil
	if s.closer != nil && s.inline {
		return s.closer.Close() // a file that is polled: nobody else uses it
	}
	return nil
}

// String names the reader.
func (s *Stream) String() string { return s.name }
