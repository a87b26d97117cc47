package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/velo-engine/velo/readers"
	"github.com/velo-engine/velo/record"
)

// Defaults and limits of sources.
const (
	// DefaultReaders is how many readers a source makes at most.
	DefaultReaders = 64

	// DefaultFetchBytes is how much of a partition is asked for at once.
	DefaultFetchBytes = 1 << 20

	// DefaultBufferBytes is how much is fetched ahead, of all partitions of a query together. Each
	// has FetchBytes at least and 8 MiB at most.
	DefaultBufferBytes = 64 << 20

	// DefaultFetchWait is how long a broker waits for records if it has none.
	DefaultFetchWait = 500 * time.Millisecond

	// DefaultMetadataEvery is how often the brokers are asked for new partitions.
	DefaultMetadataEvery = time.Minute

	// openTimeout bounds how long it takes to find the brokers and the topic.
	openTimeout = 15 * time.Second
)

// A Format says what the values of records are.
type Format string

// The formats.
const (
	JSON Format = "json" // an object, as in readers.NDJSON
	CSV  Format = "csv"  // a line, as in readers.Delimited
	// Raw is one column: the bytes of the value if it is text, or eight bytes, big endian, if it is
	// bigint (what Java's LongSerializer writes).
	Raw Format = "raw"
	// Avro is a record in Avro's binary form, after a byte 0 and the id of its schema, which
	// SourceConfig.Registry has.
	Avro Format = "avro"
	// Protobuf is a message in Protobuf's binary form, after a byte 0, the id of its schema, which
	// SourceConfig.Registry has, and the way to the message in the schema.
	Protobuf Format = "protobuf"
)

// hasSchemas says whether values are in a format whose schemas a registry has.
func (f Format) hasSchemas() bool { return f == Avro || f == Protobuf }

// A Tombstone says what becomes of records without a value, by which a compacted topic says that a
// key is deleted.
type Tombstone string

// What may become of them.
const (
	SkipTombstones   Tombstone = "skip"   // they are counted: SourceStats.Tombstones
	TombstoneRows    Tombstone = "row"    // a row whose columns of the value are NULL
	RejectTombstones Tombstone = "reject" // they go to quarantine
)

// SourceConfig says what to read.
type SourceConfig struct {
	Client ClientConfig
	Topic  string

	// Schema has the columns. Those that are named below come from the record's key, partition,
	// offset, timestamp and headers, all others from its value.
	Schema *record.Schema
	// Format is the format of the values; "" is JSON.
	Format Format
	// Values says how the values of JSON and CSV are written (of Avro and Protobuf only TimeUnit
	// counts), and Delimiter and Quote how CSV is: 0 is a comma, and no quotes.
	Values readers.ValueOptions
	// Registry has the schemas of values in Avro and Protobuf.
	Registry         RegistryConfig
	Delimiter, Quote byte

	// Key, Partition, Offset and Timestamp name the columns that they go to; "" is none. A key is
	// text, or bigint if it has eight bytes. Headers has the name of the header for each column, a
	// text.
	Key, Partition, Offset, Timestamp string
	Headers                           map[string]string

	// Start is where partitions begin that have not been read before; the zero Start is Earliest. A
	// partition that appears later always begins with its first record.
	Start Start
	// UntilEnd ends the source where the topic ends when the readers are made.
	UntilEnd bool

	// untilHigh has UntilEnd mean the high watermark, after which nothing was written, and not
	// the last stable offset. The end comes when the transactions before it have ended.
	untilHigh bool

	// ownMemory leaves the memory of responses to the client. It is the twin of responses.go.
	ownMemory bool

	// Share is the part of the topic that this process reads; the zero Share is all of it.
	Share Share

	// ReadUncommitted reads records of transactions that are open or were aborted, too.
	ReadUncommitted bool
	// Tombstones says what becomes of records without a value; "" is SkipTombstones.
	Tombstones Tombstone

	// Group is a consumer group to commit offsets to when they are durable, so that tools show the
	// lag; "" is none. They are never read.
	Group string

	// SkipGaps goes on with what there is if a position cannot be gone on with: records are gone,
	// the log was cut off, or another topic has the name. What is missing is said and counted.
	// Without it each of these is an error. It is for one start.
	SkipGaps bool

	// Readers bounds the readers; 0 is DefaultReaders.
	Readers int
	// FetchBytes is how much of a partition is asked for at once, and BufferBytes how much of all
	// is fetched ahead; 0 is DefaultFetchBytes and DefaultBufferBytes.
	FetchBytes, BufferBytes int
	// MaxRecordBytes is the longest value; 0 is readers.DefaultMaxRecordBytes.
	MaxRecordBytes int
	// FetchWait is how long a broker waits for records if it has none; 0 is DefaultFetchWait.
	FetchWait time.Duration
	// MetadataEvery is how often new partitions are looked for; 0 is DefaultMetadataEvery.
	MetadataEvery time.Duration

	// Say is told what the user should know, as one line: gaps that are skipped, brokers that are
	// out of reach, new partitions. Any goroutine may call it; nil tells nobody.
	Say func(text string)
}

