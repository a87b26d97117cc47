package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Record batches, format 2 (Kafka 0.11 and later), as they lie in a fetch response and on the
// broker's disk. Everything is big endian; a varint is zigzag.
//
//	 0 base offset       8 | 12 leader epoch 4 | 16 magic 1 | 17 CRC-32C of what follows 4
//	 8 length after here 4 |
//	21 attributes        2 | 23 last offset delta 4 | 27 base timestamp 8 | 35 max timestamp 8
//	43 producer id       8 | 51 epoch 2 | 53 sequence 4 | 57 records 4
//	61 the records, together packed with the codec in bits 0..2 of the attributes
//
// A record:
//
//	length varint | attributes 1 | timestamp delta varint | offset delta varint
//	key length varint, key | value length varint, value | headers varint, of each key and value
//
// A length of -1 says that there is no key or no value. The records of a batch are read in place:
// no object is made for any of them.
const (
	batchHeaderBytes = 61
	batchLengthEnd   = 12 // the length counts from here

	attributeCodec     = 0x07
	attributeAppended  = 0x08 // the timestamp is the broker's, and is the same for all records
	attributeInTxn     = 0x10
	attributeControl   = 0x20
	controlAbort       = 0
	supportedMagic     = 2
	noTimestamp        = -1
	maxVarintBytes     = binary.MaxVarintLen64
	controlKeyBytes    = 4
	smallestRecordSize = 6 // every field of a record without key, value and headers, without its length
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batchHeader is the head of a record batch.
type batchHeader struct {
	base, last    int64 // first offset, and the last that the batch covers
	bytes         int   // of the whole batch
	epoch         int32 // leader epoch
	attributes    int16
	baseTimestamp int64
	maxTimestamp  int64
	producer      int64
	records       int
}

// errPartialBatch says that the rest of a batch did not fit into the response.
var errPartialBatch = errors.New("the rest of the batch is in the next response")

// readHeader reads the head of the batch that text begins with. The error is errPartialBatch if the
// batch is not all there.
func readHeader(text []byte) (h batchHeader, err error) {
	if len(text) < batchLengthEnd {
		return h, errPartialBatch
	}
	h.base = int64(binary.BigEndian.Uint64(text))
	length := int32(binary.BigEndian.Uint32(text[8:]))
	switch {
	case length < 0:
		return h, fmt.Errorf("the batch at offset %d says that it has %d bytes", h.base, length)
	case len(text) < batchLengthEnd+int(length):
		return h, errPartialBatch
	case length > 4 && text[16] != supportedMagic:
		return h, fmt.Errorf("the batch at offset %d is in format %d, from before Kafka 0.11: expected format %d", h.base,
			text[16], supportedMagic)
	case int(length) < batchHeaderBytes-batchLengthEnd:
		return h, fmt.Errorf("the batch at offset %d has %d bytes, expected %d or more", h.base, length,
			batchHeaderBytes-batchLengthEnd)
	}
	h.bytes = batchLengthEnd + int(length)
	h.epoch = int32(binary.BigEndian.Uint32(text[12:]))
	h.attributes = int16(binary.BigEndian.Uint16(text[21:]))
	h.last = h.base + int64(int32(binary.BigEndian.Uint32(text[23:])))
	h.baseTimestamp = int64(binary.BigEndian.Uint64(text[27:]))
	h.maxTimestamp = int64(binary.BigEndian.Uint64(text[35:]))
	h.producer = int64(binary.BigEndian.Uint64(text[43:]))
	h.records = int(int32(binary.BigEndian.Uint32(text[57:])))
	if h.base < 0 || h.last < h.base || h.records < 0 {
		return h, fmt.Errorf("the batch at offset %d says that it ends at offset %d and has %d records", h.base, h.last,
			h.records)
	}
	return h, nil
}

// checkCRC verifies a whole batch.
func checkCRC(batch []byte, h *batchHeader) error {
	want := binary.BigEndian.Uint32(batch[17:])
	if got := crc32.Checksum(batch[21:h.bytes], castagnoli); got != want {
		return fmt.Errorf("the batch at offset %d is damaged: its checksum is %08x, expected %08x", h.base, got, want)
	}
	return nil
}

// extent is what a response has of a partition: whole batches, and the offset after them.
type extent struct {
	bytes int
	next  int64
	epoch int32
}

// measure finds the whole batches at the beginning of text.
func measure(text []byte, from int64) (extent, error) {
	e := extent{next: from, epoch: -1}
	for {
		h, err := readHeader(text[e.bytes:])
		if err != nil {
			if errors.Is(err, errPartialBatch) || e.bytes > 0 {
				err = nil // what is wrong is found again when the batches before it have been read
			}
			return e, err
		}
		e.bytes += h.bytes
		if h.last+1 > e.next {
			e.next, e.epoch = h.last+1, h.epoch
		}
	}
}

// abortedTxn is a transaction that was aborted, by the producer and the first offset of it in the
// partition.
type abortedTxn struct{ producer, first int64 }

// chunk is what one response has of a partition.
type chunk struct {
	batches []byte
	// aborted are the aborted transactions with records in it, by their first offsets.
	aborted []abortedTxn
	// jumps says that reading goes on at offset to, which is not where it stood.
	jumps bool
	to    int64
}

// rawRecord is a record in the memory of its batch.
type rawRecord struct {
	offset    int64
	timestamp int64 // milliseconds; noTimestamp if there is none
	key       []byte
	value     []byte
	headers   []byte // the headers, after their number
	headerN   int
	hasKey    bool
	hasValue  bool
}

// cursor reads the records of chunks, batch by batch. Records of aborted transactions and control
// records are passed over if committed is true.
type cursor struct {
	committed bool
	unpack    func(batch []byte, codec kgo.CompressionCodecType) ([]byte, error)

	rest    []byte // batches of the chunk that have not been begun
	aborted []abortedTxn
	open    []int64 // producers whose transaction at this place was aborted

	header  batchHeader
	records []byte // records of the batch that have not been read
	left    int    // how many they are
	next    int64  // the offset after everything that has been passed
	epoch   int32  // leader epoch of the last batch; -1 before the first
	rec     rawRecord
}

// begin goes to a chunk.
func (c *cursor) begin(k *chunk) {
	c.rest, c.aborted, c.open = k.batches, k.aborted, c.open[:0]
	c.records, c.left = nil, 0
	if k.jumps {
		c.next = k.to
	}
}

// advance goes to the next record, into c.rec. It returns false at the end of the chunk.
func (c *cursor) advance() (bool, error) {
	for {
		for c.left > 0 {
			if err := c.read(); err != nil {
				return false, fmt.Errorf("the batch at offset %d: %w", c.header.base, err)
			}
			if c.rec.offset >= c.next {
				c.next = c.rec.offset + 1
				return true, nil
			}
		}
		if c.records != nil && c.next <= c.header.last {
			c.next = c.header.last + 1 // compaction has removed the last records, or it has no records
		}
		c.records = nil
		if len(c.rest) == 0 {
			return false, nil
		}
		if err := c.nextBatch(); err != nil {
			return false, err
		}
	}
}

// stop passes over the rest of the chunk.
func (c *cursor) stop() { c.rest, c.records, c.left = nil, nil, 0 }

// none is the records of a batch that is passed over.
var none = []byte{}

// nextBatch begins the next batch of the chunk.
func (c *cursor) nextBatch() error {
	h, err := readHeader(c.rest)
	if err != nil {
		return err
	}
	batch := c.rest[:h.bytes]
	c.rest, c.header, c.records, c.left = c.rest[h.bytes:], h, none, 0
	if h.last < c.next {
		return nil // it was read before
	}
	if err := checkCRC(batch, &h); err != nil {
		return err
	}
	c.epoch = h.epoch
	if h.attributes&attributeControl != 0 {
		return c.control(batch[batchHeaderBytes:])
	}
	if c.committed && c.isAborted(&h) {
		return nil
	}
	c.records = batch[batchHeaderBytes:]
	if codec := h.attributes & attributeCodec; codec != 0 {
		c.records, err = c.unpack(c.records, kgo.CompressionCodecType(codec))
		if err != nil {
			return fmt.Errorf("the batch at offset %d cannot be unpacked: %w", h.base, err)
		}
		if c.records == nil {
			c.records = none
		}
	}
	c.left = h.records
	if h.records > len(c.records)/smallestRecordSize {
		return fmt.Errorf("the batch at offset %d says that it has %d records, in %d bytes", h.base, h.records,
			len(c.records))
	}
	return nil
}

// isAborted says whether the transaction that a batch belongs to was aborted.
func (c *cursor) isAborted(h *batchHeader) bool {
	for len(c.aborted) > 0 && c.aborted[0].first <= h.last {
		c.open = append(c.open, c.aborted[0].producer)
		c.aborted = c.aborted[1:]
	}
	return h.attributes&attributeInTxn != 0 && slices.Contains(c.open, h.producer)
}

// control reads a control batch: the end of a transaction.
func (c *cursor) control(records []byte) error {
	isAborted := c.isAborted(&c.header)
	if !isAborted || c.header.records == 0 {
		return nil
	}
	c.records, c.left = records, c.header.records
	for c.left > 0 {
		if err := c.read(); err != nil {
			return fmt.Errorf("the control batch at offset %d: %w", c.header.base, err)
		}
		if key := c.rec.key; len(key) >= controlKeyBytes && binary.BigEndian.Uint16(key[2:]) == controlAbort {
			i := slices.Index(c.open, c.header.producer)
			if i >= 0 {
				c.open = slices.Delete(c.open, i, i+1)
			}
		}
	}
	c.records = none
	return nil
}

// errCut says that a record is longer than what is left of its batch.
var errCut = errors.New("a record is cut off")

// read reads the record that c.records begins with.
func (c *cursor) read() error {
	c.left--
	length, text, ok := varint(c.records)
	if !ok || length < smallestRecordSize || int64(len(text)) < length {
		return errCut
	}
	c.records = text[length:]
	text = text[1:length:length] // the attributes of a record have no meaning yet
	r := &c.rec
	delta, text, ok := varint(text)
	if !ok {
		return errCut
	}
	r.timestamp = c.header.baseTimestamp + delta
	if c.header.attributes&attributeAppended != 0 {
		r.timestamp = c.header.maxTimestamp
	}
	delta, text, ok = varint(text)
	if !ok || delta < 0 {
		return errCut
	}
	r.offset = c.header.base + delta
	if r.offset > c.header.last {
		return fmt.Errorf("a record has offset %d, expected %d at most", r.offset, c.header.last)
	}
	if r.key, text, r.hasKey, ok = sized(text); !ok {
		return errCut
	}
	if r.value, text, r.hasValue, ok = sized(text); !ok {
		return errCut
	}
	n, text, ok := varint(text)
	if !ok || n < 0 || n > int64(len(text)) {
		return errCut
	}
	r.headers, r.headerN = text, int(n)
	return nil
}

// header finds the last header of a name.
func (r *rawRecord) header(name string) (value []byte, has bool) {
	text := r.headers
	for range r.headerN {
		var key, v []byte
		var hasValue, ok bool
		if key, text, _, ok = sized(text); !ok {
			return value, has
		}
		if v, text, hasValue, ok = sized(text); !ok {
			return value, has
		}
		if string(key) == name {
			value, has = v, hasValue
		}
	}
	return value, has
}

// sized reads a length and as many bytes.
func sized(text []byte) (value, rest []byte, has, ok bool) {
	n, text, ok := varint(text)
	if !ok || n > int64(len(text)) {
		return nil, nil, false, false
	}
	if n < 0 {
		return nil, text, false, true
	}
	return text[:n:n], text[n:], true, true
}

// varint reads a zigzag number.
func varint(text []byte) (v int64, rest []byte, ok bool) {
	if len(text) >= 2 { // most have one or two bytes
		if b := text[0]; b < 0x80 {
			return int64(b>>1) ^ -int64(b&1), text[1:], true
		} else if c := text[1]; c < 0x80 {
			u := uint64(b&0x7f) | uint64(c)<<7
			return int64(u>>1) ^ -int64(u&1), text[2:], true
		}
	}
	v, n := binary.Varint(text[:min(len(text), maxVarintBytes)])
	if n <= 0 {
		return 0, nil, false
	}
	return v, text[n:], true
}
