package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// testBatch is a batch of the tests' log.
type testBatch struct {
	base      int64
	last      int64
	records   []testRecord
	codec     kgo.CompressionCodecType
	appended  bool
	txn       bool
	control   bool
	producer  int64
	epoch     int32
	timestamp int64
	maxTime   int64
}

type testRecord struct {
	offset, timestamp int64
	key, value        []byte // nil is none
	headers           []kgo.RecordHeader
}

// codecs pack batches.
var codecs = func() map[kgo.CompressionCodecType]kgo.Compressor {
	all := map[kgo.CompressionCodecType]kgo.Compressor{}
	for codec, pack := range map[kgo.CompressionCodecType]kgo.CompressionCodec{
		kgo.CodecGzip: kgo.GzipCompression(), kgo.CodecSnappy: kgo.SnappyCompression(),
		kgo.CodecLz4: kgo.Lz4Compression(), kgo.CodecZstd: kgo.ZstdCompression(),
	} {
		c, err := kgo.DefaultCompressor(pack)
		if err != nil {
			panic(err)
		}
		all[codec] = c
	}
	return all
}()

// encode makes the bytes of a batch.
func (b *testBatch) encode(t testing.TB) []byte {
	t.Helper()
	var all []byte
	sized := func(to, v []byte) []byte {
		if v == nil {
			return binary.AppendVarint(to, -1)
		}
		return append(binary.AppendVarint(to, int64(len(v))), v...)
	}
	for _, r := range b.records {
		one := []byte{0}
		one = binary.AppendVarint(one, r.timestamp-b.timestamp)
		one = binary.AppendVarint(one, r.offset-b.base)
		one = sized(sized(one, r.key), r.value)
		one = binary.AppendVarint(one, int64(len(r.headers)))
		for _, h := range r.headers {
			one = sized(sized(one, []byte(h.Key)), h.Value)
		}
		all = append(binary.AppendVarint(all, int64(len(one))), one...)
	}
	attributes := int16(b.codec)
	if b.codec != kgo.CodecNone {
		packed, codec := codecs[b.codec].Compress(&bytes.Buffer{}, all)
		all, attributes = bytes.Clone(packed), int16(codec)
	}
	for on, bit := range map[*bool]int16{
		&b.appended: attributeAppended, &b.txn: attributeInTxn,
		&b.control: attributeControl,
	} {
		if *on {
			attributes |= bit
		}
	}
	var text []byte
	text = binary.BigEndian.AppendUint64(text, uint64(b.base))
	text = binary.BigEndian.AppendUint32(text, uint32(batchHeaderBytes-batchLengthEnd+len(all)))
	text = binary.BigEndian.AppendUint32(text, uint32(b.epoch))
	text = append(text, supportedMagic, 0, 0, 0, 0)
	text = binary.BigEndian.AppendUint16(text, uint16(attributes))
	text = binary.BigEndian.AppendUint32(text, uint32(b.last-b.base))
	text = binary.BigEndian.AppendUint64(text, uint64(b.timestamp))
	text = binary.BigEndian.AppendUint64(text, uint64(b.maxTime))
	text = binary.BigEndian.AppendUint64(text, uint64(b.producer))
	text = binary.BigEndian.AppendUint16(text, 0)
	text = binary.BigEndian.AppendUint32(text, 0)
	text = binary.BigEndian.AppendUint32(text, uint32(len(b.records)))
	text = append(text, all...)
	binary.BigEndian.PutUint32(text[17:], crc32.Checksum(text[21:], castagnoli))
	return text
}

// newUnpack unpacks with memory that is used again, as a partition does.
func newUnpack() func([]byte, kgo.CompressionCodecType) ([]byte, error) {
	var u unpacker
	var memory []byte
	return func(batch []byte, codec kgo.CompressionCodecType) (out []byte, err error) {
		out, err = u.unpack(memory, batch, codec)
		memory = out
		return out, err
	}
}

