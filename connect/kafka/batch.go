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
		return h, fmt.Errorf("the batch at offset %d is in format %d, from before Kafka 0.11: expected format %d",
			h.base,
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
	from    *response // what it is a part of; nil if the client has made the response
	// aborted are the aborted transactions with records in it, by their first offsets.
	aborted []abortedTxn
	// jumps says that reading goes on at offset to, which is not where it stood.
	jumps bool
	to    int64
}

// part is a part of a record: where it lies in the memory of its batch. It has no pointer, so that
// noting it costs the garbage collector nothing.
type part struct{ from, to int32 }

// absent is a part that a record does not have.
var absent = part{-1, -1}

// rawRecord is a record, as places in the memory of its batch.
type rawRecord struct {
	offset    int64
	timestamp int64 // milliseconds; noTimestamp if there is none
	key       part
	value     part
	headers   part // the headers, after their number
	headerN   int
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
	records []byte // records of the batch; nil before the first batch
	at      int    // where the next record begins in it
	left    int    // how many records have not been read
	next    int64  // the offset after everything that has been passed
	epoch   int32  // leader epoch of the last batch; -1 before the first
	rec     rawRecord
}

// begin goes to a chunk.
func (c *cursor) begin(k *chunk) {
	c.rest, c.aborted, c.open = k.batches, k.aborted, c.open[:0]
	c.records, c.at, c.left = nil, 0, 0
	if k.jumps {
		c.next = k.to
	}
}