func (c *SourceConfig) say(text string) {
	if c.Say != nil {
		c.Say(text)
	}
}

// Validate reports every fault at once.
func (c *SourceConfig) Validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("kafka: "+format, args...)) }
	if _, err := c.Client.options(); err != nil {
		faults = append(faults, err)
	}
	if c.Topic == "" {
		fault("no topic")
	}
	if !slices.Contains([]Tombstone{"", SkipTombstones, TombstoneRows, RejectTombstones}, c.Tombstones) {
		fault("tombstones %q, expected %s, %s or %s", c.Tombstones, SkipTombstones, TombstoneRows, RejectTombstones)
	}
	for name, n := range map[string]int{
		"readers": c.Readers, "bytes of a fetch": c.FetchBytes, "bytes to buffer": c.BufferBytes,
		"bytes of a record": c.MaxRecordBytes, "time to wait": int(c.FetchWait),
		"time between looks": int(c.MetadataEvery),
	} {
		if n < 0 {
			fault("%d %s, expected 0 or more", n, name)
		}
	}
	if err := c.Share.fault(); err != nil {
		fault("%w", err)
	}
	if c.FetchBytes > maxFetchBytes {
		fault("%d bytes of a fetch, expected %d at most", c.FetchBytes, maxFetchBytes)
	}
	if c.Format.hasSchemas() {
		err := c.Registry.fault()
		if err != nil {
			fault("%w", err)
		}
	}
	if _, err := newLayout(c); err != nil {
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// fill replaces zeros by defaults.
func (c *SourceConfig) fill() {
	c.Format, c.Tombstones = cmp.Or(c.Format, JSON), cmp.Or(c.Tombstones, SkipTombstones)
	c.Readers, c.FetchBytes = cmp.Or(c.Readers, DefaultReaders), cmp.Or(c.FetchBytes, DefaultFetchBytes)
	c.BufferBytes, c.FetchWait = cmp.Or(c.BufferBytes, DefaultBufferBytes), cmp.Or(c.FetchWait, DefaultFetchWait)
	c.MetadataEvery = cmp.Or(c.MetadataEvery, DefaultMetadataEvery)
	if c.Start == (Start{}) {
		c.Start = Earliest
	}
}

// A Source is a topic that is read.
type Source struct{ cfg SourceConfig }

// NewSource checks that the brokers and the topic can be reached. It takes some seconds at most.
func NewSource(ctx context.Context, cfg SourceConfig) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.fill()
	s := &Source{cfg: cfg}
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	c.close()
	return s, nil
}

// errNoTopic says that the brokers do not know the topic.
var errNoTopic = errors.New("there is no such topic")