// Goal: what is packed by each codec is unpacked, a few bytes that would take all memory are not.
func TestUnpack(t *testing.T) {
	var u unpacker
	huge := make([]byte, maxUnpacked+1)
	for codec, c := range codecs {
		for _, text := range [][]byte{[]byte("some text"), bytes.Repeat([]byte("abc"), 200_000)} {
			packed, _ := c.Compress(&bytes.Buffer{}, text)
			if got, err := u.unpack(nil, packed, codec); err != nil || !bytes.Equal(got, text) {
				t.Errorf("codec %d: %d bytes, %v", codec, len(got), err)
			}
		}
		packed, _ := c.Compress(&bytes.Buffer{}, huge)
		if _, err := u.unpack(nil, packed, codec); !errors.Is(err, errUnpacked) {
			t.Errorf("codec %d: %d bytes that are %d: %v", codec, len(packed), len(huge), err)
		}
	}
	// Java's producers
	var java []byte
	java = append(java, xerial...)
	java = append(java, 0, 0, 0, 1, 0, 0, 0, 1)
	for _, text := range []string{"some ", "text"} {
		block := s2.EncodeSnappy(nil, []byte(text))
		java = append(binary.BigEndian.AppendUint32(java, uint32(len(block))), block...)
	}
	if got, err := u.unpack(nil, java, kgo.CodecSnappy); err != nil || string(got) != "some text" {
		t.Errorf("%q, %v", got, err)
	}
	for n := range java[:len(java)-1] {
		if _, err := u.unpack(nil, java[:n], kgo.CodecSnappy); err == nil && n > xerialHeaderBytes && n != 27 {
			t.Errorf("%d bytes of %d are accepted", n, len(java))
		}
	}
}

// randomLog is a part of a partition with everything that may be in one: all codecs, transactions
// that were committed and aborted and overlap, headers, offsets that compaction has removed,
// batches of which nothing is left, timestamps of the broker.
func randomLog(t testing.TB, random *rand.Rand) (text []byte,
	aborted []kmsg.FetchResponseTopicPartitionAbortedTransaction, next int64,
) {
	offset := random.Int64N(1000)
	open := map[int64]int64{} // first offset of each producer's transaction
	some := func(n int) []byte {
		if random.IntN(8) == 0 {
			return nil
		}
		b := make([]byte, random.IntN(n))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return b
	}
	for range 1 + random.IntN(12) {
		producer := random.Int64N(3)
		b := testBatch{
			base: offset, codec: kgo.CompressionCodecType(random.IntN(5)), appended: random.IntN(4) == 0,
			timestamp: 1_700_000_000_000 + random.Int64N(1000), epoch: int32(random.IntN(3)), producer: producer,
		}
		b.maxTime = b.timestamp + random.Int64N(100)
		if first, ok := open[producer]; ok && random.IntN(3) == 0 {
			kind := uint16(1)
			if random.IntN(2) == 0 {
				kind = controlAbort
				aborted = append(aborted, kmsg.FetchResponseTopicPartitionAbortedTransaction{
					ProducerID:  producer,
					FirstOffset: first,
				})
			}
			delete(open, producer)
			key := binary.BigEndian.AppendUint16(make([]byte, 2, 4), kind)
			b.codec, b.txn, b.control, b.last = kgo.CodecNone, true, true, offset
			b.records = []testRecord{{offset: offset, timestamp: b.timestamp, key: key, value: []byte{
				0, 0, 0, 0,
				0, 0,
			}}}
		} else {
			if b.txn = random.IntN(2) == 0; b.txn {
				if _, ok := open[producer]; !ok {
					open[producer] = offset
				}
			} else {
				b.producer = -1
			}
			n := random.IntN(40)
			for range n {
				offset += random.Int64N(1 + random.Int64N(3))
				r := testRecord{
					offset: offset, timestamp: b.timestamp + random.Int64N(200) - 50, key: some(20),
					value: some(300),
				}
				for range random.IntN(3) {
					r.headers = append(r.headers, kgo.RecordHeader{
						Key:   fmt.Sprint("h", random.IntN(3)),
						Value: some(10),
					})
				}
				b.records = append(b.records, r)
				offset++
			}
			b.last = max(offset-1, b.base) + random.Int64N(3)
		}
		offset = b.last + 1
		text = append(text, b.encode(t)...)
	}
	random.Shuffle(len(aborted), func(i, j int) { aborted[i], aborted[j] = aborted[j], aborted[i] })
	return text, aborted, offset
}

