package readers

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/velo-engine/velo/record"
)

// Messages parses messages: texts that come one by one, each of which is a whole record, such as
// the values of a log or a queue. They are copied one after the other, as lines, so that the
// parsers of files read many of them together, column by column:
//
//	Add  {"k":1}            \
//	Add  {"k":2,            | pad {"k":1} LF {"k":2, TAB "v":3} LF pad  -> Parse: two rows
//	     "v":3}             /
//
// A message may have newlines. In JSON they are blanks; in delimited text they are part of a field
// if they are in quotes, and otherwise the message is rejected, because it has several records. So
// is one whose quote is not closed: it does not take in the next message.
//
// The texts of a batch lie in the memory of the Messages: they stay as they are until Add is called
// after all messages have been parsed. Messages belong to one goroutine at a time.
type Messages struct {
	parser  parser
	quoting quoting // only for delimited text
	json    bool
	fields  int // fields of a delimited text

	buf    []byte   // pad, the messages, each with a newline after it, and pad once they are parsed
	starts []uint32 // where each message begins in buf
	bad    []badMessage
	next   int  // the first message that has not been parsed
	ready  bool // buf has been looked through
}

// badMessage is a message that is no record, whatever the parser would make of it.
type badMessage struct {
	message int
	reason  error
}

var errEmptyMessage = errors.New("an empty message, expected a record")

// NewNDJSONMessages parses JSON objects, as NDJSON does.
func NewNDJSONMessages(cfg NDJSONConfig) (*Messages, error) {
	format, err := newJSONFormat(cfg)
	if err != nil {
		return nil, err
	}
	return &Messages{parser: newJSONParser(format), json: true}, nil
}

// NewDelimitedMessages parses delimited text, as Delimited does. A message has no header and is no
// comment: Header, SkipLines and Comment are refused.
func NewDelimitedMessages(cfg DelimitedConfig) (*Messages, error) {
	if cfg.Header || cfg.SkipLines > 0 || cfg.Comment != 0 {
		return nil, errors.New("readers: messages have no header, no lines to skip and no comments")
	}
	format, err := newDelimitedFormat(cfg)
	if err != nil {
		return nil, err
	}
	p := newDelimitedParser(format)
	return &Messages{parser: &p, quoting: format.quoting, fields: len(format.own.fields)}, nil
}

// Columns says which columns are read: see record.Projector. It is called before the first message.
func (m *Messages) Columns(read []bool) { m.parser.project(read) }

// Len is how many messages have not been parsed yet.
func (m *Messages) Len() int { return len(m.starts) - m.next }

// Bytes is how much memory the messages take, those that have been parsed included.
func (m *Messages) Bytes() int { return len(m.buf) }

// Add adds a copy of a message. If all messages before it have been parsed, it begins anew, which
// ends what was lent to batches. It panics if some have been parsed and others have not.
func (m *Messages) Add(message []byte) {
	if m.ready {
		if m.Len() > 0 {
			panic("readers: a message was added before the others were parsed")
		}
		m.reset()
	}
	if len(m.buf) == 0 {
		m.buf = append(m.buf, make([]byte, pad)...)
	}
	if n := len(message); n > 0 && message[n-1] == '\n' {
		message = message[:n-1]
	}
	// An empty line would be no record for the parser, and would not count.
	if len(message) == 0 || message[0] <= ' ' {
		m.addBlank(message)
	}
	m.starts = append(m.starts, uint32(len(m.buf)))
	m.buf = append(append(m.buf, message...), '\n')
}

// addBlank notes a message that begins with a blank and has nothing but blanks.
func (m *Messages) addBlank(message []byte) {
	empty := len(bytes.TrimSpace(message)) == 0
	if !m.json {
		empty = m.fields > 1 && (len(message) == 0 || string(message) == "\r")
	}
	if empty {
		m.bad = append(m.bad, badMessage{len(m.starts), errEmptyMessage})
	}
}

