package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// maxShare is how much of one partition is fetched ahead at most: more would only take memory.
	maxShare = 8 << 20

	// backoffMin and backoffMax bound the pause after a request that has failed. It doubles each
	// time.
	backoffMin = 50 * time.Millisecond
	backoffMax = 5 * time.Second

	// pausedWait is how long a broker may wait for records if a partition is left out of the
	// request, because its queue may be half empty in less.
	pausedWait = 5 * time.Millisecond

	// goneAfter is how long a topic may be unknown to the brokers. Brokers that have just started
	// do not know their topics yet.
	goneAfter = 30 * time.Second

	// sayAfter is how long the brokers may be out of reach before the user is told.
	sayAfter = 2 * time.Second

	// maxFetchBytes bounds a response.
	maxFetchBytes = 64 << 20

	// requestTimeout bounds requests that are not fetches.
	requestTimeout = 30 * time.Second
)

// partition is a Kafka partition that is read.
type partition struct {
	id    int32
	split string
	// end is where reading ends; -1 if it does not.
	end int64

	// The next fields are the reader's alone.
	cursor   cursor
	unpacked []byte
	// from is the response that has the records at the cursor; nil if the client has made it.
	from     *response
	position []byte // scratch
	// again says that the record at the cursor has not been gathered.
	again bool

	// read is the offset that the reader goes on at, as of its last Poll. The reader stores it and
	// Lag loads it; nothing is published by it. Statistic.
	read atomic.Int64

	mu sync.Mutex
	// queue has what has been fetched and not been read; queued are its bytes.
	queue  []chunk
	queued int
	// paused says that the queue was full and is not half empty yet.
	paused bool
	// active says that the reader's start is known.
	active bool
	// next is the offset to fetch, and epoch the leader epoch of the last batch that was fetched.
	next  int64
	epoch int32
	// leader is the broker to ask; -1 if it is not known. leaderEpoch is its epoch.
	leader, leaderEpoch int32
	// retryAt is when it may be asked again.
	retryAt time.Time
	// fetchBytes is how much is asked for.
	fetchBytes int32
	// err is why nothing more will be fetched. It comes after the queue.
	err error
	// stable is the last stable offset, or the high watermark if uncommitted records are read.
	// heard says that a broker has told it.
	stable int64
	heard  bool
	// reader reads it; nil if nobody does yet.
	reader *Reader

	gaps, skipped uint64 // gaps that were skipped, and the offsets in them
}

// consumer fetches the partitions of one query.
type consumer struct {
	cfg    *SourceConfig
	client *kgo.Client
	// responses has the memory of what is fetched.
	responses *responses
	// registry has the schemas of values in Avro and Protobuf; nil for other formats.
	registry *registry
	id       [16]byte // id of the topic

	// total is how many partitions the topic had at the start, also those of other shares.
	total int

	// ahead is how many bytes of a partition are fetched ahead.
	ahead int

	// ctx is done when the last reader has been closed.
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	// refreshes asks for new metadata; it has room for one.
	refreshes chan struct{}
	// grown has the partitions that have appeared.
	grown chan int32

	mu    sync.Mutex
	parts []*partition
	nodes map[int32]*node
	open  int // readers that are not closed
	// trouble is what is wrong with asking for metadata.
	trouble trouble
	// unknownAt is since when the brokers do not know the topic.
	unknownAt time.Time
	// growing says that Grow was called.
	growing bool

	readers []*Reader
}

// node is a broker that leads partitions.
type node struct {
	id   int32
	kick chan struct{} // there may be something to fetch
	turn int           // rotates the partitions, so that all get their share of a response

	trouble trouble
}

// trouble is since when a broker does not answer, and whether the user was told.
type trouble struct {
	since time.Time
	told  bool
}

// partitionError is an error of one partition.
func (c *consumer) partitionError(id int32, err error) error {
	return fmt.Errorf("kafka: %s/%d: %w", c.cfg.Topic, id, advised(err))
}

// describe asks for the partitions of the topic.
func (c *consumer) describe(ctx context.Context) (*kmsg.MetadataResponseTopic, error) {
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(c.cfg.Topic)
	req.Topics = []kmsg.MetadataRequestTopic{topic}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("the brokers describe %d topics, expected 1", len(resp.Topics))
	}
	t := &resp.Topics[0]
	slices.SortFunc(t.Partitions, func(a, b kmsg.MetadataResponseTopicPartition) int {
		return cmp.Compare(a.Partition, b.Partition)
	})
	return t, kerr.ErrorForCode(t.ErrorCode)
}