// Goal: records that are read in place are those that franz-go makes of the same bytes. Method:
// random logs, read from random offsets, committed and uncommitted, whole and cut off; the twin is
// kgo.ProcessFetchPartition.
func TestBatchTwin(t *testing.T) {
	unpacker := kgo.DefaultDecompressor()
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 7))
		text, aborted, _ := randomLog(t, random)
		h, err := readHeader(text)
		if err != nil {
			t.Fatal(err)
		}
		from := h.base
		if random.IntN(2) == 0 {
			from += random.Int64N(50)
		}
		committed := random.IntN(2) == 0
		if random.IntN(4) == 0 {
			text = text[:h.bytes+random.IntN(len(text)-h.bytes+1)]
		}
		level := kgo.ReadUncommitted()
		if committed {
			level = kgo.ReadCommitted()
		}
		want, wantNext := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: from, IsolationLevel: level},
			&kmsg.FetchResponseTopicPartition{RecordBatches: text, AbortedTransactions: aborted}, unpacker, nil)
		if want.Err != nil {
			t.Fatalf("seed %d: the twin: %v", seed, want.Err)
		}
		e, err := measure(text, from)
		if err != nil || e.next != max(wantNext, from) {
			t.Fatalf("seed %d: next is %d, %v, expected %d", seed, e.next, err, wantNext)
		}
		c := cursor{committed: committed, next: from, epoch: -1, unpack: newUnpack()}
		k := chunk{batches: text[:e.bytes]}
		for _, a := range aborted {
			k.aborted = append(k.aborted, abortedTxn{a.ProducerID, a.FirstOffset})
		}
		sortAborted(k.aborted)
		c.begin(&k)
		for i := 0; ; i++ {
			ok, err := c.advance()
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if !ok {
				if i != len(want.Records) || c.next != wantNext {
					t.Fatalf("seed %d: %d records, next is %d, expected %d, %d", seed, i, c.next,
						len(want.Records), wantNext)
				}
				break
			}
			if i >= len(want.Records) {
				t.Fatalf("seed %d: more than %d records", seed, i)
			}
			checkRecord(t, seed, &c, want.Records[i])
		}
	}
}

func checkRecord(t *testing.T, seed uint64, c *cursor, want *kgo.Record) {
	t.Helper()
	got := &c.rec
	key, hasKey := c.bytes(got.key)
	text, hasValue := c.bytes(got.value)
	if got.offset != want.Offset || got.timestamp != want.Timestamp.UnixMilli() || !bytes.Equal(key, want.Key) ||
		!bytes.Equal(text, want.Value) || hasKey != (want.Key != nil) || hasValue != (want.Value != nil) {
		t.Fatalf("seed %d: the record is %+v, %q, %q, expected %+v", seed, *got, key, text, *want)
	}
	for _, name := range []string{"h0", "h1", "h2", "h3"} {
		var value []byte
		for _, h := range want.Headers {
			if h.Key == name {
				value = h.Value
			}
		}
		if v, has := c.findHeader(name); has != (value != nil) || !bytes.Equal(v, value) {
			t.Fatalf("seed %d: header %s is %q, %v, expected %q", seed, name, v, has, value)
		}
	}
}

// Goal: no bytes make the reader of batches panic or run on for ever, and damage is found. Method:
// bytes of random logs are changed; with a right checksum again or without.
func TestBatchDamaged(t *testing.T) {
	found := 0
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 9))
		text, _, _ := randomLog(t, random)
		for range 1 + random.IntN(3) {
			text[random.IntN(len(text))] ^= byte(1 << random.IntN(8))
		}
		for rest := text; random.IntN(4) > 0; {
			h, err := readHeader(rest)
			if err != nil {
				break
			}
			binary.BigEndian.PutUint32(rest[17:], crc32.Checksum(rest[21:h.bytes], castagnoli))
			rest = rest[h.bytes:]
		}
		e, err := measure(text, 0)
		if err != nil {
			found++
			continue
		}
		c := cursor{committed: true, epoch: -1, unpack: newUnpack()}
		c.begin(&chunk{batches: text[:e.bytes]})
		for i := 0; ; i++ {
			ok, err := c.advance()
			if err != nil {
				found++
			}
			if err != nil || !ok {
				break
			}
			if i > len(text)*300 {
				t.Fatalf("seed %d: it does not end", seed)
			}
			c.findHeader("h1")
		}
	}
	if found < 400 {
		t.Errorf("damage was found in %d of 2000 logs", found)
	}
}

// Goal: the heads of batches that are not what they should be are refused with what was expected.
func TestBatchHeads(t *testing.T) {
	whole := (&testBatch{base: 5, last: 6, records: []testRecord{{offset: 5, value: []byte("x")}}}).encode(t)
	for name, change := range map[string]func(b []byte){
		"old format":      func(b []byte) { b[16] = 1 },
		"negative length": func(b []byte) { b[8] = 0x80 },
		"short":           func(b []byte) { binary.BigEndian.PutUint32(b[8:], 20) },
		"negative end":    func(b []byte) { b[23] = 0x80 },
	} {
		b := bytes.Clone(whole)
		change(b)
		if _, err := measure(b, 0); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for n := range whole {
		if e, err := measure(whole[:n], 5); err != nil || e.bytes != 0 || e.next != 5 {
			t.Errorf("%d bytes: %+v, %v", n, e, err)
		}
	}
}
