package arrow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// # Messages of a stream
//
//	ff ff ff ff | length of the metadata, 4 bytes | metadata, a flatbuffer | body
//
// The library believes every length in the metadata, and a damaged one has it allocate more memory
// than there is, which ends the process. So messages are read here, and the lengths are compared
// with what is there before the library sees them. Of the tables of Arrow's Message.fbs and
// Schema.fbs only the vectors matter: all other places are checked when they are read, by a panic
// that becomes an error.

const (
	// maxMetadata bounds the metadata of a message.
	maxMetadata = 64 << 20

	// maxTables bounds the fields of a schema and their metadata, and maxDepth how deep they lie.
	maxTables = 100_000
	maxDepth  = 64
)

// errStream says that a stream is not as it has to be.
var errStream = errors.New("the stream is damaged")

// messages reads the messages of a stream. It is an ipc.MessageReader.
type messages struct {
	in io.Reader
	// refs counts those who use it, as the library wants it. Statistic.
	refs atomic.Int64
}

func (m *messages) Retain()  { m.refs.Add(1) }
func (m *messages) Release() { m.refs.Add(-1) }

// Message reads the next message. The error is io.EOF at the end of the stream.
func (m *messages) Message() (msg *ipc.Message, err error) {
	var head [8]byte
	n, err := io.ReadFull(m.in, head[:])
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return nil, io.EOF // streams may end without saying so
	case err != nil:
		return nil, fmt.Errorf("%w: it ends within a message", errStream)
	case string(head[:4]) != streamBegin:
		return nil, fmt.Errorf("%w: a message begins with %x, expected ffffffff", errStream, head[:4])
	}
	size := int32(binary.LittleEndian.Uint32(head[4:]))
	switch {
	case size == 0:
		return nil, io.EOF
	case size < 0 || size > maxMetadata:
		return nil, fmt.Errorf("%w: metadata of %d bytes, at most %d are read", errStream, size, maxMetadata)
	}
	meta := make([]byte, size)
	_, err = io.ReadFull(m.in, meta)
	if err != nil {
		return nil, fmt.Errorf("%w: it ends within a message", errStream)
	}
	length, err := checkMessage(meta)
	if err != nil {
		return nil, err
	}
	body := make([]byte, length)
	_, err = io.ReadFull(m.in, body)
	if err != nil {
		return nil, fmt.Errorf("%w: it ends within a message", errStream)
	}
	return ipc.NewMessage(memory.NewBufferBytes(meta), memory.NewBufferBytes(body)), nil
}

// The kinds of messages.
const (
	headerSchema = 1 + iota
	headerDictionary
	headerBatch
)

// checkMessage compares the lengths in the metadata of a message with what is there. It returns the
// length of the body.
func checkMessage(meta []byte) (body int64, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("%w: its metadata lie outside of their bytes", errStream)
		}
	}()
	b := flat{bytes: meta}
	root := int(b.u32(0))
	length := b.field(root, 3)
	if length > 0 {
		body = int64(binary.LittleEndian.Uint64(meta[length:]))
	}
	if body < 0 || body > maxBatchBytes {
		return 0, fmt.Errorf("%w: a record batch of %d bytes, at most %d are read", errStream, body, maxBatchBytes)
	}
	b.pairs(b.field(root, 4))
	kind, at := b.field(root, 1), b.field(root, 2)
	if kind == 0 || at == 0 {
		return 0, fmt.Errorf("%w: a message without a header", errStream)
	}
	switch header := b.follow(at); meta[kind] {
	case headerSchema:
		b.each(b.field(header, 1), func(field int) { b.checkField(field, 0) })
		b.pairs(b.field(header, 2))
		b.vector(b.field(header, 3), 8)
	case headerDictionary:
		if data := b.field(header, 1); data > 0 {
			b.checkBatch(b.follow(data))
		}
	case headerBatch:
		b.checkBatch(header)
	default:
		return 0, fmt.Errorf("%w: a message of kind %d", errStream, meta[kind])
	}
	return body, nil
}

// flat is a flatbuffer. What lies outside of it panics.
type flat struct {
	bytes  []byte
	tables int // that vectors have led to
}

func (b *flat) u32(at int) uint32 { return binary.LittleEndian.Uint32(b.bytes[at:]) }

// follow is where an offset leads to.
func (b *flat) follow(at int) int { return at + int(b.u32(at)) }

// field is where a field of a table lies; 0 if the table does not have it.
func (b *flat) field(table, number int) int {
	slots := table - int(int32(b.u32(table)))
	at := 4 + 2*number
	if at >= int(binary.LittleEndian.Uint16(b.bytes[slots:])) { // as the library compares it
		return 0
	}
	offset := int(binary.LittleEndian.Uint16(b.bytes[slots+at:]))
	if offset == 0 {
		return 0
	}
	return table + offset
}

// vector is where the elements of a vector of that size lie, and how many there are. They lie
// within the bytes.
func (b *flat) vector(at, size int) (begin, n int) {
	if at == 0 {
		return 0, 0
	}
	begin = b.follow(at)
	n = int(b.u32(begin))
	begin += 4
	if n > (len(b.bytes)-begin)/size {
		panic(errStream)
	}
	return begin, n
}

// each calls do for the tables of a vector.
func (b *flat) each(at int, do func(table int)) {
	begin, n := b.vector(at, 4)
	b.tables += n
	if b.tables > maxTables { // tables may be shared by vectors, so that few bytes have many
		panic(errStream)
	}
	for i := range n {
		do(b.follow(begin + 4*i))
	}
}

// pairs checks a vector of names and values.
func (b *flat) pairs(at int) {
	b.each(at, func(pair int) {
		b.vector(b.field(pair, 0), 1)
		b.vector(b.field(pair, 1), 1)
	})
}

// The types that have vectors.
const (
	typeTimestamp = 10 // the name of its time zone
	typeUnion     = 14 // numbers of its types
)

// checkField checks a field of a schema, and those within it.
func (b *flat) checkField(field, depth int) {
	if depth > maxDepth {
		panic(errStream)
	}
	b.vector(b.field(field, 0), 1)
	if kind, of := b.field(field, 2), b.field(field, 3); kind > 0 && of > 0 {
		switch b.bytes[kind] {
		case typeTimestamp:
			b.vector(b.field(b.follow(of), 1), 1)
		case typeUnion:
			b.vector(b.field(b.follow(of), 1), 4)
		}
	}
	b.each(b.field(field, 5), func(child int) { b.checkField(child, depth+1) })
	b.pairs(b.field(field, 6))
}

// checkBatch checks a record batch: its nodes, its buffers, and the numbers of variadic buffers.
func (b *flat) checkBatch(batch int) {
	b.vector(b.field(batch, 1), 16)
	b.vector(b.field(batch, 2), 16)
	b.vector(b.field(batch, 4), 8)
}
