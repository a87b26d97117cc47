package kafka

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/velo-engine/velo/internal/cursors"
	"github.com/velo-engine/velo/record"
	"github.com/velo-engine/velo/writers"
)

// Defaults and limits of sinks.
const (
	// DefaultCursorTopic is where sinks note which windows they have written.
	DefaultCursorTopic = "velo-cursors"

	// DefaultTransactionTimeout is when a broker gives up a transaction. A longer outage costs a
	// second try, and nothing else.
	DefaultTransactionTimeout = time.Minute

	// DefaultWindowBytes bounds the rows of one window, which are in memory until it has ended.
	DefaultWindowBytes = 256 << 20

	// deliveryTimeout is how long one Write of a sink without transactions tries before it says so.
	deliveryTimeout = 10 * time.Second
)

// A Mode says how rows become records.
type Mode string

// The modes.
const (
	Append Mode = "append" // each row is a record
	Upsert Mode = "upsert" // a row replaces the last one of its key; a deleted one is a tombstone
)

// A KeyFormat says how the columns of a key are written.
type KeyFormat string

// The key formats.
const (
	KeyJSON KeyFormat = "json" // an object of the columns
	KeyText KeyFormat = "text" // one column of type text, as it is
)

// SinkConfig says where rows go.
type SinkConfig struct {
	Client ClientConfig
	Topic  string
	// Name tells the sinks of one job apart.
	Name string

	// Schema is what is written. With Changes, its first column says upsert or delete, and in mode
	// Upsert it is no part of a value.
	Schema  *record.Schema
	Changes bool

	Mode Mode // "" is Append
	// Keys are the columns of the records' keys. Records of one key go to one partition, the one
	// that Java's clients choose. Without keys any partition is taken. Upsert needs the columns
	// that tell the rows apart.
	Keys      []string
	KeyFormat KeyFormat // "" is KeyJSON

	// CursorTopic is where the sink notes which windows it has written: a compacted topic with one
	// partition, which is made if it is not there; "" is DefaultCursorTopic.
	CursorTopic string
	// TransactionTimeout is when a broker gives up a transaction; 0 is DefaultTransactionTimeout.
	TransactionTimeout time.Duration
	// WindowBytes bounds the rows of a window; 0 is DefaultWindowBytes.
	WindowBytes int
	// Compression packs batches; the zero value takes franz-go's preference.
	Compression []kgo.CompressionCodec
}

// Validate reports every fault at once.
func (c *SinkConfig) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("kafka: "+format, args...)) }
	if _, err := c.Client.options(); err != nil {
		faults = append(faults, err)
	}
	if c.Topic == "" {
		fault("no topic")
	}
	if c.Schema == nil {
		fault("no schema")
		return errors.Join(faults...)
	}
	if c.Mode != "" && c.Mode != Append && c.Mode != Upsert {
		fault("mode %q, expected %s or %s", c.Mode, Append, Upsert)
	}
	if c.Mode == Upsert && len(c.Keys) == 0 {
		fault("mode upsert needs a key, and the result has no columns that tell its rows apart: select all columns " +
			"of " +
			"GROUP BY as they are, and window_start or window_end")
	}
	for _, name := range c.Keys {
		if i, ok := c.Schema.Index(name); !ok {
			fault("there is no column %q for the key", name)
		} else if c.KeyFormat == KeyText && c.Schema.Field(i).Type != record.String {
			fault("column %q is the key as text and is %v, expected text", name, c.Schema.Field(i).Type)
		}
	}
	if c.KeyFormat != "" && c.KeyFormat != KeyJSON && c.KeyFormat != KeyText {
		fault("key format %q, expected %s or %s", c.KeyFormat, KeyJSON, KeyText)
	}
	if c.KeyFormat == KeyText && len(c.Keys) != 1 {
		fault("%d columns of the key, and a key as text has one", len(c.Keys))
	}
	if c.TransactionTimeout < 0 || c.WindowBytes < 0 || int64(c.WindowBytes) > math.MaxUint32 {
		fault("a transaction timeout of %v and %d bytes of a window, expected 0 or more, and less than 4 GiB",
			c.TransactionTimeout, c.WindowBytes)
	}
	return errors.Join(faults...)
}

// A Sink writes rows to a topic. With an engine that keeps its state each row is written exactly
// once: a window in one transaction together with a note in the cursor topic of which window it
// is (record.Committer), and rows that are in no such window in numbered transactions
// (record.Transactional). Without a state a row is written at least once, by an idempotent
// producer.
type Sink struct {
	cfg  SinkConfig
	rows *encoder

	// client produces. In a transaction it is replaced when it has failed.
	client *kgo.Client

	// The next fields are for transactions. id is the transactional id; "" if there are none.
	id, job     string
	incarnation string
	starts      uint64
	closed      bool
	// stale says that the client must be replaced, and the cursor be read, before anything else.
	stale bool

	mu sync.Mutex
	// done is what is written for good. Save reads it on another goroutine.
	done note
}