// advance goes to the next record, into c.rec. It returns false at the end of the chunk.
func (c *cursor) advance() (bool, error) {
	for {
		for c.left > 0 {
			if c.readFast() {
				// it is in c.rec
			} else if err := c.read(); err != nil {
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
func (c *cursor) stop() { c.rest, c.records, c.at, c.left = nil, nil, 0, 0 }

// none is the records of a batch that is passed over.
var none = []byte{}

// nextBatch begins the next batch of the chunk.
func (c *cursor) nextBatch() error {
	h, err := readHeader(c.rest)
	if err != nil {
		return err
	}
	batch := c.rest[:h.bytes]
	c.rest, c.header, c.records, c.at, c.left = c.rest[h.bytes:], h, none, 0, 0
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
	c.records, c.at, c.left = records, 0, c.header.records
	for c.left > 0 {
		if err := c.read(); err != nil {
			return fmt.Errorf("the control batch at offset %d: %w", c.header.base, err)
		}
		if key, _ := c.bytes(c.rec.key); len(key) >= controlKeyBytes &&
			binary.BigEndian.Uint16(key[2:]) == controlAbort {
			i := slices.Index(c.open, c.header.producer)
			if i >= 0 {
				c.open = slices.Delete(c.open, i, i+1)
			}
		}
	}
	c.records, c.at = none, 0
	return nil
}

// errCut says that a record is longer than what is left of its batch.
var errCut = errors.New("a record is cut off")

// fastRecord is how many bytes must be left for readFast, so that it may load words.
const fastRecord = 32

// readFast is read for records whose numbers have at most two bytes, as most have, and that are not
// the last of their batch. It returns false, and has done nothing, if the record at c.at is another
// one, or is damaged. It loads several numbers as one word; TestBatchTwin has both.
// Without it BenchmarkDecode takes 1.3 (json200) to 2.0 times (int64) the CPU time for each record.
func (c *cursor) readFast() bool {
	buf, i := c.records, c.at
	if len(buf)-i < fastRecord {
		return false
	}
	u, n := wordVarint(binary.LittleEndian.Uint64(buf[i:]))
	i += n
	end := i + int(u>>1)
	if n == 0 || u&1 != 0 || end > len(buf) {
		return false
	}
	w := binary.LittleEndian.Uint64(buf[i:]) >> 8 // the attributes have no meaning yet
	timeDelta, n1 := wordVarint(w)
	w >>= 8 * n1 & 63
	delta, n2 := wordVarint(w)
	w >>= 8 * n2 & 63
	k, n3 := wordVarint(w)
	if n1 == 0 || n2 == 0 || n3 == 0 || delta&1 != 0 {
		return false
	}
	i += 1 + n1 + n2 + n3
	key := absent
	if k&1 == 0 {
		key = part{int32(i), int32(i + int(k>>1))}
		i += int(k >> 1)
	}
	if len(buf)-i < 8 {
		return false
	}
	v, n := wordVarint(binary.LittleEndian.Uint64(buf[i:]))
	if n == 0 {
		return false
	}
	i += n
	value := absent
	if v&1 == 0 {
		value = part{int32(i), int32(i + int(v>>1))}
		i += int(v >> 1)
	}
	offset := c.header.base + int64(delta>>1)
	if i >= end || buf[i] >= 0x80 || buf[i]&1 != 0 || int(buf[i]>>1) >= end-i || offset > c.header.last {
		return false
	}
	r := &c.rec
	r.timestamp = c.header.baseTimestamp + (int64(timeDelta>>1) ^ -int64(timeDelta&1))
	if c.header.attributes&attributeAppended != 0 {
		r.timestamp = c.header.maxTimestamp
	}
	r.offset, r.key, r.value = offset, key, value
	r.headers, r.headerN = part{int32(i + 1), int32(end)}, int(buf[i]>>1)
	c.at = end
	c.left--
	return true
}

// wordVarint is the number of one or two bytes that a word begins with, not unfolded, and how many
// bytes it has; 0 if it has more.
func wordVarint(w uint64) (u uint64, n int) {
	if w&0x80 == 0 {
		return w & 0x7f, 1
	}
	if w&0x8000 == 0 {
		return w&0x7f | w>>1&0x3f80, 2
	}
	return 0, 0
}

// read reads the record at c.at.
func (c *cursor) read() error {
	c.left--
	buf := c.records
	length, i := varint(buf, c.at)
	if i < 0 || length < smallestRecordSize || length > int64(len(buf)-i) {
		return errCut
	}
	buf = buf[:i+int(length)]
	c.at = len(buf)
	timeDelta, i := varint(buf, i+1) // the attributes of a record have no meaning yet
	delta, i := varint(buf, i)
	if i < 0 || delta < 0 {
		return errCut
	}
	r := &c.rec
	r.timestamp = c.header.baseTimestamp + timeDelta
	if c.header.attributes&attributeAppended != 0 {
		r.timestamp = c.header.maxTimestamp
	}
	r.offset = c.header.base + delta
	if r.offset > c.header.last {
		return fmt.Errorf("a record has offset %d, expected %d at most", r.offset, c.header.last)
	}
	var ok bool
	if r.key, i, ok = sized(buf, i); !ok {
		return errCut
	}
	if r.value, i, ok = sized(buf, i); !ok {
		return errCut
	}
	n, i := varint(buf, i)
	if i < 0 || n < 0 || n > int64(len(buf)-i) {
		return errCut
	}
	r.headers, r.headerN = part{int32(i), int32(len(buf))}, int(n)
	return nil
}

// sized reads a length at buf[i] and as many bytes, and returns where they end.
func sized(buf []byte, i int) (p part, next int, ok bool) {
	n, i := varint(buf, i)
	switch {
	case i < 0 || n > int64(len(buf)-i):
		return absent, i, false
	case n < 0:
		return absent, i, true
	}
	return part{int32(i), int32(i + int(n))}, i + int(n), true
}

// bytes are the bytes of a part of the record at the cursor; has is false if there is none. They
// are valid until the batch after this one is begun.
func (c *cursor) bytes(p part) (text []byte, has bool) {
	if p.from < 0 {
		return nil, false
	}
	return c.records[p.from:p.to:p.to], true
}

// findHeader finds the last header of a name, of the record at the cursor.
func (c *cursor) findHeader(name string) (value []byte, has bool) {
	buf, i := c.records[:c.rec.headers.to], int(c.rec.headers.from)
	for range c.rec.headerN {
		var key, v part
		var ok bool
		if key, i, ok = sized(buf, i); !ok {
			break
		}
		if v, i, ok = sized(buf, i); !ok {
			break
		}
		if k, _ := c.bytes(key); string(k) == name {
			value, has = c.bytes(v)
		}
	}
	return value, has
}

// varint reads the zigzag number at buf[i] and returns where it ends. That is negative if there is
// none, also if i is negative.
func varint(buf []byte, i int) (v int64, next int) {
	if i < 0 || i > len(buf) {
		return 0, -1
	}
	v, n := binary.Varint(buf[i:min(i+maxVarintBytes, len(buf))])
	if n <= 0 {
		return 0, -1
	}
	return v, i + n
}