// connect makes the client of one query and finds the topic.
func (s *Source) connect(ctx context.Context) (*consumer, error) {
	cfg := s.cfg
	opts, err := cfg.Client.options()
	if err != nil {
		return nil, err
	}
	memory := newResponses()
	if !cfg.ownMemory {
		opts, err = memory.dialer(opts)
		if err != nil {
			return nil, fmt.Errorf("kafka: %w", err)
		}
	}
	// A failed fetch is tried again here, after asking who leads the partition.
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	c := &consumer{
		cfg: &cfg, client: client, responses: memory, refreshes: make(chan struct{}, 1), grown: make(chan int32, 1),
		nodes: map[int32]*node{},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if cfg.Format.hasSchemas() {
		c.registry = newRegistry(cfg.Registry, c)
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	var topic *kmsg.MetadataResponseTopic
	err = patiently(ctx, func() (err error) {
		topic, err = c.describe(ctx)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			err = errNoTopic // this may pass, and is a wrong name most of the time
		}
		return err
	})
	if err != nil {
		c.close()
		if errors.Is(err, errNoTopic) {
			return nil, fmt.Errorf("kafka: there is no topic %q, or the user may not see it", cfg.Topic)
		}
		return nil, fmt.Errorf("kafka: topic %q of %v: %w", cfg.Topic, cfg.Client.Brokers, advised(err))
	}
	c.id, c.total = topic.TopicID, len(topic.Partitions)
	for i := range topic.Partitions {
		if m := &topic.Partitions[i]; cfg.Share.has(m.Partition) {
			c.parts = append(c.parts, c.newPartition(m))
		}
	}
	switch {
	case c.total == 0:
		c.close()
		return nil, fmt.Errorf("kafka: topic %q has no partitions", cfg.Topic)
	case len(c.parts) == 0:
		c.close()
		return nil, fmt.Errorf("kafka: topic %q has %d partitions, so there is nothing for share %d of %d", cfg.Topic,
			c.total, cfg.Share.Number, cfg.Share.Of)
	}
	return c, nil
}

// close ends everything.
func (c *consumer) close() {
	c.cancel()
	c.client.Close()
	c.work.Wait()
}

// Readers makes the readers of one query: one for each partition, or fewer that share them if there
// are more partitions than SourceConfig.Readers. The number is not used. All of them belong to one
// engine.
func (s *Source) Readers(int) ([]record.Reader, error) {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	err = patiently(ctx, func() error { return c.place(ctx) })
	if err != nil {
		c.close()
		return nil, fmt.Errorf("kafka: topic %q: %w", s.cfg.Topic, err)
	}
	n := min(len(c.parts), c.cfg.Readers)
	c.ahead = max(c.cfg.FetchBytes, min(c.cfg.BufferBytes/len(c.parts), maxShare))
	var rs []record.Reader
	for i := range n {
		r, err := c.newReader()
		if err != nil {
			c.close()
			return nil, err
		}
		for j := i; j < len(c.parts); j += n {
			r.own(c.parts[j])
		}
		r.setName()
		rs = append(rs, r)
	}
	if n < len(c.parts) {
		c.cfg.say(fmt.Sprintf("%d partitions are dealt to %d readers; the watermark is that of a reader, so records "+
			"of "+
			"a partition that is ahead can make those of another one late", len(c.parts), n))
	}
	c.work.Add(1)
	go c.run()
	return rs, nil
}

// place finds where partitions begin that were not read before, and where reading ends.
func (c *consumer) place(ctx context.Context) error {
	adm := kadm.NewClient(c.client)
	var starts kadm.ListedOffsets
	var err error
	switch c.cfg.Start {
	case Earliest:
		starts, err = adm.ListStartOffsets(ctx, c.cfg.Topic)
	case Latest:
		starts, err = c.ends(ctx, adm)
	default:
		starts, err = adm.ListOffsetsAfterMilli(ctx, c.cfg.Start.at, c.cfg.Topic)
	}
	if err != nil {
		return err
	}
	var ends kadm.ListedOffsets
	if c.cfg.UntilEnd {
		if ends, err = c.ends(ctx, adm); err != nil {
			return err
		}
	}
	for _, p := range c.parts {
		at, ok := starts.Lookup(c.cfg.Topic, p.id)
		if !ok || at.Err != nil {
			return fmt.Errorf("partition %d: where it begins is not known: %w", p.id, at.Err)
		}
		p.next, p.cursor.next = at.Offset, at.Offset
		if c.cfg.UntilEnd {
			end, ok := ends.Lookup(c.cfg.Topic, p.id)
			if !ok || end.Err != nil {
				return fmt.Errorf("partition %d: where it ends is not known: %w", p.id, end.Err)
			}
			p.end = end.Offset
		}
	}
	return nil
}

// ends are the offsets after what can be read now.
func (c *consumer) ends(ctx context.Context, adm *kadm.Client) (kadm.ListedOffsets, error) {
	if c.cfg.ReadUncommitted || c.cfg.untilHigh {
		return adm.ListEndOffsets(ctx, c.cfg.Topic)
	}
	return adm.ListCommittedOffsets(ctx, c.cfg.Topic)
}

// Grow gives a reader to add for each partition that appears, until ctx is done. First is one of
// the readers of the query. If there are as many readers as there may be, or add returns an
// error, one of the readers takes the partition. See connect.Grower.
func (s *Source) Grow(ctx context.Context, first record.Reader, add func(context.Context, record.Reader) error) {
	r, ok := first.(*Reader)
	if !ok {
		return
	}
	c := r.consumer
	c.mu.Lock()
	c.growing = true
	c.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.ctx.Done():
			return
		case <-c.grown:
		}
		c.mu.Lock()
		parts := slices.Clone(c.parts)
		c.mu.Unlock()
		for _, p := range parts {
			p.mu.Lock()
			isNew := p.reader == nil
			p.mu.Unlock()
			if isNew {
				c.join(ctx, p, add)
			}
		}
	}
}

// join has a partition read that has appeared. It begins with its first record.
func (c *consumer) join(ctx context.Context, p *partition, add func(context.Context, record.Reader) error) {
	for delay := backoffMin; ; delay = min(2*delay, backoffMax) {
		first, _, err := c.bounds(ctx, p.id)
		if err == nil {
			p.begin(first, -1)
			break
		}
		c.pause(delay)
		if ctx.Err() != nil || c.ctx.Err() != nil {
			return
		}
	}
	c.mu.Lock()
	n := len(c.readers)
	c.mu.Unlock()
	c.cfg.say(fmt.Sprintf("%s/%d is new and is read from its beginning", c.cfg.Topic, p.id))
	if n < c.cfg.Readers {
		r, err := c.newReader()
		if err == nil {
			r.fresh = true
			r.own(p)
			r.setName()
			err = add(ctx, r)
			if err == nil {
				return
			}
			_ = r.Close() // the engine has not taken it
		}
		if ctx.Err() != nil || c.ctx.Err() != nil {
			return
		}
		c.cfg.say(fmt.Sprintf("%s/%d gets no reader of its own: %v", c.cfg.Topic, p.id, err))
	}
	c.mu.Lock()
	least := c.readers[0]
	for _, r := range c.readers {
		if r.count() < least.count() {
			least = r
		}
	}
	c.mu.Unlock()
	least.hand(p)
}

// Close does nothing: the readers close what they use.
func (*Source) Close() error { return nil }