// run keeps the metadata fresh until the consumer is closed.
func (c *consumer) run() {
	defer c.work.Done()
	delay := backoffMin
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.refreshes:
		case <-time.After(c.cfg.MetadataEvery):
		}
		topic, err := c.describe(c.ctx)
		if c.ctx.Err() != nil {
			return
		}
		if err == nil {
			err = c.take(topic)
		}
		if !c.report(&c.trouble, err) {
			delay = backoffMin
			c.pause(delay)
			continue
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) {
			c.unknown()
		}
		c.pause(delay)
		delay = min(2*delay, backoffMax)
		c.refresh()
	}
}

// pause waits, unless the consumer is closed.
func (c *consumer) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.ctx.Done():
	}
}

// refresh asks for new metadata soon.
func (c *consumer) refresh() {
	select {
	case c.refreshes <- struct{}{}:
	default:
	}
}

// unknown notes that the brokers do not know the topic. After a while that is final.
func (c *consumer) unknown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unknownAt.IsZero() {
		c.unknownAt = time.Now()
	}
	if time.Since(c.unknownAt) > goneAfter {
		for _, p := range c.parts {
			p.fail(c.partitionError(p.id, errGoneTopic))
		}
	}
}

// report notes whether the brokers can be reached, and tells the user when that changes. It returns
// whether there is an error.
func (c *consumer) report(t *trouble, err error) bool {
	switch {
	case err == nil && t.told:
		c.cfg.say(fmt.Sprintf("topic %s: the brokers answer again", c.cfg.Topic))
		fallthrough
	case err == nil:
		*t = trouble{}
		return false
	case t.since.IsZero():
		t.since = time.Now()
	case !t.told && time.Since(t.since) > sayAfter:
		t.told = true
		c.cfg.say(fmt.Sprintf("topic %s: %v; it is tried again", c.cfg.Topic, err))
	}
	return true
}

// take takes what the brokers say about the topic.
func (c *consumer) take(topic *kmsg.MetadataResponseTopic) error {
	c.mu.Lock()
	c.unknownAt = time.Time{}
	if otherTopic(topic.TopicID, c.id) {
		for _, p := range c.parts {
			p.fail(c.partitionError(p.id, fmt.Errorf("%w: its id was %s and is %s\n%s", errTopicRemade, idText(c.id),
				idText(topic.TopicID), choices)))
		}
		c.mu.Unlock()
		return nil
	}
	known := slices.Clone(c.parts)
	c.mu.Unlock()
	if c.cfg.Share.Of > 0 && len(topic.Partitions) != c.total {
		for _, p := range known {
			p.fail(c.partitionError(p.id, fmt.Errorf("the topic had %d partitions and has %d: %w", c.total,
				len(topic.Partitions), errGrown)))
		}
		return nil
	}
	var moved []move
	for i := range topic.Partitions {
		m := &topic.Partitions[i]
		j := slices.IndexFunc(known, func(p *partition) bool { return p.id == m.Partition })
		if j < 0 && !c.cfg.Share.has(m.Partition) {
			continue // another process reads it
		}
		if j < 0 {
			p := c.newPartition(m)
			c.mu.Lock()
			c.parts = append(c.parts, p)
			growing := c.growing
			c.mu.Unlock()
			if !growing {
				c.cfg.say(fmt.Sprintf("%s/%d is new and is not read: Source.Grow does that", c.cfg.Topic, p.id))
			}
			select {
			case c.grown <- p.id:
			default: // Grow looks at parts, too
			}
			continue
		}
		if err := kerr.ErrorForCode(m.ErrorCode); err != nil && !kerr.IsRetriable(err) {
			known[j].fail(c.partitionError(m.Partition, err))
			continue
		}
		if known[j].moves(m) {
			moved = append(moved, move{known[j], m.Leader})
		}
	}
	if err := c.validate(moved); err != nil {
		return err
	}
	c.kickAll()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		p.mu.Lock()
		leaderless := p.active && p.leader < 0
		p.mu.Unlock()
		if leaderless {
			return fmt.Errorf("partition %d has no leader: the brokers that have it in sync are down", p.id)
		}
	}
	return nil
}

// otherTopic says whether two ids are known and differ. Brokers before Kafka 2.8 have none.
func otherTopic(a, b [16]byte) bool { return a != b && a != [16]byte{} && b != [16]byte{} }

// splitName is the name of the split that a partition is. A share is of the keys of that many
// partitions, so that the number belongs to the name: a state of before the topic grew, or of
// another share, is refused.
func (c *consumer) splitName(partition int32) string {
	name := splitName(c.cfg.Topic, partition)
	if c.cfg.Share.Of > 0 {
		name += fmt.Sprintf(" of %d, share %d of %d", c.total, c.cfg.Share.Number, c.cfg.Share.Of)
	}
	return name
}