// reset forgets all messages.
func (m *Messages) reset() {
	m.buf, m.starts, m.bad = m.buf[:0], m.starts[:0], m.bad[:0]
	m.next, m.ready = 0, false
}

// Parse reads messages into an empty batch, until all are parsed or the batch takes no more, and
// returns how many it has taken. Each of them is a row or a Reject, in the order of the messages.
// The Offset of a Reject is its message's place among those that this call has taken, from 0.
func (m *Messages) Parse(b *record.Batch) (taken int) {
	if !m.ready {
		m.look()
	}
	from := m.next
	for len(m.bad) > 0 && m.bad[0].message == m.next {
		reject := record.Reject{Offset: int64(m.next - from), Reason: m.bad[0].reason, Bytes: m.text(m.next)}
		if !b.Reject(reject) {
			return m.next - from
		}
		m.bad, m.next = m.bad[1:], m.next+1
		m.parser.loaded().pos = m.parser.loaded().end
	}
	if m.next > from || m.Len() == 0 {
		return m.next - from
	}
	w := m.parser.loaded()
	if w.pos == w.end {
		end := len(m.buf) - pad
		if len(m.bad) > 0 {
			end = int(m.starts[m.bad[0].message])
		}
		*w = stretch{buf: m.buf, pos: int(m.starts[m.next]), end: end, size: unknownSize, lay: w.lay}
		m.parser.begin()
	}
	m.parser.parse(b)
	n, _ := slices.BinarySearch(m.starts[m.next:], uint32(w.pos))
	m.next += n
	if b.Len()+len(b.Rejects()) != n {
		panic(fmt.Sprintf("readers: %d messages have become %d rows and %d rejects", n, b.Len(), len(b.Rejects())))
	}
	for i := range b.Rejects() {
		r := &b.Rejects()[i]
		place, _ := slices.BinarySearch(m.starts[from:], uint32(r.Offset))
		r.Offset = int64(place)
	}
	return n
}

// text is a message.
func (m *Messages) text(i int) []byte {
	end := len(m.buf) - pad
	if i+1 < len(m.starts) {
		end = int(m.starts[i+1])
	}
	return m.buf[m.starts[i] : end-1]
}

// look finds the messages that are not one line, and completes buf.
func (m *Messages) look() {
	m.ready = true
	if len(m.starts) == 0 {
		return
	}
	data := m.buf[pad:]
	odd := bytes.Count(data, []byte{'\n'}) != len(m.starts) ||
		m.quoting.quote != 0 && bytes.IndexByte(data, m.quoting.quote) >= 0
	m.buf = append(m.buf, make([]byte, pad)...)
	w := m.parser.loaded()
	w.pos, w.end = 0, 0
	if !odd {
		return
	}
	empty := m.bad
	m.bad = nil
	for i := range m.starts {
		if len(empty) > 0 && empty[0].message == i {
			m.bad, empty = append(m.bad, empty[0]), empty[1:]
			continue
		}
		if err := m.oneRecord(m.text(i)); err != nil {
			m.bad = append(m.bad, badMessage{i, err})
		}
	}
}

// oneRecord makes one line of a message with newlines, or says why it is not one record. The
// newline after the message is there.
func (m *Messages) oneRecord(text []byte) error {
	if m.json {
		// Both are blanks between values, and neither may be within a string.
		for i := bytes.IndexByte(text, '\n'); i >= 0; i = bytes.IndexByte(text, '\n') {
			text[i] = '\t'
			text = text[i+1:]
		}
		return nil
	}
	o := m.quoting.outline(text[:len(text)+1])
	switch {
	case o.open >= 0:
		return fmt.Errorf("the quote at byte %d of the message is not closed", o.open)
	case o.bytes != len(text)+1:
		return fmt.Errorf("more after the newline at byte %d, expected one record in a message", o.bytes-1)
	}
	return nil
}