// NewSink checks that the brokers and the topic can be reached. It takes some seconds at most.
func NewSink(ctx context.Context, cfg SinkConfig) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Mode, cfg.KeyFormat = cmp.Or(cfg.Mode, Append), cmp.Or(cfg.KeyFormat, KeyJSON)
	cfg.CursorTopic = cmp.Or(cfg.CursorTopic, DefaultCursorTopic)
	cfg.TransactionTimeout = cmp.Or(cfg.TransactionTimeout, DefaultTransactionTimeout)
	cfg.WindowBytes = cmp.Or(cfg.WindowBytes, DefaultWindowBytes)
	rows, err := newEncoder(&cfg)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	s := &Sink{cfg: cfg, rows: rows, done: note{Note: cursors.Note{Window: cursors.None}}}
	s.client, err = s.newClient(kgo.RecordDeliveryTimeout(deliveryTimeout))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	err = patiently(ctx, func() error {
		topics, err := kadm.NewClient(s.client).ListTopics(ctx, cfg.Topic)
		if err == nil {
			err = topics[cfg.Topic].Err
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			err = errNoTopic
		}
		return err
	})
	if err != nil {
		s.client.Close()
		if errors.Is(err, errNoTopic) {
			return nil, fmt.Errorf("kafka: there is no topic %q, or the user may not see it", cfg.Topic)
		}
		return nil, fmt.Errorf("kafka: topic %q of %v: %w", cfg.Topic, cfg.Client.Brokers, advised(err))
	}
	return s, nil
}

// newClient makes a client that produces.
func (s *Sink) newClient(more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := s.cfg.Client.options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, kgo.DefaultProduceTopic(s.cfg.Topic), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil))) // murmur2, as Java's clients
	if len(s.cfg.Compression) > 0 {
		opts = append(opts, kgo.ProducerBatchCompression(s.cfg.Compression...))
	}
	client, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return client, nil
}

// Write takes the rows of a batch. If windows are committed, it only keeps them until EndWindow.
func (s *Sink) Write(ctx context.Context, b *record.Batch) error {
	if s.id != "" {
		if err := s.rows.add(b); err != nil {
			return fmt.Errorf("kafka: %w", err)
		}
		if n := s.rows.bytes(); n > s.cfg.WindowBytes {
			return fmt.Errorf("kafka: topic %q: a window of more than %d bytes: window.bytes (SinkConfig.WindowBytes) "+
				"allows more, and shorter windows need less", s.cfg.Topic, s.cfg.WindowBytes)
		}
		return nil
	}
	s.rows.forget() // after an error the client may still have the bytes of the last batch
	if err := s.rows.add(b); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	o := &outgoing{client: s.client}
	o.add(ctx, s.rows.records())
	err := o.wait(ctx)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("kafka: topic %q: %w", s.cfg.Topic, advised(err))
	if isFinal(err) || ctx.Err() != nil {
		return err
	}
	return record.Transient(err)
}

// outgoing are records on their way.
type outgoing struct {
	client *kgo.Client
	mu     sync.Mutex
	failed error
}

// add sends records. It may wait until there is room for them.
func (o *outgoing) add(ctx context.Context, records []kgo.Record) {
	for i := range records {
		o.client.Produce(ctx, &records[i], o.sent)
	}
}

// sent is called when a record has been acknowledged, or cannot be.
func (o *outgoing) sent(r *kgo.Record, err error) {
	if err != nil {
		err = fmt.Errorf("partition %d: %w", r.Partition, err)
		o.mu.Lock()
		o.failed = cmp.Or(o.failed, err)
		o.mu.Unlock()
	}
}

