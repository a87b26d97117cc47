package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

const (
	// pollBytes is how much of values and texts is gathered for a batch: it stays in the
	// second-level cache until it is parsed.
	pollBytes = 256 << 10

	// pollRecords bounds the records that one Poll looks at, also if none of them is a row.
	pollRecords = 1 << 16

	// longKeyBytes is the length of a key or raw value that is a number.
	longKeyBytes = 8
)

// A Reader reads some partitions of a topic. It is a record.Poller, a record.Notifier, and a
// record.Durable.
type Reader struct {
	consumer *consumer
	lay      *layout
	name     string
	// fresh says that the partition has appeared while the engine ran.
	fresh bool

	messages *readers.Messages // nil for formats Raw, Avro and Protobuf
	coded    *schemaDecoder    // of Avro and Protobuf; nil for other formats
	inner    *record.Batch     // what the values are parsed into

	parts []*partition
	turn  int
	begun bool

	// The records that have been gathered, and from which on they have not been given out. All of
	// them are of one partition.
	of      *partition
	offsets []int64
	from    int
	meta    []gathered
	text    []byte // keys, headers and raw values
	seen    int    // records that the current Poll has looked at

	unpacker unpacker
	keys     *keyCheck // nil if the whole topic is read

	// wakes has the function that wakes the engine; ready does the same for Read. Any goroutine of
	// the consumer calls it after the queue has got something, so it needs no order of its own: the
	// queue's lock has one.
	wakes atomic.Pointer[func()]
	ready chan struct{}

	mu     sync.Mutex
	handed []*partition // partitions that another goroutine has given to this reader
	// hasMore says that handed is not empty. It is set under mu after handed, and a Poll that
	// overlooks it sees it the next time.
	hasMore atomic.Bool
	owned   int // how many partitions it has, also those in handed

	// closed is set by Close, which comes after the last Poll unless the caller is wrong.
	closed atomic.Bool

	tombstones atomic.Uint64 // Statistic.
}

// gathered is a metaColumn of the records that have been gathered.
type gathered struct {
	metaColumn
	ints  []int64
	views []record.View
	nulls []bool
	any   bool // some are NULL
	valid []uint64
}

// newReader makes a reader without partitions.
func (c *consumer) newReader() (*Reader, error) {
	lay, err := newLayout(c.cfg)
	if err != nil {
		return nil, err
	}
	r := &Reader{consumer: c, lay: lay, ready: make(chan struct{}, 1)}
	if r.messages, err = lay.parser(c.cfg); err != nil {
		return nil, err
	}
	if c.registry != nil {
		r.coded = newSchemaDecoder(c.cfg, lay.inner, c.registry)
	}
	if c.cfg.Share.Of > 0 {
		r.keys = newKeyCheck(c.cfg.Topic, c.total)
	}
	for _, m := range lay.meta {
		r.meta = append(r.meta, gathered{metaColumn: m})
	}
	c.mu.Lock()
	c.readers = append(c.readers, r)
	c.open++
	c.mu.Unlock()
	return r, nil
}

// own gives a partition to a reader that is not polled yet.
func (r *Reader) own(p *partition) {
	p.cursor.unpack = func(batch []byte, codec kgo.CompressionCodecType) ([]byte, error) {
		out, err := r.unpacker.unpack(p.unpacked, batch, codec)
		if err == nil {
			p.unpacked = out // one batch of a partition is unpacked at a time
		}
		return out, err
	}
	p.mu.Lock()
	p.reader = r
	p.mu.Unlock()
	r.parts = append(r.parts, p)
	r.mu.Lock()
	r.owned++
	r.mu.Unlock()
}

// setName names the reader after the partitions that it begins with.
func (r *Reader) setName() {
	var ids []string
	for _, p := range r.parts {
		ids = append(ids, strconv.Itoa(int(p.id)))
	}
	r.name = splitPrefix(r.consumer.cfg.Topic) + strings.Join(ids, ",")
}