// newPartition makes a partition that is not read yet.
func (c *consumer) newPartition(m *kmsg.MetadataResponseTopicPartition) *partition {
	p := &partition{
		id: m.Partition, split: c.splitName(m.Partition), end: -1, epoch: -1, leader: m.Leader,
		leaderEpoch: m.LeaderEpoch, fetchBytes: int32(c.cfg.FetchBytes),
	}
	p.cursor = cursor{committed: !c.cfg.ReadUncommitted, epoch: -1}
	return p
}

// moves notes the leader of a partition. It returns whether the leader is another one, and what was
// fetched from the former must be compared with it; the partition is not fetched until then.
func (p *partition) moves(m *kmsg.MetadataResponseTopicPartition) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m.LeaderEpoch < p.leaderEpoch {
		return false // that broker has not heard of the new leader
	}
	compare := p.leader < 0 || m.LeaderEpoch > p.leaderEpoch
	p.leader, p.leaderEpoch = m.Leader, m.LeaderEpoch
	if m.ErrorCode != 0 || m.Leader < 0 {
		p.leader = -1
		return false
	}
	if compare && p.epoch >= 0 {
		p.leader = -1
		return true
	}
	return false
}

// move is a partition that has a new leader.
type move struct {
	p      *partition
	leader int32
}

// validate asks the new leaders of partitions where the epochs of what was fetched end. If a log
// was cut off before that and written anew, the same offsets have other records now.
func (c *consumer) validate(moved []move) error {
	for _, m := range moved {
		m.p.mu.Lock()
		next, epoch := m.p.next, m.p.epoch
		m.p.mu.Unlock()
		end, err := c.epochEnd(c.ctx, m.p.id, epoch)
		if err != nil {
			return err
		}
		if end >= 0 && end < next {
			c.truncated(m.p, next, end)
		}
		m.p.mu.Lock()
		m.p.leader = m.leader
		m.p.mu.Unlock()
	}
	return nil
}

// epochEnd asks where a leader epoch ends in a partition. It returns -1 if that is not known.
func (c *consumer) epochEnd(ctx context.Context, id, epoch int32) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req := kadm.OffsetForLeaderEpochRequest{}
	req.Add(c.cfg.Topic, id, epoch)
	all, err := kadm.NewClient(c.client).OffsetForLeaderEpoch(ctx, req)
	if err != nil {
		return -1, err
	}
	end, ok := all[c.cfg.Topic][id]
	if !ok {
		return -1, fmt.Errorf("the brokers do not say where epoch %d of partition %d ends", epoch, id)
	}
	return end.EndOffset, end.Err
}

// The errors of a position that cannot be gone on with.
var (
	errTopicRemade = errors.New("another topic has the name now")
	errGone        = errors.New("records that were not read are gone")
	errTruncated   = errors.New("the log was cut off")
	errGoneTopic   = errors.New("the topic does not exist any more, or the user may not see it any more: with a topic " +
		"that is made again, --fresh begins anew")
)

// choices is what to do about them.
const choices = "--skip-gaps goes on with what there is, this once, and counts what is missing; --fresh begins anew"

// truncated is called if a log was cut off at end, and had been read to next.
func (c *consumer) truncated(p *partition, next, end int64) {
	if !c.cfg.SkipGaps {
		p.fail(c.partitionError(p.id, fmt.Errorf("%w at offset %d, and had been read to %d: records that were counted "+
			"may not be there, and others have their offsets\n%s", errTruncated, end, next, choices)))
		return
	}
	p.jump(end)
	c.cfg.say(fmt.Sprintf("%s/%d: the log was cut off at offset %d, and had been read to %d: reading goes on at %d",
		c.cfg.Topic, p.id, end, next, end))
}

// outOfRange is called if the broker does not have the offset to be fetched.
func (c *consumer) outOfRange(p *partition, at int64) error {
	first, last, err := c.bounds(c.ctx, p.id)
	if err != nil {
		return err
	}
	switch {
	case at > last:
		c.truncated(p, at, last)
	case at >= first:
		return nil // it has come in the meantime
	case !c.cfg.SkipGaps:
		p.fail(c.partitionError(p.id, goneError(at, first)))
	default:
		c.skip(p, at, first)
	}
	return nil
}

// goneError says that retention has removed what was not read.
func goneError(at, first int64) error {
	return fmt.Errorf("%w: offset %d is next, and the oldest that there is is %d; the topic's retention, or somebody "+
		"who deleted records, was faster\n%s", errGone, at, first, choices)
}