// wait waits until all records have been acknowledged.
func (o *outgoing) wait(ctx context.Context) error {
	err := o.client.Flush(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	return cmp.Or(o.failed, err)
}

// isFinal says whether an error comes again whatever is tried.
func isFinal(err error) bool {
	for _, final := range []error{
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.UnsupportedVersion,
		kerr.InvalidTopicException, kerr.InvalidTransactionTimeout, kerr.PolicyViolation,
		kerr.SaslAuthenticationFailed, cursors.ErrReplaced, errOtherJob,
	} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// Abort drops the rows of a window that has not ended: see connect.Aborter.
func (s *Sink) Abort(error) { s.rows.clear() }

// Close closes the client. Rows of a window that has not ended are dropped. Closing again does
// nothing.
func (s *Sink) Close() error {
	if !s.closed {
		s.closed = true
		s.client.Close()
	}
	return nil
}

// encoder makes keys and values of rows. It keeps them one after the other, because a window may
// have to be written again.
type encoder struct {
	cfg    *SinkConfig
	values texts
	keys   texts
	value  *projected
	key    *projected // nil without a key
	text   int        // the column that is the key as text; -1 if none is
}

// texts are parts of records, one after the other.
type texts struct {
	text []byte
	ends []int // where each ends; ^end for a record without this part, whatever the text has there
}

// projected is some columns of a batch, as a batch.
type projected struct {
	columns []int
	schema  *record.Schema
	batch   *record.Batch

	lines bytes.Buffer
	write *writers.NDJSON
}

// newProjected makes a projection on columns.
func newProjected(s *record.Schema, columns []int) (*projected, error) {
	var fields []record.Field
	for _, i := range columns {
		fields = append(fields, s.Field(i))
	}
	schema, err := record.NewSchema(s.Name(), fields...)
	p := &projected{columns: columns, schema: schema}
	p.write = writers.NewNDJSON(&p.lines)
	return p, err
}

// of returns the columns of a batch. They are valid as long as the batch.
func (p *projected) of(b *record.Batch) *record.Batch {
	if p.batch == nil || p.batch.Cap() < b.Len() {
		p.batch = record.NewBatch(p.schema, max(b.Cap(), b.Len()))
	}
	p.batch.Reset()
	for i, column := range p.columns {
		*p.batch.Column(i) = *b.Column(column)
	}
	p.batch.SetLen(b.Len())
	return p.batch
}

func newEncoder(cfg *SinkConfig) (e *encoder, err error) {
	e = &encoder{cfg: cfg, text: -1}
	var values, keys []int
	for i := range cfg.Schema.Len() {
		if i > 0 || !cfg.Changes || cfg.Mode != Upsert {
			values = append(values, i)
		}
	}
	if e.value, err = newProjected(cfg.Schema, values); err != nil {
		return nil, err
	}
	for _, name := range cfg.Keys {
		i, _ := cfg.Schema.Index(name)
		keys = append(keys, i)
	}
	switch {
	case len(keys) == 0:
	case cfg.KeyFormat == KeyText:
		e.text = keys[0]
	default:
		e.key, err = newProjected(cfg.Schema, keys)
	}
	return e, err
}

// add encodes the rows of a batch.
func (e *encoder) add(b *record.Batch) error {
	if err := e.value.objects(&e.values, b); err != nil {
		return err
	}
	if e.key != nil {
		if err := e.key.objects(&e.keys, b); err != nil {
			return err
		}
	}
	if e.text >= 0 {
		c := b.Column(e.text)
		for row := range b.Len() {
			if c.Null(row) {
				e.keys.ends = append(e.keys.ends, ^len(e.keys.text))
				continue
			}
			e.keys.text = append(e.keys.text, c.View(row)...)
			e.keys.ends = append(e.keys.ends, len(e.keys.text))
		}
	}
	if e.cfg.Changes && e.cfg.Mode == Upsert {
		first := len(e.values.ends) - b.Len()
		for row := range b.Len() {
			if string(b.Column(0).View(row)) == "delete" {
				e.values.ends[first+row] = ^e.values.ends[first+row]
			}
		}
	}
	return nil
}

// objects encodes each row as a JSON object.
func (p *projected) objects(to *texts, b *record.Batch) error {
	p.lines.Reset()
	if err := errors.Join(p.write.Write(context.Background(), p.of(b)), p.write.Flush()); err != nil {
		return err
	}
	rows := 0
	for text := p.lines.Bytes(); len(text) > 0; rows++ {
		n := bytes.IndexByte(text, '\n')
		if n < 0 {
			n = len(text) - 1
		}
		to.text = append(to.text, text[:n]...)
		to.ends = append(to.ends, len(to.text))
		text = text[n+1:]
	}
	if rows != b.Len() {
		return fmt.Errorf("%d rows have become %d lines", b.Len(), rows)
	}
	return nil
}

// clear forgets all rows.
func (e *encoder) clear() {
	e.values.text, e.values.ends, e.keys.text, e.keys.ends = e.values.text[:0], e.values.ends[:0], e.keys.text[:0],
		e.keys.ends[:0]
}

// forget is clear for rows whose bytes somebody else has.
func (e *encoder) forget() { e.values, e.keys = texts{}, texts{} }

// bytes is how much memory the rows take.
func (e *encoder) bytes() int {
	return len(e.values.text) + len(e.keys.text) + 8*(len(e.values.ends)+len(e.keys.ends))
}

// records makes records of the rows. franz-go writes to them, so each try has its own.
func (e *encoder) records() []kgo.Record {
	all := make([]kgo.Record, len(e.values.ends))
	value, key := 0, 0
	for i := range all {
		all[i].Value, value = e.values.next(i, value)
		if len(e.keys.ends) > 0 {
			all[i].Key, key = e.keys.next(i, key)
		}
	}
	return all
}

// next is part i, which begins at from, or nil if there is none, and where the next one begins.
func (p *texts) next(i, from int) ([]byte, int) {
	end := p.ends[i]
	if end < 0 {
		return nil, ^end
	}
	return p.text[from:end:end], end
}