// hand gives a partition to a reader that is polled.
func (r *Reader) hand(p *partition) {
	r.mu.Lock()
	r.handed = append(r.handed, p)
	r.owned++
	r.mu.Unlock()
	p.mu.Lock()
	p.reader = r // nobody else shall take it
	p.mu.Unlock()
	r.hasMore.Store(true)
	r.wake()
}

// takeHanded takes up partitions that it was handed.
func (r *Reader) takeHanded() {
	r.mu.Lock()
	handed := r.handed
	r.handed = nil
	r.owned -= len(handed) // own counts them again
	r.hasMore.Store(false)
	r.mu.Unlock()
	for _, p := range handed {
		r.own(p)
	}
	r.activate()
}

// count is how many partitions it has.
func (r *Reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owned
}

// String names the reader.
func (r *Reader) String() string { return r.name }

// Notify takes the function that is called when there is something to poll.
func (r *Reader) Notify(wake func()) { r.wakes.Store(&wake) }

func (r *Reader) wake() {
	if wake := r.wakes.Load(); wake != nil {
		(*wake)()
	}
	select {
	case r.ready <- struct{}{}:
	default:
	}
}

// Columns says which columns are read: see record.Projector.
func (r *Reader) Columns(read []bool) {
	if r.lay.inner == nil {
		return
	}
	var values []bool
	for _, column := range r.lay.values {
		values = append(values, read[column])
	}
	if r.coded != nil {
		r.coded.columns(values)
		return
	}
	r.messages.Columns(values)
}

// activate begins to fetch.
func (r *Reader) activate() {
	r.begun = true
	for _, p := range r.parts {
		p.mu.Lock()
		p.active = true
		p.mu.Unlock()
	}
	r.consumer.kickAll()
}

// ResumeFrom goes on where the partitions stood: see record.Resumer.
func (r *Reader) ResumeFrom(saved []record.Position) (resumed []string, now []record.Position, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	known := slices.ContainsFunc(saved, func(s record.Position) bool {
		return strings.HasPrefix(s.Split, splitPrefix(r.consumer.cfg.Topic))
	})
	for _, p := range r.parts {
		i := slices.IndexFunc(saved, func(s record.Position) bool { return s.Split == p.split })
		switch {
		case i >= 0:
			at, err := parsePosition(saved[i].Offset)
			if err == nil {
				err = patiently(ctx, func() error { return r.consumer.resume(ctx, p, &at) })
			}
			if err != nil {
				return nil, nil, r.consumer.partitionError(p.id, err)
			}
			resumed = append(resumed, p.split)
		case known && !r.fresh:
			// It has appeared since, so nothing of it was read.
			var first int64
			err := patiently(ctx, func() (err error) {
				first, _, err = r.consumer.bounds(ctx, p.id)
				return err
			})
			if err != nil {
				return nil, nil, r.consumer.partitionError(p.id, err)
			}
			p.begin(first, -1)
		}
		at := position{r.consumer.id, p.cursor.next, p.cursor.epoch}
		now = append(now, record.Position{Split: p.split, Offset: at.append(nil)})
	}
	r.activate()
	return resumed, now, nil
}

// resume has a partition go on at a saved position, or says why it cannot.
func (c *consumer) resume(ctx context.Context, p *partition, at *position) error {
	first, last, err := c.bounds(ctx, p.id)
	if err != nil {
		return fmt.Errorf("what it has is not known: %w", err)
	}
	gap := func(next int64, err error) error {
		if !c.cfg.SkipGaps {
			return err
		}
		p.begin(next, -1)
		p.mu.Lock()
		p.gaps++
		p.skipped += uint64(max(next-at.offset, 0))
		p.mu.Unlock()
		c.cfg.say(fmt.Sprintf("%s/%d: skipped: %v; reading goes on at offset %d", c.cfg.Topic, p.id, firstLine(err),
			next))
		return nil
	}
	if otherTopic(at.topic, c.id) {
		return gap(first, fmt.Errorf("%w: when the state was saved, its id was %s, and now it is %s\n%s",
			errTopicRemade,
			idText(at.topic), idText(c.id), choices))
	}
	switch {
	case at.offset < first:
		return gap(first, goneError(at.offset, first))
	case at.offset > last:
		return gap(last, fmt.Errorf("%w: it ends at offset %d, and had been read to %d\n%s", errTruncated, last,
			at.offset,
			choices))
	}
	if at.epoch >= 0 {
		end, err := c.epochEnd(ctx, p.id, at.epoch)
		if err != nil {
			return err
		}
		if end >= 0 && end < at.offset {
			return gap(end, fmt.Errorf("%w at offset %d and written anew, and had been read to %d\n%s", errTruncated,
				end,
				at.offset, choices))
		}
	}
	p.begin(at.offset, at.epoch)
	return nil
}