// skip goes over records that are gone.
func (c *consumer) skip(p *partition, at, first int64) {
	p.jump(first)
	c.cfg.say(fmt.Sprintf("%s/%d: offsets %d to %d, %d of them, are gone and are skipped", c.cfg.Topic, p.id, at,
		first-1,
		first-at))
}

// bounds asks for the oldest offset of a partition and the one after its last.
func (c *consumer) bounds(ctx context.Context, id int32) (first, last int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	adm := kadm.NewClient(c.client)
	starts, err := adm.ListStartOffsets(ctx, c.cfg.Topic)
	if err != nil {
		return 0, 0, err
	}
	ends, err := adm.ListEndOffsets(ctx, c.cfg.Topic)
	if err != nil {
		return 0, 0, err
	}
	start, _ := starts.Lookup(c.cfg.Topic, id)
	end, _ := ends.Lookup(c.cfg.Topic, id)
	return start.Offset, end.Offset, errors.Join(start.Err, end.Err)
}

// jump has reading go on at another offset.
func (p *partition) jump(to int64) {
	p.mu.Lock()
	p.gaps++
	p.skipped += uint64(max(to-p.next, 0))
	p.next, p.epoch = to, -1
	p.queue = append(p.queue, chunk{jumps: true, to: to})
	p.mu.Unlock()
	p.wake()
}

// wake wakes the engine of the partition's reader.
func (p *partition) wake() {
	p.mu.Lock()
	r := p.reader
	p.mu.Unlock()
	if r != nil {
		r.wake()
	}
}

// fail ends a partition, after what was fetched of it.
func (p *partition) fail(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.mu.Unlock()
	p.wake()
}

// kickAll has all brokers asked that lead partitions. A broker that leads its first one gets its
// goroutine.
func (c *consumer) kickAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	for _, p := range c.parts {
		p.mu.Lock()
		leader, active := p.leader, p.active
		p.mu.Unlock()
		if leader < 0 || !active {
			continue
		}
		n := c.nodes[leader]
		if n == nil {
			n = &node{id: leader, kick: make(chan struct{}, 1)}
			c.nodes[leader] = n
			c.work.Add(1)
			go c.fetchFrom(n)
		}
		n.wake()
	}
}

// kick has the leader of a partition asked.
func (c *consumer) kick(p *partition) {
	p.mu.Lock()
	leader := p.leader
	p.mu.Unlock()
	c.mu.Lock()
	n := c.nodes[leader]
	c.mu.Unlock()
	if n != nil {
		n.wake()
	}
}

func (n *node) wake() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// fetchFrom fetches what a broker leads, one request at a time.
func (c *consumer) fetchFrom(n *node) {
	defer c.work.Done()
	delay := time.Duration(0)
	for c.ctx.Err() == nil {
		asked, wait, some := c.wanted(n)
		if len(asked) == 0 {
			t := time.NewTimer(wait)
			select {
			case <-c.ctx.Done():
			case <-n.kick:
			case <-t.C:
			}
			t.Stop()
			continue
		}
		resp, whole, err := c.fetch(n, asked, some)
		if c.ctx.Err() != nil {
			return
		}
		if c.report(&n.trouble, err) {
			whole.release()
			c.refresh()
			delay = min(max(2*delay, backoffMin), backoffMax)
			c.pause(delay)
			continue
		}
		delay = 0
		stale := c.received(asked, resp, whole)
		whole.release()
		if stale {
			c.refresh()
			c.pause(backoffMin)
		}
	}
}

// ask is one partition of a fetch.
type ask struct {
	p           *partition
	next        int64
	leaderEpoch int32
	bytes       int32
}

// wanted are the partitions that a broker is to be asked for, in turn. wait is how long to wait if
// there are none. paused says that some are left out because their queues are full.
func (c *consumer) wanted(n *node) (asked []ask, wait time.Duration, paused bool) {
	c.mu.Lock()
	parts := c.parts
	c.mu.Unlock()
	now := time.Now()
	wait = c.cfg.MetadataEvery
	n.turn++
	for i := range parts {
		p := parts[(i+n.turn)%len(parts)]
		p.mu.Lock()
		switch {
		case p.leader != n.id || !p.active || p.err != nil:
		case p.paused:
			paused = true
		case p.end >= 0 && p.next >= p.end:
		case p.retryAt.After(now):
			wait = min(wait, p.retryAt.Sub(now))
		default:
			asked = append(asked, ask{p, p.next, p.leaderEpoch, p.fetchBytes})
		}
		p.mu.Unlock()
	}
	return asked, wait, paused
}

