package kafka

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// MaxShares bounds the processes that share a topic.
const MaxShares = 1024

// A Share is the part of a topic that one of several processes reads: number Number of Of, from 1.
// Every Kafka partition falls to one of them. The zero Share is the whole topic.
//
// Shares are for topics whose records are partitioned by the key that the query groups by: then no
// two processes have the same group, and their results together are the result. The source compares
// the partition of each record with the one that Kafka's own partitioner (murmur2 of the key)
// gives, so that a producer that partitions otherwise is found out at its first record and not by
// wrong results. Whether a plan may be shared is for the caller to ask: see Plan.DividedBy of
// package plan, with the columns that keys are made of. A topic that gets more partitions has its
// keys dealt anew, which ends the source.
type Share struct{ Number, Of int }

// ParseShare reads a share such as 2/5.
func ParseShare(text string) (s Share, err error) {
	number, of, ok := strings.Cut(text, "/")
	if ok {
		s.Number, err = strconv.Atoi(number)
		if err == nil {
			s.Of, err = strconv.Atoi(of)
		}
	}
	if !ok || err != nil || s == (Share{}) || s.fault() != nil {
		return Share{}, fmt.Errorf("the share %q, expected a number of a process and how many there are, such as 2/5",
			text)
	}
	return s, nil
}

// fault says what is wrong with a share.
func (s Share) fault() error {
	if s != (Share{}) && (s.Of < 1 || s.Of > MaxShares || s.Number < 1 || s.Number > s.Of) {
		return fmt.Errorf("share %d of %d, expected 1 of 1 up to %d of %d", s.Number, s.Of, MaxShares, MaxShares)
	}
	return nil
}

// has says whether a Kafka partition falls to the share.
func (s Share) has(partition int32) bool { return s.Of == 0 || int(partition)%s.Of == s.Number-1 }

// errGrown says that keys have been dealt anew.
var errGrown = errors.New("its keys are dealt anew, so the groups of this process are not its own any more: begin " +
	"anew in all processes, or read the whole topic in one")

// A keyCheck compares the partitions of records with those that their keys give.
type keyCheck struct {
	of     kgo.TopicPartitioner
	total  int // Kafka partitions of the topic
	record kgo.Record
}

func newKeyCheck(topic string, total int) *keyCheck {
	return &keyCheck{of: kgo.StickyKeyPartitioner(nil).ForTopic(topic), total: total}
}

// check says what is wrong with a record of a partition.
func (k *keyCheck) check(partition int32, key []byte) error {
	if key == nil {
		return errors.New("the record has no key: a topic is shared by its keys")
	}
	k.record.Key = key
	if want := k.of.Partition(&k.record, k.total); want != int(partition) {
		return fmt.Errorf("the record belongs to partition %d by its key, so its producer partitions in another way "+
			"than Kafka's own clients, and two processes may have one key: read the whole topic in one process", want)
	}
	return nil
}

// checkKey compares the partition of the record at hand with the one of its key. If it is another
// one, the record is not passed, so that a restart finds it again.
func (r *Reader) checkKey(p *partition) error {
	if r.keys == nil {
		return nil
	}
	c := &p.cursor
	var key []byte
	if c.rec.key.from >= 0 {
		key = c.records[c.rec.key.from:c.rec.key.to]
	}
	if err := r.keys.check(p.id, key); err != nil {
		c.next = c.rec.offset
		return fmt.Errorf("offset %d: %w", c.rec.offset, err)
	}
	return nil
}