// begin says where a partition is begun that is not fetched yet. Epoch is the leader epoch of what
// was read before; -1 if that is not known.
func (p *partition) begin(next int64, epoch int32) {
	p.mu.Lock()
	p.next, p.epoch = next, epoch
	p.mu.Unlock()
	p.cursor.next, p.cursor.epoch = next, epoch
	p.read.Store(next)
}

// firstLine is what an error says without the choices.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

// Durable commits the offsets for tools that show the lag: see record.Durable.
func (r *Reader) Durable(saved []record.Position) {
	c := r.consumer
	if c.cfg.Group == "" {
		return
	}
	var offsets kadm.Offsets
	for _, s := range saved {
		at, err := parsePosition(s.Offset)
		number, _, _ := strings.Cut(strings.TrimPrefix(s.Split, splitPrefix(c.cfg.Topic)), " ")
		id, errID := strconv.Atoi(number)
		if err == nil && errID == nil {
			offsets.AddOffset(c.cfg.Topic, int32(id), at.offset, at.epoch)
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, requestTimeout)
	defer cancel()
	committed, err := kadm.NewClient(c.client).CommitOffsets(ctx, c.cfg.Group, offsets)
	if err == nil {
		err = committed.Error()
	}
	if err != nil && c.ctx.Err() == nil {
		c.cfg.say(fmt.Sprintf("the offsets of group %s were not committed: %v", c.cfg.Group, err))
	}
}

// Read is Poll, but waits until there is something.
func (r *Reader) Read(ctx context.Context, b *record.Batch) error {
	for {
		err := r.Poll(b)
		if err != nil || b.Len() > 0 || len(b.Rejects()) > 0 {
			return err
		}
		select {
		case <-r.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Poll reads records of one partition, up to the capacity of the batch.
func (r *Reader) Poll(b *record.Batch) error {
	if r.closed.Load() {
		return fmt.Errorf("kafka: %s: %w", r.name, os.ErrClosed)
	}
	if !r.begun {
		r.activate()
	}
	if r.hasMore.Load() {
		r.takeHanded()
	}
	r.seen = 0
	for r.pending() == 0 && len(b.Rejects()) == 0 {
		some, err := r.gather(b)
		if err != nil {
			return err
		}
		if !some {
			for _, p := range r.parts { // past what is no record, too: ends of transactions
				if !p.again {
					p.read.Store(p.cursor.next)
				}
			}
			if r.ended() {
				return io.EOF
			}
			return nil
		}
		if r.seen >= pollRecords && r.pending() == 0 {
			r.wake() // there is more
			return nil
		}
	}
	// What was set aside while gathering may leave no room for what the parser sets aside.
	if r.pending() > 0 && len(b.Rejects()) == 0 {
		r.give(b)
	}
	r.setPosition(b)
	return nil
}

// pending is how many records have been gathered and not given out.
func (r *Reader) pending() int { return len(r.offsets) - r.from }

// ended says whether all partitions have been read to where reading ends.
func (r *Reader) ended() bool {
	for _, p := range r.parts {
		if !p.isRead() {
			return false
		}
	}
	return true
}

// isRead says whether a partition has been read to where reading ends. A record that comes again
// has not been read, although the cursor is after it.
func (p *partition) isRead() bool { return p.end >= 0 && p.cursor.next >= p.end && !p.again }

// setPosition says how far the partition of a batch has been read.
func (r *Reader) setPosition(b *record.Batch) {
	p := r.of
	at := position{r.consumer.id, p.cursor.next, p.cursor.epoch}
	if r.pending() > 0 {
		at.offset = r.offsets[r.from]
	} else if p.again {
		at.offset = p.cursor.rec.offset
	}
	p.position = at.append(p.position[:0])
	b.SetPosition(p.split, p.position)
	p.read.Store(at.offset)
}

// Lag says how many offsets the broker has after what has been read of each partition, as of its
// last answer. The lag of a partition of which it has not answered yet is unknown. Ends of
// transactions have offsets, too.
func (r *Reader) Lag() (lag []record.Lag) {
	c := r.consumer
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		p.mu.Lock()
		switch {
		case p.reader != r:
		case p.active && p.heard:
			lag = append(lag, record.Lag{Split: p.split, Records: uint64(max(p.stable-p.read.Load(), 0))})
		default:
			lag = append(lag, record.Lag{Split: p.split, Unknown: true})
		}
		p.mu.Unlock()
	}
	return lag
}

// gather gathers records of the next partition that has some. It returns false if none has.
func (r *Reader) gather(b *record.Batch) (some bool, err error) {
	r.offsets, r.text, r.from = r.offsets[:0], r.text[:0], 0
	for i := range r.meta {
		m := &r.meta[i]
		m.ints, m.views, m.nulls, m.any = m.ints[:0], m.views[:0], m.nulls[:0], false
	}
	for range r.parts {
		p := r.parts[r.turn%len(r.parts)]
		r.turn++
		if p.isRead() {
			continue
		}
		r.of = p
		some, err := r.fill(p, b)
		if some || err != nil {
			return some, err
		}
	}
	return false, nil
}

// fill gathers records of a partition. It returns whether anything has been read, which may be
// nothing but records that are passed over.
func (r *Reader) fill(p *partition, b *record.Batch) (some bool, err error) {
	began := p.cursor.next
	for len(r.offsets) < b.Cap() && r.bytes() < pollBytes && r.seen < pollRecords {
		ok := p.again
		p.again = false
		if !ok {
			ok, err = r.next(p)
		}
		some = p.cursor.next > began || len(r.offsets) > 0 || len(b.Rejects()) > 0
		switch {
		case err != nil && some:
			return true, nil // it comes again when what was read before has been given out
		case err != nil || !ok:
			return some, err
		}
		if p.end >= 0 && p.cursor.rec.offset >= p.end {
			p.cursor.next = p.end
			p.cursor.stop()
			return true, nil
		}
		if r.coded != nil {
			known, err := r.knows(p)
			if !known {
				p.again = true
				if len(r.offsets) > 0 || len(b.Rejects()) > 0 {
					return true, nil // what was read before comes first
				}
				return false, err
			}
		}
		r.seen++
		if !r.add(p, b) {
			p.again = true
			break
		}
	}
	return p.cursor.next > began || len(r.offsets) > 0 || len(b.Rejects()) > 0, nil
}

// knows says whether the value at the cursor, which has a schema, can be parsed now. It waits for
// its schema, and the goroutine that fetches it wakes the reader. The error ends the source.
func (r *Reader) knows(p *partition) (bool, error) {
	value, _ := p.cursor.bytes(p.cursor.rec.value)
	known, err := r.coded.ready(value)
	if err != nil {
		err = r.consumer.partitionError(p.id, err)
	}
	return known, err
}

// next goes to the next record of a partition. It returns false if nothing has been fetched.
func (r *Reader) next(p *partition) (ok bool, err error) {
	for {
		ok, err = p.cursor.advance()
		if err == nil && ok {
			err = r.checkKey(p)
		}
		if err != nil {
			p.cursor.stop()
			p.mu.Lock()
			p.queue, p.queued = nil, 0 // nothing after it may be read
			p.mu.Unlock()
			p.fail(r.consumer.partitionError(p.id, err)) // take returns it
			continue
		}
		if ok {
			return true, nil
		}
		p.from.release() // all of it has been read
		p.from = nil
		k, ok, resumed, err := p.take(r.consumer.ahead)
		if resumed {
			r.consumer.kick(p)
		}
		if err != nil || !ok {
			return false, err
		}
		p.from = k.from
		p.cursor.begin(&k)
	}
}

// bytes is how much has been gathered.
func (r *Reader) bytes() int {
	n := len(r.text)
	if r.messages != nil && r.messages.Len() > 0 {
		n += r.messages.Bytes()
	}
	if r.coded != nil && r.coded.len() > 0 {
		n += r.coded.bytes()
	}
	return n
}

// emptyObject is a JSON object whose columns are all NULL.
var emptyObject = []byte("{}")

var (
	errNoValue     = errors.New("the record has no value")
	errNoTimestamp = errors.New("the record has no timestamp, or one that is out of range")
)

// add gathers the record at the cursor. It returns false if it must be set aside and the batch
// has no room for that.
func (r *Reader) add(p *partition, b *record.Batch) bool {
	rec := &p.cursor.rec
	value, hasValue := p.cursor.bytes(rec.value)
	if !hasValue {
		switch r.consumer.cfg.Tombstones {
		case SkipTombstones:
			r.tombstones.Add(1)
			return true
		case RejectTombstones:
			return r.aside(b, p, rec, errNoValue)
		}
	}
	text := len(r.text)
	for i := range r.meta {
		m := &r.meta[i]
		err := r.addMeta(m, p, rec)
		if err != nil {
			for j := range i { // undo
				done := &r.meta[j]
				done.ints, done.views, done.nulls = cut(done.ints, len(r.offsets)), cut(done.views, len(r.offsets)),
					cut(done.nulls, len(r.offsets))
			}
			r.text = r.text[:text]
			return r.aside(b, p, rec, err)
		}
	}
	switch {
	case r.coded != nil:
		r.coded.add(value) // without a value it is a row of NULLs
	case r.messages == nil:
	case hasValue:
		r.messages.Add(value)
	default:
		r.messages.Add(emptyObject)
	}
	r.offsets = append(r.offsets, rec.offset)
	return true
}

func cut[T any](s []T, n int) []T { return s[:min(n, len(s))] }

// addMeta gathers one column of a record.
func (r *Reader) addMeta(m *gathered, p *partition, rec *rawRecord) error {
	var number int64
	var bytes []byte
	has := true
	switch m.of {
	case ofPartition:
		number = int64(p.id)
	case ofOffset:
		number = rec.offset
	case ofTimestamp:
		number, has = rec.timestamp*int64(time.Millisecond), rec.timestamp != noTimestamp
		if rec.timestamp > math.MaxInt64/int64(time.Millisecond) ||
			rec.timestamp < math.MinInt64/int64(time.Millisecond) {
			return errNoTimestamp
		}
		if !has && !m.nullable {
			return errNoTimestamp
		}
	case ofKey:
		bytes, has = p.cursor.bytes(rec.key)
	case ofValue:
		bytes, has = p.cursor.bytes(rec.value)
	case ofHeader:
		bytes, has = p.cursor.findHeader(m.header)
	}
	if !has && !m.nullable {
		return fmt.Errorf("column %q: there is no such part of the record, and the column is not nullable", m.name)
	}
	if m.text {
		m.views = append(m.views, record.View{Off: uint32(len(r.text)), Len: uint32(len(bytes))})
		r.text = append(r.text, bytes...)
	} else {
		if has && m.of >= ofHeader || has && m.of == ofKey {
			if len(bytes) != longKeyBytes {
				return fmt.Errorf("column %q: %d bytes, expected the %d of a number", m.name, len(bytes), longKeyBytes)
			}
			number = int64(binary.BigEndian.Uint64(bytes))
		}
		m.ints = append(m.ints, number)
	}
	if m.nullable {
		m.nulls = append(m.nulls, !has)
		m.any = m.any || !has
	}
	return nil
}

// aside sets a record aside. It returns false if the batch has no room for it.
func (r *Reader) aside(b *record.Batch, p *partition, rec *rawRecord, err error) bool {
	value, _ := p.cursor.bytes(rec.value)
	return b.Reject(record.Reject{Offset: rec.offset, Reason: r.poison(p, rec.offset, err), Bytes: value})
}

// poison says which record is wrong, and why.
func (r *Reader) poison(p *partition, offset int64, err error) error {
	return fmt.Errorf("%s/%d, offset %d: %w", r.consumer.cfg.Topic, p.id, offset, err)
}

// give gives out what was gathered.
func (r *Reader) give(b *record.Batch) {
	taken := r.pending()
	var rejects []record.Reject
	if r.lay.inner != nil {
		if r.inner == nil || r.inner.Cap() < b.Cap() {
			r.inner = record.NewBatch(r.lay.inner, b.Cap())
		}
		r.inner.Reset()
		if r.coded != nil {
			taken = r.coded.parse(r.inner)
		} else {
			taken = r.messages.Parse(r.inner)
		}
		rejects = r.inner.Rejects()
		for i, column := range r.lay.values {
			*b.Column(column) = *r.inner.Column(i)
		}
	}
	for i := range rejects {
		x := rejects[i]
		x.Offset = r.offsets[r.from+int(x.Offset)]
		x.Reason = r.poison(r.of, x.Offset, x.Reason)
		if !b.Reject(x) {
			panic("kafka: a batch with rejects was given more") // Poll does not give then
		}
	}
	rows := taken - len(rejects)
	for i := range r.meta {
		r.giveMeta(&r.meta[i], b, taken, rejects)
	}
	r.from += taken
	b.SetLen(rows)
}

// giveMeta lends a column of the next taken records, without those that were rejected.
func (r *Reader) giveMeta(m *gathered, b *record.Batch, taken int, rejects []record.Reject) {
	c := b.Column(m.column)
	if m.text {
		c.Views, c.Bytes = without(m.views[r.from:r.from+taken], rejects), r.text
	} else {
		c.Int64s = without(m.ints[r.from:r.from+taken], rejects)
	}
	c.Valid = nil
	if !m.any {
		return
	}
	nulls := without(m.nulls[r.from:r.from+taken], rejects)
	words := (len(nulls) + 63) / 64
	if cap(m.valid) < words {
		m.valid = make([]uint64, words)
	}
	m.valid = m.valid[:words]
	clear(m.valid)
	for i, null := range nulls {
		if !null {
			m.valid[i>>6] |= 1 << (i & 63)
		}
	}
	c.Valid = m.valid
}

// without takes the values of rejected records out, in place.
func without[T any](values []T, rejects []record.Reject) []T {
	if len(rejects) == 0 {
		return values
	}
	kept := values[:0]
	for i, v := range values {
		if len(rejects) > 0 && rejects[0].Offset == int64(i) {
			rejects = rejects[1:]
			continue
		}
		kept = append(kept, v)
	}
	return kept
}

// Close ends the reader, and the fetching with the last of them.
func (r *Reader) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	for _, p := range r.parts {
		p.mu.Lock()
		p.active, p.queue, p.queued = false, nil, 0
		p.mu.Unlock()
	}
	c := r.consumer
	c.mu.Lock()
	c.open--
	last := c.open == 0
	c.readers = slices.DeleteFunc(c.readers, func(other *Reader) bool { return other == r })
	c.mu.Unlock()
	if last {
		c.close()
	}
	return nil
}

// PartitionStats say how far a partition has been read.
type PartitionStats struct {
	Partition int32
	// Fetched is the next offset to fetch, and Stable where the partition ends, as of the last
	// response. They are of slightly different moments.
	Fetched, Stable int64
	// Buffered are the bytes that have been fetched and not been read.
	Buffered int
	// Gaps is how often records were skipped that were gone, and Skipped how many offsets they had.
	Gaps, Skipped uint64
}

// Stats are the counters of the partitions of all readers of a query. Any goroutine may call it.
func (r *Reader) Stats() (all []PartitionStats) {
	c := r.consumer
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		p.mu.Lock()
		all = append(all, PartitionStats{p.id, p.next, p.stable, p.queued, p.gaps, p.skipped})
		p.mu.Unlock()
	}
	return all
}

// Tombstones is how many records without a value this reader has skipped. Any goroutine may call
// it.
func (r *Reader) Tombstones() uint64 { return r.tombstones.Load() }