// fetch asks a broker for records. Whole has the memory of the response and must be released; it is
// nil if the client has made the response.
func (c *consumer) fetch(n *node, asked []ask, paused bool) (f *kmsg.FetchResponse, whole *response, err error) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(c.cfg.FetchWait.Milliseconds())
	if paused {
		req.MaxWaitMillis = int32(pausedWait.Milliseconds())
	}
	req.MinBytes, req.MaxBytes = 1, maxFetchBytes
	if !c.cfg.ReadUncommitted {
		req.IsolationLevel = 1
	}
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = c.cfg.Topic, c.id
	for _, a := range asked {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.CurrentLeaderEpoch, p.PartitionMaxBytes = a.p.id, a.next, a.leaderEpoch, a.bytes
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = []kmsg.FetchRequestTopic{topic}
	resp, err := c.client.Broker(int(n.id)).Request(c.ctx, req)
	if err != nil {
		return nil, nil, err
	}
	f = resp.(*kmsg.FetchResponse)
	whole = c.responses.collect(f)
	if whole != nil {
		f, err = whole.fetch, whole.err
	}
	if err == nil {
		err = kerr.ErrorForCode(f.ErrorCode)
	}
	return f, whole, err
}

// received queues what has come. It returns whether the brokers have to be asked who leads what.
func (c *consumer) received(asked []ask, resp *kmsg.FetchResponse, whole *response) (stale bool) {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			got := &resp.Topics[i].Partitions[j]
			k := slices.IndexFunc(asked, func(a ask) bool { return a.p.id == got.Partition })
			if k < 0 {
				continue
			}
			if c.receivedPartition(asked[k], got, whole) {
				stale = true
			}
		}
	}
	return stale
}

// receivedPartition queues what has come of a partition.
func (c *consumer) receivedPartition(a ask, got *kmsg.FetchResponseTopicPartition, whole *response) (stale bool) {
	switch err := kerr.ErrorForCode(got.ErrorCode); {
	case err == nil:
	case errors.Is(err, kerr.OffsetOutOfRange):
		if err := c.outOfRange(a.p, a.next); err != nil {
			a.p.retry()
		}
		return false
	case kerr.IsRetriable(err) || errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.InconsistentTopicID):
		a.p.retry()
		return true
	default:
		a.p.fail(c.partitionError(a.p.id, err))
		return false
	}
	c.push(a, got, whole)
	return false
}

// retry leaves a partition out of requests for a moment.
func (p *partition) retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retryAt = time.Now().Add(backoffMin)
}

// push queues the batches of a response.
func (c *consumer) push(a ask, got *kmsg.FetchResponseTopicPartition, whole *response) {
	e, err := measure(got.RecordBatches, a.next)
	k := chunk{batches: got.RecordBatches[:e.bytes:e.bytes], from: whole}
	if e.bytes > 0 && !c.cfg.ReadUncommitted {
		for _, t := range got.AbortedTransactions {
			k.aborted = append(k.aborted, abortedTxn{t.ProducerID, t.FirstOffset})
		}
		sortAborted(k.aborted)
	}
	p := a.p
	p.mu.Lock()
	p.stable, p.heard = got.HighWatermark, true
	if !c.cfg.ReadUncommitted && got.LastStableOffset >= 0 {
		p.stable = got.LastStableOffset
	}
	switch {
	case p.next != a.next || p.err != nil: // it has jumped in the meantime
	case err != nil:
		p.err = c.partitionError(p.id, err)
	case e.bytes == 0 && len(got.RecordBatches) > 0:
		p.fetchBytes = min(2*p.fetchBytes, maxFetchBytes) // the batch is larger
	case e.bytes > 0:
		whole.hold()
		p.queue = append(p.queue, k)
		p.queued += e.bytes
		p.next, p.epoch = e.next, e.epoch
		p.paused = p.queued >= c.ahead
	}
	p.mu.Unlock()
	p.wake()
}

// sortAborted brings aborted transactions into the order of the log, in which not every broker
// gives them.
func sortAborted(all []abortedTxn) {
	slices.SortFunc(all, func(x, y abortedTxn) int { return cmp.Compare(x.first, y.first) })
}

// take takes what the reader has to read next; ok is false if there is nothing. resumed says that
// the queue was full and is half empty now.
func (p *partition) take(ahead int) (k chunk, ok, resumed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return k, false, false, p.err
	}
	k = p.queue[0]
	p.queue[0] = chunk{}
	p.queue = p.queue[1:]
	p.queued -= len(k.batches)
	if p.paused && p.queued <= ahead/2 {
		p.paused, resumed = false, true
	}
	return k, true, resumed, nil
}
